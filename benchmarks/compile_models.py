"""Time to compile models for a chip, after import: the first compile of the process and the median of five more.

usage: compile_models.py MODEL.nir [MODEL.nir ...] [--target loihi2]
What a file leaves open is guessed; the guess does not change the time.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import hwsdk
from hwsdk import backends


def seconds(network: object, target: str) -> float:
    start = time.perf_counter()
    hwsdk.compile(network, target)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--target", default="loihi2")
    arguments = parser.parse_args()
    backends.get(arguments.target)  # imports what compiling needs
    warnings.simplefilter("ignore")
    for path in arguments.models:
        network = hwsdk.load(path)
        first = seconds(network, arguments.target)
        rest = statistics.median(seconds(network, arguments.target) for _ in range(5))
        print(f"{path}: {network.n_neurons} neurons, first {first:.3f} s, then {rest:.3f} s")


if __name__ == "__main__":
    main()
