"""Norse modules: the network gives Norse's own spikes, in every layer, or the module is refused by name.

Norse adds its terms in another order than the reference (v + dt/tau (v_leak - v + i)), so membranes differ in the last
bits; spikes could only differ where a membrane meets its threshold to seven digits.
"""

from __future__ import annotations

import norse.torch as nt
import numpy as np
import pytest
import torch
from framework_runs import assert_same, randomise, spikes_in, stepped, whole
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator import LIParameters
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.iaf import IAFCell
from norse.torch.module.leaky_integrator import LICell
from torch import nn

from hwsdk.errors import ModelError
from hwsdk.ir.formats import load

SEEDS = range(4)
GAIN = 8.0


def t(value: float) -> torch.Tensor:
    return torch.as_tensor(value)


def box(**options: object) -> nt.LIFBoxCell:
    return nt.LIFBoxCell(LIFBoxParameters(**options))


def lif_box(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nt.SequentialState(nn.Linear(20, 30), nt.LIFBoxCell(), nn.Linear(30, 25, bias=False), nt.LIFBoxCell(),
                              nn.Linear(25, 10), nt.LIFBoxCell()), (20,)


def lif_box_reset(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    """v_reset and v_leak off zero, per-neuron time constants and thresholds."""
    return nt.SequentialState(nn.Linear(20, 30), box(v_reset=t(-0.3), v_leak=t(0.2), v_th=torch.linspace(0.6, 1.4, 30)),
                              nn.Linear(30, 10), box(tau_mem_inv=torch.linspace(50, 500, 10), v_leak=t(-0.1))), (20,)


def lif_box_subtract(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nt.SequentialState(nn.Linear(20, 30), box(reset_method=reset_subtract, v_reset=t(0.5)), nn.Linear(30, 10),
                              box(reset_method=reset_subtract, v_leak=t(0.1))), (20,)


def lif(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    slow = LIFParameters(tau_syn_inv=torch.linspace(100, 400, 10), tau_mem_inv=t(60.0), v_leak=t(0.1), v_reset=t(-0.2))
    return nt.SequentialState(nn.Linear(20, 30), nt.LIFCell(), nn.Linear(30, 10), nt.LIFCell(slow)), (20,)


def iaf(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nt.SequentialState(nn.Linear(20, 30), IAFCell(), nn.Linear(30, 10),
                              IAFCell(IAFParameters(v_th=t(1.7)))), (20,)


def readouts(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nt.SequentialState(nn.Linear(20, 30), nt.LIFBoxCell(), nn.Linear(30, 10),
                              nt.LIBoxCell(LIBoxParameters(v_leak=t(0.3)))), (20,)


def cuba_readout(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nt.SequentialState(nn.Linear(20, 30), nt.LIFCell(), nn.Linear(30, 10),
                              LICell(LIParameters(tau_mem_inv=t(150.0)))), (20,)


def conv(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nt.SequentialState(nn.Conv2d(2, 4, 3, padding=1), nt.LIFBoxCell(), nn.LPPool2d(1, 2), nn.Conv2d(4, 6, 3),
                              nt.LIFCell(), nn.AvgPool2d(2), nn.Flatten(1), nn.Linear(6, 10),
                              nt.LIFBoxCell()), (2, 8, 8)


def recurrent(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(seed)
    return nt.SequentialState(nt.LIFRecurrentCell(20, 24), nn.Linear(24, 12),
                              nt.LIFRecurrentCell(12, 8, autapses=True)), (20,)


ARCHITECTURES = [lif_box, lif_box_reset, lif_box_subtract, lif, iaf, readouts, cuba_readout, conv, recurrent]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda f: f.__name__)
def test_spikes_are_those_of_norse(make, seed):
    module, shape = make(seed)
    randomise(module, seed, GAIN)
    network, x = load(module, sample=torch.rand(2, *shape)), spikes_in(seed, 80, shape)
    assert_same(network, x, stepped(module, x, list(network.populations)))


@pytest.mark.parametrize("seed", SEEDS)
def test_layers_that_run_over_time(seed):
    torch.manual_seed(seed)
    module = nt.SequentialState(nt.Lift(nn.Conv2d(1, 3, 3)), nt.LIF(), nn.Flatten(2), nt.Lift(nn.Linear(48, 10)),
                                nt.LIF(), nt.LIFRecurrent(10, 6))
    randomise(module, seed, GAIN)
    network, x = load(module, sample=torch.rand(3, 2, 1, 6, 6)), spikes_in(seed, 50, (1, 6, 6))
    found = whole(module, x, ["1", "4", "5"])
    assert_same(network, x, {n: v.reshape(50, 2, -1).swapaxes(0, 1) for n, v in found.items()})


def test_time_constants_and_gains():
    """tau = 1/tau_mem_inv (the exporter's dt/tau_mem_inv is norse issue 411), w_in = tau_syn/dt."""
    module = nt.SequentialState(nn.Linear(4, 3), nt.LIFCell(dt=0.002))
    network = load(module, sample=torch.rand(4))
    node = network.nodes["1"]
    np.testing.assert_allclose([node.tau_mem[0], node.tau_syn[0], node.w_in[0], node.r[0]], [0.01, 0.005, 2.5, 1],
                               rtol=1e-6)
    assert (network.semantics.dt, network.semantics.initial, network.semantics.integrator) == (0.002, "leak", "euler")
    assert "norse.LIFCell: tau_syn_inv 200, tau_mem_inv 100, v_leak 0, v_th 1, v_reset 0, dt 0.002" \
        in network.ledger.to_text()


def test_samples_with_and_without_batch():
    module, shape = conv(0)
    assert load(module, sample=torch.rand(5, *shape)).digest() == load(module, sample=np.ones((1, *shape))).digest()


def one(layer: nn.Module) -> nn.Module:
    return nt.SequentialState(nn.Linear(4, 3), layer)


def my_reset(z, v, reset, th):
    return v


REFUSED = {
    "MIXED_SETTINGS": lambda: nt.SequentialState(nn.Linear(4, 3), box(), nn.Linear(3, 3),
                                                 box(reset_method=reset_subtract)),
    "RESET_FUNCTION": lambda: one(box(reset_method=my_reset)),
    "RESET_VALUE": lambda: one(IAFCell(IAFParameters(v_reset=t(-0.5)))),
    "TAU_NOT_POSITIVE": lambda: one(box(tau_mem_inv=t(0.0))),
    "UNKNOWN_LAYER": lambda: one(nt.LIFAdExCell()),
    "THRESHOLD_NOT_ABOVE_RESET": lambda: one(box(v_reset=t(2.0))),
}


@pytest.mark.parametrize("code", REFUSED)
def test_refusals_name_the_layer_and_a_remedy(code):
    with pytest.raises(ModelError) as caught:
        load(REFUSED[code](), sample=torch.rand(2, 4))
    assert (caught.value.code, bool(caught.value.fix)) == (code, True)


def test_steps_that_differ_are_refused():
    module = nt.SequentialState(nn.Linear(4, 3), nt.LIFBoxCell(), nn.Linear(3, 3), nt.LIFBoxCell(dt=0.01))
    with pytest.raises(ModelError, match=r"the layers differ in dt \(1: 0.001, 3: 0.01\)"):
        load(module, sample=torch.rand(2, 4))
