"""Conductances of a CrossbarProgram as files for a test board.

Form "csv": NAME.csv has a line for every cell that is formed or written, with a column ``measured_us`` for what the
board reads back; NAME_macroK.csv is the map of macro K, rows x columns; NAME_rows.csv and NAME_columns.csv say what
drives rows and what columns are added to; NAME.json tells units and geometry. Form "npz": the same as arrays in one
file. Conductances are in uS in text, in S in arrays; both keep every bit. An empty or NaN cell was never formed;
"form" and infinity stand for a cell that is formed and left as chance makes it.

The way back is hwsdk.backends.memristor_import.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk import __version__
from hwsdk.errors import ProgramError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.files import atomic_file
from hwsdk.programs import container
from hwsdk.programs.crossbar import BLOCK_ARRAYS, Block, CrossbarProgram

FORMS = ("csv", "npz")
LAYOUT = ("target_s", "mask", "row_at", "col_at", "write_order")
CELLS = ("macro", "row", "column", "action", "target_us", "level", "order", "block", "source", "element", "delay",
         "uses", "target", "neurons", "sign", "gain_per_us", "measured_us")
UNITS = {"target_us": "uS", "measured_us": "uS", "target_s": "S", "measured_s": "S", "step_a": "A",
         "entry_coef": "1/A", "gain_per_us": "input of the neuron for each uS and unit of the row's input"}
MOST_LISTED = 4
"""Neurons that a line of a cell names; NAME_columns.csv has them all."""
NOTHING, WRITE, FORM = 0, 1, 2
ACTIONS = {WRITE: "write", FORM: "form"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Files:
    """files: what stands at the end of a file's name -> its content; "" is the file that was asked for, the others lie
    beside it: "_rows.csv" of board.csv is board_rows.csv.
    """

    files: Mapping[str, bytes]

    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Write all files; returns their paths. Each is complete or not there.

        Raises:
            ProgramError: CANNOT_WRITE.
        """
        first = Path(path)
        paths = [first if not end else first.with_name(first.stem + end) for end in self.files]
        for place, content in zip(paths, self.files.values(), strict=True):
            with atomic_file(place, ProgramError) as stream:
                stream.write(content)
        return tuple(paths)


def emit(program: CrossbarProgram, form: str, data: Stimulus | None = None) -> Files:
    """The program in a form of FORMS. ``data`` is not needed.

    Raises:
        UnsupportedError: UNKNOWN_FORM.
    """
    return _files(program, form, None)


def emit_measured(program: CrossbarProgram, form: str, conductances: Sequence[Floats]) -> Files:
    """The same with measured conductances, S, (R, C) a block: as a board would give it back, for example
    hwsdk.simulators.memristor_die.dies(program).

    Raises:
        UnsupportedError: UNKNOWN_FORM.
    """
    return _files(program, form, tuple(conductances))


def _files(program: CrossbarProgram, form: str, measured: tuple[Floats, ...] | None) -> Files:
    """In a form."""
    writers: dict[str, Callable[[CrossbarProgram, tuple[Floats, ...] | None], dict[str, bytes]]] = {
        "csv": _csv, "npz": _npz}
    if form not in writers:
        raise UnsupportedError(f"form {form!r}", code="UNKNOWN_FORM", fix=f"use one of {', '.join(FORMS)}")
    return Files(writers[form](program, measured))


def layout_digest(program: CrossbarProgram) -> str:
    """SHA-256 over the cells alone: which, where, and with which targets. Die, readout and stages are no part of it, so
    that what was measured of an array still belongs to the program after a readout was trained on it.
    """
    p = program.physics
    body = {"rows": p.rows, "columns": p.columns, "blocks": [[b.name, b.macro, b.kind] for b in program.blocks]}
    return container.content_digest(body, {f"block{k}.{n}": getattr(b, n) for k, b in enumerate(program.blocks)
                                           for n in LAYOUT})


