"""Contrastive projections: gradients against finite differences, pairs, and recognition of classes never trained."""

from __future__ import annotations

import numpy as np
import pytest

from hwsdk.errors import HwsdkError
from hwsdk.lsm.zeroshot import (
    Adam,
    Options,
    _pairs,
    align,
    class_embeddings,
    contrastive,
    recognise,
    training,
)


def params(rng: np.random.Generator, left: int = 5, right: int = 4, dims: int = 3) -> list[np.ndarray]:
    return [rng.standard_normal((left, dims)), rng.standard_normal(dims), rng.standard_normal((right, dims)),
            rng.standard_normal(dims)]


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4, 5], [0, 1, 1, 2, 0, 1]])
def test_the_gradient_is_that_of_finite_differences(gelu: bool, temperature: float, labels: list[int]) -> None:
    rng = np.random.default_rng(len(labels))
    p, y = params(rng), np.array(labels)
    left, right = rng.standard_normal((6, 5)), rng.standard_normal((6, 4))
    _, grads = contrastive(p, left, right, y, temperature, gelu)
    step = 1e-6
    for array, grad in zip(p, grads, strict=True):
        numeric = np.zeros_like(array)
        for at in np.ndindex(array.shape):
            values = []
            for sign in (1, -1):
                array[at] += sign * step
                values.append(contrastive(p, left, right, y, temperature, gelu)[0])
                array[at] -= sign * step
            numeric[at] = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(grad, numeric, rtol=2e-6, atol=1e-8)
        assert np.abs(grad).max() > 1e-3


def test_the_loss_by_hand() -> None:
    """Two pairs on the axes: similarities 1 and 0, so -log(e / (e + 1)) in both directions."""
    eye = np.eye(2)
    p = [eye.copy(), np.zeros(2), eye.copy(), np.zeros(2)]
    loss, _ = contrastive(p, eye, eye, np.array([0, 1]), 1.0, False)
    assert loss == pytest.approx(np.log1p(np.exp(-1)))
    together, _ = contrastive(p, eye, eye, np.array([3, 3]), 1.0, False)
    assert together == pytest.approx(np.log1p(np.exp(-1)) + 0.5)


def test_every_sample_of_the_larger_modality_comes_once_with_its_class() -> None:
    rng = np.random.default_rng(0)
    for sizes in ((50, 20), (9, 31)):
        left, right = (rng.integers(0, 3, n) for n in sizes)
        a, b = (np.concatenate(x) for x in zip(*_pairs(left, right, 8, rng), strict=True))
        np.testing.assert_array_equal(left[a], right[b])
        more = a if len(left) >= len(right) else b
        assert sorted(more.tolist()) == list(range(max(len(left), len(right))))
        assert len(set((b if len(left) >= len(right) else a).tolist())) > 5


def test_adam_by_hand() -> None:
    """The first step is rate times the sign; the second, with the opposite gradient, follows the two means."""
    p = np.array([1.0, 1.0])
    adam = Adam([p], 0.1)
    adam.step([np.array([3.0, -0.5])])
    np.testing.assert_allclose(p, [0.9, 1.1], atol=1e-7)
    adam.step([np.array([-3.0, 0.5])])
    mean = (0.9 * 0.1 * 3 - 0.1 * 3) / (1 - 0.81)
    np.testing.assert_allclose(p[0], 0.9 - 0.1 * mean / 3, atol=1e-7)


def world(seed: int = 0, samples: int = 200) -> dict[str, np.ndarray]:
    """Two views of ten classes that lie in a common plane of three dimensions: what is to be found has a truth."""
    rng = np.random.default_rng(seed)
    centres, y = rng.standard_normal((10, 3)), rng.integers(0, 10, samples)
    views = [rng.standard_normal((3, d)) for d in (20, 15)]
    noise = [0.05 * rng.standard_normal((samples, d)) for d in (20, 15)]
    return {"y": y, "left": centres[y] @ views[0] + noise[0], "right": centres[y] @ views[1] + noise[1]}


