"""Branches and weights of a current-summing soma, its circuit, and the rule by which it fires."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hwsdk.ir.cells import FS, SomaModel
from hwsdk.ir.circuit import PHI0, Inductor, Junction, Resistor
from hwsdk.ir.soma import (
    FOOT_H,
    Branch,
    bias_for,
    branches_for,
    coupling,
    decay_times,
    excess,
    inductor_for,
    resets,
    span,
    threshold,
    weights,
)
from hwsdk.simulators.sfq_bench import Event, bench_of
from hwsdk.simulators.sfq_soma import soma_circuit
from hwsdk.simulators.sfq_soma_fit import WIDE, agreement, batch_of, fit, run_analog, settings, spike_times
from hwsdk.targets import load_target

UA, PH, PS = 1e-6, 1e-12, 1e-12
PLAIN = SomaModel(2, 100 * UA, 1.0, 1.0, 5 * PH, np.array([0.0, 10 * UA]), np.array([12_000, 8_000]))
FULL = replace(PLAIN, load=0.25, critical_fs=2000.0, l_soma_h=4 * PH, inhibition=0.3, flip_fs=5000.0)


def test_weights_of_branches():
    w = weights(FULL, [Branch(20 * PH, 1.0), Branch(15 * PH, 1.0, -0.3)])
    assert w == pytest.approx([PHI0 / (25 * PH), -0.3 * PHI0 / (20 * PH)])


def test_direct_branches_slow_each_other_down_and_not_the_others():
    tau = decay_times(FULL, [Branch(20 * PH, 1.0), Branch(45 * PH, 0.5), Branch(15 * PH, 1.0, -0.3)])
    slower = 1 + 4 * (1 / 25 + 1 / 50)
    assert tau / PS == pytest.approx([25 * slower, 100 * slower, 20])


def test_the_threshold_rises_with_what_could_come():
    assert threshold(FULL, [40 * UA, 20 * UA, -50 * UA], 30 * UA) == pytest.approx(70 * UA + 0.25 * 60 * UA)
    assert bias_for(FULL, [40 * UA, 20 * UA], threshold(FULL, [40 * UA, 20 * UA], 33 * UA)) == pytest.approx(33 * UA)


def test_the_excess_for_a_decay_time_solves_its_equation():
    for tau in (0.5 * PS, 10 * PS, 40 * PS, 1e-9):
        y = excess(FULL, tau)
        assert y > 1 and y - 1 == pytest.approx((2 * PS * y / tau) ** (2 / 3))
    assert excess(FULL, 10 * PS) > excess(FULL, 40 * PS) and excess(PLAIN, 10 * PS) == pytest.approx(1)


def test_branches_for_weights_have_these_weights_and_one_decay_time():
    wanted = [60 * UA, 35 * UA, -20 * UA]
    made = branches_for(FULL, wanted, 50 * PS)
    assert weights(FULL, made) == pytest.approx(wanted)
    assert decay_times(FULL, made) == pytest.approx(50 * PS)
    assert [b.k < 0 for b in made] == [False, False, True]


def test_inductors_on_a_grid():
    exact = inductor_for(FULL, 50 * UA)
    on_grid = inductor_for(FULL, 50 * UA, 2 * PH)
    assert exact == pytest.approx(PHI0 / (50 * UA) - 5 * PH)
    assert on_grid / PH == pytest.approx(round(exact / (2 * PH)) * 2)


def test_the_range_of_weights():
    low, high = span(FULL, (5 * PH, 120 * PH))
    assert (low, high) == (PHI0 / (125 * PH), PHI0 / (10 * PH))
    assert span(FULL, (5 * PH, 120 * PH), inhibits=True) == pytest.approx((0.3 * low, 0.3 * high))


def test_only_exciting_branches_are_reset_as_of_the_time_of_the_flip():
    own = [Branch(20 * PH, 1.0), Branch(15 * PH, 1.0, -0.3)]
    back = resets(FULL, own)
    assert back[1] == 0
    assert back[0] == pytest.approx(weights(FULL, own)[0] * math.exp(5 * PS / decay_times(FULL, own)[0]))
    fast = [Branch(20 * PH, 100.0)]
    assert resets(FULL, fast) == pytest.approx(weights(FULL, fast) * math.e)


def spikes(model, branches, bias_a, *pulses_ps):
    return spike_times(model, branches, bias_a, [np.array(p) * PS for p in pulses_ps]) / PS


def test_the_model_sums_decays_fires_and_resets():
    two = [Branch(15 * PH, 0.1)] * 2                       # 103.4 uA, 200 ps
    assert spikes(PLAIN, two, 60 * UA, [10.0], []).tolist() == [10 + 8]      # 63 over a threshold of 40
    assert spikes(PLAIN, two, 0.0, [10.0], []).tolist() == pytest.approx([10 + 12 - 4 * 0.3392], abs=0.01)
    assert spikes(PLAIN, two, -50 * UA, [10.0], [10.0]).tolist() == [10 + 8]
    assert spikes(PLAIN, two, -50 * UA, [10.0], [200.0]).tolist() == []
    # the reset took the weight of the silent branch too
    assert spikes(PLAIN, two, 60 * UA, [10.0, 12.0], []).tolist() == [10 + 8]


def test_inhibition_keeps_it_from_firing():
    own = [Branch(15 * PH, 0.1), Branch(5 * PH, 0.1, coupling(5 * PH))]
    assert len(spikes(FULL, own, 60 * UA, [10.0], [])) == 1
    assert len(spikes(FULL, own, 60 * UA, [10.0], [5.0])) == 0
    assert len(spikes(FULL, own, 60 * UA, [10.0], [15.0])) == 1


def test_currents_that_are_gone_too_soon_do_not_fire():
    slow, fast = Branch(15 * PH, 0.1), Branch(15 * PH, 4.0)
    assert len(spikes(FULL, [slow], 40 * UA, [10.0])) == 1
    assert len(spikes(FULL, [fast], 40 * UA, [10.0])) == 0
    assert len(spikes(replace(FULL, critical_fs=0.0), [fast], 40 * UA, [10.0])) == 1


def test_the_circuit_has_what_was_asked_for():
    own = [Branch(20 * PH, 1.5), Branch(40 * PH, 0.7, coupling(40 * PH))]
    cell = soma_circuit(own, 90 * UA)
    parts = {e.name: e for e in cell.circuit.elements}
    assert cell.inputs == {"b0": "b0", "b1": "b1"} and cell.outputs == {"q": "q"}
    assert cell.first == {"b0": "jn0", "b1": "jn1"} and cell.last == {"q": "jo1"}
    assert parts["ls0"] == Inductor("ls0", "m0", "x0", 20 * PH) and parts["rs0"] == Resistor("rs0", "x0", "s", 1.5)
    assert parts["rs1"].m == "foot" and parts["lfoot"].henry == FOOT_H
    assert cell.junctions == sum(isinstance(e, Junction) for e in parts.values()) == 5
    assert cell.bias_a == pytest.approx(90 * UA + 4 * 175 * UA)


def test_the_coupling_is_that_of_a_shared_inductor():
    assert coupling(6 * PH) == pytest.approx(-0.5)


def test_a_circuit_of_one_branch_fires_by_its_bias():
    def outputs(bias_ua):
        got = bench_of(soma_circuit([Branch(8 * PH, 0.4)], bias_ua * UA)).run([[Event("b0", 40 * PS)]])[0]
        assert got.returned == 0 and len(got.arrivals["b0"]) == 1
        return len(got.outputs["q"])
    assert [outputs(b) for b in (0, 40, 120, 180)] == [0, 0, 1, 1]


def test_the_circuit_of_a_branch_that_inhibits_inhibits():
    cell = soma_circuit([Branch(8 * PH, 0.4), Branch(5 * PH, 0.26, coupling(5 * PH))], 122 * UA)
    alone, both, other = bench_of(cell).run([[Event("b0", 60 * PS)], [Event("b1", 50 * PS), Event("b0", 60 * PS)],
                                             [Event("b1", 50 * PS)]])
    assert [len(r.outputs["q"]) for r in (alone, both, other)] == [1, 0, 0]


def test_settings_come_from_their_seed_and_lie_in_range():
    a, b, c = settings(4, 20, 1), settings(4, 20, 1), settings(4, 20, 2)
    assert all(x.bias_a == y.bias_a and x.branches == y.branches for x, y in zip(a, b, strict=True))
    assert [x.bias_a for x in a] != [x.bias_a for x in c]
    assert all(0.2 <= q.r_ohm <= 2 and 20 * PH <= q.l_h <= 120 * PH for x in a for q in x.branches)
    assert {sum(q.k < 0 for q in x.branches) for x in a} == {0, 1, 2}
    assert min(q.l_h for x in settings(4, 20, 1, WIDE) for q in x.branches) < 20 * PH


def test_a_fit_never_gets_worse():
    runs = run_analog(settings(2, 16, 5))
    rough = replace(FULL, ic_eff_a=260 * UA)
    better = fit([batch_of(runs)], rough, tries=40)
    before, after = agreement(rough, runs), agreement(better, runs)
    assert after.exact >= before.exact and better.ic_eff_a != rough.ic_eff_a
    assert after.runs == 16 and after.backwards == 0


def test_the_targets_constants_are_those_of_one_soma():
    somas = [load_target("sfq").cell(f"SOMA{n}") for n in range(1, 9)]
    assert len({s.soma.ic_eff_a for s in somas}) == 1
    for n, cell in enumerate(somas, 1):
        drawn = soma_circuit([Branch(20 * PH, 1.0)] * n, 0.0)
        assert cell.jj == drawn.junctions and cell.bias_a == pytest.approx(drawn.bias_a)
        assert (np.diff(cell.soma.latency_fs) <= 0).all() and 5e-12 < cell.soma.latency_fs.min() * FS < 15e-12
