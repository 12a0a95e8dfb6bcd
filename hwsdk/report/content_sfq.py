"""What a report tells of pulse netlists: cells by bias line and part, nets, the times of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.sfq_cost import bias_by_role
from hwsdk.ir.cells import FS
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.report.content import Column, Found, Grid, Table
from hwsdk.report.content_plan import largest
from hwsdk.report.layers import Family, LayerInfo, Share
from hwsdk.targets import Target


def layers(program: PulseNetlist) -> tuple[LayerInfo, ...]:
    """Its populations."""
    return tuple(LayerInfo(x.name, x.n, True, x.style) for x in program.layers)


def rows(program: PulseNetlist) -> tuple[str, ...]:
    """Bias lines: populations, and the clock that all share."""
    return program.groups


def placement(program: PulseNetlist, target: Target) -> Found:
    """Junctions by bias line and part; a netlist has no floor plan."""
    a = program.arrays
    jj = np.array([t.jj for t in program.types], np.float64)[a.cell_type]
    values = np.zeros((len(program.groups), len(program.parts)))
    np.add.at(values, (a.cell_group, a.cell_part), jj)
    used = np.flatnonzero(values.sum(0))
    grid = Grid("Junctions by bias line and part", program.groups, tuple(program.parts[k] for k in used),
                values[:, used], "junctions", ("bias line", "part"), "")
    limit = target.limit("junctions") if "junctions" in target.limits else None
    of = "" if not limit else f", {program.junctions / limit:.1%} of the {limit:,} that a chip has"
    grid = replace(grid, alt=f"Matrix: {program.junctions:,} junctions in all{of}; {_most(grid)}.")
    return Found(("A netlist has no floor plan: where a cell lies is decided by the tools that draw the chip. Told is "
                  "which bias line has how many junctions, and for what.",), (grid, _types(program)))


def _most(grid: Grid) -> str:
    r, c = np.unravel_index(int(grid.values.argmax()), grid.values.shape)
    return f"the most, {grid.values.max():,.0f}, in {grid.columns[c]} of {grid.rows[r]}"


def _types(program: PulseNetlist) -> Table:
    """Cells of each type."""
    found = tuple((t.name, t.role, program.type_counts[t.name], t.jj * program.type_counts[t.name],
                   None if np.isnan(t.bias_a) else t.bias_a * program.type_counts[t.name]) for t in program.types)
    return Table("Cells by type", (Column("cell"), Column("role"), Column("cells", "n"), Column("junctions", "n"),
                                   Column("bias current", "A")), found, folded=True)


def traffic(program: PulseNetlist, trace: Trace | None) -> Found:
    """Nets between bias lines; pulses are counted by cell type only."""
    a, n = program.arrays, len(program.groups)
    values = np.zeros((n, n))
    np.add.at(values, (a.cell_group[a.from_cell], a.cell_group[a.to_cell]), 1)
    grid = Grid("Nets between bias lines", program.groups, program.groups, values, "nets", ("from", "to"), "")
    grid = replace(grid, alt=f"Matrix: {program.n_nets:,} nets; {largest(grid)}.")
    words = ["Nets of the program; the trace counts pulses by cell and input, not net by net."]
    if trace is not None and "deliveries" in trace.counts:
        pulses = float(trace.counts["deliveries"].sum()) / trace.n_samples
        words.append(f"{pulses:,.0f} pulses come to cells in a sample.")
    return Found(tuple(words), (grid,))


def bias_by_group(program: PulseNetlist) -> dict[str, NDArray[np.float64]]:
    """Role of cells -> A of each bias line, (groups,), somas' own currents included; unknown currents are left out."""
    a, out = program.arrays, {role: np.zeros(len(program.groups)) for role in bias_by_role(program)[0]}
    for k, kind in enumerate(program.types):
        if not np.isnan(kind.bias_a) and kind.role in out:
            here = a.cell_group[a.cell_type == k]
            out[kind.role] += kind.bias_a * np.bincount(here, minlength=len(program.groups))
    soma_type = a.cell_type[a.soma_cell]
    for m, kind_at in enumerate(soma_type.tolist()):
        if program.types[kind_at].role in out:
            out[program.types[kind_at].role][a.cell_group[a.soma_cell[m]]] += a.soma_bias_a[m]
    return out


def shares(program: PulseNetlist, trace: Trace, target: Target) -> Mapping[str, Share]:
    """What the bias burns, by bias line; events are counted by cell type, over all lines together."""
    return {f"bias of {role} cells": Share(amps, "by bias current")
            for role, amps in bias_by_group(program).items()}


def times(program: PulseNetlist, trace: Trace, target: Target) -> Found:
    """The times of a frame: when each layer is read, and what the timing check found."""
    s = program.schedule
    found = [("a frame", s.frame_fs * FS), ("before the first frame", s.start_fs * FS),
             ("input, from the start of a frame", s.input_offset_fs * FS)]
    found += [(f"{x.name} is read, from the start of a frame", x.read_fs * FS) for x in program.layers]
    frame = Table("Times of a frame", (Column("what"), Column("time", "s")), tuple(found))
    check = Table("Static timing", (Column("figure"), Column("time", "s")),
                  tuple((n, v * FS) for n, v in program.timing.items()), folded=True)
    return Found(("All layers work in every frame, one behind the other by one frame each.",), (frame, check))


FAMILY = Family(layers, rows, placement, traffic, shares, times)
