"""quantize_gap: where the threshold of a neuron without memory may lie, so that none of its decisions changes.

With few synapses all sums that a frame can have are known. The threshold may be anywhere between the largest that must
not fire and the smallest that must; it is put where the circuit, which is not quite its pulse model and whose bias
currents are not quite what they should be, is least likely to decide otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MOST_ENUMERATED = 12
"""Synapses of a neuron up to which all sums are looked at."""
EARLY, LATE = 0.10, 0.02
"""Of a threshold: by how much below it our circuit of a soma may fire already, and by how much above not yet. Measured
with hwsdk's analog solver beside the pulse model (1 to 8 branches from 20 pH, 63 ps, bias from 60 uA, all pulses of a
frame at one time): of 8,148 sums more than 10 % below 12 fire, of 1,912 more than 2 % above 2 do not.
"""
BIAS_SPREAD = 0.1
"""Share by which bias currents may be off, chosen: half of what the library's narrowest cells bear (20 %). It moves a
soma's threshold, and is what the times of a netlist are planned for (mappers.sfq).
"""
SAFE = 1e-9
"""Of a threshold: rounding of sums."""


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """Between ``low``, the largest sum that must not fire, and ``high``, the smallest that must, inf if there is none.

    theta: the model's own threshold. fires (2^k): of every sum of k weights in the order of ``sums``, None where not
    all were looked at; then the threshold has to stay, and low and high are theta.
    """

    theta: float
    low: float
    high: float
    fires: NDArray[np.bool_] | None = None

    @property
    def settled(self) -> bool:
        """Whether all sums were looked at."""
        return self.fires is not None

    def best(self, moves: float) -> float:
        """Where both sides have the same room, see ``room``; that without moves comes first. Twice what is needed if
        nothing fires.
        """
        if not self.settled:
            return self.theta
        if math.isinf(self.high):
            return max(self.theta, (self.low + 2 * moves) / (1 - 2 * EARLY))
        least, most = self.low / (1 - EARLY), self.high / (1 + LATE)
        return min(max(self._even(moves), least), most) if least <= most else self._even(0.0)

    def _even(self, moves: float) -> float:
        """Where both sides have the same room."""
        a, b = LATE + EARLY, 2 * moves - LATE * self.low - EARLY * self.high
        return (math.sqrt(b * b + 4 * a * moves * (self.low + self.high)) - b) / (2 * a)

    def room(self, theta: float, moves: float = 0.0) -> float:
        """Distance of a threshold from the nearer end, 1: by as much as the circuit may be off, and its threshold
        ``moves`` besides; below 0: beyond it.
        """
        if not self.settled:
            return 1.0 if math.isclose(theta, self.theta, rel_tol=SAFE) else -1.0
        return min((theta - self.low) / (EARLY * theta + moves), (self.high - theta) / (LATE * theta + moves))

    def keeps(self, theta: float, more: float, less: float) -> bool:
        """Whether all decisions stay with this threshold if sums are off by up to ``more`` above and ``less`` below."""
        return not self.settled or (self.low + more < theta * (1 - SAFE)
                                    and theta * (1 + SAFE) <= self.high - less)

    def of(self, weight: Array, theta: float) -> Gap:
        """The same decisions with other weights, such as those that can be built; theta in their unit."""
        if self.fires is None:
            return Gap(theta, theta, theta)
        each = sums(weight)
        return replace(self, theta=theta, low=float(each[~self.fires].max()),
                       high=float(each[self.fires].min(initial=math.inf)))


def sums(weight: Array) -> Array:
    """(2^k) of every choice of k weights."""
    found = np.zeros(1)
    for w in weight:
        found = np.concatenate([found, found + w])
    return found


def gap_of(weight: Array, theta: float, comparison: str, free: bool) -> Gap:
    """Of a neuron with a threshold above 0. free: it has no memory, so that only the sums of one frame count."""
    if not free or len(weight) > MOST_ENUMERATED:
        return Gap(theta, theta, theta)
    each = sums(weight)
    return Gap(theta, theta, theta, each >= theta if comparison == ">=" else each > theta).of(weight, theta)
