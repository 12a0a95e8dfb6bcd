"""The firmware of firmware_stubs: found, built for this computer, and the images that come with hwsdk."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hwsdk.errors import ExternalToolError, HwsdkError, MissingDependencyError

KINDS = ("crossbar", "loihi", "sfq", "spinnaker")
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-common", "-ffunction-sections",
         "-fdata-sections", "-ffp-contract=off", "-fno-tree-loop-distribute-patterns")
HOST_FLAGS = ("-DHW_HOST",)
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
            "-DHW_RED_ZONES")
"""Flags as in firmware_stubs/Makefile."""
BOARDS = {"host": ("host/hal*.c", "host/hal*.h"), "m4": ("m4/*.c", "m4/*.h", "m4/*.S", "m4/*.ld"),
          "riscv": ("riscv/*.c", "riscv/*.h", "riscv/*.S", "riscv/*.ld")}
BUILD_SECONDS = 300.0


def folder() -> Path:
    """Where the sources lie: in the checkout, or in the installed package.

    Raises:
        MissingDependencyError: this installation is without them.
    """
    try:
        found = Path(str(importlib.resources.files("hwsdk.firmware_stubs")))
    except ModuleNotFoundError:
        found = Path()
    if not (found / "common" / "link.c").is_file():
        raise MissingDependencyError("the firmware's sources are not there", where="hwsdk.firmware_stubs",
                                     fix="install hwsdk again, or work in a checkout")
    return found


def kinds() -> tuple[str, ...]:
    """The kinds of programs that have a runner."""
    return tuple(kind for kind in KINDS if (folder() / kind / "runner.c").is_file())


def sources(board: str = "host") -> tuple[str, ...]:
    """Paths of all C and assembler sources and linker scripts of a board's firmware, in order, below ``folder()``."""
    base = folder()
    patterns = [f"{part}/*.{end}" for part in ("common", *kinds()) for end in "ch"]
    found = {path for pattern in (*patterns, *BOARDS[board]) for path in base.glob(pattern)}
    return tuple(sorted(path.relative_to(base).as_posix() for path in found))


def build_id(board: str = "host") -> str:
    """SHA-256, in hex, over the contents of a board's sources: what firmware that was built from them says in HELLO.

    board: "host", "m4" or "riscv".
    """
    base, digest = folder(), hashlib.sha256()
    for name in sources(board):
        digest.update((base / name).read_bytes())
    return digest.hexdigest()


def host_native(*, defines: Sequence[str] = (), sanitize: bool = False, runners: Sequence[str] | None = None,
                cache: Path | None = None) -> Path:
    """The firmware as a program for this computer; built once for each state of the sources, compiler and flags.

    Args:
        defines: more macros, "NAME" or "NAME=VALUE", such as "HW_TEST_BUILD".
        sanitize: with AddressSanitizer and UBSan.
        runners: kinds of programs that it runs; None: all that there are.
        cache: folder that keeps what was built; without one, hwsdk's in the user's cache folder.

    Returns:
        Path of an executable.

    Raises:
        MissingDependencyError: there is no C compiler, or none with the sanitizers. ExternalToolError: it fails.
    """
    compiler = find_compiler()
    identity = build_id()
    wanted = kinds() if runners is None else tuple(runners)
    flags = [*FLAGS, *(SANITIZE if sanitize else ()), *HOST_FLAGS, *(f"-DHW_WITH_{kind.upper()}" for kind in wanted),
             *(f"-D{name}" for name in defines)]
    key = hashlib.sha256("\0".join([identity, _version(compiler), *flags]).encode()).hexdigest()[:24]
    made = (cache or default_cache()) / key / "hwsdk_host"
    if not made.is_file():
        names = [name for name in sources() if name.endswith(".c")
                 and (name.partition("/")[0] not in KINDS or name.partition("/")[0] in wanted)]
        _build(made, [compiler, *flags, f'-DHW_BUILD_ID="{identity}"'], names)
    return made


