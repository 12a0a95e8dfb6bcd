"""What devices do to conductances: levels, forming, errors of writing, noise of reading, drift. Siemens in and out.

The published formulas are in uS and are computed in uS; simulators/devices_laws.py lists them with their sources.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hwsdk.errors import TargetError
from hwsdk.ir.crossbar import Cell, Forming, Law
from hwsdk.simulators.devices_laws import check, family_of
from hwsdk.simulators.devices_verify import Draws, verified_sigma, write_verify

Array = NDArray[np.float64]
US = 1e-6
NO_G = 1e-7
"""The least g = G / G_max in a logarithm or a negative power, as in aihwkit."""


def _range(law: Law, cell: Cell, g: Array) -> Array:
    return np.full(g.shape, law.one("a") * cell.window / US)


def _gmax(law: Law, cell: Cell, g: Array) -> Array:
    return np.full(g.shape, law.one("a") * cell.g_max / US)


def _proportional(law: Law, cell: Cell, g: Array) -> Array:
    return law.one("a") * g


def _linear(law: Law, cell: Cell, g: Array) -> Array:
    return np.maximum(law.one("intercept_us") + law.one("slope") * g, 0.0)


def _milo(law: Law, cell: Cell, g: Array) -> Array:
    return _linear(law, cell, np.minimum(g, law.one("limit_us")))


def _absolute(law: Law, cell: Cell, g: Array) -> Array:
    inside = np.clip(g, 0.0, law.one("limit_us"))
    return np.maximum(np.polynomial.polynomial.polyval(inside, law.many("coefficients_us")), 0.0)


def _scaled(law: Law, cell: Cell, g: Array) -> Array:
    return scaled_sigma(law.many("coefficients_us"), law.one("reference_us"), cell.g_max / US, g)


def scaled_sigma(coefficients: Array, reference: float, g_max: float, g: Array) -> Array:
    """A fit in g = G / G_max, made with G_max = ``reference``, for another G_max: the error keeps its share of G_max.

    All in uS. Beyond g_max the value at g_max, below 0 uS the one at 0.
    """
    relative = np.clip(g / g_max, 0.0, 1.0)
    return np.maximum(np.polynomial.polynomial.polyval(relative, coefficients), 0.0) * (g_max / reference)


def _verified(law: Law, cell: Cell, g: Array) -> Array:
    window = cell.window / US
    sigma, tolerance = law.one("a") * window, law.one("tolerance") * window
    return np.full(g.shape, verified_sigma(sigma, tolerance, int(law.one("pulses"))))


SIGMAS: dict[str, Callable[[Law, Cell, Array], Array]] = {
    "none": lambda law, cell, g: np.zeros(g.shape), "range": _range, "gmax": _gmax, "proportional": _proportional,
    "milo": _milo, "wan": _absolute, "pcm_joshi": _absolute, "wan_quartic": _scaled, "pcm": _scaled, "cmo": _linear,
    "verified": _verified,
}
"""Family -> sigma in uS of (law, cell, conductances in uS)."""


def write_sigma(law: Law, cell: Cell, g: Array) -> Array:
    """Standard deviation in S of what a write leaves in cells of the targets g (S, any shape).

    Raises TargetError BAD_LAW.
    """
    check(law, "write", cell)
    return SIGMAS[law.family](law, cell, np.asarray(g) / US) * US


def draw_write(law: Law, cell: Cell, g: Array, rng: Draws) -> Array:
    """Conductances in S after a write of the targets g (S): Gaussian around the target, except where a write is
    verified. Not clipped.
    """
    check(law, "write", cell)
    if law.family == "none":
        return np.array(g, np.float64)
    if law.family == "verified":
        w = cell.window
        return write_verify(g, law.one("a") * w, law.one("tolerance") * w, int(law.one("pulses")), rng).conductances
    return g + write_sigma(law, cell, g) * rng.standard_normal(g.shape)


def read_sigma(law: Law, cell: Cell, g: Array, seconds: float, written: Array | None = None) -> Array:
    """Standard deviation in S of a single read of cells of g (S) that were written ``seconds`` ago.

    written: what they had then (S), from which pcm_1f takes its q; g where it is not known. Raises TargetError BAD_LAW.
    """
    check(law, "read", cell)
    us = np.asarray(g, np.float64) / US
    if law.family == "pcm_1f":
        return _pcm_1f(law, cell, us, us if written is None else written / US, seconds) * US
    if law.family == "cmo_log":
        return _cmo_log(law, us, seconds) * US
    return SIGMAS[law.family](law, cell, us) * US


def _octaves(seconds: float, t_read: float) -> float:
    """sqrt(ln((t + t_read) / (2 t_read))): the 1/f noise gathered from t_read to t; 0 before t_read."""
    return float(np.sqrt(np.log(max((seconds + t_read) / (2 * t_read), 1.0))))


def _pcm_1f(law: Law, cell: Cell, g: Array, written: Array, seconds: float) -> Array:
    relative = np.maximum(written / (cell.g_max / US), NO_G)
    q = np.minimum(law.one("q") / relative ** law.one("exponent"), law.one("q_max"))
    return q * np.abs(g) * _octaves(seconds + law.one("t_0"), law.one("t_read"))


def _cmo_log(law: Law, g: Array, seconds: float) -> Array:
    return law.one("k") * np.log10(np.maximum(g, 1.0)) * _octaves(seconds, law.one("t_read"))


def drift(law: Law, cell: Cell, g: Array, seconds: float, rng: Draws, target: Array | None = None) -> Array:
    """Conductances in S that g (S) has become after ``seconds``. Not clipped.

    target: what was to be written (S), on which the exponents of pcm and the errors of wan depend; g where it is not
    known. Raises TargetError BAD_LAW, also for a time of which the law knows nothing.
    """
    check(law, "drift", cell)
    aim = (g if target is None else target) / US
    return DRIFTS[law.family](law, cell, np.asarray(g, np.float64), aim, seconds, rng)


def _pcm(law: Law, cell: Cell, g: Array, aim: Array, seconds: float, rng: Draws) -> Array:
    if seconds <= 0:
        return g
    later = (seconds + law.one("t_0")) / law.one("t_0")
    return np.asarray(g * later ** -draw_nu(law, cell, aim, rng))


def draw_nu(law: Law, cell: Cell, g: Array, rng: Draws) -> Array:
    """Drift exponents of a PCM for targets g in uS: |N(m, s)|."""
    logarithm = np.log(np.maximum(np.abs(g) / (cell.g_max / US), NO_G))
    (m1, m0, *m_range), (s1, s0, *s_range) = law.many("mean"), law.many("spread")
    m, s = np.clip(m1 * logarithm + m0, *m_range), np.clip(s1 * logarithm + s0, *s_range)
    return np.asarray(np.abs(m + s * rng.standard_normal(g.shape)))


def _cmo(law: Law, cell: Cell, g: Array, aim: Array, seconds: float, rng: Draws) -> Array:
    if seconds <= 0:
        return g
    t = np.log(seconds)
    spread = max(law.one("spread_us") * t + law.one("base_us"), 0.0)
    return np.asarray(g + US * (law.one("mean_us") * t + spread * rng.standard_normal(g.shape)))


def _wan(law: Law, cell: Cell, g: Array, aim: Array, seconds: float, rng: Draws) -> Array:
    times = law.many("seconds").tolist()
    if seconds not in times:
        known = ", ".join(f"{t:g}" for t in times)
        raise TargetError(f"nothing was published for {seconds:g} s after the writing", where=f"drift law {law.family}",
                          fix=f"ask for one of {known} s", code="BAD_LAW")
    rows = law.many("coefficients_us").reshape(len(times), -1)
    first, now = (scaled_sigma(rows[k], law.one("reference_us"), cell.g_max / US, aim)
                  for k in (0, times.index(seconds)))
    return g + US * np.sqrt(np.maximum(now ** 2 - first ** 2, 0.0)) * rng.standard_normal(g.shape)


DRIFTS: dict[str, Callable[[Law, Cell, Array, Array, float, Draws], Array]] = {
    "none": lambda law, cell, g, aim, seconds, rng: g, "pcm": _pcm, "cmo": _cmo, "wan": _wan}
"""Family -> conductances in S of (law, cell, conductances in S, targets in uS, seconds, draws)."""
LAWS = {"write": write_sigma, "read": read_sigma, "drift": drift}
"""Role -> its function; ``describe`` says what a family does."""


def describe(law: Law, role: str) -> str:
    """Formula and source of a law in a line."""
    family = family_of(law, role)
    return f"{law.family}: {family.formula}" + (f" ({family.source})" if family.source else "")


def levels(cell: Cell, g: Array) -> Array:
    """The nearest of the equally spaced levels from g_min to g_max (S); with any number of levels, g in that window.

    Raises TargetError BAD_TARGET for a cell of fewer than 2 levels.
    """
    inside = np.clip(g, cell.g_min, cell.g_max)
    if cell.levels is None:
        return inside
    if cell.levels < 2:
        raise TargetError(f"a cell of {cell.levels} levels holds nothing", where="cell", fix="give 2 levels or more")
    steps = cell.levels - 1
    return cell.g_min + np.rint((inside - cell.g_min) / cell.window * steps) * (cell.window / steps)


def draw_forming(forming: Forming, cell: Cell, mask: NDArray[np.uint8], rng: Draws) -> Array:
    """Cells of which those with mask 1 see the forming voltage once: lognormal conductances where they form, else
    g_off (g_min where the cell has none). S, of the shape of ``mask``.
    """
    off = cell.g_min if cell.g_off is None else cell.g_off
    formed = (rng.random(mask.shape) < forming.formed) & (mask != 0)
    grown = forming.median * np.exp(forming.sigma * rng.standard_normal(mask.shape))
    return np.where(formed, grown, off)


def formed_share(volts: float, mean: float, std: float) -> float:
    """Share of cells that a forming voltage forms: those whose breakdown voltage, N(mean, std) in V, is no higher."""
    return float(ndtr((volts - mean) / std))


def forming_volts(share: float, mean: float, std: float) -> float:
    """The voltage that forms this share of the cells: the inverse of ``formed_share``."""
    return float(mean + std * ndtri(share))


def pair_statistics(forming: Forming, off: float = 0.0) -> tuple[float, float]:
    """(standard deviation in S, share of exact zeros) of the difference of two cells that were left to chance.

    var = 2 [p s^2 + p (1 - p) (m - off)^2] with m and s of a formed cell; both cells stay unformed with (1 - p)^2.
    """
    p = forming.formed
    m = forming.median * np.exp(forming.sigma ** 2 / 2)
    variance = m ** 2 * np.expm1(forming.sigma ** 2)
    return float(np.sqrt(2 * (p * variance + p * (1 - p) * (m - off) ** 2))), (1 - p) ** 2
