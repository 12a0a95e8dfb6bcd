"""Populations in a chip's integers: what Loihi-style cores compute, after lava-nc 0.10.0 (fixed_pt models).

tz(x, k) = sign(x) (|x| >> k) rounds toward zero; `a` is the sum of weights and spikes that arrives in a step. All
arrays are int64 of the population's full shape. Loihi's own names: u is the synaptic current, v the membrane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwsdk.ir.neurons import IntArray, Neuron
from hwsdk.ir.nodes import FloatArray, Shape


@dataclass(frozen=True, slots=True, eq=False)
class FixedNeuron(Neuron):
    """Base of the integer populations. STATES: names of the state variables that a probe can ask for."""

    STATES: ClassVar[tuple[str, ...]] = ("u", "v")


@dataclass(frozen=True, slots=True, eq=False)
class FixedLIF(FixedNeuron):
    """The current-based LIF neuron: PyLifModelBitAcc and PyLifResetModelBitAcc (lava/proc/lif/models.py).

    u' = tz(u (4096 - du - 1), 12) + (a << 6), wrapped once into (-2^23, 2^23];
    v' = tz(v (4096 - dv), 12) + u + bias, clipped to +-(2^23 - 1); spike when v > vth << 6, then v = 0
    ("value") or v - reset_by ("subtract"). bias = bias_mant << bias_exp.
    ``fires`` False: never spikes, v is read out. scale (float, full shape): v_int = scale * v of the float network.
    refractory: steps after a spike in which v stays as the reset left it, while u goes on (PyLifRefractoryModelFloat).
    reset_interval, reset_offset: u = v = 0 before the update of the steps t = 1, 2, ... with t % interval == offset %
    interval; interval 0 is never.
    """

    du: IntArray
    dv: IntArray
    vth: IntArray
    bias_mant: IntArray
    bias_exp: IntArray
    reset_by: IntArray
    u_init: IntArray
    v_init: IntArray
    scale: FloatArray
    v_offset: FloatArray
    reset: str = "value"
    fires: bool = True
    refractory: IntArray | None = None
    reset_interval: int = 0
    reset_offset: int = 0

    @property
    def bias(self) -> IntArray:
        """bias_mant << bias_exp (arithmetic right shift for a negative exponent)."""
        return shifted(self.bias_mant, self.bias_exp)


@dataclass(frozen=True, slots=True, eq=False)
class FixedATRLIF(FixedNeuron):
    """LIF with adaptive threshold and refractoriness: PyATRLIFModelFixed (lava/proc/atrlif/models.py).

    u as in FixedLIF; v' = tz(v (4096 - dv), 12) + u + bias, clipped; theta' = tz((theta - theta_0) (4096 - dtheta), 12)
    + theta_0; r' = tz(r (4096 - dr), 12); spike when v - r >= theta, then r += 2 theta, theta += step; v goes on.
    theta_0 = vth << 6 is also the initial theta, step = theta_step << 6; r starts at 0.
    """

    STATES: ClassVar[tuple[str, ...]] = ("u", "v", "theta", "r")
    du: IntArray
    dv: IntArray
    dtheta: IntArray
    dr: IntArray
    vth: IntArray
    theta_step: IntArray
    bias_mant: IntArray
    bias_exp: IntArray
    u_init: IntArray
    v_init: IntArray

    @property
    def bias(self) -> IntArray:
        """bias_mant << bias_exp."""
        return shifted(self.bias_mant, self.bias_exp)


@dataclass(frozen=True, slots=True, eq=False)
class FixedRF(FixedNeuron):
    """Resonate-and-fire neuron: PyRFModelFixed, and with ``izhikevich`` PyRF_IZModelFixed (lava/proc/rf, rf_iz).

    Input shape (2, *shape): real and imaginary. re' = tz(cos re, bits) - tz(sin im, bits) + (a_re << state_exp),
    im' = tz(sin re, bits) + tz(cos im, bits) + (a_im << state_exp), both clipped to +-(2^23 - 1). Spike when re' >=
    vth, im' >= 0 and im < 0 before; izhikevich: when im' >= vth, then re = 0, im = vth - 1. vth is in the unit of re.
    sin, cos: int32 of (1 - alpha) sin(2 pi / period) 2^decay_bits. (decay_bits, state_exp) are one for all neurons.
    """

    STATES: ClassVar[tuple[str, ...]] = ("re", "im")
    sin: IntArray
    cos: IntArray
    vth: IntArray
    re_init: IntArray
    im_init: IntArray
    decay_bits: int = 12
    state_exp: int = 0
    izhikevich: bool = False

    @property
    def in_shape(self) -> Shape:
        """(2, *shape): what drives the real part, and what drives the imaginary part."""
        return (2, *self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class FixedSigmaDelta(FixedNeuron):
    """Sigma-delta neuron: PySigmaDeltaModelFixed; with ``encodes`` PyDeltaModelFixed (lava/proc/sdn/models.py).

    sigma' = sigma + a; x = max(sigma' + bias, 0) ("relu") or sigma' + bias ("unit"); with ``encodes`` x = a <<
    (spike_exp + state_exp), without sum, bias or activation. d = x - act + residue; the spike is d where |d| >= theta,
    else 0; residue = d - spike; act = x; the value sent is spike >> state_exp (floor). theta = vth << (spike_exp +
    state_exp). cum_error: compares the sum of d since the last spike with theta instead.
    ``fires`` False: never spikes, act is read out; with "unit" and no bias act is sigma (PySigmaModelFixed).
    """

    STATES: ClassVar[tuple[str, ...]] = ("sigma", "act", "residue", "error")
    graded: ClassVar[bool] = True
    vth: IntArray
    bias: IntArray
    spike_exp: int = 0
    state_exp: int = 0
    activation: str = "relu"
    cum_error: bool = False
    encodes: bool = False
    fires: bool = True

    @property
    def theta(self) -> IntArray:
        """The threshold in the unit of the state."""
        return np.asarray(self.vth << (self.spike_exp + self.state_exp))


@dataclass(frozen=True, slots=True, eq=False)
class FixedGraded(FixedNeuron):
    """Sends its input where |a| > vth, or with ``relu`` where a > vth, and remembers nothing: PyGradedVecModelFixed and
    PyGradedReluVecModelFixed (lava/proc/graded/models.py).
    """

    STATES: ClassVar[tuple[str, ...]] = ()
    graded: ClassVar[bool] = True
    vth: IntArray
    relu: bool = False


def shifted(mantissa: IntArray, exponent: IntArray) -> IntArray:
    """mantissa << exponent, with an arithmetic right shift for a negative exponent."""
    left = mantissa << np.maximum(exponent, 0)
    return np.asarray(np.where(exponent >= 0, left, mantissa >> np.maximum(-exponent, 0)))
