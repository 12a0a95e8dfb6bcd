"""tcp: a device behind a socket."""

from __future__ import annotations

import socket

from hwsdk.errors import LinkError, UnsupportedError
from hwsdk.hil.transports.stream import Stream

PATIENCE = 5.0
"""Seconds to wait for a connection."""


def connect(rest: str) -> TcpTransport:
    """``HOST:PORT`` or ``//HOST:PORT``; an IPv6 address in brackets.

    Raises:
        UnsupportedError: BAD_URL. LinkError: NOT_FOUND, nobody listens there.
    """
    host, _, port = rest.removeprefix("//").rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UnsupportedError("host or port is missing", where=f"tcp:{rest}", code="BAD_URL",
                               fix="write tcp:HOST:PORT, as in tcp:192.168.1.52:5555")
    return TcpTransport(host.strip("[]"), int(port))


class TcpTransport:
    """A connection, without delay of small packets."""

    bytes_a_second: float | None = None

    def __init__(self, host: str, port: int) -> None:
        self._name = f"tcp:{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), PATIENCE)
        except OSError as error:
            raise LinkError(f"nobody answers there: {error}", where=self._name, code="NOT_FOUND",
                            fix="see that the device runs, listens on this port and can be reached") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = Stream(self._socket.fileno(), self._socket.fileno(), self._name)

    def write(self, data: bytes) -> None:
        """As ByteTransport."""
        self._stream.write(data)

    def read_some(self, timeout: float) -> bytes:
        """As ByteTransport."""
        return self._stream.read_some(timeout)

    def reset_device(self) -> bool:
        """Not from here."""
        return False

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def describe(self) -> str:
        """Host and port."""
        return self._name
