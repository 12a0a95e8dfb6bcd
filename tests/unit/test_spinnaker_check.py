"""The check of a SpiNNaker program finds every way in which it can differ from its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spinnaker_by_hand import Hand, by_hand, everything, gated, lif, phased, sparse

from hwsdk.errors import InternalError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.spinnaker_check import check
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.programs.spinnaker_image import HEADER_FIELDS, Learner


@pytest.fixture(scope="module")
def hand() -> Hand:
    return everything()


def refused(hand: Hand, match: str, network: Network | None = None) -> None:
    with pytest.raises(InternalError, match=match):
        check(network or hand.network, hand.program())


def with_arrays(program: SpinnakerProgram, **arrays: np.ndarray) -> SpinnakerProgram:
    return replace(program, arrays=replace(program.arrays, **arrays))


def put(column: np.ndarray, at: int, value: int) -> np.ndarray:
    out = column.copy()
    out[at] = value
    return out


def changed(b, at: int, value: Callable[[int], int]) -> dict:
    """A block's words with another one."""
    return {"words": put(b.words, at, value(int(b.words[at])))}


@pytest.mark.parametrize("make", [everything, gated, phased])
def test_a_program_that_is_right_passes(make) -> None:
    hand = make()
    kinds = {b.kind for m in hand.memories for b in m.blocks}
    assert kinds == {everything: {"narrow", "byte", "wide", "plastic", "conv"}, gated: {"csr"},
                     phased: {"narrow", "byte"}}[make]
    check(hand.network, hand.program())


PAIR = r"connection \w+\[\d+\] -> \w+\[\d+\] "
WORDS = [("narrow", 1 << 8), ("narrow", 1 << 12), ("narrow", 1 << 13), ("narrow", 1), ("byte", 1 << 9),
         ("byte", 1 << 15), ("byte", 1), ("wide", 1 << 17), ("wide", 1 << 31), ("wide", 1 << 10), ("wide", 1),
         ("plastic", 1 << 18), ("plastic", 1 << 10), ("plastic", 1)]


@pytest.mark.parametrize(("kind", "bit"), WORDS)
def test_every_part_of_a_word_is_held_against_the_network(hand, kind: str, bit: int) -> None:
    """Weight, sign, delay and target."""
    pe, k, b = hand.find(kind)
    refused(hand.block(pe, k, **changed(b, 0, lambda w: w ^ bit)), PAIR + r"(lacks|has|should be weight)")


def test_the_message_names_weight_delay_and_learner(hand) -> None:
    pe, k, b = hand.find("plastic")
    weight = int(b.words[0]) >> 16
    late = 1 + (int(b.words[0]) >> 10 & 7)
    refused(hand.block(pe, k, **changed(b, 0, lambda w: w + (1 << 16))),
            rf"connection b\[\d+\] -> b\[\d+\] should be weight {weight}, {late} steps, learner 1, is weight "
            rf"{weight + 1}, {late} steps, learner 1")


@pytest.mark.parametrize("kind", ["byte", "narrow", "wide", "conv"])
def test_the_delay_of_an_entry_counts(hand, kind: str) -> None:
    pe, k, b = hand.find(kind)
    refused(hand.block(pe, k, delay=b.delay + 1).memory(pe, slots=16).block(pe, k, delay=b.delay + 1), PAIR)


def test_a_lost_word_and_a_word_too_many_are_found(hand) -> None:
    for kind in ("narrow", "byte", "wide", "plastic"):
        pe, k, b = hand.find(kind, 3)
        rows = np.minimum(b.rows, len(b.words) - 1)
        refused(hand.block(pe, k, rows=rows, words=b.words[:-1]), PAIR + "lacks its synapse")
        more = np.r_[b.words, b.words[-1:]]
        refused(hand.block(pe, k, rows=np.r_[b.rows[:-1], len(more)], words=more), PAIR + "has a synapse too many")


def test_a_word_in_the_wrong_row_is_found(hand) -> None:
    pe, k, b = hand.find("wide", 3)
    rows = b.rows.copy()
    rows[int(np.argmax(rows > 0))] -= 1
    refused(hand.block(pe, k, rows=rows), PAIR)


