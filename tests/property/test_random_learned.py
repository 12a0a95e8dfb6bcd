"""Weights that are learned on SpiNNaker 2 chips: after every step each is that of the reference, whatever the synapses'
order in the network, the PEs that hold them, the packing and the phases.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import random_stimulus
from spinnaker_small import SmallChip, small_backend
from spinnaker_traces import troubles
from test_random_single import random_learning

from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import frozen
from hwsdk.ir.plastic import PlasticSynapses, StoredPairSTDP
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF
from hwsdk.mappers.spinnaker import PACKINGS
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.simulators import reference
from hwsdk.simulators.spinnaker_walk import walk

COUNTS = {"equal": 0, "learned": 0, "in the last step": 0, "phased": 0, "not phased": 0, "split over PEs": 0,
          "share a PE": 0, "two rules a PE": 0, "late": 0}
REFUSALS = {"LOOP_TOO_SHORT", "UNSTABLE_DECAY", "BIAS_DIVERGES", "PLASTIC_LAG", "VALUE_RANGE", "DELAY_RANGE",
            "RULE_HISTORY"}
HISTORIES = (2, 3, 4, 7, 10, 256)
seeds = st.integers(0, 2**31)
packings = st.sampled_from(PACKINGS)
kinds = st.sampled_from(["floats", "whole"])
chips = st.builds(SmallChip, neurons=st.sampled_from([2, 3, 5, 8, 1024]), chips=st.sampled_from([1, 2]))
many = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def shuffled(network: Network, seed: int) -> Network:
    """The synapses that learn in another order, and one in three of them twice; histories of any length."""
    rng, nodes = np.random.default_rng(seed), dict(network.nodes)
    history = int(rng.choice(HISTORIES))
    for name, node in network.of(PlasticSynapses).items():
        k = len(node.source)
        order = rng.permutation(np.r_[np.arange(k), np.flatnonzero(rng.random(k) < 0.3)])
        columns = {f: getattr(node, f)[order] for f in ("source", "target", "weight", "delay_ticks")}
        nodes[name] = replace(node, rule=replace(node.rule, history=history),
                              **{f: frozen(x, x.dtype) for f, x in columns.items()})
    return network.replace(nodes=nodes)


def random_whole(seed: int) -> Network:
    """A network in the chip's numbers without phases: every connection takes a step or more."""
    rng = np.random.default_rng(seed)
    b, sizes = NetworkBuilder().input("in", 4), {"in": 4}
    for k in range(int(rng.integers(1, 4))):
        sizes[f"p{k}"] = int(rng.integers(2, 9))
        b.population(f"p{k}", neuron(SingleLIF, sizes[f"p{k}"], decay_u=0.5 * (k % 2), decay_v=0.8, v_threshold=90.0,
                                     refractory=int(rng.integers(0, 3))))
    rules = [StoredPairSTDP(*rng.uniform(1, 6, 2), *rng.uniform(0, 60, 2), 1, 200, 8) for _ in range(2)]
    for target in list(sizes)[1:]:
        for source in sizes:
            delay = rng.integers(1, 9, (sizes[target], sizes[source]))
            if rng.random() < 0.7 or source == "in":
                b.connect(source, target, weight=rng.integers(1, 90, delay.shape), delay_ticks=delay,
                          plasticity=rules[int(rng.integers(2))], name=f"learn {source} {target}")
            if rng.random() < 0.4:
                b.connect(source, target, weight=rng.integers(-90, 90, delay.shape), delay_ticks=delay)
    return b.build(Semantics())


def compiled(kind: str, seed: int, packing: str, chip: SmallChip) -> tuple[Network, SpinnakerProgram] | None:
    """A random network in the chip's numbers and its program."""
    backend, options = small_backend(chip), CompileOptions(chips=chip.chips, packing=packing)
    try:
        network = random_learning(seed) if kind == "floats" else random_whole(seed)
        whole = shuffled(backend.discrete(network, options)[1], seed)
        return whole, backend.compile(whole, options, lambda _: None)
    except UnsupportedError as error:
        assert error.code in REFUSALS, error
    except FitError as error:
        assert error.violations
    return None


