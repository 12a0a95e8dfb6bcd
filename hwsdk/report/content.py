"""What a report says, whatever draws it: sections of sentences, tables and the data of figures.

The page, the matplotlib figures and the tables of a terminal are all made from one Content.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwsdk.cost import si

Cell = str | float | int | None
NOTHING_THERE, EMPTY = -2, -1
"""In Pane.layer: no place for anything, and a place that holds nothing."""


def percent(share: float) -> str:
    """A share of 1 with a digit behind the point; what is not quite nothing is not shown as nothing."""
    return "<0.1%" if 0 < share < 5e-4 else f"{share:.1%}"


def number(value: float) -> str:
    """A number of events, with commas; means with four digits."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.1f}" if value >= 1000 else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. unit: "" text, "n" numbers as they are, "%" shares from 0 to 1, else an SI unit (J, s, ...)
    that takes prefixes. unknown: what stands for None.
    """

    name: str
    unit: str = ""
    unknown: str = "not published"

    def shown(self, cell: Cell) -> str:
        """A cell as people read it."""
        if cell is None:
            return self.unknown
        if isinstance(cell, str) or not self.unit:
            return str(cell)
        if self.unit == "%":
            return percent(cell)
        if self.unit == "n":
            return number(cell)
        return si(float(cell), self.unit)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under their columns. folded: shown only when asked for."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False

    def shown(self) -> list[list[str]]:
        """All cells as people read them."""
        return [[c.shown(cell) for c, cell in zip(self.columns, row, strict=True)] for row in self.rows]


@dataclass(frozen=True, slots=True, eq=False)
class Pane:
    """A chip or a macro from above. layer (height, width) int: index into Plan.layers, EMPTY or NOTHING_THERE; share
    (height, width) float: how full each place is, 0 to 1; labels: ((row, column), text) of places that have one.
    """

    title: str
    layer: NDArray[np.int64]
    share: NDArray[np.float64]
    labels: tuple[tuple[tuple[int, int], str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What lies where, and how full it is. full: of what a place is full. alt: the same in words."""

    title: str
    layers: tuple[str, ...]
    panes: tuple[Pane, ...]
    full: str
    alt: str


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A matrix of amounts, values (rows, columns) float; sides: what the rows and what the columns are."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    unit: str
    sides: tuple[str, str]
    alt: str


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """When each neuron of a population fired in one sample.

    values (bands, bins) float: share of the neurons x steps of each cell that fired, 1 for a spike where a cell is one
    neuron in one step; of a population that does not fire, the size of its output against the largest. n neurons and
    n_steps steps lie behind them. ``each`` (neurons, steps) of a cell: (1, 1) is exact. events: all that are in it.
    """

    title: str
    values: NDArray[np.float64]
    n: int
    n_steps: int
    each: tuple[int, int]
    events: int
    fires: bool
    alt: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar a row, made of parts: values[row][part] in ``unit`` ("%": shares). None: not known."""

    title: str
    rows: tuple[str, ...]
    parts: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    unit: str
    alt: str


@dataclass(frozen=True, slots=True)
class Dots:
    """Amounts of very different size, each with its range: rows of (name, value, low, high), None: not known."""

    title: str
    rows: tuple[tuple[str, float | None, float | None, float | None], ...]
    unit: str
    alt: str


Part = Table | Plan | Grid | Raster | Bars | Dots
Kind = TypeVar("Kind", Table, Plan, Grid, Raster, Bars, Dots)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report. name: short and stable. words: sentences; they also say what is left out, and why."""

    name: str
    title: str
    words: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """A whole report. facts: (name, value) pairs that come first."""

    title: str
    target: str
    digest: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    def section(self, name: str) -> Section:
        """By its name.

        Raises:
            KeyError: there is none.
        """
        for section in self.sections:
            if section.name == name:
                return section
        raise KeyError(name)

    def parts(self, kind: type[Kind], section: str = "") -> tuple[Kind, ...]:
        """All parts of one kind, or those of one section."""
        return tuple(p for s in self.sections if section in ("", s.name) for p in s.parts if isinstance(p, kind))

    def to_text(self, width: int = 110) -> str:
        """The report as plain text of ``width`` columns, with tables and without figures."""
        from hwsdk.report.content_text import text_of

        return text_of(self, width)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: everything but the pixels of plans and rasters."""
        return {"title": self.title, "target": self.target, "digest": self.digest, "facts": dict(self.facts),
                "sections": [{"name": s.name, "title": s.title, "words": list(s.words),
                              "parts": [_plain(p) for p in s.parts]} for s in self.sections]}


def _plain(part: Part) -> dict[str, Any]:
    """A part for JSON."""
    found: dict[str, Any] = {"kind": type(part).__name__.lower(), "title": part.title}
    if isinstance(part, Table):
        names = [c.name for c in part.columns]
        return found | {"columns": names, "units": [c.unit for c in part.columns],
                        "rows": [list(row) for row in part.rows]}
    if isinstance(part, Plan):
        return found | {"layers": list(part.layers), "panes": [p.title for p in part.panes], "alt": part.alt}
    if isinstance(part, Raster):
        return found | {"neurons": part.n, "steps": part.n_steps, "each": list(part.each), "events": part.events}
    if isinstance(part, Grid):
        return found | {"rows": list(part.rows), "columns": list(part.columns), "values": part.values.tolist(),
                        "unit": part.unit}
    return found | dataclasses.asdict(part)


@dataclass(frozen=True, slots=True)
class Found:
    """What a family has to say in one section."""

    words: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()

    def __add__(self, other: Found) -> Found:
        return Found(self.words + other.words, self.parts + other.parts)
