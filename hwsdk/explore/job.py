"""What all points of an exploration share, and the form in which it goes to other processes and computers."""

from __future__ import annotations

import copyreg
import hashlib
import importlib.util
import io
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from hwsdk import __version__
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network

DECIDING = ("hwsdk.cost", "hwsdk.ir", "hwsdk.targets", "hwsdk.programs", "hwsdk.backends", "hwsdk.mappers",
            "hwsdk.simulators", "hwsdk.explore.bench")
"""Parts whose code decides what a point gives."""


@dataclass(frozen=True, eq=False)
class Job:
    """networks: label -> model. data: that every point is run on. calibration: for compiling, or None."""

    networks: Mapping[str, Network]
    data: Stimulus
    calibration: Stimulus | None = None

    @cached_property
    def models(self) -> dict[str, str]:
        """Label -> digest."""
        return {n: network.digest() for n, network in self.networks.items()}

    @cached_property
    def shared(self) -> dict[str, str]:
        """What every point depends on: data, calibration data, version."""
        return {"data": stimulus_digest(self.data), "version": __version__,
                "calibration": "" if self.calibration is None else stimulus_digest(self.calibration)}

    def to_bytes(self) -> bytes:
        """For another process; ``from_bytes`` reads it. It is no form to keep."""
        stream = io.BytesIO()
        pickler = pickle.Pickler(stream, pickle.HIGHEST_PROTOCOL)
        own: dict[type, Any] = {MappingProxyType: _plain}
        pickler.dispatch_table = copyreg.dispatch_table | own
        pickler.dump((dict(self.networks), self.data, self.calibration))
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Job:
        """A job that this process or the one that started it has made."""
        return cls(*pickle.loads(content))


def _plain(proxy: MappingProxyType[object, object]) -> tuple[object, tuple[dict[object, object]]]:
    """A read-only mapping, which pickle does not know."""
    return read_only, (dict(proxy),)


def read_only(mapping: dict[object, object]) -> MappingProxyType[object, object]:
    """Found by its name when a job is read."""
    return MappingProxyType(mapping)


def stimulus_digest(stimulus: Stimulus) -> str:
    """SHA-256 over the events of all inputs and the labels, as hex."""
    h = hashlib.sha256(f"{stimulus.n_samples} {stimulus.n_steps}".encode())
    for name, e in sorted(stimulus.inputs.items()):
        h.update(f"|{name} {e.shape}".encode())
        for a in (e.sample, e.step, e.index, e.values()):
            h.update(np.ascontiguousarray(a).tobytes())
    if stimulus.labels is not None:
        h.update(b"|labels" + np.ascontiguousarray(stimulus.labels).tobytes())
    return h.hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 over the files of hwsdk that decide what a point gives, as hex; this process reads them once."""
    h = hashlib.sha256()
    for part in DECIDING:
        for path, name in _files(part):
            h.update(f"|{part}/{name}|".encode() + path.read_bytes())
    return h.hexdigest()


def _files(part: str) -> Iterator[tuple[Path, str]]:
    """(file, its name in the part) of a module or package: code and descriptions."""
    spec = importlib.util.find_spec(part)
    if spec is None or spec.origin is None:
        return
    if not spec.submodule_search_locations:
        yield Path(spec.origin), Path(spec.origin).name
        return
    root = Path(spec.origin).parent
    for path in sorted(p for ending in ("*.py", "*.toml") for p in root.rglob(ending)):
        yield path, path.relative_to(root).as_posix()


__all__ = ["Job", "code_digest", "stimulus_digest"]
