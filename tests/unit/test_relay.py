"""Delays beyond what one synapse holds."""

from __future__ import annotations

import numpy as np
import pytest

import hwsdk
from hwsdk.errors import UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedGraded, FixedLIF
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.ir.plastic import StoredPairSTDP
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF
from hwsdk.mappers.relay import Relay
from hwsdk.simulators import reference

FORGETFUL = {"du": 4095, "dv": 4096, "vth": 1}


def late(ticks: object, n: int = 2) -> Network:
    """in -> p one to one, with a delay for each."""
    builder = NetworkBuilder("late").input("in", n).population("p", neuron(FixedLIF, n, **FORGETFUL))
    return builder.connect("in", "p", weight=2 * np.eye(n), delay_ticks=ticks).output("out", "p").build(Semantics())


def raster(network: Network, x: np.ndarray, output: str = "out") -> np.ndarray:
    return reference.run(network, Stimulus.dense(x, {"in": x.shape[1:]})).spikes[output].dense(0)


def test_only_senders_that_need_them_have_relays() -> None:
    network = late(np.array([[3, 0], [0, 27]]))
    relayed, text = Relay(10)(network)
    assert [(n, p.shape) for n, p in relayed.populations.items() if n != "p"] == [
        ("in.relay1", (1,)), ("in.relay2", (1,))]
    assert {n: x.delay_ticks.tolist() for n, x in relayed.of(Synapses).items() if isinstance(x, Synapses)} == {
        "in->in.relay1": [10], "in.relay1->in.relay2": [10], "in->p:0": [3], "in->p:2": [7]}
    assert text == ("relays\n  in                   2 relay neurons in 2 stage(s) carry delays of up to 27 steps; "
                    "one synapse takes 10\n")
    assert [e.node for e in relayed.ledger.entries if e.code == "RELAYED"] == ["in"]


def test_a_network_without_long_delays_is_left_alone() -> None:
    network = late(10)
    assert Relay(10)(network) == (network, "")


@pytest.mark.parametrize("graded", [False, True])
def test_spikes_in_every_step_pass(graded: bool) -> None:
    network = late(33)
    relayed, _ = Relay(8, graded_input=graded)(network)
    kind = FixedGraded if graded else FixedLIF
    assert all(isinstance(p, kind) for n, p in relayed.populations.items() if n != "p")
    x = np.zeros((60, 2))
    x[:20, 0] = 1
    x[::3, 1] = 1
    np.testing.assert_array_equal(raster(relayed, x), raster(network, x))
    assert raster(relayed, x).sum() == 20 + 9


def test_values_of_graded_spikes_are_kept() -> None:
    builder = NetworkBuilder().input("in", 3).population("a", neuron(FixedGraded, 3, vth=0))
    builder.population("b", neuron(FixedGraded, 3, vth=0)).connect("in", "a", weight=1, delay_ticks=20)
    network = builder.connect("a", "b", weight=1, delay_ticks=25).output("out", "b").build(Semantics())
    relayed, _ = Relay(7)(network)
    assert relayed.n_neurons == 6 + 3 * 2 + 3 * 3
    x = np.zeros((50, 3))
    x[0] = [-1_000_000, 7, 1]
    x[1] = [5, 0, -3]
    got = raster(relayed, x)
    np.testing.assert_array_equal(got, raster(network, x))
    assert got[45].tolist() == [-1_000_000, 7, 1]


def test_a_convolution_keeps_its_kernel() -> None:
    builder = NetworkBuilder().input("in", (2, 6)).population("p", neuron(FixedLIF, (3, 4), **FORGETFUL))
    weight = np.arange(18).reshape(3, 2, 3) * 2
    network = builder.convolve("in", "p", weight, delay_ticks=30).output("out", "p").build(Semantics())
    relayed, _ = Relay(10)(network)
    assert relayed.populations["in.relay2"].shape == (2, 6)
    (node,) = relayed.of(ConvSynapses).values()
    assert isinstance(node, ConvSynapses)
    assert (node.delay_ticks, node.weight.shape) == (10, (3, 2, 3))
    x = (np.random.default_rng(0).random((60, 2, 6)) < 0.1) * 1
    np.testing.assert_array_equal(raster(relayed, x), raster(network, x))


