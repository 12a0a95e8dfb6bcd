"""Random integer networks over every neuron model, kind of connection and corner of the number ranges, from one seed.

What arrives at a neuron in a step stays below 2^22 and a graded value below 2^30, so that no tool's 32-bit integers
overflow where the chip's registers do not; u (24 bits after a shift by 6) wraps and v clips all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hwsdk.ir.data import Stimulus
from hwsdk.ir.expand import explicit
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input, Output, Synapses, frozen
from hwsdk.ir.semantics import Semantics

MOST = 1 << 22
V_MAX = (1 << 23) - 1
MODELS = ("lif", "lif", "lif_reset", "atrlif", "rf", "rf_iz", "sigma_delta", "delta", "graded", "graded_relu")
NOT_IN_LAVA = ("subtract", "refractory")
FEATURES = frozenset({
    *MODELS, "readout", "dense", "sparse", "conv", "conv_stride", "conv_padding", "conv_groups", "conv_dilation",
    "conv_flat", "recurrent", "loop_of_two", "skip", "several_synapses_a_pair", "delay_1", "delay_64", "delays_mixed",
    *(f"bits_{b}" for b in range(1, 9)), "mixed", "excitatory", "inhibitory", *(f"exponent_{e}" for e in range(8)),
    "bias", "initial_state", "several_groups", "graded_input", "negative_input", "two_inputs", "two_samples",
    "large_bias", "large_state", "imaginary_input", "cum_error", "unit_activation", "unconnected",
})
"""What the generator can draw for Lava; a test over many seeds sees to it that all of it is drawn."""


@dataclass
class Drawn:
    """A network, data for it, and what it has of FEATURES (and of NOT_IN_LAVA)."""

    network: Network
    stimulus: Stimulus
    features: set[str] = field(default_factory=set)


def random_integer_network(seed: int, *, lava: bool = True) -> Drawn:
    """2 to 4 populations with loops, skips and up to two inputs. lava: leave out what Lava's models lack."""
    return _Maker(seed, lava).make()


