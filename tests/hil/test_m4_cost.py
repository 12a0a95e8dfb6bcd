"""The bill by executed instructions: what the emulated core really counts, and a range that holds what is not told."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import hwsdk
from hwsdk.backends.spinnaker_m4 import executed
from hwsdk.compiler import load_data
from hwsdk.errors import UnsupportedError
from hwsdk.hil.devices import open_device
from hwsdk.ir.build import NetworkBuilder
from hwsdk.ir.build_egru import egru_layer
from hwsdk.ir.data import Stimulus
from hwsdk.ir.ledger import SemanticsWarning
from hwsdk.ir.semantics import Semantics
from hwsdk.targets.m4_law import load_law

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DIGITS = {"dt": 1e-3, "reset": "value"}


def counted(program, data):
    """Instructions of the emulated core in all steps."""
    with open_device("unicorn:?count=1") as device:
        device.load(program)
        return float(device.run(data).counts["instructions"].sum())


def ran(file, semantics, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SemanticsWarning)
        network = hwsdk.load(file, **semantics)
    program = hwsdk.compile(network, "spinnaker2")
    given = load_data(data, network, **options)
    return program, given, hwsdk.simulate(program, given)


def test_the_instructions_are_those_of_the_core():
    for name in ("unicorn", "elftools"):
        pytest.importorskip(name, reason="an emulated Cortex-M4F needs: pip install 'hwsdk[hil]'")
    program, data, trace = ran(EXAMPLES / "digits.nir", DIGITS, EXAMPLES / "digits_test.npz", limit=3)
    found = executed(program, trace, load_law())
    assert found.cycles.instructions == pytest.approx(counted(program, data), rel=0.04)  # less the feeding of inputs
    assert found.cycles.low < found.cycles.nominal < found.cycles.high
    assert 1.1 < found.cycles.nominal / found.cycles.instructions < 2


def test_a_convolution_lies_near_what_the_core_counts(corpus):
    semantics = {"preset": "spinnaker2", "dt": 1.0, "reset": "value"}
    program, data, trace = ran(corpus / "nir_paper/cnn_sinabs.nir", semantics, corpus / "nmnist/nmnist_test_0_49.npz",
                               dt_s=1e-3, limit=1, n_steps=12)
    assert executed(program, trace, load_law()).cycles.instructions == pytest.approx(counted(program, data), rel=0.1)


def test_the_report_shows_both_and_prices_either():
    program, _, trace = ran(EXAMPLES / "digits.nir", DIGITS, EXAMPLES / "digits_test.npz", limit=3)
    plain, by_law = (hwsdk.estimate(program, trace, target_options={"cycles": c}) for c in ("calibrated", "executed"))
    assert plain.energy_dynamic.value == hwsdk.estimate(program, trace).energy_dynamic.value
    names = {e.name: e.amount for e in plain.extra}
    calibrated, executed_ = names["active cycles, calibrated"], names["active cycles, as executed on an M4"]
    assert calibrated.value == pytest.approx(sum(trace.counts[n].sum() for n in ("cycles_low", "cycles_high")) / 3)
    ratio = executed_.value / calibrated.value
    assert by_law.energy_dynamic.value == pytest.approx(ratio * plain.energy_dynamic.value)
    bounds = [by_law.energy_dynamic.low, by_law.energy_dynamic.high]
    assert bounds == pytest.approx([plain.energy_dynamic.value * x / calibrated.value for x in (
        executed_.low, executed_.high)])
    assert "instructions of hwsdk's kernel; gcc" in plain.to_text()
    with pytest.raises(UnsupportedError, match="use calibrated or executed"):
        hwsdk.estimate(program, trace, target_options={"cycles": "silicon"})


def test_egrus_are_not_compared():
    rng = np.random.default_rng(0)
    builder = NetworkBuilder().input("in", 3)
    egru_layer(builder, "hidden", "in", w=rng.normal(size=(12, 3)), r=rng.normal(size=(12, 4)),
               bx=np.zeros(12), br=np.zeros(12), theta=0.1)
    program = hwsdk.compile(builder.output("out", "hidden").build(Semantics()), "spinnaker2")
    trace = hwsdk.simulate(program, Stimulus.dense(rng.random((1, 4, 3)), program.input_shapes))
    assert "the chip has a unit for them" in hwsdk.estimate(program, trace).to_text()
    with pytest.raises(UnsupportedError, match="use cycles=calibrated"):
        hwsdk.estimate(program, trace, target_options={"cycles": "executed"})
