"""Which stage between targets and spikes costs what: each switched on alone, and one after another until all are on.

Stages that act on a made array (write, faults, drift, wires, adc, read) are switched in the program itself. "levels"
acts while a program is compiled: targets are on their levels already, and no switch takes them off again. So a second
program, of the same model compiled with all stages but "levels", stands for the array before that stage; without one,
levels are part of every run, and the report says so. The converters' steps too were chosen while compiling; with "adc"
off currents pass them as they are. A program whose targets were made for the wires (compensated) is not right without
them: give a function that compiles for any stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsdk.backends.base import Program
from hwsdk.backends.memristor_judges import Judge, judge_of, output_layers
from hwsdk.backends.memristor_layers import LayerError, driven_with, inputs_of, layer_alone, layer_error, relative
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.crossbar import STAGES
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram, Population

Compile = Callable[[tuple[str, ...]], CrossbarProgram]
"""A program of the model for stages that are on."""
Probes = tuple[tuple[str, str], ...]
Run = Callable[[CrossbarProgram, Stimulus, Probes], Trace]
PROBED_BYTES = 1 << 28
"""Neuron inputs are looked at only as long as those of a run take no more."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """A run with some stages on. score: the measure."""

    stages: tuple[str, ...]
    score: float
    layers: tuple[LayerError, ...]

    def layer(self, name: str) -> LayerError:
        """By its name."""
        return next(x for x in self.layers if x.layer == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"stages": list(self.stages), "score": self.score, "layers": [x.to_dict() for x in self.layers]}


@dataclass(frozen=True, slots=True)
class StageError:
    """A stage by itself, and with all stages before it."""

    stage: str
    alone: StageRun
    so_far: StageRun


@dataclass(frozen=True, slots=True)
class Attribution:
    """bare: the run without any stage. stages: in the order in which they act. outputs: layers that decide between
    stages with the same score. model: score of the expected run, where one was given. notes: what to know of the rows.
    """

    title: str
    measure: str
    die: int
    samples: int
    steps: int
    bare: StageRun
    stages: tuple[StageError, ...]
    outputs: tuple[str, ...]
    model: float | None = None
    notes: tuple[str, ...] = ()

    def stage(self, name: str) -> StageError:
        """By its name."""
        return next(s for s in self.stages if s.stage == name)

    def added(self, name: str) -> float:
        """What the score loses when a stage joins all before it."""
        names = [s.stage for s in self.stages]
        at = names.index(name)
        before = self.stages[at - 1].so_far if at else self.bare
        return before.score - self.stages[at].so_far.score

    def lost(self, name: str) -> float:
        """What the score loses by a stage alone."""
        return self.bare.score - self.stage(name).alone.score

    @property
    def worst(self) -> str | None:
        """The stage that costs most alone; of equal ones that which changes the outputs' spikes most; None: no stage
        changes anything.
        """
        ranked = max(self.stages, key=self._weight, default=None)
        return None if ranked is None or self._weight(ranked) <= (0.0, 0.0) else ranked.stage

    def _weight(self, stage: StageError) -> tuple[float, float]:
        """(score lost, share of the outputs' cells that changed or count error, whichever there is)."""
        layers = [stage.alone.layer(n) for n in self.outputs] or list(stage.alone.layers)
        return self.bare.score - stage.alone.score, sum(x.changed / x.cells + (x.count_error or 0.0) for x in layers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        rows = [{"stage": s.stage, "lost_alone": self.lost(s.stage), "added": self.added(s.stage),
                 "alone": s.alone.to_dict(), "so_far": s.so_far.to_dict()} for s in self.stages]
        return {"title": self.title, "measure": self.measure, "die": self.die, "samples": self.samples,
                "steps": self.steps, "model": self.model, "bare": self.bare.to_dict(), "stages": rows,
                "worst": self.worst, "notes": list(self.notes)}

    def to_text(self) -> str:
        """The stage that hurts most, then the scores, then the layers."""
        lines = [f"{self.title}: {self.measure} by stage, die {self.die}, {self.samples:,} sample(s) of "
                 f"{self.steps:,} steps", f"  {self._verdict()}"]
        if self.model is not None:
            lines.append(f"  the model {self.model:.4f}, the mapping without any stage {self.bare.score:.4f}")
        lines.append(f"  {'stage':10} {'alone':>8} {'loses':>8} {'so far':>8} {'adds':>8}")
        lines.append(f"  {'none':10} {self.bare.score:8.4f} {'':8} {self.bare.score:8.4f}")
        lines += [f"  {s.stage:10} {s.alone.score:8.4f} {self.lost(s.stage):8.4f} {s.so_far.score:8.4f} "
                  f"{self.added(s.stage):8.4f}" for s in self.stages]
        lines += list(self._layer_rows())
        return "\n".join([*lines, *(f"  note: {n}" for n in self.notes)]) + "\n"

    def plot(self, path: str | Path) -> Path:
        """Draw the scores into a .png, .svg or .pdf file.

        Raises:
            MissingDependencyError: matplotlib is not installed. DataError: CANNOT_WRITE.
        """
        from hwsdk.backends.memristor_plots import plot_attribution

        return plot_attribution(self, path)

    def _verdict(self) -> str:
        """What hurts most, in a sentence."""
        if self.worst is None:
            return "no stage changes anything on these data"
        lost = self.lost(self.worst)
        if lost <= 0:
            return f"no stage costs {self.measure}; {self.worst} changes the outputs most"
        most = max(self.stages, key=lambda s: self.added(s.stage))
        more = "" if most.stage == self.worst or self.added(most.stage) <= 0 else \
            f"; with the stages before it, {most.stage} adds most, {self.added(most.stage):.4f}"
        return f"hurts most: {self.worst}, which alone takes {self.measure} from {self.bare.score:.4f} to " \
               f"{self.stage(self.worst).alone.score:.4f}{more}"

    def _layer_rows(self) -> Iterator[str]:
        """A row a layer and stage: alone, and so far."""
        yield "  by layer, against no stage; inputs: its own error, when it gets the right spikes;"
        yield "  counts, and cells that changed: with the errors of the layers before it"
        yield f"  {'':20} {'stage alone':^31} | {'with all before it':^31}"
        head = f"{'inputs rms':>10} {'counts rms':>10} {'changed':>9}"
        yield f"  {'layer':12} {'':7} {head} | {head}"
        for name in [x.layer for x in self.bare.layers]:
            for s in self.stages:
                yield f"  {name:12} {s.stage:7} {_errors(s.alone.layer(name))} | {_errors(s.so_far.layer(name))}"


def _errors(x: LayerError) -> str:
    """Three columns."""
    return f"{_percent(x.input_error):>10} {_percent(x.count_error):>10} {_percent(x.changed / x.cells):>9}"


def _percent(value: float | None) -> str:
    """A share, or that it is not known."""
    return "-" if value is None else f"{value:.2%}"


def attribute(program: Program, stimulus: Stimulus, *, bare: Program | Compile | None = None,
              die: int | None = None, stages: Sequence[str] | None = None, measure: str | Judge | None = None,
              expected: Trace | None = None, run: Run | None = None,
              say: Callable[[str], None] | None = None) -> Attribution:
    """Run a program without stages, with each alone and with one after another, on its die.

    Args:
        bare: the same model compiled with all stages but "levels", or a function that compiles it for any stages; None:
        levels are in every run. die: of which chip; None: the program's. stages: of STAGES, which of those that the
        program has; None: all. measure: a name of MEASURES or a Judge; None: accuracy where there are labels, else
        agreement with the run without stages, else similarity to it. expected: a run of the model; its score stands
        beside. run: what runs a program with probes; default the simulator. say: called with the name of every run.

    Raises:
        UnsupportedError: NO_ATTRIBUTION, a program for another target. DataError: NO_SUCH_STAGE, WRONG_BARE (a program
        of another model), those of ``judge_of``, or what does not suit the program.
    """
    if not isinstance(program, CrossbarProgram) or not (bare is None or callable(bare)
                                                        or isinstance(bare, CrossbarProgram)):
        raise UnsupportedError(f"programs for {program.target} have no stages to switch", where=program.name,
                               code="NO_ATTRIBUTION", fix="compile for memristor; hwsdk verify says where another chip "
                               "parts from the model")
    program = program if die is None else program.with_die(die)
    lab = _Lab(program, stimulus, bare, run or _simulated, say or (lambda _: None))
    order, notes = _stages(program, stages, bare)
    first = lab.trace(())
    judge = judge_of(measure, program, stimulus, lambda: first) if measure is None or isinstance(measure, str) \
        else measure
    seen: dict[tuple[str, ...], StageRun] = {(): lab.compared((), first, first, judge)}

    def done(on: tuple[str, ...]) -> StageRun:
        """A run, once."""
        if on not in seen:
            seen[on] = lab.compared(on, lab.trace(on), first, judge)
        return seen[on]

    found = tuple(StageError(s, done((s,)), done(order[: k + 1])) for k, s in enumerate(order))
    return Attribution(program.name, judge.name, program.physics.die, stimulus.n_samples, stimulus.n_steps, seen[()],
                       found, output_layers(program), None if expected is None else judge(program, expected), notes)


def _stages(program: CrossbarProgram, wanted: Sequence[str] | None, bare: object,
            ) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(stages to switch, in their order; notes on those that are left out)."""
    own = tuple(s for s in STAGES if program.physics.has(s))
    if unknown := [s for s in wanted or () if s not in own]:
        raise DataError(f"the program has no stage {', '.join(unknown)}", where=program.name, code="NO_SUCH_STAGE",
                        fix=f"choose of {', '.join(own)}" if own else "compile it with stages")
    left, notes = [], []
    if "levels" in own and bare is None:
        left.append("levels")
        notes.append("targets are on their levels in every run, that without stages too; give the same model compiled "
                     "without levels to tell them apart")
    if "adc" in own and not any(b.converted for b in program.blocks):
        left.append("adc")
        notes.append("the converters have no steps; adc does nothing")
    return tuple(s for s in own if s not in left and (wanted is None or s in wanted)), tuple(notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Lab:
    """Runs with stages on."""

    program: CrossbarProgram
    stimulus: Stimulus
    bare: CrossbarProgram | Compile | None
    run: Run
    say: Callable[[str], None]

    def trace(self, on: tuple[str, ...]) -> Trace:
        """The run of a set of stages."""
        self.say(f"stages {' '.join(on) or 'none'}")
        return self.run(self._program(on), self.stimulus, self._probes())

    def _program(self, on: tuple[str, ...]) -> CrossbarProgram:
        """The program with these stages, on the same die and with the same readout."""
        if callable(self.bare):
            found = self.bare(on)
        else:
            found = self.program if self.bare is None or "levels" in on else self.bare
        mine = [(p.name, p.n) for p in self.program.populations]
        if [(p.name, p.n) for p in found.populations] != mine:
            raise DataError("the program without levels is of another model", where=found.name, code="WRONG_BARE",
                            fix="compile the same model with the same options, but the stage levels")
        if "adc" in on and not any(b.converted for b in found.blocks):
            raise DataError("the program without levels has no converters either", where=found.name, code="WRONG_BARE",
                            fix="compile it with all stages but levels")
        return found.with_die(self.program.physics.die).with_stages(*on).with_readout(self.program.readout)

    def _probes(self) -> Probes:
        """The states from which the neurons' inputs follow, unless they are too many."""
        cells = self.stimulus.n_samples * (self.stimulus.n_steps + max(self.program.lag.values(), default=0))
        if cells * sum(p.n for p in self.program.populations) * 8 > PROBED_BYTES:
            return ()
        return tuple((p.name, "u") for p in self.program.populations)

    def compared(self, on: tuple[str, ...], got: Trace, first: Trace, judge: Judge) -> StageRun:
        """A run against the one without stages."""
        made, steps = self._program(on), self.stimulus.n_steps
        layers = tuple(layer_error(p, got, first, steps, self._own(made, p, first)) for p in made.populations
                       if p.name in got.spikes)
        return StageRun(on, judge(made, got), layers)

    def _own(self, made: CrossbarProgram, p: Population, first: Trace) -> float | None:
        """The error that a layer adds to its neurons' inputs when it gets the spikes of the first run."""
        wanted, alone = inputs_of(p, first), layer_alone(made, p.name)
        if wanted is None or not alone.blocks:
            return None
        run = self.run(alone, driven_with(alone, p.name, self.stimulus, first), ((p.name, "u"),))
        got = inputs_of(p, run)
        return None if got is None else relative(got, wanted)


def _simulated(program: CrossbarProgram, stimulus: Stimulus, probes: Probes) -> Trace:
    """A run by the simulator."""
    from hwsdk.simulators import memristor

    return memristor.chip_of(program).run(stimulus, probes=probes)
