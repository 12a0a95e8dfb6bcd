"""Run a module with its framework's own forward, run its network in the reference, and count where they differ."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch

from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import is_spiking
from hwsdk.simulators import reference


def spikes_in(seed: int, steps: int, shape: tuple[int, ...], rate: float = 0.3, batch: int = 2) -> torch.Tensor:
    """Random input spikes (steps, batch, *shape)."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand((steps, batch, *shape), generator=generator) < rate).float()


def randomise(module: torch.nn.Module, seed: int, gain: float = 2.0) -> torch.nn.Module:
    """Weights large enough that all layers fire; biases and weights of Linear and convolution layers only."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d):
            fan_in = part.weight[0].numel()
            part.weight.data = torch.randn(part.weight.shape, generator=generator) * gain / fan_in**0.5
            if part.bias is not None:
                part.bias.data = torch.randn(part.bias.shape, generator=generator) * 0.1
    return module


def stepped(module: torch.nn.Module, x: torch.Tensor, names: list[str]) -> dict[str, np.ndarray]:
    """Outputs (batch, steps, n) of the named layers of a module that runs one step a call and keeps its states."""
    module = copy.deepcopy(module)
    for part in module.modules():
        if hasattr(part, "reset_mem"):
            part.reset_mem()
    state: list = []

    def one(t: int) -> None:
        takes_state = "state" in module.forward.__code__.co_varnames
        out = module(x[t], state[0] if state else None) if takes_state else module(x[t])
        state[:] = [out[1]] if takes_state else []

    return _recorded(module, names, lambda: [one(t) for t in range(len(x))])


def whole(module: torch.nn.Module, x: torch.Tensor, names: list[str]) -> dict[str, np.ndarray]:
    """The same of a fresh module that takes all steps in one call, (batch * steps, ...) or (batch, steps, ...)."""
    found = _recorded(module, names, lambda: module(x))
    return {name: value[:, 0] for name, value in found.items()}


def _recorded(module: torch.nn.Module, names: list[str], run: Callable[[], object]) -> dict[str, np.ndarray]:
    """First outputs of the named layers, call by call: (batch, calls, n)."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
    parts = dict(module.named_modules())

    def keep(name: str) -> Callable[..., None]:
        def hook(part: object, args: object, out: object) -> None:
            first = out[0] if isinstance(out, tuple) else out
            rows[name].append(first.detach().numpy().copy())
        return hook

    handles = [parts[name].register_forward_hook(keep(name)) for name in names]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return {name: np.stack(values, 1) for name, values in rows.items()}


def simulated(network: Network, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Population -> (batch, steps, n) of the reference simulator for x (steps, batch, *shape)."""
    shapes = {name: node.shape for name, node in network.inputs.items()}
    trace = reference.run(network, Stimulus.dense(x.transpose(0, 1).numpy(), shapes))
    return {name: trace.spikes[name].dense() for name in network.populations}


def assert_same(network: Network, x: torch.Tensor, expected: dict[str, np.ndarray], least: int = 20) -> None:
    """Spikes equal in every cell; membranes close; and enough happened for this to mean something."""
    got = simulated(network, x)
    assert set(got) == set(expected)
    total = 0
    for name, node in network.populations.items():
        wanted = expected[name].reshape(got[name].shape)
        if is_spiking(node):
            assert int((wanted != got[name]).sum()) == 0, name
            total += int(wanted.sum())
        else:
            np.testing.assert_allclose(got[name], wanted, rtol=1e-4, atol=1e-5, err_msg=name)
            assert np.abs(wanted).max() > 0
    assert total >= least or not any(is_spiking(p) for p in network.populations.values())
