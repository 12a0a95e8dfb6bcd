"""Time to map a convolutional network of 177,000 neurons for Loihi 2, phase by phase, after the kernels are compiled.

usage: mapping_large_conv.py [--chips 2] [--effort fast] [--rounds 3]
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import numpy as np

from hwsdk.ir.fixed import FixedSigmaDelta
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Input, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.loihi import MapOptions, legality, map_network
from hwsdk.targets import load_target

LAYERS = [(16, 2), (32, 1), (32, 2), (64, 1), (64, 2)]
"""Channels and stride of each 3 x 3 convolution with padding."""


def network(side: int = 96) -> Network:
    """2 x side x side input; 96 gives 175,104 neurons."""
    rng, shape, at = np.random.default_rng(0), (2, side, side), "in"
    nodes, edges = {"in": Input(shape)}, []
    for k, (channels, stride) in enumerate(LAYERS):
        out = (channels, *((n - 1) // stride + 1 for n in shape[1:]))
        weight = rng.integers(-128, 128, (channels, shape[0], 3, 3)) * 2
        nodes[f"w{k}"] = ConvSynapses(shape, out, out, weight, (stride, stride), ((1, 1), (1, 1)), (1, 1))
        nodes[f"p{k}"] = FixedSigmaDelta(np.full(out, 10), np.zeros(out, np.int64))
        edges += [Edge(at, f"w{k}"), Edge(f"w{k}", f"p{k}")]
        at, shape = f"p{k}", out
    nodes["out"] = Output(shape)
    return Network("large", nodes, (*edges, Edge(at, "out")), Semantics())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=2)
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    target, net = load_target("loihi2"), network()
    print(f"{net.n_neurons:,} neurons")
    for _ in range(args.rounds):
        marks: list[tuple[str, float]] = []
        start = time.perf_counter()
        program = map_network(net, target, MapOptions(args.chips, effort=args.effort),
                              progress=lambda text, m=marks: m.append((text.split()[0], time.perf_counter())))
        marks.append(("end", time.perf_counter()))
        first = {}
        for name, t in marks:
            first.setdefault(name, t)
        names = list(first)
        phases = ", ".join(f"{a} {first[b] - first[a]:.2f}" for a, b in pairwise(names))
        print(f"{marks[-1][1] - start:.2f} s ({phases}): {program.n_cores} cores, "
              f"{program.n_synapses / 1e6:.1f} M synapses, {len(program.arrays.target) / 1e3:.0f} thousand stored, "
              f"legal: {not legality(program, target)}")


if __name__ == "__main__":
    main()
