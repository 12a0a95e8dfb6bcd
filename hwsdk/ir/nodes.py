"""Nodes without state: graph inputs and outputs, and the connections (linear maps) between neurons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError

Shape = tuple[int, ...]
FloatArray = NDArray[np.float64]


def frozen(array: object, dtype: object = np.float64) -> NDArray[Any]:
    """A read-only C-contiguous copy of an array in ``dtype``."""
    out = np.array(array, dtype=dtype, order="C", copy=True)  # type: ignore[call-overload]
    out.flags.writeable = False
    return out  # type: ignore[no-any-return]


def size(shape: Shape) -> int:
    """Number of elements, without overflow."""
    return math.prod(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Base of all nodes. ``out_shape`` is the shape rule: input shape -> output shape, or ModelError."""

    stateful: ClassVar[bool] = False

    def out_shape(self, in_shape: Shape) -> Shape:
        """The shape that comes out for a shape that goes in."""
        return in_shape

    def parameters(self) -> int:
        """How many stored numbers the node has."""
        return 0


@dataclass(frozen=True, slots=True, eq=False)
class Input(Node):
    """A graph input of a given shape."""

    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Output(Node):
    """A graph output of a given shape."""

    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Linear(Node):
    """y = W x (+ b). weight (..., out, in): leading axes are independent blocks; bias broadcasts to the output."""

    weight: FloatArray
    bias: FloatArray | None = None

    def out_shape(self, in_shape: Shape) -> Shape:
        """(..., in) -> (..., out)."""
        expected = (*self.weight.shape[:-2], self.weight.shape[-1])
        if in_shape != expected:
            raise ModelError(f"the weight {self.weight.shape} takes {expected}, its input is {in_shape}",
                             code="SHAPE_MISMATCH", fix="check the layer before it, or insert a Flatten")
        return (*self.weight.shape[:-2], self.weight.shape[-2])

    def parameters(self) -> int:
        """Weights and biases."""
        return int(self.weight.size) + (0 if self.bias is None else int(self.bias.size))


