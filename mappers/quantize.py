"""quantize: DiscreteLIF floats -> FixedLIF integers in the Loihi form, with a report of what each layer lost.

The form is that of lava-nc 0.10.0 (PyLifModelBitAcc, Dense fixed_pt): 12-bit decays, 8-bit weight mantissas (even
where signs are mixed) with a common exponent, bias mantissa and exponent, threshold << 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.grid import MAX_WEIGHT_EXP
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import ConvSynapses, Node, Synapses
from hwsdk.ir.trace import Trace
from hwsdk.mappers import quantize_weights as weights
from hwsdk.mappers.quantize_neuron import U_LIMIT, quantize_cell
from hwsdk.mappers.quantize_weights import Projection, integer_weights, weight_limit

Array = NDArray[np.float64]
VTH_LIMIT = (1 << 17) - 1
BIAS_LIMIT = 4095 << 7
HEADROOM = 2.0
"""v must be able to rise to this multiple of the threshold."""
WISHED_HEADROOM = 16.0
"""v should have this range if no weight bits are lost: inhibition pulls it down further than excitation lifts it."""
SPARE = 2.0
"""Measured peaks are doubled before they must fit a register."""
LARGEST_UNIT = 1e30
"""Weights and thresholds below its inverse count as 0."""
LONGEST_STAY = 64.0
"""Steps of undecayed input that the worst case of u counts at the most; strict simulation catches what exceeds it."""


@dataclass(frozen=True, slots=True)
class LayerLoss:
    """What quantisation cost one population. Relative errors are root-mean-square over root-mean-square.

    scale: v_int / v_float; weight_bits: bits that the weights really use; u_peak_share: worst-case (or measured)
    |u| over the register's range; lost_weights: non-zero weights that became zero.
    """

    layer: str
    neurons: int
    synapses: int
    scale: float
    weight_exp: int
    weight_bits: float
    weight_error: float
    lost_weights: int
    threshold_error: float
    bias_error: float
    decay_error: float
    u_peak_share: float


@dataclass(frozen=True, slots=True)
class QuantReport:
    """One LayerLoss a population, in causal order; ``calibrated`` says whether data set the ranges."""

    bits: int
    per_channel: bool
    calibrated: bool
    layers: tuple[LayerLoss, ...] = ()

    def to_text(self) -> str:
        """A table, one line a layer."""
        head = f"quantised to {self.bits} bits, {'per channel' if self.per_channel else 'per layer'}, ranges from " \
               f"{'calibration data' if self.calibrated else 'the worst case'}"
        rows = [f"  {r.layer:20} scale {r.scale:<10.4g} weights {r.weight_bits:.1f} bit, error {r.weight_error:.2%}, "
                f"{r.lost_weights} lost; threshold {r.threshold_error:.2%}; bias {r.bias_error:.2%}; "
                f"decay {r.decay_error:.2g}; u uses {r.u_peak_share:.0%}" for r in self.layers]
        return "\n".join([head, *rows]) + "\n"


@dataclass(frozen=True, slots=True)
class Quantize:
    """The pass.

    bits: weight bits, 1 to 8. per_channel: one scale for each slice of a population's first axis, where it has more
    than one axis. calibration: a float trace of the lowered network with "u" and "v" of every population, or None.
    """

    name: str = "quantize"
    bits: int = 8
    per_channel: bool = False
    calibration: Trace | None = None

    def __call__(self, network: Network) -> tuple[Network, QuantReport]:
        """Quantise a lowered network.

        Raises:
            UnsupportedError: bits outside 1 to 8, or a bias or threshold that no scale brings into its register.
        """
        if not isinstance(self.bits, int) or not 1 <= self.bits <= 8:
            raise UnsupportedError(f"{self.bits} weight bits; the chip stores 1 to 8", code="BAD_BITS",
                                   fix="choose bits from 1 to 8")
        log, nodes, losses = LedgerWriter(), dict(network.nodes), []
        for name, cell in network.populations.items():
            if isinstance(cell, DiscreteLIF):
                losses.append(self._layer(network, name, cell, nodes, log))
        report = QuantReport(self.bits, self.per_channel, self.calibration is not None, tuple(losses))
        return network.replace(nodes=nodes, ledger=network.ledger + log.done()), report

    def _layer(self, network: Network, name: str, cell: DiscreteLIF, nodes: dict[str, Node],
               log: LedgerWriter) -> LayerLoss:
        """Quantise one population with everything that enters it."""
        incoming = {e.source: network.nodes[e.source] for e in network.sources(name)}
        channel = self._channels(cell)
        synapses = {n: weights.with_kernel_scales(s, channel) for n, s in incoming.items()
                    if isinstance(s, Synapses | ConvSynapses)}
        u_peak, v_peak = self._peaks(name, cell, synapses)
        unit = choose_unit(name, cell, synapses, channel, self.bits, u_peak, v_peak)
        whole = {n: integer_weights(s, unit, self.bits, n) for n, s in synapses.items()}
        fixed = quantize_cell(name, cell, unit.reshape(cell.shape), network.lag.get(name, 0), log)
        _refuse_if_all_lost(name, synapses, whole, self.bits)
        nodes[name] = fixed
        nodes.update({n: weights.without_zeros(s) for n, s in whole.items()})
        loss = _loss(name, cell, fixed, unit, synapses, whole, u_peak)
        log.changed(name, "QUANTISED", f"weights to {self.bits} bits (error {loss.weight_error:.2%}, "
                    f"{loss.lost_weights} became 0), threshold error {loss.threshold_error:.2%}")
        return loss

    def _channels(self, cell: DiscreteLIF) -> NDArray[np.int64]:
        """Group of each neuron that shares one scale, 0 .. groups-1, flat."""
        if not self.per_channel or len(cell.shape) < 2 or not cell.fires:  # what is read out must stay comparable
            return np.zeros(cell.n, np.int64)
        return np.repeat(np.arange(cell.shape[0]), cell.n // cell.shape[0])

    def _peaks(self, name: str, cell: DiscreteLIF, synapses: dict[str, Projection]) -> tuple[Array, Array]:
        """Largest |u| and |v| of each neuron, flat: measured with something to spare, or estimated."""
        u_start = np.abs(cell.u_init).ravel()
        lift = WISHED_HEADROOM * np.abs(cell.v_threshold).ravel() * cell.fires
        if self.calibration is not None and (name, "u") in self.calibration.states:
            u, v = (np.abs(np.asarray(self.calibration.states[name, x], np.float64)).max(axis=(0, 1)) for x in "uv")
            return np.maximum(SPARE * u, u_start), np.maximum(SPARE * v, lift)
        total = np.zeros(cell.n)
        for s in synapses.values():
            total += weights.fan_in(s)
        u_stay, v_stay = (np.minimum(1 / np.maximum(1 - x.ravel(), 1e-12), LONGEST_STAY)
                          for x in (cell.decay_u, cell.decay_v))
        u = np.asarray(np.maximum(total * u_stay, u_start))
        return u, lift if cell.fires else (u + np.abs(cell.bias).ravel()) * v_stay


def choose_unit(name: str, cell: DiscreteLIF, synapses: dict[str, Projection], channel: NDArray[np.int64], bits: int,
                u_peak: Array, v_peak: Array) -> Array:
    """Weight units per model unit, one a neuron (flat): the candidate with the least weight and threshold error.

    Raises:
        UnsupportedError: one-bit weights of both signs.
    """
    bound = _register_bound(cell, synapses, bits, channel, u_peak)
    with np.errstate(divide="ignore", over="ignore"):
        wish = np.minimum(bound, _smallest(VTH_LIMIT / v_peak, channel))
    powers = [2.0 ** np.floor(np.log2(x.min())) for x in (wish, bound)]
    candidates = [_filling(s, bound, wish, channel, bits, n) for n, s in synapses.items()
                  if np.abs(s.weight).max(initial=0) > 1 / LARGEST_UNIT]
    candidates += [np.full(cell.n, power) for power in (*powers, powers[1] / 2)]
    costs = [_cost(cell, synapses, unit, bits) for unit in candidates]
    return candidates[int(np.argmin(np.round(costs, 6)))]


def _smallest(values: Array, channel: NDArray[np.int64]) -> Array:
    """The smallest value of each channel, spread back to its neurons."""
    least = np.full(int(channel.max(initial=0)) + 1, np.inf)
    np.minimum.at(least, channel, values)
    return least[channel]


def _register_bound(cell: DiscreteLIF, synapses: dict[str, Projection], bits: int, channel: NDArray[np.int64],
                    u_peak: Array) -> Array:
    """Largest unit of each neuron that no register forbids, the same within a channel, flat."""
    theta = np.abs(cell.v_threshold).ravel() * (HEADROOM if cell.fires else 0.0)
    start = np.abs(cell.v_start).ravel()
    with np.errstate(divide="ignore", over="ignore"):
        bound = np.minimum.reduce([
            VTH_LIMIT / theta, VTH_LIMIT / start, (U_LIMIT - 64) / 64 / u_peak,
            BIAS_LIMIT / 64 / np.abs(cell.bias).ravel(),
        ])
    for n, s in synapses.items():
        with np.errstate(divide="ignore", over="ignore"):
            bound = np.minimum(bound, weight_limit(s, bits, n) * 2.0**MAX_WEIGHT_EXP / weights.peak_in(s))
    bound = _smallest(bound, channel)  # a neuron without input or bias allows any unit
    return np.clip(np.where(np.isfinite(bound), bound, 1.0), 1 / LARGEST_UNIT, LARGEST_UNIT)


def _filling(s: Projection, bound: Array, wish: Array, channel: NDArray[np.int64], bits: int, name: str) -> Array:
    """The unit with which one projection's largest weight fills its mantissa, within the wish if that costs no bits."""
    peak = np.zeros(int(channel.max(initial=0)) + 1)
    np.maximum.at(peak, channel, weights.peak_in(s))
    each = np.where(peak > 1 / LARGEST_UNIT, peak, np.inf)[channel]
    limit = weight_limit(s, bits, name)
    with np.errstate(divide="ignore", over="ignore"):
        room, wished = (float(np.min(np.where(np.isfinite(each), x * each / limit, np.inf))) for x in (bound, wish))
    exp = min(max(math.floor(math.log2(wished)), 0), max(math.floor(math.log2(room)), 0), MAX_WEIGHT_EXP)
    return np.minimum(bound, limit * 2.0**exp / np.where(np.isfinite(each), each, 1e-300))


