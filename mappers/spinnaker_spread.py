"""Spread: every population on all PEs, cut so that the fullest PE holds as little as can be.

With a barrier the busiest PE decides how long a phase takes, and all PEs wait for it. Slices are consecutive neurons,
slice k of every population lies on the k-th PE, so that packets come in the order of their neurons whoever sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.mappers.spinnaker_cut import Partition
from hwsdk.mappers.spinnaker_load import model_of
from hwsdk.mappers.spinnaker_wires import Cut, Wiring, ranges

IntArray = NDArray[np.int64]
Floats = NDArray[np.float64]
HALVINGS = 40
"""Of the interval in which the load of the fullest PE is looked for."""


def evened(found: Partition, parts: Mapping[str, int]) -> Partition:
    """The partition with populations of explicit synapses in exactly ``parts`` slices, balanced by their words.

    A slice has no more neurons than the largest of the partition, which fits by neurons and by a silent tick.
    Populations that are cut in boxes, or in more slices because these would not fit, stay as they are.
    """
    cuts: dict[str, Cut] = dict(found.cuts)
    loads: dict[str, Floats] = {}
    for name, k in parts.items():
        cut = cuts[name]
        size, model = words(found.wiring, name), model_of(found.wiring.network.populations[name])
        load = loads.setdefault(model, np.zeros(max(parts.values())))
        if name not in found.wiring.grids and len(cut.index) <= k:
            cuts[name] = cut = ranges(even_bounds(size, load[:k], int(cut.sizes.max())))
        on_pe = np.bincount(cut.slice_of, weights=size, minlength=len(load))
        load += on_pe[: len(load)]
    return replace(found, cuts=cuts)


def words(wiring: Wiring, population: str) -> Floats:
    """Bytes of the synaptic words of each neuron, and 1 for the neuron."""
    n = wiring.network.populations[population].n
    total = np.ones(n)
    for w in wiring.into(population):
        target = getattr(w.node, "target", None)
        if target is not None and w.kind != "conv":
            total += w.word_bytes * np.bincount(target % n, minlength=n)
    return total


def even_bounds(size: Floats, load: Floats, most: int) -> IntArray:
    """Bounds (K + 1,) of K runs of 1 to ``most`` elements, so that the largest sum of a run and its load is smallest.

    Args:
        size: (n,) of the elements. load: (K,), what each run's place holds already; n >= K and n <= K * most.
    """
    prefix = np.r_[0.0, np.cumsum(size)]
    low, high = 0.0, float(prefix[-1] + load.max(initial=0.0))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _windows(prefix, middle - load, most) is not None else (middle, high)
    first = _windows(prefix, high - load, most)
    if first is None:  # every limit was too small: only ``most`` counts
        high = float("inf")
        first = np.maximum(np.arange(len(load) + 1), len(size) - most * np.arange(len(load), -1, -1))
    room = np.maximum(prefix[-1] / len(load) + load.mean() - load, 1e-9)
    wanted = np.searchsorted(prefix, np.cumsum(room) * (prefix[-1] / room.sum()), "left")
    bounds, k = np.zeros(len(load) + 1, np.int64), len(load)
    for j in range(1, k + 1):
        begin = int(bounds[j - 1])
        last = min(max(_reach(prefix, begin, high - load[j - 1], most), begin + 1), len(size) - (k - j))
        bounds[j] = min(max(int(wanted[j - 1]), int(first[j]), begin + 1), last)
    return bounds


def _reach(prefix: Floats, begin: int, room: float, most: int) -> int:
    """The farthest end of a run from ``begin`` on."""
    return min(int(np.searchsorted(prefix, prefix[begin] + room, "right")) - 1, begin + most, len(prefix) - 1)


def _windows(prefix: Floats, room: Floats, most: int) -> IntArray | None:
    """The least value of each bound with which the rest still fits, or None if it does not fit."""
    n, k = len(prefix) - 1, len(room)
    first = np.empty(k + 1, np.int64)
    first[k] = end = n
    for j in range(k - 1, -1, -1):
        begin = max(int(np.searchsorted(prefix, prefix[end] - room[j], "left")), end - most, j)
        if begin >= end:
            return None
        first[j] = end = begin
    return first if first[0] == 0 else None
