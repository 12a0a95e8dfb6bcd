"""What an event-based gated recurrent unit computes in one step: the formulas of hwsdk.ir.recurrent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.recurrent import EGRU
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators.reference_neurons import State, Stepper, stepper

Array = NDArray[Any]


LARGEST = 700.0
"""exp of it is finite in float64, and infinite in float32."""


def _rounded_once(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of float64 arrays as NumPy has it; of float32 ones with the platform's double precision function,
    rounded once: NumPy's own float32 functions differ from machine to machine, and from what a kernel calls.
    """
    each = np.frompyfunc(function, 1, 1)
    whole = getattr(np, function.__name__)

    def of(x: Array) -> Array:
        if x.dtype != np.float32:
            return np.asarray(whole(x))
        return np.asarray(each(np.minimum(x.astype(np.float64), LARGEST)), np.float64).astype(np.float32)

    return of


exp, tanh = _rounded_once(math.exp), _rounded_once(math.tanh)


def sigma(x: Array) -> Array:
    """1 / (1 + exp(-x)); 0 where exp overflows."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + exp(-x)))


@stepper.register
def _egru(node: EGRU, sem: Semantics, samples: int, membrane: Array | None) -> Stepper:
    dtype = np.dtype(sem.precision)
    theta, bias_z, bias_r, bias_x, bias_h = (
        a.astype(dtype) for a in (node.theta, node.bias_z, node.bias_r, node.bias_x, node.bias_h))
    state: State = {"h": np.zeros((samples, *node.shape), dtype)}

    def step(a: Array) -> Array:
        z, r = sigma(a[:, 0] + bias_z), sigma(a[:, 1] + bias_r)
        g = tanh((a[:, 2] + bias_x) + r * (a[:, 3] + bias_h))
        c = z * state["h"] + (1 - z) * g
        fires = c > theta
        state["h"] = np.where(fires, c - theta, c)
        return np.asarray(np.where(fires, c, np.zeros_like(c)))

    return Stepper(state, step)
