"""Read a .nir file with h5py into a RawGraph. Sizes, links and depth are surveyed before any value is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from hwsdk.errors import HwsdkError, ModelError
from hwsdk.ir.formats.hdf5_text import MAX_TEXT, check_heaps, check_lengths
from hwsdk.ir.formats.raw import MAX_DEPTH, MAX_NODES, RawGraph, RawNode, Value

MAX_BYTES = 4 << 30  # of everything as float64, the dtype of the IR
MAX_OBJECTS = 20 * MAX_NODES

Tree = dict[str, Any]  # name -> h5py.Dataset or Tree


def read_graph(path: Path) -> RawGraph:
    """The graph of a NIR file.

    Raises:
        ModelError: NO_FILE, NOT_HDF5, TRUNCATED, NOT_A_MODEL, MISSING_GROUP, BAD_LINK, CYCLIC_LINK, TOO_DEEP,
            TOO_LARGE, BAD_DTYPE, BAD_TEXT, BAD_EDGES or DAMAGED; ``where`` names the place inside the file.
    """
    graph: RawGraph = open_hdf5(path, _graph_of_file)
    return graph


def open_hdf5(path: Path, use: Callable[[h5py.File], Any], error: type[HwsdkError] = ModelError) -> Any:
    """``use(file)``, with whatever h5py raises turned into ``error``."""
    _check_file(path, error)
    try:
        check_heaps(path)
        with h5py.File(path, "r") as file:
            return use(file)
    except HwsdkError as known:
        raise error(known.what, where=known.where, fix=known.fix, code=known.code) from None
    except OSError as problem:
        truncated = "truncated" in str(problem)
        raise error(f"the HDF5 library cannot read it ({_brief(problem)})",
                    code="TRUNCATED" if truncated else "DAMAGED",
                    fix="copy or export the file again; it is incomplete or damaged") from None
    except MemoryError:
        raise error("it needs more memory than there is", code="TOO_LARGE", fix="export a smaller file") from None
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, OverflowError, UnicodeError) as problem:
        raise error(f"the HDF5 structure is damaged ({_brief(problem)})", code="DAMAGED",
                    fix="export the file again") from None


def _check_file(path: Path, error: type[HwsdkError]) -> None:
    """Refuse what is not an HDF5 file at all."""
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise error(what, code="NO_FILE", fix="give the path of a .nir file")
    try:
        is_hdf5 = h5py.is_hdf5(path)
    except (OSError, ValueError, RuntimeError):
        is_hdf5 = False
    if not is_hdf5:
        raise error("it is not an HDF5 file", code="NOT_HDF5",
                    fix="give a .nir file as nir.write makes it, or a .net file of lava-dl")


def _brief(problem: BaseException) -> str:
    """The first line of a library's message."""
    return (str(problem).strip("'\"").splitlines() or [type(problem).__name__])[0][:200]


def survey(group: h5py.Group, skip: tuple[str, ...] = ()) -> Tree:
    """The tree of datasets below a group, all checked (links, depth, count, dtypes, summed size) and none read.

    skip: names of groups that are listed but not entered.
    """
    with open(group.file.filename, "rb") as raw:
        return _survey(group, (_address(group),), _Budget(MAX_OBJECTS, MAX_BYTES, raw), skip)


@dataclass(slots=True)
class _Budget:
    """What a survey may still meet, and the file's own bytes."""

    objects: int
    size: int
    raw: IO[bytes]


def _survey(group: h5py.Group, ancestors: tuple[object, ...], budget: _Budget, skip: tuple[str, ...]) -> Tree:
    tree: Tree = {}
    if len(ancestors) > 2 * MAX_DEPTH + 2:
        raise ModelError(f"groups are nested more than {MAX_DEPTH} graphs deep", where=group.name, code="TOO_DEEP",
                         fix="flatten the graph before exporting it")
    for key in group:
        place = f"{group.name}/{key}"
        _check_link(group, key, place)
        budget.objects -= 1
        _check_budget(budget, place)
        if key in skip:
            tree[key] = {name: {} for name in group[key]} if isinstance(group[key], h5py.Group) else {}
            continue
        item = group[key]
        if isinstance(item, h5py.Group):
            tree[key] = _survey_inner(item, ancestors, budget, skip, place)
        elif isinstance(item, h5py.Dataset):
            _check_dataset(item, budget, place)
            tree[key] = item
    return tree


