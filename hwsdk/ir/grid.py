"""The grid of integer weights on Loihi-style chips (lava-nc 0.10.0, lava/utils/weightutils.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.nodes import ConvSynapses, Synapses

SIGN_MODES = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}
"""Sign mode -> smallest and largest mantissa."""
MAX_WEIGHT_EXP = 7


def sign_mode(weight: NDArray[Any]) -> str:
    """Lava's sign mode: "excitatory", "inhibitory" or "mixed"."""
    if not weight.size or weight.min() >= 0:
        return "excitatory"
    return "inhibitory" if weight.max() <= 0 else "mixed"


def grid_shift(bits: int, mode: str) -> int:
    """Low mantissa bits that are always zero: 8 - bits, and one more where signs are mixed."""
    return 8 - bits + (mode == "mixed")


def off_grid(s: Synapses | ConvSynapses) -> str:
    """What keeps the weights of a projection from being stored, "" for nothing."""
    if s.sign_mode not in SIGN_MODES:
        return f"sign_mode is {s.sign_mode!r}, known are {', '.join(SIGN_MODES)}"
    if not 1 <= s.weight_bits <= 8:
        return f"{s.weight_bits} weight bits, the memory has 1 to 8"
    if not 0 <= s.weight_exp <= MAX_WEIGHT_EXP:
        return f"a weight exponent of {s.weight_exp}, the memory has 0 to {MAX_WEIGHT_EXP}"
    least, most = SIGN_MODES[s.sign_mode]
    low, high = (int(x(s.weight)) if s.weight.size else 0 for x in (np.min, np.max))
    if low < least or high > most:
        return f"{s.sign_mode} weights of {low} to {high}, the memory holds {least} to {most}"
    step = 1 << grid_shift(s.weight_bits, s.sign_mode)
    if (np.asarray(s.weight) % step).any():
        return f"{s.sign_mode} weights of {s.weight_bits} bits are multiples of {step} in memory, these are not"
    return ""
