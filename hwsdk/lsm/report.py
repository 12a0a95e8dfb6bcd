"""What a liquid does with a set of samples: rate, kernel quality, separation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.lsm.features import input_features
from hwsdk.lsm.readout import accuracy, ridge
from hwsdk.lsm.states import states

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LiquidReport:
    """samples, steps, neurons, windows: of the run.

    rate: spikes a neuron and step. silent, saturated: shares of neurons that never fire, and that fire in more than
    half of all steps. kernel_quality: rank of the (samples, windows * n) counts, at most the smaller of the two
    (Legenstein and Maass, Neural Networks 20, 2007). separation: mean distance between class centres over the mean
    distance of samples from their own centre; None without labels.
    """

    samples: int
    steps: int
    neurons: int
    windows: int
    rate: float
    silent: float
    saturated: float
    kernel_quality: int
    separation: float | None

    def to_text(self) -> str:
        """A few lines."""
        most = min(self.samples, self.windows * self.neurons)
        lines = [f"liquid of {self.neurons} neurons, {self.samples} samples of {self.steps} steps",
                 f"firing rate {self.rate:.4f} a step, silent {self.silent:.1%}, saturated {self.saturated:.1%}",
                 f"kernel quality {self.kernel_quality} of {most}"]
        return "\n".join([*lines, *([] if self.separation is None else [f"separation {self.separation:.3f}"])]) + "\n"


def report(network: Network, stimulus: Stimulus, *, windows: int = 1, threads: int = 1) -> LiquidReport:
    """Run a liquid in floats and say what it does; see LiquidReport."""
    x = states(network, stimulus, windows=windows, threads=threads)
    return report_of(x, stimulus.n_steps, windows, stimulus.labels)


def report_of(features: Floats, n_steps: int, windows: int, labels: Any = None) -> LiquidReport:
    """The same from features (samples, windows * n) of a run on a chip or elsewhere."""
    samples, n = len(features), features.shape[1] // windows
    per_neuron = features.reshape(samples, windows, n).sum(axis=(0, 1)) / (samples * n_steps)
    apart = None if labels is None else separation(features, labels)
    return LiquidReport(samples, n_steps, n, windows, float(per_neuron.mean()), float((per_neuron == 0).mean()),
                        float((per_neuron > 0.5).mean()), kernel_quality(features), apart)


def kernel_quality(features: Floats) -> int:
    """Rank of the features of different samples: how many of them a linear readout can tell apart at will."""
    return int(np.linalg.matrix_rank(features))


def separation(features: Floats, labels: Any) -> float:
    """Mean distance between class centres over the mean distance of samples from their own centre.

    Raises:
        DataError: ONE_CLASS; RAGGED.
    """
    classes, kind = np.unique(labels, return_inverse=True)
    if len(kind) != len(features) or len(classes) < 2:
        raise DataError(f"{len(classes)} classes, {len(kind)} labels, {len(features)} samples", where="separation",
                        code="ONE_CLASS" if len(kind) == len(features) else "RAGGED",
                        fix="give one label a sample, of two classes or more")
    centres = np.stack([features[kind == k].mean(axis=0) for k in range(len(classes))])
    between = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(len(classes), 1)].mean()
    within = np.linalg.norm(features - centres[kind], axis=1).mean()
    return float(between / within) if within else float("inf")


@dataclass(frozen=True, slots=True)
class Score:
    """What a readout gets right with a liquid and without one, as shares of ``samples`` test samples.

    without: windows -> the same readout on the inputs' own counts in so many windows.
    """

    samples: int
    windows: int
    liquid: float
    without: Mapping[int, float]

    @property
    def error(self) -> float:
        """Standard error of ``liquid``: sqrt(p (1 - p) / samples)."""
        return float(np.sqrt(self.liquid * (1 - self.liquid) / self.samples))

    def to_text(self) -> str:
        """A few lines."""
        lines = [f"liquid, {self.windows} windows: {self.liquid:.1%} +- {self.error:.1%} of {self.samples} samples"]
        return "\n".join(lines + [f"no liquid, {k} windows: {p:.1%}" for k, p in self.without.items()]) + "\n"


def score(network: Network, stimulus: Stimulus, test: Any, *, windows: int = 1, threads: int = 1) -> Score:
    """Train ridge readouts with and without the liquid on one part of the samples, and test them on the other.

    Without: in 1 window, in as many as the liquid's readout sees, and in every step by itself.

    Args:
        test: (samples,) bool, the samples to test on; the stimulus needs labels.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
        DataError: NO_LABELS; the readout's.
    """
    if stimulus.labels is None:
        raise DataError("the stimulus has no labels", where="score", code="NO_LABELS", fix="give one class a sample")
    y, held = stimulus.labels, np.asarray(test, bool)

    def right(x: Floats, k: int) -> float:
        return accuracy(ridge(x[~held], y[~held], windows=k), x[held], y[held])

    liquid = right(states(network, stimulus, windows=windows, threads=threads), windows)
    counted = sorted({1, windows, stimulus.n_steps})
    return Score(int(held.sum()), windows, liquid, {k: right(input_features(stimulus, k), k) for k in counted})
