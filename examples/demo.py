"""Deploy the digits network on every target: fit, accuracy, energy, latency, and a comparison with Lava if it is there;
then a memory that learns on the chip.

    python examples/demo.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cam_memory
import numpy as np

import hwsdk
from hwsdk import backends
from hwsdk.compiler import load_data
from hwsdk.errors import MissingDependencyError, UnsupportedError
from hwsdk.simulators import reference

HERE = Path(__file__).parent
LAVA_SAMPLES = 5
"""Test images that run in Lava too; it is made for proof, not for speed."""


def accuracy(counts: Any, labels: Any) -> float:
    """Share of samples whose output with the most spikes is the label; ties go to the lowest index."""
    return float(np.mean(counts.argmax(1) == labels))


def show_target(name: str, network: Any, calibration: Any, data: Any, float_counts: Any) -> None:
    """Compile, simulate and price for one target."""
    program = hwsdk.compile(network, name, data=calibration)
    trace = hwsdk.simulate(program, data)
    backend = backends.get(name)
    (output,) = program.outputs["output"]
    counts = trace.counts_of(output, data.n_steps)
    print(f"\n=== {name}: {backend.target.title}")
    print(f"program {program.digest()[:16]}\n\nfit")
    for resource, usage in backend.summary(program).items():
        print(f"  {resource:30} {usage}")
    same = float(np.mean(counts.argmax(1) == float_counts.argmax(1)))
    print(f"\naccuracy of the chip's integers {accuracy(counts, data.labels):.1%}, in floats "
          f"{accuracy(float_counts, data.labels):.1%}; the same decision on {same:.1%} of the samples\n")
    print(hwsdk.estimate(program, trace).to_text(), end="")
    print(f"\n{lava_says(program, network)}")
    if backend.target.proxy is not None:
        print("\nthe same with the documented stand-in for the prices that are not published")
        print(hwsdk.estimate(program, trace, proxy=backend.target.proxy.name).to_text(), end="")


def lava_says(program: Any, network: Any) -> str:
    """Do the first test images give the same spikes in lava-nc?"""
    few = load_data(HERE / "digits_test.npz", network, limit=LAVA_SAMPLES)
    try:
        theirs = hwsdk.simulate(program, few, engine="lava")
    except UnsupportedError as error:
        return f"not compared with Lava, which runs Loihi's programs ({error.code})"
    except MissingDependencyError as error:
        return f"not compared with Lava: {error.what} ({error.fix})"
    first = hwsdk.simulate(program, few).first_difference(theirs)
    return f"lava-nc, {LAVA_SAMPLES} test images: {'every spike is the same' if first is None else f'differs, {first}'}"


def main() -> None:
    """Load the model once, then every target of the table."""
    network = hwsdk.load(str(HERE / "digits.nir"), dt=1e-3, reset="value")
    calibration = load_data(HERE / "digits_calibration.npz", network)
    data = load_data(HERE / "digits_test.npz", network)
    print(f"digits.nir: {network.n_neurons} neurons, {network.n_parameters:,} parameters, "
          f"{data.n_samples} test images of {data.n_steps} steps of {network.semantics.dt * 1e3:g} ms")
    float_counts = reference.run(network, data).counts_of("lif2", data.n_steps)
    for name in backends.names():
        show_target(name, network, calibration, data, float_counts)
    print("\n=== spinnaker2: a memory that learns on the chip (examples/cam_memory.py)")
    cam_memory.main()


if __name__ == "__main__":
    main()
