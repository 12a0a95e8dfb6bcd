"""What an event-based gated recurrent unit computes in one step: the formulas of hwsdk.ir.recurrent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.recurrent import EGRU
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators.reference_neurons import State, Stepper, stepper

Array = NDArray[Any]


def sigma(x: Array) -> Array:
    """1 / (1 + exp(-x)); 0 where exp overflows."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-x)))


@stepper.register
def _egru(node: EGRU, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    dtype = np.dtype(sem.precision)
    theta, bias_z, bias_r, bias_x, bias_h = (
        a.astype(dtype) for a in (node.theta, node.bias_z, node.bias_r, node.bias_x, node.bias_h))
    state: State = {"h": np.zeros((samples, *node.shape), dtype)}

    def step(a: Array) -> Array:
        z, r = sigma(a[:, 0] + bias_z), sigma(a[:, 1] + bias_r)
        g = np.tanh((a[:, 2] + bias_x) + r * (a[:, 3] + bias_h))
        c = z * state["h"] + (1 - z) * g
        fires = c > theta
        state["h"] = np.where(fires, c - theta, c)
        return np.asarray(np.where(fires, c, np.zeros_like(c)))

    return Stepper(state, step)
