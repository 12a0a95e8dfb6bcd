"""fit: edits that make a model fit a chip or meet a budget; every one was compiled and simulated before it is told."""

from __future__ import annotations

import heapq
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwsdk import backends
from hwsdk.backends.base import Backend, CompileOptions, Program
from hwsdk.cost import si
from hwsdk.errors import FitError, HwsdkError, MissingDependencyError
from hwsdk.explore.bench import Baseline, baseline_of, refused, result_of, scores_of
from hwsdk.explore.edits import Design, Edit, edits_for
from hwsdk.explore.points import COMPILE, Point
from hwsdk.explore.result import SHARES, Result
from hwsdk.ir import formats
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network

TRIES, SECONDS = 120, 300.0
ENOUGH = 5
"""Changes that work, after which no more are looked for."""
MOST_OPEN = 20
"""The same for what may work, as far as prices are published."""
DEEPEST = 4
"""Edits together."""
NO_FIT, NO_RUN = 100.0, 1000.0
"""Distances of what does not fit, and of what the chip cannot do at all, beside how far a budget is missed."""
MET, MISSED, OPEN = "met", "missed", "not known"
Tick = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Goals:
    """energy J and latency s at the most, of an inference (mean of the samples); quality: accuracy at the least, or
    where there are no labels agreement with the float model. None: nothing is asked. published: a sum of which parts
    have no published price counts as the sum of the others.
    """

    energy: float | None = None
    latency: float | None = None
    quality: float | None = None
    published: bool = False

    def __post_init__(self) -> None:
        for name in ("energy", "latency"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise HwsdkError(f"a budget of {value:g}", where=name, code="BAD_BUDGET", fix="give a number above 0")
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise HwsdkError(f"{self.quality:g}", where="least accuracy", code="BAD_BUDGET", fix="give 0 to 1")

    def states(self, result: Result) -> dict[str, str]:
        """Goal -> MET, MISSED or OPEN: a lower bound within a budget says nothing."""
        found = {}
        for name in ("energy", "latency"):
            limit, amount = getattr(self, name), result.amount(name)
            if limit is not None:
                value = None if amount is None else amount.value
                found[name] = OPEN if amount is None or value is None else MISSED if value > limit else \
                    OPEN if amount.is_lower_bound and not self.published else MET
        if self.quality is not None:
            own = result.quality
            found["accuracy"] = OPEN if own is None else MET if own >= self.quality else MISSED
        return found if result.fits else {"fit": MISSED, **dict.fromkeys(found, OPEN)}

    def text(self, name: str) -> str:
        """A goal as people read it."""
        if name == "accuracy":
            return f"{self.quality:.2%} or more"
        return f"{si(getattr(self, name), 'J' if name == 'energy' else 's')} or less"

    def distance(self, result: Result) -> float:
        """How far a result that fits is from them: 0 where none is missed; a factor of e in a budget is 1."""
        total = 0.0
        for name, state in self.states(result).items():
            if state == MISSED and name == "accuracy":
                total += (self.quality or 0.0) - (result.quality or 0.0)
            elif state == MISSED:
                amount = result.amount(name)
                total += math.log((amount.value or 0.0) / getattr(self, name)) if amount is not None else 0.0
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """edits: what was changed, () for the model as it was given. result: what came of it. distance: from fitting and
    from the goals, 0 where nothing is missed. states: see ``Goals.states``. program: None where it does not fit.
    """

    edits: tuple[Edit, ...]
    design: Design
    result: Result
    distance: float
    states: Mapping[str, str]
    program: Program | None = None

    @property
    def ok(self) -> bool:
        """It fits, and every goal is met."""
        return self.result.fits and all(s == MET for s in self.states.values())

    @property
    def open(self) -> bool:
        """It fits and no goal is missed, but of one it is not known."""
        return self.result.fits and not self.ok and MISSED not in self.states.values()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"edits": [{"name": e.name, "value": e.value, "text": e.text} for e in self.edits], "ok": self.ok,
                "distance": self.distance, "goals": dict(self.states), "result": self.result.to_dict()}


