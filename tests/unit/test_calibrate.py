"""Calibrated readouts on small crossbars: what is modelled, what runs on the chip, and that a twin is the chip."""

from __future__ import annotations

import numpy as np
import pytest

from hwsdk.backends.base import CompileOptions
from hwsdk.errors import HwsdkError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.lsm.calibrate import calibrate, compiled, twin
from hwsdk.lsm.features import features
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.readout import accuracy
from hwsdk.lsm.states import states
from hwsdk.simulators.memristor import chip_of

WIRED = {"topology": "driven", "write": 0.1, "scale": "matrix", "clip": "sigmas", "stages": "levels,write,wires",
         "word_ohm": 20.0, "bit_ohm": 20.0, "conducting": "all"}
NOISY = {**WIRED, "stages": "levels,write,wires,read", "read": 0.05}


def options(target_options: dict = WIRED, **more: object) -> CompileOptions:
    return CompileOptions(bits=4, target_options={**target_options, **more})


def data(seed: int, samples: int = 120) -> Stimulus:
    """Four classes that differ in the time course of their rates."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, samples)
    rates = np.random.default_rng(99).uniform(0.1, 0.5, (4, 2, 12)).repeat(12, 1)
    return Stimulus.dense((rng.random((samples, 24, 12)) < rates[y]).astype(np.uint8), {"in": (12,)}, y)


@pytest.fixture(scope="module")
def network() -> Network:
    return liquid(12, 40, seed=1, c_in=0.4)


@pytest.fixture(scope="module")
def train() -> Stimulus:
    return data(0)


@pytest.fixture(scope="module")
def test_set() -> Stimulus:
    return data(1)


def calibrated(network: Network, train: Stimulus, how: str, **more: object):
    return calibrate(network, "memristor", train, how=how, windows=2, **({"options": options()} | more))


def test_in_situ_is_the_readout_of_the_chip_s_own_features(network: Network, train: Stimulus) -> None:
    found = calibrated(network, train, "in_situ", die=3)
    trace = chip_of(found.program.with_readout(None)).run(train)
    np.testing.assert_array_equal(found.features, features(trace, "liquid", 2, 24))
    assert found.features.shape == (120, 80)
    assert found.program.physics.die == found.report.die == 3
    assert found.report.chip_samples == 120 and found.report.missing == ()
    assert found.report.accuracy == accuracy(found.readout, found.features, train.labels)


def test_the_program_carries_the_readout_to_the_chip(network: Network, train: Stimulus, test_set: Stimulus) -> None:
    found = calibrated(network, train, "in_situ")
    trace = chip_of(found.program).run(test_set)
    direct = accuracy(found.program.readout, features(trace, "liquid", 2, 24), test_set.labels)
    assert found.accuracy(test_set) == direct > 0.5
    assert found.program.readout.how == "in_situ" and found.program.readout.windows == 2


def test_a_twin_with_wires_is_the_chip_and_one_without_is_not(network: Network, train: Stimulus) -> None:
    chip = chip_of(compiled(network, "memristor", options()))
    real = calibrated(network, train, "in_situ", chip=chip)
    same = calibrated(network, train, "twin", chip=chip)
    bare = calibrated(network, train, "twin", chip=chip, wires=False)
    np.testing.assert_array_equal(real.features, same.features)
    assert same.report.chip_samples == 0 and same.report.cells_read == 52 * 80
    assert same.report.missing == () and bare.report.missing == ("wires",)
    assert (bare.features != real.features).mean() > 0.2


def test_a_twin_has_no_read_noise_and_reads_with_the_tester_s_error(network: Network, train: Stimulus) -> None:
    chip = chip_of(compiled(network, "memristor", options(NOISY)))
    real, same = (calibrated(network, train, how, chip=chip) for how in ("in_situ", "twin"))
    assert same.report.missing == ("read",) and (real.features != same.features).any()
    a, b, c = (twin(chip.program, read_error=0.02, seed=s) for s in (0, 0, 1))
    exact = twin(chip.program)
    np.testing.assert_array_equal(a.conductances[0], b.conductances[0])
    assert (a.conductances[0] != c.conductances[0]).any()
    window = chip.program.physics.cell.window
    error = (a.conductances[0] - exact.conductances[0]) / window
    assert np.std(error) == pytest.approx(0.02, rel=0.1)
    many = twin(chip.program, read_error=0.02, reads=16)
    assert np.std(many.conductances[0] - exact.conductances[0]) / window == pytest.approx(0.005, rel=0.1)


def test_the_twin_without_wires_loses_what_the_one_with_wires_keeps(network: Network, train: Stimulus,
                                                                    test_set: Stimulus) -> None:
    chip = chip_of(compiled(network, "memristor", options()))
    real, same, bare, float_model = (
        calibrated(network, train, how, chip=chip, **more).accuracy(test_set)
        for how, more in (("in_situ", {}), ("twin", {"read_error": 0.005}),
                          ("twin", {"read_error": 0.005, "wires": False}), ("transfer", {})))
    assert real > 0.8
    assert same > real - 0.05
    assert bare < real - 0.15
    assert float_model < real - 0.15


def test_transfer_sees_the_float_model(network: Network, train: Stimulus) -> None:
    found = calibrated(network, train, "transfer")
    np.testing.assert_array_equal(found.features, states(network, train, windows=2))
    assert found.report.missing == ("levels", "write", "wires") and found.report.modelled == ()


def test_a_pool_is_other_dies(network: Network, train: Stimulus) -> None:
    found = calibrated(network, train, "pool", die=1, dies=2)
    assert found.report.dies == (0, 2) and found.features.shape == (240, 80)
    for k, die in enumerate((0, 2)):
        alone = calibrated(network, train, "in_situ", die=die)
        np.testing.assert_array_equal(found.features[120 * k : 120 * (k + 1)], alone.features)
    named = calibrated(network, train, "pool", die=1, dies=(7,))
    assert named.report.dies == (7,) and named.report.samples == 120


def test_both_readouts(network: Network, train: Stimulus, test_set: Stimulus) -> None:
    found = calibrated(network, train, "in_situ", readout="logistic")
    assert found.report.readout == "logistic" and found.accuracy(test_set) > 0.8


def test_no_result_depends_on_threads(network: Network, train: Stimulus) -> None:
    a, b = (calibrated(network, train, "in_situ", options=options(NOISY), threads=n) for n in (1, 2))
    np.testing.assert_array_equal(a.features, b.features)


def test_the_report_in_words(network: Network, train: Stimulus) -> None:
    text = calibrated(network, train, "twin", read_error=0.01, wires=False).report.to_text()
    for part in ("twin", "0 of them on the chip", "not modelled: wires", "4160 conductances read back", "0.01"):
        assert part in text
    assert "dies 1, 2" in calibrated(network, train, "pool", dies=2).report.to_text()


@pytest.mark.parametrize(("more", "code"), [
    ({"how": "guess"}, "BAD_OPTION"), ({"readout": "forest"}, "BAD_OPTION"),
    ({"how": "pool", "dies": ()}, "BAD_OPTION"),
    ({"how": "pool", "dies": (0, 1)}, "BAD_OPTION"), ({"population": "other"}, "NO_SUCH_POPULATION")])
def test_it_refuses(network: Network, train: Stimulus, more: dict, code: str) -> None:
    with pytest.raises(HwsdkError) as e:
        calibrate(network, "memristor", train, options=options(), **more)
    assert e.value.code == code


def test_it_needs_labels_and_crossbars(network: Network, train: Stimulus) -> None:
    with pytest.raises(HwsdkError, match="NO_LABELS"):
        calibrate(network, "memristor", Stimulus(train.inputs))
    with pytest.raises(HwsdkError, match="NO_CALIBRATION"):
        calibrate(network, "loihi2", train)
