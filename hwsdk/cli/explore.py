"""The command explore: its options, and what it does."""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsdk.cli import ANSWER_IS_NO, BUG, INTERRUPTED, data_arguments, model_arguments, whole_from
from hwsdk.cli.checks import DATA, MODEL, require_input, require_output, require_target
from hwsdk.cli.progress import bar
from hwsdk.errors import HwsdkError

if TYPE_CHECKING:
    from hwsdk.explore.points import Axis, Space
    from hwsdk.ir.network import Network

TEXT = "measure many designs: sweep targets and options, keep every result, and show which designs no other beats"
TARGETS = "loihi2,spinnaker2,sfq,memristor"
WITH_DIES = ("memristor*", "sfq")
"""Targets whose chips differ from one to the next."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of explore."""
    model_arguments(parser)
    parser.add_argument("variants", nargs="*", metavar="MODEL", help="more models for the same data")
    data_arguments(parser, required=True)
    parser.add_argument("--targets", "-t", default=TARGETS, metavar="NAME,NAME",
                        help=f"chips (default {TARGETS}); patterns such as memristor* too")
    parser.add_argument("--sweep", "-s", action="append", default=[], metavar="[TARGET.]NAME=VALUES",
                        help="such as bits=2,4,8  steps=64:256:4  memristor.write=0:0.2:5  sfq.run.bias=0.8:1.2:9  "
                        "reset=value,subtract; can be given several times (docs/explore.md)")
    parser.add_argument("--sample", type=whole_from(1), metavar="N", help="N designs of the grid at random, not all")
    parser.add_argument("--seed", type=whole_from(0), default=0, help="of --sample (default 0)")
    parser.add_argument("--calibrate", metavar="DATA", help="data that set register ranges, for all points")
    parser.add_argument("--yield-dies", type=whole_from(1), metavar="N",
                        help="measure N made chips of every design on targets whose chips differ (memristor, sfq)")
    parser.add_argument("--yield-least", type=share, metavar="X", help="a chip is good from this accuracy on")
    parser.add_argument("--pareto", default="energy,latency,accuracy", metavar="NAME,NAME",
                        help="what the front is of (default energy,latency,accuracy)")
    parser.add_argument("-o", "--output", metavar="POINTS.jsonl", help="keep every result here as soon as it is there")
    parser.add_argument("--resume", action="store_true", help="go on with that file; what it holds is not run again")
    parser.add_argument("--engine", choices=("joblib", "dask", "serial"), default="joblib",
                        help="processes (default), a Dask cluster, or this process alone; the results are the same")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://127.0.0.1:8786")
    parser.add_argument("--workers", type=whole_from(1), metavar="N", help="processes (default: one a processor)")
    parser.add_argument("--html", metavar="FILE.html", help="write one page that needs no network")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the designs; .svg and .pdf too")


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def run(a: argparse.Namespace) -> tuple[int, dict[str, Any], str]:
    """The command explore: (exit code, JSON, text)."""
    files = [a.model, *a.variants]
    for model in files:
        require_input(model, MODEL)
    for data in (a.input, a.calibrate):
        require_input(data, DATA)
    for path, suffix in ((a.output, ".jsonl"), (a.html, ".html"), (a.plot, ".png")):
        require_output(path, suffix)
    if a.resume and not a.output:
        raise HwsdkError("nothing to go on with", where="--resume", code="NO_STORE", fix="give -o POINTS.jsonl")
    targets = _targets(a.targets)
    from hwsdk import compiler
    from hwsdk.cli.run import data_options, semantics_of
    from hwsdk.explore import pareto
    from hwsdk.explore.engines import Crew

    objectives = pareto.require([n.strip() for n in a.pareto.split(",") if n.strip()])
    crew = Crew(a.engine, a.workers, a.scheduler)
    networks = {label: compiler.load(f, **semantics_of(a)) for label, f in zip(_labels(files), files, strict=True)}
    first = next(iter(networks.values()))
    space = _space(a, networks, targets)
    calibration = compiler.load_data(a.calibrate, first) if a.calibrate else None
    return _explored(a, networks, compiler.load_data(a.input, first, **data_options(a)), space, objectives, crew,
                     calibration)


def _explored(a: argparse.Namespace, networks: dict[str, Network], data: Any, space: Space, objectives: Any, crew: Any,
              calibration: Any) -> tuple[int, dict[str, Any], str]:
    """Measure, and say what was found."""
    from hwsdk.explore import show
    from hwsdk.explore.run import explore

    points = space.grid() if a.sample is None else space.sample(a.sample, a.seed)
    try:
        with bar("points", a.quiet) as say:
            found = explore(networks, data, points, calibration=calibration, crew=crew, store=a.output, resume=a.resume,
                            objectives=objectives, least=a.yield_least, progress=say.step)
    except KeyboardInterrupt:
        kept = f"what was finished is kept; go on with: -o {a.output} --resume" if a.output else "nothing was kept"
        return INTERRUPTED, {"interrupted": True, "store": a.output}, f"interrupted; {kept}\n"
    files = [str(write(found, path)) for write, path in ((show.page, a.html), (show.plot, a.plot)) if path]
    text = found.to_text() + "".join(f"wrote {name}\n" for name in ([a.output] if a.output else []) + files)
    code = BUG if found.bugs else 0 if found.fitting else ANSWER_IS_NO
    return code, {**found.to_dict(), "files": files}, text


def _targets(text: str) -> tuple[str, ...]:
    """The names that are meant.

    Raises:
        TargetError: no such target.
    """
    from hwsdk import backends

    found: list[str] = []
    for part in (p.strip() for p in text.split(",") if p.strip()):
        matching = [n for n in backends.names() if fnmatchcase(n, part)]
        if not matching:
            require_target(part)
        found += matching
    if not found:
        raise HwsdkError("no target", where="--targets", code="NO_TARGET", fix="give names; see: hwsdk targets")
    return tuple(dict.fromkeys(found))


def _labels(files: list[str]) -> list[str]:
    """Short names that tell the models apart."""
    stems = [Path(f).stem for f in files]
    if len(set(files)) < len(files):
        raise HwsdkError("a model is given twice", where="MODEL", code="BAD_MODELS", fix="give each once")
    return stems if len(set(stems)) == len(files) else files


def _space(a: argparse.Namespace, networks: dict[str, Network], targets: tuple[str, ...]) -> Space:
    """All designs that are asked for."""
    from hwsdk import backends
    from hwsdk.explore.points import Space, axis
    from hwsdk.ir.semantics import CHOICES

    axes: list[Axis] = [axis(text, backends.names(), ("dt", *CHOICES)) for text in a.sweep]
    return Space(tuple(networks), targets, (*axes, *_dies(a.yield_dies, targets)))


def _dies(n: int | None, targets: tuple[str, ...]) -> tuple[Axis, ...]:
    """Made chips of a design.

    Raises:
        HwsdkError: NO_YIELD.
    """
    from hwsdk.explore.points import Axis

    if n is None:
        return ()
    if not any(fnmatchcase(t, p) for t in targets for p in WITH_DIES):
        raise HwsdkError(f"chips of {', '.join(targets)} do not differ", where="--yield-dies", code="NO_YIELD",
                         fix="choose memristor targets or sfq")
    return (Axis("die", tuple(range(n)), WITH_DIES),)


__all__ = ["TEXT", "arguments", "run"]
