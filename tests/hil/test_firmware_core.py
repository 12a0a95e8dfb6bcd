"""The firmware's core, as a process: coders against the vectors, frames, sessions, order, loading, resets."""

from __future__ import annotations

import re
import struct
import subprocess
import time
import zlib
from pathlib import Path

import firmware_client as fw
import pytest
from firmware_client import NEEDS, Client, image, steps, u16_list

from hwsdk.hil import firmware

HERE = Path(__file__).resolve().parent
pytestmark = NEEDS


def wire_check(folder: Path, vectors: Path, slices: int) -> subprocess.CompletedProcess[str]:
    parts = [fw.STUBS / "common" / f"{name}.c" for name in ("crc", "cobs", "events_read", "events_write")]
    made = folder / "wire_check"
    subprocess.run([firmware.find_compiler(), "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror",
                    f"-DHW_CRC_SLICES={slices}", "-o", made, HERE / "wire_check.c", *parts], check=True)
    return subprocess.run([made, vectors], capture_output=True, text=True, check=False)


def test_coders_give_the_bytes_of_the_vectors(tmp_path: Path) -> None:
    run = wire_check(tmp_path, HERE / "wire_vectors.txt", 8)
    assert run.returncode == 0, run.stdout
    assert re.search(r"^\d{3,} checks, 0 failures$", run.stdout, re.M)


def test_a_coder_that_differs_from_a_vector_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.txt"
    right = (HERE / "wire_vectors.txt").read_text(encoding="utf-8")
    text = re.sub(r"^crc check (\S+) cbf43926$", r"crc check \1 cbf43927", right, flags=re.M)
    wrong.write_text(text, encoding="utf-8")
    run = wire_check(tmp_path, wrong, 0)
    assert run.returncode == 1 and "crc check: another CRC-32" in run.stdout and ", 1 failures" in run.stdout


def test_the_vectors_are_what_their_script_makes() -> None:
    pytest.importorskip("cobs", reason="the cobs package makes the vectors: pip install cobs")
    from make_wire_vectors import vectors

    assert vectors() == (HERE / "wire_vectors.txt").read_text(encoding="utf-8")


def test_hello_says_what_the_device_is(device: Client) -> None:
    found = device.hello()
    assert (found["version"], found["flags"], found["mtu"], found["window"]) == (1, 4, 60000, 8)
    assert found["arena"] == 64 << 20 and found["credit"] >= 8 * 60000 and found["counter"] == 1
    assert (found["boots"], found["reset"], found["last_op"], found["next"], found["digest"]) == (1, 0, 0, 0, 0)
    tlvs = found["tlvs"]
    assert tlvs[1] == b"host" and tlvs[2].decode() == firmware.build_id() and tlvs[5] == bytes([255, 0])
    assert struct.unpack("<I", tlvs[6])[0] == sum(1 << op for op in range(1, 21))
    assert struct.unpack("<I", tlvs[8])[0] == 300


def test_hello_is_idempotent_by_its_nonce(device: Client) -> None:
    device.ask(fw.ECHO, b"one")
    same = device.hello()
    assert same["session"] == device.session and device.seq == 1
    assert device.ask(fw.ECHO, b"two").body == b"two"
    old, other = device.session, device.hello(2)
    assert other["session"] not in (0, old) and device.seq == 0
    device.write(device.frame(fw.ECHO, b"old", session=old, seq=2))
    refused = device.receive()
    assert refused is not None and refused.status == fw.E_SESSION and refused.words(2) == (1, 0)


def test_a_session_is_needed(built: Path) -> None:
    with Client([str(built)]) as client:
        refused = client.call(fw.ECHO)
        assert refused.status == fw.E_SESSION and b"no such session" in refused.body
        client.write(client.frame(fw.HELLO, struct.pack("<QBB", 1, 2, 9)))
        found = client.receive()
        assert found is not None and found.status == fw.E_VER
        client.write(b"\0\1\2\3garbage\0" + client.frame(fw.ECHO, flip=1))
        assert client.receive(0.2) is None  # damaged frames are not answered before there is a session


