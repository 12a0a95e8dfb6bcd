"""route: what the router of every chip holds, so that every slice's packets reach exactly the PEs that hear them.

A packet follows a tree of shortest ways from its chip, one tree for each source chip, so it never comes to a chip
twice. Every chip on its way has an entry, those that only pass it on too: whether a SpiNNaker 2 router sends on what
matches no entry ("default routing" of the first SpiNNaker) is not published.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, Violation
from hwsdk.mappers import spinnaker_route_kernels as kernels
from hwsdk.mappers.spinnaker_place import Flow, Placed, trees
from hwsdk.programs.spinnaker import ROUTE_WORDS

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """Router entries of C chips, by chip, then key: fields as router_* of SpinnakerArrays.

    No two entries of a chip match one key, so their order does not matter. before (C): entries, one a slice, before
    entries with equal routes were merged.
    """

    ptr: IntArray
    key: NDArray[np.uint32]
    mask: NDArray[np.uint32]
    pes: NDArray[np.uint32]
    links: NDArray[np.uint8]
    before: IntArray

    @property
    def entries(self) -> IntArray:
        """(C) entries of each chip."""
        return np.diff(self.ptr)

    def violations(self, limit: int) -> tuple[Violation, ...]:
        """The chips with more entries than a router has."""
        return tuple(Violation("router_entries", f"chip {c}", int(n), limit, "entries")
                     for c, n in enumerate(self.entries) if n > limit)


def route(placed: Placed, flow: Flow, key: IntArray, mask: IntArray, limit: int = 16_384, *,
          compress: bool = True) -> Routes:
    """The tables of all chips of a placement.

    Args:
        key, mask (slices): of each slice, see hwsdk.mappers.spinnaker_keys.Keys. limit: entries of a router.

    Raises:
        FitError: rule ``router_entries``: a table is too long, all of them listed.
    """
    chips = list(zip(placed.chip_x.tolist(), placed.chip_y.tolist(), strict=True))
    chip, slice_of, pes, links = _entries(placed, flow, chips)
    order = np.lexsort((key[slice_of], chip))
    chip, slice_of, pes, links = chip[order], slice_of[order], pes[order], links[order]
    ptr = np.searchsorted(chip, np.arange(len(chips) + 1))
    kept, keys, masks, new_ptr = slice_of, key[slice_of], mask[slice_of], ptr
    if compress:
        silent = np.flatnonzero(np.diff(flow.ptr) == 0)
        silent_chip, number = placed.pe_chip[flow.home[silent]], _route_numbers(pes, links)
        parts = [_compressed(number[lo:hi], keys[lo:hi], masks[lo:hi], key[silent[silent_chip == c]])
                 for c, (lo, hi) in enumerate(pairwise(ptr.tolist()))]
        kept, keys, masks = (np.concatenate([p[k] + (ptr[c] if k == 0 else 0) for c, p in enumerate(parts)])
                             for k in range(3))
        new_ptr = np.r_[0, np.cumsum([len(p[0]) for p in parts])].astype(np.int64)
        pes, links = pes[kept], links[kept]
    found = Routes(new_ptr, keys.astype(np.uint32), masks.astype(np.uint32), pes, links, np.diff(ptr))
    if broken := found.violations(limit):
        raise FitError("the routing tables are too long", violations=broken, hint="use fewer, larger slices, or "
                       "populations whose slices go to the same PEs")
    return found


def _entries(placed: Placed, flow: Flow, chips: list[tuple[int, int]],
             ) -> tuple[IntArray, IntArray, NDArray[np.uint32], NDArray[np.uint8]]:
    """(chip, slice, PEs, links) of one entry for each slice and chip on its way."""
    ways, row_of = trees(chips), np.full(len(chips), -1, np.int64)
    ends = (flow.home, flow.ptr, flow.pe, placed.pe_chip.astype(np.int64), placed.pe_core.astype(np.int64),
            ways.parent, ways.link)
    n = kernels.tree_entries(*ends, _table(0), row_of)
    table = _table(n)
    kernels.tree_entries(*ends, table, row_of)
    return table


def _table(n: int) -> tuple[IntArray, IntArray, NDArray[np.uint32], NDArray[np.uint8]]:
    """Room for so many entries."""
    return (np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, ROUTE_WORDS), np.uint32), np.zeros(n, np.uint8))


def _route_numbers(pes: NDArray[np.uint32], links: NDArray[np.uint8]) -> IntArray:
    """The same number for entries with the same PEs and links."""
    rows = np.ascontiguousarray(np.column_stack([pes, links.astype(np.uint32)]))
    found: IntArray = np.unique(rows.view(np.dtype((np.void, rows.strides[0]))).ravel(), return_inverse=True)[1]
    return found.ravel()


def _compressed(route_of: IntArray, key: IntArray, mask: IntArray, silent: IntArray,
                ) -> tuple[IntArray, IntArray, IntArray]:
    """(an entry with the same route, key, mask) of the entries that one chip needs, by key.

    Args:
        route_of, key, mask: its entries, by ascending key. silent: keys of slices on this chip that nobody hears; no
        entry may match them, nor keys of another route. Keys that never come here are free.
    """
    if not len(key):
        return np.zeros(0, np.int64), key, mask
    every, quiet = np.concatenate([key, silent]), np.arange(-1, -1 - len(silent), -1)
    order = np.argsort(every, kind="stable")
    row = _blocks(np.concatenate([route_of, quiet])[order], every[order], order, mask)
    kept, keys, masks = _pairs(route_of[row[0]], *row)
    order = np.argsort(keys, kind="stable")
    return kept[order], keys[order], masks[order]


def _blocks(route_of: IntArray, key: IntArray, row: IntArray, mask: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """The largest aligned blocks of keys that hold one route each, as small as their keys allow: (row, key, mask).

    Such a block covers slices side by side, whole senders, and senders with equal routes. The keys are sorted; between
    two runs of different routes the longest common prefix says how far a block may reach.
    """
    run = np.r_[0, np.flatnonzero(np.diff(route_of)) + 1, len(key)]
    found: list[tuple[int, int, int]] = []
    for lo, hi in pairwise(run.tolist()):
        if route_of[lo] >= 0:
            around = [int(key[k]) for k in (lo - 1, hi) if 0 <= k < len(key)]
            found += _cover(key[lo:hi], row[lo:hi], mask, around)
    table = np.array(found, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _cover(key: IntArray, row: IntArray, mask: IntArray, around: list[int]) -> list[tuple[int, int, int]]:
    """The fewest aligned blocks for one run that hold neither of the keys around it."""
    found, lo = [], 0
    while lo < len(key):
        first = int(key[lo])
        free = min(((first ^ other).bit_length() - 1 for other in around), default=40)
        hi = int(np.searchsorted(key, ((first >> free) + 1) << free))
        span = (first ^ int(key[hi - 1])).bit_length()
        wide = int(np.bitwise_and.reduce(mask[row[lo:hi]])) & ~((1 << span) - 1)
        found.append((int(row[lo]), first & wide, wide))
        lo = hi
    return found


def _pairs(route_of: IntArray, row: IntArray, key: IntArray, mask: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Merge entries of one route and one mask whose keys differ in one bit, as long as there are any.

    The new entry matches just what the two did, so no other route is touched.
    """
    before = len(row) + 1
    while len(row) < before:
        before = len(row)
        group = np.unique(route_of << 32 | mask, return_inverse=True)[1].ravel().astype(np.int64)
        fresh = np.ones(len(row), bool)
        gone = np.zeros(len(row), bool)
        many = np.bincount(group)[group] > 1
        spread = int(np.bitwise_or.reduce((key ^ key[_first(group)][group])[many], initial=0))
        for bit in (1 << k for k in range(spread.bit_length()) if spread >> k & 1):
            open_ = np.flatnonzero(fresh & many & (mask & bit != 0))
            code = group[open_] << 32 | (key[open_] & ~bit)
            order = np.argsort(code, kind="stable")
            same = np.flatnonzero(np.diff(code[order]) == 0)
            a, b = open_[order[same]], open_[order[same + 1]]
            fresh[a], fresh[b], gone[b] = False, False, True
            key[a], mask[a] = key[a] & ~bit, mask[a] & ~bit
        route_of, row, key, mask = route_of[~gone], row[~gone], key[~gone], mask[~gone]
    return row, key, mask


def _first(group: IntArray) -> IntArray:
    """The first member of each group."""
    return np.unique(group, return_index=True)[1].astype(np.int64)
