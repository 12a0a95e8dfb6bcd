"""What NeuroBench counts, on networks and traces: connections, synaptic operations, activations, membrane updates.

Two forms of network are counted. In a float model the layers are its Linear and Conv nodes, as NeuroBench sees them: a
pooling or a scale before one is not counted, but decides what enters it. In a network of a chip's own numbers they are
all connections from an input or population to a population, whatever lies between, since that is what the chip stores
and adds up; a pooling is then part of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.errors import InternalError, UnsupportedError
from hwsdk.ir.affine import apply_map
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron, is_spiking
from hwsdk.ir.nodes import Conv, ConvSynapses, Delay, Input, Linear, Node, Output, Quantise, Synapses, size
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.ir.trace import Trace

Floats = NDArray[np.float64]
Layers = Linear | Conv
Joins = Synapses | ConvSynapses | PlasticSynapses


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """Connections that leave each element of what enters a layer: ``all`` (n,), ``live`` (n,) of a weight not 0."""

    all: Floats
    live: Floats


@dataclass(frozen=True, slots=True)
class SynOps:
    """Synaptic operations of all samples: with non-binary inputs (``macs``) and with inputs in -1, 0, 1 (``acs``)."""

    macs: float = 0.0
    acs: float = 0.0

    def __add__(self, other: SynOps) -> SynOps:
        return SynOps(self.macs + other.macs, self.acs + other.acs)


def fan_out(node: Layers | Joins) -> Fan:
    """Of a Linear or Conv node, or of a projection.

    A list of synapses stands for the matrix between its ends, so that ``all`` is that of the matrix, or what is listed
    where several join a pair; unless no element has more than one synapse: then it is one-to-one.
    """
    if isinstance(node, Linear):
        out, into = node.weight.shape[-2:]
        live = np.count_nonzero(node.weight, axis=-2).ravel().astype(np.float64)
        return Fan(np.full(prod(node.weight.shape[:-2]) * into, out, np.float64), live)
    if isinstance(node, ConvSynapses):
        return _conv_fan(node)
    if isinstance(node, Conv):
        raise InternalError("the fan-out of a Conv depends on the shape that enters it: see as_synapses")
    pre, post = size(node.pre_shape), size(node.post_shape)
    here = np.bincount(node.source, minlength=pre)
    single = here.max(initial=0) <= 1 and np.bincount(node.target, minlength=post).max(initial=0) <= 1
    live = np.asarray(np.bincount(node.source, node.weight != 0, pre), np.float64)
    return Fan(np.asarray(here if single else np.maximum(here, post), np.float64), live)


def as_synapses(node: Conv, in_shape: tuple[int, ...]) -> ConvSynapses:
    """A convolution as a projection that takes ``in_shape``."""
    out = node.out_shape(in_shape)
    return ConvSynapses(in_shape, out, out, node.weight, node.stride, node.padding, node.dilation, node.groups)


def _conv_fan(node: ConvSynapses) -> Fan:
    """Without writing the synapses out: the sums of a kernel of ones, seen from the inputs."""
    c_out, group_in = node.weight.shape[:2]
    counts = []
    for kernel in (np.ones_like(node.weight, dtype=np.float64), (node.weight != 0).astype(np.float64)):
        by_in = kernel.reshape(node.groups, c_out // node.groups, group_in, *node.kernel).sum(axis=1)
        counts.append(_spread(node, by_in.reshape(node.groups * group_in, *node.kernel)).ravel())
    return Fan(*counts)


def _spread(node: ConvSynapses, of: Floats) -> Floats:
    """(C_in, *spatial): what every input position gives, with ``of`` (C_in, *kernel) given at each kernel offset."""
    total = of
    for k, s, (lo, _), d, n, m in zip(node.kernel, node.stride, node.padding, node.dilation, node.pre_shape[1:],
                                      node.conv_shape[1:], strict=True):
        meets = np.zeros((k, n))
        at = np.arange(m)[None, :] * s + np.arange(k)[:, None] * d - lo
        offset, position = np.nonzero((at >= 0) & (at < n))
        np.add.at(meets, (offset, at[offset, position]), 1.0)
        total = np.tensordot(total, meets, (1, 0))
    return np.asarray(total)


def weights_of(node: Layers) -> tuple[int, int]:
    """(weights, those that are 0) of a float layer, its bias left out; a kernel counts once."""
    return int(node.weight.size), int((node.weight == 0).sum())


def layers(network: Network) -> dict[str, Layers]:
    """The Linear and Conv nodes of a model."""
    return {n: node for n, node in network.nodes.items() if isinstance(node, Linear | Conv)}


def joins(network: Network) -> dict[str, Joins]:
    """The projections of a lowered or discrete network."""
    return {n: node for n, node in network.nodes.items() if isinstance(node, Synapses | ConvSynapses | PlasticSynapses)}


def dense_connections(network: Network) -> float:
    """All connections, of weight 0 too: of the layers of a float model, or of the projections of a lowered one."""
    if is_model(network):
        return sum(float(f.all.sum()) for f in _layer_fans(network).values())
    return sum(float(fan_out(j).all.sum()) for j in joins(network).values())


def is_model(network: Network) -> bool:
    """Is it a model with layers, and not a network of projections?"""
    return bool(layers(network))


def _layer_fans(network: Network) -> dict[str, Fan]:
    """Name -> fan-out of every layer of a model, and of what projections it has beside them."""
    return {n: fan_out(as_synapses(node, entering(network, n)) if isinstance(node, Conv) else node)
            for n, node in (layers(network) | joins(network)).items()}


def entering(network: Network, name: str) -> tuple[int, ...]:
    """Shape of what enters a node."""
    return network.shapes[network.sources(name)[0].source]


def links(network: Network) -> dict[tuple[str, str], Floats]:
    """(input or population, population) -> (n,) live connections of each element, in a network of projections.

    Direct projections are counted as they stand. Where several nodes lie between, such as the blocks and converters of
    crossbars, their product is: a weight that is the difference of two cells is one connection.
    """
    found: dict[tuple[str, str], Floats] = {}
    memo: dict[str, dict[str, sparse.csr_matrix]] = {}
    for target in network.populations:
        for edge in network.sources(target):
            node = network.nodes[edge.source]
            before = [e.source for e in network.sources(edge.source)]
            if isinstance(node, Joins) and all(_emits(network.nodes[n]) for n in before):
                live = dict.fromkeys(before, fan_out(node).live)
            elif _emits(node):
                live = {edge.source: np.ones(size(network.shapes[edge.source]))}
            else:
                live = {s: _column_counts(m) for s, m in _matrices(network, edge.source, memo).items()}
            for source, counts in live.items():
                found[source, target] = found.get((source, target), np.zeros(len(counts))) + counts
    return found


def _emits(node: Node) -> bool:
    return isinstance(node, Input | Neuron)


def _column_counts(matrix: sparse.csr_matrix) -> Floats:
    """Entries other than 0 of every column."""
    return np.bincount(matrix.indices[matrix.data != 0], minlength=matrix.shape[1]).astype(np.float64)


def _matrices(network: Network, name: str, memo: dict[str, dict[str, sparse.csr_matrix]],
              ) -> dict[str, sparse.csr_matrix]:
    """Emitter -> (elements of the node, elements of the emitter): what the node is given, converters left out."""
    if name in memo:
        return memo[name]
    node = network.nodes[name]
    if _emits(node):
        return {name: sparse.identity(size(network.shapes[name]), format="csr")}
    total: dict[str, sparse.csr_matrix] = {}
    for edge in network.sources(name):
        for source, matrix in _matrices(network, edge.source, memo).items():
            total[source] = total[source] + matrix if source in total else matrix
    if not isinstance(node, Quantise | Output):
        if not isinstance(node, Joins):
            raise UnsupportedError(f"connections through a {type(node).__name__} are not counted", where=name,
                                   code="NOT_COUNTED", fix="count the model instead")
        own = explicit(node) if isinstance(node, ConvSynapses) else node
        weight = sparse.csr_matrix((own.weight.astype(np.float64), (own.target, own.source)),
                                   shape=(size(own.post_shape), size(own.pre_shape)))
        total = {source: sparse.csr_matrix(weight @ matrix) for source, matrix in total.items()}
    memo[name] = total
    return total


def operations(events: Events, live: Floats) -> SynOps:
    """Of what enters one layer. As NeuroBench's code has it, the operations of a step are accumulates if all values of
    the step, over all samples together, are -1, 0 or 1, else multiply-accumulates.
    """
    if not len(events):
        return SynOps()
    done = np.bincount(events.step, live[events.index], events.n_steps)
    graded = np.zeros(events.n_steps, np.bool_)
    if events.value is not None:
        graded[events.step[np.abs(events.value) != 1]] = True
    return SynOps(float(done[graded].sum()), float(done[~graded].sum()))


def model_operations(network: Network, data: Stimulus, trace: Trace) -> SynOps:
    """Of a float model on a trace of it, all samples together."""
    fans = _layer_fans(network)
    return sum((operations(_into(network, n, data, trace), fans[n].live) for n in fans), SynOps())


def chip_operations(network: Network, data: Stimulus, trace: Trace) -> SynOps:
    """Of a network in a chip's numbers on the chip's trace, all samples together, on the model's own steps."""
    return sum((operations(_of(source, data, trace), live) for (source, _), live in links(network).items()), SynOps())


