"""Traces on disk: one .npz with the events of every population and every count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hwsdk.errors import DataError
from hwsdk.ir.data import Events
from hwsdk.ir.files import atomic_file
from hwsdk.ir.trace import Trace


def save_trace(trace: Trace, path: str | Path, program: str = "") -> Path:
    """Write spikes, counts and lags (no states): to a temporary name beside it, then moved into place.

    Args:
        program: digest of the program that was run; ``load_trace`` compares it.

    Raises:
        DataError: the folder cannot be written.
    """
    arrays: dict[str, object] = {}
    for i, events in enumerate(trace.spikes.values()):
        for column in ("sample", "step", "index"):
            arrays[f"spikes{i}_{column}"] = getattr(events, column)
        arrays[f"spikes{i}_value"] = events.values()
    arrays |= {f"count_{name}": counts for name, counts in trace.counts.items()}
    head = {"samples": trace.n_samples, "steps": trace.n_steps, "lag": dict(trace.lag), "program": program,
            "spikes": [[name, list(e.shape)] for name, e in trace.spikes.items()]}
    with atomic_file(path, DataError) as stream:
        np.savez_compressed(stream, head=np.array(json.dumps(head)), **arrays)  # type: ignore[arg-type]
    return Path(path)


def load_trace(path: str | Path, program: str = "") -> Trace:
    """Read a trace.

    Args:
        program: digest of the program that it must belong to; empty for any.

    Raises:
        DataError: not a trace file of hwsdk, or one of another program.
    """
    if not Path(path).is_file():
        raise DataError("there is no such file", where=str(path), code="NO_FILE",
                        fix="write one with: hwsdk simulate P.hwx --input DATA -o TRACE.npz")
    try:
        with np.load(path, allow_pickle=False) as z:
            head = json.loads(str(z["head"]))
            spikes = {}
            for i, (name, shape) in enumerate(head["spikes"]):
                value = z[f"spikes{i}_value"]
                sample, step, index = (z[f"spikes{i}_{column}"] for column in ("sample", "step", "index"))
                spikes[name] = Events(tuple(shape), head["samples"], head["steps"], sample, step, index,
                                      None if (value == 1).all() else value)
            counts = {k[len("count_") :]: z[k] for k in z.files if k.startswith("count_")}
    except Exception as error:  # whatever zipfile, json and numpy raise on damaged bytes
        raise DataError(f"not a trace of hwsdk: {error}", where=str(path), code="BAD_TRACE",
                        fix="write one with: hwsdk simulate P.hwx --input DATA -o TRACE.npz") from None
    if program and head.get("program", program) != program:
        raise DataError("it is the trace of another program", where=str(path), code="WRONG_TRACE",
                        fix="simulate this program, or estimate the one that the trace belongs to")
    return Trace(head["samples"], head["steps"], spikes, counts=counts, lag=head["lag"])
