"""partition: cut every population into parts that fit a core, in the number and shape that cost least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, Violation
from hwsdk.ir.mapping import Slice
from hwsdk.ir.network import Network
from hwsdk.mappers import loihi_emit as emit
from hwsdk.mappers.cut_kernels import explicit_load
from hwsdk.mappers.cuts import Demand, Rates, demand, plans
from hwsdk.mappers.loihi_layout import layout
from hwsdk.mappers.loihi_memory import PartUsage, PopulationMemory, limits, total_words
from hwsdk.mappers.loihi_rows import wire
from hwsdk.mappers.regroup import regrouped
from hwsdk.targets.loihi import LoihiTarget

IntArray = NDArray[np.int64]
Floats = NDArray[np.float64]
MAX_ROUNDS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A slice with what it takes of a core, and seconds and messages a step."""

    slice: Slice
    usage: dict[str, int]
    seconds: float
    messages: float


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A population in parts. part: of each neuron; seconds, messages: a step, of each part."""

    demand: Demand
    part: IntArray
    usage: PartUsage
    seconds: Floats
    messages: Floats

    @property
    def parts(self) -> int:
        """How many."""
        return len(self.usage.neurons)

    def slices(self) -> list[Slice]:
        """The neurons of each part."""
        by_part = np.split(np.argsort(self.part, kind="stable"), np.cumsum(self.usage.neurons)[:-1])
        return [Slice(self.demand.memory.name, index) for index in by_part]

    def listed(self) -> list[Part]:
        """The parts one by one."""
        return [Part(s, self.usage.of(i), float(self.seconds[i]), float(self.messages[i]))
                for i, s in enumerate(self.slices())]


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """The cuts of all populations, in causal order."""

    cuts: tuple[Cut, ...]

    @property
    def parts(self) -> int:
        """Parts in all."""
        return sum(c.parts for c in self.cuts)

    @property
    def seconds(self) -> float:
        """Time of the busiest part in a step."""
        return max(float(c.seconds.max()) for c in self.cuts)

    @property
    def messages(self) -> float:
        """Messages in a step."""
        return sum(float(c.messages.sum()) for c in self.cuts)

    def listed(self) -> list[Part]:
        """All parts."""
        return [p for c in self.cuts for p in c.listed()]


def demands(network: Network, target: LoihiTarget, rates: Rates) -> list[Demand]:
    """What decides about the cuts of each population."""
    return [demand(network, name, target, rates) for name in network.populations]


def partition(network: Network, found: list[Demand], target: LoihiTarget, bound: float = math.inf,
              most: float = math.inf) -> Partition | None:
    """The fewest parts that fit a core and take at most ``bound`` seconds a step, in the shape of least cost.

    None as soon as there are more than ``most``.

    Raises:
        FitError: a single neuron takes more than a core has, naming the layer, the need and the limit.
    """
    cuts: list[Cut] = []
    for d in found:
        cuts.append(cut(d, bound))
        if sum(c.parts for c in cuts) > most:
            return None
    fewest = tuple(cuts)
    for _ in range(MAX_ROUNDS):
        full = _axon_fullness(network, cuts, target)
        if max(full) <= 1:
            break
        cuts = [cut(c.demand, bound, _more(c.parts, c.demand.n, f)) if f > 1 and c.parts < c.demand.n else c
                for c, f in zip(cuts, full, strict=True)]
    return Partition(_grouped(network, fewest, tuple(cuts), target, bound))


def _grouped(network: Network, fewest: tuple[Cut, ...], fitting: tuple[Cut, ...], target: LoihiTarget,
             bound: float) -> tuple[Cut, ...]:
    """With neurons moved between the parts of each population, if that saves messages and still fits.

    fewest: cuts that need not hold their outgoing axons yet; with fewer messages they may. fitting: cuts that do.
    """
    starts = (fewest, fitting) if any(a is not b for a, b in zip(fewest, fitting, strict=True)) else (fitting,)
    for start in starts:
        tried = tuple(better(c, bound) for c in start)
        if any(a is not b for a, b in zip(start, tried, strict=True)) and \
                max(_axon_fullness(network, tried, target)) <= 1:
            return tried
    return fitting


def cut(d: Demand, bound: float, k: int = 1) -> Cut:
    """A population in k parts or more, in the shape of least cost."""
    target = d.memory.target
    k = min(d.n, max(k, -(-d.n // target.need("neurons")), _for_groups(d.memory)))
    while k <= d.n:
        ratio = math.inf
        for plan in sorted(_scored(d, k), key=lambda p: p[:2]):
            seconds, messages, part, parts = plan[2:]
            full = _late(d, seconds, bound)
            for counted in (d.memory.without_axons, d.memory.usage):
                if full <= 1:
                    usage = counted(part, parts)
                    full = fullness(usage, target)
            if full <= 1:
                return Cut(d, part, usage, seconds, messages)
            ratio = min(ratio, full)
        if k == d.n:
            break
        k = _more(k, d.n, ratio)
    raise FitError(f"one neuron of {d.memory.name} alone does not fit a core", violations=_single(d.memory),
                   where=d.memory.name)


def _late(d: Demand, seconds: Floats, bound: float) -> float:
    """How much too long the busiest part takes; cutting below one neuron does not help."""
    return float(seconds.max()) / bound if len(seconds) < d.n else 0.0


def _scored(d: Demand, k: int) -> list[tuple[int, float, Floats, Floats, IntArray, int]]:
    """(parts, cost, seconds, messages, part of each neuron, parts) of each plan.

    The cost of plans with the same number of parts is their messages and the time of their busiest part, each as a
    multiple of the least of all.
    """
    found = [(p, *p.load()) for p in plans(d, k)]
    least_messages = min((m.sum() for _, m, _ in found), default=0.0) or 1.0
    least_time = min((t.max() for _, _, t in found), default=0.0) or 1.0
    return [(p.parts, float(m.sum() / least_messages + t.max() / least_time), t, m, p.part(), p.parts)
            for p, m, t in found]


def better(tried: Cut, bound: float) -> Cut:
    """With neurons moved between the parts, if that saves messages and still fits."""
    d = tried.demand
    part = regrouped(d, tried.part, tried.parts)
    if part is None:
        return tried
    sizes = np.bincount(part)
    messages, synops = np.zeros(len(sizes)), np.zeros(len(sizes))
    for s, rate in d.explicit:
        explicit_load(s.source, s.target, part, rate, messages, synops)
    neuron = sizes * d.update + sizes / d.n * d.fired * (d.times.spike + d.times.message_out)
    seconds = np.maximum(neuron, messages * d.times.message_in + synops * d.times.private)
    moved = Cut(d, part, d.memory.usage(part, len(sizes)), seconds, messages)
    good = fullness(moved.usage, d.memory.target) <= 1 and _late(d, seconds, bound) <= 1
    return moved if good and messages.sum() < tried.messages.sum() else tried


def _for_groups(memory: PopulationMemory) -> int:
    """Parts that the groups need at the least."""
    limit = memory.target.limit("groups")
    return -(-(int(memory.group.max(initial=0)) + 1) // limit) if limit else 1


def _axon_fullness(network: Network, cuts: Sequence[Cut], target: LoihiTarget) -> list[float]:
    """The fullest resource of each cut, outgoing axons included, as a share of its limit; they depend on all cuts."""
    if not _may_overflow(network, cuts, target):
        return [0.0] * len(cuts)
    where = layout(network, tuple((s,) for c in cuts for s in c.slices()))
    out = emit.axons_out(emit.axons(wire(network, where)), where)
    ends = np.cumsum([c.parts for c in cuts])
    return [fullness(c.usage, target, own) for c, own in zip(cuts, np.split(out, ends[:-1]), strict=True)]


def _may_overflow(network: Network, cuts: Sequence[Cut], target: LoihiTarget) -> bool:
    """Could a core overflow if every neuron sent to all parts that it could?"""
    parts = {c.demand.memory.name: c.parts for c in cuts}
    for c in cuts:
        behind = sum(parts[t.target] for e in network.targets(c.demand.memory.name) for t in network.targets(e.target)
                     if t.target in parts)
        if fullness(c.usage, target, c.usage.neurons * behind) > 1:
            return True
    return False


def _more(k: int, n: int, ratio: float) -> int:
    """Parts of n neurons to try next, where k overflow by a ratio."""
    return n if k < n < k * min(ratio, 2) else max(k + 1, math.ceil(k * min(ratio, 2)))


def fullness(usage: PartUsage, target: LoihiTarget, axons_out: IntArray | int = 0) -> float:
    """The fullest resource of all parts, as a share of its limit."""
    full = {"neurons": usage.neurons, "groups": usage.groups, "axons_in": usage.axons_in,
            "synapse_words": usage.synapse_words, "axons_out": axons_out + np.zeros_like(usage.neurons)}
    full["total_words"] = usage.neurons + usage.synapse_words + usage.axons_in + full["axons_out"]
    return max(float(full[name].max()) / limit for name, limit in limits(target).items() if limit)


def _single(memory: PopulationMemory) -> tuple[Violation, ...]:
    """Which limits the largest single neuron breaks."""
    n = memory.cell.n
    usage = memory.usage(np.arange(n), n)
    worst = max(range(n), key=lambda i: ratio(usage.of(i), memory.target))
    return tuple(violations(usage.of(worst), memory.target, f"{memory.name}, neuron {worst}"))


def ratio(usage: dict[str, int], target: LoihiTarget) -> float:
    """The fullest resource of one core, as a share of its limit."""
    full = {**usage, "total_words": total_words(usage)}
    return max(full[name] / limit for name, limit in limits(target).items() if limit and name in full)


def violations(usage: dict[str, int], target: LoihiTarget, where: str) -> list[Violation]:
    """Every limit of one core that a usage breaks."""
    full = {**usage, "total_words": total_words(usage)}
    found = []
    for name, limit in limits(target).items():
        if limit is not None and full.get(name, 0) > limit:
            found.append(Violation(name, where, full[name], limit, target.limits[name].unit))
    return found
