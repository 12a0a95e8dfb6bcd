"""snnTorch 1.0 populations: Leaky, Synaptic, RLeaky, RSynaptic (snntorch/_neurons/*.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwsdk.errors import ModelError
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

KINDS = ("Leaky", "Synaptic", "RLeaky", "RSynaptic")
DT = 1e-4  # what snntorch/export_nir.py writes; snnTorch itself counts steps


def _is_population(module: object) -> bool:
    """True for the four kinds, and for subclasses that keep their forward."""
    root, name = forward_class(module)
    return root == "snntorch" and name in KINDS


def _read(layer: Layer, dt: float) -> Fragment:
    """One population; a recurrent one with its connection."""
    _check(layer)
    kind = forward_class(layer.module)[1]
    nodes = {layer.name: _neuron(layer, kind.endswith("Synaptic"), dt)}
    edges: tuple[tuple[str, str], ...] = ()
    if kind.startswith("R"):
        inner = f"{layer.name}.w_rec"
        nodes[inner] = _recurrent(layer)
        edges = ((layer.name, inner), (inner, layer.name))
    settings = {} if layer.readout else _settings(layer, kind)
    return Fragment(nodes, layer.name, layer.name, edges, settings, _note(layer))


def _check(layer: Layer) -> None:
    """What no Semantics says."""
    module = layer.module
    if module.inhibition:
        raise refuse(layer, "inhibition=True", "INHIBITION", "train without it; it lets one neuron fire in a step")
    if module.state_quant:
        raise refuse(layer, "state_quant", "STATE_QUANT", "export the float model; hwsdk quantises for the chip itself")
    if (array(module.graded_spikes_factor) != 1).any():
        raise refuse(layer, f"graded_spikes_factor={shown(array(module.graded_spikes_factor))}", "GRADED_SPIKES",
                     "multiply the next layer's weights by it, and set it to 1")
    if module.reset_mechanism == "none" and not layer.readout:
        raise refuse(layer, "reset_mechanism='none' gives spikes", "NO_RESET", "use 'zero' or 'subtract', or "
                     "return the membrane (output=True) of a last layer, which makes it a readout")
    _check_spikes(layer)


def _check_spikes(layer: Layer) -> None:
    """The spike function must be a step at the threshold: snnTorch has stochastic ones too."""
    from hwsdk.ir.formats.modules_trace import import_torch

    torch = import_torch()
    x = torch.linspace(-1, 1, 1025)
    with torch.no_grad():
        same = bool((layer.module.spike_grad(x) == (x > 0)).all())
    if not same:
        raise refuse(layer, "a spike_grad whose forward pass is no step function", "SPIKE_FUNCTION",
                     "use a surrogate gradient such as surrogate.atan() or fast_sigmoid()")


def _settings(layer: Layer, kind: str) -> dict[str, Any]:
    """Reset and its timing, as the forward pass applies them."""
    module = layer.module
    if kind == "RSynaptic" and not module.reset_delay:
        raise refuse(layer, "reset_delay=False", "RESET_DELAY",
                     "snnTorch 1.0 does not apply it there (or fails); leave reset_delay=True")
    if module.reset_mechanism == "zero":
        lost = module.reset_delay and kind != "Leaky"
        return {"reset": "value", "reset_timing": "skip_step" if lost else "same_step"}
    if module.reset_delay:
        return {"reset": "subtract", "reset_timing": "next_step"}
    return {"reset": "subtract", "reset_timing": _undelayed(layer)}


def _undelayed(layer: Layer) -> ModelError:
    """Subtraction without delay compares a membrane from which the last spike was subtracted twice."""
    return refuse(layer, "reset_mechanism='subtract' and reset_delay=False", "RESET_DELAY",
                   "leave reset_delay=True, or use 'zero', or load with reset_timing='same_step': spikes then differ "
                   "where a membrane stays above its threshold after the subtraction")


def _neuron(layer: Layer, synaptic: bool, dt: float) -> RawNode:
    """mem = beta mem + x, with x or syn = alpha syn + x: gains of one, so r = tau/dt and w_in = tau_syn/dt."""
    beta = _decay(layer, "beta")
    fields = _membrane(layer, beta, dt)
    kind = "I" if layer.readout else "IF"
    if synaptic or (beta != 1).any():
        kind = "LI" if layer.readout else "LIF"
        fields.update(v_leak=np.zeros(layer.shape), tau=dt * _steps(beta), r=_steps(beta))
    if synaptic:
        alpha = _decay(layer, "alpha")
        fields.update(tau_mem=fields.pop("tau"), tau_syn=dt * _steps(alpha), w_in=_steps(alpha))
        kind = f"Cuba{kind}"
    return RawNode(kind, fields)


def _membrane(layer: Layer, beta: Floats, dt: float) -> dict[str, Floats]:
    """r, and for a population that fires the threshold."""
    fields = {"r": np.full(layer.shape, 1 / dt)}
    if not layer.readout:
        fields["v_threshold"] = full(layer.module.threshold, layer, "threshold")
        fields["v_reset"] = np.zeros(layer.shape)
    return fields


def _decay(layer: Layer, name: str) -> Floats:
    """alpha or beta, clamped as in the forward pass."""
    return np.clip(full(getattr(layer.module, name), layer, name), 0, 1)


def _steps(decay: Floats) -> Floats:
    """tau/dt of a decay under forward Euler."""
    return np.where(decay == 1, NEVER, 1 / np.where(decay == 1, 1, 1 - decay))


def _recurrent(layer: Layer) -> RawNode:
    """The connection of RLeaky and RSynaptic: a Linear, a Conv2d, or one weight V for each neuron."""
    inner = layer.module.recurrent
    if hasattr(inner, "weight"):
        part = Layer(layer.name, inner, layer.shape, layer.shape, layer.tensor)
        return modules_layers.conv(part) if len(layer.shape) > 1 else modules_layers.linear(part)
    return RawNode("Scale", {"scale": full(inner.V, layer, "V")})


def _note(layer: Layer) -> str:
    """What was read, in snnTorch's words."""
    module = layer.module
    decays = [f"{n} {shown(_decay(layer, n))}" for n in ("alpha", "beta") if hasattr(module, n)]
    reset = "read out at its membrane" if layer.readout else (
        f"threshold {shown(array(module.threshold))}, reset_mechanism {module.reset_mechanism}, "
        f"reset_delay {bool(module.reset_delay)}")
    return f"{', '.join(decays)}, {reset}"


def _rank(module: object, ndim: int) -> int | None:
    """snnTorch's neurons work elementwise; a recurrent connection settles the rank."""
    return modules_layers.rank(getattr(module, "recurrent", None))


BASE: Mapping[str, Any] = {"integrator": "euler", "comparison": ">", "spikes": "single"}
READER = Reader("snntorch", _is_population, _rank, _read, lambda populations: DT, BASE)
