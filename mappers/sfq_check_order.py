"""sfq_check_order: does all that a counter takes in come before it is read, and all that resets it afterwards?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.mappers.sfq_check_lines import FRAME, NDRO, TFF, Lines
from hwsdk.mappers.sfq_walk import Ways

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
NEVER = np.int64(1) << 60


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """All counter neurons. neuron, bit (C): of a TFF, -1 for none; bits (n): 0 for a loop neuron. holds (C): the TFF
    whose bit a NDRO holds, -1 for none; turned (C): whether it is the complement. ways: those to the TFFs, each with
    its owner, the neuron, and its worth, 2^bit.
    """

    neuron: Ints
    bit: Ints
    bits: Ints
    holds: Ints
    turned: Flags
    ways: Ways
    owner: Ints
    worth: Ints

    def add_up(self, chosen: Flags) -> Ints:
        """(n): what the chosen ways are worth to each neuron, together."""
        total = np.zeros(len(self.bits), np.int64)
        np.add.at(total, self.owner[chosen], self.worth[chosen])
        return total


def check_order(x: Lines, c: Counters, taken: Flags, ones: Flags, reset: Flags) -> None:
    """Each frame a counter takes in what is ``taken``, is read, is set to ``ones`` and ``reset``, in this order.

    taken, ones, reset: of c.ways. Times are nominal; how far apart pulses must be is for the timing check.

    Raises:
        InternalError: the first pulse that comes too late, or too early.
    """
    at, read = _times(x, c), x.clock_fs[x.starter]
    frame = x.netlist.schedule.frame_fs
    settled = at + _ripple(x, c)[c.ways.cell]
    _require(x, c, taken & (settled >= read[c.owner]), "is not counted before its counter is read")
    last = _most(c, settled, taken)
    held = x.clock_fs[c.ways.origin] + np.where(x.source[x.clock[c.ways.origin]] == FRAME, 0, NEVER)
    _require(x, c, ones & (held <= last[c.owner]), "is read before all is counted")
    done = np.maximum(_most(c, at, ones), read)
    _require(x, c, reset & (at <= done[c.owner]), "comes before its counter is ready for it")
    first = -_most(c, -at, taken)
    late = (ones | reset) & (at >= first[c.owner] + frame)
    _require(x, c, late, "comes after the next frame has begun to count")


def _require(x: Lines, c: Counters, wrong: Flags, what: str) -> None:
    if wrong.any():
        i = int(np.argmax(wrong))
        raise InternalError(f"the pulse of {x.name(c.ways.origin[i])} at {x.name(c.ways.cell[i])} of "
                            f"{x.neuron_name(int(c.owner[i]))} {what}")


def _times(x: Lines, c: Counters) -> Ints:
    """(ways) fs from the start of a frame at which their pulses come."""
    clocked_by = x.clock[c.ways.origin]
    start = np.where(x.source[c.ways.origin] == FRAME, x.offset_fs[c.ways.origin],
                     x.clock_fs[c.ways.origin] + x.delay_fs[c.ways.origin])
    chained = (x.kind[c.ways.origin] == NDRO) & (x.kind[clocked_by] == NDRO)
    return np.asarray(start + c.ways.fs + np.where(chained, x.clock_fs[clocked_by] + x.delay_fs[clocked_by], 0))


def _ripple(x: Lines, c: Counters) -> Ints:
    """(C) fs from a pulse at a bit until its carry can have come to the highest one."""
    found, step = np.zeros(x.netlist.n_cells, np.int64), np.zeros(x.netlist.n_cells, np.int64)
    own = x.kind[c.ways.origin] == TFF
    start, end = c.ways.origin[own], c.ways.cell[own]
    step[start] = x.delay_fs[start] + c.ways.fs[own]
    for k in range(int(c.bits.max(initial=1)) - 2, -1, -1):
        now = c.bit[start] == k
        found[start[now]] = step[start[now]] + found[end[now]]
    return found


def _most(c: Counters, values: Ints, chosen: Flags) -> Ints:
    """(n): the largest of the chosen ways' values; very small where there is none."""
    found = np.full(len(c.bits), -NEVER)
    np.maximum.at(found, c.owner[chosen], values[chosen])
    return found
