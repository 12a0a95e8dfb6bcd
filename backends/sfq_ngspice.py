"""Runs analog circuits in ngspice, an outside check of hwsdk's own solver."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.sfq_decks import PHASES, ngspice_deck
from hwsdk.errors import ExternalToolError, MissingDependencyError
from hwsdk.ir.circuit import Circuit, Junction

INSTALL = "apt install ngspice"
TAIL = 12
"""Lines of the output that are shown."""


def run_ngspice(circuit: Circuit, stop_s: float, *, step_s: float = 0.05e-12, junctions: Sequence[str] = (),
                reltol: float = 1e-4, temperature_k: float | None = None, seed: int = 1,
                timeout_s: float = 120.0) -> Mapping[str, NDArray[np.float64]]:
    """Junction (all where none is named) -> times in s, ascending, at which its phase passes pi + 2 pi n upwards. The
    options are those of ``ngspice_deck``.

    Raises:
        DataError: NO_SUCH_JUNCTION.
        MissingDependencyError: NO_NGSPICE.
        ExternalToolError: TIMEOUT, CRASHED.
    """
    deck = ngspice_deck(circuit, stop_s, step_s=step_s, junctions=junctions, reltol=reltol,
                        temperature_k=temperature_k, seed=seed)
    names = list(junctions) or [e.name for e in circuit.of(Junction)]
    with tempfile.TemporaryDirectory(prefix="hwsdk-ngspice-") as folder:
        run_deck(deck, Path(folder), timeout_s)
        table = np.loadtxt(Path(folder) / PHASES, ndmin=2)
    if not len(table) or table[-1, 0] < stop_s - 1.5 * step_s:
        raise ExternalToolError(f"ngspice stopped before {stop_s:g} s", where=circuit.name, fix="a smaller step_s")
    return {name: ups(table[:, 2 * k], table[:, 2 * k + 1]) for k, name in enumerate(names)}


def run_deck(deck: str, folder: Path, timeout_s: float) -> None:
    """Run a deck in a folder; what it writes is there afterwards.

    Raises:
        MissingDependencyError: NO_NGSPICE.
        ExternalToolError: TIMEOUT, CRASHED.
    """
    program = shutil.which("ngspice")
    if program is None:
        raise MissingDependencyError("ngspice is not on the path", code="NO_NGSPICE", fix=INSTALL)
    (folder / "deck.cir").write_text(deck, encoding="ascii")
    try:
        done = subprocess.run([program, "-b", "deck.cir"], cwd=folder, capture_output=True, text=True,
                              errors="replace", timeout=timeout_s, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ExternalToolError(f"ngspice did not end within {timeout_s:g} s", code="TIMEOUT",
                                fix="a larger timeout_s") from None
    if done.returncode or not (folder / PHASES).exists():
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL:])
        raise ExternalToolError(f"ngspice ended with code {done.returncode}:\n{tail}", fix="see its output")


def ups(times: NDArray[np.float64], phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times at which a phase passes pi + 2 pi n upwards, linear between samples."""
    turn = (phase - np.pi) / (2 * np.pi)
    found = []
    for k in np.flatnonzero(np.floor(turn[1:]) > np.floor(turn[:-1])):
        for level in np.arange(np.floor(turn[k]) + 1, np.floor(turn[k + 1]) + 1):
            found.append(times[k] + (times[k + 1] - times[k]) * (level - turn[k]) / (turn[k + 1] - turn[k]))
    return np.array(found, np.float64)
