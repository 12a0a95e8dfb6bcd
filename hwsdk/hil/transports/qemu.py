"""qemu: firmware on an emulated board, an MPS2-AN386 (Cortex-M4F) or a RISC-V `virt`, as the file says."""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hwsdk.errors import LinkError, MissingDependencyError, UnsupportedError
from hwsdk.hil.transports import parse_query
from hwsdk.hil.transports.base import ByteTransport
from hwsdk.hil.transports.process import ProcessTransport
from hwsdk.hil.transports.stream import Stream
from hwsdk.hil.transports.unicorn import read_firmware

LINKS = ("semihosting", "stdio", "pty", "tcp")
PATIENCE = 10.0
"""Seconds for QEMU to start and open its side of a line."""
BAUD = 1_000_000
"""Of the UART; QEMU moves about 100 kB/s inwards, whatever the rate."""
NOTE = 0x48570100


class Board(NamedTuple):
    """tool: QEMU's program, in the package ``install``; options: of the board; note: the address at which a firmware
    finds what its ticks are worth; shifts: that count instructions exactly.
    """

    tool: str
    install: str
    options: tuple[str, ...]
    note: int
    shifts: range


BOARDS: Mapping[int, Board] = {
    40: Board("qemu-system-arm", "qemu-system-arm", ("-M", "mps2-an386"), 0x003FFFF0, range(7, 11)),
    243: Board("qemu-system-riscv32", "qemu-system-misc", ("-M", "virt", "-bios", "none"), 0x87FFFFF0, range(0, 11)),
}
"""Machine of an ELF file (EM_ARM, EM_RISCV) -> board. A timer of 25 MHz resolves single instructions from 2^7 ns on."""


def _link(text: str) -> str:
    """How the firmware's port reaches the host."""
    if text not in LINKS:
        raise ValueError(f"it is {', '.join(LINKS)}")
    return text


def connect(rest: str) -> QemuTransport:
    """``[FILE][?link=semihosting|stdio|pty|tcp&icount=N]``; without a file one that comes with hwsdk. link: the port of
    the firmware: semihosting, or its UART, as standard input and output of QEMU, as a terminal, or as a socket. icount:
    the emulated clock advances 2^N ns with each instruction, and the counter of the firmware counts them.

    Raises:
        UnsupportedError: BAD_URL. MissingDependencyError: QEMU, pyserial. LinkError: NOT_FOUND, BAD_FIRMWARE, NO_START.
    """
    path, _, query = rest.partition("?")
    where = f"qemu:{rest}"
    asked = parse_query(query, {"link": _link, "icount": int}, where)
    link = asked.get("link", "semihosting")
    file, elf = read_firmware(path, "m4_semihosting" if link == "semihosting" else "m4_uart", where)
    machine = int.from_bytes(elf[18:20], "little") if elf[:4] == b"\x7fELF" else 0
    if machine not in BOARDS:
        raise LinkError(f"{file} is no ELF file for ARM or RISC-V", where=where, code="BAD_FIRMWARE",
                        fix="give one that `make -C firmware_stubs m4` or `riscv` makes")
    board = BOARDS[machine]
    if link == "semihosting" and machine != 40:
        raise UnsupportedError("this firmware has a UART only", where=where, code="BAD_URL", fix="add link=stdio")
    if "icount" in asked and asked["icount"] not in board.shifts:
        raise UnsupportedError(f"icount={asked['icount']} does not count single instructions on this board",
                               where=where, code="BAD_URL",
                               fix=f"take {board.shifts[0]} to {board.shifts[-1]}; 8 is usual")
    return QemuTransport(command(board, file, link, asked.get("icount")), link, where)


def command(board: Board, file: Path, link: str, icount: int | None) -> list[str]:
    """Program and arguments, up to those of the line.

    Raises:
        MissingDependencyError: QEMU is not installed.
    """
    tool = shutil.which(board.tool)
    if tool is None:
        raise MissingDependencyError(f"{board.tool} is not installed", fix=f"apt install {board.install}")
    found = [tool, *board.options, "-display", "none", "-monitor", "none", "-kernel", str(file)]
    if icount is not None:
        note = f"loader,addr={board.note:#x},data={NOTE | icount:#x},data-len=4"
        found += ["-icount", f"shift={icount}", "-device", note]
    if link == "semihosting":
        found += ["-serial", "none", "-semihosting-config", "enable=on,target=native"]
    return found


