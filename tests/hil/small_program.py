"""A small Loihi program with spikes in most steps, and what the simulator makes of it: something to run on a device."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.ir.build import NetworkBuilder
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import LoihiProgram

N_IN, N, STEPS = 32, 16, 40


class Small(NamedTuple):
    program: LoihiProgram
    stimulus: Stimulus
    trace: Trace


@cache
def small(n_in: int = N_IN, rate: float = 0.2) -> Small:
    """n_in: inputs, each of which spikes at ``rate``; with many and few spikes a step is sent as a list of gaps."""
    rng, zero = np.random.default_rng(7), np.zeros(N, int)
    cell = FixedLIF(du=zero + 4095, dv=zero + 400, vth=zero + 900, bias_mant=zero, bias_exp=zero, reset_by=zero,
                    u_init=zero, v_init=zero, scale=np.ones(N), v_offset=np.zeros(N), reset="value")
    network = (NetworkBuilder().input("in", n_in).population("p", cell)
               .connect("in", "p", weight=2 * rng.integers(-40, 100, (N, n_in))).output("out", "p").build(Semantics()))
    backend = backends.get("loihi2")
    program = backend.compile(network, CompileOptions(), lambda _: None)
    assert isinstance(program, LoihiProgram)
    stimulus = Stimulus({"in": events_from_dense(rng.random((2, STEPS, n_in)) < rate, (n_in,))})
    trace = backend.simulate(program, stimulus, probes="all")
    assert 100 < sum(len(trace.spikes["p"].one(s).step) for s in (0, 1)) < N * STEPS
    return Small(program, stimulus, trace)


def assert_same(got: Trace, *, states: bool = False) -> None:
    """All spikes, and if asked for all states, are those of the simulator."""
    expected = small().trace
    for sample in (0, 1):
        a, b = expected.spikes["p"].one(sample), got.spikes["p"].one(sample)
        np.testing.assert_array_equal(a.step, b.step)
        np.testing.assert_array_equal(a.index, b.index)
    for key, value in expected.states.items() if states else ():
        np.testing.assert_array_equal(value, got.states[key])
