"""Pulse trains in CSV and VCD files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsdk.errors import DataError
from hwsdk.simulators.sfq_waves import read_csv, read_vcd, write_csv, write_vcd

TRAINS = {"jtl_1.q": np.array([3_640, 7_280, 7_280]), "b": np.array([0, 3_640]), "quiet": np.array([], np.int64)}


def plain(trains) -> dict[str, list[int]]:
    return {n: t.tolist() for n, t in trains.items()}


def test_csv_text(tmp_path) -> None:
    write_csv(tmp_path / "a.csv", TRAINS)
    assert (tmp_path / "a.csv").read_text() == (
        "name,time_ps\nb,0.000\nb,3.640\njtl_1.q,3.640\njtl_1.q,7.280\njtl_1.q,7.280\n")
    assert plain(read_csv(tmp_path / "a.csv")) == {n: t for n, t in plain(TRAINS).items() if t}


def test_vcd_text(tmp_path) -> None:
    write_vcd(tmp_path / "a.vcd", TRAINS, until_fs=9_000)
    assert (tmp_path / "a.vcd").read_text().split("\n") == [
        "$timescale 1 fs $end", "$scope module netlist $end", "$var wire 1 ! jtl_1_q $end", '$var wire 1 " b $end',
        "$var wire 1 # quiet $end", "$upscope $end", "$enddefinitions $end", "#0", "$dumpvars", "0!", '0"', "0#",
        "$end", '1"', "#3640", "1!", '0"', "#7280", "0!", "1!", "#9000", ""]
    assert plain(read_vcd(tmp_path / "a.vcd")) == {n.replace(".", "_"): t for n, t in plain(TRAINS).items()}


@given(st.lists(st.lists(st.integers(0, 10**13), max_size=6), min_size=1, max_size=120))
def test_what_is_written_is_read(tmp_path_factory, times) -> None:
    folder = tmp_path_factory.getbasetemp()
    trains = {f"n{k}": np.array(sorted(t), np.int64) for k, t in enumerate(times)}
    write_vcd(folder / "w.vcd", trains)
    write_csv(folder / "w.csv", trains)
    assert plain(read_vcd(folder / "w.vcd")) == plain(trains)
    assert plain(read_csv(folder / "w.csv")) == {n: t for n, t in plain(trains).items() if t}


@pytest.mark.parametrize("names", [("a b",), ("",), ("a.b", "a_b")])
def test_names_that_a_vcd_cannot_hold(tmp_path, names) -> None:
    with pytest.raises(DataError, match="BAD_NAME"):
        write_vcd(tmp_path / "a.vcd", {n: np.array([1]) for n in names})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "time,name\n", "name,time_ps\na\n", "name,time_ps\na,soon\n",
                                  "name,time_ps\na,inf\n"])
def test_other_csv_is_refused(tmp_path, text) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(DataError, match="BAD_WAVES"):
        read_csv(tmp_path / "a")


@pytest.mark.parametrize("body", ["#x", "1%", "x!", "hello"])
def test_other_vcd_is_refused(tmp_path, body) -> None:
    head = "$timescale 1 fs $end\n$var wire 1 ! a $end\n$enddefinitions $end\n#0\n$dumpvars\n0!\n$end\n"
    (tmp_path / "a").write_text(head + body)
    with pytest.raises(DataError, match="BAD_WAVES"):
        read_vcd(tmp_path / "a")
    (tmp_path / "a").write_text(head.replace("1 fs", "1 ps"))
    with pytest.raises(DataError, match="BAD_WAVES"):
        read_vcd(tmp_path / "a")
    with pytest.raises(DataError, match="CANNOT_WRITE"):
        write_csv(tmp_path, {})
    with pytest.raises(DataError, match="BAD_WAVES"):
        read_csv(tmp_path / "missing")
