"""Zero-shot recognition across two modalities: both liquids' features projected into one space by a contrastive loss.

After Lin et al., "Resistive memory-based zero-shot liquid state machine for multimodal event data learning", Nature
Computational Science 5, 2025 (arXiv 2307.00771): the liquids stay random, one linear layer a modality is trained. A
class that was not trained is recognised by the nearest embedding of that class in the other modality.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from hwsdk.errors import DataError
from hwsdk.ir.nodes import frozen

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Of Adam (Kingma and Ba, arXiv 1412.6980)."""


@dataclass(frozen=True, slots=True)
class Options:
    """dims: of the common space. temperature: of the similarities. gelu: after the linear layer. rate: of Adam. epochs:
    passes over the larger modality. batch: pairs a step. decay: weight decay added to the gradient. seed: of the first
    weights and of the pairs.

    rate and batch are those of the paper's code, which has 64 dims, temperature 1, GELU and 100 epochs. The other
    defaults are what examples/zero_shot_lsm.py --select chose on digits that it holds out of the trained ones, with
    960 recordings and some 570 images; choose epochs in the same way for data of another size.
    """

    dims: int = 64
    temperature: float = 0.1
    gelu: bool = False
    rate: float = 1e-3
    epochs: int = 1
    batch: int = 8
    decay: float = 0.01
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Features of one modality into the common space: ((x - mean) / scale) @ weight + bias, then GELU where ``gelu``,
    then to length 1. weight (features, dims), bias (dims), mean, scale (features).
    """

    weight: Floats
    bias: Floats
    mean: Floats
    scale: Floats
    gelu: bool = True

    def __call__(self, features: object) -> Floats:
        """Unit vectors (samples, dims) of (samples, features)."""
        x = (np.asarray(features, np.float64) - self.mean) / self.scale
        return _unit(_activated(x @ self.weight + self.bias, self.gelu))[0]


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Two modalities in one space. classes: that were trained. losses: mean of each epoch."""

    left: Projection
    right: Projection
    classes: Labels
    losses: Floats


def align(left: object, left_labels: object, right: object, right_labels: object, *,
          classes: Sequence[int] | None = None, options: Options | None = None) -> Aligned:
    """Train both projections on pairs of the same class; samples of other classes are left out.

    Args:
        left, right: features (samples, features) of the two modalities, which need not belong together one by one.
        left_labels, right_labels: whole numbers. classes: to train; default all that both have.

    Raises:
        DataError: RAGGED, or NO_CLASS: a class has no sample in one modality.
    """
    *_, last = training(left, left_labels, right, right_labels, classes=classes, options=options)
    return last


def training(left: object, left_labels: object, right: object, right_labels: object, *,
             classes: Sequence[int] | None = None, options: Options | None = None) -> Iterator[Aligned]:
    """The projections before training and after each epoch; ``align`` gives the last. Arguments and errors as there.

    What comes after k epochs is what ``align`` gives with epochs=k, so one training shows every number of epochs.
    """
    opt = options or Options()
    x, y = _checked(left, left_labels), _checked(right, right_labels)
    chosen = _classes(x[1], y[1], classes)
    (xa, ya), (xb, yb) = ((f[keep], labels[keep]) for f, labels in (x, y) for keep in [np.isin(labels, chosen)])
    rng = np.random.default_rng(opt.seed)
    scalers = [_scaler(xa), _scaler(xb)]
    xa, xb = ((f - m) / s for f, (m, s) in zip((xa, xb), scalers, strict=True))
    weights = [rng.standard_normal((f.shape[1], opt.dims)) / np.sqrt(f.shape[1]) for f in (xa, xb)]
    params = [weights[0], np.zeros(opt.dims), weights[1], np.zeros(opt.dims)]
    adam = Adam(params, opt.rate)
    losses: list[float] = []
    for epoch in range(opt.epochs + 1):
        found = []
        for a, b in _pairs(ya, yb, opt.batch, rng) if epoch else ():
            loss, grads = contrastive(params, xa[a], xb[b], ya[a], opt.temperature, opt.gelu)
            adam.step([g + opt.decay * p for g, p in zip(grads, params, strict=True)])
            found.append(loss)
        losses += [float(np.mean(found))] if epoch else []
        sides = [Projection(frozen(params[2 * k]), frozen(params[2 * k + 1]), frozen(m), frozen(s), opt.gelu)
                 for k, (m, s) in enumerate(scalers)]
        yield Aligned(sides[0], sides[1], frozen(chosen, np.int64), frozen(losses))


def _classes(left: Labels, right: Labels, classes: Sequence[int] | None) -> Labels:
    """That are trained, all of which both modalities have to have."""
    chosen = np.unique(np.intersect1d(left, right) if classes is None else np.asarray(classes, np.int64))
    for labels, side in ((left, "left"), (right, "right")):
        missing = np.setdiff1d(chosen, labels)
        if len(missing) or not len(chosen):
            raise DataError(f"no sample of class {', '.join(map(str, missing)) or 'any'}", where=side, code="NO_CLASS",
                            fix="train classes that both modalities have")
    return chosen


