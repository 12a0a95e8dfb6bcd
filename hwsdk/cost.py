"""Cost: one formula for every chip: counted events times published prices, plus static power times time.

How long an inference takes is the family's own model; it comes in as a Latency. So does, where the parts of a chip have
their own supplies, which of them are on for how long.

A price that is not published is None; a sum that touches it is a lower bound and says so. The boundary is explicit:
"chip" is what the neuro-cores and their network do, "host" adds what the processors beside them take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, TargetError
from hwsdk.ir.trace import Trace
from hwsdk.quantity import Quantity
from hwsdk.targets import Target, load_target
from hwsdk.targets.description import Figure

BOUNDARIES = ("chip", "host")


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

    def times(self, other: Amount, unit: str) -> Amount:
        """The product of two amounts, for example power and time."""
        missing = self.missing + other.missing
        if self.value is None or other.value is None:
            return Amount(None, None, None, unit, missing)
        return Amount(self.value * other.value, (self.low or 0) * (other.low or 0),
                      (self.high or 0) * (other.high or 0), unit, missing)

    @property
    def is_lower_bound(self) -> bool:
        """True if a part has no published price."""
        return bool(self.missing)

    def __str__(self) -> str:
        if self.value is None:
            return f"unknown (not published: {'; '.join(dict.fromkeys(self.missing))})"
        ends = f"{si(self.low or 0, self.unit)} to {si(self.high or 0, self.unit)}"
        low, high = ends.split(" to ")
        spread = "" if low == high else f" [{ends}]"
        more = f" (at least; not published: {'; '.join(dict.fromkeys(self.missing))})" if self.missing else ""
        return f"{si(self.value, self.unit)}{spread}{more}"


def si(value: float, unit: str) -> str:
    """A value with an SI prefix, four digits."""
    for factor, prefix in ((1, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"), (1e-18, "a")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill: ``count`` events (mean of a sample) at ``price`` each; or seconds at a power.

    spread: factors for the least and the most that the count may be, where it is itself a model's.
    """

    name: str
    per: str
    count: float
    price: Quantity | None
    spread: tuple[float, float] = (1.0, 1.0)

    def amount(self, unit: str = "J") -> Amount:
        """count x price; zero events cost nothing even at an unknown price."""
        if self.count == 0:
            return Amount(0.0, 0.0, 0.0, unit)
        if self.price is None:
            return Amount(None, None, None, unit, (self.name,))
        low, high = (x * self.count * s for x, s in zip(self.price.bounds(), self.spread, strict=True))
        return Amount(self.count * self.price.value, low, high, unit)

    def to_text(self) -> str:
        """The line as people read it."""
        timed = self.price is not None and self.price.unit == "W"
        count = f"{si(self.count, 's'):>14}" if timed else f"{self.count:14,.1f}"
        return f"    {self.name:28} {count} {self.per:27} {self.amount()}"


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an inference takes on the chip: ``amount`` the mean in s with its range, per_sample (samples,) in s.

    slowest: longest part of a step -> share of the steps.
    """

    amount: Amount
    per_sample: NDArray[np.float64]
    slowest: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Extra:
    """A figure that only one family of chips has, under its name; ``text``: as people read it, where not the amount."""

    name: str
    amount: Amount
    text: str = ""

    def to_text(self) -> str:
        """The line as people read it."""
        return f"  {self.name:34} {self.text or self.amount}"


@dataclass(frozen=True, slots=True)
class CostReport:
    """Energy and latency of one inference (means over the samples), with boundary, sources and ranges.

    boundary: "chip" or "host". energy_dynamic, energy_static in J; energy_used: static of the cores in use alone, where
    that is published. latency in s, of which latency_chip on the chip; latency_samples (samples,) in s. host: the
    times that the host adds, and energy_host what it takes in J. slowest: longest term -> share of the steps.
    proxy: name and text of the stand-in prices in use, or "". static: the parts of energy_static where they are on for
    times of their own; empty where it is the whole chip's power times the latency. extra: what else the family tells.
    """

    target: str
    boundary: str
    samples: int
    steps: int
    items: tuple[Item, ...]
    energy_dynamic: Amount
    energy_static: Amount
    energy_used: Amount
    energy_host: Amount
    latency: Amount
    latency_chip: Amount
    latency_samples: NDArray[np.float64]
    host: tuple[Item, ...]
    slowest: Mapping[str, float]
    included: tuple[str, ...]
    omitted: tuple[str, ...]
    constants: tuple[Mapping[str, object], ...]
    proxy: str = ""
    static: tuple[Item, ...] = ()
    extra: tuple[Extra, ...] = ()

    @property
    def energy_total(self) -> Amount:
        """All energies within the boundary: dynamic, static of the whole chips, and the host's if it is included."""
        chip = self.energy_dynamic + self.energy_static
        return chip + self.energy_host if self.boundary == "host" else chip

    def to_text(self, sources: bool = False) -> str:
        """The report as people read it; with ``sources`` every constant, its origin, and whether it was measured."""
        lines = [f"cost on {self.target} ({self.boundary}): mean of {self.samples} sample(s) of {self.steps} steps",
                 f"  latency         {self.latency}"]
        if self.boundary == "host":
            lines.append(f"    on the chip   {self.latency_chip}")
            lines += [f"    {i.name:28} {i.count:14,.1f} {i.per:27} {i.amount('s')}" for i in self.host]
        lines += [f"  energy, dynamic {self.energy_dynamic}", f"  energy, static  {self.energy_static}"]
        if self.energy_used.value is not None:
            lines.append(f"    cores in use  {self.energy_used}, not added")
        lines += [f"  energy, host    {self.energy_host}"] if self.boundary == "host" else []
        lines.append(f"  energy, total   {self.energy_total}")
        lines += [i.to_text() for i in (*self.items, *self.static)]
        lines += [e.to_text() for e in self.extra]
        lines.append("  longest part    " + ", ".join(f"{n} {share:.0%}" for n, share in self.slowest.items() if share))
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
            "latency_chip": amount(self.latency_chip), "energy_dynamic": amount(self.energy_dynamic),
            "energy_static": amount(self.energy_static), "energy_static_cores_in_use": amount(self.energy_used),
            "energy_host": amount(self.energy_host), "energy_total": amount(self.energy_total),
            "latency_samples_s": self.latency_samples.tolist(),
            "items": [{"name": i.name, "per": i.per, "count": i.count, "energy": amount(i.amount())}
                      for i in self.items],
            "static": [{"name": i.name, "per": i.per, "count": i.count, "energy": amount(i.amount())}
                       for i in self.static],
            "host": [{"name": i.name, "per": i.per, "count": i.count, "time": amount(i.amount("s"))}
                     for i in self.host],
            "slowest": dict(self.slowest), "boundary": {"name": self.boundary, "included": list(self.included),
                                                        "omitted": list(self.omitted)},
            "constants": [dict(c) for c in self.constants], "proxy": self.proxy, "method": "simulated-cycle",
            **({"extra": {e.name: amount(e.amount) for e in self.extra}} if self.extra else {}),
        }


