"""Margins and yield of a PulseNetlist in one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsdk.backends.base import Program
from hwsdk.backends.sfq_margins import Floats, Groups, Sweep, sweep
from hwsdk.backends.sfq_yield import Curve, Yield, curve
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators.sfq_machine import Conditions

SHARES = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Of the spread, at which the curve has points."""


@dataclass(frozen=True, slots=True, eq=False)
class MarginReport:
    """made: the yield, if runs were asked for. curve: the same over spreads from none to twice that, if asked for."""

    sweep: Sweep
    made: Yield | None
    curve: Curve | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"margins": self.sweep.to_dict(), "yield": None if self.made is None else self.made.to_dict(),
                "curve": None if self.curve is None else self.curve.to_dict()}

    def to_text(self) -> str:
        """Windows, then the yield."""
        return "".join(x.to_text() for x in (self.sweep, self.made, self.curve) if x is not None)

    def plot(self, path: str | Path) -> tuple[Path, ...]:
        """Draw the windows into a .png, .svg or .pdf file, and the curve, if there is one, into NAME_yield beside it.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        first = Path(path)
        more = () if self.curve is None else (self.curve.plot(first.with_name(f"{first.stem}_yield{first.suffix}")),)
        return (self.sweep.plot(first), *more)


def margins(program: Program, stimulus: Stimulus, *, k: Sequence[float] | Floats | None = None,
            groups: Groups | None = None, what: str = "bias", expected: Trace | None = None, runs: int = 0,
            jitter: bool = False, spread: float = 0.0, threshold_spread: float = 0.0, seed: int = 0, threads: int = 1,
            unknown_sigma_fs: float = 0.0, over_spread: bool = False,
            say: Callable[[str], None] | None = None) -> MarginReport:
    """How far bias currents may be from nominal, and, with ``runs``, how many of many chips or runs are right.

    Args:
        over_spread: the yield also at none, half, one and a half and twice the spread; needs runs and a spread.
        others: see hwsdk.backends.sfq_margins.sweep and hwsdk.backends.sfq_yield.monte_carlo.

    Raises:
        UnsupportedError: NO_MARGINS, a program for another target; NO_SUCH_GROUP. DataError: NO_SPREAD; see there.
    """
    if not isinstance(program, PulseNetlist):
        raise UnsupportedError(f"programs for {program.target} have no bias margins", where=program.name,
                               code="NO_MARGINS", fix="compile for sfq")
    if over_spread and not (runs and spread):
        raise DataError("a curve over the spread without runs or a spread", where=program.name, code="NO_SPREAD",
                        fix="give both (--runs, --spread)")
    swept = sweep(program, stimulus, k=k, groups=groups, what=what, expected=expected, say=say)
    if not runs:
        return MarginReport(swept, None)
    if say:
        say(f"{runs:,} runs")
    base = Conditions(unknown_sigma_fs=unknown_sigma_fs, threshold_spread=threshold_spread)
    at = [spread * x for x in SHARES] if over_spread else [spread]
    found = curve(program, stimulus, "spread", at, runs=runs, jitter=jitter, seed=seed, threads=threads, base=base,
                  expected=expected)
    return MarginReport(swept, found.points[at.index(spread)], found if over_spread else None)
