"""Files: what the HDF5 reader accepts and how it refuses the rest."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from hwsdk.errors import ModelError
from hwsdk.ir.formats import load

TEXT = h5py.string_dtype()
Edit = Callable[[h5py.File], None]


def write(path: Path, edit: Edit | None = None) -> Path:
    """A small valid file, changed by ``edit``."""
    with h5py.File(path, "w") as f:
        f.create_dataset("version", data="1.0.8", dtype=TEXT)
        node = f.create_group("node")
        node.create_dataset("type", data="NIRGraph", dtype=TEXT)
        node.create_dataset("edges", data=np.array([["in", "a"], ["a", "b"], ["b", "out"]], object), dtype=TEXT)
        add(f, "in", "Input", shape=np.array([3]))
        add(f, "a", "Affine", weight=np.ones((2, 3), np.float32), bias=np.zeros(2))
        add(f, "b", "IF", r=np.ones(2), v_threshold=np.ones(2))
        add(f, "out", "Output", shape=np.array([2]))
        if edit is not None:
            edit(f)
    return path


def add(f: h5py.File, name: str, kind: str, **fields: Any) -> None:
    group = f.create_group(f"node/nodes/{name}")
    group.create_dataset("type", data=kind, dtype=TEXT)
    for field, value in fields.items():
        group.create_dataset(field, data=value)


def put(f: h5py.File, place: str, *args: Any, **kwargs: Any) -> None:
    if place in f:
        del f[place]
    f.create_dataset(place, *args, **kwargs)


def refused(path: Path, code: str, *words: str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(path, dt=1.0, reset="value")
    assert caught.value.code == code, str(caught.value)
    assert path.name in caught.value.where
    assert caught.value.fix
    for word in words:
        assert word in str(caught.value)
    return caught.value


def test_the_small_file_is_fine(tmp_path: Path) -> None:
    network = load(write(tmp_path / "small.nir"), dt=1.0, reset="value")
    assert network.name == "small"
    assert network.nodes["a"].weight.dtype == np.float64  # type: ignore[attr-defined]
    assert "NIR version 1.0.8" in network.ledger.to_text()


def _refuse_soft(f: h5py.File) -> None:
    f["node/nodes/a/extra"] = h5py.SoftLink("/node/nodes/a/bias")


def _refuse_external(f: h5py.File) -> None:
    f["node/nodes/a/extra"] = h5py.ExternalLink("other.h5", "/secret")


def _cycle(f: h5py.File) -> None:
    f["node/nodes/a/again"] = f["node/nodes"]


def _deep(f: h5py.File) -> None:
    f.create_group("node/nodes/a/" + "/".join("x" * 80))


def _compound(f: h5py.File) -> None:
    put(f, "node/nodes/a/weight", data=np.zeros((2, 3), [("re", "f4"), ("name", "i4")]))


def _external_storage(f: h5py.File) -> None:
    del f["node/nodes/a/bias"]
    f.create_dataset("node/nodes/a/bias", (2,), "f8", external=[("other.bin", 0, 16)])


EDITS: dict[str, tuple[Edit, str, tuple[str, ...]]] = {
    "no node": (lambda f: f.__delitem__("node"), "NOT_A_MODEL", ("/node",)),
    "no nodes": (lambda f: f.__delitem__("node/nodes"), "MISSING_GROUP", ("nodes",)),
    "node is a dataset": (lambda f: put(f, "node", data=1), "MISSING_GROUP", ("/node",)),
    "inner node is a dataset": (lambda f: put(f, "node/nodes/x", data=1), "MISSING_GROUP", ("nodes/x",)),
    "no type": (lambda f: f.__delitem__("node/nodes/a/type"), "MISSING_FIELD", ("nodes/a", "type")),
    "unknown type": (lambda f: put(f, "node/nodes/a/type", data="Conv9d", dtype=TEXT), "UNKNOWN_NODE", ("Conv9d",)),
    "type is a number": (lambda f: put(f, "node/nodes/a/type", data=3.0), "BAD_TEXT", ("nodes/a/type",)),
    "type is not text": (lambda f: put(f, "node/nodes/a/type", data=np.bytes_(b"\xff\xfe")), "BAD_TEXT", ()),
    "no weight": (lambda f: f.__delitem__("node/nodes/a/weight"), "MISSING_FIELD", ("weight",)),
    "text weight": (lambda f: put(f, "node/nodes/a/weight", data="big", dtype=TEXT), "BAD_DTYPE", ("weight", "text")),
    "complex weight": (lambda f: put(f, "node/nodes/a/weight", data=np.ones((2, 3), complex)), "BAD_DTYPE", ()),
    "compound weight": (_compound, "BAD_DTYPE", ("weight",)),
    "empty weight": (lambda f: put(f, "node/nodes/a/weight", data=h5py.Empty("f4")), "BAD_SHAPE", ("weight",)),
    "group for a weight": (lambda f: (f.__delitem__("node/nodes/a/weight"),
                                      f.create_group("node/nodes/a/weight"))[0], "BAD_DTYPE", ("weight",)),
    "soft link": (_refuse_soft, "BAD_LINK", ("soft",)),
    "external link": (_refuse_external, "BAD_LINK", ("external",)),
    "external storage": (_external_storage, "BAD_LINK", ("another file",)),
    "hard cycle": (_cycle, "CYCLIC_LINK", ("itself",)),
    "deep": (_deep, "TOO_DEEP", ()),
    "flat edges": (lambda f: put(f, "node/edges", data=np.array(["a", "b"], object), dtype=TEXT), "BAD_EDGES", ()),
    "numeric edges": (lambda f: put(f, "node/edges", data=np.ones((3, 2))), "BAD_EDGES", ("numbers",)),
    "dangling edge": (lambda f: put(f, "node/edges", data=np.array([["a", "zz"]], object), dtype=TEXT),
                      "DANGLING_EDGE", ("zz",)),
    "negative shape": (lambda f: put(f, "node/nodes/in/shape", data=np.array([-3])), "BAD_SHAPE", ("-3",)),
    "huge shape": (lambda f: put(f, "node/nodes/in/shape", data=np.array([1 << 20, 1 << 20])), "TOO_LARGE", ()),
}


@pytest.mark.parametrize("case", EDITS)
def test_refused(tmp_path: Path, case: str) -> None:
    edit, code, words = EDITS[case]
    refused(write(tmp_path / "bad.nir", edit), code, *words)


@pytest.mark.parametrize(("content", "code"), [(b"", "NOT_HDF5"), (b"not HDF5 at all", "NOT_HDF5"),
                                               (b"\x89HDF\r\n\x1a\n", "TRUNCATED"), (None, "NO_FILE")])
def test_not_a_file(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "x.nir"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load(path)
    assert caught.value.code in (code, "DAMAGED")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(tmp_path)
    assert caught.value.code == "NO_FILE"


def test_declared_size_costs_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "huge.nir", lambda f: put(f, "node/nodes/a/weight", shape=(1_000_000_000,), dtype="f4",
                                                       chunks=(1024,), fillvalue=1.0))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    began = time.perf_counter()
    refused(path, "TOO_LARGE", "4 GiB", "weight")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert time.perf_counter() - began < 5


def test_hard_links_that_multiply(tmp_path: Path) -> None:
    """Each level names the next one eight times: 8^9 paths in a small file."""
    def bomb(f: h5py.File) -> None:
        group = f.create_group("node/nodes/a/bomb")
        for _ in range(9):
            below = group.create_group("0")
            for i in range(1, 8):
                group[str(i)] = below
            group = below

    path = write(tmp_path / "bomb.nir", bomb)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwsdk.ir.formats.hdf5.MAX_OBJECTS", 10_000)
        refused(path, "TOO_LARGE", "groups")


def _damage(path: Path, mark: bytes, offset: int, value: bytes) -> Path:
    """Overwrite bytes behind the first place where ``mark`` stands."""
    data = bytearray(path.read_bytes())
    at = data.index(mark) + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


def test_damaged_text_heap_does_not_hang(tmp_path: Path) -> None:
    """The size of the first object wraps round, which libhdf5 follows for ever."""
    refused(_damage(write(tmp_path / "h.nir"), b"GCOL", 24, b"\xff" * 8), "BAD_TEXT", "heap")
    refused(_damage(write(tmp_path / "h.nir"), b"GCOL", 8, b"\xff" * 8), "BAD_TEXT", "heap")


@pytest.mark.parametrize("storage", [{}, {"chunks": (1, 2)}, {"compression": "gzip"}])
def test_text_of_absurd_length(tmp_path: Path, storage: dict[str, Any]) -> None:
    edges = np.array([["in", "a"], ["a", "b"], ["b", "x" * 70_000]], object)
    path = write(tmp_path / "t.nir", lambda f: put(f, "node/edges", data=edges, dtype=TEXT, **storage))
    refused(path, "BAD_TEXT", "70,000", "edges")


@pytest.mark.parametrize("storage", [{"chunks": (1, 2)}, {"compression": "gzip"},
                                     {"compression": "gzip", "shuffle": True}])
def test_chunked_text_is_read(tmp_path: Path, storage: dict[str, Any]) -> None:
    edges = np.array([["in", "a"], ["a", "b"], ["b", "out"]], object)
    path = write(tmp_path / "t.nir", lambda f: put(f, "node/edges", data=edges, dtype=TEXT, **storage))
    assert load(path, dt=1.0, reset="value").n_neurons == 2


def test_fixed_length_text_is_read(tmp_path: Path) -> None:
    def edit(f: h5py.File) -> None:
        put(f, "node/edges", data=np.array([[b"in", b"a"], [b"a", b"b"], [b"b", b"out"]]))
        put(f, "node/nodes/a/type", data=np.bytes_(b"Affine"))

    assert load(write(tmp_path / "s.nir", edit), dt=1.0, reset="value").n_neurons == 2


def test_metadata_is_noted_not_read(tmp_path: Path) -> None:
    def edit(f: h5py.File) -> None:
        f.create_dataset("node/nodes/a/metadata/anything", data=np.zeros(2, [("a", "i4")]))

    network = load(write(tmp_path / "m.nir", edit), dt=1.0, reset="value")
    assert "anything" in network.ledger.to_text()


@pytest.mark.parametrize("nested", [False, True])
def test_what_nir_writes(tmp_path: Path, nested: bool) -> None:
    one = np.ones(2)
    inner: Any = nir.IF(one, one, 0 * one)
    if nested:
        inner = nir.NIRGraph.from_list(inner)
    graph = nir.NIRGraph({"input": nir.Input({"input": np.array([3])}), "a": nir.Affine(np.ones((2, 3)), one),
                          "b": inner, "output": nir.Output({"output": np.array([2])})},
                         [("input", "a"), ("a", "b"), ("b", "output")], type_check=False)
    nir.write(tmp_path / "w.nir", graph)
    stored, given = load(tmp_path / "w.nir", dt=1.0, reset="value"), load(graph, dt=1.0, reset="value", name="w")
    assert stored.n_neurons == 2
    assert stored.digest() == given.digest()


def test_a_single_node_file(tmp_path: Path) -> None:
    nir.write(tmp_path / "one.nir", nir.Threshold(np.ones(4)))
    assert load(tmp_path / "one.nir").shapes["output"] == (4,)


def test_data_is_no_model(tmp_path: Path) -> None:
    data = nir.NIRGraphData({"input": nir.NIRNodeData({"spikes": nir.TimeGriddedData(np.ones((1, 2, 3)), 1e-3)})})
    nir.write_data(tmp_path / "d.nir", data)
    refused(tmp_path / "d.nir", "NOT_A_MODEL", "data")
