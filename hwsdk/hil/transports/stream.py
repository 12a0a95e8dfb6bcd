"""Stream: bytes over file descriptors, without ever waiting for both sides at once."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from hwsdk.errors import LinkError, UnsupportedError

CHUNK = 1 << 18
"""Bytes read at once: more than a pipe of Linux holds."""
MOST_HELD = 1 << 26
"""Bytes that wait for a line that takes none; a host with a window never comes near."""


def require_poll(name: str) -> None:
    """Raises:
        UnsupportedError: UNSUPPORTED_SYSTEM, this system cannot wait for descriptors of all kinds.
    """
    if not hasattr(select, "poll"):
        raise UnsupportedError("this system cannot wait for lines of all kinds", where=name, code="UNSUPPORTED_SYSTEM",
                               fix="use Linux, macOS, or WSL on Windows")


class Stream:
    """What has to be sent waits here while the line is full, and goes out while the host waits for answers: so neither
    side can block the other.

    Args:
        reader: descriptor to read from; ``writer``: to write to; both are made non-blocking.
        name: of the line, for messages.
        why: more about an end of the line, as what a process has said last.
        poll_first: whether b"" means "nothing yet" unless the descriptor was ready, as on a terminal.

    Raises:
        UnsupportedError: UNSUPPORTED_SYSTEM.
    """

    def __init__(self, reader: int, writer: int, name: str, *, why: Callable[[], str] = lambda: "",
                 poll_first: bool = False) -> None:
        require_poll(name)
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        self._reader, self._writer, self._name, self._why, self._poll_first = reader, writer, name, why, poll_first
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        """Send, or keep what the line does not take now.

        Raises:
            LinkError: GONE, or STUCK if more waits than any window.
        """
        if self._waiting:
            self._waiting += data
        else:
            taken = self._push(data)
            if taken < len(data):
                self._waiting += data[taken:]
        if len(self._waiting) > MOST_HELD:
            raise LinkError(f"{len(self._waiting)} bytes wait for a line that takes none", where=self._name,
                            code="STUCK",
                            fix="reset the device")

    def _push(self, data: bytes | bytearray) -> int:
        """How many bytes the line took."""
        taken, view = 0, memoryview(data)
        try:
            while taken < len(view):
                taken += os.write(self._writer, view[taken:])
        except BlockingIOError:
            pass
        except OSError as error:
            raise self.gone(error) from None
        finally:
            view.release()
        return taken

    def gone(self, error: object = "") -> LinkError:
        """The error that says that the line is closed."""
        told, error = self._why(), f" ({error})" if error else ""
        return LinkError(f"the line is closed at the other end{error}{f': {told}' if told else ''}",
                         where=self._name, code="GONE", fix="see that the device is there and runs, and open it again")

    def read_some(self, timeout: float) -> bytes:
        """What is there; b"" if nothing comes within ``timeout`` seconds.

        Raises:
            LinkError: GONE.
        """
        if not self._poll_first and not self._waiting:
            data = self._pull()
            if data is not None:
                return data
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if self._ready(max(left, 0.0)):
                data = self._pull()
                if data is not None:
                    return data
            if left <= 0:
                return b""

    def _ready(self, timeout: float) -> bool:
        """Wait until there is something to read, and send meanwhile; whether there is."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if self._waiting:
            poll.register(self._writer, select.POLLOUT | (select.POLLIN if self._reader == self._writer else 0))
        readable = False
        for descriptor, events in poll.poll(timeout * 1000):
            readable |= descriptor == self._reader and bool(events & ~select.POLLOUT)
            if descriptor == self._writer and events & select.POLLOUT:
                del self._waiting[:self._push(self._waiting)]
            elif descriptor == self._writer and descriptor != self._reader:
                raise self.gone()
        return readable

    def _pull(self) -> bytes | None:
        """What can be read now, None if nothing."""
        try:
            data = os.read(self._reader, CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self.gone(error) from None
        if not data:
            raise self.gone()
        return data
