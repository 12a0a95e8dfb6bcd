"""What is read out of a chip: silent rows, channels, several sources, delays, ranges."""

from __future__ import annotations

import numpy as np
import pytest

import hwsdk
from hwsdk.backends import get
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IF, LI, CubaLIF
from hwsdk.ir.nodes import Conv, ConvSynapses, Input, Linear, Output, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.loihi import MapOptions, map_network
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize import Quantize
from hwsdk.simulators import reference
from hwsdk.targets import load_target


def stimulus(n: int, steps: int = 30, seed: int = 0, name: str = "in") -> Stimulus:
    return Stimulus.dense((np.random.default_rng(seed).random((2, steps, n)) < 0.3).astype(int), {name: (n,)})


def model_units(network: Network, data: Stimulus, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The readout in float and on the chip, both in the model's units, on the model's steps."""
    _, whole, _ = get("loihi2").discrete(network, CompileOptions())
    trace = hwsdk.simulate(hwsdk.compile(network, "loihi2"), data)
    got = trace.aligned(name, data.n_steps).dense() / whole.populations[name].scale.ravel()
    return reference.run(network, data).spikes[name].dense(), got


def test_a_neuron_without_input_does_not_cost_the_others_their_weights():
    weight = np.random.default_rng(1).normal(0, 1, (4, 8))
    weight[2] = 0
    network = (NetworkBuilder("r").input("in", 8).population("read", neuron(LI, 4, tau=5.0))
               .connect("in", "read", weight=weight).output("out", "read").build(Semantics()))
    expected, got = model_units(network, stimulus(8), "read")
    np.testing.assert_allclose(got, expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("tau", [5.0, 20.0])
def test_an_uncalibrated_readout_does_not_saturate(tau):
    weight = np.abs(np.random.default_rng(1).normal(1, 0.2, (4, 64)))
    network = (NetworkBuilder("r").input("in", 64).population("read", neuron(LI, 4, tau=tau))
               .connect("in", "read", weight=weight).output("out", "read").build(Semantics()))
    expected, got = model_units(network, stimulus(64), "read")
    np.testing.assert_allclose(got, expected, atol=0.02 * np.abs(expected).max())


def test_channels_that_are_read_out_keep_one_scale():
    weight = np.ones((3, 1, 4, 4)) * np.array([0.01, 1.0, 0.1])[:, None, None, None]
    nodes = {"in": Input((1, 4, 4)), "w": Conv(weight, None, (1, 1), ((0, 0), (0, 0)), (1, 1)),
             "read": LI(np.full((3, 1, 1), 5.0), np.ones((3, 1, 1)), np.zeros((3, 1, 1))), "out": Output((3, 1, 1))}
    network = Network("c", nodes, (Edge("in", "w"), Edge("w", "read"), Edge("read", "out")), Semantics())
    whole, _ = Quantize(per_channel=True)(Lower()(network))
    assert len(np.unique(whole.populations["read"].scale)) == 1


def two_layers(delay: int = 0, second: bool = True) -> Network:
    b = (NetworkBuilder("t").input("in", 6).population("p", neuron(IF, 4, v_threshold=1.0))
         .population("q", neuron(IF, 4, v_threshold=1.0)))
    rng = np.random.default_rng(3)
    b = b.connect("in", "p", weight=rng.uniform(0.2, 0.8, (4, 6))).connect("p", "q", weight=rng.uniform(0, 1, (4, 4)))
    b = b.add("out", Output((4,))).connect("p", "out", delay_ticks=delay)
    return (b.connect("q", "out") if second else b).build(Semantics())


@pytest.mark.parametrize(("delay", "second"), [(0, True), (3, False), (2, True)])
def test_outputs_of_several_layers_or_with_a_delay_are_kept(delay, second):
    network, data = two_layers(delay, second), stimulus(6)
    _, whole, _ = get("loihi2").discrete(network, CompileOptions())
    expected = reference.run(network, data).spikes["out"].dense()
    trace = hwsdk.simulate(hwsdk.compile(network, "loihi2"), data)
    got = trace.aligned("out", data.n_steps).dense() / whole.populations["out.readout"].scale.ravel()
    np.testing.assert_allclose(got, expected, atol=1e-9)
    assert expected.max() == (2 if second else 1)


def test_a_synapse_faster_than_the_step_is_refused():
    one = np.ones(2)
    cell = CubaLIF(0.7 * one, 5 * one, one, 0 * one, one, 0 * one, one)
    network = Network("f", {"in": Input((2,)), "w": Linear(np.eye(2)), "p": cell, "out": Output((2,))},
                      (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), Semantics())
    with pytest.raises(UnsupportedError, match=r"^\[UNSTABLE_DECAY\] p: the synaptic current keeps"):
        hwsdk.compile(network, "loihi2")


def test_kernels_are_shared_only_where_the_gain_is_the_same_in_a_channel():
    shape = (4, 6, 6)
    for r, shared in ((np.ones(shape), True), (np.random.default_rng(0).uniform(0.5, 1, shape), False)):
        nodes = {"in": Input((2, 6, 6)), "w": Conv(np.ones((4, 2, 3, 3)), None, (1, 1), ((1, 1), (1, 1)), (1, 1)),
                 "p": IF(r, np.ones(shape), np.zeros(shape)), "out": Output(shape)}
        low = Lower()(Network("k", nodes, (Edge("in", "w"), Edge("w", "p"), Edge("p", "out")), Semantics()))
        assert isinstance(low.nodes["in->p"], ConvSynapses if shared else Synapses)


def test_weights_that_became_zero_are_not_stored():
    weight = np.full((8, 8), 1e-6)
    weight[0, 0] = -1.0
    network = (NetworkBuilder("z").input("in", 8).population("p", neuron(IF, 8, v_threshold=1.0))
               .connect("in", "p", weight=weight).output("out", "p").build(Semantics()))
    program = map_network(Quantize()(Lower()(network))[0], load_target("loihi2"), MapOptions())
    assert program.n_synapses == 1


def test_a_layer_that_would_lose_all_its_weights_is_refused():
    network = (NetworkBuilder("l").input("in", 20_000).population("p", neuron(IF, 2, v_threshold=1.0))
               .connect("in", "p", weight=np.ones((2, 20_000))).output("out", "p").build(Semantics()))
    with pytest.raises(UnsupportedError, match=r"^\[WEIGHTS_LOST\] p: all 40000 weights become 0 at 4 bits"):
        Quantize(bits=4)(Lower()(network))


@pytest.mark.parametrize("data", [np.zeros((0, 5, 6)), np.zeros((1, 0, 6))])
def test_no_samples_or_no_steps_are_refused(data):
    with pytest.raises(DataError, match=r"^\[NO_DATA\]"):
        hwsdk.simulate(hwsdk.compile(two_layers(), "loihi2"), data)


def test_values_beyond_32_bits_are_refused():
    data = np.zeros((1, 3, 6))
    data[0, 1, 2] = 2.0**40
    with pytest.raises(DataError, match=r"^\[VALUE_RANGE\] in: an input value of 1.09951e\+12"):
        hwsdk.simulate(hwsdk.compile(two_layers(), "loihi2"), data)
