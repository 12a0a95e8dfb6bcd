"""The Loihi simulator: runs a LoihiProgram, bit by bit and message by message, with counted events.

Dynamics are those of the integer reference (FixedLIF). Counted in each step: spikes, synaptic operations, messages
(one for each source neuron and receiving core), hops east-west and north-south on X-Y routes, the busiest core and
the busiest link. Input spikes come from the host: they cost synaptic operations but no message on the mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, OverflowInStrictMode, ProgramError
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import RESETS, LoihiArrays, LoihiProgram
from hwsdk.simulators import kernels
from hwsdk.simulators.routes import build_mesh

Array = NDArray[np.generic]
IntArray = NDArray[np.int64]
BLOCK = 128
MIN_BUFFER = 1 << 16
SLICE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """A program in the form that the kernel wants. Neurons in core order; senders by id, then mapped to core order.

    cores: core of the program -> core of the mesh. slots: steps that the ring of inputs holds, a power of two.
    reach: the largest sum of |weights| into one neuron, from (neurons, inputs).
    """

    program: LoihiProgram
    wires: kernels.Wires
    mesh: kernels.Mesh
    cores: IntArray
    slots: int
    reach: tuple[int, int]


def build(program: LoihiProgram) -> Machine:
    """Unpack the cores' memories.

    Raises:
        ProgramError: axons, pointers or targets that do not fit together.
    """
    _check_pointers(program)
    n_inputs = sum(s.n for s in program.inputs)
    order_of = np.r_[np.arange(n_inputs), n_inputs + _rank(program)]
    sender = order_of.astype(np.int32)[program.arrays.axon_source]
    mesh, cores = build_mesh(program, sender, order_of)
    wires = _wires(program, sender, n_inputs, len(order_of))
    longest = int(program.arrays.delay.max(initial=1))
    border = int(wires.ptr[n_inputs])
    reach = (_reach(wires, border, len(wires.target), program.n_neurons), _reach(wires, 0, border, program.n_neurons))
    return Machine(program, wires, mesh, cores, 1 << longest.bit_length(), reach)


def _rank(program: LoihiProgram) -> IntArray:
    """Place in core order of each neuron by id."""
    n_inputs = sum(s.n for s in program.inputs)
    rank = np.empty(program.n_neurons, np.int64)
    rank[program.arrays.source_id - n_inputs] = np.arange(program.n_neurons)
    return rank


def _wires(program: LoihiProgram, sender: NDArray[np.int32], n_inputs: int, n_senders: int) -> kernels.Wires:
    """All synapses, by sender."""
    a = program.arrays
    lengths = np.bincount(sender, weights=axon_synapses(a), minlength=n_senders)
    ptr = np.r_[0, np.cumsum(lengths.astype(np.int64))]
    largest = int(np.abs(a.weight.astype(np.int32)).max(initial=0)) << int(a.row_exponent.max(initial=0))
    n = program.n_synapses
    target = np.empty(n, np.uint32)
    weight: kernels.Ints = np.empty(n, np.int16) if largest <= 1 << 15 else np.empty(n, np.int32)
    delay = np.empty(n if a.delay.max(initial=1) > 1 else 0, np.uint8)
    first = np.repeat(a.neuron_ptr[:-1], np.diff(a.axon_ptr))
    kernels.unpack_synapses(sender, first, a, ptr[:-1].copy(), target, weight, delay)
    return kernels.Wires(n_inputs, ptr.astype(np.uint64), target, weight, delay)


def _reach(wires: kernels.Wires, start: int, stop: int, n: int) -> int:
    """Largest sum of |weights| that some of the synapses bring to one neuron."""
    total = np.zeros(n)
    for first in range(start, stop, SLICE):
        part = slice(first, min(first + SLICE, stop))
        total += np.bincount(wires.target[part], weights=np.abs(wires.weight[part].astype(np.int64)), minlength=n)
    return int(total.max(initial=0))


def _check_pointers(program: LoihiProgram) -> None:
    """A program from elsewhere may be broken; say so before the kernel reads past an array."""
    if not _consistent(program):
        raise ProgramError("its arrays do not fit together", where=program.name, code="INCONSISTENT",
                           fix="compile the model again")


def _consistent(program: LoihiProgram) -> bool:
    """Do all pointers, indices and lengths fit together?"""
    a, n, cores = program.arrays, program.n_neurons, program.n_cores
    n_sources = sum(s.n for s in (*program.inputs, *program.populations))
    ends = ((a.neuron_ptr, cores, a.source_id), (a.axon_ptr, cores, a.axon_source), (a.core_row_ptr, cores, a.row_bits),
            (a.segment_ptr, len(a.axon_source), a.segment_row), (a.row_ptr, len(a.row_bits), a.target),
            (a.out_ptr, n_sources, a.out_core))
    if not all(len(p) == k + 1 and p[0] == 0 and p[-1] == len(x) and bool((p[1:] >= p[:-1]).all())
               for p, k, x in ends):
        return False
    columns = (a.du, a.dv, a.vth, a.bias, a.u_init, a.v_init, a.reset, a.reset_by, a.fires)
    lengths = (*((x, n) for x in columns), (a.core_x, cores), (a.core_y, cores), (a.weight, len(a.target)),
               (a.delay, len(a.target)), (a.segment_base, len(a.segment_row)), (a.row_exponent, len(a.row_bits)),
               (a.row_shared, len(a.row_bits)))
    if not all(len(x) == k for x, k in lengths) or a.extra.shape[1] not in (0, n):
        return False
    inside = ((a.axon_source, n_sources), (a.out_core, cores), (a.segment_row, len(a.row_bits)))
    good = all(_within(x, k) for x, k in inside) and bool((np.diff(a.row_ptr) > 0).all())
    good = good and bool((np.diff(a.segment_ptr) > 0).all())
    good = good and np.array_equal(np.sort(a.source_id), np.arange(n_sources - n, n_sources))
    return good and a.delay.min(initial=1) >= 1 and a.row_exponent.min(initial=0) >= 0 and _rows_stay_home(program)


def _rows_stay_home(program: LoihiProgram) -> bool:
    """Does every segment use a row of its own core, and stay within the core's accumulators?"""
    a = program.arrays
    core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)).repeat(np.diff(a.segment_ptr))
    row_core = np.repeat(np.arange(program.n_cores), np.diff(a.core_row_ptr))
    if not np.array_equal(row_core[a.segment_row], core):
        return False
    if not len(core):
        return True
    low, high = (f.reduceat(a.target, a.row_ptr[:-1])[a.segment_row] for f in (np.minimum, np.maximum))
    room = np.diff(a.neuron_ptr)[core]
    return bool((low + a.segment_base >= 0).all() and (high + a.segment_base < room).all())


