"""What the adapters of vendors' devices share: they run whole stimuli as jobs, and have no line of their own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.base import Program, require_known
from hwsdk.errors import UnsupportedError
from hwsdk.hil.device import Capabilities, Health, Probes, Progress
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace


def parts_of(url: str, known: Iterable[str]) -> tuple[str, dict[str, str]]:
    """(what stands between the scheme and "?", the options after it).

    Raises:
        UnsupportedError: UNKNOWN_OPTION.
    """
    place, _, query = url.partition(":")[2].partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    require_known(url.partition(":")[0], options, known)
    return place.strip("/"), options


class JobDevice:
    """A device that takes a program and a whole stimulus and gives back a whole trace. A subclass has ``capabilities``,
    ``health``, ``_take(program)``, which refuses what it cannot run, and ``_job(stimulus, probes)``.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._loaded = False
        self._last: Stimulus | None = None
        self._counted = {"runs": 0.0, "steps": 0.0, "seconds": 0.0}

    @property
    def url(self) -> str:
        """What it was opened by."""
        return self._url

    def capabilities(self) -> Capabilities:
        """See hwsdk.hil.device.Device."""
        raise NotImplementedError

    def health(self) -> Health:
        """See hwsdk.hil.device.Device."""
        raise NotImplementedError

    def load(self, program: Program) -> None:
        """Take a program, after a look at whether the device can run it.

        Raises:
            UnsupportedError: it cannot; names every reason.
        """
        require_kind(program, self.capabilities(), self._url)
        self._take(program)
        self._loaded, self._last = True, None

    def run(self, stimulus: Stimulus, *, probes: Probes = (), progress: Progress | None = None) -> Trace:
        """See hwsdk.hil.device.Device.run. A job tells no progress before it ends."""
        if not self._loaded:
            raise UnsupportedError("no program is loaded", where=self._url, code="NOT_LOADED", fix="call load first")
        begin = time.perf_counter()
        trace = self._job(stimulus, probes)
        steps = trace.n_samples * trace.n_steps
        for name, more in (("runs", 1), ("steps", steps), ("seconds", time.perf_counter() - begin)):
            self._counted[name] += more
        if progress is not None:
            progress(steps, steps)
        self._last = stimulus
        return trace

    def read_state(self) -> Mapping[tuple[str, str], NDArray[Any]]:
        """After the last step of the last sample, which is run again for that."""
        if self._last is None:
            raise UnsupportedError("nothing was run", where=self._url, code="NO_RUN", fix="call run first")
        trace = self._job(self._last.one(self._last.n_samples - 1), "all")
        return {key: np.asarray(values[0, -1]) for key, values in trace.states.items()}

    def counters(self) -> Mapping[str, float]:
        """Runs, steps and seconds since it was opened."""
        return dict(self._counted)

    def close(self) -> None:
        """Let go of it; may be called twice."""
        self._loaded = False

    def __enter__(self) -> JobDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, program: Program) -> None:
        """Keep a program."""
        raise NotImplementedError

    def _job(self, stimulus: Stimulus, probes: Probes) -> Trace:
        """Run it."""
        raise NotImplementedError


def require_kind(program: Program, capabilities: Capabilities, url: str) -> None:
    """Is the program of a kind that the device runs?

    Raises:
        UnsupportedError: WRONG_KIND.
    """
    kind = getattr(program, "kind", "")
    if kind not in capabilities.kinds:
        raise UnsupportedError(f"a {kind or 'unknown'} program for {program.target}; {capabilities.name} runs "
                               f"{', '.join(capabilities.kinds) or 'none of hwsdk'}", where=url, code="WRONG_KIND",
                               fix="open another device, or compile the model for this one")
