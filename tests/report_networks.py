"""Networks for reports: a wide one of some 10,000 neurons, and the digits of examples/ on every family."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hwsdk import compiler
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.semantics import Semantics
from hwsdk.report.content import Content
from hwsdk.report.content_of import content_of

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
DIGITS = {"loihi1": 8, "spinnaker2": 8, "memristor": 8, "sfq": 4}
"""A target of each family, and the weight bits for it."""
SAMPLES = 3


@cache
def digits(target: str) -> tuple[Any, Any, Any]:
    """(program, trace, data) of the digits of examples/."""
    name = "digits_sfq" if target == "sfq" else "digits"
    reset = "subtract" if target == "sfq" else "value"
    network = compiler.load(EXAMPLES / f"{name}.nir", dt=1.0 if target == "sfq" else 1e-3, reset=reset)
    data = compiler.load_data(EXAMPLES / f"{name}_test.npz", network, limit=SAMPLES)
    program = compiler.compile(network, target, bits=DIGITS[target], data=data)
    return program, compiler.simulate(program, data), data


@cache
def report(target: str) -> Content:
    """The report of those digits, with their data."""
    from hwsdk import backends

    program, trace, data = digits(target)
    return content_of(program, trace, backends.get(target), stimulus=data)


@cache
def page(target: str) -> str:
    """Its page."""
    from hwsdk.report import html

    return html.page(report(target))


@cache
def wide_run() -> tuple[Any, Any, Content]:
    """(program, trace, report) of a wide network on a chip of Loihi."""
    from hwsdk import backends

    network, data = wide()
    program = compiler.compile(network, "loihi1", effort="none")
    trace = compiler.simulate(program, data)
    return program, trace, content_of(program, trace, backends.get("loihi1"), stimulus=data)


def wide(seed: int = 0) -> tuple[Network, Stimulus]:
    """10,010 neurons: two convolutions and two dense layers, and two samples of random spikes for 40 steps."""
    rng = np.random.default_rng(seed)
    b = NetworkBuilder("wide").input("input", (1, 40, 40))
    shapes: dict[str, Any] = {"conv1": (5, 40, 40), "conv2": (4, 20, 20), "dense": (400,), "out": (10,)}
    for name, shape in shapes.items():
        b.population(name, neuron(LIF, shape, tau=0.02, r=7.0, v_threshold=1.0))
    b.convolve("input", "conv1", rng.normal(0.3, 0.4, (5, 1, 3, 3)), padding=1)
    b.convolve("conv1", "conv2", rng.normal(0.1, 0.3, (4, 5, 3, 3)), stride=2, padding=1)
    b.connect("conv2", "dense", weight=rng.normal(0.02, 0.1, (400, 1600)))
    b.connect("dense", "out", weight=rng.normal(0.05, 0.2, (10, 400)))
    network = b.output("output", "out").build(Semantics(dt=1e-3))
    spikes = rng.random((2, 40, 1, 40, 40)) < 0.2
    return network, Stimulus({"input": events_from_dense(spikes, (1, 40, 40))})
