"""What a pulse netlist costs, on netlists small enough to add up by hand."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from hwsdk.backends import sfq_cost
from hwsdk.backends.sfq_cost import bias_by_role, bias_current, estimate, power_per_junction
from hwsdk.cost import CostReport
from hwsdk.errors import DataError, TargetError
from hwsdk.ir.circuit import PHI0
from hwsdk.ir.data import Events
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import Layer, PulseNetlist, Schedule, SfqArrays
from hwsdk.programs.stored import Port
from hwsdk.targets import load_target
from hwsdk.targets.sfq import SfqTarget, published_chips

TARGET = load_target("sfq", SfqTarget)
V = 2.5e-3
CELLS = ("SRC", "SPLIT", "JTL", "MERGE", "TFF", "SINK")
NETS = ((0, 0, 1, 0), (1, 0, 3, 0), (1, 1, 2, 0), (2, 0, 3, 1), (3, 0, 4, 0), (4, 0, 5, 0))
"""One pulse in is split; one half is late; both toggle a TFF, whose carry is the spike."""
BIAS_MA = {"port": 0.45, "splitter": 0.525, "wire": 0.35, "merger": 0.708, "storage": 0.93}
JJ = {"port": 3, "splitter": 3, "wire": 2, "merger": 7, "storage": 8}
FRAME_FS, SAMPLES, FRAMES = 100_000, 2, 5


def program(names: tuple[str, ...] = CELLS, nets=NETS, somas=(), **changed) -> PulseNetlist:
    kinds = [TARGET.cell(n) for n in dict.fromkeys(names)]
    index = [k.name for k in kinds]
    n, i32 = len(names), np.int32
    from_cell, from_pin, to_cell, to_pin = (np.array(c) for c in zip(*nets, strict=True))
    branches = [len(kinds[index.index(names[c])].inputs) for c, _ in somas]
    none, f8 = np.zeros(sum(branches)), np.zeros(0, np.int64)
    arrays = SfqArrays(
        np.array([index.index(x) for x in names], np.int16), np.zeros(n, np.int16), np.zeros(n, np.uint8),
        from_cell.astype(i32), from_pin.astype(np.int16), to_cell.astype(i32), to_pin.astype(np.int16),
        np.array([0], i32), np.zeros(0, i32), f8, np.zeros(0, i32), np.array([len(nets) - 1], i32),
        np.array([c for c, _ in somas], i32), np.array([a for _, a in somas]), np.cumsum([0, *branches]), none, none,
        none, none, none, np.array([0, 0]), np.zeros(0, i32), np.zeros(1, np.int64))
    made = PulseNetlist("net", "sfq", "1", TARGET.digest(), "", (Port("in", (1,)),),
                        (Layer("out", (1,), "counter", 50_000),), {"out": ("out",)}, tuple(kinds), ("clock",), ("all",),
                        Schedule(FRAME_FS), arrays, Semantics(dt=1e-10))
    return dataclasses.replace(made, **changed)


def trace(net: PulseNetlist, counts: dict[str, int]) -> Trace:
    """Every sample has these counts, all others are 0."""
    known = {f"{k.name} {pin}|{s}": 0 for k in net.types for s in range(len(k.states)) for pin in k.inputs}
    rows = {n: np.full((SAMPLES, 1), c) for n, c in {**known, "frames": FRAMES, **counts}.items()}
    none = np.zeros(0, np.int64)
    return Trace(SAMPLES, FRAMES, {"out": Events((1,), SAMPLES, FRAMES, none, none, none)}, counts=rows)


COUNTS = {"SPLIT a|0": 5, "JTL a|0": 5, "MERGE a|0": 5, "MERGE b|0": 5, "TFF a|0": 5, "TFF a|1": 5, "SINK a|0": 5}
DRAWN = 5 * (1.09 + 0.72 + 1.1 + 1.1 + 0.96 + 0.96) * 1e-18


def priced(**options) -> CostReport:
    net = program()
    return estimate(net, trace(net, COUNTS), TARGET, **options)


def extra(report: CostReport, name: str):
    return {e.name: e for e in report.extra}[name].amount


def text_of(report: CostReport, name: str) -> str:
    return {e.name: e for e in report.extra}[name].to_text()


def test_energy_of_pulses_is_counts_times_prices():
    report = priced()
    assert report.energy_dynamic.value == pytest.approx(DRAWN, rel=1e-9)
    assert report.energy_dynamic.low == pytest.approx(DRAWN)
    assert report.energy_dynamic.high == pytest.approx(DRAWN + 5 * 2 * 0.96e-18), "a toggle may draw twice as much"
    assert not report.energy_dynamic.is_lower_bound
    assert {i.per: i.count for i in report.items} == {k: float(v) for k, v in COUNTS.items() if k != "SINK a|0"}


def test_events_that_did_not_occur_have_no_line():
    net = program()
    report = estimate(net, trace(net, {"JTL a|0": 3}), TARGET)
    assert [i.per for i in report.items] == ["JTL a|0"]
    assert report.energy_dynamic.value == pytest.approx(3 * 0.72e-18)


def test_latency_is_frames_of_one_length():
    net = program(schedule=Schedule(FRAME_FS, start_fs=30_000))
    counted = trace(net, COUNTS)
    counted.counts["frames"][1] = 9
    report = estimate(net, counted, TARGET)
    assert report.latency_samples == pytest.approx([530e-12, 930e-12])
    assert report.latency.value == pytest.approx(730e-12)
    assert extra(report, "frame rate, at most").value == pytest.approx(10e9)
    assert "10 GHz" in text_of(report, "frame rate, at most")


def test_rsfq_burns_bias_current_times_voltage():
    report, amps = priced(), sum(BIAS_MA.values()) * 1e-3
    assert report.energy_static.value == pytest.approx(amps * V * 500e-12)
    assert report.energy_static.high == pytest.approx(amps * 2.6e-3 * 500e-12)
    assert extra(report, "bias current").value == pytest.approx(amps)
    assert bias_by_role(program())[0] == pytest.approx({k: v * 1e-3 for k, v in BIAS_MA.items()})
    assert report.energy_total.value == pytest.approx(amps * V * 500e-12 + DRAWN)


def test_a_transmission_line_at_20_ghz():
    """14.5 nW in pulses against 910 nW of bias (2.6 mV): static by 63 to 1."""
    net = program(("SRC", "JTL", "SINK"), ((0, 0, 1, 0), (1, 0, 2, 0)), schedule=Schedule(50_000))
    report = estimate(net, trace(net, {"JTL a|0": FRAMES}), TARGET)
    seconds = report.latency.value
    assert report.energy_dynamic.value / seconds == pytest.approx(14.5e-9, rel=0.01)
    line = next(i for i in report.static if "wire" in i.name)
    assert line.amount().high / seconds == pytest.approx(910e-9, rel=0.01)


def test_ersfq_burns_nothing_at_rest_and_doubles_the_pulses():
    report = priced(bias_scheme="ersfq")
    assert report.energy_static.value == 0.0
    assert report.energy_dynamic.value == pytest.approx(2 * DRAWN)
    assert report.static == ()
    assert extra(report, "junctions with ERSFQ bias").value == pytest.approx(1.4 * 23)
    assert "rule of thumb" in text_of(report, "junctions with ERSFQ bias")
    rules = [c for c in report.constants if "ersfq" in str(c["name"])]
    assert len(rules) == 2 and all(c["calibrated"] for c in rules)
    power = report.energy_total.value / report.latency.value
    assert extra(report, "power a junction").value == pytest.approx(power / (1.4 * 23))


def test_energy_with_and_without_cooling():
    report = priced()
    cooled, bare = extra(report, "energy, with cooling"), report.energy_total
    assert cooled.value == pytest.approx(401 * bare.value)
    assert (cooled.low, cooled.high) == (pytest.approx(401 * bare.low), pytest.approx(10_001 * bare.high))
    own = priced(cooling=1000)
    assert extra(own, "energy, with cooling").value == pytest.approx(1001 * bare.value)
    assert own.energy_total.value == bare.value, "cooling is never in the sum"
    assert extra(own, "power, with cooling").value == pytest.approx(1001 * extra(own, "power, without cooling").value)
    assert "at 400 W/W, 400 to 10,000" in text_of(report, "energy, with cooling")
    assert "at 1,000 W/W)" in text_of(own, "energy, with cooling")


def test_junctions_by_role():
    report = priced()
    assert extra(report, "junctions").value == sum(JJ.values()) == 23
    assert {r: extra(report, f"junctions of {r} cells").value for r in JJ} == JJ
    assert "8 (35%)" in report.to_text()
    assert "junctions with ERSFQ bias" not in report.to_text()


def test_the_textbook_bound():
    """Critical currents x PHI0; a JTL's pulse is then 1.03 aJ instead of 0.72."""
    net = program(("SRC", "JTL", "SINK"), ((0, 0, 1, 0), (1, 0, 2, 0)))
    report = estimate(net, trace(net, {"JTL a|0": 1, "SINK a|0": 1}), TARGET)
    assert extra(report, "energy, critical currents x PHI0").value == pytest.approx(0.5e-3 * PHI0, rel=0.01)


