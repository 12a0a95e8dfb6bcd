"""sfq_counter: populations of neurons that count pulses in binary: a chain of toggle flip-flops, read once a frame.

Addition modulo 2^bits does not care for order, so a constant goes into all its bits at one time; the carries then come
one after another, ``carry`` fs apart. Bits of kinds "memoryless" and "value" each have a NDRO that holds their
complement (set by the carry, reset by the flip-flop's input): reading it into the same bit makes every bit 1 without a
carry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.mappers.sfq_build import Builder, Pin, levels
from hwsdk.mappers.sfq_lines import Fan, Line, Stored
from hwsdk.mappers.sfq_plan import Plan
from hwsdk.mappers.sfq_slots import Chain, Spacing

Ints = NDArray[np.int64]
Bits = dict[int, Pin]
"""Pulses that go into some bits of a counter."""


@dataclass(frozen=True, slots=True, eq=False)
class Macro:
    """Times of the macro, for one kind, by corner (K,) but for gap, fs between pulses, and skew, fs by which paths into
    a bit differ behind their trees. carry: from a bit's port (the merger of its carry) to the next one's, with
    carry_jtls in it; step: between bit planes; shadow_jtls, top_jtls: before the pin of a NDRO that the flip-flop's
    input drives, of the top bit; settle: from the port until the NDRO is right; mark: from the NDRO's read until what
    it makes 1 is on its way.
    """

    gap: int
    skew: int
    carry: Ints
    carry_jtls: int
    step: Ints
    shadow_jtls: int
    top_jtls: int
    settle: Ints
    mark: Ints

    @property
    def spacing(self) -> Spacing:
        """For the slots of lines."""
        return Spacing(self.gap + self.skew, self.carry - self.step)


def macro(b: Builder, kind: str, margin_fs: int, depth: int = 1) -> Macro:
    """The times of a counter out of the cells' own; depth: of the deepest tree that merges lines or constants."""
    tff, merge, ndro = b.types["TFF"], b.types["MERGE"], b.types["NDRO"]
    gap = margin_fs + int(max(tff.critical_fs.max(), merge.critical_fs.max(), merge.absorb_fs.max()))
    jtl, split, toggle = b.times("JTL"), b.times("SPLIT"), b.times("TFF")
    all_bits = kind != "subtract"
    own = b.times("MERGE") + toggle + 2 * split * all_bits
    skew = b.level_error(1) + b.level_error(2)
    apart = gap + max(skew, b.spread_of_levels(2) + b.spread_of_levels(depth))  # each plane has a tree of its own
    carry_jtls = b.jtls_for(apart - own)
    carry = own + carry_jtls * jtl
    early, late = (ndro.inputs.index(p) for p in (("b", "a") if all_bits else ("a", "b")))
    after, before = int(ndro.critical_fs[:, early, late].max()), int(ndro.critical_fs[:, late, early].max())
    out = toggle + split * all_bits
    shadow, top = (b.jtl_count(int(x[0]) + (before - after - gap) / 2) for x in (out, toggle))
    mark = np.maximum(b.times("NDRO"), b.jtl_count(b.delay("NDRO")) * jtl)
    step = int(((carry - apart) // jtl).min()) * jtl
    return Macro(gap, skew, carry, carry_jtls, step, shadow, top, b.times("MERGE") + split + out + margin_fs, mark)


@dataclass(slots=True, eq=False)
class Counters:
    """A counter population in the making. Times from the launch chain's start, by corner, (K, n) for neurons: end,
    first: last pulse at the port, first one less its planes' distance; taps (K,) of the chain: frame, slot, read, after
    (None where there is none).
    """

    name: str
    plan: Plan
    macro: Macro
    lines: list[Line]
    stored: list[Stored]
    fans: list[Fan]
    slots: list[list[int]]
    chain: Chain
    slot_taps: list[Ints] = field(default_factory=list)
    frame_tap: Ints | None = None
    read_tap: Ints | None = None
    after_tap: Ints | None = None
    planes: dict[tuple[int, int], list[Pin]] = field(default_factory=dict)
    lines_depth: list[int] = field(default_factory=list)
    aux_depth: list[int] = field(default_factory=list)
    end: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    first: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def n(self) -> int:
        """Neurons."""
        return len(self.plan.bits)

    @property
    def complements(self) -> bool:
        """Whether every bit has its NDRO."""
        return self.plan.kind != "subtract"

    def gather(self, b: Builder) -> None:
        """Leaves of all lines by neuron and plane, and how deep the trees are that merge them. What a leaf takes longer
        than such a tree goes into the fans' times.
        """
        for fan in self.fans:
            for target, plane, pin in fan.leaves:
                self.planes.setdefault((target, plane), []).append(pin)
        self.lines_depth, self.aux_depth = [0] * self.n, [0] * self.n
        for (target, _), pins in self.planes.items():
            self.lines_depth[target] = max(self.lines_depth[target], levels(len(pins)))
        for i in range(self.n):
            kinds = [self.constant(c, i) for c in ("frame", "after", "ones", "init")]
            kinds += [(1 << self.bits(i)) - 1] * self.complements
            most = max(sum(c >> k & 1 for c in kinds) for k in range(self.bits(i)))
            self.aux_depth[i] = levels(most) if most else 0
        self._correct(b)

    def _correct(self, b: Builder) -> None:
        """Fans' times by what each leaf takes longer in its tree."""
        if not self.planes:
            return
        table: dict[tuple[int, int], Ints] = {}
        shapes = {key: (len(pins), self.lines_depth[key[0]]) for key, pins in self.planes.items()}
        for shape in set(shapes.values()):
            table[shape] = b.merge_paths(*shape)
        leaf = np.array([(t, p) for fan in self.fans for t, p, _ in fan.leaves], np.int64)
        order = np.lexsort((leaf[:, 1], leaf[:, 0]))
        more = np.empty((len(b.corners), len(leaf)), np.int64)
        more[:, order] = np.concatenate([table[shapes[key]] for key in sorted(shapes)], axis=1)
        at = 0
        for line, fan in zip(self.lines, self.fans, strict=True):
            own = slice(at, at + len(fan.leaves))
            place, at = np.searchsorted(line.target, leaf[own, 0]), own.stop
            early, late = np.full(fan.first.T.shape, 1 << 40), np.full(fan.first.T.shape, -(1 << 40))
            np.minimum.at(early, place, more[:, own].T)
            np.maximum.at(late, place, more[:, own].T)
            np.add(fan.first, early.T, out=fan.first)
            np.add(fan.last, late.T, out=fan.last)

    def bits(self, i: int) -> int:
        """Of one counter."""
        return int(self.plan.bits[i])

    def constant(self, what: str, i: int) -> int:
        """frame, after, ones or init of one neuron."""
        return int(getattr(self.plan, what)[i])

    @property
    def spike_depth(self) -> int:
        """Splitters between a NDRO and its spike, the same for all neurons, so that spikes come at one time."""
        if self.plan.kind != "value":
            return int(self.complements or bool(self.plan.after.any()))
        return max(levels(int(n) + 1 + bool(a)) for n, a in zip(self.plan.bits, self.plan.after, strict=True))

    def ones_of(self, what: str) -> int:
        """Bits that are set in a constant of all neurons."""
        return int(sum(int(c).bit_count() for c in getattr(self.plan, what)))

    def aux_way(self, b: Builder) -> Ints:
        """(K, n) from the leaf of an auxiliary tree to the port."""
        return np.outer(b.times("MERGE"), np.array(self.aux_depth, np.int64) + 1)

    def line_way(self, b: Builder) -> Ints:
        """(K, n) from the leaf of a line to the port."""
        return np.outer(b.times("MERGE"), np.array(self.lines_depth, np.int64) + 1)

    def ripple(self) -> Ints:
        """(K, n) from a pulse at the port until every bit is right."""
        return np.outer(self.macro.carry, self.plan.bits - 1) + self.macro.settle[:, None]


def leaves(b: Builder, source: Pin, values: Sequence[int]) -> list[Bits]:
    """Copies of a pulse for every bit that is set in the values; one dict a value."""
    wanted = [[k for k in range(v.bit_length()) if v >> k & 1] for v in values]
    pins = iter(b.split_tree(source, sum(map(len, wanted))))
    return [{k: next(pins)[0] for k in own} for own in wanted]


def neuron(b: Builder, c: Counters, i: int, reads: Sequence[Pin], given: Mapping[str, Bits], start_after: Pin | None,
           ) -> tuple[Pin, list[int]]:
    """One neuron: (pin of its spike, its flip-flops from the lowest bit on).

    reads: what reads the NDROs, from the lowest bit that the frame's pulse reads. given: constants that come from
    outside, by name. start_after: pulse that adds ``after`` in the beginning, where a spike does it later.
    """
    b.enter(part="ones" if c.plan.kind == "memoryless" else "read")
    top = b.cell("NDRO")
    b.net(reads[-1], (top, b.pin("NDRO", "clk")))
    b.enter(part="ones")
    shadows = {k: b.cell("NDRO") for k in range(c.bits(i) - 1)} if c.complements else {}
    spike, toggles, clocks, more = _spike(b, c, i, (top, 0), start_after)
    for k, clock in enumerate(clocks or reads[:-1]):
        b.net(clock, (shadows[k], b.pin("NDRO", "clk")))
        toggles[k] = (shadows[k], 0)
    shadows[c.bits(i) - 1] = top
    aux: dict[int, list[Pin]] = {}
    for source in (toggles, *given.values(), more):
        for k, pin in source.items():
            aux.setdefault(k, []).append(pin)
    b.enter(part="counter")
    return spike, _bits(b, c, i, aux, shadows)


def _spike(b: Builder, c: Counters, i: int, q: Pin, start_after: Pin | None) -> tuple[Pin, Bits, list[Pin], Bits]:
    """(spike, what makes the top bit 1, what reads the other bits, what adds ``after``), each as far as it is there."""
    top, kind, after = c.bits(i) - 1, c.plan.kind, c.constant("after", i)
    if kind == "memoryless":
        spike, again = b.split(q)
        return spike, {top: again}, [], {}
    b.enter(part="read")
    if kind == "subtract":
        pins = [p for p, _ in b.split_tree(q, 1 + bool(after), c.spike_depth)]
        return pins[0], {}, [], _added(b, pins[1], start_after, after) if after else {}
    pins = [p for p, _ in b.split_tree(q, top + 2 + bool(after), c.spike_depth)]
    b.enter(part="ones")
    toggles = {top: b.jtls(pins[1], b.jtl_count(b.delay("NDRO")))}
    more: Bits = {}
    if after:
        way = b.times("MERGE") + levels(after.bit_count()) * b.times("SPLIT")
        wait = c.macro.mark + c.macro.spacing.gap_fs - way
        b.enter(part="reset")
        more = _added(b, b.pad_up(pins[-1], wait)[0], start_after, after)
    return pins[0], toggles, pins[2 : top + 2], more


def _added(b: Builder, pulse: Pin, start: Pin | None, value: int) -> Bits:
    """A constant that comes with a pulse, or in the beginning."""
    b.enter(part="reset")
    return leaves(b, b.gate("MERGE", pulse, start), [value])[0]


def _bits(b: Builder, c: Counters, i: int, aux: Mapping[int, list[Pin]], shadows: Mapping[int, int]) -> list[int]:
    """The chain of flip-flops; comes back from the lowest bit on."""
    found, carry, last = [], None, c.bits(i) - 1
    near, beyond = (b.pin("NDRO", p) for p in (("b", "a") if c.complements else ("a", "b")))
    for k in range(c.bits(i)):
        port = _port(b, c, i, k, aux.get(k, []), carry)
        shadow = shadows.get(k)
        if shadow is not None:
            port, side = b.split(port)
            b.net(b.jtls(side, c.macro.top_jtls if k == last else c.macro.shadow_jtls), (shadow, near))
        flop = b.gate("TFF", port)
        found.append(flop[0])
        carry = flop
        far = None if shadow is None else (shadow, beyond)
        if k == last:
            b.net(flop, far) if far is not None else b.sink(flop)
        elif far is not None:
            side, carry = b.split(flop)
            b.net(side, far)
        if k < last:
            carry = b.jtls(carry, c.macro.carry_jtls)
    return found


def _port(b: Builder, c: Counters, i: int, k: int, aux: Sequence[Pin], carry: Pin | None) -> Pin:
    """All that toggles a bit, on one pin: lines and constants, each kind through equally deep trees, then the carry."""
    parts = []
    own = c.planes.get((i, k))
    b.enter(part="fanin")
    if own:
        parts.append(b.merge(own, c.lines_depth[i]))
    b.enter(part="counter")
    if aux:
        parts.append(b.merge(aux, c.aux_depth[i]))
    if not parts:
        if carry is None:
            raise InternalError(f"nothing ever toggles the lowest bit of {c.name}[{i}]")
        return b.jtls(carry, b.jtl_count(b.delay("MERGE")))
    if carry is None:
        joined, missing = (parts[0], 2) if len(parts) == 1 else (b.merge(parts, 1), 1)
        return b.jtls(joined, b.jtl_count(missing * b.delay("MERGE")))
    return b.gate("MERGE", b.merge(parts, 1), carry)
