"""The firmware as files: built for this computer, built by make, prebuilt."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import firmware_client as fw
import pytest

from hwsdk.errors import ExternalToolError, HwsdkError, MissingDependencyError
from hwsdk.hil import firmware

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the host firmware needs POSIX")


def fake_compiler(folder: Path, does: str) -> None:
    (folder / "cc").write_text(f"#!/bin/sh\necho called >>{folder}/calls\n{does}\n", encoding="utf-8")
    (folder / "cc").chmod(0o755)


def test_firmware_is_built_once_for_the_same_sources_and_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    builds = 'while [ "$1" != -o ] && [ $# -gt 1 ]; do shift; done; [ $# -gt 1 ] && echo made >"$2"; exit 0'
    fake_compiler(tmp_path, builds)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = firmware.host_native(cache=tmp_path / "cache")
    assert firmware.host_native(cache=tmp_path / "cache") == made
    assert [path.name for path in made.parent.iterdir()] == ["hwsdk_host"]
    assert (tmp_path / "calls").read_text().count("called") == 3  # for its version each time, and for one build
    assert firmware.host_native(defines=["HW_TEST_BUILD"], cache=tmp_path / "cache").parent != made.parent


@pytest.mark.parametrize(("says", "error", "remedy"), [
    ("x.c:1: error: no such thing", ExternalToolError, "no such thing"),
    ("fatal error: stdio.h: No such file", MissingDependencyError, "apt install libc6-dev"),
    ("ld: cannot find -lasan", MissingDependencyError, "apt install libasan8")])
def test_what_a_compiler_says_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str,
                                      error: type[HwsdkError], remedy: str) -> None:
    fake_compiler(tmp_path, f"echo '{says}' >&2\nexit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(error, match=remedy):
        firmware.host_native(cache=tmp_path / "cache")


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="apt install gcc"):
        firmware.host_native(cache=tmp_path)


def test_prebuilt_images_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "prebuilt").mkdir()
    monkeypatch.setattr(firmware, "folder", lambda: tmp_path)
    made = tmp_path / "prebuilt" / "hwsdk_m4_semihosting.elf"
    with pytest.raises(MissingDependencyError, match="make -C firmware_stubs m4"):
        firmware.prebuilt("m4_semihosting")
    made.write_bytes(b"elf")
    sums = f"{'0' * 64}  other.elf\n4f37d2a0bfae53ad8d7ea3dd7b3e5ebfd1cec0ab1d2ff0d30ca3fb9d8b1fb0e6  {made.name}\n"
    made.with_name("SHA256SUMS").write_text(sums, encoding="ascii")
    with pytest.raises(HwsdkError, match="not the one that SHA256SUMS lists"):
        firmware.prebuilt("m4_semihosting")
    made.with_name("SHA256SUMS").write_text(f"{hashlib.sha256(b'elf').hexdigest()}  {made.name}\n", encoding="ascii")
    assert firmware.prebuilt("m4_semihosting") == made


def shown_by_make(target: str, folder: Path) -> str:
    command = ["make", "-n", "-C", str(fw.STUBS), target, f"OUT={folder}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not shutil.which("make"), reason="no make: apt install make")
def test_make_builds_the_same_as_python(tmp_path: Path) -> None:
    host, asan = shown_by_make("host", tmp_path), shown_by_make("asan", tmp_path)
    for flag in (*firmware.FLAGS, *firmware.HOST_FLAGS, *(f"-DHW_WITH_{kind.upper()}" for kind in firmware.kinds())):
        assert flag in host and flag in asan
    assert all(flag in asan for flag in firmware.SANITIZE) and firmware.build_id() in host
    assert all(name in host for name in firmware.sources() if name.endswith(".c"))
    for board in ("m4", "riscv"):
        assert firmware.build_id(board) in shown_by_make(board, tmp_path)


@pytest.mark.skipif(not (shutil.which("make") and shutil.which("arm-none-eabi-gcc")),
                    reason="no cross compiler: apt install make gcc-arm-none-eabi")
def test_the_board_to_copy_compiles(tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "-C", str(fw.STUBS), "template", f"OUT={tmp_path}"], check=True)
    assert {path.name for path in (tmp_path / "template").iterdir()} == {"hal.o", "board.o"}


def test_the_firmware_stands_on_its_own() -> None:
    """Nothing in common/ takes from a C library; lengths are what CONTRIBUTING.md asks for."""
    for path in [fw.STUBS / name for name in firmware.sources()]:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        assert len(lines) <= 400, path
        if path.parent.name == "common":
            headers = set(re.findall(r"#include <(.*)>", text))
            assert headers <= {"stdbool.h", "stddef.h", "stdint.h"}, path
        starts = [i for i, line in enumerate(lines) if line == "{"]
        for start in starts:
            assert lines.index("}", start) - start <= 60, (path, lines[start - 1])
