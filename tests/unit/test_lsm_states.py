"""The fast run of a liquid: the reference's spikes, whatever the neurons, wirings and inputs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LI, LIF, CubaLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.lsm.encode import stimulus
from hwsdk.lsm.features import counts, features, input_features, window_of
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.states import states
from hwsdk.lsm.topology import Dense, Distance, Sparse, Topology
from hwsdk.mappers.lower import Lower
from hwsdk.simulators import kernels_liquid, reference


def spikes(samples: int, steps: int, n: int, seed: int = 0, density: float = 0.3) -> Stimulus:
    return stimulus(np.random.default_rng(seed).random((samples, steps, n)) < density)


def raster(network: Network, data: Stimulus) -> np.ndarray:
    """(samples, steps * n) of the reference on the lowered network."""
    trace = reference.run(Lower(min_delay=1)(network), data)
    return features(trace, "liquid", data.n_steps, data.n_steps)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("topology", [Dense(), Sparse(0.05, 0.05), Distance()], ids=["dense", "sparse", "distance"])
def test_every_spike_is_the_references(topology: Topology, seed: int) -> None:
    network = liquid(12, 60, seed=seed, c_in=0.35, topology=topology, decay=0.9)
    data = spikes(5, 40, 12, seed)
    expected = raster(network, data)
    assert expected.sum() > 50
    assert (states(network, data, windows=40) == expected).all()
    assert (states(Lower(min_delay=1)(network), data, windows=40) == expected).all()


def odd_liquid(seed: int, **semantics: Any) -> Network:
    """Other thresholds, leaks and resets a neuron, biases, refractory times, a resting potential, initial states."""
    rng = np.random.default_rng(seed)
    n = 20
    at = NetworkBuilder("odd").input("in", 8)
    rest = semantics.get("reset") != "subtract"
    at.population("liquid", neuron(
        LIF, n, tau=rng.uniform(2, 20, n), r=rng.uniform(0.5, 3, n), v_leak=rng.uniform(-0.3, 0.3, n),
        v_threshold=rng.uniform(0.5, 1, n), v_reset=rng.uniform(-0.2, 0.1, n),
        t_refrac=rng.integers(0, 4, n) if rest else np.zeros(n)))
    at.connect("in", "liquid", weight=rng.normal(0.5, 2, (n, 8)) * (rng.random((n, 8)) < rng.choice([0.06, 1.0])))
    at.connect("liquid", "liquid", weight=rng.normal(0, 0.6, (n, n)), delay_ticks=1)
    return at.output("out", "liquid").build(Semantics(**semantics))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("semantics", [
    {}, {"reset": "subtract"}, {"comparison": ">="}, {"integrator": "exponential", "initial": "leak"},
], ids=["value", "subtract", "at-equal", "exponential"])
def test_any_neuron_that_lowers_to_one_step(semantics: dict, seed: int) -> None:
    network = odd_liquid(seed, **semantics)
    values = np.random.default_rng(seed).integers(0, 3, (3, 50, 8))
    expected = raster(network, stimulus(values))
    assert expected.sum() > 50
    assert (states(network, stimulus(values), windows=50) == expected).all()


def test_float32_and_several_inputs_with_exact_sums() -> None:
    """Weights of few bits and a decay of 1/2 make every sum exact, in any order and in either precision."""
    rng = np.random.default_rng(2)
    at = NetworkBuilder("two").input("z", 5).input("a", 3).population(
        "liquid", neuron(LIF, 16, tau=2.0, r=2.0, v_threshold=0.5))
    at.connect("z", "liquid", weight=rng.integers(-4, 6, (16, 5)) / 16)
    at.connect("a", "liquid", weight=rng.integers(-4, 6, (16, 3)) / 16)
    at.connect("liquid", "liquid", weight=rng.integers(-2, 3, (16, 16)) / 16, delay_ticks=1)
    network = at.output("out", "liquid").build(Semantics())
    data = Stimulus({"z": spikes(4, 15, 5).inputs["in"], "a": spikes(4, 15, 3, 9).inputs["in"]})
    expected = raster(network, data)
    assert 20 < expected.sum() < 0.9 * expected.size
    for dtype in (np.float32, np.float64):
        assert (states(network, data, windows=15, dtype=dtype) == expected).all()


def test_windows_and_threads() -> None:
    network = liquid(6, 30, c_in=0.5)
    data = spikes(7, 23, 6)
    fine = states(network, data, windows=23).reshape(7, 23, 30)
    for windows in (1, 2, 5, 23):
        cuts = [k * 23 // windows for k in range(windows)] + [23]
        expected = np.stack([fine[:, a:b].sum(axis=1) for a, b in pairwise(cuts)], axis=1)
        assert (states(network, data, windows=windows, threads=3) == expected.reshape(7, -1)).all()
        assert (states(network, data, windows=windows) == expected.reshape(7, -1)).all()


def test_windows_are_equal_and_cover_all_steps() -> None:
    assert window_of(10, 4).tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]
    assert window_of(3, 3).tolist() == [0, 1, 2]
    for steps in range(1, 40):
        for windows in range(1, steps + 1):
            lengths = np.bincount(window_of(steps, windows), minlength=windows)
            assert len(lengths) == windows
            assert lengths.max() - lengths.min() <= 1 and lengths.sum() == steps
    for bad in (0, 11):
        with pytest.raises(DataError, match="OUT_OF_RANGE"):
            window_of(10, bad)


def test_features_of_a_trace_follow_its_lag_and_values() -> None:
    network = liquid(6, 30, c_in=0.5)
    data = spikes(3, 20, 6)
    plain, late = reference.run(network, data), reference.run(Lower(min_delay=1)(network), data)
    assert late.lag["liquid"] == 1 and plain.lag.get("liquid", 0) == 0
    assert (features(plain, "liquid", 4, 20) == features(late, "liquid", 4, 20)).all()
    assert features(plain, "liquid", 4, 20).sum() == plain.spikes["liquid"].values().sum()
    with pytest.raises(DataError, match="NO_SUCH_POPULATION"):
        features(plain, "pond", 4, 20)
    graded = stimulus(np.arange(24).reshape(1, 6, 4))
    assert counts(graded.inputs["in"], 2).tolist() == [[12, 15, 18, 21, 48, 51, 54, 57]]
    two = Stimulus({"a": graded.inputs["in"], "b": graded.inputs["in"]})
    assert input_features(two, 2).shape == (1, 16)


def test_no_spikes_and_no_recurrence() -> None:
    network = liquid(4, 10, c_rec=0.0)
    assert not states(network, stimulus(np.zeros((2, 5, 4)))).any()
    data = spikes(2, 30, 4, density=0.9)
    assert (states(network, data, windows=30) == raster(network, data)).all()


def one_population(node: Any, delay: Any = 1) -> Network:
    at = NetworkBuilder("no").input("in", 3).population("liquid", node)
    at.connect("in", "liquid", weight=np.ones((node.n, 3)))
    if delay is not None:
        at.connect("liquid", "liquid", weight=np.ones((node.n, node.n)), delay_ticks=delay)
    return at.output("out", "liquid").build(Semantics())


LEAKY = neuron(LIF, 4, tau=10.0, v_threshold=1.0)


@pytest.mark.parametrize(("network", "what"), [
    (one_population(LEAKY, 2), "drives itself 2 steps later"),
    (one_population(LEAKY, np.array([1, 1, 1, 2] * 4).reshape(4, 4)), "delays of 1 to 2 steps"),
    (one_population(neuron(CubaLIF, 4, tau_syn=5.0, tau_mem=5.0, v_threshold=1.0)), "synaptic current"),
    (one_population(neuron(LI, 4, tau=10.0), None), "does not spike"),
], ids=["late", "delays", "current", "silent"])
def test_networks_that_are_no_liquid(network: Network, what: str) -> None:
    with pytest.raises(UnsupportedError, match=what) as error:
        states(network, spikes(1, 5, 3))
    assert error.value.code == "NOT_A_LIQUID"


def test_two_populations_and_wrong_data() -> None:
    at = NetworkBuilder("two").input("in", 3).population("a", LEAKY).population("b", LEAKY)
    at.connect("in", "a", weight=np.ones((4, 3))).connect("a", "b", weight=np.ones((4, 4)))
    with pytest.raises(UnsupportedError, match="2 populations"):
        states(at.output("out", "b").build(Semantics()), spikes(1, 5, 3))
    with pytest.raises(DataError, match="SHAPE_MISMATCH"):
        states(liquid(4, 10), spikes(1, 5, 3))


def twin(x: np.ndarray, w_in: np.ndarray, w_rec: np.ndarray, cells: Any, at_equal: bool, to_zero: bool) -> np.ndarray:
    """The kernel in plain NumPy: (steps, inputs) -> (steps, n) spikes."""
    v, left = cells.start.copy(), np.zeros(len(cells.start), np.int64)
    z, out = np.zeros(len(v), bool), []
    for row in x:
        a, b = np.zeros(len(v)), np.zeros(len(v))
        for j in np.flatnonzero(row):
            a = a + row[j] * w_in[j]
        for j in np.flatnonzero(z):
            b = b + w_rec[j]
        new = cells.decay * v + (a + b) + cells.bias
        idle = left > 0
        z = ~idle & ((new >= cells.threshold) if at_equal else (new > cells.threshold))
        reset = 0.0 if to_zero else new - cells.reset_by
        v = np.where(idle, v, np.where(z, reset, new))
        left = np.where(idle, left - 1, np.where(z, cells.rests, 0))
        out.append(z)
    return np.array(out)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("at_equal", [True, False])
@pytest.mark.parametrize("to_zero", [True, False])
def test_the_kernel_is_its_twin(full: bool, at_equal: bool, to_zero: bool) -> None:
    rng = np.random.default_rng(5)
    n, m, steps = 12, 5, 60
    x = rng.integers(-1, 3, (steps, m)).astype(float)
    w_in, w_rec = rng.integers(-4, 5, (m, n)) / 8, rng.integers(-4, 5, (n, n)) / 8
    cells = kernels_liquid.Cells(rng.choice([0.5, 1.0], n), rng.integers(-1, 2, n) / 8, rng.integers(4, 9, n) / 8,
                                 rng.integers(2, 9, n) / 8, rng.integers(0, 4, n) / 8, rng.integers(0, 3, n))
    step, element = np.nonzero(x)
    drive = kernels_liquid.Drive(np.concatenate([[0], np.cumsum(np.bincount(step, minlength=steps))]), element,
                                 x[step, element])
    out = np.zeros((1, steps, n), np.int32)
    kernels_liquid.count(drive, rows(w_in, full), rows(w_rec, full), cells, at_equal, to_zero, np.arange(steps), 0, out)
    expected = twin(x, w_in, w_rec, cells, at_equal, to_zero)
    assert 50 < expected.sum() < 0.8 * expected.size
    assert (out[0] == expected).all()


def rows(w: np.ndarray, full: bool) -> kernels_liquid.Rows:
    """Weights (source, target) in either form."""
    if full:
        return kernels_liquid.Rows(np.arange(len(w) + 1) * w.shape[1], np.zeros(0, np.int64), w.ravel(), True)
    source, target = np.nonzero(w)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=len(w)))])
    return kernels_liquid.Rows(ptr, target, w[source, target], False)
