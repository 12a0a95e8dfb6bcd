"""The transient solver of Josephson circuits: published figures, conservation laws, analytic circuits, a dense twin."""

from __future__ import annotations

from dataclasses import replace

import josephson as jj
import numpy as np
import pytest
from josephson import BIAS, HALF, IC, PH, PS, UA
from rcsj_twin import S, Twin

from hwsdk.errors import DataError, ModelError
from hwsdk.ir.circuit import PHI0, Circuit, Coupling, Inductor, Junction, Resistor, Source
from hwsdk.simulators.rcsj import Transient, solve, solve_many

JOSIM_PS = (22.098, 39.193)
"""JoSIM 2.7, junctions 1 and 10 of the line."""
NGSPICE_PS = (22.098, 23.569, 25.473, 27.432, 29.382, 31.326, 33.273, 35.219, 37.170, 39.191)
"""ngspice 39.3 with behavioural junctions, reltol 1e-4."""
EVERY_CIRCUIT = (jj.jtl(), jj.splitter(), jj.merger(), jj.merger((20,), (22,)), jj.transformer(0.6),
                 jj.transformer(-0.6))
T_HELIUM = 4.2


@pytest.fixture(scope="module")
def line() -> Transient:
    return solve(jj.jtl(), 120 * PS, record=["m5", "g5", "n5"])


def firsts(run: Transient, n: int = 10) -> np.ndarray:
    return np.array([run.crossings[f"J{k}"][0] for k in range(1, n + 1)]) / PS


def test_a_transmission_line_as_other_simulators_have_it(line):
    times = firsts(line)
    assert times[[0, -1]] == pytest.approx(JOSIM_PS, abs=0.002)
    assert times == pytest.approx(NGSPICE_PS, abs=0.004)
    assert np.diff(times)[3:7] == pytest.approx(1.95, abs=0.01)
    assert all(len(line.crossings[f"J{k}"]) == 2 and not len(line.returns[f"J{k}"]) for k in range(1, 11))
    assert line.crossings["J10"][1] - line.crossings["J10"][0] == pytest.approx(50 * PS, abs=0.002 * PS)
    assert list(line.final.values()) == pytest.approx([4 * np.pi + np.arcsin(0.7)] * 10, abs=0.003)


def test_the_area_of_a_pulse_is_a_flux_quantum(line):
    window = (line.times > 15 * PS) & (line.times < 60 * PS)
    volts = line.voltages["m5"][window]
    area = 0.05 * PS * (volts.sum() - 0.5 * (volts[0] + volts[-1]))
    assert area == pytest.approx(PHI0, rel=1e-3)
    assert volts.max() == pytest.approx(873e-6, rel=0.005)
    above = line.times[window][volts > volts.max() / 2]
    assert above[-1] - above[0] == pytest.approx(3.4 * PS, abs=0.1 * PS)


def test_kirchhoffs_laws_where_things_have_settled(line):
    """Without voltages, a stage's currents are those of its junction and its inductors; phases and no solver say so."""
    m, g, n = (line.phases[name][-1] for name in ("m5", "g5", "n5"))
    assert m - g == pytest.approx(line.final["J5"], abs=1e-12)
    assert S * g / (0.5 * PH) == pytest.approx(IC * np.sin(m - g), abs=0.05 * UA)
    assert BIAS + 2 * S * (n - m) / HALF == pytest.approx(IC * np.sin(m - g), abs=0.5 * UA)  # both halves alike


def test_a_loop_keeps_the_flux_quantum_that_went_in():
    """A line ends in a loop whose far junction is not biased enough to let the fluxon out."""
    loop = (Inductor("LQ", "out", "x", 40 * PH), *jj.shunted("X", "x"))
    run = solve(Circuit("loop", (*jj.line(4, (20,), load=False), *loop)), 200 * PS, record=["m4", "x"])
    current = S * (run.phases["m4"][-1] - run.phases["x"][-1]) / (HALF + 40 * PH)
    assert (run.pulses("J4"), run.pulses("JX")) == (1, 0)
    assert run.final["J4"] > 1.5 * np.pi > np.pi / 2 > run.final["JX"]
    assert current == pytest.approx(IC * np.sin(run.final["JX"]), abs=0.01 * UA)
    far = 0.5 * PH / S * IC * (np.sin(run.final["J4"]) - np.sin(run.final["JX"]))  # inductances to ground
    around = run.final["J4"] - run.final["JX"] + far
    assert S * around == pytest.approx((HALF + 40 * PH) * current, abs=1e-4 * PHI0)


