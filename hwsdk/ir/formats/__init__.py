"""Readers: model files and nir graphs become networks, data files become stimuli."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwsdk.errors import ModelError, SemanticsError
from hwsdk.ir.formats.convert import convert, placed
from hwsdk.ir.formats.data import load_data
from hwsdk.ir.formats.from_nir import from_graph, is_graph, is_node
from hwsdk.ir.formats.guess import check_options
from hwsdk.ir.formats.hdf5 import read_graph
from hwsdk.ir.formats.lava_dl import is_lava_dl, read_lava_dl
from hwsdk.ir.formats.modules import from_module, is_module
from hwsdk.ir.formats.raw import RawGraph
from hwsdk.ir.formats.spinnaker2 import ON_EDGES, OPTIONS, as_py_spinnaker2, conversion
from hwsdk.ir.ledger import Ledger, LedgerEntry
from hwsdk.ir.network import Network
from hwsdk.ir.semantics import preset as preset_named

__all__ = ["load", "load_data"]

def load(source: str | os.PathLike[str] | object, *, preset: str | None = None, strict: bool = False,
         name: str | None = None, sample: object = None, **overrides: Any) -> Network:
    """The network of a .nir file, a lava-dl .net file, a nir.NIRGraph or node, a torch module, or an ir.Network.

    Args:
        source: what to load. A Network comes back as it is, with its semantics changed where options are given.
        preset: origin framework, one of hwsdk.ir.semantics.PRESETS.
        strict: refuse instead of guessing what the file does not say.
        name: the network's name; default: the file's stem, or "network".
        sample: for a snnTorch, sinabs or Norse module, and only then: an input that the module accepts.
        overrides: fields of ir.Semantics (dt, reset, comparison, integrator, ...); None means not given. A lava-dl file
            takes those of hwsdk.ir.formats.lava_dl.LavaDlOptions instead (reset_interval, skip_layers, ...). The
            presets of py-spinnaker2 take scale_weights and conn_delay too, see hwsdk.ir.formats.spinnaker2.Conversion.

    Returns:
        A validated Network; its ledger says what was read, assumed and changed.

    Warns:
        SemanticsWarning: something that can change spikes was guessed.

    Raises:
        ModelError: the source cannot be read or says something impossible; ``where`` names file and node.
        SemanticsError: unknown or bad options, or ``strict`` and something to guess.
    """
    if is_lava_dl(source):
        return _from_lava_dl(source, preset, overrides, name)
    chosen, left = conversion(preset, overrides)
    given = check_options(left)
    if isinstance(source, Network):
        return _with_semantics(source, preset, given, name, [k for k in OPTIONS if overrides.get(k) is not None])
    if is_module(source):
        return _from_module(source, sample, preset, given, name or "network")
    graph, label = _raw(source)
    shown = name or (Path(label).stem if label else "network")
    try:
        network = convert(graph, shown, preset=preset, strict=strict, given=given)
        return network if chosen is None else as_py_spinnaker2(network, chosen)
    except ModelError as error:
        raise placed(error, label or shown) from None


def _from_lava_dl(source: object, preset: str | None, given: Mapping[str, Any], name: str | None) -> Network:
    """A lava-dl file's network; the file states its own semantics."""
    path = Path(os.fspath(source))  # type: ignore[call-overload]
    if preset not in (None, "lava", "lava-dl"):
        raise SemanticsError(f"the preset {preset}; a lava-dl network states its own semantics", where=path.name,
                             code="PRESET_NOT_NEEDED", fix="leave the preset out")
    return read_lava_dl(path, name or path.stem, given)


def _from_module(module: object, sample: object, preset: str | None, given: Mapping[str, Any], name: str) -> Network:
    """A torch module's network; the module states its own semantics."""
    if preset is not None:
        raise SemanticsError("a preset is for files; a torch module states its own semantics", where=name,
                             code="PRESET_NOT_NEEDED", fix="leave the preset out")
    return from_module(module, sample, name, given)


def _raw(source: object) -> tuple[RawGraph, str]:
    """The raw graph, and the file's name ("" for an object)."""
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source))
        try:
            return read_graph(path), path.name
        except ModelError as error:
            raise placed(error, str(path)) from None
    if is_graph(source) or is_node(source):
        return from_graph(source), ""
    raise ModelError(f"a {type(source).__name__} cannot be loaded", code="BAD_SOURCE",
                     fix="give the path of a .nir file, a nir.NIRGraph, a torch module or an hwsdk Network")


def _with_semantics(network: Network, preset: str | None, given: Mapping[str, Any], name: str | None,
                    of_files: list[str]) -> Network:
    """A Network with other semantics; its delays are edges already and stay, and so do its weights."""
    if of_files:
        raise SemanticsError(f"{', '.join(of_files)} cannot be changed any more", where=network.name,
                             code="LOADED_ALREADY", fix="give them when the file is loaded")
    fixed = [k for k in ON_EDGES if k in given]
    if fixed:
        raise SemanticsError(f"{', '.join(fixed)} cannot be changed: the network's edges already carry their delays",
                             where=network.name, code="DELAYS_FIXED", fix="give the delays when the file is loaded")
    changes = dict(given)
    if preset is not None:
        kept = {k: getattr(network.semantics, k) for k in ON_EDGES}
        changes = {**preset_named(preset).to_dict(), **kept, **given}
    if not changes and name in (None, network.name):
        return network
    told = ", ".join(f"{k}={v}" for k, v in changes.items())
    note = Ledger((LedgerEntry("changed", "", "SEMANTICS", f"semantics set again: {told}"),)) if changes else Ledger()
    return network.replace(name=name or network.name, semantics=network.semantics.with_(**changes),
                           ledger=network.ledger + note)
