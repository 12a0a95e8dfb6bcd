"""The device side of docs/wire.md in plain Python, as a transport without a line: what is written is answered when it
is read. Its program: element i of the populations sends what comes in at input i; its state counts the events.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import make_wire_vectors as plain
from cobs import cobs

from hwsdk.errors import LinkError

KINDS = {0: 0, 1: 4, 2: 4, 3: 8}


class Refused(Exception):
    """(status, value, limit)"""


def read_list(raw: bytes, elements: int, kind: int) -> tuple[list[int], list[Any], int]:
    """(indices, values, bytes) of one list; a plain twin of the kernel that asserts instead of naming what is wrong."""
    tag, typed = raw[0] & 15, raw[0] >> 4
    assert tag < 3 and typed in (0, kind)

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = raw[at]
            value |= (byte & 127) << shift
            assert value < 1 << 32 and shift < 35 and (byte or not shift)
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at

    n, at = varint(1)
    assert n <= elements
    indices: list[int] = []
    if tag == 0:
        indices, at = list(struct.unpack_from(f"<{n}H", raw, at)), at + 2 * n
    elif tag == 1:
        last = -1
        for _ in range(n):
            gap, at = varint(at)
            last += gap + 1
            indices.append(last)
    else:
        size = (elements + 7) // 8
        assert at + size <= len(raw)
        bits, at = int.from_bytes(raw[at:at + size], "little"), at + size
        indices = [i for i in range(8 * size) if bits >> i & 1]
    assert len(indices) == n and indices == sorted(set(indices)) and all(i < elements for i in indices)
    values: list[Any] = [1] * n
    if typed:
        form = f"<{n}{' ifd'[kind]}"
        values, at = list(struct.unpack_from(form, raw, at)), at + struct.calcsize(form)
    assert all(values)
    return indices, values, at


class FakeDevice:
    """mtu, window, credit: announced, and asserted. damage(frame, direction) -> frames that arrive instead, for faults.
    executed: the number of every step that ran. lie: applied to the digest that is told.
    """

    bytes_a_second: float | None = None

    def __init__(self, mtu: int = 512, window: int = 4, credit: int = 1 << 20, results: int = 4000, feed: int = 4000,
                 boots: int = 1) -> None:
        self.mtu, self.window, self.credit = mtu, window, credit
        self.results, self.feed_bytes, self.boots = results, feed, boots
        self.damage: Callable[[bytes, str], list[bytes]] = lambda frame, _: [frame]
        self.lie: Callable[[int], int] = lambda digest: digest
        self.session, self.opened_by, self.wanted, self.most_seen, self.sessions = 0, b"", 0, 0, 0
        self.kept: dict[int, bytes] = {}
        self.memory, self.size, self.crc, self.id = b"", 0, 0, bytes(32)
        self.loaded = self.closed = self.dumb = False
        self.executed: list[int] = []
        self.performed: list[int] = []
        self.next = self.digest = 0
        self.result, self.fed, self.counts = b"", b"", [0] * 16
        self.waiting: deque[bytes] = deque()
        self.pending = b""

    # the transport
    def write(self, data: bytes) -> None:
        if self.closed:
            raise LinkError("closed", code="GONE")
        self.pending += data
        *whole, self.pending = self.pending.split(b"\0")
        self.waiting.extend(frame for frame in whole if frame)

    def read_some(self, timeout: float) -> bytes:
        if self.closed:
            raise LinkError("closed", code="GONE")
        self.most_seen = max(self.most_seen, len(set(self.waiting)))
        assert sum(len(f) + 2 for f in set(self.waiting)) <= self.credit
        out = b""
        while self.waiting:
            for arrived in self.damage(self.waiting.popleft(), "out"):
                for reply in self.take(arrived):
                    out += b"".join(b"\0" + f + b"\0" for f in self.damage(reply, "in"))
        return out

    def close(self) -> None:
        self.closed = True

    def reset_device(self) -> bool:
        self.boots += 1
        self.session, self.loaded, self.next, self.digest = 0, False, 0, 0
        return True

    def describe(self) -> str:
        return "fake"

    # the device
    def reply(self, op: int, seq: int, session: int, body: bytes) -> bytes:
        inside = plain.body(op | 128, seq, session, body)
        assert len(inside) + 4 <= self.mtu
        return cobs.encode(inside + struct.pack("<I", zlib.crc32(inside)))

    def nak(self) -> list[bytes]:
        return [self.reply(0, self.wanted, self.session, struct.pack("<BH", 0x10, self.wanted))] if self.session else []

    def take(self, raw: bytes) -> list[bytes]:
        if self.dumb:
            return []
        try:
            inside = cobs.decode(raw)
        except cobs.DecodeError:
            return self.nak()
        if not 12 <= len(inside) <= self.mtu or zlib.crc32(inside[:-4]) != int.from_bytes(inside[-4:], "little"):
            return self.nak()
        _, op, seq, session = struct.unpack_from("<BBHI", inside)
        body = inside[8:-4]
        if op == 1:
            if body[:8] != self.opened_by or not self.session:
                self.opened_by, self.wanted, self.kept = body[:8], 0, {}
                self.sessions += 2
                self.session = (zlib.crc32(body[:8]) + self.sessions) & 0xFFFFFFFF | 1
            return [self.reply(1, seq, session, self.hello())]
        if session != self.session:
            return [self.reply(op, seq, session, struct.pack("<BII", 0x44, self.boots, 2) + b"no session")]
        behind = (self.wanted - seq) & 0xFFFF
        if 0 < behind <= self.window and seq in self.kept:
            return [self.kept[seq]]
        if behind:
            return [self.reply(op, seq, session, struct.pack("<BH", 0x10, self.wanted))]
        try:
            answer = b"\0" + self.perform(op, body)
        except Refused as error:
            answer = struct.pack("<BII", *error.args) + b"no"
        self.kept[seq] = self.reply(op, seq, session, answer)
        self.kept.pop((seq - self.window) & 0xFFFF, None)
        self.wanted = (seq + 1) & 0xFFFF
        return [self.kept[seq]]

    def hello(self) -> bytes:
        flags = 1 if self.loaded else 2 if self.memory else 0
        return b"\0" + self.opened_by + struct.pack(
            "<BBHHIIIIBBBBIIII32s", 1, flags, self.mtu, self.window, self.session, self.credit, 1 << 20, 0, 0, 0, 0, 0,
            self.boots, self.next, self.digest, self.crc, self.id) + b"\1\4fake\x63\2??"

    def perform(self, op: int, body: bytes) -> bytes:
        self.performed.append(op)
        name = {2: "begin", 3: "data", 4: "end", 5: "reset", 6: "step", 7: "fetch", 8: "read", 9: "put", 10: "status",
                12: "echo", 13: "sink", 14: "source", 19: "verify", 20: "feed"}.get(op)
        if name is None:
            raise Refused(0x21, op, 20)
        return bytes(getattr(self, f"do_{name}")(body))

    def do_begin(self, body: bytes) -> bytes:
        size, crc, name = struct.unpack("<II32s", body)
        if (size, crc, name) != (self.size, self.crc, self.id):
            self.size, self.crc, self.id, self.memory, self.loaded = size, crc, name, b"", False
        return struct.pack("<I", len(self.memory))

    def do_data(self, body: bytes) -> bytes:
        if int.from_bytes(body[:4], "little") != len(self.memory):
            raise Refused(0x25, len(self.memory), self.size)
        self.memory += body[4:]
        return struct.pack("<I", len(self.memory))

    def do_end(self, _: bytes) -> bytes:
        if zlib.crc32(self.memory) != self.crc:
            raise Refused(0x40, 0, 0)
        self.n_in, self.n_out, self.kind_in, self.kind_out = struct.unpack_from("<IIBB", self.memory, 16)
        self.loaded = True
        self.do_reset(b"")
        width = KINDS[self.kind_out]
        self.most = 4 + 1 + 3 + min(2 * self.n_out, (self.n_out + 7) // 8) + width * self.n_out
        return struct.pack("<IIII", 8 + 64, self.most, self.results, self.feed_bytes)

    def do_reset(self, _: bytes) -> bytes:
        self.next, self.digest, self.counts, self.result = 0, 0, [0] * 16, b""
        return bytes(4)

    def lists(self, raw: bytes, k: int) -> Iterator[tuple[list[int], list[Any]]]:
        for _ in range(k):
            try:
                indices, values, used = read_list(raw, self.n_in, self.kind_in)
            except (AssertionError, IndexError, struct.error) as error:
                raise Refused(0x23, 0, 0) from error
            raw = raw[used:]
            yield indices, values
        if raw:
            raise Refused(0x22, len(raw), 0)

    def do_step(self, body: bytes) -> bytes:
        t0, k, flags = struct.unpack_from("<IHB", body)
        raw = body[7:]
        if not self.loaded:
            raise Refused(0x24, 0, 0)
        if t0 != self.next:
            raise Refused(0x25, self.next, t0)
        if k * self.most > self.results:
            raise Refused(0x26, k * self.most, self.results)
        if flags & 1:
            assert struct.unpack("<II", raw) == (len(self.fed), zlib.crc32(self.fed))
            raw = self.fed
        self.result = b""
        for indices, values in list(self.lists(raw, k)):
            self.one(indices, values)
        told = struct.pack("<III", self.next, self.lie(self.digest), len(self.result)) + self.result
        return told[:self.mtu - 13]

    def one(self, indices: list[int], values: list[Any]) -> None:
        sent = [(i, v) for i, v in zip(indices, values, strict=True) if i < self.n_out]
        index, value = [i for i, _ in sent], [v for _, v in sent]
        for i in index:
            self.counts[i % 16] += 1
        self.result += struct.pack("<I", 7) + plain.event_list(self.n_out, self.kind_out, index, value)
        data = struct.pack(f"<II{len(index)}I", self.next, len(index), *index)
        data += plain.value_bytes(self.kind_out, value) if self.kind_out else b""
        self.digest = zlib.crc32(data, self.digest)
        self.executed.append(self.next)
        self.next += 1

    def do_fetch(self, body: bytes) -> bytes:
        step, at = struct.unpack("<II", body)
        if step != self.next:
            raise Refused(0x25, self.next, step)
        return self.result[at:at + self.mtu - 13]

    def state(self) -> bytes:
        return struct.pack("<18I", self.next, self.digest, *self.counts)

    def do_read(self, body: bytes) -> bytes:
        at, n = struct.unpack("<IH", body)
        state = self.state()
        return struct.pack("<II", len(state), zlib.crc32(state)) + state[at:at + min(n, 20)]

    def do_put(self, body: bytes) -> bytes:
        at, total, crc = struct.unpack_from("<III", body)
        self.fed = (self.fed[:at] if at else b"") + body[12:]
        if len(self.fed) == total:
            if zlib.crc32(self.fed) != crc:
                raise Refused(0x23, 0, 0)
            self.next, self.digest, *self.counts = struct.unpack("<18I", self.fed)
        return struct.pack("<I", len(self.fed))

    def do_status(self, _: bytes) -> bytes:
        return bytes([16]) + struct.pack("<16I", *range(16))

    def do_echo(self, body: bytes) -> bytes:
        return body

    def do_sink(self, body: bytes) -> bytes:
        return struct.pack("<I", len(body))

    def do_source(self, body: bytes) -> bytes:
        return bytes(i % 251 for i in range(int.from_bytes(body, "little")))

    def do_verify(self, _: bytes) -> bytes:
        return struct.pack("<I", zlib.crc32(self.memory))

    def do_feed(self, body: bytes) -> bytes:
        at = int.from_bytes(body[:4], "little")
        if at and at != len(self.fed):
            raise Refused(0x25, len(self.fed), 0)
        self.fed = (self.fed if at else b"") + body[4:]
        return struct.pack("<I", len(self.fed))


def lossy(seed: int, rate: float) -> Callable[[bytes, str], list[bytes]]:
    """Frames that get lost, come twice, come damaged or come late."""
    dice = random.Random(seed)
    late: dict[str, list[bytes]] = {"in": [], "out": []}

    def damage(frame: bytes, way: str) -> list[bytes]:
        come, late[way] = [*late[way], frame], []
        if dice.random() > rate:
            return come
        what = dice.randrange(4)
        if what == 0:
            return come[:-1]
        if what == 1:
            return [*come, frame]
        if what == 2:
            at = dice.randrange(len(frame))
            return [*come[:-1], bytes([*frame[:at], (frame[at] ^ 1 << dice.randrange(8)) or 1, *frame[at + 1:]])]
        late[way] = come
        return []

    return damage
