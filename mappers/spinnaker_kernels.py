"""Kernels of the SpiNNaker 2 mapper: synapses by their targets, the sweep that cuts a population, rows of words."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Floats = NDArray[np.float64]
FITS, BYTES, CYCLES = 0, 1, 2
"""Why a sweep ended: it did not, or one neuron alone breaks the limit of bytes or of cycles."""
NARROW, BYTE, WIDE, PLASTIC, CONV, CSR = range(6)
"""In the order of hwsdk.programs.spinnaker_image.KINDS."""


@njit(cache=True, nogil=True)
def ascending(key: NDArray[Any]) -> bool:
    """Is no number smaller than the one before?"""
    for i in range(1, len(key)):  # noqa: SIM110
        if key[i] < key[i - 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def count_into(key: NDArray[Any], n: int, counts: IntArray) -> None:
    """Add to counts (n) how often each number occurs, counted modulo n."""
    for k in key:
        counts[k if k < n else k % n] += 1


@njit(cache=True, nogil=True)
def sum_into(source: NDArray[Any], target: NDArray[Any], n: int, rate: Floats, sums: Floats) -> None:
    """Add the rate of each synapse's source to the sum (n) of its target, counted modulo n."""
    for s in range(len(source)):
        t = target[s]
        sums[t if t < n else t % n] += rate[source[s]]


@njit(cache=True, nogil=True)
def by_target(source: NDArray[Any], target: NDArray[Any], n: int, first: int, at: IntArray,
              sorted_source: NDArray[np.int32]) -> None:
    """Write first + source of each synapse where ``at`` (n) says for its target, modulo n; at moves on."""
    for s in range(len(source)):
        t = target[s]
        t = t if t < n else t % n
        sorted_source[at[t]] = first + source[s]
        at[t] += 1


@njit(cache=True, nogil=True)
def sweep(ptr: IntArray, counts: IntArray, source: NDArray[np.int32], group_of: NDArray[np.int32], groups: IntArray,
          word_bytes: Floats, expected: Floats, group_bytes: Floats, group_cycles: Floats, group_phase: IntArray,
          own: tuple[float, float, float, float], limits: Floats, most: int, bounds: IntArray) -> tuple[int, int, int]:
    """Cut neurons 0 .. n - 1 into the longest runs that fit.

    ptr (n + 1): synapses of each neuron, those of wire 0 first: counts (wires, n) of each. source of each synapse,
    group_of: source -> its slice of senders; groups (wires): such slices. word_bytes (n), expected (phases, n): bytes
    of a neuron's synapses, and cycles in a tick, by the phase in which they are worked off. group_bytes, group_cycles:
    what hearing a slice of senders costs once; group_phase: in which phase it sends, since only what comes in one phase
    is worked off in one tick. own: (bytes, cycles) of a PE before any neuron, and of a
    neuron. limits: (bytes, cycles). most: neurons of a run. bounds (n + 2): receives the runs.

    Returns:
        (runs, why it ended, neuron at which it ended).
    """
    base_bytes, base_cycles, neuron_bytes, neuron_cycles = own
    seen, n_seen = np.full(len(group_bytes), -1, np.int64), np.zeros(len(groups), np.int64)
    heard = np.zeros(len(expected))
    more_heard = heard.copy()
    runs, begin, used = 0, 0, base_bytes
    bounds[0] = 0
    i = 0
    while i < len(ptr) - 1:
        more = neuron_bytes + word_bytes[i]
        more_heard[:] = heard + expected[:, i]
        first = ptr[i]
        for w in range(len(groups)):
            last = first + counts[w, i]
            for s in range(first if n_seen[w] < groups[w] else last, last):
                g = group_of[source[s]]
                if seen[g] != runs:
                    seen[g] = runs
                    n_seen[w] += 1
                    more += group_bytes[g]
                    more_heard[group_phase[g]] += group_cycles[g]
            first = last
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
        heard[:], n_seen[:] = 0, 0
    bounds[runs + 1] = len(ptr) - 1
    return runs + 1, FITS, len(ptr) - 1


