"""The designs that no other beats in everything: Pareto fronts over results of which some are lower bounds only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwsdk.errors import HwsdkError
from hwsdk.explore.result import AMOUNTS, SHARES, Result

OBJECTIVES = ("energy", "latency", "accuracy")
TAILS = {"latency_p50": 0, "latency_p95": 1, "latency_p99": 2}


@dataclass(frozen=True, slots=True)
class Score:
    """A value of which less is better. missing: the parts that it does not hold, so that it is a lower bound."""

    value: float
    missing: frozenset[str] = frozenset()

    def reaches(self, other: Score, one_target: bool) -> bool:
        """Is it surely as good? A lower bound is never surely as good as a complete number; as another lower bound only
        on the same target and with the same parts missing, where the known parts decide.
        """
        alike = not self.missing or (one_target and self.missing == other.missing)
        return alike and self.value <= other.value


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """results: that no other surely beats, in the order given. unranked: that fit, but of which an objective is not
    known. bounds: of the results, those of which an objective is a lower bound.
    """

    objectives: tuple[str, ...]
    results: tuple[Result, ...]
    unranked: tuple[Result, ...]

    @property
    def bounds(self) -> tuple[Result, ...]:
        """Of the results."""
        return tuple(r for r in self.results if any(s is not None and s.missing for s in scores(r, self.objectives)))


def require(objectives: Sequence[str]) -> tuple[str, ...]:
    """Objectives that there are.

    Raises:
        HwsdkError: BAD_OBJECTIVE.
    """
    known = (*AMOUNTS, *TAILS, *SHARES)
    if bad := [n for n in objectives if n not in known and not n.startswith("used.")]:
        raise HwsdkError(f"no objective {', '.join(map(repr, bad))}", where="--pareto", code="BAD_OBJECTIVE",
                         fix=f"use {', '.join(known)}, or used.RESOURCE")
    if not objectives:
        raise HwsdkError("no objective", where="--pareto", code="BAD_OBJECTIVE", fix=f"use {', '.join(known)}")
    return tuple(dict.fromkeys(objectives))


def scores(result: Result, objectives: Sequence[str]) -> tuple[Score | None, ...]:
    """One for each objective, None where nothing is known. Accuracy, agreement and similarity count negatively."""
    return tuple(_score(result, name) for name in objectives)


def _score(result: Result, name: str) -> Score | None:
    if name in SHARES:
        share: float | None = getattr(result, name)
        return None if share is None else Score(-share)
    if name in TAILS:
        tail = result.percentiles[TAILS[name]] if result.percentiles else None
        latency = result.amount("latency")
        return None if tail is None or latency is None else Score(tail, frozenset(latency.missing))
    if name.startswith("used."):
        used = result.used.get(name.removeprefix("used."))
        return None if used is None else Score(float(used[0]))
    amount = result.amount(name)
    return None if amount is None or amount.value is None else Score(amount.value, frozenset(amount.missing))


def front(results: Sequence[Result], objectives: Sequence[str] = OBJECTIVES) -> Front:
    """The Pareto front of the results that fit. Results that are equal in everything are all on it.

    Raises:
        HwsdkError: BAD_OBJECTIVE.
    """
    names = require(objectives)
    fitting = [r for r in results if r.fits]
    scored = [(r, scores(r, names)) for r in fitting]
    ranked = [(r, tuple(s for s in own if s is not None)) for r, own in scored if None not in own]
    # who beats another has values that are nowhere larger, so it comes first in this order
    order = sorted(range(len(ranked)), key=lambda k: [s.value for s in ranked[k][1]])
    kept: list[int] = []
    for k in order:
        if not any(_beats(*ranked[j], *ranked[k]) for j in kept):
            kept.append(k)
    return Front(names, tuple(ranked[k][0] for k in sorted(kept)), tuple(r for r, own in scored if None in own))


def _beats(a: Result, own: tuple[Score, ...], b: Result, other: tuple[Score, ...]) -> bool:
    """Surely as good in everything, and better in something."""
    one = a.point.target == b.point.target
    return all(x.reaches(y, one) for x, y in zip(own, other, strict=True)) and any(
        x.value < y.value for x, y in zip(own, other, strict=True))


__all__ = ["Front", "OBJECTIVES", "Score", "front", "require", "scores"]
