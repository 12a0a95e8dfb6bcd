"""What each single-precision neuron computes in one step, written plainly: the formulas of hwsdk.ir.single."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF
from hwsdk.simulators.reference_neurons import State, Stepper, stepper

Array = NDArray[Any]


@stepper.register
def _lif(node: SingleLIF, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    decay_u, decay_v, bias, theta, reset_by, u_init, v_init = (x.astype(np.float32) for x in (
        node.decay_u, node.decay_v, node.bias, node.v_threshold, node.reset_by, node.u_init, node.v_init))
    state: State = {"u": np.repeat(u_init[None], samples, 0), "v": np.repeat(v_init[None], samples, 0)}
    rests = np.zeros(node.shape, np.int64) if node.refractory is None else node.refractory
    left = np.zeros(state["v"].shape, np.int64)

    def step(a: Array) -> Array:
        nonlocal left
        state["u"] = decay_u * state["u"] + a.astype(np.float32)
        v = ((decay_v * state["v"]) + state["u"]) + bias
        v = np.where(left > 0, state["v"], v)
        if not node.fires:
            state["v"] = v
            return np.asarray(v, np.float64)
        z = (v >= theta if node.comparison == ">=" else v > theta) & (left == 0)
        left = np.where(z, rests, np.maximum(left - 1, 0))
        state["v"] = np.where(z, np.float32(0) if node.reset == "value" else v - reset_by, v)
        return np.asarray(z, np.float64)

    return Stepper(state, step)
