"""A convolution written out: which positions meet, and every synapse of it."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.nodes import Conv, ConvSynapses, Shape, Synapses

Ints = NDArray[np.int64]


def explicit(node: Synapses | ConvSynapses) -> Synapses:
    """All synapses, by ascending source, then target; those of weight 0 are left out."""
    if isinstance(node, Synapses):
        return node
    c_out, group_in = node.weight.shape[:2]
    n_in, n_out = prod(node.pre_shape[1:]), prod(node.conv_shape[1:])
    group_of = np.arange(c_out) // (c_out // node.groups)
    channel = group_of[:, None] * group_in + np.arange(group_in)[None, :]
    sources, targets, weights = [], [], []
    for offset in product(*map(range, node.kernel)):
        here, there = meeting_positions(node, offset, node.pre_shape[1:], node.conv_shape[1:])
        at: tuple[int | slice, ...] = (slice(None), slice(None), *offset)
        weight = node.weight[at]
        keep = weight != 0
        out_channel = np.broadcast_to(np.arange(c_out)[:, None], keep.shape)[keep]
        targets.append((out_channel[:, None] * n_out + here).ravel())
        sources.append((channel[keep][:, None] * n_in + there).ravel())
        weights.append(np.repeat(weight[keep], len(here)))
    source, target, values = (np.concatenate(x) for x in (sources, targets, weights))
    order = np.lexsort((target, source))
    return Synapses(node.pre_shape, node.post_shape, source[order], target[order], values[order],
                    np.full(len(order), node.delay_ticks, np.int64), node.shared, node.weight_exp, node.weight_bits,
                    node.sign_mode)


def meeting_positions(node: Conv | ConvSynapses, offset: tuple[int, ...], n_in: Shape, n_out: Shape,
                      ) -> tuple[Ints, Ints]:
    """Flat (output, input) positions that one kernel offset joins, without those in the padding."""
    here, there = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for o, s, (lo, _), d, n, m in zip(offset, node.stride, node.padding, node.dilation, n_in, n_out, strict=True):
        out = np.arange(m)
        pos = out * s + o * d - lo
        inside = (pos >= 0) & (pos < n)
        here = (here[:, None] * m + out[inside][None, :]).ravel()
        there = (there[:, None] * n + pos[inside][None, :]).ravel()
    return here, there


def inside(node: Conv | ConvSynapses, n_in: Shape, n_out: Shape) -> list[NDArray[np.bool_]]:
    """For each axis (k, n'): does the kernel offset meet an input at the output position, or only padding?"""
    masks = []
    for k, s, (lo, _), d, n, m in zip(node.kernel, node.stride, node.padding, node.dilation, n_in, n_out, strict=True):
        at = np.arange(m)[None, :] * s + np.arange(k)[:, None] * d - lo
        masks.append((at >= 0) & (at < n))
    return masks


def meetings(node: ConvSynapses) -> Ints:
    """(*kernel): at how many output positions each kernel offset meets an input, which is how many synapses each
    weight stands for.
    """
    counts = np.ones((), np.int64)
    for mask in inside(node, node.pre_shape[1:], node.conv_shape[1:]):
        counts = counts[..., None] * mask.sum(axis=1)
    return counts


def weight_sums(node: ConvSynapses, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """conv_shape: the sum of ``weight`` (of the kernel's shape) over the synapses of every target."""
    total = weight.sum(axis=1)
    for mask in inside(node, node.pre_shape[1:], node.conv_shape[1:]):
        total = np.tensordot(total, mask.astype(np.float64), (1, 0))
    return np.asarray(total)
