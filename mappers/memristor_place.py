"""Where blocks lie on macros, which of their rows and columns lie where, and when each channel is converted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from hwsdk.errors import InternalError, UnsupportedError
from hwsdk.mappers.memristor_codes import Cells
from hwsdk.mappers.memristor_matrix import Tile
from hwsdk.mappers.memristor_slots import Slots

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rates = Mapping[str, "NDArray[Any] | float"]
Place = tuple[int, int, int]
"""Macro, rows below the block (towards the sense end), columns before it (in the order of Slots)."""
ROUNDS = 4
"""Of halving the gap between the phases of the busiest macro and their mean; each lays all blocks once more."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a block. uses: how often it is read in a step."""

    rows: int
    columns: int
    uses: int = 1


@dataclass(slots=True)
class _Macro:
    """height: rows, counted from the sense end, that are taken of every column; low: the least of them; taken: their
    sum. load: phases that it takes to read all its blocks.
    """

    height: Ints
    low: int = 0
    taken: int = 0
    load: int = 0

    def put(self, size: Size, spot: _Spot, wide: int) -> None:
        """Lay a block down, ``wide`` columns with what keeps pairs together."""
        self.height[spot.left : spot.left + wide] = spot.up + size.rows
        self.low, self.taken = int(self.height.min()), int(self.height.sum())
        self.load += size.uses * spot.reads


@dataclass(frozen=True, slots=True)
class _Spot:
    """Rows below, columns before, and the phases of a read there."""

    up: int
    left: int
    reads: int


