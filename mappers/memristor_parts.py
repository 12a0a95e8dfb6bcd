"""Which weights lie together: what comes into a population as tiles with common scales, convolutions on their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, InternalError, UnsupportedError, Violation
from hwsdk.ir.crossbar import Physics
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Conv, ConvSynapses, Shape
from hwsdk.mappers.maps import refuse_if_large
from hwsdk.mappers.memristor_conv import Kernel, conv_tiles, positions, synapses
from hwsdk.mappers.memristor_matrix import (
    Link,
    Matrix,
    Room,
    Tile,
    column_groups,
    cost,
    cut_to,
    links,
    matrix_of,
    tiles_of,
)
from hwsdk.mappers.memristor_options import Code, MapOptions

Array = NDArray[Any]
Floats = NDArray[np.float64]
AUTO_CELLS = 1 << 18
"""Weights, and zeros between them, beyond which a convolution is never written out unasked, however large the macros
are: as many as an ordinary macro of 512 x 512 has cells."""
AUTO_SYNAPSES = 20_000_000
"""Of a convolution that is weighed against its kernel; writing out more takes many seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Weights with common scales: those of a matrix, or of a kernel.

    values, owner: all weights and the scale of each; owner_of (n,): the scale of each neuron. Either matrix or
    kernel: the projection that is read for every position.
    """

    name: str
    target: str
    native: bool
    values: Floats
    owner: Array
    owner_of: Array
    matrix: Matrix | None = None
    kernel: Kernel | None = None
    shape: Shape = ()

    @property
    def owners(self) -> int:
        """Scales."""
        return int(self.owner_of.max(initial=0)) + 1

    def tiles(self, room: Room) -> Iterator[Tile]:
        """Its tiles."""
        if self.matrix is not None:
            return tiles_of(self.matrix, self.name, room, self.shape)
        return iter(()) if self.kernel is None else conv_tiles(self.kernel, room)


def kernels_of(network: Network, target: str, options: MapOptions, room: Room) -> frozenset[str]:
    """The projections into a population that are better read as kernels."""
    return frozenset(x.name for x in links(network, target) if as_kernel(x, options, room))


def parts_of(network: Network, target: str, options: MapOptions, kernels: frozenset[str]) -> tuple[Part, ...]:
    """What comes into a population. kernels: the projections that are read as kernels."""
    some = links(network, target)
    rest = [x for x in some if x.name not in kernels]
    parts = [_explicit(network, target, group, name, options)
             for name, group in _groups(network, target, rest, options)]
    parts += [_kernel(target, x, options) for x in some if x.name in kernels]
    return tuple(p for p in parts if p is not None)


def is_native(link: Link, target: str, options: MapOptions) -> bool:
    """Are its weights what the devices are?"""
    return target in options.native or f"{link.source}->{target}" in options.native


def _groups(network: Network, target: str, some: Sequence[Link], options: MapOptions,
            ) -> Iterator[tuple[str, list[Link]]]:
    """(name, projections) of the parts whose synapses have their own cells: all that are written and all that are
    native, or those of each source.
    """
    if options.scale == "source":
        for source in sorted({x.source for x in some}):
            yield link_name(network, source, target), [x for x in some if x.source == source]
        return
    for name, native in ((target, False), (_native_name(network, target), True)):
        if own := [x for x in some if is_native(x, target, options) == native]:
            yield name, own


def _explicit(network: Network, target: str, some: Sequence[Link], name: str, options: MapOptions) -> Part | None:
    """The part whose synapses all have their own cells."""
    n, native = network.populations[target].n, is_native(some[0], target, options)
    if not (matrix := matrix_of(some, n)).weight.nnz:
        return None
    each = options.scale != "matrix" and not native
    owner = matrix.weight.indices if each else np.zeros(matrix.weight.nnz, np.int64)
    owner_of = np.arange(n) if each else np.zeros(n, np.int64)
    return Part(name, target, native, matrix.weight.data, owner, owner_of, matrix, shape=_shape(some, network, target))


def _native_name(network: Network, target: str) -> str:
    """A name that no node has."""
    name = f"{target}:native"
    while name in network.nodes:
        name += "_"
    return name


def link_name(network: Network, source: str, target: str) -> str:
    """A name of a link that no node and no other link has: a lone > is found in no name but between the two."""
    name = "->".join(x.replace(">", ">>") for x in (source, target))
    while name in network.nodes:
        name += "->"
    return name


def _shape(some: Sequence[Link], network: Network, target: str) -> Shape:
    """(channels, *positions) of a population: that of a convolution into it, if there is one."""
    shapes = (x.node.conv_shape for x in some if isinstance(x.node, ConvSynapses))
    return next(shapes, network.populations[target].shape)


def _kernel(target: str, link: Link, options: MapOptions) -> Part | None:
    """The part of a convolution that is read for every position."""
    node, native = link.node, is_native(link, target, options)
    if not isinstance(node, ConvSynapses):
        raise InternalError(f"{link.name} is no convolution, yet it is read as one")
    weight = node.weight.astype(np.float64).reshape(len(node.weight), -1)
    channel, _ = np.nonzero(weight)
    if not len(channel):
        return None
    each = options.scale != "matrix" and not native
    owner_of = np.repeat(np.arange(len(weight)) if each else np.zeros(len(weight), np.int64), positions(node))
    return Part(link.name, target, native, weight[weight != 0], channel if each else np.zeros_like(channel), owner_of,
                kernel=Kernel(link.name, link.source, node))


def as_kernel(link: Link, options: MapOptions, room: Room) -> bool:
    """Is a projection better kept as one kernel: does that need fewer macros?"""
    node = link.node
    if not isinstance(node, ConvSynapses) or positions(node) == 1 or options.conv == "toeplitz":
        return False
    if options.conv == "im2col" or synapses(node) > AUTO_SYNAPSES:
        return True
    matrix = matrix_of([link], prod(node.conv_shape))
    if not matrix.weight.nnz:
        return False
    weights = sum(t.weight.size for t in conv_tiles(Kernel(link.name, link.source, node), room))
    own = cut_to(matrix.weight, room)
    written, _ = cost(matrix.weight, column_groups(matrix.weight, own, node.conv_shape), own)
    size = room.rows * room.neurons
    return written > AUTO_CELLS or -(-weights // size) < -(-written // size)


@dataclass(slots=True)
class Budget:
    """Cells that there are for all blocks, and who took how many. macros: None where there is no limit. times: that
    the cells may be exceeded before it is refused, as the very need is found only when all is laid out.
    """

    name: str
    rows: int
    columns: int
    macros: int | None
    way_out: str
    times: int = 1
    used: dict[str, int] = field(default_factory=dict)

    def take(self, target: str, cells: int) -> None:
        """Count some cells.

        Raises:
            FitError: more than there are. UnsupportedError: TOO_LARGE, more than can be kept in memory.
        """
        self.used[target] = self.used.get(target, 0) + cells
        total, size = sum(self.used.values()), self.rows * self.columns
        if self.macros is not None and total > self.times * self.macros * size:
            by = {n: -(-c // size) for n, c in self.used.items()}
            raise too_many(self.name, -(-total // size), self.macros, by, self.way_out)
        if total > MAX_CELLS:
            raise UnsupportedError(f"its blocks have more than {MAX_CELLS:,} cells", where=target, code="TOO_LARGE",
                                   fix='use conv="im2col" for convolutions, a smaller layer, or split the network')


MAX_CELLS = 1 << 28
"""A program keeps 13 bytes a cell; this many are 3.5 GB."""


TIMES = 4
"""Up to so many times the cells that there are, the message tells the very number of macros."""


def way_out(network: Network, options: MapOptions) -> str:
    """What helps beside more chips."""
    kernels = options.conv != "im2col" and network.of(Conv, ConvSynapses)
    return f"{'convolutions as kernels (--option conv=im2col), or ' if kernels else ''}a smaller network"


def too_many(name: str, need: int, limit: int, by_target: dict[str, int], way: str, chips: int | None = None,
             ) -> FitError:
    """More macros than there are. way: out of it, beside chips; chips: that would do; None where ``need`` is only the
    least.
    """
    most = max(by_target, key=lambda n: by_target[n])
    what, hint = ("whole network, at the least", "more chips (--chips)") if chips is None else (
        "whole network", f"--chips {chips}")
    return FitError(f"{name} does not fit {limit} macro(s)", violations=(
        Violation("macros", f"{what}; {most} alone takes {by_target[most]:,}", need, limit, "macros"),),
        hint=f"{hint}, or {way}")


def refuse_many(network: Network, code: Code, physics: Physics, options: MapOptions, macros: int | None) -> None:
    """The cheap questions about a lowered network, before its matrices are made.

    Raises:
        FitError: more synapses than cells. UnsupportedError: TOO_LARGE.
    """
    budget = Budget(network.name, physics.rows, physics.columns, macros, way_out(network, options))
    for target in network.populations:
        own = [(link, _synapses(link, options)) for link in links(network, target)]
        for link, n in own:
            refuse_if_large(n, f"the connection from {link.source} to {target}")
        room = None if macros is None else macros * physics.rows * physics.columns
        for link, n in own:
            if room is not None and n * code.width > room:
                budget.take(target, _pairs(link, n) * code.width)


def _synapses(link: Link, options: MapOptions) -> int:
    """Synapses that have cells of their own, at the least."""
    node = link.node
    if isinstance(node, ConvSynapses):
        return synapses(node) if options.conv == "toeplitz" else int(np.count_nonzero(node.weight))
    return node.parameters()


def _pairs(link: Link, n: int) -> int:
    """The same, where several synapses of one delay may join a pair."""
    node = link.node
    if isinstance(node, ConvSynapses):
        return n
    key = (node.delay_ticks * prod(node.pre_shape) + node.source) * prod(node.post_shape) + node.target
    return len(np.unique(key))
