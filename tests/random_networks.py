"""Random networks over every primitive, for property tests. Everything comes from one seed."""

from __future__ import annotations

import numpy as np

from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IF, LI, LIF, CubaLI, CubaLIF, I, Threshold
from hwsdk.ir.nodes import Conv, Delay, Flatten, Input, Linear, Output, Pool2d, Scale
from hwsdk.ir.semantics import Semantics

SPIKING = (IF, LIF, CubaLIF, Threshold)
SILENT = (I, LI, CubaLI)


class Maker:
    """Builds one network, node by node. ``alike``: all neurons of a channel have the same parameters."""

    def __init__(self, seed: int, alike: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.alike = alike
        self.nodes: dict = {}
        self.edges: list[Edge] = []
        self.shape: dict = {}

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    def add(self, name, node, source=None, delay=0):
        self.nodes[name] = node
        if source is not None:
            self.edges.append(Edge(source, name, delay))
            self.shape[name] = node.shape if hasattr(node, "shape") else node.out_shape(self.shape[source])
        else:
            self.shape[name] = node.shape
        return name

    def semantics(self) -> Semantics:
        reset = self.pick(["value", "subtract"])
        return Semantics(
            dt=self.pick([1.0, 0.5]), integrator=self.pick(["euler", "exponential", "exponential_dt_gain"]),
            order=self.pick(["synapse_first", "simultaneous"]), comparison=self.pick([">", ">="]), reset=reset,
            reset_timing=self.pick(["same_step", "next_step"]) if reset == "subtract" else "same_step",
            pulse=self.pick(["unit", "unit", "dirac"]), input_delay=self.pick([0, 0, 1]),
            bias_path=self.pick(["synapse", "membrane"]), initial=self.pick(["zero", "zero", "leak"]))

    def neuron(self, kind, shape):
        def u(lo, hi):
            if self.alike:
                return np.broadcast_to(self.rng.uniform(lo, hi, (shape[0], *[1] * (len(shape) - 1))), shape).copy()
            return self.rng.uniform(lo, hi, shape) if self.chance(0.5) else np.full(shape, self.rng.uniform(lo, hi))

        v_reset = u(-0.3, 0.2) if self.chance(0.3) else np.zeros(shape)
        leak = u(-0.2, 0.2) if self.chance(0.3) else np.zeros(shape)
        known = {"r": u(0.5, 1.5), "tau": u(1.2, 8), "tau_mem": u(1.2, 8), "tau_syn": u(1.1, 4), "v_leak": leak,
                 "v_threshold": u(0.5, 1.5), "v_reset": v_reset, "w_in": u(0.5, 1.5), "threshold": u(0.3, 1.0)}
        return kind(**{f: known[f] for f in kind.__dataclass_fields__ if f in known})

    def linear_op(self, source, name):
        shape = self.shape[source]
        options = ["scale", "delay", "flatten"] + (["conv"] * 3 if len(shape) > 1 else ["linear"] * 3)
        options += ["pool"] if len(shape) == 3 and min(shape[1:]) >= 2 else []
        return getattr(self, f"op_{self.pick(options)}")(source, name, shape)

    def op_scale(self, source, name, shape):
        return self.add(name, Scale(self.rng.uniform(-1.5, 1.5, shape)), source)

    def op_delay(self, source, name, shape):
        return self.add(name, Delay(self.rng.integers(0, 4, shape)), source)

    def op_flatten(self, source, name, shape):
        return self.add(name, Flatten(0, -1), source)

    def op_linear(self, source, name, shape):
        n = int(self.rng.integers(2, 7))
        bias = self.rng.normal(0, 0.15, n) if self.chance(0.6) else None
        return self.add(name, Linear(self.rng.normal(0, 0.7, (n, shape[0])), bias), source)

    def op_conv(self, source, name, shape):
        rank = len(shape) - 1
        groups = self.pick([1, shape[0]])
        kernel = tuple(int(self.rng.integers(1, min(n, 3) + 1)) for n in shape[1:])
        dilation = tuple(int(self.rng.integers(1, 3)) if (k - 1) * 2 < n else 1
                         for k, n in zip(kernel, shape[1:], strict=True))
        padding = tuple((int(self.rng.integers(0, 2)), int(self.rng.integers(0, 3))) for _ in range(rank))
        c_out = groups * int(self.rng.integers(1, 3))
        weight = self.rng.normal(0, 0.6, (c_out, shape[0] // groups, *kernel))
        bias = self.rng.normal(0, 0.1, c_out) if self.chance(0.5) else None
        stride = tuple(int(self.rng.integers(1, 3)) for _ in range(rank))
        return self.add(name, Conv(weight, bias, stride, padding, dilation, groups), source)

    def op_pool(self, source, name, shape):
        kernel = tuple(int(self.rng.integers(1, 3)) for _ in range(2))
        padding = tuple(int(self.rng.integers(0, k)) for k in kernel)
        node = Pool2d(kernel, (self.pick([1, 2]), self.pick([1, 2])), padding, self.chance(0.5))
        return self.add(name, node, source)


def random_network(seed: int, semantics: Semantics | None = None, name: str = "random") -> Network:
    """A feed-forward chain of 1 to 3 spiking populations with loops, skips, delays and a last layer of any kind."""
    m = Maker(seed)
    shape = m.pick([(4,), (6,), (2, 5), (2, 4, 5), (1, 6, 4)])
    at = m.add("in", Input(shape))
    sem = semantics or m.semantics()
    populations = []
    for layer in range(int(m.rng.integers(1, 4))):
        for k in range(int(m.rng.integers(0 if layer else 1, 3))):
            at = m.linear_op(at, f"op{layer}_{k}")
        at = m.add(f"pop{layer}", m.neuron(m.pick(SPIKING), m.shape[at]), at, m.pick([0, 0, 0, 1, 2]))
        populations.append(at)
        if m.chance(0.4):
            recur(m, at, f"rec{layer}")
        if m.chance(0.3) and layer:
            skip(m, m.pick(populations[:-1]), at, f"skip{layer}")
    ending = m.rng.random()
    if ending < 0.3:
        at = m.linear_op(at, "op_out")
        at = m.add("read", m.neuron(m.pick(SILENT), m.shape[at]), at)
    elif ending < 0.5:
        at = m.linear_op(at, "op_out")
    m.add("out", Output(m.shape[at]), at)
    edges = [Edge(e.source, e.target, e.delay_ticks + sem.input_delay * (e.source == "in")) for e in m.edges]
    return Network(name, m.nodes, tuple(edges), sem)


def random_conv_network(seed: int, semantics: Semantics | None = None) -> Network:
    """Layers that are one convolution each, or several after one another: 1-D and 2-D, any stride, padding, dilation
    and grouping, with pooling, a factor a channel, a delay or a Flatten between.
    """
    m = Maker(seed, alike=True)
    at = m.add("in", Input(m.pick([(2, 9), (3, 7), (2, 6, 5), (1, 7, 4), (3, 5, 5)])))
    for layer in range(int(m.rng.integers(1, 4))):
        at = m.op_conv(at, f"conv{layer}", m.shape[at])
        for k in range(int(m.rng.integers(0, 3))):
            at = conv_like(m, at, f"op{layer}_{k}")
        if layer and m.chance(0.2):
            at = m.op_flatten(at, f"flat{layer}", m.shape[at])
        at = m.add(f"pop{layer}", m.neuron(m.pick(SPIKING), m.shape[at]), at, m.pick([0, 0, 1, 2]))
        if len(m.shape[at]) == 1:
            break
    m.add("out", Output(m.shape[at]), at)
    return Network("convolutions", m.nodes, tuple(m.edges), semantics or m.semantics())


def conv_like(m: Maker, source: str, name: str) -> str:
    """A node after a convolution with which both together often are one convolution."""
    shape = m.shape[source]
    kind = m.pick(["conv", "pool", "factor", "delay"])
    if kind == "pool" and len(shape) == 3 and min(shape[1:]) >= 2:
        return m.op_pool(source, name, shape)
    if kind == "factor":
        factor = m.rng.uniform(0.5, 1.5, (shape[0], *[1] * (len(shape) - 1)))
        return m.add(name, Scale(np.broadcast_to(factor, shape).copy()), source)
    if kind == "delay":
        return m.add(name, Delay(np.full(shape, int(m.rng.integers(0, 3)))), source)
    return m.op_conv(source, name, shape)


def recur(m: Maker, population: str, name: str) -> None:
    """A loop from a population to itself."""
    n = int(np.prod(m.shape[population]))
    if len(m.shape[population]) == 1:
        bias = m.rng.normal(0, 0.1, n) if m.chance(0.3) else None
        m.nodes[name] = Linear(m.rng.normal(0, 0.4, (n, n)), bias)
    else:
        m.nodes[name] = Scale(m.rng.uniform(-0.8, 0.8, m.shape[population]))
    m.edges += [Edge(population, name, int(m.rng.integers(1, 4))), Edge(name, population)]


def skip(m: Maker, source: str, target: str, name: str) -> None:
    """A way round the layers between."""
    a, b = m.shape[source], m.shape[target]
    if len(a) == len(b) == 1:
        m.nodes[name] = Linear(m.rng.normal(0, 0.4, (b[0], a[0])))
        m.edges += [Edge(source, name), Edge(name, target)]
    elif a == b and not any((e.source, e.target) == (source, target) for e in m.edges):
        m.edges.append(Edge(source, target))


def random_stimulus(network: Network, seed: int, samples: int = 2, steps: int = 14, graded: bool = False) -> Stimulus:
    """Spikes (or small integers) at about 40 %."""
    rng = np.random.default_rng(seed + 1)
    inputs = {}
    for name, node in network.inputs.items():
        dense = (rng.random((samples, steps, *node.shape)) < 0.4).astype(int)
        if graded:
            dense *= rng.integers(1, 4, dense.shape)
        inputs[name] = events_from_dense(dense, node.shape)
    return Stimulus(inputs)
