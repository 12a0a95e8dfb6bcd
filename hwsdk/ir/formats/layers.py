"""Stateless layers: Affine, Linear, convolutions, pooling and Flatten."""

from __future__ import annotations

import math

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.formats.fields import FieldReader, Floats
from hwsdk.ir.formats.ports import SPATIAL
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.nodes import Conv, Flatten, Linear, Pool2d, Shape, frozen


def linear(fields: FieldReader, ledger: LedgerWriter) -> Linear:
    """Affine or Linear.

    Raises:
        ModelError: BAD_SHAPE for a weight that is no matrix, SHAPE_MISMATCH for a bias of the wrong length.
    """
    weight = fields.floats("weight")
    if weight.ndim < 2:
        raise fields.error(f"the weight has shape {weight.shape}, it needs (out, in)", "BAD_SHAPE",
                           "store the weight as a matrix with one row for each output")
    if fields.node.type == "Linear":
        return Linear(frozen(weight))
    return Linear(frozen(weight), _bias(fields, (*weight.shape[:-2], weight.shape[-2]), ledger))


def _bias(fields: FieldReader, outputs: Shape, ledger: LedgerWriter) -> Floats | None:
    """A bias of one value an output, or None where none is stored."""
    if not fields.has("bias"):
        ledger.assumed(fields.name, "BIAS_MISSING", "no bias is stored; none was taken")
        return None
    bias = fields.floats("bias")
    if bias.shape in (outputs, outputs[-1:]):
        return frozen(bias)
    if bias.ndim == 0:
        ledger.changed(fields.name, "PARAMETER_BROADCAST", f"bias () -> {outputs}")
        return frozen(np.broadcast_to(bias, outputs))
    if bias.size == math.prod(outputs):
        ledger.changed(fields.name, "PARAMETER_RESHAPED", f"bias {bias.shape} -> {outputs}")
        return frozen(bias.reshape(outputs))
    raise fields.error(f"the bias has shape {bias.shape}, the weight makes {outputs}", "SHAPE_MISMATCH",
                       f"store {math.prod(outputs)} biases, one for each output")


def conv(fields: FieldReader, arriving: Shape, ledger: LedgerWriter) -> Conv:
    """Conv1d or Conv2d for the shape (C, *spatial) that arrives.

    Raises:
        ModelError: BAD_SHAPE, BAD_FIELD or SHAPE_MISMATCH.
    """
    axes = SPATIAL[fields.node.type]
    weight = fields.floats("weight")
    if weight.ndim != axes + 2:
        raise fields.error(f"the weight has shape {weight.shape}, it needs {axes + 2} axes", "BAD_SHAPE",
                           "store it as (out channels, in channels / groups, kernel ...)")
    stride, dilation = (_optional(fields, f, axes, 1, 1, ledger) for f in ("stride", "dilation"))
    groups = _groups(fields, weight.shape[0], ledger)
    node = Conv(frozen(weight), _bias(fields, weight.shape[:1], ledger), stride, ((0, 0),) * axes, dilation, groups)
    if len(arriving) == axes + 1:
        _check_input_shape(fields, arriving[1:], ledger)
        padding = _padding(fields, node, arriving[1:], ledger)
        node = Conv(node.weight, node.bias, stride, padding, dilation, groups)
    return node


def _optional(fields: FieldReader, name: str, axes: int, least: int, default: int,
              ledger: LedgerWriter) -> tuple[int, ...]:
    """One integer an axis, with torch's default where the field is missing."""
    if fields.has(name):
        return fields.per_axis(name, axes, least)
    ledger.assumed(fields.name, f"{name.upper()}_MISSING", f"{name} is not stored; {default} was taken")
    return (default,) * axes


def _groups(fields: FieldReader, outputs: int, ledger: LedgerWriter) -> int:
    """The number of groups, which divides the output channels."""
    groups = _optional(fields, "groups", 1, 1, 1, ledger)[0]
    if outputs % groups:
        raise fields.error(f"{outputs} output channels cannot be split into {groups} groups", "BAD_FIELD",
                           "choose groups that divide the channels")
    return groups


def _check_input_shape(fields: FieldReader, spatial: Shape, ledger: LedgerWriter) -> None:
    """Compare the stored input_shape with what arrives; the latter is used."""
    if not fields.has("input_shape"):
        ledger.changed(fields.name, "INPUT_SHAPE", f"input_shape is not stored; {spatial} arrives")
        return
    stored = fields.whole("input_shape")
    if stored != spatial:
        ledger.warning(fields.name, "INPUT_SHAPE_IGNORED", f"input_shape is stored as {stored}, but {spatial} "
                       "arrives; the latter was used")


