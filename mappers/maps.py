"""Linear maps between populations: one convolution where they are one, else sparse matrices, one for each delay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import product
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.errors import InternalError, UnsupportedError
from hwsdk.ir.expand import explicit, inside, meeting_positions
from hwsdk.ir.nodes import Conv, ConvSynapses, Delay, Flatten, Linear, Node, Pool2d, Scale, Shape, Synapses, size

MAX_SYNAPSES = 100_000_000
"""A map takes about 100 bytes a synapse while it is written out; beyond this it is refused before memory is taken."""
Parts = dict[int, sparse.csr_matrix]


@dataclass(frozen=True, slots=True, eq=False)
class LinearMap:
    """A linear map in the smallest of three forms.

    matrices: delay in steps -> (out, in) over the flattened shapes. conv: this convolution (without bias) of in_shape,
    ``delay`` steps late, its result in the form of out_shape. Neither of them: every value passes, ``delay`` steps
    late, in the form of out_shape.
    """

    in_shape: Shape
    out_shape: Shape
    conv: Conv | None = None
    delay: int = 0
    matrices: Parts | None = None

    def parts(self) -> Parts:
        """delay in steps -> matrix (out, in); written out now if it was not.

        Raises:
            UnsupportedError: TOO_LARGE.
        """
        if self.matrices is not None:
            return self.matrices
        if self.conv is not None:
            return {self.delay: conv_matrix(self.conv, self.in_shape)}
        refuse_if_large(size(self.in_shape), "an identity connection")
        return {self.delay: sparse.identity(size(self.in_shape), format="csr")}

    def __add__(self, other: LinearMap) -> LinearMap:
        parts = dict(self.parts())
        for delay, part in other.parts().items():
            parts[delay] = parts[delay] + part if delay in parts else part
        return LinearMap(self.in_shape, self.out_shape, matrices=parts)

    def delayed(self, ticks: int) -> LinearMap:
        """The same map, ``ticks`` steps later."""
        if self.matrices is None:
            return replace(self, delay=self.delay + ticks)
        return replace(self, matrices={d + ticks: m for d, m in self.matrices.items()}) if ticks else self

    def then(self, node: Node) -> LinearMap:
        """This map followed by a stateless node."""
        return self._then_short(node) or self._then_matrices(node_map(node, self.out_shape))

    def _then_short(self, node: Node) -> LinearMap | None:
        """The same without matrices, or None."""
        if self.matrices is not None:
            return None
        if isinstance(node, Flatten):
            return replace(self, out_shape=node.out_shape(self.out_shape))
        if isinstance(node, Delay):
            ticks = node.ticks.ravel()
            return self.delayed(int(ticks[0])) if ticks.size and (ticks == ticks[0]).all() else None
        if isinstance(node, Scale) and self.conv is not None:
            scaled = times_channels(self.conv, node.scale)
            return None if scaled is None else replace(self, conv=scaled)
        return self._then_conv(node)

    def _then_conv(self, node: Node) -> LinearMap | None:
        """The map followed by a convolution, if both together are one."""
        step = as_conv(node, self.out_shape)
        if step is None or self.out_shape != self._conv_shape():
            return None
        whole = step if self.conv is None else composed(self.conv, step, self.in_shape)
        if whole is None:
            return None
        late = node.delay_ticks if isinstance(node, ConvSynapses) else 0
        return LinearMap(self.in_shape, node.out_shape(self.out_shape), whole, self.delay + late)

    def _conv_shape(self) -> Shape:
        """The shape before any Flatten."""
        return self.in_shape if self.conv is None else self.conv.out_shape(self.in_shape)

    def _then_matrices(self, step: LinearMap) -> LinearMap:
        """The map followed by another, as matrices."""
        parts: Parts = {}
        for (d1, m1), (d2, m2) in product(self.parts().items(), step.parts().items()):
            done = m2 @ m1
            parts[d1 + d2] = parts[d1 + d2] + done if d1 + d2 in parts else done
        return LinearMap(self.in_shape, step.out_shape, matrices=parts)

    @property
    def first_delay(self) -> int | None:
        """Delay of the earliest synapse, None for a map without any."""
        if self.matrices is not None:
            return min((d for d, m in self.matrices.items() if m.nnz), default=None)
        return self.delay if self.conv is None or self.conv.weight.any() else None


def identity(shape: Shape) -> LinearMap:
    """The map that changes nothing."""
    return LinearMap(shape, shape)


@singledispatch
def node_map(node: Node, in_shape: Shape) -> LinearMap:
    """The map of a stateless node for inputs of ``in_shape`` (its bias left out)."""
    raise InternalError(f"no matrix rule for {type(node).__name__}")


@node_map.register
def _linear(node: Linear, in_shape: Shape) -> LinearMap:
    out = node.out_shape(in_shape)
    refuse_if_large(int(node.weight.size), f"a weight of {node.weight.shape}")
    blocks = node.weight.reshape(-1, *node.weight.shape[-2:])
    matrix = sparse.csr_matrix(blocks[0]) if len(blocks) == 1 else sparse.block_diag(list(blocks), format="csr")
    return LinearMap(in_shape, out, matrices={0: matrix})


@node_map.register
def _scale(node: Scale, in_shape: Shape) -> LinearMap:
    diagonal = sparse.diags(node.scale.ravel(), format="csr")
    return LinearMap(in_shape, node.out_shape(in_shape), matrices={0: diagonal})


@node_map.register
def _flatten(node: Flatten, in_shape: Shape) -> LinearMap:
    return LinearMap(in_shape, node.out_shape(in_shape))


@node_map.register
def _delay(node: Delay, in_shape: Shape) -> LinearMap:
    flat = node.ticks.ravel()
    parts = {int(d): sparse.diags((flat == d).astype(np.float64), format="csr") for d in np.unique(flat)}
    return LinearMap(in_shape, node.out_shape(in_shape), matrices=parts)


@node_map.register
def _synapses(node: Synapses, in_shape: Shape) -> LinearMap:
    dims = (size(node.post_shape), size(node.pre_shape))
    parts = {}
    for d in np.unique(node.delay_ticks):
        at = node.delay_ticks == d
        entries = (np.asarray(node.weight[at], np.float64), (node.target[at], node.source[at]))
        parts[int(d)] = sparse.csr_matrix(entries, shape=dims)
    return LinearMap(in_shape, node.out_shape(in_shape), matrices=parts or {0: sparse.csr_matrix(dims)})


@node_map.register
def _conv_synapses(node: ConvSynapses, in_shape: Shape) -> LinearMap:
    return node_map(explicit(node), in_shape)


@node_map.register
def _conv(node: Conv, in_shape: Shape) -> LinearMap:
    return LinearMap(in_shape, node.out_shape(in_shape), replace(node, bias=None))


@node_map.register
def _pool(node: Pool2d, in_shape: Shape) -> LinearMap:
    return node_map(pool_as_conv(node, in_shape[0]), in_shape)


def as_conv(node: Node, in_shape: Shape) -> Conv | None:
    """A stateless node as the convolution (without bias) that it is on inputs of ``in_shape``, or None."""
    if isinstance(node, Conv):
        return replace(node, bias=None)
    if isinstance(node, Pool2d):
        return pool_as_conv(node, in_shape[0])
    if isinstance(node, ConvSynapses):
        return Conv(np.asarray(node.weight, np.float64), None, node.stride, node.padding, node.dilation, node.groups)
    if isinstance(node, Scale) and len(in_shape) > 1:
        rank, n = len(in_shape) - 1, in_shape[0]
        one = Conv(np.ones((n, 1, *[1] * rank)), None, (1,) * rank, ((0, 0),) * rank, (1,) * rank, n)
        return times_channels(one, node.scale)
    return None


def pool_as_conv(node: Pool2d, channels: int) -> Conv:
    """A pooling as the grouped convolution of ones that it is."""
    value = 1.0 / prod(node.kernel) if node.average else 1.0
    return Conv(np.full((channels, 1, *node.kernel), value), None, node.stride,
                tuple((p, p) for p in node.padding), (1, 1), channels)


def times_channels(conv: Conv, factor: NDArray[np.float64]) -> Conv | None:
    """The convolution with its results multiplied; None if the factors (as many as results) differ in a channel."""
    c_out = conv.weight.shape[0]
    rows = factor.reshape(c_out, -1)
    if not (rows == rows[:, :1]).all():
        return None
    return replace(conv, weight=conv.weight * rows[:, 0].reshape(c_out, *[1] * (conv.weight.ndim - 1)))


def is_one_to_one(conv: Conv) -> bool:
    """True for a convolution that only multiplies: one position a kernel, one channel a group."""
    return conv.weight[0].size == 1 and conv.groups == conv.weight.shape[0] and set(conv.stride) <= {1} and \
        all(pad == (0, 0) for pad in conv.padding)


def used_weights(conv: Conv, in_shape: Shape) -> NDArray[np.float64]:
    """The kernel with 0 at the offsets that meet nothing but padding."""
    used = np.ones((), bool)
    for mask in inside(conv, in_shape[1:], conv.out_shape(in_shape)[1:]):
        used = used[..., None] & mask.any(axis=1)
    return np.asarray(np.where(used, conv.weight, 0.0))


def conv_matrix(node: Conv, in_shape: Shape) -> sparse.csr_matrix:
    """(out, in) matrix of a convolution: one block of synapses for every offset in the kernel."""
    out_shape = node.out_shape(in_shape)
    c_out, group_in = node.weight.shape[:2]
    positions = prod(out_shape[1:])
    refuse_if_large(c_out * group_in * prod(node.kernel) * positions, f"a convolution onto {out_shape}")
    group_of = np.arange(c_out) // (c_out // node.groups)
    channel = group_of[:, None] * group_in + np.arange(group_in)[None, :]
    rows, cols, values = [], [], []
    for offset in product(*map(range, node.kernel)):
        here, there = meeting_positions(node, offset, in_shape[1:], out_shape[1:])
        weight = node.weight[_all_channels(offset)]
        keep = weight != 0
        out_channel = np.broadcast_to(np.arange(c_out)[:, None], keep.shape)[keep]
        rows.append((out_channel[:, None] * positions + here).ravel())
        cols.append((channel[keep][:, None] * prod(in_shape[1:]) + there).ravel())
        values.append(np.repeat(weight[keep], len(here)))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    return sparse.csr_matrix(entries, shape=(size(out_shape), size(in_shape)))


def _all_channels(at: tuple[int, ...] | tuple[slice, ...]) -> tuple[int | slice, ...]:
    """The index of some kernel positions for every output and input channel."""
    return (slice(None), slice(None), *at)


def composed(first: Conv, second: Conv, in_shape: Shape) -> Conv | None:
    """Two convolutions as one: kernels spread by the first stride and convolved, strides multiplied.

    None where the second one reads, in its own padding, places that the first would go on to fill: there the whole is
    no convolution.
    """
    middle = first.out_shape(in_shape)[1:]
    if not all(map(_padding_stays_empty, *_axes(first), *_axes(second), in_shape[1:], middle)):
        return None
    groups = gcd(first.groups, second.groups)
    blocks = [_kernels_composed(_block(first, groups, g), _block(second, groups, g)) for g in range(groups)]
    padding = tuple((la + lb * s, ha + hb * s) for (la, ha), (lb, hb), s in
                    zip(first.padding, second.padding, first.stride, strict=True))
    stride = tuple(s1 * s2 for s1, s2 in zip(first.stride, second.stride, strict=True))
    return Conv(np.concatenate(blocks), None, stride, padding, (1,) * len(stride), groups)


def _block(conv: Conv, groups: int, g: int) -> Conv:
    """One of ``groups`` parts of a convolution that have no channel in common."""
    rows = conv.weight.shape[0] // groups
    return replace(conv, weight=conv.weight[g * rows : (g + 1) * rows], groups=conv.groups // groups)


def _kernels_composed(first: Conv, second: Conv) -> NDArray[np.float64]:
    """(C_out, C_in, *kernel) of two convolutions, all channels connected."""
    a, b = _dense_kernel(first), _dense_kernel(second)
    ka, kb = a.shape[2:], b.shape[2:]
    kernel = tuple((q - 1) * s + p for p, q, s in zip(ka, kb, first.stride, strict=True))
    weight = np.zeros((b.shape[0], a.shape[1], *kernel))
    for offset in product(*map(range, kb)):
        at = tuple(slice(o * s, o * s + p) for o, s, p in zip(offset, first.stride, ka, strict=True))
        weight[_all_channels(at)] += np.tensordot(b[_all_channels(offset)], a, (1, 0))
    return weight


Axes = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]


def _axes(conv: Conv) -> Axes:
    """(extent of the kernel with its dilation, stride, padding), an entry an axis each."""
    extent = tuple((k - 1) * d + 1 for k, d in zip(conv.kernel, conv.dilation, strict=True))
    return extent, conv.stride, conv.padding


def _padding_stays_empty(k1: int, s1: int, pad1: tuple[int, int], k2: int, s2: int, pad2: tuple[int, int], n: int,
                         middle: int) -> bool:
    """On one axis: are all places that the second convolution reads beyond the ``middle`` ones of the first beyond the
    first one's n inputs too?
    """
    out = (middle + sum(pad2) - k2) // s2 + 1
    below = pad2[0] == 0 or k1 <= s1 + pad1[0]
    above = (out - 1) * s2 + k2 - pad2[0] <= middle or middle * s1 - pad1[0] >= n
    return below and above


def _dense_kernel(conv: Conv) -> NDArray[np.float64]:
    """The kernel with groups and dilation written out: (C_out, C_in, *dilated)."""
    c_out, group_in = conv.weight.shape[:2]
    kernel = tuple((k - 1) * d + 1 for k, d in zip(conv.kernel, conv.dilation, strict=True))
    out = np.zeros((c_out, group_in * conv.groups, *kernel))
    spread = tuple(slice(None, None, d) for d in conv.dilation)
    per_group = c_out // conv.groups
    for g in range(conv.groups):
        rows, cols = slice(g * per_group, (g + 1) * per_group), slice(g * group_in, (g + 1) * group_in)
        out[(rows, cols, *spread)] = conv.weight[rows]
    return out


def refuse_if_large(synapses: int, what: str) -> None:
    """Refuse before memory is taken."""
    if synapses > MAX_SYNAPSES:
        raise UnsupportedError(f"{what} has {synapses:,} synapses, the limit is {MAX_SYNAPSES:,}", code="TOO_LARGE",
                               fix="use a smaller layer, or split the network")
