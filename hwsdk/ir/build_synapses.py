"""The projections of the builder: weights, delays and kernels as users give them -> Synapses and ConvSynapses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.errors import ModelError
from hwsdk.ir.formats.populations import MAX_DELAY_TICKS
from hwsdk.ir.grid import off_grid, sign_mode
from hwsdk.ir.ledger import LedgerEntry
from hwsdk.ir.nodes import Conv, ConvSynapses, Shape, Synapses, frozen, size
from hwsdk.ir.single import WEIGHT_LIMIT

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Form:
    """How weights are stored. ``numbers``: "float"; "fixed", integers on the grid of Loihi-style chips, in (weight_exp,
    weight_bits, sign_mode), see Synapses, sign_mode None: what the weights' signs allow; or "single", integers of 16
    bits, see hwsdk.ir.single.
    """

    numbers: str = "float"
    weight_exp: int = 0
    weight_bits: int = 8
    sign_mode: str | None = None

    @property
    def plain(self) -> bool:
        """True where none of the fields of Loihi's grid was given."""
        return (self.weight_exp, self.weight_bits, self.sign_mode) == (0, 8, None)

    def apply(self, node: Synapses | ConvSynapses, where: str) -> Synapses | ConvSynapses:
        """The projection with its weights in this form.

        Raises:
            ModelError: WEIGHT_GRID.
        """
        if self.numbers != "fixed" and not self.plain:
            raise ModelError("weight_exp, weight_bits and sign_mode are those of Loihi's integer weights", where=where,
                             code="WEIGHT_GRID", fix="leave them out, or use the integer neurons of hwsdk.ir.fixed")
        if self.numbers == "single":
            return _single_weights(node, where)
        if self.numbers == "float":
            return replace(node, weight=frozen(node.weight))
        whole = replace(node, weight_exp=self.weight_exp, weight_bits=self.weight_bits,
                        sign_mode=self.sign_mode or sign_mode(node.weight))
        problem = off_grid(whole) if is_whole(node.weight) else "weights that are no whole numbers"
        if problem:
            raise ModelError(problem, where=where, code="WEIGHT_GRID",
                             fix="give whole numbers on the grid (8-bit weights of both signs are even, -256 to 254), "
                             "scale them with weight_exp, or build the model in floats and let hwsdk quantise it")
        return replace(whole, weight=frozen(node.weight, np.int64))


def _single_weights(node: Synapses | ConvSynapses, where: str) -> Synapses | ConvSynapses:
    """Integers of 16 bits; weight_bits says how many of them are needed."""
    peak = float(np.abs(node.weight).max(initial=0))
    if not is_whole(node.weight) or peak > WEIGHT_LIMIT:
        raise ModelError(f"weights of {np.min(node.weight):g} to {np.max(node.weight):g} onto a single-precision "
                         "population", where=where, code="WEIGHT_GRID",
                         fix=f"give whole numbers from -{WEIGHT_LIMIT} to {WEIGHT_LIMIT}, or build the model in floats "
                         "and let hwsdk quantise it")
    return replace(node, weight=frozen(node.weight, np.int64), weight_bits=signed_bits(peak))


def signed_bits(peak: float) -> int:
    """Bits of the smallest signed word, 2 or more, that holds integers from -peak to peak."""
    return max(int(peak).bit_length() + 1, 2)


def synapses(pre: Shape, post: Shape, weight: Any, delay_ticks: Any, where: str, rounding: str | None = None,
             zeros: bool = False) -> tuple[Synapses, tuple[LedgerEntry, ...]]:
    """(the projection of weights, in floats; what rounding did to its delays). See NetworkBuilder.connect.

    zeros: a 0 in an array is a synapse too.

    Raises:
        ModelError: SHAPE_MISMATCH, BAD_DTYPE, NEGATIVE_DELAY, BAD_DELAY.
    """
    place, values, dims = _entries(pre, post, weight, where, zeros)
    exact = _picked(_numbers_of_delay(delay_ticks, where), place, dims, where)
    ticks = _whole(exact, where, rounding)
    notes = _rounding(exact, ticks, place, where) if rounding and (exact != ticks).any() else ()
    return Synapses(pre, post, frozen(place[-1], np.int64), frozen(place[-2], np.int64), values,
                    frozen(ticks, np.int64)), notes


