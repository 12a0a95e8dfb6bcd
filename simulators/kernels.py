"""Numba kernels over flat arrays. Each has a plain NumPy twin in the tests.

Arithmetic follows the dtype of the state arrays: int32 where the program's bounds allow it (Loihi's registers have 24
bits), else int64. Every loop over neurons has at most two arrays that it writes, so that LLVM makes vector code of it.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

U_WRAP = 1 << 23
V_MAX = (1 << 23) - 1
LANES = 8
"""Flags that are looked at together; the flag and index buffers are padded to a multiple."""

STEP_COUNTS = ("spikes", "synaptic_operations", "messages", "hops_ew", "hops_ns", "peak_core_synops",
               "peak_core_spikes", "peak_link", "chip_crossings", "wraps", "clips", "peak_core_messages")
"""Per-step counters of loihi_block."""
(SPIKES, SYNOPS, MESSAGES, HOPS_EW, HOPS_NS, PEAK_SYNOPS, PEAK_SPIKES, PEAK_LINK, CROSSINGS, WRAPS, CLIPS,
 PEAK_MESSAGES) = range(len(STEP_COUNTS))
CORE_SYNOPS, CORE_MESSAGES = 0, 1
WEST, STAY, EAST = 0, 1, 2

Ints = NDArray[np.integer[Any]]


class Cells(NamedTuple):
    """N neurons in core order, int32 or int64 (N,): states u and v and what they do. keep_u = 4095 - du, keep_v =
    4096 - dv. theta: threshold in the unit of v, V_MAX for a neuron that never fires. subtracts uint8, reset_by: reset
    to v - reset_by instead of 0. ring (slots, N): the input of the steps to come, slots a power of two.
    """

    u: Ints
    v: Ints
    keep_u: Ints
    keep_v: Ints
    bias: Ints
    theta: Ints
    subtracts: NDArray[np.uint8]
    reset_by: Ints
    ring: Ints


class Wires(NamedTuple):
    """Synapses by sender. ptr uint64 (senders+1); target uint32, weight int16 or int32 (S,); delay uint8 (S,) steps, or
    (0,) where all are 1. n_inputs: senders that come first and are inputs.
    """

    n_inputs: int
    ptr: NDArray[np.uint64]
    target: NDArray[np.uint32]
    weight: Ints
    delay: NDArray[np.uint8]


class Mesh(NamedTuple):
    """C cores by ascending x, and what each sender's message causes there.

    synops (senders, C) or (0, C): synaptic operations of one message on each core; where that is mostly zeros, lists:
    ptr uint64 (senders+1), core uint16 and list_synops. home (N,) the core of each neuron. x, y (C,) routers. west,
    east (C,): cores before ``west`` lie west of this one, those from ``east`` on lie east. fan (N, 4): messages, those
    that leave westward, eastward, and chip borders crossed by one spike. width, height: routers.
    """

    synops: NDArray[np.unsignedinteger[Any]]
    ptr: NDArray[np.uint64]
    core: NDArray[np.uint16]
    list_synops: NDArray[np.unsignedinteger[Any]]
    home: NDArray[np.int32]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    west: NDArray[np.uint64]
    east: NDArray[np.uint64]
    fan: NDArray[np.int32]
    width: int
    height: int


class Feed(NamedTuple):
    """Input events: ptr int64 (steps+1), sender int32 and value int64 of each."""

    ptr: NDArray[np.int64]
    sender: NDArray[np.int32]
    value: NDArray[np.int64]


class Log(NamedTuple):
    """What a block writes. spikes int32 (buffer): neurons, step after step; counts int64 (steps, kinds) and core_totals
    int64 (C, 2: synops, messages in) are added to; probe (P): neurons whose states go to states (2, steps, P).
    """

    spikes: NDArray[np.int32]
    counts: NDArray[np.int64]
    core_totals: NDArray[np.int64]
    probe: NDArray[np.int64]
    states: Ints


class Tally(NamedTuple):
    """Scratch of one step. synops, spikes int32 (C,); flow int32 (3 * height + 1, C): messages to each core, by the
    sender's row and by direction along x, those of the host last. links int32 (4, max side, max side): west, east,
    north, south.
    """

    synops: NDArray[np.int32]
    spikes: NDArray[np.int32]
    flow: NDArray[np.int32]
    links: NDArray[np.int32]


@njit(cache=True, nogil=True)
def decay(x: Any, keep: Any, whole: Any = np.int64) -> Any:
    """sign(x) * (|x| * keep >> 12) in integers of type ``whole``: |x| and keep <= 4096 are multiplied in two halves."""
    m = whole(abs(x))
    y = whole(whole(m >> 12) * keep + (whole(whole(m & 4095) * keep) >> 12))
    return y if x >= 0 else whole(-y)


@njit(cache=True, nogil=True)
def _currents(u: Any, keep: Any, a: Any) -> int:
    """u <- wrap(decay(u) + (a << 6)) and a <- 0; returns the number of wraps."""
    whole = u.dtype.type
    wraps = np.int32(0)
    for i in range(len(u)):
        x = whole(decay(u[i], keep[i], whole) + (a[i] << 6))
        a[i] = 0
        high, low = x > U_WRAP, x <= -U_WRAP
        wraps = np.int32(wraps + np.int32(high) + np.int32(low))
        u[i] = whole(x - 2 * U_WRAP) if high else (whole(x + 2 * U_WRAP) if low else x)
    return wraps  # type: ignore[return-value]


@njit(cache=True, nogil=True)
def _membranes(v: Any, keep: Any, u: Any, bias: Any) -> int:
    """v <- clip(decay(v) + u + bias); returns the number of clips."""
    whole = v.dtype.type
    top = whole(V_MAX)
    clips = np.int32(0)
    for i in range(len(v)):
        y = whole(decay(v[i], keep[i], whole) + u[i] + bias[i])
        clips = np.int32(clips + np.int32(abs(y) > top))
        v[i] = min(max(y, whole(-top)), top)
    return clips  # type: ignore[return-value]


@njit(cache=True, nogil=True)
def _above(v: Any, theta: Any, flags: Any) -> None:
    """flags <- v > theta."""
    for i in range(len(v)):
        flags[i] = v[i] > theta[i]


@njit(cache=True, nogil=True)
def _collect(flags: Any, fired: Any) -> int:
    """Indices of the set flags, ascending, in ``fired``; returns how many."""
    words = flags.view(np.uint64)
    n = 0
    for w in range(len(words)):
        if words[w] != 0:
            for i in range(LANES * w, LANES * w + LANES):
                fired[n] = i
                n += flags[i]
    return n


@njit(cache=True, nogil=True)
def update_neurons(cells: Any, a: Any, flags: Any, fired: Any, counts: Any) -> int:
    """One step of every neuron with input ``a``, which is cleared.

    Args:
        flags, fired: uint8 and int32 buffers, N padded to a multiple of LANES, with flags zero in the padding.
        counts: the step's counters.

    Returns:
        How many neurons fire; they are the first entries of ``fired``, ascending.
    """
    counts[WRAPS] += _currents(cells.u, cells.keep_u, a)
    counts[CLIPS] += _membranes(cells.v, cells.keep_v, cells.u, cells.bias)
    _above(cells.v, cells.theta, flags)
    n_fired = _collect(flags, fired)
    for k in range(n_fired):
        i = fired[k]
        cells.v[i] = cells.v[i] - cells.reset_by[i] if cells.subtracts[i] else 0
    return n_fired


@njit(cache=True, nogil=True)
def first_overflow(cells: Any, a: Any) -> tuple[int, int, int]:
    """(1 for u, 2 for v, 0 for none; first neuron that overflows with input ``a``; the value that does not fit)."""
    for i in range(len(a)):
        x = decay(cells.u[i], cells.keep_u[i], np.int64) + (np.int64(a[i]) << 6)
        if x > U_WRAP or x <= -U_WRAP:
            return 1, i, x
        y = decay(cells.v[i], cells.keep_v[i], np.int64) + x + cells.bias[i]
        if abs(y) > V_MAX:
            return 2, i, y
    return 0, 0, 0


@njit(cache=True, nogil=True)
def _deliver(t: int, sources: Any, offset: int, values: Any, wires: Any, ring: Any) -> None:
    """Add the weights of senders ``sources + offset`` to the inputs of later steps; ``values``: or (0,) for ones."""
    ptr, target, weight, delay = wires.ptr, wires.target, wires.weight, wires.delay
    mask = len(ring) - 1
    after = ring[(t + 1) & mask]
    value = 1
    for k in range(len(sources)):
        source = offset + sources[k]
        if len(values):
            value = values[k]
        if len(delay) == 0:
            for s in range(ptr[source], ptr[source + 1]):
                after[target[s]] += weight[s] * value
        else:
            for s in range(ptr[source], ptr[source + 1]):
                ring[(t + delay[s]) & mask, target[s]] += weight[s] * value


@njit(cache=True, nogil=True)
def _spread_row(table: Any, row: int, first: int, west: Any, east: Any, synops: Any, flow: Any) -> None:
    """Account one message to every core that has an operation for it; ``first``: row of ``flow`` for those in the west,
    followed by those on this column and in the east.
    """
    for c in range(len(synops)):
        synops[c] += table[row, c]
    for c in range(west):
        flow[first, c] += table[row, c] != 0
    for c in range(west, east):
        flow[first + 1, c] += table[row, c] != 0
    for c in range(east, np.uint64(len(synops))):
        flow[first + 2, c] += table[row, c] != 0


@njit(cache=True, nogil=True)
def _spread_list(ptr: Any, core: Any, operations: Any, row: int, first: int, west: Any, east: Any, synops: Any,
                 flow: Any) -> None:
    """The same from the lists."""
    for f in range(ptr[row], ptr[row + 1]):
        c = core[f]
        synops[c] += operations[f]
        flow[first + np.int64(c >= west) + np.int64(c >= east), c] += 1


@njit(cache=True, nogil=True)
def _spread(sources: Any, offset: int, homes: Any, mesh: Any, tally: Any) -> None:
    """Account the messages of senders ``sources + offset``; ``homes``: their cores, or (0,) for the host."""
    table, ptr, core, operations = mesh.synops, mesh.ptr, mesh.core, mesh.list_synops
    synops, flow, y, wests, easts = tally.synops, tally.flow, mesh.y, mesh.west, mesh.east
    first, west, east = 3 * mesh.height, np.uint64(len(synops)), np.uint64(len(synops))
    for k in range(len(sources)):
        if len(homes):
            home = homes[sources[k]]
            first, west, east = 3 * np.int64(y[home]), wests[home], easts[home]
        if len(table):
            _spread_row(table, offset + sources[k], first, west, east, synops, flow)
        else:
            _spread_list(ptr, core, operations, offset + sources[k], first, west, east, synops, flow)


@njit(cache=True, nogil=True)
def _enter(fired: Any, mesh: Any, tally: Any, counts: Any) -> None:
    """Static counts of each spike: its core's spikes, messages, crossings, and where its messages enter the mesh."""
    fan, spikes, links, homes, x, y = mesh.fan, tally.spikes, tally.links, mesh.home, mesh.x, mesh.y
    for k in range(len(fired)):
        neuron = fired[k]
        home = homes[neuron]
        spikes[home] += 1
        counts[MESSAGES] += fan[neuron, 0]
        counts[CROSSINGS] += fan[neuron, 3]
        links[0, y[home], x[home]] += fan[neuron, 1]
        links[1, y[home], x[home]] += fan[neuron, 2]


