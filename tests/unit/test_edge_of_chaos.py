"""Edge-of-chaos tuning: the kernel against a plain twin bit for bit, the rule's limits, and where liquids end up."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from hwsdk.errors import HwsdkError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF, CubaLIF
from hwsdk.ir.nodes import Linear, frozen
from hwsdk.ir.semantics import Semantics
from hwsdk.lsm.edge_of_chaos import Liquid, Rule, branching_factor, kernel_rank, liquid_of, paper_liquid, tune
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.topology import Distance, Sparse
from hwsdk.simulators import reference
from hwsdk.simulators.kernels_nalsm import EXCITATORY, INHIBITORY, INPUT


class Twin:
    """The rule written plainly, whole arrays at a time."""

    def __init__(self, liq: Liquid, rule: Rule, learns: bool = True) -> None:
        self.liq, self.rule, self.learns = liq, rule, learns
        self.pre = np.repeat(np.arange(liq.n_inputs + liq.n), np.diff(liq.wires.first))
        self.post = liq.wires.post
        self.w = liq.weight.copy()
        self.trace = np.zeros(liq.n_inputs + liq.n)
        kind = liq.wires.kind
        self.low = np.where(kind == EXCITATORY, 0.0, -rule.clip)
        self.high = np.where(kind == INHIBITORY, 0.0, rule.clip)

    def drive(self, current: np.ndarray) -> np.ndarray:
        out = np.zeros(self.liq.n)
        for p in range(len(current)):  # sums over units in order
            mine = self.pre == p
            out[self.post[mine]] += self.w[mine] * current[p, self.liq.cells.group[self.post[mine]]]
        return out

    def learn(self, spike: np.ndarray, level: float) -> None:
        post = self.post + self.liq.n_inputs
        a = self.trace[self.pre] * spike[post]
        b = self.trace[post] * spike[self.pre]
        rate = self.rule.potentiation
        inhibits = self.liq.wires.kind == INHIBITORY
        new = np.where(inhibits, self.w - level * a + rate * b, self.w + rate * a - level * b)
        self.w = np.clip(new, self.low, self.high)
        self.trace = math.exp(-1 / self.rule.trace_tau) * (self.trace + self.rule.trace_step * spike)

    def show(self, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c, n = self.liq.cells, self.liq.n
        bias = self.rule.potentiation if self.rule.astrocyte_bias is None else self.rule.astrocyte_bias
        v, left, level = np.zeros(n), np.zeros(n, int), bias
        current = np.zeros((self.liq.n_inputs + n, len(c.decay)))
        spikes, levels = [], []
        for x in sample:
            above = v > c.threshold if c.strict else v >= c.threshold
            fires = above & (left == 0) if not c.holds else above
            v = np.where(fires, 0.0, v)
            spike = np.concatenate([x, fires]).astype(float)
            left = np.where(fires, c.rests, left) if c.holds else left
            current = np.where(spike[:, None] > 0, 1.0 if c.restart else current + 1.0, current)
            moved = c.leak * v + c.bias + c.gain[c.group] * self.drive(current)
            v = np.where(left > 0, v, moved) if c.holds else moved
            left = np.maximum(left - 1, 0) if c.holds else np.where(fires, c.rests, np.maximum(left - 1, 0))
            current = current * c.decay
            if self.learns:
                self.learn(spike, level)
            if self.learns and not self.rule.frozen:
                push = self.rule.astrocyte_weight * (int(fires.sum()) - int(x.sum())) + bias - level
                level += push / self.rule.astrocyte_tau
            spikes.append(fires)
            levels.append(level)
        return np.array(spikes), np.array(levels)


def inputs(seed: int, samples: int = 6, steps: int = 40, n: int = 12, rate: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = rng.random((samples, 1, n)) < 0.5
    return ((rng.random((samples, steps, n)) < rate) & shape).astype(np.uint8)


def stimulus(array: np.ndarray) -> Stimulus:
    return Stimulus.dense(array, {"in": (array.shape[2],)})


def small(seed: int, kind: str) -> Network:
    """Liquids of all forms that the rule takes."""
    if kind == "paper":
        return paper_liquid(12, 40, seed=seed, topology=Distance(input_density=0.6, c=(0.6, 0.5, 0.6, 0.3)))
    if kind == "leaky":
        return liquid(12, 40, seed=seed, c_in=0.5, c_rec=0.2)
    return liquid(12, 40, seed=seed, c_in=0.6, c_rec=0.6, topology=Sparse(0.3, 0.5))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "neurons"), [("paper", "paper"), ("paper", "network"), ("leaky", "network"),
                                               ("sparse", "paper")])
def test_the_kernel_gives_the_bits_of_plain_numpy(seed: int, kind: str, neurons: str) -> None:
    unit = 0.3 if kind == "paper" else None
    rule = Rule(astrocyte_weight=0.05, clip=4.0, frozen=seed == 2)
    liq = liquid_of(small(seed, kind), "liquid", neurons=neurons, unit=unit, clip=rule.clip)
    data = inputs(seed)
    weight, state, twin = liq.weight.copy(), liq.state(), Twin(liq, rule)
    fired = 0
    for sample in data:
        level, spikes = liq.show(sample[None], rule.law(True), weight, state, True)
        expected, levels = twin.show(sample)
        np.testing.assert_array_equal(spikes[0], expected)
        np.testing.assert_array_equal(level[0], levels)
        np.testing.assert_array_equal(weight, twin.w)
        np.testing.assert_array_equal(state.trace, twin.trace)
        fired += int(expected.sum())
    assert fired > 20
    assert (weight != liq.weight).mean() > 0.2


@pytest.mark.parametrize("kind", ["paper", "leaky", "sparse"])
def test_without_learning_it_is_the_network_of_the_reference(kind: str) -> None:
    """The kernel's step t + 1 is the reference's step t: a spike acts at once and can be answered a step later."""
    network = small(1, kind)
    unit = 2.0**-6 if kind != "paper" else 1.0  # exact, so that the kernel's numbers are the network's
    liq = liquid_of(network, "liquid", unit=unit)
    data = inputs(1, steps=50)
    data = np.concatenate([data, np.zeros((len(data), 1, 12), np.uint8)], 1)
    if kind == "paper":
        data |= inputs(2, steps=51, rate=0.9)
    _, spikes = liq.show(data, Rule().law(False), liq.weight.copy(), liq.state(), True)
    trace = reference.run(network, stimulus(data))
    expected = trace.spikes["liquid"].dense()
    assert expected.sum() > 50
    np.testing.assert_array_equal(spikes[:, 1:], expected[:, :-1])
    assert not spikes[:, 0].any()


@pytest.mark.parametrize("seed", range(4))
def test_signs_and_clips_hold(seed: int) -> None:
    network = small(seed, "sparse")
    rule = Rule(potentiation=2.0, clip=2.5)  # violent, so that the clips are met
    tuned = tune(network, stimulus(inputs(seed)), rule=rule, unit=0.05, steps=None, samples=30)
    old, new = (x.nodes["w_rec"].weight for x in (network, tuned.network))
    moved = tuned.network.nodes["w_in"].weight
    assert np.abs(new).max() <= 2.5 * 0.05 + 1e-15
    assert np.abs(moved).max() <= 2.5 * 0.05 + 1e-15
    assert (new[old > 0] >= 0).all() and (new[old < 0] <= 0).all() and (new[old == 0] == 0).all()
    assert (moved[network.nodes["w_in"].weight == 0] == 0).all()
    assert tuned.after.clipped > 0.05


def test_inputs_may_change_their_sign() -> None:
    network = small(0, "sparse")
    tuned = tune(network, stimulus(inputs(0)), rule=Rule(potentiation=2.0), unit=0.05, steps=None, samples=30)
    old, new = (x.nodes["w_in"].weight for x in (network, tuned.network))
    assert (old * new < 0).any()


def test_a_frozen_astrocyte_is_plain_stdp() -> None:
    """Depression is a constant then: the same as an astrocyte that does not hear any spike."""
    network, data = small(3, "sparse"), stimulus(inputs(3))
    plain = tune(network, data, rule=Rule(frozen=True), steps=None)
    deaf = tune(network, data, rule=Rule(astrocyte_weight=0.0), steps=None)
    moved = tune(network, data, rule=Rule(), steps=None)
    np.testing.assert_array_equal(plain.network.nodes["w_rec"].weight, deaf.network.nodes["w_rec"].weight)
    assert (plain.astrocyte == 0.15).all()
    assert (plain.network.nodes["w_rec"].weight != moved.network.nodes["w_rec"].weight).any()


def test_one_pair_of_spikes_by_hand() -> None:
    """The input fires in step 0 and the neuron answers in step 1, so the trace is 0.1 d, and dw = 0.15 0.1 d."""
    b = NetworkBuilder().input("in", 1).population("liquid", neuron(LIF, 1, tau=10.0, r=10.0, v_threshold=20.0))
    b.add("w", Linear(frozen([[25.0]]))).connect("in", "w").connect("w", "liquid").output("out", "liquid")
    network = b.build(Semantics())
    tuned = tune(network, stimulus(np.array([[[1], [0], [0]]], np.uint8)), rule=Rule(clip=30.0), steps=None)
    assert tuned.network.nodes["w"].weight[0, 0] == 25.0 + 0.15 * (math.exp(-0.1) * 0.1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("threshold", "low", "high"), [(4.0, 1.5, 2.0), (16.0, 0.4, 0.6)])
def test_the_branching_factor_comes_nearer_to_1_from_both_sides(seed: int, threshold: float, low: float, high: float,
                                                                ) -> None:
    topology = Distance(input_density=0.6)
    network = liquid(20, 216, seed=seed, c_in=1.0, c_rec=1.0, threshold=threshold, topology=topology)
    data = stimulus(inputs(seed, samples=150, steps=50, n=20, rate=0.5))
    tuned = tune(network, data, unit=threshold / 20, steps=None, rule=Rule(clip=8.0))
    assert low < tuned.before.branching < high
    assert abs(tuned.after.branching - 1) < 0.5 * abs(tuned.before.branching - 1), tuned.to_text()


def test_it_is_deterministic_by_seed() -> None:
    network, data = small(0, "sparse"), stimulus(inputs(0))
    a, b, c = (tune(network, data, seed=s, steps=None) for s in (1, 1, 2))
    assert a.network.digest() == b.network.digest() != c.network.digest()
    assert a.to_text() == b.to_text()
    assert sorted(a.shown.tolist()) == list(range(6))
    assert len(tune(network, data, samples=15).shown) == 15
    assert any(e.code == "EDGE_OF_CHAOS" for e in a.network.ledger.entries)


def test_branching_factor_by_hand() -> None:
    """Neuron 0 fires at 4, 1 at 5 (twice as many targets), 0 -> 1, 1 -> 2, 1 -> 3."""
    links = np.zeros((4, 4), bool)
    links[0, 1] = links[1, 2] = links[1, 3] = True
    spikes = np.zeros((1, 12, 4))
    spikes[0, 4, 0] = spikes[0, 5, 1] = spikes[0, 6, 2] = spikes[0, 7, 3] = 1
    # 0: 1 after, 0 before (counts as 1); 1: 2 after, 1 before; 2 and 3: 0 after
    assert branching_factor(spikes, links, window=4, margin=0) == pytest.approx((1 + 2 + 0 + 0) / 4)
    assert math.isnan(branching_factor(spikes[:, :6], links, window=4, margin=0))
    assert math.isnan(branching_factor(0 * spikes, links))


def test_kernel_rank() -> None:
    assert kernel_rank([[1, 2], [2, 4], [0, 1]]) == 2


def _faulty(kind: str) -> tuple[Network, dict]:
    b = NetworkBuilder().input("in", 2)
    cell = neuron(CubaLIF if kind == "cuba" else LIF, 2, tau=10.0, r=10.0, v_threshold=1.0)
    b.population("liquid", cell).add("w", Linear(frozen(np.eye(2)), frozen([1.0, 1.0]) if kind == "LIQUID_PATH" else
                                               None))
    b.connect("in", "w").connect("w", "liquid", delay_ticks=3 if kind == "LIQUID_DELAY" else 0).output("o", "liquid")
    sem = Semantics(reset="subtract") if kind == "LIQUID_NEURON" else Semantics()
    return b.build(sem), {"population": "other"} if kind == "NO_LIQUID" else {}


@pytest.mark.parametrize("kind", ["LIQUID_PATH", "LIQUID_DELAY", "LIQUID_NEURON", "NO_LIQUID"])
def test_it_refuses_what_the_rule_does_not_know(kind: str) -> None:
    network, options = _faulty(kind)
    with pytest.raises(HwsdkError) as e:
        tune(network, Stimulus.dense(np.ones((1, 4, 2)), {"in": (2,)}), **options)
    assert e.value.code == kind


def test_it_refuses_graded_input_and_unknown_neurons() -> None:
    network = small(0, "leaky")
    with pytest.raises(HwsdkError, match="GRADED_INPUT"):
        tune(network, stimulus(2 * inputs(0)))
    with pytest.raises(HwsdkError, match="BAD_OPTION"):
        tune(network, stimulus(inputs(0)), neurons="other")


def test_other_parts_of_the_network_stay() -> None:
    network = small(0, "leaky")
    tuned = tune(network, stimulus(inputs(0)))
    same = {n for n in network.nodes if network.nodes[n] is tuned.network.nodes[n]}
    assert same == {"in", "liquid", "out"}
    assert dataclasses.replace(tuned.before) == tune(network, stimulus(inputs(0))).before
    assert (liquid_of(network, "liquid").wires.kind == INPUT).sum() == 12 * 40
