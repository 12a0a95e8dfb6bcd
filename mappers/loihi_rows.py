"""rows: every projection of a placed network as rows that a core stores, and segments that point to them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.expand import meeting_positions
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.mappers.loihi_kernels import count_segments, fill_segments, pattern_classes, used_offsets
from hwsdk.mappers.loihi_layout import Layout

IntArray = NDArray[np.int64]
Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows by ascending core, with their entries, and segments by ascending (core, source).

    segment_row: index into the rows. The columns of rows and entries are those of LoihiArrays.
    """

    core: Ints
    ptr: IntArray
    exponent: NDArray[np.int8]
    bits: NDArray[np.uint8]
    shared: NDArray[np.bool_]
    target: Ints
    weight: NDArray[np.int16]
    delay: NDArray[np.uint8]
    segment_core: Ints
    segment_source: IntArray
    segment_row: Ints
    segment_base: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """The targets of a convolution by (part, position): runs, and the classes of runs with the same pattern.

    run_ptr, channel, offset: the channels of each run, and where they lie from its ``base``. part_ptr: runs of a part.
    first: a run of each class. used (classes, kernel offsets): does the offset meet an input somewhere?
    """

    part_ptr: IntArray
    position: Ints
    base: IntArray
    run_ptr: IntArray
    channel: Ints
    offset: IntArray
    kind: IntArray
    first: IntArray
    used: NDArray[np.bool_]

    @property
    def class_part(self) -> IntArray:
        """Part of each class."""
        return np.searchsorted(self.part_ptr, self.first, "right") - 1

    def members(self, channels: int) -> NDArray[np.bool_]:
        """(classes, channels): does a position of the class hold the channel?"""
        found = np.zeros((len(self.first), channels), bool)
        for c, run in enumerate(self.first):
            found[c, self.channel[self.run_ptr[run] : self.run_ptr[run + 1]]] = True
        return found


def meeting_table(node: ConvSynapses) -> Ints:
    """(output positions, kernel offsets): the input position that they join, -1 in the padding."""
    n_out = prod(node.conv_shape[1:])
    table = np.full((n_out, prod(node.kernel)), -1, np.int32)
    for k, offset in enumerate(product(*map(range, node.kernel))):
        here, there = meeting_positions(node, offset, node.pre_shape[1:], node.conv_shape[1:])
        table[here, k] = there
    return table


