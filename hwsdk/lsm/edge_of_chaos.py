"""Liquids tuned to the edge of chaos: NALSM's STDP whose depression an astrocyte sets; off-line, to fixed weights.

Ivanov and Michmizos, "Increasing Liquid State Machine Performance with Edge-of-Chaos Dynamics Organized by
Astrocyte-modulated Plasticity", NeurIPS 2021, arXiv 2111.01760; parameters from github.com/combra-lab/NALSM (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, InternalError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import CubaLIF, DiscreteLIF
from hwsdk.ir.nodes import Linear, Node, Synapses, frozen, size
from hwsdk.ir.semantics import Semantics
from hwsdk.lsm.topology import Distance, wiring
from hwsdk.mappers.lower import Lower
from hwsdk.simulators.kernels_nalsm import EXCITATORY, INHIBITORY, INPUT, Cells, Law, State, Wires, nalsm

Array = NDArray[Any]
THRESHOLD = 20.0
"""Of the paper's neurons. Its rates, clips and weights are for this threshold."""
TAU_V, TAU_U, RESTS, DT = 64, (1, 2), 2, 1e-3
"""Steps in which the paper's membranes leak, in which its synaptic currents decay (one of them a neuron, at random),
steps without a spike after one, and seconds of a step."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The paper's constants, for neurons with a threshold of 20.

    potentiation: A_p, fixed. trace_step, trace_tau: a spike adds 0.1 to a trace that decays in 10 steps.
    astrocyte_weight: w_a, 0.015 for 1,000 neurons and 0.0075 for 8,000. astrocyte_tau: steps. astrocyte_bias: b_a and
    the level before the first step, None: the potentiation. clip: largest weight. frozen: plain STDP, whose depression
    stays at the bias.
    """

    potentiation: float = 0.15
    trace_step: float = 0.1
    trace_tau: float = 10.0
    astrocyte_weight: float = 0.015
    astrocyte_tau: float = 100.0
    astrocyte_bias: float | None = None
    clip: float = 3.0
    frozen: bool = False

    def law(self, learns: bool) -> Law:
        """For the kernel."""
        bias = self.potentiation if self.astrocyte_bias is None else self.astrocyte_bias
        return Law(self.potentiation, self.trace_step, math.exp(-1 / self.trace_tau), self.astrocyte_weight,
                   self.astrocyte_tau, bias, self.clip, learns, self.frozen or not learns)


