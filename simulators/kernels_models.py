"""Numba kernels of what the LIF loops leave out: resets, rest after a spike, and the other neuron models.

The formulas are those of hwsdk.ir.fixed, in int64; few neurons are expected here, so nothing is vectorised.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.simulators.kernels_sync import inner

V_MAX = (1 << 23) - 1
KERNELS = (("atrlif",), ("rf", "rf_iz"), ("sigma_delta", "delta"), ("graded", "graded_relu"))
"""Neuron models by the kernel that runs them."""
STATE_ROWS = 4
COLUMNS = 7
"""Rows of Special.state, and of Special.par."""
U, V, RE, IM = 1, 2, 3, 4
"""Registers that can overflow."""


class Special(NamedTuple):
    """M neurons of other models than LIF, kernel by kernel, and what LIF neurons do beyond the plain loops.

    neuron (M,) in core order; bounds (5,): where each of KERNELS begins. state (4, M): rows as STATES of
    hwsdk.programs.loihi names them. par (7, M): atrlif: keep_theta, keep_r, theta_0, step. rf: sin, cos, vth, decay
    bits, state_exp, izhikevich, ring column of the second input. sigma_delta: theta, bias, shift in, shift out, relu,
    cum_error, encodes. graded: vth, relu. value (N,): what the spike of each neuron carries; (0,) where all carry 1.

    rests (N,), or (0,): steps that v is held after a spike. held (3, H): neuron, steps left, v; n_held (1,): how many.
    every, at (G,): u = v = 0 in the steps t = 1, 2, ... with t % every == at, for the neurons reset_neuron[reset_ptr[g]
    : reset_ptr[g + 1]]. All int64.
    """

    neuron: NDArray[np.int64]
    bounds: NDArray[np.int64]
    state: NDArray[np.int64]
    par: NDArray[np.int64]
    value: NDArray[np.int64]
    rests: NDArray[np.int64]
    held: NDArray[np.int64]
    n_held: NDArray[np.int64]
    every: NDArray[np.int64]
    at: NDArray[np.int64]
    reset_ptr: NDArray[np.int64]
    reset_neuron: NDArray[np.int64]


@inner
def tz(x: Any, bits: Any) -> Any:
    """x / 2^bits rounded toward zero."""
    return np.int64(x) >> bits if x >= 0 else -(-np.int64(x) >> bits)


@inner
def reset_neurons(t: int, u: Any, v: Any, special: Any) -> None:
    """The resets that are due in step t, counted from 1."""
    for g in range(len(special.every)):
        if t % special.every[g] == special.at[g]:
            for k in range(special.reset_ptr[g], special.reset_ptr[g + 1]):
                u[special.reset_neuron[k]] = 0
                v[special.reset_neuron[k]] = 0


@inner
def _rf(m: int, row: Any, special: Any) -> Any:
    """One resonator; returns (clips, register of the first or 0, what it needs)."""
    i, state, par = special.neuron[m], special.state, special.par
    sin, cos, vth, bits = par[0, m], par[1, m], par[2, m], par[3, m]
    shift, izhikevich, second = par[4, m], par[5, m], par[6, m]
    re, im = state[0, m], state[1, m]
    x = tz(cos * re, bits) - tz(sin * im, bits) + (np.int64(row[i]) << shift)
    y = tz(sin * re, bits) + tz(cos * im, bits) + (np.int64(row[second]) << shift)
    row[i], row[second] = 0, 0
    clips, register, need = 0, 0, np.int64(0)
    if abs(y) > V_MAX:
        clips, register, need = clips + 1, IM, y
        y = V_MAX if y > 0 else -V_MAX
    if abs(x) > V_MAX:
        clips, register, need = clips + 1, RE, x
        x = V_MAX if x > 0 else -V_MAX
    if izhikevich:
        fires = y >= vth
        if fires:
            x, y = np.int64(0), vth - 1
    else:
        fires = x >= vth and y >= 0 and im < 0
    state[0, m], state[1, m] = x, y
    special.value[i] = fires
    return clips, register, need


@inner
def _sigma_delta(m: int, row: Any, special: Any) -> None:
    """One sigma-delta or delta neuron."""
    i, state = special.neuron[m], special.state
    par = special.par
    theta, bias, shift_in, shift_out = par[0, m], par[1, m], par[2, m], par[3, m]
    relu, cum_error, encodes = par[4, m], par[5, m], par[6, m]
    a = np.int64(row[i])
    row[i] = 0
    if encodes:
        x = a << shift_in
    else:
        state[0, m] += a
        x = state[0, m] + bias
        if relu:
            x = max(x, np.int64(0))
    d = x - state[1, m] + state[2, m]
    compared = state[3, m] + d if cum_error else d
    spike = d if abs(compared) >= theta else np.int64(0)
    if cum_error:
        state[3, m] = np.int64(0) if spike != 0 else compared
    state[1, m], state[2, m] = x, d - spike
    special.value[i] = spike >> shift_out


@inner
def update_others(row: Any, special: Any) -> Any:
    """One step of all neurons whose model has no u and v; takes their inputs out of ``row`` and sets their values.

    Returns:
        (clips; of the first clip: its register or 0, the neuron, and the value that does not fit).
    """
    clips, register, at, need = 0, 0, np.int64(0), np.int64(0)
    for m in range(special.bounds[1], special.bounds[2]):
        more, which, value = _rf(m, row, special)
        clips += more
        if more and not register:
            register, at, need = which, special.neuron[m], value
    for m in range(special.bounds[2], special.bounds[3]):
        _sigma_delta(m, row, special)
    for m in range(special.bounds[3], special.bounds[4]):
        i = special.neuron[m]
        a = np.int64(row[i])
        row[i] = 0
        over = (a if special.par[1, m] else abs(a)) > special.par[0, m]
        special.value[i] = a if over else 0
    return clips, register, at, need


@inner
def flag_others(u: Any, v: Any, special: Any, flags: Any) -> None:
    """Spikes of the other models: adapt the thresholds of ATRLIF, whose u and v are new; the rest has its values."""
    state, par = special.state, special.par
    for m in range(special.bounds[1]):
        i = special.neuron[m]
        state[0, m], state[1, m] = u[i], v[i]
        theta = tz((state[2, m] - par[2, m]) * par[0, m], 12) + par[2, m]
        r = tz(state[3, m] * par[1, m], 12)
        fires = state[1, m] - r >= theta
        state[2, m] = theta + par[3, m] if fires else theta
        state[3, m] = r + 2 * theta if fires else r
        flags[i] = fires
    for m in range(special.bounds[1], special.bounds[4]):
        flags[special.neuron[m]] = special.value[special.neuron[m]] != 0


@inner
def hold(v: Any, special: Any) -> None:
    """Remember v of the neurons that rest, before it is updated."""
    for k in range(special.n_held[0]):
        special.held[2, k] = v[special.held[0, k]]


@inner
def put_back(cells: Any, special: Any, flags: Any) -> int:
    """Undo the update of v of the neurons that rest, and count the step; returns how often that had clipped v."""
    held, clips, kept = special.held, 0, 0
    for k in range(special.n_held[0]):
        i, left, v = held[0, k], held[1, k], held[2, k]
        clips += abs(tz(v * np.int64(cells.keep_v[i]), 12) + cells.u[i] + cells.bias[i]) > V_MAX
        cells.v[i] = v
        flags[i] = 0
        if left > 1:
            held[0, kept], held[1, kept] = i, left - 1
            kept += 1
    special.n_held[0] = kept
    return clips


@inner
def rest(fired: Any, special: Any) -> None:
    """The neurons that fired begin their rest."""
    k = special.n_held[0]
    for i in fired:
        if special.rests[i] > 0:
            special.held[0, k], special.held[1, k] = i, special.rests[i]
            k += 1
    special.n_held[0] = k
