"""Our cells, joined and each on its bench, in ngspice: the same pulses at the same times."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from sfq_joined import joined

from hwsdk.backends.sfq_analog_deck import driven
from hwsdk.backends.sfq_ngspice import run_ngspice
from hwsdk.ir.circuit import Circuit, Source
from hwsdk.simulators.rcsj import solve
from hwsdk.simulators.sfq_analog import expand
from hwsdk.simulators.sfq_bench import START_S, TAIL_S, bench_of, spaced, tour
from hwsdk.simulators.sfq_circuits import PS, cells, circuit_of, pulse_points
from hwsdk.targets import load_target

pytestmark = pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is missing: apt install ngspice")
CLOSE_S = 0.1 * PS
"""Largest difference of a pulse's time: both integrate in steps of 0.05 ps, and ngspice to a tolerance of 1e-4."""


def same_pulses(circuit: Circuit, stop_s: float, junctions: list[str]) -> None:
    ours, theirs = solve(circuit, stop_s), run_ngspice(circuit, stop_s, junctions=junctions, timeout_s=600)
    assert sum(len(ours.crossings[j]) for j in junctions) > 0
    for j in junctions:
        assert len(ours.crossings[j]) == len(theirs[j]), j
        assert np.abs(ours.crossings[j] - theirs[j]).max(initial=0.0) < CLOSE_S, j


def test_joined_cells() -> None:
    program, stimulus = joined()
    made = expand(program)
    same_pulses(driven(made, stimulus, 3), 550 * PS, list(dict.fromkeys(made.receivers)))


@pytest.mark.parametrize("name", cells())
def test_each_cell_on_its_bench(name: str) -> None:
    bench = bench_of(circuit_of(name))
    events = spaced(tour(load_target("sfq").cell(name))[:12])
    points = {f"drive_{pin}.pulse": pulse_points([e.at_s for e in events if e.pin == pin]) for pin in bench.entries}
    circuit = replace(bench.circuit, elements=tuple(
        replace(e, points=points[e.name]) if isinstance(e, Source) and e.name in points else e
        for e in bench.circuit.elements))
    same_pulses(circuit, events[-1].at_s + START_S + TAIL_S, [*bench.entries.values(), *bench.exits.values()])
