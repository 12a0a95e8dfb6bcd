"""ir.Network: nodes, edges with explicit delays, Semantics and the ledger. A value; every phase returns a new one."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir import graph
from hwsdk.ir.fixed import FixedNeuron
from hwsdk.ir.ledger import Ledger
from hwsdk.ir.neurons import DiscreteLIF, Neuron
from hwsdk.ir.nodes import ConvSynapses, Delay, Input, Node, Output, Projection, Quantise, Shape, Synapses
from hwsdk.ir.plastic import PlasticSynapses, check_plastic
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """A value goes from ``source`` to ``target`` and arrives ``delay_ticks`` steps later (0: in the same step)."""

    source: str
    target: str
    delay_ticks: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A validated network.

    nodes: name -> node; edges: sorted by name; several edges into one node add up. shapes: the output shape of
    every node. lag: for a network that a pass has shifted in time, population -> steps that it runs behind the model.
    """

    name: str
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    semantics: Semantics
    ledger: Ledger = field(default_factory=Ledger)
    lag: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        edges = tuple(sorted(self.edges))
        _check_edges(self.nodes, edges)
        order = _causal_order(self.nodes, edges, self.lag)
        shapes = _infer_shapes(self.nodes, edges, order)
        check_plastic(self.nodes, edges, self.semantics)
        for name, value in (("nodes", MappingProxyType(dict(self.nodes))), ("edges", edges), ("order", order),
                            ("lag", MappingProxyType(dict(self.lag))), ("shapes", MappingProxyType(shapes))):
            object.__setattr__(self, name, value)

    def of(self, *kinds: type[Node]) -> dict[str, Node]:
        """Name -> node for the nodes of these classes, in causal order."""
        return {name: self.nodes[name] for name in self.order if isinstance(self.nodes[name], kinds)}

    @property
    def populations(self) -> dict[str, Neuron]:
        """The stateful nodes, in causal order."""
        return {n: node for n, node in self.of(Neuron).items() if isinstance(node, Neuron)}

    @property
    def inputs(self) -> dict[str, Input]:
        """The graph inputs by name."""
        return {n: node for n, node in self.of(Input).items() if isinstance(node, Input)}

    @property
    def outputs(self) -> dict[str, Output]:
        """The graph outputs by name."""
        return {n: node for n, node in self.of(Output).items() if isinstance(node, Output)}

    @property
    def n_neurons(self) -> int:
        """All neurons of all populations."""
        return sum(p.n for p in self.populations.values())

    @property
    def n_parameters(self) -> int:
        """All stored numbers of all nodes."""
        return sum(node.parameters() for node in self.nodes.values())

    @property
    def is_integer(self) -> bool:
        """True for a network that a chip can run bit by bit: integer populations joined by synapses only."""
        kinds = (Input, Output, FixedNeuron, Synapses, ConvSynapses)
        return bool(self.populations) and all(isinstance(n, kinds) for n in self.nodes.values())

    @property
    def is_single(self) -> bool:
        """True for a network in the numbers of SpiNNaker 2: single-precision populations joined by integer synapses."""
        kinds = (Input, Output, SingleLIF, Synapses, ConvSynapses, PlasticSynapses)
        return bool(self.populations) and all(isinstance(n, kinds) for n in self.nodes.values())

    @property
    def is_discrete(self) -> bool:
        """True after lowering: DiscreteLIF, integer or single-precision populations joined by synapses only."""
        kinds = (Input, Output, DiscreteLIF, FixedNeuron, SingleLIF, Synapses, ConvSynapses, PlasticSynapses,
                 Quantise)
        return bool(self.populations) and all(isinstance(n, kinds) for n in self.nodes.values())

    def sources(self, name: str) -> tuple[Edge, ...]:
        """Edges into a node."""
        return tuple(e for e in self.edges if e.target == name)

    def targets(self, name: str) -> tuple[Edge, ...]:
        """Edges out of a node."""
        return tuple(e for e in self.edges if e.source == name)

    def replace(self, **changes: object) -> Network:
        """A new, validated network with some fields changed."""
        fields = ("name", "nodes", "edges", "semantics", "ledger", "lag")
        return Network(**{f: changes.get(f, getattr(self, f)) for f in fields})  # type: ignore[arg-type]

    def digest(self) -> str:
        """SHA-256 over structure, semantics and every parameter, as hex."""
        h = hashlib.sha256(self.semantics.to_text().encode())
        for name in sorted(self.nodes):
            node = self.nodes[name]
            h.update(f"|{name}:{type(node).__name__}".encode())
            for f in dataclasses.fields(node):
                value = getattr(node, f.name)
                if value is None and f.metadata.get("digest") == "when set":
                    continue
                h.update(f"|{f.name}".encode())
                h.update(_value_bytes(value))
        h.update(repr([(e.source, e.target, e.delay_ticks) for e in self.edges]).encode())
        return h.hexdigest()

    def to_text(self) -> str:
        """A stable, readable listing: one line a node in causal order, then the edges."""
        lines = [f"network {self.name}", f"semantics {self.semantics.to_text()}"]
        for name in self.order:
            node = self.nodes[name]
            lines.append(f"node {name} {type(node).__name__} out={list(self.shapes[name])} "
                         f"params={node.parameters()}")
        for e in self.edges:
            delay = f" +{e.delay_ticks}" if e.delay_ticks else ""
            lines.append(f"edge {e.source} -> {e.target}{delay}")
        return "\n".join(lines) + "\n"


