"""Published measurements of Loihi and Loihi 2 beside what hwsdk predicts: `python benchmarks/silicon.py`.

A network whose shape is known is built, mapped, simulated and priced like any other, with the activity that the row
states. What is off says why: which part of the prediction is the largest, and what is not known.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import silicon_networks

import hwsdk
from hwsdk.cost import Amount, CostReport, Item, si, total
from hwsdk.mappers.loihi import MapOptions, map_network
from hwsdk.targets import load_target
from hwsdk.targets.loihi import LoihiTarget
from hwsdk.targets.silicon import Measured, Row, load_rows

WIDTH = 118


@dataclass(frozen=True)
class Line:
    """One measured number with its prediction. ratio: predicted over measured, None where nothing is predicted."""

    measured: Measured
    predicted: Amount | None
    why: str

    @property
    def ratio(self) -> float | None:
        """Predicted over measured; over the nearer end of a measured range, 1 inside it."""
        if self.predicted is None or self.predicted.value is None:
            return None
        high = self.measured.value if self.measured.high is None else self.measured.high
        return self.predicted.value / min(max(self.predicted.value, self.measured.value), high)


@dataclass(frozen=True)
class Compared:
    """A row with its lines. built: what was built, in words."""

    row: Row
    lines: tuple[Line, ...]
    built: str


def compare(row: Row) -> Compared:
    """Predict every number of a row."""
    if row.build == "none":
        return Compared(row, tuple(Line(m, None, "") for m in row.measured), "not rebuilt: " + row.reason)
    if row.build == "counts":
        return Compared(row, tuple(_counted(row, m) for m in row.measured),
                        f"not rebuilt: {row.reason}; predicted from cores, chips and steps alone")
    chip, host, cores, peak = _priced(row)
    on = f"{cores} cores" if cores > 1 else "one core"
    built = f"rebuilt on {on}; {row.activity}; busiest core {peak:,.0f} synaptic operations a step"
    return Compared(row, tuple(_line(row, m, chip, host) for m in row.measured), built)


def _priced(row: Row) -> tuple[CostReport, CostReport, int, float]:
    """(chip, host, cores in use, synaptic operations of the busiest core) of the rebuilt network."""
    assert row.steps is not None
    rebuilt = silicon_networks.BUILDERS[row.build](row.steps)
    target = load_target(row.chip)
    limits = dict(rebuilt.limits) | ({"neurons": row.neurons_per_core} if row.neurons_per_core else {})
    changed = {k: target.limits[k].model_copy(update={"value": v}) for k, v in limits.items()}
    narrow = target.model_copy(update={"limits": {**target.limits, **changed}})
    program = map_network(rebuilt.network, narrow, MapOptions(packing=row.packing))
    trace = hwsdk.simulate(program, rebuilt.stimulus)
    chip, host = (hwsdk.estimate(program, trace, boundary=b) for b in ("chip", "host"))
    return chip, host, program.n_cores, float(trace.counts["peak_core_synops"].mean())


def _line(row: Row, m: Measured, chip: CostReport, host: CostReport) -> Line:
    """The part of the reports that answers to a measured number."""
    each = Amount(1 / chip.steps, 1 / chip.steps, 1 / chip.steps, "")
    answers = {
        "chip time": (chip.latency, _longest(chip)), "step time": (chip.latency.times(each, "s"), _longest(chip)),
        "latency": (host.latency, _host_share(host)), "core energy": (chip.energy_dynamic, _largest(chip)),
        "step energy": (chip.energy_dynamic.times(each, "J"), _largest(chip)),
        "x86 energy": (host.energy_host, f"clock and code for the predicted latency; {_host_share(host)}"),
        "total energy": (host.energy_total, "static power for the predicted latency; dynamic prices are not published"),
    }
    if m.quantity not in answers:
        return _counted(row, m)
    amount, why = answers[m.quantity]
    return Line(m, amount, why)


def _counted(row: Row, m: Measured) -> Line:
    """What cores, chips and steps alone decide."""
    target = load_target(row.chip)
    time, busy = _host_time(target, row)
    power = total([Item(p.name, p.per, float(row.cores or 0), p.quantity()) for p in target.power
                   if p.boundary == "cores in use"], "W")
    clock, code = (total([Item(h.name, h.per, float(n), h.quantity()) for h in target.host if h.per == per], "W")
                   for per, n in (("whole", row.x86), ("active", 1)))
    energy = power.times(time, "J") + clock.times(time, "J") + code.times(busy, "J")
    known = {"latency": (time, "host terms alone, no chip time"),
             "core static power": (power, "reported cores times one figure"),
             "x86 clock power": (clock, f"{row.x86} x86 in use"),
             "total energy": (energy, "static of the cores in use, and x86; no dynamic energy of the cores")}
    amount, why = known[m.quantity]
    return Line(m, amount, why)


def _host_time(target: LoihiTarget, row: Row) -> tuple[Amount, Amount]:
    """(latency without the chip's own time, time in which x86 code runs)."""
    counts = {"inference": 1, "step": row.steps or 0}
    time = total([Item(h.name, h.per, float(counts[h.per]), h.quantity()) for h in target.host if h.per in counts], "s")
    return time, time


def _longest(report: CostReport) -> str:
    """Which part of a step is the longest."""
    found = sorted(report.slowest.items(), key=lambda x: -x[1])
    return "longest part of a step: " + ", ".join(f"{n} {share:.0%}" for n, share in found[:2] if share >= 0.005)


def _host_share(report: CostReport) -> str:
    """How much of the latency is the host's."""
    added = total(report.host, "s").value or 0.0
    return f"host {added / (report.latency.value or 1.0):.0%} of it"


def _largest(report: CostReport) -> str:
    """The items that make most of the dynamic energy."""
    known = [(a.value, i.name) for i in report.items if (a := i.amount()).value]
    whole = sum(v for v, _ in known)
    known.sort(reverse=True)
    return ", ".join(f"{n} {v / whole:.0%}" for v, n in known[:3]) if known else "no price is published"


def bounds(row: Row) -> list[str]:
    """What a row without a prediction still bounds: its mean power, beside the static power of one chip."""
    by = {m.quantity: m for m in row.measured}
    energy = by.get("total energy") or by.get("core energy")
    if "latency" not in by or energy is None or row.chip != "loihi2" or row.build != "none":
        return []
    time = by["latency"].value
    static = next(p.value for p in load_target(row.chip).power if p.boundary == "included") or 0.0
    top = energy.high or energy.value
    power = f"{si(energy.value / time, 'W')}" + (f" to {si(top / time, 'W')}" if energy.high else "")
    if energy.quantity == "core energy":
        return [f"bound: the published dynamic energy is {power} on average; {si(static * time, 'J')} static of a chip "
                f"in this time would come on top"]
    rest = top - static * time
    more = f"at most {si(rest, 'J')} of it is dynamic" if rest > 0 else \
        "less than that, so the number does not hold a whole chip's static energy"
    return [f"bound: {power} on average; the static energy of one chip ({si(static, 'W')}) in this time is "
            f"{si(static * time, 'J')}: {more}"]


def table(rows: Sequence[Compared]) -> str:
    """All rows as text, and what rows of one network say together."""
    text = "\n".join(line for r in rows for line in (*_block(r), ""))
    return text + "".join(f"{line}\n" for line in slopes(rows))


def slopes(rows: Sequence[Compared]) -> list[str]:
    """What one more step takes, from the shortest and the longest run of a network: fixed times fall out."""
    found = []
    for group in SERIES:
        own = sorted((r for r in rows if r.row.id.startswith(group)), key=lambda r: r.row.steps or 0)
        if len(own) < 2:
            continue
        name = own[0].row.title.rpartition(",")[0]
        found.append(f"one more step, {name}, {own[0].row.steps} to {own[-1].row.steps} steps")
        for quantity in ("chip time", "core energy"):
            measured, predicted = slope(own, quantity)
            unit = "s" if quantity == "chip time" else "J"
            found.append(f"    {quantity:18} measured {si(measured, unit):17} predicted {si(predicted, unit):37} "
                         f"ratio {predicted / measured:.2f}")
    return found


SERIES = ("quartz_mnist_T", "quartz_mnist18_T")
"""Beginnings of the ids of rows that differ only in their number of steps."""


def slope(rows: Sequence[Compared], quantity: str) -> tuple[float, float]:
    """(measured, predicted) a step, between the first and the last of the rows."""
    ends = [(r.row.steps or 0, next(line for line in r.lines if line.measured.quantity == quantity))
            for r in (rows[0], rows[-1])]
    steps = ends[1][0] - ends[0][0]
    values = [(line.measured.value, line.predicted.value or 0.0) for _, line in ends if line.predicted is not None]
    return (values[1][0] - values[0][0]) / steps, (values[1][1] - values[0][1]) / steps


def _block(r: Compared) -> Iterator[str]:
    """One row."""
    row = r.row
    sizes = (("chip", row.chips if row.chips > 1 else None), ("core", row.cores), ("step", row.steps))
    size = [f"{n:,} {what}{'s' * (n > 1)}" for what, n in sizes if n]
    kind = "modelled" if row.modelled else "measured"
    yield f"{row.title} [{row.id}], {row.chip}" + "".join(f", {s}" for s in size)
    for text in (f"source: {row.source}", f"network: {row.network}", r.built, *bounds(row)):
        yield from textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    for line in r.lines:
        yield _number(line, kind)
        notes = "; ".join(n for n in (line.why, line.measured.note) if n)
        yield from textwrap.wrap(notes, WIDTH, initial_indent="      ", subsequent_indent="      ")


def _number(line: Line, kind: str) -> str:
    """Measured, predicted, ratio."""
    m = line.measured
    value = si(m.value, m.unit) + ("" if m.high is None else f" to {si(m.high, m.unit)}")
    text = f"    {m.quantity:18} {kind} {value:17}"
    if line.predicted is None:
        return text.rstrip()
    if line.ratio is None:
        return f"{text} predicted unknown"
    fitted = " (fitted)" if m.fitted else ""
    a = line.predicted
    spread = f"{si(a.value or 0, a.unit)} [{si(a.low or 0, a.unit)} to {si(a.high or 0, a.unit)}]"
    least = "at least " if a.missing else ""
    return f"{text} predicted {least}{spread:37} ratio {line.ratio:.2f}{fitted}"


def host_fit(rows: Sequence[Compared], fitted: Sequence[str]) -> float:
    """The fixed host time in s that makes the latencies of the rows ``fitted`` right on average."""
    each = [line.measured.value - (line.predicted.value or 0.0) for r in rows if r.row.id in fitted
            for line in r.lines if line.measured.quantity == "latency" and line.predicted is not None]
    fixed = next(h.value for h in load_target("loihi1").host if h.per == "inference") or 0.0
    return fixed + reduce(lambda a, b: a + b, each) / len(each)


def shown(page: str) -> tuple[str, str, str]:
    """(what comes before, the table, what comes behind) of a page: the table is its only block of ```text."""
    before, fence, rest = page.partition("```text\n")
    body, closing, behind = rest.partition("```")
    return before + fence, body, closing + behind


def main() -> None:
    """Print the table, or put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="beginnings of row ids (default: all)")
    parser.add_argument("--write", metavar="PAGE.md", help="put the table into this page instead of printing it")
    args = parser.parse_args()
    chosen = [r for r in load_rows() if not args.only or r.id.startswith(tuple(args.only))]
    text = table([compare(r) for r in chosen])
    if args.write is None:
        print(text, end="")
        return
    page = Path(args.write)
    before, _, behind = shown(page.read_text("utf-8"))
    page.write_text(before + text + behind, "utf-8")


if __name__ == "__main__":
    main()
