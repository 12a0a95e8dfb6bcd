"""Numba kernels of effective matrices of crossbars and of noise through wires: rows as blocks, and quadratic forms."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

from hwsdk.simulators.kernels_sync import kernel


@kernel
def row_admittance(g: Any, word: Any, taken: Any, reach: Any, admittance: Any, from_source: Any) -> None:
    """One row as its bit nodes see it: current into the bit lines = from_source v - admittance b.

    g (N) S, word (N) ohm of the segments; taken, reach (N) scratch; admittance (N, N), from_source (N) S: the results.
    Every entry is a sum of terms of one sign (the diagonal follows from the row sums), so none loses digits.
    """
    n = len(g)
    beyond = 0.0
    for k in range(n - 1, -1, -1):
        y = g[k] + beyond
        taken[k] = 1.0 / (1.0 + word[k] * y)
        beyond = y * taken[k]
    passed = 1.0
    for k in range(n):
        passed *= taken[k]
        from_source[k] = g[k] * passed
    for k in range(n):
        admittance[k, k] = from_source[k]
    for k in range(n):
        reach[k] = 0.0
    for k in range(n):
        # reach[c]: V of word node k per V of bit node c, for c > k; the other half follows by symmetry
        share = 1.0
        t, w = taken[k], taken[k] * word[k]
        for c in range(k + 1, n):
            share *= taken[c]
            reach[c] = t * reach[c] + w * g[c] * share
        for c in range(k + 1, n):
            mutual = g[k] * reach[c]
            admittance[k, c] = -mutual
            admittance[c, k] = -mutual
            admittance[k, k] += mutual
            admittance[c, c] += mutual


@kernel
def through(size: float, transfer: Any, ahead: Any) -> None:
    """transfer (N, N), of which the lower triangle is given: mirror it; ahead = (1 - transfer) / size."""
    n = transfer.shape[0]
    for k in range(n):
        for c in range(k + 1):
            transfer[c, k] = transfer[k, c]
    for k in range(n):
        for c in range(n):
            ahead[k, c] = -transfer[k, c] / size
        ahead[k, k] = (1.0 - transfer[k, k]) / size


@kernel
def row_voltages(g: Any, word: Any, row: int, taken: Any, pulled: Any, bits: Any) -> None:
    """Turn V of a row's bit nodes into V across its cells, for many inputs: input ``row`` drives the row with 1 V.

    g, word (N); taken (N), pulled (N, B) scratch; bits (N, B) float32: overwritten with the result.
    """
    n, many = bits.shape
    beyond = 0.0
    for k in range(n - 1, -1, -1):
        y = g[k] + beyond
        for i in range(many):
            pulled[k, i] = g[k] * bits[k, i]
            if k + 1 < n:
                pulled[k, i] += taken[k + 1] * pulled[k + 1, i]
        taken[k] = 1.0 / (1.0 + word[k] * y)
        beyond = y * taken[k]
    for k in range(n):
        for i in range(many):
            before = pulled[k - 1, i] if k > 0 else (1.0 if i == row else 0.0)
            pulled[k, i] = taken[k] * (before + word[k] * pulled[k, i])
            bits[k, i] = pulled[k, i] - bits[k, i]


@kernel
def variance_rows(active: Any, n_active: int, volts: float, diagonal: Any, factor: Any, sign: Any, state: Any,
                  out: Any) -> None:
    """Variance in A^2 of every column when the ``active`` rows are at ``volts`` and the others are grounded.

    diagonal (M, N), factor (M, R, N), sign (R, N) float32 as in NoiseModel; state (R + 1, N) float32 scratch; out (N).
    """
    state[:, :] = 0.0
    ranks, n = sign.shape
    for i in range(n_active):
        j = active[i]
        for s in range(ranks):
            for k in range(n):
                state[s, k] += factor[j, s, k]
        for k in range(n):
            state[ranks, k] += diagonal[j, k]
    for s in range(ranks):
        for k in range(n):
            state[ranks, k] += sign[s, k] * state[s, k] * state[s, k]
    for k in range(n):
        out[k] = max(0.0, state[ranks, k]) * volts * volts
