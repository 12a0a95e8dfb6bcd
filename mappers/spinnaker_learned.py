"""Which synapse of the network each word that learns holds, so that learned weights can be found on the PEs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.network import Network
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.mappers.spinnaker_rows import Heard, Layout
from hwsdk.mappers.spinnaker_wires import Wire, by_source
from hwsdk.programs.spinnaker import Learned

IntArray = NDArray[np.int64]


def learned_of(network: Network) -> tuple[Learned, ...]:
    """The projections of a network that learn."""
    nodes: dict[str, Any] = network.of(PlasticSynapses)
    return tuple(Learned(n, node.weight.size, int(node.rule.bounds[1])) for n, node in nodes.items())


def learned_words(layout: Layout, heard: list[Heard]) -> tuple[IntArray, NDArray[np.int32]]:
    """(learned_ptr, learned_synapse) of SpinnakerArrays, both empty where nothing learns."""
    found = learned_of(layout.wiring.network)
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    first = dict(zip((x.name for x in found), np.cumsum([0, *(x.n for x in found[:-1])]).tolist(), strict=True))
    own = [np.zeros(0, np.int64) for _ in layout.pes]
    for h in heard:
        if h.wire.kind == "plastic":
            for pe, words in zip(layout.pe_of(h.wire.target).tolist(), _words(layout, h.wire), strict=True):
                own[pe] = np.r_[own[pe], first[h.wire.name] + words]
    return np.cumsum([0, *map(len, own)]).astype(np.int64), np.concatenate(own).astype(np.int32)


def _words(layout: Layout, wire: Wire) -> list[IntArray]:
    """The synapses in the words of each slice of the target: by slice and atom of the sender, then as the network has
    them.
    """
    source, target = layout.cuts[wire.source], layout.cuts[wire.target]
    node: Any = wire.node
    order = np.lexsort((source.rank[node.source], target.slice_of[node.target]))
    ends = np.searchsorted(target.slice_of[node.target[order]], np.arange(1, len(target.index)))
    sorted_by = by_source(layout.wiring.network.nodes[wire.name])
    return np.split(order if sorted_by is None else sorted_by[order], ends)
