"""record: another transport, with a log of every byte in the order in which the host saw it."""

from __future__ import annotations

import contextlib
import json
import secrets
from pathlib import Path
from typing import IO

from hwsdk.errors import UnsupportedError
from hwsdk.hil.transports import inner_url
from hwsdk.hil.transports import open as open_url
from hwsdk.hil.transports.base import ByteTransport

FORMAT, VERSION = "hwsdk-link-record", 1
SENT, CAME, RESET = ">", "<", "!"
"""How a line begins: bytes from the host, bytes from the device, the device was reset from outside."""


def connect(rest: str) -> RecordTransport:
    """``FILE;URL``.

    Raises:
        UnsupportedError: BAD_URL, or the file cannot be written.
    """
    name, inner = inner_url(rest, "record")
    if not name:
        raise UnsupportedError("the file is missing", where=f"record:{rest}", code="BAD_URL",
                               fix="write record:FILE;URL")
    return RecordTransport(Path(name), open_url(inner))


class RecordTransport:
    """A transport that writes down what passes, as lines of text: the first is JSON with the nonce that the session
    has to use, so that it can be played again; then ``> hex``, ``< hex`` and ``!``.
    """

    def __init__(self, path: Path, inner: ByteTransport) -> None:
        self._inner = inner
        own = getattr(inner, "nonce", None)
        self.nonce: int = secrets.randbits(64) if own is None else own
        self.most_frame: int | None = getattr(inner, "most_frame", None)
        try:
            self._file: IO[str] = path.open("w", encoding="ascii")
        except OSError as error:
            inner.close()
            raise UnsupportedError(f"the record cannot be written: {error.strerror}", where=str(path), code="BAD_URL",
                                   fix="name a file in a folder that exists and can be written to") from None
        head = {"format": FORMAT, "version": VERSION, "nonce": self.nonce, "frame": self.most_frame,
                "line": inner.describe()}
        self._file.write(json.dumps(head) + "\n")

    @property
    def bytes_a_second(self) -> float | None:
        """Of the transport inside."""
        return self._inner.bytes_a_second

    def write(self, data: bytes) -> None:
        """As ByteTransport."""
        self._file.write(f"{SENT} {data.hex()}\n")
        self._inner.write(data)

    def read_some(self, timeout: float) -> bytes:
        """As ByteTransport."""
        data = self._inner.read_some(timeout)
        if data:
            self._file.write(f"{CAME} {data.hex()}\n")
        return data

    def reset_device(self) -> bool:
        """As ByteTransport."""
        self._file.write(f"{RESET}\n")
        return self._inner.reset_device()

    def close(self) -> None:
        """Close the file, too."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._inner.close()

    def describe(self) -> str:
        """The line inside, and where it is recorded."""
        return f"{self._inner.describe()}, recorded in {self._file.name}"
