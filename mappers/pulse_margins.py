"""pulse_margins: how far sums stay from thresholds on given data, before and after quantisation, and what changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hwsdk.ir.expand import explicit
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import ConvSynapses, Synapses, size

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Margin:
    """One population on the data: the smallest distance of v from the threshold, in units of the model and, after
    quantisation, of the chip (between two whole numbers: the threshold is at t - 1/2); how many of the decisions
    changed, with the first of them as (sample, step, neuron).
    """

    layer: str
    model: float
    chip: float
    decisions: int
    changed: int
    first: tuple[int, int, int] | None

    def to_text(self) -> str:
        """One line."""
        where = "" if self.first is None else ", first in sample {} at step {}, neuron {}".format(*self.first)
        return (f"{self.layer:20} sums stay {self.model:.3g} from the threshold, on the chip {self.chip:.3g}; "
                f"{self.changed} of {self.decisions:,} decisions change{where}")


def margins(before: Network, after: Network, spikes: Mapping[str, Array]) -> tuple[Margin, ...]:
    """Every population by itself, with the same spikes as its input before and after.

    Args:
        before: lowered. after: the same quantised by QuantizePulse.
        spikes: input or population -> (samples, steps, elements), of a run of ``before``.
    """
    found = []
    for name, cell in before.populations.items():
        built = after.nodes[name]
        if isinstance(cell, DiscreteLIF) and isinstance(built, DiscreteLIF):
            v, z = _run(cell, _drive(before, name, spikes))
            w, y = _run(built, _drive(after, name, spikes))
            found.append(_margin(name, cell, built, v, w, z, y))
    return tuple(found)


def _margin(name: str, cell: DiscreteLIF, built: DiscreteLIF, v: Array, w: Array, z: NDArray[np.bool_],
            y: NDArray[np.bool_]) -> Margin:
    """One population from its membranes and decisions."""
    half = 0.5 if float(np.abs(built.v_threshold - np.rint(built.v_threshold)).max(initial=0)) == 0 else 0.0
    wrong = np.argwhere(z != y)
    return Margin(name, float(np.abs(v - cell.v_threshold.ravel()).min(initial=np.inf)),
                  float(np.abs(w - built.v_threshold.ravel() + half).min(initial=np.inf)), z.size, len(wrong),
                  (int(wrong[0][0]), int(wrong[0][1]), int(wrong[0][2])) if len(wrong) else None)


def _drive(network: Network, name: str, spikes: Mapping[str, Array]) -> Array:
    """(samples, steps, n): what enters a population."""
    total: Array | None = None
    for edge in network.sources(name):
        node = network.nodes[edge.source]
        if not isinstance(node, Synapses | ConvSynapses):
            continue
        s, sent = explicit(node), spikes[network.sources(edge.source)[0].source]
        samples, steps, _ = sent.shape
        total = np.zeros((samples, steps, size(s.post_shape))) if total is None else total
        for d in np.unique(s.delay_ticks).tolist():
            own = s.delay_ticks == d
            w = sparse.csr_matrix((np.asarray(s.weight[own], np.float64), (s.source[own], s.target[own])),
                                  shape=(size(s.pre_shape), size(s.post_shape)))
            late = sent[:, : max(steps - d, 0)].reshape(-1, sent.shape[2])
            total[:, d:] += (sparse.csr_matrix(late) @ w).toarray().reshape(samples, -1, size(s.post_shape))
    if total is None:
        samples, steps = next(iter(spikes.values())).shape[:2] if spikes else (0, 0)
        total = np.zeros((samples, steps, size(network.shapes[name])))
    return total


def _run(cell: DiscreteLIF, drive: Array) -> tuple[Array, NDArray[np.bool_]]:
    """(v before the reset, spikes) of a population, each (samples, steps, n)."""
    keep_u, keep_v, bias, theta, reset_by = (getattr(cell, f).ravel() for f in (
        "decay_u", "decay_v", "bias", "v_threshold", "reset_by"))
    u, v = (np.repeat(x.ravel()[None], drive.shape[0], 0) for x in (cell.u_init, cell.v_init))
    seen, fired = np.zeros_like(drive), np.zeros(drive.shape, bool)
    for t in range(drive.shape[1]):
        u = keep_u * u + drive[:, t]
        v = keep_v * v + u + bias
        seen[:, t] = v
        fired[:, t] = z = v >= theta if cell.comparison == ">=" else v > theta
        v = np.where(z, 0.0 if cell.reset == "value" else v - reset_by, v)
    return seen, fired
