"""Numba kernels: one step of the neurons of a slice. Float32, every operation rounded, none fused.

As in kernels.py, every loop over neurons writes at most two arrays, so that LLVM makes vector code of it.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.simulators.kernels_sync import inner, stay_apart

Floats = NDArray[np.float32]
ONE, NONE = np.float32(1), np.float32(0)


class Cells(NamedTuple):
    """All N neurons (and senders, which have zeros), float32 (N,). lif: decay_u, decay_v, bias, reset_by, and theta,
    above which they fire: the float below where they also fire at the threshold, infinite where they never do.
    subtracts uint8, rest int32: steps of rest after a spike. egru float32 (5, N or 0): theta, bias_z, bias_r, bias_x,
    bias_h.
    """

    decay_u: Floats
    decay_v: Floats
    bias: Floats
    theta: Floats
    reset_by: Floats
    subtracts: NDArray[np.uint8]
    rest: NDArray[np.int32]
    egru: Floats


class States(NamedTuple):
    """u and v (N,) float32, v of an EGRU being its h; left int32 (N,): steps of rest to come; flags uint8 (N,): which
    fire; event float32 (N or 0): what an EGRU's event carries.
    """

    u: Floats
    v: Floats
    left: NDArray[np.int32]
    flags: NDArray[np.uint8]
    event: Floats


@inner
def _currents(u: Any, decay: Any, a: Any) -> None:
    """u <- decay u + a and a <- 0."""
    stay_apart()
    for i in range(len(u)):
        u[i] = decay[i] * u[i] + np.float32(a[i])
        a[i] = 0


@inner
def _membranes(v: Any, decay: Any, u: Any, bias: Any) -> None:
    """v <- (decay v + u) + bias."""
    stay_apart()
    for i in range(len(v)):
        v[i] = ((decay[i] * v[i]) + u[i]) + bias[i]


@inner
def _membranes_not_at_rest(v: Any, decay: Any, u: Any, bias: Any, left: Any) -> None:
    """The same where no rest is left."""
    stay_apart()
    for i in range(len(v)):
        new = ((decay[i] * v[i]) + u[i]) + bias[i]
        v[i] = v[i] if left[i] > 0 else new


@inner
def _above(v: Any, theta: Any, flags: Any) -> None:
    """flags <- v > theta."""
    stay_apart()
    for i in range(len(v)):
        flags[i] = v[i] > theta[i]


@inner
def _wake(left: Any, flags: Any) -> None:
    """No flags where some rest is left; one step less of it."""
    stay_apart()
    for i in range(len(left)):
        flags[i] = flags[i] & np.uint8(left[i] <= 0)
        left[i] = max(left[i] - 1, 0)


@inner
def _collect(flags: Any, fired: Any) -> int:
    """Indices of the set flags, ascending, in ``fired``, which has room for all; returns how many."""
    stay_apart()
    n = 0
    for i in range(len(flags)):
        fired[n] = i
        n += flags[i]
    return n


@inner
def step_lif(first: int, last: int, rests: bool, cells: Any, states: Any, a: Any, fired: Any) -> Any:
    """One step of neurons first .. last - 1 with input ``a`` int32, which is cleared; those that fire are in ``fired``,
    as many as are returned. ``fired`` has one entry more than there are neurons.
    """
    u, v, flags = states.u[first:last], states.v[first:last], states.flags[first:last]
    _currents(u, cells.decay_u[first:last], a)
    if rests:
        _membranes_not_at_rest(v, cells.decay_v[first:last], u, cells.bias[first:last], states.left[first:last])
    else:
        _membranes(v, cells.decay_v[first:last], u, cells.bias[first:last])
    _above(v, cells.theta[first:last], flags)
    if rests:
        _wake(states.left[first:last], flags)
    n = _collect(flags, fired)
    for k in range(n):
        i = fired[k]
        v[i] = v[i] - cells.reset_by[first + i] if cells.subtracts[first + i] else NONE
    if rests:
        for k in range(n):
            states.left[first + fired[k]] = cells.rest[first + fired[k]]
    return n


@inner
def _sigma(x: Any) -> Any:
    """1 / (1 + exp(-x)); exp is rounded to float32 once."""
    return ONE / (ONE + np.float32(math.exp(np.float64(-x))))


@inner
def step_egru(first: int, last: int, cells: Any, states: Any, a: Any, at: int, n: int, fired: Any) -> int:
    """One step of the EGRUs first .. last - 1 as hwsdk.ir.recurrent has it; what they send is in states.event.

    a: float32 accumulators, those of neuron ``first`` from ``at`` on, each ``n`` after the one before; cleared.
    """
    count = 0
    for i in range(first, last):
        k, par = at + i - first, cells.egru[:, i]
        z = _sigma((a[k] + a[k + 2 * n]) + par[1])
        r = _sigma((a[k + n] + a[k + 3 * n]) + par[2])
        x = (a[k + 4 * n] + par[3]) + r * (a[k + 5 * n] + par[4])
        g = np.float32(math.tanh(np.float64(x)))
        c = z * states.v[i] + (ONE - z) * g
        for port in range(6):
            a[k + port * n] = NONE
        fires = c > par[0]
        states.v[i] = c - par[0] if fires else c
        states.event[i] = c
        fired[count] = i - first
        count += fires
    return count