def test_halving_the_step_divides_the_error_by_four_at_least():
    times = [solve(jj.jtl(), 60 * PS, step_s=h * PS).crossings["J10"][0] for h in (0.2, 0.1, 0.05, 0.025)]
    ratios = -np.diff(times)[:-1] / -np.diff(times)[1:]
    assert np.all((ratios > 3.5) & (ratios < 9)), ratios


def test_a_pulse_draws_bias_times_a_flux_quantum_at_every_junction():
    one, two = (solve(jj.jtl(10, times), 170 * PS) for times in ((20,), (20, 70)))
    drawn = [two.energy_j[f"I{k}"] - one.energy_j[f"I{k}"] for k in range(1, 11)]
    assert drawn == pytest.approx([BIAS * PHI0] * 10, rel=1e-6)
    assert two.total_energy_j == pytest.approx(sum(two.energy_j.values()))
    assert "DRIVE" not in two.energy_j


def coils(*elements: Inductor | Resistor, k: float = 0.5) -> Circuit:
    """A current that rises 10 uA a ps through 8 pH, coupled with 5 pH of a second loop."""
    drive = Source("I", "a", ((0.0, 0.0), (100 * PS, 1000 * UA)), "input")
    return Circuit("coils", (drive, Inductor("L1", "a", "0", 8 * PH), Inductor("L2", "b", "0", 5 * PH), *elements,
                             Coupling("K", "L1", "L2", k)))


@pytest.mark.parametrize("k", [0.5, -0.9])
def test_a_closed_superconducting_loop_holds_its_flux(k):
    """(L2 + L3) i + M I = 0, so node b has the flux M I L3 / (L2 + L3)."""
    run = solve(coils(Inductor("L3", "b", "0", 3 * PH), k=k), 80 * PS, record=["a", "b"])
    drive, m = run.times * 1e7, k * np.sqrt(40) * PH
    assert S * run.phases["b"] == pytest.approx(m * drive * 3 / 8, abs=1e-9 * PHI0)
    assert S * run.phases["a"] == pytest.approx(8 * PH * drive - m**2 * drive / (8 * PH), abs=1e-9 * PHI0)


def test_a_loop_with_a_resistor_approaches_its_end_voltage():
    """L2 di/dt + M dI/dt + R i = 0 from rest: the resistor sees M I' (1 - exp(-t R / L2))."""
    run = solve(coils(Resistor("R", "b", "0", 0.5)), 80 * PS, record=["b"])
    volts = 0.5 * np.sqrt(40) * PH * 1e7 * (1 - np.exp(-run.times * 0.5 / (5 * PH)))
    assert run.voltages["b"][4:] == pytest.approx(volts[4:], abs=1e-3 * volts[-1])


@pytest.mark.parametrize("circuit", EVERY_CIRCUIT, ids=lambda c: c.name)
@pytest.mark.parametrize("temperature", [None, T_HELIUM])
def test_the_plain_twin_has_the_same_phases(circuit, temperature):
    steps = 700
    twin = Twin(circuit, steps, 0.05 * PS, temperature, seed=7)
    run = solve(circuit, steps * 0.05 * PS, temperature_k=temperature, seed=7)  # everything that can be is reduced
    full = solve(circuit, steps * 0.05 * PS, temperature_k=temperature, seed=7, record=circuit.nodes)
    for name, phase in run.final.items():
        assert phase == pytest.approx(twin.across(name)[-1], abs=1e-9)
        assert phase == pytest.approx(full.final[name], abs=1e-9)
    for node in circuit.nodes:
        assert full.phases[node] == pytest.approx(twin.of(node)[1:], abs=1e-9)
    for source, energy in run.energy_j.items():
        assert energy == pytest.approx(twin.energy(source), rel=1e-8, abs=1e-24)


@pytest.mark.parametrize("circuit", EVERY_CIRCUIT, ids=lambda c: c.name)
def test_crossings_are_those_of_the_twins_phases(circuit):
    steps = 900
    twin, run = Twin(circuit, steps, 0.1 * PS), solve(circuit, steps * 0.1 * PS, step_s=0.1 * PS)
    for name in run.final:
        turn = (twin.across(name) - np.pi) / (2 * np.pi)
        up = [k - (turn[k] - n) / (turn[k] - turn[k - 1]) for k in range(1, steps + 1)
              for n in range(-3, 4) if turn[k - 1] < n <= turn[k]]
        down = [k - (turn[k] - n) / (turn[k] - turn[k - 1]) for k in range(1, steps + 1)
                for n in range(-3, 4) if turn[k - 1] >= n > turn[k]]
        assert run.crossings[name] / (0.1 * PS) == pytest.approx(up, abs=1e-6)
        assert run.returns[name] / (0.1 * PS) == pytest.approx(down, abs=1e-6)