def _padding(fields: FieldReader, node: Conv, spatial: Shape, ledger: LedgerWriter) -> tuple[tuple[int, int], ...]:
    """(before, after) an axis; 'same' gives ceil(n / stride) outputs and puts the odd cell behind."""
    word = fields.text("padding")
    if word is None:
        return tuple((p, p) for p in _optional(fields, "padding", len(spatial), 0, 0, ledger))
    if word == "valid":
        return ((0, 0),) * len(spatial)
    if word != "same":
        raise fields.error(f"the padding is {word!r}", "BAD_FIELD", "use 'same', 'valid' or integers of 0 or more")
    if max(node.stride) > 1:
        ledger.assumed(fields.name, "SAME_WITH_STRIDE", "padding 'same' with a stride gives ceil(n / stride) outputs, "
                       "with the odd padding behind, as in TensorFlow; torch does not define it")
    return tuple(_same(n, k, s, d) for n, k, s, d in
                 zip(spatial, node.kernel, node.stride, node.dilation, strict=True))


def _same(n: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """The padding of one axis for ceil(n / stride) outputs."""
    total = max((math.ceil(n / stride) - 1) * stride + dilation * (kernel - 1) + 1 - n, 0)
    return total // 2, total - total // 2


def pool(fields: FieldReader, ledger: LedgerWriter) -> Pool2d:
    """SumPool2d or AvgPool2d; a missing stride is the kernel."""
    kernel = fields.per_axis("kernel_size", 2, 1)
    if fields.has("stride"):
        stride = fields.per_axis("stride", 2, 1)
    else:
        stride = kernel
        ledger.assumed(fields.name, "STRIDE_MISSING", f"stride is not stored; the kernel {kernel} was taken")
    padding = _optional(fields, "padding", 2, 0, 0, ledger)
    return Pool2d((kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1]),
                  fields.node.type == "AvgPool2d")


def flatten(fields: FieldReader, arriving: Shape, wanted: tuple[Shape, ...], ledger: LedgerWriter) -> Flatten:
    """A Flatten whose result is one of ``wanted`` (the shapes that the nodes behind it take) if any of them can be.

    Tried in turn: the axes as stored, the axes with a batch axis counted, all axes.

    Raises:
        ModelError: SHAPE_MISMATCH where no reading suits.
    """
    start = fields.whole("start_dim")[0] if fields.has("start_dim") else 1
    end = fields.whole("end_dim")[0] if fields.has("end_dim") else -1
    missing = [f for f in ("start_dim", "end_dim") if not fields.has(f)]
    if missing:
        ledger.assumed(fields.name, "FLATTEN_DEFAULT", f"{', '.join(missing)} not stored; NIR's defaults are 1 and -1")
    _note_input_type(fields, arriving, ledger)
    readings = (Flatten(start, end), Flatten(start - (start > 0), end - (end > 0)), Flatten(0, -1))
    fitting = [(r, s) for r in readings if (s := _try(r, arriving)) is not None]
    settled = [r for r, s in fitting if s in wanted] or [r for r, _ in fitting]
    if not settled:
        raise fields.error(f"axes {start} to {end} of {arriving} cannot be flattened", "SHAPE_MISMATCH",
                           "count the axes without a batch axis")
    chosen = settled[0]
    if (chosen.start_dim, chosen.end_dim) != (start, end):
        ledger.changed(fields.name, "FLATTEN_AXES", f"axes {start}..{end} are stored, {arriving} arrives; read as "
                       f"{chosen.start_dim}..{chosen.end_dim}, without a batch axis")
    return chosen


def _note_input_type(fields: FieldReader, arriving: Shape, ledger: LedgerWriter) -> None:
    """A stored input_type that is not what arrives is not used, and said."""
    fields.used.add("input_type")
    stored = np.asarray(fields.node.fields.get("input_type", ())).tolist()
    if stored and stored != list(arriving):
        ledger.changed(fields.name, "FLATTEN_TYPE", f"input_type {stored} is stored, {arriving} arrives; the latter "
                       "was used")


def _try(node: Flatten, shape: Shape) -> Shape | None:
    """What a Flatten makes of a shape, or None."""
    try:
        return node.out_shape(shape)
    except ModelError:
        return None