def _cost(cell: DiscreteLIF, synapses: dict[str, Projection], unit: Array, bits: int) -> float:
    """Relative weight error plus relative threshold error."""
    loss = sum(weights.weight_error(s, integer_weights(s, unit, bits, n), unit) for n, s in synapses.items())
    theta = cell.v_threshold.ravel() * unit
    return loss + (_relative(np.floor(theta), theta) if cell.fires else 0.0)


def _refuse_if_all_lost(name: str, synapses: dict[str, Projection], whole: dict[str, Projection], bits: int) -> None:
    """A layer without weights computes nothing.

    Raises:
        UnsupportedError: WEIGHTS_LOST.
    """
    before = sum(weights.n_synapses(s) for s in synapses.values())
    if before and not any(s.weight.any() for s in whole.values()):
        raise UnsupportedError(f"all {before} weights become 0 at {bits} bits: beside the largest sum of inputs, which "
                               "u must hold, each is too small", where=name, code="WEIGHTS_LOST",
                               fix="give calibration data, which show the real range, or use more bits")


def _relative(got: Array, exact: Array) -> float:
    """Root-mean-square difference over root-mean-square, 0 where there is nothing."""
    size = float(np.sqrt(np.mean(exact**2))) if len(exact) else 0.0
    return float(np.sqrt(np.mean((got - exact) ** 2))) / size if size else 0.0


