"""The neurons of a Loihi program: each integer population in the columns of LoihiArrays."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedRF, FixedSigmaDelta
from hwsdk.ir.neurons import Neuron
from hwsdk.programs.loihi import MODELS, RESETS

IntArray = NDArray[np.int64]
COLUMNS: dict[str, type[np.generic]] = {
    "du": np.int32, "dv": np.int32, "vth": np.int32, "bias": np.int32, "u_init": np.int32, "v_init": np.int32,
    "reset_by": np.int32, "reset": np.uint8, "fires": np.bool_,
}
CONFIGURATION = ("du", "dv", "vth", "reset_by", "reset", "fires")
EXTRA_ROWS = max(len(names) for names in MODELS.values())


def model_of(cell: Neuron) -> str:
    """The key of MODELS for a population."""
    if isinstance(cell, FixedLIF):
        return "lif"
    if isinstance(cell, FixedATRLIF):
        return "atrlif"
    if isinstance(cell, FixedRF):
        return "rf_iz" if cell.izhikevich else "rf"
    if isinstance(cell, FixedSigmaDelta):
        return "delta" if cell.encodes else "sigma_delta"
    if isinstance(cell, FixedGraded):
        return "graded_relu" if cell.relu else "graded"
    raise InternalError(f"no Loihi neuron model for {type(cell).__name__}")


def columns(cells: list[Neuron], order: IntArray) -> dict[str, NDArray[Any]]:
    """The neuron columns of LoihiArrays, in core order. ``order``: neuron by core order -> neuron by id."""
    tables = [_table(cell) for cell in cells]
    found: dict[str, NDArray[Any]] = {}
    for name, dtype in COLUMNS.items():
        found[name] = np.concatenate([np.broadcast_to(np.asarray(t.get(name, 0)).ravel(), c.n)
                                      for t, c in zip(tables, cells, strict=True)]).astype(dtype)[order]
    extra = np.concatenate([_extra(cell, table) for cell, table in zip(cells, tables, strict=True)], axis=1)
    found["extra"] = extra[:, order] if extra.any() else extra[:, :0]
    return found


def configuration(cell: Neuron) -> IntArray:
    """(parameters, n): what neurons must have in common to share one group: all parameters but bias and first state."""
    table = _table(cell)
    rows = [np.broadcast_to(np.asarray(table.get(name, 0)).ravel(), cell.n) for name in CONFIGURATION]
    return np.concatenate([np.stack(rows).astype(np.int64), _extra(cell, table)])


def _extra(cell: Neuron, table: dict[str, Any]) -> NDArray[np.int32]:
    """(EXTRA_ROWS, n): what MODELS names for this population."""
    rows = np.zeros((EXTRA_ROWS, cell.n), np.int32)
    for k, name in enumerate(MODELS[model_of(cell)]):
        rows[k] = np.asarray(table.get(name, 0)).ravel()
    return rows


@singledispatch
def _table(cell: Neuron) -> dict[str, Any]:
    """Column or extra -> an array of the population's shape, or one number for all; missing ones are 0."""
    raise InternalError(f"no Loihi neuron model for {type(cell).__name__}")


@_table.register
def _lif(cell: FixedLIF) -> dict[str, Any]:
    return {"du": cell.du, "dv": cell.dv, "vth": cell.vth, "bias": cell.bias, "u_init": cell.u_init,
            "v_init": cell.v_init, "reset_by": cell.reset_by, "reset": RESETS.index(cell.reset), "fires": cell.fires,
            "refractory": 0 if cell.refractory is None else cell.refractory, "reset_interval": cell.reset_interval,
            "reset_offset": cell.reset_offset}


@_table.register
def _atrlif(cell: FixedATRLIF) -> dict[str, Any]:
    return {"du": cell.du, "dv": cell.dv, "vth": cell.vth, "bias": cell.bias, "u_init": cell.u_init,
            "v_init": cell.v_init, "fires": True, "dtheta": cell.dtheta, "dr": cell.dr, "theta_step": cell.theta_step}


@_table.register
def _rf(cell: FixedRF) -> dict[str, Any]:
    return {"vth": cell.vth, "u_init": cell.re_init, "v_init": cell.im_init, "fires": True, "sin": cell.sin,
            "cos": cell.cos, "decay_bits": cell.decay_bits, "state_exp": cell.state_exp}


@_table.register
def _sigma_delta(cell: FixedSigmaDelta) -> dict[str, Any]:
    return {"vth": cell.vth, "bias": cell.bias, "fires": cell.fires, "spike_exp": cell.spike_exp,
            "state_exp": cell.state_exp, "relu": cell.activation == "relu", "cum_error": cell.cum_error}


@_table.register
def _graded(cell: FixedGraded) -> dict[str, Any]:
    return {"vth": cell.vth, "fires": True}
