"""Recordings of lava-dl in .npy files: arrays whose last axis is time, and lists of events.

slayer writes (samples, channels, height, width, time), Lava (width, height, channels, time); events are rows (x,
channel, t) or (x, y, channel, t) in ms (lava-dl 0.6.0 lava/lib/dl/slayer/io.py: read_np_spikes and Event.fill_tensor).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.formats.data_events import binary_events
from hwsdk.ir.nodes import Shape

Array = NDArray[Any]


def recording(array: Array, name: str, shape: Shape, dt_s: float | None, n_steps: int | None) -> Stimulus | None:
    """The stimulus of a recording, with a note of how it was read; None for an array in hwsdk's own order, or none.

    Raises:
        DataError: OUT_OF_RANGE, NOT_FINITE, BAD_DTYPE, STATIC_DATA or TOO_LARGE.
    """
    if _is_own(array.shape, shape) or array.dtype.kind not in "biuf" or not array.size:
        return None
    listed = array.ndim == 2 and array.shape[1] == {1: 3, 3: 4}.get(len(shape))
    if listed and array.dtype.kind == "f" and not array.max() <= 1:  # frames of spikes are 0 and 1
        return _events(array.astype(np.float64), name, shape, 1.0 if dt_s is None else dt_s * 1e3, n_steps)
    found = _in_time(array, shape, n_steps, name)
    if found is None:
        return None
    dense, note = found
    return Stimulus({name: events_from_dense(dense, shape, name)}, notes=(note,))


def _is_own(found: Shape, shape: Shape) -> bool:
    """(steps, *shape) or (samples, steps, *shape), flattened or not."""
    n = int(np.prod(shape))
    return any(len(found) in (len(t) + 1, len(t) + 2) and found[-len(t):] == t for t in (shape, (n,)))


def _in_time(array: Array, shape: Shape, n_steps: int | None, name: str) -> tuple[Array, str] | None:
    """(samples, steps, *shape), and which order was found."""
    turned = shape[::-1]
    if array.shape[:-1] == shape:
        return np.moveaxis(array, -1, 0)[None], "read as (shape, time)"
    if array.ndim == len(shape) + 2 and array.shape[1:-1] == shape:
        return np.moveaxis(array, -1, 1), "read as (samples, shape, time)"
    if array.shape[:-1] == turned:
        return array.T[None], "read as (width, height, channels, time), the order of Lava"
    if len(shape) > 1 and array.shape in (shape, turned):
        if n_steps is None:
            raise DataError("it holds one picture without a step axis", where=name, code="STATIC_DATA",
                            fix="give n_steps (--steps N) to hold it for so many steps")
        picture = array if array.shape == shape else array.T
        order = "channels, height, width" if array.shape == shape else "width, height, channels"
        return np.broadcast_to(picture, (1, n_steps, *shape)), f"a picture ({order}), held for {n_steps} steps"
    return None


def _events(rows: Array, name: str, shape: Shape, step_ms: float, n_steps: int | None) -> Stimulus:
    """Binary frames of an event list; times are rounded to the nearest step, halves to the even one, as slayer does."""
    if not np.isfinite(rows).all():
        raise DataError("it holds NaN or infinite values", where=name, code="NOT_FINITE", fix="clean the data")
    full = (1, 1, shape[0]) if len(shape) == 1 else shape
    place = rows[:, :-1] if rows.shape[1] == 4 else np.insert(rows[:, :-1], 1, 0, axis=1)  # x, y, channel
    if (place % 1).any() or (rows < 0).any() or (place.max(axis=0) >= full[::-1]).any():
        raise DataError(f"events outside the input {shape}, or no whole positions; rows are "
                        f"{'x, channel, t' if len(shape) == 1 else 'x, y, channel, t'}", where=name,
                        code="OUT_OF_RANGE", fix="check the file against the network's input")
    x, y, c = place.astype(np.int64).T
    step = np.round(rows[:, -1] / step_ms).astype(np.int64)
    index = (c * full[1] + y) * full[2] + x
    events = binary_events(shape, np.zeros_like(step), step, index, 1, n_steps, name)
    return Stimulus({name: events}, notes=(f"an event list in ms, steps of {step_ms:g} ms, rounded to the nearest",))
