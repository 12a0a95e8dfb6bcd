"""The weights into a population as one matrix over (source, delay, element), cut into tiles that fit a macro."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.errors import UnsupportedError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Shape, Synapses
from hwsdk.programs.crossbar import Segment

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MAX_TILE = 1 << 27
"""Weights of neighbouring columns that are written out at once, which is 1 GB; only macros without limits take more."""
LARGE, SIDE = 1 << 20, 512
"""Cells from which on a sparse matrix is cut into tiles of at most SIDE x SIDE weights even if a macro holds more."""
DENSE = 0.5
"""Share of synapses from which on neurons are not sorted for the tiles: all of them need nearly all rows."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a block may take: rows, and neurons side by side."""

    rows: int
    neurons: int


@dataclass(frozen=True, slots=True)
class Link:
    """One projection of the lowered network."""

    name: str
    source: str
    node: Synapses | ConvSynapses


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A block before its weights are conductances. R rows, N columns (of weights), U uses.

    segments: of the rows. row_source (U, R): element that drives the row, -1 for none. weight (R, N): 0 where there is
    no synapse. outs (U, N): the neuron to which each column's sum goes.
    """

    name: str
    segments: tuple[Segment, ...]
    row_source: Array
    weight: Floats
    outs: Array


@dataclass(frozen=True, slots=True)
class Line:
    """Rows of a matrix: all n elements of a source, some steps late; ``first``: the row of element 0."""

    source: str
    delay_ticks: int
    n: int
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """All weights of some projections into one population. weight (rows, n): sparse, no zeros, no pair twice."""

    lines: tuple[Line, ...]
    weight: sparse.csr_matrix


def links(network: Network, target: str) -> tuple[Link, ...]:
    """The projections into a population, by name."""
    found = []
    for edge in network.sources(target):
        node = network.nodes[edge.source]
        into = network.sources(edge.source)
        if not isinstance(node, Synapses | ConvSynapses) or len(into) != 1 or edge.delay_ticks or into[0].delay_ticks:
            raise UnsupportedError(f"{edge.source} feeds it, which is no projection from one source", where=target,
                                   code="NETWORK_FORM", fix="lower the network first, or call hwsdk.compile")
        found.append(Link(edge.source, into[0].source, node))
    return tuple(found)


def matrix_of(some: Sequence[Link], n: int) -> Matrix:
    """The matrix of some projections into a population of n neurons; synapses that join the same pair add up."""
    written = [(link, explicit(link.node)) for link in some]
    keys = sorted({(link.source, int(d), prod(node.pre_shape)) for link, node in written
                   for d in np.unique(node.delay_ticks)})
    firsts = np.cumsum([0, *(k[2] for k in keys)]).tolist()
    lines = tuple(Line(s, d, m, f) for (s, d, m), f in zip(keys, firsts[:-1], strict=True))
    rows, columns, values = ([np.zeros(0, t)] for t in (np.int64, np.int64, np.float64))
    for link, node in written:
        own = [x for x in lines if x.source == link.source]
        at = np.searchsorted([x.delay_ticks for x in own], node.delay_ticks)
        rows.append(np.array([x.first for x in own], np.int64)[at] + node.source)
        columns.append(node.target)
        values.append(node.weight.astype(np.float64))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    weight = sparse.coo_matrix(entries, shape=(firsts[-1], n)).tocsr()
    weight.eliminate_zeros()
    weight.sort_indices()
    return Matrix(lines, weight)


def cut_to(weight: sparse.csr_matrix, room: Room) -> Room:
    """The room that a tile of a matrix may take: of a sparse one not more than an ordinary macro, as larger tiles would
    hold little but zeros.
    """
    rows = int((np.diff(weight.indptr) > 0).sum())
    if rows * weight.shape[1] <= LARGE or weight.nnz > DENSE * rows * weight.shape[1]:
        return room
    return Room(min(room.rows, SIDE), min(room.neurons, SIDE))


def tiles_of(matrix: Matrix, name: str, room: Room, shape: Shape) -> Iterator[Tile]:
    """The tiles of a matrix: groups of columns that fit side by side, and the rows that each needs, in even shares."""
    by_column, room = matrix.weight.tocsc(), cut_to(matrix.weight, room)
    for c, group in enumerate(column_groups(matrix.weight, room, shape)):
        own = by_column[:, group]
        rows = np.unique(own.indices).astype(np.int64)
        if not len(rows):
            continue
        refuse_wide(len(rows) * len(group), name)
        dense = np.zeros((len(rows), len(group)))
        dense[np.searchsorted(rows, own.indices), np.repeat(np.arange(len(group)), np.diff(own.indptr))] = own.data
        for r, part in enumerate(np.array_split(np.arange(len(rows)), -(-len(rows) // room.rows))):
            weight = dense[part]
            live = np.flatnonzero(weight.any(axis=0))
            segments, element = segments_of(matrix.lines, rows[part])
            yield Tile(f"{name}/{r}.{c}", segments, element[None, :], np.ascontiguousarray(weight[:, live]),
                       group[live][None, :])


def refuse_wide(cells: int, name: str) -> None:
    """Refuse before memory is taken.

    Raises:
        UnsupportedError: TOO_LARGE.
    """
    if cells > MAX_TILE:
        raise UnsupportedError(f"{name} takes {cells:,} weights side by side, the limit is {MAX_TILE:,}",
                               code="TOO_LARGE", fix='use conv="im2col" for convolutions, smaller macros (rows, '
                               "columns), or a smaller layer")


def segments_of(lines: Sequence[Line], rows: Ints) -> tuple[tuple[Segment, ...], Ints]:
    """(segments, element of its source for each row) of some rows of a matrix, ascending."""
    first = np.array([x.first for x in lines], np.int64)
    at = np.searchsorted(first, rows, "right") - 1
    count = np.bincount(at, minlength=len(lines)).tolist()
    return tuple(Segment(x.source, x.delay_ticks, k) for x, k in zip(lines, count, strict=True) if k), rows - first[at]


def column_groups(weight: sparse.csr_matrix, room: Room, shape: Shape) -> list[Ints]:
    """Neurons whose columns lie side by side: as they are numbered, or patches of all channels if these need fewer
    cells, as in a convolution. ``shape``: (channels, *positions).
    """
    n = weight.shape[1]
    plain = np.array_split(np.arange(n), -(-n // room.neurons))
    rows = int((np.diff(weight.indptr) > 0).sum())
    if (len(plain) == 1 and rows <= room.rows) or len(shape) < 2 or weight.nnz > DENSE * rows * n:
        return plain
    def key(groups: Sequence[Ints]) -> tuple[int, int]:
        weights, tiles = cost(weight, groups, room)
        return -(-weights // (room.rows * room.neurons)), tiles

    return min((plain, *patches(shape, room.neurons)), key=key)


def cost(weight: sparse.csr_matrix, groups: Sequence[Ints], room: Room) -> tuple[int, int]:
    """(weights with the zeros between them, tiles) of some groups of columns."""
    owner = np.empty(weight.shape[1], np.int64)
    for k, group in enumerate(groups):
        owner[group] = k
    row = np.repeat(np.arange(weight.shape[0]), np.diff(weight.indptr))
    used = np.unique(owner[weight.indices] * weight.shape[0] + row) // weight.shape[0]
    rows = np.bincount(used, minlength=len(groups))
    return int((rows * np.array([len(g) for g in groups])).sum()), int((-(-rows // room.rows)).sum())


def patches(shape: Shape, most: int) -> Iterator[list[Ints]]:
    """Groups of at most so many neurons: boxes of positions, ever smaller, with as many channels as go with them."""
    index = np.arange(prod(shape)).reshape(shape)
    size = list(shape[1:])
    while True:
        channels = most // prod(size)
        if channels:
            cuts = [-(-shape[0] // min(channels, shape[0]))]
            cuts += [-(-n // k) for n, k in zip(shape[1:], size, strict=True)]
            yield list(_boxes(index, cuts))
        if max(size) == 1:
            return
        longest = int(np.argmax(size))
        size[longest] = -(-size[longest] // 2)


def _boxes(index: Ints, cuts: Sequence[int]) -> Iterator[Ints]:
    """An array cut into boxes, so many along each axis."""
    boxes = [index]
    for axis, k in enumerate(cuts):
        boxes = [part for box in boxes for part in np.array_split(box, k, axis)]
    return (np.sort(box.ravel()) for box in boxes if box.size)
