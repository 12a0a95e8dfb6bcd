"""Our Josephson circuits of the cells do what the library's tables say, alone and joined."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sfq_joined import joined, two_branches

import hwsdk
from hwsdk.errors import DataError, ModelError, UnsupportedError
from hwsdk.ir.cells import CellType
from hwsdk.ir.circuit import PHI0, Inductor, Junction, Source
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.network import Edge, Network
from hwsdk.ir.neurons import Threshold
from hwsdk.ir.nodes import Input, Linear, Output
from hwsdk.ir.semantics import Semantics
from hwsdk.simulators import sfq as pulse_simulator
from hwsdk.simulators.sfq_analog import expand, lead_s, run_all_analog, run_analog
from hwsdk.simulators.sfq_bench import CELL, LINES, Event, bench_of, spaced, tour, walk, wrong
from hwsdk.simulators.sfq_characterise import (
    _fired,
    _probes,
    absorb,
    characterise,
    check,
    critical,
    delay,
    energy,
    jitter,
    margin,
    retimed,
)
from hwsdk.simulators.sfq_circuits import LINE_OHM, PS, cells, circuit_of, pulse_points, sink, transmitter
from hwsdk.simulators.sfq_machine import Conditions
from hwsdk.targets import load_target

USED = ("JTL", "SPLIT", "MERGE", "DFF", "TFF", "NDRO", "NOT", "PTLTX", "PTLRX")
"""What compiled netlists are made of."""
EXAMPLE = Path(__file__).parents[2] / "examples" / "xor.nir"


def table(name: str) -> CellType:
    return load_target("sfq").cell(name)


def test_what_netlists_are_made_of_has_a_circuit() -> None:
    assert set(USED) <= set(cells())


@pytest.mark.parametrize("name", cells())
@pytest.mark.parametrize("k", [0.9, 1.0, 1.1])
def test_truth_tables(name: str, k: float) -> None:
    assert check(bench_of(circuit_of(name)), table(name), k) == []


@pytest.mark.parametrize("name", cells())
def test_truth_tables_with_thermal_noise(name: str) -> None:
    """A symmetric circuit can be right without noise only because nothing upsets its balance."""
    bench, kind = bench_of(circuit_of(name)), table(name)
    events, factors = spaced(tour(kind)), [0.9] * 8 + [1.0] * 8 + [1.1] * 8
    got = bench.run([events] * 24, [{CELL: k, LINES: k} for k in factors], temperature_k=4.2, seed=1)
    assert [wrong(kind, events, r) for r in got] == [[]] * 24


@pytest.mark.parametrize("name", cells())
def test_margins_are_15_percent_at_least(name: str) -> None:
    bench, kind = bench_of(circuit_of(name)), table(name)
    for groups in ((CELL,), (CELL, LINES)):
        low, high = margin(bench, kind, groups)
        assert low <= 0.85 and high >= 1.15, (groups, low, high)


@pytest.mark.parametrize("name", cells())
def test_sums(name: str) -> None:
    made = circuit_of(name)
    assert made.junctions == sum(e.ic > 0 for e in made.circuit.of(Junction))  # else it is a capacitor
    assert made.bias_a == pytest.approx(sum(e.points[-1][1] for e in made.circuit.of(Source)))
    assert set(made.inputs) == set(made.first) == set(table(name).inputs)
    assert set(made.outputs) == set(made.last) == set(table(name).outputs)
    names = {e.name for e in made.circuit.of(Junction)}
    assert {*made.first.values(), *made.last.values()} <= names


def test_the_tour_covers_every_pair_of_inputs_in_every_state() -> None:
    kind = table("NDRO")
    pins = tour(kind)
    states = [s for s, _ in walk(kind, pins)]
    seen = set(zip(states, pins, pins[1:], strict=False))
    assert seen == {(s, a, b) for s in (0, 1) for a in kind.inputs for b in kind.inputs}


def test_a_wrong_table_is_noticed() -> None:
    kind = table("DFF")
    assert check(bench_of(circuit_of("DFF")), replace(kind, fires=1 - kind.fires)) != []
    stuck = replace(kind, next=np.zeros_like(kind.next))
    found = check(bench_of(circuit_of("DFF")), stuck)
    assert found[0] == "clk in state empty: 1 pulses at q instead of 0"


def test_lost_pulses_are_noticed() -> None:
    bench, kind = bench_of(circuit_of("JTL")), table("JTL")
    events = spaced(["a", "a"])
    dead = bench.run([events], [{CELL: 0.0}])[0]
    assert wrong(kind, events, dead)


def test_a_merger_gives_one_pulse_of_two_that_coincide() -> None:
    bench = bench_of(circuit_of("MERGE"))
    runs = [[Event("a", 40 * PS), Event("b", (40 + apart) * PS)] for apart in (0.0, 1.0, 10.0, 12.0)]
    assert [len(r.outputs["q"]) for r in bench.run(runs)] == [1, 1, 2, 2]
    window = absorb(bench, table("MERGE"))
    assert window["a", "b"] == pytest.approx(window["b", "a"], abs=0.15)
    assert 2.0 < window["a", "b"] < 6.0  # 5.0 ps for the library's cell


def test_figures_of_a_line() -> None:
    bench, kind = bench_of(circuit_of("JTL")), table("JTL")
    delays = [float(d[0]) for d in delay(bench, kind).values()]
    assert delays == sorted(delays, reverse=True)
    assert delays[3] == pytest.approx(3.9, abs=0.1)  # two stages of 1.95 ps
    assert energy(bench, kind)["idle", "a"] == pytest.approx(circuit_of("JTL").bias_a * PHI0, rel=0.01)
    assert 30 < jitter(bench, kind, seed=1) < 100  # 51 fs for the library's cell
    assert jitter(bench, kind, seed=1) == jitter(bench, kind, seed=1)


def test_a_storage_cell_draws_what_its_junctions_turn() -> None:
    drawn = energy(bench_of(circuit_of("DFF")), table("DFF"))
    assert drawn["empty", "a"] > drawn["full", "a"]  # the second pulse escapes
    assert drawn["full", "clk"] > drawn["empty", "clk"]


def test_a_report_says_what_was_measured() -> None:
    report = characterise(circuit_of("SPLIT"), table("SPLIT"))
    assert report.wrong == ()
    assert report.delay_ps[1.0] == pytest.approx(5.4, abs=0.2)
    assert report.delay_ps[0.85] > report.delay_ps[1.2]
    assert set(report.critical_ps) == {("idle", "a", "a")}
    text = report.to_text()
    assert text.startswith("cell SPLIT: 3 JJ, bias 0.610 mA\ntable right\ndelay ps 0.85:")
    assert "energy aJ a in idle: 1.26" in text


def test_critical_times_of_a_storage_cell() -> None:
    """Reads too close to each other fail: 9.1 ps for the library's cell."""
    found = critical(bench_of(circuit_of("NDRO")), table("NDRO"))
    assert len(found) == 2 * 3 * 3
    assert 5.0 < found["set", "clk", "clk"] < 12.0
    assert found["reset", "clk", "clk"] == 0.0


