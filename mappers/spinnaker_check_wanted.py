"""check of a SpiNNaker program: the synapses that a network asks for, written out sender by sender.

Each is (identity of its target, key) as hwsdk.mappers.spinnaker_check_kernels says. The identity of a neuron, or of an
accumulator of an EGRU, counts through all populations of the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.ir.plastic import PlasticSynapses, StoredPairSTDP, decay_table
from hwsdk.ir.recurrent import EGRU
from hwsdk.mappers import check_kernels
from hwsdk.mappers import spinnaker_check_kernels as kernels
from hwsdk.programs.spinnaker import Sender
from hwsdk.programs.spinnaker_image import EGRU_PORTS, Learner, PeMemory, floats

IntArray = NDArray[np.int64]
LONGEST_DELAY = 255
"""Steps that a key has room for; words hold far fewer."""
OUTSIDE_PORTS = ("z_outside", "r_outside", "x", "h")
RECURRENT_PORTS = ("z_recurrent", "r_recurrent", "x", "h")
"""Accumulators of the ports a_z, a_r, a_x and a_h, of a connection from elsewhere and of one from the population."""


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """first, size (senders): the first identity of each sender and its elements. total: of all.

    An EGRU has ``size`` identities for each of EGRU_PORTS, an input has none.
    """

    senders: tuple[Sender, ...]
    first: IntArray
    size: IntArray
    total: int

    @classmethod
    def of(cls, senders: tuple[Sender, ...]) -> Identities:
        """In the order of the senders."""
        size = np.array([s.n for s in senders], np.int64)
        ports = np.array([{"": 0, "egru": len(EGRU_PORTS)}.get(s.model, 1) for s in senders], np.int64)
        ends = np.cumsum(size * ports)
        return cls(senders, np.r_[0, ends[:-1]].astype(np.int64), size, int(ends[-1]))

    def named(self, identity: int) -> str:
        """As population[index], with the port of an EGRU."""
        k = int(np.searchsorted(self.first, identity, "right")) - 1
        port, index = divmod(identity - int(self.first[k]), int(self.size[k]))
        s = self.senders[k]
        return f"{s.name}[{index}]" + (f", {EGRU_PORTS[port]}" if s.model == "egru" else "")


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A projection of the network from one sender to one population.

    ptr, post, weight, ticks: explicit synapses sorted by source, ticks being tag << 8 | delay; keep: with weight 0 too.
    Or conv, with the ways of its three axes. identity: of each target of the projection.
    """

    identity: IntArray
    ptr: IntArray
    post: IntArray
    weight: IntArray
    ticks: IntArray
    keep: bool = False
    conv: ConvSynapses | None = None
    ways: tuple[tuple[IntArray, IntArray, IntArray], ...] = ()

    def count(self, sizes: IntArray) -> None:
        """Add the synapses of each source, or a few more."""
        if self.conv is None:
            sizes += np.diff(self.ptr)
        else:
            check_kernels.conv_sizes(0, len(sizes), _three(self.conv.pre_shape[1:]), self.ways,
                                     self.conv.weight.shape[0] // self.conv.groups, sizes)

    def write(self, low: int, at: IntArray, target: IntArray, key: IntArray) -> None:
        """Write those of the sources from low on where ``at`` says, which moves on."""
        node = self.conv
        if node is None:
            kernels.explicit_synapses(low, self.ptr, self.post, self.weight, self.ticks, self.keep, self.identity, at,
                                      target, key)
        else:
            check_kernels.conv_synapses(low, low + len(at), _three(node.pre_shape[1:]), _three(node.conv_shape[1:]),
                                        _three(node.kernel), self.ways, self.weight, node.groups, 1 << 16,
                                        int(self.ticks[0]), self.identity, at, target, key)


def leaving(network: Network, senders: Sequence[Sender], name: str, identities: Identities) -> list[Wanted]:
    """The projections that leave a sender, one for each population that they reach."""
    found = []
    for edge in network.targets(name):
        node = network.nodes[edge.target]
        if isinstance(node, Synapses | ConvSynapses | PlasticSynapses):
            for behind in network.targets(edge.target):
                if behind.target in network.populations:
                    found.append(_wanted(network, senders, name, behind.target, node, identities,
                                         edge.delay_ticks + behind.delay_ticks))
    return found


def _wanted(network: Network, senders: Sequence[Sender], source: str, target: str,
            node: Synapses | ConvSynapses | PlasticSynapses, identities: Identities, more: int) -> Wanted:
    """One projection; ``more`` steps come on top of its delays."""
    delays = np.atleast_1d(np.asarray(node.delay_ticks, np.int64))
    delays = delays + more if more else delays
    if delays.min(initial=0) < 0 or delays.max(initial=0) > LONGEST_DELAY:
        raise InternalError(f"delays of {delays.min()} to {delays.max()} steps from {source} to {target}")
    phase = {s.name: s.phase for s in senders}
    if delays.min(initial=1) < 1 and phase[source] >= phase[target]:
        raise InternalError(f"{target} (phase {phase[target]}) hears {source} (phase {phase[source]}) in the same step")
    identity = _identity(network, senders, source, target, identities)
    if isinstance(node, ConvSynapses) and len(node.kernel) <= 3:
        none = np.zeros(0, np.int64)
        weight = node.weight.reshape(*node.weight.shape[:2], -1).astype(np.int64) << node.weight_exp
        return Wanted(identity, none, none, weight, delays[:1], False, node, _ways(node))
    flat = explicit(node) if isinstance(node, ConvSynapses) else node
    delays, post, weight = np.broadcast_to(delays, flat.target.shape), flat.target, _weights(network, target, flat)
    tag = 1 + rules(network).index(learner_of(node.rule)) if isinstance(node, PlasticSynapses) else 0
    pre, ticks = flat.source, delays | tag << 8 if tag else delays
    if not kernels.is_sorted(pre):
        order = np.argsort(pre, kind="stable")
        pre, post, weight, ticks = pre[order], post[order], weight[order], ticks[order]
    ptr = np.searchsorted(pre, np.arange(math.prod(flat.pre_shape) + 1))
    return Wanted(identity, ptr, post, weight, ticks, bool(tag))


def _identity(network: Network, senders: Sequence[Sender], source: str, target: str,
              identities: Identities) -> IntArray:
    """The identity of each target of a projection."""
    k = [s.name for s in senders].index(target)
    first, n = int(identities.first[k]), int(identities.size[k])
    if not isinstance(network.nodes[target], EGRU):
        return first + np.arange(n)
    ports = [EGRU_PORTS.index(p) for p in (RECURRENT_PORTS if source == target else OUTSIDE_PORTS)]
    return (first + np.array(ports)[:, None] * n + np.arange(n)).ravel()


def _weights(network: Network, target: str, node: Synapses | PlasticSynapses) -> IntArray:
    """Weights as keys hold them: integers, or the bits of a float32, with 0 for both zeros."""
    if isinstance(network.nodes[target], EGRU):
        return (floats(node.weight).view(np.float32) + np.float32(0)).view(np.int32).astype(np.int64)
    whole = node.weight.astype(np.int64, copy=False)
    return whole << node.weight_exp if isinstance(node, Synapses) and node.weight_exp else whole


def _ways(node: ConvSynapses) -> tuple[tuple[IntArray, IntArray, IntArray], ...]:
    """For each of three axes (pointers, output positions, kernel offsets) by input position: where an input can go."""
    found = [(np.array([0, 1]), np.zeros(1, np.int64), np.zeros(1, np.int64))] * (3 - len(node.kernel))
    for n, m, k, s, (before, _), d in zip(node.pre_shape[1:], node.conv_shape[1:], node.kernel, node.stride,
                                          node.padding, node.dilation, strict=True):
        step, rest = np.divmod(np.arange(n)[:, None] + before - np.arange(k) * d, s)
        meets = (rest == 0) & (step >= 0) & (step < m)
        found.append((np.r_[0, np.cumsum(meets.sum(axis=1))], step[meets], np.nonzero(meets)[1]))
    return tuple(found)


def _three(sizes: tuple[int, ...]) -> IntArray:
    """Sizes of three axes, 1 for those that there are not."""
    return np.array([1] * (3 - len(sizes)) + list(sizes), np.int64)


Numbers = tuple[Any, ...]
"""All that a learner computes with."""


def rules(network: Network) -> list[Numbers]:
    """What the learners of a network compute with, each once."""
    nodes = network.of(PlasticSynapses).values()
    return list(dict.fromkeys(learner_of(n.rule) for n in nodes if isinstance(n, PlasticSynapses)))


def learner_of(rule: object) -> Numbers:
    """The numbers of a rule of the network."""
    if not isinstance(rule, StoredPairSTDP):
        raise InternalError(f"no PE learns by {type(rule).__name__}")
    return _numbers(Learner(rule.a_plus, rule.a_minus, rule.w_min, rule.w_max, decay_table(rule.tau_plus),
                            decay_table(rule.tau_minus)), rule.history)


def _numbers(x: Learner, history: int) -> Numbers:
    """A learner as something to compare."""
    tables = (np.asarray(t, np.float32).tobytes() for t in (x.plus, x.minus))
    return (*np.array([x.a_plus, x.a_minus, x.w_min, x.w_max], np.float32).tolist(), *tables, history)


def learner_numbers(network: Network, memories: list[PeMemory]) -> list[tuple[int, ...]]:
    """For each PE the tags of its learners: 1 + the number of the network's rule, or beyond if it has none such."""
    known = rules(network)
    numbers = {n: k for k, n in enumerate(known, start=1)}
    return [tuple(numbers.get(_numbers(x, m.history), len(known) + 1) for x in m.learners) for m in memories]
