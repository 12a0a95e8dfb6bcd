"""The presets of py-spinnaker2: its parameters by its own formulas, a published raster, a predicted trace.

Formulas: convert_LIF, convert_CubaLIF and convert_IF of its NIR import (s2_nir). Raster: NIR paper,
paper/03_rnn/s2_activity_noDelay_bias_zero.npy.
"""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from spinnaker_traces import troubles

import hwsdk
from hwsdk.backends.base import CompileOptions
from hwsdk.backends.spinnaker import SpinnakerBackend
from hwsdk.errors import ModelError, SemanticsError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.ir.single import SingleLIF
from hwsdk.simulators import reference

DT = 1e-3
Array = np.ndarray[Any, np.dtype[np.float64]]


def test_braille_raster_of_spinnaker2_is_replayed(corpus: Path) -> None:
    network = hwsdk.load(corpus / "nir_paper" / "braille_noDelay_bias_zero.nir", preset="spinnaker2")
    with np.load(corpus / "nir_paper" / "braille" / "braille_test_sample0_recovered.npz") as z:
        data = Stimulus.dense(z["spikes"], {"input": (12,)})
    published = np.load(corpus / "nir_paper" / "braille" / "s2_activity_noDelay_bias_zero.npy")
    got = reference.run(network, data).spikes["lif1.lif"].dense(0)
    assert got.shape == published.shape == (256, 38)
    assert int((got != published).sum()) == 0
    assert any(e.code == "TRUNCATED" for e in network.ledger.entries)


def node_of(kind: str, rng: np.random.Generator, n: int = 5) -> nir.NIRNode:
    """A population whose neurons all differ."""
    def some(low: float, high: float) -> Array:
        return rng.uniform(low, high, n)

    shared = {"r": some(0.5, 3), "v_threshold": some(1, 2), "v_reset": np.zeros(n)}
    if kind == "IF":
        return nir.IF(**shared)
    if kind == "LIF":
        return nir.LIF(tau=some(2e-3, 9e-3), v_leak=some(-0.2, 0.2), **shared)
    return nir.CubaLIF(tau_mem=some(2e-3, 9e-3), tau_syn=some(2e-3, 9e-3), v_leak=some(-0.2, 0.2), w_in=some(0.5, 2),
                       **shared)


