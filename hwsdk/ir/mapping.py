"""ir.Mapping: which neurons lie on which core, where the cores lie, and what is used of what is available."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Some neurons of one population; ``index`` int64, flat, ascending."""

    population: str
    index: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Usage:
    """Used of available (None where no capacity is published)."""

    used: int
    available: int | None
    unit: str = ""

    def __str__(self) -> str:
        share = f" ({self.used / self.available:.0%})" if self.available else ""
        return f"{self.used:,} of {'?' if self.available is None else f'{self.available:,}'} {self.unit}{share}"


@dataclass(frozen=True, slots=True)
class Place:
    """Chip and router of a core."""

    chip: int
    x: int
    y: int


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """cores: the slices on each core; places: where each core lies."""

    cores: tuple[tuple[Slice, ...], ...]
    places: tuple[Place, ...]

    @property
    def chips(self) -> int:
        """Chips in use."""
        return 1 + max((p.chip for p in self.places), default=0)


UsageTable = MappingABC[str, Usage]
