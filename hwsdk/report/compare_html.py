"""A comparison as one page: no script, nothing loaded, light and dark, a table that a screen reader can walk."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hwsdk.report.compare_text import HEADS, KINDS, SUBHEADS, cells, facts, marks, title

if TYPE_CHECKING:
    from hwsdk.report.compare import Comparison
    from hwsdk.report.compare_rows import Row

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #5a6370; --line: #c9ced6; --best: #0b6b34;
  --stripe: #f3f5f8; --warn: #8a3b00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #15181c; --faint: #a4acb8; --line: #3d444f; --best: #6fdc9c; --stripe: #1d2127;
    --warn: #ffb27a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 75rem;
  margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.wide { overflow-x: auto; } .wide:focus-visible, summary:focus-visible { outline: 3px solid var(--best); }
tbody td:nth-child(2) { min-width: 9rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); } tbody tr:nth-child(even) { background: var(--stripe); }
small, .faint { color: var(--faint); } .best { color: var(--best); font-weight: 700; }
.no, .GUESSED, .PROXY { color: var(--warn); } .reason { white-space: pre-line; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .2rem 1rem; } dd { margin: 0; }
dt { color: var(--faint); } summary { cursor: pointer; padding: .3rem 0; }
@media print { details > * { display: block; } }
"""


def html(c: Comparison) -> str:
    """The page: the table, what the marks mean, and what stands behind every row."""
    best = {(m.column, t) for m in c.marks for t in m.best}
    heads = "".join(f'<th scope="col">{escape(h)}{f"<br><small>{escape(s)}</small>" if s else ""}</th>'
                    for h, s in zip(HEADS, SUBHEADS, strict=True))
    rows = "\n".join(_row(r, best) for r in c.rows)
    said = "".join(f"<li>{escape(line.replace('* best', '★ best'))}</li>" for line in marks(c, 10_000) if line)
    shared = _facts([(KINDS[a.kind], a.text) for a in c.assumptions])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(c.network)}: comparison of chips</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(c.network)}: which chip?</h1>
<div class="wide" tabindex="0" role="region" aria-label="comparison table">
<table>
<caption>{escape(title(c))}. Energies and latency are of one inference.</caption>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
<ul class="faint">{said}</ul>
<h2>What all rows rest on</h2>
{shared}
<h2>What each row rests on</h2>
{"".join(_details(r) for r in c.rows)}
</main>
</body>
</html>
"""


def _row(r: Row, best: set[tuple[str, str]]) -> str:
    """A row of the table; one that does not run has its reason across the other columns."""
    head = f'<th scope="row">{escape(r.target)}</th>'
    if r.refusal is not None:
        kind = "does not fit" if r.refusal.fit else "cannot run it"
        fix = f"<br><small>What to do: {escape(r.refusal.fix)}</small>" if r.refusal.fix else ""
        return (f'<tr>{head}<td class="no">{kind}<br><small>{escape(r.refusal.code)}</small></td>'
                f'<td colspan="{len(HEADS) - 2}" class="reason">{escape(r.refusal.to_text())}{fix}</td></tr>')
    return f"<tr>{head}{''.join(map(_cell, cells(r, best)[1:]))}</tr>"


def _cell(value: str) -> str:
    """A value, and what belongs to it in small below."""
    first, *more = value.split("\n")
    # the star is for the eye, the word for the ear
    if first.endswith(" *"):
        first = f'<span class="best">{escape(first[:-2])} <span aria-hidden="true">★</span></span> <small>best</small>'
    else:
        first = escape(first)
    return f"<td>{first}{''.join(f'<br><small>{escape(line)}</small>' for line in more)}</td>"


def _details(r: Row) -> str:
    """What stands behind a row, to be opened."""
    told: list[tuple[str, str]] = []
    if r.refusal is not None:
        told = [("reason", r.refusal.to_text()), ("what to do", r.refusal.fix)]
    if r.cost is not None:
        told = [("dynamic energy", str(r.cost.energy_dynamic)), ("static energy", str(r.cost.energy_static)),
                *facts(r.cost), *(("used", f"{name}: {usage}") for name, usage in r.usage.items()),
                ("quantisation", r.losses)]
    told += [(KINDS[a.kind], a.text) for a in r.assumptions]
    told += [("program", r.digest)] if r.digest else []
    head = f"<summary>{escape(r.target)}: {escape(r.title)}</summary>"
    return f"<details>{head}{_facts(told)}{_constants(r)}</details>\n"


def _facts(told: list[tuple[str, str]]) -> str:
    """Names and texts."""
    lines = "".join(f'<dt{f" class={n}" if n.isupper() else ""}>{escape(n)}</dt><dd class="reason">{escape(t)}</dd>'
                    for n, t in told if t)
    return f"<dl>{lines}</dl>" if lines else "<p>Nothing was assumed.</p>"


def _constants(r: Row) -> str:
    """Every number that went in, with its source."""
    if r.cost is None:
        return ""
    lines = []
    for k in r.cost.constants:
        value = k["value"]
        shown = f"{value:g} {k['unit']}" if isinstance(value, float | int) else "not published"
        how = "calibrated" if k["calibrated"] else "measured" if k["measured"] else "not measured"
        lines.append(f'<tr><th scope="row">{escape(str(k["name"]))}</th><td>{escape(shown)}</td>'
                     f'<td>{"" if value is None else how}</td><td>{escape(str(k["source"]))}</td></tr>')
    return ('<details><summary>every number and its source</summary><div class="wide" tabindex="0" role="region" '
            f'aria-label="numbers of {escape(r.target)}"><table><caption>Numbers behind {escape(r.target)}</caption>'
            '<thead><tr><th scope="col">name</th><th scope="col">value</th><th scope="col">known by</th>'
            f'<th scope="col">source</th></tr></thead><tbody>{"".join(lines)}</tbody></table></div></details>')
