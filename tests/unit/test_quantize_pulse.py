"""Counters in whole numbers, loops in A: scales, thresholds, styles, margins, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwsdk.errors import UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.cells import SomaModel
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LI, LIF, CubaLIF, DiscreteLIF, Neuron, Threshold
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.loop_form import LoopForm, Soma
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.pulse_margins import margins
from hwsdk.mappers.quantize_pulse import PulseReport, QuantizePulse, choose_styles
from hwsdk.simulators import reference

SEM = Semantics(integrator="exponential_unit_gain", reset="subtract")
PI = np.pi
RESET = 1.0


def soma(fan_in: int) -> Soma:
    model = SomaModel(fan_in, 200e-6, 1.0, RESET, 5e-12, np.array([0.0]), np.array([5700]), load=0.3, relief=500.0,
                      critical_fs=2000.0, l_soma_h=4e-12, inhibition=0.25, flip_fs=5000.0)
    return Soma(model, (20e-12, 120e-12), (0.2, 2.0), (80e-6, 160e-6))


FORM = LoopForm(soma, (1, 12), 3640)


def layer(weight: Any, population: Neuron, sem: Semantics = SEM, bias: Any = None, **more: Any) -> Network:
    w = np.asarray(weight, float)
    b = NetworkBuilder().input("in", w.shape[1]).population("p", population)
    return Lower()(b.connect("in", "p", weight=w, **more).output("o", "p").build(sem))


def cell_of(network: Network, name: str = "p") -> DiscreteLIF:
    cell = network.nodes[name]
    assert isinstance(cell, DiscreteLIF)
    return cell


def quantised(network: Network, style: str = "auto", **options: Any) -> tuple[Network, DiscreteLIF, PulseReport]:
    done, report = QuantizePulse(choose_styles(network, style), **options)(network)
    return done, cell_of(done), report


def dense(network: Network, name: str = "in->p") -> Any:
    s = network.nodes[name]
    assert isinstance(s, Synapses)
    out = np.zeros((s.post_shape[0], s.pre_shape[0]))
    np.add.at(out, (s.target, s.source), s.weight)
    return out


def test_whole_numbers_stay_as_they_are() -> None:
    w = [[2, -4, 0], [6, 2, -7]]
    net, cell, report = quantised(layer(w, neuron(Threshold, 2, threshold=[3.0, -1.0])))
    assert dense(net).tolist() == w
    assert cell.v_threshold.tolist() == [4, 0], "> 3 is >= 4"
    assert cell.comparison == ">="
    assert report.layers[0].exact and report.layers[0].scale.tolist() == [1, 1]
    assert "exact" in report.to_text()


def test_the_smallest_scale_that_is_exact_is_taken_by_neuron() -> None:
    net, cell, report = quantised(layer([[0.5, -0.25], [0.9, 0.6]], neuron(Threshold, 2, threshold=0.3)))
    assert dense(net).tolist() == [[2, -1], [3, 2]]
    assert report.layers[0].scale == pytest.approx([4, 1 / 0.3])
    assert cell.v_threshold.tolist() == [2, 2], "1.2 and, to rounding, 1"
    assert report.layers[0].bound.max() < 1e-5


def test_one_scale_a_layer() -> None:
    net, _, report = quantised(layer([[0.5, -0.25], [3.0, 1.0]], neuron(Threshold, 2, threshold=1.0)), per_neuron=False)
    assert dense(net).tolist() == [[2, -1], [12, 4]]
    assert report.to_text().startswith("weights of counters rounded to 5 bits, one scale a layer")


@pytest.mark.parametrize(("comparison", "theta", "expected"), [(">", 2.0, 3), (">=", 2.0, 2), (">", 2.4, 3),
                                                                (">=", 2.4, 3), (">", -2.0, -1), (">=", -2.4, -2)])
def test_thresholds_keep_the_strictness(comparison: str, theta: float, expected: int) -> None:
    cell = neuron(DiscreteLIF, 1, decay_u=0.0, decay_v=1.0, bias=0.0, v_threshold=theta, reset_by=3.0, reset="subtract",
                  comparison=comparison)
    _, cell, _ = quantised(layer([[1, 2]], cell))
    assert cell.v_threshold.tolist() == [expected]


def test_the_bias_of_a_neuron_without_memory_goes_into_its_threshold() -> None:
    b = NetworkBuilder().input("in", 2)
    b.population("p", neuron(DiscreteLIF, 1, decay_u=0.0, decay_v=0.0, bias=0.7, v_threshold=1.0, reset_by=0.0))
    net = Lower()(b.connect("in", "p", weight=[[PI, -PI]]).output("o", "p").build(SEM))
    _, cell, report = quantised(net, bits=4)
    assert (cell.bias.tolist(), cell.v_threshold.tolist()) == ([0], [1])
    assert report.layers[0].exact, "PI and -PI are 1 and -1"


def test_an_if_neuron_rounds_bias_start_and_reset() -> None:
    b = NetworkBuilder().input("in", 2)
    b.population("p", neuron(DiscreteLIF, 1, decay_u=0.0, decay_v=1.0, bias=0.3, v_threshold=2.0, reset_by=2.0,
                             reset="subtract", v_start=1.0))
    net = Lower()(b.connect("in", "p", weight=[[1.0, -PI]]).output("o", "p").build(SEM))
    done, cell, report = quantised(net, bits=6)
    scale = float(report.layers[0].scale[0])
    assert cell.bias.tolist() == [round(0.3 * scale)]
    assert cell.reset_by.tolist() == [round(2 * scale)]
    assert cell.v_init.tolist() == [round(1.0 * scale) - done.lag["p"] * cell.bias[0]]
    assert any(e.code == "ROUNDED" and "bias" in e.text for e in done.ledger.entries)


def test_the_error_is_reported_and_shrinks_with_the_bits() -> None:
    rng = np.random.default_rng(0)
    w, net = rng.normal(size=(6, 9)), None
    errors = []
    for bits in (3, 6, 9):
        net = layer(w, neuron(Threshold, 6, threshold=0.5))
        done, _, report = quantised(net, bits=bits)
        row = report.layers[0]
        made = dense(done) / row.scale[:, None]
        assert np.abs(made - w).max() == pytest.approx(row.error)
        assert row.lost_weights == int((made == 0).sum())
        assert row.reach == np.abs(dense(done)).sum(1).max()
        assert np.abs(dense(done)).max() < 2 ** (bits - 1)
        errors.append(row.error)
    assert errors[0] > 4 * errors[1] > 16 * errors[2]


def test_styles() -> None:
    b = NetworkBuilder().input("in", 1)
    for name, cell in (("a", neuron(Threshold, 1, threshold=0.5)), ("b", neuron(IF, 1, v_threshold=1.0)),
                       ("c", neuron(LIF, 1, tau=5.0, v_threshold=1.0))):
        b.population(name, cell).connect("in", name, weight=[[1.0]])
    net = Lower()(b.output("o", "a").output("q", "b").output("r", "c").build(SEM))
    assert choose_styles(net) == {"a": "counter", "b": "counter", "c": "loop"}
    assert choose_styles(net, "loop")["a"] == "loop"
    assert choose_styles(net, {"a": "loop"}) == {"a": "loop", "b": "counter", "c": "loop"}
    for bad in ("both", {"a": "no"}, {"nobody": "loop"}):
        with pytest.raises(UnsupportedError) as error:
            choose_styles(net, bad)
        assert error.value.code == "BAD_OPTION"


@pytest.mark.parametrize(("cell", "style", "code", "says"), [
    (neuron(LIF, 1, tau=5.0, v_threshold=1.0), "counter", "COUNTER_LEAK", "use style loop"),
    (neuron(LIF, 1, tau=5.0, v_threshold=1.0, t_refrac=3.0), "loop", "REFRACTORY", "without a refractory"),
    (neuron(LI, 1, tau=5.0), "auto", "NOT_FIRING", "count the spikes of a firing population"),
    (neuron(CubaLIF, 1, tau_syn=2.0, tau_mem=3.0, v_threshold=1.0), "auto", "SYNAPTIC_CURRENT", "use LIF"),
    (neuron(CubaLIF, 1, tau_syn=2.0, tau_mem=3.0, v_threshold=1.0), "counter", "SYNAPTIC_CURRENT", "use LIF"),
    (neuron(IF, 1, v_threshold=1.0), "loop", "LOOP_WITHOUT_LEAK", "use style counter"),
    (neuron(Threshold, 1, threshold=-1.0), "loop", "LOOP_THRESHOLD", "raise the threshold"),
    (neuron(LIF, 1, tau=1.0, v_threshold=100.0), "loop", "LOOP_THRESHOLD", "lower the threshold"),
    (neuron(LIF, 1, tau=1.0, v_threshold=0.01), "loop", "LOOP_THRESHOLD", "raise the threshold"),
    (neuron(LIF, 1, tau=500.0, v_threshold=1.0), "loop", "LOOP_TAU", "train neurons that keep 0.2 to 0.45 of v"),
])
def test_refusals_name_node_rule_and_remedy(cell: Neuron, style: str, code: str, says: str) -> None:
    with pytest.raises(UnsupportedError) as error:
        quantised(layer([[1.0]], cell), style, form=FORM, frame_fs=100_000)
    assert (error.value.code, error.value.args[0].startswith(f"[{code}] p: ")) == (code, True)
    assert says in str(error.value)


def test_other_refusals() -> None:
    net = layer([[1.0]], neuron(Threshold, 1, threshold=0.5))
    for options, code in (({"bits": 1}, "BAD_BITS"), ({"bits": 17}, "BAD_BITS"), ({"style": "loop"}, "FRAME_NEEDED")):
        with pytest.raises(UnsupportedError) as error:
            quantised(net, **options)
        assert error.value.code == code
    with pytest.raises(UnsupportedError) as error:
        quantised(layer([[1e-9]], neuron(IF, 1, v_threshold=1e6)))
    assert error.value.code == "VALUE_RANGE"


def test_several_refusals_come_together() -> None:
    with pytest.raises(UnsupportedError) as error:
        quantised(layer([[1.0]], neuron(LIF, 1, tau=5.0, v_threshold=1.0, t_refrac=3.0)), "counter")
    assert "COUNTER_LEAK" in str(error.value) and "REFRACTORY" in str(error.value)


def test_margins_on_data() -> None:
    rng = np.random.default_rng(3)
    net = layer(rng.normal(size=(5, 8)), neuron(Threshold, 5, threshold=0.2))
    x = (rng.random((4, 30, 8)) < 0.5).astype(float)
    stimulus = Stimulus.dense({"in": x}, {"in": (8,)})
    for bits, changes in ((3, True), (16, False)):
        done, cell, report = quantised(net, bits=bits)
        row = margins(net, done, {"in": x})[0]
        assert row.to_text() in report.on_data(net, done, {"in": x}).to_text()
        before, after = (reference.run(n, stimulus, steps=30).spikes["p"].dense() for n in (net, done))
        assert row.changed == int((before != after).sum())
        assert (row.changed > 0) is changes
        assert row.decisions == before.size and row.chip >= 0.5
        drive = np.einsum("ij,stj->sti", dense(net), np.concatenate([np.zeros((4, 1, 8)), x[:, :-1]], 1))
        assert row.model == pytest.approx(np.abs(drive - 0.2).min())
        assert (row.first is None) is (not changes) and ("first in sample" in row.to_text()) is changes
        assert cell.comparison == ">=" and report.bits == bits
