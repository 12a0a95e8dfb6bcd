"""Cost: one formula for every chip: counted events times published prices, plus static power times time.

A price that is not published is None; a sum that touches it is a lower bound and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.trace import Trace
from hwsdk.quantity import Quantity
from hwsdk.targets.description import Figure, Target


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum with its range. ``missing`` names the parts without a published price; then it is a lower bound.

    value is None if nothing of it is known.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    missing: tuple[str, ...] = ()

    def __add__(self, other: Amount) -> Amount:
        if self.value is None or other.value is None:
            known = other if self.value is None else self
            return Amount(known.value, known.low, known.high, self.unit, self.missing + other.missing)
        low, high = (self.low or 0) + (other.low or 0), (self.high or 0) + (other.high or 0)
        return Amount(self.value + other.value, low, high, self.unit, self.missing + other.missing)

    @property
    def is_lower_bound(self) -> bool:
        """True if a part has no published price."""
        return bool(self.missing)

    def __str__(self) -> str:
        if self.value is None:
            return f"unknown (not published: {', '.join(self.missing)})"
        ends = f"{si(self.low or 0, self.unit)} to {si(self.high or 0, self.unit)}"
        spread = "" if self.low == self.high else f" [{ends}]"
        more = f" (at least; not published: {', '.join(dict.fromkeys(self.missing))})" if self.missing else ""
        return f"{si(self.value, self.unit)}{spread}{more}"


def si(value: float, unit: str) -> str:
    """A value with an SI prefix, four digits."""
    for factor, prefix in ((1, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill: ``count`` events (mean of a sample) at ``price`` each."""

    name: str
    per: str
    count: float
    price: Quantity | None

    def amount(self, unit: str = "J") -> Amount:
        """count x price; zero events cost nothing even at an unknown price."""
        if self.count == 0:
            return Amount(0.0, 0.0, 0.0, unit)
        if self.price is None:
            return Amount(None, None, None, unit, (self.name,))
        low, high = self.price.bounds()
        return Amount(self.count * self.price.value, self.count * low, self.count * high, unit)


@dataclass(frozen=True, slots=True)
class Term:
    """One candidate for the length of a step: the busiest unit's events (samples, steps) at a time each."""

    name: str
    events: NDArray[np.float64]
    figure: Figure


@dataclass(frozen=True, slots=True)
class CostReport:
    """Energy and latency of one inference (means over the samples), with boundary, sources and ranges.

    energy_dynamic, energy_static, energy_total in J; latency in s; step_time: slowest term -> share of the steps.
    latency_samples (samples,) in s. proxy: name and text of the stand-in prices in use, or "".
    """

    target: str
    samples: int
    steps: int
    items: tuple[Item, ...]
    energy_dynamic: Amount
    energy_static: Amount
    latency: Amount
    latency_samples: NDArray[np.float64]
    slowest: Mapping[str, float]
    included: tuple[str, ...]
    omitted: tuple[str, ...]
    constants: tuple[Mapping[str, object], ...]
    proxy: str = ""

    @property
    def energy_total(self) -> Amount:
        """Dynamic plus static."""
        return self.energy_dynamic + self.energy_static

    def to_text(self, sources: bool = False) -> str:
        """The report as people read it; with ``sources`` every constant, its origin, and whether it was measured."""
        lines = [f"cost on {self.target}: mean of {self.samples} sample(s) of {self.steps} steps",
                 f"  latency         {self.latency}",
                 f"  energy, dynamic {self.energy_dynamic}",
                 f"  energy, static  {self.energy_static}",
                 f"  energy, total   {self.energy_total}"]
        lines += [f"    {i.name:20} {i.count:14,.1f} {i.per:20} {i.amount()}" for i in self.items]
        lines.append("  step set by     " + ", ".join(f"{n} {share:.0%}" for n, share in self.slowest.items() if share))
        lines += [f"  included        {'; '.join(self.included)}", f"  omitted         {'; '.join(self.omitted)}"]
        if self.proxy:
            lines.append(f"  PROXY           {self.proxy}")
        if sources:
            lines += ["  constants", *(_constant_line(c) for c in self.constants)]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        def amount(a: Amount) -> dict[str, object]:
            return {"value": a.value, "low": a.low, "high": a.high, "unit": a.unit, "missing": list(a.missing)}
        return {
            "target": self.target, "samples": self.samples, "steps": self.steps, "latency": amount(self.latency),
            "energy_dynamic": amount(self.energy_dynamic), "energy_static": amount(self.energy_static),
            "energy_total": amount(self.energy_total), "latency_samples_s": self.latency_samples.tolist(),
            "items": [{"name": i.name, "per": i.per, "count": i.count, "energy": amount(i.amount())}
                      for i in self.items],
            "slowest": dict(self.slowest), "boundary": {"included": list(self.included), "omitted": list(self.omitted)},
            "constants": [dict(c) for c in self.constants], "proxy": self.proxy, "method": "simulated-cycle",
        }


