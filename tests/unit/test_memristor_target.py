"""Descriptions of crossbars: the physics that follows, what may be changed of it, and the models of converters."""

from __future__ import annotations

import math
from importlib import resources
from typing import get_args

import pytest

from hwsdk import targets
from hwsdk.errors import TargetError
from hwsdk.ir.crossbar import STAGES, Forming, Law, Physics
from hwsdk.simulators import devices
from hwsdk.targets import adc, load_target, parse_target
from hwsdk.targets.loihi import LoihiTarget
from hwsdk.targets.memristor import MemristorTarget, Stage
from hwsdk.targets.memristor_changes import names

PRESETS = tuple(n for n in targets.names() if n.startswith("memristor"))
CHIP = load_target("memristor", MemristorTarget)
US = 1e-6


def source(name: str) -> str:
    return (resources.files("hwsdk.targets") / "data" / f"{name}.toml").read_text("utf-8")


def parsed(name: str, *changes: tuple[str, str]) -> MemristorTarget:
    text = source(name)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    target = parse_target(text, "my.toml")
    assert isinstance(target, MemristorTarget)
    return target


def test_the_presets():
    assert PRESETS == ("memristor", "memristor_128", "memristor_ideal", "memristor_isaac", "memristor_neurram",
                       "memristor_pcm")


@pytest.mark.parametrize("name", PRESETS)
def test_every_law_has_the_constants_that_its_formula_needs(name):
    p = load_target(name, MemristorTarget).physics()
    for role in ("write", "read", "drift"):
        devices.check(getattr(p.device, role), role)
    assert p.stages == (() if name == "memristor_ideal" else STAGES)
    assert Physics.from_json(p.to_json()) == p
    assert 0 <= p.cell.g_min < p.cell.g_max <= (p.cell.ceiling or math.inf)


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_of_the_physics_is_shown_with_its_source(name):
    target = load_target(name, MemristorTarget)
    shown = {f.value for f in (*target.figures().values(), *target.times().values())} | {
        float(x.value) for x in target.limits.values() if x.value is not None}
    p = target.physics()
    used = [p.rows, p.columns, p.mux, p.volts, p.cell.g_min, p.cell.g_max, p.wires.word, p.wires.bit, p.timing.settle,
            p.timing.integrate, p.timing.convert]
    used += [x for x in (p.cell.g_off, p.cell.ceiling, p.cell.levels, p.adc.bits, p.dac_bits) if x is not None]
    for law in (p.device.write, p.device.read, p.device.drift):
        for c in law.constants.values():
            used += c if isinstance(c, tuple) else (c,)
    assert {float(x) for x in used} <= shown
    assert f"wires {p.wires.topology}, columns that conduct: {p.wires.conducting} [" in target.to_text()
    assert "[]" not in target.to_text()


def test_the_40_nm_macro():
    p = CHIP.physics()
    assert (p.rows, p.columns, p.mux, p.volts, p.dac_bits, p.adc.bits) == (512, 512, 8, 0.2, 1, 6)
    assert p.device.forming == Forming(0.503, 12.14e-6, 0.149)
    assert (p.cell.g_off, p.cell.levels) == (0.1e-6, None)
    assert (p.wires.topology, p.wires.word, p.wires.bit, p.wires.conducting) == ("gated", 2.49, 0.83, "selected")
    assert p.timing.phase * p.mux == pytest.approx(560e-9)
    assert p.device.write.family == p.device.read.family == "none"
    assert "not known: errors of write, read, drift" in CHIP.about()
    assert "figure device, write = unknown S [not published for this macro" in CHIP.to_text()


def test_the_other_arrays():
    ideal, offset, wan, isaac, pcm = (load_target(f"memristor_{n}", MemristorTarget).physics()
                                      for n in ("ideal", "128", "neurram", "isaac", "pcm"))
    assert (ideal.cell.g_min, ideal.volts, ideal.dac_bits, ideal.adc.bits) == (0.0, 1.0, None, None)
    assert math.frexp(ideal.cell.g_max)[0] == 0.5, "a power of two"
    assert (offset.cell.g_min + offset.cell.g_max) / 2 == pytest.approx(50 * US)
    assert offset.cell.ceiling == offset.cell.g_max
    assert (wan.rows, wan.cell.g_max, wan.device.drift.family) == (256, 40e-6, "wan")
    assert (isaac.cell.levels, isaac.cell.g_max, isaac.cell.g_min) == (4, 1 / 2e3, 1 / 2e6)
    assert isaac.timing.phase == pytest.approx(100e-9)
    assert (pcm.device.write.family, pcm.device.read.family, pcm.device.drift.family) == ("pcm", "pcm_1f", "pcm")
    assert pcm.device.write.many("coefficients_us").tolist() == [0.26348, 1.965, -1.1731]


