"""The pulse simulator: runs a PulseNetlist pulse by pulse, in femtoseconds, and in frames.

A pulse that comes to a cell changes its state and may give pulses at its outputs, after the cell's delay. Events are
ordered by time, then net. Every pulse is checked against those before it at the same cell: one that comes within the
absorb time of a pulse at another pin is lost; one that comes within a critical time is recorded, and what a circuit
makes of it is not known. At most one violation is noted a pulse: that with the least slack, absorbed first.
``Conditions`` say under which bias, jitter and spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import kernels_sfq_parts as parts
from hwsdk.simulators import sfq_trace
from hwsdk.simulators.samples import Progress, run_all
from hwsdk.simulators.sfq_machine import Conditions as Conditions
from hwsdk.simulators.sfq_machine import Machine, noise_key, params, sources
from hwsdk.simulators.sfq_machine import build as build
from hwsdk.simulators.sfq_machine import unknown_jitter as unknown_jitter
from hwsdk.simulators.sfq_run import PulseSample, Violation, go, result, rows, start
from hwsdk.simulators.sfq_trace import wanted

BLOCK = 256
"""Frames between two reports of progress."""
NOMINAL = Conditions()
Watch = Iterable[int] | str | None


@dataclass(frozen=True, slots=True, eq=False)
class PulseRun:
    """The pulses of some samples. labels: what each entry of PulseSample.counts counts, see CellType.event; the state
    is that before the pulse, of a soma 1 where it fires, if its type has two. unknown_jitter: types whose jitter is not
    known, which had Conditions.unknown_sigma_fs.
    """

    program: PulseNetlist
    samples: tuple[PulseSample, ...]
    labels: tuple[str, ...]
    unknown_jitter: tuple[str, ...] = ()

    def violations(self) -> list[Violation]:
        """Of all samples."""
        return [v for k, s in enumerate(self.samples) for v in rows(self.program, s.violations, k)]

    def violations_text(self) -> str:
        """One line a violation."""
        return "".join(f"{v}\n" for v in self.violations()) or "no violations\n"

    def counts(self, sample: int = 0) -> dict[str, int]:
        """Label -> pulses, of those that came."""
        return {n: int(k) for n, k in zip(self.labels, self.samples[sample].counts, strict=True) if k}

    def trains(self, sample: int = 0) -> dict[str, NDArray[np.int64]]:
        """Name of each watched net that had a pulse -> times in fs; see ``net_name``."""
        s = self.samples[sample]
        return {net_name(self.program, int(n)): s.time_fs[s.net == n] for n in np.unique(s.net)}


def net_name(program: PulseNetlist, net: int) -> str:
    """The output pin that drives a net: cell.pin."""
    a = program.arrays
    cell = int(a.from_cell[net])
    return f"{program.cell_name(cell)}.{program.types[a.cell_type[cell]].outputs[a.from_pin[net]]}"


def run(program: PulseNetlist, stimulus: Stimulus, *, steps: int | None = None,
        probes: Iterable[tuple[str, str]] | str = (), strict: bool = False,
        progress: Callable[[int, int], None] | None = None, threads: int = 1,
        conditions: Conditions = NOMINAL) -> Trace:
    """Run a program on every sample of a stimulus, each from when the power comes on.

    Args:
        steps: frames; default the stimulus, plus the largest lag of a layer.
        probes: (counter layer, "v") and (loop layer, "i") pairs, or "all"; (samples, frames, n): what the neurons hold
            just before the next frame begins; v int64, as v of the network; i float64, the sum of branch currents in A,
            which the network has not: it has decayed since the pulses came.
        strict: the first violation is an error.
        progress: called with (frames done, frames of all samples).
        threads: samples that run beside each other.

    Returns:
        Trace; a neuron that pulses more than once in a frame has its pulses as the value. counts, int64 (samples, 1):
        CellType.event, pulses that came to cells; frames; deliveries, all pulses that came to a cell; absorbed and
        timing, violations; stray, pulses of neurons that belong to no frame.

    Raises:
        DataError: the stimulus, the probes or the conditions do not suit the program. TimingViolation: only with
            ``strict`` or the policy "raise". ProgramError: the program does not hold together.
    """
    machine = build(program)
    total = frames_of(program, stimulus, steps, threads)
    probed, said = wanted(program, probes), Progress(progress, stimulus.n_samples * total)
    job = _Job(machine, machine.watching(program.arrays.spike_net), params(machine, conditions, strict), conditions,
               stimulus, total, bool(probed), BLOCK)
    done = run_all([_Sample(job, k) for k in range(stimulus.n_samples)], said, min(threads, stimulus.n_samples))
    return sfq_trace.trace(machine, done, total, probed)


def pulses(program: PulseNetlist, stimulus: Stimulus, *, steps: int | None = None, conditions: Conditions = NOMINAL,
           watch: Watch = "all", threads: int = 1) -> PulseRun:
    """``run``, with the pulses themselves. watch: numbers of nets whose pulses are kept, "all", or None.

    Raises:
        as ``run``.
    """
    machine = build(program)
    total = frames_of(program, stimulus, steps, threads)
    job = _Job(machine, machine.watching(_watched(program, watch)), params(machine, conditions), conditions, stimulus,
               total, False, total)
    done = run_all([_Sample(job, k) for k in range(stimulus.n_samples)], Progress(None, 0), threads)
    return PulseRun(program, tuple(done), machine.labels, unknown_jitter(program, conditions))


def drive(program: PulseNetlist, times_fs: Mapping[int, Iterable[int]], until_fs: int, *,
          conditions: Conditions = NOMINAL, watch: Watch = "all") -> PulseRun:
    """The pulses of SRC cells that pulse at given times, whatever the schedule says.

    Args:
        times_fs: cell -> times of its pulses. until_fs: pulses from here on are not delivered.

    Raises:
        as ``run``.
    """
    machine, p = build(program), program
    for cell in times_fs:
        if not 0 <= cell < p.n_cells or p.types[p.arrays.cell_type[cell]].inputs:
            raise DataError(f"cell {cell} is no source", where=p.name, code="WRONG_INPUTS", fix="name SRC cells")
    columns = [(t, c) for c, times in times_fs.items() for t in times]
    time = np.array([t for t, _ in columns], np.int64)
    if len(time) and not 0 <= time.min() <= time.max() < machine.longest_fs:
        raise DataError("a pulse before 0, or too late", where=p.name, code="OUT_OF_RANGE", fix="check the times")
    keys = machine.keys(time, np.array([c for _, c in columns], np.int32))
    done = go(machine, machine.watching(_watched(p, watch)), params(machine, conditions),
              start(machine, keys, noise_key(conditions, 0)), until_fs)
    return PulseRun(p, (result(done),), machine.labels, unknown_jitter(p, conditions))


def frames_of(program: PulseNetlist, stimulus: Stimulus, steps: int | None, threads: int = 1) -> int:
    """Frames to run, after a check of the stimulus.

    Raises:
        DataError: it does not suit the program.
    """
    if threads < 1:
        raise DataError(f"{threads} threads", code="BAD_THREADS", fix="give 1 or more")
    stimulus.require(program.input_shapes, whole=True, graded=False, chip="the SFQ netlist")
    lag, most = max((x.lag for x in program.layers), default=0), program.schedule.max_steps
    total = stimulus.n_steps + lag if steps is None else steps
    if total < 1:
        raise DataError(f"{total} steps", code="NO_DATA", fix="run one step or more")
    if most is not None and total > most:
        raise DataError(f"{total:,} frames ({stimulus.n_steps:,} steps and a lag of {lag}), the counters are wide "
                        f"enough for {most:,}", code="TOO_MANY_STEPS",
                        fix="compile for more steps (steps=N), or run fewer")
    return total


def _watched(program: PulseNetlist, watch: Watch) -> NDArray[np.int64]:
    """Numbers of nets."""
    if watch is None or watch == "all":
        return np.arange(program.n_nets if watch else 0)
    nets = np.array([] if isinstance(watch, str) else list(watch), np.int64)
    if isinstance(watch, str) or (len(nets) and not 0 <= nets.min() <= nets.max() < program.n_nets):
        raise DataError(f"watch={watch!r}", code="NO_SUCH_NET",
                        fix=f'give numbers of nets from 0 to {program.n_nets - 1}, "all", or None')
    return nets


@dataclass(frozen=True, slots=True)
class _Job:
    """What all samples share. snap: whether states are taken at the end of every frame. block: frames at a time."""

    machine: Machine
    wires: parts.Wires
    params: parts.Params
    conditions: Conditions
    stimulus: Stimulus
    frames: int
    snap: bool
    block: int


@dataclass(frozen=True, slots=True)
class _Sample:
    """One sample."""

    job: _Job
    sample: int

    def go(self, progress: Progress) -> PulseSample:
        """Run all frames, and one more for what is still under way."""
        j, s = self.job, self.job.machine.program.schedule
        keys = sources(j.machine, j.stimulus.one(self.sample), j.frames)
        state, frame, snapshots = start(j.machine, keys, noise_key(j.conditions, self.sample)), 0, []
        while frame < j.frames:
            last = min(frame + (1 if j.snap else j.block), j.frames)
            state = go(j.machine, j.wires, j.params, state, s.start_fs + last * s.frame_fs)
            if j.snap:
                snapshots.append(sfq_trace.snapshot(j.machine, state, s.start_fs + last * s.frame_fs))
            progress.add(last - frame)
            frame = last
        return result(go(j.machine, j.wires, j.params, state, s.start_fs + (j.frames + 1) * s.frame_fs), snapshots)
