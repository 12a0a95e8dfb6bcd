"""Circuits as numbers, and the exact reductions that make the solver's system small.

All branch laws are linear but the junctions' sine, and that is explicit; so in a step of h seconds every branch is a
current per radian plus a current known from earlier steps. Hence without any loss: inductor currents go (current =
S / L times phase), the R-L shunt of a junction and an inductor in series with it fold into the junction's branch, and
nodes that only inductors meet drop out of the matrix. S = PHI0 / 2 pi.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.circuit import GROUND, PHI0, Circuit, Coupling, Element, Inductor, Junction, Resistor, Source

S = PHI0 / (2 * np.pi)
"""Wb per radian of phase."""
EARTH = -1
"""Number of ground while the matrix is made."""
JUNCTION, RESISTOR, INDUCTOR, SOURCE = range(4)


@dataclass(slots=True)
class Net:
    """Circuits with numbered nodes; of each kind lists in the circuits' order. Changed while it is reduced.

    ends: kind -> (p, m) of each element. touch: node -> (kind, index) of what is still there. held: nodes that must
    stay. shunt: junction -> (resistor, inductor); series: junction -> inductor.
    """

    nodes: dict[tuple[int, str], int] = field(default_factory=dict)
    junctions: list[Junction] = field(default_factory=list)
    resistors: list[Resistor] = field(default_factory=list)
    inductors: list[Inductor] = field(default_factory=list)
    sources: list[tuple[int, Source]] = field(default_factory=list)
    couplings: list[tuple[int, int, float]] = field(default_factory=list)
    ends: tuple[list[tuple[int, int]], ...] = field(default_factory=lambda: ([], [], [], []))
    touch: list[list[tuple[int, int]]] = field(default_factory=list)
    held: set[int] = field(default_factory=set)
    shunt: dict[int, tuple[int, int]] = field(default_factory=dict)
    series: dict[int, int] = field(default_factory=dict)
    gone: tuple[set[int], ...] = field(default_factory=lambda: (set(), set(), set(), set()))

    def node(self, circuit: int, name: str) -> int:
        """The number of a node, new if needed."""
        if name == GROUND:
            return EARTH
        number = self.nodes.setdefault((circuit, name), len(self.nodes))
        if number == len(self.touch):
            self.touch.append([])
        return number

    def put(self, kind: int, p: int, m: int) -> None:
        """The next element of a kind stands between p and m."""
        where = (kind, len(self.ends[kind]))
        self.ends[kind].append((p, m))
        for n in {p, m} - {EARTH}:
            self.touch[n].append(where)

    def drop(self, kind: int, index: int) -> None:
        """Take an element out."""
        self.gone[kind].add(index)
        for n in set(self.ends[kind][index]) - {EARTH}:
            self.touch[n].remove((kind, index))

    def far(self, kind: int, index: int, node: int) -> int:
        """The other end of an element."""
        p, m = self.ends[kind][index]
        return m if p == node else p

    def coupled(self) -> set[int]:
        """Inductors that are coupled."""
        return {i for a, b, _ in self.couplings for i in (a, b)}


def bad(what: str, where: str, fix: str, code: str = "BAD_CIRCUIT") -> ModelError:
    """What is wrong with a circuit."""
    return ModelError(what, where=where, fix=fix, code=code)


def net_of(circuits: Sequence[Circuit], held: Collection[str]) -> Net:
    """Number the nodes of circuits that stand side by side. ``held``: nodes whose phase is wanted.

    Raises:
        ModelError: BAD_CIRCUIT, FLOATING_NODE.
    """
    net = Net()
    for k, circuit in enumerate(circuits):
        found = _named(circuit)
        coils: dict[str, int] = {}
        for e in circuit.elements:
            _check(circuit.name, e)
            _put(net, k, e, coils)
        for c in found.values():
            if isinstance(c, Coupling):
                net.couplings.append((_coil(circuit, coils, c, c.first), _coil(circuit, coils, c, c.second), c.k))
        for name in held:
            net.held.add(_probe(net, circuit, k, name))
    net.held.update(p for p, _ in net.ends[SOURCE])
    net.held.discard(EARTH)
    _check_grounded(net, circuits)
    return net


def _named(circuit: Circuit) -> dict[str, Element]:
    """Elements by name."""
    found: dict[str, Element] = {}
    for e in circuit.elements:
        if e.name in found:
            raise bad("two elements have this name", f"{circuit.name}: {e.name}", "give every element its own name")
        found[e.name] = e
    return found


def _put(net: Net, k: int, e: Element, coils: dict[str, int]) -> None:
    """One element into the net."""
    if isinstance(e, Coupling):
        return
    p = net.node(k, e.p)
    if isinstance(e, Source):
        net.sources.append((k, e))
        net.put(SOURCE, p, EARTH)
        return
    m = net.node(k, e.m)
    if isinstance(e, Junction):
        net.junctions.append(e)
        net.put(JUNCTION, p, m)
    elif isinstance(e, Resistor):
        net.resistors.append(e)
        net.put(RESISTOR, p, m)
    else:
        coils[e.name] = len(net.inductors)
        net.inductors.append(e)
        net.put(INDUCTOR, p, m)


def _check(circuit: str, e: Element) -> None:
    """Values that make sense."""
    where = f"{circuit}: {e.name}"
    if isinstance(e, Junction):
        good = isfinite(e.ic) and isfinite(e.c) and e.ic >= 0 and e.c >= 0 and 0 < e.r_sub <= inf
    elif isinstance(e, Resistor | Inductor):
        good = 0 < (e.ohm if isinstance(e, Resistor) else e.henry) < inf
    elif isinstance(e, Coupling):
        good = -1 < e.k < 1 and e.first != e.second
    else:
        times = [t for t, _ in e.points]
        good = bool(times) and times == sorted(times) and all(map(isfinite, (x for point in e.points for x in point)))
    if not good:
        raise bad(f"no circuit can have this: {e}", where,
                  "positive values; |k| < 1 between two coils; at least one point, and points in the order of time")
    if not isinstance(e, Coupling | Source) and e.p == e.m:
        raise bad(f"both ends are node {e.p}", where, "join two nodes")


def _coil(circuit: Circuit, coils: Mapping[str, int], c: Coupling, name: str) -> int:
    """The inductor of a coupling."""
    if name not in coils:
        raise bad(f"there is no inductor {name}", f"{circuit.name}: {c.name}", "couple two inductors by their names")
    return coils[name]


def _probe(net: Net, circuit: Circuit, k: int, name: str) -> int:
    """A node that exists."""
    if (k, name) not in net.nodes:
        raise bad(f"there is no node {name}", circuit.name, "record nodes of the circuit other than ground",
                  "NO_SUCH_NODE")
    return net.nodes[k, name]


def _check_grounded(net: Net, circuits: Sequence[Circuit]) -> None:
    """Every node has a way to ground through elements; a coupling is none."""
    reached, border = {EARTH}, [EARTH]
    near: dict[int, list[int]] = {}
    for kind in (JUNCTION, RESISTOR, INDUCTOR):
        for p, m in net.ends[kind]:
            near.setdefault(p, []).append(m)
            near.setdefault(m, []).append(p)
    while border:
        for n in near.get(border.pop(), ()):
            if n not in reached:
                reached.add(n)
                border.append(n)
    for (k, name), n in net.nodes.items():
        if n not in reached:
            raise bad(f"node {name} has no path to ground", circuits[k].name, "join its part of the circuit to node 0",
                      "FLOATING_NODE")


def fold(net: Net) -> None:
    """Fold R-L shunts and inductors in series into the junctions' branches."""
    coupled = net.coupled()
    for r in range(len(net.resistors)):
        for s in net.ends[RESISTOR][r]:
            if r not in net.gone[RESISTOR]:
                _fold_shunt(net, r, s, coupled)
    for j in range(len(net.junctions)):
        for n in reversed(net.ends[JUNCTION][j]):
            if j not in net.series:
                _fold_series(net, j, n, coupled)


