"""Decks for ngspice and JoSIM, and the reader of the latter."""

from __future__ import annotations

import josephson as jj
import pytest
from josephson import PH, PS, UA

from hwsdk.backends.sfq_decks import josim_deck, ngspice_deck, read_josim
from hwsdk.backends.sfq_ngspice import run_ngspice
from hwsdk.errors import DataError, ExternalToolError, MissingDependencyError
from hwsdk.ir.circuit import Circuit, Inductor, Junction, Resistor, Source
from hwsdk.simulators.rcsj import solve

EVERY_CIRCUIT = (jj.jtl(3), jj.splitter(), jj.merger(), jj.transformer(-0.6))


def lower(circuit: Circuit) -> Circuit:
    """The circuit with names as decks have them."""
    text = josim_deck(circuit, PS)
    return read_josim(text, circuit.name)


@pytest.mark.parametrize("circuit", EVERY_CIRCUIT, ids=lambda c: c.name)
def test_a_josim_deck_read_back_is_the_same_circuit(circuit):
    again = lower(circuit)
    assert again == lower(again)
    assert [type(e) for e in again.elements] == [type(e) for e in circuit.elements]
    assert [e.name for e in again.elements] == [e.name.lower() for e in circuit.elements]
    ours, theirs = solve(circuit, 60 * PS), solve(again, 60 * PS)
    assert list(theirs.final.values()) == list(ours.final.values())
    assert list(theirs.energy_j.values()) == list(ours.energy_j.values())


def test_sources_keep_kind_group_and_points():
    source = Source("FEED", "x", ((3 * PS, 1 * UA), (3 * PS, 4 * UA), (9 * PS, 0.0)), "noise", "layer_2")
    circuit = Circuit("one", (Resistor("R", "x", "0", 2.0), source))
    again = lower(circuit).of(Source)[0]
    assert isinstance(again, Source)
    assert (again.kind, again.group, again.points[0]) == ("noise", "layer_2", (0.0, 1 * UA))
    times = [t for t, _ in again.points]
    assert times == sorted(set(times))  # a jump takes a moment
    assert [amp for _, amp in again.points] == [1 * UA, 1 * UA, 4 * UA, 0.0]


def test_names_that_decks_would_mix_up_stay_apart():
    names = ("a.b", "A-B", "a_b")
    elements = (*(Resistor(n, n, "0", 1.0 + k) for k, n in enumerate(names)),
                *(Inductor(f"L{n}", n, "mid", PH) for n in names), Junction("J", "mid", "0", 1e-4, 0.0, float("inf")))
    again = lower(Circuit("names", elements))
    assert [e.p for e in again.of(Resistor)] == ["a_b", "a_b_2", "a_b_3"]
    assert [e.ohm for e in again.of(Resistor)] == [1.0, 2.0, 3.0]
    assert again.of(Junction)[0] == Junction("j", "mid", "0", 1e-4, 0.0, float("inf"))


def test_decks_of_a_small_circuit():
    circuit = Circuit("tiny", (Junction("J", "a", "0", 2.5e-4, 1.75e-13, 64.0), Inductor("L", "a", "0", 2e-12),
                               Source("I", "a", ((0.0, 0.0), (5e-12, 1e-4)), group="g")))
    assert josim_deck(circuit, 1e-10, temperature_k=4.2).splitlines() == [
        "* tiny", "bj a 0 jj1", "ll a 0 2e-12", "* source bias g", "ii 0 a pwl(0.0 0.0 5e-12 0.0001)",
        ".model jj1 jj(rtype=1, vg=0.0028, cap=1.75e-13, r0=64.0, rn=6.4, icrit=0.00025)", ".temp 4.2", ".neb 1t",
        ".tran 5e-14 1e-10 0 5e-14", ".print p(bj)", ".end"]
    deck = ngspice_deck(circuit, 1e-10)
    assert "xj a 0 jj1" in deck.splitlines()
    assert "bj p n i = 0.00025*sin(v(ph))" in deck
    assert "wrdata phases.txt v(xj.ph)" in deck


@pytest.mark.parametrize("line", ["b1 a 0", "b1 a 0 jj9", "r1 a 0 much", "c1 a 0 1p", "i1 a 0 pwl(0 0)",
                                  ".model jj1 xx(icrit=1)", "i1 0 a pwl(0 0 1p)"])
def test_what_the_reader_does_not_know(line):
    with pytest.raises(DataError, match="cannot read") as caught:
        read_josim(f"* bad\n{line}\n.end\n")
    assert caught.value.code == "BAD_DECK"


def test_the_reader_knows_suffixes():
    circuit = read_josim("* x\nr1 a 0 2.5k\nl1 a 0 1.5p\nr2 a 0 1meg\n")
    assert [e.ohm for e in circuit.of(Resistor)] == [2500.0, 1e6]
    assert circuit.of(Inductor)[0].henry == 1.5e-12


def test_an_unknown_junction():
    with pytest.raises(DataError, match="no such junction: J9"):
        ngspice_deck(jj.jtl(2), PS, junctions=["J9"])


def test_ngspice_absent(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match="apt install ngspice"):
        run_ngspice(jj.jtl(2), 10 * PS)


@pytest.mark.parametrize(("script", "code"), [("echo trouble; exit 3", "CRASHED"), ("exec sleep 20", "TIMEOUT")])
def test_ngspice_failing(tmp_path, monkeypatch, script, code):
    program = tmp_path / "ngspice"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ExternalToolError) as caught:
        run_ngspice(jj.jtl(2), 10 * PS, timeout_s=0.5 if code == "TIMEOUT" else 60)
    assert caught.value.code == code
    assert ("trouble" in str(caught.value)) == (code == "CRASHED")
