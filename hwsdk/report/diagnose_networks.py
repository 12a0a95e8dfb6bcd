"""Networks between the float model and the chip's numbers, and layers driven with given spikes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.ir.data import Events, Stimulus, events_from_dense
from hwsdk.ir.expand import explicit
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import DiscreteLIF, Neuron, is_spiking
from hwsdk.ir.nodes import ConvSynapses, Input, Node, Output, Synapses, size
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.single import SingleLIF
from hwsdk.ir.trace import Trace
from hwsdk.simulators import reference
from hwsdk.simulators.reference_fixed import tz
from hwsdk.simulators.reference_neurons import Stepper, stepper

Array = NDArray[np.float64]
GIVEN, OFFSET = " given", " offset"
"""What is added to a population's name for an input that stands for its spikes, or adds to its input."""
TIE = 1e-9
"""Relative: sums of rounded weights that are this close to a threshold are at it."""
PARTS = ("weights", "thresholds", "decays")
"""What of a network is turned into the chip's numbers, one after another."""
STARTS = ("bias", "reset_by", "u_init", "v_init", "u_start", "v_start")


def can_force(network: Network) -> bool:
    """Can its layers be driven one by one? Not where weights learn from both ends."""
    return not any(isinstance(n, PlasticSynapses) for n in network.nodes.values())


def forced(network: Network) -> Network:
    """The network with every spiking population's targets listening to an input of its own, so that each layer gets
    what it is given and none hears another's errors.
    """
    given = {n: n + GIVEN for n, p in network.populations.items() if is_spiking(p) and any(
        not isinstance(network.nodes[e.target], Output) for e in network.targets(n))}
    nodes: dict[str, Node] = dict(network.nodes) | {g: Input(network.shapes[n]) for n, g in given.items()}
    edges = [e if isinstance(network.nodes[e.target], Output) else Edge(given.get(e.source, e.source), e.target,
                                                                         e.delay_ticks) for e in network.edges]
    return network.replace(nodes=nodes, edges=tuple(edges))


def forced_run(network: Network, data: Stimulus, spikes: Trace, offsets: Mapping[str, Array] | None = None,
               apart: Network | None = None) -> Trace:
    """Every layer with the spikes of ``spikes`` (any run of the same model) at its input.

    Args:
        offsets: population -> (n,) what is added to its input in each step. apart: ``forced(network)``, if it is there.
    """
    alone = forced(network) if apart is None else apart
    total = data.n_steps + max(network.lag.values(), default=0)
    inputs = {n: e.shifted(0, total) for n, e in data.inputs.items()}
    for name in alone.inputs:
        if name.endswith(GIVEN) and name not in inputs:
            own = name.removesuffix(GIVEN)
            inputs[name] = spikes.aligned(own, data.n_steps).shifted(network.lag.get(own, 0), total)
    if offsets:
        alone = _with_offsets(alone, offsets)
        inputs |= {n + OFFSET: _constant(alone.nodes[n], b, data.n_samples, total) for n, b in offsets.items()}
    grid = None if inputs else (data.n_samples, total)
    return reference.run(alone, Stimulus(inputs, grid=grid), steps=total)


def _with_offsets(network: Network, offsets: Mapping[str, Array]) -> Network:
    """With one more input in front of some populations."""
    nodes: dict[str, Node] = dict(network.nodes) | {
        n + OFFSET: Input(network.populations[n].in_shape) for n in offsets}
    return network.replace(nodes=nodes, edges=(*network.edges, *(Edge(n + OFFSET, n) for n in offsets)))


def _constant(node: Node, value: Array, samples: int, steps: int) -> Events:
    """The same in every step."""
    assert isinstance(node, Neuron)  # noqa: S101
    shape = node.in_shape
    return events_from_dense(np.broadcast_to(value.reshape(shape), (samples, steps, *shape)), shape)


