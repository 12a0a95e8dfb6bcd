"""The content of a report: what any program has, and what its family tells."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from hwsdk.backends.base import Backend, Program
from hwsdk.cost import Amount, CostReport
from hwsdk.ir.data import Stimulus
from hwsdk.ir.ledger import KINDS
from hwsdk.ir.trace import Trace
from hwsdk.report.content import Bars, Cell, Column, Content, Dots, Found, Section, Table, percent
from hwsdk.report.content_raster import NO_RUN, rasters
from hwsdk.report.content_target import described
from hwsdk.report.layers import Family, LayerInfo, by_layer

FAMILIES = {
    "loihi": "hwsdk.report.content_loihi",
    "spinnaker": "hwsdk.report.content_spinnaker",
    "sfq": "hwsdk.report.content_sfq",
    "crossbar": "hwsdk.report.content_crossbar",
}
"""Kind of program -> the module that knows it."""
NO_COUNTS = "The run has no counted events: take one of hwsdk's own simulator."
MOST_LEDGER = 1500
MEANING = {"read": "what the file says", "assumed": "what it leaves open and was filled in",
           "changed": "what differs from the file", "warning": "a guess that can change spikes"}
ERROR = re.compile(r"error(?: with clipping)? ([\d.]+)%")


def content_of(program: Program, trace: Trace | None, backend: Backend, *, cost: CostReport | None = None,
               stimulus: Stimulus | None = None, sample: int = 0) -> Content:
    """Everything that a report of this program says.

    Args:
        trace: a run of the program; None: what belongs to a run is left out, and the report says so.
        cost: what the run costs; default: the backend's estimate, within the boundary "chip".
        stimulus: the data of the run, if they are at hand, for its labels and input rasters.
        sample: which one the rasters show.

    Raises:
        DataError: the trace is not one of this program, or has no such sample.
    """
    family = _family(program)
    if cost is None and trace is not None and trace.counts:
        cost = backend.estimate(program, trace, None, "chip", {})
    sections = (
        _fit(program, backend), _placement(program, backend, family), _traffic(program, trace, family),
        _section("spikes", "Spikes", rasters(program, trace, layers_of(program, trace), stimulus, sample)),
        _energy(program, trace, backend, cost, family), _time(program, trace, backend, cost, family),
        _losses(program, [x.name for x in layers_of(program, trace)]), _ledger(program),
        _section("target", "Target", described(backend.target)))
    return Content(f"{program.name} on {program.target}", program.target, program.digest(),
                   _facts(program, trace, backend, cost, stimulus), sections)


def _section(name: str, title: str, found: Found) -> Section:
    return Section(name, title, found.words, found.parts)


def _family(program: Program) -> Family | None:
    """What knows programs of this kind, or None for a target of another package."""
    name = FAMILIES.get(getattr(program, "kind", ""))
    found: Family | None = None if name is None else importlib.import_module(name).FAMILY
    return found


def layers_of(program: Program, trace: Trace | None) -> tuple[LayerInfo, ...]:
    """The populations; of a program of another package those of the trace."""
    family = _family(program)
    if family is not None:
        return family.layers(program)
    spikes = {} if trace is None else trace.spikes
    return tuple(LayerInfo(n, e.n, e.value is None) for n, e in spikes.items() if n not in program.outputs)


def _unknown(what: str, program: Program) -> tuple[str, ...]:
    return (f"{what} is left out: hwsdk does not know how programs of {program.target} are laid out.",)


def _facts(program: Program, trace: Trace | None, backend: Backend, cost: CostReport | None,
           stimulus: Stimulus | None) -> tuple[tuple[str, str], ...]:
    """The first lines."""
    layers = layers_of(program, trace)
    found = {"target": f"{program.target}, version {backend.target.version}: {backend.target.title}",
             "network": f"{sum(x.n for x in layers):,} neurons in {len(layers)} population(s)",
             "meaning": program.semantics.to_text(), "program": program.digest()}
    if (rule := getattr(program, "exit_rule", None)) is not None:
        found["exit rule"] = f"{rule.to_text()}; all figures here are of runs to the end, see hwsdk early-exit"
    if trace is not None:
        found["run"] = f"{trace.n_samples} sample(s) of {trace.n_steps} steps, {trace.n_spikes():,} spikes"
        if stimulus is not None and stimulus.labels is not None and len(program.outputs) == 1:
            found["accuracy"] = _accuracy(program, trace, stimulus)
    if cost is not None:
        found |= {"latency": f"{cost.latency} an inference",
                  "energy": f"{cost.energy_total} an inference, within the boundary \"{cost.boundary}\""}
    return tuple(found.items())


def _accuracy(program: Program, trace: Trace, stimulus: Stimulus) -> str:
    """Share of the labels that were met."""
    from hwsdk.backends.verify import decisions

    (output,) = program.outputs
    right = decisions(trace, output, stimulus.n_steps) == stimulus.labels
    return f"{float(right.mean()):.2%} of {trace.n_samples} samples"


def _fit(program: Program, backend: Backend) -> Section:
    """Used and available."""
    used = backend.summary(program)
    rows = tuple((name, u.used, u.available, u.unit, u.used / u.available if u.available else None)
                 for name, u in used.items())
    table = Table("Used and available", (
        Column("resource"), Column("used", "n"), Column("available", "n", "no limit published"), Column("unit"),
        Column("share", "%", "-")),
        rows)
    known = [(r[0], r[4]) for r in rows if r[4] is not None]
    if not known:
        return Section("fit", "Limits", ("No limit of this target is published.",), (table,))
    top = max(known, key=lambda r: r[1])
    bars = Bars("Used of what there is", tuple(n for n, _ in known), ("used",), tuple((s,) for _, s in known), "%",
                f"Bars: share used of {len(known)} resources; the most, {percent(top[1])}, of {top[0]}.")
    words = [f"The scarcest resource is {top[0]}: {percent(top[1])} is used."]
    if len(known) < len(rows):
        words.append("Where no limit is published, only what is used is told.")
    return Section("fit", "Limits", tuple(words), (bars, table))


def _placement(program: Program, backend: Backend, family: Family | None) -> Section:
    if family is None:
        return Section("placement", "Placement", _unknown("The placement", program))
    return _section("placement", "Placement", family.placement(program, backend.target))


def _traffic(program: Program, trace: Trace | None, family: Family | None) -> Section:
    if family is None:
        return Section("traffic", "Traffic", _unknown("The traffic", program))
    counted = trace if trace is not None and trace.counts else None
    return _section("traffic", "Traffic", family.traffic(program, counted))


def _energy(program: Program, trace: Trace | None, backend: Backend, cost: CostReport | None, family: Family | None,
            ) -> Section:
    """By kind and by layer."""
    if cost is None or trace is None:
        return Section("energy", "Energy", (NO_RUN if trace is None else NO_COUNTS,))
    totals = {"dynamic": cost.energy_dynamic, "static": cost.energy_static, "total": cost.energy_total}
    if cost.boundary == "host":
        totals["host"] = cost.energy_host
    items = [(i.name, None if _timed(i.price) else i.count, i.per, i.amount(), _price(i.price))
             for i in (*cost.items, *cost.static)]
    table = Table("Energy by kind (mean of a sample)", (
        Column("kind"), Column("count", "n", "-"), Column("of"), Column("energy", "J"), Column("least", "J", "-"),
        Column("most", "J", "-"), Column("price of one", "", "not published")),
        tuple((n, c, per, a.value, a.low, a.high, p) for n, c, per, a, p in items))
    dots = _dots([(n, a) for n, c, _, a, _ in items if c is None or c], totals)
    found = Found((_says(totals), f"Included: {'; '.join(cost.included)}. Omitted: {'; '.join(cost.omitted)}."),
                  (_totals(totals), dots, table))
    if cost.proxy:
        found = Found((f"Stand-in prices: {cost.proxy}.",)) + found
    if family is not None:
        found = found + by_layer(cost, family.rows(program), family.shares(program, trace, backend.target))
    if cost.extra:
        rows = tuple((e.name, e.text or str(e.amount)) for e in cost.extra)
        found = found + Found((), (Table("More of this target", (Column("figure"), Column("value")), rows),))
    return _section("energy", "Energy", found)


def _timed(price: object) -> bool:
    return getattr(price, "unit", "") == "W"


def _price(price: object) -> str | None:
    """A price with its unit."""
    from hwsdk.cost import si

    return None if price is None else si(price.value, price.unit)  # type: ignore[attr-defined]


def _says(totals: Mapping[str, Amount]) -> str:
    """The total in a sentence."""
    whole = totals["total"]
    if whole.value is None:
        return "No energy is known: " + ("; ".join(dict.fromkeys(whole.missing)) or "nothing") + " is not published."
    return f"An inference takes {whole}."


def _totals(totals: Mapping[str, Amount]) -> Table:
    rows = tuple((n, a.value, a.low, a.high, "; ".join(dict.fromkeys(a.missing))) for n, a in totals.items())
    return Table("Energy of an inference", (
        Column("part"), Column("energy", "J", "unknown"), Column("least", "J", "-"), Column("most", "J", "-"),
        Column("at least, for these are not published")), rows)


def _dots(items: Sequence[tuple[str, Amount]], totals: Mapping[str, Amount]) -> Dots:
    """Kinds and sums on one scale."""
    rows = tuple((n, a.value, a.low, a.high) for n, a in (*items, *((f"all: {n}", a) for n, a in totals.items()))
                 if a.value != 0)
    known = [r for r in rows[: len(rows) - len(totals)] if r[1]]
    top = max(known, key=lambda r: r[1] or 0.0)[0] if known else ""
    said = f"the largest kind is {top}" if top else "no kind has a published price"
    return Dots("Energy by kind", rows, "J", f"Dots on a logarithmic scale: energy of {len(rows)} kinds and sums, with "
                f"their ranges; {said}.")


def _time(program: Program, trace: Trace | None, backend: Backend, cost: CostReport | None, family: Family | None,
          ) -> Section:
    """Latency, what is longest, and each layer's work."""
    if cost is None or trace is None:
        return Section("time", "Time", (NO_RUN if trace is None else NO_COUNTS,))
    t = np.asarray(cost.latency_samples, np.float64)
    table = Table("Latency over the samples", (Column("figure"), Column("latency", "s")), tuple(
        (name, float(value)) for name, value in (
            ("mean", t.mean()), ("50 % of samples within", np.quantile(t, 0.5)),
            ("95 % of samples within", np.quantile(t, 0.95)), ("99 % of samples within", np.quantile(t, 0.99)),
            ("longest", t.max()))))
    found = Found((f"An inference takes {cost.latency}.",), (table,))
    shares = [(n, s) for n, s in cost.slowest.items() if s]
    if shares:
        top = max(shares, key=lambda x: x[1])
        found = found + Found((), (Bars(
            "What is the longest part of a step", tuple(n for n, _ in shares), ("share of the steps",),
            tuple((s,) for _, s in shares), "%",
            f"Bars: which part of a step is the longest; {top[0]} in {percent(top[1])}."),))
    if cost.host:
        rows = tuple((i.name, i.count, i.per, i.amount("s").value) for i in cost.host)
        what = "adds" if cost.boundary == "host" else "would add, outside the boundary"
        found = found + Found((), (Table(f"What the host {what}", (
            Column("what"), Column("count", "n"), Column("of"), Column("time", "s")), rows),))
    if family is not None:
        found = found + family.times(program, trace, backend.target)
    return _section("time", "Time", found)


