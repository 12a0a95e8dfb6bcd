"""Firmware behind a link as a Device."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.base import Program
from hwsdk.errors import DeviceReset, FitError, LinkError, RemoteError, UnsupportedError, Violation
from hwsdk.hil import events, transports
from hwsdk.hil.columns import columns_of, trace_of
from hwsdk.hil.device import Capabilities, Health, Probes, Progress
from hwsdk.hil.image import KINDS, DeviceImage
from hwsdk.hil.images import image_of
from hwsdk.hil.link import Link
from hwsdk.hil.link_steps import Results
from hwsdk.hil.transports.base import ByteTransport
from hwsdk.hil.wire import Hello
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.stored import StoredProgram

States = dict[tuple[str, str], NDArray[Any]]
HEAD = 8
"""Bytes before the runner's state in what READ_STATE gives."""
RESTARTS = 3
"""How often a sample is begun anew, and a line opened again, before a run gives up."""
REOPEN_SECONDS = 0.2
"""Between two tries to open a line that is gone."""
NAMES = {number: name for name, number in KINDS.items()}


class LinkDevice:
    """Runs programs on firmware behind a transport. If the device starts again in a run, the program is loaded again
    (what of it has survived is not sent again) and the sample begins anew; if the line is lost and can be opened again,
    the run goes on where it was. Both are in the counters, and are given up after RESTARTS times.

    Args:
        url: of the transport. timeout: seconds that an operation may take; default as in hwsdk.hil.link.Link.
        transport: an open one, instead of opening ``url``; it cannot be opened again.
    """

    def __init__(self, url: str, *, timeout: float | None = None, transport: ByteTransport | None = None) -> None:
        self._url, self._reopens = url, transport is None
        line = transports.open(url) if transport is None else transport
        self._link = Link(line) if timeout is None else Link(line, timeout=timeout, deadline=2 * timeout)
        self._image: DeviceImage | None = None
        self._program: StoredProgram | None = None
        self._steps = self._restarts = self._reopened = 0
        self._ran = self._uploaded = 0.0
        try:
            self._hello = self._link.hello()
        except BaseException:
            self._link.close()
            raise

    @property
    def url(self) -> str:
        """What it was opened by."""
        return self._url

    @property
    def link(self) -> Link:
        """For what only a link has: the state as bytes, ECHO, BENCH and so on."""
        return self._link

    @property
    def hello(self) -> Hello:
        """What the firmware said of itself when it was opened."""
        return self._hello

    def capabilities(self) -> Capabilities:
        """As the firmware says."""
        h = self._hello
        kinds = tuple(NAMES[k] for k, _ in h.kinds if k in NAMES)
        return Capabilities(h.name, kinds, h.chip, h.core, h.build, h.arena, h.counter, probes=True)

    def load(self, program: Program) -> None:
        """Put a program on the device, in its initial state.

        Raises:
            UnsupportedError: neither this firmware nor any can run it. FitError: it does not fit the memory. LinkError.
        """
        if not isinstance(program, StoredProgram):
            raise UnsupportedError(f"a program of type {type(program).__name__}", where=self._url, code="NO_FIRMWARE",
                                   fix="give one that hwsdk compiled")
        image = image_of(program)
        if (KINDS[image.kind], image.layout) not in self._hello.kinds:
            known = ", ".join(f"{NAMES.get(k, k)} in layout {n}" for k, n in self._hello.kinds) or "none"
            raise UnsupportedError(f"its firmware runs no {image.kind} program in layout {image.layout}",
                                   where=self._url, code="WRONG_KIND",
                                   fix=f"use a device for them; this one runs {known}")
        self._image, self._program = image, program
        self._upload()

    def _upload(self) -> None:
        """Send the image, or what of it the device has not got yet; the device may start again meanwhile."""
        image = self._loaded()
        for left in reversed(range(RESTARTS + 1)):
            try:
                self._uploaded += self._link.load(image.data, image.id).seconds
                return
            except RemoteError as error:
                if error.code != "E_NOMEM":
                    raise
                raise self._too_large(error) from None
            except LinkError as error:
                if not left or not self._recovers(error):
                    raise

    def _too_large(self, error: RemoteError) -> FitError:
        """The refusal with its numbers."""
        image, name = self._loaded(), getattr(self._program, "name", "the program")
        what = "device memory" if error.op == "LOAD_BEGIN" else "device memory, image and state"
        return FitError(f"{name} does not fit the memory of {self._hello.name}", where=self._url, violations=(
            Violation(what, f"{len(image.data):,} bytes of image", error.value, error.limit, "bytes"),),
            hint="a part of the network, fewer weight bits, or a device with more memory (exec: takes --arena BYTES)")

    def _loaded(self) -> DeviceImage:
        if self._image is None:
            raise UnsupportedError("no program is loaded", where=self._url, code="NOT_LOADED", fix="call load first")
        return self._image

    def run(self, stimulus: Stimulus, *, probes: Probes = (), progress: Progress | None = None) -> Trace:
        """See hwsdk.hil.device.Device.run; with probes every step is a request of its own."""
        image = self._loaded()
        steps = stimulus.n_steps + max((p.lag for p in image.populations), default=0)
        wanted = self._wanted(image, probes)
        begin = time.perf_counter()
        results, states = [], []
        for sample in range(stimulus.n_samples):
            said = None if progress is None else _Said(progress, sample * steps, steps, stimulus.n_samples * steps)
            found, seen = self._sample(columns_of(image, stimulus, sample, steps), wanted, said)
            results.append(found)
            states.append(seen)
        self._ran += time.perf_counter() - begin
        self._steps += steps * stimulus.n_samples
        joined = {key: np.stack([s[key] for s in states]) for key in wanted}
        return trace_of(image, results, steps, (self._hello.counter, self._hello.counter_hz), joined)

    @staticmethod
    def _wanted(image: DeviceImage, probes: Probes) -> tuple[tuple[str, str], ...]:
        """The states to read."""
        own = tuple(key for key in image.states if key[0])
        if isinstance(probes, str):
            return own
        wanted = tuple((str(a), str(b)) for a, b in probes)
        if unknown := [key for key in wanted if key not in image.states]:
            raise UnsupportedError(f"no state {unknown[0][1]!r} of {unknown[0][0]!r}", code="NO_SUCH_STATE",
                                   fix=f"there are {', '.join(f'{a}.{b}' for a, b in own)}")
        return wanted

    def _sample(self, given: events.Events, wanted: tuple[tuple[str, str], ...], said: _Said | None,
                ) -> tuple[Results, States]:
        """One sample from the initial state; it begins anew if the device starts again."""
        for left in reversed(range(RESTARTS + 1)):
            try:
                self._link.reset()
                return (self._walk(given, wanted, said) if wanted else (self._steps_of(given, said), {}))
            except LinkError as error:
                if not left or not self._recovers(error):
                    raise
                self._upload()
        raise AssertionError

    def _steps_of(self, given: events.Events, said: _Said | None) -> Results:
        """All steps at once, with those that wait for late answers."""
        found = self._resumed(given, said)
        late = self._loaded().late
        if not late:
            return found
        more = self._link.run_steps(given.steps, events.no_events(late), drain=True)
        return _joined([found, more], self._loaded().value_out)

    def _resumed(self, given: events.Events, said: _Said | None) -> Results:
        """The steps; if the line is lost, over a new one."""
        try:
            return self._link.run_steps(0, given, progress=said)
        except LinkError as error:
            if not self._reopens or error.code not in ("GONE", "NO_REPLY"):
                raise
            self._link.reattach(self._reopen(error))
            self._reopened += 1
            return self._link.resume()

    def _walk(self, given: events.Events, wanted: tuple[tuple[str, str], ...], said: _Said | None,
              ) -> tuple[Results, States]:
        """Step by step, with the states after each."""
        image, parts, rows = self._loaded(), [], []
        for t in range(given.steps + image.late):
            drain = t >= given.steps
            one = events.no_events(1) if drain else given.part(t, t + 1)
            parts.append(self._link.run_steps(t, one, drain=drain))
            if not drain:
                state = self._link.read_state()[HEAD:]
                rows.append([image.states[key].read(state) for key in wanted])
            if said is not None:
                said(min(t + 1, given.steps), given.steps)
        return _joined(parts, image.value_out), {key: np.stack([r[k] for r in rows]) for k, key in enumerate(wanted)}

    def _recovers(self, error: LinkError) -> bool:
        """Whether the device can be used again: it has started anew, or its line could be opened again."""
        if isinstance(error, DeviceReset) or error.code == "RESULT_LOST":
            self._restarts += 1
            return True
        if error.code == "GONE" and self._reopens:
            self._link.reattach(self._reopen(error))
            self._reopened += 1
            return True
        return False

    def _reopen(self, error: LinkError) -> ByteTransport:
        """The line once more; ``error`` if it stays away."""
        self._link.transport.close()
        for _ in range(RESTARTS):
            try:
                return transports.open(self._url)
            except LinkError:
                time.sleep(REOPEN_SECONDS)
        raise error

    def read_state(self) -> Mapping[tuple[str, str], NDArray[Any]]:
        """(population, state) -> (n,) as it is after the last step."""
        image, state = self._loaded(), self._link.read_state()[HEAD:]
        return {key: field.read(state) for key, field in image.states.items()}

    def counters(self) -> Mapping[str, float]:
        """Of the line, with the steps that were run, restarts of the device and lines that were opened again."""
        own = {"steps": self._steps, "restarts": self._restarts, "reopened": self._reopened}
        return {**own, **self._link.statistics}

    def health(self) -> Health:
        """Asks for its status, and whether the image in its memory is still what was loaded."""
        try:
            status = self._link.status()
            if self._image is not None:
                self._link.verify()
        except LinkError as error:
            return Health(False, str(error), self.counters())
        told = {f"device {n}": v for n, v in status.items()}
        return Health(True, self._hello.in_words(), {**self.counters(), **told})

    def close(self) -> None:
        """Close the line; what it has started ends."""
        self._link.close()

    def __enter__(self) -> LinkDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Said:
    """Progress of one sample as that of all."""

    def __init__(self, say: Progress, before: int, steps: int, total: int) -> None:
        self._say, self._before, self._steps, self._total = say, before, steps, total

    def __call__(self, done: int, _all: int) -> None:
        self._say(self._before + min(done, self._steps), self._total)


def _joined(parts: list[Results], value_out: int) -> Results:
    """Consecutive results as one."""
    last = parts[-1]
    return Results(np.concatenate([p.ticks for p in parts]), events.join([p.events for p in parts], value_out),
                   last.next_step, last.digest, sum(p.seconds for p in parts))
