"""Docstrings as Markdown, as they are written: sections become lists, and several parameters may share a line."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Attributes):[ \t]*\n((?:[ \t]+\S.*\n?|[ \t]*\n)+)", re.MULTILINE)
NAME = re.compile(r"^(\w+(?:, \w+)*):(?= )")


class AsWritten(griffe.Extension):
    """Rewrites every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """Sections of a docstring as headed lists."""
    return SECTION.sub(lambda found: f"**{found[1]}**\n\n{entries(found[2])}\n\n", docstring + "\n").rstrip()


def entries(body: str) -> str:
    """A bullet for every line that starts with a name, and for the first; the others go on."""
    lines = [line for line in textwrap.dedent(body).splitlines() if line.strip()]
    return "\n".join("- " + NAME.sub(named, line) if not i or NAME.match(line) else f"    {line.strip()}"
                     for i, line in enumerate(lines))


def named(found: re.Match[str]) -> str:
    """Names before a colon, as code."""
    return ", ".join(f"`{name.strip()}`" for name in found[1].split(",")) + ":"
