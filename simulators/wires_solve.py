"""Currents of a crossbar whose wires have resistance: exact, for driven rows and for gated columns.

All arrays are in physical order: rows from the first on, the sense end below the last one; columns from the driver on.
A driven row is a voltage source at the left end of its word line. A gated column has its source line driven from the
end of row 0 and its bit line sensed below the last row, in virtual ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsdk.errors import DataError, ToleranceError
from hwsdk.ir.crossbar import Wires
from hwsdk.simulators import kernels_wires as kernels

Floats = NDArray[np.float64]
MOST = 20_000
"""Iterations after which ``solve`` gives up, unless told otherwise."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Ohm of the segments of driven rows: word (N,) float64 left of each conducting column (the first with the driver),
    bit (M,) float64 below each row (the last to the sense end). Zero is allowed.
    """

    word: Floats
    bit: Floats

    def __post_init__(self) -> None:
        for name in ("word", "bit"):
            object.__setattr__(self, name, _ohms(name, getattr(self, name)))

    @property
    def right(self) -> Floats:
        """Ohm from a row's source to its node at each column, (N,)."""
        return np.cumsum(self.word)

    @property
    def down(self) -> Floats:
        """Ohm from a column's node at each row to its sense end, (M,)."""
        return np.cumsum(self.bit[::-1])[::-1].copy()


@dataclass(frozen=True, eq=False)
class Ladder:
    """Ohm of the segments of gated columns: source (M,) float64 of the source line above each row (the first with the
    driver), bit (M,) float64 of the bit line below each row (the last with the sense end). Zero is allowed.
    """

    source: Floats
    bit: Floats

    def __post_init__(self) -> None:
        for name in ("source", "bit"):
            object.__setattr__(self, name, _ohms(name, getattr(self, name)))


@dataclass(frozen=True)
class PowerBalance:
    """W that the sources give (ports), and where it goes: cells and wires. ports = cells + wires (Tellegen)."""

    ports: float
    cells: float
    wires: float


def uniform(rows: int, columns: int, word: float, bit: float) -> Grid:
    """The same ohm in every segment, the first of a row and the last of a column included."""
    return Grid(np.full(columns, float(word)), np.full(rows, float(bit)))


def grid_of(row_at: ArrayLike, col_at: ArrayLike, wires: Wires, rows: int) -> Grid:
    """The grid of driven rows at these places of a macro of ``rows`` rows. Lines that are not used still add length.

    Args:
        row_at (M,), col_at (N,): physical rows and columns, ascending.

    Raises:
        DataError: BAD_PLACES if they do not ascend or lie outside.
    """
    at, col = _places("rows", row_at, rows), _places("columns", col_at, None)
    word = np.diff(col, prepend=-1) * wires.word
    word[0] += wires.driver
    return Grid(word, _below(at, wires, rows))


def ladder_of(row_at: ArrayLike, wires: Wires, rows: int) -> Ladder:
    """The ladder of gated columns with rows at these places of a macro of ``rows`` rows; both lines have wires.bit ohm.

    Raises:
        DataError: BAD_PLACES as ``grid_of``.
    """
    at = _places("rows", row_at, rows)
    source = np.diff(at, prepend=-1) * wires.bit
    source[0] += wires.driver
    return Ladder(source, _below(at, wires, rows))


