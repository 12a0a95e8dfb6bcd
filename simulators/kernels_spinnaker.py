"""Numba kernels: the PEs of a SpiNNaker 2 machine in time. A plain twin is in the tests.

A window is the time from one interrupt of the chip's timer to the next, or, with a barrier, a phase tick of all PEs. In
every window a PE starts at most one tick. While all PEs are in step, each reads in window k what was sent in window
k - 1; otherwise arrivals and starts are compared, in seconds after the window's start, so that nothing is rounded.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

from hwsdk.simulators.kernels_spinnaker_parts import (
    AUTO,
    BUSY,
    CONV,
    CSR,
    CYCLES_HIGH,
    CYCLES_LOW,
    DONE,
    FULL,
    HIGH,
    LATE_TICK,
    LATE_TICKS,
    LOST_TICKS,
    MINE,
    MORE,
    MY_CONV,
    MY_CSR,
    MY_PACKETS,
    MY_PLASTIC,
    MY_RECORDED,
    MY_SENT,
    MY_STATIC,
    MY_UPDATES,
    PE_EVENTS,
    PE_HIGH,
    PE_LATE,
    PE_LOW,
    PE_PACKETS,
    PLASTIC,
    SECONDS,
    SOURCE,
    STATIC,
    STOPPED,
    UPDATES,
)
from hwsdk.simulators.kernels_spinnaker_sort import merge, sort_by
from hwsdk.simulators.kernels_spinnaker_tick import read, send_inputs, step_slice, stop_at
from hwsdk.simulators.kernels_sync import inner, kernel


@inner
def _interrupts(step: int, wiring: Any, run: Any) -> int:
    """Give the timer's interrupt to all PEs: how many start a tick in this window; Clock.order has them by their start,
    seconds after the window's start, in Clock.start.
    """
    clock, tick_s, n = run.clock, wiring.timing.tick_s, 0
    for p in range(len(clock.tick)):
        busy = clock.busy[p]
        clock.start[p] = 0.0 if busy <= 0 else busy
        if busy > 0:
            if clock.high[p] and wiring.timing.level == AUTO:
                run.tally.amounts[step, PE_HIGH] += min(busy, tick_s)
            if clock.pending[p]:
                run.tally.counts[step, LOST_TICKS] += 1
                clock.flags[1] = 1
            clock.pending[p] = busy > tick_s
        n += clock.start[p] <= tick_s
    sort_by(clock.start, clock.order, len(clock.tick))
    return n


@inner
def _cycles(p: int, wiring: Any, mine: Any) -> Any:
    """Of one tick."""
    merge()
    c = wiring.timing
    return (c.tick + c.packet * mine[MY_PACKETS] + c.static * mine[MY_STATIC] + c.conv * mine[MY_CONV]
            + c.plastic * mine[MY_PLASTIC] + c.csr * mine[MY_CSR] + wiring.pes.neuron_cycles[p] * mine[MY_UPDATES]
            + c.spike_out * mine[MY_SENT] + c.recorded * mine[MY_RECORDED])


@inner
def _account(p: int, step: int, wiring: Any, run: Any) -> Any:
    """Add a tick of a PE to the counts; returns its seconds. Clock.high: its level."""
    merge()
    mine, tally, timing = run.scratch.mine, run.tally, wiring.timing
    counts, amounts = tally.counts[step], tally.amounts[step]
    counts[STATIC] += mine[MY_STATIC]
    counts[CONV] += mine[MY_CONV]
    counts[PLASTIC] += mine[MY_PLASTIC]
    counts[CSR] += mine[MY_CSR]
    counts[UPDATES] += mine[MY_UPDATES]
    tally.pe[p, PE_PACKETS] += mine[MY_PACKETS]
    tally.pe[p, PE_EVENTS] += mine[MY_STATIC] + mine[MY_CONV] + mine[MY_PLASTIC] + mine[MY_CSR]
    high = timing.level == HIGH or (timing.level == AUTO and mine[MY_PACKETS] >= wiring.pes.high_from[p])
    cycles = _cycles(p, wiring, mine)
    tally.pe_cycles[p] += cycles
    amounts[CYCLES_HIGH if high else CYCLES_LOW] += cycles
    run.clock.high[p] = high
    return cycles / (timing.high_hz if high else timing.low_hz)


@inner
def _tick(p: int, k: int, start: float, written: int, wiring: Any, run: Any) -> Any:
    """One tick of PE ``p`` in window k: (spikes written so far, seconds of work)."""
    merge()
    timing, clock, mail, tally = wiring.timing, run.clock, run.mail, run.tally
    n, step, row = clock.tick[p], k // timing.phases, k & (len(mail.n) - 1)
    t, phase, counts = n // timing.phases, n % timing.phases, tally.counts[step]
    for i in range(MINE):
        run.scratch.mine[i] = 0
    if wiring.pes.model[p] != SOURCE:
        read(p, n, k, start, step, wiring, run)
    for s in range(wiring.pes.slice_ptr[p], wiring.pes.slice_ptr[p + 1]):
        mail.n[row, s] = 0
        if wiring.slices.phase[s] == phase:
            if wiring.pes.model[p] == SOURCE:
                send_inputs(p, t, s, row, wiring, run, counts)
            else:
                written = step_slice(p, t, s, row, written, wiring, run, counts)
    work = _account(p, step, wiring, run)
    end = start + work
    mail.window[row, p], mail.tick[row, p], mail.end[row, p] = k, n, end
    clock.tick[p] = n + 1
    clock.busy[p] = end
    if timing.tick_s and end > timing.tick_s:
        counts[LATE_TICKS] += 1
        tally.pe[p, PE_LATE] += 1
        stop_at(tally, LATE_TICK, p, p, step, end, timing.tick_s)
    if timing.tick_s and clock.high[p] and timing.level == AUTO:
        tally.amounts[step, PE_HIGH] += min(end, timing.tick_s) - start
    return written, work


@inner
def _close_window(k: int, step: int, longest: float, high_before: float, wiring: Any, run: Any) -> None:
    """Account for the window's time and get ready for the next one. longest: seconds of the slowest PE's tick."""
    timing, clock, amounts, pes = wiring.timing, run.clock, run.tally.amounts[step], len(run.clock.tick)
    amounts[BUSY] += longest
    if not timing.tick_s:
        amounts[SECONDS] += longest + timing.flight
        amounts[PE_HIGH if timing.level == HIGH else PE_LOW] += pes * (longest + timing.flight)
        return
    amounts[SECONDS] += timing.tick_s
    if timing.level == AUTO:
        amounts[PE_LOW] += pes * timing.tick_s - (amounts[PE_HIGH] - high_before)
    else:
        amounts[PE_HIGH if timing.level == HIGH else PE_LOW] += pes * timing.tick_s
    calm = clock.flags[1] == 0
    for p in range(pes):
        calm = calm and clock.busy[p] + wiring.pes.flight[p] <= timing.tick_s
        clock.busy[p] -= timing.tick_s
    if clock.flags[0] and not calm:
        clock.next[:] = k
    elif calm and not clock.flags[0]:
        for e in range(len(clock.next)):
            calm = calm and clock.next[e] == k
    clock.flags[0] = calm


@inner
def _is_short(k: int, wiring: Any, run: Any) -> bool:
    """Would window k overwrite packets that somebody has not read yet?"""
    oldest = k
    for e in range(len(run.clock.next)):
        oldest = min(oldest, run.clock.next[e])
    return oldest <= k - len(run.mail.n)


@kernel
def read_last(k: int, wiring: Any, run: Any) -> None:
    """Let every PE that learns read what was sent before window ``k``, as in its next tick: then it knows the weights
    of the last step. The run ends with that. Its tally needs one step, and has no meaning.
    """
    for p in range(len(run.clock.tick)):
        if wiring.pes.learner_ptr[p] < wiring.pes.learner_ptr[p + 1]:
            read(p, run.clock.tick[p], k, max(run.clock.busy[p], 0.0), 0, wiring, run)


@kernel
def run_windows(block: Any, wiring: Any, run: Any) -> Any:
    """Run the windows of a block, or until it cannot go on.

    Returns:
        (next window, spikes written, DONE, FULL, MORE or STOPPED).
    """
    written, k, neurons = block.written, block.first, len(run.states.u)
    clock, timing = run.clock, wiring.timing
    while k < block.last:
        step, in_step = k // timing.phases, clock.flags[0]
        if written + neurons > len(run.log.atom):
            return k, written, FULL
        if not in_step and _is_short(k, wiring, run):
            return k, written, MORE
        high_before, longest = run.tally.amounts[step, PE_HIGH], 0.0
        n = len(clock.tick) if in_step else _interrupts(step, wiring, run)
        for i in range(n):
            p = i if in_step else clock.order[i]
            start = 0.0 if in_step else clock.start[p]
            written, work = _tick(p, k, start, written, wiring, run)
            longest = max(longest, work)
        _close_window(k, step, longest, high_before, wiring, run)
        k += 1
        if block.strict and run.tally.stop[0]:
            return k, written, STOPPED
    return k, written, DONE
