"""Which links are convolutions as Lava's Conv computes them; the kernel is found again from the synapses.

lava/proc/conv, fixed point: a true convolution of (width, height, channels) arrays, whose sums wrap at 24 bits.
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd

import numpy as np

from hwsdk.backends.lava_network import Group, Ints, Kernel, LavaNetwork, Link

Key = tuple[str, int | None]
WRAP = 1 << 23
"""Lava's Conv keeps sums in -2^23 .. 2^23 - 1 (lava/proc/conv/utils.py, signed_clamp)."""


def with_convolutions(network: LavaNetwork) -> LavaNetwork:
    """The same network; links that are convolutions have their kernel, and what they join is in Lava's order."""
    links = tuple(replace(k, kernel=_kernel(network, k)) for k in network.links)
    turned: dict[Key, Ints] = {}
    for link in links:
        for key in (link.source, link.target) if link.kernel is not None else ():
            shape = _channels(network.end(*key))
            if shape is not None:
                turned[key] = np.arange(np.prod(shape)).reshape(shape).transpose(2, 1, 0).ravel()
    inputs = {name: _turn(g, turned.get((name, None))) for name, g in network.inputs.items()}
    groups = {name: tuple(_turn(g, turned.get((name, g.number))) for g in found)
              for name, found in network.groups.items()}
    return LavaNetwork(inputs, groups, tuple(_follow(link, turned) for link in links))


def _turn(g: Group, order: Ints | None) -> Group:
    """A group of (channels, height, width) in the order (width, height, channels)."""
    shape = _channels(g)
    if order is None or shape is None:
        return g
    return replace(g, index=g.index[order], own={k: v[order] for k, v in g.own.items()}, shape=shape[::-1])


def _follow(link: Link, turned: dict[Key, Ints]) -> Link:
    """A link whose ends were turned."""
    pre, post = (np.argsort(turned[key])[at] if key in turned else at
                 for key, at in ((link.source, link.pre), (link.target, link.post)))
    return replace(link, pre=pre, post=post)


def _channels(g: Group) -> tuple[int, int, int] | None:
    """(channels, height, width) of a group that consists of whole channels, else None."""
    if len(g.population.shape) != 3:
        return None
    _, height, width = g.population.shape
    area = height * width
    if len(g.index) % area:
        return None
    first = g.index.reshape(-1, area)[:, :1]
    if (first % area).any() or not np.array_equal(first + np.arange(area), g.index.reshape(-1, area)):
        return None
    return len(first), height, width


def _kernel(network: LavaNetwork, link: Link) -> Kernel | None:
    """The kernel of a link, or None where Lava's Conv cannot do the same."""
    pre, post = _channels(network.end(*link.source)), _channels(network.end(*link.target))
    if not link.shared or link.port or link.delay.max() > 1 or pre is None or post is None:
        return None
    reach = int(np.bincount(link.post, weights=np.abs(link.weight)).max()) << link.exponent
    if reach >= WRAP:
        return None
    (c_in, y_in, x_in), (c_out, y_out, x_out) = np.unravel_index(link.pre, pre), np.unravel_index(link.post, post)
    rows, columns = _axis(y_out, y_in, post[1], pre[1]), _axis(x_out, x_in, post[2], pre[2])
    (sy, py, ky), (sx, px, kx) = rows, columns
    weight = np.zeros((post[0], pre[0], ky, kx), np.int64)
    at = (c_out, c_in, y_in - sy * y_out + py, x_in - sx * x_out + px)
    weight[at] = link.weight
    inside = np.outer(_meetings(rows, post[1], pre[1]), _meetings(columns, post[2], pre[2]))
    whole = np.array_equal(weight[at], link.weight) and int(((weight != 0) * inside).sum()) == len(link.weight)
    return Kernel(*_grouped(weight), (sy, sx), (py, px), reach) if whole else None


def _grouped(weight: Ints) -> tuple[Ints, int]:
    """(weight, groups) with as many groups as the zeros between channels allow."""
    c_out, c_in = weight.shape[:2]
    for groups in range(gcd(c_out, c_in), 1, -1):
        if gcd(c_out, c_in) % groups == 0:
            blocks = weight.reshape(groups, c_out // groups, groups, c_in // groups, *weight.shape[2:])
            own = blocks[np.arange(groups), :, np.arange(groups)]
            if np.count_nonzero(own) == np.count_nonzero(weight):
                return own.reshape(c_out, c_in // groups, *weight.shape[2:]), groups
    return weight, 1


def _axis(out: Ints, into: Ints, n_out: int, n_in: int) -> tuple[int, int, int]:
    """(stride, padding, kernel size) with which one axis may have come about, the smallest kernel first.

    An output o meets the inputs o * stride + k - padding for k = 0 .. size - 1; padding and size are made such that
    Lava's output, floor((n_in + 2 padding - size) / stride) + 1, is n_out.
    """
    out, into = np.divmod(np.flatnonzero(np.bincount(out * n_in + into)), n_in)  # each pair once
    offsets = {s: (int((into - s * out).min()), int((into - s * out).max())) for s in range(1, n_in + 1)}
    stride = min(offsets, key=lambda s: (offsets[s][1] - offsets[s][0], s))
    low, high = offsets[stride]
    padding = max(0, -low)
    while True:
        most = n_in + 2 * padding - (n_out - 1) * stride
        size = max(high + padding + 1, most - stride + 1, 1)
        if size <= most:
            return stride, padding, size
        padding += 1


def _meetings(axis: tuple[int, int, int], n_out: int, n_in: int) -> Ints:
    """For each place of the kernel along an axis: how many outputs it joins with an input inside."""
    stride, padding, size = axis
    into = np.arange(n_out)[None, :] * stride + np.arange(size)[:, None] - padding
    return np.asarray(((into >= 0) & (into < n_in)).sum(axis=1))
