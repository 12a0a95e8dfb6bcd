"""Random networks in the whole numbers of counters, and what they give in the reference and as a netlist."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Input, Node, Output, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.sfq import MapOptions, map_network
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import reference, sfq
from hwsdk.targets import load_target
from hwsdk.targets.sfq import SfqTarget

KINDS = ("memoryless", "subtract", "value")
TARGET: SfqTarget = load_target("sfq", SfqTarget)


def counter(n: int, kind: str, threshold: Any, bias: Any = 0, reset_by: Any = None, v_init: Any = 0) -> DiscreteLIF:
    """A population of n counters."""
    def full(x: Any) -> Any:
        return np.broadcast_to(np.asarray(x, np.float64), (n,)).copy()

    zero = np.zeros(n)
    return DiscreteLIF(zero, full(kind != "memoryless"), full(bias), full(threshold),
                       full(threshold if reset_by is None else reset_by), zero, full(v_init), zero, zero, zero,
                       reset="subtract" if kind == "subtract" else "value", comparison=">=")


def synapses(weight: Any, delay: Any = 1, keep_zero: bool = False) -> Synapses:
    """All of a matrix (pre, post); delay: of each, or of all."""
    weight = np.asarray(weight, np.float64)
    source, target = np.nonzero(np.ones_like(weight) if keep_zero else weight)
    ticks = np.broadcast_to(np.asarray(delay, np.int64), weight.shape)[source, target].copy()
    return Synapses((weight.shape[0],), (weight.shape[1],), source.astype(np.int64), target.astype(np.int64),
                    weight[source, target], ticks)


def joined(nodes: dict[str, Node], ways: str) -> Network:
    """ways: "a>b c>d": each joined through the projection a_b and so on, or directly where there is none."""
    edges = []
    for way in ways.split():
        a, b = way.split(">")
        edges += [Edge(a, f"{a}_{b}"), Edge(f"{a}_{b}", b)] if f"{a}_{b}" in nodes else [Edge(a, b)]
    return Network("random", nodes, tuple(edges), Semantics(comparison=">="))


def layer(kind: str, weight: Any, threshold: Any, **more: Any) -> Network:
    """One layer of counters behind an input."""
    weight = np.asarray(weight, np.float64)
    nodes: dict[str, Node] = {"x": Input((weight.shape[0],)), "x_p": synapses(weight), "y": Output((weight.shape[1],)),
                              "p": counter(weight.shape[1], kind, threshold, **more)}
    return joined(nodes, "x>p p>y")


def random_network(seed: int) -> Network:
    """Up to three populations of up to eight neurons of any kind, joined in any way, with delays up to 5."""
    rng = np.random.default_rng(seed)
    nodes: dict[str, Node] = {f"x{i}": Input((int(rng.integers(1, 9)),)) for i in range(int(rng.integers(1, 3)))}
    inputs, most, ways = list(nodes), {}, []
    names = [f"p{i}" for i in range(int(rng.integers(1, 4)))]
    for name in names:
        n, most[name] = int(rng.integers(1, 9)), int(rng.choice([1, 2, 3, 5, 9, 40]))
        other = None if rng.random() < 0.6 else rng.integers(0, 2 * most[name] + 2, n)
        nodes[name] = counter(n, KINDS[rng.integers(3)], rng.integers(-3, 3 * most[name] + 2, n),
                              rng.integers(-3, 4, n) * int(rng.random() < 0.5), other,
                              rng.integers(-4, 5, n) * int(rng.random() < 0.3))
    for i, name in enumerate(names):
        for source in [*inputs, *names]:
            likely = source in inputs[:1] if i == 0 else source == names[i - 1]
            if rng.random() < (0.9 if likely else 0.3):
                shape = (_size(nodes[source]), _size(nodes[name]))
                weight = rng.integers(-most[name], most[name] + 1, shape)
                weight[rng.random(shape) > rng.choice([1.0, 0.5, 0.2])] = 0
                nodes[f"{source}_{name}"] = synapses(weight, rng.integers(1, int(rng.choice([2, 2, 6])), shape),
                                                     rng.random() < 0.2)
                ways.append(f"{source}>{name}")
    nodes["y"] = Output((_size(nodes[names[-1]]),))
    return joined(nodes, " ".join([*ways, f"{names[-1]}>y"]))


def _size(node: Any) -> int:
    return int(node.shape[0])


def spikes_for(network: Network, samples: int, steps: int, seed: int) -> Stimulus:
    """Random input spikes, half of all that there can be."""
    rng = np.random.default_rng(seed)
    return Stimulus({n: events_from_dense((rng.random((samples, steps, *i.shape)) < 0.5).astype(np.float64), i.shape)
                     for n, i in network.inputs.items()})


def mapped(network: Network, steps: int = 20, **options: Any) -> PulseNetlist:
    """As a netlist of counters."""
    styles = dict.fromkeys(network.populations, "counter")
    return map_network(network, TARGET, MapOptions(styles, max_steps=steps, **options))


def difference(network: Network, program: PulseNetlist, stimulus: Stimulus, bias: float = 1.0) -> Any:
    """The first difference from the reference, in spikes and states; a timing violation is an error."""
    expected = reference.run(network, stimulus, steps=stimulus.n_steps, probes="all")
    keeps = [(x.name, "v") for x in program.layers if x.keeps and x.style == "counter"]
    got = sfq.run(program, stimulus, steps=stimulus.n_steps, strict=True, probes=keeps,
                  conditions=sfq.Conditions(bias=bias))
    return expected.first_difference(got)
