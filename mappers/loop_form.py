"""loop_form: what current-summing somas can be built with, and how fast their currents can decay."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir import soma as law
from hwsdk.ir.cells import FS, SomaModel
from hwsdk.ir.circuit import PHI0
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.mappers.quantize_gap import BIAS_SPREAD
from hwsdk.targets.sfq import SfqTarget

Array = NDArray[np.float64]
Wrong = tuple[str, str, str]
"""(code, what, fix)"""
TIE = 1e-9
LEAST_H, LEAST_BIAS_A = 20e-12, 80e-6
"""Smallest inductor of a branch, and smallest bias current of a soma, that are used of what was characterised: with
less the circuit and its pulse model part (hwsdk's analog solver, 63 ps, pulses of a frame at one time). Of sums farther
than 6 uA from the threshold 0.9 % are decided otherwise from 60 uA and 20 pH, 1.9 % from 10 pH, 20 % below 60 uA: the
flip then stays in the inductor between soma and output until a later frame, with 7 strong branches at 63 uA too.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Soma:
    """A soma of so many branches. inductance_h, resistance_ohm, bias_a: smallest and largest that the model was fitted
    for; inductance_grid_h, bias_grid_a: steps that the layout and the bias currents have.
    """

    model: SomaModel
    inductance_h: tuple[float, float]
    resistance_ohm: tuple[float, float]
    bias_a: tuple[float, float]
    inductance_grid_h: float = 1e-13
    bias_grid_a: float = 1e-7

    def current(self, l_h: float, inhibitory: bool) -> float:
        """A: what a pulse adds through a branch of l_h, without its sign."""
        return PHI0 / (l_h + self.model.l_x_h) * (self.model.inhibition if inhibitory else 1.0)

    def inductors(self, tau_fs: float) -> tuple[float, float]:
        """henry: the smallest and the largest of a branch with this decay time, whose resistor is within its range if
        no other branch loads it; the smallest is above the largest if there is none.
        """
        low, high = (r * tau_fs * FS - self.model.l_x_h for r in self.resistance_ohm)
        low, high = max(low, self.inductance_h[0]), min(high, self.inductance_h[1])
        g = self.inductance_grid_h
        return math.ceil(low / g - TIE) * g, math.floor(high / g + TIE) * g

    def inductor(self, current: float, tau_fs: float, inhibitory: bool) -> float:
        """henry, on the grid: the branch whose pulses add ``current`` A, or the nearest that there is."""
        low, high = self.inductors(tau_fs)
        exact = law.inductor_for(self.model, -current if inhibitory else current, self.inductance_grid_h)
        return min(max(exact, low), high)

    def span(self, tau_fs: float, inhibitory: bool) -> tuple[float, float]:
        """A: the smallest and the largest weight of one branch."""
        low, high = self.inductors(tau_fs)
        return self.current(high, inhibitory), self.current(low, inhibitory)

    def threshold(self, exciting_a: float, bias_a: float, tau_fs: float) -> float:
        """A: sum from which it fires; exciting_a: of the weights above 0."""
        return law.excess(self.model, tau_fs * FS) * law.threshold(self.model, [exciting_a], bias_a)

    def thresholds(self, exciting_a: float, tau_fs: float) -> tuple[float, float]:
        """A: the lowest and the highest that a bias current can set."""
        low, high = (self.threshold(exciting_a, b, tau_fs) for b in self.bias_a[::-1])
        return low, high

    def moves(self, exciting_a: float, tau_fs: float) -> float:
        """A: by how much the threshold moves if the largest bias current is off by BIAS_SPREAD."""
        most = self.bias_a[1]
        return self.threshold(exciting_a, most * (1 - BIAS_SPREAD), tau_fs) - self.threshold(exciting_a, most, tau_fs)

    def bias(self, theta_a: float, exciting_a: float, tau_fs: float) -> float:
        """A, on the grid and within its range: the bias current for a threshold."""
        exact = law.bias_for(self.model, [exciting_a], theta_a / law.excess(self.model, tau_fs * FS))
        low, high = self.bias_a
        return min(max(round(exact / self.bias_grid_a) * self.bias_grid_a, low), high)


@dataclass(frozen=True, slots=True, eq=False)
class LoopForm:
    """What a target's somas can be built with.

    soma: by fan-in, from fan_in[0] to fan_in[1]. lead_fs: by how much the pulses of inhibitory branches arrive before
    those of the others, so that no sum crosses the threshold before all of it is there.
    """

    soma: Callable[[int], Soma]
    fan_in: tuple[int, int]
    lead_fs: int


def loop_form(target: SfqTarget, lead_fs: int) -> LoopForm:
    """What a target's description says of its somas."""
    def soma(fan_in: int) -> Soma:
        row = target.soma_row(fan_in)
        model = target.soma(fan_in).soma
        if model is None:
            raise InternalError(f"SOMA{fan_in} has no model")
        (l0, l1), (r0, r1), (b0, b1) = row.range.branch_l_h, row.range.branch_r_ohm, row.range.bias_a
        return Soma(model, (max(l0, LEAST_H), l1), (r0, r1), (max(b0, LEAST_BIAS_A), b1))

    known = target.somas.fan_ins
    return LoopForm(cache(soma), (known[0], known[-1]) if known else (1, 0), lead_fs)


def loop_taus(cell: DiscreteLIF, form: LoopForm, frame_fs: float, tau_fs: int | None = None) -> Array:
    """fs (n): the decay time of each neuron; of one without memory tau_fs, or the shortest that suits every L."""
    a, least = cell.decay_v.ravel(), form.soma(form.fan_in[0])
    shortest = tau_fs or (least.inductance_h[1] + least.model.l_x_h) / least.resistance_ohm[1] * 1e15
    with np.errstate(divide="ignore"):
        return np.where(a == 0, shortest, -frame_fs / np.log(np.where(a == 0, 0.5, a)))


def tau_range(form: LoopForm, every: bool = False) -> tuple[float, float]:
    """fs: the shortest and the longest decay time that some branch has; every: that a branch of any inductor has."""
    soma = form.soma(form.fan_in[0])
    low, high = (x + soma.model.l_x_h for x in soma.inductance_h)
    weak, strong = soma.resistance_ohm
    return (high / strong / FS, low / weak / FS) if every else (low / strong / FS, high / weak / FS)


def frame_range(decays: Array, form: LoopForm, every: bool = False) -> tuple[float, float]:
    """fs: the shortest and the longest frame with which all these leaks have branches, see ``tau_range``; the shortest
    is above the longest if there is none. decays: what neurons keep of v in a step, above 0 and below 1.
    """
    rate, (shortest, longest) = -np.log(decays), tau_range(form, every)
    return float((shortest * rate).max(initial=0)), float((longest * rate).min(initial=np.inf))


def wrong_tau(cell: DiscreteLIF, taus: Array, neuron: int, form: LoopForm) -> Wrong | None:
    """There must be a branch with this decay time."""
    soma = form.soma(form.fan_in[0])
    low, high = soma.inductors(float(taus[neuron]))
    if low <= high:
        return None
    shortest, longest = (x / 1000 for x in tau_range(form))
    what = f"needs a decay time of {taus[neuron] / 1000:.3g} ps, branches have {shortest:.3g} to {longest:.3g}"
    decays = cell.decay_v.ravel()
    if not decays[neuron]:
        return "LOOP_TAU", what, f"choose a tau of {math.ceil(tau_range(form, True)[0] / 1000)} (tau=PS)"
    frame = float(-taus[neuron] * np.log(decays[neuron]))
    keeps = [math.exp(-frame / tau) for tau in tau_range(form, True)]
    fix = f"train neurons that keep {keeps[0]:.2g} to {keeps[1]:.2g} of v in a step of {frame / 1000:.5g} ps"
    first, last = frame_range(decays[decays > 0], form, True)
    return "LOOP_TAU", what, fix + (f", or choose a frame of {first / 1000:.4g} to {last / 1000:.4g} ps (frame=PS), if "
                                    "all is done by then" if first <= last else "")
