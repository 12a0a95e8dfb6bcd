"""What runs where Lava is: the run time of every emitted Lava script, and the child process of hwsdk.backends.lava.

Needs NumPy, SciPy and lava-nc (Python 3.10), nothing of hwsdk. The part between the two marks is copied into every
script that ``hwsdk emit --form lava`` writes.

usage: lava_child.py FOLDER          runs FOLDER/0, FOLDER/1, ...: network.py on input.npz as job.json says -> trace.npz
"""

# --- run time: begin ---
from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

MESSAGE_BITS = (8, 16, 24, 32)  # widths of a graded spike on Loihi 2
Outcome = dict[str, Any]  # "spikes:population" and "state:population:state" -> (samples, steps, n)


class Net:
    """The processes of one network, and one run of it.

    data: input name -> (steps, n) integers. probes: "all", or "population:state" names whose states are recorded.
    hardware: put Loihi 2's adapters between sources, neuro-cores and sinks.
    """

    def __init__(self, data: dict[str, Any], steps: int, probes: Any = (), hardware: bool = False) -> None:
        self.data, self.steps, self.probes, self.hardware = data, steps, probes, hardware
        self.parts: list[tuple[str, Any, Any]] = []  # (population, process, its neurons)
        self.sinks: dict[int, Any] = {}
        self.followed: list[tuple[str, str, Any, Any, Any]] = []  # (population, state, process, neurons, Var)
        self.limits: list[tuple[str, int]] = []
        self.result: Outcome = {}

    def bits(self, name: str) -> int:
        """num_message_bits that an input needs: 0 for plain spikes."""
        data = self.data[name]
        if np.isin(data, (0, 1)).all():
            return 0
        largest = int(np.abs(data).max())
        return next(b for b in MESSAGE_BITS if largest < 1 << (b - 1) or b == MESSAGE_BITS[-1])

    def source(self, name: str, order: Any = slice(None), shape: Any = (-1,)) -> Any:
        """The port that sends an input, step by step; order and shape: of what is sent."""
        from lava.proc.io.source import RingBuffer

        data = self.data[name].T[order].reshape(*shape, self.steps)
        buffer = RingBuffer(data=np.ascontiguousarray(data.astype(np.int32)))
        if not self.hardware:
            return buffer.s_out
        from lava.proc.embedded_io.spike import PyToNxAdapter

        adapter = PyToNxAdapter(shape=buffer.s_out.shape, num_message_bits=self.bits(name))
        buffer.s_out.connect(adapter.inp)
        return adapter.out

    def population(self, name: str, n: int, parts: Any, states: dict[str, str], reads_out: str = "",
                   message_bits: int = 0) -> None:
        """Record a population of n neurons.

        parts: (process, which neurons) pairs. states: name of a state -> name of Lava's Var. reads_out: the state that
        is the output of neurons that do not spike, or "".
        """
        self.result[f"spikes:{name}"] = np.zeros((self.steps, n), np.int64)
        for k, (process, neurons) in enumerate(parts):
            process.name = name if len(parts) == 1 else f"{name}_{k}"
            self.parts.append((name, process, neurons))
            self.sinks[id(process)] = self._sink(process.s_out, message_bits)
            for state, var in states.items():
                if state == reads_out or self.probes == "all" or f"{name}:{state}" in self.probes:
                    self.followed.append((name, state, process, neurons, getattr(process, var)))
                    self.result[f"state:{name}:{state}"] = np.zeros((self.steps, n), np.int64)

    def _sink(self, port: Any, message_bits: int) -> Any:
        """A ring buffer that keeps what a port sends."""
        from lava.proc.io.sink import RingBuffer

        sink = RingBuffer(shape=port.shape, buffer=self.steps)
        if self.hardware:
            from lava.proc.embedded_io.spike import NxToPyAdapter

            adapter = NxToPyAdapter(shape=port.shape, num_message_bits=message_bits)
            port.connect(adapter.inp)
            port = adapter.out
        port.connect(sink.a_in)
        return sink

    def kernel(self, weight: Any, exponent: int, bits: int) -> dict[str, Any]:
        """Weights of a Conv. On the CPU it ignores exponent and bits, so they are folded into the weights."""
        if self.hardware:
            return {"weight": weight.astype(np.int32), "weight_exp": exponent, "num_weight_bits": bits}
        return {"weight": weight.astype(np.int32) << exponent}

    def keep_below(self, name: str, limit: int) -> None:
        """Refuse the result if an input or a population sends larger values."""
        self.limits.append((name, limit))

    def run(self) -> Outcome:
        """Run all steps; Lava compiles and runs only processes that are connected, so each such group in turn."""
        from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg

        config = Loihi2HwCfg() if self.hardware else Loihi2SimCfg(select_tag="fixed_pt")
        for _, process, _ in self.parts:
            if process.runtime is None:
                self._run_connected(process, config)
        for name, limit in self.limits:
            largest = int(np.abs(self.data[name] if name in self.data else self.result[f"spikes:{name}"]).max())
            if largest > limit:
                raise OverflowError(f"{name} sent {largest}: beyond {limit} a convolution of Lava may wrap at 24 bits")
        return self.result

    def _run_connected(self, first: Any, config: Any) -> None:
        """Run one process and all that are connected with it; step by step where states are recorded."""
        from lava.magma.core.run_conditions import RunSteps

        first.create_runtime(run_cfg=config)
        followed = [f for f in self.followed if f[2].runtime is first.runtime]
        for t in range(self.steps if followed else 1):
            first.run(condition=RunSteps(num_steps=1 if followed else self.steps), run_cfg=config)
            for name, state, _, neurons, var in followed:
                self.result[f"state:{name}:{state}"][t, neurons] = np.asarray(var.get()).ravel()
        for name, process, neurons in self.parts:
            if process.runtime is first.runtime:
                sent = np.asarray(self.sinks[id(process)].data.get()).reshape(-1, self.steps)
                self.result[f"spikes:{name}"][:, neurons] = sent.T.astype(np.int64)
        first.stop()


