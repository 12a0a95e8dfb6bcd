"""The firmware's exp, log, tanh, cbrt and pow (firmware_stubs/common/maths.c) against exact values of 40 digits."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal, getcontext, localcontext
from pathlib import Path

import numpy as np
import pytest
from shell import FLAGS, STUBS

DIGITS = 40
Exact = Callable[..., Decimal]
CODE = """
#include "maths.h"
#include <stdint.h>
#define ALL(f) void all_##f(const double *x, double *y, uint32_t n) \\
{ for (uint32_t i = 0; i < n; i++) y[i] = hw_##f(x[i]); }
ALL(exp) ALL(log) ALL(tanh) ALL(cbrt)
void all_pow(const double *x, const double *p, double *y, uint32_t n)
{ for (uint32_t i = 0; i < n; i++) y[i] = hw_pow(x[i], p[i]); }
"""
LIMITS = {"exp": 0.55, "log": 0.55, "tanh": 0.6, "cbrt": 0.67, "pow": 0.7}
"""Units in the last place."""


@pytest.fixture(scope="module")
def maths(tmp_path_factory):
    """name -> the function over arrays."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler `cc`; install one, e.g. apt install gcc")
    folder: Path = tmp_path_factory.mktemp("maths")
    (folder / "all.c").write_text(CODE)
    subprocess.run(["cc", *FLAGS, "-I", STUBS / "common", "-o", folder / "maths.so", folder / "all.c",
                    STUBS / "common/maths.c"], check=True)
    library = ctypes.CDLL(str(folder / "maths.so"))

    def call(name, *columns):
        arrays = [np.ascontiguousarray(np.broadcast_to(c, np.shape(columns[0])), np.float64) for c in columns]
        found = np.empty(len(arrays[0]))
        getattr(library, f"all_{name}")(*(ctypes.c_void_p(a.ctypes.data) for a in (*arrays, found)), len(found))
        return found

    return call


def last_places(got: np.ndarray, *arguments: np.ndarray, exact: Exact) -> float:
    """The largest distance from the exact values, in units of the last place of the nearest double."""
    worst = 0.0
    with localcontext() as context:
        context.prec = DIGITS
        for value, *x in zip(got.tolist(), *(a.tolist() for a in arguments), strict=True):
            true = exact(*(Decimal(v) for v in x))
            worst = max(worst, float(abs(Decimal(value) - true) / Decimal(math.ulp(float(true)))))
    return worst


def exact_tanh(x: Decimal) -> Decimal:
    getcontext().prec += 10
    e = (2 * x).exp()
    found = (e - 1) / (e + 1)
    getcontext().prec -= 10
    return +found


def exact_cbrt(x: Decimal) -> Decimal:
    return (abs(x) ** (Decimal(1) / 3)).copy_sign(x)


EXACT: dict[str, Exact] = {"exp": Decimal.exp, "log": Decimal.ln, "tanh": exact_tanh, "cbrt": exact_cbrt,
                           "pow": lambda x, y: x ** y}


def points(name: str, n: int) -> list[np.ndarray]:
    """Arguments over the whole range, many of them where a network's are."""
    rng = np.random.default_rng(1)
    sign = rng.choice([-1.0, 1.0], n)
    wide = np.ldexp(rng.uniform(1, 2, n), rng.integers(-1000, 1000, n))
    if name == "exp":
        small = sign * 10.0 ** rng.uniform(-20, 0, n)
        return [np.concatenate([rng.uniform(-708, 709.7, n), rng.normal(0, 2, n), small])]
    if name == "tanh":
        return [np.concatenate([rng.normal(0, 2, n), rng.uniform(-21, 21, n), sign * 10.0 ** rng.uniform(-9, 0, n)])]
    if name == "log":
        return [np.concatenate([wide, rng.uniform(0.5, 2, n), 1 + sign * 10.0 ** rng.uniform(-15, -0.4, n)])]
    if name == "cbrt":
        return [np.concatenate([wide * sign, rng.uniform(-8, 8, n)])]
    x = np.concatenate([rng.uniform(0, 10, n), wide, 1 + sign * 10.0 ** rng.uniform(-8, -1, n)])
    most = np.minimum(np.abs(700 / np.log(x)), 1e6)
    return [x, rng.uniform(-1, 1, len(x)) * np.where(rng.random(len(x)) < 0.5, most, np.minimum(most, 3))]


@pytest.mark.parametrize("name", LIMITS)
def test_results_are_less_than_a_unit_in_the_last_place_off(maths, name):
    arguments = points(name, 70 if name == "pow" else 1000)
    worst = last_places(maths(name, *arguments), *arguments, exact=EXACT[name])
    assert worst <= LIMITS[name]
    assert worst > 0.49, "else the measure itself is wrong: a rounded result is half a unit off somewhere"


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
def test_many_results(maths, name):
    arguments = points(name, 4_000 if name == "pow" else 60_000)
    assert last_places(maths(name, *arguments), *arguments, exact=EXACT[name]) <= LIMITS[name]


def test_rounded_to_float32_they_are_those_of_the_platform(maths):
    x = np.random.default_rng(2).normal(0, 4, 400_000).astype(np.float32).astype(np.float64)
    for name, own in (("exp", np.exp), ("tanh", np.tanh), ("cbrt", np.cbrt)):
        assert (maths(name, x).astype(np.float32) == own(x).astype(np.float32)).all(), name
    x = np.abs(x) + 2.0**-30
    assert (maths("log", x).astype(np.float32) == np.log(x).astype(np.float32)).all()


def test_the_ends_of_the_range(maths):
    inf, nan, least = math.inf, math.nan, 5e-324
    assert maths("exp", [0, -0.0, inf, -inf, 709.782, 709.783, -745.13, -745.14, 1000, -1000]).tolist() == [
        1, 1, inf, 0, math.exp(709.782), inf, least, 0, inf, 0]
    assert maths("log", [1, 0, inf, least, math.e]).tolist() == [0, -inf, inf, math.log(least), 1]
    assert maths("tanh", [0, inf, -inf, 25, -25, least, 1e-300]).tolist() == [0, 1, -1, 1, -1, least, 1e-300]
    assert math.copysign(1, maths("tanh", [-0.0])[0]) == -1
    assert maths("cbrt", [0, 8, -27, inf, -inf, 1e-318, 2.0**-1074]).tolist() == [
        0, 2, -3, inf, -inf, np.cbrt(1e-318), 2.0**-358]
    for name in ("exp", "log", "tanh", "cbrt"):
        assert np.isnan(maths(name, [nan])).all(), name
    assert np.isnan(maths("log", [-1, -inf])).all()
    tiny = np.arange(-745.1, -708, 0.37)
    np.testing.assert_allclose(maths("exp", tiny), np.exp(tiny), rtol=0, atol=least)


def test_special_powers_are_those_of_python(maths):
    values = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1e300, math.inf, -math.inf, math.nan, 2.0**60, 0.3]
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    got = maths("pow", x, y)
    with np.errstate(all="ignore"):
        expected = np.power(x, y)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_array_equal(np.signbit(got[~np.isnan(got)]), np.signbit(expected[~np.isnan(got)]))
    np.testing.assert_allclose(got, expected, rtol=2.3e-16)
