"""A comparison as people read it in a terminal or a file: the table, then what stands behind every row."""

from __future__ import annotations

import textwrap
from io import StringIO
from typing import TYPE_CHECKING

from hwsdk.cost import Amount, CostReport, si
from hwsdk.ir.mapping import Usage
from hwsdk.report.compare_rows import PERCENTILES

if TYPE_CHECKING:
    from hwsdk.report.compare import Comparison
    from hwsdk.report.compare_rows import Assumption, Row

LEAST = 116
"""Columns of the narrowest table."""
FITS = 17
"""Columns that what is used has at least."""
MOST = 8
"""Lines of assumptions of a row that are shown; JSON and HTML have all."""
NONE = "-"
HEADS = ("target", "fits", "accuracy", "same", "output", "latency", "dynamic", "total")
SUBHEADS = ("", "used of available", "", "decision", "cosine", "on the chip", "energy", "energy")
KINDS = {"guessed": "GUESSED", "semantics": "assumed", "ranges": "ranges", "data": "data", "program": "assumed",
         "noise": "noise", "constants": "constants", "unpublished": "not published", "proxy": "PROXY"}
"""Kind of an assumption -> how its line begins."""


def text(c: Comparison, width: int, colour: bool) -> str:
    """Title, table, what is marked, and the lines of every row."""
    parts = [title(c), table(c, max(width, LEAST), colour), *marks(c, width), ""]
    parts += [*(_fact(KINDS[a.kind], a.text, width) for a in c.assumptions[:MOST]), *_more(c.assumptions)]
    parts += [line for r in c.rows for line in ("", *row_lines(r, width))]
    return "\n".join(parts) + "\n"


def title(c: Comparison) -> str:
    """What was compared."""
    right = "" if c.reference_accuracy is None else \
        f"; {c.reference} reference {percent(c.reference_accuracy)} right (a sample is {1 / c.samples:.1%})"
    return f"{c.network} on {len(c.rows)} target(s), {c.samples} sample(s) of {c.steps} steps{right}"


