"""diagnose: where did my accuracy go? The stages between the model as it was meant and the chip, one at a time.

A stage is the difference of two runs. The chain: what is expected (a trace of another tool, or of the model with other
semantics), the float model as it was loaded, the same lowered, its weights alone in the chip's numbers, thresholds and
biases too, decays too, the chip's own arithmetic with registers of any width, its real registers, its simulator, and at
last what the chip loses, comes too late with, or blurs. Each is run after those before it ("so far"), and by itself on
the lowered model ("alone"); each layer also with the right spikes at its input, so that a layer is only blamed for what
it does itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from hwsdk import backends
from hwsdk.backends.base import Backend, CompileOptions, Program
from hwsdk.backends.memristor import MemristorBackend
from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Delay, Synapses, size
from hwsdk.ir.trace import Mismatch, Trace
from hwsdk.report.diagnose_chip import ChipRun, ChipStage, chip_stages, integer_run
from hwsdk.report.diagnose_edits import semantic_edits, tried, with_ticks
from hwsdk.report.diagnose_import import ImportCheck, check_import
from hwsdk.report.diagnose_networks import PARTS, can_force, forced_run, mixed, read_out, unbounded
from hwsdk.report.diagnose_result import Alternative, Diagnosis, Stage
from hwsdk.report.diagnose_score import Judge, LayerChange, changes, layers_of, spiking_of
from hwsdk.report.diagnose_verdict import verdict_of
from hwsdk.simulators import reference

Say = Callable[[str], None]
ASSUMED = {"dt": "DT_ASSUMED", "reset": "RESET_ASSUMED"}
"""Kind of an alternative -> ledger code of the guess that it turns round."""


@dataclass(frozen=True, slots=True)
class DiagnoseOptions:
    """compile: as for a compilation. alternatives: without an expected trace, also run the model with each open choice
    the other way.
    """

    compile: CompileOptions = field(default_factory=CompileOptions)
    alternatives: bool = True


def diagnose(network: Network, target: str, data: Stimulus, expected: Trace | None = None,
             options: DiagnoseOptions | None = None, *, program: Program | None = None,
             reference_network: Network | None = None, say: Say | None = None) -> Diagnosis:
    """Name the first stage, layer, neuron and step that diverge, and what each stage costs.

    Args:
        network: the model as it was loaded. target: a chip. data: inputs, with labels for accuracies.
        expected: what is right: spikes of some layers, or of the output alone, under the network's own names, from the
            framework where the model was trained; on the model's own steps, or with Trace.lag.
        program: a program to be looked at; default: one compiled with the options. It must be of this network and these
            options, else what it does otherwise is blamed on the mapping.
        reference_network: the same model with the semantics that are right (another preset); its run is expected.
        say: called with the name of every run.

    Raises:
        DataError: WRONG_EXPECTED, a trace of other samples, steps or layers; WRONG_PROGRAM, one for another target.
        whatever compiling and simulating raise (UnsupportedError, FitError, TargetError).
    """
    chosen, told = options or DiagnoseOptions(), say or (lambda _: None)
    backend = backends.get(target)
    if program is not None and program.target != backend.name:
        raise DataError(f"a program for {program.target}", where=program.name, code="WRONG_PROGRAM",
                        fix=f"give one for {target}, or diagnose for {program.target}")
    if expected is None and reference_network is not None:
        told("reference")
        expected = reference.run(reference_network, data)
    if expected is not None:
        _require_expected(network, data, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _diagnosed(network, backend, data, expected, chosen, program, told)


def _diagnosed(network: Network, backend: Backend, data: Stimulus, expected: Trace | None, chosen: DiagnoseOptions,
               program: Program | None, say: Say) -> Diagnosis:
    """The whole chain."""
    say("float model")
    model = reference.run(network, data)
    judge = Judge(network, data, model)
    found = None if expected is None else check_import(network, data, expected, say)
    if found is not None and found.network is not network:
        meant = first_spike(network, reference.run(found.network, data), model)
        found = replace(found, shown=None if meant is None else meant.layer)
    others = list(_alternatives(network, data, judge, say)) if chosen.alternatives and (
        found is None and not network.is_integer and not network.is_single) else []
    lab = _Lab(network, data, judge, model, backend, chosen.compile, say)
    stages = [] if found is None or expected is None else [_import_stage(lab, expected, found)]
    chain, chip = lab.chain(program)
    stages += chain
    verdict = verdict_of(network, backend.name, data, judge, tuple(stages), found, others, chip, program)
    ranked = () if found is None else found.ranked
    return Diagnosis(network.name, backend.name, judge.name, data.n_samples, data.n_steps, judge(model),
                     judge(chip[-1].trace), tuple(stages), ranked, tuple(others), verdict)


def _require_expected(network: Network, data: Stimulus, expected: Trace) -> None:
    """It must be of these data and this model."""
    if expected.n_samples != data.n_samples:
        raise DataError(f"the expected trace has {expected.n_samples} sample(s), the data {data.n_samples}",
                        code="WRONG_EXPECTED", fix="give the trace of the same data, or cut with --limit")
    if expected.n_steps < data.n_steps:
        raise DataError(f"the expected trace has {expected.n_steps} steps, the data {data.n_steps}",
                        code="WRONG_EXPECTED", fix="give a trace of as many steps, or cut the data with --steps")
    names = [n for n in (*network.populations, *network.outputs) if n in expected.spikes]
    if not names:
        raise DataError(f"it has the layers {', '.join(expected.spikes)}, the model {', '.join(network.populations)}",
                        where="expected trace", code="WRONG_EXPECTED", fix="name its layers as the model does")
    for n in names:
        if expected.spikes[n].n != size(network.shapes[n]):
            raise DataError(f"the expected trace has {expected.spikes[n].n} neurons", where=n, code="WRONG_EXPECTED",
                            fix="give the trace of the same model")


def _alternatives(network: Network, data: Stimulus, judge: Judge, say: Say) -> Iterator[Alternative]:
    """The model with each open choice the other way."""
    codes = {e.code for e in network.ledger.of("assumed", "warning")}
    for edit in semantic_edits(network):
        changed = tried(network, edit)
        if changed is None or edit.kind == "preset":
            continue
        say(f"float model with {edit}")
        got = reference.run(changed, data)
        yield Alternative(str(edit), edit.kind, judge(got), judge.similarity(got), judge.significance(got),
                          ASSUMED.get(edit.kind) in codes)


def _import_stage(lab: _Lab, expected: Trace, found: ImportCheck) -> Stage:
    """The model as it was loaded, against what is expected."""
    steps = lab.data.n_steps
    names = layers_of(lab.network, expected) or tuple(n for n in lab.network.outputs if n in expected.spikes)
    judge = Judge(lab.network, lab.data, expected)
    has_output = next(iter(lab.network.outputs), "") in expected.spikes
    right = judge(expected) if has_output else None
    got = judge(lab.model) if has_output else None
    layers = tuple(c for c in changes(lab.network, expected, lab.model, steps, names)) if not found.own else tuple(
        LayerChange(n, s, 0) for n, s in found.shares.items())
    lost = None if right is None or got is None else right - got
    cosine = judge.similarity(lab.model)
    note = "against the expected trace" + (
        "" if found.own else "; it has not all layers, so hypotheses were tried on the whole network")
    return Stage("import", got, got, lost, lost, cosine, cosine, first_spike(lab.network, expected, lab.model, names),
                 layers, note)


def first_spike(network: Network, expected: Trace, got: Trace, names: tuple[str, ...] | None = None,
                ) -> Mismatch | None:
    """The first spike that differs; in one step, that of the first layer."""
    own = list(names or layers_of(network, expected, got))
    fires = [n for n in own if n not in network.populations or n in spiking_of(network, [n])]
    found = [d for n in fires or own if (d := expected.first_difference(got, [n])) is not None]
    return min(found, key=lambda d: (d.step, own.index(d.layer)), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class _Lab:
    """Runs between the float model and the chip."""

    network: Network
    data: Stimulus
    judge: Judge
    model: Trace
    backend: Backend
    options: CompileOptions
    say: Say

    def chain(self, given: Program | None) -> tuple[list[Stage], list[ChipStage]]:
        """(all stages behind the model, the runs of the chip)."""
        self.say("compile")
        program = self.backend.compile(self.network, self.options, lambda _: None) if given is None else given
        if isinstance(self.backend, MemristorBackend):
            whole, integer, losses = None, None, ""
            stages: list[Stage] = []
            before = self.model
        else:
            lowered, whole, losses = self.backend.discrete(self.network, self.options)
            stages, before = self._numbers(lowered, whole)
            integer = integer_run(whole, self.data)
            stages, before = self._arithmetic(whole, integer, stages, before)
        job = ChipRun(self.backend, self.network, self.options, self.data, program, given is not None, whole, losses,
                      self.say)
        chip = chip_stages(job, integer)
        if whole is not None:
            chip = [replace(c, trace=read_out(c.trace, whole)) for c in chip]
        for run in chip:
            stages.append(self._chip_stage(run, before))
            before = run.trace
        return stages, chip

    def _numbers(self, lowered: Network, whole: Network) -> tuple[list[Stage], Trace]:
        """Lowering, then weights, thresholds and decays in the chip's numbers."""
        if self.network.is_integer or self.network.is_single:
            return [], self.model
        floats = any(isinstance(p, DiscreteLIF) for p in lowered.populations.values())
        self.say("lowered")
        base = read_out(reference.run(lowered, self.data), lowered)
        stages = [self._stage("lowering", base, None, self.model, ())]
        before = base
        for k, part in enumerate(PARTS if floats else ()):
            self.say(part)
            only = mixed(lowered, whole, [part])
            both = mixed(lowered, whole, PARTS[: k + 1])
            alone, so_far = (read_out(reference.run(n, self.data), n) for n in (only, both))
            own = changes(self.network, base, read_out(forced_run(only, self.data, base), only), self.data.n_steps) \
                if can_force(only) else ()
            stages.append(self._stage(part, so_far, alone, before, own))
            before = so_far
        return stages + self._delays(before), before

    def _delays(self, before: Trace) -> list[Stage]:
        """What rounded delays may cost at most: those that the ledger names, one step longer."""
        rounded = {e.node: e.text for e in self.network.ledger.entries if e.code == "DELAY_ROUNDED"}
        nodes = {n: with_ticks(x, (x.delay_ticks if isinstance(x, Synapses) else x.ticks) + 1)
                 for n in rounded if isinstance(x := self.network.nodes.get(n), Synapses | Delay)}
        if not nodes:
            return []
        self.say("delays")
        other = reference.run(self.network.replace(nodes=dict(self.network.nodes) | nodes), self.data)
        stage = self._stage("delays", before, other, before, changes(self.network, self.model, other,
                                                                     self.data.n_steps))
        return [replace(stage, note=f"alone: {', '.join(nodes)} one step longer, more than rounding has done; "
                        + "; ".join(rounded.values()))]

    def _arithmetic(self, whole: Network, integer: Trace, stages: list[Stage], before: Trace,
                    ) -> tuple[list[Stage], Trace]:
        """The chip's rounding of states, then its registers."""
        free, real = unbounded(whole), read_out(integer, whole)
        self.say("arithmetic")
        if free is not None:
            roomy = read_out(reference.run(free, self.data), free)
            if not self.network.is_integer:
                stages = [*stages, self._stage("arithmetic", roomy, None, before, ())]
            own = changes(self.network, roomy, read_out(forced_run(whole, self.data, roomy), whole), self.data.n_steps)
            return [*stages, self._stage("registers", real, None, roomy, own)], real
        return [*stages, self._stage("arithmetic", real, None, before, ())], real

    def _stage(self, name: str, so_far: Trace, alone: Trace | None, before: Trace,
               own: tuple[LayerChange, ...], note: str = "") -> Stage:
        """A stage from its runs."""
        model, score = self.judge(self.model), self.judge(so_far)
        single = None if alone is None else self.judge(alone)
        added = self.judge(before) - score
        return Stage(
            name, single, score, None if single is None else model - single, added,
            self._cosine(before, so_far) if alone is None else self.judge.similarity(alone),
            self.judge.similarity(so_far), first_spike(self.network, before, so_far), own, note)

    def _cosine(self, before: Trace, after: Trace) -> float:
        """Of two runs of the chain."""
        return Judge(self.network, self.data, before).similarity(after)

    def _chip_stage(self, run: ChipStage, before: Trace) -> Stage:
        """A run of the chip."""
        stage = self._stage(run.name, run.trace, run.alone, before, run.layers, run.note)
        return stage if run.first is None else replace(stage, first=run.first)


__all__ = ["DiagnoseOptions", "Diagnosis", "diagnose", "first_spike"]
