"""What became of a design point: whether it fits, how good it is, what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hwsdk.cost import Amount
from hwsdk.explore.points import Point

AMOUNTS = ("energy", "energy_dynamic", "energy_static", "latency")
SHARES = ("accuracy", "agreement", "similarity")
BUG = "BUG"
"""Code of a point that a fault in hwsdk has ended."""


@dataclass(frozen=True, slots=True)
class Result:
    """A point and what was found.

    fits: it was compiled and run. code, reason, fix: why not. accuracy: share of samples whose decision is the label;
    agreement: whose decision is that of the float model; similarity: raster cosine with the float model, mean over the
    outputs; each None where it cannot be said. same: every output spike is that of the nominal chip (points with a run
    condition or a die). amounts: those of AMOUNTS, means of a sample. percentiles: latency in s at 50, 95 and 99 % of
    the samples. used: resource -> (used, available or None, unit). digest: of the program. seconds: that it took, which
    is no part of what was found.
    """

    key: str
    point: Point
    fits: bool
    code: str = ""
    reason: str = ""
    fix: str = ""
    accuracy: float | None = None
    agreement: float | None = None
    similarity: float | None = None
    same: bool | None = None
    amounts: Mapping[str, Amount] = field(default_factory=dict)
    percentiles: tuple[float, ...] = ()
    used: Mapping[str, tuple[int, int | None, str]] = field(default_factory=dict)
    digest: str = ""
    seconds: float = 0.0

    def found(self) -> Result:
        """Without the seconds: equal for equal findings."""
        return replace(self, seconds=0.0)

    def amount(self, name: str) -> Amount | None:
        """One of AMOUNTS, or None where nothing of it is known."""
        found = self.amounts.get(name)
        return None if found is None or found.value is None else found

    @property
    def quality(self) -> float | None:
        """Accuracy, else agreement, else similarity."""
        return next((v for n in SHARES if (v := getattr(self, n)) is not None), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is empty is left out."""
        row = {n: getattr(self, n) for n in ("key", "fits", "code", "reason", "fix", *SHARES, "same", "digest")}
        row |= {"point": self.point.to_dict(), "seconds": self.seconds,
                "amounts": {n: _amount(a) for n, a in self.amounts.items()},
                "percentiles": list(self.percentiles), "used": {n: list(u) for n, u in self.used.items()}}
        return {n: v for n, v in row.items() if v not in (None, "", [], {})}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Result:
        """What ``to_dict`` gave."""
        plain = {n: row[n] for n in ("code", "reason", "fix", *SHARES, "same", "digest", "seconds") if n in row}
        amounts = {n: Amount(a["value"], a["low"], a["high"], a["unit"], tuple(a["missing"]))
                   for n, a in row.get("amounts", {}).items()}
        used = {n: (int(u[0]), None if u[1] is None else int(u[1]), str(u[2])) for n, u in row.get("used", {}).items()}
        return cls(str(row["key"]), Point.from_dict(row["point"]), bool(row["fits"]), amounts=amounts,
                   percentiles=tuple(row.get("percentiles", ())), used=used, **plain)


def _amount(a: Amount) -> dict[str, Any]:
    return {"value": a.value, "low": a.low, "high": a.high, "unit": a.unit, "missing": list(a.missing)}


__all__ = ["AMOUNTS", "BUG", "SHARES", "Result"]
