"""RawGraph -> Network: inline, settle the semantics, build every node, check, give the edges their delays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from hwsdk.errors import ModelError, SemanticsError
from hwsdk.ir.formats.checks import check_node
from hwsdk.ir.formats.flatten_graph import FlatGraph, flatten
from hwsdk.ir.formats.guess import Settled, settle
from hwsdk.ir.formats.loops import delayed_edges
from hwsdk.ir.formats.ports import add_ports, input_shapes
from hwsdk.ir.formats.raw import RawGraph
from hwsdk.ir.formats.shapes import Builder, build_nodes, check_types
from hwsdk.ir.ledger import LedgerWriter, SemanticsWarning
from hwsdk.ir.network import Network


def convert(graph: RawGraph, name: str, *, preset: str | None = None, strict: bool = False,
            given: Mapping[str, Any] | None = None) -> Network:
    """The validated network of a raw graph.

    Warns:
        SemanticsWarning: once, naming everything about time and reset that had to be guessed.

    Raises:
        ModelError: the graph is broken; ``where`` names the node.
        SemanticsError: unsettled semantics with ``strict``.
    """
    ledger = LedgerWriter()
    ledger.read("", "VERSION", f"NIR version {graph.version or 'not stored'}, {len(graph.nodes)} nodes")
    flat = flatten(graph, ledger)
    check_types(flat)
    add_ports(flat, ledger)
    settled = settle(flat, preset, given or {}, strict, ledger)
    network = _network(flat, name, settled, ledger)
    if settled.guesses:
        warnings.warn(f"{name}: " + "; ".join(settled.guesses), SemanticsWarning, stacklevel=3)
    return network


def _network(flat: FlatGraph, name: str, settled: Settled, ledger: LedgerWriter) -> Network:
    """Build and check; with edges that were made up, a misfit means that the edges are missing."""
    try:
        walk = Builder(flat, settled.semantics, ledger, input_shapes(flat, ledger), settled.tau_factor,
                       settled.r_factor)
        build_nodes(walk)
        for node_name, node in walk.nodes.items():
            check_node(node_name, node, settled.semantics)
        edges = delayed_edges(walk.nodes, flat.edges, settled.semantics, ledger)
        return Network(name, walk.nodes, edges, settled.semantics, ledger.done())
    except ModelError as error:
        if flat.rebuilt and error.code in ("SHAPE_MISMATCH", "NO_INPUT_SHAPE", "BAD_SHAPE"):
            raise ModelError(f"no edges are stored, and joining the nodes by name does not fit ({error.what})",
                             where=error.where, code="EDGES_MISSING", fix="export the graph with its edges") from None
        raise


def placed(error: ModelError, source: str) -> ModelError:
    """The same error with its source in ``where``."""
    place = f"{source}: {error.where}" if error.where else source
    kind = SemanticsError if isinstance(error, SemanticsError) else ModelError
    return kind(error.what, where=place, fix=error.fix, code=error.code)
