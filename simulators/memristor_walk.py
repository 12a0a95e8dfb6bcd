"""One step at a time: the crossbar simulator for a host that decides on the next input when it has seen the output.

The die and its kernels are those of hwsdk.simulators.memristor, so that the same inputs give the same events, counts
and times as one run over all of them; read noise is that of the first sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.simulators.kernels_memristor import run_steps
from hwsdk.simulators.memristor_machine import Machine
from hwsdk.simulators.memristor_state import columns, feed, start
from hwsdk.simulators.memristor_trace import READ_OUT, STATES, Record, trace, wanted
from hwsdk.simulators.samples import one_step

Floats = NDArray[np.float64]
FIRST_STEPS = 64
"""Room for so many steps at first; it doubles."""


class Walk:
    """A die in motion. See hwsdk.simulators.memristor.walk."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._probes = machine, wanted(machine.program, ())
        self._column, self._where = columns(machine, self._probes)
        self.reset()

    @property
    def steps(self) -> int:
        """Steps since the last reset."""
        return self._t

    def reset(self) -> None:
        """Back to the initial state."""
        m = self._machine
        given = feed(m, Stimulus.silent(FIRST_STEPS) if not m.program.inputs else _nothing(m))
        self._record, self._t = Record(start(m, 0, given, FIRST_STEPS, self._column)), 0

    def step(self, inputs: Mapping[str, Any]) -> dict[str, Floats]:
        """Do one step.

        Args:
            inputs: input name -> its values in this step, (n,) or of the input's shape.

        Returns:
            Population or output name -> (n,) float64: spikes, or v of a population that does not fire. A population of
            lag d tells what the model does d steps earlier, as in a trace.

        Raises:
            DataError: the inputs are not those of the program.
        """
        self._take(inputs)
        self._record.add(run_steps(self._t, self._t + 1, False, self._machine.net, self._record.run)[1])
        self._t += 1
        return self._values()

    def trace(self) -> Trace:
        """All steps since the last reset, as ``run`` gives them: one sample, with counts and without probes.

        Raises:
            DataError: there was no step.
        """
        if not self._t:
            raise DataError("no step has been done", where=self._machine.program.name, code="NO_DATA",
                            fix="call step first")
        r, n = self._record, self._t
        own = r.run._replace(counts=r.run.counts[:n], amounts=r.run.amounts[:n], states=r.run.states[:, :n])
        return trace(self._machine, [Record(own, r.steps, r.neurons)], n, self._probes, self._where)

    def _take(self, inputs: Mapping[str, Any]) -> None:
        """The events of one step."""
        shapes = self._machine.program.input_shapes
        if set(inputs) != set(shapes):
            raise DataError(f"values for {sorted(inputs)}, there are inputs {sorted(shapes)}", code="WRONG_INPUTS",
                            fix="give one array for each input")
        given = {n: one_step(n, x, shapes[n]) for n, x in inputs.items()}
        stimulus = Stimulus.dense(given, shapes) if shapes else Stimulus.silent(1)
        stimulus.require(shapes, whole=True, chip="memristor crossbars")
        _, events, values = feed(self._machine, stimulus)
        run = self._record.run
        if self._t >= len(run.counts):
            n = 2 * len(run.counts)
            states = np.ascontiguousarray(_longer(run.states.swapaxes(0, 1), n).swapaxes(0, 1))
            run = run._replace(counts=_longer(run.counts, n), amounts=_longer(run.amounts, n), states=states,
                               feed_ptr=_longer(run.feed_ptr, n + 1))
        run.feed_ptr[self._t : self._t + 2] = 0, len(values)  # those of this step alone
        self._record.run = run._replace(feed=events, feed_value=values)

    def _values(self) -> dict[str, Floats]:
        """What populations and outputs put out in the last step."""
        m, sent = self._machine, np.zeros(len(self._column))
        sent[self._record.neurons[-1]] = 1.0
        found = {}
        for p in m.program.populations:
            found[p.name] = sent[m.neurons[p.name]].copy()
            if not p.cell.fires:
                found[p.name] = self._record.run.state[STATES.index(READ_OUT), m.neurons[p.name]].copy()
        return found | {n: np.sum([found[s] for s in sorted(x)], axis=0) for n, x in m.program.outputs.items()}


def _nothing(machine: Machine) -> Stimulus:
    """No input at all."""
    shapes = machine.program.input_shapes
    return Stimulus.dense({n: np.zeros((FIRST_STEPS, *s)) for n, s in shapes.items()}, shapes)


def _longer(array: NDArray[Any], n: int) -> NDArray[Any]:
    """The array with n rows, zeros behind those that there are."""
    found = np.zeros((n, *array.shape[1:]), array.dtype)
    found[: len(array)] = array
    return found
