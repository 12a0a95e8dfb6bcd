"""What the run of a pulse netlist costs: what its pulses draw from the bias, and what the bias burns all the time.

RSFQ: E = sum over events of energy + sum of bias currents x bias voltage x time. ERSFQ: the bias burns nothing at rest,
its feeding doubles what the pulses draw, and takes more junctions; both are rules of thumb.

Cooling is never in the sums; it has lines of its own. See hwsdk.targets.sfq for the figures and their sources.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsdk.cost import Amount, CostReport, Extra, Item, Latency, Run, proxy_target, report, require_counts, total
from hwsdk.errors import DataError, TargetError
from hwsdk.ir.cells import FS, ROLES, CellType
from hwsdk.ir.circuit import PHI0
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.quantity import Quantity
from hwsdk.targets.sfq import SCHEMES, SfqTarget

FIRES = 1
"""The state by which the pulses are counted at which a soma fires."""
MM2 = 1e-6
LINE = ("PTLTX", "PTLRX")
"""Both ends of a passive transmission line."""


@dataclass(frozen=True, slots=True)
class Choice:
    """bias_scheme: one of SCHEMES. cooling: W at room temperature for a W in the cold, None: the target's figure."""

    bias_scheme: str = "rsfq"
    cooling: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Choice:
        """From options by name.

        Raises:
            TargetError: UNKNOWN_OPTION or BAD_OPTION.
        """
        if unknown := sorted(set(options) - {f.name for f in dataclasses.fields(cls)}):
            raise TargetError(f"an estimate for sfq has no option {', '.join(unknown)}", code="UNKNOWN_OPTION",
                              fix="use bias_scheme=rsfq or ersfq, cooling=W/W")
        return cls(options.get("bias_scheme", "rsfq"), _cooling(options.get("cooling")))

    def require(self) -> None:
        """Refuse what there is not."""
        if self.bias_scheme not in SCHEMES:
            raise TargetError(f"bias_scheme {self.bias_scheme!r}", code="BAD_OPTION",
                              fix=f"use one of {', '.join(SCHEMES)}")
        _cooling(self.cooling)


def _cooling(value: Any) -> float | None:
    """W/W from a number or its text."""
    try:
        number = None if value is None else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if number is not None and not 0 <= number < np.inf:
        raise TargetError(f"cooling {value!r}", code="BAD_OPTION", fix="give W/W, 0 or more")
    return number


def estimate(program: PulseNetlist, trace: Trace, target: SfqTarget, *, boundary: str = "chip",
             proxy: str | None = None, bias_scheme: str = "rsfq", cooling: float | None = None) -> CostReport:
    """Energy and latency of a simulated run.

    Args:
        bias_scheme: "rsfq" (resistors) or "ersfq" (junctions).
        cooling: W at room temperature for a W in the cold; by default the target's figure with its range.

    Raises:
        TargetError: no such boundary, proxy or bias scheme.
        DataError: the trace holds no counted events, or is not one of this program.
    """
    choice = Choice(bias_scheme, cooling)
    choice.require()
    require_counts(trace)
    require_own(program, trace)
    time = latency(program, trace)
    items = tuple(event_items(program, trace, target))
    if bias_scheme == "ersfq":
        items += tuple(_feeding(total(items), target))
    static = tuple(bias_items(program, target, time)) if bias_scheme == "rsfq" else ()
    run = Run(trace.n_samples, trace.n_steps, {}, time, 1, 1, sum(p.n for p in program.inputs) * trace.n_steps,
              static=static)
    found = report(target, run, boundary=boundary, proxy=proxy_target(target, proxy))
    found = dataclasses.replace(found, items=items, energy_dynamic=total(items),
                                constants=_used(program, target, found.constants))
    return dataclasses.replace(found, extra=tuple(_extra(program, trace, target, found, choice)))


def require_own(program: PulseNetlist, trace: Trace) -> None:
    """Raise DataError unless the trace can be one of this program: its layers, and every event of its cells."""
    needed = ["frames", *(t.event(*at) for t in program.types for at in np.ndindex(t.next.shape))]
    wrong = ""
    if lacking := [n for n in needed if n not in trace.counts]:
        wrong = f"it does not count {', '.join(lacking[:8])}"
    for layer in program.layers:
        if layer.name not in trace.spikes or trace.spikes[layer.name].n != layer.n:
            wrong = f"it has no population {layer.name} of {layer.n} neurons"
    if wrong:
        raise DataError(f"the trace is not one of this program: {wrong}", where=program.name, code="WRONG_TRACE",
                        fix="simulate this program, or estimate the one that the trace belongs to")