def test_probes_tell_all_states_apart() -> None:
    kind = table("AND2")
    for state in range(len(kind.states)):
        probes = _probes(kind, state)
        for other in set(range(len(kind.states))) - {state}:
            assert any(_fired(kind, p, other) != _fired(kind, p, state) for p in probes)
    twins = replace(kind, fires=np.zeros_like(kind.fires))
    with pytest.raises(ModelError, match="no pulses tell states"):
        _probes(twins, 0)


def test_retimed_types_have_the_circuits_figures() -> None:
    kind = retimed(circuit_of("MERGE"), table("MERGE"))
    assert kind.delay_at() == pytest.approx(7900, abs=300)
    assert kind.jj == circuit_of("MERGE").junctions
    assert kind.absorb_fs[0, 1] == kind.absorb_fs[1, 0] > 0
    assert kind.fires.tolist() == table("MERGE").fires.tolist()


def test_triangles_add_up() -> None:
    points = pulse_points([10 * PS, 11 * PS])
    at = np.array([9.0, 10.0, 10.5, 11.0, 12.0, 13.0]) * PS
    current = np.interp(at, *np.array(points).T)
    assert current * 1e6 == pytest.approx([225, 675, 675, 675, 225, 0])


def test_a_driver_sends_one_pulse() -> None:
    assert 2 * PS < lead_s() < 20 * PS
    assert sink().junctions == 1


