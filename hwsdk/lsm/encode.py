"""Sounds, images, event-camera recordings and tactile series as spikes: each gives a Stimulus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.data import Events, Stimulus, events_from_dense
from hwsdk.ir.formats.data_events import binary_events, column

Array = NDArray[Any]
Floats = NDArray[np.float64]
SHORTEST = 512
"""Samples to which a shorter recording is padded with zeros."""
ERB = 21.4
ERB_HZ = 0.00437
"""The scale ERB log10(1 + ERB_HZ f) of auditory filters (Glasberg and Moore, Hearing Research 47, 1990)."""


def cochlea(recordings: Sequence[Any] | Array, rate: float, *, labels: object = None, channels: int = 64,
            bins: int = 128, low: float = 100.0, high: float = 3700.0, gain: float = 0.9, floor: float = 0.15,
            threshold: float = 0.5, name: str = "in") -> Stimulus:
    """Spikes of sounds: gammatone filters, their rectified mean in equal bins, its cube root, integrate and fire.

    Every recording fills all bins, whatever its length. Per channel and bin v += gain * max(e - floor, 0), a spike when
    v >= threshold, which takes the threshold away, and no v beyond the threshold is kept. The defaults are those of
    the corpus of spoken digits.

    Args:
        recordings: (n,) samples of any numeric type, or several of them; their loudness does not matter.
        rate: Hz. labels: one class a recording. channels: filters, with centres from ``low`` to ``high`` Hz.
        bins: steps. name: of the network's input.

    Returns:
        Stimulus of shape (channels,), ``bins`` steps.

    Raises:
        DataError: OUT_OF_RANGE (frequencies), BAD_DTYPE, NOT_FINITE, NO_DATA.
    """
    from scipy.signal import gammatone

    if not 0 < low < high < rate / 2:
        raise DataError(f"filters from {low:g} to {high:g} Hz at {rate:g} samples a second", where="cochlea",
                        code="OUT_OF_RANGE", fix="choose 0 < low < high < rate / 2")
    single = getattr(recordings, "ndim", 0) == 1 and np.asarray(recordings).dtype != object
    sounds = [_sound(r, k) for k, r in enumerate([recordings] if single else recordings)]
    if not sounds:
        raise DataError("there is no recording", where="cochlea", code="NO_DATA", fix="give at least one")
    filters = [gammatone(f, "iir", fs=rate) for f in centres(channels, low, high)]
    levels = np.stack([_levels(s, filters, bins) for s in sounds])
    spikes = fire(gain * np.maximum(levels - floor, 0), threshold, keep=threshold)
    return stimulus(spikes, labels, name)


def centres(channels: int, low: float, high: float) -> Floats:
    """Centre frequencies in Hz, (channels,), equally spaced on the scale of auditory filters."""
    ends = ERB * np.log10(1 + ERB_HZ * np.array([low, high]))
    return np.asarray((10 ** (np.linspace(ends[0], ends[1], channels) / ERB) - 1) / ERB_HZ, np.float64)


def _sound(recording: Any, number: int) -> Floats:
    """One recording at an rms of 1, of SHORTEST samples or more."""
    x = np.asarray(recording)
    if x.dtype.kind not in "iuf" or x.ndim != 1:
        raise DataError(f"a recording is {x.dtype} of shape {x.shape}", where=f"recording {number}", code="BAD_DTYPE",
                        fix="give the samples of one channel, (n,), as integers or floats")
    x = x.astype(np.float64)
    if not len(x) or not np.isfinite(x).all():
        raise DataError("it is empty or holds NaN or infinite values", where=f"recording {number}", code="NOT_FINITE",
                        fix="clean the data")
    x = x / (np.sqrt(np.mean(x**2)) + 1e-9)
    return np.pad(x, (0, max(0, SHORTEST - len(x))))


def _levels(sound: Floats, filters: list[tuple[Floats, Floats]], bins: int) -> Floats:
    """(bins, channels): cube root of the mean rectified output, of the recording's largest."""
    from scipy.signal import lfilter

    edges = np.linspace(0, len(sound), bins + 1).astype(int)
    rectified = np.stack([np.maximum(lfilter(b, a, sound), 0) for b, a in filters])
    means = np.stack([rectified[:, lo:hi].mean(axis=1) for lo, hi in pairwise(edges)])
    loud = np.cbrt(means)
    return np.asarray(loud / (loud.max() or 1.0))


