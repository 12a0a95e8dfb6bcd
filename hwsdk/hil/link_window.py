"""Window: numbered requests under way, go-back-N, with repeats, negative acknowledgements and limits of time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hwsdk.errors import DeviceReset, LinkError, NoReply
from hwsdk.hil.transports.base import ByteTransport
from hwsdk.hil.wire import (
    REPLY,
    RESETS,
    VERSION,
    Frame,
    Op,
    Splitter,
    Status,
    decode,
    encode,
    name_of_op,
    numbers,
    parse_hello,
    parse_log,
    parse_refusal,
)

COUNTED = (
    "frames_out", "frames_in", "bytes_out", "bytes_in", "retries", "timeouts", "naks", "busy", "bad_cobs", "bad_crc",
    "too_short", "too_long", "bad_version", "unreadable", "duplicates", "stale", "logs", "resets", "sessions",
    "resumes")
"""Names of a link's statistics."""
FLOOR = 0.01
"""Least wait in seconds before a request is repeated: above a time slice of a loaded host, far below what users
notice."""
CAP = 1.0
"""Most seconds that doubling makes of a wait, besides the operation's own budget."""
GUESS = {Op.STEP: 0.25, Op.BENCH: 1.0, Op.LOAD_END: 0.5, Op.VERIFY_IMAGE: 0.5}
"""Seconds that an operation may take before anything is known of the device; others: FIRST."""
FIRST = 0.1
LOG_LINES = 50
BOGUS = 8
"""Wishes for a number that is not under way, without any answer, that show that the device counts anew."""


@dataclass(slots=True)
class Pending:
    """A request under way. work: how much of the operation's own unit it is, steps or bytes; tag: the caller's."""

    op: int
    seq: int
    wire: bytes
    work: float
    tag: Any
    first: float = 0.0
    sent: float = 0.0
    order: int = 0
    tries: int = 0
    reply: Frame | None = None


@dataclass(slots=True)
class Pace:
    """What an operation has taken so far: mean and spread in seconds for a unit of work."""

    mean: float
    spread: float

    def learn(self, seconds: float) -> None:
        """As RFC 6298, section 2, smooths round trips."""
        self.spread += (abs(seconds - self.mean) - self.spread) / 4
        self.mean += (seconds - self.mean) / 8


@dataclass(slots=True)
class Limits:
    """timeout: seconds without an answer after which the device counts as gone; deadline: the same for one request with
    everything that is repeated. Both beyond what the operation itself takes as far as that is known.
    """

    timeout: float
    deadline: float


