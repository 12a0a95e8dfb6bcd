"""Cables between a host and a device that are pulled at one request of a run, and put in again."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import subprocess
import threading
import tty
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from kills import Watch, swallow

C = TypeVar("C", bound="Cable")


class Cable:
    """Between a host and a device; it is pulled at a request, before the device gets it or after it was executed, and
    put in again. A context manager; ``url`` is the host's end.
    """

    url = ""

    def __init__(self, watch: Watch, *, executed: bool = False) -> None:
        self._watch, self._executed, self._done = watch, executed, threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def plug(self) -> tuple[int, int, int] | None:
        """(host's end, device's end to read from, to write to), None if nobody is there yet."""
        raise NotImplementedError

    def unplug(self) -> None:
        """Both ends see that there is nothing any more."""
        raise NotImplementedError

    def end(self) -> None:
        """End the device."""
        raise NotImplementedError

    def __enter__(self: C) -> C:
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None,
                 ) -> None:
        self._done.set()
        self._thread.join()
        self.end()

    def _serve(self) -> None:
        """Pass bytes on, with whatever host comes."""
        while not self._done.is_set():
            if ends := self.plug():
                with contextlib.suppress(OSError):
                    self._pump(*ends)
                self._watch.forget()
                self.unplug()

    def _pump(self, near: int, reader: int, writer: int) -> None:
        """Until it is pulled."""
        while not self._done.is_set():
            ready, _, _ = select.select([near, reader], [], [], 0.05)
            if reader in ready:
                data = os.read(reader, 1 << 16)
                while data:
                    data = data[os.write(near, data):]
            if near in ready:
                data = os.read(near, 1 << 16)
                if not data or self._pulled(data, reader, writer):
                    return

    def _pulled(self, data: bytes, reader: int, writer: int) -> bool:
        """Pass on what the host says, if it is not the request."""
        for raw, frame, now in self._watch.frames(data):
            if not now or self._executed:
                rest = raw
                while rest:
                    rest = rest[os.write(writer, rest):]
            if now:
                if self._executed:
                    swallow(lambda: os.read(reader, 1 << 16), frame)
                return True
        return False


class Terminal(Cable):
    """A pseudo-terminal and a firmware process behind it. ``place``: a link to the terminal, which stays."""

    def __init__(self, command: list[str], place: Path, watch: Watch, *, executed: bool = False) -> None:
        super().__init__(watch, executed=executed)
        self._place, self._ends = place, (-1, -1)
        self.url = f"serial:{place}?baud=4000000"
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._open()

    def _open(self) -> None:
        self._ends = pty.openpty()
        slave = self._ends[1]
        tty.setraw(slave)
        fresh = self._place.with_suffix(".new")
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self._place)

    def plug(self) -> tuple[int, int, int] | None:
        assert self.child.stdin and self.child.stdout
        return self._ends[0], self.child.stdout.fileno(), self.child.stdin.fileno()

    def unplug(self) -> None:
        old = self._ends
        if not self._done.is_set():
            self._open()  # a host that sees that the old one is gone finds the new one
        for end in old:
            os.close(end)

    def end(self) -> None:
        finish(self.child)


class Network(Cable):
    """A socket, and behind it firmware that serves another one."""

    def __init__(self, command: list[str], watch: Watch, *, executed: bool = False) -> None:
        super().__init__(watch, executed=executed)
        self.child = subprocess.Popen([*command, "--tcp", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.child.stdout
        self._port = int(self.child.stdout.readline().split()[1])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._ends: list[socket.socket] = []
        self.url = f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"

    def plug(self) -> tuple[int, int, int] | None:
        try:
            near, _ = self._listener.accept()
        except TimeoutError:
            return None
        near.setblocking(True)
        self._ends = [near, socket.create_connection(("127.0.0.1", self._port))]
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return near.fileno(), self._ends[1].fileno(), self._ends[1].fileno()

    def unplug(self) -> None:
        for end in self._ends:
            end.close()

    def end(self) -> None:
        self._listener.close()
        finish(self.child)


def finish(child: subprocess.Popen[bytes]) -> None:
    """End firmware by closing its input."""
    assert child.stdin and child.stdout
    child.stdin.close()
    try:
        child.wait(5)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
