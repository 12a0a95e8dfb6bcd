"""Numba kernels of the placement: what moving one core costs, and simulated annealing with it."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

NEARBY = 2
"""Half of the proposals move a core within so many routers of one that it talks to."""


@njit(cache=True, nogil=True)
def next_random(state: Any) -> Any:
    """A number of 0 to 2^63 - 1 from the generator xorshift64* (Vigna 2016), whose state is one word."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return np.int64((x * np.uint64(2685821657736338717)) >> np.uint64(1))


@njit(cache=True, nogil=True)
def wire_cost(core: int, slot: int, other: int, other_slot: int, net: Any, slot_of: Any, place: Any, weight: Any,
              ) -> float:
    """Cost of all traffic of a core if it stood at ``slot`` and ``other`` at ``other_slot``.

    Args:
        net: (ptr, neighbour, messages) of each core, both ways. place (slots, 3): x, y, chip. weight: of a hop east or
        west, of a hop north or south, of a border between chips.
    """
    ptr, neighbour, messages = net
    total = 0.0
    for e in range(ptr[core], ptr[core + 1]):
        n = neighbour[e]
        at = other_slot if n == other else slot_of[n]
        total += messages[e] * (weight[0] * abs(place[slot, 0] - place[at, 0])
                                + weight[1] * abs(place[slot, 1] - place[at, 1])
                                + weight[2] * abs(place[slot, 2] - place[at, 2]))
    return total


@njit(cache=True, nogil=True)
def swap_delta(core: int, to: int, net: Any, slot_of: Any, core_at: Any, place: Any, weight: Any) -> float:
    """What the cost grows by if a core changes places with whatever stands at slot ``to``."""
    here, other = slot_of[core], core_at[to]
    delta = wire_cost(core, to, other, here, net, slot_of, place, weight) \
        - wire_cost(core, here, other, to, net, slot_of, place, weight)
    if other >= 0:
        delta += wire_cost(other, here, core, to, net, slot_of, place, weight) \
            - wire_cost(other, to, core, here, net, slot_of, place, weight)
    return delta


@njit(cache=True, nogil=True)
def swap(core: int, to: int, slot_of: Any, core_at: Any) -> None:
    """Let a core change places with whatever stands at slot ``to``."""
    here, other = slot_of[core], core_at[to]
    slot_of[core], core_at[to], core_at[here] = to, core, other
    if other >= 0:
        slot_of[other] = here


@njit(cache=True, nogil=True)
def propose(core: int, net: Any, slot_of: Any, shape: Any, state: Any) -> Any:
    """A slot to try: anywhere, or near a core that this one talks to. shape: routers in x and y, cores a router."""
    width, height, depth = shape
    ptr, neighbour, _ = net
    degree = ptr[core + 1] - ptr[core]
    if degree == 0 or next_random(state) & 1:
        return next_random(state) % (width * height * depth)
    router = slot_of[neighbour[ptr[core] + next_random(state) % degree]] // depth
    x = router % width + next_random(state) % (2 * NEARBY + 1) - NEARBY
    y = router // width + next_random(state) % (2 * NEARBY + 1) - NEARBY
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    return (y * width + x) * depth + next_random(state) % depth


@njit(cache=True, nogil=True)
def mean_step(net: Any, slot_of: Any, core_at: Any, place: Any, weight: Any, shape: Any, state: Any, n: int) -> float:
    """Mean size of the change that n random proposals would make."""
    total = 0.0
    for _ in range(n):
        core = next_random(state) % len(slot_of)
        to = propose(core, net, slot_of, shape, state)
        if core_at[to] != -2 and to != slot_of[core]:
            total += abs(swap_delta(core, to, net, slot_of, core_at, place, weight))
    return total / n


@njit(cache=True, nogil=True)
def anneal(moves: int, hot: float, cold: float, net: Any, slot_of: Any, core_at: Any, place: Any, weight: Any,
           shape: Any, state: Any) -> float:
    """Try ``moves`` swaps while the temperature falls from hot to cold; returns what the cost grew by.

    core_at: the core at each slot, -1 for none, -2 where none may stand.
    """
    gained = 0.0
    fall = (cold / hot) ** (1.0 / max(moves, 1)) if hot > 0 else 0.0
    heat = hot
    for _ in range(moves):
        core = next_random(state) % len(slot_of)
        to = propose(core, net, slot_of, shape, state)
        heat *= fall
        if core_at[to] == -2 or to == slot_of[core]:
            continue
        delta = swap_delta(core, to, net, slot_of, core_at, place, weight)
        if delta <= 0 or (heat > 0 and next_random(state) / 9.223372036854775807e18 < np.exp(-delta / heat)):
            swap(core, to, slot_of, core_at)
            gained += delta
    return gained


@njit(cache=True, nogil=True)
def descend(net: Any, slot_of: Any, core_at: Any, place: Any, weight: Any) -> float:
    """One sweep: every core takes the slot that lowers the cost most; returns what the cost grew by (0 or less)."""
    gained = 0.0
    for core in range(len(slot_of)):
        best, at = -1e-9, -1
        for to in range(len(core_at)):
            if core_at[to] != -2 and to != slot_of[core]:
                delta = swap_delta(core, to, net, slot_of, core_at, place, weight)
                if delta < best:
                    best, at = delta, to
        if at >= 0:
            swap(core, at, slot_of, core_at)
            gained += best
    return gained
