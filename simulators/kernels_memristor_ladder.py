"""Reads of columns whose cells are switched by the rows: exact ladders of source line, cells and bit line."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.simulators.kernels_memristor_parts import (
    CELL_AT,
    CHANNEL_AT,
    CHANNELS,
    COLUMN_AT,
    COLUMNS,
    GAIN,
    NOISY,
    RAW,
    ROW_AT,
    ROWS,
    VOLTS,
)
from hwsdk.simulators.kernels_philox import normals
from hwsdk.simulators.kernels_sync import inner
from hwsdk.simulators.kernels_wires import ladder_columns


@inner
def ladders(net: Any, run: Any, b: int, unit: Any, t: int, rows: Any, n: int) -> None:
    """Currents of the columns, in ``run.columns[3]``, and of the channels for the rows that are on.

    Read noise is drawn for every cell that conducts: a ladder is not linear in its conductances.
    """
    block = net.blocks[b]
    r, c, at, first = block[ROWS], block[COLUMNS], block[ROW_AT], block[CELL_AT]
    on = run.on[0]
    by_rank(net.rank[at : at + r], rows, n, on, run.on[1])
    siemens = net.cells[0, first : first + r * c].reshape(r, c)
    if block[NOISY]:
        sigma, siemens_now = net.cells[1, first : first + r * c].reshape(r, c), run.cells[: r * c].reshape(r, c)
        disturb(net.key, run.sample, t, unit, siemens, sigma, on, n, siemens_now)
        siemens = siemens_now
    ladder_columns(siemens, on, n, net.lines[0, at : at + r], net.lines[1, at : at + r], net.amounts[VOLTS],
                   run.columns[:3, :c], run.columns[3, :c])
    current = run.currents[RAW, : block[CHANNELS]]
    current[:] = 0.0
    for m in range(c):
        current[net.columns[0, block[COLUMN_AT] + m]] += net.columns[1, block[COLUMN_AT] + m] * run.columns[3, m]
    for k in range(len(current)):
        current[k] *= net.converters[GAIN, block[CHANNEL_AT] + k]


@inner
def by_rank(rank: Any, rows: Any, n: int, on: Any, mark: Any) -> None:
    """on: physical places of the first n rows among those of the block, ascending; mark: 0 before and after."""
    for i in range(n):
        mark[rank[rows[i]]] = 1
    m = 0
    for j in range(len(rank)):
        if mark[j]:
            on[m], mark[j] = j, 0
            m += 1


@inner
def disturb(key: Any, sample: int, t: int, unit: Any, siemens: Any, sigma: Any, on: Any, n: int, found: Any) -> None:
    """found (rows, columns) S: the cells that are on in one read, with noise. It is not cut at 0 S, as a cut would make
    weak cells stronger on average; elsewhere noise is Gaussian, too.
    """
    c = siemens.shape[1]
    for i in range(n):
        j = on[i]
        for k in range(0, c, 2):
            one, two = normals(key[0], key[1], sample, t, unit + np.uint64(j * c + k))
            found[j, k] = siemens[j, k] + sigma[j, k] * one
            if k + 1 < c:
                found[j, k + 1] = siemens[j, k + 1] + sigma[j, k + 1] * two
