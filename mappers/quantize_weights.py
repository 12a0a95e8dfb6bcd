"""The weight half of quantisation: floats onto the chip's grid, for written-out synapses and kernels alike.

A weight of a kernel stands for as many synapses as it has places; all figures count these synapses.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.expand import explicit, meetings, weight_sums
from hwsdk.ir.grid import MAX_WEIGHT_EXP, grid_shift, sign_mode
from hwsdk.ir.nodes import ConvSynapses, Synapses, size
from hwsdk.mappers.maps import refuse_if_large

Array = NDArray[np.float64]
Projection = Synapses | ConvSynapses


def with_kernel_scales(s: Projection, channel: NDArray[np.int64]) -> Projection:
    """The projection, written out if neurons of one kernel's channel belong to different groups of ``channel``."""
    if isinstance(s, Synapses):
        return s
    rows = channel.reshape(s.conv_shape[0], -1)
    if (rows == rows[:, :1]).all():
        return s
    refuse_if_large(n_synapses(s), "a convolution whose channels take several scales")
    return replace(explicit(s), shared=None)


def n_synapses(s: Projection) -> int:
    """Synapses with a weight, those of a kernel at all its places."""
    return int(_counted((s.weight != 0).astype(np.float64), s))


def fan_in(s: Projection) -> Array:
    """Sum of the magnitudes of all weights into each target, flat."""
    magnitude = np.abs(np.asarray(s.weight, np.float64))
    if isinstance(s, ConvSynapses):
        return weight_sums(s, magnitude).ravel()
    return np.asarray(np.bincount(s.target, weights=magnitude, minlength=size(s.post_shape)), np.float64)


def peak_in(s: Projection) -> Array:
    """Largest magnitude of the weights into each target, flat; of a kernel: of its channel."""
    magnitude, n = np.abs(np.asarray(s.weight, np.float64)), size(s.post_shape)
    if isinstance(s, ConvSynapses):
        return np.repeat(magnitude.reshape(len(magnitude), -1).max(axis=1), n // len(magnitude))
    peak = np.zeros(n)
    np.maximum.at(peak, s.target, magnitude)
    return peak


def weight_limit(s: Projection, bits: int, name: str) -> int:
    """Largest magnitude on the mantissa grid for the signs of this projection."""
    mode = sign_mode(np.asarray(s.weight, np.float64))
    limit = 255 >> (shift := grid_shift(bits, mode)) << shift
    if limit == 0:
        raise UnsupportedError("1-bit weights of both signs; the chip's grid holds only -256 and 0", where=name,
                               code="BAD_BITS", fix="use 2 bits or more")
    return limit


def scaled(s: Projection, unit: Array) -> Array:
    """Each weight in the units of its target, in the shape of ``s.weight``; ``unit``: one a target, flat."""
    weight = np.asarray(s.weight, np.float64)
    if isinstance(s, ConvSynapses):
        return weight * unit.reshape(len(weight), -1)[:, 0].reshape(-1, *[1] * (weight.ndim - 1))
    return np.asarray(weight * unit[s.target])


def integer_weights(s: Projection, unit: Array, bits: int, name: str) -> Projection:
    """The projection with weights on the chip's grid and the smallest exponent that holds them."""
    mode, limit = sign_mode(np.asarray(s.weight, np.float64)), weight_limit(s, bits, name)
    exact = scaled(s, unit)
    peak = float(np.abs(exact).max(initial=0.0))
    exp = min(max(math.ceil(math.log2(peak / limit) - 1e-9), 0), MAX_WEIGHT_EXP) if peak > 0 else 0
    step = 1 << grid_shift(bits, mode)
    mantissa = np.clip(np.round(exact / (step << exp)) * step, -limit, limit).astype(np.int64)
    return replace(s, weight=mantissa, weight_exp=exp, weight_bits=bits, sign_mode=mode)


def without_zeros(s: Projection) -> Projection:
    """The projection without the synapses that do nothing, which the chip does not store; a kernel keeps its form."""
    if isinstance(s, ConvSynapses) or (s.weight != 0).all():
        return s
    keep = s.weight != 0
    return replace(s, source=s.source[keep], target=s.target[keep], weight=s.weight[keep],
                   delay_ticks=s.delay_ticks[keep])


def weight_error(s: Projection, whole: Projection, unit: Array) -> float:
    """Root-mean-square weight error over root-mean-square weight."""
    exact = scaled(s, unit)
    size_ = math.sqrt(_counted(exact**2, s))
    off = math.sqrt(_counted((np.asarray(whole.weight, np.float64) * 2.0**whole.weight_exp - exact) ** 2, s))
    return off / size_ if size_ else 0.0


def lost_weights(s: Projection, whole: Projection) -> int:
    """Synapses whose weight has become 0."""
    return int(_counted(((whole.weight == 0) & (s.weight != 0)).astype(np.float64), s))


def bits_used(s: Projection) -> float:
    """log2 of the grid levels between the largest weight and its negative (or 0 where all have one sign)."""
    levels = float(np.abs(s.weight).max(initial=0)) / (1 << grid_shift(s.weight_bits, s.sign_mode))
    return math.log2((2 if s.sign_mode == "mixed" else 1) * levels + 1)


def _counted(values: Array, s: Projection) -> float:
    """The sum of ``values`` (one a weight) over all synapses."""
    return float((values * meetings(s)).sum() if isinstance(s, ConvSynapses) else values.sum())