@pytest.mark.parametrize("bias", [0.9, 1.0, 1.1])
def test_joined_cells_do_what_the_pulse_simulator_says(bias: float) -> None:
    program, stimulus = joined()
    conditions = Conditions(bias=bias)
    analog = run_analog(program, stimulus, conditions=conditions)
    pulses = pulse_simulator.pulses(program, stimulus, conditions=conditions).samples[0]
    assert analog.returned == 0
    for net, times in enumerate(analog.pulses_fs):
        expected = np.sort(pulses.time_fs[pulses.net == net])
        assert len(times) == len(expected), net
        assert (np.abs(times - expected) < 10_000).all(), net  # circuits and library differ by some ps a cell
    assert analog.trace.spikes["x"].dense().ravel().tolist() == [1, 0, 1, 1, 0]
    assert pulse_simulator.run(program, stimulus, conditions=conditions).first_difference(analog.trace) is None


def test_samples_noise_and_groups() -> None:
    program, stimulus = joined()
    two = Stimulus({"in": events_from_dense(np.array([[[0], [0]], [[1], [0]]]))})
    assert run_analog(program, two, sample=0).trace.n_spikes() == 0
    assert run_analog(program, two, sample=1).trace.n_spikes() == 1
    assert run_analog(program, two, sample=1, conditions=Conditions(group_bias={"clock": 0.0})).trace.n_spikes() == 0
    noisy = [run_analog(program, stimulus, conditions=Conditions(jitter=True, seed=s)).pulses_fs[-1] for s in (0, 0, 1)]
    assert (noisy[0] == noisy[1]).all() and (noisy[0] != noisy[2]).any()


def test_a_soma_adds_up_what_comes_together() -> None:
    program, stimulus = two_branches(120e-6)
    assert run_analog(program, stimulus).trace.spikes["clock"].dense().ravel().tolist() == [0, 0, 0, 1, 0]
    weak = run_analog(program, stimulus, conditions=Conditions(soma_bias={"clock": 0.7}))
    assert weak.trace.n_spikes() == 0 and weak.returned == 0


def exclusive_or() -> Network:
    """Two neurons that see a difference of the inputs each, and one that sees either."""
    nodes = {"in": Input((2,)), "w": Linear(np.array([[1.0, -1.0], [-1.0, 1.0]])), "p": Threshold(np.full(2, 0.5)),
             "u": Linear(np.ones((1, 2))), "o": Threshold(np.full(1, 0.5)), "out": Output((1,))}
    names = list(nodes)
    return Network("xor", nodes, tuple(Edge(a, b) for a, b in pairwise(names)), Semantics(comparison=">"))


def test_a_compiled_network_of_counters_computes_at_the_level_of_junctions() -> None:
    program = hwsdk.compile(exclusive_or(), "sfq", target_options={"neuron": "counter"})
    data = np.array([[[0, 0], [0, 1], [1, 0], [1, 1], [0, 1]], [[1, 1], [1, 1], [0, 0], [1, 0], [0, 0]]])
    stimulus = Stimulus({"in": events_from_dense(data)})
    analog = run_all_analog(program, stimulus)
    assert (analog.aligned("o", 5).dense()[:, :, 0] == data[:, :, 0] ^ data[:, :, 1]).all()
    assert pulse_simulator.run(program, stimulus).first_difference(analog) is None
    one = run_analog(program, stimulus, sample=1)
    pulses = pulse_simulator.pulses(program, stimulus).samples[1]
    assert [len(t) for t in one.pulses_fs] == np.bincount(pulses.net, minlength=program.n_nets).tolist()
    assert one.returned == 0 and one.n_pulses > 1000


