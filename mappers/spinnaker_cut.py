"""Partition for SpiNNaker 2: every population in the largest slices that fit a PE's memory and its tick.

Nobody sets neurons per PE by hand. Where nothing is known of a network's activity, slices are made for the largest
share of all neurons spiking in one tick that the PEs at hand allow, which is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, Violation
from hwsdk.mappers.spinnaker_kernels import BYTES, FITS, by_target, count_into, sum_into, sweep
from hwsdk.mappers.spinnaker_load import Activity, Limits, Own, event_cycles, hearing
from hwsdk.mappers.spinnaker_tiles import input_tiles, tile_cut
from hwsdk.mappers.spinnaker_wires import WIDEST, Cut, Wire, Wiring, n_of, ranges

IntArray = NDArray[np.int64]
Floats = NDArray[np.float64]
Cuts = dict[str, Cut]
ROUNDS = 4
"""Slices of a population are counted by the slices of those that it hears, which may be cut later."""
SHARES = 8
"""Halvings of the interval in which the largest share of active neurons is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """cuts: of every sender, inputs first; wiring: with the words that were chosen; share: see Activity."""

    wiring: Wiring
    cuts: Mapping[str, Cut]
    share: float

    @property
    def slices(self) -> int:
        """Slices in all."""
        return sum(len(c.index) for c in self.cuts.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Synapses:
    """The explicit synapses of a population by ascending target, of all its wires.

    source: that of wire k counts from first[k] on. counts (wires, n): synapses of each neuron; events: (rates, expected
    events of each neuron) of each wire at the last rates that were asked for.
    """

    ptr: IntArray
    source: NDArray[np.int32]
    first: IntArray
    counts: IntArray
    events: dict[int, tuple[Floats, Floats]] = field(default_factory=dict)

    def arriving(self, k: int, wire: Wire, activity: Activity) -> Floats:
        """Expected events of each neuron by wire k."""
        rates, share = activity.rates[wire.source], activity.share
        linear = rates.max(initial=0.0) * max(share, 1.0) <= 1.0
        rate, factor = (rates, share) if linear else (activity.of(wire.source), 1.0)
        if k not in self.events or not np.array_equal(self.events[k][0], rate):
            sums, node = np.zeros(self.counts.shape[1]), wire.node
            sum_into(node.source, node.target, len(sums), rate, sums)  # type: ignore[union-attr]
            self.events[k] = rate, sums
        return self.events[k][1] * factor


@dataclass(frozen=True, slots=True, eq=False)
class Cutter:
    """What cutting needs and does not change with the activity. parts: population -> slices at the least."""

    wiring: Wiring
    limits: Limits
    parts: Mapping[str, int]
    synapses: Mapping[str, _Synapses]

    @classmethod
    def of(cls, wiring: Wiring, limits: Limits, parts: Mapping[str, int] | None = None) -> Cutter:
        """Sort the synapses once."""
        flat = {n: _by_target(wiring.into(n), p.n) for n, p in wiring.network.populations.items()
                if n not in wiring.grids}
        return cls(wiring, limits, parts or {}, flat)

    def partition(self, activity: Activity) -> Partition:
        """All populations in the largest slices that fit.

        Raises:
            FitError: one neuron alone does not fit a PE, naming the population, the need and the limit.
        """
        network, wiring = self.wiring.network, self.wiring
        cuts: Cuts = {n: self._input(n, activity) for n in network.inputs}
        cuts |= {n: self._provisional(n) for n in network.populations}
        for _ in range(ROUNDS):
            before = {n: len(c.index) for n, c in cuts.items()}
            for name in network.populations:
                wiring, cuts[name] = self._best(wiring, name, cuts, activity)
            if all(len(c.index) <= before[n] for n, c in cuts.items()):
                break
        return Partition(wiring, cuts, activity.share)

    def _input(self, name: str, activity: Activity) -> Cut:
        """An input on spike sources."""
        n, c = n_of(self.wiring.network, name), self.limits.cycles
        most = min(n, WIDEST, self.limits.neurons)
        busiest = float(activity.of(name).max(initial=0.0)) * c["spike_out"]
        if busiest and self.limits.tick_cycles < np.inf:
            most = int(max(1, min(most, (self.limits.tick_cycles - c["tick"]) // busiest)))
        if name in self.wiring.grids:
            grid = self.wiring.grids[name]
            tiles = input_tiles(grid, most)
            return Cut(tuple(t.index(grid) for t in tiles), tuple(tiles))
        return ranges(_even(n, -(-n // most)))

    def _provisional(self, name: str) -> Cut:
        """Before a population is cut: for the rows that its targets count."""
        n = self.wiring.network.populations[name].n
        k = max(self.parts.get(name, 1), -(-n // min(self.limits.neurons, self.wiring.widest(name))))
        if name in self.wiring.grids:
            grid = self.wiring.grids[name]
            tiles = input_tiles(grid, max(1, n // k))
            return Cut(tuple(t.index(grid) for t in tiles), tuple(tiles))
        return ranges(_even(n, k))

    def _best(self, wiring: Wiring, name: str, cuts: Cuts, activity: Activity) -> tuple[Wiring, Cut]:
        """Narrow words, or wide ones if these make fewer slices because more neurons can be addressed."""
        found = self._cut(wiring, name, cuts, activity)
        widest = wiring.widest(name)
        if widest < min(WIDEST, self.limits.neurons) and len(found.index) > 1 and 2 * found.sizes.max() >= widest:
            wide = wiring.with_wide(name)
            try:
                other = self._cut(wide, name, cuts, activity)
            except FitError:
                return wiring, found
            if len(other.index) < len(found.index):
                return wide, other
        return wiring, found

    def _cut(self, wiring: Wiring, name: str, cuts: Cuts, activity: Activity) -> Cut:
        """One population."""
        if name in wiring.grids:
            return tile_cut(wiring, name, cuts, self.limits, activity, self.parts.get(name, 1))
        return self._flat(wiring, name, cuts, activity)

    def _flat(self, wiring: Wiring, name: str, cuts: Cuts, activity: Activity) -> Cut:
        """Consecutive neurons: the fewest runs, of even size where that fits too."""
        wires, s = wiring.into(name), self.synapses[name]
        own = Own.of(wiring.network, name, wires, self.limits, activity)
        group_of = np.concatenate([cuts[w.source].slice_of for w in wires] or [np.zeros(0, np.int32)])
        heard = [hearing(w, cuts[w.source], activity, self.limits) for w in wires]
        groups = np.array([len(h[0]) for h in heard], np.int64)
        group_of = group_of + np.repeat(np.cumsum(groups) - groups, np.diff(s.first)).astype(np.int32)
        group_bytes, group_cycles = (np.concatenate([h[i] for h in heard] or [np.zeros(0)]) for i in range(2))
        size, expected = np.zeros(len(s.ptr) - 1), np.zeros((self.limits.phases.count, len(s.ptr) - 1))
        for k, w in enumerate(wires):
            size += s.counts[k] * w.word_bytes
            expected[self.limits.phase(w.source)] += s.arriving(k, w, activity) * event_cycles(w, self.limits)
        n, bounds = len(s.ptr) - 1, np.zeros(len(s.ptr) + 1, np.int64)
        phase = np.repeat([self.limits.phase(w.source) for w in wires], groups).astype(np.int64)
        limits = np.array([self.limits.data_bytes, self.limits.tick_cycles])
        most = min(self.limits.neurons, wiring.widest(name), -(-n // self.parts.get(name, 1)))

        def run(largest: int) -> tuple[int, int, int]:
            return sweep(s.ptr, s.counts, s.source, group_of, groups, size, expected, group_bytes, group_cycles, phase,
                         (own.base_bytes, own.base_cycles, own.neuron_bytes, own.neuron_cycles), limits, largest,
                         bounds)

        k, end, at = run(most)
        if end != FITS:
            groups = np.unique(group_of[s.source[s.ptr[at] : s.ptr[at + 1]]])
            raise self._too_large(name, at, int(s.ptr[at + 1] - s.ptr[at]),
                                  own.base_bytes + own.neuron_bytes + size[at] + group_bytes[groups].sum()
                                  if end == BYTES else None,
                                  own.base_cycles + own.neuron_cycles + (expected[:, at] + np.bincount(
                                      phase[groups], group_cycles[groups], len(expected))).max())
        fewest = bounds[: k + 1].copy()
        even = run(-(-n // k))
        return ranges(bounds[: k + 1] if even[:2] == (k, FITS) else fewest)

    def _too_large(self, name: str, neuron: int, synapses: int, need_bytes: float | None, need_cycles: float,
                   ) -> FitError:
        """One neuron alone."""
        where = f"{name}[{neuron}], one neuron with {synapses:,} synapses"
        broken = Violation("tick_cycles", where, ceil(need_cycles), int(self.limits.tick_cycles), "cycles") \
            if need_bytes is None else Violation("pe_bytes", where, ceil(need_bytes), self.limits.data_bytes, "bytes")
        return FitError(f"{name} does not fit a PE in any part", where=name, violations=(broken,))


def _by_target(wires: list[Wire], n: int) -> _Synapses:
    """Sort the synapses of some wires by their targets."""
    nodes: list[Any] = [w.node for w in wires]
    counts = np.zeros((len(wires), n), np.int64)
    for node, own in zip(nodes, counts, strict=True):
        count_into(node.target, n, own)
    ptr = np.r_[0, np.cumsum(counts.sum(axis=0))].astype(np.int64)
    first = np.r_[0, np.cumsum([prod(node.pre_shape) for node in nodes])].astype(np.int64)
    source, at = np.empty(ptr[-1], np.int32), ptr[:-1].copy()
    for node, start in zip(nodes, first.tolist(), strict=False):
        by_target(node.source, node.target, n, start, at, source)
    return _Synapses(ptr, source, first, counts)


def _even(n: int, parts: int) -> IntArray:
    """Bounds of even ranges."""
    return np.arange(parts + 1) * n // parts


def widest_share(cutter: Cutter, activity: Activity, fits: Callable[[Partition], bool]) -> Partition | None:
    """The partition for the largest share of active neurons that fits, or None if not even that for none does."""
    try:
        whole = cutter.partition(activity.times(1.0))
        if fits(whole):
            return whole
    except FitError:
        pass
    silent = cutter.partition(activity.times(0.0))
    if not fits(silent):
        return None
    best, low, high = silent, 0.0, 1.0
    for k in range(SHARES):
        share = 0.5 ** (2 * k + 2) if best is silent else (low + high) / 2
        try:
            tried = cutter.partition(activity.times(share))
        except FitError:
            high = share
            continue
        if fits(tried):
            best, low = tried, share
        else:
            high = share
    return best
