"""The Loihi simulator: runs a LoihiProgram, bit by bit and message by message, with counted events.

Dynamics are those of the integer reference (hwsdk.ir.fixed). Counted in each step: spikes, synaptic operations,
messages (one for each source neuron and receiving core, whatever value it carries), hops east-west and north-south on
X-Y routes, the busiest core and the busiest link. Input spikes come from the host: they cost synaptic operations but no
message on the mesh. No result depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, OverflowInStrictMode
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.simulators import kernels, kernels_models
from hwsdk.simulators.kernels_mesh import STEP_COUNTS, Tally, empty_tally
from hwsdk.simulators.kernels_models import V_MAX
from hwsdk.simulators.kernels_sync import barrier_state, break_off
from hwsdk.simulators.loihi_machine import Machine, Part
from hwsdk.simulators.loihi_machine import build as build
from hwsdk.simulators.loihi_state import fits_int32
from hwsdk.simulators.loihi_trace import Probes, Record, probe_neurons, trace, wanted
from hwsdk.simulators.samples import Progress, run_all

Array = NDArray[np.generic]
IntArray = NDArray[np.int64]
BLOCK = 1024
MIN_BUFFER = 1 << 18
REGISTERS = {kernels_models.U: "the synaptic current u", kernels_models.V: "the membrane v",
             kernels_models.RE: "the real part re", kernels_models.IM: "the imaginary part im"}


def run(program: LoihiProgram, stimulus: Stimulus, *, steps: int | None = None,
        probes: Iterable[tuple[str, str]] | str = (), strict: bool = False,
        progress: Callable[[int, int], None] | None = None, threads: int = 1) -> Trace:
    """Run a program on every sample of a stimulus, each from the initial state.

    Args:
        steps: default the stimulus, plus the largest lag of a population.
        probes: (population, state) pairs, states as hwsdk.programs.loihi.STATES names them, or "all"; int32 or int64
            (samples, steps, n) after the step's reset.
        strict: any wrap of u and any saturation of v, re or im is an error.
        progress: called with (steps done, steps of all samples).
        threads: how many run it, samples beside each other, or the cores of one where there are fewer samples.

    Returns:
        Trace with counts: those of kernels_mesh.STEP_COUNTS (samples, steps), and per core (samples, cores):
        core_synops, core_messages.

    Raises:
        DataError: the stimulus does not suit the program. OverflowInStrictMode: only with ``strict``.
    """
    if threads < 1:
        raise DataError(f"{threads} threads", code="BAD_THREADS", fix="give 1 or more")
    machine = build(program, max(1, threads // stimulus.n_samples))
    return run_machine(machine, stimulus, steps=steps, probes=probes, strict=strict, progress=progress, threads=threads)


def run_machine(machine: Machine, stimulus: Stimulus, *, steps: int | None = None,
                probes: Iterable[tuple[str, str]] | str = (), strict: bool = False,
                progress: Callable[[int, int], None] | None = None, threads: int = 1) -> Trace:
    """``run`` for a program that was built before: every part has a thread, and so many samples run side by side as
    leave no more than ``threads``.
    """
    program, samples = machine.program, stimulus.n_samples
    stimulus.require(program.input_shapes, whole=True, graded=program.graded_input, chip=program.target)
    total = stimulus.n_steps + max((s.lag for s in program.populations), default=0) if steps is None else steps
    probed, said = wanted(program, probes), Progress(progress, samples * total)
    runs = [_Run(machine, stimulus.one(sample), total, probed, strict, sample) for sample in range(samples)]
    beside = min(samples, max(1, threads // len(machine.parts)))
    return trace(program, run_all(runs, said, beside), total, probed)


@dataclass(frozen=True, slots=True, eq=False)
class _PartState:
    """A part in motion. where: which of the probed neurons are its own."""

    part: Part
    scratch: kernels.Scratch
    cells: kernels.Cells
    special: kernels_models.Special
    spikes: NDArray[np.int32]
    values: IntArray
    counts: IntArray
    totals: IntArray
    where: IntArray
    probe: IntArray
    slot: IntArray

    def log(self, rows: int, steps: int, dtype: Any) -> kernels.Log:
        """A log for a block."""
        states = np.zeros((rows, steps, len(self.probe)), dtype)
        return kernels.Log(self.spikes, self.values, self.counts, self.totals, self.probe, self.slot, states)


@dataclass(slots=True)
class _Run:
    """One sample."""

    machine: Machine
    stimulus: Stimulus
    steps: int
    probes: Probes
    strict: bool
    sample: int

    def go(self, progress: Progress) -> Record:
        """Run all steps, in blocks."""
        m, feed = self.machine, self._feed()
        parts, board, tally = self._parts(feed), self._board(), empty_tally(m.mesh, len(m.parts))
        special = any((p.slot >= 0).any() for p in parts)
        rows, dtype = (kernels_models.STATE_ROWS, np.int64) if special else (2, parts[0].cells.u.dtype)
        record = Record([], [], [], np.zeros((0, 0), np.int64), np.zeros((0, 0), np.int64))
        t = 0
        with ThreadPoolExecutor(len(parts)) as pool:
            while t < self.steps:
                end = min(t + BLOCK, self.steps)
                logs = [p.log(rows, end - t, dtype) for p in parts]
                ends = self._block(pool, t, end, parts, logs, feed, board, tally)
                self._raise_overflow(ends[0][0], board)
                record.add(t, ends, logs, [p.where for p in parts])
                progress.add(ends[0][0] - t)
                t = ends[0][0]
        return record.closed(np.sum([p.counts for p in parts], axis=0), np.sum([p.totals for p in parts], axis=0))

    def _block(self, pool: ThreadPoolExecutor, t: int, end: int, parts: list[_PartState], logs: list[kernels.Log],
               feed: kernels.Feed, board: kernels.Board, tally: Tally) -> list[tuple[int, int]]:
        """(next step, spikes written) of each part."""
        def one(k: int) -> tuple[int, int]:
            """Run a part; if it cannot, the others must not wait for it."""
            p = parts[k]
            try:
                return kernels.run_part(t, end, k, p.part.neurons.first, p.cells, p.special, p.part.wires,  # type: ignore
                                        self.machine.mesh, feed, board, tally, logs[k], p.scratch, self.strict)
            except BaseException:
                break_off(board.barrier)
                raise

        if len(parts) == 1:
            return [one(0)]
        return [w.result() for w in [pool.submit(one, k) for k in range(len(parts))]]

    def _parts(self, feed: kernels.Feed) -> list[_PartState]:
        """All parts at the start, in 32 bits if nothing can leave these."""
        m = self.machine
        arriving = m.reach[0] + m.reach[1] * int(np.abs(feed.value).max(initial=0))
        dtype = np.int32 if fits_int32(m.program, arriving << 6) else np.int64
        probed, found = probe_neurons(m.program, self.probes), []
        graded = any(len(part.neurons.special.value) for part in m.parts)
        for part in m.parts:
            n = part.neurons
            where = np.flatnonzero((probed >= n.first) & (probed < n.last))
            buffer = max(MIN_BUFFER, 2 * (n.last - n.first))
            found.append(_PartState(
                part, kernels.new_scratch(n.last - n.first), n.cells(dtype, m.slots), n.fresh(),
                np.empty(buffer, np.int32), np.empty(buffer if graded else 0, np.int64),
                np.zeros((self.steps, len(STEP_COUNTS)), np.int64), np.zeros((m.program.n_cores, 2), np.int64), where,
                probed[where] - n.first, n.slot(probed[where])))
        return found

    def _board(self) -> kernels.Board:
        """An empty board."""
        parts = self.machine.parts
        most = max(p.neurons.last - p.neurons.first for p in parts)
        carried = most if any(len(p.neurons.special.value) for p in parts) else 0
        return kernels.Board(barrier_state(), np.zeros((2, len(parts), most + 2 * kernels.LANES), np.int32),
                             np.zeros((2, len(parts)), np.int64), np.zeros((2, len(parts), carried), np.int64),
                             np.zeros((2, len(parts), 3), np.int64))

    def _feed(self) -> kernels.Feed:
        """Input events of each step."""
        step, ids, value = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for source in self.machine.program.inputs:
            e = self.stimulus.inputs[source.name]
            keep = e.step < self.steps
            step.append(e.step[keep])
            ids.append((source.first + e.index[keep]).astype(np.int32))
            value.append(e.values()[keep].astype(np.int64))
        steps = np.concatenate(step)
        order = np.argsort(steps, kind="stable")
        ptr = np.searchsorted(steps[order], np.arange(self.steps + 1)).astype(np.int64)
        return kernels.Feed(ptr, np.concatenate(ids)[order], np.concatenate(value)[order])

    def _raise_overflow(self, t: int, board: kernels.Board) -> None:
        """The error that names layer, neuron and step of the first overflow, if there is one."""
        for part, (register, at, need) in zip(self.machine.parts, board.stop[t & 1].tolist(), strict=True):
            if register > 0:
                p, wraps = self.machine.program, register == kernels_models.U
                low, high = (1 - kernels.U_WRAP, kernels.U_WRAP) if wraps else (-V_MAX, V_MAX)
                ident = int(p.arrays.source_id[part.neurons.first + at])
                layer = next(s for s in p.populations if s.first <= ident < s.first + s.n)
                raise OverflowInStrictMode(
                    f"{REGISTERS[register]} needs {need:,} in step {t}, its 24 bits hold {low:,} to {high:,}",
                    where=f"sample {self.sample}, layer {layer.name}, neuron {ident - layer.first}",
                    fix="compile with calibration data that shows the real range, or simulate without strict")
