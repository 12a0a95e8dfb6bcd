"""What the run of a crossbar program costs: currents through cells, charged lines, conversions, digital parts.

The joules of cells and wires are computed by the simulator, read by read; all else is counted events times prices,
which follow from the description and from the physics that the program was compiled for (bits, multiplexer, volts).
Published models of an ADC disagree by a factor of seven, so that its energy and area are bands. See
hwsdk.targets.memristor.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from hwsdk.cost import Amount, CostReport, Extra, Item, Latency, Run, proxy_target, report, require_counts, total
from hwsdk.errors import DataError, TargetError
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.targets.adc import MODELS, require_model
from hwsdk.targets.description import Price
from hwsdk.targets.memristor import ARRAY, MemristorTarget

CELL_READS = "cell_reads"
NEEDED = ("row_drives", "conversions", "array_joules", "phases", "neuron_updates", "step_seconds", "cell_reads",
          "column_reads")
"""Counts (samples, steps) that a priced trace has to hold."""
READS, NOTHING = "reads of the busiest macro", "nothing to read"
NEURON, WRITE = "neuron_updates", "cell_writes"
MM2 = 1e-6
DIGITAL_TIME = "time of the digital neurons, which work during the next reads"


@dataclass(frozen=True, slots=True)
class Choice:
    """adc_model: one of hwsdk.targets.adc.MODELS. neuron_pj: pJ of a neuron update, None: the target's figure."""

    adc_model: str = "band"
    neuron_pj: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Choice:
        """From options by name, as numbers or as their text.

        Raises:
            TargetError: UNKNOWN_OPTION or BAD_OPTION.
        """
        if unknown := sorted(set(options) - {f.name for f in dataclasses.fields(cls)}):
            raise TargetError(f"an estimate for crossbars has no option {', '.join(unknown)}", code="UNKNOWN_OPTION",
                              fix=f"use adc_model={' or '.join(MODELS)}, neuron_pj=PICOJOULES")
        require_model(str(options.get("adc_model", "band")))
        return cls(str(options.get("adc_model", "band")), _picojoules(options.get("neuron_pj")))


def _picojoules(value: Any) -> float | None:
    """pJ from a number or its text."""
    try:
        number = None if value is None else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if number is not None and not 0 < number < math.inf:
        raise TargetError(f"neuron_pj {value!r}", code="BAD_OPTION", fix="give pJ, more than 0")
    return number


def estimate(program: CrossbarProgram, trace: Trace, target: MemristorTarget, *, boundary: str = "chip",
             proxy: str | None = None, options: Mapping[str, Any] = MappingProxyType({})) -> CostReport:
    """Energy and latency of a simulated run.

    Args:
        options: adc_model: "band" (the fit to the survey, with NeuroSim's model as the other end), or "murmann" or
            "neurosim" alone. neuron_pj: pJ of a neuron update in place of the target's figure.

    Raises:
        TargetError: no such boundary, proxy or option.
        DataError: the trace holds no counted events, or is not one of this program.
    """
    choice = Choice.of(options)
    require_counts(trace)
    require_own(program, trace)
    prices = prices_of(program, target, choice)
    items = tuple(event_items(trace, prices))
    run = Run(trace.n_samples, trace.n_steps, {}, latency(trace), program.chips, program.macros,
              sum(p.n for p in program.inputs) * trace.n_steps, (DIGITAL_TIME,))
    found = report(target, run, boundary=boundary, proxy=proxy_target(target, proxy))
    found = dataclasses.replace(found, items=items, energy_dynamic=total(items),
                                constants=_constants(prices, target, found.constants))
    return dataclasses.replace(found, extra=tuple(_extra(program, trace, target, found, choice)))


def require_own(program: CrossbarProgram, trace: Trace) -> None:
    """Raise DataError unless the trace can be one of this program: the same populations, and all counts."""
    wrong = ""
    if lacking := [n for n in NEEDED if n not in trace.counts]:
        wrong = f"it does not count {', '.join(lacking)}"
    for p in program.populations:
        if p.name not in trace.spikes or trace.spikes[p.name].n != p.n:
            wrong = f"it has no population {p.name} of {p.n} neurons"
    if wrong:
        raise DataError(f"the trace is not one of this program: {wrong}", where=program.name, code="WRONG_TRACE",
                        fix="simulate this program, or estimate the one that the trace belongs to")


def prices_of(program: CrossbarProgram, target: MemristorTarget, choice: Choice) -> tuple[Price, ...]:
    """Prices with the physics of the program; those of writing are no part of an inference."""
    found = [p for p in target.event_prices(program.physics, choice.adc_model) if p.per != WRITE]
    if choice.neuron_pj is None:
        return tuple(found)
    own = Price(name="neuron update", per=NEURON, value=choice.neuron_pj * 1e-12, unit="J", source="as given")
    return (*(p for p in found if p.per != NEURON), own)


def event_items(trace: Trace, prices: Sequence[Price]) -> Iterator[Item]:
    """Counted events (mean of a sample) at their prices; those that the chip can have at all."""
    counts = {n: _count(trace, n) for n in trace.counts}
    counts[ARRAY] = counts["array_joules"] * 1e12
    for p in prices:
        if counts.get(p.per):
            yield Item(p.name, p.per, counts[p.per], p.quantity())


def _count(trace: Trace, name: str) -> float:
    """Mean of a sample."""
    return float(trace.counts[name].sum()) / trace.n_samples


def latency(trace: Trace) -> Latency:
    """The sum of the steps, each as long as the reads of its busiest macro: times are set, so there is no range."""
    steps = trace.counts["step_seconds"].astype(np.float64)
    per_sample, busy = steps.sum(-1), float((steps > 0).mean())
    mean = float(per_sample.mean())
    return Latency(Amount(mean, mean, mean, "s"), per_sample, {READS: busy, NOTHING: 1 - busy})


