"""The Loihi simulator: runs a LoihiProgram, bit by bit and message by message, with counted events.

Dynamics are those of the integer reference (FixedLIF). Counted in each step: spikes, synaptic operations, messages
(one for each source neuron and receiving core), hops east-west and north-south on X-Y routes, the busiest core and
the busiest link. Input spikes come from the host: they cost synaptic operations but no message on the mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, OverflowInStrictMode, ProgramError
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.simulators import kernels
from hwsdk.simulators.routes import Flows, build_flows

Array = NDArray[Any]
BLOCK = 64
MIN_BUFFER = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """A program in the form that the kernel wants. Neurons in core order; senders by id, then mapped to core order."""

    program: LoihiProgram
    syn_ptr: NDArray[np.int64]
    syn_target: NDArray[np.int32]
    syn_weight: NDArray[np.int32]
    syn_delay: NDArray[np.uint8]
    flows: Flows
    slots: int
    n_inputs: int

    @property
    def shared_input(self) -> int:
        """Number of input ids."""
        return self.n_inputs


def build(program: LoihiProgram) -> Machine:
    """Unpack the cores' memories.

    Raises:
        ProgramError: axons, pointers or targets that do not fit together.
    """
    a = program.arrays
    _check_pointers(program)
    n_inputs = sum(s.n for s in program.inputs)
    rank = np.empty(program.n_neurons, np.int64)
    rank[a.source_id - n_inputs] = np.arange(program.n_neurons)
    order_of = np.r_[np.arange(n_inputs), n_inputs + rank]
    per_axon = np.diff(a.synapse_ptr)
    axon_core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr))
    sender = order_of[a.axon_source]
    by_sender = np.argsort(sender, kind="stable")
    take = _ranges(a.synapse_ptr[:-1][by_sender], per_axon[by_sender])
    first_neuron = np.repeat(a.neuron_ptr[axon_core], per_axon)
    lengths = np.bincount(sender, weights=per_axon, minlength=len(order_of)).astype(np.int64)
    weight = (a.weight.astype(np.int32) << a.exponent.astype(np.int32))[take]
    flows = build_flows(program, sender[by_sender], axon_core[by_sender], per_axon[by_sender], order_of)
    return Machine(program, np.r_[0, np.cumsum(lengths)], (first_neuron + a.target)[take].astype(np.int32), weight,
                   a.delay[take], flows, int(a.delay.max(initial=1)) + 1, n_inputs)


def _ranges(start: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """start[0], start[0]+1, ... (length[0] of them), then those of start[1], and so on."""
    ends = np.cumsum(length)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(start - (ends - length), length)


def _check_pointers(program: LoihiProgram) -> None:
    """A program from elsewhere may be broken; say so before the kernel reads past an array."""
    a = program.arrays
    sizes = np.diff(a.neuron_ptr)
    core = np.repeat(np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)), np.diff(a.synapse_ptr))
    n_sources = sum(s.n for s in (*program.inputs, *program.populations))
    good = (len(a.source_id) == a.neuron_ptr[-1] == len(a.du) and a.axon_ptr[-1] == len(a.axon_source)
            and a.synapse_ptr[-1] == len(a.target) == len(a.weight) == len(core)
            and n_sources == len(a.out_ptr) - 1 and a.out_ptr[-1] == len(a.out_core)
            and np.array_equal(np.sort(a.source_id), np.arange(n_sources - len(a.source_id), n_sources)))
    good = good and (not len(a.target) or bool(((a.target >= 0) & (a.target < sizes[core])).all()))
    good = good and (not len(a.delay) or bool(a.delay.min() >= 1))
    good = good and (not len(a.axon_source) or bool((a.axon_source >= 0).all() and a.axon_source.max() < n_sources))
    if not good:
        raise ProgramError("its arrays do not fit together", where=program.name, code="INCONSISTENT",
                           fix="compile the model again")


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
    machine = build(program)
    _check_stimulus(program, stimulus)
    total = stimulus.n_steps + max((s.lag for s in program.populations), default=0) if steps is None else steps
    wanted = _probed(program, probes)
    runs = []
    for sample in range(stimulus.n_samples):
        done = sample * total
        step = None if progress is None else (lambda t, d=done: progress(d + t, stimulus.n_samples * total))
        runs.append(_Run(machine, stimulus.one(sample), total, wanted, strict, sample).go(step))
    return _trace(program, runs, total, wanted)


def _check_stimulus(program: LoihiProgram, stimulus: Stimulus) -> None:
    """Exactly the program's inputs, whole numbers, and ones only where the chip has no graded spikes."""
    shapes = {s.name: s.shape for s in program.inputs}
    if set(shapes) != set(stimulus.inputs):
        raise DataError(f"data for inputs {sorted(stimulus.inputs)}, the program has {sorted(shapes)}",
                        code="WRONG_INPUTS", fix="give one array for each input of the program")
    for name, events in stimulus.inputs.items():
        if events.shape != shapes[name]:
            raise DataError(f"data of shape {events.shape}, the input has {shapes[name]}", where=name,
                            code="SHAPE_MISMATCH", fix="check the encoding")
        if events.value is None:
            continue
        if (events.value % 1).any():
            raise DataError("fractional input values, the chip takes spikes or integers", where=name,
                            code="FRACTIONAL_INPUT", fix="encode the data as spikes, or scale it to integers")
        if program.target == "loihi1":
            raise DataError("input values other than 1; Loihi 1 has no graded spikes", where=name, code="GRADED_INPUT",
                            fix="compile for loihi2, or encode the data as spikes")


