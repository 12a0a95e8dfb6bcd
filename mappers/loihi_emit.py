"""emit: a placed integer network -> the memories of a LoihiProgram."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.expand import explicit
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.mapping import Placement, Slice
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import ConvSynapses, Synapses, size
from hwsdk.mappers.loihi_cells import columns, model_of
from hwsdk.programs.loihi import TWO_PORTS, LoihiArrays, Source

IntArray = NDArray[np.int64]
SLICE = 1 << 20
BoolMatrix = NDArray[np.bool_]


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
        fires = node.fires if isinstance(node, FixedLIF) else True
        model = model_of(node) if isinstance(node, Neuron) else ""
        found.append(Source(name, shape, first, fires, network.lag.get(name, 0), model))
        first += size(shape)
    n = len(network.inputs)
    return tuple(found[:n]), tuple(found[n:])


def layout(network: Network, cores: tuple[tuple[Slice, ...], ...]) -> Layout:
    """Core and local index of every neuron."""
    inputs, populations = senders(network)
    base = sum(s.n for s in inputs)
    first = {s.name: s.first - base for s in populations}
    order = [np.concatenate([first[s.population] + s.index for s in core]) for core in cores]
    sizes = np.array([len(o) for o in order], np.int64)
    flat = np.concatenate(order)
    core, local = np.empty(len(flat), np.int64), np.empty(len(flat), np.int64)
    core[flat] = np.repeat(np.arange(len(cores)), sizes)
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    local[flat] = np.arange(len(flat)) - np.repeat(ptr[:-1], sizes)
    return Layout(inputs, populations, core, local, ptr, flat, *_accumulators(populations, base, core, local, ptr))


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


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """All synapses of the program, one projection after the other, not yet sorted."""

    projections: tuple[Projection, ...]

    def __len__(self) -> int:
        return sum(len(p.synapses.weight) for p in self.projections)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Synapses with the id of their first source, and the accumulators of their targets."""

    synapses: Synapses
    first_source: int
    accumulators: IntArray

    def slices(self) -> Iterator[tuple[slice, IntArray, IntArray]]:
        """(which synapses, source ids, accumulators), a million synapses at a time."""
        for first in range(0, len(self.synapses.weight), SLICE):
            part = slice(first, first + SLICE)
            yield part, self.first_source + self.synapses.source[part], self.accumulators[self.synapses.target[part]]


def synapse_rows(network: Network, where: Layout) -> Rows:
    """Gather the synapses of all projections."""
    found = []
    for name, node in network.of(Synapses, ConvSynapses).items():
        if isinstance(node, Synapses | ConvSynapses) and len((s := explicit(node)).weight):
            pre = where.first(network.sources(name)[0].source)
            found.append(Projection(s, pre, where.accumulators(network.targets(name)[0].target)))
    return Rows(tuple(found))


def listening(rows: Rows, where: Layout, n_cores: int) -> BoolMatrix:
    """(sources, cores): does the core have an axon for the source?"""
    heard = np.zeros((where.n_sources, n_cores), bool)
    for projection in rows.projections:
        for _, source, to in projection.slices():
            heard[source, where.accumulator_core[to]] = True
    return heard


