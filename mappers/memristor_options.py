"""How a network is written into crossbars: what can be chosen, and what of it makes no sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.crossbar import Physics

CHOICES = {
    "encoding": ("differential", "offset", "sliced"), "conv": ("auto", "toeplitz", "im2col"),
    "subtract": ("digital", "analog"), "scale": ("matrix", "neuron", "source"),
    "clip": ("max", "percentile", "sigmas"),
    "order": ("heavy", "model"), "full_scale": ("max", "calibrated"), "spread": ("auto", "yes", "no"),
}
CLIP_AT = {"percentile": 99.9, "sigmas": 2.5}
"""Where weights are clipped if nothing is said. 2.5 standard deviations: the random liquids that the LSM figures of
this project were measured with; 99.9 %: an outlier in a thousand."""
MOST_BITS = 24
"""Of a weight; more are not told apart in float32 models."""


@dataclass(frozen=True, slots=True)
class MapOptions:
    """What can be chosen.

    bits: of a signed weight, None for as many levels as the cells have. encoding: "differential": two cells side by
    side, of which one idles; "offset": one cell, whose middle is 0, and a reference column in each block; "sliced":
    digits over several differential pairs, added digitally. conv: "toeplitz": every synapse has its cells; "im2col":
    the kernel once, read for every output position; "auto": im2col where it needs fewer macros. subtract: pairs before
    ("analog") or after the converter. scale: one for all weights into a population ("matrix"), one for every neuron
    (im2col: every channel), or one for every neuron and source ("source"): what comes from each input or population
    then lies on blocks of its own, so that errors of the cells are a share of its own weights; it costs phases and
    conversions. clip, clip_at: the largest weight that the window holds: the largest there is ("max"), a
    percentile of the magnitudes, or so many times their root mean square. order: "heavy": heavy rows near the sense
    end, heavy columns near the driver, against losses in the wires; "model": as they are numbered. full_scale: of the
    converters: "max": nothing can clip; "calibrated": what ``activity`` makes likely (and see
    hwsdk.mappers.memristor_range.with_full_scale). activity: population or input -> mean input of a row in a step, of
    each element or of all. native: populations, or links "source->target", whose weights are what the devices are.
    share: blocks may share a macro, and are then read one after another. spread: the columns of a block lie on as many
    converters as there are ("yes"), so that it is read in fewer phases, or side by side ("no"); "auto": side by side
    only where that makes rows lose less: rows that are driven through wires with resistance. chips: at hand.
    """

    bits: int | None = 8
    encoding: str = "differential"
    conv: str = "auto"
    subtract: str = "digital"
    scale: str = "matrix"
    clip: str = "max"
    clip_at: float | None = None
    order: str = "heavy"
    full_scale: str = "max"
    activity: Mapping[str, NDArray[Any] | float] = field(default_factory=dict)
    native: tuple[str, ...] = ()
    share: bool = True
    spread: str = "auto"
    chips: int = 1

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UnsupportedError(f"{name} {getattr(self, name)!r}", code=f"BAD_{name.upper()}",
                                       fix=f"use one of {', '.join(known)}")
        if self.bits is not None and not 2 <= self.bits <= MOST_BITS:
            raise UnsupportedError(f"weights of {self.bits} bits", code="BAD_BITS", fix=f"use 2 to {MOST_BITS}")
        if self.encoding == "offset" and self.subtract == "analog":
            raise UnsupportedError("one reference column cannot be subtracted from several columns before conversion",
                                   code="BAD_SUBTRACT", fix='use subtract="digital", or encoding="differential"')
        if self.chips < 1:
            raise UnsupportedError(f"{self.chips} chips", code="BAD_CHIPS", fix="use 1 or more")
        high = 100.0 if self.clip == "percentile" else math.inf
        if self.clip_at is not None and not (0 < self.clip_at <= high and math.isfinite(self.clip_at)):
            raise UnsupportedError(f"weights clipped at {self.clip_at!r} {self.clip}", code="BAD_CLIP",
                                   fix="give a number above 0, and for a percentile at most 100")

    @property
    def clips_at(self) -> float:
        """The percentile, or the number of root mean squares."""
        return CLIP_AT[self.clip] if self.clip_at is None else self.clip_at


@dataclass(frozen=True, slots=True)
class Code:
    """How a weight becomes conductances.

    steps: of the largest weight, on each side, in one cell; None where a cell takes any conductance. step_s: siemens of
    a step. digits: cells that share a magnitude, ``base`` ** digit each. exact: the scale is a power of two, so that
    decoding gives the very weight.
    """

    encoding: str
    analog: bool
    steps: int | None
    step_s: float
    digits: int
    base: int
    exact: bool
    zero_s: float
    idle_mask: bool

    @property
    def width(self) -> int:
        """Columns of a neuron."""
        return 1 if self.encoding == "offset" else 2 * self.digits

    @property
    def extra(self) -> int:
        """Reference columns of a block."""
        return int(self.encoding == "offset")

    @property
    def top(self) -> int | None:
        """The largest magnitude as a number of steps, over all digits."""
        return None if self.steps is None else self.steps if self.digits == 1 else self.base**self.digits - 1


def code_of(physics: Physics, options: MapOptions, encoding: str | None = None) -> Code:
    """The code of an array. Cells with levels of their own are written to these only: a weight takes every k-th of them
    where it needs fewer.
    """
    cell, encoding = physics.cell, encoding or options.encoding
    exact = cell.levels is None and cell.g_min == 0 and (not physics.has("levels") or options.bits is None) \
        and encoding == "differential"
    levels = cell.levels if physics.has("levels") else None
    if encoding == "offset":
        steps, step = _offset(physics, levels, options)
    else:
        steps, step = _side(physics, levels, options)
    digits = _digits(levels, options) if encoding == "sliced" else 1
    if digits > 1 and levels is not None:
        steps, step = levels - 1, cell.window / (levels - 1)
    zero = cell.g_min + (step * steps if steps is not None else step) if encoding == "offset" else cell.g_min
    return Code(encoding, options.subtract == "analog", steps, step, digits, levels or 1, exact, zero,
                cell.g_off is None or encoding == "offset")


def _side(physics: Physics, levels: int | None, options: MapOptions) -> tuple[int | None, float]:
    """(steps of a differential cell, siemens of one): 2^(bits - 1) levels a cell, and not more than it has."""
    window = physics.cell.window
    asked = None if options.bits is None or not physics.has("levels") else 2 ** (options.bits - 1) - 1
    return _steps(window, levels, asked, 1)


def _offset(physics: Physics, levels: int | None, options: MapOptions) -> tuple[int | None, float]:
    """(steps from the middle to either end, siemens of one; None: the half window): 2^bits - 1 levels a cell."""
    asked = None if options.bits is None or not physics.has("levels") else 2 ** (options.bits - 1) - 1
    return _steps(physics.cell.window, levels, asked, 2)


def _steps(window: float, levels: int | None, asked: int | None, sides: int) -> tuple[int | None, float]:
    """Steps a side over the window, on the grid of the levels if there are any."""
    if levels is None:
        return (None, window / sides) if asked is None else (asked, window / (sides * asked))
    there = (levels - 1) // sides
    if there < 1:
        raise UnsupportedError(f"cells of {levels} levels have no middle for the offset encoding", code="LEVELS",
                               fix='use encoding="differential"')
    used = there if asked is None else min(there, asked)
    return used, window / (levels - 1) * (there // used)


def _digits(levels: int | None, options: MapOptions) -> int:
    """Digits that hold a magnitude of bits - 1 bits."""
    if levels is None or options.bits is None:
        return 1
    digits, most = 1, 2 ** (options.bits - 1) - 1
    while levels**digits - 1 < most:
        digits += 1
    return digits