def test_more_relays_than_any_board_holds_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"^\[DELAY_RANGE\] in: delays of more than 990 steps need 198 relay "
                       r"neurons beside the model's 2; the largest board holds 100\n  fix: shorten the delays, or"):
        Relay(10, room=100)(late(1000))


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_the_chip_carries_long_delays(target: str) -> None:
    network = late(np.array([[150, 0], [0, 2]]))
    program = hwsdk.compile(network, target)
    assert "2 relay neurons in 2 stage(s) carry delays of up to 150 steps" in program.losses
    x = np.zeros((170, 2))
    x[:4] = 1
    got = hwsdk.simulate(program, x).spikes["out"].dense(0)
    np.testing.assert_array_equal(got, raster(network, x))
    assert np.flatnonzero(got[:, 0]).tolist() == [150, 151, 152, 153]


def test_a_float_model_gets_relays_too() -> None:
    builder = NetworkBuilder("f").input("in", 2).population("p", neuron(IF, 2, v_threshold=0.5))
    network = builder.connect("in", "p", weight=np.eye(2), delay_ticks=100).output("out", "p").build(Semantics())
    report = hwsdk.verify(network, "loihi2", (np.random.default_rng(0).random((1, 150, 2)) < 0.3) * 1)
    assert report.ok
    assert report.first_drift is None


def test_what_rounding_did_to_delays_is_among_the_losses() -> None:
    builder = NetworkBuilder("f").input("in", 2).population("p", neuron(IF, 2, v_threshold=0.5))
    builder.connect("in", "p", weight=np.ones((2, 2)), delay_ticks=[[0.2, 1], [70.5, 3]], rounding="nearest")
    program = hwsdk.compile(builder.output("out", "p").build(Semantics()), "loihi2")
    assert program.losses.endswith(
        f"delays\n  {'in->p':20} 2 of 4 synapses moved to whole steps, by 0.5 steps at most and 0.175 on average\n"
        f"relays\n  {'in':20} 1 relay neurons in 1 stage(s) carry delays of up to 71 steps; one synapse takes 64\n")


def single(ticks: object, weight: object = 30, **more: object) -> Network:
    """in -> p one to one onto single-precision neurons that fire at once."""
    cell = neuron(SingleLIF, 2, decay_u=0.0, decay_v=0.0, v_threshold=29.0)
    builder = NetworkBuilder().input("in", 2).population("p", cell)
    return builder.connect("in", "p", weight=weight, delay_ticks=ticks, **more).output("out", "p").build(Semantics())


def test_single_precision_relays_pass_spikes_of_every_step_and_delays_of_0_stay() -> None:
    network = single(np.array([[0, 9], [16, 40]]), np.array([[30, 30], [30, 30]]))
    relayed, text = Relay(7)(network)
    assert relayed.is_single
    assert [(n, p.shape) for n, p in relayed.populations.items() if n != "p"] == [
        (f"in.relay{k}", (2,) if k < 3 else (1,)) for k in range(1, 6)]
    assert "7 relay neurons in 5 stage(s)" in text
    assert {d for x in relayed.of(Synapses).values() for d in x.delay_ticks.tolist()} == {0, 2, 5, 7}  # type: ignore[attr-defined]
    x = (np.random.default_rng(0).random((60, 2)) < 0.5).astype(float)
    x[20:40] = 1
    np.testing.assert_array_equal(raster(relayed, x), raster(network, x))


def test_what_learns_cannot_be_relayed() -> None:
    network = single(9, np.full((2, 2), 5.0), plasticity=StoredPairSTDP(3, 3, 5, 5, 0, 30), name="w")
    with pytest.raises(UnsupportedError) as caught:
        Relay(8)(network)
    assert (caught.value.code, caught.value.where) == ("DELAY_RANGE", "w")
    assert Relay(9)(network) == (network, "")
