"""snnTorch modules: the network gives snnTorch's own spikes, in every layer, or the module is refused by name."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import snntorch as snn
import torch
from framework_runs import assert_same, randomise, spikes_in, stepped
from torch import nn

from hwsdk.errors import MissingDependencyError, ModelError
from hwsdk.ir.formats import load
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LI, LIF, CubaLI, CubaLIF

SEEDS = range(4)
RESETS = ["zero", "subtract"]


def leaky(n: object = None, seed: int = 0, **options: object) -> snn.Leaky:
    """Scalar beta, or per-neuron beta and threshold of shape n."""
    generator = torch.Generator().manual_seed(seed)
    if n is not None:
        options |= {"beta": 0.5 + torch.rand(n, generator=generator) / 2,
                    "threshold": 0.5 + torch.rand(n, generator=generator)}
    return snn.Leaky(**{"beta": 0.9, "init_hidden": True, **options})


def mlp(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(20, 30), leaky(reset_mechanism=reset), nn.Linear(30, 25, bias=False),
                         leaky(reset_mechanism=reset, beta=0.8, threshold=0.7), nn.Linear(25, 5),
                         leaky(reset_mechanism=reset, output=True)), (20,)


def mixed(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    """Per-neuron parameters; one layer without leak, one with a decay above 1 (clamped)."""
    return nn.Sequential(nn.Linear(20, 30), leaky((30,), seed, reset_mechanism=reset), nn.Linear(30, 25),
                         leaky(reset_mechanism=reset, beta=1.0), nn.Linear(25, 12),
                         leaky(reset_mechanism=reset, beta=torch.linspace(-0.2, 1.2, 12))), (20,)


def conv(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), leaky(reset_mechanism=reset), nn.AvgPool2d(2),
                         nn.Conv2d(4, 6, (3, 1), stride=(1, 2), bias=False), leaky(reset_mechanism=reset),
                         nn.Flatten(), nn.Linear(6 * 2 * 2, 10), leaky(reset_mechanism=reset)), (2, 8, 8)


def conv1d(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Conv1d(2, 4, 3, dilation=2), leaky((4, 1), seed, reset_mechanism=reset), nn.Flatten(),
                         nn.Linear(48, 9), leaky(reset_mechanism=reset)), (2, 16)


def recurrent(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    options = {"init_hidden": True, "reset_mechanism": reset, "reset_delay": reset == "subtract"}
    return nn.Sequential(nn.Linear(12, 16), snn.RLeaky(beta=0.8, linear_features=16, **options), nn.Linear(16, 7),
                         snn.RLeaky(beta=0.7, all_to_all=False, V=torch.linspace(-1, 1, 7), **options)), (12,)


def recurrent_conv(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    options = {"init_hidden": True, "reset_mechanism": reset, "reset_delay": reset == "subtract"}
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1),
                         snn.RLeaky(beta=0.8, conv2d_channels=3, kernel_size=3, **options)), (1, 6, 6)


def synaptic(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    options = {"init_hidden": True, "reset_mechanism": reset, "reset_delay": reset == "subtract"}
    return nn.Sequential(nn.Linear(20, 30), snn.Synaptic(alpha=0.6, beta=0.9, **options), nn.Linear(30, 10),
                         snn.Synaptic(alpha=torch.linspace(0, 1, 10), beta=1.0, **options)), (20,)


def lossy(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    """reset_delay with zero loses the input of the step after a spike in all but Leaky."""
    options = {"init_hidden": True, "reset_mechanism": reset}
    return nn.Sequential(nn.Linear(20, 30), snn.Synaptic(alpha=0.6, beta=0.9, **options), nn.Linear(30, 16),
                         snn.RLeaky(beta=0.8, linear_features=16, **options), nn.Linear(16, 8),
                         snn.RSynaptic(alpha=0.5, beta=0.8, linear_features=8, **options)), (20,)


def readout(reset: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(20, 30), leaky(reset_mechanism=reset), nn.Linear(30, 10),
                         leaky(reset_mechanism="none", output=True)), (20,)


ARCHITECTURES = [mlp, mixed, conv, conv1d, recurrent, recurrent_conv, synaptic, lossy]


def loaded(module: nn.Module, shape: tuple[int, ...], **options: object) -> Network:
    return load(module, sample=torch.rand(1, *shape), **options)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda f: f.__name__)
def test_spikes_are_those_of_snntorch(make, reset, seed):
    module, shape = make(reset, seed)
    randomise(module, seed)
    network, x = loaded(module, shape), spikes_in(seed, 60, shape)
    assert_same(network, x, stepped(module, x, list(network.populations)))


@pytest.mark.parametrize("reset", RESETS)
def test_a_last_layer_without_reset_is_a_readout(reset):
    module, shape = readout(reset, 0)
    network, x = loaded(randomise(module, 0), shape), spikes_in(0, 40, shape)
    assert isinstance(network.nodes["3"], LI)
    module[3].register_forward_hook(lambda m, a, out: out[::-1])
    assert_same(network, x, stepped(module, x, ["1", "3"]))


class Net(nn.Module):
    """The tutorials' class: states handed through, one step a call."""

    def __init__(self, skip: bool = False) -> None:
        super().__init__()
        self.skip = skip
        self.fc1, self.lif1 = nn.Linear(20, 20), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(20, 20), snn.Leaky(beta=torch.tensor(0.8), learn_beta=True)

    def forward(self, x: torch.Tensor, state: tuple | None = None) -> tuple:
        mem1, mem2 = state or (self.lif1.reset_mem(), self.lif2.reset_mem())
        spk1, mem1 = self.lif1(self.fc1(x.view(x.size(0), -1)), mem1)
        cur2 = self.fc2(spk1) + x.flatten(1) if self.skip else self.fc2(spk1)
        spk2, mem2 = self.lif2(cur2, mem2)
        return spk2, (mem1, mem2)


