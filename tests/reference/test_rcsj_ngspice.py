"""The transient solver against ngspice, whose junctions are behavioural sources and whose steps are its own."""

from __future__ import annotations

import shutil

import josephson as jj
import numpy as np
import pytest
from josephson import PS

from hwsdk.backends.sfq_ngspice import INSTALL, run_ngspice
from hwsdk.ir.circuit import Circuit
from hwsdk.simulators.rcsj import solve, solve_many

pytestmark = pytest.mark.skipif(shutil.which("ngspice") is None, reason=f"no ngspice: {INSTALL}")


@pytest.mark.parametrize("circuit", [
    jj.jtl(), jj.splitter(), jj.merger(), jj.merger((20,), (22,)), jj.merger((20, 70), (26, 84)), jj.transformer(0.6),
    jj.transformer(-0.6), jj.transformer(0.95),
], ids=lambda c: c.name)
def test_same_pulses_within_a_hundredth_of_a_picosecond(circuit: Circuit) -> None:
    ours, theirs = solve(circuit, 110 * PS).crossings, run_ngspice(circuit, 110 * PS)
    assert {j: len(t) for j, t in ours.items()} == {j: len(t) for j, t in theirs.items()}
    assert sum(map(len, ours.values())) >= 6
    worst = max(np.abs(ours[j] - theirs[j]).max(initial=0.0) for j in ours)
    assert worst < 0.01 * PS


def test_same_jitter() -> None:
    """Standard deviation of the time over 5 stages at 4.2 K; 60 samples of ngspice tell it to 9 %."""
    circuit, n = jj.jtl(8, (20,)), 60
    ours = [r.crossings for r in solve_many([circuit] * 400, 50 * PS, temperature_k=4.2, seed=3)]
    theirs = [run_ngspice(circuit, 50 * PS, junctions=["J3", "J8"], temperature_k=4.2, seed=1 + k) for k in range(n)]
    a, b = (np.std([r["J8"][0] - r["J3"][0] for r in runs], ddof=1) for runs in (ours, theirs))
    assert a == pytest.approx(0.107 * PS, rel=0.1)
    assert b == pytest.approx(a, rel=0.27)