@pytest.mark.parametrize("name", ["XOR", "XNOR"])
def test_inputs_that_coincide_cancel(name: str) -> None:
    """With noise too: both ends of one loop turn, and no junction has to choose."""
    bench, kind = bench_of(circuit_of(name)), table(name)
    runs = [[Event("a", 40 * PS), Event("b", (40 + apart) * PS), Event("clk", 80 * PS), Event("clk", 120 * PS)]
            for apart in (-2.0, -0.5, 0.0, 0.5, 2.0) for _ in range(4)]
    expected = sum(int(kind.fires[0, kind.inputs.index("clk")]) for _ in range(2))
    got = bench.run(runs, temperature_k=4.2, seed=2)
    assert [len(r.outputs["q"]) for r in got] == [expected] * len(runs)
    assert not any(r.returned for r in got)


def test_passive_lines_of_other_lengths() -> None:
    kind = table("PTLTX")
    near, far = (delay(bench_of(transmitter(ps)), kind)[1.0] for ps in (1.0, 10.0))
    assert np.median(far) - np.median(near) == pytest.approx(9.0, abs=0.2)
    for ps in (2.0, 5.0, 10.0):
        low, high = margin(bench_of(transmitter(ps)), kind, (CELL, LINES))
        assert low <= 0.85 and high >= 1.15, (ps, low, high)


def test_a_ladder_has_its_impedance_and_delay() -> None:
    """sqrt(L / C) and sqrt(L C) of all its sections."""
    made = transmitter(5.0).circuit
    line = [e for e in made.elements if isinstance(e, Inductor | Junction) and (e.p[0] == "t" or e.m[0] == "t")]
    total = sum(e.henry for e in line if isinstance(e, Inductor)), sum(e.c for e in made.of(Junction) if not e.ic)
    assert np.sqrt(total[0] * total[1]) == pytest.approx(5e-12)
    assert np.sqrt(total[0] / total[1]) == pytest.approx(LINE_OHM)


@pytest.mark.parametrize("bias", [1.0, 1.1, 1.2])
def test_a_network_with_passive_lines(bias: float) -> None:
    program = hwsdk.compile(hwsdk.load(EXAMPLE, dt=1.0), "sfq", bits=3,
                            target_options={"neuron": "counter", "wires": "ptl"})
    assert program.type_counts["PTLTX"] == program.type_counts["PTLRX"] > 50
    data = np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]])
    stimulus, conditions = Stimulus({"input": events_from_dense(data)}), Conditions(bias=bias)
    analog = run_analog(program, stimulus, conditions=conditions)
    pulses = pulse_simulator.pulses(program, stimulus, conditions=conditions).samples[0]
    assert analog.trace.aligned("out", 4).dense().ravel().tolist() == [0, 1, 1, 0]
    assert [len(t) for t in analog.pulses_fs] == np.bincount(pulses.net, minlength=program.n_nets).tolist()
    assert analog.returned == 0


def test_what_has_no_circuit_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no circuit of 'MAJ3'") as error:
        circuit_of("MAJ3")
    assert error.value.code == "NO_CIRCUIT"
    program, stimulus = joined()
    types = tuple(replace(t, name="MAJ3") if t.name == "JTL" else t for t in program.types)
    with pytest.raises(UnsupportedError, match="no circuits of cells MAJ3"):
        expand(replace(program, types=types))
    with pytest.raises(DataError, match="spread and policies"):
        run_analog(program, stimulus, conditions=Conditions(spread=0.1))