def matrix(numbers: Any, name: str, shape: tuple[int, int]) -> csr_matrix:
    """The weights of a connection, (targets, sources)."""
    at = (numbers[f"{name}_target"], numbers[f"{name}_source"])
    return csr_matrix((numbers[f"{name}_weight"].astype(np.int32), at), shape=shape)


def delays(numbers: Any, name: str, shape: tuple[int, int]) -> csr_matrix:
    """Lava's delay of each synapse: one step less than it takes, because every connection takes a step."""
    at = (numbers[f"{name}_target"], numbers[f"{name}_source"])
    return csr_matrix((numbers[f"{name}_delay"].astype(np.int64) - 1, at), shape=shape)


def run_samples(network: Callable[[Net], None], inputs: dict[str, Any], samples: int, steps: int, probes: Any = (),
                hardware: bool = False) -> Outcome:
    """Run every sample from the initial state. inputs: name -> (samples, steps or fewer, n)."""
    found: list[Outcome] = []
    for k in range(samples):
        data = {}
        for name, array in inputs.items():
            data[name] = np.zeros((steps, array.shape[2]), np.int64)
            data[name][: array.shape[1]] = array[k, :steps]
        net = Net(data, steps, probes, hardware)
        network(net)
        found.append(net.run())
    return {name: np.stack([f[name] for f in found]) for name in (found[0] if found else {})}


def leave_hard() -> None:
    """After an exception Lava's stop() can wait for ever: end the children, and this process without clean-up."""
    traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(1)


def script(network: Callable[[Net], None], sizes: dict[str, int], lag: int) -> None:
    """The command line of an emitted script."""
    parser = argparse.ArgumentParser(description="Run this network in Lava.")
    parser.add_argument("--input", required=True, help=".npz: (steps, n) or (samples, steps, n) for each input")
    parser.add_argument("--output", help=".npz: spikes and states of every population, (samples, steps, n)")
    parser.add_argument("--steps", type=int, help=f"default: those of the input and {lag} more, the network's lag")
    parser.add_argument("--probes", nargs="*", default=[], help="all, or POPULATION:STATE names")
    parser.add_argument("--hardware", action="store_true", help="on Loihi 2 (INRC members), not on this computer")
    a = parser.parse_args()
    warnings.filterwarnings("ignore")
    try:
        with np.load(a.input) as file:
            inputs = {n: file[n].reshape(-1, file[n].shape[-2], k) for n, k in sizes.items()}
        samples, length = next(iter(inputs.values())).shape[:2] if inputs else (1, a.steps or 1)
        probes = "all" if "all" in a.probes else a.probes
        result = run_samples(network, inputs, samples, a.steps or length + lag, probes, a.hardware)
        if a.output:
            np.savez_compressed(a.output, **result)
        for name, value in result.items():
            if name.startswith("spikes:"):
                print(f"{name[7:]}: {int((value != 0).sum())} spikes")
    except Exception:
        leave_hard()
# --- run time: end ---


def run_job(folder: Path) -> None:
    """Run one emitted script on its data."""
    spec = importlib.util.spec_from_file_location(f"network_{folder.name}", folder / "network.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder / 'network.py'} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    job = json.loads((folder / "job.json").read_text("utf-8"))
    with np.load(folder / "input.npz") as file:
        inputs = {name: file[name] for name in file.files}
    result = module.run_samples(module.network, inputs, job["samples"], job["steps"], job["probes"])
    np.savez(folder / "trace.npz", **result)


def main() -> None:
    """Run all jobs of a folder, in order; ``current`` in it names the job that is running."""
    warnings.filterwarnings("ignore")
    root = Path(sys.argv[1])
    try:
        for folder in sorted((f for f in root.iterdir() if f.is_dir()), key=lambda f: int(f.name)):
            (root / "current").write_text(folder.name)
            run_job(folder)
    except Exception:
        leave_hard()


if __name__ == "__main__":
    main()
