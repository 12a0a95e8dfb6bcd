"""Readouts for a chip whose devices are not what was asked for: trained on it, on a twin of it, or over other chips.

in_situ: features of the training samples are recorded on the chip itself. twin: the chip's conductances are read back,
a chip is built from them, and the readout trained there is used on the real one; no labelled sample runs on the chip.
pool: trained over other simulated dies of the same program. transfer: trained on the float model; what others start
from, and what devices and wires break.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.errors import DataError, InternalError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.lsm.features import features
from hwsdk.lsm.readout import accuracy, decide, logistic, ridge
from hwsdk.lsm.states import states
from hwsdk.programs.crossbar import CrossbarProgram, Readout
from hwsdk.simulators import reference
from hwsdk.simulators.memristor import Chip, chip_of
from hwsdk.simulators.memristor_die import read_back

Floats = NDArray[np.float64]
HOW = ("in_situ", "twin", "pool", "transfer")
READOUTS: dict[str, Callable[..., Readout]] = {"ridge": ridge, "logistic": logistic}


@dataclass(frozen=True, slots=True)
class Report:
    """What a readout was trained on. accuracy: on the training samples, where it was trained. samples: of the training
    set. chip_samples: of them, those that ran on the chip. cells_read: conductances that were read back, read_error the
    standard deviation of one as a share of the window. dies: of the pool. modelled: stages of the chip that were part
    of what the readout saw; missing: those that it has, but that the readout did not see.
    """

    how: str
    population: str
    windows: int
    readout: str
    die: int
    accuracy: float
    samples: int
    chip_samples: int
    modelled: tuple[str, ...]
    missing: tuple[str, ...]
    cells_read: int = 0
    read_error: float | None = None
    dies: tuple[int, ...] = ()

    def to_text(self) -> str:
        """A few lines."""
        lines = [f"readout {self.readout} of {self.population} in {self.windows} windows, {self.how}, die {self.die}",
                 f"{self.samples} training samples, {self.chip_samples} of them on the chip; accuracy on them "
                 f"{self.accuracy:.1%}",
                 f"modelled: {', '.join(self.modelled) or 'nothing'}; not modelled: "
                 f"{', '.join(self.missing) or 'nothing'}"]
        if self.read_error is not None:
            lines.append(f"{self.cells_read} conductances read back, error {self.read_error:.3g} of the window")
        if self.dies:
            lines.append(f"trained over dies {', '.join(map(str, self.dies))}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """program: with its readout. features: of the training samples, as the readout saw them, (samples, windows * n),
    die after die for a pool. chip: the die, its wires solved, to run more on.
    """

    program: CrossbarProgram
    features: Floats
    report: Report
    chip: Chip

    @property
    def readout(self) -> Readout:
        """That was trained."""
        if self.program.readout is None:
            raise InternalError("a calibrated program without a readout")
        return self.program.readout

    def decide(self, stimulus: Stimulus, *, threads: int = 1) -> NDArray[Any]:
        """(samples,): the classes that the chip with this readout says."""
        return decide(self.readout, seen(self.chip, stimulus, self.readout, threads))

    def accuracy(self, stimulus: Stimulus, *, threads: int = 1) -> float:
        """Share of labelled samples that the chip with this readout gets right."""
        return float(np.mean(self.decide(stimulus, threads=threads) == labels_of(stimulus)))


@dataclass(frozen=True, slots=True)
class _Task:
    """What all ways share."""

    network: Network
    chip: Chip
    train: Stimulus
    population: str
    windows: int
    threads: int

    @property
    def program(self) -> CrossbarProgram:
        """Of the chip."""
        return self.chip.program

    def on(self, chip: Chip) -> Floats:
        """The training samples' features on a chip."""
        trace = chip.run(self.train, threads=self.threads)
        return features(trace, self.population, self.windows, self.train.n_steps)