def patterns(node: ConvSynapses, meet: Ints, part: IntArray, k: int, cells: int, local: IntArray | None = None,
             ) -> Patterns:
    """Group the targets of a convolution, which lie on ``part`` of k at ``local`` (default: by position and channel).

    Args:
        cells: neurons of the population; targets from there on are second inputs, and form runs of their own.
    """
    n_out = prod(node.conv_shape[1:])
    channel, position = np.divmod(np.arange(len(part)), n_out)
    place = (part * 2 + np.arange(len(part)) // cells) * n_out + position
    order = np.argsort(place * node.conv_shape[0] + channel, kind="stable")
    part, position, channel, place = part[order], position[order], channel[order], place[order]
    new = np.r_[True, place[1:] != place[:-1]]
    start = np.flatnonzero(new)
    run_ptr = np.r_[start, len(part)]
    owner = np.cumsum(new) - 1
    if local is None:
        at, base = np.arange(len(part)) - start[owner], np.zeros(len(start), np.int64)
    else:
        base = np.minimum.reduceat(local[order], start)
        at = local[order] - base[owner]
    kind, first = pattern_classes(run_ptr, part[start], channel, at)
    used = np.zeros((len(first), meet.shape[1]), bool)
    used_offsets(position[start], kind, meet, used)
    return Patterns(np.searchsorted(part[start], np.arange(k + 1)), position[start].astype(np.int32), base, run_ptr,
                    channel.astype(np.int32), at, kind, first, used)


def stored(node: ConvSynapses, found: Patterns) -> NDArray[np.bool_]:
    """(classes, input channels, kernel offsets): rows that a class needs: the offset is used, not all weights are 0."""
    per_group, members = node.conv_shape[0] // node.groups, found.members(node.conv_shape[0])
    blocks = []
    for g in range(node.groups):
        own = slice(g * per_group, (g + 1) * per_group)
        there = (node.weight[own].reshape(per_group, -1) != 0).astype(np.float32)
        blocks.append((members[:, own].astype(np.float32) @ there > 0).reshape(len(members), -1, prod(node.kernel)))
    return np.asarray(np.concatenate(blocks, axis=1) & found.used[:, None, :])


def row_lengths(node: ConvSynapses, found: Patterns) -> IntArray:
    """(classes, input channels): entries of each row, one for every output channel of the input channel's group."""
    per_group = node.conv_shape[0] // node.groups
    by_group = found.members(node.conv_shape[0]).reshape(len(found.first), node.groups, per_group).sum(axis=2)
    return np.repeat(by_group, node.weight.shape[1], axis=1).astype(np.int64)


def count_conv(node: ConvSynapses, meet: Ints, found: Patterns) -> tuple[IntArray, IntArray]:
    """(axons, segments) of each part."""
    k = len(found.part_ptr) - 1
    row = np.where(stored(node, found), 0, -1).astype(np.int32)
    axons, segments = np.zeros(k, np.int64), np.zeros(k, np.int64)
    count_segments(found.part_ptr, found.position, found.kind, meet, row, axons, segments)
    return axons, segments


def conv_rows(node: ConvSynapses, first_source: int, core: IntArray, local: IntArray, n_cores: int, cells: int,
              ) -> Rows:
    """The rows of a convolution's kernel on every core, straight from its geometry.

    Args:
        core, local: of the accumulator of each target. cells: neurons of the population.
    """
    meet = meeting_table(node)
    found = patterns(node, meet, core, n_cores, cells, local)
    needed = stored(node, found)
    row = np.full(needed.shape, -1, np.int32)
    row[needed] = np.arange(np.count_nonzero(needed))
    axons, segments = np.zeros(n_cores, np.int64), np.zeros(n_cores, np.int64)
    count_segments(found.part_ptr, found.position, found.kind, meet, row, axons, segments)
    n = int(segments.sum())
    source, to, base = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n, np.int32)
    fill_segments(found.part_ptr, found.position, found.kind, found.base, meet, row, prod(node.pre_shape[1:]), source,
                  to, base)
    return Rows(segment_core=np.repeat(np.arange(n_cores, dtype=np.int32), segments),
                segment_source=first_source + source, segment_row=to, segment_base=base,
                **_kernel_entries(node, found, needed))


def _kernel_entries(node: ConvSynapses, found: Patterns, needed: NDArray[np.bool_]) -> dict[str, Any]:
    """Columns of the needed rows: the kernel's weights, those of 0 too, for the channels of each class."""
    per_group, group_in = node.conv_shape[0] // node.groups, node.weight.shape[1]
    weight = node.weight.reshape(*node.weight.shape[:2], -1)
    targets, weights, lengths, cores, dense = [], [], [], [], []
    for c, run in enumerate(found.first):
        own = slice(found.run_ptr[run], found.run_ptr[run + 1])
        channel, offset = found.channel[own], found.offset[own]
        for g in range(node.groups):
            mine = channel // per_group == g
            rows = needed[c, g * group_in : (g + 1) * group_in]
            values = weight[channel[mine]].transpose(1, 2, 0)[rows]
            weights.append(values.ravel())
            targets.append(np.tile(offset[mine], len(values)))
            lengths.append(np.full(len(values), np.count_nonzero(mine)))
            cores.append(np.full(len(values), found.class_part[c]))
            dense.append(np.full(len(values), bool((np.diff(offset[mine]) == 1).all())))
    length = np.concatenate(lengths)
    total = int(length.sum())
    return {
        "core": np.concatenate(cores).astype(np.int32), "ptr": np.r_[0, np.cumsum(length)],
        "exponent": np.full(len(length), node.weight_exp, np.int8),
        "bits": np.full(len(length), node.weight_bits, np.uint8), "shared": np.concatenate(dense),
        "target": np.concatenate(targets).astype(np.int32), "weight": np.concatenate(weights).astype(np.int16),
        "delay": np.full(total, node.delay_ticks, np.uint8),
    }


