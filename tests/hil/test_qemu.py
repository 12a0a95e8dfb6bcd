"""The firmware on boards that QEMU emulates: every port, counts, resets, and that no process is left behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_program import assert_same, small

from hwsdk.errors import DeviceReset, LinkError, MissingDependencyError, UnsupportedError
from hwsdk.hil import transports
from hwsdk.hil.firmware import folder, prebuilt
from hwsdk.hil.image_loihi import image_of
from hwsdk.hil.link import Link
from hwsdk.hil.link_device import LinkDevice
from hwsdk.hil.transports import qemu as transport

ARM_GCC, RISCV_GCC = "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"


def need(tool: str, package: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is missing: apt install {package}")


@pytest.fixture
def qemu() -> None:
    need("qemu-system-arm", "qemu-system-arm")


def make(name: str, into: Path, *more: str) -> Path:
    """An image, built by `make`."""
    made = into / name
    subprocess.run(["make", "-C", str(folder()), str(made), f"OUT={into}", *more], check=True, capture_output=True)
    return made


def counts(device: LinkDevice) -> np.ndarray:
    (found,) = device.run(small().stimulus).counts.values()
    return np.asarray(found)


@pytest.mark.parametrize("link", ["semihosting", "stdio", "pty", "tcp"])
def test_every_port_gives_the_spikes_of_the_simulator(qemu, link):
    if link == "pty":
        pytest.importorskip("serial", reason="pyserial is missing: pip install pyserial")
    with LinkDevice(f"qemu:?link={link}") as device:
        device.load(small().program)
        assert_same(device.run(small().stimulus))
        assert device.hello.counter == "wall" and device.hello.reset_reason == "power"
        assert device.hello.name.startswith("MPS2-AN386") and device.hello.watchdog_ms == 2000
        assert str(device.link.transport.pid) in device.link.transport.describe()


@pytest.mark.parametrize("url", ["qemu:?icount=8", "qemu:?icount=7&link=stdio"])
def test_instructions_are_the_same_in_every_run(qemu, url):
    with LinkDevice(url) as device:
        device.load(small().program)
        first = counts(device)
        assert device.hello.counter == "instructions" and first.min() > 100
        time.sleep(0.05)  # its clock goes on meanwhile
        assert np.array_equal(first, counts(device))
    pytest.importorskip("unicorn", reason="the other emulator is missing: pip install unicorn pyelftools")
    pytest.importorskip("elftools", reason="the ELF reader is missing: pip install unicorn pyelftools")
    if "stdio" not in url:  # the image with a UART is another program
        with LinkDevice("unicorn:?count=1") as device:
            device.load(small().program)
            assert np.array_equal(first, counts(device))


def test_states_are_those_of_the_simulator(qemu):
    with LinkDevice("qemu:") as device:
        device.load(small().program)
        assert_same(device.run(small().stimulus, probes="all"), states=True)


def test_an_upload_goes_on_after_a_reboot_and_is_lost_with_the_power(qemu):
    with Link(transports.open("qemu:?link=stdio")) as link:
        image, crc = image_of(small().program).data * 2, 0
        link.hello()
        with pytest.raises(KeyboardInterrupt):
            link.load(image, progress=_interrupts)
        link.reboot()
        hello = link.hello()
        assert (hello.reset_reason, hello.boots, hello.broken_off) == ("software", 2, True)
        with pytest.raises(LinkError):
            link.load(image)  # twice the same is no image
        assert link.statistics["bytes_out"] < 1.8 * len(image) and not crc
        assert link.transport.reset_device()
        with pytest.raises(DeviceReset):
            link.status()
        assert (link.hello().reset_reason, link.hello().boots) == ("power", 1)


def _interrupts(done: int, total: int) -> None:
    """The user stops an upload half way."""
    if done > total / 2:
        raise KeyboardInterrupt


def test_the_watchdog_ends_what_hangs_in_a_test_build(qemu, tmp_path):
    need(ARM_GCC, "gcc-arm-none-eabi")
    url = f"qemu:{make('m4/hwsdk_m4_uart.elf', tmp_path, 'TEST=1')}?link=stdio"
    with LinkDevice(url) as device:
        device.load(small().program)
        start = time.monotonic()
        with pytest.raises(DeviceReset):
            device.link.hang()
        assert 1.5 < time.monotonic() - start < 8
        hello = device.link.hello()
        assert (hello.reset_reason, hello.boots, hello.test_build) == ("watchdog", 2, True)
        device.load(small().program)
        assert_same(device.run(small().stimulus))
        assert device.link.loaded.resumed_at == device.link.loaded.size  # its memory has kept it


def test_the_firmware_ends_qemu(qemu):
    link = Link(transports.open("qemu:"))
    link.exit(7)
    with pytest.raises(LinkError, match="ended with code 7"):
        link.status()
    link.close()


def gone(pid: int, seconds: float = 3.0) -> bool:
    """Whether a process ends within that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] if Path("/proc").is_dir() else ""
        if state == "Z":  # ended, but nobody has asked how
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("link", ["semihosting", "stdio", "pty", "tcp"])
def test_closing_ends_qemu(qemu, link):
    if link == "pty":
        pytest.importorskip("serial", reason="pyserial is missing: pip install pyserial")
    line = transports.open(f"qemu:?link={link}")
    pid = line.pid
    line.close()
    line.close()
    assert gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with the one that has started it")
