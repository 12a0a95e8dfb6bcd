"""A report as one page that works without a network: everything it needs is in the file."""

from __future__ import annotations

import base64
import hashlib
import html
from importlib import resources
from pathlib import Path

from hwsdk import __version__
from hwsdk.errors import DataError
from hwsdk.ir.files import atomic_file
from hwsdk.report.content import Bars, Content, Dots, Part, Section, Table
from hwsdk.report.html_svg import svg

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="hwsdk {version}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#report">Skip to the report</a>
<div class="frame">
<nav aria-label="Sections">
<ul>
{links}
</ul>
<button type="button" id="theme" hidden>Dark: off</button>
</nav>
<main id="report" tabindex="-1">
<h1>{title}</h1>
<dl class="facts">
{facts}
</dl>
{sections}
<footer>Made by hwsdk {version} from program {digest}. Means are over the samples of the run; a number without a
published source is not known, not zero.</footer>
</main>
</div>
<script>
{script}</script>
</body>
</html>
"""
SMALL = ("meaning", "program")
"""Facts that are set small."""


def page(content: Content) -> str:
    """The HTML of a report; the same for the same content and version of matplotlib.

    Raises:
        MissingDependencyError: NO_MATPLOTLIB.
    """
    title, script = _text(content.title), asset("report.js")
    links = "\n".join(f'<li><a href="#{s.name}">{_text(s.title)}</a></li>' for s in content.sections)
    facts = "\n".join(f"<dt>{_text(n)}</dt><dd{' class=small' if n in SMALL else ''}>{_text(v)}</dd>"
                      for n, v in content.facts)
    return PAGE.format(policy=policy(script), version=__version__, title=title, style=asset("report.css"), links=links,
                       facts=facts, sections="\n".join(map(_section, content.sections)), digest=content.digest[:16],
                       script=script)


def save(content: Content, path: str | Path) -> Path:
    """Write the page: to a temporary name beside it, then moved into place.

    Raises:
        DataError: CANNOT_WRITE. MissingDependencyError: NO_MATPLOTLIB.
    """
    text = page(content).encode()
    with atomic_file(path, DataError) as stream:
        stream.write(text)
    return Path(path)


def asset(name: str) -> str:
    """A file of the page that comes with hwsdk."""
    return (resources.files("hwsdk.report") / "page" / name).read_text("utf-8")


def policy(script: str) -> str:
    """What a browser may do with the page: nothing from anywhere, and this script alone."""
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    return (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'")


def _text(text: str) -> str:
    return html.escape(text)


def _section(section: Section) -> str:
    """Heading, sentences, parts."""
    words = "".join(f"<p>{_text(w)}</p>\n" for w in section.words)
    parts = "\n".join(_part(p, f"{section.name}-{k}") for k, p in enumerate(section.parts))
    return (f'<section aria-labelledby="{section.name}">\n<h2 id="{section.name}">{_text(section.title)}</h2>\n{words}'
            f"{parts}\n</section>")


def _part(part: Part, name: str) -> str:
    """A table, folded or not, or a figure with its caption."""
    if isinstance(part, Table):
        return _folded(part, name) if part.folded else f'<div class="table">{_table(part, name, True)}</div>'
    if isinstance(part, Dots) and not any(value for _, value, _, _ in part.rows):
        return ""  # nothing that could be drawn; the table beside it says so
    caption = "" if isinstance(part, Bars | Dots) else f"<figcaption>{_text(part.alt)}</figcaption>"
    return (f'<figure aria-labelledby="{name}-t"><h3 id="{name}-t">{_text(part.title)}</h3>'
            f'<div class="scroll" role="group" aria-labelledby="{name}-t">{svg(part, name, _text(part.alt))}</div>'
            f"{caption}</figure>")


def _folded(part: Table, name: str) -> str:
    """Behind its title."""
    return (f'<details><summary id="{name}-t">{_text(part.title)} <span class="count">({len(part.rows):,} rows)</span>'
            f'</summary><div class="table">{_table(part, name, False)}</div></details>')


def _table(part: Table, name: str, titled: bool) -> str:
    """Rows; the first cell of each names it."""
    caption = f'<caption id="{name}-t">{_text(part.title)}</caption>' if titled else ""
    kind = [' class="number"' if c.unit else "" for c in part.columns]
    head = "".join(f'<th scope="col"{k}>{_text(c.name)}</th>' for c, k in zip(part.columns, kind, strict=True))
    head = f"<thead><tr>{head}</tr></thead>" if any(c.name for c in part.columns) else ""
    rows = "\n".join(_row(part, k) for k in range(len(part.rows)))
    label = f'role="region" aria-labelledby="{name}-t"'
    return f'<div class="scroll" {label}><table>{caption}{head}<tbody>\n{rows}\n</tbody></table></div>'


def _row(part: Table, at: int) -> str:
    cells = []
    for k, (column, cell) in enumerate(zip(part.columns, part.rows[at], strict=True)):
        names = " ".join(n for n, true in (("number", column.unit), ("none", cell is None)) if true)
        kind = f' class="{names}"' if names else ""
        tag, scope = ("th", ' scope="row"') if k == 0 else ("td", "")
        cells.append(f"<{tag}{scope}{kind}>{_text(column.shown(cell))}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"
