"""What faults are injected into: networks of random weights, the digits, and what a case holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from hwsdk.backends.base import CompileOptions, Program
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LIF
from hwsdk.ir.nodes import Linear, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.simulators import reference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RATE = 0.12
"""Spikes a neuron and step that random layers are scaled to."""


@dataclass(frozen=True, eq=False)
class Case:
    """stages: names of stages that are right answers; causes: of causes, () for any; layer: the right layer."""

    name: str
    network: Network
    target: str
    data: Stimulus
    options: CompileOptions
    stages: tuple[str, ...]
    layer: str
    causes: tuple[str, ...] = ()
    expected: Trace | None = None
    program: Program | None = None


class NoFaultError(Exception):
    """The draw changes nothing."""


@cache
def digits() -> tuple[Network, Stimulus, Stimulus]:
    """(network, test data, calibration data)."""
    import hwsdk
    from hwsdk.compiler import load_data

    network = hwsdk.load(str(EXAMPLES / "digits.nir"), dt=1e-3, reset="value")
    return (network, load_data(EXAMPLES / "digits_test.npz", network, limit=10),
            load_data(EXAMPLES / "digits_calibration.npz", network, limit=10))


def layered(rng: np.random.Generator, sizes: tuple[int, ...], *, bias: bool = False, loop: bool = False,
            delays: int = 0, kind: type = LIF, **semantics: object) -> tuple[Network, Stimulus]:
    """Layers of random weights, scaled so that each spikes about as often as RATE, and random input spikes."""
    sem = Semantics(**{"dt": 1e-3, **semantics})  # type: ignore[arg-type]
    data = Stimulus.dense((rng.random((4, 40, sizes[0])) < 0.25).astype(float), {"in": (sizes[0],)})
    weights = [rng.normal(0.3, 1.0, (b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    ticks = [rng.integers(0, delays + 1, w.shape) for w in weights]
    taus = [rng.uniform(6e-3, 15e-3, b) for b in sizes[1:]]
    offsets = [rng.uniform(0.1, 0.4, b) * bias for b in sizes[1:]]
    back = rng.normal(0, 0.5, (sizes[1], sizes[1])) / np.sqrt(sizes[1])
    scale = [1.0] * len(weights)

    def made() -> Network:
        b = NetworkBuilder("layers").input("in", sizes[0])
        before = "in"
        for k, w in enumerate(weights):
            own = {} if kind is IF else {"tau": taus[k]}
            own["r"] = 1 / sem.dt if kind is IF else taus[k] / sem.dt
            b.population(f"l{k}", neuron(kind, sizes[k + 1], v_threshold=1.0, **own))
            if delays:
                b.connect(before, f"l{k}", weight=w * scale[k], delay_ticks=ticks[k], name=f"w{k}")
            else:
                b.add(f"w{k}", Linear(w * scale[k], offsets[k] * scale[k] if bias else None))
                b.connect(before, f"w{k}").connect(f"w{k}", f"l{k}")
            before = f"l{k}"
        if loop:
            b.add("back", Linear(back * scale[0])).connect("l0", "back", delay_ticks=1).connect("back", "l0")
        return b.output("out", before).build(sem)

    for k in range(len(weights)):
        low, high = 0.02, 20.0
        for _ in range(12):
            scale[k] = float(np.sqrt(low * high))
            many = len(reference.run(made(), data).spikes[f"l{k}"]) / (4 * 40 * sizes[k + 1])
            low, high = (scale[k], high) if many < RATE else (low, scale[k])
    return made(), data


def some_network(rng: np.random.Generator, **given: object) -> tuple[Network, Stimulus]:
    """The digits, two or three layers, or a recurrent one."""
    pick = int(rng.integers(4))
    if pick == 0 and not given:
        return digits()[0], digits()[1]
    sizes = (12, int(rng.integers(10, 20)), int(rng.integers(8, 14)), 5) if pick == 1 else (12, 16, 5)
    return layered(rng, sizes, loop=pick == 2, **{"bias": bool(rng.integers(2)), **given})  # type: ignore[arg-type]


def layers(network: Network) -> list[str]:
    return list(network.populations)


def first_layer(network: Network, right: Trace, wrong: Trace, steps: int) -> str:
    """The layer in which two rasters differ first; in one step, the one nearest the input."""
    dense = {n: (right.aligned(n, steps).dense(), wrong.aligned(n, steps).dense()) for n in layers(network)}
    for t in range(steps):
        for n, (a, b) in dense.items():
            if (a[:, t] != b[:, t]).any():
                return n
    raise NoFaultError


def linears(network: Network, layer: str) -> list[str]:
    return [e.source for e in network.sources(layer) if isinstance(network.nodes[e.source], Linear | Synapses)]
