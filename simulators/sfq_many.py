"""Many runs of one netlist under different conditions, all in one kernel: a Monte Carlo of jitter, spread and bias."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.simulators import kernels_sfq_parts as parts
from hwsdk.simulators.kernels_sfq import Frames, Runs
from hwsdk.simulators.kernels_sfq import many as many_kernel
from hwsdk.simulators.sfq import NOMINAL, Conditions, build, frames_of
from hwsdk.simulators.sfq_machine import Machine, noise_key, params, sources
from hwsdk.simulators.sfq_run import start

Ints = NDArray[np.int64]
CELLS_AT_A_TIME = 1 << 24
"""Cells times runs whose delays are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class ManyRuns:
    """R runs of S samples. spikes: layer, and output that reads one -> int64 (R, S, n), over the model's steps.
    absorbed, timing, deliveries int64 (R, S).
    """

    conditions: tuple[Conditions, ...]
    spikes: dict[str, Ints]
    absorbed: Ints
    timing: Ints
    deliveries: Ints


def many(program_or_machine: object, stimulus: Stimulus, runs: int | Sequence[Conditions], *,
         conditions: Conditions = NOMINAL) -> ManyRuns:
    """The spike counts of many runs.

    Args:
        program_or_machine: a PulseNetlist, or what ``build`` made of it.
        runs: the conditions of each; or their number: run k is then under ``conditions`` with the seed + k.

    Raises:
        as hwsdk.simulators.sfq.run.
    """
    machine = program_or_machine if isinstance(program_or_machine, Machine) else build(program_or_machine)  # type: ignore[arg-type]
    chosen = tuple(dataclasses.replace(conditions, seed=conditions.seed + k) for k in range(runs)) if isinstance(
        runs, int) else tuple(runs)
    p, frames = machine.program, frames_of(machine.program, stimulus, None)
    if any(c.policy == "raise" for c in chosen) or not chosen:
        raise DataError('no runs, or the policy "raise"', code="BAD_CONDITIONS", fix='give runs; "record" or "drop"')
    keys = [sources(machine, stimulus.one(k), frames) for k in range(stimulus.n_samples)]
    sums = np.zeros((len(chosen), len(keys), parts.AT), np.int64)
    spikes = np.zeros((len(chosen), len(keys), len(p.arrays.spike_net)), np.int64)
    for first, last in _chunks(chosen, max(CELLS_AT_A_TIME // max(p.n_cells, 1), 1)):
        _some(machine, chosen[first:last], keys, frames, stimulus.n_steps, spikes[first:last], sums[first:last])
    by_name = {x.name: spikes[:, :, p.neurons(x.name)] for x in p.layers}
    by_name |= {n: by_name[x[0]] for n, x in p.outputs.items() if len(x) == 1}
    return ManyRuns(chosen, by_name, *(sums[:, :, k] for k in (parts.LOST, parts.EARLY, parts.DELIVERED)))


def _shared(c: Conditions) -> tuple[object, ...]:
    """What is the same for all runs of one call of the kernel."""
    return c.policy, c.jitter, c.temperature_k, c.unknown_sigma_fs


def _chunks(chosen: Sequence[Conditions], most: int) -> list[tuple[int, int]]:
    """(first, last) of runs that the kernel can do in one call."""
    cuts = [k for k in range(1, len(chosen)) if _shared(chosen[k]) != _shared(chosen[k - 1])]
    ends = [0, *cuts, len(chosen)]
    return [(k, min(k + most, b)) for a, b in pairwise(ends) for k in range(a, b, most)]


def _some(machine: Machine, chosen: Sequence[Conditions], keys: list[Ints], frames: int, steps: int, spikes: Ints,
          sums: Ints) -> None:
    """Runs that share a policy and the sigma of jitter, into spikes and sums."""
    p, w = machine.program, machine.wires
    own = [params(machine, c) for c in chosen]
    end = p.schedule.start_fs + (frames + 1) * p.schedule.frame_fs
    noise = np.array([[noise_key(c, k) if own[0].noisy else 0 for k in range(len(keys))] for c in chosen], np.uint64)
    runs = Runs(np.stack([c.delay for c in own]), np.stack([c.theta for c in own]), np.stack([c.slow for c in own]),
                noise, np.concatenate(keys), np.cumsum([0, *map(len, keys)]), end << w.bits)
    state, first = start(machine, keys[0], np.uint64(0)), 0
    shared = _frames(machine, steps), machine.watching(p.arrays.spike_net), own[0]
    while (first := many_kernel(first, runs, *shared, state, spikes, sums)) < len(own):
        state = state._replace(queue=np.concatenate([state.queue, np.zeros_like(state.queue)]))


def _frames(machine: Machine, steps: int) -> Frames:
    """The times within which each neuron's pulses belong to a step of the model, as sfq_trace.frame_of has it."""
    p, s = machine.program, machine.program.schedule
    read, lag = np.repeat(np.array([(x.read_fs, x.lag) for x in p.layers], np.int64).reshape(-1, 2),
                          [x.n for x in p.layers], axis=0).T
    begin = s.start_fs + read - s.frame_fs // 2 + lag * s.frame_fs
    return Frames(machine.neuron_of, begin, begin + steps * s.frame_fs)
