"""Results in a file that grows by a line a point, so that a kill at any moment loses none and repeats none."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from hwsdk.errors import DataError
from hwsdk.explore.result import Result

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORM = "hwsdk explore 1"
PINNED = {"calibration": "calibration data", "version": "versions of hwsdk", "code": "code of hwsdk"}
"""What a head holds, as people read it."""
START = b'{"form": "hwsdk explore'
"""Of every such file."""


class Store:
    """A JSON-lines file: a head that pins models, data and code, then a result a line.

    A line is written in one piece at the end and is on the disk when ``add`` returns. A last line that was half written
    is taken off when the file is opened again. Only one process at a time has the file open. path None keeps nothing.

    Raises:
        DataError: EXISTS, there is such a file and ``resume`` is not set; LOCKED; OTHER_RUN, results of other models,
        data or code; BAD_STORE, no such file; CANNOT_WRITE.
    """

    def __init__(self, path: str | Path | None, head: Mapping[str, Any], resume: bool = False) -> None:
        self.path = None if path is None else Path(path)
        self.done: dict[str, Result] = {}
        self.dropped = False
        """A half-written line was taken off."""
        self._handle = -1
        if self.path is not None:
            self._open(self.path, {"form": FORM, **head}, resume)

    def _open(self, path: Path, head: Mapping[str, Any], resume: bool) -> None:
        """Take the file; read or begin it."""
        if path.exists() and not path.is_file():
            raise DataError("cannot write here: it is no file", where=str(path), code="CANNOT_WRITE",
                            fix="give the name of a file")
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            self._lock(path)
            content = path.read_bytes()
            whole = self._whole(content, path)
            if whole and not resume:
                raise DataError("there are results in it", where=str(path), code="EXISTS",
                                fix="go on with it (--resume), or give a new name")
            self._read(whole, head, path)
            if len(whole) < len(content):
                os.ftruncate(self._handle, len(whole))
                self.dropped = True
            if not whole:
                self._append(head)
                self._sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def _lock(self, path: Path) -> None:
        """Two explorations of one file would repeat each other's points."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError("another exploration is writing it", where=str(path), code="LOCKED",
                            fix="wait for it, or give a new name") from None

    @staticmethod
    def _whole(content: bytes, path: Path) -> bytes:
        """All lines that were written to their end."""
        whole = content[: content.rfind(b"\n") + 1]
        last = whole[whole.rfind(b"\n", 0, -1) + 1 :]
        if last and not _is_json(last):  # a disk that lost power may have kept the length and not the content
            whole = whole[: len(whole) - len(last)]
        if content and content[: len(START)] != START[: len(content)]:
            raise DataError("it holds no results of an exploration", where=str(path), code="BAD_STORE",
                            fix="give a file of an earlier exploration, or a new name")
        return whole

    def _read(self, whole: bytes, head: Mapping[str, Any], path: Path) -> None:
        """Head and results."""
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = json.loads(line)
                if number == 1:
                    _require_head(row, head, path)
                    continue
                result = Result.from_dict(row)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise DataError("it is no result of a point", where=f"{path}, line {number}", code="BAD_STORE",
                                fix="take that line out, or give a new name") from None
            self.done[result.key] = result

    def add(self, result: Result) -> None:
        """One more; it is on the disk when this returns. A point that is there already is not written again."""
        if result.key in self.done:
            return
        self.done[result.key] = result
        if self.path is not None:
            self._append(result.to_dict())

    def _append(self, row: Mapping[str, Any]) -> None:
        """A line at the end, in one piece or not at all."""
        line = json.dumps(row).encode() + b"\n"
        before = os.fstat(self._handle).st_size
        try:
            if os.write(self._handle, line) < len(line):
                raise OSError(28, "no space left")
            os.fsync(self._handle)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, before)
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"cannot write here: {error.strerror}", where=str(self.path), code="CANNOT_WRITE",
                         fix="choose another folder, or make room; what it holds is whole")

    @staticmethod
    def _sync_folder(folder: Path) -> None:
        """The name of a new file has to be on the disk too."""
        with contextlib.suppress(OSError):  # not every system opens folders
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def close(self) -> None:
        """Give the file free; may be called twice."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
                 ) -> None:
        self.close()


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _require_head(row: Mapping[str, Any], head: Mapping[str, Any], path: Path) -> None:
    """Results go together only if models, data and code are the same."""
    other = [n for n in (*head, *sorted(set(row) - set(head))) if row.get(n) != head.get(n)]
    if other:
        raise DataError(f"its results are of other {', '.join(PINNED.get(n, n) for n in other)}", where=str(path),
                        code="OTHER_RUN", fix="give a new name, or what it was made with")


__all__ = ["FORM", "Store"]
