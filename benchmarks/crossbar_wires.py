"""Crossbars with wires beside badcrossbar 1.1.0, in one run: `python benchmarks/crossbar_wires.py`.

usage: crossbar_wires.py [--sizes 128,256,512] [--rounds 3] [--badcrossbar PYTHON]

N x N cells of 5 to 50 uS (uniform, seed 0), rows at 0 to 0.2 V, 1 ohm a segment, one vector. Rounds are interleaved,
so that other load hits both, and medians count. Seconds are of the processor, one thread. Every measurement is a
process of its own: memory is the most that it ever held (VmHWM), as it is and less what it held before the problem,
after imports and a first problem of 4 x 4. Products are the best of 15. badcrossbar: pip install --no-deps
badcrossbar==1.1.0 pathvalidate==3.3.1, into this environment or one that PYTHON belongs to.

CrossSim 3.2.0 is not on PyPI: its figures were recorded on the same problem for a pair of arrays, Verr 1e-3 (its
default), so two solutions of ours are beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CROSSSIM = {64: (0.001, 2.3e-4), 128: (0.003, 8.4e-4), 256: (0.113, 1.15e-2), 512: (62.4, 1.8e-2)}
"""Size -> processor seconds of a pair of arrays and rms error, recorded with CrossSim 3.2.0 as it comes."""
IRDROPT = 0.206
"""Processor seconds of a vector on a 512 x 512 tile of aihwkit 1.2.0, TorchInferenceRPUConfigIRDropT, recorded."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def held_mb() -> float:
    """The most that this process ever held; unlike ru_maxrss, without what its parent held."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def problem(n: int) -> tuple[Any, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    return 1 / rng.uniform(5e-6, 50e-6, (n, n)), rng.uniform(0, 0.2, (n, 1))


def seconds(call: Callable[[], Any], times: int, take: Callable[[list[float]], float] = statistics.median) -> Any:
    """Median (or what ``take`` says) processor seconds of a call, and its last result."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        found = call()
        taken.append(time.process_time() - start)
    return take(taken), found


def child_badcrossbar(n: int) -> tuple[Callable[[Any, Any], Any], int]:
    import logging

    import badcrossbar

    logging.disable(logging.CRITICAL)
    return lambda ohm, v: badcrossbar.compute(
        v, ohm, r_i=1.0, node_voltages=False, all_currents=False).currents.output.ravel(), 1