def test_one_of_two_synapses_of_a_pair_is_missed(hand) -> None:
    """Nine pairs of ``ab`` have two; a third one of the same numbers as the first does not pass for the second."""
    node = hand.network.nodes["ab"]
    twice = np.flatnonzero((node.source == node.source[0]) & (node.target == node.target[0]))
    assert len(twice) == 2 and node.weight[twice[0]] != node.weight[twice[1]]
    weight = node.weight.copy()
    weight[twice[1]] = weight[twice[0]]
    ticks = node.delay_ticks.copy()
    ticks[twice[1]] = ticks[twice[0]]
    other = hand.network.replace(nodes={**hand.network.nodes, "ab": replace(node, weight=weight, delay_ticks=ticks)})
    refused(hand, rf"connection a\[{node.source[0]}\] -> b\[{node.target[0]}\] should be", other)


CONV = ["in_y", "in_x", "first", "out_channel", "out_y", "out_x", "stride_y", "pad_y", "pad_x", "dilation_y",
        "dilation_x", "group_out"]


@pytest.mark.parametrize("field", CONV)
def test_every_number_of_a_convolution_counts(hand, field: str) -> None:
    pe, k, b = hand.find("conv")
    refused(hand.block(pe, k, shape={**b.shape, field: b.shape[field] + 1}), PAIR + "|leads outside|synapse")


def test_a_kernel_weight_counts(hand) -> None:
    pe, k, b = hand.find("conv")
    kernel = b.kernel.copy()
    kernel[0, 0, 1, 0] += 1
    refused(hand.block(pe, k, kernel=kernel), r"connection in\[\d+\] -> a\[\d+\] should be weight \d+, 2 steps, is w")


def test_what_a_pe_would_read_outside_of_its_memory_is_found(hand) -> None:
    pe, k, b = hand.find("byte")
    refused(hand.block(pe, k, **changed(b, 0, lambda w: w | 255)), r"entry \d of PE \d \(byte\) leads outside")
    refused(hand.block(pe, k, rows=b.rows[:-2]), r"leads outside of the PE's memory")
    pe, k, b = hand.find("conv")
    refused(hand.block(pe, k, shape={**b.shape, "first": 500}), r"\(conv\) leads outside of the PE's memory")
    refused(hand.block(pe, k, shape={**b.shape, "stride_y": 0}), "a convolution of PE 2 has no kernel")


def test_rows_that_run_backwards_are_found(hand) -> None:
    pe, k, b = hand.find("narrow", 6)
    refused(hand.block(pe, k, rows=np.r_[b.rows[0], 5, 1, b.rows[3:]]), r"rows of entry \d of PE \d \(narrow\)")


def test_the_numbers_of_a_learner_count(hand) -> None:
    pe, k, _ = hand.find("plastic")
    x = hand.memories[pe].learners[0]
    table = x.plus.copy()
    table[2] = np.nextafter(table[2], np.float32(1))
    for learner in (replace(x, a_plus=2.5), replace(x, w_max=21.0), replace(x, plus=table),
                    replace(x, minus=x.minus[:-1])):
        refused(hand.memory(pe, learners=(learner,)), r"learner 1, is weight .* learner 2")
    refused(hand.memory(pe, history=6), r"learner 1, is weight .* learner 2")
    zero = Learner(0.0, 0.0, 0.0, 0.0, x.plus, x.minus)
    refused(hand.memory(pe, learners=(x, zero)).block(pe, k, learner=1), r"learner 1, is weight .* learner 2")
    refused(hand.block(pe, k, learner=3), r"PE \d has 1 learners, its table uses number 3")
    refused(hand.block(pe, k, kind="wide"), PAIR)


def test_weights_that_learn_from_0_are_synapses_too(hand) -> None:
    node = hand.network.nodes["learns"]
    assert (node.weight == 0).any()
    pe, k = next((pe, k) for pe, m in enumerate(hand.memories) for k, b in enumerate(m.blocks)
                 if b.kind == "plastic" and (b.words >> 16 == 0).any())
    b = hand.memories[pe].blocks[k]
    at = int(np.argmax(b.words >> 16 == 0))
    rows = b.rows - (b.rows > at)
    refused(hand.block(pe, k, rows=rows, words=np.delete(b.words, at)), r"lacks its synapse \(weight 0, \d steps")


