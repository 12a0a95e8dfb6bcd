"""sfq_lines: what carries a spike from its source to the counters of one population.

A line is (source element, delay): a DFF keeps the spike until its launch in the next frame, a NOT gives the complement
rail for negative weights, and further DFFs, each clocked once a frame before the one that feeds it, keep it longer.
From the launch on, pulses fan out by weight: as trains of |w| pulses, or one for each bit of |w|.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.mappers.sfq_build import Builder, Pin, levels

Ints = NDArray[np.int64]
Rail = tuple[Pin, int]
"""(pin, fs from the launch)."""
Late = tuple[Pin, Ints]
"""(pin, fs from the launch at every corner (K,))."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Synapses from one element of a source with one delay: target int64 (k,) ascending, weight (k,), none 0."""

    source: str
    element: int
    delay: int
    target: Ints
    weight: NDArray[np.float64]


def lines_of(network: Network, name: str) -> list[Line]:
    """All lines into a population, by source, element and delay; parallel synapses are added up."""
    found: list[Line] = []
    for edge in network.sources(name):
        node = network.nodes[edge.source]
        if not isinstance(node, Synapses | ConvSynapses):
            raise InternalError(f"{edge.source} into {name} is no projection")
        flat = explicit(node)
        source = network.sources(edge.source)[0].source
        found += _lines(source, flat, np.asarray(flat.weight, np.float64) * 2.0 ** flat.weight_exp)
    return _joined(found)


def _lines(source: str, flat: Synapses, weight: NDArray[np.float64]) -> list[Line]:
    """Those of one projection."""
    order = np.lexsort((flat.target, flat.delay_ticks, flat.source))
    key = np.stack([flat.source, flat.delay_ticks, flat.target])[:, order]
    if not key.size:
        return []
    new = np.r_[True, (np.diff(key) != 0).any(axis=0)]
    total, key = np.add.reduceat(weight[order], np.flatnonzero(new)), key[:, new]
    key, total = key[:, total != 0], total[total != 0]
    if not len(total):
        return []
    starts = np.flatnonzero(np.r_[True, (np.diff(key[:2]) != 0).any(axis=0)])
    return [Line(source, int(key[0, a]), int(key[1, a]), key[2, a:b], total[a:b])
            for a, b in zip(starts, [*starts[1:], len(total)], strict=True)]


def _joined(lines: list[Line]) -> list[Line]:
    """Lines of several projections from one source become one."""
    groups: dict[tuple[str, int, int], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.source, line.element, line.delay), []).append(line)
    found = []
    for (source, element, delay), own in groups.items():
        if len(own) == 1:
            found.append(own[0])
            continue
        target, at = np.unique(np.concatenate([x.target for x in own]), return_inverse=True)
        weight = np.bincount(at, np.concatenate([x.weight for x in own]))
        if (weight != 0).any():
            found.append(Line(source, element, delay, target[weight != 0], weight[weight != 0]))
    return found


@dataclass(frozen=True, slots=True)
class Stored:
    """The storage of a line. launch, entry: input pins, of the pulse that starts it and of the spike.

    direct, complement: rails, None where nobody needs one. clocked_fs: from the launch until the cells that take the
    spike have been clocked at the latest; first_fs: at the earliest. hold_fs: how much later the spike may come, at
    entry; entry_fs: from the entry to these cells. rails: those that there are, direct first; clocked, entering (K,):
    clocked_fs and entry_fs at every corner of the bias.
    """

    launch: Pin
    entry: Pin
    direct: Rail | None
    complement: Rail | None
    clocked_fs: int
    first_fs: int
    hold_fs: int
    entry_fs: int
    rails: tuple[Late | None, Late | None] = (None, None)
    clocked: Ints | None = None
    entering: Ints | None = None


def store(b: Builder, delay: int, direct: bool, complement: bool) -> Stored:
    """The storage of one line; delay: frames from the spike to the launch."""
    b.enter(part="line")
    split = b.times("SPLIT")
    names = ["DFF"] * direct + ["NOT"] * complement
    cells = [b.cell(n) for n in names]
    launch, at = _both(b, [(c, b.pin(n, "clk")) for c, n in zip(cells, names, strict=True)])
    entry, entering = _both(b, [(c, b.pin(n, "a")) for c, n in zip(cells, names, strict=True)])
    clocked, hold = at, max(_hold(b, n) for n in names)
    for _ in range(delay - 1):
        cell = b.cell("DFF")
        b.net((cell, 0), entry)
        fork = b.cell("SPLIT")
        b.net((fork, 0), launch)
        later, more = b.pad_up((fork, 1), clocked + b.times("JTL"))
        b.net(later, (cell, b.pin("DFF", "clk")))
        launch, entry, entering = (fork, 0), (cell, b.pin("DFF", "a")), 0 * split
        at, clocked, hold = at + split, split + more, _hold(b, "DFF")
    rails: dict[str, Late] = {n: ((c, 0), at + b.times(n)) for c, n in zip(cells, names, strict=True)}
    both = rails.get("DFF"), rails.get("NOT")
    usual = [None if r is None else (r[0], int(r[1][0])) for r in both]
    return Stored(launch, entry, usual[0], usual[1], int(clocked[0]), int(clocked[0]), hold, int(entering[0]), both,
                  clocked, entering)


