"""Norse 1.1 populations, told apart by the step function that they run (norse/torch/functional/*.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.formats.modules_common import Floats, Fragment, Layer, Reader, array, forward_class, full, refuse, shown
from hwsdk.ir.formats.raw import RawNode

FORWARDS = ("SNNCell", "SNN", "SNNRecurrentCell", "SNNRecurrent")
STEPS = {"lif_box_feed_forward_step": "LIF", "lif_feed_forward_step": "CubaLIF", "lif_step": "CubaLIF",
         "li_box_feed_forward_step": "LI", "li_feed_forward_step": "CubaLI", "iaf_feed_forward_step": "IF",
         "lif_feed_forward_adjoint_step": "CubaLIF", "lif_adjoint_step": "CubaLIF"}


def _is_population(module: object) -> bool:
    """Every cell and layer built on Norse's SNN classes; ``read`` refuses unknown step functions by name."""
    root, name = forward_class(module)
    return root == "norse" and name in FORWARDS


def _rank(module: object, ndim: int) -> int | None:
    """The input weights of a recurrent layer settle it, nothing else does."""
    return 1 if hasattr(module, "recurrent_weights") else None


def _dt(populations: list[tuple[str, Any]]) -> float:
    """The step that all cells share."""
    steps = {name: float(module.dt) for name, module in populations}
    if len(set(steps.values())) > 1:
        shown_steps = ", ".join(f"{name}: {dt:g}" for name, dt in steps.items())
        raise ModelError(f"the layers differ in dt ({shown_steps})", code="MIXED_SETTINGS",
                         fix="give all cells the same dt")
    return next(iter(steps.values()))


def _read(layer: Layer, dt: float) -> Fragment:
    """One population; a recurrent one with its two connections."""
    kind = STEPS.get(layer.module.activation.__name__)
    if kind is None:
        raise refuse(layer, f"the step function {layer.module.activation.__name__}", "UNKNOWN_LAYER",
                     f"read are {', '.join(STEPS)}")
    fields, settings = _neuron(layer, kind, dt)
    nodes, entry, edges = {layer.name: RawNode(kind, fields)}, layer.name, ()
    if hasattr(layer.module, "recurrent_weights"):
        nodes, entry, edges = _recurrent(layer, nodes)  # type: ignore[assignment]
    return Fragment(nodes, entry, layer.name, edges, settings, _note(layer, dt))


def _neuron(layer: Layer, kind: str, dt: float) -> tuple[dict[str, Floats], dict[str, Any]]:
    """Fields of the raw node, and the settings of a population that fires.

    v += dt tau_mem_inv (v_leak - v + i). With a synapse, i takes the input whole before the membrane moves and decays
    by dt tau_syn_inv after it: i[t] = (1 - dt/tau_syn) i[t-1] + x[t], so w_in = tau_syn/dt.
    """
    p, one = layer.module.p, np.ones(layer.shape)
    fields = {"r": one / dt if kind == "IF" else one}
    if kind != "IF":
        name = "tau_mem" if kind.startswith("Cuba") else "tau"
        fields |= {name: _tau(layer, "tau_mem_inv"), "v_leak": full(p.v_leak, layer, "v_leak")}
    if kind.startswith("Cuba"):
        fields |= {"tau_syn": _tau(layer, "tau_syn_inv"), "w_in": _tau(layer, "tau_syn_inv") / dt}
    if kind.endswith("LI"):
        return fields, {}
    v_reset = full(p.v_reset, layer, "v_reset")
    reset = _reset(layer, v_reset, kind)
    fields |= {"v_threshold": full(p.v_th, layer, "v_th"), "v_reset": v_reset if reset == "value" else 0 * v_reset}
    return fields, {"reset": reset}


def _tau(layer: Layer, name: str) -> Floats:
    """The time constant of an inverse one."""
    inverse = full(getattr(layer.module.p, name), layer, name)
    if (inverse <= 0).any():
        raise refuse(layer, f"{name} of {shown(inverse)}", "TAU_NOT_POSITIVE", "use IAFCell for no leak")
    return np.asarray(1 / inverse)


def _reset(layer: Layer, v_reset: Floats, kind: str) -> str:
    """value, or subtract (of the threshold, whatever v_reset is)."""
    if kind == "IF" and (v_reset != 0).any():
        raise refuse(layer, f"v_reset={shown(v_reset)}", "RESET_VALUE", "Norse starts an IAF neuron at v_reset, which "
                     "hwsdk cannot say; shift v_th and use v_reset=0")
    method = getattr(layer.module.p, "reset_method", None)
    name = "reset_value" if method is None else getattr(method, "__name__", repr(method))
    if name not in ("reset_value", "reset_subtract"):
        raise refuse(layer, f"reset_method {name}", "RESET_FUNCTION", "use reset_value or reset_subtract")
    return "value" if name == "reset_value" else "subtract"


def _recurrent(layer: Layer, nodes: dict[str, RawNode]) -> tuple[dict[str, RawNode], str, tuple[tuple[str, str], ...]]:
    """The input weights before the population, and the recurrent ones around it."""
    name, w_in, w_rec = layer.name, f"{layer.name}.w_in", f"{layer.name}.w_rec"
    weights = {w_in: layer.module.input_weights, w_rec: layer.module.recurrent_weights}
    maps = {n: RawNode("Linear", {"weight": array(w)}) for n, w in weights.items()}
    return {**nodes, **maps}, w_in, ((w_in, name), (name, w_rec), (w_rec, name))


def _note(layer: Layer, dt: float) -> str:
    """What was read, in Norse's words."""
    fields = [f for f in ("tau_syn_inv", "tau_mem_inv", "v_leak", "v_th", "v_reset") if hasattr(layer.module.p, f)]
    values = ", ".join(f"{f} {shown(array(getattr(layer.module.p, f)))}" for f in fields)
    method = getattr(getattr(layer.module.p, "reset_method", None), "__name__", "")
    return f"{values}{', ' + method if method else ''}, dt {dt:g}"


BASE: Mapping[str, Any] = {"integrator": "euler", "comparison": ">", "spikes": "single", "initial": "leak",
                           "reset_timing": "same_step"}
READER = Reader("norse", _is_population, _rank, _read, _dt, BASE)
