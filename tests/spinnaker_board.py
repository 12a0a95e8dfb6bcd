"""SpiNNaker 2 chips and boards for tests, and programs made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.spinnaker_place import Die, Flow, Placed
from hwsdk.mappers.spinnaker_route import Routes
from hwsdk.programs.spinnaker import Machine, Sender, SpinnakerArrays, SpinnakerProgram
from hwsdk.programs.spinnaker_image import PeMemory, PeSlice, encode

QPES = ((7, 6), (7, 5), (6, 6), (6, 5), (6, 4), (5, 4), (5, 6), (3, 6), (4, 6), (5, 5), (3, 5), (4, 5), (1, 6), (2, 6),
        (1, 5), (2, 5), (1, 4), (2, 4), (3, 4), (1, 1), (2, 1), (1, 2), (2, 2), (1, 3), (2, 3), (3, 3), (5, 1), (3, 1),
        (4, 1), (5, 2), (3, 2), (4, 2), (7, 1), (6, 1), (7, 2), (6, 2), (6, 3), (5, 3))
DIE = Die(QPES, ((4, 3), (4, 4)), (149, 150, 151, 152))
COLUMNS = {0: (0, 3), 1: (0, 4), 2: (0, 5), 3: (0, 6), 4: (0, 7), 5: (1, 7), 6: (2, 7), 7: (3, 7)}
BOARD = tuple((x, y) for x, (low, high) in COLUMNS.items() for y in range(low, high + 1))
"""The 48 chips of SpiNNMachine's version 248."""
MACHINE = Machine(150e6, 300e6, {}, 1024, 1e-8, 1e-8, 1e-8)


def flow_of(home: Sequence[int], reach: Sequence[Sequence[int]], packets: Sequence[float] | None = None) -> Flow:
    """A flow from lists."""
    ptr = np.r_[0, np.cumsum([len(r) for r in reach])].astype(np.int64)
    return Flow(np.array(home, np.int64), np.ones(len(home)) if packets is None else np.array(packets, np.float64), ptr,
                np.array([p for r in reach for p in sorted(r)], np.int64))


def program_of(senders: tuple[Sender, ...], slices: list[tuple[int, np.ndarray]], memories: list[PeMemory],
               placed: Placed, routes: Routes, **more: object) -> SpinnakerProgram:
    """A program of these parts; slices: (number of the sender, its neurons), in the order of the PEs."""
    images = [encode(m) for m in memories]
    pointers = [np.r_[0, np.cumsum(x)].astype(np.int64) for x in (
        [len(i) for i in images], [len(m.slices) for m in memories], [len(n) for _, n in slices])]
    arrays = SpinnakerArrays(
        placed.chip_x, placed.chip_y, placed.pe_chip, placed.pe_core, placed.pe_x, placed.pe_y, placed.pe_hops,
        pointers[0], np.concatenate(images), pointers[1], np.array([s for s, _ in slices], np.int32), pointers[2],
        np.concatenate([n for _, n in slices]).astype(np.int32), routes.ptr, routes.key, routes.mask, routes.pes,
        routes.links)
    fields = {"outputs": {}, "data_bytes": 94_208, **more}
    return SpinnakerProgram(
        "p", "spinnaker2", "1", "", "", tuple(s for s in senders if not s.model), tuple(s for s in senders if s.model),
        fields.pop("outputs"), arrays, MACHINE, Semantics(), **fields)  # type: ignore[arg-type]


def routed_program(flow: Flow, sizes: Sequence[int], keys: np.ndarray, placed: Placed, routes: Routes,
                   ) -> SpinnakerProgram:
    """A program whose PEs hold only senders: one input of all neurons; slices must lie in the order of the PEs."""
    ends = np.r_[0, np.cumsum(sizes)]
    memories = [PeMemory("spike_list", "source", tuple(PeSlice(int(keys[s]), int(sizes[s]))
                                                       for s in np.flatnonzero(flow.home == pe)))
                for pe in range(len(placed.pe_chip))]
    slices = [(0, np.arange(ends[s], ends[s + 1])) for s in range(len(sizes))]
    return program_of((Sender("in", (int(ends[-1]),)),), slices, memories, placed, routes)
