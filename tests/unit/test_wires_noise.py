"""Noise of cells through wires: first order against drawing and solving exactly, and the compiled form against it."""

from __future__ import annotations

import kirchhoff
import numpy as np
import pytest

from hwsdk.errors import DataError, ToleranceError
from hwsdk.simulators import wires, wires_noise
from hwsdk.simulators.kernels_wires_blocks import variance_rows
from hwsdk.simulators.wires import Grid, NoiseModel, noise_variance, uniform


def formed(m, n, seed=0):
    """Half of the cells formed around 12 uS, the others at 0.1 uS; standard deviations of 5 %."""
    rng = np.random.default_rng(seed)
    g = np.where(rng.random((m, n)) < 0.5, 12e-6 * np.exp(0.15 * rng.standard_normal((m, n))), 1e-7)
    return g, 0.05 * g


def drawn(draw, g, sigma, n_draws, seed):
    """Variance of the currents over drawn cells."""
    rng = np.random.default_rng(seed)
    found = np.array([draw(np.abs(g + sigma * rng.standard_normal(g.shape))) for _ in range(n_draws)])
    return found.var(axis=0, ddof=1)


def test_first_order_variance_against_exact_solutions_of_drawn_cells():
    m, n = 48, 40
    g, sigma = formed(m, n)
    grid, v = uniform(m, n, 20, 20), 0.2 * (np.random.default_rng(1).random(m) < 0.4)
    predicted = noise_variance(g, grid, v, sigma)
    seen = drawn(lambda made: wires.solve(made, v, grid, 1e-9), g, sigma, 3000, 2)
    ratio = seen / predicted
    assert abs(ratio.mean() - 1) < 0.02  # 40 columns of 3000 draws: 0.4 % standard error
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / 3000)
    assert np.mean(seen) < 0.8 * np.mean(v**2 @ sigma**2)  # what the ideal voltages would say


def test_noise_on_ideal_voltages_is_wrong():
    """Cell by cell: of one drawn deviation, first order leaves a small rest, ideal voltages leave half of it."""
    m = n = 64
    rng = np.random.default_rng(3)
    g = rng.uniform(5e-6, 50e-6, (m, n))
    grid, v, dg = uniform(m, n, 5, 5), rng.uniform(0, 0.2, m), 0.05 * g * rng.standard_normal((m, n))
    moved = wires.perturbed(g, v, grid, dg, 1e-14) - wires.solve(g, v, grid, 1e-14)
    solver = wires.Solver(g, grid)
    across, none = solver.voltages(v), np.zeros(m)
    first = np.array([np.sum(dg * across * solver.voltages(none, unit)) for unit in np.eye(n)])
    size = np.sqrt(np.mean(moved**2))
    assert np.sqrt(np.mean((first - moved) ** 2)) < 0.01 * size
    assert np.sqrt(np.mean((v @ dg - moved) ** 2)) > 0.3 * size


def test_variance_without_wires():
    g, sigma = formed(20, 10)
    v = np.random.default_rng(0).uniform(-0.2, 0.2, (3, 20))
    np.testing.assert_allclose(noise_variance(g, uniform(20, 10, 0, 0), v, sigma), v**2 @ sigma**2, rtol=1e-12)
    np.testing.assert_allclose(noise_variance(g, uniform(20, 10, 0, 0), v[0], 1e-6), np.sum(v[0]**2) * 1e-12)


def test_variance_equals_differences_of_the_plain_circuit():
    """d current / d conductance by a small step in one cell after the other."""
    m, n, step = 5, 4, 1e-10
    g, _ = formed(m, n, seed=4)
    grid, v = Grid(np.linspace(10, 900, n), np.linspace(800, 20, m)), np.array([0.2, 0.0, -0.1, 0.2, 0.0])
    slope = np.empty((m, n, n))
    for j in range(m):
        for k in range(n):
            more, less = g.copy(), g.copy()
            more[j, k] += step
            less[j, k] -= step
            slope[j, k] = (kirchhoff.driven(more, v, grid.word, grid.bit)[0]
                           - kirchhoff.driven(less, v, grid.word, grid.bit)[0]) / (2 * step)
    sigma = 1e-7 * (1 + np.arange(m * n).reshape(m, n))
    expected = np.tensordot(sigma**2, slope**2, 2)
    np.testing.assert_allclose(noise_variance(g, grid, v, sigma), expected, rtol=1e-4)
    moved = (sigma[:, :, None] * slope).reshape(m * n, n)
    together = moved.T @ moved
    np.testing.assert_allclose(wires.noise_covariance(g, grid, v, sigma), together, rtol=1e-3,
                               atol=1e-5 * together.max())
    assert together.sum() < np.trace(together)  # opposed


def test_columns_hardly_deviate_together_on_short_wires():
    """What NoiseModel leaves out: of a pair's difference at 1 ohm a cell and 8 columns a converter, under 2 %."""
    g, sigma = formed(160, 32, seed=20)
    grid, v = Grid(np.full(32, 8.0), np.full(160, 1.0)), 0.2 * (np.random.default_rng(0).random(160) < 0.13)
    together = wires.noise_covariance(g, grid, v, sigma)
    np.testing.assert_allclose(np.diag(together), noise_variance(g, grid, v, sigma), rtol=1e-9)
    pairs = np.kron(np.eye(16), [1.0, -1.0])
    ratio = np.diag(pairs @ together @ pairs.T) / (pairs**2 @ np.diag(together))
    assert (ratio > 1).all() and (ratio < 1.02).all()


