"""The L2MU of examples/l2mu_braille.py: spikes of the cell written out in NumPy, and the accuracies found for it.

Weights and samples: github.com/neuromorphic-polito/L2MU-Braille at 72344f68 (NICE 2025, doi
10.1109/NICE65350.2025.11065250), repacked in the corpus. Its README states the accuracy for each width of the weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples import l2mu_braille
from hwsdk.ir.data import Stimulus
from hwsdk.ir.nodes import Conv, ConvSynapses
from hwsdk.ir.trace import Trace
from hwsdk.mappers.lower import Lower
from hwsdk.simulators import reference

STAGES = ("u", "m", "h", "out")


@pytest.fixture(scope="module")
def folder(corpus: Path) -> Path:
    return corpus / "l2mu_braille"


@pytest.fixture(scope="module")
def model(folder: Path) -> tuple:
    return l2mu_braille.load(folder)


@pytest.fixture(scope="module")
def few(folder: Path) -> Stimulus:
    return l2mu_braille.samples(folder, 3)


class Cell:
    """The equations of the corpus, one step at a time."""

    def __init__(self, weights: dict, params: dict, n_samples: int, dtype: type) -> None:
        self.w = {name: w.astype(dtype) for name, w in weights.items()}
        self.beta = {k: dtype(np.clip(b, 0, 1)) for k, b in params["beta"].items()}
        self.theta = {k: dtype(t) for k, t in params["threshold"].items()}
        sizes = {"u": 70, "m": 490, "h": 120, "out": 7}
        self.v = {k: np.zeros((n_samples, n), dtype) for k, n in sizes.items()}
        self.z = {k: np.zeros((n_samples, n), dtype) for k, n in sizes.items()}

    def leaky(self, name: str, current: np.ndarray) -> None:
        late = self.v[name] > self.theta[name]
        self.v[name] = self.beta[name] * self.v[name] + current - late * self.theta[name]
        self.z[name] = (self.v[name] > self.theta[name]).astype(current.dtype)

    def step(self, x: np.ndarray) -> dict[str, np.ndarray]:
        w, z = self.w, self.z
        self.leaky("u", x @ w["e_x"].T + z["h"] @ w["e_h"].T + z["m"] @ w["e_m"].T)
        memory = z["m"].reshape(-1, 70, 7) @ w["A"].T + z["u"][:, :, None] * w["B"][:, 0]
        self.leaky("m", memory.reshape(-1, 490))
        self.leaky("h", x @ w["W_x"].T + z["h"] @ w["W_h"].T + z["m"] @ w["W_m"].T)
        self.leaky("out", z["h"] @ w["W_out"].T + w["b_out"])
        return {"out": z["out"], "h": z["h"], "u": z["u"],
                "m": z["m"].reshape(-1, 70, 7).swapaxes(1, 2).reshape(-1, 490)}


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_spike_is_that_of_the_cell(model: tuple, few: Stimulus, precision: str):
    weights, params = model
    trace = reference.run(l2mu_braille.network(weights, params, precision), few)
    cell = Cell(weights, params, few.n_samples, np.dtype(precision).type)
    x = few.inputs["input"].dense(dtype=precision)
    expected = [cell.step(x[:, t]) for t in range(few.n_steps)]
    for name in STAGES:
        assert (trace.spikes[name].dense() == np.stack([e[name] for e in expected], 1)).all(), name
        assert len(trace.spikes[name])


def run_all(model: tuple, folder: Path, bits: int | None = None) -> tuple[Stimulus, Trace, int]:
    """(all samples, a run, how many classes are right)."""
    weights, params = model
    weights = weights if bits is None else l2mu_braille.rounded(weights, bits)
    data = l2mu_braille.samples(folder)
    trace = reference.run(l2mu_braille.network(weights, params, "float32"), data)
    return data, trace, round(l2mu_braille.accuracy(trace, data) * data.n_samples)


def test_accuracy_and_activity_in_floats(model: tuple, folder: Path):
    data, trace, right = run_all(model, folder)
    assert right == 278
    per_step = {n: len(trace.spikes[n]) / (data.n_samples * data.n_steps) for n in STAGES}
    assert per_step == pytest.approx({"u": 13.167, "m": 11.768, "h": 2.931, "out": 1.096}, abs=1e-3)


@pytest.mark.parametrize(("bits", "right"), [
    (4, 227), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((5, 272), (6, 276), (8, 278)))])
def test_accuracy_with_rounded_weights(model: tuple, folder: Path, bits: int, right: int):
    assert run_all(model, folder, bits)[2] == right


def test_units_share_one_memory(model: tuple):
    network = l2mu_braille.network(*model)
    kernels = {n: k.parameters() for n, k in network.of(Conv, ConvSynapses).items()}
    assert kernels == {"m->m": 49, "u->m": 7}


def test_without_delays_between_populations_lowering_keeps_every_spike(model: tuple, few: Stimulus):
    network = l2mu_braille.network(*model)
    lowered = Lower(min_delay=0)(network)
    assert lowered.is_discrete
    assert reference.run(network, few).first_difference(reference.run(lowered, few), STAGES) is None
