"""What decides the currents of a resistive crossbar: devices, wires, converters, timing. Conductances in siemens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

STAGES = ("levels", "write", "faults", "drift", "wires", "adc", "read")
"""What makes a made array differ from its targets, in the order in which it acts; each can be switched off.

levels: a cell takes the nearest of its levels (at compile time). write: the error of the last write. faults: cells that
are stuck. drift: what time does to a conductance. wires: their resistance. adc: range, steps, offset and gain of the
converters. read: noise that is new in every read.
"""
TOPOLOGIES = ("driven", "gated")
"""driven: rows carry the input voltage to all columns that conduct. gated: a row switches the transistors of its cells,
which lie between the source line and the bit line of their column (one-bit inputs).
"""


@dataclass(frozen=True, slots=True)
class Law:
    """A published formula of a device: its name and its constants. "none" does nothing."""

    family: str = "none"
    constants: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)

    def one(self, name: str) -> float:
        """A constant that is a single number."""
        value = self.constants[name]
        if isinstance(value, tuple):
            raise TypeError(f"{name} of {self.family} is a list")
        return value

    def many(self, name: str) -> NDArray[np.float64]:
        """A constant that is a list of numbers."""
        return np.asarray(self.constants[name], np.float64)


@dataclass(frozen=True, slots=True)
class Cell:
    """The conductance window in S. g_off: of a cell that was never formed; None where all are formed. ceiling: the most
    that a cell can have. levels: how many a write can tell apart, None for any number.
    """

    g_min: float
    g_max: float
    g_off: float | None = None
    ceiling: float | None = None
    levels: int | None = None

    @property
    def window(self) -> float:
        """g_max - g_min."""
        return self.g_max - self.g_min


@dataclass(frozen=True, slots=True)
class Forming:
    """Cells whose randomness is the forming itself. formed: share of cells that form at the chosen voltage. The others
    stay at Cell.g_off. A formed one is lognormal: median in S, sigma of the logarithm.
    """

    formed: float
    median: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Device:
    """Laws of writing, reading and drifting; forming, None where it is not known; shares of cells that are stuck at
    g_max (stuck_on) and at g_min (stuck_off).
    """

    write: Law = Law()
    read: Law = Law()
    drift: Law = Law()
    forming: Forming | None = None
    stuck_on: float = 0.0
    stuck_off: float = 0.0


@dataclass(frozen=True, slots=True)
class Wires:
    """Ohm of one wire segment from cell to cell: word of a row's line, bit of a column's; driver in front of every
    driven line, sense behind every sensed one. conducting: "selected", the columns whose converters work in this phase,
    or "all".
    """

    topology: str = "driven"
    word: float = 0.0
    bit: float = 0.0
    driver: float = 0.0
    sense: float = 0.0
    conducting: str = "selected"


@dataclass(frozen=True, slots=True)
class Converter:
    """bits: of an ADC, None for an ideal one. offset: standard deviation over converters in LSB; gain: the same,
    relative.
    """

    bits: int | None = None
    offset: float = 0.0
    gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a phase, in which one column of every converter is read: settle, integrate, convert. overlap: the
    conversion runs while the next phase settles.
    """

    settle: float
    integrate: float
    convert: float
    overlap: bool = False

    @property
    def phase(self) -> float:
        """Length of a phase."""
        if self.overlap:
            return max(self.settle, self.convert) + self.integrate
        return self.settle + self.integrate + self.convert


@dataclass(frozen=True, slots=True)
class Physics:
    """An array and what surrounds it.

    rows, columns: cells of a macro. mux: columns that share a converter, one of which it reads in a phase. volts: of a
    row whose input is 1. dac_bits: bits of an input that a row takes at once, None for any value; more bits take
    further slices, and negative values slices of their own. stages: those of STAGES that are on. seconds: from the
    writing to the reading, for the drift. die: seed of all that differs from chip to chip.
    """

    rows: int
    columns: int
    mux: int
    volts: float
    cell: Cell
    device: Device
    wires: Wires
    adc: Converter
    timing: Timing
    dac_bits: int | None = 1
    stages: tuple[str, ...] = STAGES
    seconds: float = 1.0
    die: int = 0

    def has(self, stage: str) -> bool:
        """Is a stage on?"""
        return stage in self.stages

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Physics:
        """The value that ``to_json`` took apart."""
        p = dict(plain)
        d = dict(p["device"])
        for law in ("write", "read", "drift"):
            c = {n: tuple(v) if isinstance(v, list | tuple) else v for n, v in d[law]["constants"].items()}
            d[law] = Law(d[law]["family"], c)
        d["forming"] = None if d["forming"] is None else Forming(**d["forming"])
        return Physics(**p | {
            "cell": Cell(**p["cell"]), "device": Device(**d), "wires": Wires(**p["wires"]),
            "adc": Converter(**p["adc"]), "timing": Timing(**p["timing"]), "stages": tuple(p["stages"])})
