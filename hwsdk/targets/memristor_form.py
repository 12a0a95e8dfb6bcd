"""The sections of a crossbar's description: cells, devices, wires, drivers, converters, timing, lines, process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from hwsdk.ir.crossbar import Law
from hwsdk.targets.description import Figure, Price, Strict, fields_of


class Series(Strict):
    """Numbers of one formula that belong together, such as the coefficients of a polynomial, constant first."""

    values: list[float]
    unit: str
    source: str
    calibrated: bool = False

    def figures(self, name: str) -> Iterator[tuple[str, Figure]]:
        """Each number as a figure of its own."""
        for k, value in enumerate(self.values):
            yield f"{name}[{k}]", Figure(value=value, unit=self.unit, source=self.source, calibrated=self.calibrated)


class LawForm(Strict):
    """A device's law: its family with the constants of its formula. unknown: there surely is one, but nobody published
    it, so that "none" stands in.
    """

    family: str
    source: str
    unknown: bool = False
    constants: dict[str, Figure | Series] = Field(default_factory=dict)

    def law(self) -> Law:
        """As the simulator takes it; a constant without a value is left out, and then missed by name."""
        found: dict[str, float | tuple[float, ...]] = {}
        for name, c in self.constants.items():
            if isinstance(c, Series):
                found[name] = tuple(c.values)
            elif c.value is not None:
                found[name] = c.value
        return Law(self.family, found)

    def figures(self, name: str) -> Iterator[tuple[str, Figure]]:
        """The constants; without any, a line that says so."""
        if not self.constants:
            value = None if self.unknown else 0.0
            yield name, Figure(value=value, unit="S", source=self.source)
        for key, c in self.constants.items():
            label = f"{name} ({self.family}), {key}"
            yield from c.figures(label) if isinstance(c, Series) else ((label, c),)


class CellForm(Strict):
    """In S: window g_min to g_max; g_off of a cell that was never formed, absent where all are formed; ceiling: the
    most that a cell can have. levels: that a write can tell apart; absent or without value: any number.
    """

    g_min: Figure
    g_max: Figure
    g_off: Figure | None = None
    ceiling: Figure | None = None
    levels: Figure | None = None


class FormingForm(Strict):
    """formed: share of the cells that form. median in S and sigma (of the logarithm): conductance of those.
    breakdown_mean, breakdown_sigma in V: of the voltage at which a cell forms, so that a forming voltage V gives the
    share Phi((V - mean) / sigma).
    """

    formed: Figure
    median: Figure
    sigma: Figure
    breakdown_mean: Figure
    breakdown_sigma: Figure


class DeviceForm(Strict):
    """Laws; forming, absent where nothing is known of it; shares of cells stuck at g_max and at g_min."""

    write: LawForm
    read: LawForm
    drift: LawForm
    stuck_on: Figure
    stuck_off: Figure
    forming: FormingForm | None = None

    def figures(self) -> dict[str, Figure]:
        """All numbers by name."""
        found = {f"device, {n}": f for n, f in fields_of(self).items()}
        for name in ("write", "read", "drift"):
            found |= dict(getattr(self, name).figures(f"device, {name}"))
        forming = {} if self.forming is None else fields_of(self.forming)
        return found | {f"forming, {n}": f for n, f in forming.items()}


class WiresForm(Strict):
    """topology, conducting: of hwsdk.ir.crossbar.Wires. word, bit: ohm of a segment along a row and along a column;
    driver, sense: ohm at the ends. One without a value acts as 0.
    """

    topology: Literal["driven", "gated"]
    conducting: Literal["selected", "all"]
    source: str
    word: Figure
    bit: Figure
    driver: Figure
    sense: Figure


class DriveForm(Strict):
    """volts: of a row (or source line) whose input is 1. dac_bits: of an input taken at once, absent: any value. dac: J
    a row and read of a converter in front of it, absent where there is none.
    """

    volts: Figure
    dac_bits: Figure | None = None
    dac: Figure | None = None


class AdcForm(Strict):
    """mux: columns that take turns at a channel of the converters. bits: absent where the converter is ideal. offset in
    LSB and gain: standard deviations over converters; without value 0. column_ohm: of a column that is sensed, for
    NeuroSim's energy. shared: channels that are held and then converted one after another by one ADC in a phase.
    """

    mux: Figure
    offset: Figure
    gain: Figure
    bits: Figure | None = None
    column_ohm: Figure | None = None
    shared: Figure | None = None


class TimingForm(Strict):
    """Seconds of the parts of a phase; overlap: conversion during the next settling."""

    settle: Figure
    integrate: Figure
    convert: Figure
    overlap: bool = False


class LinesForm(Strict):
    """word, bit: F a cell of a row's and of a column's line. swing: V of a row's line when it is switched on."""

    word: Figure
    bit: Figure
    swing: Figure


class ProcessForm(Strict):
    """nm: feature size F. cell_area: F2 of a cell with its transistor."""

    nm: Figure
    cell_area: Figure


class MemristorPrice(Price):
    """Energy of one event; those of cells, lines and converters follow from other figures."""

    per: Literal["neuron_updates", "adds", "shift_bits", "cell_writes"]
