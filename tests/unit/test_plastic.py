"""Plastic projections and pair STDP, refractory periods, and PyNN's IF_curr_exp."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from hwsdk.errors import DataError, ModelError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF, FixedSigmaDelta
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LI, LIF, CubaLIF, Neuron, Threshold
from hwsdk.ir.nodes import Input, Linear, Node
from hwsdk.ir.plastic import PairSTDP, PlasticSynapses
from hwsdk.ir.pynn import if_curr_exp, spynnaker
from hwsdk.ir.refractory import refractory_steps
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize_neuron import quantize_cell
from hwsdk.simulators import reference

RULE = PairSTDP(tau_plus=4.0, tau_minus=5.0, a_plus=2.0, a_minus=1.5, w_min=0.0, w_max=10.0)
SEM = Semantics(dt=1.0)
FORCE = 1000.0


def pair(n_pre: int = 1, n_post: int = 1, delay: Any = 1, weight: Any = 5.0, rule: Any = RULE) -> NetworkBuilder:
    """Pre spikes as given; post neurons that fire when the second input says so, in the same step."""
    b = NetworkBuilder().input("pre", n_pre).input("drive", n_post)
    b.population("post", neuron(Threshold, n_post, threshold=FORCE / 2)).connect("drive", "post", weight=FORCE)
    return b.connect("pre", "post", weight=np.full((n_post, n_pre), weight), delay_ticks=delay, plasticity=rule,
                     name="w")


def raster(times: list[int], steps: int) -> np.ndarray[Any, Any]:
    return np.isin(np.arange(steps), times).astype(float)[:, None]


def weights_of(pre: list[int], post: list[int], steps: int = 30, sem: Semantics = SEM, **how: Any) -> list[float]:
    """The weight after every step."""
    data = Stimulus.dense({"pre": raster(pre, steps), "drive": raster(post, steps)}, {"pre": (1,), "drive": (1,)})
    trace = reference.run(pair(**how).build(sem), data, probes=[("w", "weight")])
    return [float(x) for x in trace.states["w", "weight"][0, :, 0]]


def test_a_weight_changes_at_the_next_pre_spike_only() -> None:
    w = weights_of(pre=[3, 20], post=[5])
    up = 5 + 2.0 * exp(-(5 + 1 - 3) / 4)
    assert w[:20] == [5.0] * 20
    assert w[20] == w[29] == pytest.approx(up - 1.5 * exp(-(20 - 6) / 5), rel=1e-15)


def test_the_delay_shifts_post_spikes() -> None:
    late = weights_of(pre=[3, 20], post=[5], delay=4)
    assert late[20] == pytest.approx(5 + 2.0 * exp(-(5 + 4 - 3) / 4) - 1.5 * exp(-(20 - 9) / 5), rel=1e-15)
    before = weights_of(pre=[3, 20], post=[2], delay=4)
    assert before[3] == 5.0, "a post spike that is still on its way back is not seen"
    assert before[20] == pytest.approx(5 + 2.0 * exp(-(2 + 4 - 3) / 4) - 1.5 * exp(-(20 - 6) / 5), rel=1e-15)


def test_a_pre_spike_as_the_post_spike_arrives_depresses_fully() -> None:
    assert weights_of(pre=[6], post=[5])[6] == 5.0 - 1.5
    assert weights_of(pre=[3, 6], post=[5])[6] == pytest.approx(5 + 2.0 * exp(-3 / 4) - 1.5, rel=1e-15)


def test_a_post_spike_counts_for_one_window_only() -> None:
    w = weights_of(pre=[3, 10, 20], post=[5])
    x = exp(-7 / 4) + 1
    assert w[20] == pytest.approx(w[10] - 1.5 * exp(-(20 - 6) / 5), rel=1e-15)
    again = weights_of(pre=[3, 10, 20], post=[5, 12])
    y = exp(-7 / 5) + 1
    assert again[20] == pytest.approx(w[10] + 2.0 * x * exp(-(13 - 10) / 4) - 1.5 * y * exp(-(20 - 13) / 5), rel=1e-15)


def test_every_single_change_is_bounded() -> None:
    bounded = replace(RULE, a_plus=8.0, a_minus=3.0)
    w = weights_of(pre=[3, 8], post=[4, 5, 6], rule=bounded)
    y = (exp(-1 / 5) + 1) * exp(-1 / 5) + 1
    assert w[8] == pytest.approx(10.0 - 3.0 * y * exp(-1 / 5), rel=1e-15), "10, then one depression"
    assert weights_of(pre=[6], post=[5], rule=replace(RULE, a_minus=50.0))[6] == 0.0


def test_a_post_spike_of_step_0_changes_nothing_by_itself() -> None:
    assert weights_of(pre=[3, 9], post=[0]) == [5.0] * 30
    assert weights_of(pre=[9], post=[0, 5])[9] == pytest.approx(5 - 1.5 * (exp(-5 / 5) + 1) * exp(-3 / 5), rel=1e-15)


def test_time_constants_are_in_the_models_unit() -> None:
    per_step = replace(RULE, tau_plus=4e-3, tau_minus=5e-3)
    assert weights_of(pre=[3, 9, 20], post=[5, 12], rule=per_step, sem=Semantics(dt=1e-3)) == \
        pytest.approx(weights_of(pre=[3, 9, 20], post=[5, 12]), rel=1e-12)


def test_the_new_weight_is_what_arrives() -> None:
    b = pair(delay=3).output("x", "w")
    data = Stimulus.dense({"pre": raster([3, 9], 13), "drive": raster([5], 13)}, {"pre": (1,), "drive": (1,)})
    trace = reference.run(b.build(SEM), data, probes="all")
    arrived, weight = trace.spikes["x"].dense(0)[:, 0], trace.states["w", "weight"][0, :, 0]
    assert weight[9] not in (0, 5.0)
    assert arrived.tolist() == [0.0] * 6 + [5.0] + [0.0] * 5 + [weight[9]]


def online(rule: PairSTDP, node: PlasticSynapses, pre: Any, post: Any) -> Any:
    """The same rule, every change at once instead of at the next pre spike, and what is sent: (steps, synapses)."""
    w, k = node.weight.copy(), np.arange(len(node.weight))
    last, x = np.zeros(pre.shape[1], int), np.zeros(pre.shape[1])
    y_at = np.zeros((len(post), post.shape[1]))
    y, sent = np.zeros(post.shape[1]), np.zeros((len(pre), len(w)))
    seen = np.zeros(len(w))
    for t in range(len(pre)):
        y = y * exp(-1 / rule.tau_minus) + post[t]
        y_at[t] = y
        back = t - node.delay_ticks
        came = (back > 0) & (post[np.maximum(back, 0), node.target] > 0)
        up = rule.a_plus * x[node.source] * np.exp(-(t - last[node.source]) / rule.tau_plus)
        w = np.where(came, np.minimum(rule.w_max, w + up), w)
        seen = np.where(came, y_at[np.maximum(back, 0), node.target], seen * exp(-1 / rule.tau_minus))
        fires = pre[t, node.source] > 0
        w = np.where(fires & (seen > 0), np.maximum(rule.w_min, w - rule.a_minus * seen), w)
        sent[t, k[fires]] = w[fires]
        x = np.where(pre[t] > 0, x * np.exp(-(t - last) / rule.tau_plus) + 1, x)
        last = np.where(pre[t] > 0, t, last)
    return sent


@pytest.mark.parametrize("seed", range(8))
def test_deferred_and_immediate_updates_send_the_same(seed: int) -> None:
    """Between two pre spikes of a synapse nothing reads its weight, so both ways must agree there, in any order of
    spikes, with any delays, and in every sample by itself.
    """
    rng = np.random.default_rng(seed)
    n_pre, n_post, steps = 4, 3, 40
    rule = PairSTDP(*rng.uniform(1, 6, 2), *rng.uniform(0, 3, 2), 0.5, float(rng.uniform(3, 6)))
    network = pair(n_pre, n_post, rng.integers(1, 6, (n_post, n_pre)), rng.uniform(1, 3), rule).build(SEM)
    node = network.nodes["w"]
    assert isinstance(node, PlasticSynapses)
    pre, post = (rng.random((3, steps, n)) < 0.3 for n in (n_pre, n_post))
    post[:, 0] = False
    data = Stimulus.dense({"pre": pre.astype(float), "drive": post.astype(float)},
                          {"pre": (n_pre,), "drive": (n_post,)})
    states = reference.run(network, data, probes="all").states["w", "weight"]
    for sample in range(3):
        fires = pre[sample][:, node.source]
        assert np.allclose(states[sample][fires], online(rule, node, pre[sample], post[sample])[fires], rtol=1e-12)
    assert (states[:, -1] != node.weight).any()


def test_probes_of_weights() -> None:
    network, data = pair(3, 2).build(SEM), Stimulus.dense({"pre": np.zeros((4, 3)), "drive": np.zeros((4, 2))},
                                                         {"pre": (3,), "drive": (2,)})
    assert reference.run(network, data, probes="all").states["w", "weight"].shape == (1, 4, 6)
    assert reference.run(network, data).states == {}
    with pytest.raises(DataError) as caught:
        reference.run(network, data, probes=[("w", "v")])
    assert caught.value.code == "NO_SUCH_STATE"


def test_a_pre_spike_with_a_value_is_refused_and_dirac_pulses_are_not() -> None:
    data = Stimulus.dense({"pre": 2 * raster([3], 9), "drive": raster([], 9)}, {"pre": (1,), "drive": (1,)})
    with pytest.raises(DataError) as caught:
        reference.run(pair().build(SEM), data)
    assert caught.value.code == "PLASTIC_INPUT"
    dirac = Semantics(dt=0.5, pulse="dirac", precision="float32")
    data = Stimulus.dense({"pre": raster([3], 9), "drive": raster([], 9)}, {"pre": (1,), "drive": (1,)})
    trace = reference.run(pair().output("x", "w").build(dirac), data)
    assert trace.spikes["x"].dense(0)[4, 0] == 10.0


def test_the_builder_makes_a_synapse_of_a_zero() -> None:
    node = pair(3, 2, weight=0.0).build(SEM).nodes["w"]
    assert isinstance(node, PlasticSynapses)
    assert node.parameters() == 6
    assert not node.weight.any()
    assert set(node.delay_ticks.tolist()) == {1}
    some = sparse.coo_matrix(([0.0, 1.0], ([0, 1], [2, 0])), shape=(2, 3))
    b = NetworkBuilder().input("a", 3).population("b", neuron(LIF, 2, tau=2.0, v_threshold=1.0))
    made = b.connect("a", "b", weight=some, plasticity=RULE).build(SEM).nodes["a->b"]
    assert isinstance(made, PlasticSynapses)
    assert list(zip(made.source.tolist(), made.target.tolist(), made.weight.tolist(), strict=True)) == [
        (2, 0, 0.0), (0, 1, 1.0)]
    assert made.delay_ticks.tolist() == [1, 1]


def test_rule_and_weights_are_part_of_the_digest() -> None:
    digests = {pair(**how).build(SEM).digest() for how in (
        {}, {"rule": replace(RULE, a_minus=1.0)}, {"weight": 4.0}, {"delay": 2})}
    assert len(digests) == 4
    assert pair().build(SEM).digest() in digests
    assert "node w PlasticSynapses out=[1] params=1" in pair().build(SEM).to_text()
    assert not pair().build(SEM).is_discrete


def test_a_loop_may_learn() -> None:
    b = NetworkBuilder().input("in", 2).population("p", neuron(LIF, 2, tau=2.0, v_threshold=1.0))
    b.connect("in", "p", weight=4.0).connect("p", "p", weight=np.zeros((2, 2)), plasticity=RULE)
    x = np.zeros((9, 2))
    x[[0, 2, 4, 6], [0, 1, 0, 1]] = 1
    trace = reference.run(b.build(SEM), Stimulus.dense(x, {"in": (2,)}), probes="all")
    assert trace.states["p->p", "weight"][0, -1].any()


def two(node: Neuron, other: Neuron | None = None) -> NetworkBuilder:
    b = NetworkBuilder().input("in", 2).population("a", node)
    return b.population("b", other or neuron(LIF, 2, tau=2.0, v_threshold=1.0)).connect("in", "a", weight=1.0)


def lif(**params: Any) -> LIF:
    return neuron(LIF, 2, tau=2.0, v_threshold=1.0, **params)


def rewired(*edges: Edge) -> Callable[[], object]:
    """A plastic projection a -> w -> b with other edges."""
    def make() -> Network:
        network = two(lif()).connect("a", "b", weight=1.0, plasticity=RULE, name="w").build(SEM)
        nodes: dict[str, Node] = {**network.nodes, "c": lif(), "line": Linear(np.eye(2))}
        return Network("n", nodes, (Edge("in", "a"), Edge("in", "c"), Edge("a", "line"), *edges), SEM)

    return make


INTO, OUT = Edge("a", "w"), Edge("w", "b")
SIGMA = {"vth": 1}
REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "tau": (lambda: replace(RULE, tau_plus=0.0), "BAD_RULE"),
    "amplitude": (lambda: replace(RULE, a_minus=-1.0), "BAD_RULE"),
    "not finite": (lambda: replace(RULE, w_max=float("inf")), "BAD_RULE"),
    "no number": (lambda: replace(RULE, a_plus="6"), "BAD_RULE"),  # type: ignore[arg-type]
    "bounds": (lambda: replace(RULE, w_min=11.0), "BAD_RULE"),
    "no delay": (lambda: pair(delay=0).build(SEM), "PLASTIC_DELAY"),
    "below the bounds": (lambda: pair(weight=-1.0).build(SEM), "PLASTIC_WEIGHT"),
    "above the bounds": (lambda: pair(weight=11.0).build(SEM), "PLASTIC_WEIGHT"),
    "nan": (lambda: pair(weight=float("nan")).build(SEM), "NOT_FINITE"),
    "several spikes": (lambda: pair().build(Semantics(spikes="multiple", reset="subtract")), "PLASTIC_SPIKES"),
    "no weight": (lambda: two(lif()).connect("a", "b", plasticity=RULE), "BAD_OPTION"),
    "weight bits": (lambda: two(lif()).connect("a", "b", weight=1.0, weight_bits=4, plasticity=RULE), "BAD_OPTION"),
    "integers": (lambda: two(neuron(FixedLIF, 2, du=0, dv=0, vth=5), neuron(FixedLIF, 2, du=0, dv=0, vth=5)).connect(
        "a", "b", weight=1.0, plasticity=RULE).build(SEM), "BAD_OPTION"),
    "integers elsewhere": (lambda: Network("n", {"i": Input((2,)), "f": neuron(FixedLIF, 2, du=0, dv=0, vth=5), **(
        two(lif()).connect("a", "b", weight=1.0, plasticity=RULE, name="w").build(SEM).nodes)}, (
        Edge("i", "f"), Edge("in", "a"), INTO, OUT), SEM), "PLASTIC_INTEGER"),
    "membrane as pre": (lambda: two(neuron(LI, 2, tau=2.0)).connect("a", "b", weight=1.0, plasticity=RULE).build(SEM),
                        "PLASTIC_FORM"),
    "membrane as post": (lambda: two(lif(), neuron(LI, 2, tau=2.0)).connect(
        "a", "b", weight=1.0, plasticity=RULE).build(SEM), "PLASTIC_FORM"),
    "graded post": (lambda: two(lif(), neuron(FixedSigmaDelta, 2, **SIGMA)).connect(
        "a", "b", weight=np.ones((2, 2)), delay_ticks=1, plasticity=RULE).build(SEM), "BAD_OPTION"),
    "two targets": (rewired(INTO, OUT, Edge("w", "c")), "PLASTIC_FORM"),
    "no target": (rewired(INTO), "PLASTIC_FORM"),
    "two sources": (rewired(INTO, OUT, Edge("c", "w")), "PLASTIC_FORM"),
    "no population before it": (rewired(Edge("line", "w"), OUT), "PLASTIC_FORM"),
    "delay before it": (rewired(Edge("a", "w", 1), OUT), "PLASTIC_FORM"),
    "delay behind it": (rewired(INTO, Edge("w", "b", 1)), "PLASTIC_FORM"),
    "refractory below 0": (lambda: two(lif(t_refrac=-1.0)).build(SEM), "REFRACTORY_RANGE"),
    "refractory too long": (lambda: two(lif(t_refrac=1e9)).build(SEM), "REFRACTORY_RANGE"),
    "refractory and late reset": (lambda: two(lif(t_refrac=2.0)).build(Semantics(
        reset="subtract", reset_timing="next_step")), "REFRACTORY_SEMANTICS"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    make, code = REFUSALS[case]
    with pytest.raises(ModelError) as caught:
        make()
    assert caught.value.code == code, str(caught.value)
    assert caught.value.fix


def test_a_target_without_learning_names_the_projections() -> None:
    network = two(lif()).connect("a", "b", weight=1.0, plasticity=RULE).output("o", "b").build(SEM)
    with pytest.raises(UnsupportedError) as caught:
        Lower()(network)
    assert (caught.value.code, caught.value.where) == ("PLASTICITY", "a->b")
    assert "PairSTDP" in caught.value.what
    assert caught.value.fix


# refractory periods, initial voltages, PyNN's cell


def run_cell(node: Neuron, x: list[float], sem: Semantics, delay: int = 0) -> tuple[list[int], list[float]]:
    """(steps with a spike, v after every step) of one neuron."""
    b = NetworkBuilder().input("in", 1).population("p", node).connect("in", "p", weight=1.0, delay_ticks=delay)
    data = Stimulus.dense(np.array(x)[:, None], {"in": (1,)})
    trace = reference.run(b.output("o", "p").build(sem), data, probes="all")
    return trace.spikes["p"].step.tolist(), trace.states["p", "v"][0, :, 0].tolist()


@pytest.mark.parametrize(("period", "spikes"), [(None, [0, 1, 2, 3, 4, 5]), (0.0, [0, 1, 2, 3, 4, 5]),
                                                (0.3, [0, 2, 4]), (1.0, [0, 2, 4]), (2.5, [0, 4])])
def test_a_neuron_rests(period: float | None, spikes: list[int]) -> None:
    node = neuron(LIF, 1, tau=2.0, v_threshold=1.0, v_reset=-0.5, t_refrac=period)
    found, v = run_cell(node, [9.0] * 6, SEM)
    assert found == spikes
    assert v == [-0.5] * 6, "it does not leave the reset value while it rests"


def test_the_current_goes_on_while_the_membrane_rests() -> None:
    node = neuron(CubaLIF, 1, tau_syn=2.0, tau_mem=2.0, v_threshold=1.0, t_refrac=3.0)
    spikes, v = run_cell(node, [100.0] + [0.0] * 9, SEM)
    assert spikes == [0, 4]
    assert v[1:4] == [0.0] * 3


def test_steps_of_a_period() -> None:
    def steps(period: float, dt: float) -> int | None:
        found = refractory_steps(neuron(LIF, 1, tau=2.0, v_threshold=1.0, t_refrac=period), Semantics(dt=dt))
        return None if found is None else int(found[0])

    assert [steps(*x) for x in ((0.9, 0.3), (0.6, 0.2), (1.0, 1.0), (0.1, 1.0), (2.0, 0.1), (0.0, 1.0))] == [
        3, 3, 1, 1, 20, None]


def test_unset_periods_leave_the_digest_as_it_was() -> None:
    from dataclasses import make_dataclass

    fields = ("tau", "r", "v_leak", "v_threshold", "v_reset")
    old = make_dataclass("LIF", fields, bases=(Neuron,), frozen=True, eq=False)
    node = lif()
    network = two(node).build(SEM)
    same = network.replace(nodes={**network.nodes, "a": old(*(getattr(node, f) for f in fields))})
    assert same.digest() == network.digest()
    others = [two(lif(**more)).build(SEM).digest() for more in ({"t_refrac": 2.0}, {"v_init": 0.5}, {"t_refrac": 1.0})]
    assert len({network.digest(), *others}) == 4


CELL = {"cm": 0.7, "tau_m": 9.0, "tau_syn": 2.5, "v_rest": -65.0, "v_reset": -70.0, "v_thresh": -52.0,
        "tau_refrac": 1.2}


def literal(x: list[float], dt: float, cell: dict[str, float], i_offset: float, v: float,
            ) -> tuple[list[int], list[float]]:
    """IF_curr_exp in the words of the facts about sPyNNaker's code, one neuron."""
    ring = cell["tau_syn"] / dt * (1 - exp(-dt / cell["tau_syn"]))
    rest, i, countdown, spikes, seen = int(-(-cell["tau_refrac"] // dt)), 0.0, 0, [], []
    for t, arrives in enumerate(x):
        i += arrives * ring
        if countdown > 0:
            countdown -= 1
        else:
            alpha = (i + i_offset) * cell["tau_m"] / cell["cm"] + cell["v_rest"]
            v = alpha - exp(-dt / cell["tau_m"]) * (alpha - v)
        if v >= cell["v_thresh"]:
            spikes.append(t)
            v, countdown = cell["v_reset"], rest
        i *= exp(-dt / cell["tau_syn"])
        seen.append(v)
    return spikes, seen


@pytest.mark.parametrize(("dt", "i_offset", "v_init"), [(1.0, 0.0, None), (0.5, 0.4, -60.0), (0.1, 1.3, None)])
def test_if_curr_exp_is_the_closed_form(dt: float, i_offset: float, v_init: float | None) -> None:
    rng = np.random.default_rng(1)
    x = (rng.random(120) * 3 * (rng.random(120) < 0.4) - 0.2).tolist()
    spikes, v = run_cell(if_curr_exp(1, dt, **CELL, i_offset=i_offset, v_init=v_init), x, spynnaker(dt))
    expected = literal(x, dt, CELL, i_offset, CELL["v_rest"] if v_init is None else v_init)
    assert spikes == expected[0]
    assert len(spikes) > 3
    assert v == pytest.approx(expected[1], rel=1e-11)


def test_lowering_keeps_rest_and_start() -> None:
    rng = np.random.default_rng(2)
    b = NetworkBuilder().input("in", 3)
    b.population("a", if_curr_exp(3, 1.0, **{**CELL, "tau_refrac": np.array([0.0, 1.0, 4.0])}, v_init=-60.0))
    b.population("b", if_curr_exp(2, 1.0, **CELL, i_offset=1.5)).connect("in", "a", weight=8.0, delay_ticks=1)
    b.connect("a", "b", weight=rng.uniform(0, 9, (2, 3)), delay_ticks=2).output("o", "b")
    network = b.build(spynnaker())
    lowered = Lower()(network)
    assert lowered.nodes["a"].refractory.tolist() == [0, 1, 4]  # type: ignore[attr-defined]
    data = Stimulus.dense((rng.random((60, 3)) < 0.6).astype(float), {"in": (3,)})
    expected, got = reference.run(network, data), reference.run(lowered, data)
    assert expected.first_difference(got, ["a", "b"]) is None
    assert len(expected.spikes["b"]) > 3
    without = Lower()(network.replace(nodes={**network.nodes, "a": replace(network.nodes["a"], t_refrac=None)}))
    assert expected.first_difference(reference.run(without, data), ["a"]) is not None


def test_integers_rest_as_long() -> None:
    network = two(lif(t_refrac=3.0)).output("o", "a").build(SEM)
    cell = Lower()(network).populations["a"]
    fixed = quantize_cell("a", cell, np.full(2, 100.0), 0, LedgerWriter())  # type: ignore[arg-type]
    assert fixed.refractory is not None
    assert fixed.refractory.tolist() == [3, 3]
    assert quantize_cell("b", replace(cell, refractory=None), np.full(2, 100.0), 0,  # type: ignore[arg-type]
                         LedgerWriter()).refractory is None


