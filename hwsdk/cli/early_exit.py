"""The command early-exit: give a program an exit rule, tune it, and see what it does; and what others say of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hwsdk.cli import data_arguments, positive_number, whole_from
from hwsdk.cli.checks import DATA, PROGRAM, require_input, require_output, require_proxy
from hwsdk.cli.progress import bar

if TYPE_CHECKING:
    from hwsdk.backends.base import Program
    from hwsdk.backends.early_exit_tune import Tuned
    from hwsdk.ir.data import Stimulus
    from hwsdk.ir.early_exit import ExitRule
    from hwsdk.ir.trace import Trace

TEXT = "stop an inference when the output is sure enough: set or tune the rule, and see what it saves"
EXAMPLE = "hwsdk early-exit model.hwx --tune calibration.npz --most-loss 0.5 --input test.npz -o quick.hwx"
MEASURES = ("softmax", "softmax_mean", "margin", "count")
FIELDS = ("measure", "temperature", "evidence", "earliest", "latest", "every")
"""Options that are fields of the rule."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Program, data and options."""
    parser.add_argument("program", metavar="P.hwx", help="what `hwsdk compile` wrote")
    data_arguments(parser, required=False)
    parser.add_argument("-o", "--output", metavar="Q.hwx", help="write the program with the rule here")
    _rule(parser.add_argument_group("the rule", "default: what the program has; see docs/early_exit.md"))
    tune = parser.add_argument_group("tuning the threshold", "never on the data on which the result is reported")
    tune.add_argument("--tune", metavar="DATA", help="choose the threshold on these data")
    tune.add_argument("--tune-first", type=whole_from(1), metavar="N",
                      help="choose it on the first N samples of --input, and report on the others")
    tune.add_argument("--most-loss", type=_percent, default=0.005, metavar="PERCENT",
                      help="right decisions that may be lost there, in %% of all (default 0.5)")
    tune.add_argument("--per-step", action="store_true", help="a threshold for every step; it takes many data")
    tune.add_argument("--sure", action="store_true", help="what may be lost is the bound that so many data allow, not "
                      "what was seen (0.5 %% takes 600 samples)")
    cost = parser.add_argument_group("cost", "as in `hwsdk estimate`")
    cost.add_argument("--proxy", metavar="NAME", help="stand-in for unpublished prices")
    cost.add_argument("--boundary", choices=("chip", "host"), default="chip", help="what counts (default chip)")
    cost.add_argument("--option", type=_named, action="append", default=[], metavar="NAME=VALUE",
                      help="what only this target knows")
    cost.add_argument("--threads", type=whole_from(1), default=1, metavar="N", help="of the simulator (default 1)")


def _rule(group: argparse._ArgumentGroup) -> None:
    """The fields of a rule."""
    group.add_argument("--threshold", type=_numbers, metavar="X[,X...]",
                       help="stop from this confidence on; several: one a step, the last for all later steps")
    group.add_argument("--measure", choices=MEASURES, help="what confidence is (default margin): share of the winner "
                       "in the softmax of the sums or of the means, its lead over the second, or its count")
    group.add_argument("--temperature", type=positive_number, metavar="T", help="of the softmax (default 1)")
    group.add_argument("--evidence", choices=("sum", "last"), help="the output added up (default), or its last values")
    group.add_argument("--decides", metavar="NAME", help="the output that decides, where there are several")
    group.add_argument("--earliest", type=whole_from(1), metavar="N", help="not before N steps (default 1)")
    group.add_argument("--latest", type=whole_from(1), metavar="N", help="after N steps whatever the confidence")
    group.add_argument("--every", type=whole_from(1), metavar="N", help="ask every N steps (default 1)")


