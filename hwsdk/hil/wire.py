"""Frames, operations and status codes of the wire, as docs/wire.md has them. What is parsed raises only LinkError."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, NoReturn

from hwsdk.errors import LinkError, MissingDependencyError, RemoteError

VERSION = 1
REPLY = 0x80
"""Bit of the op that marks what a device sends."""
OVERHEAD = 12
"""Bytes of a decoded frame that are not payload: 8 of the header, 4 of the CRC."""
LEAST_MTU = 256
"""A HELLO reply with the longest names still fits; a device that announces less is taken for damaged."""
_HEADER = struct.Struct("<BBHI")
_TWO_WORDS = struct.Struct("<II")


class Op(IntEnum):
    """Operations."""

    HELLO = 1
    LOAD_BEGIN = 2
    LOAD_DATA = 3
    LOAD_END = 4
    RESET_STATE = 5
    STEP = 6
    FETCH = 7
    READ_STATE = 8
    WRITE_STATE = 9
    STATUS = 10
    LOG = 11
    ECHO = 12
    SINK = 13
    SOURCE = 14
    BENCH = 15
    REBOOT = 16
    EXIT = 17
    HANG = 18
    VERIFY_IMAGE = 19
    FEED = 20


class Status(IntEnum):
    """Status codes: 0x1x send again, 0x2x the caller's error, 0x4x the device's fault."""

    OK = 0
    E_SEQ = 0x10
    E_BUSY = 0x11
    E_VER = 0x20
    E_OP = 0x21
    E_LEN = 0x22
    E_RANGE = 0x23
    E_STATE = 0x24
    E_ORDER = 0x25
    E_NOMEM = 0x26
    E_UNSUPPORTED = 0x27
    E_CRC_IMAGE = 0x40
    E_IMAGE = 0x41
    E_FAULT = 0x42
    E_WATCHDOG = 0x43
    E_SESSION = 0x44


RETRY = (Status.E_SEQ, Status.E_BUSY)
REMEDIES = {
    Status.E_VER: "use firmware and hwsdk of the same protocol version",
    Status.E_OP: "this firmware does not have the operation: build it anew from firmware_stubs, or do without",
    Status.E_LEN: "the request is not of the length that the firmware expects: use firmware and hwsdk of one version",
    Status.E_RANGE: "keep the number below the limit that the device gives",
    Status.E_STATE: "load a program first, and let nothing else be under way",
    Status.E_ORDER: "ask for the step (or offset) that the device wants next, or reset its state",
    Status.E_NOMEM: "make the program smaller, or use a device with more memory",
    Status.E_UNSUPPORTED: "use firmware that is built with the runner of this program",
    Status.E_CRC_IMAGE: "load the program again; if it happens again the device's memory is at fault",
    Status.E_IMAGE: "make the image anew with the same version of hwsdk as the firmware",
    Status.E_FAULT: "the firmware ran into a fault: reset the device and report the numbers",
    Status.E_WATCHDOG: "an operation took longer than the watchdog allows: send fewer steps at once",
    Status.E_SESSION: "the device was reset or another host has opened it: open it again",
}
"""What a user can do about a status."""
COUNTERS = ("none", "wall", "instructions", "cycles")
"""Counter kind -> word."""
RESETS = ("power", "watchdog", "software", "fault", "unknown")
"""Reset reason -> word."""
LEVELS = ("debug", "info", "warning", "error")
"""Level of a LOG -> word."""
STATUS_NAMES = (
    "frames", "bad_cobs", "bad_crc", "too_long", "too_short", "wrong_session", "repeated", "gaps", "overrun_bytes",
    "requests", "steps", "naks", "logs_dropped", "boots", "watchdog_resets", "uptime_ms")
"""Counters of a STATUS reply, in order."""


def name_of_op(op: int) -> str:
    """An op in words, with or without the bit of a reply."""
    known = {o.value: o.name for o in Op}
    return known.get(op & ~REPLY, f"op {op & ~REPLY}")


def name_of_status(status: int) -> str:
    """A status in words."""
    known = {s.value: s.name for s in Status}
    return known.get(status, f"status {status:#04x}")


class Frame(NamedTuple):
    """One frame without its delimiters; op with the bit of a reply."""

    version: int
    op: int
    seq: int
    session: int
    payload: bytes

    def in_words(self) -> str:
        """For messages: what it is, and where it is in which session."""
        kind = "reply to " if self.op & REPLY else ""
        return f"{kind}{name_of_op(self.op)} seq {self.seq} session {self.session:#010x}, {len(self.payload)} bytes"


def cobs_codec() -> Any:
    """The module of package cobs.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from cobs import cobs
    except ImportError as error:
        raise MissingDependencyError(
            "links to devices need the package cobs", fix="pip install 'hwsdk[hil]'") from error
    return cobs


