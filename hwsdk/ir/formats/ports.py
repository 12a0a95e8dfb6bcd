"""Graph Inputs and Outputs: add the missing ones, and settle the shape of every Input before the walk."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from hwsdk.errors import ModelError
from hwsdk.ir.formats.fields import FieldReader
from hwsdk.ir.formats.flatten_graph import FlatGraph
from hwsdk.ir.formats.raw import RawNode
from hwsdk.ir.graph import natural_key
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.nodes import Shape

SPATIAL = {"Conv1d": 1, "Conv2d": 2}
POOLS = ("SumPool2d", "AvgPool2d")
ELEMENTWISE = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold", "Scale", "Delay")


def add_ports(flat: FlatGraph, ledger: LedgerWriter) -> None:
    """Put an Input before every root and an Output behind every leaf that has none.

    Raises:
        ModelError: NO_INPUT, BAD_EDGE.
    """
    before, after = flat.before(), flat.after()
    _check_ports(flat, before, after)
    names = sorted(flat.nodes, key=natural_key)
    roots = [n for n in names if not before[n] and flat.nodes[n].type != "Input"]
    leaves = [n for n in names if not after[n] and flat.nodes[n].type != "Output"
              and not (flat.nodes[n].type == "Input" and len(flat.nodes) > 1)]
    for name in roots:
        port = _add(flat, "input", "Input", name, alone=len(roots) == 1)
        flat.edges.append((port, name))
        ledger.assumed(port, "INPUT_ADDED", f"nothing enters {name}; a graph Input was added before it")
    for name in leaves:
        port = _add(flat, "output", "Output", name, alone=len(leaves) == 1)
        flat.edges.append((name, port))
        ledger.assumed(port, "OUTPUT_ADDED", f"nothing leaves {name}; a graph Output was added behind it")
    _require_ports(flat, ledger)


def _check_ports(flat: FlatGraph, before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> None:
    """Edges into Inputs or out of Outputs, and Outputs that nothing feeds."""
    for name, node in flat.nodes.items():
        if (node.type == "Input" and before[name]) or (node.type == "Output" and after[name]):
            raise ModelError("an edge enters an Input or leaves an Output", where=name, code="BAD_EDGE",
                             fix="turn the edge round or remove it")
        if node.type == "Output" and not before[name]:
            raise ModelError("nothing is connected to the Output", where=name, code="NO_INPUT",
                             fix="connect the Output or remove it")


def _require_ports(flat: FlatGraph, ledger: LedgerWriter) -> None:
    """There must be an Input; a missing Output is only noted."""
    types = {node.type for node in flat.nodes.values()}
    if "Input" not in types:
        raise ModelError("the graph has no Input, and every node lies in or behind a loop", code="NO_INPUT",
                         fix="add an Input node and an edge from it")
    if "Output" not in types:
        ledger.assumed("", "NO_OUTPUT", "the graph has no Output; its populations can still be recorded")


def _add(flat: FlatGraph, base: str, kind: str, neighbour: str, *, alone: bool) -> str:
    """A new port under a free name."""
    name = base if alone else f"{base}.{neighbour}"
    while name in flat.nodes:
        name += "_"
    flat.nodes[name] = RawNode(kind)
    return name


def input_shapes(flat: FlatGraph, ledger: LedgerWriter) -> dict[str, Shape]:
    """The shape of every Input: as stored, without a stray batch axis, or what its first layer takes.

    Raises:
        ModelError: BAD_SHAPE, TOO_LARGE or NO_INPUT_SHAPE.
    """
    after = flat.after()
    return {name: _input_shape(name, flat, after, ledger)
            for name in sorted(flat.nodes, key=natural_key) if flat.nodes[name].type == "Input"}


def _input_shape(name: str, flat: FlatGraph, after: Mapping[str, Sequence[str]], ledger: LedgerWriter) -> Shape:
    """One Input's shape."""
    stored = FieldReader(name, flat.nodes[name]).shape("shape")
    if stored is None:
        return _shape_from_layers(name, flat, after, ledger)
    rank = next((r for n in _onward(name, flat, after) if (r := _rank(n, flat.nodes[n])) is not None), None)
    if rank == len(stored) - 1 and stored[0] == 1:
        ledger.changed(name, "BATCH_AXIS", f"the leading 1 of the shape {stored} is a batch axis and was dropped")
        return stored[1:]
    return stored


def _shape_from_layers(name: str, flat: FlatGraph, after: Mapping[str, Sequence[str]], ledger: LedgerWriter) -> Shape:
    """What the first layer that knows takes."""
    shape = next((s for n in _onward(name, flat, after) if (s := taken(n, flat.nodes[n])) is not None), None)
    if shape is None:
        raise ModelError("its shape is not stored, and no layer behind it settles the shape", where=name,
                         code="NO_INPUT_SHAPE", fix="store the shape of the Input, or input_shape of the convolution")
    ledger.assumed(name, "INPUT_SHAPE", f"the shape {shape} was taken from the layers behind it")
    return shape


def _onward(name: str, flat: FlatGraph, after: Mapping[str, Sequence[str]]) -> list[str]:
    """What follows, breadth first, through nodes that keep the shape."""
    found: list[str] = []
    queue, seen = deque(after[name]), {name}
    while queue:
        here = queue.popleft()
        if here in seen:
            continue
        seen.add(here)
        found.append(here)
        if flat.nodes[here].type in ELEMENTWISE:
            queue.extend(after[here])
    return found


def _rank(name: str, node: RawNode) -> int | None:
    """How many axes a layer takes, where it says so."""
    if node.type in ("Affine", "Linear"):
        return max(FieldReader(name, node).floats("weight").ndim - 1, 1)
    if node.type in SPATIAL:
        return 1 + SPATIAL[node.type]
    return 3 if node.type in POOLS else None


def taken(name: str, node: RawNode) -> Shape | None:
    """The shape that a node takes, as far as its own fields settle it."""
    fields = FieldReader(name, node)
    if node.type in ("Affine", "Linear"):
        weight = fields.floats("weight")
        return (*weight.shape[:-2], weight.shape[-1]) if weight.ndim >= 2 else None
    if node.type in SPATIAL:
        return _conv_input(fields, SPATIAL[node.type])
    if node.type in ("Output", "Flatten"):
        return _positive(node.fields.get("shape" if node.type == "Output" else "input_type"))
    if node.type in ELEMENTWISE:
        return _largest(node)
    return None


def _conv_input(fields: FieldReader, axes: int) -> Shape | None:
    """(C, *input_shape) of a convolution that stores its input_shape."""
    spatial = _positive(fields.node.fields.get("input_shape"))
    if spatial is None or len(spatial) != axes:
        return None
    groups = fields.whole("groups")[0] if fields.has("groups") else 1
    weight = fields.floats("weight")
    return (weight.shape[1] * max(groups, 1), *spatial) if weight.ndim == axes + 2 else None


def _positive(value: object) -> Shape | None:
    """A stored shape if it is one at all."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or not 0 < value.size <= 8:
        return None
    shape = tuple(int(x) for x in value.ravel())
    return shape if min(shape) >= 1 else None


def _largest(node: RawNode) -> Shape | None:
    """The shape of the largest array parameter; None for scalars."""
    arrays = [v for v in node.fields.values() if isinstance(v, np.ndarray) and v.dtype.kind in "biuf" and v.ndim]
    if not arrays:
        return None
    return max(arrays, key=lambda a: (a.size, -a.ndim)).shape
