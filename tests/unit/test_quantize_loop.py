"""Current-summing somas in A: parts from weights, thresholds between sums, leaks and frames, and what is refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_quantize_pulse import SEM, cell_of, dense, layer, quantised, soma

import hwsdk
from hwsdk.errors import FitError, UnsupportedError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.circuit import PHI0
from hwsdk.ir.ledger import Ledger
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF, DiscreteLIF, Threshold
from hwsdk.mappers.loop_form import LoopForm, Soma
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize_gap import EARLY, LATE, gap_of

LEAD = 3640
FORM = LoopForm(soma, (1, 16), LEAD)
FRAME = 460_000


def codes(ledger: Ledger, kind: str = "changed") -> set[str]:
    return {e.code for e in ledger.of(kind)}


def loop(weight: Any, theta: float, frame_fs: int = FRAME, **more: Any) -> Any:
    """A memoryless neuron as loop: (network, cell, report)."""
    return quantised(layer(weight, neuron(Threshold, len(weight), threshold=theta)), "loop", form=FORM,
                     frame_fs=frame_fs, **more)


def leaky(decay: float, n: int = 1, theta: float = 1.2, weight: Any = None) -> Network:
    """A layer that keeps ``decay`` of v in a step."""
    b = NetworkBuilder().input("in", 2)
    b.population("p", neuron(DiscreteLIF, n, decay_u=0.0, decay_v=decay, bias=0.0, v_threshold=theta, reset_by=theta,
                             reset="subtract"))
    w = np.ones((n, 2)) if weight is None else weight
    return b.connect("in", "p", weight=w).output("o", "p").build(SEM)


def test_a_loop_is_what_its_parts_make() -> None:
    net = layer([[0.8, -0.1, 0.6], [1.0, 0.4, 4.0]], neuron(LIF, 2, tau=1.0, v_threshold=1.5))
    done, cell, report = quantised(net, form=FORM, frame_fs=100_000)
    d, tau = report.designs["p"], 100_000
    assert d.tau_fs == pytest.approx([tau, tau])
    assert cell.decay_v == pytest.approx(np.exp(-1))
    direct = d.weight_a > 0
    assert d.weight_a == pytest.approx(np.where(direct, 1, -0.25) * PHI0 / (d.l_h + 5e-12))
    exciting = np.bincount(d.target, np.maximum(d.weight_a, 0))
    # y is over by what makes the soma flip within 2 ps of a decay of 100: y - 1 = (2 y / 100)^(2/3)
    y = brute(lambda x: x - 1 - (0.02 * x) ** (2 / 3), 1, 2)
    assert cell.v_threshold == pytest.approx(y * (200e-6 - d.bias_a + (0.3 - 500 * d.bias_a) * exciting))
    slower = 1 + 4e-12 * np.bincount(d.target, np.where(direct, 1 / (d.l_h + 5e-12), 0))[d.target]
    assert (d.l_h + 5e-12) / d.r_ohm * np.where(direct, slower, 1) == pytest.approx(np.full(len(d.l_h), tau * 1e-15))
    assert d.k == pytest.approx(np.where(direct, 0, -np.sqrt(2e-12 / (d.l_h + 2e-12))))
    assert cell.reset_by == pytest.approx(exciting * np.exp(0.05)), "5 of 100 ps until the flip"
    made = dense(done)
    assert made / d.scale[:, None] == pytest.approx(np.array([[0.8, -0.1, 0.6], [1.0, 0.4, 4.0]]), rel=5e-3)
    assert made[0, 1] == pytest.approx(d.weight_a[~direct].sum() * np.exp(-LEAD / tau)), "it comes before the others"
    assert cell.v_threshold / d.scale == pytest.approx([1.5, 1.5], rel=2e-3), "with a memory it stays"
    assert d.fan_in[1] > 3, "4.0 is beyond one branch beside 0.4"
    assert {"RESET_BY_SUM", "QUANTISED"} <= codes(done.ledger) and "THRESHOLD_MOVED" not in codes(done.ledger)
    assert "branches for 6 synapses" in report.to_text()


def brute(f: Any, low: float, high: float) -> float:
    """The root of a function that rises."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return low


