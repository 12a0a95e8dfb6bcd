"""Zero-shot between spoken and written digits (examples/zero_shot_lsm.py), in float and on dies of the chip.

The setting is the one that --select chose, which took about 9 minutes on a busy machine. Found with all recordings on
liquids 0 to 4, mean and standard deviation in per cent, trained (chance 14.3) | unseen digits (chance 50):

                spoken -> image            image -> spoken            paper, other data
    float       87.6+-2.5 | 64.0+-34.2     94.1+-0.8 | 60.0+-11.4     66.1 | 88.0
    chip        82.6+-1.1 | 52.3+-23.2     91.6+-1.5 | 49.2+-9.7      67.4 | 87.5

The paper's accuracy on unseen digits is not reached: on these data 8 and 9 are told apart little or not better than by
chance. Over all 45 pairs, five liquids each, float 58.8+-2.3 and 56.8+-2.1, chip 59.1+-2.2 and 57.0+-2.0 (standard
errors over pairs); over the 24 of them that no selection saw 56.8+-3.6 and 54.3+-3.2, chip 57.2+-3.2 and 54.6+-3.2.
The mean over pairs and directions is 51.6 to 67.1 of single liquids in float, 56.0 to 62.1 on the chip.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from examples import zero_shot_lsm as example
from hwsdk.ir.data import Stimulus
from hwsdk.lsm.calibrate import labels_of
from hwsdk.lsm.zeroshot import Options


def arguments(corpus: Path, *given: str) -> argparse.Namespace:
    return example.parser().parse_args(["--corpus", str(corpus), *given])


def scores(args: argparse.Namespace) -> dict[str, np.ndarray]:
    heard, looked = example.data(args)
    return {where: example.run(heard, looked, where, args) for where in args.on}


def test_float_liquids(corpus: Path) -> None:
    """Chance is 14.3 % for trained digits. No bar for unseen ones: single liquids are anywhere around chance."""
    values = scores(arguments(corpus, "--on", "float", "--quick", "--seeds", "2"))["float"]
    assert (values[:, 0] > 0.6).all() and (values[:, 1] > 0.7).all(), values
    assert ((values > 0) & (values <= 1)).all()


def test_one_die(corpus: Path) -> None:
    """Small: 600 recordings, 600 images, 100 neurons."""
    args = arguments(corpus, "--on", "chip", "--quick", "--seeds", "1", "--neurons", "100")
    values = scores(args)["chip"]
    assert values[0, 0] > 0.45 and values[0, 1] > 0.55, values


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection of a few settings on two liquids."""
    for name, value in (("SCALES", (0.09,)), ("EPOCHS", (1,)), ("TEMPERATURES", (1.0,)), ("DECAYS", (0.0, 1e-2)),
                        ("DIMS", (64,)), ("LIQUIDS", (10, 11))):
        monkeypatch.setattr(example, name, value)


def blanked(data: Stimulus, digits: tuple[int, ...]) -> Stimulus:
    """Without any spike in the samples of these digits."""
    dense = data.inputs["in"].dense(dtype=np.uint8)
    dense[np.isin(labels_of(data), digits)] = 0
    return Stimulus.dense(dense, {"in": (dense.shape[2],)}, labels=labels_of(data))


