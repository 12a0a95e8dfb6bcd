"""The promises of docs/wire.md and docs/hil.md, against the firmware itself; those that other tests of this folder are
about are not here.
"""

from __future__ import annotations

import shutil
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kills import Trap, Watch, small_firmware
from small_program import STEPS, assert_same, small

from hwsdk.errors import LinkError, NoReply, RemoteError
from hwsdk.hil import session, transports
from hwsdk.hil.events import Events
from hwsdk.hil.images import image_of
from hwsdk.hil.link import Link
from hwsdk.hil.link_device import LinkDevice
from hwsdk.hil.link_session import TIMEOUT as SILENCE
from hwsdk.hil.link_window import COUNTED
from hwsdk.hil.transports.base import ByteTransport
from hwsdk.hil.wire import REPLY, Frame, Op, Splitter, decode, encode

pytestmark = [
    pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler: apt install gcc"),
    pytest.mark.skipif(sys.platform != "linux", reason="uses /proc and programs of Linux")]
TIMEOUT = 0.4
"""Seconds of silence that are allowed here; HELLO takes so long, an operation up to its own budget more."""
BUDGET = 4.0
Change = Callable[[Frame], Frame]


class Altered:
    """A line on which a frame gets another payload, with a right CRC-32. way: "out" to the device, or "in"."""

    bytes_a_second: float | None = None

    def __init__(self, inner: ByteTransport, way: str, change: Change) -> None:
        self._inner, self._way, self._change = inner, way, change
        self._splitters = {"in": Splitter(), "out": Splitter()}

    def _through(self, data: bytes, way: str) -> bytes:
        if way != self._way:
            return data
        frames = [self._change(decode(raw)) for raw in self._splitters[way].feed(data)]
        return b"".join(encode(f.op, f.seq, f.session, f.payload) for f in frames)

    def write(self, data: bytes) -> None:
        self._inner.write(self._through(data, "out"))

    def read_some(self, timeout: float) -> bytes:
        return self._through(self._inner.read_some(timeout), "in")

    def close(self) -> None:
        self._inner.close()

    def reset_device(self) -> bool:
        return self._inner.reset_device()

    def describe(self) -> str:
        return self._inner.describe()


def once(op: int, at: int) -> Change:
    """Flips a bit of this byte of the payload of the first frame of that op."""
    left = [1]

    def change(frame: Frame) -> Frame:
        if frame.op != op or not left:
            return frame
        left.pop()
        payload = bytearray(frame.payload)
        payload[at] ^= 4
        return frame._replace(payload=bytes(payload))

    return change


def on(way: str, op: int, at: int) -> LinkDevice:
    return LinkDevice("", transport=Altered(transports.open("exec:"), way, once(op, at)))


STEP_HEAD = 13
"""Bytes of a reply to STEP before the result, with the status."""


@pytest.mark.parametrize(("op", "at", "codes"), [
    (Op.STEP, 1, {"BAD_REPLY"}),  # the next step
    (Op.STEP, 5, {"DIGEST_MISMATCH"}),  # the digest
    (Op.STEP, 9, {"BAD_REPLY", "BAD_EVENTS"}),  # the bytes of the result
    (Op.STEP, STEP_HEAD + 4, {"BAD_EVENTS"}),  # the first list's encoding
    (Op.STEP, -1, {"DIGEST_MISMATCH", "BAD_EVENTS"}),  # the last event
])
def test_a_wrong_result_is_none_at_all(op: Op, at: int, codes: set[str]) -> None:
    with on("in", op | REPLY, at) as device:
        device.load(small().program)
        with pytest.raises(LinkError) as caught:
            device.run(small().stimulus)
        assert caught.value.code in codes
        assert_same(device.run(small().stimulus))  # the next one is right, from the initial state


def test_input_that_is_changed_on_its_way_is_no_input() -> None:
    """As if a CRC-32 had let an error through: the device's digest is of its own, so the run is right or refused."""
    with on("out", Op.STEP, 4) as device:  # the number of steps
        device.load(small().program)
        with pytest.raises(RemoteError) as caught:
            device.run(small().stimulus)
        assert caught.value.op == "STEP" and caught.value.status & 0xF0 == 0x20 and caught.value.fix
        assert device.link.status()["steps"] == 0  # all or nothing