def test_noise_is_given_as_a_share_of_the_window():
    p = CHIP.physics(write=0.1, read="0.05")
    assert (p.device.write, p.device.read) == (Law("range", {"a": 0.1}), Law("range", {"a": 0.05}))
    sigma = devices.write_sigma(p.device.write, p.cell, devices.np.array([10 * US, 40 * US]))
    assert sigma == pytest.approx([4.5 * US] * 2)
    assert p.device.drift == CHIP.physics().device.drift


def test_stages():
    assert CHIP.physics(stages="write, adc").stages == ("write", "adc")
    assert CHIP.physics(stages=("adc", "write")).stages == ("write", "adc"), "in the order in which they act"
    assert CHIP.physics(stages="none").stages == ()
    assert CHIP.physics(stages="none", wires="on").stages == ("wires",)
    assert CHIP.physics(off="read,wires").stages == ("levels", "write", "faults", "drift", "adc")
    assert CHIP.physics(wires=False, write="off").stages == ("levels", "faults", "drift", "adc", "read")
    assert CHIP.physics(stages="none", write=0.1).stages == ("write",)
    assert CHIP.physics(levels=16).has("levels")
    assert not CHIP.physics(levels="off").has("levels")
    assert get_args(Stage) == STAGES


def test_what_is_given_for_a_stage_switches_it_on():
    """The ideal array has no stage on; a number for one of them would do nothing otherwise."""
    ideal = load_target("memristor_ideal", MemristorTarget)
    for given, stage in (("levels", "levels"), ("adc_bits", "adc"), ("adc_offset", "adc"), ("adc_gain", "adc"),
                         ("word_ohm", "wires"), ("bit_ohm", "wires"), ("driver_ohm", "wires"), ("sense_ohm", "wires"),
                         ("write", "write"), ("read", "read")):
        assert ideal.physics(**{given: 8}).stages == (stage,)
    assert ideal.physics(stuck_on=0.1).stages == ideal.physics(stuck_off=0.1).stages == ("faults",)
    assert ideal.physics(adc_bits=8, stages="wires").stages == ("wires",)
    assert ideal.physics(adc_bits=8, adc="off").stages == ideal.physics(adc_bits=8, off="adc").stages == ()
    assert ideal.physics(adc_bits=8).adc.bits == 8


@pytest.mark.parametrize(("name", "value", "found"), [
    ("adc_bits", "8", lambda p: p.adc.bits == 8), ("adc_bits", "ideal", lambda p: p.adc.bits is None),
    ("levels", 16, lambda p: p.cell.levels == 16), ("levels", "any", lambda p: p.cell.levels is None),
    ("mux", 1, lambda p: p.mux == 1), ("die", 7, lambda p: p.die == 7), ("seconds", "9", lambda p: p.seconds == 9),
    ("volts", 0.1, lambda p: p.volts == 0.1), ("conducting", "all", lambda p: p.wires.conducting == "all"),
    ("word_ohm", 1, lambda p: p.wires.word == 1.0), ("bit_ohm", 2, lambda p: p.wires.bit == 2.0),
    ("driver_ohm", 3, lambda p: p.wires.driver == 3.0), ("sense_ohm", 4, lambda p: p.wires.sense == 4.0),
    ("stuck_on", 0.01, lambda p: p.device.stuck_on == 0.01), ("stuck_off", 0.02, lambda p: p.device.stuck_off == 0.02),
    ("formed", 0.25, lambda p: p.device.forming.formed == 0.25), ("adc_offset", 0.5, lambda p: p.adc.offset == 0.5),
    ("adc_gain", 0.01, lambda p: p.adc.gain == 0.01), ("settle", 2e-8, lambda p: p.timing.settle == 2e-8),
    ("integrate", 1e-8, lambda p: p.timing.integrate == 1e-8), ("convert", 3e-8, lambda p: p.timing.convert == 3e-8),
    ("overlap", "on", lambda p: p.timing.overlap), ("g_min", 1e-6, lambda p: p.cell.g_min == 1e-6),
    ("g_max", 6e-5, lambda p: p.cell.g_max == 6e-5), ("g_off", 0, lambda p: p.cell.g_off == 0),
    ("ceiling", 5e-5, lambda p: p.cell.ceiling == 5e-5), ("rows", 64, lambda p: p.rows == 64),
    ("columns", 32, lambda p: p.columns == 32), ("drift", "off", lambda p: not p.has("drift")),
    ("faults", "off", lambda p: not p.has("faults")), ("adc", "off", lambda p: not p.has("adc")),
    ("topology", "driven", lambda p: p.wires.topology == "driven"), ("read", "off", lambda p: not p.has("read")),
])
def test_each_change_alone(name, value, found):
    assert found(CHIP.physics(**{name: value}))
    assert not found(CHIP.physics()) or value in ("any",), "it differs from what was there"
    assert CHIP.physics(**{name: None}) == CHIP.physics()


