"""layout: the ids of all senders, and the core and local index of every neuron and accumulator."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.mapping import Slice
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import ConvSynapses, Shape, size
from hwsdk.mappers.loihi_cells import model_of
from hwsdk.programs.loihi import TWO_PORTS, Source

IntArray = NDArray[np.int64]
Cores = tuple[tuple[Slice, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where everything is: senders with their ids, and core and local index of each neuron (by id - first neuron).

    order: neurons in core order. accumulator_core, accumulator_local: those of each accumulator: of the neurons, then
    of the second inputs, population by population.
    """

    inputs: tuple[Source, ...]
    populations: tuple[Source, ...]
    core: IntArray
    local: IntArray
    neuron_ptr: IntArray
    order: IntArray
    accumulator_core: IntArray
    accumulator_local: IntArray

    @property
    def n_cores(self) -> int:
        """Cores in use."""
        return len(self.neuron_ptr) - 1

    @property
    def n_inputs(self) -> int:
        """Ids of the graph inputs come first."""
        return sum(s.n for s in self.inputs)

    @property
    def n_sources(self) -> int:
        """All sender ids."""
        return self.n_inputs + len(self.core)

    def first(self, name: str) -> int:
        """First id of a sender."""
        return next(s.first for s in (*self.inputs, *self.populations) if s.name == name)

    def accumulators(self, name: str) -> IntArray:
        """Accumulator of each input of a population: of its neurons, then of their second inputs."""
        second = len(self.core)
        for s in self.populations:
            own = np.arange(s.first - self.n_inputs, s.first - self.n_inputs + s.n)
            two = s.model in TWO_PORTS
            if s.name == name:
                return np.concatenate([own, np.arange(second, second + s.n)]) if two else own
            second += s.n * two
        raise InternalError(f"{name} is no population")


def senders(network: Network) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Inputs and populations with consecutive ids."""
    found, first = [], 0
    for name in [*network.inputs, *network.populations]:
        node, shape = network.nodes[name], network.shapes[name]
        fires = bool(getattr(node, "fires", True))
        model = model_of(node) if isinstance(node, Neuron) else ""
        found.append(Source(name, shape, first, fires, network.lag.get(name, 0), model))
        first += size(shape)
    n = len(network.inputs)
    return tuple(found[:n]), tuple(found[n:])


def conv_grid(network: Network, name: str) -> Shape | None:
    """(channels, *positions) of a population as the first convolution that feeds it sees it, None if none does."""
    cell = network.populations[name]
    for edge in network.sources(name):
        node = network.nodes[edge.source]
        if isinstance(node, ConvSynapses) and cell.n % (n := prod(node.conv_shape[1:])) == 0:
            return (cell.n // n, *node.conv_shape[1:])
    return None


def layout(network: Network, cores: Cores) -> Layout:
    """Core and local index of every neuron.

    On a core the neurons of a population lie position by position, and within a position channel by channel: so the
    targets of one row of a convolution kernel are neighbours at every position, and the row is stored once.
    """
    inputs, populations = senders(network)
    base = sum(s.n for s in inputs)
    first = {s.name: s.first - base for s in populations}
    places = {name: prod((conv_grid(network, name) or (1,))[1:]) for name in network.populations}
    order = [np.concatenate([first[s.population] + _by_position(s.index, places[s.population]) for s in core])
             for core in cores]
    sizes = np.array([len(o) for o in order], np.int64)
    flat = np.concatenate(order)
    core, local = np.empty(len(flat), np.int64), np.empty(len(flat), np.int64)
    core[flat] = np.repeat(np.arange(len(cores)), sizes)
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    local[flat] = np.arange(len(flat)) - np.repeat(ptr[:-1], sizes)
    return Layout(inputs, populations, core, local, ptr, flat, *_accumulators(populations, base, core, local, ptr))


def _by_position(index: IntArray, n_positions: int) -> IntArray:
    """The neurons of a slice, channel-minor."""
    return index if n_positions == 1 else index[np.argsort(index % n_positions, kind="stable")]


def _accumulators(populations: tuple[Source, ...], base: int, core: IntArray, local: IntArray, ptr: IntArray,
                  ) -> tuple[IntArray, IntArray]:
    """(core, local index) of every accumulator: those of the neurons, then the second inputs in core order."""
    second = np.concatenate([np.zeros(0, np.int64), *(np.arange(s.first - base, s.first - base + s.n)
                                                      for s in populations if s.model in TWO_PORTS)])
    if not len(second):
        return core, local
    by_place = np.lexsort((local[second], core[second]))
    home = core[second][by_place]
    rank = np.empty(len(second), np.int64)
    rank[by_place] = np.arange(len(second)) - np.searchsorted(home, home, "left")
    return np.concatenate([core, core[second]]), np.concatenate([local, np.diff(ptr)[core[second]] + rank])


def together(cores: Cores) -> Cores:
    """The same cores with one slice for each population on a core."""
    found = []
    for core in cores:
        parts: dict[str, list[IntArray]] = {}
        for s in core:
            parts.setdefault(s.population, []).append(s.index)
        found.append(tuple(Slice(n, p[0] if len(p) == 1 else np.sort(np.concatenate(p))) for n, p in parts.items()))
    return tuple(found)