def test_area_is_a_lower_bound_where_a_cell_has_none():
    report = priced()
    area = extra(report, "area of cells")
    assert area.value == pytest.approx((2100 + 1400 + 3500) * 1e-6)
    assert set(area.missing) == {"SRC", "TFF", "SINK"}
    assert "at least; not published: SRC; TFF; SINK" in text_of(report, "area of cells")
    assert extra(report, "area, routed as a published chip").value == pytest.approx(23 * 2280e-6)


def test_an_unknown_energy_makes_the_sum_a_lower_bound():
    net = program(("SRC", "JTL", "SFQDC"), ((0, 0, 1, 0), (1, 0, 2, 0)))
    report = estimate(net, trace(net, {"JTL a|0": 1, "SFQDC a|0": 1}), TARGET)
    assert report.energy_dynamic.value == pytest.approx(0.72e-18)
    assert report.energy_dynamic.missing == ("SFQDC a",)
    assert report.energy_total.is_lower_bound
    assert "at least; not published: SFQDC a" in report.to_text()
    quiet = estimate(net, trace(net, {"JTL a|0": 1}), TARGET)
    assert not quiet.energy_dynamic.is_lower_bound


def test_an_unknown_bias_makes_power_and_current_lower_bounds():
    net = program()
    kinds = tuple(dataclasses.replace(k, bias_a=np.nan) if k.name == "TFF" else k for k in net.types)
    net = dataclasses.replace(net, types=kinds)
    report = estimate(net, trace(net, COUNTS), TARGET)
    assert bias_current(net).missing == ("bias of TFF",)
    assert report.energy_static.missing == ("bias of TFF",)
    assert "bias of TFF" in text_of(report, "bias current")
    assert power_per_junction(net, TARGET).is_lower_bound


