"""What the kernels of the crossbar machine share: its wiring, its state, and the names of all counters.

Few arrays with named rows and columns: every one makes the kernels longer to compile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_njit: Any = njit
merged = _njit(inline="always", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
"""As hwsdk.simulators.kernels_sync.inner, for long functions with one caller: compiled as a part of it. A chain of n
functions is otherwise optimised n times, each with all that it calls: a third of the time until the first run.
"""
Ints = NDArray[np.int64]
Words = NDArray[np.int32]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
STEP_COUNTS = ("row_drives", "conversions", "adc_clips", "phases", "phases_skipped", "neuron_updates", "adds",
               "shift_bits", "spikes", "reads", "cell_reads", "column_reads")
"""Columns of Run.counts."""
(DRIVES, CONVERSIONS, CLIPS, PHASES, SKIPPED, UPDATES, ADDS, SHIFTS, SPIKES, READS, CELL_READS,
 COLUMN_READS) = range(len(STEP_COUNTS))
STEP_AMOUNTS = ("array_joules", "step_seconds")
"""Columns of Run.amounts."""
JOULES, SECONDS = range(len(STEP_AMOUNTS))
DONE, FULL, STOPPED = range(3)
"""Why a block of steps ended: all of them are done; the spike buffer could overflow; a converter clipped (strict)."""
NEGATIVE = 32
"""Number of the first slice of negative values; those of positive ones count from 0. Inputs have 32 bits."""
SLICES = 2 * NEGATIVE
IDEAL, ALL, SOME = range(3)
"""Values of CONVERTERS: how many channels of a block have a real one."""
SIZES = ("ROWS", "CHANNELS", "COLUMNS", "USES", "ENTRIES", "PHASE_COUNT", "MACRO", "PARTS", "QUADRATIC", "CONVERTERS",
         "GATED", "NOISY", "TERMS", "RESTS", "LOW", "HIGH", "TARGET", "FIRST", "LAST")
PLACES = ("SEGMENT_AT", "CHANNEL_AT", "ROW_AT", "COLUMN_AT", "SOURCE_AT", "WEIGHT_AT", "ENTRY_AT", "OUT_AT", "CELL_AT",
          "POWER_AT", "UNIT_AT", "VARIANCE_AT", "FORM_AT", "SIGN_AT")
"""Columns of Net.blocks, see there."""
(ROWS, CHANNELS, COLUMNS, USES, ENTRIES, PHASE_COUNT, MACRO, PARTS, QUADRATIC, CONVERTERS, GATED, NOISY, TERMS, RESTS,
 LOW, HIGH, TARGET, FIRST, LAST, SEGMENT_AT, CHANNEL_AT, ROW_AT, COLUMN_AT, SOURCE_AT, WEIGHT_AT, ENTRY_AT,
 OUT_AT, CELL_AT, POWER_AT, UNIT_AT, VARIANCE_AT, FORM_AT, SIGN_AT) = range(len(SIZES) + len(PLACES))
SENDER, SENT_AT, DELAY, STOP = range(4)
"""Columns of Net.segments."""
STEP, OFFSET, REST, GAIN = range(4)
"""Rows of Net.converters."""
NEURON_AT, RING_AT, SUBTRACT, ABOVE, FIRES = range(5)
"""Columns of Net.populations."""
DECAY_U, DECAY_V, BIAS, THRESHOLD, RESET_BY = range(5)
"""Rows of Net.neurons."""
INPUTS, DAC_BITS, SHIFT_BITS, ALL_COLUMNS = range(4)
"""Entries of Net.settings."""
VOLTS, CONDUCTS, PHASE_SECONDS = range(3)
"""Entries of Net.amounts."""
KEPT = 128
"""Columns of ladders whose variances are walked at once, so that what is kept of them stays in a near cache."""
RAW, CURRENT, VARIANCE, TOTAL = range(4)
"""Rows of Run.currents."""
BLOCK, CHANNEL, AT_STEP, CODE, N_READS = range(5)
"""Entries of Run.stop: the clip that ended a strict run; reads of the log."""


class Net(NamedTuple):
    """The machine. Senders are inputs, then populations; neurons of all populations are numbered through.

    blocks (B+1, ...): sizes, and where a block's part of the other arrays begins. PARTS: of the power, 1 or as many as
    phases; QUADRATIC: is it a matrix a part? GATED: by ladders; NOISY; TERMS: of the forms; RESTS: is a code at 0 A not
    0? LOW, HIGH: codes. TARGET: first neuron of the target; FIRST, LAST: those in it that get something. UNIT_AT:
    random draws, one a channel, of all slices of its uses.

    segments (S, 4): sender and place of its first element in the ring, steps of delay, the row after the last one.
    row_source: use by use. weight: A per unit of input and channel, with the converter's gain. variance: A^2 of read
    noise per unit of input squared; forms and signs: the same with wires, see hwsdk.simulators.memristor_chip. power:
    W. converters (4, channels): A of a step, 0 of an ideal one; offset in steps; A as converted at 0 A; gain. phase
    (channels): rank. entry_coef, entry_channel, entry_out.

    Of gated blocks: rank (rows) on the macro; lines (2, rows): ohm of source and bit line segments, by rank; cells (2,
    rows x columns): S and standard deviation of the read noise, by rank. columns (2, columns): channel and sign.

    populations (P+1, 5); neurons (5, N): as DiscreteLIF has them; refractory (N). settings: inputs; dac_bits, 0 for any
    value at once; bits of shift registers; do all columns of a block conduct? amounts: volts of a row with input 1;
    seconds in which a phase conducts; seconds of a phase. key uint64 (2): of the read noise.
    """

    blocks: Ints
    segments: Ints
    row_source: Words
    weight: Floats
    variance: Floats
    forms: Singles
    signs: Singles
    power: Floats
    converters: Floats
    phase: Ints
    entry_coef: Floats
    entry_channel: Words
    entry_out: Words
    rank: Ints
    lines: Floats
    cells: Floats
    columns: Ints
    populations: Ints
    neurons: Floats
    refractory: Ints
    settings: Ints
    amounts: Floats
    key: NDArray[np.uint64]


class Run(NamedTuple):
    """One sample in motion.

    feed: input events step by step: feed_ptr (steps + 1), feed (2, events) element of the ring and sender, feed_value.
    state (2, N): u, v; left (N): refractory steps; ring (depth, elements): what senders have sent; active (depth,
    senders): how many elements of each are not 0.

    Room for one read: rows and x (2, rows): those that are driven and their inputs, and one slice of them; ends (2,
    segments); currents (4, channels) A: raw, converted, variance, and the sum of slices; terms (terms + 1, columns);
    sums (2, N): of a block, and of all blocks; busy (macros): phases. Of ladders: on (2, rows); columns (5, columns):
    scratch, currents and variances; kept (2, rows, KEPT): scratch.

    counts (steps, STEP_COUNTS), amounts (steps, STEP_AMOUNTS), macros: seconds of each; stop. spikes (2, room): step,
    neuron. column (N): where the states of a neuron are recorded, or -1; states (2, steps, columns). reads (room, 5 +
    phases): step, block, use, slice, driven rows (0: skipped), clips of each phase; joules (room, parts).
    """

    sample: int
    feed_ptr: Ints
    feed: Words
    feed_value: Floats
    state: Floats
    left: Ints
    ring: Floats
    active: Ints
    rows: Ints
    x: Floats
    ends: Ints
    currents: Floats
    sums: Floats
    busy: Ints
    on: Ints
    columns: Floats
    kept: Floats
    terms: Singles
    counts: Ints
    amounts: Floats
    macros: Floats
    stop: Ints
    spikes: Words
    column: Words
    states: Floats
    reads: Ints
    joules: Floats
