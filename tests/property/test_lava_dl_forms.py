"""Networks of every supported form, written as lava-dl writes them: reader and both simulators against plain NumPy."""

from __future__ import annotations

import lava_dl_files as files
import lava_dl_twin as twin
import numpy as np
import pytest

import hwsdk
from hwsdk.errors import HwsdkError
from hwsdk.ir.data import Stimulus
from hwsdk.simulators import reference

STEPS = 40
NAMES = tuple(files.examples(np.random.default_rng(0)))
RESETS = {"cuba": (16, 1), "conv": (11, 0), "encoded": (13, 2)}


def case(name: str, seed: int, folder):
    """(network, stimulus, outputs of every layer by the twin)."""
    rng = np.random.default_rng(seed)
    layers, shape, graded = files.examples(rng)[name]
    x = (rng.random((STEPS, *shape)) < 0.3) * (rng.integers(-20, 40, (STEPS, *shape)) if graded else 1)
    if name == "encoded":  # an input layer of LIF neurons is given a picture
        x = np.broadcast_to(rng.integers(-5, 70, shape), x.shape)
    interval, offset = RESETS.get(name, (0, 0)) if seed % 2 else (0, 0)
    network = hwsdk.load(files.write(folder / f"{name}.net", *layers), reset_interval=interval or None,
                         reset_offset=offset)
    (port,) = network.inputs.items()
    return network, Stimulus.dense(x, {port[0]: port[1].shape}), twin.run(layers, x, interval, offset)


@pytest.mark.parametrize(("name", "level"), [(n, lev) for n in NAMES for lev in ("reference", "chip")
                                             if (n, lev) != ("affine", "chip")])  # du = -1 fits no register
@pytest.mark.parametrize("seed", [1, 2])
def test_every_layer_does_what_lava_does(name, seed, level, tmp_path):
    network, data, wanted = case(name, seed, tmp_path)
    trace = reference.run(network, data, steps=STEPS + max(network.lag.values(), default=0)) if level == "reference" \
        else hwsdk.simulate(hwsdk.compile(network, "loihi2"), data)
    layers = sorted(network.populations, key=lambda n: int(n.strip("abcdefghijklmnopqrstuvwxyz_")))
    for layer, outputs in zip(layers, wanted, strict=True):
        if name == "affine" and layer == "dense1":
            continue  # never spikes in Lava; here its v is read out
        assert np.array_equal(trace.aligned(layer, STEPS).dense(0, np.int64), outputs), layer
    assert any(outputs.any() for outputs in wanted)


ODD = [np.nan, -1, 0, 2**40, "text", np.ones((2, 0)), np.ones(3), np.ones((2, 2, 2, 2, 2)), 1.5, np.zeros((3, 4))]


def loads_or_refuses(path) -> str:
    """"ok", or the code of a refusal; anything else fails the test."""
    try:
        hwsdk.load(path)
    except HwsdkError as error:
        assert error.what and error.fix and error.code != "ERROR"
        return error.code
    return "ok"


@pytest.mark.parametrize("name", NAMES)
def test_odd_fields_end_in_a_network_or_a_refusal(name, tmp_path):
    rng, seen = np.random.default_rng(4), set()
    for k in range(25):
        layers = [dict(fields) for fields in files.examples(rng)[name][0]]
        for _ in range(int(rng.integers(1, 3))):
            layer = layers[rng.integers(len(layers))]
            inside = dict(layer["neuron"]) if "neuron" in layer and rng.random() < 0.5 else None
            chosen = [key for key in (inside or layer) if key not in ("type", "neuron")]
            if chosen:
                (layer if inside is None else inside)[chosen[rng.integers(len(chosen))]] = ODD[rng.integers(len(ODD))]
            layer |= {} if inside is None else {"neuron": inside}
        seen.add(loads_or_refuses(files.write(tmp_path / f"{k}.net", *layers)))
    assert len(seen) > 2


def test_flipped_bytes_end_in_a_network_or_a_refusal(tmp_path):
    rng = np.random.default_rng(6)
    whole = files.write(tmp_path / "whole.net", *files.examples(rng)["conv"][0]).read_bytes()
    seen = set()
    for k in range(100):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 8)):
            data[place] = rng.integers(256)
        (tmp_path / "flipped.net").write_bytes(data[: len(data) if k % 3 else rng.integers(len(data))])
        seen.add(loads_or_refuses(tmp_path / "flipped.net"))
    assert "ok" in seen and len(seen) > 3
