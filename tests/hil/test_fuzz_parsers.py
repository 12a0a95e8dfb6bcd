"""Whatever comes over the line, neither parser breaks: the device's under AddressSanitizer and UBSan, the host's with
LinkErrors only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import firmware_client as fw
import fuzz_images
import fuzz_python
import numpy as np
import pytest
from fake_device import FakeDevice
from fuzz_python import liar
from test_link import check, image, inputs
from test_wire import raw, rows

from hwsdk.errors import LinkError, MissingDependencyError, UnsupportedError
from hwsdk.hil import firmware, wire
from hwsdk.hil.link import Link

QUICK, MANY = 100_000, 5_000_000
"""Frames and payloads for the host's parsers; the device's see twice as many."""
Images = dict[str, list[bytes]]
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
FAST_BUILD = "SANITIZE=-O0 -fsanitize=address,undefined -fno-sanitize-recover=all -DHW_RED_ZONES"


def build(folder: Path, *more: str, stubs: Path = fw.STUBS) -> Path:
    """The device in a process with what attacks it, under sanitizers; skips where that cannot be built."""
    for tool in ("make", "cc"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing: apt install make gcc libc6-dev")
    made = folder / "fuzz" / "hwsdk_fuzz_asan"
    run = subprocess.run(["make", "-s", "-C", str(stubs), f"OUT={folder}", str(made), *more], capture_output=True,
                         text=True, check=False)
    if "asan" in run.stderr or "ubsan" in run.stderr:
        pytest.skip("the compiler has no sanitizers: apt install libasan8 libubsan1")
    assert run.returncode == 0, run.stderr
    return made


class Done(NamedTuple):
    """What the program says of itself, and what the sanitizers do."""

    frames: int
    executed: int
    steps: int
    bound: int
    wrong: str

    @classmethod
    def of(cls, run: subprocess.CompletedProcess[bytes]) -> Done:
        if run.returncode:
            return cls(0, 0, 0, 0, run.stderr.decode() or str(run.returncode))
        return cls(*[int(word) for word in run.stdout.replace(b",", b"").split() if word.isdigit()][:4], wrong="")


def attack(program: Path, seed: int, frames: int, images: Images) -> Done:
    """By the program itself: frames of all kinds, noise, and images now and then."""
    files = []
    for n, data in enumerate(data for some in images.values() for data in some):
        files.append(program.with_name(f"{n}.image"))
        files[-1].write_bytes(data)
    return Done.of(subprocess.run([program, "random", str(seed), str(frames), *files], capture_output=True, check=False,
                                  env=ENVIRONMENT))


def loads(program: Path, seed: int, n: int, some: list[bytes]) -> Done:
    """Uploads of n images that were changed, each with steps after it."""
    return Done.of(subprocess.run([program, "frames"], input=b"".join(fuzz_images.sessions(some, n, seed)),
                                  capture_output=True, check=False, env=ENVIRONMENT))


def fuzz_device(program: Path, frames: int, uploads: int, images: Images, seed: int) -> int:
    """Frames in all."""
    one = attack(program, seed, frames, images)
    assert not one.wrong
    assert one.executed > frames / 2 and one.steps > frames / 20 and one.bound > frames / 10_000
    total = one.frames
    for some in images.values():
        other = loads(program, seed, uploads, some)
        assert not other.wrong
        assert other.frames > 6 * uploads and other.steps > uploads / 2
        total += other.frames
    return total


def test_the_device_survives_what_comes(tmp_path: Path) -> None:
    assert fuzz_device(build(tmp_path, FAST_BUILD), QUICK, 500, fuzz_images.images(1), 1) > QUICK


@pytest.mark.slow
def test_the_device_survives_millions_of_frames(tmp_path: Path) -> None:
    """Two minutes."""
    program, images = build(tmp_path), fuzz_images.images(12)
    assert sum(fuzz_device(program, 600_000, 10_000, images, seed) for seed in range(2, 12)) > 2 * MANY


@pytest.mark.slow
@pytest.mark.parametrize(("file", "check_", "instead"), [
    ("common/events_read.c", "found < next || found >= elements", "found < next"),
    ("common/step.c", "if (hw_left(in) < 7)", "if (0)"),
    ("crossbar/blocks.c", "s->sender >= c->senders || ", ""),
])
def test_the_attack_finds_a_check_that_is_missing(tmp_path: Path, file: str, check_: str, instead: str) -> None:
    stubs = tmp_path / "stubs"
    shutil.copytree(fw.STUBS, stubs)
    text = (stubs / file).read_text()
    assert text.count(check_) == 1
    (stubs / file).write_text(text.replace(check_, instead))
    program, images = build(tmp_path, FAST_BUILD, stubs=stubs), fuzz_images.images(8)
    tries = (done for seed in range(6) for done in (
        attack(program, seed, 300_000, images), loads(program, seed, 20_000, images["crossbar"])))
    assert any("Sanitizer" in done.wrong for done in tries)


FRAMES = [raw(row[5]) for row in rows("frame") if len(row[5]) < 600]
BODIES = [raw(row[4])[1:] for row in rows("frame") if 2 < len(row[4]) < 600]


def fuzz_host(n: int) -> None:
    decoded = fuzz_python.split_and_decode(FRAMES, n // 2, 1)
    assert min(decoded[code] for code in ("", "BAD_COBS", "BAD_CRC", "TOO_SHORT")) > n / 1000, decoded
    parsed = fuzz_python.payloads(BODIES, n // 4, 2)
    assert min(parsed["BAD_REPLY"], parsed[""]) > n / 40 and len(parsed) > 10, parsed
    listed = fuzz_python.lists(n // 4, 3)
    assert set(listed) == {"", "BAD_EVENTS"} and min(listed.values()) > n / 200, listed


def test_the_host_survives_what_comes() -> None:
    fuzz_host(QUICK)


@pytest.mark.slow
def test_the_host_survives_millions_of_frames() -> None:
    """About a minute."""
    fuzz_host(MANY)


def lied_to(seed: int) -> str:
    """A job with a device that lies; the code of the error, "" if it goes well, and then what it gives is right."""
    dice = np.random.default_rng(seed)
    device = FakeDevice(mtu=int(dice.choice([300, 512, 2000])), results=900, feed=900)
    device.damage = liar(seed, 10.0 ** dice.uniform(-2.5, -0.5))
    dense, events = inputs(12, 40, typed=True, density=0.3)
    try:
        with Link(device, timeout=0.02, deadline=0.1) as link:
            link.load(image(40, values=("i32", "i32")))
            results = link.run_steps(0, events)
            link.read_state()
            link.status()
            link.verify()
    except (LinkError, UnsupportedError) as error:  # the latter: it says that it has less memory than it needs
        return error.code
    results.ticks[:] = 7  # nothing depends on them, and no digest has them
    check(results, dense)
    return ""


def fuzz_link(seeds: range) -> Counter[str]:
    found = Counter(map(lied_to, seeds))
    assert found[""] > len(seeds) / 20 and len(found) > 5, found
    return found


def test_a_device_that_lies() -> None:
    fuzz_link(range(60))


@pytest.mark.slow
def test_devices_that_lie() -> None:
    assert {"DIGEST_MISMATCH", "BAD_EVENTS", "BAD_REPLY", "STATE_DAMAGED"} <= set(fuzz_link(range(100, 3100)))


@pytest.mark.skipif(sys.platform == "win32", reason="the host firmware needs POSIX")
@pytest.mark.parametrize("seed", range(3))
def test_both_sides_see_the_same_damage(seed: int) -> None:
    """Of each frame: both take it, or both drop it for the same reason."""
    try:
        command = [str(firmware.host_native(runners=()))]
    except MissingDependencyError as error:
        pytest.skip(str(error))
    dice, splitter = np.random.default_rng(seed), wire.Splitter()
    noise = b"\0" + fuzz_python.stream(FRAMES, dice)[:60_000] + b"\0"
    expected = Counter(fuzz_python.allowed(wire.decode, piece)[0] for piece in splitter.feed(noise))
    with fw.Client(command) as client:
        client.hello()
        for at in range(0, len(noise), 500):  # replies have to go somewhere
            client.write(noise[at:at + 500])
            while client.receive(0.0):
                pass
        client.write(b"\0")
        client.session = 0
        while client.receive(0.2):
            pass
        client.hello(nonce=99)
        status = client.status()
    assert [status[name] for name in ("bad_cobs", "bad_crc", "too_short")] == [
        expected[code] for code in ("BAD_COBS", "BAD_CRC", "TOO_SHORT")]
    assert status["frames"] == sum(expected.values()) + 3  # two HELLOs and this STATUS
    assert status["too_long"] == 0
