"""Small images of all four kinds, with every word, neuron, cell and stage that the generators of the tests make."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import spinnaker_by_hand
from crossbar_programs import random_program as random_crossbar
from firmware_client import image as of_the_test_runner
from integer_networks import random_integer_network
from sfq_random import random_netlist
from small_program import small
from spinnaker_programs import MACHINE, Chance

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.hil.images import image_of
from hwsdk.programs.stored import StoredProgram

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MOST = 1 << 16
"""Bytes of an image: small ones are loaded often."""


def loihi(n: int) -> Iterator[StoredProgram]:
    yield small().program
    backend = backends.get("loihi2")
    for seed in range(n):
        yield backend.compile(random_integer_network(seed, lava=False).network, CompileOptions(), lambda _: None)


def spinnaker(n: int) -> Iterator[StoredProgram]:
    for made in (spinnaker_by_hand.everything, spinnaker_by_hand.gated, spinnaker_by_hand.phased):
        yield dataclasses.replace(made().program(), sync="barrier", machine=MACHINE)
    for seed in range(n):
        yield dataclasses.replace(Chance(np.random.default_rng(seed), seed % 3 == 0).program(), sync="barrier")


def sfq(n: int) -> Iterator[StoredProgram]:
    xor = hwsdk.load(str(EXAMPLES / "xor.nir"), dt=1.0)
    yield hwsdk.compile(xor, "sfq", bits=3, target_options={"neuron": "counter"})
    for seed in range(n):
        yield random_netlist(seed, grid=seed % 2 == 0)


def crossbar(n: int) -> Iterator[StoredProgram]:
    for seed in range(n):
        yield random_crossbar(seed, stages=("adc", "wires")[:seed % 3])


def images(each: int) -> dict[str, list[bytes]]:
    """Kind -> up to ``each`` images and a few more, and some of the test runner with values of every type."""
    found: dict[str, list[bytes]] = {}
    for make in (loihi, spinnaker, sfq, crossbar):
        programs = make(each)
        found[make.__name__] = kept = []
        while True:
            try:
                made = image_of(next(programs)).data
            except StopIteration:
                break
            except (UnsupportedError, FitError):
                continue
            if len(made) <= MOST:
                kept.append(made)
    found["test"] = [of_the_test_runner(40, 50, kind, kind, fails=90) for kind in range(4)]
    return found


def write(folder: Path, each: int) -> list[Path]:
    """The files of them."""
    made = []
    for kind, some in images(each).items():
        for number, data in enumerate(some):
            made.append(folder / f"{kind}_{number}.image")
            made[-1].write_bytes(data)
    return made
