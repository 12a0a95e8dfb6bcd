"""What can be chosen for crossbars alone (--option NAME=VALUE): how weights become cells, and what the array is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwsdk.backends.base import CompileOptions, number_option, require_known
from hwsdk.errors import TargetError, UnsupportedError
from hwsdk.ir.crossbar import Physics
from hwsdk.mappers.memristor_options import CHOICES, MapOptions
from hwsdk.targets.memristor import MemristorTarget
from hwsdk.targets.memristor_changes import names

RANGES = ("auto", "max", "calibrated")
SWITCH = {"yes": True, "no": False}
MAPPING = ("encoding", "conv", "subtract", "scale", "clip", "clip_at", "order", "share", "spread", "native")
RUN = ("full_scale", "percentile", "compensate")


@dataclass(frozen=True, slots=True)
class MemristorOptions:
    """What can be chosen for this target alone.

    mapping: encoding (default "differential", or "sliced" where cells have fewer levels than the bits ask for), conv,
    subtract, scale (default "neuron", as "source" takes more phases and conversions), clip, clip_at, order,
    share ("yes", "no"), spread, native (populations or SOURCE->TARGET links, separated by commas); see
    hwsdk.mappers.memristor_options.MapOptions.
    full_scale: of converters: "max" (all rows on), "calibrated" (the ``percentile`` of a block's currents on the
    calibration data), "auto": the latter where there are data. compensate: each channel's digital gain makes good what
    its wires lose on the calibration data.
    changes: of the array, whatever hwsdk.targets.memristor.MemristorTarget.physics takes, such as write=0.1,
    read=off, wires=off, adc_bits=4, mux=1, die=7; without a die the compilation's seed is it.
    """

    mapping: Mapping[str, Any] = field(default_factory=dict)
    full_scale: str = "auto"
    percentile: float = 99.9
    compensate: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, options: CompileOptions) -> MemristorOptions:
        """From the options of a compilation.

        Raises:
            UnsupportedError: UNKNOWN_OPTION or BAD_OPTION.
        """
        given = dict(options.target_options)
        require_known("memristor", given, (*MAPPING, *RUN, *names()))
        return cls(_mapping(given), _one_of("full_scale", given.get("full_scale", "auto"), RANGES),
                   number_option("percentile", given.get("percentile", 99.9), 50.0, 100.0),
                   _switch("compensate", given.get("compensate", False)),
                   {n: v for n, v in given.items() if n in names()})

    def physics(self, target: MemristorTarget, seed: int) -> Physics:
        """The target's array with what was chosen.

        Raises:
            UnsupportedError: BAD_OPTION.
        """
        try:
            return target.physics(**{"die": seed, **self.changes})
        except TargetError as error:
            if error.code not in ("BAD_OPTION", "UNKNOWN_OPTION"):
                raise
            raise UnsupportedError(error.what, where=error.where, code=error.code, fix=error.fix) from None

    def map_options(self, options: CompileOptions, physics: Physics, activity: Mapping[str, Any] | None) -> MapOptions:
        """How the weights are written: by default over several pairs of cells where one has too few levels."""
        rates = {} if activity is None else dict(activity)
        calibrated = bool(rates) and self.full_scale != "max"
        levels = physics.cell.levels if physics.has("levels") else None
        encoding = "differential" if levels is None or levels >= 2 ** (options.bits - 1) else "sliced"
        return MapOptions(**{"scale": "neuron", "encoding": encoding, **self.mapping}, bits=options.bits,
                          chips=options.chips, activity=rates, full_scale="calibrated" if calibrated else "max")


def _mapping(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the mapper."""
    found = {n: given[n] for n in MAPPING if n in given}
    for name, known in CHOICES.items():
        if name in found:
            _one_of(name, found[name], known)
    if "clip_at" in found:
        found["clip_at"] = number_option("clip_at", found["clip_at"], 1e-3, 1e6)
    if "share" in found:
        found["share"] = _switch("share", found["share"])
    if "native" in found:
        value = found["native"]
        found["native"] = tuple(p.strip() for p in value.split(",") if p.strip()) if isinstance(value, str) \
            else tuple(value)
    return found


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UnsupportedError(f"{name} is {value!r}", code="BAD_OPTION", fix=f"use one of {', '.join(choices)}")
    return str(value)


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return SWITCH[_one_of(name, value, tuple(SWITCH))]
