"""Numba kernels of the static timing check: when pulses can be on every net, and how close they come at every cell.

A pulse is a key, time << 2 | tag. The tag is what part of the frame it belongs to, the highest of the parts that it
came through: COUNTS (before the read), AFTER (the read) or ONES (toggles a bit that is 0, so that it finds the first
state). A net has a run of keys in a common buffer, a time to be added to them, and a least tag.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

COUNTS, AFTER, ONES = 0, 1, 2
NONE = np.int64(1) << 61
BEFORE_READ, AFTER_READ, HOLD, SETUP = 0, 1, 2, 3
STATELESS, STORAGE, READ, SOMA, TOGGLE = 0, 1, 2, 3, 4
MOST_PINS = 3


class Types(NamedTuple):
    """By type: fires (T, pins): outputs at some state; delay (T); limit (T, pins, pins): fs between two pulses; clk
    (T): pin of those that are clocked, -1 of others; kind (T): STATELESS .. TOGGLE.
    """

    fires: NDArray[np.uint8]
    delay: NDArray[np.int64]
    limit: NDArray[np.int64]
    clk: NDArray[np.int64]
    kind: NDArray[np.int64]


class Wires(NamedTuple):
    """in_ptr (C+1) into in_net: the net of every input pin, in order; out_ptr, out_net: of every output pin; to_cell,
    to_pin (N): where a net ends; kind (C): type; tag (C): least tag of what leaves the cell.
    """

    in_ptr: NDArray[np.int64]
    in_net: NDArray[np.int64]
    out_ptr: NDArray[np.int64]
    out_net: NDArray[np.int64]
    to_cell: NDArray[np.int64]
    to_pin: NDArray[np.int64]
    kind: NDArray[np.int64]
    tag: NDArray[np.int64]


class Nets(NamedTuple):
    """start, length (N): run in the buffer; shift (N): time to be added; tag (N): least tag; gap (N): shortest time
    between two pulses, round the frame too; ones (N): whether some pulse of the run has tag ONES.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    shift: NDArray[np.int64]
    tag: NDArray[np.int64]
    gap: NDArray[np.int64]
    ones: NDArray[np.bool_]


class Found(NamedTuple):
    """worst (T, pins, pins), order (T, 4): least slack; worst_cell, order_cell: where. faults (., 5): cell, check (prev
    * pins + pin, or -1 - kind of order), time, slack; at (1): how many.
    """

    worst: NDArray[np.int64]
    worst_cell: NDArray[np.int64]
    order: NDArray[np.int64]
    order_cell: NDArray[np.int64]
    faults: NDArray[np.int64]
    at: NDArray[np.int64]


@njit(cache=True, nogil=True)
def propagate(sources: Any, source_time: Any, period: int, types: Any, wires: Any, nets: Any, found: Any) -> Any:
    """Fill ``nets`` and ``found`` from pulses of the sources; (buffer, cells done)."""
    cells = len(wires.kind)
    waits = _waiting(types, wires)
    todo, n_todo = np.empty(cells, np.int64), 0
    for c in range(cells):
        if waits[c] == 0:
            todo[n_todo] = c
            n_todo += 1
    buffer, used, own = np.empty(1 << 16, np.int64), 0, np.full(cells, -1, np.int64)
    for s in range(len(sources)):
        own[sources[s]] = s
    done = 0
    while done < n_todo:
        c = todo[done]
        done += 1
        room = 0
        for p in range(wires.in_ptr[c], wires.in_ptr[c + 1]):
            room += nets.length[wires.in_net[p]]
        while used + room + 2 > len(buffer):
            buffer = np.concatenate((buffer, np.empty_like(buffer)))
        if wires.in_ptr[c] == wires.in_ptr[c + 1]:
            used = _source(c, own[c], source_time, period, wires, nets, buffer, used)
        else:
            used = _cell(c, period, types, wires, nets, buffer, used)
        for p in range(wires.out_ptr[c], wires.out_ptr[c + 1]):
            net = wires.out_net[p]
            to, pin = wires.to_cell[net], wires.to_pin[net]
            if types.fires[wires.kind[to], pin] != 0:
                waits[to] -= 1
                if waits[to] == 0:
                    todo[n_todo] = to
                    n_todo += 1
    for c in range(cells):
        _check(c, period, types, wires, nets, buffer, found)
    return buffer, done


@njit(cache=True, nogil=True)
def _waiting(types: Any, wires: Any) -> Any:
    """(C) how many nets each cell's outputs wait for."""
    found = np.zeros(len(wires.kind), np.int64)
    for c in range(len(found)):
        for p in range(wires.in_ptr[c], wires.in_ptr[c + 1]):
            found[c] += types.fires[wires.kind[c], p - wires.in_ptr[c]] != 0
    return found


