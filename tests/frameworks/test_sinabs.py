"""sinabs modules: the network gives sinabs' own spikes, in every layer, or the module is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import sinabs
import sinabs.activation as sa
import sinabs.layers as sl
import torch
from framework_runs import assert_same, randomise, spikes_in, whole
from torch import nn

from hwsdk.errors import ModelError
from hwsdk.ir.formats import load
from hwsdk.ir.network import Network

SEEDS = range(4)
STEPS = 40
SINGLE = {"spike_fn": sa.SingleSpike}
ZERO = {"spike_fn": sa.SingleSpike, "reset_fn": sa.MembraneReset()}
RULES = {"multiple": {}, "single": SINGLE, "zero": ZERO, "max_one": {"spike_fn": sa.MaxSpike(1)},
         "no_max": {"spike_fn": sa.MaxSpike()}, "floor": {"min_v_mem": -1.0},
         "part": {**SINGLE, "reset_fn": sa.MembraneSubtract(0.5)}}


def mlp_iaf(rule: dict) -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(20, 30), sl.IAF(**rule), nn.Linear(30, 25, bias=False), sl.IAF(**rule),
                         nn.Linear(25, 5), sl.IAF(**rule)), (20,)


def mlp_lif(rule: dict) -> tuple[nn.Module, tuple[int, ...]]:
    """norm_input on and off, scalar and per-neuron time constants, trained decays, an IAF between."""
    return nn.Sequential(nn.Linear(20, 30), sl.LIF(tau_mem=20.0, norm_input=False, **rule), nn.Linear(30, 25),
                         sl.LIF(tau_mem=torch.linspace(2, 40, 25), norm_input=True, **rule), nn.Linear(25, 12),
                         sl.IAF(**rule), nn.Linear(12, 8), sl.LIF(tau_mem=9.0, train_alphas=True, **rule)), (20,)


def synapses(rule: dict) -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(20, 30), sl.LIF(tau_mem=20.0, tau_syn=5.0, norm_input=False, **rule),
                         nn.Linear(30, 10), sl.IAF(tau_syn=3.0, **rule)), (20,)


def thresholds(rule: dict) -> tuple[nn.Module, tuple[int, ...]]:
    """Thresholds a neuron, and a readout behind them."""
    rule = {k: v for k, v in rule.items() if k != "min_v_mem"}
    return nn.Sequential(nn.Linear(20, 30), sl.IAF(spike_threshold=torch.linspace(0.6, 1.5, 30), **rule),
                         nn.Linear(30, 10), sl.ExpLeak(tau_mem=10.0), nn.Identity()), (20,)


def recurrent(rule: dict) -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(12, 16), sl.LIFRecurrent(tau_mem=10.0, rec_connect=nn.Linear(16, 16, bias=False),
                                                            norm_input=False, **rule),
                         nn.Linear(16, 7), sl.IAFRecurrent(rec_connect=nn.Linear(7, 7, bias=False), **rule)), (12,)


def conv(rule: dict) -> tuple[nn.Module, tuple[int, ...]]:
    squeeze = {"batch_size": 1, **rule}
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), sl.IAFSqueeze(**squeeze), sl.SumPool2d(2),
                         nn.Conv2d(4, 6, 3, groups=2), sl.LIFSqueeze(tau_mem=15.0, **squeeze), nn.AvgPool2d(2),
                         nn.Flatten(), nn.Linear(6, 10), sl.IAFSqueeze(**squeeze)), (2, 8, 8)


def conv1d(rule: dict) -> tuple[nn.Module, tuple[int, ...]]:
    squeeze = {"batch_size": 1, **rule}
    return nn.Sequential(nn.Conv1d(2, 4, 3, padding="same"), sl.IAFSqueeze(**squeeze), nn.Flatten(), nn.Linear(64, 9),
                         sl.IAFSqueeze(**squeeze)), (2, 16)


def unflattened(rule: dict) -> tuple[nn.Module, tuple[int, ...]]:
    """Batch and time joined for the convolution, apart for the neurons; and the two branches merged."""
    return nn.Sequential(sl.Repeat(nn.Conv2d(1, 3, 3)), sl.IAF(**rule), sl.FlattenTime(), nn.AvgPool2d(2),
                         nn.Flatten(), nn.Linear(12, 6), sl.UnflattenTime(batch_size=1), sl.IAF(**rule)), (1, 6, 6)


FLAT = [mlp_iaf, mlp_lif, synapses, thresholds, recurrent, unflattened]
SQUEEZED = [conv, conv1d]


def sample_of(x: torch.Tensor, squeezed: bool) -> torch.Tensor:
    """(steps, 1, *shape) as sinabs takes it."""
    return x[:, 0] if squeezed else x.transpose(0, 1)


def populations(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if isinstance(part, sl.LIF)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("make", [*FLAT, *SQUEEZED], ids=lambda f: f.__name__)
def test_spikes_are_those_of_sinabs(make, rule, seed):
    module, shape = make(RULES[rule])
    randomise(module, seed, gain=0.7 if make is recurrent else 2.0)  # several spikes a step would grow without bounds
    squeezed = make in SQUEEZED
    network = load(module, sample=sample_of(torch.rand(3, 1, *shape), squeezed))
    x = spikes_in(seed, STEPS, shape, batch=1)
    found = whole(module, sample_of(x, squeezed), populations(module))
    expected = {n: v.reshape(1, STEPS, -1) for n, v in found.items()}
    assert_same(network, x, expected)


class Branches(nn.Module):
    """Two paths that meet."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(10, 12), nn.Linear(10, 12), nn.Linear(12, 4)
        self.left, self.right, self.merge, self.out = sl.IAF(), sl.LIF(tau_mem=8.0), sl.Merge(), sl.IAF()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.c(self.merge(self.left(self.a(x)), self.right(self.b(x)))))


