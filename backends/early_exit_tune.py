"""The threshold of an exit rule, from calibration data: what each threshold costs in accuracy and saves in steps.

Data on which a threshold was chosen flatter it. Report what it does on others.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk import backends
from hwsdk.backends.base import Program
from hwsdk.backends.early_exit import rule_of
from hwsdk.backends.memristor_yield import clopper_pearson
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.early_exit import UNREACHED, Course, ExitRule, course
from hwsdk.ir.trace import Trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST = 512
"""Thresholds that are tried."""
LABELS, OWN = "labels", "the decisions after all steps"


@dataclass(frozen=True, slots=True)
class Point:
    """A threshold, or those of all steps, on the calibration data: share of right decisions, and mean steps. lost:
    samples that are right after all steps and are not now.
    """

    thresholds: tuple[float, ...]
    accuracy: float
    steps: float
    lost: int

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"thresholds": list(self.thresholds), "accuracy": self.accuracy, "steps": self.steps,
                "lost": self.lost}


@dataclass(frozen=True, slots=True)
class Tuned:
    """What calibration found.

    rule: that with the fewest mean steps which loses no more than ``most_loss``; None if none of them saves a step.
    chosen: what it does on the calibration data. curve: the single thresholds that no other beats in both accuracy and
    steps, by steps. fixed: what stopping every sample at one step gives, for each step at which the rule is asked.
    against: what a right decision is, LABELS or OWN.
    """

    rule: ExitRule | None
    chosen: Point | None
    curve: tuple[Point, ...]
    fixed: tuple[Point, ...]
    full_accuracy: float
    most_loss: float
    samples: int
    against: str

    @property
    def loss_bound(self) -> float | None:
        """Share of right decisions that the chosen rule may really lose: upper end of the exact one-sided 95 % interval
        of a threshold that nobody chose; choosing makes it larger. None without a rule.
        """
        return None if self.chosen is None else _bound(self.chosen.lost, self.samples)

    def to_text(self) -> str:
        """The curve as people read it."""
        lines = [f"tuned on {self.samples} sample(s), right by {self.against}: {self.full_accuracy:.1%} after all "
                 f"steps, may lose {self.most_loss:.2%}",
                 "  thresholds that no other beats", "    threshold   accuracy  mean steps"]
        lines += [f"    {p.thresholds[0]:<11.6g} {p.accuracy:8.1%}  {p.steps:10.2f}" for p in _few(self.curve)]
        lines += ["  every sample stopped at one step", "    step        accuracy"]
        lines += [f"    {p.steps:<11g} {p.accuracy:8.1%}" for p in _few(self.fixed)]
        if self.rule is None or self.chosen is None:
            return "\n".join([*lines, "  no threshold saves steps within that loss"]) + "\n"
        return "\n".join([*lines, f"  chosen: {self.rule.to_text()}: {self.chosen.accuracy:.1%} in "
                          f"{self.chosen.steps:.2f} steps",
                          f"  {self.samples} samples do not exclude a loss of {self.loss_bound:.1%} (95 %)"]) + "\n"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"rule": None if self.rule is None else self.rule.to_json(),
                "chosen": None if self.chosen is None else self.chosen.to_dict(),
                "loss_bound": self.loss_bound, "curve": [p.to_dict() for p in self.curve],
                "fixed": [p.to_dict() for p in self.fixed],
                "full_accuracy": self.full_accuracy, "most_loss": self.most_loss, "samples": self.samples,
                "against": self.against}


def _few(points: tuple[Point, ...], most: int = 12) -> tuple[Point, ...]:
    """Some of many, first and last among them."""
    if len(points) <= most:
        return points
    return tuple(points[round(k * (len(points) - 1) / (most - 1))] for k in range(most))


def tune(program: Program, data: Stimulus, *, most_loss: float = 0.005, rule: ExitRule | None = None,
         per_step: bool = False, sure: bool = False, trace: Trace | None = None, threads: int = 1,
         progress: Callable[[int, int], None] | None = None) -> Tuned:
    """The rule with the fewest mean steps that loses no more than ``most_loss`` of right decisions on some data.

    Args:
        data: calibration data, not those on which the result is reported. With labels, a decision is right if it is the
        label; without, if it is that after all steps. rule: its thresholds are looked for, all else is kept; default
        ``blank``. per_step: a threshold for each step at which the rule is asked, the loss spent as early as it can be,
        which fits few data too well. sure: the bound of the loss (Tuned.loss_bound), not what was seen, has to be no
        more than ``most_loss``, which takes many data: 0.5 % takes 600. trace: of ``data``; default it is simulated.

    Raises:
        UnsupportedError: NO_SUCH_OUTPUT, BAD_RULE. DataError: BAD_LOSS.
    """
    if not 0 <= most_loss < 1:
        raise DataError(f"a loss of {most_loss!r}", where="exit rule", code="BAD_LOSS", fix="give a share from 0 to 1")
    asked = rule_of(program, rule or blank(program))
    if trace is None:
        trace = backends.get(program.target).simulate(program, data, probes=(), strict=False, progress=progress,
                                                      threads=threads)
    events = trace.aligned(asked.output, data.n_steps)
    seen = course(asked, events)
    after = course(replace(asked, earliest=data.n_steps, latest=None), events).decision[:, -1]
    truth = after if data.labels is None else data.labels
    judged = _Judged(seen, seen.decision == truth[:, None], after == truth)
    return _tuned(asked, judged, most_loss, per_step, sure, OWN if data.labels is None else LABELS)


def blank(program: Program, output: str | None = None) -> ExitRule:
    """A rule that never stops early, whose fields can be changed: of the margin, which has few levels, so that few
    data do not flatter it. output: that decides; default the only one.

    Raises:
        UnsupportedError: NO_SUCH_OUTPUT, there are several.
    """
    if output is None and len(program.outputs) != 1:
        raise UnsupportedError(f"the program has the outputs {', '.join(program.outputs)}", where="exit rule",
                               code="NO_SUCH_OUTPUT", fix="say which of them decides")
    return ExitRule(output or next(iter(program.outputs)), (UNREACHED,), "margin")


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What a rule saw; which of its decisions (samples, k) are right, and which after all steps (samples,)."""

    seen: Course
    right: NDArray[np.bool_]
    after: NDArray[np.bool_]

    def point(self, thresholds: tuple[float, ...], at: Ints) -> Point:
        """What stopping each sample at the check ``at`` gives."""
        right = self.right[np.arange(len(at)), at]
        return Point(thresholds, float(right.mean()), float(self.seen.checks[at].mean()),
                     int((self.after & ~right).sum()))


