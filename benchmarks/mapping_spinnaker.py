"""Synapses a second that hwsdk maps onto SpiNNaker 2, and beside it sPyNNaker on its virtual SpiNNaker 2 board.

usage: mapping_spinnaker.py [--spynnaker PYTHON] [--rounds R] [--most N] [NAME ...]

hwsdk: from the network in the chip's numbers to the program: partition, words, placement, routes, images, and the check
that reads them back synapse by synapse; quantisation and loading are left out. The first mapping, which loads (the very
first time: compiles) the kernels, is left out too. sPyNNaker: see mapping_spynnaker_child.py; it does not check, keeps
synapses in the chip's DRAM, 256 neurons a core at most. Each run is a process of its own on one thread, and the tools
take turns. Networks beyond N synapses are not given to sPyNNaker.

Printed are the median and the best round, PEs or cores of populations and of inputs, and the peak of memory. PEs are
those for the activity named: MLP, every neuron spikes in every tick; E/I, 2 % of the neurons do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from spinnaker_networks import NAMES, SHARE, SIZES, Net, make

HERE = Path(__file__).resolve().parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
CHIPS = {"E/I 20,000": 4}
REPEATS = 3


def network(net: Net) -> Any:
    """As a hwsdk network in the chip's numbers."""
    from hwsdk.ir.build import neuron
    from hwsdk.ir.network import Edge, Network
    from hwsdk.ir.neurons import LIF
    from hwsdk.ir.nodes import Input, Node, Synapses
    from hwsdk.ir.semantics import Semantics
    from hwsdk.mappers.phases import timed
    from hwsdk.mappers.quantize_single import QuantizeSingle

    sizes, edges = {"in": net.inputs, **net.populations}, []
    nodes: dict[str, Node] = {"in": Input((net.inputs,))}
    nodes |= {name: neuron(LIF, n, tau=20.0, v_threshold=20.0) for name, n in net.populations.items()}
    for k, p in enumerate(net.projections):
        nodes[f"s{k}"] = Synapses((sizes[p.sender],), (sizes[p.target],), p.source, p.index, p.weight.astype(float),
                                  np.ones(len(p.source), np.int64))
        edges += [Edge(p.sender, f"s{k}"), Edge(f"s{k}", p.target)]
    whole = Network("benchmark", nodes, tuple(edges), Semantics())
    return QuantizeSingle()(timed(whole)[0])[0]


def ours(name: str) -> dict[str, Any]:
    """Map it a few times; the best."""
    from hwsdk.mappers.phases import Phases
    from hwsdk.mappers.spinnaker import MapOptions, map_network
    from hwsdk.targets import load_target
    from hwsdk.targets.spinnaker import SpinnakerTarget

    net, target = make(name), load_target("spinnaker2", SpinnakerTarget)
    whole = network(net)
    options = MapOptions(CHIPS.get(name, 1), activity={"in": SHARE, "p": SHARE} if name in SIZES else None)
    times, digest = [], net.digest()
    for _ in range(REPEATS + 1):
        start, busy = time.perf_counter(), time.process_time()
        program = map_network(whole, target, Phases(), options, model_digest=digest)
        times.append((time.perf_counter() - start, time.process_time() - busy))
    pes = [program.application(pe) for pe in range(program.n_pes)]
    seconds, cpu = min(times[1:])
    return {"net": net.digest(), "synapses": net.synapses, "seconds": seconds, "cpu": cpu, "cores": program.n_pes,
            "inputs": pes.count("spike_list"), "chips": program.chips,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure(line: list[str]) -> dict[str, Any]:
    """The JSON object that a command prints in its last line that begins with {."""
    done = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD})
    rows = [text for text in done.stdout.splitlines() if text.startswith("{")]
    if done.returncode or not rows:
        sys.exit(f"failed: {' '.join(line)}\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(rows[-1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--spynnaker", help="Python interpreter that has sPyNNaker 7.4.1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=1_000_000, help="synapses up to which sPyNNaker is asked")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(ours(args.names[0])))
        return 0
    for name in args.names or NAMES:
        lines = {"hwsdk": [sys.executable, str(HERE / "mapping_spinnaker.py"), "--child", name]}
        if args.spynnaker and make(name).synapses <= args.most:
            lines["sPyNNaker"] = [args.spynnaker, str(HERE / "mapping_spynnaker_child.py"), name]
        rounds = [{tool: measure(line) for tool, line in lines.items()} for _ in range(args.rounds)]
        if len({row["net"] for r in rounds for row in r.values()}) != 1:
            sys.exit("the tools did not map the same network")
        for tool in lines:
            report(name, tool, [r[tool] for r in rounds])
    return 0


def report(name: str, tool: str, rounds: list[dict[str, Any]]) -> None:
    """One line."""
    speed, one = [r["synapses"] / r["seconds"] for r in rounds], rounds[0]
    more = f" on {one['chips']} chip(s), {one['inputs']} of them for inputs" if "inputs" in one else ""
    seconds, cpu, memory = (f(r[key] for r in rounds) for f, key in ((min, "seconds"), (min, "cpu"), (max, "rss_mb")))
    print(f"{name:16} {tool:10} {one['synapses']:>9,} synapses: {statistics.median(speed):12,.0f} synapses/s "
          f"(best {max(speed):,.0f}), {seconds:.3f} s, CPU {cpu:.3f} s, {one['cores']} cores{more}, {memory:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
