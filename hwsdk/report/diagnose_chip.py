"""The stages of a chip: runs of its program with what is lost, late or noisy off, then on, one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwsdk.backends.base import Backend, CompileOptions, Program
from hwsdk.backends.memristor_attribution import attribute
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Mismatch, Trace
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.report.diagnose_score import LayerChange
from hwsdk.simulators import reference

OTHER_OPTIONS = "the program was compiled with other options (bits, calibration) than those that are given here"
LOSSES = ("late_ticks", "lost_ticks", "late_packets", "dropped_packets")


@dataclass(frozen=True, slots=True, eq=False)
class ChipStage:
    """A run of the chip with everything up to this stage. alone: a run with this stage alone, where there is one.
    first: where it differs from what it should be (spikes and states). layer: the layer to blame, where it is known
    otherwise than by the first difference. layers: what each changes by itself. note: what was counted.
    """

    name: str
    trace: Trace
    alone: Trace | None = None
    first: Mismatch | None = None
    layer: str | None = None
    layers: tuple[LayerChange, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ChipRun:
    """What a backend is asked to do. program: one that was handed in, or None. whole: the network in the chip's
    numbers, None for crossbars, which have none.
    """

    backend: Backend
    network: Network
    options: CompileOptions
    data: Stimulus
    program: Program
    given: bool
    whole: Network | None
    losses: str
    say: Callable[[str], None]

    def simulated(self, program: Program) -> Trace:
        """With all states."""
        return self.backend.simulate(program, self.data, probes="all", strict=False, progress=None)


def chip_stages(job: ChipRun, integer: Trace | None) -> list[ChipStage]:
    """The stages behind the network in the chip's numbers, of which ``integer`` is the reference's run."""
    if isinstance(job.program, CrossbarProgram):
        return _crossbar(job, job.program)
    assert integer is not None  # noqa: S101
    if isinstance(job.program, SpinnakerProgram):
        return _spinnaker(job, job.program, integer)
    if isinstance(job.program, PulseNetlist):
        return _sfq(job, job.program, integer)
    job.say("chip")
    return [_mapping(job, job.simulated(job.program), integer)]


def _mapping(job: ChipRun, got: Trace, integer: Trace) -> ChipStage:
    """Chip against the reference in the chip's numbers."""
    close = job.backend.closeness(job.network)
    other = OTHER_OPTIONS if job.given and job.losses != job.program.losses else ""
    return ChipStage("mapping", got, first=_first(integer, got, close), note=other)


def _first(expected: Trace, got: Trace, close: float = 0.0) -> Mismatch | None:
    """The earliest difference of any population or state that both have; of those of one step the first layer's."""
    names = [n for n in expected.spikes if n in got.spikes]
    found = [d for n in names if (d := expected.first_difference(got, [n], close=close)) is not None]
    return min(found, key=lambda d: (d.step, names.index(d.layer)), default=None)


def _spinnaker(job: ChipRun, program: SpinnakerProgram, integer: Trace) -> list[ChipStage]:
    """Ticks without end, then ticks as long as they are."""
    job.say("chip without lost packets")
    patient = job.simulated(replace(program, sync="barrier"))
    stages = [_mapping(job, patient, integer)]
    if program.sync == "barrier":
        return stages
    job.say("chip")
    got = job.simulated(program)
    counted = {n: int(got.counts[n].sum()) for n in LOSSES if n in got.counts and got.counts[n].sum()}
    note = ", ".join(f"{v:,} {n.replace('_', ' ')}" for n, v in counted.items())
    return [*stages, ChipStage("losses", got, first=_first(patient, got), layer=_busiest(program, got), note=note)]


