"""What each neuron computes in one step, written plainly. States are dicts of (samples, *shape) arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.neurons import IF, LI, LIF, CubaLI, CubaLIF, DiscreteLIF, I, Neuron, Threshold
from hwsdk.ir.refractory import refractory_steps
from hwsdk.ir.semantics import Semantics

Array = NDArray[Any]
State = dict[str, Array]


@dataclass(slots=True)
class Stepper:
    """One population in motion. ``step`` takes the input (samples, *shape), returns the output, updates ``state``."""

    state: State
    step: Callable[[Array], Array]


@singledispatch
def stepper(node: Neuron, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    """A Stepper for one population in its initial state.

    membrane: constant current (*shape) that acts on the membrane instead of passing the synapse, or None.
    """
    raise InternalError(f"the reference has no rule for {type(node).__name__}")


def leaky(sem: Semantics, tau: Array) -> tuple[Array, Array]:
    """(decay, gain) of tau x' = -x + input over one step (see Semantics.integrator)."""
    ratio = sem.dt / tau
    if sem.integrator == "euler":
        return 1 - ratio, ratio
    decay = np.exp(-ratio)
    gains = {"exponential": 1 - decay, "exponential_dt_gain": ratio, "exponential_unit_gain": np.ones_like(decay)}
    return decay, gains[sem.integrator]


def integrator_gain(sem: Semantics) -> float:
    """Gain of v' = I over one step."""
    return 1.0 if sem.integrator == "exponential_unit_gain" else sem.dt


def _membrane(sem: Semantics, samples: int, decay: Array, gain: Array, rest: Array, threshold: Array | None,
              reset: Array | None, v_init: Array | None = None) -> Stepper:
    """v <- decay v + rest + gain * input, then threshold and reset."""
    dtype = np.dtype(sem.precision)
    decay, gain, rest = (np.asarray(x, dtype) for x in (decay, gain, rest))
    start = np.asarray(rest / np.where(decay == 1, 1, 1 - decay) if sem.initial == "leak" else 0 * rest, dtype)
    start = start if v_init is None else np.asarray(v_init, dtype)
    state: State = {"v": np.repeat(start[None], samples, 0)}
    if threshold is None:
        return Stepper(state, lambda x: _integrate(state, decay, gain, rest, x))
    theta, zero = np.asarray(threshold, dtype), np.asarray(reset, dtype)
    pending = np.zeros_like(state["v"])

    def step(x: Array) -> Array:
        nonlocal pending
        late = sem.reset_timing != "same_step"
        if late and sem.reset == "value":
            state["v"] = np.where(pending > 0, zero, state["v"])
        v = _integrate(state, decay, gain, rest, x)
        if late and sem.reset == "subtract":
            v = v - pending * (theta - zero)
        if sem.reset_timing == "skip_step":
            v = np.where(pending > 0, zero, v)
        z = _spikes(sem, v, theta)
        if not late:
            v = np.where(z > 0, zero, v) if sem.reset == "value" else v - z * (theta - zero)
        if sem.v_floor is not None:
            v = np.maximum(v, np.asarray(-sem.v_floor * theta, dtype))
        state["v"], pending = v, z
        return z

    return Stepper(state, step)


def _resting(inner: Stepper, rests: Array | None) -> Stepper:
    """A membrane that stays as the reset left it for ``rests`` steps after a spike; None never rests."""
    if rests is None:
        return inner
    left = np.zeros(inner.state["v"].shape, np.int64)

    def step(x: Array) -> Array:
        nonlocal left
        before, idle = inner.state["v"], left > 0
        z = inner.step(x)
        inner.state["v"] = np.where(idle, before, inner.state["v"])
        z = np.where(idle, np.zeros_like(z), z)
        left = np.where(z > 0, rests, np.maximum(left - 1, 0))
        return z

    return Stepper(inner.state, step)


