"""partition: split every population into the fewest parts that fit a core, and put small parts together if asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
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
GOOD_ENOUGH = 2
"""No other order of cutting is tried once the parts are at most this multiple of the fewest thinkable."""


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
        more = _more(cut.parts, len(cut.order), ratio)
        found = _cut(cut.memory, cut.order, more, len(cut.order)) if ratio > 1 else None
        finer.append(found or cut)
    return None if all(a is b for a, b in zip(cuts, finer, strict=True)) else finer


def _split(memory: PopulationMemory) -> Cut:
    """The best of the orders in which a population can be cut."""
    n, best = memory.cell.n, None
    fewest = -(-n // memory.target.need("neurons"))
    for order in _orders(memory):
        found = _cut(memory, order, 1, n if best is None else best.parts)
        if found is not None and (best is None or _cost(found) < _cost(best)):
            best = found
        if best is not None and best.parts <= max(GOOD_ENOUGH * fewest, 1):
            break
    if best is None:
        raise FitError(f"one neuron of {memory.name} alone does not fit a core", violations=_single(memory),
                       where=memory.name)
    return best


def _cost(cut: Cut) -> tuple[int, int]:
    """Fewer parts, then fewer messages."""
    return cut.parts, int(cut.usage.axons_in.sum())


def _orders(memory: PopulationMemory) -> Iterator[IntArray]:
    """Neurons in the order of cutting: by place, by channel, then by place within ever smaller blocks of channels."""
    shape = memory.cell.shape
    natural = np.arange(int(np.prod(shape, dtype=np.int64)))
    if len(shape) < 2 or shape[0] == 1:
        yield natural
        return
    groups = int(memory.group.max(initial=0)) + 1
    least = min(-(-groups // (memory.target.limit("groups") or groups)), shape[0])
    for blocks in dict.fromkeys((least, shape[0], *(2**i for i in range(1, shape[0].bit_length())))):
        if blocks >= least:
            parts = np.array_split(natural.reshape(shape), blocks)
            yield np.concatenate([np.moveaxis(b, 0, -1).ravel() for b in parts])


def _cut(memory: PopulationMemory, order: IntArray, k: int, most: int) -> Cut | None:
    """Equal parts, as few as fit but k to ``most``; None if there is no such number."""
    n = len(order)
    while k <= min(n, most):
        part = _equal_parts(order, k)
        for counted in (memory.without_axons, memory.usage):
            usage = counted(part, k)
            ratio = max(_ratio(usage.of(i), memory.target) for i in range(k))
            if ratio > 1:
                break
        else:
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
