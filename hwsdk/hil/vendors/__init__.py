"""The table of vendors' devices: scheme of a URL -> where its class lives, loaded on first use.

Packages outside this one join by an entry point in the group ``hwsdk.devices``: its name is the scheme, and it leads to
a class or function that takes the URL and returns a hwsdk.hil.device.Device.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING

from hwsdk.errors import TargetError

if TYPE_CHECKING:
    from hwsdk.hil.device import Device

GROUP = "hwsdk.devices"
TABLE = {
    "lava": "hwsdk.hil.vendors.lava:LavaDevice",
    "speck": "hwsdk.hil.vendors.speck:SpeckDevice",
    "spinnaker2": "hwsdk.hil.vendors.spinnaker2:Spinnaker2Device",
}

WORDS = {"lava": "Loihi programs in Lava on this computer", "speck": "Speck 2f by samna",
         "spinnaker2": "SpiNNaker 2 by py-spinnaker2"}
"""What these are, for lists; others are devices of other packages."""


def _all() -> dict[str, str]:
    """The table with the entry points of other packages."""
    found = dict(TABLE)
    for point in metadata.entry_points(group=GROUP):
        if point.name in found:
            raise TargetError(f"two packages bring devices {point.name}: {found[point.name]} and {point.value}",
                              fix="uninstall one of them")
        found[point.name] = point.value
    return found


def names() -> tuple[str, ...]:
    """All schemes, sorted."""
    return tuple(sorted(_all()))


def open_vendor(url: str) -> Device:
    """The device of a URL such as "spinnaker2:192.168.1.52".

    Raises:
        TargetError: UNKNOWN_DEVICE, no such scheme. MissingDependencyError: the vendor's software is not there.
    """
    table, scheme = _all(), url.partition(":")[0]
    if scheme not in table:
        raise TargetError(f"no device {url!r}", code="UNKNOWN_DEVICE", fix=f"use one of {', '.join(sorted(table))}")
    module, _, attribute = table[scheme].partition(":")
    device: Device = getattr(importlib.import_module(module), attribute)(url)
    return device
