"""A published number with its unit and source. Unknown is None, never zero."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantity:
    """``value`` in ``unit`` as published in ``source``; ``measured`` is False for simulated or fitted figures.

    ``low`` and ``high`` bound the value where the sources disagree or state an error (same unit).
    """

    value: float
    unit: str
    source: str
    measured: bool = False
    low: float | None = None
    high: float | None = None

    def bounds(self) -> tuple[float, float]:
        """(low, high), both equal to the value where no range is published."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return low, high

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"
