"""What is attached: hardware maps, ports that are asked and ports that are not, emulators, vendors; and port locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hwsdk.errors import DataError, LinkError, MissingDependencyError
from hwsdk.hil import discovery, locks
from hwsdk.hil.device import Capabilities
from hwsdk.hil.locks import PortLock
from hwsdk.hil.sim_device import SimDevice

MAP = """
ask = ["1209:0001"]
[[device]]
name = "left"
vid_pid = "2E8A:000A"
serial_number = "e661"
chip = "RP2350"
baud = 1000000
[[device]]
name = "right"
vid_pid = "2e8a:000a"
serial_number = "E662"
[[device]]
name = "zynq"
url = "tcp:192.168.7.2:5000"
"""


def port(name: str, vid: int | None = None, pid: int | None = None, number: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(device=name, vid=vid, pid=pid, serial_number=number, description="n/a")


class Board(SimDevice):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.opened = url

    def capabilities(self) -> Capabilities:
        return Capabilities("board", ("loihi",), core="Cortex-M33")


class Opener:
    """Remembers what it was asked to open."""

    def __init__(self, *broken: str) -> None:
        self.urls: list[str] = []
        self.broken = broken

    def __call__(self, url: str) -> Board:
        self.urls.append(url)
        if any(b in url for b in self.broken):
            raise LinkError("no answer to HELLO", where=url, fix="press reset")
        return Board(url)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """(map file, set ports)."""
    path = tmp_path / "bench.toml"
    path.write_text(MAP)
    monkeypatch.setattr(locks, "folder", lambda: tmp_path)
    return path, lambda *ports: monkeypatch.setattr(discovery, "_ports", lambda: ports)


def by_url(found: list[discovery.Found]) -> dict[str, discovery.Found]:
    return {f.url: f for f in found}


def test_boards_are_found_by_what_usb_says(bench) -> None:
    path, ports = bench
    ports(port("/dev/ttyACM1", 0x2E8A, 0xA, "E661"), port("/dev/ttyACM2", 0x1209, 1, "x"), port("/dev/ttyUSB0", 0x403,
          0x6001, "A9"), port("/dev/ttyS0"))
    opener = Opener()
    found = discovery.boards(discovery.read_map(path), opener)
    left, right, zynq = found[:3]
    assert (left.url, left.usable, left.kinds, left.chip) == ("serial:/dev/ttyACM1?baud=1000000", True, ("loihi",),
                                                              "RP2350")
    assert left.what == "left, board, Cortex-M33" and zynq.usable
    assert (right.usable, right.why) == (False, "it is not plugged in")
    others = by_url(found[3:])
    assert others["serial:/dev/ttyACM2?baud=115200"].usable
    ftdi, plain = others["serial:/dev/ttyUSB0?baud=115200"], others["serial:/dev/ttyS0?baud=115200"]
    assert not ftdi.usable and not plain.usable
    assert 'vid_pid = "0403:6001", serial_number = "A9"' in ftdi.fix and "no USB device" in plain.fix
    assert opener.urls == [left.url, zynq.url, "serial:/dev/ttyACM2?baud=115200"]  # and nothing was sent elsewhere


def test_without_a_map_no_port_is_opened(bench) -> None:
    _, ports = bench
    ports(port("/dev/ttyACM1", 0x2E8A, 0xA, "E661"), port("/dev/ttyACM2", 0x1209, 1, "x"))
    opener = Opener("lava", "speck", "spinnaker2")
    found = discovery.attached(opener=opener)
    assert not [u for u in opener.urls if u.startswith("serial")]
    assert len([f for f in found if f.url.startswith("serial:") and not f.usable and f.fix]) == 2


def test_a_board_that_fails_is_told_with_its_remedy(bench) -> None:
    path, ports = bench
    ports(port("/dev/ttyACM1", 0x2E8A, 0xA, "E661"), port("/dev/ttyACM9", 0x2E8A, 0xA, "E662"))
    with PortLock("serial:/dev/ttyACM9"):
        found = discovery.boards(discovery.read_map(path), Opener("ttyACM1"))
    assert (found[0].why, found[0].fix) == ("no answer to HELLO", "press reset")
    assert found[1].why.startswith(f"it is in use by process {os.getpid()}")


def test_two_boards_that_cannot_be_told_apart(bench) -> None:
    path, ports = bench
    path.write_text('[[device]]\nname = "one"\nvid_pid = "2e8a:000a"\n')
    ports(port("/dev/ttyACM1", 0x2E8A, 0xA, "E661"), port("/dev/ttyACM2", 0x2E8A, 0xA, "E662"))
    opener = Opener()
    (found,) = discovery.boards(discovery.read_map(path), opener)
    assert not found.usable and "2 ports are such a board" in found.why and "E661, E662" in found.fix
    assert opener.urls == []


def test_a_name_stands_for_a_url(bench) -> None:
    path, ports = bench
    ports(port("/dev/ttyACM3", 0x2E8A, 0xA, "E662"))
    known = discovery.read_map(path)
    assert discovery.url_of("right", known) == "serial:/dev/ttyACM3?baud=115200"
    assert discovery.url_of("sim:", known) == "sim:"
    with pytest.raises(DataError, match="left: it is not plugged in"):
        discovery.url_of("left", known)
    with pytest.raises(DataError, match="'middle' is no URL"):
        discovery.url_of("middle", known)


@pytest.mark.parametrize(("text", "words"), [
    ("[[device]", "cannot be read"), ("[board]\n", "not board"), ('ask = "2e8a:000a"', "ask is"),
    ('ask = ["2e8a"]', "ask is"), ('[[device]]\nname = "a"', "neither serial_number nor vid_pid nor url"),
    ('[[device]]\nvid_pid = "2e8a:000a"', "name or baud is missing"),
    ('[[device]]\nname = "a"\nspeed = 3', "not speed"), ('[[device]]\nname = "a"\nurl = "sim:"\nbaud = "1"', "baud is"),
    ('[[device]]\nname = "a"\nvid_pid = "2e8a-000a"', "write it as"),
    ('[[device]]\nname = "a"\nurl = "sim:"\n[[device]]\nname = "a"\nurl = "sim:"', "two devices are called 'a'"),
    ("device = 3", "is no table"),
])
def test_bad_maps(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as error:
        discovery.read_map(path)
    assert error.value.code == "BAD_MAP" and str(path) in str(error.value)
    with pytest.raises(DataError, match="no such hardware map"):
        discovery.read_map(tmp_path / "none.toml")


def test_emulators_and_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery.shutil, "which", lambda name: "/usr/bin/cc" if name == "cc" else None)
    found = by_url(discovery.emulators(Opener()))
    assert found["sim:"].usable and found["exec:"].usable
    assert (found["qemu:"].usable, found["qemu:"].fix) == (False, "apt install qemu-system-arm")
    monkeypatch.setattr(discovery.shutil, "which", lambda _: None)
    assert "apt install gcc" in by_url(discovery.emulators())["exec:"].fix


def test_vendors_and_adapters_that_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "folder", lambda: tmp_path)

    def opener(url: str) -> Board:
        if url == "speck:":
            raise ZeroDivisionError("boom")
        if url == "spinnaker2:":
            raise MissingDependencyError("py-spinnaker2 cannot be imported", fix="ask for it")
        return Board(url)

    found = by_url(discovery.vendor_devices(opener))
    assert (found["spinnaker2:"].why, found["spinnaker2:"].fix) == ("py-spinnaker2 cannot be imported", "ask for it")
    assert "ZeroDivisionError: boom" in found["speck:"].why
    assert found["lava:"].usable and found["lava:hardware"].usable


def test_without_pyserial(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = bench
    monkeypatch.setattr(discovery, "_ports", lambda: None)
    found = discovery.boards(discovery.read_map(path), Opener())
    assert [f.fix for f in found] == ["pip install pyserial", "pip install pyserial", ""]


@pytest.mark.parametrize(("one", "other"), [
    ("serial:/dev/null?baud=9600", "record:x;serial:/dev/null"), ("serial:///dev/null", "serial:/dev/null"),
    ("faulty:seed=1;tcp:host:5000", "tcp://host:5000"), ("serial:com3", "serial:COM3"),
])
def test_names_of_one_port(one: str, other: str) -> None:
    assert locks.port_of(one) == locks.port_of(other) != ""


def test_links_to_a_port_are_that_port(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to("/dev/null")
    assert locks.port_of(f"serial:{tmp_path}/by-id?baud=1") == locks.port_of("serial:/dev/null")
    assert not any(map(locks.port_of, ("sim:", "exec:", "unicorn:m4.elf", "qemu:", "replay:x", "lava:")))


HOLD = """
import sys
from pathlib import Path
import hwsdk.hil.locks
from hwsdk.hil.locks import PortLock
PortLock("serial:/dev/ttyX", where=Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["flock", "file"])
def test_a_lock_names_its_holder_and_dies_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    code = HOLD if how == "flock" else HOLD.replace("PortLock(", "hwsdk.hil.locks.fcntl = None; PortLock(")
    if how == "file":
        monkeypatch.setattr(locks, "fcntl", None)
    other = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(LinkError, match=f"in use by process {other.pid}") as error:
            PortLock("serial:/dev/ttyX", wait=0.1, where=tmp_path).acquire()
        assert error.value.code == "PORT_IN_USE"
    finally:
        other.kill()
        other.communicate()
    with PortLock("serial:/dev/ttyX", where=tmp_path) as lock:
        assert lock.holder()["pid"] == os.getpid()
        with pytest.raises(LinkError):
            PortLock("serial:/dev/ttyX", where=tmp_path).acquire()
    assert lock.holder() == {}
    PortLock("serial:/dev/ttyX", where=tmp_path).acquire().release()


def test_a_lock_file_of_another_computer_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    with PortLock("tcp:a:1", where=tmp_path):
        path = next(tmp_path.glob("*.lock"))
    path.write_text(json.dumps({"pid": 2**22 + 5, "host": "elsewhere", "user": "u"}))  # beyond Linux's largest pid
    with pytest.raises(LinkError, match="process 4194309 of u"):
        PortLock("tcp:a:1", where=tmp_path).acquire()
    path.write_text("{")
    with pytest.raises(LinkError, match="another process"):
        PortLock("tcp:a:1", where=tmp_path).acquire()


def test_what_anybody_may_open_needs_no_lock(tmp_path: Path) -> None:
    with PortLock("exec:", where=tmp_path), PortLock("exec:", where=tmp_path):
        assert list(tmp_path.iterdir()) == []
