"""What the kernels of the pulse simulator share: wiring, conditions, state, the queue of pulses, and noise.

A pulse is one int64, its key: time in fs << bits | net. Keys are ordered by time, then net, and so are all events.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.programs.sfq_form import MOST_OUTPUTS as MOST_OUTPUTS
from hwsdk.simulators.kernels_spinnaker_sort import merge
from hwsdk.simulators.kernels_sync import inner

Bytes = NDArray[np.int8]
Words = NDArray[np.int32]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NONE = (1 << 63) - 1
"""The key of no pulse, after all others."""
STATE_BITS = 8
NEVER = -(1 << 62)
"""In Run.last: no pulse has come."""
ABSORBED, TIMING = 0, 1
"""Kinds of violations."""
RECORD, DROP, RAISE = range(3)
"""What happens with a pulse that comes too soon. RAISE: as RECORD, and the run ends."""
DONE, MORE, STOPPED = range(3)
"""Why ``advance`` ended: all is delivered; a buffer could overflow; a violation that stops."""
QUEUED, NEXT, LOGGED, VIOLATIONS, DELIVERED, DRAWN, LOST, EARLY = range(8)
"""Entries of Run.at: keys in the queue; place in sources; rows of the log and of the violations; pulses delivered;
numbers drawn; pulses absorbed; pulses that broke a critical time.
"""
AT = 8
TYPE, PIN, OUT, SOMA = range(4)
"""Columns of Wires.cell."""
INPUTS, TABLE, CRITICAL, ABSORB, WINDOW = range(5)
"""Columns of Wires.kind."""
CELL, PREV, INPUT, TIME, SLACK, KIND = range(6)
"""Columns of Run.violations."""
GOLDEN, MIX_A, MIX_B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""Constants of splitmix64 (Steele, Lea, Flood, OOPSLA 2014)."""
S11, S27, S30, S31, ONE = (np.uint64(x) for x in (11, 27, 30, 31, 1))


class Wires(NamedTuple):
    """C cells, N nets, T types. bits: of a net's number in a key.

    net int32 (N, 2): the cell that it leads to, and its input pin << 1 | whether pulses are logged. cell int32 (C, 4):
    type; its first input pin and its first output pin of all; its soma or -1. out int32 (output pins): the net it
    drives, or -1. kind int32 (T, 5): inputs; where its tables begin; the time after which none of its pins matters.
    next, fires (states * inputs of all types); critical int32 (states * inputs * inputs), absorb int32 (inputs *
    inputs). branch_ptr int64 (M+1), weight, tau, loss float64 (branches) A, fs, A: somas; loss: what a branch's current
    loses when its soma fires. fold float64 (M): fs, SomaModel.critical_fs. late_ptr int64 (M, 2): where the tables of
    their latency begin and end in over float64 A and late float64 fs. rows int32 (M): states that a soma counts pulses
    in; if there are two, those at which it fires in the second.
    """

    bits: int
    net: Words
    cell: Words
    out: Words
    kind: Words
    next: Bytes
    fires: NDArray[np.uint8]
    critical: Words
    absorb: Words
    branch_ptr: Ints
    weight: Floats
    tau: Floats
    loss: Floats
    fold: Floats
    late_ptr: Ints
    over: Floats
    late: Floats
    rows: Words


class Params(NamedTuple):
    """The conditions of a run. delay int32 (C,): fs from input to output, -1 where dead; of a soma 0 or -1. sigma
    float64 (T,): fs; noisy: whether any is above 0. theta float64 (M,): A; slow float64 (M,): factor on a soma's
    latency. policy: RECORD, DROP or RAISE. strict: an absorbed pulse ends the run too.
    """

    delay: Words
    sigma: Floats
    noisy: bool
    theta: Floats
    slow: Floats
    policy: int
    strict: bool


class Run(NamedTuple):
    """The state of a run. queue: a binary heap of keys; sources: sorted keys from outside, NONE at the end. state int8
    (C,). last int64 (input pins): time << STATE_BITS | state of the last pulse. current float64 (branches) A, at
    moment int64 (M) fs. counts int64 (K,): pulses by type, state and input. log (., 2) int64: time and net.
    violations int64 (., 6). at: see QUEUED. key uint64 (1,): of the noise.
    """

    queue: Ints
    sources: Ints
    state: Bytes
    last: Ints
    current: Floats
    moment: Ints
    counts: Ints
    log: Ints
    violations: Ints
    at: Ints
    key: NDArray[np.uint64]


@inner
def mixed(x: Any) -> Any:
    """The output function of splitmix64."""
    x = (x ^ (x >> S30)) * MIX_A
    x = (x ^ (x >> S27)) * MIX_B
    return x ^ (x >> S31)


@inner
def normal(key: Any, n: Any) -> Any:
    """Number n of a stream of standard normal numbers: Box and Muller's cosine of two numbers of splitmix64."""
    k = key + (np.uint64(n) << ONE) * GOLDEN
    u = float((mixed(k + GOLDEN) >> S11) + ONE) * 2.0**-53
    v = float(mixed(k + GOLDEN + GOLDEN) >> S11) * 2.0**-53
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)


@inner
def push(queue: Any, n: int, key: int) -> None:
    """Add a key to a heap of n."""
    i = n
    while i > 0:
        up = (i - 1) >> 1
        if queue[up] <= key:
            break
        queue[i] = queue[up]
        i = up
    queue[i] = key


@inner
def replace_first(queue: Any, n: int, key: int) -> None:
    """Put a key in place of the first of a heap of n."""
    i, child = 0, 1
    while child < n:
        if child + 1 < n and queue[child + 1] < queue[child]:
            child += 1
        if queue[child] >= key:
            break
        queue[i] = queue[child]
        i, child = child, 2 * child + 1
    queue[i] = key


@inner
def latency(m: int, over: float, w: Any) -> Any:
    """Of soma m, fs, by its overdrive in A: linear between the table's points, flat outside."""
    merge()
    first, last = w.late_ptr[m, 0], w.late_ptr[m, 1] - 1
    if over <= w.over[first]:
        return w.late[first]
    if over >= w.over[last]:
        return w.late[last]
    k = first
    while w.over[k + 1] < over:
        k += 1
    part = (over - w.over[k]) / (w.over[k + 1] - w.over[k])
    return w.late[k] + part * (w.late[k + 1] - w.late[k])
