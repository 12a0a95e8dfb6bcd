"""What plans and matrices of all families share: which layer fills a place, grouping of large matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwsdk.report.content import Grid, number

MOST_SIDE = 48
"""Rows and columns of a matrix that is drawn; larger ones are added up in groups."""
MOST_PANES = 8
"""Chips or macros that are drawn."""


def fullest(used: Mapping[str, int], limits: Mapping[str, int | None]) -> tuple[str, float]:
    """(resource, share) of which a place has least left; ("", 0.0) where no limit is known."""
    shares = {k: used[k] / limit for k in used if (limit := limits.get(k))}
    name = max(shares, key=lambda k: shares[k], default="")
    return name, shares.get(name, 0.0)


def slices_text(parts: Mapping[str, NDArray[np.int64]]) -> str:
    """Population -> its neurons at a place, as "lif1 0-47, lif2 10 neurons"."""
    return ", ".join(f"{name} {_range(index)}" for name, index in parts.items())


def _range(index: NDArray[np.int64]) -> str:
    """First and last of consecutive neurons, or how many they are."""
    low, high = int(index.min()), int(index.max())
    if high - low + 1 != len(index):
        return f"({len(index)} neurons)"
    return f"{low}" if low == high else f"{low}-{high}"


def grouped(grid: Grid) -> tuple[Grid, str]:
    """The matrix with at most MOST_SIDE rows and columns, and a sentence if rows or columns were added up."""
    rows, by_rows = _groups(grid.rows)
    columns, by_columns = _groups(grid.columns)
    if by_rows == by_columns == 1:
        return grid, ""
    values = np.add.reduceat(grid.values, np.arange(0, len(grid.rows), by_rows), axis=0)
    values = np.add.reduceat(values, np.arange(0, len(grid.columns), by_columns), axis=1)
    said = [f"{n} {what}" for n, what in ((by_rows, "rows"), (by_columns, "columns")) if n > 1]
    return (Grid(grid.title, rows, columns, values, grid.unit, grid.sides, grid.alt),
            f"So that the matrix can be drawn, {' and '.join(said)} at a time are added up.")


def _groups(names: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Names of groups of equal size, and that size."""
    size = -(-len(names) // MOST_SIDE)
    if size <= 1:
        return tuple(names), 1
    cut = [names[k : k + size] for k in range(0, len(names), size)]
    return tuple(c[0] if len(c) == 1 else f"{c[0]} to {_last(c[0], c[-1])}" for c in cut), size


def _last(first: str, last: str) -> str:
    """The end of a range, without the words that it shares with the beginning: "core 0 to 3"."""
    kind, _, rest = last.rpartition(" ")
    return rest if first.rpartition(" ")[0] == kind else last


def largest(grid: Grid) -> str:
    """The largest entry in words."""
    if not grid.values.size or not grid.values.max() > 0:
        return "nothing is sent"
    r, c = np.unravel_index(int(grid.values.argmax()), grid.values.shape)
    return f"the most, {number(float(grid.values.max()))} {grid.unit}, from {grid.rows[r]} to {grid.columns[c]}"


def rows_with_any(names: Sequence[str], values: NDArray[np.float64]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Without rows of zeros."""
    keep = np.flatnonzero(values.sum(1) > 0).tolist()
    return tuple(names[k] for k in keep), values[keep]
