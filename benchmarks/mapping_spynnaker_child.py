"""Map a network of spinnaker_networks.py with sPyNNaker on a virtual board and print one JSON object.

usage: python mapping_spynnaker_child.py NAME [--atoms 256] [--version 201]

Needs an interpreter with sPyNNaker 7.4.1 (pip install "sPyNNaker==1!7.4.1"). Timed is sim.run of one step: partition,
placement, routes, keys and the data of all cores; no machine is there, so nothing is loaded or run. Version 201 is one
SpiNNaker 2 chip. Its configuration and reports go into a temporary home.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from spinnaker_networks import NAMES, Net, make


def build(net: Net, atoms: int) -> None:
    """The network in PyNN."""
    import spynnaker.pyNN as sim

    sim.setup(1.0)
    sim.set_number_of_neurons_per_core(sim.IF_curr_exp, atoms)
    sim.set_number_of_neurons_per_core(sim.SpikeSourceArray, atoms)
    found = {"in": sim.Population(net.inputs, sim.SpikeSourceArray([]), label="in")}
    found |= {name: sim.Population(n, sim.IF_curr_exp(), label=name) for name, n in net.populations.items()}
    for p in net.projections:
        for sign, kind in ((1, "excitatory"), (-1, "inhibitory")):
            own = p.weight * sign > 0
            if own.any():
                rows = np.stack([p.source[own], p.index[own], np.abs(p.weight[own]), np.ones(own.sum())], axis=1)
                sim.Projection(found[p.sender], found[p.target],
                               sim.FromListConnector(rows, column_names=["weight", "delay"]), receptor_type=kind)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--atoms", type=int, default=256, help="neurons a core at most")
    parser.add_argument("--version", type=int, default=201, help="of the virtual board")
    args = parser.parse_args()
    net = make(args.name)
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        os.chdir(home)
        Path(home, ".spynnaker.cfg").write_text(f"[Machine]\nversion = {args.version}\nvirtual_board = True\n")
        import spynnaker.pyNN as sim
        from spynnaker.pyNN.data import SpynnakerDataView

        build(net, args.atoms)
        start, busy = time.perf_counter(), time.process_time()
        sim.run(1)
        seconds, cpu = time.perf_counter() - start, time.process_time() - busy
        cores = sum(1 for p in SpynnakerDataView.iterate_placements_by_vertex_type(object)
                    if p.vertex.app_vertex is not None)
        os.chdir("/")
    print(json.dumps({"net": net.digest(), "synapses": net.synapses, "seconds": seconds, "cpu": cpu, "cores": cores,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
