"""What one sample of a crossbar simulation did and when: every phase, conversion, addition and update as an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Stimulus
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.simulators import kernels_memristor_parts as parts
from hwsdk.simulators.kernels_memristor import run_steps
from hwsdk.simulators.memristor_chip import models
from hwsdk.simulators.memristor_machine import Machine, build
from hwsdk.simulators.memristor_state import columns, feed, start

Array = NDArray[Any]
EVENT = np.dtype([("time_s", np.float64), ("step", np.int32), ("macro", np.int32), ("block", np.int32),
                  ("use", np.int32), ("slice", np.int32), ("phase", np.int32), ("kind", "U8"), ("amount", np.int64),
                  ("joules", np.float64)])
KINDS = {"drive": "row_drives", "convert": "conversions", "clip": "adc_clips", "skip": "phases_skipped", "add": "adds",
         "update": "neuron_updates", "shift": "shift_bits", "spike": "spikes"}
"""Kind of an event -> the count of a trace that its amounts add up to. A "drive" is one phase."""


def event_log(program: CrossbarProgram, stimulus: Stimulus, sample: int = 0,
              conductances: Sequence[Any] | None = None) -> Array:
    """The events of one sample, by time. conductances: as in hwsdk.simulators.memristor.chip_of.

    Returns:
        Structured array of EVENT. time_s: from the beginning of the first step, steps back to back; of a phase, when it
        begins; of a conversion, when the integration ends; of additions, when the last phase of a use ends; of updates,
        spikes and shifts, when the step ends. macro, block, use, slice, phase: -1 where there is none; slices of
        negative values count from 32 on. amount: see KINDS. joules: what the array takes in the phase.

    Raises:
        as hwsdk.simulators.memristor.run.
    """
    machine = build(program, models(program, conductances, by_phase=True))
    stimulus.require(program.input_shapes, whole=True, chip="memristor crossbars")
    one, total = stimulus.one(sample), stimulus.n_steps + machine.lag
    column, _ = columns(machine, ())
    reads = 0
    for _ in range(2):  # first to see how many there are
        run = start(machine, sample, feed(machine, one), total, column, reads)
        t = 0
        while t < total:
            t = run_steps(t, total, False, machine.net, run)[0]
        reads = int(run.stop[parts.N_READS])
    events = [*_phases(machine, run), *_digital(machine, run)]
    log = np.concatenate(events)
    return log[np.lexsort((log["step"], log["time_s"]))]


def _events(n: int, kind: str, **fields: Any) -> Array:
    found = np.zeros(n, EVENT)
    found["kind"] = kind
    for name in ("macro", "block", "use", "slice", "phase"):
        found[name] = -1
    for name, value in fields.items():
        found[name] = value
    return found


def _phases(machine: Machine, run: parts.Run) -> list[Array]:
    """What the macros do."""
    timing = machine.program.physics.timing
    step, block, use, piece, rows = run.reads[:, :5].T
    n = np.array([m.phases for m in machine.models], np.int64)[block]
    macro = np.array([b.macro for b in machine.program.blocks], np.int64)[block]
    begins = np.r_[0.0, np.cumsum(run.amounts[:, parts.SECONDS])]
    first = _before(step * machine.program.macros + macro, np.where(rows > 0, n, 0))
    at = np.repeat(np.arange(len(n)), n)
    phase = np.arange(len(at)) - np.repeat(np.cumsum(n) - n, n)
    moved = np.where(rows[at] > 0, first[at] + phase, first[at])
    own = {"time_s": begins[step[at]] + moved * timing.phase, "step": step[at], "macro": macro[at], "block": block[at],
           "use": use[at], "slice": piece[at], "phase": phase}
    driven = rows[at] > 0
    clips, joules = run.reads[at, 5 + phase], run.joules[at, phase]
    channels = _channels(machine)[block[at], phase]
    late = own | {"time_s": own["time_s"] + timing.settle + timing.integrate}
    return [_chosen(own, driven, "drive", rows[at], joules), _chosen(own, ~driven, "skip", np.ones(len(at))),
            _chosen(late, driven, "convert", channels), _chosen(late, clips > 0, "clip", clips),
            _additions(machine, run, own, driven)]


def _chosen(own: dict[str, Array], which: Array, kind: str, amount: Array, joules: Array | None = None) -> Array:
    fields = {n: v[which] for n, v in own.items()} | {"amount": amount[which]}
    if joules is not None:
        fields["joules"] = joules[which]
    return _events(int(which.sum()), kind, **fields)


def _before(group: Array, amount: Array) -> Array:
    """Sum of the amounts that came before in the same group."""
    order = np.argsort(group, kind="stable")
    total = np.cumsum(amount[order]) - amount[order]
    begins = np.r_[True, np.diff(group[order]) != 0][: len(order)]
    found = np.empty(len(order), np.int64)
    found[order] = total - np.maximum.accumulate(np.where(begins, total, 0))
    return found


def _channels(machine: Machine) -> Array:
    """(B, phases) channels that are converted."""
    found = np.zeros((len(machine.models), max((m.phases for m in machine.models), default=1)), np.int64)
    for k, m in enumerate(machine.models):
        np.add.at(found[k], m.phase, 1)
    return found


def _additions(machine: Machine, run: parts.Run, own: dict[str, Array], driven: Array) -> Array:
    """One event a use that was read: its entries, and what the slices after the first add."""
    keys = np.stack([own[n][driven] for n in ("step", "block", "use")])
    found, inverse = np.unique(keys, axis=1, return_inverse=True)
    ends = np.zeros(found.shape[1])
    np.maximum.at(ends, inverse.ravel(), own["time_s"][driven] + machine.program.physics.timing.phase)
    reads = np.bincount(inverse.ravel()[own["phase"][driven] == 0], minlength=found.shape[1])
    amount = [int((machine.models[b].block.entry_out[u] >= 0).sum()) + (r - 1) * machine.models[b].block.channels
              for (_, b, u), r in zip(found.T.tolist(), reads.tolist(), strict=True)]
    macro = np.array([b.macro for b in machine.program.blocks], np.int64)[found[1]]
    return _events(len(ends), "add", time_s=ends, step=found[0], macro=macro, block=found[1], use=found[2],
                   amount=np.array(amount, np.int64))


def _digital(machine: Machine, run: parts.Run) -> list[Array]:
    """What happens once a step."""
    step = np.arange(len(run.counts))
    end = np.cumsum(run.amounts[:, parts.SECONDS])
    names = {"update": parts.UPDATES, "shift": parts.SHIFTS, "spike": parts.SPIKES}
    return [_events(len(step), kind, time_s=end, step=step, amount=run.counts[:, column])
            for kind, column in names.items()]