def _survey_inner(item: h5py.Group, ancestors: tuple[object, ...], budget: _Budget, skip: tuple[str, ...],
                  place: str) -> Tree:
    """One group below, unless it is one of its own ancestors."""
    address = _address(item)
    if address in ancestors:
        raise ModelError("a group contains itself through a hard link", where=place, code="CYCLIC_LINK",
                         fix="export the file again; a graph cannot contain itself")
    return _survey(item, (*ancestors, address), budget, skip)


def _address(group: h5py.Group) -> object:
    """What identifies an object inside its file."""
    info = h5py.h5o.get_info(group.id)
    return info.addr


def _check_link(group: h5py.Group, key: str, place: str) -> None:
    """Only hard links: others lead out of the file, or nowhere."""
    link = group.get(key, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = "external" if isinstance(link, h5py.ExternalLink) else "soft"
        raise ModelError(f"it is a {kind} link", where=place, code="BAD_LINK",
                         fix="store the data itself in the file; links are not followed")


def _check_budget(budget: _Budget, place: str) -> None:
    """Refuse files that declare more than can be meant."""
    if budget.objects < 0:
        raise ModelError(f"it holds more than {MAX_OBJECTS} groups and datasets", where=place, code="TOO_LARGE",
                         fix="export a smaller graph")
    if budget.size < 0:
        raise ModelError(f"the datasets together need more than {MAX_BYTES >> 30} GiB as float64", where=place,
                         code="TOO_LARGE", fix="split the network, or store its layers as convolutions")


def _check_dataset(item: h5py.Dataset, budget: _Budget, place: str) -> None:
    """Numbers and text only; the declared size is taken from the budget."""
    if item.is_virtual or item.external:
        raise ModelError("its values lie in another file", where=place, code="BAD_LINK",
                         fix="store the data itself in the file")
    kind = item.dtype.kind
    if kind not in "biufS" and h5py.check_string_dtype(item.dtype) is None:
        raise ModelError(f"values of type {item.dtype} are neither real numbers nor text", where=place,
                         code="BAD_DTYPE", fix="store floats, integers or strings")
    budget.size -= math.prod(item.shape or (1,)) * max(item.dtype.itemsize, 8)
    _check_budget(budget, place)
    if kind == "O":
        check_lengths(item, budget.raw, place)


def attribute(item: h5py.Group, name: str) -> Any:
    """A scalar attribute, text or a number; None where it is absent or of another type (h5py can crash on those)."""
    if name not in item.attrs:
        return None
    stored = h5py.h5a.open(item.id, name.encode())
    kinds = (h5py.h5t.TypeStringID, h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID)
    if not isinstance(stored.get_type(), kinds) or math.prod(stored.shape) != 1:
        return None
    value = item.attrs[name]
    return value.decode("utf8", "replace") if isinstance(value, bytes) else value


def _graph_of_file(file: h5py.File) -> RawGraph:
    """From the root group."""
    if "node" not in file or file.get("node", getlink=True) is None:
        raise _not_a_model(file)
    tree = survey(file, ("metadata",))
    version = text_of(tree["version"]) if isinstance(tree.get("version"), h5py.Dataset) else ""
    if not isinstance(tree["node"], dict):
        raise ModelError("/node is not a group", where="/node", code="MISSING_GROUP", fix="export the file again")
    root = _node(tree["node"], "/node")
    if root.graph is None:
        return RawGraph({"0": root}, (), version)
    graph = root.graph
    return RawGraph(graph.nodes, graph.edges, version, graph.metadata, graph.extra)


def _not_a_model(file: h5py.File) -> ModelError:
    """A refusal that knows the neighbours of NIR."""
    if attribute(file, "__type__") == "NIRGraphData":
        return ModelError("it holds NIR data, not a network", code="NOT_A_MODEL", fix="give it as the data file")
    return ModelError("it has no group /node", where="/", code="NOT_A_MODEL",
                      fix="give a file that nir.write made")


def _node(tree: Tree, place: str) -> RawNode:
    """One node of any type."""
    kind = tree.get("type")
    if not isinstance(kind, h5py.Dataset):
        raise ModelError("the node has no type", where=place, code="MISSING_FIELD",
                         fix="export the file again; a node's group holds a text named type")
    metadata = tuple(tree["metadata"]) if isinstance(tree.get("metadata"), dict) else ()
    name = text_of(kind)
    if name == "NIRGraph":
        return RawNode(name, graph=_graph(tree, place, metadata), metadata=metadata)
    used = {k: v for k, v in tree.items() if k not in ("type", "metadata")}
    fields = {k: _value(v) for k, v in used.items() if isinstance(v, h5py.Dataset)}
    groups = {k: "(a group)" for k, v in used.items() if isinstance(v, dict)}
    return RawNode(name, {**fields, **groups}, metadata=metadata)


def _graph(tree: Tree, place: str, metadata: tuple[str, ...]) -> RawGraph:
    """A graph's nodes and edges."""
    inner = tree.get("nodes")
    if not isinstance(inner, dict):
        raise ModelError("the graph has no group 'nodes'", where=place, code="MISSING_GROUP",
                         fix="export the file again")
    nodes = {}
    for name, sub in inner.items():
        if not isinstance(sub, dict):
            raise ModelError("the node is a dataset, not a group", where=f"{place}/nodes/{name}",
                             code="MISSING_GROUP", fix="export the file again")
        nodes[name] = _node(sub, f"{place}/nodes/{name}")
    known = ("type", "nodes", "edges", "metadata", "input_type", "output_type")
    return RawGraph(nodes, _edges(tree.get("edges"), place), metadata=metadata,
                    extra=tuple(k for k in tree if k not in known))


def _edges(item: object, place: str) -> tuple[tuple[str, str], ...] | None:
    """Pairs of names; None where they are missing or empty."""
    if not isinstance(item, h5py.Dataset) or not item.shape or 0 in item.shape:
        return None
    if len(item.shape) != 2 or item.shape[1] != 2:
        raise ModelError(f"the edges have shape {item.shape}, they need (n, 2)", where=f"{place}/edges",
                         code="BAD_EDGES", fix="store one pair of node names an edge")
    if item.dtype.kind in "biuf":
        raise ModelError("the edges are numbers, they must be node names", where=f"{place}/edges", code="BAD_EDGES",
                         fix="store pairs of names as text")
    return tuple((_text(a, item.name), _text(b, item.name)) for a, b in item[()])


def _value(item: h5py.Dataset) -> Value:
    """A field's content: text, or an array."""
    if item.dtype.kind == "O" or item.dtype.kind == "S":
        if item.shape in ((), (1,)):
            return text_of(item)
        return np.zeros(0, "U1")  # arrays of text belong to no field
    if item.shape is None:
        return np.zeros(0)
    return np.asarray(item[()])


def text_of(item: h5py.Dataset) -> str:
    """A scalar text."""
    value = item[()]
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size == 1 else b""
    return _text(value, item.name)


def _text(value: object, place: str) -> str:
    """Text from bytes."""
    if isinstance(value, bytes) and len(value) <= MAX_TEXT:
        try:
            return value.decode("utf8")
        except UnicodeDecodeError:
            pass
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise ModelError("there is no readable text where a name belongs", where=place, code="BAD_TEXT",
                     fix="store names as UTF-8 text")
