"""Steps a second of the SpiNNaker 2 simulator on the NIR paper's N-MNIST network, all events counted.

usage: simulate_spinnaker.py CORPUS [--samples 50] [--step-time 2.5e-3]
CORPUS holds nir_paper/cnn_sinabs.nir and nmnist/nmnist_test_0_49.npz. Counted in every step, and for every PE: spikes,
packets, hops, synaptic events by kind, cycles, the fullest FIFO, late and lost ticks. The Brian2 backend of
py-spinnaker2, which counts none of these, runs about 40 steps/s of this network ("about 7 s a sample" of 301 steps in
its notebooks).
Timed is a run after one of a single sample that loads (the very first time: compiles) the kernels.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import hwsdk
from hwsdk.backends.verify import decisions
from hwsdk.ir.data import Stimulus
from hwsdk.ir.formats import load_data
from hwsdk.ir.network import Network

STEPS = 301
"""Of a sample, as in the paper."""
BRIAN2 = 40.0
"""Steps/s of py-spinnaker2's Brian2 backend, by its notebooks."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--step-time", type=float, default=2.5e-3, help="seconds (default 2.5e-3)")
    args = parser.parse_args()
    for reset in ("value", "subtract"):
        network = hwsdk.load(args.corpus / "nir_paper" / "cnn_sinabs.nir", preset="spinnaker2", dt=1.0, reset=reset)
        shapes = {n: i.shape for n, i in network.inputs.items()}
        data = load_data(args.corpus / "nmnist" / "nmnist_test_0_49.npz", shapes, dt_s=1e-3, n_steps=STEPS,
                         limit=args.samples)
        show(network, data, reset, args.step_time)


def show(network: Network, data: Stimulus, reset: str, step_time: float) -> None:
    """Compile, run and print."""
    start = time.perf_counter()
    program = hwsdk.compile(network, "spinnaker2", step_time=step_time)
    mapped = time.perf_counter() - start
    hwsdk.simulate(program, data.one(0))
    start = time.perf_counter()
    trace = hwsdk.simulate(program, data)
    seconds = time.perf_counter() - start
    rate = trace.n_samples * trace.n_steps / seconds
    pes, late = trace.counts["pe_cycles"].shape[-1], int(trace.counts["late_ticks"].sum())
    events = trace.counts["static_events"].sum() + trace.counts["conv_events"].sum()
    right = int((decisions(trace, "output", STEPS) == data.labels).sum())
    print(f"reset {reset}: {network.n_neurons:,} neurons on {pes} PEs, compiled in {mapped:.2f} s; {trace.n_samples} "
          f"samples of {trace.n_steps} steps in {seconds:.2f} s: {rate:,.0f} steps/s, {events / seconds / 1e6:,.0f} "
          f"million synaptic events/s; {rate / BRIAN2:,.0f} x Brian2's {BRIAN2:g}; {late} ticks late; {right} of "
          f"{trace.n_samples} right")


if __name__ == "__main__":
    main()