def test_a_host_that_is_killed_leaves_no_qemu_behind(qemu):
    code = ("from hwsdk.hil import transports; import time\n"
            "line = transports.open('qemu:?link=stdio'); print(line.pid, flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as host:
        pid = int(host.stdout.readline())
        assert not gone(pid, 0.1)
        host.send_signal(signal.SIGKILL)
    assert gone(pid)


def test_urls(qemu, tmp_path):
    other = tmp_path / "other.elf"
    other.write_bytes(b"\x7fELF" + bytes(14) + b"\x3e\0")  # for x86-64
    for url, error, code in (
        ("qemu:?link=wire", UnsupportedError, "BAD_URL"), ("qemu:?icount=x", UnsupportedError, "BAD_URL"),
        ("qemu:?icount=3", UnsupportedError, "BAD_URL"), ("qemu:?speed=1", UnsupportedError, "BAD_URL"),
        (f"qemu:{tmp_path / 'none.elf'}", LinkError, "NOT_FOUND"), (f"qemu:{other}", LinkError, "BAD_FIRMWARE"),
    ):
        with pytest.raises(error) as caught:
            transports.open(url)
        assert caught.value.code == code, url


def test_a_missing_qemu_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingDependencyError, match="apt install qemu-system-arm"):
        transports.open("qemu:")
    riscv = tmp_path / "riscv.elf"
    riscv.write_bytes(b"\x7fELF" + bytes(14) + b"\xf3\0")
    with pytest.raises(MissingDependencyError, match="apt install qemu-system-misc"):
        transports.open(f"qemu:{riscv}?link=stdio")
    with pytest.raises(UnsupportedError, match="UART only"):
        transports.open(f"qemu:{riscv}")


@pytest.mark.parametrize("link", ["stdio", "pty", "tcp"])
def test_a_qemu_that_does_not_start_says_why(qemu, monkeypatch, link):
    monkeypatch.setattr(transport, "PATIENCE", 1.0)
    monkeypatch.setitem(transport.BOARDS, 40, transport.BOARDS[40]._replace(options=("-M", "no-such-board")))
    with pytest.raises(LinkError, match="unsupported machine type"), Link(
            transports.open(f"qemu:?link={link}"), timeout=1) as open_link:
        open_link.hello()


@pytest.mark.slow
def test_the_same_on_another_instruction_set(tmp_path):
    need("qemu-system-riscv32", "qemu-system-misc")
    need(RISCV_GCC, "gcc-riscv64-unknown-elf")
    elf = make("riscv/hwsdk_riscv.elf", tmp_path)
    for link in ("stdio", "tcp"):
        with LinkDevice(f"qemu:{elf}?link={link}&icount=0") as device:
            device.load(small().program)
            assert_same(device.run(small().stimulus, probes="all"), states=True)
            assert device.hello.core == "RV32IMAC" and device.hello.counter == "instructions"
            first = counts(device)
            assert np.array_equal(first, counts(device)) and first.min() > 100
            device.link.reboot()
            assert device.link.hello().reset_reason == "software"
            device.load(small().program)
            assert device.link.loaded.resumed_at == device.link.loaded.size


def test_the_images_that_come_with_hwsdk_are_what_the_sources_make(tmp_path):
    need(ARM_GCC, "gcc-arm-none-eabi")
    made_by = (folder() / "prebuilt" / "COMPILER").read_text().strip()
    here = subprocess.run([ARM_GCC, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    if here != made_by:
        pytest.skip(f"the images were made by {made_by!r}; here is {here!r}, which makes other bytes")
    for name in ("m4_semihosting", "m4_uart"):
        fresh = make(f"m4/hwsdk_{name}.elf", tmp_path).read_bytes()
        assert hashlib.sha256(fresh).digest() == hashlib.sha256(prebuilt(name).read_bytes()).digest(), (
            "the sources have changed: run `make -C firmware_stubs prebuilt`")
