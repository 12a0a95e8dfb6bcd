"""What the runs of a Loihi simulation recorded, as one Trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Events
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import GRADED, READ_OUT, STATES, LoihiProgram
from hwsdk.simulators import kernels, samples
from hwsdk.simulators.kernels_mesh import CORE_MESSAGES, CORE_SYNOPS, SPIKES, STEP_COUNTS
from hwsdk.simulators.loihi_check import core_order

Array = NDArray[np.generic]
IntArray = NDArray[np.int64]
Probes = samples.Probes


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What one run gave, block by block. neurons: core-order indices of all spikes, step after step; values: what each
    carries, (0,) where all carry 1; probed: states, (state, steps, neurons). counts (steps, kinds) and core_totals
    (cores, 2): of the whole run.
    """

    neurons: list[NDArray[np.int32]]
    values: list[IntArray]
    probed: list[Array]
    counts: IntArray
    core_totals: IntArray

    def add(self, t: int, ends: list[tuple[int, int]], logs: list[kernels.Log], where: list[IntArray]) -> None:
        """A block of all parts from step t on. ends: (next step, spikes written); where: their probed neurons."""
        stop = ends[0][0]
        step = np.concatenate([np.repeat(np.arange(stop - t), log.counts[t:stop, SPIKES]) for log in logs])
        order = np.argsort(step, kind="stable") if len(logs) > 1 else slice(None)
        self.neurons.append(np.concatenate([log.spikes[:n] for log, (_, n) in zip(logs, ends, strict=True)])[order])
        if len(logs[0].values):
            self.values.append(np.concatenate([log.values[:n] for log, (_, n) in zip(logs, ends, strict=True)])[order])
        states = logs[0].states
        whole = np.zeros((len(states), stop - t, sum(len(w) for w in where)), states.dtype)
        for log, own in zip(logs, where, strict=True):
            whole[:, :, own] = log.states[:, : stop - t]
        self.probed.append(whole)

    def closed(self, counts: IntArray, core_totals: IntArray) -> Record:
        """With the counts of all parts."""
        return Record([np.concatenate([np.zeros(0, np.int32), *self.neurons])],
                      [np.concatenate([np.zeros(0, np.int64), *self.values])], self.probed, counts, core_totals)


def probe_neurons(program: LoihiProgram, probes: Probes) -> IntArray:
    """Core-order indices of the probed neurons, population by population, each in id order."""
    names, n_inputs, rank = {name for name, _ in probes}, sum(s.n for s in program.inputs), core_order(program)
    parts = [rank[s.first - n_inputs : s.first - n_inputs + s.n] for s in program.populations if s.name in names]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def wanted(program: LoihiProgram, probes: Iterable[tuple[str, str]] | str) -> Probes:
    """The states to record: those asked for, and what is read out; see hwsdk.simulators.samples.wanted."""
    readouts = tuple((s.name, READ_OUT[s.model]) for s in program.populations if not s.fires)
    return samples.wanted({s.name: STATES[s.model] for s in program.populations}, readouts, probes)


def trace(program: LoihiProgram, runs: list[Record], steps: int, probes: Probes) -> Trace:
    """All samples as one trace."""
    sample, step, ident, value = _raster(program, runs, steps)
    states = _states(program, runs, probes)
    spikes: dict[str, Events] = {}
    for s in program.populations:
        own = slice(None) if s.n == program.n_neurons else (ident >= s.first) & (ident < s.first + s.n)
        index = (ident[own] - s.first).astype(np.int32)
        carried = value[own].astype(np.float64) if s.model in GRADED else None
        spikes[s.name] = Events(s.shape, len(runs), steps, sample[own], step[own], index, _unless_ones(carried))
        if not s.fires:
            spikes[s.name] = _readout(s.shape, states[s.name, READ_OUT[s.model]])
    spikes |= {name: spikes[sources[0]] for name, sources in program.outputs.items() if len(sources) == 1}
    kinds = {k: np.stack([r.counts[:, i] for r in runs]) for i, k in enumerate(STEP_COUNTS)}
    kinds["neuron_updates"] = np.full((len(runs), steps), program.n_neurons, np.int64)
    kinds["core_synops"] = np.stack([r.core_totals[:, CORE_SYNOPS] for r in runs])
    kinds["core_messages"] = np.stack([r.core_totals[:, CORE_MESSAGES] for r in runs])
    lag = {s.name: s.lag for s in program.populations}
    lag |= {name: lag[sources[0]] for name, sources in program.outputs.items() if len(sources) == 1}
    return Trace(len(runs), steps, spikes, states, kinds, lag)


def _raster(program: LoihiProgram, runs: list[Record], steps: int,
            ) -> tuple[NDArray[np.int32], NDArray[np.int32], IntArray, IntArray]:
    """(sample, step, id, value) of all spikes, sorted in this order; no values where all are 1."""
    sample = np.repeat(np.arange(len(runs), dtype=np.int32), [len(r.neurons[0]) for r in runs])
    step = np.repeat(np.tile(np.arange(steps, dtype=np.int32), len(runs)),
                     np.concatenate([r.counts[:, SPIKES] for r in runs]))
    ident = program.arrays.source_id[np.concatenate([r.neurons[0] for r in runs])]
    value = np.concatenate([r.values[0] for r in runs])
    if (np.diff(program.arrays.source_id) < 0).any():
        order = np.lexsort((ident, step, sample))
        ident, value = ident[order], value[order[: len(value)]]
    return sample, step, ident, value


def _states(program: LoihiProgram, runs: list[Record], probes: Probes) -> dict[tuple[str, str], Array]:
    """(population, state) -> (samples, steps, n)."""
    if not probes:
        return {}
    whole = np.stack([np.concatenate(r.probed, axis=1) for r in runs])
    names = {name for name, _ in probes}
    states, first = {}, 0
    for s in program.populations:
        if s.name in names:
            for k, state in enumerate(STATES[s.model]):
                if (s.name, state) in probes:
                    states[s.name, state] = whole[:, k, :, first : first + s.n]
            first += s.n
    return states


def _readout(shape: tuple[int, ...], v: Array) -> Events:
    """A membrane as events with values."""
    sample, step, index = np.nonzero(v)
    return Events(shape, v.shape[0], v.shape[1], sample.astype(np.int32), step.astype(np.int32),
                  index.astype(np.int32), _unless_ones(v[sample, step, index].astype(np.float64)))


def _unless_ones(values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """No values where all are 1."""
    return None if values is None or (values == 1).all() else values
