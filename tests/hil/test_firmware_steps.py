"""The firmware's core, as a process: steps, their results, and the state."""

from __future__ import annotations

import struct
import zlib

import firmware_client as fw
import pytest
from firmware_client import NEEDS, Client, digest_of, image, results, steps, u16_list

pytestmark = NEEDS


def test_steps_give_spikes_and_a_digest(loaded: Client) -> None:
    sent = [[1, 5], [], [127, 200], [0]]  # the test runner has 128 elements that send
    spikes = [[1, 5], [], [127], [0]]
    reply = loaded.ask(fw.STEP, steps(0, *(u16_list(*s) for s in sent)))
    after, digest, n = reply.words(3)
    assert (after, digest, n) == (4, digest_of(spikes), len(reply.body) - 12)
    assert results(reply.body[12:]) == spikes
    found = loaded.hello(9)  # another session goes on where this one was
    assert (found["next"], found["digest"]) == (4, digest)
    wrong = loaded.call(fw.STEP, steps(3, b"\0\0"))
    assert wrong.status == fw.E_ORDER and wrong.words() == 4
    more = loaded.ask(fw.STEP, steps(4, u16_list(2)))
    assert more.words(2) == (5, digest_of([[2]], digest, 4))
    assert loaded.ask(fw.RESET_STATE).words() == 0 and loaded.hello(9)["digest"] == 0


@pytest.mark.parametrize(("payload", "status"), [
    (steps(0, u16_list(1), u16_list(256)), fw.E_RANGE), (steps(0, u16_list(1), u16_list(2, 2)), fw.E_RANGE),
    (steps(0, u16_list(1), b"\0\2\0"), fw.E_LEN), (steps(0, u16_list(1)) + b"x", fw.E_LEN), (steps(0), fw.E_RANGE),
    (steps(0, u16_list(1), flags=4), fw.E_RANGE), (struct.pack("<IHB", 0, 9, 0) + u16_list(1), fw.E_LEN),
    (struct.pack("<IHBII", 0, 1, 1, 4, 0), fw.E_ORDER), (struct.pack("<IHB", 0, 1, 1), fw.E_LEN)])
def test_a_request_that_is_wrong_somewhere_does_nothing(loaded: Client, payload: bytes, status: int) -> None:
    before = loaded.ask(fw.READ_STATE, struct.pack("<IH", 0, 2000)).body
    assert loaded.call(fw.STEP, payload).status == status
    assert loaded.ask(fw.READ_STATE, struct.pack("<IH", 0, 2000)).body == before
    assert loaded.hello()["next"] == 0 and loaded.status()["steps"] == 0


@pytest.mark.parametrize(("kind", "form"), [(1, "i"), (2, "f"), (3, "d")])
def test_values_go_both_ways(device: Client, kind: int, form: str) -> None:
    assert device.load(image(8, 8, 1, kind)).status == 0
    ones, valued = bytes([0, 2]) + struct.pack("<2H", 1, 3), bytes([0x10, 2]) + struct.pack("<2H2i", 1, 3, -4, 1)
    bitmap = bytes([2 | kind << 4, 2, 0b1010])  # a byte is less than two u16
    reply = device.ask(fw.STEP, steps(0, ones, valued, ones))
    expected = [bytes([2, 2, 0b1010]), *(bitmap + struct.pack(f"<2{form}", *pair) for pair in ((-3, 2), (-2, 3)))]
    got = reply.body[12:]
    for one in expected:
        assert got[4:4 + len(one)] == one
        got = got[4 + len(one):]
    assert got == b""
    values = [(1, 1), (-3, 2), (-2, 3)]
    digest = 0
    for t, pair in enumerate(values):
        digest = zlib.crc32(struct.pack(f"<4I2{form}", t, 2, 1, 3, *pair), digest)
    assert reply.words(2)[1] == digest
    assert device.call(fw.STEP, steps(3, bytes([0x20, 1, 0, 0, 0, 0, 0, 64]))).status == fw.E_RANGE


def test_results_longer_than_a_frame_are_fetched(loaded: Client) -> None:
    k, spikes = 6000, [*range(0, 30, 3)]
    data = u16_list(*spikes) * k
    for at in range(0, len(data), 50000):
        assert loaded.ask(fw.FEED, struct.pack("<I", at) + data[at:at + 50000]).words() == min(at + 50000, len(data))
    assert loaded.call(fw.FEED, struct.pack("<I", 7) + b"x").status == fw.E_ORDER
    wrong = loaded.call(fw.STEP, struct.pack("<IHBII", 0, k, 1, len(data), zlib.crc32(data) ^ 1))
    assert wrong.status == fw.E_RANGE
    reply = loaded.ask(fw.STEP, struct.pack("<IHBII", 0, k, 1, len(data), zlib.crc32(data)))
    after, digest, n = reply.words(3)
    got = reply.body[12:]
    assert len(reply.body) == 60000 - 13 and after == k
    while len(got) < n:
        got += loaded.ask(fw.FETCH, struct.pack("<II", k, len(got))).body
    assert results(got) == [spikes] * k and digest == digest_of([spikes] * k)
    assert loaded.ask(fw.FETCH, struct.pack("<II", k, n)).body == b""
    assert loaded.call(fw.FETCH, struct.pack("<II", k, n + 1)).status == fw.E_RANGE
    assert loaded.call(fw.FETCH, struct.pack("<II", 1, 0)).status == fw.E_ORDER
    loaded.ask(fw.RESET_STATE)
    assert loaded.call(fw.FETCH, struct.pack("<II", 0, 0)).status == fw.E_STATE


