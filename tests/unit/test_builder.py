"""Networks built by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from hwsdk.errors import ModelError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.neurons import IF, LIF, CubaLIF, DiscreteLIF
from hwsdk.ir.nodes import Flatten, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference

SEM = Semantics(dt=1.0)


def two_layers(**connection: Any) -> NetworkBuilder:
    builder = NetworkBuilder("two").input("in", 3).population("out", neuron(IF, 2, v_threshold=1.0))
    return builder.connect("in", "out", **connection).output("spikes", "out")


def test_dense_weights_make_synapses() -> None:
    weight = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 3.0]])
    ticks = np.array([[0, 0, 2], [0, 0, 4]])
    network = two_layers(weight=weight, delay_ticks=ticks).build(SEM)
    node = network.nodes["in->out"]
    assert isinstance(node, Synapses)
    assert list(zip(node.target.tolist(), node.source.tolist(), node.weight.tolist(), node.delay_ticks.tolist(),
                    strict=True)) == [(0, 0, 2.0, 0), (0, 2, 1.0, 2), (1, 2, 3.0, 4)]
    assert network.outputs["spikes"].shape == (2,)
    assert not node.weight.flags.writeable


def test_delays_act_synapse_by_synapse() -> None:
    network = two_layers(weight=np.full((2, 3), 2.0), delay_ticks=np.array([[0, 1, 2], [3, 3, 3]])).build(SEM)
    x = np.zeros((5, 3))
    x[0] = 1
    spikes = reference.run(network, Stimulus.dense(x, {"in": (3,)})).spikes["out"].dense(0)
    assert spikes.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1], [0, 0]]


def test_sparse_and_one_to_one() -> None:
    matrix = sparse.coo_matrix(([1.0, 2.0, 4.0], ([0, 1, 1], [2, 0, 0])), shape=(2, 3))
    node = two_layers(weight=matrix, delay_ticks=3).build(SEM).nodes["in->out"]
    assert isinstance(node, Synapses)
    assert node.weight.tolist() == [1.0, 2.0, 4.0], "two synapses between one pair stay two"
    assert set(node.delay_ticks.tolist()) == {3}
    builder = NetworkBuilder().input("a", (2, 2)).population("b", neuron(IF, 4, v_threshold=1.0))
    one = builder.connect("a", "b", weight=0.5).build(SEM).nodes["a->b"]
    assert isinstance(one, Synapses)
    assert one.source.tolist() == one.target.tolist() == [0, 1, 2, 3]


def test_plain_edges_and_other_nodes() -> None:
    builder = NetworkBuilder().input("a", (2, 2)).add("flat", Flatten(0, -1))
    builder.population("b", neuron(LIF, 4, tau=2.0, v_threshold=1.0)).connect("a", "flat", delay_ticks=2)
    network = builder.connect("flat", "b").output("o", "flat").build(SEM)
    assert {(e.source, e.target): e.delay_ticks for e in network.edges} == {
        ("a", "flat"): 2, ("flat", "b"): 0, ("flat", "o"): 0}
    assert network.outputs["o"].shape == (4,)


def test_recurrent_loop_needs_a_delay() -> None:
    def ring(ticks: int) -> NetworkBuilder:
        return two_layers(weight=np.ones((2, 3))).connect("out", "out", weight=np.ones((2, 2)), delay_ticks=ticks)

    assert ring(1).build(SEM).n_neurons == 2
    with pytest.raises(ModelError) as caught:
        ring(0).build(SEM)
    assert caught.value.code == "LOOP_WITHOUT_DELAY"


def test_neuron_spreads_its_parameters() -> None:
    node = neuron(CubaLIF, (2, 3), tau_syn=1.0, tau_mem=np.array([1.0, 2.0]), v_threshold=np.ones((2, 3)))
    assert node.shape == (2, 3)
    assert node.tau_mem.tolist() == [[1.0] * 3, [2.0] * 3]
    assert node.w_in.sum() == 6
    assert node.v_reset.sum() == 0


def test_neuron_of_a_chip() -> None:
    params = dict.fromkeys(("du", "dv", "bias_mant", "bias_exp", "reset_by", "u_init", "v_init", "v_offset"), 0)
    node = neuron(FixedLIF, 3, vth=10, scale=1.0, **params)
    assert node.vth.dtype == np.int64
    assert node.reset == "value"
    names = ("decay_u", "decay_v", "bias", "v_threshold", "reset_by", "u_init", "v_init", "u_start", "v_start",
             "v_offset")
    floats = dict.fromkeys(names, 0.0)
    assert neuron(DiscreteLIF, 3, fires=False, **floats).fires is False


REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "unknown end": (lambda: NetworkBuilder().input("a", 2).connect("a", "b"), "DANGLING_EDGE"),
    "unknown output": (lambda: NetworkBuilder().output("o", "b"), "DANGLING_EDGE"),
    "name twice": (lambda: NetworkBuilder().input("a", 2).input("a", 2), "DUPLICATE_NODE"),
    "output twice": (lambda: two_layers(weight=1.0 * np.ones((2, 3))).output("spikes", "out"), "DUPLICATE_NODE"),
    "weight shape": (lambda: two_layers(weight=np.ones((3, 2))), "SHAPE_MISMATCH"),
    "one to one": (lambda: two_layers(weight=1.0), "SHAPE_MISMATCH"),
    "weight rank": (lambda: two_layers(weight=np.ones(3)), "SHAPE_MISMATCH"),
    "weight type": (lambda: two_layers(weight=np.ones((2, 3), complex)), "BAD_DTYPE"),
    "weight value": (lambda: two_layers(weight=np.full((2, 3), np.nan)).build(SEM), "NOT_FINITE"),
    "delay": (lambda: two_layers(weight=np.ones((2, 3)), delay_ticks=-1), "NEGATIVE_DELAY"),
    "half a delay": (lambda: two_layers(weight=np.ones((2, 3)), delay_ticks=0.5), "BAD_DELAY"),
    "long delay": (lambda: two_layers(weight=np.ones((2, 3)), delay_ticks=1 << 30), "BAD_DELAY"),
    "delay shape": (lambda: two_layers(weight=np.ones((2, 3)), delay_ticks=np.ones((3, 2))), "SHAPE_MISMATCH"),
    "delays without weights": (lambda: two_layers(delay_ticks=np.ones((2, 3))), "SHAPE_MISMATCH"),
    "no population": (lambda: NetworkBuilder().population("a", Flatten()), "BAD_NODE"),  # type: ignore[arg-type]
    "shape": (lambda: NetworkBuilder().input("a", (0, 2)), "BAD_SHAPE"),
    "size": (lambda: neuron(IF, 1 << 40, v_threshold=1.0), "TOO_LARGE"),
    "parameter missing": (lambda: neuron(LIF, 2, tau=1.0), "MISSING_FIELD"),
    "parameter unknown": (lambda: neuron(IF, 2, tau=1.0), "UNKNOWN_FIELD"),
    "parameter shape": (lambda: neuron(IF, 2, v_threshold=np.ones(3)), "SHAPE_MISMATCH"),
    "parameter type": (lambda: neuron(IF, 2, v_threshold="high"), "BAD_DTYPE"),
    "tau": (lambda: NetworkBuilder().population("p", neuron(LIF, 2, tau=0.0, v_threshold=1.0)).build(SEM),
            "TAU_NOT_POSITIVE"),
    "threshold": (lambda: NetworkBuilder().population("p", neuron(IF, 2, v_threshold=0.0)).build(SEM),
                  "THRESHOLD_NOT_ABOVE_RESET"),
    "shape unknown": (lambda: NetworkBuilder().add("f", Flatten()).output("o", "f").build(SEM), "NO_INPUT"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    make, code = REFUSALS[case]
    with pytest.raises(ModelError) as caught:
        make()
    assert caught.value.code == code, str(caught.value)
    assert caught.value.fix
