"""Numba kernels of the Loihi mapper: counts over all synapses, and rows of convolutions, without temporaries."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def longest_run(values: Any) -> int:
    """Length of the longest run of equal values, 0 if there are none."""
    longest = run = 0
    for k in range(len(values)):
        run = run + 1 if k and values[k] == values[k - 1] else 1
        longest = max(longest, run)
    return longest


@njit(cache=True, nogil=True)
def count_axons(source: Any, target: Any, long: Any, part: Any, words_of: Any, axons: Any, words: Any) -> None:
    """Axons and synapse words of each of k parts.

    Args:
        source, target: of each synapse, by ascending source. long: has it a delay of more than a step? part: of each
        neuron. words_of (2, n): words of a list of n without and with delays. axons, words: int64 (k,), added to: one
        axon for each (source, part) with a synapse.
    """
    here = np.zeros(len(axons), np.int64)
    delays = np.zeros(len(axons), np.int64)
    touched = np.empty(len(axons), np.int64)
    n = 0
    for s in range(len(source)):
        p = part[target[s]]
        if here[p] == 0:
            touched[n] = p
            n += 1
            delays[p] = 0
        here[p] += 1
        if long[s]:
            delays[p] = 1
        if s + 1 == len(source) or source[s + 1] != source[s]:
            for k in range(n):
                p = touched[k]
                axons[p] += 1
                words[p] += words_of[delays[p], here[p]]
                here[p] = 0
            n = 0


@njit(cache=True, nogil=True)
def pattern_classes(run_ptr: Any, run_part: Any, channel: Any, offset: Any) -> tuple[Any, Any]:
    """Which positions of a part hold the same channels at the same offsets, and can use the same rows.

    Args:
        run_ptr: runs of entries, one a position, by ascending part; run_part: part of each. channel, offset: entries.

    Returns:
        (class of each run, a run of each class); classes are numbered by ascending part.
    """
    n = len(run_part)
    kind, first = np.empty(n, np.int64), np.empty(n, np.int64)
    m = low = 0
    for r in range(n):
        if r and run_part[r] != run_part[r - 1]:
            low = m
        found = -1
        for c in range(m - 1, low - 1, -1):
            a, b = run_ptr[first[c]], run_ptr[r]
            size = run_ptr[r + 1] - b
            if run_ptr[first[c] + 1] - a == size:
                k = 0
                while k < size and channel[a + k] == channel[b + k] and offset[a + k] == offset[b + k]:
                    k += 1
                if k == size:
                    found = c
                    break
        if found < 0:
            found = m
            first[m] = r
            m += 1
        kind[r] = found
    return kind, first[:m]


@njit(cache=True, nogil=True)
def _by_input(low: Any, high: Any, position: Any, meet: Any) -> tuple[Any, Any, Any, Any]:
    """(input positions, pointers, run, kernel offset) of all meetings of the runs low..high - 1, by input position."""
    n = 0
    least: Any = np.int64(1 << 62)
    most: Any = np.int64(-1)
    for r in range(low, high):
        for k in range(meet.shape[1]):
            q = meet[position[r], k]
            if q >= 0:
                n += 1
                least, most = min(least, q), max(most, q)
    ptr = np.zeros(max(most - least + 2, 1), np.int64)
    run, at = np.empty(n, np.int32), np.empty(n, np.int32)
    if n == 0:
        return np.empty(0, np.int64), ptr, run, at
    for r in range(low, high):
        for k in range(meet.shape[1]):
            q = meet[position[r], k]
            if q >= 0:
                ptr[q - least + 1] += 1
    for q in range(len(ptr) - 1):
        ptr[q + 1] += ptr[q]
    fill = ptr.copy()
    for r in range(low, high):
        for k in range(meet.shape[1]):
            q = meet[position[r], k]
            if q >= 0:
                run[fill[q - least]], at[fill[q - least]] = r, k
                fill[q - least] += 1
    return np.arange(least, most + 1), ptr, run, at


@njit(cache=True, nogil=True)
def used_offsets(position: Any, kind: Any, meet: Any, used: Any) -> None:
    """used bool (classes, kernel offsets): set where an offset meets an input at a position of the class."""
    for r in range(len(position)):
        for k in range(meet.shape[1]):
            if meet[position[r], k] >= 0:
                used[kind[r], k] = True


@njit(cache=True, nogil=True)
def count_segments(part_ptr: Any, position: Any, kind: Any, meet: Any, row: Any, axons: Any, segments: Any) -> None:
    """Axons and segments of each part, added up.

    Args:
        part_ptr: runs of each part. position, kind: of each run. meet (positions, kernel offsets): the input position,
        or -1. row (classes, input channels, kernel offsets): the row, or -1.
    """
    for p in range(len(part_ptr) - 1):
        inputs, ptr, run, at = _by_input(part_ptr[p], part_ptr[p + 1], position, meet)
        for i in range(row.shape[1]):
            for q in range(len(inputs)):
                n = 0
                for m in range(ptr[q], ptr[q + 1]):
                    n += row[kind[run[m]], i, at[m]] >= 0
                axons[p] += n > 0
                segments[p] += n


@njit(cache=True, nogil=True)
def fill_segments(part_ptr: Any, position: Any, kind: Any, base: Any, meet: Any, row: Any, n_in: int, source: Any,
                  segment_row: Any, segment_base: Any) -> None:
    """The segments that ``count_segments`` counted, by ascending part and source (channel * n_in + position)."""
    n = 0
    for p in range(len(part_ptr) - 1):
        inputs, ptr, run, at = _by_input(part_ptr[p], part_ptr[p + 1], position, meet)
        for i in range(row.shape[1]):
            for q in range(len(inputs)):
                for m in range(ptr[q], ptr[q + 1]):
                    r = row[kind[run[m]], i, at[m]]
                    if r >= 0:
                        source[n], segment_row[n], segment_base[n] = i * n_in + inputs[q], r, base[run[m]]
                        n += 1
