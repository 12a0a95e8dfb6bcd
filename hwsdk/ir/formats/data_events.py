"""Events from address-event recordings (x, y, polarity, time) and from lists of (sample, step, index)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.data import Events, Stimulus, events_from_arrays
from hwsdk.ir.formats.data_files import Arrays
from hwsdk.ir.nodes import Shape, size

Ints = NDArray[np.int64]
MAX_SPAN = 10_000_000
MAX_CELLS = 1 << 62


def address_events(arrays: Arrays, name: str, shape: Shape, dt_s: float, limit: int | None,
                   n_steps: int | None) -> Stimulus:
    """Binary frames of a sensor recording: index (p, y, x) in the input shape (2, H, W).

    Bins of ``dt_s`` are counted from the first event of each sample; a cell with any event is 1. Events behind
    n_steps are dropped.

    Raises:
        DataError: SHAPE_MISMATCH, RAGGED, OUT_OF_RANGE, BAD_DTYPE, TOO_LARGE.
    """
    if len(shape) != 3 or shape[0] != 2:
        raise DataError(f"address events fill (2, height, width), the input has {shape}", where=name,
                        code="SHAPE_MISMATCH", fix="use a network with a two-channel image as input, or dense data")
    key = "dt_us" if "dt_us" in arrays else "t"
    x, y, p, time = (column(arrays, k) for k in ("x", "y", "p", key))
    _same_length({"x": x, "y": y, "p": p, key: time})
    sample, n_samples = _samples(arrays, len(x), limit)
    x, y, p, time = x[: len(sample)], y[: len(sample)], p[: len(sample)], time[: len(sample)]
    for what, values, limit_ in (("x", x, shape[2]), ("y", y, shape[1]), ("p", p, 2)):
        _in_range(what, values, limit_, name)
    step = _bins(time, sample, n_samples, dt_s, key == "dt_us")
    index = (p * shape[1] + y) * shape[2] + x
    events = binary_events(shape, sample, step, index, n_samples, n_steps, name)
    labels = _event_labels(arrays, n_samples)
    note = f"address events in bins of {dt_s:g} s from the first event of each sample; binary frames (p, y, x)"
    return Stimulus({name: events}, labels, (note,))


def column(arrays: Arrays, key: str) -> Ints:
    """A flat column of whole numbers.

    Raises:
        DataError: BAD_DTYPE.
    """
    values = np.asarray(arrays[key]).ravel()
    whole = values.dtype.kind in "biu" or (values.dtype.kind == "f" and bool(np.isfinite(values).all())
                                           and bool((values % 1 == 0).all()))
    if not whole or (values.size and float(np.abs(values.astype(np.float64)).max()) > 2.0**53):
        raise DataError(f"{key} does not hold whole numbers", where=key, code="BAD_DTYPE", fix="store integers")
    return values.astype(np.int64)


def _same_length(columns: dict[str, Ints]) -> None:
    """One row an event."""
    if len({len(c) for c in columns.values()}) != 1:
        lengths = ", ".join(f"{k} {len(c)}" for k, c in columns.items())
        raise DataError(f"the columns have different lengths ({lengths})", code="RAGGED", fix="give one row an event")


def _samples(arrays: Arrays, n_events: int, limit: int | None) -> tuple[Ints, int]:
    """The sample of every event of the first ``limit`` samples, and how many samples there are."""
    offset = column(arrays, "offset") if "offset" in arrays else np.array([0, n_events])
    if len(offset) < 2 or offset[0] != 0 or (np.diff(offset) < 0).any() or offset[-1] > n_events:
        raise DataError(f"offset must rise from 0 to at most {n_events} events", where="offset", code="RAGGED",
                        fix="store the first event of each sample and the end of the last")
    offset = offset if limit is None else offset[: limit + 1]
    return np.repeat(np.arange(len(offset) - 1), np.diff(offset)), len(offset) - 1


def _in_range(what: str, values: Ints, limit: int, where: str) -> None:
    """Coordinates lie on the sensor."""
    if len(values) and not (values.min() >= 0 and values.max() < limit):
        bad = values.max() if values.max() >= limit else values.min()
        raise DataError(f"{what} {bad} is outside 0..{limit - 1}", where=where, code="OUT_OF_RANGE",
                        fix="check the sensor's size against the network's input")


def _bins(time: Ints, sample: Ints, n_samples: int, dt_s: float, differences: bool) -> Ints:
    """The step of every event, from microseconds; each sample starts at its first event."""
    if not len(time):
        return time
    absolute = np.cumsum(time) if differences else time
    first = np.full(n_samples, np.iinfo(np.int64).max)
    np.minimum.at(first, sample, absolute)
    since = absolute - first[sample]
    width = dt_s * 1e6
    if width >= 1 and abs(width - round(width)) < 1e-6:
        return np.asarray(since // round(width), np.int64)
    return np.asarray(np.floor(since / width), np.int64)


def binary_events(shape: Shape, sample: Ints, step: Ints, index: Ints, n_samples: int, n_steps: int | None,
                  where: str) -> Events:
    """Events of height 1, one for every cell that is named at least once; later steps than n_steps are dropped."""
    span = int(step.max()) + 1 if len(step) else 1
    total = span if n_steps is None else n_steps
    require_cells(n_samples, total, shape, where)
    keep = step < total
    rows = np.unique((sample[keep] * total + step[keep]) * size(shape) + index[keep])
    rest, index = np.divmod(rows, size(shape))
    sample, step = np.divmod(rest, total)
    return events_from_arrays(shape, sample, step, index, n_samples=n_samples, n_steps=total, where=where)


def require_cells(n_samples: int, n_steps: int, shape: Shape, where: str) -> None:
    """Refuse grids that cannot be meant.

    Raises:
        DataError: TOO_LARGE.
    """
    if n_steps > MAX_SPAN or n_samples > 1 << 30 or math.prod((n_samples, n_steps, size(shape))) > MAX_CELLS:
        raise DataError(f"{n_samples:,} samples of {n_steps:,} steps are more than can be run "
                        f"(limit {MAX_SPAN:,} steps)", where=where, code="TOO_LARGE",
                        fix="use a wider bin (dt_s), fewer steps (n_steps) or fewer samples (limit)")


def _event_labels(arrays: Arrays, n_samples: int) -> Ints | None:
    """The labels of the first samples; ``y`` is a coordinate here."""
    key = next((k for k in ("label", "labels") if k in arrays), None)
    if key is None or np.asarray(arrays[key]).dtype.kind in "SU":
        return None
    return column(arrays, key)[:n_samples]


def listed_events(arrays: Arrays, shape: Shape, name: str, n_labels: int | None, n_steps: int | None) -> Events:
    """Events of the columns step, index and optionally sample, value, n_steps; cells named twice add up.

    Raises:
        DataError: RAGGED, OUT_OF_RANGE, BAD_DTYPE, NOT_FINITE, TOO_LARGE.
    """
    step, index = column(arrays, "step"), column(arrays, "index")
    sample = column(arrays, "sample") if "sample" in arrays else np.zeros_like(step)
    value = _values(arrays, len(step))
    _same_length({"sample": sample, "step": step, "index": index, "value": value})  # type: ignore[dict-item]
    for what, values in (("sample", sample), ("step", step)):
        _in_range(what, values, 1 << 31, name)
    stored = int(column(arrays, "n_steps")[0]) if "n_steps" in arrays and arrays["n_steps"].size == 1 else None
    n_samples = n_labels if n_labels is not None else int(sample.max(initial=0)) + 1
    total = n_steps if n_steps is not None else stored or int(step.max(initial=0)) + 1
    require_cells(n_samples, total, shape, name)
    keep = step < total if n_steps is not None else np.ones(len(step), bool)
    return events_from_arrays(shape, sample[keep], step[keep], index[keep], value[keep], n_samples=n_samples,
                              n_steps=total, where=name)


def _values(arrays: Arrays, n: int) -> NDArray[np.float64]:
    """The column value, ones where there is none."""
    if "value" not in arrays:
        return np.ones(n)
    values: np.ndarray[Any, Any] = np.asarray(arrays["value"]).ravel()
    if values.dtype.kind not in "biuf":
        raise DataError("value does not hold numbers", where="value", code="BAD_DTYPE", fix="store numbers")
    if not np.isfinite(values.astype(np.float64)).all():
        raise DataError("value holds NaN or infinite values", where="value", code="NOT_FINITE", fix="clean the data")
    return values.astype(np.float64)
