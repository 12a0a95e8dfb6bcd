"""Which laws of writing, reading and drifting are known, what constants each needs, and where its formula is from.

G is a conductance in uS, g = G / G_max, window = G_max - G_min, t the seconds since the writing, N a standard normal.
Coefficients are in rising powers. Sources: CrossSim, sandialabs/cross-sim 3.2.0 (BSD-3); aihwkit, IBM/aihwkit 1.1.0 and
1.2.0 (MIT); ESGNN, wangsc1912/ESGNN at 4486d8f (MIT).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwsdk.errors import TargetError
from hwsdk.ir.crossbar import Cell, Law

ROLES = ("write", "read", "drift")


@dataclass(frozen=True, slots=True)
class Family:
    """needs: constant -> how many numbers, 1 for a single one. times: the list comes that often, for as many times as
    ``seconds`` has.
    """

    formula: str
    source: str
    needs: Mapping[str, int]
    times: str = ""


NONE = Family("nothing", "", {})
_SIGMAS = {
    "none": NONE,
    "range": Family("sigma = a window", "share of the window, as in MrLinNing/RMAdaptiveMachine", {"a": 1}),
    "gmax": Family("sigma = a G_max", "CrossSim NormalIndependentDevice", {"a": 1}),
    "proportional": Family("sigma = a G", "CrossSim NormalProportionalDevice; re-reads of ESGNN", {"a": 1}),
    "milo": Family(
        "sigma = max(intercept_us + slope G, 0)",
        "V. Milo et al., IRPS 2021, fig. 4 (IGVVA-100), fit of CrossSim RRAMMilo",
        {"intercept_us": 1, "slope": 1, "limit_us": 1}),
    "wan": Family(
        "sigma = max(c0 + c1 G + c2 G^2 + c3 G^3, 0)",
        "W. Wan et al., Nature 2022, extended data fig. 3 (1 s), fit of CrossSim RRAMWan",
        {"coefficients_us": 4, "limit_us": 1}),
    "pcm_joshi": Family(
        "sigma = max(c0 + c1 G + c2 G^2, 0)",
        "V. Joshi et al., Nature Communications 2020, fig. 3b, fit of CrossSim PCMJoshi",
        {"coefficients_us": 3, "limit_us": 1}),
    "wan_quartic": Family(
        "sigma = G_max / reference_us (c0 + c1 g + c2 g^2 + c3 g^3 + c4 g^4)",
        "W. Wan et al., Nature 2022, fit of aihwkit ReRamWan2022NoiseModel", {"coefficients_us": 5, "reference_us": 1}),
    "pcm": Family(
        "sigma = G_max / reference_us (c0 + c1 g + c2 g^2)",
        "S. Nandakumar et al., ICECS 2019, fit of aihwkit PCMLikeNoiseModel",
        {"coefficients_us": 3, "reference_us": 1}),
    "cmo": Family(
        "sigma = intercept_us + slope G", "D. Falcone et al., fit of aihwkit ReRamCMONoiseModel",
        {"intercept_us": 1, "slope": 1}),
}
FAMILIES: Mapping[str, Mapping[str, Family]] = {
    "write": _SIGMAS | {
        "verified": Family(
            "pulses with sigma = a window each, until |G - target| <= tolerance window; at most ``pulses`` of them",
            "write-verify loop as of weierwan/Neurram_48core, with independent pulses",
            {"a": 1, "tolerance": 1, "pulses": 1}),
    },
    "read": _SIGMAS | {
        "pcm_1f": Family(
            "sigma = min(q / g^exponent, q_max) G sqrt(ln((t + t_0 + t_read) / (2 t_read))), q of the written G",
            "S. Nandakumar et al., ICECS 2019, as in aihwkit PCMLikeNoiseModel",
            {"q": 1, "exponent": 1, "q_max": 1, "t_read": 1, "t_0": 1}),
        "cmo_log": Family(
            "sigma = k log10(G) sqrt(ln((t + t_read) / (2 t_read))) uS, 0 below 1 uS",
            "D. Lombardo et al., DRC 2024, as in aihwkit ReRamCMONoiseModel", {"k": 1, "t_read": 1}),
    },
    "drift": {
        "none": NONE,
        "pcm": Family(
            "G ((t + t_0) / t_0)^-nu, nu = |m + s N|, m = clip(mean0 ln g + mean1, mean2, mean3), s of spread alike",
            "S. Nandakumar et al., ICECS 2019, as in aihwkit PCMLikeNoiseModel", {"t_0": 1, "mean": 4, "spread": 4}),
        "cmo": Family(
            "G + mean_us ln t + (spread_us ln t + base_us) N", "D. Falcone et al., as in aihwkit ReRamCMONoiseModel",
            {"mean_us": 1, "spread_us": 1, "base_us": 1}),
        "wan": Family(
            "G + sqrt(sigma(t)^2 - sigma(first of seconds)^2) N with sigma of wan_quartic; at these times only",
            "W. Wan et al., Nature 2022, fit of aihwkit ReRamWan2022NoiseModel",
            {"seconds": 0, "coefficients_us": 5, "reference_us": 1}, times="coefficients_us"),
    },
}
"""Role -> family -> what it is. A list of 0 numbers has any length from 1."""


def family_of(law: Law, role: str) -> Family:
    """The family of a law. Raises TargetError BAD_LAW where the role has none of this name."""
    known = FAMILIES[role]
    if law.family not in known:
        raise _bad(f"no {role} law is called {law.family!r}", role, f"use one of {', '.join(known)}")
    return known[law.family]


def check(law: Law, role: str, cell: Cell | None = None) -> None:
    """Has a law exactly the constants that its family needs, and was it fitted for conductances as high as the cell's?

    Raises TargetError BAD_LAW, which names what is missing, unknown, or of a wrong form.
    """
    family = family_of(law, role)
    where = f"{role} law {law.family}"
    missing = [n for n in family.needs if n not in law.constants]
    unknown = [n for n in law.constants if n not in family.needs]
    if missing or unknown:
        parts = [f"{word} {', '.join(names)}" for word, names in (("missing", missing), ("unknown", unknown)) if names]
        raise _bad(f"its constants do not suit {family.formula}: {'; '.join(parts)}", where,
                   f"give exactly {', '.join(family.needs) or 'none'}")
    for name, length in family.needs.items():
        _check_form(law, name, _length(law, family, name, length), where)
    _check_values(law, where, cell)


def _length(law: Law, family: Family, name: str, length: int) -> int:
    """How many numbers a constant must have: 0 for any, 1 for a single one."""
    return length * law.many("seconds").size if name == family.times else length


def _check_form(law: Law, name: str, length: int, where: str) -> None:
    value = law.constants[name]
    numbers = value if isinstance(value, tuple | list) else (value,)
    if any(isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in numbers):
        raise _bad(f"{name} is not made of finite numbers", where, "write numbers")
    if (length == 1) == isinstance(value, tuple | list):
        raise _bad(f"{name} must be {'one number' if length == 1 else 'a list'}", where, "see the formula")
    if not numbers or (length > 1 and len(numbers) != length):
        raise _bad(f"{name} has {len(numbers)} numbers and needs {length or 'at least 1'}", where, "see the formula")


def _check_values(law: Law, where: str, cell: Cell | None) -> None:
    positive = [n for n in ("reference_us", "limit_us", "t_read", "t_0", "pulses", "tolerance") if n in law.constants]
    for name in positive:
        if law.one(name) <= 0:
            raise _bad(f"{name} is {law.one(name):g}", where, "give a value above 0")
    for name in ("a", "q", "q_max", "k"):
        if name in law.constants and law.one(name) < 0:
            raise _bad(f"{name} is {law.one(name):g}", where, "give a value of at least 0")
    if cell is not None and "limit_us" in law.constants and cell.g_max * 1e6 > law.one("limit_us") * (1 + 1e-9):
        raise _bad(f"it was fitted up to {law.one('limit_us'):g} uS and the cell has {cell.g_max * 1e6:g} uS", where,
                   "choose a smaller g_max, or a law that scales with it")


def _bad(what: str, where: str, fix: str) -> TargetError:
    return TargetError(what, where=where, fix=fix, code="BAD_LAW")
