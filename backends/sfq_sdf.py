"""Delays and critical times of a PulseNetlist's cells as SDF 4.0, and a reader of such files.

The standard is IEEE 1497-2001. A delay of a table cell does not depend on its state, so IOPATH has no condition; a
critical time does, and HOLD says in which state. State is meant as it was before the first of the two pulses came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hwsdk import __version__
from hwsdk.backends.sfq_names import Names, plain
from hwsdk.backends.sfq_verilog_cells import paths
from hwsdk.errors import DataError
from hwsdk.ir.cells import CellType
from hwsdk.programs.sfq import PulseNetlist


@dataclass(frozen=True, slots=True)
class CellTiming:
    """iopath: (input, output) -> fs. hold: (state, first pin, second pin) -> fs."""

    cell_type: str
    iopath: Mapping[tuple[str, str], int]
    hold: Mapping[tuple[int, str, str], int]


@dataclass(frozen=True, slots=True)
class SdfFile:
    """cells: instance -> its times in fs."""

    design: str
    timescale_fs: int
    cells: Mapping[str, CellTiming]


def sdf(program: PulseNetlist, bias: Mapping[str, float] | None = None) -> str:
    """Every instance with its delays at the given bias; an instance that is dead has none.

    Raises:
        UnsupportedError: NO_SUCH_GROUP.
    """
    names = Names(program, bias)
    lines = ["(DELAYFILE", '  (SDFVERSION "4.0")', f'  (DESIGN "{names.top}")', '  (VENDOR "hwsdk")',
             '  (PROGRAM "hwsdk")', f'  (VERSION "{__version__}")', "  (DIVIDER .)", "  (TIMESCALE 1fs)"]
    holds = [_holds(t) for t in program.types]
    for cell in names.inside():
        kind = int(program.arrays.cell_type[cell])
        lines += _cell(program.types[kind], names.cells[cell], names.delays[cell], holds[kind])
    return "\n".join([*lines, ")"]) + "\n"


def _cell(kind: CellType, name: str, delay: int | None, holds: list[str]) -> Iterator[str]:
    """One instance."""
    yield f'  (CELL (CELLTYPE "{plain(kind.name)}") (INSTANCE {name})'
    if delay is not None and kind.soma is None and (found := paths(kind)):
        yield f"    (DELAY (ABSOLUTE {' '.join(f'(IOPATH {p} {q} ({delay}) ({delay}))' for p, q in found)}))"
    yield from holds
    yield "  )"


def _holds(kind: CellType) -> list[str]:
    """Critical times, once a type: HOLD of the second pulse's pin after the first's."""
    rows = [f"(HOLD {q} (COND internal_state_{s} {p}) ({int(kind.critical_fs[s, i, j])}))"
            for s in range(len(kind.states)) for i, p in enumerate(kind.inputs) for j, q in enumerate(kind.inputs)
            if kind.soma is None and kind.critical_fs[s, i, j] > 0]
    return [f"    (TIMINGCHECK {' '.join(rows)})"] if rows else []


TOKEN = re.compile(r'"([^"]*)"|([()])|([^\s()"]+)')
UNIT = {"s": 10**15, "ms": 10**12, "us": 10**9, "ns": 10**6, "ps": 10**3, "fs": 1}


def read_sdf(text: str) -> SdfFile:
    """The times of a file in the form that ``sdf`` writes.

    Raises:
        DataError: BAD_SDF: not balanced, not SDF, or a time that is no whole number of femtoseconds.
    """
    file = _tree(text)
    if not file or file[0] != "DELAYFILE":
        raise DataError("it does not begin with (DELAYFILE", where="sdf", code="BAD_SDF", fix="give an SDF file")
    rows = [row for row in file[1:] if isinstance(row, list)]
    head = {row[0]: row[1:] for row in rows if row[0] != "CELL"}
    scale = _timescale("".join(map(str, head.get("TIMESCALE", ["1ns"]))))
    try:
        cells = dict(_read_cell(row, scale) for row in rows if row[0] == "CELL")
    except (ValueError, TypeError, LookupError):
        raise DataError("a cell is not as hwsdk writes it", where="sdf", code="BAD_SDF",
                        fix="IOPATH pin pin (fs), HOLD pin (COND name_state pin) (fs)") from None
    return SdfFile(str(head.get("DESIGN", [""])[0]), scale, cells)


Tree = list[Any]
"""Words, and such lists."""


def _tree(text: str) -> Tree:
    """Nested lists of the words between parentheses."""
    stack: list[Tree] = [[]]
    for quoted, bracket, word in TOKEN.findall(text):
        if bracket == "(":
            stack.append([])
        elif bracket == ")":
            if len(stack) < 2:
                raise DataError("there is one ) too many", where="sdf", code="BAD_SDF", fix="write the file again")
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word or quoted)
    if len(stack) != 1 or len(stack[0]) != 1 or not isinstance(stack[0][0], list):
        raise DataError("its parentheses do not match", where="sdf", code="BAD_SDF", fix="write the file again")
    return stack[0][0]


def _timescale(text: str) -> int:
    """fs of a number and a unit."""
    found = re.fullmatch(r"(10{0,2})(?:\.0)?\s*([munpf]?s)", text)
    if found is None:
        raise DataError(f"timescale {text!r}", where="sdf", code="BAD_SDF", fix="use one such as 1fs or 100fs")
    return int(found[1]) * UNIT[found[2]]


def _fs(value: str | Tree, scale: int) -> int:
    """fs of a bracketed time."""
    word = value[0] if isinstance(value, list) and len(value) == 1 else value
    time = float(word) * scale if isinstance(word, str) and re.fullmatch(r"[-+.\deE]+", word) else 0.5
    if time != int(time):
        raise DataError(f"{value} is no whole number of femtoseconds", where="sdf", code="BAD_SDF",
                        fix="use a finer timescale")
    return int(time)


def _read_cell(row: Tree, scale: int) -> tuple[str, CellTiming]:
    """(instance, times) of a CELL."""
    parts = [p for p in row if isinstance(p, list)]
    of = {str(p[0]): p[1:] for p in parts}
    iopath: dict[tuple[str, str], int] = {}
    hold: dict[tuple[int, str, str], int] = {}
    for _, first, second, delay, *_ in (entry for absolute in of.get("DELAY", []) for entry in absolute[1:]):
        iopath[str(first), str(second)] = _fs(delay, scale)
    for _, second, (_, state, first), limit in of.get("TIMINGCHECK", []):
        hold[int(str(state).rpartition("_")[2]), str(first), str(second)] = _fs(limit, scale)
    return str((of.get("INSTANCE") or [""])[0]), CellTiming(str(of["CELLTYPE"][0]), iopath, hold)
