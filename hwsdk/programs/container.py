"""The .hwx file: a zip of one JSON manifest and plain .npy arrays. The same program gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from hwsdk.errors import ProgramError
from hwsdk.ir.files import atomic_file

SCHEMA = 2
MAX_BYTES = 8 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)

Arrays = Mapping[str, NDArray[Any]]


class Manifest(BaseModel):
    """What every .hwx file says about itself; ``body`` is the program's own part."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: int
    kind: str
    tool: str
    digest: str
    target: str
    target_version: str
    target_digest: str
    semantics: dict[str, Any]
    ledger: list[list[str]]
    body: dict[str, Any]


def content_digest(body: Mapping[str, Any], arrays: Arrays) -> str:
    """SHA-256 over the body and every array with its type and shape, as hex."""
    h = hashlib.sha256(json.dumps(body, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        h.update(f"|{name}|{array.dtype.str}|{array.shape}|".encode())
        h.update(array.tobytes())
    return h.hexdigest()


def write(path: str | Path, manifest: Manifest, arrays: Arrays) -> Path:
    """Write a .hwx file: to a temporary name beside it, then moved into place."""
    with atomic_file(path, ProgramError) as handle, zipfile.ZipFile(handle, "w", compresslevel=1) as archive:
        _add(archive, "manifest.json", manifest.model_dump_json(indent=1).encode())
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.save(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            _add(archive, f"arrays/{name}.npy", buffer.getvalue())
    return Path(path)


def read(path: str | Path) -> tuple[Manifest, dict[str, NDArray[Any]]]:
    """Read a .hwx file and check its digest.

    Raises:
        ProgramError: not a .hwx file, of another schema, damaged, or changed since it was written.
    """
    where = str(path)
    _check_file(Path(path))
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_BYTES:
                raise ProgramError("it unpacks to more than 8 GiB", where=where, fix="compile it again")
            manifest = Manifest.model_validate_json(archive.read("manifest.json"))
            _check_schema(manifest, where)
            arrays = {n[len("arrays/") : -len(".npy")]: np.load(io.BytesIO(archive.read(n)), allow_pickle=False)
                      for n in archive.namelist() if n.startswith("arrays/")}
    except ProgramError:
        raise
    except Exception as error:  # whatever zipfile, json, pydantic and numpy raise on damaged bytes
        raise ProgramError(f"not a readable .hwx file: {_short(error)}", where=where,
                           fix="compile the model again with: hwsdk compile MODEL --target T -o P.hwx") from None
    if content_digest(manifest.body, arrays) != manifest.digest:
        raise ProgramError("its content does not match its digest; it was damaged or edited", where=where,
                           code="DIGEST_MISMATCH", fix="compile the model again")
    return manifest, arrays


def _check_file(path: Path) -> None:
    """Refuse what cannot be a program, by its kind."""
    if path.is_dir():
        raise ProgramError("it is a folder", where=str(path), code="NOT_A_FILE", fix="give a .hwx file")
    if not path.is_file():
        raise ProgramError("there is no such file", where=str(path), code="NO_FILE",
                           fix="check the path, or make it with: hwsdk compile MODEL --target T -o P.hwx")
    with path.open("rb") as file:
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            raise ProgramError("it is an HDF5 file, perhaps a model, and no compiled program", where=str(path),
                               code="NOT_A_PROGRAM", fix=f"compile it first: hwsdk compile {path} --target T -o P.hwx")


def _check_schema(manifest: Manifest, where: str) -> None:
    if manifest.schema_version != SCHEMA:
        raise ProgramError(f"schema version {manifest.schema_version}, this hwsdk reads {SCHEMA}", where=where,
                           code="SCHEMA_VERSION", fix="compile the model again with this hwsdk")


def _short(error: Exception) -> str:
    """The first line of an exception."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """One entry with a fixed time stamp."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)
