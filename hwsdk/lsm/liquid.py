"""A liquid as a Network: leaky neurons with fixed random weights, driven by inputs and by each other."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.nodes import Linear, frozen
from hwsdk.ir.semantics import Semantics
from hwsdk.lsm.topology import Topology, Wiring, wiring

DT = 1e-3
"""Seconds of a step."""


def liquid(n_inputs: int, n: int, *, seed: int = 0, c_in: float = 0.15, c_rec: float | None = None, decay: float = 0.9,
           threshold: float = 1.0, topology: Topology | None = None, name: str = "liquid") -> Network:
    """A liquid of ``n`` neurons: V <- decay V (1 - s) + c_in W_in x + c_rec W_rec s', a spike s when V > threshold.

    s' are the spikes of the step before. The nodes are in, w_in, w_rec, liquid and out; the membrane's gain is exactly
    1, so the weights are c_in W_in and c_rec W_rec as they stand. A spike sets V to 0 in the step of the spike, which
    is the same as the factor (1 - s) in the next.

    Args:
        n_inputs: channels. seed: of the weights, see ``hwsdk.lsm.topology.wiring``.
        c_in, c_rec: scales of the weights; c_rec None is 0.05 sqrt(256 / n).
        decay: of the membrane in a step, 0 to less than 1. topology: None is Dense.

    Raises:
        ModelError: OUT_OF_RANGE, BAD_SHAPE.
    """
    drawn = wiring(n_inputs, n, seed, topology)
    scale = recurrence(n) if c_rec is None else c_rec
    return network_of(drawn, c_in=c_in, c_rec=scale, decay=decay, threshold=threshold, name=name)


def recurrence(n: int) -> float:
    """The scale of the recurrent weights at which the sum over n neurons keeps its size: 0.05 sqrt(256 / n)."""
    return 0.05 * math.sqrt(256 / n)


def network_of(drawn: Wiring, *, c_in: float = 1.0, c_rec: float = 1.0, decay: float = 0.9, threshold: float = 1.0,
               name: str = "liquid") -> Network:
    """The liquid of given weights, see ``liquid``."""
    n_inputs, n = drawn.w_in.shape
    tau, r = membrane(decay)
    builder = NetworkBuilder(name).input("in", n_inputs)
    builder.add("w_in", Linear(frozen((c_in * drawn.w_in).T))).add("w_rec", Linear(frozen((c_rec * drawn.w_rec).T)))
    builder.population("liquid", neuron(LIF, n, tau=tau, r=r, v_threshold=threshold))
    builder.connect("in", "w_in").connect("w_in", "liquid")
    builder.connect("liquid", "w_rec").connect("w_rec", "liquid", delay_ticks=1).output("out", "liquid")
    return builder.build(Semantics(dt=DT))


def membrane(decay: float) -> tuple[float, float]:
    """(tau in s, r): the gain r dt / tau is exactly 1 in float64, and 1 - dt / tau the nearest there is to ``decay``.

    For most decays, such as 0.9, 0.95 and 0.97, that is the decay itself; for the others it is less than 2e-15 away.

    Raises:
        ModelError: OUT_OF_RANGE.
    """
    if not 0 <= decay < 1:
        raise ModelError(f"a membrane that keeps {decay!r} of its potential in a step", where="liquid",
                         code="OUT_OF_RANGE", fix="choose 0 <= decay < 1")
    found = []
    for k, j in product(range(-8, 9), range(-2, 3)):
        tau = _moved(DT / round(1 - decay, 15), k)
        r = _moved(1 / (DT / tau), j)
        if DT / tau * r == 1:
            found.append((abs(1 - DT / tau - decay), abs(k) + abs(j), tau, r))
    return min(found)[2:]


def _moved(x: float, steps: int) -> float:
    """The float so many neighbours above x."""
    for _ in range(abs(steps)):
        x = float(np.nextafter(x, math.copysign(math.inf, steps)))
    return x
