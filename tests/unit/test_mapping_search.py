"""Partition and placement: cuts that keep receptive fields together, and a search that never makes it worse."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import sparse
from test_mapping_check import LOIHI2, cells, conv
from test_mapping_rows import chain

from hwsdk.errors import UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import Input, Output, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.cuts import band_order
from hwsdk.mappers.loihi import PACKINGS, MapOptions, map_network, rates_of
from hwsdk.mappers.objective import Search, Times
from hwsdk.mappers.pack import first_fit, merge
from hwsdk.mappers.partition import Partition, better, cut, demands, partition
from hwsdk.mappers.place import place
from hwsdk.mappers.regroup import bisected
from hwsdk.targets import load_target

LOIHI1 = load_target("loihi1")


def lif_chain(*convolutions) -> Network:
    """The same with LIF neurons, which loihi1 has."""
    net = chain(*convolutions)
    nodes = dict(net.nodes)
    for name, cell in net.populations.items():
        z = np.zeros(cell.shape, np.int64)
        nodes[name] = FixedLIF(z, z, z + 100, z, z, z, z, z, np.ones(cell.shape), np.zeros(cell.shape))
    return net.replace(nodes=nodes)


def ring(n: int, seed: int) -> sparse.csr_array:
    """Cores that talk to the next one of a ring, in shuffled order."""
    order = np.random.default_rng(seed).permutation(n)
    return sparse.csr_array((np.ones(n), (order, np.roll(order, 1))), shape=(n, n))


@pytest.mark.parametrize("n", [2, 40, 300])
def test_annealing_brings_talking_cores_together(n):
    start = place(ring(n, 0), LOIHI2, 4, Search(effort="none"))
    found = place(ring(n, 0), LOIHI2, 4, Search())
    assert found.cost <= start.cost
    assert n == 2 or found.cost < 0.3 * start.cost
    assert max(sum(q == p for q in found.places) for p in found.places) <= 4
    assert 1 + max(p.chip for p in found.places) == -(-n // 120)


def test_few_messages_cross_between_chips():
    """Two groups of 120 that talk among themselves only are cut between the chips."""
    rng = np.random.default_rng(0)
    group = np.arange(240) % 2
    flow = np.where(group[:, None] == group[None, :], rng.random((240, 240)) < 0.1, False).astype(float)
    found = place(sparse.csr_array(flow), LOIHI2, 2, Search(effort="normal"))
    chip = np.array([p.chip for p in found.places])
    assert (flow * (chip[:, None] != chip[None, :])).sum() < 0.05 * flow.sum()


def test_the_same_seed_gives_the_same_places():
    a, b, c = (place(ring(60, 1), LOIHI2, 1, Search(seed=s)).places for s in (3, 3, 4))
    assert a == b != c


def test_a_search_that_was_stopped_is_told_in_the_ledger():
    net = chain(conv((2, 40, 40), 24, 3), conv((24, 38, 38), 8, 3))
    program = map_network(net, LOIHI2, MapOptions(time_budget=1e-9))
    assert [e.code for e in program.ledger.entries if e.kind == "warning"] == ["SEARCH_CUT_SHORT"]
    assert not map_network(net, LOIHI2, MapOptions()).ledger.of("warning")


@pytest.mark.parametrize(("height", "width", "bands", "axis"), [(7, 5, 3, 0), (7, 5, 3, 1), (1, 9, 1, 0), (4, 4, 4, 1)])
def test_a_band_order_visits_every_position_once(height, width, bands, axis):
    assert sorted(band_order(height, width, bands, axis)) == list(range(height * width))


def test_convolutions_are_cut_into_squares_and_not_into_strips():
    """64 x 64 positions of 16 channels on 16 cores: blocks of 16 x 16 hear 18 x 18 inputs, strips 6 x 66."""
    net = chain(conv((1, 66, 66), 16, 3))
    cut = partition(net, demands(net, LOIHI2, rates_of(net, None)), LOIHI2)
    assert cut.parts == 17
    assert cut.messages < 1.15 * 16 * 18 * 18 < 0.97 * 16 * 6 * 66


def test_activity_moves_the_cuts():
    """Where all spikes fall on one corner, parts there are smaller, if the step is to be short."""
    net = lif_chain(conv((1, 34, 34), 16, 3))
    rate = np.zeros((34, 34))
    rate[:10, :10] = 1
    even, hot = (map_network(net, LOIHI1, MapOptions(step_time=3e-6, activity={"in": r, "p0": 0.01}))
                 for r in (rate.mean(), rate))
    assert np.ptp(np.diff(hot.arrays.neuron_ptr)) > np.ptp(np.diff(even.arrays.neuron_ptr))


def test_hidden_groups_of_a_sparse_layer_are_found():
    """Neurons of ten hidden groups, each fed by sources of its own, in shuffled order: regrouping saves messages."""
    rng = np.random.default_rng(0)
    group = rng.permutation(np.arange(3000) % 3)
    source = np.concatenate([rng.choice(1000, 20, replace=False) * 3 + g for g in group])
    target = np.repeat(np.arange(3000), 20)
    order = np.argsort(source, kind="stable")
    syn = Synapses((3000,), (3000,), source[order], target[order], np.full(60000, 2), np.ones(60000, np.int64))
    net = Network("g", {"in": Input((3000,)), "s": syn, "p": cells(3000), "out": Output((3000,))},
                  (Edge("in", "s"), Edge("s", "p"), Edge("p", "out")), Semantics())
    found = partition(net, demands(net, LOIHI2, rates_of(net, None)), LOIHI2, 1.2e-5)
    assert found.parts >= 3
    assert found.messages < 0.8 * 3000 * found.parts


def recurrent(n: int, groups: int, inside: float) -> Network:
    """A population with 20 targets a neuron, a share of them in its own group; the groups are shuffled."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, groups, n)
    weight = np.zeros((n, n), np.int64)
    for k in range(n):
        own = np.flatnonzero(group == group[k])
        weight[rng.choice(own, int(20 * inside)), k] = 2
        weight[rng.integers(0, n, 20 - int(20 * inside)), k] = 2
    b = NetworkBuilder("recurrent").population("p", neuron(FixedLIF, n, du=4095, dv=100, vth=100))
    return b.connect("p", "p", weight=weight).output("out", "p").build(Semantics())