def price_counts(counts: Mapping[str, float], target: Target,
                 spread: Mapping[str, tuple[float, float]] | None = None) -> tuple[Item, ...]:
    """One Item for each price of the target; spread: count -> factors for the least and the most that it may be."""
    wide = spread or {}
    return tuple(Item(p.name, p.per, float(counts.get(p.per, 0.0)), p.quantity(), wide.get(p.per, (1.0, 1.0)))
                 for p in target.prices())


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


def proxy_target(target: Target, name: str | None) -> Target | None:
    """The target whose prices stand in, or None.

    Raises:
        TargetError: a proxy that this target does not document.
    """
    if name is None:
        return None
    known = target.proxy
    if known is None or known.name != name:
        raise TargetError(f"{target.name} documents no proxy {name!r}", code="NO_PROXY",
                          fix="leave it out" if known is None else f"use {known.name!r}")
    return load_target(known.target)


@dataclass(frozen=True, slots=True)
class Run:
    """What of a simulated run is priced.

    counts: the events of Price.per -> of all samples together. latency: of one inference on the chip.
    input_values: elements of all inputs x steps. notes: what else is left out of the boundary. static: seconds (mean of
    a sample) at each power, where the parts of the chip are on for times of their own; None: the powers of the
    description all the time. spread: count -> factors for the least and the most that it may be.
    """

    samples: int
    steps: int
    counts: Mapping[str, float]
    latency: Latency
    chips: int
    cores: int
    input_values: int
    notes: tuple[str, ...] = ()
    static: tuple[Item, ...] | None = None
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def report(target: Target, run: Run, *, boundary: str = "chip", proxy: Target | None = None) -> CostReport:
    """Energy and latency of a simulated run.

    Args:
        boundary: "chip", or "host" for the processors beside the neuro-cores too.
        proxy: another target whose prices stand in for unpublished ones, only if the caller asked for it.

    Raises:
        TargetError: no such boundary, or the target has no figures for it.
    """
    _require_boundary(target, boundary)
    prices = target if proxy is None else proxy
    items = price_counts({k: v / run.samples for k, v in run.counts.items()}, prices, run.spread)
    on_chip = run.latency.amount
    host = _host_times(target, run)
    added = total(host, "s")
    wide = boundary == "host"
    latency = on_chip + added if wide else on_chip
    text = "" if proxy is None or target.proxy is None else f"{target.proxy.name}: {target.proxy.text}"
    included, omitted = _contents(target, wide)
    return CostReport(
        target.name, boundary, run.samples, run.steps, items, total(items),
        _static(target, run, latency), _power(target, "cores in use", run).times(latency, "J"),
        _host_energy(target, latency, added), latency, on_chip, run.latency.per_sample + (added.value or 0.0) * wide,
        host, run.latency.slowest, included, omitted + run.notes, _constants(prices, target, wide), text,
        run.static or ())


