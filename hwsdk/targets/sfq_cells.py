"""The form of a library of pulse-logic cells: what each cell does, in how long, drawing how much; all with sources.

An event is written "input|state" (state by its index), a pair of pulses "first>second|state". Every ``source`` is a key
of the library's own list of sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hwsdk.ir.cells import CellType
from hwsdk.targets.description import Figure, Price, Strict

PS, AJ = 1e-12, 1e-18
FS_A_PS = 1000
DELAYS = ("measured", "published")


class Sourced(Strict):
    """A group of figures of one origin. calibrated: estimated or assumed; the source says how."""

    source: str
    calibrated: bool = False


class Drawn(Sourced):
    """jj: Josephson junctions. ic_ma, ib_ma: sums of their critical currents and of the bias currents, in mA."""

    jj: int
    ic_ma: float | None = None
    ib_ma: float | None = None


class Delay(Sourced):
    """ps from the input that fires to the output, at nominal bias."""

    ps: float


class Curve(Sourced):
    """Delay in ps over the factor k on the bias current; outside of it the cell counts as dead."""

    k: list[float]
    ps: list[float]


class Like(Sourced):
    """The curve of another cell stands in: the same relative change of the delay with bias."""

    cell: str


class Windows(Sourced):
    """ps by pair of pulses: "first>second|state" of a critical time, "first>second" of absorption."""

    ps: dict[str, float]


class Energy(Sourced):
    """aJ drawn from the bias by event "input|state"; high: factor for the most that it may be."""

    aj: dict[str, float]
    high: float = 1.0


class Jitter(Sourced):
    """Standard deviation in fs of a delay at 4.2 K."""

    sigma_fs: float


class Margin(Sourced):
    """Shares of the nominal bias by which the cell's own bias may change, in percent, its neighbours' being nominal."""

    low: float
    high: float


class Area(Sourced):
    """um2."""

    um2: float


class CellRow(Strict):
    """A cell. next: event -> state after, unchanged where missing. fires: event -> outputs that pulse.

    logic: source of pins, states and transitions. published, measured: its delay, as the library states it and as it
    came out of an analog simulation. curve: how the delay changes with bias; like: where that is not known, the cell
    that stands in. critical: for one pair the longest of all groups counts. absorb: two pulses closer than this give
    one.
    """

    title: str
    role: Literal["logic", "storage", "splitter", "merger", "wire", "port"]
    inputs: list[str]
    outputs: list[str]
    states: list[str]
    next: dict[str, int] = Field(default_factory=dict)
    fires: dict[str, list[str]] = Field(default_factory=dict)
    logic: str
    drawn: Drawn
    published: Delay | None = None
    measured: Delay | None = None
    curve: Curve | None = None
    like: Like | None = None
    critical: list[Windows] = Field(default_factory=list)
    absorb: list[Windows] = Field(default_factory=list)
    energy: list[Energy] = Field(default_factory=list)
    jitter: Jitter | None = None
    margin: Margin | None = None
    area: Area | None = None

    @model_validator(mode="after")
    def _events(self) -> CellRow:
        """Every event names an input and a state of the cell."""
        events = [*self.next, *self.fires, *(e for g in self.energy for e in g.aj)]
        pairs = [p.partition("|")[::2] for g in self.critical for p in g.ps]
        pairs += [(p, "0") for g in self.absorb for p in g.ps]
        events += [f"{pin}|{state}" for pair, state in pairs for pin in pair.split(">")]
        known = set(self.events())
        if wrong := sorted({e for e in events if e not in known}):
            raise ValueError(f"no such input or state: {', '.join(wrong)}")
        if wrong := sorted({o for outs in self.fires.values() for o in outs} - set(self.outputs)):
            raise ValueError(f"no such output: {', '.join(wrong)}")
        if not all(0 <= s < len(self.states) for s in self.next.values()):
            raise ValueError("a transition leads to no state")
        if self.curve and (self.curve.k != sorted(set(self.curve.k)) or len(self.curve.k) != len(self.curve.ps)
                           or 1.0 not in self.curve.k):
            raise ValueError("curve: as many ps as k, which rise and hold 1.0")
        return self

    def events(self) -> list[str]:
        """Every "input|state", by state and input."""
        return [f"{pin}|{s}" for s, pin in product(range(len(self.states)), self.inputs)]

    def delay(self, kind: str) -> Delay | None:
        """The delay of this kind, or the other one where there is none."""
        ordered = (self.measured, self.published) if kind == "measured" else (self.published, self.measured)
        return ordered[0] or ordered[1]

    def groups(self) -> Iterator[Sourced]:
        """All groups of figures."""
        single = (self.drawn, self.published, self.measured, self.curve, self.like, self.jitter, self.margin, self.area)
        yield from (g for g in single if g is not None)
        yield from (*self.critical, *self.absorb, *self.energy)


class Library(Strict):
    """Cells by name, and the sources that they name."""

    sources: dict[str, str]
    cells: dict[str, CellRow]

    @model_validator(mode="after")
    def _named(self) -> Library:
        """Every source and every cell that stands in is there."""
        for name, row in self.cells.items():
            wrong = {row.logic, *(g.source for g in row.groups())} - set(self.sources)
            if wrong:
                raise ValueError(f"{name}: no such source: {', '.join(sorted(wrong))}")
            if row.like and (row.like.cell not in self.cells or self.cells[row.like.cell].curve is None):
                raise ValueError(f"{name}: like: {row.like.cell!r} has no curve")
            if row.curve is None and row.like is None and row.outputs and row.inputs:
                raise ValueError(f"{name}: neither a curve nor a cell whose curve stands in")
        return self

    def curve(self, name: str) -> Curve | None:
        """How the delay changes with bias: its own curve, or that which stands in."""
        row = self.cells[name]
        return self.cells[row.like.cell].curve if row.like and row.curve is None else row.curve

    def cell_type(self, name: str, delays: str) -> CellType:
        """The cell as the tables that the simulator reads."""
        row = self.cells[name]
        k, delay = self._delays(name, delays)
        return CellType(
            name, row.role, tuple(row.inputs), tuple(row.outputs), tuple(row.states), _next(row), _fires(row), k, delay,
            _critical(row), _absorb(row), _energies(row), row.jitter.sigma_fs if row.jitter else np.nan, row.drawn.jj,
            np.nan if row.drawn.ib_ma is None else row.drawn.ib_ma * 1e-3,
            row.area.um2 * 1e-12 if row.area else np.nan)

    def _delays(self, name: str, kind: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(k, fs): the delay at nominal bias, times how the curve changes it."""
        curve, nominal = self.curve(name), self.cells[name].delay(kind)
        if curve is None or nominal is None:
            return np.zeros(0), np.zeros(0, np.int64)
        k, ps = np.array(curve.k), np.array(curve.ps)
        at_nominal = ps[curve.k.index(1.0)]
        relative = ps / at_nominal if at_nominal else np.ones(len(ps))
        return k, np.rint(nominal.ps * FS_A_PS * relative).astype(np.int64)

    def prices(self) -> Iterator[Price]:
        """Energy of every event of every cell that has a bias to draw it from; None where it is not known."""
        for name, row in self.cells.items():
            if not row.drawn.ib_ma:
                continue
            known = {e: (aj, g) for g in row.energy for e, aj in g.aj.items()}
            for event in row.events():
                pin, _, state = event.partition("|")
                what = f"{name} {pin}" + (f" in state {row.states[int(state)]}" if len(row.states) > 1 else "")
                if event not in known:
                    yield Price(name=what, per=f"{name} {event}", unit="J", source="not measured")
                    continue
                aj, group = known[event]
                yield Price(name=what, per=f"{name} {event}", value=aj * AJ, unit="J", calibrated=group.calibrated,
                            source=self.sources[group.source], low=aj * AJ, high=aj * AJ * group.high)

    def times(self) -> dict[str, Figure]:
        """Delays by cell and bias."""
        found: dict[str, Figure] = {}
        for name, row in self.cells.items():
            for kind, delay in (("published", row.published), ("simulated", row.measured)):
                found |= self._one(f"{name} delay, {kind}", delay, delay.ps * PS if delay else None, "s")
            if row.curve:
                found |= {n: f for k, ps in zip(row.curve.k, row.curve.ps, strict=True)
                          for n, f in self._one(f"{name} delay, bias x {k:g}", row.curve, ps * PS, "s").items()}
            if row.like:
                text = f"{self.sources[row.like.source]} [relative change of {row.like.cell}]"
                found[f"{name} delay, other bias"] = Figure(value=1.0, unit=f"x that of {row.like.cell}", source=text,
                                                            calibrated=row.like.calibrated)
        return found

    def figures(self) -> dict[str, Figure]:
        """Currents, critical times, margins, jitter and areas by cell."""
        found: dict[str, Figure] = {}
        for name, row in self.cells.items():
            found |= self._one(f"{name} junctions", row.drawn, row.drawn.jj, "JJ")
            for what, ma in (("critical currents", row.drawn.ic_ma), ("bias current", row.drawn.ib_ma)):
                found |= self._one(f"{name} {what}", row.drawn, None if ma is None else ma * 1e-3, "A")
            found |= {n: f for g in row.critical for pair, ps in g.ps.items()
                      for n, f in self._one(f"{name} critical {pair}", g, ps * PS, "s").items()}
            found |= {n: f for g in row.absorb for pair, ps in g.ps.items()
                      for n, f in self._one(f"{name} absorbed {pair}", g, ps * PS, "s").items()}
            found |= self._one(f"{name} jitter", row.jitter, row.jitter.sigma_fs * 1e-15 if row.jitter else None, "s")
            found |= self._one(f"{name} bias margin, low", row.margin, row.margin.low if row.margin else None, "%")
            found |= self._one(f"{name} bias margin, high", row.margin, row.margin.high if row.margin else None, "%")
            found |= self._one(f"{name} area", row.area, row.area.um2 if row.area else None, "um2")
        return found

    def _one(self, name: str, group: Sourced | None, value: float | None, unit: str) -> dict[str, Figure]:
        """A figure under its name; nothing where it is not known."""
        if group is None or value is None:
            return {}
        source, flag = self.sources[group.source], group.calibrated
        return {name: Figure(value=float(value), unit=unit, source=source, calibrated=flag)}