@dataclass(frozen=True, slots=True, eq=False)
class Liquid:
    """One recurrent population and what feeds it, as the kernel takes it.

    inputs: names, in the order of their units. n_inputs, n: units and neurons. unit: weight of the network that is 1 in
    the rule's numbers. weight (S,): in the rule's numbers. parts: projection -> where its weights stand: rows of
    ``weight`` and flat places in the node's own weights.
    """

    inputs: tuple[str, ...]
    n_inputs: int
    n: int
    unit: float
    wires: Wires
    cells: Cells
    weight: NDArray[np.float64]
    parts: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]

    def state(self) -> State:
        """At rest."""
        units = self.n_inputs + self.n
        return State(np.zeros(self.n), np.zeros(self.n), np.zeros(self.n, np.int64), np.zeros(units, np.uint8),
                     np.zeros((units, len(self.cells.decay))), np.zeros(units))

    def show(self, spikes: NDArray[np.uint8], law: Law, weight: NDArray[np.float64], state: State, record: bool,
             ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Show samples (B, T, C), changing ``weight`` and ``state``; returns the astrocyte (B, T) and, if recorded,
        the liquid's spikes (B, T, N).
        """
        samples, steps, _ = spikes.shape
        level = np.zeros((samples, steps))
        out = np.zeros((samples, steps, self.n) if record else (0, 0, 0), np.uint8)
        nalsm(self.wires, self.cells, law, np.ascontiguousarray(spikes), weight, state, level, out)
        return level, out


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How a liquid behaves. branching: spikes that follow a spike per spike that came before it, 1 at the edge of
    chaos, NaN where nothing fires. rate: spikes a neuron and step. mean_weight: of |w|, in the rule's numbers.
    clipped, silent: shares of synapses at the clip and at 0.
    """

    branching: float
    rate: float
    mean_weight: float
    clipped: float
    silent: float

    def to_text(self) -> str:
        """One line."""
        return (f"branching {self.branching:.3f}, rate {self.rate:.4f}, mean |w| {self.mean_weight:.3f}, "
                f"{self.clipped:.1%} clipped, {self.silent:.1%} silent")


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """network: with the new, fixed weights. before, after: on the same samples; before, weights beyond the clip are
    at the clip already. astrocyte: its level at the end of each shown sample. shown: samples, in order.
    """

    network: Network
    before: Diagnosis
    after: Diagnosis
    astrocyte: NDArray[np.float64]
    shown: NDArray[np.int64]

    def to_text(self) -> str:
        """The report."""
        return (f"shown {len(self.shown)} samples\nbefore: {self.before.to_text()}\nafter:  {self.after.to_text()}\n"
                f"astrocyte {self.astrocyte.min(initial=np.inf):.4f} to {self.astrocyte.max(initial=-np.inf):.4f}\n")


def tune(network: Network, stimulus: Stimulus, *, population: str = "liquid", rule: Rule | None = None,
         neurons: str = "network", samples: int | None = None, steps: int | None = 20, seed: int = 0,
         unit: float | None = None, diagnosed: int = 20, window: int = 4) -> Tuned:
    """Tune the weights into and within a liquid, deterministically.

    Args:
        population: the liquid. rule: default the paper's. neurons: "network": as hwsdk runs the network; "paper":
            a synapse restarts its current at a spike and refractory membranes integrate, as in the authors' code.
        samples: shown, drawn from the stimulus in random passes; default each once. steps: of each shown, None for all
            (the paper shows 50,000 samples of 20 steps). seed: of the order.
        unit: network weight that is 1 in the rule's numbers; default threshold / 20.
        diagnosed: samples for the reports, shown as a whole. window: steps before and after a spike that the branching
            factor counts.

    Raises:
        UnsupportedError: NO_LIQUID, LIQUID_PATH, LIQUID_NEURON, LIQUID_DELAY: the network has no such population, or
            one that the rule does not know. DataError: the stimulus does not suit it, or has values other than 1.
    """
    rule = rule or Rule()
    liquid = liquid_of(network, population, neurons=neurons, unit=unit, clip=rule.clip)
    spikes = _dense(network, liquid, stimulus)
    order = np.fromiter(_order(len(spikes), len(spikes) if samples is None else samples, seed), np.int64)
    weight, state, astrocyte = liquid.weight.copy(), liquid.state(), np.zeros(len(order))
    for k, sample in enumerate(order):
        level, _ = liquid.show(spikes[sample : sample + 1, :steps], rule.law(True), weight, state, False)
        astrocyte[k] = level[0, -1]
    shown = spikes[: diagnosed or len(spikes)]
    before, after = (diagnose(replace(liquid, weight=w), shown, rule, window) for w in (liquid.weight, weight))
    log = LedgerWriter()
    log.changed(population, "EDGE_OF_CHAOS", f"weights tuned on {len(order)} samples by astrocyte-modulated STDP: "
                f"branching factor {before.branching:.3f} to {after.branching:.3f}")
    nodes = dict(network.nodes) | _written(network, liquid, weight)
    tuned = network.replace(nodes=nodes, ledger=network.ledger + log.done())
    return Tuned(tuned, before, after, astrocyte, order)


def paper_liquid(n_inputs: int, n: int = 1000, *, seed: int = 0, topology: Distance | None = None) -> Network:
    """The paper's liquid: neurons on a grid, wired by distance, with weights of +-1 and current-based neurons.

    V <- (1 - 1/64) V + sum of w u, with u of a synapse decaying by exp(-1/tau_u) a step from 1/tau_u, tau_u 1 or 2
    steps; a spike at 20, then V = 0 and 2 steps without a spike. Two things are hwsdk's: currents add up where the
    paper's restart, and V rests after a spike where the paper's goes on.
    """
    drawn, rng = wiring(n_inputs, n, seed, topology or Distance()), np.random.default_rng([seed, 1])
    tau = rng.choice(TAU_U, n).astype(np.float64)
    leak = -DT / math.log(1 - 1 / TAU_V)
    cells = neuron(CubaLIF, n, tau_syn=DT * tau, w_in=1 / tau, tau_mem=leak, v_threshold=THRESHOLD, t_refrac=RESTS * DT)
    b = NetworkBuilder("nalsm").input("in", n_inputs).population("liquid", cells)
    b.add("w_in", Linear(frozen(drawn.w_in.T))).add("w_rec", Linear(frozen(drawn.w_rec.T)))
    b.connect("in", "w_in").connect("w_in", "liquid").connect("liquid", "w_rec")
    b.connect("w_rec", "liquid", delay_ticks=1).output("out", "liquid")
    return b.build(Semantics(dt=DT, integrator="exponential_unit_gain", comparison=">="))


def _order(available: int, wanted: int, seed: int) -> Iterator[int]:
    """Random passes over the samples."""
    rng = np.random.default_rng(seed)
    while wanted > 0:
        yield from (int(x) for x in rng.permutation(available)[:wanted])
        wanted -= available


def diagnose(liquid: Liquid, spikes: NDArray[np.uint8], rule: Rule, window: int = 4) -> Diagnosis:
    """What a liquid does with samples (B, T, C) while it does not learn."""
    weight = liquid.weight.copy()
    _, out = liquid.show(spikes, rule.law(False), weight, liquid.state(), True)
    large = np.abs(weight)
    return Diagnosis(branching_factor(out, _links(liquid), window=window), float(out.mean()),
                     float(large.mean()) if large.size else 0.0, _share(large >= rule.clip), _share(large == 0))


def _share(which: NDArray[np.bool_]) -> float:
    """Of those that are true."""
    return float(which.mean()) if which.size else 0.0


def _links(liquid: Liquid) -> NDArray[np.bool_]:
    """(N, N): is there a synapse from the row's neuron to the column's?"""
    pre = np.repeat(np.arange(liquid.n_inputs + liquid.n), np.diff(liquid.wires.first))
    links = np.zeros((liquid.n, liquid.n), bool)
    inside = pre >= liquid.n_inputs
    links[pre[inside] - liquid.n_inputs, liquid.wires.post[inside]] = True
    return links


def branching_factor(spikes: Array, links: NDArray[np.bool_], *, window: int = 4, margin: int | None = None) -> float:
    """How many spikes follow a spike, per spike that preceded it; as the paper measures it.

    For every spike: spikes of the neuron's targets in the ``window`` steps after it, divided by those of its sources in
    the ``window`` steps before it (at least 1); the mean over a neuron's spikes, then over neurons, then over samples.

    Args:
        spikes (samples, steps, N): 0 or 1. links (N, N): pre in rows. margin: steps left out at both ends; default a
            tenth of the steps (the paper: 25 of 250).

    Returns:
        The factor; NaN if no neuron fires where it is measured.
    """
    margin = spikes.shape[1] // 10 if margin is None else margin
    found = [_branching(s[margin : len(s) - margin].astype(np.float64), links, window) for s in spikes]
    return float(np.mean(kept)) if (kept := [x for x in found if not math.isnan(x)]) else math.nan


def _branching(spikes: NDArray[np.float64], links: NDArray[np.bool_], window: int) -> float:
    """Of one sample (steps, N)."""
    steps = len(spikes)
    inner = np.arange(window, max(steps - window, window))
    run = np.concatenate([np.zeros((1, spikes.shape[1])), np.cumsum(spikes, 0)])
    before = (run[inner] - run[inner - window]) @ links
    after = (run[inner + 1 + window] - run[inner + 1]) @ links.T if len(inner) else before
    ratio, fired = after / np.maximum(before, 1.0), spikes[inner]
    count = fired.sum(0)
    active = count > 0
    return float(((ratio * fired).sum(0)[active] / count[active]).mean()) if active.any() else math.nan


def liquid_of(network: Network, population: str, *, neurons: str = "network", unit: float | None = None,
              clip: float = math.inf) -> Liquid:
    """The liquid of a network in the rule's numbers; weights beyond ``clip`` are clipped.

    Raises:
        UnsupportedError: as ``tune``.
    """
    if neurons not in ("paper", "network"):
        raise UnsupportedError(f"neurons is {neurons!r}", code="BAD_OPTION", fix="use paper or network")
    if population not in network.populations:
        raise UnsupportedError("there is no such population", where=population, code="NO_LIQUID",
                               fix=f"name one of {', '.join(network.populations)}")
    cell = _cell(network, population)
    one = float(cell.v_threshold.min()) / THRESHOLD if unit is None else unit
    paths = tuple(_paths(network, population))
    inputs = tuple(dict.fromkeys(source for source, _, _ in paths if source != population))
    starts = np.cumsum([0, *(size(network.inputs[x].shape) for x in inputs)])
    first = dict(zip((*inputs, population), starts.tolist(), strict=True))
    rows = [_entries(name, node, first[source], source == population) for source, name, node in paths]
    pre, post, value, kind, place, part = (np.concatenate(c) for c in zip(*rows, strict=True))
    order = np.lexsort((place, part, post, pre))
    pre, post, value, kind, place, part = (x[order] for x in (pre, post, value, kind, place, part))
    bounds = np.searchsorted(pre, np.arange(starts[-1] + cell.n + 1)).astype(np.int64)
    parts = {name: (np.flatnonzero(part == name), place[part == name]) for _, name, _ in paths}
    cells, weight = _cells(cell, one, neurons == "paper"), np.clip(value / one, -clip, clip)
    return Liquid(inputs, int(starts[-1]), cell.n, one, Wires(bounds, post, kind), cells, weight, parts)


def _cell(network: Network, population: str) -> DiscreteLIF:
    """The population in steps.

    Raises:
        UnsupportedError: LIQUID_NEURON.
    """
    cell = Lower()(network).nodes[population]
    if not isinstance(cell, DiscreteLIF) or cell.reset != "value" or not cell.fires:
        raise UnsupportedError("the rule needs neurons that fire and are reset to a value", where=population,
                               code="LIQUID_NEURON", fix="use LIF or CubaLIF with reset=value")
    return cell


def _cells(cell: DiscreteLIF, unit: float, paper: bool) -> Cells:
    """The neurons for the kernel, in the rule's numbers."""
    gain = np.ones(cell.n) if cell.gain is None else cell.gain.ravel()
    pairs, group = np.unique(np.stack([cell.decay_u.ravel(), gain], 1), axis=0, return_inverse=True)
    rests = np.zeros(cell.n, np.int64) if cell.refractory is None else cell.refractory.ravel()
    return Cells(cell.decay_v.ravel().copy(), cell.bias.ravel() / unit, cell.v_threshold.ravel() / unit,
                 group.ravel().astype(np.int64), pairs[:, 0].copy(), pairs[:, 1].copy(), rests.copy(),
                 cell.comparison == ">", paper, not paper)


def _paths(network: Network, population: str) -> Iterator[tuple[str, str, Linear | Synapses]]:
    """(source, name of the projection, projection) of all that enters the population.

    Raises:
        UnsupportedError: LIQUID_PATH, LIQUID_DELAY.
    """
    for edge in network.sources(population):
        node = network.nodes[edge.source]
        if not isinstance(node, Linear | Synapses) or getattr(node, "bias", None) is not None:
            raise UnsupportedError(f"a {type(node).__name__} before the liquid", where=edge.source, code="LIQUID_PATH",
                                   fix="feed it by Linear or Synapses without a bias")
        for before in network.sources(edge.source):
            if before.source not in {population, *network.inputs}:
                raise UnsupportedError("neither an input nor the liquid itself feeds it", where=edge.source,
                                       code="LIQUID_PATH", fix="tune one recurrent population at its inputs")
            ticks = edge.delay_ticks + before.delay_ticks
            own = node.delay_ticks if isinstance(node, Synapses) else np.zeros(1, np.int64)
            wanted = int(before.source == population)
            if len(own) and (ticks + int(own.min()) != wanted or ticks + int(own.max()) != wanted):
                raise UnsupportedError("a delay that the rule does not know", where=edge.source, code="LIQUID_DELAY",
                                       fix="use no delay from inputs and one step within the liquid")
            yield before.source, edge.source, node


def _entries(name: str, node: Linear | Synapses, start: int, inside: bool) -> tuple[Array, ...]:
    """(pre unit, post, weight, kind, place in the node's weights, name) of every synapse."""
    if isinstance(node, Synapses):
        pre, post, value, place = node.source, node.target, node.weight, np.arange(len(node.weight))
    else:
        post, pre = np.nonzero(node.weight)
        value, place = node.weight[post, pre], post * node.weight.shape[1] + pre
    kind = np.where(value > 0, EXCITATORY, INHIBITORY) if inside else np.full(len(value), INPUT)
    return (pre + start, post.astype(np.int64), value.astype(np.float64), kind.astype(np.int64),
            place.astype(np.int64), np.full(len(value), name, object))


def _written(network: Network, liquid: Liquid, weight: NDArray[np.float64]) -> dict[str, Node]:
    """The projections with new weights."""
    out: dict[str, Node] = {}
    for name, (rows, places) in liquid.parts.items():
        node = network.nodes[name]
        if not isinstance(node, Linear | Synapses):
            raise InternalError(f"{type(node).__name__} came through liquid_of")
        flat = node.weight.astype(np.float64).ravel().copy()
        flat[places] = weight[rows] * liquid.unit
        out[name] = replace(node, weight=frozen(flat.reshape(node.weight.shape)))
    return out


def _dense(network: Network, liquid: Liquid, stimulus: Stimulus) -> NDArray[np.uint8]:
    """(samples, steps, units) of the inputs that feed the liquid.

    Raises:
        DataError: WRONG_INPUTS, SHAPE_MISMATCH, GRADED_INPUT.
    """
    stimulus.require({n: i.shape for n, i in network.inputs.items()}, whole=True, graded=False, chip="the rule")
    if not liquid.inputs:
        raise DataError("no input feeds the liquid", code="NO_INPUT", fix="connect an input to it")
    return np.concatenate([stimulus.inputs[n].dense(dtype=np.uint8) for n in liquid.inputs], 2)


def kernel_rank(counts: Sequence[Sequence[float]] | Array) -> int:
    """Rank of (samples, neurons) counts: the linear separation of NALSM on samples of all classes, its generalisation
    on noisy copies of one.
    """
    return int(np.linalg.matrix_rank(np.asarray(counts, np.float64)))