def _named(text: str) -> tuple[str, str]:
    """(name, value) of name=value."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _percent(text: str) -> float:
    """A share from per cent."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100")
    return value / 100


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, nor several with commas") from None


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command: (exit code, JSON, text)."""
    _require(a)
    from hwsdk import compiler
    from hwsdk.backends.early_exit import with_rule

    program = compiler.load_program(a.program)
    require_proxy(program.target, a.proxy)
    data = _load(a, a.input, program, limit=a.limit)
    rule, tuned = _asked(a, program), None
    if a.tune or a.tune_first:
        tuned, data = _tuned(a, program, rule, data)
        if tuned.rule is None:
            return 1, {"tuned": tuned.to_dict()}, tuned.to_text()
        rule = tuned.rule
    quick = with_rule(program, rule)
    if a.output:
        quick.save(a.output)
    return _answer(a, quick, rule, tuned, data)


def _require(a: argparse.Namespace) -> None:
    """Refuse what cannot be, before anything takes time."""
    from hwsdk.errors import DataError

    require_input(a.program, PROGRAM)
    require_input(a.input, DATA)
    require_input(a.tune, DATA)
    require_output(a.output, ".hwx")
    wrong = "--tune and --tune-first" if a.tune and a.tune_first else ""
    wrong = wrong or ("--tune-first without --input" if a.tune_first and not a.input else "")
    wrong = wrong or ("--threshold and a threshold to be tuned" if a.threshold and (a.tune or a.tune_first) else "")
    if wrong:
        raise DataError(wrong, where="early-exit", code="BAD_OPTION", fix="see: hwsdk early-exit --help")


def _load(a: argparse.Namespace, path: str | None, program: Program, **more: Any) -> Any:
    """Data of a file, or None."""
    from hwsdk import compiler

    given = {"n_steps": a.steps, "dt_s": a.bin, **more}
    return None if path is None else compiler.load_data(
        path, program, **{k: v for k, v in given.items() if v is not None})


def _asked(a: argparse.Namespace, program: Program) -> ExitRule:
    """The program's rule with what the options change."""
    from dataclasses import replace

    from hwsdk.backends.early_exit import carried, rule_of
    from hwsdk.backends.early_exit_tune import blank

    new = a.threshold is not None or a.tune or a.tune_first
    start = carried(program) or (blank(program, a.decides) if new else rule_of(program))
    changes: dict[str, Any] = {n: getattr(a, n) for n in FIELDS if getattr(a, n) is not None}
    changes |= {} if a.threshold is None else {"thresholds": a.threshold}
    return replace(start, **changes, **({"output": a.decides} if a.decides else {}))


def _tuned(a: argparse.Namespace, program: Program, rule: ExitRule, data: Stimulus | None,
           ) -> tuple[Tuned, Stimulus | None]:
    """(what calibration found, the data to report on)."""
    import numpy as np

    from hwsdk.backends.early_exit import subset
    from hwsdk.backends.early_exit_tune import shared, tune
    from hwsdk.errors import DataError

    own = _load(a, a.tune, program)
    if a.tune_first and data is not None:
        if a.tune_first >= data.n_samples:
            raise DataError(f"{data.n_samples} samples, of which the first {a.tune_first} tune the rule",
                            where=a.input, code="OUT_OF_RANGE", fix="leave some to report on")
        places = np.arange(data.n_samples)
        own, data = subset(data, places[: a.tune_first]), subset(data, places[a.tune_first :])
    elif data is not None:
        shared(own, data)
    with bar("tune", a.quiet) as say:
        return tune(program, own, most_loss=a.most_loss, rule=rule, per_step=a.per_step, sure=a.sure, threads=a.threads,
                    progress=say.step), data


def _answer(a: argparse.Namespace, program: Program, rule: ExitRule, tuned: Tuned | None, data: Stimulus | None,
            ) -> tuple[int, dict[str, Any], str]:
    """Run the data, if there are any, and tell."""
    from hwsdk import compiler

    body: dict[str, Any] = {"output": a.output, "digest": program.digest(), "rule": rule.to_json()}
    text = ""
    if tuned is not None:
        body, text = body | {"tuned": tuned.to_dict()}, tuned.to_text()
    if data is not None:
        with bar("simulate", a.quiet) as say:
            trace = compiler.simulate(program, data, progress=say.step, threads=a.threads)
        more, told = report(program, trace, data, proxy=a.proxy, boundary=a.boundary, options=dict(a.option),
                            threads=a.threads)
        body, text = body | more, text + told
    elif tuned is None:
        text = f"exit when {rule.to_text()}\n"
    return 0, body, text + (f"wrote {a.output}\n" if a.output else "")


def report(program: Program, trace: Trace, data: Stimulus | None = None, *, proxy: str | None = None,
           boundary: str = "chip", options: Mapping[str, Any] | None = None, threads: int = 1,
           ) -> tuple[dict[str, Any], str]:
    """What another command tells of a program's exit rule: (JSON, text), both empty where it has none."""
    from hwsdk.backends.early_exit import carried, evaluate
    from hwsdk.errors import DataError

    if carried(program) is None:
        return {}, ""
    try:
        found = evaluate(program, trace, data, proxy=proxy, boundary=boundary, options=options or {}, threads=threads)
    except DataError as error:
        if error.code != "NOT_BY_STEP":
            raise
        return {}, f"  note: the program's exit rule is not evaluated: {error.what}; {error.fix}\n"
    return {"early_exit": found.to_dict()}, found.to_text()


def exits_text(program: Program, trace: Trace, data: Stimulus) -> tuple[dict[str, Any], str]:
    """The same without costs, for a run that nobody has asked to price."""
    from hwsdk.backends.early_exit import carried, exits_of

    if carried(program) is None:
        return {}, ""
    found = exits_of(program, trace, data.n_steps)
    body: dict[str, Any] = {"steps": found.steps.tolist(), "decisions": found.decision.tolist()}
    text = f"with its exit rule after {found.steps.mean():.2f} of {data.n_steps} steps (mean)"
    if data.labels is not None:
        body["accuracy"] = float((found.decision == data.labels).mean())
        text += f", accuracy {body['accuracy']:.2%}"
    return {"early_exit": body}, text + "; costs: hwsdk estimate\n"