def test_circuits_do_what_they_are_for():
    split, merge, both = (solve(c, 110 * PS) for c in (jj.splitter(), jj.merger(), jj.merger((20,), (22,))))
    assert (split.pulses("JA3"), split.pulses("JB3")) == (2, 2)
    assert (merge.pulses("JQ3"), merge.pulses("JSA"), merge.pulses("JSB")) == (2, -1, -1)
    assert len(merge.returns["JSB"]) == 1  # keeps the pulse of input A from running back
    assert both.pulses("JQ3") == 1
    assert [solve(jj.transformer(k), 110 * PS).pulses("JV") for k in (0.6, -0.6)] == [1, 0]


def test_side_by_side_is_as_alone():
    circuits = [jj.jtl(4, (20,)), jj.merger(), jj.jtl(4, (25, 60))]
    together = solve_many(circuits, 90 * PS, bias=[1.0, 1.05, {"": 0.95}],
                          inputs=[{}, {}, {"DRIVE": [(0, 0), (30 * PS, 0), (32 * PS, 450 * UA), (34 * PS, 0)]}])
    alone = (solve(circuits[0], 90 * PS), solve(circuits[1], 90 * PS, bias=1.05),
             solve(jj.jtl(4, (30,)), 90 * PS, bias=0.95))
    for a, b in zip(together, alone, strict=True):
        assert a.final == pytest.approx(b.final, abs=1e-9)
        for name in a.final:
            assert a.crossings[name] == pytest.approx(b.crossings[name], abs=1e-22)
        assert a.energy_j == pytest.approx(b.energy_j, rel=1e-9)


def test_bias_groups_are_scaled_apart():
    circuit = Circuit("two", (*jj.line(4, (20,), "A", ("ia", "oa"), group="a"),
                              *jj.line(4, (20,), "B", ("ib", "ob"), group="b")))
    plain, slow = solve(circuit, 60 * PS), solve(circuit, 60 * PS, bias={"b": 0.9})
    assert slow.crossings["JA4"] == pytest.approx(plain.crossings["JA4"], abs=1e-18)
    assert slow.crossings["JB4"] > plain.crossings["JB4"] + 0.3 * PS
    assert slow.energy_of("b") < plain.energy_of("b")
    assert slow.energy_of("a") == pytest.approx(plain.energy_of("a"))


def test_recorded_samples_are_every_nth():
    fine, coarse = (solve(jj.jtl(2), 50 * PS, record=["m2"], every=n) for n in (1, 7))
    assert coarse.times == pytest.approx(fine.times[6::7])
    assert np.array_equal(coarse.phases["m2"], fine.phases["m2"][6::7])
    assert np.array_equal(coarse.voltages["m2"], fine.voltages["m2"][6::7])


@pytest.mark.parametrize("bare", [True, False])
def test_thermal_noise_has_kt_half_for_each_degree_of_freedom(bare):
    """Biased at 0.7 Ic: variance of the phase kT / (S Ic cos(asin 0.7)), whatever the resistance."""
    elements: list[Junction | Resistor | Inductor | Source] = []
    for k in range(64):
        elements += ([Junction(f"J{k}", f"n{k}", "0", IC, 0.7e-9 * IC, 2.744)] if bare
                     else jj.shunted(str(k), f"n{k}"))
        elements.append(jj.biased(str(k), f"n{k}"))
    nodes = [f"{side}{k}" for side in ("n" if bare else "ng") for k in range(64)]
    run = solve(Circuit("still", tuple(elements)), 1500 * PS, temperature_k=T_HELIUM, record=nodes, every=10, seed=1)
    phase = np.array([run.phases[f"n{k}"] - (0.0 if bare else run.phases[f"g{k}"]) for k in range(64)])[:, 100:]
    expected = 1.380649e-23 * T_HELIUM / (S * IC * np.sqrt(1 - 0.7**2))
    assert phase.var() == pytest.approx(expected, rel=0.04)
    assert phase.mean() == pytest.approx(np.arcsin(0.7), abs=0.002)


def test_jitter_grows_with_the_root_of_the_length():
    runs = solve_many([jj.jtl(20, (20,))] * 300, 75 * PS, temperature_k=T_HELIUM, seed=5)
    times = np.array([[run.crossings[f"J{k}"][0] for k in (4, 8, 20)] for run in runs]) / PS
    short, long = (np.std(times[:, k] - times[:, 0], ddof=1) for k in (1, 2))
    assert long / short == pytest.approx(2.0, rel=0.2)  # 16 stages against 4
    assert long / np.sqrt(8) == pytest.approx(0.07, rel=0.15)  # ps for two junctions


