"""Integer networks built by hand: neurons of every model, weights on the grid, kernels, ports, learned delays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

import hwsdk
from hwsdk.errors import ModelError, UnsupportedError
from hwsdk.ir.affine import apply_map
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.expand import explicit
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, DiscreteLIF
from hwsdk.ir.nodes import Conv, ConvSynapses, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers import rules
from hwsdk.simulators import reference
from hwsdk.targets import load_target

CELLS: dict[str, FixedNeuron] = {
    "lif": neuron(FixedLIF, 3, du=2047, dv=1024, vth=20),
    "refractory": neuron(FixedLIF, 3, du=4095, dv=0, vth=20, bias_mant=100, refractory=[1, 2, 3]),
    "periodic": neuron(FixedLIF, 3, du=4095, dv=0, vth=50, reset_interval=4, reset_offset=1, reset="subtract",
                       reset_by=64),
    "atrlif": neuron(FixedATRLIF, 3, du=1000, dv=2000, dtheta=100, dr=100, vth=5, theta_step=1),
    "rf": neuron(FixedRF, 3, sin=1600, cos=3600, vth=50, state_exp=3),
    "rf_iz": neuron(FixedRF, 3, sin=1600, cos=3600, vth=50, izhikevich=True),
    "sigma_delta": neuron(FixedSigmaDelta, 3, vth=4, spike_exp=1),
    "delta": neuron(FixedSigmaDelta, 3, vth=2, encodes=True),
    "graded": neuron(FixedGraded, 3, vth=2, relu=True),
}


def one(cell: FixedNeuron, weight: Any = None, **options: Any) -> NetworkBuilder:
    weight = np.array([[10, 0, -4], [6, 8, 0], [2, 2, 2]]) if weight is None else weight
    builder = NetworkBuilder("one").input("in", 3).population("p", cell)
    port = "real" if isinstance(cell, FixedRF) else None
    return builder.connect("in", "p", weight=weight, port=port, **options).output("out", "p")


def projection(builder: NetworkBuilder, name: str = "in->p") -> Synapses | ConvSynapses:
    node = builder.build(Semantics()).nodes[name]
    assert isinstance(node, Synapses | ConvSynapses)
    return node


def counted(network: Network, values: Any = None) -> int:
    x = (np.random.default_rng(0).random((40, 3)) < 0.5) * 1 if values is None else values
    return int(np.abs(reference.run(network, Stimulus.dense(x, {"in": (3,)})).spikes["out"].dense()).sum())


@pytest.mark.parametrize("model", CELLS)
def test_every_model_runs_from_few_parameters(model: str) -> None:
    network = one(CELLS[model], weight_exp=3).build(Semantics())
    assert network.is_integer
    assert counted(network) > 0
    assert not [p for rule in rules.RULES for p in rule(network, load_target("loihi2"))]


@pytest.mark.parametrize("model", CELLS)
def test_the_chip_takes_them_as_they_are(model: str) -> None:
    """A layer of each model, with a loop, between a LIF layer and a convolution."""
    builder = NetworkBuilder(model).input("in", (2, 6))
    builder.population("a", neuron(FixedLIF, (3, 4), du=3000, dv=500, vth=9))
    builder.population("p", CELLS[model]).population("out", neuron(FixedLIF, 4, du=4095, dv=100, vth=60))
    rng = np.random.default_rng(3)
    port = "imag" if isinstance(CELLS[model], FixedRF) else None
    builder.convolve("in", "a", rng.integers(-20, 60, (3, 2, 3)) * 2).connect(
        "a", "p", weight=rng.integers(-10, 40, (3, 12)) * 2, port=port, delay_ticks=rng.integers(1, 9, (3, 12)))
    builder.connect("p", "p", weight=rng.integers(-3, 3, (3, 3)) * 2, port=port, delay_ticks=2)
    builder.connect("p", "out", weight=rng.integers(0, 60, (4, 3)), weight_exp=1).output("o", "out")
    network = builder.build(Semantics())
    x = (rng.random((2, 50, 2, 6)) < 0.4) * 1
    data = Stimulus.dense(x, {"in": (2, 6)})
    expected = reference.run(network, data, probes="all")
    assert len(expected.spikes["p"]) > 0
    got = hwsdk.simulate(hwsdk.compile(network, "loihi2"), data, probes="all")
    assert expected.first_difference(got) is None


def test_weights_are_integers_in_the_form_that_their_signs_allow() -> None:
    node = projection(one(CELLS["lif"], weight_exp=2))
    assert node.weight.dtype == np.int64
    assert (node.sign_mode, node.weight_exp, node.weight_bits) == ("mixed", 2, 8)
    assert node.delay_ticks.tolist() == [1] * 7
    assert projection(one(CELLS["lif"], np.eye(3) * 7)).sign_mode == "excitatory"
    assert projection(one(CELLS["lif"], -np.eye(3) * 7)).sign_mode == "inhibitory"
    assert projection(one(CELLS["lif"], np.eye(3) * 16, weight_bits=4)).weight_bits == 4


@pytest.mark.parametrize(("weight", "options", "text"), [
    ([[3, -2, 0]] * 3, {}, r"mixed weights of 8 bits are multiples of 2 in memory"),
    (np.eye(3) * 3, {"weight_bits": 4}, r"excitatory weights of 4 bits are multiples of 16"),
    (np.eye(3) * 256, {}, r"excitatory weights of 256 to 256, the memory holds 0 to 255"),
    (np.eye(3) * -2, {"sign_mode": "excitatory"}, r"excitatory weights of -2 to -2"),
    (np.eye(3) * 0.5, {}, r"no whole numbers"), (np.full((3, 3), np.inf), {}, r"no whole numbers"),
    (np.eye(3), {"weight_exp": 8}, r"exponent of 8"), (np.eye(3), {"weight_bits": 9}, r"9 weight bits"),
    (np.eye(3), {"sign_mode": "both"}, r"sign_mode is 'both'")])
def test_weights_off_the_grid_are_refused(weight: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelError, match=rf"^\[WEIGHT_GRID\] in->p: .*{text}"):
        one(CELLS["lif"], weight, **options)


def test_integer_form_belongs_to_integer_populations() -> None:
    builder = NetworkBuilder().input("in", 2).population("p", neuron(IF, 2, v_threshold=1.0))
    with pytest.raises(ModelError, match=r"^\[WEIGHT_GRID\] in->p: weight_exp, weight_bits and sign_mode"):
        builder.connect("in", "p", weight=1.0, weight_exp=2)


def test_a_chip_delay_is_one_step_or_more() -> None:
    with pytest.raises(ModelError, match=r"^\[BAD_DELAY\] in->p: a delay of 0 steps onto an integer population"):
        one(CELLS["lif"], delay_ticks=0)


@pytest.mark.parametrize(("make", "code"), [
    (lambda: neuron(FixedLIF, 2, du=0.5, dv=0, vth=1), "BAD_DTYPE"),
    (lambda: neuron(FixedLIF, 2, du=0, dv=0, vth=1, refractory=0.5), "BAD_DTYPE"),
    (lambda: neuron(FixedLIF, 2, du=0, dv=0, vth=1, reset="zero"), "BAD_OPTION"),
    (lambda: neuron(FixedLIF, 2, du=0, dv=0, vth=1, reset="subtract"), "MISSING_FIELD"),
    (lambda: neuron(FixedLIF, 2, du=0, dv=0, vth=1, reset_interval=-1), "BAD_OPTION"),
    (lambda: neuron(FixedSigmaDelta, 2, vth=1, activation="tanh"), "BAD_OPTION"),
    (lambda: neuron(FixedRF, 2, sin=1, cos=1, vth=1, izhikevich=2), "BAD_OPTION"),
    (lambda: neuron(FixedLIF, 2, du=0, dv=0), "MISSING_FIELD"),
    (lambda: one(CELLS["lif"]).connect("in", "p", weight=1, port="real", name="x"), "BAD_OPTION"),
    (lambda: one(CELLS["rf"]).connect("in", "p", weight=np.eye(3), port="middle", name="x"), "BAD_OPTION"),
    (lambda: one(CELLS["lif"]).population("q", neuron(IF, 2, v_threshold=1.0)).build(Semantics()), "MIXED_NUMBERS")])
def test_refusals(make: Any, code: str) -> None:
    with pytest.raises(ModelError) as caught:
        make()
    assert caught.value.code == code, str(caught.value)
    assert caught.value.fix


def test_ports_lead_to_the_parts_of_a_resonator() -> None:
    weight = np.array([[2, 0, 0], [0, 4, 0], [0, 0, 6]])
    for port, states in (("real", [2, 0]), ("imag", [0, 2])):
        builder = NetworkBuilder().input("in", 3).population("p", CELLS["rf"])
        network = builder.connect("in", "p", weight=weight, port=port).output("out", "p").build(Semantics())
        x = np.zeros((3, 3))
        x[0, 0] = 1
        trace = reference.run(network, Stimulus.dense(x, {"in": (3,)}), probes="all")
        assert [int(trace.states["p", s][0, 1, 0]) >> 3 for s in ("re", "im")] == states
    whole = NetworkBuilder().input("in", 3).population("p", CELLS["rf"]).connect("in", "p", weight=np.ones((6, 3)))
    assert projection(whole).post_shape == (2, 3)


@pytest.mark.parametrize("port", [None, "real", "imag"])
@pytest.mark.parametrize(("shape", "kernel", "options", "full"), [
    ((2, 7, 6), (4, 2, 3, 2), {"stride": (2, 1), "padding": ((0, 1), 2), "dilation": (1, 2)},
     ((2, 1), ((0, 1), (2, 2)), (1, 2))),
    ((2, 9), (4, 2, 3), {"padding": 1, "stride": 2}, ((2,), ((1, 1),), (1,))),
    ((4, 5, 5), (4, 1, 3, 3), {"groups": 4}, ((1, 1), ((0, 0), (0, 0)), (1, 1)))])
def test_a_convolution_is_torchs(shape: tuple[int, ...], kernel: tuple[int, ...], options: dict[str, Any],
                                 full: tuple[Any, ...], port: str | None) -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-60, 60, kernel) * 2
    conv = Conv(weight.astype(float), None, *full, options.get("groups", 1))
    cell: FixedNeuron = neuron(FixedRF if port else FixedLIF, conv.out_shape(shape),
                               **({"sin": 1, "cos": 1, "vth": 1} if port else {"du": 0, "dv": 0, "vth": 1}))
    builder = NetworkBuilder().input("in", shape).population("p", cell)
    if port and conv.groups > 1:
        with pytest.raises(ModelError, match=r"^\[BAD_OPTION\] in->p: a convolution in groups"):
            builder.convolve("in", "p", weight, port=port, **options)
        return
    node = projection(builder.convolve("in", "p", weight, port=port, delay_ticks=3, **options))
    x = rng.integers(0, 3, shape)
    written = explicit(node)
    got = np.zeros(np.prod(cell.in_shape))
    np.add.at(got, written.target, written.weight * x.ravel()[written.source])
    expected = apply_map(conv, x[None].astype(float), np.dtype(float))[0]
    parts = got.reshape(cell.in_shape)
    if port:
        real, imag = parts
        assert not (imag if port == "real" else real).any()
        parts = real if port == "real" else imag
    np.testing.assert_array_equal(parts, expected)
    assert set(written.delay_ticks.tolist()) == {3}


def test_a_convolution_that_does_not_suit_is_refused() -> None:
    builder = NetworkBuilder().input("in", (2, 5)).population("p", neuron(FixedLIF, (3, 3), du=0, dv=0, vth=1))
    for weight, options, code in ((np.ones((3, 2, 2)), {}, "SHAPE_MISMATCH"), (np.ones((3, 2)), {}, "SHAPE_MISMATCH"),
                                  (np.ones((3, 2, 3)), {"stride": 0}, "BAD_OPTION"),
                                  (np.ones((3, 2, 3)), {"padding": -1}, "BAD_OPTION"),
                                  (np.ones((3, 2, 9)), {}, "SHAPE_MISMATCH"),
                                  (np.ones((3, 2, 3)), {"delay_ticks": [1, 2]}, "BAD_DELAY")):
        with pytest.raises(ModelError) as caught:
            builder.convolve("in", "p", weight, **options)  # type: ignore[arg-type]
        assert caught.value.code == code, str(caught.value)


def learned(**options: Any) -> NetworkBuilder:
    """Two synapses from every input to every neuron, with fractional delays."""
    weight = np.array([[[1.0, 2.0]], [[3.0, 4.0]]])
    delay = np.array([[[0.3, 2.5]], [[0.4, 7.5]]])
    builder = NetworkBuilder().input("in", 2).population("p", neuron(IF, 1, v_threshold=1.0))
    return builder.connect("in", "p", weight=weight, delay_ticks=delay, **options)


def test_learned_delays_are_rounded_only_on_demand_and_reported() -> None:
    with pytest.raises(ModelError, match=r"^\[BAD_DELAY\] in->p: delay_ticks holds other things than whole numbers\n"
                       r'  fix: give delays in steps, or rounding="nearest"'):
        learned()
    network = learned(rounding="nearest").build(Semantics())
    node = network.nodes["in->p"]
    assert isinstance(node, Synapses)
    assert node.delay_ticks.tolist() == [0, 2, 0, 8], "halves go to the even step, as in torch.round"
    (entry,) = [e for e in network.ledger.entries if e.code == "DELAY_ROUNDED"]
    assert entry.text == ("4 of 4 synapses moved to whole steps, by 0.5 steps at most and 0.425 on average; "
                          "1 fell onto the delay of another synapse of their pair")
    whole = NetworkBuilder().input("in", 2).population("p", neuron(IF, 1, v_threshold=1.0))
    whole.connect("in", "p", weight=np.ones((1, 2)), delay_ticks=[[1.0, 3.0]], rounding="nearest")
    assert not [e for e in whole.build(Semantics()).ledger.entries if e.code == "DELAY_ROUNDED"]
    with pytest.raises(ModelError, match=r"^\[BAD_OPTION\] in->p: rounding is 'up'"):
        learned(rounding="up")


def test_sparse_delays_and_one_delay_an_entry() -> None:
    place = ([0, 1, 1], [2, 0, 0])
    weight = sparse.coo_matrix(([2.0, 4.0, 6.0], place), shape=(3, 3))
    assert projection(one(CELLS["lif"], weight, delay_ticks=[3, 1, 5])).delay_ticks.tolist() == [3, 1, 5]
    matrix = sparse.coo_matrix(([3.0, 4.0], ([0, 1], [2, 0])), shape=(3, 3))
    assert projection(one(CELLS["lif"], weight, delay_ticks=matrix)).delay_ticks.tolist() == [3, 4, 4]


def test_form_that_no_chip_core_has_is_refused() -> None:
    """The reference gives these a meaning; the mapper says what to change."""
    straight = NetworkBuilder().input("in", 3).population("p", CELLS["lif"]).connect("in", "p").output("o", "p")
    late = one(CELLS["lif"]).population("q", CELLS["graded"]).connect("in->p", "q", delay_ticks=2)
    for builder in (straight, late):
        with pytest.raises(UnsupportedError, match=r"^\[NETWORK_FORM\]"):
            rules.require_form(builder.build(Semantics()))


def test_starting_values_default_to_zero() -> None:
    cell = neuron(DiscreteLIF, 2, decay_u=0.0, decay_v=0.5, v_threshold=1.0)
    assert not cell.bias.any()
    assert not cell.u_start.any()
