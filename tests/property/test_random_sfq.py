"""Random networks of counters: every spike and every state equals the reference, and no pulse ever comes too close."""

from __future__ import annotations

import numpy as np
import pytest
from sfq_networks import KINDS, difference, layer, mapped, random_network, spikes_for

from hwsdk.mappers.sfq_check import check

SEEDS, SAMPLES, STEPS = range(80), 2, 20
WEIGHTS = ("auto", "train", "binary")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_network_is_exact(seed: int) -> None:
    network = random_network(seed)
    program = mapped(network, STEPS, weights=WEIGHTS[seed % 3], wires="ptl" if seed % 7 == 0 else "abut")
    check(network, program)
    assert [e for e in program.ledger.entries if e.kind == "warning"] == []
    stimulus = spikes_for(network, SAMPLES, STEPS, seed)
    for bias in (1.0, 0.9, 0.95, 1.1) if seed % 4 == 0 else (1.0,):
        assert difference(network, program, stimulus, bias) is None


def test_the_random_networks_are_many() -> None:
    neurons = [random_network(seed).n_neurons for seed in SEEDS]
    assert sum(neurons) * SAMPLES * STEPS > 10_000
    kinds = {(p.reset, bool(p.decay_v.any())) for seed in SEEDS for p in random_network(seed).populations.values()}
    assert len(kinds) == 3


@pytest.mark.parametrize("weights", ["train", "binary"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_wide_layer_is_exact(kind: str, weights: str) -> None:
    rng = np.random.default_rng(7)
    most = 3 if weights == "train" else 31
    network = layer(kind, rng.integers(-most, most + 1, (64, 64)), rng.integers(-9, 8 * most, 64),
                    bias=rng.integers(-3, 4, 64))
    program = mapped(network, 6, weights=weights)
    check(network, program)
    assert difference(network, program, spikes_for(network, 2, 6, 1)) is None


@pytest.mark.parametrize("wires", ["abut", "ptl"])
@pytest.mark.parametrize("inputs", [40, 200])
def test_planes_whose_trees_differ_in_depth(inputs: int, wires: str) -> None:
    """Where few weights have a bit, and most have the next: JTLs stand for the mergers that the small tree lacks."""
    for seed in range(3):
        rng, weight = np.random.default_rng(seed), np.zeros((inputs, 6))
        for j, k in np.ndindex(6, 5):
            few = rng.choice([1, 2, 3, inputs // 8, inputs // 2, inputs])
            weight[rng.choice(inputs, few, replace=False), j] += 2**k
        network = layer("subtract", weight, weight.sum(axis=0) // 4)
        program = mapped(network, 4, weights="binary", wires=wires)
        assert difference(network, program, spikes_for(network, 1, 4, seed)) is None
