"""Weights as conductances: scales, levels, pairs of cells, and what the converted currents are multiplied with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.crossbar import Forming, Physics
from hwsdk.mappers.memristor_matrix import Tile
from hwsdk.mappers.memristor_options import Code, MapOptions

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A tile as cells: fields of a Block by their names. group (C): column of weights to which a column belongs, pair
    (C): pair within it; both stay side by side. likely_s (R, C): expected conductances; variance (R, C) S^2: of those
    that chance makes, or None. error: sum over the weights of the square of what clipping and levels took from them.
    """

    target_s: Floats
    mask: Array
    channel: Array
    sign: Array
    entry_channel: Array
    entry_coef: Floats
    entry_out: Array
    group: Array
    pair: Array
    likely_s: Floats
    variance: Floats | None = None
    error: float = 0.0

    @property
    def channels(self) -> int:
        """K."""
        return int(self.channel.max()) + 1


def largest(values: Floats, owner: Array, owners: int, options: MapOptions) -> Floats:
    """(owners,) the largest magnitude that the window holds, for each owner of some weights; 1 where there are none."""
    size = np.abs(values)
    top = np.zeros(owners)
    np.maximum.at(top, owner, size)
    if options.clip == "sigmas":
        n = np.maximum(np.bincount(owner, minlength=owners), 1)
        # scaled first, as squares of extreme weights leave the range of numbers
        unit = np.where(top > 0, top, 1.0)
        rms = unit * np.sqrt(np.bincount(owner, (size / unit[owner]) ** 2, owners) / n)
        top = np.minimum(top, options.clips_at * rms)
    elif options.clip == "percentile" and owners == 1 and len(size):
        first = max(int(np.ceil(len(size) * options.clips_at / 100)), 1) - 1
        top = np.partition(size, first)[first : first + 1]
    elif options.clip == "percentile":
        order = np.lexsort((size, owner))
        ends = np.searchsorted(owner[order], np.arange(owners), "right")
        count = np.bincount(owner, minlength=owners)
        rank = np.ceil(count * options.clips_at / 100).astype(np.int64).clip(1)
        has = count > 0
        top[has] = size[order][(ends - count + rank - 1)[has]]
    return np.where(top > 0, top, 1.0)


def per_siemens(code: Code, physics: Physics, top: Floats) -> Floats:
    """Weight of a siemens, so that ``top`` is the end of the window."""
    if code.exact:
        exponent = np.frexp(physics.cell.g_max)[1] - np.frexp(top)[1]
        exponent -= np.ldexp(top, exponent) > physics.cell.g_max
        return np.asarray(np.ldexp(1.0, -exponent))
    steps = 1.0 if code.top is None else float(code.top)
    return top / (steps * code.step_s)


def encode(tile: Tile, code: Code, physics: Physics, top: Floats, unit: Floats) -> Cells:
    """A tile whose weights are written. top, unit (N,): of its columns, see ``largest`` and ``per_siemens``."""
    parts = _digit_parts(tile.weight, code, top, unit)
    held = sum(part * float(code.base) ** d for d, part in enumerate(parts)) * unit
    error = float(((held - tile.weight) ** 2).sum())
    return replace(_encoded(tile, code, physics, parts, unit), error=error)


def _encoded(tile: Tile, code: Code, physics: Physics, parts: list[Floats], unit: Floats) -> Cells:
    """Its cells. parts: see ``_digit_parts``."""
    if code.encoding == "offset":
        return _offset(tile, code, physics, parts[0], unit)
    cell = physics.cell
    rows, n = tile.weight.shape
    g = np.empty((rows, n, code.digits, 2))
    for d, part in enumerate(parts):
        g[:, :, d, 0], g[:, :, d, 1] = np.maximum(part, 0), np.maximum(-part, 0)
    g += cell.g_min
    np.minimum(g, cell.g_max, out=g)
    mask = np.ones(g.shape, np.uint8)
    if not code.idle_mask:
        mask *= (tile.weight != 0)[:, :, None, None]
        g[mask == 0] = cell.g_off
    return _pairs(tile, code, physics, g.reshape(rows, -1), mask.reshape(rows, -1), unit)


