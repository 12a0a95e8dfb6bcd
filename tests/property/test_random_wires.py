"""Wires of random arrays: every solver against Kirchhoff node by node, or against each other where that is slow."""

from __future__ import annotations

import kirchhoff
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsdk.simulators import wires
from hwsdk.simulators.wires import Grid, effective, ladder, noise_variance, power, solve


def segments(rng, n, scale):
    """Ohm around ``scale``; sometimes 0."""
    return scale * rng.uniform(0.1, 2, n) * (rng.random(n) > 0.1 * rng.integers(0, 4))


def drawn(seed, largest):
    """Array, grid, voltages of both signs: g from 0.1 to 200 uS, up to 90 % of the cells 0; 1 mohm to 10 kohm."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, largest + 1, 2)
    g = 10 ** rng.uniform(-7, -3.7, (m, n)) * (rng.random((m, n)) > rng.choice([0, 0.3, 0.9]))
    word, bit = 10 ** rng.uniform(-3, 4, 2)
    return g, Grid(segments(rng, n, word), segments(rng, m, bit)), rng.uniform(-1, 1, m), rng


def far(found, expected, size):
    return np.max(np.abs(found - expected)) / size if size > 0 else np.max(np.abs(found))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_driven_rows_equal_kirchhoff(seed):
    g, grid, v, _ = drawn(seed, 9)
    currents, drawn_in, across = kirchhoff.driven(g, v, grid.word, grid.bit)
    size = np.sum(g * np.abs(across))
    assert far(solve(g, v, grid, 1e-13), currents, size) < 1e-10
    made = effective(g, grid)
    assert far(made.currents @ v, currents, size) < 1e-10
    assert far(made.drivers @ v, drawn_in, size) < 1e-9
    assert far(effective(g, grid, drivers=False).currents, made.currents, np.max(made.currents)) < 1e-10


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_larger_arrays_agree_and_conserve_power(seed):
    g, grid, v, _ = drawn(seed, 70)
    made, balance = effective(g, grid), power(g, v, grid, 1e-13)
    found = solve(g, v, grid, 1e-13)
    assert far(made.currents @ v, found, max(np.max(np.abs(found)), 1e-6 * np.sum(g.T @ np.abs(v)))) < 1e-8
    assert abs(balance.ports - balance.cells - balance.wires) <= 1e-10 * balance.ports
    assert abs(made.watts(v)[0] - balance.ports) <= 1e-9 * balance.ports
    assert (made.currents >= 0).all()
    assert (made.currents.sum(axis=1) <= g.sum(axis=0) * (1 + 1e-12)).all()  # wires only take


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_gated_columns_equal_kirchhoff(seed):
    g, grid, _, rng = drawn(seed, 12)
    m = len(g)
    source, active = segments(rng, m, 10 ** rng.uniform(-3, 4)), rng.random(m) < rng.choice([0.1, 0.5, 1.0])
    currents, across = kirchhoff.gated(g, active, source, grid.bit, 0.3)
    np.testing.assert_allclose(ladder(g, active, source, grid.bit, 0.3), currents, rtol=1e-8, atol=1e-20)
    expected = np.nansum((g * across**2 / 0.3) ** 2, axis=0)
    found = wires.ladder_noise_variance(g, active, wires.Ladder(source, grid.bit), 0.3, g)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-30)
    rows = np.flatnonzero(active)
    for k in range(g.shape[1]):
        np.testing.assert_allclose(kirchhoff.ladder_column(g[:, k].copy(), rows, len(rows), source, grid.bit, 0.3),
                                   currents[k], rtol=1e-8, atol=1e-20)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_compiled_noise_is_within_its_tolerance(seed):
    """At gentle wires (up to about 1 V of 5 lost) for inputs of any share."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(2, 60), rng.integers(1, 20)
    g = rng.uniform(5e-6, 50e-6, (m, n)) * (rng.random((m, n)) > 0.1)
    grid = Grid(segments(rng, n, 200 / n), segments(rng, m, 200 / m))
    model = wires.NoiseModel(g, grid, 0.07 * g + 1e-7, tolerance=0.02)
    v = (rng.random((4, m)) < rng.uniform(0.1, 1, (4, 1))) * 0.2
    exact = noise_variance(g, grid, v, 0.07 * g + 1e-7)
    assert np.abs(model.variance(v) - exact).max() <= 0.03 * exact.max()
