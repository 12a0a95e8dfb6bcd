"""Which slices hear which, and what they store of each other: rows of words, and kernels of convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.nodes import ConvSynapses
from hwsdk.mappers.spinnaker_kernels import count_pairs, write_words
from hwsdk.mappers.spinnaker_tiles import kernel_bytes, meets
from hwsdk.mappers.spinnaker_wires import Cut, Wire, Wiring
from hwsdk.programs.spinnaker_image import CONV_FIELDS, EGRU_PORTS, KINDS, MAX_BLOCK_WORDS, Block, floats

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

    def pe_of(self, name: str) -> IntArray:
        """Of each slice of a sender: its PE."""
        return np.array([self.home[name, k][0] for k in range(len(self.cuts[name].index))], np.int64)

    def first(self, name: str) -> IntArray:
        """Of each slice of a sender: its first neuron on its PE."""
        return np.array([self.home[name, k][1] for k in range(len(self.cuts[name].index))], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """A wire between slices. ptr (targets + 1): pairs of each slice of the target, by ascending slice of senders;
    source (pairs): that slice. blocks: of a convolution, one a pair.

    Of rows: words uint16 or uint32, each pair's from 8 bytes on; word_ptr (targets + 1): bytes of each slice of the
    target. rows uint16, row_ptr (targets + 1): those of each slice of the target, as an image has them: of each pair
    the rows and where its words begin among those of its slice (uint32 both), then the counts, from row_at (pairs) on.
    """

    wire: Wire
    ptr: IntArray
    source: IntArray
    blocks: tuple[Block, ...] = ()
    words: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.uint16))
    word_ptr: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    rows: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))
    row_ptr: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    row_at: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))


def heard_of(layout: Layout) -> list[Heard]:
    """What every slice of senders does to every slice of targets that hears it, a wire at a time."""
    return [_boxes(layout, w) if isinstance(w.node, ConvSynapses) else _rows(layout, w) for w in layout.wiring.wires]


def _rows(layout: Layout, wire: Wire) -> Heard:
    """Rows of words."""
    source, target = layout.cuts[wire.source], layout.cuts[wire.target]
    node: Any = wire.node
    ptr = np.searchsorted(node.source, np.arange(len(source.rank) + 1))
    home, local = _targets(layout, wire)
    pair_ptr, pair_home, count = count_pairs(ptr, node.target, source.order, source.starts, home, len(target.index))
    if count.max(initial=0) > MAX_BLOCK_WORDS:
        raise InternalError(f"{wire.name} has {count.max():,} synapses between two slices")
    of_source = np.repeat(np.arange(len(source.index)), np.diff(pair_ptr))
    order = np.argsort(pair_home, kind="stable")
    ends = np.searchsorted(pair_home[order], np.arange(len(target.index) + 1))
    size = wire.word_bytes
    words_to = np.r_[0, np.cumsum(-(-count[order] * size // 8) * 8)]
    rows_to = np.r_[0, np.cumsum(4 + (source.sizes[of_source[order]] // 2 + 1) * 2)]
    words = np.zeros(words_to[-1] // min(size, 4), np.uint16 if size == 2 else np.uint32)
    rows, row_at = np.zeros(rows_to[-1], np.uint16), rows_to[:-1] + 4
    word_at, back = words_to[:-1] // min(size, 4), np.empty_like(order)
    back[order] = np.arange(len(order))
    weight = floats(node.weight) if wire.kind == "csr" else node.weight
    write_words(KINDS.index(wire.kind), wire.delay, (ptr, node.target, weight, node.delay_ticks),
                (source.order, source.starts), (home, local), (pair_ptr, pair_home, word_at[back], row_at[back]), words,
                rows)
    heads = np.stack([source.sizes[of_source[order]], words_to[:-1] - np.repeat(words_to[ends[:-1]], np.diff(ends))])
    rows[row_at[:, None] - np.arange(4, 0, -1)] = np.ascontiguousarray(heads.T, np.uint32).view(np.uint16)
    return Heard(wire, ends, of_source[order], (), words, words_to[ends], rows, rows_to[ends], row_at)


def _targets(layout: Layout, wire: Wire) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """(slice, accumulator on its PE) of each target of a wire; an EGRU has a target for each port."""
    cut, name = layout.cuts[wire.target], wire.target
    local = (layout.first(name) - cut.starts[:-1])[cut.slice_of] + cut.rank
    if wire.kind != "csr":
        return cut.slice_of, local.astype(np.uint32)
    on_pe = np.array([layout.neurons(pe) for pe in layout.pe_of(name).tolist()])[cut.slice_of]
    ports = [EGRU_PORTS.index(p) for p in (("z_recurrent", "r_recurrent", "x", "h") if wire.source == name else
                                           ("z_outside", "r_outside", "x", "h"))]
    return np.tile(cut.slice_of, len(ports)), np.concatenate([p * on_pe + local for p in ports]).astype(np.uint32)


def _boxes(layout: Layout, wire: Wire) -> Heard:
    """Kernels with the boxes that they join."""
    node: Any = wire.node
    source, target = layout.cuts[wire.source].tiles, layout.cuts[wire.target].tiles
    if source is None or target is None:
        raise InternalError(f"the convolution {wire.name} joins populations that are not cut in boxes")
    heard = meets(node, list(target), source)
    c_out, group_in = node.weight.shape[:2]
    wide = kernel_bytes(node)
    kernels: dict[tuple[int, int], NDArray[Any]] = {}
    found: list[Block] = []
    first = layout.first(wire.target).tolist()
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
            values = (s.channel, s.channels, s.y, s.height, s.x, s.width, first[t],
                      tile.channel, tile.channels, tile.y, tile.height, tile.x, tile.width,
                      *kernels[own].shape[2:], *two[0], *pad, *two[1], group_in, c_out // node.groups, wide)
            shape = dict(zip(CONV_FIELDS[:-1], values, strict=True))
            found.append(Block(0, 0, "conv", 0, wire.delay, shape=shape, kernel=kernels[own]))
    return Heard(wire, np.r_[0, np.cumsum(heard.sum(axis=1))], np.nonzero(heard)[1], tuple(found))
