"""Zero-shot between spoken and written digits (examples/zero_shot_lsm.py), in float and on dies of the chip.

Found with all recordings, 5 seeds, spoken to image, trained | unseen in per cent: float 94.4 | 72.7 +- 18.5, chip
92.8 | 74.7 +- 8.4 (paper, other data: 66.1 | 88.0 and 67.4 | 87.5). Over all 45 pairs of unseen digits (float, seed 0)
the mean is 57.2 +- 3.1, and 8 and 9 are the best pair: what a projection says about two unseen classes depends on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from examples import zero_shot_lsm as example


def arguments(corpus: Path, *given: str) -> argparse.Namespace:
    return example.parser().parse_args(["--corpus", str(corpus), *given])


def scores(args: argparse.Namespace) -> dict[str, np.ndarray]:
    heard, looked = example.data(args)
    return {where: example.run(heard, looked, where, args) for where in args.on}


def test_float_liquids(corpus: Path) -> None:
    """Chance is 14.3 % for trained and 50 % for unseen digits; single liquids are far apart in the latter."""
    values = scores(arguments(corpus, "--on", "float", "--seeds", "2"))["float"]
    assert (values[:, 0] > 0.88).all() and (values[:, 1] > 0.95).all(), values
    assert values[:, 2].mean() > 0.6 and values[:, 3].mean() > 0.52, values


def test_one_die(corpus: Path) -> None:
    """600 recordings and 600 images; unseen digits need more liquids than one, see the slow test."""
    values = scores(arguments(corpus, "--on", "chip", "--quick", "--seeds", "1"))["chip"]
    assert values[0, 0] > 0.8 and values[0, 1] > 0.88, values


@pytest.mark.slow
def test_all_recordings(corpus: Path) -> None:
    got = scores(arguments(corpus, "--seeds", "5"))
    for where, values in got.items():
        assert values[:, 0].mean() > 0.9, where
        assert values[:, 1].mean() > 0.95, where
        assert values[:, 2].mean() > 0.65, (where, values)
        assert values[:, 3].mean() > 0.52, (where, values)


@pytest.mark.slow
def test_two_unseen_digits_are_not_told_apart_in_general(corpus: Path) -> None:
    """Over all pairs the mean is little above chance; the example says so, and this holds it to it."""
    args = arguments(corpus)
    found = example.pairs(*example.data(args), "float", args)
    values = np.array(list(found.values()))
    assert len(values) == 45
    assert 0.5 < values.mean() < 0.65
    assert values.min() < 0.3 and values.max() > 0.9


@pytest.mark.slow
def test_event_camera_digits(corpus: Path) -> None:
    args = arguments(corpus, "--images", "camera", "--on", "float", "--seeds", "3")
    values = scores(args)["float"]
    assert values[:, 0].mean() > 0.4, "spoken digits by 300 N-MNIST samples"


def test_the_table_has_the_paper_beside() -> None:
    text = example.table({"float": np.array([[0.9, 0.8, 0.7, 0.6], [0.8, 0.8, 0.5, 0.6]])})
    assert "85.0+-5.0 | 60.0+-10.0" in text
    assert "66.1 | 88.0" in text
    assert "14.3 | 50.0" in text


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"fsdd_spikes.* is missing"):
        example.data(arguments(tmp_path))