def _tuned(rule: ExitRule, judged: _Judged, most_loss: float, per_step: bool, sure: bool, against: str) -> Tuned:
    """From what the rule saw."""
    seen, n, full = judged.seen, len(judged.after), float(judged.after.mean())
    points = [judged.point((t,), seen.exits(t)) for t in _candidates(seen.confidence)]
    fixed = tuple(judged.point((), np.full(n, k)) for k in range(len(seen.checks)))

    def good(p: Point) -> bool:
        """Does it save steps, and not lose too much?"""
        keeps = _bound(p.lost, n) <= most_loss if sure else p.accuracy >= full - most_loss - 1e-12
        return keeps and p.steps < seen.checks[-1]

    tried = [_stepwise(judged, most_loss)] if per_step else points
    chosen = min(filter(good, tried), key=lambda p: (p.steps, -p.accuracy), default=None)
    found = None if chosen is None else replace(rule, thresholds=chosen.thresholds)
    return Tuned(found, chosen, pareto(points), fixed, full, most_loss, n, against)


def _bound(lost: int, samples: int) -> float:
    """Upper end of the exact one-sided 95 % interval."""
    return clopper_pearson(lost, samples, 0.9)[1]


def _candidates(confidence: Floats) -> list[float]:
    """A threshold between each two neighbouring confidences that occurred; of many some."""
    values = np.unique(confidence)
    if len(values) > MOST:
        chosen = np.unique(np.linspace(0, len(values) - 1, MOST).round().astype(int))
    else:
        chosen = np.arange(len(values))
    return [_short(float(values[k - 1]) if k else -math.inf, float(values[k])) for k in chosen]


def _short(below: float, value: float) -> float:
    """The number of fewest digits above ``below`` and not above ``value``; halfway where none is short."""
    for digits in range(13):
        scale = 10.0**digits
        if below < (short := math.floor(value * scale) / scale) <= value:
            return short
    return value if math.isinf(below) else (below + value) / 2 if below < (below + value) / 2 else value


def pareto(points: list[Point]) -> tuple[Point, ...]:
    """Those with more accuracy than all that take as few steps or fewer, by steps."""
    found: list[Point] = []
    for p in sorted(points, key=lambda p: (p.steps, -p.accuracy)):
        if not found or p.accuracy > found[-1].accuracy:
            found.append(p)
    return tuple(found)


def _stepwise(judged: _Judged, most_loss: float) -> Point:
    """A threshold for each step: at each, as many of the surest samples stop as the loss that is left allows."""
    seen, after = judged.seen, judged.after
    left = math.floor(most_loss * len(after) + 1e-9)
    running, table = np.ones(len(after), bool), np.full(int(seen.checks[-1]), UNREACHED)
    for k, n in enumerate(seen.checks[:-1]):
        confidence = np.where(running, seen.confidence[:, k], -math.inf)
        order = np.argsort(-confidence, kind="stable")[: running.sum()]
        lost = np.cumsum(after[order].astype(int) - judged.right[order, k])
        ends = np.r_[np.diff(confidence[order]) < 0, True][: len(order)]
        if len(good := np.flatnonzero(ends & (lost <= left))):
            last = int(good[-1])
            below = confidence[order[last + 1]] if last + 1 < len(order) else -math.inf
            table[n - 1] = _short(float(below), float(confidence[order[last]]))
            left -= int(lost[last])
            running[order[: last + 1]] = False
    return judged.point(tuple(table.tolist()), seen.exits(table[seen.checks - 1]))


def shared(tuned_on: Stimulus, reported_on: Stimulus) -> int:
    """How many samples of ``reported_on`` are among those of ``tuned_on``, value for value.

    Raises:
        DataError: SAME_DATA, all of them: a rule is not judged by the data that made it.
    """
    known = {_content(tuned_on, k) for k in range(tuned_on.n_samples)}
    found = sum(_content(reported_on, k) in known for k in range(reported_on.n_samples))
    if found == reported_on.n_samples:
        raise DataError("every sample was used to tune the rule", where="data", code="SAME_DATA",
                        fix="report on other data")
    return found


def _content(data: Stimulus, sample: int) -> str:
    """A digest of one sample."""
    h = hashlib.sha256()
    for name in sorted(data.inputs):
        e = data.inputs[name].one(sample)
        for column in (e.step.astype(np.int32), e.index.astype(np.int32), e.values()):
            h.update(name.encode() + np.ascontiguousarray(column).tobytes())
    return h.hexdigest()
