"""SpiNNaker 2: the published powers come back, and a run costs what its counts say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hwsdk.backends import spinnaker_cost
from hwsdk.backends.spinnaker_cost import calibrations, chip_power, cycle_range, estimate
from hwsdk.errors import DataError, TargetError
from hwsdk.ir.data import Events
from hwsdk.ir.trace import Trace
from hwsdk.targets import load_target
from hwsdk.targets.spinnaker import SpinnakerTarget

TARGET = load_target("spinnaker2", SpinnakerTarget)
PES, STEPS, SAMPLES = 3, 4, 2


@pytest.mark.parametrize(("level", "load", "watts"), [
    ("off", {}, 75.2e-3), ("low", {}, 235.4e-3), ("high", {}, 564.7e-3), ("low", {"busy": 1.0}, 424.6e-3),
    ("high", {"busy": 1.0}, 1247.9e-3), ("low", {"macs": 2.281e12 / 2}, 0.825), ("high", {"macs": 4.563e12 / 2}, 2.219),
])
def test_the_published_powers_of_a_chip_come_back(level, load, watts):
    assert chip_power(TARGET, level, **load) == pytest.approx(watts, rel=1e-12)


@pytest.mark.parametrize(("what", "scale", "low", "high"), [
    ("sleep_w", 1e3, "1.054", "3.220"), ("running_w", 1e3, "1.245", "4.495"), ("cycle_j", 1e12, "8.30", "14.98"),
    ("mac_j", 1e12, "0.517", "0.725")])
def test_what_follows_for_one_pe(what, scale, low, high):
    """From arXiv 2607.24396: (sleep - off) / 152; (CoreMark - sleep) / 152; over f; (MAC - sleep) / rate."""
    digits = len(low.partition(".")[2])
    found = [f"{getattr(TARGET, what)(level) * scale:.{digits}f}" for level in ("low", "high")]
    assert found == [low, high]


def test_efficiency_of_the_mac_array():
    """arXiv 2607.24396: 2.77 and 2.06 TOPS/W."""
    for level, operations, tops in (("low", 2.281e12, 2.77), ("high", 4.563e12, 2.06)):
        assert operations / chip_power(TARGET, level, macs=operations / 2) / 1e12 == pytest.approx(tops, abs=0.01)


def test_the_published_throughput_of_a_pe_is_inside_the_cycle_model():
    """arXiv 2607.24396: 12 M synaptic events/s a PE with 1,024 neurons at 1 ms."""
    c = TARGET.cycle_costs()
    used = c["tick"] + 1200 * c["packet"] + 12_000 * c["event_static"] + 1024 * c["neuron_curr"]
    assert used == 292_000
    most = (300_000 - c["tick"] - 1024 * c["neuron_curr"]) / (c["packet"] / 10 + c["event_static"])
    assert 11e6 < most * 1000 < 13e6


def test_every_calibration_gives_the_published_throughput():
    found = calibrations(TARGET)
    assert {(p, n) for p, _, n in found} == {(0, 30), (0, 100), (40, 30), (40, 100)}
    assert [round(e, 2) for _, e, _ in found] == [22.37, 16.4, 18.37, 12.4]
    assert all(800 + 1200 * p + 12_000 * e + 1024 * n == pytest.approx(300_000) for p, e, n in found)


def test_supply_that_follows_the_load_saves_what_was_published_with_a_fitted_share_of_work():
    """DVS gesture, quoted by one note: 0.741 J where the level follows the load, 1.023 J at high, 2.010 J at low.

    The share of work is fitted to the first two. The third is the largest only if the run at the low level takes more
    than twice as long, which the clocks do not explain.
    """
    shares = np.linspace(0, 1, 10_001)
    ratio = [chip_power(TARGET, "auto", busy=b) / chip_power(TARGET, "high", busy=b) for b in shares]
    busy = float(np.interp(0.741 / 1.023, ratio, shares))
    assert (np.diff(ratio) > 0).all()
    assert busy == pytest.approx(0.335, abs=0.001)
    asleep, work = chip_power(TARGET, "low"), chip_power(TARGET, "low", busy=1.0) - chip_power(TARGET, "low")
    same_job = [stretch * asleep + 2 * busy * work for stretch in (1, 2, 3)]
    assert same_job[1] < chip_power(TARGET, "high", busy=busy) < same_job[2]


def program(**changed):
    one = SimpleNamespace(name="p", shape=(8,), n=8)
    return SimpleNamespace(**{"name": "net", "chips": 1, "n_pes": PES, "sync": "timer", "tick_s": 1e-3, "phases": 1,
                              "level": "auto", "populations": (one,), "inputs": (one,), **changed})


def ran(**changed):
    def each(value):
        return np.full((SAMPLES, STEPS), value)

    counts = {
        "spikes": 2, "packets": 30, "packets_sent": 20, "hops": 120, "chip_crossings": 0, "static_events": 400,
        "conv_events": 0, "plastic_events": 0, "csr_events": 0, "neuron_updates": 24, "cycles_low": 4000,
        "cycles_high": 6850, "busy_seconds": 40e-6, "step_seconds": 1e-3, "pe_seconds_low": 2.8e-3,
        "pe_seconds_high": 0.2e-3, "late_ticks": 0, "late_packets": 0, "lost_ticks": 0, "dropped_packets": 0, **changed}
    named = {k: each(v) for k, v in counts.items()} | {"pe_cycles": np.full((SAMPLES, PES), 1000)}
    empty = np.zeros(0, np.int32)
    spikes = {"p": Events((8,), SAMPLES, STEPS, empty, empty, empty)}
    return Trace(SAMPLES, STEPS, spikes, counts=named)


def test_energy_is_the_closed_form():
    found = estimate(program(), ran(), TARGET)
    seconds = STEPS * 1e-3
    assert found.latency.value == found.latency.low == found.latency.high == pytest.approx(seconds)
    static = (75.2e-3 * seconds + TARGET.sleep_w("low") * STEPS * 2.8e-3 + TARGET.sleep_w("high") * STEPS * 0.2e-3
              + TARGET.sleep_w("low") * 149 * seconds)
    assert found.energy_static.value == pytest.approx(static, rel=1e-12)
    dynamic = STEPS * (4000 * TARGET.cycle_j("low") + 6850 * TARGET.cycle_j("high"))
    assert found.energy_dynamic.value == pytest.approx(dynamic, rel=1e-12)
    assert found.energy_dynamic.low < dynamic < found.energy_dynamic.high
    assert found.energy_total.missing == ("packet sent", "NoC hop")
    assert found.slowest == {"work of the busiest PE": 0.0, "timer tick": 1.0}
    assert {i.name: i.count for i in found.items if i.per.startswith("macs")} == {
        "8-bit MAC at 0.5 V": 0, "8-bit MAC at 0.8 V": 0}


@pytest.mark.parametrize(("level", "watts"), [("low", 235.4e-3), ("high", 564.7e-3)])
def test_an_idle_run_takes_the_published_idle_power(level, watts):
    idle = {"cycles_low": 0, "cycles_high": 0, "packets_sent": 0, "hops": 0, "pe_seconds_low": 0, "pe_seconds_high": 0}
    found = estimate(program(level=level), ran(**idle | {f"pe_seconds_{level}": PES * 1e-3}), TARGET)
    assert found.energy_total.value / found.latency.value == pytest.approx(watts, rel=1e-12)
    assert not found.energy_total.missing


def test_unused_pes_can_be_off():
    asleep, off = (estimate(program(), ran(), TARGET, unused=u).energy_static.value for u in ("sleeping", "off"))
    assert asleep - off == pytest.approx(149 * TARGET.sleep_w("low") * STEPS * 1e-3)
    with pytest.raises(TargetError, match=r"^\[BAD_UNUSED\]"):
        estimate(program(), ran(), TARGET, unused="gone")


def test_with_a_barrier_time_is_as_open_as_the_cycles():
    barrier, trace = program(sync="barrier", level="high"), ran(step_seconds=41e-6, pe_seconds_high=PES * 41e-6)
    low, high = cycle_range(barrier, trace, TARGET)
    found = estimate(barrier, trace, TARGET)
    assert found.latency.value == pytest.approx(STEPS * 41e-6)
    assert found.latency.low == pytest.approx(STEPS * (41e-6 + 40e-6 * (low - 1)))
    assert found.latency.high == pytest.approx(STEPS * (41e-6 + 40e-6 * (high - 1)))
    assert found.energy_static.high / found.energy_static.value == pytest.approx(
        found.latency.high / found.latency.value)
    assert found.slowest == {"work of the busiest PE": 1.0, "barrier": 0.0}


def test_the_range_of_cycles_holds_the_model_itself():
    """2,400 cycles in ticks, 1,200 in packets, 6,400 in events, 50 in spikes, 800 in neurons, of 10,850."""
    low, high = cycle_range(program(), ran(), TARGET)
    assert low == pytest.approx(1 + ((12.4 / 16 - 1) * 6400 + 800) / 10_850, abs=1e-6)
    assert high == pytest.approx(1 + (-1200 + ((300_000 - 800 - 30_720) / 192_000 - 1) * 6400 - 0.4 * 800) / 10_850)
    assert cycle_range(program(), ran(cycles_low=0, cycles_high=0), TARGET) == (1.0, 1.0)


def test_overruns_are_told():
    found = estimate(program(), ran(late_ticks=1, dropped_packets=2), TARGET)
    assert "a run on time: this one has 8 ticks late, 16 packets dropped" in found.omitted
    assert found.slowest["work of the busiest PE"] == 1.0


def test_the_report_says_what_is_calibrated_and_what_is_not_published():
    text = estimate(program(), ran(), TARGET).to_text(sources=True)
    assert "time event_static" in text
    assert "calibrated; as tick" in text
    assert "(at least; not published: packet sent; NoC hop)" in text
    assert "PE at 0.5 V, not in use              596 ms PE-seconds" in text
    assert "150 MHz" in text


def test_what_cannot_be_priced_is_refused():
    with pytest.raises(TargetError, match=r"^\[NO_HOST\]"):
        estimate(program(), ran(), TARGET, boundary="host")
    with pytest.raises(TargetError, match=r"^\[NO_PROXY\]"):
        estimate(program(), ran(), TARGET, proxy="loihi1-energy")
    with pytest.raises(DataError, match=r"^\[NO_COUNTS\]"):
        estimate(program(), Trace(1, 1, {}), TARGET)


@pytest.mark.parametrize(("change", "told"), [
    ({"n_pes": 4}, "it ran on 3 PEs, the program has 4"),
    ({"populations": (SimpleNamespace(name="q", n=8),)}, "it has no population q of 8 neurons")])
def test_a_trace_of_another_program_is_refused(change, told):
    with pytest.raises(DataError, match=r"^\[WRONG_TRACE\]") as caught:
        estimate(program(**change), ran(), TARGET)
    assert told in str(caught.value)


def test_a_trace_without_a_count_is_refused():
    trace = ran()
    counts = {k: v for k, v in trace.counts.items() if k != "pe_seconds_low"}
    with pytest.raises(DataError, match="it does not count pe_seconds_low"):
        spinnaker_cost.estimate(program(), Trace(SAMPLES, STEPS, trace.spikes, counts=counts), TARGET)
