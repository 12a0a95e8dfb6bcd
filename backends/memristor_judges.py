"""How good a run of a crossbar program is, as one number: accuracy, equal decisions, or similar spikes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.verify import decisions, layer_drift
from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.ir.windows import features
from hwsdk.programs.crossbar import CrossbarProgram, Readout

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Fit = Callable[[Floats, Labels, Readout], Readout]
"""(features (samples, windows * n), labels (samples,), the readout that the program came with) -> a readout."""
MEASURES = ("accuracy", "agreement", "similarity")
"""accuracy: share of the samples whose class is their label. agreement: share of the samples whose class is that of
the expected run. similarity: cosine of the rasters of spikes, mean over the outputs.
"""


class Judge(Protocol):
    """A measure of a run. name: as people read it. key: all that decides its numbers, as text."""

    @property
    def name(self) -> str:
        """As people read it."""

    @property
    def key(self) -> str:
        """All that decides its numbers."""

    def __call__(self, program: CrossbarProgram, trace: Trace) -> float:
        """The measure of the run of a program."""


def decides(program: CrossbarProgram) -> bool:
    """Does a run of it say which class a sample is of?"""
    return program.readout is not None or len(program.outputs) == 1


def decided(program: CrossbarProgram, trace: Trace, n_steps: int) -> Labels:
    """Class of each sample, (samples,): by the readout, or else the neuron of the only output with the largest sum.

    Raises:
        DataError: NO_DECISION, neither is there.
    """
    if program.readout is not None:
        r = program.readout
        return np.asarray(r.decide(features(trace, r.population, r.windows, n_steps)), np.int64)
    if len(program.outputs) != 1:
        raise DataError(f"{len(program.outputs)} outputs and no readout decide nothing", where=program.name,
                        code="NO_DECISION", fix="measure similarity, or give the program a readout")
    return decisions(trace, next(iter(program.outputs)), n_steps)


@dataclass(frozen=True, slots=True, eq=False)
class Accuracy:
    """Share of the samples whose class is their label. labels (samples,)."""

    labels: Labels
    n_steps: int

    @property
    def name(self) -> str:
        """As people read it."""
        return "accuracy"

    @property
    def key(self) -> str:
        """All that decides its numbers."""
        return f"accuracy {self.n_steps} {sha(self.labels)}"

    def __call__(self, program: CrossbarProgram, trace: Trace) -> float:
        """Of a run."""
        return float(np.mean(decided(program, trace, self.n_steps) == self.labels))


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Share of the samples whose class is the expected one. expected (samples,)."""

    expected: Labels
    n_steps: int

    @property
    def name(self) -> str:
        """As people read it."""
        return "agreement"

    @property
    def key(self) -> str:
        """All that decides its numbers."""
        return f"agreement {self.n_steps} {sha(self.expected)}"

    def __call__(self, program: CrossbarProgram, trace: Trace) -> float:
        """Of a run."""
        return float(np.mean(decided(program, trace, self.n_steps) == self.expected))


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """Cosine of the rasters of spikes with the expected run's, 1 for equal ones: mean over ``layers``."""

    expected: Trace
    layers: tuple[str, ...]
    n_steps: int

    @property
    def name(self) -> str:
        """As people read it."""
        return "similarity"

    @property
    def key(self) -> str:
        """All that decides its numbers."""
        parts = [f"{n} {sha(e.sample, e.step, e.index, e.values())}" for n in self.layers
                 for e in (self.expected.aligned(n, self.n_steps),)]
        return f"similarity {self.n_steps} {' '.join(parts)}"

    def __call__(self, program: CrossbarProgram, trace: Trace) -> float:
        """Of a run."""
        found = [layer_drift(n, self.expected, trace, self.n_steps).similarity for n in self.layers]
        return float(np.mean(found))


@dataclass(frozen=True, slots=True, eq=False)
class InSitu:
    """Accuracy of a readout that is trained anew on every die. It is fitted to the samples of ``train`` (samples,) bool
    and judged on the others. fit: for example of hwsdk.lsm.readout; fit_name: tells fits apart in a file of results.

    Raises:
        DataError: NO_READOUT, the program says not which population is read.
    """

    labels: Labels
    train: NDArray[np.bool_]
    fit: Fit
    n_steps: int
    fit_name: str = "ridge"

    @property
    def name(self) -> str:
        """As people read it."""
        return "accuracy, readout trained on each die"

    @property
    def key(self) -> str:
        """All that decides its numbers."""
        return f"in situ {self.fit_name} {self.n_steps} {sha(self.labels, self.train)}"

    def __call__(self, program: CrossbarProgram, trace: Trace) -> float:
        """Of a run."""
        if program.readout is None:
            raise DataError("the program has no readout that could be trained", where=program.name, code="NO_READOUT",
                            fix="give it one with with_readout, or measure the accuracy of its output")
        r = program.readout
        x, train = features(trace, r.population, r.windows, self.n_steps), np.asarray(self.train, bool)
        own = self.fit(x[train], self.labels[train], r)
        return float(np.mean(own.decide(x[~train]) == self.labels[~train]))


def judge_of(measure: str | None, program: CrossbarProgram, stimulus: Stimulus,
             expected: Callable[[], Trace]) -> Judge:
    """A measure by its name; None: accuracy where there are labels and something decides, else agreement, else
    similarity. expected: gives the run to compare with, and is called where one is needed.

    Raises:
        DataError: NO_SUCH_MEASURE, NO_LABELS or NO_DECISION.
    """
    able = decides(program)
    name = measure or ("similarity" if not able else "agreement" if stimulus.labels is None else "accuracy")
    if name not in MEASURES:
        raise DataError(f"no measure {name!r}", code="NO_SUCH_MEASURE", fix=f"use one of {', '.join(MEASURES)}")
    if name == "accuracy":
        if stimulus.labels is None:
            raise DataError("accuracy of data without labels", code="NO_LABELS",
                            fix="give labels with the data, or measure agreement")
        if not able:
            raise DataError(f"{len(program.outputs)} outputs and no readout decide nothing", where=program.name,
                            code="NO_DECISION", fix="measure similarity, or give the program a readout")
        return Accuracy(stimulus.labels, stimulus.n_steps)
    run = expected()
    if name == "agreement":
        return Agreement(decided(program, run, stimulus.n_steps), stimulus.n_steps)
    return Similarity(run, output_layers(program), stimulus.n_steps)


def output_layers(program: CrossbarProgram) -> tuple[str, ...]:
    """Populations that fire and are read by an output; all that fire where no output reads one."""
    fires = [p.name for p in program.populations if p.cell.fires]
    read = [n for n in fires if any(n in x for x in program.outputs.values())]
    return tuple(read or fires)


def sha(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 over arrays, their types and shapes, as hex."""
    h = hashlib.sha256()
    for a in map(np.ascontiguousarray, arrays):
        h.update(f"|{a.dtype.str}|{a.shape}|".encode())
        h.update(a.tobytes())
    return h.hexdigest()


def stimulus_key(stimulus: Stimulus) -> str:
    """The same over all inputs of a stimulus, not its labels."""
    parts = [f"{stimulus.n_samples} {stimulus.n_steps}"]
    for n, e in sorted(stimulus.inputs.items()):
        parts.append(f"{n} {e.shape} {sha(e.sample, e.step, e.index, e.values())}")
    return "; ".join(parts)
