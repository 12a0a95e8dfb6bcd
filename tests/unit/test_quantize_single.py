"""Integer weights and float32 neurons: scales, rounding, what learns, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsdk.errors import UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LI, LIF, CubaLIF, DiscreteLIF, Neuron
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.ir.plastic import PairSTDP, PlasticSynapses, StoredPairSTDP
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize_single import QuantizeSingle, SingleReport

SEM = Semantics(integrator="exponential")
PI = np.pi
"""No integer scale brings 20 PI and decimals onto one grid."""
RULE = PairSTDP(tau_plus=4.0, tau_minus=5.0, a_plus=2.0, a_minus=1.5, w_min=0.0, w_max=6.0)


def layer(weight: Any, population: Neuron | None = None, **more: Any) -> Network:
    w = np.asarray(weight, float)
    b = NetworkBuilder().input("in", w.shape[1])
    b.population("p", population or neuron(IF, w.shape[0], v_threshold=1.0))
    return b.connect("in", "p", weight=w, **more).output("o", "p").build(SEM)


def quantised(network: Network, **options: Any) -> tuple[SingleLIF, Any, SingleReport]:
    """(the population, what leads from the input to it, the report)."""
    whole, report = QuantizeSingle(**options)(Lower(plastic=True)(network))
    assert whole.is_single
    cell = whole.populations["p"]
    assert isinstance(cell, SingleLIF)
    return cell, whole.nodes["in->p"], report


def dense(s: Any) -> Any:
    out = np.zeros((max(s.target) + 1, max(s.source) + 1))
    np.add.at(out, (s.target, s.source), s.weight)
    return out.tolist()


def test_one_scale_for_all_weights_and_the_threshold_follows() -> None:
    cell, s, report = quantised(layer([[0.731, -0.3], [0.0001, 0.2]]))
    scale = 127 / 0.731
    assert dense(s) == [[127, round(-0.3 * scale)], [0, round(0.2 * scale)]]
    assert len(s.weight) == 3, "what became 0 is not stored"
    assert s.weight.dtype == np.int64
    assert cell.v_threshold.tolist() == [float(np.float32(scale))] * 2
    assert cell.scale == pytest.approx(scale)
    assert report.layers[0].lost_weights == 1
    assert (report.layers[0].synapses, report.layers[0].reach) == (4, 127 + round(0.3 * scale))
    assert report.to_text().startswith("weights rounded to 8 bits, one scale a layer")


def test_the_scale_is_that_of_py_spinnaker2() -> None:
    """Its NIR import: scale = w_scale / (d_m r) / (d_s w_in); threshold and i_offset = d_m v_leak take it."""
    rng = np.random.default_rng(1)
    tau_mem, tau_syn, r, w_in, leak = (rng.uniform(2, 5, 3) for _ in range(5))
    node = neuron(CubaLIF, 3, tau_mem=tau_mem, tau_syn=tau_syn, r=r, w_in=w_in, v_leak=leak, v_threshold=7.0)
    weight = rng.normal(size=(3, 4))
    cell, s, _ = quantised(layer(weight, node))
    d_m, d_s, w_scale = 1 - np.exp(-1 / tau_mem), 1 - np.exp(-1 / tau_syn), 127 / np.abs(weight).max()
    scale = w_scale / (d_s * w_in) / (d_m * r)
    assert dense(s) == np.rint(weight * w_scale).tolist()
    for got, expected in ((cell.v_threshold, 7 * scale), (cell.bias, d_m * leak * scale), (cell.decay_v, 1 - d_m),
                          (cell.decay_u, 1 - d_s)):
        assert got == pytest.approx(expected, rel=1e-7)
        assert (got == got.astype(np.float32)).all()


@pytest.mark.parametrize("bits", [2, 5, 8, 16])
def test_integers_on_a_grid_come_out_as_they_are(bits: int) -> None:
    """Also where the largest is not the largest that the bits hold, and through a gain that rounds."""
    limit = 2 ** (bits - 1) - 1
    rng = np.random.default_rng(bits)
    for top in {limit, max(limit - 1, 1)}:
        whole = rng.integers(-top, top + 1, (5, 9))
        whole[0, 0] = top
        whole[0, 1] = 1
        node = neuron(LIF, 5, tau=rng.uniform(2, 9, 5), r=rng.uniform(0.1, 3, 5), v_threshold=1.0)
        _, s, report = quantised(layer(whole * 0.0371 / top, node), bits=bits)
        assert dense(s) == (whole * (limit // top)).tolist()
        assert report.layers[0].weight_error < 1e-9


def test_a_grid_is_preferred_to_the_last_bit() -> None:
    _, s, _ = quantised(layer([[0.6, -6.0, 0.9]]))
    assert dense(s) == [[12.0, -120.0, 18.0]]


def test_whole_weights_stay_as_they_are() -> None:
    assert dense(quantised(layer([[6.0, -60.0, 9.0]]))[1]) == [[6.0, -60.0, 9.0]]
    assert dense(quantised(layer([[6.0, -600.0, 9.0]]))[1]) == [[1.0, -127.0, 2.0]]
    assert dense(quantised(layer([[1e-9, 3e-9]]))[1]) == [[42.0, 126.0]]


def test_a_scale_a_neuron() -> None:
    weight = [[1.0, 0.37], [0.01, 0.0037]]
    cell, s, report = quantised(layer(weight), per_neuron=True)
    assert dense(s) == [[127, 47], [127, 47]]
    assert cell.scale == pytest.approx([127, 12700])
    assert report.to_text().startswith("weights rounded to 8 bits, one scale a neuron")
    read = quantised(layer(weight, neuron(LI, 2, tau=2.0, r=1.0)), per_neuron=True)[0]
    assert read.scale[0] == read.scale[1], "what is read out must stay comparable"


def test_a_scale_a_channel_of_a_convolution() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(2, 1, 3)) * np.array([1, 0.02])[:, None, None]
    b = NetworkBuilder().input("in", (1, 6)).population("p", neuron(IF, (2, 6), v_threshold=1.0))
    network = b.convolve("in", "p", kernel, padding=1).connect("in", "p", weight=np.full((12, 6), 0.001), name="w")
    network = network.output("o", "p").build(SEM)
    whole, _ = QuantizeSingle(per_neuron=True)(Lower()(network))
    conv = next(x for x in whole.nodes.values() if isinstance(x, ConvSynapses))
    assert np.abs(conv.weight).reshape(2, -1).max(axis=1).tolist() == [127, 127]
    assert conv.weight_bits == 8
    scales = whole.populations["p"].scale  # type: ignore[attr-defined]
    assert [len(np.unique(row)) for row in scales] == [1, 1]
    assert scales[1, 0] > 5 * scales[0, 0]
    uneven = replace(network.populations["p"], r=rng.uniform(1, 2, (2, 6)))  # type: ignore[type-var]
    whole, _ = QuantizeSingle()(Lower()(network.replace(nodes={**network.nodes, "p": uneven})))
    assert not any(isinstance(x, ConvSynapses) for x in whole.nodes.values())


def test_a_negative_gain_stays_in_the_weights() -> None:
    cell, s, _ = quantised(layer([[1.0, -0.3011]], neuron(IF, 1, r=-2.0, v_threshold=1.0)))
    assert dense(s) == [[-127, 38]]
    assert cell.scale[0] == 63.5


def test_without_weights() -> None:
    b = NetworkBuilder().population("p", neuron(LIF, 2, tau=3.0, v_leak=2.0, v_threshold=1.0, r=0.0)).output("o", "p")
    whole, report = QuantizeSingle()(Lower()(b.build(SEM)))
    assert whole.populations["p"].scale.tolist() == [1.0, 1.0]  # type: ignore[attr-defined]
    assert report.layers[0].reach == 0
    again, empty = QuantizeSingle()(whole)
    assert again.digest() == whole.digest()
    assert empty.layers == ()


def learning(static: float, w_max: float = 6.0, dt: float = 1.0, **options: Any) -> tuple[Synapses, PlasticSynapses]:
    rule = replace(RULE, w_max=w_max, tau_plus=4 * dt, tau_minus=5 * dt)
    b = NetworkBuilder().input("in", 2).input("slow", 2)
    b.population("p", neuron(LIF, 2, tau=3.0 * dt, r=0.7, v_threshold=1.0))
    b.connect("in", "p", weight=static * np.eye(2), delay_ticks=1)
    network = b.connect("slow", "p", weight=np.full((2, 2), 2.7), plasticity=rule).build(SEM.with_(dt=dt))
    whole, report = QuantizeSingle(**options)(Lower(plastic=True)(network))
    s, x = whole.nodes["in->p:in->p"], whole.nodes["slow->p"]
    assert isinstance(s, Synapses)
    assert isinstance(x, PlasticSynapses)
    assert isinstance(x.rule, StoredPairSTDP)
    assert report.layers[0].learned == x.rule.w_max + 1
    return s, x


def test_static_weights_beside_learned_ones_take_16_bits() -> None:
    s, x = learning(-20 * PI)
    unit = 32767 / (20 * PI)
    assert s.weight.tolist() == [-32767] * 2
    assert s.weight_bits == 16
    assert x.weight.tolist() == [round(2.7 * unit)] * 4
    assert x.rule == StoredPairSTDP(4.0, 5.0, 2 * unit, 1.5 * unit, 0, round(6 * unit), 16)
    s, x = learning(1.0, w_max=10 * PI)
    assert x.rule.bounds == (0, 32767)
    assert s.weight.tolist() == [round(32767 / (10 * PI))] * 2


def test_or_as_many_as_are_asked_for() -> None:
    s, x = learning(-20 * PI, plastic_bits=8, history=7)
    assert s.weight.tolist() == [-127] * 2
    assert s.weight_bits == 8
    assert x.rule.bounds == (0, round(6 * 127 / (20 * PI)))
    assert x.rule.history == 7  # type: ignore[attr-defined]
    assert learning(-20 * PI, plastic_bits=2, bits=12)[0].weight.tolist() == [-2047] * 2


def test_time_constants_of_a_rule_become_steps() -> None:
    rule = learning(-20 * PI, dt=1e-3)[1].rule
    assert isinstance(rule, StoredPairSTDP)
    assert (rule.tau_plus, rule.tau_minus) == pytest.approx((4.0, 5.0))


REFUSALS = {
    "1 bit": (lambda: quantised(layer([[1.0]]), bits=1), "BAD_BITS"),
    "17 bits": (lambda: quantised(layer([[1.0]]), bits=17), "BAD_BITS"),
    "1 bit that learns": (lambda: quantised(layer([[1.0]]), plastic_bits=1), "BAD_BITS"),
    "no level": (lambda: learning(-20 * PI, w_max=2.8, plastic_bits=2, bits=4), "WEIGHTS_LOST"),
    "threshold too large": (lambda: quantised(layer([[1e-17]], neuron(IF, 1, r=1e-17, v_threshold=1e15))),
                            "VALUE_RANGE"),
    "threshold too small": (lambda: quantised(layer([[1e17]], neuron(IF, 1, r=1e17, v_threshold=1e-15))),
                            "VALUE_RANGE"),
    "trace too slow": (lambda: quantised(layer([[1.0]], plasticity=replace(RULE, tau_plus=1e5))), "BAD_RULE"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    make, code = REFUSALS[case]
    with pytest.raises(UnsupportedError) as caught:
        make()
    assert caught.value.code == code, str(caught.value)
    assert caught.value.fix


def test_different_gains_and_learning_by_hand() -> None:
    lowered = Lower(plastic=True)(layer([[1.0], [1.0]], plasticity=RULE))
    cell = lowered.populations["p"]
    assert isinstance(cell, DiscreteLIF)
    nodes = {**lowered.nodes, "p": replace(cell, gain=np.array([1.0, 2.0]))}
    with pytest.raises(UnsupportedError, match="PLASTIC_GAIN"):
        QuantizeSingle()(lowered.replace(nodes=nodes))
