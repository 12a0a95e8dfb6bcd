"""Neurons of a lava-dl .net file as integer populations.

After lava-dl 0.6.0 lava/lib/dl/netx/hdf5.py, Network.get_neuron_params, which names the Lava process and its
parameters, and lava-nc 0.10.0 lava/proc, whose fixed_pt models hwsdk.ir.fixed holds. Two things go beyond netx and are
in the ledger: ALIF, which netx does not know, and a refusal where netx would run another neuron than the file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsdk.ir.fixed import FixedATRLIF, FixedLIF, FixedNeuron, FixedRF, FixedSigmaDelta
from hwsdk.ir.formats.lava_dl_fields import Group, Ints, per_neuron
from hwsdk.ir.nodes import Shape, frozen

STATE_EXP = 6
"""state_exp of every netx neuron; also bias_exp of LIF."""
DECAY_BITS = 12
"""decay_bits of RF, and the scale of slayer's integer decays (p_scale of lava/lib/dl/slayer/neuron)."""
NO_DECAY = {"iDecay": 0, "vDecay": 4096, "vThMant": 1 << 17}
"""What netx gives a dense layer without neuron (``1 << 18 - 1`` there)."""
CHIP_VTH = (1 << 17) - 1
"""The largest threshold of the chip; v, at most 2^23 - 1, never passes a larger one."""
MAX_VTH = (1 << 18) - 1
"""The largest vThMant that slayer writes (export_hdf5 of AbstractAffine)."""
V_MAX = (1 << 23) - 1
SUPPORTED = "CUBA, LOIHI, ALIF, SDNN, RF_PHASE and RF_IZHIKEVICH"
IGNORED = ("gradedSpike", "messageBits", "refDelay", "scaleRho", "tauRho", "theta", "wgtExp", "weight_exp")
"""Fields that netx does not read, with the values that lose nothing below."""
HARMLESS = {"gradedSpike": 0.0, "refDelay": 1.0, "wgtExp": 0.0, "weight_exp": 0.0}


@dataclass(frozen=True, slots=True)
class Wish:
    """How the reader was asked to build neurons. reset_offset: of this layer, counted from step 1. is_input, is_last:
    place of the layer.
    """

    reset_interval: int = 0
    reset_offset: int = 0
    spike_exp: int = 6
    is_input: bool = False
    is_last: bool = False


def population(layer: Group, shape: Shape, bias: Ints | None, wish: Wish) -> FixedNeuron:
    """The population of a layer; ``bias`` as stored, None for none.

    Raises:
        ModelError: UNKNOWN_NEURON, UNSUPPORTED_FIELD, or a field is missing or bad.
    """
    if "neuron" not in layer:
        layer.log.assumed(layer.name, "NO_NEURON", "the layer has no neuron; netx's default: it integrates its input "
                          "without decay of u and without memory of v")
        return _lif(NO_DECAY, shape, _bias(layer, shape, bias), wish)
    neuron = layer.group("neuron")
    kind = neuron.text("type")
    _say_ignored(neuron, wish)
    layer.log.read(layer.name, "NEURON", f"neuron {kind}")
    if kind in ("CUBA", "LOIHI"):
        numbers = {**_decays(neuron, ("iDecay", "vDecay"), shape), "vThMant": neuron.integer("vThMant", 0, MAX_VTH)}
        return _lif(numbers, shape, _bias(layer, shape, bias), wish)
    if kind == "SDNN":
        return _sigma_delta(neuron, shape, bias, wish)
    if kind == "ALIF":
        return _alif(neuron, shape, bias)
    if kind in ("RF_PHASE", "RF_IZHIKEVICH", "RF_IZ", "RF"):
        return _resonator(neuron, kind, shape, bias)
    raise neuron.error(f"the neuron type {kind!r} is not known; known are {SUPPORTED}", "type", "UNKNOWN_NEURON",
                       "train the layer with one of these neurons")


def _say_ignored(neuron: Group, wish: Wish) -> None:
    """The fields that decide nothing here, with a warning where they would mean something to slayer."""
    there = [key for key in IGNORED if key in neuron]
    odd = [f"{key}={neuron.numbers(key).ravel()[:1].tolist()}" for key in there if key in HARMLESS and
           (neuron.numbers(key) != HARMLESS[key]).any()]
    if odd:
        neuron.log.warning(neuron.name, "FIELD_IGNORED", f"{', '.join(odd)}: netx does not use it, so it has no effect")
    rest = [key for key in there if not any(text.startswith(key + "=") for text in odd)]
    if rest:
        neuron.log.read(neuron.name, "FIELD_IGNORED", f"not used, as in netx: {', '.join(rest)}")
    if wish.reset_interval and neuron.text("type") not in ("CUBA", "LOIHI"):
        neuron.log.warning(neuron.name, "NO_RESET", "reset_interval acts on CUBA neurons only, as in netx")


def _bias(layer: Group, shape: Shape, bias: Ints | None) -> Ints:
    """One bias a neuron."""
    return np.zeros(shape, np.int64) if bias is None else per_neuron(bias, shape, layer, "bias")


def _full(shape: Shape, value: object) -> Ints:
    return frozen(np.broadcast_to(np.asarray(value), shape), np.int64)


