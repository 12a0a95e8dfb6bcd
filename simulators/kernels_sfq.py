"""Numba kernels: pulses through a netlist, event by event. A plain twin is in the tests.

The first output pulse of a cell is held beside the queue: most often it is the next event, or takes the place of the
one that is taken out, so that a pulse costs one sift instead of two.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from typing import Any, NamedTuple

from hwsdk.simulators.kernels_sfq_parts import (
    ABSORB,
    ABSORBED,
    AT,
    CELL,
    CRITICAL,
    DELIVERED,
    DONE,
    DRAWN,
    DROP,
    EARLY,
    INPUT,
    INPUTS,
    KIND,
    LOGGED,
    LOST,
    MORE,
    MOST_OUTPUTS,
    NEVER,
    NEXT,
    NONE,
    OUT,
    PIN,
    PREV,
    QUEUED,
    RAISE,
    SLACK,
    SOMA,
    STATE_BITS,
    STOPPED,
    TABLE,
    TIME,
    TIMING,
    TYPE,
    VIOLATIONS,
    WINDOW,
    Floats,
    Ints,
    Params,
    Run,
    Words,
    latency,
    normal,
    push,
    replace_first,
)
from hwsdk.simulators.kernels_spinnaker_sort import merge
from hwsdk.simulators.kernels_sync import inner, kernel

THIRD = 1 / 3


@inner
def _violation(t: int, cell: int, prev: int, pin: int, slack: int, kind: int, r: Any) -> None:
    """Note a violation."""
    merge()
    row = r.violations[r.at[VIOLATIONS]]
    row[CELL], row[PREV], row[INPUT], row[TIME], row[SLACK], row[KIND] = cell, prev, pin, t, slack, kind
    r.at[VIOLATIONS] += 1
    r.at[LOST if kind == ABSORBED else EARLY] += 1


@inner
def _too_soon(t: int, cell: int, pin: int, w: Any, c: Any, r: Any) -> Any:
    """Whether a pulse is lost because of those before it. Noted is the pin with the least slack, absorbed first."""
    merge()
    kind, first = w.kind[w.cell[cell, TYPE]], w.cell[cell, PIN]
    n, slack, prev = kind[INPUTS], 0, 0
    for p in range(n):
        over = t - (r.last[first + p] >> STATE_BITS) - w.absorb[kind[ABSORB] + p * n + pin]
        if over < slack:
            slack, prev = over, p
    if slack < 0:
        _violation(t, cell, prev, pin, slack, ABSORBED, r)
        return True
    for p in range(n):
        last = r.last[first + p]
        state = last & ((1 << STATE_BITS) - 1)
        over = t - (last >> STATE_BITS) - w.critical[kind[CRITICAL] + (state * n + p) * n + pin]
        if over < slack:
            slack, prev = over, p
    if slack < 0:
        _violation(t, cell, prev, pin, slack, TIMING, r)
        return c.policy == DROP
    return False


@inner
def _table(t: int, cell: int, pin: int, w: Any, c: Any, r: Any) -> Any:
    """The outputs, as bits, by the cell's table."""
    merge()
    kind, first = w.kind[w.cell[cell, TYPE]], w.cell[cell, PIN]
    n, close = kind[INPUTS], False
    for p in range(n):
        close |= t - (r.last[first + p] >> STATE_BITS) < kind[WINDOW]
    if close and _too_soon(t, cell, pin, w, c, r):
        return 0
    state = r.state[cell]
    k = kind[TABLE] + state * n + pin
    r.state[cell] = w.next[k]
    r.last[first + pin] = t << STATE_BITS | state
    r.counts[k] += 1
    return int(w.fires[k])


@inner
def _soma(t: int, m: int, pin: int, kind: int, w: Any, c: Any, r: Any) -> Any:
    """Fs until the output pulse of soma m, or -1."""
    merge()
    first, last = w.branch_ptr[m], w.branch_ptr[m + 1]
    gone, sum_, rate, tau, factor = float(t - r.moment[m]), 0.0, 0.0, -1.0, 1.0
    for j in range(first, last):
        if w.tau[j] != tau:
            tau = w.tau[j]
            factor = math.exp(-gone / tau)
        i = r.current[j] * factor
        if j == first + pin:
            i += w.weight[j]
        r.current[j] = i
        sum_ += i
        rate += i / tau
    r.moment[m] = t
    over = sum_ - c.theta[m]
    if over >= 0 and rate > 0 and c.theta[m] > 0:  # currents that decay must be that far above it
        fast = w.fold[m] * rate
        over -= math.pow(c.theta[m] * fast * fast, THIRD)
    fired = over >= 0
    r.counts[w.kind[kind, TABLE] + (w.kind[kind, INPUTS] if fired and w.rows[m] > 1 else 0) + pin] += 1
    if not fired:
        return -1.0
    for j in range(first, last):
        r.current[j] -= w.loss[j]
    return latency(m, over, w) * c.slow[m]


