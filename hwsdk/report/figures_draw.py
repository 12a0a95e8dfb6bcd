"""Drawing one part of a report with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hwsdk.cost import si
from hwsdk.report.content import NOTHING_THERE, Bars, Dots, Grid, Pane, Part, Plan, Raster, percent
from hwsdk.report.figures_style import (
    FAINT,
    HEAT,
    HUES,
    LEVELS,
    OTHER,
    Palette,
    heat,
    hued,
    rgb,
    shades,
)

WIDTH = 7.2
MOST_NUMBERS = 160
"""Cells of a matrix in which their numbers stand."""
MOST_LABELS = 24
MOST_GAPS = 48
"""Rows and columns between which lines are drawn."""


def figure_of(part: Part, palette: Palette) -> Any:
    """A matplotlib figure of a part, within ``figures_style.style``; TypeError for a table."""
    for kind, draw in DRAWN.items():
        if isinstance(part, kind):
            return draw(part, palette)
    raise TypeError(f"a {type(part).__name__} is no figure")


def _figure(height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), dpi=150, layout="constrained")


def _image(axes: Any, pixels: Any, **more: Any) -> None:
    axes.imshow(pixels, interpolation="none", aspect="auto" if "extent" in more else "equal", **more)


def _gaps(axes: Any, shape: tuple[int, ...], palette: Palette) -> None:
    """Lines in the colour of the ground between places, where there is room."""
    if max(shape) <= MOST_GAPS:
        for lines, at, end in ((axes.vlines, shape[1], shape[0]), (axes.hlines, shape[0], shape[1])):
            drawn = lines(np.arange(1, at) - 0.5, -0.5, end - 0.5, color=palette.ground, linewidth=1.0)
            drawn.set_in_layout(False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def plan(part: Plan, palette: Palette) -> Any:
    """Every pane twice: which layer, and how full."""
    kinds, names, colours = _hues(part)
    beside = 1 if len(part.panes) <= 2 else 2
    down = -(-len(part.panes) // beside)
    tall = max(max(0.8, 3.2 / beside * p.layer.shape[0] / max(p.layer.shape)) for p in part.panes)
    fig = _figure((tall + 0.35) * down + 0.25 * math.ceil(len(names) / 4) + 0.15)
    axes = fig.subplots(down, 2 * beside, squeeze=False)
    most = _nice(max(float(p.share.max()) for p in part.panes))
    for k, pane in enumerate(part.panes):
        left, right = axes[k // beside, 2 * (k % beside) : 2 * (k % beside) + 2]
        there = pane.layer != NOTHING_THERE
        own = np.where(pane.layer >= 0, kinds[np.maximum(pane.layer, 0)], -1)
        _image(left, hued(own, colours, there))
        _image(right, heat(pane.share, most, there))
        left.set_title(f"{pane.title}: layer" if beside == 1 else pane.title)
        right.set_title(f"{pane.title}: how full" if beside == 1 else "how full")
        for one in (left, right):
            one.set_xticks([])
            one.set_yticks([])
            _gaps(one, pane.layer.shape, palette)
        if beside == 1:
            _pane_labels(left, pane)
    for one in axes.ravel()[2 * len(part.panes) :]:
        one.set_axis_off()
    _scale(fig, axes.ravel().tolist(), most, "%")
    fig.legend(handles=_patches(names, colours), loc="outside lower left", ncols=4, handlelength=1.0)
    return fig


def _hues(part: Plan) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """(kind of each layer, names of the kinds, their colours): the layers with most places have a hue of their own."""
    places = np.zeros(max(len(part.layers), 1), np.int64)
    for pane in part.panes:
        places += np.bincount(pane.layer[pane.layer >= 0], minlength=len(places))
    used = [k for k in np.argsort(-places, kind="stable").tolist() if places[k]]
    own = sorted(used[: len(HUES)])
    kinds = np.full(len(places), len(own))
    kinds[own] = np.arange(len(own))
    names, colours = tuple(part.layers[k] for k in own), HUES[: len(own)]
    rest = len(used) - len(own)
    return (kinds, (*names, f"{rest} other layers"), (*colours, OTHER)) if rest else (kinds, names, colours)


def _patches(names: Sequence[str], colours: Sequence[str]) -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(facecolor=c, label=_short(n)) for n, c in zip(names, colours, strict=True)]


def _pane_labels(axes: Any, pane: Pane) -> None:
    if max(pane.layer.shape) <= MOST_GAPS:
        size = 7.0 if max(pane.layer.shape) <= 20 else 5.0
        for (row, column), text in pane.labels:
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color="#000000")


def _nice(value: float) -> float:
    """A round number not below the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if value <= m * power * (1 + 1e-9))


