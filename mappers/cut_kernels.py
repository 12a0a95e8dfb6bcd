"""Numba kernels of the partitioner: what parts of a population would hear and compute."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def conv_load(order: Any, start: Any, meet: Any, heard: Any, operations: Any, messages: Any, synops: Any) -> None:
    """Add the load that a convolution puts on parts of its positions.

    Args:
        order: positions; part p has order[start[p]] .. order[start[p + 1] - 1]. meet (positions, offsets): input
        position, or -1. heard, operations: of each input position, messages and synaptic operations a step, if it is
        met (once, and at every meeting). messages, synops: of each part, added to.
    """
    seen = np.full(len(heard), -1, np.int64)
    for p in range(len(start) - 1):
        for n in range(start[p], start[p + 1]):
            for k in range(meet.shape[1]):
                q = meet[order[n], k]
                if q >= 0:
                    synops[p] += operations[q]
                    if seen[q] != p:
                        seen[q] = p
                        messages[p] += heard[q]


@njit(cache=True, nogil=True)
def explicit_load(source: Any, target: Any, part: Any, rate: Any, messages: Any, synops: Any) -> None:
    """Add the load of synapses by ascending source on the parts of their targets; rate: of each source."""
    seen = np.full(len(messages), -1, np.int64)
    for s in range(len(source)):
        p, r = part[target[s]], rate[source[s]]
        synops[p] += r
        if seen[p] != source[s]:
            seen[p] = source[s]
            messages[p] += r


@njit(cache=True, nogil=True)
def position_work(meet: Any, operations: Any, work: Any) -> None:
    """Add to work (positions) the synaptic operations that arrive there."""
    for p in range(len(meet)):
        for k in range(meet.shape[1]):
            if meet[p, k] >= 0:
                work[p] += operations[meet[p, k]]


@njit(cache=True, nogil=True)
def refine(in_ptr: Any, in_source: Any, rate: Any, price: Any, part: Any, count: Any, weight: Any, room: Any,
           load: Any) -> float:
    """One pass of moves that lower the sum of rate * price[count] over all sources and parts.

    Args:
        in_ptr, in_source: distinct sources of each neuron. price: what a source costs for a part of which it reaches so
        many neurons. count int32 (sources, parts): how many it reaches. weight: of each neuron, its room on a core.
        room: largest load of a part.

    Returns:
        What was saved. part, count and load are changed.
    """
    saved, k = 0.0, count.shape[1]
    gain = np.empty(k, np.float64)
    for v in range(len(part)):
        a = part[v]
        gain[:] = 0.0
        leave = 0.0
        for e in range(in_ptr[v], in_ptr[v + 1]):
            s = in_source[e]
            leave += rate[s] * (price[count[s, a]] - price[count[s, a] - 1])
            for b in range(k):
                gain[b] -= rate[s] * (price[count[s, b] + 1] - price[count[s, b]])
        best, to = 1e-9, -1
        for b in range(k):
            if b != a and gain[b] + leave > best and load[b] + weight[v] <= room:
                best, to = gain[b] + leave, b
        if to >= 0:
            for e in range(in_ptr[v], in_ptr[v + 1]):
                count[in_source[e], a] -= 1
                count[in_source[e], to] += 1
            part[v] = to
            load[a] -= weight[v]
            load[to] += weight[v]
            saved += best
    return saved


@njit(cache=True, nogil=True)
def second_vector(in_ptr: Any, in_source: Any, rate: Any, steps: int) -> Any:
    """A number a neuron, alike for those that share sources: the second eigenvector of the normalised hypergraph.

    By power iteration with D_v^-1/2 H W D_e^-1 H' D_v^-1/2 (Zhou, Huang and Schoelkopf 2006), whose first eigenvector,
    the roots of D_v, is taken out in every step. The start is a fixed sequence without order.

    Args:
        in_ptr, in_source: distinct sources of each neuron. rate: weight of each source.
    """
    n = len(in_ptr) - 1
    root, x = np.empty(n, np.float64), np.empty(n, np.float64)
    reached, y = np.zeros(len(rate), np.float64), np.empty(len(rate), np.float64)
    whole = 0.0
    for v in range(n):
        degree = 0.0
        for e in range(in_ptr[v], in_ptr[v + 1]):
            degree += rate[in_source[e]]
            reached[in_source[e]] += 1.0
        root[v] = np.sqrt(degree) if degree > 0 else 1.0
        whole += root[v] * root[v]
        x[v] = (v * 2654435761 % 1000003) / 1000003 - 0.5
    for _ in range(steps):
        first, norm = 0.0, 0.0
        for v in range(n):
            first += x[v] * root[v]
        for v in range(n):
            x[v] -= first / whole * root[v]
            norm += x[v] * x[v]
        y[:] = 0.0
        for v in range(n):
            x[v] /= np.sqrt(norm) if norm > 0 else 1.0
            for e in range(in_ptr[v], in_ptr[v + 1]):
                y[in_source[e]] += x[v] / root[v]
        for v in range(n):
            total = 0.0
            for e in range(in_ptr[v], in_ptr[v + 1]):
                s = in_source[e]
                total += rate[s] * y[s] / reached[s]
            x[v] = total / root[v]
    return x / root
