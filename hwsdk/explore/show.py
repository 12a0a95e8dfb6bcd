"""An exploration as people read it: text, a figure, one offline page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsdk.cost import si
from hwsdk.errors import DataError, MissingDependencyError
from hwsdk.explore.pareto import TAILS, scores
from hwsdk.explore.result import AMOUNTS, SHARES, Result
from hwsdk.ir.files import atomic_file

if TYPE_CHECKING:
    from hwsdk.explore.run import Exploration

MOST_ROWS = 40
"""Designs of a front that the text shows; JSON has all."""
MOST_YIELDS = 12
UNITS = {**dict.fromkeys(AMOUNTS[:3], "J"), "latency": "s", **dict.fromkeys(TAILS, "s")}
ENDINGS = ("png", "svg", "pdf")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#666666")
"""Seen apart with any colour vision (M. Okabe and K. Ito, Color universal design, 2008)."""
MARKS = "os^Dv<>P"


def value_text(result: Result, name: str) -> str:
    """One objective of a result as people read it."""
    (score,) = scores(result, (name,))
    if score is None:
        return "unknown"
    if name in SHARES:
        return f"{-score.value:.2%}"
    shown = si(score.value, UNITS[name]) if name in UNITS else f"{score.value:g}"
    return f"at least {shown}" if score.missing else shown


def text(e: Exploration) -> str:
    """What was measured, the front, and why the rest does not run."""
    front = e.front
    lines = [f"{len(e.results):,} points, {e.resumed:,} of them measured before; {len(e.fitting):,} fit and run",
             *_targets(e)]
    alike = _alike(e)
    shown = list(alike.items())[:MOST_ROWS]
    lines += ["", f"not beaten in {', '.join(front.objectives)}: {len(front.results)} designs"]
    lines += [f"  {' '.join(f'{v:>18}' for v in values)}  {rows[0].point}{_also(rows)}"
              for (_, values), rows in shown]
    if len(alike) > len(shown):
        lines.append(f"  and {len(alike) - len(shown)} lines more")
    if front.bounds:
        lines.append('  "at least": a part has no published price; such a design beats only those of its own target '
                     "with the same parts missing")
    if front.unranked:
        names = sorted({r.point.target for r in front.unranked})
        lines.append(f"  not ranked, as one of these is not known: {len(front.unranked)} points on {', '.join(names)}")
    for y in list(e.yields().values())[:MOST_YIELDS]:
        lines += ["", y.to_text().rstrip()]
    if e.bugs:
        lines += ["", f"{len(e.bugs)} points ended by a bug, first: {e.bugs[0].point}: {e.bugs[0].reason}"]
    return "\n".join(lines) + "\n"


Alike = dict[tuple[str, tuple[str, ...]], list[Result]]


def _alike(e: Exploration) -> Alike:
    """(target, what is shown) -> designs of the front, the cheapest first; those with fewest settings before others."""
    found: Alike = {}
    for r in _cheapest(e.front.results):
        found.setdefault((r.point.target, tuple(value_text(r, n) for n in e.objectives)), []).append(r)
    return {k: sorted(rows, key=lambda r: len(r.point.settings)) for k, rows in found.items()}


def _also(rows: Sequence[Result]) -> str:
    return f"  (and {len(rows) - 1} that give the same)" if len(rows) > 1 else ""


def _cheapest(results: Sequence[Result]) -> list[Result]:
    """By the energy that is known."""
    def energy(r: Result) -> float:
        known = r.amount("energy")
        return float("inf") if known is None or known.value is None else known.value
    return sorted(results, key=energy)


def _targets(e: Exploration) -> list[str]:
    """A line a target."""
    lines = []
    for target in dict.fromkeys(r.point.target for r in e.results):
        own = [r for r in e.results if r.point.target == target]
        best = max((q for r in own if (q := r.quality) is not None), default=None)
        fits = sum(r.fits for r in own)
        line = f"  {target:16} {len(own):6,} points, {fits:,} fit" + ("" if best is None else f", best {best:.2%}")
        lines.append(line)
        for (_, code), n in [(k, n) for k, n in e.reasons.items() if k[0] == target][:3]:
            first = next(r for r in own if r.code == code)
            lines.append(f"    {n:,} refused [{code}] {_short(first.reason)}")
    return lines


def _short(reason: str) -> str:
    return reason if len(reason) <= 160 else reason[:157] + "..."


def plot(e: Exploration, path: str | Path) -> Path:
    """Draw energy over accuracy (the first two or three objectives) into a .png, .svg or .pdf file.

    Raises:
        DataError: BAD_FORMAT or CANNOT_WRITE. MissingDependencyError: matplotlib is not installed.
    """
    file = Path(path)
    ending = file.suffix.lower().lstrip(".")
    if ending not in ENDINGS:
        raise DataError(f"a figure as {file.suffix or 'a file without ending'}", where=str(file), code="BAD_FORMAT",
                        fix=f"use .{', .'.join(ENDINGS)}")
    content = _drawn(e, ending)
    with atomic_file(file, DataError) as stream:
        stream.write(content)
    return file


def _drawn(e: Exploration, ending: str) -> bytes:
    """The figure as bytes: first objective across, the last up, one mark a target, the front filled."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib is not installed", fix='pip install "hwsdk[plots]"') from None
    front = e.front
    across, up = front.objectives[0], front.objectives[-1]
    with mpl.rc_context({"svg.hashsalt": "hwsdk", "svg.fonttype": "path"}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for k, target in enumerate(dict.fromkeys(r.point.target for r in e.fitting)):
            _scatter(axes, e, front.results, target, (across, up), k)
        axes.set(xlabel=f"{across} ({UNITS[across]})" if across in UNITS else across,
                 ylabel=f"{up} ({UNITS[up]})" if up in UNITS else up,
                 title=f"{len(e.fitting):,} designs; filled: not beaten in {', '.join(front.objectives)}")
        for name, scale in ((across, axes.set_xscale), (up, axes.set_yscale)):
            if name in UNITS:
                scale("log")
        if e.fitting:
            axes.legend()
        stream = io.BytesIO()
        figure.savefig(stream, format=ending, metadata={"Date": None} if ending == "svg" else None)
    return stream.getvalue()


def _scatter(axes: Any, e: Exploration, best: Sequence[Result], target: str, names: tuple[str, str], k: int) -> None:
    """The designs of a target."""
    keys = {r.key for r in best}
    colour, mark = COLOURS[k % len(COLOURS)], MARKS[k % len(MARKS)]
    for filled in (False, True):
        own = [r for r in e.fitting if r.point.target == target and (r.key in keys) == filled]
        both = [(x, y) for r in own for x, y in [scores(r, names)] if x is not None and y is not None]
        sign = [-1 if n in SHARES else 1 for n in names]
        axes.scatter([sign[0] * x.value for x, _ in both], [sign[1] * y.value for _, y in both], s=36 if filled else 16,
                     marker=mark, facecolors=colour if filled else "none", edgecolors=colour,
                     label=target if not filled else None)


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hwsdk explore</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} th, td {{ padding: .25rem .75rem; text-align: right; border-bottom: 1px solid; }}
th:last-child, td:last-child {{ text-align: left; }} .wide {{ overflow-x: auto; }}
figure {{ background: #fff; margin: 1rem 0; padding: .5rem; }} svg {{ max-width: 100%; height: auto; }}
pre {{ white-space: pre-wrap; }}
</style></head><body>
<h1>Design points</h1>
<figure role="img" aria-label="{label}">{figure}</figure>
<h2>Designs that no other beats in {objectives}</h2>
<div class="wide" tabindex="0"><table><thead><tr>{heads}</tr></thead><tbody>
{rows}
</tbody></table></div>
<h2>All of it</h2>
<pre>{text}</pre>
</body></html>
"""


def page(e: Exploration, path: str | Path) -> Path:
    """Write one page that needs nothing else: figure, table of the front, text.

    Raises:
        DataError: CANNOT_WRITE. MissingDependencyError: matplotlib is not installed.
    """
    front, file = e.front, Path(path)
    figure = _drawn(e, "svg").decode()
    rows = "\n".join("<tr>" + "".join(f"<td>{html.escape(v)}</td>" for v in (*values, f"{own[0].point}{_also(own)}"))
                     + "</tr>" for (_, values), own in _alike(e).items())
    heads = "".join(f'<th scope="col">{html.escape(n)}</th>' for n in (*front.objectives, "design"))
    content = PAGE.format(label=f"{front.objectives[-1]} over {front.objectives[0]} of every design",
                          figure=re.sub(r"^.*?(?=<svg)", "", figure, flags=re.DOTALL), heads=heads, rows=rows,
                          objectives=html.escape(", ".join(front.objectives)), text=html.escape(text(e)))
    with atomic_file(file, DataError) as stream:
        stream.write(content.encode())
    return file


__all__ = ["page", "plot", "text", "value_text"]
