"""sfq_walk: where the pulses of a netlist can go, found from its cells and nets alone.

A pulse runs through cells that have no state (JTL, SPLIT, MERGE, transmission lines) without fail, and ends at pins of
all others. So each output of a cell with state, or of a source, has a list of ends, one for every way there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.programs.sfq import PulseNetlist

Ints = NDArray[np.int64]
MOST_WAYS = 1 << 26


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """One way of a pulse each: origin: the cell that it leaves; cell, pin: where it ends; fs: time between."""

    origin: Ints
    cell: Ints
    pin: Ints
    fs: Ints

    def __len__(self) -> int:
        return len(self.cell)

    def where(self, chosen: NDArray[np.bool_] | Ints) -> Ways:
        """Some of them."""
        return Ways(self.origin[chosen], self.cell[chosen], self.pin[chosen], self.fs[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """What the netlist's cells are, by type: passes (T): has no state and lets every pulse through; delay_fs (T)."""

    passes: NDArray[np.bool_]
    outputs: Ints
    delay_fs: Ints

    @classmethod
    def of(cls, netlist: PulseNetlist) -> Kinds:
        """From the tables of the types, whatever their names."""
        passes = [len(t.states) == 1 and len(t.inputs) > 0 and len(t.outputs) > 0 and t.soma is None
                  and bool((t.fires == (1 << len(t.outputs)) - 1).all()) for t in netlist.types]
        return cls(np.array(passes, bool), np.array([len(t.outputs) for t in netlist.types], np.int64),
                   np.array([t.delay_at() or 0 for t in netlist.types], np.int64))


def require_pins(netlist: PulseNetlist) -> None:
    """Every pin must have exactly one net.

    Raises:
        InternalError: names the first that has not.
    """
    a = netlist.arrays
    for base, cell, pin, kind in ((netlist.output_base, a.from_cell, a.from_pin, "outputs"),
                                  (netlist.input_base, a.to_cell, a.to_pin, "inputs")):
        nets = np.bincount(base[cell] + pin, minlength=int(base[-1]))
        if len(wrong := np.flatnonzero(nets != 1)):
            c = int(np.searchsorted(base, wrong[0], "right")) - 1
            name = getattr(netlist.types[a.cell_type[c]], kind)[int(wrong[0] - base[c])]
            raise InternalError(f"{netlist.cell_name(c)}: its pin {name} has {int(nets[wrong[0]])} nets, not one")


def ways(netlist: PulseNetlist) -> Ways:
    """All ways of all pulses.

    Raises:
        InternalError: cells without state form a ring.
    """
    a, kinds = netlist.arrays, Kinds.of(netlist)
    to_cell, from_cell = a.to_cell.astype(np.int64), a.from_cell.astype(np.int64)
    last, fs = _runs(netlist, kinds)
    starts = np.flatnonzero(~kinds.passes[a.cell_type[from_cell]])
    origin, net, time = from_cell[starts], starts, np.zeros(len(starts), np.int64)
    done: list[tuple[Ints, Ints, Ints]] = []
    total = 0
    for _ in range(netlist.n_cells + 1):
        time, net = time + fs[net], last[net]
        ends = ~kinds.passes[a.cell_type[to_cell[net]]]
        done.append((origin[ends], net[ends], time[ends]))
        total += len(net)
        origin, net, time = origin[~ends], net[~ends], time[~ends]
        if not len(net):
            origin, net, time = (np.concatenate(x) for x in zip(*done, strict=True))
            return Ways(origin, to_cell[net], a.to_pin[net].astype(np.int64), time)
        if total > MOST_WAYS:
            break
        at = to_cell[net]
        kind = a.cell_type[at]
        times = kinds.outputs[kind]
        which = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
        origin, time = np.repeat(origin, times), np.repeat(time + kinds.delay_fs[kind], times)
        net = netlist.driven[np.repeat(netlist.output_base[at], times) + which]
    raise InternalError(f"pulses of {netlist.cell_name(int(origin[0]))} run in a ring, or have more than {MOST_WAYS} "
                        f"ways, past {netlist.cell_name(int(to_cell[net[0]]))}")


def _runs(netlist: PulseNetlist, kinds: Kinds) -> tuple[Ints, Ints]:
    """(N): for each net the last one that its pulses reach through cells with one output, and the time to its end."""
    a = netlist.arrays
    to = a.to_cell.astype(np.int64)
    kind = a.cell_type[to]
    single = kinds.passes[kind] & (kinds.outputs[kind] == 1)
    own = np.arange(netlist.n_nets)
    last = np.where(single, netlist.driven[np.minimum(netlist.output_base[to], len(netlist.driven) - 1)], own)
    fs = np.where(single, kinds.delay_fs[kind], 0)
    for _ in range(netlist.n_nets.bit_length() + 1):
        if not single[last].any():
            return last, fs
        fs, last = fs + fs[last], last[last]
    c = int(to[np.flatnonzero(single[last])[0]])
    raise InternalError(f"pulses run in a ring past {netlist.cell_name(c)}")
