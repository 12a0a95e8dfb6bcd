"""StoredPairSTDP: integer weights, float32 traces, tables of exp, a history of limited length."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import Any

import numpy as np
import pytest

from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.plastic import PlasticSynapses, StoredPairSTDP, decay_table
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF
from hwsdk.simulators import reference

F = np.float32
RULE = StoredPairSTDP(tau_plus=4.0, tau_minus=5.0, a_plus=200.7, a_minus=150.1, w_min=3, w_max=1000)
FORCE = 30000


def pair(n_pre: int = 1, n_post: int = 1, delay: Any = 1, weight: Any = 500.0, rule: StoredPairSTDP = RULE) -> Network:
    """Pre spikes as given; post neurons that fire when the second input says so, in the same step."""
    forced = neuron(SingleLIF, n_post, decay_u=0.0, decay_v=0.0, v_threshold=FORCE - 1.0)
    b = NetworkBuilder().input("pre", n_pre).input("drive", n_post).population("post", forced)
    b.connect("drive", "post", weight=FORCE, delay_ticks=0)
    b.connect("pre", "post", weight=np.full((n_post, n_pre), weight), delay_ticks=delay, plasticity=rule, name="w")
    return b.output("x", "w").build(Semantics())


def run(network: Network, pre: Any, post: Any) -> tuple[Any, Any]:
    """(weights (samples, steps, synapses), what arrives) for rasters (samples, steps, n)."""
    data = Stimulus.dense({"pre": pre.astype(float), "drive": post.astype(float)},
                          {"pre": pre.shape[2:], "drive": post.shape[2:]})
    trace = reference.run(network, data, probes="all")
    assert (trace.spikes["post"].dense() == post).all()
    return trace.states["w", "weight"], trace.spikes["x"].dense(dtype=np.float64)


def raster(times: list[int], steps: int) -> Any:
    return np.isin(np.arange(steps), times)[None, :, None]


def e(steps: int, tau: float) -> np.float32:
    """An entry of the table, from its definition."""
    value = exp(-steps / tau)
    return F(value) if value >= 2**-24 else F(0)


def literal(rule: StoredPairSTDP, node: PlasticSynapses, pre: Any, post: Any) -> Any:
    """The rule from its docstring, one synapse after the other and over all of its pre spikes: (steps, synapses)."""
    out = np.zeros((len(pre), len(node.weight)))
    for k, (i, j, d) in enumerate(zip(node.source, node.target, node.delay_ticks, strict=True)):
        w, x, last = F(node.weight[k]), F(0), 0
        y, before, known = F(0), 0, []
        for t in range(len(pre)):
            if post[t, j]:
                y = F(F(y * e(t - before, rule.tau_minus)) + F(1))
                before = t
                known.append((t, y))
            if pre[t, i]:
                seen = [p for p in known if p[0] < t][1 - rule.history :]
                for t_post, _ in seen:
                    if max(last - d, 0) < t_post <= t - d:
                        up = F(F(F(rule.a_plus) * x) * e(t_post + d - last, rule.tau_plus))
                        w = min(F(rule.w_max), F(w + up))
                if past := [p for p in seen if 0 < p[0] <= t - d]:
                    down = F(F(F(rule.a_minus) * past[-1][1]) * e(t - d - past[-1][0], rule.tau_minus))
                    w = max(F(rule.w_min), F(w - down))
                w = F(np.rint(w))
                x, last = F(F(x * e(t - last, rule.tau_plus)) + F(1)), t
            out[t, k] = w
    return out


def test_one_change_by_hand() -> None:
    weights, arrived = run(pair(), raster([3, 20], 25), raster([5], 25))
    up = F(500) + F(F(200.7) * F(1)) * e(5 + 1 - 3, 4)
    down = up - F(F(150.1) * F(1)) * e(20 - 6, 5)
    expected = [500.0] * 20 + [float(np.rint(down))] * 5
    assert weights[0, :, 0].tolist() == expected
    assert down % 1
    assert np.flatnonzero(arrived[0]).tolist() == [4, 21]
    assert arrived[0, 21, 0] == expected[-1]


@pytest.mark.parametrize("seed", range(10))
def test_the_learner_is_the_docstring(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_pre, n_post, steps = 4, 3, 60
    low = int(rng.integers(0, 50))
    tau = rng.uniform(0.8, 9)
    rule = StoredPairSTDP(tau, tau, rng.uniform(60, 99), rng.uniform(30, 60), low, low + int(rng.integers(100, 2000)),
                          int(rng.integers(2, 6)) if seed % 2 else 16)
    network = pair(n_pre, n_post, rng.integers(1, 6, (n_post, n_pre)), float(low + 90), rule)
    node = network.nodes["w"]
    assert isinstance(node, PlasticSynapses)
    pre, post = (rng.random((2, steps, n)) < 0.3 for n in (n_pre, n_post))
    weights, _ = run(network, pre, post)
    for sample in range(2):
        np.testing.assert_array_equal(weights[sample], literal(rule, node, pre[sample], post[sample]))
    assert (weights % 1 == 0).all()
    assert len(np.unique(weights)) > 8


def test_an_old_post_spike_is_forgotten() -> None:
    pre, post = raster([2, 30], 32), raster([5, 9, 13], 32)
    ended = [float(run(pair(rule=replace(RULE, history=h)), pre, post)[0][0, -1, 0]) for h in (2, 3, 4, 16)]
    assert ended[0] < ended[1] < ended[2] == ended[3]


def test_halves_go_to_the_even_number() -> None:
    def ended(amplitude: float) -> float:
        rule = StoredPairSTDP(1e-3, 1e-3, 0, amplitude, 0, 1000)
        return float(run(pair(rule=rule, weight=10.0), raster([6], 8), raster([5], 8))[0][0, -1, 0])

    assert [ended(a) for a in (0.5, 1.5, 2.5, 0.49, 0.51, 11.0)] == [10.0, 8.0, 8.0, 10.0, 9.0, 0.0]


@pytest.mark.parametrize("tau", [0.01, 0.5, 3.0, 20.0, 4096.0])
def test_the_table(tau: float) -> None:
    table = decay_table(tau)
    assert table.dtype == np.float32
    assert table[0] == 1
    assert table.tolist() == [float(F(exp(-d / tau))) for d in range(len(table))]
    assert exp(-(len(table) - 1) / tau) >= 2**-24 > exp(-len(table) / tau)
