"""The crossbar machine, step by step: senders -> reads of all blocks -> sums -> digital neurons -> spikes."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.simulators.kernels_memristor_parts import (
    ABOVE,
    ADDS,
    AT_STEP,
    BIAS,
    BLOCK,
    CELL_READS,
    CHANNEL,
    CHANNEL_AT,
    CHANNELS,
    CLIPS,
    CODE,
    COLUMN_READS,
    COLUMNS,
    CONVERSIONS,
    CURRENT,
    DAC_BITS,
    DECAY_U,
    DECAY_V,
    DONE,
    DRIVES,
    ENTRIES,
    ENTRY_AT,
    FIRES,
    FIRST,
    FULL,
    INPUTS,
    JOULES,
    LAST,
    MACRO,
    N_READS,
    NEGATIVE,
    NEURON_AT,
    OUT_AT,
    PARTS,
    PHASE_COUNT,
    PHASE_SECONDS,
    PHASES,
    READS,
    RESET_BY,
    REST,
    RESTS,
    RING_AT,
    SECONDS,
    SHIFT_BITS,
    SHIFTS,
    SKIPPED,
    SLICES,
    SPIKES,
    STOPPED,
    SUBTRACT,
    TARGET,
    THRESHOLD,
    TOTAL,
    UPDATES,
    USES,
    merged,
)
from hwsdk.simulators.kernels_memristor_read import code_beyond, convert, gather, joules, largest, pick, read
from hwsdk.simulators.kernels_sync import inner, kernel


@kernel
def run_steps(first: int, last: int, strict: bool, net: Any, run: Any) -> tuple[int, int, int]:
    """Steps first to last - 1 -> the step that comes next, spikes written to the log, why it ended."""
    written: Any = np.int64(0)
    for t in range(first, last):
        if written + len(run.left) > run.spikes.shape[1]:
            return t, written, FULL
        take_inputs(run, t)
        run.sums[1, :] = 0.0
        run.busy[:] = 0
        for b in range(len(net.blocks) - 1):
            if not read_block(net, run, b, t, strict):
                return t, written, STOPPED
        written = update(net, run, t, written)
        close(net, run, t)
    return last, written, DONE


@inner
def take_inputs(run: Any, t: int) -> None:
    """Begin a step: what the inputs send in it; nothing of what was sent a whole turn of the ring ago is left."""
    slot = t % len(run.ring)
    sent, active = run.ring[slot], run.active[slot]
    sent[:] = 0.0
    active[:] = 0
    if t + 1 < len(run.feed_ptr):
        for i in range(run.feed_ptr[t], run.feed_ptr[t + 1]):
            sent[run.feed[0, i]] = run.feed_value[i]
            active[run.feed[1, i]] += 1


@merged
def read_block(net: Any, run: Any, b: int, t: int, strict: bool) -> bool:
    """Read a block in all its uses and add what it gives to the inputs of its target; False if it must stop."""
    block = net.blocks[b]
    first, last, at, gives = block[FIRST], block[LAST], block[TARGET], block[RESTS] == 1
    for o in range(first, last):
        run.sums[0, o] = 0.0
    for use in range(block[USES]):
        n, ones = gather(net, run, b, use, t)
        if n:
            if not read_use(net, run, b, use, t, n, ones, strict):
                return False
            gives = True
        else:
            note_skip(net, run, b, use, np.int64(0), t)
            if block[RESTS] == 0:
                continue
            for c in range(block[CHANNELS]):
                run.currents[TOTAL, c] = net.converters[REST, block[CHANNEL_AT] + c]
        adds = distribute(net, run, b, use)
        if n:
            run.counts[t, ADDS] += adds
    if gives:
        for o in range(first, last):
            run.sums[1, at + o] += run.sums[0, o]
    return True


@merged
def read_use(net: Any, run: Any, b: int, use: int, t: int, n: int, ones: bool, strict: bool) -> bool:
    """All slices of one use, and their sum of what was converted; False if a clip must stop the run."""
    k, bits, rest = net.blocks[b, CHANNELS], net.settings[DAC_BITS], net.blocks[b, CHANNEL_AT]
    whole = ones or bits == 0
    over, under = (1, 0) if whole else (largest(run.x[0], n, 1.0), largest(run.x[0], n, -1.0))
    run.currents[TOTAL, :k] = 0.0
    reads = 0
    for number in range(SLICES):
        sign, piece, top = (1.0, number, over) if number < NEGATIVE else (-1.0, number - NEGATIVE, under)
        if piece * bits >= NEGATIVE or top >> (piece * bits) == 0 or (whole and number > 0):
            continue
        sliced, factor = (0, 1.0) if whole else (1, sign * float(1 << (piece * bits)))
        m = n if whole else pick(net, run, b, sign, piece)
        if m == 0:
            note_skip(net, run, b, use, number, t)
            for c in range(k):
                run.currents[TOTAL, c] += factor * net.converters[REST, rest + c]
        elif read_slice(net, run, b, use, number, t, sliced, m, ones, factor, strict):
            reads += 1
        else:
            return False
    run.counts[t, ADDS] += (reads - 1) * k
    return True


@merged
def read_slice(net: Any, run: Any, b: int, use: int, piece: int, t: int, sliced: int, n: int, ones: bool,
               factor: float, strict: bool) -> bool:
    """One read, its conversion, and its place in the sum of slices; False if a clip must stop the run."""
    block, counts = net.blocks[b], run.counts[t]
    k, phases = block[CHANNELS], block[PHASE_COUNT]
    run.amounts[t, JOULES] += read(net, run, b, use, piece, t, sliced, n, ones)
    clips = convert(net, run, b)
    if clips and strict:
        note_stop(net, run, b, t)
        return False
    for c in range(k):
        run.currents[TOTAL, c] += factor * run.currents[CURRENT, c]
    counts[READS] += 1
    counts[PHASES] += phases
    counts[DRIVES] += n * phases
    counts[CELL_READS] += n * block[COLUMNS]
    counts[COLUMN_READS] += block[COLUMNS]
    counts[CONVERSIONS] += k
    counts[CLIPS] += clips
    run.busy[block[MACRO]] += phases
    run.stop[N_READS] += 1
    if run.stop[N_READS] <= len(run.reads):
        note_read(net, run, b, use, piece, t, sliced, n)
    return True


@inner
def note_stop(net: Any, run: Any, b: int, t: int) -> None:
    """Remember the first channel that clips in the read that was last."""
    for c in range(net.blocks[b, CHANNELS]):
        code = code_beyond(net, run, b, c)
        if code != 0:
            run.stop[BLOCK], run.stop[CHANNEL], run.stop[AT_STEP], run.stop[CODE] = b, c, t, code
            return


@inner
def note_read(net: Any, run: Any, b: int, use: int, piece: int, t: int, sliced: int, n: int) -> None:
    """A line of the log of reads."""
    i, block = run.stop[N_READS] - 1, net.blocks[b]
    line = run.reads[i]
    line[0], line[1], line[2], line[3], line[4] = t, b, use, piece, n
    for part in range(block[PARTS]):
        run.joules[i, part] = joules(net, run, b, run.rows[sliced], run.x[sliced], n, part)
    for c in range(block[CHANNELS]):
        if code_beyond(net, run, b, c) != 0:
            line[5 + net.phase[block[CHANNEL_AT] + c]] += 1


@inner
def note_skip(net: Any, run: Any, b: int, use: int, piece: int, t: int) -> None:
    """A read that no row takes part in is left out."""
    run.counts[t, SKIPPED] += net.blocks[b, PHASE_COUNT]
    run.stop[N_READS] += 1
    if run.stop[N_READS] <= len(run.reads):
        line = run.reads[run.stop[N_READS] - 1]
        line[0], line[1], line[2], line[3] = t, b, use, piece


@inner
def distribute(net: Any, run: Any, b: int, use: int) -> int:
    """Add converted currents to the sums of the neurons, entry by entry -> additions."""
    block = net.blocks[b]
    first, n, adds = block[ENTRY_AT], block[ENTRIES], 0
    out = block[OUT_AT] + use * n
    for e in range(n):
        o = net.entry_out[out + e]
        if o >= 0:
            run.sums[0, o] += net.entry_coef[first + e] * run.currents[TOTAL, net.entry_channel[first + e]]
            adds += 1
    return adds


@inner
def update(net: Any, run: Any, t: int, written: int) -> int:
    """All neurons, as hwsdk.simulators.reference_neurons has them -> spikes in the log."""
    sent, active = run.ring[t % len(run.ring)], run.active[t % len(run.ring)]
    neurons, us, vs, left = net.neurons, run.state[0], run.state[1], run.left
    for p in range(len(net.populations) - 1):
        own = net.populations[p]
        fires, above, subtract, first, begin = own[FIRES], own[ABOVE], own[SUBTRACT], own[NEURON_AT], written
        for i in range(first, net.populations[p + 1, NEURON_AT]):
            us[i] = neurons[DECAY_U, i] * us[i] + run.sums[1, i]
            before, idle = vs[i], left[i] > 0
            v = neurons[DECAY_V, i] * before + us[i] + neurons[BIAS, i]
            z = v
            if fires:
                spikes = v >= neurons[THRESHOLD, i] if above else v > neurons[THRESHOLD, i]
                z = 1.0 if spikes else 0.0
                if spikes:
                    v = v - neurons[RESET_BY, i] if subtract else 0.0
            if idle:
                v, z = before, 0.0
            vs[i] = v
            left[i] = net.refractory[i] if z > 0.0 else max(left[i] - 1, 0)
            if fires and z > 0.0:
                sent[own[RING_AT] + i - first] = 1.0
                run.spikes[0, written], run.spikes[1, written] = t, i
                written += 1
        active[net.settings[INPUTS] + p] = written - begin
        run.counts[t, SPIKES] += written - begin
    return written


@inner
def close(net: Any, run: Any, t: int) -> None:
    """The end of a step: what it took, and the states that are probed."""
    longest, seconds = 0, net.amounts[PHASE_SECONDS]
    run.counts[t, UPDATES] = len(run.left)
    run.counts[t, SHIFTS] = net.settings[SHIFT_BITS]
    for m in range(len(run.busy)):
        longest = max(longest, run.busy[m])
        run.macros[m] += run.busy[m] * seconds
    run.amounts[t, SECONDS] = longest * seconds
    if run.states.shape[2]:
        for i in range(len(run.column)):
            c = run.column[i]
            if c >= 0:
                run.states[0, t, c], run.states[1, t, c] = run.state[0, i], run.state[1, i]
