"""The form of a superconducting chip: a library of pulse-logic cells, its bias and its cooling."""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal

from pydantic import Field, field_validator

from hwsdk.errors import TargetError
from hwsdk.ir.cells import CellType
from hwsdk.targets.description import Figure, Power, Price, Strict, Target, fields_of, read_toml
from hwsdk.targets.sfq_cells import DELAYS, Library
from hwsdk.targets.sfq_soma import PREFIX, SomaLibrary, SomaRow

SCHEMES = ("rsfq", "ersfq")
"""How cells get their bias current: through resistors from a voltage, or through junctions."""


class Bias(Strict):
    """voltage: V of the RSFQ bias line, which its resistors burn. ersfq_junctions: junctions of an ERSFQ circuit over
    those of the same in RSFQ; ersfq_dynamic: its energy over that of the pulses alone.
    """

    voltage: Figure
    ersfq_junctions: Figure
    ersfq_dynamic: Figure


class Process(Strict):
    """kelvin: temperature. current_density: critical current of a junction in A/m2. ptl_delay: s/m of a passive line.
    routed_area: um2 a junction of a chip with its routing.
    """

    kelvin: Figure
    current_density: Figure
    ptl_delay: Figure
    routed_area: Figure


class PublishedChip(Strict):
    """A chip of others, by which the power model can be checked. junctions: at_least where only a bound is known."""

    id: str
    title: str
    junctions: int
    at_least: bool = False
    power: Figure
    source: str

    @property
    def junction_w(self) -> float | None:
        """W a junction."""
        return None if self.power.value is None else self.power.value / self.junctions


class PublishedChips(Strict):
    """The file."""

    chip: list[PublishedChip]


class SfqTarget(Target):
    """A superconducting chip. library, somas: files of hwsdk/targets/cells, or their tables."""

    family: Literal["sfq"]
    energy: list[Price] = Field(default_factory=list)
    bias: Bias
    cooling: Figure
    process: Process
    library: Library
    somas: SomaLibrary

    @field_validator("library", "somas", mode="before")
    @classmethod
    def _tables(cls, value: Any) -> Any:
        """The tables of a file, where a name is given."""
        if not isinstance(value, str):
            return value
        file = resources.files("hwsdk.targets") / "cells" / value
        if not file.is_file():
            raise ValueError(f"no file {value!r} comes with hwsdk")
        return read_toml(file.read_text("utf-8"), value)

    @property
    def cell_names(self) -> tuple[str, ...]:
        """All cells but the somas."""
        return tuple(self.library.cells)

    def cell(self, name: str, delays: str = "measured") -> CellType:
        """A cell as tables; SOMA<n> too.

        Args:
            delays: "measured" in an analog simulation, or "published"; where a cell has one of them alone, that one.

        Raises:
            TargetError: no such cell, or no such kind of delays.
        """
        if delays not in DELAYS:
            raise TargetError(f"delays {delays!r}", where=self.name, code="BAD_DELAYS",
                              fix=f"use one of {', '.join(DELAYS)}")
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).isdigit():
            return self.soma(int(name.removeprefix(PREFIX)))
        if name not in self.library.cells:
            raise TargetError(f"no cell {name!r}", where=self.name, code="UNKNOWN_CELL",
                              fix=f"use one of {', '.join(self.cell_names)} or {PREFIX}<fan-in>")
        return self.library.cell_type(name, delays)

    def soma(self, fan_in: int) -> CellType:
        """A current-summing soma with inputs b0 .. b<fan_in - 1>. bias_a and energy leave out the soma's own current,
        which the netlist holds.

        Raises:
            TargetError: more branches, or fewer, than anybody characterised.
        """
        window = self.library.cells["JTL"].curve
        if window is None:
            raise TargetError("JTL has no curve", where=self.name, fix="complete the library")
        return self.somas.cell_type(self.soma_row(fan_in), window)

    def soma_row(self, fan_in: int) -> SomaRow:
        """The figures of a soma, with the range for which they hold.

        Raises:
            TargetError: more branches, or fewer, than anybody characterised.
        """
        row, known = self.somas.row(fan_in), self.somas.fan_ins
        if row is None:
            ends = f"{known[0]} to {known[-1]}" if len(known) > 1 else str(known[0]) if known else "none"
            raise TargetError(f"no soma with a fan-in of {fan_in} is characterised", where=self.name, code="NO_SOMA",
                              fix=f"stay within {ends}, or use the style 'counter'")
        return row

    def critical_a(self, name: str) -> float | None:
        """Sum of a cell's critical currents in A, None where it is not known."""
        if name.startswith(PREFIX):
            return self.soma_row(int(name.removeprefix(PREFIX))).drawn.ic_a
        ma = self.library.cells[name].drawn.ic_ma
        return None if ma is None else ma * 1e-3

    def known(self, figure: Figure, name: str) -> float:
        """The value of a figure.

        Raises:
            TargetError: there is none.
        """
        if figure.value is None:
            raise TargetError(f"{name} has no value", where=self.name, fix="complete the description")
        return figure.value

    def prices(self) -> tuple[Price, ...]:
        """Energy of every event of every cell."""
        return (*self.energy, *self.library.prices())

    def powers(self) -> tuple[Power, ...]:
        """What an ampere of bias burns in the resistors of RSFQ."""
        v = self.bias.voltage
        each = Power(name="RSFQ bias, each A", per="chip", value=v.value, unit="W/A", source=v.source, low=v.low,
                     high=v.high)
        return (*self.power, each)

    def times(self) -> dict[str, Figure]:
        """Delays of the cells, latencies of the somas, and the speed of passive lines."""
        return {"passive line": self.process.ptl_delay, **self.library.times(), **self.somas.times()}

    def figures(self) -> dict[str, Figure]:
        """Bias, cooling, process, cells and somas."""
        process = {f"process, {n}": f for n, f in fields_of(self.process).items() if n != "ptl_delay"}
        bias = {f"bias, {n}": f for n, f in fields_of(self.bias).items()}
        return {**bias, "cooling": self.cooling, **process, **self.library.figures(), **self.somas.figures()}

    def size_text(self) -> str:
        """Junctions and bias current."""
        junctions, bias = self.need("junctions"), self.need("bias")
        return f"about {junctions:,} Josephson junctions and {bias / 1e3:g} A of bias current a chip"

    def about(self) -> str:
        """Cells, styles, frames."""
        return (f"netlists of {len(self.cell_names)} pulse cells; neurons count in integers, or sum currents of up to "
                f"{self.somas.fan_ins[-1]} branches and leak; delays of whole frames")

    def limits_title(self) -> str:
        """Of what the limits are."""
        return "limits (a chip; fan_in: of a current-summing neuron)"


def published_chips() -> tuple[PublishedChip, ...]:
    """Chips of others with their junctions and power.

    Raises:
        TargetError: the file breaks the form.
    """
    text = (resources.files("hwsdk.targets") / "measured" / "sfq.toml").read_text("utf-8")
    return tuple(PublishedChips.model_validate(read_toml(text, "measured/sfq.toml")).chip)
