"""A report as tables in a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from hwsdk.report.content import Bars, Content, Dots, Part, Table

if TYPE_CHECKING:
    from rich.console import Console

MOST_ROWS = 40
"""Rows of a table that are printed; the page has all."""


def text_of(content: Content, width: int) -> str:
    """Facts and sections with their tables, without colours: the same for the same content and width."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False, highlight=False, markup=False,
                      emoji=False, legacy_windows=False)
    console.print(content.title)
    for name, value in content.facts:
        console.print(f"  {name:12} {value}", soft_wrap=True)
    for section in content.sections:
        console.rule(section.title, align="left", characters="-")
        for sentence in section.words:
            console.print(sentence)
        for part in section.parts:
            _print(console, part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _print(console: Console, part: Part) -> None:
    """A table as one; of a figure what it shows, in words."""
    if isinstance(part, Table):
        _table(console, part)
    elif not isinstance(part, Bars | Dots):  # their numbers stand in a table beside them
        console.print(f"[figure] {part.alt}")


def _table(console: Console, part: Table) -> None:
    """One table; a folded one as a line that says what the page has."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Rich
    from rich.text import Text

    if part.folded:
        console.print(f"{part.title}: {len(part.rows):,} rows in the page")
        return
    drawn = Rich(title=part.title, title_justify="left", box=SIMPLE_HEAD, show_header=any(c.name for c in part.columns))
    for column in part.columns:
        drawn.add_column(column.name, justify="right" if column.unit else "left", overflow="fold")
    for row in part.shown()[:MOST_ROWS]:
        drawn.add_row(*map(Text, row))
    console.print(drawn)
    if len(part.rows) > MOST_ROWS:
        console.print(f"and {len(part.rows) - MOST_ROWS:,} rows more in the page")
