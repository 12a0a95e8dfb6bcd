"""What is right, from a file: a trace of hwsdk, or arrays of spikes as any framework can save them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace
from hwsdk.ir.trace_file import load_trace


def read_expected(path: str | Path, network: Network, data: Stimulus) -> Trace:
    """The expected trace, of the first samples and steps of a file that has more than the data.

    Args:
        path: what ``hwsdk simulate -o`` writes, or an .npz with an array (samples, steps, *shape), or (steps, *shape)
            for one sample, of each layer or output that is known, under the network's names. Other arrays are ignored.

    Raises:
        DataError: BAD_TRACE, WRONG_EXPECTED, no array has the name of a layer; or what is wrong with an array.
    """
    try:
        with np.load(path, allow_pickle=False) as z:
            arrays = None if "head" in z.files else {n: z[n] for n in z.files}
    except Exception as error:  # whatever zipfile and numpy raise on damaged bytes
        raise DataError(f"not an .npz file: {error}", where=str(path), code="BAD_TRACE",
                        fix="save it with numpy.savez, an array for each layer") from None
    found = load_trace(path) if arrays is None else trace_of(arrays, network, str(path))
    return _first(found, data.n_samples)


def trace_of(arrays: dict[str, np.ndarray], network: Network, where: str = "expected") -> Trace:
    """A trace of dense arrays by layer; see ``read_expected``.

    Raises:
        DataError: as ``read_expected``.
    """
    known = [n for n in arrays if n in network.populations or n in network.outputs]
    if not known:
        raise DataError(f"it has the arrays {', '.join(arrays)}, the model the layers "
                        f"{', '.join((*network.populations, *network.outputs))}", where=where, code="WRONG_EXPECTED",
                        fix="name an array after each layer that is known")
    spikes = {n: events_from_dense(arrays[n], network.shapes[n], n) for n in known}
    grids = {(e.n_samples, e.n_steps) for e in spikes.values()}
    if len(grids) != 1:
        raise DataError("its arrays differ in samples or steps", where=where, code="RAGGED",
                        fix="give every layer the same number of samples and steps")
    samples, steps = grids.pop()
    return Trace(samples, steps, spikes)


def _first(trace: Trace, samples: int) -> Trace:
    """The first samples."""
    if trace.n_samples <= samples:
        return trace
    cut = {}
    for name, e in trace.spikes.items():
        keep = e.sample < samples
        cut[name] = replace(e, n_samples=samples, sample=e.sample[keep], step=e.step[keep], index=e.index[keep],
                            value=None if e.value is None else e.value[keep])
    return Trace(samples, trace.n_steps, cut, lag=trace.lag)