@njit(cache=True, nogil=True)
def _arrive(mesh: Any, tally: Any, core_totals: Any) -> int:
    """Where messages leave a row and a column of the mesh; returns the messages of the busiest core."""
    peak = 0
    for c in range(len(mesh.x)):
        x, y = mesh.x[c], mesh.y[c]
        arrived = tally.flow[3 * mesh.height, c]
        for row in range(mesh.height):
            west, stay, east = tally.flow[3 * row, c], tally.flow[3 * row + 1, c], tally.flow[3 * row + 2, c]
            tally.links[0, row, x] -= west
            tally.links[1, row, x] -= east
            along = west + stay + east
            way = 2 if y < row else 3
            tally.links[way, x, row] += along
            tally.links[way, x, y] -= along
            arrived += along
        core_totals[c, CORE_MESSAGES] += arrived
        peak = max(peak, arrived)
    return peak


@njit(cache=True, nogil=True)
def _loads(links: Any, lines: int, length: int, down: int, up: int, counts: Any) -> int:
    """Sum over the links of some rows (or columns): entries minus exits so far are the messages on a link."""
    hops = 0
    for line in range(lines):
        low = high = 0
        for k in range(length):
            high += links[up, line, k]
            low += links[down, line, length - 1 - k]
            hops += high + low
            counts[PEAK_LINK] = max(counts[PEAK_LINK], high, low)
    return hops


