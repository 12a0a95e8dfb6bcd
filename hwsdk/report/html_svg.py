"""Figures as SVG that stands in a page: colours of the page, no addresses, names that occur once."""

from __future__ import annotations

import io
import re

from hwsdk.report.content import Part
from hwsdk.report.figures_draw import figure_of
from hwsdk.report.figures_style import PAGE, style

COLOURS = {PAGE.ink: "var(--ink)", PAGE.muted: "var(--muted)", PAGE.line: "var(--line)", PAGE.ground: "var(--ground)"}
METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
NAMED = re.compile(r'(<g|<text|<path|<image) id="([A-Za-z_]+_?[0-9.]*)"')
NUMBER = re.compile(r"\d+\.\d{3,}")
SPACE = re.compile(r"\s*\n\s*")


def svg(part: Part, name: str, alt: str) -> str:
    """The figure as an ``svg`` element that is named by ``alt``; ``name`` makes its inner names its own.

    Raises:
        MissingDependencyError: NO_MATPLOTLIB.
    """
    out = io.StringIO()
    with style(PAGE):
        figure_of(part, PAGE).savefig(out, format="svg", metadata=METADATA, transparent=True)
    return embedded(out.getvalue(), name, alt)


def embedded(text: str, name: str, alt: str) -> str:
    """An SVG file's text as an element of a page."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    referred = set(re.findall(r'(?:#)([\w.-]+)[")]', body))
    body = NAMED.sub(lambda m: m[0] if m[2] in referred else m[1], body)
    body = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body).replace("xlink:href=", "href=")
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    for mark, colour in COLOURS.items():
        body = body.replace(mark, colour)
    body = _shorter(body)
    width, height = (float(x) for x in found.groups()) if found else (518.0, 200.0)
    return (f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
            f'aria-label="{alt}">{body}</svg>')


def _shorter(body: str) -> str:
    """Without digits that nobody sees, outside embedded images."""
    parts = re.split(r'("data:[^"]*")', body)
    return "".join(p if p.startswith('"data:') else SPACE.sub("\n", NUMBER.sub(lambda m: f"{float(m[0]):.2f}", p))
                   for p in parts)
