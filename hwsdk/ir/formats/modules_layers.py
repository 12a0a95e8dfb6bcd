"""Layers without state: torch's Linear, convolutions and pooling, and sinabs' SumPool2d, as raw nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.formats.modules_common import Fragment, Layer, array, forward_class, kind_of, refuse
from hwsdk.ir.formats.raw import RawNode

RANKS = {"Linear": 1, "Conv1d": 2, "Conv2d": 3, "AvgPool2d": 3, "LPPool2d": 3}
ADVICE = {
    "BatchNorm": "fold it into the layer before it (torch.nn.utils.fusion.fuse_conv_bn_eval, fuse_linear_bn_eval)",
    "MaxPool": "use average or sum pooling, or a stride; NIR has no maximum",
    "SpikingMaxPooling": "use average or sum pooling, or a stride; NIR has no maximum",
    "ReLU": "use a spiking layer in its place",
}
KNOWN = ("Linear, Conv1d, Conv2d, AvgPool2d, LPPool2d with norm_type=1, sinabs SumPool2d, Flatten, Identity, Dropout; "
         "snnTorch Leaky, Synaptic, RLeaky, RSynaptic; sinabs IAF, LIF, ExpLeak, their Squeeze and Recurrent forms; "
         "Norse LIFBoxCell, LIFCell, LIBoxCell, LICell, IAFCell, LIF, LI, IAF, LIFRecurrentCell, LIFRecurrent")


def is_map(module: object) -> bool:
    """True for a layer that this file reads."""
    root, name = forward_class(module)
    return root == "torch" and name in RANKS


def rank(module: object) -> int | None:
    """Rank of the features of such a layer."""
    return RANKS[forward_class(module)[1]] if is_map(module) else None


def read(layer: Layer) -> Fragment:
    """One layer.

    Raises:
        ModelError: UNKNOWN_LAYER, or an option without an equivalent in NIR.
    """
    name = forward_class(layer.module)[1]
    if not is_map(layer.module):
        shown = kind_of(layer.module)
        advice = next((text for key, text in ADVICE.items() if key in type(layer.module).__name__), "replace it")
        raise ModelError(f"hwsdk does not read {shown} layers", where=layer.name, code="UNKNOWN_LAYER",
                         fix=f"{advice}. Read are: {KNOWN}")
    makers: dict[str, Callable[[Layer], RawNode]] = {"Linear": linear, "Conv1d": conv, "Conv2d": conv,
                                                     "AvgPool2d": _average, "LPPool2d": _sum}
    return Fragment({layer.name: makers[name](layer)}, layer.name, layer.name)


def linear(layer: Layer) -> RawNode:
    """Affine, or Linear without a bias."""
    module = layer.module
    if module.bias is None:
        return RawNode("Linear", {"weight": array(module.weight)})
    return RawNode("Affine", {"weight": array(module.weight), "bias": array(module.bias)})


def conv(layer: Layer) -> RawNode:
    """Conv1d or Conv2d."""
    module = layer.module
    if module.padding_mode != "zeros":
        raise refuse(layer, f"padding_mode {module.padding_mode!r}", "PADDING_MODE", "NIR pads with zeros only")
    padding = module.padding if isinstance(module.padding, str) else np.asarray(module.padding)
    fields: dict[str, Any] = {"weight": array(module.weight), "padding": padding, "stride": np.asarray(module.stride),
                              "dilation": np.asarray(module.dilation), "groups": np.asarray(module.groups)}
    bias = np.zeros(module.out_channels) if module.bias is None else array(module.bias)
    return RawNode(f"Conv{len(layer.shape) - 1}d", {**fields, "bias": bias})


def _average(layer: Layer) -> RawNode:
    """AvgPool2d; padded cells count, as in NIR."""
    module = layer.module
    if module.divisor_override is not None:
        raise refuse(layer, f"divisor_override={module.divisor_override}", "POOL_OPTION", "leave divisor_override out")
    if not module.count_include_pad and np.any(np.asarray(module.padding)):
        raise refuse(layer, "count_include_pad=False and padding", "POOL_OPTION", "NIR counts padded cells in the mean")
    return _pool("AvgPool2d", layer, module.padding)


def _sum(layer: Layer) -> RawNode:
    """LPPool2d of norm 1, which is a sum for spikes (and for anything above zero)."""
    if float(layer.module.norm_type) != 1:
        raise refuse(layer, f"norm_type={layer.module.norm_type}", "POOL_OPTION", "use norm_type=1, which is a sum")
    return _pool("SumPool2d", layer, 0)


def _pool(kind: str, layer: Layer, padding: Any) -> RawNode:
    """A pooling node; a missing stride is the kernel."""
    module = layer.module
    if module.ceil_mode:
        raise refuse(layer, "ceil_mode=True", "POOL_OPTION", "NIR drops incomplete windows; use ceil_mode=False")
    stride = module.kernel_size if module.stride is None else module.stride
    values = {"kernel_size": module.kernel_size, "stride": stride, "padding": padding}
    return RawNode(kind, {k: np.asarray(v) for k, v in values.items()})
