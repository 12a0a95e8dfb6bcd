"""The neuron half of quantisation: decays, bias, threshold and start state of a FixedLIF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.neurons import DiscreteLIF

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
U_LIMIT = 1 << 23
V_LIMIT = (1 << 23) - 1
MANT_LIMIT, EXP_LIMIT = 4095, 7


def quantize_cell(name: str, cell: DiscreteLIF, unit: Array, lag: int, log: LedgerWriter) -> FixedLIF:
    """Integers for one population; ``unit`` (full shape) turns model units into weight units, v_int = 64 unit v.

    Raises:
        UnsupportedError: a bias or threshold outside its register.
    """
    scale = unit * 64.0
    mant, exp = split_bias(name, np.round(cell.bias * scale).astype(np.int64))
    du = np.clip(np.round(4096 * (1 - cell.decay_u)) - 1, 0, 4095).astype(np.int64)
    dv = np.clip(np.round(4096 * (1 - cell.decay_v)), 0, 4096).astype(np.int64)
    fixed = FixedLIF(
        du, dv, _threshold(name, cell, unit), mant, exp, np.round(cell.reset_by * scale).astype(np.int64),
        np.round(cell.u_start * scale).astype(np.int64), np.round(cell.v_start * scale).astype(np.int64),
        scale, cell.v_offset, cell.reset, cell.fires, cell.refractory,
    )
    return _warmed(name, fixed, lag, log)


def _threshold(name: str, cell: DiscreteLIF, unit: Array) -> IntArray:
    """The mantissa m of  v > m << 6.

    Without decay v stays on the grid of the weights, so the strict comparison is kept exactly: floor for >,
    ceil - 1 for >=. With decay the nearest mantissa is the better one.
    """
    if not cell.fires:
        return np.zeros(cell.shape, np.int64)
    theta = cell.v_threshold * unit
    tie = 1e-9 * np.maximum(np.abs(theta), 1)
    exact = np.ceil(theta - tie) - 1 if cell.comparison == ">=" else np.floor(theta + tie)
    near = np.round(theta - (0.5 if cell.comparison == ">=" else 0.0))
    whole = np.abs(theta - np.round(theta)) <= tie
    vth = np.where((cell.decay_v == 1) | whole, exact, near)
    if (vth < 0).any() or (vth > (1 << 17) - 1).any():
        raise UnsupportedError(f"the threshold becomes {int(vth.min())} to {int(vth.max())}; the register holds 0 to "
                               f"{(1 << 17) - 1}", where=name, code="THRESHOLD_RANGE",
                               fix="give the layer a positive threshold above its reset value")
    return np.asarray(vth, np.int64)


def split_bias(name: str, bias: IntArray) -> tuple[IntArray, IntArray]:
    """Mantissa (13 bits signed) and exponent (0 to 7) of each bias, rounded to the nearest.

    Raises:
        UnsupportedError: a bias beyond 4095 << 7.
    """
    exp = np.zeros(bias.shape, np.int64)
    for _ in range(EXP_LIMIT):
        exp += np.abs(_round_shift(bias, exp)) > MANT_LIMIT
    mant = _round_shift(bias, exp)
    if (np.abs(mant) > MANT_LIMIT).any():
        raise UnsupportedError(f"a bias of {int(np.abs(bias).max())} units, the register holds "
                               f"{MANT_LIMIT << EXP_LIMIT}", where=name, code="BIAS_RANGE",
                               fix="make the bias smaller, or the weights larger")
    return mant, exp


def _round_shift(x: IntArray, exp: IntArray) -> IntArray:
    """x / 2^exp to the nearest integer, halves away from zero."""
    half = np.where(exp > 0, 1 << np.maximum(exp - 1, 0), 0)
    return np.asarray(np.sign(x) * ((np.abs(x) + half) >> exp))


def _warmed(name: str, fixed: FixedLIF, lag: int, log: LedgerWriter) -> FixedLIF:
    """The integers that reach (u_init, v_init) after ``lag`` steps of bias alone, found backwards, exactly.

    If there are none, because the way leads through a spike or past a register, the layer starts as it is and the
    ledger says so.
    """
    if lag == 0 or not (fixed.bias.any() or fixed.u_init.any() or fixed.v_init.any()):
        return fixed
    u, v, fits = fixed.u_init, fixed.v_init, np.ones(fixed.shape, bool)
    keep_u, keep_v = 4096 - (fixed.du + 1), 4096 - fixed.dv
    for _ in range(lag):
        after = np.where(keep_v == 0, u + fixed.bias, v)
        fits &= (after <= fixed.vth << 6) if fixed.fires else True
        fits &= ~((keep_u == 0) & (u != 0))
        v = np.where(keep_v == 0, 0, _before(v - u - fixed.bias, keep_v))
        u = np.where(keep_u == 0, 0, _before(u, keep_u))
        fits &= (np.abs(v) <= V_LIMIT) & (np.abs(u) < U_LIMIT)
    if not fits.all():
        log.warning(name, "EARLY_BIAS", f"{int((~fits).sum())} neurons start {lag} steps before their first input and "
                    "no initial state makes up for their bias in these steps; they may spike early")
    return replace(fixed, u_init=np.where(fits, u, fixed.u_init), v_init=np.where(fits, v, fixed.v_init))


def _before(y: IntArray, keep: IntArray) -> IntArray:
    """An x with  sign(x) (|x| keep >> 12) = y  for 0 < keep <= 4096."""
    safe = np.maximum(keep, 1)
    return np.asarray(np.sign(y) * (-((-np.abs(y) << 12) // safe)))
