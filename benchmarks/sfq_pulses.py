"""Pulse deliveries a second of the pulse simulator, beside the same rules in plain Python with heapq.

usage: sfq_pulses.py [--pulses 2000] [--rounds 3]
Two netlists of JTL, SPLIT and MERGE cells, with a TFF after every merger, without which pulses would double at each
stage: a butterfly of 64 lanes and 21 stages, which are those of a bitonic sorter; and a tree of splitters 12 deep whose
leaves are merged again. Violations are recorded, and counted here. Both simulators run in turn, in CPU time of one
core; the plain one has 1/100 of the pulses. Its ratio is no claim about other tools: PyLSE was measured at 77 to 134
thousand pulses/s (77 thousand on a bitonic sorter of 64 lanes, commit 5f7e65d), see docs of the target.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from sfq_cells_by_hand import Net, PulseNetlist  # type: ignore[import-not-found]
from sfq_twin import Twin  # type: ignore[import-not-found]

from hwsdk.simulators.sfq import Conditions, build
from hwsdk.simulators.sfq_machine import noise_key, params
from hwsdk.simulators.sfq_run import go, result, start

LANES, STAGES, DEPTH = 64, 21, 12
GAP_FS = 500_000
"""Mean time between pulses of a source."""
SHARE = 100
CONDITIONS = {"no jitter": Conditions(), "jitter": Conditions(jitter=True, unknown_sigma_fs=51.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pulses", type=int, default=2000, help="of each source")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    for name, (program, sources) in {"butterfly": butterfly(), "tree": tree()}.items():
        for said, conditions in CONDITIONS.items():
            rounds = [one_round(program, sources, args.pulses, conditions) for _ in range(args.rounds + 1)][1:]
            fast, slow, deliveries, violations = (np.median([r[k] for r in rounds]) for k in range(4))
            print(f"{name}, {program.n_cells:,} cells, {said}: {deliveries:,.0f} deliveries ({violations:,.0f} "
                  f"violations), {fast / 1e6:.1f} M/s; plain Python {slow / 1e3:.0f} k/s; {fast / slow:.0f} x")


def butterfly() -> tuple[PulseNetlist, list[int]]:
    """Every stage gives each lane's pulses to the lane itself and to a partner."""
    net = Net()
    sources = [net.add("SRC") for _ in range(LANES)]
    lanes = [(s, 0) for s in sources]
    for stage in range(STAGES):
        apart, halves, merged = 1 << stage % 6, [], []
        for cell, pin in lanes:
            split = net.add("SPLIT")
            net.join(cell, pin, split, 0)
            halves.append([net.add("JTL"), net.add("JTL")])
            for o, jtl in enumerate(halves[-1]):
                net.join(split, o, jtl, 0)
        for lane in range(LANES):
            merge, half = net.add("MERGE"), net.add("TFF")
            net.join(halves[lane][0], 0, merge, 0)
            net.join(halves[lane ^ apart][1], 0, merge, 1)
            net.join(merge, 0, half, 0)
            merged.append((half, 0))
        lanes = merged
    return net.program(), sources


def tree() -> tuple[PulseNetlist, list[int]]:
    """Splitters, a JTL of its own number of cells at every leaf, mergers with TFFs."""
    net = Net()
    source = net.add("SRC")
    ends = [(source, 0)]
    for _ in range(DEPTH):
        splits = [net.add("SPLIT") for _ in ends]
        for (cell, pin), split in zip(ends, splits, strict=True):
            net.join(cell, pin, split, 0)
        ends = [(s, o) for s in splits for o in (0, 1)]
    for k, (cell, pin) in enumerate(ends):
        line = net.chain(["JTL"] * (1 + k % 8))
        net.join(cell, pin, line[0], 0)
        ends[k] = (line[-1], 0)
    while len(ends) > 1:
        merges = [net.chain(["MERGE", "TFF"]) for _ in ends[::2]]
        for k, (cell, pin) in enumerate(ends):
            net.join(cell, pin, merges[k // 2][0], k % 2)
        ends = [(m[1], 0) for m in merges]
    return net.program(), [source]


def one_round(program: PulseNetlist, sources: list[int], pulses: int, conditions: Conditions,
              ) -> tuple[float, float, int, int]:
    """Deliveries a second of both, and deliveries and violations of the fast one."""
    rng = np.random.default_rng(0)
    count = pulses * len(sources) if len(sources) > 1 else max(pulses // 10, 1)
    at = np.sort(rng.integers(0, max(count // len(sources), 1) * GAP_FS, count))
    cell = np.array(sources, np.int32)[rng.integers(0, len(sources), count)]
    machine = build(program)
    run = start(machine, machine.keys(at, cell), noise_key(conditions, 0))
    begin = time.process_time()
    done = result(go(machine, machine.wires, params(machine, conditions), run, int(at[-1]) + 10_000_000))
    fast = done.deliveries / (time.process_time() - begin)
    twin = Twin(program, conditions)
    for k in range(max(count // SHARE, 1)):
        twin.source(int(cell[k]), int(at[k]))
    begin = time.process_time()
    twin.run(int(at[-1]) + 10_000_000)
    return fast, twin.delivered / (time.process_time() - begin), done.deliveries, done.absorbed + done.timing


if __name__ == "__main__":
    main()
