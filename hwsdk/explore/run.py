"""explore: measure many design points, keep every result, and say which designs no other beats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsdk import __version__
from hwsdk.errors import HwsdkError
from hwsdk.explore import pareto
from hwsdk.explore.bench import Bench
from hwsdk.explore.engines import Crew
from hwsdk.explore.job import Job, code_digest
from hwsdk.explore.points import Point, Space
from hwsdk.explore.result import BUG, SHARES, Result
from hwsdk.explore.store import Store
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network

if TYPE_CHECKING:
    from hwsdk.backends.memristor_yield import YieldReport

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Exploration:
    """results: of every point, in the order of the points. resumed: how many had been measured before. objectives: of
    the front. least: what a die has to reach, in accuracy where there are labels, to be good. path: the file of
    results.
    """

    results: tuple[Result, ...]
    resumed: int = 0
    objectives: tuple[str, ...] = pareto.OBJECTIVES
    least: float | None = None
    path: Path | None = None

    @property
    def fitting(self) -> tuple[Result, ...]:
        """Points that were compiled and run."""
        return tuple(r for r in self.results if r.fits)

    @property
    def bugs(self) -> tuple[Result, ...]:
        """Points that a fault in hwsdk has ended."""
        return tuple(r for r in self.results if r.code == BUG)

    @property
    def front(self) -> pareto.Front:
        """Designs that no other surely beats; a design of which several chips were measured is its worst chip."""
        worst: dict[Point, Result] = {}
        for r in self.results:
            design = r.point.without("die")
            worst[design] = min(worst.get(design, r), r, key=lambda x: 0.0 if x.quality is None else x.quality)
        return pareto.front(tuple(worst.values()), self.objectives)

    @property
    def reasons(self) -> dict[tuple[str, str], int]:
        """(target, code of the refusal) -> points."""
        return dict(Counter((r.point.target, r.code) for r in self.results if not r.fits).most_common())

    def yields(self) -> dict[Point, YieldReport]:
        """Design without its die -> what its dies gave, where there are several."""
        groups: dict[Point, list[Result]] = {}
        for r in self.results:
            if r.point.get("die") is not None and r.fits and r.quality is not None:
                groups.setdefault(r.point.without("die"), []).append(r)
        return {p: _yield(p, rows, self.least) for p, rows in groups.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values: every point, the front by its keys, refusals and yields."""
        front = self.front
        return {"points": [r.to_dict() for r in self.results], "resumed": self.resumed,
                "pareto": {"objectives": list(front.objectives), "keys": [r.key for r in front.results],
                           "at_least": [r.key for r in front.bounds], "unranked": [r.key for r in front.unranked]},
                "refused": [{"target": t, "code": c, "points": n} for (t, c), n in self.reasons.items()],
                "yields": [{"point": p.to_dict(), **y.to_dict()} for p, y in self.yields().items()],
                "store": None if self.path is None else str(self.path)}

    def to_text(self) -> str:
        """What was measured, the front, and why the rest does not run."""
        from hwsdk.explore.show import text

        return text(self)


def _yield(point: Point, rows: Sequence[Result], least: float | None) -> YieldReport:
    """Of the dies of a design."""
    from hwsdk.backends.memristor_yield import YieldReport

    ordered = sorted(rows, key=lambda r: int(r.point.get("die")))
    measure = next(n for n in SHARES if getattr(ordered[0], n) is not None)
    values = np.array([getattr(r, measure) for r in ordered], np.float64)
    dies = np.array([int(r.point.get("die")) for r in ordered], np.int64)
    name = measure if measure == "accuracy" else f"{measure} with the float model"
    return YieldReport(str(point), name, dies, values, least, None, ())


def head_of(job: Job) -> dict[str, Any]:
    """What a file of results is pinned to."""
    return {"models": job.models, "data": job.shared["data"], "calibration": job.shared["calibration"],
            "version": __version__, "code": code_digest()}


def explore(networks: Network | Mapping[str, Network], data: Stimulus, points: Space | Sequence[Point], *,
            calibration: Stimulus | None = None, crew: Crew | None = None, store: str | Path | None = None,
            resume: bool = False, objectives: Sequence[str] = pareto.OBJECTIVES, least: float | None = None,
            progress: Progress | None = None) -> Exploration:
    """Measure every point that the store does not hold yet.

    Args:
        networks: label -> model, or one model, whose label is its name. data: that every point is run on. points: a
        space, of which the whole grid is measured, or points. calibration: for compiling. crew: who measures; default:
        a process for each processor. store: a file that keeps every result. resume: go on with it. objectives: of the
        front. least: accuracy (or agreement) from which on a die is good. progress: called with (points done, all).

    Raises:
        HwsdkError: UNKNOWN_MODEL, UNKNOWN_TARGET, BAD_OBJECTIVE, and those of Store and Crew.
    """
    named = {networks.name: networks} if isinstance(networks, Network) else dict(networks)
    wanted = points.grid() if isinstance(points, Space) else tuple(dict.fromkeys(points))
    names = pareto.require(objectives)
    job = Job(named, data, calibration)
    if unknown := sorted({p.model for p in wanted} - set(named)):
        raise HwsdkError(f"no model {', '.join(unknown)}", code="UNKNOWN_MODEL", fix=f"use {', '.join(named)}")
    bench = Bench(job)
    keys = {p: bench.key(p) for p in wanted}
    with Store(store, head_of(job), resume) as kept:
        missing = [p for p in wanted if keys[p] not in kept.done]
        done, total = len(wanted) - len(missing), len(wanted)
        resumed = done
        _say(progress, done, total)
        with closing((crew or Crew()).measure(job, missing)) as measured:
            for result in chain.from_iterable(measured):
                kept.add(result)
                done += 1
                _say(progress, done, total)
        found = tuple(kept.done[keys[p]] for p in wanted)
    return Exploration(found, resumed, names, least, kept.path)


def _say(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


__all__ = ["Exploration", "explore", "head_of"]
