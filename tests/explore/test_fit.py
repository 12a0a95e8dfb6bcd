"""fit: edits are exact where they claim it, everything told was compiled and run, and no is said when it is no."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_designs import digits, pulses

from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import FitError, HwsdkError, TargetError, Violation
from hwsdk.explore.edits import Design, edits_for, prune, split
from hwsdk.explore.fit import MET, MISSED, OPEN, FitReport, Goals, fit
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import LIF
from hwsdk.ir.nodes import Input, Linear, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import reference


def network(inputs: int = 6, hidden: int = 7, seed: int = 0) -> Network:
    """A recurrent layer and a layer that is read."""
    rng = np.random.default_rng(seed)

    def cells(n: int) -> LIF:
        return LIF(rng.uniform(4e-3, 8e-3, n), np.ones(n), np.zeros(n), rng.uniform(0.5, 1, n), np.zeros(n))

    nodes = {"input": Input((inputs,)), "in": Linear(rng.normal(1, 2, (hidden, inputs)), rng.normal(0, 0.3, hidden)),
             "hidden": cells(hidden), "back": Linear(rng.normal(0, 1, (hidden, hidden)), rng.normal(0, 0.1, hidden)),
             "out": Linear(rng.normal(0.5, 1, (3, hidden))), "read": cells(3), "output": Output((3,))}
    edges = (Edge("input", "in"), Edge("in", "hidden"), Edge("hidden", "back"), Edge("back", "hidden", 1),
             Edge("hidden", "out"), Edge("out", "read"), Edge("read", "output"))
    return Network("small", nodes, edges, Semantics(dt=1e-3))


def data(inputs: int = 6, samples: int = 3) -> Stimulus:
    rng = np.random.default_rng(1)
    return Stimulus.dense((rng.random((samples, 30, inputs)) < 0.4).astype(float), {"input": (inputs,)})


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_a_split_population_computes_the_same(parts: int) -> None:
    whole = network()
    cut = split(whole, "hidden", parts)
    assert cut is not None and cut.n_neurons == whole.n_neurons
    assert sum(n.startswith("hidden.") for n in cut.populations) == parts
    before, after = reference.run(whole, data()), reference.run(cut, data())
    assert before.spikes["read"].dense().any()
    assert np.array_equal(before.spikes["read"].dense(), after.spikes["read"].dense())
    inside = np.concatenate([after.spikes[f"hidden.{k}"].dense() for k in range(parts)], axis=2)
    assert np.array_equal(before.spikes["hidden"].dense(), inside)


def test_what_an_output_reads_is_not_split() -> None:
    assert split(network(), "read", 2) is None
    assert split(network(hidden=2), "hidden", 3) is None


def test_pruning_takes_the_smallest_of_each_layer() -> None:
    whole = network()
    cut = prune(whole, 0.5)
    for name in ("in", "back", "out"):
        old, new = (np.abs(n.nodes[name].weight) for n in (whole, cut))  # type: ignore[attr-defined]
        assert (new == 0).sum() == round(0.5 * old.size)
        assert old[new == 0].max() <= new[new > 0].min()
    assert np.array_equal(cut.nodes["in"].bias, whole.nodes["in"].bias)  # type: ignore[attr-defined]
    only = prune(whole, 0.5, ("in",))
    assert only.nodes["back"] is whole.nodes["back"] and only.nodes["in"] is not whole.nodes["in"]
    assert prune(whole, 0.0) is whole


def test_what_a_refusal_proposes_becomes_edits() -> None:
    refusal = FitError("no", violations=(Violation("axons_in", "hidden, neuron 3", 9, 4, "axons"),), proposals=(
        "use 6-bit weights (--bits 6) and check the accuracy", "use 3 chips (--chips 3)",
        "put small layers together (--packing dense)", "take 2 times as long for a step (--step-time 0.002)",
        "remember 64 post spikes a neuron (--option history=64)", "use one scale a layer (without --per-channel)"))
    edits = edits_for("loihi2", Design(network(), CompileOptions(per_channel=True)), 30, refusal, budget=False)
    by = {(e.name, e.value) for e in edits}
    assert by >= {("bits", 6), ("chips", 3), ("packing", "dense"), ("step_time", 0.002), ("option.history", "64"),
                  ("per_channel", False), ("split.hidden", 2), ("prune.back+in", 0.5), ("prune", 0.5)}
    assert not by & {("chips", 2), ("packing", "spread"), ("steps", 15), ("split.read", 2)}  # no remedy for axons
    assert [e.cost for e in edits] == sorted(e.cost for e in edits)


def test_nothing_is_changed_where_all_is_well() -> None:
    report = fit(digits()[0], "loihi2", digits()[1])
    assert report.ok and report.base.ok and len(report.tried) == 1
    assert "nothing needs to be changed" in report.to_text()


def check(report: FitReport) -> None:
    """All that is told stands when it is compiled and run anew."""
    backend = backends.get(report.target)
    for c in report.working:
        program = backend.compile(c.design.network, c.design.options, lambda _: None)
        assert program.digest() == c.result.digest and not backend.legality(program)
        assert set(c.states.values()) <= {MET}
    losses = [(-(c.result.accuracy or 0), -(c.result.agreement or 0)) for c in report.working]
    assert losses == sorted(losses)


def test_more_inputs_than_a_core_takes() -> None:
    """A neuron of loihi1 takes 4,096 axons; pruned, this one fits."""
    wide = network(inputs=4400, hidden=3)
    report = fit(wide, "loihi1", data(4400, 1), tries=12)
    assert report.base.result.code == "DOES_NOT_FIT" and "axons_in" in report.base.result.reason
    assert report.ok and report.best is not None and report.best.edits[0].kind == "prune"
    assert report.best.result.amounts["latency"].value
    check(report)


def test_a_latency_that_takes_two_edits() -> None:
    net, stimulus = digits(6)
    report = fit(net, "memristor", stimulus, goals=Goals(latency=1.3e-6, quality=0.3), tries=90)
    assert report.ok and report.nearest is None
    assert max(len(c.edits) for c in report.working) >= 2
    assert all((c.result.amounts["latency"].value or 1) <= 1.3e-6 for c in report.working)
    check(report)


def test_a_lower_bound_does_not_meet_a_budget_unless_it_may() -> None:
    net, stimulus = digits()
    report = fit(net, "loihi2", stimulus, goals=Goals(energy=1.0), tries=5)
    assert not report.ok and report.base.states == {"energy": OPEN} and report.open
    assert "no edit makes a price known" in report.to_text()
    assert fit(net, "loihi2", stimulus, goals=Goals(energy=1.0, published=True)).base.ok
    assert fit(net, "loihi2", stimulus, goals=Goals(energy=1e-9), tries=1).base.states == {"energy": MISSED}


def test_nothing_works_and_the_nearest_is_told() -> None:
    net, stimulus = pulses()
    report = fit(net, "sfq", stimulus, options=CompileOptions(bits=4), goals=Goals(latency=1e-12), tries=12)
    assert not report.ok and report.best is None and report.nearest is not None
    assert report.nearest.distance == min(c.distance for c in report.tried) < report.base.distance
    text = report.to_text()
    assert "nothing was found that is known to work" in text and "asked for 1 ps or less" in text
    assert "stopped after 12 tries" in text


def test_a_chip_that_cannot_run_it_at_all() -> None:
    report = fit(digits()[0], "sfq", digits()[1], tries=4)
    assert report.base.result.code == "LOOP_FAN_IN" and not report.ok
    assert "nothing came nearer than the model as it was given" in report.to_text()


def test_a_candidate_is_compared_with_the_model_as_it_was_given() -> None:
    net, stimulus = digits(6)
    report = fit(net, "loihi2", stimulus, goals=Goals(quality=1.0, latency=1e-5), tries=40)
    silent = next(c for c in report.tried if [(e.name, e.value) for e in c.edits] == [("prune", 0.9)])
    assert silent.result.similarity is not None and silent.result.similarity < report.base.result.similarity  # type: ignore[operator]


def test_more_bits_where_accuracy_is_asked_for() -> None:
    net, stimulus = digits(10)
    coarse = CompileOptions(bits=2)
    report = fit(net, "loihi2", stimulus, options=coarse, goals=Goals(quality=0.95), tries=60)
    assert report.base.states == {"accuracy": MISSED} and report.best is not None
    assert report.best.design.options.bits > 2 and (report.best.result.accuracy or 0) >= 0.95


def test_bad_goals_and_targets() -> None:
    with pytest.raises(HwsdkError, match=r"BAD_BUDGET"):
        Goals(energy=-1.0)
    with pytest.raises(HwsdkError, match=r"BAD_BUDGET"):
        Goals(quality=1.5)
    with pytest.raises(TargetError, match=r"UNKNOWN_TARGET"):
        fit(digits()[0], "loihi3", digits()[1])


def test_a_report_is_plain_values() -> None:
    report = fit(digits()[0], "loihi2", digits()[1], goals=Goals(latency=2e-4), tries=20)
    plain = report.to_dict()
    assert plain["needed"] and plain["tried"] == len(report.tried)
    assert [e["name"] for e in plain["working"][0]["edits"]] == [e.name for e in report.working[0].edits]
    assert dataclasses.asdict(report.goals)["latency"] == plain["goals"]["latency"]
