"""What each stateless node computes, written plainly, and what biases add up to. Arrays are (samples, *shape)."""

from __future__ import annotations

from functools import singledispatch
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import (
    Conv,
    ConvSynapses,
    Delay,
    Flatten,
    Input,
    Linear,
    Node,
    Output,
    Pool2d,
    Quantise,
    Scale,
    Synapses,
)
from hwsdk.ir.plastic import PlasticSynapses

Array = NDArray[Any]


@singledispatch
def apply_map(node: Node, x: Array, dtype: np.dtype[np.generic]) -> Array:
    """The node's output for x (samples, *in_shape), computed in ``dtype``."""
    raise InternalError(f"the reference has no rule for {type(node).__name__}")


@apply_map.register
def _linear(node: Linear, x: Array, dtype: np.dtype[np.generic]) -> Array:
    y = np.matmul(node.weight.astype(dtype), x[..., None])[..., 0]
    return np.asarray(y if node.bias is None else y + node.bias.astype(dtype))


@apply_map.register
def _scale(node: Scale, x: Array, dtype: np.dtype[np.generic]) -> Array:
    return x * node.scale.astype(dtype)


@apply_map.register
def _quantise(node: Quantise, x: Array, dtype: np.dtype[np.generic]) -> Array:
    step = np.where(node.step > 0, node.step, 1.0).astype(dtype)
    code = np.clip(np.rint(x / step + node.offset.astype(dtype)), node.low, node.high)
    return np.where(node.step > 0, code * step, x)


@apply_map.register
def _flatten(node: Flatten, x: Array, dtype: np.dtype[np.generic]) -> Array:
    return x.reshape(x.shape[0], *node.out_shape(x.shape[1:]))


@apply_map.register
def _conv(node: Conv, x: Array, dtype: np.dtype[np.generic]) -> Array:
    """For every offset in the kernel, every output position takes one weighted input position."""
    weight = node.weight.astype(dtype)
    out_shape = node.out_shape(x.shape[1:])
    padded = np.pad(x, [(0, 0), (0, 0), *node.padding])
    group_in, group_out = weight.shape[1], weight.shape[0] // node.groups
    y = np.zeros((x.shape[0], *out_shape), dtype)
    kernel = np.moveaxis(weight, (0, 1), (-2, -1))
    for g in range(node.groups):
        part = padded[:, g * group_in : (g + 1) * group_in]
        rows = slice(g * group_out, (g + 1) * group_out)
        for offset in product(*map(range, node.kernel)):
            window = part[(slice(None), slice(None), *_strided(offset, node.dilation, node.stride, out_shape[1:]))]
            y[:, rows] += np.moveaxis(np.tensordot(kernel[offset][rows], window, (1, 1)), 0, 1)
    if node.bias is not None:
        y += node.bias.astype(dtype).reshape(-1, *[1] * len(node.kernel))
    return y


@apply_map.register
def _pool(node: Pool2d, x: Array, dtype: np.dtype[np.generic]) -> Array:
    out_shape = node.out_shape(x.shape[1:])
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in node.padding)])
    y = np.zeros((x.shape[0], *out_shape), dtype)
    for offset in product(*map(range, node.kernel)):
        y += padded[(slice(None), slice(None), *_strided(offset, (1, 1), node.stride, out_shape[1:]))]
    return y / np.asarray(node.kernel[0] * node.kernel[1], dtype) if node.average else y


def _strided(offset: tuple[int, ...], dilation: tuple[int, ...], stride: tuple[int, ...],
             out: tuple[int, ...]) -> tuple[slice, ...]:
    """The input positions that one kernel offset meets, an axis each."""
    return tuple(slice(o * d, o * d + s * (n - 1) + 1, s)
                 for o, d, s, n in zip(offset, dilation, stride, out, strict=True))


def constant_currents(network: Network) -> dict[str, NDArray[np.float64]]:
    """Population -> the current (*shape) that reaches it for ever when nothing spikes: what the biases add up to."""
    return {n: np.asarray(np.broadcast_to(constant_input(network, n, outputs)[0], p.in_shape), np.float64)
            for outputs in [constant_outputs(network)] for n, p in network.populations.items()}


def constant_input(network: Network, name: str, outputs: dict[str, Array]) -> Array:
    """What reaches a node (1, *shape) for ever when nothing spikes."""
    total: Array = np.zeros((1,))
    for e in network.sources(name):
        total = total.reshape(1, *[1] * (outputs[e.source].ndim - 1)) if total.size == 1 else total
        total = total + outputs[e.source]
    return total


def constant_outputs(network: Network) -> dict[str, Array]:
    """Node -> what it puts out (1, *shape) for ever when nothing spikes; biases have always been on."""
    out: dict[str, Array] = {n: np.zeros((1, *network.shapes[n])) for n in network.of(Input, Neuron)}
    pending = [n for n in network.order if n not in out]
    while pending:
        ready = [n for n in pending if all(e.source in out for e in network.sources(n))]
        if not ready:
            raise InternalError("a loop without a neuron slipped through validation")
        for name in ready:
            out[name] = _constant_response(network.nodes[name], constant_input(network, name, out))
        pending = [n for n in pending if n not in out]
    return out


def _constant_response(node: Node, x: Array) -> Array:
    """What a stateless node puts out for ever for a constant input; Synapses have no bias to add."""
    if isinstance(node, Delay | Output):
        return x
    if isinstance(node, PlasticSynapses):  # only spikes enter it
        return np.zeros((1, *node.post_shape))
    if isinstance(node, Synapses | ConvSynapses):
        return _weighted(node, np.broadcast_to(x, (1, *node.pre_shape)))
    if isinstance(node, Conv) and not x.any():  # which is usual, and a large convolution takes its time
        bias = np.zeros(1) if node.bias is None else node.bias
        return np.broadcast_to(bias.reshape(-1, *[1] * len(node.kernel)), (1, *node.out_shape(x.shape[1:])))
    return apply_map(node, x, np.dtype(np.float64))


def _weighted(node: Synapses | ConvSynapses, x: Array) -> Array:
    """The sum of weights that reaches every target for a constant input, which is 0 in nearly every network."""
    flat = np.zeros(prod(node.post_shape))
    if x.any():
        node = explicit(node)
        np.add.at(flat, node.target, node.weight * x.ravel()[node.source])
    return flat.reshape(1, *node.post_shape)
