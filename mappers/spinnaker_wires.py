"""The connections of a network as a SpiNNaker 2 PE stores them: kinds of words, grids of convolutions, cuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError, UnsupportedError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Input, Shape, Synapses, size
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.ir.recurrent import EGRU
from hwsdk.mappers.maps import refuse_if_large
from hwsdk.mappers.spinnaker_kernels import ascending
from hwsdk.programs.spinnaker_image import DELAY_FIELD, LARGEST_WEIGHT, TARGET_BITS, WORD_BYTES

IntArray = NDArray[np.int64]
Floats = NDArray[np.float64]
Grid = tuple[int, int, int]
"""Channels, height, width."""
WIDEST = 1024
"""Neurons of a PE that a 10-bit target addresses, and the most of one without explicit words (facts: 1,024 a core)."""
EVENT = {"narrow": "event_static", "byte": "event_static", "wide": "event_static", "plastic": "event_plastic",
         "csr": "event_csr", "conv": "event_conv"}
"""Kind of word -> name of its cycles."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A box of a grid: channels x height x width from (channel, y, x) on."""

    channel: int
    channels: int
    y: int
    height: int
    x: int
    width: int

    @property
    def n(self) -> int:
        """Cells."""
        return self.channels * self.height * self.width

    def index(self, grid: Grid) -> NDArray[np.int32]:
        """Flat indices of the cells in the grid, channel by channel, row by row."""
        c, y, x = (np.arange(a, a + n) for a, n in ((self.channel, self.channels), (self.y, self.height),
                                                    (self.x, self.width)))
        return ((c[:, None, None] * grid[1] + y[:, None]) * grid[2] + x).ravel().astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A sender in slices. index: elements of each slice in the order of its atoms; tiles: their boxes, where it has a
    grid; slice_of, rank (n,): slice of each element, and its place in the order of slices and atoms; order (n,): the
    elements in this order; sizes: elements of each slice.
    """

    index: tuple[NDArray[np.int32], ...]
    tiles: tuple[Tile, ...] | None = None
    slice_of: NDArray[np.int32] = field(init=False)
    rank: IntArray = field(init=False)
    order: NDArray[np.int32] = field(init=False)
    sizes: IntArray = field(init=False)

    def __post_init__(self) -> None:
        order = np.concatenate(self.index)
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "sizes", np.array([len(i) for i in self.index], np.int64))
        rank, where = np.empty(len(order), np.int64), np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order))
        where[order] = np.repeat(np.arange(len(self.index), dtype=np.int32), self.sizes)
        object.__setattr__(self, "rank", rank)
        object.__setattr__(self, "slice_of", where)

    @property
    def starts(self) -> IntArray:
        """Ranks at which the slices begin, and the end."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.sizes)])

    def sums(self, values: Floats) -> Floats:
        """Over each slice, of a value of each element."""
        return np.bincount(self.slice_of, weights=values, minlength=len(self.index)).astype(np.float64, copy=False)


def ranges(bounds: IntArray | list[int]) -> Cut:
    """Slices of consecutive elements."""
    return Cut(tuple(np.arange(a, b, dtype=np.int32) for a, b in pairwise(bounds)))


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """One projection from a sender to a population.

    node: explicit synapses by ascending source, or a convolution between two grids. delay: steps that a table entry
    adds to the field of every word; longest: the longest delay in steps.
    """

    name: str
    source: str
    target: str
    node: Synapses | PlasticSynapses | ConvSynapses
    kind: str
    delay: int
    longest: int

    @property
    def word_bytes(self) -> int:
        """Of one synapse."""
        return WORD_BYTES[self.kind]


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """All connections. grids: sender -> its grid, for those that a shared convolution enters or leaves."""

    network: Network
    wires: tuple[Wire, ...]
    grids: Mapping[str, Grid]

    def into(self, population: str) -> list[Wire]:
        """The wires that end in a population."""
        return [w for w in self.wires if w.target == population]

    def widest(self, population: str) -> int:
        """Neurons that all words of its wires can address."""
        bits = [TARGET_BITS[w.kind] for w in self.into(population) if w.kind in TARGET_BITS]
        return min([1 << b for b in bits], default=WIDEST)

    def with_wide(self, population: str) -> Wiring:
        """The same with 32-bit words for everything that enters a population."""
        wide = tuple(replace(w, kind="wide") if w.target == population and w.kind in ("narrow", "byte") else w
                     for w in self.wires)
        return Wiring(self.network, wide, self.grids)


