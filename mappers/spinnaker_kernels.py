"""Kernels of the SpiNNaker 2 mapper: counting sorts, the sweep that cuts a population, rows of words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Floats = NDArray[np.float64]
FITS, BYTES, CYCLES = 0, 1, 2
"""Why a sweep ended: it did not, or one neuron alone breaks the limit of bytes or of cycles."""


@njit(cache=True, nogil=True)
def stable_order(key: NDArray[Any], ptr: IntArray, order: NDArray[np.int32]) -> None:
    """order: positions by ascending key, those of one key in their order; ptr (keys + 1): where each key begins."""
    for k in key:
        ptr[k + 1] += 1
    for i in range(1, len(ptr)):
        ptr[i] += ptr[i - 1]
    at = ptr[:-1].copy()
    for i in range(len(key)):
        order[at[key[i]]] = i
        at[key[i]] += 1


@njit(cache=True, nogil=True)
def sweep(ptr: IntArray, group: NDArray[np.int32], expected: NDArray[np.float32], word_bytes: NDArray[np.uint8],
          group_bytes: Floats, group_cycles: Floats, group_phase: IntArray, own: tuple[float, float, float, float],
          limits: Floats, most: int, bounds: IntArray) -> tuple[int, int, int]:
    """Cut neurons 0 .. n - 1 into the longest runs that fit.

    ptr (n + 1): synapses of each neuron; group: slice of senders of each, expected: its cycles in a tick, word_bytes.
    group_bytes, group_cycles: what hearing a slice of senders costs once; group_phase: in which phase it sends, since
    only what comes in one phase is worked off in one tick. own: (bytes, cycles) of a PE before any neuron, and of a
    neuron. limits: (bytes, cycles). most: neurons of a run. bounds (n + 2): receives the runs.

    Returns:
        (runs, why it ended, neuron at which it ended).
    """
    base_bytes, base_cycles, neuron_bytes, neuron_cycles = own
    seen = np.full(len(group_bytes), -1, np.int64)
    heard = np.zeros(group_phase.max() + 1 if len(group_phase) else 1)
    more_heard = heard.copy()
    runs, begin, used = 0, 0, base_bytes
    bounds[0] = 0
    i = 0
    while i < len(ptr) - 1:
        more = neuron_bytes
        more_heard[:] = heard
        for s in range(ptr[i], ptr[i + 1]):
            g = group[s]
            more += word_bytes[s]
            more_heard[group_phase[g]] += expected[s]
            if seen[g] != runs:
                seen[g] = runs
                more += group_bytes[g]
                more_heard[group_phase[g]] += group_cycles[g]
        busy = base_cycles + (i - begin + 1) * neuron_cycles + more_heard.max()
        if i - begin < most and used + more <= limits[0] and busy <= limits[1]:
            used, i = used + more, i + 1
            heard[:] = more_heard
            continue
        if i == begin:
            return runs, BYTES if used + more > limits[0] else CYCLES, i
        runs += 1
        bounds[runs] = i
        begin, used = i, base_bytes
        heard[:] = 0
    bounds[runs + 1] = len(ptr) - 1
    return runs + 1, FITS, len(ptr) - 1


@njit(cache=True, nogil=True)
def fill_rows(rank: IntArray, word: NDArray[Any], order: NDArray[np.int32], rows: IntArray, at: NDArray[Any],
              low: int, high: int, starts: IntArray, group_ptr: IntArray) -> None:
    """The words of one target slice, sorted by the sender's rank: order[low:high] are its synapses in that order.

    at (high - low): receives the words. rows: receives the row pointers, sender slices one after the other with one
    more place each: those of slice g begin at starts[g] + g. group_ptr (slices + 1): words of each slice of senders.
    """
    g = 0
    for i in range(low, high):
        s = order[i]
        at[i - low] = word[s]
        r = rank[s]
        while r >= starts[g + 1]:
            g += 1
        rows[r + g + 1] += 1
        group_ptr[g + 1] += 1
    for g in range(len(starts) - 1):
        first, last = starts[g] + g, starts[g + 1] + g
        rows[first] = 0
        for r in range(first, last):
            rows[r + 1] += rows[r]
        group_ptr[g + 1] += group_ptr[g]
