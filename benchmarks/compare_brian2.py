"""hwsdk against Brian2 (Cython) on the same network, in interleaved rounds, so that other load hits both alike.

usage: compare_brian2.py [BRIAN2_PYTHON] [--peers FOLDER] [-n N] [-k K] [-t T] [--rounds R]

Both compute the same spikes with integer dynamics on one thread and leave out building and compiling; hwsdk also counts
messages, hops, and the busiest core and link in every step, which Brian2 has no notion of. FOLDER holds
``run_brian2.py``, which prints one JSON object with steps_per_s and the network's digest ``net``. BRIAN2_PYTHON is an
interpreter with brian2 installed (Brian2 2.9 needs numpy < 2.4 and a C++ compiler); without it nothing is compared.
Each call of Brian2's run() prepares for about a tenth of a second, which is in its time: with few steps (-t 200) the
ratio is several times higher than with many, and says more about that than about the speed of a step.
Printed are the medians, and of the rounds' ratios the median, the smallest and the largest; on a machine with other
load the ratio by CPU time is the steadier one.
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


def measure(line: list[str]) -> dict[str, object]:
    """The JSON object that a command prints in its last line that begins with {."""
    done = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD})
    rows = [text for text in done.stdout.splitlines() if text.startswith("{")]
    if done.returncode or not rows:
        sys.exit(f"failed: {' '.join(line)}\n{done.stderr[-2000:]}")
    return json.loads(rows[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brian2", nargs="?", help="Python interpreter that has Brian2")
    parser.add_argument("--peers", type=Path, default=HERE.parent.parent / "shared" / "peers")
    parser.add_argument("-n", type=int, default=10_000, help="neurons")
    parser.add_argument("-k", type=int, default=100, help="fan-out")
    parser.add_argument("-t", type=int, default=5000, help="steps")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    script = args.peers / "run_brian2.py"
    if args.brian2 is None or not script.exists():
        print("not compared: give a Python that has Brian2, and --peers FOLDER with run_brian2.py (see --help)")
        return 0
    size = [str(args.n), str(args.k), str(args.t)]
    ours = [sys.executable, str(HERE / "run_hwsdk.py"), *size]
    theirs = [args.brian2, str(script), *size, "cython"]
    rounds = [(measure(ours), measure(theirs)) for _ in range(args.rounds)]
    if any(a["net"] != b["net"] for a, b in rounds):
        sys.exit("the two tools did not simulate the same network")
    for tool in zip(*rounds, strict=True):
        print(f"{tool[0]['tool']:24} {statistics.median(r['steps_per_s'] for r in tool):10,.0f} steps/s "
              f"{statistics.median(r['events_per_s'] for r in tool) / 1e6:8.1f} M events/s "
              f"{max(r['rss_mb'] for r in tool):6.0f} MB")
    for key, text in (("steps_per_s", "wall time"), ("cpu_steps_per_s", "CPU time")):
        ratios = [a[key] / b[key] for a, b in rounds]
        print(f"ratio by {text}: {statistics.median(ratios):.2f} (rounds: {min(ratios):.2f} to {max(ratios):.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
