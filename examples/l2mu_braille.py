"""The spiking Legendre memory unit (L2MU) that reads event-based Braille, as an hwsdk network.

    python examples/l2mu_braille.py FOLDER [--samples 10] [--bits 8] [--target spinnaker2]

FOLDER holds weights.npz, params.json and ds_val_0.npz, repacked from github.com/neuromorphic-polito/L2MU-Braille
(Leto, Urgese, Macii and Fra, NICE 2025, doi 10.1109/NICE65350.2025.11065250; Apache-2.0).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hwsdk
from hwsdk.compiler import summary
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.nodes import Linear, frozen
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.simulators import reference

Weights = Mapping[str, NDArray[np.floating]]
GROUPS = (("e_x", "e_h", "e_m"), ("A", "B"), ("W_x", "W_h", "W_m"), ("W_out",))
"""Weights that enter one population, and share a scale when they are rounded: u, m, h, out."""


def load(folder: Path) -> tuple[Weights, dict[str, Any]]:
    """(weights, parameters) as the folder's files hold them."""
    with np.load(folder / "weights.npz") as file:
        return {name: file[name] for name in file.files}, json.loads((folder / "params.json").read_text("utf-8"))


def samples(folder: Path, count: int | None = None) -> Stimulus:
    """The first ``count`` validation samples of each class, or all samples, with their labels."""
    with np.load(folder / "ds_val_0.npz") as file:
        inputs, labels = file["inputs"], file["labels"]
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == k)[:count] for k in np.unique(labels)]))
    return Stimulus.dense(inputs[chosen], {"input": (inputs.shape[2],)}, labels[chosen])


def rounded(weights: Weights, bits: int) -> Weights:
    """Weights of ``bits`` bits, round(w s) / s with one s = (2^(bits-1) - 1) / max|w| a population."""
    out = dict(weights)
    for group in GROUPS:
        scale = (2 ** (bits - 1) - 1) / max(float(np.abs(weights[name]).max()) for name in group)
        out |= {name: np.rint(weights[name].astype(np.float64) * scale) / scale for name in group}
    return out


def network(weights: Weights, params: Mapping[str, Any], precision: str = "float64") -> Network:
    """The cell: u, m, h and out follow each other in one step, what they remember comes from the step before.

        u(t) = LIF(e_x x(t) + e_h h(t-1) + e_m m(t-1))       h(t)   = LIF(W_x x(t) + W_h h(t-1) + W_m m(t))
        m(t) = LIF(A m(t-1) + B u(t)) in every unit          out(t) = LIF(W h(t) + b)

    snnTorch's Leaky: v = beta v + input - theta where the last step spiked; a spike where v > theta. A memory of 7
    numbers in each of 70 units is an image (7, 70) of 7 channels: A and B, which all units share, are convolutions
    with a kernel of one place, so that the network holds them once.
    """
    units, order, hidden = params["memory_units"], params["order"], params["hidden"]
    builder = NetworkBuilder("l2mu_braille").input("input", params["inputs"])
    shapes = {"u": (1, units), "m": (order, units), "h": (hidden,), "out": (params["classes"],)}
    for name, shape in shapes.items():
        builder.population(name, leaky(shape, params["beta"][name], params["threshold"][name]))
    builder.connect("input", "u", weight=weights["e_x"])
    builder.connect("h", "u", weight=weights["e_h"], delay_ticks=1)
    builder.connect("m", "u", weight=by_channel(weights["e_m"], units), delay_ticks=1)
    builder.convolve("m", "m", weights["A"][..., None], delay_ticks=1).convolve("u", "m", weights["B"][..., None])
    builder.connect("input", "h", weight=weights["W_x"])
    builder.connect("h", "h", weight=weights["W_h"], delay_ticks=1)
    builder.connect("m", "h", weight=by_channel(weights["W_m"], units))
    builder.add("readout", Linear(frozen(weights["W_out"]), frozen(weights["b_out"])))
    builder.connect("h", "readout").connect("readout", "out").output("classes", "out")
    return builder.build(Semantics(integrator="exponential_unit_gain", reset="subtract", reset_timing="next_step",
                                   precision=precision))


def leaky(shape: tuple[int, ...], beta: float, threshold: float) -> LIF:
    """A population of snnTorch's Leaky; beta is exp(-1 / tau)."""
    return neuron(LIF, shape, tau=-1 / np.log(np.clip(beta, 0, 1)), v_threshold=threshold)


def by_channel(weight: NDArray[np.floating], units: int) -> NDArray[np.floating]:
    """Columns that count unit by unit (7 k + i), in the order of the image (i, k)."""
    rows = weight.shape[0]
    return weight.reshape(rows, units, -1).transpose(0, 2, 1).reshape(rows, -1)


def accuracy(trace: Trace, data: Stimulus) -> float:
    """Share of samples whose class spikes most; ties go to the lowest index."""
    return float(np.mean(trace.spikes["classes"].counts().argmax(1) == data.labels))


def main() -> None:
    """Print what the network is and how many letters it reads."""
    parser = argparse.ArgumentParser(description="Run the L2MU Braille network in the reference simulator.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=10, help="samples of each class")
    parser.add_argument("--bits", type=int, help="round the weights to so many bits")
    parser.add_argument("--target", help="run it on the simulator of this chip too, with weights of --bits or 8 bits")
    args = parser.parse_args()
    weights, params = load(args.folder)
    net = network(weights if args.bits is None else rounded(weights, args.bits), params, "float32")
    data = samples(args.folder, args.samples)
    print(net.to_text())
    print(f"{accuracy(reference.run(net, data), data):.2%} of {data.n_samples} samples")
    if args.target:
        on_chip(network(weights, params), args.target, data, samples(args.folder, 1), args.bits or 8)


def on_chip(net: Network, target: str, data: Stimulus, first: Stimulus, bits: int) -> None:
    """Compile for a chip, with the ``first`` samples to tell how busy it gets, and print what it uses and reads."""
    program = hwsdk.compile(net, target, bits=bits, data=first)
    trace = hwsdk.simulate(program, data, strict=True)
    print(f"{accuracy(trace, data):.2%} on {target} with {bits} bits")
    for name, used in summary(program).items():
        print(f"  {name:28} {used}")
    print(hwsdk.estimate(program, trace).to_text())


if __name__ == "__main__":
    main()
