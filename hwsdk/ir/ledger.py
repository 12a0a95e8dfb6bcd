"""The ledger: what was read, assumed and changed on the way from a model file to a program."""

from __future__ import annotations

from dataclasses import dataclass, field

KINDS = ("read", "assumed", "changed", "warning")


class SemanticsWarning(UserWarning):
    """An assumption was made that can change spikes and that the file cannot settle."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One fact about one node: ``kind`` is one of KINDS, ``code`` is stable, ``text`` is for people."""

    kind: str
    node: str
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind:8} {self.node or '(graph)'}: {self.text} [{self.code}]"


@dataclass(frozen=True, slots=True)
class Ledger:
    """An ordered, append-only list of entries; adding returns a new ledger."""

    entries: tuple[LedgerEntry, ...] = ()

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(self.entries + other.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def of(self, *kinds: str) -> tuple[LedgerEntry, ...]:
        """The entries of these kinds, in order."""
        return tuple(entry for entry in self.entries if entry.kind in kinds)

    def to_text(self) -> str:
        """One line per entry."""
        return "\n".join(str(entry) for entry in self.entries)


@dataclass(slots=True)
class LedgerWriter:
    """Collects entries while a phase runs; ``done()`` freezes them."""

    entries: list[LedgerEntry] = field(default_factory=list)

    def read(self, node: str, code: str, text: str) -> None:
        """Record what the file said."""
        self.entries.append(LedgerEntry("read", node, code, text))

    def assumed(self, node: str, code: str, text: str) -> None:
        """Record what the file did not say and was filled in."""
        self.entries.append(LedgerEntry("assumed", node, code, text))

    def changed(self, node: str, code: str, text: str) -> None:
        """Record what differs from what the file said."""
        self.entries.append(LedgerEntry("changed", node, code, text))

    def warning(self, node: str, code: str, text: str) -> None:
        """Record a guess that can change spikes."""
        self.entries.append(LedgerEntry("warning", node, code, text))

    def done(self) -> Ledger:
        """The entries so far, frozen."""
        return Ledger(tuple(self.entries))
