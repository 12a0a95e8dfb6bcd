"""sfq_check_lines: which element's spikes each line holds, and how many frames later it puts them out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.mappers.sfq_walk import Kinds, Ways
from hwsdk.programs.sfq import PulseNetlist

Ints = NDArray[np.int64]
OTHER, SOURCE, SINK, DFF, NOT, NDRO, TFF, SOMA = range(8)
KINDS = {"SRC": SOURCE, "DFF": DFF, "NOT": NOT, "NDRO": NDRO, "TFF": TFF}
FREE, INPUT, FRAME, INIT = range(4)
"""What drives a SRC cell."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """What is known of the cells. kind (C): of KINDS; delay_fs (C); source (C): what drives a SRC.

    element (C): whose spikes a DFF or NOT holds, an INPUT source or the last cell of a neuron puts out; inputs'
    elements come first, then neurons, counted through; -1 for none. frames (C): of a DFF or NOT, between a spike and
    the frame in which it is put out. clock (C), clock_fs (C): cell that clocks it, -1 for none, and when in a frame.
    offset_fs (C): of a frame source, when it pulses in a frame. starter (n): the cell that gives each neuron's spikes,
    and out_fs (n): when it does.
    """

    netlist: PulseNetlist
    ways: Ways
    kind: Ints
    delay_fs: Ints
    source: Ints
    element: Ints
    frames: Ints
    clock: Ints
    clock_fs: Ints
    starter: Ints
    out_fs: Ints
    offset_fs: Ints

    @property
    def inputs(self) -> int:
        """Elements of all inputs."""
        return len(self.netlist.arrays.input_source)

    def at(self, kind: int, pin: str) -> NDArray[np.bool_]:
        """(ways): those that end at a pin of cells of a kind."""
        types = self.netlist.types
        number = np.array([t.inputs.index(pin) if pin in t.inputs else -1 for t in types], np.int64)
        w = self.ways
        return np.asarray((self.kind[w.cell] == kind) & (w.pin == number[self.netlist.arrays.cell_type[w.cell]]))

    def name(self, cell: int) -> str:
        """Of a cell."""
        return self.netlist.cell_name(int(cell))

    def element_name(self, element: int) -> str:
        """Of an input's element or a neuron."""
        for name, n in [*((p.name, p.n) for p in self.netlist.inputs), *((x.name, x.n) for x in self.netlist.layers)]:
            if element < n:
                return f"{name}[{element}]"
            element -= n
        return f"element {element}"

    def neuron_name(self, neuron: int) -> str:
        """Of a neuron."""
        return self.element_name(neuron + self.inputs)


def lines_of(netlist: PulseNetlist, ways: Ways) -> Lines:
    """Roles and times of all cells.

    Raises:
        InternalError: a line without clock or source, or with several; names its cell.
    """
    a, n = netlist.arrays, netlist.n_cells
    by_type = np.array([SOMA if t.soma is not None else KINDS.get(t.name, OTHER if t.outputs else SINK)
                        for t in netlist.types], np.int64)
    element, source = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    for role, cells in ((INPUT, a.input_source), (FRAME, a.frame_source), (INIT, a.init_source)):
        source[cells] = role
    starter, behind = _starters(netlist)
    element[a.input_source] = np.arange(len(a.input_source))
    element[starter] = len(a.input_source) + np.arange(len(starter))
    read = np.concatenate([np.zeros(0, np.int64), *(np.full(x.n, x.read_fs) for x in netlist.layers)])
    found = Lines(netlist, ways, by_type[a.cell_type], Kinds.of(netlist).delay_fs[a.cell_type], source, element,
                  np.zeros(n, np.int64), np.full(n, -1, np.int64), np.zeros(n, np.int64), starter, read - behind,
                  np.zeros(n, np.int64))
    found.offset_fs[a.frame_source] = a.frame_offset_fs
    _require_known(found)
    _clock(found)
    _follow(found)
    return found


