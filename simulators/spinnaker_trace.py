"""What the runs of a SpiNNaker 2 simulation recorded, as one Trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Events
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import STATES, SpinnakerProgram
from hwsdk.simulators import samples
from hwsdk.simulators.kernels_spinnaker_parts import PE_COUNTS, SOURCE, STEP_AMOUNTS, STEP_COUNTS, Feed, Run
from hwsdk.simulators.kernels_spinnaker_sort import Order, sort_spikes
from hwsdk.simulators.spinnaker_machine import Machine
from hwsdk.simulators.spinnaker_state import Columns

IntArray = NDArray[np.int64]
Floats = NDArray[np.float32]
Probes = samples.Probes
READ_OUT = {"lif": "v", "egru": "h"}
"""Neuron model -> the state that a population that does not fire is read out by."""
ROW = {"u": 0, "v": 1, "h": 1}
"""State -> row of Log.states."""
WEIGHT = "weight"
"""What can be probed of a projection that learns."""
EVENT_BYTES = 8
"""Of a spike list: step and atom."""


@dataclass(slots=True)
class Record:
    """What one run gave: atom, step and value of all spikes, block by block, and its last state."""

    run: Run
    atoms: list[NDArray[np.int32]] = field(default_factory=list)
    steps: list[NDArray[np.int32]] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)

    def add(self, run: Run, written: int) -> None:
        """The spikes of a block."""
        self.run = run
        self.atoms.append(run.log.atom[:written].copy())
        self.steps.append(run.log.step[:written].copy())
        self.values.append(run.log.value[:written].copy())

    def closed(self, machine: Machine, steps: int) -> Sorted:
        """In the order of population, step and element."""
        program, n = machine.program, len(machine.program.senders)
        atom, step, value = (np.concatenate(x) for x in (self.atoms, self.steps, self.values))
        place = np.r_[0, np.cumsum([s.n for s in program.senders])][machine.sender] + program.arrays.neuron
        order = Order(place, np.zeros(int(place.max(initial=0)) + 2, np.int64), machine.sender * steps,
                      np.zeros(n * steps + 1, np.int64), np.empty(len(atom), np.int64), np.empty_like(value))
        to_atom, to_step = np.empty(len(atom), np.int32), np.empty(len(atom), np.int32)
        carried = np.empty(len(value), np.float32)
        sort_spikes(atom, step, value, order, to_atom, to_step, carried)
        ptr = np.r_[0, order.groups[:-1].reshape(n, steps)[:, -1]]
        return Sorted(self.run, ptr, to_step, program.arrays.neuron[to_atom], carried)


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """The spikes of one run by sender, step and element: ptr int64 (senders+1); step, index int32 and value float32."""

    run: Run
    ptr: IntArray
    step: NDArray[np.int32]
    index: NDArray[np.int32]
    value: Floats

    def of(self, sender: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """(step, index, value) of one sender's; no values where packets carry none."""
        own = slice(self.ptr[sender], self.ptr[sender + 1])
        return self.step[own], self.index[own], self.value[own].astype(np.float64)


def wanted(program: SpinnakerProgram, probes: Iterable[tuple[str, str]] | str) -> Probes:
    """The states to record: those asked for, and what is read out; see hwsdk.simulators.samples.wanted."""
    readouts = tuple((s.name, READ_OUT[s.model]) for s in program.populations if not s.fires)
    known = {s.name: STATES[s.model] for s in program.populations} | {x.name: (WEIGHT,) for x in program.learned}
    return samples.wanted(known, readouts, probes)


def columns(machine: Machine, probes: Probes) -> Columns:
    """Where the states of each probed population and the weights of each probed projection go."""
    program = machine.program
    column, where, at = np.full(len(machine.sender), -1, np.int32), dict[str, slice](), 0
    for k, s in enumerate(program.populations, len(program.inputs)):
        if s.name in {name for name, _ in probes}:
            own = np.flatnonzero(machine.sender == k)
            column[own] = at + program.arrays.neuron[own]
            where[s.name] = slice(at, at + s.n)
            at += s.n
    first, at, synapse = 0, 0, np.full(len(machine.synapse), -1, np.int32)
    for x in program.learned:
        if (x.name, WEIGHT) in probes:
            words = np.flatnonzero((machine.synapse >= first) & (machine.synapse < first + x.n))
            synapse[words] = at - first + machine.synapse[words]
            where[x.name] = slice(at, at + x.n)
            at += x.n
        first += x.n
    return Columns(column, synapse if at else synapse[:0], where)


