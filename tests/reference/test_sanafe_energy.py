"""Energy and time against SANA-FE 2.2.9 with its bundled loihi.yaml.

Two networks that SANA-FE runs on one core, which its model of Loihi allows whatever the synapses take, so that every
spike is one message to the core itself and none makes a hop: the benchmark network (190.873 uJ for 1,000 steps), and
`two_kinds` of benchmarks/silicon_networks.py, with a convolution and a dense layer (4.0407806 uJ for 200 steps, its
convolution on `loihi_conv_synapse`). On our targets the synapses of the first need more than one core, so that a spike
has several messages; its messages are therefore priced as SANA-FE counts them, one a spike. The second is compiled,
simulated and priced like any program; each of its populations has one core that listens, so that messages agree.
"""

from __future__ import annotations

import netgen
import pytest
import silicon

import hwsdk
from hwsdk.backends import loihi_cost
from hwsdk.cost import CostReport, price_counts, total
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.mappers.loihi import MapOptions, map_network
from hwsdk.simulators import loihi
from hwsdk.targets import load_target

STEPS = 1000
ENERGY_J, SPIKES, EVENTS = 190.873e-6, 32_672, 3_110_855
"""As printed by SANA-FE; its packets_sent equals its spikes."""


@pytest.fixture(scope="module")
def trace() -> Trace:
    program = map_network(netgen.network(netgen.make(1024, 100)), load_target("loihi2"), MapOptions())
    return loihi.run(program, Stimulus.silent(STEPS))


def test_the_events_are_those_of_sanafe(trace: Trace) -> None:
    assert trace.counts["spikes"].sum() == SPIKES
    assert trace.counts["synaptic_operations"].sum() == EVENTS
    assert trace.counts["neuron_updates"].sum() == 1024 * STEPS


def test_the_energy_is_that_of_sanafe(trace: Trace) -> None:
    counts = {name: float(trace.counts[name].sum()) for name in ("neuron_updates", "spikes")}
    one_core = {**counts, "messages": counts["spikes"], "private_synaptic_operations": float(EVENTS)}
    energy = total(price_counts(one_core, load_target("loihi1")))
    assert not energy.is_lower_bound
    assert energy.value == pytest.approx(ENERGY_J, abs=0.0005e-6)


def test_several_cores_only_add_messages(trace: Trace) -> None:
    """The same run priced as mapped differs by the extra messages and the hops, and by nothing else."""
    network = ("messages", "hops_ew", "hops_ns")
    prices = {p.per: p.quantity().value for p in load_target("loihi1").energy if p.per in network}
    counts = {name: float(column.sum()) for name, column in trace.counts.items()}
    counts["private_synaptic_operations"] = counts["synaptic_operations"]
    mapped = total(price_counts(counts, load_target("loihi1"))).value
    extra = (counts["messages"] - counts["spikes"]) * prices["messages"] + counts["hops_ew"] * prices["hops_ew"] \
        + counts["hops_ns"] * prices["hops_ns"]
    assert counts["messages"] > counts["spikes"]
    assert mapped == pytest.approx(ENERGY_J + extra, abs=0.0005e-6)


TWO_KINDS_J, TWO_KINDS_S, TWO_KINDS_STEPS = 4.0407806e-6, 0.5954362e-3, 200
"""energy.total and sim_time (detailed timing) as printed by SANA-FE, which counts 20,960 events, 1,502 spikes, 1,462
packets and 43,600 updated neurons."""


@pytest.fixture(scope="module")
def two_kinds() -> tuple[CostReport, tuple[float, float, bool]]:
    rebuilt = silicon.silicon_networks.two_kinds(TWO_KINDS_STEPS)
    program = hwsdk.compile(rebuilt.network, "loihi1", packing="dense")
    trace = hwsdk.simulate(program, rebuilt.stimulus)
    return hwsdk.estimate(program, trace), loihi_cost.synaptic_operations(program, trace)


def test_a_mapped_convolution_has_the_energy_of_sanafe(two_kinds) -> None:
    found, _ = two_kinds
    counts = {i.per: i.count for i in found.items}
    assert (counts["spikes"], counts["messages"], counts["neuron_updates"]) == (1502, 1462, 43_600)
    assert found.energy_dynamic.value == pytest.approx(TWO_KINDS_J, rel=1e-8)


def test_events_through_the_kernel_are_told_from_those_of_the_dense_layer(two_kinds) -> None:
    """846 spikes enter the dense layer of 10; SANA-FE prices 20,960 events in all."""
    assert two_kinds[1] == (846 * 10, 20_960 - 8460, False)


def test_the_neuron_phase_and_barrier_of_one_core_take_the_time_of_sanafe(two_kinds) -> None:
    """Its synapse phase is the shorter one in every step; packets out are counted there as messages here."""
    target = load_target("loihi1")
    t, counts = target.timing, {i.per: i.count for i in two_kinds[0].items}
    barrier = next(b.value for b in target.barriers if (b.tiles, b.chips) == (1, 1))
    time = counts["neuron_updates"] * t.neuron_update.value + counts["spikes"] * t.spike.value \
        + counts["messages"] * t.message_out.value + TWO_KINDS_STEPS * barrier
    assert time == pytest.approx(TWO_KINDS_S, rel=1e-8)
