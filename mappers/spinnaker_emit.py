"""Emission for SpiNNaker 2: cuts and keys become the memory of every PE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.nodes import ConvSynapses
from hwsdk.ir.plastic import StoredPairSTDP, decay_table
from hwsdk.mappers.phases import Phases
from hwsdk.mappers.spinnaker_kernels import fill_rows, stable_order
from hwsdk.mappers.spinnaker_load import model_of, rules_of, slots_of
from hwsdk.mappers.spinnaker_records import records
from hwsdk.mappers.spinnaker_tiles import kernel_bytes, meets
from hwsdk.mappers.spinnaker_wires import Cut, Wire, Wiring
from hwsdk.programs.spinnaker_image import CONV_FIELDS, EGRU_PORTS, Block, Learner, PeMemory, PeSlice

IntArray = NDArray[np.int64]
SliceId = tuple[str, int]
"""(sender, number of one of its slices)."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Which slices lie on each PE. home: slice -> (PE, its first neuron there)."""

    wiring: Wiring
    cuts: Mapping[str, Cut]
    pes: tuple[tuple[SliceId, ...], ...]
    home: Mapping[SliceId, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        home = {}
        for pe, slices in enumerate(self.pes):
            first = 0
            for s in slices:
                home[s] = (pe, first)
                first += len(self.cuts[s[0]].index[s[1]])
        object.__setattr__(self, "home", home)

    def neurons(self, pe: int) -> int:
        """Neurons (or elements of inputs) on a PE."""
        return sum(len(self.cuts[n].index[k]) for n, k in self.pes[pe])

    def first(self, name: str) -> IntArray:
        """Of each slice of a sender: its first neuron on its PE."""
        return np.array([self.home[name, k][1] for k in range(len(self.cuts[name].index))], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A block before it has its key: what slice ``source`` of a wire's sender does to slice ``target`` of its target."""

    wire: Wire
    source: int
    target: int
    block: Block


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Key of atom 0 and mask of every slice."""

    key: Mapping[SliceId, int]
    mask: Mapping[SliceId, int]


def blocks(layout: Layout) -> list[Heard]:
    """What every slice of senders does to every slice of targets that hears it, wire by wire, target by target."""
    return [h for w in layout.wiring.wires for h in (
        _conv_blocks(layout, w) if isinstance(w.node, ConvSynapses) else _explicit_blocks(layout, w))]


def _explicit_blocks(layout: Layout, wire: Wire) -> list[Heard]:
    """Rows of words."""
    source, target = layout.cuts[wire.source], layout.cuts[wire.target]
    node: Any = wire.node
    n = len(target.slice_of)
    rank, neuron = source.rank[node.source], node.target % n
    home = target.slice_of[neuron]
    order = np.arange(len(rank), dtype=np.int32)
    if (np.diff(source.rank) != 1).any():
        stable_order(rank, np.zeros(len(source.rank) + 1, np.int64), order)
    ptr, by_home = np.zeros(len(target.index) + 1, np.int64), np.empty(len(order), np.int32)
    stable_order(home[order], ptr, by_home)
    order = order[by_home]
    local = layout.first(wire.target)[home] + (target.rank - target.starts[target.slice_of])[neuron]
    words, index = _words(layout, wire, node, local, home, n)
    found = []
    for t in range(len(target.index)):
        found += _rows_of(wire, t, rank, words, index, order, int(ptr[t]), int(ptr[t + 1]), source.starts)
    return found


def _rows_of(wire: Wire, t: int, rank: IntArray, words: NDArray[Any], index: NDArray[np.uint32] | None,
             order: NDArray[np.int32], low: int, high: int, starts: IntArray) -> list[Heard]:
    """The blocks of one slice of targets."""
    k = len(starts) - 1
    rows, group = np.zeros(int(starts[-1]) + k, np.int64), np.zeros(k + 1, np.int64)
    at = np.empty(high - low, words.dtype)
    fill_rows(rank, words, order, rows, at, low, high, starts, group)
    to = None if index is None else index[order[low:high]]
    found = []
    for g in np.flatnonzero(np.diff(group)).tolist():
        part = slice(int(group[g]), int(group[g + 1]))
        own = rows[starts[g] + g : starts[g + 1] + g + 1]
        delay = 0 if wire.kind == "plastic" else wire.delay
        block = Block(0, 0, wire.kind, 0, delay, own, at[part]) if to is None else \
            Block(0, 0, wire.kind, 0, delay, own, at[part], to[part])
        found.append(Heard(wire, g, t, block))
    return found


def _words(layout: Layout, wire: Wire, node: Any, local: IntArray, home: NDArray[np.int32], n: int,
           ) -> tuple[NDArray[Any], NDArray[np.uint32] | None]:
    """The word of each synapse, and of csr its accumulator."""
    if wire.kind == "csr":
        on_pe = np.array([layout.neurons(layout.home[wire.target, k][0])
                          for k in range(len(layout.cuts[wire.target].index))])
        inside = wire.source == wire.target
        ports = [EGRU_PORTS.index(p) for p in (("z_recurrent", "r_recurrent", "x", "h") if inside else
                                               ("z_outside", "r_outside", "x", "h"))]
        port = np.array(ports)[node.target // n]
        return node.weight.astype(np.float32), (port * on_pe[home] + local).astype(np.uint32)
    weight, late = node.weight.astype(np.int64), node.delay_ticks - wire.delay
    if wire.kind == "byte":
        return (local | (weight & 0xFF) << 8).astype(np.uint16), None
    if wire.kind == "narrow":
        return (local | np.abs(weight) << 8 | (weight < 0) << 12 | late << 13).astype(np.uint16), None
    return (local | late << 10 | (weight & 0xFFFF) << 16).astype(np.uint32), None


def _conv_blocks(layout: Layout, wire: Wire) -> list[Heard]:
    """Kernels with the boxes that they join."""
    node: Any = wire.node
    source, target = layout.cuts[wire.source].tiles, layout.cuts[wire.target].tiles
    if source is None or target is None:
        raise InternalError(f"the convolution {wire.name} joins populations that are not cut in boxes")
    heard = meets(node, list(target), source)
    c_out, group_in = node.weight.shape[:2]
    wide = kernel_bytes(node)
    kernels: dict[tuple[int, int], NDArray[Any]] = {}
    found = []
    for t, tile in enumerate(target):
        own = (tile.channel, tile.channels)
        if own not in kernels:
            part = node.weight[tile.channel : tile.channel + tile.channels].astype(np.int8 if wide == 1 else np.int16)
            kernels[own] = np.ascontiguousarray(part.reshape(*part.shape[:2], *(1,) * (2 - len(node.kernel)),
                                                             *node.kernel))
        for g in np.flatnonzero(heard[t]).tolist():
            s = source[g]
            two = [(1, *x) if len(node.kernel) == 1 else tuple(x) for x in (node.stride, node.dilation)]
            pad = [0] * (2 - len(node.kernel)) + [before for before, _ in node.padding]
            values = (s.channel, s.channels, s.y, s.height, s.x, s.width, layout.home[wire.target, t][1],
                      tile.channel, tile.channels, tile.y, tile.height, tile.x, tile.width,
                      *kernels[own].shape[2:], *two[0], *pad, *two[1], group_in, c_out // node.groups, wide)
            shape = dict(zip(CONV_FIELDS[:-1], values, strict=True))
            found.append(Heard(wire, g, t, Block(0, 0, "conv", 0, wire.delay, shape=shape, kernel=kernels[own])))
    return found


def memories(layout: Layout, heard: list[Heard], keys: Keys, phases: Phases, records_of: frozenset[str],
             high_from: NDArray[np.int64]) -> list[PeMemory]:
    """The content of every PE's memory."""
    by_pe: list[list[Heard]] = [[] for _ in layout.pes]
    sending = {(h.wire.source, h.source) for h in heard}
    for h in heard:
        by_pe[layout.home[h.wire.target, h.target][0]].append(h)
    return [_memory(layout, pe, by_pe[pe], keys, phases, records_of, sending, int(high_from[pe]))
            for pe in range(len(layout.pes))]


def _memory(layout: Layout, pe: int, heard: list[Heard], keys: Keys, phases: Phases, recorded: frozenset[str],
            sending: set[SliceId], high_from: int) -> PeMemory:
    """One PE."""
    network = layout.wiring.network
    slices = tuple(PeSlice(keys.key[s], len(layout.cuts[s[0]].index[s[1]]), phases.of.get(s[0], 0), s in sending,
                           s[0] in recorded) for s in layout.pes[pe])
    names = tuple(dict.fromkeys(n for n, _ in layout.pes[pe]))
    if names[0] in network.inputs:
        return PeMemory("spike_list", "source", slices, phases=phases.count)
    wires = [w for n in names for w in layout.wiring.into(n)]
    rules = rules_of(wires)
    model = model_of(network.populations[names[0]])
    table = tuple(_with_key(h, keys, phases, rules) for h in heard)
    cells = np.concatenate([records(network.populations[n], layout.cuts[n].index[k]) for n, k in layout.pes[pe]])
    return PeMemory(_application(model, wires, heard), model, slices, table, tuple(_learner(r) for r in rules), cells,
                    slots_of(wires, phases.count), phases.count, high_from, max((r.history for r in rules), default=0))


def _with_key(h: Heard, keys: Keys, phases: Phases, rules: list[StoredPairSTDP]) -> Block:
    """The block as it lies in the table."""
    s, b = (h.wire.source, h.source), h.block
    node: Any = h.wire.node
    learner = rules.index(node.rule) if h.wire.kind == "plastic" else 0
    return Block(keys.key[s], keys.mask[s], b.kind, phases.of.get(h.wire.source, 0), b.delay, b.rows, b.words,
                 b.targets, learner, b.shape, b.kernel)


def _learner(rule: StoredPairSTDP) -> Learner:
    return Learner(rule.a_plus, rule.a_minus, rule.w_min, rule.w_max, decay_table(rule.tau_plus),
                   decay_table(rule.tau_minus))


def _application(model: str, wires: list[Wire], heard: list[Heard]) -> str:
    """The PE application that serves these words."""
    kinds = {w.kind for w in wires}
    if model == "egru":
        return "egru_csr"
    if "plastic" in kinds:
        return "stdp_pair_additive"
    if "conv" in kinds:
        places = max((prod(h.block.kernel.shape[2:]) for h in heard if h.block.kind == "conv"), default=1)
        return "lif_conv2d" if places > 1 else "l2mu_mem"
    late = bool(kinds & {"narrow", "wide"}) and max(w.longest - w.delay for w in wires) > 0
    return ("lif_curr_exp" if model == "lif_curr" else "lif") + ("" if late else "_no_delay")
