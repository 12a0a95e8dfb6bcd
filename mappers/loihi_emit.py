"""emit: a placed integer network -> the memories of a LoihiProgram."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.mapping import Placement, Slice
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses, size
from hwsdk.programs.loihi import RESETS, LoihiArrays, Source

IntArray = NDArray[np.int64]
SLICE = 1 << 20
BoolMatrix = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where everything is: senders with their ids, and core and local index of each neuron (by id - first neuron)."""

    inputs: tuple[Source, ...]
    populations: tuple[Source, ...]
    core: IntArray
    local: IntArray
    neuron_ptr: IntArray
    order: IntArray

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


def senders(network: Network) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Inputs and populations with consecutive ids."""
    found, first = [], 0
    for name in [*network.inputs, *network.populations]:
        node, shape = network.nodes[name], network.shapes[name]
        fires = node.fires if isinstance(node, FixedLIF) else True
        found.append(Source(name, shape, first, fires, network.lag.get(name, 0)))
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
    return Layout(inputs, populations, core, local, ptr, flat)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """All synapses of the program, one projection after the other, not yet sorted."""

    projections: tuple[Projection, ...]

    def __len__(self) -> int:
        return sum(len(p.synapses.weight) for p in self.projections)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Synapses with the id of their first source, and the first neuron (by id) of their target."""

    synapses: Synapses
    first_source: int
    first_neuron: int

    def slices(self) -> Iterator[tuple[slice, IntArray, IntArray]]:
        """(which synapses, source ids, target neurons), a million synapses at a time."""
        for first in range(0, len(self.synapses.weight), SLICE):
            part = slice(first, first + SLICE)
            yield part, self.first_source + self.synapses.source[part], self.first_neuron + self.synapses.target[part]


def synapse_rows(network: Network, where: Layout) -> Rows:
    """Gather the synapses of all projections."""
    found = []
    for name, s in network.of(Synapses).items():
        if isinstance(s, Synapses) and len(s.weight):
            pre = where.first(network.sources(name)[0].source)
            found.append(Projection(s, pre, where.first(network.targets(name)[0].target) - where.n_inputs))
    return Rows(tuple(found))


def listening(rows: Rows, where: Layout, n_cores: int) -> BoolMatrix:
    """(sources, cores): does the core have an axon for the source?"""
    heard = np.zeros((where.n_sources, n_cores), bool)
    for projection in rows.projections:
        for _, source, neuron in projection.slices():
            heard[source, where.core[neuron]] = True
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
        **_synapse_columns(rows, where, heard), **_cell_columns(network, where))  # type: ignore[arg-type]


def _listeners(heard: BoolMatrix) -> NDArray[np.int32]:
    """The cores that hear each source, one source after the other."""
    step = max(1, SLICE // max(heard.shape[1], 1))
    found = [np.nonzero(heard[first : first + step])[1].astype(np.int32) for first in range(0, len(heard), step)]
    return np.concatenate(found) if found else np.zeros(0, np.int32)


def _synapse_columns(rows: Rows, where: Layout, heard: BoolMatrix) -> dict[str, NDArray[np.generic]]:
    """Axons and synapses by (core, source, target), in this order; equal ones stay as they came."""
    core, source, target, unsorted = _gathered(rows, where)
    order = np.argsort(core, kind="stable")
    bounds = np.r_[0, np.cumsum(np.bincount(core, minlength=heard.shape[1]))]
    del core
    axons = np.count_nonzero(heard, axis=0)
    axon_ptr = np.r_[0, np.cumsum(axons)].astype(np.int64)
    axon_source = np.empty(axon_ptr[-1], np.int64)
    synapse_ptr = np.full(axon_ptr[-1] + 1, len(order), np.int64)
    for c, (low, high) in enumerate(pairwise(bounds)):
        mine = order[low:high]
        mine = mine[np.argsort(source[mine].astype(np.int64) * len(where.core) + target[mine], kind="stable")]
        order[low:high] = mine
        own = source[mine]
        starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]][: len(own)])
        axon_source[axon_ptr[c] : axon_ptr[c + 1]] = own[starts]
        synapse_ptr[axon_ptr[c] : axon_ptr[c + 1]] = low + starts
    columns = {"axon_ptr": axon_ptr, "axon_source": axon_source, "synapse_ptr": synapse_ptr, "target": target[order]}
    del source, target
    return columns | {name: unsorted.pop(name)[order] for name in list(unsorted)}


def _gathered(rows: Rows, where: Layout) -> tuple[NDArray[np.integer], NDArray[np.int32], NDArray[np.int32],
                                                  dict[str, NDArray[np.generic]]]:
    """(core, source id, target within the core, the other columns) of all synapses, in as few bytes as hold them."""
    n = len(rows)
    # sixteen bits sort in linear time
    few = len(where.neuron_ptr) <= 1 << 16
    core: NDArray[np.integer] = np.empty(n, np.uint16) if few else np.empty(n, np.int32)
    source, target = np.empty(n, np.int32), np.empty(n, np.int32)
    rest: dict[str, NDArray[np.generic]] = {
        "weight": np.empty(n, np.int16), "exponent": np.empty(n, np.int8), "delay": np.empty(n, np.uint8)}
    first = 0
    for projection in rows.projections:
        s = projection.synapses
        for part, ids, neuron in projection.slices():
            to = slice(first, first := first + len(ids))
            core[to], source[to], target[to] = where.core[neuron], ids, where.local[neuron]
            rest["weight"][to], rest["exponent"][to] = s.weight[part], s.weight_exp
            rest["delay"][to] = s.delay_ticks[part]
    return core, source, target, rest


def _cell_columns(network: Network, where: Layout) -> dict[str, NDArray[Any]]:
    """Neuron parameters in core order."""
    cells = [c for c in network.populations.values() if isinstance(c, FixedLIF)]
    kinds = {"du": np.int32, "dv": np.int32, "vth": np.int32, "bias": np.int32, "u_init": np.int32,
             "v_init": np.int32, "reset_by": np.int32}
    columns: dict[str, NDArray[Any]] = {}
    for name, dtype in kinds.items():
        columns[name] = np.concatenate([getattr(c, name).ravel() for c in cells]).astype(dtype)[where.order]
    columns["reset"] = np.concatenate([np.full(c.n, RESETS.index(c.reset), np.uint8) for c in cells])[where.order]
    columns["fires"] = np.concatenate([np.full(c.n, c.fires, bool) for c in cells])[where.order]
    return columns