def contrastive(params: Sequence[Floats], left: Floats, right: Floats, labels: Labels, temperature: float, gelu: bool,
                ) -> tuple[float, list[Floats]]:
    """The symmetric contrastive loss of a batch of pairs and its gradient.

    Args:
        params: weight and bias of the left, weight and bias of the right projection. left, right: (batch, features);
            row k of both is of class labels[k]. All pairs of one class belong together, each as much as the others.

    Returns:
        Mean cross-entropy from left to right and from right to left; gradients in the order of ``params``.
    """
    sides = [_forward(x, params[2 * k], params[2 * k + 1], gelu) for k, x in enumerate((left, right))]
    (za, _, _), (zb, _, _) = sides
    same = (labels[:, None] == labels).astype(np.float64)
    wanted = same / same.sum(1, keepdims=True)  # symmetric: classes of equal rows and columns
    logits = za @ zb.T / temperature
    rows, columns = _log_softmax(logits), _log_softmax(logits.T).T
    n = len(labels)
    loss = -float((wanted * rows).sum() + (wanted * columns).sum()) / (2 * n)
    grad = (np.exp(rows) + np.exp(columns) - 2 * wanted) / (2 * n * temperature)
    out: list[Floats] = []
    for x, side, dz in ((left, sides[0], grad @ zb), (right, sides[1], grad.T @ za)):
        dy = _backward(side, dz, gelu)
        out += [x.T @ dy, dy.sum(0)]
    return loss, out


def _forward(x: Floats, weight: Floats, bias: Floats, gelu: bool) -> tuple[Floats, Floats, Floats]:
    """(unit vectors, their lengths before, what the linear layer gave)."""
    linear = x @ weight + bias
    unit, length = _unit(_activated(linear, gelu))
    return unit, length, linear


def _backward(side: tuple[Floats, Floats, Floats], dz: Floats, gelu: bool) -> Floats:
    """The gradient at the linear layer's output."""
    unit, length, linear = side
    dy = (dz - unit * (dz * unit).sum(1, keepdims=True)) / length
    if not gelu:
        return np.asarray(dy)
    density = np.exp(-(linear**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(dy * (ndtr(linear) + linear * density))


def _activated(linear: Floats, gelu: bool) -> Floats:
    """GELU: x times the normal distribution at x (Hendrycks and Gimpel, arXiv 1606.08415)."""
    return np.asarray(linear * ndtr(linear)) if gelu else linear


def _unit(x: Floats) -> tuple[Floats, Floats]:
    """(rows of length 1, their lengths); a row of zeros stays."""
    length = np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return x / length, length


def _log_softmax(x: Floats) -> Floats:
    """Along rows."""
    shifted = x - x.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


class Adam:
    """Adam in plain NumPy; changes the arrays of ``params`` in place."""

    def __init__(self, params: Sequence[Floats], rate: float) -> None:
        self.params, self.rate, self.count = params, rate, 0
        self.mean = [np.zeros_like(p) for p in params]
        self.square = [np.zeros_like(p) for p in params]

    def step(self, grads: Sequence[Floats]) -> None:
        """One update."""
        self.count += 1
        first, second = (1 - b**self.count for b in BETAS)
        for p, m, v, g in zip(self.params, self.mean, self.square, grads, strict=True):
            m += (1 - BETAS[0]) * (g - m)
            v += (1 - BETAS[1]) * (g * g - v)
            p -= self.rate * (m / first) / (np.sqrt(v / second) + EPSILON)


def _pairs(left: Labels, right: Labels, batch: int, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    """Batches of one pass over the larger modality, each sample with a random partner of its class."""
    swap = len(left) < len(right)
    more, less = (right, left) if swap else (left, right)
    order = rng.permutation(len(more))
    partner = np.zeros(len(more), np.int64)
    for c in np.unique(more):
        mine = np.flatnonzero(more == c)
        partner[mine] = rng.choice(np.flatnonzero(less == c), len(mine))
    for k in range(0, len(order), batch):
        a = order[k : k + batch]
        yield (partner[a], a) if swap else (a, partner[a])


def _scaler(x: Floats) -> tuple[Floats, Floats]:
    """(mean, standard deviation), 1 where a feature is constant."""
    scale = x.std(0)
    return x.mean(0), np.where(scale > 0, scale, 1.0)


def _checked(features: object, labels: object) -> tuple[Floats, Labels]:
    """Features and labels that belong together."""
    x, y = np.asarray(features, np.float64), np.asarray(labels)
    if x.ndim != 2 or len(x) != len(y) or y.dtype.kind not in "biu":
        raise DataError(f"features of shape {x.shape}, {y.dtype} labels of shape {y.shape}", where="zero-shot",
                        code="RAGGED", fix="give (samples, features) and one whole number a sample")
    return x, y.astype(np.int64)


def class_embeddings(projection: Projection, features: object, labels: object, classes: Sequence[int]) -> Floats:
    """(classes, dims): where the samples of each class lie on average, as unit vectors.

    Raises:
        DataError: NO_CLASS.
    """
    x, y = _checked(features, labels)
    missing = sorted({int(c) for c in classes} - set(y.tolist()))
    if missing:
        raise DataError(f"no sample of class {', '.join(map(str, missing))}", where="zero-shot", code="NO_CLASS",
                        fix="give samples of every class")
    return _unit(np.stack([projection(x[y == c]).mean(0) for c in classes]))[0]


def recognise(projection: Projection, features: object, embeddings: Floats, classes: Sequence[int]) -> Labels:
    """(samples,): the class whose embedding, of the other modality, is nearest to each sample of this one."""
    nearest = np.argmax(projection(features) @ embeddings.T, axis=1)
    return np.asarray(np.asarray(classes, np.int64)[nearest])
