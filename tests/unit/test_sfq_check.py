"""The check of netlists against their networks: what is right passes, and any one thing that is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pulse_loops import loops, netlist
from pulse_networks import pulse_network

from hwsdk.errors import InternalError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import IF, LIF, DiscreteLIF, Threshold
from hwsdk.ir.nodes import Synapses
from hwsdk.ir.semantics import Semantics
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.quantize_pulse import QuantizePulse, choose_styles
from hwsdk.mappers.sfq import MapOptions, map_network
from hwsdk.mappers.sfq_check import check
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import reference
from hwsdk.simulators import sfq as simulator
from hwsdk.targets import load_target

TARGET = load_target("sfq")
FRAME = 200_000
WEIGHTS = [[2, -1, 0, 3], [0, 5, -4, 1], [1, 1, 1, -6]]


def whole(kind: str = "memoryless", delays: Any = 1) -> Network:
    """4 inputs, 3 and 2 neurons in whole numbers."""
    sem = Semantics(reset="value" if kind == "value" else "subtract")

    def cell(n: int, theta: float) -> Any:
        return neuron(Threshold, n, threshold=theta) if kind == "memoryless" else neuron(IF, n, v_threshold=theta)
    b = NetworkBuilder().input("in", 4).population("h", cell(3, 2.0)).population("o", cell(2, 1.0))
    b.connect("in", "h", weight=WEIGHTS, delay_ticks=delays).connect("h", "o", weight=[[1, -2, 1], [2, 0, 1]])
    net = Lower()(b.output("y", "o").build(sem))
    return QuantizePulse(choose_styles(net))(net)[0]


def mapped(net: Network, **options: Any) -> PulseNetlist:
    return map_network(net, TARGET, MapOptions(choose_styles(net), **options))


def refused(net: Network, program: PulseNetlist) -> str:
    with pytest.raises(InternalError) as error:
        check(net, program)
    return str(error.value)


def changed(program: PulseNetlist, **arrays: Any) -> PulseNetlist:
    return replace(program, arrays=replace(program.arrays, **arrays))


def swapped(program: PulseNetlist, first: int, second: int) -> PulseNetlist:
    """Two nets that end at each other's pins."""
    cell, pin = program.arrays.to_cell.copy(), program.arrays.to_pin.copy()
    for x in (cell, pin):
        x[[first, second]] = x[[second, first]]
    return changed(program, to_cell=cell, to_pin=pin)


def nets_to(program: PulseNetlist, kind: str, pin: int = 0) -> Any:
    a = program.arrays
    kinds = np.array([t.name for t in program.types])
    return np.flatnonzero((kinds[a.cell_type[a.to_cell]] == kind) & (a.to_pin == pin))


@pytest.mark.parametrize("weights", ["train", "binary"])
@pytest.mark.parametrize("kind", ["memoryless", "subtract", "value"])
def test_what_is_right_passes(kind: str, weights: str) -> None:
    for delays in (1, 3):
        net = whole(kind, delays)
        check(net, mapped(net, weights=weights))


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_pass(seed: int) -> None:
    net = Lower()(pulse_network(seed))
    net = QuantizePulse(choose_styles(net), bits=4)(net)[0]
    for options in ({"weights": "train"}, {"weights": "binary", "wires": "ptl"}):
        check(net, mapped(net, **options))


