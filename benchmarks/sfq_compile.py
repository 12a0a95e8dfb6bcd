"""How long a layer of counters takes to become a netlist, how large that is, and how fast it can be run.

    python benchmarks/sfq_compile.py [neurons]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from sfq_networks import KINDS, layer, mapped, spikes_for

from hwsdk.mappers.sfq_check import check
from hwsdk.simulators import sfq

WEIGHTS = ((3, "train"), (15, "binary"), (127, "binary"))
STEPS = 20


def main(n: int) -> None:
    print(f"{n} x {n} synapses")
    print("kind        |w| up to    compile s check s    cells  junctions  frame ps  s/frame simulated")
    rng = np.random.default_rng(0)
    for kind in KINDS:
        for most, weights in WEIGHTS:
            network = layer(kind, rng.integers(-most, most + 1, (n, n)), rng.integers(1, 3 * most, n))
            mapped(network, STEPS, weights=weights)
            begin = time.perf_counter()
            program = mapped(network, STEPS, weights=weights)
            compiled = time.perf_counter()
            check(network, program)
            checked = time.perf_counter()
            sfq.run(program, spikes_for(network, 1, STEPS, 0), strict=True)
            ran = time.perf_counter()
            print(f"{kind:11} {most:4} {weights:8} {compiled - begin:8.2f} {checked - compiled:8.2f} "
                  f"{program.n_cells:8,} {program.junctions:10,} {program.schedule.frame_fs / 1e3:9,.0f} "
                  f"{(ran - checked) / STEPS:10.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
