"""sfq_check_counters: what every pulse is worth to every counter, held against weights, biases, thresholds, resets.

A NDRO holds a copy of a bit if the bit's pulses set it and its carry resets it, and the complement the other way round.
A complement that is read into its own bit makes that bit 1. A counter whose copy of the highest bit is its spike holds
2^n + v - t in n + 1 bits, one with the complement v - t.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.mappers.pulse_rules import memoryless
from hwsdk.mappers.sfq_check_lines import DFF, FRAME, INIT, NDRO, NOT, TFF, Lines
from hwsdk.mappers.sfq_check_order import Counters, check_order
from hwsdk.mappers.sfq_check_wanted import Found, Wanted, compare
from hwsdk.mappers.sfq_plan import WALKED, reach

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """(n) each: what pulses add to a counter: of a frame before it is read (with the complement rails of all lines) and
    after, of the first pulse, of the neuron's spike. low, high: sums of the negative, and the positive, weights.
    """

    before: Ints
    after: Ints
    init: Ints
    spike: Ints
    low: Ints
    high: Ints


def check_counters(network: Network, x: Lines, wanted: Wanted) -> None:
    """Weights, delays and constants of all counters.

    Raises:
        InternalError: the first difference, with cell and synapse.
    """
    c = _counters(x)
    _check_carries(x, c)
    _check_held(x, c)
    origin = c.ways.origin
    kind = x.kind[origin]
    rail = (kind == DFF) | (kind == NOT)
    worth = np.where(kind == NOT, -c.worth, c.worth)[rail].astype(np.float64)
    compare(x, wanted.of(c.bits > 0), Found(x.element[origin[rail]], c.owner[rail], x.frames[origin[rail]], worth,
                                            origin[rail]), 0.0)
    frame, init, spike = x.source[origin] == FRAME, x.source[origin] == INIT, x.starter[c.owner] == origin
    itself = (kind == NDRO) & (c.holds[origin] == c.ways.cell) & c.turned[origin] & ~spike
    known = rail | spike | frame | init | itself | (kind == TFF)
    if not known.all():
        i = int(np.argmin(known))
        raise InternalError(f"{x.name(origin[i])} counts in {x.name(c.ways.cell[i])} of "
                            f"{x.neuron_name(int(c.owner[i]))}, and is no part of it")
    late = frame & (x.offset_fs[origin] + c.ways.fs > x.clock_fs[x.starter[c.owner]])
    low, high = (np.bincount(wanted.target, f(wanted.weight, 0), len(c.bits)).astype(np.int64)
                 for f in (np.minimum, np.maximum))
    _check_constants(network, x, c, Worth(c.add_up(frame & ~late) + c.add_up(kind == NOT), c.add_up(late),
                                          c.add_up(init), c.add_up(spike), low, high))
    _check_ones(network, x, c, itself, init)
    again = spike & c.turned[origin] & (c.holds[origin] == c.ways.cell)
    check_order(x, c, rail | (frame & ~late), itself, late | (spike & ~again))


def _counters(x: Lines) -> Counters:
    """Who counts what."""
    a, n = x.netlist.arrays, x.netlist.n_cells
    bits = np.diff(a.bit_ptr)
    neuron, bit = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    neuron[a.bit_cell] = np.repeat(np.arange(len(bits)), bits)
    bit[a.bit_cell] = np.arange(len(a.bit_cell)) - np.repeat(a.bit_ptr[:-1], bits)
    wrong = np.flatnonzero((x.kind == TFF) != (neuron >= 0))
    if len(wrong) or len(np.unique(a.bit_cell)) != len(a.bit_cell):
        cell = int(wrong[0] if len(wrong) else np.argmax(np.bincount(a.bit_cell)))
        raise InternalError(f"{x.name(cell)} is not one bit of one counter")
    w = x.ways.where(x.kind[x.ways.cell] == TFF)
    return Counters(neuron, bit, bits, *_held(x, bit), w, neuron[w.cell], np.int64(1) << bit[w.cell])


def _held(x: Lines, bit: Ints) -> tuple[Ints, Flags]:
    """(C) each: of a NDRO, the TFF whose carry alone sets or resets it; whether it sets it. The bit's own pulses, at
    the other pin, can be the carry of the bit below alone.
    """
    n = x.netlist.n_cells
    holds, turned = np.full(n, -1, np.int64), np.zeros(n, bool)
    for pin in ("a", "b"):
        w = x.ways.where(x.at(NDRO, pin))
        w = w.where((np.bincount(w.cell, minlength=n)[w.cell] == 1) & (x.kind[w.origin] == TFF))
        w = w.where((holds[w.cell] < 0) | (bit[w.origin] > bit[holds[w.cell]]))
        holds[w.cell], turned[w.cell] = w.origin, pin == "a"
    return holds, turned


def _check_carries(x: Lines, c: Counters) -> None:
    """Each bit carries once into the next one of its neuron, the highest into none."""
    own = x.kind[c.ways.origin] == TFF
    start, end = c.ways.origin[own], c.ways.cell[own]
    good = (c.neuron[start] == c.neuron[end]) & (c.bit[start] + 1 == c.bit[end])
    if not good.all():
        i = int(np.argmin(good))
        raise InternalError(f"{x.name(start[i])} of {x.neuron_name(int(c.neuron[start[i]]))} carries into "
                            f"{x.name(end[i])}, which is not its next bit")
    carries = np.bincount(start, minlength=x.netlist.n_cells)
    due = (c.bit >= 0) & (c.bit + 1 < c.bits[np.maximum(c.neuron, 0)]) if len(c.bits) else carries != 0
    if len(wrong := np.flatnonzero(carries != due)):
        raise InternalError(f"{x.name(wrong[0])} of {x.neuron_name(int(c.neuron[wrong[0]]))} carries "
                            f"{carries[wrong[0]]} times into its next bit")


def _check_held(x: Lines, c: Counters) -> None:
    """What changes a NDRO beside the carry is what counts in its bit; a neuron is read at its highest bit."""
    n = x.netlist.n_cells
    if len(wrong := np.flatnonzero((x.kind == NDRO) & (c.holds < 0))):
        raise InternalError(f"{x.name(wrong[0])} does not follow the carry of one bit")
    w = x.ways.where((x.at(NDRO, "a") & ~c.turned[x.ways.cell]) | (x.at(NDRO, "b") & c.turned[x.ways.cell]))
    order = np.argsort(c.ways.cell, kind="stable")
    first = np.searchsorted(c.ways.cell[order], np.arange(n + 1))
    holders = np.flatnonzero(c.holds >= 0)
    start, counts = first[c.holds[holders]], first[c.holds[holders] + 1] - first[c.holds[holders]]
    at = np.arange(int(counts.sum())) + np.repeat(start - np.cumsum(counts) + counts, counts)
    got, due = np.sort(w.cell * n + w.origin), np.sort(np.repeat(holders, counts) * n + c.ways.origin[order[at]])
    if not np.array_equal(got, due):
        key = int(np.r_[np.setxor1d(got, due), got, due][0])
        raise InternalError(f"{x.name(key // n)} does not hold {x.name(c.holds[key // n])}: pulses of "
                            f"{x.name(key % n)} do not reach both equally often")
    counter = np.flatnonzero(c.bits > 0)
    top = x.netlist.arrays.bit_cell[x.netlist.arrays.bit_ptr[1:][counter] - 1]
    if len(wrong := np.flatnonzero((x.kind[x.starter[counter]] != NDRO) | (c.holds[x.starter[counter]] != top))):
        i = int(counter[wrong[0]])
        raise InternalError(f"{x.name(x.starter[i])} does not read the highest bit of {x.neuron_name(i)}")
    if len(wrong := counter[x.source[x.clock[x.starter[counter]]] != FRAME]):
        raise InternalError(f"{x.name(x.starter[wrong[0]])} does not read {x.neuron_name(int(wrong[0]))} once a frame")


def _counting(network: Network, c: Counters) -> Iterator[tuple[slice, DiscreteLIF]]:
    """(neurons, population) of each one of counters."""
    first = 0
    for cell in network.populations.values():
        if isinstance(cell, DiscreteLIF) and c.bits[first : first + cell.n].any():
            yield slice(first, first + cell.n), cell
        first += cell.n


def _check_constants(network: Network, x: Lines, c: Counters, w: Worth) -> None:
    """Bias, threshold, start and reset, from what pulses of all kinds are worth."""
    for own, cell in _counting(network, c):
        half = np.int64(1) << (c.bits[own] - 1)
        bias, start, reset_by = (_whole(v) for v in (cell.bias, cell.v_init, cell.reset_by))
        zero = x.netlist.arrays.v_zero[own]
        turned = c.turned[x.starter[own]]
        _check_thresholds(x, own, cell, (np.where(turned, 0, half) - zero) % (2 * half), w, half)
        before, after, init, spike = (v[own] for v in (w.before, w.after, w.init, w.spike))
        if memoryless(cell):
            rows = [("a frame leaves", before + after - 1, zero + bias), ("the first pulse adds", init, after - 1),
                    ("a spike adds", spike, half)]
        else:
            back = half + 1 + zero if cell.reset == "value" else -reset_by
            rows = [("each frame adds", before + after, bias), ("the first pulse adds", init, zero + start),
                    ("a spike adds", spike, back)]
        for what, got, due in rows:
            if len(wrong := np.flatnonzero((got - due) % (2 * half))):
                i = int(wrong[0])
                raise InternalError(f"{x.name(x.starter[own][i])}: {what} {int(got[i] % (2 * half[i]))} in the counter "
                                    f"of {x.neuron_name(own.start + i)}, not {int(due[i] % (2 * half[i]))}")


def _check_thresholds(x: Lines, own: slice, cell: DiscreteLIF, t: Ints, w: Worth, half: Ints) -> None:
    """Thresholds modulo 2^bits, and whether the bits hold all v; a threshold beyond what v can be is as good as the one
    next to it.
    """
    least, most = _reach(x, cell, w.low[own], w.high[own])
    theta = np.clip(np.ceil(cell.v_threshold.ravel()), least, most + 1)
    if len(wrong := np.flatnonzero((most - theta >= half) | (least - theta < -half))):
        i = int(wrong[0])
        raise InternalError(f"the counter of {x.neuron_name(own.start + i)} has {int(half[i]).bit_length()} bits, too "
                            f"few for v from {least[i]:g} to {most[i]:g} and the threshold {theta[i]:g}")
    if len(wrong := np.flatnonzero((t - _whole(theta)) % (2 * half))):
        i = int(wrong[0])
        raise InternalError(f"{x.name(x.starter[own][i])}: the threshold of {x.neuron_name(own.start + i)} is {t[i]} "
                            f"in the counter, not {int(theta[i]) % (2 * half[i])} (modulo {2 * half[i]})")


def _reach(x: Lines, cell: DiscreteLIF, low: Ints, high: Ints) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the most that v can be when it is compared, in so many frames as the netlist is made for."""
    bias, theta, back, start = (np.asarray(v, np.float64).ravel() for v in (
        cell.bias, cell.v_threshold, cell.reset_by, cell.v_init))
    if memoryless(cell):
        return low + bias, high + bias
    steps = x.netlist.schedule.max_steps or WALKED
    return reach(low + bias, high + bias, theta, back if cell.reset == "subtract" else None, start, steps)[:2]


