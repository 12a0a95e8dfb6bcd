"""The reader of lava-dl files: what it reads, says in the ledger and refuses."""

from __future__ import annotations

import h5py
import lava_dl_files as files
import numpy as np
import pytest

import hwsdk
from hwsdk.errors import DataError, ModelError, SemanticsError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.fixed import FixedATRLIF, FixedLIF, FixedSigmaDelta
from hwsdk.ir.formats import load_data
from hwsdk.ir.nodes import ConvSynapses, Synapses
from hwsdk.simulators import reference

RNG = np.random.default_rng(3)
W = files.even(RNG, (5, 12), 40)


@pytest.fixture
def net(tmp_path):
    """net(*layers, **options): write a file and load it."""
    def load(*layers, **options):
        return hwsdk.load(files.write(tmp_path / "some.name", *layers), **options)

    return load


def codes(network):
    """Codes in the ledger."""
    return {e.code for e in network.ledger.entries}


def test_content_decides_not_the_ending(net):
    network = net(files.dense(W, files.CUBA))
    assert network.name == "some"
    assert network.is_integer
    assert network.shapes["dense0"] == (5,)
    assert network.inputs["input"].shape == (12,)


def test_lif_parameters_are_those_of_netx(net):
    cell = net(files.dense(W, files.CUBA, bias=np.arange(5.0)), reset_interval=16, reset_offset=1).nodes["dense0"]
    assert isinstance(cell, FixedLIF)
    assert (cell.du == 1023).all() and (cell.dv == 128).all() and (cell.vth == 80).all()
    assert (cell.bias == 64 * np.arange(5)).all()
    assert (cell.reset_interval, cell.reset_offset) == (16, 2)


def test_every_further_layer_is_reset_a_step_later(net):
    network = net(files.dense(W, files.CUBA), files.dense(files.even(RNG, (3, 5), 9), files.CUBA), reset_interval=20)
    assert [network.nodes[f"dense{i}"].reset_offset for i in (0, 1)] == [1, 2]


def test_a_decay_for_each_neuron(net):
    cell = net(files.dense(W, {**files.CUBA, "vDecay": np.arange(5)})).nodes["dense0"]
    assert cell.dv.tolist() == [0, 1, 2, 3, 4]


def test_alif_is_read_as_atrlif_and_said_to_go_beyond_netx(net):
    network = net(files.dense(W, files.ALIF))
    cell = network.nodes["dense0"]
    assert isinstance(cell, FixedATRLIF)
    assert (cell.du[0], cell.dv[0], cell.dtheta[0], cell.dr[0], cell.vth[0], cell.theta_step[0]) == (
        899, 200, 300, 400, 60, 30)
    assert "ALIF" in codes(network)


def test_sigma_delta_scales(net):
    network = net(files.input_layer((12,), files.SDNN), files.dense(W, files.SDNN, bias=np.full(5, -3)), spike_exp=4)
    encoder, layer = network.nodes["input0"], network.nodes["dense1"]
    assert isinstance(encoder, FixedSigmaDelta) and encoder.encodes and not layer.encodes
    assert (layer.theta == 2 << 10).all() and (layer.bias == -3 << 10).all()
    assert network.lag == {"input0": 1, "dense1": 1, "output": 1}


def test_a_sigma_output_sums_for_ever(net):
    network = net(files.dense(W, {**files.SDNN, "sigma_output": True}))
    x = np.zeros((4, 12), int)
    x[:2, 3] = 5
    sums = reference.run(network, Stimulus.dense(x, {"input": (12,)})).spikes["output"].dense(0)
    assert np.array_equal(sums, np.outer([0, 5, 10, 10], W[:, 3]))


def test_a_readout_that_cannot_fire_gives_its_membrane(net):
    network = net(files.dense(W, {**files.CUBA, "vThMant": (1 << 18) - 1, "iDecay": 4096, "vDecay": 0}))
    x = np.eye(12, dtype=int)[:3]
    v = reference.run(network, Stimulus.dense(x, {"input": (12,)})).spikes["output"].dense(0)
    assert np.array_equal(v[1:], 64 * np.cumsum(W.T[:2], axis=0))


def test_a_layer_without_neuron_cannot_go_on_chip_and_says_why(net):
    network = net(files.dense(W, None))
    assert "NO_NEURON" in codes(network)
    with pytest.raises(UnsupportedError, match=r"du is -1.*\n  fix: u of the chip loses at least 1/4096 in a step"):
        hwsdk.compile(network, "loihi2")


