"""A progress bar on standard error, only where a person looks at it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Bar:
    """What a phase reports to; silent without a display."""

    display: Any = None
    task: Any = None

    def phase(self, name: str) -> None:
        """A new phase begins."""
        if self.display is not None:
            self.display.update(self.task, description=name)

    def step(self, done: int, total: int) -> None:
        """``done`` of ``total`` steps are done."""
        if self.display is not None:
            self.display.update(self.task, completed=done, total=total)


@contextmanager
def bar(name: str, quiet: bool) -> Iterator[Bar]:
    """A bar while the block runs."""
    if quiet or not sys.stderr.isatty():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as display:
        yield Bar(display, display.add_task(name, total=None))
