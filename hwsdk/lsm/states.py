"""A liquid over many samples, in floats and without a chip: the reference's spikes, much faster."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from hwsdk.errors import UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Synapses, size
from hwsdk.lsm.features import window_of
from hwsdk.mappers.lower import Lower
from hwsdk.simulators import kernels_liquid

Floats = NDArray[np.float64]
FULL = 0.08
"""Share of non-zero weights from which on all are stored and added: there the two take the same time, as measured on
liquids of 256 and 1,000 neurons (in vectors, an add costs a twelfth of a scattered one)."""


def states(network: Network, stimulus: Stimulus, *, windows: int = 1, dtype: DTypeLike = np.float64, threads: int = 1,
           ) -> Floats:
    """Spike counts of a liquid in equal windows, (samples, windows * n), window by window.

    In float64 and with one input they are those of the reference on the lowered network, spike for spike. With several
    inputs, whose sums are joined in another order, or in float32, which takes about two thirds of the time, they differ
    only where a membrane comes within the rounding of its threshold.

    Args:
        network: with one population, which inputs and its own spikes of the step before drive, as ``liquid`` makes it.
        windows: see ``hwsdk.lsm.features.window_of``. threads: the result does not depend on them.

    Raises:
        UnsupportedError: NOT_A_LIQUID.
        DataError: the stimulus does not suit the network's inputs, or OUT_OF_RANGE windows.
    """
    stimulus.require({n: i.shape for n, i in network.inputs.items()}, whole=False)
    machine = _Machine(network, np.dtype(dtype))
    window = np.concatenate([np.full(machine.lag, -1), window_of(stimulus.n_steps, windows)])
    drive = machine.drive(stimulus, len(window))
    out = np.zeros((stimulus.n_samples, windows, machine.n), np.int32)

    def run(first: int, last: int) -> None:
        kernels_liquid.count(drive, machine.w_in, machine.w_rec, machine.cells, machine.at_equal, machine.to_zero,
                             window, first, out[first:last])

    cuts = [len(out) * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, cuts[:-1], cuts[1:]))
    return out.reshape(len(out), -1).astype(np.float64)


class _Machine:
    """A liquid as the kernel takes it."""

    def __init__(self, network: Network, dtype: np.dtype[Any]) -> None:
        lowered = network if network.is_discrete else Lower(min_delay=1)(network)
        name, cell = _population(lowered)
        self.lag, self.n, self.dtype = lowered.lag.get(name, 0), cell.n, dtype
        self.at_equal, self.to_zero = cell.comparison == ">=", cell.reset == "value"
        self.inputs = {n: i.shape for n, i in lowered.inputs.items()}
        made = {e.source: node for e in lowered.edges if isinstance(node := lowered.nodes[e.target], Synapses)}
        self.delays = {n: _delay(made[n], n) for n in made}
        if self.delays.get(name, 1) != 1:
            raise _not_a_liquid(f"{name} drives itself {self.delays[name]} steps later")
        parts = [_matrix(made.get(n), size(shape), self.n) for n, shape in self.inputs.items()]
        self.w_in = self._rows(sparse.vstack(parts, format="csr"))
        self.w_rec = self._rows(_matrix(made.get(name), self.n, self.n))
        self.cells = self._cells(cell)

    def _cells(self, cell: DiscreteLIF) -> kernels_liquid.Cells:
        """The neurons' parameters."""
        rests = np.zeros(self.n) if cell.refractory is None else cell.refractory
        decay, bias, threshold, reset_by, start = (
            np.ascontiguousarray(a.ravel(), self.dtype)
            for a in (cell.decay_v, cell.bias, cell.v_threshold, cell.reset_by, cell.v_init))
        return kernels_liquid.Cells(decay, bias, threshold, reset_by, start, rests.ravel().astype(np.int64))

    def _rows(self, matrix: sparse.csr_matrix) -> kernels_liquid.Rows:
        """Weights by source, all of them where most are there."""
        full = matrix.nnz >= FULL * matrix.shape[0] * matrix.shape[1]
        if full:
            ptr = np.arange(matrix.shape[0] + 1) * matrix.shape[1]
            return kernels_liquid.Rows(ptr, np.zeros(0, np.int64), matrix.toarray().astype(self.dtype).ravel(), True)
        matrix.sort_indices()
        return kernels_liquid.Rows(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64),
                                   matrix.data.astype(self.dtype), False)

    def drive(self, stimulus: Stimulus, steps: int) -> kernels_liquid.Drive:
        """All inputs side by side, each as late as its synapses are."""
        columns, base = [], 0
        for name, shape in self.inputs.items():
            late = stimulus.inputs[name].shifted(self.delays.get(name, 0), steps)
            cell = late.sample * np.int64(steps) + late.step
            columns.append((cell, late.index + np.int64(base), late.values().astype(self.dtype)))
            base += size(shape)
        cell, element, value = (np.concatenate(c) for c in zip(*columns, strict=True))
        if len(columns) > 1:
            order = np.lexsort((element, cell))
            cell, element, value = cell[order], element[order], value[order]
        counts = np.bincount(cell, minlength=stimulus.n_samples * steps)
        return kernels_liquid.Drive(np.concatenate([[0], np.cumsum(counts)]), element, value)


def _population(lowered: Network) -> tuple[str, DiscreteLIF]:
    """The only population."""
    found = list(lowered.populations.items())
    if len(found) != 1:
        raise _not_a_liquid(f"it has {len(found)} populations")
    name, cell = found[0]
    if not isinstance(cell, DiscreteLIF) or not cell.fires or cell.decay_u.any():
        raise _not_a_liquid(f"{name} is a {type(cell).__name__} that does not spike or has a synaptic current")
    odd = [n for n in lowered.order if not isinstance(lowered.nodes[n], Synapses | DiscreteLIF) and
           n not in lowered.inputs and n not in lowered.outputs]
    if odd or not lowered.inputs:
        raise _not_a_liquid(f"it has {', '.join(odd) or 'no input'}")
    return name, cell


def _not_a_liquid(why: str) -> UnsupportedError:
    """What the fast run cannot take."""
    return UnsupportedError(f"this network is no liquid: {why}", where="states", code="NOT_A_LIQUID",
                            fix="run it with hwsdk.simulators.reference and take hwsdk.lsm.features of the trace")


def _delay(node: Any, source: str) -> int:
    """The one delay of all synapses of a node."""
    found = np.unique(node.delay_ticks)
    if len(found) > 1:
        raise _not_a_liquid(f"the synapses from {source} have delays of {found[0]} to {found[-1]} steps")
    return int(found[0]) if len(found) else 1


def _matrix(node: Any, n_source: int, n: int) -> sparse.csr_matrix:
    """(source, target) weights; synapses of one pair add up."""
    if node is None:
        return sparse.csr_matrix((n_source, n))
    return sparse.csr_matrix((node.weight, (node.source, node.target)), shape=(n_source, n))
