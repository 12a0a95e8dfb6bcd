"""What the routers of a SpinnakerProgram do with a packet: the walk through the tables that simulator and mapper share.

The first entry of a chip's table that matches a key sends copies to PEs and over links, where the next chip looks it
up again. A key that no entry matches goes nowhere. Entries look at whole slices: all keys of a slice go one way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.spinnaker import ROUTE_WORDS, SpinnakerArrays, SpinnakerProgram
from hwsdk.programs.spinnaker_decode import header

IntArray = NDArray[np.int64]
LINK_STEP = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
"""Where each of LINKS leads: (dx, dy) on the board."""


@dataclass(frozen=True, slots=True, eq=False)
class Deliveries:
    """Which slice reaches which PE: slice_of, pe and links (links passed on the way), each (k,), by slice, then PE.

    crossings (slices,): links that one packet of each slice passes in all; packets that go nowhere pass none.
    """

    slice_of: IntArray
    pe: IntArray
    links: IntArray
    crossings: IntArray


def slice_keys(program: SpinnakerProgram) -> tuple[IntArray, IntArray]:
    """(key of atom 0, PE) of each slice, from the images."""
    keys, homes = [], []
    for pe in range(program.n_pes):
        head, image = header(program.image(pe)), program.image(pe)
        rows = image[head["at_slices"] : head["at_slices"] + 16 * head["slices"]].view("<u4").reshape(-1, 4)
        keys += rows[:, 0].tolist()
        homes += [pe] * len(rows)
    return np.array(keys, np.int64), np.array(homes, np.int64)


def walk(program: SpinnakerProgram) -> Deliveries:
    """Follow the packets of every slice.

    Raises:
        ProgramError: BAD_ROUTE: keys of one slice that part ways, a loop, a link to nowhere, or a PE that is not used.
    """
    a = program.arrays
    keys, homes = slice_keys(program)
    router = _Router(a)
    found = [np.zeros((3, 0), np.int64)]
    crossings = np.zeros(len(keys), np.int64)
    for s, (key, home) in enumerate(zip(keys.tolist(), homes.tolist(), strict=True)):
        n = int(a.neuron_ptr[s + 1] - a.neuron_ptr[s])
        pes, links, crossings[s] = router.follow(int(a.pe_chip[home]), key, n)
        order = np.lexsort((links, pes))
        found.append(np.stack([np.full(len(pes), s), pes[order], links[order]]))
    slice_of, pe, passed = np.concatenate(found, axis=1)
    return Deliveries(slice_of, pe, passed, crossings)


class _Router:
    """All tables."""

    def __init__(self, arrays: SpinnakerArrays) -> None:
        a = self.arrays = arrays
        at = {(int(x), int(y)): c for c, (x, y) in enumerate(zip(a.chip_x, a.chip_y, strict=True))}
        self.next = [[at.get((int(x) + dx, int(y) + dy)) for dx, dy in LINK_STEP]
                     for x, y in zip(a.chip_x, a.chip_y, strict=True)]
        self.pe_at = np.full((len(a.chip_x), 32 * ROUTE_WORDS), -1, np.int64)
        self.pe_at[a.pe_chip, a.pe_core] = np.arange(len(a.pe_chip))
        bits = (a.router_pes[:, :, None] >> np.arange(32, dtype=np.uint32)) & 1
        self.cores = [np.flatnonzero(row) for row in bits.reshape(-1, 32 * ROUTE_WORDS)]
        self.key, self.mask = a.router_key.astype(np.int64), a.router_mask.astype(np.int64)

    def entry(self, chip: int, key: int, n: int) -> int | None:
        """The entry that takes keys key .. key + n - 1 on a chip, or None."""
        lo, hi = self.arrays.router_ptr[chip], self.arrays.router_ptr[chip + 1]
        low_bits = (1 << (key ^ (key + n - 1)).bit_length()) - 1
        some = np.flatnonzero(((self.key[lo:hi] ^ key) & self.mask[lo:hi] & ~low_bits) == 0)
        if not len(some):
            return None
        r = int(some[0])
        if self.mask[lo + r] & low_bits:
            raise _bad(f"entry {r} of chip {chip} splits the slice with the keys from {key:#x} on")
        return int(lo + r)

    def follow(self, chip: int, key: int, n: int) -> tuple[IntArray, IntArray, int]:
        """(PE, links passed) of each copy, and the links passed by all copies."""
        pes, passed = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        seen, pending, crossings = {chip}, [(chip, 0)], 0
        while pending:
            here, links = pending.pop()
            r = self.entry(here, key, n)
            if r is None:
                continue
            own = self.pe_at[here, self.cores[r]]
            if (own < 0).any():
                raise _bad(f"key {key:#x} goes to core {self.cores[r][np.argmax(own < 0)]} of chip {here}, which runs "
                           "nothing")
            pes.append(own)
            passed.append(np.full(len(own), links))
            for k in range(6):
                if self.arrays.router_links[r] >> k & 1:
                    there = self.next[here][k]
                    if there is None or there in seen:
                        raise _bad(f"key {key:#x} leaves chip {here} by link {k} " + (
                            "to nowhere" if there is None else "and comes back"))
                    seen.add(there)
                    pending.append((there, links + 1))
                    crossings += 1
        return np.concatenate(pes), np.concatenate(passed), crossings


def _bad(why: str) -> ProgramError:
    return ProgramError(why, code="BAD_ROUTE", fix="compile the model again")
