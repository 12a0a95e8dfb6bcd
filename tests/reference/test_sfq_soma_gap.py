"""How far a sum must be from the threshold for circuit and pulse model to decide alike: what quantize_gap rests on.

All pulses of a frame come at one time, inhibition a JTL earlier, as the mapper launches them; frames are 7 decay times.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from hwsdk.ir.circuit import PHI0
from hwsdk.ir.soma import bias_for, branches_for, excess, threshold, weights
from hwsdk.mappers.loop_form import LEAST_BIAS_A, LEAST_H
from hwsdk.mappers.quantize_gap import EARLY, LATE
from hwsdk.simulators.rcsj import solve_many
from hwsdk.simulators.sfq_bench import bench_of
from hwsdk.simulators.sfq_circuits import PS, pulse_points
from hwsdk.simulators.sfq_soma import soma_circuit
from hwsdk.targets import load_target

TAU, LEAD, FRAMES, START = 62.5 * PS, 3.64 * PS, 16, 40 * PS
PERIOD = 7 * TAU


def setting(rng: np.random.Generator, n: int, least_h: float, bias_a: tuple[float, float]) -> Any:
    """(branches, bias, pulses by branch, sums over the threshold by frame), the threshold near one of the sums; None if
    no bias in range gives that.
    """
    model = load_target("sfq").soma(n).soma
    assert model is not None
    inhibits = np.arange(n) >= n - int(rng.integers(0, n // 2 + 1))
    henry = np.exp(rng.uniform(np.log(least_h), np.log(120e-12), n))
    own = np.where(inhibits, -model.inhibition, 1.0) * PHI0 / (henry + model.l_x_h)
    branches = branches_for(model, own, TAU)
    w, on = weights(model, branches), rng.random((FRAMES, n)) < 0.6
    sums = on @ (w * np.where(inhibits, np.exp(-LEAD / TAU), 1.0))
    bias = bias_for(model, w, (rng.choice(sums) + rng.normal(0, 8e-6)) / excess(model, TAU))
    if not bias_a[0] <= bias <= bias_a[1]:
        return None
    sent = [START + PERIOD * np.flatnonzero(on[:, j]) - LEAD * inhibits[j] for j in range(n)]
    return branches, bias, sent, sums / (threshold(model, w, bias) * excess(model, TAU))


def decisions(least_h: float, bias_a: tuple[float, float], count: int, fan_ins: Any) -> tuple[Any, Any]:
    """(sums over their thresholds, whether the circuit fires)."""
    rng, share, fires = np.random.default_rng(5), [], []
    for n in fan_ins:
        drawn = (setting(rng, n, least_h, bias_a) for _ in range(1000 * count))
        rows = list(islice((r for r in drawn if r is not None), count))
        benches = [bench_of(soma_circuit(r[0], r[1])) for r in rows]
        inputs = [{f"drive_b{j}.pulse": pulse_points(t.tolist()) for j, t in enumerate(r[2])} for r in rows]
        done = solve_many([b.circuit for b in benches], START + FRAMES * PERIOD, inputs=inputs)
        for row, bench, run in zip(rows, benches, done, strict=True):
            at = run.crossings[bench.exits["q"]]
            fires += [bool(((at > f) & (at < f + PERIOD)).any()) for f in START - 20 * PS + PERIOD * np.arange(FRAMES)]
            share += row[3].tolist()
    return np.array(share), np.array(fires)


@pytest.mark.slow
def test_sums_outside_the_window_are_decided_as_the_model_does() -> None:
    share, fires = decisions(LEAST_H, (LEAST_BIAS_A, 160e-6), 32, (1, 2, 3, 4, 6, 8))
    below, above = share < 1 - EARLY, share > 1 + LATE
    assert below.sum() > 1000 and above.sum() > 300
    assert fires[below].mean() < 0.006 and fires[above].mean() > 0.99
    window = ~below & ~above
    assert (fires == (share >= 1))[window].mean() < 0.85, "inside it is not sure"


@pytest.mark.slow
def test_less_bias_makes_flips_stick() -> None:
    share, fires = decisions(LEAST_H, (20e-6, 50e-6), 16, (6, 8))
    far = np.abs(share - 1) > EARLY
    assert (fires == (share >= 1))[far].mean() < 0.97
