"""What all programs share: a digest over everything that decides what the chip does, and a .hwx file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from hwsdk import __version__
from hwsdk.errors import ProgramError
from hwsdk.ir.ledger import Ledger
from hwsdk.ir.nodes import Shape, size
from hwsdk.ir.semantics import Semantics
from hwsdk.programs import container
from hwsdk.programs.container import Arrays

P = TypeVar("P", bound="StoredProgram")


@dataclass(frozen=True, slots=True)
class Port:
    """A graph input."""

    name: str
    shape: Shape

    @property
    def n(self) -> int:
        """Elements."""
        return size(self.shape)


class Lagging(Protocol):
    """A population of a program that runs some steps behind the model."""

    @property
    def name(self) -> str:
        """Of the population."""

    @property
    def lag(self) -> int:
        """Steps."""


def lags_of(populations: Iterable[Lagging], outputs: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Population, and output that reads a single one, -> steps that it runs behind the model."""
    own = {p.name: p.lag for p in populations}
    return own | {n: own[p[0]] for n, p in outputs.items() if len(p) == 1}


class StoredProgram:
    """Base of the programs: frozen dataclasses with the fields below. kind: of the file, one a chip family."""

    __slots__ = ()
    kind: ClassVar[str]
    target: str
    target_version: str
    target_digest: str
    semantics: Semantics
    ledger: Ledger

    def _body(self) -> dict[str, Any]:
        """The JSON part of the program."""
        raise NotImplementedError

    def _arrays(self) -> Arrays:
        """The arrays of the program by name."""
        raise NotImplementedError

    @classmethod
    def _from(cls: type[P], manifest: container.Manifest, arrays: dict[str, Any]) -> P:
        """The program of a file's content."""
        raise NotImplementedError

    def digest(self) -> str:
        """SHA-256 over everything that decides what the chip does, as hex."""
        return container.content_digest(self._body(), self._arrays())

    def save(self, path: str | Path) -> Path:
        """Write a .hwx file."""
        manifest = container.Manifest(
            schema_version=container.SCHEMA, kind=self.kind, tool=f"hwsdk {__version__}", digest=self.digest(),
            target=self.target, target_version=self.target_version, target_digest=self.target_digest,
            semantics=self.semantics.to_dict(),
            ledger=[[e.kind, e.node, e.code, e.text] for e in self.ledger.entries], body=self._body())
        return container.write(path, manifest, self._arrays())

    @classmethod
    def load(cls: type[P], path: str | Path) -> P:
        """Read a .hwx file.

        Raises:
            ProgramError: damaged, of another schema, or for another kind of chip.
        """
        manifest, arrays = container.read(path)
        if manifest.kind != cls.kind:
            raise ProgramError(f"a program of kind {manifest.kind!r}", where=str(path), code="WRONG_KIND",
                               fix="load it with hwsdk.load_program")
        try:
            return cls._from(manifest, arrays)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ProgramError(f"a field is missing or wrong: {error}", where=str(path),
                               fix="compile the model again") from None
