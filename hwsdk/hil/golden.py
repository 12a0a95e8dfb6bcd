"""Golden traces: what a program once did on a stimulus, one .npz a case, for later runs to be held against."""

from __future__ import annotations

import hashlib
import json
import platform
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hwsdk import __version__
from hwsdk.backends.base import Program
from hwsdk.errors import DataError
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.files import atomic_file
from hwsdk.ir.trace import Trace

FORM = "hwsdk golden trace 1"
COLUMNS = {"sample": np.int32, "step": np.int32, "index": np.int32, "value": np.float64}


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """program, stimulus: digests, SHA-256 as hex. model, target: by name. seed: of the stimulus, if it was drawn.
    versions: tool -> version. trace: the events of all populations.
    """

    program: str
    stimulus: str
    model: str
    target: str
    trace: Trace
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program, stimulus: Stimulus, trace: Trace, seed: int | None = None) -> Golden:
        """Of a run; outputs that are but other names of populations are left out, and so are states and counts."""
        spikes = {n: e for n, e in trace.spikes.items() if n not in program.outputs}
        lag = {n: trace.lag.get(n, 0) for n in spikes}
        made = {"hwsdk": __version__, "numpy": np.__version__, "python": platform.python_version()}
        return cls(program.digest(), stimulus_digest(stimulus), program.name, program.target,
                   Trace(trace.n_samples, trace.n_steps, spikes, lag=lag), seed, made)

    def save(self, path: str | Path) -> Path:
        """Write it: to a temporary name beside it, then moved into place.

        Raises:
            DataError: CANNOT_WRITE.
        """
        t = self.trace
        head = {"form": FORM, "program": self.program, "stimulus": self.stimulus, "model": self.model,
                "target": self.target, "seed": self.seed, "versions": dict(self.versions), "samples": t.n_samples,
                "steps": t.n_steps, "lag": dict(t.lag),
                "populations": [[n, list(e.shape)] for n, e in t.spikes.items()]}
        arrays: dict[str, Any] = {"head": np.array(json.dumps(head))}
        for k, events in enumerate(t.spikes.values()):
            for column, kind in COLUMNS.items():
                own = events.values() if column == "value" else getattr(events, column)
                arrays[f"{k}_{column}"] = np.asarray(own, kind)
        with atomic_file(path, DataError) as stream, zipfile.ZipFile(stream, "w") as file:
            for name, array in arrays.items():
                entry = zipfile.ZipInfo(f"{name}.npy")  # without a date, so that equal traces give equal bytes
                entry.compress_type = zipfile.ZIP_DEFLATED
                with file.open(entry, "w") as part:
                    np.lib.format.write_array(part, array, allow_pickle=False)
        return Path(path)

    def stale(self, program: Program, stimulus: Stimulus) -> str:
        """Why this is no trace of this program on this stimulus, or ""."""
        found = []
        if self.target != program.target:
            found.append(f"it is of the target {self.target}, the program is for {program.target}")
        elif self.program != program.digest():
            found.append(f"it is of another program ({self.program[:12]}), this one is {program.digest()[:12]}")
        if self.stimulus != stimulus_digest(stimulus):
            found.append(f"it is of another stimulus ({self.stimulus[:12]}), this one is "
                         f"{stimulus_digest(stimulus)[:12]}")
        return "; ".join(found)


def load(path: str | Path) -> Golden:
    """Read a golden trace.

    Raises:
        DataError: NO_GOLDEN, there is none; BAD_GOLDEN, the file is damaged or something else.
    """
    if not Path(path).is_file():
        raise DataError("there is no golden trace", where=str(path), code="NO_GOLDEN",
                        fix="make it with pytest --hw-update-golden, and look at what it holds")
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as z:
            head = json.loads(str(z["head"]))
            if head["form"] != FORM:
                raise ValueError(f"it says {head['form']!r}")
            spikes = {}
            for k, (name, shape) in enumerate(head["populations"]):
                sample, step, index, value = (z[f"{k}_{column}"] for column in COLUMNS)
                spikes[name] = Events(tuple(shape), head["samples"], head["steps"], sample, step, index,
                                      None if (value == 1).all() else value)
            trace = Trace(head["samples"], head["steps"], spikes, lag=head["lag"])
            return Golden(head["program"], head["stimulus"], head["model"], head["target"], trace, head["seed"],
                          head["versions"])
    except Exception as error:  # whatever zipfile, json and numpy raise on damaged bytes
        raise DataError(f"not a golden trace: {error}", where=str(path), code="BAD_GOLDEN",
                        fix="make it anew with pytest --hw-update-golden") from None


def stimulus_digest(stimulus: Stimulus) -> str:
    """SHA-256 of all that goes into a network, as hex."""
    found = hashlib.sha256(f"{stimulus.n_samples} {stimulus.n_steps}".encode())
    for name in sorted(stimulus.inputs):
        events = stimulus.inputs[name]
        found.update(f"\n{name} {list(events.shape)} {len(events)}\n".encode())
        for column, kind in COLUMNS.items():
            own = events.values() if column == "value" else getattr(events, column)
            found.update(np.ascontiguousarray(own, np.dtype(kind).newbyteorder("<")).tobytes())
    return found.hexdigest()