@njit(cache=True, nogil=True)
def _source(c: int, s: int, source_time: Any, period: int, wires: Any, nets: Any, buffer: Any, used: int) -> int:
    """A pulse from outside, or none."""
    for p in range(wires.out_ptr[c], wires.out_ptr[c + 1]):
        net = wires.out_net[p]
        nets.start[net], nets.length[net], nets.shift[net] = used, 1 if s >= 0 else 0, 0
        nets.tag[net], nets.gap[net] = wires.tag[c], period
    if s >= 0:
        buffer[used] = source_time[s] << 2
        return used + 1
    return used


@njit(cache=True, nogil=True)
def _cell(c: int, period: int, types: Any, wires: Any, nets: Any, buffer: Any, used: int) -> int:
    """What leaves a cell."""
    kind, low, high = wires.kind[c], wires.in_ptr[c], wires.in_ptr[c + 1]
    a, b = np.int64(-1), np.int64(-1)
    for p in range(low, high):
        if types.fires[kind, p - low] and (types.kind[kind] != SOMA or _later(nets, buffer, wires.in_net[p], a)):
            if a < 0 or types.kind[kind] == SOMA:
                a = wires.in_net[p]
            else:
                b = wires.in_net[p]
    if a < 0:
        return used
    start, count, shift, tag, gap, ones = (nets.start[a], nets.length[a], nets.shift[a], nets.tag[a], nets.gap[a],
                                           nets.ones[a])
    if b >= 0 and nets.length[b]:
        start, shift, tag = used, 0, 0
        count = _merged(nets, a, b, buffer, used)
        used += count
        ones = ones or nets.ones[b] or nets.tag[a] == ONES or nets.tag[b] == ONES
        gap = _gap(buffer, start, count, period)
    elif types.kind[kind] == TOGGLE:
        if tag == ONES:
            count = 0
        elif ones:  # what finds a 0 is not carried
            begin = used
            for i in range(start, start + count):
                if buffer[i] & 3 != ONES:
                    buffer[used] = buffer[i]
                    used += 1
            start, count, ones = begin, used - begin, False
            gap = _gap(buffer, start, count, period)
    for p in range(wires.out_ptr[c], wires.out_ptr[c + 1]):
        net = wires.out_net[p]
        nets.start[net], nets.length[net], nets.shift[net] = start, count, shift + types.delay[kind]
        nets.tag[net], nets.gap[net], nets.ones[net] = max(tag, wires.tag[c]), gap, ones
    return used


@njit(cache=True, nogil=True)
def _later(nets: Any, buffer: Any, net: Any, other: Any) -> Any:
    """Whether the last pulse on a net comes after that on another one, of which there may be none."""
    if nets.length[net] == 0:
        return other < 0
    if other < 0 or nets.length[other] == 0:
        return True
    return time_of(nets, buffer, net, nets.length[net] - 1) > time_of(nets, buffer, other, nets.length[other] - 1)


@njit(cache=True, nogil=True)
def time_of(nets: Any, buffer: Any, net: int, i: int) -> Any:
    """fs of pulse i on a net."""
    return (buffer[nets.start[net] + i] >> 2) + nets.shift[net]


@njit(cache=True, nogil=True)
def tag_of(nets: Any, buffer: Any, net: int, i: int) -> Any:
    """Tag of pulse i on a net."""
    return max(buffer[nets.start[net] + i] & 3, nets.tag[net])


@njit(cache=True, nogil=True)
def _merged(nets: Any, a: Any, b: Any, buffer: Any, used: int) -> int:
    """Two runs in one, by time; how many."""
    i, j, n, na, nb = 0, 0, used, nets.length[a], nets.length[b]
    while i < na or j < nb:
        left = i < na and (j == nb or time_of(nets, buffer, a, i) <= time_of(nets, buffer, b, j))
        net, at = (a, i) if left else (b, j)
        buffer[n] = time_of(nets, buffer, net, at) << 2 | tag_of(nets, buffer, net, at)
        n += 1
        if left:
            i += 1
        else:
            j += 1
    return n - used


@njit(cache=True, nogil=True)
def _gap(buffer: Any, start: Any, count: Any, period: int) -> Any:
    """Shortest time between two pulses of a run that comes again every period."""
    if count == 0:
        return period
    gap = (buffer[start] >> 2) + period - (buffer[start + count - 1] >> 2)
    for i in range(start + 1, start + count):
        gap = min(gap, (buffer[i] >> 2) - (buffer[i - 1] >> 2))
    return gap