def images(pixels: object, steps: int, *, labels: object = None, white: float | None = None, gain: float = 0.5,
           threshold: float = 0.999, name: str = "in") -> Stimulus:
    """Spikes of images: every pixel integrates v += gain * pixel / white a step and fires at v >= threshold, minus 1.

    Args:
        pixels: (samples, ...) brightness of 0 or more. white: of a full pixel; None takes the largest of all.
        labels: one class an image. name: of the network's input.

    Returns:
        Stimulus of shape (pixels,), flat, ``steps`` steps.

    Raises:
        DataError: BAD_DTYPE, OUT_OF_RANGE.
    """
    flat = _numbers(pixels, 2, "images").reshape(len(np.asarray(pixels)), -1)
    if flat.min(initial=0) < 0:
        raise DataError(f"a pixel is {flat.min():g}", where="images", code="OUT_OF_RANGE", fix="give 0 or more")
    full = float(flat.max(initial=0)) if white is None else white
    drive = np.broadcast_to((gain * flat / (full or 1.0))[:, None], (len(flat), steps, flat.shape[1]))
    return stimulus(fire(drive, threshold, takes=1.0), labels, name)


def fire(drive: Floats, threshold: float, *, takes: float | None = None, keep: float | None = None) -> Array:
    """Integrate and fire along axis 1 of (samples, steps, n): v += drive, a spike when v >= threshold.

    takes: what a spike takes from v; None is the threshold. keep: no v beyond it is kept; None keeps all.
    """
    v = np.zeros((drive.shape[0], drive.shape[2]))
    spikes = np.zeros(drive.shape, bool)
    for t in range(drive.shape[1]):
        v = v + drive[:, t]
        spikes[:, t] = v >= threshold
        v = v - spikes[:, t] * (threshold if takes is None else takes)
        v = v if keep is None else np.minimum(v, keep)
    return spikes


def dvs(recordings: Mapping[str, Array], steps: int, *, sensor: tuple[int, int] = (34, 34),
        crop: tuple[int, int] | None = (16, 16), polarity: int | None = 1, name: str = "in") -> Stimulus:
    """Binary frames of event-camera recordings: a crop from the centre, one polarity, equal bins over each recording.

    Args:
        recordings: columns x, y, p, and dt_us or t (microseconds); offset (samples + 1): the first event of each
            recording; label. As address-event files have them.
        steps: bins of a recording, from its first event to its last. sensor: (height, width). crop: (height, width),
            None for all. polarity: the one that counts, None for both as two channels.

    Returns:
        Stimulus of shape (pixels,), flat: (y, x), or (p, y, x) for both polarities.

    Raises:
        DataError: RAGGED, OUT_OF_RANGE, BAD_DTYPE, TOO_LARGE.
    """
    x, y, p, time = (column(dict(recordings), k) for k in ("x", "y", "p", "dt_us" if "dt_us" in recordings else "t"))
    offset = column(dict(recordings), "offset") if "offset" in recordings else np.array([0, len(x)])
    _check_columns((x, y, p, time), offset, sensor)
    sample = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    step = _equal_bins(np.cumsum(time) if "dt_us" in recordings else time, offset, sample, steps)
    height, width = crop or sensor
    top, left = (sensor[0] - height) // 2, (sensor[1] - width) // 2
    keep = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    keep &= np.ones(len(p), bool) if polarity is None else p == polarity
    index = (y - top) * width + (x - left) + (p * height * width if polarity is None else 0)
    shape = (height * width * (2 if polarity is None else 1),)
    events = binary_events(shape, sample[keep], step[keep], index[keep], len(offset) - 1, steps, name)
    labels = recordings.get("label", recordings.get("labels"))
    return Stimulus({name: events}, None if labels is None else np.asarray(labels, np.int64))


def _check_columns(columns: tuple[Array, ...], offset: Array, sensor: tuple[int, int]) -> None:
    """One row an event, on the sensor, and offsets that rise from 0 to the end."""
    x, y, p, _ = columns
    n = len(x)
    rises = len(offset) > 1 and offset[0] == 0 and offset[-1] == n and bool((np.diff(offset) >= 0).all())
    if any(len(c) != n for c in columns) or not rises:
        raise DataError("the columns x, y, p, time and offset do not belong together", where="dvs", code="RAGGED",
                        fix="give one row an event, and offset from 0 to the number of events")
    for what, values, limit in (("x", x, sensor[1]), ("y", y, sensor[0]), ("p", p, 2)):
        if n and not (values.min() >= 0 and values.max() < limit):
            raise DataError(f"{what} is {values.min()} to {values.max()}", where="dvs", code="OUT_OF_RANGE",
                            fix=f"allowed are 0 to {limit - 1}; check the sensor's size")