def _integrate(state: State, decay: Array, gain: Array, rest: Array, x: Array) -> Array:
    """The leaky (or not) sum; sets and returns v."""
    state["v"] = decay * state["v"] + rest + gain * x
    return state["v"]


def _spikes(sem: Semantics, v: Array, theta: Array) -> Array:
    """Number of spikes of this step, as floats."""
    if sem.spikes == "multiple":
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((v > 0) & (v >= theta), np.trunc(v / theta), 0).astype(v.dtype)
    return (v >= theta if sem.comparison == ">=" else v > theta).astype(v.dtype)


def _with_synapse(sem: Semantics, samples: int, tau_syn: Array, w_in: Array, inner: Stepper,
                  membrane: Array | None) -> Stepper:
    """u <- decay u + gain w_in S in front of a membrane."""
    dtype = np.dtype(sem.precision)
    decay, gain = leaky(sem, tau_syn)
    settled = np.zeros_like(decay) if membrane is None else gain * w_in * membrane / (1 - decay)
    decay, gain, settled = (np.asarray(x, dtype) for x in (decay, gain * w_in, settled))
    inner.state["u"] = np.zeros_like(inner.state["v"])

    def step(x: Array) -> Array:
        old = inner.state["u"]
        inner.state["u"] = decay * old + gain * x
        return inner.step((inner.state["u"] if sem.order == "synapse_first" else old) + settled)

    return Stepper(inner.state, step)


@stepper.register
def _i(node: I, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    one = np.ones(node.shape)
    return _membrane(sem, samples, one, node.r * integrator_gain(sem), 0 * one, None, None)


@stepper.register
def _if(node: IF, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    one = np.ones(node.shape)
    return _membrane(sem, samples, one, node.r * integrator_gain(sem), 0 * one, node.v_threshold, node.v_reset)


@stepper.register
def _li(node: LI, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    decay, gain = leaky(sem, node.tau)
    return _membrane(sem, samples, decay, gain * node.r, (1 - decay) * node.v_leak, None, None)


@stepper.register
def _lif(node: LIF, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    decay, gain = leaky(sem, node.tau)
    inner = _membrane(sem, samples, decay, gain * node.r, (1 - decay) * node.v_leak, node.v_threshold, node.v_reset,
                      node.v_init)
    return _resting(inner, refractory_steps(node, sem))


@stepper.register
def _cuba_li(node: CubaLI, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    decay, gain = leaky(sem, node.tau_mem)
    inner = _membrane(sem, samples, decay, gain * node.r, (1 - decay) * node.v_leak, None, None)
    return _with_synapse(sem, samples, node.tau_syn, node.w_in, inner, membrane)


@stepper.register
def _cuba_lif(node: CubaLIF, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    decay, gain = leaky(sem, node.tau_mem)
    inner = _membrane(sem, samples, decay, gain * node.r, (1 - decay) * node.v_leak, node.v_threshold, node.v_reset,
                      node.v_init)
    return _with_synapse(sem, samples, node.tau_syn, node.w_in, _resting(inner, refractory_steps(node, sem)), membrane)


@stepper.register
def _threshold(node: Threshold, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    theta = np.asarray(node.threshold, sem.precision)
    return Stepper({}, lambda x: (x > theta).astype(sem.precision))


@stepper.register
def _discrete(node: DiscreteLIF, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    state: State = {"u": np.repeat(node.u_init[None], samples, 0), "v": np.repeat(node.v_init[None], samples, 0)}

    def step(x: Array) -> Array:
        state["u"] = node.decay_u * state["u"] + x
        v = node.decay_v * state["v"] + state["u"] + node.bias
        if not node.fires:
            state["v"] = v
            return v
        z = v >= node.v_threshold if node.comparison == ">=" else v > node.v_threshold
        state["v"] = np.where(z, 0.0 if node.reset == "value" else v - node.reset_by, v)
        return z.astype(np.float64)

    return _resting(Stepper(state, step), node.refractory)
