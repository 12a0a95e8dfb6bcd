"""One .nir file, read by a framework's own importer and by hwsdk with that framework's preset: the same spikes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import nir
import norse.torch
import numpy as np
import pytest
import sinabs.nir
import torch
from framework_runs import assert_same, simulated, spikes_in
from snntorch.import_nir import import_from_nir

from hwsdk.ir.formats import load
from hwsdk.ir.ledger import SemanticsWarning
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import is_spiking

SIZES, STEPS, SEEDS = (20, 30, 10), 60, range(4)
EXPORTED = ["norse_li", "norse_mlp_lifbox", "sinabs_conv1d_iaf", "sinabs_conv_iaf", "sinabs_mlp_if",
            "snntorch_mlp_leaky", "snntorch_mlp_synaptic", "snntorch_rleaky"]
quiet = pytest.mark.filterwarnings("ignore:nirtorch.load is being deprecated:DeprecationWarning")


def written(path: Path, seed: int, neuron, gain: float = 2.0) -> Path:
    """input -> Affine -> neuron(n) -> Affine -> neuron(n) -> output, written to a file."""
    rng = np.random.default_rng(seed)
    nodes: dict = {"input": nir.Input({"input": np.array([SIZES[0]])})}
    for i, (n_in, n_out) in enumerate(pairwise(SIZES)):
        weight = rng.normal(0, gain / np.sqrt(n_in), (n_out, n_in)).astype(np.float32)
        nodes[f"fc{i}"] = nir.Affine(weight, rng.normal(0, 0.1, n_out).astype(np.float32))
        nodes[f"neuron{i}"] = neuron(np.ones(n_out, np.float32))
    nodes["output"] = nir.Output({"output": np.array([SIZES[-1]])})
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, list(pairwise(names))))
    return path


def snntorch_lif(one: np.ndarray, beta: float = 0.9) -> nir.LIF:
    tau = 1e-4 / (1 - beta)
    return nir.LIF(tau=tau * one, r=tau / 1e-4 * one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


def snntorch_cuba(one: np.ndarray) -> nir.CubaLIF:
    taus = {"tau_syn": 1e-4 / (1 - 0.6) * one, "tau_mem": 1e-4 / (1 - 0.9) * one}
    return nir.CubaLIF(**taus, r=10 * one, w_in=2.5 * one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("neuron", [snntorch_lif, snntorch_cuba])
def test_snntorch_import(tmp_path, neuron, seed):
    path = written(tmp_path / "m.nir", seed, neuron)
    module, network, x = import_from_nir(nir.read(path)), load(path, preset="snntorch"), spikes_in(seed, STEPS, (20,))
    assert_same(network, x, fx_stepped(module, x, list(network.populations)))


def fx_stepped(module: torch.nn.Module, x: torch.Tensor, names: list[str]) -> dict[str, np.ndarray]:
    """(batch, steps, n) of an imported graph module, whose layers keep their states themselves."""
    rows: dict[str, list] = {name: [] for name in names}
    parts = dict(module.named_modules())
    for name in names:
        parts[name].register_forward_hook(lambda m, a, out, name=name: rows[name].append(
            (out[0] if isinstance(out, tuple) else out).detach().numpy().copy()))
    with torch.no_grad():
        state: tuple = ()
        for t in range(len(x)):
            out = module(x[t], *state)
            state = (out[1],) if isinstance(out, tuple) and type(module).__name__ == "GraphExecutor" else ()
    return {name: np.stack(values, 1) for name, values in rows.items()}


def sinabs_if(one: np.ndarray) -> nir.IF:
    return nir.IF(r=one, v_threshold=1.5 * one)


def sinabs_lif(one: np.ndarray) -> nir.LIF:
    return nir.LIF(tau=20 * one, r=one, v_leak=0 * one, v_threshold=one)


@quiet
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("neuron", "floor"), [(sinabs_if, 1.0), (sinabs_lif, None)])
def test_sinabs_import(tmp_path, neuron, floor, seed):
    """from_nir gives IF layers a floor at -v_threshold, which sinabs' own layers do not have by default."""
    path = written(tmp_path / "m.nir", seed, neuron)
    network = load(path, preset="sinabs", v_floor=floor)
    module, x = sinabs.nir.from_nir(nir.read(path), batch_size=1), spikes_in(seed, STEPS, (20,), batch=1)
    rows = fx_stepped(module, x[:, 0][None], list(network.populations))
    assert_same(network, x, {n: v.reshape(1, STEPS, -1) for n, v in rows.items()})


def norse_lif(one: np.ndarray) -> nir.LIF:
    return nir.LIF(tau=0.01 * one, r=one, v_leak=0.2 * one, v_threshold=one)


def norse_cuba(one: np.ndarray) -> nir.CubaLIF:
    return nir.CubaLIF(tau_syn=0.005 * one, tau_mem=0.01 * one, r=one, w_in=5 * one, v_leak=0 * one, v_threshold=one)


@quiet
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("neuron", "options"), [(norse_lif, {}), (norse_cuba, {}), (sinabs_if, {}),
                                                 (sinabs_if, {"dt": 1.0})])
def test_norse_import(tmp_path, neuron, options, seed):
    """Norse adds the input of an IF neuron whole, whatever dt is; the preset scales r for that."""
    path = written(tmp_path / "m.nir", seed, neuron, gain=6.0)
    network, x = load(path, preset="norse", **options), spikes_in(seed, STEPS, (20,))
    module = norse.torch.from_nir(nir.read(path))
    names = {n: f"{n}.lif" if neuron is norse_cuba else n for n in network.populations}
    rows = fx_stepped(module, x, list(names.values()))
    assert_same(network, x, {n: rows[inner] for n, inner in names.items()})


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_files_load_and_run(corpus, name):
    """The frameworks' own exports, with the preset of where they come from."""
    network = load(corpus / "exported" / f"{name}.nir", preset=name.split("_")[0])
    assert isinstance(network, Network)
    shape = next(iter(network.inputs.values())).shape
    got = simulated(network, spikes_in(0, 10, shape))
    assert set(got) == set(network.populations)
    assert all(np.isfinite(v).all() for v in got.values())


@pytest.mark.parametrize("name", ["snntorch_mlp_leaky", "snntorch_mlp_synaptic"])
def test_exported_files_give_the_spikes_of_snntorch(corpus, name):
    path = corpus / "exported" / f"{name}.nir"
    network, x = load(path, preset="snntorch"), spikes_in(0, 50, (64,), rate=0.6)
    module = import_from_nir(nir.read(path))
    names = {n: n if n in dict(module.named_modules()) else f"_{n}" for n in network.populations}
    rows = fx_stepped(module, x, list(names.values()))
    assert all(is_spiking(p) for p in network.populations.values())
    assert_same(network, x, {n: rows[inner] for n, inner in names.items()}, least=0)


def test_without_a_preset_there_is_a_warning(tmp_path):
    path = written(tmp_path / "m.nir", 0, norse_lif)
    with pytest.warns(SemanticsWarning, match="settle it with dt"):
        load(path)
