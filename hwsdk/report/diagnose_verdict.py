"""Which stage is to blame, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from hwsdk.backends.base import Program
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Mismatch
from hwsdk.report.diagnose_advice import CHIP, IMPORT
from hwsdk.report.diagnose_chip import ChipStage
from hwsdk.report.diagnose_import import Hypothesis, ImportCheck
from hwsdk.report.diagnose_result import Alternative, Stage, Verdict
from hwsdk.report.diagnose_score import Judge, spiking_of

SETTLED = 0.01
"""A stage that loses less of the measure and of the rasters' cosine than this is not worth a word."""
BETTER = 0.1
"""An open choice is to blame without an expected trace if the other way is better by so much of the accuracy."""
DEPENDS = 0.9
"""Cosine below which the spikes depend on a choice that was guessed."""
SURE_OF = 3.0
"""And if it is right on so many more samples than it is wrong on, in standard deviations of a coin."""
APART = 3.0
"""A layer is to blame alone if it changes so many times more by itself than the next."""
SURE = ("mapping", "losses", "timing")
"""Stages that change nothing on a chip that works: any difference is to blame."""


def verdict_of(network: Network, target: str, data: Stimulus, judge: Judge, stages: Sequence[Stage],
               found: ImportCheck | None, others: Sequence[Alternative], chip: Sequence[ChipStage],
               program: Program | None) -> Verdict:
    """The stage to blame: the import where it is wrong, then what a chip must not change, then what costs most."""
    by_name = {s.name: s for s in stages}
    if program is not None and program.semantics != network.semantics:
        return _other_semantics(network, program, by_name["mapping"])
    if program is not None and getattr(program, "model_digest", "") not in ("", network.digest()):
        return _other_model(by_name["mapping"])
    if found is not None and found.wrong:
        return _imported(found, by_name["import"])
    for run in chip:
        if run.name in SURE and run.first is not None:
            return _chip(run, by_name[run.name], network)
    better = _better(others, judge)
    if better is not None:
        return _guessed(better, judge)
    rest = [s for s in stages if s.name not in ("import", "delays", *SURE)]
    worst = max(rest, key=lambda s: s.weight, default=None)
    more = _reminders(network, others, judge)
    if worst is None or worst.weight <= SETTLED:
        return Verdict(None, "", None, "model", None, _fine(stages, found, judge, target) + more)
    return _costly(worst, judge, more)


def _reminders(network: Network, others: Sequence[Alternative], judge: Judge) -> str:
    """What no stage is to blame for, and yet makes an answer doubtful."""
    silent = [n for n in spiking_of(network, tuple(network.populations)) if not len(judge.model.spikes[n])]
    said = f" But {', '.join(silent)} never spike(s) in the float model on these data: check dt, the scale of the " \
           "weights and the data." if silent else ""
    best = max(others, key=lambda a: (a.measure, a.similarity), default=None)
    now = judge(judge.model)
    if judge.name == "accuracy" and best is not None and best.measure - now >= BETTER:
        said += f" With {best.text} the float model would have an accuracy of {best.measure:.1%} in place of " \
                f"{now:.1%}, which so few samples cannot settle ({best.significance:.1f} deviations): try more."
    guessed = [a for a in others if a.assumed and a.similarity < DEPENDS]
    for kind in dict.fromkeys(a.kind for a in guessed):
        least = min((a for a in guessed if a.kind == kind), key=lambda a: a.similarity)
        said += f" The {kind} was guessed on import, and the spikes depend on it (cosine {least.similarity:.2f} with " \
                f"{least.text}): settle it with --{kind}."
    return said


def _where(m: Mismatch | None) -> str:
    """A first difference in words."""
    if m is None:
        return ""
    what = "a spike" if m.kind == "spike" else f"the state {m.kind}"
    return f" The first difference is {what} of neuron {m.neuron} of {m.layer} in step {m.step} of sample {m.sample} " \
           f"(expected {m.expected:g}, got {m.got:g})."


def _other_semantics(network: Network, program: Program, stage: Stage) -> Verdict:
    """The program was compiled from the model with another meaning."""
    mine, its = network.semantics.to_dict(), program.semantics.to_dict()
    differ = {f: (its[f], mine[f]) for f in mine if mine[f] != its[f]}
    said = ", ".join(f"{f}={a} where the model has {b}" for f, (a, b) in differ.items())
    name = "dt" if set(differ) == {"dt"} else "import"
    layer = None if stage.first is None else stage.first.layer
    text = f"The program was compiled with {said}.{_where(stage.first)} Compile the model again with the semantics " \
           "that are right."
    return Verdict(name, next(iter(differ)), layer, "model", stage.first, text)


def _other_model(stage: Stage) -> Verdict:
    """The program says itself that it is of another model."""
    layer = None if stage.first is None else stage.first.layer
    text = f"The program was compiled from another model (its digest says so).{_where(stage.first)} Compile this " \
           "model, or diagnose with the one that the program is of."
    return Verdict("mapping", "another model", layer, "model", stage.first, text)


