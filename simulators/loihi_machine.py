"""A LoihiProgram in the form that the kernels want: its cores in parts, one a thread, and the synapses onto each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.programs.loihi import LoihiArrays, LoihiProgram
from hwsdk.simulators.kernels_deliver import WORDS, Columns, Wires, add_sizes, pack, unpack
from hwsdk.simulators.kernels_mesh import Mesh
from hwsdk.simulators.loihi_check import accumulators, check, core_order
from hwsdk.simulators.loihi_state import Neurons, part_neurons
from hwsdk.simulators.routes import axon_synapses, build_mesh

IntArray = NDArray[np.int64]
FIRING = 32
"""Synapses that take a step's time of one neuron, at a few percent of spikes a step; for parts of equal work."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one thread runs: the neurons of some cores, and all synapses onto them."""

    neurons: Neurons
    wires: Wires


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """Neurons in core order; senders by id, then mapped to core order.

    slots: steps that the rings of inputs hold, a power of two. reach: the largest sum of |weights| into one
    accumulator, from (neurons, inputs).
    """

    program: LoihiProgram
    parts: tuple[Part, ...]
    mesh: Mesh
    slots: int
    reach: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows that several segments use, kept once: number (R,) of each row among them, -1 for none, and their entries."""

    number: IntArray
    ptr: IntArray
    target: NDArray[np.int32]
    weight: NDArray[Any]
    delay: NDArray[np.uint8]


def build(program: LoihiProgram, parts: int = 1) -> Machine:
    """Unpack the cores' memories, for up to ``parts`` threads that run it together.

    Raises:
        ProgramError: axons, pointers, targets or parameters that do not fit together.
    """
    check(program)
    n_inputs = sum(s.n for s in program.inputs)
    order_of = np.r_[np.arange(n_inputs), n_inputs + core_order(program)]
    sender = order_of.astype(np.int32)[program.arrays.axon_source]
    mesh = build_mesh(program, sender, order_of)
    rows, made = _kept_rows(program), []
    for low, high in pairwise(_bounds(program, parts)):
        own = part_neurons(program, *program.arrays.neuron_ptr[[low, high]].tolist())
        made.append(Part(own, _wires(program, sender, rows, own.columns, low, high)))
    reach = (_reach(made, n_inputs, len(order_of)), _reach(made, 0, n_inputs))
    return Machine(program, tuple(made), mesh, 1 << int(program.arrays.delay.max(initial=1)).bit_length(), reach)


def _bounds(program: LoihiProgram, parts: int) -> IntArray:
    """Cores at which the parts begin, and the end: as equal in work as whole cores allow."""
    a = program.arrays
    synapses = np.diff(np.r_[0, np.cumsum(axon_synapses(a))][a.axon_ptr])
    work = np.r_[0, np.cumsum(np.diff(a.neuron_ptr) * FIRING + synapses)]
    return np.unique(np.r_[0, np.searchsorted(work, work[-1] * np.arange(1, parts) // parts), program.n_cores])


def _kept_rows(program: LoihiProgram) -> Rows:
    """The rows that save memory by being kept: used more than once, and never across the end of a core's neurons."""
    a = program.arrays
    lengths = np.diff(a.row_ptr)
    kept = np.bincount(a.segment_row, minlength=len(lengths)) > 1
    if kept.any():
        core = np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)).repeat(np.diff(a.segment_ptr))
        low, high = (f.reduceat(a.target, a.row_ptr[:-1])[a.segment_row] + a.segment_base
                     for f in (np.minimum, np.maximum))
        own = accumulators(program)[0][core]
        kept[a.segment_row[(low < own) & (high >= own)]] = False
    entry = np.repeat(kept, lengths)
    weight = a.weight[entry].astype(np.int64) << np.repeat(a.row_exponent[kept], lengths[kept])
    late = a.delay.max(initial=1) > 1
    return Rows(np.where(kept, np.cumsum(kept) - 1, -1), np.r_[0, np.cumsum(lengths[kept])], a.target[entry],
                _narrow(weight), a.delay[entry] if late else a.delay[:0])


def _narrow(weight: IntArray) -> NDArray[Any]:
    """In 16 bits if they fit."""
    return weight.astype(np.int16) if np.abs(weight).max(initial=0) < 1 << 15 else weight