def encode(op: int, seq: int, session: int, payload: bytes = b"", version: int = VERSION) -> bytes:
    """The frame as it goes over the line, with both delimiters."""
    body = _HEADER.pack(version, op, seq, session) + payload
    return b"\0" + cobs_codec().encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"  # type: ignore[no-any-return]


def decode(raw: bytes) -> Frame:
    """The frame that lay between two delimiters.

    Raises:
        LinkError: BAD_COBS, TOO_SHORT or BAD_CRC.
    """
    codec = cobs_codec()
    try:
        body = codec.decode(raw)
    except codec.DecodeError as error:
        raise LinkError(f"a frame of {len(raw)} bytes is not COBS: {error}", code="BAD_COBS") from None
    if len(body) < OVERHEAD:
        raise LinkError(f"a frame has {len(body)} bytes, the least is {OVERHEAD}", code="TOO_SHORT")
    if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        raise LinkError(f"a frame of {len(body)} bytes has a wrong CRC-32", code="BAD_CRC")
    version, op, seq, session = _HEADER.unpack_from(body)
    return Frame(version, op, seq, session, body[8:-4])


class Splitter:
    """Cuts a stream at its zeros. ``most``: bytes that a piece may have; what is longer is dropped and counted."""

    def __init__(self, most: int = 1 << 17) -> None:
        self.most, self.too_long = most, 0
        self._rest: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are complete now, without empty ones."""
        first, *others = data.split(b"\0")
        self._hold(first)
        if not others:
            return []
        last = others.pop()
        pieces = [b"".join(self._rest), *others]
        self._rest, self._held = [], 0
        self._hold(last)
        kept = [p for p in pieces if p and len(p) <= self.most]
        self.too_long += sum(1 for p in pieces if len(p) > self.most)
        return kept

    def _hold(self, part: bytes) -> None:
        """Keep what has no end yet; beyond the limit only enough to know that it was too long."""
        if part and self._held <= self.most:
            self._rest.append(part)
            self._held += len(part)


def numbers(form: str, payload: bytes, at: int, what: str) -> tuple[Any, ...]:
    """``struct.unpack_from`` that raises LinkError BAD_REPLY where bytes are missing."""
    need = struct.calcsize(form)
    if at < 0 or len(payload) < at + need:
        raise LinkError(f"the reply to {what} has {len(payload)} bytes, {at + need} are needed", code="BAD_REPLY",
                        fix="use firmware and hwsdk of the same protocol version")
    return struct.unpack_from(form, payload, at)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a device says of itself; names as in docs/wire.md. image: 32 bytes, zeros if there is none. kinds: pairs of
    image kind and layout. ops: bit mask, None if the device does not tell. watchdog_ms: 0 if there is none.
    """

    nonce: int
    version: int
    loaded: bool
    broken_off: bool
    test_build: bool
    mtu: int
    window: int
    session: int
    credit: int
    arena: int
    counter_hz: int
    counter: str
    reset_reason: str
    last_op: int
    boots: int
    next_step: int
    digest: int
    image_crc: int
    image: bytes
    name: str = ""
    build: str = ""
    chip: str = ""
    core: str = ""
    kinds: tuple[tuple[int, int], ...] = ()
    ops: int | None = None
    compiler: str = ""
    watchdog_ms: int = 0

    def in_words(self) -> str:
        """For messages and reports."""
        last = f" during {name_of_op(self.last_op)}" if self.last_op else ""
        who = f"{self.name or 'device'} (build {self.build[:12] or 'unknown'}, {self.chip or 'unknown chip'})"
        return (f"{who}, boot {self.boots}, last reset: {self.reset_reason}{last}, next step {self.next_step}, "
                f"{'a program is' if self.loaded else 'nothing is'} loaded")