def traffic(heard: BoolMatrix, where: Layout, rate: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """(cores, cores) messages from row to column if every neuron fires at its ``rate`` (default 1)."""
    n_cores = heard.shape[1]
    flow = np.zeros((n_cores, n_cores))
    for core in range(n_cores):
        own = where.order[where.neuron_ptr[core] : where.neuron_ptr[core + 1]]
        mine = heard[where.n_inputs + own]
        flow[core] = np.count_nonzero(mine, axis=0) if rate is None else rate[own] @ mine
    return flow


def axons_out(heard: BoolMatrix, where: Layout) -> IntArray:
    """Entries of the axon map of each core: one for each (neuron, core that hears it)."""
    fan = np.count_nonzero(heard[where.n_inputs :], axis=1)
    return np.bincount(where.core, weights=fan, minlength=heard.shape[1]).astype(np.int64)


def arrays(network: Network, where: Layout, rows: Rows, heard: BoolMatrix, placement: Placement) -> LoihiArrays:
    """The memories of all cores."""
    return LoihiArrays(
        core_chip=np.array([p.chip for p in placement.places], np.int32),
        core_x=np.array([p.x for p in placement.places], np.int32),
        core_y=np.array([p.y for p in placement.places], np.int32),
        neuron_ptr=where.neuron_ptr, source_id=where.order + where.n_inputs,
        out_ptr=np.r_[0, np.cumsum(np.count_nonzero(heard, axis=1))].astype(np.int64), out_core=_listeners(heard),
        **_synapse_columns(rows, where, heard),
        **columns(list(network.populations.values()), where.order))  # type: ignore[arg-type]


def _listeners(heard: BoolMatrix) -> NDArray[np.int32]:
    """The cores that hear each source, one source after the other."""
    step = max(1, SLICE // max(heard.shape[1], 1))
    found = [np.nonzero(heard[first : first + step])[1].astype(np.int32) for first in range(0, len(heard), step)]
    return np.concatenate(found) if found else np.zeros(0, np.int32)


def _synapse_columns(rows: Rows, where: Layout, heard: BoolMatrix) -> dict[str, NDArray[Any]]:
    """Axons, segments and rows by (core, source, projection, target), in this order; equal ones stay as they came."""
    core, source, target, projection, unsorted = _gathered(rows, where)
    order = np.argsort(core, kind="stable")
    bounds = np.r_[0, np.cumsum(np.bincount(core, minlength=heard.shape[1]))]
    del core
    size_of_core = int(where.accumulator_local.max(initial=0)) + 1
    starts, first_of_axon, cores = [], [], []
    for c, (low, high) in enumerate(pairwise(bounds)):
        mine = order[low:high]
        key = (source[mine].astype(np.int64) * len(rows.projections) + projection[mine]) * size_of_core + target[mine]
        mine = mine[np.argsort(key, kind="stable")]
        order[low:high] = mine
        own, form = source[mine], projection[mine]
        new = np.r_[True, (own[1:] != own[:-1]) | (form[1:] != form[:-1])][: len(own)]
        at = np.flatnonzero(new)
        starts.append(low + at)
        first_of_axon.append(np.r_[True, own[at][1:] != own[at][:-1]][: len(at)])
        cores.append(np.full(len(at), c))
    row_start, is_first = np.concatenate(starts), np.concatenate(first_of_axon)
    home = np.concatenate(cores)
    n = heard.shape[1]
    forms = [p.synapses for p in rows.projections]
    form = projection[order[row_start]]
    return {
        "axon_ptr": _pointers(home[is_first], n), "axon_source": source[order[row_start[is_first]]].astype(np.int64),
        "segment_ptr": np.r_[np.flatnonzero(is_first), len(row_start)].astype(np.int64),
        "segment_row": np.arange(len(row_start), dtype=np.int32), "segment_base": np.zeros(len(row_start), np.int32),
        "core_row_ptr": _pointers(home, n), "row_ptr": np.r_[row_start, len(order)].astype(np.int64),
        "row_exponent": np.array([s.weight_exp for s in forms] or [0], np.int8)[form],
        "row_bits": np.array([s.weight_bits for s in forms] or [0], np.uint8)[form],
        "row_shared": np.zeros(len(row_start), bool), "target": target[order],
    } | {name: unsorted.pop(name)[order] for name in list(unsorted)}


def _pointers(owner: IntArray, n: int) -> IntArray:
    """Where the items of each of n owners begin, and the end of the last."""
    return np.r_[0, np.cumsum(np.bincount(owner, minlength=n))].astype(np.int64)


def _gathered(rows: Rows, where: Layout) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any],
                                                  dict[str, NDArray[Any]]]:
    """(core, source id, target within the core, projection, the other columns) of all synapses, in few bytes."""
    n = len(rows)
    # sixteen bits sort in linear time
    few = len(where.neuron_ptr) <= 1 << 16
    core: NDArray[Any] = np.empty(n, np.uint16) if few else np.empty(n, np.int32)
    source, target, form = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int16)
    rest: dict[str, NDArray[Any]] = {"weight": np.empty(n, np.int16), "delay": np.empty(n, np.uint8)}
    first = 0
    for k, projection in enumerate(rows.projections):
        s = projection.synapses
        for part, ids, accumulator in projection.slices():
            to = slice(first, first := first + len(ids))
            core[to], source[to] = where.accumulator_core[accumulator], ids
            target[to], form[to] = where.accumulator_local[accumulator], k
            rest["weight"][to], rest["delay"][to] = s.weight[part], s.delay_ticks[part]
    return core, source, target, form, rest
