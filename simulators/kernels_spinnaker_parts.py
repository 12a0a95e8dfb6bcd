"""What the kernels of the SpiNNaker 2 machine share: its wiring, its state, and the names of all counters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.simulators.kernels_spinnaker_events import Conv, Pairs, Words
from hwsdk.simulators.kernels_spinnaker_neurons import Cells, States
from hwsdk.simulators.kernels_spinnaker_plastic import Learners, Memory

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
STEP_COUNTS = ("spikes", "packets_sent", "packets", "hops", "chip_crossings", "static_events", "conv_events",
               "plastic_events", "csr_events", "neuron_updates", "late_ticks", "late_packets", "lost_ticks",
               "dropped_packets", "forgotten_posts")
"""Columns of Tally.counts."""
(SPIKES, SENT, COPIES, HOPS, CROSSINGS, STATIC, CONV, PLASTIC, CSR, UPDATES, LATE_TICKS, LATE_PACKETS, LOST_TICKS,
 DROPPED, FORGOTTEN) = range(len(STEP_COUNTS))
STEP_AMOUNTS = ("cycles_low", "cycles_high", "busy_seconds", "step_seconds", "pe_seconds_low", "pe_seconds_high")
"""Columns of Tally.amounts."""
CYCLES_LOW, CYCLES_HIGH, BUSY, SECONDS, PE_LOW, PE_HIGH = range(len(STEP_AMOUNTS))
PE_COUNTS = ("pe_packets", "pe_events", "pe_late_ticks", "pe_dropped", "pe_fifo_peak")
"""Columns of Tally.pe."""
PE_PACKETS, PE_EVENTS, PE_LATE, PE_DROPPED, PE_PEAK = range(len(PE_COUNTS))
MINE = 8
MY_PACKETS, MY_STATIC, MY_CONV, MY_PLASTIC, MY_CSR, MY_UPDATES, MY_SENT, MY_RECORDED = range(MINE)
"""Entries of Scratch.mine: what costs a PE cycles, of one tick."""
SOURCE, LIF, EGRU = range(3)
"""Values of Pes.model."""
AUTO, LOW, HIGH = range(3)
"""Values of Timing.level."""
DONE, FULL, MORE, STOPPED = range(4)
"""Why a block ended: all ticks; the spike buffer could overflow; ticks of more windows must be kept; strict."""
LATE_TICK, LATE_PACKET, DROPPED_PACKET = range(1, 4)
"""What stops a strict run."""


class Pes(NamedTuple):
    """P PEs. neuron_ptr, slice_ptr, learner_ptr (P+1): their atoms (those of all PEs are numbered through), slices and
    learners. at, width, mask: their ring, see kernels_spinnaker_events; mask is its slots - 1. high_from: packets.
    neuron_cycles float64: for the update of a neuron. flight float64: seconds that packets take to the farthest PE.
    """

    model: Ints
    neuron_ptr: Ints
    slice_ptr: Ints
    learner_ptr: Ints
    at: Ints
    width: Ints
    mask: Ints
    high_from: Ints
    neuron_cycles: Floats
    flight: Floats


class Slices(NamedTuple):
    """S slices. atom_ptr (S+1); phase; sends, records, rests: uint8. Of one packet: copies, hops, crossings."""

    atom_ptr: Ints
    phase: Ints
    sends: NDArray[np.uint8]
    records: NDArray[np.uint8]
    rests: NDArray[np.uint8]
    copies: Ints
    hops: Ints
    crossings: Ints


class Edges(NamedTuple):
    """E ways from a slice to a PE, by PE, then slice: ptr (P+1); source slice and its PE; flight float64, seconds;
    entry_ptr (E+1): the entries of the PE's population table that its packets match, X in all. kind: STATIC .. CSR;
    base: the row of atom 0; delay in steps, -1 where words have their own; which: convolution or learner.
    """

    ptr: Ints
    source: Ints
    pe: Ints
    flight: Floats
    entry_ptr: Ints
    kind: Ints
    base: Ints
    delay: Ints
    which: Ints


class Timing(NamedTuple):
    """cycles: as in hwsdk.programs.spinnaker.Machine. tick_s: 0 for a barrier; flight: the longest of all, seconds."""

    phases: int
    level: int
    tick_s: float
    flight: float
    fifo: int
    low_hz: float
    high_hz: float
    tick: float
    packet: float
    static: float
    conv: float
    plastic: float
    csr: float
    spike_out: float
    recorded: float


class Wiring(NamedTuple):
    """Everything that a run does not change."""

    timing: Timing
    pes: Pes
    slices: Slices
    edges: Edges
    words: Words
    conv: Conv
    pairs: Pairs
    learners: Learners
    cells: Cells


class Feed(NamedTuple):
    """Input events: ptr int64 (steps+1); atom int32, ascending in each step; value float32 of each, or (0,)."""

    ptr: Ints
    atom: NDArray[np.int32]
    value: NDArray[np.float32]


class Mail(NamedTuple):
    """What was sent in the last B windows, window w in row w % B. A window is a phase tick of the chip's timer.

    atoms int32 (B, N): for each slice, from its first atom on, the atoms that fired, counted in the slice; values
    float32 (B, N or 0): their payloads; n (B, S): how many. window, tick int64 and end float64 (B, P): the window in
    which a PE started a tick, the PE's own number of that tick, and when it ended in seconds after the window's start.
    """

    atoms: NDArray[np.int32]
    values: NDArray[np.float32]
    n: Ints
    window: Ints
    tick: Ints
    end: Floats


class Clock(NamedTuple):
    """Where the PEs are. tick (P): number of the next. busy (P): seconds that are left of the current one at a window's
    start. pending uint8 (P): an interrupt waits; high uint8 (P): the current level. next (E): first window whose
    packets are unread. start float64, order (P): scratch. flags (2,): are all in step; has a tick been lost.
    """

    tick: Ints
    busy: Floats
    pending: NDArray[np.uint8]
    high: NDArray[np.uint8]
    next: Ints
    start: Floats
    order: Ints
    flags: Ints


class Tally(NamedTuple):
    """counts int64 (steps, STEP_COUNTS), amounts float64 (steps, STEP_AMOUNTS), pe int64 (P, PE_COUNTS), pe_cycles
    float64 (P,): added to. stop int64 (4,): what stopped a strict run (0: nothing), PE, sending PE, and step; need and
    limit float64 (2,).
    """

    counts: Ints
    amounts: Floats
    pe: Ints
    pe_cycles: Floats
    stop: Ints
    need: Floats


class Scratch(NamedTuple):
    """mine int64 (MINE,). fired int32 (neurons of the largest PE + 1,). upto, keep (E,): of each way, the first window
    that is not read now, and how many packets are. late: number, sending PE and arrival of packets that wait (FIFO
    overflow only): arrival float64, edge, amount and order (most ways to a PE x B,).
    """

    mine: Ints
    fired: NDArray[np.int32]
    upto: Ints
    keep: Ints
    arrival: Floats
    edge: Ints
    amount: Ints
    order: Ints


class Log(NamedTuple):
    """Spikes as they come: atom and step int32 (buffer,), value float32 (buffer or 0,). column int32 (N,): of each
    probed atom in states float32 (2, steps, probed): u and v. synapse int32 (words that learn,): of each probed word in
    weights float32 (steps, probed), or (0,) if none is.
    """

    atom: NDArray[np.int32]
    step: NDArray[np.int32]
    value: NDArray[np.float32]
    column: NDArray[np.int32]
    states: NDArray[np.float32]
    synapse: NDArray[np.int32]
    weights: NDArray[np.float32]


class Run(NamedTuple):
    """Everything that one sample changes."""

    ring: NDArray[np.int32]
    sums: NDArray[np.float32]
    states: States
    memory: Memory
    mail: Mail
    clock: Clock
    feed: Feed
    tally: Tally
    scratch: Scratch
    log: Log


class Block(NamedTuple):
    """How far a call goes: windows first .. last - 1, spikes written so far, and whether the first trouble ends it."""

    first: int
    last: int
    written: int
    strict: bool
