"""The benchmark network: spike for spike what Lava, nengo-loihi, SANA-FE and Brian2 give for it.

Those tools were run on the network with the digest below; each gives 6,471 spikes in its first 200 steps and 32,672
spikes with 3,110,855 synaptic events in 1,000. Here our own simulator is also compared with plain NumPy cell by cell.
"""

from __future__ import annotations

import netgen
import numpy as np
import pytest

from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.mappers.loihi import MapOptions, map_network
from hwsdk.simulators import loihi, reference
from hwsdk.targets import load_target

STEPS = 200


@pytest.fixture(scope="module")
def edges():
    return netgen.make(1024, 100)


@pytest.fixture(scope="module", params=["loihi1", "loihi2"])
def trace(request: pytest.FixtureRequest, edges) -> Trace:
    program = map_network(netgen.network(edges), load_target(request.param), MapOptions())
    return loihi.run(program, Stimulus.silent(STEPS))


def test_it_is_the_published_network(edges) -> None:
    assert edges.digest() == "b81d935d58e8"
    assert len(edges.post) == 97_520


def test_every_tool_counts_these_spikes(trace: Trace) -> None:
    assert trace.n_spikes() == 6_471
    assert trace.counts["spikes"].sum() == 6_471


def test_every_spike_is_where_numpy_has_it(edges, trace: Trace) -> None:
    raster = netgen.reference(edges, STEPS)
    spikes = trace.spikes["lif"]
    assert [spikes.index[spikes.step == t].tolist() for t in range(STEPS)] == [fired.tolist() for fired in raster]


def test_events_are_the_fan_out_of_the_spikes(edges, trace: Trace) -> None:
    fan_out = np.bincount(edges.pre, minlength=edges.n)
    assert trace.counts["synaptic_operations"].sum() == fan_out[trace.spikes["lif"].index].sum()


def test_the_reference_simulator_agrees(edges, trace: Trace) -> None:
    expected = reference.run(netgen.network(edges), Stimulus.silent(50))
    assert expected.spikes["lif"].index.tolist() == trace.spikes["lif"].index[trace.spikes["lif"].step < 50].tolist()
