"""The command report: one offline page on a program and a run of it, or the same as text."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from hwsdk.cli import data_arguments, option_arguments, whole_from
from hwsdk.cli.checks import DATA, PROGRAM, TRACE, require_input, require_output, require_proxy
from hwsdk.cli.progress import bar

if TYPE_CHECKING:
    from hwsdk.backends.base import Program
    from hwsdk.ir.data import Stimulus
    from hwsdk.ir.trace import Trace

TEXT = "one offline page: placement, traffic, spikes, energy and time by layer, losses, ledger, sources"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The program, a run of it or data for one, and where the page goes."""
    parser.add_argument("program", metavar="P.hwx", help="what `hwsdk compile` wrote")
    parser.add_argument("trace", metavar="TRACE.npz", nargs="?", help="a run of it, from `hwsdk simulate`")
    data_arguments(parser, required=False)
    parser.add_argument("-o", "--output", metavar="OUT.html", help="write the page here; else only the text is printed")
    parser.add_argument("--sample", type=whole_from(0), default=0, metavar="K", help="of the rasters (default 0)")
    parser.add_argument("--proxy", metavar="NAME",
                        help="use the target's documented stand-in for unpublished prices; see `hwsdk targets NAME`")
    parser.add_argument("--boundary", choices=("chip", "host"), default="chip",
                        help="what counts: the chip (default), or its host processors too")
    option_arguments(parser)


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command: (exit code, JSON, text)."""
    require_input(a.program, PROGRAM)
    require_input(a.trace, TRACE)
    require_input(a.input, DATA)
    require_output(a.output, ".html")
    from hwsdk import backends, compiler
    from hwsdk.report.content_of import content_of

    program = compiler.load_program(a.program)
    require_proxy(program.target, a.proxy)
    trace, data = _run(a, program)
    cost = None
    if trace is not None and trace.counts:
        cost = compiler.estimate(program, trace, proxy=a.proxy, boundary=a.boundary, target_options=dict(a.option))
    content = content_of(program, trace, backends.get(program.target), cost=cost, stimulus=data, sample=a.sample)
    body: dict[str, Any] = {**content.to_dict(), "output": a.output}
    if a.output is None:
        return 0, body, content.to_text()
    from hwsdk.report.html import save

    size = save(content, a.output).stat().st_size
    body["bytes"] = size
    facts = "".join(f"  {n:12} {v}\n" for n, v in content.facts if n not in ("meaning", "program"))
    return 0, body, f"{content.title}\n{facts}wrote {a.output}, {size / 1e6:.2f} MB\n"


def _run(a: argparse.Namespace, program: Program) -> tuple[Trace | None, Stimulus | None]:
    """(trace, data): a given trace, or a simulation of the data."""
    from hwsdk import compiler
    from hwsdk.cli.run import data_options
    from hwsdk.ir.trace_file import load_trace

    data = compiler.load_data(a.input, program, **data_options(a)) if a.input else None
    if a.trace:
        return load_trace(a.trace, program.digest()), data
    if data is None:
        return None, None
    with bar("simulate", a.quiet) as say:
        return compiler.simulate(program, data, progress=say.step), data


__all__ = ["TEXT", "arguments", "run"]
