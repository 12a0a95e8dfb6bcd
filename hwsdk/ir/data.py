"""ir.Stimulus: what goes into a network, as events on the grid of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError
from hwsdk.ir.nodes import Shape, size

MAX_GRADED = 2**31
"""Graded spikes of Loihi 2 have 32 bits (Intel brief)."""


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Values on a (sample, step, index) grid; cells that are not listed are 0.

    sample, step int32 (k,), index int32 (k,) into the flattened shape; value float64 (k,) or None for all ones.
    Sorted by (sample, step, index), each cell at most once.
    """

    shape: Shape
    n_samples: int
    n_steps: int
    sample: NDArray[np.int32]
    step: NDArray[np.int32]
    index: NDArray[np.int32]
    value: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.step)

    @property
    def n(self) -> int:
        """Elements of the shape."""
        return size(self.shape)

    def values(self) -> NDArray[np.float64]:
        """The values, ones where none are stored."""
        return np.ones(len(self)) if self.value is None else self.value

    def cells(self) -> NDArray[np.int64]:
        """(k,): one number for each place on the grid, ordered by step, sample, index."""
        return (self.step.astype(np.int64) * self.n_samples + self.sample) * self.n + self.index

    def dense(self, sample: int | None = None, dtype: object = np.float64) -> NDArray[Any]:
        """(samples, steps, n), or (steps, n) of one sample."""
        chosen = slice(None) if sample is None else self._slice(sample)
        out = np.zeros((self.n_samples if sample is None else 1, self.n_steps, self.n), dtype)  # type: ignore[call-overload]
        first = self.sample[chosen] - (0 if sample is None else sample)
        out[first, self.step[chosen], self.index[chosen]] = self.values()[chosen]
        return out if sample is None else out[0]  # type: ignore[no-any-return]

    def at_step(self, step: int) -> NDArray[np.float64]:
        """(samples, n) at one step; zeros beyond the end."""
        out = np.zeros((self.n_samples, self.n))
        here = self.step == step
        out[self.sample[here], self.index[here]] = self.values()[here]
        return out

    def one(self, sample: int) -> Events:
        """One sample as a stimulus of its own."""
        part = self._slice(sample)
        value = None if self.value is None else self.value[part]
        return Events(self.shape, 1, self.n_steps, np.zeros_like(self.sample[part]), self.step[part],
                      self.index[part], value)

    def shifted(self, steps: int, n_steps: int) -> Events:
        """Every event ``steps`` later, cut to 0..n_steps-1."""
        moved = self.step + np.int32(steps)
        keep = (moved >= 0) & (moved < n_steps)
        value = None if self.value is None else self.value[keep]
        return Events(self.shape, self.n_samples, n_steps, self.sample[keep], moved[keep].astype(np.int32),
                      self.index[keep], value)

    def counts(self) -> NDArray[np.float64]:
        """(samples, n): the sum of the values over the steps."""
        out = np.zeros((self.n_samples, self.n))
        np.add.at(out, (self.sample, self.index), self.values())
        return out

    def _slice(self, sample: int) -> slice:
        """Where one sample lies in the sorted arrays."""
        if not 0 <= sample < self.n_samples:
            raise DataError(f"there is no sample {sample}; there are {self.n_samples}", code="NO_SUCH_SAMPLE",
                            fix=f"choose 0 to {self.n_samples - 1}")
        lo, hi = np.searchsorted(self.sample, [sample, sample + 1])
        return slice(int(lo), int(hi))


def events_from_dense(array: object, shape: Shape | None = None, where: str = "input") -> Events:
    """Events of a dense (steps, *shape) or (samples, steps, *shape) array; ``shape`` decides which one it is.

    Raises:
        DataError: not numeric, not finite, or of another shape.
    """
    dense = np.asarray(array)
    if dense.dtype.kind not in "biuf":
        raise DataError(f"values of type {dense.dtype} are not numbers", where=where, code="BAD_DTYPE",
                        fix="save booleans, integers or floats")
    dense = _with_sample_axis(dense, shape, where)
    if dense.dtype.kind == "f" and not np.isfinite(dense).all():
        raise DataError("it holds NaN or infinite values", where=where, code="NOT_FINITE", fix="clean the data")
    inner = shape if shape is not None else dense.shape[2:]
    flat = dense.reshape(dense.shape[0], dense.shape[1], size(inner))
    sample, step, index = np.nonzero(flat)
    value = flat[sample, step, index].astype(np.float64)
    return Events(inner, flat.shape[0], flat.shape[1], sample.astype(np.int32), step.astype(np.int32),
                  index.astype(np.int32), None if (value == 1).all() else value)


