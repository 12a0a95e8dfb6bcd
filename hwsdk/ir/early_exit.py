"""When an inference may stop: a rule over what the output has said so far, and what it decides on a run.

The rule of Dynamic Confidence (arXiv:2303.10276): add up the output, take the softmax of it over a scale, and stop when
the largest share reaches a threshold; that of SEENN (arXiv:2304.01230) takes the mean over the steps. Beside these:
how far the first is ahead of the second, and the count of the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.data import Events

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MEASURES = ("softmax", "softmax_mean", "margin", "count")
"""softmax: largest share of the softmax of the evidence / temperature; softmax_mean: of the evidence / steps done /
temperature; margin: largest less second largest evidence; count: largest evidence.
"""
EVIDENCE = ("sum", "last")
"""sum: of what each output has given since step 0, its spikes or its read-out values; last: what it gives in this step,
for read-outs that add up themselves.
"""
UNREACHED = 1e9
"""Threshold of a step at which no sample may stop."""


@dataclass(frozen=True, slots=True)
class ExitRule:
    """Stop when the confidence reaches a threshold. All steps are the model's own, counted as steps done, from 1.

    output: the output or population that decides. thresholds: one for all steps, or one a step: that of n steps done
    is entry n - 1, and the last for all later steps. temperature: of the softmax, in spikes or in units of the values.
    earliest, latest: the rule is asked for the first time when so many steps are done, and stops a sample whatever its
    confidence when so many are (None: all that there are). every: steps between two questions.

    Raises:
        UnsupportedError: BAD_RULE.
    """

    output: str
    thresholds: tuple[float, ...]
    measure: str = "softmax"
    temperature: float = 1.0
    evidence: str = "sum"
    earliest: int = 1
    latest: int | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if wrong := _wrong(self):
            raise UnsupportedError(f"an exit rule with {wrong[0]}", where="exit rule", code="BAD_RULE", fix=wrong[1])
        object.__setattr__(self, "thresholds", tuple(map(float, self.thresholds)))
        object.__setattr__(self, "temperature", float(self.temperature))

    def to_text(self) -> str:
        """The rule in a line."""
        scale = f" over {self.temperature:g}" if self.measure.startswith("softmax") else ""
        until = "" if self.latest is None else f" to {self.latest}"
        often = "every step" if self.every == 1 else f"every {self.every} steps"
        return (f"{self.measure}{scale} of {self.output} ({self.evidence}) reaches "
                f"{_thresholds(self.thresholds)}, from step {self.earliest}{until}, {often}")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"thresholds": list(self.thresholds)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> ExitRule:
        """The rule of ``to_json``.

        Raises:
            ValueError: a field is missing, unknown or wrong.
        """
        if set(given) != {f.name for f in fields(cls)}:
            raise ValueError(f"an exit rule with the fields {', '.join(sorted(given))}")
        try:
            return cls(**{**given, "thresholds": tuple(given["thresholds"])})
        except UnsupportedError as error:
            raise ValueError(error.what) from None

    def threshold(self, done: int) -> float:
        """The threshold when so many steps are done."""
        return self.thresholds[min(done, len(self.thresholds)) - 1]

    def last(self, n_steps: int) -> int:
        """Steps after which a sample of n_steps stops whatever its confidence."""
        return n_steps if self.latest is None else min(self.latest, n_steps)

    def checks(self, n_steps: int) -> Ints:
        """Numbers of steps done at which the rule is asked; the last of them stops every sample."""
        last = self.last(n_steps)
        asked = range(self.earliest, last, self.every)
        return np.array([*asked, last], np.int64)

    def confidence(self, evidence: Floats, done: int) -> Floats:
        """(samples,) of evidence (samples, n) after so many steps."""
        best = evidence.max(axis=1)
        if self.measure == "count":
            return np.asarray(best)
        if self.measure == "margin":
            return np.asarray(best - np.partition(evidence, -2, axis=1)[:, -2])
        scale = self.temperature * (done if self.measure == "softmax_mean" else 1)
        return np.asarray(1 / np.exp((evidence - best[:, None]) / scale).sum(axis=1))

    def collect(self, evidence: Floats, values: Floats) -> Floats:
        """The evidence (samples, n) with the values (samples, n) of one more step."""
        return evidence + values if self.evidence == "sum" else values


def _thresholds(thresholds: tuple[float, ...]) -> str:
    """One, or the runs of equal ones with the step up to which each holds."""
    last = [k for k, t in enumerate(thresholds) if k + 1 == len(thresholds) or thresholds[k + 1] != t]
    shown = {k: "nothing" if thresholds[k] >= UNREACHED else f"{thresholds[k]:.10g}" for k in last}
    return ", ".join(x + (f" to step {k + 1}" if k + 1 < len(thresholds) else "") for k, x in shown.items())


def _wrong(rule: ExitRule) -> tuple[str, str] | None:
    """(what is wrong, what to do), or None."""
    for name, choices in (("measure", MEASURES), ("evidence", EVIDENCE)):
        if getattr(rule, name) not in choices:
            return f"the {name} {getattr(rule, name)!r}", f"use one of {', '.join(choices)}"
    if not isinstance(rule.output, str) or not rule.output:
        return f"the output {rule.output!r}", "name an output of the program"
    if not rule.thresholds or not all(_number(t) for t in rule.thresholds):
        return f"thresholds {rule.thresholds!r}", "give a finite number, or one for each step"
    if not _number(rule.temperature) or rule.temperature <= 0:
        return f"the temperature {rule.temperature!r}", "give a number above 0"
    for name in ("earliest", "every", "latest"):
        value = getattr(rule, name)
        if not (value is None and name == "latest") and (type(value) is not int or value < 1):
            return f"{name} {value!r}", "count steps from 1"
    if rule.latest is not None and rule.latest < rule.earliest:
        return f"steps {rule.earliest} to {rule.latest}", "let the latest step not be before the earliest"
    return None


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """How a run looks to a rule. checks (k,): steps done; confidence float64 and decision int64 (samples, k) then; the
    decision is the output with the largest evidence, of equal ones the first.
    """

    checks: Ints
    confidence: Floats
    decision: Ints

    def exits(self, thresholds: Floats | float) -> Ints:
        """(samples,): the check at which each stops; thresholds: (k,) or one."""
        reached = self.confidence >= thresholds
        reached[:, -1] = True
        return np.asarray(reached.argmax(axis=1), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Exits:
    """Where each of some samples stops: steps (samples,), steps of the model that were used; decision (samples,);
    confident (samples,) bool: did it reach its threshold, or come to the last step?
    """

    steps: Ints
    decision: Ints
    confident: NDArray[np.bool_]


def course(rule: ExitRule, events: Events) -> Course:
    """What a rule sees of its output.

    Args:
        events: of the output, on the model's own steps (``Trace.aligned``).
    """
    checks = rule.checks(events.n_steps)
    order = np.argsort(events.step, kind="stable")
    ends = np.searchsorted(events.step[order], np.arange(events.n_steps + 1))
    sample, index, value = (x[order] for x in (events.sample, events.index, events.values()))
    evidence, at = np.zeros((events.n_samples, events.n)), 0
    confidence = np.empty((events.n_samples, len(checks)))
    decision = np.empty(confidence.shape, np.int64)
    for t in range(int(checks[-1])):
        values, now = np.zeros_like(evidence), slice(ends[t], ends[t + 1])
        values[sample[now], index[now]] = value[now]
        evidence = rule.collect(evidence, values)
        if t + 1 == checks[at]:
            confidence[:, at], decision[:, at] = rule.confidence(evidence, t + 1), evidence.argmax(axis=1)
            at += 1
    return Course(checks, confidence, decision)


def exits(rule: ExitRule, events: Events) -> Exits:
    """Where a rule stops each sample; see ``course``. Nothing of a later step has a say in it."""
    seen = course(rule, events)
    thresholds = np.array([rule.threshold(int(n)) for n in seen.checks])
    at, rows = seen.exits(thresholds), np.arange(events.n_samples)
    return Exits(seen.checks[at], seen.decision[rows, at], seen.confidence[rows, at] >= thresholds[at])
