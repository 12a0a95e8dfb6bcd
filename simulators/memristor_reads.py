"""Single reads of a die: currents, their noise as a run draws it, and noise cell by cell, which is exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsdk.simulators import kernels_memristor_parts as parts
from hwsdk.simulators.kernels_philox import normals
from hwsdk.simulators.kernels_wires import ladder_columns
from hwsdk.simulators.memristor_chip import BlockModel, to_channels
from hwsdk.simulators.memristor_machine import Machine
from hwsdk.simulators.wires import ladder_noise_variance, solve

Floats = NDArray[np.float64]


def currents(m: BlockModel, x: ArrayLike, volts: float) -> Floats:
    """(K) A into the converters for inputs x (R), without noise, summed as a run does."""
    inputs = np.asarray(x, np.float64)
    if m.ladder is not None:
        return _channels(m, through(m, m.siemens, inputs, volts))
    total, row = np.zeros(m.block.channels), 0
    for s in m.block.segments:
        part = np.zeros(m.block.channels)
        for r in np.flatnonzero(inputs[row : row + s.rows]) + row:
            part += m.weight[r] * inputs[r]
        total += part
        row += s.rows
    return total


def variance(m: BlockModel, x: ArrayLike, volts: float) -> Floats:
    """(K) A^2: of the read noise of a run for inputs x (R)."""
    inputs, found = np.asarray(x, np.float64), np.zeros(m.block.channels)
    if m.ladder is not None:
        p = m.physical
        np.add.at(found, m.block.channel, ladder_noise_variance(m.siemens[p], inputs[p], m.ladder, volts, m.sigma[p]))
        return found * m.gain**2
    if m.variance is not None:
        found += inputs**2 @ m.variance
    if m.forms is not None:
        form, sign = (a.astype(np.float64) for a in m.forms)
        by_term = np.tensordot(inputs, form[:, :-1], 1)
        own = inputs**2 @ form[:, -1] + np.sum(sign * by_term**2, axis=0)
        np.add.at(found, m.block.channel, np.maximum(own, 0.0))
    return found


def draws(machine: Machine, block: int, *, sample: int, step: int, use: int = 0, piece: int = 0) -> Floats:
    """(K) standard normal numbers of any one read, as a run has them. piece: slice of the input."""
    own, key = machine.net.blocks[block], machine.net.key
    n = int(own[parts.CHANNELS])
    first, found = int(own[parts.UNIT_AT]) + (use * parts.SLICES + piece) * n, np.empty(n + 1)
    for k in range(0, n, 2):
        found[k : k + 2] = normals(key[0], key[1], sample, step, np.uint64(first + k))
    return found[:n]


def noisy(m: BlockModel, x: ArrayLike, volts: float, drawn: Floats) -> Floats:
    """(K) A of one read with the standard normal numbers ``draws``."""
    return currents(m, x, volts) + np.sqrt(variance(m, x, volts)) * drawn


def exact(m: BlockModel, x: ArrayLike, volts: float, n: int, rng: np.random.Generator) -> Floats:
    """(n, K) A of n reads whose noise is drawn cell by cell and goes through the wires without approximation.

    One solution of the wires a read and group of columns; driven rows, whose solution asks for it, have no cell below
    0 S. rng: not the stream of a run.
    """
    inputs = np.asarray(x, np.float64)
    found = np.empty((n, m.block.channels))
    for k in range(n):
        g = m.siemens + m.sigma * rng.standard_normal(m.siemens.shape)
        g = g if m.ladder is not None else np.maximum(g, 0.0)
        found[k] = _channels(m, through(m, g, inputs, volts))
    return found


def through(m: BlockModel, g: Floats, x: Floats, volts: float) -> Floats:
    """(C) A of the columns for conductances g (R, C) S and inputs x (R), by a solution of the wires."""
    if m.ladder is not None:
        on, c = np.flatnonzero(x[m.physical]), g.shape[1]
        out: Floats = np.empty(c)
        ladder_columns(g[m.physical], on, len(on), m.ladder.source, m.ladder.bit, volts, np.empty((3, c)), out)
        return out
    found = volts * (x @ g)
    for group in m.groups:
        found[group.columns] = solve(g[np.ix_(group.rows, group.columns)], volts * x[group.rows], group.grid)
    return found


def _channels(m: BlockModel, by_column: Floats) -> Floats:
    """(C) A of columns -> (K) A into the converters."""
    found: Floats = to_channels(m.block, by_column[None])[0] * m.gain
    return found