@pytest.mark.parametrize(("word", "bit", "driver"), [(8.0, 1.0, 0.0), (8.0, 1.0, 500.0), (40.0, 5.0, 0.0), (0, 0, 0)])
def test_compiled_variance(word, bit, driver):
    """On inputs that it was not checked with: binary ones of any share, and graded ones."""
    m, n = 160, 24
    g, sigma = formed(m, n, seed=7)
    segments = np.full(n, float(word))
    segments[0] += driver
    grid = Grid(segments, np.full(m, float(bit)))
    model = NoiseModel(g, grid, sigma)
    assert model.error <= 0.01
    rng = np.random.default_rng(8)
    v = np.concatenate([0.2 * (rng.random((1, m)) < share) for share in (0.05, 0.13, 0.5, 0.9)])
    v = np.concatenate([v, rng.uniform(-0.2, 0.2, (2, m))])
    exact = noise_variance(g, grid, v, sigma)
    assert np.abs(model.variance(v) / exact - 1).max() < 0.015
    # the bound holds for what the columns' own cells add; the others' part is weighed, not bounded
    slack = (0.5 * model.cross + 1e-6) * exact
    assert (np.abs(model.variance(v) - exact) <= model.bound * np.sum(v**2, axis=1)[:, None] + slack).all()


def test_noise_of_other_columns_counts():
    """Few columns behind drivers of 20 kohm: much of a column's noise comes from cells of the others."""
    m, n = 100, 6
    rng = np.random.default_rng(17)
    g = rng.uniform(5e-6, 50e-6, (m, n))
    segments = np.full(n, 8.0)
    segments[0] += 20e3
    grid, sigma = Grid(segments, np.full(m, 1.0)), 0.05 * g
    model, v = NoiseModel(g, grid, sigma), 0.2 * (rng.random((3, m)) < 0.15)
    exact = noise_variance(g, grid, v, sigma)
    solver, none = wires.Solver(g, grid), np.zeros(m)
    seen = [(solver.voltages(x) * sigma) ** 2 for x in v]
    ends = [solver.voltages(none, unit) for unit in np.eye(n)]
    own = np.array([[x[:, k] @ u[:, k] ** 2 for k, u in enumerate(ends)] for x in seen])
    assert (1 - own / exact).max() > 0.05 and model.cross.max() > 0.05
    assert np.abs(model.variance(v) / exact - 1).max() < 0.01


def test_compiled_variance_costs_little_memory():
    m, n = 320, 64
    g, sigma = formed(m, n)
    model = NoiseModel(g, Grid(np.full(n, 8.0), np.full(m, 1.0)), sigma)
    assert model.diagonal.nbytes + model.factor.nbytes + model.sign.nbytes < 1e6
    assert model.error < 0.002 and model.cross.max() < 0.1


def test_kernel_of_active_rows_equals_the_matrix_form():
    m, n = 60, 9
    g, sigma = formed(m, n)
    model = NoiseModel(g, uniform(m, n, 8, 8), sigma)
    for share in (0.0, 0.1, 1.0):
        v = 0.2 * (np.random.default_rng(9).random(m) < share)
        active, out = np.flatnonzero(v), np.empty(n)
        state = np.empty((len(model.sign) + 1, n), np.float32)
        variance_rows(active, len(active), 0.2, model.diagonal, model.factor, model.sign, state, out)
        np.testing.assert_allclose(out, model.variance(v[None])[0], rtol=1e-5, atol=1e-30)


def test_responses_of_both_kinds(monkeypatch):
    g, _ = formed(20, 12)
    grid = Grid(np.linspace(0, 50, 12), np.linspace(40, 0, 20))
    chain = wires_noise.responses(g, grid)
    monkeypatch.setattr(wires_noise, "ROOM", 0.0)
    np.testing.assert_allclose(wires_noise.responses(g, grid), chain, atol=1e-6)
    across = kirchhoff.driven(g, np.eye(20)[13], grid.word, grid.bit)[2]
    np.testing.assert_allclose(chain[:, :, 13], across, atol=1e-6)


def test_a_model_that_cannot_be_exact_enough_is_an_error():
    g, sigma = formed(30, 6)
    with pytest.raises(ToleranceError, match="TOLERANCE_MISSED"):
        NoiseModel(g, uniform(30, 6, 50, 50), sigma, tolerance=1e-12)


def test_gated_variance_against_drawn_cells():
    m, n = 64, 48
    g, sigma = formed(m, n, seed=11)
    active = np.random.default_rng(12).random(m) < 0.5
    lines = wires.Ladder(np.full(m, 40.0), np.full(m, 60.0))
    predicted = wires.ladder_noise_variance(g, active, lines, 0.2, sigma)
    seen = drawn(lambda made: wires.ladder(made, active, lines.source, lines.bit, 0.2), g, sigma, 4000, 13)
    ratio = seen / predicted
    assert abs(ratio.mean() - 1) < 0.02
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / 4000)
    assert predicted.mean() < 0.8 * np.mean(0.04 * active @ sigma**2)


def test_gated_variance_equals_the_plain_circuit():
    m, n = 14, 3
    g, sigma = formed(m, n, seed=14)
    rng = np.random.default_rng(15)
    lines = wires.Ladder(rng.uniform(0, 900, m), rng.uniform(0, 900, m))
    for active in (rng.random(m) < 0.5, np.arange(m) == 6, np.ones(m), np.zeros(m)):
        _, across = kirchhoff.gated(g, active, lines.source, lines.bit, 0.2)
        expected = np.nansum((sigma * across**2 / 0.2) ** 2, axis=0)
        found = wires.ladder_noise_variance(g, active, lines, 0.2, sigma)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert (wires.ladder_noise_variance(g, np.ones(m), lines, 0.0, sigma) == 0).all()
    with pytest.raises(DataError, match="BAD_SHAPE"):
        wires.ladder_noise_variance(g, np.ones(m), lines, 0.2, sigma[:3])
