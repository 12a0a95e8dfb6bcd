"""Counted events times published prices."""

from __future__ import annotations

import numpy as np
import pytest
from random_networks import random_network, random_stimulus

import hwsdk
from hwsdk.cost import Amount, Item, price_counts, si, total
from hwsdk.errors import DataError, TargetError
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.quantity import Quantity
from hwsdk.targets import load_target


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
    report = hwsdk.estimate(program, trace)
    c = {k: v.sum() / trace.n_samples for k, v in trace.counts.items()}
    expected = ((51.2 + 21.6) * c["neuron_updates"] + 69.3 * c["spikes"] + 111 * c["messages"]
                + 35.5 * c["synaptic_operations"] + 3.0 * c["hops_ew"] + 4.2 * c["hops_ns"]) * 1e-12
    assert report.energy_dynamic.value == pytest.approx(expected, rel=1e-12)
    assert not report.energy_dynamic.missing
    assert report.energy_dynamic.low < expected < report.energy_dynamic.high


def test_loihi2_says_that_its_energy_is_not_published(ran):
    report = hwsdk.estimate(*ran["loihi2"])
    assert report.energy_dynamic.value is None
    assert "synaptic operation" in report.energy_dynamic.missing
    assert report.energy_total.is_lower_bound
    assert report.energy_total.value == pytest.approx(0.281775 * report.latency.value)
    assert "not published" in report.to_text()


def test_the_proxy_is_used_only_when_named(ran):
    report = hwsdk.estimate(*ran["loihi2"], proxy="loihi1-energy")
    assert report.energy_dynamic.value > 0
    assert "PROXY" in report.to_text()
    with pytest.raises(TargetError, match=r"^\[NO_PROXY\]"):
        hwsdk.estimate(*ran["loihi1"], proxy="loihi1-energy")


def test_latency_is_the_slowest_term_of_every_step(ran):
    program, trace = ran["loihi1"]
    report = hwsdk.estimate(program, trace)
    t = load_target("loihi1").timing
    fullest = np.diff(program.arrays.neuron_ptr).max()
    terms = np.stack([trace.counts["peak_core_synops"] * t.synaptic_operation.value,
                      np.full(trace.counts["spikes"].shape, fullest * t.neuron_update.value),
                      trace.counts["peak_link"] * t.message.value,
                      np.full(trace.counts["spikes"].shape, t.barrier.value)])
    np.testing.assert_allclose(report.latency_samples, terms.max(0).sum(1))
    assert sum(report.slowest.values()) == pytest.approx(1)


def test_boundary_and_sources_are_part_of_the_report(ran):
    body = hwsdk.estimate(*ran["loihi1"]).to_dict()
    assert body["boundary"]["omitted"]
    assert all(c["source"] for c in body["constants"])


def test_a_trace_without_counts_is_refused(ran):
    program, trace = ran["loihi1"]
    with pytest.raises(DataError, match=r"^\[NO_COUNTS\]"):
        hwsdk.estimate(program, Trace(1, 1, trace.spikes))


def test_every_price_counts_something_that_the_simulator_counts(ran):
    for name, (_, trace) in ran.items():
        assert {p.per for p in load_target(name).energy} <= set(trace.counts)


def test_price_counts_takes_missing_counts_as_zero():
    assert total(price_counts({"spikes": 2}, load_target("loihi1"))).value == pytest.approx(2 * 69.3e-12)
