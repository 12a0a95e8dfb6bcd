"""Build an ir.Network by hand: populations, weight matrices with a delay for every synapse, any other node."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.build_synapses import Form, at_port, convolution, edge_delay, is_whole, numbers, synapses
from hwsdk.ir.fixed import FixedNeuron, FixedRF
from hwsdk.ir.formats.checks import check_node
from hwsdk.ir.formats.fields import require_size
from hwsdk.ir.formats.populations import MAX_SPREAD, spread
from hwsdk.ir.ledger import Ledger, LedgerEntry
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import ConvSynapses, Input, Node, Output, Shape, Synapses, frozen, size
from hwsdk.ir.plastic import Plasticity, PlasticSynapses
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import HOST, SingleNeuron, single

N = TypeVar("N", bound=Neuron)
DEFAULTS = {"r": 1.0, "w_in": 1.0, "scale": 1.0} | dict.fromkeys((
    "v_leak", "v_reset", "bias_mant", "bias_exp", "bias", "u_init", "v_init", "u_start", "v_start", "re_init",
    "im_init", "v_offset", "reset_by"), 0.0)
CHOICES = {"reset": ("value", "subtract"), "activation": ("relu", "unit"), "comparison": (">", ">=")}
PORTS = {"real": 0, "imag": 1}
"""Inputs of a FixedRF population."""


def neuron(cls: type[N], shape: Shape | int, **params: Any) -> N:
    """A population whose parameters are spread from scalars, one value a channel, or full arrays.

    Args:
        cls: a class of hwsdk.ir.neurons, for example LIF, of hwsdk.ir.fixed, for example FixedLIF, or of
            hwsdk.ir.single, for which parameters are rounded to float32.
        shape: of the population; an int is one axis.
        params: the class's fields. Where the class has them, r, w_in and scale default to 1; v_leak, v_reset, biases,
            initial states and v_offset to 0.

    Raises:
        ModelError: UNKNOWN_FIELD, MISSING_FIELD, BAD_OPTION, BAD_DTYPE, SHAPE_MISMATCH, BAD_SHAPE, TOO_LARGE.
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
    kind, name = str(field.type), field.name
    value = params.get(name)
    if value is None and field.default is not dataclasses.MISSING:
        return None
    if value is None and not (name == "reset_by" and params.get("reset") == "subtract"):
        value = DEFAULTS.get(name)
    if value is None:
        raise ModelError(f"{cls.__name__} needs {name}", code="MISSING_FIELD",
                         fix=f"give {name} as a number or an array")
    if "Array" not in kind:
        return _option(name, kind, value, cls.__name__)
    array = numbers(value, name)
    if "IntArray" in kind and not is_whole(array):
        raise ModelError(f"{name} of {cls.__name__} holds other things than whole numbers", code="BAD_DTYPE",
                         fix="give integers, or build the model in floats and let hwsdk quantise it")
    if issubclass(cls, SingleNeuron) and name not in HOST:
        array = single(array)
    return frozen(spread(array, shape, cls.__name__, name)[0], np.int64 if "IntArray" in kind else np.float64)


def _option(name: str, kind: str, value: Any, where: str) -> Any:
    """A parameter that all neurons share: a number, a truth value or a word."""
    good = value in CHOICES[name] if name in CHOICES else isinstance(value, bool | np.bool_) if kind == "bool" else \
        isinstance(value, int | np.integer) and value >= 0
    if not good:
        raise ModelError(f"{name} is {value!r}", where=where, code="BAD_OPTION", fix="give " + (
            " or ".join(CHOICES[name]) if name in CHOICES else "True or False" if kind == "bool" else "0 or more"))
    return value if name in CHOICES else bool(value) if kind == "bool" else int(value)


def _shape(shape: Shape | int, where: str) -> Shape:
    """A checked shape."""
    full = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not full or any(not isinstance(n, int | np.integer) or n < 1 for n in full):
        raise ModelError(f"the shape is {full}; every extent must be an integer of 1 or more", where=where,
                         code="BAD_SHAPE", fix="give positive integers")
    full = tuple(int(n) for n in full)
    require_size(full, where, MAX_SPREAD)
    return full


