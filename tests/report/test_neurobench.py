"""NeuroBench's metrics: by hand, beside the numbers of its README, and beside the package itself.

`make neurobench` sets up .venv-neurobench of the checkout; HWSDK_NEUROBENCH_PYTHON names another environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hwsdk import compiler
from hwsdk.backends.base import CompileOptions
from hwsdk.cost import Amount
from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import IF, LIF, CubaLIF
from hwsdk.ir.nodes import Conv, Flatten, Input, Linear, Output, Scale
from hwsdk.ir.semantics import Semantics
from hwsdk.report import neurobench_counts as counts
from hwsdk.report.neurobench import SCHEMA, measure, system
from hwsdk.simulators import reference

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PYTHON = Path(os.environ.get("HWSDK_NEUROBENCH_PYTHON", ROOT / ".venv-neurobench" / "bin" / "python"))
INSTALL = ("python3.11 -m venv .venv-neurobench && .venv-neurobench/bin/pip install torch==2.13.0 snntorch==1.0.0 "
           "numpy tqdm && .venv-neurobench/bin/pip install --no-deps neurobench==2.3.0")


def lif(*shape):
    o = np.ones(shape)
    return LIF(2 * o, 2 * o, 0 * o, o, 0 * o)


def chain(nodes, **semantics):
    names = list(nodes)
    edges = tuple(Edge(a, b) for a, b in pairwise(names))
    return Network("m", nodes, edges, Semantics(dt=1.0, precision="float32", **semantics))


def feed_forward(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    nodes = {"input": Input((sizes[0],))}
    for k, (n, m) in enumerate(pairwise(sizes)):
        nodes |= {f"w{k}": Linear(rng.normal(0, 1, (m, n)), rng.normal(0, 1, m)), f"n{k}": lif(m)}
    return chain(nodes | {"output": Output((sizes[-1],))})


def by_hand():
    """Three inputs, 3 IF neurons that never leak; the weight matrix of the page "synaptic operations"."""
    weight = np.array([[1.3, 0, -3.2], [0, 1.2, -5.1], [-1.1, 2.7, 0]])
    o = np.ones(3)
    return chain({"input": Input((3,)), "w": Linear(weight), "n": IF(o, o, 0 * o), "output": Output((3,))})


def test_the_example_of_the_page_on_synaptic_operations():
    x = np.zeros((1, 1, 3))
    x[0, 0] = 0, 1.3, -1
    found = measure(by_hand(), Stimulus.dense(x, {"input": (3,)}))["algorithm"]
    assert found["synops_per_sample"] == {"dense": 9, "eff_macs": 4, "eff_acs": 0}
    assert found["connection_sparsity"] == 3 / 9  # zeros of all, as the code has it and not the page
    assert (found["parameter_count"], found["footprint_bytes_torch"]) == (9, 36)
    assert found["footprint_bytes_deployed"] is None and found["correctness"] is None


def test_steps_of_whole_ones_are_accumulates_and_a_step_is_an_execution():
    x = np.zeros((2, 4, 3))
    x[0, 0] = 1, 0, 0  # two live weights
    x[1, 0] = -1, 0, 0  # minus one counts as binary in the code
    x[0, 1] = 0, 1, 0
    x[1, 1] = 0, 0, 0.5  # makes the step of all samples multiply-accumulates
    found = measure(by_hand(), Stimulus.dense(x, {"input": (3,)}))["algorithm"]
    assert found["synops_per_sample"] == {"dense": 36, "eff_macs": 2, "eff_acs": 2}
    assert found["synops_per_execution"] == {"dense": 9, "eff_macs": 0.5, "eff_acs": 0.5}


def test_activations_membranes_and_neuron_operations_by_hand():
    x = np.zeros((1, 3, 3))
    x[0, 1] = 1, 0, 0  # v = 1.3, 0, -1.1: neuron 0 spikes and is back at 0; only neuron 2 has changed
    data = Stimulus.dense(x, {"input": (3,)}, [0])
    found = measure(by_hand(), data, execution_rate_hz=20.0)["algorithm"]
    assert found["activation_sparsity"] == 1 - 1 / 9
    assert found["membrane_updates"] == 3 + 1  # all neurons in the first step
    assert found["neuron_ops"] == {"effective": 16, "dense": 36}
    assert found["correctness"] == {"accuracy": 1.0} and found["execution_rate_hz"] == 20.0


def test_the_readme_numbers_of_the_spiking_google_commands_network():
    """Footprint 583,900, Dense 29,030,400 over 200 steps: 20-256-256-256-35 of snnTorch's Leaky."""
    net = feed_forward(20, 256, 256, 256, 35)
    data = Stimulus.dense(np.ones((1, 200, 20)), {"input": (20,)})
    found = measure(net, data)["algorithm"]
    assert found["synops_per_sample"]["dense"] == 29_030_400
    assert found["footprint_bytes_torch"] == 583_900 - 4 * 5 * 4  # less 5 scalar buffers of 4 layers


