"""relay: delays beyond what one synapse holds, carried by neurons that hand every spike on.

A spike of step t leaves the k-th relay of its sender in step t + k * longest, and a synapse from there takes the rest
of the way. All targets of a sender share its relays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.fixed import FixedGraded, FixedLIF
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IntArray, Neuron
from hwsdk.ir.nodes import ConvSynapses, Input, Node, Shape, Synapses, size
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.ir.single import SingleLIF

Projection = Synapses | ConvSynapses
MAX_STAGES = 256
"""Every stage is a population of its own; more of them would take minutes to map. With 64 steps each: 16,384 steps."""


@dataclass(frozen=True, slots=True)
class Relay:
    """The pass, for integer and single-precision networks; it keeps every spike and every state of the populations that
    are there. Delays of 0 steps stay: a relay needs no phase of its own (hwsdk.mappers.phases).

    longest: steps that one synapse can take. graded_input: may an input spike carry a value? (Single-precision relays
    carry none.) room: neurons of the largest board, None for no limit.
    """

    longest: int
    graded_input: bool = True
    room: int | None = None
    name: str = "relay"

    def __call__(self, network: Network) -> tuple[Network, str]:
        """(the network with relays, what they cost as text: "" where none are needed).

        Raises:
            UnsupportedError: DELAY_RANGE, more relays than any board holds, or a long delay of a synapse that learns.
        """
        self._refuse_far_learning(network)
        far = {n: s for n, s in network.of(Synapses, ConvSynapses).items()
               if isinstance(s, Synapses | ConvSynapses) and _ticks(s).max(initial=0) > self.longest}
        if not far:
            return network, ""
        depth = self._depths(network, far)
        self._refuse_if_too_many(network, depth)
        log, lag = LedgerWriter(), dict(network.lag)
        nodes = {n: x for n, x in network.nodes.items() if n not in far}
        edges = [e for e in network.edges if e.source not in far and e.target not in far]
        chains = {source: _chain(network, source, d, self, nodes, edges) for source, d in depth.items()}
        for name, s in far.items():
            (into,), (out,) = network.sources(name), network.targets(name)
            _split(name, s, out.target, chains[into.source], self.longest, nodes, edges)
        rows = []
        for source, stages in chains.items():
            lag |= {stage.name: lag.get(source, 0) for stage in stages[1:]}
            longest = max(int(_ticks(s).max()) for n, s in far.items() if network.sources(n)[0].source == source)
            text = f"{int(depth[source].sum())} relay neurons in {len(stages) - 1} stage(s) carry delays of up to " \
                   f"{longest} steps; one synapse takes {self.longest}"
            log.changed(source, "RELAYED", text)
            rows.append(f"  {source:20} {text}\n")
        relayed = network.replace(nodes=nodes, edges=tuple(edges), lag=lag, ledger=network.ledger + log.done())
        return relayed, "relays\n" + "".join(rows)

    def _depths(self, network: Network, far: dict[str, Projection]) -> dict[str, IntArray]:
        """Sender -> how many relays each of its elements needs, flat."""
        depth: dict[str, IntArray] = {}
        for name, s in far.items():
            source = network.sources(name)[0].source
            need = depth.setdefault(source, np.zeros(size(network.shapes[source]), np.int64))
            stage = _stages(s, self.longest)
            if isinstance(s, ConvSynapses):
                np.maximum(need, stage, out=need)
            else:
                np.maximum.at(need, s.source, stage)
        return depth

    def _refuse_far_learning(self, network: Network) -> None:
        """A relay would tell the rule a later pre spike than there was."""
        for name, s in network.of(PlasticSynapses).items():
            ticks = int(s.delay_ticks.max(initial=0)) if isinstance(s, PlasticSynapses) else 0
            if ticks > self.longest:
                raise UnsupportedError(f"delays of up to {ticks} steps of synapses that learn; one synapse takes "
                                       f"{self.longest}, and a relay would change what they learn", where=name,
                                       code="DELAY_RANGE", fix="shorten the delays, or use a longer step (--dt, with "
                                       "data binned to it) and check the accuracy")

    def _refuse_if_too_many(self, network: Network, depth: dict[str, IntArray]) -> None:
        """Before they are built."""
        relays = sum(int(d.sum()) for d in depth.values())
        far = max(depth, key=lambda n: int(depth[n].max()))
        stages = int(depth[far].max())
        crowded = self.room is not None and network.n_neurons + relays > self.room
        if crowded or stages > MAX_STAGES:
            limit = f"{relays:,} relay neurons beside the model's {network.n_neurons:,}; the largest board holds " \
                    f"{self.room:,}" if crowded else f"{stages:,} stages of relay neurons, the limit is {MAX_STAGES}"
            raise UnsupportedError(
                f"delays of more than {stages * self.longest} steps need {limit}", where=far, code="DELAY_RANGE",
                fix="shorten the delays, or use a longer step (--dt, with data binned to it) and check the accuracy")


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """A sender (the first stage) or one population of relays; ``members``: which elements of the sender it carries."""

    name: str
    shape: Shape
    members: IntArray

    def index(self, elements: IntArray) -> IntArray:
        """Where elements of the sender are in this stage."""
        return np.searchsorted(self.members, elements).astype(np.int64)


def _chain(network: Network, source: str, depth: IntArray, relay: Relay, nodes: dict[str, Node], edges: list[Edge],
           ) -> list[_Stage]:
    """Add the relays of one sender; they keep its shape while all its elements go on."""
    node, shape = network.nodes[source], network.shapes[source]
    single = network.is_single
    graded = relay.graded_input if isinstance(node, Input) else isinstance(node, Neuron) and node.graded
    make, one = (_single, SINGLE_WEIGHT) if single else (_graded, GRADED_WEIGHT) if graded else (_binary, BINARY_WEIGHT)
    stages = [_Stage(source, shape, np.arange(size(shape)))]
    for k in range(1, int(depth.max()) + 1):
        members, before = np.flatnonzero(depth >= k), stages[-1]
        form = shape if len(members) == size(shape) else (len(members),)
        stage = _Stage(_free(f"{source}.relay{k}", nodes), form, members)
        nodes[stage.name] = make(form)
        link = _free(f"{before.name}->{stage.name}", nodes)
        nodes[link] = Synapses(before.shape, form, before.index(members), np.arange(len(members)),
                               np.full(len(members), one), np.full(len(members), relay.longest),
                               weight_bits=2 if single else 8, sign_mode="excitatory")
        edges += [Edge(before.name, link), Edge(link, stage.name)]
        stages.append(stage)
    return stages


GRADED_WEIGHT = 1
BINARY_WEIGHT, BINARY_THRESHOLD = 2, 1
"""One spike alone, and nothing less, lifts v above the threshold."""
SINGLE_WEIGHT, SINGLE_THRESHOLD = 1, 0.5


def _binary(shape: Shape) -> FixedLIF:
    """Spikes in the step in which a spike arrives: du = 4095 and dv = 4096 leave nothing of u and v for the next."""
    def of(value: int) -> NDArray[np.int64]:
        return np.full(shape, value, np.int64)

    return FixedLIF(of(4095), of(4096), of(BINARY_THRESHOLD), of(0), of(0), of(0), of(0), of(0), np.ones(shape),
                    np.zeros(shape))


def _graded(shape: Shape) -> FixedGraded:
    """Sends every value on, whatever its sign."""
    return FixedGraded(np.zeros(shape, np.int64))


def _single(shape: Shape) -> SingleLIF:
    """Spikes in the step in which a spike arrives, and keeps nothing."""
    def of(value: float) -> NDArray[np.float64]:
        return np.full(shape, value)

    return SingleLIF(of(0), of(0), of(0), of(SINGLE_THRESHOLD), of(0), of(0), of(0), of(1), of(0))


def _split(name: str, s: Projection, target: str, stages: list[_Stage], longest: int, nodes: dict[str, Node],
           edges: list[Edge]) -> None:
    """Every synapse from the last relay that it passes, with the rest of its delay."""
    stage = _stages(s, longest)
    found = [int(k) for k in np.unique(stage)]
    for k in found:
        part = name if len(found) == 1 else _free(f"{name}:{k}", nodes)
        nodes[part] = _behind(s, stages[k], k * longest, stage == k)
        edges += [Edge(stages[k].name, part), Edge(part, target)]


def _behind(s: Projection, stage: _Stage, late: int, chosen: NDArray[np.bool_]) -> Projection:
    """Some synapses of a projection, from a stage that gives its spikes ``late`` steps after the sender."""
    if isinstance(s, ConvSynapses):
        return replace(s, delay_ticks=s.delay_ticks - late)
    return replace(s, pre_shape=stage.shape, source=stage.index(s.source[chosen]), target=s.target[chosen],
                   weight=s.weight[chosen], delay_ticks=s.delay_ticks[chosen] - late)


def _ticks(s: Projection) -> IntArray:
    """Delays of the synapses; of a convolution one for all."""
    return np.asarray([s.delay_ticks], np.int64) if isinstance(s, ConvSynapses) else s.delay_ticks


def _stages(s: Projection, longest: int) -> IntArray:
    """How many relays each synapse needs."""
    return np.maximum((_ticks(s) - 1) // longest, 0)


def _free(name: str, nodes: dict[str, Node]) -> str:
    """A name that no node has."""
    while name in nodes:
        name += "_"
    return name
