"""The common form of every source: node types as text, fields as plain arrays or text, nothing interpreted yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Value = Array | str

MAX_DEPTH = 32
MAX_NODES = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class RawNode:
    """One node as its source states it.

    type: the NIR type name. fields: name -> array (any shape and dtype) or text; absent fields are left out.
    graph: the inner graph of a nested NIRGraph, else None. metadata: names of the metadata entries.
    """

    type: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    graph: RawGraph | None = None
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RawGraph:
    """A graph as its source states it: ``edges`` is None where the source has none stored."""

    nodes: Mapping[str, RawNode]
    edges: tuple[tuple[str, str], ...] | None
    version: str = ""
    metadata: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
