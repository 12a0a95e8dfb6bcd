"""Our Josephson circuits of the pulse-logic cells, made from their sheets, for the analog solver.

Every input is an inductor into a junction of about 250 uA, every output an inductor from one, so any output drives any
input. Junctions are those of a 10 kA/cm2 process; figures as in the cells' measurements (see hwsdk/targets/cells).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf

from hwsdk.errors import UnsupportedError
from hwsdk.ir.circuit import GROUND, PHI0, Circuit, Element, Inductor, Junction, Resistor, Source
from hwsdk.simulators.sfq_sheets import SHEETS, Sheet

UA, PH, PF, PS = 1e-6, 1e-12, 1e-12, 1e-12
Row = tuple[str, str, str, float]
"""(kind, p, m, value in uA, pH, ohm or pF); m is empty for what has one node."""
CAPACITANCE = 0.7e-15 / UA
"""F per A of critical current (70 fF for 100 uA)."""
SUBGAP = 160 * 100 * UA
"""V: r_sub times critical current."""
SHUNT = 0.6859904418e-3
"""V: shunt times critical current, for a Stewart-McCumber parameter of 1."""
SHUNT_HENRY = 1.13e-12 / 2
"""H per ohm of shunt (1.13 pH a square of 2 ohm); besides 0.5 pH of its contact."""
CONTACT = 0.5 * PH
"""H from a junction, or its shunt, to ground."""
STANDARD = 250 * UA
"""A: critical current at a pin; it is biased at 0.7 of that."""
HALF = PHI0 / (4 * STANDARD)
"""H of half a stage of a transmission line."""
SECTION_S = 0.25 * PS
"""Delay of one section of a passive line's ladder, which passes up to 1 / (pi 0.25 ps) = 1.3 THz; a junction's pulse
has next to nothing above 0.5 THz."""
LINE_OHM, LINE_PS = 5.0, 1.0
"""Impedance of a passive line, a choice near what junctions of 250 uA and their shunts of 2.7 ohm drive, and its delay
where none is said: that of some 100 um. Netlists say no lengths, as nothing is placed.
"""
RAMP = 5 * PS
SINK_OHM = 2.0
PULSE = (450 * UA, 2 * PS)
"""Height of a triangle of current that sends one flux quantum into a transmission line, and its half width."""


@dataclass(frozen=True, slots=True, eq=False)
class CellCircuit:
    """A cell as a circuit. inputs, outputs: pin -> node. first: input pin -> junction that its pulse flips first.

    bias_a: sum of the bias currents. junctions: how many. last: output pin -> junction that sends its pulses. passive:
    pins that meet a passive transmission line, which only a transmitter drives and only a receiver ends.
    """

    circuit: Circuit
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    first: Mapping[str, str]
    bias_a: float
    junctions: int
    last: Mapping[str, str] = field(default_factory=dict)
    passive: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the circuit."""
        return self.circuit.name


def cells() -> tuple[str, ...]:
    """Names of the cells that have a circuit."""
    return tuple(SHEETS)


def circuit_of(cell: str) -> CellCircuit:
    """The circuit of a cell of the library.

    Raises:
        UnsupportedError: NO_CIRCUIT: there is none.
    """
    if cell not in SHEETS:
        raise UnsupportedError(f"no circuit of {cell!r}", code="NO_CIRCUIT",
                               fix=f"cells with one: {', '.join(cells())}")
    return transmitter() if cell == "PTLTX" else cell_of(cell, SHEETS[cell])


def cell_of(name: str, sheet: Sheet) -> CellCircuit:
    """The circuit that a sheet draws."""
    made = tuple(e for row in rows_of(sheet) for e in _elements(row))
    last = sheet.last or {m: f"j{p}" for kind, p, m, _ in rows_of(sheet) if kind == "L" and m in sheet.outputs}
    cell = _cell(name, made, {p: p for p in sheet.inputs}, {p: p for p in sheet.outputs},
                 {pin: f"j{node}" for pin, node in sheet.entry.items()}, last)
    return replace(cell, passive=sheet.passive)


def transmitter(delay_ps: float = LINE_PS) -> CellCircuit:
    """PTLTX with a line of this delay behind it (about 1 ps for 100 um); circuit_of's has LINE_PS."""
    sheet = SHEETS["PTLTX"]
    return cell_of("PTLTX", replace(sheet, rows=f"{sheet.rows}; T t q {LINE_OHM} {delay_ps}"))


