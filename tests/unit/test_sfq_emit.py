"""Netlists in the forms of other tools, read back: nothing is lost, nothing has two drivers, names are legal."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import sfq_race
from sfq_random import random_netlist, random_stimulus, scaled

from hwsdk.backends import sfq_testbench
from hwsdk.backends.sfq_analog_deck import driven
from hwsdk.backends.sfq_decks import read_josim
from hwsdk.backends.sfq_emit import FORMS, Files, emit
from hwsdk.backends.sfq_graph import dot, graphml
from hwsdk.backends.sfq_names import Names, distinct, plain
from hwsdk.backends.sfq_sdf import read_sdf, sdf
from hwsdk.backends.sfq_testbench import stimulated
from hwsdk.backends.sfq_verilog import models, verilog
from hwsdk.backends.sfq_verilog_cells import number, order
from hwsdk.errors import DataError, ProgramError, UnsupportedError
from hwsdk.ir.circuit import Inductor, Junction, Resistor, Source
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import sfq
from hwsdk.simulators.sfq_analog import expand
from hwsdk.simulators.sfq_circuits import PULSE
from hwsdk.simulators.sfq_waves import read_csv, read_vcd

SEEDS = range(4)
XML = "{http://graphml.graphdrawing.org/xmlns}"


def instances(text: str) -> dict[str, tuple[str, dict[str, str], dict[str, str]]]:
    """Instance -> (module, parameters, pins) of structural Verilog as hwsdk writes it."""
    found = {}
    for line in text.splitlines():
        if m := re.fullmatch(r"  (\w+) (?:#\((.*)\) )?(\w+) \((\..*)\);", line):
            parts = [dict(re.findall(r"\.(\w+)\(((?:[^()]|\([^()]*\))*)\)", x or "")) for x in (m[2], m[4])]
            found[m[3]] = (m[1], parts[0], parts[1])
    return found


def pins(program: PulseNetlist, cell: int, outputs: bool) -> tuple[str, ...]:
    kind = program.types[program.arrays.cell_type[cell]]
    return kind.outputs if outputs else kind.inputs


@pytest.mark.parametrize("seed", SEEDS)
def test_the_verilog_holds_every_cell_and_every_net_once(seed: int) -> None:
    program = random_netlist(seed)
    text, a = verilog(program), program.arrays
    rows, names = instances(text), Names(program)
    assert set(rows) == {names.cells[c] for c in names.inside()}
    outside = set(names.sources.values()) | set(names.sinks.values())
    wires = set(re.findall(r"^  wire (\w+);", text, re.M)) | outside
    drivers = [net for c in names.inside() for p in pins(program, c, True) for net in [rows[names.cells[c]][2][p]]]
    sinks = [net for c in names.inside() for p in pins(program, c, False) for net in [rows[names.cells[c]][2][p]]]
    assert sorted([*drivers, *names.sources.values()]) == sorted(wires)
    assert sorted([*sinks, *names.sinks.values()]) == sorted(wires)
    assert len(wires) == program.n_nets
    for n in range(program.n_nets):
        start, end = int(a.from_cell[n]), int(a.to_cell[n])
        if start in names.inside() and end in names.inside():
            assert (rows[names.cells[start]][2][pins(program, start, True)[a.from_pin[n]]]
                    == rows[names.cells[end]][2][pins(program, end, False)[a.to_pin[n]]])


def test_each_type_has_one_module() -> None:
    program = random_netlist(1)
    found = re.findall(r"^module (\w+)", models(program), re.M)
    assert len(found) == len(set(found))
    assert set(found) == {module for module, _, _ in instances(verilog(program)).values()}


def test_simultaneous_pulses_are_ordered_by_net_where_that_is_not_the_order_of_pins() -> None:
    program = random_netlist(2)
    rows, names, checked = instances(verilog(program)), Names(program), 0
    for cell in names.inside():
        fed = names.fed[program.input_base[cell] : program.input_base[cell + 1]]
        given = rows[names.cells[cell]][1].get("ORDER")
        if (np.diff(fed) < 0).any():
            checked += 1
            assert given == order(len(fed), np.argsort(fed).tolist())
        else:
            assert given is None
    assert checked > 0


def test_a_bias_line_changes_the_delays_of_its_cells_alone_and_kills_those_out_of_range() -> None:
    program = random_netlist(1)
    names, rows = Names(program), instances(verilog(program, {"all": 1.1}))
    dead = instances(verilog(program, {"all": 2.0}))
    seen = set()
    for cell in names.inside():
        kind, group = program.types[program.arrays.cell_type[cell]], program.arrays.cell_group[cell]
        if kind.soma is not None or not kind.outputs:
            continue
        given = rows[names.cells[cell]][1].get("DELAY")
        slower = kind.delay_at(1.1) if program.groups[group] == "all" else kind.delay_at()
        assert given == (None if slower == kind.delay_at() else str(slower))
        assert (dead[names.cells[cell]][1].get("DELAY") == "-1") == (program.groups[group] == "all")
        seen.add(program.groups[group])
    assert seen == {"all", "clock"}
    with pytest.raises(UnsupportedError, match="NO_SUCH_GROUP"):
        verilog(program, {"nowhere": 1.0})


@pytest.mark.parametrize("seed", SEEDS)
def test_sdf_is_read_back_to_the_femtosecond(seed: int) -> None:
    program = random_netlist(seed)
    names, file = Names(program), read_sdf(sdf(program))
    assert (file.design, file.timescale_fs) == (names.top, 1)
    assert set(file.cells) == {names.cells[c] for c in names.inside()}
    held = 0
    for cell in names.inside():
        kind, timing = program.types[program.arrays.cell_type[cell]], file.cells[names.cells[cell]]
        assert timing.cell_type == kind.name
        if kind.soma is not None:
            assert not timing.iopath and not timing.hold
            continue
        fires = {(p, q) for i, p in enumerate(kind.inputs) for o, q in enumerate(kind.outputs)
                 if (kind.fires[:, i] >> o & 1).any()}
        assert dict(timing.iopath) == dict.fromkeys(fires, kind.delay_at())
        critical = {(s, kind.inputs[i], kind.inputs[j]): int(kind.critical_fs[s, i, j])
                    for s, i, j in np.argwhere(kind.critical_fs > 0)}
        assert dict(timing.hold) == critical
        held += len(critical)
    assert held > 20


@pytest.mark.parametrize("text", ["", "(CELL)", "(DELAYFILE", "(DELAYFILE))", '(DELAYFILE (TIMESCALE 3fs))',
                                  '(DELAYFILE (TIMESCALE 1fs) (CELL (CELLTYPE "A") (INSTANCE b) '
                                  "(DELAY (ABSOLUTE (IOPATH a q (0.5))))))",
                                  "(DELAYFILE (TIMESCALE 1fs) (CELL (CELLTYPE A) (TIMINGCHECK (HOLD a))))"])
def test_a_damaged_sdf_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="BAD_SDF"):
        read_sdf(text)


def test_sdf_of_a_coarser_scale_is_read() -> None:
    file = read_sdf('(DELAYFILE (TIMESCALE 100fs) (CELL (CELLTYPE "A") (INSTANCE b) '
                    "(DELAY (ABSOLUTE (IOPATH a q (35))))))")
    assert file.cells["b"].iopath == {("a", "q"): 3500}


@pytest.mark.parametrize("seed", SEEDS)
def test_graphml_holds_every_cell_and_net(seed: int) -> None:
    program = random_netlist(seed)
    a, graph = program.arrays, ElementTree.fromstring(graphml(program)).find(f"{XML}graph")
    assert graph is not None
    nodes = {n.get("id"): {d.get("key"): d.text for d in n} for n in graph.findall(f"{XML}node")}
    edges = [(e.get("source"), e.get("target"), {d.get("key"): d.text for d in e}) for e in graph.iter(f"{XML}edge")]
    assert [nodes[f"n{c}"]["node_type"] for c in range(program.n_cells)] == [program.types[k].name
                                                                            for k in a.cell_type]
    assert sum(int(n["node_jj"]) for n in nodes.values()) == program.junctions
    assert [(s, t) for s, t, _ in edges] == [(f"n{s}", f"n{t}") for s, t in zip(a.from_cell, a.to_cell, strict=True)]
    spikes = {i: data["edge_spike"] for i, (_, _, data) in enumerate(edges) if "edge_spike" in data}
    assert spikes == {int(net): f"all[{i}]" for i, net in enumerate(a.spike_net)}


def test_odd_names_survive_every_form() -> None:
    odd = 'a "b" <c> & \\n\x01 \U0001f600 endmodule'
    program = random_netlist(0)
    program = dataclasses.replace(
        program, name=odd, groups=("clock", odd),
        layers=tuple(dataclasses.replace(x, name=odd) for x in program.layers), outputs={"out": (odd,)},
        inputs=tuple(dataclasses.replace(p, name=odd) for p in program.inputs))
    graph = ElementTree.fromstring(graphml(program)).find(f"{XML}graph")
    assert graph is not None and graph.get("id") == odd.replace("\x01", "\ufffd")
    groups = {d.text for d in graph.iter(f"{XML}data") if d.get("key") == "node_group"}
    assert groups == {"clock", odd.replace("\x01", "\ufffd")}
    for text in (verilog(program), sdf(program), models(program)):
        assert text.isascii()
    assert dot(program).count("\n") == 4 + program.n_cells + program.n_nets + 1
    assert re.fullmatch(r"\w+", Names(program).top)


@pytest.mark.parametrize(("text", "name"), [("xor", "n_xor"), ("2x", "n_2x"), ("", "n_"), ("a-b.c", "a_b_c"),
                                            ("before", "n_before"), ("good", "good")])
def test_names_are_legal_verilog(text: str, name: str) -> None:
    assert plain(text) == name


def test_names_that_look_alike_stay_apart() -> None:
    assert distinct(["a b", "a_b", "a-b"]) == {"a b": "a_b", "a_b": "a_b_2", "a-b": "a_b_3"}


@pytest.mark.parametrize("value", [1e-300, 2.5e-05, -1.0, 3, 1e22, 0.1 + 0.2, 1e16])
def test_reals_are_written_to_the_bit(value: float) -> None:
    text = number(value)
    assert float(text) == value
    assert re.fullmatch(r"-?\d+\.\d+(e[-+]?\d+)?", text)


def test_the_testbench_drives_the_pulses_of_the_schedule() -> None:
    program = random_netlist(3)
    stimulus, s, a = random_stimulus(5, program, steps=7), program.schedule, program.arrays
    times = stimulated(program, stimulus, 0, 7)
    assert times[int(a.init_source[0])] == [s.init_fs]
    assert times[int(a.frame_source[1])] == [s.start_fs + f * s.frame_fs + int(a.frame_offset_fs[1]) for f in range(7)]
    dense = stimulus.inputs["x"].dense(0)
    for i, cell in enumerate(a.input_source.tolist()):
        steps = [round((t - s.start_fs - s.input_offset_fs) / s.frame_fs) for t in times.get(cell, [])]
        assert steps == np.flatnonzero(dense[:, i]).tolist()
    text = sfq_testbench.testbench(program, stimulus, 7)
    for cell, own in times.items():
        port = Names(program).sources[cell]
        block = re.search(rf"  initial begin\n((?:    (?:repeat \(\d+\) )?#\d+ {port} = .*\n)+)  end", text)
        assert block is not None
        gaps = [int(g) for n, g in re.findall(r"(?:repeat \((\d+)\) )?#(\d+)", block[1]) for _ in range(int(n or 1))]
        assert np.cumsum(gaps).tolist() == own


def test_a_graded_input_has_no_pulse() -> None:
    program = random_netlist(3)
    stimulus = random_stimulus(5, program, steps=7)
    events = stimulus.inputs["x"]
    graded = dataclasses.replace(stimulus, inputs={"x": dataclasses.replace(events, value=2 * np.ones(len(events)))})
    with pytest.raises(UnsupportedError, match="GRADED_INPUT"):
        sfq_testbench.testbench(program, graded, 7)


def test_files_are_saved_beside_each_other(tmp_path: Path) -> None:
    program = random_netlist(0)
    paths = emit(program, "verilog").save(tmp_path / "net.v")
    assert [p.name for p in paths] == ["net.v", "net_cells.v"]
    assert paths[0].read_text("utf-8") == verilog(program)
    assert paths[1].read_text("utf-8") == models(program)
    assert [p.name for p in emit(program, "graphml").save(tmp_path / "net.graphml")] == ["net.graphml"]
    with pytest.raises(ProgramError, match="CANNOT_WRITE"):
        Files({"": "x"}).save(tmp_path)


def test_unknown_forms_and_decks_without_data_are_refused() -> None:
    program = random_netlist(0)
    with pytest.raises(UnsupportedError, match="UNKNOWN_FORM"):
        emit(program, "edif")
    for form in ("josim", "ngspice", "csv", "vcd"):
        with pytest.raises(UnsupportedError, match="NO_STIMULUS"):
            emit(program, form)
    assert set(FORMS) == {"verilog", "sdf", "graphml", "dot", "josim", "ngspice", "csv", "vcd"}


def test_waves_are_the_pulses_of_every_net(tmp_path: Path) -> None:
    program, stimulus = sfq_race.race(), sfq_race.stimulus()
    trains = sfq.pulses(program, stimulus).trains()
    assert sum(map(len, trains.values())) > 10
    for form, read in (("csv", read_csv), ("vcd", read_vcd)):
        (path,) = emit(program, form, stimulus).save(tmp_path / f"race.{form}")
        found = read(path)
        assert {n.replace(".", "_"): t.tolist() for n, t in found.items()} == {
            n.replace(".", "_"): t.tolist() for n, t in trains.items()}


@pytest.mark.parametrize("form", ["josim", "ngspice"])
def test_a_deck_holds_every_element_and_every_pulse(form: str) -> None:
    program, stimulus = sfq_race.race(), sfq_race.stimulus()
    text, made = emit(program, form, stimulus).files[""], expand(program)
    for kind, letter in ((Resistor, "r"), (Inductor, "l"), (Source, "i")):
        assert len(re.findall(rf"^{letter}\w+ ", text.split(".ends")[-1], re.M)) == len(made.circuit.of(kind))
    circuit = driven(made, stimulus, 8)
    peaks = {e.name: sum(amp > 0.9 * PULSE[0] for _, amp in e.points) for e in circuit.of(Source)
             if e.name in made.sources.values()}
    assert [peaks[made.sources[c]] for c in (0, 1)] == [len(stimulus.inputs["x"].one(0)), 8]
    if form == "josim":
        read = read_josim(text)
        assert [len(read.of(k)) for k in (Junction, Source)] == [len(circuit.of(k)) for k in (Junction, Source)]


def test_a_program_with_cells_that_have_no_circuit_has_no_deck() -> None:
    program = random_netlist(0)
    types = tuple(dataclasses.replace(t, name=f"OTHER{t.name}") if t.outputs else t for t in program.types)
    with pytest.raises(UnsupportedError, match="NO_CIRCUIT"):
        emit(dataclasses.replace(program, types=types), "josim", random_stimulus(0, program))


def test_the_same_program_gives_the_same_text() -> None:
    for form in ("verilog", "sdf", "graphml", "dot"):
        assert emit(random_netlist(1), form).files == emit(random_netlist(1), form).files


def test_a_spike_net_that_goes_on_is_watched_inside() -> None:
    program = random_netlist(1)
    first = scaled(program, spike_net=program.arrays.spike_net[::-1].copy())
    names = Names(first)
    inside = [n for _, _, n in names.spikes if names.nets[n] not in names.sinks.values()]
    text = sfq_testbench.testbench(first, random_stimulus(0, first), 3)
    assert inside and all(f"always @(dut.{names.nets[n]})" in text for n in inside)
    assert all(f"always @({port})" in text for port in names.sinks.values())