def test_any_input_only_on_driven_rows():
    assert CHIP.physics(topology="driven", dac_bits="any").dac_bits is None
    assert CHIP.physics(topology="driven", dac_bits=4).dac_bits == 4
    with pytest.raises(TargetError, match=r"gated rows, which are on or off, with dac_bits 4"):
        CHIP.physics(dac_bits=4)


def test_a_forming_voltage_gives_the_share_of_formed_cells():
    """Phi((V - 3.428) / 0.113): half of them at the mean, 84 % one deviation above."""
    assert CHIP.physics(forming_volts=3.428).device.forming.formed == pytest.approx(0.5)
    found = CHIP.physics(forming_volts="3.541").device.forming
    assert found.formed == pytest.approx(0.8413, abs=1e-4)
    assert (found.median, found.sigma) == (12.14e-6, 0.149)


@pytest.mark.parametrize(("changes", "code", "told"), [
    ({"bits": 4}, "UNKNOWN_OPTION", "there is no bits to be changed"),
    ({"mux": 0}, "BAD_OPTION", "a whole number from 1"), ({"mux": True}, "BAD_OPTION", "mux is True"),
    ({"mux": 1024}, "BAD_OPTION", "a mux of 1024 over 512 columns"), ({"adc_bits": 2.5}, "BAD_OPTION", "or ideal"),
    ({"adc_bits": 25}, "BAD_OPTION", "from 1 to 24"), ({"volts": 0}, "BAD_OPTION", "more than 0"),
    ({"volts": "much"}, "BAD_OPTION", "volts is 'much'"), ({"seconds": float("inf")}, "BAD_OPTION", "0 or more"),
    ({"write": -0.1}, "BAD_OPTION", "write is -0.1"), ({"write": "wan"}, "BAD_OPTION", "write is 'wan'"),
    ({"drift": 0.1}, "BAD_OPTION", "on or off"), ({"stages": "wires,noise"}, "BAD_OPTION", "stages is 'noise'"),
    ({"off": "sun"}, "BAD_OPTION", "off is 'sun'"), ({"topology": "mesh"}, "BAD_OPTION", "driven or gated"),
    ({"stuck_on": 1.5}, "BAD_OPTION", "a share from 0 to 1"), ({"overlap": "maybe"}, "BAD_OPTION", "on or off"),
    ({"stuck_on": 0.6, "stuck_off": 0.6}, "BAD_OPTION", "0.6 + 0.6 of all cells stuck"),
    ({"g_min": 60e-6}, "BAD_OPTION", "a window from 6e-05 to 5e-05 S"), ({"ceiling": 1e-5}, "BAD_OPTION", "a ceiling"),
    ({"formed": 0.5, "forming_volts": 3.4}, "BAD_OPTION", "either formed or forming_volts"),
])
def test_what_is_refused(changes, code, told):
    with pytest.raises(TargetError, match=rf"^\[{code}\]") as caught:
        CHIP.physics(**changes)
    assert told in str(caught.value)


