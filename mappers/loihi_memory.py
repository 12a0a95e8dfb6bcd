"""How much of a Loihi core's memory a part of a population takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.mappers.loihi_cells import configuration
from hwsdk.mappers.loihi_kernels import count_axons, longest_run
from hwsdk.mappers.loihi_rows import Patterns, count_conv, meeting_table, patterns, row_lengths, stored
from hwsdk.targets.loihi import LoihiTarget

IntArray = NDArray[np.int64]
PER_CORE = ("neurons", "groups", "axons_in", "axons_out", "synapse_words", "total_words")
DELAY_BITS = 6
"""Width of the synaptic delay field (Loihi 1: 6 bits, Davies 2018); added to the synapses of a row with delays."""
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
class Explicit:
    """Synapses of a projection by ascending source; target: neuron; long: is the delay more than one step?"""

    source: IntArray
    target: IntArray
    long: NDArray[np.bool_]
    bits: int
    longest: int


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A convolution and the input positions that it joins with its output positions."""

    node: ConvSynapses
    meet: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class PopulationMemory:
    """Everything about one population that decides what its parts take."""

    name: str
    cell: Neuron
    explicit: tuple[Explicit, ...]
    shared: tuple[Shared, ...]
    group: IntArray
    target: LoihiTarget

    def usage(self, part: IntArray, k: int) -> PartUsage:
        """Resources when neuron i goes to part[i] of k."""
        neurons, groups = self._neurons(part, k)
        axons, words = np.zeros(k, np.int64), np.zeros(k, np.int64)
        for s in self.explicit:
            lengths = np.arange(s.longest + 1)
            words_of = np.stack([stored_words(lengths, s.bits, delays, self.target) for delays in (False, True)])
            count_axons(s.source, s.target, s.long, part, words_of, axons, words)
        for c in self.shared:
            found = self._patterns(c, part, k)
            axons += count_conv(c.node, c.meet, found)[0]
            words += self._shared_words(c, found, k)
        return PartUsage(neurons, groups, axons, words)

    def without_axons(self, part: IntArray, k: int) -> PartUsage:
        """The same without a walk over the synapses: no axons, and of the words only those of shared kernels."""
        words = np.zeros(k, np.int64)
        for c in self.shared:
            words += self._shared_words(c, self._patterns(c, part, k), k)
        return PartUsage(*self._neurons(part, k), np.zeros(k, np.int64), words)

    def _neurons(self, part: IntArray, k: int) -> tuple[IntArray, IntArray]:
        """(neurons, groups) of each part."""
        groups = np.zeros((k, int(self.group.max(initial=0)) + 1), bool)
        groups[part, self.group] = True
        return np.bincount(part, minlength=k).astype(np.int64), np.count_nonzero(groups, axis=1).astype(np.int64)

    def _patterns(self, c: Shared, part: IntArray, k: int) -> Patterns:
        """Which kernel rows each part needs."""
        targets = int(np.prod(c.node.conv_shape))
        return patterns(c.node, c.meet, np.resize(part, targets), k, self.cell.n)

    def _shared_words(self, c: Shared, found: Patterns, k: int) -> IntArray:
        """Words of the kernel rows of each part."""
        words = row_words(row_lengths(c.node, found), c.node.weight_bits, True, False, self.target)
        rows = np.count_nonzero(stored(c.node, found), axis=2)
        return np.bincount(found.class_part, (words * rows).sum(axis=1), minlength=k).astype(np.int64)


def row_words(n: IntArray, bits: IntArray | int, shared: NDArray[np.bool_] | bool, delays: NDArray[np.bool_] | bool,
              target: LoihiTarget) -> IntArray:
    """64-bit words of rows with n synapses. shared: rows of a kernel, stored without indices; delays: with delays.

    Loihi 2, shared: ceil((n b + 10) / 64), so that a kernel takes C_in kh kw ceil((C_out b + 10) / 64) as the Intel
    compiler prints; on Loihi 1 nothing is published but lists with indices.
    """
    listed = stored_words(n, bits, delays, target)
    if target.memory.model == "loihi1":
        return listed
    return np.where(shared, -(-(n * bits + (target.memory.group_overhead_bits.value or 0)) // 64), listed)


def stored_words(n: IntArray, bits: IntArray | int, delays: NDArray[np.bool_] | bool, target: LoihiTarget) -> IntArray:
    """64-bit words for one axon's list of n synapses (facts: dense = ceil(n (12 + b) / 64) on Loihi 2)."""
    entry = np.asarray(bits, np.int64) + (target.memory.index_bits.value or 0) + np.asarray(delays) * DELAY_BITS
    if target.memory.model == "loihi2":
        return np.asarray(-(-n * entry // 64))
    header = target.memory.group_overhead_bits.value or 0
    full, rest = np.divmod(n, SYNAPSES_A_GROUP)
    tail = np.where(rest > 0, -(-(rest * entry + header) // 64), 0)
    return np.asarray(full * -(-(SYNAPSES_A_GROUP * entry + header) // 64) + tail)


def population_memory(network: Network, name: str, target: LoihiTarget) -> PopulationMemory:
    """The memory model of one population of an integer network."""
    cell = network.populations[name]
    found = [network.nodes[e.source] for e in network.sources(name)]
    return PopulationMemory(
        name, cell, tuple(_explicit(s, cell.n) for s in found if isinstance(s, Synapses)),
        tuple(Shared(c, meeting_table(c)) for c in found if isinstance(c, ConvSynapses)), neuron_groups(cell), target)


def _explicit(s: Synapses, cells: int) -> Explicit:
    """Sorted by source, if they are not; a second input of a neuron is on the same core."""
    order = slice(None) if (s.source[1:] >= s.source[:-1]).all() else np.argsort(s.source, kind="stable")
    source, target = s.source[order], s.target[order]
    if len(target) and target.max() >= cells:
        target = target % cells
    return Explicit(source, target, s.delay_ticks[order] > 1, s.weight_bits, int(longest_run(source)))


def neuron_groups(cell: Neuron) -> IntArray:
    """Group of each neuron, flat: neurons of one model with the same parameters but bias share one configuration."""
    table = configuration(cell)
    if (table == table[:, :1]).all():
        return np.zeros(cell.n, np.int64)
    return np.unique(table, axis=1, return_inverse=True)[1].ravel().astype(np.int64)


def limits(target: LoihiTarget) -> dict[str, int | None]:
    """Per-core capacities by resource."""
    return {name: target.limit(name) for name in PER_CORE}


def total_words(usage: dict[str, int]) -> int:
    """Fit to the Intel compiler print-outs: neurons + synapse words + input axons + axon map, one word each.

    Only LIF neurons are known to take one word; those with a program of their own take more, and how much more is not
    published, so that a core of these can be smaller than the sum says.
    """
    return usage["neurons"] + usage["synapse_words"] + usage["axons_in"] + usage.get("axons_out", 0)