@dataclass(frozen=True, slots=True, eq=False)
class Conv(Node):
    """Cross-correlation over the trailing axes, as in torch.

    weight (C_out, C_in/groups, *kernel); bias (C_out) or None; stride and dilation one number an axis;
    padding one (before, after) pair an axis.
    """

    weight: FloatArray
    bias: FloatArray | None
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel size, one number an axis."""
        return tuple(self.weight.shape[2:])

    def out_shape(self, in_shape: Shape) -> Shape:
        """(C_in, *spatial) -> (C_out, *spatial')."""
        channels = self.weight.shape[1] * self.groups
        if len(in_shape) != 1 + len(self.kernel) or in_shape[0] != channels:
            raise ModelError(f"the convolution takes ({channels}, {', '.join('*' for _ in self.kernel)}), its input is "
                             f"{in_shape}", code="SHAPE_MISMATCH", fix="check channels and groups of the layer before")
        spatial = tuple(
            (n + lo + hi - d * (k - 1) - 1) // s + 1
            for n, k, s, (lo, hi), d in zip(in_shape[1:], self.kernel, self.stride, self.padding, self.dilation,
                                            strict=True)
        )
        _require_positive(spatial, in_shape)
        return (self.weight.shape[0], *spatial)

    def parameters(self) -> int:
        """Weights and biases."""
        return int(self.weight.size) + (0 if self.bias is None else int(self.bias.size))


@dataclass(frozen=True, slots=True, eq=False)
class Pool2d(Node):
    """Sum (or mean) over windows of the two trailing axes; padded cells count as zeros, in the mean too."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    average: bool = False

    def out_shape(self, in_shape: Shape) -> Shape:
        """(C, H, W) -> (C, H', W')."""
        if len(in_shape) != 3:
            raise ModelError(f"pooling takes (C, H, W), its input is {in_shape}", code="SHAPE_MISMATCH",
                             fix="check the layer before it")
        spatial = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in
                        zip(in_shape[1:], self.kernel, self.stride, self.padding, strict=True))
        _require_positive(spatial, in_shape)
        return (in_shape[0], *spatial)


@dataclass(frozen=True, slots=True, eq=False)
class Scale(Node):
    """y = s * x, elementwise; s has the full shape."""

    scale: FloatArray

    def out_shape(self, in_shape: Shape) -> Shape:
        """Unchanged; the scale must have the same shape."""
        if in_shape != self.scale.shape:
            raise ModelError(f"the scale has shape {self.scale.shape}, its input is {in_shape}", code="SHAPE_MISMATCH",
                             fix="give the scale the full shape of its input")
        return in_shape

    def parameters(self) -> int:
        """The factors."""
        return int(self.scale.size)


@dataclass(frozen=True, slots=True, eq=False)
class Flatten(Node):
    """Merges the axes start_dim..end_dim (both included, negative from the end) in C order."""

    start_dim: int = 0
    end_dim: int = -1

    def out_shape(self, in_shape: Shape) -> Shape:
        """For example (C, H, W) -> (C*H*W,) with 0, -1."""
        rank = len(in_shape)
        lo, hi = (d + rank if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= lo <= hi < max(rank, 1):
            raise ModelError(f"flatten from axis {self.start_dim} to {self.end_dim} of a shape {in_shape}",
                             code="SHAPE_MISMATCH", fix="NIR has no batch axis: start_dim counts from the first axis")
        return (*in_shape[:lo], size(in_shape[lo : hi + 1]), *in_shape[hi + 1 :])


@dataclass(frozen=True, slots=True, eq=False)
class Delay(Node):
    """y(t) = x(t - delay), one delay an element; the delay is in steps (the importer divides by dt)."""

    ticks: NDArray[np.int64]

    def out_shape(self, in_shape: Shape) -> Shape:
        """Unchanged; there must be one delay an element."""
        if in_shape != self.ticks.shape:
            raise ModelError(f"there are delays for {self.ticks.shape}, its input is {in_shape}", code="SHAPE_MISMATCH",
                             fix="give one delay an element")
        return in_shape

    def parameters(self) -> int:
        """The delays."""
        return int(self.ticks.size)


@dataclass(frozen=True, slots=True)
class SharedKernel:
    """A convolution kernel that a chip may store once: input channels, kernel size, groups."""

    c_in: int
    kernel: tuple[int, ...]
    groups: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Quantise(Node):
    """What an analog-to-digital converter gives: y = clip(rint(x / step + offset), low, high) step.

    step: of each element, 0 where nothing is converted and y = x; offset: in steps. Both of the input's shape. No model
    file has it: it stands in networks that say what an analog chip computes.
    """

    step: FloatArray
    offset: FloatArray
    low: int
    high: int

    def out_shape(self, in_shape: Shape) -> Shape:
        """Unchanged."""
        if in_shape != self.step.shape:
            raise ModelError(f"the converters take {self.step.shape}, their input is {in_shape}", code="SHAPE_MISMATCH",
                             fix="check the layer before it")
        return in_shape


@dataclass(frozen=True, slots=True, eq=False)
class Projection(Node):
    """Base of the connections that are synapses: from a population of ``pre_shape`` to inputs of ``post_shape``."""

    pre_shape: Shape
    post_shape: Shape

    def out_shape(self, in_shape: Shape) -> Shape:
        """pre_shape -> post_shape."""
        if in_shape != self.pre_shape:
            raise ModelError(f"the synapses leave {self.pre_shape}, their input is {in_shape}", code="SHAPE_MISMATCH",
                             fix="check the population that they leave")
        return self.post_shape


@dataclass(frozen=True, slots=True, eq=False)
class Synapses(Projection):
    """A sparse projection with a weight and a delay for every synapse.

    source, target int64 (k,): flat indices into pre_shape and post_shape; weight (k,), integer in integer networks;
    delay_ticks int64 (k,). Several synapses may join one pair. ``shared`` says that the weights are one convolution.
    In integer networks the input of the target is (sum of weight * spike) << weight_exp, the weights lie on the grid
    of ``weight_bits`` and ``sign_mode`` ("mixed", "excitatory", "inhibitory").
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[Any]
    delay_ticks: NDArray[np.int64]
    shared: SharedKernel | None = None
    weight_exp: int = 0
    weight_bits: int = 8
    sign_mode: str = "mixed"

    def parameters(self) -> int:
        """The weights."""
        return int(self.weight.size)


@dataclass(frozen=True, slots=True, eq=False)
class ConvSynapses(Projection):
    """A convolution (cross-correlation, as Conv) of spikes whose kernel a chip stores once.

    weight (C_out, C_in/groups, *kernel), integer in integer networks. conv_shape: (C_out, *spatial') before a possible
    Flatten to post_shape. delay_ticks: of every synapse. weight_exp, weight_bits, sign_mode: as in Synapses.
    ``hwsdk.ir.expand.explicit`` writes it out as Synapses.
    """

    conv_shape: Shape
    weight: NDArray[Any]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1
    delay_ticks: int = 1
    weight_exp: int = 0
    weight_bits: int = 8
    sign_mode: str = "mixed"

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel size, one number an axis."""
        return tuple(self.weight.shape[2:])

    @property
    def shared(self) -> SharedKernel:
        """What of the kernel decides its memory."""
        return SharedKernel(self.weight.shape[1] * self.groups, self.kernel, self.groups)

    def parameters(self) -> int:
        """The weights of the kernel."""
        return int(self.weight.size)


def _require_positive(spatial: Shape, in_shape: Shape) -> None:
    """Refuse a window larger than its input."""
    if min(spatial) < 1:
        raise ModelError(f"the window is larger than its padded input {in_shape}", code="SHAPE_MISMATCH",
                         fix="use a smaller kernel or dilation, or more padding")