def solve(g: ArrayLike, v: ArrayLike, grid: Grid, tol: float = 1e-12, most: int = MOST) -> Floats:
    """Currents in A at the ends of the columns, (B, N) for v (B, M) V, or (N,) for v (M,).

    Conjugate gradients on the currents of the cells, without a matrix; memory 7 x (M, N). The residual is computed anew
    from the solution. As no eigenvalue is below 1, a current's error is at most tol sqrt(sum of its column's g)
    sqrt(sum of g v^2).

    Args:
        g: (M, N) conductances in S, 0 allowed. tol: |residual| / |right side|.

    Raises:
        DataError: BAD_CONDUCTANCE, BAD_SHAPE, BAD_VOLTAGE.
        ToleranceError: ``tol`` was not reached within ``most`` iterations, or lies below rounding.
    """
    cells = cells_of(g, grid)
    volts = _volts(v, len(cells))
    rows = np.atleast_2d(volts)
    out = np.empty((len(rows), cells.shape[1]))
    solver, by_row = Solver(cells, grid, tol, most), np.empty(len(cells))
    for vector, result in zip(rows, out, strict=True):
        kernels.sums(solver.cells(vector), result, by_row)
    return out if volts.ndim == 2 else out[0]


class Solver:
    """Solves one array again and again in the same memory."""

    def __init__(self, g: ArrayLike, grid: Grid, tol: float = 1e-12, most: int = MOST) -> None:
        self.g, self.grid, self.tol, self.most = cells_of(g, grid), grid, tol, most
        m, n = self.g.shape
        self._right, self._down = grid.right, grid.down
        self._work, self._scratch, self._result = np.empty((6, m, n)), np.empty((4, n)), np.empty((m, n))
        self._none = np.zeros(n)
        self.iterations = 0

    def cells(self, rows: Floats, columns: Floats | None = None) -> Floats:
        """A of every cell (M, N), overwritten by the next call.

        Args:
            rows: (M,) V of the sources. columns: (N,) V by which the ends of the columns lie below ground.

        Raises:
            ToleranceError: as ``solve``.
        """
        reached, self.iterations = kernels.currents(
            self.g, self._right, self._down, rows, self._none if columns is None else columns, self.tol, self.most,
            self._work, self._scratch, self._result)
        if not reached <= self.tol:
            raise ToleranceError(
                f"residual {reached:.2e} of the right side after {self.iterations} iterations, wanted {self.tol:.0e}",
                where=f"wires of {self.g.shape[0]} x {self.g.shape[1]} cells",
                fix="allow more iterations or a larger tolerance")
        return self._result

    def voltages(self, rows: Floats, columns: Floats | None = None) -> Floats:
        """V across every cell, word minus bit node, (M, N); arguments as ``cells``."""
        out = np.empty(self.g.shape)
        kernels.drops(self.cells(rows, columns), self._right, self._down, self._scratch, out)
        return rows[:, None] + (self._none if columns is None else columns) - out


def perturbed(g: ArrayLike, v: ArrayLike, grid: Grid, dg: ArrayLike, tol: float = 1e-12) -> Floats:
    """Currents with g + dg instead of g: exact, where ``noise_variance`` is first order. As ``solve``."""
    return solve(np.asarray(g, np.float64) + np.asarray(dg, np.float64), v, grid, tol)


def power(g: ArrayLike, v: ArrayLike, grid: Grid, tol: float = 1e-12) -> PowerBalance:
    """Where the power of one input v (M,) goes, in W: given by the sources, turned to heat in cells and in wires.

    Raises:
        As ``solve``.
    """
    cells = cells_of(g, grid)
    volts = _volts(v, len(cells))
    if volts.ndim != 1:
        raise DataError("one vector of voltages at a time", code="BAD_SHAPE", fix="call it for each row of v")
    solver = Solver(cells, grid, tol)
    current = solver.cells(volts)
    in_word = np.cumsum(current[:, ::-1], axis=1)[:, ::-1]
    in_bit = np.cumsum(current, axis=0)
    heat = float(np.sum(in_word**2 @ grid.word) + np.sum(grid.bit @ in_bit**2))
    ports = float(volts @ current.sum(axis=1))
    return PowerBalance(ports, float(np.sum(current * solver.voltages(volts))), heat)


