"""ir.Trace: what a run gave: spikes, state probes and counted events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Events


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first place where two traces differ. ``kind`` is "spike" or a state's name."""

    kind: str
    layer: str
    sample: int
    step: int
    neuron: int
    expected: float
    got: float

    def __str__(self) -> str:
        return (f"{self.kind} differs first at step {self.step}, layer {self.layer}, neuron {self.neuron}, "
                f"sample {self.sample}: expected {self.expected:g}, got {self.got:g}")


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The record of one run over some samples.

    spikes: population -> Events (value = spikes a step, or v for a population that does not spike and is read out).
    states: (population, variable) -> (samples, steps, n). counts: name -> (samples, steps) or (samples, cores).
    lag: population -> steps that it runs behind the model (0 for a float reference).
    """

    n_samples: int
    n_steps: int
    spikes: Mapping[str, Events]
    states: Mapping[tuple[str, str], NDArray[Any]] = field(default_factory=dict)
    counts: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    lag: Mapping[str, int] = field(default_factory=dict)

    def aligned(self, population: str, n_steps: int) -> Events:
        """The population's events on the model's own time axis, 0..n_steps-1."""
        return self.spikes[population].shifted(-self.lag.get(population, 0), n_steps)

    def counts_of(self, population: str, n_steps: int) -> NDArray[np.float64]:
        """(samples, n): the sum over the model's steps."""
        return self.aligned(population, n_steps).counts()

    def sample(self, sample: int) -> Trace:
        """One sample as a trace of its own, without the counts."""
        return Trace(1, self.n_steps, {n: e.one(sample) for n, e in self.spikes.items()},
                     {k: s[sample : sample + 1] for k, s in self.states.items()}, {}, self.lag)

    def n_spikes(self) -> int:
        """All spikes of all spiking populations."""
        return int(sum(e.values().sum() for e in self.spikes.values() if e.value is None or (e.value >= 0).all()))

    def first_difference(self, other: Trace, layers: Sequence[str] | None = None, close: float = 0.0,
                         ) -> Mismatch | None:
        """The earliest cell (by step, then layer order) where ``other`` differs from this trace by more than ``close``,
        spikes then states. What is 0 in one trace alone always differs.
        """
        names = list(self.spikes) if layers is None else layers
        found = [d for name in names if (d := _spike_difference(name, self, other, close))]
        found += [d for key in self.states if key in other.states and (layers is None or key[0] in layers)
                  and (d := _state_difference(key, self, other, close))]
        return min(found, key=lambda d: (d.step, d.sample), default=None)

    def to_text(self) -> str:
        """A stable listing: one line a population and count."""
        lines = [f"trace samples={self.n_samples} steps={self.n_steps}"]
        lines += [f"spikes {n} {len(e)} sum={e.values().sum():g} lag={self.lag.get(n, 0)}"
                  for n, e in self.spikes.items()]
        lines += [f"count {n} {np.asarray(c, np.float64).sum():g}" for n, c in sorted(self.counts.items())]
        return "\n".join(lines) + "\n"


def _spike_difference(name: str, expected: Trace, got: Trace, close: float) -> Mismatch | None:
    """First cell where the events of one population differ."""
    a, b = expected.spikes[name], got.spikes[name]
    lag = got.lag.get(name, 0) - expected.lag.get(name, 0)
    steps = min(a.n_steps, b.n_steps - lag)
    a, b = a.shifted(0, steps), b.shifted(-lag, steps)
    ka, kb = a.cells(), b.cells()
    oa, ob = np.argsort(ka, kind="stable"), np.argsort(kb, kind="stable")
    ka, kb, va, vb = ka[oa], kb[ob], a.values()[oa], b.values()[ob]
    if np.array_equal(ka, kb) and np.array_equal(va, vb):
        return None
    cells = np.union1d(ka, kb)
    full_a, full_b = np.zeros(len(cells)), np.zeros(len(cells))
    full_a[np.searchsorted(cells, ka)], full_b[np.searchsorted(cells, kb)] = va, vb
    apart = np.flatnonzero((np.abs(full_a - full_b) > close) | ((full_a != 0) != (full_b != 0)))
    if not len(apart):
        return None
    at = int(apart[0])
    rest, neuron = divmod(int(cells[at]), a.n)
    step, sample = divmod(rest, a.n_samples)
    return Mismatch("spike", name, sample, step, neuron, float(full_a[at]), float(full_b[at]))


def _state_difference(key: tuple[str, str], expected: Trace, got: Trace, close: float) -> Mismatch | None:
    """First cell where one state variable differs."""
    lag = got.lag.get(key[0], 0) - expected.lag.get(key[0], 0)
    a, b = expected.states[key], got.states[key][:, lag:]
    steps = min(a.shape[1], b.shape[1])
    a, b = a[:, :steps], b[:, :steps]
    where = np.argwhere((np.abs(a - b) > close if close else a != b).swapaxes(0, 1))
    if not len(where):
        return None
    step, sample, neuron = (int(x) for x in where[0])
    return Mismatch(key[1], key[0], sample, step, neuron, float(a[sample, step, neuron]),
                    float(b[sample, step, neuron]))
