"""Pulses at current-summing somas in the pulse simulator: numbers by hand, and the fit's own copy of the rule."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from sfq_cells_by_hand import Layer, Net, PulseNetlist, Schedule, soma

from hwsdk.errors import ProgramError
from hwsdk.ir.cells import FS
from hwsdk.ir.data import Stimulus
from hwsdk.ir.soma import Branch, coupling, decay_times, weights
from hwsdk.simulators import sfq
from hwsdk.simulators.sfq import Conditions
from hwsdk.simulators.sfq_soma_fit import spike_times
from hwsdk.targets import load_target

FAR_FS = 100_000_000
BRANCHES = [(60e-6, 100_000.0), (50e-6, 50_000.0)]
BIAS_A = 140e-6
THETA = 85.3
"""uA: 200 - 140 + (0.3 - 0.0005 x 140) x 110."""


def one_soma(branches: Any, bias_a: float = BIAS_A, group: int = 0) -> tuple[PulseNetlist, list[int], int]:
    """(program, SRC of each branch, net of the output)."""
    net = Net(("clock", "hidden"))
    k = net.add(f"SOMA{len(branches)}", group, branches, bias_a)
    pins = [net.add("SRC") for _ in branches]
    for i, source in enumerate(pins):
        net.join(source, 0, k, i)
    out = net.join(k, 0, net.add("SINK"), 0)
    return net.program(layers=(Layer("hidden", (1,), "loop", 0),), spikes=(out,)), pins, out


def spikes(branches: Any, pulses: dict[int, list[int]], bias_a: float = BIAS_A, **conditions: Any) -> list[int]:
    """fs: output pulses for those at each branch."""
    program, pins, out = one_soma(branches, bias_a)
    sent = {pins[b]: t for b, t in pulses.items()}
    return sfq.drive(program, sent, FAR_FS, watch=[out],
                     conditions=Conditions(**conditions)).samples[0].time_fs.tolist()


def over(*rows: tuple[float, float], theta: float = THETA) -> float:
    """uA beyond what is needed to flip within 2 ps of currents (uA, their decay time in ps)."""
    rate = sum(i / tau for i, tau in rows)
    return sum(i for i, _ in rows) - theta - (theta * (2 * max(rate, 0)) ** 2) ** (1 / 3)


def test_soma_sums_what_has_not_decayed() -> None:
    assert spikes(BRANCHES, {0: [0]}) == []
    # at once: 110 uA; (85.3 x 3.2^2)^(1/3) = 9.56 are needed above 85.3: 15.14 over; 6 ps at 10, 2 at 40
    assert over((60, 100), (50, 50)) == pytest.approx(15.14, abs=0.01)
    assert spikes(BRANCHES, {0: [0], 1: [0]}) == [round(6_000 - (over((60, 100), (50, 50)) - 10) / 30 * 4_000)]
    last = brentq(lambda t: over((60 * math.exp(-t / 100), 100), (50, 50)), 0, 50)
    assert 25 < last < 35
    early, late = math.floor(1000 * last), math.ceil(1000 * last)
    assert len(spikes(BRANCHES, {0: [0], 1: [early]})) == 1
    assert spikes(BRANCHES, {0: [0], 1: [late]}) == []


def test_currents_that_fade_must_be_larger() -> None:
    """86 uA are above 85.3; that is enough if they stay, and with 1 ps no sum is."""
    slow, fast = [(60e-6, 1e12), (50e-6, 1e12)], [(60e-6, 500.0), (50e-6, 500.0)]
    assert len(spikes(slow, {0: [0], 1: [0]}, 140e-6)) == 1
    assert spikes(fast, {0: [0], 1: [0]}, 140e-6) == []
    assert len(spikes([(85.4e-6, 1e15), (24.6e-6, 1e15)], {0: [0]})) == 1
    assert spikes([(85.2e-6, 1e15), (24.8e-6, 1e15)], {0: [0]}) == []


def test_every_exciting_branch_loses_its_weight_as_it_is_at_the_flip() -> None:
    branches = [*BRANCHES, (-5e-6, 20_000.0)]
    program, pins, _ = one_soma(branches, 160e-6)  # 200 - 160 + (0.3 - 0.08) x 110 = 64.2 uA
    run = sfq.drive(program, {pins[0]: [0, 10_000], pins[2]: [0]}, FAR_FS)
    s, kept, left = run.samples[0], 60 * math.exp(-0.1), -5 * math.exp(-0.5)
    assert over((60, 100), (-5, 20), theta=64.2) < 0 < over((kept + 60, 100), (left, 20), theta=64.2)
    assert run.counts()["SOMA3 a0|0"] == run.counts()["SOMA3 a0|1"] == 1
    assert s.current_a * 1e6 == pytest.approx([kept + 60 - 60 * math.exp(0.05), -50 * math.exp(0.1), left])


def test_a_loss_is_at_most_e_times_a_weight() -> None:
    program, pins, _ = one_soma([(80e-6, 1e9), (100e-6, 4_000.0)], 190e-6)
    current = sfq.drive(program, {pins[0]: [0]}, FAR_FS).samples[0].current_a
    assert current * 1e6 == pytest.approx([0, -100 * math.e], abs=1e-3), "5 ps after, 4 ps of decay: more than one"


def test_only_what_excites_loads() -> None:
    """Inhibitory branches do not raise the threshold: 200 - 140 + 0.23 x 90 = 80.7."""
    assert len(spikes([(81e-6, 1e15), (9e-6, 1e15), (-50e-6, 1e15)], {0: [0]})) == 1
    assert spikes([(81e-6, 1e15), (9e-6, 1e15), (2e-6, 1e15)], {0: [0]}) == []


@pytest.mark.parametrize("branches", [[(-60e-6, 5e4)], [(-60e-6, 5e4), (-1e-6, 1.0)], [(0.0, 5e4), (0.0, 1e-3)]])
def test_without_a_weight_above_zero_nothing_fires(branches: Any) -> None:
    assert spikes(branches, {b: [0, 0, 50, 9_000] for b in range(len(branches))}, 190e-6) == []


def test_a_fading_inhibition_makes_the_sum_rise_and_needs_no_more() -> None:
    """70 uA that stay and -5 that go within 1 ps: the rate is below 0, the sum 65 is above 64."""
    assert over((70, 1e6), (-5, 1), theta=64) == pytest.approx(1)
    both: dict[int, list[int]] = {0: [0], 1: [0]}  # the first branch's pulse is taken first
    assert len(spikes([(-5e-6, 1e3), (70e-6, 1e9)], both, 151.2e-6)) == 1, "48.8 + 0.2244 x 70 = 64.5"
    assert spikes([(-6e-6, 1e3), (70e-6, 1e9)], both, 151.2e-6) == []


def test_a_soma_whose_bias_alone_makes_it_switch_gives_no_pulses() -> None:
    one = [(60e-6, 1e5)]
    assert len(spikes(one, {0: [0]}, 199e-6)) == 1
    assert spikes(one, {0: [0]}, 200e-6) == []
    assert len(spikes(one, {0: [0]}, 190e-6, bias=1.05)) == 1
    assert spikes(one, {0: [0]}, 190e-6, bias=1.06) == []
    assert spikes(one, {0: [0]}, 190e-6, soma_bias={"hidden": 1.06}) == spikes(one, {0: [0]}, 190e-6), "another group"


def test_soma_bias_and_bias_move_the_threshold() -> None:
    program, (source,), out = one_soma([(60e-6, 1e5)], 170e-6, 1)
    # 200 - 170 k + (0.3 - 0.085 k) x 60 + (theta x 1.2^2)^(1/3) <= 60 from k = 0.927 on
    first = brentq(lambda k: over((60, 100), theta=218 - 175.1 * k), 0.9, 1)
    assert first == pytest.approx(0.927, abs=0.001)

    def fires(**c: Any) -> bool:
        return bool(len(sfq.drive(program, {source: [0]}, FAR_FS, watch=[out],
                                  conditions=Conditions(**c)).samples[0].time_fs))
    low, high = first - 1e-6, first + 1e-6
    assert fires(bias=high) and not fires(bias=low)
    assert fires(soma_bias={"hidden": high}) and not fires(soma_bias={"hidden": low})
    assert fires(group_bias={"hidden": high}) and not fires(group_bias={"hidden": low})
    assert not fires(group_bias={"hidden": 0.96}, soma_bias={"hidden": 0.96})
    some = [fires(threshold_spread=0.1, seed=s) for s in range(40)]
    assert 5 < sum(some) < 40


def test_loops_are_probed_as_currents() -> None:
    net = Net()
    k = net.add("SOMA2", 0, [(70e-6, 1e6), (40e-6, 1e6)], BIAS_A)
    x, y = net.add("SRC"), net.add("SRC")
    net.join(x, 0, k, 0)
    net.join(y, 0, k, 1)
    first, last = net.chain(["JTL", "JTL"])
    net.join(k, 0, first, 0)
    out = net.join(last, 0, net.add("SINK"), 0)
    p = net.program(inputs=(("x", [x]), ("y", [y])), layers=(Layer("n", (1,), "loop", 500_000),), spikes=(out,),
                    schedule=Schedule(1_000_000, 2_000, 0, 400_000))

    def data(a: list[int], b: list[int]) -> Stimulus:
        return Stimulus.dense({"x": np.array(a)[:, None], "y": np.array(b)[:, None]}, {"x": (1,), "y": (1,)})
    trace = sfq.run(p, data([1, 0, 0], [0, 1, 0]), probes=[("n", "i")])
    assert trace.spikes["n"].dense(0)[:, 0].tolist() == [0, 0, 0], "70 / e + 40 < 85.3"
    v = 70 * math.exp(-0.6), 70 * math.exp(-1.6) + 40 * math.exp(-0.6), 70 * math.exp(-2.6) + 40 * math.exp(-1.6)
    assert trace.states["n", "i"][0, :, 0] * 1e6 == pytest.approx(v)
    trace = sfq.run(p, data([1, 0], [1, 0]), probes="all")
    assert trace.spikes["n"].dense(0)[:, 0].tolist() == [1, 0]
    left = 110 - 110 * math.exp(0.005)  # of 1,000 ps, 5 ps to the flip
    assert trace.states["n", "i"][0, :, 0] * 1e6 == pytest.approx([left * math.exp(-0.6), left * math.exp(-1.6)])
    with pytest.raises(ProgramError, match="neuron 0 has no soma"):
        chain = Net()
        source = chain.add("SRC")
        merge = chain.add("MERGE")
        chain.join(source, 0, merge, 0)
        own = chain.join(merge, 0, chain.add("SINK"), 0)
        sfq.run(chain.program(frame=[(source, 0)], layers=(Layer("n", (1,), "loop", 0),), spikes=(own,)),
                Stimulus.silent(1), probes="all")


@pytest.mark.parametrize("seed", range(60))
def test_the_simulator_is_the_rule_that_constants_are_fitted_with(seed: int) -> None:
    """Of the library's somas and of one by hand, with times in whole fs, ties among them."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    cell = load_target("sfq").soma(n) if seed % 3 else soma(n)
    model = cell.soma
    assert model is not None
    k = np.where(rng.random(n) < 0.3, -1.0, 0.0)
    henry, ohm = rng.uniform(8e-12, 1.2e-10, n), np.exp(rng.uniform(np.log(0.02), np.log(40), n))
    branches = [Branch(h, r, coupling(h) if x else 0.0)
                for h, r, x in zip(henry.tolist(), ohm.tolist(), k.tolist(), strict=True)]
    bias = float(rng.uniform(0, 1.04 * model.ic_eff_a / model.alpha))
    grid = int(rng.choice([1, 1000]))
    sent = {b: sorted((rng.integers(0, 400_000 // grid, 16) * grid).tolist()) for b in range(n)}
    rows = list(zip(weights(model, branches).tolist(), (decay_times(model, branches) / FS).tolist(), strict=True))
    program, pins, out = one_soma(rows, bias)
    program = dataclasses.replace(program, types=tuple(
        dataclasses.replace(t, soma=model) if t.soma else t for t in program.types))
    got = sfq.drive(program, {pins[b]: t for b, t in sent.items()}, FAR_FS, watch=[out]).samples[0].time_fs
    wanted = np.sort(spike_times(model, branches, bias, [np.array(sent[b]) * FS for b in range(n)])) / FS
    if bias >= model.ic_eff_a / model.alpha:
        assert len(got) == 0
        return
    assert len(got) == len(wanted)
    assert np.abs(got - wanted).max(initial=0) <= 0.51


def test_the_comparison_above_has_spikes() -> None:
    made = 0
    for bias in (60e-6, 100e-6, 140e-6):
        rows = [(60e-6, 6e4)] * 4
        made += len(spikes(rows, {b: list(range(b * 1000, 400_000, 50_000)) for b in range(4)}, bias))
    assert made > 8
