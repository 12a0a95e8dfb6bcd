"""Populations of current-summing somas as cells: equal paths, branches, and the same spikes as their network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pulse_loops import LEAD, NAMES, Somas, loops, netlist
from sfq_cells_by_hand import cell

from hwsdk.errors import InternalError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import LIF, Threshold
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.sfq_build import Builder
from hwsdk.mappers.sfq_check import check
from hwsdk.mappers.sfq_loop import add_loop
from hwsdk.simulators import reference
from hwsdk.simulators import sfq as simulator

SEM = Semantics(integrator="exponential_unit_gain", reset="subtract")
FRAME = 200_000


def two_layers(seed: int, tau: float | None, delays: Any = 1) -> Network:
    """4 inputs, 3 and 2 neurons, with weights of both signs, a loop back and delays."""
    rng = np.random.default_rng(seed)
    kind = (lambda n: neuron(Threshold, n, threshold=1.0)) if tau is None else (
        lambda n: neuron(LIF, n, tau=tau, v_threshold=1.0))

    def weights(*shape: int) -> Any:
        return rng.uniform(0.4, 0.9, shape) * rng.choice([1, 1, 1, 1, 1, -0.5], shape)
    b = NetworkBuilder().input("in", 4).population("h", kind(3)).population("o", kind(2))
    b.connect("in", "h", weight=weights(3, 4), delay_ticks=delays)
    b.connect("h", "o", weight=weights(2, 3)).connect("o", "o", weight=np.array([[0, 0.5], [0.4, 0]]), delay_ticks=2)
    return Lower()(b.output("y", "o").build(SEM))


@pytest.mark.parametrize("tau", [None, 1.0])
@pytest.mark.parametrize("delays", [1, 3])
def test_the_netlist_spikes_as_its_network_does(tau: float | None, delays: int) -> None:
    spikes, frame = 0, 450_000 if tau is None else FRAME
    for seed in range(8):
        net, report = loops(two_layers(seed, tau, delays), frame)
        program, made = netlist(net, report, frame)
        check(net, program)
        assert all(x.skew_fs == 0 for x in made.values())
        x = (np.random.default_rng(seed).random((2, 40, 4)) < 0.5).astype(float)
        stimulus = Stimulus.dense({"in": x}, {"in": (4,)})
        expected = reference.run(net, stimulus)
        got = simulator.run(program, stimulus)
        assert not any(e.code == "FIRES_TWICE" for e in net.ledger.entries)
        assert expected.first_difference(got) is None, seed
        spikes += expected.n_spikes()
    assert spikes > 100


def test_all_paths_take_the_same_cells() -> None:
    net, report = loops(two_layers(0, 2.0, np.array([[1, 2, 3, 1]] * 3)), FRAME)
    program, made = netlist(net, report, FRAME)
    check(net, program)
    run = simulator.pulses(program, Stimulus.dense({"in": np.ones((1, 6, 4))}, {"in": (4,)}))
    a, d = program.arrays, report.designs["h"]
    somas = a.soma_cell[: 3]
    times = {}
    for n in range(program.n_nets):
        own = run.samples[0].time_fs[run.samples[0].net == n]
        if a.to_cell[n] in somas and len(own):
            k = int(np.flatnonzero(somas == a.to_cell[n])[0])
            times[k, int(a.to_pin[n])] = set((own % FRAME).tolist())
    direct = {t for (k, p), own in times.items() for t in own if d.weight_a[np.flatnonzero(d.target == k)[p]] > 0}
    others = {t for (k, p), own in times.items() for t in own if d.weight_a[np.flatnonzero(d.target == k)[p]] < 0}
    assert len(direct) == 1 and len(others) == 1
    assert next(iter(direct)) - next(iter(others)) == LEAD
    assert made["h"].sum_fs == next(iter(direct))


def test_lines_of_one_element_are_shared_by_its_branches() -> None:
    net, report = loops(two_layers(1, 2.0), FRAME)
    _, made = netlist(net, report, FRAME)
    assert len(made["h"].lines) == 4
    assert sorted((x.source, x.delay) for x in made["o"].lines) == [("h", 1)] * 3 + [("o", 2)] * 2
    total = np.zeros((3, 4))
    for x in made["h"].lines:
        np.add.at(total, (x.target, x.element), x.weight)
    d = report.designs["h"]
    expected = np.zeros((3, 4))
    np.add.at(expected, (d.target, d.source), d.weight_a)
    assert total == pytest.approx(expected)


def test_a_lead_that_no_jtl_gives_is_a_bug() -> None:
    _, report = loops(two_layers(0, 2.0), FRAME)
    b = Builder({n: cell(n) for n in NAMES})
    object.__setattr__(report.designs["h"], "lead_fs", LEAD + 1)
    with pytest.raises(InternalError, match="lead by 3641 fs"):
        add_loop(b, Somas(), "h", ["in"], report.designs["h"])
