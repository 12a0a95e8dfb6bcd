"""How much of a Loihi core's memory a part of a population takes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses
from hwsdk.mappers.loihi_kernels import count_axons, longest_run
from hwsdk.targets import Target

IntArray = NDArray[np.int64]
PER_CORE = ("neurons", "groups", "axons_in", "axons_out", "synapse_words", "total_words")
DELAY_BITS = 6
"""Width of the synaptic delay field (Loihi 1: 6 bits, Davies 2018); added where a projection has delays."""
SYNAPSES_A_GROUP = 64
"""Loihi 1 stores synapses in groups of up to 64, each with its own header (nengo-loihi)."""


@dataclass(frozen=True, slots=True, eq=False)
class PartUsage:
    """Resources of each of k parts of one population, int64 (k,) each."""

    neurons: IntArray
    groups: IntArray
    axons_in: IntArray
    synapse_words: IntArray

    def of(self, part: int) -> dict[str, int]:
        """The numbers of one part, without its outgoing axons."""
        return {n: int(getattr(self, n)[part]) for n in ("neurons", "groups", "axons_in", "synapse_words")}


@dataclass(frozen=True, slots=True, eq=False)
class PopulationMemory:
    """Everything about one population that decides what its parts take."""

    name: str
    cell: FixedLIF
    projections: tuple[Synapses, ...]
    runs: tuple[tuple[IntArray, IntArray, int], ...]
    group: IntArray
    target: Target

    def usage(self, part: IntArray, k: int) -> PartUsage:
        """Resources when neuron i goes to part[i] of k."""
        cheap = self.without_axons(part, k)
        words, axons = cheap.synapse_words, np.zeros(k, np.int64)
        for s, (source, target, longest) in zip(self.projections, self.runs, strict=True):
            stored = np.zeros(k, np.int64)
            delays = s.shared is None and bool((s.delay_ticks > 1).any())
            words_of = stored_words(np.arange(longest + 1), s.weight_bits, delays, self.target)
            count_axons(source, target, part, words_of, axons, stored)
            words = words + stored if s.shared is None else words
        return PartUsage(cheap.neurons, cheap.groups, axons, words)

    def without_axons(self, part: IntArray, k: int) -> PartUsage:
        """The same without a walk over the synapses: no axons, and of the words only those of shared kernels."""
        neurons = np.bincount(part, minlength=k).astype(np.int64)
        groups = np.zeros((k, int(self.group.max(initial=0)) + 1), bool)
        groups[part, self.group] = True
        words = np.zeros(k, np.int64)
        for s in self.projections:
            if s.shared is not None:
                channels = _channels_on(part, k, s.post_shape) // s.shared.groups
                words += s.shared.c_in * prod(s.shared.kernel) * shared_words(channels, s, self.target)
        return PartUsage(neurons, np.count_nonzero(groups, axis=1).astype(np.int64), np.zeros(k, np.int64), words)


def by_source(s: Synapses) -> tuple[IntArray, IntArray]:
    """(source, target) of the synapses, by ascending source; lowering sorts them so, then nothing is copied."""
    if (s.source[1:] >= s.source[:-1]).all():
        return s.source, s.target
    order = np.argsort(s.source, kind="stable")
    return s.source[order], s.target[order]


def stored_words(n: IntArray, bits: int, delays: bool, target: Target) -> IntArray:
    """64-bit words for one axon's list of n synapses (facts: dense = ceil(n (12 + b) / 64) on Loihi 2)."""
    entry = bits + (target.memory.index_bits.value or 0) + (DELAY_BITS if delays else 0)
    if target.memory.model == "loihi2":
        return -(-n * entry // 64)
    header = target.memory.group_overhead_bits.value or 0
    full, rest = np.divmod(n, SYNAPSES_A_GROUP)
    tail = np.where(rest > 0, -(-(rest * entry + header) // 64), 0)
    return full * -(-(SYNAPSES_A_GROUP * entry + header) // 64) + tail


def shared_words(channels: IntArray, s: Synapses, target: Target) -> IntArray:
    """Words for one kernel position that serves ``channels`` output channels (facts: ceil((C_out b + 10) / 64))."""
    if target.memory.model == "loihi1":
        return stored_words(channels, s.weight_bits, False, target)
    return -(-(np.maximum(channels, 1) * s.weight_bits + (target.memory.group_overhead_bits.value or 0)) // 64)


def _channels_on(part: IntArray, k: int, shape: tuple[int, ...]) -> IntArray:
    """Output channels (first axis) with a neuron on each part."""
    channel = np.repeat(np.arange(shape[0]), prod(shape[1:]))
    seen = np.zeros((k, shape[0]), bool)
    seen[part, channel] = True
    return np.asarray(np.count_nonzero(seen, axis=1), np.int64)


def population_memory(network: Network, name: str, target: Target) -> PopulationMemory:
    """The memory model of one population of an integer network."""
    cell = network.nodes[name]
    if not isinstance(cell, FixedLIF):
        raise TypeError(f"{name} is not a FixedLIF population")
    found = [network.nodes[e.source] for e in network.sources(name)]
    projections = tuple(s for s in found if isinstance(s, Synapses))
    runs = tuple((*sorted_, int(longest_run(sorted_[0]))) for s in projections if (sorted_ := by_source(s)))
    return PopulationMemory(name, cell, projections, runs, neuron_groups(cell), target)


def neuron_groups(cell: FixedLIF) -> IntArray:
    """Group of each neuron, flat: neurons with the same decays, threshold and reset share one configuration."""
    table = np.stack([x.ravel() for x in (cell.du, cell.dv, cell.vth, cell.reset_by)])
    if (table == table[:, :1]).all():
        return np.zeros(cell.n, np.int64)
    return np.unique(table, axis=1, return_inverse=True)[1].ravel().astype(np.int64)


def limits(target: Target) -> dict[str, int | None]:
    """Per-core capacities by resource."""
    return {name: target.limit(name) for name in PER_CORE}


def total_words(usage: dict[str, int]) -> int:
    """Fit to the Intel compiler print-outs: neurons + synapse words + input axons + axon map, one word each."""
    return usage["neurons"] + usage["synapse_words"] + usage["axons_in"] + usage.get("axons_out", 0)
