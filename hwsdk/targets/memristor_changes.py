"""Changes of a crossbar's physics by name, as numbers or as their text: what a user may want otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NoReturn

from hwsdk.errors import TargetError
from hwsdk.ir.crossbar import STAGES, TOPOLOGIES, Device, Forming, Law, Physics

if TYPE_CHECKING:
    from hwsdk.targets.memristor import MemristorTarget

CHOICES = {"topology": TOPOLOGIES, "conducting": ("selected", "all")}
SWITCH = {"on": True, "off": False}
WHOLE = {"rows": ("", "rows", 1), "columns": ("", "columns", 1), "mux": ("", "mux", 1), "die": ("", "die", 0),
         "levels": ("cell", "levels", 2), "adc_bits": ("adc", "bits", 1), "dac_bits": ("", "dac_bits", 1)}
"""Whole numbers: part of the physics, field, least value."""
ANY = {"levels": "any", "adc_bits": "ideal", "dac_bits": "any"}
"""The word for no limit of these."""
MOST = {"levels": 65_536, "adc_bits": 24, "dac_bits": 24, "rows": 65_536, "columns": 65_536, "die": 2**63 - 1}
POSITIVE, ZERO, SHARE = 0, 1, 2
NUMBERS = {
    "volts": ("", "volts", POSITIVE), "seconds": ("", "seconds", ZERO),
    "g_min": ("cell", "g_min", ZERO), "g_max": ("cell", "g_max", POSITIVE), "g_off": ("cell", "g_off", ZERO),
    "ceiling": ("cell", "ceiling", POSITIVE), "adc_offset": ("adc", "offset", ZERO), "adc_gain": ("adc", "gain", ZERO),
    "settle": ("timing", "settle", ZERO), "integrate": ("timing", "integrate", POSITIVE),
    "convert": ("timing", "convert", ZERO), "word_ohm": ("wires", "word", ZERO), "bit_ohm": ("wires", "bit", ZERO),
    "driver_ohm": ("wires", "driver", ZERO), "sense_ohm": ("wires", "sense", ZERO),
    "stuck_on": ("device", "stuck_on", SHARE), "stuck_off": ("device", "stuck_off", SHARE)}
"""Numbers: part of the physics, field, range."""
RANGES: dict[int, tuple[str, Callable[[float], bool]]] = {
    POSITIVE: ("more than 0", lambda x: x > 0), ZERO: ("0 or more", lambda x: x >= 0),
    SHARE: ("a share from 0 to 1", lambda x: 0 <= x <= 1)}
IMPLIED = {"levels": "levels", "adc_bits": "adc", "adc_offset": "adc", "adc_gain": "adc", "word_ohm": "wires",
           "bit_ohm": "wires", "driver_ohm": "wires", "sense_ohm": "wires", "stuck_on": "faults",
           "stuck_off": "faults"}
"""Numbers that mean nothing while their stage is off."""
SPECIAL = ("stages", "off", *STAGES, "formed", "forming_volts", "overlap")


def names() -> tuple[str, ...]:
    """All changes that there are."""
    return tuple(sorted({*CHOICES, *WHOLE, *NUMBERS, *SPECIAL}))


def changed(physics: Physics, target: MemristorTarget, changes: Mapping[str, Any]) -> Physics:
    """The physics with the changes.

    Raises:
        TargetError: UNKNOWN_OPTION or BAD_OPTION.
    """
    if unknown := sorted(set(changes) - set(names())):
        raise TargetError(f"there is no {', '.join(unknown)} to be changed", where=target.name, code="UNKNOWN_OPTION",
                          fix=f"use {', '.join(names())}")
    found = _staged(physics, changes)
    for name, value in changes.items():
        if name in WHOLE and not _is_stage(name, value):
            found = _set(found, *WHOLE[name][:2], _whole(name, value))
        elif name in NUMBERS:
            part, field, kind = NUMBERS[name]
            found = _set(found, part, field, _number(name, value, kind))
        elif name in CHOICES:
            found = _set(found, "wires", name, _choice(name, value))
        elif name == "overlap":
            found = _set(found, "timing", name, _switch(name, value))
    return _require(_formed(found, target, changes), target)


def _set(physics: Physics, part: str, field: str, value: Any) -> Physics:
    """One field of the physics or of a part of it."""
    if not part:
        return replace(physics, **{field: value})
    return replace(physics, **{part: replace(getattr(physics, part), **{field: value})})


def _staged(physics: Physics, changes: Mapping[str, Any]) -> Physics:
    """The stages that are on, and laws of noise that were given as shares of the window."""
    if "stages" in changes:
        on = set(_stages("stages", changes["stages"]))
    else:
        on = {*physics.stages, *(IMPLIED[n] for n in changes if n in IMPLIED)}
    on -= set(_stages("off", changes.get("off", ())))
    device: Device = physics.device
    for stage in (s for s in STAGES if s in changes and _is_stage(s, changes[s])):
        value = changes[stage]
        if stage in ("write", "read") and not _is_switch(value):
            law = Law("range", {"a": _number(stage, value, ZERO)})
            device = replace(device, write=law) if stage == "write" else replace(device, read=law)
            value = True
        on = on | {stage} if _switch(stage, value) else on - {stage}
    return replace(physics, stages=tuple(s for s in STAGES if s in on), device=device)


def _stages(name: str, value: Any) -> tuple[str, ...]:
    """From names, or from their text."""
    words = {"all": STAGES, "none": ()}
    if isinstance(value, str):
        value = words.get(value, tuple(x.strip() for x in value.split(",") if x.strip()))
    if wrong := [x for x in value if x not in STAGES]:
        _refuse(name, ", ".join(map(str, wrong)), f"all, none, or some of {', '.join(STAGES)}")
    return tuple(value)


def _formed(physics: Physics, target: MemristorTarget, changes: Mapping[str, Any]) -> Physics:
    """With another share of formed cells, given itself or by the voltage of the forming."""
    given = [n for n in ("formed", "forming_volts") if n in changes]
    if not given:
        return physics
    own, form = physics.device.forming, target.device.forming
    if own is None or form is None:
        _refuse(given[0], changes[given[0]], "nothing: the forming of these cells is not described")
    if len(given) == 2:
        _refuse("formed", changes["formed"], "either formed or forming_volts")
    if given == ["formed"]:
        share = _number("formed", changes["formed"], SHARE)
    else:
        mean = target.known(form.breakdown_mean, "device.forming.breakdown_mean")
        sigma = target.known(form.breakdown_sigma, "device.forming.breakdown_sigma")
        share = NormalDist(mean, sigma).cdf(_number("forming_volts", changes["forming_volts"], POSITIVE))
    return _set(physics, "device", "forming", Forming(share, own.median, own.sigma))


def _require(physics: Physics, target: MemristorTarget) -> Physics:
    """Refuse what contradicts itself."""
    c, d, where = physics.cell, physics.device, target.name
    problem = ""
    if c.g_min >= c.g_max:
        problem = f"a window from {c.g_min:g} to {c.g_max:g} S"
    elif c.ceiling is not None and c.ceiling < c.g_max:
        problem = f"a ceiling of {c.ceiling:g} S below a g_max of {c.g_max:g} S"
    elif d.stuck_on + d.stuck_off > 1:
        problem = f"{d.stuck_on:g} + {d.stuck_off:g} of all cells stuck"
    elif physics.mux > physics.columns:
        problem = f"a mux of {physics.mux} over {physics.columns} columns"
    elif physics.wires.topology == "gated" and physics.dac_bits != 1:
        problem = f"gated rows, which are on or off, with dac_bits {physics.dac_bits or 'any'}"
    if problem:
        raise TargetError(problem, where=where, code="BAD_OPTION", fix="change one of the two")
    return physics


def _is_stage(name: str, value: Any) -> bool:
    """Does it speak of a stage? "levels" is one too, and a number of them is not."""
    return name in STAGES and (name not in WHOLE or _is_switch(value))


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool) or value in SWITCH


def _switch(name: str, value: Any) -> bool:
    if not _is_switch(value):
        _refuse(name, value, "on or off")
    return value if isinstance(value, bool) else SWITCH[value]


def _choice(name: str, value: Any) -> str:
    if value not in CHOICES[name]:
        _refuse(name, value, " or ".join(CHOICES[name]))
    return str(value)


def _whole(name: str, value: Any) -> int | None:
    """A whole number in its range, or None for the word that means no limit."""
    word, least, most = ANY.get(name), WHOLE[name][2], MOST.get(name, 65_536)
    if word is not None and value == word:
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or not least <= int(text) <= most:
        _refuse(name, value, f"a whole number from {least} to {most}{f', or {word}' if word else ''}")
    return int(text)


def _number(name: str, value: Any, kind: int) -> float:
    """A number in its range."""
    words, good = RANGES[kind]
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and good(number)):
        _refuse(name, value, words)
    return number


def _refuse(name: str, value: Any, fix: str) -> NoReturn:
    raise TargetError(f"{name} is {value!r}", code="BAD_OPTION", fix=f"use {fix}")
