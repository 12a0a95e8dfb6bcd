"""hwsdk against Brian2 and SANA-FE on the same network, in interleaved rounds, so that other load hits all alike.

usage: compare_peers.py [--brian2 PYTHON] [--sanafe PYTHON] [--peers FOLDER] [-n N] [-k K] [-t T] [--rounds R]

All compute the same spikes, and leave out building and compiling. hwsdk, on one thread and on two, also counts
messages, hops, and the busiest core and link in every step; SANA-FE computes energy and time; Brian2 has no notion of
hardware.
PYTHON: interpreters that have Brian2 (2.9 needs numpy < 2.4 and a C++ compiler; --mode cpp is its C++ standalone mode)
and SANA-FE. FOLDER holds ``run_brian2.py`` and ``run_sanafe.py``, which print one JSON object with steps_per_s and the
network's digest ``net``. A tool without an interpreter is left out. SANA-FE runs T / 50 steps, at least ten.

Printed are of each tool the median and the best round, and of the rounds' ratios to hwsdk on one thread the median, the
smallest and the largest. On a machine with other load the best rounds say most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
OURS = "hwsdk"


def measure(line: list[str]) -> dict[str, object]:
    """The JSON object that a command prints in its last line that begins with {."""
    done = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD})
    rows = [text for text in done.stdout.splitlines() if text.startswith("{")]
    if done.returncode or not rows:
        sys.exit(f"failed: {' '.join(line)}\n{done.stderr[-2000:]}")
    return json.loads(rows[-1])


def commands(args: argparse.Namespace) -> dict[str, list[str]]:
    """Tool -> command."""
    size = [str(args.n), str(args.k)]
    ours = [sys.executable, str(HERE / "run_hwsdk.py"), *size, str(args.t)]
    found = {OURS: ours, "hwsdk, 2 threads": [*ours, "--threads", "2"]}
    for python, script, mode, steps in ((args.brian2, "run_brian2.py", args.mode, args.t),
                                        (args.sanafe, "run_sanafe.py", "detailed", max(10, args.t // 50))):
        if python is not None and (args.peers / script).exists():
            found[f"{script[4:-3]} {mode}"] = [python, str(args.peers / script), *size, str(steps), mode]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brian2", help="Python interpreter that has Brian2")
    parser.add_argument("--sanafe", help="Python interpreter that has SANA-FE")
    parser.add_argument("--mode", choices=("cpp", "cython"), default="cpp", help="how Brian2 makes its code")
    parser.add_argument("--peers", type=Path, default=HERE.parent.parent / "shared" / "peers")
    parser.add_argument("-n", type=int, default=10_000, help="neurons")
    parser.add_argument("-k", type=int, default=100, help="fan-out")
    parser.add_argument("-t", type=int, default=5000, help="steps")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    lines = commands(args)
    rounds = [{tool: measure(line) for tool, line in lines.items()} for _ in range(args.rounds)]
    if len({str(row["net"]) for r in rounds for row in r.values()}) != 1:
        sys.exit("the tools did not simulate the same network")
    for tool in lines:
        speed = [r[tool]["steps_per_s"] for r in rounds]
        ratio = [r[OURS]["steps_per_s"] / r[tool]["steps_per_s"] for r in rounds]
        best = max(r[OURS]["steps_per_s"] for r in rounds) / max(speed)
        print(f"{tool:20} {statistics.median(speed):10,.1f} steps/s (best {max(speed):,.1f}), "
              f"{max(r[tool]['rss_mb'] for r in rounds):6.0f} MB; {OURS} is {statistics.median(ratio):.2f} times as "
              f"fast ({min(ratio):.2f} to {max(ratio):.2f}; best rounds {best:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
