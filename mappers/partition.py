"""partition: split every population into the fewest parts that fit a core, and put small parts together if asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, Violation
from hwsdk.ir.mapping import Slice
from hwsdk.ir.network import Network
from hwsdk.mappers.loihi_memory import PopulationMemory, limits, population_memory, total_words
from hwsdk.targets import Target

IntArray = NDArray[np.int64]
Core = tuple[Slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A slice with what it takes of a core."""

    slice: Slice
    usage: dict[str, int]


def split_populations(network: Network, target: Target) -> list[Part]:
    """The parts of all populations, in causal order; each fits a core by itself, outgoing axons still uncounted.

    Raises:
        FitError: a single neuron takes more than a core has, naming the layer, the need and the limit.
    """
    parts: list[Part] = []
    for name in network.populations:
        memory = population_memory(network, name, target)
        parts += _split(memory)
    return parts


def _split(memory: PopulationMemory) -> list[Part]:
    """The best of the orders in which a population can be cut."""
    found = [p for order in _orders(memory.cell.shape) if (p := _cut(memory, order))]
    if not found:
        raise FitError(f"one neuron of {memory.name} alone does not fit a core", violations=_single(memory),
                       where=memory.name)
    return min(found, key=lambda parts: (len(parts), sum(p.usage["axons_in"] for p in parts)))


def _orders(shape: tuple[int, ...]) -> list[IntArray]:
    """Neurons in the order of cutting: by channel, and for (C, *space) also by place."""
    natural = np.arange(int(np.prod(shape, dtype=np.int64)))
    if len(shape) < 2 or shape[0] == 1:
        return [natural]
    return [natural, np.moveaxis(natural.reshape(shape), 0, -1).ravel()]


def _cut(memory: PopulationMemory, order: IntArray) -> list[Part] | None:
    """Equal parts, as few as fit; None if even single neurons do not."""
    n, k = len(order), 1
    while k <= n:
        part = np.empty(n, np.int64)
        part[order] = np.arange(n) * k // n
        usage = memory.usage(part, k)
        ratio = max(_ratio(usage.of(i), memory.target) for i in range(k))
        if ratio <= 1:
            return [Part(Slice(memory.name, np.flatnonzero(part == i)), usage.of(i)) for i in range(k)]
        k = n if k < n < k * min(ratio, 2) else max(k + 1, math.ceil(k * min(ratio, 2)))
    return None


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
