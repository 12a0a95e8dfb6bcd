"""Descriptions: one form for every family, and what it says when a file breaks it."""

from __future__ import annotations

from importlib import resources

import pytest

from hwsdk import targets
from hwsdk.cli.show import target_text
from hwsdk.errors import TargetError
from hwsdk.targets import load_target, parse_target
from hwsdk.targets.loihi import LoihiTarget
from hwsdk.targets.spinnaker import SpinnakerTarget

CHIP = load_target("spinnaker2", SpinnakerTarget)


def source(name: str) -> str:
    return (resources.files("hwsdk.targets") / "data" / f"{name}.toml").read_text("utf-8")


@pytest.mark.parametrize("name", targets.names())
def test_every_number_has_a_source_and_a_unit(name):
    target = load_target(name)
    found = [*target.limits.values(), *target.prices(), *target.powers(), *target.times().values(),
             *target.figures().values(), *target.host]
    assert all(f.source and f.unit for f in found)
    assert target.to_text() == load_target(name).to_text()
    assert target.digest() == load_target(name).digest()
    assert target.size_text() and target.about()
    assert max(map(len, target_text(target).splitlines())) < 160


def test_a_family_has_its_form():
    assert isinstance(load_target("loihi1"), LoihiTarget)
    assert isinstance(load_target("spinnaker2"), SpinnakerTarget)
    with pytest.raises(TargetError, match=r"^\[WRONG_FAMILY\] spinnaker2"):
        load_target("spinnaker2", LoihiTarget)


@pytest.mark.parametrize(("old", "new", "told"), [
    ('family = "spinnaker"\n', "", "family: Field required"),
    ('family = "spinnaker"', 'family = "abacus"', "family: 'abacus' is not known"),
    ('family = "spinnaker"', "family = 3", "family: 3 is not known"),
    ('family = "spinnaker"', 'family = "loihi"', "capabilities: Field required; mesh: Field required"),
    ("clock_hz = { value = 150e6", 'clock_hz = { value = "150"', "levels.low.clock_hz.value"),
    ("[levels.high]", "[levels.fast]", "the levels are low, high"),
    ("spike_out = ", "spike_in = ", "cycles.spike_out: Field required; cycles.spike_in: Extra inputs"),
    ("[limits]", "[limits", "not TOML"),
    ("E = [1, 0]", "E = [1]", "board.links.E"),
])
def test_what_breaks_a_form_is_named(old, new, told):
    text = source("spinnaker2")
    assert old in text
    with pytest.raises(TargetError) as caught:
        parse_target(text.replace(old, new), "my.toml")
    assert told in str(caught.value)
    assert str(caught.value).startswith("[BAD_TARGET] my.toml")


def test_a_file_of_any_family_can_be_loaded(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(source("spinnaker2").replace('name = "spinnaker2"', 'name = "mine"', 1))
    assert load_target(file).name == "mine"
    assert load_target(file).digest() != CHIP.digest()


def test_memory_of_a_pe():
    assert CHIP.data_bytes == 94_208
    assert (CHIP.need("pes"), CHIP.need("application_pes"), CHIP.need("chips")) == (152, 148, 48)


def test_all_names_of_limits_are_there():
    assert {"pes", "application_pes", "sram", "code", "heap_stack", "router_entries", "key_bits", "atoms_narrow",
            "atoms_wide", "delay_slots", "fifo", "chips"} <= set(CHIP.limits)


def test_cores_sit_where_the_quad_map_says():
    """SpiNNMachine version_spin2.py, QUAD_MAP: a few of its entries."""
    found = {p: CHIP.place(p) for p in (1, 4, 5, 25, 76, 77, 104, 152)}
    assert found == {1: (7, 6, 0), 4: (7, 6, 3), 5: (7, 5, 0), 25: (5, 6, 0), 76: (3, 4, 3), 77: (1, 1, 0),
                     104: (3, 3, 3), 152: (5, 3, 3)}
    places = set(CHIP.noc.qpes) | set(CHIP.noc.router)
    assert len(CHIP.noc.qpes) == 38 and len(places) == 40
    assert places == {(x, y) for x in range(1, 8) for y in range(1, 7)} - {(7, 3), (7, 4)}
    for core in (0, 153):
        with pytest.raises(TargetError, match=f"there is no core {core}"):
            CHIP.place(core)


def test_the_way_to_the_router():
    assert CHIP.router_hops(101) == 1  # (3, 3)
    assert CHIP.router_hops(1) == 5  # (7, 6)
    assert (CHIP.hop_s, CHIP.router_s, CHIP.link_s) == (pytest.approx(5 / 300e6), pytest.approx(10e-9), 16e-9)


def test_a_board_has_48_chips_that_hang_together():
    chips = CHIP.board.chips
    assert len(chips) == len(set(chips)) == 48
    assert [sum(x == c for x, _ in chips) for c in range(8)] == [4, 5, 6, 7, 8, 7, 6, 5]
    for n in range(1, 48):  # any number of them, in order
        near = {(chips[n][0] + dx, chips[n][1] + dy) for dx, dy in CHIP.board.links.values()}
        assert near & set(chips[:n]), chips[n]
    assert list(CHIP.board.links) == ["E", "NE", "N", "W", "SW", "S"]


def test_the_cycle_model_says_that_it_is_calibrated():
    assert all(f.calibrated and not f.measured for f in CHIP.times().values())
    assert len(CHIP.cycle_costs()) == 12
    assert "time event_static = 16 cycles [calibrated; " in CHIP.to_text()
    assert "  tick                             800 cycles\n      as tick" not in target_text(CHIP)
    assert "; calibrated\n" in target_text(CHIP)
    assert not any(f.calibrated for f in load_target("loihi1").times().values())


def test_what_nobody_published_stays_unknown():
    unknown = {p.name for p in CHIP.prices() if p.value is None}
    assert unknown == {"packet sent", "NoC hop", "packet between chips", "DRAM word"}
    assert "energy packet sent per packets_sent = unknown J [not published" in CHIP.to_text()


def test_a_figure_that_is_needed_has_to_be_there():
    bare = parse_target(source("spinnaker2").replace("clock_hz = { value = 150e6, ", "clock_hz = { "), "my.toml")
    assert isinstance(bare, SpinnakerTarget)
    with pytest.raises(TargetError, match=r"levels\.low\.clock_hz has no value"):
        bare.clock_hz("low")
