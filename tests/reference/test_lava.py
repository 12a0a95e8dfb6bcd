"""Programs in lava-nc 0.10.0 (fixed_pt): reference, chip simulator and Lava give the same spikes, and the same states
after every step.

Lava exists for Python 3.10 only; `make lava` sets up .venv-lava of the checkout, HWSDK_LAVA_PYTHON names another one.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from integer_networks import FEATURES, random_integer_network

import hwsdk
from hwsdk import backends
from hwsdk.backends import lava as bridge
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import ExternalToolError, MissingDependencyError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LIF, CubaLIF, Threshold
from hwsdk.ir.nodes import Input, Linear, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference

ROOT = Path(__file__).resolve().parents[2]
BATCH, CHILDREN = 25, 2


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return bridge.find_python()
    except MissingDependencyError as error:
        pytest.skip(f"Lava needs Python 3.10: install one, then make lava (or set HWSDK_LAVA_PYTHON): {error.what}")


def differences(python: Path, seeds: range) -> tuple[list[str], Counter]:
    """What differs between reference, simulator and Lava on these networks, and how often each feature was drawn."""
    found, drawn, jobs, expected = [], Counter(), [], []
    for seed in seeds:
        d = random_integer_network(seed)
        program = hwsdk.compile(d.network, "loihi2")
        expected.append(reference.run(d.network, d.stimulus, probes="all"))
        jobs.append(bridge.Job(program, d.stimulus, "all"))
        drawn.update(d.features)
        if (other := expected[-1].first_difference(hwsdk.simulate(program, d.stimulus, probes="all"))) is not None:
            found.append(f"seed {seed}, simulator: {other}")
    with ThreadPoolExecutor(CHILDREN) as pool:  # each child takes every second network
        parts = list(pool.map(lambda k: bridge.run_all(jobs[k::CHILDREN], python=python), range(CHILDREN)))
    for k, (seed, want) in enumerate(zip(seeds, expected, strict=True)):
        got = parts[k % CHILDREN][k // CHILDREN]
        assert set(got.states) == set(want.states)
        assert set(got.spikes) == set(want.spikes)
        if (other := want.first_difference(got)) is not None:
            found.append(f"seed {seed}, Lava: {other}")
    return found, drawn


@pytest.mark.parametrize("first", range(0, 100, BATCH))
def test_random_networks_of_every_model_are_equal(python: Path, first: int) -> None:
    found, _ = differences(python, range(first, first + BATCH))
    assert found == []


def test_the_hundred_networks_have_drawn_everything() -> None:
    drawn = Counter(f for seed in range(100) for f in random_integer_network(seed).features)
    assert {f: n for f in FEATURES if (n := drawn[f]) < 3} == {}
    assert set(drawn) == FEATURES


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 1100, BATCH))
def test_a_thousand_more_are_equal(python: Path, first: int) -> None:
    found, _ = differences(python, range(first, first + BATCH))
    assert found == []


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


def float_network(seed: int) -> Network:
    """Two layers with biases and delays, sometimes a loop, sometimes weights of one sign."""
    rng = np.random.default_rng(seed)
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
    return Network(f"n{seed}", nodes, tuple(edges), Semantics())


def test_quantised_networks_are_equal(python: Path) -> None:
    jobs, expected = [], []
    for seed in range(16):
        network, rng = float_network(seed), np.random.default_rng(seed)
        _, whole, _ = backends.get("loihi2").discrete(network, CompileOptions(bits=int(rng.choice([4, 6, 8]))))
        events = (rng.random((60, *whole.shapes["in"])) < 0.4).astype(np.int64)
        program = hwsdk.compile(whole, "loihi2")
        data = Stimulus.dense(events, {"in": whole.shapes["in"]})
        jobs.append(bridge.Job(program, data, "all"))
        expected.append(hwsdk.simulate(program, data, probes="all"))
    for want, got in zip(expected, bridge.run_all(jobs, python=python), strict=True):
        assert want.first_difference(got) is None
        assert len(got.spikes["p1"]) > 0


@pytest.mark.parametrize("name, steps", [
    ("tiny.net", 20), ("oxford_Trained_network.net", 60),
    pytest.param("gts/pilotnet_lif/network.net", 12, marks=pytest.mark.slow),  # 158,509 neurons, 14.0 M synapses
])
def test_networks_of_lava_dl_are_equal(python: Path, corpus: Path, name: str, steps: int) -> None:
    program = hwsdk.compile(hwsdk.load(corpus / "loihi" / name), "loihi2")
    rng = np.random.default_rng(0)
    data = Stimulus.dense({n: (rng.random((steps, *shape)) < 0.1).astype(np.int64)
                           for n, shape in program.input_shapes.items()}, program.input_shapes)
    probes = "all" if program.n_neurons < 10_000 else ()
    want = hwsdk.simulate(program, data, probes=probes)
    got = bridge.run(program, data, probes=probes, python=python)
    assert want.first_difference(got) is None
    assert got.n_spikes() > 0


def test_odd_weights_of_both_signs_become_two_connections(python: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-60, 60, (6, 5)) | 1
    made = NetworkBuilder("odd").input("in", 5).population("p", neuron(FixedLIF, 6, du=4095, dv=256, vth=90))
    for name, part in (("up", np.maximum(weight, 0)), ("down", np.minimum(weight, 0))):
        made.connect("in", "p", weight=part, name=name)
    program = hwsdk.compile(made.output("out", "p").build(Semantics()), "loihi2")
    data = Stimulus.dense((rng.random((40, 5)) < 0.5).astype(np.int64), program.input_shapes)
    want = hwsdk.simulate(program, data, probes="all")
    assert want.first_difference(bridge.run(program, data, probes="all", python=python)) is None
    assert want.n_spikes() > 0


def test_a_changed_weight_shows(python: Path) -> None:
    d = random_integer_network(1)
    program = hwsdk.compile(d.network, "loihi2")
    program.arrays.weight[np.flatnonzero(program.arrays.weight > 64)[0]] -= 64
    got = bridge.run(program, d.stimulus, probes="all", python=python)
    assert reference.run(d.network, d.stimulus, probes="all").first_difference(got) is not None


def test_an_emitted_script_runs_by_itself(python: Path, tmp_path: Path) -> None:
    d = next(d for d in map(random_integer_network, range(100)) if {"conv", "sigma_delta"} <= d.features
             and "readout" not in d.features)
    program = hwsdk.compile(d.network, "loihi2")
    script, *_ = hwsdk.emit(program, "lava").save(tmp_path / "my_network.py")
    dense = {name: e.dense(None, np.int64) for name, e in d.stimulus.inputs.items()}
    np.savez(tmp_path / "data.npz", **dense)
    done = subprocess.run([python, script, "--input", tmp_path / "data.npz", "--output", tmp_path / "out.npz",
                           "--probes", "all"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    want = reference.run(d.network, d.stimulus, probes="all")
    with np.load(tmp_path / "out.npz") as out:
        for name in d.network.populations:
            np.testing.assert_array_equal(out[f"spikes:{name}"], want.spikes[name].dense())
        for (name, state), values in want.states.items():
            got = out[f"state:{name}:{state}"]
            np.testing.assert_array_equal(got, values.reshape(got.shape))


def test_the_command_line_runs_a_program_in_lava(python: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    from hwsdk.cli import main

    monkeypatch.setenv("HWSDK_LAVA_PYTHON", str(python))
    d = random_integer_network(5)
    hwsdk.compile(d.network, "loihi2").save(tmp_path / "p.hwx")
    np.savez(tmp_path / "data.npz", **{name: e.dense(None) for name, e in d.stimulus.inputs.items()})
    arguments = ["simulate", str(tmp_path / "p.hwx"), "--input", str(tmp_path / "data.npz"), "--json", "--quiet"]
    answers = []
    for engine in ("hwsdk", "lava"):
        assert main([*arguments, "--engine", engine]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["spikes"] == answers[1]["spikes"]


HERE = """
import sys, numpy as np
from hwsdk.backends import lava, lava_process
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.ir.data import Stimulus
if __name__ == "__main__":
    def no_child(*_):
        raise AssertionError("a child was started")
    lava.run_child = no_child
    program = LoihiProgram.load(sys.argv[1])
    with np.load(sys.argv[2]) as file:
        data = Stimulus.dense({n: file[n] for n in file.files}, program.input_shapes)
    trace = lava.run(program, data, probes="all")
    np.savez(sys.argv[3], **{f"{n}|{s}": v for (n, s), v in trace.states.items()})