@pytest.mark.parametrize("kind", ["memoryless", "subtract", "value"])
@pytest.mark.parametrize("what", ["weight", "sign", "source", "delay", "lost"])
def test_any_synapse_that_is_wrong_is_named(kind: str, what: str) -> None:
    net = whole(kind, 2)
    program, s = mapped(net), net.nodes["in->h"]
    assert isinstance(s, Synapses)
    for k in range(len(s.weight)):
        one = np.arange(len(s.weight)) == k
        edited = {"weight": {"weight": s.weight + one}, "sign": {"weight": np.where(one, -s.weight, s.weight)},
                  "source": {"source": np.where(one, (s.source + 1) % 4, s.source)},
                  "delay": {"delay_ticks": s.delay_ticks + one}, "lost": {"weight": np.where(one, 0, s.weight)}}[what]
        said = refused(net.replace(nodes={**net.nodes, "in->h": replace(s, **edited)}), program)
        ends = {f"in[{i}] -> h[{s.target[k]}]" for i in range(4)} if what == "source" else {
            f"in[{s.source[k]}] -> h[{s.target[k]}]"}
        assert any(f"the synapse {e} of delay" in said for e in ends)
        assert what != "weight" or s.weight[k] == -1 or f"weighs {s.weight[k]:g} in the netlist, not " in said
        assert what != "weight" or said.startswith("line_")


@pytest.mark.parametrize(("kind", "fields"), [("memoryless", ("bias", "v_threshold")), ("value", ("bias", "v_init")),
                                              ("subtract", ("bias", "v_init", "reset_by"))])
def test_any_constant_that_is_wrong_is_named(kind: str, fields: tuple[str, ...]) -> None:
    net = whole(kind)
    program, cell = mapped(net), net.nodes["h"]
    assert isinstance(cell, DiscreteLIF)
    for field in fields:
        for i in range(3):
            edited = replace(cell, **{field: getattr(cell, field) + (np.arange(3) == i)})
            assert f"h[{i}]" in refused(net.replace(nodes={**net.nodes, "h": edited}), program)


def test_v_zero_is_checked() -> None:
    net = whole()
    program = mapped(net)
    zero = program.arrays.v_zero.copy()
    zero[1] += 1
    assert "the threshold of h[1]" in refused(net, changed(program, v_zero=zero))


def test_a_missing_input_of_a_merger_is_named() -> None:
    """Its pulse ends in a sink, and an idle branch of a tree comes in its place."""
    net = whole()
    program = mapped(net)
    a = program.arrays
    part = np.array(program.parts)[a.cell_part]
    merges = [n for n in nets_to(program, "MERGE") if part[a.to_cell[n]] == "fanin"]
    sinks = [n for n in nets_to(program, "SINK") if part[a.from_cell[n]] == "fanout"]
    assert merges and sinks
    kinds = np.array([t.name for t in program.types])[a.cell_type]
    for n in merges:
        if kinds[a.from_cell[n]] != "SPLIT":  # its own sibling could be the idle branch
            assert "the synapse" in refused(net, swapped(program, int(n), int(sinks[0])))
    assert any(kinds[a.from_cell[n]] != "SPLIT" for n in merges)


def test_a_line_that_is_clocked_at_another_time_has_another_delay() -> None:
    net = whole(delays=2)
    program = mapped(net)
    a = program.arrays
    offset = a.frame_offset_fs + program.schedule.frame_fs // 2
    late = replace(program, schedule=replace(program.schedule, input_offset_fs=0))
    assert "of delay" in refused(net, late) or "not counted" in refused(net, late)
    assert refused(net, changed(program, frame_offset_fs=offset))


def test_pins_ports_and_rings() -> None:
    net = whole()
    program = mapped(net)
    a = program.arrays
    to = a.to_cell.copy()
    to[5] = to[6]
    pin = a.to_pin.copy()
    pin[5] = pin[6]
    assert "nets, not one" in refused(net, changed(program, to_cell=to, to_pin=pin))
    assert "the netlist's layers are" in refused(net, replace(program, layers=program.layers[::-1]))
    assert "lags by 7" in refused(net, replace(program, layers=(replace(program.layers[0], lag=7), program.layers[1])))
    assert "the output y reads" in refused(net, replace(program, outputs={"y": ("h",)}))
    assert "SFQDC" in refused(net, swapped(program, *_read_out_and_sink(program)))
    jtl = nets_to(program, "JTL")
    ring = next(n for n in jtl if np.isin(a.to_cell[n], a.from_cell[jtl]))
    behind = int(program.driven[program.output_base[a.to_cell[ring]]])
    assert "ring" in refused(net, swapped(program, int(ring), behind))