def _probed(program: LoihiProgram, probes: Iterable[tuple[str, str]] | str) -> tuple[tuple[str, str], ...]:
    """The states to record."""
    if probes == "all":
        return tuple((s.name, v) for s in program.populations for v in ("u", "v"))
    found = tuple(p for p in probes if isinstance(p, tuple))
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
        a, n, f = p.arrays, p.n_neurons, self.machine.flows
        u, v = a.u_init.copy(), a.v_init.copy()
        ring = np.zeros((m.slots, n), np.int32)
        counts = np.zeros((self.steps, len(kernels.STEP_COUNTS)), np.int64)
        core_totals = np.zeros((p.n_cores, 2), np.int64)
        probe = _probe_neurons(p, self.probes)
        in_ptr, in_id, in_value = self._inputs()
        theta = a.vth << 6
        record = _Record(counts, core_totals)
        buffers = [np.empty(max(MIN_BUFFER, 2 * n), np.int32) for _ in range(2)]
        t = 0
        while t < self.steps:
            end = min(t + BLOCK, self.steps)
            probed = np.zeros((2, end - t, len(probe)), np.int32)
            t1, written, overflow, _ = kernels.loihi_block(
                t, end, u, v, ring, 4095 - a.du, 4096 - a.dv, a.bias, theta, a.reset, a.reset_by, a.fires, m.n_inputs,
                in_ptr, in_id, in_value, m.syn_ptr, m.syn_target, m.syn_weight, m.syn_delay, f.ptr, f.flow, f.synops,
                f.to_core, f.from_core, f.ew, f.ns, f.crossings, f.link_ptr, f.link, buffers[0], buffers[1], counts,
                core_totals, probe, probed[0], probed[1], self.strict)
            if overflow:
                raise self._overflow(t1, overflow, u, v)
            record.add(buffers, written, probed[:, : t1 - t])
            t = t1
            if progress is not None:
                progress(t)
        return record

    def _inputs(self) -> tuple[Array, Array, Array]:
        """Input events of each step: pointers, sender ids, integer values."""
        step, ids, value = [], [], []
        for source in self.machine.program.inputs:
            e = self.stimulus.inputs[source.name]
            keep = e.step < self.steps
            step.append(e.step[keep])
            ids.append(source.first + e.index[keep].astype(np.int64))
            value.append(e.values()[keep].astype(np.int32))
        all_steps = np.concatenate(step) if step else np.zeros(0, np.int32)
        order = np.argsort(all_steps, kind="stable")
        ptr = np.searchsorted(all_steps[order], np.arange(self.steps + 1)).astype(np.int64)
        return ptr, np.concatenate(ids or [np.zeros(0,np.int64)])[order], np.concatenate(value or [np.zeros(0,np.int32)])[order]

    def _overflow(self, t: int, kind: int, u: Array, v: Array) -> OverflowInStrictMode:
        """The error that names layer, neuron and step of the first overflow."""
        p = self.machine.program
        what = "the synaptic current u wrapped round" if kind == 1 else "the membrane v saturated"
        at = int(np.argmax(np.abs(v.astype(np.int64)))) if kind == 2 else int(np.argmax(np.abs(u.astype(np.int64))))
        ident = int(p.arrays.source_id[at])
        layer = next(s for s in p.populations if s.first <= ident < s.first + s.n)
        return OverflowInStrictMode(
            f"{what} at 24 bits in step {t}", where=f"sample {self.sample}, layer {layer.name}, neuron "
            f"{ident - layer.first}", fix="compile with calibration data that shows the real range, or simulate "
            "without strict")