def _equal_bins(time: Array, offset: Array, sample: Array, steps: int) -> NDArray[np.int64]:
    """The bin of every event, of ``steps`` equal ones from its recording's first event to the last."""
    some = np.diff(offset) > 0
    first, last = (np.zeros(len(offset) - 1, np.int64) for _ in range(2))
    if some.any():
        starts = offset[:-1][some]
        first[some], last[some] = np.minimum.reduceat(time, starts), np.maximum.reduceat(time, starts)
    span = (last - first + 1)[sample]
    return np.asarray((time - first[sample]) * steps // span, np.int64)


def send_on_delta(values: object, threshold: float, *, labels: object = None, name: str = "in") -> Stimulus:
    """Events of slow series, as an asynchronous sensor sends them: where a value left its reference by the threshold.

    Each series starts at its first value. In a step in which it is ``threshold`` or more above the reference, its ON
    channel fires, if as much below, its OFF channel, and the reference moves to the value.

    Args:
        values: (samples, steps, n) or (steps, n). threshold: in their unit, more than 0.
        labels: one class a sample. name: of the network's input.

    Returns:
        Stimulus of shape (2 n,): n ON channels, then n OFF channels.

    Raises:
        DataError: BAD_DTYPE, NOT_FINITE, OUT_OF_RANGE.
    """
    x = _numbers(values, 2, "send_on_delta")
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or not threshold > 0:
        raise DataError(f"values of shape {x.shape}, threshold {threshold!r}", where="send_on_delta",
                        code="OUT_OF_RANGE", fix="give (samples, steps, n) and a threshold of more than 0")
    reference = x[:, 0].copy()
    spikes = np.zeros((*x.shape[:2], 2 * x.shape[2]), bool)
    for t in range(x.shape[1]):
        rise = x[:, t] - reference
        up, down = rise >= threshold, rise <= -threshold
        spikes[:, t] = np.concatenate([up, down], axis=1)
        reference = np.where(up | down, x[:, t], reference)
    return stimulus(spikes, labels, name)


def _numbers(values: object, axes: int, where: str) -> Floats:
    """Finite floats with at least so many axes."""
    x = np.asarray(values)
    if x.dtype.kind not in "biuf" or x.ndim < axes:
        raise DataError(f"the data is {x.dtype} of shape {x.shape}", where=where, code="BAD_DTYPE",
                        fix=f"give numbers with {axes} axes or more")
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise DataError("it holds NaN or infinite values", where=where, code="NOT_FINITE", fix="clean the data")
    return x


def stimulus(spikes: Array, labels: object = None, name: str = "in") -> Stimulus:
    """A Stimulus for one input of dense (samples, steps, n) values."""
    events = events_from_dense(spikes, (spikes.shape[-1],), name)
    return Stimulus({name: events}, None if labels is None else np.asarray(labels, np.int64))


def chosen(data: Stimulus, samples: object) -> Stimulus:
    """Some samples of a stimulus, in the given order.

    Args:
        samples: indices, or a mask over the samples.

    Raises:
        DataError: NO_SUCH_SAMPLE.
    """
    at = np.asarray(samples)
    at = np.flatnonzero(at) if at.dtype == bool else at.astype(np.int64)
    if not len(at) or at.min() < 0 or at.max() >= data.n_samples:
        raise DataError(f"the stimulus has samples 0 to {data.n_samples - 1}", code="NO_SUCH_SAMPLE",
                        fix="choose at least one of them")
    labels = None if data.labels is None else data.labels[at]
    grid = None if data.grid is None else (len(at), data.n_steps)
    return Stimulus({n: _chosen_events(e, at) for n, e in data.inputs.items()}, labels, data.notes, grid)


def _chosen_events(events: Events, at: NDArray[np.int64]) -> Events:
    """The events of some samples."""
    lo, hi = np.searchsorted(events.sample, at), np.searchsorted(events.sample, at + 1)
    rows = np.concatenate([np.arange(a, b) for a, b in zip(lo, hi, strict=True)])
    sample = np.repeat(np.arange(len(at), dtype=np.int32), hi - lo)
    value = None if events.value is None else events.value[rows]
    return Events(events.shape, len(at), events.n_steps, sample, events.step[rows], events.index[rows], value)