def axon_synapses(a: LoihiArrays) -> IntArray:
    """Synapses of each axon."""
    total = np.r_[0, np.cumsum(np.diff(a.row_ptr)[a.segment_row])]
    return np.diff(total[a.segment_ptr])


def _within(values: NDArray[np.integer], n: int) -> bool:
    """Are all values in 0 .. n-1?"""
    return not len(values) or bool(values.min() >= 0 and values.max() < n)


def run(program: LoihiProgram, stimulus: Stimulus, *, steps: int | None = None,
        probes: Iterable[tuple[str, str]] | str = (), strict: bool = False,
        progress: Callable[[int, int], None] | None = None) -> Trace:
    """Run a program on every sample of a stimulus, each from the initial state.

    Args:
        steps: default the stimulus, plus the largest lag of a population.
        probes: (population, "u" | "v") pairs, or "all"; int32 (samples, steps, n) after the step's reset.
        strict: any wrap of u or saturation of v is an error.
        progress: called with (steps done, steps of all samples).

    Returns:
        Trace with counts: those of kernels.STEP_COUNTS (samples, steps), and per core (samples, cores):
        core_synops, core_messages.

    Raises:
        DataError: the stimulus does not suit the program. OverflowInStrictMode: only with ``strict``.
    """
    return run_machine(build(program), stimulus, steps=steps, probes=probes, strict=strict, progress=progress)


def run_machine(machine: Machine, stimulus: Stimulus, *, steps: int | None = None,
                probes: Iterable[tuple[str, str]] | str = (), strict: bool = False,
                progress: Callable[[int, int], None] | None = None) -> Trace:
    """``run`` for a program that was built before."""
    program = machine.program
    stimulus.require(program.input_shapes, whole=True, graded=program.graded_input, chip=program.target)
    total = stimulus.n_steps + max((s.lag for s in program.populations), default=0) if steps is None else steps
    wanted = _probed(program, probes)
    runs = []
    for sample in range(stimulus.n_samples):
        done = sample * total
        step = None if progress is None else (lambda t, d=done: progress(d + t, stimulus.n_samples * total))
        runs.append(_Run(machine, stimulus.one(sample), total, wanted, strict, sample).go(step))
    return _trace(program, runs, total, wanted)


