"""Spike rasters: exact where they are small enough to be drawn neuron by neuron, else as densities that say so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.base import Program
from hwsdk.errors import DataError
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.report.content import Column, Found, Raster, Table
from hwsdk.report.layers import LayerInfo

Places = tuple[NDArray[np.int32], NDArray[np.int32]]
BANDS, BINS = 256, 512
"""Rows and columns of a drawn raster."""
MOST_RASTERS = 12
NO_RUN = "No run was given: give a trace of hwsdk simulate, or data with --input."


def rasters(program: Program, trace: Trace | None, layers: Sequence[LayerInfo], stimulus: Stimulus | None,
            sample: int) -> Found:
    """The largest inputs and populations of one sample, and how much all of them fire over all samples.

    Raises:
        DataError: NO_SUCH_SAMPLE.
    """
    if trace is None:
        return Found((NO_RUN,))
    if not 0 <= sample < trace.n_samples:
        raise DataError(f"there is no sample {sample}; there are {trace.n_samples}", code="NO_SUCH_SAMPLE",
                        fix=f"choose 0 to {trace.n_samples - 1}")
    inputs = {} if stimulus is None or sample >= stimulus.n_samples else dict(stimulus.inputs)
    own = [x for x in layers if x.name in trace.spikes]
    drawn = own if len(own) <= MOST_RASTERS else sorted(sorted(own, key=lambda x: -x.n)[:MOST_RASTERS], key=own.index)
    found = [raster(input_title(n), e.one(sample), True) for n, e in inputs.items()]
    found += [raster(x.name, trace.spikes[x.name].one(sample), x.fires) for x in drawn]
    silent = [r.title for r in found if not r.events]
    found = [r for r in found if r.events]
    words = [f"Sample {sample} of {trace.n_samples}. A population that lies k layers deep answers k steps later: the "
             "time is the chip's.",
             "A mark is a neuron that fires. Where a raster is larger than the drawing, each place stands for several "
             "neurons or steps, and the strength of its colour for the share of them that fire; the caption says so."]
    if silent:
        words.append(f"No figure, for nothing fires in this sample: {', '.join(silent)}.")
    if len(drawn) < len(own):
        words.append(f"The {MOST_RASTERS} largest of {len(own)} populations are drawn; the table has all.")
    if not inputs:
        words.append("Inputs are not in a trace; with --input the report has their rasters too.")
    return Found(tuple(words), (*found, _rates(trace, own)))


def input_title(name: str) -> str:
    """An input as a title: many are called that already."""
    return name if name.startswith("input") else f"input {name}"


def raster(title: str, events: Events, fires: bool) -> Raster:
    """One sample of a population."""
    n, steps = events.n, events.n_steps
    each = (-(-n // BANDS), -(-steps // BINS))
    shape = (-(-n // each[0]), -(-steps // each[1]))
    at = (events.index // each[0], events.step // each[1])
    values = _density(at, shape, each, n, steps) if fires else _size(at, shape, events)
    exact = each == (1, 1)
    what = f"{len(events):,} {'spikes' if fires else 'values'} of {n:,} neurons in {steps:,} steps"
    how = "" if exact else (f"; each place stands for {each[0]} neuron(s) and {each[1]} step(s), and the strength of "
                            f"its colour for the {'share that fires' if fires else 'largest value'}")
    if fires and not exact and len(events):
        how += f", {values.max():.1%} at the strongest"
    if not fires:
        how += "; it does not fire: strong is a large output of either sign"
    return Raster(title, values, n, steps, each, len(events), fires, f"Raster of {title}: {what}{how}.")


def _density(at: Places, shape: tuple[int, int], each: tuple[int, int], n: int, steps: int,
             ) -> NDArray[np.float64]:
    """Share of neurons and steps of each place that have a spike."""
    found = np.zeros(shape)
    np.add.at(found, at, 1)
    high = np.minimum(each[0], n - np.arange(shape[0]) * each[0])
    wide = np.minimum(each[1], steps - np.arange(shape[1]) * each[1])
    return np.asarray(found / (high[:, None] * wide[None, :]))


def _size(at: Places, shape: tuple[int, int], events: Events) -> NDArray[np.float64]:
    """The largest output of each place, of either sign, against the largest of all."""
    found = np.zeros(shape)
    value = np.abs(events.values())
    np.maximum.at(found, at, value)
    return found / value.max() if len(value) and value.max() > 0 else found


def _rates(trace: Trace, layers: Sequence[LayerInfo]) -> Table:
    """Every population over all samples."""
    rows = []
    for x in layers:
        e = trace.spikes[x.name]
        cells = e.n * trace.n_samples * trace.n_steps
        silent = e.n - len(np.unique(e.index))
        rows.append((x.name, x.model or "-", e.n, len(e) if x.fires else None,
                     len(e) / cells if x.fires and cells else None, silent if x.fires else None))
    unknown = "read out"
    return Table("Activity over all samples", (
        Column("population"), Column("model"), Column("neurons", "n"), Column("spikes", "n", unknown),
        Column("of neurons and steps", "%", unknown), Column("neurons that never fire", "n", unknown)), tuple(rows))
