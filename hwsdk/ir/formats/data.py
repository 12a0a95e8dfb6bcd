"""Data files and arrays as a Stimulus: .npy, .npz, .csv and NIR data files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsdk.errors import DataError
from hwsdk.ir.data import Events, Stimulus, events_from_dense
from hwsdk.ir.formats import data_events, data_files, data_lava, data_nir
from hwsdk.ir.formats.data_files import Arrays
from hwsdk.ir.nodes import Shape, size

LABEL_KEYS = ("y", "label", "labels")
DENSE_KEYS = ("x", "data", "spikes", "inputs", "images", "image")
MAX_STEPS = 10_000_000
MAX_DENSE = 1 << 28


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the caller asked for."""

    inputs: Mapping[str, Shape]
    dt_s: float | None
    n_steps: int | None
    limit: int | None

    def only_input(self, kind: str) -> tuple[str, Shape]:
        """The network's only input."""
        if len(self.inputs) != 1:
            raise DataError(f"{kind} feed one input, the network has {len(self.inputs)} ({', '.join(self.inputs)})",
                            code="WRONG_INPUTS", fix="give an .npz with one array named after each input")
        return next(iter(self.inputs.items()))


def load_data(path_or_obj: str | os.PathLike[str] | object, inputs: Mapping[str, Shape], *, dt_s: float | None = None,
              n_steps: int | None = None, limit: int | None = None) -> Stimulus:
    """Input data for a network.

    Args:
        path_or_obj: a file, or an array, a mapping input name -> array, a nir.NIRGraphData, or a Stimulus.
            .npy: dense (steps, *shape) or (samples, steps, *shape); or a recording of lava-dl, with time as the last
            axis or as a list of events (see hwsdk.ir.formats.data_lava).
            .npz: one array an input; or one dense array (x, data, spikes, inputs, images) with optional labels
            (y, label, labels); or address events (x, y, p, and dt_us or t in microseconds, offset, label); or events
            (sample, step, index, and optionally value, labels, n_steps).
            .csv: events with a header row: step, index and optionally sample, value.
            .h5, .hdf5, .nir: what nir.write_data writes.
        inputs: the network's input shapes by name, as in ``{n: i.shape for n, i in network.inputs.items()}``.
        dt_s: width in seconds of the bins that timed events are counted into (default 1e-3; see Stimulus.notes).
        n_steps: pad with silence or cut to so many steps.
        limit: use the first so many samples.

    Returns:
        A Stimulus with exactly these inputs.

    Raises:
        DataError: with a stable code, the file in ``where`` and a remedy.
    """
    wish = _Wish(inputs, *_checked(dt_s, n_steps, limit))
    where = os.fspath(path_or_obj) if isinstance(path_or_obj, str | os.PathLike) else "data"
    try:
        if isinstance(path_or_obj, str | os.PathLike):
            found = _from_file(Path(where), wish)
        else:
            found = _from_object(path_or_obj, wish)
        return _finished(found, wish)
    except DataError as error:
        place = f"{where}: {error.where}" if error.where else str(where)
        raise DataError(error.what, where=place, fix=error.fix, code=error.code) from None
    except MemoryError:
        raise DataError("it needs more memory than there is", where=str(where), code="TOO_LARGE",
                        fix="use fewer samples (limit) or steps") from None


def _checked(dt_s: float | None, n_steps: int | None, limit: int | None) -> tuple[float | None, int | None, int | None]:
    """Refuse options that cannot be meant."""
    if dt_s is not None and not 0 < dt_s < float("inf"):
        raise DataError(f"dt_s is {dt_s}", code="BAD_OPTION", fix="give a positive bin width in seconds")
    for name, value, most in (("n_steps", n_steps, MAX_STEPS), ("limit", limit, 1 << 31)):
        if value is not None and not 1 <= value <= most:
            raise DataError(f"{name} is {value}; allowed are 1 to {most}", code="BAD_OPTION",
                            fix=f"choose {name} in that range")
    return dt_s, n_steps, limit


def _from_file(path: Path, wish: _Wish) -> Stimulus:
    """By the file's ending."""
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise DataError(what, code="NO_FILE", fix="give the path of a data file")
    ending = path.suffix.lower()
    if ending == ".npy":
        return _from_arrays({"data": data_files.read_npy(path)}, wish)
    if ending == ".npz":
        return _from_arrays(data_files.read_npz(path), wish)
    if ending == ".csv":
        return _sparse(data_files.read_csv(path), wish)
    if ending in (".h5", ".hdf5", ".nir"):
        return _from_records(data_nir.read_file(path), wish)
    raise DataError(f"files ending in {ending or 'nothing'} are not read", code="UNKNOWN_FORMAT",
                    fix="give .npy, .npz, .csv (events) or a NIR data file (.h5, .hdf5, .nir)")


