"""The transient solver of Josephson circuits beside ngspice on the same decks: `python benchmarks/rcsj_ngspice.py`.

usage: rcsj_ngspice.py [--sizes 10,52,200,1000] [--rounds 5] [--step-ps 0.035] [--longest-ps 300]

Transmission lines of 250 uA junctions with two pulses, until they are through or for 300 ps. Rounds are interleaved, so
that other load hits both. Seconds are of the processor: ngspice with its start and the reading of the deck, ours with
everything from the circuit to the crossings but without the import. ngspice runs as in its deck, with 0.05 ps and
reltol 1e-4. The error is the largest difference of a crossing to a run of ours with a sixth of the step; with the
default step ours is below that of ngspice.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import josephson as jj

from hwsdk.backends.sfq_ngspice import INSTALL, run_ngspice
from hwsdk.ir.circuit import Circuit
from hwsdk.simulators.rcsj import solve

Crossings = dict[str, np.ndarray]


def ours(circuit: Circuit, stop: float, step: float) -> tuple[float, Crossings]:
    start = time.process_time()
    run = solve(circuit, stop, step_s=step)
    return time.process_time() - start, dict(run.crossings)


def theirs(circuit: Circuit, stop: float) -> tuple[float, Crossings]:
    """Processor seconds of ngspice alone; making the deck and reading the phases is not counted."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = run_ngspice(circuit, stop, timeout_s=3600)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime, dict(found)


def error(found: Crossings, exact: Crossings) -> float:
    """fs, of crossings that both have: a pulse may be at a junction just when the run ends."""
    both = {j: min(len(found[j]), len(exact[j])) for j in exact}
    return max(float(np.abs(found[j][:n] - exact[j][:n]).max(initial=0.0)) for j, n in both.items()) * 1e15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,52,200,1000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--step-ps", type=float, default=0.035)
    parser.add_argument("--longest-ps", type=float, default=300.0)
    args = parser.parse_args()
    if shutil.which("ngspice") is None:
        sys.exit(f"no ngspice: {INSTALL}")
    step = args.step_ps * 1e-12
    solve(jj.jtl(2), 1e-12)  # loads the kernel
    for n in map(int, args.sizes.split(",")):
        circuit, stop = jj.jtl(n), min(90 + 2 * n, args.longest_ps) * 1e-12
        _, exact = ours(circuit, stop, step / 6)
        rounds = [(ours(circuit, stop, step), theirs(circuit, stop)) for _ in range(args.rounds)]
        ratio = [b[0] / a[0] for a, b in rounds]
        mine, other = (min(r[k][0] for r in rounds) for k in (0, 1))
        print(f"{n:5} JJ, {stop / step:6.0f} steps: ours {mine:8.4f} s (error {error(rounds[0][0][1], exact):5.1f} fs, "
              f"{n * stop / step / mine / 1e6:5.1f} M JJ-steps/s), ngspice {other:8.3f} s "
              f"({error(rounds[0][1][1], exact):5.1f} fs): {statistics.median(ratio):6.1f} times as fast "
              f"({min(ratio):.1f} to {max(ratio):.1f})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
