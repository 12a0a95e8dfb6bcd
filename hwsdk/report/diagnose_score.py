"""How far two runs of one model are apart: decisions, rasters, layer by layer, on the model's own steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.verify import decisions
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import is_spiking
from hwsdk.ir.trace import Trace

LARGE = 1e100
CLOSE = 1e-6
"""Relative error up to which a membrane that is read out counts as equal."""


@dataclass(frozen=True, slots=True)
class LayerChange:
    """One layer of two runs. share: of a spiking layer the cells (sample, step, neuron) that spike in one run alone,
    over the spikes of both; of one that is read out the rms of the difference over the rms of both. 0 is equal, 1 has
    nothing in common. cells: how many differ.
    """

    layer: str
    share: float
    cells: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"layer": self.layer, "share": self.share, "cells": self.cells}


def layers_of(network: Network, *traces: Trace) -> tuple[str, ...]:
    """Populations of the network that all traces have, in causal order."""
    return tuple(n for n in network.populations if all(n in t.spikes for t in traces))


def spiking_of(network: Network, layers: Sequence[str]) -> tuple[str, ...]:
    """Those that put out spikes."""
    return tuple(n for n in layers if is_spiking(network.populations[n]))


def changes(network: Network, expected: Trace, got: Trace, steps: int,
            layers: Sequence[str] | None = None) -> tuple[LayerChange, ...]:
    """Layer by layer, of those that both runs have."""
    names = layers_of(network, expected, got) if layers is None else layers
    return tuple(_change(n, _spikes(network, n, expected), expected.aligned(n, steps), got.aligned(n, steps))
                 for n in names)


def _spikes(network: Network, name: str, expected: Trace) -> bool:
    """Does a layer put out spikes? Of an output what is expected says it."""
    if name in network.populations:
        return is_spiking(network.populations[name])
    values = expected.spikes[name].values()
    return bool((values == np.rint(values)).all())


def _change(name: str, spiking: bool, a: Events, b: Events) -> LayerChange:
    """Of one layer."""
    _, x, y = _joined(a, b)
    if spiking:
        differ = int((x != y).sum())
        size = float(np.abs(x).sum() + np.abs(y).sum())
        return LayerChange(name, min(1.0, float(np.abs(x - y).sum()) / size) if size else 0.0, differ)
    size = float(np.sqrt(((x**2).sum() + (y**2).sum()) / 2))
    off = float(np.sqrt(((x - y) ** 2).sum()))
    share = min(1.0, off / size) if size else 0.0
    apart = int((np.abs(x - y) > CLOSE * max(float(np.abs(x).max(initial=0.0)), 1e-300)).sum())
    return LayerChange(name, share if share > CLOSE else 0.0, apart if share > CLOSE else 0)


def _joined(a: Events, b: Events) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """(cells that either has, the values of a there, those of b)."""
    ka, kb = a.cells(), b.cells()
    cells = np.union1d(ka, kb)
    x, y = np.zeros(len(cells)), np.zeros(len(cells))
    x[np.searchsorted(cells, ka)], y[np.searchsorted(cells, kb)] = _tame(a.values()), _tame(b.values())
    return cells, x, y


def _tame(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A membrane that has run away, as with a dt that is far too long, is large but still a number."""
    return np.clip(np.nan_to_num(values, nan=LARGE), -LARGE, LARGE)


def differing(a: Events, b: Events) -> NDArray[np.float64]:
    """(n): by how much each neuron's values differ, summed over samples and steps."""
    cells, x, y = _joined(a, b)
    return np.asarray(np.bincount(cells % a.n, weights=np.abs(x - y), minlength=a.n), np.float64)


def similarity(network: Network, expected: Trace, got: Trace, steps: int) -> float:
    """Mean over the layers of the cosine of both rasters (or membranes); 1 is equal, up to a factor."""
    return float(np.mean([_cosine(expected.aligned(n, steps), got.aligned(n, steps))
                          for n in layers_of(network, expected, got)] or [1.0]))


def _cosine(a: Events, b: Events) -> float:
    """Of two rasters; two empty ones are equal."""
    _, x, y = _joined(a, b)
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size else float(len(a) == len(b))


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The measure of a diagnosis: "accuracy" where there are labels and one output, "agreement" of decisions with a
    run of the model where there is one output of several elements, else "similarity" of all layers to that run.
    """

    network: Network
    data: Stimulus
    model: Trace

    @property
    def name(self) -> str:
        """Of the measure."""
        outputs = self.network.outputs
        if len(outputs) != 1 or size_of(self.network, next(iter(outputs))) < 2:
            return "similarity"
        return "agreement" if self.data.labels is None else "accuracy"

    def __call__(self, got: Trace) -> float:
        """The measure of a run."""
        steps, output = self.data.n_steps, next(iter(self.network.outputs), "")
        if self.name == "similarity" or output not in got.spikes:
            return similarity(self.network, self.model, got, steps)
        wanted = self.data.labels if self.data.labels is not None else decisions(self.model, output, steps)
        return float((decisions(got, output, steps) == wanted).mean())

    def significance(self, got: Trace) -> float:
        """How surely a run is more often right than the model's, in standard deviations; 0 without labels."""
        output = next(iter(self.network.outputs), "")
        if self.name != "accuracy" or output not in got.spikes:
            return 0.0
        mine, its = (decisions(t, output, self.data.n_steps) == self.data.labels for t in (self.model, got))
        differ = int((mine != its).sum())
        return float((int(its.sum()) - int(mine.sum())) / np.sqrt(differ)) if differ else 0.0

    def similarity(self, got: Trace) -> float:
        """To the run of the model."""
        return similarity(self.network, self.model, got, self.data.n_steps)


def size_of(network: Network, output: str) -> int:
    """Elements of an output."""
    return int(np.prod(network.shapes[output], dtype=np.int64))
