"""Random layers: whole numbers come out as they went in, and no decision changes whose sum is farther off than told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize_pulse import QuantizePulse, choose_styles
from hwsdk.simulators import reference


def layer(rng: np.random.Generator, weight: np.ndarray, **cell: object) -> Network:
    n, m = weight.shape
    b = NetworkBuilder().input("in", m)
    b.population("p", neuron(DiscreteLIF, n, **{"decay_u": 0.0, "decay_v": 0.0, "reset_by": 0.0, **cell}))
    return Lower()(b.connect("in", "p", weight=weight, delay_ticks=int(rng.integers(1, 3))).output("o", "p").build(
        Semantics()))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 10), st.sampled_from([">", ">="]), st.booleans(), st.booleans())
def test_whole_numbers_come_out_as_they_went_in(seed: int, bits: int, comparison: str, per_neuron: bool,
                                                memory: bool) -> None:
    rng = np.random.default_rng(seed)
    n, m, limit = *rng.integers(1, 6, 2).tolist(), 2 ** (bits - 1) - 1
    values = {f: rng.integers(-9, 9, n).astype(float) for f in ("bias", "v_threshold", "reset_by", "v_start")}
    values |= {} if memory else {"reset_by": 0.0, "v_start": 0.0}
    weight = rng.integers(-limit, limit + 1, (n, m)).astype(float)
    assume(weight.any())  # else there is no projection
    net = layer(rng, weight, **values, comparison=comparison, decay_v=float(memory),
                reset="subtract" if memory else "value")
    done, report = QuantizePulse(choose_styles(net), bits=bits, per_neuron=per_neuron)(net)
    before, after = net.nodes["p"], done.nodes["p"]
    assert isinstance(before, DiscreteLIF) and isinstance(after, DiscreteLIF)
    for field in ("bias", "reset_by", "v_init", "decay_v"):
        assert getattr(after, field).tolist() == getattr(before, field).tolist(), field
    assert (after.v_threshold - before.v_threshold).tolist() == [float(comparison == ">")] * n
    s, t = net.nodes["in->p"], done.nodes["in->p"]
    assert isinstance(s, Synapses) and isinstance(t, Synapses)
    assert (s.source.tolist(), s.target.tolist(), s.weight.tolist()) == (t.source.tolist(), t.target.tolist(),
                                                                        t.weight.tolist())
    assert report.layers[0].exact


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.booleans())
def test_decisions_with_enough_margin_stay(seed: int, bits: int, per_neuron: bool) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 12, 2).tolist()
    weight = rng.normal(0, 1, (n, m)) * rng.choice([0.1, 1, 30]) * (rng.random((n, m)) < 0.8)
    bias, theta = rng.normal(0, 0.5, n), rng.normal(0, 1, n)
    assume(weight.any())
    net = layer(rng, weight, bias=bias, v_threshold=theta)
    done, report = QuantizePulse(choose_styles(net), bits=bits, per_neuron=per_neuron)(net)
    x = (rng.random((3, 25, m)) < 0.5).astype(float)
    stimulus = Stimulus.dense({"in": x}, {"in": (m,)})
    before, after = (reference.run(k, stimulus, steps=25, probes=[("p", "v")]) for k in (net, done))
    s = net.nodes["in->p"]
    assert isinstance(s, Synapses)
    late = int(s.delay_ticks.max(initial=1))
    drive = np.zeros((3, 25, n))
    drive[:, late:] = x[:, :-late] @ weight.T
    margin = np.abs(drive + bias - theta)
    sure = margin > report.layers[0].bound
    a, b = (t.spikes["p"].dense() for t in (before, after))
    assert (a[sure] == b[sure]).all()


@pytest.mark.parametrize("q", [1, 2, 3, 5, 7, 12])
def test_fractions_with_one_denominator_are_exact(q: int) -> None:
    rng = np.random.default_rng(q)
    whole = rng.integers(-7, 8, (4, 6)).astype(float)
    net = layer(rng, whole / q, v_threshold=rng.integers(-9, 9, 4) / q)
    _, report = QuantizePulse(choose_styles(net), bits=4)(net)
    assert report.layers[0].exact
