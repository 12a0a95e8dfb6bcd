"""Small Numba kernels for SpiNNaker 2: sorts, and what makes the compiler merge kernels that share large tuples."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from hwsdk.simulators.kernels_sync import inner, kernel

_intrinsic: Any = intrinsic


@_intrinsic
def merge(typing: Any) -> Any:
    """merge(): always inline the kernel that says this: its tuples are too large to be handed over."""
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()

    return types.void(), codegen


@inner
def sort_by(key: Any, order: Any, n: int) -> None:
    """order[:n] <- the numbers 0 .. n - 1 by ascending key, then number: a shell sort."""
    for i in range(n):
        order[i] = i
    gap = n // 2
    while gap > 0:
        for i in range(gap, n):
            x, j = order[i], i
            while j >= gap and (key[order[j - gap]] > key[x] or (key[order[j - gap]] == key[x] and order[j - gap] > x)):
                order[j] = order[j - gap]
                j -= gap
            order[j] = x
        gap //= 2


class Order(NamedTuple):
    """Where spikes go in two counting sorts, by place, then group + step: place int64 (atoms,); places int64, zeros,
    one more than there are places; group int64 (atoms,) and groups int64 likewise. packed int64 and carried float32
    (spikes,): scratch; or carried (0,) where spikes carry nothing.
    """

    place: NDArray[np.int64]
    places: NDArray[np.int64]
    group: NDArray[np.int64]
    groups: NDArray[np.int64]
    packed: NDArray[np.int64]
    carried: NDArray[np.float32]


@inner
def _begins(counts: Any) -> None:
    """From how many there are, each one entry further on, to where each begins."""
    for i in range(1, len(counts)):
        counts[i] += counts[i - 1]


@kernel
def sort_spikes(atom: Any, step: Any, value: Any, order: Any, to_atom: Any, to_step: Any, to_value: Any) -> None:
    """Sort spikes by group + step, then place, into the last three. Order.groups: in the end where each group ends, but
    for its last entry.
    """
    for k in range(len(atom)):
        order.places[order.place[atom[k]] + 1] += 1
        order.groups[order.group[atom[k]] + step[k] + 1] += 1
    _begins(order.places)
    _begins(order.groups)
    for k in range(len(atom)):
        b = order.place[atom[k]]
        order.packed[order.places[b]] = np.int64(step[k]) << 32 | np.int64(atom[k])
        if len(value):
            order.carried[order.places[b]] = value[k]
        order.places[b] += 1
    for k in range(len(atom)):
        a, t = order.packed[k] & 0xFFFFFFFF, order.packed[k] >> 32
        b = order.group[a] + t
        to_atom[order.groups[b]] = a
        to_step[order.groups[b]] = t
        if len(value):
            to_value[order.groups[b]] = order.carried[k]
        order.groups[b] += 1
