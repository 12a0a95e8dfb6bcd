"""The event-based gated recurrent unit: its equations by hand, its layers, and the training of the example."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from examples.egru_lm import deploy, model, train
from examples.egru_lm.text import decode, encode, write
from hwsdk.errors import ModelError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.build_egru import egru_layer, from_torch_gru
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.recurrent import EGRU
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower
from hwsdk.simulators import reference
from hwsdk.simulators.reference_neurons import stepper


def unit(theta: float, **bias: float) -> EGRU:
    return neuron(EGRU, 1, theta=theta, **{f"bias_{p}": bias.get(p, 0.0) for p in "zrxh"})


def drive(cell: EGRU, inputs: list, precision: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """(y, h) after every step for inputs (steps, 4)."""
    s = stepper(cell, Semantics(precision=precision), 1, None)
    seen = [(s.step(np.array(a, precision).reshape(1, 4, 1))[0, 0], s.state["h"][0, 0]) for a in inputs]
    assert set(s.state) == set(cell.STATES)
    return tuple(np.array(x) for x in zip(*seen, strict=True))


def random_layer(units: int = 9, inputs: int = 5, seed: int = 0, **changed) -> dict:
    """Arguments of egru_layer."""
    rng = np.random.default_rng(seed)
    return {"w": rng.normal(0, 1, (3 * units, inputs)), "r": rng.normal(0, 1, (3 * units, units)),
            "bx": rng.normal(0, 1, 3 * units), "br": rng.normal(0, 1, 3 * units),
            "theta": rng.uniform(0, 0.6, units)} | changed


def layer_network(layer: dict, precision: str = "float64") -> Network:
    inputs = layer["w"].shape[1]
    builder = egru_layer(NetworkBuilder("one").input("in", inputs), "units", "in", **layer)
    return builder.output("out", "units").build(Semantics(precision=precision))


def plain(layer: dict, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(y, h), (samples, steps, units), straight from the equations."""
    w_z, w_r, w_g = np.split(layer["w"], 3)
    r_z, r_r, r_g = np.split(layer["r"], 3)
    (bx_z, bx_r, bx_g), (br_z, br_r, br_g) = np.split(layer["bx"], 3), np.split(layer["br"], 3)
    h, y, ys, hs = 0.0, np.zeros((len(x), len(w_z))), [], []
    for t in range(x.shape[1]):
        z = 1 / (1 + np.exp(-(x[:, t] @ w_z.T + bx_z + y @ r_z.T + br_z)))
        r = 1 / (1 + np.exp(-(x[:, t] @ w_r.T + bx_r + y @ r_r.T + br_r)))
        g = np.tanh(x[:, t] @ w_g.T + bx_g + r * (y @ r_g.T + br_g))
        c = z * h + (1 - z) * g
        o = np.heaviside(c - layer["theta"], 0.0)
        y, h = o * c, c - o * layer["theta"]
        ys.append(y)
        hs.append(h)
    return np.stack(ys, 1), np.stack(hs, 1)


def test_one_unit_by_hand():
    # z = 1/2, g = tanh(1): c = g/2 = 0.3808 fires above 0.3 and keeps 0.0808; then c = h/2
    y, h = drive(unit(0.3), [[0, 0, 1, 0], [0, 0, 0, 0]])
    c = np.tanh(1) / 2
    assert y.tolist() == pytest.approx([c, 0])
    assert h.tolist() == pytest.approx([c - 0.3, (c - 0.3) / 2])


def test_each_port_does_its_part():
    y, h = drive(unit(1.0), [[0, 0, 0.5, 2]])
    assert h[0] == pytest.approx(np.tanh(0.5 + 0.5 * 2) / 2), "the reset gate scales the recurrent part alone"
    y, h = drive(unit(1.0, z=100.0), [[0, 0, 9, 9]])
    assert (y[0], h[0]) == (0, 0), "an update gate of 1 keeps the state"
    y, h = drive(unit(1.0, r=-1000.0, x=0.25, h=3.0), [[-1000, 0, 0, 7]])
    assert h[0] == np.tanh(0.25), "gates that overflow are 0"


def test_a_candidate_at_the_threshold_does_not_fire():
    theta = float(np.tanh(0.5))
    assert drive(unit(theta, x=0.5), [[-1000, 0, 0, 0]])[0][0] == 0, "heaviside(0) = 0"
    assert drive(unit(np.nextafter(theta, 0), x=0.5), [[-1000, 0, 0, 0]])[0][0] == theta