def test_a_state_that_is_changed_on_its_way_is_told() -> None:
    with on("in", Op.READ_STATE | REPLY, 30) as device:
        device.load(small().program)
        device.run(small().stimulus)
        with pytest.raises(LinkError, match="STATE_DAMAGED"):
            device.read_state()


def test_an_image_that_is_changed_on_its_way_is_not_loaded() -> None:
    with on("out", Op.LOAD_DATA, 200) as device:
        with pytest.raises(RemoteError, match="its counters: frames") as caught:
            device.load(small().program)
        assert (caught.value.op, caught.value.code) == ("LOAD_END", "E_CRC_IMAGE") and "load the program again" in \
            caught.value.fix
        with pytest.raises(LinkError):
            device.run(small().stimulus)
        assert not device.link.hello().loaded
        device.load(small().program)
        assert_same(device.run(small().stimulus))


def memory(line: Any) -> Path:
    """Of a firmware process, as a file."""
    (found,) = (f for f in Path(f"/proc/{line.child.pid}/fd").iterdir() if "hwsdk-device" in str(f.readlink()))
    return found


def upset(line: Any, *_: object) -> None:
    """A bit of the image flips in the device's memory."""
    image = image_of(small().program).data
    with memory(line).open("r+b") as file:
        at = file.read().index(image[:64]) + len(image) // 2
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_a_device_checks_what_lies_in_its_memory() -> None:
    trap = Trap(transports.open("exec:"), Watch(Op.LOAD_END), strike=upset)
    with LinkDevice("", transport=trap) as device, pytest.raises(RemoteError, match="E_CRC_IMAGE"):
        device.load(small().program)


def test_memory_that_changes_later_is_told_when_it_is_asked() -> None:
    line = transports.open("exec:")
    with LinkDevice("", transport=line) as device:
        device.load(small().program)
        assert device.health().good
        upset(line)
        found = device.health()
        assert not found.good and "IMAGE_DAMAGED" in found.what


@pytest.mark.parametrize("command", ["sleep 1000", "cat /dev/urandom", *(
    pytest.param(x, marks=pytest.mark.slow) for x in ("sh -c 'cat > /dev/null'", "cat", "yes", "cat /dev/zero"))])
def test_what_is_no_device_is_told_in_time(command: str) -> None:
    start = time.monotonic()
    with pytest.raises(NoReply, match="nobody has answered HELLO") as caught:
        LinkDevice(f"exec:{command}", timeout=TIMEOUT)
    assert time.monotonic() - start < TIMEOUT + BUDGET and caught.value.fix


def test_what_ends_at_once_is_told() -> None:
    with pytest.raises(LinkError, match="it ended with code 3") as caught:
        LinkDevice("exec:sh -c 'exit 3'", timeout=TIMEOUT)
    assert caught.value.code == "GONE"


class Lost:
    """From a request on, what comes is this."""

    bytes_a_second: float | None = None

    def __init__(self, inner: ByteTransport, watch: Watch, noise: bytes) -> None:
        self._inner, self._watch, self._noise = inner, watch, noise

    def write(self, data: bytes) -> None:
        list(self._watch.frames(data))
        self._inner.write(data)

    def read_some(self, timeout: float) -> bytes:
        if not self._watch.struck:
            return self._inner.read_some(timeout)
        time.sleep(min(timeout, 0.005) if self._noise else timeout)
        return self._noise

    def close(self) -> None:
        self._inner.close()

    def reset_device(self) -> bool:
        return False

    def describe(self) -> str:
        return self._inner.describe()


def first_sample(steps: int = STEPS) -> Events:
    """Its first steps."""
    given = small().stimulus.inputs["in"].one(0)
    ptr = given.step.searchsorted(np.arange(steps + 1)).astype(np.int64)
    return Events(ptr, given.index[:ptr[-1]].astype(np.uint32))


