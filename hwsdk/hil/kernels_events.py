"""Numba kernels over event lists: from flat arrays to the bytes of the wire and back, and the bytes that a digest is
of.

The form is that of docs/wire.md. Values are rows of raw bytes, so that one kernel serves every type. Plain twins are in
the tests.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
_njit: Any = njit
kernel = _njit(cache=True, nogil=True)
inner = _njit(nogil=True, inline="never")

LIST, VARINT, BITMAP = 0, 1, 2
SHORT, BAD_TAG, BAD_TYPE, BAD_COUNT, BAD_INDEX, BAD_BITMAP, BAD_VALUE, BAD_VARINT, LEFT_OVER = 1, 2, 3, 4, 5, 6, 7, 8, 9
"""What is wrong with a list."""


@inner
def _size(x: int) -> int:
    """Bytes of a varint."""
    n = 1
    while x >= 128:
        x >>= 7
        n += 1
    return n


@inner
def _put(out: Bytes, at: int, x: int) -> int:
    """Write a varint; returns where it ends."""
    while x >= 128:
        out[at] = (x & 127) | 128
        x >>= 7
        at += 1
    out[at] = x
    return at + 1


@inner
def _get(raw: Bytes, at: int) -> tuple[int, int]:
    """(number, where it ends); the end is -SHORT or -BAD_VARINT if there is none."""
    x = 0
    for i in range(5):
        if at + i >= raw.size:
            return 0, -SHORT
        x |= int(raw[at + i] & 127) << (7 * i)
        if raw[at + i] < 128:
            padded = i > 0 and raw[at + i] == 0
            return x, -BAD_VARINT if padded or x >= 1 << 32 else at + i + 1
    return 0, -BAD_VARINT


@inner
def _choose(index: NDArray[np.uint32], a: int, b: int, elements: int) -> int:
    """The encoding with the fewest bytes of indices, the lowest of those."""
    if a == b:
        return LIST
    gaps, last = 0, np.int64(-1)
    for i in range(a, b):
        gaps += _size(np.int64(index[i]) - last - 1)
        last = np.int64(index[i])
    best, kind = gaps, VARINT
    if last < 1 << 16 and 2 * (b - a) <= gaps:
        best, kind = 2 * (b - a), LIST
    return BITMAP if (elements + 7) // 8 < best else kind


@inner
def _put_indices(out: Bytes, at: int, kind: int, index: NDArray[np.uint32], a: int, b: int, elements: int) -> int:
    """Write indices; returns where they end."""
    if kind == BITMAP:
        n = (elements + 7) // 8
        out[at:at + n] = 0
        for i in range(a, b):
            out[at + (index[i] >> 3)] |= np.uint8(1 << (index[i] & 7))
        return at + n
    last = np.int64(-1)
    for i in range(a, b):
        x = np.int64(index[i])
        if kind == LIST:
            out[at], out[at + 1] = x & 255, x >> 8
            at += 2
        else:
            at = _put(out, at, x - last - 1)
            last = x
    return at


@inner
def _all_ones(values: Bytes, one: Bytes, a: int, b: int) -> bool:
    """Whether the values of a list are 1, each."""
    for i in range(a, b):
        for j in range(one.size):
            if values[i, j] != one[j]:
                return False
    return True


@inner
def _has_zero(values: Bytes, a: int, b: int, floats: bool) -> bool:
    """Whether a value is 0, or -0 in floating point."""
    for i in range(a, b):
        seen = 0
        for j in range(values.shape[1]):
            byte = values[i, j]
            seen |= byte & 127 if floats and j == values.shape[1] - 1 else byte
        if seen == 0:
            return True
    return False


@kernel
def encode_lists(ptr: NDArray[np.int64], index: NDArray[np.uint32], values: Bytes, one: Bytes, type_: int,
                 elements: int,
                 out: Bytes, ends: NDArray[np.int64]) -> int:
    """Write the lists of ptr.size - 1 steps. values (n, width), width 0 for ones. ends[i]: where list i ends in
    ``out``, which is long enough for the worst case. Returns 0, or -(step + 1) of a list with a bad index or a value
    of 0.
    """
    at = 0
    for step in range(ptr.size - 1):
        a, b = ptr[step], ptr[step + 1]
        for i in range(a, b):
            if index[i] >= elements or (i > a and index[i] <= index[i - 1]):
                return -(step + 1)
        if one.size and _has_zero(values, a, b, type_ >= 2):
            return -(step + 1)
        plain = one.size == 0 or _all_ones(values, one, a, b)
        kind = _choose(index, a, b, elements)
        out[at] = kind if plain else kind | type_ << 4
        at = _put(out, at + 1, b - a)
        at = _put_indices(out, at, kind, index, a, b, elements)
        if not plain:
            for i in range(a, b):
                for j in range(one.size):
                    out[at + j] = values[i, j]
                at += one.size
        ends[step] = at
    return 0


@inner
def _get_bitmap(raw: Bytes, at: int, n: int, elements: int, index: NDArray[np.uint32], found: int) -> int:
    """Read n set bits; returns where the bitmap ends, or a negative reason."""
    size = (elements + 7) // 8
    if at + size > raw.size:
        return -SHORT
    seen = 0
    for i in range(size):
        byte = np.int64(raw[at + i])
        while byte:
            bit = 0
            while not byte >> bit & 1:
                bit += 1
            byte &= byte - 1
            if seen == n or i * 8 + bit >= elements:
                return -BAD_BITMAP
            index[found + seen] = i * 8 + bit
            seen += 1
    return at + size if seen == n else -BAD_BITMAP


@inner
def _get_indices(raw: Bytes, at: int, kind: int, n: int, elements: int, index: NDArray[np.uint32], found: int) -> int:
    """Read n indices; returns where they end, or a negative reason."""
    if kind == BITMAP:
        return _get_bitmap(raw, at, n, elements, index, found)  # type: ignore[no-any-return]
    last = np.int64(-1)
    for i in range(n):
        if kind == LIST:
            if at + 2 > raw.size:
                return -SHORT
            x = np.int64(raw[at]) | np.int64(raw[at + 1]) << 8
            at += 2
        else:
            x, at = _get(raw, at)
            if at < 0:
                return at
            x += last + 1
        if x <= last or x >= elements:
            return -BAD_INDEX
        index[found + i] = x
        last = x
    return at


@inner
def _get_list(raw: Bytes, at: int, type_: int, one: Bytes, elements: int, index: NDArray[np.uint32], values: Bytes,
              found: int) -> tuple[int, int]:
    """Read a list; returns (events, where it ends or a negative reason)."""
    if at >= raw.size:
        return 0, -SHORT
    kind, typed = raw[at] & 15, raw[at] >> 4
    n, at = _get(raw, at + 1)
    if at < 0:
        return 0, at
    if kind > BITMAP:
        return 0, -BAD_TAG
    if typed and typed != type_:
        return 0, -BAD_TYPE
    if n > elements or found + n > index.size:
        return 0, -BAD_COUNT
    at = _get_indices(raw, at, kind, n, elements, index, found)
    if at < 0:
        return 0, at
    if not typed:
        _fill(values, one, found, found + n)
        return n, at
    return n, _get_values(raw, at, type_, values, found, found + n)


@inner
def _fill(values: Bytes, one: Bytes, a: int, b: int) -> None:
    """Values of 1."""
    for i in range(a, b):
        for j in range(one.size):
            values[i, j] = one[j]


@inner
def _get_values(raw: Bytes, at: int, type_: int, values: Bytes, a: int, b: int) -> int:
    """Read values; returns where they end, or a negative reason."""
    width = values.shape[1]
    if at + (b - a) * width > raw.size:
        return -SHORT
    for i in range(a, b):
        for j in range(width):
            values[i, j] = raw[at + j]
        at += width
    return -BAD_VALUE if _has_zero(values, a, b, type_ >= 2) else at


@kernel
def decode_lists(raw: Bytes, type_: int, one: Bytes, elements: int, head: int, ticks: NDArray[np.uint32],
                 ptr: NDArray[np.int64], index: NDArray[np.uint32], values: Bytes) -> tuple[int, int]:
    """Read ticks.size lists, each behind ``head`` (4, or 0 for none) bytes of ticks. index and values have room for 8
    events a byte or for all that the steps can have. Returns (0, events), or (reason, step) of what is wrong.
    """
    at, found = 0, 0
    ptr[0] = 0
    for step in range(ticks.size):
        if at + head > raw.size:
            return SHORT, step
        for j in range(head):
            ticks[step] |= np.uint32(raw[at + j]) << np.uint32(8 * j)
        n, at = _get_list(raw, at + head, type_, one, elements, index, values, found)
        if at < 0:
            return -at, step
        found += n
        ptr[step + 1] = found
    return (LEFT_OVER, ticks.size) if at != raw.size else (0, found)


@inner
def _word(out: Bytes, at: int, x: int) -> int:
    """Write a u32; returns where it ends."""
    for j in range(4):
        out[at + j] = x >> (8 * j) & 255
    return at + 4


@kernel
def canonical(t0: int, ptr: NDArray[np.int64], index: NDArray[np.uint32], values: Bytes, out: Bytes) -> int:
    """Write what the digest is of: u32 step, u32 n, indices, and values (width 0: none); returns how many bytes."""
    at = 0
    for step in range(ptr.size - 1):
        a, b = ptr[step], ptr[step + 1]
        at = _word(out, at, t0 + step)
        at = _word(out, at, b - a)
        for i in range(a, b):
            at = _word(out, at, np.int64(index[i]))
        for i in range(a, b):
            for j in range(values.shape[1]):
                out[at + j] = values[i, j]
            at += values.shape[1]
    return at