def _decays(neuron: Group, keys: tuple[str, ...], shape: Shape) -> dict[str, Any]:
    """Decays in 1/4096, one a neuron."""
    found = {key: per_neuron(neuron.whole(key), shape, neuron, key) for key in keys}
    for key, values in found.items():
        if values.min() < 0 or values.max() > 1 << DECAY_BITS:
            raise neuron.error(f"{key} is {values.min()} to {values.max()}, decays are 0 to 4096", key, "BAD_FIELD")
    return found


def _lif(numbers: Mapping[str, Any], shape: Shape, bias: Ints, wish: Wish) -> FixedLIF:
    """LIF, or LIFReset with an interval: du = iDecay - 1, because Lava's u decays by du + 1. A last layer whose
    threshold v cannot pass is read out.
    """
    zero, silent = _full(shape, 0), wish.is_last and numbers["vThMant"] > CHIP_VTH
    return FixedLIF(
        du=_full(shape, numbers["iDecay"] - 1), dv=_full(shape, numbers["vDecay"]),
        vth=_full(shape, CHIP_VTH if silent else numbers["vThMant"]), bias_mant=_full(shape, bias),
        bias_exp=_full(shape, STATE_EXP),
        reset_by=_full(shape, 0), u_init=zero, v_init=zero, scale=frozen(np.ones(shape)),
        v_offset=frozen(np.zeros(shape)), fires=not silent, reset_interval=wish.reset_interval,
        reset_offset=wish.reset_offset % wish.reset_interval if wish.reset_interval else 0)


def _sigma_delta(neuron: Group, shape: Shape, bias: Ints | None, wish: Wish) -> FixedSigmaDelta:
    """Delta at the input, Sigma where the file says sigma_output, else SigmaDelta with ReLU (netx sets no other)."""
    activation = neuron.text("activation") if "activation" in neuron else "relu"
    if activation != "relu" and not wish.is_input and "sigma_output" not in neuron:
        raise neuron.error(f"the activation {activation!r} is not known; netx runs every sigma-delta layer with relu",
                           "activation", "UNSUPPORTED_FIELD", "train the layer with torch.nn.functional.relu")
    if "sigma_output" in neuron and not wish.is_input:
        if bias is not None and bias.any():
            raise neuron.error("a sigma output has no bias in Lava", "", "UNSUPPORTED_FIELD", "train it without bias")
        return FixedSigmaDelta(_full(shape, V_MAX), _full(shape, 0), activation="unit", fires=False)
    scaled = _bias(neuron, shape, bias) << (wish.spike_exp + STATE_EXP)
    return FixedSigmaDelta(_full(shape, neuron.integer("vThMant", 0, MAX_VTH)), _full(shape, scaled),
                           spike_exp=wish.spike_exp, state_exp=STATE_EXP, encodes=wish.is_input)


def _alif(neuron: Group, shape: Shape, bias: Ints | None) -> FixedATRLIF:
    """slayer's ALIF (device_params of lava/lib/dl/slayer/neuron/alif.py) as lava.proc.atrlif; netx has no rule."""
    found = _decays(neuron, ("iDecay", "vDecay", "thDecay", "refDecay"), shape)
    neuron.log.assumed(neuron.name, "ALIF", "netx does not know ALIF; read as lava.proc.atrlif with slayer's decays, "
                       "du = iDecay - 1 as for CUBA")
    vth, step = (neuron.integer(key, 0, MAX_VTH) for key in ("vThMant", "vThStep"))
    zero = _full(shape, 0)
    return FixedATRLIF(
        du=_full(shape, found["iDecay"] - 1), dv=_full(shape, found["vDecay"]), dtheta=_full(shape, found["thDecay"]),
        dr=_full(shape, found["refDecay"]), vth=_full(shape, vth), theta_step=_full(shape, step),
        bias_mant=_full(shape, _bias(neuron, shape, bias)), bias_exp=_full(shape, STATE_EXP), u_init=zero, v_init=zero)


def _resonator(neuron: Group, kind: str, shape: Shape, bias: Ints | None) -> FixedRF:
    """RF, or RF_IZ for every type without PHASE: decay and period go through floats, as netx and the process do."""
    if bias is not None and bias.any():
        raise neuron.error("resonators have no bias in Lava", "", "UNSUPPORTED_FIELD", "train the layer without bias")
    scale = float(1 << DECAY_BITS)
    sin, cos = (per_neuron(neuron.numbers(key), shape, neuron, key) / scale for key in ("sinDecay", "cosDecay"))
    turn = np.arctan2(sin, cos) / 2 / np.pi
    if (turn == 0).any():
        raise neuron.error("a resonator with frequency 0 (sinDecay is 0)", "sinDecay", "BAD_FIELD")
    alpha, period = 1 - np.sqrt(sin**2 + cos**2), 1 / turn
    angle = np.pi * 2 * 1 / period
    whole = [((1 - alpha) * f(angle) * (1 << DECAY_BITS)).astype(np.int64) for f in (np.sin, np.cos)]
    zero = _full(shape, 0)
    return FixedRF(frozen(whole[0], np.int64), frozen(whole[1], np.int64),
                   _full(shape, neuron.integer("vThMant", 0, MAX_VTH) << STATE_EXP), zero, zero,
                   decay_bits=DECAY_BITS, state_exp=STATE_EXP, izhikevich="PHASE" not in kind)
