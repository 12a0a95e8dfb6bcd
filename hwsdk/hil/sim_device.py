"""A chip's simulator as a Device: what a test can run against where there is no hardware, and the expected side of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk import __version__, backends
from hwsdk.backends.base import Program
from hwsdk.errors import UnsupportedError
from hwsdk.hil.device import Capabilities, Health, Probes, Progress
from hwsdk.hil.image import KINDS
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace

URL = "sim:"


class SimDevice:
    """Runs any program on its target's simulator."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._program: Program | None = None
        self._last: Stimulus | None = None
        self._steps = 0

    @property
    def url(self) -> str:
        """Always "sim:"."""
        return URL

    def capabilities(self) -> Capabilities:
        """All kinds of programs, and all states."""
        return Capabilities("simulator", tuple(KINDS), core="the simulator of the program's target",
                            build=f"hwsdk {__version__}", probes=True)

    def load(self, program: Program) -> None:
        """Take a program."""
        self._program, self._last = program, None

    def run(self, stimulus: Stimulus, *, probes: Probes = (), progress: Progress | None = None) -> Trace:
        """See hwsdk.hil.device.Device.run."""
        program = require_program(self._program)
        trace = _simulate(program, stimulus, probes, progress, self._threads)
        self._last = stimulus
        self._steps += trace.n_samples * trace.n_steps
        return trace

    def read_state(self) -> Mapping[tuple[str, str], NDArray[Any]]:
        """After the last step of the last sample of the last run, which is run again for that."""
        program = require_program(self._program)
        if self._last is None:
            raise UnsupportedError("nothing was run", where=self.url, code="NO_RUN", fix="call run first")
        trace = _simulate(program, self._last.one(self._last.n_samples - 1), "all", None, 1)
        return {key: np.asarray(values[0, -1]) for key, values in trace.states.items()}

    def counters(self) -> Mapping[str, float]:
        """Steps so far."""
        return {"steps": self._steps}

    def health(self) -> Health:
        """Always good."""
        return Health(True, "the simulator runs in this process", self.counters())

    def close(self) -> None:
        """Nothing to do."""

    def __enter__(self) -> SimDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def require_program(program: Program | None) -> Program:
    """The program that was loaded.

    Raises:
        UnsupportedError: NOT_LOADED.
    """
    if program is None:
        raise UnsupportedError("no program is loaded", where="device", code="NOT_LOADED", fix="call load first")
    return program


def _simulate(program: Program, stimulus: Stimulus, probes: Probes, progress: Progress | None, threads: int) -> Trace:
    """The backend's simulator."""
    return backends.get(program.target).simulate(program, stimulus, probes=probes, strict=False, progress=progress,
                                                 threads=threads)
