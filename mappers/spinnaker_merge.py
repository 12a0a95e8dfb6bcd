"""Table entries of one projection together: one entry for many slices of a sender, where that takes fewer bytes.

Every slice of a sender has a key zone of 2^k atoms, one behind the other. One entry for all of them has a row for every
key of the zones, 2 bytes each, and saves the entry and the head of the rows of every slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.programs.spinnaker_decode import decode
from hwsdk.programs.spinnaker_image import ENTRY_BYTES, MAX_BLOCK_WORDS, WORD_BYTES, Block, encode, row_section_bytes

KEY_BITS = (1 << 32) - 1
MERGED = ("narrow", "byte", "wide", "csr")
"""Rows of words that learn take more than 2 bytes each, and a convolution has no rows."""


def joined_entries(image: NDArray[np.uint8], projections: Sequence[tuple[str, int]]) -> NDArray[np.uint8]:
    """The image of a PE without learners, with the entries of each projection merged at the place of its first.

    Args:
        projections: of each entry of its table: the sender, and a number for the projection and the slice of targets.
    """
    memory, keys, parts = decode(image), dict[str, list[int]](), dict[int, list[int]]()
    for i, (b, (sender, projection)) in enumerate(zip(memory.blocks, projections, strict=True)):
        keys.setdefault(sender, []).append(b.key)
        parts.setdefault(projection, []).append(i)
    found: dict[int, Block] = {}
    for members in parts.values():
        own = [memory.blocks[i] for i in members]
        whole = _merged(own, keys[projections[members[0]][0]])
        found |= dict(zip(members, own, strict=True)) if whole is None else {members[0]: whole}
    return encode(replace(memory, blocks=tuple(found[i] for i in sorted(found))))


def _merged(own: Sequence[Block], keys: Sequence[int]) -> Block | None:
    """One block for all, or None if it is not smaller. keys: of all slices of the sender that come to the PE."""
    kind, mask, words = own[0].kind, own[0].mask, sum(len(b.words) for b in own)
    same = all((b.kind, b.mask, b.delay, b.phase) == (kind, mask, own[0].delay, own[0].phase) for b in own)
    if kind not in MERGED or len(own) < 2 or not same or words > MAX_BLOCK_WORDS:
        return None
    free = (~mask & KEY_BITS) | (1 << (min(keys) ^ max(keys)).bit_length()) - 1
    base = min(keys) & ~free
    rows = max(keys) - base + (~mask & KEY_BITS) + 1
    if _bytes(kind, rows, words) >= sum(_bytes(kind, len(b.rows) - 1, len(b.words)) for b in own):
        return None
    counts = np.zeros(rows, np.int64)
    own = sorted(own, key=lambda b: b.key)
    for b in own:
        counts[b.key - base : b.key - base + len(b.rows) - 1] = np.diff(b.rows)
    return replace(own[0], key=base, mask=KEY_BITS & ~free, rows=np.r_[0, np.cumsum(counts)],
                   words=np.concatenate([b.words for b in own]), targets=np.concatenate([b.targets for b in own]))


def _bytes(kind: str, rows: int, words: int) -> int:
    """Of an entry with its rows and words."""
    return ENTRY_BYTES + int(row_section_bytes(np.array([rows]))[0]) + -(-words * WORD_BYTES[kind] // 8) * 8