"""


def test_where_lava_is_installed_no_child_is_needed(python: Path, tmp_path: Path) -> None:
    if subprocess.run([python, "-c", "import pydantic"], capture_output=True, check=False).returncode:
        pytest.skip("Lava's environment has no pydantic: make lava")
    d = random_integer_network(2)
    hwsdk.compile(d.network, "loihi2").save(tmp_path / "p.hwx")
    np.savez(tmp_path / "data.npz", **{name: e.dense(None) for name, e in d.stimulus.inputs.items()})
    (tmp_path / "here.py").write_text(HERE)
    done = subprocess.run([python, "here.py", "p.hwx", "data.npz", "out.npz"], cwd=tmp_path, timeout=120, check=False,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    want = reference.run(d.network, d.stimulus, probes="all").states
    with np.load(tmp_path / "out.npz") as out:
        assert set(out.files) == {f"{n}|{s}" for n, s in want}
        for (name, state), values in want.items():
            got = out[f"{name}|{state}"]
            np.testing.assert_array_equal(got, values.reshape(got.shape))


def test_a_failing_process_model_ends_in_an_error(python: Path, monkeypatch) -> None:
    """An exception while a process steps may never reach the caller: only the time limit ends the run."""
    d = random_integer_network(1)
    program = hwsdk.compile(d.network, "loihi2")
    script = bridge.emit(program)
    broken = script.text.replace("from lava.utils", "from lava.magma.core.model.py import model as _model\n"
                                 "def _fail(self):\n    raise RuntimeError('on purpose')\n"
                                 "import lava.proc.io.sink as _sink\n"
                                 "_sink.PyReceiveModelFixed.run_spk = _fail\nfrom lava.utils", 1)
    assert broken != script.text
    monkeypatch.setattr(bridge, "lava_script", lambda _: bridge.LavaScript(broken, script.numbers))
    with pytest.raises(ExternalToolError) as caught:
        bridge.run(program, d.stimulus, python=python, timeout=8)
    assert caught.value.code in ("TIMEOUT", "CRASHED")
    assert caught.value.where == program.name
