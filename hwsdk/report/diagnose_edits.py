"""What a wrong import may have done to a network, as edits: other semantics, weights, thresholds, delays."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwsdk.errors import HwsdkError
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Conv, ConvSynapses, Delay, Linear, Node, Synapses
from hwsdk.ir.semantics import CHOICES, PRESETS, Semantics

STEPS = (0.1, 0.2, 0.25, 0.5, 2.0, 4.0, 5.0, 10.0, 100.0, 0.01)
"""Factors by which a dt is usually wrong."""
USUAL_STEPS = (1e-4, 1e-3, 1.0)
"""Steps that frameworks use."""
FACTORS = (0.05, 0.1, 0.125, 0.2, 0.25, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1.1, 1.25, 4 / 3, 1.5, 5 / 3, 2.0,
           2.5, 3.0, 4.0, 5.0, 8.0, 10.0, 20.0)
"""Factors by which weights or thresholds are usually wrong; finer ones are looked for between them."""
SHIFTS = tuple(k for k in range(-6, 9) if k)
"""Steps by which all connections into a layer may be too early or too late."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a network. kind: a field of Semantics, "preset" (value: its name and a dt), "weights",
    "threshold", "delay". layers: those that it changes, () for all.
    """

    kind: str
    value: Any
    layers: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" of {', '.join(self.layers)}" if self.layers else ""
        if self.kind in ("weights", "threshold"):
            return f"{self.kind}{where or ' of all layers'} x {self.value:.4g}"
        if self.kind == "delay":
            return f"delays of the connections{f' into {chr(44).join(self.layers)}' if where else ''} " \
                   f"{self.value:+d} step(s)"
        if self.kind == "preset":
            return f"preset={self.value[0]}, dt={self.value[1]:g}"
        value = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return f"{self.kind}={value}{where}"

    def on(self, network: Network) -> Network:
        """The network with the edit.

        Raises:
            HwsdkError: it makes no sense there.
        """
        names = self.layers or tuple(network.populations)
        if self.kind == "weights":
            return _times_weights(network, names, self.value)
        if self.kind == "threshold":
            return _times_thresholds(network, names, self.value)
        if self.kind == "delay":
            return _delayed(network, names, self.value)
        if self.kind == "preset":
            now = network.semantics
            name, dt = self.value
            return network.replace(semantics=_preset(name, now).with_(dt=dt))
        return network.replace(semantics=network.semantics.with_(**{self.kind: self.value}))


def tried(network: Network, edit: Edit) -> Network | None:
    """The edited network, or None where the edit cannot be made."""
    try:
        return edit.on(network)
    except HwsdkError:
        return None


def semantic_edits(network: Network) -> Iterator[Edit]:
    """Every open choice the other way, other steps, and what the frameworks do."""
    own = network.semantics
    for field, choices in CHOICES.items():
        if field != "precision":
            yield from (Edit(field, c) for c in choices if c != getattr(own, field) and _valid(own, field, c))
    yield from (Edit("dt", d) for d in _other_steps(network))
    seen = {own.with_(dt=1.0)}
    for name in PRESETS:
        fields = _preset(name, own).with_(dt=1.0)
        changed = sum(getattr(fields, f) != getattr(own, f) for f in CHOICES)
        own_step = PRESETS[name].dt
        if own_step != own.dt and changed:
            yield Edit("preset", (name, own_step))
        if changed > 1 and fields not in seen:
            seen.add(fields)
            yield Edit("preset", (name, own.dt))


def _preset(name: str, own: Semantics) -> Semantics:
    """A framework's semantics with the delays and the precision of a network, whose edges have its delays already."""
    return PRESETS[name].with_(precision=own.precision, input_delay=own.input_delay,
                               connection_delay=own.connection_delay, recurrent_delay=own.recurrent_delay)


def _longest(network: Network) -> float:
    """The longest time constant."""
    return max((float(np.max(getattr(c, f))) for c in network.populations.values() for f in ("tau", "tau_mem")
                if hasattr(c, f)), default=np.inf)