@pytest.mark.parametrize(("precision", "close"), [("float64", 1e-13), ("float32", 2e-5)])
def test_a_layer_follows_the_equations(precision: str, close: float):
    layer = random_layer()
    x = np.random.default_rng(1).normal(0, 1, (3, 40, 5)).astype(np.float32).astype(np.float64)
    trace = reference.run(layer_network(layer, precision), Stimulus.dense(x, {"in": (5,)}), probes="all")
    y, h = plain(layer, x)
    assert 0.1 < (y != 0).mean() < 0.9
    got = trace.spikes["units"].dense()
    assert ((got != 0) == (y != 0)).all()
    np.testing.assert_allclose(got, y, atol=close)
    np.testing.assert_allclose(trace.states["units", "h"], h, atol=close)
    assert trace.states["units", "h"].dtype == precision
    assert (got == got.astype(precision)).all(), "every value is one of the precision"


def test_a_sum_in_float32_is_taken_source_by_source():
    rng = np.random.default_rng(3)
    layer = random_layer(units=1, inputs=50, r=np.zeros((3, 1)), theta=1.0)
    x = rng.normal(0, 1, 50).astype(np.float32)
    trace = reference.run(layer_network(layer, "float32"), Stimulus.dense(x[None], {"in": (50,)}), probes="all")
    one = np.float32(1)
    z, r, g = (np.float32(0),) * 3
    for k in range(50):
        z, r, g = (a + np.float32(layer["w"][row, k]) * x[k] for row, a in enumerate((z, r, g)))
    b = (layer["bx"] + layer["br"]).astype(np.float32)
    z, r = (one / (one + np.float32(math.exp(-(a + bias)))) for a, bias in ((z, b[0]), (r, b[1])))
    g = np.float32(math.tanh((g + np.float32(layer["bx"][2])) + r * np.float32(layer["br"][2])))
    assert trace.states["units", "h"][0, 0, 0] == z * np.float32(0) + (one - z) * g


def test_the_recurrence_carries_the_event_one_step_late():
    layer = random_layer(units=2, inputs=1, w=np.array([[0], [0], [0], [0], [5.0], [0]]), r=np.zeros((6, 2)),
                         bx=np.zeros(6), br=np.zeros(6), theta=np.array([0.2, 1.0]))
    layer["r"][5, 0] = 2.0
    trace = reference.run(layer_network(layer), Stimulus.dense(np.eye(4, 1), {"in": (1,)}), probes="all")
    h = trace.states["units", "h"][0, :, 1]
    event = np.tanh(5) / 2
    assert trace.spikes["units"].dense(0)[:, 0].tolist() == pytest.approx([event, 0, 0, 0])
    assert h[:2].tolist() == pytest.approx([0, np.tanh(0.5 * 2 * event) / 2])


def test_pruned_weights_are_the_same_as_dense_ones_with_zeros():
    layer = random_layer()
    for name in "wr":
        layer[name][np.abs(layer[name]) < 1] = 0
    thin = layer | {name: sparse.csr_matrix(layer[name]) for name in "wr"}
    a, b = layer_network(layer), layer_network(thin)
    assert a.digest() == b.digest()
    assert sum(n.parameters() for n in b.of(Synapses).values()) == sum((layer[n] != 0).sum() for n in "wr")


def test_where_units_never_fall_silent_and_theta_is_0_it_is_a_gru():
    layer = random_layer(theta=0.0, seed=5)
    layer["bx"][18:] += 20  # the candidate, hence the state, stays positive
    x = np.random.default_rng(2).normal(0, 1, (1, 30, 5))
    h = np.zeros(9)
    for t in range(30):
        a, b = np.split(layer["w"] @ x[0, t] + layer["bx"], 3), np.split(layer["r"] @ h + layer["br"], 3)
        z, r = (1 / (1 + np.exp(-(a[k] + b[k]))) for k in (0, 1))
        h = (1 - z) * np.tanh(a[2] + r * b[2]) + z * h
    got = reference.run(layer_network(layer), Stimulus.dense(x, {"in": (5,)})).spikes["out"].dense(0)
    assert (got > 0).all()
    np.testing.assert_allclose(got[-1], h, atol=1e-12)


