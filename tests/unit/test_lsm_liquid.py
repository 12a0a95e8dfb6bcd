"""Liquids as networks: their weights, their neuron, their wirings."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hwsdk.errors import ModelError
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Linear, Synapses
from hwsdk.lsm import preset
from hwsdk.lsm.encode import stimulus
from hwsdk.lsm.liquid import DT, liquid, membrane, network_of, recurrence
from hwsdk.lsm.topology import Dense, Distance, Gaussian, Native, Sparse, Wiring, kinds, wiring
from hwsdk.mappers.lower import Lower
from hwsdk.simulators import reference


def test_nothing_heavy_is_loaded() -> None:
    code = "import sys, hwsdk.lsm; assert 'ridge' in hwsdk.lsm.__all__; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import hwsdk.lsm as m; assert all(callable(getattr(m, n)) for n in m.__all__)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.8, 0.9, 0.95, 0.97, 0.99])
def test_decay_and_gain_are_exact(decay: float) -> None:
    tau, r = membrane(decay)
    assert (1 - DT / tau, DT / tau * r) == (decay, 1.0)


def test_every_decay_has_a_gain_of_one() -> None:
    for decay in np.random.default_rng(0).random(500):
        tau, r = membrane(float(decay))
        assert DT / tau * r == 1
        assert abs(1 - DT / tau - decay) < 2e-15
    assert membrane(0.9) == (0.01, 10.0)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_decays_that_no_membrane_has(decay: float) -> None:
    with pytest.raises(ModelError, match="OUT_OF_RANGE"):
        membrane(decay)


def test_weights_are_those_of_the_seed_and_stay_as_they_are() -> None:
    rng = np.random.default_rng(107)
    w_in = rng.standard_normal((5, 30))
    w_rec = rng.standard_normal((30, 30))
    np.fill_diagonal(w_rec, 0)
    network = liquid(5, 30, seed=7, c_in=0.15)
    nodes = [network.nodes[n] for n in ("w_in", "w_rec")]
    assert isinstance(nodes[0], Linear) and isinstance(nodes[1], Linear)
    assert (nodes[0].weight == (0.15 * w_in).T).all()
    assert (nodes[1].weight == (0.05 * np.sqrt(256 / 30) * w_rec).T).all()
    lowered = Lower(min_delay=1)(network)
    cell = lowered.populations["liquid"]
    assert isinstance(cell, DiscreteLIF)
    assert (cell.decay_v == 0.9).all() and (cell.v_threshold == 1).all() and not cell.decay_u.any()
    found = lowered.nodes["in->liquid:w_in"]
    assert isinstance(found, Synapses)
    assert (found.weight == (0.15 * w_in)[found.source, found.target]).all()


def test_spikes_are_those_of_the_formula() -> None:
    """V = 0.9 V (1 - s) + c_in W_in x + c_rec W_rec s, s = V > threshold; sums of dyadic weights are exact."""
    rng = np.random.default_rng(4)
    drawn = Wiring(rng.integers(-8, 9, (6, 20)) / 16, rng.integers(-8, 9, (20, 20)) / 32)
    x = (rng.random((3, 40, 6)) < 0.4).astype(float)
    trace = reference.run(network_of(drawn, threshold=0.75), stimulus(x))
    v, s = np.zeros((3, 20)), np.zeros((3, 20))
    raster = np.zeros((3, 40, 20))
    for t in range(40):
        v = 0.9 * v * (1 - s) + (x[:, t] @ drawn.w_in + s @ drawn.w_rec)
        s = (v > 0.75).astype(float)
        raster[:, t] = s
    assert 0.02 < raster.mean() < 0.9
    assert (trace.spikes["liquid"].dense() == raster).all()
    assert (trace.spikes["out"].dense() == raster).all()


def test_recurrence_keeps_the_size_of_the_sum() -> None:
    assert recurrence(256) == 0.05
    assert recurrence(1024) * np.sqrt(1024) == pytest.approx(recurrence(64) * np.sqrt(64))


def test_sparse_neurons_excite_or_inhibit() -> None:
    drawn = wiring(40, 300, 0, Sparse(0.2, 0.3, 0.8))
    excites = drawn.excitatory
    assert excites is not None and excites.sum() == 240
    assert (drawn.w_rec[excites] >= 0).all() and (drawn.w_rec[~excites] <= 0).all()
    assert np.mean(drawn.w_rec != 0) == pytest.approx(0.2, abs=0.006)
    assert np.mean(drawn.w_in != 0) == pytest.approx(0.3, abs=0.02)
    assert not drawn.w_rec.diagonal().any()
    assert 0.4 < np.mean(drawn.w_in[drawn.w_in != 0] > 0) < 0.6
    free = wiring(40, 300, 0, Sparse(0.2, 0.3, None))
    assert free.excitatory is None
    assert 0.45 < np.mean(free.w_rec[free.w_rec != 0] > 0) < 0.55
    with pytest.raises(ModelError, match=r"density is 1\.5"):
        wiring(4, 4, 0, Sparse(1.5))


def test_distance_rule() -> None:
    rule = Distance()
    at = rule.positions(1000)
    assert at[[0, 1, 10, 100, 999]].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]]
    excites = np.ones(1000, bool)
    excites[1] = False
    p = rule.probability(excites)
    near = np.exp(-1 / 9)
    assert p[0, 2] == pytest.approx(0.2 * np.exp(-4 / 9))
    assert (p[0, 1], p[1, 0], p[0, 10], p[0, 0]) == pytest.approx((0.1 * near, 0.3 * near, 0.2 * near, 0))
    excites[2] = False
    assert rule.probability(excites)[1, 2] == pytest.approx(0.05 * near)
    drawn = wiring(50, 1000, 1, rule)
    expected = rule.probability(drawn.excitatory)  # type: ignore[arg-type]
    deviation = np.sqrt((expected * (1 - expected)).sum())
    assert abs((drawn.w_rec != 0).sum() - expected.sum()) < 4 * deviation
    assert set(np.unique(drawn.w_rec)) == {-1, 0, 1} == set(np.unique(drawn.w_in))
    with pytest.raises(ModelError, match="a grid of"):
        wiring(4, 10, 0, Distance(grid=(3, 3, 1)))


def test_kinds_are_exact_in_number_and_at_random_places() -> None:
    found = kinds(100, 0.8, np.random.default_rng(0))
    assert found.sum() == 80
    assert not found[:80].all()


def test_native_weights_are_pairs_of_measured_cells() -> None:
    """Mean 0, deviation 8.9 uS, 25 % exact zeros, as the measured statistics give."""
    rule = Native()
    pairs = rule.pairs((400, 400), np.random.default_rng(0))
    assert rule.deviation == pytest.approx(8.9e-6, rel=0.005)
    assert pairs.std() == pytest.approx(rule.deviation, rel=0.01)
    assert abs(pairs.mean()) < 4 * rule.deviation / 400
    assert np.mean(pairs == 0) == pytest.approx(0.497**2, abs=0.005)
    drawn = wiring(64, 256, 0, rule)
    assert drawn.w_in.std() == pytest.approx(1, rel=0.03)


def test_gaussian_and_sizes() -> None:
    drawn = wiring(200, 200, 0, Gaussian(1.0, 0.1, -2.0, 0.5))
    assert drawn.w_in.mean() == pytest.approx(1, abs=0.01) and drawn.w_in.std() == pytest.approx(0.1, rel=0.05)
    off = drawn.w_rec[~np.eye(200, dtype=bool)]
    assert off.mean() == pytest.approx(-2, abs=0.02) and off.std() == pytest.approx(0.5, rel=0.05)
    assert (wiring(3, 4, 5).w_rec == wiring(3, 4, 5, Dense()).w_rec).all()
    with pytest.raises(ModelError, match="BAD_SHAPE"):
        wiring(0, 4, 0)


def test_presets_have_the_published_parameters() -> None:
    audio = preset("ntidigits")
    assert (audio.n_inputs, audio.n, audio.steps, audio.decay, audio.threshold) == (64, 200, 129, 0.97, 5.3)
    network = audio.network()
    weight = network.nodes["w_in"].weight  # type: ignore[attr-defined]
    assert weight.shape == (200, 64)
    assert weight.std() == pytest.approx(0.08 * 6.61329, rel=0.03)
    assert preset("nmnist").network(n=50, seed=1).populations["liquid"].n == 50
    with pytest.raises(ModelError, match="NO_SUCH_PRESET"):
        preset("cifar")
