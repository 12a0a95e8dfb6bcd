"""Single-precision populations: the IR, the builder and the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwsdk.errors import DataError, ModelError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.ir.plastic import PairSTDP, StoredPairSTDP
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF, single
from hwsdk.simulators import reference

F = np.float32
STORED = StoredPairSTDP(3, 3, 10, 10, 0, 100)
FLOATS = PairSTDP(3, 3, 10, 10, 0, 100)


def cell(n: Any = 1, **more: Any) -> SingleLIF:
    return neuron(SingleLIF, n, **{"decay_u": 0.3, "decay_v": 0.9, "v_threshold": 10.0, **more})


def one(population: SingleLIF, weight: Any = 1.0, delay: int = 0) -> Network:
    b = NetworkBuilder().input("in", 1).population("p", population)
    return b.connect("in", "p", weight=weight, delay_ticks=delay).output("o", "p").build(Semantics())


def run(network: Network, x: list[float]) -> tuple[list[int], list[float], list[float]]:
    """(steps with a spike, u, v) of one neuron."""
    trace = reference.run(network, Stimulus.dense(np.array(x)[:, None], {"in": (1,)}), probes="all")
    u, v = (trace.states["p", s] for s in "uv")
    assert u.dtype == v.dtype == np.float32
    return trace.spikes["p"].step.tolist(), u[0, :, 0].tolist(), v[0, :, 0].tolist()


@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("comparison", [">", ">="])
@pytest.mark.parametrize("rest", [None, 2])
def test_a_step_is_that_of_the_docstring(reset: str, comparison: str, rest: int | None) -> None:
    more = {"reset": reset, "comparison": comparison, "refractory": rest, "bias": 0.1, "reset_by": 9.7, "u_init": 0.7,
            "v_init": 3.3}
    network = one(cell(**more))
    x = np.random.default_rng(3).integers(-2, 8, 60)
    spikes, u_seen, v_seen = run(network, x.tolist())
    u, v, left = F(0.7), F(3.3), 0
    for t, a in enumerate(x):
        u = F(F(F(0.3) * u) + F(a))
        new = F(F(F(F(0.9) * v) + u) + F(0.1))
        v = v if left else new
        z = not left and (v >= F(10) if comparison == ">=" else v > F(10))
        left = (rest or 0) if z else max(left - 1, 0)
        v = (F(0) if reset == "value" else F(v - F(9.7))) if z else v
        assert (u_seen[t], v_seen[t], t in spikes) == (float(u), float(v), z)
    assert len(spikes) > 3


def test_float32_is_not_float64() -> None:
    """A threshold between the two sums."""
    exact = 0.1 + 0.2
    rounded = float(F(0.1) + F(0.2))
    assert rounded != exact
    found, _, v = run(one(cell(decay_v=1.0, bias=0.2, v_init=0.1, v_threshold=100.0)), [0])
    assert found == []
    assert v == [rounded]


def test_the_sum_of_weights_is_exact_and_then_a_float32() -> None:
    b = NetworkBuilder().input("in", 700).population("p", cell(decay_u=0.0, decay_v=0.0, fires=False))
    weight = np.full((1, 700), 32767.0)
    weight[0, -1] = 2
    network = b.connect("in", "p", weight=weight).output("o", "p").build(Semantics())
    x = np.ones((3, 700))
    x[1, 0] = 0
    total = 699 * 32767 + 2
    assert total > 2**24
    got = reference.run(network, Stimulus.dense(x, {"in": (700,)}), probes="all").states["p", "v"][0, :, 0]
    assert got.tolist() == [0, float(F(total)), float(F(total - 32767))]
    assert float(F(total)) != total


def test_what_is_read_out() -> None:
    network = one(cell(fires=False, decay_v=1.0), 3, delay=1)
    trace = reference.run(network, Stimulus.dense(np.array([[1.0], [0], [2], [0]]), {"in": (1,)}))
    u, v = [F(0), F(3)], [F(0), F(3)]
    for a in (F(0), F(6)):
        u.append(F(0.3) * u[-1] + a)
        v.append(v[-1] + u[-1])
    assert trace.spikes["o"].dense(0, dtype=np.float64)[:, 0].tolist() == [float(x) for x in v]


def test_single_networks_are_discrete_and_take_whole_unit_spikes() -> None:
    network = one(cell())
    assert (network.is_single, network.is_discrete, network.is_integer) == (True, True, False)
    with pytest.raises(DataError, match="fractional"):
        reference.run(network, Stimulus.dense(np.full((3, 1), 0.5), {"in": (1,)}))
    dirac = network.replace(semantics=Semantics(dt=0.5, pulse="dirac", precision="float32"))
    assert run(dirac, [1, 0, 1]) == run(network, [1, 0, 1])


def test_parameters_are_rounded_by_the_builder_and_checked_by_the_class() -> None:
    assert cell(v_threshold=0.1).v_threshold[0] == float(F(0.1)) != 0.1
    assert cell(scale=0.1).scale[0] == 0.1
    with pytest.raises(ModelError) as caught:
        SingleLIF(*[np.full(1, 0.1)] * 9)
    assert caught.value.code == "NOT_SINGLE"
    assert single(1e300).tolist() == float("inf")
    with pytest.raises(ModelError) as caught:
        one(cell(bias=1e300))
    assert caught.value.code == "NOT_FINITE"


def test_weights_are_integers_of_16_bits_and_may_act_at_once() -> None:
    b = NetworkBuilder().input("in", (1, 4)).population("p", cell((1, 4))).population("q", cell(2))
    b.connect("in", "p", weight=-127).connect("p", "q", weight=[[32767, 0, 1, 0], [0, 0, -32767, 5]], delay_ticks=0)
    network = b.convolve("in", "p", np.array([[[3, -8, 0.0]]]), padding=1, name="c").build(Semantics())
    assert network.is_single
    found = {n: (x.weight.dtype.kind, x.weight_bits, np.max(x.delay_ticks))
             for n, x in network.of(Synapses, ConvSynapses).items() if isinstance(x, Synapses | ConvSynapses)}
    assert found == {"in->p": ("i", 8, 1), "p->q": ("i", 16, 0), "c": ("i", 5, 1)}


def plastic(rule: Any, weight: Any = 7.0, population: Any = None) -> Network:
    b = NetworkBuilder().input("in", 1).population("p", cell() if population is None else population)
    return b.connect("in", "p", weight=weight, plasticity=rule).build(Semantics())


def test_plastic_connections_onto_them_are_stored_integers() -> None:
    network = plastic(STORED)
    assert network.is_single
    assert network.nodes["in->p"].delay_ticks.tolist() == [1]  # type: ignore[attr-defined]


REFUSALS = {
    "fraction": (lambda: one(cell(), 0.5), "WEIGHT_GRID"),
    "too large": (lambda: one(cell(), 32768), "WEIGHT_GRID"),
    "loihi form": (lambda: NetworkBuilder().input("in", 1).population("p", cell()).connect(
        "in", "p", weight=4, weight_exp=2), "WEIGHT_GRID"),
    "beside floats": (lambda: NetworkBuilder().population("p", cell()).population(
        "q", neuron(LIF, 1, tau=2.0, v_threshold=1.0)).build(Semantics()), "MIXED_NUMBERS"),
    "beside integers": (lambda: NetworkBuilder().population("p", cell()).population(
        "q", neuron(FixedLIF, 1, du=0, dv=0, vth=1)).build(Semantics()), "MIXED_NUMBERS"),
    "a rule in floats": (lambda: plastic(FLOATS), "PLASTIC_INTEGER"),
    "a stored rule on floats": (lambda: plastic(STORED, population=neuron(LIF, 1, tau=2.0, v_threshold=1.0)),
                                "PLASTIC_INTEGER"),
    "a fraction that learns": (lambda: plastic(STORED, 0.5), "PLASTIC_WEIGHT"),
    "beyond the bounds": (lambda: plastic(STORED, 101), "PLASTIC_WEIGHT"),
    "no integer bounds": (lambda: StoredPairSTDP(3, 3, 1, 1, 0, 10.5), "BAD_RULE"),
    "bounds of 17 bits": (lambda: StoredPairSTDP(3, 3, 1, 1, 0, 32768), "BAD_RULE"),
    "no history": (lambda: StoredPairSTDP(3, 3, 1, 1, 0, 10, 1), "BAD_RULE"),
    "half a spike": (lambda: StoredPairSTDP(3, 3, 1, 1, 0, 10, 1.5), "BAD_RULE"),  # type: ignore[arg-type]
    "a very slow trace": (lambda: StoredPairSTDP(5000, 3, 1, 1, 0, 10), "BAD_RULE"),
    "bounds exchanged": (lambda: StoredPairSTDP(3, 3, 1, 1, 11, 10), "BAD_RULE"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    make, code = REFUSALS[case]
    with pytest.raises(ModelError) as caught:
        make()
    assert caught.value.code == code, str(caught.value)
    assert caught.value.fix
