"""Pulse trains as files: CSV (name,time_ps) and VCD, where a pulse is a toggle; and readers of the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.files import atomic_file

Trains = Mapping[str, NDArray[np.int64]]
"""Name -> times in fs, sorted; a time that is there twice is two pulses."""
HEAD = ["name", "time_ps"]
FS_A_PS = 1000
FIRST, CODES = 33, 94
"""VCD's short names are made of the printable characters from "!" on (IEEE 1364-2005, 18.2)."""


def write_csv(path: str | Path, trains: Trains) -> None:
    """``csv_text`` as a file.

    Raises:
        DataError: the file cannot be written.
    """
    _write(path, csv_text(trains))


def csv_text(trains: Trains) -> str:
    """One line a pulse, by time, then name. ps have three digits, so nothing is rounded; a train without pulses is
    not in the file.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    for time, name in sorted((int(t), name) for name, times in trains.items() for t in times):
        writer.writerow([name, f"{time // FS_A_PS}.{time % FS_A_PS:03d}"])
    return text.getvalue()


def read_csv(path: str | Path) -> dict[str, NDArray[np.int64]]:
    """The trains of a CSV file.

    Raises:
        DataError: BAD_WAVES, it is not one of these files.
    """
    rows = list(csv.reader(_text(path).splitlines()))
    if not rows or rows[0] != HEAD:
        _bad(path, f"the first line is not {','.join(HEAD)}")
    found: dict[str, list[int]] = {}
    for k, row in enumerate(rows[1:], 2):
        try:
            name, time = row
            found.setdefault(name, []).append(round(float(time) * FS_A_PS))
        except (ValueError, OverflowError):
            _bad(path, f"line {k} is not a name and a time")
    return {name: np.sort(np.array(times, np.int64)) for name, times in found.items()}


def write_vcd(path: str | Path, trains: Trains, scope: str = "netlist", until_fs: int | None = None) -> None:
    """``vcd_text`` as a file.

    Raises:
        DataError: as ``vcd_text``; the file cannot be written.
    """
    _write(path, vcd_text(trains, scope, until_fs))


def vcd_text(trains: Trains, scope: str = "netlist", until_fs: int | None = None) -> str:
    """One wire a train, 0 at first, that toggles at each pulse; in fs. A dot in a name is written as "_".

    Args:
        until_fs: where viewers end.

    Raises:
        DataError: BAD_NAME, two names that a VCD cannot tell apart, or one with spaces.
    """
    names = {name: name.replace(".", "_") for name in trains}
    if len(set(names.values())) < len(names) or any(len(n.split()) != 1 for n in (*names.values(), scope)):
        raise DataError("names with spaces, or alike but for dots", where=scope, code="BAD_NAME",
                        fix="rename the trains")
    codes = {name: _code(k) for k, name in enumerate(trains)}
    lines = ["$timescale 1 fs $end", f"$scope module {scope} $end"]
    lines += [f"$var wire 1 {codes[n]} {names[n]} $end" for n in trains]
    lines += ["$upscope $end", "$enddefinitions $end", "#0", "$dumpvars", *(f"0{c}" for c in codes.values()), "$end"]
    level, now = dict.fromkeys(trains, 0), 0
    for time, _, name in sorted((int(t), k, n) for k, (n, times) in enumerate(trains.items()) for t in times):
        if time != now:
            lines.append(f"#{time}")
            now = time
        level[name] ^= 1
        lines.append(f"{level[name]}{codes[name]}")
    if until_fs is not None and until_fs > now:
        lines.append(f"#{until_fs}")
    return "\n".join(lines) + "\n"


def read_vcd(path: str | Path) -> dict[str, NDArray[np.int64]]:
    """The trains of a VCD file of one-bit wires in fs: the times of all changes after the first values.

    Raises:
        DataError: BAD_WAVES, it is not such a file.
    """
    head, _, body = _text(path).partition("$enddefinitions $end")
    if "$timescale 1 fs $end" not in head or not body:
        _bad(path, "it is not in fs, or has no definitions")
    name_of = {w[3]: w[4] for w in (line.split() for line in head.splitlines()) if w[:1] == ["$var"] and len(w) == 6}
    times: dict[str, list[int]] = {code: [] for code in name_of}
    first, now = body.partition("$end")[2], 0
    for word in first.split():
        if word[0] == "#" and word[1:].isdigit():
            now = int(word[1:])
        elif word[0] in "01" and word[1:] in times:
            times[word[1:]].append(now)
        else:
            _bad(path, f"{word!r} is no change of a wire")
    return {name_of[code]: np.array(t, np.int64) for code, t in times.items()}


def _code(k: int) -> str:
    """The short name of wire k."""
    text = chr(FIRST + k % CODES)
    while k >= CODES:
        k = k // CODES - 1
        text = chr(FIRST + k % CODES) + text
    return text


def _write(path: str | Path, text: str) -> None:
    with atomic_file(path, DataError) as stream:
        stream.write(text.encode())


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        _bad(path, "it cannot be read")


def _bad(path: str | Path, why: str) -> NoReturn:
    """Refuse a file."""
    raise DataError(why, where=str(path), code="BAD_WAVES", fix="give a file that hwsdk wrote")
