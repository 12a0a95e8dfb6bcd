"""What SpiNNaker 2 is published to do at the least and at the most, through compiler and simulator.

arXiv 2607.24396 (The SpiNNaker2 chip), as quoted by several independent notes: 12 million synaptic events/s in a core
with 1,024 neurons at 1 ms; more than 150,000 neurons a chip.
"""

from __future__ import annotations

import numpy as np
import pytest

import hwsdk
from hwsdk.backends.base import CompileOptions
from hwsdk.backends.spinnaker import SpinnakerBackend
from hwsdk.errors import HwsdkError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF, CubaLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace

NEURONS, PACKETS, EVENTS, TICKS = 1024, 1000, 12, 4


def driven() -> Network:
    """1,024 lif_curr_exp neurons that hear 1,000 sources (the FIFO takes 1,024), 12 synapses each; none ever fires."""
    rng = np.random.default_rng(0)
    weight = np.zeros((NEURONS, PACKETS))
    for source in range(PACKETS):
        weight[rng.choice(NEURONS, EVENTS, replace=False), source] = 1.0
    b = NetworkBuilder("driven").input("in", PACKETS)
    b.population("p", neuron(CubaLIF, NEURONS, tau_syn=2.0, tau_mem=10.0, v_threshold=1e9))
    return b.connect("in", "p", weight=weight, delay_ticks=1).output("out", "p").build(Semantics(dt=1.0))


def run(tick_s: float, strict: bool) -> Trace:
    """Every source spikes in every tick; little activity is announced, so that all neurons share one PE."""
    network = driven()
    backend = SpinnakerBackend("spinnaker2")
    quiet = CompileOptions(activity={"in": 0.01, "p": 0.0}, step_time=tick_s, target_options={"level": "high"})
    program = backend.compile(network, quiet, lambda _: None)
    assert [program.application(p) for p in range(program.n_pes)].count("lif_curr_exp_no_delay") == 1
    data = Stimulus.dense(np.ones((1, TICKS, PACKETS)), {"in": (PACKETS,)})
    return backend.simulate(program, data, strict=strict)


def test_twelve_million_events_a_second_in_one_core_are_on_time():
    trace = run(1e-3, strict=True)
    assert trace.counts["static_events"][0].max() / 1e-3 == 12_000_000
    assert not trace.counts["late_ticks"].any()


def test_the_most_that_is_on_time_lies_between_11_and_13_million():
    assert not run(PACKETS * EVENTS / 12.6e6, strict=True).counts["late_ticks"].any()
    assert run(PACKETS * EVENTS / 13e6, strict=False).counts["late_ticks"].any()
    with pytest.raises(HwsdkError, match="LATE_TICK"):
        run(PACKETS * EVENTS / 13e6, strict=True)


def test_a_chip_holds_150_000_neurons():
    n = 150_000
    b = NetworkBuilder("many").input("in", 1).population("p", neuron(LIF, n, tau=10.0, v_threshold=0.05))
    b.connect("in", "p", weight=np.ones((n, 1)), delay_ticks=1)
    program = hwsdk.compile(b.output("out", "p").build(Semantics(dt=1.0)), "spinnaker2")
    assert program.chips == 1
    assert program.n_pes <= 148
    assert max(u["neurons"] for u in program.usage) <= 1024
    trace = hwsdk.simulate(program, np.ones((1, 3, 1)), strict=True)
    assert len(trace.spikes["p"]) > 0