def calibrate(network: Network, target: str, train: Stimulus, *, population: str = "liquid", windows: int = 1,
              how: str = "in_situ", options: CompileOptions | None = None, die: int | None = None,
              dies: int | Sequence[int] = 4, read_error: float = 0.0, reads: int = 1, wires: bool = True,
              readout: str = "ridge", seed: int = 0, threads: int = 1, chip: Chip | None = None) -> Calibrated:
    """Train the readout of a network on crossbars.

    Args:
        network: with the liquid. target: a target of crossbars. train: with labels. population: that is read, in
            ``windows`` windows. how: "in_situ", "twin", "pool" or "transfer", see the module.
        options: of the compilation. die: of the chip, None: as the options say.
        dies: of a pool, or how many; the chip's own die is not among them.
        read_error, reads, seed: of a twin: standard deviation of a reading as a share of the conductance window, how
            many are averaged, and the tester's seed. wires: does the twin model the chip's wires?
        readout: "ridge" or "logistic". threads: no result depends on them.
        chip: a die that was built already; then nothing is compiled, and options and die are left out.

    Raises:
        UnsupportedError: BAD_OPTION, or NO_CALIBRATION: the target is none of crossbars. DataError: NO_LABELS, and what
            the stimulus does wrong. FitError and others of the compilation.
    """
    for name, value, known in (("how", how, HOW), ("readout", readout, tuple(READOUTS))):
        if value not in known:
            raise UnsupportedError(f"{name} is {value!r}", code="BAD_OPTION", fix=f"use one of {', '.join(known)}")
    labels = labels_of(train)
    made = chip or chip_of(compiled(network, target, options, die), threads=threads)
    task = _Task(network, made, train, population, windows, threads)
    seen_as, report = _WAYS[how](task, dies=dies, read_error=read_error, reads=reads, wires=wires, seed=seed)
    labels = np.tile(labels, len(seen_as) // len(labels))
    trained = READOUTS[readout](seen_as, labels, population=population, windows=windows, how=how)
    report = replace(report, readout=readout, accuracy=accuracy(trained, seen_as, labels))
    return Calibrated(made.program.with_readout(trained), seen_as, report, made)


def compiled(network: Network, target: str, options: CompileOptions | None = None, die: int | None = None,
             ) -> CrossbarProgram:
    """The network on crossbars.

    Raises:
        UnsupportedError: NO_CALIBRATION.
    """
    chosen = options or CompileOptions()
    if die is not None:
        chosen = replace(chosen, target_options={**chosen.target_options, "die": die})
    program = backends.get(target).compile(network, chosen, lambda _: None)
    if not isinstance(program, CrossbarProgram):
        raise UnsupportedError(f"{target} has no devices to calibrate a readout for", code="NO_CALIBRATION",
                               fix="use a target of crossbars, such as memristor")
    return program


def seen(chip: Chip, stimulus: Stimulus, readout: Readout, threads: int = 1) -> Floats:
    """The features that a readout takes, from a run on a chip, (samples, windows * n)."""
    trace = chip.run(stimulus, threads=threads)
    return features(trace, readout.population, readout.windows, stimulus.n_steps)


def labels_of(stimulus: Stimulus) -> NDArray[np.int64]:
    """The labels.

    Raises:
        DataError: NO_LABELS.
    """
    if stimulus.labels is None:
        raise DataError("samples without labels", where="calibrate", code="NO_LABELS", fix="give one label a sample")
    return stimulus.labels


def _report(task: _Task, how: str, chip_samples: int, missing: Sequence[str], **more: Any) -> Report:
    """A report that waits for the readout."""
    stages = task.program.physics.stages
    left = tuple(s for s in stages if s in missing)
    return Report(how, task.population, task.windows, "", task.program.physics.die, 0.0, task.train.n_samples,
                  chip_samples, tuple(s for s in stages if s not in left), left, **more)


def _in_situ(task: _Task, **_: Any) -> tuple[Floats, Report]:
    return task.on(task.chip), _report(task, "in_situ", task.train.n_samples, ())


def _twin(task: _Task, *, read_error: float, reads: int, wires: bool, seed: int, **_: Any) -> tuple[Floats, Report]:
    found = twin(task.program, read_error=read_error, reads=reads, wires=wires, seed=seed, threads=task.threads)
    missing = ("read",) if wires else ("read", "wires")
    cells = sum(b.rows * b.columns for b in task.program.blocks)
    return task.on(found), _report(task, "twin", 0, missing, cells_read=cells * reads, read_error=read_error)


def twin(program: CrossbarProgram, *, read_error: float = 0.0, reads: int = 1, wires: bool = True, seed: int = 0,
         threads: int = 1) -> Chip:
    """A chip of the conductances that a tester reads from a die, without noise and, if so chosen, without wires.

    Offsets and gains of converters are taken as measured. See ``calibrate`` for the rest.
    """
    conductances = [read_back(program, k, read_error, seed, reads) for k in range(len(program.blocks))]
    off = {"read"} if wires else {"read", "wires"}
    model = program.with_stages(*(s for s in program.physics.stages if s not in off))
    return chip_of(model, conductances, threads=threads)


def _pool(task: _Task, *, dies: int | Sequence[int], **_: Any) -> tuple[Floats, Report]:
    own = task.program.physics.die
    wanted = tuple(d for d in range(dies + own + 1) if d != own)[:dies] if isinstance(dies, int) else tuple(dies)
    if not wanted or own in wanted:
        raise UnsupportedError(f"a pool of dies {list(wanted)} for die {own}", code="BAD_OPTION",
                               fix="name one other die or more")
    seen_as = [task.on(chip_of(task.program.with_die(d), threads=task.threads)) for d in wanted]
    return np.concatenate(seen_as), _report(task, "pool", 0, (), dies=wanted)


def _transfer(task: _Task, **_: Any) -> tuple[Floats, Report]:
    report = _report(task, "transfer", 0, task.program.physics.stages)
    try:
        return states(task.network, task.train, windows=task.windows, threads=task.threads), report
    except UnsupportedError:
        trace = reference.run(task.network, task.train)
        return features(trace, task.population, task.windows, task.train.n_steps), report


_WAYS: dict[str, Callable[..., tuple[Floats, Report]]] = {
    "in_situ": _in_situ, "twin": _twin, "pool": _pool, "transfer": _transfer}
