"""Data files become Stimuli, or are refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.formats import load_data

ONE = {"input": (4,)}
RNG = np.random.default_rng(3)


def refused(source: object, shapes: Any, code: str, *words: str, **given: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load_data(source, shapes, **given)
    assert caught.value.code == code, str(caught.value)
    assert caught.value.fix
    for word in words:
        assert word in str(caught.value)
    return caught.value


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("shape", [(7, 4), (1, 7, 4), (3, 7, 4)])
def test_npy(tmp_path: Path, shape: tuple[int, ...]) -> None:
    dense = RNG.integers(0, 2, shape)
    np.save(tmp_path / "d.npy", dense)
    stimulus = load_data(tmp_path / "d.npy", ONE)
    np.testing.assert_array_equal(stimulus.inputs["input"].dense(), dense.reshape(-1, 7, 4))


def test_npy_in_fortran_order(tmp_path: Path) -> None:
    dense = np.asfortranarray(RNG.normal(size=(7, 4)))
    np.save(tmp_path / "d.npy", dense)
    np.testing.assert_array_equal(load_data(tmp_path / "d.npy", ONE).inputs["input"].dense(0), dense)


@pytest.mark.parametrize("key", ["x", "data", "spikes", "inputs", "images"])
@pytest.mark.parametrize("label", ["y", "label", "labels"])
def test_npz_dense(tmp_path: Path, key: str, label: str) -> None:
    path = saved(tmp_path / "d.npz", **{key: RNG.normal(size=(3, 7, 4)), label: np.array([2, 0, 1])})
    stimulus = load_data(path, ONE, limit=2, n_steps=9)
    assert (stimulus.n_samples, stimulus.n_steps) == (2, 9)
    assert stimulus.labels is not None
    assert stimulus.labels.tolist() == [2, 0]
    assert "padded from 7 to 9" in stimulus.notes[-1]


def test_npz_one_array_an_input(tmp_path: Path) -> None:
    shapes = {"left": (2,), "right": (3, 2)}
    path = saved(tmp_path / "d.npz", left=np.ones((5, 2)), right=np.ones((5, 3, 2)))
    stimulus = load_data(path, shapes, n_steps=4)
    assert stimulus.n_steps == 4
    assert stimulus.inputs["right"].counts().tolist() == [[4.0] * 6]
    refused(path, {"left": (2,), "middle": (1,)}, "WRONG_INPUTS", "middle")


def test_npz_the_array_that_suits(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.npz", taxel=np.ones((2, 5, 4)), letters=np.array(["a", "b"]), other=np.ones(3))
    assert load_data(path, ONE).n_samples == 2
    refused(saved(tmp_path / "e.npz", one=np.ones((5, 4)), two=np.ones((5, 4))), ONE, "NO_DATA_ARRAY", "one", "two")


def test_static_images_need_steps(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.npz", image=RNG.integers(0, 255, (5, 2, 2)), label=np.arange(5))
    refused(path, {"input": (2, 2)}, "STATIC_DATA", "5 static samples")
    stimulus = load_data(path, {"input": (2, 2)}, n_steps=3, limit=4)
    assert (stimulus.n_samples, stimulus.n_steps) == (4, 3)


def events(**changes: Any) -> dict[str, Any]:
    """Two samples on a 3x2 sensor: the second event of the first falls into the bin of the first."""
    made = {"x": [0, 0, 2, 1], "y": [1, 1, 0, 1], "p": [0, 0, 1, 1], "dt_us": [500, 999, 1, 70], "offset": [0, 3, 4],
            "label": [7, 8]}
    return {k: np.array(v) for k, v in {**made, **changes}.items() if v is not None}


SENSOR = {"input": (2, 2, 3)}


def test_address_events(tmp_path: Path) -> None:
    stimulus = load_data(saved(tmp_path / "d.npz", **events()), SENSOR)
    frames = stimulus.inputs["input"].dense().reshape(2, -1, 2, 2, 3)
    expected = np.zeros((2, 2, 2, 2, 3))
    expected[0, 0, 0, 1, 0] = expected[0, 1, 1, 0, 2] = expected[1, 0, 1, 1, 1] = 1
    np.testing.assert_array_equal(frames, expected)
    assert stimulus.labels is not None
    assert stimulus.labels.tolist() == [7, 8]
    assert "0.001 s" in stimulus.notes[0]
    assert load_data(saved(tmp_path / "d.npz", **events()), SENSOR, dt_s=1e-4).n_steps == 11
    short = load_data(saved(tmp_path / "d.npz", **events()), SENSOR, n_steps=1, limit=1)
    assert short.inputs["input"].counts().sum() == 1


def test_address_events_with_absolute_times(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.npz", **events(dt_us=None, t=[9000, 9999, 10000, 3]))
    np.testing.assert_array_equal(load_data(path, SENSOR).inputs["input"].dense(),
                                  load_data(saved(tmp_path / "e.npz", **events()), SENSOR).inputs["input"].dense())


@pytest.mark.parametrize(("changes", "code", "word"), [
    ({"x": [0, 0, 3, 1]}, "OUT_OF_RANGE", "x 3"), ({"p": [0, 0, 2, 1]}, "OUT_OF_RANGE", "p 2"),
    ({"y": [1, 1]}, "RAGGED", "y 2"), ({"offset": [0, 3, 9]}, "RAGGED", "offset"),
    ({"x": [0, 0.5, 1, 1]}, "BAD_DTYPE", "x"),
    ({"offset": [0, 3, 2]}, "RAGGED", "offset"), ({"label": [1]}, "RAGGED", "labels"),
    ({"dt_us": [0, 1 << 50, 1, 1]}, "TOO_LARGE", "steps")])
def test_bad_address_events(tmp_path: Path, changes: dict[str, Any], code: str, word: str) -> None:
    refused(saved(tmp_path / "d.npz", **events(**changes)), SENSOR, code, word)


def test_address_events_need_an_image(tmp_path: Path) -> None:
    refused(saved(tmp_path / "d.npz", **events()), {"input": (12,)}, "SHAPE_MISMATCH", "height")


def test_nmnist(corpus: Path) -> None:
    stimulus = load_data(corpus / "nmnist/nmnist_test_0_49.npz", {"input": (2, 34, 34)}, limit=3)
    assert stimulus.n_samples == 3
    assert stimulus.labels is not None
    assert stimulus.labels.tolist() == [7, 2, 1]
    assert stimulus.inputs["input"].value is None


def test_listed_events(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.npz", sample=[0, 1, 1], step=[1, 0, 0], index=[2, 3, 3], value=[1.0, 2.0, 0.5],
                 labels=[5, 6, 7], n_steps=6)
    stimulus = load_data(path, ONE)
    assert (stimulus.n_samples, stimulus.n_steps) == (3, 6)
    assert stimulus.inputs["input"].dense(1)[0].tolist() == [0, 0, 0, 2.5]
    assert load_data(path, ONE, n_steps=1).inputs["input"].counts()[0].sum() == 0


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("step,index\n0,1\n\n2,3\n", encoding="utf8")
    assert load_data(path, ONE).inputs["input"].dense(0).tolist() == [[0, 1, 0, 0], [0] * 4, [0, 0, 0, 1]]


@pytest.mark.parametrize(("text", "code", "word"), [
    ("0,1\n1,2\n", "NO_HEADER", ".npy"), ("", "NO_HEADER", "step"), ("step,index\n0\n", "BAD_CSV", "row 2"),
    ("step,index\n0,a\n", "BAD_CSV", "row 2"), ("step,index\n0,4\n", "OUT_OF_RANGE", "4"),
    ("step,index\n0.5,1\n", "BAD_DTYPE", "step"), ("step,index\n-1,1\n", "OUT_OF_RANGE", "-1"),
    ("step,index,value\n0,1,nan\n", "NOT_FINITE", "value"), ("step,index\n99999999999,1\n", "OUT_OF_RANGE", "step"),
    ("step,index\nnan,1\n", "BAD_DTYPE", "step"), ("step,index\n99999999,1\n", "TOO_LARGE", "steps")])
def test_bad_csv(tmp_path: Path, text: str, code: str, word: str) -> None:
    (tmp_path / "d.csv").write_text(text, encoding="utf8")
    refused(tmp_path / "d.csv", ONE, code, word)


GRID = nir.TimeGriddedData(RNG.integers(0, 2, (2, 5, 4)).astype(bool), 1e-3)


def nir_data(**observables: Any) -> nir.NIRGraphData:
    return nir.NIRGraphData({"input": nir.NIRNodeData(observables)})


@pytest.mark.parametrize("through_file", [True, False])
def test_nir_data(tmp_path: Path, through_file: bool) -> None:
    def given(data: nir.NIRGraphData) -> object:
        nir.write_data(tmp_path / "d.h5", data)
        return tmp_path / "d.h5" if through_file else data

    expected = GRID.data.astype(float)
    stimulus = load_data(given(nir_data(spikes=GRID)), ONE)
    np.testing.assert_array_equal(stimulus.inputs["input"].dense(), expected)
    timed = load_data(given(nir_data(spikes=GRID.to_event(20))), ONE, dt_s=1e-3)
    np.testing.assert_array_equal(timed.inputs["input"].dense(), expected)
    valued = nir.ValuedEventData(idx=np.array([[1, 2, -1]]), time=np.array([[0.0, 3e-3, np.inf]]),
                                 value=np.array([[2.0, 3.0, 0.0]]), n_neurons=4, t_max=5e-3)
    assert load_data(given(nir_data(spikes=valued)), {"other": (2, 2)}).inputs["other"].dense(0)[:4, 1:3].tolist() == [
        [2, 0], [0, 0], [0, 0], [0, 3]]


@pytest.mark.parametrize(("data", "given", "code"), [
    (nir_data(spikes=GRID), {"dt_s": 1e-4}, "DT_MISMATCH"),
    (nir_data(v=GRID, u=GRID), {}, "AMBIGUOUS"),
    (nir_data(spikes=nir.EventData(np.array([[7]]), np.array([[0.0]]), 4, 1e-2)), {}, "OUT_OF_RANGE"),
    (nir_data(spikes=nir.EventData(np.array([[1]]), np.array([[np.inf]]), 4, 1e-2)), {}, "OUT_OF_RANGE"),
    (nir_data(spikes=nir.EventData(np.array([[1]]), np.array([[0.0]]), 5, 1e-2)), {}, "SHAPE_MISMATCH"),
    (nir_data(spikes=nir.EventData(np.array([[1]]), np.array([[1e9]]), 4, 1e-2)), {}, "OUT_OF_RANGE"),
    (nir_data(spikes=nir.EventData(np.array([[1]]), np.array([[0.0]]), 4, 1e9)), {}, "TOO_LARGE"),
    (nir.NIRGraphData({"a": nir.NIRNodeData({"s": GRID}), "b": nir.NIRNodeData({"s": GRID})}), {}, "WRONG_INPUTS")])
def test_bad_nir_data(tmp_path: Path, data: nir.NIRGraphData, given: dict[str, Any], code: str) -> None:
    refused(data, ONE, code, **given)
    nir.write_data(tmp_path / "d.h5", data)
    refused(tmp_path / "d.h5", ONE, code, **given)


def test_a_model_is_no_data(tmp_path: Path) -> None:
    nir.write(tmp_path / "m.nir", nir.Threshold(np.ones(4)))
    refused(tmp_path / "m.nir", ONE, "NOT_DATA", "network")


def test_attributes_of_other_types_are_not_read(tmp_path: Path) -> None:
    """h5py crashes on a damaged __type__ that has become a sequence of variable length."""
    with h5py.File(tmp_path / "d.h5", "w") as f:
        kind = h5py.h5t.vlen_create(h5py.h5t.NATIVE_INT32)
        h5py.h5a.create(f.id, b"__type__", kind, h5py.h5s.create(h5py.h5s.SCALAR))
    refused(tmp_path / "d.h5", ONE, "NOT_DATA")


def _huge_npy(path: Path) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 4)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "pickled": ("d.npy", lambda p: np.save(p, np.array([{}]), allow_pickle=True), "BAD_DTYPE"),
    "complex": ("d.npy", lambda p: np.save(p, np.ones((5, 4), complex)), "BAD_DTYPE"),
    "text": ("d.npy", lambda p: np.save(p, np.array([["a"] * 4])), "BAD_DTYPE"),
    "huge": ("d.npy", _huge_npy, "TOO_LARGE"),
    "not npy": ("d.npy", lambda p: p.write_bytes(b"hello"), "BAD_FILE"),
    "not npz": ("d.npz", lambda p: p.write_bytes(b"hello"), "BAD_FILE"),
    "no arrays": ("d.npz", lambda p: np.savez(p), "BAD_FILE"),
    "cut npy": ("d.npy", lambda p: (np.save(p, np.ones((5, 4))), p.write_bytes(p.read_bytes()[:-9])), "BAD_FILE"),
    "nan": ("d.npy", lambda p: np.save(p, np.full((5, 4), np.nan)), "NOT_FINITE"),
    "shape": ("d.npy", lambda p: np.save(p, np.ones((5, 3))), "SHAPE_MISMATCH"),
    "labels": ("d.npz", lambda p: np.savez(p, x=np.ones((2, 5, 4)), y=np.ones(3)), "RAGGED"),
    "text format": ("d.txt", lambda p: p.write_bytes(b"1 2 3"), "UNKNOWN_FORMAT"),
    "not hdf5": ("d.h5", lambda p: p.write_bytes(b"hello"), "NOT_HDF5"),
    "missing": ("d.npy", lambda p: None, "NO_FILE"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(tmp_path: Path, case: str) -> None:
    name, make, code = BAD_FILES[case]
    make(tmp_path / name)
    assert name in refused(tmp_path / name, ONE, code).where


def test_objects() -> None:
    assert load_data(np.ones((5, 4)), ONE).n_steps == 5
    assert load_data({"input": np.ones((5, 4))}, ONE).n_steps == 5
    stimulus = Stimulus.dense(np.ones((2, 5, 4)), ONE)
    assert load_data(stimulus, ONE, limit=1, n_steps=3).n_samples == 1
    refused(stimulus, {"other": (4,)}, "WRONG_INPUTS")
    refused([["a", object()]], ONE, "BAD_DTYPE")
    refused(np.ones((5, 4)), {"a": (4,), "b": (4,)}, "WRONG_INPUTS")


@pytest.mark.parametrize("given", [{"dt_s": 0}, {"n_steps": 0}, {"limit": 0}, {"n_steps": 10**9},
                                   {"dt_s": float("nan")}])
def test_bad_options(given: dict[str, Any]) -> None:
    refused(np.ones((5, 4)), ONE, "BAD_OPTION", next(iter(given)), **given)
