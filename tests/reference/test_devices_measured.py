"""The forming generator beside measured 40 nm cells: S. Wang et al., Nature Machine Intelligence 5, 2023 (ESGNN, MIT).

Half of the published cells is in the corpus. The generator has three numbers, taken from that half as a whole: share
formed 0.503, lognormal median 12.14 uS and sigma 0.149.
"""

from __future__ import annotations

import numpy as np
import pytest
from device_laws import RRAM40, RRAM40_CELL, US, one_block, physics, program
from scipy import stats

from hwsdk.ir.crossbar import Device
from hwsdk.simulators.devices import formed_share, pair_statistics
from hwsdk.simulators.memristor_die import die_of

BREAKDOWN_V = (3.428, 0.113)
AUTHORS_US = (14.2473, 2.4624)
"""The Gaussian of the authors' own simulator (wangsc1912/ESGNN at 4486d8f)."""


@pytest.fixture(scope="module")
def arrays(corpus):
    """The two measured arrays in uS; 0 is an unformed cell."""
    names = ("conductance_uS_hidden_rows0_24.csv", "conductance_uS_input_rows0_24.csv")
    return [np.loadtxt(corpus / "rram40nm" / n, delimiter=",") for n in names]


@pytest.fixture(scope="module")
def measured(arrays):
    return np.concatenate([a.ravel() for a in arrays])


@pytest.fixture(scope="module")
def volts(corpus):
    return np.loadtxt(corpus / "rram40nm" / "breakdown_voltage_V_0_199.csv")


def drawn(die: int, rows: int = 25, columns: int = 58):
    """Cells of a native block of a die in uS, 0 where they are unformed."""
    p = physics(RRAM40_CELL, Device(forming=RRAM40), stages=(), die=die)
    g = die_of(program(p, one_block(np.zeros((rows, columns)), kind="native")), 0)
    return np.where(g == RRAM40_CELL.g_off, 0.0, g / US).ravel()


def test_formed_cells_have_the_measured_distribution(measured):
    """Two samples, Kolmogorov-Smirnov: every one of eight dies, and a large one against which a misfit would show."""
    for die in range(8):
        sample = drawn(die)
        assert stats.ks_2samp(sample[sample > 0], measured[measured > 0]).pvalue > 0.01, die
    sample = drawn(100, 500, 400)
    assert stats.ks_2samp(sample[sample > 0], measured[measured > 0]).pvalue > 0.01


def test_each_measured_array_has_it(arrays):
    sample = drawn(100, 500, 400)
    for a in arrays:
        assert stats.ks_2samp(sample[sample > 0], a[a > 0]).pvalue > 0.01
        assert stats.binomtest(int((a > 0).sum()), a.size, RRAM40.formed).pvalue > 0.01


def test_the_formed_fraction_is_inside_its_binomial_interval(measured):
    low, high = stats.binom.interval(0.99, measured.size, RRAM40.formed)
    assert low <= (measured > 0).sum() <= high
    for die in range(8):
        assert low <= (drawn(die) > 0).sum() <= high


def test_gaussians_do_not_describe_the_cells(measured):
    """The authors' Gaussian is rejected outright; one that is fitted to these cells is worse than the lognormal."""
    formed = measured[measured > 0]
    assert stats.kstest(formed, stats.norm(*AUTHORS_US).cdf).pvalue < 1e-30
    fitted = stats.kstest(formed, stats.norm(formed.mean(), formed.std()).cdf).pvalue
    ours = stats.kstest(formed, stats.lognorm(RRAM40.sigma, scale=RRAM40.median / US).cdf).pvalue
    assert fitted < 0.06 < 0.5 < ours
    authors = np.random.default_rng(0).normal(*AUTHORS_US, 100_000)
    assert stats.ks_2samp(authors, formed).pvalue < 1e-30  # so the test above can fail


def test_formed_cells_are_where_chance_puts_them(arrays):
    """No neighbour correlation in the measurement (4 standard errors), as in the generator, whose cells are alone."""
    for a in arrays:
        formed = (a > 0) - (a > 0).mean()
        for pair in (formed[1:] * formed[:-1], formed[:, 1:] * formed[:, :-1]):
            assert abs(pair.mean()) < 4 * formed.var() / np.sqrt(pair.size)


def test_differential_pairs_of_measured_columns(arrays, measured):
    """Columns j and j + 25 of the measured array: spread and exact zeros of 2 [p s^2 + p (1 - p) m^2] and (1 - p)^2."""
    hidden = arrays[0]
    pairs = hidden[:, :25] - hidden[:, 25:]
    std, zeros = pair_statistics(RRAM40)
    assert std / US == pytest.approx(8.9, abs=0.05)
    assert zeros == pytest.approx(0.247, abs=1e-3)
    assert pairs.std() == pytest.approx(std / US, rel=0.08)  # 9.2 uS; 625 pairs know it to 2 or 3 %
    assert stats.binomtest(int((pairs == 0).sum()), pairs.size, zeros).pvalue > 0.01
    p = (measured > 0).mean()
    m, s = measured[measured > 0].mean(), measured[measured > 0].std()
    assert std / US == pytest.approx(np.sqrt(2 * (p * s * s + p * (1 - p) * m * m)), rel=0.02)


def test_drawn_pairs_are_as_those_that_were_measured(arrays):
    hidden = arrays[0]
    pairs = np.abs(hidden[:, :25] - hidden[:, 25:]).ravel()
    sample = drawn(7, 400, 400).reshape(400, 2, 200)
    both = np.abs(sample[:, 0] - sample[:, 1]).ravel()
    assert stats.ks_2samp(both[both > 0], pairs[pairs > 0]).pvalue > 0.01


def test_breakdown_voltages_say_how_many_cells_a_voltage_forms(volts):
    """Phi((V - 3.428) / 0.113) beside the share of the 200 cells that broke down at V or below."""
    assert len(volts) == 200
    steps = np.arange(3.10, 3.75, 0.05)  # of the sweep
    share = np.array([formed_share(v, *BREAKDOWN_V) for v in steps])
    seen = np.array([(volts <= v + 1e-9).sum() for v in steps])
    for v, s, n in zip(steps, share, seen, strict=True):
        print(f"{v:.2f} V: {s:.3f} expected, {n / 200:.3f} measured")
        low, high = stats.binom.interval(0.999, 200, s)
        assert low <= n <= high, v
    assert volts.mean() == pytest.approx(BREAKDOWN_V[0], abs=5e-4)
    assert volts.std() == pytest.approx(BREAKDOWN_V[1], abs=5e-4)


def test_the_median_cell_forms_at_the_mean_breakdown_voltage():
    """Half of the cells in the arrays are formed: their forming voltage was the mean of the breakdown voltages."""
    assert formed_share(3.429, *BREAKDOWN_V) == pytest.approx(RRAM40.formed, abs=1e-3)