def _valid(own: Semantics, field: str, value: str) -> bool:
    """May this one be changed alone?"""
    try:
        own.with_(**{field: value})
    except HwsdkError:
        return False
    return True


def _other_steps(network: Network) -> list[float]:
    """Steps that the time constants suggest, then usual factors."""
    own = network.semantics.dt
    found = list(USUAL_STEPS)
    for cell in network.populations.values():
        tau, r = getattr(cell, "tau", None), getattr(cell, "r", None)
        if tau is not None and r is not None:
            found += [float(x) for x in np.unique(tau / r)[:2] if x > 0]
    found += [own * f for f in STEPS]
    usual = {float(f"{x:.6g}") for x in found}
    return sorted(x for x in usual if x != own and (x in USUAL_STEPS or x < 4 * _longest(network)))


def feeders(network: Network, layer: str) -> tuple[str, ...]:
    """Nodes with weights that lead straight into a population."""
    return _on_the_way(network, layer, (Linear, Conv, Synapses, ConvSynapses), beyond=False)


def _on_the_way(network: Network, layer: str, kinds: tuple[type, ...], *, beyond: bool) -> tuple[str, ...]:
    """Nodes of some kinds between a population and those before it; beyond: also those that lie behind one of them."""
    found, todo, seen = [], [e.source for e in network.sources(layer)], set()
    while todo:
        name = todo.pop()
        node = network.nodes[name]
        if name in seen or isinstance(node, Neuron):
            continue
        seen.add(name)
        if wanted := isinstance(node, kinds):
            found.append(name)
        if beyond or not wanted:
            todo += [e.source for e in network.sources(name)]
    return tuple(sorted(found))


def _times_weights(network: Network, layers: Collection[str], factor: float) -> Network:
    nodes = dict(network.nodes)
    for name in {f for n in layers for f in feeders(network, n)}:
        node = nodes[name]
        nodes[name] = replace(node, weight=node.weight * factor)  # type: ignore[attr-defined,call-arg]
    return network.replace(nodes=nodes)


def _times_thresholds(network: Network, layers: Collection[str], factor: float) -> Network:
    nodes = dict(network.nodes)
    for name in layers:
        nodes[name] = _with_threshold(nodes[name], factor)
    return network.replace(nodes=nodes)


def _with_threshold(node: Node, factor: float) -> Node:
    for field in ("v_threshold", "threshold"):
        if hasattr(node, field):
            return replace(node, **{field: getattr(node, field) * factor})
    return node


def _delayed(network: Network, layers: Collection[str], ticks: int) -> Network:
    """Every way into some layers takes more or fewer steps."""
    own = [e for e in network.edges if e.target in layers]
    if ticks > 0:
        edges = [replace(e, delay_ticks=e.delay_ticks + ticks * (e in own)) for e in network.edges]
        return network.replace(edges=tuple(edges))
    nodes, edges = dict(network.nodes), list(network.edges)
    for e in own:
        node = nodes[e.source]
        before = _ticks(node)
        if e.delay_ticks + ticks >= 0:
            edges[edges.index(e)] = replace(e, delay_ticks=e.delay_ticks + ticks)
        elif before is not None and e.delay_ticks == 0:
            nodes[e.source] = with_ticks(node, np.maximum(before + ticks, 0))
    return network.replace(nodes=nodes, edges=tuple(edges))


def _ticks(node: Node) -> Any:
    """Delays that a node keeps for each element or synapse, or None."""
    return node.delay_ticks if isinstance(node, Synapses) else node.ticks if isinstance(node, Delay) else None


def with_ticks(node: Node, ticks: Any) -> Node:
    """The node with other delays."""
    return replace(node, **{"delay_ticks" if isinstance(node, Synapses) else "ticks": np.asarray(ticks, np.int64)})


def timed_nodes(network: Network, layer: str) -> tuple[str, ...]:
    """Nodes that keep delays on the way into a population."""
    return _on_the_way(network, layer, (Synapses, Delay), beyond=True)


__all__ = ["FACTORS", "SHIFTS", "Edit", "feeders", "semantic_edits", "timed_nodes", "tried", "with_ticks"]
