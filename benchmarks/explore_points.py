"""Seconds for many design points of a Braille-sized model on four targets: `python -m benchmarks.explore_points`.

usage: explore_points.py [MODEL.nir] [--points 1000] [--engine joblib] [--workers 2] [--samples 2] [--profile]

Without a model a network of the same size is made: 12 inputs, 38 recurrent and 7 output current-based neurons, 256
steps of random spikes. Every engine gives the same results; --profile: where the time goes, in one process.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from hwsdk.explore.engines import ENGINES, Crew
from hwsdk.explore.points import Point, Space, axis
from hwsdk.explore.run import explore
from hwsdk.ir import formats
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import CubaLIF
from hwsdk.ir.nodes import Input, Linear, Output
from hwsdk.ir.semantics import Semantics

TARGETS = ("loihi2", "spinnaker2", "memristor", "sfq")
SWEEPS = ("bits=2:8", "per_channel=yes,no", "steps=64,128,256", "seed=0:5", "loihi2.packing=layer,dense",
          "spinnaker2.packing=layer,dense", "spinnaker2.level=auto,low", "memristor.write=0:0.2:3",
          "memristor.estimate.adc_model=band,murmann")


def braille_sized(seed: int = 0) -> Network:
    """A recurrent network of the size of the NIR paper's Braille model, with random weights."""
    rng, dt = np.random.default_rng(seed), 1e-4

    def cells(n: int) -> CubaLIF:
        same = np.full(n, 1.0)
        return CubaLIF(tau_mem=2.8e-4 * same, tau_syn=2.2e-4 * same, r=2.8 * same, v_leak=0 * same,
                       v_threshold=same, w_in=2.2 * same, v_reset=0 * same)

    nodes = {"input": Input((12,)), "in": Linear(rng.normal(0, 0.3, (38, 12))), "hidden": cells(38),
             "back": Linear(rng.normal(0, 0.1, (38, 38))), "out": Linear(rng.normal(0.05, 0.2, (7, 38))),
             "read": cells(7), "output": Output((7,))}
    edges = (Edge("input", "in"), Edge("in", "hidden"), Edge("hidden", "back"), Edge("back", "hidden", 1),
             Edge("hidden", "out"), Edge("out", "read"), Edge("read", "output"))
    return Network("braille_sized", nodes, edges, Semantics(dt=dt))


def data_for(network: Network, samples: int, steps: int = 256) -> Stimulus:
    """Random spikes with random labels."""
    rng = np.random.default_rng(0)
    shapes = {n: i.shape for n, i in network.inputs.items()}
    arrays = {n: (rng.random((samples, steps, *s)) < 0.15).astype(np.float64) for n, s in shapes.items()}
    return Stimulus.dense(arrays, shapes, rng.integers(0, 7, samples))


def points_of(network: Network, n: int) -> tuple[Point, ...]:
    """``n`` points, as many on each target."""
    axes = tuple(axis(text, TARGETS, ()) for text in SWEEPS)
    spaces = [Space((network.name,), (t,), axes) for t in TARGETS]
    return tuple(p for s in spaces for p in s.sample(n // len(TARGETS)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--engine", choices=ENGINES, default="joblib")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    network = formats.load(args.model) if args.model else braille_sized()
    data, points = data_for(network, args.samples), points_of(network, args.points)
    crew = Crew("serial") if args.profile else Crew(args.engine, None if args.engine == "serial" else args.workers)
    profile, start = cProfile.Profile(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if args.profile:
            profile.enable()
        found = explore(network, data, points, crew=crew, store=Path(folder) / "points.jsonl")
        profile.disable()
    took = time.perf_counter() - start
    print(found.to_text())
    print(f"{len(found.results)} points in {took:.1f} s ({crew.engine}), {took / len(found.results) * 1e3:.1f} ms each")
    if args.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
    return int(bool(found.bugs))


if __name__ == "__main__":
    sys.exit(main())
