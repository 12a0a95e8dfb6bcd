"""Build an ir.Network by hand: populations, weight matrices with a delay for every synapse, any other node."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.errors import ModelError
from hwsdk.ir.formats.checks import check_node
from hwsdk.ir.formats.fields import require_size
from hwsdk.ir.formats.populations import MAX_DELAY_TICKS, MAX_SPREAD, spread
from hwsdk.ir.ledger import Ledger, LedgerEntry
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Input, Node, Output, Shape, Synapses, frozen, size
from hwsdk.ir.semantics import Semantics

N = TypeVar("N", bound=Neuron)
DEFAULTS = {"r": 1.0, "v_leak": 0.0, "v_reset": 0.0, "w_in": 1.0}
Ints = NDArray[np.int64]


def neuron(cls: type[N], shape: Shape | int, **params: Any) -> N:
    """A population whose parameters are spread from scalars, one value a channel, or full arrays.

    Args:
        cls: a class of hwsdk.ir.neurons, for example LIF.
        shape: of the population; an int is one axis.
        params: the class's fields. r, v_leak, v_reset and w_in default to 1, 0, 0 and 1 where the class has them.

    Raises:
        ModelError: UNKNOWN_FIELD, MISSING_FIELD, BAD_DTYPE, SHAPE_MISMATCH, BAD_SHAPE, TOO_LARGE.
    """
    full = _shape(shape, cls.__name__)
    known = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ModelError(f"{cls.__name__} has no parameter {', '.join(unknown)}", code="UNKNOWN_FIELD",
                         fix=f"use {', '.join(known)}")
    return cls(**{n: v for n, f in known.items() if (v := _parameter(cls, f, full, params)) is not None})


def _parameter(cls: type[Neuron], field: dataclasses.Field[Any], shape: Shape, params: dict[str, Any]) -> Any:
    """One parameter of a population, None where the class's own default serves."""
    kind = str(field.type)
    value = params.get(field.name, DEFAULTS.get(field.name))
    if value is None and field.default is not dataclasses.MISSING:
        return None
    if value is None:
        raise ModelError(f"{cls.__name__} needs {field.name}", code="MISSING_FIELD",
                         fix=f"give {field.name} as a number or an array")
    if not kind.endswith("Array"):
        return value
    array = _numbers(value, field.name)
    return frozen(spread(array, shape, cls.__name__, field.name)[0], np.int64 if kind == "IntArray" else np.float64)


def _shape(shape: Shape | int, where: str) -> Shape:
    """A checked shape."""
    full = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not full or any(not isinstance(n, int | np.integer) or n < 1 for n in full):
        raise ModelError(f"the shape is {full}; every extent must be an integer of 1 or more", where=where,
                         code="BAD_SHAPE", fix="give positive integers")
    full = tuple(int(n) for n in full)
    require_size(full, where, MAX_SPREAD)
    return full


