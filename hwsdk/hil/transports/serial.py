"""serial: a board on a serial port, by name or by the numbers that its USB interface gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hwsdk.errors import LinkError, MissingDependencyError, UnsupportedError
from hwsdk.hil.transports import parse_query
from hwsdk.hil.transports.stream import Stream, require_poll

BAUD = 115_200
"""What boards have when they say nothing else."""
PULSE = 0.1
"""Seconds that a reset line is held."""


def _hexadecimal(text: str) -> int:
    """USB numbers are written so, with or without 0x."""
    return int(text, 16)


def _line(text: str) -> str:
    """The modem line that resets the board."""
    if text not in ("dtr", "rts", "none"):
        raise ValueError("it is dtr, rts or none")
    return text


PARAMETERS: dict[str, Callable[[str], Any]] = {
    "baud": int, "vid": _hexadecimal, "pid": _hexadecimal, "sn": str, "reset": _line}


def connect(rest: str) -> SerialTransport:
    """``PORT?baud=N&reset=dtr|rts|none`` or ``auto?vid=HEX&pid=HEX&sn=SERIAL_NUMBER&baud=N``.

    Raises:
        UnsupportedError: BAD_URL. MissingDependencyError: pyserial. LinkError: NOT_FOUND, NOT_UNIQUE, BUSY.
    """
    port, _, query = rest.removeprefix("//").partition("?")
    where = f"serial:{rest}"
    asked = parse_query(query, PARAMETERS, where)
    if not port or (port == "auto" and "vid" not in asked and "sn" not in asked):
        raise UnsupportedError("the port is missing: unknown ports are never opened", where=where, code="BAD_URL",
                               fix="write serial:PORT, or serial:auto?vid=HEX&pid=HEX with the numbers of the board")
    if port == "auto":
        port = find(asked, where)
    return SerialTransport(port, asked.get("baud", BAUD), asked.get("reset", "none"))


def _pyserial() -> Any:
    """The package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import serial
        import serial.tools.list_ports
    except ImportError as error:
        raise MissingDependencyError("serial ports need pyserial", fix="pip install 'hwsdk[hil]'") from error
    return serial


def attached() -> list[Any]:
    """The serial ports of this machine, as serial.tools.list_ports tells them; none is opened."""
    return sorted(_pyserial().tools.list_ports.comports())


def in_words(port: Any) -> str:
    """A port with its USB numbers."""
    usb = "no USB" if port.vid is None else f"vid={port.vid:04x} pid={port.pid:04x} sn={port.serial_number or 'none'}"
    return f"{port.device} ({usb}, {port.description})"


def find(asked: dict[str, Any], where: str) -> str:
    """The one port with these USB numbers.

    Raises:
        LinkError: NOT_FOUND or NOT_UNIQUE, with what is attached.
    """
    ports = attached()
    fits = [p for p in ports if all(
        asked.get(name) in (None, value) for name, value in (("vid", p.vid), ("pid", p.pid), ("sn", p.serial_number)))]
    if len(fits) == 1:
        return str(fits[0].device)
    there = "; ".join(map(in_words, fits or ports)) or "nothing"
    if fits:
        raise LinkError(f"{len(fits)} ports have these numbers: {there}", where=where, code="NOT_UNIQUE",
                        fix="name the port, or add sn= with the serial number")
    raise LinkError(f"no port has these numbers; attached: {there}", where=where, code="NOT_FOUND",
                    fix="plug the board in, or take the numbers from what is attached")


class SerialTransport:
    """An open port, for this process alone."""

    def __init__(self, port: str, baud: int, reset: str = "none") -> None:
        self._name, self._reset = f"serial:{port}", reset
        require_poll(self._name)
        serial = _pyserial()
        try:
            self._port = serial.Serial(port, baud, timeout=0, exclusive=True)
        except (serial.SerialException, ValueError, OSError) as error:
            raise _cannot_open(self._name, baud, error) from None
        self.bytes_a_second: float | None = baud / 10  # start bit, 8 bits, stop bit
        self._stream = Stream(self._port.fileno(), self._port.fileno(), self._name, poll_first=True)

    def write(self, data: bytes) -> None:
        """As ByteTransport."""
        self._stream.write(data)

    def read_some(self, timeout: float) -> bytes:
        """As ByteTransport."""
        return self._stream.read_some(timeout)

    def reset_device(self) -> bool:
        """Pulse the line that the URL names."""
        if self._reset == "none":
            return False
        for level in (True, False):
            setattr(self._port, self._reset, level)
            time.sleep(PULSE)
        return True

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def describe(self) -> str:
        """Port and speed."""
        return f"{self._name} at {self._port.baudrate} baud"


def _cannot_open(name: str, baud: int, error: Exception) -> LinkError:
    """Why a port cannot be opened, with what is attached."""
    number = getattr(error, "errno", None)
    busy = number in (11, 16) or "lock" in str(error)  # EAGAIN of the lock, EBUSY
    there = "; ".join(map(in_words, attached())) or "nothing"
    fix = ("end the other program that has it open" if busy else "add yourself to its group (dialout)" if number == 13
           else "plug the board in, or name a port that is attached")
    return LinkError(f"the port cannot be opened at {baud} baud: {error}; attached: {there}", where=name,
                     code="BUSY" if busy else "NOT_FOUND", fix=fix)