def _from_object(obj: object, wish: _Wish) -> Stimulus:
    """From what is already in memory."""
    if isinstance(obj, Stimulus):
        _require_inputs(obj, wish)
        return obj
    if isinstance(obj, Mapping):
        return _from_arrays({str(k): _array(str(k), v) for k, v in obj.items()}, wish)
    if isinstance(getattr(obj, "nodes", None), Mapping):
        return _from_records(data_nir.read_object(obj), wish)
    return _from_arrays({"data": _array("data", obj)}, wish)


def _require_inputs(stimulus: Stimulus, wish: _Wish) -> None:
    """The stimulus is for this network."""
    shapes = {n: e.shape for n, e in stimulus.inputs.items()}
    if shapes != dict(wish.inputs):
        raise DataError(f"the stimulus is for {shapes}, the network has {dict(wish.inputs)}", code="WRONG_INPUTS",
                        fix="load the data for this network")


def _array(name: str, value: Any) -> np.ndarray[Any, Any]:
    """A plain array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        array = np.empty(0, object)
    if array.dtype.kind not in "biufSU":
        raise DataError(f"{name} is no array of numbers", code="BAD_DTYPE", fix="give booleans, integers or floats")
    return array


def _from_arrays(arrays: Arrays, wish: _Wish) -> Stimulus:
    """From named arrays, by their names."""
    names = set(arrays)
    if {"x", "y", "p"} <= names and names & {"dt_us", "t"}:
        name, shape = wish.only_input("address events")
        return data_events.address_events(arrays, name, shape, 1e-3 if wish.dt_s is None else wish.dt_s, wish.limit,
                                          wish.n_steps)
    if {"step", "index"} <= names:
        return _sparse(arrays, wish)
    if names == {"data"} and len(wish.inputs) == 1 and (recorded := data_lava.recording(
            arrays["data"], *next(iter(wish.inputs.items())), wish.dt_s, wish.n_steps)) is not None:
        return recorded
    labels, notes = _labels(arrays)
    if set(wish.inputs) <= names:
        dense = {n: arrays[n] for n in wish.inputs}
    else:
        name, shape = wish.only_input("an unnamed array")
        dense = {name: _the_dense_one(arrays, shape)}
    events = {n: _dense(a, n, wish, labels) for n, a in dense.items()}
    return Stimulus(events, _cut_labels(labels, next(iter(events.values())).n_samples, wish), notes)


def _the_dense_one(arrays: Arrays, shape: Shape) -> np.ndarray[Any, Any]:
    """The array that holds the data: by its name, or the only one whose shape suits."""
    for key in DENSE_KEYS:
        if key in arrays and arrays[key].ndim > 1:
            return arrays[key]
    suits = [k for k, a in arrays.items() if k not in LABEL_KEYS and a.ndim >= 2 and size(shape) in
             (size(a.shape[a.ndim - len(shape):]), a.shape[-1])]
    if len(suits) != 1:
        if len(arrays) == 1:
            got = next(iter(arrays.values())).shape
            raise DataError(f"the array has shape {got}, the input takes (steps, {', '.join(map(str, shape))}) or "
                            "(samples, steps, ...), flattened or not", code="SHAPE_MISMATCH", fix="check the encoding")
        raise DataError(f"none of the arrays {', '.join(sorted(arrays))} is named {', '.join(DENSE_KEYS[:5])} or like "
                        f"the input, and {len(suits)} of them suit its shape {shape}", code="NO_DATA_ARRAY",
                        fix="name the array after the network's input")
    return arrays[suits[0]]


def _dense(array: np.ndarray[Any, Any], name: str, wish: _Wish, labels: np.ndarray[Any, Any] | None) -> Events:
    """Events of one dense array; without a step axis every sample is held for n_steps."""
    shape = wish.inputs[name]
    rank = _trailing_rank(array.shape, shape)
    if rank is not None and array.ndim == rank + 1 and labels is not None and labels.size == len(array) > 1:
        array = _held(array, wish, name)
    if rank is not None and array.ndim == rank + 2 and wish.limit is not None:
        array = array[: wish.limit]
    if array.size > MAX_DENSE:
        raise DataError(f"the array has {array.size:,} values, the limit is {MAX_DENSE:,}", where=name,
                        code="TOO_LARGE", fix="use fewer samples (limit), or store events")
    return events_from_dense(array, shape, name)


def _trailing_rank(found: Shape, shape: Shape) -> int | None:
    """How many trailing axes are the input's: its own, or one for all; None if neither suits."""
    for trailing in (shape, (size(shape),)):
        if len(found) > len(trailing) and found[len(found) - len(trailing):] == trailing:
            return len(trailing)
    return None


