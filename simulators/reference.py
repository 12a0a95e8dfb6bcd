"""The reference simulator: the living definition of the IR. Plain and slow; float64, float32 and integer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.errors import DataError, InternalError
from hwsdk.ir.affine import apply_map, constant_currents, constant_input, constant_outputs
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.expand import explicit
from hwsdk.ir.fixed import FixedNeuron
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import CubaLI, CubaLIF, Neuron, is_spiking
from hwsdk.ir.nodes import ConvSynapses, Delay, Input, Node, Output, Synapses, size
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.ir.trace import Trace
from hwsdk.simulators import reference_egru as reference_egru  # these three register their neurons
from hwsdk.simulators import reference_fixed as reference_fixed
from hwsdk.simulators import reference_single as reference_single
from hwsdk.simulators.reference_neurons import Stepper, stepper
from hwsdk.simulators.reference_plastic import PlasticLine

Array = NDArray[Any]
Probes = Iterable[tuple[str, str]] | str


def run(network: Network, stimulus: Stimulus, *, steps: int | None = None, probes: Probes = (),
        progress: Callable[[int, int], None] | None = None) -> Trace:
    """Run a network for ``steps`` steps (default: the stimulus, plus the network's largest lag).

    Args:
        probes: (population, "u" | "v") and (plastic projection, "weight") pairs, or "all"; states after the step's
            reset, (samples, steps, n), and weights after the step's learning, (samples, steps, synapses).
        progress: called with (steps done, steps) after every step.

    Returns:
        Trace with the spikes of every spiking population, the v of the others, and the output sums of each Output.

    Raises:
        DataError: the stimulus does not suit the network's inputs.
    """
    stimulus.require({n: i.shape for n, i in network.inputs.items()}, whole=network.is_integer or network.is_single)
    total = stimulus.n_steps + max(network.lag.values(), default=0) if steps is None else steps
    machine = _Machine(network, stimulus.n_samples)
    recorder = _Recorder(network, stimulus.n_samples, total, probes)
    for t in range(total):
        machine.step({n: e.at_step(t).reshape(-1, *e.shape) for n, e in stimulus.inputs.items()})
        recorder.take(t, machine)
        if progress is not None:
            progress(t + 1, total)
    return recorder.trace()


def walk(network: Network, samples: int = 1) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """One step at a time, for a host that decides on the next input when it has seen the output.

    Returns:
        A function that takes input name -> (samples, *shape), does a step, and returns population or output name ->
        what it puts out, (samples, *shape).
    """
    machine = _Machine(network, samples)

    def step(inputs: Mapping[str, Array]) -> dict[str, Array]:
        machine.step({n: np.asarray(inputs[n]).reshape(samples, *i.shape) for n, i in network.inputs.items()})
        return {n: machine.out[n] for n in (*network.populations, *network.outputs)}

    return step


class _Machine:
    """A network in motion: one Stepper a population, and the past values that delays need."""

    def __init__(self, network: Network, samples: int) -> None:
        self.network, self.samples = network, samples
        fixed = any(isinstance(p, FixedNeuron) for p in network.populations.values())
        # lowering is exact, not rounded; of single-precision neurons, the sums of integer weights are
        exact = "float64" if network.is_discrete else network.semantics.precision
        self.dtype = np.dtype("int64" if fixed else exact)
        membrane = constant_currents(network) if network.semantics.bias_path == "membrane" else {}
        self.membrane = {n: c.astype(self.dtype) for n, c in membrane.items()
                         if isinstance(network.nodes[n], CubaLI | CubaLIF)}
        self.steppers: dict[str, Stepper] = {
            n: stepper(p, network.semantics, samples, membrane.get(n)) for n, p in network.populations.items()}
        self.incoming = {n: network.sources(n) for n in network.order}
        self.out: dict[str, Array] = {}
        depth = max((e.delay_ticks for e in network.edges), default=0)
        self.past: deque[dict[str, Array]] = deque(maxlen=max(depth, 1))
        self.before = constant_outputs(network)
        self.lines = {n: _DelayLine(node, constant_input(network, n, self.before).astype(self.dtype), self.dtype)
                      for n, node in network.of(Delay, Synapses, ConvSynapses).items()}
        self.plastic = {n: self._plastic_line(n, node) for n, node in network.nodes.items()
                        if isinstance(node, PlasticSynapses)}

    def _plastic_line(self, name: str, node: PlasticSynapses) -> PlasticLine:
        """A projection that learns, in its initial state."""
        source, dt = self.incoming[name][0].source, self.network.semantics.dt
        return PlasticLine(name, node, self.samples, dt, float(self._pulse(source, np.ones((), self.dtype))))

    @property
    def states(self) -> dict[str, dict[str, Array]]:
        """Everything that a probe can ask for: population -> states, plastic projection -> weight."""
        return {n: s.state for n, s in self.steppers.items()} | {n: {"weight": p.weight}
                                                                for n, p in self.plastic.items()}

    def step(self, inputs: dict[str, Array]) -> None:
        """Compute every node's output of this step."""
        self.out = {}
        for name in self.network.order:
            self.out[name] = self._output(name, self.network.nodes[name], inputs)
        for name, line in self.lines.items():
            line.push(self._gather(name))
        for name, learning in self.plastic.items():
            learner = next(e.target for e in self.network.targets(name) if e.target in self.steppers)
            learning.learn(self._gather(name), self.out[learner])
        self.past.append({n: self._pulse(n, o) for n, o in self.out.items()})

    def _output(self, name: str, node: Node, inputs: dict[str, Array]) -> Array:
        if isinstance(node, Input):
            return inputs[name].astype(self.dtype)
        if name in self.lines:
            line = self.lines[name]
            return line.read(self._gather(name) if line.needs_now else None, self._zeros(name))
        if name in self.plastic:
            return self.plastic[name].read().astype(self.dtype)
        x = self._gather(name)
        if isinstance(node, Output):
            return x
        if isinstance(node, Neuron):
            return self.steppers[name].step(x - self.membrane[name] if name in self.membrane else x)
        return apply_map(node, x, self.dtype)

    def _gather(self, name: str) -> Array:
        """The sum of what arrives at a node in this step."""
        edges = self.incoming[name]
        node = self.network.nodes[name]
        unfed = node.in_shape if isinstance(node, Neuron) else self.network.shapes[name]
        total = self._zeros(edges[0].source) if edges else np.zeros((self.samples, *unfed), self.dtype)
        for e in edges:
            if e.delay_ticks == 0:
                total = total + self._pulse(e.source, self.out[e.source])
            elif e.delay_ticks <= len(self.past):
                total = total + self.past[-e.delay_ticks][e.source]
            else:
                total = total + self.before[e.source].astype(self.dtype)
        return total

    def _zeros(self, name: str) -> Array:
        return np.zeros((self.samples, *self.network.shapes[name]), self.dtype)

    def _pulse(self, name: str, value: Array) -> Array:
        """A spike as its targets see it."""
        node = self.network.nodes[name]
        spikes = isinstance(node, Input) or (isinstance(node, Neuron) and is_spiking(node))
        if self.network.semantics.pulse == "unit" or self.network.is_discrete or not spikes:
            return value
        return np.asarray(value / np.asarray(self.network.semantics.dt, self.dtype))


class _DelayLine:
    """The past inputs of a Delay or a Synapses node."""

    def __init__(self, node: Node, before: Array, dtype: np.dtype[Any]) -> None:
        node = explicit(node) if isinstance(node, ConvSynapses) else node
        if not isinstance(node, Delay | Synapses):
            raise InternalError(f"{type(node).__name__} keeps no past")
        self.node, self.before, self.dtype = node, before, dtype
        ticks = node.ticks if isinstance(node, Delay) else node.delay_ticks
        self.needs_now = bool(ticks.size) and bool((ticks == 0).any())
        self.past: deque[Array] = deque(maxlen=max(int(ticks.max(initial=0)), 1))
        self.parts = {int(d): self._part(int(d)) for d in np.unique(ticks)}

    def _part(self, delay: int) -> Array | sparse.csr_matrix:
        """What of the node acts at one delay: a mask, or a weight matrix (post, pre)."""
        node = self.node
        if isinstance(node, Delay):
            return node.ticks == delay
        chosen = node.delay_ticks == delay
        entries = (node.weight[chosen].astype(self.dtype), (node.target[chosen], node.source[chosen]))
        return sparse.csr_matrix(entries, shape=(size(node.post_shape), size(node.pre_shape)))

    def push(self, x: Array) -> None:
        """Remember this step's input."""
        self.past.append(x)

    def _start(self, zeros: Array) -> Array:
        """The input before the first step: biases have always been on."""
        return np.repeat(self.before, zeros.shape[0], 0)

    def read(self, now: Array | None, zeros: Array) -> Array:
        """The output of this step; ``now`` is this step's input where a delay of 0 needs it."""
        total = zeros
        for delay, part in self.parts.items():
            x = now if delay == 0 else self.past[-delay] if delay <= len(self.past) else self._start(zeros)
            if x is None:
                raise InternalError("a delay of 0 was read before its input was known")
            if isinstance(self.node, Delay):
                total = total + x * part
            else:
                flat = (part @ x.reshape(x.shape[0], -1).T).T
                total = total + _shift(flat, self.node).reshape(zeros.shape)
        return total


def _shift(x: Array, node: Synapses) -> Array:
    """The weight exponent acts after the sum (floor for a negative one), on integers only."""
    exp = node.weight_exp
    if exp == 0 or x.dtype.kind == "f":
        return x
    return np.asarray(x << exp if exp > 0 else x >> -exp)


@dataclass(slots=True)
class _Recorder:
    """Collects a trace while the machine runs."""

    network: Network
    samples: int
    steps: int
    probes: Probes
    events: dict[str, list[tuple[Array, ...]]] = field(default_factory=dict)
    states: dict[tuple[str, str], Array] = field(default_factory=dict)

    def take(self, t: int, machine: _Machine) -> None:
        """Record one step."""
        for name in (*self.network.populations, *self.network.outputs):
            flat = machine.out[name].reshape(self.samples, -1)
            sample, index = np.nonzero(flat)
            self.events.setdefault(name, []).append((sample, np.full(len(sample), t), index, flat[sample, index]))
        for name, variable in self._probes(machine):
            value = machine.states[name][variable].reshape(self.samples, -1)
            if t == 0:
                self.states[name, variable] = np.zeros((self.samples, self.steps, value.shape[1]), value.dtype)
            self.states[name, variable][:, t] = value

    def _probes(self, machine: _Machine) -> Iterable[tuple[str, str]]:
        if self.probes == "all":
            return [(n, v) for n, s in machine.states.items() for v in s]
        if isinstance(self.probes, str):
            raise DataError(f"probes={self.probes!r}", code="NO_SUCH_STATE",
                            fix='give (population, state) pairs, or "all"')
        for name, variable in self.probes:
            if variable not in machine.states.get(name, {}):
                raise DataError(f"no state {variable!r} of {name!r}", code="NO_SUCH_STATE",
                                fix=f"probe a state of {', '.join(machine.states)}")
        return [(name, variable) for name, variable in self.probes]

    def trace(self) -> Trace:
        """Everything recorded."""
        spikes = {}
        for name, rows in self.events.items():
            sample, step, index, value = (np.concatenate(c) for c in zip(*rows, strict=True))
            order = np.lexsort((index, step, sample))
            shape, v = self.network.shapes[name], value[order].astype(np.float64)
            spikes[name] = Events(shape, self.samples, self.steps, sample[order].astype(np.int32),
                                  step[order].astype(np.int32), index[order].astype(np.int32),
                                  None if (v == 1).all() else v)
        return Trace(self.samples, self.steps, spikes, self.states, lag=dict(self.network.lag))