def _both(b: Builder, pins: list[Pin]) -> tuple[Pin, Ints]:
    """An input pin that leads to all of one or two, and its time."""
    if len(pins) == 1:
        return pins[0], 0 * b.times("SPLIT")
    made = b.cell("SPLIT")
    for number, pin in enumerate(pins):
        b.net((made, number), pin)
    return (made, 0), b.times("SPLIT")


def _hold(b: Builder, name: str) -> int:
    """fs after its clock before which a cell must not get data."""
    kind = b.types[name]
    return int(kind.critical_fs[:, kind.inputs.index("clk"), kind.inputs.index("a")].max())


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """What a line brings to its targets. leaf: (target, plane, pin). From the launch, by corner and target in the order
    of the line, (K, k): first, last pulse, both less ``plane`` times the population's step between planes; top (k):
    highest plane. skew_before, skew_after: fs between first pulses, without padding and with it.
    """

    leaves: list[tuple[int, int, Pin]]
    first: Ints
    last: Ints
    top: Ints
    skew_before: int
    skew_after: int


@dataclass(slots=True)
class _Root:
    """Pulses that fan out to the same targets: where among those of the line; times (K, pulses) from the launch."""

    pin: Pin
    times: Ints
    plane: int
    at: Ints


def fan_out(b: Builder, line: Line, stored: Stored, binary: bool, gap_fs: int, step: Ints) -> Fan:
    """Trains (gap_fs or more between pulses) or bit planes (each ``step`` (K,) after the last), with their trees."""
    b.enter(part="train")
    roots: list[_Root] = []
    for rail, chosen in zip(stored.rails, (line.weight > 0, line.weight < 0), strict=True):
        if rail is not None:
            at = np.flatnonzero(chosen)
            size = np.abs(line.weight[at]).astype(np.int64)
            roots += _planes(b, rail, at, size) if binary else _trains(b, rail, at, size, gap_fs)
    bare = [int(r.times[0, 0] - r.plane * step[0]) + levels(len(r.at)) * b.delay("SPLIT") for r in roots]
    _align(b, roots, step)
    b.enter(part="fanout")
    depth = max(levels(len(r.at)) for r in roots)
    shape = (len(step), len(line.target))
    first, last = np.full(shape, np.iinfo(np.int64).max), np.full(shape, np.iinfo(np.int64).min)
    top, leaves = np.zeros(shape[1], np.int64), []
    for r in roots:
        pins = b.split_tree(r.pin, len(r.at), depth)
        more = depth * b.times("SPLIT") - r.plane * step
        first[:, r.at] = np.minimum(first[:, r.at], (r.times[:, 0] + more)[:, None])
        last[:, r.at] = np.maximum(last[:, r.at], (r.times[:, -1] + more)[:, None])
        top[r.at] = np.maximum(top[r.at], r.plane)
        leaves += [(t, r.plane, pin) for t, (pin, _) in zip(line.target[r.at].tolist(), pins, strict=True)]
    return Fan(leaves, first, last, top, max(bare) - min(bare), int(first[0].max() - first[0].min()))


def _align(b: Builder, roots: Sequence[_Root], step: Ints) -> None:
    """The first pulses of all, less what their planes are later, come at one time."""
    late = max((r.times[:, 0] - r.plane * step for r in roots), key=lambda t: int(t[0]))
    for r in roots:
        r.pin, more = b.pad(r.pin, late + r.plane * step - r.times[:, 0])
        r.times = r.times + more[:, None]


def _planes(b: Builder, rail: Late, at: Ints, size: Ints) -> list[_Root]:
    """One pulse for every bit that some weight has."""
    planes = [(k, at[(size >> k) & 1 == 1]) for k in range(int(size.max()).bit_length())]
    planes = [(k, own) for k, own in planes if len(own)]
    pins, time = b.split_tree(rail[0], len(planes)), rail[1] + levels(len(planes)) * b.times("SPLIT")
    return [_Root(pin, time[:, None], k, own) for (k, own), (pin, _) in zip(planes, pins, strict=True)]


def _trains(b: Builder, rail: Late, at: Ints, size: Ints, gap_fs: int) -> list[_Root]:
    """m pulses for every size m that there is; each train is the next shorter one with one pulse more."""
    found, used = [], {int(m): at[size == m] for m in np.unique(size)}
    most, (rest, t), split, merge = max(used), rail, b.times("SPLIT"), b.times("MERGE")[:, None]
    train, times = rest, t[:, None]
    for m in range(1, most + 1):
        if m > 1:
            rest, more = b.pad_up(rest, times[:, -1] + gap_fs - t - split * (m < most))
            t = t + more
        tap = rest
        if m < most:
            tap, rest = b.split(rest)
            t = t + split
        train, times = (tap, t[:, None]) if m == 1 else (
            b.gate("MERGE", train, tap), np.concatenate([times, t[:, None]], 1) + merge)
        if m in used:
            out = train
            if m < most:
                out, train = b.split(train)
                times = times + split[:, None]
            found.append(_Root(out, times, 0, used[m]))
    return found


def weights_of(lines: Sequence[Line], n: int) -> Mapping[str, NDArray[np.float64]]:
    """By neuron: ``low``, ``high``: sums of its negative, and of its positive weights."""
    target = np.concatenate([np.zeros(0, np.int64), *(x.target for x in lines)])
    weight = np.concatenate([np.zeros(0), *(x.weight for x in lines)])
    return {name: np.bincount(target, part, n).astype(np.float64) for name, part in (
        ("low", np.minimum(weight, 0)), ("high", np.maximum(weight, 0)))}
