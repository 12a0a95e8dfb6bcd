"""Energy against SANA-FE 2.2.9 with its bundled loihi.yaml: 190.873 uJ for 1,000 steps of the benchmark network.

SANA-FE puts the 1,024 neurons on one core, which its model of Loihi allows whatever the synapses take. Then every spike
is one message to the core itself, and none makes a hop. On our targets the synapses need more than one core, so that a
spike has several messages; messages are therefore priced here as SANA-FE counts them, one a spike. All other counts
are those of our own run, and the prices are the ones of loihi1.
"""

from __future__ import annotations

import netgen
import pytest

from hwsdk.cost import price_counts, total
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
    counts = {name: float(trace.counts[name].sum()) for name in ("neuron_updates", "spikes", "synaptic_operations")}
    one_core = {**counts, "messages": counts["spikes"], "hops_ew": 0.0, "hops_ns": 0.0}
    energy = total(price_counts(one_core, load_target("loihi1")))
    assert not energy.is_lower_bound
    assert energy.value == pytest.approx(ENERGY_J, abs=0.0005e-6)


def test_several_cores_only_add_messages(trace: Trace) -> None:
    """The same run priced as mapped differs by the extra messages and the hops, and by nothing else."""
    network = ("messages", "hops_ew", "hops_ns")
    prices = {p.per: p.quantity().value for p in load_target("loihi1").energy if p.per in network}
    counts = {name: float(column.sum()) for name, column in trace.counts.items()}
    mapped = total(price_counts(counts, load_target("loihi1"))).value
    extra = (counts["messages"] - counts["spikes"]) * prices["messages"] + counts["hops_ew"] * prices["hops_ew"] \
        + counts["hops_ns"] * prices["hops_ns"]
    assert counts["messages"] > counts["spikes"]
    assert mapped == pytest.approx(ENERGY_J + extra, abs=0.0005e-6)
