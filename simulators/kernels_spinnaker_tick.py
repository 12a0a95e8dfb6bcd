"""Numba kernels: one tick of one PE of SpiNNaker 2: read the packets, update the neurons, send."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.simulators.kernels_spinnaker_events import deliver_conv, deliver_pairs, deliver_words
from hwsdk.simulators.kernels_spinnaker_neurons import step_egru, step_lif
from hwsdk.simulators.kernels_spinnaker_parts import (
    CONV,
    COPIES,
    CROSSINGS,
    DROPPED,
    DROPPED_PACKET,
    EGRU,
    FORGOTTEN,
    HOPS,
    LATE_PACKET,
    LATE_PACKETS,
    LIF,
    MY_CSR,
    MY_PACKETS,
    MY_RECORDED,
    MY_SENT,
    MY_UPDATES,
    PE_DROPPED,
    PE_PEAK,
    PLASTIC,
    SENT,
    SPIKES,
    STATIC,
)
from hwsdk.simulators.kernels_spinnaker_plastic import deliver_plastic, remember_post
from hwsdk.simulators.kernels_spinnaker_sort import merge, sort_by
from hwsdk.simulators.kernels_sync import inner


@inner
def stop_at(tally: Any, why: int, pe: int, other: int, step: int, need: float, limit: float) -> None:
    """Note the first trouble."""
    if tally.stop[0] == 0:
        tally.stop[0], tally.stop[1], tally.stop[2], tally.stop[3] = why, pe, other, step
        tally.need[0], tally.need[1] = need, limit


@inner
def _arrived(e: int, k: int, start: float, wiring: Any, run: Any) -> Any:
    """The first window whose packets have not all reached the end of way ``e`` at ``start`` in window k."""
    merge()
    mail, pe, rows = run.mail, wiring.edges.pe[e], len(run.mail.n)
    w = run.clock.next[e]
    while w <= k:
        row = w & (rows - 1)
        sent = mail.window[row, pe] == w
        if sent and mail.end[row, pe] + wiring.edges.flight[e] > start + (k - w) * wiring.timing.tick_s:
            break
        if w == k and not sent:  # it may still do so
            break
        w += 1
    return w


@inner
def _waiting(p: int, k: int, start: float, wiring: Any, run: Any) -> Any:
    """Packets that have arrived at a PE. Sets Scratch.upto and, to all of them, Scratch.keep."""
    merge()
    mail, edges, rows, total = run.mail, wiring.edges, len(run.mail.n), 0
    in_step = run.clock.flags[0]
    for e in range(edges.ptr[p], edges.ptr[p + 1]):
        upto = k if in_step else _arrived(e, k, start, wiring, run)
        n = 0
        for w in range(k - 1 if in_step else run.clock.next[e], upto):
            row = w & (rows - 1)
            if w >= 0 and mail.window[row, edges.pe[e]] == w:
                n += mail.n[row, edges.source[e]]
        run.scratch.upto[e], run.scratch.keep[e] = upto, n
        total += n
    return total


@inner
def _drop(p: int, k: int, wiring: Any, run: Any) -> None:
    """Keep in Scratch.keep only what the FIFO takes: what arrives first, then by sending PE and atom."""
    mail, edges, scratch, rows, n = run.mail, wiring.edges, run.scratch, len(run.mail.n), 0
    for e in range(edges.ptr[p], edges.ptr[p + 1]):
        for w in range(k - 1 if run.clock.flags[0] else run.clock.next[e], scratch.upto[e]):
            row = w & (rows - 1)
            if w >= 0 and mail.window[row, edges.pe[e]] == w:
                scratch.arrival[n] = mail.end[row, edges.pe[e]] + edges.flight[e] - (k - w) * wiring.timing.tick_s
                scratch.edge[n], scratch.amount[n] = e, mail.n[row, edges.source[e]]
                n += 1
        scratch.keep[e] = 0
    sort_by(scratch.arrival, scratch.order, n)
    room = wiring.timing.fifo
    for i in range(n):
        taken = min(scratch.amount[scratch.order[i]], room)
        scratch.keep[scratch.edge[scratch.order[i]]] += taken
        room -= taken


@inner
def read(p: int, n: int, k: int, start: float, step: int, wiring: Any, run: Any) -> None:
    """Process the packets that have arrived at PE ``p`` before its tick ``n``, which begins in window ``k``."""
    merge()
    edges, mail, tally, rows = wiring.edges, run.mail, run.tally, len(run.mail.n)
    total, fifo = _waiting(p, k, start, wiring, run), wiring.timing.fifo
    if total > fifo:
        _drop(p, k, wiring, run)
        tally.counts[step, DROPPED] += total - fifo
        tally.pe[p, PE_DROPPED] += total - fifo
        stop_at(tally, DROPPED_PACKET, p, p, step, total, fifo)
        total = fifo
    run.scratch.mine[MY_PACKETS] = total
    tally.pe[p, PE_PEAK] = max(tally.pe[p, PE_PEAK], total)
    in_step = run.clock.flags[0]
    for e in range(edges.ptr[p], edges.ptr[p + 1]):
        keep, first, upto = run.scratch.keep[e], run.clock.next[e], run.scratch.upto[e]
        if in_step:
            first = k - 1
        else:
            run.clock.next[e] = upto
        for w in range(first, upto):
            row = w & (rows - 1)
            if keep > 0 and mail.window[row, edges.pe[e]] == w:
                taken = min(keep, mail.n[row, edges.source[e]])
                keep -= taken
                if taken:
                    _process(p, e, row, taken, n, wiring, run, tally.counts[step])
                if n > mail.tick[row, edges.pe[e]] + 1 and taken:
                    tally.counts[step, LATE_PACKETS] += taken
                    stop_at(tally, LATE_PACKET, p, edges.pe[e], step, mail.end[row, edges.pe[e]] + edges.flight[e],
                            wiring.timing.tick_s)
    if n and len(run.log.synapse):
        _log_weights(p, (n - 1) // wiring.timing.phases, wiring, run)


@inner
def _log_weights(p: int, t: int, wiring: Any, run: Any) -> None:
    """The weights of PE ``p`` when it has read the packets of step t, or some of them: a later read comes after it."""
    merge()
    pes, learners, log = wiring.pes, wiring.learners, run.log
    low, high = learners.row_ptr[pes.learner_ptr[p]], learners.row_ptr[pes.learner_ptr[p + 1]]
    for s in range(learners.word_ptr[low], learners.word_ptr[high]):
        if log.synapse[s] >= 0:
            log.weights[t, log.synapse[s]] = run.memory.weight[s]


@inner
def _process(p: int, e: int, row: int, taken: int, n: int, wiring: Any, run: Any, counts: Any) -> None:
    """The first ``taken`` packets of way ``e`` in a row of Mail, at tick ``n`` of PE ``p``."""
    merge()
    edges, pes, mine = wiring.edges, wiring.pes, run.scratch.mine
    t = (n - 1) // wiring.timing.phases
    at, width, mask = pes.at[p], pes.width[p], pes.mask[p]
    first = wiring.slices.atom_ptr[edges.source[e]]
    atoms = run.mail.atoms[row, first : first + taken]
    low, high = edges.entry_ptr[e], edges.entry_ptr[e + 1]
    if pes.model[p] == EGRU:
        for i in range(taken):
            for x in range(low, high):
                mine[MY_CSR] += deliver_pairs(atoms[i], run.mail.values[row, first + i], edges.base[x],
                                              at + ((t + edges.delay[x]) & mask) * width, wiring.pairs, run.sums)
        return
    for x in range(low, high):
        kind, events = edges.kind[x], 0
        if kind == STATIC:
            events = deliver_words(atoms, edges.base[x], edges.delay[x], t, wiring.words, run.ring, at, width, mask)
        elif kind == CONV:
            slot = at + ((t + edges.delay[x]) & mask) * width
            events = deliver_conv(atoms, edges.base[x], edges.which[x], slot, wiring.conv, run.ring)
        elif kind == PLASTIC:
            events = deliver_plastic(atoms, edges.base[x], edges.which[x], t, wiring.learners, run.memory, run.ring,
                                     at, width, mask)
        mine[kind - STATIC + 1] += events


@inner
def send_inputs(p: int, t: int, s: int, row: int, wiring: Any, run: Any, counts: Any) -> None:
    """The input events of step t that are those of slice ``s``."""
    merge()
    feed, mail = run.feed, run.mail
    first, last = wiring.slices.atom_ptr[s], wiring.slices.atom_ptr[s + 1]
    low, high = feed.ptr[t], feed.ptr[t + 1]
    low += np.searchsorted(feed.atom[low:high], first)
    n = 0
    while low < high and feed.atom[low] < last:
        mail.atoms[row, first + n] = feed.atom[low] - first
        if mail.values.shape[1]:
            mail.values[row, first + n] = feed.value[low]
        low += 1
        n += 1
    _post(s, n, row, wiring, run, counts)


@inner
def _post(s: int, n: int, row: int, wiring: Any, run: Any, counts: Any) -> None:
    """Send the first n atoms of slice ``s`` in Mail."""
    merge()
    slices = wiring.slices
    if not slices.sends[s]:
        return
    run.mail.n[row, s] = n
    run.scratch.mine[MY_SENT] += n
    counts[SENT] += n
    counts[COPIES] += n * slices.copies[s]
    counts[HOPS] += n * slices.hops[s]
    counts[CROSSINGS] += n * slices.crossings[s]


@inner
def step_slice(p: int, t: int, s: int, row: int, written: int, wiring: Any, run: Any, counts: Any) -> Any:
    """Step t of the neurons of slice ``s``: update, record, learn and send. Returns the spikes written so far."""
    merge()
    pes, slices, mail, log, mine = wiring.pes, wiring.slices, run.mail, run.log, run.scratch.mine
    first, last, fired = slices.atom_ptr[s], slices.atom_ptr[s + 1], run.scratch.fired
    local, cells, states = first - pes.neuron_ptr[p], wiring.cells, run.states
    at = pes.at[p] + (t & pes.mask[p]) * pes.width[p] + local
    carries = mail.values.shape[1] > 0
    if pes.model[p] == LIF:
        n = step_lif(first, last, slices.rests[s] != 0, cells, states, run.ring[at : at + last - first], fired)
    else:
        n = step_egru(first, last, cells, states, run.sums, at, pes.neuron_ptr[p + 1] - pes.neuron_ptr[p], fired)
    mine[MY_UPDATES] += last - first
    counts[SPIKES] += n
    for i in range(n):
        mail.atoms[row, first + i] = fired[i]
        log.atom[written + i] = first + fired[i]
        log.step[written + i] = t
        if carries:
            value = states.event[first + fired[i]] if pes.model[p] == EGRU else np.float32(1)
            mail.values[row, first + i] = value
            log.value[written + i] = value
    if slices.records[s]:
        mine[MY_RECORDED] += n
    low, high = pes.learner_ptr[p], pes.learner_ptr[p + 1]
    if high > low:
        for i in range(n):
            counts[FORGOTTEN] += remember_post(low, high, local + fired[i], t, wiring.learners, run.memory)
    _post(s, n, row, wiring, run, counts)
    if log.column[first] >= 0:
        for i in range(first, last):
            log.states[0, t, log.column[i]] = states.u[i]
            log.states[1, t, log.column[i]] = states.v[i]
    return written + n
