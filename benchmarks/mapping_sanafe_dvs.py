"""Our mapping of SANA-FE's bundled DVS-gesture network, scored inside SANA-FE against the placement of its tutorial 5.

usage: mapping_sanafe_dvs.py SANAFE_PYTHON [--steps 1000] [--packing spread] [--step-time SECONDS] [--effort normal]

SANAFE_PYTHON is an interpreter with SANA-FE 2.2.9, numpy and pyyaml; it runs mapping_sanafe_child.py beside this file.
First the tutorial's placement runs and tells how often every neuron spikes; then only the core of every neuron changes.
Our network has SANA-FE's shapes (channel, row, column order, as connect_neurons_conv2d has it), and loihi1's limits.
The last table holds our prices of the same counts against SANA-FE's energies.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hwsdk.cost import price_counts, total
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.nodes import ConvSynapses, Output, Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.loihi import MapOptions, legality, map_network
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.targets import load_target

CHILD = Path(__file__).with_name("mapping_sanafe_child.py")


def lif(shape: tuple[int, ...]) -> FixedLIF:
    z = np.zeros(shape, np.int64)
    return FixedLIF(z + 4095, z, z + 100, z, z, z, z, z, np.ones(shape), np.zeros(shape))


def network_of(data: dict[str, np.ndarray]) -> Network:
    """The same connections; every weight is 2, since only who hears whom matters here."""
    shapes = [(int(c), int(h), int(w)) for h, w, c in data["shapes"]]
    nodes, edges = {"p0": lif(shapes[0])}, []
    for k in range(1, len(shapes)):
        width, height, c_in, c_out = data[f"conv{k}"].shape
        stride = (2, 2) if k == 1 else (1, 1)
        nodes[f"w{k}"] = ConvSynapses(shapes[k - 1], shapes[k], shapes[k], np.full((c_out, c_in, height, width), 2),
                                      stride, ((0, 0), (0, 0)), (1, 1))
        nodes[f"p{k}"] = lif(shapes[k])
    n, m, last = int(data["sizes"][-2]), int(data["sizes"][-1]), len(shapes)
    nodes[f"w{last}"] = Synapses(shapes[-1], (m,), np.repeat(np.arange(n), m), np.tile(np.arange(m), n),
                                 np.full(n * m, 2), np.ones(n * m, np.int64))
    nodes |= {f"p{last}": lif((m,)), "out": Output((m,))}
    for k in range(1, last + 1):
        edges += [Edge(f"p{k - 1}", f"w{k}"), Edge(f"w{k}", f"p{k}")]
    return Network("dvs", nodes, (*edges, Edge(f"p{last}", "out")), Semantics())


def cores_of(program: LoihiProgram, height: int, depth: int) -> np.ndarray:
    """Index in SANA-FE's arch.cores() of every neuron by id: tiles column by column, so many cores a tile."""
    a = program.arrays
    tile = a.core_x.astype(np.int64) * height + a.core_y
    index = np.empty(program.n_cores, np.int64)
    for t in np.unique(tile):
        index[tile == t] = t * depth + np.arange(np.count_nonzero(tile == t))
    core = np.empty(program.n_neurons, np.int64)
    core[a.source_id] = index[program.core_of()]
    return core


def traffic(program: LoihiProgram, spikes: np.ndarray) -> dict[str, float]:
    """Messages and hops of all spikes."""
    a = program.arrays
    home = np.empty(program.n_neurons, np.int64)
    home[a.source_id] = program.core_of()
    sender = np.repeat(np.arange(program.n_neurons), np.diff(a.out_ptr))
    weight, here, there = spikes[sender], home[sender], a.out_core
    return {"messages": float(weight.sum()),
            "hops_ew": float((np.abs(a.core_x[here].astype(int) - a.core_x[there]) * weight).sum()),
            "hops_ns": float((np.abs(a.core_y[here].astype(int) - a.core_y[there]) * weight).sum())}


def run(python: str, steps: int, folder: Path, core: np.ndarray | None = None) -> tuple[dict, dict[str, np.ndarray]]:
    """SANA-FE's result, and shapes and spikes."""
    line = [python, str(CHILD), str(steps), str(folder / "out.npz")]
    if core is not None:
        np.savez(folder / "placement.npz", core=core)
        line.append(str(folder / "placement.npz"))
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"SANA-FE failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]), dict(np.load(folder / "out.npz"))


def row(name: str, result: dict) -> str:
    joule, seconds = result["energy"]["total"], result["sim_time"]
    return (f"{name:24} {result['cores']:5} {result['packets_sent']:10,} {joule * 1e3:8.4f} {seconds * 1e3:9.3f} "
            f"{joule * seconds * 1e6:11.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--packing", default="spread")
    parser.add_argument("--step-time", type=float)
    parser.add_argument("--effort", default="normal")
    args = parser.parse_args()
    target = load_target("loihi1")
    with tempfile.TemporaryDirectory() as folder:
        before, data = run(args.python, args.steps, Path(folder))
        network, first = network_of(data), np.r_[0, np.cumsum(data["sizes"])]
        rates = {f"p{k}": data["spikes"][first[k] : first[k + 1]] / args.steps for k in range(len(first) - 1)}
        start = time.perf_counter()
        program = map_network(network, target, MapOptions(packing=args.packing, step_time=args.step_time,
                                                          effort=args.effort, activity=rates))
        seconds = time.perf_counter() - start
        core = cores_of(program, target.mesh.height.value or 1, target.mesh.cores_per_router.value or 1)
        after, again = run(args.python, args.steps, Path(folder), core)
    if legality(program, target) or not np.array_equal(data["spikes"], again["spikes"]):
        sys.exit("the mapping is illegal, or changed the spikes")
    print(f"{'placement':24} cores    packets       mJ        ms      EDP uJ s")
    print(row("tutorial 5", before))
    print(row(f"hwsdk, {args.packing}", after) + f"   mapped in {seconds:.1f} s")
    print_energies(program, after, again["spikes"], args.steps)


def print_energies(program: LoihiProgram, result: dict, spikes: np.ndarray, steps: int) -> None:
    """Our prices of the events that our program causes with these spikes, against SANA-FE's energies.

    SANA-FE prices all synapses as dense ones, and updates only neurons that change; those it counts.
    """
    target = load_target("loihi1")
    price = {p.name: p.value for p in target.energy}
    network = total(price_counts(traffic(program, spikes) | dict.fromkeys(
        ("neuron_updates", "spikes", "private_synaptic_operations", "shared_synaptic_operations"), 0.0), target)).value
    a = program.arrays
    reach = np.bincount(np.repeat(a.axon_source, np.diff(a.segment_ptr)), np.diff(a.row_ptr)[a.segment_row],
                        minlength=program.n_neurons)
    synapse = float(reach @ spikes) * price["synaptic operation, private"]
    soma = program.n_neurons * steps * price["soma access"] + result["neurons_updated"] * price["soma update"] \
        + float(spikes.sum()) * price["spike generation"]
    for name, ours in (("network", network), ("synapse", synapse), ("soma", soma)):
        theirs = result["energy"][name]
        print(f"energy, {name:8} ours {ours * 1e6:12.6f} uJ   SANA-FE {theirs * 1e6:12.6f} uJ   "
              f"ratio {ours / theirs:.9f}")


if __name__ == "__main__":
    main()
