"""Cutting a population with a grid into boxes: as few as fit, in the shape in which the busiest is least busy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import FitError, Violation
from hwsdk.ir.expand import meeting_positions
from hwsdk.ir.nodes import ConvSynapses
from hwsdk.mappers.spinnaker_kernels import sum_into
from hwsdk.mappers.spinnaker_load import PADDING, Activity, Limits, Own, event_cycles, hearing
from hwsdk.mappers.spinnaker_wires import Cut, Grid, Tile, Wire, Wiring, grid_of

Floats = NDArray[np.float64]
IntArray = NDArray[np.int64]
MOST_TILES = 8192
"""Boxes of one population that are tried: more than the largest board has PEs."""
EXACT_TILES, MUCH = 64, 1.25
"""From so many boxes on, not every number of them is tried while they are so much too full."""


def tile_cut(wiring: Wiring, name: str, cuts: Mapping[str, Cut], limits: Limits, activity: Activity,
             at_least: int = 1) -> Cut:
    """A population with a grid in boxes that fit.

    Raises:
        FitError: a single neuron does not fit, or not in MOST_TILES boxes.
    """
    grid, n = wiring.grids[name], wiring.network.populations[name].n
    loads = Loads(wiring, name, cuts, limits, activity)
    most, last = min(limits.neurons, wiring.widest(name)), min(n, MOST_TILES)
    k = max(at_least, loads.fewest(limits, most))
    while k <= last:
        over, best = np.inf, None
        for tiles in shapes(grid, k):
            size, busy, largest = loads.of(tiles)
            full = max(size / limits.data_bytes, busy / limits.tick_cycles, largest / most)
            over = min(over, full)
            if full <= 1 and (best is None or busy < best[0]):
                best = (busy, tiles)
        if best is not None:
            return Cut(tuple(t.index(grid) for t in best[1]), tuple(best[1]))
        step = k // EXACT_TILES if over > MUCH else 0
        k = last if k < last <= k + step else k + max(1, step)
    raise _too_full(name, loads, grid, limits)


def shapes(grid: Grid, k: int) -> Iterator[list[Tile]]:
    """The ways to cut a grid into k even boxes."""
    for channels in _divisors(k):
        for rows in _divisors(k // channels):
            columns = k // channels // rows
            if channels <= grid[0] and rows <= grid[1] and columns <= grid[2]:
                spans = [_even(n, parts) for n, parts in zip(grid, (channels, rows, columns), strict=True)]
                yield [Tile(*c, *y, *x) for c, y, x in product(*spans)]


def most_boxes(grid: Grid, most: int) -> int:
    """The largest number of even boxes, at most ``most``, in which a grid can be cut."""
    return next(k for k in range(min(prod(grid), most), 0, -1) if next(shapes(grid, k), None))


def _divisors(k: int) -> list[int]:
    return [d for d in range(1, k + 1) if k % d == 0]


def _even(n: int, parts: int) -> list[tuple[int, int]]:
    """(first, length) of each part."""
    ends = [n * i // parts for i in range(parts + 1)]
    return [(a, b - a) for a, b in pairwise(ends)]


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Loads:
    """What boxes of a population take.

    words, cycles: sums over all boxes that start at the origin of the grid; cycles by the phase in which what they work
    off was sent, as fixed_cycles and convs.
    """

    own: Own
    convs: tuple[tuple[ConvSynapses, tuple[Tile, ...], Floats, Floats, int], ...]
    words: Floats
    cycles: tuple[Floats, ...]
    fixed_bytes: float
    fixed_cycles: Floats

    def __init__(self, wiring: Wiring, name: str, cuts: Mapping[str, Cut], limits: Limits, activity: Activity) -> None:
        grid, wires = wiring.grids[name], wiring.into(name)
        words, cycles = np.zeros(prod(grid)), np.zeros((limits.phases.count, prod(grid)))
        convs, fixed_bytes, fixed_cycles = [], 0.0, np.zeros(limits.phases.count)
        for w in wires:
            size, busy = hearing(w, cuts[w.source], activity, limits)
            phase = limits.phase(w.source)
            if isinstance(w.node, ConvSynapses):
                convs.append((w.node, cuts[w.source].tiles or (), size, busy, phase))
                cycles[phase] += conv_events(w.node, activity.of(w.source)).ravel() * event_cycles(w, limits)
            else:
                fixed_bytes += float(size.sum())
                fixed_cycles[phase] += busy.sum()
                words += np.bincount(w.node.target, minlength=len(words)) * w.word_bytes
                cycles[phase] += event_load(w, activity, len(words)) * event_cycles(w, limits)
        values = (Own.of(wiring.network, name, wires, limits, activity), tuple(convs), _integral(words, grid),
                  tuple(_integral(c, grid) for c in cycles), fixed_bytes, fixed_cycles)
        for field, value in zip(("own", "convs", "words", "cycles", "fixed_bytes", "fixed_cycles"), values,
                                strict=True):
            object.__setattr__(self, field, value)

    def fewest(self, limits: Limits, most: int) -> int:
        """Boxes with fewer of which some box breaks a limit whatever their shape."""
        n, own = self.words[1:, 1:, 1:].size, self.own
        parts = [n / most]
        size = limits.data_bytes - own.base_bytes - self.fixed_bytes
        parts += [(n * own.neuron_bytes + self.words[-1, -1, -1]) / size] if size > 0 else []
        for fixed, cycles in zip(self.fixed_cycles, self.cycles, strict=True):
            room = limits.tick_cycles - own.base_cycles - fixed
            parts += [(n * own.neuron_cycles + cycles[-1, -1, -1]) / room] if room > 0 else []
        return max(1, ceil(max(parts) * (1 - 1e-9)))

    def of(self, tiles: list[Tile]) -> tuple[float, float, int]:
        """(bytes of the fullest box, cycles of the busiest, neurons of the largest)."""
        box = np.array([[t.channel, t.channels, t.y, t.height, t.x, t.width] for t in tiles])
        n = box[:, 1] * box[:, 3] * box[:, 5]
        size = self.own.base_bytes + self.fixed_bytes + n * self.own.neuron_bytes + _within(self.words, box)
        busy = np.stack([fixed + _within(c, box) for fixed, c in zip(self.fixed_cycles, self.cycles, strict=True)])
        for node, sources, bytes_each, cycles_each, phase in self.convs:
            heard = meets(node, tiles, sources)
            kernel = box[:, 1] * prod(node.weight.shape[1:]) * kernel_bytes(node) + PADDING
            size = size + heard @ bytes_each + kernel
            busy[phase] += heard @ cycles_each
        whole = self.own.base_cycles + n * self.own.neuron_cycles + busy.max(axis=0)
        return float(size.max()), float(whole.max()), int(n.max())


def kernel_bytes(node: ConvSynapses) -> int:
    """Bytes of one weight of a kernel."""
    return 1 if np.abs(node.weight).max(initial=0) <= 127 else 2


def event_load(wire: Wire, activity: Activity, n: int) -> Floats:
    """Expected events of each target, of explicit synapses."""
    node = wire.node
    if isinstance(node, ConvSynapses):
        raise TypeError("a convolution has no explicit synapses")
    events = np.zeros(n)
    sum_into(node.source, node.target, n, activity.of(wire.source), events)
    return events


def conv_events(node: ConvSynapses, rate: Floats) -> Floats:
    """conv_shape: expected events of each target of a convolution."""
    c_out, group_in = node.weight.shape[:2]
    per_channel = rate.reshape(node.pre_shape[0], -1).reshape(node.groups, group_in, -1).sum(axis=1)
    total = np.zeros((node.groups, prod(node.conv_shape[1:])))
    for offset in product(*map(range, node.kernel)):
        here, there = meeting_positions(node, offset, node.pre_shape[1:], node.conv_shape[1:])
        total[:, here] += per_channel[:, there]
    return np.repeat(total, c_out // node.groups, axis=0).reshape(node.conv_shape)


def meets(node: ConvSynapses, targets: list[Tile], sources: tuple[Tile, ...]) -> NDArray[np.bool_]:
    """(targets, sources): does a box of outputs hear a box of inputs?"""
    found = np.ones((len(targets), len(sources)), bool)
    c_out, group_in = node.weight.shape[:2]
    per_group = c_out // node.groups
    first = np.array([t.channel // per_group * group_in for t in targets])
    last = np.array([((t.channel + t.channels - 1) // per_group + 1) * group_in for t in targets])
    found &= _overlap(first, last, np.array([s.channel for s in sources]),
                      np.array([s.channel + s.channels for s in sources]))
    axes = [("y", "height"), ("x", "width")][2 - len(node.kernel):]
    for (at, length), k, s, (before, _), d in zip(axes, node.kernel, node.stride, node.padding, node.dilation,
                                                  strict=True):
        low = np.array([getattr(t, at) * s - before for t in targets])
        high = np.array([(getattr(t, at) + getattr(t, length) - 1) * s - before + (k - 1) * d + 1 for t in targets])
        found &= _overlap(low, high, np.array([getattr(x, at) for x in sources]),
                          np.array([getattr(x, at) + getattr(x, length) for x in sources]))
    return found


def _overlap(a0: IntArray, a1: IntArray, b0: IntArray, b1: IntArray) -> NDArray[np.bool_]:
    """Which spans [a0, a1) meet which spans [b0, b1)."""
    return (a0[:, None] < b1[None, :]) & (b0[None, :] < a1[:, None])


def _integral(values: Floats, grid: Grid) -> Floats:
    """Sums over the boxes from the origin, with a border of zeros."""
    total = np.zeros(tuple(n + 1 for n in grid))
    total[1:, 1:, 1:] = values.reshape(grid).cumsum(0).cumsum(1).cumsum(2)
    return total


def _within(total: Floats, box: IntArray) -> Floats:
    """Sums over boxes given as (channel, channels, y, height, x, width)."""
    found = np.zeros(len(box))
    for corner in product((0, 1), repeat=3):
        at = [box[:, 2 * axis] + box[:, 2 * axis + 1] * end for axis, end in enumerate(corner)]
        found += (-1) ** (3 - sum(corner)) * total[at[0], at[1], at[2]]
    return found


def _too_full(name: str, loads: Loads, grid: Grid, limits: Limits) -> FitError:
    """What the neuron that takes most would take alone, or that the boxes are too many."""
    n = prod(grid)
    cells = np.stack(np.unravel_index(np.arange(n), grid), axis=1) if n <= MOST_TILES else \
        np.stack(np.unravel_index(np.linspace(0, n - 1, MOST_TILES).astype(np.int64), grid), axis=1)
    size, busy, _ = loads.of([Tile(c, 1, y, 1, x, 1) for c, y, x in cells.tolist()])
    found = [Violation(rule, f"{name}, one neuron", ceil(need), int(limit), unit) for rule, need, limit, unit in (
        ("pe_bytes", size, limits.data_bytes, "bytes"), ("tick_cycles", busy, limits.tick_cycles, "cycles"))
        if need > limit]
    if not found:
        found = [Violation("application_pes", f"{name}, in boxes that fit a PE", MOST_TILES + 1, MOST_TILES, "PEs")]
    return FitError(f"{name} does not fit a PE in any part", where=name, violations=tuple(found))


def input_tiles(grid: Grid, most: int) -> list[Tile]:
    """The fewest even boxes of at most ``most`` cells: of rows if these suffice, else in any shape."""
    k = -(-prod(grid) // most)
    while True:
        fitting = [t for t in shapes(grid, k) if max(x.n for x in t) <= most]
        if fitting:
            return min(fitting, key=lambda t: (t[0].channels != grid[0], t[0].width != grid[2]))
        k += 1


__all__ = ["conv_events", "event_load", "grid_of", "input_tiles", "kernel_bytes", "meets", "most_boxes", "shapes",
           "tile_cut"]
