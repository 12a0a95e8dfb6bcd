"""Deep XOR (the case study of Krylov et al., arXiv 2311.10721) by pulses and as a circuit, in both neuron styles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hwsdk
from examples import sfq_xor, train_xor
from hwsdk.backends.sfq_margins import compare, sweep
from hwsdk.backends.sfq_yield import monte_carlo
from hwsdk.compiler import load_data
from hwsdk.errors import UnsupportedError
from hwsdk.simulators import sfq
from hwsdk.simulators.sfq import Conditions
from hwsdk.simulators.sfq_analog import run_analog

MODEL = Path(sfq_xor.HERE) / "xor.nir"
WALK = np.array([[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0], [1, 1], [0, 1], [1, 0], [1, 0], [0, 0], [1, 1], [1, 1]]])
"""One sample of frames in which every pattern follows others."""


@pytest.fixture(scope="module", params=["counter", "loop", "hidden:loop,out:counter", "hidden:counter,out:loop"])
def program(request):
    return hwsdk.compile(hwsdk.load(str(MODEL), dt=1.0), "sfq", bits=3, target_options={"neuron": request.param})


def out(trace, frames):
    return trace.aligned("out", frames).dense()[..., 0]


def test_pulses_are_xor_frame_by_frame(program):
    trace = hwsdk.simulate(program, WALK, strict=True)
    np.testing.assert_array_equal(out(trace, WALK.shape[1])[0], WALK[0, :, 0] ^ WALK[0, :, 1])


@pytest.mark.parametrize("k", [0.96, 1.0, 1.05, 1.1])
def test_the_circuit_gives_the_same_spikes(program, k):
    data = load_data(WALK, program)
    conditions = Conditions(bias=k)
    expected = sfq.run(program, data, conditions=conditions)
    got = run_analog(program, data, conditions=conditions)
    assert expected.first_difference(got.trace) is None
    np.testing.assert_array_equal(out(got.trace, WALK.shape[1])[0], WALK[0, :, 0] ^ WALK[0, :, 1])


def test_windows_by_pulses_and_in_the_circuit_agree(program):
    data = load_data(sfq_xor.PATTERNS, program)
    right = sfq.run(program, data)
    k = np.linspace(0.85, 1.2, 8)
    pulses = sweep(program, data, k=k, tolerance=0.01)
    circuit = sweep(program, data, k=k, tolerance=0.01, by="analog solver", expected=right,
                    run=lambda c: run_analog(program, data, conditions=c).trace)
    a, b = pulses.line(), circuit.line()
    assert a.low <= 0.95
    assert b.low <= 0.96
    assert min(a.high, b.high) >= 1.1
    assert abs(a.low - b.low) <= 0.05
    assert abs(a.high - b.high) <= 0.06
    assert compare(pulses, circuit).overlap() > 0.7


def test_1000_chips_with_jitter_and_spread_work(program):
    made = monte_carlo(program, load_data(sfq_xor.PATTERNS, program), runs=1000, jitter=True, spread=0.03)
    assert made.low > 0.98


def test_currents_from_outside_make_other_functions():
    network = hwsdk.load(str(MODEL), dt=1.0)
    program = hwsdk.compile(network, "sfq", target_options={"neuron": "loop"})
    currents = program.arrays.soma_bias_a[program.somas("hidden")]
    a, b = WALK[0, :, 0].astype(bool), WALK[0, :, 1].astype(bool)
    wanted = {"XOR": a ^ b, "OR": a | b, "AND": a & b, "never": a & ~a}
    for name, factors in sfq_xor.FUNCTIONS.items():
        tuned = program.tuned("hidden", currents * factors)
        assert tuned.digest() != program.digest() or name == "XOR"
        np.testing.assert_array_equal(out(hwsdk.simulate(tuned, WALK, strict=True), WALK.shape[1])[0], wanted[name])
        circuit = hwsdk.simulate(tuned, WALK, engine="analog")
        np.testing.assert_array_equal(out(circuit, WALK.shape[1])[0], wanted[name], name)


@pytest.mark.parametrize("style", ["counter", "loop"])
def test_verify_finds_nothing(style):
    report = hwsdk.verify(hwsdk.load(str(MODEL), dt=1.0), "sfq", WALK, bits=3, target_options={"neuron": style})
    assert report.ok
    assert report.first_drift is None


def test_counters_are_not_tuned_by_current():
    program = hwsdk.compile(hwsdk.load(str(MODEL), dt=1.0), "sfq", target_options={"neuron": "counter"})
    with pytest.raises(UnsupportedError, match="NO_SOMAS"):
        program.tuned("hidden", 1e-4)


@pytest.mark.slow
def test_training_gives_the_model_that_is_there():
    assert train_xor.decide(train_xor.train(0))[0].tolist() == [0, 1, 1, 0]
