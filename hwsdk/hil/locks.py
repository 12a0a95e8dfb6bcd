"""One lock a port, so that two programs never talk to one board at once; the error names who has it."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwsdk.errors import LinkError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SHARED = 0o666
"""Mode of a lock file: another user's programs have to see it."""
POLL_S = 0.05
NAMED = 40
"""Letters of a port's name in the name of its lock file."""


def folder() -> Path:
    """Where the locks of all users of this computer lie; it is made if it is missing."""
    path = Path(tempfile.gettempdir()) / "hwsdk-locks"
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o777)
    return path


def port_of(url: str) -> str:
    """What a URL stands for, the same for all its names: the device file behind links, without options and decorators.
    "" for what any number of programs can open at once: a child process, an emulator, a simulator, a recording.
    """
    inner = url.rsplit(";", 1)[-1]
    scheme, _, rest = inner.partition(":")
    place = rest.split("?", 1)[0]
    if scheme == "serial" and place == "auto":
        return inner
    if scheme == "serial":
        path = "/" + place.lstrip("/") if place.startswith("//") else place
        return f"serial:{os.path.realpath(path) if path.startswith('/') else path.upper()}"
    return f"{scheme}:{place.strip('/')}" if scheme in ("tcp", "spinnaker2", "speck") or inner.startswith(
        "lava:hardware") else ""


class PortLock:
    """The lock of what a URL stands for; a context manager. A program that dies leaves no lock behind that counts.

    wait: seconds to wait for another holder. where: folder of the locks, default ``folder()``.

    Raises:
        LinkError: PORT_IN_USE, with the process that holds it.
    """

    def __init__(self, url: str, *, wait: float = 0.0, where: Path | None = None) -> None:
        self.port = port_of(url)
        self._wait, self._handle = wait, -1
        self._path: Path | None = None
        if self.port:
            name = re.sub(r"\W+", "-", self.port).strip("-")[-NAMED:]
            number = hashlib.sha256(self.port.encode()).hexdigest()[:8]
            self._path = (where or folder()) / f"{name}-{number}.lock"

    def acquire(self) -> PortLock:
        """Take it; nothing happens for a URL that needs none, or if it is held by this object already."""
        until = time.monotonic() + self._wait
        while self.port and self._handle < 0 and not self._take():
            if time.monotonic() >= until:
                raise LinkError(f"it is in use by {_named(self.holder())}", where=self.port, code="PORT_IN_USE",
                                fix="end that program, or wait for it")
            time.sleep(POLL_S)
        return self

    def release(self) -> None:
        """Give it back; may be called twice."""
        handle, self._handle = self._handle, -1
        if handle < 0 or self._path is None:
            return
        with contextlib.suppress(OSError):
            if fcntl is None:
                os.close(handle)
                self._path.unlink(missing_ok=True)
            else:  # the file stays: who removed it could remove one that another program has just locked
                os.ftruncate(handle, 0)
                os.close(handle)

    def holder(self) -> Mapping[str, Any]:
        """pid, host, user, command and since (seconds of the epoch) of who holds it, as far as the file tells."""
        try:
            found = json.loads(self._path.read_text("utf-8")) if self._path is not None else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def __enter__(self) -> PortLock:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _take(self) -> bool:
        """Try once."""
        if self._path is None:
            return True
        try:
            handle = _flocked(self._path) if fcntl is not None else _created(self._path, self.holder())
        except OSError as error:
            raise LinkError(f"its lock cannot be taken: {error}", where=self.port, code="NO_LOCK",
                            fix="let all users write in that folder, or set TMPDIR to another one") from None
        if handle is None:
            return False
        os.write(handle, json.dumps(_myself()).encode())
        self._handle = handle
        return True


def _flocked(path: Path) -> int | None:
    """A handle with the lock of the kernel, which ends with the process; None if another has it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SHARED)
        with contextlib.suppress(OSError):
            os.fchmod(handle, SHARED)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    os.ftruncate(handle, 0)
    return handle


def _created(path: Path, holder: Mapping[str, Any]) -> int | None:
    """A handle of a new file; None if there is one whose process lives. That of a dead process is removed first."""
    pid = holder.get("pid")
    if isinstance(pid, int) and holder.get("host") == platform.node() and not alive(pid):
        path.unlink(missing_ok=True)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, SHARED)
    except FileExistsError:
        return None


def alive(pid: int) -> bool:
    """Is there such a process on this computer?"""
    if sys.platform == "win32":  # os.kill(pid, 0) would send Ctrl-C there
        import ctypes

        query, still_active = 0x1000, 259  # PROCESS_QUERY_LIMITED_INFORMATION, STILL_ACTIVE
        handle = ctypes.windll.kernel32.OpenProcess(query, False, pid)
        code = ctypes.c_ulong()
        known = handle and ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(known) and code.value == still_active
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _myself() -> dict[str, Any]:
    """What the file says of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = ""
    return {"pid": os.getpid(), "host": platform.node(), "user": user, "command": " ".join(sys.argv[:6])[:200],
            "since": round(time.time(), 3)}


def _named(holder: Mapping[str, Any]) -> str:
    """A holder in words."""
    if "pid" not in holder:
        return "another process"
    since = max(time.time() - float(holder.get("since", time.time())), 0)
    by = f" of {holder['user']}" if holder.get("user") else ""
    return f"process {holder['pid']}{by} ({holder.get('command') or 'unknown'}), for {since:.0f} s"
