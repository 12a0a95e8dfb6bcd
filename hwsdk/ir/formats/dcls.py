"""Learned delays of the DCLS package (Dilated Convolution with Learnable Spacings), for NetworkBuilder.connect.

A Dcls1d layer is a convolution over time whose kernel of ``dilated_kernel_size`` taps holds, for every synapse, its
weight at the tap P + size // 2 (DCLS/construct/modules.py, ConstructKernel1d). Behind ``left_padding`` zeros, tap x is
a delay of left_padding - x steps; SNN-delays (arXiv 2306.17670) pads with size - 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.formats.modules_common import array, kind_of

Floats = NDArray[np.float64]


def dcls_synapses(module: Any, left_padding: int | None = None) -> tuple[Floats, Floats]:
    """(weight, delay) of a trained Dcls1d layer, both (kernel_count, out, in): what ``connect`` takes::

        weight, delay = dcls_synapses(layer)
        builder.connect("in", "hidden", weight=weight, delay_ticks=delay, rounding="nearest")

    The delays are as they were learned, with fractions; version and SIG, which blur a kernel in training, do not enter.

    Args:
        module: of torch; the DCLS package itself is not needed. left_padding: zeros that the forward pass puts before
            the input in time, with those of the layer; default the layer's own, or else size - 1.

    Raises:
        ModelError: UNKNOWN_LAYER; LAYER_OPTION: a stride, a transposed layer, another padding mode, or a bias;
            NEGATIVE_DELAY: a tap that reads what comes later.
    """
    if not all(hasattr(module, name) for name in ("weight", "P", "dilated_kernel_size", "groups")) or \
            len(module.dilated_kernel_size) != 1:
        raise ModelError(f"a {kind_of(module)} is no Dcls1d layer", code="UNKNOWN_LAYER",
                         fix="give a layer of DCLS.construct.modules.Dcls1d")
    _refuse_options(module)
    weight, position = array(module.weight), array(module.P)[0]
    size, own = int(module.dilated_kernel_size[0]), int(next(iter(module.padding)))
    tap = position + size // 2
    weight = np.where((np.rint(tap) >= 0) & (np.rint(tap) < size), weight, 0.0)  # taps beyond the kernel do nothing
    delay = (left_padding if left_padding is not None else own or size - 1) - tap
    if (np.rint(delay)[weight != 0] < 0).any():
        raise ModelError(f"a delay of {delay[weight != 0].min():g} steps: the layer reads what comes later",
                         code="NEGATIVE_DELAY", fix=f"pad {size - 1} zeros before the input, as left_padding says")
    delay = np.clip(delay, 0.0, None)
    return _full(weight, int(module.groups)), _full(delay, int(module.groups))


def _refuse_options(module: Any) -> None:
    """What makes it more than delayed synapses."""
    bias = getattr(module, "bias", None)
    found = [what for what, bad in (
        (f"stride={module.stride}", any(s != 1 for s in tuple(module.stride))),
        ("transposed=True", bool(getattr(module, "transposed", False))),
        (f"padding_mode={getattr(module, 'padding_mode', 'zeros')!r}",
         getattr(module, "padding_mode", "zeros") != "zeros"),
        ("a bias", bias is not None and bool(array(bias).any()))) if bad]
    if found:
        raise ModelError(f"{kind_of(module)} with {', '.join(found)}", code="LAYER_OPTION",
                         fix="use stride 1 and zeros for padding; a bias belongs to the population behind it")


def _full(values: Floats, groups: int) -> Floats:
    """(out, in / groups, k) -> (k, out, in), 0 between groups."""
    c_out, group_in, count = values.shape
    full = np.zeros((count, c_out, group_in * groups))
    rows = c_out // groups
    for g in range(groups):
        out = slice(g * rows, (g + 1) * rows)
        full[:, out, g * group_in : (g + 1) * group_in] = np.moveaxis(values[out], -1, 0)
    return full
