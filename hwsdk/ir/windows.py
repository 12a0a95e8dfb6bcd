"""Spike counts in equal windows of a model's own steps: what a readout sees of a population."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.data import Events
from hwsdk.ir.trace import Trace

Floats = NDArray[np.float64]


def features(trace: Trace, population: str, windows: int, n_steps: int) -> Floats:
    """Spike counts of a population, (samples, windows * n), window by window.

    Args:
        trace: of the reference or of a chip; what runs behind the model is moved back by its lag.
        windows: equal ones (see ``window_of``). n_steps: of the stimulus.

    Raises:
        DataError: NO_SUCH_POPULATION, OUT_OF_RANGE.
    """
    if population not in trace.spikes:
        raise DataError(f"the trace has no population {population!r}", where=population, code="NO_SUCH_POPULATION",
                        fix=f"choose one of {', '.join(trace.spikes)}")
    return counts(trace.aligned(population, n_steps), windows)


def counts(events: Events, windows: int) -> Floats:
    """Sums of the values in equal windows, (samples, windows * n), window by window."""
    window = window_of(events.n_steps, windows)
    out = np.zeros((events.n_samples, windows, events.n))
    np.add.at(out, (events.sample, window[events.step], events.index), events.values())
    return out.reshape(events.n_samples, -1)


def window_of(n_steps: int, windows: int) -> NDArray[np.int64]:
    """(n_steps): the window of each step; window k starts at step floor(k n_steps / windows).

    Raises:
        DataError: OUT_OF_RANGE.
    """
    if not 1 <= windows <= n_steps:
        raise DataError(f"{windows} windows over {n_steps} steps", where="features", code="OUT_OF_RANGE",
                        fix="choose 1 window to as many as there are steps")
    starts = np.arange(windows) * n_steps // windows
    return np.asarray(np.searchsorted(starts, np.arange(n_steps), side="right") - 1, np.int64)
