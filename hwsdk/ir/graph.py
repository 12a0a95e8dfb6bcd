"""Small graph algorithms over names: deterministic, iterative, without a dependency."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which '2' < '10' and 'a2' < 'a10'."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(p), p) if p.isdigit() else (1, 0, p) for p in parts if p)


def topological_order(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], list[str]]:
    """Kahn's order; of the nodes that are ready, the first in ``names`` comes next.

    Returns:
        (order, loop): loop is empty, or the nodes of one loop and then order is incomplete.
    """
    after: dict[str, list[str]] = {n: [] for n in names}
    missing = dict.fromkeys(names, 0)
    for a, b in pairs:
        after[a].append(b)
        missing[b] += 1
    rank = {name: i for i, name in enumerate(names)}
    ready = [rank[n] for n in names if missing[n] == 0]
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for nxt in after[name]:
            missing[nxt] -= 1
            if missing[nxt] == 0:
                heapq.heappush(ready, rank[nxt])
    if len(order) == len(names):
        return tuple(order), []
    return tuple(order), _one_loop({n: [m for m in after[n] if missing[m] > 0] for n in names if missing[n] > 0})


def _one_loop(after: Mapping[str, list[str]]) -> list[str]:
    """One loop of a graph in which every node has a predecessor."""
    before: dict[str, str] = {b: a for a, targets in after.items() for b in targets}
    name, seen = next(iter(before)), []
    while name not in seen:
        seen.append(name)
        name = before[name]
    return seen[seen.index(name) :][::-1]


def back_edges(names: Sequence[str], after: Mapping[str, Sequence[str]], roots: Sequence[str]) -> set[tuple[str, str]]:
    """The edges that close a loop when the graph is walked depth first from ``roots``, then from the rest."""
    state = dict.fromkeys(names, 0)  # 0 new, 1 on the path, 2 done
    found: set[tuple[str, str]] = set()
    for root in [*roots, *names]:
        if state[root]:
            continue
        state[root] = 1
        path = [(root, iter(after.get(root, ())))]
        while path:
            name, successors = path[-1]
            for nxt in successors:
                if state[nxt] == 1:
                    found.add((name, nxt))
                elif state[nxt] == 0:
                    state[nxt] = 1
                    path.append((nxt, iter(after.get(nxt, ()))))
                    break
            else:
                state[name] = 2
                path.pop()
    return found