def manifest(program: CrossbarProgram) -> dict[str, Any]:
    """Units, geometry, and which program it is, as plain values."""
    p = program.physics
    return {"tool": f"hwsdk {__version__}", "program": program.name, "digest": program.digest(),
            "cells": layout_digest(program), "target": program.target, "target_version": program.target_version,
            "macros": program.macros, "rows": p.rows, "columns": p.columns, "volts": p.volts, "mux": p.mux,
            "topology": p.wires.topology, "g_min_s": p.cell.g_min, "g_max_s": p.cell.g_max, "g_off_s": p.cell.g_off,
            "levels": p.cell.levels, "units": UNITS,
            "empty": "an empty or NaN cell is never formed; form or inf: formed, and left as chance makes it",
            "blocks": [{"name": b.name, "target": b.target, "macro": b.macro, "kind": b.kind, "rows": b.rows,
                        "columns": b.columns, "uses": b.uses,
                        "segments": [[s.source, s.delay_ticks, s.rows] for s in b.segments]}
                       for b in program.blocks]}


def macro_maps(program: CrossbarProgram, values: Sequence[Floats]) -> list[Floats]:
    """A (rows, columns) array a macro with the blocks' (R, C) values in their places, NaN elsewhere."""
    maps = [np.full((program.physics.rows, program.physics.columns), np.nan) for _ in range(program.macros)]
    for b, value in zip(program.blocks, values, strict=True):
        maps[b.macro][np.ix_(b.row_at, b.col_at)] = value
    return maps


def targets(program: CrossbarProgram) -> list[Floats]:
    """What to do with each cell of the blocks, (R, C): a conductance in S, infinity to form it, NaN to leave it."""
    return [np.where(b.mask > 0, np.inf if b.kind == "native" else b.target_s, np.nan) for b in program.blocks]


def orders(program: CrossbarProgram) -> list[NDArray[np.int64]]:
    """When each cell is written, (R, C), counted from 0 in each macro, block after block; -1 for cells that are not."""
    begun, out = [0] * program.macros, []
    for b in program.blocks:
        own = np.full(b.rows * b.columns, -1, np.int64)
        own[b.write_order] = begun[b.macro] + np.arange(len(b.write_order))
        begun[b.macro] += len(b.write_order)
        out.append(own.reshape(b.rows, b.columns))
    return out


def us(siemens: float) -> str:
    """uS of a number in S, as the shortest text that keeps all its bits when read back (see ``from_us``)."""
    return f"{Decimal(repr(float(siemens))).scaleb(6).normalize():f}"


def from_us(text: str) -> float:
    """S of a text in uS, correctly rounded. ValueError for what is no number."""
    try:
        return float(Decimal(text.strip()).scaleb(-6))
    except ArithmeticError:
        raise ValueError(text) from None


def _csv(program: CrossbarProgram, measured: tuple[Floats, ...] | None) -> dict[str, bytes]:
    """All files of the form csv."""
    head = f"# hwsdk conductances of {program.name}; cells {layout_digest(program)}; uS\n"
    lines = [head, ",".join(CELLS) + "\n", *_cell_lines(program, measured)]
    files = {"": "".join(lines)}
    shown = macro_maps(program, targets(program) if measured is None else measured)
    files |= {f"_macro{k}.csv": _map_text(m) for k, m in enumerate(shown)}
    files |= {"_rows.csv": "".join(_row_lines(program)), "_columns.csv": "".join(_column_lines(program)),
              ".json": json.dumps(manifest(program), indent=1) + "\n"}
    return {end: text.encode("utf-8") for end, text in files.items()}


def _map_text(values: Floats) -> str:
    """One line a row."""
    def shown(g: float) -> str:
        return "" if np.isnan(g) else "form" if np.isinf(g) else us(g)

    return "".join(",".join(map(shown, row)) + "\n" for row in values.tolist())


def _cell_lines(program: CrossbarProgram, measured: tuple[Floats, ...] | None) -> Iterator[str]:
    """A line a cell that is formed or written, and with measured values all cells of the blocks, block by block."""
    for k, (b, order) in enumerate(zip(program.blocks, orders(program), strict=True)):
        read = None if measured is None else measured[k]
        columns = [_column_meaning(b, c, program.physics.volts) for c in range(b.columns)]
        for r, row in enumerate(_row_meanings(b)):
            for c in np.flatnonzero(b.mask[r]).tolist() if read is None else range(b.columns):
                cell = [b.macro, int(b.row_at[r]), int(b.col_at[c]), *_aim(program, b, r, c), int(order[r, c]),
                        _field(b.name), *row, _field(b.target), *columns[c], "" if read is None else us(read[r, c])]
                yield ",".join(map(str, cell)) + "\n"