@njit(cache=True, nogil=True)
def _close_step(mesh: Any, tally: Any, counts: Any, core_totals: Any) -> None:
    """Sum up and clear the scratch of one step."""
    for c in range(len(mesh.x)):
        counts[SYNOPS] += tally.synops[c]
        core_totals[c, CORE_SYNOPS] += tally.synops[c]
        counts[PEAK_SYNOPS] = max(counts[PEAK_SYNOPS], tally.synops[c])
        counts[PEAK_SPIKES] = max(counts[PEAK_SPIKES], tally.spikes[c])
    counts[PEAK_MESSAGES] = max(counts[PEAK_MESSAGES], _arrive(mesh, tally, core_totals))
    counts[HOPS_EW] += _loads(tally.links, mesh.height, mesh.width, 0, 1, counts)
    counts[HOPS_NS] += _loads(tally.links, mesh.width, mesh.height, 2, 3, counts)
    tally.synops[:] = 0
    tally.spikes[:] = 0
    tally.flow[:] = 0
    tally.links[:] = 0


@njit(cache=True, nogil=True)
def _scratch(mesh: Any) -> Any:
    """An empty Tally."""
    cores, side = len(mesh.x), max(mesh.width, mesh.height)
    return Tally(np.zeros(cores, np.int32), np.zeros(cores, np.int32),
                 np.zeros((3 * mesh.height + 1, cores), np.int32), np.zeros((4, side, side), np.int32))


