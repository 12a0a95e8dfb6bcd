"""The report of an exit rule: steps, decisions, and energy and latency as distributions, beside whole runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.cost import Amount, si
from hwsdk.ir.early_exit import ExitRule

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SHARES = (50, 95, 99)
"""Percentiles that are told."""


def percentiles(values: Floats | Ints) -> dict[str, float]:
    """mean, p50, p95, p99, min, max, sum: the percentile p is a value that was seen, which p % do not exceed."""
    found = {"mean": float(values.mean())}
    found |= {f"p{p}": float(np.percentile(values, p, method="inverted_cdf")) for p in SHARES}
    return found | {"min": float(values.min()), "max": float(values.max()), "sum": float(values.sum())}


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """An amount of each sample: value, low and high (samples,) in ``unit``; None where nothing is known of it. missing:
    the parts without a published price; then every value is a lower bound.
    """

    unit: str
    value: Floats | None
    low: Floats | None
    high: Floats | None
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, amounts: Sequence[Amount]) -> Spread:
        """Of the amounts of all samples. What is unknown of some but 0 of others, who had no such event, is unknown."""
        missing = tuple(dict.fromkeys(m for a in amounts for m in a.missing))
        unit = amounts[0].unit
        if any(a.value is None for a in amounts):
            return cls(unit, None, None, None, missing)
        value, low, high = (np.array([getattr(a, n) for a in amounts], np.float64) for n in ("value", "low", "high"))
        return cls(unit, value, low, high, missing)

    @property
    def mean(self) -> Amount:
        """The mean of all samples with its range."""
        if self.value is None or self.low is None or self.high is None:
            return Amount(None, None, None, self.unit, self.missing)
        return Amount(float(self.value.mean()), float(self.low.mean()), float(self.high.mean()), self.unit,
                      self.missing)

    def to_text(self) -> str:
        """Mean and percentiles in a line."""
        if self.value is None:
            return str(self.mean)
        p = percentiles(self.value)
        rest = ", ".join(f"{n} {si(p[n], self.unit)}" for n in ("p50", "p95", "p99", "min", "max"))
        return f"mean {self.mean}; {rest}"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        mean = self.mean
        return {"unit": self.unit, "missing": list(self.missing), "low": mean.low, "high": mean.high,
                **({} if self.value is None else percentiles(self.value)),
                "samples": None if self.value is None else self.value.tolist()}


@dataclass(frozen=True, slots=True, eq=False)
class Bill:
    """What each sample costs: latency in s, energies in J; see CostReport."""

    latency: Spread
    energy_dynamic: Spread
    energy_static: Spread
    energy_total: Spread

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {n: getattr(self, n).to_dict() for n in ROWS}


ROWS = {"latency": "latency", "energy_dynamic": "energy, dynamic", "energy_static": "energy, static",
        "energy_total": "energy, total"}


@dataclass(frozen=True, slots=True, eq=False)
class ExitReport:
    """What a rule makes of a run.

    n_steps: of the model in a whole run; chip_steps: of the chip. steps, executed (samples,): steps of the model that
    were used, and of the chip that were done. decision, full_decision (samples,): with the rule, and after all steps.
    confident (samples,): did it reach the threshold? labels (samples,) or None. early, full: what it costs. included,
    omitted: the boundary of both.
    """

    target: str
    rule: ExitRule
    n_steps: int
    chip_steps: int
    steps: Ints
    executed: Ints
    decision: Ints
    confident: NDArray[np.bool_]
    full_decision: Ints
    labels: Ints | None
    early: Bill
    full: Bill
    boundary: str
    included: tuple[str, ...]
    omitted: tuple[str, ...]
    proxy: str = ""

    @property
    def accuracy(self) -> float | None:
        """Share of right decisions; None without labels."""
        return None if self.labels is None else float((self.decision == self.labels).mean())

    @property
    def full_accuracy(self) -> float | None:
        """The same after all steps."""
        return None if self.labels is None else float((self.full_decision == self.labels).mean())

    @property
    def agreement(self) -> float:
        """Share of decisions that all steps would not have changed."""
        return float((self.decision == self.full_decision).mean())

    def saved(self, what: str) -> float | None:
        """Share of the mean latency or energy, a name of ROWS, that whole runs take more; None where it is unknown. Of
        lower bounds it is the share of what is known.
        """
        full, early = getattr(self.full, what).mean.value, getattr(self.early, what).mean.value
        return None if not full or early is None else 1 - early / full

    def to_text(self) -> str:
        """The report as people read it."""
        n, p, c = len(self.steps), percentiles(self.steps), percentiles(self.executed)
        lines = [f"early exit on {self.target} ({self.boundary}): {n} sample(s) of {self.n_steps} steps",
                 f"  rule            {self.rule.to_text()}",
                 f"  steps           mean {p['mean']:.2f}, p50 {p['p50']:g}, p95 {p['p95']:g}, p99 {p['p99']:g}, "
                 f"min {p['min']:g}, max {p['max']:g}; of the chip {c['mean']:.2f} of {self.chip_steps}",
                 f"  never confident {int((~self.confident).sum())} of {n}, stopped at step "
                 f"{self.rule.last(self.n_steps)}",
                 f"  decisions       {self.agreement:.1%} as after all steps"]
        if self.labels is not None:
            lines.append(f"  accuracy        {self.accuracy:.1%}, after all steps {self.full_accuracy:.1%}")
        for name, title in ROWS.items():
            early, full, saved = getattr(self.early, name), getattr(self.full, name), self.saved(name)
            less = "" if saved is None else f"; saved {saved:.1%}{' of what is known' if full.missing else ''}"
            lines += [f"  {title:15} {early.to_text()}", f"    all steps     {full.to_text()}{less}"]
        lines += [f"  included        {'; '.join(self.included)}", f"  omitted         {'; '.join(self.omitted)}"]
        return "\n".join(lines + ([f"  PROXY           {self.proxy}"] if self.proxy else [])) + "\n"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "target": self.target, "rule": self.rule.to_json(), "samples": len(self.steps), "steps": self.n_steps,
            "chip_steps": self.chip_steps, "exit_steps": percentiles(self.steps),
            "executed_steps": percentiles(self.executed), "exit_steps_samples": self.steps.tolist(),
            "decisions": self.decision.tolist(), "confident": self.confident.tolist(), "agreement": self.agreement,
            "accuracy": self.accuracy, "full_accuracy": self.full_accuracy, "early": self.early.to_dict(),
            "full": self.full.to_dict(), "saved": {n: self.saved(n) for n in ROWS}, "proxy": self.proxy,
            "boundary": {"name": self.boundary, "included": list(self.included), "omitted": list(self.omitted)},
        }
