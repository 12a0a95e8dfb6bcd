"""Slices onto PEs, and what they will take there: bytes, cycles, packets, the load that asks for a faster clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses
from hwsdk.mappers.spinnaker_kernels import add_rows, count_into, sum_into
from hwsdk.mappers.spinnaker_load import Activity, Limits, Own, event_cycles, hearing, model_of
from hwsdk.mappers.spinnaker_rows import Heard, Layout, SliceId
from hwsdk.mappers.spinnaker_tiles import conv_events
from hwsdk.mappers.spinnaker_wires import WIDEST, Cut, Wiring
from hwsdk.programs.spinnaker_image import Block

Floats = NDArray[np.float64]
IntArray = NDArray[np.int64]
Pes = tuple[tuple[SliceId, ...], ...]


def alone(cuts: Mapping[str, Cut]) -> Pes:
    """Every slice on a PE of its own."""
    return tuple(((name, k),) for name, cut in cuts.items() for k in range(len(cut.index)))


def side_by_side(network: Network, cuts: Mapping[str, Cut]) -> Pes:
    """The k-th slices of all populations of one model on one PE; inputs on PEs of their own."""
    own = alone({n: c for n, c in cuts.items() if n in network.inputs})
    columns: dict[tuple[str, int], list[SliceId]] = {}
    for name, cell in network.populations.items():
        for k in range(len(cuts[name].index)):
            columns.setdefault((model_of(cell), k), []).append((name, k))
    return (*own, *(tuple(c) for c in columns.values()))


def merged(wiring: Wiring, cuts: Mapping[str, Cut], limits: Limits, activity: Activity) -> Pes:
    """Slices together on the fewest PEs, first fit in the order of the senders; populations that learn stay apart.

    Slices of a population go to PEs in ascending order, in which the simulator takes their packets: sums of floats are
    then those of the reference.
    """
    bins: list[tuple[list[SliceId], _Need]] = []
    for name in cuts:
        at = 0
        for k, need in enumerate(_needs(wiring, name, cuts, limits, activity)):
            while at < len(bins) and not bins[at][1].takes(need, limits):
                at += 1
            if at == len(bins):
                bins.append(([(name, k)], need))
            else:
                bins[at][0].append((name, k))
                bins[at][1].add(need)
    return tuple(tuple(members) for members, _ in bins)


@dataclass(slots=True)
class _Need:
    """What some slices take of one PE. widest: neurons that their words address; alone: do they learn?"""

    model: str
    n: int
    widest: int
    size: float
    busy: float
    alone: bool

    def takes(self, other: _Need, limits: Limits) -> bool:
        """Do both fit on one PE?"""
        n = self.n + other.n
        return not (self.alone or other.alone) and self.model == other.model and \
            n <= min(self.widest, other.widest, limits.neurons) and self.size + other.size <= limits.data_bytes and \
            self.busy + other.busy <= limits.tick_cycles

    def add(self, other: _Need) -> None:
        """Take it."""
        self.n += other.n
        self.widest = min(self.widest, other.widest)
        self.size += other.size
        self.busy += other.busy


def _needs(wiring: Wiring, name: str, cuts: Mapping[str, Cut], limits: Limits, activity: Activity) -> list[_Need]:
    """Of each slice of a sender, never too little: the ring counts as if it were the longest there is."""
    network = wiring.network
    sizes = cuts[name].sizes
    if name in network.inputs:
        fires = activity.of(name).max(initial=0.0) * limits.cycles["spike_out"]
        return [_Need("source", int(n), WIDEST, 0.0, limits.cycles["tick"] + n * fires, False) for n in sizes]
    wires = wiring.into(name)
    own = Own.of(network, name, wires, limits, activity)
    size, busy = own.base_bytes + sizes * own.neuron_bytes, own.base_cycles + sizes * own.neuron_cycles
    size = size + 8 * 4 * sizes * (wiring.network.populations[name].n > 0)
    for w in wires:
        heard = hearing(w, cuts[w.source], activity, limits)
        size, busy = size + heard[0].sum(), busy + heard[1].sum()
        events, words = _per_slice(w.node, cuts[name], activity.of(w.source), w.word_bytes if w.kind != "conv" else 0)
        size, busy = size + words, busy + events * event_cycles(w, limits)
    learns = any(w.kind == "plastic" for w in wires)
    return [_Need(model_of(network.populations[name]), int(n), wiring.widest(name), float(s), float(b), learns)
            for n, s, b in zip(sizes, size, busy, strict=True)]


def _per_slice(node: Any, cut: Cut, rate: Floats, word_bytes: int) -> tuple[Floats, Floats]:
    """(expected events, bytes of words or kernels) of each slice of the targets."""
    k, n = len(cut.index), len(cut.slice_of)
    if isinstance(node, ConvSynapses):
        return cut.sums(conv_events(node, rate).ravel()), np.full(k, 2.0 * node.weight.size + 8)
    events, words = np.zeros(n), np.zeros(n, np.int64)
    sum_into(node.source, node.target, n, rate, events)
    if word_bytes:
        count_into(node.target, n, words)
    return cut.sums(events), cut.sums(words.astype(np.float64)) * word_bytes


def packets(layout: Layout, heard: list[Heard], activity: Activity) -> tuple[list[SliceId], Floats, IntArray, IntArray]:
    """(slices in the order of the PEs, packets a tick of each, pointers, PEs that hear each by ascending number)."""
    slices, n_pes = [s for pe in layout.pes for s in pe], len(layout.pes)
    number = {n: np.zeros(len(c.index), np.int64) for n, c in layout.cuts.items()}
    for k, (name, part) in enumerate(slices):
        number[name][part] = k
    hears = np.zeros((len(slices), n_pes), bool)
    for h in heard:
        hears[number[h.wire.source][h.source], np.repeat(layout.pe_of(h.wire.target), np.diff(h.ptr))] = True
    source, pe = np.nonzero(hears)
    ptr = np.searchsorted(source, np.arange(len(slices) + 1)).astype(np.int64)
    sums = {n: c.sums(activity.of(n)) for n, c in layout.cuts.items()}
    return slices, np.array([sums[n][k] for n, k in slices]), ptr, pe


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """Of each PE in a tick: fixed, cycles whatever spikes; more, cycles on top at the expected activity; packets then;
    both of the busiest phase.
    """

    fixed: Floats
    more: Floats
    packets: Floats


def predicted(layout: Layout, heard: list[Heard], limits: Limits, activity: Activity) -> Predicted:
    """The load of the PEs."""
    network, n_pes, c = layout.wiring.network, len(layout.pes), limits.cycles
    fixed, out, come = np.full(n_pes, c["tick"]), np.zeros(n_pes), np.zeros((limits.phases.count, n_pes))
    silent = activity.times(0.0)
    for name, cut in layout.cuts.items():
        pe = layout.pe_of(name)
        if name in network.populations:
            own = Own.of(network, name, layout.wiring.into(name), limits, silent)
            np.add.at(fixed, pe, cut.sizes * own.neuron_cycles)
        recorded = name in activity.records
        np.add.at(out, pe, cut.sums(activity.of(name)) * (c["spike_out"] + c["recorded"] * recorded))
    slices, sent, ptr, pes = packets(layout, heard, activity)
    phase = np.array([limits.phase(n) for n, _ in slices], np.int64)
    np.add.at(come, (np.repeat(phase, np.diff(ptr)), pes), np.repeat(sent, np.diff(ptr)))
    more = come * c["packet"]
    for w in layout.wiring.wires:
        events, _ = _per_slice(w.node, layout.cuts[w.target], activity.of(w.source), 0)
        np.add.at(more[limits.phase(w.source)], layout.pe_of(w.target), events * event_cycles(w, limits))
    return Predicted(fixed, out + more.max(axis=0), come.max(axis=0))


def high_from(layout: Layout, heard: list[Heard], limits: Limits, low_cycles: float,
              records: frozenset[str]) -> IntArray:
    """Packets of a tick from which each PE needs the high level: fewer than these it can work off at the low one,
    whatever they are and however many of its neurons spike. 0: always.
    """
    if low_cycles == np.inf:
        return np.zeros(len(layout.pes), np.int64)
    busiest = Activity({n: np.ones(len(c.slice_of)) for n, c in layout.cuts.items()}, records)
    quiet = predicted(layout, [], limits, busiest.times(0.0)).fixed
    out = limits.cycles["spike_out"] + limits.cycles["recorded"]
    atoms = np.array([layout.neurons(p) for p in range(len(layout.pes))])
    room = (low_cycles - quiet - atoms * out) / (limits.cycles["packet"] + _busiest_row(layout, heard, limits))
    found: IntArray = np.maximum(np.floor(room) + 1, 0).astype(np.int64)
    return found


def _busiest_row(layout: Layout, heard: list[Heard], limits: Limits) -> Floats:
    """Cycles of the events of one packet, at most, on each PE."""
    offset = dict(zip(layout.cuts, np.r_[0, np.cumsum([len(c.rank) for c in layout.cuts.values()])].tolist(),
                      strict=False))
    worst, busy = np.zeros(len(layout.pes)), np.zeros(sum(len(c.rank) for c in layout.cuts.values()))
    into = {n: [h for h in heard if h.wire.target == n] for n in layout.cuts}
    for pe, own in enumerate(layout.pes):
        touched = [(h, slice(int(h.ptr[k]), int(h.ptr[k + 1]))) for n, k in own for h in into[n]]
        for h, pairs in touched:
            cut, cycles = layout.cuts[h.wire.source], event_cycles(h.wire, limits)
            first, n = offset[h.wire.source] + cut.starts[h.source[pairs]], cut.sizes[h.source[pairs]]
            if h.wire.kind == "conv":
                for b, at, size in zip(h.blocks[pairs], first.tolist(), n.tolist(), strict=True):
                    busy[at : at + size] += _row_events(h.wire.node, b) * cycles
            else:
                add_rows(h.rows, h.row_at[pairs], first, n, cycles, busy)
        for source in {h.wire.source for h, _ in touched}:
            part = busy[offset[source] : offset[source] + len(layout.cuts[source].rank)]
            worst[pe] = max(worst[pe], part.max(initial=0.0))
            part[:] = 0.0
    return worst


def _row_events(node: Any, block: Block) -> int:
    """Events of one packet of a convolution at most."""
    found = block.shape["out_channels"]
    for k, s, d in zip(node.kernel, node.stride, node.dilation, strict=True):
        found *= ceil(k / (s // gcd(s, d)))
    return found