def _of(name: str, data: Stimulus, trace: Trace) -> Events:
    """What an input or population puts out on the model's own steps."""
    return data.inputs[name] if name in data.inputs else trace.aligned(name, data.n_steps)


def _into(network: Network, name: str, data: Stimulus, trace: Trace) -> Events:
    """What enters a layer of a model."""
    edges = network.sources(name)
    if len(edges) == 1 and _emits(network.nodes[edges[0].source]):
        found = _of(edges[0].source, data, trace)
        return found if not edges[0].delay_ticks else found.shifted(edges[0].delay_ticks, data.n_steps)
    walk = _Walk(network, data, trace)
    rows = []
    for t in range(data.n_steps):
        flat = walk.arriving(name, t).reshape(data.n_samples, -1)
        sample, index = np.nonzero(flat)
        rows.append((sample, np.full(len(sample), t), index, flat[sample, index]))
    sample, step, index, value = (np.concatenate(c) for c in zip(*rows, strict=True))
    order = np.lexsort((index, step, sample))
    return Events(entering(network, name), data.n_samples, data.n_steps, sample[order].astype(np.int32),
                  step[order].astype(np.int32), index[order].astype(np.int32), value[order])


@dataclass(frozen=True, slots=True)
class _Walk:
    """The values at any place of a model, from what its inputs and populations put out."""

    network: Network
    data: Stimulus
    trace: Trace

    def arriving(self, name: str, step: int) -> Floats:
        """(samples, *shape): the sum of what comes along all edges into a node."""
        parts = [self.leaving(e.source, step - e.delay_ticks) for e in self.network.sources(name)]
        return np.asarray(sum(parts[1:], parts[0]))

    def leaving(self, name: str, step: int) -> Floats:
        """(samples, *shape): what a node puts out; zeros before the first step."""
        shape, node = (self.data.n_samples, *self.network.shapes[name]), self.network.nodes[name]
        if step < 0:
            return np.zeros(shape)
        if _emits(node):
            return _of(name, self.data, self.trace).at_step(step).reshape(shape)
        if isinstance(node, Delay):
            return np.asarray(sum((self.arriving(name, step - int(d)) * (node.ticks == d) if step >= d else
                                   np.zeros(shape) for d in np.unique(node.ticks)), np.zeros(shape)))
        return np.asarray(apply_map(node, self.arriving(name, step), np.dtype("float64")))


def activation_sparsity(network: Network, trace: Trace, steps: int) -> float | None:
    """Share of zeros in what all spiking populations put out, over all samples and the model's own steps."""
    names = [n for n, p in network.populations.items() if is_spiking(p) and n in trace.spikes]
    cells = sum(trace.spikes[n].n for n in names) * trace.n_samples * steps
    return 1.0 - sum(len(trace.aligned(n, steps)) for n in names) / cells if cells else None


def membrane_updates(network: Network, trace: Trace, steps: int) -> dict[str, float] | None:
    """Population -> membranes that a step changed, all samples together: in the first step all, as NeuroBench's code
    has it. None where the trace lacks a population's v.
    """
    found: dict[str, float] = {}
    for name in network.populations:
        v = trace.states.get((name, "v"))
        if v is None:
            return None
        lag = trace.lag.get(name, 0)
        own = v[:, lag : lag + steps]
        found[name] = float(own[:, 0].size) + float(np.count_nonzero(np.diff(own, axis=1)))
    return found


def live_connections(network: Network) -> float:
    """Connections of a weight other than 0, of a network of projections."""
    return sum(float(live.sum()) for live in links(network).values())

