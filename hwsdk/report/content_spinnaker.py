"""What a report tells of SpiNNaker programs: PEs on their chips, packets, cycles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.report import layers_spinnaker
from hwsdk.report.content import EMPTY, NOTHING_THERE, Column, Found, Grid, Pane, Plan, Table, number, percent
from hwsdk.report.content_plan import MOST_PANES, fullest, grouped, largest, rows_with_any, slices_text
from hwsdk.report.layers import Family
from hwsdk.targets import Target
from hwsdk.targets.spinnaker import SpinnakerTarget

FROM_INPUTS = "inputs, PE not told"


def placement(program: SpinnakerProgram, target: Target) -> Found:
    """Every PE on its chip: its sender, and the resource of which it has least left."""
    if not isinstance(target, SpinnakerTarget):
        raise TypeError(f"{target.name} is no SpiNNaker target")
    held, full = layers_spinnaker.neurons_by_pe(program), _fullness(program, target)
    names = layers_spinnaker.rows(program)
    panes = tuple(_pane(program, target, c, held, full) for c in range(min(program.chips, MOST_PANES)))
    top = max(range(program.n_pes), key=lambda p: full[p][1])
    alt = (f"Plan of {program.chips} chip(s): {program.n_pes} PEs are used; the fullest, PE {top} with "
           f"{names[int(held[top].argmax())]}, uses {percent(full[top][1])} of its {full[top][0]}.")
    words = [] if program.chips <= MOST_PANES else [
        f"The first {MOST_PANES} of {program.chips} chips are drawn; the table has all PEs."]
    plan = Plan("PEs on the chip", names, panes, "the resource of which a PE has least left", alt)
    return Found(("Each square of four is a group of PEs (QPE) on the chip's network.", *words),
                 (plan, _table(program, full)))


def _fullness(program: SpinnakerProgram, target: SpinnakerTarget) -> list[tuple[str, float]]:
    """(resource, share) of every PE."""
    limits: dict[str, int | None] = {"bytes": program.data_bytes or None, "neurons": target.limit("atoms_wide")}
    if program.sync == "timer":
        limits["cycles"] = int(program.machine.high_hz * program.tick_s)
    words = {"bytes": "memory", "cycles": "tick, as predicted"}
    found = [fullest(u, limits) for u in program.usage] or [("", 0.0)] * program.n_pes
    return [(words.get(name, name), part) for name, part in found]


def _pane(program: SpinnakerProgram, target: SpinnakerTarget, chip: int, held: NDArray[np.int64],
          full: list[tuple[str, float]]) -> Pane:
    """One chip: its groups of four PEs."""
    a, places = program.arrays, np.array(target.noc.qpes)
    left, top = places.min(0)
    wide, high = places.max(0) - (left, top) + 1
    layer = np.full((2 * high, 2 * wide), NOTHING_THERE, np.int64)
    for x, y in places - (left, top):
        layer[2 * y : 2 * y + 2, 2 * x : 2 * x + 2] = EMPTY
    share, labels = np.zeros(layer.shape), []
    for p in np.flatnonzero(a.pe_chip == chip).tolist():
        x, y, k = target.place(int(a.pe_core[p]))
        at = (int(2 * (y - top) + k // 2), int(2 * (x - left) + k % 2))
        layer[at], share[at] = int(held[p].argmax()), full[p][1]
        labels.append((at, str(p)))
    return Pane(f"chip {chip} at ({a.chip_x[chip]}, {a.chip_y[chip]})", layer, share, tuple(labels))


def _table(program: SpinnakerProgram, full: list[tuple[str, float]]) -> Table:
    """What every PE holds."""
    a, rows = program.arrays, []
    for p in range(program.n_pes):
        slices = range(int(a.slice_ptr[p]), int(a.slice_ptr[p + 1]))
        parts = {program.senders[a.slice_sender[s]].name: a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]].astype(
            np.int64) for s in slices}
        rows.append((str(p), int(a.pe_chip[p]), int(a.pe_core[p]), program.application(p), slices_text(parts),
                     sum(map(len, parts.values())), full[p][1], full[p][0]))
    return Table("PEs", (Column("PE"), Column("chip", "n"), Column("core", "n"), Column("application"),
                         Column("holds"), Column("neurons", "n"), Column("fullest", "%"), Column("of its")),
                 tuple(rows), folded=True)


def traffic(program: SpinnakerProgram, trace: Trace | None) -> Found:
    """Packets from PE to PE; of several chips, from chip to chip."""
    if trace is None:
        return Found(("No run with counted events was given, so no packets are known.",))
    found = layers_spinnaker.packets(program, trace)
    between = _between(program, trace, found)
    names = (*(f"PE {p}" for p in range(program.n_pes)), FROM_INPUTS)
    rows, values = rows_with_any(names, between / trace.n_samples)
    grids = [Grid("Packets between PEs", rows, names[:-1], values, "packets", ("from", "to"), "")]
    if program.chips > 1:
        grids.append(_chips(program, between / trace.n_samples))
    named = (replace(g, alt=f"Matrix of {g.title[0].lower()}{g.title[1:]}: {largest(g)}.") for g in grids)
    done, cuts = zip(*map(grouped, named), strict=True)
    hops, links = (number(float(trace.counts[n].sum()) / trace.n_samples) for n in ("hops", "chip_crossings"))
    words = ["Means of a sample. Packets of populations follow from their spikes and the routing tables; those of "
             "inputs are the rest of what each PE processed, for the trace holds no input spikes.",
             f"{hops} hops between PEs and router and {links} links between chips are passed in a sample."]
    if dropped := int(trace.counts.get("dropped_packets", np.zeros(1)).sum()):
        words.append(f"{dropped:,} packets were dropped in all samples together: spikes may be wrong.")
    return Found((*words, *dict.fromkeys(filter(None, cuts))), done)


def _between(program: SpinnakerProgram, trace: Trace, found: layers_spinnaker.Packets) -> NDArray[np.float64]:
    """(PEs + 1, PEs): packets from each PE, and in the last row those of inputs that could be of several PEs."""
    between = np.zeros((program.n_pes + 1, program.n_pes))
    ways, home = found.ways, found.home
    sent = np.nan_to_num(found.of_slice)[ways.slice_of]
    np.add.at(between, (home[ways.slice_of], ways.pe), sent)
    rest = np.maximum(trace.counts["pe_packets"].sum(0) - between.sum(0), 0.0)
    of_input = np.isnan(found.of_slice)[ways.slice_of]
    for pe in np.flatnonzero(rest):
        homes = np.unique(home[ways.slice_of[of_input & (ways.pe == pe)]])
        between[homes[0] if len(homes) == 1 else -1, pe] += rest[pe]
    return between


def _chips(program: SpinnakerProgram, between: NDArray[np.float64]) -> Grid:
    """The same from chip to chip."""
    chip = program.arrays.pe_chip
    values = np.zeros((program.chips + 1, program.chips))
    np.add.at(values, (np.append(chip, program.chips)[:, None], chip[None, :]), between)
    names = tuple(f"chip {c}" for c in range(program.chips))
    rows, kept = rows_with_any((*names, FROM_INPUTS), values)
    return Grid("Packets between chips", rows, names, kept, "packets", ("from", "to"), "")


def times(program: SpinnakerProgram, trace: Trace, target: Target) -> Found:
    """How long the PEs of each sender work in a step."""
    if not isinstance(target, SpinnakerTarget):
        raise TypeError(f"{target.name} is no SpiNNaker target")
    held = layers_spinnaker.neurons_by_pe(program)
    cycles = trace.counts["pe_cycles"].sum(0) / (trace.n_samples * trace.n_steps)
    slow = "high" if program.level == "high" else "low"
    hz = target.clock_hz(slow)
    rows = []
    for k, s in enumerate(program.senders):
        own = np.flatnonzero(held[:, k])
        if len(own):
            top = own[int(cycles[own].argmax())]
            rows.append((s.name, len(own), f"PE {top}", float(cycles[top]), float(cycles[top]) / hz))
    table = Table("Work of each layer in a step (mean), on its busiest PE", (
        Column("layer"), Column("PEs", "n"), Column("busiest"), Column("cycles", "n"),
        Column(f"time at {hz / 1e6:g} MHz", "s")), tuple(rows))
    how = (f"A timer starts a tick every {program.tick_s:g} s, {program.phases} a step."
           if program.sync == "timer" else "A step ends when all PEs are done.")
    return Found((how, "Cycles are those of a calibrated model; see the target."), (table,))


FAMILY = Family(layers_spinnaker.layers, layers_spinnaker.rows, placement, traffic, layers_spinnaker.shares, times)
