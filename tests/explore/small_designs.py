"""A small model with its data, spaces of designs, and the command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hwsdk.explore.points import Space, axis
from hwsdk.explore.result import Result
from hwsdk.ir import formats
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
TARGETS = ("loihi2", "spinnaker2", "memristor", "sfq")
SWEEPS = ("bits=3:8", "steps=8,16", "spinnaker2.level=auto,low", "memristor.estimate.adc_model=band,murmann")
"""A few dozen points; some share a program, a run, or both."""

KILLED = ("loihi2", "sfq")
KILLED_SWEEPS = ("bits=2:8", "steps=8,16,24,32")
"""What is measured in processes that are killed, so that these start soon."""


def digits(limit: int = 2) -> tuple[Network, Stimulus]:
    """(LIF network, test images)"""
    network = formats.load(str(EXAMPLES / "digits.nir"), dt=1e-3, reset="value")
    return network, formats.load_data(EXAMPLES / "digits_test.npz", shapes(network), limit=limit)


def pulses(limit: int = 2) -> tuple[Network, Stimulus]:
    """(network without leak for pulse logic, test images)"""
    network = formats.load(str(EXAMPLES / "digits_sfq.nir"), dt=1.0, reset="subtract")
    return network, formats.load_data(EXAMPLES / "digits_sfq_test.npz", shapes(network), limit=limit)


def shapes(network: Network) -> dict[str, tuple[int, ...]]:
    return {n: i.shape for n, i in network.inputs.items()}


def space(*sweeps: str, targets: tuple[str, ...] = TARGETS, model: str = "digits") -> Space:
    return Space((model,), targets, tuple(axis(text, targets, ("reset",)) for text in sweeps or SWEEPS))


def found(results: tuple[Result, ...]) -> list[Result]:
    """Without what time it took."""
    return [r.found() for r in results]


def command(*words: str | Path, engine: str = "serial") -> list[str]:
    """Of an exploration of the digits, with two samples."""
    return [sys.executable, "-m", "hwsdk", "explore", str(EXAMPLES / "digits.nir"), "--dt", "1e-3", "--reset", "value",
            "--input", str(EXAMPLES / "digits_test.npz"), "--limit", "2", "--targets", ",".join(KILLED),
            *(w for s in KILLED_SWEEPS for w in ("--sweep", s)), "--engine", engine, "--quiet", *map(str, words)]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
