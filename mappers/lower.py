"""lower: any ir.Network -> the same network as DiscreteLIF populations joined by Synapses, exact in real arithmetic.

Connections between populations become synapses, or stay the kernel of one convolution; gains move into the weights,
resets move to 0, biases act on the membrane, and every population gets a lag so that each connection takes one step or
more, as chips need.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.affine import constant_currents
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LI, CubaLI, I, Neuron, is_spiking
from hwsdk.ir.nodes import Conv, ConvSynapses, Flatten, Input, Node, Output, Scale, Synapses
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.mappers.discretise import Discrete, discretise, readout
from hwsdk.mappers.lower_plastic import Learning, learning, refuse_outputs
from hwsdk.mappers.maps import LinearMap, identity, is_one_to_one, times_channels, used_weights
from hwsdk.mappers.retime import Link, lags, refused_tie

Reach = dict[str, LinearMap]
LARGEST_VALUE = 1e18


@dataclass(frozen=True, slots=True)
class Lower:
    """The pass. ``min_delay``: steps that the chip's own connections take. ``plastic``: does the target learn?"""

    name: str = "lower"
    min_delay: int = 1
    plastic: bool = False

    def __call__(self, network: Network) -> Network:
        """Lower a network.

        Raises:
            UnsupportedError: a part that no chip neuron of this form can do exactly; the code and fix say which.
        """
        refuse_outputs(network) if self.plastic else _refuse_plasticity(network)
        _refuse_extreme_values(network)
        with np.errstate(over="ignore", invalid="ignore"):
            lowered = self._lowered(network)
        _refuse_extreme_values(lowered)
        return lowered

    def _lowered(self, network: Network) -> Network:
        """The pass without its checks of magnitude."""
        log = LedgerWriter()
        network = _with_readouts(_with_folded_factors(network, log), log)
        _refuse_analog_sources(network)
        currents = constant_currents(network)
        cells = {n: discretise(n, p, network.semantics, currents[n], log) for n, p in network.populations.items()}
        bundles = _bundles(network, cells)
        dt = network.semantics.dt if _dirac(network) else 1.0
        learn = learning(network, cells, dt)
        lag = lags([*network.inputs, *cells], [*(b.link for b in bundles), *(k for x in learn for k in x.links)],
                   self.min_delay)
        _refuse_late_inputs(network, lag, learn)
        nodes: dict[str, Node] = dict(network.inputs)
        edges = []
        for name, cell in cells.items():
            nodes[name] = cell.warmed(lag[name], dt, log)
        for b in bundles:
            nodes[b.name] = b.synapses(lag, cells[b.link.target].gain, dt)
            edges += [Edge(b.link.source, b.name), Edge(b.name, b.link.target)]
            log.changed(b.name, "FOLDED", f"{b.via_text} became {_kind(nodes[b.name])}")
        for x in learn:
            nodes[x.name] = x.synapses(lag[x.target], log)
            edges += [Edge(x.source, x.name), Edge(x.name, x.target)]
        edges += _output_edges(network, nodes)
        if any(lag.values()):
            log.changed("", "RETIMED", "each connection takes one step on the chip; lags: "
                        + ", ".join(f"{n} {k}" for n, k in lag.items() if k))
        return Network(network.name, nodes, tuple(edges), network.semantics, network.ledger + log.done(),
                       _all_lags(network, lag))


@dataclass(frozen=True, slots=True)
class _Bundle:
    """All synapses that enter one population from one emitter through one edge."""

    name: str
    link: Link
    linear: LinearMap
    via: str

    @property
    def via_text(self) -> str:
        """What it was in the model."""
        return "the direct connection" if self.via == self.link.source else self.via

    def synapses(self, lag: dict[str, int], gain: NDArray[np.float64], dt: float) -> Synapses | ConvSynapses:
        """The projection, with the retimed delays and the target's gain in the weights."""
        shift = self.link.extra + lag[self.link.target] - lag[self.link.source]
        conv = self.linear.conv
        if conv is not None and not is_one_to_one(conv):
            conv = times_channels(conv, gain)
            if conv is not None:
                return _shared(self.linear, conv, self.linear.delay + shift, dt)
        source, target, weight, ticks = _columns(self.linear)
        return Synapses(self.linear.in_shape, self.linear.out_shape, source, target, weight * gain.ravel()[target] / dt,
                        ticks + shift)


def _shared(linear: LinearMap, conv: Conv, ticks: int, dt: float) -> ConvSynapses:
    """A projection whose kernel is stored once."""
    weight = used_weights(conv, linear.in_shape) / dt
    return ConvSynapses(linear.in_shape, linear.out_shape, conv.out_shape(linear.in_shape), weight, conv.stride,
                        conv.padding, conv.dilation, conv.groups, ticks)


