"""keys: multicast keys in zones |population|slice|atom|, so that a mask can cover a sender, or slices side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, Violation

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Keys of S slices, in the order of senders, then slices. All int64, but never beyond the bits of a key.

    key (S): of atom 0; atom a has key + a. mask (S): the bits of a key that say which slice it is; the same for all
    slices of a sender. base, sender_mask (senders): the block of a sender: key & sender_mask == base; 0 and 0 of a
    sender without slices, which has no keys. slice_ptr (senders + 1): slices of each sender.
    """

    key: IntArray
    mask: IntArray
    base: IntArray
    sender_mask: IntArray
    slice_ptr: IntArray


def allocate(sizes: Sequence[NDArray[np.integer]], key_bits: int = 32, names: Sequence[str] = ()) -> Keys:
    """Keys for the slices of every sender.

    A sender takes an aligned block of as many bits as number its slices and the atoms of its largest slice. Blocks are
    powers of two and are laid out from the largest on, so that they fit whenever their sum does.

    Args:
        sizes: for each sender the neurons of its slices, 1 or more each. names: of the senders, for messages.

    Raises:
        FitError: rule ``keys``: all blocks need more bits than a key has.
    """
    atom_bits = np.array([_bits(int(np.max(s, initial=1))) for s in sizes], np.int64)
    bits = atom_bits + np.array([_bits(max(len(s), 1)) for s in sizes], np.int64)
    slices = np.array([len(s) for s in sizes], np.int64)
    block = [(1 << int(b)) if n else 0 for b, n in zip(bits, slices, strict=True)]
    need = _bits(max(sum(block), 1))
    if need > key_bits:
        raise _refusal(block, need, key_bits, names)
    base, at = np.zeros(len(sizes), np.int64), 0
    for k in sorted(range(len(sizes)), key=lambda k: (-block[k], k)):
        base[k] = at if block[k] else 0
        at += block[k]
    every, ptr = (1 << key_bits) - 1, np.r_[0, np.cumsum(slices)].astype(np.int64)
    sender = np.repeat(np.arange(len(sizes)), slices)
    number = np.arange(ptr[-1]) - ptr[sender]
    return Keys(base[sender] + (number << atom_bits[sender]), every & ~((1 << atom_bits[sender]) - 1), base,
                np.where(slices > 0, every & ~((1 << bits) - 1), 0), ptr)


def _bits(n: int) -> int:
    """Bits that number n things from 0 on."""
    return (n - 1).bit_length()


def _refusal(block: list[int], need: int, key_bits: int, names: Sequence[str]) -> FitError:
    """Which sender takes most of the keys."""
    k = max(range(len(block)), key=lambda k: block[k])
    name = names[k] if k < len(names) else f"sender {k}"
    where = f"whole network; {name} alone takes {_bits(block[k])}"
    return FitError("the neurons need more multicast keys than there are", hint="use fewer neurons, or slices of equal "
                    "size", violations=(Violation("keys", where, need, key_bits, "key bits"),))
