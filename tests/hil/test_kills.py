"""The device or the cable is struck at every phase of load and run: the upload goes on where it was, the result is
right, no step is executed twice, and no process is left.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import kills
import pytest
from cables import Cable, Network, Terminal
from kills import FRAME, SAMPLES, STEPS, WINDOW, Trap, Watch, job

from hwsdk.errors import DeviceReset, LinkError
from hwsdk.hil import link_device, transports
from hwsdk.hil.events import Events
from hwsdk.hil.link import Link
from hwsdk.hil.link_device import HEAD, LinkDevice
from hwsdk.hil.transports.base import ByteTransport
from hwsdk.hil.wire import OVERHEAD, Frame, Op

pytestmark = [
    pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler: apt install gcc"),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")]
PIECE = FRAME - OVERHEAD - 4
"""Bytes of an image in a LOAD_DATA."""
UPLOAD = ((Op.LOAD_BEGIN, 0.0), (Op.LOAD_DATA, 0.25), (Op.LOAD_DATA, 0.5), (Op.LOAD_DATA, 0.75), (Op.LOAD_END, 0.0))
RUN = ((Op.RESET_STATE, 0.0), (Op.FEED, 0.3), (Op.STEP, 0.0), (Op.STEP, 0.5), (Op.STEP, 0.99), (Op.FETCH, 0.7))


class Phase(NamedTuple):
    """A request: the one of an op after this part of all; whether it was executed when the strike comes."""

    op: Op
    part: float
    executed: bool

    def __str__(self) -> str:
        return f"{self.op.name}-{self.part:g}-{'reply' if self.executed else 'request'}"

    def watch(self, usual: Counter[int]) -> Watch:
        return Watch(self.op, int(self.part * usual[self.op]))

    @property
    def sample(self) -> int:
        """In which it is."""
        return int(self.part * SAMPLES)


def phases(*places: tuple[Op, float], every: int = 1, kinds: tuple[str, ...] = ()) -> Any:
    """All places, each before and after the request; one of both by default, at one in ``every`` places, of kinds in
    turn.
    """
    found = []
    for n, (op, part) in enumerate(places):
        for executed, (k, kind) in product((False, True), enumerate(kinds or ("",))):
            usual = executed == n // every % 2 and n % every == (every - 1 if not kinds else k)
            phase = Phase(op, part, executed)
            found.append(pytest.param(phase, *[kind] * bool(kinds), id=f"{kind}{'-' * bool(kinds)}{phase}",
                                      marks=() if usual else pytest.mark.slow))
    return pytest.mark.parametrize(["phase", "kind"] if kinds else ["phase"], found)


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = kills.children()
    yield
    assert not kills.children() - before


@pytest.fixture(autouse=True)
def one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made once, not for every device."""
    monkeypatch.setattr(link_device, "image_of", lambda program: job().image)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return kills.small_firmware(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def usual(command: list[str]) -> Counter[int]:
    """Op -> requests of a job that nothing strikes at."""
    watch = Watch()
    with LinkDevice("", transport=Trap(transports.open(f"exec:{shlex.join(command)}"), watch)) as device:
        device.load(job().program)
        assert kills.equal(device.run(job().stimulus)) and right_states(device)
        found = Counter(watch.counts)
        assert device.link.status()["steps"] == SAMPLES * STEPS
    assert watch.sent == len(job().image.data)
    assert min(found[op] for op in (Op.FEED, Op.FETCH)) > found[Op.STEP] >= 3 * SAMPLES
    return found


def right_states(device: LinkDevice) -> bool:
    states = device.read_state()
    return all((states[key] == values[-1, -1]).all() for key, values in job().trace.states.items())


@pytest.fixture
def trapped(command: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., LinkDevice]:
    """Opens a device with a trap in its line; once it is opened again, its line is one without."""
    plain = transports.open

    def opened(watch: Watch, executed: bool, strike: Callable[[Any, Frame, bool], None]) -> LinkDevice:
        lines = iter([lambda line: Trap(line, watch, executed=executed, strike=strike)])

        def open_(url: str) -> ByteTransport:
            return next(lines, lambda line: line)(plain(url))

        monkeypatch.setattr(transports, "open", open_)
        return LinkDevice(f"exec:{shlex.join(command)}")

    return opened


def check_restart(device: LinkDevice, watch: Watch, phase: Phase, *, survives: bool) -> None:
    """The job, on a device that starts again in one phase. survives: its memory does."""
    size, again = len(job().image.data), phase.op not in {op for op, _ in UPLOAD}
    device.load(job().program)
    loaded = device.link.loaded
    assert loaded is not None
    if phase.op == Op.LOAD_DATA and survives:
        assert loaded.resumed_at == (watch.nth + phase.executed) * PIECE
        assert size <= watch.sent <= size + WINDOW * PIECE
    elif not again:
        assert loaded.resumed_at == (size if survives and phase.op == Op.LOAD_END else 0)
    assert kills.equal(device.run(job().stimulus)) and watch.struck
    assert device.counters()["restarts"] + device.counters()["reopened"] >= 1 <= device.link.statistics["resets"]
    if again:
        assert device.link.loaded is not None and device.link.loaded.resumed_at == (size if survives else 0)
    # what it has executed since it started again: from the sample on that was begun anew
    assert device.link.status()["steps"] == (SAMPLES - phase.sample * again) * STEPS
    assert right_states(device)


@phases(*UPLOAD, *RUN, every=2)
def test_a_device_that_reboots(trapped: Callable[..., LinkDevice], usual: Counter[int], phase: Phase) -> None:
    watch = phase.watch(usual)
    with trapped(watch, phase.executed, kills.reboot) as device:
        check_restart(device, watch, phase, survives=True)
        assert device.link.hello().reset_reason == "software"


@phases(*UPLOAD, *RUN, every=4)
def test_a_device_that_hangs(trapped: Callable[..., LinkDevice], usual: Counter[int], phase: Phase) -> None:
    watch = phase.watch(usual)
    with trapped(watch, phase.executed, kills.hang) as device:
        check_restart(device, watch, phase, survives=True)
        assert (device.link.hello().reset_reason, device.link.hello().last_op) == ("watchdog", Op.HANG)
        assert device.link.status()["watchdog_resets"] == 1


@phases(*UPLOAD, *RUN, every=8)
def test_a_device_that_is_switched_off_and_on(trapped: Callable[..., LinkDevice], usual: Counter[int], phase: Phase,
                                              ) -> None:
    watch = phase.watch(usual)
    with trapped(watch, phase.executed, kills.power) as device:
        check_restart(device, watch, phase, survives=False)


@phases(*UPLOAD, *RUN, every=4)
def test_a_device_that_is_killed(trapped: Callable[..., LinkDevice], usual: Counter[int], phase: Phase) -> None:
    watch = phase.watch(usual)
    with trapped(watch, phase.executed, kills.kill) as device:
        check_restart(device, watch, phase, survives=False)
        assert device.counters()["reopened"] == 1


@pytest.mark.parametrize("strike", [kills.reboot, kills.kill])
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_state_that_is_lost_while_it_is_read(trapped: Callable[..., LinkDevice], usual: Counter[int], part: float,
                                               strike: Callable[[Any, Frame, bool], None]) -> None:
    with trapped(Watch(Op.READ_STATE, int(part * usual[Op.READ_STATE])), part == 0.0, strike) as device:
        device.load(job().program)
        device.run(job().stimulus)
        with pytest.raises(LinkError) as caught:
            device.read_state()
        assert isinstance(caught.value, DeviceReset) if strike is kills.reboot else caught.value.code == "GONE"


def cable(kind: str, command: list[str], folder: Path, watch: Watch, executed: bool) -> Cable:
    if kind == "pty":
        pytest.importorskip("serial", reason="pyserial is missing: pip install pyserial")
        return Terminal(command, folder / "tty", watch, executed=executed)
    return Network(command, watch, executed=executed)


@phases(*UPLOAD, *RUN, every=2, kinds=("pty", "tcp"))
def test_a_cable_that_is_pulled(command: list[str], usual: Counter[int], tmp_path: Path, phase: Phase,
                                kind: str) -> None:
    watch, size = phase.watch(usual), len(job().image.data)
    with cable(kind, command, tmp_path, watch, phase.executed) as line, LinkDevice(line.url) as device:
        device.load(job().program)
        assert device.link.loaded is not None
        if phase.op == Op.LOAD_DATA:
            assert 0 <= device.link.loaded.resumed_at // PIECE - watch.nth <= WINDOW
        assert kills.equal(device.run(job().stimulus)) and watch.struck
        assert device.link.status()["steps"] == SAMPLES * STEPS  # each of them once
        counts = device.counters()
        assert (counts["reopened"], counts["restarts"], counts["resets"]) == (1, 0, 0)
        assert counts["resumes"] == (phase.op in (Op.FEED, Op.STEP, Op.FETCH))
        assert watch.sent <= size + WINDOW * PIECE
        assert right_states(device)


@pytest.mark.parametrize("kind", ["pty", "tcp"])
@pytest.mark.parametrize("executed", [False, True])
def test_a_cable_that_is_pulled_before_anything_is_known(command: list[str], tmp_path: Path, kind: str, executed: bool,
                                                         ) -> None:
    with cable(kind, command, tmp_path, Watch(Op.HELLO), executed) as line:
        with pytest.raises(LinkError) as caught:
            LinkDevice(line.url)
        assert caught.value.code == "GONE" and "at the other end" in str(caught.value)
        with LinkDevice(line.url) as device:
            device.load(job().program)
            assert kills.equal(device.run(job().stimulus))


@pytest.mark.parametrize("kind", ["pty", "tcp"])
def test_a_state_outlives_the_cable_by_which_it_is_read(command: list[str], tmp_path: Path, kind: str) -> None:
    with cable(kind, command, tmp_path, Watch(Op.READ_STATE), True) as line:
        with LinkDevice(line.url) as device:
            device.load(job().program)
            device.run(job().stimulus)
            with pytest.raises(LinkError, match="GONE"):
                device.read_state()
        with Link(transports.open(line.url)) as link:
            assert link.hello().next_step == STEPS
            state = link.read_state()[HEAD:]
            assert link.status()["steps"] == SAMPLES * STEPS
    for key, values in job().trace.states.items():
        assert (job().image.states[key].read(state) == values[-1, -1]).all()


def cut(line: ByteTransport, _request: Frame, _executed: bool) -> None:
    """The line is gone."""
    line.close()
    raise LinkError("cut", code="GONE")


class Short(Watch):
    """Strikes at a request of any op."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def strikes(self, frame: Frame) -> bool:
        return sum(self.counts.values()) == self._after


@pytest.mark.parametrize("executed", [False, True])
def test_a_line_that_breaks_again_and_again(command: list[str], executed: bool) -> None:
    """Each lasts for some requests; the last reply before its end is lost, or the last request."""
    given = job().stimulus.inputs["in"].one(0)
    ptr = given.step.searchsorted(range(STEPS + 1)).astype("i8")
    inputs = Events(ptr, given.index.astype("u4"))
    lines = iter(range(3, 1000))
    with Network(command, Watch()) as way, Link(transports.open(way.url)) as link:
        link.load(job().image.data)
        link.transport = link.window.transport = Trap(link.transport, Short(2), executed=executed, strike=cut)
        results, pulled = None, 0
        while results is None:
            try:
                results = link.resume(Trap(transports.open(way.url), Short(next(lines)), executed=executed, strike=cut)
                                      ) if pulled else link.run_steps(0, inputs)
            except LinkError as error:
                assert error.code == "GONE"
                pulled += 1
        assert pulled >= 5
    expected = job().trace.spikes["p"].one(0)
    assert (results.events.index == expected.index).all() and results.events.steps == STEPS
