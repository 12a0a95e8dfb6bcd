"""Results of dies in a file that grows line by line, so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwsdk.errors import DataError

FORM = "hwsdk yield 1"


def run_key(*parts: str) -> str:
    """A digest of all that decides the results of a run; dies and threads are no part of it."""
    return hashlib.sha256("\n".join((FORM, *parts)).encode()).hexdigest()


@dataclass(slots=True)
class Log:
    """A JSON-lines file: {"run": digest, "die": number, "value": measure}, a line a die.

    path: None keeps nothing. done: die -> value of the lines that were there.
    """

    path: Path | None
    run: str
    done: dict[int, float] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, path: str | Path | None, run: str) -> Log:
        """A log that goes on with what a file holds. A last line without its end is taken off: it was half written.

        Raises:
            DataError: OTHER_RUN, results of another program, data or settings; BAD_RESUME, no such file of results;
            CANNOT_WRITE.
        """
        if path is None:
            return cls(None, run)
        file = Path(path)
        log = cls(file, run)
        if file.exists():
            log._read(file)
        else:
            _append(file, b"")
        return log

    def _read(self, file: Path) -> None:
        """Every whole line; the file is cut behind the last of them."""
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DataError(f"it cannot be read: {error.strerror}", where=str(file), code="BAD_RESUME",
                            fix="give a file of an earlier run, or a new name") from None
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            die, value = self._line(line, f"{file}, line {number}")
            self.done[die] = value
        if not whole and content and not _begun(content):
            raise DataError("it holds no results of dies", where=str(file), code="BAD_RESUME",
                            fix="give a file of an earlier run, or a new name")
        if len(whole) < len(content):
            os.truncate(file, len(whole))

    def _line(self, line: bytes, where: str) -> tuple[int, float]:
        """(die, value) of a line."""
        try:
            row = json.loads(line)
            run, die, value = str(row["run"]), int(row["die"]), float(row["value"])
        except (ValueError, KeyError, TypeError):
            raise DataError("it is no result of a die", where=where, code="BAD_RESUME",
                            fix="give a file of an earlier run, or a new name") from None
        if run != self.run:
            raise DataError("it is of another program, other data or other settings", where=where, code="OTHER_RUN",
                            fix="give a new name, or the program, data, measure and expected run it was made with")
        return die, value

    def add(self, die: int, value: float) -> None:
        """One more result; it is in the file when this returns."""
        with self._lock:
            self.done[die] = value
            if self.path is not None:
                row = json.dumps({"run": self.run, "die": die, "value": value}) + "\n"
                _append(self.path, row.encode())


def _begun(content: bytes) -> bool:
    """Can a line without an end be one of ours?"""
    start = b'{"run": "'
    return content[: len(start)] == start[: len(content)]


def _append(path: Path, content: bytes) -> None:
    """To the end of the file, at once."""
    try:
        with path.open("ab") as stream:
            stream.write(content)
    except OSError as error:
        raise DataError(f"cannot write here: {error.strerror}", where=str(path), code="CANNOT_WRITE",
                        fix="choose another folder") from None
