"""sfq_slots: when the lines of a counter population are launched, so that their pulses never come too close.

Lines without a common target may share a slot. Every neuron keeps the time of its last pulse; the next line that
reaches it is launched so that its first pulse comes a gap later, and by one plane's distance more for every bit plane,
for the carries of the line before to have passed. Times are those at the neurons, so skew of trees costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwsdk.mappers.sfq_lines import Fan, Line

Ints = NDArray[np.int64]


def shared(lines: Sequence[Line]) -> list[list[int]]:
    """Slots, each with the lines that are launched in it: greedily, lines of large weights first."""
    size = [int(np.abs(x.weight).max()) for x in lines]
    masks: list[int] = []
    slots: list[list[int]] = []
    for n in sorted(range(len(lines)), key=lambda n: (-size[n], n)):
        own = _mask(lines[n].target)
        at = next((s for s, taken in enumerate(masks) if not taken & own), len(slots))
        if at == len(slots):
            masks.append(0)
            slots.append([])
        masks[at] |= own
        slots[at].append(n)
    return slots


def _mask(target: Ints) -> int:
    """A bit for each target."""
    flags = np.zeros(int(target[-1]) + 1, np.uint8)
    flags[target] = 1
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


@dataclass(slots=True, eq=False)
class Chain:
    """The launch chain in numbers: a JTL chain with splitters as taps. Times by corner (K,): jtl, split: of one; time:
    of the last tap. jtls: before each tap.
    """

    jtl: Ints
    split: Ints
    time: Ints
    jtls: list[int] = field(default_factory=list)

    def tap(self, at_least: Ints, last: bool = False) -> Ints:
        """The next tap, or the end of the chain; its time, which is at least so late at every corner."""
        own = 0 * self.split if last else self.split
        n = max(0, int((-(-(at_least - own - self.time) // self.jtl)).max()))
        self.jtls.append(n)
        self.time = self.time + n * self.jtl + own
        return self.time


@dataclass(frozen=True, slots=True, eq=False)
class Spacing:
    """gap_fs: between pulses; plane (K,): by how much more for each bit plane that comes after them."""

    gap_fs: int
    plane: Ints


def launches(slots: Sequence[Sequence[int]], lines: Sequence[Line], fans: Sequence[Fan], way: Ints, chain: Chain,
             spacing: Spacing, end: Ints, first: Ints) -> list[Ints]:
    """Time of each slot's tap. way (K, n): from a line's leaf to its neuron. end, first (K, n): last pulse so far of
    each neuron, and the first one less the distance that its planes need; both are brought up to date.
    """
    found = []
    for own in slots:
        tree = (len(own) - 1).bit_length() * chain.split
        at_least = np.max([_earliest(lines[n], fans[n], way, spacing, end) for n in own], axis=0) - tree
        tap = chain.tap(at_least)
        for n in own:
            target = lines[n].target
            come = (tap + tree)[:, None] + way[:, target]
            end[:, target] = come + fans[n].last
            first[:, target] = np.minimum(first[:, target],
                                          come + fans[n].first - fans[n].top * spacing.plane[:, None])
        found.append(tap)
    return found


def _earliest(line: Line, fan: Fan, way: Ints, spacing: Spacing, end: Ints) -> Ints:
    """Time (K,) before which a line's launch would bring it too near to what is at its neurons."""
    need = end[:, line.target] + spacing.gap_fs + fan.top * spacing.plane[:, None]
    return np.asarray((need - fan.first - way[:, line.target]).max(axis=1), np.int64)
