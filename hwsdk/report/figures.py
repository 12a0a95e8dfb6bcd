"""The figures of a report in matplotlib, from Python: each takes a Content and gives a matplotlib Figure."""

from __future__ import annotations

from typing import Any

from hwsdk.errors import HwsdkError
from hwsdk.report.content import Bars, Content, Dots, Grid, Part, Plan, Raster, Table
from hwsdk.report.figures_draw import figure_of
from hwsdk.report.figures_style import DARK, LIGHT, Palette, style


def draw(part: Part, palette: Palette = LIGHT) -> Any:
    """A matplotlib Figure of any part but a table, in the colours of LIGHT or DARK; ``savefig`` writes it.

    Raises:
        MissingDependencyError: NO_MATPLOTLIB. TypeError: a table.
    """
    with style(palette):
        return figure_of(part, palette)


def placement(content: Content, palette: Palette = LIGHT) -> Any:
    """Which layer lies where, and how full each place is; of a netlist junctions by bias line and part."""
    return draw(_first((*content.parts(Plan, "placement"), *content.parts(Grid, "placement")), "placement"), palette)


def traffic(content: Content, palette: Palette = LIGHT) -> Any:
    """What goes from where to where."""
    return draw(_first(content.parts(Grid, "traffic"), "traffic"), palette)


def raster(content: Content, population: str | None = None, palette: Palette = LIGHT) -> Any:
    """When a population fires; default: the first of the report."""
    found = content.parts(Raster, "spikes")
    chosen = found if population is None else tuple(r for r in found if r.title == population)
    return draw(_first(chosen, "spikes" if population is None else population), palette)


def energy(content: Content, palette: Palette = LIGHT) -> Any:
    """Energy by kind, with ranges, on a logarithmic scale."""
    return draw(_first(content.parts(Dots, "energy"), "energy"), palette)


def energy_by_layer(content: Content, palette: Palette = LIGHT) -> Any:
    """Energy of each layer, by kind."""
    return draw(_first(content.parts(Bars, "energy"), "energy by layer"), palette)


def limits(content: Content, palette: Palette = LIGHT) -> Any:
    """Share used of every resource."""
    return draw(_first(content.parts(Bars, "fit"), "limits"), palette)


def _first(parts: tuple[Part, ...], what: str) -> Part:
    """The first part.

    Raises:
        HwsdkError: NO_FIGURE.
    """
    drawn = [p for p in parts if not isinstance(p, Table)]
    if not drawn:
        raise HwsdkError(f"this report has no figure of {what}", code="NO_FIGURE",
                         fix="see the words of the section; a run with counts may be missing")
    return drawn[0]


__all__ = ["DARK", "LIGHT", "Palette", "draw", "energy", "energy_by_layer", "limits", "placement", "raster", "traffic"]
