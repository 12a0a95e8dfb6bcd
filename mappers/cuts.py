"""cuts: the ways to cut a population into parts, with the messages and the time that each would take.

A population is a number of channels at a number of positions. Channels are cut into blocks; the positions of every
block are cut into consecutive runs of an order that fills bands, so that the runs are nearly square and their
receptive fields overlap little, whatever their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isqrt, prod

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Shape, Synapses
from hwsdk.mappers.cut_kernels import conv_load, explicit_load, position_work
from hwsdk.mappers.loihi_cells import model_of
from hwsdk.mappers.loihi_layout import conv_grid
from hwsdk.mappers.loihi_memory import Explicit, PopulationMemory, Shared, population_memory
from hwsdk.mappers.objective import Times
from hwsdk.targets.loihi import LoihiTarget

IntArray = NDArray[np.int64]
Floats = NDArray[np.float64]
Rates = Mapping[str, Floats]
"""Sender -> spikes a step of each of its neurons."""


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """A population with everything that decides about its cuts. grid: (channels, *positions)."""

    memory: PopulationMemory
    grid: Shape
    explicit: tuple[tuple[Explicit, Floats], ...]
    shared: tuple[tuple[Shared, Floats], ...]
    fired: float
    times: Times
    update: float
    orders: dict[tuple[int, int], IntArray] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Neurons."""
        return self.memory.cell.n

    @property
    def positions(self) -> int:
        """Positions of a channel."""
        return prod(self.grid[1:])

    def operations(self, kind: str) -> float:
        """Synaptic operations a step: "private" or "shared" ones."""
        if kind == "private":
            return sum(float(rate[s.source].sum()) for s, rate in self.explicit)
        total = 0.0
        for c, rate in self.shared:
            met = np.bincount(c.meet[c.meet >= 0], minlength=prod(c.node.pre_shape[1:]))
            total += float(_fan(c.node, rate, np.ones(c.node.conv_shape[0], bool))[1] @ met)
        return total

    def work(self) -> Floats:
        """(positions): time that the neurons of a position take in a step, updates and synaptic operations."""
        found = np.full(self.positions, self.grid[0] * self.update)
        for c, rate in self.shared:
            if len(c.meet) == self.positions:
                done = np.zeros(self.positions)
                position_work(c.meet, _fan(c.node, rate, np.ones(self.grid[0], bool))[1], done)
                found += done * self.times.shared
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One way to cut: block of each channel, and the positions in the order and the runs of it that are the parts."""

    demand: Demand
    block: IntArray
    order: IntArray
    start: IntArray

    @property
    def parts(self) -> int:
        """How many."""
        return (int(self.block.max()) + 1) * (len(self.start) - 1)

    def part(self) -> IntArray:
        """Part of each neuron."""
        run = np.empty(len(self.order), np.int64)
        run[self.order] = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))
        return (self.block[:, None] * (len(self.start) - 1) + run).ravel()

    def load(self) -> tuple[Floats, Floats]:
        """(messages, seconds) a step of each part."""
        d, k = self.demand, self.parts
        messages, synops = np.zeros(k), np.zeros(k)
        shared = np.zeros(k)
        for c, rate in d.shared:
            if len(c.meet) != d.positions:  # another geometry than that of the cut: an upper bound
                messages += rate.sum()
                continue
            for b in range(int(self.block.max()) + 1):
                own = slice(b * (len(self.start) - 1), (b + 1) * (len(self.start) - 1))
                conv_load(self.order, self.start, c.meet, *_fan(c.node, rate, self.block == b), messages[own],
                          shared[own])
        if d.explicit:
            part = self.part()
            for s, rate in d.explicit:
                explicit_load(s.source, s.target, part, rate, messages, synops)
        sizes = np.outer(np.bincount(self.block), np.diff(self.start)).ravel()
        neuron = sizes * d.update + sizes / d.n * d.fired * (d.times.spike + d.times.message_out)
        synapse = messages * d.times.message_in + synops * d.times.private + shared * d.times.shared
        return messages, np.maximum(neuron, synapse)


def _fan(node: ConvSynapses, rate: Floats, own: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(messages, synaptic operations) of each input position, for the output channels that are ``own``."""
    per_channel = rate.reshape(node.pre_shape[0], -1)
    channels = np.resize(own, node.conv_shape[0])
    reached = np.repeat(channels.reshape(node.groups, -1).sum(axis=1), node.weight.shape[1])
    return per_channel[reached > 0].sum(axis=0), reached @ per_channel


