"""Speck 2f by samna, SynSense's software: found and named; hwsdk has no target for it yet, so it runs no program."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from hwsdk.backends.base import Program
from hwsdk.errors import LinkError, MissingDependencyError, UnsupportedError
from hwsdk.hil.device import Capabilities, Health, Probes
from hwsdk.hil.vendors.common import JobDevice, parts_of
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace

PREFIX = "Speck2f"
"""How samna names the boards of this chip (device_type_name of its DeviceInfo)."""
HOW = "pip install samna (Linux and macOS; boards need a USB 3.0 port and samna's udev rules)"


def boards() -> Sequence[Any]:
    """samna's DeviceInfo of every Speck 2f that is attached and not open.

    Raises:
        MissingDependencyError: NO_SAMNA.
    """
    try:
        samna = importlib.import_module("samna")
    except ImportError as error:
        raise MissingDependencyError(f"samna cannot be imported: {error}", code="NO_SAMNA", fix=HOW) from None
    return [d for d in samna.device.get_unopened_devices() if d.device_type_name.startswith(PREFIX)]


class SpeckDevice(JobDevice):
    """``speck:`` or ``speck:1``, the first or another board in samna's list. It is not opened: nothing can run on it.

    Raises:
        MissingDependencyError: NO_SAMNA. LinkError: NO_BOARD.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        place, _ = parts_of(url, ())
        found, number = boards(), int(place) if place.isdigit() else 0
        if number >= len(found):
            raise LinkError(f"{len(found)} Speck 2f board(s) that no other program has open", where=url,
                            code="NO_BOARD", fix="plug one in, and close the program that uses it")
        self._board = found[number]

    def capabilities(self) -> Capabilities:
        """What samna says of the board; kinds is empty."""
        return Capabilities(self._board.device_type_name, (), chip="Speck 2f", core="DYNAP-CNN",
                            build=f"logic {self._board.logic_version}", notes=(
                                "hwsdk has no target for Speck: it is found, and runs no program",))

    def health(self) -> Health:
        """Is the board still there?"""
        here = any(str(b) == str(self._board) for b in boards())
        return Health(here, "attached" if here else "unplugged, or in use by another program")

    def load(self, program: Program) -> None:
        """Refuse it.

        Raises:
            UnsupportedError: NO_TARGET.
        """
        raise UnsupportedError(f"a program for {program.target}; hwsdk has no target for Speck 2f", where=self.url,
                               code="NO_TARGET", fix="deploy the model with sinabs, or run it on another device")

    def _job(self, stimulus: Stimulus, probes: Probes) -> Trace:
        """Never reached: nothing can be loaded."""
        raise UnsupportedError("no program can be loaded", where=self.url, code="NOT_LOADED", fix="use another device")