def _partner(net: Net, n: int, own: tuple[int, int], coupled: set[int]) -> int | None:
    """The inductor that alone meets element ``own`` at node n."""
    if n == EARTH or n in net.held or len(net.touch[n]) != 2:
        return None
    kind, index = next(t for t in net.touch[n] if t != own)
    return index if kind == INDUCTOR and index not in coupled else None


def _fold_shunt(net: Net, r: int, s: int, coupled: set[int]) -> None:
    """Resistor r and the inductor at its end s become the shunt of a junction that they stand beside."""
    coil = _partner(net, s, (RESISTOR, r), coupled)
    if coil is None:
        return
    a, b = net.far(RESISTOR, r, s), net.far(INDUCTOR, coil, s)
    for kind, j in net.touch[a] if a != EARTH else net.touch[b] if b != EARTH else ():
        if kind == JUNCTION and j not in net.shunt and set(net.ends[JUNCTION][j]) == {a, b}:
            net.shunt[j] = (r, coil)
            net.drop(RESISTOR, r)
            net.drop(INDUCTOR, coil)
            return


def _fold_series(net: Net, j: int, n: int, coupled: set[int]) -> None:
    """The inductor in series with junction j at its end n."""
    coil = _partner(net, n, (JUNCTION, j), coupled)
    if coil is None:
        return
    p, m = net.ends[JUNCTION][j]
    far = net.far(INDUCTOR, coil, n)
    if far in (p, m):
        return
    net.drop(INDUCTOR, coil)
    net.touch[n].clear()
    net.ends[JUNCTION][j] = (far, m) if n == p else (p, far)
    if far != EARTH:
        net.touch[far].append((JUNCTION, j))
    net.series[j] = coil

