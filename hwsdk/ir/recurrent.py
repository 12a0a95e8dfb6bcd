"""The event-based gated recurrent unit (Subramoney et al., arXiv:2206.06178)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwsdk.errors import ModelError
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import FloatArray, Shape


@dataclass(frozen=True, slots=True, eq=False)
class EGRU(Neuron):
    """Event-based gated recurrent units, after EvNN (frameworks/pytorch/egru.py, lib/egru_forward_cpu.cc).

    Input shape (4, *shape), the ports a_z, a_r, a_x and a_h: the update gate, the reset gate, and the candidate's part
    from outside and from the recurrence. With h the state of the step before, in this order of operations:

        z = sigma(a_z + bias_z)
        r = sigma(a_r + bias_r)
        g = tanh((a_x + bias_x) + r (a_h + bias_h))
        c = z h + (1 - z) g
        y = c where c > theta, else 0            the graded event
        h' = c - theta where c > theta, else c

    sigma(x) = 1 / (1 + exp(-x)). Every operation is rounded to the semantics' precision, nothing is fused. In float32
    exp and tanh are those of float64, rounded once: correct to the last bit but in about one case of 10^8, in which
    two machines may differ; in float64 they are the platform's. What arrives at a port is added up from 0 in each
    projection, by ascending source, then over the projections by name. Recurrent connections carry y, one step late.
    theta lies in 0..1; h starts at 0.

    Raises:
        ModelError: THETA_RANGE, SHAPE_MISMATCH.
    """

    STATES: ClassVar[tuple[str, ...]] = ("h",)
    graded: ClassVar[bool] = True
    theta: FloatArray
    bias_z: FloatArray
    bias_r: FloatArray
    bias_x: FloatArray
    bias_h: FloatArray

    def __post_init__(self) -> None:
        if not ((self.theta >= 0) & (self.theta <= 1)).all():
            raise ModelError(f"theta reaches from {self.theta.min():g} to {self.theta.max():g}; it must lie in 0..1",
                             code="THETA_RANGE", fix="clamp it, as training does")
        for bias in (self.bias_z, self.bias_r, self.bias_x, self.bias_h):
            if bias.shape != self.theta.shape:
                raise ModelError(f"theta has shape {self.theta.shape}, a bias has {bias.shape}", code="SHAPE_MISMATCH",
                                 fix="give one bias of each kind for each unit")

    @property
    def in_shape(self) -> Shape:
        """(4, *shape): update gate, reset gate, candidate from outside, candidate from the recurrence."""
        return (4, *self.shape)