def recurrent(node: nir.NIRNode, weight: Array, loop: Array, bias: Array, other: Array) -> nir.NIRGraph:
    """input -> Affine -> node -> Affine -> node: weights and biases from two sides."""
    nodes = {"input": nir.Input({"input": np.array([weight.shape[1]])}), "in": nir.Affine(weight, bias), "cell": node,
             "loop": nir.Affine(loop, other), "output": nir.Output({"output": np.array([len(bias)])})}
    edges = [("input", "in"), ("in", "cell"), ("cell", "loop"), ("loop", "cell"), ("cell", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def parameters(node: nir.NIRNode, bias: Array, w_scale: float, forward: bool) -> dict[str, Array]:
    """threshold, alpha_decay, exc_decay, i_offset and the scale of v as py-spinnaker2 computes them."""
    def share(tau: Array) -> Array:
        return DT / tau if forward else 1 - np.exp(-DT / tau)

    if isinstance(node, nir.IF):
        scale, alpha, syn, offset = w_scale / node.r, np.ones(len(bias)), np.zeros(len(bias)), bias * w_scale
    elif isinstance(node, nir.LIF):
        scale, alpha, syn = w_scale / (share(node.tau) * node.r), 1 - share(node.tau), np.zeros(len(bias))
        offset = share(node.tau) * node.v_leak * scale + bias * w_scale
    else:
        i_scale = 1 / (share(node.tau_syn) * node.w_in)
        scale = w_scale * i_scale / (share(node.tau_mem) * node.r)
        alpha, syn = 1 - share(node.tau_mem), 1 - share(node.tau_syn)
        offset = share(node.tau_mem) * node.v_leak * scale + bias * node.w_in * i_scale * w_scale
    return {"v_threshold": node.v_threshold * scale, "decay_v": alpha, "decay_u": syn, "bias": offset, "scale": scale}


def one_ulp(got: Array, expected: Array) -> bool:
    """Equal as float32, or next to it."""
    near = expected.astype(np.float32)
    return bool((np.abs(got - near) <= np.spacing(np.abs(near))).all())


def on_chip(network: Network) -> tuple[SingleLIF, dict[str, Any]]:
    """The population and the projections that a chip's program is made of."""
    _, whole, _ = SpinnakerBackend("spinnaker2").discrete(network, CompileOptions())
    cell = whole.populations["cell"]
    assert isinstance(cell, SingleLIF)
    return cell, {e.source: whole.nodes[e.source] for e in whole.sources("cell")}


def dense(projections: dict[str, Any], source: str, shape: tuple[int, int]) -> Array:
    """The integers from one source, (post, pre)."""
    (found,) = [x for n, x in projections.items() if n.startswith(f"{source}->")]
    assert isinstance(found, Synapses)
    out = np.zeros(shape)
    out[found.target, found.source] = found.weight
    return out


@pytest.mark.parametrize(("kind", "integrator", "reset", "scaled"), list(product(
    ("IF", "LIF", "CubaLIF"), ("euler", "exponential"), ("subtract", "value"), (True, False))))
def test_parameters_are_those_of_the_importer(kind: str, integrator: str, reset: str, scaled: bool) -> None:
    rng = np.random.default_rng([len(kind), scaled])
    node = node_of(kind, rng)
    weight, loop = rng.normal(0, 40, (5, 4)), rng.normal(0, 20, (5, 5))
    biases = rng.normal(0, 0.1, (2, 5))
    network = hwsdk.load(recurrent(node, weight, loop, *biases), preset="py-spinnaker2", dt=DT, integrator=integrator,
                         reset=reset, scale_weights=scaled, conn_delay=2)
    cell, projections = on_chip(network)
    w_scale = 127 / max(np.abs(weight).max(), np.abs(loop).max()) if scaled else 1.0
    for name, expected in parameters(node, biases.sum(0), w_scale, integrator == "euler").items():
        assert one_ulp(getattr(cell, name), expected), name
    assert (cell.reset, cell.comparison) == (reset, ">")
    assert (cell.reset_by == cell.v_threshold).all()
    assert not cell.v_init.any()
    assert not cell.u_init.any()
    assert (dense(projections, "input", (5, 4)) == np.trunc(weight * w_scale)).all()
    assert (dense(projections, "cell", (5, 5)) == np.trunc(loop * w_scale)).all()
    assert {int(d) for x in projections.values() for d in x.delay_ticks} == {3}, "conn_delay 2 acts 3 steps later"


def test_the_defaults_are_those_of_its_configuration() -> None:
    """dt of a second, conn_delay 1, exponential, subtract, weights as they are."""
    rng = np.random.default_rng(0)
    weight, loop = rng.normal(0, 30, (5, 4)), rng.normal(0, 20, (5, 5))
    graph = recurrent(node_of("LIF", rng), weight, loop, np.zeros(5), np.zeros(5))
    network = hwsdk.load(graph, preset="py-spinnaker2")
    assert network.semantics == hwsdk.load(graph, preset="py-spinnaker2", dt=1.0, integrator="exponential",
                                           reset="subtract", scale_weights=False, conn_delay=1).semantics
    assert (dense(on_chip(network)[1], "input", (5, 4)) == np.trunc(weight)).all()
    truncated = next(e for e in network.ledger.entries if e.code == "TRUNCATED")
    lost = int((np.trunc(weight) == 0).sum() + (np.trunc(loop) == 0).sum())
    assert truncated.text.endswith(f"became multiples of 1, truncated toward zero; {lost} of 45 became 0")
    scaled = hwsdk.load(graph, preset="spinnaker2")
    assert np.abs(dense(on_chip(scaled)[1], "input", (5, 4))).max() == 127


def convolution(scale: float) -> nir.NIRGraph:
    """input (1, 6, 6) -> Conv2d -> IF."""
    weight = np.random.default_rng(3).normal(0, scale, (2, 1, 3, 3))
    cell = nir.IF(r=np.ones((2, 4, 4)), v_threshold=np.full((2, 4, 4), 2.0), v_reset=np.zeros((2, 4, 4)))
    nodes = {"input": nir.Input({"input": np.array([1, 6, 6])}), "in": nir.Conv2d(
        input_shape=(6, 6), weight=weight, stride=1, padding=0, dilation=1, groups=1, bias=np.array([0.5, -0.25])),
        "cell": cell, "output": nir.Output({"output": np.array([2, 4, 4])})}
    return nir.NIRGraph(nodes, [("input", "in"), ("in", "cell"), ("cell", "output")], type_check=False)


def test_kernels_are_truncated_and_biases_are_currents() -> None:
    graph = convolution(0.3)
    network = hwsdk.load(graph, preset="py-spinnaker2", dt=DT, scale_weights=True, conn_delay=0)
    cell, projections = on_chip(network)
    w_scale = 127 / np.abs(graph.nodes["in"].weight).max()
    (kernel,) = projections.values()
    assert isinstance(kernel, ConvSynapses)
    assert (kernel.weight == (graph.nodes["in"].weight * w_scale).astype(np.int8)).all()
    assert kernel.delay_ticks == 1
    assert one_ulp(cell.v_threshold, np.full((2, 4, 4), 2 * w_scale))
    assert one_ulp(cell.bias, np.broadcast_to(np.array([0.5, -0.25])[:, None, None] * w_scale, (2, 4, 4)))


@pytest.mark.parametrize(("graph", "given", "code", "words"), [
    (convolution(60), {"conn_delay": 0}, "WEIGHT_RANGE", "convolutions wrap round"),
    (convolution(0.1), {"conn_delay": 0}, "WEIGHTS_LOST", "scale_weights=True"),
    (convolution(30), {}, "CONN_DELAY", "conn_delay=0"),
    (convolution(30), {"conn_delay": 8}, "BAD_SEMANTICS", "0 to 7 steps"),
    (convolution(30), {"scale_weights": 3}, "BAD_SEMANTICS", "True or False"),
    (convolution(30), {"conn_delay": 0, "input_delay": 1}, "CONN_DELAY", "one or the other"),
    (convolution(30), {"conn_delay": 0, "preset": "snntorch"}, "UNKNOWN_OPTION", "preset=spinnaker2"),
])
def test_what_the_importer_would_break_is_refused(graph: nir.NIRGraph, given: dict[str, Any], code: str,
                                                  words: str) -> None:
    with pytest.raises(ModelError) as caught:
        hwsdk.load(graph, **{"preset": "py-spinnaker2", "dt": DT, **given})
    assert caught.value.code == code
    assert words in str(caught.value)


def test_a_matrix_behind_a_matrix_is_refused() -> None:
    nodes = {"input": nir.Input({"input": np.array([3])}), "a": nir.Linear(np.eye(3)), "b": nir.Linear(np.eye(3)),
             "cell": node_of("LIF", np.random.default_rng(0), 3), "output": nir.Output({"output": np.array([3])})}
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
    with pytest.raises(ModelError, match="SUCCESSIVE_WEIGHTS"):
        hwsdk.load(graph, preset="spinnaker2")


def test_a_loaded_network_keeps_its_weights() -> None:
    network = hwsdk.load(convolution(0.3), preset="spinnaker2")
    with pytest.raises(SemanticsError, match="LOADED_ALREADY"):
        hwsdk.load(network, preset="spinnaker2", scale_weights=False)


def test_v_reset_is_ignored_and_said() -> None:
    graph = convolution(30)
    graph.nodes["cell"].v_reset = np.full((2, 4, 4), -0.5)
    network = hwsdk.load(graph, preset="py-spinnaker2", conn_delay=0)
    cell, _ = on_chip(network)
    assert (cell.reset_by == 2).all()
    assert [e.code for e in network.ledger.of("warning")] == ["V_RESET_IGNORED"]


def test_the_lif_trace_of_the_nir_paper_as_predicted(corpus: Path, tmp_path: Path) -> None:
    """The paper's LIF neuron with weights and threshold times 102.02, conn_delay 0, as paper/01_lif/lif_spinnaker2.py
    sets it up: v_t = e^(-dt/tau) v + 102 x_(t-1), minus the threshold where v is above it.
    """
    path, scale = tmp_path / "lif.nir", 102.02
    path.write_bytes((corpus / "nir_paper" / "lif_norse.nir").read_bytes())
    with h5py.File(path, "r+") as file:
        nodes = file["node/nodes"]
        for node, fields in (("0", ("weight", "bias")), ("1", ("v_threshold",))):
            for field in fields:
                value = nodes[node][field][()] * scale
                del nodes[node][field]
                nodes[node][field] = value
        tau = float(np.ravel(nodes["1"]["tau"][()])[0])
    network = hwsdk.load(path, preset="py-spinnaker2", dt=1e-4, conn_delay=0)
    x = np.loadtxt(corpus / "nir_paper" / "lif_traces" / "lif_nengo.csv", delimiter=",")[:, 0]
    backend = SpinnakerBackend("spinnaker2")
    program = backend.compile(network, CompileOptions(), lambda _: None)
    data = Stimulus.dense(np.append(x, 0)[:, None], {"input": (1,)})
    trace = backend.simulate(program, data, probes=[("1", "v")])
    assert troubles(trace) == {}
    v, expected, spikes = 0.0, [], []
    gain, decay = 1 - np.exp(-1e-4 / tau), np.exp(-1e-4 / tau)
    for t, arrived in enumerate(np.append(0, x)):
        v = decay * v + np.trunc(scale) * arrived
        if v > 0.1 * scale / gain:
            spikes.append(t)
            v -= 0.1 * scale / gain
        expected.append(v)
    _, whole, _ = backend.discrete(network, CompileOptions())
    got = trace.states["1", "v"][0, :, 0]
    assert np.abs(got - np.array(expected)).max() * gain / scale < 1e-7
    assert [int(t) for t in trace.spikes["1"].step] == spikes
    assert [t - 1 for t in spikes] == [460, 510, 710, 760], "as every framework of the paper that subtracts"
    cell = whole.populations["1"]
    assert isinstance(cell, SingleLIF)
    assert one_ulp(cell.scale, np.array([1 / gain]))