def test_the_readme_numbers_of_the_google_commands_convolutions():
    """Dense 1,880,256 of the M5 network, whose poolings are not counted: 8,000 samples, pools of 4."""
    total = parameters = 0
    for c_in, c_out, kernel, stride, length in ((1, 32, 80, 16, 8000), (32, 32, 3, 1, 124), (32, 64, 3, 1, 30),
                                                (64, 64, 3, 1, 7)):
        node = Conv(np.ones((c_out, c_in, kernel)), np.ones(c_out), (stride,), ((0, 0),), (1,))
        total += counts.fan_out(counts.as_synapses(node, (c_in, length))).all.sum()
        parameters += node.parameters()
    last = Linear(np.ones((35, 64)), np.ones(35))
    assert total + counts.fan_out(last).all.sum() == 1_880_256
    norms = 2 * (32 + 32 + 64 + 64)  # batch normalisation, and as many running means and variances
    assert 4 * (parameters + last.parameters() + 2 * norms) + 4 * 8 == 109_228


def test_what_enters_a_layer_goes_through_the_nodes_before_it():
    rng = np.random.default_rng(4)
    x = (rng.random((2, 5, 1, 4, 4)) < 0.4).astype(float)
    conv = Conv(rng.integers(-1, 2, (2, 1, 3, 3)).astype(float), None, (1, 1), ((1, 1), (1, 1)), (1, 1))
    net = chain({"input": Input((1, 4, 4)), "c": conv, "n": lif(2, 4, 4), "s": Scale(np.full((2, 4, 4), 0.5)),
                 "f": Flatten(0, -1), "w": Linear(np.ones((3, 32))), "m": lif(3), "output": Output((3,))})
    data = Stimulus.dense(x, {"input": (1, 4, 4)})
    found = measure(net, data)["algorithm"]["synops_per_sample"]
    padded = np.pad(x, [(0, 0)] * 3 + [(1, 1)] * 2)
    acs = sum((np.abs(conv.weight[o, 0]) * padded[s, t, 0, i:i + 3, j:j + 3]).sum()
              for s in range(2) for t in range(5) for o in range(2) for i in range(4) for j in range(4))
    spikes = len(reference.run(net, data).spikes["n"])
    assert spikes
    assert found == {"dense": 5 * (2 * 10 * 10 + 32 * 3), "eff_acs": acs / 2, "eff_macs": 3 * spikes / 2}


@pytest.fixture(scope="module")
def by_package(tmp_path_factory):
    """Case -> what the package says of it."""
    if not PYTHON.exists():
        pytest.skip(f"not compared with neurobench: {PYTHON} is missing; to get it: make neurobench, or {INSTALL}")
    folder = tmp_path_factory.mktemp("package")
    for name, (layers, arrays) in CASES.items():
        np.savez(folder / f"{name}.npz", layers=json.dumps(layers), **arrays)
    paths = [folder / f"{name}.npz" for name in CASES]
    done = subprocess.run([PYTHON, ROOT / "tests" / "neurobench_package.py", *paths], capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout.splitlines()[-1]), strict=True))


