"""exec: a child process that speaks the protocol on its standard input and output."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import IO, Any

from hwsdk.errors import LinkError
from hwsdk.hil.transports.stream import Stream, require_poll

PIPE = 1 << 20
"""Bytes asked for in a pipe, which Linux grants to any user (/proc/sys/fs/pipe-max-size)."""
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of linux/fcntl.h; Python 3.10 is the first that has the name
SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h
GRACE = 0.5
"""Seconds that a child has to end by itself when its input is closed."""


def connect(rest: str) -> ProcessTransport:
    """``[PATH] [ARGUMENTS]``; without a path the host-native firmware, built if need be.

    Raises:
        LinkError: NOT_FOUND. UnsupportedError: UNSUPPORTED_SYSTEM.
    """
    words = shlex.split(rest)
    if not words or words[0].startswith("-"):
        from hwsdk.hil.firmware import host_native

        words = [str(host_native()), *words]
    return ProcessTransport(words)


class ProcessTransport:
    """A child and its pipes. It ends with its host: at ``close``, at the end of the interpreter, and on Linux also if
    the host is killed, or if the thread ends that has started it.

    Args:
        command: program and arguments.
        name: for messages, else made of the command.
    """

    bytes_a_second: float | None = None

    def __init__(self, command: Sequence[str], name: str = "") -> None:
        require_poll("exec:")
        self.command, self.name = list(command), name or f"exec:{shlex.join(command)}"
        self._messages: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the transport
        self._ended: Callable[[], object] = lambda: None
        self._start()

    def _start(self) -> None:
        """Start the child."""
        host = os.getpid()
        try:
            with warnings.catch_warnings():
                # what runs between fork and exec is one system call, which takes no lock
                warnings.simplefilter("ignore", DeprecationWarning)
                self.child = subprocess.Popen(
                    self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages, bufsize=0,
                    preexec_fn=_dies_with(host) if sys.platform == "linux" else None)
        except OSError as error:
            self._messages.close()
            raise LinkError(f"{self.command[0]} cannot be started: {error.strerror}", where=self.name, code="NOT_FOUND",
                            fix="give the path of the firmware; `make -C firmware_stubs host` builds one") from None
        self._ended = weakref.finalize(self, _end, self.child)
        reader, writer = _descriptor(self.child.stdout), _descriptor(self.child.stdin)
        for descriptor in (reader, writer):
            _widen(descriptor)
        self._stream = Stream(reader, writer, self.name, why=self.messages)

    def write(self, data: bytes) -> None:
        """As ByteTransport."""
        self._stream.write(data)

    def read_some(self, timeout: float) -> bytes:
        """As ByteTransport."""
        return self._stream.read_some(timeout)

    def messages(self) -> str:
        """The end of what the child has written to its standard error, and how it ended if it has."""
        code = self.child.poll()
        if code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.child.wait(0.1)  # its pipes close a moment before it is gone
        how = "" if code is None else f"it ended with {signal.Signals(-code).name if code < 0 else f'code {code}'}"
        if self._messages.closed:
            return how
        size = os.fstat(self._messages.fileno()).st_size
        text = os.pread(self._messages.fileno(), 2000, max(0, size - 2000)).decode("utf-8", "replace").strip()
        return "; ".join(filter(None, (how, text)))

    def reset_device(self) -> bool:
        """Kill the child and start it again: whatever was under way is lost."""
        _end(self.child, 0.0)
        self._ended()
        self._start()
        return True

    def close(self) -> None:
        """End the child."""
        self._ended()
        self._messages.close()

    def describe(self) -> str:
        """Command and process number."""
        return f"{self.name} (process {self.child.pid})"


def _descriptor(pipe: IO[Any] | None) -> int:
    """Of a pipe that was asked for."""
    return -1 if pipe is None else pipe.fileno()


def _end(child: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """Close its input, wait a little, then kill it."""
    with contextlib.suppress(OSError):
        if child.stdin:
            child.stdin.close()
    try:
        if grace <= 0:
            child.kill()
        child.wait(grace or None)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout:
        child.stdout.close()


def _widen(descriptor: int) -> None:
    """Ask for a larger pipe, which saves changes between host and child; no matter if that is refused."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, SET_PIPE_SIZE, PIPE)


def _dies_with(host: int) -> Callable[[], None]:
    """What a child calls before it becomes another program: it shall be killed when its host ends."""
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != host:  # it ended before we could ask
            os._exit(1)

    return ask


