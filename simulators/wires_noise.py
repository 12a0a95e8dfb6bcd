"""Noise of the cells as it arrives at the ends of the columns, through the wires: first order, by adjoint solutions.

A change dG of cell (a, b) moves the current of column k by dG x_ab u_ab: x the voltage across the cell for the given
input, u the same when the sources are 0 and only the end of column k lies 1 V below ground. Hence
variance_k = sum (sigma_ab x_ab u_ab)^2 for cells that deviate independently.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsdk.errors import DataError, ToleranceError
from hwsdk.simulators.kernels_wires import ladder_variance
from hwsdk.simulators.kernels_wires_blocks import row_voltages
from hwsdk.simulators.wires_effective import Rows, one_thread, segment
from hwsdk.simulators.wires_solve import Grid, Ladder, Solver, cells_of, conductances

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
RANKS = (8, 16, 32, 64)
DENSITY = 0.1
"""Share of active rows at which the parts of the other columns are weighed."""
PROBES = (0.02, 0.05, 0.1, 0.3, 1.0)
"""Shares of active rows at which a NoiseModel is held against the exact variance when it is built."""
FLOOR = 0.1
"""Share of the mean variance of the columns below which a column's own is too small to be judged by itself."""
ROOM = 4e8
"""Bytes of transfer matrices up to which responses come from the block chain rather than from one solution a row."""


def noise_variance(g: ArrayLike, grid: Grid, v: ArrayLike, sigma: ArrayLike, tol: float = 1e-10) -> Floats:
    """Variance in A^2 of each column's current, (N,) for v (M,) V or (B, N) for v (B, M): exact to first order.

    One solution an input and one a column.

    Args:
        g, sigma: (M, N) S, conductances and the standard deviation of each.

    Raises:
        As ``solve``.
    """
    cells, spread = cells_of(g, grid), _spread(sigma, grid)
    rows = np.atleast_2d(np.asarray(v, np.float64))
    solver = Solver(cells, grid, tol)
    seen = np.array([solver.voltages(np.ascontiguousarray(x)) * spread for x in rows]).reshape(len(rows), -1) ** 2
    out, none = np.empty((len(rows), cells.shape[1])), np.zeros(len(cells))
    for k, unit in enumerate(np.eye(cells.shape[1])):
        out[:, k] = seen @ solver.voltages(none, unit).ravel() ** 2
    return out if np.ndim(v) == 2 else out[0]


def ladder_noise_variance(g: ArrayLike, active: ArrayLike, lines: Ladder, volts: float, sigma: ArrayLike) -> Floats:
    """Variance in A^2 of the currents of gated columns, (N,) for active (M,): exact to first order.

    Raises:
        DataError: BAD_SHAPE, BAD_CONDUCTANCE.
    """
    cells, spread = conductances(g), conductances(sigma)
    m, n = cells.shape
    on = np.flatnonzero(np.asarray(active))
    if spread.shape != cells.shape or not m == len(np.asarray(active)) == len(lines.bit) == len(lines.source):
        raise DataError("cells, deviations, active rows and segments do not suit each other", code="BAD_SHAPE",
                        fix="give g and sigma (M, N), active (M,), segments of M rows")
    out = np.empty(n)
    ladder_variance(cells, spread, on, len(on), lines.source, lines.bit, float(volts), np.empty((2, m, n)),
                    np.empty((3, n)), np.empty(n), out)
    return out


def noise_covariance(g: ArrayLike, grid: Grid, v: ArrayLike, sigma: ArrayLike, tol: float = 1e-10) -> Floats:
    """Covariance in A^2 between the currents of all columns, (N, N) for v (M,) V: exact to first order.

    A cell that takes more from its row leaves less for the other columns, so they are a little opposed. Sums and
    differences of columns follow from it: s @ covariance @ s.

    Raises:
        As ``solve``.
    """
    cells, spread = cells_of(g, grid), _spread(sigma, grid)
    solver, none = Solver(cells, grid, tol), np.zeros(len(cells))
    seen = (solver.voltages(np.ascontiguousarray(v, np.float64)) * spread).ravel()
    moved = np.array([solver.voltages(none, unit).ravel() * seen for unit in np.eye(cells.shape[1])])
    return np.asarray(moved @ moved.T)


