"""Plastic projections in motion, written plainly: the rules of hwsdk.ir.plastic, one synapse at a time."""

from __future__ import annotations

from bisect import bisect_right
from functools import singledispatch
from math import exp
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, InternalError
from hwsdk.ir.nodes import size
from hwsdk.ir.plastic import PairSTDP, Plasticity, PlasticSynapses, StoredPairSTDP, decay_table

Array = NDArray[Any]
Spike = tuple[int, float]
"""(step, the neuron's trace as this spike left it)"""


class Learner(Protocol):
    """A rule in motion, with what it remembers of one projection in one sample. Steps count from 0."""

    def post_spike(self, neuron: int, t: int) -> None:
        """A post neuron has fired in step t. All those of a step come before its pre spikes."""

    def updated(self, weight: float, source: int, target: int, delay: int, t: int) -> float:
        """The weight of a synapse after everything up to a pre spike of step t."""

    def pre_spike(self, neuron: int, t: int) -> None:
        """A pre neuron has fired in step t, and all its synapses are updated."""


@singledispatch
def learner(rule: Plasticity, node: PlasticSynapses, dt: float) -> Learner:
    """A rule in its initial state."""
    raise InternalError(f"the reference has no learning rule {type(rule).__name__}")


class PairLearner:
    """PairSTDP, see there."""

    def __init__(self, rule: PairSTDP | StoredPairSTDP, node: PlasticSynapses, dt: float) -> None:
        self.rule, self.dt = rule, dt
        self.pre: list[Spike] = [(0, 0.0)] * size(node.pre_shape)
        self.post: list[list[Spike]] = [[] for _ in range(size(node.post_shape))]

    def decay(self, steps: int, tau: float) -> float:
        """What is left after some steps."""
        return exp(-steps * self.dt / tau)

    def trace(self, last: Spike, t: int, tau: float) -> float:
        """A neuron's trace after a spike in step t: of all pairs, it adds up."""
        return last[1] * self.decay(t - last[0], tau) + 1

    def post_spike(self, neuron: int, t: int) -> None:
        """Add to the history."""
        history = self.post[neuron]
        history.append((t, self.trace(history[-1] if history else (0, 0.0), t, self.rule.tau_minus)))

    def pre_spike(self, neuron: int, t: int) -> None:
        """Only the last one is kept."""
        self.pre[neuron] = (t, self.trace(self.pre[neuron], t, self.rule.tau_plus))

    def updated(self, weight: float, source: int, target: int, delay: int, t: int) -> float:
        """Every potentiation since the last pre spike, then one depression."""
        last_pre, x = self.pre[source]
        begin, end = max(last_pre - delay, 0), max(t - delay, 0)
        history = self.known(target, t)
        first, stop = (bisect_right(history, at, key=itemgetter(0)) for at in (begin, end))
        for t_post, _ in history[first:stop]:
            weight = self.potentiated(weight, x, t_post + delay - last_pre)
        t_post, y = history[stop - 1] if stop else (0, 0.0)
        return self.depressed(weight, y, t - (t_post + delay)) if t_post else weight

    def known(self, target: int, t: int) -> list[Spike]:
        """The post spikes that a pre spike of step t can see, ascending."""
        return self.post[target]

    def potentiated(self, weight: float, trace: float, steps: int) -> float:
        """After a post spike ``steps`` > 0 after the pre spike."""
        return min(self.rule.w_max, weight + self.rule.a_plus * trace * self.decay(steps, self.rule.tau_plus))

    def depressed(self, weight: float, trace: float, steps: int) -> float:
        """After a pre spike ``steps`` >= 0 after the post spike."""
        return max(self.rule.w_min, weight - self.rule.a_minus * trace * self.decay(steps, self.rule.tau_minus))


@learner.register
def _pair(rule: PairSTDP, node: PlasticSynapses, dt: float) -> Learner:
    return PairLearner(rule, node, dt)


