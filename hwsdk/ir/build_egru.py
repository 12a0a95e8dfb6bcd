"""How a trained layer of event-based gated recurrent units gets into a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from hwsdk.errors import ModelError
from hwsdk.ir.build import NetworkBuilder, neuron
from hwsdk.ir.nodes import FloatArray
from hwsdk.ir.recurrent import EGRU


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
