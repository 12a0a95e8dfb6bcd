"""Measured conductances of a board, read back for a twin: see hwsdk.backends.memristor_emit for the files."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.memristor_emit import from_us, layout_digest, macro_maps
from hwsdk.errors import DataError
from hwsdk.programs.crossbar import CrossbarProgram

Floats = NDArray[np.float64]
NEEDED = ("macro", "row", "column", "measured_us")
SHOWN = 3
"""Cells that an error names."""
AGAIN = "measure again, or emit the conductances anew: hwsdk emit P.hwx --form csv -o board.csv"


def import_conductances(program: CrossbarProgram, path: str | Path, *, any_program: bool = False,
                        ) -> tuple[Floats, ...]:
    """Measured conductances in S, (R, C) a block, for chip_of(program, conductances).

    Args:
        path: a .csv file as ``emit`` writes it, with the column ``measured_us`` filled in (other columns but macro, row
        and column may be gone), or an .npz file with ``macroK.measured_s`` (rows, columns) or ``measured_us`` for every
        macro, or ``blockK.measured_s`` (R, C) for every block, beside its ``manifest``. Cells that are neither formed
        nor written need not be there; they are taken as Cell.g_off, or g_min where that is not known.
        any_program: take a file that does not say of which cells it is, or says others.

    Raises:
        DataError: NO_FILE, BAD_FILE, WRONG_PROGRAM, WRONG_SHAPE, MISSING_CELLS, DUPLICATE_CELLS, NEGATIVE, NOT_FINITE.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError("there is no such file", where=str(file), code="NO_FILE", fix="check the path")
    readers = {".csv": _from_csv, ".npz": _from_npz}
    if file.suffix not in readers:
        raise DataError(f"{file.suffix or 'no suffix'!r} is no kind of measured conductances", where=str(file),
                        code="BAD_FILE", fix="give a .csv or .npz file")
    cells, found = readers[file.suffix](program, file)
    if not any_program and cells != layout_digest(program):
        what = "it does not say of which program it is" if cells is None else "it was measured for another program"
        raise DataError(what, where=str(file), code="WRONG_PROGRAM",
                        fix="give the program from which the board was written, or any_program=True")
    return tuple(_complete(program, k, g, str(file)) for k, g in enumerate(found))


def _complete(program: CrossbarProgram, k: int, measured: Floats, where: str) -> Floats:
    """A block with what is known of cells that nobody measured.

    Raises:
        DataError: MISSING_CELLS, NEGATIVE or NOT_FINITE.
    """
    b, cell = program.blocks[k], program.physics.cell
    bad = (("MISSING_CELLS", "no measured value", np.isnan(measured) & (b.mask > 0)),
           ("NOT_FINITE", "an infinite conductance", np.isinf(measured)),
           ("NEGATIVE", "a negative conductance", measured < 0))
    for code, what, wrong in bad:
        if wrong.any():
            at = np.argwhere(wrong)
            named = ", ".join(f"row {int(b.row_at[r])} column {int(b.col_at[c])}" for r, c in at[:SHOWN])
            raise DataError(f"{what} of {len(at):,} cell(s) of block {b.name} on macro {b.macro}: {named}"
                            f"{' ...' if len(at) > SHOWN else ''}", where=where, code=code, fix=AGAIN)
    rest = cell.g_min if cell.g_off is None else cell.g_off
    return np.where(np.isnan(measured), rest, measured)


def _blocks(program: CrossbarProgram, maps: list[Floats]) -> list[Floats]:
    """The blocks' cells of maps of macros."""
    return [maps[b.macro][np.ix_(b.row_at, b.col_at)] for b in program.blocks]


def _from_csv(program: CrossbarProgram, file: Path) -> tuple[str | None, list[Floats]]:
    """(digest of the cells, (R, C) S a block with NaN where nothing was measured)."""
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"it cannot be read: {error}", where=str(file), code="BAD_FILE", fix=AGAIN) from None
    said = next((s.group(1) for x in lines if x.startswith("#") and (s := re.search(r"cells ([0-9a-f]{64})", x))), None)
    kept = [k for k, x in enumerate(lines) if x.strip() and not x.startswith("#")]
    rows = csv.DictReader(lines[k] for k in kept)
    if missing := [n for n in NEEDED if n not in (rows.fieldnames or ())]:
        raise DataError(f"it has no column {', '.join(missing)}", where=str(file), code="BAD_FILE", fix=AGAIN)
    maps = macro_maps(program, [np.full((b.rows, b.columns), np.nan) for b in program.blocks])
    for row in rows:
        m, r, c, g = _cell(row, f"{file}, line {kept[rows.line_num - 1] + 1}")
        if not (0 <= m < len(maps) and 0 <= r < maps[m].shape[0] and 0 <= c < maps[m].shape[1]):
            raise DataError(f"there is no macro {m}, row {r}, column {c}: {program.macros} macro(s) of "
                            f"{program.physics.rows} x {program.physics.columns}", where=str(file), code="WRONG_SHAPE",
                            fix="give the program from which the board was written")
        if not np.isnan(maps[m][r, c]):
            raise DataError(f"macro {m}, row {r}, column {c} is there twice", where=str(file), code="DUPLICATE_CELLS",
                            fix="leave one value a cell")
        maps[m][r, c] = g
    return said, _blocks(program, maps)


def _cell(row: Mapping[str, str | None], where: str) -> tuple[int, int, int, float]:
    """(macro, row, column, S or NaN)."""
    try:
        place = [int(row[n] or "") for n in NEEDED[:3]]
        text = (row["measured_us"] or "").strip()
        return place[0], place[1], place[2], from_us(text) if text else np.nan
    except ValueError:
        raise DataError("it is no cell with a number", where=where, code="BAD_FILE", fix=AGAIN) from None


def _from_npz(program: CrossbarProgram, file: Path) -> tuple[str | None, list[Floats]]:
    """As ``_from_csv``."""
    try:
        with np.load(file, allow_pickle=False) as z:
            held: dict[str, NDArray[Any]] = {n: z[n] for n in z.files if n == "manifest" or "measured" in n}
        said = json.loads(str(held["manifest"])).get("cells") if "manifest" in held else None
    except Exception as error:  # whatever zipfile, numpy and json raise on damaged bytes
        raise DataError(f"it cannot be read: {error}", where=str(file), code="BAD_FILE", fix=AGAIN) from None
    size = (program.physics.rows, program.physics.columns)
    if any(n.startswith("block") for n in held):
        shapes = [(b.rows, b.columns) for b in program.blocks]
        return said, [_array(held, f"block{k}", s, file) for k, s in enumerate(shapes)]
    return said, _blocks(program, [_array(held, f"macro{m}", size, file) for m in range(program.macros)])


def _array(held: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, int], file: Path) -> Floats:
    """One measured array in S."""
    scales = {f"{name}.measured_s": 1.0, f"{name}.measured_us": 1e-6}
    key = next((k for k in scales if k in held), None)
    if key is None:
        raise DataError(f"it has no array {name}.measured_s", where=str(file), code="MISSING_CELLS", fix=AGAIN)
    if held[key].shape != shape or held[key].dtype.kind not in "iuf":
        raise DataError(f"{key} has shape {held[key].shape} of {held[key].dtype}, the program has {shape}",
                        where=str(file), code="WRONG_SHAPE", fix="give the program from which the board was written")
    return np.asarray(held[key], np.float64) * scales[key]