def driver(times_s: Sequence[float] = ()) -> CellCircuit:
    """A source that sends a flux quantum into a transmission line at each time; its own name is "pulse"."""
    line = circuit_of("JTL")
    source = Source("pulse", "a", pulse_points(times_s), kind="input")
    return _cell("SRC", (*line.circuit.elements, source), {}, line.outputs, {}, line.last)


def sink() -> CellCircuit:
    """A junction as at any input, behind which a resistor ends the pulse."""
    rows = (("L", "a", "1", HALF / PH), ("J", "1", "", STANDARD / UA), ("B", "1", "", 0.7 * STANDARD / UA),
            ("L", "1", "2", HALF / PH))
    end = Resistor("end", "2", GROUND, SINK_OHM)
    return _cell("SINK", (*(e for row in rows for e in _elements(row)), end), {"a": "a"}, {}, {"a": "j1"}, {})


def pulse_points(times_s: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Points of (s, A) of a source that pulses at these times, the peaks of its triangles, which add up."""
    high, half = PULSE
    edges = sorted({0.0, *(t + d for t in times_s for d in (-half, 0.0, half))})
    near, points = sorted(times_s), []
    for edge in edges:
        own = near[bisect_left(near, edge - half):bisect_right(near, edge + half)]
        points.append((edge, sum(high * (1 - abs(edge - t) / half) for t in own)))
    return tuple(points)


def rows_of(sheet: Sheet) -> Iterator[Row]:
    """Of each element; a line (T) as its inductors and capacitors (C)."""
    for line in sheet.rows.replace("\n", ";").split(";"):
        match line.split():
            case ["in", pin, node]:
                yield "L", pin, node, HALF / PH
                yield "J", node, "", STANDARD / UA
                yield "B", node, "", 0.7 * STANDARD / UA
            case [("J" | "B") as kind, node, value]:
                yield kind, node, "", float(value)
            case [("L" | "X" | "R") as kind, p, m, value]:
                yield kind, p, m, float(value)
            case ["T", p, m, ohm, ps]:
                yield from _ladder(p, m, float(ohm), float(ps))


def _ladder(p: str, m: str, ohm: float, ps: float) -> Iterator[Row]:
    """A lossless line between p and m: sections of an inductor and a capacitor."""
    n = max(1, round(ps * PS / SECTION_S))
    nodes = [p, *(f"{p}t{k}" for k in range(1, n)), m]
    for k, (near, far) in enumerate(pairwise(nodes)):
        half = ps / n / 2
        yield "C", near, "", half / ohm * (1 if k == 0 else 2)
        yield "L", near, far, ps / n * ohm
    yield "C", m, "", half / ohm


def _elements(row: Row) -> tuple[Element, ...]:
    """What a row stands for."""
    kind, p, m, value = row
    match kind:
        case "J":
            foot = f"{p}g"
            return (*junction(f"j{p}", p, foot, value * UA), Inductor(f"lg{p}", foot, GROUND, CONTACT))
        case "X":
            return junction(f"x{p}_{m}", p, m, value * UA)
        case "L":
            return (Inductor(f"l{p}_{m}", p, m, value * PH),)
        case "R":
            return (Resistor(f"r{p}_{m}", p, m, value),)
        case "C":
            return (Junction(f"c{p}", p, GROUND, 0.0, value * PF, inf),)
        case _:
            return (bias(f"b{p}", p, value * UA),)


def junction(name: str, p: str, m: str, ic: float) -> tuple[Element, ...]:
    """A shunted junction of critical current ic in A between p and m: junction, shunt and the shunt's inductance."""
    ohm = SHUNT / ic
    middle = f"{name}s"
    return (Junction(name, p, m, ic, CAPACITANCE * ic, SUBGAP / ic), Resistor(f"r{name}", p, middle, ohm),
            Inductor(f"l{name}", middle, m, ohm * SHUNT_HENRY + CONTACT))


def bias(name: str, node: str, ampere: float) -> Source:
    """A bias current, which rises from 0 within 5 ps."""
    return Source(name, node, ((0.0, 0.0), (RAMP, ampere)))


def _cell(name: str, elements: tuple[Element, ...], inputs: Mapping[str, str], outputs: Mapping[str, str],
          first: Mapping[str, str], last: Mapping[str, str]) -> CellCircuit:
    """With what is counted."""
    biases = [e.points[-1][1] for e in elements if isinstance(e, Source) and e.kind == "bias"]
    return CellCircuit(Circuit(name, elements), inputs, outputs, first, sum(biases),
                       sum(isinstance(e, Junction) and e.ic > 0 for e in elements), last)
