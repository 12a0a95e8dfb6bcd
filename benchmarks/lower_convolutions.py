"""Time and memory to lower and quantise a convolutional network of 229,000 neurons and 37 million synapses.

usage: lower_convolutions.py [--target loihi2]    with --target, the time to compile is measured too
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

import hwsdk
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.nodes import Conv, ConvSynapses, Input, Node, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize import Quantize

LAYERS = ((16, 2), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1))
"""(output channels, stride) of each 3x3 convolution."""


def network() -> Network:
    rng, edges, at, shape = np.random.default_rng(0), [], "in", (2, 128, 128)
    made: dict[str, Node] = {"in": Input(shape)}
    for i, (channels, stride) in enumerate(LAYERS):
        weight = rng.normal(0, 0.2, (channels, shape[0], 3, 3))
        conv = Conv(weight, None, (stride, stride), ((1, 1), (1, 1)), (1, 1))
        shape = conv.out_shape(shape)
        one = np.ones(shape)
        made |= {f"conv{i}": conv, f"lif{i}": LIF(4 * one, one, 0 * one, one, 0 * one)}
        edges += [Edge(at, f"conv{i}"), Edge(f"conv{i}", f"lif{i}")]
        at = f"lif{i}"
    return Network("convolutions", made | {"out": Output(shape)}, (*edges, Edge(at, "out")), Semantics())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target")
    target = parser.parse_args().target
    times = [time.perf_counter()]
    model = network()
    times.append(time.perf_counter())
    lowered = Lower()(model)
    times.append(time.perf_counter())
    whole, report = Quantize()(lowered)
    times.append(time.perf_counter())
    kernels = sum(n.parameters() for n in whole.of(ConvSynapses).values())
    made, low, quant = np.diff(times)
    print(f"{model.n_neurons:,} neurons, {sum(r.synapses for r in report.layers):,} synapses of {kernels:,} weights: "
          f"built {made:.2f} s, lowered {low:.2f} s, quantised {quant:.2f} s; "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")
    if target:
        start = time.perf_counter()
        hwsdk.compile(model, target, chips=16, say=print)
        print(f"compiled for {target} in {time.perf_counter() - start:.1f} s; "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
