"""A convolution as a crossbar that holds its kernel once and is read for every output position (im2col)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.expand import meeting_positions, meetings
from hwsdk.ir.nodes import ConvSynapses
from hwsdk.mappers.memristor_matrix import Room, Tile, refuse_wide
from hwsdk.programs.crossbar import Segment

Array = NDArray[Any]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A projection that is a convolution."""

    name: str
    source: str
    node: ConvSynapses


def positions(node: ConvSynapses) -> int:
    """Output positions, which is how often the kernel is read in a step."""
    return prod(node.conv_shape[1:])


def synapses(node: ConvSynapses) -> int:
    """How many it stands for."""
    return int(((node.weight != 0) * meetings(node)).sum())


def merged_groups(node: ConvSynapses, room: Room) -> int:
    """How many groups fit one block, on rows and columns of their own."""
    rows, columns = prod(node.weight.shape[1:]), node.weight.shape[0] // node.groups
    return int(max(1, min(node.groups, room.rows // rows, room.neurons // columns)))


def conv_tiles(kernel: Kernel, room: Room) -> Iterator[Tile]:
    """The tiles of a convolution. Rows: input channel, then kernel offset; columns: output channels."""
    meet = met(kernel.node)
    groups = kernel.node.groups
    batches = np.array_split(np.arange(groups), -(-groups // merged_groups(kernel.node, room)))
    for b, batch in enumerate(batches):
        yield from _batch(kernel, meet, batch, room, f"{kernel.name}/{b}")


def _batch(kernel: Kernel, meet: Ints, batch: Ints, room: Room, name: str) -> Iterator[Tile]:
    """The tiles of some groups that share rows and columns of one block, as far as they fit."""
    node = kernel.node
    n_in, n_out = prod(node.pre_shape[1:]), positions(node)
    refuse_wide(prod(node.weight.shape[1:]) * len(batch) * n_out, kernel.name)
    weight, channels, outs = _kernel(node, batch)
    element = meet[None, :, :] + channels[:, None, None] * n_in
    element = np.where(meet[None] >= 0, element, -1).reshape(-1, n_out)
    rows = np.flatnonzero(weight.any(axis=1) & np.tile((meet >= 0).any(axis=1), len(channels)))
    for r, c, at, columns in _shares(rows, np.arange(len(outs)), room):
        part = weight[np.ix_(at, columns)]
        live = np.flatnonzero(part.any(axis=0))
        if len(live):
            neuron = outs[columns[live]][None, :] * n_out + np.arange(n_out)[:, None]
            yield Tile(f"{name}.{r}.{c}", (Segment(kernel.source, int(node.delay_ticks), len(at)),), element[at].T,
                       np.ascontiguousarray(part[:, live]), neuron)


def _shares(rows: Ints, columns: Ints, room: Room) -> Iterator[tuple[int, int, Ints, Ints]]:
    """(row tile, column tile, rows, columns) in even shares; nothing where there are no rows."""
    if len(rows):
        for r, at in enumerate(np.array_split(rows, -(-len(rows) // room.rows))):
            for c, some in enumerate(np.array_split(columns, -(-len(columns) // room.neurons))):
                yield r, c, at, some


def _kernel(node: ConvSynapses, batch: Ints) -> tuple[NDArray[np.float64], Ints, Ints]:
    """(weight (rows, columns), input channels of the rows, output channels of the columns) of some groups."""
    c_out, c_in = node.weight.shape[0] // node.groups, node.weight.shape[1]
    blocks = node.weight.astype(np.float64).reshape(node.groups, c_out, -1)[batch].transpose(0, 2, 1)
    rows = blocks.shape[1]
    weight = np.zeros((len(batch) * rows, len(batch) * c_out))
    for k, block in enumerate(blocks):
        weight[k * rows : (k + 1) * rows, k * c_out : (k + 1) * c_out] = block
    return weight, _each(batch, c_in), _each(batch, c_out)


def _each(batch: Ints, width: int) -> Ints:
    """The channels of some groups of so many."""
    return np.asarray((batch[:, None] * width + np.arange(width)).ravel(), np.int64)


def met(node: ConvSynapses) -> Ints:
    """(offsets, output positions): the flat input position that each kernel offset meets, -1 in the padding."""
    found = np.full((prod(node.kernel), positions(node)), -1, np.int64)
    offsets: Sequence[tuple[int, ...]] = list(product(*map(range, node.kernel)))
    for k, offset in enumerate(offsets):
        here, there = meeting_positions(node, offset, node.pre_shape[1:], node.conv_shape[1:])
        found[k, here] = there
    return found
