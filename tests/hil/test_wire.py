"""Frames, replies and the splitter, against the vectors that the C side has too."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsdk.errors import LinkError, RemoteError
from hwsdk.hil import wire

ROWS = [line.split() for line in Path(__file__).with_name("wire_vectors.txt").read_text("ascii").splitlines()
        if line and line[0] != "#"]


def rows(kind: str) -> list[list[str]]:
    return [row[1:] for row in ROWS if row[0] == kind]


def raw(text: str) -> bytes:
    return b"" if text == "-" else bytes.fromhex(text)


@pytest.mark.parametrize(("name", "data", "crc"), rows("crc"))
def test_crc(name: str, data: str, crc: str) -> None:
    assert zlib.crc32(raw(data)) == int(crc, 16)


@pytest.mark.parametrize(("name", "op", "seq", "session", "payload", "line"), rows("frame"))
def test_frames(name: str, op: str, seq: str, session: str, payload: str, line: str) -> None:
    assert wire.encode(int(op), int(seq), int(session), raw(payload)).hex() == line
    (piece,) = wire.Splitter().feed(raw(line))
    assert wire.decode(piece) == (1, int(op), int(seq), int(session), raw(payload))


@pytest.mark.parametrize(("name", "why", "line"), rows("bad"))
def test_damaged_frames(name: str, why: str, line: str) -> None:
    splitter = wire.Splitter(2048 + 10)
    (piece,) = splitter.feed(raw(line)) or (b"",)
    if why == "long":
        assert len(wire.decode(piece).payload) + wire.OVERHEAD > 2048  # the host takes it: only a device has an mtu
        return
    with pytest.raises(LinkError) as error:
        wire.decode(piece)
    assert error.value.code == {"cobs": "BAD_COBS", "crc": "BAD_CRC", "short": "TOO_SHORT"}[why]


def payload(name: str) -> bytes:
    return raw(next(row[4] for row in rows("frame") if row[0] == name))


def test_hello_and_status_in_words() -> None:
    hello = wire.parse_hello(payload("hello_reply")[1:])
    assert (hello.nonce, hello.mtu, hello.window, hello.session, hello.credit) == (
        0x1122334455667788, 2048, 4, 0xA1B2C3D4, 8192)
    assert (hello.counter, hello.reset_reason, hello.last_op, hello.boots, hello.next_step) == (
        "instructions", "watchdog", 6, 3, 17)
    assert (hello.name, hello.chip, hello.kinds, hello.watchdog_ms, hello.ops) == (
        "host", "a process", ((1, 1), (4, 1)), 2000, 0x1BFFFE)
    assert "boot 3, last reset: watchdog during STEP, next step 17, a program is loaded" in hello.in_words()
    assert wire.hello_request(0x1122334455667788) == payload("hello")
    assert wire.parse_status(payload("status_reply")[1:])["watchdog_resets"] == 114
    assert wire.parse_log(payload("log")) == "warning: the watchdog has reset the device"


def test_a_refusal_names_op_value_limit_and_remedy() -> None:
    body = payload("load_data_order")
    with pytest.raises(RemoteError,
                       match=r"refuses LOAD_DATA: E_ORDER, in order \(value 58560, limit 132128\)") as error:
        wire.refuse(wire.Op.LOAD_DATA, body[0], body[1:], where="here")
    assert (error.value.op, error.value.status, error.value.value, error.value.limit) == ("LOAD_DATA", 0x25, 58560,
                                                                                          132128)
    assert "fix: ask for the step" in str(error.value)
    with pytest.raises(RemoteError, match="status 0x77"):
        wire.refuse(99, 0x77, b"")


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parsers(data: bytes) -> None:
    for parse in (wire.decode, wire.parse_hello, wire.parse_status):
        try:
            parse(data)
        except LinkError as error:
            assert error.code in ("BAD_COBS", "BAD_CRC", "TOO_SHORT", "BAD_REPLY")
    wire.parse_log(data)
    wire.parse_refusal(data)


@given(st.integers(0, 60), st.binary(max_size=8))
def test_a_damaged_hello_is_a_link_error(cut: int, more: bytes) -> None:
    body = payload("hello_reply")[1:]
    try:
        wire.parse_hello(body[:len(body) - cut] + more)
    except LinkError as error:
        assert error.code == "BAD_REPLY"


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 9)))
def test_the_splitter_does_not_mind_how_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(wire.encode(1, 0, 0, body) for body in bodies)
    splitter, found, at = wire.Splitter(), [], 0
    for n in [*cuts, len(stream)]:
        found += splitter.feed(stream[at:at + n])
        at += n
    assert [wire.decode(piece).payload for piece in found] == bodies


def test_the_splitter_drops_what_has_no_end() -> None:
    splitter = wire.Splitter(most=100)
    for _ in range(50):
        assert splitter.feed(b"x" * 50) == []
    assert sum(map(len, splitter._rest)) <= 150
    assert splitter.feed(b"\0" + wire.encode(1, 2, 3)) != []
    assert splitter.too_long == 1


def test_numbers_stay_inside() -> None:
    assert wire.numbers("<I", struct.pack("<I", 7), 0, "x") == (7,)
    for at in (-1, 1, 4):
        with pytest.raises(LinkError, match="BAD_REPLY"):
            wire.numbers("<I", bytes(4), at, "x")