@njit(cache=True, nogil=True)
def _check(c: int, period: int, types: Any, wires: Any, nets: Any, buffer: Any, found: Any) -> None:
    """All limits of one cell."""
    kind, low = wires.kind[c], wires.in_ptr[c]
    pins = wires.in_ptr[c + 1] - low
    if types.kind[kind] != SOMA:
        for p in range(pins):
            for q in range(pins):
                a, b, limit = wires.in_net[low + p], wires.in_net[low + q], types.limit[kind, p, q]
                if limit and nets.length[a] and nets.length[b]:
                    if p == q:
                        gap, time = nets.gap[a], time_of(nets, buffer, a, 0)
                    else:
                        gap, time = _apart(nets, a, b, buffer, period)
                    if gap < found.worst[kind, p, q] + limit:
                        found.worst[kind, p, q], found.worst_cell[kind, p, q] = gap - limit, c
                    _fault(found, c, p * MOST_PINS + q, time, gap - limit)
    if types.kind[kind] == STORAGE:
        _storage(c, kind, period, types, wires, nets, buffer, found)
    elif types.kind[kind] == READ and types.clk[kind] >= 0:
        _read(c, kind, period, types, wires, nets, buffer, found)


@njit(cache=True, nogil=True)
def _fault(found: Any, c: int, check: int, time: int, slack: int) -> None:
    """Note what is too close."""
    if slack < 0:
        if found.at[0] < len(found.faults):
            row = found.faults[found.at[0]]
            row[0], row[1], row[2], row[3] = c, check, time, slack
        found.at[0] += 1


@njit(cache=True, nogil=True)
def _apart(nets: Any, a: int, b: int, buffer: Any, period: int) -> Any:
    """(shortest time from a pulse on a to the next one on b, when), round the frame too."""
    best, when = period, time_of(nets, buffer, b, 0)
    for j in range(nets.length[b]):
        t = time_of(nets, buffer, b, j)
        for turn in range(-1, 2):
            i = _up_to(nets, a, buffer, t + turn * period)
            if i > 0:
                gap = t + turn * period - time_of(nets, buffer, a, i - 1)
                if gap < best:
                    best, when = gap, t
                break
    return best, when


@njit(cache=True, nogil=True)
def _up_to(nets: Any, a: int, buffer: Any, time: int) -> int:
    """How many pulses on a net come at a time or before."""
    low, high = 0, nets.length[a]
    while low < high:
        middle = (low + high) // 2
        if time_of(nets, buffer, a, middle) <= time:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _order(found: Any, c: int, kind: int, what: int, time: int, slack: int) -> None:
    """Slack of an order of pulses."""
    if slack < found.order[kind, what]:
        found.order[kind, what], found.order_cell[kind, what] = slack, c
    _fault(found, c, -1 - what, time, slack)


@njit(cache=True, nogil=True)
def _storage(c: int, kind: int, period: int, types: Any, wires: Any, nets: Any, buffer: Any, found: Any) -> None:
    """Data come after the clock of their frame, and before that of the next one."""
    low, clk = wires.in_ptr[c], types.clk[kind]
    clock = wires.in_net[low + clk]
    if nets.length[clock] == 0:
        return
    first, last = time_of(nets, buffer, clock, 0), time_of(nets, buffer, clock, nets.length[clock] - 1)
    for p in range(wires.in_ptr[c + 1] - low):
        data = wires.in_net[low + p]
        if p != clk and nets.length[data]:
            early, late = time_of(nets, buffer, data, 0), time_of(nets, buffer, data, nets.length[data] - 1)
            _order(found, c, kind, HOLD, early, early - last - types.limit[kind, clk, p])
            _order(found, c, kind, SETUP, late, first + period - late - types.limit[kind, p, clk])


@njit(cache=True, nogil=True)
def _read(c: int, kind: int, period: int, types: Any, wires: Any, nets: Any, buffer: Any, found: Any) -> None:
    """What counts comes before the read, what follows from it after it, and before the next one."""
    low, clk = wires.in_ptr[c], types.clk[kind]
    clock = wires.in_net[low + clk]
    if nets.length[clock] == 0:
        return
    first, last = time_of(nets, buffer, clock, 0), time_of(nets, buffer, clock, nets.length[clock] - 1)
    for p in range(wires.in_ptr[c + 1] - low):
        data = wires.in_net[low + p]
        for i in range(nets.length[data] if p != clk else 0):
            t = time_of(nets, buffer, data, i)
            if tag_of(nets, buffer, data, i) == COUNTS:
                _order(found, c, kind, BEFORE_READ, t, first - t)
                _order(found, c, kind, AFTER_READ, t, t + period - last)
            else:
                _order(found, c, kind, AFTER_READ, t, t - last)
                _order(found, c, kind, BEFORE_READ, t, first + period - t)
