"""Random networks of current-summing neurons for the target's own somas, and every pattern at their inputs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

import hwsdk
from hwsdk.backends import get
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.sfq import PulseNetlist

REFUSALS = {"LOOP_THRESHOLD", "LOOP_WEIGHT_RANGE", "LOOP_NARROW", "LOOP_FAN_IN"}


@dataclass(frozen=True, eq=False)
class Case:
    """A compiled network: as a model, in the chip's own numbers, as a netlist."""

    lowered: Network
    whole: Network
    program: PulseNetlist


def random_network(rng: np.random.Generator, layers: int, n_in: int, decay: float, counters: Any = ()) -> Network:
    """Layers of one to three neurons, a quarter of whose synapses inhibit; the first synapse of each never does.

    decay: what a step leaves of v, 0: no memory. counters: layers in whole numbers.
    """
    b, at, m = NetworkBuilder().input("in", n_in), "in", n_in
    for k in range(layers):
        n = int(rng.integers(1, 4))
        weight = rng.uniform(0.4, 1.0, (n, m)) * np.where(rng.random((n, m)) < 0.25, -1, 1)
        weight[:, 0] = np.abs(weight[:, 0])
        weight = np.rint(4 * weight) if k in counters else weight
        theta = np.maximum(weight, 0).sum(1) * rng.uniform(0.45, 1.0, n)
        theta = np.floor(theta) + 0.5 if k in counters else theta
        own = 0.0 if k in counters else decay
        b.population(f"p{k}", neuron(DiscreteLIF, n, decay_u=0.0, decay_v=own, bias=0.0, v_threshold=theta,
                                     reset_by=theta if own else 0.0, reset="subtract" if own else "value",
                                     comparison=str(rng.choice([">", ">="]))))
        b.connect(at, f"p{k}", weight=weight, delay_ticks=rng.integers(1, 3, (n, m)) if rng.random() < 0.3 else 1)
        at, m = f"p{k}", n
    return b.output("y", at).build(Semantics(reset="subtract"))


def compiled(network: Network, **options: Any) -> Case | None:
    """None: there are no branches for it."""
    try:
        lowered, whole, _ = get("sfq").discrete(network, CompileOptions(target_options=options))
        return Case(lowered, whole, hwsdk.compile(network, "sfq", target_options=options))
    except UnsupportedError as error:
        assert error.code in REFUSALS, error
        return None


def patterns(n: int, rng: np.random.Generator, rounds: int = 1) -> Stimulus:
    """All patterns of n inputs, every round in another order, as one sample."""
    every = np.array(list(itertools.product([0, 1], repeat=n)), np.float64)
    rows = np.concatenate([every[rng.permutation(len(every))] for _ in range(rounds)])
    return Stimulus.dense({"in": rows[None]}, {"in": (n,)})