def test_torch_rows_are_put_in_order():
    assert from_torch_gru([1, 1, 2, 2, 3, 3]).tolist() == [2, 2, 1, 1, 3, 3]


@pytest.mark.parametrize(("changed", "code"), [
    ({"theta": 1.5}, "THETA_RANGE"), ({"theta": -0.1}, "THETA_RANGE"), ({"bx": np.zeros(9)}, "SHAPE_MISMATCH"),
    ({"w": np.zeros((9, 5))}, "SHAPE_MISMATCH"), ({"r": np.zeros((9, 9))}, "SHAPE_MISMATCH"),
    ({"theta": np.zeros(4)}, "SHAPE_MISMATCH"), ({"w": np.full((27, 5), np.nan)}, "NOT_FINITE"),
    ({"theta": np.nan}, "THETA_RANGE"),
])
def test_layers_that_are_none(changed: dict, code: str):
    with pytest.raises(ModelError) as caught:
        layer_network(random_layer(**changed))
    assert caught.value.code == code


def test_lif_chips_refuse_it():
    with pytest.raises(UnsupportedError) as caught:
        Lower()(layer_network(random_layer()))
    assert caught.value.code == "UNKNOWN_NEURON"


def test_walking_gives_the_same_as_running():
    network = layer_network(random_layer())
    x = np.random.default_rng(1).normal(0, 1, (2, 10, 5))
    step = reference.walk(network, samples=2)
    walked = np.stack([step({"in": x[:, t]})["out"] for t in range(10)], 1)
    assert (walked == reference.run(network, Stimulus.dense(x, {"in": (5,)})).spikes["out"].dense()).all()


def test_gradients_are_those_of_finite_differences():
    # without the surrogate, between two events the loss is smooth and its gradient exact
    rng = np.random.default_rng(0)
    params = {"embedding": rng.normal(0, 0.5, (27, 3)), "decoder_bias": rng.normal(0, 0.1, 27)}
    for i, (n_in, n) in enumerate([(3, 4), (4, 3)]):
        layer = random_layer(n, n_in, seed=i)
        params |= {f"{name}{i}": value for name, value in layer.items()}
    text = encode("the red boat. the white boat")
    x, following = text[:-1].reshape(9, 3), text[1:].reshape(9, 3)
    state = model.fresh(params, 3)

    def loss() -> float:
        return model.loss_and_gradients(params, x, following, state, 0.3, slope=0.0)[0]

    grads = model.loss_and_gradients(params, x, following, state, 0.3, slope=0.0)[1]
    assert set(grads) == set(params)
    for name, value in params.items():
        at = np.unravel_index(np.abs(grads[name]).argmax(), value.shape)
        kept, e = value[at], 1e-6
        value[at] = kept + e
        above = loss()
        value[at] = kept - e
        slope = (above - loss()) / (2 * e)
        value[at] = kept
        assert grads[name][at] == pytest.approx(slope, rel=1e-5), name


def test_training_learns_and_leaves_pruned_weights_alone():
    text = encode(write(8000, 0))
    params = train.start(np.random.default_rng(0))
    before, _ = model.perplexity(params, text[:500])
    train.fit(params, text, 12)
    masks = train.prune(params)
    for name, mask in masks.items():
        params[name] *= mask
        assert mask.mean() == pytest.approx(1 - train.SPARSITY, rel=1e-2)
    train.fit(params, text, 4, masks)
    assert model.perplexity(params, text[:500])[0] < before / 2
    assert all(((params[name] != 0) <= (mask != 0)).all() for name, mask in masks.items())
    assert all(params[f"theta{i}"].min() >= 0 and params[f"theta{i}"].max() <= 1 for i in range(2))


def test_the_text_is_what_it_says():
    assert write(300, 7) == write(300, 7) != write(300, 8)
    assert decode(encode(write(300, 7))) == write(300, 7)


def test_the_published_size():
    network = deploy.published()
    stored = sum(n.parameters() for n in network.of(Synapses).values())
    full = sum(3 * n * (n_in + n) for n_in, n in zip(deploy.PUBLISHED, deploy.PUBLISHED[1:], strict=False))
    assert (full, stored) == (24_165_000, 1_208_250)
    x = np.random.default_rng(0).normal(0, 1, (2, 750))
    trace = reference.run(network, Stimulus.dense(x, {"embedding": (750,)}))
    assert 0 < len(trace.spikes["events"]) < 2 * 750
