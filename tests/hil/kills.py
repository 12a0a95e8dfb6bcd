"""What strikes at one request of a run, at the device or at the host, and a job to strike at; cables: cables.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hwsdk import backends
from hwsdk.backends.base import CompileOptions
from hwsdk.hil import firmware
from hwsdk.hil.image import DeviceImage
from hwsdk.hil.images import image_of
from hwsdk.hil.transports.base import ByteTransport
from hwsdk.hil.wire import Frame, Op, decode, encode
from hwsdk.ir.build import NetworkBuilder
from hwsdk.ir.data import Stimulus, events_from_dense
from hwsdk.ir.fixed import FixedLIF
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import LoihiProgram

FRAME, WINDOW = 512, 8
"""Most bytes of a frame and requests under way of the firmware that is built here."""
N, STEPS, SAMPLES = 4200, 6, 2


def small_firmware(folder: Path) -> list[str]:
    """Firmware with HANG and a watchdog of 300 ms. It has short frames and little room for results: a program takes
    many pieces, and two steps some FEEDs, a STEP and some FETCHes. It is built once in a folder.
    """
    made = folder / "hwsdk_small"
    if made.exists():
        return [str(made), "--watchdog", "300"]
    others = [f"{kind}/" for kind in firmware.KINDS if kind != "loihi"]
    names = [name for name in firmware.sources() if name.endswith(".c") and not name.startswith(tuple(others))]
    sizes = {"MTU": FRAME, "WINDOW": WINDOW, "RESULT_MOST": 5 * N // 16}
    subprocess.run([firmware.find_compiler(), *firmware.FLAGS, *(f"-DHW_{k}={v}" for k, v in sizes.items()),
                    "-O0", "-DHW_OWN_MAIN", "-DHW_TEST_BUILD", "-DHW_WITH_LOIHI", "-o", made, *names],
                   cwd=firmware.folder(), check=True)
    return [str(made), "--watchdog", "300"]


class Job(NamedTuple):
    program: LoihiProgram
    image: DeviceImage
    stimulus: Stimulus
    trace: Trace


@cache
def job() -> Job:
    """Neurons that send at every or every second pulse of their own input: each step takes many frames."""
    zero, some = np.zeros(N, int), 60 * (np.arange(N) % 2)
    cell = FixedLIF(du=zero + 4095, dv=zero + 400, vth=90 + some, bias_mant=zero, bias_exp=zero, reset_by=zero,
                    u_init=zero, v_init=zero, scale=np.ones(N), v_offset=np.zeros(N), reset="value")
    network = (NetworkBuilder().input("in", N).population("p", cell).connect("in", "p", weight=100)
               .output("out", "p").build(Semantics()))
    backend = backends.get("loihi2")
    program = backend.compile(network, CompileOptions(), lambda _: None)
    assert isinstance(program, LoihiProgram)
    raster = np.random.default_rng(7).random((SAMPLES, STEPS, N)) < 0.5
    stimulus = Stimulus({"in": events_from_dense(raster, (N,))})
    return Job(program, image_of(program), stimulus, backend.simulate(program, stimulus, probes="all"))


def equal(got: Trace) -> bool:
    """Is it what the simulator gives?"""
    return job().trace.first_difference(got, ["p"]) is None


@dataclass
class Watch:
    """Cuts what a host sends into frames, and knows the ``nth`` (from 0) request of an op: it strikes there once.

    counts: requests of each op so far, without those that are sent again in the same session. sent: bytes of an image.
    """

    op: Op | None = None
    nth: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    sent: int = 0
    struck: bool = False
    _rest: bytes = b""
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def frames(self, data: bytes) -> Iterator[tuple[bytes, Frame, bool]]:
        """(the frame as it was sent, what it says, whether it is the one)."""
        *whole, self._rest = (self._rest + data).split(b"\0")
        for raw in filter(None, whole):
            frame = decode(raw)
            name = frame.session, frame.seq
            now = name not in self._seen and self.strikes(frame)
            if name not in self._seen:
                self._seen.add(name)
                self.counts[frame.op] += 1
                self.sent += len(frame.payload) - 4 if frame.op == Op.LOAD_DATA else 0
            self.struck |= now
            yield b"\0" + raw + b"\0", frame, now

    def strikes(self, frame: Frame) -> bool:
        """Whether it is the one."""
        return not self.struck and frame.op == self.op and self.counts[frame.op] == self.nth

    def forget(self) -> None:
        """What comes next is a new line's."""
        self._rest = b""


