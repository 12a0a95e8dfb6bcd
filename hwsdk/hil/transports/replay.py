"""replay: a recorded session, played as the device, so that a test with hardware can be looked into without it."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from hwsdk.errors import LinkError
from hwsdk.hil.transports.record import CAME, FORMAT, RESET, SENT, VERSION
from hwsdk.hil.wire import REPLY, RETRY, Frame, Op, Splitter, decode, encode

SHOWN = 24
"""Bytes of a payload that a message shows."""


def connect(rest: str) -> ReplayTransport:
    """``FILE``.

    Raises:
        LinkError: BAD_RECORD.
    """
    return ReplayTransport(Path(rest))


@dataclass(slots=True)
class Exchange:
    """A request, and what came back for it: messages before the reply, and the reply."""

    request: Frame
    answers: list[bytes] = field(default_factory=list)


class ReplayTransport:
    """Answers a request with the reply that was recorded, if the host asks the same things in the same order; repeats
    and their answers, and damaged frames, are left out of the comparison, since they depend on time.

    Args:
        path: what record: has written.
    """

    bytes_a_second: float | None = None

    def __init__(self, path: Path) -> None:
        self._name = f"replay:{path}"
        self.nonce, self.most_frame, lines = _read(path, self._name)
        self._exchanges = _exchanges(lines)
        self._next = 0
        self._splitter = Splitter()
        self._ready: deque[bytes] = deque()

    def write(self, data: bytes) -> None:
        """Take what the host sends.

        Raises:
            LinkError: REPLAY_DIFFERS, it is not what was recorded.
        """
        for raw in self._splitter.feed(data):
            self._take(decode(raw))

    def _take(self, frame: Frame) -> None:
        """One request: the next one, or a repeated one."""
        for exchange in reversed(self._exchanges[:self._next]):
            if exchange.request == frame:
                self._ready.extend(exchange.answers[-1:])
                return
        if self._next == len(self._exchanges):
            raise self._differs(frame, "the record ends here")
        expected = self._exchanges[self._next]
        if expected.request != frame:
            raise self._differs(frame, f"recorded was: {_in_words(expected.request)}")
        self._next += 1
        self._ready.extend(expected.answers)

    def _differs(self, frame: Frame, recorded: str) -> LinkError:
        """The error that tells the first difference."""
        return LinkError(f"request {self._next} differs from the record: sent was: {_in_words(frame)}; {recorded}",
                         where=self._name, code="REPLAY_DIFFERS",
                         fix="replay the same program and input with the same version of hwsdk, or record anew")

    def read_some(self, timeout: float) -> bytes:
        """What the device said then; it takes no time."""
        data = b"".join(self._ready)
        self._ready.clear()
        return data

    def reset_device(self) -> bool:
        """What comes after is in the record."""
        return True

    def close(self) -> None:
        """Nothing is open."""

    def describe(self) -> str:
        """The file, and how far it was played."""
        return f"{self._name} ({self._next} of {len(self._exchanges)} requests played)"


def _in_words(frame: Frame) -> str:
    """A frame with the beginning of its payload."""
    more = "..." if len(frame.payload) > SHOWN else ""
    return f"{frame.in_words()}: {frame.payload[:SHOWN].hex(' ')}{more}"


def _read(path: Path, name: str) -> tuple[int, int | None, list[tuple[str, bytes]]]:
    """(nonce, most bytes of a frame, (direction, bytes) of each line).

    Raises:
        LinkError: BAD_RECORD.
    """
    try:
        head, *lines = path.read_text("ascii").splitlines() or [""]
        told = json.loads(head)
        if told["format"] != FORMAT or told["version"] != VERSION:
            raise ValueError(f"it is {told['format']} version {told['version']}, not {FORMAT} version {VERSION}")
        found = [(line[:1], bytes.fromhex(line[1:])) for line in lines]
        wrong = next((d for d, _ in found if d not in (SENT, CAME, RESET)), None)
        if wrong is not None:
            raise ValueError(f"a line begins with {wrong!r}")
        return int(told["nonce"]), told.get("frame"), found
    except OSError as error:
        raise LinkError(f"the record cannot be read: {error.strerror}", where=name, code="BAD_RECORD",
                        fix="name a file that record: has written") from None
    except (ValueError, KeyError, TypeError) as error:
        raise LinkError(f"this is no record of a link: {error}", where=name, code="BAD_RECORD",
                        fix="name a file that record: has written") from None


def _good(splitter: Splitter, data: bytes) -> list[Frame]:
    """The undamaged frames."""
    found = []
    for raw in splitter.feed(data):
        try:
            found.append(decode(raw))
        except LinkError:
            continue
    return found


def _exchanges(lines: list[tuple[str, bytes]]) -> list[Exchange]:
    """Each request once, in the order of the first time, with the first reply that is more than a request to repeat."""
    made: list[Exchange] = []
    messages: list[bytes] = []
    splitters = {SENT: Splitter(), CAME: Splitter()}
    for direction, data in lines:
        for frame in _good(splitters[direction], data) if direction in splitters else ():
            if direction == SENT:
                if all(e.request != frame for e in reversed(made)):
                    made.append(Exchange(frame))
            elif frame.op == Op.LOG | REPLY:
                messages.append(_wire(frame))
            elif (asked := _asked(made, frame)) is not None:
                asked.answers += [*messages, _wire(frame)]
                messages = []
    return made


def _asked(made: list[Exchange], reply: Frame) -> Exchange | None:
    """The request that a reply is for, if it has none yet."""
    if not reply.op & REPLY or not reply.payload or reply.payload[0] in RETRY:
        return None
    for exchange in reversed(made):
        asked = exchange.request
        if (asked.op, asked.seq, asked.session) == (reply.op & ~REPLY, reply.seq, reply.session):
            if asked.op == Op.HELLO and reply.payload[1:9] != asked.payload[:8] and not reply.payload[0]:
                continue
            return None if exchange.answers else exchange
    return None


def _wire(frame: Frame) -> bytes:
    """As it goes over the line."""
    return encode(frame.op, frame.seq, frame.session, frame.payload, frame.version)
