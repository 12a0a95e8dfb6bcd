"""A SpiNNaker program made plainly, synapse by synapse: what the mapper does, with none of it. For small networks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from spinnaker_board import flow_of, program_of

from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import is_spiking
from hwsdk.ir.nodes import ConvSynapses, Input, Output, Synapses
from hwsdk.ir.plastic import PlasticSynapses, StoredPairSTDP, decay_table
from hwsdk.ir.recurrent import EGRU
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF, single
from hwsdk.mappers.objective import Search
from hwsdk.mappers.spinnaker_keys import allocate
from hwsdk.mappers.spinnaker_place import Die, Placed, place
from hwsdk.mappers.spinnaker_route import Routes, route
from hwsdk.programs.spinnaker import Learned, Sender, SpinnakerProgram
from hwsdk.programs.spinnaker_image import (
    EGRU_PORTS,
    NEURON_FIELDS,
    Block,
    Learner,
    PeMemory,
    PeSlice,
    floats,
)

FOUR = Die(((0, 0), (1, 0)), ((2, 0),), (), 2)
"""Four cores a chip."""
CHIPS = [(0, 0), (1, 0), (1, 1), (0, 1)]


@dataclass(frozen=True)
class Hand:
    """All parts of a program; ``replace`` them to damage it."""

    network: Network
    senders: tuple[Sender, ...]
    slices: list[tuple[int, np.ndarray]]
    memories: list[PeMemory]
    placed: Placed
    routes: Routes
    phases: int
    learned: list[list[int]]

    def program(self, **more: object) -> SpinnakerProgram:
        outputs = {n: tuple(e.source for e in self.network.sources(n)) for n in self.network.of(Output)}
        learned = tuple(Learned(n, len(x.source), int(x.rule.w_max))
                        for n, x in self.network.of(PlasticSynapses).items())
        made = program_of(self.senders, self.slices, self.memories, self.placed, self.routes,
                          **{"phases": self.phases, "outputs": outputs, "learned": learned, **more})
        if not learned:
            return made
        ptr = np.r_[0, np.cumsum([len(own) for own in self.learned])].astype(np.int64)
        return replace(made, arrays=replace(made.arrays, learned_ptr=ptr, learned_synapse=np.array(
            [k for own in self.learned for k in own], np.int32)))

    def memory(self, pe: int, **changes: object) -> Hand:
        """With another memory of one PE."""
        changed = list(self.memories)
        changed[pe] = replace(changed[pe], **changes)
        return replace(self, memories=changed)

    def block(self, pe: int, at: int, **changes: object) -> Hand:
        """With another block of one PE."""
        blocks = list(self.memories[pe].blocks)
        blocks[at] = replace(blocks[at], **changes)
        return self.memory(pe, blocks=tuple(blocks))

    def find(self, kind: str, least: int = 1) -> tuple[int, int, Block]:
        """(PE, number, block) of the first block of a kind that has so many words."""
        return next((pe, k, b) for pe, m in enumerate(self.memories) for k, b in enumerate(m.blocks)
                    if b.kind == kind and (kind == "conv" or len(b.words) >= least))


def by_hand(network: Network, layout: list[list[tuple[str, np.ndarray]]], kinds: dict[str, tuple[str, int]],
            phase: dict[str, int] | None = None, boxes: dict[str, tuple[int, ...]] | None = None) -> Hand:
    """A program.

    Args:
        layout: for each PE (sender, neurons) of its slices. kinds: projection -> kind of its words, delay of its
        entries. boxes: "sender k" -> (channel, channels, y, height, x, width) of its k-th slice.
    """
    phase, boxes = phase or {}, boxes or {}
    names = [*network.inputs, *network.populations]
    slices = [(names.index(n), index) for pe in layout for n, index in pe]
    home = [pe for pe, own in enumerate(layout) for _ in own]
    senders = tuple(_sender(network, n, phase.get(n, 0)) for n in names)
    keys, mask, box = _keys(names, slices, boxes)
    blocks = [[b for s in range(len(slices)) for b in _blocks(network, names, slices, s, pe, layout, home, kinds, box)]
              for pe in range(len(layout))]
    heard = [[pe for pe in range(len(layout)) if any(b.key == s for b in blocks[pe])] for s in range(len(slices))]
    flow = flow_of(home, heard)
    placed = place(len(layout), flow, FOUR, CHIPS, Search(effort="none"))
    memories, first = [], 0
    phases = 1 + max(phase.values(), default=0)
    for pe, own in enumerate(layout):
        parts = tuple(PeSlice(int(keys[first + k]), len(i), phase.get(n, 0), bool(heard[first + k]))
                      for k, (n, i) in enumerate(own))
        table = tuple(replace(b, key=int(keys[b.key]), mask=int(mask[b.key]), phase=senders[slices[b.key][0]].phase)
                      for b in blocks[pe])
        memories.append(_memory(network, [(n, i) for n, i in own], parts, table, phases))
        first += len(own)
    return Hand(network, senders, slices, memories, placed, route(placed, flow, keys, mask), phases,
                [_learned(network, names, slices, own) for own in layout])


def _sender(network: Network, name: str, phase: int) -> Sender:
    if name in network.inputs:
        return Sender(name, network.shapes[name])
    cell = network.populations[name]
    return Sender(name, cell.shape, "egru" if isinstance(cell, EGRU) else "lif", is_spiking(cell),
                  network.lag.get(name, 0), phase)


def _keys(names, slices, boxes):
    """(key, mask, box) of each slice."""
    own = [[s for s, (k, _) in enumerate(slices) if k == number] for number in range(len(names))]
    found = allocate([np.array([len(slices[s][1]) for s in group], np.int64) for group in own])
    key, mask, box = np.zeros(len(slices), np.int64), np.zeros(len(slices), np.int64), {}
    for number, group in enumerate(own):
        for k, s in enumerate(group):
            at = found.slice_ptr[number] + k
            key[s], mask[s], box[s] = found.key[at], found.mask[at], boxes.get(f"{names[number]} {k}")
    return key, mask, box


def _blocks(network, names, slices, s, pe, layout, home, kinds, box):
    """What slice s does to a PE; block.key is the number of the slice."""
    source, index = names[slices[s][0]], slices[s][1]
    local, first = {}, 0
    for t, (n, i) in enumerate(layout[pe]):
        local.update({(n, int(x)): first + k for k, x in enumerate(i)})
        yield_at = sum(len(p) for p in layout[:pe]) + t
        for edge in network.targets(source):
            node = network.nodes[edge.target]
            if isinstance(node, ConvSynapses) and any(e.target == n for e in network.targets(edge.target)):
                block = _conv(node, s, box[s], box[yield_at], first, kinds[edge.target][1])
                if block:
                    yield block
        first += len(i)
    for edge in network.targets(source):
        node = network.nodes[edge.target]
        target = next((e.target for e in network.targets(edge.target) if e.target in network.populations), None)
        if isinstance(node, Synapses | PlasticSynapses):
            block = _explicit(network, node, s, source, target, index, local, first, *kinds[edge.target])
            if len(block.words):
                rules = _rules(network, layout[pe])
                yield replace(block, learner=rules.index(node.rule)) if block.kind == "plastic" else block


def _explicit(network, node, s, source, target, index, local, n_pe, kind, base):
    """Rows of words."""
    rows, words, to = [0], [], []
    n = network.populations[target].n
    ports = ("z_recurrent", "r_recurrent", "x", "h") if source == target else ("z_outside", "r_outside", "x", "h")
    for x in index:
        for e in np.flatnonzero(node.source == x):
            t, w, d = int(node.target[e]), node.weight[e], int(node.delay_ticks[e]) - base
            if (target, t % n) not in local:
                continue
            cell = local[target, t % n]
            if kind == "csr":
                words.append(w)
                to.append(EGRU_PORTS.index(ports[t // n]) * n_pe + cell)
            else:
                words.append(word(kind, cell, int(w), d))
        rows.append(len(words))
    dtype = {"csr": np.float32, "narrow": np.uint16, "byte": np.uint16}.get(kind, np.uint32)
    return Block(s, 0, kind, 0, base, np.array(rows, np.int64), np.array(words, dtype), np.array(to, np.uint32))


def word(kind: str, target: int, weight: int, late: int) -> int:
    """A word, from the lowest bit on."""
    if kind == "narrow":
        return target | abs(weight) << 8 | (weight < 0) << 12 | late << 13
    if kind == "byte":
        assert late == 0
        return target | (weight & 0xFF) << 8
    return target | late << 10 | (weight & 0xFFFF) << 16


def _conv(node, s, source, target, first, delay):
    """A convolution record, if the boxes meet at all."""
    c_out, group_in, ky, kx = node.weight.shape
    kernel = node.weight[target[0] : target[0] + target[1]]
    kernel = kernel.astype(np.int8 if np.abs(node.weight).max() < 128 else np.int16)
    shape = dict(zip(("in_channel", "in_channels", "in_y", "in_height", "in_x", "in_width"), source, strict=True))
    shape |= dict(zip(("out_channel", "out_channels", "out_y", "out_height", "out_x", "out_width"), target,
                      strict=True))
    shape |= {"first": first, "kernel_y": ky, "kernel_x": kx, "stride_y": node.stride[0], "stride_x": node.stride[1],
              "pad_y": node.padding[0][0], "pad_x": node.padding[1][0], "dilation_y": node.dilation[0],
              "dilation_x": node.dilation[1], "group_in": group_in, "group_out": c_out // node.groups,
              "weight_bytes": kernel.itemsize}
    return Block(s, 0, "conv", 0, delay, shape=shape, kernel=kernel)


def _learned(network, names, slices, own) -> list[int]:
    """The synapses of the words that learn on a PE, counted through all projections."""
    held, found = {(n, int(x)) for n, index in own for x in index}, []
    learn = network.of(PlasticSynapses)
    first = dict(zip(learn, np.cumsum([0, *(len(x.source) for x in learn.values())]), strict=False))
    for k, index in slices:
        for edge in network.targets(names[k]):
            if edge.target in learn:
                node = network.nodes[edge.target]
                target = next(e.target for e in network.targets(edge.target) if e.target in network.populations)
                found += [int(first[edge.target] + e) for x in index for e in np.flatnonzero(node.source == x)
                          if (target, int(node.target[e])) in held]
    return found


def _rules(network: Network, own) -> list[StoredPairSTDP]:
    found = []
    for name, node in network.of(PlasticSynapses).items():
        if {e.target for e in network.targets(name)} & {n for n, _ in own}:
            found.append(node.rule)
    return list(dict.fromkeys(found))


def _memory(network, own, parts, table, phases) -> PeMemory:
    if own[0][0] in network.inputs:
        return PeMemory("spike_list", "source", parts, phases=phases)
    cells = [network.populations[n] for n, _ in own]
    model = "egru" if isinstance(cells[0], EGRU) else "lif_curr" if any(c.decay_u.any() for c in cells) else "lif"
    columns = []
    for field in NEURON_FIELDS[model]:
        columns.append(np.concatenate([_field(c, field)[i] for c, (_, i) in zip(cells, own, strict=True)]))
    rules = _rules(network, own)
    learners = tuple(Learner(r.a_plus, r.a_minus, r.w_min, r.w_max, decay_table(r.tau_plus), decay_table(r.tau_minus))
                     for r in rules)
    application = {"egru": "egru_csr", "lif": "lif", "lif_curr": "lif_curr_exp"}[model]
    return PeMemory(application, model, parts, table, learners,
                    np.stack(columns, axis=1), 8, phases, 0, max((r.history for r in rules), default=0))


def _field(cell, field: str) -> np.ndarray:
    if field == "control":
        rest = np.zeros(cell.n, np.int64) if cell.refractory is None else cell.refractory.ravel()
        flags = (cell.reset == "subtract") << 24 | (cell.comparison == ">=") << 25 | cell.fires << 26
        return (rest | flags).astype(np.uint32)
    if field == "h":
        return np.zeros(cell.n, np.uint32)
    return floats(getattr(cell, {"u": "u_init", "v": "v_init"}.get(field, field)).ravel())


def lif(*shape: int, seed: int = 0, current: bool = True, **more: object) -> SingleLIF:
    rng = np.random.default_rng(seed)
    values = [single(rng.random(shape)) for _ in range(7)]
    values[0] = values[0] if current else np.zeros(shape)
    return SingleLIF(*values, np.ones(shape), np.zeros(shape), **more)  # type: ignore[arg-type]


def sparse(pre, post, k: int, most: int, delays: tuple[int, int], seed: int, repeat: int = 0) -> Synapses:
    """k synapses in random order, ``repeat`` of them a second time with another weight; weights are not 0."""
    rng = np.random.default_rng(seed)
    n, m = int(np.prod(pre)), int(np.prod(post))
    pair = rng.permutation(n * m)[:k]
    pair = np.r_[pair, pair[:repeat]]
    weight = rng.integers(1, most + 1, len(pair)) * rng.choice([-1, 1], len(pair))
    return Synapses(pre, post, pair // m, pair % m, weight, rng.integers(delays[0], delays[1] + 1, len(pair)))


def everything() -> Hand:
    """A network of all kinds of words on 7 PEs of 2 chips; slices of ``b`` take their neurons from all over."""
    rng = np.random.default_rng(5)
    conv = ConvSynapses((4, 4, 4), (4, 3, 2), (4, 3, 2), rng.integers(1, 100, (4, 2, 3, 2)), (1, 2), ((1, 0), (0, 0)),
                        (1, 1), 2, 2)
    pairs = rng.permutation(100)[:40]
    learns = PlasticSynapses((10,), (10,), pairs // 10, pairs % 10, rng.integers(0, 20, 40).astype(float),
                             rng.integers(1, 4, 40), StoredPairSTDP(3.0, 4.0, 2.0, 1.5, 0.0, 20.0, 5))
    nodes = {"in": Input((4, 4, 4)), "more": Input((5,)), "a": lif(4, 3, 2, current=False, seed=1),
             "b": lif(10, seed=2, refractory=np.arange(10), reset="subtract"),
             "c": lif(6, seed=3, current=False, fires=False, comparison=">="), "conv": conv, "learns": learns,
             "ab": sparse((4, 3, 2), (10,), 70, 15, (2, 5), 6, repeat=9),
             "ab2": sparse((4, 3, 2), (10,), 30, 9, (1, 1), 7),
             "mb": sparse((5,), (10,), 20, 127, (3, 3), 8), "bc": sparse((10,), (6,), 45, 30_000, (1, 8), 9),
             "out": Output((6,))}
    edges = [("in", "conv"), ("conv", "a"), ("a", "ab"), ("ab", "b"), ("a", "ab2"), ("ab2", "b"), ("more", "mb"),
             ("mb", "b"), ("b", "learns"), ("learns", "b"), ("b", "bc"), ("bc", "c"), ("c", "out")]
    network = Network("all", nodes, tuple(Edge(*e) for e in edges), Semantics())
    grid_in, grid_a, mixed = np.arange(64).reshape(4, 4, 4), np.arange(24).reshape(4, 3, 2), rng.permutation(10)
    layout = [[("in", grid_in[:2].ravel()), ("in", grid_in[2:].ravel())], [("more", np.arange(5))],
              [("a", grid_a[:3].ravel())], [("a", grid_a[3:].ravel())], [("b", mixed[:3]), ("b", mixed[3:7])],
              [("b", mixed[7:])], [("c", np.arange(6))]]
    boxes = {"in 0": (0, 2, 0, 4, 0, 4), "in 1": (2, 2, 0, 4, 0, 4), "a 0": (0, 3, 0, 3, 0, 2),
             "a 1": (3, 1, 0, 3, 0, 2)}
    kinds = {"conv": ("conv", 2), "ab": ("narrow", 2), "ab2": ("byte", 1), "mb": ("byte", 3), "bc": ("wide", 1),
             "learns": ("plastic", 1)}
    return by_hand(network, layout, kinds, boxes=boxes)


def gated() -> Hand:
    """Two layers of EGRUs on three PEs, one of which holds parts of both."""
    rng = np.random.default_rng(3)

    def unit(n: int) -> EGRU:
        return EGRU(*(single(rng.random(n)) for _ in range(5)))

    def port(pre: int, n: int, k: int, delay: int) -> Synapses:
        pairs = rng.permutation(pre * 4 * n)[:k]
        return Synapses((pre,), (4, n), pairs // (4 * n), pairs % (4 * n), rng.standard_normal(k),
                        np.full(k, delay))

    nodes = {"in": Input((3,)), "g": unit(4), "k": unit(3), "ig": port(3, 4, 30, 1), "gg": port(4, 4, 40, 1),
             "gk": port(4, 3, 25, 2), "out": Output((3,))}
    edges = [("in", "ig"), ("ig", "g"), ("g", "gg"), ("gg", "g"), ("g", "gk"), ("gk", "k"), ("k", "out")]
    network = Network("gated", nodes, tuple(Edge(*e) for e in edges), Semantics(precision="float32"))
    layout = [[("in", np.arange(3))], [("g", np.array([2, 0]))], [("g", np.array([1, 3])), ("k", np.array([1]))],
              [("k", np.array([2, 0]))]]
    return by_hand(network, layout, {"ig": ("csr", 1), "gg": ("csr", 1), "gk": ("csr", 2)})


def phased() -> Hand:
    """Three phases: in (0) -> a (1) -> b (2) without a delay, b -> a a step later."""
    nodes = {"in": Input((4,)), "a": lif(5), "b": lif(5, seed=1), "ia": sparse((4,), (5,), 12, 9, (0, 0), 1),
             "ab": sparse((5,), (5,), 14, 9, (0, 3), 2), "ba": sparse((5,), (5,), 14, 9, (1, 1), 3)}
    edges = [("in", "ia"), ("ia", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a")]
    network = Network("phased", nodes, tuple(Edge(*e) for e in edges), Semantics())
    layout = [[("in", np.arange(4))], [("a", np.arange(5)), ("b", np.arange(2))], [("b", np.arange(2, 5))]]
    return by_hand(network, layout, {"ia": ("byte", 0), "ab": ("narrow", 0), "ba": ("byte", 1)}, {"a": 1, "b": 2})