def _with_sample_axis(dense: NDArray[Any], shape: Shape | None, where: str) -> NDArray[Any]:
    """(samples, steps, *shape), whatever of the leading axes was given."""
    if shape is None:
        return dense if dense.ndim >= 3 else dense[None]
    for trailing in (shape, (size(shape),)):
        rank = len(trailing)
        if dense.ndim in (rank + 1, rank + 2) and dense.shape[dense.ndim - rank :] == trailing:
            return dense if dense.ndim == rank + 2 else dense[None]
    raise DataError(f"the data has shape {dense.shape}, the network's input is {shape}", where=where,
                    code="SHAPE_MISMATCH",
                    fix=f"give (steps, {', '.join(map(str, shape))}) or (samples, steps, ...), flattened or not")


def events_from_arrays(
    shape: Shape, sample: object, step: object, index: object, value: object = None, *,
    n_samples: int | None = None, n_steps: int | None = None, where: str = "input",
) -> Events:
    """Events from unsorted columns; cells named twice add up.

    Raises:
        DataError: columns of different length, or an index or step out of range.
    """
    cols = [np.asarray(c).astype(np.int64).ravel() for c in (sample, step, index)]
    values = np.ones(len(cols[0])) if value is None else np.asarray(value, np.float64).ravel()
    if len({len(c) for c in (*cols, values)}) != 1:
        raise DataError("the columns have different lengths", where=where, code="RAGGED", fix="give one row an event")
    total = (_span(cols[0]) if n_samples is None else n_samples, _span(cols[1]) if n_steps is None else n_steps,
             size(shape))
    for name, col, limit in zip(("sample", "step", "index"), cols, total, strict=True):
        if len(col) and (col.min() < 0 or col.max() >= limit):
            raise DataError(f"{name} {int(col.max() if col.max() >= limit else col.min())} is outside 0..{limit - 1}",
                            where=where, code="OUT_OF_RANGE", fix="check the sensor's size and the number of steps")
    key = (cols[0] * total[1] + cols[1]) * total[2] + cols[2]
    unique, inverse = np.unique(key, return_inverse=True)
    summed = np.bincount(inverse, weights=values, minlength=len(unique))
    keep = summed != 0
    unique, summed = unique[keep], summed[keep]
    rest, col = np.divmod(unique, max(total[2], 1))
    s, t = np.divmod(rest, max(total[1], 1))
    return Events(shape, total[0], total[1], s.astype(np.int32), t.astype(np.int32), col.astype(np.int32),
                  None if (summed == 1).all() else summed)


def _span(col: NDArray[np.int64]) -> int:
    """One more than the largest entry."""
    return int(col.max()) + 1 if len(col) else 1