class _Maker:
    """Draws one network."""

    def __init__(self, seed: int, lava: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed, self.lava = seed, lava
        self.nodes: dict = {}
        self.edges: list[Edge] = []
        self.largest: dict[str, int] = {}  # sender -> largest |value| that it sends
        self.features: set[str] = set()
        self.steps = int(self.rng.integers(12, 40))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    def mark(self, *names: str) -> None:
        self.features.update(names)

    def make(self) -> Drawn:
        inputs = ["in"] if self.chance(0.75) else ["in", "second"]
        self.mark(*(["two_inputs"] if len(inputs) > 1 else []))
        data = {name: self.input(name) for name in inputs}
        names: list[str] = []
        for k in range(int(self.rng.integers(2, 5))):
            names.append(self.population(f"pop{k}", [*inputs, *names]))
        for name in names:
            self.loops(name, names)
        self.readout(names)
        self.nodes["out"] = Output(self.nodes[names[-1]].shape)
        self.edges.append(Edge(names[-1], "out"))
        network = Network(f"integer{self.seed}", self.nodes, tuple(self.edges), Semantics())
        return Drawn(network, Stimulus.dense(data, {n: self.nodes[n].shape for n in inputs}), self.features)

    def input(self, name: str) -> np.ndarray:
        """An input and its data, spikes or graded values."""
        shape = self.pick([(5,), (9,), (12,), (2, 4, 5), (1, 5, 4), (3, 4, 4)])
        self.nodes[name] = Input(shape)
        samples = 2 if self.seed % 10 == 0 else 1
        self.mark(*(["two_samples"] if samples > 1 else []))
        dense = (self.rng.random((samples, self.steps, *shape)) < self.rng.uniform(0.1, 0.6)).astype(np.int64)
        self.largest[name] = 1
        if self.chance(0.35):
            self.largest[name] = int(self.pick([3, 3, 100, 100, 30_000]))
            low = -self.largest[name] if self.chance(0.6) else 1
            dense = dense * self.rng.integers(low, self.largest[name] + 1, dense.shape)
            self.mark("graded_input", *(["negative_input"] if low < 0 else []))
        return dense

    def population(self, name: str, before: list[str]) -> str:
        """A population with one to three senders before it."""
        model = self.pick(MODELS)
        shape = self.pick([(4,), (7,), (11,), (2, 3, 3), (4, 2, 3), (2, 4, 2)])
        senders = [before[-1]] if self.chance(0.8) else []
        senders += [s for s in before[:-1] if self.chance(0.25)]
        senders = senders or [self.pick(before)]
        self.mark(model, *(["skip"] if len(senders) > 1 else []))
        two = model in ("rf", "rf_iz")
        room = MOST // self.steps if model == "sigma_delta" else MOST // 16 if model == "delta" else MOST
        convolved = self.convolution(name, senders[0], room // (2 * len(senders))) if not two else None
        shape = convolved or shape
        arriving = 0
        for k, sender in enumerate(senders):
            if k or convolved is None:
                self.connect(sender, name, (2, *shape) if two else shape, room // (2 * len(senders)))
            arriving += self.reach(sender, name)
        self.mark(*(["imaginary_input"] if two and arriving else []))
        self.nodes[name] = getattr(self, f"make_{model.removesuffix('_iz').removesuffix('_relu')}")(
            model, shape, max(arriving, 1))
        if not arriving:
            self.mark("unconnected")
        self.largest[name] = 1 if not self.nodes[name].graded else self.sends(self.nodes[name], arriving)
        return name

    def sends(self, cell: FixedNeuron, arriving: int) -> int:
        """A bound of the graded values that a population sends."""
        if isinstance(cell, FixedSigmaDelta) and not cell.encodes:
            return 2 * max(1, self.steps * arriving + int(np.abs(cell.bias).max()))
        return 4 * max(arriving, 1) << cell.spike_exp if isinstance(cell, FixedSigmaDelta) else max(arriving, 1)

    def loops(self, name: str, names: list[str]) -> None:
        """Connections back, to populations whose spikes are not graded: their values cannot grow."""
        cell = self.nodes[name]
        if cell.graded:
            return
        for sender in names[names.index(name):]:
            if self.chance(0.45 if sender == name else 0.3):
                self.connect(sender, name, cell.in_shape, MOST // 8)
                self.mark("recurrent" if sender == name else "loop_of_two")

    def readout(self, names: list[str]) -> None:
        """Now and then the last population is a membrane that is read out."""
        cell = self.nodes[names[-1]]
        if isinstance(cell, FixedLIF) and not any(e.source == names[-1] for e in self.edges) and self.chance(0.4):
            self.nodes[names[-1]] = replace(cell, fires=False, refractory=None, reset="value")
            self.mark("readout")

    def form(self, largest: int, fan_in: int, room: int) -> tuple[str, int, int, int] | None:
        """(sign mode, bits, exponent, largest |weight|) such that no more than ``room`` arrives, or None."""
        mode = self.pick(["mixed", "mixed", "excitatory", "inhibitory"])
        bits, exponent = int(self.rng.integers(1, 9)), int(self.pick([0, 0, 0, 1, 2, 3, 4, 5, 6, 7]))
        bits = bits if largest * fan_in << (8 - bits + (mode == "mixed")) <= room else 8
        step = 1 << (8 - bits + (mode == "mixed"))
        while exponent and largest * fan_in * (2 * step << exponent) > room:
            exponent -= 1
        most = min(256, room // (largest * fan_in << exponent))
        return None if most < step else (mode, bits, exponent, most)

    def weights(self, shape, mode: str, bits: int, most: int) -> np.ndarray:
        """Weights on the grid of a mode and a width, some of them at its ends."""
        step = 1 << (8 - bits + (mode == "mixed"))
        values = self.rng.integers(-most, most + 1, shape)
        values = np.where(self.rng.random(shape) < 0.1, most * self.rng.choice([-1, 1], shape), values)
        if mode == "mixed":
            return np.clip(values, -256, 255) // step * step
        values = np.minimum(np.abs(values), 255) // step * step
        return values if mode == "excitatory" else -values

    def connect(self, sender: str, target: str, post, room: int) -> None:
        """Synapses, dense or sparse, with one delay or many; none if there is no room for any weight."""
        pre = self.nodes[sender].shape
        n_pre, n_post = int(np.prod(pre)), int(np.prod(post))
        dense = self.chance(0.5)
        chosen = np.ones((n_post, n_pre), bool) if dense else self.rng.random((n_post, n_pre)) < 0.3
        at, to = np.nonzero(chosen.T)
        twice = self.chance(0.15)
        if twice:
            extra = self.rng.integers(0, max(len(at), 1), min(5, len(at)))
            at, to = np.r_[at, at[extra]], np.r_[to, to[extra]]
        form = self.form(self.largest[sender], n_pre + 5, room) if len(at) else None
        if form is None:  # one synapse for each target
            at, to, dense, twice = self.rng.integers(0, n_pre, n_post), np.arange(n_post), False, False
            form = self.form(self.largest[sender], 1, room)
        if form is None:
            return
        mode, bits, exponent, most = form
        self.mark("dense" if dense else "sparse", mode, f"bits_{bits}", f"exponent_{exponent}",
                  *(["several_synapses_a_pair"] if twice else []))
        weight, delay = self.weights(len(at), mode, bits, most), self.delays(len(at))
        node = Synapses(pre, post, frozen(at, np.int64), frozen(to, np.int64), frozen(weight, np.int64),
                        frozen(delay, np.int64), None, exponent, bits, mode)
        self.join(sender, node, target)

    def delays(self, n: int) -> np.ndarray:
        """Delays in steps: all 1, all the same, or mixed up to 64."""
        kind = self.rng.random()
        if kind < 0.5:
            self.mark("delay_1")
            return np.ones(n, np.int64)
        if kind < 0.7:
            return np.full(n, int(self.rng.integers(2, 9)))
        self.mark("delays_mixed")
        delay = self.rng.integers(1, int(self.pick([4, 9, 20])) + 1, n)
        if self.chance(0.3):
            delay[self.rng.integers(n)] = 64
            self.mark("delay_64")
        return delay

    def join(self, sender: str, node, target: str) -> None:
        """Put a connection between two nodes; a name of its own for each."""
        name = f"{sender}>{target}" + ("'" if f"{sender}>{target}" in self.nodes else "")
        self.nodes[name] = node
        self.edges += [Edge(sender, name), Edge(name, target)]

    def convolution(self, name: str, sender: str, room: int):
        """A convolution from a sender of three axes, if it fits; the shape that it gives."""
        pre = self.nodes[sender].shape
        if len(pre) != 3 or self.chance(0.25):
            return None
        groups = pre[0] if self.chance(0.3) and pre[0] > 1 else 1
        kernel = tuple(int(self.rng.integers(1, 4)) for _ in range(2))
        stride = tuple(int(self.rng.integers(1, 3)) for _ in range(2))
        padding = tuple((int(self.rng.integers(0, 2)), int(self.rng.integers(0, 2))) for _ in range(2))
        dilation = tuple(int(self.rng.integers(1, 3)) for _ in range(2))
        out = tuple((n + sum(p) - d * (k - 1) - 1) // s + 1
                    for n, p, d, k, s in zip(pre[1:], padding, dilation, kernel, stride, strict=True))
        c_out = groups * int(self.rng.integers(1, 3))
        form = self.form(self.largest[sender], pre[0] // groups * kernel[0] * kernel[1], room)
        if form is None or min(out) < 1 or c_out * out[0] * out[1] > 30:
            return None
        mode, bits, exponent, most = form
        weight = self.weights((c_out, pre[0] // groups, *kernel), mode, bits, most)
        shape = (c_out, *out)
        post = (c_out * out[0] * out[1],) if self.chance(0.2) else shape
        marks = {"conv_stride": stride != (1, 1), "conv_groups": groups > 1, "conv_flat": post != shape,
                 "conv_padding": any(map(any, padding)), "conv_dilation": dilation != (1, 1)}
        self.mark("conv", mode, f"bits_{bits}", f"exponent_{exponent}", *(m for m, yes in marks.items() if yes))
        node = ConvSynapses(pre, post, shape, frozen(weight, np.int64), stride, padding, dilation, groups,
                            int(self.pick([1, 1, 2, 5])), exponent, bits, mode)
        self.join(sender, node, name)
        return post

    def reach(self, sender: str, target: str) -> int:
        """The largest |value| that a sender can bring to a neuron in a step."""
        node = self.nodes.get(f"{sender}>{target}")
        if node is None:
            return 0
        s = explicit(node)
        if not len(s.weight):
            return 0
        total = np.bincount(s.target, weights=np.abs(s.weight)).max()
        return int(total) * self.largest[sender] << s.weight_exp

    def grouped(self, shape, low: int, high: int, few: np.ndarray) -> np.ndarray:
        """Integers in low..high, one for each group of neurons."""
        return frozen(self.rng.integers(low, high + 1, 3)[few].reshape(shape), np.int64)

    def which(self, shape) -> np.ndarray:
        """The group of each neuron: one, by channel, or mixed."""
        n = int(np.prod(shape))
        kind = self.rng.random()
        if kind < 0.8:
            return np.zeros(n, np.int64)
        self.mark("several_groups")
        return np.arange(n) * 2 // n if kind < 0.9 else self.rng.integers(0, 3, n)

    def bias(self, shape, scale: int) -> tuple[np.ndarray, np.ndarray]:
        """(mantissa, exponent)."""
        mantissa, exponent = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        if self.chance(0.4):
            large = self.chance(0.3)
            most = 4095 if large else min(4095, max(scale, 1) << 4)
            mantissa = self.rng.integers(-most - large, most + 1, shape)
            exponent = self.rng.integers(0, 8 if large else 3, shape)
            self.mark("bias", *(["large_bias"] if large else []))
        return frozen(mantissa, np.int64), frozen(exponent, np.int64)

    def initial(self, shape, low: int, high: int) -> np.ndarray:
        """A start: 0, small, or at the ends of the register."""
        kind = self.rng.random()
        if kind < 0.6:
            return frozen(np.zeros(shape), np.int64)
        self.mark("initial_state")
        if kind < 0.85:
            return frozen(self.rng.integers(-5000, 5001, shape), np.int64)
        self.mark("large_state")
        return frozen(self.rng.choice([low, low + 1, high, high - 1, 0], shape), np.int64)

    def make_lif(self, model: str, shape, scale: int) -> FixedLIF:
        few = self.which(shape)
        mantissa, exponent = self.bias(shape, scale)
        zero = frozen(np.zeros(shape), np.int64)
        reset, refractory = "value", None
        if not self.lava and self.chance(0.3):
            reset = "subtract"
            self.mark("subtract")
        if not self.lava and self.chance(0.3):
            refractory = frozen(self.rng.integers(0, 5, shape), np.int64)
            self.mark("refractory")
        vth = self.grouped(shape, 0, min(131071, max(2, scale // 2)), few)
        interval = int(self.pick([1, 2, 4, 8, 7])) if model == "lif_reset" else 0
        return FixedLIF(
            self.grouped(shape, 0, self.pick([100, 4095]), few), self.grouped(shape, 0, self.pick([100, 4096]), few),
            vth, mantissa, exponent, vth << 6 if reset == "subtract" else zero,
            self.initial(shape, -V_MAX, V_MAX + 1), self.initial(shape, -V_MAX, V_MAX), frozen(np.ones(shape)),
            frozen(np.zeros(shape)), reset=reset, refractory=refractory, reset_interval=interval,
            reset_offset=int(self.rng.integers(0, 9)) if interval else 0)

    make_lif_reset = make_lif

    def make_atrlif(self, model: str, shape, scale: int) -> FixedATRLIF:
        few = self.which(shape)
        mantissa, exponent = self.bias(shape, scale)
        vth = self.grouped(shape, 1, min(60_000, max(2, scale // 2)), few)
        return FixedATRLIF(
            *(self.grouped(shape, 0, self.pick([300, 4095]), few) for _ in range(4)), vth,
            self.grouped(shape, 0, min(60_000, scale), few), mantissa, exponent,
            self.initial(shape, -V_MAX, V_MAX + 1), self.initial(shape, -V_MAX, V_MAX))

    def make_rf(self, model: str, shape, scale: int) -> FixedRF:
        few = self.which(shape)
        bits, exponent = int(self.pick([8, 12, 12])), int(self.pick([0, 0, 3, 6]))
        period, alpha = self.rng.uniform(2.5, 30, 3)[few], self.rng.uniform(0, 0.3, 3)[few]
        sin, cos = (np.trunc((1 - alpha) * f(2 * np.pi / period) * (1 << bits)) for f in (np.sin, np.cos))
        vth = self.grouped(shape, 1, min(V_MAX, max(2, scale << exponent)), few)
        return FixedRF(
            frozen(sin.reshape(shape), np.int64), frozen(cos.reshape(shape), np.int64), vth,
            self.initial(shape, -V_MAX, V_MAX), self.initial(shape, -V_MAX, V_MAX), bits, exponent, model == "rf_iz")

    def make_sigma_delta(self, model: str, shape, scale: int) -> FixedSigmaDelta:
        few = self.which(shape)
        spike_exp, state_exp = int(self.pick([0, 0, 2])), int(self.pick([0, 0, 3]))
        encodes, cum = model == "delta", self.chance(0.3)
        unit = self.chance(0.3) and not encodes
        bias = np.zeros(shape) if encodes else self.rng.integers(-scale, scale + 1, shape) * self.chance(0.5)
        most = max(1, scale >> (0 if encodes else spike_exp + state_exp))
        self.mark(*(["cum_error"] if cum else []), *(["unit_activation"] if unit else []),
                  *(["bias"] if bias.any() else []))
        return FixedSigmaDelta(self.grouped(shape, 0, most, few), frozen(bias, np.int64), spike_exp, state_exp,
                               "unit" if unit else "relu", cum, encodes)

    make_delta = make_sigma_delta

    def make_graded(self, model: str, shape, scale: int) -> FixedGraded:
        return FixedGraded(self.grouped(shape, 0, max(1, scale // 4), self.which(shape)),
                           model == "graded_relu")
