"""Nodes with state. Continuous-time ones are NIR's; the discrete ones are what a chip computes.

Every array parameter has the full shape of the population. Time constants are in the model's own time unit.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.nodes import FloatArray, Node, Shape

IntArray = NDArray[np.int64]
SILENT = {"digest": "when set"}
"""Metadata of optional fields that NIR does not have: while they are None, Network.digest leaves them out."""
NOTE = {**SILENT, "parameter": False}
"""The same for a field that says where other numbers come from, and is no parameter of the model."""


@dataclass(frozen=True, slots=True, eq=False)
class Neuron(Node):
    """Base of all populations. ``spiking`` is False where the membrane itself is the output; ``graded`` is True where
    a spike carries a value.
    """

    stateful: ClassVar[bool] = True
    spiking: ClassVar[bool] = True
    graded: ClassVar[bool] = False

    @property
    def in_shape(self) -> Shape:
        """The shape of its input: that of the population, unless a neuron has several inputs."""
        return self.shape

    @property
    def shape(self) -> Shape:
        """The population's shape: that of its first array parameter."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                return tuple(value.shape)
        raise ModelError("a population without array parameters has no shape", code="BAD_SHAPE")

    @property
    def n(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape, dtype=np.int64))

    def out_shape(self, in_shape: Shape) -> Shape:
        """Unchanged; the input must have the population's shape."""
        if in_shape != self.in_shape:
            raise ModelError(f"the population takes {self.in_shape}, its input is {in_shape}", code="SHAPE_MISMATCH",
                             fix="check the layer before it")
        return self.shape

    def parameters(self) -> int:
        """All array parameters."""
        arrays = [getattr(self, f.name) for f in dataclasses.fields(self) if f.metadata.get("parameter", True)]
        return sum(int(a.size) for a in arrays if isinstance(a, np.ndarray))


@dataclass(frozen=True, slots=True, eq=False)
class I(Neuron):  # noqa: E742 - NIR's name
    """v' = r I. The output is v."""

    spiking: ClassVar[bool] = False
    r: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class IF(Neuron):
    """v' = r I; spike above v_threshold."""

    r: FloatArray
    v_threshold: FloatArray
    v_reset: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LI(Neuron):
    """tau v' = (v_leak - v) + r I. The output is v."""

    spiking: ClassVar[bool] = False
    tau: FloatArray
    r: FloatArray
    v_leak: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LIF(Neuron):
    """LI with a threshold. t_refrac: time after a spike in which v stays as the reset left it, see
    hwsdk.ir.refractory; v_init: v before the first step, None as Semantics.initial says. NIR has neither.
    """

    tau: FloatArray
    r: FloatArray
    v_leak: FloatArray
    v_threshold: FloatArray
    v_reset: FloatArray
    t_refrac: FloatArray | None = dataclasses.field(default=None, metadata=SILENT)
    v_init: FloatArray | None = dataclasses.field(default=None, metadata=SILENT)


@dataclass(frozen=True, slots=True, eq=False)
class CubaLI(Neuron):
    """tau_syn I' = -I + w_in S; tau_mem v' = (v_leak - v) + r I. The output is v."""

    spiking: ClassVar[bool] = False
    tau_syn: FloatArray
    tau_mem: FloatArray
    r: FloatArray
    v_leak: FloatArray
    w_in: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class CubaLIF(Neuron):
    """CubaLI with a threshold. t_refrac, v_init: as in LIF; the current I goes on while v rests."""

    tau_syn: FloatArray
    tau_mem: FloatArray
    r: FloatArray
    v_leak: FloatArray
    v_threshold: FloatArray
    v_reset: FloatArray
    w_in: FloatArray
    t_refrac: FloatArray | None = dataclasses.field(default=None, metadata=SILENT)
    v_init: FloatArray | None = dataclasses.field(default=None, metadata=SILENT)


@dataclass(frozen=True, slots=True, eq=False)
class Threshold(Neuron):
    """z = [x > threshold], without state from step to step."""

    threshold: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class DiscreteLIF(Neuron):
    """One step of a current-based LIF neuron in floats, with every gain folded into the weights.

    u <- decay_u u + input;  v <- decay_v v + u + bias;  spike when v is beyond v_threshold (``comparison``);
    then v <- 0 (``reset`` "value") or v - reset_by ("subtract"). A population with ``fires`` False puts out v.
    u_init, v_init: state before the first step of the run. u_start, v_start: state before the model's own first step,
    which a chip reaches ``lag`` steps later. v_offset: the model's v is v + v_offset. refractory: steps after a spike
    in which v stays as the reset left it, while u goes on; None is 0. gain: by which lowering multiplied the weights
    into each neuron, so that the model's own weight is weight / gain; None is 1.
    """

    decay_u: FloatArray
    decay_v: FloatArray
    bias: FloatArray
    v_threshold: FloatArray
    reset_by: FloatArray
    u_init: FloatArray
    v_init: FloatArray
    u_start: FloatArray
    v_start: FloatArray
    v_offset: FloatArray
    reset: str = "value"
    comparison: str = ">"
    fires: bool = True
    refractory: IntArray | None = dataclasses.field(default=None, metadata=SILENT)
    gain: FloatArray | None = dataclasses.field(default=None, metadata=NOTE)


def is_spiking(node: Neuron) -> bool:
    """True if the population puts out spikes, False if it puts out its membrane."""
    return bool(getattr(node, "fires", node.spiking))
