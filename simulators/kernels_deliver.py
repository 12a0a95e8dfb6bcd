"""Numba kernels that carry spikes to accumulators, and those that lay out the synapses for it."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hwsdk.simulators.kernels_mesh import AHEAD
from hwsdk.simulators.kernels_sync import inner, prefetch, stay_apart

WORDS = 16
"""Words of a synapse in a cache line of 64 bytes."""
Ints = NDArray[np.integer[Any]]


class Wires(NamedTuple):
    """The synapses onto the accumulators of one part of the neurons, S of them written out by sender.

    ptr uint64 (senders+1). word int32 (S,): weight << bits | target, those of each sender filled up to whole cache
    lines with weights of 0; or (0,) if that is too much for 32 bits or delays differ; then target uint32, weight, and
    delay uint8 in steps or (0,) where all are 1. target: column of the ring.

    Rows that several senders use are kept once: sender s has the segments segment_ptr[s] to segment_ptr[s + 1], each a
    row and the column where it begins; row_ptr, row_target, row_weight and row_delay as above; all (0,) if there are
    none.
    """

    n_inputs: int
    ptr: NDArray[np.uint64]
    bits: int
    word: NDArray[np.int32]
    target: NDArray[np.uint32]
    weight: Ints
    delay: NDArray[np.uint8]
    segment_ptr: NDArray[np.int64]
    segment_row: NDArray[np.int32]
    segment_base: NDArray[np.int64]
    row_ptr: NDArray[np.int64]
    row_target: NDArray[np.int32]
    row_weight: Ints
    row_delay: NDArray[np.uint8]


class Columns(NamedTuple):
    """Where the accumulators of each core lie in a row of the ring, int64 (cores,): number k of a core in column first
    + k, from k = neurons on in second + k.
    """

    first: NDArray[np.int64]
    neurons: NDArray[np.int64]
    second: NDArray[np.int64]


@inner
def deliver(t: int, sources: Any, offset: int, values: Any, wires: Any, ring: Any) -> None:
    """Add the weights of senders ``sources + offset`` to the inputs of later steps; ``values``: or (0,) for ones."""
    if len(wires.word):
        _deliver_words(sources, offset, values, wires, ring[(t + 1) & (len(ring) - 1)])
    elif len(wires.target):
        _deliver_lists(t, sources, offset, values, wires, ring)
    if len(wires.segment_ptr):
        _deliver_segments(t, sources, offset, values, wires, ring)


@inner
def _deliver_words(sources: Any, offset: int, values: Any, wires: Any, after: Any) -> None:
    """``deliver`` where every delay is one step and a synapse is one word."""
    stay_apart()
    ptr, word, bits = wires.ptr, wires.word, wires.bits
    mask = np.uint32((1 << bits) - 1)
    for k in range(len(sources)):
        if k + AHEAD < len(sources):
            ahead = offset + sources[k + AHEAD]
            for s in range(np.int64(ptr[ahead]), np.int64(ptr[ahead + 1]), WORDS):
                prefetch(word, s)
        source = offset + sources[k]
        if len(values):
            for s in range(ptr[source], ptr[source + 1]):
                after[np.uint32(word[s]) & mask] += (word[s] >> bits) * values[k]
        else:
            for first in range(np.int64(ptr[source]), np.int64(ptr[source + 1]), WORDS):
                for s in range(np.uint64(first), np.uint64(first + WORDS)):
                    after[np.uint32(word[s]) & mask] += word[s] >> bits


@inner
def _deliver_lists(t: int, sources: Any, offset: int, values: Any, wires: Any, ring: Any) -> None:
    """``deliver`` of what is written out."""
    ptr, target, weight, delay = wires.ptr, wires.target, wires.weight, wires.delay
    mask = len(ring) - 1
    after = ring[(t + 1) & mask]
    value = 1
    for k in range(len(sources)):
        if k + AHEAD < len(sources):
            ahead = offset + sources[k + AHEAD]
            for s in range(np.int64(ptr[ahead]), np.int64(ptr[ahead + 1]), 16):
                prefetch(target, s)
                prefetch(weight, s)
        source = offset + sources[k]
        if len(values):
            value = values[k]
        if len(delay) == 0:
            for s in range(ptr[source], ptr[source + 1]):
                after[target[s]] += weight[s] * value
        else:
            for s in range(ptr[source], ptr[source + 1]):
                ring[(t + delay[s]) & mask, target[s]] += weight[s] * value


@inner
def _deliver_segments(t: int, sources: Any, offset: int, values: Any, wires: Any, ring: Any) -> None:
    """``deliver`` of the rows that are kept once."""
    row_ptr, target, weight, delay = wires.row_ptr, wires.row_target, wires.row_weight, wires.row_delay
    mask = len(ring) - 1
    after = ring[(t + 1) & mask]
    value = 1
    for k in range(len(sources)):
        source = offset + sources[k]
        if len(values):
            value = values[k]
        for g in range(wires.segment_ptr[source], wires.segment_ptr[source + 1]):
            row, base = wires.segment_row[g], wires.segment_base[g]
            if len(delay) == 0:
                for s in range(np.uint64(row_ptr[row]), np.uint64(row_ptr[row + 1])):
                    after[np.uint64(base + target[s])] += weight[s] * value
            else:
                for s in range(np.uint64(row_ptr[row]), np.uint64(row_ptr[row + 1])):
                    ring[(t + delay[s]) & mask, np.uint64(base + target[s])] += weight[s] * value


@njit(cache=True, nogil=True)
def unpack(sender: Any, home: Any, columns: Any, number: Any, segment_ptr: Any, row: Any, base: Any, row_ptr: Any,
           exponent: Any, target: Any, weight: Any, delay: Any, at: Any, to: Any, amount: Any, ticks: Any,
           at_segment: Any, to_row: Any, to_base: Any) -> None:
    """Sort synapses and segments by sender, stably: a counting sort of whole axons.

    Args:
        sender, home: sender and core of each axon. number: of each row among those that are kept, -1 for one that is
        written out. segment_ptr .. delay: of these axons, as in LoihiArrays. at, at_segment (senders): where each
        sender's synapses and segments begin; used up. to, amount, ticks, to_row, to_base: the result; ticks may be
        empty.
    """
    for a in range(len(sender)):
        k, n = at[sender[a]], at_segment[sender[a]]
        core = home[a]
        for g in range(segment_ptr[a], segment_ptr[a + 1]):
            if number[row[g]] >= 0:
                high = base[g] + target[row_ptr[row[g]]] >= columns.neurons[core]
                to_row[n] = number[row[g]]
                to_base[n] = base[g] + (columns.second[core] if high else columns.first[core])
                n += 1
                continue
            for s in range(row_ptr[row[g]], row_ptr[row[g] + 1]):
                local = base[g] + target[s]
                to[k] = local + (columns.second[core] if local >= columns.neurons[core] else columns.first[core])
                amount[k] = np.int64(weight[s]) << exponent[row[g]]
                if len(ticks):
                    ticks[k] = delay[s]
                k += 1
        at[sender[a]], at_segment[sender[a]] = k, n


@njit(cache=True, nogil=True)
def pack(ptr: Any, target: Any, weight: Any, bits: int, columns: int, line_ptr: Any, word: Any) -> None:
    """Fill Wires.word, whose senders begin at ``line_ptr``, from ptr, target and weight; zeros go to the first columns,
    each to another, since additions to one place have to wait for each other.
    """
    for sender in range(len(ptr) - 1):
        at = line_ptr[sender]
        for s in range(ptr[sender], ptr[sender + 1]):
            word[at] = (np.int64(weight[s]) << bits) | target[s]
            at += 1
        for k in range(line_ptr[sender + 1] - at):
            word[at + k] = k % columns


@njit(cache=True, nogil=True)
def add_sizes(first: int, last: int, wires: Any, total: Any) -> None:
    """Add the |weights| of senders first .. last - 1 to ``total`` (columns,)."""
    bits = wires.bits
    for s in range(wires.ptr[first], wires.ptr[last]):
        if len(wires.word):
            total[wires.word[s] & ((1 << bits) - 1)] += abs(wires.word[s] >> bits)
        else:
            total[wires.target[s]] += abs(np.int64(wires.weight[s]))
    if len(wires.segment_ptr):
        for g in range(wires.segment_ptr[first], wires.segment_ptr[last]):
            row = wires.segment_row[g]
            for s in range(wires.row_ptr[row], wires.row_ptr[row + 1]):
                total[wires.segment_base[g] + wires.row_target[s]] += abs(np.int64(wires.row_weight[s]))