@njit(cache=True, nogil=True)
def count_pairs(ptr: IntArray, target: NDArray[Any], order: NDArray[np.int32], starts: IntArray,
                home: NDArray[np.int32], n_homes: int) -> tuple[IntArray, NDArray[np.int32], IntArray]:
    """Which slices of targets hear which slices of senders.

    ptr: synapses of each sender, to target of each. order: senders by slice, which begin at starts; home: target -> its
    slice of n_homes.

    Returns:
        (pointers by slice of senders, slices of targets, synapses) of the pairs.
    """
    n = len(starts) - 1
    pair_ptr, size = np.zeros(n + 1, np.int64), 1024
    pair_home, pair_count = np.empty(size, np.int32), np.empty(size, np.int64)
    pair_of = np.full(n_homes, -1, np.int64)
    pairs = 0
    for g in range(n):
        first = pairs
        for r in range(starts[g], starts[g + 1]):
            for s in range(ptr[order[r]], ptr[order[r] + 1]):
                t = home[target[s]]
                p = pair_of[t]
                if p < first:
                    if pairs == size:
                        pair_home = np.concatenate((pair_home, np.empty(size, np.int32)))
                        pair_count = np.concatenate((pair_count, np.empty(size, np.int64)))
                        size *= 2
                    p = pair_of[t] = pairs
                    pair_home[p], pair_count[p] = t, 0
                    pairs += 1
                pair_count[p] += 1
        pair_ptr[g + 1] = pairs
    return pair_ptr, pair_home[:pairs].copy(), pair_count[:pairs].copy()


@njit(cache=True, nogil=True)
def write_words(kind: int, later: int, synapses: Any, senders: Any, targets: Any, pairs: Any, words: NDArray[Any],
                rows: NDArray[np.uint16]) -> None:
    """The words and row pointers of all pairs.

    later: subtracted from every delay. synapses: (pointers of each sender, target, weight, delay); delay is not read of
    byte and csr words. senders: (order, starts), targets: (slice of each, place in the words) as count_pairs; pairs:
    (pointers, slice of targets, first word, first row pointer) of the pairs by slice of senders. words: csr takes two
    places each. rows: uint16 zeros.
    """
    ptr, target, weight, delay = synapses
    (order, starts), (home, local) = senders, targets
    pair_ptr, pair_home, word_at, row_at = pairs
    at_word, at_row = np.zeros(home.max() + 1, np.int64), np.zeros(home.max() + 1, np.int64)
    for g in range(len(starts) - 1):
        for p in range(pair_ptr[g], pair_ptr[g + 1]):
            at_word[pair_home[p]], at_row[pair_home[p]] = word_at[p], row_at[p] + 1
        for r in range(starts[g], starts[g + 1]):
            row = r - starts[g]
            for s in range(ptr[order[r]], ptr[order[r] + 1]):
                t = home[target[s]]
                rows[at_row[t] + row] += 1
                word, w = np.int64(local[target[s]]), np.int64(weight[s])
                if kind == BYTE:
                    word |= (w & 255) << 8
                elif kind == NARROW:
                    word |= abs(w) << 8 | (4096 if w < 0 else 0) | (delay[s] - later) << 13
                elif kind == CSR:
                    words[at_word[t]] = w
                    at_word[t] += 1
                else:
                    word |= (delay[s] - later) << 10 | (w & 65535) << 16
                words[at_word[t]] = word
                at_word[t] += 1
        for p in range(pair_ptr[g], pair_ptr[g + 1]):
            for r in range(row_at[p], row_at[p] + starts[g + 1] - starts[g]):
                rows[r + 1] += rows[r]


@njit(cache=True, nogil=True)
def add_rows(rows: NDArray[np.uint16], row_at: IntArray, first: IntArray, n: IntArray, cycles: float,
             busy: Floats) -> None:
    """Add the cycles of the rows of some pairs to those of their senders, numbered from ``first`` on."""
    for p in range(len(row_at)):
        for r in range(n[p]):
            busy[first[p] + r] += (rows[row_at[p] + r + 1] - rows[row_at[p] + r]) * cycles
