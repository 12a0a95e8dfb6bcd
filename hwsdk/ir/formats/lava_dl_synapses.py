"""Connections of a lava-dl .net file as synapses.

Dense: lava-dl 0.6.0 lava/lib/dl/netx/utils.py, optimize_weight_bits, then what the Dense process of lava-nc 0.10.0 does
with it (lava/utils/weightutils.py: determine_sign_mode, clip_weights, truncate_weights; lava/proc/dense/models.py: the
sum is shifted by the exponent). Convolutions: Lava takes the weights as they are (lava/proc/conv/models.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.expand import explicit
from hwsdk.ir.formats.lava_dl_fields import Group, Ints, per_neuron
from hwsdk.ir.nodes import Conv, ConvSynapses, Shape, Synapses, frozen, size

CHIP_BITS = 8


@dataclass(frozen=True, slots=True)
class Stored:
    """How a chip stores integer weights as they are: bits and sign mode, with exponent 0."""

    bits: int
    sign: str


def stored(weight: Ints) -> Stored:
    """The fewest bits whose grid holds the weights; more than 8 where no grid does (see by_sign).

    Intel's compiler goes further: it shifts small weights left, with a negative exponent, and needs fewer bits.
    """
    signed = bool((weight < 0).any())
    return Stored(max(CHIP_BITS + signed - _factors_of_two(weight), 1), "mixed" if signed else "excitatory")


def _factors_of_two(weight: Ints) -> int:
    """By how often every weight can be halved, 8 at most."""
    joined = int(np.bitwise_or.reduce(np.abs(weight), axis=None))
    return min((joined & -joined).bit_length() - 1, 8) if joined else 0


def as_netx(weights: tuple[Ints, ...], layer: Group) -> tuple[Ints, ...]:
    """Dense weights as Lava computes with them: one exponent for all matrices, clipped and truncated for each.

    Raises:
        ModelError: WEIGHT_RANGE, for weights that netx cannot store.
    """
    low, high = min(int(w.min(initial=0)) for w in weights), max(int(w.max(initial=0)) for w in weights)
    if not (low or high):
        return weights
    if low < 0 < high and (low < -256 or high > 254):
        layer.log.changed(layer.name, "WEIGHT_CLIPPED", f"weights of {low} to {high} became -256 to 254, as netx does")
        weights = tuple(np.clip(w, -256, 254) for w in weights)
        low, high = max(low, -256), min(high, 254)
    if low < -256 or high > 255:
        raise layer.error(f"weights of {low} to {high}; netx stores 8 bits and a sign", "weight", "WEIGHT_RANGE",
                          "train with 8-bit weights (slayer's quantize_8bit)")
    signed = not all((w >= 0).all() for w in weights) and not all((w < 0).all() for w in weights)
    shift, bits = _netx_bits(weights, signed)
    stored = tuple(_lava_stores(w << shift, bits) for w in weights)
    if any((s % (1 << shift)).any() for s in stored):
        raise layer.error("all weights are 0 or negative, and Lava cuts them below their own unit", "weight",
                          "WEIGHT_RANGE", "flip the sign of one weight, or keep them a power of two apart")
    found = tuple(s >> shift for s in stored)
    lost = sum(int((a != b).sum()) for a, b in zip(weights, found, strict=True))
    if lost:
        layer.log.changed(layer.name, "WEIGHT_TRUNCATED", f"{lost} weights lost low bits, as in Lava's Dense process")
    return found


def _netx_bits(weights: tuple[Ints, ...], signed: bool) -> tuple[int, int]:
    """(left shift, weight bits) of optimize_weight_bits."""
    low, high = min(int(w.min()) for w in weights), max(int(w.max()) for w in weights)
    if signed:
        scale = min(127 / high if high > 0 else math.inf, -128 / low if low < 0 else math.inf)
    else:
        scale = -256 / low if high < 0 else 255 / high
    shift = math.floor(math.log2(scale)) + signed
    factors = min(_factors_of_two(w) for w in weights if w.any())
    return shift, CHIP_BITS - shift - (factors - signed)


def _lava_stores(weight: Ints, bits: int) -> Ints:
    """clip_weights and truncate_weights under the sign mode that the weights themselves show."""
    if not weight.size or weight.min() >= 0:
        drop = max(CHIP_BITS - bits, 0)
        return np.asarray(np.minimum(weight, 255) >> drop << drop)
    if weight.max() <= 0:
        drop = max(CHIP_BITS - bits, 0)
        return np.asarray(-(np.minimum(-weight, 255) >> drop << drop))
    drop = max(CHIP_BITS - bits + 1, 0)
    return np.asarray(np.clip(weight, -256, 255) >> drop << drop)


def matrix(layer: Group, key: str, n_out: int) -> Ints:
    """A weight matrix (out, in); one axis is filled up, as netx does.

    Raises:
        ModelError: SHAPE_MISMATCH.
    """
    weight = layer.whole(key)
    if weight.ndim == 1 and n_out and weight.size % n_out == 0:
        weight = weight.reshape(n_out, -1)
    if weight.ndim != 2 or weight.shape[0] != n_out or not weight.size:
        raise layer.error(f"the weights have shape {weight.shape}, the layer has {n_out} neurons", key,
                          "SHAPE_MISMATCH")
    return weight


def dense(weight: Ints, pre: Shape, post: Shape, delays: Ints | None = None, first: int = 0) -> Synapses:
    """Synapses of a matrix (out, in); zeros are left out. delays (out, in); first: index of the first target."""
    form = stored(weight)
    target, source = np.nonzero(weight)
    ticks = np.ones(len(source), np.int64) if delays is None else 1 + delays[target, source]
    order = np.lexsort((target, source))
    return Synapses(pre, post, frozen(source[order], np.int64), frozen(target[order] + first, np.int64),
                    frozen(weight[target, source][order], np.int64), frozen(ticks[order], np.int64), None, 0,
                    form.bits, form.sign)


def by_sign(node: Synapses | ConvSynapses) -> tuple[Synapses | ConvSynapses, ...]:
    """The projection as it is, or, where mixed signs leave no room for its lowest bit, its two signs apart: a sum is a
    sum. Lava shifts such weights left and its sum right again, which gives the same.
    """
    if node.weight_bits <= CHIP_BITS:
        return (node,)
    return tuple(_of_sign(node, sign, name) for sign, name in ((1, "excitatory"), (-1, "inhibitory"))
                 if (node.weight * sign > 0).any())


def _of_sign(node: Synapses | ConvSynapses, sign: int, name: str) -> Synapses | ConvSynapses:
    """The weights of one sign."""
    if isinstance(node, ConvSynapses):
        one: Synapses | ConvSynapses = replace(node, weight=frozen(np.where(node.weight * sign > 0, node.weight, 0),
                                                                   np.int64))
    else:
        keep = node.weight * sign > 0
        one = replace(node, source=node.source[keep], target=node.target[keep], weight=node.weight[keep],
                      delay_ticks=node.delay_ticks[keep], shared=None)
    return replace(one, sign_mode=name, weight_bits=max(CHIP_BITS - _factors_of_two(one.weight), 1))


def dense_delays(layer: Group, weight: Ints) -> Ints | None:
    """Delay of each synapse (out, in): for all, for each neuron, for each input, or for each synapse (create_dense).

    Raises:
        ModelError: SHAPE_MISMATCH.
    """
    delays = layer.delays()
    if delays is None or not delays.any():
        return None
    if delays.shape == weight.shape or delays.size == 1:
        return np.broadcast_to(delays.reshape(delays.shape if delays.size > 1 else ()), weight.shape)
    for axis in (0, 1):
        if delays.ndim == 1 and delays.size == weight.shape[axis]:
            return np.broadcast_to(delays[:, None] if axis == 0 else delays[None], weight.shape)
    raise layer.error(f"delays of shape {delays.shape} for weights {weight.shape}", "delay", "SHAPE_MISMATCH")


def convolution(layer: Group, pre: Shape, post: Shape, pooled: bool = False) -> ConvSynapses | Synapses:
    """A convolution, or with ``pooled`` slayer's Pool: the same kernel on every channel for itself.

    Raises:
        ModelError: SHAPE_MISMATCH, BAD_FIELD.
    """
    weight, groups = _kernel(layer, pre, pooled)
    stride = layer.pair("stride", 1, 1)
    padding, dilation = layer.pair("padding", 0, 0), layer.pair("dilation", 1, 1)
    pads = tuple((p, p) for p in padding)
    try:
        found = Conv(np.empty(weight.shape), None, stride, pads, dilation, groups).out_shape(pre)
    except ModelError as error:
        raise layer.error(error.what, "weight", error.code) from None
    if found != post:
        raise layer.error(f"the convolution of {pre} gives {found}, the layer's shape is {post}", "shape",
                          "SHAPE_MISMATCH")
    form = stored(weight)
    node = ConvSynapses(pre, post, post, frozen(weight, np.int64), stride, pads, dilation, groups, 1, 0, form.bits,
                        form.sign)
    return _delayed(layer, node)


def _kernel(layer: Group, pre: Shape, pooled: bool) -> tuple[Ints, int]:
    """(weight (C_out, C_in/groups, height, width), groups)."""
    if isinstance(layer.tree.get("weight"), dict):
        raise layer.error("a convolution or pooling with complex weights; netx runs complex weights in dense layers "
                          "only", "weight", "UNSUPPORTED_FIELD", "use dense rf layers")
    weight = layer.whole("weight")
    weight = weight.reshape(weight.shape[:4]) if weight.ndim == 5 and weight.shape[4] == 1 else weight
    if weight.ndim != 4 or not weight.size or len(pre) != 3:
        raise layer.error(f"a kernel of shape {weight.shape} on an input {pre}; wanted are (out, in, height, width) "
                          "and (channels, height, width)", "weight", "SHAPE_MISMATCH")
    if not pooled:
        return weight, layer.integer("groups", 1, weight.shape[0]) if "groups" in layer else 1
    if weight.shape[:2] != (1, 1):
        raise layer.error(f"a pooling kernel of shape {weight.shape}, wanted is (1, 1, height, width)", "weight",
                          "SHAPE_MISMATCH")
    layer.log.assumed(layer.name, "POOL", "netx does not run pool layers; read as slayer computes them")
    return np.repeat(weight, pre[0], axis=0), pre[0]


def _delayed(layer: Group, node: ConvSynapses) -> ConvSynapses | Synapses:
    """With the layer's delays: one for all stays a convolution, others are written out."""
    delays = layer.delays()
    if delays is None or not delays.any():
        return node
    layer.log.assumed(layer.name, "CONV_DELAY", "netx drops the delays of convolutions; they act here as those of "
                      "dense layers, on the way to the neuron")
    if (delays == delays.flat[0]).all():
        return replace(node, delay_ticks=1 + int(delays.flat[0]))
    ticks: NDArray[Any] = per_neuron(delays, node.post_shape, layer, "delay").ravel()
    return _with_ticks(explicit(node), ticks)


def _with_ticks(synapses: Synapses, ticks: NDArray[Any]) -> Synapses:
    """One delay a target."""
    return replace(synapses, delay_ticks=frozen(1 + ticks[synapses.target], np.int64), shared=None)


def one_to_one(shape: Shape) -> Synapses:
    """Every value goes on to the neuron of the same place, one step later."""
    everyone, one = frozen(np.arange(size(shape)), np.int64), frozen(np.ones(size(shape)), np.int64)
    return Synapses(shape, shape, everyone, everyone, one, one, sign_mode="excitatory")
