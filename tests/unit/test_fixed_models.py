"""The integer neurons of hwsdk.ir.fixed: values observed on lava-nc 0.10.0, and their formulas by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsdk.errors import ModelError
from hwsdk.ir.fixed import FixedATRLIF, FixedGraded, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference
from hwsdk.simulators.reference_neurons import stepper


def one(x: int) -> np.ndarray:
    return np.array([x], np.int64)


def drive(cell: FixedNeuron, inputs: list) -> tuple[list[int], dict[str, list[int]]]:
    """(what it sends in each step, state -> its value after each step)."""
    assert reference
    s = stepper(cell, Semantics(), 1, None)
    sent, seen = [], {name: [] for name in s.state}
    for a in inputs:
        x = np.asarray(a, np.int64).reshape(1, *cell.in_shape)
        sent.append(int(s.step(x).ravel()[0]))
        for name, value in s.state.items():
            seen[name].append(int(value.ravel()[0]))
    assert set(seen) == set(cell.STATES)
    return sent, seen


def lif(vth=2, bias=0, **options) -> FixedLIF:
    zero = one(0)
    return FixedLIF(one(4095), zero, one(vth), one(bias), zero, zero, zero, zero, np.ones(1), np.zeros(1), **options)


def test_reset_every_fourth_step_acts_before_the_update():
    _, seen = drive(lif(vth=1 << 16, bias=100, reset_interval=4, reset_offset=1), [0] * 6)
    assert seen["v"] == [100, 200, 300, 400, 100, 200]


def test_refractory_neuron_rests_as_long_as_it_says_while_its_current_goes_on():
    sent, seen = drive(lif(refractory=one(2)), [3, 3, 3, 3, 0, 3])
    assert sent == [1, 0, 0, 1, 0, 0]
    assert seen["v"] == [0] * 6
    assert seen["u"] == [192, 192, 192, 192, 0, 192]


def test_refractory_neuron_that_resets_by_subtraction_keeps_the_rest():
    cell = lif(vth=2, refractory=one(1), reset="subtract")
    cell = replace(cell, reset_by=one(128))
    sent, seen = drive(cell, [3, 3, 3])
    assert (sent, seen["v"]) == ([1, 0, 1], [64, 64, 128])


def test_adaptive_threshold_follows_the_observed_trace():
    # facts: bias 50 << 2 and Lava's default parameters; decays 0.4 and 0.2 in units of 1/4096 are not whole there
    cell = FixedATRLIF(one(round(0.4 * 4096)), one(1639), one(820), one(820), one(5), one(240 // 64), one(50), one(2),
                       one(0), one(0))
    sent, seen = drive(cell, [0] * 3)
    assert seen["v"][:2] == [200, 319]
    assert sent == [0, 0, 1]
    assert (seen["theta"][2], seen["r"][2]) == (320 + 3 * 64, 640)


def test_resonator_turns_by_its_angle_and_fires_when_it_crosses_from_below():
    quarter = FixedRF(one(4096), one(0), one(50), one(0), one(0), decay_bits=12)
    sent, seen = drive(quarter, [[100, 0], [0, 0], [0, 0], [0, 0], [0, 0]])
    assert seen["re"] == [100, 0, -100, 0, 100]
    assert seen["im"] == [0, 100, 0, -100, 0]
    assert sent == [0, 0, 0, 0, 1]


def test_izhikevich_resonator_resets():
    cell = FixedRF(one(4096), one(0), one(90), one(0), one(0), decay_bits=12, izhikevich=True)
    sent, seen = drive(cell, [[100, 0], [0, 0], [0, 0]])
    assert sent == [0, 1, 0]
    assert (seen["re"], seen["im"]) == ([100, 0, -89], [0, 89, 0])


def test_sigma_delta_sends_what_changed_and_keeps_the_residue():
    cell = FixedSigmaDelta(one(3), one(0))
    sent, seen = drive(cell, [2, 2, -10, 0])
    assert sent == [0, 4, -4, 0]
    assert seen["sigma"] == [2, 4, -6, -6]
    assert seen["act"] == [2, 4, 0, 0]
    assert seen["residue"] == [2, 0, 0, 0]


def test_state_exponent_hides_single_units():
    # facts: with state_exp 6 and vth 3 inputs of single units never fire, for they are not shifted
    assert drive(FixedSigmaDelta(one(3), one(0), state_exp=6), [1] * 50)[0] == [0] * 50


def test_delta_encoder_shifts_its_input():
    cell = FixedSigmaDelta(one(1), one(0), spike_exp=2, state_exp=3, encodes=True)
    sent, seen = drive(cell, [1, 1, 3])
    assert sent == [4, 0, 8]
    assert seen["act"] == [32, 32, 96]


def test_cumulative_error_fires_on_the_sum_of_changes():
    sent, _ = drive(FixedSigmaDelta(one(5), one(0), activation="unit", cum_error=True), [2, 1, 0])
    assert sent == [0, 3, 0]


@pytest.mark.parametrize(("relu", "expected"), [(False, [-3, 0, 3]), (True, [0, 0, 3])])
def test_graded_neuron_forgets(relu, expected):
    assert drive(FixedGraded(one(2), relu), [-3, 2, 3])[0] == expected


def test_resonator_needs_two_inputs():
    with pytest.raises(ModelError, match=r"takes \(2, 1\)"):
        FixedRF(one(1), one(1), one(1), one(0), one(0)).out_shape((1,))