def _probed(program: LoihiProgram, probes: Iterable[tuple[str, str]] | str) -> tuple[tuple[str, str], ...]:
    """The states to record."""
    if probes == "all":
        return tuple((s.name, v) for s in program.populations for v in ("u", "v"))
    if isinstance(probes, str):
        raise DataError(f"probes={probes!r}", code="NO_SUCH_STATE", fix='give (population, "u" or "v") pairs, or "all"')
    found = tuple((str(name), str(variable)) for name, variable in probes)
    known = {s.name for s in program.populations}
    for name, variable in found:
        if name not in known or variable not in ("u", "v"):
            raise DataError(f"no state {variable!r} of {name!r}", code="NO_SUCH_STATE",
                            fix=f"probe u or v of {', '.join(sorted(known))}")
    readouts = tuple((s.name, "v") for s in program.populations if not s.fires and (s.name, "v") not in found)
    return found + readouts


@dataclass(slots=True)
class _Run:
    """One sample."""

    machine: Machine
    stimulus: Stimulus
    steps: int
    probes: tuple[tuple[str, str], ...]
    strict: bool
    sample: int

    def go(self, progress: Callable[[int], None] | None) -> _Record:
        """Run all steps, in blocks."""
        m, p = self.machine, self.machine.program
        feed = self._feed()
        cells = self._cells(int(np.abs(feed.value).max(initial=0)))
        n, probe = p.n_neurons, _probe_neurons(p, self.probes)
        counts = np.zeros((self.steps, len(kernels.STEP_COUNTS)), np.int64)
        totals = np.zeros((p.n_cores, 2), np.int64)
        buffer = np.empty(max(MIN_BUFFER, 2 * n), np.int32)
        neurons: list[NDArray[np.int32]] = []
        states: list[Array] = []
        t = 0
        while t < self.steps:
            end = min(t + BLOCK, self.steps)
            probed = np.zeros((2, end - t, len(probe)), cells.u.dtype)
            log = kernels.Log(buffer, counts, totals, probe, probed)
            t1, written, kind, at, value = kernels.loihi_block(t, end, cells, m.wires, m.mesh, feed, log, self.strict)
            if kind:
                raise self._overflow(t1, kind, at, value)
            neurons.append(buffer[:written].copy())
            states.append(probed[:, : t1 - t])
            t = t1
            if progress is not None:
                progress(t)
        return _Record(counts, totals[m.cores], np.concatenate(neurons) if neurons else np.zeros(0, np.int32), states)

    def _cells(self, largest_input: int) -> kernels.Cells:
        """The neurons in their initial state, in 32 bits if nothing can leave these."""
        m, a = self.machine, self.machine.program.arrays
        arriving = (m.reach[0] + m.reach[1] * largest_input) << 6
        narrow = _fits_int32(a, arriving)

        def whole(column: NDArray[np.integer]) -> kernels.Ints:
            return column.astype(np.int32) if narrow else column.astype(np.int64)

        theta = np.where(a.fires, a.vth.astype(np.int64) << 6, kernels.V_MAX)
        subtracts = (a.reset == RESETS.index("subtract")).astype(np.uint8)
        ring = whole(np.zeros((m.slots, len(a.du)), np.int32))
        return kernels.Cells(whole(a.u_init), whole(a.v_init), whole(4095 - a.du), whole(4096 - a.dv), whole(a.bias),
                             whole(theta), subtracts, whole(a.reset_by), ring)

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

    def _overflow(self, t: int, kind: int, at: int, value: int) -> OverflowInStrictMode:
        """The error that names layer, neuron and step of the first overflow."""
        p = self.machine.program
        what, low = ("the synaptic current u", 1 - kernels.U_WRAP) if kind == 1 else ("the membrane v", -kernels.V_MAX)
        high = kernels.U_WRAP if kind == 1 else kernels.V_MAX
        ident = int(p.arrays.source_id[at])
        layer = next(s for s in p.populations if s.first <= ident < s.first + s.n)
        return OverflowInStrictMode(
            f"{what} needs {value:,} in step {t}, its 24 bits hold {low:,} to {high:,}",
            where=f"sample {self.sample}, layer {layer.name}, neuron {ident - layer.first}",
            fix="compile with calibration data that shows the real range, or simulate without strict")