def find_compiler() -> str:
    """Path of a C compiler.

    Raises:
        MissingDependencyError: there is none.
    """
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return found
    raise MissingDependencyError("no C compiler builds the firmware: none of cc, gcc and clang is there",
                                 where="hwsdk.hil.firmware",
                                 fix="install one (Debian and Ubuntu: apt install gcc libc6-dev) or use another device")


def prebuilt(name: str) -> Path:
    """A firmware image that comes with hwsdk: "m4_semihosting" or "m4_uart"; its bytes are those of SHA256SUMS.

    Raises:
        MissingDependencyError: there is no such image. HwsdkError: BAD_FIRMWARE, it was changed.
    """
    made = folder() / "prebuilt" / f"hwsdk_{name}.elf"
    sums = made.with_name("SHA256SUMS")
    listed = {name: digest for digest, name in (line.split(maxsplit=1) for line in _lines(sums))}
    if made.name not in listed or not made.is_file():
        raise MissingDependencyError(f"hwsdk comes without an image {made.name}", where=str(made.parent),
                                     fix="build it (`make -C firmware_stubs m4`) and give its path")
    if hashlib.sha256(made.read_bytes()).hexdigest() != listed[made.name]:
        raise HwsdkError(f"{made.name} is not the one that SHA256SUMS lists", where=str(made.parent),
                         code="BAD_FIRMWARE", fix="take it from the release again, or rebuild it and its sum")
    return made


def _lines(path: Path) -> list[str]:
    """Lines of a text file that are not empty; none where there is no file."""
    return [line for line in path.read_text(encoding="ascii").splitlines() if line.strip()] if path.is_file() else []


def default_cache() -> Path:
    """A folder of this user's own: in the cache folder as XDG has it, or where that cannot be written, in that for
    temporary files.

    Raises:
        HwsdkError: NO_CACHE, the latter belongs to somebody else.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "hwsdk" / "firmware"
    with contextlib.suppress(OSError):
        base.mkdir(parents=True, exist_ok=True)
    if os.access(base, os.W_OK):
        return base
    other = Path(tempfile.gettempdir()) / f"hwsdk-firmware-{os.getuid()}"
    other.mkdir(mode=0o700, exist_ok=True)
    if other.is_symlink() or other.stat().st_uid != os.getuid():
        raise HwsdkError(f"{other} belongs to another user", code="NO_CACHE", where="hwsdk.hil.firmware",
                         fix=f"make {base} writable")
    return other


def _version(compiler: str) -> str:
    """Which compiler it is."""
    run = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    return run.stdout


def _build(made: Path, command: Sequence[str], names: Sequence[str]) -> None:
    """Compile files into one of another name, then give it its own: nobody sees half of it."""
    made.parent.mkdir(parents=True, exist_ok=True)
    base = folder()
    with tempfile.TemporaryDirectory(dir=made.parent) as work:
        fresh = Path(work) / made.name
        try:
            run = subprocess.run([*command, "-o", str(fresh), *names], cwd=base, capture_output=True, text=True,
                                 check=False, timeout=BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            raise ExternalToolError(f"{command[0]} has not ended after {BUILD_SECONDS:g} s", where=str(base),
                                    code="TIMEOUT", fix="try again on a machine that is less busy") from None
        if run.returncode:
            raise _failed(command[0], run.stderr, base)
        os.replace(fresh, made)


def _failed(compiler: str, said: str, base: Path) -> HwsdkError:
    """What the compiler's words mean."""
    lines = [line for line in said.splitlines() if "error" in line or "cannot find" in line] or said.splitlines()
    shown = "\n    ".join(lines[:6])
    if "sanitizer" in said or "lasan" in said or "lubsan" in said:
        return MissingDependencyError(f"{compiler} has no sanitizers:\n    {shown}", where=str(base),
                                      fix="install its runtime (Debian and Ubuntu: apt install libasan8 libubsan1)")
    if "stdio.h" in said or "Scrt1.o" in said or "crt1.o" in said:
        return MissingDependencyError(f"{compiler} finds no C library:\n    {shown}", where=str(base),
                                      fix="install one (Debian and Ubuntu: apt install libc6-dev)")
    return ExternalToolError(f"{compiler} cannot build the firmware:\n    {shown}", where=str(base),
                             fix="see that it compiles C11; please report this with the message")