class StoredLearner(PairLearner):
    """StoredPairSTDP, see there: the same windows, other numbers."""

    def __init__(self, rule: StoredPairSTDP, node: PlasticSynapses) -> None:
        super().__init__(rule, node, 1.0)
        self.history = rule.history
        self.tables = {tau: decay_table(tau) for tau in (rule.tau_plus, rule.tau_minus)}
        self.a_plus, self.a_minus, self.w_min, self.w_max = (
            np.float32(x) for x in (rule.a_plus, rule.a_minus, rule.w_min, rule.w_max))

    def decay(self, steps: int, tau: float) -> np.float32:  # type: ignore[override]
        """From the table."""
        table = self.tables[tau]
        return np.float32(table[steps]) if steps < len(table) else np.float32(0)

    def trace(self, last: Spike, t: int, tau: float) -> Any:
        """The product is rounded, then the sum."""
        return np.float32(np.float32(last[1]) * self.decay(t - last[0], tau)) + np.float32(1)

    def post_spike(self, neuron: int, t: int) -> None:
        """The oldest one makes room."""
        super().post_spike(neuron, t)
        del self.post[neuron][: -self.history]

    def known(self, target: int, t: int) -> list[Spike]:
        """The last history - 1 before step t."""
        before = [spike for spike in self.post[target] if spike[0] < t]
        return before[-(self.history - 1) :]

    def updated(self, weight: float, source: int, target: int, delay: int, t: int) -> float:
        """In float32, and then the nearest integer."""
        return float(np.rint(np.float32(super().updated(np.float32(weight), source, target, delay, t))))  # type: ignore[arg-type]

    def potentiated(self, weight: Any, trace: float, steps: int) -> Any:
        """Amplitude and trace are multiplied first."""
        change = np.float32(self.a_plus * np.float32(trace)) * self.decay(steps, self.rule.tau_plus)
        return min(self.w_max, weight + change)

    def depressed(self, weight: Any, trace: float, steps: int) -> Any:
        """Amplitude and trace are multiplied first."""
        change = np.float32(self.a_minus * np.float32(trace)) * self.decay(steps, self.rule.tau_minus)
        return max(self.w_min, weight - change)


@learner.register
def _stored_pair(rule: StoredPairSTDP, node: PlasticSynapses, dt: float) -> Learner:
    return StoredLearner(rule, node)


class PlasticLine:
    """A plastic projection over some samples: its weights (samples, k), and what is on its way to its target."""

    def __init__(self, name: str, node: PlasticSynapses, samples: int, dt: float, height: float) -> None:
        self.name, self.node, self.height = name, node, height
        self.weight = np.repeat(np.asarray(node.weight, np.float64)[None], samples, 0)
        self.learners = [learner(node.rule, node, dt) for _ in range(samples)]
        self.leaving: list[list[int]] = [[] for _ in range(size(node.pre_shape))]
        for synapse, source in enumerate(node.source.tolist()):
            self.leaving[source].append(synapse)
        self.coming = np.zeros((int(node.delay_ticks.max(initial=0)) + 1, samples, size(node.post_shape)))
        self.t = 0

    def read(self) -> Array:
        """What arrives in this step, float64 (samples, *post_shape)."""
        return np.array(self.coming[self.t % len(self.coming)].reshape(-1, *self.node.post_shape))

    def learn(self, pre: Array, post: Array) -> None:
        """The step's spikes (samples, *shape) of both ends: change the weights, and send them.

        Raises:
            DataError: PLASTIC_INPUT, a pre spike that carries a value.
        """
        if ((pre != 0) & (pre != self.height)).any():
            raise DataError(f"the input of {self.name} holds other values than spikes; a learning rule counts spikes",
                            code="PLASTIC_INPUT", fix="give 0 or 1 for each neuron and step")
        self.coming[self.t % len(self.coming)] = 0
        for sample, neuron in np.argwhere(post.reshape(len(post), -1)).tolist():
            self.learners[sample].post_spike(neuron, self.t)
        for sample, neuron in np.argwhere(pre.reshape(len(pre), -1)).tolist():
            for synapse in self.leaving[neuron]:
                self._send(sample, neuron, synapse)
            self.learners[sample].pre_spike(neuron, self.t)
        self.t += 1

    def _send(self, sample: int, source: int, synapse: int) -> None:
        """Update one weight, then put it where it will arrive."""
        target, delay = int(self.node.target[synapse]), int(self.node.delay_ticks[synapse])
        weight = self.learners[sample].updated(float(self.weight[sample, synapse]), source, target, delay, self.t)
        self.weight[sample, synapse] = weight
        self.coming[(self.t + delay) % len(self.coming), sample, target] += weight * self.height