def _scale(fig: Any, axes: Any, most: float, unit: str) -> None:
    """A bar that says what each opacity stands for."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    steps = [(*rgb(HEAT), FAINT + (1 - FAINT) * (k + 1) / LEVELS) for k in range(LEVELS)]
    norm = BoundaryNorm(np.linspace(0, most, LEVELS + 1), LEVELS)
    bar = fig.colorbar(ScalarMappable(norm, ListedColormap(steps)), ax=axes, fraction=0.03, pad=0.01, aspect=24,
                       ticks=[0, most / 2, most])
    bar.ax.set_yticklabels([_axis(v, unit) for v in (0.0, most / 2, most)])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, which="both")


def _value(value: float, unit: str) -> str:
    """A number of an axis or beside a mark."""
    if unit == "%":
        return percent(value)
    if unit in ("J", "s", "A", "W"):
        return si(value, unit)
    return f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:.3g}"


def _axis(value: float, unit: str) -> str:
    """A number of a scale, without digits that it does not need."""
    return f"{value * 100:.3g}%" if unit == "%" else _value(value, unit)


def grid(part: Grid, palette: Palette) -> Any:
    """A matrix of heat; small ones with their numbers."""
    rows = len(part.values)
    fig = _figure(min(7.5, max(1.3, 0.27 * rows + 0.9)) if rows <= MOST_LABELS else 6.2)
    axes = fig.add_subplot()
    most = float(part.values.max()) if part.values.size else 0.0
    axes.imshow(heat(part.values, most, np.ones(part.values.shape, bool)), interpolation="none", aspect="auto")
    _gaps(axes, part.values.shape, palette)
    for names, ticks, labels in ((part.columns, axes.set_xticks, axes.set_xticklabels),
                                 (part.rows, axes.set_yticks, axes.set_yticklabels)):
        each = -(-len(names) // MOST_LABELS)
        ticks(range(0, len(names), each))
        labels([_short(n) for n in names[::each]])
    if sum(len(_short(n)) for n in part.columns[:MOST_LABELS]) > 70:
        axes.tick_params(axis="x", labelrotation=90)
    axes.set_ylabel(part.sides[0])
    axes.set_xlabel(part.sides[1])
    if part.values.size <= MOST_NUMBERS:
        for (r, c), value in np.ndenumerate(part.values):
            if value:
                axes.text(c, r, _value(float(value), ""), ha="center", va="center", fontsize=7.5)
    elif most:
        _scale(fig, axes, most, "")
    return fig


def raster(part: Raster, palette: Palette) -> Any:
    """Steps along x, neurons along y, the first at the bottom."""
    fig = _figure(min(3.0, max(1.1, 0.75 + 0.03 * len(part.values))))
    axes = fig.add_subplot()
    bands, bins = part.values.shape
    extent = (-0.5, bins * part.each[1] - 0.5, -0.5, bands * part.each[0] - 0.5)
    _image(axes, shades(part.values), origin="lower", extent=extent)
    axes.set_xlim(-0.5, part.n_steps - 0.5)
    axes.set_ylim(-0.5, part.n - 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=min(5, part.n))
    axes.set_xlabel("step")
    axes.set_ylabel("neuron")
    return fig


def bars(part: Bars, palette: Palette) -> Any:
    """Horizontal bars, made of parts."""
    values = np.array([[v or 0.0 for v in row] for row in part.values])
    names, values = _folded(part.parts, values)
    fig = _figure(0.55 + 0.27 * len(part.rows) + (0.22 * math.ceil(len(names) / 3) if len(names) > 1 else 0))
    axes = fig.add_subplot()
    left, at = np.zeros(len(part.rows)), np.arange(len(part.rows))
    for k, name in enumerate(names):
        colour = OTHER if name == OTHERS else HUES[k]
        axes.barh(at, values[:, k], left=left, height=0.62, color=colour, label=_short(name),
                  edgecolor=palette.ground, linewidth=0.8)
        left = left + values[:, k]
    for row, whole in enumerate(left):
        axes.annotate(_value(float(whole), part.unit), (whole, row), (4, 0), textcoords="offset points", va="center",
                      fontsize=8, annotation_clip=False)
    most = float(left.max()) if len(left) else 0.0
    axes.set_xlim(0, (most or 1.0) * 1.16)
    _rows(axes, part.rows)
    axes.xaxis.set_major_locator(_ticks(5))
    axes.set_xticks([v for v in axes.get_xticks() if v <= (most or 1.0) * 1.001])
    axes.set_xticklabels([_axis(float(v), part.unit) for v in axes.get_xticks()])
    if len(names) > 1:
        fig.legend(loc="outside lower left", ncols=3, handlelength=1.0)
    return fig


OTHERS = "other kinds"


def _folded(names: tuple[str, ...], values: Any) -> tuple[tuple[str, ...], Any]:
    """The largest parts, and what the others are together."""
    if len(names) <= len(HUES):
        return names, values
    order = np.argsort(-values.sum(0), kind="stable")
    own = np.sort(order[: len(HUES) - 1])
    rest = np.sort(order[len(HUES) - 1 :])
    return (*(names[k] for k in own), OTHERS), np.column_stack([values[:, own], values[:, rest].sum(1)])


def _ticks(n: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(n)


def _rows(axes: Any, names: Sequence[str]) -> None:
    """Names of rows, the first at the top."""
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels([_short(n) for n in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:31]}..."


def dots(part: Dots, palette: Palette) -> Any:
    """Dots on a logarithmic scale with their ranges; what is not known says so."""
    fig = _figure(0.6 + 0.25 * len(part.rows))
    axes = fig.add_subplot()
    known = [v for _, *values in part.rows for v in values if v]
    axes.set_xscale("log")
    low, high = (min(known) / 3, max(known) * 30) if known else (0.1, 10.0)
    axes.set_xlim(low, high)
    for row, (name, value, least, most) in enumerate(part.rows):
        if not value:
            axes.text(low, row, " not published", va="center", fontsize=8, color=palette.muted)
            continue
        ends = (max(least or low, low), most or value)
        axes.plot(ends, (row, row), color=HEAT, linewidth=2.2, alpha=0.45, solid_capstyle="round")
        axes.plot(value, row, "D" if name.startswith("all: ") else "o", color=HEAT, markersize=5)
        axes.annotate(si(value, part.unit), (max(value, ends[1]), row), (6, 0), textcoords="offset points",
                      va="center", fontsize=8)
    _rows(axes, [r[0] for r in part.rows])
    axes.minorticks_off()
    axes.set_xticks(_decades(low, high))
    axes.set_xticklabels([si(v, part.unit) for v in axes.get_xticks()])
    axes.grid(axis="x", color=palette.line, linewidth=0.5)
    axes.set_axisbelow(True)
    return fig


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten between two values, at most eight."""
    found = list(range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1))
    each = -(-len(found) // 8) or 1
    return [10.0**k for k in found[::each]]


DRAWN: dict[Any, Callable[[Any, Palette], Any]] = {Plan: plan, Grid: grid, Raster: raster, Bars: bars, Dots: dots}
