"""A small client of the wire protocol, written for the tests of the firmware from docs/wire.md alone."""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HELLO, LOAD_BEGIN, LOAD_DATA, LOAD_END, RESET_STATE, STEP, FETCH, READ_STATE, WRITE_STATE, STATUS, LOG, ECHO, SINK, \
    SOURCE, BENCH, REBOOT, EXIT, HANG, VERIFY_IMAGE, FEED = range(1, 21)
E_SEQ, E_OP, E_LEN, E_RANGE, E_STATE, E_ORDER, E_NOMEM, E_UNSUPPORTED = 0x10, *range(0x21, 0x28)
E_VER, E_CRC_IMAGE, E_IMAGE, E_FAULT, E_SESSION = 0x20, 0x40, 0x41, 0x42, 0x44
NEVER = 0xFFFFFFFF
STUBS = Path(__file__).resolve().parents[2] / "firmware_stubs"
COUNTS = ("frames", "bad_cobs", "bad_crc", "too_long", "too_short", "wrong_session", "repeated", "gaps", "overrun",
          "executed", "steps", "naks", "logs_dropped", "boots", "watchdog_resets", "uptime")


NEEDS = [
    pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))),
                       reason="no C compiler: apt install gcc libc6-dev"),
    pytest.mark.skipif(sys.platform == "win32", reason="the host firmware needs POSIX"),
]
"""Marks of a module whose tests build the firmware for this computer."""


def encode(data: bytes) -> bytes:
    """COBS."""
    out = []
    for run in data.split(b"\0"):
        full = len(run) // 254
        out += [b"\xff" + run[254 * i:254 * i + 254] for i in range(full)]
        out.append(bytes([len(run) - 254 * full + 1]) + run[254 * full:])
    if len(run) % 254 == 0 and run:
        out.pop()  # a full block at the end needs no other behind it
    return b"".join(out)


def decode(data: bytes) -> bytes:
    """COBS."""
    out, at, code = [], 0, 255
    while at < len(data):
        code = data[at]
        out.append(data[at + 1:at + code] + (b"\0" if code < 255 else b""))
        at += code
    return b"".join(out)[:-1 if code < 255 else None]


def framed(inside: bytes, flip: int = 0) -> bytes:
    return b"\0" + encode(inside + struct.pack("<I", zlib.crc32(inside) ^ flip)) + b"\0"


class Reply(NamedTuple):
    op: int
    seq: int
    session: int
    status: int
    body: bytes

    def words(self, n: int = 1) -> Any:
        """The first u32 of the body, or a tuple of n."""
        found = struct.unpack_from(f"<{n}I", self.body)
        return found if n > 1 else found[0]


