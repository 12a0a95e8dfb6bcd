"""In which order the columns of a macro go to blocks: side by side, or spread over the converters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.crossbar import Physics
from hwsdk.mappers.memristor_options import MapOptions

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """The columns of a macro as blocks take them, each block a run of them.

    at (Q,): the physical column. phase (Q,): in which its channel is converted. step: runs begin at multiples of it, so
    that columns which belong on one converter are not torn apart.
    """

    at: Ints
    phase: Ints
    step: int

    @property
    def columns(self) -> int:
        """Q."""
        return len(self.at)

    def reads(self, width: int) -> Ints:
        """(Q - width + 1,) phases in which a run of so many columns is read, for each place where it can begin.

        A column counts in the runs in which no column before it has its phase.
        """
        q, last = np.arange(self.columns), self.columns - width
        order = np.argsort(self.phase, kind="stable")
        same = self.phase[order[1:]] == self.phase[order[:-1]]
        before = np.full(self.columns, -1, np.int64)
        before[order[1:][same]] = order[:-1][same]
        low, high = np.maximum(np.maximum(before, q - width) + 1, 0), np.minimum(q, last)
        counts = low <= high
        change = np.bincount(low[counts], minlength=last + 2) - np.bincount(high[counts] + 1, minlength=last + 2)
        return np.asarray(np.cumsum(change)[: last + 1], np.int64)

    def places(self, left: int, width: int) -> Ints:
        """(width,) the physical columns of a run, from the drivers on."""
        return np.sort(self.at[left : left + width])


def slots_of(physics: Physics, options: MapOptions) -> Slots:
    """Side by side, or all columns of the first phase, then all of the second, and so on: a run of C columns is then
    read in C / converters phases, not in ``mux``.
    """
    column, mux = np.arange(physics.columns, dtype=np.int64), physics.mux
    spread, analog = spreads(physics, options), options.subtract == "analog"
    step = 2 if analog or not spread or _differ(physics) else 1
    first = column - column % step
    phase = first % mux // 2 if analog else column % mux
    alone = first + step > physics.columns  # the half of a pair that the edge leaves
    at = np.lexsort((column, first // mux, first % mux, alone)) if spread else column
    return Slots(at, phase[at], step)


def spreads(physics: Physics, options: MapOptions) -> bool:
    """Do blocks take columns of many converters, rather than columns side by side?

    It costs where rows carry the currents of their cells: their lines are longer, and more cells load them at a time.
    """
    if options.spread != "auto":
        return options.spread == "yes"
    w = physics.wires
    loaded = w.word > 0 or (w.driver > 0 and w.conducting == "selected")
    return w.topology == "gated" or not (loaded and physics.has("wires"))


def _differ(physics: Physics) -> bool:
    """Has every converter an offset and a gain of its own? They cancel in a pair that one converter reads."""
    return physics.has("adc") and (physics.adc.offset > 0 or physics.adc.gain > 0)