def convolution(pre: Shape, kernel: Any, options: dict[str, Any], delay_ticks: Any, where: str) -> ConvSynapses:
    """A convolution of spikes; its post_shape is what it makes. See NetworkBuilder.convolve.

    Raises:
        ModelError: SHAPE_MISMATCH, BAD_DTYPE, BAD_OPTION, NEGATIVE_DELAY, BAD_DELAY.
    """
    weight, rank = numbers(kernel, "weight"), len(pre) - 1
    groups = int(options["groups"])
    if weight.ndim != rank + 2 or rank < 1 or groups < 1 or weight.shape[0] % groups:
        raise ModelError(f"a kernel of shape {weight.shape} in {groups} group(s) on an input of {pre}", where=where,
                         code="SHAPE_MISMATCH", fix="give (C_out, C_in / groups, *kernel) and an input (C_in, *places)")
    stride, dilation = (_per_axis(options[n], rank, n, where) for n in ("stride", "dilation"))
    conv = Conv(weight, None, stride, _padding(options["padding"], rank, where), dilation, groups)
    try:
        shape = conv.out_shape(pre)
    except ModelError as error:
        raise ModelError(error.what, where=where, fix=error.fix, code=error.code) from None
    ticks = _whole(_numbers_of_delay(delay_ticks, where), where, None)
    if ticks.ndim:
        raise ModelError("a convolution has one delay", where=where, code="BAD_DELAY", fix="give one number")
    return ConvSynapses(pre, shape, shape, weight, stride, conv.padding, dilation, groups, int(ticks))


def at_port(node: Synapses | ConvSynapses, port: int, post: Shape, where: str) -> Synapses | ConvSynapses:
    """A projection into one of the inputs of a population whose in_shape is ``post``, (ports, *shape).

    Raises:
        ModelError: BAD_OPTION, a grouped convolution.
    """
    if isinstance(node, Synapses):
        return replace(node, post_shape=post, target=frozen(node.target + port * size(post[1:]), np.int64))
    if node.groups != 1:
        raise ModelError("a convolution in groups into one of several inputs", where=where, code="BAD_OPTION",
                         fix="write its weight for one group, with zeros")
    kernel = np.zeros((post[0], *node.weight.shape), node.weight.dtype)
    kernel[port] = node.weight
    channels = post[0] * node.conv_shape[0]
    return replace(node, weight=kernel.reshape(channels, *node.weight.shape[1:]), post_shape=post,
                   conv_shape=(channels, *node.conv_shape[1:]))