def test_a_step_that_fails_leaves_no_state_to_go_on_from(device: Client) -> None:
    assert device.load(image(fails=2)).status == 0
    device.send(fw.STEP, steps(0, *[u16_list(1)] * 4))
    log, wrong = device.receive(), device.receive()
    assert log is not None and (log.op, log.body[:1]) == (fw.LOG, b"\3") and b"fails at this step" in log.body
    assert wrong is not None and wrong.status == fw.E_FAULT and wrong.words() == 2
    assert device.call(fw.STEP, steps(2, b"\0\0")).status == fw.E_STATE
    assert device.call(fw.READ_STATE, struct.pack("<IH", 0, 10)).status == fw.E_STATE
    device.ask(fw.RESET_STATE)
    assert device.ask(fw.STEP, steps(0, b"\0\0")).words() == 1


def test_bench_returns_to_the_initial_state(loaded: Client) -> None:
    loaded.ask(fw.STEP, steps(0, u16_list(1)))
    k, low, high = loaded.ask(fw.BENCH, struct.pack("<I", 1000)).words(3)
    assert k == 1000 and low + (high << 32) > 0 and loaded.hello()["next"] == 0
    state = loaded.ask(fw.READ_STATE, struct.pack("<IH", 0, 2000)).body[8:]
    assert state == bytes(8 + 4 * 128)
    assert loaded.call(fw.BENCH, struct.pack("<I", 1000001)).status == fw.E_RANGE


def read_state(device: Client, piece: int = 100) -> bytes:
    got, total, crc = b"", 1, 0
    while len(got) < total:
        body = device.ask(fw.READ_STATE, struct.pack("<IH", len(got), piece)).body
        total, crc = struct.unpack_from("<II", body)
        got += body[8:]
    assert zlib.crc32(got) == crc
    return got


def write_state(device: Client, data: bytes, crc: int, piece: int = 100) -> fw.Reply:
    for at in range(0, len(data), piece):
        found = device.call(fw.WRITE_STATE, struct.pack("<III", at, len(data), crc) + data[at:at + piece])
        if found.status:
            break
    return found


def test_a_state_goes_out_and_in_again(loaded: Client) -> None:
    loaded.ask(fw.STEP, steps(0, u16_list(1, 2), u16_list(2)))
    state = read_state(loaded)
    assert struct.unpack_from("<5I", state) == (2, digest_of([[1, 2], [2]]), 0, 1, 2)
    loaded.ask(fw.STEP, steps(2, u16_list(7)))
    assert write_state(loaded, state, zlib.crc32(state)).words() == len(state)
    assert read_state(loaded, 1000) == state and loaded.ask(fw.STEP, steps(2, u16_list(7))).words() == 3


def test_a_state_is_in_force_only_when_it_is_whole_and_right(loaded: Client) -> None:
    loaded.ask(fw.STEP, steps(0, u16_list(1)))
    state = read_state(loaded)
    part = struct.pack("<III", 0, len(state), zlib.crc32(state)) + state[:50]
    assert loaded.ask(fw.WRITE_STATE, part).words() == 50
    for op, payload in ((fw.STEP, steps(1, b"\0\0")), (fw.READ_STATE, struct.pack("<IH", 0, 10))):
        assert loaded.call(op, payload).status == fw.E_STATE
    skipped = loaded.call(fw.WRITE_STATE, struct.pack("<III", 60, len(state), zlib.crc32(state)) + state[60:])
    assert skipped.status == fw.E_ORDER and skipped.words() == 50
    assert loaded.call(fw.WRITE_STATE, struct.pack("<III", 0, 5, 0)).status == fw.E_LEN
    assert write_state(loaded, state, zlib.crc32(state) ^ 1).status == fw.E_RANGE
    assert read_state(loaded) == bytes(len(state))
    bad = state[:-4] + b"\xff" * 4  # the test runner has no such sum
    assert write_state(loaded, bad, zlib.crc32(bad)).status == fw.E_RANGE
    assert read_state(loaded) == bytes(len(state))
