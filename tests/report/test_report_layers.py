"""Costs by layer add up to what was counted, and are right where another way of counting them is at hand."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from report_networks import DIGITS, EXAMPLES, digits, report, wide_run

from hwsdk import backends, compiler
from hwsdk.report.content import Bars, Grid, Table
from hwsdk.report.content_of import content_of
from hwsdk.report.layers_crossbar import drives, phases
from hwsdk.report.layers_loihi import rows, synaptic


def table(content, section: str, title: str) -> Table:
    return next(t for t in content.parts(Table, section) if t.title.startswith(title))


def cost_rows(content) -> dict[str, list[tuple]]:
    found = defaultdict(list)
    for layer, kind, events, energy, how in table(content, "energy", "Cost of each layer").rows:
        found[kind].append((layer, events, energy, how))
    return found


@pytest.mark.parametrize("target", DIGITS)
def test_layers_add_up_to_the_bill(target: str) -> None:
    """Energy and events of all layers are those of the estimate, kind by kind."""
    program, trace, _ = digits(target)
    cost = compiler.estimate(program, trace)
    bill = {i.name: i for i in (*cost.items, *cost.static)}
    found = cost_rows(report(target))
    assert found
    for kind, lines in found.items():
        energies = [e for _, _, e, _ in lines]
        expected = bill[kind].amount().value
        assert (None in energies) == (expected is None), kind
        if expected is not None:
            assert sum(energies) == pytest.approx(expected), kind
        if lines[0][1] is not None:
            assert sum(n for _, n, _, _ in lines) == pytest.approx(bill[kind].count), kind
    told = set(found) | {i.name for i in bill.values() if not i.count}
    words = " ".join(report(target).section("energy").words)
    assert all(name in words for name in set(bill) - told), "what has no layer is named"


def test_unpublished_prices_stay_unknown() -> None:
    """Loihi 2 has no prices of events: the rows hold events and no energy, and no bar is drawn."""
    program, trace, _ = digits("loihi1")
    content = content_of(program, trace, backends.get("loihi1"), cost=_without_prices(program, trace))
    lines = [line for some in cost_rows(content).values() for line in some]
    assert lines and all(energy is None and events for _, events, energy, _ in lines)
    assert content.parts(Bars, "energy") == ()
    assert "not published" in content.to_text()


def _without_prices(program, trace):
    from dataclasses import replace

    cost = compiler.estimate(program, trace)
    return replace(cost, items=tuple(replace(i, price=None) for i in cost.items), static=())


def test_synaptic_operations_do_not_depend_on_the_packing() -> None:
    """Layers on cores of their own are counted core by core; packed together, the same numbers are found."""
    network = compiler.load(EXAMPLES / "digits.nir", dt=1e-3, reset="value")
    _, _, data = digits("loihi1")
    found = {}
    for packing in ("layer", "dense"):
        program = compiler.compile(network, "loihi1", packing=packing, data=data)
        trace = compiler.simulate(program, data)
        operations, how = synaptic(program, trace)
        assert how == "counted"
        found[packing] = dict(zip(rows(program), operations.sum(0), strict=True)), program.n_cores
    assert found["dense"][1] < found["layer"][1]
    assert found["dense"][0] == found["layer"][0]


def test_spikes_of_layers_by_hand() -> None:
    """Synaptic operations of the digits, a spike at a time: fan-out times spikes, the inputs' from the data."""
    program, trace, data = digits("loihi1")
    a = program.arrays
    length = np.diff(a.row_ptr)
    fan = np.zeros(len(a.out_ptr) - 1)
    for axon, source in enumerate(a.axon_source):
        fan[source] += length[a.segment_row[a.segment_ptr[axon] : a.segment_ptr[axon + 1]]].sum()
    inputs = sum(fan[data.inputs["input"].index])
    hidden = program.populations[0]
    second = sum(fan[hidden.first + trace.spikes[hidden.name].index])
    assert synaptic(program, trace)[0].sum(0).tolist() == [inputs, second]


def test_messages_and_hops_of_a_mesh() -> None:
    """Messages between cores are all that cores received; every hop enters one router."""
    _, trace, content = wide_run()
    messages, routers = content.parts(Grid, "traffic")
    received = trace.counts["core_messages"].sum() / trace.n_samples
    assert messages.values.sum() == pytest.approx(received)
    sent = messages.values[[k for k, n in enumerate(messages.rows) if n.startswith("core")]].sum()
    assert sent == pytest.approx(trace.counts["messages"].sum() / trace.n_samples)
    hops = (trace.counts["hops_ew"].sum() + trace.counts["hops_ns"].sum()) / trace.n_samples
    assert hops > 0 and routers.values.sum() == pytest.approx(hops)


def test_kernels_and_private_rows_of_a_wide_network() -> None:
    """Both kinds of synaptic operation add up to what the cores counted."""
    program, trace, _ = wide_run()
    operations, how = synaptic(program, trace)
    assert how == "counted"
    assert operations.sum() == trace.counts["core_synops"].sum()
    assert dict(zip(rows(program), (operations > 0).T.tolist(), strict=True)) == {
        "conv1": [False, True], "conv2": [False, True], "dense": [True, False], "out": [True, False]}


def test_packets_of_pes() -> None:
    _, trace, _ = digits("spinnaker2")
    (packets,) = report("spinnaker2").parts(Grid, "traffic")
    assert packets.values.sum(0).tolist() == pytest.approx((trace.counts["pe_packets"].sum(0) / 3).tolist())
    found = cost_rows(report("spinnaker2"))
    assert {how for _, _, _, how in found["packet sent"] + found["NoC hop"]} == {"counted"}


def test_reads_of_a_crossbar_are_counted() -> None:
    """Conversions by layer follow from spikes and the number of channels, and add up to the simulator's count."""
    program, trace, data = digits("memristor")
    found = cost_rows(report("memristor"))
    conversions = {layer: n for layer, n, _, _ in next(v for k, v in found.items() if k.startswith("ADC"))}
    steps = len(np.unique(np.stack([data.inputs["input"].sample, data.inputs["input"].step]), axis=1).T)
    first = next(b for b in program.blocks if b.target == "lif1")
    assert conversions["lif1"] == pytest.approx(first.channels * steps / 3)
    assert all(how == "counted" for kind in found for *_, how in found[kind])
    (driven,) = report("memristor").parts(Grid, "traffic")
    assert driven.values.sum() == pytest.approx(trace.counts["row_drives"].sum() / 3)


def test_driven_rows_step_by_step() -> None:
    """Those of populations, as they follow from spikes, and those of the input, from the data, are what was counted."""
    program, trace, data = digits("memristor")
    steps = trace.n_samples * trace.n_steps
    driven = sum(drives(program, trace, b).sum(0) * phases(b) for b in program.blocks)
    (first,) = (b for b in program.blocks if b.segments[0].source == "input")
    events = data.inputs["input"]
    cell = events.sample.astype(int) * trace.n_steps + events.step + first.segments[0].delay_ticks
    assert driven.any()
    assert (driven + np.bincount(cell, minlength=steps) * phases(first) == trace.counts["row_drives"].ravel()).all()


def test_junctions_and_bias_of_a_netlist() -> None:
    program, _, _ = digits("sfq")
    (junctions,) = report("sfq").parts(Grid, "placement")
    assert junctions.values.sum() == program.junctions
    (nets,) = report("sfq").parts(Grid, "traffic")
    assert nets.values.sum() == program.n_nets
    assert {how for lines in cost_rows(report("sfq")).values() for *_, how in lines} == {"by bias current"}
