"""Drawings of margins and yields. They leave matplotlib's global state alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsdk.backends import plots
from hwsdk.backends.plots import BLUE, GREY, ORANGE, PALE, RED, WIDTH

if TYPE_CHECKING:
    from hwsdk.backends.sfq_margins import Comparison, Line, Plane, Sweep
    from hwsdk.backends.sfq_yield import Curve

NARROW = 0.3
"""Half a window, as a share of what was tried, that holds no number."""


def _label(what: str, of: str = "") -> str:
    """Of an axis of factors."""
    currents = {"bias": "bias currents", "soma": "soma bias currents"}[what]
    return f"{currents}{f' of {of}' if of else ''}, deviation from nominal (%)"


def _percent(k: Any) -> Any:
    """A factor as a deviation."""
    return 100 * (np.asarray(k) - 1)


def plot_sweep(sweep: Sweep, path: str | Path) -> Path:
    """Windows as bars, planes as maps beneath them."""
    rows = int(bool(sweep.lines)) + (len(sweep.planes) + 1) // 2
    bars = 1.0 + 0.42 * len(sweep.lines) if sweep.lines else 0.0
    figure = plots.figure(WIDTH, bars + 3.6 * (rows - int(bool(sweep.lines))) + 0.3)
    heights = [bars] * bool(sweep.lines) + [3.6] * (rows - int(bool(sweep.lines)))
    grid = figure.add_gridspec(rows, 2, height_ratios=heights)
    if sweep.lines:
        axes = figure.add_subplot(grid[0, :])
        _bars(axes, [(sweep.by, BLUE, sweep.lines)])
        axes.set_xlabel(_label(sweep.what), fontsize=8)
    for i, plane in enumerate(sweep.planes):
        row, column = int(bool(sweep.lines)) + i // 2, i % 2
        alone = len(sweep.planes) == 1
        _map(figure.add_subplot(grid[row, :] if alone else grid[row, column]), plane, sweep.what)
    figure.suptitle(f"{sweep.title}: outputs right, {sweep.by}", fontsize=10)
    return plots.save(figure, path)


def plot_comparison(comparison: Comparison, path: str | Path) -> Path:
    """Windows of both, bar under bar."""
    names = comparison.common()
    figure = plots.figure(WIDTH, 1.4 + 0.62 * len(names))
    axes = figure.add_subplot()
    both = (comparison.first, BLUE), (comparison.second, ORANGE)
    _bars(axes, [(s.by, colour, [s.line(n) for n in names]) for s, colour in both])
    axes.set_xlabel(_label(comparison.first.what), fontsize=8)
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=2)
    figure.suptitle(f"{comparison.first.title}: outputs right", fontsize=10)
    return plots.save(figure, path)


def _bars(axes: Any, kinds: Sequence[tuple[str, str, Sequence[Line]]]) -> None:
    """A bar a line and kind, the points that were run as ticks in it, and its ends in numbers."""
    n, height = len(kinds), 0.62 / len(kinds)
    for i, (by, colour, lines) in enumerate(kinds):
        for j, line in enumerate(lines):
            _bar(axes, line, j + (i - (n - 1) / 2) * height, height * 0.86, colour, by if j == 0 and n > 1 else "")
    axes.axvline(0, color="black", linewidth=0.8)
    names = [line.name for line in kinds[0][2]]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    tried = np.concatenate([_percent(line.k) for _, _, lines in kinds for line in lines])
    reach = 1.05 * max(float(np.abs(tried).max()), 1.0)
    axes.set_xlim(-reach, reach)
    axes.grid(axis="x", color="#e3e6ea", linewidth=0.6)
    plots.plain(axes)


def _bar(axes: Any, line: Line, y: float, height: float, colour: str, label: str) -> None:
    """One window, with crosses where the outputs were wrong and dots where they were right beyond it."""
    x, good = _percent(line.k), line.good
    axes.plot(x[~good], np.full((~good).sum(), y), "x", color=RED, alpha=0.7, markersize=3, markeredgewidth=0.7)
    low, high = _percent(line.low), _percent(line.high)
    stray = good & ~((x >= low) & (x <= high))
    axes.plot(x[stray], np.full(stray.sum(), y), "o", color=colour, markersize=2.5)
    if np.isnan(line.low):
        axes.text(0, y, "wrong at nominal", ha="center", va="center", fontsize=7, color=RED, zorder=4,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
        axes.barh(y, 0, height, color=colour, alpha=0.85, label=label or None)
        return
    axes.barh(y, high - low, height, left=low, color=colour, alpha=0.85, label=label or None, linewidth=0)
    _ends(axes, line, y)


def _ends(axes: Any, line: Line, y: float) -> None:
    """The ends in numbers: in the bar, or beside it where that is too narrow. "beyond" where nothing else was tried."""
    for end, way, is_open in ((line.low, -1, line.low_open), (line.high, 1, line.high_open)):
        inside = abs(end - 1) > NARROW * float(np.abs(line.k - 1).max())
        align = "left" if (way < 0) == inside else "right"
        axes.annotate(f"{'beyond ' if is_open else ''}{100 * (end - 1):+.1f}", (_percent(end), y),
                      (4 if align == "left" else -4, 0), textcoords="offset points", ha=align, va="center", fontsize=7,
                      zorder=4, color="white" if inside else "black",
                      bbox=None if inside else {"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def _map(axes: Any, plane: Plane, what: str) -> None:
    """Good points of a plane as area, with nominal marked."""
    from matplotlib.colors import ListedColormap

    x, y = _percent(plane.k_second), _percent(plane.k_first)
    axes.pcolormesh(x, y, plane.good.astype(int), cmap=ListedColormap(["#f2f3f5", BLUE]), vmin=0, vmax=1,
                    shading="nearest", edgecolors="white", linewidth=0.4)
    axes.plot(0, 0, "+", color="white", markersize=9, markeredgewidth=1.6)
    axes.set_xlabel(_label(what, plane.second), fontsize=8)
    axes.set_ylabel(_label(what, plane.first), fontsize=8)
    axes.set_title(f"{plane.share:.0%} of the points right", fontsize=8, color=GREY)
    axes.set_aspect("equal")
    plots.plain(axes)


def plot_curve(curve: Curve, path: str | Path) -> Path:
    """Yield over what was varied, with its bounds."""
    figure = plots.figure(WIDTH * 0.8, 3.6)
    axes = figure.add_subplot()
    y = np.array([p.value for p in curve.points])
    bounds = np.array([[p.low, p.high] for p in curve.points])
    axes.fill_between(curve.values, 100 * bounds[:, 0], 100 * bounds[:, 1], color=PALE, linewidth=0,
                      label="95 % (Wilson)")
    axes.plot(curve.values, 100 * y, "o-", color=BLUE, markersize=4, linewidth=1.4, label="right")
    axes.set_xlabel(curve.label, fontsize=8)
    axes.set_ylabel("yield (% of runs)", fontsize=8)
    axes.set_ylim(-2, 104)
    axes.grid(color="#e3e6ea", linewidth=0.6)
    axes.legend(fontsize=8, frameon=False, loc="lower left")
    axes.set_title(f"{curve.title}, {curve.points[0].runs:,} runs a point", fontsize=10)
    plots.plain(axes)
    return plots.save(figure, path)