class QemuTransport:
    """The line to a board in QEMU. QEMU ends with its host, as ProcessTransport says."""

    def __init__(self, command: Sequence[str], link: str, name: str) -> None:
        self._command, self._link, self._name = list(command), link, name
        self._start()

    def _start(self) -> None:
        """Start QEMU and open its port."""
        if self._link in ("semihosting", "stdio"):
            more = [] if self._link == "semihosting" else ["-serial", "stdio"]
            self._process = ProcessTransport([*self._command, *more], self._name)
            self._line: ByteTransport = self._process
            return
        try:
            self._line = self._open_pty() if self._link == "pty" else self._open_socket()
        except BaseException:
            if hasattr(self, "_process"):
                self._end()
            raise

    def _open_pty(self) -> ByteTransport:
        """QEMU makes a terminal and says which."""
        from hwsdk.hil.transports.serial import SerialTransport

        self._process = ProcessTransport([*self._command, "-serial", "pty"], self._name)
        until, told = time.monotonic() + PATIENCE, b""
        while not (terminal := re.search(rb"redirected to (\S+)", told)):
            told += self._process.read_some(0.1)
            if time.monotonic() > until:
                raise self._no_start("it does not say which terminal it has opened")
        return SerialTransport(terminal.group(1).decode(), BAUD)

    def _open_socket(self) -> ByteTransport:
        """QEMU connects to a port that we have."""
        with socket.create_server(("127.0.0.1", 0)) as ours:
            to = f"tcp:127.0.0.1:{ours.getsockname()[1]},nodelay=on"
            self._process = ProcessTransport([*self._command, "-serial", to], self._name)
            ours.settimeout(PATIENCE)
            try:
                connection, _ = ours.accept()
            except TimeoutError:
                raise self._no_start("it does not connect") from None
        return _Socket(connection, self._name)

    def _no_start(self, what: str) -> LinkError:
        """QEMU has not come up."""
        told = self._process.messages()
        return LinkError(f"QEMU has not started within {PATIENCE:g} s: {what}{f'; {told}' if told else ''}",
                         where=self._name, code="NO_START", fix=f"try the command by hand: {' '.join(self._command)}")

    @property
    def bytes_a_second(self) -> float | None:
        """Of the UART, where there is one."""
        return None if self._link == "semihosting" else BAUD / 10

    @property
    def pid(self) -> int:
        """Number of QEMU's process."""
        return self._process.child.pid

    def write(self, data: bytes) -> None:
        """As ByteTransport."""
        self._line.write(data)

    def read_some(self, timeout: float) -> bytes:
        """As ByteTransport."""
        return self._line.read_some(timeout)

    def _end(self) -> None:
        """Close the line and end QEMU, which does not end by itself when a UART is closed."""
        line = getattr(self, "_line", None)
        if line is not None and line is not self._process:
            line.close()
        if self._link != "semihosting":
            self._process.child.kill()
        self._process.close()

    def close(self) -> None:
        """End QEMU."""
        self._end()

    def reset_device(self) -> bool:
        """Take the board's power away for a moment: QEMU is started again."""
        self._end()
        self._start()
        return True

    def describe(self) -> str:
        """Command and process number."""
        return self._process.describe()


class _Socket:
    """A connection that was accepted."""

    bytes_a_second: float | None = None

    def __init__(self, connection: socket.socket, name: str) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection, self._name = connection, name
        self._stream = Stream(connection.fileno(), connection.fileno(), name)

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    def read_some(self, timeout: float) -> bytes:
        return self._stream.read_some(timeout)

    def close(self) -> None:
        self._connection.close()

    def reset_device(self) -> bool:
        return False

    def describe(self) -> str:
        return self._name
