"""Events of several steps as flat arrays, and as the bytes of the wire."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, LinkError

DTYPES = (np.dtype("u1"), np.dtype("<i4"), np.dtype("<f4"), np.dtype("<f8"))
"""Type of values on the wire -> dtype; ones are not sent."""
WRONG = {
    1: "the bytes end within a list", 2: "an unknown encoding", 3: "values of another type than the image has",
    4: "more events than there are elements", 5: "indices that do not ascend, or beyond the elements",
    6: "a bitmap that does not have as many bits as it says", 7: "a value of 0",
    8: "a varint beyond 32 bits, or padded",
    9: "bytes after the last list"}
"""Reason of kernels_events -> words."""


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Events of k steps: those of step i are ptr[i] .. ptr[i+1] - 1, with strictly ascending indices.

    ptr: int64 (k+1,), from 0. index: uint32 (n,). values: (n,) in the type that the image has, or None where it has
    none or all are 1.
    """

    ptr: NDArray[np.int64]
    index: NDArray[np.uint32]
    values: NDArray[Any] | None = None

    @property
    def steps(self) -> int:
        """k."""
        return len(self.ptr) - 1

    def part(self, first: int, last: int) -> Events:
        """Those of steps first .. last - 1."""
        a, b = int(self.ptr[first]), int(self.ptr[last])
        return Events(self.ptr[first:last + 1] - a, self.index[a:b], None if self.values is None else self.values[a:b])


def no_events(steps: int) -> Events:
    """Steps without any."""
    return Events(np.zeros(steps + 1, np.int64), np.zeros(0, np.uint32))


def join(parts: list[Events], type_: int) -> Events:
    """All steps, one after the other; type_: of the values."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0] + [len(p.index) for p in parts])
    ptr = [p.ptr[1:] + start for p, start in zip(parts, starts[:-1], strict=True)]
    values = np.concatenate([p.values for p in parts]) if type_ else None
    return Events(np.concatenate([np.zeros(1, np.int64), *ptr]),
                  np.concatenate([p.index for p in parts] or [np.zeros(0, np.uint32)]), values)


def _ones(type_: int) -> NDArray[np.uint8]:
    """The bytes of a 1, none where there are no values."""
    return np.zeros(0, np.uint8) if type_ == 0 else np.ones(1, DTYPES[type_]).view(np.uint8)


def _rows(events: Events, type_: int) -> NDArray[np.uint8]:
    """(n, width) bytes of the values."""
    width = DTYPES[type_].itemsize if type_ else 0
    n = len(events.index)
    if not type_:
        return np.zeros((n, 0), np.uint8)
    given = np.ones(n, DTYPES[type_]) if events.values is None else events.values
    return _own(given, DTYPES[type_]).view(np.uint8).reshape(n, width)


def _own(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Contiguous and writable, which is the one kind of array that the kernels are compiled for."""
    return np.require(array, dtype, ["C", "W"])


def encode(events: Events, elements: int, type_: int) -> tuple[bytes, NDArray[np.int64]]:
    """(the lists of all steps, where each ends: (k,)).

    Args:
        events: what goes in.
        elements: of the inputs.
        type_: of the values, as the image says.

    Raises:
        DataError: BAD_EVENTS, with the step: indices that do not ascend or lie beyond the elements, or a value of 0.
    """
    from hwsdk.hil.kernels_events import encode_lists

    k, n = events.steps, len(events.index)
    values, one = _rows(events, type_), _ones(type_)
    out, ends = np.empty(6 * k + (5 + one.size) * n + 8, np.uint8), np.zeros(k, np.int64)
    wrong = encode_lists(_own(events.ptr, np.int64), _own(events.index, np.uint32), values, one, type_, elements, out,
                         ends)
    if wrong:
        raise DataError(
            f"the events of step {-wrong - 1} have indices that do not ascend, an index beyond the {elements} elements "
            "of the inputs, or a value of 0", code="BAD_EVENTS",
            fix="sort and add up the events of a step, and leave out zeros")
    return out[:ends[-1] if k else 0].tobytes(), ends


def decode(raw: bytes, steps: int, elements: int, type_: int, *, ticks: bool = True,
           t0: int = 0) -> tuple[NDArray[np.uint32], Events]:
    """(ticks: (k,), 0 where there are none; the events, with values if the type has any).

    Args:
        raw: the lists.
        steps: how many.
        elements: of what sends them.
        type_: of the values, as the image says.
        ticks: whether each list has its ticks before it.
        t0: number of the first step, for messages.

    Raises:
        LinkError: BAD_EVENTS, with the step.
    """
    from hwsdk.hil.kernels_events import decode_lists

    one, most = _ones(type_), min(8 * len(raw), steps * elements)
    taken, ptr = np.zeros(steps, np.uint32), np.zeros(steps + 1, np.int64)
    index, values = np.empty(most, np.uint32), np.empty((most, one.size), np.uint8)
    reason, n = decode_lists(np.frombuffer(raw, np.uint8), type_, one, elements, 4 * ticks, taken, ptr, index, values)
    if reason:
        raise LinkError(f"the events of a reply cannot be read: {WRONG[reason]}", where=f"step {t0 + n}",
                        code="BAD_EVENTS",
                        fix="use firmware and hwsdk of the same version; if they are, the device's memory is at fault")
    kept = values[:n].copy().view(DTYPES[type_]).reshape(n) if type_ else None
    return taken, Events(ptr, index[:n].copy(), kept)


def digest(before: int, t0: int, events: Events, type_: int) -> int:
    """The CRC-32 after these steps, chained to the one before them."""
    from hwsdk.hil.kernels_events import canonical

    width = DTYPES[type_].itemsize if type_ else 0
    out = np.empty(8 * events.steps + (4 + width) * len(events.index), np.uint8)
    canonical(t0, _own(events.ptr, np.int64), _own(events.index, np.uint32), _rows(events, type_), out)
    return zlib.crc32(out.data, before)
