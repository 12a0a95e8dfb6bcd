"""emit: a placed integer network -> the memories of a LoihiProgram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.ir.mapping import Placement
from hwsdk.ir.network import Network
from hwsdk.mappers.loihi_cells import columns
from hwsdk.mappers.loihi_layout import Layout
from hwsdk.mappers.loihi_rows import Rows
from hwsdk.programs.loihi import LoihiArrays

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Axons:
    """Who hears whom: core and source of each input axon, by ascending (core, source), and its first segment."""

    core: NDArray[np.int32]
    source: IntArray
    segment_ptr: IntArray


def axons(rows: Rows) -> Axons:
    """One axon for each core and source."""
    core, source = rows.segment_core, rows.segment_source
    start = np.flatnonzero(np.r_[True, (core[1:] != core[:-1]) | (source[1:] != source[:-1])][: len(core)])
    return Axons(core[start], source[start], np.r_[start, len(core)].astype(np.int64))


def traffic(heard: Axons, where: Layout, rate: NDArray[np.float64] | None = None) -> sparse.csr_array:
    """(cores, cores) messages from row to column in a step if every neuron fires at its ``rate`` (default 1)."""
    sent = heard.source >= where.n_inputs
    neuron = heard.source[sent] - where.n_inputs
    weight = np.ones(len(neuron)) if rate is None else rate[neuron]
    flow = sparse.coo_array((weight, (where.core[neuron], heard.core[sent])), shape=(where.n_cores, where.n_cores))
    return flow.tocsr()


def axons_out(heard: Axons, where: Layout) -> IntArray:
    """Entries of the axon map of each core: one for each (neuron, core that hears it)."""
    neuron = heard.source[heard.source >= where.n_inputs] - where.n_inputs
    return np.bincount(where.core[neuron], minlength=where.n_cores).astype(np.int64)


def arrays(network: Network, where: Layout, rows: Rows, heard: Axons, placement: Placement) -> LoihiArrays:
    """The memories of all cores."""
    by_source = np.argsort(heard.source, kind="stable")
    return LoihiArrays(
        core_chip=np.array([p.chip for p in placement.places], np.int32),
        core_x=np.array([p.x for p in placement.places], np.int32),
        core_y=np.array([p.y for p in placement.places], np.int32),
        neuron_ptr=where.neuron_ptr, source_id=where.order + where.n_inputs,
        axon_ptr=_pointers(heard.core, where.n_cores), axon_source=heard.source, segment_ptr=heard.segment_ptr,
        segment_row=rows.segment_row, segment_base=rows.segment_base,
        core_row_ptr=_pointers(rows.core, where.n_cores), row_ptr=rows.ptr, row_exponent=rows.exponent,
        row_bits=rows.bits, row_shared=rows.shared, target=rows.target, weight=rows.weight, delay=rows.delay,
        out_ptr=_pointers(heard.source, where.n_sources), out_core=heard.core[by_source],
        **columns(list(network.populations.values()), where.order))


def _pointers(owner: NDArray[np.integer], n: int) -> IntArray:
    """Where the items of each of n owners begin, and the end of the last."""
    return np.asarray(np.r_[0, np.cumsum(np.bincount(owner, minlength=n))], np.int64)