class Looped(Net):
    """The time loop inside forward, (steps, batch, 20) in."""

    def forward(self, x: torch.Tensor, state: None = None) -> tuple:
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        spikes, membranes = [], []
        for t in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


@pytest.mark.parametrize("skip", [False, True])
def test_classes_with_states_handed_through(skip):
    module = randomise(Net(skip), 3)
    network, x = load(module, sample=torch.rand(2, 20)), spikes_in(3, 50, (20,))
    assert_same(network, x, stepped(module, x, ["lif1", "lif2"]))


def test_flattening_in_forward():
    module = randomise(Net(True), 3)
    network, x = load(module, sample=torch.rand(2, 1, 4, 5)), spikes_in(3, 50, (1, 4, 5))
    assert network.inputs["input"].shape == (1, 4, 5)
    assert_same(network, x, stepped(module, x, ["lif1", "lif2"]))


def test_a_time_loop_in_forward():
    module = randomise(Looped(), 4)
    network, x = load(module, sample=torch.rand(5, 2, 20)), spikes_in(4, 50, (20,))
    stepwise = Net()
    stepwise.load_state_dict(module.state_dict())
    assert_same(network, x, stepped(stepwise, x, ["lif1", "lif2"]))


def test_the_module_is_not_changed_and_hidden_states_may_carry_gradients():
    module, shape = mlp("zero", 0)
    randomise(module, 0)
    module(torch.ones(3, *shape))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    mem = module[1].mem
    assert mem.grad_fn is not None
    loaded(module, shape)
    assert module[1].mem is mem and module.training
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_samples_with_and_without_batch_and_as_arrays():
    module, shape = conv("zero", 0)
    digests = {load(module, sample=s).digest() for s in (torch.rand(3, *shape), np.zeros((1, *shape)))}
    assert len(digests) == 1
    flat, _ = mlp("zero", 0)
    assert load(flat, sample=torch.rand(20)).digest() == load(flat, sample=np.ones((1, 20), bool)).digest()


def test_kinds_and_gains():
    module, shape = mixed("zero", 0)
    network = loaded(module, shape)
    assert [type(p) for p in network.populations.values()] == [LIF, IF, LIF]
    readouts = nn.Sequential(nn.Linear(4, 3), snn.Synaptic(alpha=0.5, beta=0.5, reset_mechanism="none",
                                                           init_hidden=True, output=True))
    assert isinstance(loaded(readouts, (4,)).nodes["1"], CubaLI)
    module, shape = synaptic("zero", 0)
    assert all(isinstance(p, CubaLIF) for p in loaded(module, shape).populations.values())


def test_the_ledger_says_what_was_read():
    module, shape = mlp("subtract", 0)
    text = loaded(module, shape).ledger.to_text()
    assert "snntorch.Leaky: beta 0.9, threshold 1, reset_mechanism subtract, reset_delay True [LAYER]" in text
    assert "reset=subtract, reset_timing=next_step [MODULE]" in text


def one(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), layer)


REFUSED = {
    "INHIBITION": lambda: one(leaky(inhibition=True)),
    "STATE_QUANT": lambda: one(leaky(state_quant=lambda x: x)),
    "GRADED_SPIKES": lambda: one(leaky(graded_spikes_factor=2.0)),
    "NO_RESET": lambda: one(leaky(reset_mechanism="none")),
    "RESET_DELAY": lambda: one(leaky(reset_delay=False)),
    "SPIKE_FUNCTION": lambda: one(leaky(spike_grad=torch.sigmoid)),
    "MIXED_SETTINGS": lambda: nn.Sequential(nn.Linear(4, 3), leaky(), nn.Linear(3, 3), leaky(reset_mechanism="zero")),
    "UNKNOWN_LAYER": lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), leaky()),
    "SAMPLE_FAILS": lambda: nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9), nn.Linear(3, 3)),
    "SHAPE_MISMATCH": lambda: one(leaky(beta=torch.rand(2, 3))),
    "NO_NEURONS": lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3)),
    "POOL_OPTION": lambda: nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 1, 1),
                                         nn.AvgPool2d(2, ceil_mode=True), leaky()),
    "PADDING_MODE": lambda: nn.Sequential(nn.Unflatten(1, (1, 2, 2)),
                                          nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), leaky()),
    "RESHAPE": lambda: nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 1, 1), leaky()),
    "PRECISION": lambda: one(leaky()).bfloat16(),
}


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature:UserWarning")
@pytest.mark.parametrize("code", REFUSED)
def test_refusals_name_the_layer_and_a_remedy(code):
    with pytest.raises(ModelError) as caught:
        load(REFUSED[code](), sample=torch.ones(2, 4))
    assert caught.value.code == code
    assert caught.value.fix
    if code in ("INHIBITION", "STATE_QUANT", "GRADED_SPIKES", "NO_RESET", "RESET_DELAY", "SPIKE_FUNCTION"):
        assert caught.value.where == "1" and caught.value.what.startswith("snntorch.Leaky with ")