@dataclass(frozen=True, slots=True, eq=False)
class FitReport:
    """base: the model as it was given. working: what fits and meets every goal, the least loss first; open: what may,
    as far as prices are published. tried: all, in the order of the search. nearest: the best of what does not work,
    None where something does. ended: why the search went no further.
    """

    target: str
    goals: Goals
    base: Candidate
    working: tuple[Candidate, ...]
    open: tuple[Candidate, ...]
    tried: tuple[Candidate, ...]
    nearest: Candidate | None
    ended: str = ""

    @property
    def ok(self) -> bool:
        """Something works."""
        return bool(self.working)

    @property
    def best(self) -> Candidate | None:
        """Of what works."""
        return self.working[0] if self.working else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"target": self.target, "ok": self.ok, "needed": not self.base.ok, "ended": self.ended,
                "goals": {n: getattr(self.goals, n) for n in ("energy", "latency", "quality")},
                "base": self.base.to_dict(), "working": [c.to_dict() for c in self.working],
                "open": [c.to_dict() for c in self.open], "tried": len(self.tried),
                "nearest": None if self.nearest is None else self.nearest.to_dict()}

    def to_text(self) -> str:
        """What works, ranked by what it costs; or the nearest, and what it misses."""
        lines = [f"{self.base.result.point.model} on {self.target}, as given: {_found(self.base.result)}"]
        if self.base.ok:
            return "\n".join([*lines, "nothing needs to be changed"]) + "\n"
        lines += [f"  {line}" for line in self._missed(self.base)]
        lines.append(f"{len(self.tried)} designs compiled and simulated; {self.ended}")
        for title, rows in (("these work, the least loss first", self.working),
                            ("these meet the goals as far as prices are published", self.open[:ENOUGH])):
            if rows:
                lines += [title, *(line for c in rows for line in self._lines(c))]
        if not self.working:
            lines.append("nothing was found that is known to work")
        if self.nearest is self.base:
            lines.append("nothing came nearer than the model as it was given")
        elif self.nearest is not None and not self.open:
            lines += ["the nearest", *self._lines(self.nearest), *(f"      {m}" for m in self._missed(self.nearest))]
        return "\n".join(lines) + "\n"

    def _lines(self, c: Candidate) -> Iterator[str]:
        yield f"  {'; '.join(e.text for e in c.edits) or 'as given'}"
        yield f"      {_found(c.result)}"

    def _missed(self, c: Candidate) -> Iterator[str]:
        """What is wrong with it."""
        if not c.result.fits:
            yield f"[{c.result.code}] {c.result.reason}"
        for name, state in c.states.items():
            if c.result.fits and state != MET:
                yield f"{name} {state}: asked for {self.goals.text(name)}"


def _found(r: Result) -> str:
    """Shares, energy and latency in a line."""
    if not r.fits:
        return "does not run"
    shares = [f"{n} {v:.2%}" for n in SHARES[:2] if (v := getattr(r, n)) is not None]
    if not shares and r.similarity is not None:
        shares = [f"similarity {r.similarity:.4f}"]
    for name, unit in (("energy", "J"), ("latency", "s")):
        amount = r.amount(name)
        known = "unknown" if amount is None or amount.value is None else si(amount.value, unit)
        shares.append(f"{name} {'at least ' if amount is not None and amount.missing else ''}{known}")
    return ", ".join(shares)


class _Trial:
    """Compiles and runs designs of one model on one target, and remembers nothing but the float model's run."""

    def __init__(self, network: Network, backend: Backend, data: Stimulus, goals: Goals, estimate: Mapping[str, Any],
                 ) -> None:
        self.network, self.backend, self.data, self.goals = network, backend, data, goals
        self.proxy, self.boundary = estimate.get("proxy"), estimate.get("boundary", "chip")
        self.prices = {n: v for n, v in estimate.items() if n not in ("proxy", "boundary")}
        self.refusal: FitError | None = None

    def baseline(self) -> Baseline:
        """Of the model as it was given, on all steps."""
        if not hasattr(self, "_ideal"):
            self._ideal = baseline_of(self.network, self.data)
        return self._ideal

    def of(self, edits: tuple[Edit, ...], design: Design) -> Candidate:
        """Really compiled, simulated and priced."""
        point = _point(self.network.name, self.backend.name, edits, design)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                program = self.backend.compile(design.network, design.options, lambda _: None)
                result = self._run(point, program, design)
            except (MissingDependencyError, OSError, MemoryError):
                raise
            except Exception as error:
                return self._refused(edits, design, point, error, time.perf_counter() - start)
        result = replace(result, seconds=time.perf_counter() - start)
        return Candidate(edits, design, result, self.goals.distance(result), self.goals.states(result), program)

    def _run(self, point: Point, program: Program, design: Design) -> Result:
        shapes = {n: e.shape for n, e in self.data.inputs.items()}
        data = self.data if design.steps is None else formats.load_data(self.data, shapes, n_steps=design.steps)
        trace = self.backend.simulate(program, data, probes=(), strict=False, progress=None)
        cost = self.backend.estimate(program, trace, self.proxy, self.boundary, self.prices)
        scores = scores_of(self.baseline(), self.network, program, trace, data)
        return result_of(point, self.backend, program, cost, scores)

    def _refused(self, edits: tuple[Edit, ...], design: Design, point: Point, error: Exception,
                 seconds: float) -> Candidate:
        """How far it is from fitting: all broken rules, each by the worst factor."""
        result, far = replace(refused(point, error), seconds=seconds), NO_RUN
        if isinstance(error, FitError):
            if not edits:
                self.refusal = error
            worst: dict[str, float] = {}
            for v in error.violations:
                worst[v.rule] = max(worst.get(v.rule, 0.0), math.log(max(v.need, 1.0) / max(v.limit, 1.0)))
            far = NO_FIT + sum(worst.values())
        return Candidate(edits, design, result, far, self.goals.states(result))


