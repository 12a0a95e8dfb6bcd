"""Colours of figures, for a page that is light or dark and for matplotlib alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import MissingDependencyError

PIP = "pip install 'matplotlib>=3.7'"
HUES = ("#3987e5", "#e06a35", "#1ba57a", "#c98500", "#d55f8f", "#4c9a2a", "#8b7fe0", "#e0524f")
"""Of layers and kinds; each stands out from white and from black."""
OTHER = "#8a8a85"
"""What has no hue of its own."""
HEAT = HUES[0]
FAINT = 0.14
"""Opacity of the least that is not nothing."""
LEVELS = 8
"""Steps of a scale of heat."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours that depend on what is behind: text, secondary text, lines, and the ground itself."""

    ink: str
    muted: str
    line: str
    ground: str


LIGHT = Palette("#1b1b1a", "#5c5b57", "#c9c8c1", "#ffffff")
DARK = Palette("#f1f0ea", "#b4b3aa", "#4a4a46", "#1a1a19")
PAGE = Palette("#010203", "#010204", "#010205", "#010206")
"""Marks that a page replaces by its own colours."""


@contextmanager
def style(palette: Palette) -> Iterator[Any]:
    """matplotlib with its own defaults and these colours, whatever the user has set; gives the module.

    Raises:
        MissingDependencyError: NO_MATPLOTLIB.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingDependencyError("matplotlib is needed to draw", code="NO_MATPLOTLIB", fix=PIP) from None
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a page has the reader's fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({
            "text.color": palette.ink, "axes.labelcolor": palette.muted, "axes.edgecolor": palette.line,
            "xtick.color": palette.line, "ytick.color": palette.line, "xtick.labelcolor": palette.muted,
            "ytick.labelcolor": palette.ink, "axes.facecolor": "none", "figure.facecolor": palette.ground,
            "font.size": 9.0, "axes.titlesize": 9.5, "xtick.labelsize": 8.0, "ytick.labelsize": 8.5,
            "axes.labelsize": 8.5, "legend.fontsize": 8.5, "legend.frameon": False, "axes.spines.top": False,
            "axes.spines.right": False, "axes.titlelocation": "left", "svg.fonttype": "none",
            "svg.hashsalt": "hwsdk", "svg.image_inline": True, "text.parse_math": False, "font.family": "sans-serif"})
        yield matplotlib


def rgb(colour: str) -> NDArray[np.float64]:
    """(3,): red, green, blue from 0 to 1."""
    return np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])


def heat(values: NDArray[np.float64], most: float, there: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """(rows, columns, 4) uint8: one hue, the more opaque the larger; 0 is grey where there is a place, else nothing."""
    out = np.zeros((*values.shape, 4))
    level = np.ceil(np.clip(values / most if most else values, 0, 1) * LEVELS) / LEVELS
    out[..., :3], out[..., 3] = rgb(HEAT), np.where(values > 0, FAINT + (1 - FAINT) * level, 0.0)
    return _bytes(_with_empty(out, values > 0, there))


def shades(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The same without steps and scale, against the largest."""
    most = float(values.max()) if values.size else 0.0
    out = np.zeros((*values.shape, 4))
    out[..., :3] = rgb(HEAT)
    out[..., 3] = np.where(values > 0, 0.2 + 0.8 * values / most if most else 0.0, 0.0)
    return _bytes(out)


def hued(kinds: NDArray[np.int64], colours: tuple[str, ...], there: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(rows, columns, 4) uint8: the colour of each kind (an index, below 0: none)."""
    out = np.zeros((*kinds.shape, 4))
    for k, colour in enumerate(colours):
        out[kinds == k] = (*rgb(colour), 1.0)
    return _bytes(_with_empty(out, kinds >= 0, there))


def _with_empty(out: NDArray[np.float64], filled: NDArray[np.bool_], there: NDArray[np.bool_] | None,
                ) -> NDArray[np.float64]:
    if there is not None:
        out[there & ~filled] = (*rgb(OTHER), 0.16)
    return out


def _bytes(out: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.round(out * 255).astype(np.uint8)