def as_network(layers, arrays):
    """The same layers as a Network: decays are exact in float32, so are all sums."""
    nodes, shape, reset = {"input": Input(arrays["x"].shape[2:])}, arrays["x"].shape[2:], "zero"
    for k, (kind, *rest) in enumerate(layers):
        if kind == "flatten":
            node = Flatten(0, -1)
        elif kind == "linear":
            node = Linear(arrays[f"{rest[0]}.w"].astype(float), arrays[f"{rest[0]}.b"].astype(float))
        elif kind == "conv":
            node = Conv(arrays[f"{rest[0]}.w"].astype(float), arrays[f"{rest[0]}.b"].astype(float), (rest[1],) * 2,
                        ((rest[2],) * 2,) * 2, (1, 1))
        else:
            o, reset = np.ones(shape), rest[-1]
            taus = [o / (1 - x) for x in rest[:-1]]
            node = LIF(taus[0], taus[0], 0 * o, o, 0 * o) if kind == "leaky" else \
                CubaLIF(*taus, taus[1], 0 * o, o, 0 * o, taus[0])
        nodes[f"k{k}"], shape = node, node.out_shape(shape)
    nodes["output"] = Output(shape)
    return chain(nodes, reset="value") if reset == "zero" else chain(nodes, reset="subtract", reset_timing="next_step")


def weights(rng, name, *shape):
    w = rng.integers(-6, 9, shape) / 8 * (rng.random(shape) < 0.7)
    return {f"{name}.w": w.astype(np.float32), f"{name}.b": (rng.integers(-1, 2, shape[0]) / 8).astype(np.float32)}


def cases():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 4, 6)
    dense = {**weights(rng, "a", 9, 12), **weights(rng, "b", 4, 9), "y": y}
    spikes = (rng.random((6, 11, 12)) < 0.3).astype(np.float32)
    plain = [["linear", "a"], ["leaky", 0.5, "subtract"], ["linear", "b"], ["leaky", 0.5, "subtract"]]
    yield "spikes", (plain, dense | {"x": spikes})
    zero = [["linear", "a"], ["leaky", 0.5, "zero"], ["linear", "b"], ["leaky", 0.5, "zero"]]
    graded = spikes * (1 + (np.arange(11) % 3 == 0))[None, :, None]
    yield "graded", (zero, dense | {"x": graded.astype(np.float32)})
    images = (rng.random((6, 7, 2, 6, 6)) < 0.3).astype(np.float32)
    conv = [["conv", "a", 2, 1], ["leaky", 0.5, "subtract"], ["flatten"], ["linear", "b"], ["leaky", 0.5, "subtract"]]
    yield "convolution", (conv, {**weights(rng, "a", 3, 2, 3, 3), **weights(rng, "b", 4, 27), "x": images, "y": y})
    two = [["linear", "a"], ["synaptic", 0.5, 0.25, "subtract"], ["linear", "b"], ["leaky", 0.5, "subtract"]]
    yield "synaptic", (two, dense | {"x": spikes})


CASES = dict(cases())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_float_models_have_the_numbers_of_the_package(by_package, case):
    (layers, arrays), theirs = CASES[case], by_package[case]
    net = as_network(layers, arrays)
    ours = measure(net, Stimulus.dense(arrays["x"], {"input": arrays["x"].shape[2:]}, arrays["y"]))["algorithm"]
    ops = theirs["SynapticOperations"]
    assert ours["synops_per_sample"] == pytest.approx(
        {"dense": ops["Dense"], "eff_macs": ops["Effective_MACs"], "eff_acs": ops["Effective_ACs"]})
    assert ops["Effective_ACs"] > 0 and (ops["Effective_MACs"] > 0) == (case == "graded")
    assert ours["activation_sparsity"] == pytest.approx(theirs["ActivationSparsity"])
    assert ours["membrane_updates"] == pytest.approx(theirs["MembraneUpdates"])
    assert ours["neuron_ops"]["effective"] == pytest.approx(theirs["NeuronOperations"]["Effective Neuron Ops"])
    assert ours["neuron_ops"]["dense"] == pytest.approx(theirs["NeuronOperations"]["Neuron Dense Ops"])
    assert round(ours["connection_sparsity"], 4) == theirs["ConnectionSparsity"]
    assert ours["parameter_count"] == theirs["ParameterCount"]
    assert ours["footprint_bytes_torch"] == theirs["Footprint"] - theirs["buffers"]
    assert ours["correctness"]["accuracy"] == pytest.approx(theirs["ClassificationAccuracy"])


