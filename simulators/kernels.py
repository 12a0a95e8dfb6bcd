"""Numba kernels over flat arrays: the loops over LIF neurons, and the steps of a part. Plain twins are in the tests.

A part is a range of the neurons, which one thread runs: it carries all spikes to its own neurons, and counts what its
own spikes cause. Arithmetic follows the dtype of the state arrays: int32 where the program's bounds allow it (Loihi's
registers have 24 bits), else int64. Every loop over neurons has at most two arrays that it writes, so that LLVM makes
vector code of it.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.simulators.kernels_deliver import deliver
from hwsdk.simulators.kernels_mesh import CLIPS, SPIKES, WRAPS, close_step, count_messages, count_spikes
from hwsdk.simulators.kernels_models import V_MAX, U, V, flag_others, hold, put_back, reset_neurons, rest, update_others
from hwsdk.simulators.kernels_sync import inner, kernel, stay_apart, wait_for_all

U_WRAP = 1 << 23
LANES = 8
"""Flags that are looked at together."""
CHUNK = 4096
"""Neurons that go through all loops together: their columns stay in the first cache."""
FULL = -1
"""Reason to stop: the spike buffer could overflow in the next step. Others are registers, 0 is none."""

Ints = NDArray[np.integer[Any]]


class Cells(NamedTuple):
    """N neurons of a part in core order, int32 or int64 (N,): states u and v and what they do. keep_u = 4095 - du,
    keep_v = 4096 - dv. theta: threshold in the unit of v, V_MAX for a neuron that never fires. subtracts uint8,
    reset_by: reset to v - reset_by instead of 0. ring (slots, accumulators): the input of the steps to come, slots a
    power of two; accumulators: the neurons', then the second ones. Neurons of models without u and v have what keeps
    these 0.
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


class Feed(NamedTuple):
    """Input events: ptr int64 (steps+1), sender int32 and value int64 of each."""

    ptr: NDArray[np.int64]
    sender: NDArray[np.int32]
    value: NDArray[np.int64]


class Log(NamedTuple):
    """What one part writes. spikes int32 (buffer): neurons, step after step; values int64 (buffer), or (0,) where all
    are 1. counts int64 (steps, kinds) and core_totals int64 (C, 2: synops, messages in) are added to; those of all
    parts add up. probe (P): neurons of the part whose states go to states (2 or 4, steps, P); slot (P): number among
    the special ones, -1 for none.
    """

    spikes: NDArray[np.int32]
    values: NDArray[np.int64]
    counts: NDArray[np.int64]
    core_totals: NDArray[np.int64]
    probe: NDArray[np.int64]
    slot: NDArray[np.int64]
    states: Ints


class Scratch(NamedTuple):
    """Buffers of a part: flags uint8, its neurons padded to a multiple of LANES with zeros; fired int32, LANES more and
    one for each LANES.
    """

    flags: NDArray[np.uint8]
    fired: NDArray[np.int32]


class Board(NamedTuple):
    """What the parts show each other, for odd and even steps. barrier: see kernels_sync. fired int32 (2, parts, most
    neurons padded): the neurons that fire, in core order; n_fired (2, parts); values int64 (2, parts, most neurons), or
    (2, parts, 0) where all are 1. stop int64 (2, parts, 3): reason, neuron and value.
    """

    barrier: NDArray[np.int64]
    fired: NDArray[np.int32]
    n_fired: NDArray[np.int64]
    values: NDArray[np.int64]
    stop: NDArray[np.int64]


@kernel
def decay(x: Any, keep: Any, whole: Any = np.int64) -> Any:
    """sign(x) * (|x| * keep >> 12) in integers of type ``whole``: |x| and keep <= 4096 are multiplied in two halves."""
    m = whole(abs(x))
    y = whole(whole(m >> 12) * keep + (whole(whole(m & 4095) * keep) >> 12))
    return y if x >= 0 else whole(-y)


