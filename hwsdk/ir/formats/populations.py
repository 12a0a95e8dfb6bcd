"""Elementwise nodes: neurons, Threshold, Scale and Delay, with their parameters spread to the full shape."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.formats.fields import FieldReader, Floats, require_size
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.neurons import IF, LI, LIF, CubaLI, CubaLIF, I, Neuron, Threshold
from hwsdk.ir.nodes import Delay, Scale, Shape, frozen
from hwsdk.ir.semantics import Semantics

NEURONS: dict[str, type[Neuron]] = {c.__name__: c for c in (I, IF, LI, LIF, CubaLI, CubaLIF, Threshold)}
DEFAULTS = {"v_reset": 0.0, "w_in": 1.0}
TIME_FIELDS = ("tau", "tau_mem", "tau_syn")
MAX_SPREAD = 1 << 25
MAX_DELAY_TICKS = 1 << 20


def neuron(fields: FieldReader, arriving: Shape | None, ledger: LedgerWriter, tau_factor: float = 1.0,
           r_factor: float = 1.0) -> Neuron:
    """A population of the node's type; ``arriving`` is the shape that enters it, None inside a loop.

    tau_factor: every time constant is multiplied by it. r_factor: r of a node without time constant is.

    Raises:
        ModelError: MISSING_FIELD, SHAPE_MISMATCH and what FieldReader raises.
    """
    cls = NEURONS[fields.node.type]
    stored = {f.name: _stored(fields, f.name, ledger) for f in dataclasses.fields(cls)
              if f.default is dataclasses.MISSING}  # NIR does not have the others
    if r_factor != 1.0 and "r" in stored and not set(TIME_FIELDS) & set(stored):
        stored["r"] = stored["r"] * r_factor
        ledger.changed(fields.name, "R_RESCALED", f"r multiplied by {r_factor:g} (Norse adds the whole input in a "
                       "step, whatever dt is)")
    if tau_factor != 1.0 and set(TIME_FIELDS) & set(stored):
        stored = {k: v * tau_factor if k in TIME_FIELDS else v for k, v in stored.items()}
        ledger.changed(fields.name, "TAU_RESCALED", f"time constants multiplied by {tau_factor:g} (Norse exports them "
                       "too small by a factor dt, norse issue 411)")
    spread = _spread_all(fields, stored, arriving, ledger)
    return cls(**{k: frozen(v) for k, v in spread.items()})


def scale(fields: FieldReader, arriving: Shape | None, ledger: LedgerWriter) -> Scale:
    """y = s x, with s spread to the shape that arrives."""
    spread = _spread_all(fields, {"scale": fields.floats("scale")}, arriving, ledger)
    return Scale(frozen(spread["scale"]))


def delay(fields: FieldReader, arriving: Shape | None, ledger: LedgerWriter, semantics: Semantics) -> Delay:
    """Delays in steps of ``semantics.dt``.

    Raises:
        ModelError: NEGATIVE_DELAY, DELAY_TOO_LONG.
    """
    time = fields.floats("delay")
    if (time < 0).any():
        raise fields.error(f"the delay {time.min():g} is negative", "NEGATIVE_DELAY", "delays are 0 or more")
    exact = time / semantics.dt
    if exact.max() > MAX_DELAY_TICKS:
        raise fields.error(f"a delay of {time.max():g} is {exact.max():g} steps of dt={semantics.dt:g}, the limit is "
                           f"{MAX_DELAY_TICKS}", "DELAY_TOO_LONG", "check dt: it is in the time unit of the model")
    ticks = np.rint(exact)
    error = float(np.abs(exact - ticks).max())
    if error > 1e-6:
        ledger.changed(fields.name, "DELAY_ROUNDED", f"delays rounded to whole steps of dt={semantics.dt:g}; the "
                       f"largest error is {error:.3g} steps ({error * semantics.dt:.3g} of the model's time unit)")
    spread = _spread_all(fields, {"delay": ticks}, arriving, ledger)
    return Delay(frozen(spread["delay"], np.int64))


def _stored(fields: FieldReader, name: str, ledger: LedgerWriter) -> Floats:
    """One parameter, or its default where NIR has one."""
    if name in DEFAULTS and not fields.has(name):
        ledger.assumed(fields.name, f"{name.upper()}_MISSING", f"{name} is not stored; {DEFAULTS[name]:g} was taken")
        return np.full((), DEFAULTS[name])
    return fields.floats(name)


def _spread_all(fields: FieldReader, stored: dict[str, Floats], arriving: Shape | None,
                ledger: LedgerWriter) -> dict[str, Floats]:
    """Every parameter at the population's shape, with one ledger entry a kind of repair."""
    shape = arriving if arriving is not None else max((v.shape for v in stored.values()), key=math.prod) or (1,)
    repairs: dict[str, list[str]] = {}
    out = {}
    for name, value in stored.items():
        out[name], repair = spread(value, shape, fields.name, name)
        if repair and fields.has(name):
            repairs.setdefault(repair, []).append(f"{name} {value.shape}")
    for repair, names in repairs.items():
        ledger.changed(fields.name, repair, f"{', '.join(names)} -> {shape}")
    return out


def spread(value: Floats, shape: Shape, where: str, field: str) -> tuple[Floats, str]:
    """A parameter at the full shape, and the code of the repair that took it there ("" for none).

    Raises:
        ModelError: SHAPE_MISMATCH, TOO_LARGE.
    """
    if value.shape == shape:
        return value, ""
    require_size(shape, where, MAX_SPREAD)
    if value.ndim > len(shape) and value.shape[value.ndim - len(shape):] == shape and value.size == math.prod(shape):
        return value.reshape(shape), "BATCH_AXIS"
    if value.size == 1:
        return np.broadcast_to(value.reshape(()), shape), "PARAMETER_BROADCAST"
    if value.ndim == 1 and value.size == math.prod(shape):
        return value.reshape(shape), "PARAMETER_RESHAPED"
    channels = (shape[0], *[1] * (len(shape) - 1))
    trimmed = value.shape[1:] if value.ndim == len(shape) + 1 and value.shape[0] == 1 else value.shape
    if trimmed in (channels, (shape[0],)):
        return np.broadcast_to(value.reshape(channels), shape), "PARAMETER_BROADCAST"
    if len(trimmed) == len(shape) and all(a in (1, b) for a, b in zip(trimmed, shape, strict=True)):
        return np.broadcast_to(value.reshape(trimmed), shape), "PARAMETER_BROADCAST"
    raise ModelError(f"the field {field} has shape {value.shape}, the population that its input makes has {shape}",
                     where=where, code="SHAPE_MISMATCH",
                     fix=f"store one value for each of the {math.prod(shape)} elements, one a channel, or one for all")
