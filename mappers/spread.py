"""spread: use the cores that there are, where that makes energy times time of a step smaller."""

from __future__ import annotations

import math

from hwsdk.errors import FitError
from hwsdk.ir.network import Network
from hwsdk.mappers.cuts import Demand
from hwsdk.mappers.objective import Times
from hwsdk.mappers.partition import Partition, partition
from hwsdk.targets.loihi import LoihiTarget

HALVINGS = 8
"""Steps of the search for the shortest time that the cores allow, to 1/256 of what the fewest cores take."""
SLOWER = (1.25, 1.6, 2.0, 3.0, 5.0)
"""Multiples of that time that are looked at as well, since longer steps take fewer cores and messages."""


def spread(network: Network, found: list[Demand], target: LoihiTarget, coarse: Partition, available: int,
           bound: float = math.inf) -> Partition:
    """The partition with the least energy times time of a step on at most ``available`` cores.

    coarse: the one with the fewest parts. bound: seconds that no part may take longer than, unless coarse does.

    Energy: the published prices of neuron updates, spikes, synaptic operations and messages; where that of a message is
    not published, the messages alone. Hops are not known yet and left out. Time: barrier or busiest core.
    """
    low = sum(float((c.seconds * c.usage.neurons).sum() / c.usage.neurons.sum()) * c.parts for c in coarse.cuts)
    low, high, tried = low / available / 2, coarse.seconds, [coarse]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        one = _within(network, found, target, middle, available)
        if one is None:
            low = middle
        else:
            tried.append(one)
            high = min(middle, one.seconds)
    for multiple in SLOWER:
        one = _within(network, found, target, min(high * multiple, bound), available)
        if one is not None:
            tried.append(one)
    fixed, price = _prices(found, target)
    floor = Times.of(target).barrier
    return min(tried, key=lambda p: ((fixed + price * p.messages) * (floor + p.seconds), p.parts))


def _within(network: Network, found: list[Demand], target: LoihiTarget, bound: float, available: int,
            ) -> Partition | None:
    """The fewest parts that take at most ``bound`` seconds, if there are enough cores for them."""
    try:
        one = partition(network, found, target, bound, available)
    except FitError:
        return None
    return one if one is not None and one.parts <= available else None


def _prices(found: list[Demand], target: LoihiTarget) -> tuple[float, float]:
    """(energy of a step that no partition changes, energy of a message)."""
    price: dict[str, float] = {}
    for p in target.energy:
        price[p.per] = price.get(p.per, 0.0) + (p.value or 0.0)
    if not price.get("messages"):
        return 0.0, 1.0
    fixed = 0.0
    for d in found:
        fixed += d.n * price.get("neuron_updates", 0.0) + d.fired * price.get("spikes", 0.0)
        fixed += d.operations("private") * price.get("private_synaptic_operations", 0.0)
        fixed += d.operations("shared") * price.get("shared_synaptic_operations", 0.0)
    return fixed, price["messages"]