def _wires(program: LoihiProgram, sender: NDArray[np.int32], rows: Rows, columns: int, low: int, high: int) -> Wires:
    """All synapses onto cores low .. high - 1, by sender."""
    a, n_inputs, n_senders = program.arrays, sum(s.n for s in program.inputs), len(program.arrays.out_ptr) - 1
    axons = slice(a.axon_ptr[low], a.axon_ptr[high])
    written = rows.number[a.segment_row] < 0
    ptr, segment_ptr = (_by_sender(a, x, sender, axons, n_senders)
                        for x in (np.where(written, np.diff(a.row_ptr)[a.segment_row], 0), ~written))
    n = int(ptr[-1])
    largest = int(np.abs(a.weight.astype(np.int32)).max(initial=0)) << int(a.row_exponent.max(initial=0))
    target, weight = np.empty(n, np.uint32), _weights(n, largest)
    delay = np.empty(n if a.delay.max(initial=1) > 1 else 0, np.uint8)
    row, base = np.empty(segment_ptr[-1], np.int32), np.empty(segment_ptr[-1], np.int64)
    home = np.repeat(np.arange(high - low), np.diff(a.axon_ptr[low : high + 1]))
    segments = a.segment_ptr[axons.start : axons.stop + 1]
    unpack(sender[axons], home, _columns(program, low, high), rows.number, segments, a.segment_row, a.segment_base,
           a.row_ptr, a.row_exponent, a.target, a.weight, a.delay, ptr[:-1].copy(), target, weight, delay,
           segment_ptr[:-1].copy(), row, base)
    some = slice(None) if len(row) else slice(0)
    bits = max(columns - 1, 1).bit_length()
    packs = n > 0 and not len(delay) and bits < 31 and largest < 1 << (31 - bits)
    word = np.zeros(0, np.int32)
    if packs:
        ptr, word = _pack(ptr, target, weight, bits, columns)
        target, weight = target[:0], weight[:0].astype(np.int16)
    return Wires(n_inputs, ptr.astype(np.uint64), bits, word, target, weight, delay,
                 segment_ptr[some], row, base, rows.ptr, rows.target, rows.weight, rows.delay)


def _weights(n: int, largest: int) -> NDArray[Any]:
    """Room for n weights."""
    return np.empty(n, np.int16) if largest < 1 << 15 else np.empty(n, np.int64)


def _by_sender(a: LoihiArrays, per_segment: NDArray[Any], sender: NDArray[np.int32], axons: slice, n: int) -> IntArray:
    """Where each of n senders begins if its axons have so many items a segment."""
    total = np.r_[0, np.cumsum(per_segment)][a.segment_ptr[axons.start : axons.stop + 1]]
    found = np.bincount(sender[axons], weights=np.diff(total), minlength=n)
    return np.asarray(np.r_[0, np.cumsum(found.astype(np.int64))], np.int64)


def _columns(program: LoihiProgram, low: int, high: int) -> Columns:
    """Where the accumulators of cores low .. high - 1 lie."""
    own, seconds = (x[low:high] for x in accumulators(program))
    return Columns(np.cumsum(own) - own, own, own.sum() + np.cumsum(seconds) - seconds - own)


def _pack(ptr: IntArray, target: NDArray[np.uint32], weight: NDArray[Any], bits: int, columns: int,
          ) -> tuple[IntArray, NDArray[np.int32]]:
    """Wires.ptr and Wires.word, which begins on a cache line."""
    lines = np.r_[0, np.cumsum(-(-np.diff(ptr) // WORDS))] * WORDS
    room = np.empty(int(lines[-1]) + WORDS, np.int32)
    skip = -(room.ctypes.data // room.itemsize) % WORDS
    word = room[skip : skip + int(lines[-1])]
    pack(ptr, target, weight, bits, columns, lines, word)
    return lines, word


def _reach(parts: list[Part], first: int, last: int) -> int:
    """Largest sum of |weights| that senders first .. last - 1 bring to one accumulator."""
    most = 0
    for part in parts:
        total = np.zeros(part.neurons.columns, np.int64)
        add_sizes(first, last, part.wires, total)
        most = max(most, int(total.max(initial=0)))
    return most
