"""The command line. Every command is a thin shell round one function of the library.

Exit codes: 0 done; 1 the answer is no (does not fit, chip and reference differ); 2 bad input; 3 a bug in hwsdk; 4 a
device or the line to it failed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from hwsdk import __version__
from hwsdk.ir.semantics import CHOICES, PRESETS

ANSWER_IS_NO, BAD_INPUT, BUG, DEVICE_FAILED, INTERRUPTED = 1, 2, 3, 4, 130
MAX_BITS = 16

CODES = ("Exit codes: 0 done, 1 the answer is no (does not fit, chip differs), 2 bad input, 3 a bug in hwsdk,\n"
         "4 a device or the line to it failed.")
OVERVIEW = f"""\
a first session:
  hwsdk inspect model.nir
  hwsdk compile model.nir --target loihi2 -o model.hwx
  hwsdk simulate model.hwx --input data.npz
  hwsdk estimate model.hwx --input data.npz
  hwsdk verify model.nir --target loihi2 --input data.npz

{CODES}"""
EXAMPLES = {
    "targets": "hwsdk targets loihi2",
    "inspect": "hwsdk inspect model.nir --dt 1e-3 --reset value",
    "compile": "hwsdk compile model.nir --target loihi2 --calibrate data.npz -o model.hwx",
    "simulate": "hwsdk simulate model.hwx --input data.npz -o trace.npz",
    "estimate": "hwsdk estimate model.hwx --trace trace.npz --proxy loihi1-energy",
    "emit": "hwsdk emit model.hwx --form lava -o model.py",
    "verify": "hwsdk verify model.nir --target loihi2 --input data.npz --limit 20",
    "compare": "hwsdk compare model.nir --input data.npz --targets loihi2,spinnaker2,sfq,memristor --html chips.html",
    "margins": "hwsdk margins model.hwx --input data.npz --bias 0.8:1.2:41 --layer hidden --plot margins.png",
    "yield": "hwsdk yield model.hwx --input data.npz --dies 200 --least 0.9 --threads 2 --resume dies.jsonl",
    "attribute": "hwsdk attribute model.hwx --input data.npz --plot stages.png",
    "explore": "hwsdk explore model.nir --input data.npz --sweep bits=2:8 --sweep steps=64,128 -o points.jsonl",
    "report": "hwsdk report model.hwx trace.npz -o report.html",
    "fit": "hwsdk fit model.nir --target loihi2 --input data.npz --latency-budget 1e-3 -o model.hwx",
    "diagnose": "hwsdk diagnose model.nir --target loihi2 --input data.npz --expected trace.npz",
    "early-exit": "hwsdk early-exit model.hwx --tune calibration.npz --input test.npz -o quick.hwx",
    "hil": "hwsdk hil model.hwx --device exec: --input data.npz",
    "devices": "hwsdk devices",
}


MODULES = {
    "early-exit": "hwsdk.cli.early_exit",
    "compare": "hwsdk.cli.compare",
    "explore": "hwsdk.cli.explore",
    "report": "hwsdk.cli.report",
    "fit": "hwsdk.cli.fit",
    "diagnose": "hwsdk.cli.diagnose",
    "hil": "hwsdk.cli.hil",
    "devices": "hwsdk.cli.devices",
}
"""Command -> where it lives."""


class UsageError(SystemExit):
    """The command line itself is wrong. Ends the program with code 2 where nobody catches it."""

    def __init__(self, message: str, program: str) -> None:
        super().__init__(BAD_INPUT)
        self.message, self.program = message, program


class _Parser(argparse.ArgumentParser):
    """A parser that leaves printing its errors to ``main``, which knows about --json."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of print."""
        raise UsageError(message, self.prog)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(prog="hwsdk", description="Deploy spiking neural networks on neuromorphic chips.",
                     epilog=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"hwsdk {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _targets(commands)
    _inspect(commands)
    _compile(commands)
    _simulate(commands)
    _estimate(commands)
    _verify(commands)
    _emit(commands)
    _margins(commands)
    _yields(commands)
    _more(commands)
    return parser


Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:  # type: ignore[valid-type]
    """A command with the options that all of them have."""
    parser: argparse.ArgumentParser = commands.add_parser(  # type: ignore[attr-defined]
        name, help=text, description=text[0].upper() + text[1:] + ".",
        epilog=f"example:\n  {EXAMPLES[name]}\n\n{CODES}", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output, errors too")
    parser.add_argument("--quiet", action="store_true", help="no progress and no warnings")
    return parser


def _targets(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "targets", "list the chips, or show one with the source of every number")
    parser.add_argument("target", nargs="?", metavar="NAME", help="name of a chip")


def _inspect(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "inspect", "show what a model file holds, and what was read, assumed and changed")
    model_arguments(parser)


def _compile(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "compile", "compile a model for a chip, or say why it does not fit")
    model_arguments(parser)
    _target(parser)
    parser.add_argument("-o", "--output", metavar="P.hwx", help="write the program here; else only say how it fits")
    parser.add_argument("--calibrate", metavar="DATA", help="data that set register ranges and measure spike drift")
    parser.add_argument("--text", action="store_true", help="print the whole program listing")
    quantisation_arguments(parser)
    _search(parser)


def _simulate(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "simulate", "run a program step by step on the chip's simulator")
    parser.add_argument("program", metavar="P.hwx", help="what `hwsdk compile` wrote")
    data_arguments(parser, required=True)
    parser.add_argument("-o", "--output", metavar="TRACE.npz", help="write spikes and counts here")
    parser.add_argument("--strict", action="store_true", help="a register overflow is an error")
    parser.add_argument("--engine", choices=("hwsdk", "lava", "analog"), default="hwsdk",
                        help="what runs it: hwsdk (default); for Loihi lava-nc (docs/lava.md); for SFQ netlists the "
                        "analog solver (docs/sfq.md). The others count no events")
    parser.add_argument("--threads", type=whole_from(1), default=1, metavar="N",
                        help="threads of hwsdk's simulator (default 1); the results are the same")


def _estimate(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "estimate", "energy and latency of a program on some data")
    parser.add_argument("program", metavar="P.hwx", help="what `hwsdk compile` wrote")
    data_arguments(parser, required=False)
    parser.add_argument("--trace", metavar="TRACE.npz", help="use this trace of `hwsdk simulate` instead of running")
    parser.add_argument("--proxy", metavar="NAME",
                        help="use the target's documented stand-in for unpublished prices; see `hwsdk targets NAME`")
    parser.add_argument("--boundary", choices=("chip", "host"), default="chip",
                        help="what counts: the chip (default), or its host processors too")
    option_arguments(parser)


def _verify(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "verify", "compare float reference, integer reference and chip simulator")
    model_arguments(parser)
    _target(parser)
    data_arguments(parser, required=True)
    parser.add_argument("--calibrate", action="store_true", help="let the same data set the register ranges")
    quantisation_arguments(parser)


def _emit(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "emit", "write a program in the form of another tool")
    parser.add_argument("program", metavar="P.hwx", help="what `hwsdk compile` wrote")
    parser.add_argument("--form", required=True, metavar="FORM", help="of Loihi programs: lava (see docs/lava.md); of "
                        "SFQ netlists: verilog, sdf, josim, ngspice, graphml, dot, csv, vcd (see docs/sfq.md); of "
                        "crossbars: csv, npz, conductances for a test board")
    parser.add_argument("-o", "--output", metavar="FILE", required=True,
                        help="write it here, and what belongs to it beside it")
    data_arguments(parser, required=False)


def _margins(commands: Commands) -> None:  # type: ignore[valid-type]
    from hwsdk.cli.margins import TEXT, arguments

    parser = _command(commands, "margins", TEXT)
    parser.add_argument("program", metavar="P.hwx", help="what `hwsdk compile` wrote, for sfq")
    data_arguments(parser, required=True)
    arguments(parser)


def _yields(commands: Commands) -> None:  # type: ignore[valid-type]
    from hwsdk.cli.yields import ATTRIBUTE_TEXT, TEXT, arguments, attribute_arguments

    for name, text, more in (("yield", TEXT, arguments), ("attribute", ATTRIBUTE_TEXT, attribute_arguments)):
        parser = _command(commands, name, text)
        parser.add_argument("program", metavar="P.hwx", help="what `hwsdk compile` wrote, for memristor")
        data_arguments(parser, required=True)
        more(parser)


def _more(commands: Commands) -> None:  # type: ignore[valid-type]
    """The commands that have modules of their own, each with TEXT, arguments(parser) and run(arguments)."""
    for name, module in MODULES.items():
        found = importlib.import_module(module)
        found.arguments(_command(commands, name, found.TEXT))


def model_arguments(parser: argparse.ArgumentParser) -> None:
    """The model and the options that settle its meaning."""
    parser.add_argument("model", metavar="MODEL", help="a .nir file, or a .net file of lava-dl")
    group = parser.add_argument_group("semantics", "what the file leaves open; see docs/semantics.md")
    group.add_argument("--preset", choices=sorted(PRESETS), help="start from an origin framework's own semantics")
    group.add_argument("--guess-nothing", action="store_true", help="refuse instead of guessing what is open")
    group.add_argument("--dt", type=positive_number, help="step, in the model's own time unit")
    for name, choices in CHOICES.items():
        group.add_argument(f"--{name.replace('_', '-')}", choices=choices)
    for name in ("input_delay", "connection_delay", "recurrent_delay"):
        group.add_argument(f"--{name.replace('_', '-')}", type=whole_from(0), metavar="STEPS")
    _netx(parser)
    _py_spinnaker2(parser)


def _py_spinnaker2(parser: argparse.ArgumentParser) -> None:
    """The options of py-spinnaker2's importer."""
    group = parser.add_argument_group("presets spinnaker2 and py-spinnaker2", "see docs/semantics.md")
    group.add_argument("--scale-weights", action=argparse.BooleanOptionalAction,
                       help="scale the weights onto each population to 127 before they are cut to 8 bits")
    group.add_argument("--conn-delay", type=whole_from(0, 7), metavar="D", help="a connection takes D + 1 steps")


def _netx(parser: argparse.ArgumentParser) -> None:
    """The options of lava-dl's netx."""
    group = parser.add_argument_group("lava-dl files", "how netx would build the network; see docs/formats.md")
    group.add_argument("--reset-interval", type=whole_from(1), metavar="STEPS", help="reset u and v every so often")
    group.add_argument("--reset-offset", type=int, metavar="STEPS", help="phase of the reset (default 0)")
    group.add_argument("--num-layers", type=whole_from(1), metavar="N", help="only the first N layers of the file")
    group.add_argument("--skip-layers", type=whole_from(0), metavar="N", help="leave out the first N of them")
    group.add_argument("--input-shape", type=_shape, metavar="C,H,W", help="where the file does not say it")
    group.add_argument("--spike-exp", type=whole_from(0, 7), metavar="N",
                       help="scale of sigma-delta spikes, a power of two (default 6)")


def _shape(text: str) -> tuple[int, ...]:
    """Positive numbers with commas between them."""
    return tuple(whole_from(1)(part) for part in text.split(","))


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", "-t", required=True, metavar="NAME", help="name of a chip; see `hwsdk targets`")


def data_arguments(parser: argparse.ArgumentParser, required: bool) -> None:
    """Input data and how to read them."""
    parser.add_argument("--input", "-i", metavar="DATA", required=required,
                        help=".npz, .npy, .csv or NIR data file; see docs/formats.md")
    parser.add_argument("--steps", type=whole_from(1), metavar="N", help="cut or pad the data to N steps")
    parser.add_argument("--bin", type=positive_number, metavar="SECONDS",
                        help="bin width for time-stamped events (default 1e-3)")
    parser.add_argument("--limit", type=whole_from(1), metavar="N", help="use only the first N samples")


def _search(parser: argparse.ArgumentParser) -> None:
    """How to look for a good mapping."""
    group = parser.add_argument_group("search for a mapping")
    group.add_argument("--effort", choices=("none", "fast", "normal", "high"), default="fast",
                       help="how many placements to try (default fast)")
    group.add_argument("--time-budget", type=positive_number, metavar="SECONDS",
                       help="stop the search after so long; the result then depends on the machine")
    group.add_argument("--activity", metavar="TRACE.npz",
                       help="a trace of `hwsdk simulate` that tells how often neurons spike; default: --calibrate")


def quantisation_arguments(parser: argparse.ArgumentParser) -> None:
    """How to quantise and map."""
    group = parser.add_argument_group("quantising and mapping")
    group.add_argument("--bits", type=whole_from(1, MAX_BITS), default=8,
                       help="weight bits (default 8); Loihi stores 1 to 8, SpiNNaker 2 stores 2 to 16")
    group.add_argument("--per-channel", action="store_true", help="one weight scale a channel")
    group.add_argument("--chips", type=whole_from(1), default=1, help="chips at hand (default 1)")
    group.add_argument("--packing", choices=("layer", "dense", "spread"), default="layer",
                       help="fewest cores for every layer, small parts together, or all cores that shorten a step")
    group.add_argument("--step-time", type=positive_number, metavar="SECONDS",
                       help="Loihi: as many cores as it takes that none is busy for longer in a step; SpiNNaker 2: the "
                       "length of a step (default 1e-3)")
    option_arguments(group)
    group.add_argument("--seed", type=whole_from(0), default=0, help="of the placement (default 0)")


def option_arguments(group: argparse._ActionsContainer) -> None:
    """What only one target knows."""
    group.add_argument("--option", type=_named, action="append", default=[], metavar="NAME=VALUE",
                       help="what only this target knows, such as level=low for spinnaker2; see its page in docs/")


def _named(text: str) -> tuple[str, str]:
    """(name, value) of name=value."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def whole_from(least: int, most: int | None = None) -> Callable[[str], int]:
    """A reader of whole numbers of ``least`` or more."""
    wanted = f"a whole number of {least} or more" if most is None else f"a whole number from {least} to {most}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return value

    return read


def positive_number(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = build_parser().parse_args(words)
    except UsageError as error:
        return _misused(error, "--json" in words)
    from hwsdk.cli.run import run

    return run(arguments)


def _misused(error: UsageError, as_json: bool) -> int:
    """Say what is wrong with the command line."""
    body = {"code": "USAGE", "where": error.program, "what": error.message, "fix": f"see: {error.program} --help"}
    if as_json:
        print(json.dumps({"error": body}, indent=1))
    else:
        print(f"hwsdk: [USAGE] {error.message}\n  fix: {body['fix']}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
