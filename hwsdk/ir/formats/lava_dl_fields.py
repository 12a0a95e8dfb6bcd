"""One layer of a lava-dl .net file as its fields, read safely and in netx's own way.

lava-dl 0.6.0 lava/lib/dl/netx/utils.py, NetDict: weights and biases are cut to integers (astype(int)), other fields are
taken as they are stored. What the exporters write: lava/lib/dl/slayer/block/base.py, the export_hdf5 methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.formats.hdf5 import Tree, text_of
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.nodes import Shape, size
from hwsdk.ir.semantics import MAX_DELAY

Ints = NDArray[np.int64]
MAX_SIDE = 1 << 24
LARGEST = 2.0**31
"""Lava's integer models hold 32 bits."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the file: a layer, or its neuron. place: inside the file; name: of the layer, as in the network."""

    tree: Tree
    place: str
    name: str
    log: LedgerWriter

    def __contains__(self, key: str) -> bool:
        return key in self.tree

    def group(self, key: str) -> Group:
        """A group inside.

        Raises:
            ModelError: MISSING_GROUP.
        """
        inner = self.tree.get(key)
        if not isinstance(inner, dict):
            raise self.error(f"there is no group {key!r}", key, "MISSING_GROUP")
        return Group(inner, f"{self.place}/{key}", self.name, self.log)

    def text(self, key: str) -> str:
        """A text, as a scalar or as the only element of an array.

        Raises:
            ModelError: MISSING_FIELD, BAD_TEXT.
        """
        item = self._dataset(key)
        if item.dtype.kind not in "SO" or item.shape not in ((), (1,)):
            raise self.error(f"{key} is no text", key, "BAD_TEXT")
        return text_of(item)

    def numbers(self, key: str) -> NDArray[np.float64]:
        """Finite numbers as they are stored.

        Raises:
            ModelError: MISSING_FIELD, BAD_DTYPE, NOT_FINITE.
        """
        item = self._dataset(key)
        if item.dtype.kind not in "biuf" or item.shape is None:
            raise self.error(f"{key} holds no numbers", key, "BAD_DTYPE")
        values = np.asarray(item[()], np.float64)
        if not np.isfinite(values).all() or np.abs(values).max(initial=0) > LARGEST:
            raise self.error(f"{key} holds values that are no 32-bit integers", key, "NOT_FINITE")
        return values

    def whole(self, key: str) -> Ints:
        """Numbers cut to integers, as netx does; the ledger says so where that changes them."""
        values = self.numbers(key)
        cut = values.astype(np.int64)
        if (cut != values).any():
            self.log.changed(self.name, "FRACTION_CUT", f"{int((cut != values).sum())} of {values.size} values of "
                             f"{key} are no integers; cut toward zero, as netx does")
        return cut

    def integer(self, key: str, least: int, most: int) -> int:
        """One integer in a range.

        Raises:
            ModelError: MISSING_FIELD, BAD_FIELD.
        """
        values = self.numbers(key)
        if values.size != 1 or float(values.flat[0]) % 1 or not least <= float(values.flat[0]) <= most:
            shown = f"{values.flat[0]:g}" if values.size == 1 else f"an array of shape {values.shape}"
            raise self.error(f"{key} is {shown}, it must be an integer from {least} to {most}", key, "BAD_FIELD")
        return int(values.flat[0])

    def pair(self, key: str, default: int, least: int) -> tuple[int, int]:
        """(height, width), from one number or two."""
        if key not in self:
            return default, default
        values = self.numbers(key).ravel()
        if values.size not in (1, 2) or (values % 1).any() or values.min() < least or values.max() > MAX_SIDE:
            raise self.error(f"{key} must be one or two integers of {least} or more", key, "BAD_FIELD")
        return int(values[0]), int(values[-1])

    def shape(self) -> Shape:
        """The layer's shape in the order (channels, height, width).

        Raises:
            ModelError: MISSING_FIELD, BAD_SHAPE, TOO_LARGE.
        """
        sides = self.numbers("shape").ravel()
        if not 1 <= sides.size <= 3 or (sides % 1).any() or sides.min() < 1 or sides.max() > MAX_SIDE:
            raise self.error("shape must be one to three positive integers", "shape", "BAD_SHAPE")
        shape = tuple(int(s) for s in sides)
        if size(shape) > MAX_SIDE:
            raise self.error(f"the layer has {size(shape):,} neurons, the limit is {MAX_SIDE:,}", "shape", "TOO_LARGE")
        return shape

    def delays(self) -> Ints | None:
        """Steps of delay beyond the one that every connection takes, clipped to 62 as netx does; None for none.

        Raises:
            ModelError: NEGATIVE_DELAY.
        """
        if "delay" not in self:
            return None
        values = np.floor(self.numbers("delay")).astype(np.int64)
        if values.size and values.min() < 0:
            raise self.error(f"a delay of {values.min()} steps", "delay", "NEGATIVE_DELAY")
        if values.max(initial=0) > MAX_DELAY:
            raise self.error(f"a delay of {values.max():,} steps, at most {MAX_DELAY:,} are read", "delay",
                             "DELAY_TOO_LONG")
        if values.max(initial=0) > MOST_DELAY:
            self.log.changed(self.name, "DELAY_CLIPPED", f"{int((values > MOST_DELAY).sum())} delays above "
                             f"{MOST_DELAY} steps became {MOST_DELAY}, as netx does")
        return np.minimum(values, MOST_DELAY)

    def error(self, what: str, key: str, code: str, fix: str = "export the file again with lava-dl") -> ModelError:
        """An error about one field."""
        return ModelError(what, where=f"{self.place}/{key}" if key else self.place, code=code, fix=fix)

    def _dataset(self, key: str) -> h5py.Dataset:
        item: Any = self.tree.get(key)
        if not isinstance(item, h5py.Dataset):
            raise self.error(f"there is no field {key!r}", key, "MISSING_FIELD")
        return item


MOST_DELAY = 62
"""netx/hdf5.py, create_dense."""


def per_neuron(values: NDArray[Any], shape: Shape, group: Group, key: str) -> NDArray[Any]:
    """One value for each neuron, from one for all, one a channel (the first axis), or one each.

    Raises:
        ModelError: SHAPE_MISMATCH.
    """
    n = size(shape)
    if values.size == n and (n > 1 or values.size == 1):
        return values.reshape(shape)
    if values.size == 1:
        return np.full(shape, values.flat[0])
    if values.size == shape[0]:
        return np.broadcast_to(values.reshape(-1, *(1,) * (len(shape) - 1)), shape).copy()
    raise group.error(f"{key} has {values.size} values for {n} neurons in {shape[0]} channels", key, "SHAPE_MISMATCH")
