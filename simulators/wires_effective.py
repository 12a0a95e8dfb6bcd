"""The effective matrix of a wired crossbar: built once, then a product with a vector of voltages is exact.

The array is a chain of blocks, one a row (or, seen from the other side, one a column). Walking along the chain, what
lies behind is an admittance at the N nodes of the line that crosses: S = own row + what came through the last segment,
P = (1 + r S)^-1 the transfer over a segment, S P what the next one sees. The shorter side makes the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import dgemm
from scipy.linalg.lapack import dpotrf, dpotri
from threadpoolctl import threadpool_limits

from hwsdk.errors import DataError, InternalError
from hwsdk.simulators import kernels_wires_blocks as blocks
from hwsdk.simulators.kernels_wires import sums
from hwsdk.simulators.wires_solve import Grid, Solver, cells_of

Floats = NDArray[np.float64]
SMALL = 1e-3
"""Below this r S the next admittance is computed as S P, above as (1 - P) / r, which loses digits for small r S."""
METHODS = ("blocks", "cg")
NONE = np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class Effective:
    """What a wired array computes. currents (N, M) S: A at the ends of the columns = currents @ v. drivers (M, M) S,
    symmetric: A that the rows' sources give = drivers @ v, so v @ drivers @ v is the power in W; (0, 0) if it was not
    asked for.
    """

    currents: Floats
    drivers: Floats

    def watts(self, v: ArrayLike) -> Floats:
        """Power in W of each input, (B,) for v (B, M) V.

        Raises:
            DataError: NO_DRIVERS if the matrix was built without them.
        """
        if not self.drivers.size:
            raise DataError("the matrix was built without driver currents", code="NO_DRIVERS", fix="drivers=True")
        volts = np.atleast_2d(np.asarray(v, np.float64))
        return np.asarray(np.einsum("bi,bi->b", volts @ self.drivers, volts))


def effective(g: ArrayLike, grid: Grid, *, drivers: bool = True, method: str = "blocks",
              tol: float = 1e-12) -> Effective:
    """Build the matrices of an array, g (M, N) S.

    blocks: exact block recursion in BLAS, about max(M, N) min(M, N)^3 operations a few times; memory (M, N), and with
    drivers of fewer columns than rows also (M, N, N). cg: one conjugate gradient solution of accuracy ``tol`` for each
    row (without drivers for each of the shorter side's lines), with next to no memory; for sides above 2,000.

    Raises:
        DataError: BAD_SHAPE, BAD_CONDUCTANCE, BAD_METHOD. ToleranceError: with "cg", as ``solve``.
    """
    cells = cells_of(g, grid)
    if method not in METHODS:
        raise DataError(f"no method {method}", code="BAD_METHOD", fix=f"one of {', '.join(METHODS)}")
    if method == "cg":
        return _by_solutions(cells, grid, drivers, tol)
    with one_thread():
        return _by_blocks(cells, grid, drivers)


def one_thread() -> threadpool_limits:
    """BLAS on one thread. The blocks are too small for more: beside other load the threads of OpenBLAS spin for each
    other, and it takes many times as long.
    """
    return threadpool_limits(1, "blas")


def _by_blocks(cells: Floats, grid: Grid, drivers: bool) -> Effective:
    """The chain from the side that makes smaller blocks, or from the other where that gives the drivers for less."""
    m, n = cells.shape
    if n <= m and (not drivers or 5 * n * n < m * m):
        currents, near, _ = _chain(cells, grid.word, grid.bit, drivers)
        return Effective(currents, near)
    # from the ends of the columns the array looks the same: reciprocity
    turned = np.ascontiguousarray(cells[::-1, ::-1].T)
    back, _, end = _chain(turned, grid.bit[::-1].copy(), grid.word[::-1].copy(), False)
    currents = np.ascontiguousarray(back[::-1, ::-1].T)
    return Effective(currents, np.ascontiguousarray(end[::-1, ::-1]) if drivers else NONE)


def _chain(g: Floats, word: Floats, bit: Floats, near: bool) -> tuple[Floats, Floats, Floats]:
    """Walk the rows of g (M, N): transfer (N, M) from sources to ends, admittance of the sources (M, M), or (0, 0) if
    not ``near``, and of the ends (N, N).
    """
    m, n = g.shape
    carried = np.zeros((n, m), order="F")
    kept = np.empty((m, n, n)) if near else None
    rows = Rows(g, word)
    seen = np.zeros((n, n))
    for j in range(m):
        own, source = rows.at(j)
        own += seen
        transfer, seen = segment(bit[j], own)
        carried[:, j] = source
        if kept is not None:
            kept[j] = transfer
        elif bit[j] > 0.0:
            carried[:, :j + 1] = dgemm(1.0, transfer, carried[:, :j + 1])
    if kept is None:
        return np.ascontiguousarray(carried), NONE, seen
    return *_sources(rows, kept, bit, carried), seen


def _sources(rows: Rows, kept: Floats, bit: Floats, carried: Floats) -> tuple[Floats, Floats]:
    """Transfer (N, M) and the sources' own admittance (M, M).

    z: V at a row's nodes per A into them, with all of the array around: z = P (r + z_below P). What source i gives for
    1 V of source i' < i is - source_i z_i P_(i-1) .. P_i' source_i'.
    """
    m, n = rows.g.shape
    answer, z, own = np.empty((m, n)), np.zeros((n, n)), carried.sum(axis=0)
    for j in range(m - 1, -1, -1):
        z = kept[j] @ z @ kept[j] + bit[j] * kept[j]
        answer[j] = z @ carried[:, j]
    out = np.empty((m, m))
    for j in range(m):
        out[j, :j + 1] = -(answer[j] @ carried[:, :j + 1])
        out[j, j] += own[j]
        if bit[j] > 0.0:
            carried[:, :j + 1] = dgemm(1.0, kept[j], carried[:, :j + 1])
    lower = np.tril(out)
    return np.ascontiguousarray(carried), lower + np.tril(out, -1).T


class Rows:
    """The rows of an array as admittances of their bit nodes, in the same memory."""

    def __init__(self, g: Floats, word: Floats) -> None:
        n = g.shape[1]
        self.g, self._word = g, word
        (self._taken, self._reach, self._source), self._admittance = np.empty((3, n)), np.empty((n, n))

    def at(self, j: int) -> tuple[Floats, Floats]:
        """Row j: (N, N) and (N,), overwritten by the next call."""
        blocks.row_admittance(self.g[j], self._word, self._taken, self._reach, self._admittance, self._source)
        return self._admittance, self._source


def segment(ohm: float, seen: Floats) -> tuple[Floats, Floats]:
    """Over a segment of all lines: transfer P = (1 + r S)^-1, and the admittance S P behind it."""
    if ohm == 0.0:
        return np.eye(len(seen)), seen.copy()
    total = seen * ohm
    small = total.diagonal().max() < SMALL
    total.flat[::len(seen) + 1] += 1.0
    factor, failed = dpotrf(total.T, lower=0, overwrite_a=1, clean=0)
    transfer, singular = dpotri(factor, lower=0, overwrite_c=1)
    if failed or singular:
        raise InternalError("the admittance of a crossbar is not positive definite")
    transfer, ahead = np.ascontiguousarray(transfer.T), np.empty_like(seen)
    blocks.through(ohm, transfer, ahead)
    if small:
        ahead = seen @ transfer
        ahead = 0.5 * (ahead + ahead.T)
    return transfer, ahead


def _by_solutions(g: Floats, grid: Grid, drivers: bool, tol: float) -> Effective:
    """One conjugate gradient solution for each unit input, or, if that is less, for each column's end (adjoint)."""
    m, n = g.shape
    solver, by_column, by_row = Solver(g, grid, tol), np.empty(n), np.empty(m)
    currents, given, none = np.empty((n, m)), np.empty((m, m)), np.zeros(m)
    if not drivers and n < m:
        for k, unit in enumerate(np.eye(n)):
            sums(solver.cells(none, unit), by_column, currents[k])
        return Effective(currents, NONE)
    for j in range(m):
        none[:] = 0.0
        none[j] = 1.0
        sums(solver.cells(none), by_column, by_row)
        currents[:, j], given[j] = by_column, by_row
    return Effective(currents, 0.5 * (given + given.T) if drivers else NONE)
