"""The commands yield and attribute: their options, and what they do."""

from __future__ import annotations

import argparse
import math
from typing import Any

from hwsdk.cli import whole_from
from hwsdk.cli.checks import DATA, PROGRAM, require_input, require_output
from hwsdk.cli.progress import bar

TEXT = "how good many made dies of a crossbar program are: Monte Carlo with bounds"
ATTRIBUTE_TEXT = "what each stage of a crossbar, from levels to read noise, costs in accuracy"
MEASURES = ("accuracy", "agreement", "similarity")
DIES = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of yield; program and data are as in other commands."""
    parser.add_argument("--dies", type=whole_from(1), default=DIES, metavar="N", help=f"how many (default {DIES})")
    parser.add_argument("--seed", type=whole_from(0), default=0, help="of the first die; each has one more (default 0)")
    parser.add_argument("--least", type=finite, metavar="X", help="a die is good from this measure on, such as 0.9")
    parser.add_argument("--resume", metavar="FILE.jsonl",
                        help="keep the result of every die here, and do not run again those that it has")
    parser.add_argument("--threads", type=whole_from(1), default=1, metavar="N",
                        help="dies beside each other (default 1); the results are the same")
    parser.add_argument("--retrain", type=whole_from(1), metavar="N",
                        help="train the program's readout anew on every die, by ridge regression on N of the samples, "
                        "spread evenly, and measure its accuracy on the others")
    parser.add_argument("--processes", action="store_true", help="let processes do what --threads do")
    _measure(parser)


def attribute_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of attribute."""
    parser.add_argument("--bare", metavar="Q.hwx",
                        help="the same model compiled with the same options and --option off=levels; without "
                        "it, levels are in every run")
    parser.add_argument("--die", type=whole_from(0), metavar="N", help="of this die (default: that of the program)")
    parser.add_argument("--stage", action="append", default=[], metavar="NAME",
                        help="only this stage; can be given several times (default: all that the program has)")
    _measure(parser)


def _measure(parser: argparse.ArgumentParser) -> None:
    """What both have."""
    parser.add_argument("--measure", choices=MEASURES,
                        help="accuracy (default where there are labels), agreement of decisions with the array without "
                        "any stage, or similarity of the outputs' spikes to it")
    parser.add_argument("--plot", metavar="FILE.png", help="draw it; .svg and .pdf too")


def finite(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command yield: (exit code, JSON, text)."""
    program, data = _inputs(a)
    require_output(a.resume, ".jsonl")
    from hwsdk import compiler

    measure = _retrained(a, data) if a.retrain else a.measure

    with bar("dies", a.quiet) as say:
        report = compiler.yields(program, data, dies=a.dies, seed=a.seed, least=a.least, measure=measure,
                                 threads=a.threads, workers="processes" if a.processes else "threads",
                                 resume=a.resume, progress=say.step)
    return _answer(a, program, report)


def _retrained(a: argparse.Namespace, data: Any) -> Any:
    """The measure of --retrain.

    Raises:
        HwsdkError: BAD_RETRAIN. DataError: NO_LABELS.
    """
    import numpy as np

    from hwsdk.backends.memristor_judges import InSitu
    from hwsdk.errors import DataError, HwsdkError

    if a.measure not in (None, "accuracy"):
        raise HwsdkError(f"{a.measure} of a readout that is trained", where="--retrain", code="BAD_RETRAIN",
                         fix="leave --measure out")
    if data.labels is None:
        raise DataError("nothing to train a readout on", where=a.input, code="NO_LABELS",
                        fix="give labels with the data")
    if a.retrain >= data.n_samples:
        raise HwsdkError(f"{a.retrain} of {data.n_samples} samples to train on leave none to measure on",
                         where="--retrain", code="BAD_RETRAIN", fix=f"give {data.n_samples - 1} or less")
    train = np.zeros(data.n_samples, np.bool_)
    train[np.arange(a.retrain) * data.n_samples // a.retrain] = True
    return InSitu(data.labels, train, ridge_fit, data.n_steps)


def ridge_fit(features: Any, labels: Any, readout: Any) -> Any:
    """A readout by ridge regression; see hwsdk.lsm.readout."""
    from hwsdk.lsm.readout import ridge

    return ridge(features, labels, population=readout.population, windows=readout.windows)


def run_attribute(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command attribute: (exit code, JSON, text)."""
    require_input(a.bare, PROGRAM)
    program, data = _inputs(a)
    from hwsdk import compiler

    with bar("attribute", a.quiet) as say:
        report = compiler.attribute(program, data, bare=a.bare, die=a.die, stages=a.stage or None, measure=a.measure,
                                    say=say.phase)
    return _answer(a, program, report)


def _inputs(a: argparse.Namespace) -> tuple[Any, Any]:
    """(program, data), once all files are looked at."""
    require_input(a.program, PROGRAM)
    require_input(a.input, DATA)
    require_output(a.plot, ".png")
    from hwsdk import compiler

    program = compiler.load_program(a.program)
    given = {"n_steps": a.steps, "dt_s": a.bin, "limit": a.limit}
    return program, compiler.load_data(a.input, program, **{k: v for k, v in given.items() if v is not None})


def _answer(a: argparse.Namespace, program: Any, report: Any) -> tuple[int, dict[str, Any], str]:
    """A report as JSON and text, drawn if that was asked for."""
    written = [str(report.plot(a.plot))] if a.plot else []
    body = {**report.to_dict(), "digest": program.digest(), "files": written}
    return 0, body, report.to_text() + "".join(f"wrote {name}\n" for name in written)


__all__ = ["ATTRIBUTE_TEXT", "TEXT", "arguments", "attribute_arguments", "run", "run_attribute"]