def mixed(lowered: Network, whole: Network, parts: Collection[str], layers: Collection[str] | None = None) -> Network:
    """The lowered float network with some parts of some layers as the chip's numbers have them, still in floats.

    Args:
        whole: the same network in the chip's numbers. parts: of PARTS. layers: default all.
    """
    nodes = dict(lowered.nodes)
    for name, cell in lowered.populations.items():
        chip = whole.nodes.get(name)
        if not isinstance(cell, DiscreteLIF) or not isinstance(chip, FixedLIF | SingleLIF | DiscreteLIF) or \
                (layers is not None and name not in layers):
            continue
        into = [e.source for e in lowered.sources(name)]
        same = {e.source for e in whole.sources(name)} == set(into)  # else relays carry some of the synapses
        unit = _unit(lowered, whole, name, chip, into if same else [])
        if "weights" in parts and same:
            nodes |= {n: _in_floats(whole.nodes[n], unit) for n in into}
        nodes[name] = _cell(cell, chip, unit, parts)
    return lowered.replace(nodes=nodes)


def _unit(lowered: Network, whole: Network, name: str, chip: Neuron, into: list[str]) -> Array:
    """Weight units per unit of the model, one a neuron, flat."""
    if isinstance(chip, FixedLIF):
        return np.asarray(chip.scale.ravel() / 64.0)
    if isinstance(chip, SingleLIF):
        return np.asarray(chip.scale.ravel(), np.float64)
    above, below = np.zeros(chip.n), np.zeros(chip.n)  # not kept: the one with which the weights fit best
    for n in into:
        a, b = _matrix(lowered.nodes[n]), _matrix(whole.nodes[n])
        above += np.asarray(a.multiply(b).sum(axis=1)).ravel()
        below += np.asarray(a.multiply(a).sum(axis=1)).ravel()
    own = lowered.nodes[name]
    theta = getattr(own, "v_threshold", np.ones(chip.n)).ravel()
    ratio = getattr(chip, "v_threshold", np.ones(chip.n)).ravel() / np.where(theta == 0, 1, theta)
    found = np.where((below > 0) & (above > 0), above / np.where(below > 0, below, 1), ratio)
    return np.asarray(np.where(found > 0, found, 1.0))


def _matrix(node: Node) -> Any:
    """(post, pre x delays) of a projection."""
    node = explicit(node) if isinstance(node, ConvSynapses) else node
    assert isinstance(node, Synapses)  # noqa: S101
    pre, deep = size(node.pre_shape), 1 << 8
    column = node.source.astype(np.int64) * deep + np.minimum(node.delay_ticks, deep - 1)
    return sparse.csr_matrix((np.asarray(node.weight, np.float64) * 2.0**node.weight_exp, (node.target, column)),
                             shape=(size(node.post_shape), pre * deep))


def _in_floats(node: Node, unit: Array) -> Node:
    """A projection's whole weights in units of the model."""
    if isinstance(node, ConvSynapses):
        each = unit.reshape(len(node.weight), -1)[:, 0].reshape(-1, *[1] * (node.weight.ndim - 1))
        return replace(node, weight=node.weight * 2.0**node.weight_exp / each, weight_exp=0)
    if isinstance(node, Synapses):
        return replace(node, weight=node.weight * 2.0**node.weight_exp / unit[node.target], weight_exp=0, shared=None)
    return node


def _cell(cell: DiscreteLIF, chip: Neuron, unit: Array, parts: Collection[str]) -> DiscreteLIF:
    """A population with some of the chip's parameters. Thresholds move by a hair, so that ties stay ties."""
    changed: dict[str, Any] = {}
    one = unit.reshape(cell.shape)
    state = one * 64.0 if isinstance(chip, FixedLIF) else one
    comparison = cell.comparison
    if "thresholds" in parts:
        changed = {f: np.asarray(getattr(chip, f), np.float64) / state for f in STARTS if hasattr(chip, f)}
        if isinstance(chip, FixedLIF):
            changed["v_threshold"], comparison = chip.vth / one, ">"
        elif isinstance(chip, SingleLIF | DiscreteLIF):
            changed["v_threshold"], comparison = chip.v_threshold / one, chip.comparison
    if "decays" in parts:
        changed |= _decays(chip)
    theta = changed.get("v_threshold", cell.v_threshold)
    hair = TIE * np.maximum(np.abs(theta), 1e-300) * (1 if comparison == ">" else -1)
    return replace(cell, **changed | {"v_threshold": theta + hair, "comparison": comparison})