def test_pool_is_a_convolution_of_every_channel(net):
    network = net(files.input_layer((3, 4, 6)), files.pool(2, 16, files.CUBA, (3, 2, 3)))
    node = network.nodes["pool1.weight"]
    assert isinstance(node, ConvSynapses)
    assert (node.groups, node.weight.shape, node.stride) == (3, (3, 1, 2, 2), (2, 2))
    assert (node.weight == 16).all()
    assert "POOL" in codes(network)


def test_delays_of_a_convolution_act_on_the_way_to_the_neuron(net):
    kernel = files.even(RNG, (2, 1, 3, 3), 30)
    layers = files.input_layer((1, 4, 4)), files.conv(kernel, files.CUBA, (2, 2, 2), delay=np.array([0, 3]))
    network = net(*layers)
    node = network.nodes["conv1.weight"]
    assert isinstance(node, Synapses)
    assert set(node.delay_ticks[node.target < 4]) == {1} and set(node.delay_ticks[node.target >= 4]) == {4}
    assert "CONV_DELAY" in codes(network)
    same = net(*layers[:1], files.conv(kernel, files.CUBA, (2, 2, 2), delay=np.array([2, 2])))
    assert same.nodes["conv1.weight"].delay_ticks == 3


def test_long_delays_are_clipped_as_in_netx(net):
    network = net(files.dense(W, files.CUBA, delay=np.array([0, 1, 62, 63, 90])))
    assert network.nodes["dense0.weight"].delay_ticks.max() == 63
    assert "DELAY_CLIPPED" in codes(network)


@pytest.mark.parametrize(("weight", "wanted", "code"), [
    ([[300, -2]], [[254, -2]], "WEIGHT_CLIPPED"),  # optimize_weight_bits
    ([[-4, -3]], [[-3, -3]], "WEIGHT_TRUNCATED"),  # -4 << 6 is clipped to -255, then its low bits go
    ([[2.9, -2.9]], [[2, -2]], "FRACTION_CUT"),  # NetDict: astype(int)
    ([[0, 0]], [[0, 0]], None), ([[1, 3]], [[1, 3]], None), ([[-256, 254]], [[-256, 254]], None),
])
def test_weights_are_those_that_lava_computes_with(net, weight, wanted, code):
    network = net(files.dense(np.array(weight, np.float32), files.CUBA))
    node = network.nodes["dense0.weight"]
    found = np.zeros(2, int)
    found[node.source] = node.weight
    assert found.tolist() == wanted[0]
    assert code is None or code in codes(network)


@pytest.mark.parametrize(("weight", "bits", "sign"), [
    ([[2, -2]], 8, "mixed"), ([[64, -8]], 6, "mixed"), ([[1, 2]], 8, "excitatory"), ([[16, 32]], 4, "excitatory")])
def test_weights_say_how_few_bits_hold_them(net, weight, bits, sign):
    node = net(files.dense(np.array(weight, np.float32), files.CUBA)).nodes["dense0.weight"]
    assert (node.weight_bits, node.sign_mode, node.weight_exp) == (bits, sign, 0)


def test_odd_weights_of_both_signs_are_stored_apart(net):
    network = net(files.dense(np.array([[3.0, -5.0], [7.0, 0.0]]), files.CUBA))
    plus, minus = (network.nodes[f"dense0.weight.{sign}"] for sign in ("excitatory", "inhibitory"))
    assert (plus.weight.tolist(), minus.weight.tolist()) == ([3, 7], [-5])
    assert (plus.sign_mode, minus.sign_mode, plus.weight_bits, minus.weight_bits) == ("excitatory", "inhibitory", 8, 8)
    assert "WEIGHTS_BY_SIGN" in codes(network)
    assert "WEIGHTS_BY_SIGN" not in codes(net(files.dense(W, files.CUBA)))
    for target in ("loihi1", "loihi2"):
        assert hwsdk.compile(network, target).ledger


