"""Stimuli as the flat columns that a link sends, and what comes back as a Trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.hil import events
from hwsdk.hil.image import DTYPES, VALUES, DeviceImage
from hwsdk.hil.link_steps import Results
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.stored import lags_of


def columns_of(image: DeviceImage, stimulus: Stimulus, sample: int, steps: int) -> events.Events:
    """One sample, with silence up to ``steps``.

    Raises:
        DataError: it does not suit the program.
    """
    stimulus.require({e.name: e.shape for e in image.inputs}, whole=image.value_in in (VALUES["ones"], VALUES["i32"]),
                     graded=image.value_in != VALUES["ones"], chip="the device")
    parts = [(e.first, stimulus.inputs[e.name].one(sample)) for e in image.inputs]
    step = np.concatenate([np.zeros(0, np.int32), *(own.step for _, own in parts)])
    index = np.concatenate([np.zeros(0, np.int64), *(first + own.index for first, own in parts)])
    value = np.concatenate([np.zeros(0), *(own.values() for _, own in parts)])
    order = np.lexsort((index, step)) if len(parts) > 1 else np.arange(len(step))
    ptr = np.searchsorted(step[order], np.arange(steps + 1)).astype(np.int64)
    whole = image.value_in == VALUES["ones"] or bool((value == 1).all())
    return events.Events(ptr, index[order].astype(np.uint32),
                         None if whole else value[order].astype(DTYPES[image.value_in]))


def trace_of(image: DeviceImage, samples: Sequence[Results], steps: int, counter: tuple[str, int],
             states: Mapping[tuple[str, str], NDArray[Any]]) -> Trace:
    """The trace of what a device answered, ``steps`` of it; late answers stand at the steps that they belong to.

    Args:
        counter: what the ticks count, and Hz; "none" leaves them out, "wall" gives nanoseconds.
    """
    what, hz = counter
    name, scale = ("nanoseconds", 1e9 / hz) if what == "wall" and hz else (what, 1)
    sent = [s.events for s in samples]
    sample = np.repeat(np.arange(len(sent), dtype=np.int32), [len(e.index) for e in sent])
    step = np.concatenate([np.repeat(np.arange(e.steps, dtype=np.int32), np.diff(e.ptr)) for e in sent])
    step -= np.int32(image.late)
    index = np.concatenate([e.index for e in sent]).astype(np.int64)
    value = np.concatenate([np.ones(len(e.index)) if e.values is None else e.values.astype(np.float64) for e in sent])
    in_time = (step >= 0) & (step < steps)
    spikes = {}
    for p in image.populations:
        own = in_time & (index >= p.first) & (index < p.first + p.n)
        carried = value[own]
        spikes[p.name] = Events(p.shape, len(sent), steps, sample[own], step[own],
                                (index[own] - p.first).astype(np.int32), None if (carried == 1).all() else carried)
    spikes |= {name: spikes[of[0]] for name, of in image.outputs.items() if len(of) == 1}
    counts = {} if what == "none" else {name: np.stack([(s.ticks[:steps] * scale).astype(np.int64) for s in samples])}
    return Trace(len(sent), steps, spikes, states, counts, lags_of(image.populations, image.outputs))
