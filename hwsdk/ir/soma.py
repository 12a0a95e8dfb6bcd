"""ir.soma: branches of a current-summing soma, and what they do to it by its SomaModel; both ways, parts and weights.

A direct branch is an inductor and a resistor in series from a transmission line to the soma; each pulse leaves one flux
quantum across it, so a current PHI0 / (L + l_x) flows, until the resistor has eaten it. A branch that inhibits ends at
the soma junction's foot, an inductor to ground; there its current lifts the junction's lower side, which takes current
from the junction: a transformer of reversed winding whose coils share that inductor (an autotransformer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.cells import FS, SomaModel
from hwsdk.ir.circuit import PHI0

FOOT_H = 2e-12
"""henry between the soma junction and ground, our own sizing: more inhibits better, but raises every threshold."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Branch:
    """l_h, r_ohm: inductor and resistor in series. k: 0 for a direct branch; below 0 it inhibits, see ``coupling``."""

    l_h: float
    r_ohm: float
    k: float = 0.0


def coupling(l_h: float) -> float:
    """k of a branch of l_h that inhibits: its coils are L + foot and the foot."""
    return -math.sqrt(FOOT_H / (l_h + FOOT_H))


def weights(model: SomaModel, branches: Sequence[Branch]) -> Array:
    """(B,) A: what a pulse adds through each branch, below 0 if it inhibits."""
    own = np.array([PHI0 / (b.l_h + model.l_x_h) for b in branches])
    return own * [-model.inhibition if b.k < 0 else 1.0 for b in branches]


def decay_times(model: SomaModel, branches: Sequence[Branch]) -> Array:
    """(B,) s. The soma's own inductance is in the way of every direct branch, shared by all of them."""
    own = np.array([(b.l_h + model.l_x_h) / b.r_ohm for b in branches])
    load = 1 + model.l_soma_h * sum(1 / (b.l_h + model.l_x_h) for b in branches if b.k >= 0)
    return own * [1.0 if b.k < 0 else load for b in branches]


def losses(model: SomaModel, weight_a: Array, tau_fs: Array) -> Array:
    """(B,) A: what the current of each branch loses when the soma fires, counted at the time of the pulse."""
    late = np.exp(np.minimum(model.flip_fs / tau_fs, 1.0))
    return np.asarray(model.reset * np.maximum(weight_a, 0) * late, np.float64)


def resets(model: SomaModel, branches: Sequence[Branch]) -> Array:
    """``losses`` of branches."""
    return losses(model, weights(model, branches), decay_times(model, branches) / FS)


def threshold(model: SomaModel, weight_a: Sequence[float] | Array, bias_a: float) -> float:
    """A: sum of the branches' currents from which a soma fires, if they did not decay."""
    return model.ic_eff_a - model.alpha * bias_a + (model.load - model.relief * bias_a) * exciting(weight_a)


def exciting(weight_a: Sequence[float] | Array) -> float:
    """A: sum of the weights above 0, one after the other, as the simulators add."""
    return float(np.maximum(np.asarray(weight_a, np.float64), 0).cumsum()[-1])


def bias_for(model: SomaModel, weight_a: Sequence[float] | Array, threshold_a: float) -> float:
    """A: the soma's bias current for a threshold; the inverse of ``threshold``."""
    return (threshold(model, weight_a, 0.0) - threshold_a) / (model.alpha + model.relief * exciting(weight_a))


def excess(model: SomaModel, tau_s: float) -> float:
    """Factor on the threshold when all currents decay with tau_s, as the soma must flip before they are gone: the root
    y of y - 1 = (critical y / tau)^(2/3).
    """
    c: float = (model.critical_fs * FS / tau_s) ** (2 / 3)
    low, high = 1.0, (1 + c) ** 3
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if middle - 1 < c * middle ** (2 / 3) else (low, middle)
    return high


def inductor_for(model: SomaModel, weight_a: float, grid_h: float = 0.0) -> float:
    """henry of the branch with this weight, below 0 for one that inhibits; on a grid of grid_h, if it is not 0."""
    exact = PHI0 * (model.inhibition if weight_a < 0 else 1.0) / abs(weight_a) - model.l_x_h
    return round(exact / grid_h) * grid_h if grid_h else exact


def branches_for(model: SomaModel, weight_a: Sequence[float], tau_s: float, grid_h: float = 0.0) -> list[Branch]:
    """Branches of a soma with these weights, all decaying with tau_s.

    Inductors may come out below 0 where a weight is beyond what one branch can have; see ``span``.
    """
    henry = [inductor_for(model, w, grid_h) for w in weight_a]
    load = 1 + model.l_soma_h * sum(1 / (x + model.l_x_h) for x, w in zip(henry, weight_a, strict=True) if w >= 0)
    return [Branch(x, (x + model.l_x_h) / tau_s * (1.0 if w < 0 else load), coupling(x) if w < 0 else 0.0)
            for x, w in zip(henry, weight_a, strict=True)]


def span(model: SomaModel, inductance_h: tuple[float, float], inhibits: bool = False) -> tuple[float, float]:
    """A: the smallest and the largest size of a weight of a branch within (least, most) henry."""
    factor = PHI0 * (model.inhibition if inhibits else 1.0)
    return factor / (inductance_h[1] + model.l_x_h), factor / (inductance_h[0] + model.l_x_h)
