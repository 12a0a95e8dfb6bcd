"""The crossbar simulator: runs a CrossbarProgram read by read, in steps and in seconds.

A step: every block is read, once for every use, slice of the input and phase of its multiplexers; rows of a use that
are not 0 are driven. Currents go through the wires to the converters, their codes to the digital neurons, which are
those of the reference. A use or slice in which no row is driven is skipped: it takes no time and no energy and is not
counted, and the neurons get the code that its converters give for 0 A, which the controller has to know. Blocks of one
macro are read one after the other, macros beside each other.

Read noise is Gaussian, new in every read and for every channel by itself: with its exact variance for ideal wires, to
first order through wires with resistance. Of driven rows it is within 1 % a column (hwsdk.simulators.wires_noise; that
columns deviate a little together is left out, which makes the noise of pairs that are subtracted up to some 5 % too
small, and that of sums over many columns too large). Gated columns are ladders that know nothing of each other, so that
variances of a channel's columns add up; where lines take half of the current, noise of 5 or 10 % of a cell's window
has a standard deviation within 0.5 %, and a mean 0.03 or 0.1 % too large; where they take 60 % of that of a few cells,
a standard deviation 1 or 2 % too small (of single columns up to 5 %), and a mean 0.1 or 0.5 % too large (measured by
Chip.exact_reads, which draws noise cell by cell). Array energy is that of the read without noise. Every
number follows from the die and from sample, step, block, use, slice and channel alone.

Without read noise and without gated lines that have resistance, spikes and states are exactly those that
hwsdk.simulators.reference gives for hwsdk.simulators.memristor_decode.network_of, for spikes and, where
physics.dac_bits is None, for any input.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsdk.errors import DataError, OverflowInStrictMode
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.simulators import kernels_memristor_parts as parts
from hwsdk.simulators import memristor_reads as reads
from hwsdk.simulators.kernels_memristor import run_steps
from hwsdk.simulators.memristor_chip import BlockModel, models
from hwsdk.simulators.memristor_log import event_log as event_log
from hwsdk.simulators.memristor_machine import Machine, build, check
from hwsdk.simulators.memristor_state import columns, feed, start
from hwsdk.simulators.memristor_trace import Record, trace, wanted
from hwsdk.simulators.memristor_walk import Walk
from hwsdk.simulators.samples import Progress, run_all

Floats = NDArray[np.float64]
BLOCK = 1024
"""Steps between two reports of progress."""
KEPT = 2
"""Chips whose wires ``run`` and ``walk`` need not solve again."""


@dataclass(frozen=True, eq=False)
class Chip:
    """A die of a program, its wires solved: built once, run as often as needed. See ``chip_of``."""

    program: CrossbarProgram
    models: tuple[BlockModel, ...]
    machine: Machine

    @property
    def conductances(self) -> tuple[Floats, ...]:
        """(R, C) S of every block."""
        return tuple(m.siemens for m in self.models)

    def walk(self) -> Walk:
        """This die step by step, in its initial state."""
        return Walk(self.machine)

    def read(self, block: int, x: ArrayLike, *, sample: int = 0, step: int = 0, use: int = 0, piece: int = 0,
             ) -> Floats:
        """(K) A into the converters in one read of a block for inputs x (R,), with the read noise that ``run`` draws
        for it. piece: slice of the input.
        """
        m, volts = self.models[block], self.program.physics.volts
        if not m.noisy:
            return reads.currents(m, x, volts)
        drawn = reads.draws(self.machine, block, sample=sample, step=step, use=use, piece=piece)
        return reads.noisy(m, x, volts, drawn)

    def exact_reads(self, block: int, x: ArrayLike, n: int, seed: int) -> Floats:
        """(n, K) A of n reads whose noise is drawn cell by cell and solved through the wires, for small blocks."""
        return reads.exact(self.models[block], x, self.program.physics.volts, n, np.random.default_rng(seed))

    def run(self, stimulus: Stimulus, *, steps: int | None = None, probes: Iterable[tuple[str, str]] | str = (),
            strict: bool = False, progress: Callable[[int, int], None] | None = None, threads: int = 1) -> Trace:
        """``run`` of this die."""
        m, samples = self.machine, stimulus.n_samples
        if threads < 1:
            raise DataError(f"{threads} threads", code="BAD_THREADS", fix="give 1 or more")
        stimulus.require(self.program.input_shapes, whole=True, chip="memristor crossbars")
        total = stimulus.n_steps + m.lag if steps is None else steps
        probed, said = wanted(self.program, probes), Progress(progress, samples * total)
        column, where = columns(m, probed)
        runs = [_Sample(m, stimulus, total, column, strict, k) for k in range(samples)]
        return trace(m, run_all(runs, said, min(threads, samples)), total, probed, where)


def chip_of(program: CrossbarProgram, conductances: Sequence[Any] | None = None, *, threads: int = 1) -> Chip:
    """A die of a program.

    Args:
        conductances: (R, C) float64 S of every block, in the order of ``target_s``: a twin of a chip that was read
        back; default what physics.die has. threads: blocks that are solved beside each other.

    Raises:
        ProgramError: the program does not hold together. DataError: BAD_CONDUCTANCES.
    """
    check(program)
    found = models(program, conductances, threads)
    return Chip(program, found, build(program, found))


_LATEST: deque[Chip] = deque(maxlen=KEPT)


def _chip(program: CrossbarProgram, threads: int = 1) -> Chip:
    """``chip_of``, once for the programs that were run last."""
    for chip in tuple(_LATEST):
        if chip.program is program:
            return chip
    found = chip_of(program, threads=threads)
    _LATEST.append(found)
    return found


def run(program: CrossbarProgram, stimulus: Stimulus, *, steps: int | None = None,
        probes: Iterable[tuple[str, str]] | str = (), strict: bool = False,
        progress: Callable[[int, int], None] | None = None, threads: int = 1) -> Trace:
    """Run a program on every sample of a stimulus, each from the initial state.

    Args:
        steps: default the stimulus, plus the largest lag of a population.
        probes: (population, "u" | "v") pairs, or "all"; float64 (samples, steps, n), after the step's reset.
        strict: the first code beyond the range of a converter is an error.
        progress: called with (steps done, steps of all samples).
        threads: samples that run beside each other; no result depends on it.

    Returns:
        Trace with the spikes of populations, v of those that do not fire, and outputs. counts, int64 (samples, steps):
        reads, of a block in one use and slice; phases, of all reads; phases_skipped, in which no row would be driven;
        row_drives, rows x phases; cell_reads, cells on driven rows, and column_reads, once for all phases of a read;
        conversions; adc_clips, codes beyond the range; adds: of each use that is read, its entries with a target, and
        its channels for every slice but the first; shift_bits: steps of delay x distinct elements, of all segments;
        neuron_updates; spikes. float64 (samples, steps): array_joules, what the rows' drivers give while a phase
        settles and integrates; step_seconds, of the macro that takes longest. float64 (samples, macros): macro_seconds.

    Raises:
        DataError: the stimulus does not suit the program. OverflowInStrictMode: only with ``strict``; ADC_CLIP.
        ProgramError: the program does not hold together.
    """
    return _chip(program, max(threads, 1)).run(stimulus, steps=steps, probes=probes, strict=strict, progress=progress,
                                               threads=threads)


def walk(program: CrossbarProgram) -> Walk:
    """A die in its initial state, ready for its first step.

    Raises:
        ProgramError: the program does not hold together.
    """
    return Walk(_chip(program).machine)


def effective_of(program: CrossbarProgram, block_index: int, conductances: Sequence[Any] | None = None) -> Floats:
    """(K, R) A into the converter of each channel per unit of input of each row, through wires, gain included.

    Raises:
        as ``chip_of``.
    """
    chip = _chip(program) if conductances is None else chip_of(program, conductances)
    return chip.models[block_index].weight.T.copy()


@dataclass(slots=True)
class _Sample:
    """One sample."""

    machine: Machine
    stimulus: Stimulus
    steps: int
    column: NDArray[np.int32]
    strict: bool
    sample: int

    def go(self, progress: Progress) -> Record:
        """Run all steps, in blocks."""
        m = self.machine
        record = Record(start(m, self.sample, feed(m, self.stimulus.one(self.sample)), self.steps, self.column))
        t = 0
        while t < self.steps:
            done, written, why = run_steps(t, min(t + BLOCK, self.steps), self.strict, m.net, record.run)
            record.add(written)
            if why == parts.STOPPED:
                raise clip_error(m, record.run)
            progress.add(done - t)
            t = done
        return record


def clip_error(machine: Machine, run: parts.Run) -> OverflowInStrictMode:
    """The error for what ended a strict run."""
    b, channel, t, code, _ = run.stop.tolist()
    block = machine.models[b].block
    return OverflowInStrictMode(
        f"a current of {code:,} steps at the converter of channel {channel} in step {t}, its codes go "
        f"from {block.code_min} to {block.code_max}", where=f"sample {run.sample}, block {block.name}",
        code="ADC_CLIP", fix="compile with a larger full scale or more ADC bits, or with calibration data")
