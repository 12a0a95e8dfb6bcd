"""What is attached and what is installed: boards on serial ports, emulators, vendors' software, and what each can run.

Nothing is ever sent to a port that the hardware map does not name: somebody else's board could take it for a command.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hwsdk.errors import DataError, HwsdkError, MissingDependencyError
from hwsdk.hil import vendors
from hwsdk.hil.device import Device
from hwsdk.hil.devices import open_device
from hwsdk.hil.locks import PortLock
from hwsdk.hil.transports import serial
from hwsdk.hil.transports.serial import BAUD

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Opener = Callable[[str], Device]
VID_PID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class Board:
    """An entry of a hardware map: what a serial port has to be (serial_number and vid_pid of its USB device, as far as
    they are given), or a url. name: to choose it by. chip: in words. baud: of its UART.
    """

    name: str
    serial_number: str = ""
    vid_pid: str = ""
    chip: str = ""
    baud: int = BAUD
    url: str = ""

    def is_at(self, port: Any) -> bool:
        """Is this the board at a port of pyserial's list?"""
        wanted = [(self.serial_number.lower(), (port.serial_number or "").lower()), (self.vid_pid, ids_of(port))]
        return not self.url and all(a == b for a, b in wanted if a)

    def url_at(self, port: Any) -> str:
        """What to open it by."""
        return f"serial:{port.device}?baud={self.baud}"


@dataclass(frozen=True, slots=True)
class HardwareMap:
    """boards: in the order of the file. asked: VID:PIDs that are asked who they are without an entry of their own."""

    boards: tuple[Board, ...] = ()
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A device. usable: it can be opened now; why: why not, and fix: what to do then. kinds: of programs that it runs,
    as it says itself; empty where it was not asked. board: its name in the hardware map.
    """

    url: str
    what: str
    kinds: tuple[str, ...] = ()
    usable: bool = True
    why: str = ""
    fix: str = ""
    chip: str = ""
    board: str = ""


def read_map(path: str | Path) -> HardwareMap:
    """A hardware map, TOML: ``[[device]]`` tables with the fields of Board, and ``ask = ["vid:pid", ...]``.

    Raises:
        DataError: NO_FILE, BAD_MAP.
    """
    try:
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        raise DataError("there is no such hardware map", where=str(path), code="NO_FILE",
                        fix="give the path of a .toml file (docs/hil_pytest.md)") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad(path, f"it cannot be read: {error}") from None
    if unknown := sorted(set(data) - {"device", "ask"}):
        raise _bad(path, f"it knows [[device]] and ask, not {unknown[0]}")
    asked = data.get("ask", [])
    if not isinstance(asked, list) or not all(isinstance(x, str) and VID_PID.fullmatch(x.lower()) for x in asked):
        raise _bad(path, f'ask is {asked!r}; it is a list such as ["2e8a:000a"]')
    entries = data.get("device", [])
    boards = tuple(_board(path, k, e) for k, e in enumerate(entries if isinstance(entries, list) else [entries]))
    names = [b.name for b in boards]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise _bad(path, f"two devices are called {twice[0]!r}")
    return HardwareMap(boards, tuple(x.lower() for x in asked))


def _board(path: str | Path, number: int, entry: Any) -> Board:
    """One table of a map."""
    known = {f.name: f.type for f in fields(Board)}
    if not isinstance(entry, dict) or (unknown := sorted(set(entry) - set(known))):
        named = f"; it knows {', '.join(known)}, not {unknown[0]}" if isinstance(entry, dict) else ""
        raise _bad(path, f"device {number + 1} is no table of a board{named}")
    wrong = [n for n, v in entry.items() if type(v) is not (int if n == "baud" else str)]
    if wrong or not entry.get("name") or entry.get("baud", BAUD) < 1:
        raise _bad(path, f"device {number + 1}: {wrong[0] if wrong else 'name or baud'} is missing or of a wrong type")
    if not any(entry.get(n) for n in ("serial_number", "vid_pid", "url")):
        raise _bad(path, f"device {entry['name']!r} says neither serial_number nor vid_pid nor url")
    ids = entry.get("vid_pid", "").lower()
    if ids and not VID_PID.fullmatch(ids):
        raise _bad(path, f'device {entry["name"]!r}: vid_pid is {ids!r}; write it as "2e8a:000a"')
    return Board(**(entry | {"vid_pid": ids}))


def _bad(path: str | Path, why: str) -> DataError:
    return DataError(why, where=str(path), code="BAD_MAP", fix="correct the file; docs/hil_pytest.md shows one")


def ids_of(port: Any) -> str:
    """VID:PID of a port of pyserial's list, "" if it is no USB device."""
    return "" if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"


def attached(map_file: str | Path | None = None, *, ask: bool = True, opener: Opener | None = None) -> list[Found]:
    """Everything that could run a program here, or why it cannot.

    Args:
        map_file: hardware map of the boards; without one no port is written to. ask: open what may be opened and let it
            say what it runs; False only looks. opener: URL -> device; default hwsdk.hil.devices.open_device.

    Raises:
        DataError: the map cannot be read.
    """
    known = HardwareMap() if map_file is None else read_map(map_file)
    asks = (opener or open_device) if ask else None
    return [*emulators(asks), *boards(known, asks), *vendor_devices(asks)]


def boards(known: HardwareMap, opener: Opener | None = None) -> list[Found]:
    """The boards of a map, attached or not, then the other serial ports. opener: asks those that may be asked."""
    ports = _ports()
    if ports is None:
        return [Found(b.url or "serial:", _described(b), usable=False, why="pyserial is not installed",
                      fix="pip install pyserial", chip=b.chip, board=b.name) if not b.url else _mapped(b, b.url, opener)
                for b in known.boards]
    found = [_find(b, ports, opener) for b in known.boards]
    return found + [_stranger(p, known, opener) for p in ports if not any(b.is_at(p) for b in known.boards)]


