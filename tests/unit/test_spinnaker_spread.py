"""Even slices for all PEs, and table entries of many slices in one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsdk.mappers.spinnaker_merge import joined_entries
from hwsdk.mappers.spinnaker_spread import even_bounds
from hwsdk.programs.spinnaker_decode import decode
from hwsdk.programs.spinnaker_image import Block, PeMemory, PeSlice, encode

ATOMS, MASK = 4, 2**32 - 4
"""Keys of a slice, and the mask of one."""


def test_slices_of_equal_units_differ_by_one():
    sizes = np.diff(even_bounds(np.ones(1350), np.zeros(147), 10))
    assert (sizes.min(), sizes.max(), len(sizes), sizes.sum()) == (9, 10, 147, 1350)


def test_what_comes_next_goes_where_less_is():
    load = np.diff(even_bounds(np.ones(1350), np.zeros(147), 10)).astype(float)
    load += np.diff(even_bounds(np.ones(1350), load, 10))
    load += np.diff(even_bounds(np.ones(750), load, 6))
    assert load.max() == 24
    assert load.min() >= 23


def test_a_heavy_element_is_alone():
    size = np.array([1.0, 1, 1, 9, 1, 1])
    assert even_bounds(size, np.zeros(3), 6).tolist() == [0, 3, 4, 6]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 30), more=st.integers(0, 300), spare=st.integers(0, 20))
def test_every_run_has_an_element_and_no_more_than_it_may(seed: int, k: int, more: int, spare: int):
    rng = np.random.default_rng(seed)
    n, scale = k + more, rng.choice([0, 1, 5])
    size, load = rng.random(n) * scale + (seed % 2), rng.random(k) * rng.choice([0, 10])
    most = -(-n // k) + spare
    bounds = even_bounds(size, load, most)
    assert (bounds[0], bounds[-1], len(bounds)) == (0, n, k + 1)
    assert 1 <= np.diff(bounds).min() <= np.diff(bounds).max() <= most


def memory(slices: list[int], words: int = 2) -> PeMemory:
    """An EGRU's PE that hears so many words from every atom of some slices of a sender with keys from 64 on."""
    blocks = []
    for s in slices:
        rows = np.arange(ATOMS) * words  # 3 atoms; the fourth key of the zone is not used
        weights = (100 * s + np.arange(rows[-1])).astype(np.float32)
        blocks.append(Block(64 + ATOMS * s, MASK, "csr", 1, 0, rows, weights, np.arange(rows[-1], dtype=np.uint32) % 6))
    return PeMemory("egru_csr", "egru", (PeSlice(0, 1, 2),), tuple(blocks), (), np.zeros((1, 6), np.uint32), 2, 3)


def row(blocks: tuple[Block, ...], key: int) -> list[tuple[float, int]]:
    """The words that a key leads to, by table, rows and words."""
    found = []
    for b in blocks:
        if key & b.mask == b.key and (atom := key & ~b.mask) < len(b.rows) - 1:
            own = slice(b.rows[atom], b.rows[atom + 1])
            found += list(zip(b.words[own].tolist(), b.targets[own].tolist(), strict=True))
    return found


@pytest.mark.parametrize(("slices", "entries"), [
    (list(range(8)), 1), ([0, 1, 2, 3, 6], 1), ([5], 1), ([0, 15], 2), ([3, 4], 2), (list(range(1, 12)), 1)])
def test_entries_of_one_projection_become_one_where_that_is_smaller(slices: list[int], entries: int):
    before = memory(slices)
    image = joined_entries(encode(before), [("sender", 0)] * len(slices))
    after = decode(image)
    assert len(after.blocks) == entries
    assert len(image) <= len(encode(before))
    for key in (64 + ATOMS * s + a for s in slices for a in range(ATOMS)):
        assert row(after.blocks, key) == row(before.blocks, key)


def test_other_projections_and_senders_stay_apart():
    image = encode(memory([0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11]))
    image = joined_entries(image, [("a", 0)] * 4 + [("a", 1)] * 4 + [("b", 2)] * 4)
    assert [b.key for b in decode(image).blocks] == [64, 64, 64 + 8 * ATOMS]


def test_too_many_words_for_one_entry_stay_in_several():
    image = joined_entries(encode(memory([0, 1], 12_000)), [("sender", 0)] * 2)
    assert len(decode(image).blocks) == 2


def test_rows_reach_as_far_as_the_slices_that_come_for_another_projection():
    # the packets of slice 3, which only the second projection hears, match the first one's entry too
    blocks = memory([0, 1, 2, 3]).blocks
    image = joined_entries(encode(memory([0, 1, 2, 0, 1, 2, 3])), [("sender", 0)] * 3 + [("sender", 1)] * 4)
    first, second = decode(image).blocks
    assert len(first.rows) == len(second.rows) == 4 * ATOMS + 1
    assert row((first,), 64 + 3 * ATOMS) == []
    assert row((second,), 64 + 3 * ATOMS) == row(blocks[3:], 64 + 3 * ATOMS)
