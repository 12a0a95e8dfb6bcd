"""Step by step is the same as all steps at once: random programs of all kinds, late PEs and full FIFOs too."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spinnaker_programs import MACHINE, STEPS, Chance, random_stimulus

from hwsdk.simulators import spinnaker
from hwsdk.simulators.spinnaker_walk import walk


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), graded=st.booleans(), tick_s=st.sampled_from([1e-3, 2e-5, 8e-6]),
       fifo=st.sampled_from([1024, 5]), sync=st.sampled_from(["timer", "barrier"]))
@example(seed=5, graded=True, tick_s=8e-6, fifo=5, sync="timer")
def test_walking_gives_the_trace_of_a_run(seed: int, graded: bool, tick_s: float, fifo: int, sync: str) -> None:
    rng = np.random.default_rng(seed)
    program = dataclasses.replace(Chance(rng, graded).program(), machine=dataclasses.replace(MACHINE, fifo=fifo),
                                  tick_s=tick_s, sync=sync)
    stimulus = random_stimulus(rng, program, samples=1)
    expected = spinnaker.run(program, stimulus, steps=STEPS)
    moving, put_out = walk(program), []
    for t in range(STEPS):
        inputs = {n: e.at_step(t) if t < e.n_steps else np.zeros(e.n) for n, e in stimulus.inputs.items()}
        put_out.append(moving.step({n: np.asarray(x).ravel() for n, x in inputs.items()}))
    got = moving.trace()
    for name, events in expected.spikes.items():
        for column in ("step", "index"):
            np.testing.assert_array_equal(getattr(events, column), getattr(got.spikes[name], column))
        np.testing.assert_array_equal(events.values(), got.spikes[name].values())
    assert expected.counts.keys() == got.counts.keys()
    for name, values in expected.counts.items():
        np.testing.assert_array_equal(values, got.counts[name], name)
    if not expected.counts["late_ticks"].any():
        for name, events in expected.spikes.items():
            walked = np.stack([p[name] for p in put_out])
            np.testing.assert_array_equal(events.dense(0).reshape(STEPS, -1), walked, name)