def _decays(chip: Neuron) -> dict[str, Array]:
    """What of u and v is left after a step."""
    if isinstance(chip, FixedLIF):
        return {"decay_u": (4095 - chip.du) / 4096.0, "decay_v": (4096 - chip.dv) / 4096.0}
    return {f: np.asarray(getattr(chip, f), np.float64) for f in ("decay_u", "decay_v")}


def read_out(trace: Trace, network: Network) -> Trace:
    """A run with the membranes that are read out in units of the model, as a host reads them: v / scale + v_offset.

    network: the one that ran.
    """
    spikes = dict(trace.spikes)
    for name, cell in network.populations.items():
        if is_spiking(cell) or name not in spikes or not hasattr(cell, "v_offset"):
            continue
        offset = cell.v_offset.ravel()
        scale = cell.scale.ravel() if hasattr(cell, "scale") else np.ones(cell.n)
        if not offset.any() and (scale == 1).all():
            continue
        events = spikes[name]
        dense = (events.dense() / np.where(scale == 0, 1, scale) + offset).reshape(
            events.n_samples, events.n_steps, *events.shape)
        spikes[name] = events_from_dense(dense, events.shape)
        for out in (e.target for e in network.targets(name) if isinstance(network.nodes[e.target], Output)):
            if len(network.sources(out)) == 1 and out in spikes:
                spikes[out] = spikes[name]
    return replace(trace, spikes=spikes)


@dataclass(frozen=True, slots=True, eq=False)
class UnboundLIF(FixedLIF):
    """FixedLIF with registers of any width: u does not wrap, v does not saturate."""


_FIELDS = tuple(f.name for f in fields(FixedLIF))


@stepper.register
def _unbound(node: UnboundLIF, sem: Semantics, samples: int, membrane: Any) -> Stepper:
    state = {"u": np.repeat(node.u_init[None], samples, 0), "v": np.repeat(node.v_init[None], samples, 0)}
    rests = np.zeros(node.shape, np.int64) if node.refractory is None else node.refractory
    resting, t = np.zeros_like(state["v"]), 0

    def step(x: Any) -> Any:
        nonlocal t, resting
        t += 1
        if node.reset_interval and t % node.reset_interval == node.reset_offset % node.reset_interval:
            state["u"], state["v"] = 0 * state["u"], 0 * state["v"]
        state["u"] = tz(state["u"] * (4095 - node.du), 12) + (x.astype(np.int64) << 6)
        v = tz(state["v"] * (4096 - node.dv), 12) + state["u"] + node.bias
        v = np.where(resting > 0, state["v"], v)
        z = (v > node.vth << 6) & (resting == 0) if node.fires else np.zeros(v.shape, bool)
        resting = np.where(z, rests, np.maximum(resting - 1, 0))
        state["v"] = np.where(z, 0 if node.reset == "value" else v - node.reset_by, v)
        return z.astype(np.int64) if node.fires else state["v"]

    return Stepper(state, step)


def unbounded(whole: Network) -> Network | None:
    """An integer network whose registers hold everything; None where it has none that could overflow."""
    found = {n: UnboundLIF(**{f: getattr(p, f) for f in _FIELDS})
             for n, p in whole.populations.items() if type(p) is FixedLIF}
    return whole.replace(nodes=dict(whole.nodes) | found) if found else None
