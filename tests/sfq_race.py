"""A netlist of two layers with margins that can be computed by hand: a pulse that has to be at a DFF before its clock.

Input -> JTLs on bias line "data" -> DFF; clock -> JTLs on bias line "clock" -> DFF, whose output is the spike.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np

from hwsdk.ir.cells import CellType
from hwsdk.ir.data import Stimulus, events_from_arrays
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.sfq import Layer, PulseNetlist, Schedule, SfqArrays
from hwsdk.programs.stored import Port
from hwsdk.targets import load_target

FRAME_FS, OFFSET_FS = 400_000, 10_000
N_DATA, N_CLOCK = 20, 21
GROUPS = ("clock", "data")


def race() -> PulseNetlist:
    """With the input first by OFFSET_FS - 20 JTLs + 21 JTLs; the spike is seen a DFF's delay after the clock."""
    target = load_target("sfq")
    types = tuple(target.cell(n) for n in ("SRC", "JTL", "DFF", "SINK"))
    kinds = [0, 0, *[1] * (N_DATA + N_CLOCK), 2, 3]
    dff = 2 + N_DATA + N_CLOCK
    data, clock = [0, *range(2, 2 + N_DATA)], [1, *range(2 + N_DATA, dff)]
    nets = [(a, 0, b, 0) for line in (data, clock) for a, b in pairwise(line)]
    nets += [(data[-1], 0, dff, 0), (clock[-1], 0, dff, 1), (dff, 0, dff + 1, 0)]
    step, read = types[1].delay_at() or 0, types[2].delay_at() or 0
    table, n = np.array(nets), len(kinds)
    group = np.zeros(n, np.int16)
    group[data] = 1
    none, floats = np.zeros(0, np.int32), np.zeros(0)
    arrays = SfqArrays(
        np.array(kinds, np.int16), group, np.zeros(n, np.uint8), table[:, 0].astype(np.int32),
        table[:, 1].astype(np.int16), table[:, 2].astype(np.int32), table[:, 3].astype(np.int16),
        np.array([0], np.int32), np.array([1], np.int32), np.array([2 * OFFSET_FS], np.int64), none,
        np.array([len(nets) - 1], np.int32), none, floats, np.zeros(1, np.int64), floats, floats, floats, floats,
        floats, np.zeros(2, np.int64), none, np.zeros(1, np.int64))
    layer = Layer("out", (1,), "counter", 2 * OFFSET_FS + N_CLOCK * step + read)
    return PulseNetlist("race", target.name, target.version, target.digest(), "none", (Port("x", (1,)),), (layer,),
                        {"out": ("out",)}, types, GROUPS, ("part",), Schedule(FRAME_FS, 0, 0, OFFSET_FS), arrays,
                        Semantics())


@cache
def jtl() -> CellType:
    return load_target("sfq").cell("JTL")


def slack(data: float, clock: float) -> float:
    """fs by which the input is before the clock, at factors on both bias lines; nan where a cell is dead."""
    late, early = jtl().delay_at(data), jtl().delay_at(clock)
    if late is None or early is None:
        return float("nan")
    return OFFSET_FS + N_CLOCK * early - N_DATA * late


def stimulus() -> Stimulus:
    """Spikes in some of eight frames of two samples."""
    steps = np.array([0, 2, 3, 6])
    return Stimulus({"x": events_from_arrays((1,), np.repeat([0, 1], 4), np.concatenate([steps, steps + 1]),
                                             np.zeros(8, int), n_samples=2, n_steps=8)})
