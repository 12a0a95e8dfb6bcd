"""Rows of convolution kernels: stored once for each core, of the length that Intel's compiler prints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from test_mapping_check import LOIHI2, cells, conv

from hwsdk.ir.mapping import Slice
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import Input, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers import loihi_emit as emit
from hwsdk.mappers.loihi import MapOptions, legality, map_network, recount
from hwsdk.mappers.loihi_layout import layout
from hwsdk.mappers.loihi_rows import wire
from hwsdk.mappers.place import slots


def chain(*convolutions) -> Network:
    nodes, edges, at = {"in": Input(convolutions[0].pre_shape)}, [], "in"
    for k, c in enumerate(convolutions):
        nodes |= {f"w{k}": c, f"p{k}": cells(*c.post_shape)}
        edges += [Edge(at, f"w{k}"), Edge(f"w{k}", f"p{k}")]
        at = f"p{k}"
    nodes["out"] = Output(nodes[at].shape)
    return Network("chain", nodes, (*edges, Edge(at, "out")), Semantics())


@pytest.mark.parametrize(("c_in", "c_out", "kernel", "bits"), [(3, 24, 3, 8), (24, 36, 3, 5), (5, 64, 2, 4)])
def test_words_are_those_of_intel(c_in, c_out, kernel, bits):
    """C_in kh kw ceil((C_out b + 10) / 64) on every core, whatever the number of positions."""
    c = conv((c_in, 14, 12), c_out, kernel)
    c = dataclasses.replace(c, weight_bits=bits, weight=np.full_like(c.weight, 1 << 9 - bits))
    program = map_network(chain(c), LOIHI2, MapOptions())
    words = c_in * kernel**2 * -(-(c_out * bits + 10) // 64)
    assert all(u["synapse_words"] == words for u in program.usage)
    assert (recount(program, LOIHI2)["synapse_words"] == words).all()
    assert program.arrays.row_shared.all()
    assert len(program.arrays.target) == program.n_cores * c_in * kernel**2 * c_out


def test_channel_slices_hold_their_share_of_the_kernel():
    c = conv((4, 6, 6), 16, 3, padding=1)
    net = chain(c)
    part = np.arange(16 * 36).reshape(16, 36)
    cores = tuple((Slice("p0", np.sort(p.ravel())),) for p in (part[:10, :20], part[:10, 20:], part[10:]))
    where = layout(net, cores)
    rows = wire(net, where)
    lengths = np.diff(rows.ptr)
    assert set(lengths[rows.core < 2]) == {10} and set(lengths[rows.core == 2]) == {6}
    assert np.bincount(rows.core).tolist() == [36, 36, 36]
    assert (np.diff(rows.target.reshape(-1, 2), axis=1) == 1).all()


def test_rows_that_meet_only_padding_are_not_stored():
    """On the first row of outputs the upper row of a padded kernel meets nothing."""
    net = chain(conv((1, 4, 4), 2, 3, padding=1))
    cores = ((Slice("p0", np.array([0, 1, 2, 3, 16, 17, 18, 19])),), (Slice("p0", np.r_[4:16, 20:32]),))
    rows = wire(net, layout(net, cores))
    assert np.bincount(rows.core).tolist() == [6, 9]


def test_weights_of_zero_are_stored_in_a_row_but_rows_of_zeros_are_not():
    c = conv((1, 5, 5), 3, 2)
    weight = c.weight.copy()
    weight[1], weight[:, :, 0, 0] = 0, 0
    program = map_network(chain(dataclasses.replace(c, weight=weight)), LOIHI2, MapOptions())
    assert np.diff(program.arrays.row_ptr).tolist() == [3, 3, 3]


def test_more_words_than_stated_are_illegal():
    program = map_network(chain(conv((2, 6, 6), 8, 3)), LOIHI2, MapOptions())
    assert legality(program, LOIHI2) == ()
    less = tuple({**u, "synapse_words": u["synapse_words"] - 1} for u in program.usage)
    found = legality(dataclasses.replace(program, usage=less), LOIHI2)
    assert [v.rule for v in found] == ["synapse_words as stated"]


def test_axons_are_the_receptive_field():
    """A core hears exactly the inputs that reach it; each has one axon with one segment for each output position."""
    net = chain(conv((2, 8, 8), 4, 3))
    index = np.arange(4 * 36).reshape(4, 6, 6)
    cores = ((Slice("p0", index[:, :2].ravel()),), (Slice("p0", index[:, 2:].ravel()),))
    where = layout(net, cores)
    rows = wire(net, where)
    heard = emit.axons(rows)
    assert np.bincount(heard.core).tolist() == [2 * 4 * 8, 2 * 6 * 8]
    assert len(rows.segment_row) == 2 * 36 * 9


def test_slots_of_chips_stand_side_by_side():
    grid = slots(LOIHI2, 2)
    assert grid.usable.sum() == 240 and grid.place[:, 2].max() == 1
    assert (grid.place[:, 0] // 8 == grid.place[:, 2]).all()
