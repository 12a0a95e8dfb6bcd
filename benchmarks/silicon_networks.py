"""Networks of the shape of published ones, whose neurons fire as often as stated: what the silicon table prices.

Weights are random and small; the bias decides when a neuron fires, so that the activity is the stated one whatever the
weights are. Everything the price depends on is real: synapses, routes, events, steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import netgen_network
import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.data import Stimulus
from hwsdk.ir.expand import explicit
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input, Node, Shape, Synapses, size
from hwsdk.ir.semantics import Semantics

SEED = 7
TOP = 500_000
"""Largest bias in use; the register holds 4095 << 7."""
HIGHEST = 120_000
"""Largest threshold in use: the membrane can pass it by the largest bias without saturating at 24 bits."""


@dataclass(frozen=True)
class Rebuilt:
    """A network, and what goes into it. limits: of the chip's own ones, those that are set otherwise."""

    network: Network
    stimulus: Stimulus
    limits: Mapping[str, int] = field(default_factory=dict)


class Shaped:
    """Collects populations and projections with random weights of -2 and 2, every delay one step."""

    def __init__(self, name: str, seed: int = SEED) -> None:
        self.name, self.rng = name, np.random.default_rng(seed)
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []

    def input(self, name: str, shape: Shape) -> None:
        """A graph input."""
        self.nodes[name] = Input(shape)

    def neurons(self, name: str, shape: Shape, rate: float | NDArray[np.float64]) -> None:
        """A population without leak; rate: spikes a neuron and step, one number or one for each (0: never)."""
        rates = np.broadcast_to(np.asarray(rate, np.float64), shape)
        vth = min(HIGHEST, int(TOP / max(rates.max(), 1e-9)) >> 6)
        bias = np.rint(rates * (vth << 6)).astype(np.int64)
        exponent = np.maximum(0, np.ceil(np.log2(np.maximum(bias, 1) / 4095))).astype(np.int64)
        start = np.where(rates > 0, self.rng.integers(0, vth << 6, shape), 0)

        def each(value: int) -> NDArray[np.int64]:
            return np.full(shape, value, np.int64)

        self.nodes[name] = FixedLIF(each(4095), each(0), each(vth), bias >> exponent, exponent, each(0), each(0),
                                    start, np.ones(shape), np.zeros(shape))

    def conv(self, source: str, target: str, kernel: int, *, stride: int = 1, groups: int = 1, pad: int = 0) -> None:
        """A convolution with a square kernel."""
        pre, post = self._shape(source), self._shape(target)
        weight = self._weights((post[0], pre[0] // groups, kernel, kernel))
        node = ConvSynapses(pre, post, post, weight, (stride, stride), ((0, 0), (pad, pad)), (1, 1), groups)
        self._join(source, target, node)

    def dense(self, source: str, target: str) -> None:
        """All to all."""
        pre, post = self._shape(source), self._shape(target)
        n, m = size(pre), size(post)
        self._join(source, target, self._synapses(pre, post, np.repeat(np.arange(n), m), np.tile(np.arange(m), n)))

    def pairs(self, source: str, target: str, pre: NDArray[np.int64], post: NDArray[np.int64]) -> None:
        """Single synapses."""
        self._join(source, target, self._synapses(self._shape(source), self._shape(target), pre, post))

    def build(self) -> Network:
        """The network."""
        return Network(self.name, self.nodes, tuple(self.edges), Semantics(dt=1e-3))

    def _shape(self, name: str) -> Shape:
        node = self.nodes[name]
        assert isinstance(node, Input | FixedLIF)
        return node.shape

    def _weights(self, shape: Shape) -> NDArray[np.int64]:
        return self.rng.choice(np.array([-2, 2], np.int64), shape)

    def _synapses(self, pre: Shape, post: Shape, source: NDArray[np.int64], target: NDArray[np.int64]) -> Synapses:
        order = np.lexsort((target, source))
        n = len(order)
        return Synapses(pre, post, source[order], target[order], self._weights((n,)), np.ones(n, np.int64))

    def _join(self, source: str, target: str, node: Node) -> None:
        name = f"{source}->{target}"
        self.nodes[name] = node
        self.edges += [Edge(source, name), Edge(name, target)]


def once(steps: int) -> float:
    """The rate of a neuron that fires once in so many steps."""
    return 1 / (steps + 1)


def quartz_mnist(steps: int) -> Rebuilt:
    """6c5-p-12c5-p-120c4-10 in Quartz: the convolution's neurons, one more a pooling window, which the first of them
    triggers and which silences them, two a unit behind (quartz/blocks.py: ConvMax, ReLCo). Every input and every unit
    fires once an inference. Every synapse is stored on its own, as quartz/network.py connects block by block. Left out:
    triggers and bias delays, some tens of neurons.
    """
    s, rate = Shaped("quartz_mnist"), once(steps)
    s.input("in", (1, 28, 28))
    before = "in"
    for k, (channels, side) in enumerate(((6, 24), (12, 8)), start=1):
        first = np.zeros((channels, side, side))
        first[:, ::2, ::2] = rate
        s.neurons(f"conv{k}", (channels, side, side), first)
        s.neurons(f"pool{k}", (channels, side // 2, side // 2), rate)
        s.conv(before, f"conv{k}", 5)
        _pool(s, f"conv{k}", f"pool{k}")
        before = f"pool{k}"
    s.neurons("calc3", (120, 1, 1), rate)
    s.conv(before, "calc3", 4)
    s.neurons("unit3", (120,), rate)
    s.pairs("calc3", "unit3", np.arange(120), np.arange(120))
    s.neurons("calc4", (10,), rate)
    s.dense("unit3", "calc4")
    s.neurons("unit4", (10,), rate)
    s.pairs("calc4", "unit4", np.arange(10), np.arange(10))
    dense = np.zeros((1, steps, 1, 28, 28))
    dense[0, s.rng.integers(0, steps // 4 or 1, 784), 0, np.arange(784) // 28, np.arange(784) % 28] = 1
    return Rebuilt(written_out(s.build()), Stimulus.dense({"in": dense}, {"in": (1, 28, 28)}))


def _pool(s: Shaped, fine: str, coarse: str) -> None:
    """Every neuron of a 2 x 2 window to the window's neuron, back, and that one to itself."""
    (c, h, w), n = s._shape(fine), size(s._shape(coarse))
    index = np.arange(c * h * w).reshape(c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1)
    window = np.repeat(np.arange(n), 4)
    s.pairs(fine, coarse, index, window)
    s.pairs(coarse, fine, window, index)
    s.pairs(coarse, coarse, np.arange(n), np.arange(n))


DVS_RATES = (0.0234, 0.0062, 0.0108, 0.0193, 0.0503, 0.0284)
"""Spikes a neuron and step, layer by layer, that SANA-FE 2.2.9 prints for its DVS-gesture example (128 steps)."""


def dvs_gesture(steps: int) -> Rebuilt:
    """1024-3600-5408-7744-891-11: convolutions of 3 x 3, the first with stride 2; the bias drives the input neurons."""
    s = Shaped("dvs_gesture")
    shapes: Sequence[Shape] = ((1, 32, 32), (16, 15, 15), (32, 13, 13), (64, 11, 11), (11, 9, 9), (11,))
    for k, (shape, rate) in enumerate(zip(shapes, DVS_RATES, strict=True)):
        s.neurons(f"l{k}", shape, rate)
    for k in range(4):
        s.conv(f"l{k}", f"l{k + 1}", 3, stride=2 if k == 0 else 1)
    s.dense("l4", "l5")
    return Rebuilt(s.build(), Stimulus.silent(steps))


def dvs_written_out(steps: int) -> Rebuilt:
    """The same as SANA-FE's example has it: every synapse stored on its own, in cores that hold any number of them."""
    rebuilt = dvs_gesture(steps)
    return replace(rebuilt, network=written_out(rebuilt.network), limits={"synapse_words": 1 << 20})


def written_out(network: Network) -> Network:
    """The network without shared kernels."""
    nodes = {n: replace(explicit(x), shared=None) if isinstance(x, ConvSynapses) else x
             for n, x in network.nodes.items()}
    return replace(network, nodes=nodes)


def two_kinds(steps: int) -> Rebuilt:
    """64-144-10: a convolution and a dense layer, so small that one core holds it."""
    s = Shaped("two_kinds")
    for name, shape, rate in (("l0", (1, 8, 8), 0.05), ("l1", (4, 6, 6), 0.03), ("l2", (10,), 0.02)):
        s.neurons(name, shape, rate)
    s.conv("l0", "l1", 3)
    s.dense("l1", "l2")
    return Rebuilt(s.build(), Stimulus.silent(steps))


PILOTNET_INPUT, PILOTNET_RATE = 0.60, 0.035
"""Share of the input values, and spikes a neuron and step behind, for which the busiest core makes the reported 51,000
synaptic operations a frame."""


def pilotnet(steps: int) -> Rebuilt:
    """lava-dl's PilotNet SDNN: 3 x 66 x 200 values, 5 convolutions, 4 dense layers; spikes in place of deltas."""
    s = Shaped("pilotnet_sdnn")
    s.input("in", (3, 200, 66))
    layers = (((24, 99, 32), 2, 0), ((36, 49, 15), 2, 0), ((48, 24, 7), 2, 0))
    before = "in"
    for k, (shape, stride, pad) in enumerate(layers):
        s.neurons(f"c{k}", shape, PILOTNET_RATE)
        s.conv(before, f"c{k}", 3, stride=stride, pad=pad)
        before = f"c{k}"
    for k, (shape, strides, pad) in enumerate((((64, 22, 4), (1, 2), 1), ((64, 20, 2), (1, 1), 0)), start=3):
        s.neurons(f"c{k}", shape, PILOTNET_RATE)
        s.conv(before, f"c{k}", 3, pad=pad)
        name = f"{before}->c{k}"
        node = s.nodes[name]
        assert isinstance(node, ConvSynapses)
        s.nodes[name] = replace(node, stride=strides)
        before = f"c{k}"
    for k, n in enumerate((100, 50, 10, 1)):
        s.neurons(f"d{k}", (n,), PILOTNET_RATE)
        s.dense(before, f"d{k}")
        before = f"d{k}"
    dense = s.rng.random((1, steps, 3, 200, 66)) < PILOTNET_INPUT
    return Rebuilt(s.build(), Stimulus.dense({"in": dense.astype(np.float64)}, {"in": (3, 200, 66)}))


def netgen(steps: int) -> Rebuilt:
    """The benchmark network on one core, whatever its synapses take: SANA-FE's model of Loihi allows it."""
    network = netgen_network.network(netgen_network.make(1024, 100))
    return Rebuilt(network, Stimulus.silent(steps), {"synapse_words": 1 << 20})


BUILDERS: Mapping[str, Callable[[int], Rebuilt]] = {
    "quartz_mnist": quartz_mnist, "dvs_gesture": dvs_gesture, "dvs_written_out": dvs_written_out,
    "pilotnet": pilotnet, "netgen": netgen, "two_kinds": two_kinds,
}
