"""One read of a block of a crossbar: active rows -> currents of its channels -> what the converters make of them.

Sums run over the rows of a segment in order and start at 0; the sums of segments are added one after another.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwsdk.simulators.kernels_memristor_ladder import ladders
from hwsdk.simulators.kernels_memristor_parts import (
    ALL,
    ALL_COLUMNS,
    CHANNEL_AT,
    CHANNELS,
    COLUMN_AT,
    COLUMNS,
    CONDUCTS,
    CONVERTERS,
    CURRENT,
    DAC_BITS,
    DELAY,
    FORM_AT,
    GATED,
    HIGH,
    IDEAL,
    LOW,
    NOISY,
    OFFSET,
    PARTS,
    PHASE_COUNT,
    POWER_AT,
    QUADRATIC,
    RAW,
    ROWS,
    SEGMENT_AT,
    SENDER,
    SENT_AT,
    SIGN_AT,
    SLICES,
    SOURCE_AT,
    STEP,
    STOP,
    TERMS,
    UNIT_AT,
    VARIANCE,
    VARIANCE_AT,
    VOLTS,
    WEIGHT_AT,
    merged,
)
from hwsdk.simulators.kernels_philox import normals
from hwsdk.simulators.kernels_sync import inner


@inner
def gather(net: Any, run: Any, b: int, use: int, t: int) -> tuple[int, bool]:
    """The rows of a use that are driven, in order -> how many, and whether all their inputs are 1."""
    block, rows, x = net.blocks[b], run.rows[0], run.x[0]
    first, row, n, ones = block[SEGMENT_AT], 0, 0, True
    source = block[SOURCE_AT] + use * block[ROWS]
    for k in range(first, net.blocks[b + 1, SEGMENT_AT]):
        segment = net.segments[k]
        slot = (t - segment[DELAY]) % len(run.ring)
        if run.active[slot, segment[SENDER]] > 0:
            sent, at = run.ring[slot], segment[SENT_AT]
            for r in range(row, segment[STOP]):
                e = net.row_source[source + r]
                if e >= 0 and sent[at + e] != 0.0:
                    rows[n], x[n] = r, sent[at + e]
                    ones = ones and sent[at + e] == 1.0
                    n += 1
        row = segment[STOP]
        run.ends[0, k - first] = n
    return n, ones


@inner
def largest(x: Any, n: int, sign: float) -> int:
    """The largest magnitude among the inputs of one sign."""
    top = 0
    for i in range(n):
        top = max(top, int(sign * x[i]))
    return top


@inner
def pick(net: Any, run: Any, b: int, sign: float, piece: int) -> int:
    """The rows whose inputs of one sign have something in a slice -> how many."""
    bits = net.settings[DAC_BITS]
    mask, shift, i, m = (1 << bits) - 1, piece * bits, 0, 0
    for q in range(net.blocks[b + 1, SEGMENT_AT] - net.blocks[b, SEGMENT_AT]):
        while i < run.ends[0, q]:
            digit = (max(int(sign * run.x[0, i]), 0) >> shift) & mask
            if digit:
                run.rows[1, m], run.x[1, m] = run.rows[0, i], digit
                m += 1
            i += 1
        run.ends[1, q] = m
    return m


@inner
def add_rows(out: Any, weight: Any, rows: Any, first: int, last: int) -> None:
    """Add rows of a matrix, one after another; four at a time, in the same order."""
    i = first
    while i + 4 <= last:
        a, b, c, d = weight[rows[i]], weight[rows[i + 1]], weight[rows[i + 2]], weight[rows[i + 3]]
        for k in range(len(out)):
            out[k] = (((out[k] + a[k]) + b[k]) + c[k]) + d[k]
        i += 4
    while i < last:
        a = weight[rows[i]]
        for k in range(len(out)):
            out[k] += a[k]
        i += 1


@inner
def add_scaled(out: Any, weight: Any, rows: Any, x: Any, first: int, last: int) -> None:
    """Add rows of a matrix times their inputs, one after another."""
    for i in range(first, last):
        a, factor = weight[rows[i]], x[i]
        for k in range(len(out)):
            out[k] += a[k] * factor


@inner
def sum_currents(weight: Any, current: Any, part: Any, rows: Any, x: Any, ends: Any, ones: bool) -> None:
    """Currents of the channels for driven rows, weight (rows, channels); ``part`` is overwritten."""
    first, segments = np.int64(0), len(ends)
    current[:] = 0.0
    for q in range(segments):
        if ends[q] > first:
            into = current if segments == 1 else part
            part[:] = 0.0
            if ones:
                add_rows(into, weight, rows, first, ends[q])
            else:
                add_scaled(into, weight, rows, x, first, ends[q])
            if segments > 1:
                for c in range(len(current)):
                    current[c] += part[c]
            first = ends[q]


@inner
def add_squares(variance: Any, own: Any, rows: Any, x: Any, n: int) -> None:
    """Variances of the channels' currents with ideal wires: those of the driven cells add up."""
    own[:] = 0.0
    for i in range(n):
        a, factor = variance[rows[i]], x[i] * x[i]
        for c in range(len(own)):
            own[c] += a[c] * factor


