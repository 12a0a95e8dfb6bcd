"""Reads of columns whose cells are switched by the rows: exact ladders of source line, cells and bit line."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

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
    VARIANCE,
    VOLTS,
)
from hwsdk.simulators.kernels_sync import inner
from hwsdk.simulators.kernels_wires import ladder_columns, ladder_variance


@inner
def ladders(net: Any, run: Any, b: int, rows: Any, n: int) -> None:
    """Currents of the columns, in ``run.columns[3]``, and of the channels for the rows that are on; with read noise
    also the channels' variances to first order, columns being independent of each other.
    """
    block = net.blocks[b]
    r, c, at, first = block[ROWS], block[COLUMNS], block[ROW_AT], block[CELL_AT]
    on, found, spread = run.on[0], run.columns[3, :c], run.columns[4, :c]
    by_rank(net.rank[at : at + r], rows, n, on, run.on[1])
    siemens, source, bit = net.cells[0, first : first + r * c].reshape(r, c), net.lines[0], net.lines[1]
    if block[NOISY]:
        ladder_variance(siemens, net.cells[1, first : first + r * c].reshape(r, c), on, n, source[at : at + r],
                        bit[at : at + r], net.amounts[VOLTS], run.kept, run.columns, found, spread)
    else:
        ladder_columns(siemens, on, n, source[at : at + r], bit[at : at + r], net.amounts[VOLTS], run.columns[:3, :c],
                       found)
    to_channels(net, run, b, found, spread)


@inner
def to_channels(net: Any, run: Any, b: int, found: Any, spread: Any) -> None:
    """Currents of the channels and their variances from those of the columns, as the converters' gain leaves them."""
    block = net.blocks[b]
    current, variance = run.currents[RAW, : block[CHANNELS]], run.currents[VARIANCE, : block[CHANNELS]]
    current[:] = 0.0
    variance[:] = 0.0
    for m in range(len(found)):
        k = net.columns[0, block[COLUMN_AT] + m]
        current[k] += net.columns[1, block[COLUMN_AT] + m] * found[m]
        variance[k] += spread[m]
    for k in range(len(current)):
        gain = net.converters[GAIN, block[CHANNEL_AT] + k]
        current[k] *= gain
        variance[k] *= gain * gain


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
