"""Numba kernels: hwsdk.ir.plastic.StoredPairSTDP as a PE of SpiNNaker 2 computes it. Steps are the PE's own."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.programs.spinnaker_image import DELAY_FIELD, MIN_PLASTIC_DELAY
from hwsdk.simulators.kernels_sync import inner

A_PLUS, A_MINUS, W_MIN, W_MAX = range(4)
"""Columns of Learners.par."""
PLUS, N_PLUS, MINUS, N_MINUS, HISTORY, COUNT_AT, POST_AT = range(7)
"""Columns of Learners.at."""
LONGEST = MIN_PLASTIC_DELAY + DELAY_FIELD
"""Steps, of a delay."""


class Learners(NamedTuple):
    """L learners of all PEs, and the R rows of words that learn, in the order of their learners.

    par float32 (L, 4): amplitudes and bounds. at int64 (L, 7): where in ``decay`` its tables begin, and their lengths;
    post spikes kept for each neuron; where its neurons' counts and histories begin. decay float32: exp(-D / tau).
    row_ptr int64 (L+1); word_ptr int64 (R+1); place int32 (words): target | delay << 10.
    """

    par: NDArray[np.float32]
    at: NDArray[np.int64]
    decay: NDArray[np.float32]
    row_ptr: NDArray[np.int64]
    word_ptr: NDArray[np.int64]
    place: NDArray[np.int32]


class Memory(NamedTuple):
    """What changes: weight float32 (words), whole numbers; step int32 and trace float32 of the last pre spike of each
    row and of the last post spikes of each neuron, a ring; posts int64, all post spikes of each neuron.
    """

    weight: NDArray[np.float32]
    pre_step: NDArray[np.int32]
    pre_trace: NDArray[np.float32]
    post_step: NDArray[np.int32]
    post_trace: NDArray[np.float32]
    posts: NDArray[np.int64]


@inner
def _decay(learners: Any, first: int, n: int, steps: int) -> Any:
    """exp(-steps / tau) from a table, 0 beyond its end."""
    return learners.decay[first + steps] if steps < n else np.float32(0)


@inner
def _updated(word: int, row: int, target: int, delay: int, t: int, one: int, learners: Any, memory: Any) -> Any:
    """The weight of a word at a pre spike of step t: all potentiations, one depression, then the nearest integer."""
    par, at = learners.par[one], learners.at[one]
    last, x, w = memory.pre_step[row], memory.pre_trace[row], memory.weight[word]
    begin, end = max(last - delay, 0), max(t - delay, 0)
    history, count = at[HISTORY], memory.posts[at[COUNT_AT] + target]
    ring, stop = at[POST_AT] + target * history, count
    if count and memory.post_step[ring + (count - 1) % history] >= t:  # in a later phase it would not have come yet
        stop -= 1
    oldest = max(stop - (history - 1), 0)
    while stop > oldest and memory.post_step[ring + (stop - 1) % history] > end:
        stop -= 1
    first = stop
    while first > oldest and memory.post_step[ring + (first - 1) % history] > begin:
        first -= 1
    for k in range(first, stop):
        steps = memory.post_step[ring + k % history] + delay - last
        w = min(par[W_MAX], w + (par[A_PLUS] * x) * _decay(learners, at[PLUS], at[N_PLUS], steps))
    if stop > oldest:
        k = ring + (stop - 1) % history
        if memory.post_step[k] != 0:
            steps = t - (memory.post_step[k] + delay)
            change = (par[A_MINUS] * memory.post_trace[k]) * _decay(learners, at[MINUS], at[N_MINUS], steps)
            w = max(par[W_MIN], w - change)
    return np.float32(np.rint(w))


@inner
def deliver_plastic(atoms: Any, base: int, one: int, t: int, learners: Any, memory: Any, ring: Any, at: int, width: int,
                    mask: int) -> int:
    """Update and deliver the rows ``base + atoms`` of learner ``one``; returns the words."""
    events = 0
    for k in range(len(atoms)):
        row = base + atoms[k]
        for s in range(learners.word_ptr[row], learners.word_ptr[row + 1]):
            target, delay = np.int64(learners.place[s] & 1023), np.int64(learners.place[s] >> 10)
            w = _updated(s, row, target, delay, t, one, learners, memory)
            memory.weight[s] = w
            ring[at + ((t + delay) & mask) * width + target] += np.int32(w)
        events += learners.word_ptr[row + 1] - learners.word_ptr[row]
        plus, n_plus = learners.at[one, PLUS], learners.at[one, N_PLUS]
        left = memory.pre_trace[row] * _decay(learners, plus, n_plus, t - memory.pre_step[row])
        memory.pre_trace[row] = left + np.float32(1)
        memory.pre_step[row] = t
    return events


@inner
def remember_post(first: int, last: int, neuron: int, t: int, learners: Any, memory: Any) -> int:
    """Put a post spike of step t into the histories of learners first .. last - 1; returns how many had to forget one
    that a row could have needed: the one that is no longer among the last history - 1.
    """
    forgotten = 0
    for one in range(first, last):
        at = learners.at[one]
        history, count = at[HISTORY], memory.posts[at[COUNT_AT] + neuron]
        ring = at[POST_AT] + neuron * history
        trace = np.float32(1)
        if count:
            k = ring + (count - 1) % history
            left = memory.post_trace[k] * _decay(learners, at[MINUS], at[N_MINUS], t - memory.post_step[k])
            trace = left + np.float32(1)
        k = ring + count % history
        if count >= history - 1:
            old = memory.post_step[ring + (count + 1) % history]
            forgotten += _needed(neuron, old, one, learners, memory)
        memory.post_step[k], memory.post_trace[k] = t, trace
        memory.posts[at[COUNT_AT] + neuron] = count + 1
    return forgotten


@inner
def _needed(neuron: int, t_post: int, one: int, learners: Any, memory: Any) -> int:
    """1 if the next pre spike of some row would have used this post spike to potentiate."""
    n_plus = learners.at[one, N_PLUS]
    for row in range(learners.row_ptr[one], learners.row_ptr[one + 1]):
        since = t_post - memory.pre_step[row]
        if memory.pre_trace[row] == 0 or since + LONGEST < 1 or since >= n_plus or t_post == 0:
            continue
        for s in range(learners.word_ptr[row], learners.word_ptr[row + 1]):
            steps = since + (learners.place[s] >> 10)
            if (learners.place[s] & 1023) == neuron and 0 < steps < n_plus:
                return 1
    return 0
