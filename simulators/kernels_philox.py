"""Philox4x32-10, a counter-based random generator: any number of a stream can be drawn alone, in any order.

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011, 10.1145/2063384.2063405. Words of
32 bits are held in uint64.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math

import numpy as np

from hwsdk.simulators.kernels_sync import inner, kernel

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
"""Multipliers of the paper."""
W0, W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
"""What the key grows by in a round: the golden ratio, and the square root of 3 less 1."""
WORD, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
FIVE, SIX = np.uint64(5), np.uint64(6)
ROUNDS = 10
TINY = 2.0**-53


@inner
def philox(k0: np.uint64, k1: np.uint64, c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64,
           ) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Four random words for a key of two words and a counter of four."""
    for _ in range(ROUNDS):
        a, b = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (b >> HALF) ^ c1 ^ k0, b & WORD, (a >> HALF) ^ c3 ^ k1, a & WORD
        k0, k1 = (k0 + W0) & WORD, (k1 + W1) & WORD
    return c0, c1, c2, c3


@kernel
def normals(k0: np.uint64, k1: np.uint64, sample: int, step: int, unit: np.uint64) -> tuple[float, float]:
    """Two independent standard normal numbers (Box and Muller) for a key and a counter of sample, step and unit, of
    which sample and step have 32 bits and the unit has 64.
    """
    a, b, c, d = philox(k0, k1, np.uint64(sample) & WORD, np.uint64(step) & WORD, unit & WORD, unit >> HALF)
    first = (float(a >> FIVE) * 67108864.0 + float(b >> SIX) + 0.5) * TINY
    second = (float(c >> FIVE) * 67108864.0 + float(d >> SIX)) * TINY
    radius, angle = math.sqrt(-2.0 * math.log(first)), 2.0 * math.pi * second
    return radius * math.cos(angle), radius * math.sin(angle)