def test_a_threshold_lies_where_the_circuit_has_room_on_both_sides() -> None:
    gap = gap_of(np.array([1.0, 0.5, -0.2]), 0.6, ">=", True)
    assert (gap.low, gap.high, gap.settled) == (0.5, 0.8, True)
    best = gap.best(0)
    assert best == pytest.approx((LATE * 0.5 + EARLY * 0.8) / (LATE + EARLY))
    assert (best - 0.5) / (EARLY * best) == pytest.approx((0.8 - best) / (LATE * best)) == pytest.approx(gap.room(best))
    assert gap.room(0.5) == gap.room(0.8) == pytest.approx(0, abs=1e-15)
    assert gap.room(0.49) < 0 and gap.room(0.81) < 0
    even = gap.best(1e9)
    assert even == pytest.approx(0.65), "if the bias may be anything, the middle"
    assert gap.room(even) >= 1
    close = gap_of(np.array([1.0, 0.9]), 0.95, ">=", True)
    assert close.best(1e9) == close.best(0), "too close for the circuit: it alone counts"


def test_thresholds_at_a_sum_keep_their_strictness() -> None:
    w = np.array([1.0, 1.0])
    strict, loose = gap_of(w, 1.0, ">", True), gap_of(w, 1.0, ">=", True)
    assert (strict.low, strict.high) == (1, 2) and (loose.low, loose.high) == (0, 1)
    never = gap_of(w, 2.0, ">", True)
    assert (never.low, never.high) == (2, math.inf)
    assert never.best(0.1) == pytest.approx(2.2 / (1 - 2 * EARLY)) and never.room(2.2 / 0.8) >= 1
    assert gap_of(w, 7.0, ">", True).best(0.1) == 7
    assert not gap_of(w, 1.0, ">", False).settled and not gap_of(np.ones(13), 1.0, ">", True).settled


@pytest.mark.parametrize("weight", [[1.0, 0.7, 0.2], [1.0, 0.6, -0.5], [0.5, 0.5, 0.5, 0.5], [-1.0, -0.3], [0.01]])
@pytest.mark.parametrize("theta", [0.55, 0.9, 1.45, 30.0])
def test_no_decision_of_a_frame_changes(weight: list[float], theta: float) -> None:
    try:
        done, cell, report = loop([weight], theta)
    except UnsupportedError as error:
        assert error.code == "LOOP_THRESHOLD" and theta < 0.3 * max(sum(w for w in weight if w > 0), 2)
        return
    made = dense(done)[0]
    d, on = report.designs["p"], np.array([[p >> j & 1 for j in range(len(weight))] for p in range(1 << len(weight))])
    assert d.settled.all()
    wanted, sums = on @ np.array(weight) > theta, on @ made
    residue = float(cell.decay_v[0]) * (d.reset_a[0] + cell.v_threshold[0] + np.abs(made).sum())
    assert ((sums >= cell.v_threshold) == wanted).all()
    assert np.abs(sums - cell.v_threshold).min() > residue
    assert "THRESHOLD_MOVED" in codes(done.ledger)


def test_many_synapses_keep_their_threshold() -> None:
    done, cell, report = loop([[0.5] * 12], 4.2)
    assert "THRESHOLD_MOVED" in codes(done.ledger)
    done, cell, report = loop([[0.5] * 13], 4.2)
    assert "THRESHOLD_MOVED" not in codes(done.ledger)
    assert cell.v_threshold / report.designs["p"].scale == pytest.approx([4.2], rel=1e-3)


def test_sums_that_parts_do_not_keep_apart_are_refused_and_close_ones_told() -> None:
    with pytest.raises(UnsupportedError, match=r"LOOP_NARROW.*parts sums of 1 and 1.001; inductors in steps of 0.1 pH"):
        loop([[1.0, 1.001]], 1.0005)
    done, _, report = loop([[1.0, 0.9]], 0.95)
    assert "NARROW_THRESHOLD" in codes(done.ledger, "warning") and report.designs["p"].room[0] < 1
    done, _, report = loop([[1.0, 0.8]], 0.9)
    assert "NARROW_THRESHOLD" not in codes(done.ledger, "warning") and report.designs["p"].room[0] > 1


