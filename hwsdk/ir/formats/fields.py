"""Typed access to the fields of one raw node, with every refusal in one place."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.formats.raw import RawNode
from hwsdk.ir.nodes import Shape

MAX_ELEMENTS = 1 << 31
MAX_RANK = 16
MAX_INT = 1 << 31

Floats = NDArray[np.float64]


class FieldReader:
    """Reads fields by name and remembers which were used."""

    __slots__ = ("name", "node", "used")

    def __init__(self, name: str, node: RawNode) -> None:
        self.name, self.node = name, node
        self.used: set[str] = set()

    def has(self, field: str) -> bool:
        """True if the field is stored."""
        return field in self.node.fields

    def unused(self) -> tuple[str, ...]:
        """Stored fields that nothing has read."""
        return tuple(sorted(set(self.node.fields) - self.used))

    def text(self, field: str) -> str | None:
        """The field's text, or None where it is absent or a number."""
        value = self.node.fields.get(field)
        self.used.add(field)
        if isinstance(value, np.ndarray) and value.dtype.kind in "SU" and value.size == 1:
            value = value.ravel()[0]
            return value.decode("utf8", "replace") if isinstance(value, bytes) else str(value)
        return value if isinstance(value, str) else None

    def numbers(self, field: str) -> NDArray[np.generic]:
        """The field as a numeric array of any real dtype.

        Raises:
            ModelError: MISSING_FIELD or BAD_DTYPE.
        """
        self.used.add(field)
        value = self.node.fields.get(field)
        if value is None:
            stored = ", ".join(sorted(self.node.fields)) or "none"
            raise self.error(f"the {self.node.type} has no field {field} (stored: {stored})", "MISSING_FIELD",
                             f"export the node again with {field}")
        if isinstance(value, str) or value.dtype.kind not in "biuf":
            kind = "text" if isinstance(value, str) else str(value.dtype)
            raise self.error(f"the field {field} holds {kind}, it must hold real numbers", "BAD_DTYPE",
                             "store floats or integers")
        return value

    def floats(self, field: str) -> Floats:
        """The field as a non-empty, finite float64 array.

        Raises:
            ModelError: MISSING_FIELD, BAD_DTYPE, BAD_SHAPE or NOT_FINITE.
        """
        value = np.asarray(self.numbers(field), np.float64)
        if not value.size or value.ndim > MAX_RANK:
            raise self.error(f"the field {field} has shape {value.shape}", "BAD_SHAPE", "store at least one number")
        if not np.isfinite(value).all():
            bad = int((~np.isfinite(value)).sum())
            raise self.error(f"the field {field} holds {bad} of {value.size} values that are NaN or infinite",
                             "NOT_FINITE", "check the training; export finite parameters")
        return value

    def whole(self, field: str) -> tuple[int, ...]:
        """The field's integers, flat.

        Raises:
            ModelError: BAD_FIELD for fractions or numbers beyond 2^31.
        """
        value = np.atleast_1d(self.numbers(field)).ravel()
        if value.size > MAX_RANK or not all(math.isfinite(x) and x == int(x) and abs(x) <= MAX_INT
                                            for x in value.tolist()):
            raise self.error(f"the field {field} is {_short(value)}, it must hold integers up to 2^31", "BAD_FIELD",
                             "store integers")
        return tuple(int(x) for x in value.tolist())

    def per_axis(self, field: str, axes: int, least: int) -> tuple[int, ...]:
        """One integer an axis; a single one serves all.

        Raises:
            ModelError: BAD_FIELD for a wrong count or a value below ``least``.
        """
        value = self.whole(field)
        if len(value) not in (1, axes) or min(value) < least:
            raise self.error(f"the field {field} is {value}, it needs 1 or {axes} integers of {least} or more",
                             "BAD_FIELD", f"store one number for each of the {axes} axes")
        return value * axes if len(value) == 1 else value

    def shape(self, field: str) -> Shape | None:
        """The field as a shape; None where it is absent or empty.

        Raises:
            ModelError: BAD_SHAPE for extents below 1 or fractions, TOO_LARGE beyond 2^31 elements.
        """
        if not self.has(field) or not np.size(self.node.fields[field]):
            self.used.add(field)
            return None
        try:
            value = self.whole(field)
        except ModelError as error:
            code = "BAD_SHAPE" if error.code == "BAD_FIELD" else error.code
            raise self.error(error.what, code, "store the shape as positive integers") from None
        if min(value) < 1:
            raise self.error(f"the {field} is {value}; every extent must be 1 or more", "BAD_SHAPE",
                             "correct the shape and export again")
        require_size(value, self.name)
        return value

    def error(self, what: str, code: str, fix: str) -> ModelError:
        """A refusal that names the node."""
        return ModelError(what, where=self.name, code=code, fix=fix)


def require_size(shape: Shape, where: str, limit: int = MAX_ELEMENTS) -> None:
    """Refuse a shape of more than ``limit`` elements.

    Raises:
        ModelError: TOO_LARGE.
    """
    if math.prod(shape) > limit:
        raise ModelError(f"the shape {shape} has {math.prod(shape):,} elements, the limit is {limit:,}", where=where,
                         code="TOO_LARGE", fix="check the shape; it is larger than any chip")


def _short(value: NDArray[np.generic]) -> str:
    """The first few numbers."""
    shown = ", ".join(str(x) for x in value[:6].tolist())
    return f"[{shown}{', ...' if value.size > 6 else ''}]"
