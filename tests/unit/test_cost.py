"""Counted events times published prices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network, random_stimulus

import hwsdk
from hwsdk.backends import loihi_cost
from hwsdk.backends.loihi_cost import Term, latency
from hwsdk.cost import Amount, Item, Run, price_counts, report, si, total
from hwsdk.errors import DataError, TargetError
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.quantity import Quantity
from hwsdk.targets import load_target
from hwsdk.targets.description import Figure
from hwsdk.targets.loihi import Barrier


def test_an_unknown_price_makes_a_lower_bound():
    known = Item("a", "spikes", 10, Quantity(2.0, "J", "here", low=1.0, high=3.0))
    unknown = Item("b", "spikes", 1, None)
    amount = total([known, unknown])
    assert (amount.value, amount.low, amount.high, amount.missing) == (20.0, 10.0, 30.0, ("b",))
    assert "at least; not published: b" in str(amount)


def test_no_events_cost_nothing_even_at_an_unknown_price():
    assert total([Item("a", "spikes", 0, None)]) == Amount(0.0, 0.0, 0.0, "J")


def test_only_unknown_prices_give_an_unknown_sum():
    amount = total([Item("a", "spikes", 5, None)])
    assert amount.value is None
    assert str(amount) == "unknown (not published: a)"


@pytest.mark.parametrize(("value", "text"), [(1.0, "1 J"), (190.873e-6, "190.9 uJ"), (2.5e-12, "2.5 pJ"), (0.0, "0 J"),
                                             (0.99996, "1 J")])
def test_si(value, text):
    assert si(value, "J") == text


@pytest.fixture(scope="module")
def ran():
    network = random_network(5, Semantics())
    found = {}
    for target in ("loihi1", "loihi2"):
        program = hwsdk.compile(network, target)
        found[target] = program, hwsdk.simulate(program, random_stimulus(network, 5))
    return found


def test_loihi1_is_the_closed_form(ran):
    """facts: 51.2 p and 21.6 p an update, 69.3 p a spike, 111 p a message, 35.5 p an event, hops (SANA-FE 2.2.9)."""
    program, trace = ran["loihi1"]
    found = hwsdk.estimate(program, trace)
    c = {k: v.sum() / trace.n_samples for k, v in trace.counts.items()}
    private, shared, mixed = loihi_cost.synaptic_operations(program, trace)
    assert not mixed
    assert private + shared == trace.counts["synaptic_operations"].sum()
    expected = ((51.2 + 21.6) * c["neuron_updates"] + 69.3 * c["spikes"] + 111 * c["messages"]
                + (35.5 * private + 24.0 * shared) / trace.n_samples + 3.0 * c["hops_ew"] + 4.2 * c["hops_ns"]) * 1e-12
    assert found.energy_dynamic.value == pytest.approx(expected, rel=1e-12)
    assert not found.energy_dynamic.missing
    assert found.energy_dynamic.low < expected < found.energy_dynamic.high


def test_static_power_has_two_readings(ran):
    program, trace = ran["loihi1"]
    found = hwsdk.estimate(program, trace)
    assert found.energy_static.value == pytest.approx(0.1044 * found.latency.value)
    assert found.energy_used.value == pytest.approx(0.45e-3 * program.n_cores * found.latency.value)
    assert found.energy_total.value == pytest.approx(found.energy_static.value + found.energy_dynamic.value)


def test_loihi2_says_that_its_energy_is_not_published(ran):
    found = hwsdk.estimate(*ran["loihi2"])
    assert found.energy_dynamic.value is None
    assert {"neuron update", "spike message"} <= set(found.energy_dynamic.missing)
    assert any(m.startswith("synaptic operation") for m in found.energy_dynamic.missing)
    assert found.energy_used.value is None
    assert found.energy_total.is_lower_bound
    assert found.energy_total.value == pytest.approx(0.281775 * found.latency.value)
    assert "not published" in found.to_text()


def test_the_proxy_is_used_only_when_named(ran):
    report = hwsdk.estimate(*ran["loihi2"], proxy="loihi1-energy")
    assert report.energy_dynamic.value > 0
    assert "PROXY" in report.to_text()
    with pytest.raises(TargetError, match=r"^\[NO_PROXY\]"):
        hwsdk.estimate(*ran["loihi1"], proxy="loihi1-energy")


TWO_STEPS = ((3.0, "a"), (2.0, "a"), (4.0, "b"), (1.0, ""))
"""Seconds of each term in the first step, and its phase; twice as long in the second step."""


def priced(model: str):
    """The report of those terms; every figure has half and double its value as its ends."""
    figure = Figure(value=1.0, low=0.5, high=2.0, unit="s", source="here")
    terms = [Term(f"t{k}", np.array([[seconds, 2 * seconds]]), figure, phase)
             for k, (seconds, phase) in enumerate(TWO_STEPS)]
    return report(load_target("loihi1"), Run(1, 2, {}, latency(terms, model), 1, 1, 0))


def test_phases_run_side_by_side_and_the_barrier_comes_after():
    found = priced("phases")
    assert found.latency.value == 3 * (max(3 + 2, 4) + 1)
    assert found.latency_samples.tolist() == [18.0]
    assert found.slowest == {"t0": 0.0, "t1": 0.0, "t2": 1.0, "t3": 0.0}


def test_the_other_model_takes_the_longest_term():
    assert priced("max").latency.value == 3 * 4


@pytest.mark.parametrize("model", ["max", "phases"])
def test_the_range_reaches_from_the_longest_term_to_their_sum(model):
    found = priced(model).latency
    assert (found.low, found.high) == (3 * 4 * 0.5, 3 * 10 * 2.0)


def test_a_term_without_a_figure_makes_latency_a_lower_bound():
    terms = [Term("known", np.ones((1, 1)), Figure(value=1.0, unit="s", source="here"), "a"),
             Term("not known", np.ones((1, 1)), Figure(unit="s", source="not published"), "b")]
    found = report(load_target("loihi2"), Run(1, 1, {}, latency(terms, "max"), 1, 1, 0))
    assert found.latency.missing == ("not known",)


def test_a_step_on_loihi1_is_its_longer_phase_and_the_barrier(ran):
    program, trace = ran["loihi1"]
    t = load_target("loihi1").timing
    _, shared, _ = loihi_cost.synaptic_operations(program, trace)
    share = shared / trace.counts["synaptic_operations"].sum()
    a, n_inputs = program.arrays, sum(s.n for s in program.inputs)
    shape = (trace.n_samples, trace.n_steps, program.n_cores)
    neurons = np.broadcast_to(np.diff(a.neuron_ptr) * t.neuron_update.value, shape).copy()
    home = dict(zip(a.source_id.tolist(), program.core_of().tolist(), strict=True))
    for s in program.populations:
        e = trace.spikes[s.name]
        for sample, step, index in zip(e.sample, e.step, e.index, strict=True) if s.fires else ():
            fan = a.out_ptr[s.first + index + 1] - a.out_ptr[s.first + index]
            neurons[sample, step, home[int(s.first + index)]] += t.spike.value + fan * t.message_out.value
    each = (1 - share) * t.synaptic_operation.value + share * t.shared_synaptic_operation.value
    synapses = trace.counts["peak_core_synops"] * each + trace.counts["peak_core_messages"] * t.message_in.value
    steps = np.maximum(np.maximum(neurons.max(-1), synapses), trace.counts["peak_link"] * t.message.value)
    barrier = loihi_cost.barrier(program, load_target("loihi1")).value
    found = hwsdk.estimate(program, trace)
    assert n_inputs and a.row_ptr[-1]
    np.testing.assert_allclose(found.latency_samples, (steps + barrier).sum(1))
    assert sum(found.slowest.values()) == pytest.approx(1)


def test_a_step_on_loihi2_is_its_longest_term(ran):
    program, trace = ran["loihi2"]
    t = load_target("loihi2").timing
    fullest = np.diff(program.arrays.neuron_ptr).max()
    longest = np.maximum(np.maximum(trace.counts["peak_core_synops"] * t.synaptic_operation.value,
                                    fullest * t.neuron_update.value), 10e-6)
    np.testing.assert_allclose(hwsdk.estimate(program, trace).latency_samples, longest.sum(1))


POINTS = [(1.0, Barrier(value=0.6, low=0.1, unit="s", source="one")),
          (4.0, Barrier(value=1.2, unit="s", source="four")),
          (8.0, Barrier(unit="s", source="not published"))]


@pytest.mark.parametrize(("size", "value", "low", "high"), [
    (1.0, 0.6, 0.1, 0.6), (3.0, 1.0, 0.1, 1.2), (4.0, 1.2, 1.2, 1.2), (0.5, 0.6, 0.1, 0.6)])
def test_barriers_between_published_ones_are_interpolated(size, value, low, high):
    found = loihi_cost.between(POINTS, size)
    assert (found.value, found.low, found.high) == (pytest.approx(value), low, high)


def test_an_unpublished_barrier_stays_unknown():
    assert loihi_cost.between(POINTS, 6.0).value is None
    assert loihi_cost.between(POINTS, 9.0).value is None


def test_barriers_of_one_chip_and_of_many(ran):
    program, target = ran["loihi1"][0], load_target("loihi1")
    assert loihi_cost.barrier(program, target).value == 0.6e-6
    boards = {n: loihi_cost.barrier(replace(program, chips=n), target).value for n in (32, 256, 768, 4096)}
    assert boards == {32: 5.8e-6, 256: 14.3e-6, 768: 16.2e-6, 4096: 16.2e-6}
    assert 1.8e-6 < loihi_cost.barrier(replace(program, chips=16), target).value < 5.8e-6
    assert loihi_cost.barrier(replace(program, chips=2), load_target("loihi2")).value is None


def test_the_host_comes_in_only_when_asked_for(ran):
    program, trace = ran["loihi1"]
    chip, host = (hwsdk.estimate(program, trace, boundary=b) for b in ("chip", "host"))
    figures = {h.per: h.value for h in load_target("loihi1").host}
    added = figures["inference"] + figures["step"] * trace.n_steps
    assert host.latency_chip.value == chip.latency.value
    assert host.latency.value == pytest.approx(chip.latency.value + added)
    np.testing.assert_allclose(host.latency_samples, chip.latency_samples + added)
    x86 = figures["whole"] * host.latency.value + figures["active"] * added
    assert host.energy_host.value == pytest.approx(x86)
    assert host.energy_total.value == pytest.approx(host.energy_dynamic.value + 0.1044 * host.latency.value + x86)
    assert host.energy_dynamic == chip.energy_dynamic
    assert "x86 management processors" in chip.omitted
    assert not any(text.startswith("x86") for text in host.omitted)
    assert "boundary" in host.to_dict() and "host" in host.to_text().splitlines()[0]


def test_input_values_take_time_on_loihi2(ran):
    program, trace = ran["loihi2"]
    host = hwsdk.estimate(program, trace, boundary="host")
    values = sum(s.n for s in program.inputs) * trace.n_steps
    assert host.latency.value == pytest.approx(host.latency_chip.value + 1.5e-6 * values)
    assert host.energy_host.value is None
    assert "host power" in host.energy_total.missing


def test_a_boundary_that_nobody_knows_is_refused(ran):
    with pytest.raises(TargetError, match=r"^\[BAD_BOUNDARY\]"):
        hwsdk.estimate(*ran["loihi1"], boundary="board")
    bare = load_target("loihi1").model_copy(update={"host": []})
    with pytest.raises(TargetError, match=r"^\[NO_HOST\]"):
        loihi_cost.estimate(*ran["loihi1"], bare, boundary="host")


@pytest.mark.parametrize("change", ["messages", "hops_ew", "hops_ns", "cores", "population"])
def test_a_trace_of_another_program_is_refused(ran, change):
    program, trace = ran["loihi1"]
    counts = dict(trace.counts)
    if change in counts:
        counts[change] = counts[change] + 1
    if change == "cores":
        counts["core_synops"] = np.repeat(counts["core_synops"], 2, axis=1)
    spikes = {} if change == "population" else trace.spikes
    with pytest.raises(DataError, match=r"^\[WRONG_TRACE\]") as caught:
        hwsdk.estimate(program, replace(trace, counts=counts, spikes=spikes))
    told = {"messages": "messages here", "hops_ew": "hops east-west here", "hops_ns": "hops north-south here",
            "cores": "cores", "population": "no population"}
    assert told[change] in str(caught.value)


def test_boundary_and_sources_are_part_of_the_report(ran):
    body = hwsdk.estimate(*ran["loihi1"]).to_dict()
    assert body["boundary"]["omitted"]
    assert all(c["source"] for c in body["constants"])


def test_a_trace_without_counts_is_refused(ran):
    program, trace = ran["loihi1"]
    with pytest.raises(DataError, match=r"^\[NO_COUNTS\]"):
        hwsdk.estimate(program, Trace(1, 1, trace.spikes))


def test_every_price_is_for_something_that_is_counted(ran):
    for name, (program, trace) in ran.items():
        counts = {i.per: i.count for i in hwsdk.estimate(program, trace).items}
        assert {p.per for p in load_target(name).energy} == set(counts)
        assert counts["private_synaptic_operations"] + counts["shared_synaptic_operations"] > 0


def test_price_counts_takes_missing_counts_as_zero():
    assert total(price_counts({"spikes": 2}, load_target("loihi1"))).value == pytest.approx(2 * 69.3e-12)