def _read_out_and_sink(program: PulseNetlist) -> tuple[int, int]:
    return int(nets_to(program, "SFQDC")[0]), int(nets_to(program, "SINK")[0])


def test_most_swaps_are_found_and_the_rest_spike_as_before_but_for_their_timing() -> None:
    rng, found, total = np.random.default_rng(0), 0, 0
    for seed in range(4):
        net = Lower()(pulse_network(seed))
        net = QuantizePulse(choose_styles(net), bits=3)(net)[0]
        program = mapped(net)
        x = {k: (rng.random((1, 40, *i.shape)) < 0.5).astype(float) for k, i in net.inputs.items()}
        stimulus = Stimulus.dense(x, {k: i.shape for k, i in net.inputs.items()})
        expected = reference.run(net, stimulus)
        for _ in range(30):
            wrong = swapped(program, *rng.choice(program.n_nets, 2, replace=False).tolist())
            total += 1
            try:
                check(net, wrong)
            except InternalError:
                found += 1
                continue
            run = simulator.run(wrong, stimulus)
            assert expected.first_difference(run) is None or run.counts["absorbed"].any() or run.counts["timing"].any()
    assert found >= 0.95 * total


def loop_network() -> Network:
    b = NetworkBuilder().input("in", 3).population("h", neuron(LIF, 2, tau=2.0, v_threshold=1.0))
    b.connect("in", "h", weight=[[0.8, -0.4, 0.6], [0.5, 0.7, 0.9]])
    return Lower()(b.output("y", "h").build(Semantics(integrator="exponential_unit_gain", reset="subtract")))


def test_loops_pass_and_any_part_that_is_wrong_is_named() -> None:
    net, report = loops(loop_network(), FRAME)
    program, _ = netlist(net, report, FRAME)
    check(net, program)
    a = program.arrays
    for field, says in (("branch_a", "the synapse in["), ("branch_l_h", "comes to"), ("branch_r_ohm", "decay time"),
                        ("branch_tau_fs", ""), ("soma_bias_a", "its threshold is")):
        values = getattr(a, field).copy()
        values[1] *= 1.01
        said = refused(net, changed(program, **{field: values}))
        assert says in said and "soma_soma" in said, field
    k, direct = a.branch_k.copy(), a.branch_k == 0
    k[direct] = -0.5
    assert "comes to -" in refused(net, changed(program, branch_k=k)), "it would inhibit"
    k = np.where(direct, 0.0, a.branch_k * 1.01)
    assert "the coupling of the branch from in[1] comes to" in refused(net, changed(program, branch_k=k))
    assert "its decay is" in refused(net, replace(program, schedule=replace(program.schedule, frame_fs=FRAME + 1000)))


def test_swapped_branches_are_named() -> None:
    net, report = loops(loop_network(), FRAME)
    program, _ = netlist(net, report, FRAME)
    a, d = program.arrays, report.designs["h"]
    into = np.flatnonzero(np.isin(a.to_cell, a.soma_cell))
    branch = a.branch_ptr[np.searchsorted(a.soma_cell, a.to_cell[into])] + a.to_pin[into]
    others = into[(d.source != d.source[branch[0]])[branch]]
    assert len(others)
    for n in others:
        assert "the synapse in[" in refused(net, swapped(program, int(into[0]), int(n)))


def test_a_network_of_other_constants_is_refused_by_its_somas() -> None:
    net, report = loops(loop_network(), FRAME)
    program, _ = netlist(net, report, FRAME)
    cell = net.nodes["h"]
    assert isinstance(cell, DiscreteLIF)
    for edited, says in ((replace(cell, reset_by=cell.reset_by * 1.1), "its reset is"),
                         (replace(cell, bias=cell.bias + 1e-6), "no soma has"),
                         (replace(cell, comparison=">"), "no soma has")):
        assert says in refused(net.replace(nodes={**net.nodes, "h": edited}), program)
