"""Writing with verification: pulses until a cell is near enough to its target, and how many that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]


class Draws(Protocol):
    """Where random numbers come from: a NumPy Generator, or the places of a die."""

    def standard_normal(self, size: tuple[int, ...]) -> Array:
        """Standard normal numbers."""

    def random(self, size: tuple[int, ...]) -> Array:
        """Uniform numbers in [0, 1)."""


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """After a verified write. conductances in S; pulses: of every cell; missed: still out of tolerance after the last
    pulse that was allowed.
    """

    conductances: Array
    pulses: NDArray[np.int64]
    missed: NDArray[np.bool_]


def write_verify(target: Array, sigma: float, tolerance: float, most: int, rng: Draws) -> Verified:
    """Pulses, each of which leaves target + sigma N, until |G - target| <= tolerance; at most ``most``. All in S.

    A model in which pulses are independent: errors are a normal cut at the tolerance, and the pulses are geometric with
    p = 2 Phi(tolerance / sigma) - 1. Real loops step towards the target, so the pulses of a cell depend on each other.
    """
    error = sigma * rng.standard_normal(target.shape)
    pulses = np.ones(target.shape, np.int64)
    for _ in range(most - 1):
        if not (again := np.abs(error) > tolerance).any():
            break
        error = np.where(again, sigma * rng.standard_normal(target.shape), error)
        pulses += again
    return Verified(target + error, pulses, np.abs(error) > tolerance)


def hit(sigma: float, tolerance: float) -> float:
    """Probability that a pulse ends within the tolerance."""
    return 1.0 if sigma == 0 else float(2 * ndtr(tolerance / sigma) - 1)


def expected_pulses(sigma: float, tolerance: float, most: int) -> float:
    """Mean pulses of a cell: (1 - (1 - p)^most) / p."""
    p = hit(sigma, tolerance)
    return float(most) if p == 0 else (1 - (1 - p) ** most) / p


def verified_sigma(sigma: float, tolerance: float, most: int) -> float:
    """Standard deviation of the error that is left, of cells that were hit and of those that were missed."""
    if sigma == 0:
        return 0.0
    z, p = tolerance / sigma, hit(sigma, tolerance)
    inside = p - 2 * z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    lost = (1 - p) ** most
    within = (1 - lost) * inside / p if p else 0.0
    beyond = lost * (1 - inside) / (1 - p) if p < 1 else 0.0
    return sigma * math.sqrt(within + beyond)
