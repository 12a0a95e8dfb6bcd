"""Wires of crossbars: closed forms, Kirchhoff node by node, reciprocity, power, gated columns, and what must fail."""

from __future__ import annotations

import sys

import kirchhoff
import numpy as np
import pytest

from hwsdk.errors import DataError, ToleranceError
from hwsdk.ir.crossbar import Wires
from hwsdk.simulators import wires, wires_effective
from hwsdk.simulators.wires import Grid, effective, ladder, power, solve, uniform


def array(m, n, seed=0):
    """Conductances of 1 to 100 uS, some cells 0; voltages of both signs."""
    rng = np.random.default_rng(seed)
    g = rng.uniform(1e-6, 1e-4, (m, n)) * (rng.random((m, n)) > 0.2)
    return g, rng.uniform(-0.3, 0.3, m)


def worst(found, expected):
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


GRIDS = {
    "unequal": lambda m, n: uniform(m, n, 20.0, 0.5),
    "by segment": lambda m, n: Grid(np.linspace(0.3, 40, n), np.linspace(9, 0.2, m)),
    "bit lines alone": lambda m, n: uniform(m, n, 0.0, 30.0),
    "word lines alone": lambda m, n: uniform(m, n, 30.0, 0.0),
    "some segments of 0": lambda m, n: Grid(10.0 * (np.arange(n) % 2), 10.0 * (np.arange(m) % 3)),
    "high": lambda m, n: uniform(m, n, 3e3, 5e3),
    "tiny": lambda m, n: uniform(m, n, 1e-6, 3e-6),
}


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (4, 3), (13, 12), (11, 17), (24, 8), (24, 24)])
def test_equals_kirchhoff_node_by_node(shape, kind):
    grid = GRIDS[kind](*shape)
    g, v = array(*shape)
    currents, given, across = kirchhoff.driven(g, v, grid.word, grid.bit)
    assert worst(solve(g, v, grid, tol=1e-14), currents) < 1e-11
    made = effective(g, grid)
    assert worst(made.currents @ v, currents) < 1e-11
    assert worst(made.drivers @ v, given) < 1e-11
    assert worst(wires.Solver(g, grid, 1e-14).voltages(v), across) < 1e-9


def test_kirchhoff_itself_on_two_resistors():
    g, v, grid = np.array([[0.5]]), np.array([3.0]), Grid(np.array([1.0]), np.array([3.0]))
    currents, given, across = kirchhoff.driven(g, v, grid.word, grid.bit)
    assert (currents[0], given[0], across[0, 0]) == pytest.approx((0.5, 0.5, 1.0))
    found, _ = kirchhoff.gated(g, [1], [1.0], [3.0], 3.0)
    assert found[0] == pytest.approx(0.5)
    circuit = kirchhoff.Circuit()
    circuit.hold("top", 2.0)
    circuit.hold("ground", 0.0)
    for p, q, ohm in (("top", "a", 1.0), ("a", "ground", 2.0), ("a", "b", 0.0), ("b", "ground", 2.0), ("b", "c", 7.0)):
        circuit.wire(p, q, ohm)
    assert circuit.solve()["c"] == pytest.approx(1.0)
    assert circuit.into("ground") == pytest.approx(1.0)


def test_no_resistance_is_the_plain_product():
    g, v = array(40, 30)
    grid = uniform(40, 30, 0, 0)
    np.testing.assert_allclose(solve(g, v, grid), v @ g, rtol=1e-13)
    np.testing.assert_allclose(effective(g, grid).currents, g.T, rtol=1e-13)
    np.testing.assert_allclose(np.diag(effective(g, grid).drivers), g.sum(axis=1), rtol=1e-13)
    near = uniform(40, 30, 1e-9, 1e-9)
    assert worst(effective(g, near).currents, g.T) < 1e-9 and worst(solve(g, v, near), v @ g) < 1e-9


def test_one_cell():
    g, ohm_word, ohm_bit = 2e-5, 700.0, 300.0
    found = solve(np.array([[g]]), np.array([0.2]), uniform(1, 1, ohm_word, ohm_bit))
    assert found[0] == pytest.approx(0.2 / (1 / g + ohm_word + ohm_bit), rel=1e-14)