def _value_bytes(value: object) -> bytes:
    """Bytes of one field for the digest."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    return repr(value).encode()


def _check_edges(nodes: Mapping[str, Node], edges: Iterable[Edge]) -> None:
    """Dangling, duplicate and impossible edges."""
    seen: set[tuple[str, str]] = set()
    for e in edges:
        for end in (e.source, e.target):
            if end not in nodes:
                raise ModelError(f"the edge {e.source} -> {e.target} names a node that does not exist", where=end,
                                 code="DANGLING_EDGE", fix="remove the edge or add the node")
        if (e.source, e.target) in seen:
            raise ModelError(f"the edge {e.source} -> {e.target} appears twice", where=e.target,
                             code="DUPLICATE_EDGE", fix="keep one of them; double the weight if both were meant")
        seen.add((e.source, e.target))
        if isinstance(nodes[e.target], Input) or isinstance(nodes[e.source], Output):
            raise ModelError(f"the edge {e.source} -> {e.target} enters an Input or leaves an Output", where=e.target,
                             code="BAD_EDGE", fix="turn the edge round or remove it")
        if e.delay_ticks < 0:
            raise ModelError(f"the edge {e.source} -> {e.target} has a delay of {e.delay_ticks} steps", where=e.target,
                             code="NEGATIVE_DELAY", fix="delays are 0 or more")


def _causal_order(nodes: Mapping[str, Node], edges: tuple[Edge, ...], lag: Mapping[str, int]) -> tuple[str, ...]:
    """Order of evaluation inside one step: edges without delay only, then by lag, then by name."""
    instant = [(e.source, e.target) for e in edges if e.delay_ticks == 0 and not _always_delays(nodes[e.target])]
    names = sorted(nodes, key=lambda name: (lag.get(name, 0), graph.natural_key(name)))
    order, loop = graph.topological_order(names, instant)
    if loop:
        raise ModelError(f"the loop {' -> '.join([*loop, loop[0]])} has no delay, so no step can be computed",
                         where=loop[0], code="LOOP_WITHOUT_DELAY",
                         fix="give an edge of the loop a delay of one step or more (recurrent_delay=1 on import)")
    return order


def _always_delays(node: Node) -> bool:
    """True for a node whose output never depends on this step's input."""
    if isinstance(node, Delay):
        return bool(node.ticks.size) and bool((node.ticks > 0).all())
    if isinstance(node, ConvSynapses):
        return node.delay_ticks > 0
    return isinstance(node, Synapses | PlasticSynapses) and bool((node.delay_ticks > 0).all())


def _infer_shapes(nodes: Mapping[str, Node], edges: tuple[Edge, ...], order: tuple[str, ...]) -> dict[str, Shape]:
    """Output shape of every node; every edge is checked."""
    shapes: dict[str, Shape] = {}
    for name in order:  # what a loop needs is known from the node itself
        node = nodes[name]
        if isinstance(node, Input | Output | Neuron):
            shapes[name] = node.shape
        elif isinstance(node, Projection):
            shapes[name] = node.post_shape
        elif isinstance(node, Delay):
            shapes[name] = tuple(node.ticks.shape)
    incoming: dict[str, list[Edge]] = {}
    for e in edges:
        incoming.setdefault(e.target, []).append(e)
    for name in _shape_order(nodes, edges):
        for e in incoming.get(name, ()):
            _check_shape(nodes, shapes, name, e)
        if name not in shapes:
            raise ModelError("nothing is connected to its input", where=name, code="NO_INPUT",
                             fix="connect the node or remove it")
    return shapes


def _shape_order(nodes: Mapping[str, Node], edges: tuple[Edge, ...]) -> tuple[str, ...]:
    """Nodes so that the input shape of each stateless node is known before it."""
    fixed = (Input, Output, Neuron, Projection, Delay)
    pairs = [(e.source, e.target) for e in edges if not isinstance(nodes[e.source], fixed)]
    order, loop = graph.topological_order(sorted(nodes, key=graph.natural_key), pairs)
    if loop:
        raise ModelError(f"the loop {' -> '.join([*loop, loop[0]])} contains no neuron", where=loop[0],
                         code="LOOP_WITHOUT_STATE", fix="a loop of connections alone has no meaning; add a neuron")
    fixed_first = [n for n in order if isinstance(nodes[n], fixed)]
    return (*(n for n in order if n not in set(fixed_first)), *fixed_first)


def _check_shape(nodes: Mapping[str, Node], shapes: dict[str, Shape], name: str, edge: Edge) -> None:
    """The shape that comes along one edge must suit the node, and agree with the other edges."""
    node, arriving = nodes[name], shapes[edge.source]
    if isinstance(node, Output):
        if arriving != node.shape:
            raise ModelError(f"the output has shape {node.shape}, {edge.source} gives {arriving}", where=name,
                             code="SHAPE_MISMATCH", fix="correct the output's shape")
        return
    try:
        shape = node.out_shape(arriving)
    except ModelError as error:
        raise ModelError(error.what, where=name, fix=error.fix, code=error.code) from None
    if shapes.setdefault(name, shape) != shape:
        raise ModelError(f"inputs of different shapes meet: {edge.source} makes it {shape}, another {shapes[name]}",
                         where=name, code="SHAPE_MISMATCH", fix="all edges into a node must carry the same shape")
