"""Walk the flat graph from its Inputs, build every node for the shape that reaches it, and repair on the way."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hwsdk.errors import InternalError, ModelError
from hwsdk.ir.formats import layers, populations
from hwsdk.ir.formats.fields import FieldReader, require_size
from hwsdk.ir.formats.flatten_graph import FlatGraph
from hwsdk.ir.formats.ports import ELEMENTWISE, POOLS, SPATIAL, taken
from hwsdk.ir.formats.raw import RawNode
from hwsdk.ir.graph import natural_key
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Delay, Flatten, Input, Linear, Node, Output, Scale, Shape, size
from hwsdk.ir.semantics import Semantics

KNOWN = ("Input", "Output", "Affine", "Linear", *SPATIAL, *POOLS, "Flatten", *ELEMENTWISE)
N_PRIMITIVES = len(KNOWN) + 1  # and NIRGraph


@dataclass(slots=True, eq=False)
class Builder:
    """The state of one walk: nodes and output shapes so far."""

    flat: FlatGraph
    semantics: Semantics
    ledger: LedgerWriter
    inputs: Mapping[str, Shape]
    tau_factor: float = 1.0
    r_factor: float = 1.0
    nodes: dict[str, Node] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)


def check_types(flat: FlatGraph) -> None:
    """Refuse types that NIR does not have.

    Raises:
        ModelError: UNKNOWN_NODE.
    """
    for name, node in flat.nodes.items():
        if node.type not in KNOWN:
            raise ModelError(f"the node type {node.type!r} is not one of the {N_PRIMITIVES} of NIR "
                             f"({', '.join(KNOWN)}, NIRGraph)", where=name, code="UNKNOWN_NODE",
                             fix="replace the layer by NIR's primitives before exporting")


def build_nodes(walk: Builder) -> None:
    """Fill ``walk.nodes`` and ``walk.shapes``; inserted Flatten nodes go into ``walk.flat``.

    Raises:
        ModelError: whatever is wrong with a node, with its name in ``where``.
    """
    before, after = walk.flat.before(), walk.flat.after()
    for name in visit_order(sorted(walk.flat.nodes, key=natural_key), before, after):
        sources = [s for s in before[name] if s in walk.shapes]
        arriving = walk.shapes[sources[0]] if sources else None
        fields = FieldReader(name, walk.flat.nodes[name])
        node = _build(walk, fields, arriving, after[name])
        if isinstance(node, Linear) and arriving is not None:
            arriving = _with_flatten(walk, name, node, arriving, before[name])
        walk.nodes[name] = node
        walk.shapes[name] = _shape_behind(name, node, arriving)
        _note(walk, fields, node)


def visit_order(names: Sequence[str], before: Mapping[str, Sequence[str]],
                after: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Every node once: after all its sources where possible, in a loop after one of them, else by name."""
    rank = {n: i for i, n in enumerate(names)}
    missing = {n: len(before[n]) for n in names}
    ready = [rank[n] for n in names if not missing[n]]
    partly: list[int] = []
    rest, done = iter(names), set[str]()
    heapq.heapify(ready)
    while len(done) < len(names):
        queue = ready or partly
        name = names[heapq.heappop(queue)] if queue else next(rest)
        if name in done:
            continue
        done.add(name)
        yield name
        for follower in after[name]:
            missing[follower] -= 1
            heapq.heappush(partly if missing[follower] else ready, rank[follower])


def _build(walk: Builder, fields: FieldReader, arriving: Shape | None, followers: Sequence[str]) -> Node:
    """The IR node of one raw node."""
    kind, ledger = fields.node.type, walk.ledger
    if kind == "Input":
        fields.used.add("shape")
        return Input(walk.inputs[fields.name])
    if kind in ("Affine", "Linear"):
        return layers.linear(fields, ledger)
    if kind in ELEMENTWISE:
        return _elementwise(walk, fields, arriving)
    if arriving is None:
        raise fields.error("it lies in a loop that no Input reaches, so its shape is unknown", "NO_INPUT",
                           "connect the loop to an Input")
    if kind == "Output":
        return _output(fields, arriving, ledger)
    if kind in SPATIAL:
        return layers.conv(fields, arriving, ledger)
    if kind in POOLS:
        return layers.pool(fields, ledger)
    wanted = tuple(w for n in followers if (w := _wanted(walk, n)) is not None)
    return layers.flatten(fields, arriving, wanted, ledger)