class Trap:
    """A transport that strikes at a request: before the device gets it, or after it was executed, before the host gets
    the reply.

    strike: called with the transport inside, the request, and whether it was executed.
    """

    bytes_a_second: float | None = None

    def __init__(self, inner: ByteTransport, watch: Watch, *, executed: bool = False,
                 strike: Callable[[Any, Frame, bool], None] = lambda *_: None) -> None:
        self.inner, self.watch, self._executed, self._strike = inner, watch, executed, strike

    def write(self, data: bytes) -> None:
        for raw, frame, now in self.watch.frames(data):
            if not now or self._executed:
                self.inner.write(raw)
            if now:
                if self._executed:
                    swallow(lambda: self.inner.read_some(0.5), frame)
                self._strike(self.inner, frame, self._executed)

    def read_some(self, timeout: float) -> bytes:
        return self.inner.read_some(timeout)

    def reset_device(self) -> bool:
        return self.inner.reset_device()

    def close(self) -> None:
        self.inner.close()

    def describe(self) -> str:
        return self.inner.describe()


def swallow(read: Callable[[], bytes], request: Frame) -> None:
    """Wait for the reply to a request; it is lost, with what came before it and nobody has read yet."""
    got, end = b"", time.monotonic() + 5
    while not any(decode(raw).seq == request.seq for raw in got.split(b"\0")[1:-1] if raw):
        assert time.monotonic() < end, f"no reply to {request.in_words()}"
        got += read()


def next_request(op: Op, request: Frame, executed: bool) -> bytes:
    """A request of ours in the place of the host's, or after it."""
    return encode(op, (request.seq + executed) & 0xFFFF, request.session)


def reboot(line: ByteTransport, request: Frame, executed: bool) -> None:
    """The device starts again; its memory survives."""
    line.write(next_request(Op.REBOOT, request, executed))


def hang(line: ByteTransport, request: Frame, executed: bool) -> None:
    """The device hangs until its watchdog ends that; its memory survives."""
    line.write(next_request(Op.HANG, request, executed))


def kill(line: Any, _request: Frame, _executed: bool) -> None:
    """The device is gone, with its memory."""
    os.kill(line.child.pid, signal.SIGKILL)
    line.child.wait()


def power(line: ByteTransport, _request: Frame, _executed: bool) -> None:
    """The device is switched off and on."""
    assert line.reset_device()


def alive(marker: str) -> list[str]:
    """Command lines of the processes with this in their environment, but for zombies."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment, state = (place / "environ").read_bytes(), (place / "stat").read_text().rpartition(")")[2]
            if marker.encode() in environment and state.split()[0] not in "ZX":
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended, or is another user's
            continue
    return found


def children() -> set[int]:
    """Of this process, also those that have ended and that nobody has asked how."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(place.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(place.parent.name))
        except OSError:
            continue
    return found


def serve_hosts() -> None:
    """A program that has all in memory and splits off a host for each line of its input: URL, op, nth, executed and a
    marker. The host locks the port, does the job, and when it is at that request says its process number and sleeps.
    """
    from hwsdk.hil import transports
    from hwsdk.hil.link_device import LinkDevice
    from hwsdk.hil.locks import PortLock

    job()
    for line in sys.stdin:
        url, op, nth, executed, marker = line.split()
        if child := os.fork():
            os.waitpid(child, 0)
            print("ended", flush=True)
            continue

        def strike(*_: object) -> None:
            print(os.getpid(), flush=True)
            time.sleep(600)

        os.environ["HWSDK_KILLS"] = marker
        with PortLock(url):
            trap = Trap(transports.open(url), Watch(Op[op], int(nth)), executed=executed == "1", strike=strike)
            device = LinkDevice(url, transport=trap)
            device.load(job().program)
            device.run(job().stimulus)
            device.read_state()
        os._exit(1)


if __name__ == "__main__":
    serve_hosts()