def _loss(name: str, cell: DiscreteLIF, fixed: FixedLIF, unit: Array, synapses: dict[str, Projection],
          whole: dict[str, Projection], u_peak: Array) -> LayerLoss:
    """What one layer lost."""
    errors = [(weights.weight_error(s, whole[n], unit), weights.n_synapses(s)) for n, s in synapses.items()]
    total = sum(k for _, k in errors)
    bits = max((weights.bits_used(w) for w in whole.values()), default=0.0)
    scale = unit * 64
    theta, bias = cell.v_threshold.ravel() * scale, cell.bias.ravel() * scale
    decay = np.abs((4096 - fixed.dv) / 4096 - cell.decay_v).max(initial=0)
    if cell.decay_u.any():
        decay = max(decay, np.abs((4095 - fixed.du) / 4096 - cell.decay_u).max())
    return LayerLoss(
        name, cell.n, total, float(np.median(scale)), max((w.weight_exp for w in whole.values()), default=0),
        bits, math.sqrt(sum(e * e * k for e, k in errors) / total) if total else 0.0,
        sum(weights.lost_weights(synapses[n], w) for n, w in whole.items()),
        _relative(fixed.vth.ravel().astype(np.float64) * 64, theta) if cell.fires else 0.0,
        _relative(fixed.bias.ravel().astype(np.float64), bias),
        float(decay), float((u_peak * scale).max(initial=0.0) / U_LIMIT),
    )
