"""Ranges of converters and digital gains from calibration data: the currents that the die's columns really carry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.memristor_options import MemristorOptions
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.mappers.memristor_range import with_full_scale, with_gains
from hwsdk.programs.crossbar import Block, CrossbarProgram
from hwsdk.simulators import wires
from hwsdk.simulators.memristor_chip import BlockModel, linear, models, to_channels, wired

Floats = NDArray[np.float64]
SAMPLES, READS, LADDERS = 32, 20_000, 256
"""Of the calibration data: samples that are looked at, reads of a block, and reads that are solved as ladders."""
MOST_GAIN = 4.0
"""A channel that loses more than three quarters of its current is not made good, nor is its noise made as large."""


def calibrated(program: CrossbarProgram, data: Stimulus, run: Trace, options: MemristorOptions,
               ) -> tuple[CrossbarProgram, str]:
    """The program with converters whose range is a percentile of the currents on the data, and with gains that make
    good the mean loss in the wires, where that was asked for; and what the wires take, as text.

    Args:
        run: the lowered network on the data.
    """
    actual = models(program, None, 1, False)
    if options.full_scale != "max" and any(b.converted for b in program.blocks):
        program = with_full_scale(program, {
            b.name: _percentile(np.abs(currents_of(program, m, inputs_of(b, data, run))), options.percentile)
            for b, m in zip(program.blocks, actual, strict=True)})
    if not wired(program.physics):
        return program, ""
    losses = [_loss(program, *x, data, run) for x in zip(_without_wires(program), actual, strict=True)]
    if options.compensate:
        gains = {b.name: np.clip(1 / np.maximum(1 - loss, 1e-9), 1.0, MOST_GAIN)
                 for b, loss in zip(program.blocks, losses, strict=True)}
        program = with_gains(program, gains)
    return program, _told(program, losses, options.compensate)


def _percentile(currents: Floats, percentile: float) -> Floats:
    """(K): one range for all channels of a block; 0 where nothing was read."""
    return np.full(currents.shape[1], np.percentile(currents, percentile) if currents.size else 0.0)


def _without_wires(program: CrossbarProgram) -> tuple[BlockModel, ...]:
    return models(program.with_stages(*(s for s in program.physics.stages if s != "wires")), None, 1, False)


def _loss(program: CrossbarProgram, ideal: BlockModel, model: BlockModel, data: Stimulus, run: Trace) -> Floats:
    """(K): share of each channel's mean current that the wires take on the data, 0 where there is none."""
    x = inputs_of(model.block, data, run)
    x = x[:: max(1, len(x) // LADDERS)]
    wanted, got = np.abs(x @ ideal.weight).sum(0), np.abs(currents_of(program, model, x)).sum(0)
    return np.where(wanted > 0, 1 - got / np.where(wanted > 0, wanted, 1.0), 0.0)


def _told(program: CrossbarProgram, losses: list[Floats], made_good: bool) -> str:
    """A line for each population."""
    lines = []
    for target in dict.fromkeys(b.target for b in program.blocks):
        own = np.concatenate([x for b, x in zip(program.blocks, losses, strict=True) if b.target == target])
        remedy = "made good by digital gains" if made_good else "compensate=yes makes the mean good"
        lines.append(f"{target}: wires take {own.mean():.1%} of the current on the calibration data, "
                     f"{own.min():.1%} to {own.max():.1%} of a channel's ({remedy})\n")
    return "".join(lines)


def inputs_of(block: Block, data: Stimulus, run: Trace) -> Floats:
    """(reads, R): what drives the rows of a block, reads without any left out."""
    parts = []
    for i in range(min(data.n_samples, SAMPLES)):
        columns = [_driven(_events(s.source, data, run), i, run.n_steps, s.delay_ticks) for s in block.segments]
        first = np.cumsum([0, *(s.rows for s in block.segments)])
        for rows in block.row_source:
            x = np.zeros((run.n_steps, block.rows))
            for k, values in enumerate(columns):
                own = rows[first[k] : first[k + 1]]
                x[:, first[k] : first[k + 1]][:, own >= 0] = values[:, own[own >= 0]]
            parts.append(x[x.any(1)])
        if sum(map(len, parts)) >= READS:
            break
    return np.concatenate(parts)[:READS]


def _events(source: str, data: Stimulus, run: Trace) -> Events:
    return data.inputs[source] if source in data.inputs else run.spikes[source]


def _driven(events: Events, sample: int, steps: int, delay: int) -> Floats:
    """(steps, n) of one sample, ``delay`` steps later."""
    dense = events.one(sample).dense(0)
    found = np.zeros((steps, events.n))
    kept = min(len(dense), max(steps - delay, 0))
    found[delay : delay + kept] = dense[:kept]
    return found


def currents_of(program: CrossbarProgram, model: BlockModel, x: Floats) -> Floats:
    """(reads, K) A of the channels for inputs (reads, R) of a block."""
    if linear(program.physics) or not len(x):
        return np.asarray(x @ model.weight)
    x = x[:: max(1, len(x) // LADDERS)]
    block, p = model.block, program.physics
    order = np.argsort(block.row_at, kind="stable")
    line = wires.ladder_of(block.row_at[order], p.wires, p.rows)
    by_column = wires.ladder(model.siemens[order], x[:, order] > 0, line.source, line.bit, p.volts)
    return to_channels(block, by_column) * model.gain
