"""ir.Circuit: an analog circuit of Josephson junctions, resistors, inductors and current sources, as a value.

Nodes are names; "0" is ground. Values are in SI units. The solver (hwsdk.simulators.rcsj) and the deck writers read the
same Circuit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

GROUND = "0"
PHI0 = 2.067833848e-15
"""Magnetic flux quantum in Wb (CODATA 2018: h / 2e, both exact)."""


@dataclass(frozen=True, slots=True)
class Junction:
    """A Josephson junction (RCSJ): I = ic sin f + C dV/dt + V / r_sub, from p to m. ic in A, c in F, r_sub in ohm. With
    ic 0 and r_sub infinite it is a capacitor.
    """

    name: str
    p: str
    m: str
    ic: float
    c: float
    r_sub: float


@dataclass(frozen=True, slots=True)
class Resistor:
    """ohm between p and m."""

    name: str
    p: str
    m: str
    ohm: float


@dataclass(frozen=True, slots=True)
class Inductor:
    """henry between p and m."""

    name: str
    p: str
    m: str
    henry: float


@dataclass(frozen=True, slots=True)
class Coupling:
    """Two inductors with M = k sqrt(L1 L2); the sign of k is the winding sense."""

    name: str
    first: str
    second: str
    k: float


@dataclass(frozen=True, slots=True)
class Source:
    """A current into node p: piecewise linear through ``points`` of (s, A), constant outside them.

    kind: "bias", "input" or "noise"; energy that the circuit draws is that of the bias sources. group: whose bias it
    is, so that layers can be scaled apart.
    """

    name: str
    p: str
    points: tuple[tuple[float, float], ...]
    kind: str = "bias"
    group: str = ""


Element = Junction | Resistor | Inductor | Coupling | Source


@dataclass(frozen=True, slots=True)
class Circuit:
    """Elements with names that differ, joined where node names are the same."""

    name: str
    elements: tuple[Element, ...]

    def of(self, kind: type[Element]) -> tuple[Element, ...]:
        """The elements of one class, in order."""
        return tuple(e for e in self.elements if isinstance(e, kind))

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes but ground, in the order in which they are met."""
        seen: dict[str, None] = {}
        for e in self.elements:
            for node in (getattr(e, "p", None), getattr(e, "m", None)):
                if node is not None and node != GROUND:
                    seen.setdefault(node)
        return tuple(seen)

    def joined(self, others: Iterable[Circuit]) -> Circuit:
        """This circuit and others as one."""
        return Circuit(self.name, (*self.elements, *(e for c in others for e in c.elements)))

    def placed(self, prefix: str, joined_to: Mapping[str, str], group: str = "") -> Circuit:
        """A copy as a part of a larger circuit: names get ``prefix.``; the nodes of ``joined_to`` become its nodes."""
        def node(n: str) -> str:
            return GROUND if n == GROUND else joined_to.get(n, f"{prefix}.{n}")

        made: list[Element] = []
        for e in self.elements:
            name = f"{prefix}.{e.name}"
            if isinstance(e, Coupling):
                made.append(replace(e, name=name, first=f"{prefix}.{e.first}", second=f"{prefix}.{e.second}"))
            elif isinstance(e, Source):
                made.append(replace(e, name=name, p=node(e.p), group=group or e.group))
            else:
                made.append(replace(e, name=name, p=node(e.p), m=node(e.m)))
        return Circuit(prefix, tuple(made))