def table(c: Comparison, width: int, colour: bool) -> str:
    """The table, with frames and colours where somebody looks at it, else plain and aligned."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD if colour else None, pad_edge=False, padding=(0, 1 if colour else 2, 0, 0))
    for head, below in zip(HEADS, SUBHEADS, strict=True):
        drawn.add_column(f"{head}\n{below}" if below else head, overflow="fold", no_wrap=head != "fits",
                         min_width=FITS if head == "fits" else None)
    best = {(m.column, t) for m in c.marks for t in m.best}
    for r in c.rows:
        drawn.add_row(*cells(r, best), style=None if r.fits else "dim")
    stream = StringIO()
    console = Console(file=stream, width=width, color_system="standard" if colour else None, force_terminal=colour,
                      highlight=False, markup=False, emoji=False, legacy_windows=False, _environ={})
    console.print(drawn)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines() if line.strip())


def cells(r: Row, best: set[tuple[str, str]]) -> tuple[str, ...]:
    """The cells of a row; a best value has a star."""
    if r.refusal is not None:
        kind = "does not fit" if r.refusal.fit else "cannot run it"
        return (r.target, f"{kind}\n{r.refusal.code}", *[NONE] * 6)

    def star(column: str, value: str) -> str:
        first, *more = value.split("\n")
        return "\n".join([f"{first} *" if (column, r.target) in best else first, *more])

    return (r.target, used(r), star("accuracy", percent(r.accuracy)), star("same decision", percent(r.same)),
            star("output cosine", NONE if r.cosine is None else f"{r.cosine:.4f}"), star("latency", latency(r)),
            *(NONE if r.cost is None else star(n, amount(a)) for n, a in (
                ("dynamic energy", None if r.cost is None else r.cost.energy_dynamic),
                ("total energy", None if r.cost is None else r.cost.energy_total))))


def used(r: Row) -> str:
    """What it takes, and of which resource the largest share is taken."""
    lines = [] if r.size is None else [usage(r.size)]
    if r.fullest is not None and r.fullest[1] is not r.size:
        name, fullest = r.fullest
        lines.append(f"{fullest.used / (fullest.available or 1):.0%} of {name.partition(' (')[0]}")
    return "\n".join(lines) or NONE


def usage(u: Usage) -> str:
    """Used of available, in few words."""
    return f"{u.used:,} of {'?' if u.available is None else f'{u.available:,}'} {u.unit}"


def percent(share: float | None) -> str:
    """A share in percent."""
    return NONE if share is None else f"{share:.1%}"


def latency(r: Row) -> str:
    """Percentiles over the samples, one line where they are equal, then the range in which the mean may lie."""
    if r.latency is None or r.cost is None:
        return NONE
    shown = [short(x, "s") for x in r.latency]
    lines = [shown[0]] if len(set(shown)) == 1 else [f"p{p} {x}" for p, x in zip(PERCENTILES, shown, strict=True)]
    return "\n".join([*lines, *span(r.cost.latency)])


def amount(a: Amount | None) -> str:
    """A sum with its range on a second line; "at least" where prices are missing."""
    if a is None or a.value is None:
        return "unknown"
    return "\n".join([f"{'at least ' if a.missing else ''}{short(a.value, a.unit)}", *span(a)])


def short(value: float, unit: str) -> str:
    """A value with an SI prefix, three digits."""
    number, prefixed = si(value, unit).split(" ")
    return f"{float(number):.3g} {prefixed}"


def span(a: Amount) -> list[str]:
    """The range as a line, or none where there is no range."""
    low, high = (short(x or 0.0, a.unit) for x in (a.low, a.high))
    if low == high:
        return []
    same = low.split(" ")[1] == high.split(" ")[1]
    return [f"{low.split(' ')[0] if same else low} to {high}"]


def marks(c: Comparison, width: int) -> list[str]:
    """What the stars mean, and why columns have none."""
    lines = ["* best of the column"] if any(m.best for m in c.marks) else []
    reasons: dict[str, list[str]] = {}
    for m in c.marks:
        if not m.best and len([r for r in c.rows if r.fits]) > 1:
            reasons.setdefault(m.why_not, []).append(m.column)
    said = [f"no best {' or '.join(columns)} is marked: {why}" for why, columns in reasons.items()]
    lines += [line for text in said for line in _wrapped(text, width)]
    return ["", *lines] if lines else []


def row_lines(r: Row, width: int) -> list[str]:
    """What stands behind a row."""
    head = f"{r.target}: {r.title}"
    if r.refusal is not None:
        said = r.refusal.to_text().splitlines()
        return [head, *(w for line in said for w in _wrapped(f"  {line}", width)),
                *([_fact("fix", r.refusal.fix, width)] if r.refusal.fix else [])]
    return [head, *(_fact(n, t, width) for n, t in ([] if r.cost is None else facts(r.cost))),
            *(_fact(KINDS[a.kind], a.text, width) for a in r.assumptions[:MOST]), *_more(r.assumptions)]


def facts(cost: CostReport) -> list[tuple[str, str]]:
    """Name and text of what an estimate says: time, energy, what is in both and what is not."""
    longest = ", ".join(f"{n} {share:.0%}" for n, share in cost.slowest.items() if share)
    return [("latency", f"{cost.latency} (mean; longest part of a step: {longest})"),
            ("total energy", str(cost.energy_total)),
            *((SHOWN[e.name], e.text or str(e.amount)) for e in cost.extra if e.name in SHOWN),
            ("boundary", f"{cost.boundary}: {'; '.join(cost.included)}"), ("left out", "; ".join(cost.omitted))]


SHOWN = {"energy, with cooling": "with cooling"}
"""Figures of one family that belong beside the energy -> how their line begins."""


def _more(found: tuple[Assumption, ...]) -> list[str]:
    """How many lines are not shown."""
    return [f"  and {len(found) - MOST} more (--json and --html have all)"] if len(found) > MOST else []


def _fact(name: str, value: str, width: int) -> str:
    """A named line, wrapped under itself."""
    return "\n".join(_wrapped(f"  {name:15} {value}", width, 18))


def _wrapped(line: str, width: int, indent: int = 4) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent=" " * indent, break_long_words=False) or [line]
