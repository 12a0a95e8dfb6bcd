"""SpiNNaker 2 chips that are smaller than the real one, so that small networks take many PEs and break limits."""

from __future__ import annotations

from dataclasses import dataclass

from hwsdk.backends.spinnaker import SpinnakerBackend

MEMORY = 94_208
"""Data bytes of a real PE."""


@dataclass(frozen=True)
class SmallChip:
    """neurons, data: of a PE, the latter in bytes; pes: of a chip; chips: that are used; entries: of a router."""

    neurons: int = 1024
    pes: int = 148
    data: int = MEMORY
    chips: int = 1
    entries: int = 16_384


def small_backend(chip: SmallChip) -> SpinnakerBackend:
    """The backend with such chips."""
    backend = SpinnakerBackend("spinnaker2")
    target = backend.target
    kept = target.need("code") + target.need("heap_stack")
    limits = {**target.limits}
    for name, value in (("atoms_wide", chip.neurons), ("atoms_narrow", min(chip.neurons, 256)),
                        ("application_pes", chip.pes), ("sram", kept + chip.data), ("router_entries", chip.entries)):
        limits[name] = limits[name].model_copy(update={"value": value})
    backend.target = target.model_copy(update={"limits": limits})
    return backend
