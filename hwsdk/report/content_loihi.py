"""What a report tells of Loihi programs: cores on their mesh, messages, busy times."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.loihi_cost import synaptic_operations, terms
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.report import layers_loihi
from hwsdk.report.content import EMPTY, Column, Found, Grid, Pane, Plan, Table, number, percent
from hwsdk.report.content_plan import MOST_PANES, fullest, grouped, largest, slices_text
from hwsdk.report.layers import Family
from hwsdk.targets import Target
from hwsdk.targets.loihi import LoihiTarget

PATHS_FROM = "inputs (host)"


def placement(program: LoihiProgram, target: Target) -> Found:
    """Every core on the mesh: its layer, and the resource of which it has least left."""
    if not isinstance(target, LoihiTarget):
        raise TypeError(f"{target.name} is no Loihi target")
    held = layers_loihi.neurons_by_core(program)
    full = [fullest(program.usage[c] if program.usage else {}, {k: v.value for k, v in target.limits.items()})
            for c in range(program.n_cores)]
    names = layers_loihi.rows(program)
    panes = tuple(_pane(program, target, chip, held, full) for chip in range(min(program.chips, MOST_PANES)))
    top = max(range(program.n_cores), key=lambda c: full[c][1])
    alt = (f"Plan of {program.chips} chip(s): {program.n_cores} of {_cores(target) * program.chips} cores hold "
           f"neurons; the fullest, core {top} with {names[int(held[top].argmax())]}, uses {percent(full[top][1])} "
           f"of its {full[top][0]}.")
    words = ["Cores of one router lie side by side, in the order of their numbers."]
    if program.chips > MOST_PANES:
        words.append(f"The first {MOST_PANES} of {program.chips} chips are drawn; the table has all cores.")
    plan = Plan("Cores on the mesh", names, panes, "the resource of which a core has least left", alt)
    return Found(tuple(words), (plan, _table(program, full)))


def _cores(target: LoihiTarget) -> int:
    mesh = target.mesh
    return (mesh.width.value or 1) * (mesh.height.value or 1) * (mesh.cores_per_router.value or 1)


def _pane(program: LoihiProgram, target: LoihiTarget, chip: int, held: NDArray[np.int64],
          full: list[tuple[str, float]]) -> Pane:
    """One chip: its routers, each a block of cores."""
    mesh, a = target.mesh, program.arrays
    width, height, per = (x.value or 1 for x in (mesh.width, mesh.height, mesh.cores_per_router))
    across = math.ceil(math.sqrt(per))
    down = -(-per // across)
    layer = np.full((height * down, width * across), EMPTY, np.int64)
    share, labels, seen = np.zeros(layer.shape), [], dict[tuple[int, int], int]()
    for c in np.flatnonzero(a.core_chip == chip).tolist():
        x, y = int(a.core_x[c]) - chip * width, int(a.core_y[c])
        if not (0 <= x < width and 0 <= y < height and seen.get((x, y), -1) + 1 < per):
            continue  # a place that this chip does not have: the mapper makes none, a program by hand may
        k = seen[(x, y)] = seen.get((x, y), -1) + 1
        at = (y * down + k // across, x * across + k % across)
        layer[at], share[at] = int(held[c].argmax()), full[c][1]
        labels.append((at, str(c)))
    return Pane(f"chip {chip}", layer, share, tuple(labels))


def _table(program: LoihiProgram, full: list[tuple[str, float]]) -> Table:
    """What every core holds."""
    a, rows = program.arrays, []
    for c in range(program.n_cores):
        ids = np.sort(a.source_id[a.neuron_ptr[c] : a.neuron_ptr[c + 1]])
        parts = {s.name: own - s.first for s in program.populations
                 if len(own := ids[(ids >= s.first) & (ids < s.first + s.n)])}
        rows.append((str(c), int(a.core_chip[c]), f"({a.core_x[c]}, {a.core_y[c]})", slices_text(parts), len(ids),
                     full[c][1], full[c][0]))
    return Table("Cores", (Column("core"), Column("chip", "n"), Column("router"), Column("holds"),
                           Column("neurons", "n"), Column("fullest", "%"), Column("of its")), tuple(rows), folded=True)


def traffic(program: LoihiProgram, trace: Trace | None) -> Found:
    """Messages from core to core, and through each router on their x-y ways."""
    if trace is None:
        return Found(("No run with counted events was given, so no messages are known.",))
    s = layers_loihi.sends(program, trace)
    between = np.zeros((program.n_cores + 1, program.n_cores))
    np.add.at(between, (s.home, s.core), s.messages)
    words = ["Means of a sample. Messages of populations follow from their spikes and the cores that listen; together "
             "they are what the simulator counted."]
    if "core_messages" in trace.counts:
        outside = trace.counts["core_messages"].sum(0) - between.sum(0)
        between[-1] = outside
        words.append("Those of inputs are the rest of what each core received: the trace holds no input spikes.")
    between /= trace.n_samples
    names = tuple(f"core {c}" for c in range(program.n_cores))
    grid = Grid("Messages between cores", (*names, PATHS_FROM), names, between, "messages", ("from", "to"), "")
    grid, cut = grouped(replace(grid, alt=f"Matrix: messages from core to core; {largest(grid)}."))
    mesh = _routers(program, s, trace.n_samples)
    if mesh is None:
        words.append("No message passes a link of the mesh: senders and listeners share their routers, or the input "
                     "comes straight to them.")
    return Found(tuple(w for w in (*words, cut) if w), (grid,) if mesh is None else (grid, mesh))


def _routers(program: LoihiProgram, s: layers_loihi.Sends, samples: int) -> Grid | None:
    """Messages that enter each router from another one, along x first, then y."""
    a = program.arrays
    x, y = a.core_x.astype(np.int64), a.core_y.astype(np.int64)
    shape = (int(y.max()) + 1, int(x.max()) + 1)
    passed = np.zeros(shape)
    pairs = np.zeros((program.n_cores, program.n_cores), np.int64)
    np.add.at(pairs, (s.home, s.core), s.messages)
    for here, there in np.argwhere(pairs).tolist():
        step = 1 if x[there] > x[here] else -1
        passed[y[here], [*range(x[here] + step, x[there] + step, step)] if x[there] != x[here] else []] += pairs[
            here, there]
        step = 1 if y[there] > y[here] else -1
        passed[[*range(y[here] + step, y[there] + step, step)] if y[there] != y[here] else [], x[there]] += pairs[
            here, there]
    if not passed.any():
        return None
    r, c = np.unravel_index(int(passed.argmax()), shape)
    return Grid("Messages that enter each router from a neighbour", tuple(f"y {k}" for k in range(shape[0])),
                tuple(f"x {k}" for k in range(shape[1])), passed / samples, "messages", ("router row", "router column"),
                f"Map of the mesh: the busiest router, ({c}, {r}), takes {number(float(passed.max()) / samples)} "
                "messages a sample from its neighbours.")


def times(program: LoihiProgram, trace: Trace, target: Target) -> Found:
    """The parts of a step, and how long the busiest core of each layer works."""
    if not isinstance(target, LoihiTarget):
        raise TypeError(f"{target.name} is no Loihi target")
    private, shared, _ = synaptic_operations(program, trace)
    part = shared / (private + shared) if private + shared else 0.0
    rows = [(t.name, float(t.events.mean()), t.figure.value,
             None if t.figure.value is None else float(t.events.mean()) * t.figure.value)
            for t in terms(program, trace, target, part) if t.events.any()]
    table = Table("Parts of a step, of the busiest unit (mean of all steps)", (
        Column("part"), Column("events", "n"), Column("time of one", "s"), Column("time", "s")), tuple(rows))
    return Found(("Parts of different units run side by side, so the times do not add up to the step.",),
                 (table, *_busy(program, trace, target)))


def _busy(program: LoihiProgram, trace: Trace, target: LoihiTarget) -> tuple[Table, ...]:
    """Layer by layer: cores, and the mean time of a step that the busiest works."""
    t, steps = target.timing, trace.n_steps * trace.n_samples
    if "core_synops" not in trace.counts:
        return ()
    held = layers_loihi.neurons_by_core(program)
    neurons = held.sum(1) * (t.neuron_update.value or 0.0)
    synapses = trace.counts["core_synops"].sum(0) / steps * (t.synaptic_operation.value or 0.0)
    known = None not in (t.neuron_update.value, t.synaptic_operation.value)
    rows = []
    for k, s in enumerate(program.populations):
        own = np.flatnonzero(held[:, k])
        top = own[int((neurons + synapses)[own].argmax())]
        rows.append((s.name, len(own), f"core {top}", float(neurons[top]) if t.neuron_update.value else None,
                     float(synapses[top]) if t.synaptic_operation.value else None,
                     float(neurons[top] + synapses[top]) if known else None))
    return (Table("Work of each layer in a step (mean), on its busiest core", (
        Column("layer"), Column("cores", "n"), Column("busiest"), Column("neuron updates", "s"),
        Column("synaptic operations", "s"), Column("both", "s")), tuple(rows)),)


FAMILY = Family(layers_loihi.layers, layers_loihi.rows, placement, traffic, layers_loihi.shares, times)
