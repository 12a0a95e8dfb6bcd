"""Transports by URL: open("exec:"), open("serial:/dev/ttyACM0?baud=1000000") and so on give a ByteTransport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast

from hwsdk.errors import UnsupportedError
from hwsdk.hil.transports.base import ByteTransport

SCHEMES: Mapping[str, tuple[str, str]] = {
    "exec": ("process", "exec:[PATH [ARGUMENTS]]: a program that speaks the protocol on its standard input and output"),
    "tcp": ("tcp", "tcp:HOST:PORT: a device behind a socket"),
    "serial": ("serial", "serial:PORT?baud=N or serial:auto?vid=HEX&pid=HEX: a board on a serial port"),
    "qemu": ("qemu", "qemu:[FILE]?...: firmware in QEMU"),
    "unicorn": ("unicorn", "unicorn:[FILE]?...: Cortex-M4 firmware emulated in this process"),
    "record": ("record", "record:FILE;URL: another transport, with a log of all bytes"),
    "replay": ("replay", "replay:FILE: a log, played as the device"),
    "faulty": ("faulty", "faulty:QUERY;URL: another transport, with seeded faults"),
}
"""Scheme -> (module of this package, how it is written). Each module has ``connect(rest)``, of what follows the
colon."""


def open(url: str) -> ByteTransport:
    """The line to a device.

    Raises:
        UnsupportedError: BAD_URL, an unknown scheme or parameter. MissingDependencyError: what it needs is not
        installed.
        LinkError: there is nothing at the other end.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme not in SCHEMES:
        raise UnsupportedError(f"there is no transport {scheme!r}", where=url, code="BAD_URL",
                               fix="write one of: " + "; ".join(form for _, form in SCHEMES.values()))
    module = import_module(f"hwsdk.hil.transports.{SCHEMES[scheme][0]}")
    return cast(ByteTransport, module.connect(rest))


def parse_query(text: str, known: Mapping[str, Callable[[str], Any]], where: str) -> dict[str, Any]:
    """``a=1&b=2`` -> values, each read by what ``known`` has for its name.

    Raises:
        UnsupportedError: BAD_URL, an unknown name, a value that cannot be read, or one that comes twice.
    """
    found: dict[str, Any] = {}
    for item in filter(None, text.split("&")):
        name, equals, value = item.partition("=")
        if name not in known or not equals or name in found:
            raise UnsupportedError(f"{item!r} is not a parameter of it, or comes twice", where=where, code="BAD_URL",
                                   fix=f"write NAME=VALUE, joined by &, with the names {', '.join(known)}")
        try:
            found[name] = known[name](value)
        except (ValueError, TypeError) as error:
            raise UnsupportedError(f"{name} cannot be {value!r}: {error}", where=where, code="BAD_URL",
                                   fix=f"give {name} another value") from None
    return found


def inner_url(rest: str, scheme: str) -> tuple[str, str]:
    """``A;URL`` -> (A, URL).

    Raises:
        UnsupportedError: BAD_URL.
    """
    own, semicolon, inner = rest.partition(";")
    if not semicolon or not inner:
        raise UnsupportedError("the transport inside is missing", where=f"{scheme}:{rest}", code="BAD_URL",
                               fix=f"write {SCHEMES[scheme][1]}, as in {scheme}:{own or '...'};exec:")
    return own, inner
