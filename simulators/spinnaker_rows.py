"""The words, kernels and learners of all PEs as the flat arrays that the kernels want."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.spinnaker_image import Block, Learner, PeMemory
from hwsdk.simulators.kernels_spinnaker_events import Conv, Pairs, Words
from hwsdk.simulators.kernels_spinnaker_plastic import Learners

IntArray = NDArray[np.int64]
BITS = {"narrow": (8, 13), "byte": (8, 16), "wide": (10, 10), "plastic": (10, 10)}
"""Kind -> bits of the target, and the first bit of the delay field (none of a byte word)."""

LARGEST_BOX = 1 << 20
"""Elements of a box of senders or of neurons, more than any slice has."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One block of a PE among all: base of its rows, delay (-1 where the words have their own), convolution or learner.

    senders: rows. targets, delays: int64, of each word (of a convolution: of all that it can reach).
    """

    base: int
    delay: int
    index: int
    senders: int
    targets: IntArray
    delays: IntArray


def fields(block: Block) -> tuple[IntArray, IntArray, IntArray]:
    """(target, weight, delay in steps) of each word of a narrow, byte, wide or plastic block."""
    bits, at = BITS[block.kind]
    words = np.asarray(block.words).astype(np.int64)
    target = words & ((1 << bits) - 1)
    delay = block.delay + ((words >> at) & 7)
    if block.kind == "narrow":
        weight = (words >> 8 & 15) * (1 - 2 * (words >> 12 & 1))
    elif block.kind == "byte":
        weight = (words >> 8).astype(np.uint8).view(np.int8).astype(np.int64)
    else:
        weight = (words >> 16).astype(np.uint16).view(np.int16).astype(np.int64)
    return target, weight, delay


@dataclass(slots=True)
class Rows:
    """Collects blocks, PE by PE; ``parts`` gives what has come together."""

    static: list[NDArray[np.int32]] = field(default_factory=list)
    static_ptr: list[IntArray] = field(default_factory=list)
    pairs: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = field(default_factory=list)
    pairs_ptr: list[IntArray] = field(default_factory=list)
    plastic: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = field(default_factory=list)
    plastic_ptr: list[IntArray] = field(default_factory=list)
    learner_ptr: list[int] = field(default_factory=lambda: [0])
    learners: list[tuple[Learner, PeMemory]] = field(default_factory=list)
    shapes: list[list[int]] = field(default_factory=list)
    channel: list[list[int]] = field(default_factory=list)
    row: list[list[list[int]]] = field(default_factory=list)
    column: list[list[list[int]]] = field(default_factory=list)
    kernels: list[NDArray[np.int16]] = field(default_factory=list)
    kernel_at: dict[tuple[int, ...], int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"static": 0, "pairs": 0, "plastic": 0, "kernel": 0})

    def add(self, memory: PeMemory, where: str) -> list[Row]:
        """All blocks of a PE, in their order. where: for an error."""
        found: dict[int, Row] = {}
        first = len(self.learners)
        for one, learner in enumerate(memory.learners):
            self.learners.append((learner, memory))
            for i, b in enumerate(memory.blocks):
                if b.kind == "plastic" and b.learner == one:
                    found[i] = self._plastic(b, first + one)
            self.learner_ptr.append(self.counts["plastic"])
        for i, b in enumerate(memory.blocks):
            if b.kind == "plastic" and b.learner >= len(memory.learners):
                raise broken(f"a block learns by rule {b.learner}, there are {len(memory.learners)}", where)
            if b.rows[0] != 0:
                raise broken("a block whose first row does not begin where its words do", where)
            if b.kind == "conv":
                found[i] = self._conv(b, where)
            elif b.kind != "plastic":
                found[i] = self._pairs(b) if b.kind == "csr" else self._words(b)
        return [found[i] for i in range(len(memory.blocks))]

    def _base(self, kind: str, rows: int) -> int:
        """The number of the next row, which moves on."""
        self.counts[kind] += rows
        return self.counts[kind] - rows

    def _words(self, b: Block) -> Row:
        """A narrow, byte or wide block."""
        target, weight, delay = fields(b)
        self.static.append((weight << 16 | delay << 10 | target).astype(np.uint32).view(np.int32))
        self.static_ptr.append(np.diff(b.rows))
        one = int(delay[0]) if len(delay) and (delay == delay[0]).all() else -1
        n = len(b.rows) - 1
        return Row(self._base("static", n), one, 0, n, target, delay)

    def _pairs(self, b: Block) -> Row:
        """A csr block."""
        self.pairs.append((np.asarray(b.words, np.float32), np.asarray(b.targets).astype(np.int32)))
        self.pairs_ptr.append(np.diff(b.rows))
        target, n = np.asarray(b.targets).astype(np.int64), len(b.rows) - 1
        return Row(self._base("pairs", n), b.delay, 0, n, target, np.full(len(target), b.delay))

    def _plastic(self, b: Block, learner: int) -> Row:
        """A plastic block."""
        target, weight, delay = fields(b)
        self.plastic.append(((delay << 10 | target).astype(np.int32), weight.astype(np.float32)))
        self.plastic_ptr.append(np.diff(b.rows))
        n = len(b.rows) - 1
        return Row(self._base("plastic", n), -1, learner, n, target, delay)

    def _conv(self, b: Block, where: str) -> Row:
        """A convolution, unrolled along each axis."""
        f, kernel = b.shape, np.ascontiguousarray(np.transpose(b.kernel, (1, 2, 3, 0)), np.int16)
        if kernel.shape != (f["group_in"], f["kernel_y"], f["kernel_x"], f["out_channels"]) or min(
                f[x] for x in ("stride_y", "stride_x", "dilation_y", "dilation_x", "group_in", "group_out")) < 1:
            raise broken("a convolution whose kernel is not that of its record", where)
        boxes = [tuple(f[f"{end}_{x}"] for x in ("channels", "height", "width")) for end in ("in", "out")]
        if min(*boxes[0], *boxes[1], f["first"], f["in_channel"], f["out_channel"]) < 0 or max(
                max(b) for b in boxes) > LARGEST_BOX or max(prod(b) for b in boxes) > LARGEST_BOX:
            raise broken("a convolution larger than any PE or spike source", where)
        plane, per_row = f["out_height"] * f["out_width"], f["kernel_x"] * f["out_channels"]
        at = self._kernel(kernel)
        self.shapes.append([f["first"], len(self.channel), len(self.row), len(self.column),
                            f["in_height"] * f["in_width"], f["in_width"], plane])
        for c in range(f["in_channel"], f["in_channel"] + f["in_channels"]):
            group, inside = divmod(c, f["group_in"])
            low, high = (min(max(g * f["group_out"] - f["out_channel"], 0), f["out_channels"])
                         for g in (group, group + 1))
            self.channel.append([at + inside * f["kernel_y"] * per_row, low, high])
        self.row += _reached(f, "y", per_row, f["out_width"], f["out_height"])
        self.column += _reached(f, "x", f["out_channels"], 1, f["out_width"])
        targets = np.arange(f["first"], f["first"] + f["out_channels"] * plane, dtype=np.int64)
        senders = f["in_channels"] * f["in_height"] * f["in_width"]
        return Row(0, b.delay, len(self.shapes) - 1, senders, targets, np.full(len(targets), b.delay))

    def _kernel(self, kernel: NDArray[np.int16]) -> int:
        """Where a kernel begins; equal ones are kept once."""
        key = (*kernel.shape, hash(kernel.tobytes()))
        at = self.kernel_at.get(key)
        if at is not None and any(np.array_equal(k, kernel) for k in self.kernels):
            return at
        self.kernel_at[key] = at = self._base("kernel", kernel.size)
        self.kernels.append(kernel)
        return at

    def parts(self) -> tuple[Words, Pairs, Conv, Learners, NDArray[np.float32]]:
        """(words, pairs, convolutions, learners, initial weights of those)."""
        row_ptr, row = _lists(self.row)
        column_ptr, column = _lists(self.column)
        conv = Conv(np.array(self.shapes, np.int64).reshape(-1, 7), np.array(self.channel, np.int32).reshape(-1, 3),
                    row_ptr, row, column_ptr, column, joined([k.ravel() for k in self.kernels], np.int16))
        pairs = Pairs(pointers(self.pairs_ptr), joined([w for w, _ in self.pairs], np.float32),
                      joined([i for _, i in self.pairs], np.int32))
        words = Words(pointers(self.static_ptr), joined(self.static, np.int32))
        return words, pairs, conv, self._learners(), joined([w for _, w in self.plastic], np.float32)

    def _learners(self) -> Learners:
        """All learners."""
        par, at, decay, start = [], [], [], [0, 0, 0]
        for x, memory in self.learners:
            plus, minus = np.asarray(x.plus, np.float32), np.asarray(x.minus, np.float32)
            par.append([x.a_plus, x.a_minus, x.w_min, x.w_max])
            at.append([start[0], len(plus), start[0] + len(plus), len(minus), memory.history, start[1], start[2]])
            decay += [plus, minus]
            start = [start[0] + len(plus) + len(minus), start[1] + memory.n, start[2] + memory.n * memory.history]
        return Learners(np.array(par, np.float32).reshape(-1, 4), np.array(at, np.int64).reshape(-1, 7),
                        joined(decay, np.float32), np.array(self.learner_ptr, np.int64), pointers(self.plastic_ptr),
                        joined([p for p, _ in self.plastic], np.int32))


def _reached(f: dict[str, int], axis: str, kernel_step: int, out_step: int, n: int) -> list[list[list[int]]]:
    """For each row (or column) of senders: [offset in the kernel, offset among the receivers] of all it reaches."""
    found = []
    for own in range(f["in_height" if axis == "y" else "in_width"]):
        place = f[f"in_{axis}"] + own + f[f"pad_{axis}"]
        pairs = []
        for k in range(f[f"kernel_{axis}"]):
            to, rest = divmod(place - k * f[f"dilation_{axis}"], f[f"stride_{axis}"])
            if rest == 0 and 0 <= to - f[f"out_{axis}"] < n:
                pairs.append([k * kernel_step, (to - f[f"out_{axis}"]) * out_step])
        found.append(pairs)
    return found


def _lists(lists: Sequence[Sequence[Sequence[int]]]) -> tuple[IntArray, NDArray[np.int32]]:
    """(where each list begins, all pairs)."""
    ptr = np.r_[0, np.cumsum([len(x) for x in lists])].astype(np.int64)
    return ptr, np.array([p for x in lists for p in x], np.int32).reshape(-1, 2)


def pointers(lengths: Iterable[IntArray]) -> IntArray:
    """Where each of some rows begins, and the end of the last."""
    return np.asarray(np.r_[0, np.cumsum(joined(list(lengths), np.int64))], np.int64)


def joined(parts: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """One array."""
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)


def broken(why: str, where: str = "") -> ProgramError:
    """The error for a program that does not hold together."""
    return ProgramError(why, where=where, code="INCONSISTENT", fix="compile the model again")
