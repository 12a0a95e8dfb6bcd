"""sfq_counters: a counter population from its synapses to its cells: first in numbers, then, when all populations'
times are known, in cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.mappers.sfq_build import Builder, Pin, levels
from hwsdk.mappers.sfq_counter import Bits, Counters, leaves, macro, neuron
from hwsdk.mappers.sfq_lines import Line, fan_out, store, weights_of
from hwsdk.mappers.sfq_plan import plan
from hwsdk.mappers.sfq_slots import Chain, launches, shared

Ints = NDArray[np.int64]
Given = dict[str, list[Bits]]
"""Constant -> its pulses, by neuron."""
NEVER = -(1 << 60)
MOST_CONSTANTS = 5
"""That one bit can have: frame, after, ones and init, and what makes it 1."""
TRAIN_LIMIT = 3
"""Largest |weight| for which "auto" takes trains: a train of 3 pulses takes the time of 3 planes or less."""


def prepare(b: Builder, name: str, cell: DiscreteLIF, lines: list[Line], weights: str, margin_fs: int, max_steps: int,
            ) -> Counters:
    """Widths, storage and trees of all lines, and when they are launched.

    Raises:
        UnsupportedError: COUNTER_WIDTH.
    """
    sums = weights_of(lines, cell.n)
    binary = is_binary(lines, weights)
    odd = np.zeros(cell.n, bool)
    for x in lines:
        odd[x.target[(x.weight % 2 != 0) | (not binary)]] = True
    found = plan(name, cell, sums["low"], sums["high"], odd, max_steps)
    arriving = np.bincount(np.concatenate([np.zeros(0, np.int64), *(x.target for x in lines)]), minlength=cell.n)
    times = macro(b, found.kind, margin_fs, levels(max(int(arriving.max(initial=0)), MOST_CONSTANTS)))
    b.enter(group=name)
    stored = [store(b, x.delay, bool((x.weight > 0).any()), bool((x.weight < 0).any())) for x in lines]
    fans = [fan_out(b, x, s, binary, times.gap, times.step) for x, s in zip(lines, stored, strict=True)]
    chain = Chain(b.times("JTL"), b.times("SPLIT"), 0 * b.times("JTL"))
    c = Counters(name, found, times, lines, stored, fans, shared(lines), chain)
    c.gather(b)
    _schedule(b, c)
    return c


def is_binary(lines: Sequence[Line], weights: str) -> bool:
    """Whether a weight is a pulse for each bit, not so many pulses."""
    most = max((float(np.abs(x.weight).max()) for x in lines), default=0.0)
    return weights == "binary" or (weights == "auto" and most > TRAIN_LIMIT)


def _schedule(b: Builder, c: Counters) -> None:
    """Taps of the frame's constant and of the slots."""
    shape = (len(b.corners), c.n)
    c.end, c.first = np.full(shape, NEVER), np.full(shape, -NEVER)
    if c.plan.frame.any():
        c.frame_tap = c.chain.tap(0 * c.chain.jtl)
        has = c.plan.frame != 0
        come = (c.frame_tap + levels(c.ones_of("frame")) * b.times("SPLIT"))[:, None] + c.aux_way(b)
        highest = np.array([int(x).bit_length() - 1 for x in c.plan.frame])
        c.end[:, has], c.first[:, has] = come[:, has], (come - np.outer(c.macro.carry, highest))[:, has]
    c.slot_taps = launches(c.slots, c.lines, c.fans, c.line_way(b), c.chain, c.macro.spacing, c.end, c.first)


def line_launches(b: Builder, c: Counters) -> dict[int, Ints]:
    """Line -> time (K,) from the chain's start at which its launch pin is reached."""
    return {n: tap + levels(len(own)) * b.times("SPLIT") for tap, own in zip(c.slot_taps, c.slots, strict=True)
            for n in own}


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """Times at the end of a frame, by corner, from the chain's start. spike (K, n): of spikes at their pins; quiet (K):
    when a counter that keeps something holds it; frame (K): how long a frame must be at least.
    """

    spike: Ints
    quiet: Ints
    frame: Ints


def close(b: Builder, c: Counters, late: Ints) -> Ends:
    """The taps that read and what follows; late (K, n): before which a neuron's spike must not come."""
    split, ndro = b.times("SPLIT"), b.times("NDRO")
    tree, way = levels(_reads(c)) * split, (ndro + c.spike_depth * split)[:, None]
    has_after = c.plan.kind == "memoryless" and bool(c.plan.after.any())
    need = np.maximum((c.end + c.ripple()).max(axis=1), (late - way).max(axis=1))
    c.read_tap = c.chain.tap(need - tree, last=not has_after)
    read = (c.read_tap + tree)[:, None]
    turned = read + c.aux_way(b) + (way + c.macro.mark[:, None] if c.plan.kind == "value" else way)
    changed = turned if c.complements else c.end
    if c.plan.kind != "memoryless":
        added = read + way + _after_way(b, c) + c.aux_way(b)
        changed = np.where(c.plan.after != 0, np.maximum(added, changed), changed)
    elif has_after:
        path = (b.times("MERGE") + levels(c.ones_of("after")) * split)[:, None] + c.aux_way(b)
        c.after_tap = c.chain.tap((turned + c.macro.spacing.gap_fs - path).max(axis=1), last=True)
        changed = np.where(c.plan.after != 0, c.after_tap[:, None] + path, turned)
    wrap = np.where(c.first < -NEVER, changed + c.macro.spacing.gap_fs - c.first, 0)
    done = changed + c.ripple()
    quiet = (done * (c.plan.kind != "memoryless")).max(axis=1)
    return Ends(np.repeat(read + way, c.n, 1), quiet, np.maximum(wrap, done - read).max(axis=1))


