"""quantize_single: DiscreteLIF floats -> SingleLIF, integer weights and float32 neurons as on SpiNNaker 2.

As in py-spinnaker2, one scale s serves all weights onto a population, and thresholds, biases and resets follow it, so
that only the weights are rounded: W becomes round(W s), theta becomes theta s / gain, where W are the model's own
weights and gain is what lowering put into them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import ConvSynapses, Node, Synapses, frozen
from hwsdk.ir.plastic import PlasticSynapses
from hwsdk.ir.single import WEIGHT_LIMIT, SingleLIF, single
from hwsdk.mappers import quantize_weights as weights
from hwsdk.mappers.quantize_stored import initial_loss, stored
from hwsdk.mappers.quantize_weights import Projection

Array = NDArray[np.float64]
MAX_BITS = 16
SMALLEST, LARGEST = 2.0**-126, 1e37
"""Magnitudes that float32 holds with its full precision, with something to spare for sums."""
ON_GRID = 1e-6
"""Weights that are whole to this share of a unit are taken as whole."""


@dataclass(frozen=True, slots=True)
class SingleLoss:
    """What quantisation cost one population.

    scale: the median of v_chip / v_float. weight_bits: of the words that its static weights need. weight_error:
    root-mean-square over root-mean-square; lost_weights: non-zero weights that became zero. reach: the largest sum of
    static and learned weights that one step can bring to a neuron if everything before it spikes at once (a synapse
    once). learned: levels of a learned weight, 0 where nothing learns.
    """

    layer: str
    neurons: int
    synapses: int
    scale: float
    weight_bits: int
    weight_error: float
    lost_weights: int
    reach: int
    learned: int = 0


@dataclass(frozen=True, slots=True)
class SingleReport:
    """One SingleLoss a population, in causal order."""

    bits: int
    per_neuron: bool
    layers: tuple[SingleLoss, ...] = ()

    def to_text(self) -> str:
        """A table, one line a layer."""
        head = f"weights rounded to {self.bits} bits, one scale {'a neuron' if self.per_neuron else 'a layer'}; " \
               "thresholds, biases and decays are float32"
        rows = [f"  {r.layer:20} scale {r.scale:<10.4g} weights {r.weight_bits} bit, error {r.weight_error:.2%}, "
                f"{r.lost_weights} lost; sums up to {r.reach}{_learned(r)}" for r in self.layers]
        return "\n".join([head, *rows]) + "\n"


def _learned(loss: SingleLoss) -> str:
    """What of the weights learns, as text."""
    return f"; learned weights have {loss.learned} levels, in words of 32 bits" if loss.learned else ""


@dataclass(frozen=True, slots=True)
class QuantizeSingle:
    """The pass, for networks that ``Lower(plastic=True)`` made.

    bits: of the weights, 2 to 16. per_neuron: one scale for each neuron, for each channel of a convolution; populations
    that are read out or learn keep one. plastic_bits: of all weights onto a population with a plastic projection, if
    these are more than ``bits``: learned weights have 16 bits anyway, and small ones need them beside large static
    ones. The price is that the static weights there take words of 32 bits in place of 16; 8 avoids it. history: post
    spikes that a neuron remembers for its rule.
    """

    name: str = "quantize_single"
    bits: int = 8
    per_neuron: bool = False
    plastic_bits: int = 16
    history: int = 16

    def __call__(self, network: Network) -> tuple[Network, SingleReport]:
        """Quantise a lowered network; a network that is_single already stays as it is.

        Raises:
            UnsupportedError: BAD_BITS; VALUE_RANGE, a parameter that float32 cannot hold; WEIGHTS_LOST, a learned
                weight with a single level; BAD_RULE, a time constant beyond every table; PLASTIC_GAIN.
        """
        for bits in (self.bits, self.plastic_bits):
            if not isinstance(bits, int) or not 2 <= bits <= MAX_BITS:
                raise UnsupportedError(f"{bits} weight bits; a word of the chip holds 2 to {MAX_BITS}", code="BAD_BITS",
                                       fix=f"choose bits from 2 to {MAX_BITS}")
        log, nodes, losses = LedgerWriter(), dict(network.nodes), []
        for name, cell in network.populations.items():
            if isinstance(cell, DiscreteLIF):
                losses.append(self._layer(network, name, cell, nodes, log))
        report = SingleReport(self.bits, self.per_neuron, tuple(losses))
        return network.replace(nodes=nodes, ledger=network.ledger + log.done()), report

    def _layer(self, network: Network, name: str, cell: DiscreteLIF, nodes: dict[str, Node],
               log: LedgerWriter) -> SingleLoss:
        """Quantise one population with everything that enters it."""
        incoming = {e.source: network.nodes[e.source] for e in network.sources(name)}
        gain = _gain(cell)
        group = np.unique(gain, return_inverse=True)[1].astype(np.int64)
        static = {n: weights.with_kernel_scales(s, group) for n, s in incoming.items()
                  if isinstance(s, Synapses | ConvSynapses)}
        plastic = {n: s for n, s in incoming.items() if isinstance(s, PlasticSynapses)}
        if plastic and (gain != gain[0]).any():
            raise UnsupportedError("neurons with different gains and weights that learn", where=name,
                                   code="PLASTIC_GAIN", fix="give all neurons of the population one gain")
        bits = max(self.bits, self.plastic_bits) if plastic else self.bits
        apart = self.per_neuron and cell.fires and not plastic
        unit = scale_of(static, plastic, gain, (1 << (bits - 1)) - 1, _block(static, cell) if apart else cell.n) / gain
        whole = {n: _integers(s, unit, bits) for n, s in static.items()}
        learn = {n: stored(n, s, float(unit[0]), network.semantics.dt, self.history) for n, s in plastic.items()}
        nodes[name] = _cell(name, cell, unit.reshape(cell.shape))
        nodes |= {n: weights.without_zeros(s) for n, s in whole.items()}
        nodes |= learn
        loss = _loss(name, cell, unit, static, whole, plastic, learn)
        log.changed(name, "QUANTISED", f"weights to {bits} bits (error {loss.weight_error:.2%}, {loss.lost_weights} "
                    f"became 0), neurons to float32{_learned(loss)}")
        return loss


def _gain(cell: DiscreteLIF) -> Array:
    """|gain| of each neuron, flat; the sign stays in the weights. 1 where it is 0, for then the weights are."""
    gain = np.ones(cell.n) if cell.gain is None else np.abs(cell.gain.ravel())
    return np.where(gain == 0, 1.0, gain)


def _block(static: dict[str, Projection], cell: DiscreteLIF) -> int:
    """How many neurons in a row share a scale: one, or all that a channel of each convolution takes in."""
    return math.lcm(*(cell.n // s.conv_shape[0] for s in static.values() if isinstance(s, ConvSynapses)))


def scale_of(static: dict[str, Projection], plastic: dict[str, PlasticSynapses], gain: Array, limit: int,
             block: int) -> Array:
    """Weight units per unit of the model's own weights, one a neuron, flat; ``block`` neurons in a row share one.

    The largest weight becomes ``limit``, or the largest learned one 32,767 if that comes first; but if all weights are
    multiples of one number that a little less brings onto the integers, then they are brought there. Whole weights that
    fit, and do not learn, stay as they are.
    """
    top = max((s.rule.bounds[1] for s in plastic.values()), default=0.0) / gain[0]
    peak = np.maximum.reduce([np.zeros(len(gain)), *(weights.peak_in(s) / gain for s in static.values())])
    largest = float(peak.max(initial=0.0))
    s = min(limit / largest if largest else math.inf, WEIGHT_LIMIT / top if top else math.inf)
    if not math.isfinite(s):
        return np.ones(len(gain))
    values = _values(static, plastic, gain)
    near = np.rint(values)
    if not plastic and s >= 1 and ((np.abs(values - near) <= ON_GRID) & (near > 0)).all():
        return np.ones(len(gain))
    exact = _grid(values, s)
    if exact is not None or block == len(gain):
        return np.full(len(gain), s if exact is None else exact)
    each = peak.reshape(-1, block).max(axis=1)
    return np.repeat(np.where(each > 0, limit / np.where(each > 0, each, 1.0), s), block)


def _values(static: dict[str, Projection], plastic: dict[str, PlasticSynapses], gain: Array) -> Array:
    """The different magnitudes of all weights, and of the bounds of learned ones, in the model's own unit."""
    found = [np.abs(weights.scaled(s, 1 / gain)).ravel() for s in static.values()]
    for s in plastic.values():
        found += [np.abs(s.weight) / gain[0], np.asarray(s.rule.bounds) / gain[0]]
    values = np.unique(np.concatenate(found))
    return np.asarray(values[values > 0])


