"""One step at a time: the SpiNNaker 2 simulator for a host that decides on the next input when it has seen the output.

The machine and its kernels are those of hwsdk.simulators.spinnaker, so that the same inputs give the same events,
counts and times as one run over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, ProgramError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.simulators import kernels_spinnaker_parts as parts
from hwsdk.simulators.kernels_spinnaker import read_last, run_windows
from hwsdk.simulators.kernels_spinnaker_parts import Feed, Run
from hwsdk.simulators.samples import one_step
from hwsdk.simulators.spinnaker import FIRST_WINDOWS, MOST_WINDOWS, build
from hwsdk.simulators.spinnaker_machine import Machine
from hwsdk.simulators.spinnaker_state import feed, longer, start, tally_of
from hwsdk.simulators.spinnaker_trace import READ_OUT, ROW, Record, columns, trace, wanted

Floats = NDArray[np.float64]
FIRST_STEPS, FIRST_EVENTS = 64, 1024
"""Room for so much at first; it doubles."""


def walk(program: SpinnakerProgram) -> Walk:
    """A program in its initial state, ready for its first step.

    Raises:
        ProgramError: the program does not hold together.
    """
    return Walk(build(program))


class Walk:
    """A program in motion. What a PE computes in a step is there at once only if it is in time; see ``step``."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._program = machine, machine.program
        self._probes = wanted(machine.program, ())
        self._columns = columns(machine, self._probes)
        self._first = np.r_[0, np.cumsum([s.n for s in machine.program.senders])]
        self._place = self._first[machine.sender] + machine.program.arrays.neuron
        self.reset()

    @property
    def steps(self) -> int:
        """Steps since the last reset."""
        return self._t

    def reset(self) -> None:
        """Back to the initial state."""
        m = self._machine
        empty = Feed(np.zeros(FIRST_STEPS + 1, np.int64), np.zeros(FIRST_EVENTS, np.int32),
                     np.zeros(FIRST_EVENTS * m.graded, np.float32))
        run = start(m, empty, FIRST_STEPS, self._columns, FIRST_WINDOWS, (self._program.phases + 1) * len(m.u))
        self._record, self._t = Record(run), 0

    def step(self, inputs: Mapping[str, Any]) -> dict[str, Floats]:
        """Do one step.

        Args:
            inputs: input name -> its values in this step, (n,) or of the input's shape.

        Returns:
            Population or output name -> (n,) float64: the values of what it has sent, 0 where it has sent nothing; of
            a population that does not fire, the state that it is read out by. A population of lag d tells what the
            network does d steps earlier, as in a trace. Where a PE is late, its events come in the step that it
            sends them in; ``trace`` has them at the step of the PE's own clock.

        Raises:
            DataError: the inputs are not those of the program.
        """
        self._take(inputs)
        sent = len(self._record.atoms)
        phases, t = self._program.phases, self._t
        k, end = t * phases, (t + 1) * phases
        while k < end:
            run = self._record.run
            k, written, why = run_windows(parts.Block(k, end, 0, False), self._machine.wiring, run)
            self._record.add(run, written)
            if why == parts.MORE:
                self._record.run = self._longer(run, k)
        self._t += 1
        return self._values(sent)

    def trace(self) -> Trace:
        """All steps since the last reset, as ``run`` gives them: one sample, with counts and without probes.

        Raises:
            DataError: there was no step.
        """
        if not self._t:
            raise DataError("no step has been done", where=self._program.name, code="NO_DATA", fix="call step first")
        run, n = self._record.run, self._t
        own = run._replace(
            feed=run.feed._replace(ptr=run.feed.ptr[: n + 1], atom=run.feed.atom[: run.feed.ptr[n]]),
            tally=run.tally._replace(counts=run.tally.counts[:n], amounts=run.tally.amounts[:n]),
            log=run.log._replace(states=run.log.states[:, :n]))
        record = Record(own, self._record.atoms, self._record.steps, self._record.values)
        return trace(self._machine, [record.closed(self._machine, n)], n, self._probes, self._columns.where)

    def weights(self) -> dict[str, Floats]:
        """What the program has learned: projection -> (synapses,) float64, whole numbers as a probe of ``run`` gives
        them after the last step. PEs change weights in the tick after; here they do so in a copy.
        """
        m, run, learned = self._machine, self._record.run, self._program.learned
        if not learned:
            return {}
        then = run._replace(ring=run.ring.copy(), memory=deepcopy(run.memory), clock=deepcopy(run.clock),
                            tally=tally_of(m, 1))
        read_last(self._t * self._program.phases, m.wiring, then)
        found = np.zeros(len(m.synapse))
        found[m.synapse] = then.memory.weight
        ends = np.cumsum([x.n for x in learned])
        return {x.name: part for x, part in zip(learned, np.split(found, ends[:-1]), strict=True)}

    def _take(self, inputs: Mapping[str, Any]) -> None:
        """Put the events of one step behind those before."""
        m, program = self._machine, self._program
        shapes = program.input_shapes
        if set(inputs) != set(shapes):
            raise DataError(f"values for {sorted(inputs)}, there are inputs {sorted(shapes)}", code="WRONG_INPUTS",
                            fix="give one array for each input")
        given = {n: one_step(n, x, shapes[n]) for n, x in inputs.items()}
        stimulus = Stimulus.dense(given, shapes) if shapes else Stimulus.silent(1)
        stimulus.require(shapes, whole=not m.graded, graded=m.graded, chip=program.target)
        new = feed(m, stimulus, 1)
        run = _with_room(self._record.run, self._t + 1, len(new.atom))
        at, t = int(run.feed.ptr[self._t]), self._t
        run.feed.ptr[t + 1 :] = at + len(new.atom)
        run.feed.atom[at : at + len(new.atom)] = new.atom
        run.feed.value[at : at + len(new.value)] = new.value
        self._record.run = run

    def _longer(self, run: Run, window: int) -> Run:
        """With room for packets of more windows."""
        if len(run.mail.n) >= MOST_WINDOWS:
            raise ProgramError(f"a PE is {MOST_WINDOWS:,} ticks behind", where=self._program.name, code="LATE_TICK",
                               fix="compile it for a longer step")
        return longer(self._machine, run, window)

    def _values(self, sent: int) -> dict[str, Floats]:
        """What the blocks from ``sent`` on have sent, by population and output."""
        r, program, all_ = self._record, self._program, np.zeros(int(self._first[-1]))
        for atom, value in zip(r.atoms[sent:], r.values[sent:], strict=True):
            all_[self._place[atom]] = value if len(value) else 1.0
        found = {}
        for k, s in enumerate(program.populations, len(program.inputs)):
            found[s.name] = all_[self._first[k] : self._first[k + 1]]
            if not s.fires:
                states = r.run.log.states[ROW[READ_OUT[s.model]], self._t - 1]
                found[s.name] = states[self._columns.where[s.name]].astype(np.float64)
        return found | {n: found[of[0]] for n, of in program.outputs.items() if len(of) == 1}


def _with_room(run: Run, steps: int, events: int) -> Run:
    """The run with room for ``steps`` steps and so many input events more."""
    if steps > len(run.tally.counts):
        t, more = run.tally, 2 * steps
        states = _longer_by(run.log.states.swapaxes(0, 1), more).swapaxes(0, 1)
        run = run._replace(feed=run.feed._replace(ptr=_longer_by(run.feed.ptr, more + 1)),
                           log=run.log._replace(states=np.ascontiguousarray(states)),
                           tally=t._replace(counts=_longer_by(t.counts, more), amounts=_longer_by(t.amounts, more)))
    need = int(run.feed.ptr[steps - 1]) + events
    if need > len(run.feed.atom):
        value = run.feed.value
        run = run._replace(feed=run.feed._replace(
            atom=_longer_by(run.feed.atom, 2 * need), value=_longer_by(value, 2 * need) if len(value) else value))
    return run


def _longer_by(array: NDArray[Any], n: int) -> NDArray[Any]:
    """The array with n rows, zeros behind those that there are."""
    found = np.zeros((n, *array.shape[1:]), array.dtype)
    found[: len(array)] = array
    return found