def test_cells_without_a_described_forming_have_no_share():
    with pytest.raises(TargetError, match="the forming of these cells is not described"):
        load_target("memristor_pcm", MemristorTarget).physics(formed=0.5)


def test_every_change_has_a_name_that_is_tried_above():
    tried = {m.args[1][k][0] for m in test_each_change_alone.pytestmark for k in range(len(m.args[1]))}
    assert set(names()) - tried == {"stages", "off", "write", "wires", "dac_bits", "forming_volts"}


@pytest.mark.parametrize(("old", "new", "told"), [
    ('topology = "gated"', 'topology = "mesh"', "wires.topology"),
    ('per = "neuron_updates"', 'per = "spikes"', "energy.0.per"),
    ("g_min = { value = 5e-6,", "g_min = { value = '5',", "cell.g_min.value"),
    ("formed = { value", "grown = { value", "device.forming.formed: Field required"),
    ("volts = { value = 0.2, unit = \"V\",", "volts = { value = 0.2,", "drive.volts.unit: Field required"),
])
def test_what_breaks_the_form_is_named(old, new, told):
    with pytest.raises(TargetError) as caught:
        parsed("memristor", (old, new))
    assert told in str(caught.value)
    with pytest.raises(TargetError, match=r"^\[WRONG_FAMILY\] memristor"):
        load_target("memristor", LoihiTarget)


def test_a_figure_that_the_physics_needs_has_to_be_there():
    bare = parsed("memristor", ("volts = { value = 0.2, ", "volts = { "))
    with pytest.raises(TargetError, match=r"memristor: drive\.volts has no value"):
        bare.physics()


def test_a_law_without_a_constant_is_found_out_by_name():
    bare = parsed("memristor_128", ('a = { value = 0.05, unit', "a = { unit"))
    assert bare.physics().device.write == Law("range", {})
    with pytest.raises(TargetError, match=r"^\[BAD_LAW\]"):
        devices.check(bare.physics().device.write, "write")


SURVEY_PJ = {  # pJ of 4, 5, 6, 7, 8 bits at 1 MS/s to 1 GS/s, and of 10 bits to 100 MS/s
    28: (0.719, 0.728, 0.829, 1.021, 1.333, 2.575), 40: (1.405, 1.424, 1.620, 1.996, 2.607, 5.035),
    65: (3.501, 3.548, 4.036, 4.973, 6.494, 12.54)}


@pytest.mark.parametrize("nm", SURVEY_PJ)
@pytest.mark.parametrize("rate", [1e6, 1e8])
def test_energies_of_the_survey(nm, rate):
    found = [adc.survey_joules(b, nm, rate) * 1e12 for b in (4, 5, 6, 7, 8, 10)]
    assert found == pytest.approx(SURVEY_PJ[nm], rel=0.01)


def test_a_fast_converter_of_many_bits_takes_more():
    assert adc.survey_joules(8, 40, 1e9) == pytest.approx(adc.survey_joules(8, 40, 1e6))
    assert adc.survey_joules(10, 40, 1e9) > 1.05 * adc.survey_joules(10, 40, 1e8)
    assert adc.survey_joules(3, 40, 1e8) == adc.survey_joules(4, 40, 1e8), "the fit ends at 4 bits"


def test_areas_of_the_survey():
    found = [adc.survey_area(40, 1e8, adc.survey_joules(b, 40, 1e8)) * 1e12 for b in (4, 8)]
    assert found == pytest.approx([4633, 5574], rel=0.01)


def test_neurosim_is_far_below_the_survey():
    small = adc.neurosim_joules(6, 10e3)
    assert small == pytest.approx(0.28e-12, rel=0.01)
    assert adc.survey_joules(6, 40, 1e8) / small == pytest.approx(5.8, rel=0.01)
    by_hand = (13.0146e-6 + 16.693e-6 + 0.1 * 1.02 / 10e3) * 7e-9
    assert small == pytest.approx(by_hand, rel=1e-2)
    assert adc.neurosim_joules(6, 1e3) > 3 * small, "the current of the column counts"
    assert adc.neurosim_joules(6, 10e3, nm=90) / small == pytest.approx(2**1.88, rel=1e-3)