def test_mixed_resets_name_every_layer():
    with pytest.raises(ModelError, match=r"the layers differ in reset \(subtract: 1; value: 3\)"):
        load(REFUSED["MIXED_SETTINGS"](), sample=torch.ones(1, 4))


def test_the_user_settles_an_undelayed_subtraction():
    network = load(one(leaky(reset_delay=False)), sample=torch.ones(1, 4), reset_timing="same_step")
    assert network.semantics.reset_timing == "same_step"
    assert any(e.code == "RESET_DELAY" and e.node == "1" for e in network.ledger.of("warning"))


def test_what_the_user_sets_against_the_module_is_in_the_ledger():
    network = load(one(leaky()), sample=torch.ones(1, 4), reset="value", reset_timing="same_step", dt=1e-3)
    assert network.semantics.reset == "value" and network.semantics.dt == 1e-3
    x = spikes_in(0, 30, (4,))
    expected = load(one(leaky()), sample=torch.ones(1, 4), reset="value", reset_timing="same_step")
    assert expected.semantics.dt == 1e-4
    np.testing.assert_allclose(network.nodes["1"].tau, 10 * expected.nodes["1"].tau)
    assert x.sum() > 0


def test_shared_layers_are_refused():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 4), leaky()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lif(self.fc(self.lif(self.fc(x))))

    with pytest.raises(ModelError, match="SHARED_LAYER"):
        load(Shared(), sample=torch.ones(1, 4))


def test_operations_between_layers_are_refused():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 4), leaky()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lif(torch.relu(self.fc(x)))

    with pytest.raises(ModelError, match=r"\[UNTRACED_OPERATION\] lif: torch's relu stands between fc and this layer"):
        load(Scaled(), sample=torch.ones(1, 4))


def test_a_sample_is_needed():
    with pytest.raises(ModelError, match=r"\[SAMPLE_MISSING\].*\n  fix: load\(module, sample=x\)"):
        load(one(leaky()))


def test_without_torch_the_error_says_what_to_install(monkeypatch):
    module = one(leaky())
    monkeypatch.setitem(sys.modules, "torch.overrides", None)
    with pytest.raises(MissingDependencyError, match=r"\[NO_TORCH\].*\n  fix: pip install torch==2.13.0, then"):
        load(module, sample=np.ones((1, 4)))


def test_presets_are_for_files():
    with pytest.raises(ModelError, match=r"\[PRESET_NOT_NEEDED\]"):
        load(one(leaky()), sample=torch.ones(1, 4), preset="snntorch")


def test_picking_parts_of_the_input_is_refused():
    class Picks(Net):
        def forward(self, x: torch.Tensor, state: None = None) -> torch.Tensor:
            return self.lif1(self.fc1(x[:, 1]))[0]

    with pytest.raises(ModelError, match=r"\[INDEXED_INPUT\]"):
        load(Picks(), sample=torch.ones(1, 2, 20))


def test_branches_that_are_joined_side_by_side_are_refused():
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.lif = nn.Linear(4, 2), nn.Linear(4, 2), leaky()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lif(torch.cat([self.a(x), self.b(x)], 1))

    with pytest.raises(ModelError, match=r"torch's cat stands between a, b and this layer"):
        load(Joined(), sample=torch.ones(1, 4))


def test_linear_layers_over_images_are_refused():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), leaky(), nn.Linear(4, 3), leaky())
    with pytest.raises(ModelError, match=r"\[RANK_MISMATCH\]"):
        load(module, sample=torch.ones(1, 1, 6, 6))


def test_double_precision():
    """One layer: snnTorch's spikes are float32 whatever goes in, so a second layer of float64 would not run."""
    module = randomise(nn.Sequential(nn.Linear(20, 30), leaky()), 5).double()
    network, x = loaded(module, (20,)), spikes_in(5, 60, (20,))
    assert network.semantics.precision == "float64"
    assert_same(network, x, stepped(module, x.double(), list(network.populations)))


def test_a_loaded_module_runs_on_a_chip():
    import hwsdk

    module, shape = mlp("subtract", 0)
    network = hwsdk.load(randomise(module, 0), sample=torch.ones(1, *shape))
    program = hwsdk.compile(network, "loihi2")
    assert program.digest()