def test_requests_are_done_once_and_in_order(loaded: Client) -> None:
    first = loaded.seq
    done = loaded.ask(fw.STEP, steps(0, u16_list(1)))
    again = []
    for _ in range(2):
        loaded.write(loaded.frame(fw.STEP, steps(0, u16_list(1)), seq=first))
        again.append(loaded.receive())
    assert again == [done, done]
    loaded.write(loaded.frame(fw.ECHO, b"early", seq=loaded.seq + 1))
    gap = loaded.receive()
    assert gap is not None and (gap.status, gap.op, gap.seq) == (fw.E_SEQ, fw.ECHO, loaded.seq + 1)
    assert struct.unpack("<H", gap.body)[0] == loaded.seq
    counts = loaded.status()
    assert (counts["repeated"], counts["gaps"], counts["steps"], counts["naks"]) == (2, 1, 1, 1)


def test_the_last_window_of_replies_is_kept(device: Client) -> None:
    said = [device.ask(fw.ECHO, bytes([i])) for i in range(12)]
    for i in (4, 11):
        device.write(device.frame(fw.ECHO, bytes([i]), seq=i))
        assert device.receive() == said[i]
    device.write(device.frame(fw.ECHO, b"\3", seq=3))
    too_old = device.receive()
    assert too_old is not None and too_old.status == fw.E_SEQ