def operations(trace: Trace) -> Amount:
    """Multiplications and additions of an inference: two for every cell that is read on a driven row, once for all
    phases together.
    """
    return _exactly(2 * _count(trace, CELL_READS), "op")


def over(energy: Amount, ops: Amount) -> Amount:
    """J an operation."""
    if energy.value is None or not ops.value:
        return Amount(None, None, None, "J/op", energy.missing or ("operations",))
    return Amount(energy.value / ops.value, (energy.low or 0.0) / (ops.high or 1.0),
                  (energy.high or 0.0) / (ops.low or 1.0), "J/op", energy.missing)


def inverse(each: Amount) -> Amount:
    """Operations a J. Where energies are missing it is an upper bound."""
    if not each.value or not each.low or not each.high:
        return Amount(None, None, None, "op/J", each.missing)
    return Amount(1 / each.value, 1 / each.high, 1 / each.low, "op/J", each.missing)


def _extra(program: CrossbarProgram, trace: Trace, target: MemristorTarget, found: CostReport, choice: Choice,
           ) -> Iterator[Extra]:
    """What is told of crossbars beside energy and latency."""
    ops = operations(trace)
    each = over(found.energy_total, ops)
    steps = 1 / max(trace.n_steps, 1)
    yield Extra("energy a step, dynamic", found.energy_dynamic.times(Amount(steps, steps, steps, ""), "J"))
    yield Extra("operations", ops, f"{ops.value:,.0f}")
    yield Extra("energy an operation", each)
    rate = inverse(each)
    at_most = " (at most)" if rate.missing else ""
    yield Extra("operations a joule", rate, "" if rate.value is None else _spread(rate, _tera) + at_most)
    for name, figure in target.anchors.items():
        if figure.value is not None:
            known = Amount(figure.value, figure.value, figure.value, "J/op")
            yield Extra(f"beside it, {name}", known, f"{known}, {figure.source}")
    yield from _areas(program, target, choice)
    yield from _writing(program, target, found)


def _spread(amount: Amount, form: Callable[[float], str]) -> str:
    """A value, and its ends where they differ."""
    value, low, high = (form(x or 0.0) for x in (amount.value, amount.low, amount.high))
    return value + (f" [{low} to {high}]" if low != high else "")


def _tera(value: float) -> str:
    return f"{value / 1e12:.4g} Top/J"


def _areas(program: CrossbarProgram, target: MemristorTarget, choice: Choice) -> Iterator[Extra]:
    """mm2 of the macros in use: cells, and ADCs as the survey has them."""
    p, cell = program.physics, target.cell_area()
    cells = Amount(None, None, None, "mm2", ("area of a cell",))
    if cell is not None:
        whole = program.macros * p.rows * p.columns * cell / MM2
        cells = Amount(whole, whole, whole, "mm2")
    one = target.converter_area(p, choice.adc_model)
    adcs = Amount(None, None, None, "mm2", ("area of an ADC",))
    if one is not None:
        n = program.macros * target.converters(p) / MM2
        low, high = one.bounds()
        adcs = Amount(n * one.value, n * low, n * high, "mm2")
    more = Amount(None, None, None, "mm2", ("area of digital circuits",))
    for name, amount in (("area of cells", cells), ("area of ADCs", adcs), ("area", cells + adcs + more)):
        text = "" if amount.value is None else _spread(amount, lambda x: f"{x:.4g} mm2") + _missing(amount)
        yield Extra(name, amount, text)


def _missing(amount: Amount) -> str:
    return f" (at least; not published: {'; '.join(amount.missing)})" if amount.missing else ""


def _writing(program: CrossbarProgram, target: MemristorTarget, found: CostReport) -> Iterator[Extra]:
    """Cells in use, what it takes to write them, and how often each block is read."""
    written, native = (sum(int(np.count_nonzero(b.mask)) for b in program.blocks if b.kind == k)
                       for k in ("written", "native"))
    whole = program.macros * program.physics.rows * program.physics.columns
    yield Extra("macros", _exactly(program.macros, "macros"), f"{program.macros:,}")
    yield Extra("cells in use", _exactly(written + native, "cells"),
                f"{written + native:,} of {whole:,} ({(written + native) / max(whole, 1):.1%})")
    if native:
        yield Extra("cells formed and left", _exactly(native, "cells"), f"{native:,}, never written")
    if written:
        price = next((p for p in target.energy if p.per == WRITE), None)
        bill = Item("write of a cell", WRITE, written, None if price is None else price.quantity()).amount()
        yield Extra("energy of writing, once", bill, f"{bill} for {written:,} cells")
        if bill.value and found.energy_total.value:
            times = bill.value / found.energy_total.value
            yield Extra("inferences that take as much", _exactly(times, "inferences"), f"{times:,.4g}")
    uses = max((b.uses for b in program.blocks), default=0)
    yield Extra("reads of a block in a step, most", _exactly(uses, "reads"), f"{uses:,}")


def _exactly(value: float, unit: str) -> Amount:
    return Amount(float(value), float(value), float(value), unit)


def _constants(prices: Sequence[Price], target: MemristorTarget, found: Sequence[Mapping[str, object]],
               ) -> tuple[Mapping[str, object], ...]:
    """Every number that went in; prices as this program has them."""
    keys = ("name", "value", "low", "high", "unit", "source", "measured", "calibrated")
    own = tuple({k: getattr(p, k) for k in keys} for p in prices)
    return own + tuple(found[len(target.prices()):])
