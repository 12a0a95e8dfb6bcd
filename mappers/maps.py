"""Linear maps between populations: sparse matrices, one for each delay, and convolution forms where they hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.errors import InternalError, UnsupportedError
from hwsdk.ir.expand import explicit, meeting_positions
from hwsdk.ir.nodes import Conv, ConvSynapses, Delay, Flatten, Linear, Node, Pool2d, Scale, Shape, Synapses, size

MAX_SYNAPSES = 100_000_000
"""A map takes about 100 bytes a synapse while it is built; beyond this it is refused before memory is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearMap:
    """delay in steps -> matrix (out, in). ``conv``: the same map as one convolution on ``in_shape``, or None."""

    parts: dict[int, sparse.csr_matrix]
    in_shape: Shape
    out_shape: Shape
    conv: Conv | None = None

    def __add__(self, other: LinearMap) -> LinearMap:
        parts = dict(self.parts)
        for delay, part in other.parts.items():
            parts[delay] = parts[delay] + part if delay in parts else part
        return LinearMap(parts, self.in_shape, self.out_shape)

    def delayed(self, ticks: int) -> LinearMap:
        """The same map, ``ticks`` steps later."""
        if ticks == 0:
            return self
        return LinearMap({d + ticks: m for d, m in self.parts.items()}, self.in_shape, self.out_shape, self.conv)

    def then(self, node: Node) -> LinearMap:
        """This map followed by a stateless node."""
        step = node_map(node, self.out_shape)
        parts: dict[int, sparse.csr_matrix] = {}
        for (d1, m1), (d2, m2) in product(self.parts.items(), step.parts.items()):
            done = m2 @ m1
            parts[d1 + d2] = parts[d1 + d2] + done if d1 + d2 in parts else done
        return LinearMap(parts, self.in_shape, step.out_shape, _conv_form(self, node, parts))

    @property
    def nnz(self) -> int:
        """Stored synapses."""
        return sum(int(m.nnz) for m in self.parts.values())


def identity(shape: Shape) -> LinearMap:
    """The map that changes nothing."""
    _refuse_if_large(size(shape), "an identity connection")
    return LinearMap({0: sparse.identity(size(shape), format="csr")}, shape, shape)


@singledispatch
def node_map(node: Node, in_shape: Shape) -> LinearMap:
    """The matrix of a stateless node for inputs of ``in_shape`` (its bias left out)."""
    raise InternalError(f"no matrix rule for {type(node).__name__}")


@node_map.register
def _linear(node: Linear, in_shape: Shape) -> LinearMap:
    out = node.out_shape(in_shape)
    _refuse_if_large(int(node.weight.size), f"a weight of {node.weight.shape}")
    blocks = node.weight.reshape(-1, *node.weight.shape[-2:])
    matrix = sparse.csr_matrix(blocks[0]) if len(blocks) == 1 else sparse.block_diag(list(blocks), format="csr")
    return LinearMap({0: matrix}, in_shape, out)


@node_map.register
def _scale(node: Scale, in_shape: Shape) -> LinearMap:
    return LinearMap({0: sparse.diags(node.scale.ravel(), format="csr")}, in_shape, node.out_shape(in_shape))


@node_map.register
def _flatten(node: Flatten, in_shape: Shape) -> LinearMap:
    return LinearMap(identity(in_shape).parts, in_shape, node.out_shape(in_shape))


@node_map.register
def _delay(node: Delay, in_shape: Shape) -> LinearMap:
    flat = node.ticks.ravel()
    parts = {int(d): sparse.diags((flat == d).astype(np.float64), format="csr") for d in np.unique(flat)}
    return LinearMap(parts, in_shape, node.out_shape(in_shape))


@node_map.register
def _synapses(node: Synapses, in_shape: Shape) -> LinearMap:
    dims = (size(node.post_shape), size(node.pre_shape))
    parts = {}
    for d in np.unique(node.delay_ticks):
        at = node.delay_ticks == d
        entries = (np.asarray(node.weight[at], np.float64), (node.target[at], node.source[at]))
        parts[int(d)] = sparse.csr_matrix(entries, shape=dims)
    return LinearMap(parts or {0: sparse.csr_matrix(dims)}, in_shape, node.out_shape(in_shape))


