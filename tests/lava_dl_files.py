"""Writes .net files in the layout of lava-dl's exporters (lava/lib/dl/slayer/block/base.py, export_hdf5)."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1, "gradedSpike": False}
SDNN = {"type": "SDNN", "activation": "relu", "vThMant": 2}
ALIF = {"type": "ALIF", "iDecay": 900, "vDecay": 200, "thDecay": 300, "refDecay": 400, "vThMant": 60, "vThStep": 30,
        "refDelay": 1, "gradedSpike": False}
RF = {"type": "RF_PHASE", "sinDecay": 1500, "cosDecay": 3500, "vThMant": 20, "gradedSpike": False}
RF_IZ = {**RF, "type": "RF_IZHIKEVICH"}


def write(path: Path, *layers: dict, simulation: bool = True) -> Path:
    """A file of these layers."""
    with h5py.File(path, "w") as file:
        for i, fields in enumerate(layers):
            group = file.create_group(f"layer/{i}")
            group.create_dataset("type", (1,), "S10", [fields["type"].encode("ascii")])
            for key, value in fields.items():
                if key == "neuron":
                    for name, parameter in value.items():
                        group.create_dataset(f"neuron/{name}", data=parameter)
                elif key != "type":
                    group.create_dataset(key, data=value)
        if simulation:
            file["simulation/Ts"], file["simulation/tSample"] = 1, 16
    return path


def input_layer(shape: tuple[int, ...], neuron: dict | None = None, **more) -> dict:
    """type input; without neuron only a shape."""
    return {"type": "input", "shape": np.array(shape), **({} if neuron is None else {"neuron": neuron}), **more}


def even(rng: np.random.Generator, shape: tuple[int, ...], reach: int) -> np.ndarray:
    """Even weights as slayer's quantize_8bit makes them, stored as float32."""
    return 2.0 * rng.integers(-reach, reach, shape).astype(np.float32)


def dense(weight: np.ndarray, neuron: dict | None, shape: tuple[int, ...] | None = None, **more) -> dict:
    """type dense."""
    n_out, n_in = weight.shape[-2:] if weight.ndim > 1 else (1, weight.size)
    return {"type": "dense", "shape": np.array(shape or (n_out,)), "inFeatures": n_in, "outFeatures": n_out,
            "weight": weight, **({} if neuron is None else {"neuron": neuron}), **more}


def recurrent(weight: np.ndarray, back: np.ndarray, neuron: dict, **more) -> dict:
    """type dense_rec."""
    return {**dense(weight, neuron, **more), "type": "dense_rec", "weight_rec": back}


def resonators(real: np.ndarray, imag: np.ndarray, neuron: dict) -> dict:
    """type dense with complex weights."""
    fields = dense(real, neuron)
    del fields["weight"]
    return {**fields, "weight/real": real, "weight/imag": imag}


def conv(weight: np.ndarray, neuron: dict, shape: tuple[int, int, int], stride: int = 1, padding: int = 0,
         dilation: int = 1, groups: int = 1, **more) -> dict:
    """type conv; weight (out, in/groups, height, width)."""
    return {"type": "conv", "shape": np.array(shape), "inChannels": weight.shape[1] * groups,
            "outChannels": weight.shape[0], "kernelSize": np.array(weight.shape[2:]), "stride": np.array([stride] * 2),
            "padding": np.array([padding] * 2), "dilation": np.array([dilation] * 2), "groups": groups,
            "weight": weight, "neuron": neuron, **more}


def pool(kernel: int, weight: float, neuron: dict, shape: tuple[int, int, int]) -> dict:
    """type pool: one weight for every cell of the window."""
    return {"type": "pool", "shape": np.array(shape), "kernelSize": np.array([kernel] * 2),
            "stride": np.array([kernel] * 2), "padding": np.zeros(2, int), "dilation": np.ones(2, int),
            "weight": np.full((1, 1, kernel, kernel), weight, np.float32), "neuron": neuron}


def flatten(n: int) -> dict:
    """type flatten."""
    return {"type": "flatten", "shape": np.array([n, 1, 1])}


def examples(rng: np.random.Generator) -> dict[str, tuple[tuple[dict, ...], tuple[int, ...], bool]]:
    """name -> (layers, shape of the input, graded input?): networks of every form."""
    sigma = {**SDNN, "sigma_output": True}
    return {
        "cuba": ((dense(even(rng, (9, 12), 40), CUBA), dense(even(rng, (5, 9), 60), CUBA, bias=rng.integers(-9, 9, 5))),
                 (12,), False),
        "delays": ((dense(even(rng, (9, 12), 40), CUBA, delay=rng.integers(0, 9, 9)),
                    dense(even(rng, (5, 9), 60), CUBA, delay=rng.integers(0, 62, (5, 9)))), (12,), False),
        "recurrent": ((recurrent(even(rng, (9, 12), 40), even(rng, (9, 9), 30), CUBA),), (12,), False),
        "conv": ((input_layer((2, 9, 7)), conv(even(rng, (4, 2, 3, 3), 30), CUBA, (4, 4, 3), stride=2,
                                               bias=rng.integers(-9, 9, 4)),
                  conv(even(rng, (4, 2, 2, 2), 50), CUBA, (4, 4, 3), padding=1, dilation=2, groups=2),
                  flatten(48), dense(even(rng, (5, 48), 60), CUBA)), (2, 9, 7), False),
        "encoded": ((input_layer((2, 6, 5), {**CUBA, "iDecay": 4096}, weight=np.float32(36), bias=np.float32(34)),
                     conv(even(rng, (3, 2, 3, 3), 40), CUBA, (3, 4, 3), bias=rng.integers(-30, 30, 3)),
                     flatten(36), dense(even(rng, (5, 36), 60), CUBA)), (2, 6, 5), True),
        "sigma_delta": ((input_layer((2, 6, 5), SDNN), conv(even(rng, (3, 2, 3, 3), 30), SDNN, (3, 4, 3)),
                         flatten(36), dense(even(rng, (7, 36), 20), SDNN), dense(even(rng, (2, 7), 20), sigma)),
                        (2, 6, 5), True),
        "sigma_delta_bias": ((dense(even(rng, (7, 12), 30), SDNN, bias=rng.integers(-9, 9, 7)),
                              dense(even(rng, (4, 7), 30), SDNN, bias=rng.integers(-9, 9, 4)),
                              dense(even(rng, (2, 4), 20), sigma)), (12,), True),
        "resonators": ((resonators(even(rng, (6, 12), 20), even(rng, (6, 12), 9), RF),
                        resonators(even(rng, (4, 6), 60), even(rng, (4, 6), 60), RF_IZ)), (12,), False),
        "odd": ((input_layer((2, 6, 5)), conv(rng.integers(-60, 60, (3, 2, 3, 3)), CUBA, (3, 4, 3)), flatten(36),
                 dense(rng.integers(-90, 90, (9, 36)), CUBA, delay=rng.integers(0, 9, 9)),
                 recurrent(rng.integers(-90, 90, (6, 9)), rng.integers(-40, 40, (6, 6)), CUBA)), (2, 6, 5), False),
        "affine": ((dense(even(rng, (4, 12), 20), CUBA), dense(even(rng, (3, 4), 20), None)), (12,), False),
    }