def _aim(program: CrossbarProgram, b: Block, r: int, c: int) -> tuple[str, str, str]:
    """(action, uS, level) of a cell."""
    if not b.mask[r, c]:
        return "", "", ""
    if b.kind == "native":
        return ACTIONS[FORM], "", ""
    cell, g = program.physics.cell, float(b.target_s[r, c])
    exact = cell.levels is None or not program.physics.has("levels")
    level = "" if exact or cell.levels is None else str(round((g - cell.g_min) / cell.window * (cell.levels - 1)))
    return ACTIONS[WRITE], us(g), level


def _row_meanings(b: Block) -> list[tuple[str, int, int, int]]:
    """(source, element of the first use that has one, delay, uses) of each row; element -1: of none."""
    found = []
    segment = [s for s in b.segments for _ in range(s.rows)]
    for r, s in enumerate(segment):
        used = b.row_source[:, r][b.row_source[:, r] >= 0]
        found.append((_field(s.source), int(used[0]) if len(used) else -1, s.delay_ticks, len(used)))
    return found


def _column_meaning(b: Block, c: int, volts: float) -> tuple[str, str, str]:
    """(neurons of the first use, sign, what a uS adds to the first of them)."""
    entries = np.flatnonzero((b.entry_channel == b.channel[c]) & (b.entry_out[0] >= 0))
    outs = [str(int(o)) for o in b.entry_out[0, entries]]
    more = [f"and {len(outs) - MOST_LISTED} more"] if len(outs) > MOST_LISTED else []
    gain = float(b.sign[c]) * float(b.entry_coef[entries[0]]) * volts * 1e-6 if len(entries) else 0.0
    sign = "+" if gain > 0 else "-" if gain < 0 else ""
    return " ".join([*outs[:MOST_LISTED], *more]), sign, repr(gain)


def _row_lines(program: CrossbarProgram) -> Iterator[str]:
    """What drives each row in each use."""
    yield "block,macro,row,source,delay,elements\n"
    for b in program.blocks:
        for r, (source, _, delay, _) in enumerate(_row_meanings(b)):
            elements = " ".join(str(int(e)) if e >= 0 else "-" for e in b.row_source[:, r])
            yield f"{_field(b.name)},{b.macro},{int(b.row_at[r])},{source},{delay},{elements}\n"


def _column_lines(program: CrossbarProgram) -> Iterator[str]:
    """Where the current of each column goes: channel and sign, phase and step of its converter, then for each use the
    neurons to which it is added, with their coefficients.
    """
    yield "block,macro,column,channel,sign,phase,step_a,target,coefs_per_a,neurons\n"
    for b in program.blocks:
        for c in range(b.columns):
            k = int(b.channel[c])
            entries = np.flatnonzero(b.entry_channel == k)
            coefs = " ".join(repr(float(x)) for x in b.entry_coef[entries])
            outs = "; ".join(" ".join(str(int(o)) if o >= 0 else "-" for o in use) for use in b.entry_out[:, entries])
            yield (f"{_field(b.name)},{b.macro},{int(b.col_at[c])},{k},{int(b.sign[c])},{int(b.phase[k])},"
                   f"{float(b.step_a[k])!r},{_field(b.target)},{coefs},{outs}\n")


def _field(text: str) -> str:
    """A name as a field of a CSV file."""
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if set(text) & set(',"\n\r#') else text


def _npz(program: CrossbarProgram, measured: tuple[Floats, ...] | None) -> dict[str, bytes]:
    """All of it in one file."""
    wanted, order = targets(program), orders(program)
    arrays: dict[str, NDArray[Any]] = {"manifest": np.array(json.dumps(manifest(program)))}
    when = macro_maps(program, [np.asarray(o, np.float64) for o in order])
    for m, (goal, at) in enumerate(zip(macro_maps(program, wanted), when, strict=True)):
        arrays |= {f"macro{m}.target_s": goal, f"macro{m}.order": np.where(np.isnan(at), -1, at).astype(np.int64),
                   f"macro{m}.action": np.where(np.isnan(goal), NOTHING, np.where(np.isinf(goal), FORM, WRITE)
                                                ).astype(np.uint8)}
    for k, b in enumerate(program.blocks):
        arrays |= {f"block{k}.{n}": getattr(b, n) for n in BLOCK_ARRAYS}
    if measured is not None:
        arrays |= {f"macro{m}.measured_s": read for m, read in enumerate(macro_maps(program, measured))}
        arrays |= {f"block{k}.measured_s": read for k, read in enumerate(measured)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return {"": buffer.getvalue()}