def _place(row: CellRow, event: str) -> tuple[int, int]:
    """(state, input) of an event."""
    pin, _, state = event.partition("|")
    return int(state), row.inputs.index(pin)


def _next(row: CellRow) -> NDArray[np.int8]:
    """(S, I): unchanged where nothing is said."""
    table = np.repeat(np.arange(len(row.states), dtype=np.int8)[:, None], len(row.inputs), axis=1)
    for event, state in row.next.items():
        table[_place(row, event)] = state
    return table


def _fires(row: CellRow) -> NDArray[np.uint8]:
    """(S, I): bits of the outputs."""
    table = np.zeros((len(row.states), len(row.inputs)), np.uint8)
    for event, outputs in row.fires.items():
        table[_place(row, event)] = sum(1 << row.outputs.index(o) for o in outputs)
    return table


def _critical(row: CellRow) -> NDArray[np.int64]:
    """(S, I, I) in fs, 0 where there is no limit."""
    table = np.zeros((len(row.states), len(row.inputs), len(row.inputs)), np.int64)
    for key, ps in ((k, v) for g in row.critical for k, v in g.ps.items()):
        pair, _, state = key.partition("|")
        first, _, second = pair.partition(">")
        at = (int(state), row.inputs.index(first), row.inputs.index(second))
        table[at] = max(table[at], round(ps * FS_A_PS))
    return table


def _absorb(row: CellRow) -> NDArray[np.int64]:
    """(I, I) in fs."""
    table = np.zeros((len(row.inputs), len(row.inputs)), np.int64)
    for pair, ps in ((k, v) for g in row.absorb for k, v in g.ps.items()):
        first, _, second = pair.partition(">")
        table[row.inputs.index(first), row.inputs.index(second)] = round(ps * FS_A_PS)
    return table


def _energies(row: CellRow) -> NDArray[np.float64]:
    """(S, I) in J, nan where not known."""
    table = np.full((len(row.states), len(row.inputs)), np.nan)
    for event, aj in ((k, v) for g in row.energy for k, v in g.aj.items()):
        table[_place(row, event)] = aj * AJ
    return table
