"""Numba kernels of the routing: the entries that one tree for each slice puts into the routers."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def tree_entries(home: Any, ptr: Any, pe: Any, pe_chip: Any, pe_core: Any, parent: Any, link: Any, table: Any,
                 row_of: Any) -> int:
    """Write one entry for each chip on the way of each slice; returns their number.

    Args:
        home (slices): PE that sends. ptr, pe: PEs that each must reach. parent, link (chips, chips): see Trees. table:
        (chip, slice, pes (., words), links) arrays to fill, zeros, or of length 0 to count only. row_of (chips): -1
        before and after.
    """
    pes = table[2]
    n, write = 0, len(pes) > 0
    for s in range(len(home)):
        root, first = pe_chip[home[s]], n
        for e in range(ptr[s], ptr[s + 1]):
            c = pe_chip[pe[e]]
            n = _way(c, root, s, n, parent, link, table, row_of)
            if write:
                core = pe_core[pe[e]]
                pes[row_of[c], core // 32] |= 1 << (core % 32)
        _forget(first, n, root, ptr[s], ptr[s + 1], pe, pe_chip, parent, row_of)
    return n


@njit(cache=True, nogil=True)
def _way(c: int, root: int, s: int, n: int, parent: Any, link: Any, table: Any, row_of: Any) -> int:
    """Entries for the chips between root and c that have none yet; returns how many there are then."""
    chip_at, slice_at, _, links = table
    at, below = c, -1
    while True:
        new = row_of[at] < 0
        if new:
            row_of[at] = n
            if len(chip_at) > 0:
                chip_at[n], slice_at[n] = at, s
            n += 1
        if below >= 0 and len(chip_at) > 0:
            links[row_of[at]] |= 1 << link[root, below]
        if at == root or not new:
            return n
        at, below = parent[root, at], at


@njit(cache=True, nogil=True)
def _forget(first: int, n: int, root: int, low: int, high: int, pe: Any, pe_chip: Any, parent: Any,
            row_of: Any) -> None:
    """Set row_of back to -1 on every chip of a slice's tree."""
    if n == first:
        return
    for e in range(low, high):
        at = pe_chip[pe[e]]
        while row_of[at] >= 0:
            row_of[at] = -1
            if at != root:
                at = parent[root, at]