@pytest.mark.parametrize("gelu", [False, True])
def test_classes_that_were_never_trained_are_recognised(gelu: bool) -> None:
    w = world()
    seen, unseen = range(8), [8, 9]
    made = align(w["left"], w["y"], w["right"], w["y"], classes=seen,
                 options=Options(dims=8, temperature=0.1, gelu=gelu, epochs=60))
    for classes in (list(seen), unseen):
        mine = np.isin(w["y"], classes)
        for one, other in (("left", "right"), ("right", "left")):
            a, b = (getattr(made, side) for side in (one, other))
            embedded = class_embeddings(b, w[other][mine], w["y"][mine], classes)
            right = recognise(a, w[one][mine], embedded, classes) == w["y"][mine]
            assert right.mean() > 0.9, (classes, one)
    assert made.losses[-1] < 0.6 * made.losses[0]
    np.testing.assert_array_equal(made.classes, range(8))


def test_embeddings_have_length_1_and_features_are_standardised() -> None:
    w = world()
    made = align(w["left"], w["y"], w["right"] * 1e6 + 5, w["y"], options=Options(epochs=1))
    plain = align(w["left"], w["y"], w["right"], w["y"], options=Options(epochs=1))
    np.testing.assert_allclose(np.linalg.norm(made.left(w["left"]), axis=1), 1)
    np.testing.assert_allclose(made.right(w["right"] * 1e6 + 5), plain.right(w["right"]), atol=1e-6)
    constant = np.concatenate([w["left"], np.ones((200, 1))], 1)
    assert np.isfinite(align(constant, w["y"], w["right"], w["y"], options=Options(epochs=1)).left(constant)).all()


def test_it_is_deterministic_by_seed() -> None:
    w = world()
    a, b, c = (align(w["left"], w["y"], w["right"], w["y"], options=Options(epochs=2, seed=s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(a.left.weight, b.left.weight)
    np.testing.assert_array_equal(a.losses, b.losses)
    assert (a.left.weight != c.left.weight).any()


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_one_training_shows_every_number_of_epochs(epochs: int) -> None:
    w = world()
    made = list(training(w["left"], w["y"], w["right"], w["y"], options=Options(dims=8, epochs=3)))
    alone = align(w["left"], w["y"], w["right"], w["y"], options=Options(dims=8, epochs=epochs))
    assert len(made) == 4
    for a, b in ((made[epochs].left, alone.left), (made[epochs].right, alone.right)):
        np.testing.assert_array_equal(a.weight, b.weight)
        np.testing.assert_array_equal(a.bias, b.bias)
    np.testing.assert_array_equal(made[epochs].losses, alone.losses)
    assert len(alone.losses) == epochs
    assert (made[2].left.weight != made[3].left.weight).any()


def test_samples_of_other_classes_do_not_matter() -> None:
    w = world()
    few = w["y"] < 5
    a = align(w["left"], w["y"], w["right"], w["y"], classes=range(5), options=Options(epochs=2))
    b = align(w["left"][few], w["y"][few], w["right"][few], w["y"][few], options=Options(epochs=2))
    np.testing.assert_array_equal(a.left.weight, b.left.weight)
    np.testing.assert_array_equal(a.right.mean, b.right.mean)


def test_it_refuses_what_does_not_belong_together() -> None:
    w = world()
    with pytest.raises(HwsdkError, match="RAGGED"):
        align(w["left"], w["y"][:5], w["right"], w["y"])
    with pytest.raises(HwsdkError, match="NO_CLASS"):
        align(w["left"], w["y"], w["right"], w["y"], classes=[3, 17])
    with pytest.raises(HwsdkError, match="NO_CLASS"):
        align(w["left"], np.zeros(200, int), w["right"], np.ones(200, int))
    made = align(w["left"], w["y"], w["right"], w["y"], options=Options(epochs=1))
    with pytest.raises(HwsdkError, match="NO_CLASS"):
        class_embeddings(made.left, w["left"], w["y"], [1, 12])
