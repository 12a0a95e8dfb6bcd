"""Read noise of gated columns: to first order through their ladders, held against noise drawn cell by cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossbar_programs import random_cells, readout, sums

from hwsdk.ir.crossbar import Converter, Device, Law, Wires
from hwsdk.ir.data import Stimulus
from hwsdk.simulators import memristor
from hwsdk.simulators import memristor_reads as reads
from hwsdk.simulators.kernels_wires import ladder_columns, ladder_variance
from hwsdk.simulators.wires import ladder_noise_variance

HALF = Wires("gated", 0.0, 50.0, 200.0, 200.0)
"""Takes half of the current of 64 rows, 16 of which are on."""
MOST = Wires("gated", 0.0, 1000.0, 500.0, 500.0)
"""Takes 60 % of that of 16 rows, six of which are on."""
STEP = 1e-15
"""A."""
X = (np.random.default_rng(1).random(64) < 0.25) | (np.arange(64) < 2)


def noisy(g, wires, share, **changes):
    return readout(g, wires=wires, device=Device(read=Law("range", {"a": share})),
                   **{"stages": ("wires", "read")} | changes)


def pairs(g, wires, share=0.05):
    """Columns two by two on a channel, subtracted, added and mixed; fine converters with gains of their own."""
    program = noisy(g, wires, share, step=STEP, codes=(-(10**12), 10**12), adc=Converter(8, 0.0, 0.2),
                    stages=("wires", "read", "adc"))
    b, k = program.blocks[0], g.shape[1] // 2
    own = replace(b, channel=np.arange(2 * k) % k, sign=np.where(np.arange(2 * k) % 3, 1, -1), phase=b.phase[:k],
                  step_a=b.step_a[:k], entry_channel=b.entry_channel[:k], entry_coef=b.entry_coef[:k],
                  entry_out=b.entry_out[:, :k])
    return replace(program, blocks=(own,))


@pytest.mark.parametrize(("rows", "wires", "share", "spread", "shift"), [
    (64, HALF, 0.05, 0.005, 4e-4), (64, HALF, 0.1, 0.01, 1.5e-3), (16, MOST, 0.05, 0.015, 2e-3),
    (16, MOST, 0.1, 0.05, 6e-3)])
def test_first_order_is_near_noise_that_is_drawn_cell_by_cell(rows, wires, share, spread, shift):
    """spread, shift: how far standard deviation and mean (relative) may be off, on average over columns; of a single
    column twice and four times as much.
    """
    n = 4000
    chip = memristor.chip_of(noisy(random_cells(rows, 8), wires, share))
    m, x = chip.models[0], X[:rows]
    exact, mean, deviation = chip.exact_reads(0, x, n, 3), reads.currents(m, x, 0.2), np.sqrt(reads.variance(m, x, 0.2))
    ideal = 0.2 * np.sqrt(np.sum(m.sigma[x] ** 2, axis=0))
    assert (deviation < 0.5 * ideal).all()
    assert np.mean(exact.std(0) / deviation) == pytest.approx(1, abs=spread + 4.5 / np.sqrt(2 * n * 8))
    np.testing.assert_allclose(exact.std(0) / deviation, 1, atol=2 * spread + 4.5 / np.sqrt(2 * n))
    luck = 4.5 * np.max(deviation / mean) / np.sqrt(n)
    assert np.mean(exact.mean(0) / mean) == pytest.approx(1, abs=shift + luck / np.sqrt(8))
    np.testing.assert_allclose(exact.mean(0) / mean, 1, atol=4 * shift + luck)


@pytest.mark.parametrize("wires", [HALF, Wires("gated", 0.0, 0.0)])
def test_columns_of_a_channel_add_their_variances(wires):
    n, x = 4000, X[:12]
    chip = memristor.chip_of(pairs(random_cells(12, 10), wires))
    m = chip.models[0]
    assert np.ptp(m.gain) > 0.1
    exact = chip.exact_reads(0, x, n, 5)
    fast = np.array([chip.read(0, x, step=t) for t in range(n)])
    expected = reads.variance(m, x, 0.2)
    for drawn in (exact, fast):
        np.testing.assert_allclose(drawn.var(0) / expected, 1, atol=4.5 * np.sqrt(2 / n) + 0.01)
        np.testing.assert_allclose(drawn.mean(0), reads.currents(m, x, 0.2), atol=4.5 * np.sqrt(expected.max() / n))
    assert np.abs(np.corrcoef(fast.T) - np.eye(5)).max() < 4.5 / np.sqrt(n)


def test_without_resistance_it_is_the_variance_of_ideal_wires():
    g, x = random_cells(12, 10), X[:12]
    ideal, near, far = (memristor.chip_of(pairs(g, Wires("gated", 0.0, ohm))).models[0] for ohm in (0.0, 1e-9, 20.0))
    assert ideal.ladder is None
    assert near.ladder is not None
    expected = reads.variance(ideal, x, 0.2)
    np.testing.assert_allclose(reads.variance(near, x, 0.2), expected, rtol=1e-9)
    assert (reads.variance(far, x, 0.2) < 0.99 * expected).all()


def test_a_run_draws_one_number_a_channel_around_the_current_without_noise():
    """Its deviations are draws times the first-order deviation; the read without noise is exactly the mean."""
    g = random_cells(9, 7)
    program, n = noisy(g, HALF, 0.05), 40
    x = np.random.default_rng(2).random((n, 9)) < 0.5
    x[:, 0] = True
    chip = memristor.chip_of(program)
    quiet, got = sums(program.with_stages("wires"), x), sums(program, x)
    for t in range(n):
        np.testing.assert_array_equal(reads.currents(chip.models[0], x[t], 0.2), quiet[t])
        z = reads.draws(chip.machine, 0, sample=0, step=t)
        assert z.shape == (7,)
        deviation = np.sqrt(reads.variance(chip.models[0], x[t], 0.2))
        np.testing.assert_allclose((got[t] - quiet[t]) / deviation, z, rtol=1e-7, atol=1e-9)


def test_a_run_over_channels_of_several_columns_is_made_of_single_reads():
    program = pairs(random_cells(12, 10), HALF)
    chip, x = memristor.chip_of(program), np.random.default_rng(2).random((3, 6, 12)) < 0.5
    got = chip.run(Stimulus.dense(x, program.input_shapes), probes="all", threads=2).states["sum", "v"]
    for sample, step in np.ndindex(3, 6):
        alone = chip.read(0, x[sample, step], sample=sample, step=step)
        np.testing.assert_allclose(got[sample, step, :5], alone, rtol=1e-12, atol=STEP)
    one = chip.run(Stimulus.dense(x, program.input_shapes), probes="all").states["sum", "v"]
    np.testing.assert_array_equal(one, got)


@pytest.mark.parametrize("conducting", ["selected", "all"])
def test_energy_is_that_of_the_read_without_noise(conducting):
    program = noisy(random_cells(9, 8), replace(HALF, conducting=conducting), 0.1, mux=2)
    x = np.random.default_rng(2).random((3, 20, 9)) < 0.5
    data = Stimulus.dense(x, program.input_shapes)
    got, quiet = (memristor.run(p, data, probes="all") for p in (program, program.with_stages("wires")))
    assert (got.states["sum", "v"] != quiet.states["sum", "v"]).any()
    assert quiet.counts["array_joules"].sum() > 0
    np.testing.assert_array_equal(got.counts["array_joules"], quiet.counts["array_joules"])


@pytest.mark.parametrize("width", [1, 3, 8, 20])
def test_the_walk_with_variances_gives_the_currents_of_the_one_without(width):
    """For any number of columns at a time, exactly, and the same variances."""
    rng = np.random.default_rng(width)
    g, sigma, source, bit = random_cells(15, 8), rng.random((15, 8)) * 1e-6, rng.random(15) * 90, rng.random(15) * 90
    for on in (np.flatnonzero(rng.random(15) < 0.5), np.array([6]), np.arange(15), np.zeros(0, np.int64)):
        expected, current, variance = np.empty(8), np.full(8, 7.0), np.full(8, 7.0)
        ladder_columns(g, on, len(on), source, bit, 0.2, np.empty((3, 8)), expected)
        ladder_variance(g, sigma, on, len(on), source, bit, 0.2, np.empty((2, 15, width)), np.empty((3, width)),
                        current, variance)
        np.testing.assert_array_equal(current, expected)
        lines = memristor.chip_of(noisy(g, HALF, 0.05)).models[0].ladder
        active = np.isin(np.arange(15), on)
        whole = ladder_noise_variance(g, active, replace(lines, source=source, bit=bit), 0.2, sigma)
        np.testing.assert_array_equal(variance, whole)
        assert (variance > 0).all() == (len(on) > 0)
