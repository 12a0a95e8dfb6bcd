"""DeviceImage: a program as the bytes that a device loads, with what a host needs to talk to it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.nodes import Shape, size

MAGIC, CONTAINER = 0x4D495748, 1
KINDS = {"loihi": 1, "spinnaker": 2, "sfq": 3, "crossbar": 4}
VALUES = {"ones": 0, "i32": 1, "f32": 2, "f64": 3}
DTYPES: Mapping[int, np.dtype[Any]] = {
    0: np.dtype("u1"), 1: np.dtype("<i4"), 2: np.dtype("<f4"), 3: np.dtype("<f8")}
"""Type of values -> dtype; ones are not sent."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where one state of all neurons of a population lies in what READ_STATE gives of the runner: entry i, of type
    ``dtype``, at byte ``at + stride * place[i]``; place None: 0, 1, 2, ...
    """

    at: int
    dtype: str
    n: int
    stride: int = 0
    place: NDArray[np.int64] | None = None

    def read(self, state: bytes) -> NDArray[Any]:
        """(n,)."""
        width = np.dtype(self.dtype).itemsize
        place = np.arange(self.n) if self.place is None else self.place
        raw = np.frombuffer(state, np.uint8)
        rows = self.at + (self.stride or width) * place[:, None] + np.arange(width)
        return np.ascontiguousarray(raw[rows]).view(self.dtype).reshape(self.n)


@dataclass(frozen=True, slots=True)
class Elements:
    """An input or a population: its elements are numbered first .. first + n - 1 on the wire.

    lag: steps that a population runs behind the model. fires: False if its values are a state that is read out.
    """

    name: str
    shape: Shape
    first: int
    lag: int = 0
    fires: bool = True

    @property
    def n(self) -> int:
        """Elements."""
        return size(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class DeviceImage:
    """data: the bytes, see docs/wire.md. outputs: output -> populations. late: steps that a device's answers run behind
    the simulator's: a host sends so many steps more, with DRAIN. states: (population, state) -> where it lies.
    """

    kind: str
    layout: int
    data: bytes
    inputs: tuple[Elements, ...]
    populations: tuple[Elements, ...]
    outputs: Mapping[str, tuple[str, ...]]
    late: int = 0
    states: Mapping[tuple[str, str], Field] = field(default_factory=dict)

    @property
    def value_in(self) -> int:
        """Type of input values, one of VALUES."""
        return self.data[24]

    @property
    def value_out(self) -> int:
        """Type of output values, one of VALUES."""
        return self.data[25]

    @property
    def n_in(self) -> int:
        """Elements of all inputs."""
        return sum(e.n for e in self.inputs)

    @property
    def n_out(self) -> int:
        """Elements of all populations."""
        return sum(e.n for e in self.populations)

    @property
    def id(self) -> bytes:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).digest()


def pack(kind: str, layout: int, digest: str, n_in: int, n_out: int, values: tuple[str, str],
         sections: Sequence[NDArray[Any] | bytes]) -> bytes:
    """The bytes of an image; digest: of the program, as hex; values: of input and output, keys of VALUES."""
    raw = [s if isinstance(s, bytes) else np.ascontiguousarray(s).tobytes() for s in sections]
    at = -(-(64 + 8 * len(raw)) // 8) * 8
    table, body = [], []
    for part in raw:
        table.append(struct.pack("<II", at if part else 0, len(part)))
        body.append(part + bytes(-len(part) % 8))
        at += len(body[-1])
    head = struct.pack("<IHBBIIIIBBHI32s", MAGIC, CONTAINER, KINDS[kind], layout, at, len(raw), n_in, n_out,
                       VALUES[values[0]], VALUES[values[1]], 0, 0, bytes.fromhex(digest))
    return b"".join([head, *table, *body])


def elements(ports: Sequence[tuple[str, Shape, int, bool]]) -> tuple[Elements, ...]:
    """(name, shape, lag, fires) of each, numbered through."""
    found, first = [], 0
    for name, shape, lag, fires in ports:
        found.append(Elements(name, tuple(shape), first, lag, fires))
        first += found[-1].n
    return tuple(found)