def deployed(target, bits=8):
    net = compiler.load(EXAMPLES / "digits_sfq.nir", dt=1.0, reset="subtract")
    data = compiler.load_data(EXAMPLES / "digits_sfq_test.npz", net, limit=10)
    program = compiler.compile(net, target, bits=bits)
    return net, data, program, measure(net, data, program=program, options=CompileOptions(bits))


@pytest.mark.parametrize("target", ["loihi2", "spinnaker2", "memristor_ideal"])
def test_exact_whole_weights_cost_a_chip_the_operations_of_the_model(target):
    net, data, program, found = deployed(target, 4)
    model = measure(net, data)["algorithm"]
    ours = found["algorithm"]
    for name in ("synops_per_sample", "activation_sparsity", "connection_sparsity", "parameter_count", "correctness",
                 "membrane_updates", "neuron_ops"):
        assert ours[name] == pytest.approx(model[name]), name
    assert (found["schema"], found["target"]) == (SCHEMA, f"{target}@1")
    if target == "loihi2":
        assert ours["footprint_bytes_deployed"] == 8 * sum(u["total_words"] for u in program.usage)
    if target == "spinnaker2":
        assert ours["footprint_bytes_deployed"] == sum(program.image(k).nbytes for k in range(program.n_pes))
    if target == "memristor_ideal":
        assert ours["footprint_bytes_deployed"] is None and "cells" in found["notes"][0]


def test_a_chip_counts_as_many_synaptic_operations_itself():
    net = compiler.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    data = compiler.load_data(EXAMPLES / "digits_test.npz", net, limit=3)
    for target, count in (("loihi2", "synaptic_operations"), ("spinnaker2", "static_events")):
        program = compiler.compile(net, target)
        trace = compiler.simulate(program, data)
        found = measure(net, data, program=program, trace=trace)["algorithm"]["synops_per_sample"]
        assert found["eff_acs"] * 3 == pytest.approx(trace.counts[count].sum()) and found["eff_macs"] == 0


def test_a_chip_s_documents_are_plain_and_state_their_boundary():
    found = json.loads(json.dumps(deployed("loihi2")[3]))["system"]
    assert found["method"] == "simulated-cycle" and found["preproc"] is None
    assert found["dynamic_w"] is None and found["inference_j"] is None and found["static_share"] is None
    assert found["uncertainty"]["total_j"]["at_least"] and "spike message" in found["uncertainty"]["total_j"]["missing"]
    idle = found["uncertainty"]["idle_w"]
    assert found["idle_w"] == pytest.approx(0.281775) == idle["low"] == pytest.approx(idle["high"])
    assert found["boundary"]["omitted"] and all(c["source"] for c in found["constants"])


def test_powers_are_energies_over_the_time():
    _, data, program, _ = deployed("spinnaker2")
    cost = compiler.estimate(program, compiler.simulate(program, data))
    cost = replace(cost, energy_static=Amount(2.0, 1.0, 4.0, "J"), energy_dynamic=Amount(1.0, 0.5, 2.0, "J"),
                   latency=Amount(2.0, 1.0, 4.0, "s"), latency_samples=np.array([1.0, 3.0]))
    found = system(cost, "1")
    assert (found["idle_w"], found["dynamic_w"], found["active_w"], found["static_share"]) == (1.0, 0.5, 1.5, 2 / 3)
    assert (found["inference_j"], found["total_j"]) == (1.0, 3.0)
    assert found["exec_time_s"] == {"mean": 2.0, "se": 1.0, "p95": pytest.approx(2.9)}
    assert found["uncertainty"]["idle_w"]["low"] == 1.0 == found["uncertainty"]["idle_w"]["high"]
    assert found["uncertainty"]["dynamic_w"]["low"] == 0.125 and found["uncertainty"]["dynamic_w"]["high"] == 2.0


def test_a_trace_of_other_data_is_refused():
    net, data, program, _ = deployed("loihi2")
    trace = compiler.simulate(program, data)
    with pytest.raises(DataError, match="a trace of 10 samples"):
        measure(net, data.one(0), program=program, trace=trace)
    found = measure(net, data, program=program, trace=trace)["algorithm"]  # no states were recorded
    assert found["membrane_updates"] is None and found["neuron_ops"] is None
