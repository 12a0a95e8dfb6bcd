"""Learned delays of Dcls1d layers, read without the package."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwsdk.errors import ModelError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.formats.dcls import dcls_synapses
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference


def layer(c_out: int, c_in: int, count: int, size: int, groups: int = 1, fractions: bool = False,
          **changes: Any) -> SimpleNamespace:
    rng = np.random.default_rng(size)
    shape = (c_out, c_in // groups, count)
    position = rng.uniform(-(size // 2), size // 2, (1, *shape))
    fields = {"weight": rng.normal(size=shape), "P": position if fractions else np.rint(position),
              "dilated_kernel_size": (size,), "groups": groups, "stride": (1,), "padding": (0,), "bias": None,
              "padding_mode": "zeros", "transposed": False}
    return SimpleNamespace(**{**fields, **changes})


def kernel(module: SimpleNamespace) -> np.ndarray:
    """The kernel (out, in, taps) as ConstructKernel1d.forward_v1 makes it of whole positions."""
    size, (c_out, group_in, count) = module.dilated_kernel_size[0], module.weight.shape
    full = np.zeros((c_out, group_in * module.groups, size))
    for o, i, k in np.ndindex(c_out, group_in, count):
        tap = int(np.rint(module.P[0, o, i, k])) + size // 2
        if 0 <= tap < size:
            full[o, o // (c_out // module.groups) * group_in + i, tap] += module.weight[o, i, k]
    return full


def response(module: SimpleNamespace, x: np.ndarray, **options: Any) -> np.ndarray:
    weight, delay = dcls_synapses(module, **options)
    _, c_out, c_in = weight.shape
    cell = neuron(DiscreteLIF, c_out, decay_u=0.0, decay_v=0.0, v_threshold=0.0, fires=False)
    builder = NetworkBuilder().input("in", c_in).population("p", cell).output("out", "p")
    network = builder.connect("in", "p", weight=weight, delay_ticks=delay, rounding="nearest").build(Semantics())
    return reference.run(network, Stimulus.dense(x, {"in": (c_in,)})).spikes["out"].dense(0)


@pytest.mark.parametrize("fractions", [False, True])
@pytest.mark.parametrize(("size", "count", "groups"), [(25, 1, 1), (8, 3, 1), (9, 2, 2)])
def test_the_synapses_compute_what_the_layer_computes(size: int, count: int, groups: int, fractions: bool) -> None:
    module = layer(4, 6, count, size, groups, fractions)
    x = (np.random.default_rng(1).random((60, 6)) < 0.3) * 1
    padded = np.concatenate([np.zeros((size - 1, 6)), x])
    expected = np.einsum("oik,tki->to", kernel(module), np.stack([padded[t : t + size] for t in range(60)]))
    np.testing.assert_allclose(response(module, x), expected, atol=1e-12)


def test_padding_decides_the_delay() -> None:
    module = layer(1, 1, 1, 5, P=np.full((1, 1, 1, 1), 1.25))
    assert dcls_synapses(module)[1].item() == 4 - (1.25 + 2)
    assert dcls_synapses(module, left_padding=10)[1].item() == 10 - (1.25 + 2)
    assert dcls_synapses(layer(1, 1, 1, 5, P=np.zeros((1, 1, 1, 1)), padding=(7,)))[1].item() == 7 - 2


@pytest.mark.parametrize(("module", "code"), [
    (SimpleNamespace(weight=np.zeros(1)), "UNKNOWN_LAYER"), (layer(1, 1, 1, 5, stride=(2,)), "LAYER_OPTION"),
    (layer(1, 1, 1, 5, bias=np.ones(1)), "LAYER_OPTION"), (layer(1, 1, 1, 5, transposed=True), "LAYER_OPTION"),
    (layer(1, 1, 1, 5, padding_mode="circular"), "LAYER_OPTION"),
    (layer(1, 1, 1, 5, P=np.full((1, 1, 1, 1), 1.0), padding=(2,)), "NEGATIVE_DELAY")])
def test_refusals(module: SimpleNamespace, code: str) -> None:
    with pytest.raises(ModelError) as caught:
        dcls_synapses(module)
    assert caught.value.code == code
