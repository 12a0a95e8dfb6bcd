"""quantize_counter: scales and integers of neurons that count pulses.

A neuron's weights times its scale become whole numbers W; of a memoryless neuron nothing else is rounded, since
W s + b > theta is the same as W s >= floor(theta - b) + 1 for whole W s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Synapses
from hwsdk.mappers.pulse_rules import memoryless

Array = NDArray[np.float64]
BITS = (2, 16)
ON_GRID = 1e-6
"""Numbers that are whole to this share of a unit are taken as whole."""
LARGEST = float((1 << 40) - 1)
"""Thresholds, biases and resets of a counter are no larger; float64 holds such integers, and their sums, exactly."""
MAX_CANDIDATES = 1024
"""So many scales are compared by their errors, from the largest down; exact ones are looked for among all."""


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """What enters a population: every synapse's weight, target, source, delay and projection (its place among those of
    the population), sorted by target; ptr (n+1).
    """

    weight: Array
    target: NDArray[np.int64]
    source: NDArray[np.int64]
    delay_ticks: NDArray[np.int64]
    projection: NDArray[np.int64]
    ptr: NDArray[np.int64]

    def sums(self, values: Array) -> Array:
        """(n): one value a synapse, added up for each target."""
        return np.asarray(np.bincount(self.target, weights=values, minlength=len(self.ptr) - 1), np.float64)


def fan_of(synapses: list[Synapses], n: int) -> Fan:
    """The synapses of all projections onto a population of n neurons."""
    weight = np.concatenate([np.zeros(0), *(np.asarray(s.weight, np.float64) for s in synapses)])
    target, source, ticks, projection = (np.concatenate([np.zeros(0, np.int64), *x]) for x in zip(*(
        (s.target, s.source, s.delay_ticks, np.full(len(s.target), i)) for i, s in enumerate(synapses)), strict=True)
    ) if synapses else [np.zeros(0, np.int64)] * 4
    order = np.argsort(target, kind="stable")
    ptr = np.r_[0, np.cumsum(np.bincount(target, minlength=n))].astype(np.int64)
    return Fan(weight[order], target[order], source[order], ticks[order], projection[order], ptr)


def counter_scales(cell: DiscreteLIF, fan: Fan, bits: int, per_neuron: bool) -> Array:
    """(n): units of the counter per unit of the model.

    Weights that are whole numbers already keep the scale 1. Otherwise it is the smallest scale that makes all weights
    (and what else an IF neuron adds: bias and reset) whole; or, if there is none below 2^(bits-1), that of the least
    sum of errors.
    """
    limit = (1 << (bits - 1)) - 1
    if not per_neuron:
        every = np.arange(cell.n)
        return np.full(cell.n, _scale(fan.weight, _others(cell, every), limit))
    found: dict[bytes, float] = {}
    scales = np.ones(cell.n)
    for i in range(cell.n):
        weights, others = np.sort(np.abs(fan.weight[fan.ptr[i] : fan.ptr[i + 1]])), _others(cell, np.array([i]))
        key = weights.tobytes() + b"|" + others.tobytes()
        if key not in found:
            found[key] = _scale(weights, others, limit)
        scales[i] = found[key]
    return scales


def _others(cell: DiscreteLIF, neurons: NDArray[np.int64]) -> Array:
    """What else must be whole: all that a membrane with memory adds up."""
    if memoryless(cell):
        return np.zeros(0)
    added = [cell.bias.ravel()[neurons], cell.v_start.ravel()[neurons]]
    added += [cell.reset_by.ravel()[neurons]] if cell.reset == "subtract" else []
    return np.concatenate(added)


def _scale(weights: Array, others: Array, limit: int) -> float:
    """One scale for these weights; see counter_scales."""
    values, counts = np.unique(np.abs(np.concatenate([weights, others])), return_counts=True)
    values, counts = values[values > 0], counts[values > 0]
    peak = float(np.abs(weights).max(initial=0.0))
    if not len(values) or (_whole(values).all() and peak <= limit + ON_GRID):
        return 1.0
    top = peak or float(values.max())  # a neuron without weights has only its bias to keep
    limit = limit if peak else (1 << (BITS[1] - 1)) - 1
    scales = np.arange(1, limit + 1) / top
    exact = scales
    for part in (values[:1], values[:8], values):  # few scales pass the first tests
        exact = exact[_whole(np.outer(exact, part)).all(axis=1)]
    if len(exact):
        return float(exact[0])
    scales = scales[-MAX_CANDIDATES:]
    x = np.outer(scales, values)
    return float(scales[np.argmin((np.abs(x - np.rint(x)) * counts).sum(axis=1) / scales)])


def _whole(x: Array) -> NDArray[np.bool_]:
    """Where numbers are whole, and not 0."""
    near = np.rint(x)
    return np.asarray((np.abs(x - near) <= ON_GRID) & (near != 0))


def counter_synapses(s: Synapses, scale: Array, bits: int) -> Synapses:
    """The projection with whole weights (float64), without those that became 0."""
    whole = np.rint(np.asarray(s.weight, np.float64) * scale[s.target]) + 0.0
    keep = whole != 0
    return replace(s, source=s.source[keep], target=s.target[keep], weight=whole[keep], shared=None,
                   delay_ticks=s.delay_ticks[keep], weight_exp=0, weight_bits=bits, sign_mode="mixed")


def counter_cell(name: str, cell: DiscreteLIF, scale: Array, lag: int) -> DiscreteLIF:
    """The population in whole numbers.

    Raises:
        UnsupportedError: VALUE_RANGE.
    """
    s = scale.reshape(cell.shape)
    free = memoryless(cell)
    bias = _nearest(cell.bias * s)
    moved = np.where(np.abs(cell.bias * s - bias) <= ON_GRID, 0.0, cell.bias * s) if free else 0 * s
    bias = np.where(moved != 0, 0.0, bias)
    theta = whole_threshold(cell.v_threshold * s - moved, cell.comparison)
    if free:  # what no counter reaches is as good as what is just out of reach
        theta = np.clip(theta, -LARGEST, LARGEST)
    start, zero = _nearest(cell.v_start * s), np.zeros(cell.shape)
    begin = start - lag * bias if (cell.v_init != cell.v_start).any() else start
    reset_by = zero if cell.reset == "value" else _nearest(cell.reset_by * s)
    for what, values in (("v_threshold", theta), ("bias", bias), ("v_init", begin), ("reset_by", reset_by)):
        if np.abs(values).max(initial=0.0) > LARGEST:
            raise UnsupportedError(f"{what} becomes {float(np.abs(values).max()):g} units of the weights, the limit is "
                                   f"{LARGEST:g}", where=name, code="VALUE_RANGE",
                                   fix="check the units of the model, or remove the weights that are next to nothing")
    gain = s if cell.gain is None else cell.gain * s
    return replace(cell, bias=bias, v_threshold=theta, reset_by=reset_by, v_init=zero if free else begin,
                   v_start=zero if free else start, u_init=zero, u_start=zero, v_offset=cell.v_offset * s + moved,
                   comparison=">=", gain=gain, refractory=None)


def whole_threshold(theta: Array, comparison: str) -> Array:
    """The whole number t for which v >= t is the comparison of any whole v with theta."""
    near = np.rint(theta)
    theta = np.where(np.abs(theta - near) <= ON_GRID, near, theta)
    return np.asarray((np.ceil(theta) if comparison == ">=" else np.floor(theta) + 1) + 0.0)


def _nearest(x: Array) -> Array:
    """Rounded, without a negative zero."""
    return np.asarray(np.rint(x) + 0.0)
