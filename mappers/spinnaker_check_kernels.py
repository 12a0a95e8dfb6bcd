"""Numba kernels of the check of a SpiNNaker program: its words read as synapses, and held against those of a network.

A synapse is (identity of its target, key); key = weight << 24 | tag << 8 | delay: tag 0 is static, others number the
learners; the weight of a csr word is the bits of its float32, as a signed integer.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

EQUAL, MISSING, EXTRA, DIFFERENT, OUTSIDE = range(5)
NARROW, BYTE, WIDE, PLASTIC, CONV, CSR = range(6)
"""In the order of hwsdk.programs.spinnaker_image.KINDS."""
COLUMNS = ("kind", "free", "rows_at", "n_rows", "words_at", "words_end", "delay", "tag", "first", "cells", "shape_at")
"""Of a table entry: its kind; the bits of a key that number its rows; where the counts of its rows are, in halves of
words of all images, and how many rows; where its words begin and those of its PE end, in bytes; what is added to every
delay field; its learner; where the identities of its PE begin, and how many there are; where its convolution record is,
in words. The words of a convolution begin where those of its PE do."""
(KIND, FREE, ROWS_AT, N_ROWS, WORDS_AT, WORDS_END, DELAY, TAG, FIRST, CELLS, SHAPE_AT) = range(len(COLUMNS))
BYTES = np.array([2, 2, 4, 4, 0, 8])
"""Of a word of each kind."""
SIGN = 0x80000000


@njit(cache=True, nogil=True)
def is_sorted(values: Any) -> bool:
    """Is no value smaller than the one before?"""
    for i in range(1, len(values)):  # noqa: SIM110
        if values[i] < values[i - 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def explicit_synapses(low: int, ptr: Any, post: Any, weight: Any, ticks: Any, keep: bool, identity: Any, at: Any,
                      target: Any, key: Any) -> None:
    """Write the synapses ptr[s]..ptr[s + 1] - 1 of the sources s = low + i; those of weight 0 only with ``keep``.

    Args:
        ticks: tag << 8 | delay. identity: of each target. at: where those of each source go, moved on.
    """
    for s in range(len(at)):
        n = at[s]
        for e in range(ptr[low + s], ptr[low + s + 1]):
            if keep or weight[e] != 0:
                target[n], key[n] = identity[post[e]], (weight[e] << 24) | ticks[e]
                n += 1
        at[s] = n


@njit(cache=True, nogil=True)
def compare(low: int, start: Any, end: Any, target: Any, key: Any, packet: Any, slice_of: Any, hears: Any,
            program: Any, seen: Any, expected: Any, room: Any) -> tuple[int, int, int, int, int]:
    """Hold the synapses of the senders low, low + 1, ... against the program.

    Args:
        start, end: synapses of sender low + s are start[s]..end[s] - 1 of target and key. packet, slice_of: key that
        each sends and its slice. hears: (pointers, entries that take the packets) of each slice. program: (entries,
        image, identity of each accumulator), see ``survey``. seen, expected: a cell an identity; seen 0 at first. room:
        (targets, keys) long enough for what one sender reaches.

    Returns:
        (EQUAL, ...), or (what is wrong, sender, target, key of the network, key found) of the first wrong sender;
        OUTSIDE: (OUTSIDE, sender, entry, 0, 0).
    """
    ptr, hearers = hears
    got_target, got_key = room
    for s in range(len(start)):
        own = hearers[ptr[slice_of[s]] : ptr[slice_of[s] + 1]]
        n = gather(packet[s], own, program, got_target, got_key)
        if n < 0:
            return OUTSIDE, low + s, -1 - n, 0, 0
        lo, hi = start[s], end[s]
        if not _same(low + s + 1, target[lo:hi], key[lo:hi], got_target[:n], got_key[:n], seen, expected):
            kind, t, a, b = _difference(target[lo:hi], key[lo:hi], got_target[:n], got_key[:n])
            if kind != EQUAL:
                return kind, low + s, t, a, b
    return EQUAL, 0, 0, 0, 0


@njit(cache=True, nogil=True)
def _same(stamp: int, target: Any, key: Any, got_target: Any, got_key: Any, seen: Any, expected: Any) -> bool:
    """Are these the same synapses, with no target twice? If it says no, they may still be."""
    if len(target) != len(got_target):
        return False
    for n in range(len(target)):
        t = target[n]
        if seen[t] == stamp:
            return False
        seen[t], expected[t] = stamp, key[n]
    for n in range(len(got_target)):
        t = got_target[n]
        if seen[t] != stamp or expected[t] != got_key[n]:
            return False
        seen[t] = 0
    return True


@njit(cache=True, nogil=True)
def _difference(target: Any, key: Any, got_target: Any, got_key: Any) -> tuple[int, int, int, int]:
    """(what is wrong, target, key, key found) of the first difference of two multisets."""
    a, b = _sorted(target, key), _sorted(got_target, got_key)
    for n in range(max(len(a), len(b))):
        if n == len(b) or (n < len(a) and target[a[n]] < got_target[b[n]]):
            return MISSING, target[a[n]], key[a[n]], 0
        if n == len(a) or target[a[n]] > got_target[b[n]]:
            return EXTRA, got_target[b[n]], 0, got_key[b[n]]
        if key[a[n]] != got_key[b[n]]:
            return DIFFERENT, target[a[n]], key[a[n]], got_key[b[n]]
    return EQUAL, 0, 0, 0


@njit(cache=True, nogil=True)
def _sorted(target: Any, key: Any) -> Any:
    """The order by target, then key."""
    order = np.argsort(key, kind="mergesort")
    return order[np.argsort(target[order], kind="mergesort")]


@njit(cache=True, nogil=True)
def survey(entries: Any, image: Any, found: Any) -> None:
    """For each entry (synapses of the longest row, words of all rows, longest delay); (-1, 0, 0) if its rows are no
    rows. image: all images as (uint32, uint16, int8).
    """
    words, halves, _ = image
    for b in range(len(entries)):
        kind, base, end, size = entries[b, KIND], entries[b, WORDS_AT], entries[b, WORDS_END], BYTES[entries[b, KIND]]
        if kind == CONV:
            continue
        longest, total, late = np.int64(0), np.int64(0), np.int64(0)
        for r in range(entries[b, ROWS_AT], entries[b, ROWS_AT] + entries[b, N_ROWS]):
            lo, hi = np.int64(halves[r]), np.int64(halves[r + 1])
            if lo > hi or base + hi * size > end:
                longest = np.int64(-1)
                break
            longest, total = max(longest, hi - lo), total + hi - lo
            for e in range(base // size + lo, base // size + hi):
                if kind == NARROW:
                    late = max(late, np.int64(halves[e] >> 13))
                elif kind != BYTE and kind != CSR:
                    late = max(late, np.int64(words[e] >> 10 & 7))
        found[b, 0], found[b, 1], found[b, 2] = longest, total, late + entries[b, DELAY]


@njit(cache=True, nogil=True)
def matches(key: Any, low: Any, entry: Any, mask: Any, pairs: Any) -> int:
    """Write (slice, entry) wherever an entry meets a slice; returns how many, or -1 - n if pair n splits a slice.

    Args:
        key, low (slices): of atom 0, and the bits that number the atoms. entry, mask (entries). pairs: room; with no
        room they are only counted.
    """
    n = 0
    for s in range(len(key)):
        for e in range(len(entry)):
            if (key[s] ^ entry[e]) & mask[e] & ~low[s] == 0:
                if n < len(pairs):
                    pairs[n, 0], pairs[n, 1] = s, e
                    if mask[e] & low[s] != 0:
                        return -1 - n
                n += 1
    return n


@njit(cache=True, nogil=True)
def gather(packet: int, own: Any, program: Any, target: Any, key: Any) -> Any:
    """Write what a packet reaches through the entries ``own``; returns how many synapses, or -1 - entry if a row or a
    target of the entry lies outside of its PE's memory.
    """
    entries, image, identity = program
    counts, n = image[1], 0
    for b in own:
        row = packet & entries[b, FREE]
        if row >= entries[b, N_ROWS]:
            return -1 - b
        at = entries[b, ROWS_AT] + row
        if entries[b, KIND] != CONV and counts[at] == counts[at + 1]:
            continue
        if entries[b, KIND] == CONV:
            entry = entries[b]
            cells = identity[entry[FIRST] : entry[FIRST] + entry[CELLS]]
            n = _convolution(row, entry, image, cells, n, target, key)
        else:
            n = _words(at, b, entries, image, identity, n, target, key)
        if n < 0:
            return -1 - b
    return n


@njit(cache=True, nogil=True)
def _words(at: int, b: int, entries: Any, image: Any, identity: Any, n: int, target: Any, key: Any) -> int:
    """Write the synapses of the row of entry b whose count is ``at``, after n others; returns how many there are then,
    or -1. (Numbers instead of views of arrays: most rows hold a synapse or two.)
    """
    words, halves, _ = image
    kind, delay, tag = entries[b, KIND], entries[b, DELAY], entries[b, TAG]
    first, cells = entries[b, FIRST], entries[b, CELLS]
    step = 2 if kind == CSR else 1
    base = entries[b, WORDS_AT] >> (1 if kind in (NARROW, BYTE) else 2)
    for e in range(base + step * np.int64(halves[at]), base + step * np.int64(halves[at + 1]), step):
        if kind == NARROW:
            word = np.int64(halves[e])
            t, ticks = word & 255, delay + (word >> 13)
            weight = -(word >> 8 & 15) if word >> 12 & 1 else word >> 8 & 15
        elif kind == BYTE:
            word = np.int64(halves[e])
            t, ticks, weight = word & 255, delay, word >> 8
            weight = weight - 256 if weight > 127 else weight
        elif kind == CSR:
            t, ticks, weight = np.int64(words[e + 1]), delay, np.int64(words[e])
            weight = np.int64(0) if weight == SIGN else weight - 2 * SIGN if weight > SIGN else weight
        else:
            word = np.int64(words[e])
            t, ticks, weight = word & 1023, delay + (word >> 10 & 7), word >> 16
            weight = weight - 65536 if weight > 32767 else weight
        if t >= cells:
            return -1
        if weight != 0 or tag != 0:
            target[n], key[n] = identity[first + t], (weight << 24) | (tag << 8) | ticks
            n += 1
    return n


@njit(cache=True, nogil=True)
def _convolution(atom: int, entry: Any, image: Any, identity: Any, n: int, target: Any, key: Any) -> int:
    """Write what one atom reaches through a convolution record (CONV_FIELDS); see ``_words``."""
    words, halves, single = image
    record = words[entry[SHAPE_AT] : entry[SHAPE_AT] + 25].astype(np.int64)
    (in_c, _, in_y, in_h, in_x, in_w, first, out_c, out_cs, out_y, out_h, out_x, out_w, kernel_y, kernel_x, stride_y,
     stride_x, pad_y, pad_x, dilation_y, dilation_x, group_in, group_out, size, at) = record
    channel, y, x = in_c + atom // (in_h * in_w), in_y + atom // in_w % in_h, in_x + atom % in_w
    group, at = channel // group_in, (entry[WORDS_AT] + at) // size
    for i in range(kernel_y):
        p = y + pad_y - i * dilation_y
        if p % stride_y != 0 or not out_y <= p // stride_y < out_y + out_h:
            continue
        for j in range(kernel_x):
            q = x + pad_x - j * dilation_x
            if q % stride_x != 0 or not out_x <= q // stride_x < out_x + out_w:
                continue
            for o in range(max(out_c, group * group_out), min(out_c + out_cs, (group + 1) * group_out)):
                k = at + (((o - out_c) * group_in + channel % group_in) * kernel_y + i) * kernel_x + j
                weight = np.int64(single[k]) if size == 1 else np.int64(np.int16(halves[k]))
                t = first + ((o - out_c) * out_h + p // stride_y - out_y) * out_w + q // stride_x - out_x
                if t >= len(identity):
                    return -1
                if weight != 0:
                    target[n], key[n] = identity[t], (weight << 24) | entry[DELAY]
                    n += 1
    return n