def loop(own_a: float) -> PulseNetlist:
    nets = ((0, 0, 1, 0), (1, 0, 2, 0), (1, 1, 2, 1), (2, 0, 3, 0))
    return program(("SRC", "SPLIT", "SOMA2", "SINK"), nets, ((2, own_a),))


def test_a_soma_draws_when_it_fires():
    net = loop(100e-6)
    report = estimate(net, trace(net, {"SOMA2 b0|0": 7, "SOMA2 b1|1": 3}), TARGET)
    output = TARGET.soma(2).bias_a
    assert report.energy_dynamic.value == pytest.approx(3 * (output + 100e-6) * PHI0)
    assert [(i.name, i.count) for i in report.items] == [("SOMA2 fires", 3.0)]
    assert bias_by_role(net)[0]["neuron"] == pytest.approx(output + 100e-6)
    assert bias_by_role(loop(50e-6))[0]["neuron"] == pytest.approx(output + 50e-6)


def test_a_large_current_is_remarked():
    n = 4000
    names = ("SRC", *("MERGE",) * n, "SINK")
    net = program(names, tuple((k, 0, k + 1, 0) for k in range(n + 1)))
    report = estimate(net, trace(net, {}), TARGET)
    assert extra(report, "bias current").value == pytest.approx(n * 0.708e-3 + 0.45e-3)
    assert "above 2,500 mA a chip" in text_of(report, "bias current")
    assert "above" not in text_of(priced(), "bias current")


