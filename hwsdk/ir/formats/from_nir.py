"""An in-memory nir.NIRGraph as a RawGraph, without importing nir: class names and attributes decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.formats.raw import MAX_DEPTH, RawGraph, RawNode, Value

_HIDDEN = ("input_type", "output_type", "metadata", "nodes", "edges", "type_check")


def is_graph(obj: object) -> bool:
    """True for a nir.NIRGraph or an object like it."""
    return isinstance(getattr(obj, "nodes", None), Mapping) and hasattr(obj, "edges")


def is_node(obj: object) -> bool:
    """True for a single nir node."""
    return any(c.__name__ == "NIRNode" for c in type(obj).__mro__)


def from_graph(graph: Any, depth: int = 0) -> RawGraph:
    """The raw form of a nir.NIRGraph (or of a single node).

    Raises:
        ModelError: TOO_DEEP for a graph inside itself, BAD_DTYPE for fields that are no arrays, BAD_EDGES.
    """
    if depth > MAX_DEPTH:
        raise ModelError(f"graphs are nested more than {MAX_DEPTH} deep", code="TOO_DEEP",
                         fix="flatten the graph before loading it")
    if not is_graph(graph):
        return RawGraph({"0": _node("0", graph, depth)}, ())
    nodes = {str(name): _node(str(name), node, depth) for name, node in graph.nodes.items()}
    edges = _edges(graph.edges)
    return RawGraph(nodes, edges or None, metadata=_metadata(graph))


def _edges(edges: object) -> tuple[tuple[str, str], ...]:
    """Pairs of names."""
    if not isinstance(edges, Iterable):
        return ()
    pairs = [tuple(e) for e in edges]
    if any(len(e) != 2 for e in pairs):
        raise ModelError("an edge does not have two ends", code="BAD_EDGES", fix="give pairs (source, target)")
    return tuple((str(a), str(b)) for a, b in pairs)


def _metadata(node: object) -> tuple[str, ...]:
    """Names of the metadata entries."""
    metadata = getattr(node, "metadata", None)
    return tuple(map(str, metadata)) if isinstance(metadata, Mapping) else ()


def _node(name: str, node: Any, depth: int) -> RawNode:
    """One node of any class."""
    kind = type(node).__name__
    if is_graph(node):
        return RawNode("NIRGraph", graph=from_graph(node, depth + 1), metadata=_metadata(node))
    attributes = vars(node) if hasattr(node, "__dict__") else {}
    fields = {k: v for k, v in attributes.items() if k not in _HIDDEN and not k.startswith("_")}
    fields.update(_shapes(kind, node))
    present = {k: _value(name, k, v) for k, v in fields.items() if v is not None}
    return RawNode(kind, present, metadata=_metadata(node))


def _shapes(kind: str, node: Any) -> dict[str, Any]:
    """The shape fields as a file would store them."""
    places = {"Input": ("shape", "input_type", "input"), "Output": ("shape", "output_type", "output"),
              "Flatten": ("input_type", "input_type", "input")}
    if kind not in places:
        return {}
    field, attribute, port = places[kind]
    types = getattr(node, attribute, None)
    return {field: types.get(port)} if isinstance(types, Mapping) else {field: types}


def _value(node: str, field: str, value: Any) -> Value:
    """Text, or an array; torch tensors are copied to the host."""
    if isinstance(value, bytes):
        return value.decode("utf8", "replace")
    if isinstance(value, str):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        raise ModelError(f"the field {field} is no array", where=node, code="BAD_DTYPE",
                         fix="give an array of numbers of one shape") from None