def _fits_int32(a: LoihiArrays, arriving: int) -> bool:
    """Can 32 bits hold every intermediate value if |input| << 6 is at most ``arriving``?

    Up to 2^24 the one wrap brings u back into its range; beyond, u can grow until its decay takes as much as is added.
    """
    def most(x: NDArray[np.integer]) -> int:
        return int(np.abs(x.astype(np.int64)).max(initial=0))

    u = max(most(a.u_init), kernels.U_WRAP)
    if arriving > 2 * kernels.U_WRAP:
        u = max(u, (arriving - 2 * kernels.U_WRAP) * 4096 // (4096 - most(4095 - a.du)))
    v = max(most(a.v_init), kernels.V_MAX + most(a.reset_by))
    return u + max(arriving, v + most(a.bias)) < 1 << 31


@dataclass(frozen=True, slots=True, eq=False)
class _Record:
    """What one run gave. neurons: core-order indices of all spikes, step after step; probed: states by block."""

    counts: NDArray[np.int64]
    core_totals: NDArray[np.int64]
    neurons: NDArray[np.int32]
    probed: list[Array]


def _probe_neurons(program: LoihiProgram, probes: tuple[tuple[str, str], ...]) -> NDArray[np.int64]:
    """Core-order indices of every probed population, population by population, each in id order."""
    names = {name for name, _ in probes}
    n_inputs = sum(s.n for s in program.inputs)
    rank = _rank(program)
    parts = [rank[s.first - n_inputs : s.first - n_inputs + s.n] for s in program.populations if s.name in names]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _raster(program: LoihiProgram, runs: list[_Record], steps: int,
            ) -> tuple[NDArray[np.int32], NDArray[np.int32], IntArray]:
    """(sample, step, id) of all spikes, sorted in this order."""
    if not runs:
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64)
    sample = np.repeat(np.arange(len(runs), dtype=np.int32), [len(r.neurons) for r in runs])
    step = np.repeat(np.tile(np.arange(steps, dtype=np.int32), len(runs)),
                     np.concatenate([r.counts[:, kernels.SPIKES] for r in runs]))
    ident = program.arrays.source_id[np.concatenate([r.neurons for r in runs])]
    if (np.diff(program.arrays.source_id) < 0).any():
        ident = ident[np.lexsort((ident, step, sample))]
    return sample, step, ident


def _trace(program: LoihiProgram, runs: list[_Record], steps: int, probes: tuple[tuple[str, str], ...]) -> Trace:
    """All samples as one trace."""
    sample, step, ident = _raster(program, runs, steps)
    states = _states(program, runs, probes)
    spikes: dict[str, Events] = {}
    for s in program.populations:
        own = slice(None) if s.n == program.n_neurons else (ident >= s.first) & (ident < s.first + s.n)
        index = (ident[own] - s.first).astype(np.int32)
        spikes[s.name] = Events(s.shape, len(runs), steps, sample[own], step[own], index)
        if not s.fires:
            spikes[s.name] = _readout(s.shape, states[s.name, "v"])
    spikes |= {name: spikes[sources[0]] for name, sources in program.outputs.items() if len(sources) == 1}
    kinds = {k: np.stack([r.counts[:, i] for r in runs]) for i, k in enumerate(kernels.STEP_COUNTS)}
    kinds["neuron_updates"] = np.full((len(runs), steps), program.n_neurons, np.int64)
    kinds["core_synops"] = np.stack([r.core_totals[:, kernels.CORE_SYNOPS] for r in runs])
    kinds["core_messages"] = np.stack([r.core_totals[:, kernels.CORE_MESSAGES] for r in runs])
    lag = {s.name: s.lag for s in program.populations}
    lag |= {name: lag[sources[0]] for name, sources in program.outputs.items() if len(sources) == 1}
    return Trace(len(runs), steps, spikes, states, kinds, lag)


def _states(program: LoihiProgram, runs: list[_Record], probes: tuple[tuple[str, str], ...],
            ) -> dict[tuple[str, str], Array]:
    """(population, variable) -> (samples, steps, n)."""
    if not probes:
        return {}
    whole = np.stack([np.concatenate(r.probed, axis=1) for r in runs])
    names = {name for name, _ in probes}
    states, first = {}, 0
    for s in program.populations:
        if s.name in names:
            for k, variable in enumerate(("u", "v")):
                if (s.name, variable) in probes:
                    states[s.name, variable] = whole[:, k, :, first : first + s.n]
            first += s.n
    return states


def _readout(shape: tuple[int, ...], v: Array) -> Events:
    """A membrane as events with values."""
    sample, step, index = np.nonzero(v)
    value = v[sample, step, index].astype(np.float64)
    return Events(shape, v.shape[0], v.shape[1], sample.astype(np.int32), step.astype(np.int32),
                  index.astype(np.int32), None if (value == 1).all() else value)
