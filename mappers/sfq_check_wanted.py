"""sfq_check_wanted: the synapses that a network wants, and their comparison with those that a netlist has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.mappers.sfq_check_lines import Lines

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Synapses. source: inputs' elements, then neurons; target: neurons; both counted through in order."""

    source: Ints
    target: Ints
    delay: Ints
    weight: Floats

    def of(self, neurons: NDArray[np.bool_]) -> Wanted:
        """Those onto some neurons, (n) bool."""
        on = neurons[self.target]
        return Wanted(self.source[on], self.target[on], self.delay[on], self.weight[on])


@dataclass(frozen=True, slots=True, eq=False)
class Found(Wanted):
    """Parts of synapses, with the cell that each was found at."""

    cell: Ints


def wanted_of(network: Network) -> Wanted:
    """All synapses of a network."""
    first, at = {}, 0
    for name in (*network.inputs, *network.populations):
        first[name] = at
        at += int(np.prod(network.shapes[name], dtype=np.int64))
    inputs = sum(int(np.prod(network.shapes[n], dtype=np.int64)) for n in network.inputs)
    parts = [[np.zeros(0, np.int64)] * 3 + [np.zeros(0)]]
    for name, node in network.of(Synapses, ConvSynapses).items():
        if isinstance(node, Synapses | ConvSynapses):
            s, pre = explicit(node), network.sources(name)[0].source
            parts += [[s.source + first[pre], s.target + first[e.target] - inputs, s.delay_ticks,
                       np.asarray(s.weight, np.float64)] for e in network.targets(name)]
    return Wanted(*(np.concatenate(x) for x in zip(*parts, strict=True)))


def compare(x: Lines, wanted: Wanted, found: Found, close: float) -> None:
    """Synapses of the same source, target and delay add up; the sums must be equal but for ``close`` of themselves.

    Raises:
        InternalError: the first that are not.
    """
    key = [np.concatenate(v) for v in ((wanted.source, found.source), (wanted.target, found.target),
                                       (wanted.delay, found.delay))]
    order = np.lexsort(key)
    rows = np.stack(key, 1)[order]
    if not len(rows):
        return
    group = np.r_[0, np.cumsum((np.diff(rows, axis=0) != 0).any(axis=1))]
    which, k = np.empty(len(rows), np.int64), len(wanted.source)
    which[order] = group
    due = np.bincount(which[:k], weights=wanted.weight, minlength=int(group[-1]) + 1)
    got = np.bincount(which[k:], weights=found.weight, minlength=int(group[-1]) + 1)
    wrong = np.flatnonzero(np.abs(due - got) > close * np.abs(due))
    if len(wrong):
        source, target, delay = rows[np.searchsorted(group, wrong[0])].tolist()
        at = found.cell[which[k:] == wrong[0]]
        where = f"{x.name(at[0])}: " if len(at) else ""
        others = f", {len(wrong) - 1} more differ" if len(wrong) > 1 else ""
        raise InternalError(f"{where}the synapse {x.element_name(source)} -> {x.neuron_name(target)} of delay {delay} "
                            f"weighs {got[wrong[0]]:g} in the netlist, not {due[wrong[0]]:g}{others}")