@pytest.mark.parametrize("field", range(8))
def test_every_parameter_of_a_neuron_counts(hand, field: int) -> None:
    neurons = hand.memories[4].neurons.copy()
    neurons[1, field] ^= 1
    name = ("decay_u", "u", "decay_v", "bias", "v_threshold", "reset_by", "v", "control")[field]
    index = hand.slices[5][1][1]
    refused(hand.memory(4, neurons=neurons), rf"^{name} of b\[{index}\] should be [-\d.e]+, the program says [-\d.e]+$")


def test_a_current_that_decays_needs_a_pe_that_knows_it(hand) -> None:
    neurons = hand.memories[4].neurons[:, 2:]
    refused(hand.memory(4, model="lif", neurons=neurons), "b is run without a current that decays")
    refused(hand.memory(4, model="egru", neurons=neurons), "PE 4 runs b as 'egru', it is lif")


def test_slices_must_hold_every_neuron_once(hand) -> None:
    program = hand.program()
    neuron = program.arrays.neuron
    with pytest.raises(InternalError, match=r"^in\[0\] is placed 0 times"):
        check(hand.network, with_arrays(program, neuron=put(neuron, 0, 1)))
    with pytest.raises(InternalError, match=r"^b\[\d\] is placed [02] times"):
        check(hand.network, with_arrays(program, neuron=put(neuron, -7, neuron[-8])))
    a, b = int(program.arrays.neuron_ptr[5]), int(program.arrays.neuron_ptr[6])
    swapped = put(put(neuron, a, neuron[b]), b, neuron[a])
    with pytest.raises(InternalError, match=r" of b\[\d\] should be"):
        check(hand.network, with_arrays(program, neuron=swapped))
    with pytest.raises(InternalError, match="PE 4 has slices of"):
        check(hand.network, with_arrays(program, neuron_ptr=put(program.arrays.neuron_ptr, 6, b - 1)))
    with pytest.raises(InternalError, match="PE 3 shares its core with PE 2"):
        check(hand.network, with_arrays(program, pe_core=put(program.arrays.pe_core, 3, program.arrays.pe_core[2])))


def test_senders_must_be_those_of_the_network(hand) -> None:
    for k, change in ((2, {"lag": 1}), (2, {"fires": True}), (3, {"phase": 1}), (3, {"shape": (24,)}),
                      (3, {"model": "egru"})):
        senders = list(hand.senders)
        senders[k] = replace(senders[k], **change)
        refused(replace(hand, senders=tuple(senders)), f"the program's sender {hand.senders[k].name} is")
    other = (*hand.senders[:-1], replace(hand.senders[-1], name="x"))
    refused(replace(hand, senders=other), "the program's senders are")
    with pytest.raises(InternalError, match=r"the output out reads \['b'\], not \['c'\]"):
        check(hand.network, hand.program(outputs={"out": ("b",)}))


def test_keys_must_be_unique(hand) -> None:
    part = replace(hand.memories[1].slices[0], key=hand.memories[0].slices[1].key + 30)
    refused(hand.memory(1, slices=(part,)), "in and more both send with")


def test_packets_must_come_to_an_entry(hand) -> None:
    pe, k, b = hand.find("byte")
    refused(hand.block(pe, k, key=b.key ^ 1 << 20),
            r"packets of \w+ with keys from 0x\w+ on come to PE \d, where no entry matches them|never come")
    refused(hand.block(pe, k, mask=b.mask | 1), r"splits the slice of|leads outside")
    blocks = hand.memories[pe].blocks
    refused(hand.memory(pe, blocks=(*blocks, b)), PAIR + "has a synapse too many")
    refused(hand.memory(pe, blocks=(*blocks, replace(b, key=1 << 24))), "waits for keys from 0x1000000 on that never")
    refused(hand.memory(pe, blocks=blocks[:k] + blocks[k + 1 :]), PAIR + "lacks|come to PE")
    refused(hand.block(pe, k, phase=3), r"entry \d of PE \d \(byte\) takes \w+ for phase 3, it sends in phase 0")


