"""The networks of mapping_spinnaker.py as plain NumPy arrays, for hwsdk and for sPyNNaker alike."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]
SIZES = {"E/I 2,000": 2000, "E/I 10,000": 10_000, "E/I 20,000": 20_000}
NAMES = (*SIZES, "MLP 784-1000-10")
DENSITY, INHIBITORY = 0.02, 0.2
SHARE = 0.02
"""Of the neurons of an E/I network that spike in the busiest tick."""


@dataclass(frozen=True)
class Projection:
    """Synapses from a sender to a population, by ascending source: whole weights, all with a delay of one step."""

    sender: str
    target: str
    source: Array
    index: Array
    weight: Array


@dataclass(frozen=True)
class Net:
    """Neurons of the input "in" and of each population, and the projections between them."""

    inputs: int
    populations: dict[str, int]
    projections: tuple[Projection, ...]

    @property
    def synapses(self) -> int:
        """In all."""
        return sum(len(p.source) for p in self.projections)

    def digest(self) -> str:
        """Of all synapses."""
        found = hashlib.sha256()
        for p in self.projections:
            for array in (p.source, p.index, p.weight):
                found.update(np.ascontiguousarray(array, np.int64).tobytes())
        return found.hexdigest()[:16]


def make(name: str) -> Net:
    """One of NAMES."""
    return _mlp() if name not in SIZES else _balanced(SIZES[name])


def _balanced(n: int) -> Net:
    """n neurons, 80 % excitatory, each joined to 2 % of all; one input for each neuron."""
    rng = np.random.default_rng(n)
    count = rng.binomial(n, DENSITY, n)
    source = np.repeat(np.arange(n), count)
    weight = np.where(source < (1 - INHIBITORY) * n, 1, -4)
    own = np.arange(n)
    return Net(n, {"p": n}, (Projection("in", "p", own, own, np.full(n, 5)),
                             Projection("p", "p", source, rng.integers(0, n, len(source)), weight)))


def _mlp() -> Net:
    """All neurons of a layer joined to all of the next."""
    rng, sizes = np.random.default_rng(0), {"in": 784, "hidden": 1000, "out": 10}
    names, found = list(sizes), []
    for a, b in pairwise(names):
        weight = rng.integers(1, 16, (sizes[a], sizes[b])) * rng.choice((-1, 1), (sizes[a], sizes[b]))
        source, index = np.divmod(np.arange(weight.size), sizes[b])
        found.append(Projection(a, b, source, index, weight.ravel()))
    return Net(sizes["in"], {n: sizes[n] for n in names[1:]}, tuple(found))
