"""Multicast keys: aligned blocks that never meet, and a refusal that says how many bits are missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsdk.errors import FitError
from hwsdk.mappers.spinnaker_keys import allocate

SIZES = st.lists(st.lists(st.integers(1, 300), min_size=0, max_size=6), min_size=1, max_size=8)


@given(SIZES)
def test_every_neuron_has_a_key_of_its_own(sizes: list[list[int]]) -> None:
    k = allocate([np.array(s, np.int64) for s in sizes])
    flat = [n for s in sizes for n in s]
    every = [int(key) + atom for key, n in zip(k.key, flat, strict=True) for atom in range(n)]
    assert len(set(every)) == len(every) and all(0 <= key < 1 << 32 for key in every)
    for s, n in enumerate(flat):
        atoms = k.key[s] + np.arange(n)
        assert ((atoms & k.mask[s]) == k.key[s]).all() and (atoms & ~k.mask[s]).tolist() == list(range(n))


@given(SIZES)
def test_masks_cover_a_slice_and_a_sender_and_nothing_else(sizes: list[list[int]]) -> None:
    k = allocate([np.array(s, np.int64) for s in sizes])
    sender = np.repeat(np.arange(len(sizes)), [len(s) for s in sizes])
    for s in range(len(sender)):
        assert np.flatnonzero((k.key & k.mask[s]) == k.key[s]).tolist() == [s]
        own = np.flatnonzero((k.key & k.sender_mask[sender[s]]) == k.base[sender[s]])
        assert own.tolist() == np.flatnonzero(sender == sender[s]).tolist()
        assert k.slice_ptr[sender[s]] <= s < k.slice_ptr[sender[s] + 1]
        assert (k.mask[sender == sender[s]] == k.mask[s]).all()


def test_blocks_fill_the_keys_to_the_last_one() -> None:
    sizes = [[4, 4], [2], [1], [16], [1, 1, 1]]  # 8 + 2 + 1 + 16 + 4 = 31 of 32
    k = allocate([np.array(s) for s in sizes], 5)
    assert k.base.tolist() == [16, 28, 30, 0, 24]
    assert k.key.tolist() == [16, 20, 28, 30, 0, 24, 25, 26]
    assert k.mask.tolist() == [28, 28, 30, 31, 16, 31, 31, 31]
    assert k.sender_mask.tolist() == [24, 30, 31, 16, 28]


def test_too_few_keys_are_refused() -> None:
    with pytest.raises(FitError, match=r"whole network; big alone takes 5: needs 6 key bits, limit 5 \[keys\]"):
        allocate([np.array([1]), np.array([16, 9])], 5, ["small", "big"])


def test_a_sender_without_slices_takes_no_keys() -> None:
    k = allocate([np.zeros(0, np.int64), np.array([32])], 5)
    assert k.key.tolist() == [0] and k.base.tolist() == [0, 0] and k.sender_mask.tolist() == [0, 0]
