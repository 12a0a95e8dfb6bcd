"""Lava: runs a LoihiProgram in lava-nc 0.10.0 (fixed-point models on the CPU), and writes it as a Lava script.

lava-nc needs Python 3.10. Where the running interpreter has it, the run takes place here; elsewhere in a child process
under such a Python, with a clean environment, a process group of its own and a time limit: Lava can wait for ever
without a message, for example after an exception in a process model.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.lava_process import find_python, lava_is_here, run_child, run_here
from hwsdk.backends.lava_script import READ_OUT, LavaScript, lava_script
from hwsdk.errors import DataError, InternalError
from hwsdk.ir.data import Events, Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import STATES, LoihiProgram

Probes = Iterable[tuple[str, str]] | str
START_S, SAMPLE_S, STEP_S = 60.0, 10.0, 0.005
"""Default time limit: a start, each sample, and each step of a Lava process. Measured on two cores: 0.5 s (10 s for the
first import of an installation), 0.4 to 2.8 s, and 0.00034 s."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One program on one stimulus. probes, steps: as in hwsdk.simulators.loihi.run."""

    program: LoihiProgram
    stimulus: Stimulus
    probes: Probes = ()
    steps: int | None = None


def run(program: LoihiProgram, stimulus: Stimulus, *, python: str | Path | None = None, timeout: float | None = None,
        probes: Probes = (), steps: int | None = None) -> Trace:
    """Run a program in Lava on every sample, each from the initial state.

    Args:
        python: a Python 3.10 with lava-nc; default this one if it has Lava, else what ``find_python`` finds.
        timeout: seconds for everything; default by samples, steps and processes.
        probes: (population, state) pairs, or "all": states after every step's reset, int64 (samples, steps, n).
        steps: default the stimulus, plus the largest lag of a population.

    Returns:
        Trace without counts: Lava has no cost model.

    Raises:
        UnsupportedError: NOT_IN_LAVA: a part that Lava's fixed-point models do not have.
        DataError: the stimulus does not suit the program.
        MissingDependencyError: NO_LAVA: no interpreter has Lava.
        ExternalToolError: TIMEOUT, CRASHED: Lava did not end, or ended with an error.
    """
    return run_all([Job(program, stimulus, probes, steps)], python=python, timeout=timeout)[0]


def run_all(jobs: Sequence[Job], *, python: str | Path | None = None, timeout: float | None = None) -> list[Trace]:
    """``run`` for several programs in one Lava session; the errors are those of ``run``."""
    scripts = [emit(job.program) for job in jobs]
    limit = timeout if timeout is not None else sum(map(_seconds, jobs, scripts), START_S)
    interpreter = None if python is None and lava_is_here() else find_python(python)
    with tempfile.TemporaryDirectory(prefix="hwsdk-lava-") as folder:
        root = Path(folder)
        for k, (job, script) in enumerate(zip(jobs, scripts, strict=True)):
            _write(root / str(k), job, script)
        names = [job.program.name for job in jobs]
        if interpreter is None:
            run_here(root, names, limit)
        else:
            run_child(interpreter, root, names, limit)
        return [_trace(root / str(k), job) for k, job in enumerate(jobs)]


def emit(program: LoihiProgram) -> LavaScript:
    """The program as a Lava script; see hwsdk.backends.lava_script."""
    return lava_script(program)


def _steps(job: Job) -> int:
    """Steps of a run."""
    lag = max((s.lag for s in job.program.populations), default=0)
    return job.stimulus.n_steps + lag if job.steps is None else job.steps


def _seconds(job: Job, script: LavaScript) -> float:
    """The time that a job may take."""
    processes = sum(script.text.count(f".{call}(") for call in ("source", "connect", "population"))
    return job.stimulus.n_samples * (SAMPLE_S + STEP_S * _steps(job) * processes)


def _probed(job: Job) -> list[tuple[str, str]]:
    """The states to record.

    Raises:
        DataError: NO_SUCH_STATE.
    """
    known = [(s.name, state) for s in job.program.populations for state in STATES[s.model]]
    if job.probes == "all":
        return known
    if isinstance(job.probes, str):
        raise DataError(f"probes={job.probes!r}", code="NO_SUCH_STATE", fix='give (population, state) pairs, or "all"')
    wanted = [(str(name), str(state)) for name, state in job.probes]
    for name, state in wanted:
        if (name, state) not in known:
            raise DataError(f"no state {state!r} of {name!r}", code="NO_SUCH_STATE",
                            fix=f"probe one of {', '.join(f'{n}:{v}' for n, v in known[:12])}")
    return wanted


def _write(folder: Path, job: Job, script: LavaScript) -> None:
    """What the child reads of one job."""
    program, stimulus = job.program, job.stimulus
    stimulus.require(program.input_shapes, whole=True, graded=program.graded_input, chip=program.target)
    folder.mkdir()
    script.save(folder / "network.py")
    inputs: dict[str, NDArray[Any]] = {s.name: stimulus.inputs[s.name].dense(None, np.int64) for s in program.inputs}
    with (folder / "input.npz").open("wb") as file:
        np.savez(file, **inputs)  # type: ignore[arg-type]
    probes = [f"{name}:{state}" for name, state in _probed(job)]
    (folder / "job.json").write_text(
        json.dumps({"samples": stimulus.n_samples, "steps": _steps(job), "probes": probes}), "utf-8")


def _trace(folder: Path, job: Job) -> Trace:
    """What the child wrote of one job."""
    path = folder / "trace.npz"
    if not path.is_file():
        raise InternalError(f"Lava ended without an error and without a trace of {job.program.name}")
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    wanted = _probed(job)
    states = {(name, state): found[f"state:{name}:{state}"] for name, state in wanted}
    spikes: dict[str, Events] = {}
    for s in job.program.populations:
        sent = f"spikes:{s.name}"
        if not s.fires:
            sent = f"state:{s.name}:{READ_OUT[s.model]}"
            states[s.name, READ_OUT[s.model]] = found[sent]
        spikes[s.name] = _events(found[sent], s.shape)
    lag = {s.name: s.lag for s in job.program.populations}
    for name, sources in job.program.outputs.items():
        if len(sources) == 1:
            spikes[name], lag[name] = spikes[sources[0]], lag[sources[0]]
    return Trace(job.stimulus.n_samples, _steps(job), spikes, states, {}, lag)


def _events(values: NDArray[Any], shape: tuple[int, ...]) -> Events:
    """(samples, steps, n) as events."""
    sample, step, index = np.nonzero(values)
    value = values[sample, step, index].astype(np.float64)
    return Events(shape, values.shape[0], values.shape[1], sample.astype(np.int32), step.astype(np.int32),
                  index.astype(np.int32), None if (value == 1).all() else value)


__all__ = ["Job", "LavaScript", "emit", "find_python", "run", "run_all"]