def wiring(network: Network) -> Wiring:
    """Sort out how each projection is stored.

    Raises:
        UnsupportedError: DELAY_RANGE or WEIGHT_RANGE, a synapse that no word holds.
    """
    grids = _grids(network)
    found = []
    for name, node in network.of(Synapses, ConvSynapses, PlasticSynapses).items():
        if not isinstance(node, Synapses | ConvSynapses | PlasticSynapses):
            raise InternalError(f"{name} is no projection")
        (into,), outs = network.sources(name), network.targets(name)
        for out in outs:
            if out.target in network.populations:
                node = _stored(network, name, node, into.source, out.target, grids)
                found.append(Wire(name, into.source, out.target, node, *_kind(network, name, node, out.target)))
    return Wiring(network, tuple(found), grids)


def grid_of(shape: Shape) -> Grid | None:
    """(channels, *places) as channels, height and width; None for more than two axes of places."""
    if len(shape) not in (2, 3):
        return None
    return (shape[0], 1, shape[1]) if len(shape) == 2 else (shape[0], shape[1], shape[2])


def _grids(network: Network) -> dict[str, Grid]:
    """The grid on which a population or input is cut: that of the convolution into it, else of the first out of it."""
    found: dict[str, Grid] = {}
    for name, node in network.of(ConvSynapses).items():
        if not isinstance(node, ConvSynapses) or len(node.kernel) > 2:
            continue
        ends = [(e.target, node.conv_shape) for e in network.targets(name) if e.target in network.populations]
        ends += [(e.source, node.pre_shape) for e in network.sources(name)]
        for end, shape in ends:
            grid = grid_of(shape)
            entered = shape is node.conv_shape
            if grid is not None and (end not in found or entered):
                found[end] = grid
    return found


def _stored(network: Network, name: str, node: Synapses | ConvSynapses | PlasticSynapses, source: str, target: str,
            grids: Mapping[str, Grid]) -> Synapses | ConvSynapses | PlasticSynapses:
    """The projection as it is stored: a convolution only between the grids of both ends, else sorted synapses."""
    if isinstance(node, ConvSynapses):
        ends = len(node.kernel) <= 2 and grid_of(node.pre_shape) == grids.get(source) and \
            grid_of(node.conv_shape) == grids.get(target)
        if ends and len(np.unique(node.delay_ticks)) == 1:
            return node
        refuse_if_large(prod(node.conv_shape) * prod(node.kernel) * node.weight.shape[1], f"the convolution {name}")
        return explicit(node)
    order = by_source(node)
    if order is not None:
        return replace(node, source=node.source[order], target=node.target[order], weight=node.weight[order],
                       delay_ticks=node.delay_ticks[order])
    return node


def by_source(node: Any) -> IntArray | None:
    """The order in which explicit synapses are stored; None if it is that of the network."""
    return None if ascending(node.source) else np.lexsort((node.target, node.source))


def _kind(network: Network, name: str, node: Synapses | ConvSynapses | PlasticSynapses, target: str,
          ) -> tuple[str, int, int]:
    """(kind of word, delay of the table entries, longest delay)."""
    delays = np.atleast_1d(node.delay_ticks)
    low, high = (int(delays.min()), int(delays.max())) if delays.size else (1, 1)
    if high - (1 if isinstance(node, PlasticSynapses) else low) > DELAY_FIELD:
        raise UnsupportedError(f"delays of {low} to {high} steps; a word tells {DELAY_FIELD + 1} of them apart",
                               where=name, code="DELAY_RANGE", fix="use delays of 1 to 8 steps")
    if isinstance(network.nodes[target], EGRU):
        return "csr", low, high
    largest = int(max(node.weight.max(initial=0), -node.weight.min(initial=0)))
    if largest > LARGEST_WEIGHT["wide"]:
        raise UnsupportedError(f"an integer weight of {largest:,}; a word holds {LARGEST_WEIGHT['wide']:,}", where=name,
                               code="WEIGHT_RANGE", fix="quantise to 16 bits or fewer")
    if isinstance(node, ConvSynapses):
        return "conv", low, high
    if isinstance(node, PlasticSynapses):
        return "plastic", 1, high
    if low == high and largest <= LARGEST_WEIGHT["byte"]:
        return "byte", low, high
    return ("narrow" if largest <= LARGEST_WEIGHT["narrow"] else "wide"), low, high


def n_of(network: Network, sender: str) -> int:
    """Elements of an input or population."""
    node = network.nodes[sender]
    return size(node.shape) if isinstance(node, Input) else network.populations[sender].n
