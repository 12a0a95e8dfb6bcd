"""Random networks of current-summing neurons on the target's own somas: what is compiled decides as its model does."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from sfq_loops import Case, compiled, patterns, random_network

from hwsdk.simulators import reference, sfq

SEEDS = range(150)
KINDS = ("memoryless", "leaky", "mixed")
LEAKS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8)


@cache
def case(seed: int) -> tuple[str, Case | None, Any]:
    """(kind, what was compiled, all patterns twice)."""
    rng, kind = np.random.default_rng([seed, 8]), KINDS[seed % 3]
    layers, n_in = int(rng.integers(1 if kind != "mixed" else 2, 4)), int(rng.integers(1, 7))
    counters = set(rng.permutation(layers)[: int(rng.integers(1, layers))].tolist()) if kind == "mixed" else set()
    slow = LEAKS if kind == "leaky" else LEAKS[:3]  # frames of counters are longer than slow leaks allow
    decay = float(rng.choice(slow)) if kind == "leaky" or (kind == "mixed" and rng.random() < 0.5) else 0.0
    options: dict[str, Any] = {"neuron": ",".join(f"p{k}:{'counter' if k in counters else 'loop'}"
                                                  for k in range(layers))}
    if not counters:
        options["neuron"] = "loop"
    return kind, compiled(random_network(rng, layers, n_in, decay, counters), **options), patterns(n_in, rng, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_netlist_is_the_network_in_its_own_numbers(seed: int) -> None:
    _, found, stimulus = case(seed)
    if found is None:
        return
    got = sfq.run(found.program, stimulus, strict=True)
    assert reference.run(found.whole, stimulus).first_difference(got) is None
    assert not got.counts["stray"].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_decision_of_neurons_without_memory_changes(seed: int) -> None:
    """Every pattern after every other that the order has, against the model in floats."""
    _, found, stimulus = case(seed)
    if found is None or any(p.decay_v.any() for p in found.lowered.populations.values()):
        return
    wanted, got = reference.run(found.lowered, stimulus), sfq.run(found.program, stimulus)
    for name in found.lowered.populations:
        assert wanted.spikes[name].dense().tolist() == got.spikes[name].dense().tolist(), name


def test_the_random_networks_are_many() -> None:
    found = [(kind, c, s) for kind, c, s in map(case, SEEDS) if c is not None]
    assert len(found) >= 60
    assert all(sum(k == kind for k, _, _ in found) >= 20 for kind in KINDS)
    fan_in = np.concatenate([np.diff(c.program.arrays.branch_ptr) for _, c, _ in found])
    assert set(range(1, 9)) - {1} <= set(fan_in.tolist())
    assert {len(c.program.layers) for _, c, _ in found} == {1, 2, 3}
    assert sum(bool((c.program.arrays.branch_a < 0).any()) for _, c, _ in found) > 20
    decays = {round(float(p.decay_v.max()), 2) for _, c, _ in found for p in c.lowered.populations.values()}
    assert len(decays & set(LEAKS)) >= 6
    fired = [reference.run(c.whole, s) for _, c, s in found]
    share = [float((t.spikes[n].dense() > 0).mean()) for t in fired for n in t.spikes]
    assert np.mean(np.array(share) == 0) < 0.4 and 0.1 < np.mean(share) < 0.9
