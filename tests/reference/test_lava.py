"""Programs against lava-nc 0.10.0 (fixed_pt): every spike of every step, and u and v at the end, equal.

Lava exists for Python 3.10 only, so each network runs there in a child process, under a time limit: Lava can wait for
ever without a message. The child's environment is .venv-lava of the checkout (`make lava`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

import hwsdk
from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LIF, CubaLIF, Threshold
from hwsdk.ir.nodes import Input, Linear, Output, Synapses
from hwsdk.ir.semantics import Semantics

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("HWSDK_LAVA_PYTHON", ROOT / ".venv-lava" / "bin" / "python"))
SECONDS, STEPS = 120, 60


@pytest.fixture(scope="module")
def lava() -> Path:
    if not PYTHON.exists():
        pytest.skip("Lava needs Python 3.10: install one, then make lava (or set HWSDK_LAVA_PYTHON)")
    return PYTHON


def population(rng: np.random.Generator, n: int):
    """One of the neurons that Lava's LIF covers, the same parameters for all."""
    def full(low, high):
        return np.full(n, rng.uniform(low, high))

    zero, one = np.zeros(n), np.ones(n)
    kind = rng.random()
    if kind < 0.4:
        return LIF(full(2, 10), full(1, 4), zero, one, zero)
    if kind < 0.9:
        return CubaLIF(full(1.5, 5), full(2, 10), full(1, 4), zero, one, zero, full(1, 3))
    return Threshold(full(0.3, 1))


def network(rng: np.random.Generator) -> Network:
    """Two layers with biases and delays, sometimes a loop, sometimes weights of one sign."""
    a, b, c = (int(x) for x in rng.integers(3, 12, 3))
    first, second = rng.normal(0.2, 0.6, (b, a)), rng.normal(0.1, 0.6, (c, b))
    second = np.abs(second) if rng.random() < 0.3 else second
    nodes = {"in": Input((a,)), "w1": Linear(first, rng.normal(0, 0.1, b)), "p1": population(rng, b),
             "w2": Linear(second, rng.normal(0, 0.1, c)), "p2": population(rng, c), "out": Output((c,))}
    edges = [Edge("in", "w1"), Edge("w1", "p1", int(rng.integers(0, 3))), Edge("p1", "w2"),
             Edge("w2", "p2", int(rng.integers(0, 4))), Edge("p2", "out")]
    if rng.random() < 0.6:
        nodes["rec"] = Linear(rng.normal(0, 0.3, (b, b)) if rng.random() < 0.7 else -np.abs(rng.normal(0, 0.3, (b, b))))
        edges += [Edge("p1", "rec", int(rng.integers(1, 4))), Edge("rec", "p1")]
    return Network("n", nodes, tuple(edges), Semantics())


def projections(whole: Network, arrays: dict) -> list[dict]:
    """The connections as dense matrices in ``arrays``, and their form."""
    rows = []
    for name, s in whole.of(Synapses).items():
        (delay,) = set(s.delay_ticks.tolist())
        weight = np.zeros((s.post_shape[0], s.pre_shape[0]), np.int64)
        np.add.at(weight, (s.target, s.source), s.weight)
        arrays[f"weight{len(rows)}"] = weight
        rows.append({"source": whole.sources(name)[0].source, "target": whole.targets(name)[0].target,
                     "exp": s.weight_exp, "bits": s.weight_bits, "mode": s.sign_mode, "delay": delay,
                     "weight": f"weight{len(rows)}"})
    return rows


def run_child(python: Path, path: Path) -> dict:
    """The child's answer; the whole process group ends with it, whatever happens."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    child = subprocess.Popen([python, ROOT / "tests" / "lava_child.py", path], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True,
                             env={**clean, "OMP_NUM_THREADS": "1"})
    try:
        out, err = child.communicate(timeout=SECONDS)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    assert child.returncode == 0, err[-2000:]
    return json.loads(out.strip().splitlines()[-1])


@pytest.mark.parametrize("seed", range(16))
def test_lava_gives_the_same_spikes_and_states(lava, seed, tmp_path):
    rng = np.random.default_rng(seed)
    bits = int(rng.choice([4, 6, 8]))
    _, whole, _ = backends.get("loihi2").discrete(network(rng), CompileOptions(bits=bits))
    events = (rng.random((STEPS, whole.shapes["in"][0])) < 0.4).astype(np.int64)
    trace = hwsdk.simulate(hwsdk.compile(whole, "loihi2"), Stimulus.dense(events, {"in": whole.shapes["in"]}),
                           probes="all")
    padded = np.zeros((trace.n_steps, events.shape[1]), np.int64)
    padded[: len(events)] = events
    arrays: dict = {"input": padded, "steps": np.array(trace.n_steps)}
    arrays["projections"] = np.array(json.dumps(projections(whole, arrays)))
    arrays["populations"] = np.array(json.dumps(list(whole.populations)))
    for name, cell in whole.populations.items():
        arrays |= {f"{name}_{k}": getattr(cell, k) for k in ("du", "dv", "vth", "bias_mant", "bias_exp", "u_init",
                                                             "v_init")}
        arrays[f"{name}_spikes"] = trace.spikes[name].dense(0).astype(np.int64)
        arrays |= {f"{name}_{x}": trace.states[name, x][0, -1] for x in ("u", "v")}
    np.savez(tmp_path / "network.npz", **arrays)
    assert run_child(lava, tmp_path / "network.npz") == {"differing": 0}
    assert len(trace.spikes["p1"]) > 0
