"""The convolutional network of the NIR paper on crossbar tiles, with its recordings of N-MNIST."""

from __future__ import annotations

import numpy as np
import pytest
from test_corpus_on_chip import load

import hwsdk
from hwsdk.backends.verify import decisions
from hwsdk.ir.data import Stimulus

STEPS = 314


def frames(path, samples):
    """Labelled binary frames of 1 ms of the first samples of a file."""
    with np.load(path) as z:
        out = np.zeros((samples, STEPS, 2, 34, 34), np.uint8)
        for i in range(samples):
            own = slice(z["offset"][i], z["offset"][i + 1])
            t = np.cumsum(z["dt_us"][own].astype(np.int64))
            t = (t - t[0]) // 1000
            keep = t < STEPS
            out[i, t[keep], z["p"][own][keep], z["y"][own][keep], z["x"][own][keep]] = 1
        return Stimulus.dense(out, {"input": (2, 34, 34)}, z["label"][:samples].astype(np.int64))


@pytest.fixture(scope="module")
def model(corpus):
    network = load(corpus, "nir_paper/cnn_sinabs.nir", dt=1.0, reset="value")
    calibration = frames(corpus / "nmnist" / "nmnist_train300.npz", 4)
    return network, calibration, frames(corpus / "nmnist" / "nmnist_test_0_49.npz", 50)


def accuracy(model, **options):
    network, calibration, data = model
    program = hwsdk.compile(network, "memristor", data=calibration, target_options=options)
    return float(np.mean(decisions(hwsdk.simulate(program, data, threads=2), "output", STEPS) == data.labels)), program


def test_on_two_macros_with_wires_and_converters_it_is_right(model):
    """50 of 50 in float; 6-bit converters and gated wires may cost a sample."""
    found, program = accuracy(model)
    assert program.macros == 2
    assert {b.uses for b in program.blocks} >= {256, 64}  # kernels are read at every position
    assert found >= 0.98


def test_noise_of_writing_costs_accuracy(model):
    assert 0.86 <= accuracy(model, write=0.05, wires="off")[0] <= 1.0
    assert accuracy(model, write=0.3, wires="off")[0] < 0.6


@pytest.mark.slow
def test_as_toeplitz_matrices_it_computes_the_same(model):
    """Every synapse with a cell of its own, without wires: the same decisions on more macros."""
    kernels = accuracy(model, wires="off", adc="off")
    written_out = accuracy(model, wires="off", adc="off", conv="toeplitz", scale="matrix")
    assert kernels[0] == written_out[0] == 1.0
    assert written_out[1].macros > kernels[1].macros