def test_hidden_groups_of_a_recurrent_layer_are_found_on_many_parts():
    """Each source then reaches its own group and a few neurons elsewhere, not a dozen parts."""
    net = recurrent(1500, 24, 0.9)
    d, = demands(net, LOIHI2, rates_of(net, None))
    plain = cut(d, math.inf, 24)
    found = better(plain, math.inf)
    assert found.parts <= plain.parts == 24
    assert found.messages.sum() < 0.4 * plain.messages.sum()
    assert np.array_equal(found.part, better(plain, math.inf).part)
    assert len(np.unique(bisected(sparse.csr_array(np.zeros((5, 3))), np.ones(3), 3))) == 3


def test_a_step_time_holds_for_every_packing_and_its_miss_is_told():
    """Each neuron update takes 4 ns: cores of a program that says nothing must be done in time."""
    n = 700
    b = NetworkBuilder("dense").input("in", n).population("p", neuron(FixedLIF, n, du=4095, dv=100, vth=100))
    net = b.connect("in", "p", weight=np.full((n, n), 2)).output("out", "p").build(Semantics())
    times = Times.of(LOIHI2)
    for packing, bound in itertools.product(PACKINGS, (2e-6, 5e-6, 2e-5)):
        program = map_network(net, LOIHI2, MapOptions(packing=packing, step_time=bound))
        a = program.arrays
        entries = np.add.reduceat(np.diff(a.row_ptr), a.core_row_ptr[:-1])
        late = max(times.update * np.diff(a.neuron_ptr).max(), times.private * entries.max()) > bound * (1 + 1e-9)
        assert late == bool(program.ledger.of("warning")), (packing, bound)
        assert program.n_cores <= 120