def _elementwise(walk: Builder, fields: FieldReader, arriving: Shape | None) -> Node:
    """Scale, Delay or a population."""
    if fields.node.type == "Scale":
        return populations.scale(fields, arriving, walk.ledger)
    if fields.node.type == "Delay":
        return populations.delay(fields, arriving, walk.ledger, walk.semantics)
    return populations.neuron(fields, arriving, walk.ledger, walk.tau_factor, walk.r_factor)


def _wanted(walk: Builder, name: str) -> Shape | None:
    """What the node behind a Flatten takes, without a stray batch axis."""
    node: RawNode = walk.flat.nodes[name]
    shape = taken(name, node)
    stray = shape is not None and len(shape) == 2 and shape[0] == 1 and node.type in (*ELEMENTWISE, "Output")
    return shape[1:] if stray and shape is not None else shape


def _output(fields: FieldReader, arriving: Shape, ledger: LedgerWriter) -> Output:
    """An Output of the shape that arrives; a stored one may differ by a batch axis or by flattening only."""
    stored = fields.shape("shape")
    if stored is None:
        ledger.assumed(fields.name, "OUTPUT_SHAPE", f"no shape is stored; {arriving} arrives")
    elif size(stored) != size(arriving):
        raise fields.error(f"the output has shape {stored}, {arriving} arrives", "SHAPE_MISMATCH",
                           "correct the shape of the Output or of the layer before it")
    elif stored != arriving:
        batch = stored[0] == 1 and stored[1:] == arriving
        ledger.changed(fields.name, "BATCH_AXIS" if batch else "OUTPUT_SHAPE",
                       f"the shape {stored} is stored, {arriving} arrives; the latter was used")
    return Output(arriving)


def _with_flatten(walk: Builder, name: str, node: Linear, arriving: Shape, sources: Sequence[str]) -> Shape:
    """Insert a Flatten before a matrix that takes exactly the product of what arrives."""
    takes = (*node.weight.shape[:-2], node.weight.shape[-1])
    if arriving == takes or len(takes) != 1 or size(arriving) != takes[0]:
        return arriving
    flat, inner = walk.flat, f"{name}.flatten"
    while inner in flat.nodes or inner in walk.nodes:
        inner += "_"
    flat.nodes[inner] = RawNode("Flatten")
    flat.edges = [(a, inner if b == name else b) for a, b in flat.edges] + [(inner, name)]
    walk.nodes[inner], walk.shapes[inner] = Flatten(0, -1), takes
    walk.ledger.changed(inner, "FLATTEN_INSERTED", f"{arriving} from {', '.join(sources)} was flattened to {takes}")
    return takes


def _shape_behind(name: str, node: Node, arriving: Shape | None) -> Shape:
    """The node's output shape, checked and of sane size."""
    if isinstance(node, Input):
        return node.shape
    if arriving is None:
        return _shape_in_loop(node)
    try:
        shape = node.out_shape(arriving)
    except ModelError as error:
        raise ModelError(error.what, where=name, fix=error.fix, code=error.code) from None
    require_size(shape, name)
    return shape


def _shape_in_loop(node: Node) -> Shape:
    """The shape of a node that is visited before any of its sources."""
    if isinstance(node, Linear):
        return (*node.weight.shape[:-2], node.weight.shape[-2])
    if isinstance(node, Scale):
        return node.scale.shape
    if isinstance(node, Delay):
        return node.ticks.shape
    if isinstance(node, Neuron):
        return node.shape
    raise InternalError(f"{type(node).__name__} was built without an input shape")


def _note(walk: Builder, fields: FieldReader, node: Node) -> None:
    """The ledger entries that every node gets."""
    stored = {k: v for k, v in fields.node.fields.items() if k in fields.used}
    shown = ", ".join(f"{k} {v!r}" if isinstance(v, str) else f"{k} {v.dtype}{list(v.shape)}"
                      for k, v in sorted(stored.items()))
    walk.ledger.read(fields.name, "NODE", f"{fields.node.type}: {shown or 'no fields'} -> "
                     f"{type(node).__name__} {walk.shapes[fields.name]}")
    if fields.unused():
        walk.ledger.warning(fields.name, "UNKNOWN_FIELD", f"fields that NIR's {fields.node.type} does not have were "
                            f"not used: {', '.join(fields.unused())}")
    if fields.node.metadata:
        walk.ledger.read(fields.name, "METADATA", "metadata kept out of the network: "
                         + ", ".join(fields.node.metadata))