@node_map.register
def _conv_synapses(node: ConvSynapses, in_shape: Shape) -> LinearMap:
    return node_map(explicit(node), in_shape)


@node_map.register
def _conv(node: Conv, in_shape: Shape) -> LinearMap:
    return LinearMap({0: conv_matrix(node, in_shape)}, in_shape, node.out_shape(in_shape))


@node_map.register
def _pool(node: Pool2d, in_shape: Shape) -> LinearMap:
    return node_map(pool_as_conv(node, in_shape[0]), in_shape)


def pool_as_conv(node: Pool2d, channels: int) -> Conv:
    """A pooling as the grouped convolution of ones that it is."""
    value = 1.0 / prod(node.kernel) if node.average else 1.0
    return Conv(np.full((channels, 1, *node.kernel), value), None, node.stride,
                tuple((p, p) for p in node.padding), (1, 1), channels)


def conv_matrix(node: Conv, in_shape: Shape) -> sparse.csr_matrix:
    """(out, in) matrix of a convolution: one block of synapses for every offset in the kernel."""
    out_shape = node.out_shape(in_shape)
    c_out, group_in = node.weight.shape[:2]
    positions = prod(out_shape[1:])
    _refuse_if_large(c_out * group_in * prod(node.kernel) * positions, f"a convolution onto {out_shape}")
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


def _conv_form(before: LinearMap, node: Node, parts: dict[int, sparse.csr_matrix]) -> Conv | None:
    """The whole map as one convolution, kept only if it gives the very same matrix."""
    if len(parts) != 1:
        return None
    if isinstance(node, Pool2d):
        node = pool_as_conv(node, before.out_shape[0])
    if not isinstance(node, Conv):
        return None
    if _is_identity(before):
        return node
    if before.conv is None or len(before.in_shape) != len(before.out_shape):
        return None
    whole = _compose(before.conv, node)
    try:
        same = whole.out_shape(before.in_shape) == node.out_shape(before.out_shape)
    except Exception:  # a kernel that no longer fits its input is no convolution any more
        return None
    if not same:
        return None
    difference = conv_matrix(whole, before.in_shape) - next(iter(parts.values()))
    tolerance = 1e-12 * np.abs(whole.weight).max(initial=0)
    return whole if difference.nnz == 0 or abs(difference).max() <= tolerance else None


def _is_identity(linear: LinearMap) -> bool:
    """True for the map of a bare connection."""
    matrix = next(iter(linear.parts.values()))
    return linear.in_shape == linear.out_shape and linear.conv is None and matrix.nnz == matrix.shape[0] and bool(
        (matrix.indices == np.arange(matrix.shape[0])).all() and (matrix.data == 1).all())


def _compose(first: Conv, second: Conv) -> Conv:
    """Two convolutions as one: kernels spread by the first stride and convolved, strides multiplied."""
    a, b = _dense_kernel(first), _dense_kernel(second)
    ka, kb = a.shape[2:], b.shape[2:]
    kernel = tuple((q - 1) * s + p for p, q, s in zip(ka, kb, first.stride, strict=True))
    weight = np.zeros((b.shape[0], a.shape[1], *kernel))
    for offset in product(*map(range, kb)):
        at = tuple(slice(o * s, o * s + p) for o, s, p in zip(offset, first.stride, ka, strict=True))
        weight[_all_channels(at)] += np.tensordot(b[_all_channels(offset)], a, (1, 0))
    padding = tuple((la + lb * s, ha + hb * s) for (la, ha), (lb, hb), s in
                    zip(first.padding, second.padding, first.stride, strict=True))
    stride = tuple(s1 * s2 for s1, s2 in zip(first.stride, second.stride, strict=True))
    return Conv(weight, None, stride, padding, (1,) * len(kernel), 1)


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


def _refuse_if_large(synapses: int, what: str) -> None:
    """Refuse before memory is taken."""
    if synapses > MAX_SYNAPSES:
        raise UnsupportedError(f"{what} has {synapses:,} synapses, the limit is {MAX_SYNAPSES:,}", code="TOO_LARGE",
                               fix="use a smaller layer, or split the network")
