"""What a command checks before it starts to work: files that must be there, folders that must take a result."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from hwsdk.errors import HwsdkError


def require_input(path: str | None, what: str) -> None:
    """Refuse a missing file, a folder, or a file that belongs somewhere else; ``what`` names what is wanted.

    Raises:
        HwsdkError: NO_FILE, NOT_A_FILE or WRONG_FILE.
    """
    if path is None:
        return
    file = Path(path)
    if file.is_dir():
        raise HwsdkError(f"it is a folder, {what} is wanted", where=path, code="NOT_A_FILE", fix=_inside(file, what))
    if not file.exists():
        raise HwsdkError(f"there is no such file ({what} is wanted)", where=path, code="NO_FILE", fix=_similar(file))
    if file.suffix == ".hwx" and what != PROGRAM:
        raise HwsdkError(f"it is a compiled program, {what} is wanted", where=path, code="WRONG_FILE",
                         fix=f"simulate it with: hwsdk simulate {path} --input DATA")
    if not os.access(file, os.R_OK):
        raise HwsdkError("it may not be read", where=path, code="NO_FILE", fix="change its permissions")


PROGRAM, MODEL, DATA, TRACE = "a .hwx program", "a .nir or .net model", "a data file", "a trace of hwsdk simulate"
RECORDING, BOARDS = "a recording of hwsdk hil", "a hardware map"
ENDINGS = {PROGRAM: (".hwx",), MODEL: (".nir", ".net"), TRACE: (".npz",),
           RECORDING: (".hwlog",), BOARDS: (".toml",),
           DATA: (".npz", ".npy", ".csv", ".h5", ".hdf5", ".nir")}


def _inside(folder: Path, what: str) -> str:
    """Name a file of the folder that would do."""
    found = sorted(p.name for p in folder.iterdir() if p.suffix in ENDINGS[what])
    return f"give a file in it, for example {folder / found[0]}" if found else f"give the path of {what}"


def _similar(file: Path) -> str:
    """Name a file of the same folder that looks alike."""
    if not file.parent.is_dir():
        return f"check the path; there is no folder {file.parent}"
    near = difflib.get_close_matches(file.name, os.listdir(file.parent), 1, 0.75)
    return f"check the path; there is {file.parent / near[0]}" if near else "check the path"


def require_output(path: str | None, suffix: str) -> None:
    """Refuse a result that could not be written, before any work is done.

    Raises:
        HwsdkError: CANNOT_WRITE.
    """
    if path is None:
        return
    file = Path(path)
    if file.is_dir():
        raise HwsdkError("cannot write here: it is a folder", where=path, code="CANNOT_WRITE",
                         fix=f"give the name of a file, for example {file / ('result' + suffix)}")
    if file.exists() and not file.is_file():
        raise HwsdkError("cannot write here: it is a device or a pipe", where=path, code="CANNOT_WRITE",
                         fix="give the name of a file, or leave -o out to write nothing")
    if not file.parent.is_dir():
        raise HwsdkError(f"cannot write here: there is no folder {file.parent}", where=path, code="CANNOT_WRITE",
                         fix=f"make it first: mkdir -p {file.parent}")
    if not os.access(file.parent, os.W_OK):
        raise HwsdkError(f"cannot write here: the folder {file.parent} is read-only", where=path, code="CANNOT_WRITE",
                         fix="choose another folder")


def require_target(name: str) -> None:
    """Refuse an unknown target before the model is read.

    Raises:
        TargetError: no such target.
    """
    from hwsdk import backends

    backends.get(name)


def require_proxy(target: str, name: str | None) -> None:
    """Refuse an unknown proxy before anything runs.

    Raises:
        TargetError: the target documents no such proxy.
    """
    from hwsdk import backends
    from hwsdk.errors import TargetError

    known = backends.get(target).target.proxy
    if name is not None and (known is None or known.name != name):
        raise TargetError(f"{target} documents no proxy {name!r}", code="NO_PROXY",
                          fix="leave --proxy out" if known is None else f"use --proxy {known.name}")
