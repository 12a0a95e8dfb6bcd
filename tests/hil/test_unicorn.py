"""The firmware for a Cortex-M4 in this process: the image that comes with hwsdk, no compiler and no root needed."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from small_program import assert_same, small

from hwsdk.errors import DeviceReset, LinkError, MissingDependencyError, UnsupportedError
from hwsdk.hil import transports
from hwsdk.hil.firmware import prebuilt
from hwsdk.hil.image_loihi import image_of
from hwsdk.hil.link import Link
from hwsdk.hil.link_device import LinkDevice
from hwsdk.hil.transports.unicorn import UnicornTransport
from hwsdk.hil.transports.unicorn_cpu import instructions

HOW = "the emulator is missing: pip install unicorn pyelftools"
unicorn = pytest.importorskip("unicorn", reason=HOW)
elffile = pytest.importorskip("elftools.elf.elffile", reason=HOW)

HANG, UNDEFINED, NOWHERE = "fee7", "00de", "b020 0006 0068"
"""Thumb: a jump to itself; one that is defined to be undefined; a load from 0xB0000000."""


@pytest.fixture
def line():
    found = transports.open("unicorn:")
    yield found
    found.close()


def overwrite(line: UnicornTransport, name: str, code: str) -> None:
    """Have a function begin with other instructions, until the next reset loads the firmware again."""
    with prebuilt("m4_semihosting").open("rb") as file:
        entry = elffile.ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name(name)[0]
    at, data = entry["st_value"] & ~1, bytes.fromhex(code)
    line.board.cpu.mem_write(at, data)
    line.board.cpu.ctl_remove_cache(at, at + len(data))


def half_loaded(link: Link) -> tuple[bytes, int]:
    """Send the image, and stop half way; the image and how much was sent."""
    image, sent = image_of(small().program).data * 3, []

    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        sent.append(done)
        if done > total / 2:
            raise Enough

    with pytest.raises(Enough):
        link.load(image, progress=stop)
    return image, sent[-1]


@pytest.mark.parametrize("query", ["", "?count=1"])
def test_spikes_and_states_are_those_of_the_simulator(query):
    with LinkDevice(f"unicorn:{query}") as device:
        device.load(small().program)
        assert_same(device.run(small().stimulus, probes="all"), states=True)
        assert device.hello.counter == ("instructions" if query else "wall")
        assert device.hello.core == "Cortex-M4F" and device.hello.reset_reason == "power" and device.health().good


def ticks(device: LinkDevice) -> np.ndarray:
    """Counts of a run, of all steps of both samples."""
    (counts,) = device.run(small().stimulus).counts.values()
    return np.asarray(counts)


def test_counts_do_not_depend_on_anything_but_the_work():
    with LinkDevice("unicorn:?count=1") as device:
        device.load(small().program)
        first, before = ticks(device), device.link.transport.board.executed
        assert np.array_equal(first, ticks(device)) and first.min() > 100
        assert before < device.link.transport.board.executed < 3 * before


def test_instructions_of_thumb_2():
    assert instructions(bytes.fromhex("7047")) == 1  # bx lr
    assert instructions(bytes.fromhex("00f00180 7047")) == 2  # beq.w, bx lr
    assert instructions(bytes.fromhex("0be0 d1e9 0023 f0f7 fcff 7047".replace(" ", ""))) == 4


def test_firmware_that_hangs_without_a_watchdog_starts_again(line):
    overwrite(line, "hw_link_take", HANG)
    line.read_some(0.0)
    line.write(b"\0" * 8)
    start = time.process_time()
    assert line.read_some(0.2) == b"" and 1.9 < time.process_time() - start < 4  # PATIENCE
    assert Link(line).hello().reset_reason == "fault"


def test_the_watchdog_ends_what_hangs_and_an_upload_goes_on(line):
    link = Link(line)
    image, sent = half_loaded(link)
    overwrite(line, "hw_perform", HANG)
    start = time.process_time()
    with pytest.raises(DeviceReset):
        link.status()
    assert 1.5 < time.process_time() - start < 5  # the watchdog takes 2 s
    hello = link.hello()
    assert (hello.reset_reason, hello.boots, hello.broken_off) == ("watchdog", 2, True)
    with pytest.raises(LinkError):  # three copies are no image, which shows only when all have come
        link.load(image)
    assert link.loaded is None and link.statistics["resets"] >= 1
    assert link.statistics["bytes_out"] < 1.5 * len(image) and sent > len(image) / 2
    assert link.load(image_of(small().program).data).resumed_at == 0


@pytest.mark.parametrize("code", [UNDEFINED, NOWHERE], ids=["undefined", "nothing there"])
def test_a_fault_is_a_reset_that_says_so(line, code):
    link = Link(line)
    link.hello()
    overwrite(line, "hw_perform", code)
    with pytest.raises(DeviceReset):
        link.status()
    assert link.hello().reset_reason == "fault"


def test_reboot_keeps_an_upload_and_power_does_not(line):
    link = Link(line)
    _, sent = half_loaded(link)
    link.reboot()
    hello = link.hello()
    assert (hello.reset_reason, hello.broken_off) == ("software", True) and sent > 0
    assert line.reset_device()
    with pytest.raises(DeviceReset):
        link.status()
    hello = link.hello()
    assert (hello.reset_reason, hello.broken_off, hello.boots) == ("power", False, 1)


def test_a_device_that_is_reset_in_a_run_runs_it_again(line):
    with LinkDevice("unicorn:", transport=line) as device:
        device.load(small().program)
        overwrite(line, "hw_step", UNDEFINED)
        assert_same(device.run(small().stimulus))
        assert device.counters()["restarts"] == 1


def test_the_firmware_ends_itself(line):
    link = Link(line)
    link.exit(7)
    with pytest.raises(LinkError, match="ended itself with code 7") as caught:
        link.echo(b"x")
    assert caught.value.code == "GONE"


def test_a_closed_line_is_gone(line):
    line.close()
    line.close()
    for use in (lambda: line.write(b"x"), lambda: line.read_some(0.1)):
        with pytest.raises(LinkError) as caught:
            use()
        assert caught.value.code == "GONE"
    assert not line.reset_device() and "Cortex-M4F in Unicorn" in line.describe()


def test_urls(tmp_path):
    for url in ("unicorn:?count=2", "unicorn:?speed=1"):
        with pytest.raises(UnsupportedError) as caught:
            transports.open(url)
        assert caught.value.code == "BAD_URL"
    with pytest.raises(LinkError) as missing:
        transports.open(f"unicorn:{tmp_path / 'no.elf'}")
    assert missing.value.code == "NOT_FOUND"
    other = tmp_path / "other.elf"
    elf = prebuilt("m4_semihosting").read_bytes()
    for data in (b"", b"no firmware", elf[:18] + b"\xf3\0" + elf[20:], elf[:100], elf[:52]):
        other.write_bytes(data)
        with pytest.raises(LinkError) as bad:
            transports.open(f"unicorn:{other}")
        assert bad.value.code == "BAD_FIRMWARE"


@pytest.mark.parametrize("name", ["unicorn", "elftools.elf.elffile"])
def test_a_missing_package_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="pip install unicorn pyelftools"):
        transports.open("unicorn:")


def test_a_request_of_semihosting_that_points_nowhere_is_a_fault(line):
    overwrite(line, "main", "b021 0906 0520 abbe")  # SYS_WRITE, its block at 0xB0000000
    assert Link(line).hello().reset_reason == "fault"
