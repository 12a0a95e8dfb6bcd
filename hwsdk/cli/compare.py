"""The command compare: its options, and what it does."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

from hwsdk.cli import ANSWER_IS_NO, data_arguments, model_arguments, quantisation_arguments
from hwsdk.cli.checks import DATA, MODEL, require_input, require_output
from hwsdk.cli.progress import bar
from hwsdk.errors import HwsdkError

TEXT = "which chip for this model: fit, accuracy, latency and energy on several targets"
WIDEST, PLAIN = 150, 118
NUMBERS: dict[str, Callable[[str], Any]] = {"bits": int, "chips": int, "seed": int, "step_time": float}
"""Options that all targets have, as numbers, which may be given for one of them."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of compare."""
    model_arguments(parser)
    data_arguments(parser, required=True)
    parser.add_argument("--targets", "-t", metavar="A,B,...", help="names of chips, or all; see `hwsdk targets` "
                        "(default: one of each family, loihi2,spinnaker2,sfq,memristor)")
    parser.add_argument("--calibrate", action="store_true",
                        help="let the same data set the ranges of registers and converters")
    parser.add_argument("--proxy", action="store_true",
                        help="use documented stand-ins for prices that are not published, where a target has them")
    parser.add_argument("--html", metavar="FILE.html", help="write a page of its own, to read without a network")
    parser.add_argument("--neurobench", metavar="FILE.json",
                        help="write NeuroBench's metrics of every target that runs the model; see docs/compare.md")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write what --json prints here")
    quantisation_arguments(parser)
    parser.conflict_handler = "resolve"  # here --option names the target too
    own = parser.add_argument_group("one target alone")
    own.add_argument("--option", action="append", default=[], metavar="TARGET:NAME=VALUE",
                        help="what only one target knows, such as spinnaker2:level=low, or a number of all targets for "
                        "one of them, such as sfq:bits=4; can be given several times")


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command compare: (exit code, JSON, text)."""
    require_input(a.model, MODEL)
    require_input(a.input, DATA)
    for path, suffix in ((a.html, ".html"), (a.neurobench, ".json"), (a.output, ".json")):
        require_output(path, suffix)
    options = target_options(a.option)
    from hwsdk import compiler
    from hwsdk.backends.base import CompileOptions
    from hwsdk.cli.run import data_options, semantics_of
    from hwsdk.report.compare import compare

    targets = None if a.targets is None else [t.strip() for t in a.targets.split(",") if t.strip()]
    common = CompileOptions(a.bits, a.per_channel, a.chips, a.packing, a.seed, step_time=a.step_time)
    with bar("compare", a.quiet) as say:
        network = compiler.load(a.model, **semantics_of(a))
        data = compiler.load_data(a.input, network, **data_options(a))
        found = compare(network, data, targets=targets, options=options, common=common, calibrate=a.calibrate,
                        proxies=a.proxy, neurobench=a.neurobench is not None, progress=say.step, say=say.phase)
    return 0 if found.any_fits else ANSWER_IS_NO, *_answer(a, found)


def _answer(a: argparse.Namespace, found: Any) -> tuple[dict[str, Any], str]:
    """The comparison as JSON and text, and the files that were asked for."""
    body = found.to_dict()
    written = [p for p in (a.html, a.neurobench, a.output) if p]
    if a.html:
        _write(a.html, found.to_html())
    if a.neurobench:
        _write(a.neurobench, json.dumps(found.neurobench(), indent=1) + "\n")
    if a.output:
        _write(a.output, json.dumps(body, indent=1) + "\n")
    seen = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = min(shutil.get_terminal_size().columns, WIDEST) if seen else PLAIN
    return body | {"files": written}, found.to_text(width, seen) + "".join(f"wrote {p}\n" for p in written)


def target_options(given: list[str]) -> dict[str, dict[str, Any]]:
    """Target -> name -> value, of TARGET:NAME=VALUE.

    Raises:
        HwsdkError: BAD_OPTION.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        target, colon, name = place.partition(":")
        if not (target and colon and name and equals and value):
            raise HwsdkError(f"{text!r} is not TARGET:NAME=VALUE", where="--option", code="BAD_OPTION",
                             fix="say for which target it is, for example spinnaker2:level=low")
        found.setdefault(target, {})[name] = _number(name, value, text)
    return found


def _number(name: str, value: str, text: str) -> Any:
    """A value as it came, or as a number where all targets have this option."""
    try:
        return NUMBERS.get(name, str)(value)
    except ValueError:
        raise HwsdkError(f"{text!r}: {name} is a number", where="--option", code="BAD_OPTION",
                         fix="give a number") from None


def _write(path: str, text: str) -> None:
    """A file, whole or not at all."""
    from hwsdk.ir.files import atomic_file

    with atomic_file(path, HwsdkError) as stream:
        stream.write(text.encode())
