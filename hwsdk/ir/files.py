"""Writing files so that nothing half-written is ever seen."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwsdk.errors import HwsdkError


@contextmanager
def atomic_file(path: str | Path, refusal: type[HwsdkError]) -> Iterator[Any]:
    """A binary file handle under a temporary name in the same folder, moved to ``path`` only if all went well.

    Raises:
        refusal: CANNOT_WRITE, if the folder cannot be written or ``path`` is a folder, a device or a pipe.
    """
    final = Path(path)
    if final.exists() and not final.is_file():
        raise refusal(f"cannot write here: it is {'a folder' if final.is_dir() else 'a device or a pipe'}",
                      where=str(final), code="CANNOT_WRITE", fix="give the name of a file")
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{final.name}.tmp", dir=final.parent)
    except OSError as error:
        raise refusal(f"cannot write here: {error.strerror}", where=str(final), code="CANNOT_WRITE",
                      fix="choose another folder") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, final)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
