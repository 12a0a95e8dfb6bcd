"""Numba kernels of the placement on several chips: links that multicast packets pass, and annealing with them."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from hwsdk.mappers.place_kernels import next_random


@njit(cache=True, nogil=True)
def tree_links(count: Any, parent: Any, root: int, seen: Any) -> int:
    """Links that a packet passes from chip ``root`` to all chips with a count above 0, each once.

    Args:
        count (chips): receiving PEs. parent (chips): the chip before each, on the way from root. seen (chips): scratch.
    """
    seen[:] = False
    seen[root] = True
    links = 0
    for c in range(len(count)):
        at = c
        while count[c] > 0 and not seen[at]:
            seen[at] = True
            links += 1
            at = parent[at]
    return links


@njit(cache=True, nogil=True)
def fill(flow: Any, parents: Any, chip_of: Any, count: Any, cost: Any, seen: Any) -> None:
    """Set count (chips, slices) and cost (slices) for PEs on these chips; arguments as in ``anneal``."""
    home, packets, ptr, pe = flow
    count[:] = 0
    for s in range(len(home)):
        for e in range(ptr[s], ptr[s + 1]):
            count[chip_of[pe[e]], s] += 1
        root = chip_of[home[s]]
        cost[s] = packets[s] * tree_links(count[:, s], parents[root], root, seen)


@njit(cache=True, nogil=True)
def move(p: int, to: int, chip_of: Any, flow: Any, wires: Any, parents: Any, count: Any, cost: Any, seen: Any) -> float:
    """Put PE p on chip ``to``; returns what the cost grew by. To undo it, put it back."""
    home, packets, _, _ = flow
    heard_ptr, heard, own_ptr, own = wires
    come_from, gained = chip_of[p], 0.0
    chip_of[p] = to
    if come_from == to:
        return gained
    for e in range(heard_ptr[p], heard_ptr[p + 1]):
        s = heard[e]
        count[come_from, s] -= 1
        count[to, s] += 1
        if count[come_from, s] == 0 or count[to, s] == 1:
            root = chip_of[home[s]]
            now = packets[s] * tree_links(count[:, s], parents[root], root, seen)
            gained += now - cost[s]
            cost[s] = now
    for e in range(own_ptr[p], own_ptr[p + 1]):
        s = own[e]
        now = packets[s] * tree_links(count[:, s], parents[to], to, seen)
        gained += now - cost[s]
        cost[s] = now
    return gained


@njit(cache=True, nogil=True)
def swap(slot: int, other: int, per_chip: int, pe_at: Any, chip_of: Any, flow: Any, wires: Any, parents: Any,
         count: Any, cost: Any, seen: Any) -> float:
    """Exchange what stands at two slots (-1: nothing); returns what the cost grew by. To undo it, do it again."""
    a, b, gained = pe_at[slot], pe_at[other], 0.0
    pe_at[slot], pe_at[other] = b, a
    if a >= 0:
        gained += move(a, other // per_chip, chip_of, flow, wires, parents, count, cost, seen)
    if b >= 0:
        gained += move(b, slot // per_chip, chip_of, flow, wires, parents, count, cost, seen)
    return gained


@njit(cache=True, nogil=True)
def propose(slot: int, per_chip: int, pe_at: Any, chip_of: Any, flow: Any, wires: Any, state: Any) -> Any:
    """A slot to try for the PE at ``slot``: anywhere, or on the chip of a PE that hears the same or sends to it."""
    home, _, ptr, pe = flow
    heard_ptr, heard, own_ptr, own = wires
    p = pe_at[slot]
    lists, n = next_random(state) % 3, len(pe_at)
    if lists == 1 and heard_ptr[p] < heard_ptr[p + 1]:
        s = heard[heard_ptr[p] + next_random(state) % (heard_ptr[p + 1] - heard_ptr[p])]
        return chip_of[home[s]] * per_chip + next_random(state) % per_chip
    if lists == 2 and own_ptr[p] < own_ptr[p + 1]:
        s = own[own_ptr[p] + next_random(state) % (own_ptr[p + 1] - own_ptr[p])]
        if ptr[s] < ptr[s + 1]:
            q = pe[ptr[s] + next_random(state) % (ptr[s + 1] - ptr[s])]
            return chip_of[q] * per_chip + next_random(state) % per_chip
    return next_random(state) % n


@njit(cache=True, nogil=True)
def anneal(moves: int, hot: float, cold: float, per_chip: int, pe_at: Any, chip_of: Any, flow: Any, wires: Any,
           parents: Any, count: Any, cost: Any, seen: Any, state: Any) -> tuple[float, float]:
    """Try ``moves`` swaps while the temperature falls; returns (what the cost grew by, sum of sizes of all changes).

    Args:
        hot, cold: temperatures; with hot below 0 nothing is kept, to learn the sizes of changes. pe_at (slots): PE at
        each slot or -1, ``per_chip`` slots a chip. chip_of (PEs). flow: (home, packets, ptr, pe) of the slices.
        wires: (pointers, slices that each PE hears, pointers, slices that each PE sends). parents (chips, chips):
        parents[root, c], see ``tree_links``. count, cost, seen: see ``fill``. state: of the random numbers.
    """
    gained, sizes = 0.0, 0.0
    fall = (cold / hot) ** (1.0 / max(moves, 1)) if hot > 0 else 0.0
    heat = hot
    for _ in range(moves):
        slot = next_random(state) % len(pe_at)
        heat *= fall
        if pe_at[slot] < 0:
            continue
        other = propose(slot, per_chip, pe_at, chip_of, flow, wires, state)
        if other // per_chip == slot // per_chip:
            continue
        delta = swap(slot, other, per_chip, pe_at, chip_of, flow, wires, parents, count, cost, seen)
        sizes += abs(delta)
        if hot >= 0 and (delta <= 0 or (heat > 0 and next_random(state) / 9.223372036854775807e18
                                        < np.exp(-delta / heat))):
            gained += delta
        else:
            swap(slot, other, per_chip, pe_at, chip_of, flow, wires, parents, count, cost, seen)
    return gained, sizes