def _numbers(value: Any, name: str) -> NDArray[np.float64]:
    """A real array."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ModelError(f"{name} has values of type {array.dtype}, it must hold real numbers", code="BAD_DTYPE",
                         fix="give floats or integers")
    return array.astype(np.float64)


class NetworkBuilder:
    """Collects nodes and connections; ``build`` checks them and returns a Network. Every method returns the builder.

    Example::

        b = NetworkBuilder("two layers")
        b.input("in", (4,)).population("out", neuron(LIF, 3, tau=0.01, v_threshold=1.0))
        b.connect("in", "out", weight=np.ones((3, 4)), delay_ticks=2).output("spikes", "out")
        network = b.build(Semantics(dt=1e-3))
    """

    def __init__(self, name: str = "network") -> None:
        self.name = name
        self._nodes: dict[str, Node] = {}
        self._edges: list[Edge] = []
        self._outputs: list[tuple[str, str]] = []

    def input(self, name: str, shape: Shape | int) -> NetworkBuilder:
        """Add a graph input."""
        return self.add(name, Input(_shape(shape, name)))

    def population(self, name: str, population: Neuron) -> NetworkBuilder:
        """Add a population; see ``neuron``."""
        if not isinstance(population, Neuron):
            raise ModelError(f"a {type(population).__name__} is no population", where=name, code="BAD_NODE",
                             fix="make it with hwsdk.ir.build.neuron, or use add for other nodes")
        return self.add(name, population)

    def add(self, name: str, node: Node) -> NetworkBuilder:
        """Add any node under a new name.

        Raises:
            ModelError: DUPLICATE_NODE.
        """
        if name in self._nodes or name in {o for o, _ in self._outputs}:
            raise ModelError("there is a node of this name already", where=name, code="DUPLICATE_NODE",
                             fix="choose another name")
        self._nodes[name] = node
        return self

    def connect(self, source: str, target: str, *, weight: Any = None, delay_ticks: Any = 0,
                name: str | None = None) -> NetworkBuilder:
        """Connect two nodes.

        Args:
            weight: (post, pre) array or scipy sparse matrix over the flattened shapes (zeros make no synapse), a
                number for one synapse between each pair of equal index, or None for a plain edge.
            delay_ticks: steps, one for all or, with a weight matrix, an array of its shape.
            name: of the Synapses node; default "source->target".

        Raises:
            ModelError: DANGLING_EDGE, DUPLICATE_NODE, SHAPE_MISMATCH, BAD_DTYPE, NEGATIVE_DELAY, BAD_DELAY.
        """
        for end in (source, target):
            if end not in self._nodes:
                raise ModelError(f"the connection {source} -> {target} names a node that does not exist", where=end,
                                 code="DANGLING_EDGE", fix="add the node first")
        if weight is None:
            self._edges.append(Edge(source, target, int(_delays(delay_ticks, (), f"{source}->{target}"))))
            return self
        middle = name or f"{source}->{target}"
        self.add(middle, _synapses(self._out_shape(source), self._in_shape(target), weight, delay_ticks, middle))
        self._edges += [Edge(source, middle), Edge(middle, target)]
        return self

    def output(self, name: str, source: str) -> NetworkBuilder:
        """Add a graph output behind a node."""
        if source not in self._nodes:
            raise ModelError(f"the output is behind {source}, which does not exist", where=name,
                             code="DANGLING_EDGE", fix="add the node first")
        if name in self._nodes or name in {o for o, _ in self._outputs}:
            raise ModelError("there is a node of this name already", where=name, code="DUPLICATE_NODE",
                             fix="choose another name")
        self._outputs.append((name, source))
        return self

    def build(self, semantics: Semantics) -> Network:
        """The validated network.

        Raises:
            ModelError: what is wrong with a node or an edge; see ``hwsdk.ir.network`` and ``formats.checks``.
        """
        for name, node in self._nodes.items():
            check_node(name, node, semantics)
        outputs = {name: Output(self._out_shape(source)) for name, source in self._outputs}
        edges = [*self._edges, *(Edge(source, name) for name, source in self._outputs)]
        note = LedgerEntry("read", "", "BUILT", f"built by hand: {len(self._nodes)} nodes, {len(edges)} edges")
        return Network(self.name, {**self._nodes, **outputs}, tuple(edges), semantics, Ledger((note,)))

    def _in_shape(self, name: str) -> Shape:
        """The shape that a target of synapses takes."""
        node = self._nodes[name]
        return node.pre_shape if isinstance(node, Synapses) else self._out_shape(name)

    def _out_shape(self, name: str, depth: int = 0) -> Shape:
        """The shape that leaves a node."""
        node = self._nodes[name]
        if isinstance(node, Input | Neuron):
            return node.shape
        if isinstance(node, Synapses):
            return node.post_shape
        source = next((e.source for e in self._edges if e.target == name), None)
        if source is None or depth > len(self._nodes):
            raise ModelError("its shape is unknown because nothing is connected to its input", where=name,
                             code="NO_INPUT", fix="connect its input first")
        return node.out_shape(self._out_shape(source, depth + 1))


def _synapses(pre: Shape, post: Shape, weight: Any, delay_ticks: Any, where: str) -> Synapses:
    """The projection of a weight matrix."""
    target, source, values, dims = _triplets(pre, post, weight, where)
    delays = _delays(delay_ticks, dims, where)
    ticks = np.broadcast_to(delays, target.shape) if delays.ndim == 0 else delays[target, source]
    return Synapses(pre, post, frozen(source, np.int64), frozen(target, np.int64), frozen(values),
                    frozen(ticks, np.int64))


def _triplets(pre: Shape, post: Shape, weight: Any, where: str) -> tuple[Ints, Ints, NDArray[np.float64], Shape]:
    """(target, source, weight) of every synapse, and the matrix's shape."""
    dims = (size(post), size(pre))
    if sparse.issparse(weight):
        matrix = weight.tocoo()
        found, rows, cols, data = matrix.shape, matrix.row, matrix.col, _numbers(matrix.data, "weight")
    elif np.ndim(weight) == 0:
        rows = cols = np.arange(dims[1])
        found, data = (dims[1], dims[1]), np.full(dims[1], float(_numbers(weight, "weight")))
    else:
        dense = _numbers(weight, "weight")
        found, (rows, cols) = dense.shape, np.nonzero(dense) if dense.ndim == 2 else (np.zeros(0, int),) * 2
        data = dense[rows, cols] if dense.ndim == 2 else np.zeros(0)
    if tuple(found) != dims:
        raise ModelError(f"the weight has shape {tuple(found)}, the projection from {pre} to {post} needs {dims}",
                         where=where, code="SHAPE_MISMATCH", fix="give one row for each target, one column a source")
    return rows.astype(np.int64), cols.astype(np.int64), data, dims


def _delays(delay_ticks: Any, dims: Shape, where: str) -> Ints:
    """Whole, non-negative steps: one number or a matrix of shape ``dims``."""
    values = delay_ticks.toarray() if sparse.issparse(delay_ticks) else np.asarray(delay_ticks)
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all() or (values % 1 != 0).any():
        raise ModelError("delay_ticks holds other things than whole numbers", where=where, code="BAD_DELAY",
                         fix="give delays in steps")
    if values.size and (values.min() < 0 or values.max() > MAX_DELAY_TICKS):
        bad = values.min() if values.min() < 0 else values.max()
        raise ModelError(f"a delay of {bad:g} steps; allowed are 0 to {MAX_DELAY_TICKS}", where=where,
                         code="NEGATIVE_DELAY" if bad < 0 else "BAD_DELAY", fix="give delays in steps, 0 or more")
    if values.shape not in ((), dims):
        raise ModelError(f"delay_ticks has shape {values.shape}, the weight has {dims}", where=where,
                         code="SHAPE_MISMATCH", fix="give one delay for all, or one for each weight")
    return values.astype(np.int64)