def new_scratch(n: int) -> Scratch:
    """For n neurons."""
    words = -(-n // LANES)
    return Scratch(np.zeros(words * LANES, np.uint8), np.zeros((words + 1) * LANES + words + 1, np.int32))


@inner
def _currents(u: Any, keep: Any, a: Any) -> int:
    """u <- wrap(decay(u) + (a << 6)) and a <- 0; returns the number of wraps."""
    stay_apart()
    whole = u.dtype.type
    wraps = np.int32(0)
    for i in range(len(u)):
        x = whole(decay(u[i], keep[i], whole) + (a[i] << 6))
        a[i] = 0
        high, low = x > U_WRAP, x <= -U_WRAP
        wraps = np.int32(wraps + np.int32(high) + np.int32(low))
        u[i] = whole(x - 2 * U_WRAP) if high else (whole(x + 2 * U_WRAP) if low else x)
    return wraps  # type: ignore[return-value]


@inner
def _membranes(v: Any, keep: Any, u: Any, bias: Any) -> int:
    """v <- clip(decay(v) + u + bias); returns the number of clips."""
    stay_apart()
    whole = v.dtype.type
    top = whole(V_MAX)
    clips = np.int32(0)
    for i in range(len(v)):
        y = whole(decay(v[i], keep[i], whole) + u[i] + bias[i])
        clips = np.int32(clips + np.int32(abs(y) > top))
        v[i] = min(max(y, whole(-top)), top)
    return clips  # type: ignore[return-value]


@inner
def _above(v: Any, theta: Any, flags: Any) -> None:
    """flags <- v > theta."""
    stay_apart()
    for i in range(len(v)):
        flags[i] = v[i] > theta[i]


@inner
def _collect(flags: Any, fired: Any) -> int:
    """Indices of the set flags, ascending, in ``fired``; returns how many. Which flags are set is hard to foretell, so
    no branch depends on it: words with some are found first, then the flags in them.
    """
    stay_apart()
    words, some = flags.view(np.uint64), fired[len(flags) + LANES :]
    m = n = 0
    for w in range(len(words)):
        some[m] = w
        m += words[w] != 0
    for k in range(m):
        first = LANES * np.int64(some[k])
        for i in range(first, first + LANES):
            fired[n] = i
            n += flags[i]
    return n


@kernel
def update_neurons(cells: Any, a: Any, special: Any, flags: Any, fired: Any, counts: Any) -> Any:
    """One step of u and v of every neuron with input ``a``, which is cleared.

    Args:
        flags, fired: the buffers of Scratch. counts: the step's counters.

    Returns:
        How many neurons fire; they are the first entries of ``fired``, ascending.
    """
    if special.n_held[0]:
        hold(cells.v, special)
    for low in range(0, len(a), CHUNK):
        high = min(low + CHUNK, len(a))
        u, v = cells.u[low:high], cells.v[low:high]
        counts[WRAPS] += _currents(u, cells.keep_u[low:high], a[low:high])
        counts[CLIPS] += _membranes(v, cells.keep_v[low:high], u, cells.bias[low:high])
        _above(v, cells.theta[low:high], flags[low:high])
    if special.n_held[0]:
        counts[CLIPS] -= put_back(cells, special, flags)
    if len(special.neuron):
        flag_others(cells.u, cells.v, special, flags)
    n_fired = _collect(flags, fired)
    for k in range(n_fired):
        i = fired[k]
        cells.v[i] = cells.v[i] - cells.reset_by[i] if cells.subtracts[i] else 0
    if len(special.rests):
        rest(fired[:n_fired], special)
    return n_fired


@inner
def first_overflow(cells: Any, a: Any, special: Any, flags: Any) -> tuple[int, int, int]:
    """(register U, V or 0 for none; first neuron that overflows with input ``a``; the value that does not fit).

    ``flags``: scratch. A neuron that rests does not update v.
    """
    flags[:] = 0
    for k in range(special.n_held[0]):
        flags[special.held[0, k]] = 1
    for i in range(len(a)):
        x = decay(cells.u[i], cells.keep_u[i], np.int64) + (np.int64(a[i]) << 6)
        if x > U_WRAP or x <= -U_WRAP:
            return U, i, x
        y = decay(cells.v[i], cells.keep_v[i], np.int64) + x + cells.bias[i]
        if abs(y) > V_MAX and not flags[i]:
            return V, i, y
    return 0, 0, 0


@inner
def _neurons(t: int, cells: Any, special: Any, flags: Any, fired: Any, counts: Any, stop: Any, strict: bool) -> Any:
    """Step t of the part's neurons: how many fire. With ``strict`` the first that overflows goes to ``stop``."""
    row = cells.ring[t & (len(cells.ring) - 1)]
    now = row[: len(cells.u)]
    if len(special.every):
        reset_neurons(t + 1, cells.u, cells.v, special)
    register, at, need = 0, np.int64(0), np.int64(0)
    if len(special.neuron):
        clips, register, at, need = update_others(row, special)
        counts[CLIPS] += clips
    stop[0] = 0
    if strict:
        plain_register, plain_at, plain_need = first_overflow(cells, now, special, flags)
        if plain_register and (not register or plain_at < at):
            register, at, need = plain_register, plain_at, plain_need
        stop[0], stop[1], stop[2] = register, at, need
    return update_neurons(cells, now, special, flags, fired, counts)


@inner
def _record(t: int, cells: Any, special: Any, log: Any) -> None:
    """The probed states after step t of the block."""
    for k in range(len(log.probe)):
        if log.slot[k] < 0:
            log.states[0, t, k] = cells.u[log.probe[k]]
            log.states[1, t, k] = cells.v[log.probe[k]]
        else:
            for row in range(len(log.states)):
                log.states[row, t, k] = special.state[row, log.slot[k]]


@inner
def _show(first: int, n_fired: int, fired: Any, special: Any, board: Any, parity: int, part: int) -> None:
    """Write on the board which neurons fire, ``first`` being the part's first, and the values that they send."""
    board.n_fired[parity, part] = n_fired
    for k in range(n_fired):
        board.fired[parity, part, k] = first + fired[k]
    if board.values.shape[2]:
        for k in range(n_fired):
            board.values[parity, part, k] = special.value[fired[k]] if len(special.value) else 1


@inner
def _send(t: int, part: int, wires: Any, ring: Any, mesh: Any, feed: Any, board: Any, tally: Any, counts: Any,
          ) -> None:
    """Carry the input events and all spikes of step t to the part's neurons; count what its own spikes cause."""
    parity, parts = t & 1, board.n_fired.shape[1]
    first, n = feed.ptr[t], feed.ptr[t + 1] - feed.ptr[t]
    deliver(t, feed.sender[first : first + n], 0, feed.value[first : first + n], wires, ring)
    share = feed.sender[first + n * part // parts : first + n * (part + 1) // parts]
    count_messages(share, 0, mesh, tally, parity, part)
    for p in range(parts):
        k = board.n_fired[parity, p]
        deliver(t, board.fired[parity, p, :k], wires.n_inputs, board.values[parity, p, :k], wires, ring)
    own = board.fired[parity, part, : board.n_fired[parity, part]]
    count_messages(own, wires.n_inputs, mesh, tally, parity, part)
    count_spikes(own, mesh, tally, parity, part, counts)


@kernel
def run_part(t0: int, t1: int, part: int, first: int, cells: Any, special: Any, wires: Any, mesh: Any, feed: Any,
             board: Any, tally: Any, log: Any, scratch: Any, strict: bool) -> Any:
    """Run steps t0 .. t1-1 of a part, or until a spike buffer could overflow; with ``strict`` up to the first overflow.

    Every part is run by its own thread, all with the same steps; ``first`` is the part's first neuron.

    Returns:
        (next step, spikes written); with ``strict`` the next step may be the one whose overflow is on the board. None
        are left of a part whose thread waits for one that broke off: (-1, 0).
    """
    n, parts, flags, fired = len(cells.u), board.n_fired.shape[1], scratch.flags, scratch.fired
    written, t, going = 0, t0, True
    while going and t < t1:
        parity, counts = t & 1, log.counts[t]
        stop = board.stop[parity, part]
        n_fired = _neurons(t, cells, special, flags, fired, counts, stop, strict)
        _show(first, n_fired, fired, special, board, parity, part)
        counts[SPIKES] += n_fired
        for k in range(n_fired):
            log.spikes[written + k] = board.fired[parity, part, k]
            if len(log.values):
                log.values[written + k] = board.values[parity, part, k]
        written += n_fired
        _record(t - t0, cells, special, log)
        if not stop[0] and written + n > len(log.spikes):
            stop[0] = FULL
        if not wait_for_all(board.barrier, parts):
            return -1, 0
        if t > t0 and (t - 1) % parts == part:  # the others have counted all of the step before
            close_step(mesh, tally, 1 - parity, log.counts[t - 1], log.core_totals)
        for p in range(parts):
            going = going and board.stop[parity, p, 0] == 0
            if board.stop[parity, p, 0] > 0:
                return t, written
        _send(t, part, wires, cells.ring, mesh, feed, board, tally, counts)
        t += 1
    if not wait_for_all(board.barrier, parts):
        return -1, 0
    if part == 0 and t > t0:
        close_step(mesh, tally, (t - 1) & 1, log.counts[t - 1], log.core_totals)
    return t, written
