"""A host is killed at every phase of load and run: no process of it is left, its port is free, another host goes on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from os import environ, kill
from pathlib import Path

import kills
import pytest
from cables import Network, Terminal
from kills import SAMPLES, STEPS, Watch, job

from hwsdk.hil.link_device import LinkDevice
from hwsdk.hil.locks import PortLock

pytestmark = [
    pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler: apt install gcc"),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with the one that has started it")]
PHASES = [("HELLO", 0), ("LOAD_DATA", 1), ("LOAD_DATA", 110), ("LOAD_DATA", 200), ("LOAD_END", 0), ("RESET_STATE", 0),
          ("FEED", 4), ("STEP", 0), ("STEP", 3), ("STEP", 5), ("FETCH", 3), ("READ_STATE", 0), ("READ_STATE", 50)]
USUAL = (("LOAD_DATA", 110), ("STEP", 3), ("READ_STATE", 0))
NUMBERS = count()
Killed = Callable[[str, str, int, bool], None]


def parameters(usual: tuple[tuple[str, int], ...] = USUAL) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("op", "nth"), [
        pytest.param(*phase, marks=() if phase in usual else pytest.mark.slow) for phase in PHASES])


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = kills.children()
    yield
    assert not kills.children() - before


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return kills.small_firmware(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def hosts() -> Iterator[subprocess.Popen[str]]:
    path = f"{kills.__file__.rpartition('/')[0]}/..:{environ.get('PYTHONPATH', '')}"
    with subprocess.Popen([sys.executable, kills.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=environ | {"PYTHONPATH": path}) as server:
        yield server
        assert server.stdin
        server.stdin.close()
        assert server.wait(10) == 0


@pytest.fixture
def killed(hosts: subprocess.Popen[str]) -> Killed:
    """Lets a host work with a device until it is at a request, and kills it there; nothing of it is left."""

    def at(url: str, op: str, nth: int, executed: bool) -> None:
        assert hosts.stdin and hosts.stdout
        marker = f"kills-{time.time_ns()}-{next(NUMBERS)}"
        hosts.stdin.write(f"{url} {op} {nth} {int(executed)} {marker}\n")
        hosts.stdin.flush()
        said = hosts.stdout.readline()
        assert said.strip().isdecimal(), f"the host has not come to {op} {nth}: {said}"
        started = kills.alive(marker)
        assert bool(started) == url.startswith(("exec", "qemu")), started
        kill(int(said), signal.SIGKILL)
        assert hosts.stdout.readline() == "ended\n"
        end = time.monotonic() + 5
        while left := kills.alive(marker):
            assert time.monotonic() < end, left
            time.sleep(0.005)

    return at


@parameters()
def test_a_process_ends_with_its_host(killed: Killed, command: list[str], op: str, nth: int) -> None:
    killed(f"exec:{command[0]}", op, nth, False)


@pytest.mark.slow
@pytest.mark.parametrize(("op", "nth"), [("HELLO", 0), ("LOAD_DATA", 20), ("STEP", 1), ("READ_STATE", 2)])
def test_an_emulator_ends_with_its_host(killed: Killed, op: str, nth: int) -> None:
    if not shutil.which("qemu-system-arm"):
        pytest.skip("qemu-system-arm is missing: apt install qemu-system-arm")
    killed("qemu:?link=stdio", op, nth, False)


@parameters(usual=(("STEP", 5),))
def test_another_host_goes_on_by_network(killed: Killed, command: list[str], op: str, nth: int) -> None:
    with Network(command, Watch()) as line:
        killed(line.url, op, nth, True)
        go_on(line.url, op, nth)


@parameters(usual=(("LOAD_DATA", 200),))
def test_another_host_goes_on_by_cable(killed: Killed, command: list[str], tmp_path: Path, op: str, nth: int) -> None:
    pytest.importorskip("serial", reason="pyserial is missing: pip install pyserial")
    with Terminal(command, tmp_path / "tty", Watch()) as line:
        killed(line.url, op, nth, True)
        go_on(line.url, op, nth)


def go_on(url: str, op: str, nth: int) -> None:
    """The port is free; the device has what it had, and runs."""
    with PortLock(url), LinkDevice(url) as device:
        before = device.hello.next_step
        device.load(job().program)
        loaded = device.link.loaded
        assert loaded is not None
        if op in ("HELLO", "LOAD_DATA"):
            assert (loaded.resumed_at > 0) == (op == "LOAD_DATA") and loaded.resumed_at < loaded.size
        else:
            assert loaded.resumed_at == loaded.size
        steps = device.link.status()["steps"]
        assert steps % STEPS == before % STEPS and (steps > 0) == (
            op in ("FEED", "STEP", "FETCH", "READ_STATE"))
        assert kills.equal(device.run(job().stimulus))
        assert device.link.status()["steps"] == steps + STEPS * SAMPLES