class NoiseModel:
    """``noise_variance`` of one array for any number of inputs, compiled.

    The variance of column k is a quadratic form of the input, kept as sum_a diagonal_ak v_a^2 + sum_s sign_sk
    (sum_a factor_ask v_a)^2: what each row adds by itself, and in a few terms what rows do to each other through the
    lines that they share. Noise of cells in other columns (small: ``cross``) counts with its share at DENSITY. That two
    columns deviate together is left out: see ``noise_covariance``.

    diagonal (M, N), factor (M, R, N), sign (R, N) float32: as ``kernels_wires_blocks.variance_rows`` takes them.
    error: largest relative deviation from the exact variance over probes with PROBES of the rows active (relative to
    at least FLOOR of the mean over columns), checked against ``tolerance`` when built. bound (N,) A^2/V^2: the terms
    left out move the variance of the column's own cells by at most bound |v|^2, for every input. cross (N,): largest
    share of other columns' cells in the probes.
    """

    def __init__(self, g: ArrayLike, grid: Grid, sigma: ArrayLike, *, tolerance: float = 0.01) -> None:
        """Build from g and sigma (M, N) S. Takes memory for (M, N, M) float32 meanwhile.

        Raises:
            DataError: as ``solve``.
            ToleranceError: no number of terms in RANKS meets ``tolerance`` at the probes.
        """
        with one_thread():
            self._build(cells_of(g, grid), grid, _spread(sigma, grid), tolerance)

    def _build(self, cells: Floats, grid: Grid, spread: Floats, tolerance: float) -> None:
        solver = Solver(cells, grid, 1e-9)
        answers = responses(cells, grid)
        probes = _probes(len(cells))
        exact, own = self._weigh(solver, spread, _mean_square(answers), probes)
        self.cross: Floats = np.max(1.0 - np.divide(own, exact, out=np.ones_like(own), where=exact > 0), axis=0)
        forms = [self._form(answers, k) for k in range(cells.shape[1])]
        del answers
        for rank in (r for r in RANKS if r == RANKS[0] or r < len(cells)):
            self._reduce(forms, rank)
            self.error = _deviation(self.variance(probes), exact)
            if self.error <= tolerance:
                return
        raise ToleranceError(
            f"read noise is {self.error:.2e} off with {rank} terms, wanted {tolerance:.0e}",
            where=f"noise model of {len(cells)} x {cells.shape[1]} cells",
            fix="allow a larger tolerance, or use noise_variance for each input")

    def variance(self, v: ArrayLike) -> Floats:
        """Variance in A^2, (B, N) for v (B, M) V."""
        volts = np.asarray(v, np.float64)
        m, ranks, n = self.factor.shape
        mixed = (volts @ self.factor.reshape(m, -1).astype(np.float64)).reshape(-1, ranks, n)
        return np.asarray(np.maximum(0.0, volts**2 @ self.diagonal + np.sum(self.sign * mixed**2, axis=1)))

    def _weigh(self, solver: Solver, spread: Floats, square: Floats, probes: Floats) -> tuple[Floats, Floats]:
        """Weights (N, M) of each column's own cells, others' noise included; exact variance of the probes (P, N), and
        that of each column's own cells.
        """
        m, n = spread.shape
        seen = np.array([(solver.voltages(x) * spread) ** 2 for x in probes])
        self._weights, exact, own = np.empty((n, m)), np.empty((len(probes), n)), np.empty((len(probes), n))
        none = np.zeros(m)
        for k, unit in enumerate(np.eye(n)):
            u2 = solver.voltages(none, unit) ** 2
            exact[:, k] = np.tensordot(seen, u2, 2)
            own[:, k] = seen[:, :, k] @ u2[:, k]
            part = spread**2 * u2
            others = np.sum(part * square, axis=1) - part[:, k] * square[:, k]
            self._weights[k] = part[:, k] + np.divide(others, square[:, k], out=np.zeros(m), where=square[:, k] > 0)
        return exact, own

    def _form(self, answers: Singles, k: int) -> Singles:
        """The quadratic form (M, M) of column k, scaled to a largest diagonal entry of 1."""
        scaled = answers[:, k] * np.sqrt(self._weights[k] / max(self._weights[k].max(), 1e-300))[:, None].astype(
            np.float32)
        return np.asarray(scaled.T @ scaled)

    def _reduce(self, forms: list[Singles], rank: int) -> None:
        """Diagonal and ``rank`` terms of every form."""
        m, n = len(forms[0]), len(forms)
        self.diagonal: Singles = np.empty((m, n), np.float32)
        self.factor: Singles = np.empty((m, rank, n), np.float32)
        self.sign: Singles = np.empty((rank, n), np.float32)
        self.bound: Floats = np.empty(n)
        for k, form in enumerate(forms):
            scale = max(self._weights[k].max(), 1e-300)
            diagonal, values, vectors = _diagonal_and_terms(form, rank)
            self.diagonal[:, k] = diagonal * scale
            self.factor[:, :, k] = vectors * np.sqrt(np.abs(values) * scale)
            self.sign[:, k] = np.sign(values)
            left = form - (vectors * values) @ vectors.T
            left.flat[::m + 1] -= diagonal
            self.bound[k] = scale * float(np.linalg.norm(left))


