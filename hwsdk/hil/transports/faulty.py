"""faulty: another transport with seeded faults in both directions, each tied to a position in the stream of bytes."""

from __future__ import annotations

import math
import random
import secrets
import time
from collections import deque
from collections.abc import Callable

from hwsdk.hil.transports import inner_url, parse_query
from hwsdk.hil.transports import open as open_url
from hwsdk.hil.transports.base import ByteTransport

KINDS = ("flip", "drop", "dup", "insert", "burst", "again", "stall", "reset")
"""flip: a bit; drop: a byte; dup: a byte twice; insert: a byte; burst: up to 39 bytes are lost; again: what came
between the last two zeros comes again; stall: the line stands still; reset: the device is reset from outside."""
BURST = 39
"""Most bytes of a burst."""


def _rate(text: str) -> float:
    """Of a fault, for each byte."""
    value = float(text)
    if not 0 <= value < 1:
        raise ValueError("a rate is at least 0 and less than 1")
    return value


def _direction(text: str) -> str:
    if text not in ("in", "out"):
        raise ValueError("it is in (to the host) or out")
    return text


def connect(rest: str) -> FaultyTransport:
    """``QUERY;URL`` with rates for each byte (flip, drop, dup, insert, burst, again, stall, reset), seed, stall_ms,
    only=in|out, and frame: the most bytes of a frame, since at high rates no long one comes through.

    Raises:
        UnsupportedError: BAD_URL.
    """
    query, inner = inner_url(rest, "faulty")
    known: dict[str, Callable[[str], object]] = {
        **dict.fromkeys(KINDS, _rate), "seed": int, "stall_ms": float, "only": _direction, "frame": int}
    asked = parse_query(query.removeprefix("?"), known, f"faulty:{rest}")
    rates = {kind: asked[kind] for kind in KINDS if kind in asked}
    return FaultyTransport(open_url(inner), rates, asked.get("seed", 0), asked.get("stall_ms", 20.0) / 1000,
                           asked.get("only"), asked.get("frame"))


class Injector:
    """Faults of one direction. Where they are depends on the seed alone, not on how the stream is cut.

    Args:
        seed: of this direction.
        rates: for each byte.
        injected: counts, added to.
    """

    def __init__(self, seed: int, rates: dict[str, float], injected: dict[str, int]) -> None:
        self._dice, self._rates, self._injected = random.Random(seed), rates, injected
        self._at = self._lost = 0
        self._frame, self._last = bytearray(), b""
        self._next = {kind: self._skip(rate) for kind, rate in rates.items() if rate > 0}

    def _skip(self, rate: float) -> int:
        """Bytes until the next fault of a kind: geometric, so that nothing is drawn for the bytes between."""
        return int(math.log(1.0 - self._dice.random()) / math.log1p(-rate))

    def pieces(self, data: bytes) -> list[tuple[bytes, str]]:
        """The bytes as they go on, and after each piece a stall, a reset or nothing."""
        found: list[tuple[bytes, str]] = []
        out, begin, end = bytearray(), self._at, self._at + len(data)
        done = 0
        while self._next and min(self._next.values()) < end:
            kind = min(self._next, key=lambda k: (self._next[k], k))
            place = self._next[kind] - begin
            self._pass(out, data[done:place])
            done = max(done, place)
            self._next[kind] += 1 + self._skip(self._rates[kind])
            self._injected[kind] += 1
            if kind in ("stall", "reset"):
                found.append((bytes(out), kind))
                out.clear()
            else:
                done = self._damage(kind, out, data, done, place)
        self._pass(out, data[done:])
        self._at = end
        found.append((bytes(out), ""))
        return found

    def _damage(self, kind: str, out: bytearray, data: bytes, done: int, place: int) -> int:
        """One fault at ``place``; returns how far the bytes are used up. What is lost already cannot be damaged."""
        here = done <= place and not self._lost
        if kind == "burst":
            self._lost += self._dice.randrange(1, BURST + 1)
        elif kind == "insert":
            out.append(self._dice.randrange(256))
        elif kind == "again":
            out += b"\0" + self._last + b"\0"
        elif here and kind == "flip":
            out.append(data[place] ^ 1 << self._dice.randrange(8))
        elif here and kind == "dup":
            out += data[place:place + 1] * 2
        return done + 1 if here and kind in ("flip", "dup", "drop") else done

    def _pass(self, out: bytearray, data: bytes) -> None:
        """Bytes without a fault, but for what a burst takes."""
        if "again" in self._rates:
            *ended, rest = (bytes(self._frame) + data).split(b"\0")
            self._last = next((frame for frame in reversed(ended) if frame), self._last)
            self._frame = bytearray(rest[-(1 << 17):])
        lost = min(self._lost, len(data))
        self._lost -= lost
        out += data[lost:]