def price_counts(counts: Mapping[str, float], target: Target) -> tuple[Item, ...]:
    """One Item for each price of the target."""
    return tuple(Item(p.name, p.per, float(counts.get(p.per, 0.0)), p.quantity()) for p in target.energy)


def total(items: Sequence[Item], unit: str = "J") -> Amount:
    """The sum of the items."""
    result = Amount(0.0, 0.0, 0.0, unit)
    for item in items:
        result = result + item.amount(unit)
    # a sum of which only zeros are known is unknown
    return Amount(None, None, None, unit, result.missing) if result.missing and not result.value else result


def require_counts(trace: Trace) -> None:
    """Raise DataError unless the trace holds counted events."""
    if not trace.counts:
        raise DataError("the trace has no counted events", code="NO_COUNTS",
                        fix="take the trace from the chip's simulator, not from the reference")


def report(target: Target, trace: Trace, terms: Sequence[Term], *, chips: int, cores: int,
           proxy: Target | None = None) -> CostReport:
    """Energy and latency of a simulated run.

    Args:
        terms: what may set the length of a step; the slowest does (lower-bound model, arXiv 2601.10035).
        proxy: another target whose prices stand in for unpublished ones, only if the caller asked for it.
    """
    prices = target if proxy is None else proxy
    items = price_counts({p.per: float(trace.counts[p.per].sum() / trace.n_samples) for p in prices.energy}, prices)
    latency, per_sample, slowest = _latency(terms, trace.n_samples)
    text = "" if proxy is None or target.proxy is None else f"{target.proxy.name}: {target.proxy.text}"
    return CostReport(
        target.name, trace.n_samples, trace.n_steps, items, total(items), _static(target, latency, chips, cores),
        latency, per_sample, slowest, tuple(target.boundary.included), tuple(target.boundary.omitted),
        _constants(prices, target), text)


def _latency(terms: Sequence[Term], samples: int) -> tuple[Amount, NDArray[np.float64], dict[str, float]]:
    """Sum over the steps of the slowest term; its range; and which term was the slowest how often."""
    known = [t for t in terms if t.figure.value is not None]
    missing = tuple(t.name for t in terms if t.figure.value is None and t.events.any())
    times = [(q.value, *q.bounds()) for t in known if (q := t.figure.quantity())]
    bounds = [np.stack([t.events * time[i] for t, time in zip(known, times, strict=True)]) for i in range(3)]
    per_sample = bounds[0].max(0).sum(-1)
    low, high = (b.max(0).sum(-1).mean() for b in bounds[1:])
    winner = bounds[0].argmax(0)
    share = {t.name: float((winner == i).mean()) for i, t in enumerate(known)}
    return Amount(float(per_sample.mean()), float(low), float(high), "s", missing), per_sample, share


def _static(target: Target, latency: Amount, chips: int, cores: int) -> Amount:
    """Power that is always drawn, for the time of one inference."""
    items = []
    for p in target.power:
        if p.boundary == "included":
            items.append(Item(p.name, p.per, float(chips if p.per == "chip" else cores), p.quantity()))
    power = total(items, "W")
    if power.value is None or latency.value is None:
        return Amount(None, None, None, "J", power.missing or latency.missing)
    low, high = (power.low or 0) * (latency.low or 0), (power.high or 0) * (latency.high or 0)
    return Amount(power.value * latency.value, low, high, "J", power.missing + latency.missing)


def _constant_line(constant: Mapping[str, object]) -> str:
    """One constant with its source."""
    value = constant["value"]
    shown = f"{value:g} {constant['unit']}" if isinstance(value, float) else "not published"
    how = "" if value is None else "measured; " if constant["measured"] else "not measured; "
    return f"    {constant['name']!s:32} {shown:18} {how}{constant['source']}"


def _constants(prices: Target, target: Target) -> tuple[dict[str, object], ...]:
    """Every number that went in, with its source."""
    rows: list[dict[str, object]] = []
    figures = [(p.name, p) for p in prices.energy] + [(p.name, p) for p in target.power]
    figures += [(f"time {n}", getattr(target.timing, n)) for n in type(target.timing).model_fields]
    for name, f in figures:
        rows.append({"name": name, "value": f.value, "low": f.low, "high": f.high, "unit": f.unit, "source": f.source,
                     "measured": f.measured})
    return tuple(rows)
