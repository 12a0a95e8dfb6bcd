"""Damaged files: every outcome is a network, a stimulus or an HwsdkError, quickly and in bounded memory."""

from __future__ import annotations

import io
import itertools
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsdk.errors import HwsdkError
from hwsdk.ir.formats import load, load_data

SECONDS = 5.0
SETTINGS = settings(max_examples=150, deadline=None, derandomize=True,
                    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def survives(read: Callable[[], object]) -> str:
    """"ok" or the code of the refusal; anything else fails the test."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read()
            outcome = "ok"
        except HwsdkError as error:
            assert error.code != "ERROR"
            assert error.what
            assert error.fix
            outcome = error.code
    assert time.process_time() - began < SECONDS
    return outcome


@pytest.fixture(scope="module")
def model() -> bytes:
    """A small valid model with a loop and a convolution."""
    one = np.ones((2, 4, 4))
    graph = nir.NIRGraph(
        {"input": nir.Input({"input": np.array([1, 6, 6])}), "output": nir.Output({"output": np.array([3])}),
         "conv": nir.Conv2d((6, 6), np.ones((2, 1, 3, 3)), 1, 0, 1, 1, np.zeros(2)),
         "if": nir.IF(one, one, 0 * one), "flat": nir.Flatten({"input": np.array([2, 4, 4])}, 0, -1),
         "fc": nir.Affine(np.ones((3, 32)), np.zeros(3)),
         "lif": nir.LIF(*(np.full(3, x) for x in (0.02, 1.0, 0.0, 1.0, 0.0))), "rec": nir.Linear(np.eye(3))},
        [("input", "conv"), ("conv", "if"), ("if", "flat"), ("flat", "fc"), ("fc", "lif"), ("lif", "rec"),
         ("rec", "lif"), ("lif", "output")])
    memory = io.BytesIO()
    nir.write(memory, graph)
    return memory.getvalue()


def test_truncated_models(tmp_path: Path, model: bytes) -> None:
    path = tmp_path / "t.nir"
    seen = set()
    for length in [*range(0, 600, 13), *range(600, len(model), 997), len(model)]:
        path.write_bytes(model[:length])
        seen.add(survives(lambda: load(path)))
    assert {"ok", "NOT_HDF5"} <= seen
    assert "TRUNCATED" in seen


@pytest.mark.parametrize("seed", range(8))
def test_flipped_models(tmp_path: Path, model: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "f.nir"
    for _ in range(60):
        data = bytearray(model)
        for place in rng.integers(0, len(data), rng.integers(1, 8)):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        survives(lambda: load(path))


@SETTINGS
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes(tmp_path: Path, data: bytes) -> None:
    for name in ("x.nir", "x.npy", "x.npz", "x.csv", "x.h5"):
        (tmp_path / name).write_bytes(data)
        survives(lambda p=tmp_path / name: load(p))  # type: ignore[misc]
        survives(lambda p=tmp_path / name: load_data(p, {"input": (4,)}))  # type: ignore[misc]


ODD = [1 << 31, -(1 << 40), 0.5, np.nan, np.inf, 1j, "same", b"x", None]
SCALARS = st.one_of(st.integers(-3, 6), st.sampled_from(ODD))
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)
ARRAYS = st.one_of(SCALARS, SHAPES.map(np.ones), SHAPES.map(np.zeros), SHAPES.map(lambda s: np.full(s, np.nan)),
                   SHAPES.map(lambda s: np.ones(s, np.int64)), SHAPES.map(lambda s: np.ones(s, complex)),
                   st.lists(st.integers(-2, 5), max_size=4))
TYPES = ["Input", "Output", "Affine", "Linear", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "I", "IF",
         "LI", "LIF", "CubaLI", "CubaLIF", "Threshold", "Scale", "Delay", "NIRGraph", "Softmax"]
FIELDS = ["shape", "weight", "bias", "stride", "padding", "dilation", "groups", "input_shape", "kernel_size",
          "input_type", "start_dim", "end_dim", "r", "tau", "tau_mem", "tau_syn", "v_leak", "v_threshold", "v_reset",
          "w_in", "threshold", "scale", "delay", "extra"]
NAMES = st.sampled_from(["a", "b", "c", "1", "10", "in.x"])


class Node:
    """A nir-like node with arbitrary fields; ``of`` gives it a class of the wanted name."""

    @staticmethod
    def of(kind: str, fields: dict[str, Any]) -> object:
        made = type(kind, (Node,), {})()
        made.__dict__.update(fields)
        if kind in ("Input", "Output", "Flatten"):
            made.__dict__[{"Output": "output_type"}.get(kind, "input_type")] = {
                {"Output": "output"}.get(kind, "input"): fields.get("shape")}
        return made


class Graph:
    """A nir-like graph."""

    def __init__(self, nodes: dict[str, object], edges: list[tuple[str, str]]) -> None:
        self.nodes, self.edges = nodes, edges


NODES = st.builds(Node.of, st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), ARRAYS, max_size=8))
GRAPHS = st.recursive(
    st.builds(Graph, st.dictionaries(NAMES, NODES, max_size=5), st.lists(st.tuples(NAMES, NAMES), max_size=8)),
    lambda inner: st.builds(Graph, st.dictionaries(NAMES, st.one_of(NODES, inner), max_size=4),
                            st.lists(st.tuples(NAMES, NAMES), max_size=8)), max_leaves=3)


@settings(SETTINGS, max_examples=600)
@given(graph=GRAPHS)
def test_arbitrary_graphs(graph: Graph) -> None:
    survives(lambda: load(graph))


FULL: dict[str, dict[str, Any]] = {
    "Affine": {"weight": np.ones((3, 3)), "bias": np.ones(3)}, "Scale": {"scale": np.ones(3)},
    "LIF": {k: np.ones(3) for k in ("tau", "r", "v_leak", "v_threshold")}, "Delay": {"delay": np.ones(3)},
    "Conv1d": {"weight": np.ones((3, 3, 1)), "bias": np.ones(3), "stride": 1, "padding": 0, "dilation": 1, "groups": 1},
    "Conv2d": {"weight": np.ones((3, 3, 1, 1)), "bias": np.ones(3), "stride": 1, "padding": 0, "dilation": 1,
               "groups": 1},
    "SumPool2d": {"kernel_size": 1, "stride": 1, "padding": 0}, "Flatten": {"start_dim": 0, "end_dim": -1},
    "CubaLIF": {k: np.ones(3) for k in ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "w_in")},
}


@settings(SETTINGS, max_examples=600)
@given(kinds=st.lists(st.sampled_from(sorted(FULL)), min_size=1, max_size=4), shape=ARRAYS, node=st.integers(0, 3),
       field=st.sampled_from(FIELDS), value=ARRAYS)
def test_one_bad_field(kinds: list[str], shape: Any, node: int, field: str, value: Any) -> None:
    nodes: dict[str, object] = {"input": Node.of("Input", {"shape": shape})}
    for i, kind in enumerate(kinds):
        nodes[str(i)] = Node.of(kind, {**FULL[kind], **({field: value} if i == node else {})})
    names = list(nodes)
    survives(lambda: load(Graph(nodes, list(itertools.pairwise(names)))))


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "h5"])
def test_damaged_data(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"d.{kind}"
    if kind == "npy":
        np.save(path, np.ones((5, 4)))
    elif kind == "npz":
        np.savez_compressed(path, x=np.ones((2, 5, 4)), y=np.arange(2))
    elif kind == "csv":
        path.write_text("sample,step,index,value\n0,1,2,1\n1,3,0,2.5\n")
    else:
        nir.write_data(path, nir.NIRGraphData({"input": nir.NIRNodeData(
            {"spikes": nir.TimeGriddedData(np.ones((1, 5, 4)), 1e-3)})}))
    good = path.read_bytes()
    assert survives(lambda: load_data(path, {"input": (4,)})) == "ok"
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    for i in range(200):
        data = bytearray(good)
        if i % 4 == 0:
            data = data[: rng.integers(len(data))]
        for place in rng.integers(0, max(len(data), 1), 3 if data else 0):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        survives(lambda: load_data(path, {"input": (4,)}))


def test_open_files_are_closed_after_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "x.nir"
    with h5py.File(path, "w") as f:
        f.create_group("nothing")
    assert survives(lambda: load(path)) == "NOT_A_MODEL"
    path.unlink()
    with h5py.File(path, "w") as f:
        f.create_group("again")