def numbers(value: Any, name: str) -> Floats:
    """A real array.

    Raises:
        ModelError: BAD_DTYPE.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ModelError(f"{name} has values of type {array.dtype}, it must hold real numbers", code="BAD_DTYPE",
                         fix="give floats or integers")
    return array.astype(np.float64)


def is_whole(values: Floats) -> bool:
    """True for finite whole numbers that a float holds exactly."""
    return bool((np.isfinite(values) & (np.abs(values) < 2.0**53)).all()) and bool((values % 1 == 0).all())


def edge_delay(delay_ticks: Any, where: str) -> int:
    """Whole, non-negative steps of a plain edge."""
    ticks = _whole(_numbers_of_delay(delay_ticks, where), where, None)
    if ticks.ndim:
        raise ModelError(f"delay_ticks has shape {ticks.shape}, there is no weight", where=where,
                         code="SHAPE_MISMATCH", fix="give one delay for all, or one for each weight")
    return int(ticks)


def _entries(pre: Shape, post: Shape, weight: Any, where: str, zeros: bool,
             ) -> tuple[tuple[Ints, ...], Floats, Shape]:
    """Place (layer, target, source), or (target, source), and weight of every synapse; the shape that holds them."""
    dims: Shape = (size(post), size(pre))
    place: tuple[Any, ...]
    if sparse.issparse(weight):
        matrix = weight.tocoo()
        found, place, data = tuple(matrix.shape), (matrix.row, matrix.col), numbers(matrix.data, "weight")
    elif np.ndim(weight) == 0:
        each = np.arange(dims[1])
        found, place, data = (dims[1], dims[1]), (each, each), np.full(dims[1], float(numbers(weight, "weight")))
    else:
        dense = numbers(weight, "weight")
        found, place = dense.shape, np.nonzero(np.ones_like(dense) if zeros else dense)
        data = dense[place]
    if found[-2:] != dims or len(found) not in (2, 3):
        raise ModelError(f"the weight has shape {found}, the projection from {pre} to {post} needs {dims}",
                         where=where, code="SHAPE_MISMATCH", fix="give one row for each target, one column a source")
    return tuple(x.astype(np.int64) for x in place), data, found


def _numbers_of_delay(delay_ticks: Any, where: str) -> Any:
    """A float array, or the sparse matrix that was given."""
    values = delay_ticks.tocsr() if sparse.issparse(delay_ticks) else np.asarray(delay_ticks)
    data = values.data if sparse.issparse(values) else values
    if values.dtype.kind not in "biuf" or not np.isfinite(data).all():
        raise ModelError("delay_ticks holds other things than numbers", where=where, code="BAD_DELAY",
                         fix="give delays in steps")
    return values.astype(np.float64)


def _picked(values: Any, place: tuple[Ints, ...], dims: Shape, where: str) -> Floats:
    """The delay of every synapse, from one for all, one for each weight, or one for each stored entry."""
    if values.shape == ():
        return np.full(len(place[0]), float(values))
    if values.shape == dims:
        return np.asarray(values[place], np.float64).ravel()
    if len(dims) == 2 and values.shape == place[0].shape:
        return np.asarray(values)
    raise ModelError(f"delay_ticks has shape {values.shape}, the weight has {dims}", where=where,
                     code="SHAPE_MISMATCH", fix="give one delay for all, or one for each weight")


def _whole(exact: Floats, where: str, rounding: str | None) -> Ints:
    """Delays in whole steps; halves go to the even one, as in torch.round."""
    if rounding not in (None, "nearest"):
        raise ModelError(f"rounding is {rounding!r}", where=where, code="BAD_OPTION", fix='give None or "nearest"')
    if rounding is None and (exact % 1 != 0).any():
        raise ModelError("delay_ticks holds other things than whole numbers", where=where, code="BAD_DELAY",
                         fix='give delays in steps, or rounding="nearest", which reports what it moves')
    ticks = np.rint(exact)
    if ticks.size and (exact.min() < 0 or exact.max() > MAX_DELAY_TICKS):
        bad = exact.min() if exact.min() < 0 else exact.max()
        raise ModelError(f"a delay of {bad:g} steps; allowed are 0 to {MAX_DELAY_TICKS}", where=where,
                         code="NEGATIVE_DELAY" if bad < 0 else "BAD_DELAY", fix="give delays in steps, 0 or more")
    return np.asarray(ticks, np.int64)


def _rounding(exact: Floats, ticks: Ints, place: tuple[Ints, ...], where: str) -> tuple[LedgerEntry, ...]:
    """What rounding did."""
    error = np.abs(exact - ticks)
    text = f"{int((error > 0).sum())} of {len(exact)} synapses moved to whole steps, by {error.max():.3g} steps at " \
           f"most and {error.mean():.3g} on average"
    met = _met(exact, ticks, place)
    text += f"; {met} fell onto the delay of another synapse of their pair" if met else ""
    return (LedgerEntry("changed", where, "DELAY_ROUNDED", text),)


def _met(exact: Floats, ticks: Ints, place: tuple[Ints, ...]) -> int:
    """Synapses that share pair and delay with another one only since their delays are whole."""
    pair = place[-2] * (int(place[-1].max(initial=0)) + 1) + place[-1]
    if len(np.unique(pair)) == len(pair):
        return 0
    before, after = (len(np.unique(pair + 1j * x)) for x in (exact, ticks))
    return before - after


def _per_axis(value: Any, rank: int, name: str, where: str) -> tuple[int, ...]:
    """One positive integer an axis."""
    values = tuple(value) if isinstance(value, Iterable) else (value,) * rank
    if len(values) != rank or any(int(v) != v or v < 1 for v in values):
        raise ModelError(f"{name} is {value}; it must be an integer of 1 or more for each of {rank} axes", where=where,
                         code="BAD_OPTION", fix="give one number, or one an axis")
    return tuple(int(v) for v in values)


def _padding(value: Any, rank: int, where: str) -> tuple[tuple[int, int], ...]:
    """(before, after) an axis, from one number, one an axis, or such pairs."""
    each = tuple(value) if isinstance(value, Iterable) else (value,) * rank
    pairs = tuple(tuple(v) if isinstance(v, Iterable) else (v, v) for v in each)
    if len(pairs) != rank or any(len(p) != 2 or any(int(x) != x or x < 0 for x in p) for p in pairs):
        raise ModelError(f"padding is {value}; it must be 0 or more before and after each of {rank} axes", where=where,
                         code="BAD_OPTION", fix="give one number, one an axis, or one (before, after) pair an axis")
    return tuple((int(a), int(b)) for a, b in pairs)
