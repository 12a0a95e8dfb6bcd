"""Session: HELLO, requests and replies, and what goes wrong as exceptions. What is asked is in link.py."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NoReturn

from hwsdk.errors import DeviceReset, LinkError, NoReply
from hwsdk.hil.link_window import COUNTED, LOG_LINES, Limits, Pending, Window
from hwsdk.hil.transports.base import ByteTransport
from hwsdk.hil.wire import (
    LEAST_MTU,
    OVERHEAD,
    REPLY,
    VERSION,
    Hello,
    Op,
    Status,
    encode,
    hello_request,
    parse_hello,
    parse_status,
    refuse,
)

TIMEOUT = 10.0
"""Seconds of silence after which a device counts as gone: several times the watchdog of the firmware (2 s)."""
DEADLINE = 60.0
DRAIN = 2.0
"""Seconds to wait for the answers of requests that nobody wants any more."""


class Session:
    """What keeps a session with a device; see Link."""

    def __init__(self, transport: ByteTransport, *, timeout: float = TIMEOUT, deadline: float = DEADLINE,
                 log: Callable[[str], None] | None = None, nonce: int | None = None,
                 most_frame: int | None = None) -> None:
        self.statistics: dict[str, int] = dict.fromkeys(COUNTED, 0)
        self.messages: deque[str] = deque(maxlen=LOG_LINES)
        self.transport = transport
        self.window = Window(transport, Limits(timeout, deadline), self.statistics, self.messages, log)
        self._device: Hello | None = None
        self._base, self._nonce = nonce, 0
        own = getattr(transport, "most_frame", None) if most_frame is None else most_frame
        self._most_frame = max(own or 0xFFFF, LEAST_MTU)
        self._open, self._boots, self._had_image = False, -1, False

    def close(self) -> None:
        """Close the transport."""
        self._open = False
        self.transport.close()

    def reattach(self, transport: ByteTransport) -> None:
        """Go on over another transport to the same device, in place of one that is gone; that one is closed."""
        if transport is not self.transport:
            self.transport.close()
            self.transport = self.window.transport = transport

    def hello(self) -> Hello:
        """What the device says of itself now; opens a session if there is none.

        Raises:
            NoReply: nobody answers. RemoteError: E_VER. DeviceReset: it has started again since the last time.
        """
        if not self._ensure():
            known = self.session_hello
            hello = self._greet()
            self._device = hello
            if hello.session != known.session or self._has_started_again(hello):
                self._open = False
                raise self._started_again(hello)
        return self.session_hello

    @property
    def session_hello(self) -> Hello:
        """What the device said last of itself.

        Raises:
            LinkError: NO_SESSION, nothing was asked yet.
        """
        if self._device is None:
            raise LinkError("there is no session yet", where=self.transport.describe(), code="NO_SESSION",
                            fix="call hello")
        return self._device

    def _fresh_nonce(self) -> int:
        """Names the next session."""
        if self._base is None:
            recorded = getattr(self.transport, "nonce", None)
            self._base = secrets.randbits(64) if recorded is None else recorded
        return (self._base + self.statistics["sessions"]) & (1 << 64) - 1

    def _greet(self) -> Hello:
        """HELLO until it is answered."""
        frame = encode(Op.HELLO, 0, 0, hello_request(self._nonce))
        start, wait, limits = time.monotonic(), 0.1, self.window.limits
        while time.monotonic() < start + min(limits.timeout, limits.deadline):
            self.transport.write(frame)
            self.statistics["frames_out"] += 1
            self.statistics["bytes_out"] += len(frame)
            end = time.monotonic() + wait
            while (left := end - time.monotonic()) > 0:
                found = self._hello_in(left)
                if found is not None:
                    return found
            wait = min(2 * wait, 0.4)
        raise NoReply(f"nobody has answered HELLO for {time.monotonic() - start:.1f} s",
                      where=self.transport.describe(),
                      log=self._tail(), fix="see that the device is powered and connected, that it runs this firmware, "
                                            "and that the speed of the line is right")

    def _hello_in(self, left: float) -> Hello | None:
        """The reply to this HELLO, if it comes within that time."""
        found = None
        for frame in self.window.frames(left):
            if self.window.is_message(frame):
                continue
            if frame.op != Op.HELLO | REPLY or not frame.payload:
                self.statistics["stale"] += 1
                continue
            if frame.payload[0] != Status.OK:
                refuse(Op.HELLO, frame.payload[0], frame.payload[1:], where=self.transport.describe(), log=self._tail())
            hello = parse_hello(frame.payload[1:])
            if hello.nonce == self._nonce and hello.version == VERSION:
                found = hello
            else:
                self.statistics["stale"] += 1
        return found

    def _ensure(self, *, reset_matters: bool = True) -> bool:
        """A session, a new one if need be; returns whether it is new.

        Raises:
            DeviceReset: the device has started again since the last one, once.
        """
        if self._open:
            self._settle()
        if self._open:
            return False
        self._nonce = self._fresh_nonce()
        self._device = hello = self._greet()
        self._begin(hello)
        if self._has_started_again(hello):
            error = self._started_again(hello)
            if reset_matters:
                raise error
        self._boots = hello.boots
        return True

    def _begin(self, hello: Hello) -> None:
        """Number requests from 0, as the device does in a new session."""
        self.window.open(hello.session, min(hello.mtu, self._most_frame), hello.window, hello.credit,
                         hello_request(self._nonce))
        self.statistics["sessions"] += 1
        self._open = True

    def _has_started_again(self, hello: Hello) -> bool:
        """Whether what the device says does not fit what it was."""
        return self._boots not in (-1, hello.boots) or (self._had_image and not hello.loaded)

    def _started_again(self, hello: Hello) -> DeviceReset:
        """Take note of it; the error that says so."""
        self._boots, self._had_image = hello.boots, False
        self.statistics["resets"] += 1
        return DeviceReset(f"the device has started again: {hello.in_words()}", where=self.transport.describe(),
                           fix="load the program again, and run it from the start", log=self._tail())

    def _settle(self) -> None:
        """Wait for the answers of requests that were given up; without them the session is closed."""
        if not self.window.pending:
            return
        limits = self.window.limits
        self.window.limits = Limits(min(DRAIN, limits.timeout), min(DRAIN, limits.deadline))
        try:
            self.window.again()
            while self.window.pending:
                self.window.receive()
        except (NoReply, DeviceReset):
            self._open = False
        finally:
            self.window.limits = limits

    def _tail(self) -> tuple[str, ...]:
        """What the device has said last."""
        return tuple(self.messages)

    def _receive(self) -> tuple[Pending, bytes]:
        """(the oldest request, payload after the status), or what went wrong, as an exception."""
        try:
            pending, status, body = self.window.receive()
        except DeviceReset:
            self._open, self._boots, self._had_image = False, -1, False
            self.window.pending.clear()
            raise
        if status != Status.OK:
            self._refused(pending, status, body)
        return pending, body

    def _refused(self, pending: Pending, status: int, body: bytes) -> NoReturn:
        """The device refuses: let what else is under way end, ask it how it is if the fault is its own, and raise."""
        told = ""
        with contextlib.suppress(LinkError):
            self._settle()
            if status >= Status.E_CRC_IMAGE and pending.op != Op.STATUS and self._open:
                counts = ", ".join(f"{k} {v}" for k, v in parse_status(self._ask(Op.STATUS)).items() if v)
                told = f"{self.session_hello.in_words()}; its counters: {counts}"
        refuse(pending.op, status, body, where=self.transport.describe(), told=told, log=self._tail())

    def _ask(self, op: Op, payload: bytes = b"", work: float = 1.0) -> bytes:
        """One request; the payload of its reply after the status."""
        self._ensure()
        self.window.send(op, payload, work=work)
        return self._receive()[1]

    def _each(self, requests: Iterator[tuple[Op, bytes]]) -> Iterator[bytes]:
        """Many requests, as many under way as the device allows; their replies in order."""
        coming = next(requests, None)
        while coming is not None or self.window.pending:
            while coming is not None and self.window.has_room(len(coming[1])):
                self.window.send(*coming)
                coming = next(requests, None)
            yield self._receive()[1]

    @property
    def room(self) -> int:
        """Bytes of payload in a frame, also of a reply with its status."""
        return self.window.mtu - OVERHEAD