def test_noise_follows_the_seed():
    a, b, c = (solve(jj.jtl(3, (20,)), 40 * PS, temperature_k=T_HELIUM, seed=s).final for s in (1, 1, 2))
    assert a == b != c
    quiet = solve(jj.jtl(3, (20,)), 40 * PS, temperature_k=0.0).final
    assert quiet == pytest.approx(solve(jj.jtl(3, (20,)), 40 * PS).final, abs=1e-12)


def test_more_crossings_than_the_kernel_has_room_for():
    """A junction above its critical current rotates; noise is drawn in one stream all the same."""
    circuit = Circuit("fast", tuple(e for k in range(40) for e in (
        Junction(f"J{k}", f"n{k}", "0", IC, 0.7e-9 * IC, 2.744),
        Source(f"I{k}", f"n{k}", ((0.0, 0.0), (5 * PS, 40 * IC))))))
    run = solve(circuit, 60 * PS, temperature_k=0.0)
    turns = (run.final["J7"] + np.pi) / (2 * np.pi)
    assert run.pulses("J7") == int(turns) > 500
    assert np.all(np.diff(run.crossings["J7"]) > 0)


def without(circuit: Circuit, name: str, *more: object) -> Circuit:
    kept = (e for e in circuit.elements if e.name != name)
    return Circuit(circuit.name, (*kept, *more))  # type: ignore[arg-type]


LINE = jj.jtl(2)
LOOP = Resistor("RX", "n1", "n1", 1.0)


@pytest.mark.parametrize(("circuit", "code", "word"), [
    (without(LINE, "", Resistor("J1", "n1", "0", 1.0)), "BAD_CIRCUIT", "J1"),
    (without(LINE, "", Resistor("RX", "n1", "0", 0.0)), "BAD_CIRCUIT", "RX"),
    (without(LINE, "", Inductor("LX", "n1", "0", -PH)), "BAD_CIRCUIT", "LX"),
    (without(LINE, "", replace(LINE.of(Junction)[0], name="JX", r_sub=0.0)), "BAD_CIRCUIT", "JX"),
    (without(LINE, "", Source("IX", "n1", ((1.0, 0.0), (0.5, 0.0)))), "BAD_CIRCUIT", "IX"),
    (without(LINE, "", Source("IX", "n1", ())), "BAD_CIRCUIT", "IX"),
    (without(LINE, "", LOOP), "BAD_CIRCUIT", "n1"),
    (without(LINE, "", Coupling("K", "LA1", "nowhere", 0.1)), "BAD_CIRCUIT", "nowhere"),
    (without(LINE, "", Coupling("K", "LA1", "LA2", 1.0)), "BAD_CIRCUIT", "K"),
    (without(LINE, "", *(Coupling(f"K{k}", a, b, -0.9) for k, (a, b) in enumerate(
        (("LA1", "LA2"), ("LA2", "LB1"), ("LB1", "LA1"))))), "BAD_CIRCUIT", "LB1"),
    (without(LINE, "", Inductor("LX", "y", "z", PH), Resistor("RX", "y", "z", 1.0),
             Coupling("K", "LX", "LA1", 0.3)), "FLOATING_NODE", "node y"),
])
def test_circuits_that_make_no_sense(circuit, code, word):
    with pytest.raises(ModelError, match=word) as caught:
        solve(circuit, 10 * PS)
    assert caught.value.code == code


def test_requests_that_make_no_sense():
    with pytest.raises(ModelError, match="no node elsewhere"):
        solve(LINE, 10 * PS, record=["elsewhere"])
    with pytest.raises(DataError, match="no such source or group: DRIFE"):
        solve(LINE, 10 * PS, inputs={"DRIFE": [(0, 0)]})
    with pytest.raises(DataError, match="no such source or group: layer2"):
        solve(LINE, 10 * PS, bias={"layer2": 0.9})
    with pytest.raises(DataError, match="positive"):
        solve(LINE, 10 * PS, every=0)
    with pytest.raises(DataError, match="1 of bias"):
        solve_many([LINE, LINE], 10 * PS, bias=[1.0])


def test_a_circuit_without_a_matrix():
    """One junction in a loop with one inductor has nothing left to solve for."""
    run = solve(Circuit("ring", (Junction("J", "a", "0", IC, 0.7e-9 * IC, 2.744), Inductor("L", "a", "0", PH))), PS)
    assert run.final == {"J": 0.0}
