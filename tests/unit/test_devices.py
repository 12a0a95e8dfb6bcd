"""Laws of devices: published values by hand, distributions, scales, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from device_laws import (
    CMO,
    CMO_DRIFT,
    CMO_LOG,
    DAY,
    JOSHI,
    MILO,
    PCM,
    PCM_1F,
    PCM_DRIFT,
    QUARTIC,
    US,
    WAN,
    WAN_1D,
    WAN_DRIFT,
    cell,
)
from scipy import stats

from hwsdk import targets
from hwsdk.errors import TargetError
from hwsdk.ir.crossbar import Cell, Forming, Law
from hwsdk.simulators import devices
from hwsdk.simulators.devices_laws import FAMILIES, ROLES, check
from hwsdk.simulators.devices_verify import expected_pulses, hit, verified_sigma, write_verify

RANGE, GMAX, PROPORTIONAL = (Law(n, {"a": 0.1}) for n in ("range", "gmax", "proportional"))
VERIFIED = Law("verified", {"a": 0.1, "tolerance": 0.05, "pulses": 8.0})
# By hand from the published formula: (law, G_max uS, G uS, sigma uS).
BY_HAND = [
    (Law(), 40, 20, 0.0),
    (RANGE, 50, 20, 4.5),  # 10 % of 5..50 uS
    (GMAX, 50, 20, 5.0),
    (PROPORTIONAL, 50, 20, 2.0),
    (MILO, 225, 100, 3.871621),  # 4.782321 - 0.9107
    (MILO, 225, 225, 2.733246),
    (WAN, 39.26, 20, 2.3618),  # 1.2288 - 4.668 + 4.748 + 1.053
    (WAN, 39.26, 0, 1.053),
    (JOSHI, 25, 10, 0.86619139),  # 0.28638599 + 0.7585724 - 0.178767
    (JOSHI, 25, 25, 1.06552324),
    (QUARTIC, 40, 20, 2.0229375),  # 0.348 + 8.015 - 10.96325 + 5.674125 - 1.0509375
    (QUARTIC, 40, 40, 1.103),
    (PCM, 25, 12.5, 0.952705),  # 0.26348 + 0.9825 - 0.293275
    (CMO, 88.2, 50, 0.5757322481),
]


@pytest.mark.parametrize(("law", "g_max", "g", "sigma"), BY_HAND)
def test_sigma_by_hand(law, g_max, g, sigma):
    c = cell(g_max, 5.0)
    for found in (devices.write_sigma(law, c, np.array([g * US])), devices.read_sigma(law, c, np.array([g * US]), 1.0)):
        assert found[0] / US == pytest.approx(sigma, rel=1e-9)


def test_every_sigma_is_drawn_as_it_says():
    """Variance by chi-square and shape by Kolmogorov-Smirnov, in each of six conductances."""
    rng, n, tried = np.random.default_rng(0), 4000, set()
    for law, g_max, *_ in BY_HAND:
        if law.family in tried | {"none"}:
            continue
        tried.add(law.family)
        c = cell(g_max, 0.0)
        for g in np.linspace(0.1, 0.95, 6) * c.g_max:
            target = np.full((n,), g)
            sigma = devices.write_sigma(law, c, target[:1])[0]
            error = (devices.draw_write(law, c, target, rng) - target) / sigma
            assert 1e-4 < stats.chi2.cdf((error ** 2).sum(), n) < 1 - 1e-4, (law.family, g)
            assert stats.kstest(error, "norm").pvalue > 1e-4, (law.family, g)
    assert tried == set(FAMILIES["write"]) - {"none", "verified"}


def test_a_wan_error_keeps_its_share_of_g_max():
    """aihwkit 1.2.0 does not rescale: 2.02 uS at half of G_max for 40, 25 and 10 uS. Here the share stays."""
    shares = []
    for g_max in (40.0, 25.0, 10.0):
        half = np.array([g_max / 2 * US])
        shares.append(devices.write_sigma(QUARTIC, cell(g_max), half)[0] / (g_max * US))
    assert shares == pytest.approx([2.0229375 / 40] * 3)


def test_fits_hold_their_last_value_beyond_their_range():
    above = np.array([60.0, 44.0, 80.0]) * US
    assert devices.write_sigma(QUARTIC, cell(40), above) / US == pytest.approx([1.103] * 3)
    assert devices.read_sigma(WAN, cell(39), above, 1.0) / US == pytest.approx(
        [1.536e-4 * 39.26 ** 3 - 1.167e-2 * 39.26 ** 2 + 0.2374 * 39.26 + 1.053] * 3)
    assert devices.write_sigma(Law("milo", {"intercept_us": 1.0, "slope": -0.1, "limit_us": 225}), cell(100),
                               np.array([50 * US]))[0] == 0  # the published max(., 0)


def test_read_noise_of_pcm_by_hand():
    """At 12.5 of 25 uS, a day and t_0: q = 0.0088 / 0.5^0.65 = 0.0138086, sqrt(ln(86420 / 5e-7)) = 5.0868."""
    sigma = devices.read_sigma(PCM_1F, cell(25), np.array([12.5]) * US, DAY)[0] / US
    assert sigma == pytest.approx(12.5 * 0.0138086 * 5.0868, rel=1e-4)
    low = devices.read_sigma(PCM_1F, cell(25), np.array([0.01, 0.0]) * US, DAY) / US  # q is held at 0.2
    assert low == pytest.approx([0.01 * 0.2 * 5.0868, 0.0], rel=1e-4)
    at_once = devices.read_sigma(PCM_1F, cell(25), np.array([12.5]) * US, 0.0)[0] / US  # sqrt(ln(20 / 5e-7)) = 4.18380
    assert at_once == pytest.approx(12.5 * 0.0138086 * 4.18380, rel=1e-4)
    drifted = devices.read_sigma(PCM_1F, cell(25), np.array([10.0]) * US, DAY, np.array([12.5]) * US)[0] / US
    assert drifted == pytest.approx(10 * 0.0138086 * 5.0868, rel=1e-4)


def test_read_noise_of_cmo_by_hand():
    """At 50 uS and a day: 0.0277316 log10(50) sqrt(ln(86400 / 2e-6)) = 0.0277316 x 1.69897 x 4.94865."""
    sigma = devices.read_sigma(CMO_LOG, cell(88.2, 9), np.array([50.0, 1.0, 0.5]) * US, DAY) / US
    assert sigma == pytest.approx([0.0277316483 * 1.69897 * 4.94865, 0, 0], rel=1e-5)
    assert (devices.read_sigma(CMO_LOG, cell(88.2), np.array([50.0]) * US, 0.0) == 0).all()


@pytest.mark.parametrize(("g", "m", "s"), [(1.0, 0.049, 0.008), (0.1, 0.0600901, 0.0228823), (0.01, 0.0957801, 0.045),
                                           (1e-4, 0.1, 0.045)])
def test_drift_of_pcm_has_the_published_exponents(g, m, s):
    """nu = |N(m, s)|, G falls with (t / 20 s)^-nu where t counts from 20 s after the programming."""
    c, n = cell(25), 20000
    start = np.full((n,), g * c.g_max)
    later = devices.drift(PCM_DRIFT, c, start, DAY, np.random.default_rng(1))
    nu = -np.log(later / start) / math.log((DAY + 20) / 20)
    assert stats.kstest(nu, stats.foldnorm(m / s, scale=s).cdf).pvalue > 1e-3
    assert (devices.drift(PCM_DRIFT, c, start, 0.0, np.random.default_rng(1)) == start).all()


def test_drift_of_cmo_is_a_shift_and_a_spread_in_ln_t():
    """A day: mean -0.08900206 x 11.36674 = -1.011663 uS, std 0.04201137 x 11.36674 + 0.41183342 = 0.889366 uS."""
    start = np.full((20000,), 50 * US)
    moved = (devices.drift(CMO_DRIFT, cell(88.2, 9), start, DAY, np.random.default_rng(2)) - start) / US
    assert stats.kstest(moved, stats.norm(-1.011663, 0.889366).cdf).pvalue > 1e-3


def test_writing_and_drifting_wan_cells_gives_the_published_error_of_the_day():
    """The write leaves sigma(1 s), the drift adds what is missing to sigma(1 day), both around the target."""
    rng, n = np.random.default_rng(3), 20000
    for g_max in (40.0, 10.0):
        c = cell(g_max)
        for g in (0.15, 0.5, 0.9):
            target = np.full((n,), g * c.g_max)
            made = devices.draw_write(QUARTIC, c, target, rng)
            later = devices.drift(WAN_DRIFT, c, made, DAY, rng, target)
            sigma = g_max / 40 * sum(k * g ** i for i, k in enumerate(WAN_1D)) * US
            assert stats.kstest((later - target) / sigma, "norm").pvalue > 1e-3
    assert (devices.drift(WAN_DRIFT, c, made, 1.0, rng, target) == made).all()
    with pytest.raises(TargetError, match="nothing was published for 3600 s") as caught:
        devices.drift(WAN_DRIFT, c, made, 3600.0, rng)
    assert caught.value.code == "BAD_LAW"


def test_verified_writes_have_a_cut_error_and_geometric_pulses():
    """With most = 30 hardly a cell is missed: the error is a normal cut at the tolerance, pulses are geometric."""
    rng, sigma, tolerance = np.random.default_rng(4), 5 * US, 2 * US
    done = write_verify(np.full((40000,), 20 * US), sigma, tolerance, 30, rng)
    error = (done.conductances - 20 * US)[~done.missed]
    z, p = tolerance / sigma, 2 * stats.norm.cdf(0.4) - 1
    assert hit(sigma, tolerance) == pytest.approx(p)
    assert stats.kstest(error / sigma, stats.truncnorm(-z, z).cdf).pvalue > 1e-3
    counts = np.bincount(done.pulses, minlength=9)[1:9]
    expected = 40000 * p * (1 - p) ** np.arange(8)
    rest = 40000 - expected.sum()
    assert stats.chisquare([*counts, 40000 - counts.sum()], [*expected, rest]).pvalue > 1e-3
    assert done.pulses.mean() == pytest.approx(expected_pulses(sigma, tolerance, 30), rel=0.02)
    assert done.missed.mean() == pytest.approx((1 - p) ** 30, abs=2e-4)
    assert (np.abs(error) <= tolerance).all()


@pytest.mark.parametrize(("tolerance", "most"), [(0.02, 1), (0.02, 3), (0.05, 8), (0.3, 4), (1e-6, 2)])
def test_the_error_that_a_verified_write_leaves(tolerance, most):
    law = Law("verified", {"a": 0.1, "tolerance": tolerance, "pulses": float(most)})
    c, target = cell(50), np.full((40000,), 25 * US)
    error = devices.draw_write(law, c, target, np.random.default_rng(5)) - target
    assert error.std() == pytest.approx(devices.write_sigma(law, c, target[:1])[0], rel=0.02)


def test_edges_of_verified_writes():
    assert verified_sigma(0.0, 1.0, 3) == 0 and hit(0.0, 1.0) == 1
    assert expected_pulses(1.0, 0.0, 7) == 7
    assert verified_sigma(2.0, 1e3, 5) == pytest.approx(2.0)  # a wide tolerance: nothing is written twice
    assert verified_sigma(2.0, 1.0, 1) == pytest.approx(2.0)  # a single pulse: nothing can be


def test_levels_are_the_nearest_of_equal_steps():
    c = Cell(2 * US, 32 * US, levels=16)  # 2 uS apart
    g = np.array([0.0, 2.9, 3.1, 17.4, 31.2, 50.0]) * US
    assert devices.levels(c, g) / US == pytest.approx([2, 2, 4, 18, 32, 32])
    every = devices.levels(c, np.linspace(2, 32, 16) * US)
    assert (devices.levels(c, every) == every).all()  # what is a level stays as it is, bit for bit
    assert devices.levels(Cell(2 * US, 32 * US), g) / US == pytest.approx([2, 2.9, 3.1, 17.4, 31.2, 32])
    with pytest.raises(TargetError, match="1 levels"):
        devices.levels(Cell(0.0, US, levels=1), g)


def test_levels_err_like_uniform_steps():
    c, rng = Cell(5 * US, 50 * US, levels=16), np.random.default_rng(6)
    g = rng.uniform(c.g_min, c.g_max, 20000)
    step = c.window / 15
    assert stats.kstest((devices.levels(c, g) - g) / step + 0.5, "uniform").pvalue > 1e-3


def test_formed_share_by_hand():
    """Breakdown voltages N(3.428, 0.113): half of the cells at the mean, 84.13 % a standard deviation above."""
    assert devices.formed_share(3.428, 3.428, 0.113) == pytest.approx(0.5)
    assert devices.formed_share(3.541, 3.428, 0.113) == pytest.approx(0.841345, abs=1e-6)
    for share in (0.01, 0.503, 0.99):
        assert devices.formed_share(devices.forming_volts(share, 3.428, 0.113), 3.428, 0.113) == pytest.approx(share)


def test_pairs_left_to_chance_have_the_variance_and_the_zeros_of_theory():
    forming, c = Forming(0.3, 10 * US, 0.4), Cell(0.0, 40 * US, g_off=0.0)
    rng, mask = np.random.default_rng(7), np.ones((400, 500), np.uint8)
    difference = devices.draw_forming(forming, c, mask, rng) - devices.draw_forming(forming, c, mask, rng)
    std, zeros = devices.pair_statistics(forming)
    assert difference.std() == pytest.approx(std, rel=0.01)
    assert zeros == pytest.approx(0.49) and stats.binomtest(int((difference == 0).sum()), mask.size, 0.49).pvalue > 1e-3
    mean, variance = 10 * math.exp(0.08), 100 * math.exp(0.16) * math.expm1(0.16)
    assert std / US == pytest.approx(math.sqrt(2 * (0.3 * variance + 0.21 * mean ** 2)))


GOOD = {
    "write": [Law(), RANGE, GMAX, PROPORTIONAL, MILO, WAN, JOSHI, QUARTIC, PCM, CMO, VERIFIED],
    "read": [Law(), RANGE, GMAX, PROPORTIONAL, MILO, WAN, JOSHI, QUARTIC, PCM, CMO, PCM_1F, CMO_LOG],
    "drift": [Law(), PCM_DRIFT, CMO_DRIFT, WAN_DRIFT],
}


@pytest.mark.parametrize("role", ROLES)
def test_every_family_refuses_a_missing_and_an_unknown_constant(role):
    assert {law.family for law in GOOD[role]} == set(FAMILIES[role])
    for law in GOOD[role]:
        check(law, role, cell(20))
        assert law.family in devices.describe(law, role)
        for name in law.constants:
            less = {n: v for n, v in law.constants.items() if n != name}
            with pytest.raises(TargetError, match=f"missing {name}.*unknown {name}x") as caught:
                check(Law(law.family, less | {name + "x": 1.0}), role)
            assert caught.value.code == "BAD_LAW"


@pytest.mark.parametrize(("law", "role", "text"), [
    (Law("gauss"), "write", "no write law is called 'gauss'"),
    (VERIFIED, "read", "no read law is called 'verified'"),
    (Law("range", {"a": (0.1,)}), "write", "a must be one number"),
    (Law("range", {"a": -0.1}), "read", "a is -0.1"),
    (Law("range", {"a": math.nan}), "read", "not made of finite numbers"),
    (Law("range", {"a": True}), "read", "not made of finite numbers"),
    (Law("wan", {"coefficients_us": (1.0, 2.0), "limit_us": 40.0}), "write", "has 2 numbers and needs 4"),
    (Law("wan", {"coefficients_us": 1.0, "limit_us": 40.0}), "write", "must be a list"),
    (Law("pcm", {"coefficients_us": (1.0, 2.0, 3.0), "reference_us": 0.0}), "write", "reference_us is 0"),
    (Law("wan", dict(WAN_DRIFT.constants) | {"seconds": (1.0, 2.0)}), "drift", "has 15 numbers and needs 10"),
    (Law("wan", dict(WAN_DRIFT.constants) | {"seconds": ()}), "drift", "seconds has 0 numbers"),
])
def test_bad_laws_are_refused(law, role, text):
    with pytest.raises(TargetError, match=text) as caught:
        check(law, role)
    assert caught.value.code == "BAD_LAW"


PUBLISHED = {"pcm": {"write": PCM, "read": PCM_1F, "drift": PCM_DRIFT},
             "neurram": {"write": QUARTIC, "drift": WAN_DRIFT}}
TARGETS = sorted(p.stem for p in (Path(targets.__file__).parent / "data").glob("memristor*.toml"))


@pytest.mark.parametrize("name", TARGETS)
def test_targets_have_whole_laws_with_the_published_constants(name):
    p = targets.load_target(name).physics()
    for role in ROLES:
        law = getattr(p.device, role)
        check(law, role, p.cell)
        expected = PUBLISHED.get(name.removeprefix("memristor_"), {}).get(role, law)
        assert law.family == expected.family
        for constant, value in expected.constants.items():
            assert law.constants[constant] == pytest.approx(value), (role, constant)


def test_a_fit_is_not_used_for_higher_conductances_than_it_was_made_for():
    for law, g_max in ((WAN, 40.0), (JOSHI, 26.0), (MILO, 226.0)):
        with pytest.raises(TargetError, match="it was fitted up to") as caught:
            devices.write_sigma(law, cell(g_max), np.zeros(1))
        assert caught.value.code == "BAD_LAW"
