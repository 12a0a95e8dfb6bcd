"""The command line. Every command is a thin shell round one function of hwsdk.compiler.

Exit codes: 0 done; 1 the answer is no (does not fit, chip and reference differ); 2 bad input; 3 a bug in hwsdk.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hwsdk import __version__
from hwsdk.ir.semantics import CHOICES, PRESETS

FITS_NOT, BAD_INPUT, BUG = 1, 2, 3


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="hwsdk", description="Deploy spiking neural networks on neuromorphic chips.",
        epilog="Exit codes: 0 done, 1 the answer is no (does not fit, chip differs), 2 bad input, 3 a bug in hwsdk.")
    parser.add_argument("--version", action="version", version=f"hwsdk {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _targets(commands)
    _inspect(commands)
    _compile(commands)
    _simulate(commands)
    _estimate(commands)
    _verify(commands)
    return parser


Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:  # type: ignore[valid-type]
    """A command with the options that all of them have."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)  # type: ignore[attr-defined]
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--quiet", action="store_true", help="no progress and no warnings")
    return parser


def _targets(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "targets", "list the chips, or show one with the source of every number")
    parser.add_argument("target", nargs="?", help="name of a chip")


def _inspect(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "inspect", "show what a model file holds, and what was read, assumed and changed")
    _model(parser)


def _compile(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "compile", "compile a model for a chip")
    _model(parser)
    _target(parser)
    parser.add_argument("-o", "--output", metavar="P.hwx", help="write the program here")
    parser.add_argument("--calibrate", metavar="DATA", help="data that set register ranges and measure spike drift")
    parser.add_argument("--text", action="store_true", help="print the whole program listing")
    _quantisation(parser)


def _simulate(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "simulate", "run a program cycle by cycle on the chip's simulator")
    parser.add_argument("program", metavar="P.hwx")
    _data(parser, required=True)
    parser.add_argument("-o", "--output", metavar="TRACE.npz", help="write spikes and counts here")
    parser.add_argument("--strict", action="store_true", help="a register overflow is an error")


def _estimate(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "estimate", "energy and latency of a program on some data")
    parser.add_argument("program", metavar="P.hwx")
    _data(parser, required=False)
    parser.add_argument("--trace", metavar="TRACE.npz", help="use this trace of `hwsdk simulate` instead of running")
    parser.add_argument("--proxy", metavar="NAME", help="use the target's documented stand-in for unpublished prices")


def _verify(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(commands, "verify", "compare float reference, integer reference and chip simulator")
    _model(parser)
    _target(parser)
    _data(parser, required=True)
    parser.add_argument("--calibrate", action="store_true", help="let the same data set the register ranges")
    _quantisation(parser)


def _model(parser: argparse.ArgumentParser) -> None:
    """The model and the options that settle its meaning."""
    parser.add_argument("model", metavar="MODEL", help="a .nir file")
    group = parser.add_argument_group("semantics", "what the file leaves open; see docs/semantics.md")
    group.add_argument("--preset", choices=sorted(PRESETS), help="start from an origin framework's own semantics")
    group.add_argument("--guess-nothing", action="store_true", help="refuse instead of guessing what is open")
    group.add_argument("--dt", type=float, help="step, in the model's own time unit")
    for name, choices in CHOICES.items():
        group.add_argument(f"--{name.replace('_', '-')}", choices=choices)
    for name in ("input_delay", "connection_delay", "recurrent_delay"):
        group.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="STEPS")


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", "-t", required=True, help="name of a chip; see `hwsdk targets`")


def _data(parser: argparse.ArgumentParser, required: bool) -> None:
    """Input data and how to read them."""
    parser.add_argument("--input", "-i", metavar="DATA", required=required, help=".npz, .npy, .csv or NIR data file")
    parser.add_argument("--steps", type=int, metavar="N", help="cut or pad the data to N steps")
    parser.add_argument("--bin", type=float, metavar="SECONDS", help="bin width for time-stamped events (default 1e-3)")
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N samples")


def _quantisation(parser: argparse.ArgumentParser) -> None:
    """How to quantise and map."""
    parser.add_argument("--bits", type=int, default=8, help="weight bits (default 8)")
    parser.add_argument("--per-channel", action="store_true", help="one weight scale a channel")
    parser.add_argument("--chips", type=int, default=1, help="chips at hand (default 1)")
    parser.add_argument("--packing", choices=("layer", "dense"), default="layer",
                        help="cores of its own for every layer where there is room, or small layers together")
    parser.add_argument("--seed", type=int, default=0, help="of the placement (default 0)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = build_parser().parse_args(argv)
    from hwsdk.cli.run import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