def _classes(labels: object) -> NDArray[np.int64]:
    """Labels as integers.

    Raises:
        DataError: they are no whole numbers.
    """
    given = np.asarray(labels)
    if given.dtype.kind not in "biuf" or (given.astype(np.float64) % 1).any():
        raise DataError("labels that are not whole numbers", code="BAD_LABELS", fix="number the classes from 0")
    return given.astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Stimulus:
    """Input name -> Events, all of the same samples and steps; labels int64 (samples,) or None.

    grid: (samples, steps) of a network without inputs, see ``silent``; otherwise it follows from the inputs.
    """

    inputs: Mapping[str, Events]
    labels: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = field(default=())
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.inputs and self.grid is None:
            raise DataError("a stimulus needs at least one input", code="NO_INPUT",
                            fix="give data for an input, or Stimulus.silent(n_steps) to a network that has none")
        if len({(e.n_samples, e.n_steps) for e in self.inputs.values()} | {(self.n_samples, self.n_steps)}) != 1:
            raise DataError("the inputs differ in samples or steps", code="RAGGED",
                            fix="give every input the same number of samples and steps")
        if self.n_samples < 1 or self.n_steps < 1:
            raise DataError(f"{self.n_samples} samples of {self.n_steps} steps", code="NO_DATA",
                            fix="give at least one sample of one step")
        if self.labels is not None and len(self.labels) != self.n_samples:
            raise DataError(f"{len(self.labels)} labels for {self.n_samples} samples", code="RAGGED",
                            fix="give one label a sample")

    @property
    def n_samples(self) -> int:
        """Samples of every input."""
        return next(iter(self.inputs.values())).n_samples if self.grid is None else self.grid[0]

    @property
    def n_steps(self) -> int:
        """Steps of every input."""
        return next(iter(self.inputs.values())).n_steps if self.grid is None else self.grid[1]

    def require(self, shapes: Mapping[str, Shape], *, whole: bool, graded: bool = True,
                chip: str = "the chip") -> None:
        """Check that these are data for exactly the inputs of ``shapes``.

        Args:
            whole: values must be integers. graded: values other than 1 are allowed. chip: whose limits these are.

        Raises:
            DataError: WRONG_INPUTS, SHAPE_MISMATCH, FRACTIONAL_INPUT or GRADED_INPUT.
        """
        if set(shapes) != set(self.inputs):
            raise DataError(f"data for inputs {sorted(self.inputs)}, there are inputs {sorted(shapes)}",
                            code="WRONG_INPUTS", fix="give one array for each input")
        for name, events in self.inputs.items():
            if events.shape != shapes[name]:
                raise DataError(f"data of shape {events.shape}, the input has {shapes[name]}", where=name,
                                code="SHAPE_MISMATCH", fix="check the encoding")
            if whole and events.value is not None and (events.value % 1).any():
                also, scaled = (" or integers", ", or scale it to integers") if graded else ("", "")
                raise DataError(f"fractional input values, the chip takes spikes{also}", where=name,
                                code="FRACTIONAL_INPUT", fix=f"encode the data as spikes{scaled}")
            if whole and events.value is not None and np.abs(events.value).max(initial=0) >= MAX_GRADED:
                raise DataError(f"an input value of {np.abs(events.value).max():g}, graded spikes have 32 bits",
                                where=name, code="VALUE_RANGE", fix="scale the data")
            if not graded and events.value is not None:
                raise DataError(f"input values other than 1; {chip} has no graded spikes", where=name,
                                code="GRADED_INPUT", fix="compile for loihi2, or encode the data as spikes")

    def one(self, sample: int) -> Stimulus:
        """One sample as a stimulus of its own."""
        label = None if self.labels is None else self.labels[sample : sample + 1]
        grid = None if self.grid is None else (1, self.n_steps)
        return Stimulus({name: e.one(sample) for name, e in self.inputs.items()}, label, self.notes, grid)

    @staticmethod
    def silent(n_steps: int, n_samples: int = 1) -> Stimulus:
        """Steps without input, for a network that has no inputs and runs by its own biases."""
        return Stimulus({}, grid=(n_samples, n_steps))

    @staticmethod
    def dense(arrays: Mapping[str, object] | object, shapes: Mapping[str, Shape],
              labels: object = None) -> Stimulus:
        """From dense arrays; a bare array goes to the only input.

        Raises:
            DataError: unknown or missing inputs, or wrong shapes.
        """
        named = arrays if isinstance(arrays, Mapping) else dict.fromkeys(shapes, arrays)
        if set(named) != set(shapes):
            raise DataError(f"data for {sorted(named)}, the network has inputs {sorted(shapes)}", code="WRONG_INPUTS",
                            fix="give one array for each input")
        events = {n: events_from_dense(named[n], shapes[n], n) for n in shapes}
        return Stimulus(events, None if labels is None else _classes(labels))
