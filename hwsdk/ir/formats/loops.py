"""Edges with delays: what the Semantics say about inputs, forward connections and connections that close a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hwsdk.ir.graph import back_edges, natural_key
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Edge
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import Input, Node, Output
from hwsdk.ir.semantics import Semantics

Pair = tuple[str, str]


@dataclass(slots=True, eq=False)
class _Graph:
    """The graph seen from its populations: ends are the Inputs, populations and Outputs."""

    nodes: Mapping[str, Node]
    after: dict[str, list[str]] = field(default_factory=dict)
    before: dict[str, list[str]] = field(default_factory=dict)

    def is_end(self, name: str) -> bool:
        """True for what is not contracted."""
        return isinstance(self.nodes[name], Input | Output | Neuron)

    def reach(self, name: str, forward: bool) -> list[str]:
        """The ends that are reached from here (here included) through connections alone, in natural order."""
        neighbours = self.after if forward else self.before
        stack, seen, found = [name], {name}, []
        while stack:
            here = stack.pop()
            if self.is_end(here):
                found.append(here)
                continue
            new = [n for n in neighbours[here] if n not in seen]
            seen.update(new)
            stack.extend(new)
        return sorted(found, key=natural_key)


def delayed_edges(nodes: Mapping[str, Node], pairs: Sequence[Pair], semantics: Semantics,
                  ledger: LedgerWriter) -> tuple[Edge, ...]:
    """The network's edges with their delays; every delayed loop is noted in the ledger.

    An edge into an Output that comes straight from an Input or a population carries no delay: it is a marker.
    """
    graph = _graph(nodes, pairs)
    delays = {pair: _forward(nodes, pair, semantics) for pair in pairs}
    forward = semantics.connection_delay
    recurrent = max(semantics.recurrent_delay, forward)
    back = _back_pairs(graph)
    for source in sorted({a for a, _ in back}, key=natural_key):
        targets = {b for a, b in back if a == source}
        for step in graph.after[source]:
            reached = set(graph.reach(step, True))
            if not reached & targets:
                continue
            if reached <= targets:
                delays[source, step] = recurrent
                _note(ledger, source, step, reached, recurrent)
            else:
                _delay_entry(graph, source, step, targets & reached, back, delays, recurrent - forward, ledger)
    return tuple(Edge(a, b, delays[a, b]) for a, b in pairs)


def _graph(nodes: Mapping[str, Node], pairs: Sequence[Pair]) -> _Graph:
    """Neighbours in natural order."""
    graph = _Graph(nodes, {n: [] for n in nodes}, {n: [] for n in nodes})
    for a, b in sorted(pairs, key=lambda p: (natural_key(p[0]), natural_key(p[1]))):
        graph.after[a].append(b)
        graph.before[b].append(a)
    return graph


def _forward(nodes: Mapping[str, Node], pair: Pair, semantics: Semantics) -> int:
    """The delay of an edge that closes no loop."""
    source, target = (nodes[n] for n in pair)
    if isinstance(target, Output):
        return 0
    if isinstance(source, Input):
        return semantics.input_delay + semantics.connection_delay
    return semantics.connection_delay if isinstance(source, Neuron) else 0


def _back_pairs(graph: _Graph) -> set[Pair]:
    """(population, population) pairs that close a loop."""
    ends = sorted((n for n in graph.nodes if graph.is_end(n)), key=natural_key)
    after = {n: _successors(graph, n) for n in ends}
    return back_edges(ends, after, [n for n in ends if isinstance(graph.nodes[n], Input)])


def _successors(graph: _Graph, name: str) -> list[str]:
    """The next ends behind one end."""
    found = {end for step in graph.after[name] for end in graph.reach(step, True)}
    return sorted(found, key=natural_key)


def _delay_entry(graph: _Graph, source: str, first: str, targets: set[str], back: set[Pair], delays: dict[Pair, int],
                 extra: int, ledger: LedgerWriter) -> None:
    """Put the delay of a loop on the edges that enter its targets, since the way out of ``source`` is shared."""
    for target in sorted(targets, key=natural_key):
        for step in graph.before[target]:
            if graph.is_end(step) or source not in graph.reach(step, False) or not _passes(graph, first, step):
                continue
            delays[step, target] = extra
            shared = [s for s in graph.reach(step, False) if (s, target) not in back]
            _note(ledger, step, target, {target}, extra)
            if shared:
                ledger.warning(step, "LOOP_DELAY_SHARED", f"the delay of the loop from {source} also acts on what "
                               f"comes from {', '.join(shared)}; give the loop a connection of its own")


def _passes(graph: _Graph, first: str, step: str) -> bool:
    """True if ``step`` lies behind ``first`` with connections alone between them."""
    stack, seen = [first], {first}
    while stack:
        here = stack.pop()
        if here == step:
            return True
        if not graph.is_end(here):
            new = [n for n in graph.after[here] if n not in seen]
            seen.update(new)
            stack.extend(new)
    return False


def _note(ledger: LedgerWriter, a: str, b: str, targets: set[str], steps: int) -> None:
    """One ledger entry for a delayed edge."""
    ledger.assumed(a, "LOOP_DELAY", f"the edge {a} -> {b} closes a loop into {', '.join(sorted(targets))} and takes "
                   f"{steps} step{'' if steps == 1 else 's'} (recurrent_delay)")
