"""Finding a Python that has Lava, and running Lava so that it always ends and leaves no process behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import FrameType

from hwsdk.errors import ExternalToolError, MissingDependencyError

VARIABLE = "HWSDK_LAVA_PYTHON"
KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
"""Environment variables that a child gets; everything else, above all PYTHON*, could change what runs."""
VERSION = "0.10.0"
"""The lava-nc whose arithmetic is meant; others may compute differently."""
PROBE = f"import sys; from importlib import metadata; sys.exit(metadata.version('lava-nc') != '{VERSION}')"
TAIL = 12
"""Lines of an error output that are shown."""
GRACE_S = 2.0
"""Between SIGTERM and SIGKILL; in it Python's resource tracker frees the shared memory of the ended processes."""
HOW = (f"it needs Python 3.10: python3.10 -m venv .venv-lava && .venv-lava/bin/pip install lava-nc=={VERSION} "
       f"(in a checkout: make lava); then set {VARIABLE}=.venv-lava/bin/python")


def find_python(python: str | Path | None = None) -> Path:
    """A Python 3.10 that has Lava: ``python``, else HWSDK_LAVA_PYTHON, else .venv-lava of the checkout, else
    python3.10 on the path. One that is named but cannot be used is an error; the next is not tried.

    Raises:
        MissingDependencyError: NO_LAVA.
    """
    named = python or os.environ.get(VARIABLE)
    if named:
        if not _has_lava(Path(named)):
            raise MissingDependencyError(f"this is no Python with lava-nc {VERSION}", where=str(named), code="NO_LAVA",
                                         fix=HOW)
        return Path(named)
    for candidate in _candidates():
        if _has_lava(candidate):
            return candidate
    raise MissingDependencyError(f"no Python with lava-nc {VERSION} was found", code="NO_LAVA", fix=HOW)


def _candidates() -> Iterator[Path]:
    """Where a Python with Lava may be."""
    yield Path(__file__).resolve().parents[1] / ".venv-lava" / "bin" / "python"
    on_path = shutil.which("python3.10")
    if on_path is not None:
        yield Path(on_path)


def _has_lava(python: Path) -> bool:
    """Ask the interpreter."""
    try:
        asked = subprocess.run([python, "-c", PROBE], env=_environment(), capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _environment() -> dict[str, str]:
    """The child's environment."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def lava_is_here() -> bool:
    """Has the running interpreter this Lava?"""
    try:
        return metadata.version("lava-nc") == VERSION
    except metadata.PackageNotFoundError:
        return False


def run_child(python: Path, root: Path, names: Sequence[str], timeout: float) -> None:
    """Run lava_child.py on a folder of jobs; ``names`` are those of their programs, for messages.

    Raises:
        ExternalToolError: TIMEOUT or CRASHED.
    """
    # a copy: beside the original lies lava.py, which the child would take for lava-nc
    child = Path(shutil.copy(Path(__file__).with_name("lava_child.py"), root / "child.py"))
    errors = root / "errors.txt"
    with errors.open("wb") as err:  # a file: a pipe would stay open in processes that Lava leaves behind
        process = subprocess.Popen([python, child, root], stdin=subprocess.DEVNULL, stdout=err, stderr=err, cwd=root,
                                   env=_environment(), start_new_session=True)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise _too_slow(root, names, timeout) from None
        finally:
            end_group(process)
    if process.returncode:
        tail = "\n    ".join(errors.read_text("utf-8", "replace").strip().splitlines()[-TAIL:])
        raise ExternalToolError(f"Lava ended with code {process.returncode}; its last lines:\n    {tail}",
                                where=_current(root, names), code="CRASHED",
                                fix="if the lines do not say what is wrong, report them with the program")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, and its group: first politely, so that shared memory is freed."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sent)
        until = time.monotonic() + GRACE_S
        while time.monotonic() < until:
            process.poll()
            if not _group_lives(process.pid):
                process.wait()
                return
            time.sleep(0.01)


def _group_lives(group: int) -> bool:
    """Does the group have a process?"""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def run_here(root: Path, names: Sequence[str], timeout: float) -> None:
    """Run the jobs in this interpreter, which has Lava. The time limit needs the main thread; others have none.

    Raises:
        ExternalToolError: TIMEOUT or CRASHED.
    """
    from hwsdk.backends import lava_child

    before = set(multiprocessing.active_children())
    try:
        with _alarm(timeout):
            for k in range(len(names)):
                (root / "current").write_text(str(k))
                lava_child.run_job(root / str(k))
    except _Late:
        raise _too_slow(root, names, timeout) from None
    except Exception as error:
        raise ExternalToolError(f"Lava stopped with {type(error).__name__}: {error}", where=_current(root, names),
                                code="CRASHED", fix="if this does not say what is wrong, report it with the program") \
            from error
    finally:  # Lava's own stop() may wait for ever after an exception
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
            process.join()


class _Late(Exception):
    """The time is over."""


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _Late after some seconds, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(_number: int, _frame: FrameType | None) -> None:
        raise _Late

    old = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def _too_slow(root: Path, names: Sequence[str], timeout: float) -> ExternalToolError:
    """What to say when the time is over."""
    return ExternalToolError(f"Lava did not end within {timeout:g} s and was stopped", where=_current(root, names),
                             code="TIMEOUT", fix="give a longer time limit, or fewer samples or steps; Lava also waits "
                             "for ever when one of its processes fails without a message")


def _current(root: Path, names: Sequence[str]) -> str:
    """The program that was running."""
    try:
        return names[int((root / "current").read_text())]
    except (OSError, ValueError, IndexError):
        return ""