def trace(machine: Machine, records: list[Sorted], steps: int, probes: Probes, where: dict[str, slice]) -> Trace:
    """All samples as one trace."""
    program, runs = machine.program, [r.run for r in records]
    states = {(name, state): np.stack([
        r.log.weights[:, where[name]] if state == WEIGHT else r.log.states[ROW[state], :, where[name]] for r in runs])
        for name, state in probes}
    spikes = _spikes(machine, records, steps)
    for s in program.populations:
        if not s.fires:
            spikes[s.name] = _readout(s.shape, states[s.name, READ_OUT[s.model]])
    lag = {s.name: s.lag for s in program.populations}
    for name, sources in program.outputs.items():
        if len(sources) == 1:
            spikes[name], lag[name] = spikes[sources[0]], lag[sources[0]]
    return Trace(len(runs), steps, spikes, states, _counts(machine, runs, steps), lag)


def _counts(machine: Machine, runs: list[Run], steps: int) -> dict[str, NDArray[np.generic]]:
    """Everything counted."""
    kinds: dict[str, NDArray[np.generic]] = {}
    for i, name in enumerate(STEP_COUNTS):
        kinds[name] = np.stack([r.tally.counts[:, i] for r in runs])
    for i, name in enumerate(STEP_AMOUNTS):
        kinds[name] = np.stack([r.tally.amounts[:, i] for r in runs])
    for i, name in enumerate(PE_COUNTS):
        kinds[name] = np.stack([r.tally.pe[:, i] for r in runs])
    kinds["pe_cycles"] = np.stack([r.tally.pe_cycles for r in runs])
    kinds["source_refills"] = np.stack([_refills(machine, r.feed, steps) for r in runs])
    kinds["record_flushes"] = np.repeat(_flushes(machine, steps)[None], len(runs), 0)
    return kinds


def _spikes(machine: Machine, records: list[Sorted], steps: int) -> dict[str, Events]:
    """Population -> its spikes in all samples."""
    found = {}
    for k, s in enumerate(machine.program.populations, len(machine.program.inputs)):
        own = [r.of(k) for r in records]
        step, index, value = (np.concatenate(x) for x in zip(*own, strict=True))
        sample = np.repeat(np.arange(len(records), dtype=np.int32), [len(x[0]) for x in own])
        found[s.name] = Events(s.shape, len(records), steps, sample, step, index,
                               _unless_ones(value) if s.model == "egru" else None)
    return found


def _refills(machine: Machine, feed: Feed, steps: int) -> IntArray:
    """Spike lists that the host fills again in each step: those of PEs that have no room for all their events."""
    found, w, room = np.zeros(steps, np.int64), machine.wiring.pes, machine.program.data_bytes - machine.needed
    step = np.repeat(np.arange(steps), np.diff(feed.ptr))
    for p in np.flatnonzero(w.model == SOURCE) if machine.program.data_bytes else ():
        own = step[(feed.atom >= w.neuron_ptr[p]) & (feed.atom < w.neuron_ptr[p + 1])]
        events = max(int(room[p]) // EVENT_BYTES, 1)
        found += np.bincount(own[events::events], minlength=steps)
    return found


def _flushes(machine: Machine, steps: int) -> IntArray:
    """Recordings that the host fetches in each step, to make room for it."""
    found = np.zeros(steps, np.int64)
    for taken, needed in zip(machine.record_bytes.tolist(), machine.needed.tolist(), strict=True):
        if taken and machine.program.data_bytes:
            room = 1 + max(machine.program.data_bytes - needed, 0) // taken
            found[room::room] += 1
    return found


def _readout(shape: tuple[int, ...], v: NDArray[np.generic]) -> Events:
    """A state as events with values."""
    sample, step, index = np.nonzero(v)
    return Events(shape, v.shape[0], v.shape[1], sample.astype(np.int32), step.astype(np.int32),
                  index.astype(np.int32), _unless_ones(v[sample, step, index].astype(np.float64)))


def _unless_ones(values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """No values where all are 1."""
    return None if values is None or (values == 1).all() else values
