"""Numba kernels: what packets do to the accumulators of a processing element (PE) of SpiNNaker 2.

A ring holds the accumulators of the steps to come, slot after slot: accumulator i of slot k of a PE is the entry
at + k * width + i of the one array of all PEs, with at and width of the PE.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.simulators.kernels_sync import inner, prefetch

TARGET_BITS, DELAY_BITS = 10, 6
"""Of Words.word, from the lowest bit on; the weight is above."""
AHEAD = 6
"""Rows that are loaded before their turn."""
ACC, CHANNELS, ROWS, COLUMNS, IN_PLANE, IN_WIDTH, OUT_PLANE = range(7)
"""Columns of Conv.shape."""


class Words(NamedTuple):
    """Explicit rows of all PEs: ptr int64 (rows+1); word int32: target, whole delay, weight int16."""

    ptr: NDArray[np.int64]
    word: NDArray[np.int32]


class Pairs(NamedTuple):
    """Rows of float32 weights: ptr int64 (rows+1); weight float32 and target int32, the accumulator, of each."""

    ptr: NDArray[np.int64]
    weight: NDArray[np.float32]
    target: NDArray[np.int32]


class Conv(NamedTuple):
    """K convolutions, unrolled as far as they differ by channel, row or column of the sender.

    shape int64 (K, 7): ACC first accumulator; CHANNELS, ROWS, COLUMNS where its senders' channels, rows and columns
    begin in the next three; neurons of a plane and a row of senders, and of a plane of receivers. channel int32
    (.., 3): offset in the kernel, first and last + 1 of the channels that hear it. row_ptr, row int32 (.., 2): for each
    row of senders the kernel rows and the rows of receivers that these lead to, as offsets; column_ptr, column: the
    same. kernel int16: (group_in, kernel_y, kernel_x, out_channels) of each.
    """

    shape: NDArray[np.int64]
    channel: NDArray[np.int32]
    row_ptr: NDArray[np.int64]
    row: NDArray[np.int32]
    column_ptr: NDArray[np.int64]
    column: NDArray[np.int32]
    kernel: NDArray[np.int16]


@inner
def deliver_words(atoms: Any, base: int, delay: int, t: int, words: Any, ring: Any, at: int, width: int, mask: int,
                  ) -> Any:
    """Add the rows ``base + atoms`` to the ring; returns the words. delay: of all of them, -1 if they differ."""
    ptr, word, events = words.ptr, words.word, 0
    slot = at + ((t + delay) & mask) * width
    for k in range(len(atoms)):
        if k + 2 * AHEAD < len(atoms):
            prefetch(ptr, base + atoms[k + 2 * AHEAD])
            prefetch(word, ptr[np.uint64(base + atoms[k + AHEAD])])
        row = np.uint64(base + atoms[k])
        first, last = ptr[row], ptr[row + np.uint64(1)]
        events += last - first
        if delay >= 0:
            for s in range(np.uint64(first), np.uint64(last)):
                w = word[s]
                ring[np.uint64(slot + (w & 1023))] += w >> 16
        else:
            for s in range(np.uint64(first), np.uint64(last)):
                w = word[s]
                ring[np.uint64(at + ((t + ((w >> 10) & 63)) & mask) * width + (w & 1023))] += w >> 16
    return events


@inner
def deliver_conv(atoms: Any, base: int, which: int, slot: int, conv: Any, ring: Any) -> Any:
    """Add the kernel of convolution ``which`` around senders ``base + atoms``; returns the weights that are added.

    slot: where the accumulators of the step begin.
    """
    shape, channel, kernel = conv.shape[which], conv.channel, conv.kernel
    in_plane, in_width, out_plane = np.uint32(shape[IN_PLANE]), np.uint32(shape[IN_WIDTH]), shape[OUT_PLANE]
    first, channels, rows_at, columns_at = slot + shape[ACC], shape[CHANNELS], shape[ROWS], shape[COLUMNS]
    events = 0
    for k in range(len(atoms)):
        atom = np.uint32(base + atoms[k])
        c = np.uint32(atom // in_plane)
        rest = np.uint32(atom - c * in_plane)
        y = np.uint32(rest // in_width)
        x = np.uint32(rest - y * in_width)
        at = channels + np.int64(c)
        offset, low, high = channel[at, 0], channel[at, 1], channel[at, 2]
        row, column = rows_at + np.int64(y), columns_at + np.int64(x)
        rows, columns = conv.row_ptr[row + 1] - conv.row_ptr[row], conv.column_ptr[column + 1] - conv.column_ptr[column]
        for i in range(conv.row_ptr[row], conv.row_ptr[row + 1]):
            in_kernel, acc = offset + conv.row[i, 0], first + conv.row[i, 1]
            for j in range(conv.column_ptr[column], conv.column_ptr[column + 1]):
                weights, to = in_kernel + conv.column[j, 0], acc + conv.column[j, 1]
                for co in range(low, high):
                    ring[np.uint64(to + co * out_plane)] += kernel[np.uint64(weights + co)]
        events += rows * columns * (high - low)
    return events


@inner
def deliver_pairs(atom: int, payload: Any, base: int, slot: int, pairs: Any, ring: Any) -> Any:
    """Add payload x weight of one row to the float32 ring; returns the words."""
    row = base + atom
    for s in range(np.uint64(pairs.ptr[row]), np.uint64(pairs.ptr[row + 1])):
        ring[np.uint64(slot + pairs.target[s])] += pairs.weight[s] * payload
    return pairs.ptr[row + 1] - pairs.ptr[row]
