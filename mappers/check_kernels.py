"""Numba kernels of the check: synapses of a block of sources written out, and held against a program's rows."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

EQUAL, MISSING, EXTRA, DIFFERENT, SEVERAL, OUTSIDE = range(6)


@njit(cache=True, nogil=True)
def conv_sizes(low: int, high: int, n_in: Any, ways: Any, n_out: int, count: Any) -> None:
    """Add the synapses of the sources low..high-1 of a convolution to ``count``.

    Args:
        n_in (3): input positions on each axis. ways: for each axis (pointers, output positions, kernel offsets) by
        input position. n_out: output channels that an input channel reaches.
    """
    (pa, _, _), (pb, _, _), (pc, _, _) = ways
    size = n_in[0] * n_in[1] * n_in[2]
    for s in range(low, high):
        q = s % size
        a, b, c = q // (n_in[1] * n_in[2]), q // n_in[2] % n_in[1], q % n_in[2]
        count[s - low] += n_out * (pa[a + 1] - pa[a]) * (pb[b + 1] - pb[b]) * (pc[c + 1] - pc[c])


@njit(cache=True, nogil=True)
def conv_synapses(low: int, high: int, n_in: Any, n_out: Any, kernel: Any, ways: Any, weight: Any, groups: int,
                  factor: int, delay: int, identity: Any, at: Any, target: Any, key: Any) -> None:
    """Write the synapses of the sources low..high-1 of a convolution.

    Args:
        n_in, n_out, kernel (3): positions and offsets on each axis. weight (out, in of a group, offsets). factor: of
        every weight. identity: of each target. at: where those of each source go, moved on. target, key: what is
        written; a key is weight * 256 + delay.
    """
    (pa, oa, ka), (pb, ob, kb), (pc, oc, kc) = ways
    size, group_in, group_out = n_in[0] * n_in[1] * n_in[2], weight.shape[1], weight.shape[0] // groups
    places = n_out[0] * n_out[1] * n_out[2]
    for s in range(low, high):
        channel, q = s // size, s % size
        a, b, c = q // (n_in[1] * n_in[2]), q // n_in[2] % n_in[1], q % n_in[2]
        for i in range(pa[a], pa[a + 1]):
            for j in range(pb[b], pb[b + 1]):
                for k in range(pc[c], pc[c + 1]):
                    p = (oa[i] * n_out[1] + ob[j]) * n_out[2] + oc[k]
                    offset = (ka[i] * kernel[1] + kb[j]) * kernel[2] + kc[k]
                    first = channel // group_in * group_out
                    for o in range(first, first + group_out):
                        w = weight[o, channel % group_in, offset]
                        if w != 0:
                            n = at[s - low]
                            target[n], key[n] = identity[o * places + p], w * factor * 256 + delay
                            at[s - low] = n + 1


@njit(cache=True, nogil=True)
def explicit_synapses(low: int, ptr: Any, post: Any, weight: Any, ticks: Any, factor: int, identity: Any, at: Any,
                      target: Any, key: Any) -> None:
    """Write the synapses ptr[s]..ptr[s + 1] - 1 of the sources s; arguments as in ``conv_synapses``."""
    for s in range(len(at)):
        for e in range(ptr[low + s], ptr[low + s + 1]):
            if weight[e] != 0:
                n = at[s]
                target[n], key[n] = identity[post[e]], weight[e] * factor * 256 + ticks[e]
                at[s] = n + 1


@njit(cache=True, nogil=True)
def compare(low: int, start: Any, end: Any, target: Any, key: Any, axon_ptr: Any, axons: Any, program: Any, seen: Any,
            expected: Any) -> tuple[int, int, int, int, int]:
    """Hold the synapses of a block of sources against a program.

    Args:
        start, end: synapses of source low + s are start[s]..end[s] - 1. axon_ptr, axons: axons of each source.
        program: (segment_ptr, segment_row, segment_base, row_ptr, factor, target, weight, delay, core of each axon,
        first accumulator of each core, identity of each accumulator). seen, expected: a cell an identity, seen all 0
        before and after.

    Returns:
        (EQUAL, ...), or (what is wrong, source, target, expected key, key found) of the first wrong source; SEVERAL:
        the pair has several synapses on one of the sides, which has to be looked at with care.
    """
    for s in range(len(start)):
        for n in range(start[s], end[s]):
            t = target[n]
            seen[t] += 1
            expected[t] = key[n]
        for n in range(start[s], end[s]):
            if seen[target[n]] > 1:
                for m in range(start[s], end[s]):
                    seen[target[m]] = 0
                return SEVERAL, low + s, target[n], 0, 0
        wrong = _listen(axons[axon_ptr[low + s] : axon_ptr[low + s + 1]], program, seen, expected)
        for n in range(start[s], end[s]):
            if wrong[0] == EQUAL and seen[target[n]] == 1:
                wrong = (MISSING, target[n], key[n], 0)
            seen[target[n]] = 0
        if wrong[0] != EQUAL:
            return wrong[0], low + s, wrong[1], wrong[2], wrong[3]
    return EQUAL, 0, 0, 0, 0


@njit(cache=True, nogil=True)
def _listen(axons: Any, program: Any, seen: Any, expected: Any) -> tuple[int, int, int, int]:
    """Cross off what one source's axons reach; (what is wrong, target, expected key, key found)."""
    segment_ptr, segment_row, segment_base, row_ptr, factor, target, weight, delay, home, first, identity = program
    for axon in axons:
        begin, end = first[home[axon]], first[home[axon] + 1]
        for g in range(segment_ptr[axon], segment_ptr[axon + 1]):
            r = segment_row[g]
            for e in range(row_ptr[r], row_ptr[r + 1]):
                if weight[e] == 0:
                    continue
                at = begin + segment_base[g] + target[e]
                if at < begin or at >= end:
                    return OUTSIDE, home[axon], segment_base[g], target[e]
                t, found = identity[at], weight[e] * factor[r] * 256 + delay[e]
                if seen[t] != 1:
                    return EXTRA, t, 0, found
                if expected[t] != found:
                    return DIFFERENT, t, expected[t], found
                seen[t] = 2
    return EQUAL, 0, 0, 0


@njit(cache=True, nogil=True)
def heard(axons: Any, program: Any) -> tuple[Any, Any]:
    """(identities, keys) of everything that one source's axons reach, -1 for what lies outside its core."""
    segment_ptr, segment_row, segment_base, row_ptr, factor, target, weight, delay, home, first, identity = program
    n = 0
    for axon in axons:
        for g in range(segment_ptr[axon], segment_ptr[axon + 1]):
            n += row_ptr[segment_row[g] + 1] - row_ptr[segment_row[g]]
    ids, keys = np.empty(n, np.int64), np.empty(n, np.int64)
    n = 0
    for axon in axons:
        begin, end = first[home[axon]], first[home[axon] + 1]
        for g in range(segment_ptr[axon], segment_ptr[axon + 1]):
            r = segment_row[g]
            for e in range(row_ptr[r], row_ptr[r + 1]):
                if weight[e] != 0:
                    at = begin + segment_base[g] + target[e]
                    ids[n] = identity[at] if begin <= at < end else -1
                    keys[n] = weight[e] * factor[r] * 256 + delay[e]
                    n += 1
    return ids[:n], keys[:n]