class _Record:
    """What one run gave."""

    def __init__(self, counts: NDArray[np.int64], core_totals: NDArray[np.int64]) -> None:
        self.counts, self.core_totals = counts, core_totals
        self.steps: list[Array] = []
        self.neurons: list[Array] = []
        self.probed: list[Array] = []

    def add(self, buffers: list[Array], written: int, probed: Array) -> None:
        """Keep the spikes and states of one block."""
        self.steps.append(buffers[0][:written].copy())
        self.neurons.append(buffers[1][:written].copy())
        self.probed.append(probed)


def _probe_neurons(program: LoihiProgram, probes: tuple[tuple[str, str], ...]) -> NDArray[np.int64]:
    """Core-order indices of every probed population, population by population, each in id order."""
    names = {name for name, _ in probes}
    n_inputs = sum(s.n for s in program.inputs)
    rank = np.empty(program.n_neurons, np.int64)
    rank[program.arrays.source_id - n_inputs] = np.arange(program.n_neurons)
    parts = [rank[s.first - n_inputs : s.first - n_inputs + s.n] for s in program.populations if s.name in names]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _trace(program: LoihiProgram, runs: list[_Record], steps: int, probes: tuple[tuple[str, str], ...]) -> Trace:
    """All samples as one trace."""
    sample = np.concatenate([np.full(sum(map(len, r.steps)), i, np.int32) for i, r in enumerate(runs)])
    step = np.concatenate([x for r in runs for x in r.steps] or [np.zeros(0, np.int32)])
    neuron = np.concatenate([x for r in runs for x in r.neurons] or [np.zeros(0, np.int32)])
    ident = program.arrays.source_id[neuron]
    order = np.lexsort((ident, step, sample))
    sample, step, ident = sample[order], step[order], ident[order]
    states = _states(program, runs, probes)
    spikes: dict[str, Events] = {}
    for s in program.populations:
        own = (ident >= s.first) & (ident < s.first + s.n)
        spikes[s.name] = Events(s.shape, len(runs), steps, sample[own], step[own], (ident[own] - s.first).astype(np.int32))
        if not s.fires:
            spikes[s.name] = _readout(s.shape, states[s.name, "v"])
    spikes |= {name: spikes[sources[0]] for name, sources in program.outputs.items() if len(sources) == 1}
    kinds = {k: np.stack([r.counts[:, i] for r in runs]) for i, k in enumerate(kernels.STEP_COUNTS)}
    kinds["neuron_updates"] = np.full((len(runs), steps), program.n_neurons, np.int64)
    kinds["core_synops"] = np.stack([r.core_totals[:, 0] for r in runs])
    kinds["core_messages"] = np.stack([r.core_totals[:, 1] for r in runs])
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
