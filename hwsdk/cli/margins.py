"""The command margins: its options, and what it does."""

from __future__ import annotations

import argparse
import math
from typing import Any

from hwsdk.cli import whole_from
from hwsdk.cli.checks import DATA, PROGRAM, TRACE, require_input, require_output
from hwsdk.cli.progress import bar

TEXT = "how far bias currents of an SFQ netlist may be from nominal, and how many of many made chips would work"
POINTS = 25


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of its own; program and data are as in other commands."""
    parser.add_argument("--bias", type=factors, metavar="LO:HI[:N]",
                        help=f"factors on bias currents, N of them from LO to HI (default 0.7:1.3:{POINTS})")
    parser.add_argument("--layer", action="append", default=[], metavar="NAME",
                        help="a bias line of its own: a population, clock, or all, which is the default; can be given "
                        "several times")
    parser.add_argument("--map", action="store_true", help="of exactly two --layer, also a map of both")
    parser.add_argument("--what", choices=("bias", "soma"), default="bias",
                        help="scale all bias currents of a line (default), or those of its somas alone")
    parser.add_argument("--expected", metavar="TRACE.npz",
                        help="right is what this trace of `hwsdk simulate` holds; default: the run at nominal bias")
    parser.add_argument("--runs", type=whole_from(1), metavar="N", help="also N runs of chips that differ, see below")
    parser.add_argument("--jitter", action="store_true", help="with thermal jitter of every delay")
    parser.add_argument("--unknown-jitter", type=fs, default=0.0, metavar="FS",
                        help="jitter of cells whose own nobody knows, in fs (default 0)")
    parser.add_argument("--spread", type=share, default=0.0, metavar="S",
                        help="relative standard deviation of the delays of a chip's cells (default 0)")
    parser.add_argument("--threshold-spread", type=share, default=0.0, metavar="S",
                        help="relative standard deviation of the critical currents of somas (default 0)")
    parser.add_argument("--seed", type=whole_from(0), default=0, help="of the runs (default 0)")
    parser.add_argument("--threads", type=whole_from(1), default=1, metavar="N", help="for the runs (default 1)")
    parser.add_argument("--curve", action="store_true",
                        help="the yield also at none, half, one and a half and twice the --spread")
    parser.add_argument("--plot", metavar="FILE.png",
                        help="draw the windows; .svg and .pdf too; the --curve into FILE_yield.png")


def factors(text: str) -> tuple[float, float, int]:
    """LO:HI[:N]."""
    try:
        low, high, *rest = text.split(":")
        found = float(low), float(high), int(rest[0]) if rest else POINTS
        if len(rest) > 1 or not (0 <= found[0] < found[1] < math.inf and found[2] > 1):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not LO:HI or LO:HI:N, with 0 <= LO < HI and N > 1") from None
    return found


def fs(text: str) -> float:
    """A number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = fs(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command: (exit code, JSON, text)."""
    require_input(a.program, PROGRAM)
    require_input(a.input, DATA)
    require_input(a.expected, TRACE)
    require_output(a.plot, ".png")
    import numpy as np

    from hwsdk import compiler
    from hwsdk.ir.trace_file import load_trace

    program = compiler.load_program(a.program)
    given = {"n_steps": a.steps, "dt_s": a.bin, "limit": a.limit}
    data = compiler.load_data(a.input, program, **{k: v for k, v in given.items() if v is not None})
    expected = load_trace(a.expected, program.digest()) if a.expected else None
    with bar("margins", a.quiet) as say:
        report = compiler.margins(
            program, data, k=np.linspace(*a.bias) if a.bias else None, groups=groups(a), what=a.what,
            expected=expected, runs=a.runs or 0, jitter=a.jitter, spread=a.spread, unknown_sigma_fs=a.unknown_jitter,
            threshold_spread=a.threshold_spread, over_spread=a.curve, seed=a.seed, threads=a.threads, say=say.phase)
        written = list(map(str, report.plot(a.plot))) if a.plot else []
    text = report.to_text() + "".join(f"wrote {name}\n" for name in written)
    return 0, {**report.to_dict(), "digest": program.digest(), "files": written}, text


def groups(a: argparse.Namespace) -> list[str | tuple[str, str]] | None:
    """Lines, and the map of two."""
    from hwsdk.errors import HwsdkError

    if a.map and len(a.layer) != 2:
        raise HwsdkError(f"{len(a.layer)} layers for a map", where="--map", code="BAD_LAYERS",
                         fix="give --layer exactly twice")
    return [*a.layer, *([(a.layer[0], a.layer[1])] if a.map else [])] or None


__all__ = ["TEXT", "arguments", "run"]
