"""Whether the arrays of a SpinnakerProgram have their types, lengths and ranges: a file from elsewhere may be broken.

What the images hold, and whether it fits together, is for the simulator to check.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.spinnaker import LINKS, ROUTE_WORDS, SpinnakerArrays, SpinnakerProgram

TYPES = {"image_ptr": "i8", "image": "u1", "slice_ptr": "i8", "neuron_ptr": "i8", "router_ptr": "i8",
         "learned_ptr": "i8", "router_key": "u4", "router_mask": "u4", "router_pes": "u4", "router_links": "u1"}
"""Arrays that are not int32."""
ALIKE = (("chip_x", "chip_y"), ("pe_chip", "pe_core", "pe_x", "pe_y", "pe_hops"),
         ("router_key", "router_mask", "router_pes", "router_links"))
"""Arrays of one length each."""
POINTERS = (("image_ptr", "pe_chip", "image"), ("slice_ptr", "pe_chip", "slice_sender"),
            ("neuron_ptr", "slice_sender", "neuron"), ("router_ptr", "chip_x", "router_key"),
            ("learned_ptr", "pe_chip", "learned_synapse"))
"""Pointers, one entry and the end for each of the second array, into the third; those of no learned words are empty."""


def require_form(program: SpinnakerProgram) -> SpinnakerProgram:
    """The program itself, if each array is what SpinnakerArrays says.

    Raises:
        ProgramError: INCONSISTENT.
    """
    if wrong := _wrong(program.arrays):
        raise ProgramError(wrong, where=program.name, code="INCONSISTENT", fix="compile the model again")
    return program


def _wrong(a: SpinnakerArrays) -> str:
    """What is wrong, if anything is."""
    for name in SpinnakerArrays.__slots__:
        x: NDArray[np.generic] = getattr(a, name)
        if x.dtype != TYPES.get(name, "i4") or x.shape[1:] != ((ROUTE_WORDS,) if name == "router_pes" else ()) \
                or not x.ndim:
            return f"{name} is an array {list(x.shape)} of {x.dtype}"
    for names in ALIKE:
        if len({len(getattr(a, n)) for n in names}) > 1:
            return f"{', '.join(names)} are not of one length"
    for name, of, into in POINTERS:
        ptr, end = getattr(a, name), len(getattr(a, into))
        if name == "learned_ptr" and not len(ptr) and not end:
            continue
        if len(ptr) != len(getattr(a, of)) + 1 or ptr[0] or (np.diff(ptr) < 0).any() or ptr[-1] != end:
            return f"{name} does not divide {into}"
    return _out_of_range(a)


def _out_of_range(a: SpinnakerArrays) -> str:
    """Which PE or link there cannot be."""
    chips, cores = len(a.chip_x), 32 * ROUTE_WORDS
    if len({*zip(a.chip_x.tolist(), a.chip_y.tolist(), strict=True)}) < chips:
        return "two chips at one place"
    if ((a.pe_chip < 0) | (a.pe_chip >= chips) | (a.pe_core < 0) | (a.pe_core >= cores) | (a.pe_hops < 0)).any():
        return f"a PE beyond {chips} chip(s) of {cores} cores"
    if len(np.unique(a.pe_chip.astype(np.int64) * cores + a.pe_core)) < len(a.pe_core):
        return "two PEs on one core"
    return f"links beyond {', '.join(LINKS)}" if (a.router_links >> len(LINKS)).any() else ""
