"""Small Numba kernels for SpiNNaker 2: sorts, and what makes the compiler merge kernels that share large tuples."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

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


@kernel
def counting_sort(bucket: Any, buckets: int, at: Any, order: Any) -> None:
    """order <- the indices of ``bucket`` (numbers below ``buckets``) by ascending bucket, stably.

    at: int64 (buckets + 1,) of zeros, in the end where each bucket ends.
    """
    for k in range(len(bucket)):
        at[np.int64(bucket[k]) + 1] += 1
    for b in range(buckets):
        at[b + 1] += at[b]
    for k in range(len(bucket)):
        b = np.int64(bucket[k])
        order[at[b]] = k
        at[b] += 1
