"""The range of the converters: steps and codes, from the cells, from expected activity, or from measured currents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.crossbar import Physics
from hwsdk.ir.nodes import frozen
from hwsdk.mappers.memristor_codes import Cells
from hwsdk.mappers.memristor_matrix import Tile
from hwsdk.mappers.memristor_place import Rates, rates_of
from hwsdk.programs.crossbar import Block, CrossbarProgram

Array = NDArray[Any]
Floats = NDArray[np.float64]
SPREAD = 4.0
"""Standard deviations over the mean current that a converter holds where only the activity is known: of a normal
distribution 3 in 100,000 lie beyond."""
SHARED = ("channel", "block")


def codes(physics: Physics, bipolar: bool) -> tuple[int, int]:
    """The range of codes, (0, 0) where nothing is converted."""
    bits = physics.adc.bits
    if bits is None or not physics.has("adc"):
        return 0, 0
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if bipolar else (0, (1 << bits) - 1)


def is_bipolar(tile: Tile, cells: Cells, physics: Physics, inputs: frozenset[str]) -> bool:
    """Can a current be negative? Slices of inputs are not; whole values may be."""
    whole = physics.dac_bits is None and any(s.source in inputs for s in tile.segments)
    return whole or bool((cells.sign < 0).any())


def full_scale(tile: Tile, cells: Cells, physics: Physics, inputs: frozenset[str], rates: Rates | None) -> Floats:
    """(K,) A: the largest current of each channel, with all rows on; with rates, mean and SPREAD deviations of it for
    rows that are on independently. An input row takes the largest slice of its converter.
    """
    high = 1.0 if physics.dac_bits is None else float((1 << physics.dac_bits) - 1)
    drive = np.repeat([high if s.source in inputs else 1.0 for s in tile.segments], [s.rows for s in tile.segments])
    by_channel = _summed(cells.likely_s * cells.sign, cells.channel, cells.channels)
    if rates is None:
        up, down = np.maximum(by_channel, 0), np.maximum(-by_channel, 0)
        found = np.maximum(drive @ up, drive @ down)
    else:
        rate = rates_of(tile, rates)
        spread = drive**2 * np.clip(rate / drive, 0, 1) * (1 - np.clip(rate / drive, 0, 1))
        found = np.abs(rate @ by_channel) + SPREAD * np.sqrt(spread @ by_channel**2)
    if cells.variance is not None:
        found = found + SPREAD * np.sqrt(drive**2 @ _summed(cells.variance, cells.channel, cells.channels))
    return np.asarray(found * physics.volts)


def _summed(values: Floats, channel: Array, channels: int) -> Floats:
    """(R, K) columns of a channel together."""
    found = np.zeros((channels, len(values)))
    np.add.at(found, channel, values.T)
    return found.T


def steps(scale: Floats, code_max: int) -> Floats:
    """(K,) A of a code: all converters of a block span its largest current."""
    if code_max == 0:
        return np.zeros(len(scale))
    top = float(scale.max(initial=0.0))
    return np.full(len(scale), (top if top > 0 else 1.0) / code_max)


def with_full_scale(program: CrossbarProgram, currents: Mapping[str, Floats], shared: str = "block") -> CrossbarProgram:
    """The program whose converters span other currents.

    Args:
        currents: block name -> (K,) A, or one number: the largest magnitude that each channel should hold, such as a
            percentile of what was measured. Blocks that are not named stay as they are, as do blocks without a real
            converter. shared: "block": all converters of a block have one range, the largest; "channel": each its own.

    Raises:
        UnsupportedError: BAD_FULL_SCALE.
    """
    names = {x.name for x in program.blocks}
    if shared not in SHARED or set(currents) - names:
        raise UnsupportedError(f"ranges {shared!r} of {', '.join(sorted(set(currents) - names)[:4]) or 'blocks'}",
                               code="BAD_FULL_SCALE", fix=f"use {', '.join(SHARED)} and names of the program's blocks")
    return replace(program, blocks=tuple(_scaled(x, currents[x.name], shared) if x.name in currents and x.code_max
                                         else x for x in program.blocks))


def _scaled(block: Block, currents: Floats, shared: str) -> Block:
    """A block with other steps."""
    scale = np.abs(np.broadcast_to(np.asarray(currents, np.float64), (block.channels,)))
    if not np.isfinite(scale).all():
        raise UnsupportedError("a current that is no number", where=block.name, code="BAD_FULL_SCALE",
                               fix="give currents in A")
    scale = np.full(block.channels, scale.max(initial=0.0)) if shared == "block" else scale
    return replace(block, step_a=frozen(np.where(scale > 0, scale / block.code_max, block.step_a)))


def with_gains(program: CrossbarProgram, gains: Mapping[str, Floats]) -> CrossbarProgram:
    """The program whose digital coefficients are multiplied, to make good the mean loss in the wires.

    Args:
        gains: block name -> (K,) factor of each channel.

    Raises:
        UnsupportedError: BAD_GAIN.
    """
    found = []
    for x in program.blocks:
        gain = np.asarray(gains.get(x.name, 1.0), np.float64)
        if gain.shape not in ((), (x.channels,)) or not np.isfinite(gain).all():
            raise UnsupportedError(f"gains {list(gain.shape)} for {x.channels} channels", where=x.name, code="BAD_GAIN",
                                   fix="give a number for each channel")
        factor = np.broadcast_to(gain, (x.channels,))[x.entry_channel]
        found.append(replace(x, entry_coef=frozen(x.entry_coef * factor)) if x.name in gains else x)
    return replace(program, blocks=tuple(found))
