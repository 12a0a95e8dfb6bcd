"""partition: split every population into the fewest parts that fit a core, and put small parts together if asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, Violation
from hwsdk.ir.mapping import Slice
from hwsdk.ir.network import Network
from hwsdk.mappers import loihi_emit as emit
from hwsdk.mappers.loihi_memory import PartUsage, PopulationMemory, limits, population_memory, total_words
from hwsdk.targets import Target

IntArray = NDArray[np.int64]
Core = tuple[Slice, ...]
MAX_ROUNDS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A slice with what it takes of a core."""

    slice: Slice
    usage: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A population in ``parts`` equal parts along ``order``."""

    memory: PopulationMemory
    order: IntArray
    usage: PartUsage

    @property
    def parts(self) -> int:
        """How many."""
        return len(self.usage.neurons)

    def slices(self) -> list[Slice]:
        """The neurons of each part."""
        part = _equal_parts(self.order, self.parts)
        by_part = np.split(np.argsort(part, kind="stable"), np.cumsum(self.usage.neurons)[:-1])
        return [Slice(self.memory.name, index) for index in by_part]


def split_populations(network: Network, target: Target) -> list[Part]:
    """The parts of all populations, in causal order; each fits a core by itself.

    Raises:
        FitError: a single neuron takes more than a core has, naming the layer, the need and the limit.
    """
    cuts = [_split(population_memory(network, name, target)) for name in network.populations]
    for _ in range(MAX_ROUNDS):
        finer = _cut_for_axons(network, cuts)
        if finer is None:
            break
        cuts = finer
    return [Part(s, cut.usage.of(i)) for cut in cuts for i, s in enumerate(cut.slices())]


def _cut_for_axons(network: Network, cuts: list[Cut]) -> list[Cut] | None:
    """More parts where the outgoing axons, which depend on all cuts, overflow a core; None if they do not."""
    cores = tuple((s,) for cut in cuts for s in cut.slices())
    where = emit.layout(network, cores)
    out = emit.axons_out(emit.listening(emit.synapse_rows(network, where), where, len(cores)), where)
    finer, first = [], 0
    for cut in cuts:
        own = out[first : first + cut.parts]
        first += cut.parts
        ratio = max(_ratio({**cut.usage.of(i), "axons_out": int(n)}, cut.memory.target) for i, n in enumerate(own))
        found = _cut(cut.memory, cut.order, _more(cut.parts, len(cut.order), ratio)) if ratio > 1 else None
        finer.append(found or cut)
    return None if all(a is b for a, b in zip(cuts, finer, strict=True)) else finer


def _split(memory: PopulationMemory) -> Cut:
    """The best of the orders in which a population can be cut."""
    found = [cut for order in _orders(memory.cell.shape) if (cut := _cut(memory, order, 1))]
    if not found:
        raise FitError(f"one neuron of {memory.name} alone does not fit a core", violations=_single(memory),
                       where=memory.name)
    return min(found, key=lambda cut: (cut.parts, int(cut.usage.axons_in.sum())))


def _orders(shape: tuple[int, ...]) -> list[IntArray]:
    """Neurons in the order of cutting: by channel, and for (C, *space) also by place."""
    natural = np.arange(int(np.prod(shape, dtype=np.int64)))
    if len(shape) < 2 or shape[0] == 1:
        return [natural]
    return [natural, np.moveaxis(natural.reshape(shape), 0, -1).ravel()]


def _cut(memory: PopulationMemory, order: IntArray, k: int) -> Cut | None:
    """Equal parts, as few as fit but at least k; None if even single neurons do not."""
    n = len(order)
    while k <= n:
        usage = memory.usage(_equal_parts(order, k), k)
        ratio = max(_ratio(usage.of(i), memory.target) for i in range(k))
        if ratio <= 1:
            return Cut(memory, order, usage)
        k = _more(k, n, ratio)
    return None


def _equal_parts(order: IntArray, k: int) -> IntArray:
    """Part of each neuron."""
    part = np.empty(len(order), np.int64)
    part[order] = np.arange(len(order)) * k // len(order)
    return part


def _more(k: int, n: int, ratio: float) -> int:
    """Parts of n neurons to try next, where k overflow by a ratio."""
    return n if k < n < k * min(ratio, 2) else max(k + 1, math.ceil(k * min(ratio, 2)))


def _ratio(usage: dict[str, int], target: Target) -> float:
    """The fullest resource, as a share of its limit."""
    full = {**usage, "total_words": total_words(usage)}
    return max(full[name] / limit for name, limit in limits(target).items() if limit and name in full)


def _single(memory: PopulationMemory) -> tuple[Violation, ...]:
    """Which limits the largest single neuron breaks."""
    n = memory.cell.n
    usage = memory.usage(np.arange(n), n)
    worst = max(range(n), key=lambda i: _ratio(usage.of(i), memory.target))
    return tuple(violations(usage.of(worst), memory.target, f"{memory.name}, neuron {worst}"))


def violations(usage: dict[str, int], target: Target, where: str) -> list[Violation]:
    """Every limit of one core that a usage breaks."""
    full = {**usage, "total_words": total_words(usage)}
    found = []
    for name, limit in limits(target).items():
        if limit is not None and full.get(name, 0) > limit:
            found.append(Violation(name, where, full[name], limit, target.limits[name].unit))
    return found


def pack(parts: list[Part], target: Target) -> list[Core]:
    """First fit in causal order: parts share a core while the sum of what they take is within its limits."""
    cores: list[tuple[list[Slice], dict[str, int]]] = []
    for part in parts:
        for slices, used in cores:
            both = {k: used[k] + v for k, v in part.usage.items()}
            if _ratio(both, target) <= 1:
                slices.append(part.slice)
                used.update(both)
                break
        else:
            cores.append(([part.slice], dict(part.usage)))
    return [tuple(slices) for slices, _ in cores]