def test_branches():
    module = randomise(Branches(), 1)
    network, x = load(module, sample=torch.rand(1, 5, 10)), spikes_in(1, STEPS, (10,), batch=1)
    found = whole(module, x.transpose(0, 1), ["left", "right", "out"])
    assert_same(network, x, {n: v.reshape(1, STEPS, -1) for n, v in found.items()})


def test_a_network_converted_from_an_ann():
    from sinabs.from_torch import from_model

    ann = randomise(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 10),
                                  nn.ReLU()), 2, gain=6.0)
    module = from_model(ann, input_shape=(1, 8, 8), batch_size=1).spiking_model
    network, x = load(module, sample=torch.rand(4, 1, 8, 8)), spikes_in(2, STEPS, (1, 8, 8), batch=1)
    assert [e.node for e in network.ledger.entries if e.code == "STATE_RESET"] == ["1", "5"]  # from_model runs it once
    sinabs.reset_states(module)
    assert network.semantics.v_floor == 1.0
    found = whole(module, x[:, 0], list(network.populations))
    assert_same(network, x, {n: v.reshape(1, STEPS, -1) for n, v in found.items()})


def test_nothing_is_lost_of_what_the_exporter_loses():
    layer = sl.LIF(tau_mem=20.0, tau_syn=5.0, min_v_mem=-2.0, spike_threshold=torch.tensor(4.0), norm_input=True,
                   **SINGLE)
    network = load(nn.Sequential(nn.Linear(4, 3), layer), sample=torch.rand(1, 2, 4))
    s, node = network.semantics, network.nodes["1"]
    assert (s.spikes, s.reset, s.comparison, s.v_floor, s.dt) == ("single", "subtract", ">=", 0.5, 1.0)
    np.testing.assert_allclose([node.tau_mem[0], node.tau_syn[0], node.r[0], node.w_in[0]],
                               [20, 5, 1 - np.exp(-1 / 20), np.exp(-1 / 5)], rtol=1e-5)
    assert "norm_input True, synaptic decay 0.818731, spike_threshold 4, SingleSpike, MembraneSubtract, min_v_mem -2" \
        in network.ledger.to_text()


def test_the_module_is_not_changed():
    module, shape = recurrent({})
    module(torch.ones(1, 4, *shape))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    load(module, sample=torch.rand(2, 3, *shape))
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def one(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), layer)


def two(first: nn.Module, second: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), first, nn.Linear(3, 3), second)


class MyReset:
    def __call__(self, spikes: torch.Tensor, state: dict, threshold: torch.Tensor) -> dict:
        return state


REFUSED = {
    "SPIKE_FUNCTION": lambda: one(sl.IAF(spike_fn=sa.MaxSpike(3))),
    "RESET_VALUE": lambda: one(sl.IAF(spike_fn=sa.SingleSpike, reset_fn=sa.MembraneReset(0.2))),
    "RESET_FUNCTION": lambda: one(sl.IAF(reset_fn=MyReset())),
    "MULTIPLE_SPIKES": lambda: one(sl.IAF(reset_fn=sa.MembraneReset())),
    "V_FLOOR": lambda: one(sl.ExpLeak(tau_mem=5.0, min_v_mem=-1.0)),
    "MIXED_SETTINGS": lambda: two(sl.IAF(), sl.IAF(spike_fn=sa.SingleSpike)),
    "RECURRENT_BIAS": lambda: one(sl.IAFRecurrent(rec_connect=nn.Linear(3, 3))),
    "RECURRENT_LAYER": lambda: one(sl.IAFRecurrent(rec_connect=nn.Sequential(nn.Linear(3, 3)))),
    "UNKNOWN_LAYER": lambda: two(sl.ALIF(tau_mem=5.0, tau_adapt=5.0), sl.IAF()),
}


@pytest.mark.parametrize("code", REFUSED)
def test_refusals_name_the_layer_and_a_remedy(code):
    with pytest.raises(ModelError) as caught:
        load(REFUSED[code](), sample=torch.rand(1, 2, 4))
    assert (caught.value.code, bool(caught.value.fix)) == (code, True)
    if code != "MIXED_SETTINGS":
        assert caught.value.where == "1"


def test_floors_that_differ_are_refused():
    with pytest.raises(ModelError, match=r"the layers differ in v_floor \(1.0: 1; None: 3\)"):
        load(two(sl.IAF(min_v_mem=-1.0), sl.IAF()), sample=torch.rand(1, 2, 4))


def test_frameworks_are_not_mixed():
    import snntorch

    module = two(sl.IAF(), snntorch.Leaky(beta=0.9, init_hidden=True))
    with pytest.raises(ModelError, match=r"\[MIXED_FRAMEWORKS\] layers of snntorch and sinabs are mixed"):
        load(module, sample=torch.rand(1, 2, 4))


def test_dt_scales_the_time_constants_of_a_framework_that_counts_steps():
    module, _ = mlp_lif({})
    a, b = load(module, sample=torch.rand(1, 2, 20)), load(module, sample=torch.rand(1, 2, 20), dt=1e-3)
    np.testing.assert_allclose(b.nodes["1"].tau, 1e-3 * a.nodes["1"].tau)
    assert isinstance(b, Network) and b.semantics.dt == 1e-3