class FaultyTransport:
    """A transport that damages what passes. ``injected``: how many faults of each kind so far.

    Args:
        inner: the transport.
        rates: fault -> rate for each byte.
        seed: the same one gives the same faults.
        stall: seconds that a stall lasts.
        only: "in" or "out" for one direction alone.
        most_frame: bytes that a link shall not exceed in a frame.
    """

    def __init__(self, inner: ByteTransport, rates: dict[str, float], seed: int = 0, stall: float = 0.02,
                 only: str | None = None, most_frame: int | None = None) -> None:
        self._inner, self._stall, self._rates, self._seed = inner, stall, rates, seed
        self.injected = dict.fromkeys(KINDS, 0)
        self.most_frame: int | None = getattr(inner, "most_frame", None) if most_frame is None else most_frame
        self.nonce: int = getattr(inner, "nonce", None) or secrets.randbits(64)
        self._out = Injector(2 * seed, rates if only != "in" else {}, self.injected)
        self._in = Injector(2 * seed + 1, rates if only != "out" else {}, self.injected)
        self._to_send: deque[tuple[float, bytes]] = deque()
        self._to_give: deque[tuple[float, bytes]] = deque()

    @property
    def bytes_a_second(self) -> float | None:
        """Of the transport inside."""
        return self._inner.bytes_a_second

    def write(self, data: bytes) -> None:
        """As ByteTransport, with faults."""
        self._put(self._to_send, self._out.pieces(data))
        self._send_due()

    def _put(self, queue: deque[tuple[float, bytes]], pieces: list[tuple[bytes, str]]) -> None:
        """Queue pieces, each with the time from which it may go on."""
        since = queue[-1][0] if queue else 0.0
        for piece, fault in pieces:
            if piece:
                queue.append((since, piece))
            if fault == "stall":
                since = max(since, time.monotonic()) + self._stall
            elif fault == "reset":
                self._send_due()
                self._inner.reset_device()

    def _send_due(self) -> None:
        """Send what need not wait any more."""
        now = time.monotonic()
        while self._to_send and self._to_send[0][0] <= now:
            self._inner.write(self._to_send.popleft()[1])

    def read_some(self, timeout: float) -> bytes:
        """As ByteTransport, with faults."""
        end = time.monotonic() + timeout
        while True:
            self._send_due()
            now = time.monotonic()
            due = b""
            while self._to_give and self._to_give[0][0] <= now:
                due += self._to_give.popleft()[1]
            if due or now > end:
                return due
            waits = [queue[0][0] - now for queue in (self._to_send, self._to_give) if queue]
            data = self._inner.read_some(max(0.0, min([end - now, *waits])))
            if data:
                self._put(self._to_give, self._in.pieces(data))
            elif timeout <= 0:
                return b""

    def reset_device(self) -> bool:
        """As ByteTransport."""
        return self._inner.reset_device()

    def close(self) -> None:
        """Close the transport inside."""
        self._inner.close()

    def describe(self) -> str:
        """The line inside, and its faults."""
        rates = ", ".join(f"{kind} {rate:g}" for kind, rate in self._rates.items())
        return f"{self._inner.describe()} with faults (seed {self._seed}: {rates or 'none'})"