def count(program: SpinnakerProgram, weights: list[np.ndarray]) -> None:
    """What the example was good for."""
    a, first = program.arrays, np.cumsum([0, *(x.n for x in program.learned)])
    own = [set((np.searchsorted(first, a.learned_synapse[lo:hi], "right") - 1).tolist())
           for lo, hi in zip(a.learned_ptr[:-1], a.learned_ptr[1:], strict=True)]
    COUNTS["equal"] += 1
    COUNTS["learned"] += any((w[:, -1] != w[:, 0]).any() for w in weights)
    COUNTS["in the last step"] += any((w[:, -1] != w[:, -2]).any() for w in weights)
    COUNTS["phased"] += program.phases > 1
    COUNTS["not phased"] += program.phases == 1
    COUNTS["split over PEs"] += any(sum(k in pe for pe in own) > 1 for k in range(len(program.learned)))
    COUNTS["share a PE"] += any(len(pe) > 1 for pe in own)
    COUNTS["two rules a PE"] += any(len(program.memory(pe).learners) > 1 for pe in range(program.n_pes))


@many
@given(kinds, seeds, packings, chips)
def test_every_weight_after_every_step_is_that_of_the_reference(kind, seed, packing, chip):
    made = compiled(kind, seed, packing, chip)
    if made is None or not made[1].learned:
        return
    whole, program = made
    data = random_stimulus(whole, seed, steps=25)
    probes = [(x.name, "weight") for x in program.learned]
    expected = reference.run(whole, data, probes=probes)
    backend = small_backend(chip)
    got = backend.simulate(program, data, probes=probes, strict=True)
    assert expected.first_difference(got) is None
    for key in probes:
        np.testing.assert_array_equal(got.states[key], expected.states[key], str(key))
        assert got.states[key].shape == (2, got.n_steps, len(whole.nodes[key[0]].source))
    plain = backend.simulate(program, data, strict=True)
    for name in plain.counts:
        np.testing.assert_array_equal(plain.counts[name], got.counts[name])
    count(program, [got.states[key] for key in probes])
    moving = walk(program)
    for t in range(got.n_steps):
        moving.step({n: e.one(1).at_step(t).ravel() if t < e.n_steps else np.zeros(e.n)
                     for n, e in data.inputs.items()})
        for name, weight in moving.weights().items():
            np.testing.assert_array_equal(weight, got.states[name, "weight"][1, t])


@settings(many, max_examples=40)
@given(seeds, packings, st.sampled_from([1e-5, 2e-5, 4e-5]))
def test_pes_that_are_late_have_weights_too(seed, packing, tick_s):
    """Not those of the reference; but within bounds, and 0 where a PE never came to the step."""
    made = compiled("whole", seed, packing, SmallChip(5))
    if made is None or not made[1].learned:
        return
    whole, program = made[0], replace(made[1], tick_s=tick_s)
    probes = [(x.name, "weight") for x in program.learned]
    trace = small_backend(SmallChip(5)).simulate(program, random_stimulus(whole, seed, steps=25), probes=probes)
    COUNTS["late"] += "late_packets" in troubles(trace)
    for name, _ in probes:
        low, high = whole.nodes[name].rule.bounds
        weight = trace.states[name, "weight"]
        unknown = weight == 0
        assert (unknown | ((weight >= low) & (weight <= high))).all()
        assert low == 0 or not (np.diff(unknown.astype(int), axis=1) < 0).any()


def test_the_random_networks_were_of_every_kind():
    assert COUNTS["equal"] >= 80, COUNTS
    for name, n in COUNTS.items():
        assert n >= 8, (name, COUNTS)