def latency(program: PulseNetlist, trace: Trace) -> Latency:
    """The frames of each sample, and what comes before the first: frames are of one length, so there is no range."""
    s = program.schedule
    per_sample = (s.start_fs + s.frame_fs * trace.counts["frames"].astype(np.float64).sum(-1)) * FS
    mean = float(per_sample.mean())
    return Latency(Amount(mean, mean, mean, "s"), per_sample, {"frames": 1.0})


def event_items(program: PulseNetlist, trace: Trace, target: SfqTarget) -> Iterator[Item]:
    """What the pulses draw from the bias, by cell, input and state; those that occurred."""
    prices = {p.per: p for p in target.prices()}
    for kind in program.types:
        if kind.soma is not None:
            yield from _soma_items(program, trace, kind)
        if kind.soma is not None or not kind.bias_a:  # without bias there is nothing to draw from
            continue
        for event in (kind.event(*at) for at in np.ndindex(kind.next.shape)):
            if count := _count(trace, event):
                price = prices.get(event)
                known = None if price is None else price.quantity()
                yield Item(event if price is None else price.name, event, count, known)


def _count(trace: Trace, event: str) -> float:
    """Mean of a sample."""
    return float(trace.counts[event].sum()) / trace.n_samples


def _soma_items(program: PulseNetlist, trace: Trace, kind: CellType) -> Iterator[Item]:
    """A soma that fires draws its bias x PHI0. Of which soma fired how often only the sum is counted: hence a range."""
    own = program.arrays.soma_bias_a[_of_somas(program, kind)]
    count = sum(_count(trace, kind.event(FIRES, pin)) for pin in range(len(kind.inputs)))
    if count and len(own):
        mean, low, high = ((kind.bias_a + x) * PHI0 for x in (float(own.mean()), float(own.min()), float(own.max())))
        source = "estimate: bias current of soma and output x PHI0, which is what JTL and SPLIT draw"
        yield Item(f"{kind.name} fires", f"{kind.name} fires", count, Quantity(mean, "J", source, False, low, high))


def _of_somas(program: PulseNetlist, kind: CellType) -> Any:
    """(M) bool: which somas are of this type."""
    at = [t.name for t in program.types].index(kind.name)
    return program.arrays.cell_type[program.arrays.soma_cell] == at


def _feeding(drawn: Amount, target: SfqTarget) -> Iterator[Item]:
    """What feeding the bias adds in ERSFQ."""
    factor = target.bias.ersfq_dynamic
    more = target.known(factor, "bias.ersfq_dynamic") - 1
    if drawn.value is not None:
        yield Item("feeding of the ERSFQ bias", "inference", 1.0, Quantity(
            drawn.value * more, "J", factor.source, False, (drawn.low or 0.0) * more, (drawn.high or 0.0) * more))


def bias_items(program: PulseNetlist, target: SfqTarget, time: Latency) -> Iterator[Item]:
    """Seconds at the power that RSFQ's bias resistors and cells take, by role of the cells."""
    seconds, voltage = time.amount.value or 0.0, target.bias.voltage
    volts = target.known(voltage, "bias.voltage")
    low, high = Quantity(volts, "V", voltage.source, False, voltage.low, voltage.high).bounds()
    amps, unknown = bias_by_role(program)
    for role, a in amps.items():
        power = Quantity(a * volts, "W", f"bias current x voltage; {voltage.source}", False, a * low, a * high)
        yield Item(f"bias of {role} cells", f"at {_milli(a)}", seconds, power)
    for name in unknown:
        yield Item(f"bias of {name}", "", seconds, None)


def bias_by_role(program: PulseNetlist) -> tuple[dict[str, float], tuple[str, ...]]:
    """(role -> A of all its cells, somas' own currents included; types whose bias nobody knows)."""
    amps: dict[str, float] = {}
    for kind, n in _counted(program):
        own = float(program.arrays.soma_bias_a[_of_somas(program, kind)].sum()) if kind.soma is not None else 0.0
        if not np.isnan(kind.bias_a):
            amps[kind.role] = amps.get(kind.role, 0.0) + kind.bias_a * n + own
    unknown = tuple(k.name for k, _ in _counted(program) if np.isnan(k.bias_a))
    return {r: amps[r] for r in ROLES if r in amps}, unknown


