"""regroup: move neurons of a sparsely connected population between its parts, so that fewer parts hear each source.

A local search on the hypergraph of the axons (Fiduccia and Mattheyses 1982, with connectivity as the cost): one
hyperedge a source, over the neurons that it reaches. It starts twice: from the parts as they are, and from a recursive
spectral bisection of the hypergraph (Zhou, Huang and Schoelkopf 2006), which finds hidden groups wherever they lie.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.mappers.cut_kernels import refine, second_vector
from hwsdk.mappers.cuts import Demand

IntArray = NDArray[np.int64]
POWERS = (0.7, 0.5, 0.3, 0.0)
"""A source that reaches c neurons of a part costs c^power, with these powers one after the other, at last 1 for any c:
a move by itself hardly ever saves a message, but concave prices lead to where it does."""
MAX_PASSES = 6
LARGEST_TABLE = 1 << 26
"""Cells of the table sources x parts up to which the search runs."""
SLACK = 1.05
POWER_STEPS = 30
"""Steps of the power iteration of a bisection; the vector has to separate groups, not to converge."""
DENSE = 0.5
"""Where a neuron has more than this share of all sources, every part hears nearly every source however it is cut."""


def regrouped(d: Demand, part: IntArray, k: int) -> IntArray | None:
    """Another part for each neuron with fewer messages, or None where none is looked for; the parts may become fewer.

    Parts may grow to SLACK times the neurons and synapses of the fullest one; whether that fits is for the caller.
    """
    if k < 2 or d.shared or not d.explicit:
        return None
    matrix, rate = _incidence(d)
    sources = matrix.shape[1]
    if matrix.nnz > DENSE * d.n * sources or sources * k > LARGEST_TABLE:
        return None
    tried = [_refined(matrix, rate, start, k) for start in (part, bisected(matrix, rate, k))]
    best = min(tried, key=lambda t: t[0])[1]
    return np.unique(best, return_inverse=True)[1].astype(np.int64)


def _refined(matrix: sparse.csr_array, rate: NDArray[np.float64], part: IntArray, k: int) -> tuple[float, IntArray]:
    """(messages a step, part of each neuron) after the local search."""
    ptr, source, sources = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.shape[1]
    owner = np.repeat(part, np.diff(ptr))
    count = np.bincount(source * k + owner, minlength=sources * k).astype(np.int32).reshape(sources, k)
    weight = 1.0 + np.diff(ptr)
    load = np.bincount(part, weights=weight, minlength=k)
    found, room = part.copy(), SLACK * load.max()
    reached = np.arange(len(part) + 2, dtype=np.float64)
    for power in POWERS:
        price = np.where(reached > 0, reached**power, 0.0)
        for _ in range(MAX_PASSES):
            if refine(ptr, source, rate, price, found, count, weight, room, load) <= 0:
                break
    return float(rate @ np.count_nonzero(count, axis=1)), found


def bisected(matrix: sparse.csr_array, rate: NDArray[np.float64], k: int) -> IntArray:
    """Part of each neuron: halved again and again along the second vector of the hypergraph, into k about equal parts.

    Args:
        matrix: (neurons, sources), 1 where a source reaches a neuron. rate: of each source.
    """
    part, weight = np.zeros(matrix.shape[0], np.int64), 1.0 + np.diff(matrix.indptr)
    todo = [(np.arange(len(part)), 0, k)]
    while todo:
        own, first, k = todo.pop()
        part[own] = first
        if k < 2 or len(own) < 2:
            continue
        rows = matrix[own]
        along = second_vector(rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rate, POWER_STEPS)
        order = own[np.argsort(along, kind="stable")]
        total = np.cumsum(weight[order])
        half = min(max(int(np.searchsorted(total, total[-1] * (k // 2) / k)), 1), len(own) - 1)
        todo += [(np.sort(order[:half]), first, k // 2), (np.sort(order[half:]), first + k // 2, k - k // 2)]
    return part


def _incidence(d: Demand) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """(neurons, sources of all projections) with a 1 for each pair that a synapse joins, and the sources' rates."""
    blocks = []
    for s, rate in d.explicit:
        ones = np.ones(len(s.source), np.int8)
        block = sparse.coo_array((ones, (s.target, s.source)), shape=(d.n, len(rate))).tocsr()
        block.data[:] = 1
        blocks.append(block)
    return sparse.csr_array(sparse.hstack(blocks)), np.concatenate([rate for _, rate in d.explicit])
