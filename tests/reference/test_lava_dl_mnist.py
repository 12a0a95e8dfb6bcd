"""The MNIST network of lava-dl's tutorial (tutorials/lava/lib/dl/netx/mnist), accuracy on MNIST test images."""

from __future__ import annotations

import numpy as np
import pytest

import hwsdk
from hwsdk.backends.verify import decisions
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.simulators import reference

STEPS = 20


def encoded(images: np.ndarray) -> np.ndarray:
    """(images, STEPS, 784): PyInpImgToSpkModel of the notebook, v += pixel / 255, a spike above 1, then v = 0.

    The notebook shows 20 steps an image, of which the first is empty.
    """
    level, v = images.reshape(len(images), -1) / 255.0, np.zeros((len(images), 784))
    spikes = np.zeros((len(images), STEPS, 784), np.uint8)
    for t in range(1, STEPS):
        v = v + level
        spikes[:, t] = v > 1
        v[v > 1] = 0
    return spikes


def mnist(corpus, samples: int) -> tuple[Network, Stimulus]:
    """The network, and the first so many images."""
    network = hwsdk.load(corpus / "loihi" / "mnist_trained_mnist_network.net")
    with np.load(corpus / "mnist" / "mnist_test_0_4999.npz") as file:
        image, label = file["image"][:samples], file["label"][:samples]
    return network, Stimulus.dense(encoded(image), {"input": (784,)}, label)


def right(network: Network, data: Stimulus, level: str) -> int:
    """How many images are decided rightly."""
    trace = reference.run(network, data) if level == "reference" else hwsdk.simulate(
        hwsdk.compile(network, "loihi2"), data)
    return int((decisions(trace, "output", STEPS) == data.labels).sum())


@pytest.mark.parametrize("level", ["reference", "chip"])
def test_196_of_the_first_200_images_are_right(corpus, level):
    assert right(*mnist(corpus, 200), level) == 196


@pytest.mark.slow
def test_4692_of_5000_images_are_right(corpus):
    assert right(*mnist(corpus, 5000), "chip") == 4692


@pytest.mark.parametrize("level", ["reference", "chip"])
def test_images_in_one_run_with_resets_are_as_good_as_runs_of_their_own(corpus, level):
    """netx's reset_interval=20, reset_offset=1, as in the notebook: the third layer starts anew in step 4 of 20."""
    alone, data = mnist(corpus, 12)
    x = data.inputs["input"].dense()
    own = reference.run(alone, Stimulus.dense(np.pad(x, ((0, 0), (0, 3), (0, 0))), {"input": (784,)}))
    network = hwsdk.load(corpus / "loihi" / "mnist_trained_mnist_network.net", reset_interval=STEPS, reset_offset=1)
    joined = Stimulus.dense(np.pad(x.reshape(-1, 784), ((0, 3), (0, 0))), {"input": (784,)})
    trace = reference.run(network, joined) if level == "reference" else hwsdk.simulate(
        hwsdk.compile(network, "loihi2"), joined)
    spikes = trace.spikes["dense2"].dense(0)[3:].reshape(12, STEPS, 10)
    assert np.array_equal(spikes, own.spikes["dense2"].dense()[:, 3:])
    assert spikes.any(axis=(1, 2)).all()
