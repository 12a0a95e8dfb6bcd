"""What the pytest plugin does with devices: opens, matches and locks them, runs programs, and holds golden traces."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hwsdk import backends
from hwsdk.backends.base import Program
from hwsdk.errors import DataError, FitError, HwsdkError, LinkError, UnsupportedError
from hwsdk.hil import discovery, golden, session
from hwsdk.hil.compare import window_of
from hwsdk.hil.device import Device, Progress
from hwsdk.hil.devices import open_device
from hwsdk.hil.image import KINDS
from hwsdk.hil.locks import PortLock
from hwsdk.hil.pytest_plugin import skip
from hwsdk.hil.session import HilReport
from hwsdk.hil.sim_device import SimDevice
from hwsdk.ir.data import Stimulus
from hwsdk.ir.formats import load_data
from hwsdk.ir.trace import Mismatch, Trace

NO_DEVICE = ("no device was given; run pytest --hw-port URL, for example sim: (the simulator), exec: (hwsdk's firmware "
             "as a process here) or serial:/dev/ttyACM0?baud=1000000 (a board); hwsdk devices lists what is attached")
LINES = ("exec", "tcp", "serial", "qemu", "unicorn", "faulty")
"""Schemes of URLs that are lines of bytes, which can be recorded."""
LOG = ".hwlog"
"""End of the name of a recording."""


@dataclass
class Bench:
    """The devices of one pytest session. Each is opened when the first test needs it and stays open, and locked."""

    config: pytest.Config
    _open: dict[str, tuple[Device, PortLock]] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _map: discovery.HardwareMap | None = None

    def urls(self) -> list[str]:
        """All devices: those of --hw-port, else those of the hardware map that are attached.

        Raises:
            pytest.UsageError: the map cannot be read, or has no such board.
        """
        try:
            if named := self.config.getoption("--hw-port"):
                return list(dict.fromkeys(self._url_of(name) for name in named))
            return [f.url for f in discovery.boards(self._known()) if f.usable and f.board]
        except DataError as error:
            raise pytest.UsageError(str(error)) from None

    def _url_of(self, name: str) -> str:
        """Of a board that is not attached: "board:NAME", which ``_opened`` cannot open and says why."""
        try:
            return discovery.url_of(name, self._known())
        except DataError as error:
            if error.code != "NOT_ATTACHED":
                raise
            self._failed[f"board:{name}"] = str(error)
            return f"board:{name}"

    def _known(self) -> discovery.HardwareMap:
        """The hardware map; empty if none was given."""
        if self._map is None:
            path = self.config.getoption("--hw-map")
            self._map = discovery.read_map(self.config.invocation_params.dir / path) if path else (
                discovery.HardwareMap())
        return self._map

    def unsuitable(self, url: str | None, wanted: Mapping[str, Any]) -> str:
        """Why a test with these marks cannot run on this device, or ""; opens it."""
        if url is None:
            absent = [f"{f.board} ({f.why}; {f.fix})" for f in discovery.boards(self._known()) if f.board]
            return f"no board of the hardware map can be used: {', '.join(absent)}" if absent else NO_DEVICE
        kind = wanted.get("kind")
        if kind is not None and kind not in KINDS:
            return f"there is no kind {kind!r} of programs; the marker takes {', '.join(KINDS)}"
        if url not in self._open and not self._opened(url):
            return self._failed[url]
        c = self._open[url][0].capabilities()
        if kind is not None and kind not in c.kinds:
            return f"{url} ({c.name}) runs {', '.join(c.kinds) or 'no programs'}, the test needs {kind}"
        chip = str(wanted.get("chip") or "")
        if chip.lower() not in f"{c.chip} {c.name}".lower():
            return f"{url} is {c.chip or c.name}, the test needs {chip}"
        if wanted.get("probes") and not c.probes:
            return f"{url} ({c.name}) cannot show its states while it runs, the test needs that"
        return ""

    def _opened(self, url: str) -> bool:
        """Open a device, once; what is in the way is remembered."""
        if url in self._failed:
            return False
        lock = PortLock(url)
        try:
            lock.acquire()
            self._open[url] = (open_device(self._recorded(url), timeout=self.config.getoption("--hw-timeout")), lock)
        except HwsdkError as error:
            lock.release()
            self._failed[url] = f"{url} cannot be used: {error}"
        return url in self._open

    def _recorded(self, url: str) -> str:
        """With --hw-record the URL that keeps its bytes."""
        folder = self.config.getoption("--hw-record")
        if not folder or url.partition(":")[0] not in LINES:
            return url
        path = self.config.invocation_params.dir / folder
        path.mkdir(parents=True, exist_ok=True)
        return f"record:{path / (slug(url) + LOG)};{url}"

    def device(self, url: str) -> Device:
        """An open device."""
        if url not in self._open and not self._opened(url):
            skip(self.config, self._failed[url])
        return self._open[url][0]

    def close(self) -> None:
        """Close all, and give their locks back."""
        while self._open:
            _, (device, lock) = self._open.popitem()
            try:
                device.close()
            finally:
                lock.release()


def slug(text: str) -> str:
    """A text as part of a file name."""
    return re.sub(r"[^\w.\[\]-]+", "-", text).strip("-")[:120]


def program_of(request: pytest.FixtureRequest) -> Program:
    """See hwsdk.hil.pytest_plugin.program."""
    marker = request.node.get_closest_marker("hw")
    given = getattr(request, "param", None)
    if given is None and marker is not None:
        given = marker.kwargs.get("program")
    beside: Path = request.path.parent
    if given is None and (named := request.config.getini("hw_program")):
        given, beside = named, request.config.rootpath
    if given is None:
        raise pytest.UsageError("the fixture program has no program: give @pytest.mark.hw(program='model.hwx'), an "
                                "indirect parameter, or hw_program in pytest's configuration; or define it yourself")
    return backends.load_program(beside / given) if isinstance(given, str | Path) else given


def stimulus_of(data: Any, program: Program) -> Stimulus:
    """A Stimulus, arrays (see Stimulus.dense), or a file of data."""
    if isinstance(data, Stimulus):
        return data
    if isinstance(data, str | Path):
        return load_data(data, program.input_shapes)
    return Stimulus.dense(data, program.input_shapes)


class GoldenCase:
    """The golden traces of one test."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._node, self._config = request.node, request.config
        self._folder: Path = request.path.parent / "golden"
        self._asked = bool(named := self._config.getoption("--hw-golden"))
        if named:
            self._folder = self._config.invocation_params.dir / named
        self._used = 0

    def path(self, name: str | None = None) -> Path:
        """Of a case: file and test, with its parameters but without the device; a second one in a test is numbered."""
        if name is None:
            spec = getattr(self._node, "callspec", None)
            url = "" if spec is None else str(spec.params.get("hw_url") or "no-device")
            own = [] if spec is None else [p for p in re.split("-", spec.id.replace(url, "", 1)) if p]
            self._used += 1
            number = [str(self._used)] if self._used > 1 else []
            name = "-".join([self._node.path.stem, getattr(self._node, "originalname", None) or self._node.name, *own,
                             *number])
        return self._folder / f"{slug(name)}.npz"

    def __call__(self, trace: Trace, program: Program, stimulus: Any, *, name: str | None = None,
                 seed: int | None = None, device: Device | None = None) -> None:
        """Hold a trace against the golden one of this test, or make that with --hw-update-golden.

        Args:
            trace: of ``program`` on ``stimulus``. name: of the case, default the test's. seed: of the stimulus, if it
                was drawn; it is kept in the file. device: where it was run, to show its states.

        Raises:
            pytest.fail.Exception: they differ, or there is none in the folder of --hw-golden.
        """
        data, path = stimulus_of(stimulus, program), self.path(name)
        if self._config.getoption("--hw-update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            golden.Golden.of(program, data, trace, seed).save(path)
            return
        if not path.is_file() and not self._asked:
            return
        kept = _kept(path)
        if why := kept.stale(program, data):
            _fail(f"the golden trace {path} does not belong to this run: {why}\n  fix: if that is meant, run pytest "
                  "--hw-update-golden")
        if (m := kept.trace.first_difference(trace, list(kept.trace.spikes))) is not None:
            versions = ", ".join(f"{n} {v}" for n, v in kept.versions.items())
            _fail(f"it differs from the golden trace {path} (made by {versions})\n"
                  + _window(m, program, data, kept.trace, trace, device)
                  + "\n  fix: if the change is meant, run pytest --hw-update-golden")

    def says(self, mismatch: Mismatch, name: str | None = None) -> str:
        """What the golden trace, if there is one, has where a device differs from the simulator."""
        path = self.path(name)
        if not path.is_file() or mismatch.layer not in (spikes := _kept(path).trace.spikes):
            return ""
        events = spikes[mismatch.layer]
        here = (events.sample == mismatch.sample) & (events.step == mismatch.step) & (events.index == mismatch.neuron)
        return f"the golden trace has {events.values()[here].sum():g} there ({path})"


def _kept(path: Path) -> golden.Golden:
    """Read a golden trace, or fail."""
    try:
        return golden.load(path)
    except DataError as error:
        why = str(error)
    _fail(why)


def _window(m: Mismatch, program: Program, stimulus: Stimulus, expected: Trace, got: Trace, device: Device | None,
            ) -> str:
    """The steps around a difference from a golden trace; the states are those of the simulator now."""
    with SimDevice() as simulator:
        simulator.load(program)
        return window_of(m, stimulus, expected, got, simulator, device or simulator).to_text()


def _fail(text: str) -> NoReturn:
    """Without a trace of this file: the text says it all."""
    pytest.fail(text, pytrace=False)


class Run:
    """Runs programs on the device of one test."""

    def __init__(self, device: Device, case: GoldenCase, request: pytest.FixtureRequest) -> None:
        self._device, self._golden, self._node, self._config = device, case, request.node, request.config
        self.report: HilReport | None = None

    def __call__(self, program: Program | str | Path, stimulus: Any, *, name: str | None = None,
                 seed: int | None = None) -> Trace:
        """Load a program, run a stimulus, and hold what comes against the simulator and the golden trace. ``report`` of
        this object then has everything that was measured.

        Args:
            program: or the path of a .hwx file. stimulus: a Stimulus, arrays of (steps, n) or (samples, steps, n), or a
                data file. name, seed: see GoldenCase.

        Returns:
            What the device sent.

        Raises:
            pytest.fail.Exception: something differs, or the device failed. pytest.skip.Exception: the device cannot run
                this program.
        """
        made = backends.load_program(program) if isinstance(program, str | Path) else program
        data = stimulus_of(stimulus, made)
        report = self.report = self._run(made, data)
        self._properties(report)
        if not report.ok and report.window is not None:
            _fail("\n".join(filter(None, [report.to_text(), self._golden.says(report.window.mismatch, name)])))
        if not report.not_held:
            self._golden(report.trace, made, data, name=name, seed=seed, device=self._device)
        return report.trace

    def _run(self, program: Program, stimulus: Stimulus) -> HilReport:
        """On the device."""
        try:
            return session.run(program, self._device, stimulus, progress=self._clock())
        except (UnsupportedError, FitError) as error:
            skip(self._config, f"{self._device.url} cannot run {program.name}: {error}")
            raise
        except LinkError as error:
            failed = error
        log = "".join(f"\n  device: {line}" for line in failed.log)
        _fail(f"{self._device.url} gave no result: {failed}{log}")

    def _clock(self) -> Progress | None:
        """Ends a run that takes longer than --hw-timeout; the line itself ends each of its calls in a stated time."""
        limit = self._config.getoption("--hw-timeout")
        if limit is None:
            return None
        until = time.monotonic() + limit

        def look(done: int, total: int) -> None:
            if done < total and time.monotonic() > until:
                raise LinkError(f"{done:,} of {total:,} steps after {limit:g} s", where=self._device.url,
                                code="DEADLINE", fix="give --hw-timeout more seconds, or the test fewer steps")

        return look

    def _properties(self, report: HilReport) -> None:
        """Into the XML of --junitxml, without record_property, which warns of xunit2 though pytest writes it there."""
        c = report.capabilities
        found: dict[str, object] = {
            "hw.url": report.url, "hw.device": c.name, "hw.chip": c.chip, "hw.core": c.core, "hw.build": c.build,
            "hw.program": report.digest, "hw.steps": report.samples * report.steps, "hw.differing": report.differing,
            "hw.steps_a_second": f"{report.steps_a_second:.1f}"}
        found |= {f"hw.line.{name}": f"{value:g}" for name, value in report.counters.items()}
        found |= {f"hw.{name}.{which}": f"{value:g}" for name, three in report.counted.items()
                  for which, value in zip(("least", "mean", "most"), three, strict=True)}
        self._node.user_properties += found.items()