def _kind(node: Node) -> str:
    """A projection in a few words."""
    what = "weights of a convolution kernel" if isinstance(node, ConvSynapses) else "synapses"
    return f"{node.parameters()} {what}"


def _columns(linear: LinearMap) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """(source, target, weight, delay) of every non-zero entry, by ascending source, then target, then delay."""
    columns = []
    for delay, matrix in sorted(linear.parts().items()):
        by_source = matrix.tocsc()
        by_source.eliminate_zeros()
        by_source.sort_indices()
        source = np.repeat(np.arange(by_source.shape[1]), np.diff(by_source.indptr))
        columns.append((source, by_source.indices.astype(np.int64), by_source.data, np.full(len(source), delay)))
    if len(columns) == 1:
        return columns[0]
    source, target, weight, ticks = (np.concatenate(c) for c in zip(*columns, strict=True))
    order = np.lexsort((ticks, target, source))
    return source[order], target[order], weight[order], ticks[order]


def _all_lags(network: Network, lag: dict[str, int]) -> dict[str, int]:
    """Lags of the populations, and of each output that reads a single one."""
    found = {n: lag[n] for n in network.populations}
    for name in network.outputs:
        behind = {source for e in network.sources(name) if (source := _flat_source(network, e.source))}
        if len(behind) == 1:
            found[name] = lag[behind.pop()]
    return found


def _dirac(network: Network) -> bool:
    """True if spikes are Dirac pulses, of height 1/dt."""
    return network.semantics.pulse == "dirac"


def _bundles(network: Network, cells: dict[str, Discrete]) -> list[_Bundle]:
    """Every way from an emitter (input or population) through stateless nodes into a population."""
    reach: dict[str, Reach] = {}
    for name in [*network.inputs, *network.populations]:
        reach[name] = {name: identity(network.shapes[name])}
    for name in _stateless_order(network):
        plastic = isinstance(network.nodes[name], PlasticSynapses)
        reach[name] = {} if plastic else {
            emitter: m.then(network.nodes[name]) for emitter, m in _arriving(network, reach, name).items()}
    found = []
    for target, cell in cells.items():
        for edge in network.sources(target):
            for emitter, linear in reach[edge.source].items():
                linear = linear.delayed(edge.delay_ticks)
                first = linear.first_delay
                if first is None:
                    continue
                base = f"{emitter}->{target}"
                name = base if edge.source == emitter or len(network.sources(target)) == 1 else f"{base}:{edge.source}"
                while isinstance(network.nodes.get(name), PlasticSynapses):  # these keep their names
                    name += "_"
                found.append(_Bundle(name, Link(emitter, target, first, cell.extra_delay), linear, edge.source))
    return found


def _arriving(network: Network, reach: dict[str, Reach], name: str) -> Reach:
    """Emitter -> map to a node's input, all edges together."""
    total: Reach = {}
    for edge in network.sources(name):
        for emitter, linear in reach[edge.source].items():
            linear = linear.delayed(edge.delay_ticks)
            total[emitter] = total[emitter] + linear if emitter in total else linear
    return total


def _stateless_order(network: Network) -> list[str]:
    """Stateless nodes, each after the stateless nodes that feed it."""
    pending = [n for n in network.order if not isinstance(network.nodes[n], Input | Output | Neuron)]
    done: list[str] = []
    while pending:
        ready = [n for n in pending if not any(e.source in pending for e in network.sources(n))]
        done += ready
        pending = [n for n in pending if n not in ready]
    return done


def _with_folded_factors(network: Network, log: LedgerWriter) -> Network:
    """Move the factors between a population that never fires and its Output into the population, which is linear."""
    for output in network.outputs:
        way = _way_back(network, output)
        factors = [n for n in way if isinstance(network.nodes[n], Scale)]
        cell = network.nodes[way[-1]] if way else None
        if not factors or not isinstance(cell, I | LI | CubaLI):
            continue
        factor = np.prod([network.nodes[n].scale.ravel() for n in factors], axis=0).reshape(cell.shape)  # type: ignore[attr-defined]
        scaled = {f: getattr(cell, f) * factor for f in ("r", "v_leak") if hasattr(cell, f)}
        kept = [output, *(n for n in way if n not in factors)]
        nodes = {n: x for n, x in network.nodes.items() if n not in factors} | {way[-1]: replace(cell, **scaled)}
        edges = [e for e in network.edges if e.source not in way] + [Edge(b, a) for a, b in pairwise(kept)]
        log.changed(way[-1], "FACTOR_FOLDED", f"{', '.join(factors)} moved into the weights; v is what {output} reads")
        network = network.replace(nodes=nodes, edges=tuple(edges))
    return network


