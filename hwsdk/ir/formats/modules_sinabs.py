"""sinabs 3.1 populations: LIF and what derives from it (sinabs/layers/functional/lif.py is the step of them all)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwsdk.ir.formats import modules_layers
from hwsdk.ir.formats.modules_common import (
    NEVER,
    Floats,
    Fragment,
    Layer,
    Reader,
    array,
    forward_class,
    full,
    refuse,
    shown,
)
from hwsdk.ir.formats.raw import RawNode

KINDS = ("LIF", "LIFSqueeze", "LIFRecurrent", "IAFSqueeze", "ExpLeakSqueeze")  # the classes that have a forward


def _is_population(module: object) -> bool:
    """LIF, IAF, ExpLeak and their Squeeze and Recurrent forms."""
    root, name = forward_class(module)
    return root == "sinabs" and name in KINDS


def _rank(module: Any, ndim: int) -> int:
    """(batch, time, features) for most, (batch * time, features) for the Squeeze forms."""
    return ndim - (1 if hasattr(module, "squeeze_forward") else 2)


def _read(layer: Layer, dt: float) -> Fragment:
    """One population; a recurrent one with its connection."""
    module = layer.module
    decay = full(module.alpha_mem_calculated, layer, "the membrane's decay")
    if (decay <= 0).any() or (decay > 1).any():
        raise refuse(layer, f"a membrane that keeps {shown(decay)} of itself in a step", "DECAY_RANGE",
                     "keep alpha_mem above 0 and up to 1")
    nodes, edges = {layer.name: _neuron(layer, decay, dt)}, _loop(layer)
    if edges:
        nodes[edges[0][1]] = _recurrent(layer)
    settings = {} if module.spike_fn is None else _settings(layer)
    return Fragment(nodes, layer.name, layer.name, edges, settings, _note(layer, decay))


def _neuron(layer: Layer, decay: Floats, dt: float) -> RawNode:
    """v = a v + g i, g = 1 or 1 - a (norm_input), and i = x or i = s (i + x)."""
    module, fires = layer.module, layer.module.spike_fn is not None
    r = np.asarray(1 - decay, np.float32 if module.v_mem.dtype.itemsize == 4 else np.float64)
    fields = {"r": r.astype(np.float64) if module.norm_input else np.ones(layer.shape)}
    kind = ("IF" if fires else "I") if (decay == 1).all() else ("LIF" if fires else "LI")
    if fires:
        theta = full(module.spike_threshold, layer, "spike_threshold")
        fields |= {"v_threshold": theta, "v_reset": _v_reset(layer, theta)}
    synapse = module.alpha_syn_calculated
    if (decay != 1).any() or synapse is not None:
        fields |= {"tau": dt * _steps(decay), "v_leak": np.zeros(layer.shape)}
    if synapse is not None:
        s = full(synapse, layer, "the synapse's decay")
        fields |= {"tau_mem": fields.pop("tau"), "tau_syn": dt * _steps(s), "w_in": s}
        kind = "CubaLIF" if fires else "CubaLI"
    elif not fires and module.min_v_mem is not None:
        raise refuse(layer, "min_v_mem", "V_FLOOR", "hwsdk has a floor for spiking layers only; leave min_v_mem out")
    return RawNode(kind, fields)


def _steps(decay: Floats) -> Floats:
    """The time constant in steps whose exp(-1/tau) is this decay to the last bit of a float32."""
    return np.where(decay == 1, NEVER, -1 / np.log(np.where(decay == 1, 0.5, decay)))


def _v_reset(layer: Layer, theta: Floats) -> Floats:
    """Zero, or what makes threshold - v_reset the value that MembraneSubtract takes away."""
    value = getattr(layer.module.reset_fn, "subtract_value", None)
    return np.zeros(layer.shape) if value is None else theta - full(value, layer, "subtract_value")


def _settings(layer: Layer) -> dict[str, Any]:
    """Spike function, reset function and floor."""
    module = layer.module
    settings: dict[str, Any] = {"spikes": _spikes(layer), "reset": _reset(layer), "reset_timing": "same_step",
                                "v_floor": None}
    if settings["spikes"] == "multiple" and settings["reset"] == "value":
        raise refuse(layer, "MultiSpike and MembraneReset", "MULTIPLE_SPIKES", "use MembraneSubtract, or SingleSpike")
    if module.min_v_mem is not None:
        ratio = -full(module.min_v_mem, layer, "min_v_mem") / full(module.spike_threshold, layer, "spike_threshold")
        if np.ptp(ratio) > 1e-6 * np.abs(ratio).max():
            raise refuse(layer, f"min_v_mem at {shown(-ratio)} of the threshold", "V_FLOOR",
                         "hwsdk has one floor for the network, in units of the threshold")
        settings["v_floor"] = float(ratio.flat[0])
    return settings


def _spikes(layer: Layer) -> str:
    """single or multiple."""
    fn = layer.module.spike_fn
    name, limit = getattr(fn, "__name__", type(fn).__name__), getattr(fn, "max_num_spikes_per_bin", None)
    if name == "SingleSpike" or (name == "MaxSpike" and limit == 1):
        return "single"
    if name == "MultiSpike" or (name == "MaxSpike" and limit is None):
        return "multiple"
    what = f"spike_fn MaxSpike({limit})" if name == "MaxSpike" else f"spike_fn {name}"
    raise refuse(layer, what, "SPIKE_FUNCTION", "use SingleSpike, MultiSpike, or MaxSpike with 1 or without a maximum")


def _reset(layer: Layer) -> str:
    """value or subtract."""
    fn = layer.module.reset_fn
    name = type(fn).__name__
    if name == "MembraneReset" and fn.reset_value == 0:
        return "value"
    if name == "MembraneReset":
        raise refuse(layer, f"MembraneReset(reset_value={fn.reset_value:g})", "RESET_VALUE",
                     "sinabs 3.1 adds a reset_value to every membrane in every step, spike or not; use 0")
    if name == "MembraneSubtract":
        return "subtract"
    raise refuse(layer, f"reset_fn {name}", "RESET_FUNCTION", "use MembraneSubtract or MembraneReset")


def _loop(layer: Layer) -> tuple[tuple[str, str], ...]:
    """The edges of a recurrent layer."""
    if not hasattr(layer.module, "rec_connect"):
        return ()
    inner = f"{layer.name}.w_rec"
    return ((layer.name, inner), (inner, layer.name))


def _recurrent(layer: Layer) -> RawNode:
    """rec_connect, a Linear or a convolution."""
    inner = layer.module.rec_connect
    part = Layer(f"{layer.name}.rec_connect", inner, layer.shape, layer.shape, layer.tensor)
    if modules_layers.rank(inner) != len(layer.shape):
        raise refuse(layer, f"rec_connect {type(inner).__name__}", "RECURRENT_LAYER",
                     "use a Linear for flat layers or a convolution that keeps the shape")
    if inner.bias is not None and (array(inner.bias) != 0).any():
        raise refuse(layer, "a bias in rec_connect", "RECURRENT_BIAS", "sinabs leaves it out in the first step, which "
                     "hwsdk cannot say; use bias=False, and the bias of the layer before it")
    return RawNode("Linear", {"weight": array(inner.weight)}) if len(layer.shape) == 1 else modules_layers.conv(part)


def _note(layer: Layer, decay: Floats) -> str:
    """What was read, in sinabs' words."""
    module = layer.module
    text = f"decay {shown(decay)} a step, norm_input {bool(module.norm_input)}"
    if module.alpha_syn_calculated is not None:
        text += f", synaptic decay {shown(array(module.alpha_syn_calculated))}"
    if module.spike_fn is None:
        return text
    fn = getattr(module.spike_fn, "__name__", type(module.spike_fn).__name__)
    floor = "none" if module.min_v_mem is None else shown(array(module.min_v_mem))
    return (f"{text}, spike_threshold {shown(array(module.spike_threshold))}, {fn}, {type(module.reset_fn).__name__}, "
            f"min_v_mem {floor}")


BASE: Mapping[str, Any] = {"integrator": "exponential_unit_gain", "comparison": ">=", "initial": "zero"}
READER = Reader("sinabs", _is_population, _rank, _read, lambda populations: 1.0, BASE)
