"""Conductances as files for a test board, and measured ones read back."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import memristor_small as small
import numpy as np
import pytest

from hwsdk.backends import memristor_emit
from hwsdk.backends.memristor_emit import emit, emit_measured, from_us, layout_digest, us
from hwsdk.backends.memristor_import import import_conductances
from hwsdk.errors import DataError, ProgramError, UnsupportedError

Rows = list[dict[str, str]]


def measured(program=None) -> list[np.ndarray]:
    """Random conductances for every cell of the blocks."""
    rng = np.random.default_rng(2)
    return [rng.lognormal(-11, 0.7, b.target_s.shape) for b in (program or small.program()).blocks]


def table(path: Path) -> Rows:
    """The lines of a CSV file."""
    return list(csv.DictReader(x for x in path.read_text().splitlines() if not x.startswith("#")))


def saved(tmp_path: Path, form: str = "csv", program=None) -> dict[str, Path]:
    """End of the name -> file."""
    program = program or small.program()
    return {p.name: p for p in emit(program, form).save(tmp_path / f"board.{form}")}


def test_text_in_us_keeps_every_bit() -> None:
    rng = np.random.default_rng(0)
    values = [0.0, 5e-324, 1e-6, 1.2140000000000001e-05, *rng.lognormal(-11, 3, 2000)]
    assert [from_us(us(g)) for g in values] == values
    assert us(12.5e-6) == "12.5"
    assert "E" not in us(1e-20)


def test_every_written_cell_is_a_line_that_says_what_it_stands_for(tmp_path) -> None:
    program = small.program()
    lines = table(saved(tmp_path)["board.csv"])
    assert len(lines) == sum(int(b.mask.sum()) for b in program.blocks)
    assert len({(x["macro"], x["row"], x["column"]) for x in lines}) == len(lines)
    by_hand = next(x for x in lines if (x["macro"], x["row"], x["column"]) == ("1", "7", "3"))
    b = program.blocks[1]
    assert from_us(by_hand["target_us"]) == b.target_s[3, 3]
    assert (by_hand["source"], by_hand["element"], by_hand["delay"]) == ("hidden", "3", "1")
    assert (by_hand["target"], by_hand["neurons"], by_hand["sign"]) == ("out", "1", "-")
    assert (by_hand["action"], by_hand["block"], by_hand["measured_us"]) == ("write", "hidden.out", "")
    assert float(by_hand["gain_per_us"]) == pytest.approx(-small.W_MAX / 32)
    assert int(by_hand["level"]) == round(float(16 * (b.target_s[3, 3] - small.CELL.g_min) / small.CELL.window))


def test_the_lines_decode_to_the_weights(tmp_path) -> None:
    """Target times gain, summed over the cells of a neuron and an element, is the weight."""
    weight = np.zeros((small.CLASSES, small.HIDDEN))
    for x in table(saved(tmp_path)["board.csv"]):
        if x["target"] == "out":
            weight[int(x["neurons"]), int(x["element"])] += float(x["target_us"]) * float(x["gain_per_us"])
    assert weight == pytest.approx(np.kron(np.eye(3), np.ones(2)) * 3 - 1.0)


def test_the_order_of_writing_counts_each_macro_through(tmp_path) -> None:
    for macro in ("0", "1"):
        lines = [x for x in table(saved(tmp_path)["board.csv"]) if x["macro"] == macro]
        order = {int(x["order"]): (int(x["row"]), int(x["column"])) for x in lines}
        assert sorted(order) == list(range(len(lines)))
        assert order[0] == max(order.values()), "the last cell is written first, as the block says"


def test_blocks_of_one_macro_are_written_one_after_another(tmp_path) -> None:
    made = small.program()
    second = replace(made.blocks[1], macro=0, row_at=made.blocks[1].row_at + 4)
    program = replace(made, blocks=(made.blocks[0], second))
    lines = table(saved(tmp_path, program=program)["board.csv"])
    order = {x["block"]: {int(y["order"]) for y in lines if y["block"] == x["block"]} for x in lines}
    first = made.blocks[0].target_s.size
    assert order == {"in.hidden": set(range(first)), "hidden.out": set(range(first, first + second.target_s.size))}


def test_columns_that_are_taken_from_a_current_count_negative(tmp_path) -> None:
    made = small.program()
    b = made.blocks[1]
    pairs = replace(b, channel=b.channel // 2, sign=np.tile([1, -1], 3).astype(np.int8), phase=b.phase[:3],
                    step_a=b.step_a[:3], entry_channel=b.entry_channel[:3], entry_coef=b.entry_coef[[0, 0, 0]],
                    entry_out=np.arange(3)[None])
    files = saved(tmp_path, program=replace(made, blocks=(made.blocks[0], pairs)))
    lines = [x for x in table(files["board.csv"]) if x["target"] == "out"]
    assert {(int(x["column"]) % 2, x["sign"]) for x in lines} == {(0, "+"), (1, "-")}
    assert sorted({float(x["gain_per_us"]) for x in lines}) == pytest.approx([-small.W_MAX / 32, small.W_MAX / 32])
    assert {x["neurons"] for x in lines if x["column"] in ("4", "5")} == {"2"}


def test_maps_hold_the_targets_where_they_lie(tmp_path) -> None:
    program, files = small.program(), saved(tmp_path)
    for b in program.blocks:
        rows = [x.split(",") for x in files[f"board_macro{b.macro}.csv"].read_text().splitlines()]
        assert (len(rows), {len(x) for x in rows}) == (16, {16})
        shown = np.array([[from_us(x) if x else np.nan for x in row] for row in rows])
        assert np.array_equal(shown[np.ix_(b.row_at, b.col_at)], b.target_s)
        assert np.isfinite(shown).sum() == b.mask.sum()


def test_rows_and_columns_and_the_manifest(tmp_path) -> None:
    program, files = small.program(), saved(tmp_path)
    rows, columns = table(files["board_rows.csv"]), table(files["board_columns.csv"])
    assert [(x["macro"], x["row"], x["source"], x["elements"]) for x in rows[-2:]] == [
        ("1", "8", "hidden", "4"), ("1", "9", "hidden", "5")]
    assert len(columns) == 2 * (small.HIDDEN + small.CLASSES)
    assert float(columns[1]["coefs_per_a"]) == program.blocks[0].entry_coef[1] and columns[1]["neurons"] == "0"
    said = json.loads(files["board.json"].read_text())
    assert (said["digest"], said["cells"]) == (program.digest(), layout_digest(program))
    assert (said["rows"], said["columns"], said["macros"], said["units"]["target_us"]) == (16, 16, 2, "uS")


def test_cells_that_are_formed_by_chance(tmp_path) -> None:
    program = small.native()
    files = saved(tmp_path, program=program)
    lines = [x for x in table(files["board.csv"]) if x["macro"] == "0"]
    assert len(lines) == program.blocks[0].mask.sum() < program.blocks[0].mask.size
    assert {(x["action"], x["target_us"], x["level"]) for x in lines} == {("form", "", "")}
    first = files["board_macro0.csv"].read_text().splitlines()[0].split(",")
    assert first[:4] == ["form", "", "form", ""]


def test_the_arrays_of_the_other_form(tmp_path) -> None:
    program = small.native()
    with np.load(saved(tmp_path, "npz", program)["board.npz"], allow_pickle=False) as z:
        said = json.loads(str(z["manifest"]))
        native, written = program.blocks
        assert np.array_equal(z["block1.target_s"], written.target_s)
        assert np.array_equal(z["macro1.target_s"][np.ix_(written.row_at, written.col_at)], written.target_s)
        assert np.isnan(z["macro1.target_s"]).sum() == 256 - written.target_s.size
        assert (z["macro0.action"] == memristor_emit.FORM).sum() == native.mask.sum()
        assert sorted(z["macro1.order"][z["macro1.order"] >= 0]) == list(range(written.target_s.size))
    assert said["units"]["target_s"] == "S" and [b["kind"] for b in said["blocks"]] == ["native", "written"]


def test_the_same_program_gives_the_same_bytes() -> None:
    for form in memristor_emit.FORMS:
        assert emit(small.program(), form) == emit(small.program(), form)


def test_names_that_a_table_would_break_at_are_quoted(tmp_path) -> None:
    made = small.program()
    made = replace(made, blocks=(replace(made.blocks[0], name='a,"b"'), made.blocks[1]))
    assert table(saved(tmp_path, program=made)["board.csv"])[0]["block"] == 'a,"b"'


def test_refusals(tmp_path) -> None:
    with pytest.raises(UnsupportedError, match="UNKNOWN_FORM"):
        emit(small.program(), "xlsx")
    with pytest.raises(ProgramError, match="CANNOT_WRITE"):
        emit(small.program(), "npz").save(tmp_path / "none" / "x.npz")


@pytest.mark.parametrize("form", ["csv", "npz"])
def test_measured_conductances_come_back_bit_for_bit(tmp_path, form) -> None:
    program = small.program()
    path = emit_measured(program, form, measured()).save(tmp_path / f"m.{form}")[0]
    found = import_conductances(program, path)
    assert all(np.array_equal(a, b) for a, b in zip(found, measured(), strict=True))


@pytest.mark.parametrize("form", ["csv", "npz"])
def test_a_die_goes_to_the_board_and_comes_back(tmp_path, form) -> None:
    from hwsdk.simulators.memristor_die import dies

    program = small.native()
    found = import_conductances(program, emit_measured(program, form, dies(program)).save(tmp_path / f"m.{form}")[0])
    assert all(np.array_equal(a, b) for a, b in zip(found, dies(program), strict=True))


def test_a_twin_of_what_came_back_does_what_the_die_does(tmp_path) -> None:
    from hwsdk.simulators import memristor
    from hwsdk.simulators.memristor_die import dies

    program, data = small.program().with_stages("write", "faults", "wires"), small.stimulus(6)
    path = emit_measured(program, "csv", dies(program)).save(tmp_path / "m.csv")[0]
    twin = memristor.chip_of(program.with_stages("wires"), import_conductances(program, path))
    chip = memristor.run(program, data, probes="all")
    assert chip.first_difference(twin.run(data, probes="all")) is None
    assert chip.first_difference(memristor.run(program.with_stages("wires"), data)) is not None


def test_measurements_outlive_another_die_and_a_readout(tmp_path) -> None:
    program = small.program()
    path = emit_measured(program, "csv", measured()).save(tmp_path / "m.csv")[0]
    other = small.program(readout=True).with_die(99).with_stages("wires")
    assert np.array_equal(import_conductances(other, path)[0], measured()[0])


def filled(program, tmp_path: Path, change=lambda rows: rows, keep=memristor_emit.CELLS, head: bool = True) -> Path:
    """What a tester hands back: the emitted file with its column filled in and ``change`` done."""
    lines = emit(program, "csv").save(tmp_path / "b.csv")[0].read_text().splitlines()
    rows = list(csv.DictReader(lines[1:]))
    for x in rows:
        x["measured_us"] = "7.25"
    path = tmp_path / "filled.csv"
    with path.open("w", newline="") as stream:
        stream.write(lines[0] + "\n" if head else "")
        writer = csv.DictWriter(stream, keep, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(change(rows))
    return path


def test_a_table_with_nothing_but_places_and_values_does(tmp_path) -> None:
    program = small.native()
    keep = ("row", "macro", "column", "measured_us")
    found = import_conductances(program, filled(program, tmp_path, lambda rows: rows[::-1], keep))
    mask = program.blocks[0].mask
    assert np.array_equal(found[0], np.where(mask, 7.25e-6, small.CELL.g_off)), "what was never formed is as said"
    assert (found[1] == 7.25e-6).all()


def put(**values: str):
    """Change the fifth line."""
    def change(rows: Rows) -> Rows:
        rows[4].update(values)
        return rows

    return change


@pytest.mark.parametrize(("change", "code", "says"), [
    (put(measured_us="-1"), "NEGATIVE", "row 0 column 4"),
    (put(measured_us="inf"), "NOT_FINITE", "row 0 column 4"),
    (put(measured_us=""), "MISSING_CELLS", "no measured value of 1 cell(s) of block in.hidden on macro 0: row 0"),
    (put(measured_us="nan"), "MISSING_CELLS", "row 0 column 4"),
    (put(measured_us="lots"), "BAD_FILE", "line 7"),
    (put(row="16"), "WRONG_SHAPE", "2 macro(s) of 16 x 16"),
    (put(macro="2"), "WRONG_SHAPE", "no macro 2"),
    (put(row="-1"), "WRONG_SHAPE", "row -1"),
    (put(row="1"), "DUPLICATE_CELLS", "macro 0, row 1, column 4"),
    (lambda rows: rows[:-2], "MISSING_CELLS", "2 cell(s) of block hidden.out"),
])
def test_what_a_tester_can_do_wrong(tmp_path, change, code, says) -> None:
    with pytest.raises(DataError) as error:
        import_conductances(small.program(), filled(small.program(), tmp_path, change))
    assert error.value.code == code
    assert says in str(error.value)


def test_measurements_of_another_program_are_refused(tmp_path) -> None:
    program = small.program()
    path = filled(program, tmp_path)
    for wrong, file in ((small.native(), path), (program, filled(program, tmp_path, head=False))):
        with pytest.raises(DataError, match="WRONG_PROGRAM"):
            import_conductances(wrong, file)
    assert (import_conductances(program, path, any_program=True)[1] == 7.25e-6).all()


def test_arrays_that_do_not_fit(tmp_path) -> None:
    program, path = small.program(), tmp_path / "x.npz"
    said = np.array(json.dumps(memristor_emit.manifest(program)))
    whole = np.full((16, 16), 9.0)
    cases = {"MISSING_CELLS": {"macro0.measured_us": whole}, "WRONG_SHAPE": {"macro0.measured_us": whole[1:]},
             "NEGATIVE": {"macro0.measured_us": -whole, "macro1.measured_us": whole}}
    for code, arrays in cases.items():
        np.savez(path, manifest=said, **arrays)
        with pytest.raises(DataError, match=code):
            import_conductances(program, path)
    np.savez(path, manifest=said, **{f"macro{m}.measured_us": whole for m in range(2)})
    assert all(np.allclose(g, 9e-6, rtol=1e-12) for g in import_conductances(program, path))
    np.savez(path, **{f"macro{m}.measured_us": whole for m in range(2)})
    with pytest.raises(DataError, match="WRONG_PROGRAM"):
        import_conductances(program, path)


def test_files_that_are_none(tmp_path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK nonsense")
    (tmp_path / "x.csv").write_text("row,column\n1,2\n")
    (tmp_path / "x.txt").write_text("")
    for name, code in (("x.npz", "BAD_FILE"), ("x.csv", "BAD_FILE"), ("x.txt", "BAD_FILE"), ("y.csv", "NO_FILE")):
        with pytest.raises(DataError, match=code):
            import_conductances(small.program(), tmp_path / name)
