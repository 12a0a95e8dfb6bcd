"""The integer neuron against values observed on lava-nc 0.10.0 (PyLifModelBitAcc)."""

from __future__ import annotations

import numpy as np
import pytest

from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import kernels
from hwsdk.simulators.reference_fixed import tz
from hwsdk.simulators.reference_neurons import stepper

NEVER = (1 << 17) - 1


def cell(du=0, dv=0, vth=NEVER, bias_mant=0, bias_exp=0, v_init=0, u_init=0, reset="value", reset_by=0) -> FixedLIF:
    one = lambda x: np.array([x], np.int64)  # noqa: E731
    return FixedLIF(one(du), one(dv), one(vth), one(bias_mant), one(bias_exp), one(reset_by), one(u_init), one(v_init),
                    np.ones(1), np.zeros(1), reset)


def run(neuron: FixedLIF, inputs: list[int], variable: str) -> list[int]:
    s = stepper(neuron, Semantics(), 1, None)
    seen = []
    for a in inputs:
        s.step(np.array([[a]], np.int64))
        seen.append(int(s.state[variable][0, 0]))
    return seen


def test_current_loses_a_little_at_du_0_and_wraps_once():
    assert run(cell(du=0), [32640] * 5, "u") == [2088960, 4177410, 6265350, 8352780, -6337516]


def test_membrane_stays_at_its_floor():
    assert run(cell(du=4095, v_init=-8388607), [-1000, -1000], "v") == [-8388607, -8388607]


def test_membrane_decays_toward_zero():
    assert run(cell(dv=100, v_init=-1001), [0, 0, 0], "v") == [-976, -952, -928]


@pytest.mark.parametrize(("mant", "exp", "bias"), [(4095, 5, 131040), (-5, -1, -3), (100, 0, 100)])
def test_bias_is_mantissa_and_exponent(mant, exp, bias):
    assert int(cell(bias_mant=mant, bias_exp=exp).bias[0]) == bias


def test_du_4095_keeps_nothing_of_the_current():
    assert run(cell(du=4095), [100, 0], "u") == [6400, 0]


def test_threshold_is_strict_and_reset_keeps_the_current():
    at_threshold = cell(du=0, vth=10)
    s = stepper(at_threshold, Semantics(), 1, None)
    assert int(s.step(np.array([[10]]))[0, 0]) == 0
    assert int(s.step(np.array([[0]]))[0, 0]) == 1
    assert int(s.state["v"][0, 0]) == 0
    assert int(s.state["u"][0, 0]) == 639


def test_subtraction_leaves_the_rest():
    assert run(cell(du=4095, vth=10, reset="subtract", reset_by=640), [15], "v") == [5 * 64]


def test_kernel_decay_equals_the_formula_over_its_whole_range():
    rng = np.random.default_rng(3)
    x = np.r_[rng.integers(-(1 << 24) + 1, 1 << 24, 20000), 0, 1, -1, 4095, -4096, (1 << 24) - 1]
    keep = np.r_[rng.integers(0, 4097, 20000), 4096, 4096, 4096, 1, 4095, 4096]
    expected = tz(x * keep, 12)
    got = [kernels.decay(np.int32(a), np.int32(k), np.int32) for a, k in zip(x, keep, strict=True)]
    np.testing.assert_array_equal(got, expected)
