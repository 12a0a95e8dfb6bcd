"""Numba kernel of the astrocyte-modulated STDP of NALSM (Ivanov and Michmizos, NeurIPS 2021, arXiv 2111.01760).

A plain twin is in the tests; both give the same bits.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.simulators.kernels_sync import inner, kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
INPUT, EXCITATORY, INHIBITORY = 0, 1, 2
"""Kinds of synapses: from an input (either sign), and within the liquid by the sign that they keep."""


class Wires(NamedTuple):
    """S synapses from P = C inputs and then N neurons: those of unit p are first[p] to first[p + 1], by ascending post.

    first (P + 1,), post (S,), kind (S,): one of INPUT, EXCITATORY, INHIBITORY; all int64.
    """

    first: Ints
    post: Ints
    kind: Ints


class Cells(NamedTuple):
    """N neurons whose synaptic currents decay in K classes. All float64 but group, rests (int64).

    leak (N,): what is left of v after a step. bias, threshold (N,). group (N,): its synapses' class. decay, gain (K,).
    rests (N,): steps after a spike without another one. strict: a spike above the threshold, not at it. restart: a new
    spike restarts the current of a synapse, it does not add to it. holds: v rests too.
    """

    leak: Floats
    bias: Floats
    threshold: Floats
    group: Ints
    decay: Floats
    gain: Floats
    rests: Ints
    strict: bool
    restart: bool
    holds: bool


class Law(NamedTuple):
    """STDP with an astrocyte, in the units of the weights. learns: False leaves the weights. frozen: the astrocyte
    stays at its bias.
    """

    potentiation: float
    trace_step: float
    trace_decay: float
    astrocyte_weight: float
    astrocyte_tau: float
    astrocyte_bias: float
    clip: float
    learns: bool
    frozen: bool


class State(NamedTuple):
    """What runs on: v, drive (N,), left (N,) int64, spike (P,) uint8, current (P, K), trace (P,)."""

    v: Floats
    drive: Floats
    left: Ints
    spike: NDArray[np.uint8]
    current: Floats
    trace: Floats


@inner
def _fire(cells: Any, state: Any, at: int) -> int:
    """Spikes of the liquid, and the resets; returns how many. at: the first neuron's place among the units."""
    count = 0
    for i in range(len(state.v)):
        above = state.v[i] > cells.threshold[i] if cells.strict else state.v[i] >= cells.threshold[i]
        fires = above and (cells.holds or state.left[i] == 0)
        state.spike[at + i] = fires
        if fires:
            state.v[i] = 0.0
            count += 1
            if cells.holds:
                state.left[i] = cells.rests[i]
    return count


@inner
def _currents(wires: Any, cells: Any, weight: Any, state: Any) -> None:
    """The currents of this step, summed over units in order."""
    for i in range(len(state.v)):
        state.drive[i] = 0.0
    for p in range(len(state.spike)):
        some = False
        for k in range(len(cells.decay)):
            if state.spike[p]:
                state.current[p, k] = 1.0 if cells.restart else state.current[p, k] + 1.0
            some = some or state.current[p, k] != 0.0
        if some:
            for s in range(wires.first[p], wires.first[p + 1]):
                i = wires.post[s]
                state.drive[i] += weight[s] * state.current[p, cells.group[i]]


@inner
def _integrate(cells: Any, state: Any, at: int) -> None:
    """Membranes and refractory periods; then the currents decay."""
    for i in range(len(state.v)):
        if cells.holds and state.left[i] > 0:
            state.left[i] -= 1
            continue
        state.v[i] = cells.leak[i] * state.v[i] + cells.bias[i] + cells.gain[cells.group[i]] * state.drive[i]
        if not cells.holds:
            state.left[i] = cells.rests[i] if state.spike[at + i] else max(state.left[i] - 1, 0)
    for p in range(len(state.spike)):
        for k in range(len(cells.decay)):
            state.current[p, k] *= cells.decay[k]


@inner
def _learn(wires: Any, law: Any, weight: Any, state: Any, depression: float, at: int) -> None:
    """One step of the rule for all synapses. depression: the astrocyte's level."""
    for p in range(len(state.spike)):
        for s in range(wires.first[p], wires.first[p + 1]):
            i = at + wires.post[s]
            if not (state.spike[p] or state.spike[i]):
                continue
            after = state.trace[p] if state.spike[i] else 0.0
            before = state.trace[i] if state.spike[p] else 0.0
            if wires.kind[s] == INHIBITORY:
                w = weight[s] - depression * after + law.potentiation * before
            else:
                w = weight[s] + law.potentiation * after - depression * before
            low = 0.0 if wires.kind[s] == EXCITATORY else -law.clip
            high = 0.0 if wires.kind[s] == INHIBITORY else law.clip
            weight[s] = min(max(w, low), high)


@kernel
def nalsm(wires: Any, cells: Any, law: Any, inputs: Any, weight: Any, state: Any, level: Any, spikes: Any) -> None:
    """Show samples one after another, each from rest; traces go on from sample to sample, as in the authors' code.

    A step: neurons above the threshold fire; spikes of inputs and neurons act on membranes at once, which can fire in
    the next step; then the weights, the traces and the astrocyte follow.

    Args:
        inputs (B, T, C) uint8: spikes. weight (S,): changed. level (B, T): the astrocyte after each step, written.
        spikes (B, T, N) uint8, or (0, 0, 0): the liquid's spikes, written.
    """
    at = inputs.shape[2]
    for b in range(inputs.shape[0]):
        state.v[:] = 0.0
        state.left[:] = 0
        state.current[:] = 0.0
        astrocyte = law.astrocyte_bias
        for t in range(inputs.shape[1]):
            arrived = 0
            for c in range(at):
                state.spike[c] = inputs[b, t, c]
                arrived += inputs[b, t, c]
            fired = _fire(cells, state, at)
            _currents(wires, cells, weight, state)
            _integrate(cells, state, at)
            if law.learns:
                _learn(wires, law, weight, state, astrocyte, at)
                for p in range(len(state.spike)):
                    state.trace[p] = law.trace_decay * (state.trace[p] + law.trace_step * state.spike[p])
            if not law.frozen:
                push = law.astrocyte_weight * (fired - arrived) + law.astrocyte_bias - astrocyte
                astrocyte += push / law.astrocyte_tau
            level[b, t] = astrocyte
            if spikes.shape[0]:
                for i in range(len(state.v)):
                    spikes[b, t, i] = state.spike[at + i]