_Choice = Callable[[Size, Sequence[_Macro]], tuple[int, _Spot] | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Board:
    """What all macros have alike. reads: width of a block -> phases, see Slots.reads, where it can begin; least: the
    fewest of them.
    """

    rows: int
    slots: Slots
    reads: Mapping[int, Ints]
    least: Mapping[int, int]

    @classmethod
    def of(cls, sizes: Sequence[Size], rows: int, slots: Slots) -> _Board:
        """For some blocks."""
        reads = {w: slots.reads(w)[:: slots.step] for w in {s.columns for s in sizes}}
        return cls(rows, slots, reads, {w: int(n.min()) for w, n in reads.items()})

    def wide(self, size: Size) -> int:
        """Columns that a block keeps others from."""
        return min(-(-size.columns // self.slots.step) * self.slots.step, self.slots.columns)

    def load(self, size: Size) -> int:
        """Phases of a block in a step, at the least."""
        return size.uses * self.least[size.columns]

    def empty(self) -> _Macro:
        """A macro."""
        return _Macro(np.zeros(self.slots.columns, np.int64))

    def spot(self, macro: _Macro, size: Size, aligned: bool) -> _Spot | None:
        """The lowest place, then the leftmost; aligned: of those with the fewest phases."""
        w, n = self.wide(size), self.slots.columns
        if macro.low + size.rows > self.rows or macro.taken + size.rows * w > self.rows * n:
            return None
        top = maximum_filter1d(macro.height, w, mode="nearest")[w // 2 : w // 2 + n - w + 1][:: self.slots.step]
        reads = self.reads[size.columns][: len(top)]
        room = top + size.rows <= self.rows
        cost = reads * (self.rows + 1) + top if aligned else top
        cost = np.where(room, cost, np.iinfo(np.int64).max)
        k = int(np.argmin(cost))
        return _Spot(int(top[k]), k * self.slots.step, int(reads[k])) if room[k] else None


def packed(sizes: Sequence[Size], rows: int, slots: Slots, share: bool) -> list[Place]:
    """A place for each block, on as few macros as it goes; then, on so many, with as few phases of the busiest macro
    as it goes. The tallest blocks first, each as far down and left as there is room.
    """
    if not share:
        return [(k, 0, 0) for k in range(len(sizes))]
    board = _Board.of(sizes, rows, slots)
    best = _laid(sizes, board, [], len(sizes), partial(_first, board, math.inf))
    if best is None:
        raise InternalError("a block is larger than a macro")
    macros = len(best.macros)
    even = _laid(sizes, board, [board.empty() for _ in best.macros], macros, partial(_least_busy, board))
    if even is not None and even.busiest < best.busiest:
        best = even
    each = [board.load(s) for s in sizes]
    low = max(-(-sum(each) // max(macros, 1)), max(each, default=0))
    for _ in range(ROUNDS):
        if low >= best.busiest:
            break
        cap = (low + best.busiest) // 2
        found = _laid(sizes, board, [], macros, partial(_first, board, cap))
        best, low = (best, cap + 1) if found is None else (found, low)
    return _renumbered(best.places)


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """A place for each block, and the macros."""

    places: Sequence[Place]
    macros: Sequence[_Macro]

    @property
    def busiest(self) -> int:
        """Phases of the busiest macro."""
        return max((m.load for m in self.macros), default=0)


def _laid(sizes: Sequence[Size], board: _Board, macros: list[_Macro], limit: int, choose: _Choice) -> _Layout | None:
    """Every block where ``choose`` says, or on a further macro; None where ``limit`` of them do not do."""
    places: list[Place] = [(0, 0, 0)] * len(sizes)
    for k in sorted(range(len(sizes)), key=lambda k: (-sizes[k].rows, -sizes[k].columns, k)):
        chosen = choose(sizes[k], macros)
        if chosen is None:
            macros.append(board.empty())
            spot = board.spot(macros[-1], sizes[k], True)
            if spot is None or len(macros) > limit:
                return None
            chosen = len(macros) - 1, spot
        number, spot = chosen
        macros[number].put(sizes[k], spot, board.wide(sizes[k]))
        places[k] = (number, spot.up, spot.left)
    return _Layout(places, macros)


def _first(board: _Board, cap: float, size: Size, macros: Sequence[_Macro]) -> tuple[int, _Spot] | None:
    """(macro, place on it): the first that has room and is then read in no more than ``cap`` phases."""
    for number, macro in enumerate(macros):
        if macro.load + board.load(size) > cap:
            continue
        spot = board.spot(macro, size, False)
        if spot is not None and macro.load + size.uses * spot.reads > cap:
            spot = board.spot(macro, size, True)
        if spot is not None and macro.load + size.uses * spot.reads <= cap:
            return number, spot
    return None


def _least_busy(board: _Board, size: Size, macros: Sequence[_Macro]) -> tuple[int, _Spot] | None:
    """(macro, place on it): of those that have room the one that is then least busy."""
    best: tuple[int, _Spot] | None = None
    lowest = 0
    for number in sorted(range(len(macros)), key=lambda m: macros[m].load):
        before = macros[number].load
        if best is not None and lowest <= before + board.load(size):
            break  # no further one can be less busy
        spot = board.spot(macros[number], size, True)
        if spot is not None and (best is None or before + size.uses * spot.reads < lowest):
            best, lowest = (number, spot), before + size.uses * spot.reads
    return best


def _renumbered(places: Sequence[Place]) -> list[Place]:
    """Macros in the order in which the blocks name them."""
    order = {m: k for k, m in enumerate(dict.fromkeys(p[0] for p in places))}
    return [(order[m], up, left) for m, up, left in places]


def row_order(tile: Tile, cells: Cells, rates: Rates) -> Ints:
    """Rows from the sense end upwards: those that carry most current first."""
    likely = cells.likely_s.sum(axis=1) * rates_of(tile, rates)
    return np.argsort(-likely, kind="stable")


def column_order(tile: Tile, cells: Cells, rates: Rates) -> Ints:
    """Columns from the drivers on: those that carry most current first, pairs and groups together."""
    likely = rates_of(tile, rates) @ cells.likely_s
    whole, both = np.bincount(cells.group, likely), np.bincount(cells.pair, likely)
    return np.lexsort((-likely, cells.pair, -both[cells.pair], cells.group, -whole[cells.group]))


def rates_of(tile: Tile, rates: Rates) -> Floats:
    """(R,) mean input of each row in a use, 1 where nothing is known."""
    found, at = np.ones(tile.row_source.shape), 0
    for s in tile.segments:
        part = slice(at, at + s.rows)
        rate = np.asarray(rates.get(s.source, 1.0), np.float64).ravel()
        element = tile.row_source[:, part]
        found[:, part] = rate[0] if len(rate) == 1 else rate[element]
        found[:, part][element < 0] = 0
        at += s.rows
    return np.asarray(found.mean(axis=0))


def check_rates(rates: Rates, sizes: Mapping[str, int]) -> None:
    """Activities must be of parts that there are.

    Raises:
        UnsupportedError: BAD_ACTIVITY.
    """
    for name, rate in rates.items():
        if name not in sizes:
            raise UnsupportedError(f"an activity of {name}, which the network does not have", code="BAD_ACTIVITY",
                                   fix=f"use {', '.join(list(sizes)[:8])}")
        try:
            values = np.asarray(rate, np.float64).ravel()
        except (TypeError, ValueError):
            values = np.full(1, np.nan)
        if len(values) not in (1, sizes[name]) or not np.isfinite(values).all() or (values < 0).any():
            raise UnsupportedError(f"an activity of {len(values)} number(s), or below 0, for {sizes[name]} elements",
                                   where=name, code="BAD_ACTIVITY", fix="give one number, or one an element, 0 or more")


def positions(order: Ints, places: Ints) -> Array:
    """Physical place of each row or column: the first of the order takes the first of the places, and so on."""
    found = np.empty(len(order), np.int32)
    found[order] = places
    return found


def phases(cells: Cells, col_at: Array, mux: int) -> Array:
    """(K,) the phase of each channel: the converter c // mux of its first column c reads it. Where pairs are subtracted
    before, two columns conduct in a phase, and there are half as many.
    """
    first = first_columns(cells.channel, col_at)
    wide = np.bincount(cells.channel).max(initial=1)
    return np.asarray(first % mux // wide, np.int32)


def first_columns(channel: Array, col_at: Array) -> Ints:
    """(K,) the lowest physical column of each channel."""
    first = np.full(int(channel.max(initial=-1)) + 1, np.iinfo(np.int64).max, np.int64)
    np.minimum.at(first, channel, col_at.astype(np.int64))
    return first


def write_order(mask: Array, row_at: Array, col_at: Array) -> Array:
    """Flat cells row by row as they lie, without those that stay unformed."""
    flat = np.argsort(row_at)[:, None] * len(col_at) + np.argsort(col_at)[None, :]
    return np.asarray(flat[mask.reshape(-1)[flat] != 0], np.int32)


def placed(tile: Tile, cells: Cells, place: Place, rows: int, slots: Slots, rates: Rates | None,
           ) -> tuple[Array, Array]:
    """(row_at, col_at) of a block. rows: of the macro. rates None: rows and columns as they are numbered."""
    (_, up, left), (r, c) = place, cells.target_s.shape
    if rates is None:
        upwards, onwards = np.arange(r)[::-1], np.arange(c)
    else:
        upwards, onwards = row_order(tile, cells, rates), column_order(tile, cells, rates)
    return positions(upwards, rows - 1 - up - np.arange(r)), positions(onwards, slots.places(left, c))
