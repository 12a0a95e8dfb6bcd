"""One sample of a SpiNNaker 2 run before its first tick, and its input events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Stimulus
from hwsdk.simulators import kernels_spinnaker_parts as parts
from hwsdk.simulators.kernels_spinnaker_neurons import States
from hwsdk.simulators.kernels_spinnaker_parts import Clock, Feed, Log, Mail, Run, Scratch, Tally
from hwsdk.simulators.kernels_spinnaker_plastic import Memory
from hwsdk.simulators.spinnaker_machine import Machine

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Where what is probed goes: atom int32 (atoms,), synapse int32 (words that learn,) or (0,) if no weight is probed,
    -1 for the others; where: population or projection -> its columns of Log.states or Log.weights.
    """

    atom: NDArray[np.int32]
    synapse: NDArray[np.int32]
    where: dict[str, slice]


def start(machine: Machine, feed: Feed, steps: int, columns: Columns, windows: int, buffer: int) -> Run:
    """The state before the first tick. windows: rows of Mail, a power of two. buffer: spikes that a block can log."""
    w, n, pes = machine.wiring, len(machine.u), machine.program.n_pes
    carried, ways = n if machine.graded else 0, len(w.edges.source)
    learning = w.learners
    posts = _last(learning.at, parts_of_history=True, machine=machine)
    states = States(machine.u.copy(), machine.v.copy(), machine.left.copy(), np.zeros(n, np.uint8),
                    np.zeros(carried, np.float32))
    rows = len(learning.word_ptr) - 1
    memory = Memory(machine.weight.copy(), np.zeros(rows, np.int32), np.zeros(rows, np.float32),
                    np.zeros(posts, np.int32), np.zeros(posts, np.float32),
                    np.zeros(_last(learning.at, parts_of_history=False, machine=machine), np.int64))
    clock = Clock(np.zeros(pes, np.int64), np.zeros(pes), np.zeros(pes, np.uint8), np.zeros(pes, np.uint8),
                  np.zeros(ways, np.int64), np.zeros(pes), np.zeros(pes, np.int64), np.array([1, 0], np.int64))
    atom, synapse = columns.atom, columns.synapse
    log = Log(np.zeros(buffer, np.int32), np.zeros(buffer, np.int32),
              np.zeros(buffer if machine.graded else 0, np.float32), atom,
              np.zeros((2, steps, int(atom.max(initial=-1)) + 1), np.float32), synapse,
              np.zeros((steps, int(synapse.max(initial=-1)) + 1), np.float32))
    return Run(np.zeros(machine.ring, np.int32), np.zeros(machine.sums, np.float32), states, memory,
               _mail(windows, n, carried, len(w.slices.phase), pes), clock, feed, tally_of(machine, steps),
               _scratch(machine, windows), log)


def tally_of(machine: Machine, steps: int) -> Tally:
    """Nothing counted yet."""
    pes = machine.program.n_pes
    return Tally(np.zeros((steps, len(parts.STEP_COUNTS)), np.int64), np.zeros((steps, len(parts.STEP_AMOUNTS))),
                 np.zeros((pes, len(parts.PE_COUNTS)), np.int64), np.zeros(pes), np.zeros(4, np.int64), np.zeros(2))


def _last(at: IntArray, parts_of_history: bool, machine: Machine) -> int:
    """Entries of all post histories, or of all counts."""
    neurons = np.diff(machine.wiring.pes.neuron_ptr).repeat(np.diff(machine.wiring.pes.learner_ptr))
    return int((neurons * at[:, 4]).sum() if parts_of_history else neurons.sum())


def _mail(windows: int, atoms: int, carried: int, slices: int, pes: int) -> Mail:
    """Nothing sent yet."""
    return Mail(np.zeros((windows, atoms), np.int32), np.zeros((windows, carried), np.float32),
                np.zeros((windows, slices), np.int64), np.full((windows, pes), -1, np.int64),
                np.zeros((windows, pes), np.int64), np.zeros((windows, pes)))


def _scratch(machine: Machine, windows: int) -> Scratch:
    """Buffers."""
    w = machine.wiring
    most = int(np.diff(w.edges.ptr).max(initial=0)) * windows
    ways, largest = len(w.edges.source), int(np.diff(w.pes.neuron_ptr).max(initial=0))
    return Scratch(np.zeros(parts.MINE, np.int64), np.zeros(largest + 1, np.int32), np.zeros(ways, np.int64),
                   np.zeros(ways, np.int64), np.zeros(most), np.zeros(most, np.int64), np.zeros(most, np.int64),
                   np.zeros(most, np.int64))


def longer(machine: Machine, run: Run, window: int) -> Run:
    """The same run before ``window`` with room for what was sent in twice as many windows."""
    old = run.mail
    rows, (n, pes) = len(old.n), (old.n.shape[1], old.window.shape[1])
    new = _mail(2 * rows, old.atoms.shape[1], old.values.shape[1], n, pes)
    for w in range(max(window - rows, 0), window):
        for name in old._fields:
            getattr(new, name)[w % (2 * rows)] = getattr(old, name)[w % rows]
    return run._replace(mail=new, scratch=_scratch(machine, 2 * rows))


def feed(machine: Machine, stimulus: Stimulus, steps: int) -> Feed:
    """The input events of one sample, by step and atom. An element that no PE holds goes nowhere."""
    program, sender = machine.program, machine.sender
    step, atom, value = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for k, source in enumerate(program.inputs):
        e = stimulus.inputs[source.name]
        keep = e.step < steps
        held = np.flatnonzero(sender == k)
        element = program.arrays.neuron[held]
        order = np.argsort(element, kind="stable")
        ptr = np.searchsorted(element[order], np.arange(source.n + 1))
        copies = np.diff(ptr)[e.index[keep]]
        within = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
        step.append(np.repeat(e.step[keep], copies).astype(np.int64))
        atom.append(held[order][np.repeat(ptr[e.index[keep]], copies) + within])
        value.append(np.repeat(e.values()[keep], copies))
    steps_of, atoms = np.concatenate(step), np.concatenate(atom)
    order = np.lexsort((atoms, steps_of))
    ptr = np.searchsorted(steps_of[order], np.arange(steps + 1)).astype(np.int64)
    carried = np.concatenate(value)[order].astype(np.float32) if machine.graded else np.zeros(0, np.float32)
    return Feed(ptr, atoms[order].astype(np.int32), carried)