_HELLO = "<QBBHHIIIIBBBBIIII32s"
HELLO_BYTES = struct.calcsize(_HELLO)


def hello_request(nonce: int, versions: tuple[int, int] = (VERSION, VERSION)) -> bytes:
    """The payload of a HELLO."""
    return struct.pack("<QBB", nonce, *versions)


def parse_hello(body: bytes) -> Hello:
    """Of the payload after the status.

    Raises:
        LinkError: BAD_REPLY.
    """
    (nonce, version, flags, mtu, window, session, credit, arena, hz, counter, reason, last, _, boots, step, digest, crc,
     image) = numbers(_HELLO, body, 0, "HELLO")
    if mtu < LEAST_MTU or not window or not session:
        raise LinkError(f"the device announces frames of {mtu} bytes, a window of {window} and session {session}",
                        code="BAD_REPLY", fix=f"a device needs frames of {LEAST_MTU} bytes and a window of 1 at least")
    return Hello(
        nonce, version, bool(flags & 1), bool(flags & 2), bool(flags & 4), mtu, window, session, credit, arena, hz,
        COUNTERS[counter] if counter < len(COUNTERS) else "none", RESETS[min(reason, 4)], last, boots, step, digest,
        crc,
        image, **_more_of_hello(body))


def _more_of_hello(body: bytes) -> dict[str, Any]:
    """The fields that come as type, length and value."""
    found: dict[str, Any] = {}
    names = {1: "name", 2: "build", 3: "chip", 4: "core", 7: "compiler"}
    at = HELLO_BYTES
    while at < len(body):
        kind, n = numbers("<BB", body, at, "HELLO")
        (value,) = numbers(f"<{n}s", body, at + 2, "HELLO")
        at += 2 + n
        if kind in names:
            found[names[kind]] = value.decode("utf-8", "replace")
        elif kind == 5:
            found["kinds"] = tuple(zip(value[0::2], value[1::2], strict=False))
        elif kind in (6, 8) and n == 4:
            found["ops" if kind == 6 else "watchdog_ms"] = int.from_bytes(value, "little")
    return found


def parse_status(body: bytes) -> dict[str, int]:
    """Counter -> count, of the payload after the status; counters that this version has no name for are left out.

    Raises:
        LinkError: BAD_REPLY.
    """
    (n,) = numbers("<B", body, 0, "STATUS")
    return dict(zip(STATUS_NAMES, numbers(f"<{n}I", body, 1, "STATUS"), strict=False))


def parse_log(payload: bytes) -> str:
    """A LOG as a line: level and text; of the payload with its status."""
    level = LEVELS[payload[1]] if len(payload) > 1 and payload[1] < len(LEVELS) else "unknown"
    return f"{level}: {payload[2:].decode('utf-8', 'replace')}"


def parse_refusal(body: bytes) -> tuple[int, int, str]:
    """(value, limit, text) of the payload after a status other than OK and E_SEQ; zeros where a device says less."""
    value, limit = _TWO_WORDS.unpack_from(body) if len(body) >= 8 else (0, 0)
    return value, limit, body[8:].decode("utf-8", "replace")


def refuse(op: int, status: int, body: bytes, *, where: str = "", told: str = "", log: tuple[str,
                                                                                             ...] = ()) -> NoReturn:
    """Raise what a status other than OK means.

    Args:
        op: of the request.
        status: of the reply.
        body: the payload after it.
        where: the line.
        told: more that the device has said of itself, added to the message.
        log: what it has said last.
    """
    value, limit, text = parse_refusal(body)
    name = name_of_status(status)
    numbers_said = f" (value {value}, limit {limit})" if value or limit else ""
    more = f"\n  {told}" if told else ""
    known = status in Status._value2member_map_
    fix = REMEDIES.get(Status(status), "") if known else "use firmware and hwsdk of the same protocol version"
    raise RemoteError(
        f"the device refuses {name_of_op(op)}: {name}{', ' if text else ''}{text}{numbers_said}{more}",
        op=name_of_op(op),
        status=status, value=value, limit=limit, where=where, fix=fix, code=name.replace(" ", "_").upper(), log=log)
