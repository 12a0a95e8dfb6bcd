"""Quantisation in the Loihi form."""

from __future__ import annotations

import numpy as np
import pytest

from hwsdk.errors import UnsupportedError
from hwsdk.ir.expand import explicit
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.grid import grid_shift, sign_mode
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IF, LIF, CubaLIF, Threshold
from hwsdk.ir.nodes import Conv, ConvSynapses, Input, Linear, Output, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize import Quantize


def one_layer(weight, neuron, bias=None, semantics=None) -> Network:
    node = Linear(np.asarray(weight, float), None if bias is None else np.asarray(bias, float))
    nodes = {"in": Input((node.weight.shape[1],)), "w": node, "p": neuron, "out": Output(neuron.shape)}
    return Network("one", nodes, (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), semantics or Semantics())


def integers(network: Network, **options) -> tuple[Synapses, FixedLIF]:
    whole, _ = Quantize(**options)(Lower()(network))
    (synapses,) = whole.of(Synapses).values()
    (cell,) = whole.populations.values()
    return synapses, cell


def if_neurons(n, theta=1.0):
    return IF(np.ones(n), np.full(n, theta), np.zeros(n))


@pytest.mark.parametrize(("weight", "mode", "step", "low", "high"), [
    ([[0.5, -1.0, 0.3]], "mixed", 2, -256, 254), ([[0.5, 1.0, 0.3]], "excitatory", 1, 0, 255),
    ([[-0.5, -1.0, -0.3]], "inhibitory", 1, -255, 0)])
def test_weights_lie_on_lavas_grid(weight, mode, step, low, high):
    synapses, _ = integers(one_layer(weight, if_neurons(1)))
    assert synapses.sign_mode == mode == sign_mode(np.array(weight[0]))
    assert (synapses.weight % step == 0).all()
    assert low <= synapses.weight.min()
    assert synapses.weight.max() <= high


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_fewer_bits_clear_the_low_bits_as_lava_does(bits):
    rng = np.random.default_rng(bits)
    synapses, _ = integers(one_layer(rng.normal(size=(4, 6)), if_neurons(4)), bits=bits)
    shift = grid_shift(bits, "mixed")
    np.testing.assert_array_equal((synapses.weight >> shift) << shift, synapses.weight)


def test_one_bit_of_both_signs_is_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"^\[BAD_BITS\] in->p: 1-bit weights of both signs"):
        integers(one_layer([[1.0, -1.0]], if_neurons(1)), bits=1)


def test_whole_numbers_stay_exact():
    """Weights that lie on the grid and a whole threshold lose nothing."""
    synapses, cell = integers(one_layer([[2.0, -4.0, 6.0]], if_neurons(1, 10.0)))
    unit = cell.scale.ravel()[0] / 64
    np.testing.assert_array_equal(synapses.weight * 2.0**synapses.weight_exp, np.array([2.0, -4.0, 6.0]) * unit)
    assert int(cell.vth[0]) == 10 * unit


def test_strict_and_non_strict_comparison_differ_by_one_unit():
    strict = integers(one_layer([[2.0, -4.0]], if_neurons(1, 10.0)))[1]
    loose = integers(one_layer([[2.0, -4.0]], if_neurons(1, 10.0), semantics=Semantics(comparison=">=")))[1]
    assert int(strict.vth[0]) - int(loose.vth[0]) == 1


def test_decays_are_twelve_bits_with_the_offset_of_the_current():
    n = np.ones(1)
    cell = integers(one_layer([[1.0]], CubaLIF(4 * n, 8 * n, n, 0 * n, n, 0 * n, n)))[1]
    assert int(cell.du[0]) == 4096 // 4 - 1
    assert int(cell.dv[0]) == 4096 // 8


def test_a_threshold_node_forgets_everything():
    cell = integers(one_layer([[1.0]], Threshold(np.full(1, 0.5))))[1]
    assert (int(cell.du[0]), int(cell.dv[0])) == (4095, 4096)


def test_bias_and_leak_and_reset_value_are_kept():
    """v_leak and v_reset shift the membrane; one step without input tells whether all of it arrived."""
    n = np.ones(2)
    net = one_layer([[1.0], [0.5]], LIF(4 * n, n, 0.4 * n, 1.0 * n, 0.2 * n), bias=[0.3, -0.1])
    cell = Lower()(net).populations["p"]
    np.testing.assert_allclose(cell.bias, 0.25 * (np.array([0.3, -0.1]) + 0.4 - 0.2))
    np.testing.assert_allclose(cell.v_threshold, 0.8)
    np.testing.assert_allclose(cell.v_start, -0.2)


def test_per_channel_scales_are_finer_than_per_layer():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 2, 3, 3)) * np.array([1, 0.1, 0.01, 0.3])[:, None, None, None]
    net = Network("c", {"in": Input((2, 5, 5)), "w": Conv(weight, None, (1, 1), ((0, 0), (0, 0)), (1, 1)),
                        "p": if_neurons((4, 3, 3)), "out": Output((4, 3, 3))},
                  (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), Semantics())
    low = Lower()(net)
    layer, channel = (Quantize(per_channel=c)(low) for c in (False, True))
    smallest = [_channel_error(low, whole[0], 2) for whole in (layer, channel)]
    assert smallest[1] < smallest[0] / 10
    assert len(np.unique(channel[0].populations["p"].vth)) == 4


def _channel_error(low: Network, whole: Network, channel: int) -> float:
    """Relative weight error of one output channel."""
    exact, got = (explicit(s) for n in (low, whole) for s in n.of(ConvSynapses).values())
    dense = []
    for s, scale in ((exact, None), (got, whole.populations["p"].scale.ravel())):
        matrix = np.zeros((36, 50))
        matrix[s.target, s.source] = s.weight * 2.0**s.weight_exp
        dense.append((matrix if scale is None else matrix * 64 / scale[:, None])[channel * 9 : channel * 9 + 9])
    return float(np.abs(dense[1] - dense[0]).max() / np.abs(dense[0]).max())


def test_bias_alone_before_the_first_input_is_made_up_for_exactly():
    """A layer with a lag starts so that its integers are back at the start when its first input can arrive."""
    n = np.ones(3)
    net = one_layer([[1.0], [0.5], [0.2]], LIF(4 * n, n, 0 * n, n, 0 * n), bias=[0.3, -0.2, 0.1])
    whole, _ = Quantize()(Lower()(net))
    cell = whole.populations["p"]
    v = cell.v_init * (4096 - cell.dv)
    v = np.sign(v) * (np.abs(v) >> 12) + cell.bias
    assert whole.lag["p"] == 1
    np.testing.assert_array_equal(v, 0)
    assert cell.v_init.any()


def test_report_names_every_layer():
    _, report = Quantize()(Lower()(one_layer([[1.0, -0.3]], if_neurons(1))))
    assert "quantised to 8 bits, per layer, ranges from the worst case" in report.to_text()
    assert report.layers[0].layer == "p"
    assert 0 < report.layers[0].u_peak_share <= 1