def work(link: Link) -> None:
    """A bit of everything."""
    image = image_of(small().program)
    link.load(image.data, image.id)
    link.reset()
    link.run_steps(0, first_sample())
    link.write_state(link.read_state())
    link.status()
    link.verify()
    link.echo(b"x")
    link.bench(3)


OPS = (Op.LOAD_BEGIN, Op.LOAD_DATA, Op.LOAD_END, Op.RESET_STATE, Op.STEP, Op.READ_STATE, Op.WRITE_STATE, Op.STATUS,
       Op.VERIFY_IMAGE, Op.ECHO, Op.BENCH)


@pytest.mark.parametrize("op", [pytest.param(op, marks=() if op is Op.LOAD_DATA else pytest.mark.slow)
                                for op in OPS], ids=lambda op: op.name)
@pytest.mark.parametrize("noise", [b"", b"y\n" * 500, bytes(range(256)) * 8], ids=["silence", "lines", "noise"])
def test_every_call_ends_in_time(op: Op, noise: bytes) -> None:
    line = Lost(transports.open("exec:"), Watch(op), noise)
    with Link(line, timeout=TIMEOUT, deadline=2 * TIMEOUT) as link:
        start = time.monotonic()
        with pytest.raises(NoReply, match=f"{op.name} was sent") as caught:
            work(link)
        assert time.monotonic() - start < 2 * TIMEOUT + BUDGET
        assert caught.value.code in ("NO_REPLY", "DEADLINE") and caught.value.fix


def test_a_device_that_hangs_without_a_watchdog_is_told_in_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    built, start = small_firmware(tmp_path_factory.getbasetemp())[0], time.monotonic()
    line = transports.open(f"exec:{built} --watchdog 0")
    with Link(line, timeout=TIMEOUT, deadline=2 * TIMEOUT) as link, pytest.raises(NoReply, match="HANG was sent"):
        link.hang()
    assert time.monotonic() - start < 2 * TIMEOUT + BUDGET


def test_a_host_waits_longer_than_any_watchdog() -> None:
    with Link(transports.open("exec:")) as link:
        hello = link.hello()
    assert 0 < hello.watchdog_ms / 1000 < SILENCE / 2
    assert hello.window * hello.mtu <= hello.credit  # what may be under way fits the device's ring


def test_counts_of_the_line_are_in_every_report(capsys: pytest.CaptureFixture[str]) -> None:
    with LinkDevice("faulty:seed=3&flip=2e-3&frame=512;exec:") as device:
        report = session.run(small().program, device, small().stimulus)
        assert report.ok
        found = report.to_dict()["counters"]
        assert set(COUNTED) <= set(found) and found["steps"] == 2 * STEPS
        assert min(found[name] for name in ("frames_out", "frames_in", "bytes_out", "bytes_in", "retries")) > 0
        assert found["bad_crc"] + found["bad_cobs"] > 0
        line = next(x for x in report.to_text().splitlines() if x.startswith("  line:"))
        assert f"retries {found['retries']:,}" in line
        told = device.health().statistics
        assert {"device frames", "device bad_crc", "device naks", "device steps"} <= set(told)
        assert told["device steps"] == 2 * STEPS and told["device bad_crc"] + told["device bad_cobs"] > 0


def test_a_session_of_another_host_changes_nothing_that_is_loaded() -> None:
    """A new nonce opens a new session; what is loaded and how far it has run stays, and no step can run again."""
    image = image_of(small().program)
    line = transports.open("exec:")
    first = Link(line)
    first.load(image.data, image.id)
    first.run_steps(0, first_sample())
    with Link(line) as second:
        hello = second.hello()
        assert (hello.loaded, hello.next_step, hello.digest) == (True, STEPS, first.digest)
        assert second.load(image.data, image.id).resumed_at == len(image.data)
        second.run_steps(0, first_sample(2))
        with pytest.raises(RemoteError, match="E_ORDER") as caught:
            second.run_steps(1, first_sample(1))
        assert (caught.value.value, struct.unpack("<I", second.read_state()[:4])) == (2, (2,))
