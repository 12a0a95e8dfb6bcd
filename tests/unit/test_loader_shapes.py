"""In-memory nir graphs of all 18 primitives: shapes against torch's formulas, and every shape repair."""

from __future__ import annotations

import itertools
from typing import Any

import nir
import numpy as np
import pytest

from hwsdk.errors import ModelError
from hwsdk.ir.affine import apply_map
from hwsdk.ir.formats import load
from hwsdk.ir.formats.shapes import KNOWN, N_PRIMITIVES
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Conv, Delay, Flatten, Linear, Pool2d

GIVEN: dict[str, Any] = {"dt": 1e-3, "reset": "value"}
F = np.ones


Shape = tuple[int, ...]


def chain(*nodes: nir.NIRNode, shape: Shape | None = None, out: Shape | None = None) -> nir.NIRGraph:
    """A chain between an Input and an Output, without nir's own checks."""
    named: dict[str, nir.NIRNode] = {str(i): n for i, n in enumerate(nodes)}
    names = list(named)
    if shape is not None:
        named["input"] = nir.Input({"input": np.array(shape)})
        names.insert(0, "input")
    if out is not None:
        named["output"] = nir.Output({"output": np.array(out)})
        names.append("output")
    return nir.NIRGraph(named, list(itertools.pairwise(names)), type_check=False)


def codes(network: Network, *kinds: str) -> set[str]:
    return {e.code for e in network.ledger.of(*(kinds or ("changed", "warning")))}


def refused(graph: object, code: str, *words: str, **given: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(graph, **{**GIVEN, **given})
    assert caught.value.code == code, str(caught.value)
    assert caught.value.fix
    for word in words:
        assert word in str(caught.value)
    return caught.value


def conv(kind: str, weight: tuple[int, ...], **fields: Any) -> nir.NIRNode:
    full = {"input_shape": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": np.zeros(weight[0]),
            **fields}
    return getattr(nir, kind)(weight=np.random.default_rng(0).normal(size=weight), **full)


PER_NEURON = {
    "I": {"r": F(3)}, "IF": {"r": F(3), "v_threshold": F(3), "v_reset": 0 * F(3)},
    "LI": {"tau": F(3), "r": F(3), "v_leak": F(3)},
    "LIF": {"tau": F(3), "r": F(3), "v_leak": F(3), "v_threshold": 2 * F(3), "v_reset": F(3)},
    "CubaLI": {"tau_syn": F(3), "tau_mem": F(3), "r": F(3), "v_leak": F(3), "w_in": F(3)},
    "CubaLIF": {"tau_syn": F(3), "tau_mem": F(3), "r": F(3), "v_leak": F(3), "v_threshold": 2 * F(3),
                "v_reset": F(3), "w_in": 2 * F(3)},
    "Threshold": {"threshold": F(3)}, "Scale": {"scale": F(3)}, "Delay": {"delay": 1e-3 * F(3)},
}
OTHERS = {
    "Affine": (nir.Affine(F((2, 3)), F(2)), (3,), (2,)),
    "Linear": (nir.Linear(F((2, 3))), (3,), (2,)),
    "Conv1d": (conv("Conv1d", (4, 2, 3)), (2, 10), (4, 8)),
    "Conv2d": (conv("Conv2d", (4, 2, 3, 3)), (2, 10, 9), (4, 8, 7)),
    "SumPool2d": (nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), (2, 6, 8), (2, 3, 4)),
    "AvgPool2d": (nir.AvgPool2d(np.array([3, 2]), np.array([1, 2]), np.array([1, 0])), (2, 6, 8), (2, 6, 4)),
    "Flatten": (nir.Flatten({"input": np.array([2, 3, 4])}, 0, -1), (2, 3, 4), (24,)),
}