def test_numbers_go_round(device: Client) -> None:
    for _ in range(66000 // 200):
        device.write(b"".join(device.frame(fw.SINK, seq=(device.seq + i) % 65536) for i in range(200)))
        device.seq = (device.seq + 200) % 65536
        for _ in range(200):
            assert device.receive() is not None
    counts = device.status()
    assert (counts["executed"], counts["gaps"], counts["repeated"]) == (66000, 0, 0)


def test_damage_is_counted_and_answered_with_what_is_wanted(device: Client) -> None:
    device.ask(fw.ECHO)
    good = device.frame(fw.ECHO, b"abc")
    bad = {"bad_crc": device.frame(fw.ECHO, flip=1), "bad_cobs": good[:-3] + b"\0", "too_short": fw.framed(b"abc"),
           "too_long": device.frame(fw.SINK, bytes(60000))}
    for frame in bad.values():
        device.write(frame)
        nak = device.receive()
        assert nak is not None and nak.status == fw.E_SEQ and struct.unpack("<H", nak.body)[0] == 1
    assert device.ask(fw.ECHO, b"abc").body == b"abc"
    device.write(device.frame(fw.ECHO | 128))  # a line that echoes
    assert device.receive(0.1) is None
    counts = device.status()
    assert {name: counts[name] for name in bad} == dict.fromkeys(bad, 1)
    assert (counts["naks"], counts["wrong_session"], counts["executed"], counts["frames"]) == (4, 1, 2, 9)


def test_small_operations(device: Client) -> None:
    most = 60000 - 13
    assert device.ask(fw.ECHO, bytes(most)).body == bytes(most)
    assert device.call(fw.ECHO, bytes(most + 1)).status == fw.E_LEN
    assert device.ask(fw.SINK, bytes(1000)).words() == 1000
    assert device.ask(fw.SOURCE, struct.pack("<H", 600)).body == bytes(i % 251 for i in range(600))
    assert device.call(fw.SOURCE, struct.pack("<H", most + 1)).status == fw.E_LEN
    for op in (0, 11, 21, 127):
        assert device.call(op).status == fw.E_OP
    device.write(device.frame(fw.ECHO, version=2))
    found = device.receive()
    assert found is not None and found.status == fw.E_VER and found.words(2) == (1, 2)
    for op, payload in ((fw.LOAD_BEGIN, b"abc"), (fw.LOAD_DATA, b"a"), (fw.LOAD_END, b"a"), (fw.STEP, b"abc"),
                        (fw.FETCH, b""), (fw.READ_STATE, b""), (fw.WRITE_STATE, b""), (fw.BENCH, b""), (fw.FEED, b"")):
        assert device.call(op, payload).status == fw.E_LEN, op
    for op, payload in ((fw.LOAD_DATA, bytes(4)), (fw.LOAD_END, b""), (fw.RESET_STATE, b""),
                        (fw.STEP, steps(0, b"\0\0")), (fw.FETCH, bytes(8)), (fw.READ_STATE, bytes(6)),
                        (fw.WRITE_STATE, bytes(12)), (fw.BENCH, bytes(4)), (fw.FEED, bytes(4)), (fw.VERIFY_IMAGE, b"")):
        assert device.call(op, payload).status == fw.E_STATE, op


def test_an_image_is_loaded_and_told_of(device: Client) -> None:
    data = image(pad=5000)
    refused = device.call(fw.STEP, steps(0, b"\0\0"))
    assert refused.status == fw.E_STATE
    state, most, result, feed = device.load(data).words(4)
    assert (state, most) == (8 + 4 * 128, 4 + 1 + 2 + 16) and result == feed == 16 << 20
    found = device.hello()
    assert (found["flags"], found["image_crc"]) == (5, zlib.crc32(data)) and found["image_id"] == fw.announced(data)[8:]
    assert device.ask(fw.VERIFY_IMAGE).words() == zlib.crc32(data)
    device.ask(fw.STEP, steps(0, u16_list(3)))
    assert device.ask(fw.LOAD_BEGIN, fw.announced(data)).words() == len(data)
    assert device.hello()["next"] == 1  # that it is there already changes nothing
    assert device.ask(fw.LOAD_BEGIN, fw.announced(image())).words() == 0
    assert device.hello()["flags"] == 6 and device.call(fw.RESET_STATE).status == fw.E_STATE


def test_pieces_of_an_image_come_in_order(device: Client) -> None:
    data = image(pad=3000)
    device.ask(fw.LOAD_BEGIN, fw.announced(data))
    device.ask(fw.LOAD_DATA, struct.pack("<I", 0) + data[:1000])
    wrong = device.call(fw.LOAD_DATA, struct.pack("<I", 2000) + data[2000:])
    assert wrong.status == fw.E_ORDER and wrong.words(2) == (1000, len(data))
    assert device.call(fw.LOAD_END).status == fw.E_ORDER
    assert device.call(fw.LOAD_DATA, struct.pack("<I", 1000) + data[1000:] + b"x").status == fw.E_RANGE
    assert device.load(data).status == 0


def test_a_device_checks_an_image_in_its_memory(device: Client) -> None:
    data = bytearray(image(pad=100))
    device.ask(fw.LOAD_BEGIN, fw.announced(data))
    data[-1] ^= 1
    device.ask(fw.LOAD_DATA, struct.pack("<I", 0) + data)
    wrong = device.call(fw.LOAD_END)
    assert wrong.status == fw.E_CRC_IMAGE and wrong.words() == zlib.crc32(data)
    assert device.hello()["flags"] == 4  # so that the next upload begins at 0
    for bad, status in ((image()[:-8], fw.E_IMAGE), (bytes(64), fw.E_IMAGE), (image(kind=9), fw.E_UNSUPPORTED)):
        found = device.load(bad)
        assert found.status == status, found


def test_memory_that_does_not_do_is_refused_with_the_need() -> None:
    made = firmware.host_native(defines=["HW_TEST_BUILD"], runners=())  # sanitizers would need more
    with Client([str(made), "--arena", "20000"]) as client:
        client.hello()
        wrong = client.call(fw.LOAD_BEGIN, fw.announced(bytes(20001)))
        assert wrong.status == fw.E_NOMEM and wrong.words(2) == (20001, 20000)
        wrong = client.load(image(4000, 1000))
        # image, sums, marks, places of marked elements, inputs, one step's result
        assert wrong.status == fw.E_NOMEM and wrong.words(2) == (88 + 4000 + 128 + 4000 + 16000 + 136, 20000)
        assert client.load(image(1 << 31, 1 << 31, 1, 3)).words(2) == (0xFFFFFFFF, 20000)
        _, most, result, feed = client.load(image(1000, 1000)).words(4)
        assert most == 4 + 1 + 2 + 125 and result == (20000 - 88 - 4000 - 128 - 4000 - 4000) // 16 * 8
        k = result // most
        assert client.call(fw.STEP, steps(0, *[b"\0\0"] * (k + 1))).words(2) == ((k + 1) * most, result)
        client.ask(fw.STEP, steps(0, *[b"\0\0"] * k))
        wrong = client.call(fw.FEED, struct.pack("<I", 0) + bytes(feed + 1))
        assert wrong.status == fw.E_NOMEM and wrong.words(2) == (feed + 1, feed)


def test_reboot_is_told_and_an_upload_goes_on(device: Client) -> None:
    data = image(pad=200000)
    device.ask(fw.LOAD_BEGIN, fw.announced(data))
    device.ask(fw.LOAD_DATA, struct.pack("<I", 0) + data[:50000])
    device.ask(fw.REBOOT)
    gone = device.call(fw.ECHO)
    assert gone.status == fw.E_SESSION and gone.words(2) == (2, 2)
    found = device.hello()  # even the same nonce makes another session
    assert found["session"] != gone.session
    assert (found["boots"], found["reset"], found["last_op"], found["flags"]) == (2, 2, 0, 6)
    assert found["image_id"] == fw.announced(data)[8:] and found["image_crc"] == 0
    assert device.ask(fw.LOAD_BEGIN, fw.announced(data)).words() == 50000
    assert device.load(data, 50000).status == 0 and device.ask(fw.VERIFY_IMAGE).words() == zlib.crc32(data)
    device.ask(fw.REBOOT)
    assert device.hello(2)["flags"] == 6  # it lies there, but is not loaded
    assert device.ask(fw.LOAD_BEGIN, fw.announced(data)).words() == len(data)
    assert device.call(fw.LOAD_END).status == 0


@pytest.mark.parametrize("how", ["HANG", "step"])
def test_the_watchdog_ends_an_operation_that_hangs(device: Client, how: str) -> None:
    data = image(hangs=1)
    assert device.load(data).status == 0
    begun = time.monotonic()
    device.send(*((fw.HANG, b"") if how == "HANG" else (fw.STEP, steps(0, b"\0\0", b"\0\0"))))
    assert device.receive(0.15) is None
    found = device.hello(3)
    log = device.receive()
    assert 0.25 < time.monotonic() - begun < 5
    assert (found["reset"], found["boots"]) == (1, 2) and found["last_op"] == (fw.HANG if how == "HANG" else fw.STEP)
    assert log is not None and log.op == fw.LOG and b"watchdog" in log.body
    assert device.status()["watchdog_resets"] == 1
    assert device.ask(fw.LOAD_BEGIN, fw.announced(data)).words() == len(data)


def test_the_watchdog_leaves_an_idle_device_alone(loaded: Client) -> None:
    time.sleep(0.5)
    assert loaded.hello()["boots"] == 1


def test_a_device_ends_when_it_is_told_or_its_line_closes(built: Path) -> None:
    with Client([str(built)]) as client:
        client.hello()
        client.ask(fw.EXIT, b"\7")
        assert client.child is not None and client.child.wait(3) == 7
    with Client([str(built)]) as client:
        client.hello()
        client.hang_up()
        assert client.child is not None and client.child.wait(3) == 0
    wrong = subprocess.run([built, "--arena", "12x"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 64 and "usage" in wrong.stderr


def test_a_device_survives_its_cable(built: Path) -> None:
    child = subprocess.Popen([str(built), "--tcp", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin and child.stdout
    try:
        port = int(child.stdout.readline().split()[1])
        with Client([], port=port) as first:
            session = first.hello()["session"]
            assert first.load(image()).status == 0
            first.ask(fw.STEP, steps(0, u16_list(1)))
            first.write(first.frame(fw.ECHO, bytes(1000))[:500])  # cut off in mid frame
        with Client([], port=port) as second:
            assert second.hello() | {"tlvs": 0} == second.hello() | {"tlvs": 0}
            assert second.session == session and second.hello()["next"] == 1
            second.seq = 4
            assert second.ask(fw.STEP, steps(1, u16_list(1))).words() == 2
            with Client([], port=port) as third:  # the newest has the line
                assert third.hello(4)["next"] == 2
                third.ask(fw.REBOOT)
                assert third.hello(5)["boots"] == 2
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(3) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stdin.close()


def test_a_host_may_write_all_its_credit_before_it_reads(device: Client) -> None:
    sent = [bytes([i]) * 59000 for i in range(8)]
    for data in sent:
        device.send(fw.ECHO, data)
    for data in sent:
        found = device.receive()
        assert found is not None and found.body == data