def test_layers_can_be_chosen(net):
    layers = (files.input_layer((1, 4, 4), files.CUBA), files.conv(files.even(RNG, (2, 1, 3, 3), 30), files.CUBA,
              (2, 2, 2)), files.flatten(8), files.dense(files.even(RNG, (3, 8), 30), files.CUBA))
    assert list(net(*layers, num_layers=2).populations) == ["conv1", "input0"]
    assert net(*layers, skip_layers=1).inputs["input"].shape == (1, 4, 4)
    assert net(*layers, skip_layers=3).inputs["input"].shape == (8,)
    assert net(*layers[1:], input_shape=(1, 4, 4)).inputs["input"].shape == (1, 4, 4)
    assert "LAYERS_CHOSEN" in codes(net(*layers, skip_layers=1))


def test_a_field_that_netx_ignores_and_slayer_means_is_a_warning(net):
    network = net(files.dense(W, {**files.CUBA, "refDelay": 3}))
    assert [e.code for e in network.ledger.of("warning")] == ["FIELD_IGNORED"]
    assert network.nodes["dense0"].refractory is None


CONV = files.conv(files.even(RNG, (2, 1, 3, 3), 30), files.CUBA, (2, 2, 2))
REFUSED = {
    "average": ([{"type": "average"}], "UNKNOWN_LAYER"),
    "gate": ([{"type": "gate"}], "UNKNOWN_LAYER"),
    "neuron": ([files.dense(W, {**files.CUBA, "type": "ADRF_PHASE"})], "UNKNOWN_NEURON"),
    "no input shape": ([CONV], "NO_INPUT_SHAPE"),
    "conv shape": ([files.input_layer((1, 5, 5)), CONV], "SHAPE_MISMATCH"),
    "conv channels": ([files.input_layer((2, 4, 4)), CONV], "SHAPE_MISMATCH"),
    "dense shape": ([files.input_layer((13,)), files.dense(W, files.CUBA)], "SHAPE_MISMATCH"),
    "bias shape": ([files.dense(W, files.CUBA, bias=np.zeros(4))], "SHAPE_MISMATCH"),
    "delay shape": ([files.dense(W, files.CUBA, delay=np.ones(7))], "SHAPE_MISMATCH"),
    "negative delay": ([files.dense(W, files.CUBA, delay=-np.ones(5))], "NEGATIVE_DELAY"),
    "recurrent delay": ([files.recurrent(W, files.even(RNG, (5, 5), 9), files.CUBA, delay=np.ones(5))],
                        "UNSUPPORTED_FIELD"),
    "not finite": ([files.dense(W * np.nan, files.CUBA)], "NOT_FINITE"),
    "huge": ([files.dense(W * 1e30, files.CUBA)], "NOT_FINITE"),
    "excitatory range": ([files.dense(np.full((5, 12), 300.0), files.CUBA)], "WEIGHT_RANGE"),
    "decay": ([files.dense(W, {**files.CUBA, "iDecay": 5000})], "BAD_FIELD"),
    "threshold": ([files.dense(W, {**files.CUBA, "vThMant": -1})], "BAD_FIELD"),
    "missing": ([files.dense(W, {"type": "CUBA", "iDecay": 1, "vDecay": 1})], "MISSING_FIELD"),
    "activation": ([files.dense(W, {**files.SDNN, "activation": "sigmoid"})], "UNSUPPORTED_FIELD"),
    "behind sigma": ([files.dense(W, {**files.SDNN, "sigma_output": True}),
                      files.dense(files.even(RNG, (2, 5), 9), files.SDNN)], "UNKNOWN_LAYER"),
    "real resonator": ([files.dense(W, files.RF)], "UNSUPPORTED_FIELD"),
    "complex lif": ([files.resonators(W, W, files.CUBA)], "UNSUPPORTED_FIELD"),
    "complex conv": ([files.input_layer((1, 4, 4)),
                      {k if k != "weight" else "weight/real": v for k, v in CONV.items()}], "UNSUPPORTED_FIELD"),
    "resonating conv": ([files.input_layer((1, 4, 4)), {**CONV, "neuron": files.RF}], "UNSUPPORTED_FIELD"),
    "resonating input": ([files.input_layer((1, 4, 4), files.RF), CONV], "UNSUPPORTED_FIELD"),
    "complex shapes": ([files.resonators(W, files.even(RNG, (5, 11), 9), files.RF)], "SHAPE_MISMATCH"),
    "endless delay": ([files.dense(W, files.CUBA, delay=np.full(5, 1e5))], "DELAY_TOO_LONG"),
    "nothing left": ([files.input_layer((12,))], "EMPTY_MODEL"),
    "late input": ([files.dense(W, files.CUBA), files.input_layer((5,), files.CUBA)], "UNKNOWN_LAYER"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_built_is_refused_by_name(net, name):
    layers, code = REFUSED[name]
    with pytest.raises(ModelError) as caught:
        net(*layers)
    assert caught.value.code == code
    assert caught.value.where.startswith("some.name: /layer")
    assert caught.value.fix


@pytest.mark.parametrize(("options", "code"), [
    ({"dt": 1e-3}, "UNKNOWN_OPTION"), ({"reset": "value"}, "UNKNOWN_OPTION"), ({"reset_interval": 0}, "BAD_OPTION"),
    ({"skip_layers": -1}, "BAD_OPTION"), ({"input_shape": (0, 2)}, "BAD_OPTION"), ({"spike_exp": 8}, "BAD_OPTION"),
    ({"preset": "norse"}, "PRESET_NOT_NEEDED"), ({"num_layers": 1.5}, "BAD_OPTION")])
def test_options_are_checked(net, options, code):
    with pytest.raises(SemanticsError) as caught:
        net(files.dense(W, files.CUBA), **options)
    assert caught.value.code == code
    assert caught.value.where == "some.name"


def test_damaged_files_are_refused(tmp_path):
    path = files.write(tmp_path / "a.net", files.dense(W, files.CUBA))
    with h5py.File(path, "a") as file:
        del file["simulation/Ts"]
        file["simulation/Ts"] = np.zeros(0)
    assert hwsdk.load(path).n_neurons == 5  # a field that decides nothing
    with h5py.File(path, "a") as file:
        file.move("layer/0", "layer/3")
    with pytest.raises(ModelError, match="wanted are 0 to 0"):
        hwsdk.load(path)
    with h5py.File(path, "a") as file:
        file.move("layer/3", "layer/0")
        file["layer/0/bias"] = h5py.SoftLink("/layer/0/weight")
    with pytest.raises(ModelError) as caught:
        hwsdk.load(path)
    assert caught.value.code == "BAD_LINK"
    with h5py.File(tmp_path / "empty.net", "w") as file:
        file.create_group("layer")
    with pytest.raises(ModelError, match="holds no layers"):
        hwsdk.load(tmp_path / "empty.net")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ModelError):
        hwsdk.load(path)


def test_recordings_of_lava_dl_are_read_in_their_own_order(tmp_path):
    x = (np.random.default_rng(1).random((6, 2, 3, 4)) < 0.5).astype(np.uint8)  # steps, channels, height, width
    shapes = {"input": (2, 3, 4)}
    for k, array in enumerate((x, x.T, np.moveaxis(x, 0, -1), np.moveaxis(x, 0, -1)[None])):
        np.save(tmp_path / f"{k}.npy", array)
        assert np.array_equal(load_data(tmp_path / f"{k}.npy", shapes).inputs["input"].dense(0), x.reshape(6, -1))
    np.save(tmp_path / "picture.npy", x[0].T)
    held = load_data(tmp_path / "picture.npy", shapes, n_steps=3)
    assert np.array_equal(held.inputs["input"].dense(0), np.tile(x[0].ravel(), (3, 1)))
    with pytest.raises(DataError, match="n_steps"):
        load_data(tmp_path / "picture.npy", shapes)


def test_event_lists_are_binned_as_slayer_does(tmp_path):
    np.save(tmp_path / "one.npy", [[4, 0, 0.5], [1, 0, 1.5], [1, 0, 2.2], [2, 0, 2.51]])
    data = load_data(tmp_path / "one.npy", {"input": (5,)})
    assert [(int(s), int(i)) for s, i in zip(data.inputs["input"].step, data.inputs["input"].index, strict=True)] == [
        (0, 4), (2, 1), (3, 2)]
    assert "rounded" in data.notes[0]
    np.save(tmp_path / "two.npy", [[3.0, 2.0, 1.0, 4.0]])
    data = load_data(tmp_path / "two.npy", {"input": (2, 3, 4)}, dt_s=2e-3)
    assert (data.inputs["input"].step.tolist(), data.inputs["input"].index.tolist()) == ([2], [23])
    np.save(tmp_path / "far.npy", [[9, 0, 0.0]])
    with pytest.raises(DataError) as caught:
        load_data(tmp_path / "far.npy", {"input": (5,)})
    assert caught.value.code == "OUT_OF_RANGE"
