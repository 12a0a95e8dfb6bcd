"""pack: put parts together on one core where that costs less or is the only way to fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.ir.mapping import Slice
from hwsdk.ir.network import Network
from hwsdk.mappers import loihi_emit as emit
from hwsdk.mappers.loihi_layout import layout
from hwsdk.mappers.loihi_rows import wire
from hwsdk.mappers.objective import Weights
from hwsdk.mappers.partition import Part, ratio
from hwsdk.targets import Target

Core = tuple[Slice, ...]
Floats = NDArray[np.float64]
MOST_PARTS = 512
"""Parts up to which every pair is looked at; beyond, neighbours in causal order are put together."""


def first_fit(parts: list[Part], target: Target) -> list[Core]:
    """In causal order: parts share a core while the sum of what they take is within its limits."""
    cores: list[tuple[list[Slice], dict[str, int]]] = []
    for part in parts:
        for slices, used in cores:
            both = {k: used[k] + v for k, v in part.usage.items()}
            if ratio(both, target) <= 1:
                slices.append(part.slice)
                used.update(both)
                break
        else:
            cores.append(([part.slice], dict(part.usage)))
    return [tuple(slices) for slices, _ in cores]


def merge(network: Network, parts: list[Part], target: Target, rate: Floats, bound: float) -> list[Core]:
    """Put the two cores together, again and again, that save most and fit; none may take longer than ``bound``.

    What a pair saves: the messages of sources that both hear, and the hops between them. rate: spikes a step by sender
    id. More than MOST_PARTS parts are packed by ``first_fit``.
    """
    if len(parts) > MOST_PARTS:
        return first_fit(parts, target)
    groups = _Groups(network, parts, target, rate)
    while (pair := groups.best(bound)) is not None:
        groups.join(*pair)
    return groups.cores()


class _Groups:
    """Parts in groups, and what each pair of groups would save."""

    def __init__(self, network: Network, parts: list[Part], target: Target, rate: Floats) -> None:
        where = layout(network, tuple((p.slice,) for p in parts))
        heard = emit.axons(wire(network, where))
        n = len(parts)
        self.target, self.parts = target, parts
        self.members = [[k] for k in range(n)]
        self.usage = [dict(p.usage) for p in parts]
        out = emit.axons_out(heard, where)
        for k, used in enumerate(self.usage):
            used["axons_out"] = int(out[k])
        self.seconds = np.array([p.seconds for p in parts])
        self.rate, self.hop = rate, min(Weights.of(target).path()[:2])
        ones = np.ones(len(heard.source))
        self.hears = sparse.coo_array((ones, (heard.core, heard.source)), shape=(n, where.n_sources)).tocsr()
        self.flow = emit.traffic(heard, where, rate[where.n_inputs :]).toarray()
        self.saving = (self.hears * rate[None, :]) @ self.hears.T
        self.saving = np.asarray(self.saving.todense()) + self.hop * (self.flow + self.flow.T)
        np.fill_diagonal(self.saving, -1.0)

    def best(self, bound: float) -> tuple[int, int] | None:
        """The pair that saves most of those that fit, or None; it is not asked again for a pair that did not fit."""
        while True:
            at = int(np.argmax(self.saving))
            a, b = sorted(divmod(at, len(self.parts)))
            if self.saving[a, b] < 0:
                return None
            if self.seconds[a] + self.seconds[b] <= bound and ratio(self._both(a, b), self.target) <= 1:
                return a, b
            self.saving[a, b] = self.saving[b, a] = -1.0

    def _both(self, a: int, b: int) -> dict[str, int]:
        """What two groups take together: an axon for a source that both hear is needed once."""
        both = {k: self.usage[a][k] + v for k, v in self.usage[b].items()}
        both["axons_in"] = int(self.hears[[a]].maximum(self.hears[[b]]).nnz)
        return both

    def join(self, a: int, b: int) -> None:
        """Make b a part of a."""
        self.usage[a], self.seconds[a] = self._both(a, b), self.seconds[a] + self.seconds[b]
        self.members[a] += self.members[b]
        self.members[b] = []
        joined = self.hears[[a]].maximum(self.hears[[b]])
        self.hears = sparse.csr_array(sparse.vstack([self.hears[[k]] if k != a else joined
                                                     for k in range(len(self.parts))]))
        self.flow[a] += self.flow[b]
        self.flow[:, a] += self.flow[:, b]
        common = (self.hears * self.rate[None, :]) @ joined.T
        fresh = np.asarray(common.todense()).ravel() + self.hop * (self.flow[a] + self.flow[:, a])
        alive = np.array([bool(m) for m in self.members])
        fresh[~alive] = -1.0
        fresh[a] = -1.0
        self.saving[a], self.saving[:, a] = fresh, fresh
        self.saving[b], self.saving[:, b] = -1.0, -1.0

    def cores(self) -> list[Core]:
        """The slices of each group, in causal order of the first."""
        alive = sorted((sorted(m) for m in self.members if m), key=lambda m: m[0])
        return [tuple(self.parts[k].slice for k in m) for m in alive]