def test_what_a_frame_leaves_counts_as_well() -> None:
    """1.0 and 0.97 are kept apart after 7 decay times, not after 3; a longer frame helps, as is said."""
    loop([[1.0, 0.97]], 0.985)
    with pytest.raises(UnsupportedError, match=r"LOOP_NARROW.*4.98% of a current(.|\n)*a longer frame"):
        loop([[1.0, 0.97]], 0.985, 187_500)


def test_a_neuron_without_memory_keeps_a_residue_that_is_told() -> None:
    done, cell, report = loop([[1.0, 0.7]], 0.5)
    assert report.designs["p"].tau_fs == pytest.approx([62_500]), "the shortest that suits the longest inductor"
    assert cell.decay_v == pytest.approx(np.exp(-460 / 62.5))
    assert report.layers[0].decay == pytest.approx(float(cell.decay_v[0]))
    assert "RESIDUE" in codes(done.ledger)
    _, cell, _ = loop([[1.0, 0.7]], 0.5, 300_000, tau_fs=50_000)
    assert cell.decay_v == pytest.approx(np.exp(-6))


def test_a_bias_moves_the_threshold_of_a_loop() -> None:
    """v settles at b / (1 - a), from which the current is counted."""
    b = NetworkBuilder().input("in", 2)
    b.population("p", neuron(LIF, 1, tau=1.0, v_threshold=1.5, v_leak=0.4))
    net = Lower()(b.connect("in", "p", weight=[[0.5, 0.4]]).output("o", "p").build(replace(SEM, initial="leak")))
    rest = cell_of(net).bias / (1 - cell_of(net).decay_v)
    _, cell, report = quantised(net, form=FORM, frame_fs=100_000)
    scale = report.designs["p"].scale
    assert cell.v_threshold / scale == pytest.approx(1.5 - rest, rel=1e-2)
    assert not cell.bias.any() and cell.v_offset == pytest.approx(rest * scale)


def test_more_branches_are_taken_where_they_make_room() -> None:
    """Of two inputs either must do: with one branch each the load alone is above their sums; two of each can."""
    _, _, either = loop([[1.0, 1.0]], 0.5)
    _, _, both = loop([[1.0, 1.0]], 1.5)
    assert either.designs["p"].fan_in[0] > both.designs["p"].fan_in[0] >= 2


def test_a_soma_that_can_fire_twice_is_told() -> None:
    """Only one that loses less than it gains, as none of the library: 2.2 - 0.5 x 2.2 x e^0.08 is above 0.5."""
    net = layer([[1.2, 1.0]], neuron(Threshold, 1, threshold=0.9))
    part = LoopForm(lambda n: replace(soma(n), model=replace(soma(n).model, reset=0.4)), (1, 16), LEAD)
    told = [codes(quantised(net, "loop", form=f, frame_fs=FRAME)[0].ledger, "warning") for f in (part, FORM)]
    assert "FIRES_TWICE" in told[0] and "FIRES_TWICE" not in told[1]


def test_weights_that_no_branches_have_together() -> None:
    few = LoopForm(soma, (1, 3), LEAD)
    for small, works in ((0.101, True), (0.08, False)):  # two of PHI0 / 25 pH beside one of PHI0 / 125 pH: 10
        net = layer([[1.0, small]], neuron(Threshold, 1, threshold=1.04))
        if works:
            quantised(net, "loop", form=few, frame_fs=FRAME)
            continue
        with pytest.raises(UnsupportedError, match=r"WEIGHT_RANGE.*a weight of 1 beside one of 0.08; with 3") as error:
            quantised(net, "loop", form=few, frame_fs=FRAME)
        assert "it can have 10 times that instead of 12.5" in str(error.value)