def test_first_fit_keeps_the_time_too():
    net = recurrent(64, 4, 0.5)
    d, = demands(net, LOIHI2, rates_of(net, None))
    parts = Partition((cut(d, math.inf, 64),)).listed()
    one = max(p.seconds for p in parts)
    assert len(first_fit(parts, LOIHI2)) == 8  # eight groups of neurons a core
    timed = first_fit(parts, LOIHI2, 4 * one)
    assert len(timed) > 8 and max(sum(p.seconds for p in core) for core in timed) <= 4 * one
    merged = merge(net, parts, LOIHI2, rates_of(net, None)["p"], 4 * one)
    assert max(sum(p.seconds for p in core) for core in merged) <= 4 * one
    assert sorted(np.concatenate([p.slice.index for core in merged for p in core])) == list(range(64))


def test_an_activity_of_nobody_is_refused():
    net = chain(conv((1, 8, 8), 2, 3))
    with pytest.raises(UnsupportedError, match=r"^\[BAD_ACTIVITY\] an activity of typo, which .*\n  fix: use in, p0"):
        map_network(net, LOIHI2, MapOptions(activity={"typo": 0.1, "p0": 0.1}))


def test_spreading_shortens_the_step_and_a_step_time_is_kept():
    net = lif_chain(conv((1, 34, 34), 16, 3), conv((16, 32, 32), 16, 3))
    rates = rates_of(net, {"in": 0.05, "p0": 0.05, "p1": 0.05})
    few = partition(net, demands(net, LOIHI1, rates), LOIHI1)
    short = partition(net, demands(net, LOIHI1, rates), LOIHI1, few.seconds / 3)
    assert short.seconds <= few.seconds / 3 and short.parts > few.parts
    assert partition(net, demands(net, LOIHI1, rates), LOIHI1, few.seconds / 3, few.parts) is None
    assert partition(net, demands(net, LOIHI1, rates), LOIHI1, math.inf, few.parts) is not None
    wide = map_network(net, LOIHI1, MapOptions(packing="spread", activity={"in": 0.05, "p0": 0.05, "p1": 0.05}))
    assert few.parts < wide.n_cores <= 128


def test_a_step_time_that_cannot_be_kept_is_told():
    net = chain(conv((1, 8, 8), 2, 3))
    for packing in ("layer", "dense", "spread"):
        missed = map_network(net, LOIHI2, MapOptions(packing=packing, step_time=1e-12)).ledger.of("warning")
        assert [e.code for e in missed] == ["STEP_TIME_MISSED"]
        assert not map_network(net, LOIHI2, MapOptions(packing=packing, step_time=1e-3)).ledger.of("warning")


def test_dense_packing_takes_fewer_cores_and_no_more_messages():
    net = chain(conv((1, 20, 20), 8, 3), conv((8, 18, 18), 8, 3), conv((8, 16, 16), 8, 3))
    layer, dense = (map_network(net, LOIHI2, MapOptions(packing=p)) for p in ("layer", "dense"))
    assert dense.n_cores < layer.n_cores
    assert len(dense.arrays.out_core) <= len(layer.arrays.out_core)


def test_an_activity_that_does_not_suit_is_refused():
    net = chain(conv((1, 8, 8), 2, 3))
    for wrong in (np.ones(3), np.nan, -1.0):
        with pytest.raises(UnsupportedError, match=r"^\[BAD_ACTIVITY\]"):
            map_network(net, LOIHI2, MapOptions(activity={"in": wrong}))


def test_a_recurrent_population_is_cut_for_its_outgoing_axons_too():
    """10,000 neurons with 100 random targets each fit one loihi2: the search for fewer messages must not undo that."""
    n, rng = 10_000, np.random.default_rng(0)
    source, z = np.repeat(np.arange(n), 100), np.zeros(n, np.int64)
    target = rng.integers(0, n, len(source))
    cell = FixedLIF(z, z, z + 100, z, z, z, z, z, np.ones(n), np.zeros(n))
    loop = Synapses((n,), (n,), source, target, rng.integers(1, 100, len(source)), np.ones(len(source), np.int64),
                    sign_mode="excitatory")
    network = Network("recurrent", {"p": cell, "w": loop, "out": Output((n,))},
                      (Edge("p", "w"), Edge("w", "p"), Edge("p", "out")), Semantics())
    program = map_network(network, LOIHI2, MapOptions())
    assert program.n_cores <= 97
    assert len(program.arrays.out_core) < 626_000
