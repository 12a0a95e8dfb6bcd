"""Readouts: what scikit-learn learned, decided without it; and what a liquid's report says."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hwsdk.errors import DataError, MissingDependencyError
from hwsdk.lsm.encode import stimulus
from hwsdk.lsm.liquid import liquid
from hwsdk.lsm.readout import ALPHAS, accuracy, decide, folded, logistic, ridge
from hwsdk.lsm.report import kernel_quality, report, report_of, score, separation


def clouds(classes: int, samples: int = 120, n: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts around a centre a class; labels need not start at 0, and one feature never changes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    x = rng.poisson(rng.uniform(1, 9, (classes, n))[y]).astype(float)
    x[:, 0] = 3
    return x, 5 + 2 * y


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("kind", ["ridge", "logistic"])
def test_decisions_are_those_of_scikit_learn(classes: int, kind: str) -> None:
    x, y = clouds(classes)
    last = RidgeClassifierCV(np.asarray(ALPHAS)) if kind == "ridge" else LogisticRegression(C=1.0, max_iter=1000)
    model = make_pipeline(StandardScaler(), last).fit(x, y)
    made = (ridge if kind == "ridge" else logistic)(x, y, population="pond", windows=2)
    assert (made.population, made.windows, made.weight.shape) == ("pond", 2, (classes, 6))
    assert (decide(made, x) == model.predict(x)).all()
    assert accuracy(made, x, y) == pytest.approx(model.score(x, y)) and accuracy(made, x, y) > 1.5 / classes
    expected = model.decision_function(x)
    found = made.scores(x)
    assert (found[:, 1] - found[:, 0] if classes == 2 else found) == pytest.approx(expected, abs=1e-9)


def test_folding_changes_no_score() -> None:
    x, y = clouds(4)
    made = ridge(x, y)
    one = folded(made)
    assert not one.mean.any() and (one.scale == 1).all()
    assert one.scores(x) == pytest.approx(made.scores(x), abs=1e-9)
    assert x @ one.weight.T + one.bias == pytest.approx(made.scores(x), abs=1e-9)
    assert (made.scale > 0).all(), "a feature that never changes is not divided by 0"


def test_arrays_are_read_only_and_named() -> None:
    made = logistic(*clouds(3), how="chip 7")
    assert made.how == "chip 7"
    assert not made.weight.flags.writeable
    assert made.classes.tolist() == [5, 7, 9] and made.classes.dtype == np.int64


def test_what_cannot_be_trained_or_decided() -> None:
    x, y = clouds(3)
    for bad_x, bad_y, windows, code in ((x, y[:-1], 1, "RAGGED"), (x, y, 4, "RAGGED"), (x[0], y, 1, "RAGGED"),
                                        (x, y + 0.5, 1, "RAGGED"), (x, 0 * y, 1, "ONE_CLASS")):
        with pytest.raises(DataError) as error:
            ridge(bad_x, bad_y, windows=windows)
        assert error.value.code == code
    with pytest.raises(DataError, match="the readout takes 6"):
        decide(ridge(x, y), x[:, :5])


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ridge(*clouds(3))
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(MissingDependencyError) as error:
        ridge(*clouds(3))
    assert (error.value.code, error.value.fix) == ("NO_SKLEARN", "pip install 'hwsdk[lsm]'")
    assert (decide(made, clouds(3)[0]) == decide(made, clouds(3)[0])).all(), "deciding needs NumPy only"


def test_separation_and_rank_by_hand() -> None:
    x = np.array([[0.0, 1.0], [0.0, -1.0], [4.0, 1.0], [4.0, -1.0]])
    assert separation(x, [0, 0, 1, 1]) == 4.0
    assert separation(x[[0, 0, 2, 2]], [0, 0, 1, 1]) == np.inf
    assert kernel_quality(x) == 2 and kernel_quality(np.ones((5, 3))) == 1
    for labels, code in (([0, 0, 0, 0], "ONE_CLASS"), ([0, 1], "RAGGED")):
        with pytest.raises(DataError) as error:
            separation(x, labels)
        assert error.value.code == code


def test_report_by_hand() -> None:
    """Of 3 neurons one is silent, one fires in every step, one in exactly half of them, which is not saturated."""
    x = np.array([[0.0, 4.0, 1.0, 0.0, 4.0, 3.0], [0.0, 4.0, 2.0, 0.0, 4.0, 2.0]])
    found = report_of(x, n_steps=8, windows=2)
    assert (found.samples, found.neurons, found.windows, found.kernel_quality) == (2, 3, 2, 2)
    assert (found.rate, found.silent, found.saturated) == pytest.approx((0.5, 1 / 3, 1 / 3))
    assert found.separation is None
    assert found.to_text().splitlines() == [
        "liquid of 3 neurons, 2 samples of 8 steps", "firing rate 0.5000 a step, silent 33.3%, saturated 33.3%",
        "kernel quality 2 of 2"]


def temporal(samples: int = 200) -> tuple:
    """Two classes with the same spikes in another order: channel 0 before channel 1, or after it."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, samples)
    early, late = rng.integers(2, 10, samples), rng.integers(12, 18, samples)
    x = np.zeros((samples, 30, 2))
    x[np.arange(samples), early, y] = x[np.arange(samples), late, 1 - y] = 1
    return stimulus(x, y), np.arange(samples) >= 120


def test_a_liquid_remembers_the_order_that_counts_forget() -> None:
    data, test = temporal()
    found = score(liquid(2, 60, c_in=2.0, c_rec=0.15), data, test)
    assert found.samples == 80 and found.without[1] < 0.7
    assert found.liquid > found.without[1] + 0.15, found
    assert found.without[30] > 0.95, "each step by itself shows the order"
    assert found.error == pytest.approx(np.sqrt(found.liquid * (1 - found.liquid) / 80))
    assert found.to_text().startswith(f"liquid, 1 windows: {found.liquid:.1%} +- ")
    text = report(liquid(2, 60, c_in=2.0), data).to_text()
    assert "separation" in text and "kernel quality" in text
    with pytest.raises(DataError, match="NO_LABELS"):
        score(liquid(2, 60), stimulus(np.ones((4, 5, 2))), [True] * 4)