class NetworkBuilder:
    """Collects nodes and connections; ``build`` checks them and returns a Network. Every method returns the builder.

    Example::

        b = NetworkBuilder("two layers")
        b.input("in", (4,)).population("out", neuron(LIF, 3, tau=0.01, v_threshold=1.0))
        b.connect("in", "out", weight=np.ones((3, 4)), delay_ticks=2).output("spikes", "out")
        network = b.build(Semantics(dt=1e-3))

    A projection onto an integer population (hwsdk.ir.fixed) takes integer weights and 1 step or more, one onto a
    single-precision population (hwsdk.ir.single) integer weights; such a network goes to the chip as it is.
    """

    def __init__(self, name: str = "network") -> None:
        self.name = name
        self._nodes: dict[str, Node] = {}
        self._edges: list[Edge] = []
        self._outputs: list[tuple[str, str]] = []
        self._notes: list[LedgerEntry] = []

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

    def connect(self, source: str, target: str, *, weight: Any = None, delay_ticks: Any = None,
                name: str | None = None, rounding: str | None = None, port: str | None = None, weight_exp: int = 0,
                weight_bits: int = 8, sign_mode: str | None = None,
                plasticity: Plasticity | None = None) -> NetworkBuilder:
        """Connect two nodes.

        Args:
            weight: (post, pre) array or scipy sparse matrix over the flattened shapes (zeros make no synapse; a sparse
                matrix may hold several entries of one place), (k, post, pre) for up to k synapses between each pair, a
                number for one synapse between each pair of equal index, or None for a plain edge.
            delay_ticks: steps, one for all or an array of the weight's shape; default 0, or 1 onto an integer or
                single-precision population. For a sparse weight also one for each stored entry, in the order of
                ``tocoo()``.
            name: of the Synapses node; default "source->target".
            rounding: "nearest" takes fractional delays to whole steps and reports what that did; None refuses them.
            port: "real" or "imag", which input of a resonate-and-fire population.
            weight_exp, weight_bits, sign_mode: form of integer weights, see Synapses; sign_mode None: what they allow.
            plasticity: a rule of hwsdk.ir.plastic, for example PairSTDP, by which the weights change from their initial
                values; then a 0 in an array is a synapse too (use a sparse matrix for some pairs only), and the
                default delay is 1.

        Raises:
            ModelError: DANGLING_EDGE, DUPLICATE_NODE, SHAPE_MISMATCH, BAD_DTYPE, NEGATIVE_DELAY, BAD_DELAY,
                WEIGHT_GRID, BAD_OPTION.
        """
        self._require_ends(source, target)
        where = name or f"{source}->{target}"
        form = Form(_numbers(self._nodes[target]), weight_exp, weight_bits, sign_mode)
        if plasticity is not None:
            if weight is None or port is not None or form.numbers == "fixed" or not form.plain:
                raise ModelError("a plastic connection has initial weights, not in Loihi's form, and no port",
                                 where=where, code="BAD_OPTION", fix="give weight, delay_ticks and plasticity only")
            made, notes = synapses(self._out_shape(source), self._in_shape(target), weight,
                                   1 if delay_ticks is None else delay_ticks, where, rounding, zeros=True)
            self._notes += notes
            learning = PlasticSynapses(made.pre_shape, made.post_shape, made.source, made.target, frozen(made.weight),
                                       made.delay_ticks, plasticity)
            return self._between(source, where, target, learning)
        if weight is None:
            self._edges.append(Edge(source, target, edge_delay(0 if delay_ticks is None else delay_ticks, where)))
            return self
        made, notes = synapses(self._out_shape(source), self._port_shape(target, port, where), weight,
                               int(form.numbers != "float") if delay_ticks is None else delay_ticks, where, rounding)
        self._notes += notes
        return self._join(source, target, where, made, port, form)

    def convolve(self, source: str, target: str, weight: Any, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                 groups: int = 1, delay_ticks: int | None = None, name: str | None = None, port: str | None = None,
                 weight_exp: int = 0, weight_bits: int = 8, sign_mode: str | None = None) -> NetworkBuilder:
        """Connect an input or a population (C_in, *places) with a population by a convolution, as torch's convNd.

        Args:
            weight: (C_out, C_in / groups, *kernel). stride, dilation: one for all axes, or one an axis. padding: also
                one (before, after) pair an axis. The others are as in ``connect``; there is one delay for all.

        Raises:
            ModelError: as ``connect``.
        """
        self._require_ends(source, target)
        where = name or f"{source}->{target}"
        form = Form(_numbers(self._nodes[target]), weight_exp, weight_bits, sign_mode)
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        made = convolution(self._out_shape(source), weight, options,
                           int(form.numbers != "float") if delay_ticks is None else delay_ticks, where)
        post = self._port_shape(target, port, where)
        if size(made.conv_shape) != size(post):
            raise ModelError(f"the convolution makes {made.conv_shape}, {target} takes {post}", where=where,
                             code="SHAPE_MISMATCH", fix="check kernel, stride and padding")
        return self._join(source, target, where, dataclasses.replace(made, post_shape=post), port, form)

    def _require_ends(self, source: str, target: str) -> None:
        """Both ends of a connection must be there."""
        for end in (source, target):
            if end not in self._nodes:
                raise ModelError(f"the connection {source} -> {target} names a node that does not exist", where=end,
                                 code="DANGLING_EDGE", fix="add the node first")

    def _port_shape(self, target: str, port: str | None, where: str) -> Shape:
        """The shape of what is connected: a target's whole input, or one port of it."""
        shape = self._in_shape(target)
        if port is None:
            return shape
        if not isinstance(self._nodes[target], FixedRF) or port not in PORTS:
            raise ModelError(f"{target} has no port {port!r}", where=where, code="BAD_OPTION",
                             fix="leave the port out; resonate-and-fire populations have real and imag")
        return shape[1:]

    def _join(self, source: str, target: str, where: str, made: Synapses | ConvSynapses, port: str | None, form: Form,
              ) -> NetworkBuilder:
        """Add a projection and its edges."""
        made = made if port is None else at_port(made, PORTS[port], self._in_shape(target), where)
        if form.numbers == "fixed" and np.size(made.delay_ticks) and np.min(made.delay_ticks) < 1:
            raise ModelError("a delay of 0 steps onto an integer population", where=where, code="BAD_DELAY",
                             fix="a chip's synapse takes 1 step or more")
        return self._between(source, where, target, form.apply(made, where))

    def _between(self, source: str, name: str, target: str, node: Node) -> NetworkBuilder:
        """Add a node with an edge from the source and one to the target."""
        self.add(name, node)
        self._edges += [Edge(source, name), Edge(name, target)]
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
        _refuse_mixture(self._nodes)
        outputs = {name: Output(self._out_shape(source)) for name, source in self._outputs}
        edges = [*self._edges, *(Edge(source, name) for name, source in self._outputs)]
        note = LedgerEntry("read", "", "BUILT", f"built by hand: {len(self._nodes)} nodes, {len(edges)} edges")
        return Network(self.name, {**self._nodes, **outputs}, tuple(edges), semantics, Ledger((note, *self._notes)))

    def _in_shape(self, name: str) -> Shape:
        """The shape that a target of synapses takes."""
        node = self._nodes[name]
        if isinstance(node, Neuron):
            return node.in_shape
        return node.pre_shape if isinstance(node, Synapses | ConvSynapses | PlasticSynapses) else self._out_shape(name)

    def _out_shape(self, name: str, depth: int = 0) -> Shape:
        """The shape that leaves a node."""
        node = self._nodes[name]
        if isinstance(node, Input | Neuron):
            return node.shape
        if isinstance(node, Synapses | ConvSynapses | PlasticSynapses):
            return node.post_shape
        source = next((e.source for e in self._edges if e.target == name), None)
        if source is None or depth > len(self._nodes):
            raise ModelError("its shape is unknown because nothing is connected to its input", where=name,
                             code="NO_INPUT", fix="connect its input first")
        return node.out_shape(self._out_shape(source, depth + 1))


def _numbers(node: Node) -> str:
    """What a population computes in, see Form."""
    return "fixed" if isinstance(node, FixedNeuron) else "single" if isinstance(node, SingleNeuron) else "float"


def _refuse_mixture(nodes: dict[str, Node]) -> None:
    """Floats, integers and single precision have no common unit."""
    found: dict[str, str] = {}
    for name, node in nodes.items():
        if isinstance(node, Neuron):
            found.setdefault(_numbers(node), name)
    if len(found) > 1:
        words = {"float": "floats", "fixed": "integers", "single": "single precision"}
        first, second = sorted(found, key=list(words).index)[:2]
        raise ModelError(f"a population in {words[first]} beside populations in {words[second]}", where=found[first],
                         code="MIXED_NUMBERS", fix="use the integer neurons of hwsdk.ir.fixed for all of them, those "
                         "of hwsdk.ir.single for all, or neither for any")