@inner
def add_forms(form: Any, sign: Any, terms: Any, channel: Any, own: Any, rows: Any, x: Any, n: int) -> None:
    """Variances of the channels' currents through wires: a quadratic form of the inputs for every column.

    form (rows, terms + 1, columns), sign (terms, columns), terms (terms + 1, columns): overwritten.
    """
    last, c = sign.shape
    terms[:, :] = 0.0
    for i in range(n):
        a, factor = form[rows[i]], np.float32(x[i])
        for q in range(last):
            for k in range(c):
                terms[q, k] += a[q, k] * factor
        for k in range(c):
            terms[last, k] += a[last, k] * (factor * factor)
    for q in range(last):
        for k in range(c):
            terms[last, k] += sign[q, k] * (terms[q, k] * terms[q, k])
    own[:] = 0.0
    for k in range(c):
        own[channel[k]] += max(terms[last, k], np.float32(0.0))


@inner
def variances(net: Any, run: Any, b: int, rows: Any, x: Any, n: int) -> None:
    """Variances of the channels' currents in one read of driven rows."""
    block = net.blocks[b]
    r, c, k, q = block[ROWS], block[COLUMNS], block[CHANNELS], block[TERMS]
    own, at, signs, column = run.currents[VARIANCE, :k], block[FORM_AT], block[SIGN_AT], block[COLUMN_AT]
    if q:
        add_forms(net.forms[at : at + r * (q + 1) * c].reshape(r, q + 1, c),
                  net.signs[signs : signs + q * c].reshape(q, c), run.terms[: q + 1, :c],
                  net.columns[0, column : column + c], own, rows, x, n)
    else:
        at = block[VARIANCE_AT]
        add_squares(net.variance[at : at + r * k].reshape(r, k), own, rows, x, n)


@inner
def draw(key: Any, sample: int, t: int, unit: Any, variance: Any, current: Any) -> None:
    """Add noise to the currents; two channels share a random draw."""
    for c in range(0, len(current), 2):
        one, two = normals(key[0], key[1], sample, t, unit + np.uint64(c))
        current[c] += math.sqrt(variance[c]) * one
        if c + 1 < len(current):
            current[c + 1] += math.sqrt(variance[c + 1]) * two


@inner
def quadratic(matrix: Any, rows: Any, x: Any, n: int) -> Any:
    """x . matrix x of a symmetric matrix, for the rows that are not 0."""
    watts = 0.0
    for i in range(n):
        line, half = matrix[rows[i]], 0.0
        for j in range(i):
            half += line[rows[j]] * x[j]
        watts += x[i] * (2.0 * half + line[rows[i]] * x[i])
    return watts


