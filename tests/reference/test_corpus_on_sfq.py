"""Real models and data on the simulator of SFQ netlists: spike for spike, or refused by name, early, with a way out."""

from __future__ import annotations

import dataclasses
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LIF, CubaLIF
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import reference

SECONDS = 20
"""Within which every file is refused; it takes about one, and took eighty before synapses were counted first."""
ONE_SPIKE: dict[str, Any] = {"preset": "sinabs", "spikes": "single"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "exported/norse_li.nir": ({"preset": "norse"}, "NOT_FIRING"),
    "exported/sinabs_mlp_if.nir": ({"preset": "sinabs"}, "MULTIPLE_SPIKES"),
    "exported/snntorch_mlp_leaky.nir": ({}, "COUNTER_LEAK"),
    "exported/snntorch_mlp_synaptic.nir": ({}, "SYNAPTIC_CURRENT"),
    "exported/snntorch_rleaky.nir": ({}, "COUNTER_LEAK"),
    "nir_paper/braille_noDelay_bias_zero.nir": ({"preset": "snntorch"}, "SYNAPTIC_CURRENT"),
    "nir_paper/legacy/braille_2023-10-19b.nir": ({"preset": "snntorch"}, "SYNAPTIC_CURRENT"),
    "nir_paper/lif_norse.nir": ({}, "COUNTER_LEAK"),
    "other/snntorch_tests_lif.nir": ({}, "COUNTER_LEAK"),
}
TOO_LARGE: dict[str, dict[str, Any]] = {
    "exported/sinabs_conv_iaf.nir": ONE_SPIKE, "nir_paper/cnn_sinabs.nir": ONE_SPIKE,
    "nir_paper/legacy/scnn_mnist_2023-10-16.nir": {}, "nir_paper/legacy/scnn_mnist_2023-10-18_bad_flatten.nir": {},
    "nir_paper/legacy/scnn_mnist_batches_no_input_shape.nir": {}}


def read(path: Path, **semantics: Any) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hwsdk.load(path, **semantics)


def exact(network: Network, data: Stimulus, bits: int) -> PulseNetlist:
    """Compiled; every spike and every state is that of the network in whole numbers, and no pulse comes too close."""
    backend, options = backends.get("sfq"), CompileOptions(bits=bits, data=data)
    _, whole, _ = backend.discrete(network, options)
    program = backend.compile(network, options, lambda _: None)
    assert isinstance(program, PulseNetlist)
    trace = backend.simulate(program, data, probes="all", strict=True)
    assert reference.run(whole, data, probes="all").first_difference(trace) is None
    assert all(len(trace.spikes[n]) for n in network.populations), "a test in which nothing spikes tells nothing"
    return program


@pytest.mark.parametrize("file", REFUSED)
def test_what_counters_cannot_do_is_refused_by_name(corpus: Path, file: str) -> None:
    semantics, code = REFUSED[file]
    network = read(corpus / file, **semantics)
    with pytest.raises(UnsupportedError) as error:
        hwsdk.compile(network, "sfq", target_options={"neuron": "counter"})
    assert error.value.code == code
    assert error.value.where in network.nodes
    assert error.value.fix


@pytest.mark.parametrize("file", TOO_LARGE)
def test_large_convolutions_are_refused_early_with_numbers(corpus: Path, file: str) -> None:
    network, begin = read(corpus / file, **TOO_LARGE[file]), time.monotonic()
    with pytest.raises(FitError, match=r"needs \d+,\d+,\d+ JJ, limit 1,000,000") as error:
        hwsdk.compile(network, "sfq", bits=4)
    assert time.monotonic() - begin < SECONDS
    assert "pruned" in str(error.value)


@pytest.mark.parametrize("bits", [3, 8])
def test_a_dense_network_on_digits(corpus: Path, bits: int) -> None:
    with np.load(corpus / "mnist" / "mnist_test_0_4999.npz") as z:
        small = z["image"][:8, 2:26, 2:26].reshape(8, 8, 3, 8, 3).mean(axis=(2, 4)).reshape(8, 1, 64) / 255
    spikes = np.diff(np.floor(np.arange(13)[:, None] * small), axis=1)  # as many as the pixel is bright
    program = exact(read(corpus / "exported" / "sinabs_mlp_if.nir", **ONE_SPIKE),
                    Stimulus.dense({"input": spikes}, {"input": (64,)}), bits)
    assert program.junctions < 140_000


def test_a_convolution_on_a_silicon_retina(corpus: Path) -> None:
    """N-MNIST, its rows put together, 16 columns of two polarities in steps of 1 ms."""
    with np.load(corpus / "nmnist" / "nmnist_test_0_49.npz") as z:
        spikes = np.zeros((3, 60, 2, 16))
        for k in range(3):
            own = slice(z["offset"][k], z["offset"][k + 1])
            step = np.cumsum(z["dt_us"][own].astype(np.int64)) // 1000
            early = step < 60
            spikes[k, step[early], z["p"][own][early], z["x"][own][early].astype(int) * 16 // 34] = 1
    exact(read(corpus / "exported" / "sinabs_conv1d_iaf.nir", **ONE_SPIKE),
          Stimulus.dense({"input": spikes}, {"input": (2, 16)}), 4)


def as_if(node: Any) -> Any:
    """The neuron without its leak and its synaptic current: what the refusal tells the user to train."""
    if not isinstance(node, CubaLIF | LIF):
        return node
    return IF(np.ones_like(node.v_threshold), node.v_threshold, 0 * node.v_threshold)


@pytest.mark.parametrize(("bits", "reset"), [(5, "subtract"), (4, "value"), (8, "subtract")])
def test_the_recurrent_braille_network_without_its_leak(corpus: Path, bits: int, reset: str) -> None:
    network = read(corpus / "nir_paper" / "braille_noDelay_bias_zero.nir", preset="snntorch")
    network = dataclasses.replace(network, nodes={n: as_if(x) for n, x in network.nodes.items()},
                                  semantics=dataclasses.replace(network.semantics, reset=reset, dt=1.0,
                                                                reset_timing="same_step"))
    with np.load(corpus / "nir_paper" / "braille" / "braille_test_sample0_recovered.npz") as z:
        data = Stimulus.dense(z["spikes"], {"input": (12,)})
    program = exact(network, data, bits)
    assert program.junctions < 400_000
