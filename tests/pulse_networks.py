"""Random networks of neurons without leak, whose outputs are spikes: what pulse logic computes, and any chip."""

from __future__ import annotations

import numpy as np

from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IF, Threshold
from hwsdk.ir.nodes import Conv, Delay, Flatten, Input, Linear, Node, Output
from hwsdk.ir.semantics import Semantics


def neurons(rng: np.random.Generator, kind: type, n: int) -> Node:
    """n neurons of a class."""
    theta = rng.uniform(0.4, 1.2, n)
    return Threshold(theta) if kind is Threshold else IF(np.ones(n), theta, np.zeros(n))


def pulse_network(seed: int) -> Network:
    """Two or three populations of IF or threshold neurons, sometimes with a convolution, delays, biases or a loop."""
    rng = np.random.default_rng(seed)
    nodes: dict[str, Node] = {}
    edges = []
    if rng.random() < 0.4:
        nodes = {"in": Input((1, 4, 4)), "conv": Conv(rng.normal(0, 0.6, (2, 1, 3, 3)), None, (1, 1), ((0, 0), (0, 0)),
                                                     (1, 1)), "flat": Flatten(0, -1)}
        edges += [Edge("in", "conv"), Edge("conv", "flat")]
        at, n = "flat", 8
    else:
        n = int(rng.integers(3, 7))
        nodes, at = {"in": Input((n,))}, "in"
    for k in range(int(rng.integers(1, 3)) + 1):
        if k or at == "in":
            m = int(rng.integers(2, 7))
            bias = rng.normal(0, 0.1, m) if rng.random() < 0.4 else None
            nodes[f"w{k}"] = Linear(rng.normal(0, 0.7, (m, n)), bias)
            edges.append(Edge(at, f"w{k}", int(rng.integers(0, 2))))
            at, n = f"w{k}", m
        if rng.random() < 0.3:
            nodes[f"d{k}"] = Delay(rng.integers(0, 3, n))
            edges.append(Edge(at, f"d{k}"))
            at = f"d{k}"
        nodes[f"p{k}"] = neurons(rng, IF if rng.random() < 0.5 else Threshold, n)
        edges.append(Edge(at, f"p{k}"))
        at = f"p{k}"
        if rng.random() < 0.3:
            nodes[f"r{k}"] = Linear(rng.normal(0, 0.4, (n, n)))
            edges += [Edge(at, f"r{k}", 1), Edge(f"r{k}", at)]
    nodes["out"] = Output((n,))
    edges.append(Edge(at, "out"))
    return Network(f"pulse{seed}", nodes, tuple(edges),
                   Semantics(reset="subtract" if rng.random() < 0.5 else "value",
                             comparison=">" if rng.random() < 0.5 else ">="))
