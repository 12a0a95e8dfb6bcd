"""Drawings of yields and attributions. They leave matplotlib's global state alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsdk.backends import plots
from hwsdk.backends.plots import BLUE, GREY, ORANGE, RED, WIDTH

if TYPE_CHECKING:
    from hwsdk.backends.memristor_attribution import Attribution
    from hwsdk.backends.memristor_yield import YieldReport

BINS = 20
"""Of a histogram, at most."""


def plot_yield(report: YieldReport, path: str | Path) -> Path:
    """How many dies measure what, with the median, what was asked for, and the array without any stage."""
    figure = plots.figure(WIDTH * 0.8, 3.6)
    axes = figure.add_subplot()
    axes.hist(report.values, bins=_edges(report.values), color=BLUE, alpha=0.85)
    middle = report.quantiles[2]
    _line(axes, middle.value, "black", f"median {middle.value:.4g}")
    if report.least is not None and report.value is not None and report.bounds is not None:
        low, high = report.bounds
        _line(axes, report.least, RED, f"asked for: {report.least:g}, reached by {report.value:.1%} "
                                       f"({low:.1%} to {high:.1%})")
    if report.ideal is not None:
        _line(axes, report.ideal, ORANGE, f"without any stage {report.ideal:.4g}")
    axes.set_xlabel(report.measure, fontsize=8)
    axes.set_ylabel("dies", fontsize=8)
    figure.legend(fontsize=7, frameon=False, loc="outside lower center", ncols=3)
    axes.set_title(f"{report.title}, {report.n:,} dies", fontsize=10)
    plots.plain(axes)
    return plots.save(figure, path)


def _edges(values: Any) -> Any:
    """Of the bins, over all values."""
    low, high = float(values.min()), float(values.max())
    pad = 0.0 if high > low else max(abs(high), 1.0) * 0.005
    return np.linspace(low - pad, high + pad, min(BINS, max(5, len(values) // 3)) + 1)


def _line(axes: Any, x: float, colour: str, label: str) -> None:
    """An upright line with its name."""
    axes.axvline(x, color=colour, linewidth=1.2, linestyle="--", label=label)


def plot_attribution(found: Attribution, path: str | Path) -> Path:
    """The score with each stage alone, and with all up to it, beside the array without any."""
    figure = plots.figure(WIDTH * 0.8, 0.9 + 0.5 * len(found.stages))
    axes = figure.add_subplot()
    at = np.arange(len(found.stages))
    axes.barh(at - 0.2, [s.alone.score for s in found.stages], 0.36, color=BLUE, alpha=0.85, label="alone")
    axes.barh(at + 0.2, [s.so_far.score for s in found.stages], 0.36, color=GREY, alpha=0.85,
              label="with all above it")
    _line(axes, found.bare.score, ORANGE, f"without any stage {found.bare.score:.4g}")
    axes.set_yticks(at, [s.stage for s in found.stages])
    axes.invert_yaxis()
    axes.set_xlabel(found.measure, fontsize=8)
    figure.legend(fontsize=7, frameon=False, loc="outside lower center", ncols=3)
    axes.set_title(f"{found.title} by stage, die {found.die}", fontsize=10)
    plots.plain(axes)
    return plots.save(figure, path)
