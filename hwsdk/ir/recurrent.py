"""The event-based gated recurrent unit (Subramoney et al., arXiv:2206.06178), and how a trained layer becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from hwsdk.errors import ModelError
from hwsdk.ir.build import NetworkBuilder, neuron
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

    sigma(x) = 1 / (1 + exp(-x)). Every operation is rounded to the semantics' precision, nothing is fused; exp and tanh
    are the platform's, so that two machines agree but for their last bit or two. What arrives at a port is added up
    from 0 in each projection, by ascending source, then over the projections by name. Recurrent connections carry y,
    one step late. theta lies in 0..1; h starts at 0.

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


def egru_layer(builder: NetworkBuilder, name: str, source: str, *, w: Any, r: Any, bx: Any, br: Any,
               theta: Any) -> NetworkBuilder:
    """Add a layer of units, its synapses from ``source`` (same step) and those among its units (one step).

    Rows of the weights and entries of the biases are three blocks of H, in the order z, r, g. EvNN's parameters are
    w = kernel.T, r = recurrent_kernel.T, bx = bias, br = recurrent_bias, theta = thr.clamp(0, 1); for torch's GRU, see
    ``from_torch_gru``.

    Args:
        w, r: (3 H, inputs) and (3 H, H), arrays or scipy sparse matrices; zeros make no synapse.
        bx, br: (3 H,); the two biases of a gate are added here, in float64.
        theta: (H,), or one number for all units.

    Returns:
        The builder. The synapses are named "source->name" and "name->name".

    Raises:
        ModelError: SHAPE_MISMATCH, THETA_RANGE, and those of ``NetworkBuilder.connect``.
    """
    inside, outside = sparse.csr_matrix(r), sparse.csr_matrix(w)
    units = inside.shape[1]
    for what, found, needed in (("r", inside.shape, (3 * units, units)),
                                ("w", outside.shape, (3 * units, outside.shape[1])),
                                ("bx", np.shape(bx), (3 * units,)), ("br", np.shape(br), (3 * units,))):
        if found != needed:
            raise ModelError(f"{what} has shape {found}, a layer of {units} units needs {needed}", where=name,
                             code="SHAPE_MISMATCH", fix="stack the blocks of z, r and g along the first axis")
    (xz, xr, xg), (hz, hr, hg) = np.split(np.asarray(bx), 3), np.split(np.asarray(br), 3)
    builder.population(name, neuron(EGRU, units, theta=theta, bias_z=xz + hz, bias_r=xr + hr, bias_x=xg, bias_h=hg))
    builder.connect(source, name, weight=_ports(outside, units, skipped=3))
    return builder.connect(name, name, weight=_ports(inside, units, skipped=2), delay_ticks=1)


def from_torch_gru(blocks: Any) -> FloatArray:
    """A parameter of torch.nn.GRU, (3 H, ...) in torch's order r, z, n, with its blocks in the order z, r, g.

    EvNN's from_native_weights leaves the order as it is, which exchanges the two gates of a torch GRU.
    """
    reset, update, new = np.split(np.asarray(blocks, np.float64), 3)
    return np.concatenate([update, reset, new])


def _ports(blocks: sparse.csr_matrix, units: int, skipped: int) -> sparse.coo_matrix:
    """The blocks of z, r and g in the four ports; the candidate leaves out the port ``skipped``."""
    nothing = sparse.csr_matrix((units, blocks.shape[1]))
    gates, candidate = blocks[: 2 * units], blocks[2 * units :]
    order = [gates, nothing, candidate] if skipped == 2 else [gates, candidate, nothing]
    stacked = sparse.vstack(order, format="csr")
    stacked.eliminate_zeros()
    return stacked.tocoo()
