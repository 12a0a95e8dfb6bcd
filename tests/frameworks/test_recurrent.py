"""Recurrent cells against PyTorch and snnTorch: the GRU in the EGRU, and the L2MU made of snnTorch's Leaky."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import snntorch
import torch

from examples import l2mu_braille
from hwsdk.ir.build import NetworkBuilder
from hwsdk.ir.build_egru import egru_layer, from_torch_gru
from hwsdk.ir.data import Stimulus
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference


def test_an_egru_that_never_falls_silent_is_torchs_gru():
    torch.manual_seed(0)
    gru = torch.nn.GRU(6, 10)
    with torch.no_grad():
        gru.bias_ih_l0[20:] += 8  # the candidate, hence the state, stays positive
        x = torch.randn(40, 1, 6)
        expected = gru(x)[0][:, 0].numpy()
    w, r, bx, br = (from_torch_gru(p.detach().numpy()) for p in gru.parameters())
    builder = egru_layer(NetworkBuilder().input("in", 6), "gru", "in", w=w, r=r, bx=bx, br=br, theta=0.0)
    network = builder.output("out", "gru").build(Semantics(precision="float32"))
    trace = reference.run(network, Stimulus.dense(x[:, 0].numpy(), {"in": (6,)}))
    assert (expected > 0).all()
    np.testing.assert_allclose(trace.spikes["out"].dense(0), expected, atol=2e-6)


def test_the_l2mu_spikes_as_in_snntorch(corpus: Path):
    weights, params = l2mu_braille.load(corpus / "l2mu_braille")
    data = l2mu_braille.samples(corpus / "l2mu_braille", 4)
    trace = reference.run(l2mu_braille.network(weights, params, "float32"), data)
    w = {name: torch.from_numpy(value) for name, value in weights.items()}
    leaky = {name: snntorch.Leaky(beta=params["beta"][name], threshold=params["threshold"][name],
                                  reset_mechanism="subtract") for name in ("u", "m", "h", "out")}
    mem = {name: cell.reset_mem() for name, cell in leaky.items()}
    m, h = torch.zeros(data.n_samples, 70, 7), torch.zeros(data.n_samples, 120)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in leaky}

    def fire(name: str, current: torch.Tensor) -> torch.Tensor:
        spikes, mem[name] = leaky[name](current, mem[name])
        seen[name].append((spikes.swapaxes(1, 2) if name == "m" else spikes).reshape(data.n_samples, -1).numpy())
        return spikes

    with torch.no_grad():
        for x in torch.from_numpy(data.inputs["input"].dense(dtype=np.float32)).unbind(1):
            u = fire("u", x @ w["e_x"].T + h @ w["e_h"].T + m.reshape(-1, 490) @ w["e_m"].T)
            m = fire("m", m @ w["A"].T + u[:, :, None] * w["B"][:, 0])
            h = fire("h", x @ w["W_x"].T + h @ w["W_h"].T + m.reshape(-1, 490) @ w["W_m"].T)
            fire("out", h @ w["W_out"].T + w["b_out"])
    for name, rows in seen.items():
        assert (trace.spikes[name].dense() == np.stack(rows, 1)).all(), name