@pytest.mark.parametrize("n", [2, 7, 60])
def test_one_row_and_one_column_in_closed_form(n):
    """Equal cells on one line: voltages fall as cosh((n + 1/2 - k) t), with 2 cosh t - 2 = ohm x conductance."""
    g, line, series, v = 8e-5, 25.0, 400.0, 0.2
    inner = 1 / (1 / g + series)
    t = np.arccosh(1 + line * inner / 2)
    fall = v * np.cosh((n + 0.5 - np.arange(1, n + 1)) * t) / np.cosh((n + 0.5) * t)
    row = solve(np.full((1, n), g), np.array([v]), uniform(1, n, line, series), tol=1e-14)
    np.testing.assert_allclose(row, inner * fall, rtol=1e-11)
    column = solve(np.full((n, 1), g), np.full(n, v), uniform(n, 1, series, line), tol=1e-14)
    np.testing.assert_allclose(column[0], np.sum(inner * fall), rtol=1e-11)
    made = effective(np.full((n, 1), g), uniform(n, 1, series, line))
    np.testing.assert_allclose(made.currents @ np.full(n, v), np.sum(inner * fall), rtol=1e-11)


@pytest.mark.parametrize("shape", [(12, 7), (7, 12), (40, 5), (5, 40)])
def test_reciprocity(shape):
    """Driven from the ends of its columns and sensed at its rows, an array is the transpose."""
    m, n = shape
    g, _ = array(m, n)
    grid = Grid(np.linspace(1, 50, n), np.linspace(70, 2, m))
    turned = Grid(grid.bit[::-1], grid.word[::-1])
    back = solve(g[::-1, ::-1].T, np.eye(n), turned, tol=1e-14)  # (driven column, sensed row), both reversed
    for drivers in (True, False):
        assert worst(effective(g, grid, drivers=drivers).currents, back[::-1, ::-1]) < 1e-11


@pytest.mark.parametrize("shape", [(30, 30), (64, 8), (8, 64)])
def test_power_is_conserved(shape):
    g, v = array(*shape)
    grid = Grid(np.linspace(1, 30, shape[1]), np.linspace(30, 2, shape[0]))
    found = power(g, v, grid)
    assert found.ports == pytest.approx(found.cells + found.wires, rel=1e-10)
    assert found.wires > 0.01 * found.cells > 0
    assert effective(g, grid).watts(v)[0] == pytest.approx(found.ports, rel=1e-10)


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (90, 8)])
def test_both_methods_give_the_same_matrices(shape):
    g, _ = array(*shape)
    grid = Grid(np.linspace(0, 8, shape[1]), np.linspace(9, 0, shape[0]))
    blocks, cg = effective(g, grid), effective(g, grid, method="cg", tol=1e-14)
    alone = effective(g, grid, method="cg", drivers=False, tol=1e-14)
    assert worst(blocks.currents, cg.currents) < 1e-11 and worst(blocks.currents, alone.currents) < 1e-11
    assert worst(blocks.drivers, cg.drivers) < 1e-11 and not alone.drivers.size
    np.testing.assert_array_equal(blocks.drivers, blocks.drivers.T)


def test_threads_of_blas_are_no_part_of_it(monkeypatch):
    """Without threadpoolctl it is only slower."""
    g, _ = array(30, 9)
    grid = uniform(30, 9, 5, 5)
    made = effective(g, grid)
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with wires_effective.one_thread():
        np.testing.assert_array_equal(effective(g, grid).currents, made.currents)


def test_batch_is_each_vector():
    g, _ = array(9, 5)
    v = np.random.default_rng(1).uniform(-1, 1, (4, 9))
    grid = uniform(9, 5, 3, 2)
    together = solve(g, v, grid)
    for vector, current in zip(v, together, strict=True):
        np.testing.assert_array_equal(solve(g, vector, grid), current)
    assert solve(g, np.zeros(9), grid).tolist() == [0.0] * 5
    assert solve(np.zeros((9, 5)), v, grid).tolist() == np.zeros((4, 5)).tolist()


def test_perturbed_is_the_changed_array():
    g, v = array(6, 6)
    dg = np.full((6, 6), 3e-6)
    grid = uniform(6, 6, 10, 10)
    np.testing.assert_array_equal(wires.perturbed(g, v, grid, dg), solve(g + dg, v, grid))


def test_a_tolerance_that_is_missed_is_an_error():
    g, v = array(64, 64)
    grid = uniform(64, 64, 5, 5)
    with pytest.raises(ToleranceError, match=r"TOLERANCE_MISSED.*64 x 64.*after 3 iterations"):
        solve(g, v, grid, most=3)
    with pytest.raises(ToleranceError):
        solve(g, v, grid, tol=1e-18)
    with pytest.raises(ToleranceError):
        solve(g, v, grid, tol=float("nan"))


