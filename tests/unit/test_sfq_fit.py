"""Models that no SFQ chip can hold are refused before cells are made, and only those; what a chip has too little of is
told.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sfq_networks import KINDS, TARGET, layer, mapped, random_network

import hwsdk
from hwsdk.backends.sfq_fit import _least, refuse_too_many_synapses
from hwsdk.cli import main
from hwsdk.cli.show import trace_text
from hwsdk.errors import DataError, FitError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, Threshold
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.sfq_lines import lines_of


def least(network: Network, weights: str) -> int:
    return sum(_least(lines_of(network, n), p.n, weights, TARGET) for n, p in network.populations.items())


@pytest.mark.parametrize("weights", ["auto", "train", "binary"])
@pytest.mark.parametrize("seed", range(12))
def test_the_least_is_never_more_than_the_netlist_takes(seed: int, weights: str) -> None:
    network = random_network(seed)
    assert 0 < least(network, weights) <= mapped(network, weights=weights).junctions


@pytest.mark.parametrize("weights", ["train", "binary"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_least_of_a_dense_layer_is_most_of_it(kind: str, weights: str) -> None:
    rng = np.random.default_rng(0)
    network = layer(kind, rng.integers(-3, 4, (64, 64)), 5)
    junctions = mapped(network, weights=weights).junctions
    assert junctions / 3 < least(network, weights) <= junctions


def test_too_many_synapses_are_refused_with_the_layer_that_has_them() -> None:
    network = layer("memoryless", np.ones((700, 300)), 5)
    with pytest.raises(FitError, match=r"at the very least; p alone takes (2,\d+,\d+): needs \1 JJ, limit"):
        refuse_too_many_synapses(network, TARGET, {"p": "counter"}, "auto")


def small(neurons: int = 2, reset: str = "value") -> Network:
    b = NetworkBuilder("small").input("in", 3).population("p", neuron(IF, neurons, v_threshold=1.0))
    return b.connect("in", "p", weight=np.full((neurons, 3), 0.37)).output("out", "p").build(Semantics(reset=reset))


def test_trains_as_long_as_large_weights_are_refused_before_they_take_all_memory() -> None:
    b = NetworkBuilder("t").input("in", 1).population("p", neuron(Threshold, 1, threshold=1.0))
    network = b.connect("in", "p", weight=[[30_000.0]]).output("out", "p").build(Semantics())
    with pytest.raises(UnsupportedError, match=r"TRAIN_TOO_LONG\] in->p.*of 30,000 .*limit 1,023"):
        hwsdk.compile(network, "sfq", bits=16, target_options={"weights": "train"})
    assert hwsdk.compile(network, "sfq", bits=16, target_options={"weights": "binary"})


def test_steps_are_those_of_the_model() -> None:
    """The frames until the last layer has answered come on top, with data for calibration and without."""
    def data(n: int) -> Stimulus:
        return Stimulus.dense({"in": np.ones((1, n, 3))}, {"in": (3,)})

    for program in (hwsdk.compile(small(reset="subtract"), "sfq", target_options={"steps": 10}),
                    hwsdk.compile(small(reset="subtract"), "sfq", data=data(10))):
        assert hwsdk.simulate(program, data(10)).n_steps == 11
        with pytest.raises(DataError, match=r"TOO_MANY_STEPS\] 12 frames.*for 11\n.*steps=N"):
            hwsdk.simulate(program, data(11))
    with pytest.raises(UnsupportedError, match=r"BAD_OPTION\] steps is 1.5"):
        hwsdk.compile(small(), "sfq", target_options={"steps": 1.5})


def test_more_pins_and_bias_than_a_chip_has_are_told_and_not_refused() -> None:
    b = NetworkBuilder("wide").input("in", 60).population("p", neuron(Threshold, 1, threshold=1.0))
    program = hwsdk.compile(b.connect("in", "p", weight=np.ones((1, 60))).output("out", "p").build(Semantics()), "sfq")
    told = {e.code: e.text for e in program.ledger.of("warning")}
    assert "pins: 63 pins, limit 40" in told["MANY_PINS"]
    assert not hwsdk.compile(small(), "sfq").ledger.of("warning")


def test_pulses_that_come_too_soon_are_told() -> None:
    """Not only with --strict."""
    program = hwsdk.compile(small(), "sfq")
    data = Stimulus.dense({"in": np.ones((1, 20, 3))}, {"in": (3,)})
    trace = hwsdk.simulate(program, data)
    text = trace_text(program, trace, data)
    assert "pulses that came to cells" in text
    assert "note" not in text
    bad = dataclasses.replace(trace, counts={**trace.counts, "absorbed": np.array([[3]]), "timing": np.array([[5]]),
                                             "stray": np.array([[2]])})
    text = trace_text(program, bad, data)
    assert "note: 3 pulses came too soon" in text
    assert "note: 5 pulses came too soon for what is known" in text
    assert "note: 2 spikes belong to no frame" in text


def test_a_netlist_is_the_same_in_every_process(tmp_path: Path) -> None:
    code = "import hwsdk; print(hwsdk.compile('examples/digits_sfq.nir','sfq',dt=1.0,reset='subtract',bits=4).digest())"
    found = {subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True,
                            env={"PYTHONHASHSEED": seed, "PATH": ""}).stdout for seed in ("1", "2")}
    assert len(found) == 1
    assert main(["compile", "examples/digits_sfq.nir", "--target", "sfq", "--dt", "1", "--reset", "subtract", "--bits",
                 "4", "--quiet", "-o", str(tmp_path / "d.hwx")]) == 0
    assert hwsdk.load_program(tmp_path / "d.hwx").digest() == found.pop().strip()
