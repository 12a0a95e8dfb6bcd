"""Wires against badcrossbar 1.1.0 (MIT), which solves all nodes as one sparse system.

It computes without pycairo, which only its plots need: pip install --no-deps badcrossbar==1.1.0 pathvalidate==3.3.1
"""

from __future__ import annotations

import importlib.metadata
import logging
import warnings

import numpy as np
import pytest

from hwsdk.simulators.wires import Solver, effective, solve, uniform

INSTALL = "pip install --no-deps badcrossbar==1.1.0 pathvalidate==3.3.1"


@pytest.fixture(scope="module")
def peer():
    """badcrossbar.compute, quiet; importing it sets up logging and warns that it cannot plot."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings(record=True):  # it asks to always see that it cannot plot
        try:
            import badcrossbar
        except ImportError:
            pytest.skip(f"not compared with badcrossbar: {INSTALL}")
        finally:
            root.handlers[:], root.level = handlers, level
    assert importlib.metadata.version("badcrossbar") == "1.1.0"
    logging.disable(logging.INFO)
    yield badcrossbar.compute
    logging.disable(logging.NOTSET)


def problem(seed, largest):
    """Conductances of 0.1 to 100 uS, some cells open; voltages of both signs; 0.1 to 1,000 ohm, not equal."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, largest + 1, 2)
    g = 10 ** rng.uniform(-7, -4, (m, n)) * (rng.random((m, n)) > rng.choice([0.0, 0.2, 0.7]))
    return g, rng.uniform(-0.5, 0.5, (3, m)), 10 ** rng.uniform(-1, 3, 2)


def theirs(peer, g, v, ohm):
    with np.errstate(divide="ignore"):
        return peer(v.T, 1 / g, r_i_word_line=ohm[0], r_i_bit_line=ohm[1])


@pytest.mark.parametrize("seed", range(40))
def test_random_arrays(peer, seed):
    """1e-12 of the largest current, by both ways; the bar is 1e-9."""
    g, v, ohm = problem(seed, 64 if seed % 4 == 0 else 24)
    grid = uniform(*g.shape, *ohm)
    found = theirs(peer, g, v, ohm).currents
    made = effective(g, grid)
    size = np.maximum(np.abs(found.output).max(axis=1, keepdims=True), 1e-30)
    for ours in (solve(g, v, grid, 1e-14), v @ made.currents.T):
        assert np.max(np.abs(ours - found.output) / size) < 1e-12
    given = found.device.reshape(*g.shape, 3).sum(axis=1)  # of each row; its wire's current has lost digits
    assert np.max(np.abs((v @ made.drivers).T - given)) < 1e-12 * np.max(np.abs(given))


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 40), (40, 1), (64, 64)])
def test_node_voltages(peer, m, n):
    rng = np.random.default_rng(m + n)
    g, v = rng.uniform(5e-6, 50e-6, (m, n)), rng.uniform(-0.2, 0.2, m)
    found = theirs(peer, g, v[None], (4.0, 7.0)).voltages
    across = found.word_line.reshape(m, n) - found.bit_line.reshape(m, n)
    np.testing.assert_allclose(Solver(g, uniform(m, n, 4, 7), 1e-14).voltages(v), across, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [128, pytest.param(512, marks=pytest.mark.slow)])
def test_benchmark_problem(peer, n):
    rng = np.random.default_rng(0)
    g, v = rng.uniform(5e-6, 50e-6, (n, n)), rng.uniform(0, 0.2, n)
    current = theirs(peer, g, v[None], (1.0, 1.0)).currents.output.ravel()
    np.testing.assert_allclose(solve(g, v, uniform(n, n, 1, 1)), current, rtol=1e-11)
