"""The table of device images: kind of program -> what makes its image, loaded on first use."""

from __future__ import annotations

from importlib import import_module

from hwsdk.errors import UnsupportedError
from hwsdk.hil.image import KINDS, DeviceImage
from hwsdk.programs.stored import StoredProgram


def image_of(program: StoredProgram) -> DeviceImage:
    """The image of a program for the firmware.

    Raises:
        UnsupportedError: NO_FIRMWARE, or what the firmware lacks for this program.
    """
    if program.kind not in KINDS:
        raise UnsupportedError(f"there is no firmware for programs of kind {program.kind!r}", where=program.target,
                               code="NO_FIRMWARE", fix=f"compile for a chip of {', '.join(KINDS)}")
    image: DeviceImage = import_module(f"hwsdk.hil.image_{program.kind}").image_of(program)
    return image