def bias_current(program: PulseNetlist) -> Amount:
    """A of all cells."""
    amps, unknown = bias_by_role(program)
    whole = sum(amps.values())
    return Amount(whole, whole, whole, "A", tuple(f"bias of {n}" for n in unknown))


def power_per_junction(program: PulseNetlist, target: SfqTarget) -> Amount:
    """W that RSFQ's bias takes for each junction, whatever happens; published chips are compared by it."""
    return _over(bias_current(program).times(_volts(target), "W"), program.junctions, "W/JJ")


def routed(program: PulseNetlist, target: SfqTarget) -> tuple[int, Amount]:
    """(junctions, W of RSFQ's bias for each of them) if every net that no JTL drives were a transmission line with its
    transmitter and receiver, as wires="ptl" makes them; of such a program its own.
    """
    if program.wires == "ptl":
        return program.junctions, power_per_junction(program, target)
    driver = program.arrays.cell_type[program.arrays.from_cell]
    lines = int((driver != [t.name for t in program.types].index("JTL")).sum()) if program.type_counts.get("JTL") \
        else program.n_nets
    ends = [target.cell(name) for name in LINE]
    amps = bias_current(program) + _exactly(lines * sum(e.bias_a for e in ends), "A")
    junctions = program.junctions + lines * sum(e.jj for e in ends)
    return junctions, _over(amps.times(_volts(target), "W"), junctions, "W/JJ")


def _volts(target: SfqTarget) -> Amount:
    """V at which RSFQ's bias resistors are fed."""
    voltage = target.bias.voltage
    volts = target.known(voltage, "bias.voltage")
    low, high = Quantity(volts, "V", voltage.source, False, voltage.low, voltage.high).bounds()
    return Amount(volts, low, high, "V")


def _counted(program: PulseNetlist) -> Iterator[tuple[CellType, int]]:
    """Types that occur, with their cells."""
    for kind in program.types:
        if n := program.type_counts[kind.name]:
            yield kind, n


def _over(amount: Amount, divisor: float, unit: str) -> Amount:
    """A share of an amount; unknown where there is nothing to share it."""
    if not divisor or amount.value is None:
        return Amount(None, None, None, unit, amount.missing or ("divisor",))
    return Amount(amount.value / divisor, (amount.low or 0.0) / divisor, (amount.high or 0.0) / divisor, unit,
                  amount.missing)


def _scaled(amount: Amount, low: float, value: float, high: float) -> Amount:
    """An amount times a number with its range."""
    return amount.times(Amount(value, low, high, ""), amount.unit)


def _used(program: PulseNetlist, target: SfqTarget, constants: tuple[Any, ...]) -> tuple[Any, ...]:
    """The constants without those of cells that the program has not."""
    used = {k.name for k, _ in _counted(program)}
    names = {*target.cell_names, *(f"SOMA{n}" for n in target.somas.fan_ins)} - used
    return tuple(c for c in constants if str(c["name"]).split()[0] not in names)


def _extra(program: PulseNetlist, trace: Trace, target: SfqTarget, found: CostReport, choice: Choice,
           ) -> Iterator[Extra]:
    """What is told of a superconducting chip beside energy and latency."""
    yield from _junctions(program, target, choice)
    yield _bias(program, target)
    yield from _areas(program, target)
    period = program.schedule.frame_fs * FS
    rate = 1 / period
    yield Extra("frame rate, at most", Amount(rate, rate, rate, "Hz"), f"{rate / 1e9:,.4g} GHz")
    yield Extra("energy, critical currents x PHI0", textbook(program, trace, target))
    yield from _powers(program, target, found, choice)


def _junctions(program: PulseNetlist, target: SfqTarget, choice: Choice) -> Iterator[Extra]:
    """All junctions, by role, and with those of an ERSFQ bias."""
    limit = target.limit("junctions")
    more = f" (above {limit:,} a chip)" if limit is not None and program.junctions > limit else ""
    yield Extra("junctions", _exactly(program.junctions, "JJ"), f"{program.junctions:,}{more}")
    for role in ROLES:
        if n := sum(k.jj * n for k, n in _counted(program) if k.role == role):
            yield Extra(f"junctions of {role} cells", _exactly(n, "JJ"), f"{n:,} ({n / program.junctions:.0%})")
    if choice.bias_scheme == "ersfq":
        whole = program.junctions * target.known(target.bias.ersfq_junctions, "bias.ersfq_junctions")
        yield Extra("junctions with ERSFQ bias", _exactly(whole, "JJ"), f"{whole:,.0f} (rule of thumb)")