def test_a_selection_sees_trained_digits_of_training_samples_alone(
        corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changes if 0, 8 and 9 are silent and there is no test sample; of a digit that counts, it does."""
    small(monkeypatch)
    args = arguments(corpus, "--quick", "--neurons", "60", "--cache", str(tmp_path))
    heard, looked = example.data(args)
    tried, taken = example.select(heard, looked, args)
    assert len(tried) == 2 + 3
    assert all(t.scores.shape == (21, 4) and 0.3 < t.seen < 1 for t in tried)
    assert any(t is taken for t in tried)
    text = example.selection_table(tried, taken)
    assert text.count("*") == 1 and len(text.splitlines()) == 6
    for digits, same in (((0, 8, 9), True), ((7,), False)):
        silent = [(blanked(data[0], digits), None) for data in (heard, looked)]
        (other,) = example._tried(*silent, [tried[0].setting], args)
        assert np.array_equal(tried[0].scores, other.scores) == same, digits


def tried(unseen: list[float], seen: float, **setting: object) -> example.Tried:
    rows = [[seen, seen, u, u] for u in unseen]
    return example.Tried(example.Setting(0.1, **setting), np.array(rows))


def test_what_is_best() -> None:
    """Differences by trial: 0.1 +- 0 is behind, 0.1 +- 0.1 is not, and then the trained digits decide."""
    top, behind = tried([0.6, 0.8, 0.7], 0.8), tried([0.5, 0.7, 0.6], 0.9)
    near = tried([0.7, 0.6, 0.5], 0.85)
    dense = tried([0.9, 0.9, 0.9], 0.95, native=False)
    assert example.behind(near, top) == pytest.approx((0.1, 0.1))
    near = tried([0.7, 0.65, 0.5], 0.85)
    assert example.best([top, behind, near, dense]) is near
    assert example.best([top, behind, dense]) is top


def test_counts_are_kept_by_what_they_depend_on(tmp_path: Path) -> None:
    made = []

    def make() -> np.ndarray:
        made.append(1)
        return np.arange(3.0)

    for key in (["a", np.zeros(2)], ["a", np.zeros(2)], ["a", np.ones(2)], ["b", np.zeros(2)]):
        np.testing.assert_array_equal(example.cached(str(tmp_path), key, make), np.arange(3.0))
    assert len(made) == 3
    example.cached(None, ["a"], make)
    assert len(made) == 4


def test_what_was_selected_is_the_librarys_default() -> None:
    assert example.SELECTED.options == Options()


def test_liquids_of_a_selection_are_not_those_reported() -> None:
    seeds = example.parser().parse_args([]).seeds
    assert not set(example.LIQUIDS) & set(range(seeds))
    assert not {n + 1000 for n in example.LIQUIDS} & set(range(1000, 1000 + seeds))


@pytest.mark.slow
def test_all_recordings(corpus: Path) -> None:
    """Five liquids and dies. Those of unseen digits are wide: a mean over so few liquids is uncertain by 5 to 15 %."""
    got = scores(arguments(corpus))
    for where, values in got.items():
        assert values[:, 0].mean() > 0.77, where
        assert values[:, 1].mean() > 0.88, where
        assert 0.4 < values[:, 2:].mean() < 0.85, (where, values)


@pytest.mark.slow
def test_two_unseen_digits_are_not_told_apart_in_general(corpus: Path) -> None:
    """Over all pairs the mean is little above chance; the example says so, and this holds it to it."""
    args = arguments(corpus)
    found = example.pairs(*example.data(args), "float", args)
    assert found.shape == (5, 45, 2)
    assert 0.5 < found.mean() < 0.65
    assert found.min() < 0.3 and found.max() > 0.9
    assert "with 0, 8 or 9, 24:" in example.pairs_table(found)


@pytest.mark.slow
def test_event_camera_digits(corpus: Path) -> None:
    args = arguments(corpus, "--images", "camera", "--on", "float", "--seeds", "3")
    values = scores(args)["float"]
    assert values[:, 0].mean() > 0.4, "spoken digits by 300 N-MNIST samples"


def test_the_table_has_the_paper_beside() -> None:
    text = example.table({"float": np.array([[0.9, 0.8, 0.7, 0.6], [0.8, 0.8, 0.5, 0.6]])})
    assert "85.0+-7.1 | 60.0+-14.1" in text
    assert "66.1 | 88.0" in text
    assert "14.3 | 50.0" in text


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"fsdd_spikes.* is missing"):
        example.data(arguments(tmp_path))
