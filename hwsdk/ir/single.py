"""Populations in a SpiNNaker 2 processing element's own numbers: integer weights, states in single precision.

A Cortex-M4F adds up the integer weights that arrive in a step, and its FPU (FPv4-SP) does the rest in float32.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.neurons import SILENT, IntArray, Neuron
from hwsdk.ir.nodes import FloatArray

WEIGHT_LIMIT = 32767
"""The largest magnitude of a weight: a memory word holds an int16, and -32768 is not used."""
HOST = ("scale", "v_offset")
"""Fields that only the host reads, in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class SingleNeuron(Neuron):
    """Base of the single-precision populations. STATES: names of the state variables that a probe can ask for.

    Raises:
        ModelError: NOT_SINGLE, a parameter that float32 does not hold exactly; see ``single``.
    """

    STATES: ClassVar[tuple[str, ...]] = ("u", "v")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and field.name not in HOST and \
                    (single(value) != value).any():
                raise ModelError(f"{field.name} of {type(self).__name__} holds values that float32 does not",
                                 code="NOT_SINGLE", fix="round them with hwsdk.ir.single.single, or make the "
                                 "population with hwsdk.ir.build.neuron, which does")


@dataclass(frozen=True, slots=True, eq=False)
class SingleLIF(SingleNeuron):
    """The current-based LIF neuron in single precision. A step, with ``a`` the sum of the weights that arrive:

        u = decay_u u + a
        v = ((decay_v v) + u) + bias
        spike where v > v_threshold or v >= v_threshold (``comparison``); then v = 0 (``reset`` "value") or
        v - reset_by ("subtract")

    The sum of the weights is exact and becomes a float32 at once; then every single operation is rounded to float32,
    to the nearest, and none are fused (no VFMA). All float fields are float64 arrays of values that float32 holds.
    ``fires`` False: never spikes, v is read out. refractory: steps after a spike in which v stays as the reset left it,
    while u goes on; None is 0. u_init, v_init: state before the first step. For the host: v_chip = scale * v of the
    float network, whose model's v is v + v_offset.
    """

    decay_u: FloatArray
    decay_v: FloatArray
    bias: FloatArray
    v_threshold: FloatArray
    reset_by: FloatArray
    u_init: FloatArray
    v_init: FloatArray
    scale: FloatArray
    v_offset: FloatArray
    reset: str = "value"
    comparison: str = ">"
    fires: bool = True
    refractory: IntArray | None = dataclasses.field(default=None, metadata=SILENT)


def single(values: object) -> FloatArray:
    """float64 of the nearest float32; what is beyond float32 becomes infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(np.asarray(values, np.float64).astype(np.float32), np.float64)
