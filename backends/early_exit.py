"""What an exit rule makes of a run: where each sample stops, what it decides, and what it costs until there.

A sample is priced from the events that were counted until its exit, so that energy and latency become distributions.
The rule goes by what the chip has answered: a decision over n steps of the model can be made when the chip has done
n + lag steps, and input goes on until then. What the host takes to evaluate the rule is in no sum.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk import backends
from hwsdk.backends.base import Program
from hwsdk.backends.early_exit_report import Bill, ExitReport, Spread
from hwsdk.cost import Amount, CostReport
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.early_exit import ExitRule, Exits, course, exits
from hwsdk.ir.trace import Trace
from hwsdk.programs.stored import StoredProgram

Ints = NDArray[np.int64]
SIMULATORS = {"loihi": "loihi", "spinnaker": "spinnaker", "sfq": "sfq", "crossbar": "memristor"}
"""Kind of program -> the simulator that runs it for a given number of steps."""
BY_UNIT = ("core_synops", "core_messages", "pe_packets", "pe_events", "pe_late_ticks", "pe_dropped", "pe_fifo_peak",
           "pe_cycles", "macro_seconds")
"""Counts of a whole run for each core, PE or macro, which no price needs."""
NOT_COUNTED = ("host: fetching the outputs after each step and evaluating the exit rule",
               "the time between a decision and the chip's standing still")
LATE = "the exit of PEs that are late: outputs are taken at the step of the PE's own clock"


def carried(program: Program) -> ExitRule | None:
    """The rule that a program carries, or None."""
    return program.exit_rule if isinstance(program, StoredProgram) else None


def with_rule(program: Program, rule: ExitRule) -> Program:
    """The program with a rule; see ``StoredProgram.with_exit``.

    Raises:
        UnsupportedError: NO_RULES, a program of another package that is no StoredProgram; NO_SUCH_OUTPUT; BAD_RULE.
    """
    if not isinstance(program, StoredProgram):
        raise UnsupportedError(f"programs of {program.target} carry no exit rules", where=program.name,
                               code="NO_RULES", fix="let them be hwsdk.programs.stored.StoredProgram")
    return program.with_exit(rule)


def rule_of(program: Program, rule: ExitRule | None = None) -> ExitRule:
    """The rule that a program carries, or another one in its place, if the program could carry it.

    Raises:
        UnsupportedError: NO_RULE, there is none; or as ``with_rule``.
    """
    found = carried(program if rule is None else with_rule(program, rule))
    if found is None:
        raise UnsupportedError("the program has no exit rule", where=program.name, code="NO_RULE",
                               fix="give it one with: hwsdk early-exit P.hwx --tune DATA -o Q.hwx")
    return found


def exits_of(program: Program, trace: Trace, n_steps: int | None = None, rule: ExitRule | None = None) -> Exits:
    """Where the rule stops each sample of a run.

    Args:
        n_steps: of the stimulus; default those of the trace without the longest lag. rule: in place of the program's.

    Raises:
        UnsupportedError: as ``rule_of``. DataError: NO_SUCH_POPULATION, a trace without the rule's output.
    """
    found = rule_of(program, rule)
    if found.output not in trace.spikes:
        raise DataError(f"the trace has no output {found.output!r}", where=program.name, code="NO_SUCH_POPULATION",
                        fix="simulate this program")
    return exits(found, trace.aligned(found.output, model_steps(trace) if n_steps is None else n_steps))


def model_steps(trace: Trace) -> int:
    """Steps of the stimulus of a whole run."""
    return trace.n_steps - max(trace.lag.values(), default=0)


def executed(trace: Trace, output: str, steps: Ints) -> Ints:
    """(samples,): steps that the chip does until it has answered so many steps of the model."""
    return np.minimum(steps + trace.lag.get(output, 0), trace.n_steps)


def cut_trace(trace: Trace, steps: Sequence[int] | Ints) -> tuple[Trace, ...]:
    """Each sample as a trace of its own that ends after so many steps of the chip, with what was counted until then.

    Counts for each core (BY_UNIT) are of the whole run; a trace that ends earlier is without them.

    Raises:
        DataError: NOT_BY_STEP, other counts that are not kept by step; see ``rerun``.
    """
    return tuple(_cut(trace, sample, int(n)) for sample, n in enumerate(steps))


def _cut(trace: Trace, sample: int, steps: int) -> Trace:
    """One sample."""
    whole = steps >= trace.n_steps
    counts = {n: c[sample : sample + 1] for n, c in trace.counts.items() if whole or n not in BY_UNIT}
    if not whole:
        if odd := [n for n, c in counts.items() if c.shape[1] != trace.n_steps]:
            raise DataError(f"{odd[0]} and {len(odd) - 1} other counts are of whole runs", code="NOT_BY_STEP",
                            fix="give the data too (--input), so that the shorter runs can be simulated")
        counts = {n: c[:, :steps] for n, c in counts.items()}
    spikes = {n: e.one(sample).shifted(0, steps) for n, e in trace.spikes.items()}
    states = {k: s[sample : sample + 1, :steps] for k, s in trace.states.items()}
    return Trace(1, steps, spikes, states, counts, trace.lag)


def rerun(program: Program, data: Stimulus, steps: Sequence[int] | Ints, threads: int = 1) -> tuple[Trace, ...]:
    """The same by simulating each sample for so many steps of the chip and no more, with input as long as it runs.

    Simulators are deterministic, so that this gives what ``cut_trace`` does, and counts of every kind. Read noise is
    drawn by the number of a sample, so that of a noisy crossbar only sample 0 is the same.

    Raises:
        UnsupportedError: NO_SHORT_RUN, a program of another package.
    """
    kind = getattr(program, "kind", "")
    if kind not in SIMULATORS:
        raise UnsupportedError(f"programs of kind {kind!r} cannot be run for fewer steps", code="NO_SHORT_RUN",
                               where=program.name, fix="let its simulator keep all counts by step")
    simulator = importlib.import_module(f"hwsdk.simulators.{SIMULATORS[kind]}")
    found: dict[int, Trace] = {}
    for n in np.unique(steps):
        chosen = np.flatnonzero(np.asarray(steps) == n)
        trace = simulator.run(program, subset(data, chosen), steps=int(n), threads=threads)
        found |= dict(zip(chosen.tolist(), cut_trace(trace, [int(n)] * len(chosen)), strict=True))
    return tuple(found[k] for k in range(data.n_samples))


def subset(data: Stimulus, chosen: Ints) -> Stimulus:
    """Some samples as a stimulus of their own."""
    place = np.full(data.n_samples, -1, np.int32)
    place[chosen] = np.arange(len(chosen), dtype=np.int32)

    def own(e: Events) -> Events:
        """Their events."""
        order = np.argsort(place[e.sample], kind="stable")
        order = order[place[e.sample[order]] >= 0]
        return Events(e.shape, len(chosen), e.n_steps, place[e.sample[order]], e.step[order], e.index[order],
                      None if e.value is None else e.value[order])

    grid = None if data.grid is None else (len(chosen), data.n_steps)
    return Stimulus({n: own(e) for n, e in data.inputs.items()}, None if data.labels is None else data.labels[chosen],
                    data.notes, grid)


def evaluate(program: Program, trace: Trace, data: Stimulus | None = None, *, rule: ExitRule | None = None,
             proxy: str | None = None, boundary: str = "chip",
             options: Mapping[str, Any] = MappingProxyType({}), threads: int = 1) -> ExitReport:
    """What the rule makes of a run, beside running every sample to its end.

    Means of low and high ends are wider than those of one estimate of the whole trace where these lie at corners of a
    model: here each sample is at its own.

    Args:
        trace: of the chip's simulator, whole. data: what was run; without it there is no accuracy, and the steps of the
        model are those of the trace without its longest lag. rule: in place of the program's. proxy, boundary, options:
        as in ``estimate``. threads: of simulations, where counts are not kept by step.

    Raises:
        UnsupportedError: as ``rule_of``. DataError: NOT_BY_STEP, data are needed; and what ``estimate`` raises.
    """
    chosen, n_steps = rule_of(program, rule), model_steps(trace) if data is None else data.n_steps
    found = exits_of(program, trace, n_steps, chosen)
    whole_run = course(replace(chosen, earliest=n_steps, latest=None), trace.aligned(chosen.output, n_steps))
    done = executed(trace, chosen.output, found.steps)
    parts = cut_trace(trace, done) if data is None or _by_step(trace) else rerun(program, data, done, threads)
    backend = backends.get(program.target)

    def price(one: Trace) -> CostReport:
        """What a sample costs."""
        return backend.estimate(program, one, proxy, boundary, options)

    whole = [price(t) for t in cut_trace(trace, [trace.n_steps] * trace.n_samples)]
    early = [w if p.n_steps == trace.n_steps else price(p) for p, w in zip(parts, whole, strict=True)]
    late, one = (LATE,) if np.any(trace.counts.get("late_ticks", 0)) else (), early[0]
    return ExitReport(
        program.target, chosen, n_steps, trace.n_steps, found.steps, done, found.decision, found.confident,
        whole_run.decision[:, -1], None if data is None else data.labels, _bill(early), _bill(whole), boundary,
        one.included, one.omitted + NOT_COUNTED + late, one.proxy)


def _by_step(trace: Trace) -> bool:
    """Are all counts that prices need kept by step?"""
    return all(c.shape[1] == trace.n_steps for n, c in trace.counts.items() if n not in BY_UNIT)


def _bill(reports: Sequence[CostReport]) -> Bill:
    """The reports of single samples together."""
    def spread(of: Callable[[CostReport], Amount]) -> Spread:
        return Spread.of([of(r) for r in reports])

    return Bill(spread(lambda r: r.latency), spread(lambda r: r.energy_dynamic), spread(lambda r: r.energy_static),
                spread(lambda r: r.energy_total))


@dataclass(frozen=True, slots=True, eq=False)
class Stopped:
    """A sample that was run step by step until the rule stopped it. steps: of the model; trace: all that was done."""

    steps: int
    decision: int
    confident: bool
    trace: Trace


def run_until_exit(program: Program, data: Stimulus, sample: int = 0, rule: ExitRule | None = None) -> Stopped:
    """Run one sample on the simulator step by step, and really stop when the rule says so.

    Raises:
        UnsupportedError: NO_WALK, a target whose simulator only runs whole stimuli; and as ``rule_of``.
    """
    chosen, walk = rule_of(program, rule), backends.get(program.target).walk(program)
    lag = _lag(program, chosen.output)
    checks, evidence, confident = set(chosen.checks(data.n_steps).tolist()), np.zeros((1, 1)), False
    given = {n: e.dense(sample) for n, e in data.inputs.items()}
    t = done = 0
    while not confident and done < chosen.last(data.n_steps):
        seen = walk.step({n: x[t] if t < len(x) else np.zeros(x.shape[1]) for n, x in given.items()})[chosen.output]
        t, done = t + 1, t + 1 - lag
        if done > 0:
            evidence = chosen.collect(evidence, seen.reshape(1, -1))
        if done in checks:
            confident = bool(chosen.confidence(evidence, done)[0] >= chosen.threshold(done))
    return Stopped(done, int(evidence.argmax()), confident, walk.trace())


def _lag(program: Program, output: str) -> int:
    """Steps that an output runs behind the model."""
    population = program.outputs.get(output, (output,))[0]
    lags = {p.name: p.lag for p in program._decide()} if isinstance(program, StoredProgram) else {}
    return lags.get(population, 0)
