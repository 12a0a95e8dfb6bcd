"""Devices by URL."""

from __future__ import annotations

from hwsdk.errors import UnsupportedError
from hwsdk.hil import transports, vendors
from hwsdk.hil.device import Device


def open_device(url: str, *, timeout: float | None = None) -> Device:
    """The device of a URL: "sim:" for the simulator of the program's chip, a transport of hwsdk.hil.transports with
    firmware at its other end, or a vendor's device of hwsdk.hil.vendors.

    Args:
        timeout: seconds that one operation of a link may take.

    Raises:
        UnsupportedError: BAD_URL, there is no such kind. MissingDependencyError: what it needs is not installed.
        LinkError: nothing answers.
    """
    scheme, colon, rest = url.partition(":")
    if scheme == "sim" and colon and not rest:
        from hwsdk.hil.sim_device import SimDevice

        return SimDevice()
    if colon and scheme in vendors.names():
        return vendors.open_vendor(url)
    if colon and scheme in transports.SCHEMES:
        from hwsdk.hil.link_device import LinkDevice

        return LinkDevice(url, timeout=timeout)
    known = ("sim:", *(f"{s}:" for s in (*transports.SCHEMES, *vendors.names())))
    raise UnsupportedError(f"there is no device {url!r}", where=url, code="BAD_URL",
                           fix=f"begin it with one of {', '.join(known)}; see docs/hil.md")