def child_hwsdk(n: int) -> tuple[Callable[[Any, Any], Any], int]:
    from hwsdk.simulators.wires_solve import solve, uniform

    return lambda ohm, v: solve(1 / ohm, v[:, 0], uniform(*ohm.shape, 1.0, 1.0)), max(3, 2048 // n)


def child(tool: str, n: int, keep: str) -> None:
    """Solve the problem once for its memory, then again for the time; one line of JSON, currents to ``keep``."""
    import numpy as np

    call, times = {"badcrossbar": child_badcrossbar, "hwsdk": child_hwsdk}[tool](n)
    call(*problem(4))
    ohm, v = problem(n)
    before = held_mb()
    taken, found = seconds(lambda: call(ohm, v), 1)
    after = held_mb()
    if times > 1:
        taken, found = seconds(lambda: call(ohm, v), times)
    np.save(keep, found)
    print(json.dumps({"cpu_s": taken, "mb": after, "more_mb": after - before}))


def measured(python: str, tool: str, n: int, folder: str) -> tuple[dict[str, float], Any]:
    import numpy as np

    keep = str(Path(folder) / f"{tool}.npy")
    command = [python, __file__, "--child", tool, str(n), keep]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD)
    if done.returncode:
        raise SystemExit(f"{tool} at {n} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]), np.load(keep)


def beside(sizes: list[int], rounds: int, peer: str) -> dict[int, tuple[float, float]]:
    """Both tools, round by round; size -> our seconds and the largest relative difference."""
    import numpy as np

    print("one solution, 1 ohm; s of the processor, MB held at most (of these: more than before the problem)")
    print(f"{'size':>5} {'badcrossbar':>24} {'hwsdk':>24} {'faster':>8} {'memory':>8} {'of all':>7} {'apart':>9}")
    taken = {}
    for n in sizes:
        runs: dict[str, list[dict[str, float]]] = {"badcrossbar": [], "hwsdk": []}
        currents = {}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(rounds):
                for tool, python in (("badcrossbar", peer), ("hwsdk", sys.executable)):
                    run, currents[tool] = measured(python, tool, n, folder)
                    runs[tool].append(run)
        theirs, ours = ({k: statistics.median(r[k] for r in runs[t]) for k in runs[t][0]} for t in runs)
        apart = float(np.max(np.abs(currents["hwsdk"] / currents["badcrossbar"] - 1)))
        shown = [f"{x['cpu_s']:9.4f} {x['mb']:6.0f} ({x['more_mb']:6.1f})" for x in (theirs, ours)]
        more, whole = theirs["more_mb"] / max(ours["more_mb"], 0.1), theirs["mb"] / ours["mb"]
        print(f"{n:5} {shown[0]:>24} {shown[1]:>24} {theirs['cpu_s'] / ours['cpu_s']:7.0f}x "
              f"1/{more:<6.0f} 1/{whole:<5.1f} {apart:9.1e}")
        taken[n] = ours["cpu_s"], apart
    return taken


def recorded(taken: dict[int, tuple[float, float]]) -> None:
    print("\nCrossSim 3.2.0 (recorded), a pair of arrays: s, rms error; hwsdk, two solutions: s, largest error")
    for n, (one, apart) in taken.items():
        if n in CROSSSIM:
            s, error = CROSSSIM[n]
            print(f"{n:5} {s:9.3f} {error:9.1e} {2 * one:9.4f} {apart:9.1e} {s / (2 * one):8.1f}x as fast")


def compiled() -> None:
    """The effective matrix: building it, and products with it."""
    import numpy as np

    from hwsdk.simulators.wires import NoiseModel, effective, solve, uniform

    print("\neffective matrix: s to build it once; us a vector in a product alone and in a batch of 64; largest error")
    effective(np.full((4, 4), 1e-5), uniform(4, 4, 1, 1))
    for rows, columns in ((256, 256), (512, 64)):
        rng = np.random.default_rng(0)
        g, v = rng.uniform(5e-6, 50e-6, (rows, columns)), rng.uniform(0, 0.2, (64, rows))
        grid = uniform(rows, columns, 1.0, 1.0)
        build, made = seconds(lambda g=g, grid=grid: effective(g, grid), 3)
        one, _ = seconds(lambda a=made.currents, x=v[0]: [a @ x for _ in range(200)], 15, min)
        many, found = seconds(lambda a=made.currents, x=v: [x @ a.T for _ in range(10)], 15, min)
        error = np.max(np.abs(found[0] / solve(g, v, grid, 1e-13) - 1))
        print(f"{rows:5} x {columns:3} {build:8.3f} {one / 200 * 1e6:8.2f} {many / 640 * 1e6:8.2f} {error:9.1e}")
    print(f"  aihwkit IRDropT 512 x 512 (recorded): {IRDROPT * 1e6:,.0f} us a vector; 8 groups of 64 columns here: "
          f"{8 * one / 200 * 1e6:.1f} us, {IRDROPT / (8 * one / 200):,.0f}x as fast")
    build, model = seconds(lambda: NoiseModel(g, grid, 0.05 * g), 1)
    print(f"  its read noise: {build:.2f} s to build, {(model.factor.nbytes + model.diagonal.nbytes) / 1e6:.2f} MB, "
          f"variances off by {model.error:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="128,256,512")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--badcrossbar", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--child", nargs=3, metavar=("TOOL", "N", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], int(arguments.child[1]), arguments.child[2])
        return
    os.environ |= ONE_THREAD  # before numpy is imported here
    recorded(beside([int(n) for n in arguments.sizes.split(",")], arguments.rounds, arguments.badcrossbar))
    compiled()


if __name__ == "__main__":
    main()