def _reads(c: Counters) -> int:
    """Leaves of the read tree."""
    return int(c.plan.bits.sum()) if c.plan.kind == "memoryless" else c.n


def _after_way(b: Builder, c: Counters) -> Ints:
    """(K, n) from the spike's pin to the leaves that add ``after``."""
    depth = np.array([levels(max(int(x).bit_count(), 1)) for x in c.plan.after])
    tree = np.outer(b.times("SPLIT"), depth) + b.times("MERGE")[:, None]
    if c.plan.kind == "subtract":
        return tree
    wait = (c.macro.mark + c.macro.spacing.gap_fs)[:, None] - tree
    return tree + np.outer(b.times("JTL"), [b.jtls_for(wait[:, i]) for i in range(c.n)])


def finish(b: Builder, c: Counters, start: Pin, init: Pin) -> tuple[list[Pin], list[list[int]]]:
    """The cells: (spike pins, flip-flops of each neuron)."""
    b.enter(c.name, "launch")
    taps = _taps(b, c, start)
    given: Given = {}
    if c.frame_tap is not None:
        b.enter(part="constant")
        given["frame"] = leaves(b, taps.pop(0), c.plan.frame.tolist())
    b.enter(part="launch")
    for own in c.slots:
        for n, (pin, _) in zip(own, b.split_tree(taps.pop(0), len(own)), strict=True):
            b.net(pin, c.stored[n].launch)
    b.enter(part="read")
    reads = [pin for pin, _ in b.split_tree(taps.pop(0), _reads(c))]
    begin = _init(b, c, init, given)
    if c.after_tap is not None:
        b.enter(part="reset")
        both = b.gate("MERGE", taps.pop(0), begin)
        given["after"] = leaves(b, both, c.plan.after.tolist())
        begin = None
    starts = _starts(b, c, begin)
    spikes, bits, at = [], [], 0
    for i in range(c.n):
        k = c.bits(i) if c.plan.kind == "memoryless" else 1
        mine = {what: x[i] for what, x in given.items()}
        spike, flops = neuron(b, c, i, reads[at : at + k], mine, starts.get(i))
        spikes.append(spike)
        bits.append(flops)
        at += k
    return spikes, bits


def _taps(b: Builder, c: Counters, pin: Pin) -> list[Pin]:
    """The launch chain; comes back by time."""
    found = []
    for n in c.chain.jtls[:-1]:
        tap, pin = b.split(b.jtls(pin, n))
        found.append(tap)
    return [*found, b.jtls(pin, c.chain.jtls[-1])]


def _init(b: Builder, c: Counters, pin: Pin, given: Given) -> Pin | None:
    """What happens once: constants go to ``given``; comes back: what adds ``after``, None if that is nothing."""
    has = {what: bool(getattr(c.plan, what).any()) for what in ("after", "ones", "init")}
    again = has["after"] and c.complements
    first = has["after"] or has["ones"]
    pins = [p for p, _ in b.split_tree(pin, max(first + again + has["init"], 1))]
    if not (first or has["init"]):
        b.sink(pin)
        return None
    b.enter(part="init")
    ones_way = levels(c.ones_of("ones")) * b.times("SPLIT")
    time, begin = 0 * ones_way, None
    if first:
        b.enter(part="ones")
        begin, time = b.jtls(pins.pop(), 1), b.times("JTL")
        if has["ones"]:
            begin, other = b.split(begin) if has["after"] else (None, begin)
            time = time + b.times("SPLIT") + ones_way
            given["ones"] = leaves(b, other, c.plan.ones.tolist())
    time = time + c.macro.gap
    if again:
        b.enter(part="init")
        late, time = b.pad_up(pins.pop(), time)
        begin = b.gate("MERGE", begin, late)
    if has["init"]:
        b.enter(part="init")
        given["init"] = leaves(b, b.pad_up(pins.pop(), time + _init_way(b, c))[0], c.plan.init.tolist())
    return begin


def _init_way(b: Builder, c: Counters) -> Ints:
    """Time until what init adds before its last constant has gone through."""
    path = 2 * b.times("MERGE") + (levels(c.n) + int(c.plan.bits.max())) * b.times("SPLIT")
    return path + c.macro.gap + int(c.plan.bits.max() - 1) * c.macro.carry * c.complements


def _starts(b: Builder, c: Counters, begin: Pin | None) -> dict[int, Pin]:
    """Neuron -> the pulse that adds its ``after`` in the beginning."""
    if begin is None:
        return {}
    b.enter(part="init")
    own = np.flatnonzero(c.plan.after).tolist()
    return {i: pin for i, (pin, _) in zip(own, b.split_tree(begin, len(own)), strict=True)}