@pytest.mark.parametrize("kind", PER_NEURON)
def test_elementwise_primitives(kind: str) -> None:
    network = load(chain(getattr(nir, kind)(**PER_NEURON[kind]), shape=(3,), out=(3,)), **GIVEN)
    assert type(network.nodes["0"]).__name__ == kind
    assert network.shapes["output"] == (3,)
    assert codes(network) == set()
    for field, value in PER_NEURON[kind].items():
        if kind != "Delay":
            np.testing.assert_array_equal(getattr(network.nodes["0"], field), value)


@pytest.mark.parametrize("kind", OTHERS)
def test_connection_primitives(kind: str) -> None:
    node, taken, made = OTHERS[kind]
    network = load(chain(node, shape=taken, out=made), **GIVEN)
    assert network.shapes["0"] == made
    assert codes(network) <= {"INPUT_SHAPE"}


def test_these_are_the_18_primitives() -> None:
    assert {*PER_NEURON, *OTHERS, "Input", "Output"} == set(KNOWN)
    assert N_PRIMITIVES == 19  # KNOWN and NIRGraph itself


def torch_out(n: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """The formula in torch's documentation of Conv2d."""
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@pytest.mark.parametrize("kernel", [(3, 5), (1, 4), (2, 2)])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, (1, 2), 1), ((2, 3), 1, (2, 1)), (2, 0, 1)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv2d_shapes(kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any, groups: int) -> None:
    node = conv("Conv2d", (8, 4 // groups, *kernel), stride=stride, padding=padding, dilation=dilation, groups=groups)
    network = load(chain(node, shape=(4, 16, 14)), **GIVEN)
    pairs = [(v, v) if isinstance(v, int) else v for v in (stride, padding, dilation)]
    expected = tuple(torch_out(n, k, s, p, d) for n, k, s, p, d in zip((16, 14), kernel, *pairs, strict=True))
    assert network.shapes["0"] == (8, *expected)


def test_asymmetric_kernel_that_nir_gets_wrong() -> None:
    node = conv("Conv2d", (4, 2, 3, 5), padding=(1, 2), input_shape=(16, 16))
    assert load(chain(node, shape=(2, 16, 16)), **GIVEN).shapes["0"] == (4, 16, 16)


@pytest.mark.parametrize(("n", "kernel", "stride", "dilation"),
                         list(itertools.product((7, 16), (1, 2, 3, 4), (1, 2, 3), (1, 2))))
def test_padding_same(n: int, kernel: int, stride: int, dilation: int) -> None:
    node = conv("Conv1d", (4, 2, kernel), padding="same", stride=stride, dilation=dilation)
    network = load(chain(node, shape=(2, n)), **GIVEN)
    assert network.shapes["0"] == (4, -(-n // stride))
    ours = network.nodes["0"]
    assert isinstance(ours, Conv)
    before, after = ours.padding[0]
    assert after - before in (0, 1)
    if stride == 1:
        assert before + after == dilation * (kernel - 1)
    assert ("SAME_WITH_STRIDE" in codes(network, "assumed")) == (stride > 1)


def test_padding_words_may_be_bytes() -> None:
    node = conv("Conv2d", (4, 2, 3, 3))
    node.padding = b"valid"
    assert load(chain(node, shape=(2, 8, 8)), **GIVEN).shapes["0"] == (4, 6, 6)
    node.padding = "reflect"
    refused(chain(node, shape=(2, 8, 8)), "BAD_FIELD", "reflect")
    node.padding = (-1, 0)
    refused(chain(node, shape=(2, 8, 8)), "BAD_FIELD", "padding", "0 or more")


def test_conv_values_are_torchs() -> None:
    """Grouped, dilated, strided cross-correlation against a direct sum."""
    node = conv("Conv2d", (4, 1, 2, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
    ours = load(chain(node, shape=(2, 5, 7)), **GIVEN).nodes["0"]
    x = np.random.default_rng(1).normal(size=(2, 5, 7))
    padded = np.pad(x, [(0, 0), (1, 1), (0, 0)])
    expected = np.zeros((4, 3, 3))
    for o, i, j, a, b in itertools.product(range(4), range(3), range(3), range(2), range(3)):
        expected[o, i, j] += node.weight[o, 0, a, b] * padded[o // 2, 2 * i + a, j + 2 * b]
    np.testing.assert_allclose(apply_map(ours, x[None], np.dtype(float))[0], expected)


@pytest.mark.parametrize(("field", "value"), [("groups", 3), ("stride", 0), ("dilation", 0), ("stride", (1, 2, 3)),
                                              ("stride", 1.5), ("groups", 0)])
def test_conv_numbers_out_of_range(field: str, value: Any) -> None:
    node = conv("Conv2d", (4, 2, 3, 3))
    setattr(node, field, np.array(value))
    refused(chain(node, shape=(2, 8, 8)), "BAD_FIELD", field if field != "groups" else "groups")


def test_window_larger_than_its_input() -> None:
    refused(chain(conv("Conv2d", (4, 2, 9, 9)), shape=(2, 8, 8)), "SHAPE_MISMATCH", "larger")


def test_stored_input_shape_that_contradicts_is_noted() -> None:
    network = load(chain(conv("Conv2d", (4, 2, 3, 3), input_shape=(9, 9)), shape=(2, 8, 8)), **GIVEN)
    assert network.shapes["0"] == (4, 6, 6)
    assert "INPUT_SHAPE_IGNORED" in codes(network)


def test_average_pooling_is_marked() -> None:
    network = load(chain(OTHERS["AvgPool2d"][0], shape=(2, 6, 8)), **GIVEN)
    assert isinstance(network.nodes["0"], Pool2d)
    assert network.nodes["0"].average


def test_parameters_broadcast_to_the_population() -> None:
    lif = nir.LIF(F(1), F(1), F(1), F(1), F(1))
    lif.tau, lif.v_leak, lif.v_threshold, lif.v_reset = np.array(0.01), 0 * F(4), F((4, 1, 1)), 0 * F((1, 4, 6, 6))
    network = load(chain(conv("Conv2d", (4, 2, 3, 3)), lif, shape=(2, 8, 8)), **GIVEN)
    assert network.populations["1"].shape == (4, 6, 6)
    assert {"PARAMETER_BROADCAST", "BATCH_AXIS"} <= codes(network)


def test_flat_parameters_behind_a_convolution() -> None:
    network = load(chain(conv("Conv2d", (4, 2, 3, 3)), nir.IF(F(144), F(144), 0 * F(144)), nir.Linear(F((5, 144))),
                         shape=(2, 8, 8)), **GIVEN)
    assert network.populations["1"].shape == (4, 6, 6)
    assert {"PARAMETER_RESHAPED", "FLATTEN_INSERTED"} <= codes(network)
    assert isinstance(network.nodes["2.flatten"], Flatten)


def test_parameters_that_cannot_be_spread() -> None:
    graph = chain(nir.Linear(F((5, 3))), nir.IF(F(4), F(4), 0 * F(4)), shape=(3,))
    error = refused(graph, "SHAPE_MISMATCH", "(4,)", "(5,)")
    assert error.where == "network: 1"


@pytest.mark.parametrize("start", [0, 1])
def test_flatten_is_settled_by_what_follows(start: int) -> None:
    flat = nir.Flatten({"input": np.array([2, 3, 4])}, 0, -1)
    flat.start_dim = start
    network = load(chain(flat, nir.Linear(F((5, 24))), shape=(2, 3, 4)), **GIVEN)
    assert network.shapes["0"] == (24,)
    assert ("FLATTEN_AXES" in codes(network)) == (start == 1)


def test_partial_flatten_is_kept() -> None:
    network = load(chain(nir.Flatten({"input": None}, 1, -1), shape=(2, 3, 4)), **GIVEN)
    assert network.shapes["0"] == (2, 12)


def test_missing_flatten() -> None:
    network = load(chain(nir.Affine(F((5, 24)), F(5)), shape=(2, 3, 4), out=(5,)), **GIVEN)
    assert network.shapes["0.flatten"] == (24,)
    assert {(e.source, e.target) for e in network.edges} == {
        ("input", "0.flatten"), ("0.flatten", "0"), ("0", "output")}


def test_batch_axis_on_input_and_output() -> None:
    network = load(chain(conv("Conv2d", (4, 2, 3, 3)), shape=(1, 2, 8, 8), out=(1, 4, 6, 6)), **GIVEN)
    assert network.inputs["input"].shape == (2, 8, 8)
    assert network.outputs["output"].shape == (4, 6, 6)


def test_a_leading_one_that_is_a_channel_stays() -> None:
    network = load(chain(conv("Conv2d", (4, 1, 3, 3)), shape=(1, 8, 8)), **GIVEN)
    assert network.inputs["input"].shape == (1, 8, 8)


@pytest.mark.parametrize(("weight", "bias", "code"), [
    ((5, 3), (4,), "SHAPE_MISMATCH"), ((5, 3), (1,), "SHAPE_MISMATCH"), ((5,), (5,), "BAD_SHAPE"),
    ((5, 4), (5,), "SHAPE_MISMATCH"), ((0, 3), (5,), "BAD_SHAPE")])
def test_matrices_that_do_not_fit(weight: tuple[int, ...], bias: tuple[int, ...], code: str) -> None:
    node = nir.Affine(F((5, 3)), F(5))
    node.weight, node.bias = F(weight), F(bias)
    error = refused(chain(node, shape=(3,)), code)
    assert error.where == "network: 0"


def test_output_that_does_not_fit() -> None:
    refused(chain(nir.Linear(F((5, 3))), shape=(3,), out=(4,)), "SHAPE_MISMATCH", "(4,)", "(5,)")


def test_conv_gets_the_wrong_channels() -> None:
    error = refused(chain(conv("Conv2d", (4, 2, 3, 3)), shape=(3, 8, 8)), "SHAPE_MISMATCH", "(2, *, *)", "(3, 8, 8)")
    assert error.where == "network: 0"


def test_delays_become_steps() -> None:
    network = load(chain(nir.Delay(np.array([0.0, 2e-3, 2.4e-3])), shape=(3,)), **GIVEN)
    delay = network.nodes["0"]
    assert isinstance(delay, Delay)
    assert delay.ticks.tolist() == [0, 2, 2]
    assert "DELAY_ROUNDED" in codes(network)
    refused(chain(nir.Delay(np.array([-1.0])), shape=(1,)), "NEGATIVE_DELAY", "-1")
    refused(chain(nir.Delay(np.array([1e9])), shape=(1,)), "DELAY_TOO_LONG")


def test_linear_keeps_leading_blocks() -> None:
    network = load(chain(nir.Linear(F((2, 5, 3))), shape=(2, 3)), **GIVEN)
    assert isinstance(network.nodes["0"], Linear)
    assert network.shapes["0"] == (2, 5)


@pytest.mark.parametrize(("shape", "code"), [((0, 3), "BAD_SHAPE"), ((-1,), "BAD_SHAPE"), ((1.5,), "BAD_SHAPE"),
                                             ((1 << 20, 1 << 20), "TOO_LARGE"), ((1 << 40,), "BAD_SHAPE")])
def test_absurd_input_shapes(shape: tuple[Any, ...], code: str) -> None:
    refused(chain(nir.Scale(F(3)), shape=shape), code)


def test_absurd_populations_cost_no_memory() -> None:
    refused(chain(nir.LIF(F(1), F(1), F(1), 2 * F(1), 0 * F(1)), shape=(1 << 30,)), "TOO_LARGE")
    refused(chain(conv("Conv2d", (4, 2, 3, 3), padding=1 << 30), shape=(2, 8, 8)), "TOO_LARGE")