def demand(network: Network, name: str, target: LoihiTarget, rates: Rates) -> Demand:
    """What decides about the cuts of a population."""
    memory, times = population_memory(network, name, target), Times.of(target)
    cell = network.populations[name]
    grid = conv_grid(network, name) or ((*cell.shape[:1], prod(cell.shape[1:])) if len(cell.shape) > 1 else (1, cell.n))
    sources: dict[type, list[Floats]] = {Synapses: [], ConvSynapses: []}
    for edge in network.sources(name):
        for before in network.sources(edge.source):
            sources[type(network.nodes[edge.source])].append(rates[before.source])
    return Demand(memory, grid, tuple(zip(memory.explicit, sources[Synapses], strict=True)),
                  tuple(zip(memory.shared, sources[ConvSynapses], strict=True)), float(rates[name].sum()), times,
                  times.update_of(model_of(cell)))


def plans(d: Demand, k: int) -> Iterator[Plan]:
    """The ways to cut into k parts, or up to a sixteenth more."""
    work: Floats | None = None
    for blocks in _block_counts(d.grid[0], k):
        runs = -(-k // blocks)
        if blocks * runs > k + k // 16 or runs > d.positions or blocks > d.grid[0]:
            continue
        block = np.arange(d.grid[0]) * blocks // d.grid[0]
        even = np.arange(runs + 1) * d.positions // runs
        for order in _orders(d, runs):
            yield Plan(d, block, order, even)
            if runs > 1 and any(rate.size and rate.min() < rate.max() for _, rate in d.shared):
                work = d.work() if work is None else work
                yield Plan(d, block, order, _balanced(work[order], runs))


def _block_counts(channels: int, k: int) -> list[int]:
    """Numbers of channel blocks to try: powers of two and thrice these, k itself, and all channels."""
    some = {1, min(k, channels), channels} | {m * 2**i for m in (1, 3) for i in range(channels.bit_length())}
    return sorted(b for b in some if b <= min(k, channels))


def _balanced(work: Floats, runs: int) -> IntArray:
    """Runs of about equal work, none of them empty."""
    total = np.cumsum(work)
    inner = np.searchsorted(total, total[-1] * np.arange(1, runs) / runs) + 1
    start = np.r_[0, inner, len(work)]
    start = np.maximum.accumulate(np.maximum(start, np.arange(runs + 1)))
    return np.minimum(start, len(work) - runs + np.arange(runs + 1))


def _orders(d: Demand, runs: int) -> Iterator[IntArray]:
    """Orders of the positions: in bands of rows or of columns, as many as make the runs nearly square."""
    height, width = prod(d.grid[1:-1]), d.grid[-1]
    if runs == 1 or min(height, width) == 1:
        yield np.arange(d.positions)
        return
    for axis, (across, along) in enumerate(((height, width), (width, height))):
        best = isqrt(max(runs * across // along, 1))
        for bands in sorted({1, across, *range(max(1, best - 1), best + 3)}):
            if bands <= across:
                if (axis, bands) not in d.orders:
                    d.orders[axis, bands] = band_order(height, width, bands, axis)
                yield d.orders[axis, bands]


def band_order(height: int, width: int, bands: int, axis: int) -> IntArray:
    """Positions of a height x width grid, band by band; a band is passed through across, every other one backwards.

    axis 0: bands of rows. 1: bands of columns.
    """
    grid = np.arange(height * width).reshape(height, width)
    grid = grid.T if axis else grid
    parts = []
    for b in range(bands):
        band = grid[b * len(grid) // bands : (b + 1) * len(grid) // bands]
        parts.append((band[:, ::-1] if b % 2 else band).T.ravel())
    return np.concatenate(parts)