def test_reached_tolerance_is_true():
    """The residual of Ohm's law in every cell, computed here, is what was asked for."""
    g, v = array(50, 40)
    grid = uniform(50, 40, 8, 8)
    for tol in (1e-4, 1e-8, 1e-13):
        solver = wires.Solver(g, grid, tol)
        current = solver.cells(v).copy()
        across = solver.voltages(v)
        used = g > 0
        residual = (np.sqrt(g) * across - np.divide(current, np.sqrt(g), out=np.zeros_like(g), where=used))[used]
        assert np.linalg.norm(residual) <= 1.01 * tol * np.linalg.norm((np.sqrt(g) * v[:, None])[used])


def test_places_on_a_macro():
    grid = wires.grid_of([2, 3, 7], [1, 9], Wires(word=2.0, bit=3.0, driver=100.0, sense=50.0), 10)
    assert grid.word.tolist() == [104.0, 16.0] and grid.bit.tolist() == [3.0, 12.0, 59.0]
    assert grid.right.tolist() == [104.0, 120.0] and grid.down.tolist() == [74.0, 71.0, 59.0]
    lines = wires.ladder_of([2, 3, 7], Wires("gated", bit=3.0, driver=100.0, sense=50.0), 10)
    assert lines.source.tolist() == [109.0, 3.0, 12.0] and lines.bit.tolist() == [3.0, 12.0, 59.0]
    for rows, columns in (([2, 2], [0]), ([3, 1], [0]), ([0, 10], [0]), ([0], [-1]), ([], [0])):
        with pytest.raises(DataError, match="BAD_PLACES"):
            wires.grid_of(rows, columns, Wires(), 10)


def test_bad_values_are_named():
    g, v = array(4, 3)
    grid = uniform(4, 3, 1, 1)
    for bad, code in ((-g, "BAD_CONDUCTANCE"), (g * np.nan, "BAD_CONDUCTANCE"), (g[:3], "BAD_SHAPE"),
                      (g[0], "BAD_SHAPE")):
        with pytest.raises(DataError, match=code):
            solve(bad, v, grid)
    with pytest.raises(DataError, match="BAD_VOLTAGE"):
        solve(g, v * np.inf, grid)
    with pytest.raises(DataError, match="BAD_SHAPE"):
        solve(g, v[:3], grid)
    with pytest.raises(DataError, match="BAD_RESISTANCE"):
        Grid(np.array([-1.0]), np.array([1.0]))
    with pytest.raises(DataError, match="BAD_METHOD"):
        effective(g, grid, method="guess")
    with pytest.raises(DataError, match="NO_DRIVERS"):
        effective(g, grid, drivers=False).watts(v)
    with pytest.raises(DataError, match="BAD_SHAPE"):
        power(g, v[None], grid)
    with pytest.raises(DataError, match="BAD_SHAPE"):
        ladder(g, np.ones(4), np.ones(3), np.ones(4), 0.2)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("ohm", [(2.0, 3.0), (0.0, 5.0), (5.0, 0.0), (0.0, 0.0), (4e3, 1e3)])
def test_gated_columns_equal_kirchhoff(ohm, share):
    m, n = 21, 4
    g, _ = array(m, n, seed=5)
    rng = np.random.default_rng(6)
    active = rng.random(m) < share
    source, bit = ohm[0] * rng.uniform(0.5, 2, m), ohm[1] * rng.uniform(0.5, 2, m)
    expected, _ = kirchhoff.gated(g, active, source, bit, -0.2)
    found = ladder(g, active, source, bit, -0.2)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-25)
    rows = np.flatnonzero(active)
    for k in range(n):
        alone = kirchhoff.ladder_column(g[:, k].copy(), rows, len(rows), source, bit, -0.2)
        assert alone == pytest.approx(found[k], rel=1e-14, abs=1e-30)
    assert (ladder(np.zeros((m, n)), active, source, bit, 0.2) == 0).all()


def test_gated_columns_in_a_batch_and_without_wires():
    g, _ = array(15, 6)
    active = np.random.default_rng(2).random((7, 15)) < 0.4
    line = np.full(15, 9.0)
    together = ladder(g, active, line, line, 0.2)
    for pattern, current in zip(active, together, strict=True):
        np.testing.assert_array_equal(ladder(g, pattern, line, line, 0.2), current)
    none = np.zeros(15)
    np.testing.assert_allclose(ladder(g, active, none, none, 0.2), 0.2 * (active @ g), rtol=1e-13)


def test_gated_columns_stay_exact_when_the_wires_take_nearly_all():
    """40 rows of 1 mS on 10 kohm segments: a wave dies out within a cell; no digit may be lost."""
    m = 40
    g, line = np.full((m, 1), 1e-3), np.full(m, 1e4)
    expected, _ = kirchhoff.gated(g, np.ones(m), line, line, 1.0)
    np.testing.assert_allclose(ladder(g, np.ones(m), line, line, 1.0), expected, rtol=1e-11)
