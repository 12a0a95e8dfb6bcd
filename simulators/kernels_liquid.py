"""Numba kernels of a liquid: one population of discrete leaky neurons that drives itself one step later.

Sums run over sources in ascending order from 0, the input's and the recurrent one each by itself, as the reference sums
synapses; so in float64 the spikes are the reference's to the bit. A plain twin is in the tests.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Cells(NamedTuple):
    """N neurons, all (N,) in the dtype of the run; see DiscreteLIF with decay_u 0. rests int64: refractory steps."""

    decay: Array
    bias: Array
    threshold: Array
    reset_by: Array
    start: Array
    rests: Array


class Rows(NamedTuple):
    """Weights by source: row k holds entries ptr[k] to ptr[k + 1], target ascending. full: every row holds all N
    targets, and ``target`` is not looked at.
    """

    ptr: Array
    target: Array
    weight: Array
    full: bool


class Drive(NamedTuple):
    """Input events in the order (sample, step, element): cell s * steps + t holds ptr[s * steps + t] to the next."""

    ptr: Array
    element: Array
    value: Array


@numba.njit(cache=True, nogil=True)
def add_row(total: Array, rows: Rows, source: int, value: float) -> None:
    """total += value * the row of a source."""
    lo = rows.ptr[source]
    if rows.full:
        row = rows.weight[lo : lo + len(total)]
        for i in range(len(total)):
            total[i] += value * row[i]
        return
    for k in range(lo, rows.ptr[source + 1]):
        total[rows.target[k]] += value * rows.weight[k]


@numba.njit(cache=True, nogil=True)
def update(v: Array, fired: Array, left: Array, x: Array, y: Array, cells: Cells, at_equal: bool, to_zero: bool) -> int:
    """One step of all neurons with input x + y; writes the indices of those that fire, returns how many."""
    n = 0
    for i in range(len(v)):
        u = x[i] + y[i]
        new = cells.decay[i] * v[i] + u + cells.bias[i]
        if left[i] > 0:
            left[i] -= 1
            continue
        v[i] = new
        if new > cells.threshold[i] or (at_equal and new == cells.threshold[i]):
            v[i] = 0
            if not to_zero:
                v[i] = new - cells.reset_by[i]
            left[i] = cells.rests[i]
            fired[n] = i
            n += 1
    return n


@numba.njit(cache=True, nogil=True)
def count(drive: Drive, w_in: Rows, w_rec: Rows, cells: Cells, at_equal: bool, to_zero: bool, window: Array,
          first: int, out: Array) -> None:
    """Spikes of the samples first, first + 1, ... in windows: out (samples, windows, N) is added to.

    window (T) int64: of each step, -1 for a step that no window has.
    """
    samples, n, steps = out.shape[0], out.shape[2], len(window)
    x, y = np.empty_like(cells.start), np.empty_like(cells.start)
    fired, left = np.empty(n, np.int64), np.empty(n, np.int64)
    for s in range(samples):
        v, n_fired = cells.start.copy(), 0
        left[:] = 0
        for t in range(steps):
            x[:], y[:] = 0, 0
            cell = (first + s) * steps + t
            for k in range(drive.ptr[cell], drive.ptr[cell + 1]):
                add_row(x, w_in, drive.element[k], drive.value[k])
            for k in range(n_fired):
                add_row(y, w_rec, fired[k], 1)
            n_fired = update(v, fired, left, x, y, cells, at_equal, to_zero)
            if window[t] >= 0:
                for k in range(n_fired):
                    out[s, window[t], fired[k]] += 1
