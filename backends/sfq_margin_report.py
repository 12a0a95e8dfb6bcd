"""Margins and yield of a PulseNetlist in one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsdk.backends.base import Program
from hwsdk.backends.sfq_margins import Floats, Groups, Sweep, sweep
from hwsdk.backends.sfq_yield import Yield, monte_carlo
from hwsdk.errors import UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators.sfq_machine import Conditions


@dataclass(frozen=True, slots=True, eq=False)
class MarginReport:
    """made: the yield, if runs were asked for."""

    sweep: Sweep
    made: Yield | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"margins": self.sweep.to_dict(), "yield": None if self.made is None else self.made.to_dict()}

    def to_text(self) -> str:
        """Windows, then the yield."""
        return self.sweep.to_text() + ("" if self.made is None else self.made.to_text())

    def plot(self, path: str | Path) -> Path:
        """Draw the windows into a .png, .svg or .pdf file.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        return self.sweep.plot(path)


def margins(program: Program, stimulus: Stimulus, *, k: Sequence[float] | Floats | None = None,
            groups: Groups | None = None, what: str = "bias", expected: Trace | None = None, runs: int = 0,
            jitter: bool = False, spread: float = 0.0, threshold_spread: float = 0.0, seed: int = 0, threads: int = 1,
            unknown_sigma_fs: float = 0.0, say: Callable[[str], None] | None = None) -> MarginReport:
    """How far bias currents may be from nominal, and, with ``runs``, how many of many chips or runs are right.

    Args: see hwsdk.backends.sfq_margins.sweep and hwsdk.backends.sfq_yield.monte_carlo.

    Raises:
        UnsupportedError: NO_MARGINS, a program for another target; NO_SUCH_GROUP. DataError: see there.
    """
    if not isinstance(program, PulseNetlist):
        raise UnsupportedError(f"programs for {program.target} have no bias margins", where=program.name,
                               code="NO_MARGINS", fix="compile for sfq")
    swept = sweep(program, stimulus, k=k, groups=groups, what=what, expected=expected, say=say)
    if runs and say:
        say(f"{runs:,} runs")
    made = monte_carlo(program, stimulus, runs=runs, jitter=jitter, spread=spread, threshold_spread=threshold_spread,
                       seed=seed, threads=threads, expected=expected,
                       base=Conditions(unknown_sigma_fs=unknown_sigma_fs)) if runs else None
    return MarginReport(swept, made)