def _find(board: Board, ports: Sequence[Any], opener: Opener | None) -> Found:
    """A board of the map, where it is."""
    if board.url:
        return _mapped(board, board.url, opener)
    here = [p for p in ports if board.is_at(p)]
    if len(here) == 1:
        return _mapped(board, board.url_at(here[0]), opener)
    if here:
        return Found("serial:", _described(board), usable=False, chip=board.chip, board=board.name,
                     why=f"{len(here)} ports are such a board: {', '.join(p.device for p in here)}",
                     fix="add its serial_number to the map: " + ", ".join(str(p.serial_number) for p in here))
    return Found("serial:", _described(board), usable=False, why="it is not plugged in", chip=board.chip,
                 fix="plug it in, and look at its cable and power", board=board.name)


def _mapped(board: Board, url: str, opener: Opener | None) -> Found:
    """A board of the map that can be opened."""
    return _asked(Found(url, _described(board), chip=board.chip, board=board.name), opener)


def _described(board: Board) -> str:
    """In words."""
    return ", ".join(filter(None, [board.name, board.chip, board.vid_pid, board.serial_number]))


def _stranger(port: Any, known: HardwareMap, opener: Opener | None) -> Found:
    """A port that no entry of the map names."""
    ids = ids_of(port)
    what = ", ".join(filter(None, [port.description if port.description != "n/a" else "", ids, port.serial_number]))
    url = f"serial:{port.device}?baud={BAUD}"
    if ids and ids in known.asked:
        return _asked(Found(url, what), opener)
    lines = f'[[device]] name = "board", vid_pid = "{ids}"' + (
        f', serial_number = "{port.serial_number}"' if port.serial_number else "")
    return Found(url, what or "a serial port", usable=False, why="it was not asked: no hardware map names it",
                 fix=(f"if it is a board with hwsdk's firmware, add to the map: {lines}" if ids else
                      "it is no USB device; if it is a board with hwsdk's firmware, add it to the map with its url"))


def emulators(opener: Opener | None = None) -> list[Found]:
    """The simulators, and hwsdk's firmware on this computer: as a process, in Unicorn, in QEMU."""
    rows = [
        ("sim:", "the simulator of a program's target", True, "", ""),
        ("exec:", "firmware as a process on this computer", bool(shutil.which("cc") or shutil.which("gcc")),
         "there is no C compiler", "apt install gcc (macOS: xcode-select --install)"),
        ("unicorn:", "firmware on a Cortex-M4F in Unicorn", bool(importlib.util.find_spec("unicorn")),
         "unicorn is not installed", "pip install unicorn pyelftools"),
        ("qemu:", "firmware on a Cortex-M4F in QEMU", bool(shutil.which("qemu-system-arm")),
         "there is no qemu-system-arm", "apt install qemu-system-arm"),
    ]
    return [_asked(Found(url, what), opener) if here else Found(url, what, usable=False, why=why, fix=fix)
            for url, what, here, why, fix in rows]


def vendor_devices(opener: Opener | None = None) -> list[Found]:
    """Vendors' devices, with what they say of themselves or need; without an opener only their names."""
    named = [Found(f"{name}:", vendors.WORDS.get(name, "a device of another package")) for name in vendors.names()]
    found = [_asked(f, opener) for f in named]
    if opener is not None and any(f.url == "lava:" and f.usable for f in found):
        found.append(_asked(Found("lava:hardware", "Loihi 2 by Lava"), opener))
    return found


def _asked(found: Found, opener: Opener | None) -> Found:
    """With what the device says of itself; a port that another program has is left alone."""
    if opener is None:
        return found
    try:
        with PortLock(found.url), opener(found.url) as device:
            c = device.capabilities()
    except HwsdkError as error:
        return Found(found.url, found.what, usable=False, why=error.what.splitlines()[0], fix=error.fix,
                     chip=found.chip, board=found.board)
    except Exception as error:  # an adapter of another package
        return Found(found.url, found.what, usable=False, why=f"it stopped with {type(error).__name__}: {error}",
                     fix="report it to the makers of its adapter", chip=found.chip, board=found.board)
    name = ", ".join(dict.fromkeys(filter(None, [found.board, c.name, c.core])))
    return Found(found.url, name, c.kinds, bool(c.kinds), "" if c.kinds else "; ".join(c.notes), "",
                 c.chip or found.chip, found.board)


def _ports() -> Sequence[Any] | None:
    """pyserial's list, sorted; None without pyserial."""
    try:
        return serial.attached()
    except MissingDependencyError:
        return None


def url_of(name: str, known: HardwareMap) -> str:
    """The URL of a board of the map, by its name; what holds a colon is a URL already.

    Raises:
        DataError: UNKNOWN_BOARD, NOT_ATTACHED.
    """
    if ":" in name:
        return name
    found: Iterable[Found] = (f for f in boards(HardwareMap(known.boards)) if f.board == name)
    for f in found:
        if f.usable:
            return f.url
        raise DataError(f"{name}: {f.why}", code="NOT_ATTACHED", fix=f.fix)
    raise DataError(f"{name!r} is no URL, and the hardware map has no device of that name", code="UNKNOWN_BOARD",
                    fix=f"use one of {', '.join(b.name for b in known.boards) or 'sim:, exec:, serial:/dev/ttyACM0'}")
