"""Random integer networks over every neuron model, with kernels, ports, loops and delays. All comes from one seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Conv, Shape
from hwsdk.ir.semantics import Semantics

MODELS = ("lif", "lif", "atrlif", "rf", "rf_iz", "sigma_delta", "delta", "graded", "graded_relu")


class IntegerMaker:
    """Builds one network, population by population. ``longest``: steps of the longest delay."""

    def __init__(self, seed: int, longest: int = 8, models: tuple[str, ...] = MODELS) -> None:
        self.rng, self.longest, self.models = np.random.default_rng(seed), longest, models
        self.builder = NetworkBuilder(f"integers {seed}")
        self.shapes: dict[str, Shape] = {}
        self.cells: dict[str, Neuron] = {}

    def ints(self, low: int, high: int, shape: Shape) -> Any:
        """One number for all, or one for each."""
        return self.rng.integers(low, high, shape) if self.rng.random() < 0.4 else int(self.rng.integers(low, high))

    def cell(self, model: str, shape: Shape) -> FixedNeuron:
        """A population that spikes now and then."""
        rng = self.rng
        decays = {"du": self.ints(0, 4096, shape), "dv": self.ints(0, 4097, shape)}
        start = {"u_init": self.ints(-2000, 2000, shape), "v_init": self.ints(-2000, 2000, shape)}
        bias = {"bias_mant": self.ints(-300, 300, shape), "bias_exp": self.ints(0, 3, shape)}
        if model == "lif":
            extra: dict[str, Any] = {"refractory": self.ints(0, 5, shape)} if rng.random() < 0.4 else {}
            extra |= {"reset_interval": int(rng.integers(2, 9)), "reset_offset": int(rng.integers(0, 12))} \
                if rng.random() < 0.3 else {}
            extra |= {"reset": "subtract", "reset_by": self.ints(0, 5000, shape)} if rng.random() < 0.4 else {}
            return neuron(FixedLIF, shape, vth=self.ints(5, 120, shape), **decays, **start, **bias, **extra)
        if model == "atrlif":
            fading = {"dtheta": self.ints(0, 4097, shape), "dr": self.ints(0, 4097, shape)}
            return neuron(FixedATRLIF, shape, vth=self.ints(5, 90, shape), theta_step=self.ints(0, 40, shape), **decays,
                          **fading, **start, **bias)
        if model.startswith("rf"):
            angle, bits = rng.uniform(0.2, 1.5), int(rng.integers(8, 13))
            size = rng.uniform(0.7, 1.0) * 2**bits
            return neuron(FixedRF, shape, sin=int(size * np.sin(angle)), cos=int(size * np.cos(angle)),
                          vth=self.ints(1, 300, shape), re_init=self.ints(-90, 90, shape), decay_bits=bits,
                          im_init=self.ints(-90, 90, shape), state_exp=int(rng.integers(0, 4)),
                          izhikevich=model == "rf_iz")
        if model in ("sigma_delta", "delta"):
            return neuron(FixedSigmaDelta, shape, vth=self.ints(1, 30, shape), bias=self.ints(-40, 60, shape),
                          spike_exp=int(rng.integers(0, 3)), state_exp=int(rng.integers(0, 3)),
                          activation=("relu", "unit")[int(rng.integers(2))], cum_error=bool(rng.random() < 0.3),
                          encodes=model == "delta")
        return neuron(FixedGraded, shape, vth=self.ints(0, 30, shape), relu=model == "graded_relu")

    def port(self, name: str) -> str | None:
        """An input of a population that has two."""
        two = len(self.cells[name].in_shape) > len(self.shapes[name])
        return ("real", "imag")[int(self.rng.integers(2))] if two else None

    def form(self) -> dict[str, Any]:
        """Bits and exponent of the weights."""
        return {"weight_exp": int(self.rng.integers(0, 3)), "weight_bits": int(self.rng.choice([8, 8, 6, 4]))}

    def weights(self, shape: Shape, bits: int) -> np.ndarray:
        """On the grid of ``bits``, of one sign or of both, half of them 0; graded loops must not grow for ever."""
        rng = self.rng
        step = 1 << 9 - bits
        sign = rng.choice([-1, 1], shape) if rng.random() < 0.7 else rng.choice([-1, 1, 1])
        weight = rng.integers(0, 40 // step + 2, shape) * step * sign
        return np.asarray(weight * (rng.random(shape) < 0.5))

    def connect(self, source: str, target: str) -> None:
        """Synapses with a delay each."""
        shape = (int(np.prod(self.shapes[target])), int(np.prod(self.shapes[source])))
        form = self.form()
        ticks = self.rng.integers(1, self.longest + 1, shape) if self.rng.random() < 0.7 else 1
        self.builder.connect(source, target, weight=self.weights(shape, form["weight_bits"]), delay_ticks=ticks,
                             port=self.port(target), **form)

    def convolve(self, source: str, name: str, model: str) -> None:
        """A population behind a convolution."""
        rng, shape = self.rng, self.shapes[source]
        rank, form = len(shape) - 1, self.form()
        groups = 1 if model.startswith("rf") else int(rng.choice([1, shape[0]]))
        kernel = tuple(int(rng.integers(1, min(n, 3) + 1)) for n in shape[1:])
        weight = self.weights((groups * int(rng.integers(1, 3)), shape[0] // groups, *kernel), form["weight_bits"])
        stride, dilation = (tuple(int(rng.integers(1, 3)) for _ in kernel) for _ in range(2))
        padding = tuple((k * d // 2, k * d // 2 + int(rng.integers(0, 2)))
                        for k, d in zip(kernel, dilation, strict=True))
        out = Conv(weight.astype(float), None, stride, padding, dilation, groups).out_shape(shape)
        self.add(name, model, out)
        self.builder.convolve(source, name, weight, stride=stride, padding=padding, dilation=dilation, groups=groups,
                              delay_ticks=int(rng.integers(1, self.longest + 1)) if rank else 1, port=self.port(name),
                              **form)

    def add(self, name: str, model: str, shape: Shape) -> None:
        """A population."""
        self.cells[name], self.shapes[name] = self.cell(model, shape), shape
        self.builder.population(name, self.cells[name])


def random_integer_network(seed: int, longest: int = 8, models: tuple[str, ...] = MODELS) -> Network:
    """A chain of 2 to 4 populations of any model, by matrices and convolutions, with loops and skips."""
    m = IntegerMaker(seed, longest, models)
    shape = ((5,), (2, 7), (2, 5, 4), (1, 6, 5))[int(m.rng.integers(4))]
    m.builder.input("in", shape)
    m.shapes["in"] = shape
    names = ["in"]
    for k in range(int(m.rng.integers(2, 5))):
        at, name, model = names[-1], f"p{k}", str(m.rng.choice(m.models))
        if len(m.shapes[at]) > 1 and m.rng.random() < 0.7:
            m.convolve(at, name, model)
        else:
            m.add(name, model, (int(m.rng.integers(2, 6)),))
            m.connect(at, name)
        if m.rng.random() < 0.4 and not m.cells[name].graded:
            m.connect(name, name)
        if k > 1 and m.rng.random() < 0.4:
            m.connect(names[1], name)
        names.append(name)
    return m.builder.output("out", names[-1]).build(Semantics())