@inner
def _deliver(key: int, n: int, w: Any, c: Any, r: Any) -> Any:
    """Give a pulse to its cell: (the first pulse that follows or NONE, keys in the queue)."""
    merge()
    t, net = key >> w.bits, key & ((1 << w.bits) - 1)
    cell, pin = w.net[net, 0], w.net[net, 1] >> 1
    r.at[DELIVERED] += 1
    if w.net[net, 1] & 1:
        row = r.log[r.at[LOGGED]]
        row[0], row[1] = t, net
        r.at[LOGGED] += 1
    kind, delay = w.cell[cell, TYPE], float(c.delay[cell])
    if w.cell[cell, SOMA] >= 0:
        late = _soma(t, w.cell[cell, SOMA], pin, kind, w, c, r)
        fires, delay = 1 if late >= 0 else 0, late if delay >= 0 else delay
    else:
        fires = _table(t, cell, pin, w, c, r)
    if not fires or delay < 0:
        return NONE, n
    held, out = NONE, w.cell[cell, OUT]
    while fires:
        if fires & 1 and w.out[out] >= 0:
            after = delay
            if c.noisy and c.sigma[kind] > 0:
                after = max(after + c.sigma[kind] * normal(r.key[0], r.at[DRAWN]), 0.0)
                r.at[DRAWN] += 1
            k = (t + math.floor(after + 0.5)) << w.bits | w.out[out]
            if held == NONE:
                held = k
            else:
                push(r.queue, n, k)
                n += 1
        fires >>= 1
        out += 1
    return held, n


@inner
def _take(held: int, n: int, r: Any) -> Any:
    """Take out the first pulse: (its key, keys in the queue). ``held`` may be it, and is in the queue if not."""
    merge()
    source, top = r.sources[r.at[NEXT]], r.queue[0] if n else NONE
    if held <= top and held <= source:
        return held, n
    if source < top:
        r.at[NEXT] += 1
        if held != NONE:
            push(r.queue, n, held)
            n += 1
        return source, n
    if held == NONE:
        n -= 1
        held = r.queue[n]
    replace_first(r.queue, n, held)
    return top, n


@inner
def _until(limit: int, w: Any, c: Any, r: Any) -> int:
    """The loop of ``advance``."""
    n, held, at = r.at[QUEUED], NONE, r.at
    seen, why = at[VIOLATIONS], DONE
    while True:
        first = min(held, r.sources[at[NEXT]], r.queue[0] if n else NONE)
        if first >= limit:
            break
        if (n + MOST_OUTPUTS + 1 > len(r.queue) or at[LOGGED] >= len(r.log) or at[VIOLATIONS] >= len(r.violations)):
            why = MORE
            break
        key, n = _take(held, n, r)
        held, n = _deliver(key, n, w, c, r)
        if at[VIOLATIONS] > seen:
            seen = at[VIOLATIONS]
            if c.strict or (c.policy == RAISE and r.violations[seen - 1, KIND] == TIMING):
                why = STOPPED
                break
    if held != NONE:
        push(r.queue, n, held)
        n += 1
    at[QUEUED] = n
    return why


@kernel
def advance(limit: int, w: Any, c: Any, r: Any) -> int:
    """Deliver all pulses whose key is less than ``limit``; returns why it ended. To be called again after MORE."""
    return _until(limit, w, c, r)  # type: ignore[no-any-return]


class Runs(NamedTuple):
    """R runs of S samples. delay int32 (R, C), theta and slow float64 (R, M): Params of each run. key uint64 (R, S): of
    its noise. sources, source_ptr int64 (S+1): each with its NONE. limit: key of the end.
    """

    delay: Words
    theta: Floats
    slow: Floats
    key: Any
    sources: Ints
    source_ptr: Ints
    limit: int


class Frames(NamedTuple):
    """How pulses are counted. neuron int32 (N,): of each net, or -1. from_fs, to_fs int64 (neurons): times within
    which a pulse counts.
    """

    neuron: Words
    from_fs: Ints
    to_fs: Ints


@inner
def _reset(key: Any, r: Any) -> None:
    """As when the power comes on."""
    merge()
    r.state[:], r.last[:], r.current[:], r.moment[:], r.at[:] = 0, NEVER, 0.0, 0, 0
    r.key[0] = key


@inner
def _tally(frames: Any, r: Any, spikes: Any) -> None:
    """Count what is logged, and forget it."""
    merge()
    for i in range(r.at[LOGGED]):
        k = frames.neuron[r.log[i, 1]]
        if k >= 0 and frames.from_fs[k] <= r.log[i, 0] < frames.to_fs[k]:
            spikes[k] += 1
    r.at[LOGGED], r.at[VIOLATIONS] = 0, 0


@kernel
def many(first: int, runs: Any, frames: Any, w: Any, c: Any, r: Any, spikes: Any, sums: Any) -> int:
    """All samples of all runs from ``first`` on: the next run to do, which needs a larger queue if it is not R.

    Args:
        c: sigma, noisy, policy and strict of all runs. r: its sources are not used.
        spikes: int64 (R, S, neurons), zeros, and sums int64 (R, S, AT), filled.
    """
    for k in range(first, len(runs.delay)):
        p = Params(runs.delay[k], c.sigma, c.noisy, runs.theta[k], runs.slow[k], c.policy, c.strict)
        for s in range(len(runs.source_ptr) - 1):
            own = Run(r.queue, runs.sources[runs.source_ptr[s] : runs.source_ptr[s + 1]], r.state, r.last, r.current,
                      r.moment, r.counts, r.log, r.violations, r.at, r.key)
            _reset(runs.key[k, s], own)
            spikes[k, s, :] = 0
            while _until(runs.limit, w, p, own) == MORE:
                if r.at[QUEUED] + MOST_OUTPUTS + 1 > len(r.queue):
                    return k
                _tally(frames, own, spikes[k, s])
            _tally(frames, own, spikes[k, s])
            for i in range(AT):
                sums[k, s, i] = r.at[i]
    return len(runs.delay)