def ladder(g: ArrayLike, active: ArrayLike, source: ArrayLike, bit: ArrayLike, volts: float) -> Floats:
    """Currents in A of gated columns, (N,) for active (M,), (B, N) for active (B, M). Exact, O(active rows) a column.

    A row that is active joins source and bit line of every column through its cell; the others are open.

    Args:
        g: (M, N) S. active: nonzero for rows that conduct. source, bit: (M,) ohm as in ``Ladder``. volts: at the end
        of the source lines.

    Raises:
        DataError: BAD_CONDUCTANCE, BAD_SHAPE, BAD_RESISTANCE.
    """
    lines = Ladder(np.asarray(source), np.asarray(bit))
    cells = conductances(g)
    m, n = cells.shape
    on = np.atleast_2d(np.asarray(active)).astype(np.uint8)
    for name, found in (("source", len(lines.source)), ("bit", len(lines.bit)), ("active", on.shape[1])):
        if found != m:
            raise DataError(f"{found} values of {name} for {m} rows", code="BAD_SHAPE", fix="one value for each row")
    out = np.empty((len(on), n))
    kernels.ladder_patterns(cells, on, lines.source, lines.bit, float(volts), np.empty(m, np.int64), np.empty((3, n)),
                            out)
    return out if np.ndim(active) == 2 else out[0]


def conductances(g: ArrayLike) -> Floats:
    """g (M, N) as contiguous float64, checked.

    Raises:
        DataError: BAD_SHAPE, BAD_CONDUCTANCE.
    """
    cells = np.ascontiguousarray(g, np.float64)
    if cells.ndim != 2 or not cells.size:
        raise DataError(f"conductances have shape {cells.shape}", code="BAD_SHAPE", fix="give rows x columns")
    if not (np.isfinite(cells).all() and (cells >= 0).all()):
        raise DataError("a conductance is negative or not finite", code="BAD_CONDUCTANCE", fix="give S, at least 0")
    return cells


def cells_of(g: ArrayLike, grid: Grid) -> Floats:
    """``conductances``, that suit the grid.

    Raises:
        DataError: BAD_SHAPE, BAD_CONDUCTANCE.
    """
    cells = conductances(g)
    if cells.shape != (len(grid.bit), len(grid.word)):
        raise DataError(
            f"{cells.shape[0]} x {cells.shape[1]} cells on a grid of {len(grid.bit)} x {len(grid.word)}",
            code="BAD_SHAPE", fix="one bit segment a row, one word segment a column")
    return cells


def _volts(v: ArrayLike, m: int) -> Floats:
    volts = np.ascontiguousarray(v, np.float64)
    if volts.ndim not in (1, 2) or volts.shape[-1] != m:
        raise DataError(f"voltages of shape {volts.shape} for {m} rows", code="BAD_SHAPE", fix="give (B, M) or (M,)")
    if not np.isfinite(volts).all():
        raise DataError("a voltage is not finite", code="BAD_VOLTAGE", fix="give V")
    return volts


def _ohms(name: str, values: Any) -> Floats:
    ohm = np.ascontiguousarray(values, np.float64)
    if ohm.ndim != 1 or not len(ohm):
        raise DataError(f"{name} has shape {ohm.shape}", code="BAD_SHAPE", fix="one value for each segment")
    if not (np.isfinite(ohm).all() and (ohm >= 0).all()):
        raise DataError(f"a resistance of {name} is negative or not finite", code="BAD_RESISTANCE",
                        fix="give ohm, at least 0")
    return ohm


def _places(what: str, places: ArrayLike, end: int | None) -> Floats:
    at = np.asarray(places, np.float64)
    if at.ndim != 1 or not len(at) or at[0] < 0 or (np.diff(at) <= 0).any() or (end is not None and at[-1] >= end):
        raise DataError(f"the {what} of a block do not ascend within the macro", code="BAD_PLACES",
                        fix="sort them first, and the conductances with them")
    return at


def _below(at: Floats, wires: Wires, rows: int) -> Floats:
    bit = np.diff(at, append=rows) * wires.bit
    bit[-1] += wires.sense
    return bit
