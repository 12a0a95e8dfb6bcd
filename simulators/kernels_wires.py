"""Numba kernels of a crossbar with wires: conjugate gradients on the cells' currents, and ladders of gated columns.

M rows, N columns. right (N): ohm from a row's source to its node at each column; down (M): ohm from a column's node at
each row to the end where it is sensed. A current of cell (j, k) lowers the word line at column c by
right[min(k, c)] and raises the bit line at row r by down[max(j, r)] for every ampere: these are K_w and K_b.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.simulators.kernels_sync import inner, kernel

RESTARTS = 4
"""Times that the solver begins again from the true residual before it gives up."""


@inner
def _word(u: Any, right: Any, before: Any, out: Any) -> None:
    """out = K_w u in one row: from the left what lies before, from the right what passes through.

    Two sums that wait for nothing but themselves run side by side. before (N): scratch.
    """
    n = len(u)
    near = 0.0
    through = 0.0
    for k in range(n):
        c = n - 1 - k
        before[k] = near
        near += right[k] * u[k]
        through += u[c]
        out[c] = right[c] * through
    for k in range(n):
        out[k] += before[k]


@inner
def _apply(beta: float, a: Any, d: Any, right: Any, down: Any, r: Any, p: Any, q: Any, scratch: Any) -> float:
    """p = r + beta p; q = (diag(d) + a K a) p; p.q. scratch (4, N)."""
    m, n = a.shape
    u, drop, column, before = scratch[0], scratch[1], scratch[2], scratch[3]
    column[:] = 0.0
    for j in range(m):
        aj, pj, qj, dj, rj, below = a[j], p[j], q[j], d[j], r[j], down[j]
        for k in range(n):
            pj[k] = rj[k] + beta * pj[k]
            u[k] = aj[k] * pj[k]
        _word(u, right, before, drop)
        for k in range(n):
            column[k] += u[k]
            qj[k] = dj[k] * pj[k] + aj[k] * (drop[k] + below * column[k])
    column[:] = 0.0
    u[:] = 0.0
    for j in range(m - 1, -1, -1):
        aj, pj, qj, below = a[j], p[j], q[j], down[j]
        for k in range(n):
            qj[k] += aj[k] * column[k]
            u[k] += pj[k] * qj[k]
            column[k] += below * (aj[k] * pj[k])
    total = 0.0
    for k in range(n):
        total += u[k]
    return total


@inner
def _advance(step: float, p: Any, q: Any, z: Any, r: Any, row: Any) -> float:
    """z += step p, r -= step q; r.r."""
    m, n = p.shape
    row[:] = 0.0
    for j in range(m):
        pj, qj, zj, rj = p[j], q[j], z[j], r[j]
        for k in range(n):
            zj[k] += step * pj[k]
            rj[k] -= step * qj[k]
            row[k] += rj[k] * rj[k]
    total = 0.0
    for k in range(n):
        total += row[k]
    return total


@inner
def _norm(r: Any, d: Any) -> float:
    """Squared residual of the system that is not scaled: sum of r^2 / d."""
    total = 0.0
    for j in range(r.shape[0]):
        for k in range(r.shape[1]):
            total += r[j, k] * r[j, k] / d[j, k]
    return total


@inner
def _begin(g: Any, right: Any, down: Any, rows: Any, columns: Any, a: Any, d: Any, z: Any, r: Any) -> float:
    """Scale by the diagonal (Jacobi), z = 0, r = right side; its squared norm before scaling."""
    total = 0.0
    for j in range(g.shape[0]):
        for k in range(g.shape[1]):
            d[j, k] = 1.0 / (1.0 + g[j, k] * (right[k] + down[j]))
            a[j, k] = np.sqrt(g[j, k] * d[j, k])
            e = rows[j] + columns[k]
            z[j, k] = 0.0
            r[j, k] = a[j, k] * e
            total += g[j, k] * e * e
    return total


@inner
def _true_residual(a: Any, d: Any, right: Any, down: Any, rows: Any, columns: Any, z: Any, r: Any, p: Any,
                   scratch: Any) -> float:
    """r = right side - operator z, computed anew; r.r. p: overwritten with z."""
    p[:, :] = 0.0
    _apply(0.0, a, d, right, down, z, p, r, scratch)
    total = 0.0
    for j in range(a.shape[0]):
        for k in range(a.shape[1]):
            r[j, k] = a[j, k] * (rows[j] + columns[k]) - r[j, k]
            total += r[j, k] * r[j, k]
    return total


@inner
def _descend(a: Any, d: Any, right: Any, down: Any, z: Any, r: Any, p: Any, q: Any, scratch: Any, rr: float,
             goal: float, left: int) -> int:
    """Conjugate gradients from residual r until its unscaled squared norm is ``goal``; iterations used."""
    limit, beta, used = goal, 0.0, 0
    while used < left:
        if rr <= limit:
            unscaled = _norm(r, d)
            if unscaled <= goal:
                return used
            limit = 0.5 * rr * goal / unscaled
        step = rr / _apply(beta, a, d, right, down, r, p, q, scratch)
        new = _advance(step, p, q, z, r, scratch[0])
        beta, rr = new / rr, new
        used += 1
        if rr == 0.0:
            return used
    return used


@kernel
def currents(g: Any, right: Any, down: Any, rows: Any, columns: Any, tol: float, most: int, work: Any, scratch: Any,
             per_cell: Any) -> tuple[float, int]:
    """The current of every cell, by conjugate gradients on sqrt(G)-scaled currents with the Jacobi preconditioner.

    Args:
        g: (M, N) S. right (N), down (M): ohm. rows (M): V of the row sources. columns (N): V by which the end of each
        column lies below ground. tol: wanted |residual| / |right side|. most: iterations. work (6, M, N), scratch
        (4, N): overwritten. per_cell (M, N): the result in A.

    Returns:
        |residual| / |right side|, computed anew from the solution (0 for a right side of 0), and iterations.
    """
    a, d, z, r, p, q = work[0], work[1], work[2], work[3], work[4], work[5]
    size = _begin(g, right, down, rows, columns, a, d, z, r)
    goal, used, missed = tol * tol * size, 0, size
    rr = 0.0
    for j in range(g.shape[0]):
        for k in range(g.shape[1]):
            p[j, k] = 0.0
            rr += r[j, k] * r[j, k]
    for _ in range(RESTARTS):
        if size == 0.0 or not rr > 0.0:
            break
        used += _descend(a, d, right, down, z, r, p, q, scratch, rr, 0.25 * goal, most - used)
        rr = _true_residual(a, d, right, down, rows, columns, z, r, p, scratch)
        missed = _norm(r, d)
        if missed <= goal or used >= most:
            break
    for j in range(g.shape[0]):
        for k in range(g.shape[1]):
            per_cell[j, k] = a[j, k] * z[j, k]
    return (np.sqrt(missed / size) if size > 0.0 else 0.0), used


@kernel
def sums(per_cell: Any, by_column: Any, by_row: Any) -> None:
    """Currents of the columns (N) and of the rows (M)."""
    by_column[:] = 0.0
    for j in range(per_cell.shape[0]):
        total = 0.0
        for k in range(per_cell.shape[1]):
            by_column[k] += per_cell[j, k]
            total += per_cell[j, k]
        by_row[j] = total


@kernel
def drops(per_cell: Any, right: Any, down: Any, scratch: Any, out: Any) -> None:
    """out (M, N) = K i: V that the wires take from every cell when the cells carry ``per_cell`` A."""
    m, n = per_cell.shape
    drop, column, before = scratch[1], scratch[2], scratch[3]
    column[:] = 0.0
    for j in range(m):
        _word(per_cell[j], right, before, drop)
        for k in range(n):
            column[k] += per_cell[j, k]
            out[j, k] = drop[k] + down[j] * column[k]
    column[:] = 0.0
    for j in range(m - 1, -1, -1):
        for k in range(n):
            out[j, k] += column[k]
            column[k] += down[j] * per_cell[j, k]


@kernel
def ladder_columns(g: Any, active: Any, n_active: int, source: Any, bit: Any, volts: float, state: Any,
                   out: Any) -> None:
    """Currents in A out of gated columns: out (N).

    Args:
        g: (M, N) S of their cells. active: the rows that conduct, ascending; n_active: how many. source (M): ohm of the
        source-line segment above each row (row 0: to the driver), bit (M): of the bit-line segment below each row
        (last row: to the sense end). volts: of the driver. state (3, N): scratch.

    Walks from the sense end up, all columns in step. Below a row a column is a two-port; seen from its source and bit
    node: y the current into the cells per V between the nodes, u the share of the total current that already runs in
    the bit line, f the ohm it meets there. All terms are positive for positive g: nothing cancels.
    """
    if n_active == 0:
        out[:] = 0.0
        return
    y, u, f = state[0], state[1], state[2]
    last = active[n_active - 1]
    b = 0.0
    for j in range(last, len(bit)):
        b += bit[j]
    for k in range(g.shape[1]):
        y[k] = g[last, k]
        u[k] = 1.0
        f[k] = b
    for n in range(n_active - 2, -1, -1):
        here, after = active[n], active[n + 1]
        s, b = 0.0, 0.0
        for j in range(here, after):
            s += source[j + 1]
            b += bit[j]
        row = g[here]
        for k in range(len(row)):
            share = 1.0 / (1.0 + (s + b) * y[k])
            w = 1.0 - u[k]
            f[k] += (s * b * y[k] + s * w * w + b * u[k] * u[k]) * share
            u[k] = (s * y[k] + u[k]) * share
            y[k] = row[k] + y[k] * share
    s = 0.0
    for j in range(active[0] + 1):
        s += source[j]
    for k in range(g.shape[1]):
        out[k] = volts * y[k] / ((s + f[k]) * y[k] + u[k] * u[k])


@kernel
def ladder_patterns(g: Any, patterns: Any, source: Any, bit: Any, volts: float, active: Any, state: Any,
                    out: Any) -> None:
    """``ladder_columns`` for every row of patterns (B, M): out (B, N). active (M) int64, state (3, N): scratch."""
    for s in range(patterns.shape[0]):
        n = 0
        for j in range(patterns.shape[1]):
            if patterns[s, j] != 0:
                active[n] = j
                n += 1
        ladder_columns(g, active, n, source, bit, volts, state, out[s])


@kernel
def ladder_variance(g: Any, sigma: Any, active: Any, n_active: int, source: Any, bit: Any, volts: float, kept: Any,
                    state: Any, current: Any, out: Any) -> None:
    """``ladder_columns``, and its first-order variance in A^2 for independent deviations of standard deviation sigma.

    The total conductance of a column changes by (d / volts)^2 for a change of the cell with d V across it.
    g, sigma (M, N) S; kept (2, n_active or more, W), state (3, W) scratch for W columns at a time, few enough for a
    near cache; current, out (N).
    """
    n, width = g.shape[1], kept.shape[2]
    current[:] = 0.0
    out[:] = 0.0
    if n_active == 0:
        return
    for first in range(0, n, width):
        stop = min(first + width, n)
        y, f, d = state[0, : stop - first], state[1, : stop - first], state[2, : stop - first]
        _ladder_up(g, active, n_active, source, bit, first, kept, y, f)
        s, u, now = 0.0, kept[1, 0], current[first:stop]
        for j in range(active[0] + 1):
            s += source[j]
        for k in range(len(y)):
            whole = (s + f[k]) * y[k] + u[k] * u[k]
            now[k] = volts * y[k] / whole
            y[k] /= whole
            d[k] = u[k] / whole
        _ladder_down(sigma, active, n_active, source, bit, first, volts, kept, y, d, out[first:stop])


@inner
def _ladder_up(g: Any, active: Any, n_active: int, source: Any, bit: Any, first: int, kept: Any, y: Any, f: Any,
               ) -> None:
    """The walk of ``ladder_columns`` over the columns from ``first`` on; in kept, of each active row: its share, and u.
    """
    last, stop = active[n_active - 1], first + len(y)
    b = 0.0
    for j in range(last, len(bit)):
        b += bit[j]
    row, u = g[last, first:stop], kept[1, n_active - 1]
    for k in range(len(y)):
        y[k], u[k], f[k] = row[k], 1.0, b
    for i in range(n_active - 2, -1, -1):
        here, after = active[i], active[i + 1]
        s, b = 0.0, 0.0
        for j in range(here, after):
            s += source[j + 1]
            b += bit[j]
        row, shares, u, new = g[here, first:stop], kept[0, i + 1], kept[1, i + 1], kept[1, i]
        for k in range(len(y)):
            share = 1.0 / (1.0 + (s + b) * y[k])
            w = 1.0 - u[k]
            f[k] += (s * b * y[k] + s * w * w + b * u[k] * u[k]) * share
            new[k] = (s * y[k] + u[k]) * share
            y[k] = row[k] + y[k] * share
            shares[k] = share


@inner
def _ladder_down(sigma: Any, active: Any, n_active: int, source: Any, bit: Any, first: int, volts: float, kept: Any,
                 total: Any, d: Any, out: Any) -> None:
    """The way back: d of row after row, and what the cells' deviations make of it. total: A of a column per V."""
    stop = first + len(d)
    for i in range(n_active):
        row = sigma[active[i], first:stop]
        if i > 0:
            s, b = 0.0, 0.0
            for j in range(active[i - 1], active[i]):
                s += source[j + 1]
                b += bit[j]
            shares, u = kept[0, i], kept[1, i]
            for k in range(len(d)):
                d[k] = (d[k] + ((s + b) * u[k] - s) * total[k]) * shares[k]
        for k in range(len(d)):
            moved = row[k] * d[k] * d[k] * volts
            out[k] += moved * moved