def _starters(netlist: PulseNetlist) -> tuple[Ints, Ints]:
    """(n): the cell with state behind each neuron's spike net, and fs from it to that net."""
    a, kinds = netlist.arrays, Kinds.of(netlist)
    into = np.full(int(netlist.input_base[-1]), -1, np.int64)
    into[netlist.input_base[a.to_cell] + a.to_pin] = np.arange(netlist.n_nets)
    cell, fs = a.from_cell[a.spike_net].astype(np.int64), np.zeros(len(a.spike_net), np.int64)
    for _ in range(netlist.n_cells):
        kind = a.cell_type[cell]
        on = kinds.passes[kind]
        if not on.any():
            return cell, fs
        if wrong := [int(c) for c in cell[on] if len(netlist.types[a.cell_type[c]].inputs) != 1]:
            raise InternalError(f"{netlist.cell_name(wrong[0])} joins pulses before a spike net")
        fs = fs + np.where(on, kinds.delay_fs[kind], 0)
        cell = np.where(on, a.from_cell[into[np.where(on, netlist.input_base[cell], 0)]], cell)
    raise InternalError("a ring of cells before a spike net")


def _require_known(x: Lines) -> None:
    """Neurons have starters of their own, sources a driver, and there are no cells that the check does not know."""
    unknown = np.flatnonzero((x.kind == OTHER) & ~Kinds.of(x.netlist).passes[x.netlist.arrays.cell_type])
    if len(unknown):
        raise InternalError(f"{x.name(unknown[0])}: a cell that no part of a neuron needs")
    if len(idle := np.flatnonzero((x.kind == SOURCE) & (x.source == FREE))):
        raise InternalError(f"{x.name(idle[0])}: a source that nothing drives")
    cells, counts = np.unique(x.starter, return_counts=True)
    if (counts > 1).any():
        raise InternalError(f"{x.name(cells[np.argmax(counts)])} gives the spikes of {counts.max()} neurons")
    if len(wrong := np.flatnonzero(~np.isin(x.kind[x.starter], (NDRO, SOMA)))):
        raise InternalError(f"{x.name(x.starter[wrong[0]])} gives the spikes of {x.neuron_name(int(wrong[0]))}")


def _clock(x: Lines) -> None:
    """Fill in clock and clock_fs: one pulse a frame for every DFF and NOT, one way for every NDRO."""
    for kind, role in ((DFF, "a frame source"), (NOT, "a frame source"), (NDRO, "one pulse")):
        w = x.ways.where(x.at(kind, "clk"))
        _require_one(x, kind, w, "clk")
        if kind != NDRO and len(wrong := np.flatnonzero(x.source[w.origin] != FRAME)):
            raise InternalError(f"{x.name(w.cell[wrong[0]])} is clocked by {x.name(w.origin[wrong[0]])}, not by {role}")
        x.clock[w.cell], x.clock_fs[w.cell] = w.origin, x.offset_fs[w.origin] + w.fs


def _require_one(x: Lines, kind: int, w: Ways, pin: str) -> None:
    """Each cell of a kind must be reached at the pin in exactly one way."""
    ways = np.bincount(w.cell, minlength=x.netlist.n_cells)
    if len(wrong := np.flatnonzero((x.kind == kind) & (ways != 1))):
        raise InternalError(f"{x.name(wrong[0])}: {ways[wrong[0]]} ways lead to its pin {pin}, not one")


def _follow(x: Lines) -> None:
    """Fill in element and frames of every DFF and NOT, from the spikes on."""
    frame = x.netlist.schedule.frame_fs
    w = x.ways.where(x.at(DFF, "a") | x.at(NOT, "a"))
    for kind in (DFF, NOT):
        _require_one(x, kind, w, "a")
    out = np.zeros(x.netlist.n_cells, np.int64)
    out[x.netlist.arrays.input_source] = x.netlist.schedule.input_offset_fs
    out[x.starter] = x.out_fs
    wrong = ~((x.kind[w.origin] == DFF) | (x.element[w.origin] >= 0))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise InternalError(f"{x.name(w.cell[i])} stores pulses of {x.name(w.origin[i])}, which is no spike")
    while len(w):
        known = x.element[w.origin] >= 0
        if not known.any():
            raise InternalError(f"{x.name(w.cell[0])}: a ring of lines without a spike")
        now, w = w.where(known), w.where(~known)
        arrival = out[now.origin] + now.fs
        x.frames[now.cell] = (arrival - x.clock_fs[now.cell]) // frame + 1
        x.element[now.cell] = x.element[now.origin]
        out[now.cell] = x.clock_fs[now.cell] + x.frames[now.cell] * frame + x.delay_fs[now.cell]
