"""place: PEs onto chips, so that multicast packets pass few links, and onto a chip's cores, near to the router.

On a chip every packet goes to the router at the centre of the die and from there once to every PE that hears it. So
what a PE costs is its packets, out and in, times its hops to the router, wherever the others stand: the busiest PE on
the nearest core is the best placement there is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, InternalError, Violation
from hwsdk.mappers import spinnaker_place_kernels as kernels
from hwsdk.mappers.objective import Search
from hwsdk.programs.spinnaker_routes import LINK_STEP

IntArray = NDArray[np.int64]
Point = tuple[int, int]
BLOCKS = 50
"""Annealing runs in so many blocks; between them progress is told and the time is looked at."""
COOLING = 1e-3
START_HEAT = 0.01
"""First temperature, as a share of the mean change of a random swap: the PEs start in order of the layers."""
SAMPLES = 512
WORK = 100_000
"""A search tries fewer swaps where so many times its moves a PE, in slices looked at, are used up before."""


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """What S slices send, and to whom: home (S): PE of each. packets (S): expected in a step, float64.

    ptr (S + 1), pe: the PEs that must hear each slice, by ascending number, each once; int64. A packet of a slice
    always goes to all of them.
    """

    home: IntArray
    packets: NDArray[np.float64]
    ptr: IntArray
    pe: IntArray

    @property
    def slice_of(self) -> IntArray:
        """The slice of each entry of ``pe``."""
        return np.repeat(np.arange(len(self.home)), np.diff(self.ptr))

    def load(self, n_pes: int) -> NDArray[np.float64]:
        """Packets of each PE in a step: each that it sends to anybody once, and each that it receives."""
        sent = np.bincount(self.home, self.packets * (np.diff(self.ptr) > 0), n_pes)
        return np.asarray(sent + np.bincount(self.pe, self.packets[self.slice_of], n_pes))


@dataclass(frozen=True, slots=True)
class Die:
    """Cores of a chip. qpes: (x, y) of each group of cores; core p = per_qpe q + 1 + k is the k-th of group q.

    routers: places of the router. reserved: core numbers that applications may not have.
    """

    qpes: tuple[Point, ...]
    routers: tuple[Point, ...]
    reserved: tuple[int, ...]
    per_qpe: int = 4

    def cores(self) -> IntArray:
        """(usable cores, 4): hops to the nearer router, core number, x, y; by hops, then number."""
        rows = [(min(abs(x - a) + abs(y - b) for a, b in self.routers), self.per_qpe * q + 1 + k, x, y)
                for q, (x, y) in enumerate(self.qpes) for k in range(self.per_qpe)]
        return np.array(sorted(r for r in rows if r[1] not in self.reserved), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Shortest ways between C chips, over these chips alone, the same for whoever asks.

    parent, link (C, C): a packet from chip r comes to chip c from parent[r, c] over its link number link[r, c]; -1 for
    r itself. distance (C, C): links passed.
    """

    parent: IntArray
    link: IntArray
    distance: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Where each PE stands; fields named as those of SpinnakerArrays, int32.

    crossings: links that all packets of a step pass, as expected. hops: of the packets on the chips, between PE and
    router. cut_short: did the time run out?
    """

    chip_x: NDArray[np.int32]
    chip_y: NDArray[np.int32]
    pe_chip: NDArray[np.int32]
    pe_core: NDArray[np.int32]
    pe_x: NDArray[np.int32]
    pe_y: NDArray[np.int32]
    pe_hops: NDArray[np.int32]
    crossings: float
    hops: float
    cut_short: bool = False


def place(n_pes: int, flow: Flow, die: Die, board: Sequence[Point], search: Search,
          progress: Callable[[str], None] | None = None) -> Placed:
    """A chip and a core for each PE, on as few chips as hold them.

    Args:
        board: (x, y) of the chips at hand, the first one with the inputs.

    Fills the chips with the PEs in order, swaps PEs between chips by simulated annealing (never worse than the start,
    deterministic by ``search.seed``), and then gives each chip's busiest PEs the cores next to the router.

    Raises:
        FitError: rule ``cores``: more PEs than the chips have.
    """
    cores = die.cores()
    if n_pes > len(cores) * len(board):
        raise FitError(f"{n_pes} PEs do not fit {len(board)} chip(s)", violations=(
            Violation("cores", "whole network", n_pes, len(cores) * len(board), "cores"),))
    chips = compact(board, max(1, -(-n_pes // len(cores))))
    chip_of = np.arange(n_pes, dtype=np.int64) // len(cores)
    cut_short, crossings = False, 0.0
    if len(chips) > 1:
        search_state = _Search(flow, trees(chips).parent, len(cores), chip_of)
        chip_of, crossings, cut_short = search_state.improved(search, progress or (lambda _: None))
    load = flow.load(n_pes)
    order = np.lexsort((np.arange(n_pes), -load, chip_of))
    rank = np.empty(n_pes, np.int64)
    rank[order] = np.arange(n_pes) - np.searchsorted(chip_of[order], chip_of[order])
    hops, core, x, y = (cores[rank, k].astype(np.int32) for k in range(4))
    at = np.array(chips, np.int32)
    return Placed(at[:, 0], at[:, 1], chip_of.astype(np.int32), core, x, y, hops, crossings, float(load @ hops),
                  cut_short)


def compact(board: Sequence[Point], n: int) -> tuple[Point, ...]:
    """n chips from the first on, each next to one before, close together, and in an order that jumps little.

    Where it can be, the chips hold a shortest way between any two of them, so that no other chip has to pass packets
    on.

    Raises:
        FitError: rule ``chips``: the chips at hand do not hang together.
    """
    far = trees(board, strict=False).distance
    chosen = [0]
    while len(chosen) < n:
        near = [c for c in range(len(board)) if c not in chosen and (far[chosen, c] == 1).any()]
        if not near:
            raise FitError("the chips at hand do not hang together", violations=(
                Violation("chips", "board", n, len(chosen), "chips side by side"),))
        near.sort(key=lambda c: (int(far[chosen, c].sum()), int(far[chosen[-1], c]), c))
        chosen.append(next((c for c in near if _keeps_ways(board, far, [*chosen, c])), near[0]))
    return tuple(board[c] for c in chosen)


def _keeps_ways(board: Sequence[Point], far: IntArray, chosen: list[int]) -> bool:
    """Are the chosen chips as close to each other over chosen chips as over the whole board?"""
    return np.array_equal(trees([board[c] for c in chosen]).distance, far[np.ix_(chosen, chosen)])


def trees(chips: Sequence[Point], *, strict: bool = True) -> Trees:
    """A tree of shortest ways from every chip to all others; of several ways the one whose links come first.

    Raises:
        InternalError: strict, and a chip cannot be reached; else its distance is the number of chips or more.
    """
    n, at = len(chips), {p: c for c, p in enumerate(chips)}
    parent, link = np.full((n, n), -1, np.int64), np.full((n, n), -1, np.int64)
    distance = np.full((n, n), n, np.int64)
    steps = [[(k, at[x + dx, y + dy]) for k, (dx, dy) in enumerate(LINK_STEP) if (x + dx, y + dy) in at]
             for x, y in chips]
    for root in range(n):
        distance[root, root], wave = 0, [root]
        while wave:
            here = wave
            wave = []
            for c in here:
                for k, to in steps[c]:
                    if distance[root, to] == n:
                        parent[root, to], link[root, to], distance[root, to] = c, k, distance[root, c] + 1
                        wave.append(to)
    if strict and (distance == n).any():
        raise InternalError(f"the chips {tuple(chips)} do not hang together")
    return Trees(parent, link, distance)


class _Search:
    """PEs on chips: what the kernels read and change."""

    def __init__(self, flow: Flow, parents: IntArray, per_chip: int, chip_of: IntArray) -> None:
        n_pes, n_chips = len(chip_of), len(parents)
        self.flow = (flow.home, flow.packets, flow.ptr, flow.pe)
        self.wires = (*_by(flow.pe, flow.slice_of, n_pes), *_by(flow.home, np.arange(len(flow.home)), n_pes))
        self.parents, self.per_chip = parents, per_chip
        self.start, self.chip_of = chip_of, chip_of.copy()
        self.pe_at = np.full(n_chips * per_chip, -1, np.int64)
        self.pe_at[:n_pes] = np.arange(n_pes)
        self.scratch = (np.zeros((n_chips, len(flow.home)), np.int16), np.zeros(len(flow.home)),
                        np.zeros(n_chips, np.bool_))

    def cost(self, chip_of: IntArray) -> float:
        """Links that all packets of a step pass, computed from nothing."""
        kernels.fill(self.flow, self.parents, chip_of, *self.scratch)
        return float(self.scratch[1].sum())

    def moves(self, search: Search) -> int:
        """Swaps to try: fewer where one swap changes many slices."""
        slices = (len(self.wires[1]) + len(self.wires[3])) / len(self.chip_of)
        return min(search.moves(len(self.chip_of)), int(search.moves(WORK) / max(slices, 1.0)))

    def improved(self, search: Search, say: Callable[[str], None]) -> tuple[IntArray, float, bool]:
        """(chip of each PE after the search, links passed in a step, did the time run out?)."""
        before = self.cost(self.chip_of)
        state, moves, done = np.array([search.random_state()], np.uint64), self.moves(search), 0
        fixed = (self.per_chip, self.pe_at, self.chip_of, self.flow, self.wires, self.parents, *self.scratch, state)
        hot = START_HEAT * kernels.anneal(min(SAMPLES, moves), -1.0, -1.0, *fixed)[1] / SAMPLES
        for block in range(BLOCKS if moves else 0):
            if time.monotonic() > search.deadline():
                break
            t0, t1 = (hot * COOLING ** (k / BLOCKS) for k in (block, block + 1))
            kernels.anneal(-(-moves // BLOCKS), t0, t1, *fixed)
            done = block + 1
            say(f"place {done * 100 // BLOCKS} %")
        after = self.cost(self.chip_of)
        better = after < before
        return (self.chip_of if better else self.start), min(before, after), bool(moves) and done < BLOCKS


def _by(key: IntArray, value: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """(pointers, values) of the keys 0 .. n - 1."""
    ptr = np.r_[0, np.cumsum(np.bincount(key, minlength=n))].astype(np.int64)
    return ptr, value[np.argsort(key, kind="stable")].astype(np.int64)
