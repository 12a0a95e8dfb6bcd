"""NIR data (nir.write_data files and nir.NIRGraphData objects) as Events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hwsdk.errors import DataError
from hwsdk.ir.data import Events, events_from_arrays, events_from_dense
from hwsdk.ir.formats.data_events import binary_events, require_cells
from hwsdk.ir.formats.hdf5 import attribute, open_hdf5, survey
from hwsdk.ir.formats.raw import MAX_DEPTH
from hwsdk.ir.nodes import Shape, size

KINDS = ("TimeGriddedData", "EventData", "ValuedEventData")
DEFAULT_DT_S = 1e-3
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One observable of one node: its kind, arrays (data | idx, time, value) and numbers (dt | n_neurons, t_max)."""

    kind: str
    arrays: Mapping[str, Array]
    numbers: Mapping[str, float] = field(default_factory=dict)


def read_file(path: Path) -> dict[str, Record]:
    """Node name (dotted for nested graphs) -> Record.

    Raises:
        DataError: NOT_HDF5, TRUNCATED, DAMAGED, NOT_DATA, TOO_LARGE, AMBIGUOUS and what the HDF5 survey refuses.
    """
    records: dict[str, Record] = open_hdf5(path, _records_of_file, DataError)
    return records


def _records_of_file(file: h5py.File) -> dict[str, Record]:
    """From the root group."""
    if attribute(file, "__type__") != "NIRGraphData":
        what = "a NIR network, not data" if "node" in file else "no NIR data"
        raise DataError(f"it holds {what}", code="NOT_DATA", fix="write the data with nir.write_data")
    survey(file)
    return _records(file, "")


def _records(group: h5py.Group, prefix: str) -> dict[str, Record]:
    """All nodes of one graph."""
    found: dict[str, Record] = {}
    if not isinstance(group.get("nodes"), h5py.Group):
        raise DataError("the group has no nodes", where=group.name, code="NOT_DATA", fix="write it with nir.write_data")
    for name, node in group["nodes"].items():
        if isinstance(node, h5py.Group) and "nodes" in node:
            found.update(_records(node, f"{prefix}{name}."))
        elif isinstance(node, h5py.Group) and isinstance(node.get("observables"), h5py.Group):
            chosen = _choose(list(node["observables"]), f"{prefix}{name}")
            found[f"{prefix}{name}"] = _record(node["observables"][chosen], f"{prefix}{name}/{chosen}")
    return found


def _choose(names: list[str], where: str) -> str:
    """The observable that is the node's signal."""
    preferred = [n for n in names if n in ("spikes", "input", "output", "data")]
    if len(names) == 1 or preferred:
        return preferred[0] if preferred else names[0]
    raise DataError(f"it has {len(names)} observables ({', '.join(names) or 'none'}) and none is called spikes",
                    where=where, code="AMBIGUOUS", fix="store one observable, or call it spikes")


def _record(item: Any, where: str) -> Record:
    """One observable of a file."""
    kind = attribute(item, "__type__") if isinstance(item, h5py.Group) else None
    if kind not in KINDS:
        raise DataError(f"the observable is a {kind}", where=where, code="BAD_RECORD",
                        fix=f"store one of {', '.join(KINDS)}")
    arrays = {k: np.asarray(v[()]) for k, v in item.items() if isinstance(v, h5py.Dataset)}
    numbers = {k: _number(attribute(item, k), k, where) for k in ("dt", "n_neurons", "t_max") if k in item.attrs}
    return Record(str(kind), arrays, numbers)


def read_object(obj: Any, prefix: str = "", depth: int = 0) -> dict[str, Record]:
    """The records of a nir.NIRGraphData.

    Raises:
        DataError: BAD_RECORD, AMBIGUOUS.
    """
    if depth > MAX_DEPTH:
        raise DataError(f"graphs are nested more than {MAX_DEPTH} deep", code="TOO_DEEP", fix="flatten the data")
    found: dict[str, Record] = {}
    for name, node in obj.nodes.items():
        if isinstance(getattr(node, "nodes", None), Mapping):
            found.update(read_object(node, f"{prefix}{name}.", depth + 1))
            continue
        observables = getattr(node, "observables", {})
        chosen = observables[_choose(list(observables), f"{prefix}{name}")]
        arrays = {k: np.asarray(getattr(chosen, k)) for k in ("data", "idx", "time", "value") if hasattr(chosen, k)}
        numbers = {k: _number(getattr(chosen, k), k, name) for k in ("dt", "n_neurons", "t_max") if hasattr(chosen, k)}
        found[f"{prefix}{name}"] = Record(type(chosen).__name__, arrays, numbers)
    return found