@inner
def joules(net: Any, run: Any, b: int, rows: Any, x: Any, n: int, part: int) -> Any:
    """What the array takes from its drivers in the phases of a part, in J."""
    block, watts = net.blocks[b], 0.0
    if block[GATED]:
        return through_ladders(net, run, b, part)
    r, first = block[ROWS], block[POWER_AT]
    if block[QUADRATIC]:
        first += part * r * r
        watts = quadratic(net.power[first : first + r * r].reshape(r, r), rows, x, n)
    else:
        for i in range(n):
            watts += net.power[first + part * r + rows[i]] * (x[i] * x[i])
    return watts * net.amounts[CONDUCTS]


@inner
def through_ladders(net: Any, run: Any, b: int, part: int) -> Any:
    """The same of the ladders that were read last: what goes into a column comes out of it."""
    block, amperes = net.blocks[b], 0.0
    everything, whole = net.settings[ALL_COLUMNS] == 1, block[PARTS] == 1
    for c in range(block[COLUMNS]):
        phase = net.phase[block[CHANNEL_AT] + net.columns[0, block[COLUMN_AT] + c]]
        if everything or whole or phase == part:
            amperes += run.columns[3, c]
    times = block[PHASE_COUNT] if everything and whole else 1
    return amperes * net.amounts[VOLTS] * net.amounts[CONDUCTS] * times


@inner
def convert(net: Any, run: Any, b: int) -> int:
    """Currents as the converters give them -> codes that were out of range."""
    block = net.blocks[b]
    k, first, low, high = block[CHANNELS], block[CHANNEL_AT], float(block[LOW]), float(block[HIGH])
    raw, current, clips = run.currents[RAW, :k], run.currents[CURRENT, :k], 0
    step, offset = net.converters[STEP, first : first + k], net.converters[OFFSET, first : first + k]
    if block[CONVERTERS] == ALL:
        for c in range(k):
            code = np.rint(raw[c] / step[c] + offset[c])
            held = min(max(code, low), high)
            clips += held != code
            current[c] = held * step[c]
        return clips
    for c in range(k):
        current[c] = raw[c]
        if block[CONVERTERS] != IDEAL and step[c] > 0.0:
            code = np.rint(raw[c] / step[c] + offset[c])
            held = min(max(code, low), high)
            clips += held != code
            current[c] = held * step[c]
    return clips


@inner
def code_beyond(net: Any, run: Any, b: int, c: int) -> int:
    """The code of a channel's current if it is out of the converter's range, else 0."""
    block = net.blocks[b]
    step = net.converters[STEP, block[CHANNEL_AT] + c]
    if step == 0.0:
        return 0
    code = np.rint(run.currents[RAW, c] / step + net.converters[OFFSET, block[CHANNEL_AT] + c])
    return int(code) if code < block[LOW] or code > block[HIGH] else 0


@merged
def read(net: Any, run: Any, b: int, use: int, piece: int, t: int, sliced: int, n: int, ones: bool) -> float:
    """Currents of one read in ``run.currents``, before conversion -> J in all its phases. sliced: row of ``run.rows``.
    """
    block, rows, x = net.blocks[b], run.rows[sliced], run.x[sliced]
    r, k, total = block[ROWS], block[CHANNELS], 0.0
    current = run.currents[RAW, :k]
    if block[GATED]:
        ladders(net, run, b, rows, n)
    else:
        at, ends = block[WEIGHT_AT], run.ends[sliced, : net.blocks[b + 1, SEGMENT_AT] - block[SEGMENT_AT]]
        sum_currents(net.weight[at : at + r * k].reshape(r, k), current, run.currents[CURRENT, :k], rows, x, ends, ones)
        if block[NOISY]:
            variances(net, run, b, rows, x, n)
    if block[NOISY]:
        unit = np.uint64(block[UNIT_AT]) + np.uint64(use * SLICES + piece) * np.uint64(k)
        draw(net.key, run.sample, t, unit, run.currents[VARIANCE, :k], current)
    for part in range(block[PARTS]):
        total += joules(net, run, b, rows, x, n, part)
    return total