def _digit_parts(weight: Floats, code: Code, top: Floats, unit: Floats) -> list[Floats]:
    """Signed conductance of each digit over the zero code, least significant first."""
    share = np.clip(weight / top, -1.0, 1.0)
    if code.exact:
        return [np.clip(weight, -top, top) / unit]
    if code.top is None:
        return [share * code.step_s]
    number = np.rint(share * code.top)
    if code.digits == 1:
        return [number * code.step_s]
    size, sign = np.abs(number).astype(np.int64), np.sign(number)
    return [sign * (size // code.base**d % code.base) * code.step_s for d in range(code.digits)]


def _pairs(tile: Tile, code: Code, physics: Physics, g: Floats, mask: Array, unit: Floats) -> Cells:
    """Columns of pairs: (neuron, digit, side)."""
    n, digits = tile.weight.shape[1], code.digits
    side = np.tile(np.array([1, -1], np.int8), n * digits)
    coef = (unit[:, None] * float(code.base) ** np.arange(digits) / physics.volts).ravel()
    group = np.repeat(np.arange(n), 2 * digits)
    if code.analog:
        channel, sign, coefs = np.repeat(np.arange(n * digits), 2), side, coef
        outs = np.repeat(tile.outs, digits, axis=1)
    else:
        channel, sign, coefs = np.arange(2 * n * digits), np.ones_like(side), np.repeat(coef, 2) * side
        outs = np.repeat(tile.outs, 2 * digits, axis=1)
    return Cells(g, mask, channel, sign, np.arange(len(coefs)), coefs, outs, group, np.arange(len(side)) // 2, g)


def _offset(tile: Tile, code: Code, physics: Physics, part: Floats, unit: Floats) -> Cells:
    """One column a neuron, the reference after them."""
    rows, n = tile.weight.shape
    g = np.full((rows, n + 1), code.zero_s)
    g[:, :n] += part
    np.clip(g, physics.cell.g_min, physics.cell.g_max, out=g)
    coef = np.repeat(unit / physics.volts, 2) * np.tile([1.0, -1.0], n)
    entry = np.stack([np.arange(n), np.full(n, n)], axis=1).ravel()
    return Cells(g, np.ones(g.shape, np.uint8), np.arange(n + 1), np.ones(n + 1, np.int8), entry, coef,
                 np.repeat(tile.outs, 2, axis=1), np.arange(n + 1), np.arange(n + 1), g)


def pair_deviation(forming: Forming, g_off: float) -> float:
    """Standard deviation in S of the difference of two cells that chance forms: var = 2 [p s^2 + p (1 - p) mu^2]."""
    mean, deviation = formed(forming)
    p, over = forming.formed, mean - g_off
    return float(np.sqrt(2 * (p * deviation**2 + p * (1 - p) * over**2)))


def formed(forming: Forming) -> tuple[float, float]:
    """(mean, standard deviation) in S of a formed cell, which is lognormal."""
    mean = forming.median * np.exp(forming.sigma**2 / 2)
    return float(mean), float(mean * np.sqrt(np.expm1(forming.sigma**2)))


def encode_native(tile: Tile, code: Code, physics: Physics, forming: Forming, unit: Floats) -> Cells:
    """A tile whose cells are formed where there are synapses, and stay as they are."""
    cell = physics.cell
    rest = cell.g_min if cell.g_off is None else cell.g_off
    mask = np.repeat((tile.weight != 0).astype(np.uint8), 2, axis=1)
    likely = rest + mask * forming.formed * (formed(forming)[0] - rest)
    made = _pairs(tile, code, physics, np.zeros(mask.shape), mask, unit)
    return replace(made, likely_s=likely, variance=mask * (pair_deviation(forming, rest) ** 2 / 2))
