"""How often every neuron spikes: from a trace, for the mapper's search."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace

Activity = dict[str, NDArray[np.float64]]


def activity_of(trace: Trace, stimulus: Stimulus | None = None) -> Activity:
    """Population (and, with the stimulus, input) -> mean spikes a step of each neuron, whatever their values.

    Populations that are read out, and the outputs that stand in the trace beside them, do no harm: they send nothing.
    """
    found = _rates(trace.spikes)
    return found if stimulus is None else found | _rates(stimulus.inputs)


def busiest_of(trace: Trace, stimulus: Stimulus) -> Activity:
    """Population and input -> spikes a step of each neuron, scaled so that all together are as many as in the busiest
    step of the trace.
    """
    return {name: rate * _peak(events) for (name, rate), events in zip(
        activity_of(trace, stimulus).items(), {**trace.spikes, **stimulus.inputs}.values(), strict=True)}


def _peak(events: Events) -> float:
    """Events of the busiest step, as a multiple of the mean."""
    cell = events.sample.astype(np.int64) * events.n_steps + events.step
    return float(np.bincount(cell).max()) * events.n_samples * events.n_steps / len(events) if len(events) else 1.0


def _rates(events: Mapping[str, Events]) -> Activity:
    """Name -> events a step of each element."""
    return {name: np.bincount(e.index, minlength=e.n) / max(e.n_samples * e.n_steps, 1) for name, e in events.items()}