def test_packets_that_find_no_word_are_found(hand) -> None:
    """An entry whose rows are all empty."""
    pe, k, b = next((pe, k, b) for pe, m in enumerate(hand.memories) for k, b in enumerate(m.blocks)
                    if sum(o.key == b.key for o in m.blocks) == 1 and b.kind == "byte")
    refused(hand.block(pe, k, rows=b.rows * 0, words=b.words[:0]), r"come to PE \d, which has no synapse for them")


def test_routes_must_lead_where_the_words_are(hand) -> None:
    routes, at = hand.routes, hand.placed.pe_core
    pes = routes.pes.copy()
    r = int(np.flatnonzero(pes[:, 0])[0])
    core = (int(pes[r, 0]) & -int(pes[r, 0])).bit_length() - 1
    pes[r, 0] ^= 1 << core
    refused(replace(hand, routes=replace(routes, pes=pes)), r"waits for keys from 0x\w+ on that never come")
    pes = routes.pes.copy()
    pes[r, 0] |= 1 << int(at[0])
    refused(replace(hand, routes=replace(routes, pes=pes)), r"packets of in .* come to PE 0, where no entry matches")


def test_slices_that_are_heard_must_send(hand) -> None:
    part = hand.memories[1].slices[0]
    refused(hand.memory(1, slices=(replace(part, sends=False),)), "a slice of more is heard, but its PE does not send")


def test_images_must_fit_and_say_what_they_need(hand) -> None:
    program = hand.program()
    with pytest.raises(InternalError, match=r"PE 4 needs \d+ bytes, it has 2000"):
        check(hand.network, replace(program, data_bytes=2000))
    words = program.arrays.image.view("<u4")
    at = int(program.arrays.image_ptr[4]) // 4 + HEADER_FIELDS.index("needed")
    with pytest.raises(InternalError, match=r"PE 4 says that it needs 64 bytes, it needs \d+"):
        check(hand.network, with_arrays(program, image=put(words, at, 64).view(np.uint8)))
    with pytest.raises(InternalError, match="the population table of PE 4 points to nothing"):
        at = int(program.arrays.image_ptr[4]) // 4
        at = at + int(words[at + HEADER_FIELDS.index("at_table")]) // 4 + 2
        check(hand.network, with_arrays(program, image=put(words, at, int(words[at]) | 0xFF000).view(np.uint8)))


def test_rings_must_hold_the_longest_delay(hand) -> None:
    pe, _, _ = hand.find("wide")
    refused(hand.memory(pe, slots=4), r"PE 6 has a ring of 4 slots, its delays need 8, a power of two")
    refused(hand.memory(pe, slots=12), r"PE 6 has a ring of 12 slots")


def test_phases_are_those_of_the_program() -> None:
    hand = phased()
    refused(hand.memory(1, phases=2), "PE 1 has 2 phases, the program 3")
    parts = hand.memories[1].slices
    refused(hand.memory(1, slices=(replace(parts[0], phase=0), parts[1])), "PE 1 runs a in phase 0, the program says 1")
    refused(hand.memory(2, slots=2), "PE 2 has a ring of 2 slots, its delays need 4")
    sooner = tuple(replace(s, phase=2) if s.name == "a" else s for s in hand.senders)
    refused(replace(hand.memory(1, slices=(replace(parts[0], phase=2), parts[1])), senders=sooner),
            r"takes a for phase 1, it sends in phase 2|b \(phase 2\) hears a \(phase 2\) in the same step")


