"""Simulate the benchmark network on loihi2, with all events counted, and print one JSON object.

usage: run_hwsdk.py [N [K [T]]] [--chips C] [--threads P] [--check]

Timed are the T steps after a run of two steps that loads (the very first time: compiles) the kernels; building the
network, mapping it and unpacking the program are given on their own. Counted in every step: spikes, synaptic
operations, messages, hops, the busiest core and the busiest link. ``--check`` compares every spike with plain NumPy,
and exits with 1 on a difference.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

import numpy as np
from netgen_network import Edges, make, network, reference

from hwsdk import __version__
from hwsdk.errors import FitError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.mappers.loihi import MapOptions, map_network
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.simulators.loihi import build, run_machine
from hwsdk.targets import load_target

WARM_STEPS = 2


def compiled(edges: Edges, chips: int) -> LoihiProgram:
    """On one chip if it fits and nothing else is asked for, else on as many as a board has."""
    target, net = load_target("loihi2"), network(edges)
    for k in [chips] if chips else [1, 16]:
        try:
            return map_network(net, target, MapOptions(chips=k), model_digest=edges.digest())
        except FitError as error:
            last = error
    raise last


def equal(trace: Trace, edges: Edges, steps: int) -> bool:
    """Is every spike where plain NumPy has it?"""
    spikes = trace.spikes["lif"]
    raster = reference(edges, steps)
    step = np.repeat(np.arange(steps), [len(fired) for fired in raster])
    return np.array_equal(spikes.step, step) and np.array_equal(spikes.index, np.concatenate(raster))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, text in (("n", 1024, "neurons"), ("k", 100, "fan-out"), ("t", 1000, "steps")):
        parser.add_argument(name, type=int, nargs="?", default=default, help=text)
    parser.add_argument("--chips", type=int, default=0, help="default: 1 if it fits, else up to 16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="compare every spike")
    args = parser.parse_args()
    times = [time.perf_counter()]

    def lap() -> float:
        times.append(time.perf_counter())
        return times[-1] - times[-2]

    edges = make(args.n, args.k)
    net, make_s = edges.digest(), lap()
    program = compiled(edges, args.chips)
    edges = edges if args.check else None
    map_s = lap()
    machine = build(program, args.threads)
    build_s = lap()
    run_machine(machine, Stimulus.silent(WARM_STEPS))
    warm_s, cpu = lap(), time.process_time()
    trace = run_machine(machine, Stimulus.silent(args.t))
    cpu_s, wall = time.process_time() - cpu, lap()
    row = {"tool": f"hwsdk {__version__} loihi2", "net": net, "N": args.n, "K": args.k, "T": args.t,
           "threads": args.threads}
    totals = {name: int(trace.counts[name].sum()) for name in ("spikes", "synaptic_operations", "messages", "hops_ew",
                                                               "hops_ns", "peak_link", "peak_core_synops")}
    row |= {"spikes": totals.pop("spikes"), "events": totals.pop("synaptic_operations"), **totals}
    row |= {"cores": program.n_cores, "chips": program.chips, "make_s": make_s, "map_s": map_s, "build_s": build_s,
            "first_run_s": warm_s, "sim_s": wall, "cpu_s": cpu_s, "steps_per_s": args.t / wall,
            "cpu_steps_per_s": args.t / max(cpu_s, 1e-9), "events_per_s": row["events"] / wall,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if args.check:
        row |= {"tool": "hwsdk check", "equal_to_ref": equal(trace, edges, args.t)}
    print(json.dumps(row))
    return int(args.check and not row["equal_to_ref"])


if __name__ == "__main__":
    sys.exit(main())