class Client:
    """Talks to a firmware process by pipes, or with ``port`` by TCP."""

    def __init__(self, command: list[str], *, port: int | None = None) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self._socket = socket.create_connection(("127.0.0.1", port), 5) if port else None
        if self._socket is None:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._rest = b""
        self.session = self.seq = 0

    def _files(self) -> tuple[int, int]:
        if self._socket:
            return self._socket.fileno(), self._socket.fileno()
        assert self.child and self.child.stdin and self.child.stdout
        return self.child.stdout.fileno(), self.child.stdin.fileno()

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._files()[1], data):]

    def receive(self, timeout: float = 5.0) -> Reply | None:
        """The next frame; None if there is none in time, or the line ends."""
        end = time.monotonic() + timeout
        while True:
            frame, zero, rest = self._rest.partition(b"\0")
            if zero:
                self._rest = rest
                if frame:
                    return self._reply(decode(frame))
                continue
            reader = self._files()[0]
            if not select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            got = os.read(reader, 1 << 20)
            if not got:
                return None
            self._rest += got

    @staticmethod
    def _reply(body: bytes) -> Reply:
        assert zlib.crc32(body[:-4]) == struct.unpack("<I", body[-4:])[0]
        version, op, seq, session, status = struct.unpack_from("<BBHIB", body)
        assert version == 1 and op & 128
        return Reply(op & 127, seq, session, status, body[9:-4])

    def frame(self, op: int, payload: bytes = b"", *, seq: int | None = None, session: int | None = None,
              version: int = 1, flip: int = 0) -> bytes:
        number = self.seq if seq is None else seq
        return framed(struct.pack("<BBHI", version, op, number, self.session if session is None else session) + payload,
                      flip)

    def send(self, op: int, payload: bytes = b"") -> None:
        """The next request, without waiting."""
        self.write(self.frame(op, payload))
        self.seq = (self.seq + 1) % 65536

    def call(self, op: int, payload: bytes = b"", timeout: float = 5.0) -> Reply:
        self.send(op, payload)
        found = self.receive(timeout)
        assert found is not None and found.op == op and found.seq == (self.seq - 1) % 65536, found
        return found

    def ask(self, op: int, payload: bytes = b"") -> Reply:
        """A call that has to go well."""
        found = self.call(op, payload)
        assert found.status == 0, found
        return found

    def hello(self, nonce: int = 1, seq: int = 77) -> dict[str, Any]:
        self.write(self.frame(HELLO, struct.pack("<QBB", nonce, 1, 1), seq=seq, session=12345))
        reply = self.receive()
        while reply is not None and reply.op == 0:  # NAK of what a cable has cut off
            reply = self.receive()
        assert reply is not None and reply.op == HELLO and reply.seq == seq and reply.session == 12345, reply
        found = read_hello(reply.body)
        assert found["nonce"] == nonce
        if found["session"] != self.session:
            self.session, self.seq = found["session"], 0
        return found

    def status(self) -> dict[str, int]:
        reply = self.ask(STATUS)
        assert reply.body[0] == len(COUNTS)
        return dict(zip(COUNTS, struct.unpack_from(f"<{len(COUNTS)}I", reply.body, 1), strict=True))

    def load(self, data: bytes, pieces: int = 1000) -> Reply:
        """Uploads what is wanted; the reply to LOAD_END."""
        at = self.ask(LOAD_BEGIN, announced(data)).words()
        while at < len(data):
            at = self.ask(LOAD_DATA, struct.pack("<I", at) + data[at:at + pieces]).words()
        return self.call(LOAD_END)

    def hang_up(self) -> None:
        """Close the line."""
        if self._socket:
            self._socket.close()
        if self.child and self.child.stdin and self.child.stdout:
            self.child.stdin.close()

    def close(self) -> None:
        self.hang_up()
        if self.child:
            try:
                self.child.wait(3)
            finally:
                self.child.kill()
                self.child.wait()
                if self.child.stdout:
                    self.child.stdout.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_hello(body: bytes) -> dict[str, Any]:
    names = ("nonce", "version", "flags", "mtu", "window", "session", "credit", "arena", "hz", "counter", "reset",
             "last_op", "zero", "boots", "next", "digest", "image_crc", "image_id")
    layout = "<QBBHHIIIIBBBBIIII32s"
    found: dict[str, Any] = dict(zip(names, struct.unpack_from(layout, body), strict=True))
    at, tlvs = struct.calcsize(layout), {}
    while at < len(body):
        tlvs[body[at]] = body[at + 2:at + 2 + body[at + 1]]
        at += 2 + body[at + 1]
    assert at == len(body)
    return {**found, "tlvs": tlvs}


def image(n_in: int = 256, n_out: int = 128, value_in: int = 0, value_out: int = 0, *, fails: int = NEVER,
          hangs: int = NEVER, kind: int = 255, pad: int = 0) -> bytes:
    """An image of the test runner, with ``pad`` more bytes in a second section."""
    n, at = 88 + pad + -pad % 8, 88 if pad else 0
    head = struct.pack("<IHBBIIIIBBHI32s", 0x4D495748, 1, kind, 0, n, 2, n_in, n_out, value_in, value_out, 0, 0,
                       bytes(32))
    more = bytes(i * i % 251 for i in range(pad)) + bytes(-pad % 8)
    return head + struct.pack("<IIIIII", 80, 8, at, pad, fails, hangs) + more


def announced(data: bytes) -> bytes:
    """What LOAD_BEGIN says of an image."""
    return struct.pack("<II", len(data), zlib.crc32(data)) + hashlib.sha256(data).digest()


def u16_list(*indices: int) -> bytes:
    """An event list of less than 128 ones."""
    return bytes([0, len(indices)]) + struct.pack(f"<{len(indices)}H", *indices)


def steps(t0: int, *lists: bytes, flags: int = 0) -> bytes:
    return struct.pack("<IHB", t0, len(lists), flags) + b"".join(lists)


def read_indices(data: bytes, elements: int) -> tuple[list[int], int]:
    """Indices of an event list of less than 128 ones, and its bytes."""
    tag, n = data[0], data[1]
    assert n < 128
    if tag == 0:
        return list(struct.unpack_from(f"<{n}H", data, 2)), 2 + 2 * n
    if tag == 1:
        gaps = data[2:2 + n]
        assert max(gaps) < 128
        return [sum(gaps[:i + 1]) + i for i in range(n)], 2 + n
    assert tag == 2
    bits = int.from_bytes(data[2:2 + (elements + 7) // 8], "little")
    return [i for i in range(elements) if bits >> i & 1], 2 + (elements + 7) // 8


def results(data: bytes, elements: int = 128) -> list[list[int]]:
    """The steps of a result without values."""
    found, at = [], 0
    while at < len(data):
        indices, n = read_indices(data[at + 4:], elements)
        found.append(indices)
        at += 4 + n
    return found


def digest_of(lists: list[list[int]], before: int = 0, first: int = 0) -> int:
    """Of steps that send ones."""
    for step, indices in enumerate(lists, first):
        before = zlib.crc32(struct.pack(f"<II{len(indices)}I", step, len(indices), *indices), before)
    return before
