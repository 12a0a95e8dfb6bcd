"""The target of a report: every number of its description that this report could have used, with its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hwsdk.cost import si
from hwsdk.report.content import Cell, Column, Found, Table
from hwsdk.targets import Target
from hwsdk.targets.description import Figure

MOST = 120
"""Figures of one kind that are shown; libraries of cells have hundreds."""


def described(target: Target) -> Found:
    """Limits, prices, powers, times and what they follow from."""
    more = filter(None, (target.size_text(), target.about()))
    words = [f"{target.title}, description version {target.version}.", *(f"{m[:1].upper()}{m[1:]}." for m in more)]
    title = target.limits_title()
    limits = Table(title[:1].upper() + title[1:], (
        Column("limit"), Column("value", "n"), Column("unit"), Column("source")),
        tuple((n, v.value, v.unit, v.source) for n, v in target.limits.items()), folded=True)
    tables = [limits]
    kinds: Mapping[str, Mapping[str, Figure]] = {
        "Prices of events": {f"{p.name}, per {p.per}": p for p in target.prices()},
        "Powers": {f"{p.name}, per {p.per}": p for p in target.powers()},
        "Times": target.times(), "Figures that others follow from": target.figures(),
        "Host": {f"{h.name}, per {h.per}": h for h in target.host}}
    for title, figures in kinds.items():
        if figures:
            tables.append(_table(title, figures))
        if len(figures) > MOST:
            words.append(f"{title}: the first {MOST} of {len(figures)}; hwsdk targets {target.name} has all.")
    return Found(tuple(words), tuple(tables))


def _table(title: str, figures: Mapping[str, Figure]) -> Table:
    return Table(title, (Column("figure"), Column("value"), Column("range"), Column("how"), Column("source")),
                 tuple(_rows(figures))[:MOST], folded=True)


def _rows(figures: Mapping[str, Figure]) -> Iterator[tuple[Cell, ...]]:
    for name, f in figures.items():
        ends = "" if f.low is None or f.high is None else f"{_number(f.low, f.unit)} to {_number(f.high, f.unit)}"
        how = "measured" if f.measured else "calibrated" if f.calibrated else ""
        yield name, None if f.value is None else _number(f.value, f.unit), ends, how, f.source


def _number(value: float, unit: str) -> str:
    """With its unit; only units of physics take prefixes."""
    small = unit in ("J", "s", "W", "A", "V", "Hz") and abs(value) < 1
    return si(value, unit) if small else f"{value:g} {unit}".strip()
