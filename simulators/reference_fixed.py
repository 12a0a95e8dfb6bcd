"""What each integer neuron computes in one step, written plainly: the formulas of hwsdk.ir.fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedRF, FixedSigmaDelta
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators.reference_neurons import State, Stepper, stepper

Array = NDArray[Any]
U_WRAP, V_MAX = 1 << 23, (1 << 23) - 1


def tz(x: Array, bits: int) -> Array:
    """x / 2^bits, rounded toward zero."""
    return np.asarray(np.sign(x) * (np.abs(x) >> bits))


def current(u: Array, du: Array, a: Array) -> Array:
    """The synaptic current of the next step, wrapped."""
    u = tz(u * (4096 - (du + 1)), 12) + (a.astype(np.int64) << 6)
    return np.where(u > U_WRAP, u - 2 * U_WRAP, np.where(u <= -U_WRAP, u + 2 * U_WRAP, u))


def _starting(samples: int, **initial: Array) -> State:
    """A state for every sample."""
    return {name: np.repeat(value[None], samples, 0) for name, value in initial.items()}


@stepper.register
def _lif(node: FixedLIF, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    state = _starting(samples, u=node.u_init, v=node.v_init)
    bias, theta = node.bias, node.vth << 6
    rests = np.zeros(node.shape, np.int64) if node.refractory is None else node.refractory
    resting = np.zeros_like(state["v"])
    t = 0

    def step(x: Array) -> Array:
        nonlocal t, resting
        t += 1
        if node.reset_interval and t % node.reset_interval == node.reset_offset % node.reset_interval:
            state["u"], state["v"] = 0 * state["u"], 0 * state["v"]
        u = current(state["u"], node.du, x)
        v = np.clip(tz(state["v"] * (4096 - node.dv), 12) + u + bias, -V_MAX, V_MAX)
        v = np.where(resting > 0, state["v"], v)
        z = (v > theta) & (resting == 0) if node.fires else np.zeros(v.shape, bool)
        resting = np.where(z, rests, np.maximum(resting - 1, 0))
        state["u"] = u
        state["v"] = np.where(z, 0 if node.reset == "value" else v - node.reset_by, v)
        return z.astype(np.int64) if node.fires else state["v"]

    return Stepper(state, step)


@stepper.register
def _atrlif(node: FixedATRLIF, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    theta_0, theta_step = node.vth << 6, node.theta_step << 6
    state = _starting(samples, u=node.u_init, v=node.v_init, theta=theta_0, r=0 * theta_0)

    def step(x: Array) -> Array:
        state["u"] = current(state["u"], node.du, x)
        v = tz(state["v"] * (4096 - node.dv), 12) + state["u"] + node.bias
        state["v"] = np.clip(v, -V_MAX, V_MAX)
        theta = tz((state["theta"] - theta_0) * (4096 - node.dtheta), 12) + theta_0
        r = tz(state["r"] * (4096 - node.dr), 12)
        z = (state["v"] - r >= theta).astype(np.int64)
        state["r"], state["theta"] = r + 2 * theta * z, theta + theta_step * z
        return np.asarray(z)

    return Stepper(state, step)


@stepper.register
def _rf(node: FixedRF, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    state = _starting(samples, re=node.re_init, im=node.im_init)
    bits = node.decay_bits

    def step(x: Array) -> Array:
        a = x.astype(np.int64) << node.state_exp
        re, im = state["re"], state["im"]
        new_re = np.clip(tz(node.cos * re, bits) - tz(node.sin * im, bits) + a[:, 0], -V_MAX, V_MAX)
        new_im = np.clip(tz(node.sin * re, bits) + tz(node.cos * im, bits) + a[:, 1], -V_MAX, V_MAX)
        if node.izhikevich:
            z = new_im >= node.vth
            new_re, new_im = np.where(z, 0, new_re), np.where(z, node.vth - 1, new_im)
        else:
            z = (new_re >= node.vth) & (new_im >= 0) & (im < 0)
        state["re"], state["im"] = new_re, new_im
        return np.asarray(z.astype(np.int64))

    return Stepper(state, step)


@stepper.register
def _sigma_delta(node: FixedSigmaDelta, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    zero = np.zeros(node.shape, np.int64)
    state = _starting(samples, sigma=zero, act=zero, residue=zero, error=zero)

    def step(a: Array) -> Array:
        if node.encodes:
            x = a.astype(np.int64) << (node.spike_exp + node.state_exp)
        else:
            state["sigma"] = state["sigma"] + a.astype(np.int64)
            x = state["sigma"] + node.bias
            x = np.maximum(x, 0) if node.activation == "relu" else x
        d = x - state["act"] + state["residue"]
        compared = state["error"] + d if node.cum_error else d
        spike = np.where((np.abs(compared) >= node.theta) & node.fires, d, 0)
        if node.cum_error:
            state["error"] = np.where(spike != 0, 0, compared)
        state["residue"], state["act"] = d - spike, x
        return np.asarray(spike >> node.state_exp) if node.fires else x

    return Stepper(state, step)


@stepper.register
def _graded(node: FixedGraded, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    def step(a: Array) -> Array:
        x = a.astype(np.int64)
        return np.where((x if node.relu else np.abs(x)) > node.vth, x, 0)

    return Stepper({}, step)
