"""What all programs share: a digest over everything that decides what the chip does, and a .hwx file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from hwsdk import __version__
from hwsdk.errors import ProgramError, UnsupportedError
from hwsdk.ir.early_exit import ExitRule
from hwsdk.ir.ledger import Ledger
from hwsdk.ir.nodes import Shape, size
from hwsdk.ir.semantics import Semantics
from hwsdk.programs import container
from hwsdk.programs.container import Arrays

P = TypeVar("P", bound="StoredProgram")
RULE = "exit_rule"
"""Key of the rule in the JSON part of a program that has one; those without have no such key."""


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
    """A population of a program, which may run some steps behind the model."""

    @property
    def name(self) -> str:
        """Of the population."""

    @property
    def lag(self) -> int:
        """Steps."""

    @property
    def n(self) -> int:
        """Neurons."""


def lags_of(populations: Iterable[Lagging], outputs: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Population, and output that reads a single one, -> steps that it runs behind the model."""
    own = {p.name: p.lag for p in populations}
    return own | {n: own[p[0]] for n, p in outputs.items() if len(p) == 1}


class StoredProgram:
    """Base of the programs: frozen dataclasses with the fields below. kind: of the file, one a chip family. exit_rule:
    when an inference may stop before its last step, which chip and host go by together; None: never.
    """

    __slots__ = ()
    kind: ClassVar[str]
    target: str
    target_version: str
    target_digest: str
    semantics: Semantics
    ledger: Ledger
    outputs: Mapping[str, tuple[str, ...]]
    exit_rule: ExitRule | None

    def with_exit(self: P, rule: ExitRule | None) -> P:
        """The same program with another exit rule, or with none.

        Raises:
            UnsupportedError: NO_SUCH_OUTPUT, or BAD_RULE: an output of one neuron is never ahead of another.
        """
        if rule is not None:
            self._require_decider(rule)
        return replace(self, exit_rule=rule)  # type: ignore[type-var]  # every program is a dataclass

    def _require_decider(self, rule: ExitRule) -> None:
        """The host sees the outputs alone, so that it can only go by one of them."""
        own = {p.name: p.n for p in self._decide()}
        seen = {name: own[of[0]] for name, of in self.outputs.items() if len(of) == 1}
        seen |= {of[0]: own[of[0]] for of in self.outputs.values() if len(of) == 1}
        if rule.output not in seen:
            raise UnsupportedError(f"there is no output {rule.output!r} of a single population", where="exit rule",
                                   code="NO_SUCH_OUTPUT", fix=f"use one of {', '.join(seen) or 'none: there is none'}")
        if seen[rule.output] < 2 and rule.measure != "count":
            raise UnsupportedError(f"{rule.output} has one neuron, which is never ahead of another", where="exit rule",
                                   code="BAD_RULE", fix="use the measure count")

    def _decide(self) -> Iterable[Lagging]:
        """All populations."""
        raise NotImplementedError

    def _exit_text(self) -> list[str]:
        """The line of the listing that tells the rule, where there is one."""
        return [] if self.exit_rule is None else [f"exit when {self.exit_rule.to_text()}"]

    def _whole_body(self) -> dict[str, Any]:
        """The JSON part with the rule."""
        return self._body() if self.exit_rule is None else self._body() | {RULE: self.exit_rule.to_json()}

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
        return container.content_digest(self._whole_body(), self._arrays())

    def save(self, path: str | Path) -> Path:
        """Write a .hwx file."""
        manifest = container.Manifest(
            schema_version=container.SCHEMA, kind=self.kind, tool=f"hwsdk {__version__}", digest=self.digest(),
            target=self.target, target_version=self.target_version, target_digest=self.target_digest,
            semantics=self.semantics.to_dict(),
            ledger=[[e.kind, e.node, e.code, e.text] for e in self.ledger.entries], body=self._whole_body())
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
            rule = manifest.body.pop(RULE, None)
            program = cls._from(manifest, arrays)
            return program if rule is None else program.with_exit(ExitRule.from_json(rule))
        except UnsupportedError as error:
            raise ProgramError(error.what, where=str(path), code=error.code, fix="compile the model again") from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ProgramError(f"a field is missing or wrong: {error}", where=str(path),
                               fix="compile the model again") from None