@njit(cache=True, nogil=True)
def _send(t: int, fired: Any, cells: Any, wires: Any, mesh: Any, feed: Any, tally: Any, counts: Any) -> None:
    """The input events of step t, then the spikes."""
    inputs = feed.sender[feed.ptr[t] : feed.ptr[t + 1]]
    _deliver(t, inputs, 0, feed.value[feed.ptr[t] : feed.ptr[t + 1]], wires, cells.ring)
    _spread(inputs, 0, mesh.home[:0], mesh, tally)
    _deliver(t, fired, wires.n_inputs, feed.value[:0], wires, cells.ring)
    _spread(fired, wires.n_inputs, mesh.home, mesh, tally)
    _enter(fired, mesh, tally, counts)


@njit(cache=True, nogil=True)
def loihi_block(t0: int, t1: int, cells: Any, wires: Any, mesh: Any, feed: Any, log: Any, strict: bool) -> Any:
    """Run steps t0 .. t1-1, or until the spike buffer could overflow; with ``strict`` up to the first overflow.

    Returns:
        (next step, spikes written, overflow kind, neuron, value), the last three as in first_overflow.
    """
    n = len(cells.u)
    padded = (n + LANES - 1) // LANES * LANES
    flags, fired = np.zeros(padded, np.uint8), np.empty(padded + LANES, np.int32)
    tally = _scratch(mesh)
    written = 0
    t = t0
    while t < t1 and written + n <= len(log.spikes):
        now, counts = cells.ring[t & (len(cells.ring) - 1)], log.counts[t]
        if strict:
            kind, at, value = first_overflow(cells, now)
            if kind:
                return t, written, kind, at, value
        n_fired = update_neurons(cells, now, flags, fired, counts)
        counts[SPIKES] += n_fired
        log.spikes[written : written + n_fired] = fired[:n_fired]
        written += n_fired
        _send(t, fired[:n_fired], cells, wires, mesh, feed, tally, counts)
        _close_step(mesh, tally, counts, log.core_totals)
        for k in range(len(log.probe)):
            log.states[0, t - t0, k] = cells.u[log.probe[k]]
            log.states[1, t - t0, k] = cells.v[log.probe[k]]
        t += 1
    return t, written, 0, 0, 0


def unpack_synapses(sender: Any, first: Any, a: Any, at: Any, to: Any, amount: Any, ticks: Any) -> None:
    """Sort synapses by sender, stably: a counting sort of whole axons.

    Args:
        sender, first: sender and first neuron of the core of each axon. a: the program's arrays.
        at (senders): where each sender's synapses begin; used up. to, amount, ticks: the result; ticks may be empty.
    """
    _unpack(sender, first, a.segment_ptr, a.segment_row, a.segment_base, a.row_ptr, a.row_exponent, a.target, a.weight,
            a.delay, at, to, amount, ticks)


@njit(cache=True, nogil=True)
def _unpack(sender: Any, first: Any, segment_ptr: Any, row: Any, base: Any, row_ptr: Any, exponent: Any, target: Any,
            weight: Any, delay: Any, at: Any, to: Any, amount: Any, ticks: Any) -> None:
    """The loop of unpack_synapses."""
    for a in range(len(sender)):
        k = at[sender[a]]
        for g in range(segment_ptr[a], segment_ptr[a + 1]):
            for s in range(row_ptr[row[g]], row_ptr[row[g] + 1]):
                to[k] = first[a] + base[g] + target[s]
                amount[k] = np.int64(weight[s]) << exponent[row[g]]
                if len(ticks):
                    ticks[k] = delay[s]
                k += 1
        at[sender[a]] = k
