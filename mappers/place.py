"""place: cores onto routers of a mesh, so that messages make few hops and cross few borders between chips."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.ir.mapping import Place
from hwsdk.mappers import place_kernels as kernels
from hwsdk.mappers.objective import Search, Weights
from hwsdk.targets.loihi import LoihiTarget

IntArray = NDArray[np.int64]
BLOCKS = 50
"""Annealing runs in so many blocks; between them progress is told and the time is looked at."""
COOLING = 1e-3
SAMPLES = 512
START_HEAT = 0.3
"""First temperature, as a share of the mean change of a random swap: the cores start in order of the layers, which is
a good start that a hotter beginning would destroy."""
SWEEP_UP_TO = 256
"""Cores up to which every pair is tried at the end; beyond, annealing alone ends cold."""
MAX_SWEEPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Where each core stands. cost: weighted hops and borders in a step; cut_short: did the time run out?"""

    places: tuple[Place, ...]
    cost: float
    cut_short: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """Every core position of all routers, router by router in rows over all chips. place (slots, 3): x, y, chip;
    usable: is it one of a chip's cores? snake: the usable ones along a snake through each chip's routers.
    """

    width: int
    height: int
    depth: int
    place: IntArray
    usable: NDArray[np.bool_]
    snake: IntArray


def slots(target: LoihiTarget, chips: int) -> Slots:
    """The positions of chips that stand side by side in x."""
    width, height = target.mesh.width.value or 1, target.mesh.height.value or 1
    depth, per_chip = target.mesh.cores_per_router.value or 1, target.need("cores")
    across = width * chips
    y, x, _ = np.unravel_index(np.arange(height * across * depth), (height, across, depth))
    place = np.stack([x, y, x // width], axis=1).astype(np.int64)
    snake = []
    for chip in range(chips):
        routers = [(chip * width + (i if j % 2 == 0 else width - 1 - i), j) for j in range(height)
                   for i in range(width)]
        snake += [(j * across + i) * depth + k for i, j in routers for k in range(depth)][:per_chip]
    usable = np.zeros(len(place), bool)
    usable[snake] = True
    return Slots(across, height, depth, place, usable, np.array(snake, np.int64))


def place(traffic: sparse.csr_array, target: LoihiTarget, chips: int, search: Search,
          progress: Callable[[str], None] | None = None) -> Found:
    """A place for each core, on as few chips as hold them.

    Args:
        traffic: (cores, cores) messages from row to column in a step; any unit.

    Starts with the cores in order along the snake, swaps positions by simulated annealing, and ends with swaps that
    lower the cost alone; never ends worse than it starts. Deterministic by ``search.seed``.
    """
    n, per_chip = traffic.shape[0], target.need("cores")
    grid = slots(target, min(chips, -(-n // per_chip)))
    both = sparse.csr_array(traffic + traffic.T)
    both.setdiag(0)
    both.eliminate_zeros()
    board = _Board(grid, (both.indptr.astype(np.int64), both.indices.astype(np.int64), both.data.astype(np.float64)),
                   np.array(Weights.of(target).path()), grid.snake[:n].copy())
    start = board.cost()
    slot_of, cut_short = board.improved(search, progress or (lambda _: None)) if both.nnz else (board.slot_of, False)
    end = _Board(grid, board.net, board.weight, slot_of).cost()
    if end > start:
        slot_of, end = grid.snake[:n], start
    found = tuple(Place(int(c), int(x), int(y)) for x, y, c in grid.place[slot_of])
    return Found(found, end, cut_short)


@dataclass(frozen=True, slots=True, eq=False)
class _Board:
    """Cores on slots. net: (ptr, neighbour, messages) both ways."""

    grid: Slots
    net: tuple[IntArray, IntArray, NDArray[np.float64]]
    weight: NDArray[np.float64]
    slot_of: IntArray

    def cost(self) -> float:
        """Messages times weighted distance."""
        ptr, neighbour, messages = self.net
        core = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
        at = self.grid.place[self.slot_of]
        return float((np.abs(at[core] - at[neighbour]) @ self.weight) @ messages / 2)

    def improved(self, search: Search, say: Callable[[str], None]) -> tuple[IntArray, bool]:
        """(slot of each core after the search, did the time run out?)."""
        g = self.grid
        slot_of, core_at = self.slot_of.copy(), np.where(g.usable, -1, -2).astype(np.int64)
        core_at[slot_of] = np.arange(len(slot_of))
        shape, state = (g.width, g.height, g.depth), np.array([search.random_state()], np.uint64)
        fixed = (self.net, slot_of, core_at, g.place, self.weight)
        moves, end = search.moves(len(slot_of)), search.deadline()
        hot = START_HEAT * kernels.mean_step(*fixed, shape, state, SAMPLES) if moves else 0.0
        done = 0
        for block in range(BLOCKS if moves else 0):
            if time.monotonic() > end:
                break
            t0, t1 = (hot * COOLING ** (k / BLOCKS) for k in (block, block + 1))
            kernels.anneal(-(-moves // BLOCKS), t0, t1, *fixed, shape, state)
            done = block + 1
            say(f"place {done * 100 // BLOCKS} %")
        cut_short = bool(moves) and done < BLOCKS
        for _ in range(MAX_SWEEPS if moves and len(slot_of) <= SWEEP_UP_TO else 0):
            cut_short = cut_short or time.monotonic() > end
            if cut_short or kernels.descend(*fixed) == 0:
                break
        return slot_of, cut_short