def _losses(program: Program, layers: Sequence[str]) -> Section:
    """What quantisation cost, line by line, under the layer that it is about."""
    rows: list[tuple[Cell, ...]] = []
    errors: dict[str, float] = {}
    about = ""
    for line in program.losses.splitlines():
        first, _, rest = line.strip().partition(" ")
        name = first.rstrip(":")
        if name in layers:
            rows.append((name, rest.strip(), about))
            if (found := ERROR.findall(rest)) and name not in errors:
                errors[name] = max(map(float, found)) / 100
        elif line.strip():
            about = line.strip()
            rows.append(("all", about, ""))
    if not rows:
        return Section("losses", "Quantisation", ("The program says nothing about losses: none were measured.",))
    table = Table("What each layer lost", (Column("layer"), Column("what"), Column("of")), tuple(
        r for r in rows if r[0] != "all" or not any(x[2] == r[1] for x in rows)))
    if not any(errors.values()):
        return Section("losses", "Quantisation", (), (table,))
    top = max(errors, key=lambda n: errors[n])
    bars = Bars("Error of the weights", tuple(errors), ("error",), tuple((e,) for e in errors.values()), "%",
                f"Bars: error of the weights of {len(errors)} layers; the largest, {errors[top]:.2%}, in {top}.")
    return Section("losses", "Quantisation", (), (bars, table))


def _ledger(program: Program) -> Section:
    """What was read, assumed and changed."""
    entries = program.ledger.entries
    counts = {k: len(program.ledger.of(k)) for k in KINDS}
    summary = Table("Entries by kind", (Column("kind"), Column("entries", "n"), Column("meaning")),
                    tuple((k, n, MEANING[k]) for k, n in counts.items()))
    serious = [e for e in entries if e.kind in ("warning", "assumed")]
    rest = [e for e in entries if e.kind not in ("warning", "assumed")]
    columns = (Column("kind"), Column("node"), Column("text"), Column("code"))
    both = (("Warnings and assumptions", serious, False), ("Read and changed", rest, True))
    tables = [Table(title, columns, tuple((e.kind, e.node or "(graph)", e.text, e.code) for e in some[:MOST_LEDGER]),
                    folded=folded) for title, some, folded in both if some]
    words = [f"Only the first {MOST_LEDGER:,} of {len(some):,} entries are shown." for some in (serious, rest)
             if len(some) > MOST_LEDGER]
    return Section("ledger", "Import ledger", tuple(words), (summary, *tables))
