"""emit: a placed integer network -> the memories of a LoihiProgram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.mapping import Placement, Slice
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import FixedLIF
from hwsdk.ir.nodes import Synapses, size
from hwsdk.programs.loihi import RESETS, LoihiArrays, Source

IntArray = NDArray[np.int64]
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
    """All synapses of the program as columns, sorted by (core, source, target)."""

    core: IntArray
    source: IntArray
    target: IntArray
    weight: NDArray[np.int16]
    exponent: NDArray[np.int8]
    delay: NDArray[np.uint8]


def synapse_rows(network: Network, where: Layout) -> Rows:
    """Gather the synapses of all projections."""
    columns = []
    for name, s in network.of(Synapses).items():
        assert_synapses = s if isinstance(s, Synapses) else None
        if assert_synapses is None or not len(assert_synapses.weight):
            continue
        pre = where.first(network.sources(name)[0].source)
        post = where.first(network.targets(name)[0].target) - where.n_inputs
        neuron = post + assert_synapses.target
        columns.append((where.core[neuron], pre + assert_synapses.source, where.local[neuron],
                        assert_synapses.weight.astype(np.int16),
                        np.full(len(neuron), assert_synapses.weight_exp, np.int8),
                        assert_synapses.delay_ticks.astype(np.uint8)))
    if not columns:
        none = np.zeros(0, np.int64)
        return Rows(none, none, none, none.astype(np.int16), none.astype(np.int8), none.astype(np.uint8))
    core, source, target, weight, exponent, delay = (np.concatenate(c) for c in zip(*columns, strict=True))
    widest = int(np.diff(where.neuron_ptr).max())
    key = (core * where.n_sources + source) * widest + target
    order = np.argsort(key, kind="stable")
    return Rows(core[order], source[order], target[order], weight[order], exponent[order], delay[order])


def listening(rows: Rows, where: Layout, n_cores: int) -> BoolMatrix:
    """(sources, cores): does the core have an axon for the source?"""
    heard = np.zeros((where.n_sources, n_cores), bool)
    heard[rows.source, rows.core] = True
    return heard


def traffic(heard: BoolMatrix, where: Layout, rate: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """(cores, cores) messages from row to column if every neuron fires at its ``rate`` (default 1)."""
    n_cores = heard.shape[1]
    flow = np.zeros((n_cores, n_cores))
    neurons = heard[where.n_inputs :].astype(np.float64)
    np.add.at(flow, where.core, neurons if rate is None else neurons * rate[:, None])
    return flow


def axons_out(heard: BoolMatrix, where: Layout) -> IntArray:
    """Entries of the axon map of each core: one for each (neuron, core that hears it)."""
    fan = heard[where.n_inputs :].sum(1)
    return np.bincount(where.core, weights=fan, minlength=heard.shape[1]).astype(np.int64)


def arrays(network: Network, where: Layout, rows: Rows, heard: BoolMatrix, placement: Placement) -> LoihiArrays:
    """The memories of all cores."""
    n_cores = heard.shape[1]
    starts = np.flatnonzero(np.r_[True, (np.diff(rows.core) != 0) | (np.diff(rows.source) != 0)]) \
        if len(rows.core) else np.zeros(0, np.int64)
    axon_core = rows.core[starts]
    out_core = np.nonzero(heard)[1].astype(np.int32)
    cells = _cell_columns(network, where)
    return LoihiArrays(
        core_chip=np.array([p.chip for p in placement.places], np.int32),
        core_x=np.array([p.x for p in placement.places], np.int32),
        core_y=np.array([p.y for p in placement.places], np.int32),
        neuron_ptr=where.neuron_ptr, source_id=where.order + where.n_inputs,
        axon_ptr=np.searchsorted(axon_core, np.arange(n_cores + 1)).astype(np.int64),
        axon_source=rows.source[starts], synapse_ptr=np.r_[starts, len(rows.core)].astype(np.int64),
        target=rows.target.astype(np.int32), weight=rows.weight, exponent=rows.exponent, delay=rows.delay,
        out_ptr=np.r_[0, np.cumsum(heard.sum(1))].astype(np.int64), out_core=out_core, **cells)


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