@pytest.mark.parametrize("port", range(6))
def test_the_ports_of_gated_units_count(port: int) -> None:
    """Each word is moved to another accumulator of its unit; its weight changes in the last bit."""
    hand, pe = gated(), 1
    n = hand.memories[pe].n
    k, at = next((k, int(np.argmax(b.targets // n == port))) for k, b in enumerate(hand.memories[pe].blocks)
                 if (b.targets // n == port).any())
    b = hand.memories[pe].blocks[k]
    moved = put(b.targets, at, (int(b.targets[at]) + n) % (6 * n))
    refused(hand.block(pe, k, targets=moved), r"\w+\[\d\] -> g\[\d\], \w+ (lacks|has|should)")
    weight = b.words.copy()
    weight[at] = np.nextafter(weight[at], np.float32(9))
    refused(hand.block(pe, k, words=weight), r"-> g\[\d\], \w+ should be weight -?\d.*, is weight")
    refused(hand.block(pe, k, targets=put(b.targets, at, 6 * n)), "leads outside of the PE's memory")


def test_gated_units_start_from_0() -> None:
    hand = gated()
    neurons = hand.memories[1].neurons.copy()
    neurons[0, 0] = 0x3F800000
    refused(hand.memory(1, neurons=neurons), r"^h of g\[2\] should be 0.0, the program says 1.0")


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_convolutions_on_any_boxes_are_those_of_the_network(seed: int) -> None:
    """Random strides, paddings, dilations, groups and cuts; and the same written out as explicit words."""
    rng = np.random.default_rng(seed)
    groups, (ky, kx), (sy, sx), (dy, dx) = int(rng.integers(1, 3)), *(rng.integers(1, 4, 2).tolist() for _ in range(3))
    pad = tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (2, 2)))
    n_in, c_out = (2 * groups, int(rng.integers(7, 10)), int(rng.integers(7, 10))), groups * int(rng.integers(1, 4))
    spatial = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in
               zip(n_in[1:], pad, (dy, dx), (ky, kx), (sy, sx), strict=True)]
    shape = (c_out, *spatial)
    weight = rng.integers(-300 if seed % 2 else -9, 10, (c_out, 2, ky, kx))
    conv = ConvSynapses(n_in, shape, shape, weight, (sy, sx), pad, (dy, dx), groups, 3)
    edges = (Edge("in", "conv"), Edge("conv", "a"))
    network = Network("conv", {"in": Input(n_in), "conv": conv, "a": lif(*shape, current=False)}, edges, Semantics())
    layout: list = []
    boxes = {}
    for name, grid, at in (("in", n_in, int(rng.integers(1, n_in[1]))), ("a", shape, int(rng.integers(1, c_out + 1)))):
        own = np.arange(np.prod(grid)).reshape(grid)
        cuts = [own[:, :at], own[:, at:]] if name == "in" else [own[:at], own[at:]]
        tiles = [(0, grid[0], 0, at, 0, grid[2]), (0, grid[0], at, grid[1] - at, 0, grid[2])] if name == "in" else \
            [(0, at, 0, grid[1], 0, grid[2]), (at, c_out - at, 0, grid[1], 0, grid[2])]
        for k, (cut, tile) in enumerate(zip(cuts, tiles, strict=True)):
            if cut.size:
                boxes[f"{name} {k}"] = tile
                layout.append([(name, cut.ravel())])
    hand = by_hand(network, layout, {"conv": ("conv", 3)}, boxes=boxes)
    check(network, hand.program())
    flat = network.replace(nodes={**network.nodes, "conv": explicit(conv)})
    check(flat, hand.program())
    if not spatial[0] * c_out > 250:
        check(network, by_hand(flat, layout, {"conv": ("wide", 3)}).program())


def test_a_network_with_other_synapses_is_not_this_one(hand) -> None:
    node = hand.network.nodes["bc"]
    for change in ({"weight": put(node.weight, 3, 7)}, {"delay_ticks": put(node.delay_ticks, 3, 40)},
                   {"target": put(node.target, 3, (node.target[3] + 1) % 6)}):
        nodes = {**hand.network.nodes, "bc": replace(node, **change)}
        refused(hand, r"connection b\[\d+\] -> c\[\d+\]", hand.network.replace(nodes=nodes))
    late = {**hand.network.nodes, "bc": replace(node, delay_ticks=put(node.delay_ticks, 3, 300))}
    refused(hand, "delays of 1 to 300 steps from b to c", hand.network.replace(nodes=late))


def test_synapses_of_weight_0_need_no_word(hand) -> None:
    node = hand.network.nodes["bc"]
    rows = {f: np.r_[getattr(node, f), getattr(node, f)[:1]] for f in ("source", "target", "delay_ticks")}
    more = replace(node, weight=np.r_[node.weight, 0], **rows)
    check(hand.network.replace(nodes={**hand.network.nodes, "bc": more}), hand.program())
    assert len(sparse((3,), (3,), 4, 5, (1, 2), 0).weight) == 4
