"""place: cores onto routers of a mesh, so that cores that talk much lie close."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.mapping import Place
from hwsdk.targets import Target

MAX_ROUNDS = 20
MAX_POSITIONS_FOR_SWAPS = 1024


def positions(target: Target, chips: int) -> list[Place]:
    """All usable core positions, along a snake through each chip's routers; chips stand side by side in x."""
    width, height = target.mesh.width.value or 1, target.mesh.height.value or 1
    per_router, per_chip = target.mesh.cores_per_router.value or 1, target.need("cores")
    found = []
    for chip in range(chips):
        routers = [(x if y % 2 == 0 else width - 1 - x, y) for y in range(height) for x in range(width)]
        slots = [Place(chip, chip * width + x, y) for x, y in routers for _ in range(per_router)]
        found += slots[:per_chip]
    return found


def place(traffic: NDArray[np.float64], target: Target, chips: int, seed: int) -> list[Place]:
    """A place for each core.

    Args:
        traffic: (cores, cores) messages from row to column in a step; any unit.

    Starts with the cores in order along the snake and swaps positions, best first, while that lowers the sum of
    traffic times hops. Deterministic by ``seed``.
    """
    slots = positions(target, chips)
    n, total = len(traffic), len(slots)
    if total > MAX_POSITIONS_FOR_SWAPS or n < 2:
        return slots[:n]
    both = np.zeros((total, total))
    both[:n, :n] = traffic + traffic.T
    np.fill_diagonal(both, 0)
    xy = np.array([(p.x, p.y) for p in slots], np.float64)
    hops = np.abs(xy[:, None] - xy[None]).sum(-1)
    slot_of = _swap(both, hops, n, np.random.default_rng(seed))
    return [slots[s] for s in slot_of[:n]]


def _swap(both: NDArray[np.float64], hops: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Slot of each core (and of each empty one) after swapping as long as it helps."""
    slot_of = np.arange(len(both))
    for _ in range(MAX_ROUNDS):
        improved = False
        for i in rng.permutation(n):
            gain = _swap_gain(both, hops, slot_of, int(i))
            j = int(np.argmax(gain))
            if gain[j] > 1e-9:
                slot_of[[i, j]] = slot_of[[j, i]]
                improved = True
        if not improved:
            break
    return slot_of


def _swap_gain(both: NDArray[np.float64], hops: NDArray[np.float64], slot_of: NDArray[np.int64],
               i: int) -> NDArray[np.float64]:
    """What the cost sinks by when core i changes places with each other core."""
    distance = hops[slot_of][:, slot_of]
    now = both[i] @ distance[i] + (both * distance).sum(1)
    then = distance @ both[i] + both @ distance[i] + 2 * both[i] * distance[i]
    gain = now - then
    gain[i] = 0
    return np.asarray(gain)