def _point(model: str, target: str, edits: tuple[Edit, ...], design: Design) -> Point:
    """A candidate's settings; those of edits that are no option by their own names."""
    o = design.options
    settings: dict[str, Any] = {n: getattr(o, n) for n in COMPILE} | {"steps": design.steps}
    settings |= {f"option.{n}": v for n, v in o.target_options.items()}
    return Point.of(model, target, settings | {e.name: e.value for e in edits})


def fit(network: Network, target: str, data: Stimulus, *, options: CompileOptions | None = None,
        goals: Goals | None = None, estimate: Mapping[str, Any] | None = None, tries: int = TRIES,
        seconds: float = SECONDS, progress: Tick | None = None) -> FitReport:
    """Look for edits with which a model fits a target and meets the goals, the cheapest first, alone and together.

    Args:
        data: what every candidate is run on. options: of the compilation to start from. estimate: proxy, boundary and
        the target's own options of an estimate. tries, seconds: after which the search ends; the first try is always
        made. progress: called with (tries done, tries at the most).

    Raises:
        TargetError, DataError: no such target, or data that do not suit the model.
    """
    wanted, start = goals or Goals(), time.monotonic()
    trial = _Trial(network, backends.get(target), data, wanted, estimate or {})
    data.require({n: i.shape for n, i in network.inputs.items()}, whole=False)
    first = Design(network, options or CompileOptions())
    base = trial.of((), first)
    tried, ended = [base], "no edit makes a price known that is not published" if base.open else ""
    if not (base.ok or base.open):
        edits = edits_for(target, first, data.n_steps, trial.refusal, budget=wanted != Goals(),
                          finer=base.states.get("accuracy") == MISSED)
        ended = "there are no more"
        for candidate in _searched(trial, base, edits):
            tried.append(candidate)
            if progress is not None:
                progress(len(tried), tries)
            if len(_different(tried, "ok")) >= ENOUGH or len(_different(tried, "open")) >= MOST_OPEN:
                ended = "enough were found"
            elif len(tried) >= tries:
                ended = f"stopped after {tries} tries"
            elif time.monotonic() - start > seconds:
                ended = f"stopped after {seconds:g} s"
            else:
                continue
            break
    working, may = _different(tried, "ok"), _different(tried, "open")
    nearest = None if working else min(tried, key=lambda c: (c.distance, *_loss(c)))
    return FitReport(target, wanted, base, working, may, tuple(tried), nearest, ended)


def _different(tried: list[Candidate], what: str) -> tuple[Candidate, ...]:
    """Those that are so, the least loss first; of several with one program and run, that with the cheapest edits."""
    found: dict[tuple[str, int | None], Candidate] = {}
    for c in tried:
        if getattr(c, what):
            found.setdefault((c.result.digest, c.design.steps), c)
    return tuple(sorted(found.values(), key=_loss))


def _loss(c: Candidate) -> tuple[float, ...]:
    """What it costs: accuracy, then agreement, similarity, number of edits, energy."""
    r, energy = c.result, c.result.amount("energy")
    shares = [-1.0 if (v := getattr(r, n)) is None else -v for n in SHARES]
    return (*shares, float(len(c.edits)), math.inf if energy is None or energy.value is None else energy.value)


def _searched(trial: _Trial, base: Candidate, edits: list[Edit]) -> Iterator[Candidate]:
    """Single edits by their costs, then combinations: what came nearest first, with the cheapest edit. What works is
    not edited further; nothing is added to what came no nearer than what it was made from.
    """
    waiting: list[tuple[float, float, tuple[int, ...]]] = [(0.0, edit.cost, (k,)) for k, edit in enumerate(edits)]
    parents: dict[tuple[int, ...], Candidate] = {(): base}
    seen = {frozenset(chosen) for *_, chosen in waiting}
    heapq.heapify(waiting)
    mended: set[tuple[int, ...]] = set()
    while waiting:
        _, cost, chosen = heapq.heappop(waiting)
        last, parent = edits[chosen[-1]], parents[chosen[:-1]]
        design = last.change(parent.design)
        if design is None or (last.kind == "chips" and chosen[:-1] in mended):
            continue
        candidate = trial.of(tuple(edits[k] for k in chosen), design)
        yield candidate
        if last.kind == "chips" and candidate.result.fits:
            mended.add(chosen[:-1])  # more chips than enough change nothing
        if candidate.ok or candidate.open or candidate.distance >= parent.distance or len(chosen) == DEEPEST:
            continue
        parents[chosen] = candidate
        kinds = {edits[k].kind for k in chosen}
        for k, edit in enumerate(edits):
            if edit.kind not in kinds and (more := frozenset((*chosen, k))) not in seen:
                seen.add(more)
                heapq.heappush(waiting, (candidate.distance + cost + edit.cost, cost + edit.cost, (*chosen, k)))


__all__ = ["Candidate", "FitReport", "Goals", "fit"]
