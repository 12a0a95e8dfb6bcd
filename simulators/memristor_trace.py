"""What the runs of a crossbar simulation recorded, as one Trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Events
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.simulators import kernels_memristor_parts as parts
from hwsdk.simulators import samples
from hwsdk.simulators.memristor_machine import Machine
from hwsdk.simulators.samples import Probes

STATES = ("u", "v")
READ_OUT = "v"
"""The state that a population that does not fire puts out."""


@dataclass(slots=True)
class Record:
    """One sample: step and neuron of all spikes, block by block, and its last state."""

    run: parts.Run
    steps: list[NDArray[np.int32]] = field(default_factory=list)
    neurons: list[NDArray[np.int32]] = field(default_factory=list)

    def add(self, written: int) -> None:
        """The spikes of a block."""
        self.steps.append(self.run.spikes[0, :written].copy())
        self.neurons.append(self.run.spikes[1, :written].copy())


def wanted(program: CrossbarProgram, probes: Iterable[tuple[str, str]] | str) -> Probes:
    """The states to record: those asked for, and what is read out; see hwsdk.simulators.samples.wanted."""
    readouts = tuple((p.name, READ_OUT) for p in program.populations if not p.cell.fires)
    return samples.wanted({p.name: STATES for p in program.populations}, readouts, probes)


def trace(machine: Machine, records: list[Record], steps: int, probes: Probes, where: dict[str, slice]) -> Trace:
    """All samples as one trace."""
    program, runs = machine.program, [r.run for r in records]
    states = {(name, state): np.stack([r.states[STATES.index(state), :, where[name]] for r in runs])
              for name, state in probes}
    spikes = _spikes(machine, records, steps)
    for p in program.populations:
        if not p.cell.fires:
            spikes[p.name] = _events(p.shape, states[p.name, READ_OUT])
    for name, sources in program.outputs.items():
        spikes[name] = spikes[sources[0]] if len(sources) == 1 else _sum([spikes[s] for s in sorted(sources)])
    return Trace(len(runs), steps, spikes, states, _counts(machine, runs), program.lag)


def _counts(machine: Machine, runs: list[parts.Run]) -> dict[str, NDArray[np.generic]]:
    """Everything counted."""
    kinds: dict[str, NDArray[np.generic]] = {}
    for i, name in enumerate(parts.STEP_COUNTS):
        kinds[name] = np.stack([r.counts[:, i] for r in runs])
    for i, name in enumerate(parts.STEP_AMOUNTS):
        kinds[name] = np.stack([r.amounts[:, i] for r in runs])
    kinds["macro_seconds"] = np.stack([r.macros for r in runs])
    return kinds


def _spikes(machine: Machine, records: list[Record], steps: int) -> dict[str, Events]:
    """Population -> its spikes in all samples."""
    none = np.zeros(0, np.int32)
    sample = np.repeat(np.arange(len(records), dtype=np.int32), [sum(map(len, r.steps)) for r in records])
    step = np.concatenate([none, *(x for r in records for x in r.steps)])
    neuron = np.concatenate([none, *(x for r in records for x in r.neurons)])
    found = {}
    for p in machine.program.populations:
        own = machine.neurons[p.name]
        here = (neuron >= own.start) & (neuron < own.stop)
        found[p.name] = Events(p.shape, len(records), steps, sample[here], step[here],
                               neuron[here] - np.int32(own.start))
    return found


def _events(shape: tuple[int, ...], v: NDArray[np.float64]) -> Events:
    """A state as events with values."""
    sample, step, index = np.nonzero(v)
    value = v[sample, step, index]
    return Events(shape, v.shape[0], v.shape[1], sample.astype(np.int32), step.astype(np.int32),
                  index.astype(np.int32), None if (value == 1).all() else value)


def _sum(events: list[Events]) -> Events:
    """Several populations that meet at one output."""
    total = events[0].dense()
    for e in events[1:]:
        total = total + e.dense()
    return _events(events[0].shape, total)