@dataclass(slots=True)
class Window:
    """Requests and replies of one session. It is used by one thread.

    transport: the line. limits, statistics, log: shared with the link. on_log: called with each message of the device.
    """

    transport: ByteTransport
    limits: Limits
    statistics: dict[str, int]
    log: deque[str]
    on_log: Callable[[str], None] | None = None
    session: int = 0
    mtu: int = 0
    size: int = 1
    credit: int = 0
    pending: deque[Pending] = field(default_factory=deque)
    _greeting: bytes = b""
    _next: int = 0
    _order: int = 0
    _flying: int = 0
    _out: list[bytes] = field(default_factory=list)
    _splitter: Splitter = field(default_factory=Splitter)
    _paces: dict[int, Pace] = field(default_factory=dict)
    _backoff: int = 1
    _progress: float = 0.0
    _nak: tuple[int, int, float] = (-1, 0, 0.0)
    _repeated: tuple[int, int, float] = (-1, 0, 0.0)
    _bogus: int = 0
    _damaged: bool = False

    def open(self, session: int, mtu: int, size: int, credit: int, greeting: bytes) -> None:
        """Begin a session: the device wants number 0. greeting: the HELLO that has opened it."""
        self._greeting = greeting
        self.session, self.mtu, self.size, self.credit = session, mtu, size, credit
        self.pending.clear()
        self._next = self._flying = self._bogus = 0
        self._nak, self._backoff = (-1, 0, 0.0), 1
        self._progress = time.monotonic()

    def has_room(self, payload: int) -> bool:
        """Whether a request with so many bytes of payload may be sent now."""
        if not self.pending:
            return True
        body = payload + 12
        return len(self.pending) < self.size and self._flying + body + body // 254 + 3 <= self.credit

    def send(self, op: int, payload: bytes = b"", *, work: float = 1.0, tag: Any = None) -> None:
        """Put a request under way; there is room for it. It goes out when the host waits next."""
        now = time.monotonic()
        request = Pending(op, self._next, encode(op, self._next, self.session, payload), work, tag, first=now)
        self._next = (self._next + 1) & 0xFFFF
        self.pending.append(request)
        self._flying += len(request.wire)
        self._put(request, now)

    def receive(self) -> tuple[Pending, int, bytes]:
        """(the oldest request, status of its reply, payload after the status).

        Raises:
            NoReply: NO_REPLY or DEADLINE. DeviceReset: the session is no more. LinkError: GONE.
        """
        head = self.pending[0]
        while head.reply is None:
            self._wait(head)
        self.pending.popleft()
        self._flying -= len(head.wire)
        return head, head.reply.payload[0], head.reply.payload[1:]

    def forget(self, *ops: int) -> None:
        """What these have taken so far says nothing any more."""
        for op in ops:
            self._paces.pop(op, None)

    def again(self) -> None:
        """Send all that has no answer again."""
        self._backoff = 1
        now = time.monotonic()
        for request in self.pending:
            request.first = now
            if request.reply is None:
                self._put(request, now)

    def _put(self, request: Pending, now: float) -> None:
        """Hand a request to the line, at the next flush."""
        self._order += 1
        if request.tries:
            self.statistics["retries"] += 1
        request.sent, request.order = now, self._order
        request.tries += 1
        self._out.append(request.wire)

    def flush(self) -> None:
        """Send what was put."""
        if self._out:
            data = b"".join(self._out)
            self.statistics["frames_out"] += len(self._out)
            self.statistics["bytes_out"] += len(data)
            self._out.clear()
            self.transport.write(data)

    def frames(self, timeout: float) -> list[Frame]:
        """The good frames that come within that time, as soon as there is anything; bad ones are counted."""
        data = self.transport.read_some(timeout)
        if not data:
            return []
        self.statistics["bytes_in"] += len(data)
        before, found = self._splitter.too_long, []
        for raw in self._splitter.feed(data):
            try:
                found.append(decode(raw))
            except LinkError as error:
                self.statistics[error.code.lower()] += 1
                self._damaged = True
        self.statistics["too_long"] += self._splitter.too_long - before
        self.statistics["frames_in"] += len(found)
        return found

    def is_message(self, frame: Frame) -> bool:
        """Whether a frame is no reply to anything; a LOG is kept, what a host has sent itself is dropped."""
        if frame.op == Op.LOG | REPLY:
            self.log.append(parse_log(frame.payload))
            self.statistics["logs"] += 1
            if self.on_log:
                self.on_log(self.log[-1])
            return True
        if not frame.op & REPLY:
            self.statistics["stale"] += 1
            return True
        return False

    def _wait(self, head: Pending) -> None:
        """Wait once for something to come, and repeat what is due."""
        self.flush()
        self._damaged = False
        end = max(head.sent, self._progress) + self._patience(head)
        for frame in self.frames(max(end - time.monotonic(), 0.0)):
            self._take(frame)
        if head.reply is None:
            now = time.monotonic()
            if self._damaged:  # perhaps its answer
                self._put(head, now)
            elif now >= end:  # only the oldest: more could overrun a device that is busy with it
                self.statistics["timeouts"] += 1
                self._backoff *= 2
                self._put(head, now)
                if self._backoff > 2:  # a short frame comes through where a long one does not: is the session alive?
                    self._out.append(encode(Op.HELLO, 0, 0, self._greeting))
            self._give_up(head, now)

    def _budget(self, request: Pending) -> float:
        """Seconds that the operation itself may take."""
        pace = self._paces.get(request.op)
        if pace is None:
            return GUESS.get(Op(request.op), FIRST)
        return (2 * pace.mean + 4 * pace.spread) * request.work

    def _on_the_line(self) -> float:
        """Seconds that what is under way takes to and fro, where the speed is known."""
        rate = self.transport.bytes_a_second
        return 2.5 * (self._flying + self.mtu) / rate if rate else 0.0

    def _patience(self, request: Pending) -> float:
        """Seconds until a request is repeated."""
        return min(FLOOR * self._backoff, CAP) + self._budget(request) * min(self._backoff, 2) + self._on_the_line()

    def _give_up(self, head: Pending, now: float) -> None:
        """Raise where a request has taken too long."""
        allowed = self._budget(head) + self._on_the_line()
        silent = now - max(head.first, self._progress)
        if silent > self.limits.timeout + allowed:
            raise NoReply(f"{name_of_op(head.op)} was sent {head.tries} times and not answered for {silent:.1f} s",
                          where=self.transport.describe(), log=tuple(self.log)[-LOG_LINES:],
                          fix="see that it is powered and connected and runs the firmware; reset it; use shorter "
                              "frames on a line that damages many")
        if now - head.first > self.limits.deadline + allowed:
            raise NoReply(f"{name_of_op(head.op)} was sent {head.tries} times in {now - head.first:.1f} s, in vain",
                          where=self.transport.describe(), log=tuple(self.log)[-LOG_LINES:], code="DEADLINE",
                          fix="the line loses most of what is sent: see its statistics, or give a longer deadline")

    def _take(self, frame: Frame) -> None:
        """One good frame."""
        if self.is_message(frame):
            return
        if frame.version != VERSION:
            self.statistics["bad_version"] += 1
        elif frame.op == Op.HELLO | REPLY:
            self._greeted(frame.payload)
        elif frame.session != self.session:
            self.statistics["stale"] += 1
        elif not frame.payload:
            self.statistics["unreadable"] += 1
        elif frame.payload[0] == Status.E_SEQ:
            self._wanted(frame)
        else:
            self._answer(frame)

    def _greeted(self, payload: bytes) -> None:
        """The reply to a HELLO: of this session, of another one, or of one that there is no more."""
        if payload[:9] != b"\0" + self._greeting[:8]:
            self.statistics["stale"] += 1
            return
        hello = parse_hello(payload[1:])
        if hello.session != self.session:
            self.statistics["resets"] += 1
            raise DeviceReset(f"the device has opened another session: {hello.in_words()}",
                              fix="load the program again",
                              where=self.transport.describe(), log=tuple(self.log)[-LOG_LINES:])

    def _answer(self, frame: Frame) -> None:
        """A reply to a request of this session."""
        place = (frame.seq - self.pending[0].seq) & 0xFFFF if self.pending else 0
        if place >= len(self.pending) or self.pending[place].reply:
            self.statistics["duplicates"] += 1
            self._learn_late(frame.seq)
            return
        request = self.pending[place]
        if frame.op != request.op | REPLY:
            self.statistics["stale"] += 1
        elif frame.payload[0] == Status.E_SESSION:
            raise self.reset(frame.payload[1:])
        elif frame.payload[0] == Status.E_BUSY:
            self.statistics["busy"] += 1  # it is sent again when its time is over
        else:
            self._accept(request, frame)

    def _accept(self, request: Pending, frame: Frame) -> None:
        """Keep a reply. What was sent before it and has none got lost, or its reply did."""
        now = time.monotonic()
        request.reply = frame
        if request.tries == 1:
            self._learn(request.op, (now - max(request.sent, self._progress)) / max(request.work, 1e-9))
        else:  # nobody knows which one is answered; a second answer will tell that the first was only late
            self._repeated = (request.seq, request.op, (now - max(request.first, self._progress)) / max(request.work,
                                                                                                        1e-9))
        self._progress, self._backoff, self._bogus = now, 1, 0
        self._resend(request.order, len(self.pending), now)

    def _learn(self, op: int, taken: float) -> None:
        """Seconds for a unit of work."""
        pace = self._paces.get(op)
        if pace is None:
            self._paces[op] = Pace(taken, taken / 2)
        else:
            pace.learn(taken)

    def _learn_late(self, seq: int) -> None:
        """A second answer to the request that was repeated last."""
        if self._repeated[0] == seq:
            self._learn(*self._repeated[1:])
            self._repeated = (-1, 0, 0.0)

    def _resend(self, order: int, before: int, now: float) -> None:
        """Send again what has no reply, of the oldest ``before`` requests, if it went out before the one of that
        order."""
        for place, lost in enumerate(self.pending):
            if place < before and lost.reply is None and lost.order < order:
                self._put(lost, now)

    def _wanted(self, frame: Frame) -> None:
        """The device wants a number: what is before it was executed, what is from it on goes again, once."""
        self.statistics["naks"] += 1
        if len(frame.payload) < 3 or not self.pending:
            return
        (wanted,) = numbers("<H", frame.payload, 1, "E_SEQ")
        place, now = (wanted - self.pending[0].seq) & 0xFFFF, time.monotonic()
        if place > len(self.pending):
            self._counts_anew(wanted)
            return
        known, left, until = self._nak
        if known == wanted and left > 0 and now < until:
            self._nak = (known, left - 1, until)  # of a frame that was on its way already
            return
        self._nak = (wanted, max(0, len(self.pending) - place - 1), now + FLOOR)
        self._resend(self._order + 1, len(self.pending), now)

    def _counts_anew(self, wanted: int) -> None:
        """The device wants a number that is not under way: an old wish, or it has forgotten this session."""
        self._bogus += 1
        if self._bogus >= BOGUS:
            self.statistics["resets"] += 1
            raise DeviceReset(f"the device wants request {wanted}, which is not under way",
                              where=self.transport.describe(),
                              fix="load the program again", log=tuple(self.log)[-LOG_LINES:])

    def reset(self, body: bytes) -> DeviceReset:
        """The error for E_SESSION."""
        boots, reason, text = parse_refusal(body)
        self.statistics["resets"] += 1
        why = RESETS[min(reason, 4)]
        return DeviceReset(
            f"the device does not know this session{f' ({text})' if text else ''}: boot {boots}, last reset: {why}",
            where=self.transport.describe(), log=tuple(self.log)[-LOG_LINES:],
            fix="load the program again (an upload goes on where it was broken off); let no other host use it")