def _require_boundary(target: Target, boundary: str) -> None:
    """Refuse a boundary that nobody knows, or for which the target has no figures."""
    if boundary not in BOUNDARIES:
        raise TargetError(f"boundary {boundary!r}", code="BAD_BOUNDARY", fix=f"use one of {', '.join(BOUNDARIES)}")
    if boundary == "host" and not target.host:
        raise TargetError("nothing is known of its host", where=target.name, code="NO_HOST",
                          fix="use the boundary 'chip'")


def _contents(target: Target, wide: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is included, and what is left out."""
    b = target.boundary
    return (*b.included, *(b.host if wide else [])), tuple(b.omitted_with_host if wide else b.omitted)


def _static(target: Target, run: Run, latency: Amount) -> Amount:
    """What is drawn whatever happens."""
    return _power(target, "included", run).times(latency, "J") if run.static is None else total(run.static)


def _power(target: Target, boundary: str, run: Run) -> Amount:
    """Power that is always drawn, as one reading of it says; unknown where there is no figure for that."""
    items = [Item(p.name, p.per, float(run.chips if p.per == "chip" else run.cores), p.quantity())
             for p in target.power if p.boundary == boundary]
    return total(items, "W") if items else Amount(None, None, None, "W", (f"static, {boundary}",))


def _host_times(target: Target, run: Run) -> tuple[Item, ...]:
    """The times that the host adds to an inference."""
    counts = {"inference": 1, "step": run.steps, "input value": run.input_values}
    return tuple(Item(h.name, h.per, float(counts[h.per]), h.quantity()) for h in target.host if h.per in counts)


def _host_energy(target: Target, latency: Amount, added: Amount) -> Amount:
    """What the host processors take: some power all the time, some while they work."""
    spans = {"whole": latency, "active": added}
    parts = [total([Item(h.name, h.per, 1.0, h.quantity())], "W").times(spans[h.per], "J")
             for h in target.host if h.per in spans]
    if not parts:
        return Amount(None, None, None, "J", ("host power",))
    return sum(parts[1:], parts[0])


def _constant_line(constant: Mapping[str, object]) -> str:
    """One constant with its source."""
    value = constant["value"]
    shown = f"{value:g} {constant['unit']}" if isinstance(value, float) else "not published"
    known = "calibrated; " if constant["calibrated"] else "measured; " if constant["measured"] else "not measured; "
    how = "" if value is None else known
    return f"    {constant['name']!s:32} {shown:18} {how}{constant['source']}"


def _constants(prices: Target, target: Target, wide: bool) -> tuple[dict[str, object], ...]:
    """Every number that went in, with its source."""
    rows: list[dict[str, object]] = []
    figures: list[tuple[str, Figure]] = [(p.name, p) for p in prices.prices()]
    figures += [(p.name, p) for p in target.powers()]
    figures += [(f"time {n}", f) for n, f in target.times().items()]
    figures += target.figures().items()
    figures += [(h.name, h) for h in target.host if wide]
    for name, f in figures:
        rows.append({"name": name, "value": f.value, "low": f.low, "high": f.high, "unit": f.unit, "source": f.source,
                     "measured": f.measured, "calibrated": f.calibrated})
    return tuple(rows)