def routed(fan: int) -> PulseNetlist:
    """A neuron with its share of a network: trees of splitters and mergers over ``fan`` synapses, a counter of 4 bits,
    a store and a read-out; every output leads into a transmission line.
    """
    logic = {"SPLIT": fan - 1, "MERGE": fan - 1, "TFF": 4, "DFF": 1, "NDRO": 1}
    lines = sum(n * len(TARGET.cell(name).outputs) for name, n in logic.items())
    names = tuple(x for name, n in {**logic, "PTLTX": lines, "PTLRX": lines}.items() for x in (name,) * n)
    return program(names, ((0, 0, 1, 0),))


@pytest.mark.parametrize("fan", [8, 16, 64, 256])
def test_a_routed_design_takes_what_published_chips_take(fan):
    """0.35 to 0.55 uW/JJ: SUSHI has 0.419, the 4-bit ALU 0.53."""
    found = power_per_junction(routed(fan), TARGET)
    assert 0.35e-6 < found.value < 0.55e-6
    assert found.high == pytest.approx(found.value * 2.6 / 2.5)
    sushi = next(c for c in published_chips() if c.id == "sushi")
    assert 35e-3 < sushi.junctions * found.value < 55e-3
    assert sushi.junctions * found.value == pytest.approx(sushi.power.value, rel=0.15)


def test_only_constants_of_its_cells_are_listed():
    names = {str(c["name"]).split()[0] for c in priced().constants}
    assert set(CELLS) <= names
    assert not names & {"AND2", "NDRO", "XOR", "SOMA2"}
    assert "RSFQ" in names and "cooling" in names


def test_json_holds_what_the_text_shows():
    found = json.loads(json.dumps(priced().to_dict()))
    assert found["extra"]["junctions"]["value"] == 23
    assert found["extra"]["energy, with cooling"]["high"] > found["energy_total"]["high"]
    assert found["energy_total"]["unit"] == "J"


def test_other_chips_have_no_extra_lines():
    assert "extra" not in dataclasses.replace(priced(), extra=()).to_dict()


def test_what_is_refused():
    net = program()
    counted = trace(net, COUNTS)
    for options, code in (({"bias_scheme": "aqfp"}, "BAD_OPTION"), ({"cooling": -1.0}, "BAD_OPTION"),
                          ({"cooling": float("nan")}, "BAD_OPTION"), ({"boundary": "host"}, "NO_HOST"),
                          ({"proxy": "x"}, "NO_PROXY")):
        with pytest.raises(TargetError, match=rf"^\[{code}\]"):
            estimate(net, counted, TARGET, **options)
    with pytest.raises(DataError, match=r"^\[NO_COUNTS\]"):
        estimate(net, dataclasses.replace(counted, counts={}), TARGET)
    fewer = {k: v for k, v in counted.counts.items() if k != "TFF a|1"}
    with pytest.raises(DataError, match=r"it does not count TFF a\|1"):
        estimate(net, dataclasses.replace(counted, counts=fewer), TARGET)
    with pytest.raises(DataError, match="it has no population out of 1 neurons"):
        estimate(net, dataclasses.replace(counted, spikes={}), TARGET)


def test_options_by_name():
    assert sfq_cost.Choice.of({}) == sfq_cost.Choice("rsfq", None)
    assert sfq_cost.Choice.of({"bias_scheme": "ersfq", "cooling": "1000"}) == sfq_cost.Choice("ersfq", 1000.0)
    for options, code in (({"volts": 3}, "UNKNOWN_OPTION"), ({"cooling": "much"}, "BAD_OPTION")):
        with pytest.raises(TargetError, match=rf"^\[{code}\]"):
            sfq_cost.Choice.of(options)
