"""One sample of the crossbar machine before its first step, and what goes into it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Stimulus
from hwsdk.simulators import kernels_memristor_parts as parts
from hwsdk.simulators.memristor_machine import Machine
from hwsdk.simulators.samples import Probes

Ints = NDArray[np.int64]
Words = NDArray[np.int32]
Feed = tuple[Ints, Words, NDArray[np.float64]]
MIN_BUFFER = 1 << 16
"""Spikes that the log of a block of steps has room for, at least."""


def start(machine: Machine, sample: int, given: Feed, steps: int, column: Words, reads: int = 0) -> parts.Run:
    """A sample in its initial state. reads: so many are logged, one by one."""
    m, p, bs = machine, machine.program, [x.block for x in machine.models]
    n, senders = sum(x.n for x in p.populations), len(p.inputs) + len(p.populations)
    state = np.array([np.concatenate([np.zeros(0), *(getattr(x.cell, s).ravel() for x in p.populations)])
                      for s in ("u_init", "v_init")])
    rows, channels, columns = (max((getattr(b, a) for b in bs), default=0) for a in ("rows", "channels", "columns"))
    segments = max((len(b.segments) for b in bs), default=0)
    ladders = max((x.block.rows for x in m.models if x.noisy and x.ladder is not None), default=0)
    terms = max((len(x.forms[1]) + 1 for x in m.models if x.forms is not None), default=0)
    phases, powers = max((x.phases for x in m.models), default=1), max((len(x.power) for x in m.models), default=1)
    return parts.Run(
        sample, *given, state, _ints(n), np.zeros((m.depth, m.elements)), _ints(m.depth, senders), _ints(2, rows),
        np.zeros((2, rows)), _ints(2, segments), np.zeros((4, channels)), np.zeros((2, n)), _ints(p.macros),
        _ints(2, rows), np.zeros((5, columns)), np.zeros((2, ladders, parts.KEPT)),
        np.zeros((terms, columns), np.float32),
        _ints(steps, len(parts.STEP_COUNTS)),
        np.zeros((steps, len(parts.STEP_AMOUNTS))), np.zeros(p.macros), _ints(5),
        np.zeros((2, max(MIN_BUFFER, 2 * n)), np.int32), column, np.zeros((2, steps, int(column.max(initial=-1)) + 1)),
        _ints(reads, 5 + phases), np.zeros((reads, powers)))


def _ints(*shape: int) -> Ints:
    return np.zeros(shape, np.int64)


def feed(machine: Machine, stimulus: Stimulus) -> Feed:
    """The events of a single sample, all inputs together, by step: feed_ptr, feed and feed_value of parts.Run."""
    none = np.zeros(0, np.int32)
    step, element, sender, value = [none], [none], [none], [np.zeros(0)]
    for k, x in enumerate(machine.program.inputs):
        e = stimulus.inputs[x.name]
        step.append(e.step)
        element.append(e.index + np.int32(machine.place[x.name]))
        sender.append(np.full(len(e), k, np.int32))
        value.append(e.values())
    steps = np.concatenate(step)
    order = np.argsort(steps, kind="stable")
    ptr = np.searchsorted(steps[order], np.arange(stimulus.n_steps + 1)).astype(np.int64)
    return ptr, np.array([np.concatenate(element)[order], np.concatenate(sender)[order]]), np.concatenate(value)[order]


def columns(machine: Machine, probes: Probes) -> tuple[Words, dict[str, slice]]:
    """(N) where the states of each neuron are recorded, -1 if they are not; and those of each probed population."""
    column, where, at = np.full(sum(p.n for p in machine.program.populations), -1, np.int32), dict[str, slice](), 0
    asked = {name for name, _ in probes}
    for name, own in machine.neurons.items():
        if name in asked:
            n = own.stop - own.start
            column[own] = np.arange(at, at + n)
            where[name] = slice(at, at + n)
            at += n
    return column, where