def _grid(values: Array, largest: float) -> float | None:
    """The largest scale, at most ``largest``, that makes all values whole numbers, or None."""
    top = float(values.max())
    scales = np.arange(math.floor(top * largest + ON_GRID), 0, -1) / top
    for part in (values[:8], values[-64:], values):  # few scales pass the first test
        if len(scales) * len(part) > 1 << 24:
            return None
        exact = np.outer(scales, part)
        near = np.rint(exact)
        scales = scales[((np.abs(exact - near) <= ON_GRID) & (near > 0)).all(axis=1)]
    return float(scales[0]) if len(scales) else None


def _integers(s: Projection, unit: Array, bits: int) -> Projection:
    """The projection with its weights as the nearest integers, in words that hold them."""
    limit = (1 << (bits - 1)) - 1
    whole = np.clip(np.rint(weights.scaled(s, unit)), -limit, limit).astype(np.int64)
    return replace(s, weight=frozen(whole, np.int64), weight_exp=0, weight_bits=bits, sign_mode="mixed")


def _cell(name: str, cell: DiscreteLIF, unit: Array) -> SingleLIF:
    """The population with v in units of its weights."""
    theta = cell.v_threshold * unit if cell.fires else 0 * unit
    reset_by = cell.reset_by * unit if cell.fires else 0 * unit
    return SingleLIF(
        single(cell.decay_u), single(cell.decay_v), _held(name, "bias", cell.bias * unit),
        _held(name, "v_threshold", theta), _held(name, "reset_by", reset_by), _held(name, "u_init", cell.u_init * unit),
        _held(name, "v_init", cell.v_init * unit), unit, cell.v_offset, cell.reset, cell.comparison, cell.fires,
        cell.refractory)