def _way_back(network: Network, output: str) -> list[str]:
    """Nodes from an Output back through Flatten and Scale to what they follow; [] if any has another way out."""
    way = [output]
    while len(way) == 1 or isinstance(network.nodes[way[-1]], Flatten | Scale):
        into = network.sources(way[-1])
        if len(into) != 1 or into[0].delay_ticks or len(network.targets(into[0].source)) != 1:
            return []
        way.append(into[0].source)
    return way[1:]


def _with_readouts(network: Network, log: LedgerWriter) -> Network:
    """Put a neuron that never fires in front of every Output that is not just one population."""
    nodes, edges, added = dict(network.nodes), list(network.edges), False
    for name in network.outputs:
        feeding = network.sources(name)
        if len(feeding) == 1 and not feeding[0].delay_ticks and _flat_source(network, feeding[0].source) is not None:
            continue
        added = True
        cell = f"{name}.readout"
        nodes[cell] = readout(network.shapes[name])
        edges = [Edge(e.source, cell, e.delay_ticks) if e.target == name else e for e in edges]
        edges.append(Edge(cell, name))
        log.changed(name, "READOUT_ADDED", "the output is a sum, or delayed; a neuron that never fires reads it out")
    return network.replace(nodes=nodes, edges=tuple(edges)) if added else network


def _flat_source(network: Network, name: str) -> str | None:
    """The population behind a chain of nothing but Flatten, or None."""
    while isinstance(network.nodes[name], Flatten) and len(network.sources(name)) == 1:
        name = network.sources(name)[0].source
    return name if isinstance(network.nodes[name], Neuron) else None


def _output_edges(network: Network, nodes: dict[str, Node]) -> list[Edge]:
    """Outputs joined straight to their populations, in the populations' shape."""
    edges = []
    for name in network.outputs:
        sources = [_flat_source(network, e.source) for e in network.sources(name)]
        for source in sources:
            if source is not None:
                nodes[name] = Output(network.shapes[source])
                edges.append(Edge(source, name))
    return edges


def _refuse_plasticity(network: Network) -> None:
    """The synapses of these targets keep the weights that were written."""
    learning = {n: x.rule for n, x in network.of(PlasticSynapses).items() if isinstance(x, PlasticSynapses)}
    if learning:
        rules = " and ".join(sorted({type(rule).__name__ for rule in learning.values()}))
        raise UnsupportedError(f"weights that change by {rules}; this target does not learn", where=", ".join(learning),
                               code="PLASTICITY", fix="compile it for a target that learns (spinnaker2); or run it in "
                               "hwsdk.simulators.reference, probe the projection's "
                               '"weight" there, and connect with the weights it ended with, without plasticity')


def _refuse_late_inputs(network: Network, lag: dict[str, int], learn: list[Learning]) -> None:
    """A tie may ask for an input that comes late; data come when they come.

    Raises:
        UnsupportedError: PLASTIC_LAG.
    """
    for x in learn:
        for name in {x.source, x.target} & set(network.inputs):
            if lag[name]:
                raise refused_tie(x.name, f"{x.target} runs {lag[name]} step(s) behind the model, {name} is an input "
                                  "and does not")


def _refuse_extreme_values(network: Network) -> None:
    """Products of such values leave the range of float64, and no register holds them beside ordinary ones."""
    for name, node in network.nodes.items():
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
                continue
            peak = float(np.abs(value).max())
            if not peak <= LARGEST_VALUE:
                raise UnsupportedError(f"{field.name} reaches {peak:g}, a chip's layer can be scaled from at most "
                                       f"{LARGEST_VALUE:g}", where=name, code="VALUE_RANGE",
                                       fix="check the units of the model, or scale the layer")


def _refuse_analog_sources(network: Network) -> None:
    """A membrane that is not a spike cannot travel to another neuron."""
    for name, node in network.populations.items():
        if is_spiking(node):
            continue
        for edge in network.targets(name):
            if not isinstance(network.nodes[edge.target], Output | Flatten):
                raise UnsupportedError(
                    f"{type(node).__name__} has no spikes, yet it feeds {edge.target}", where=name,
                    code="ANALOG_CONNECTION", fix="let it feed an Output only, or give it a threshold")
    if not network.populations:
        raise UnsupportedError("there is no neuron in the model", code="NO_NEURONS", fix="add a spiking layer")

