"""Transports: how they are opened, what happens when the other end goes, and a link over each of them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_device import FakeDevice, lossy
from test_link import check, image, inputs

from hwsdk.errors import DeviceReset, LinkError, MissingDependencyError, NoReply, UnsupportedError
from hwsdk.hil import transports
from hwsdk.hil.link import Link
from hwsdk.hil.transports import process, record, replay, serial, stream

CAT = "import os\nwhile True:\n d = os.read(0, 65536)\n if not d: break\n os.write(1, d)\n"


@pytest.fixture(scope="module")
def firmware() -> str:
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("the host firmware needs a C compiler: apt install gcc")
    from hwsdk.hil.firmware import host_native

    return str(host_native())


def serve(device: FakeDevice, reader: int, writer: int) -> None:
    """Let a device answer at descriptors until they are closed."""

    def loop() -> None:
        try:
            while data := os.read(reader, 65536):
                device.write(data)
                answer = device.read_some(0)
                while answer:
                    answer = answer[os.write(writer, answer):]
        except OSError:
            return

    threading.Thread(target=loop, daemon=True).start()


@pytest.mark.parametrize(("url", "words"), [
    ("nothing", "no transport 'nothing'"),
    ("usb:1", "write one of: exec:"),
    ("tcp:host", "write tcp:HOST:PORT"),
    ("tcp::5", "host or port is missing"),
    ("tcp:h:70000", "host or port"),
    ("serial:", "unknown ports are never opened"),
    ("serial:auto", "unknown ports are never opened"),
    ("serial:/dev/x?baud=fast", "baud cannot be 'fast'"),
    ("serial:/dev/x?bauds=1", "names baud, vid, pid, sn, reset"),
    ("serial:/dev/x?baud=1&baud=2", "comes twice"),
    ("serial:/dev/x?reset=on", "dtr, rts or none"),
    ("faulty:flip=2;exec:x", "less than 1"),
    ("faulty:flip=0.1", "inside is missing"),
    ("faulty:swap=0.1;exec:x", "not a parameter"),
    ("record:a.txt", "as in record:a.txt;exec:"),
    ("record:;exec:true", "file is missing"),
])
def test_a_wrong_url_says_how_it_is_written(url: str, words: str) -> None:
    with pytest.raises(UnsupportedError, match="BAD_URL") as error:
        transports.open(url)
    assert words in str(error.value)


@pytest.mark.parametrize(("url", "code"), [
    ("exec:/no/such/firmware", "NOT_FOUND"), ("tcp:127.0.0.1:1", "NOT_FOUND"), ("serial:/dev/nothing", "NOT_FOUND"),
    ("serial:auto?vid=dead&pid=beef", "NOT_FOUND"), ("replay:/no/such/file", "BAD_RECORD"),
    (f"replay:{__file__}", "BAD_RECORD"), ("faulty:;exec:/no/such/firmware", "NOT_FOUND")])
def test_where_nothing_is_the_error_says_so(url: str, code: str) -> None:
    with pytest.raises(LinkError, match=rf"\[{code}\](.|\n)*fix: "):
        transports.open(url)


def test_a_child_and_its_pipes() -> None:
    line = process.ProcessTransport([sys.executable, "-c", CAT])
    first = line.child
    line.write(b"abc")
    assert line.read_some(5.0) == b"abc"
    start = time.monotonic()
    assert line.read_some(0.05) == b"" and time.monotonic() - start < 2
    assert line.reset_device() and first.poll() is not None and line.child.pid != first.pid
    line.write(b"x" * 10_000_000)  # more than any pipe holds: neither side waits for the other
    got = 0
    while got < 10_000_000:
        got += len(line.read_some(5.0))
    assert str(line.child.pid) in line.describe()
    line.close()
    line.close()
    assert line.child.poll() == 0


def test_what_a_child_said_before_it_ended_is_in_the_error() -> None:
    line = process.ProcessTransport([sys.executable, "-c", "import sys; sys.exit('out of memory')"])
    with pytest.raises(LinkError, match=r"GONE.*it ended with code 1; out of memory"):
        for _ in range(50):
            line.read_some(0.2)
    line.close()


def test_a_line_that_takes_nothing_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_HELD", 1 << 20)
    line = process.ProcessTransport([sys.executable, "-c", "import time; time.sleep(60)"])
    start = time.monotonic()
    with pytest.raises(LinkError, match="STUCK"):
        for _ in range(30):
            line.write(bytes(100_000))
            line.read_some(0.0)
    line._ended()
    line.close()
    assert time.monotonic() - start < 5 and line.child.poll() == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_no_child_outlives_a_host_that_is_killed() -> None:
    program = ("import sys, time\nfrom hwsdk.hil.transports.process import ProcessTransport\n"
               "t = ProcessTransport([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
               "print(t.child.pid, flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        child = int(host.stdout.readline())
        os.kill(child, 0)
        host.kill()
    for _ in range(100):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the child is still there")


def test_the_host_firmware(firmware: str) -> None:
    with Link(transports.open(f"exec:{firmware}")) as link:
        hello = link.hello()
        assert (hello.name, hello.loaded, hello.next_step) == ("host", False, 0)
        assert link.echo(bytes(1000)) == bytes(1000)
        link.sink(1 << 20)
        link.source(1 << 20)
        assert link.status()["bad_crc"] == 0 and link.statistics["retries"] == 0
        link.transport.reset_device()
        with pytest.raises(DeviceReset):
            link.echo(b"x")
        assert link.echo(b"x") == b"x"
        link.exit(3)
        assert link.transport.child.wait(5) == 3  # type: ignore[attr-defined]
        with pytest.raises(LinkError, match=r"GONE.*code 3"):
            link.hello()


@pytest.fixture
def server() -> Iterator[tuple[int, Any]]:
    """(port, device) of a device behind a socket."""
    device = FakeDevice(mtu=2048)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            handle = connection.detach()
            serve(device, handle, handle)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], device


def test_a_link_over_tcp(server: tuple[int, Any]) -> None:
    port, device = server
    with Link(transports.open(f"tcp://127.0.0.1:{port}")) as link:
        link.load(image())
        dense, events = inputs(50)
        check(link.run_steps(0, events), dense)
        assert device.executed == list(range(50))
        assert not link.transport.reset_device() and str(port) in link.transport.describe()


@pytest.fixture
def port() -> Iterator[tuple[str, int]]:
    """(name, the other end) of a terminal that looks like a serial port."""
    pytest.importorskip("serial", reason="needs pyserial: pip install 'hwsdk[hil]'")
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    yield name, master
    try:
        os.close(master)
    except OSError:
        return


def test_a_link_over_a_serial_port(port: tuple[str, int]) -> None:
    name, master = port
    with Link(transports.open(f"serial:{name}?baud=230400")) as link:
        serve(FakeDevice(mtu=2048), master, master)
        assert link.transport.bytes_a_second == 23040
        link.load(image())
        dense, events = inputs(50)
        check(link.run_steps(0, events), dense)
        assert "230400 baud" in link.transport.describe() and not link.transport.reset_device()
        with pytest.raises(LinkError, match=r"BUSY(.|\n)*end the other program"):
            transports.open(f"serial:{name}")


def test_a_serial_port_that_is_unplugged(port: tuple[str, int]) -> None:
    name, master = port
    line = transports.open(f"serial:{name}")
    with Link(line, timeout=0.2, deadline=0.3) as link:
        with pytest.raises(NoReply):
            link.hello()
        os.close(master)
        with pytest.raises(LinkError, match="GONE"):
            link.hello()


def test_ports_are_found_by_their_numbers_and_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("serial", reason="needs pyserial: pip install 'hwsdk[hil]'")
    ports = [SimpleNamespace(device=f"/dev/tty{n}", vid=vid, pid=0x5740, serial_number=f"S{n}", description="a board")
             for n, vid in enumerate((0x483, 0x483, 0x1234))] + [
        SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None, serial_number=None, description="n/a")]
    monkeypatch.setattr(serial, "attached", lambda: ports)
    assert serial.find({"vid": 0x1234, "pid": 0x5740}, "x") == "/dev/tty2"
    assert serial.find({"vid": 0x483, "sn": "S1"}, "x") == "/dev/tty1"
    with pytest.raises(LinkError, match=r"NOT_UNIQUE.*2 ports.*/dev/tty0 \(vid=0483 pid=5740 sn=S0.*sn="):
        serial.find({"vid": 0x483}, "x")
    with pytest.raises(LinkError, match=r"NOT_FOUND.*attached: .*/dev/ttyS0 \(no USB"):
        serial.find({"vid": 1}, "x")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hwsdk\[hil\]'"):
        transports.open("serial:/dev/ttyACM0")
    monkeypatch.setitem(sys.modules, "cobs", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hwsdk\[hil\]'"):
        Link(FakeDevice()).hello()


def session(link: Link, steps: int = 30) -> Any:
    """Something worth recording."""
    link.load(image())
    found = link.run_steps(0, inputs(steps)[1])
    return found.events.index.tolist(), link.read_state(), link.status()


def test_a_record_plays_the_device(tmp_path: Path) -> None:
    path = tmp_path / "session.txt"
    with Link(record.RecordTransport(path, FakeDevice())) as link:
        want = session(link)
    with Link(transports.open(f"replay:{path}")) as link:
        assert session(link) == want
        assert "requests played" in link.transport.describe()
    differs = "REPLAY_DIFFERS.*request 10 differs.*sent was: STEP seq 9 .*208 bytes.*recorded was: STEP .*215 bytes"
    with Link(replay.ReplayTransport(path)) as link, pytest.raises(LinkError, match=differs):
        session(link, 29)
    with Link(replay.ReplayTransport(path)) as link:
        session(link)
        with pytest.raises(LinkError, match="the record ends here"):
            link.verify()


def test_what_depends_on_time_is_left_out_of_a_replay(tmp_path: Path) -> None:
    path, device = tmp_path / "session.txt", FakeDevice()
    device.damage = lossy(3, 0.1)
    with Link(record.RecordTransport(path, device)) as link:
        want = session(link)
        assert link.statistics["retries"] > 0
    with Link(replay.ReplayTransport(path)) as link:
        assert session(link) == want


def test_a_recorded_failure_fails_again(tmp_path: Path) -> None:
    path, device = tmp_path / "session.txt", FakeDevice()
    device.lie = lambda digest: digest ^ 1
    for connect in (lambda: record.RecordTransport(path, device), lambda: replay.ReplayTransport(path)):
        with Link(connect()) as link, pytest.raises(LinkError, match="DIGEST_MISMATCH"):
            session(link)


@pytest.mark.parametrize("text", ["", "{}", '{"format": "hwsdk-link-record", "version": 2, "nonce": 1}', "[1]",
                                  '{"format": "hwsdk-link-record", "version": 1, "nonce": 1}\n? 00',
                                  '{"format": "hwsdk-link-record", "version": 1, "nonce": 1}\n> 0x'])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text, "ascii")
    with pytest.raises(LinkError, match="BAD_RECORD"):
        replay.ReplayTransport(path)