def _busiest(program: SpinnakerProgram, got: Trace) -> str | None:
    """The sender whose processors lose most."""
    a = program.arrays
    lost = np.zeros(program.n_pes)
    for name in ("pe_late_ticks", "pe_dropped"):
        lost += np.asarray(got.counts.get(name, lost * 0), np.float64).reshape(-1, program.n_pes).sum(axis=0)
    if not lost.any():
        return None
    by_sender = np.zeros(len(program.senders))
    for pe in range(program.n_pes):
        own = np.unique(a.slice_sender[a.slice_ptr[pe] : a.slice_ptr[pe + 1]])
        by_sender[own] += lost[pe] / max(len(own), 1)
    return program.senders[int(by_sender.argmax())].name


def _sfq(job: ChipRun, program: PulseNetlist, integer: Trace) -> list[ChipStage]:
    """Pulses that come too soon are timing; any other difference is the netlist's."""
    job.say("chip")
    got = job.simulated(program)
    other = OTHER_OPTIONS if job.given and job.losses != program.losses else ""
    counted = {n: int(np.sum(got.counts[n])) for n in ("timing", "absorbed", "stray") if n in got.counts}
    late = {n: v for n, v in counted.items() if v}
    first = _spikes_first(integer, got)
    if not late:
        return [ChipStage("mapping", got, first=first, note=other), ChipStage("timing", got)]
    note = ", ".join(f"{v:,} {n}" for n, v in late.items()) + " violations"
    layer = None if first is None else first.layer
    return [ChipStage("mapping", integer), ChipStage("timing", got, first=first, layer=layer, note=note)]


def _spikes_first(expected: Trace, got: Trace) -> Mismatch | None:
    """States of loops are not the reference's."""
    bare = replace(expected, states={k: s for k, s in expected.states.items() if k in got.states and k[1] == "v"})
    return _first(bare, got)


def _crossbar(job: ChipRun, program: CrossbarProgram) -> list[ChipStage]:
    """Weights as conductances, without any stage; then each stage alone and after those before it."""
    fresh = job.program if not job.given else job.backend.compile(job.network, job.options, lambda _: None)
    assert isinstance(fresh, CrossbarProgram)  # noqa: S101
    fresh = replace(fresh, physics=program.physics)
    bare = _without_levels(job, program)
    seen: dict[tuple[str, ...], Trace] = {}

    def run(p: CrossbarProgram, data: Stimulus, probes: Any) -> Trace:
        """The simulator; runs of the whole program are kept, with all states."""
        whole = data is job.data
        got = job.backend.simulate(p, data, probes="all" if whole else probes, strict=False, progress=None)
        if whole:
            seen[p.physics.stages] = got
        return got

    report = attribute(program, job.data, bare=bare, run=run, say=job.say, measure="similarity")
    before = job.simulated((bare if bare is not None else fresh).with_stages())
    stages = [ChipStage("weights", before, alone=before)]
    if job.given:
        first, before = _first(before, seen[()]), seen[()]
        other = OTHER_OPTIONS if fresh.losses.split("\n")[0] != program.losses.split("\n")[0] else ""
        stages.append(ChipStage("mapping", before, first=first, note=other))
    for s in report.stages:
        got = seen[s.so_far.stages]
        layers = tuple(LayerChange(x.layer, min(1.0, x.input_error or 0.0), x.changed) for x in s.alone.layers)
        stages.append(ChipStage(s.stage, got, seen[s.alone.stages], _first(replace(before, states={}), got),
                                layers=layers))
        before = got
    return stages


def _without_levels(job: ChipRun, program: CrossbarProgram) -> CrossbarProgram | None:
    """The same model compiled without the stage "levels", where that is a stage and nothing was handed in."""
    if job.given or not program.physics.has("levels") or program.physics.cell.levels is None:
        return None
    given = {"encoding": "differential"} if "encoding" not in job.options.target_options else {}
    options = replace(job.options, target_options={**given, **job.options.target_options, "levels": "off"})
    made = job.backend.compile(job.network, options, lambda _: None)
    assert isinstance(made, CrossbarProgram)  # noqa: S101
    return made if any(b.converted for b in made.blocks) or not program.physics.has("adc") else None


def integer_run(whole: Network, data: Stimulus) -> Trace:
    """The reference in the chip's numbers, with all states."""
    return reference.run(whole, data, probes="all")