def _held(name: str, what: str, values: Array) -> Array:
    """Values as float32 holds them.

    Raises:
        UnsupportedError: VALUE_RANGE.
    """
    size = np.abs(values[values != 0])
    if size.size and (float(size.min()) < SMALLEST or not float(size.max()) <= LARGEST):
        raise UnsupportedError(f"{what} becomes {size.min():g} to {size.max():g} in units of the weights; float32 "
                               f"holds {SMALLEST:g} to {LARGEST:g}", where=name, code="VALUE_RANGE",
                               fix="check the units of the model, or scale the layer")
    return single(values)


def _loss(name: str, cell: DiscreteLIF, unit: Array, static: dict[str, Projection], whole: dict[str, Projection],
          plastic: dict[str, PlasticSynapses], learn: dict[str, PlasticSynapses]) -> SingleLoss:
    """What one layer lost."""
    errors = [(weights.weight_error(s, whole[n], unit), weights.n_synapses(s)) for n, s in static.items()]
    errors += [(initial_loss(s, learn[n], float(unit[0])), len(s.weight)) for n, s in plastic.items()]
    total = sum(k for _, k in errors)
    reach = np.zeros(cell.n)
    for s in whole.values():
        reach = reach + weights.fan_in(s)
    for x in learn.values():
        reach = reach + x.rule.bounds[1] * np.bincount(x.target, minlength=cell.n)
    return SingleLoss(
        name, cell.n, total, float(np.median(unit)), max((s.weight_bits for s in whole.values()), default=0),
        math.sqrt(sum(e * e * k for e, k in errors) / total) if total else 0.0,
        sum(weights.lost_weights(static[n], s) for n, s in whole.items()), int(reach.max(initial=0)),
        max((int(x.rule.bounds[1] - x.rule.bounds[0]) + 1 for x in learn.values()), default=0))
