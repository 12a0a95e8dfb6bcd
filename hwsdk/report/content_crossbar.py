"""What a report tells of crossbar programs: cells on macros, driven rows, reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.report import layers_crossbar
from hwsdk.report.content import EMPTY, Column, Found, Grid, Pane, Plan, Table, percent
from hwsdk.report.content_plan import MOST_PANES, grouped, largest, rows_with_any
from hwsdk.report.content_raster import input_title
from hwsdk.report.layers import Family
from hwsdk.targets import Target

BINS = 64
"""Rows and columns of a drawn macro: each place stands for the cells of a square."""


def placement(program: CrossbarProgram, target: Target) -> Found:
    """Macros from above: which population's weights lie where, and how many cells of a square are in use."""
    names = layers_crossbar.rows(program)
    panes = tuple(_pane(program, m, names) for m in range(min(program.macros, MOST_PANES)))
    p, cells = program.physics, _cells(program)
    whole = p.rows * p.columns
    top = int(cells.argmax())
    alt = (f"Plan of {program.macros} macro(s) of {p.rows} x {p.columns} cells: {int(cells.sum()):,} cells are in use; "
           f"the fullest, macro {top}, uses {percent(cells[top] / whole)} of its own.")
    words = [f"A place of the plan stands for {-(-p.rows // BINS)} x {-(-p.columns // BINS)} cells. Rows are driven "
             "from the left, columns are read below. Where several layers share a place, it is chequered."]
    if program.macros > MOST_PANES:
        words.append(f"The first {MOST_PANES} of {program.macros} macros are drawn; the table has all blocks.")
    plan = Plan("Cells on the macros", names, panes, "the cells of a place", alt)
    return Found(tuple(words), (plan, _table(program, cells / whole)))


def _cells(program: CrossbarProgram) -> NDArray[np.int64]:
    """(macros,): cells in use."""
    out = np.zeros(program.macros, np.int64)
    for b in program.blocks:
        out[b.macro] += int(np.count_nonzero(b.mask))
    return out


def _pane(program: CrossbarProgram, macro: int, names: tuple[str, ...]) -> Pane:
    """One macro."""
    p = program.physics
    high, wide = min(BINS, p.rows), min(BINS, p.columns)
    used = np.zeros((len(names), high, wide))
    for b in program.blocks:
        if b.macro == macro:
            r, c = np.nonzero(b.mask)
            at = (b.row_at[r].astype(np.int64) * high // p.rows, b.col_at[c].astype(np.int64) * wide // p.columns)
            np.add.at(used[names.index(b.target)], at, 1)
    cells = (np.bincount(np.arange(p.rows) * high // p.rows)[:, None]
             * np.bincount(np.arange(p.columns) * wide // p.columns)[None, :])
    filled = used.sum(0)
    return Pane(f"macro {macro}", _chequered(used > 0), filled / cells)


def _chequered(used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(rows, columns): the layer of each place, used (layers, rows, columns); several take turns."""
    turn = np.add.outer(np.arange(used.shape[1]), np.arange(used.shape[2])) % np.maximum(used.sum(0), 1)
    layer = np.full(used.shape[1:], EMPTY, np.int64)
    rank = np.cumsum(used, axis=0) - 1
    for k in range(len(used)):
        layer[used[k] & (rank[k] == turn)] = k
    return layer


def _table(program: CrossbarProgram, full: NDArray[np.float64]) -> Table:
    """Every block."""
    rows = tuple((b.name, b.macro, b.kind, ", ".join(dict.fromkeys(s.source for s in b.segments)), b.target, b.rows,
                  b.columns, int(np.count_nonzero(b.mask)), b.uses, float(full[b.macro])) for b in program.blocks)
    return Table("Blocks of weights", (
        Column("block"), Column("macro", "n"), Column("kind"), Column("from"), Column("to"), Column("rows", "n"),
        Column("columns", "n"), Column("cells in use", "n"), Column("reads a step, most", "n"),
        Column("macro is full", "%")), rows, folded=True)


def traffic(program: CrossbarProgram, trace: Trace | None) -> Found:
    """Rows of each macro that inputs and populations drive."""
    if trace is None:
        return Found(("No run with counted events was given, so no driven rows are known.",))
    sources = (*(input_title(p.name) for p in program.inputs), *layers_crossbar.rows(program))
    values = np.zeros((len(sources), program.macros))
    for b in program.blocks:
        for k, p in enumerate(program.populations, len(program.inputs)):
            values[k, b.macro] += layers_crossbar.drives(program, trace, b, p.name).sum() * layers_crossbar.phases(b)
    guess = _inputs(program, trace, values)
    rows, kept = rows_with_any(sources, values / trace.n_samples)
    grid = Grid("Rows driven", rows, tuple(f"macro {m}" for m in range(program.macros)), kept, "driven rows",
                ("from", "to"), "")
    done, cut = grouped(replace(grid, alt=f"Matrix: driven rows by source and macro; {largest(grid)}."))
    words = ("Means of a sample; a row is driven in every phase of a read. Rows that populations drive follow from "
             f"their spikes; those of inputs are the rest of what the simulator counted{guess}, for the trace holds no "
             "input spikes.",)
    return Found((*words, *([cut] if cut else [])), (done,))


def _inputs(program: CrossbarProgram, trace: Trace, values: NDArray[np.float64]) -> str:
    """Fill in the rows of inputs; says how the rest was shared out where there was a choice."""
    names = [p.name for p in program.inputs]
    size = np.zeros((len(names), values.shape[1]))
    for b in program.blocks:
        for s in b.segments:
            if s.source in names:
                size[names.index(s.source), b.macro] += s.rows * b.uses * layers_crossbar.phases(b)
    rest = max(float(trace.counts["row_drives"].sum()) - float(values.sum()), 0.0)
    if size.any():
        values[: len(names)] = rest * size / size.sum()
    return ", shared out by rows" if np.count_nonzero(size) > 1 else ""


def times(program: CrossbarProgram, trace: Trace, target: Target) -> Found:
    """How long each macro reads."""
    if "macro_seconds" not in trace.counts:
        return Found(("The trace does not tell how long each macro reads.",))
    busy = trace.counts["macro_seconds"].sum(0) / trace.n_samples
    whole = float(trace.counts["step_seconds"].sum()) / trace.n_samples
    rows = []
    for m in range(program.macros):
        of = list(dict.fromkeys(b.target for b in program.blocks if b.macro == m))
        rows.append((str(m), ", ".join(of), float(busy[m]), float(busy[m]) / whole if whole else None))
    table = Table("Reading time of each macro (mean of a sample)", (
        Column("macro"), Column("for"), Column("time", "s"), Column("of the latency", "%")), tuple(rows))
    return Found(("A step is as long as the reads of its busiest macro; macros work side by side.",), (table,))


FAMILY = Family(layers_crossbar.layers, layers_crossbar.rows, placement, traffic, layers_crossbar.shares, times)
