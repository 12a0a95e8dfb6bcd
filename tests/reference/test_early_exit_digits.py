"""Exit rules on the digits networks: what a rule makes of a whole run is what happens if the chip really stops.

The rule is that of Dynamic Confidence (arXiv:2303.10276) and of its simpler kin; see docs/early_exit.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import hwsdk
from hwsdk.backends import early_exit as ee
from hwsdk.backends.early_exit_tune import tune
from hwsdk.compiler import load_data
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.early_exit import ExitRule

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TARGETS = ("loihi1", "loihi2", "spinnaker2", "memristor", "sfq")
FEW = 8
RULE = ExitRule("output", (0.5,), temperature=1.5)


@cache
def job(target: str):
    """(network, calibration data, test data); of the SFQ digits the first half of the test images calibrate."""
    if target == "sfq":
        network = hwsdk.load(EXAMPLES / "digits_sfq.nir", dt=1.0, reset="subtract")
        data = load_data(EXAMPLES / "digits_sfq_test.npz", network)
        return network, ee.subset(data, np.arange(100)), ee.subset(data, np.arange(100, 200))
    network = hwsdk.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    return network, *(load_data(EXAMPLES / f"digits_{n}.npz", network) for n in ("calibration", "test"))


@cache
def program(target: str):
    """As in the documentation."""
    network, calibration, _ = job(target)
    return hwsdk.compile(network, target, bits=4 if target == "sfq" else 8,
                         data=None if target == "sfq" else calibration)


@cache
def run(target: str):
    """(program with RULE, a few test images, their whole run)."""
    data = ee.subset(job(target)[2], np.arange(FEW))
    return program(target).with_exit(RULE), data, hwsdk.simulate(program(target), data)


@pytest.mark.parametrize("target", TARGETS)
def test_whole_runs_cost_what_estimate_says(target):
    quick, data, trace = run(target)
    report, cost = ee.evaluate(quick, trace, data), hwsdk.estimate(quick, trace)
    for name in ("latency", "energy_dynamic", "energy_static", "energy_total"):
        mean, whole = getattr(report.full, name).mean, getattr(cost, name)
        assert (mean.value is None) == (whole.value is None)
        for end in ("value", "low", "high"):
            if (expected := getattr(whole, end)) is not None:
                assert getattr(mean, end) == pytest.approx(expected, rel=1e-9 if end == "value" else 1e-2)
    if report.full.latency.value is not None:
        np.testing.assert_allclose(report.full.latency.value, cost.latency_samples, rtol=1e-12)
    late = report.executed == trace.n_steps
    assert late.sum() < FEW and (report.early.latency.value[~late] < report.full.latency.value[~late]).all()


@pytest.mark.parametrize("target", TARGETS)
def test_programs_of_every_family_keep_their_rule(target, tmp_path):
    quick = run(target)[0]
    again = hwsdk.load_program(quick.save(tmp_path / "q.hwx"))
    assert again.exit_rule == RULE and again.digest() == quick.digest() != program(target).digest()
    assert f"exit when {RULE.to_text()}\n" in again.to_text() == quick.to_text()


@pytest.mark.parametrize("target", [t for t in TARGETS if t != "sfq"])
def test_a_trace_that_is_cut_is_that_of_the_shorter_run(target):
    quick, data, trace = run(target)
    steps = ee.evaluate(quick, trace, data).executed
    for cut, short in zip(ee.cut_trace(trace, steps), ee.rerun(quick, data, steps), strict=True):
        assert cut.n_steps == short.n_steps and short.first_difference(cut) is None
        assert set(short.counts) - set(cut.counts) <= set(ee.BY_UNIT)
        for name, counted in cut.counts.items():
            np.testing.assert_array_equal(counted, short.counts[name], name)


def test_pulses_are_counted_by_running_fewer_frames():
    quick, data, trace = run("sfq")
    report = ee.evaluate(quick, trace, data)
    assert [int(t.counts["frames"].sum()) for t in ee.rerun(quick, data, report.executed)] == report.executed.tolist()
    with pytest.raises(DataError, match=r"^\[NOT_BY_STEP\]"):
        ee.evaluate(quick, trace)
    one = hwsdk.simulators.sfq.run(quick, data.one(3), steps=int(report.executed[3]))
    cost = hwsdk.estimate(quick, one)
    assert report.early.energy_total.value[3] == cost.energy_total.value
    assert report.early.latency.value[3] == cost.latency.value


@pytest.mark.parametrize("target", ["spinnaker2", "memristor"])
@pytest.mark.parametrize("rule", [RULE, ExitRule("output", (2.0,), "margin", earliest=4, every=3, latest=11)])
def test_a_host_that_really_stops_decides_the_same_at_the_same_step(target, rule):
    quick, data, trace = run(target)
    report = ee.evaluate(quick, trace, data, rule=rule)
    cuts = ee.cut_trace(trace, report.executed)
    for sample in range(FEW):
        stopped = ee.run_until_exit(quick, data, sample, rule)
        assert (stopped.steps, stopped.decision, stopped.confident) == (
            report.steps[sample], report.decision[sample], report.confident[sample])
        assert stopped.trace.n_steps == report.executed[sample]
        assert stopped.trace.first_difference(cuts[sample]) is None
        for name, counted in cuts[sample].counts.items():
            np.testing.assert_array_equal(counted, stopped.trace.counts[name], name)


def test_targets_without_steps_say_so():
    with pytest.raises(UnsupportedError, match=r"^\[NO_WALK\]"):
        ee.run_until_exit(*run("loihi1")[:2])


def test_the_host_boundary_charges_for_the_steps_that_were_done():
    quick, data, trace = run("loihi1")
    chip, host = (ee.evaluate(quick, trace, data, boundary=b) for b in ("chip", "host"))
    assert (host.early.latency.value > chip.early.latency.value).all()
    assert host.early.latency.value.argmin() == host.executed.argmin()
    assert any("evaluating the exit rule" in x for x in host.omitted)


FIGURES = {
    "loihi1": (2.0, 0.980, 0.975, 8.24, 0.687), "loihi2": (2.0, 0.980, 0.975, 8.24, 0.699),
    "spinnaker2": (2.0, 0.985, 0.980, 8.41, 0.694), "memristor": (2.0, 0.980, 0.980, 9.16, 0.688),
    "sfq": (2.0, 0.970, 0.970, 4.05, 0.389)}
"""Target -> threshold, accuracy after all steps and with the rule, mean steps, share of the energy that is saved."""


@pytest.mark.parametrize("target", [pytest.param(t, marks=() if t == "loihi1" else pytest.mark.slow) for t in TARGETS])
def test_the_figures_of_the_documentation(target):
    _, calibration, data = job(target)
    tuned = tune(program(target), calibration)
    assert tuned.chosen.accuracy >= tuned.full_accuracy - 0.005
    quick = program(target).with_exit(tuned.rule)
    report = ee.evaluate(quick, hwsdk.simulate(quick, data), data)
    found = (tuned.rule.thresholds[0], report.full_accuracy, report.accuracy, report.steps.mean(),
             report.saved("energy_total"))
    assert found == pytest.approx(FIGURES[target], abs=6e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hwsdk.ir.ledger.SemanticsWarning")
def test_a_convolutional_network_needs_a_quarter_of_its_steps(corpus):
    """cnn_sinabs.nir of the NIR paper, tuned on 300 training samples of N-MNIST, reported on 50 test samples."""
    network = hwsdk.load(corpus / "nir_paper/cnn_sinabs.nir", dt=1.0, reset="value")
    files = (corpus / "nmnist" / n for n in ("nmnist_train300.npz", "nmnist_test_0_49.npz"))
    calibration, data = (load_data(f, network, dt_s=1e-3, n_steps=314) for f in files)
    whole = hwsdk.compile(network, "loihi1")
    tuned = tune(whole, calibration)
    assert tuned.rule.thresholds == (14.0,) and tuned.chosen.lost == 1
    report = ee.evaluate(whole, hwsdk.simulate(whole, data), data, rule=tuned.rule)
    assert report.accuracy == report.full_accuracy == 1.0
    assert report.steps.mean() == pytest.approx(76.92)
    assert report.saved("energy_total") == pytest.approx(0.702, abs=1e-3)