def _imported(found: ImportCheck, stage: Stage) -> Verdict:
    """The expected trace is not that of the model as it was loaded."""
    first, shares = stage.first, found.shares
    shown = first.layer if first is not None else max(shares, key=lambda n: shares[n])
    if not found.explained:
        own = max(shares, key=lambda n: shares[n])
        wrong = [n for n in shares if shares[n] > max(shares.values()) / APART]
        alone = found.own and len(wrong) == 1
        text = f"The model as it was loaded does not give the expected trace ({shares[own]:.1%} of the spikes of " \
               f"{own} differ), and no other reading that was tried explains it.{_where(first)} Compare weights and " \
               f"structure of {own} with the original."
        return Verdict("import", "unknown", own if alone else shown, "layer" if alone else "model", first, text)
    causes, shown = found.explained, found.shown or shown
    best = causes[0]
    name = "dt" if best.kind == "dt" else "import"
    told = " and ".join(h.text for h in causes)
    also = "" if len(causes) > 1 or not found.alike else \
        f" These spikes cannot tell it from {' or '.join(h.text for h in found.alike)}."
    how = "is reproduced, every spike," if causes[-1].exact else \
        f"is nearly reproduced ({best.before:.1%} of the spikes differ without, {causes[-1].after:.1%} with)"
    text = f"The import is wrong: the expected trace {how} with {told}.{also}{_where(first)} {_import_advice(best)}"
    return Verdict(name, best.kind, best.layer or shown, "layer" if best.layer else "model", first, text)


def _import_advice(h: Hypothesis) -> str:
    """What to do about a wrong reading."""
    where = "" if h.layer is None else f" of {h.layer}"
    return IMPORT[h.kind].format(where=where) if h.kind in IMPORT else f"Load the model with {h.text}."


def _chip(run: ChipStage, stage: Stage, network: Network) -> Verdict:
    """A chip that does not do what its network says."""
    assert run.first is not None  # noqa: S101
    layer = run.layer or run.first.layer
    if layer not in network.populations and run.layer is None:
        layer = _served(layer, network)
    told = f" ({run.note})" if run.note else ""
    text = f"The chip differs from the network in its own numbers at {run.name}{told}, by the doing of {layer}." \
           f"{_where(run.first)} {_sentence(CHIP[run.name])}"
    return Verdict(run.name, run.note or run.name, layer, "layer", run.first, text)


def _served(name: str, network: Network) -> str:
    """The model's population for which a relay works, if its name says so."""
    return next((n for n in network.populations if name.startswith(n)), name)


def _better(others: Sequence[Alternative], judge: Judge) -> Alternative | None:
    """An open choice that is much better the other way; only labels can say so."""
    if judge.name != "accuracy" or not others:
        return None
    best = max(others, key=lambda a: (a.measure, a.similarity))
    return best if best.measure - judge(judge.model) >= BETTER and best.significance >= SURE_OF else None


def _guessed(best: Alternative, judge: Judge) -> Verdict:
    """The labels say that the model was read wrongly."""
    now = judge(judge.model)
    text = f"The float model itself is poor: {judge.name} {now:.1%} as it was loaded, {best.measure:.1%} with " \
           f"{best.text}. It was probably trained so; load it with {best.text}, or give the original's spikes as the " \
           "expected trace."
    layer = next(iter(judge.network.populations), None)
    return Verdict("dt" if best.kind == "dt" else "import", best.kind, layer, "model", None, text)


def _costly(worst: Stage, judge: Judge, more: str) -> Verdict:
    """A stage that does what it must, at a price."""
    ranked = sorted((x.share for x in worst.layers), reverse=True)
    alone = worst.worst is not None and (len(ranked) < 2 or ranked[0] > APART * ranked[1])
    shown = None if worst.first is None else worst.first.layer
    layer = worst.worst if alone else shown or worst.worst
    lost = worst.lost if worst.lost is not None else worst.added
    costs = f"alone it takes {judge.name} down by {lost:.1%}" if lost and lost > 0 else \
        f"it costs no {judge.name} here but moves spikes"
    where = f", most of all in {worst.worst}" if worst.worst else ""
    text = f"The largest part is lost at {worst.name}{where}: {costs}, raster cosine " \
           f"{worst.similarity if worst.similarity is not None else 1.0:.3f}.{_where(worst.first)} " \
           f"{_sentence(CHIP.get(worst.name, 'look at this stage'))}{more}"
    return Verdict(worst.name, worst.name, layer, "layer" if alone else "model", worst.first, text)


def _fine(stages: Sequence[Stage], found: ImportCheck | None, judge: Judge, target: str) -> str:
    """Nothing to blame."""
    inputs = " The model gives the expected trace." if found is not None else ""
    last = stages[-1].so_far if stages else None
    after = "" if last is None else f" {judge.name.capitalize()} on {target} is {last:.1%}, of the float model " \
                                    f"{judge(judge.model):.1%}."
    return f"No stage costs anything worth a word.{inputs}{after}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