def _check_ones(network: Network, x: Lines, c: Counters, itself: Flags, init: Flags) -> None:
    """Where a counter is set to ones, each of its bits below the highest is read into itself once, by the frame or the
    spike; and as a complement is right only after the first pulse, the first pulse reaches every bit.
    """
    n = x.netlist.n_cells
    once = np.bincount(c.ways.cell[itself], minlength=n)
    begun = np.bincount(c.ways.cell[init], minlength=n) > 0
    due = np.zeros(n, bool)
    for own, cell in _counting(network, c):
        if not memoryless(cell) and cell.reset == "subtract":
            continue
        bits = x.netlist.arrays.bit_cell[x.netlist.arrays.bit_ptr[own.start] : x.netlist.arrays.bit_ptr[own.stop]]
        due[bits[c.bit[bits] + 1 < c.bits[c.neuron[bits]]]] = True
        if len(unknown := bits[~begun[bits]]):
            raise InternalError(f"{x.name(unknown[0])} of {x.neuron_name(int(c.neuron[unknown[0]]))}: the first pulse "
                                "does not reach it, so its complement is unknown")
        ndro = np.unique(c.ways.origin[itself & (c.owner >= own.start) & (c.owner < own.stop)])
        clocks = x.clock[ndro]
        good = x.source[clocks] == FRAME if memoryless(cell) else clocks == x.starter[c.neuron[c.holds[ndro]]]
        if not good.all():
            i = int(np.argmin(good))
            raise InternalError(f"{x.name(ndro[i])} is read by {x.name(clocks[i])}, which is not its reset")
    if len(wrong := np.flatnonzero(once != due)):
        raise InternalError(f"{x.name(wrong[0])} of {x.neuron_name(int(c.neuron[wrong[0]]))} is read into itself "
                            f"{once[wrong[0]]} times in a reset, not {int(due[wrong[0]])}")


def _whole(values: object) -> Ints:
    """Flat integers."""
    return np.rint(np.asarray(values, np.float64)).astype(np.int64).ravel()
