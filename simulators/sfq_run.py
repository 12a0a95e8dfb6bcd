"""One run of a pulse netlist: its state, room for what it records, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, TimingViolation
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import kernels_sfq_parts as parts
from hwsdk.simulators.kernels_sfq import advance
from hwsdk.simulators.sfq_machine import Machine

Ints = NDArray[np.int64]
ROOM = 1 << 10
KINDS = ("absorbed", "timing")
"""By their numbers in kernels_sfq_parts."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A pulse at ``pin`` of a cell came ``-slack_fs`` too soon after the one at ``prev``. kind: one of KINDS; an
    absorbed pulse is lost, one that breaks a critical time is lost only where the policy is to drop it.
    """

    sample: int
    cell: str
    prev: str
    pin: str
    time_fs: int
    slack_fs: int
    kind: str

    def __str__(self) -> str:
        return (f"sample {self.sample}, {self.cell}: {self.pin} at {self.time_fs / 1e3:,.3f} ps comes "
                f"{-self.slack_fs / 1e3:.3f} ps too soon after {self.prev} [{self.kind}]")


@dataclass(frozen=True, slots=True, eq=False)
class PulseSample:
    """What one sample gave. net int32, time_fs int64: pulses on the nets watched, by time, then net. counts int64 (K,):
    see PulseRun.labels. violations int64 (., 6): columns as hwsdk.simulators.kernels_sfq_parts has them. state int8
    (C,): of every cell at the end; current_a float64 (B,): of every soma's branches, at moment_fs int64 (M,), its last
    pulse. deliveries: pulses that came to a cell. absorbed, timing: violations of each kind.
    """

    net: NDArray[np.int32]
    time_fs: Ints
    counts: Ints
    violations: Ints
    state: NDArray[np.int8]
    current_a: NDArray[np.float64]
    moment_fs: Ints
    deliveries: int
    absorbed: int
    timing: int
    snapshots: tuple[NDArray[np.float64], ...] = field(default=())


def start(machine: Machine, sources: Ints, key: np.uint64) -> parts.Run:
    """The state when the power comes on: every cell in its first state, nothing under way."""
    w = machine.wires
    return parts.Run(
        np.zeros(ROOM + parts.MOST_OUTPUTS, np.int64), sources, np.zeros(len(w.cell), np.int8),
        np.full(int(machine.program.input_base[-1]), parts.NEVER, np.int64), np.zeros(len(w.weight)),
        np.zeros(len(w.rows), np.int64), np.zeros(len(machine.labels), np.int64), np.zeros((ROOM, 2), np.int64),
        np.zeros((ROOM, 6), np.int64), np.zeros(parts.AT, np.int64), np.array([key], np.uint64))


def go(machine: Machine, wires: parts.Wires, params: parts.Params, run: parts.Run, until_fs: int) -> parts.Run:
    """Deliver what comes before a time.

    Raises:
        DataError: TOO_MANY_STEPS, times beyond what a key holds. TimingViolation: if the parameters ask for it.
    """
    if until_fs >= machine.longest_fs:
        raise DataError(f"{until_fs:,} fs is too long, times must be less than {machine.longest_fs:,} fs",
                        code="TOO_MANY_STEPS", fix="run fewer steps")
    limit = until_fs << wires.bits
    while (why := advance(limit, wires, params, run)) == parts.MORE:
        run = larger(run)
    if why == parts.STOPPED:
        last = run.violations[: run.at[parts.VIOLATIONS]][-1:]
        raise violation_error(rows(machine.program, last, 0)[0])
    return run


def larger(run: parts.Run) -> parts.Run:
    """With twice the room for what is full."""
    at = run.at
    if at[parts.QUEUED] + parts.MOST_OUTPUTS + 1 > len(run.queue):
        run = run._replace(queue=np.concatenate([run.queue, np.zeros_like(run.queue)]))
    if at[parts.LOGGED] >= len(run.log):
        run = run._replace(log=np.concatenate([run.log, np.zeros_like(run.log)]))
    if at[parts.VIOLATIONS] >= len(run.violations):
        run = run._replace(violations=np.concatenate([run.violations, np.zeros_like(run.violations)]))
    return run


def violation_error(v: Violation) -> TimingViolation:
    """The error for a violation."""
    remedy = {"absorbed": "more time between the two, or fewer pulses into one merger",
              "timing": "a longer frame or more time between the two; without strict it is only recorded"}[v.kind]
    return TimingViolation(
        f"{v.kind}: {v.pin} at {v.time_fs:,} fs comes {-v.slack_fs:,} fs too soon after {v.prev}", where=v.cell,
        fix=remedy)


def rows(program: PulseNetlist, violations: Ints, sample: int) -> list[Violation]:
    """Violations with names."""
    found = []
    for cell, prev, pin, time, slack, kind in violations.tolist():
        pins = program.types[program.arrays.cell_type[cell]].inputs
        found.append(Violation(sample, program.cell_name(cell), pins[prev], pins[pin], time, slack, KINDS[kind]))
    return found


def result(run: parts.Run, snapshots: Sequence[NDArray[np.float64]] = ()) -> PulseSample:
    """What a run gave."""
    at = run.at.tolist()
    log = run.log[: at[parts.LOGGED]]
    return PulseSample(log[:, 1].astype(np.int32), log[:, 0].copy(), run.counts,
                       run.violations[: at[parts.VIOLATIONS]].copy(), run.state, run.current, run.moment,
                       at[parts.DELIVERED], at[parts.LOST], at[parts.EARLY], tuple(snapshots))
