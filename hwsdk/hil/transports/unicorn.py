"""unicorn: Cortex-M4 firmware emulated in this process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hwsdk.errors import LinkError
from hwsdk.hil.transports import parse_query
from hwsdk.hil.transports.unicorn_cpu import EmulatedBoard, packages


def yes_or_no(text: str) -> bool:
    """1 or 0."""
    if text not in ("0", "1"):
        raise ValueError("it is 0 or 1")
    return text == "1"


def read_firmware(path: str, prebuilt: str, where: str) -> tuple[Path, bytes]:
    """The file that a URL names, or the one that comes with hwsdk; and what is in it.

    Raises:
        LinkError: NOT_FOUND.
    """
    if path:
        file = Path(path)
    else:
        from hwsdk.hil.firmware import prebuilt as find

        file = find(prebuilt)
    try:
        return file, file.read_bytes()
    except OSError as error:
        raise LinkError(f"{file} cannot be read: {error.strerror}", where=where, code="NOT_FOUND",
                        fix="give the path of an ELF file; `make -C firmware_stubs m4` builds it") from None


def connect(rest: str) -> UnicornTransport:
    """``[FILE][?count=1]``: semihosting firmware; without a file the one that comes with hwsdk. count: let its counter
    count instructions, exactly, eight times slower.

    Raises:
        UnsupportedError: BAD_URL. MissingDependencyError: unicorn, pyelftools. LinkError: NOT_FOUND, BAD_FIRMWARE.
    """
    path, _, query = rest.partition("?")
    where = f"unicorn:{rest}"
    asked = parse_query(query, {"count": yes_or_no}, where)
    packages()
    file, elf = read_firmware(path, "m4_semihosting", where)
    return UnicornTransport(EmulatedBoard(elf, where, count=asked.get("count", False)), file.name)


class UnicornTransport:
    """The line to an emulated board. The board runs while the host waits for it, in the thread of the host."""

    bytes_a_second: float | None = None

    def __init__(self, board: EmulatedBoard, name: str) -> None:
        self.board, self._name, self._closed = board, name, False

    def _gone(self) -> LinkError:
        """The firmware has ended, or the line was closed."""
        how = "the line is closed" if self._closed else f"the firmware has ended itself with code {self.board.ended}"
        return LinkError(how, where=f"unicorn:{self._name}", code="GONE", fix="open it again")

    def write(self, data: bytes) -> None:
        """As ByteTransport."""
        if self._closed or self.board.ended is not None:
            raise self._gone()
        self.board.feed(data)

    def read_some(self, timeout: float) -> bytes:
        """As ByteTransport."""
        data = self.board.take()
        if data:
            return data
        until = time.monotonic() + timeout
        if not self._closed:
            self.board.run(until)
            data = self.board.take()
        if not data:
            if self._closed or self.board.ended is not None:
                raise self._gone()
            time.sleep(max(until - time.monotonic(), 0.0))  # it waits for input: nothing comes by itself
        return data

    def close(self) -> None:
        """Let go of the board."""
        self._closed = True
        self.board.close()

    def reset_device(self) -> bool:
        """Take its power away for a moment."""
        if not self._closed:
            self.board.power()
        return not self._closed

    def describe(self) -> str:
        """Firmware and emulator."""
        version: Any = getattr(packages()[0], "__version__", "?")
        return f"{self._name} on a Cortex-M4F in Unicorn {version}"