def responses(g: ArrayLike, grid: Grid) -> Singles:
    """V across every cell per V of every row: (M, N, M) float32, last the row that is driven.

    Raises:
        As ``solve``.
    """
    cells = cells_of(g, grid)
    m, n = cells.shape
    out = np.empty((m, n, m), np.float32)
    if 16.0 * m * n * n > ROOM:
        solver, rows = Solver(cells, grid, 1e-9), np.zeros(m)
        for i in range(m):
            rows[:] = 0.0
            rows[i] = 1.0
            out[:, :, i] = solver.voltages(rows)
        return out
    _bit_nodes(cells, grid, out)
    taken, pulled = np.empty(n), np.empty((n, m))
    for j in range(m):
        row_voltages(cells[j], grid.word, j, taken, pulled, out[j])
    return out


def _bit_nodes(g: Floats, grid: Grid, out: Singles) -> None:
    """V of the bit nodes per V of every row, into out (M, N, M); the chain of ``wires_effective`` back and forth."""
    m, n = g.shape
    rows, seen = Rows(g, grid.word), np.zeros((n, n))
    kept, around, sources = np.empty((m, n, n)), np.empty((m, n, n)), np.empty((m, n))
    for j in range(m):
        own, sources[j] = rows.at(j)
        own += seen
        kept[j], seen = segment(grid.bit[j], own)
    z = np.zeros((n, n))
    for j in range(m - 1, -1, -1):
        z = kept[j] @ z @ kept[j] + grid.bit[j] * kept[j]
        around[j] = z
    carried = np.empty((n, m))
    for j in range(m):
        carried[:, j] = sources[j]
        out[j, :, :j + 1] = around[j] @ carried[:, :j + 1]
        carried[:, :j + 1] = kept[j] @ carried[:, :j + 1]
    for j in range(m - 2, -1, -1):
        out[j, :, j + 1:] = kept[j].astype(np.float32) @ out[j + 1, :, j + 1:]


def _mean_square(answers: Singles) -> Floats:
    """Mean square (M, N) of the cells' voltages when every row is active with probability DENSITY."""
    alone = np.einsum("abi,abi->ab", answers, answers).astype(np.float64)
    together = answers.sum(axis=2, dtype=np.float64)
    return np.asarray(DENSITY * (1 - DENSITY) * alone + DENSITY**2 * together**2)


def _probes(m: int) -> Floats:
    """Inputs of 1 V (P, M), seeded: two for each of PROBES."""
    rng = np.random.default_rng(m)
    probes = np.zeros((2 * len(PROBES), m))
    for k, share in enumerate(np.repeat(PROBES, 2)):
        probes[k, rng.permutation(m)[:max(1, round(share * m))]] = 1.0
    return probes


def _deviation(found: Floats, exact: Floats) -> float:
    """Largest deviation relative to each value, but not to less than FLOOR of the mean over columns."""
    floor = np.maximum(exact, FLOOR * exact.mean(axis=1, keepdims=True))
    return float(np.max(np.abs(np.divide(found - exact, floor, out=np.zeros_like(exact), where=floor > 0))))


def _diagonal_and_terms(form: Singles, rank: int, rounds: int = 4) -> tuple[Singles, Singles, Singles]:
    """diagonal (M,), values (rank,), vectors (M, rank) with form = diag + vectors values vectors^T, nearly.

    Subspace iteration on what the diagonal leaves; the diagonal of the form itself is met exactly.
    """
    m = len(form)
    whole = form.diagonal().copy()
    width = min(m, rank + 8)
    basis = np.random.default_rng(rank).standard_normal((m, width)).astype(np.float32)
    diagonal = whole.copy()
    for _ in range(rounds):
        for _ in range(2):
            basis = np.linalg.qr(form @ basis - diagonal[:, None] * basis)[0]
        small = basis.T @ (form @ basis) - (basis.T * diagonal) @ basis
        values, turn = np.linalg.eigh(0.5 * (small + small.T))
        best = np.argsort(-np.abs(values))[:rank]
        values, vectors = values[best], basis @ turn[:, best]
        diagonal = whole - (vectors**2) @ values
    short = rank - len(values)
    return diagonal, np.pad(values, (0, short)), np.pad(vectors, ((0, 0), (0, short)))


def _spread(sigma: ArrayLike, grid: Grid) -> Floats:
    """sigma as (M, N); a number stands for all cells."""
    shape = (len(grid.bit), len(grid.word))
    return cells_of(np.broadcast_to(np.asarray(sigma, np.float64), shape), grid)