def test_a_conversion_is_a_band_with_both_sources():
    band = adc.conversion(6, 40, 1e8, 10e3)
    low, high = band.bounds()
    assert (band.value, high) == (adc.survey_joules(6, 40, 1e8),) * 2
    assert low == adc.neurosim_joules(6, 10e3, 40)
    assert "Murmann" in band.source and "NeuroSim" in band.source and "scaled to 40 nm" in band.source
    one, other = (adc.conversion(6, 40, 1e8, 10e3, m) for m in ("murmann", "neurosim"))
    assert (one.value, other.value) == (high, low)
    assert one.bounds() == (one.value,) * 2 and "NeuroSim" not in one.source and "Murmann" not in other.source


@pytest.mark.parametrize("call", [
    lambda: adc.survey_joules(0, 40, 1e8), lambda: adc.survey_joules(6, 0, 1e8), lambda: adc.survey_joules(6, 40, 0),
    lambda: adc.survey_area(40, 1e8, 0), lambda: adc.neurosim_joules(6, 0),
    lambda: adc.neurosim_joules(6, 1e4, volts=0),
    lambda: adc.neurosim_joules(6, 1e4, nm=math.inf)])
def test_converters_that_cannot_be(call):
    with pytest.raises(TargetError, match=r"^\[BAD_ADC\]"):
        call()


def test_converters_of_a_macro():
    p = CHIP.physics()
    assert CHIP.converters(p) == 64
    assert CHIP.rate(p) == pytest.approx(1e8)
    assert CHIP.conversion(p).value == pytest.approx(1.62e-12, rel=1e-3)
    assert CHIP.conversion(CHIP.physics(adc_bits=8)).value == pytest.approx(2.607e-12, rel=1e-2)
    assert CHIP.conversion(CHIP.physics(adc="off")) is None
    area = CHIP.converter_area(p)
    assert 4633e-12 < area.value < 5574e-12
    assert area.low < 0.7 * area.value
    isaac = load_target("memristor_isaac", MemristorTarget)
    assert (isaac.converters(isaac.physics()), isaac.rate(isaac.physics())) == (1, pytest.approx(1.28e9))
    ideal = load_target("memristor_ideal", MemristorTarget)
    assert ideal.conversion(ideal.physics()) is None and ideal.converter_area(ideal.physics()) is None
    with pytest.raises(TargetError, match=r"adc_model 'best'"):
        ideal.conversion(ideal.physics(), "best")


def test_prices_of_lines():
    """512 x 0.5 fF at 1.1 V and at 0.2 V; driven rows swing by the read voltage."""
    found = {p.name: p.value for p in CHIP.prices()}
    assert found["word line"] == pytest.approx(512 * 0.5e-15 * 1.21)
    assert found["bit line"] == pytest.approx(512 * 0.5e-15 * 0.04)
    driven = {p.name: p.value for p in CHIP.event_prices(CHIP.physics(topology="driven", volts=0.3))}
    assert driven["word line"] == driven["bit line"] == pytest.approx(512 * 0.5e-15 * 0.09)
    assert found["shift register, bit"] is found["write of a cell"] is None
    ideal = load_target("memristor_ideal", MemristorTarget)
    assert all(p.value is None for p in ideal.prices())


def test_a_dac_has_a_price_where_one_is_known():
    dac = 'dac = { value = 1e-13, unit = "J", source = "mine" }\ndac_bits = { value = 1,'
    found = parsed("memristor", ("dac_bits = { value = 1,", dac))
    assert [(p.per, p.value) for p in found.prices() if p.name == "DAC"] == [("row_drives", 1e-13)]
    assert not [p for p in CHIP.prices() if p.name == "DAC"]


def test_what_a_chip_is_in_words():
    assert CHIP.size_text() == "16 macro(s) a chip of 512 x 512 cells of 5 to 50 uS"
    assert CHIP.about().startswith("gated rows, inputs bit by bit, digital neurons, ADCs of 6 bits for 8 column")
    assert "ideal converters" in load_target("memristor_ideal").about()
    assert "ADCs of 9 bits for each column" in load_target("memristor_pcm").about()
    assert CHIP.cell_area() == pytest.approx(48 * 40e-9**2)
