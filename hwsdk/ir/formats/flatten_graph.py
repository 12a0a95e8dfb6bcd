"""Inline nested graphs and settle the edges: one flat graph with dotted names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.formats.raw import MAX_DEPTH, MAX_NODES, RawGraph, RawNode
from hwsdk.ir.graph import natural_key
from hwsdk.ir.ledger import LedgerWriter

Pair = tuple[str, str]


@dataclass(slots=True, eq=False)
class FlatGraph:
    """Nodes by dotted name, pairs of names in source order, and the graphs whose edges were made up."""

    nodes: dict[str, RawNode] = field(default_factory=dict)
    edges: list[Pair] = field(default_factory=list)
    rebuilt: list[str] = field(default_factory=list)

    def after(self) -> dict[str, list[str]]:
        """Successors, in natural order."""
        out: dict[str, list[str]] = {n: [] for n in self.nodes}
        for a, b in self.edges:
            out[a].append(b)
        return {n: sorted(s, key=natural_key) for n, s in out.items()}

    def before(self) -> dict[str, list[str]]:
        """Predecessors, in natural order."""
        out: dict[str, list[str]] = {n: [] for n in self.nodes}
        for a, b in self.edges:
            out[b].append(a)
        return {n: sorted(s, key=natural_key) for n, s in out.items()}


def flatten(graph: RawGraph, ledger: LedgerWriter) -> FlatGraph:
    """Every node of every level; inner Inputs and Outputs that are connected from outside vanish.

    Raises:
        ModelError: EMPTY_MODEL, DANGLING_EDGE, DUPLICATE_NODE, SUBGRAPH_PORTS, EDGES_MISSING, TOO_DEEP, TOO_LARGE.
    """
    flat = FlatGraph()
    _collect(graph, "", flat, ledger, 0)
    if not flat.nodes:
        raise ModelError("the graph has no nodes", code="EMPTY_MODEL", fix="export a network with at least one layer")
    return flat


def _collect(graph: RawGraph, prefix: str, flat: FlatGraph, ledger: LedgerWriter, depth: int) -> None:
    """Add one level and everything below it."""
    if depth > MAX_DEPTH:
        raise ModelError(f"graphs are nested more than {MAX_DEPTH} deep", where=prefix, code="TOO_DEEP",
                         fix="flatten the graph before exporting it")
    _note_extras(graph, prefix, ledger)
    subgraphs = {}
    for name, node in graph.nodes.items():
        full = f"{prefix}{name}"
        if node.graph is not None:
            subgraphs[full] = node.graph
            _collect(node.graph, f"{full}.", flat, ledger, depth + 1)
        else:
            _add_node(flat, full, node)
    edges = _level_edges(graph, prefix, flat, ledger)
    _check_ends(edges, flat, subgraphs)
    for full in subgraphs:
        edges = _join(full, edges, flat, ledger)
    flat.edges = _unique(flat.edges + edges, ledger)


def _note_extras(graph: RawGraph, prefix: str, ledger: LedgerWriter) -> None:
    """Metadata and fields of the graph itself."""
    place = prefix.rstrip(".")
    if graph.metadata:
        ledger.read(place, "METADATA", f"metadata kept out of the network: {', '.join(graph.metadata)}")
    if graph.extra:
        ledger.warning(place, "UNKNOWN_FIELD", f"fields of the graph that were not used: {', '.join(graph.extra)}")


def _add_node(flat: FlatGraph, name: str, node: RawNode) -> None:
    """Add a node under its dotted name."""
    if name in flat.nodes:
        raise ModelError("two nodes have the same name once nested graphs are inlined", where=name,
                         code="DUPLICATE_NODE", fix="rename one of them")
    if len(flat.nodes) >= MAX_NODES:
        raise ModelError(f"the graph has more than {MAX_NODES} nodes", where=name, code="TOO_LARGE",
                         fix="store layers as tensors, not one node a neuron")
    flat.nodes[name] = node


def _level_edges(graph: RawGraph, prefix: str, flat: FlatGraph, ledger: LedgerWriter) -> list[Pair]:
    """The stored edges of one level with full names, or a chain where none are stored."""
    if graph.edges:
        return [(f"{prefix}{a}", f"{prefix}{b}") for a, b in graph.edges]
    if len(graph.nodes) < 2:
        return []
    rank = {"Input": 0, "Output": 2}
    order = sorted(graph.nodes, key=lambda n: (rank.get(graph.nodes[n].type, 1), natural_key(n)))
    flat.rebuilt.append(prefix.rstrip("."))
    ledger.warning(prefix.rstrip("."), "EDGES_REBUILT",
                   f"no edges are stored; the nodes were joined in the order of their names: {' -> '.join(order)}")
    return [(f"{prefix}{a}", f"{prefix}{b}") for a, b in pairwise(order)]


def _check_ends(edges: Iterable[Pair], flat: FlatGraph, subgraphs: Mapping[str, RawGraph]) -> None:
    """Every end exists; an end may also name a node inside a subgraph (``outer.inner``)."""
    for a, b in edges:
        for end in (a, b):
            if end not in flat.nodes and end not in subgraphs:
                raise ModelError(f"the edge {a} -> {b} names a node that does not exist", where=end,
                                 code="DANGLING_EDGE", fix="remove the edge or add the node")


def _join(name: str, edges: list[Pair], flat: FlatGraph, ledger: LedgerWriter) -> list[Pair]:
    """Connect what enters and leaves one subgraph with its inner nodes."""
    entering = [a for a, b in edges if b == name]
    leaving = [b for a, b in edges if a == name]
    if name in entering:
        raise ModelError("a nested graph feeds itself without naming its ports", where=name, code="SUBGRAPH_PORTS",
                         fix="draw the loop inside the nested graph")
    rest = [e for e in edges if name not in e]
    if entering:
        targets = _port(name, "Input", flat)
        rest += [(a, b) for a in entering for b in targets]
    if leaving:
        sources = _port(name, "Output", flat)
        rest += [(a, b) for a in sources for b in leaving]
    gone = [n for n in _ports_inside(name, flat) if _pass_through(n, rest, flat)]
    ledger.changed(name, "SUBGRAPH_INLINED", f"the nested graph was inlined as {name}.*"
                   + (f"; joined through {', '.join(gone)}" if gone else ""))
    for port in gone:
        stored = np.asarray(flat.nodes[port].fields.get("shape", ())).tolist()
        ledger.read(port, "INNER_PORT", f"{flat.nodes[port].type} of a nested graph, shape {stored}; what arrives "
                    "decides")
        rest = _remove(port, rest, flat)
    return rest


def _ports_inside(name: str, flat: FlatGraph) -> list[str]:
    """Inputs and Outputs directly inside a subgraph or below it."""
    return [n for n, node in flat.nodes.items() if n.startswith(f"{name}.") and node.type in ("Input", "Output")]


def _pass_through(port: str, outer: list[Pair], flat: FlatGraph) -> bool:
    """True for an inner port that is connected from the level above."""
    kind = flat.nodes[port].type
    return any((b if kind == "Input" else a) == port for a, b in outer)


def _port(name: str, kind: str, flat: FlatGraph) -> list[str]:
    """The node through which a subgraph is entered ("Input") or left ("Output"): exactly one."""
    level = [n for n in flat.nodes if n.startswith(f"{name}.")]
    ports = [n for n in level if flat.nodes[n].type == kind and not _linked(n, kind, flat)]
    if not ports:
        taken = {e[1] if kind == "Input" else e[0] for e in flat.edges}
        ports = [n for n in level if n not in taken and flat.nodes[n].type not in ("Input", "Output")]
    if len(ports) != 1:
        raise ModelError(f"the nested graph has {len(ports)} nodes that could be its {kind.lower()} "
                         f"({', '.join(ports) or 'none'}), it needs exactly 1", where=name, code="SUBGRAPH_PORTS",
                         fix=f"give it one {kind}, or name the inner node in the edge, as in {name}.{kind.lower()}")
    return ports


def _linked(port: str, kind: str, flat: FlatGraph) -> bool:
    """True for a port that already has a connection on its outer side."""
    return any((b if kind == "Input" else a) == port for a, b in flat.edges)


def _remove(port: str, outer: list[Pair], flat: FlatGraph) -> list[Pair]:
    """Take a port out and join its sources with its targets."""
    everything = flat.edges + outer
    sources = [a for a, b in everything if b == port]
    targets = [b for a, b in everything if a == port]
    flat.edges = [e for e in flat.edges if port not in e]
    outer = [e for e in outer if port not in e]
    joined = [(a, b) for a in sources for b in targets]
    doubled = set(joined) & set(flat.edges + outer)
    if doubled:
        a, b = min(doubled)
        raise ModelError(f"{a} reaches {b} twice once nested graphs are inlined", where=port, code="SUBGRAPH_PORTS",
                         fix="give the direct path a Scale node of its own")
    del flat.nodes[port]
    return outer + joined


def _unique(edges: list[Pair], ledger: LedgerWriter) -> list[Pair]:
    """Every edge once."""
    counts = Counter(edges)
    for (a, b), count in counts.items():
        if count > 1:
            ledger.changed(b, "DUPLICATE_EDGE", f"the edge {a} -> {b} was stored {count} times; one was kept")
    return list(counts)