def test_a_leak_that_leaves_too_few_branches_is_told_which_would_not() -> None:
    """Of 320 ps only branches from 60 pH: 2 times the weakest."""
    few = LoopForm(soma, (1, 2), LEAD)
    with pytest.raises(UnsupportedError, match="LOOP_WEIGHT_RANGE") as error:
        quantised(Lower()(leaky(math.exp(-1), 1, 1.5, np.array([[1.0, 0.3]]))), form=few, frame_fs=320_000)
    assert "let v decay with 63 to 125 ps instead of 320" in str(error.value)
    quantised(Lower()(leaky(math.exp(-1), 1, 1.5, np.array([[1.0, 0.3]]))), form=few, frame_fs=100_000)


def compiled(decay: float, **options: Any) -> Any:
    return hwsdk.compile(leaky(decay), "sfq", target_options={"neuron": "loop", **options})


@pytest.mark.parametrize("decay", [0.01, 0.1, 0.3, 0.5, 0.7, 0.8])
def test_the_frame_is_chosen_so_that_leaks_can_be_built(decay: float) -> None:
    program = compiled(decay)
    tau = -program.schedule.frame_fs / math.log(decay)
    assert program.arrays.branch_tau_fs == pytest.approx(np.full(len(program.arrays.branch_tau_fs), tau))
    assert 62_000 < tau < 250_000


def test_a_leak_that_no_branch_has_is_refused_with_remedies_that_work() -> None:
    with pytest.raises(UnsupportedError) as error:
        compiled(0.5, frame=2000)
    found = re.search(r"keep ([\d.e-]+) to ([\d.e-]+) of v in a step of ([\d.]+) ps, or choose a frame of ([\d.]+) to "
                      r"([\d.]+) ps", str(error.value))
    assert error.value.code == "LOOP_TAU" and found
    low, high, frame, first, last = map(float, found.groups())
    assert frame == 2000
    for decay in (low * 1.1, high * 0.9):
        compiled(decay, frame=2000)
    for ps in (math.ceil(first), math.floor(last)):
        assert compiled(0.5, frame=ps).schedule.frame_fs == ps * 1000


def test_a_leak_too_slow_for_any_frame_is_refused_with_a_remedy_that_works() -> None:
    with pytest.raises(UnsupportedError) as error:
        compiled(0.97)
    found = re.search(r"keep ([\d.e-]+) to ([\d.e-]+) of v in a step of ([\d.]+) ps", str(error.value))
    assert error.value.code == "LOOP_TAU" and found
    compiled((float(found[1]) + float(found[2])) / 2)
    with pytest.raises(FitError, match="choose a longer frame"):
        compiled(0.97, frame=5)


def test_leaks_that_are_too_far_apart_are_told_so() -> None:
    net = leaky(0.5, 2)
    cell = net.nodes["p"]
    assert isinstance(cell, DiscreteLIF)
    net = net.replace(nodes={**net.nodes, "p": replace(cell, decay_v=np.array([1e-4, 0.9]))})
    with pytest.raises(UnsupportedError, match="LOOP_TAU"):
        hwsdk.compile(net, "sfq", target_options={"neuron": "loop"})


def test_a_tau_that_no_branch_has() -> None:
    with pytest.raises(UnsupportedError, match=r"LOOP_TAU(.|\n)*choose a tau of 63") as error:
        loop([[1.0, 1.0]], 1.5, tau_fs=5_000)
    assert "62.5" in str(error.value) or "branches have 12.5 to 625" in str(error.value)
    loop([[1.0, 1.0]], 1.5, tau_fs=63_000)


def test_somas_have_the_range_where_circuit_and_pulse_model_agree() -> None:
    program = hwsdk.compile(layer([[1.0, 0.7, -0.3], [0.6, 0.8, 1.0]], neuron(Threshold, 2, threshold=0.9)), "sfq",
                            target_options={"neuron": "loop"})
    a = program.arrays
    assert a.branch_l_h.min() >= 20e-12 and 80e-6 <= a.soma_bias_a.min() <= a.soma_bias_a.max() <= 160e-6
    assert isinstance(FORM.soma(2), Soma)