def explicit_rows(node: Synapses, first_source: int, core: IntArray, local: IntArray, n_cores: int) -> Rows:
    """One row for each core and source; ``core`` and ``local`` of the accumulator of each target."""
    order = _by_core_and_source(node, core, n_cores)
    source, home = node.source[order], core[node.target[order]]
    new = np.r_[True, (source[1:] != source[:-1]) | (home[1:] != home[:-1])][: len(order)]
    start = np.flatnonzero(new)
    n = len(start)
    return Rows(
        home[start].astype(np.int32), np.r_[start, len(order)].astype(np.int64),
        np.full(n, node.weight_exp, np.int8), np.full(n, node.weight_bits, np.uint8), np.zeros(n, bool),
        local[node.target[order]].astype(np.int32), node.weight[order].astype(np.int16),
        node.delay_ticks[order].astype(np.uint8), home[start].astype(np.int32), first_source + source[start],
        np.arange(n, dtype=np.int32), np.zeros(n, np.int32))


def _by_core_and_source(node: Synapses, core: IntArray, n_cores: int) -> IntArray:
    """Synapses by core, then by source, then as they stand; those of a core that have one source stay in order."""
    by_source = None if (node.source[1:] >= node.source[:-1]).all() else np.argsort(node.source, kind="stable")
    home = core[node.target if by_source is None else node.target[by_source]]
    # sixteen bits sort in linear time
    order = np.argsort(home.astype(np.uint16) if n_cores <= 1 << 16 else home, kind="stable")
    return order if by_source is None else by_source[order]


def wire(network: Network, where: Layout) -> Rows:
    """The rows and segments of all projections."""
    found = []
    for name, node in network.of(Synapses, ConvSynapses).items():
        for before, behind in product(network.sources(name), network.targets(name)):
            to = where.accumulators(behind.target)
            source, core, local = where.first(before.source), where.accumulator_core[to], where.accumulator_local[to]
            if isinstance(node, ConvSynapses):
                cells = network.populations[behind.target].n
                found.append(conv_rows(node, source, core, local, where.n_cores, cells))
            elif isinstance(node, Synapses) and len(node.weight):
                found.append(explicit_rows(node, source, core, local, where.n_cores))
    return _merged(found, where)


def _merged(found: list[Rows], where: Layout) -> Rows:
    """Several projections as one; for each core and source their segments stand in the order of the projections."""
    if len(found) == 1:
        return found[0]
    if not found:
        return _nothing()
    first = np.r_[0, np.cumsum([len(r.core) for r in found])]
    row_core = np.concatenate([r.core for r in found])
    by_core = np.argsort(row_core, kind="stable")
    rank = np.empty(len(by_core), np.int32)
    rank[by_core] = np.arange(len(by_core))
    core, source = (np.concatenate([getattr(r, n) for r in found]) for n in ("segment_core", "segment_source"))
    order = np.argsort(core.astype(np.int64) * where.n_sources + source, kind="stable")
    length = np.concatenate([np.diff(r.ptr) for r in found])
    entry_first = np.r_[0, np.cumsum(length)][:-1]
    ptr = np.r_[0, np.cumsum(length[by_core])]
    entries = np.arange(ptr[-1]) + np.repeat(entry_first[by_core] - ptr[:-1], length[by_core])
    row = np.concatenate([first[k] + r.segment_row for k, r in enumerate(found)])

    def joined(name: str, by: IntArray) -> NDArray[Any]:
        return np.concatenate([getattr(r, name) for r in found])[by]

    return Rows(row_core[by_core], ptr, joined("exponent", by_core), joined("bits", by_core), joined("shared", by_core),
                joined("target", entries), joined("weight", entries), joined("delay", entries), core[order],
                source[order], rank[row[order]], joined("segment_base", order))


def _nothing() -> Rows:
    """The rows of a network without synapses."""
    none = np.zeros(0, np.int32)
    return Rows(none, np.zeros(1, np.int64), none.astype(np.int8), none.astype(np.uint8), none.astype(bool), none,
                none.astype(np.int16), none.astype(np.uint8), none, none.astype(np.int64), none, none)