def _number(value: object, key: str, where: str) -> float:
    """A finite number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise DataError(f"{key} is {value!r}, it must be a finite number", where=where, code="BAD_RECORD",
                        fix="write the data again")
    return number


def events(record: Record, shape: Shape, name: str, dt_s: float | None) -> tuple[Events, tuple[str, ...]]:
    """The record on the grid of steps, and notes about how.

    Raises:
        DataError: DT_MISMATCH, BAD_RECORD, SHAPE_MISMATCH, OUT_OF_RANGE, TOO_LARGE.
    """
    if record.kind == "TimeGriddedData":
        return _gridded(record, shape, name, dt_s)
    if record.kind not in KINDS:
        raise DataError(f"the observable is a {record.kind}", where=name, code="BAD_RECORD",
                        fix=f"store one of {', '.join(KINDS)}")
    return _timed(record, shape, name, DEFAULT_DT_S if dt_s is None else dt_s)


def _gridded(record: Record, shape: Shape, name: str, dt_s: float | None) -> tuple[Events, tuple[str, ...]]:
    """Data that is on a grid already."""
    dt = record.numbers.get("dt", 0.0)
    if dt_s is not None and abs(dt - dt_s) > 1e-6 * dt_s:
        raise DataError(f"the data has steps of {dt:g} s, asked for were {dt_s:g} s", where=name, code="DT_MISMATCH",
                        fix="leave dt_s away, or resample the data")
    if "data" not in record.arrays:
        raise DataError("the record has no data", where=name, code="BAD_RECORD", fix="write the data again")
    return events_from_dense(record.arrays["data"], shape, name), (f"{name}: steps of {dt:g} s as stored",)


def _timed(record: Record, shape: Shape, name: str, dt_s: float) -> tuple[Events, tuple[str, ...]]:
    """Events with times in seconds; index -1 is padding."""
    columns = [record.arrays.get(k) for k in (("idx", "time", "value") if record.kind[0] == "V" else ("idx", "time"))]
    index, time, value = _columns(columns, name)
    real = index >= 0
    if record.numbers.get("n_neurons", size(shape)) != size(shape):
        raise DataError(f"the data is for {record.numbers['n_neurons']:g} neurons, the input has {size(shape)}",
                        where=name, code="SHAPE_MISMATCH", fix="give data for this input")
    sample = np.broadcast_to(np.arange(len(index))[:, None], index.shape)[real]
    step = _steps(time[real], dt_s, name)
    total = max(int(np.ceil(round(record.numbers.get("t_max", 0.0) / dt_s, 6))), int(step.max(initial=0)) + 1, 1)
    require_cells(len(index), total, shape, name)
    _check_index(index[real], size(shape), name)
    notes = (f"{name}: events in bins of {dt_s:g} s",)
    if value is None:
        return binary_events(shape, sample, step, index[real], len(index), total, name), notes
    return events_from_arrays(shape, sample, step, index[real], value[real], n_samples=len(index), n_steps=total,
                              where=name), notes


def _columns(columns: list[Array | None], name: str) -> tuple[Array, Array, Array | None]:
    """idx, time and value, all (samples, events) and numeric."""
    if any(c is None or c.dtype.kind not in "biuf" for c in columns):
        raise DataError("the events have no numeric idx and time", where=name, code="BAD_RECORD",
                        fix="write the data with nir.write_data")
    found = [np.atleast_2d(np.asarray(c)) for c in columns]
    if len({c.shape for c in found}) != 1 or found[0].ndim != 2 or found[0].dtype.kind == "f":
        raise DataError("idx (integers), time and value must be arrays (samples, events) of one shape", where=name,
                        code="BAD_RECORD", fix="write the data with nir.write_data")
    if len(found) == 3 and not np.isfinite(found[2][found[0] >= 0]).all():
        raise DataError("value holds NaN or infinite values", where=name, code="NOT_FINITE", fix="clean the data")
    return found[0].astype(np.int64), found[1], found[2] if len(found) == 3 else None


def _steps(time: Array, dt_s: float, name: str) -> Array:
    """Whole steps; a time on a bin's edge belongs to the bin it opens."""
    if time.size and not (np.isfinite(time).all() and time.min() >= 0 and time.max() / dt_s < 2**31):
        raise DataError(f"event times must be finite, 0 or more, and fit steps of {dt_s:g} s", where=name,
                        code="OUT_OF_RANGE", fix="give times in seconds, or a wider bin (dt_s)")
    return np.floor(time / dt_s + 1e-6).astype(np.int64)


def _check_index(index: Array, n: int, name: str) -> None:
    """Indices lie in the input."""
    if index.size and index.max() >= n:
        raise DataError(f"index {index.max()} is outside 0..{n - 1}", where=name, code="OUT_OF_RANGE",
                        fix="check the input's size")
