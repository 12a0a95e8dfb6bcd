"""Read .npy, .npz and .csv files into named arrays; declared sizes are checked before anything is read."""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from hwsdk.errors import DataError

Arrays = Mapping[str, np.ndarray[Any, Any]]
MAX_BYTES = 2 << 30
COLUMNS = ("sample", "step", "index", "value")
_BROKEN = (ValueError, OSError, EOFError, KeyError, SyntaxError, TypeError, OverflowError, RuntimeError, UnicodeError,
           NotImplementedError, zipfile.BadZipFile, zlib.error)


def read_npy(path: Path) -> np.ndarray[Any, Any]:
    """The array of an .npy file.

    Raises:
        DataError: BAD_FILE, BAD_DTYPE, TOO_LARGE.
    """
    try:
        with path.open("rb") as file:
            return _read_array(file, path.name, MAX_BYTES)
    except _BROKEN as problem:
        raise _bad_file("an .npy file", problem) from None


def read_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an .npz file by name.

    Raises:
        DataError: BAD_FILE, BAD_DTYPE, TOO_LARGE.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    left = MAX_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    name = member.removesuffix(".npy")
                    arrays[name] = _read_array(file, name, left)
                    left -= arrays[name].nbytes
    except _BROKEN as problem:
        raise _bad_file("an .npz file", problem) from None
    if not arrays:
        raise DataError("the archive holds no arrays", code="BAD_FILE", fix="write it with numpy.savez")
    return arrays


def _bad_file(kind: str, problem: BaseException) -> DataError:
    """What numpy or zipfile said, in one line."""
    said = (str(problem).splitlines() or [type(problem).__name__])[0][:200]
    return DataError(f"it cannot be read as {kind} ({said})", code="BAD_FILE", fix="write the file again with numpy")


def _read_array(file: IO[bytes], name: str, left: int) -> np.ndarray[Any, Any]:
    """One array in .npy form; its header is checked first."""
    shape, fortran, dtype = _header(file, name)
    if dtype.kind not in "biufSU":
        raise DataError(f"values of type {dtype} are not numbers", where=name, code="BAD_DTYPE",
                        fix="save booleans, integers or floats; pickled objects are not read")
    need = math.prod(shape) * dtype.itemsize
    if need > left or any(n < 0 for n in shape):
        raise DataError(f"the array {shape} of {dtype} needs {need:,} bytes, the limit is {MAX_BYTES:,}", where=name,
                        code="TOO_LARGE", fix="store fewer samples, or events instead of dense frames")
    data = file.read(need)
    if len(data) != need:
        raise DataError(f"it ends after {len(data):,} of {need:,} bytes", where=name, code="BAD_FILE",
                        fix="copy the file again; it is cut short")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, fortran order, dtype) of an array in .npy form."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = npy_format.read_magic(file)
            reader = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, fortran, dtype = reader(file)
    except Exception as problem:  # numpy evaluates the header as Python, so a damaged one can raise anything
        raise DataError(f"its .npy header is damaged ({type(problem).__name__})", where=name, code="BAD_FILE",
                        fix="write the file again with numpy") from None
    return shape, fortran, dtype


def read_csv(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of an event list with a header row naming step, index and optionally sample and value.

    Raises:
        DataError: NO_HEADER, BAD_CSV, TOO_LARGE.
    """
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"the file has {path.stat().st_size:,} bytes, the limit is {MAX_BYTES:,}", code="TOO_LARGE",
                        fix="store the events as .npz")
    try:
        with path.open(encoding="utf8") as file:
            names = [n.strip().strip('"').lower() for n in file.readline().split(",")]
            _check_header(names)
            rows = [_row(line, names, number) for number, line in enumerate(file, 2) if line.strip()]
    except (UnicodeDecodeError, OSError) as problem:
        raise _bad_file("a CSV file", problem) from None
    table = np.array(rows, np.float64).reshape(len(rows), len(names))
    return {name: table[:, i] for i, name in enumerate(names)}


def _check_header(names: list[str]) -> None:
    """The first row names the columns."""
    unknown = [n for n in names if n not in COLUMNS]
    if unknown or not {"step", "index"} <= set(names) or len(set(names)) != len(names):
        raise DataError(f"the first row ({','.join(names)[:80]}) does not name the columns step and index "
                        "(and optionally sample, value)", code="NO_HEADER",
                        fix="write events under the header sample,step,index,value; save dense data as .npy")


def _row(line: str, names: list[str], number: int) -> list[float]:
    """The numbers of one row."""
    cells = line.split(",")
    try:
        values = [float(c) for c in cells]
    except ValueError:
        values = []
    if len(values) != len(names):
        raise DataError(f"row {number} ({line.strip()[:60]!r}) does not hold {len(names)} numbers", code="BAD_CSV",
                        fix="give one number for each column of the header")
    return values
