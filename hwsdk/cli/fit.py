"""The command fit: its options, and what it does."""

from __future__ import annotations

import argparse
from typing import Any

from hwsdk.cli import ANSWER_IS_NO, data_arguments, model_arguments, positive_number, quantisation_arguments, whole_from
from hwsdk.cli.checks import DATA, MODEL, require_input, require_output, require_proxy, require_target
from hwsdk.cli.explore import share
from hwsdk.cli.progress import bar

TEXT = "look for edits that make a model fit a chip or meet a budget; every one is compiled and simulated"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of fit."""
    model_arguments(parser)
    parser.add_argument("--target", "-t", required=True, metavar="NAME", help="name of a chip; see `hwsdk targets`")
    data_arguments(parser, required=True)
    goals = parser.add_argument_group("goals", "beside fitting; of an inference, mean over the samples")
    goals.add_argument("--energy-budget", type=positive_number, metavar="JOULE", help="total energy at the most")
    goals.add_argument("--latency-budget", type=positive_number, metavar="SECONDS", help="latency at the most")
    goals.add_argument("--accuracy-least", type=share, metavar="X",
                       help="accuracy at the least, from 0 to 1; without labels agreement with the float model")
    goals.add_argument("--as-published", action="store_true",
                       help="what has no published price counts as nothing, so that a lower bound can meet a budget")
    goals.add_argument("--proxy", metavar="NAME", help="the target's documented stand-in for unpublished prices")
    goals.add_argument("--boundary", choices=("chip", "host"), default="chip", help="as in hwsdk estimate")
    parser.add_argument("--tries", type=whole_from(1), default=120, metavar="N",
                        help="designs to compile and simulate at the most (default 120)")
    parser.add_argument("--seconds", type=positive_number, default=300.0, metavar="S",
                        help="end the search after so long (default 300)")
    parser.add_argument("-o", "--output", metavar="P.hwx", help="write the program of the best here")
    parser.add_argument("--calibrate", metavar="DATA", help="data that set register ranges, for every design")
    quantisation_arguments(parser)


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command fit: (exit code, JSON, text)."""
    require_target(a.target)
    require_input(a.model, MODEL)
    for data in (a.input, a.calibrate):
        require_input(data, DATA)
    require_output(a.output, ".hwx")
    require_proxy(a.target, a.proxy)
    from hwsdk import compiler
    from hwsdk.backends.base import CompileOptions
    from hwsdk.cli.run import data_options, semantics_of
    from hwsdk.explore.fit import Goals, fit

    goals = Goals(a.energy_budget, a.latency_budget, a.accuracy_least, a.as_published)
    network = compiler.load(a.model, **semantics_of(a))
    data = compiler.load_data(a.input, network, **data_options(a))
    options = CompileOptions(a.bits, a.per_channel, a.chips, a.packing, a.seed, step_time=a.step_time,
                             data=compiler.load_data(a.calibrate, network) if a.calibrate else None,
                             target_options=dict(a.option))
    with bar("designs", a.quiet) as say:
        report = fit(network, a.target, data, options=options, goals=goals, tries=a.tries, seconds=a.seconds,
                     estimate={"proxy": a.proxy, "boundary": a.boundary}, progress=say.step)
    written = None
    if a.output and report.best is not None and report.best.program is not None:
        written = str(report.best.program.save(a.output))
    text = report.to_text() + (f"wrote {written}, the first of these\n" if written else "")
    return 0 if report.ok else ANSWER_IS_NO, {**report.to_dict(), "output": written}, text


__all__ = ["TEXT", "arguments", "run"]
