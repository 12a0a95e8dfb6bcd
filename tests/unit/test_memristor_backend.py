"""The crossbar backend: options, ranges and gains from calibration data, and what it says of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.backends.memristor_options import MemristorOptions
from hwsdk.compiler import load_data
from hwsdk.errors import FitError, TargetError, UnsupportedError
from hwsdk.ir.crossbar import STAGES
from hwsdk.simulators import reference

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def digits():
    network = hwsdk.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    return (network, load_data(EXAMPLES / "digits_calibration.npz", network, limit=20),
            load_data(EXAMPLES / "digits_test.npz", network, limit=60))


def accuracy(program, data):
    return float(np.mean(hwsdk.simulate(program, data).counts_of("lif2", data.n_steps).argmax(1) == data.labels))


def options(**given):
    return MemristorOptions.of(CompileOptions(target_options=given))


@pytest.mark.parametrize(("given", "code", "text"), [
    ({"wries": 1}, "UNKNOWN_OPTION", "wries"), ({"encoding": "pair"}, "BAD_OPTION", "differential"),
    ({"clip_at": "much"}, "BAD_OPTION", "number"), ({"percentile": 20}, "BAD_OPTION", "50 to 100"),
    ({"compensate": "maybe"}, "BAD_OPTION", "yes, no"), ({"full_scale": "some"}, "BAD_OPTION", "auto"),
    ({"share": "both"}, "BAD_OPTION", "yes, no")])
def test_options_are_checked_by_name_and_value(given, code, text):
    with pytest.raises(UnsupportedError, match=text) as caught:
        options(**given)
    assert caught.value.code == code


@pytest.mark.parametrize("given", [{"adc_bits": "six"}, {"write": -0.1}, {"topology": "ring"}, {"mux": 0}])
def test_options_of_the_array_are_checked_too(digits, given):
    with pytest.raises(UnsupportedError, match="BAD_OPTION"):
        hwsdk.compile(digits[0], "memristor", target_options=given)


def test_a_law_that_does_not_know_the_time_is_refused_before_anything_is_built(digits):
    with pytest.raises(TargetError, match="nothing was published for 5 s"):
        hwsdk.compile(digits[0], "memristor_neurram", target_options={"seconds": 5})


def test_the_seed_is_the_die_unless_one_is_named(digits):
    program = hwsdk.compile(digits[0], "memristor", seed=5)
    assert program.physics.die == 5
    assert hwsdk.compile(digits[0], "memristor", seed=5, target_options={"die": 2}).physics.die == 2
    assert program.physics.stages == STAGES


def test_the_range_of_converters_follows_the_data(digits):
    network, calibration, _ = digits
    largest = hwsdk.compile(network, "memristor", data=calibration, target_options={"full_scale": "max"})
    fitted = hwsdk.compile(network, "memristor", data=calibration)
    half = hwsdk.compile(network, "memristor", data=calibration, target_options={"percentile": 90})
    for a, b, c in zip(largest.blocks, fitted.blocks, half.blocks, strict=True):
        assert a.step_a.max() > b.step_a.max() > c.step_a.max() > 0
    assert hwsdk.simulate(largest, calibration).counts["adc_clips"].sum() == 0
    clips = hwsdk.simulate(fitted, calibration).counts
    assert 0 < clips["adc_clips"].sum() < 0.01 * clips["conversions"].sum()


def test_gains_make_good_what_wires_take(digits):
    """Cells of 500 uS: the wires take half of the current, which lowers all weights."""
    network, calibration, data = digits
    plain = hwsdk.compile(network, "memristor_isaac", data=calibration)
    made_good = hwsdk.compile(network, "memristor_isaac", data=calibration, target_options={"compensate": "yes"})
    assert "wires take 4" in plain.losses
    assert "compensate=yes" in plain.losses
    assert "made good by digital gains" in made_good.losses
    assert accuracy(plain, data) < 0.85
    assert accuracy(made_good, data) > 0.95


def test_cells_with_few_levels_share_a_weight(digits):
    sliced, pair = (hwsdk.compile(digits[0], "memristor_isaac", target_options=o)
                    for o in ({}, {"encoding": "differential"}))
    assert sum(b.columns for b in sliced.blocks) > 2 * sum(b.columns for b in pair.blocks)
    assert {len(np.unique(b.target_s)) for b in sliced.blocks} == {4}


def test_the_ideal_array_gives_the_spikes_of_the_model(digits):
    network, _, data = digits
    expected = reference.run(network, data)
    got = hwsdk.simulate(hwsdk.compile(network, "memristor_ideal"), data)
    for name in network.populations:
        np.testing.assert_array_equal(got.aligned(name, data.n_steps).dense(), expected.spikes[name].dense())


def test_what_noise_there_is_is_told_and_verify_does_not_hold_the_chip_to_it(digits):
    network, _, data = digits
    backend = backends.get("memristor")
    gated = hwsdk.compile(network, "memristor", target_options={"read": 0.05})
    assert backend.noise(gated) == "read noise and wires of gated columns, whose loss depends on which rows are on"
    assert backend.noise(hwsdk.compile(network, "memristor", target_options=backend.exact)) == ""
    assert backends.get("memristor_pcm").noise(hwsdk.compile(network, "memristor_pcm")) == "read noise"
    report = hwsdk.verify(network, "memristor", data.one(0), target_options={"read": 0.05})
    assert report.chip is not None
    assert report.ok
    assert "not held to it: read noise and wires" in report.to_text()
    held = hwsdk.verify(network, "memristor", data.one(0), target_options=dict(backend.exact))
    assert held.ok
    assert held.chip is None
    assert held.loose == ""


def test_too_few_macros_are_named_and_more_chips_help(digits):
    few = {"rows": 16, "columns": 16}
    with pytest.raises(FitError) as caught:
        hwsdk.compile(digits[0], "memristor", target_options=few)
    assert caught.value.violations[0].rule == "macros"
    assert "chips" in caught.value.fix
    assert hwsdk.compile(digits[0], "memristor", chips=4, target_options=few).macros > 16


@pytest.mark.parametrize(("changed", "code"), [
    ({"packing": "dense"}, "BAD_PACKING"), ({"step_time": 1e-3}, "BAD_STEP_TIME"), ({"chips": 0}, "BAD_CHIPS"),
    ({"effort": "wild"}, "BAD_EFFORT")])
def test_options_of_other_chips_are_refused(digits, changed, code):
    with pytest.raises(UnsupportedError, match=code):
        hwsdk.compile(digits[0], "memristor", **changed)