def _held(array: np.ndarray[Any, Any], wish: _Wish, name: str) -> np.ndarray[Any, Any]:
    """Static samples, one a label, as constant inputs."""
    if wish.n_steps is None:
        raise DataError(f"it holds {len(array)} static samples without a step axis", where=name, code="STATIC_DATA",
                        fix="give n_steps to hold each of them for so many steps, or encode them as spikes")
    array = array[: wish.limit]
    held = np.broadcast_to(array[:, None], (len(array), wish.n_steps, *array.shape[1:]))
    return held


def _labels(arrays: Arrays) -> tuple[np.ndarray[Any, Any] | None, tuple[str, ...]]:
    """Integer labels, and a note where labels are text."""
    key = next((k for k in LABEL_KEYS if k in arrays), None)
    if key is None:
        return None, ()
    labels = np.atleast_1d(arrays[key]).ravel()
    if labels.dtype.kind in "SU":
        return None, (f"the labels {key!r} are text and were not used",)
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels % 1 == 0).all()):
        raise DataError(f"the labels {key!r} are not whole numbers", code="BAD_DTYPE", fix="store class numbers")
    return labels.astype(np.int64), ()


def _cut_labels(labels: np.ndarray[Any, Any] | None, n_samples: int, wish: _Wish) -> np.ndarray[Any, Any] | None:
    """Labels of the samples that are used."""
    return labels[:n_samples] if labels is not None and wish.limit is not None else labels


def _sparse(arrays: Arrays, wish: _Wish) -> Stimulus:
    """Events listed by sample, step and index."""
    name, shape = wish.only_input("listed events")
    labels, notes = _labels(arrays)
    events = data_events.listed_events(arrays, shape, name, None if labels is None else labels.size, wish.n_steps)
    return Stimulus({name: events}, labels, notes)


def _from_records(records: Mapping[str, data_nir.Record], wish: _Wish) -> Stimulus:
    """NIR data by node name; a single record goes to a single input."""
    if not set(wish.inputs) <= set(records):
        if len(records) != 1 or len(wish.inputs) != 1:
            raise DataError(f"data for the nodes {', '.join(sorted(records)) or 'none'}, the network has inputs "
                            f"{', '.join(sorted(wish.inputs))}", code="WRONG_INPUTS",
                            fix="name the data after the network's inputs")
        records = {next(iter(wish.inputs)): next(iter(records.values()))}
    made = {n: data_nir.events(records[n], wish.inputs[n], n, wish.dt_s) for n in wish.inputs}
    steps = max(e.n_steps for e, _ in made.values())
    return Stimulus({n: e.shifted(0, steps) for n, (e, _) in made.items()},
                    notes=tuple(dict.fromkeys(note for _, notes in made.values() for note in notes)))


def _finished(found: Stimulus, wish: _Wish) -> Stimulus:
    """With the wanted number of samples and steps."""
    events, labels, notes = dict(found.inputs), found.labels, found.notes
    if wish.limit is not None and wish.limit < found.n_samples:
        events = {n: _first(e, wish.limit) for n, e in events.items()}
        labels = None if labels is None else labels[: wish.limit]
    if wish.n_steps is not None and wish.n_steps != found.n_steps:
        events = {n: e.shifted(0, wish.n_steps) for n, e in events.items()}
        notes = (*notes, f"{'padded' if wish.n_steps > found.n_steps else 'cut'} from {found.n_steps} to "
                 f"{wish.n_steps} steps")
    return Stimulus(events, labels, notes)


def _first(events: Events, samples: int) -> Events:
    """The first samples."""
    end = int(np.searchsorted(events.sample, samples))
    value = None if events.value is None else events.value[:end]
    return dataclasses.replace(events, n_samples=samples, sample=events.sample[:end], step=events.step[:end],
                               index=events.index[:end], value=value)
