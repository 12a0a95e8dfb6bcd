"""The table of backends: name -> where its class lives, loaded on first use.

Packages outside this one join by an entry point in the group ``hwsdk.backends``.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from hwsdk.errors import ProgramError, TargetError

if TYPE_CHECKING:
    from hwsdk.backends.base import Backend, Program

TABLE = {
    "loihi1": "hwsdk.backends.loihi:LoihiBackend",
    "loihi2": "hwsdk.backends.loihi:LoihiBackend",
    "memristor": "hwsdk.backends.memristor:MemristorBackend",
    "memristor_128": "hwsdk.backends.memristor:MemristorBackend",
    "memristor_ideal": "hwsdk.backends.memristor:MemristorBackend",
    "memristor_isaac": "hwsdk.backends.memristor:MemristorBackend",
    "memristor_neurram": "hwsdk.backends.memristor:MemristorBackend",
    "memristor_pcm": "hwsdk.backends.memristor:MemristorBackend",
    "sfq": "hwsdk.backends.sfq:SfqBackend",
    "spinnaker2": "hwsdk.backends.spinnaker:SpinnakerBackend",
}


def _all() -> dict[str, str]:
    """The table with the entry points of other packages."""
    found = dict(TABLE)
    for point in metadata.entry_points(group="hwsdk.backends"):
        if point.name in found:
            raise TargetError(f"two backends are called {point.name!r}: {found[point.name]} and {point.value}",
                              fix="uninstall one of the packages")
        found[point.name] = point.value
    return found


def names() -> tuple[str, ...]:
    """Names of all backends, sorted."""
    return tuple(sorted(_all()))


def get(name: str) -> Backend:
    """The backend of a target.

    Raises:
        TargetError: no such target.
    """
    table = _all()
    if name not in table:
        raise TargetError(f"no target {name!r}", code="UNKNOWN_TARGET", fix=f"use one of {', '.join(sorted(table))}")
    module, _, attribute = table[name].partition(":")
    backend: Backend = getattr(importlib.import_module(module), attribute)(name)
    return backend


def load_program(path: str | Path) -> Program:
    """A program from a .hwx file.

    Raises:
        ProgramError: damaged, of another schema, or for a chip whose description has changed since.
    """
    from hwsdk.programs import container

    manifest, _ = container.read(path)
    backend = get(manifest.target)
    if backend.target.digest() != manifest.target_digest:
        raise ProgramError(f"it was compiled for version {manifest.target_version} of {manifest.target}, whose "
                           f"description has changed since", where=str(path), code="TARGET_CHANGED",
                           fix="compile the model again")
    return backend.load(Path(path))
