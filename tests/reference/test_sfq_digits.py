"""Digits in SFQ logic: pulses against the reference, and what it takes against published chips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hwsdk
from hwsdk import backends
from hwsdk.backends.sfq_cost import power_per_junction, routed
from hwsdk.compiler import load_data
from hwsdk.simulators import reference
from hwsdk.targets.sfq import published_chips

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TARGET = backends.get("sfq").target


@pytest.fixture(scope="module")
def network():
    return hwsdk.load(str(EXAMPLES / "digits_sfq.nir"), dt=1.0, reset="subtract")


def compiled(network, **options):
    return hwsdk.compile(network, "sfq", bits=4, target_options={"steps": 16, **options})


@pytest.mark.parametrize("weights", ["train", "binary"])
def test_every_spike_of_every_image_is_that_of_the_model(network, weights):
    data = load_data(EXAMPLES / "digits_sfq_test.npz", network, limit=60)
    program = compiled(network, weights=weights)
    trace = hwsdk.simulate(program, data, strict=True, threads=2)
    assert reference.run(network, data).first_difference(trace, ["if1", "if2"]) is None
    decided = trace.counts_of("if2", data.n_steps).argmax(1)
    assert (decided == data.labels).mean() > 0.93


def test_bias_currents_ten_percent_off_change_nothing(network):
    from hwsdk.simulators import sfq

    data = load_data(EXAMPLES / "digits_sfq_test.npz", network, limit=4)
    program = compiled(network)
    right = sfq.run(program, data)
    for k in (0.9, 0.95, 1.05, 1.1):
        assert right.first_difference(sfq.run(program, data, conditions=sfq.Conditions(bias=k), strict=True)) is None


def test_power_for_each_junction_is_that_of_published_chips(network):
    program = compiled(network, wires="ptl")
    each = power_per_junction(program, TARGET)
    assert 0.35e-6 < each.value < 0.55e-6
    sushi = next(c for c in published_chips() if c.id == "sushi")
    assert each.value * sushi.junctions == pytest.approx(sushi.power.value, rel=0.2)


def test_what_lines_would_take_is_told_of_an_abutted_netlist(network):
    abutted, wired = compiled(network), compiled(network, wires="ptl")
    junctions, each = routed(abutted, TARGET)
    assert junctions == pytest.approx(wired.junctions, rel=0.15)
    assert each.value == pytest.approx(power_per_junction(wired, TARGET).value, rel=0.05)
    assert 0.35e-6 < each.value < 0.55e-6


def test_cost_has_lines_with_and_without_cooling_and_both_schemes(network):
    data = load_data(EXAMPLES / "digits_sfq_test.npz", network, limit=2)
    program = compiled(network)
    trace = hwsdk.simulate(program, data)
    rsfq, ersfq = (hwsdk.estimate(program, trace, target_options={"bias_scheme": s}) for s in ("rsfq", "ersfq"))
    assert rsfq.energy_static.value > 100 * rsfq.energy_dynamic.value
    assert ersfq.energy_static.value == 0
    assert ersfq.energy_dynamic.value == pytest.approx(2 * rsfq.energy_dynamic.value, rel=1e-6)
    for report in (rsfq, ersfq):
        assert "with cooling" in report.to_text()
        assert "without cooling" in report.to_text()
    assert np.isclose(rsfq.latency.value, (program.schedule.start_fs + 10 * program.schedule.frame_fs) * 1e-15)