def _exactly(value: float, unit: str) -> Amount:
    return Amount(float(value), float(value), float(value), unit)


def _bias(program: PulseNetlist, target: SfqTarget) -> Extra:
    """The current of all cells, with a word where it is more than a chip's leads take."""
    amount, limit = bias_current(program), target.limit("bias")
    missing = f" (at least; not published: {'; '.join(amount.missing)})" if amount.missing else ""
    above = limit is not None and (amount.value or 0.0) * 1e3 > limit
    note = f" (above {limit:,} mA a chip: needs current recycling, or several chips)" if above else ""
    return Extra("bias current", amount, _milli(amount.value or 0.0) + missing + note)


def _milli(amps: float) -> str:
    return f"{amps * 1e3:,.4g} mA" if amps < 1 else f"{amps * 1e3:,.0f} mA"


def _areas(program: PulseNetlist, target: SfqTarget) -> Iterator[Extra]:
    """mm2 of the cells, and with routing as a published chip has it."""
    mm2 = sum(k.area_m2 * n for k, n in _counted(program) if not np.isnan(k.area_m2)) / MM2
    missing = tuple(k.name for k, _ in _counted(program) if np.isnan(k.area_m2))
    text = f"{mm2:.4g} mm2" + (f" (at least; not published: {'; '.join(missing)})" if missing else "")
    yield Extra("area of cells", Amount(mm2, mm2, mm2, "mm2", missing), text)
    figure = target.process.routed_area
    if figure.value is not None:
        routed = figure.value * 1e-6 * program.junctions
        yield Extra("area, routed as a published chip", _exactly(routed, "mm2"), f"{routed:.4g} mm2")


def textbook(program: PulseNetlist, trace: Trace, target: SfqTarget) -> Amount:
    """J of the pulses if each junction took its critical current x PHI0: what they draw x critical / bias currents."""
    ratio = {k.name: _ratio(program, target, k) for k in program.types}
    result = Amount(0.0, 0.0, 0.0, "J")
    for item in event_items(program, trace, target):
        own, r = item.amount(), ratio[item.per.split()[0]]
        result = result + (Amount(None, None, None, "J", (f"critical currents of {item.name}",)) if r is None
                           else _scaled(own, r, r, r))
    return result


def _ratio(program: PulseNetlist, target: SfqTarget, kind: CellType) -> float | None:
    """Critical currents over bias currents of a cell; None where one is not known. 1 for a cell without bias."""
    ic = target.critical_a(kind.name)
    own = program.arrays.soma_bias_a[_of_somas(program, kind)] if kind.soma is not None else np.zeros(0)
    ib = kind.bias_a + (float(own.mean()) if len(own) else 0.0)
    if ic is None or np.isnan(ib):
        return None
    return ic / ib if ib else 1.0


def _powers(program: PulseNetlist, target: SfqTarget, found: CostReport, choice: Choice) -> Iterator[Extra]:
    """Mean power of a run, for each junction, and with what cooling takes."""
    power = _over(found.energy_total, found.latency.value or 0.0, "W")
    more = target.known(target.bias.ersfq_junctions, "bias.ersfq_junctions") if choice.bias_scheme == "ersfq" else 1.0
    yield Extra("power, without cooling", power)
    yield Extra("power a junction", _over(power, program.junctions * more, "W/JJ"))
    if program.wires == "abut" and choice.bias_scheme == "rsfq":
        junctions, each = routed(program, target)
        yield Extra("if every net were a line, junctions", _exactly(junctions, "JJ"), f"{junctions:,}")
        yield Extra("if every net were a line, power", each)
    low, value, high = _cooling_range(target, choice)
    where = f"at {value:,g} W/W" + ("" if low == high else f", {low:,g} to {high:,g}")
    for name, amount in (("energy", found.energy_total), ("power", power)):
        cooled = _scaled(amount, low + 1, value + 1, high + 1)
        yield Extra(f"{name}, with cooling", cooled, f"{cooled} ({where})")


def _cooling_range(target: SfqTarget, choice: Choice) -> tuple[float, float, float]:
    """(low, value, high) in W/W; as chosen, or the target's."""
    if choice.cooling is not None:
        return choice.cooling, choice.cooling, choice.cooling
    value = target.known(target.cooling, "cooling")
    low, high = target.cooling.low, target.cooling.high
    return value if low is None else low, value, value if high is None else high
