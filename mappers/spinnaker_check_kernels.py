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
COLUMNS = ("kind", "free", "rows_at", "n_rows", "words_at", "delay", "tag", "first", "cells", "shape")
"""Of a block: its kind; the bits of a key that number its rows; where its rows and words begin; what is added to every
delay field; where the identities of its PE begin, and how many there are; its convolution record."""
(KIND, FREE, ROWS_AT, N_ROWS, WORDS_AT, DELAY, TAG, FIRST, CELLS, SHAPE) = range(len(COLUMNS))
SIGN = 0x80000000


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
        each sends and its slice. hears: (pointers, blocks that take the packets) of each slice. program: (blocks, rows,
        words, second words, shapes, kernels, identity of each accumulator). seen, expected: a cell an identity; seen
        0 at first. room: (targets, keys) long enough for what one sender reaches.

    Returns:
        (EQUAL, ...), or (what is wrong, sender, target, key of the network, key found) of the first wrong sender;
        OUTSIDE: (OUTSIDE, sender, block, 0, 0).
    """
    ptr, blocks = hears
    got_target, got_key = room
    for s in range(len(start)):
        own = blocks[ptr[slice_of[s]] : ptr[slice_of[s] + 1]]
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
def gather(packet: int, own: Any, program: Any, target: Any, key: Any) -> int:
    """Write what a packet reaches through the blocks ``own``; returns how many synapses, or -1 - block if a row or a
    target of the block lies outside of its PE's memory.
    """
    blocks, rows, words, seconds, shapes, kernels, identity = program
    n = 0
    for b in own:
        row, first, cells = packet & blocks[b, FREE], blocks[b, FIRST], blocks[b, CELLS]
        if row >= blocks[b, N_ROWS]:
            return -1 - b
        if blocks[b, KIND] == CONV:
            n = _convolution(row, b, blocks[b, DELAY], shapes[blocks[b, SHAPE]], kernels,
                             identity[first : first + cells], n, target, key)
        else:
            at = blocks[b, ROWS_AT] + row
            lo, hi = blocks[b, WORDS_AT] + rows[at], blocks[b, WORDS_AT] + rows[at + 1]
            n = _words(b, blocks[b], words[lo:hi], seconds[lo:hi] if blocks[b, KIND] == CSR else seconds[:0],
                       identity[first : first + cells], n, target, key)
        if n < 0:
            return n
    return n


@njit(cache=True, nogil=True)
def _words(b: int, block: Any, words: Any, seconds: Any, identity: Any, n: int, target: Any, key: Any) -> int:
    """Write the synapses of one row; see ``gather``."""
    kind, delay, tag = block[KIND], block[DELAY], block[TAG]
    for e in range(len(words)):
        word = np.int64(words[e])
        if kind == NARROW:
            t, ticks = word & 255, delay + (word >> 13)
            weight = -(word >> 8 & 15) if word >> 12 & 1 else word >> 8 & 15
        elif kind == BYTE:
            t, ticks, weight = word & 255, delay, word >> 8
            weight = weight - 256 if weight > 127 else weight
        elif kind == CSR:
            t, ticks, weight = np.int64(seconds[e]), delay, word
            weight = 0 if weight == SIGN else weight - 2 * SIGN if weight > SIGN else weight
        else:
            t, ticks, weight = word & 1023, delay + (word >> 10 & 7), word >> 16
            weight = weight - 65536 if weight > 32767 else weight
        if t >= len(identity):
            return -1 - b
        if weight != 0 or tag != 0:
            target[n], key[n] = identity[t], (weight << 24) | (tag << 8) | ticks
            n += 1
    return n


@njit(cache=True, nogil=True)
def _convolution(atom: int, b: int, delay: int, shape: Any, kernels: Any, identity: Any, n: int, target: Any,
                 key: Any) -> int:
    """Write what one atom reaches through a convolution record (CONV_FIELDS); see ``gather``."""
    (in_c, _, in_y, in_h, in_x, in_w, first, out_c, out_cs, out_y, out_h, out_x, out_w, kernel_y, kernel_x, stride_y,
     stride_x, pad_y, pad_x, dilation_y, dilation_x, group_in, group_out, _, at) = shape
    channel, y, x = in_c + atom // (in_h * in_w), in_y + atom // in_w % in_h, in_x + atom % in_w
    group = channel // group_in
    for i in range(kernel_y):
        p = y + pad_y - i * dilation_y
        if p % stride_y != 0 or not out_y <= p // stride_y < out_y + out_h:
            continue
        for j in range(kernel_x):
            q = x + pad_x - j * dilation_x
            if q % stride_x != 0 or not out_x <= q // stride_x < out_x + out_w:
                continue
            for o in range(max(out_c, group * group_out), min(out_c + out_cs, (group + 1) * group_out)):
                k = ((o - out_c) * group_in + channel - group * group_in) * kernel_y + i
                weight = kernels[at + k * kernel_x + j]
                t = first + ((o - out_c) * out_h + p // stride_y - out_y) * out_w + q // stride_x - out_x
                if t >= len(identity):
                    return -1 - b
                if weight != 0:
                    target[n], key[n] = identity[t], (weight << 24) | delay
                    n += 1
    return n
