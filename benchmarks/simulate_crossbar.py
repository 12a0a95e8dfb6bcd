"""Steps a second of a liquid of 256 neurons on crossbars, stage by stage: `python benchmarks/simulate_crossbar.py`.

usage: simulate_crossbar.py [--neurons 256] [--samples 20] [--steps 128] [--rounds 3]

64 inputs at 25 %, one thread; seconds are of the processor, the best of the rounds; building a die is told apart. The
wires of the two topologies are those of the 40 nm description.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import hwsdk
from hwsdk.ir.data import Stimulus
from hwsdk.lsm.liquid import liquid
from hwsdk.simulators.memristor import chip_of

CASES = {
    "converters": {"wires": "off"},
    "converters, read noise": {"wires": "off", "read": 0.05},
    "driven rows with wires": {"topology": "driven", "spread": "no"},
    "driven rows with wires, read noise": {"topology": "driven", "spread": "no", "read": 0.05},
    "gated rows with wires": {},
    "gated rows with wires, read noise": {"read": 0.05},
}


def seconds(call):
    """(processor seconds, result)."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (("neurons", 256), ("samples", 20), ("steps", 128), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    network = liquid(64, given.neurons)
    spikes = np.random.default_rng(0).random((given.samples, given.steps, 64)) < 0.25
    data = Stimulus.dense(spikes, {"in": (64,)})
    print(f"{'':36} {'build':>8} {'steps/s':>9} {'of neurons and steps':>9}")
    for name, options in CASES.items():
        program = hwsdk.compile(network, "memristor", bits=5, chips=16, target_options=options)
        build, chip = seconds(lambda p=program: chip_of(p))
        chip.run(data.one(0))
        runs = [seconds(lambda c=chip: c.run(data)) for _ in range(given.rounds)]
        trace = runs[0][1]
        rate = trace.spikes["liquid"].counts().sum() / (given.samples * trace.n_steps * given.neurons)
        speed = given.samples * trace.n_steps / min(s for s, _ in runs)
        print(f"{name:36} {build:6.2f} s {speed:9,.0f} {rate:9.1%} spike")


if __name__ == "__main__":
    main()
