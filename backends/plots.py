"""What the drawings of all backends share. They leave matplotlib's global state alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwsdk.errors import DataError, MissingDependencyError

PIP = "pip install 'matplotlib>=3.7'"
ENDINGS = (".png", ".svg", ".pdf")
BLUE, ORANGE, GREY, RED, PALE = "#2f6db5", "#d9822b", "#8a8f98", "#c0392b", "#c3d6ee"
DPI, WIDTH = 150, 7.2
"""Dots an inch, and inches."""


def figure(width: float, height: float) -> Any:
    """An empty figure."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib is needed to draw", code="NO_MATPLOTLIB", fix=PIP) from None
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save(drawn: Any, path: str | Path) -> Path:
    """Write a figure.

    Raises:
        DataError: CANNOT_WRITE: a file name of another kind, or a folder that takes nothing.
    """
    file = Path(path)
    if file.suffix not in ENDINGS:
        raise DataError(f"{file.suffix or 'no suffix'!r} is no kind of drawing", where=str(file), code="CANNOT_WRITE",
                        fix=f"give a name that ends in {', '.join(ENDINGS)}")
    try:
        drawn.savefig(file)
    except OSError as error:
        raise DataError(f"cannot write here: {error.strerror}", where=str(file), code="CANNOT_WRITE",
                        fix="choose another folder") from None
    return file


def plain(axes: Any) -> None:
    """Without a box, with a light grid behind."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.set_axisbelow(True)
