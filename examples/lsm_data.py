"""Data of the liquid state machine examples: spoken digits, images of digits and event-camera digits, as spikes.

Spoken digits (FSDD, CC BY-SA 4.0) and N-MNIST come from a folder of data sets, fsdd/ and nmnist/ in it; the images are
scikit-learn's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from hwsdk.ir.data import Stimulus
from hwsdk.lsm.encode import chosen, dvs, images, stimulus

SPOKEN = "fsdd/fsdd_spikes_64x128_index0_44.npz"
CAMERA = ("nmnist/nmnist_train300.npz", "nmnist/nmnist_test_0_49.npz")
TEST_INDEX = 5
"""Recordings 0 to 4 of every speaker and digit are the test set, as the data set's authors have it."""
N_TEST_IMAGES = 360
Split = tuple[Stimulus, Stimulus]


def corpus(given: str | None) -> Path:
    """The folder: as given, else HWSDK_CORPUS."""
    folder = given or os.environ.get("HWSDK_CORPUS")
    if not folder:
        sys.exit(f"the data are missing: give --corpus FOLDER, or set HWSDK_CORPUS; it has to hold {SPOKEN}")
    return Path(folder)


def _file(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        sys.exit(f"{folder / name} is missing")
    return folder / name


def spoken(folder: Path, most: int = 44) -> Split:
    """(train, test): 64 channels, 128 steps; trained on recordings 5 to ``most``, 2,400 at most, tested on 0 to 4."""
    with np.load(_file(folder, SPOKEN)) as file:
        full = stimulus(np.unpackbits(file["spikes"], axis=-1), file["y"])
        index = file["index"]
    return chosen(full, (index >= TEST_INDEX) & (index <= most)), chosen(full, index < TEST_INDEX)


def pictures() -> Split:
    """(train, test): scikit-learn's digits, 64 pixels, 32 steps."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    full = images(digits.data, 32, labels=digits.target, white=16.0)
    order = np.random.default_rng(0).permutation(len(digits.data))
    return chosen(full, order[N_TEST_IMAGES:]), chosen(full, order[:N_TEST_IMAGES])


def camera(folder: Path) -> Split:
    """(train, test): N-MNIST, the centre 16 x 16, one polarity, 50 steps; 300 and 50 samples."""
    found = []
    for name in CAMERA:
        with np.load(_file(folder, name)) as file:
            found.append(dvs({k: file[k] for k in file.files}, 50))
    return found[0], found[1]
