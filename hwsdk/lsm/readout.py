"""Linear readouts of a liquid: trained with scikit-learn, stored in a program, decided without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, MissingDependencyError
from hwsdk.ir.nodes import frozen
from hwsdk.programs.crossbar import Readout

Array = NDArray[Any]
Floats = NDArray[np.float64]
PIP = "pip install 'hwsdk[lsm]'"
ALPHAS = tuple(float(a) for a in np.logspace(0, 5, 11))
"""Ridge penalties among which leave-one-out decides."""


def ridge(features: object, labels: object, *, population: str = "liquid", windows: int = 1,
          alphas: tuple[float, ...] = ALPHAS, how: str = "") -> Readout:
    """Ridge classification of standardised features; the penalty is chosen by leave-one-out (RidgeClassifierCV).

    Args:
        features: (samples, windows * n). labels: (samples,) whole numbers. population: whose features they are.
        how: what the features came from, for the record.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
        DataError: RAGGED, ONE_CLASS.
    """
    x, y = _checked(features, labels, windows)
    model = _sklearn("linear_model").RidgeClassifierCV(np.asarray(alphas))
    return _trained(model, x, y, population, windows, how or "ridge")


def logistic(features: object, labels: object, *, population: str = "liquid", windows: int = 1, c: float = 1.0,
             iterations: int = 1000, how: str = "") -> Readout:
    """Logistic regression of standardised features; ``c`` is the inverse of the penalty. See ``ridge``."""
    x, y = _checked(features, labels, windows)
    model = _sklearn("linear_model").LogisticRegression(C=c, max_iter=iterations)
    return _trained(model, x, y, population, windows, how or "logistic")


def _sklearn(module: str) -> Any:
    """A module of scikit-learn."""
    import importlib

    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError:
        raise MissingDependencyError("training a readout needs scikit-learn, which is not installed",
                                     code="NO_SKLEARN", fix=PIP) from None


def _checked(features: object, labels: object, windows: int) -> tuple[Floats, NDArray[np.int64]]:
    """Features and labels that belong together."""
    x, y = np.asarray(features, np.float64), np.asarray(labels)
    if x.ndim != 2 or len(x) != len(y) or x.shape[1] % windows or y.dtype.kind not in "biu":
        raise DataError(f"features of shape {x.shape} in {windows} windows, {y.dtype} labels of shape {y.shape}",
                        where="readout", code="RAGGED", fix="give (samples, windows * n) and one whole number a sample")
    if len(np.unique(y)) < 2:
        raise DataError("all samples are of one class", where="readout", code="ONE_CLASS",
                        fix="give samples of two classes or more")
    return x, y.astype(np.int64)


def _trained(model: Any, x: Floats, y: NDArray[np.int64], population: str, windows: int, how: str) -> Readout:
    """Train on standardised features; two classes get a row of weights each, as more have."""
    scaler = _sklearn("preprocessing").StandardScaler().fit(x)
    model.fit(scaler.transform(x), y)
    weight, bias = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    if len(model.classes_) == 2:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Readout(population, windows, frozen(weight), frozen(bias), frozen(scaler.mean_), frozen(scaler.scale_),
                   frozen(model.classes_, np.int64), how)


def folded(readout: Readout) -> Readout:
    """The same readout with mean and scale inside the weights: one product and one sum a class."""
    weight = readout.weight / readout.scale
    return replace(readout, weight=frozen(weight), bias=frozen(readout.bias - weight @ readout.mean),
                   mean=frozen(np.zeros_like(readout.mean)), scale=frozen(np.ones_like(readout.scale)))


def decide(readout: Readout, features: object) -> Array:
    """(samples,): the class with the largest score; see Readout.scores for what it raises."""
    return readout.decide(features)


def accuracy(readout: Readout, features: object, labels: object) -> float:
    """Share of the samples whose class is right."""
    return float(np.mean(decide(readout, features) == np.asarray(labels)))
