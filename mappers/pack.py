"""pack: put parts together on one core where that costs less or is the only way to fit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.ir.network import Network
from hwsdk.mappers import loihi_emit as emit
from hwsdk.mappers.loihi_layout import layout
from hwsdk.mappers.loihi_memory import PER_CORE, limits
from hwsdk.mappers.loihi_rows import wire
from hwsdk.mappers.objective import Weights
from hwsdk.mappers.partition import Part
from hwsdk.targets.loihi import LoihiTarget

Core = tuple[Part, ...]
Floats = NDArray[np.float64]
MOST_PARTS = 512
"""Parts up to which every pair is looked at; beyond, neighbours in causal order are put together."""
AXONS_IN = PER_CORE.index("axons_in")
WORDS = ("neurons", "synapse_words", "axons_in", "axons_out")
"""What total_words adds up; see hwsdk.mappers.loihi_memory.total_words."""


def first_fit(parts: list[Part], target: LoihiTarget, bound: float = math.inf) -> list[Core]:
    """In causal order: parts share a core while the sums of what they take and of their times keep the limits."""
    most, need = _limits(target), _table(parts)
    used, seconds = np.zeros((len(parts), need.shape[1])), np.zeros(len(parts))
    cores: list[list[Part]] = []
    for part, row in zip(parts, need, strict=True):
        n = len(cores)
        fits = (used[:n] + row <= most).all(axis=1) & (seconds[:n] + part.seconds <= bound)
        at = int(fits.argmax()) if fits.any() else n
        if at == n:
            cores.append([])
        cores[at].append(part)
        used[at] += row
        seconds[at] += part.seconds
    return [tuple(core) for core in cores]


def merge(network: Network, parts: list[Part], target: LoihiTarget, rate: Floats, bound: float) -> list[Core]:
    """Put the two cores together, again and again, that save most and fit; none may take longer than ``bound``.

    What a pair saves: the messages of sources that both hear, and the hops between them. rate: spikes a step by sender
    id. More than MOST_PARTS parts are packed by ``first_fit``.
    """
    if len(parts) > MOST_PARTS:
        return first_fit(parts, target, bound)
    groups = _Groups(network, parts, target, rate, bound)
    while (pair := groups.best()) is not None:
        groups.join(*pair)
    return groups.cores()


def _limits(target: LoihiTarget) -> Floats:
    """Limit of each resource of PER_CORE, infinity where there is none."""
    return np.array([math.inf if limit is None else limit for limit in limits(target).values()], np.float64)


def _table(parts: list[Part], axons_out: NDArray[np.int64] | int = 0) -> Floats:
    """(parts, resources of PER_CORE)."""
    columns = {n: np.array([p.usage.get(n, 0) for p in parts], np.float64) for n in PER_CORE}
    columns["axons_out"] = columns["axons_out"] + axons_out
    columns["total_words"] = sum((columns[n] for n in WORDS), np.zeros(len(parts)))
    return np.stack([columns[n] for n in PER_CORE], axis=1)


class _Groups:
    """Parts in groups, and what each pair of groups would save: -1 for those that do not fit together."""

    def __init__(self, network: Network, parts: list[Part], target: LoihiTarget, rate: Floats, bound: float) -> None:
        where = layout(network, tuple((p.slice,) for p in parts))
        heard = emit.axons(wire(network, where))
        n = len(parts)
        self.parts, self.rate, self.bound, self.most = parts, rate, bound, _limits(target)
        self.members = [[k] for k in range(n)]
        self.usage = _table(parts, emit.axons_out(heard, where))
        self.seconds = np.array([p.seconds for p in parts])
        self.hop = min(Weights.of(target).path()[:2])
        ones = np.ones(len(heard.source))
        hears = sparse.coo_array((ones, (heard.core, heard.source)), shape=(n, where.n_sources)).tocsr()
        self.sources = np.split(hears.indices, hears.indptr[1:-1])
        self.common = np.asarray((hears @ hears.T).todense())
        self.flow = emit.traffic(heard, where, rate[where.n_inputs :]).toarray()
        self.saving = np.asarray(((hears * rate[None, :]) @ hears.T).todense()) + self.hop * (self.flow + self.flow.T)
        for a in range(n):
            self.saving[a, ~self._fits(a)] = -1.0

    def _fits(self, a: int) -> NDArray[np.bool_]:
        """With which other groups a group can be together."""
        fits = (self._with(a) <= self.most).all(axis=1) & (self.seconds + self.seconds[a] <= self.bound)
        fits[a] = False
        return np.asarray(fits & [bool(m) for m in self.members])

    def _with(self, a: int) -> Floats:
        """(groups, resources) that a group and each other one take: an axon of a source that both hear is one."""
        both = np.asarray(self.usage + self.usage[a])
        for k in (AXONS_IN, PER_CORE.index("total_words")):
            both[:, k] -= self.common[a]
        return both

    def best(self) -> tuple[int, int] | None:
        """The pair that saves most of those that fit, or None."""
        a, b = sorted(divmod(int(np.argmax(self.saving)), len(self.parts)))
        return None if self.saving[a, b] < 0 else (a, b)

    def join(self, a: int, b: int) -> None:
        """Make b a part of a."""
        self.usage[a], self.seconds[a] = self._with(a)[b], self.seconds[a] + self.seconds[b]
        self.members[a] += self.members[b]
        self.members[b] = []
        self.sources[a] = np.union1d(self.sources[a], self.sources[b])
        self.sources[b] = self.sources[b][:0]
        self.flow[a] += self.flow[b]
        self.flow[:, a] += self.flow[:, b]
        here = np.zeros(len(self.rate))
        here[self.sources[a]] = 1
        self.common[a] = self.common[:, a] = self._sums(here)
        fresh = self._sums(here * self.rate) + self.hop * (self.flow[a] + self.flow[:, a])
        self.saving[a] = self.saving[:, a] = np.where(self._fits(a), fresh, -1.0)
        self.saving[b] = self.saving[:, b] = -1.0

    def _sums(self, values: Floats) -> Floats:
        """The sum of ``values`` over the sources that each group hears."""
        return np.array([values[s].sum() for s in self.sources])

    def cores(self) -> list[Core]:
        """The parts of each group, in causal order of the first."""
        alive = sorted((sorted(m) for m in self.members if m), key=lambda m: m[0])
        return [tuple(self.parts[k] for k in m) for m in alive]
