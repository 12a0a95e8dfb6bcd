"""What a Loihi program's run costs: the events by kind of synapse, the parts of a step's time, the barrier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray

from hwsdk.cost import Amount, CostReport, Latency, Run, proxy_target, report, require_counts
from hwsdk.errors import DataError
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import LoihiProgram, Source
from hwsdk.targets.description import Figure
from hwsdk.targets.loihi import Barrier, LoihiTarget

Floats = NDArray[np.float64]
TWO_PASSES = ("sigma_delta",)
"""Models that take two passes of microcode (facts: the neuron counters of sdn_relu count two)."""
LABELS = {"messages": "messages", "hops_ew": "hops east-west", "hops_ns": "hops north-south"}
MIXED_INPUT = "the two kinds of synaptic operation of an input that has both are told apart by stored synapses"


def estimate(program: LoihiProgram, trace: Trace, target: LoihiTarget, *, boundary: str = "chip",
             proxy: str | None = None) -> CostReport:
    """Energy and latency of a simulated run.

    Raises:
        TargetError: a proxy that this target does not document, or a boundary that it cannot price.
        DataError: the trace holds no counted events, or is not one of this program.
    """
    require_counts(trace)
    require_own(program, trace)
    stand_in = proxy_target(target, proxy)
    private, shared, mixed = synaptic_operations(program, trace)
    counts = {k: float(v.sum()) for k, v in trace.counts.items()}
    counts |= {"private_synaptic_operations": private, "shared_synaptic_operations": shared}
    share = shared / (private + shared) if private + shared else 0.0
    elements = sum(s.n for s in program.inputs)
    time = latency(terms(program, trace, target, share), target.timing.model)
    run = Run(trace.n_samples, trace.n_steps, counts, time, program.chips, program.n_cores, elements * trace.n_steps,
              (MIXED_INPUT,) if mixed else ())
    return report(target, run, boundary=boundary, proxy=stand_in)


def require_own(program: LoihiProgram, trace: Trace) -> None:
    """Raise DataError unless the trace can be one of this program: the same populations, cores, messages and hops.

    Each spike causes as many messages and hops as cores listen to its neuron and lie away from it, so that the sums
    tell most other programs, and other placements of this one.
    """
    wrong = ""
    for s in program.populations:
        if s.name not in trace.spikes or trace.spikes[s.name].n != s.n:
            wrong = f"it has no population {s.name} of {s.n} neurons"
    cores = trace.counts["core_synops"].shape[-1] if "core_synops" in trace.counts else program.n_cores
    if cores != program.n_cores:
        wrong = f"it ran on {cores} cores, the program has {program.n_cores}"
    if not wrong:
        spikes = [s.first + trace.spikes[s.name].index for s in program.populations if s.fires]
        for name, each in _of_a_spike(program).items():
            expected, found = sum(int(each[ids].sum()) for ids in spikes), int(trace.counts[name].sum())
            wrong = wrong or ("" if expected == found else
                              f"its spikes make {expected:,} {LABELS[name]} here, it counted {found:,}")
    if wrong:
        raise DataError(f"the trace is not one of this program: {wrong}", where=program.name, code="WRONG_TRACE",
                        fix="simulate this program, or estimate the one that the trace belongs to")


def _of_a_spike(program: LoihiProgram) -> dict[str, NDArray[np.int64]]:
    """Count -> how many a spike of each sender makes; those of inputs, which come from outside the mesh, are 0."""
    a, n_inputs = program.arrays, sum(s.n for s in program.inputs)
    sender = np.repeat(np.arange(len(a.out_ptr) - 1), np.diff(a.out_ptr))
    home = np.empty(len(a.out_ptr) - 1, np.int64)
    home[a.source_id] = program.core_of()
    sent = sender >= n_inputs
    sender, to = sender[sent], a.out_core[sent]
    here = home[sender]
    x, y = (np.abs(at[to].astype(np.int64) - at[here]) for at in (a.core_x, a.core_y))
    return {name: np.bincount(sender, weights=each, minlength=len(home)).astype(np.int64)
            for name, each in (("messages", np.ones(len(to))), ("hops_ew", x), ("hops_ns", y))}


def synaptic_operations(program: LoihiProgram, trace: Trace) -> tuple[float, float, bool]:
    """(through private rows, through rows of a kernel, is the split of an input's a guess?) over all samples.

    Those of a population follow from its spikes. The rest of the counted ones are those of the inputs, whose spikes a
    trace does not hold: exact if all rows of the inputs are of one kind.
    """
    by_source = _rows_by_source(program)
    total = float(trace.counts["synaptic_operations"].sum())
    own = np.zeros(2)
    for s in program.populations:
        if s.fires:
            own += by_source[:, s.first + trace.spikes[s.name].index].sum(1)
    inputs = by_source[:, : sum(s.n for s in program.inputs)].sum(1)
    mixed = bool(inputs.all())
    rest = total - own.sum()
    private, shared = own + (rest * inputs / inputs.sum() if inputs.any() else 0.0)
    return float(private), float(shared), mixed


def _rows_by_source(program: LoihiProgram) -> Floats:
    """(2, senders): synaptic operations of one spike, through private rows and through shared ones."""
    a = program.arrays
    n = len(a.out_ptr) - 1
    source = np.repeat(a.axon_source, np.diff(a.segment_ptr))
    length = np.diff(a.row_ptr)[a.segment_row]
    kind = a.row_shared[a.segment_row]
    return np.stack([np.bincount(source, weights=length * (kind == k), minlength=n) for k in (False, True)])


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a step's time: the busiest unit's events (samples, steps) at a time each.

    phase: terms of one phase follow each other, phases run side by side; "" comes after all of them.
    """

    name: str
    events: Floats
    figure: Figure
    phase: str


def latency(terms: Sequence[Term], model: str) -> Latency:
    """Sum of the steps' times; its range; and which term was the longest how often.

    Model "max": a step is its longest term (lower bound, arXiv 2601.10035). "phases": the longest phase, then what
    comes after. Low: the longest term at the low figures; high: all terms one after the other at the high ones.
    """
    known = [t for t in terms if t.figure.value is not None]
    missing = tuple(t.name for t in terms if t.figure.value is None and t.events.any())
    times = [(q.value, *q.bounds()) for t in known if (q := t.figure.quantity())]
    middle, low, high = (np.stack([t.events * time[i] for t, time in zip(known, times, strict=True)]) for i in range(3))
    phases = {t.phase: [i for i, other in enumerate(known) if other.phase == t.phase] for t in known}
    step = middle.max(0)
    if model == "phases":
        after = middle[phases.pop("", [])].sum(0)
        step = np.stack([middle[own].sum(0) for own in phases.values()]).max(0) + after
    per_sample = step.sum(-1)
    least, most = (float(x.sum(-1).mean()) for x in (low.max(0), high.sum(0)))
    winner = middle.argmax(0)
    share = {t.name: float((winner == i).mean()) for i, t in enumerate(known)}
    return Latency(Amount(float(per_sample.mean()), least, most, "s", missing), per_sample, share)


def terms(program: LoihiProgram, trace: Trace, target: LoihiTarget, share: float) -> list[Term]:
    """The parts of a step: neuron phase and synapse phase of the busiest core, the busiest link, the barrier.

    share: of the synaptic operations that go through shared rows; taken for the busiest core too, which the trace
    does not tell. Peaks of messages and operations may be those of two cores; then the synapse phase is too long.
    """
    t, counts = target.timing, trace.counts
    synops, messages = (counts[k].astype(np.float64) for k in ("peak_core_synops", "peak_core_messages"))
    across = t.message.scope == "inter-chip"
    borders = 2 * (target.mesh.height.value or 1) * max(program.chips - 1, 1)
    links = counts["chip_crossings"] / borders if across else counts["peak_link"]  # the busiest carries the mean
    found = _neuron_phase(program, trace, target)
    found += [Term("synaptic operations", synops * (1 - share), t.synaptic_operation, "synapses"),
              Term("synaptic operations, kernel", synops * share, t.shared_synaptic_operation, "synapses"),
              Term("inter-chip link" if across else "busiest link", links.astype(np.float64), t.message, "link"),
              Term("barrier", np.ones(synops.shape), barrier(program, target), "")]
    if t.message_in.value is not None:
        found.append(Term("messages in", messages, t.message_in, "synapses"))
    return found


def _neuron_phase(program: LoihiProgram, trace: Trace, target: LoihiTarget) -> list[Term]:
    """Neuron updates, spikes and messages out of the core that takes longest for them, step by step."""
    t = target.timing
    models = np.concatenate([np.full(s.n, s.model in TWO_PASSES) for s in program.populations])
    n_inputs = sum(s.n for s in program.inputs)
    core = program.core_of()
    twice = np.bincount(core, weights=models[program.arrays.source_id - n_inputs], minlength=program.n_cores)
    once = np.diff(program.arrays.neuron_ptr) - twice
    fixed = once * (t.neuron_update.value or 0.0) + twice * (t.two_pass_update.value or 0.0)
    spikes, messages = (np.zeros(trace.counts["spikes"].shape) for _ in range(2))
    busiest = np.full(spikes.shape, int(fixed.argmax()))
    if t.spike.value is not None and t.message_out.value is not None:
        for sample in range(trace.n_samples):
            fired, sent = _sent(program, trace, sample, n_inputs, core)
            busiest[sample] = (fixed + fired * t.spike.value + sent * t.message_out.value).argmax(1)
            at = np.arange(trace.n_steps), busiest[sample]
            spikes[sample], messages[sample] = fired[at], sent[at]
    found = [Term("neuron updates", once[busiest], t.neuron_update, "neurons"),
             Term("neuron updates, two passes", twice[busiest], t.two_pass_update, "neurons")]
    if t.spike.value is not None:
        found += [Term("spikes out", spikes, t.spike, "neurons"),
                  Term("messages out", messages, t.message_out, "neurons")]
    return found


def _sent(program: LoihiProgram, trace: Trace, sample: int, n_inputs: int, core: NDArray[np.int32],
          ) -> tuple[Floats, Floats]:
    """(steps, cores): spikes and messages out of one sample."""
    home = np.empty(program.n_neurons, np.int64)
    home[program.arrays.source_id - n_inputs] = core
    fan = np.diff(program.arrays.out_ptr)
    shape = (trace.n_steps, program.n_cores)
    fired, sent = np.zeros(shape), np.zeros(shape)
    for s in program.populations:
        if s.fires:
            step, ids = _events(trace, s, sample)
            cell = step * program.n_cores + home[ids - n_inputs]
            fired += np.bincount(cell, minlength=fired.size).reshape(shape)
            sent += np.bincount(cell, weights=fan[ids], minlength=fired.size).reshape(shape)
    return fired, sent


def _events(trace: Trace, s: Source, sample: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(step, sender id) of one population's spikes in one sample."""
    e = trace.spikes[s.name].one(sample)
    return e.step.astype(np.int64), s.first + e.index.astype(np.int64)


def barrier(program: LoihiProgram, target: LoihiTarget) -> Figure:
    """The barrier of the tiles or chips in use, interpolated between published ones (chips by their logarithm).

    low and high: those of the neighbours. Beyond the largest published one it is that one; None if a neighbour is.
    """
    a = program.arrays
    tiles = len(np.unique(np.stack([a.core_chip, a.core_x, a.core_y]), axis=1).T)
    if program.chips > 1:
        whole = max((b for b in target.barriers if b.chips == 1), key=lambda b: b.tiles)
        return between([(log2(b.chips), b) for b in (whole, *(b for b in target.barriers if b.chips > 1))],
                        log2(program.chips))
    return between([(float(b.tiles), b) for b in target.barriers if b.chips == 1], float(tiles))


def between(points: list[tuple[float, Barrier]], at: float) -> Figure:
    """Linear interpolation in a table by ascending size."""
    before = max((p for p in points if p[0] <= at), key=lambda p: p[0], default=points[0])
    after = min((p for p in points if p[0] >= at), key=lambda p: p[0], default=points[-1])
    (x0, b0), (x1, b1) = before, after
    source = b0.source if b0 is b1 else f"{b0.source}; and {b1.source}"
    if b0.value is None or b1.value is None:
        return Figure(unit="s", source=source)
    value = b0.value if x0 == x1 else b0.value + (b1.value - b0.value) * (at - x0) / (x1 - x0)
    low = b0.value if b0.low is None else b0.low
    high = b1.value if b1.high is None else b1.high
    return Figure(value=value, unit="s", low=low, high=high, source=source, measured=b0.measured and b1.measured)


