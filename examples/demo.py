"""Deploy a digits network on every target: fit, accuracy, energy, latency, and a comparison with Lava if it is there;
then a memory that learns on the chip, XOR in superconducting logic by pulses and as a circuit, and all four families of
chips side by side.

    python examples/demo.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cam_memory
import numpy as np
import sfq_xor

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.compiler import load_data
from hwsdk.errors import MissingDependencyError, UnsupportedError
from hwsdk.hil import session
from hwsdk.hil.devices import open_device
from hwsdk.report.compare import compare
from hwsdk.report.content_of import content_of
from hwsdk.report.html import save
from hwsdk.simulators import reference

HERE = Path(__file__).parent
PAGE = HERE.parent / "build" / "digits_spinnaker2.html"
LAVA_SAMPLES = 5
"""Test images that run in Lava too; it is made for proof, not for speed."""


def accuracy(counts: Any, labels: Any) -> float:
    """Share of samples whose output with the most spikes is the label; ties go to the lowest index."""
    return float(np.mean(counts.argmax(1) == labels))


@dataclass(frozen=True)
class Job:
    """A trained network with its data, and how it was trained. output: the population that decides."""

    file: str
    data: str
    calibration: str
    output: str
    bits: int
    semantics: dict[str, Any]

    def load(self) -> tuple[Any, Any, Any]:
        """(network, calibration data, test data)."""
        network = hwsdk.load(str(HERE / self.file), **self.semantics)
        return network, load_data(HERE / self.calibration, network, limit=50), load_data(HERE / self.data, network)


DIGITS = Job("digits.nir", "digits_test.npz", "digits_calibration.npz", "lif2", 8, {"dt": 1e-3, "reset": "value"})
"""LIF neurons, for chips with processors or neuro-cores."""
PULSES = Job("digits_sfq.nir", "digits_sfq_test.npz", "digits_sfq_test.npz", "if2", 4, {"dt": 1.0, "reset": "subtract"})
"""Integrate-and-fire neurons with small whole weights, for pulse logic, which has no leak."""
JOBS = {"sfq": PULSES}
"""Target -> its job, where it is not DIGITS."""
DEVICES = ("exec:", "unicorn:")
"""Firmware as a process, and on an emulated Cortex-M4F."""
DEVICE_SAMPLES = {"exec:": 20, "unicorn:": 1}
VARIANTS = "memristor_"
"""Targets whose names begin so are other arrays of the target memristor, of which a line is shown."""


def show_target(name: str, job: Job) -> None:
    """Compile, simulate and price for one target."""
    network, calibration, data = job.load()
    float_counts = reference.run(network, data).counts_of(job.output, data.n_steps)
    program = hwsdk.compile(network, name, data=calibration, bits=job.bits)
    trace = hwsdk.simulate(program, data)
    backend = backends.get(name)
    (output,) = program.outputs["output"]
    counts = trace.counts_of(output, data.n_steps)
    print(f"\n=== {name}: {backend.target.title}")
    print(f"{job.file}: {network.n_neurons} neurons, {network.n_parameters:,} parameters, {data.n_samples} test images "
          f"of {data.n_steps} steps; program {program.digest()[:16]}\n\nfit")
    for resource, usage in backend.summary(program).items():
        print(f"  {resource:30} {usage}")
    same = float(np.mean(counts.argmax(1) == float_counts.argmax(1)))
    print(f"\naccuracy on the chip {accuracy(counts, data.labels):.1%}, in floats "
          f"{accuracy(float_counts, data.labels):.1%}; the same decision on {same:.1%} of the samples\n")
    print(hwsdk.estimate(program, trace).to_text(), end="")
    print(f"\n{lava_says(program, network, job)}")
    for url in DEVICES:
        print(device_says(url, program, job))
    if backend.target.proxy is not None:
        print("\nthe same with the documented stand-in for the prices that are not published")
        print(hwsdk.estimate(program, trace, proxy=backend.target.proxy.name).to_text(), end="")


def show_variant(name: str, job: Job) -> None:
    """A target of which there is a fuller one, in a line."""
    network, calibration, data = job.load()
    program = hwsdk.compile(network, name, data=calibration, bits=job.bits, target_options={"compensate": "yes"})
    trace = hwsdk.simulate(program, data)
    report = hwsdk.estimate(program, trace)
    (output,) = program.outputs["output"]
    print(f"  {name:17} {accuracy(trace.counts_of(output, data.n_steps), data.labels):.1%}, {report.latency}, "
          f"{report.energy_total}")


def lava_says(program: Any, network: Any, job: Job) -> str:
    """Do the first test images give the same spikes in lava-nc?"""
    few = load_data(HERE / job.data, network, limit=LAVA_SAMPLES)
    try:
        theirs = hwsdk.simulate(program, few, engine="lava")
    except UnsupportedError as error:
        return f"not compared with Lava, which runs Loihi's programs ({error.code})"
    except MissingDependencyError as error:
        return f"not compared with Lava: {error.what} ({error.fix})"
    first = hwsdk.simulate(program, few).first_difference(theirs)
    return f"lava-nc, {LAVA_SAMPLES} test images: {'every spike is the same' if first is None else f'differs, {first}'}"


def device_says(url: str, program: Any, job: Job) -> str:
    """Do the first test images give the same spikes on the firmware?"""
    few = load_data(HERE / job.data, program, limit=DEVICE_SAMPLES[url])
    try:
        with open_device(url) as device:
            report = session.run(program, device, few)
    except MissingDependencyError as error:
        return f"not run on {url} {error.what} ({error.fix})"
    c = report.capabilities
    same = f"all {report.spikes:,} spikes are the simulator's" if report.ok else f"it differs: {report.window.mismatch}"
    return f"firmware on {c.name}, {c.core}, {few.n_samples} test images: {same}"


def show_comparison() -> None:
    """The network that every family takes on one chip of each, and a report of one of them to look at."""
    network, _, data = PULSES.load()
    print(f"\n=== which chip? {PULSES.file} on four of them (hwsdk compare)")
    print(compare(network, data, common=CompileOptions(bits=PULSES.bits)).to_text())
    program = hwsdk.compile(network, "spinnaker2", bits=PULSES.bits)
    trace = hwsdk.simulate(program, data)
    content = content_of(program, trace, backends.get(program.target), cost=hwsdk.estimate(program, trace),
                         stimulus=data)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    print(f"\nwhat is where, how full and how busy, in a browser (hwsdk report): {save(content, PAGE)}")


def main() -> None:
    """Every target of the table, then what only some of them do."""
    names = backends.names()
    for name in (n for n in names if not n.startswith(VARIANTS)):
        show_target(name, JOBS.get(name, DIGITS))
    print("\n=== the same digits on other crossbars: accuracy, latency and energy of an image; digital gains make good "
          "what wires lose")
    for name in (n for n in names if n.startswith(VARIANTS)):
        show_variant(name, DIGITS)
    print("\n=== spinnaker2: a memory that learns on the chip (examples/cam_memory.py)")
    cam_memory.main()
    print("\n=== sfq: XOR by pulses and as a circuit (examples/sfq_xor.py)")
    sfq_xor.main(["--quick"])
    show_comparison()


if __name__ == "__main__":
    main()
