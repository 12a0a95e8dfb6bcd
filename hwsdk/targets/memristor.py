"""The form of a chip of resistive crossbars: macros of memristive cells, their lines, drivers and converters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from hwsdk.errors import TargetError
from hwsdk.ir.crossbar import STAGES, Cell, Converter, Device, Forming, Physics, Timing, Wires
from hwsdk.quantity import Quantity
from hwsdk.targets import adc
from hwsdk.targets.description import Figure, Power, Price, Target, fields_of
from hwsdk.targets.memristor_changes import changed
from hwsdk.targets.memristor_form import (
    AdcForm,
    CellForm,
    DeviceForm,
    DriveForm,
    LinesForm,
    MemristorPrice,
    ProcessForm,
    TimingForm,
    WiresForm,
)

ARRAY, DRIVES, CONVERSIONS, COLUMNS = "array_picojoules", "row_drives", "conversions", "column_reads"
"""Counts of the prices that follow from other figures; the first and the last are made by the estimate."""
Stage = Literal["levels", "write", "faults", "drift", "wires", "adc", "read"]
"""Of hwsdk.ir.crossbar.STAGES."""
SECTIONS = ("cell", "wires", "drive", "adc", "timing", "lines", "process")


class MemristorTarget(Target):
    """A chip of crossbars. limits: rows and columns of a macro, macros of a chip. anchors: J an operation, published
    for chips like this one, which an estimate is told beside. stages: that are on unless something else is asked for;
    absent: all.
    """

    family: Literal["memristor"]
    energy: list[MemristorPrice]
    power: list[Power] = Field(default_factory=list)
    cell: CellForm
    device: DeviceForm
    wires: WiresForm
    drive: DriveForm
    adc: AdcForm
    timing: TimingForm
    lines: LinesForm
    process: ProcessForm
    stages: list[Stage] | None = None
    cells_priced: bool = True
    cells_source: str = "computed: volts x current x time of every read, wires included"
    anchors: dict[str, Figure] = Field(default_factory=dict)

    def known(self, figure: Figure | None, name: str) -> float:
        """The value of a figure.

        Raises:
            TargetError: there is none.
        """
        if figure is None or figure.value is None:
            raise TargetError(f"{name} has no value", where=self.name, fix="complete the description")
        return figure.value

    def physics(self, **changes: Any) -> Physics:
        """What decides the currents, with all that the caller wants otherwise.

        Args:
            changes: by name, as numbers or as their text; None leaves the target's own.
                stages: those that are on, as names or their text ("all", "none", "write,adc"); off: those that are
                not; the name of a stage itself may be "on" or "off". die: seed. seconds: from writing to reading.
                write, read: noise as a share of the window (0.1 is 10 %), in place of the target's law.
                drift: "off" or "on". levels: number, or "any". formed: share, or forming_volts in V.
                stuck_on, stuck_off: shares. adc_bits: number, or "ideal". dac_bits: number, or "any".
                volts, g_min, g_max, g_off, ceiling, settle, integrate, convert, adc_offset, adc_gain: numbers in V, S,
                s, LSB and 1. word_ohm, bit_ohm, driver_ohm, sense_ohm: numbers. rows, columns, mux: whole numbers.
                topology: "driven" or "gated". conducting: "selected" or "all". overlap: "on" or "off".
                A number switches its stage on, where ``stages`` is not given.

        Raises:
            TargetError: UNKNOWN_OPTION, BAD_OPTION, or a figure that has no value.
        """
        return changed(self.plain_physics(), self, {n: v for n, v in changes.items() if v is not None})

    def plain_physics(self) -> Physics:
        """As described, die 0, read 1 s after the writing."""
        a, t = self.adc, self.timing
        timing = Timing(self.known(t.settle, "timing.settle"), self.known(t.integrate, "timing.integrate"),
                        self.known(t.convert, "timing.convert"), t.overlap)
        converter = Converter(_whole(a.bits), a.offset.value or 0.0, a.gain.value or 0.0)
        return Physics(
            self.need("rows"), self.need("columns"), int(self.known(a.mux, "adc.mux")),
            self.known(self.drive.volts, "drive.volts"), self._cell(), self._device(), self._wires(), converter, timing,
            _whole(self.drive.dac_bits), STAGES if self.stages is None else tuple(self.stages))

    def _cell(self) -> Cell:
        c = self.cell
        return Cell(self.known(c.g_min, "cell.g_min"), self.known(c.g_max, "cell.g_max"), _value(c.g_off),
                    _value(c.ceiling), _whole(c.levels))

    def _device(self) -> Device:
        d, f = self.device, self.device.forming
        forming = None if f is None else Forming(
            *(self.known(getattr(f, n), f"device.forming.{n}") for n in ("formed", "median", "sigma")))
        return Device(d.write.law(), d.read.law(), d.drift.law(), forming, d.stuck_on.value or 0.0,
                      d.stuck_off.value or 0.0)

    def _wires(self) -> Wires:
        w = self.wires
        return Wires(w.topology, w.word.value or 0.0, w.bit.value or 0.0, w.driver.value or 0.0, w.sense.value or 0.0,
                     w.conducting)

    def converters(self, physics: Physics) -> int:
        """ADCs of a macro."""
        return math.ceil(physics.columns / physics.mux / (_value(self.adc.shared) or 1.0))

    def rate(self, physics: Physics) -> float | None:
        """Samples/s that an ADC has to take; None where a conversion takes no time."""
        t = physics.timing
        return (_value(self.adc.shared) or 1.0) / t.convert if t.convert > 0 else None

    def conversion(self, physics: Physics, model: str = "band") -> Quantity | None:
        """J of a conversion, None where nothing is known of the converter.

        Args:
            model: one of hwsdk.targets.adc.MODELS.

        Raises:
            TargetError: no such model.
        """
        bits = physics.adc.bits if physics.has("adc") else None
        nm, rate, ohm = self.process.nm.value, self.rate(physics), _value(self.adc.column_ohm)
        if bits is None or nm is None or rate is None or ohm is None:
            adc.require_model(model)
            return None
        return adc.conversion(bits, nm, rate, ohm, model)

    def converter_area(self, physics: Physics, model: str = "band") -> Quantity | None:
        """m2 of an ADC by the fit to the survey, with the band of its energy."""
        energy, nm, rate = self.conversion(physics, model), self.process.nm.value, self.rate(physics)
        if energy is None or nm is None or rate is None:
            return None
        value, low, high = (adc.survey_area(nm, rate, e) for e in (energy.value, *energy.bounds()))
        return Quantity(value, "m2", adc.SURVEY, False, low, high)

    def cell_area(self) -> float | None:
        """m2 of a cell."""
        nm, f2 = self.process.nm.value, self.process.cell_area.value
        return None if nm is None or f2 is None else f2 * (nm * 1e-9) ** 2

    def event_prices(self, physics: Physics, model: str = "band") -> tuple[Price, ...]:
        """Energy of every counted event of a chip with this physics.

        Raises:
            TargetError: no such model of an ADC.
        """
        return (*self._line_prices(physics), self._adc_price(physics, model), *self.energy)

    def _adc_price(self, physics: Physics, model: str) -> Price:
        q = self.conversion(physics, model)
        name = "ideal ADC" if physics.adc.bits is None else f"ADC, {physics.adc.bits} bits"
        if q is None:
            return Price(name=name, per=CONVERSIONS, unit="J", source="an ideal converter, or one of which too little "
                                                                      "is known")
        return Price(name=name, per=CONVERSIONS, value=q.value, unit="J", source=q.source, low=q.low, high=q.high)

    def _line_prices(self, physics: Physics) -> Iterator[Price]:
        """Cells and wires; a row's line over all columns; a column's line over all rows; a DAC."""
        yield Price(name="cells and wires", per=ARRAY, value=1e-12 if self.cells_priced else None, unit="J",
                    source=self.cells_source)
        word, bit, swing = self.lines.word.value, self.lines.bit.value, self.lines.swing.value
        up = physics.volts if physics.wires.topology == "driven" else swing
        row = None if word is None or up is None else physics.columns * word * up ** 2
        yield Price(name="word line", per=DRIVES, value=row, unit="J", calibrated=self.lines.word.calibrated,
                    source=f"derived: columns x capacitance x swing2; {self.lines.word.source}")
        column = None if bit is None else physics.rows * bit * physics.volts ** 2
        yield Price(name="bit line", per=COLUMNS, value=column, unit="J", calibrated=self.lines.bit.calibrated,
                    source=f"derived: rows x capacitance x volts2; {self.lines.bit.source}")
        if self.drive.dac is not None:
            yield Price(name="DAC", per=DRIVES, **self.drive.dac.model_dump())

    def prices(self) -> tuple[Price, ...]:
        """Energy of every counted event of the chip as described."""
        return self.event_prices(self.plain_physics())

    def times(self) -> dict[str, Figure]:
        """The parts of a phase."""
        return fields_of(self.timing)

    def figures(self) -> dict[str, Figure]:
        """Cells, devices, wires, drivers, converters, lines, process, and published anchors."""
        found = {f"{part}, {n}": f for part in SECTIONS if part != "timing"
                 for n, f in fields_of(getattr(self, part)).items()}
        return {**found, **self.device.figures(), **{f"anchor, {n}": f for n, f in self.anchors.items()}}

    def size_text(self) -> str:
        """Macros, cells and window."""
        low, high = (self.known(f, "cell") * 1e6 for f in (self.cell.g_min, self.cell.g_max))
        rows, columns, macros = (self.need(n) for n in ("rows", "columns", "macros"))
        return f"{macros:,} macro(s) a chip of {rows:,} x {columns:,} cells of {low:g} to {high:g} uS"

    def about(self) -> str:
        """Inputs, converters, laws."""
        p = self.plain_physics()
        unknown = [n for n in ("write", "read", "drift") if getattr(self.device, n).unknown]
        inputs = {None: "inputs of any value", 1: "inputs bit by bit"}.get(p.dac_bits, f"inputs of {p.dac_bits} bits")
        share = "each column" if p.mux == 1 else f"{p.mux} columns"
        out = "ideal converters" if p.adc.bits is None else f"ADCs of {p.adc.bits} bits for {share}"
        lacks = f"; not known: errors of {', '.join(unknown)}" if unknown else ""
        return f"{p.wires.topology} rows, {inputs}, digital neurons, {out}{lacks}"

    def limits_title(self) -> str:
        """Of what the limits are."""
        return "limits (macros a chip; the rest a macro)"

    def _more_text(self) -> Iterator[str]:
        w = self.wires
        yield f"wires {w.topology}, columns that conduct: {w.conducting} [{w.source}]"
        yield f"stages {' '.join(self.plain_physics().stages) or 'none'}"


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value


def _whole(figure: Figure | None) -> int | None:
    value = _value(figure)
    return None if value is None else int(value)


__all__ = ["ARRAY", "COLUMNS", "CONVERSIONS", "DRIVES", "MemristorTarget"]
