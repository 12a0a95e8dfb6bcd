"""Margins of a PulseNetlist: how far bias currents may be from their nominal values with the outputs still right.

A point of a sweep is a run under conditions. Who runs it is left open, so that the pulse simulator and an analog one
are swept in the same way, and their windows can be set side by side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators.sfq_machine import Conditions

ALL = "all"
"""Name of the line on which everything is scaled at once."""
WHATS = ("bias", "soma")
K = np.linspace(0.7, 1.3, 25)
"""Factors that are tried if none are given."""
TOLERANCE = 1e-3
"""Of the ends of a window, as a factor on nominal."""
DIGITS = 9
"""After the point of a factor, so that a grid holds 1 and the ends of tables to the bit."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Run = Callable[[Conditions], Any]
Ok = Callable[[Any], bool]
Groups = Sequence["str | tuple[str, str]"]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One group is scaled. k (n) ascending, good bool (n): every point that was run. low, high: the window round 1 in
    which every point was good, nan if 1 was not. low_open, high_open: it goes on to the end of what was tried.
    """

    name: str
    k: Floats
    good: Bools
    low: float
    high: float
    low_open: bool
    high_open: bool

    @property
    def margin(self) -> float:
        """The smaller distance of an end from 1; nan if there is no window."""
        return min(1 - self.low, self.high - 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None for nan."""
        return {"name": self.name, "low": _known(self.low), "high": _known(self.high), "low_open": self.low_open,
                "high_open": self.high_open, "k": self.k.tolist(), "good": self.good.tolist()}

    def to_text(self) -> str:
        """Ends as deviations from nominal."""
        if np.isnan(self.low):
            return f"{self.name:20} wrong at nominal"
        ends = [f"{'beyond ' if o else ''}{100 * (v - 1):+.1f} %"
                for v, o in ((self.low, self.low_open), (self.high, self.high_open))]
        return f"{self.name:20} {ends[0]:>15} {ends[1]:>15}   {len(self.k)} points"


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Two groups are scaled. good bool (len(k_first), len(k_second))."""

    first: str
    second: str
    k_first: Floats
    k_second: Floats
    good: Bools

    @property
    def share(self) -> float:
        """Of the points that were good."""
        return float(self.good.mean())

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"first": self.first, "second": self.second, "k_first": self.k_first.tolist(),
                "k_second": self.k_second.tolist(), "good": self.good.tolist()}

    def to_text(self) -> str:
        """A map: second group from left to right, first from top (largest) to bottom, # good, . not."""
        rows = [f"{100 * (k - 1):+6.1f} % |{''.join('#' if g else '.' for g in row)}|"
                for k, row in zip(self.k_first[::-1], self.good[::-1], strict=True)]
        ends = f"{100 * (self.k_second[0] - 1):+.1f} % to {100 * (self.k_second[-1] - 1):+.1f} %"
        return "\n".join([f"{self.first} (down) and {self.second} (across, {ends}), {self.share:.0%} good", *rows])


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """title: of what. what: one of WHATS, whose currents are scaled. by: who ran it. lines of one group, planes of two.
    note: what limits them that is no property of the circuit.
    """

    title: str
    what: str
    by: str
    lines: tuple[Line, ...]
    planes: tuple[Plane, ...]
    note: str = ""

    def line(self, name: str = ALL) -> Line:
        """A line by its name.

        Raises:
            DataError: it was not swept.
        """
        for line in self.lines:
            if line.name == name:
                return line
        raise DataError(f"{name!r} was not swept", where=self.title, code="NO_LINE",
                        fix=f"there are {', '.join(x.name for x in self.lines) or 'none'}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"title": self.title, "what": self.what, "by": self.by, "lines": [x.to_dict() for x in self.lines],
                "planes": [x.to_dict() for x in self.planes]}

    def to_text(self) -> str:
        """Windows as deviations from nominal, then maps."""
        scaled = {"bias": "all bias currents of a group", "soma": "the bias currents of a layer's somas"}[self.what]
        lines = [f"{self.title}: {scaled} times k, {self.by}"]
        lines += [f"{'':20} {'low':>15} {'high':>15}", *(x.to_text() for x in self.lines)] if self.lines else []
        lines += [x.to_text() for x in self.planes]
        return "\n".join([*lines, *([self.note] if self.note else [])]) + "\n"

    def plot(self, path: str | Path) -> Path:
        """Draw it into a .png, .svg or .pdf file.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from hwsdk.backends.sfq_margin_plots import plot_sweep

        return plot_sweep(self, path)


def sweep(program: PulseNetlist, stimulus: Stimulus, *, k: Sequence[float] | Floats | None = None,
          groups: Groups | None = None, what: str = "bias", ok: Ok | None = None, expected: Trace | None = None,
          run: Run | None = None, by: str = "pulse simulator", base: Conditions | None = None,
          tolerance: float = TOLERANCE, say: Callable[[str], None] | None = None) -> Sweep:
    """Windows of bias currents within which the outputs stay right.

    Args:
        k: factors to try, with 1 among them or not. groups: names for lines, pairs of names for planes; default: all
        at once. "all" is everything; other names are bias groups (what="bias") or layers with somas (what="soma").
        ok: whether what ``run`` gave is right; default: the outputs spike as they do in ``expected``, which defaults
        to the run under nominal conditions. run: conditions -> anything; default: the pulse simulator. by: its name.
        base: what is scaled; default: nominal. tolerance: to which the ends of lines are found by bisection.
        say: called with the name of each line and plane.

    Raises:
        DataError: BAD_FACTORS. UnsupportedError: NO_SUCH_GROUP, UNKNOWN_WHAT.
    """
    names = _groups(program, what, groups)
    start = base or Conditions()
    runner = run or _simulated(program, stimulus)
    right = ok or same_outputs(program, expected if expected is not None else runner(start))

    def good(scale: dict[str, float]) -> bool:
        return bool(right(runner(scaled(program, what, scale, start))))

    lines, planes = [], []
    for name in names:
        if say:
            say(name if isinstance(name, str) else " x ".join(name))
        if isinstance(name, str):
            lines.append(_line(name, _factors(k), lambda x, n=name: good({n: x}), tolerance))  # type: ignore[misc]
        else:
            planes.append(_plane(name, _factors(k), good))
    return Sweep(program.name, what, by, tuple(lines), tuple(planes), "" if run else _tables_end(program, lines))


def _tables_end(program: PulseNetlist, lines: Sequence[Line]) -> str:
    """Where the library says no more of its cells; beyond that the pulse simulator lets nothing through."""
    ends = [(float(t.bias_k[0]), float(t.bias_k[-1])) for t in program.types if len(t.bias_k) > 1]
    low, high = max((e[0] for e in ends), default=-np.inf), min((e[1] for e in ends), default=np.inf)
    if not any(np.isclose(x.low, low, atol=TOLERANCE) or np.isclose(x.high, high, atol=TOLERANCE) for x in lines):
        return ""
    return f"the library knows its cells from {100 * (low - 1):+.0f} % to {100 * (high - 1):+.0f} %; windows end there"


def scaled(program: PulseNetlist, what: str, scale: dict[str, float], base: Conditions) -> Conditions:
    """The conditions with the factors of some groups multiplied."""
    found = base
    for name, k in scale.items():
        if what == "bias" and name == ALL:
            found = dataclasses.replace(found, bias=found.bias * k)
        elif what == "bias":
            own = dict(found.group_bias)
            found = dataclasses.replace(found, group_bias=own | {name: own.get(name, 1.0) * k})
        else:
            own = dict(found.soma_bias)
            wanted = soma_layers(program) if name == ALL else (name,)
            found = dataclasses.replace(found, soma_bias=own | {n: own.get(n, 1.0) * k for n in wanted})
    return found


def soma_layers(program: PulseNetlist) -> tuple[str, ...]:
    """Layers whose neurons are current-summing somas."""
    return tuple(layer.name for layer in program.layers if layer.style == "loop")


def same_outputs(program: PulseNetlist, expected: Trace) -> Callable[[Trace], bool]:
    """Whether the populations that are outputs spike as expected, in every frame of every sample."""
    layers = output_layers(program, expected)
    return lambda trace: expected.first_difference(trace, layers) is None


def output_layers(program: PulseNetlist, expected: Trace) -> list[str]:
    """Populations that are outputs.

    Raises:
        DataError: WRONG_TRACE: the trace does not hold one of them, or not in its size.
    """
    size = {layer.name: layer.n for layer in program.layers}
    found = [n for n in size if any(n in own for own in program.outputs.values())]
    for name in found:
        if name not in expected.spikes or expected.spikes[name].n != size[name]:
            raise DataError("the expected trace does not hold it as the program does", where=name, code="WRONG_TRACE",
                            fix="give a trace of this program or its network")
    return found


def _simulated(program: PulseNetlist, stimulus: Stimulus) -> Run:
    """Runs of the pulse simulator."""
    from hwsdk.simulators import sfq

    return lambda conditions: sfq.run(program, stimulus, conditions=conditions)


def _groups(program: PulseNetlist, what: str, groups: Groups | None) -> tuple[str | tuple[str, str], ...]:
    """Names and pairs that there are."""
    if what not in WHATS:
        raise UnsupportedError(f"what is {what!r}", code="UNKNOWN_WHAT", fix=f"use one of {', '.join(WHATS)}")
    known = (ALL, *(program.groups if what == "bias" else soma_layers(program)))
    if len(known) == 1:
        raise UnsupportedError("no layer has somas, whose bias could be scaled", where=program.name,
                               code="NO_SUCH_GROUP", fix="use what='bias', or compile with neuron=loop")
    wanted = (ALL,) if groups is None else tuple(groups)
    for name in (n for g in wanted for n in ((g,) if isinstance(g, str) else g)):
        if name not in known:
            raise UnsupportedError(f"there is no group {name!r} to scale", where=program.name, code="NO_SUCH_GROUP",
                                   fix=f"use one of {', '.join(known)}")
    return wanted


def _factors(k: Sequence[float] | Floats | None) -> Floats:
    """Ascending factors, and 1."""
    given = np.unique(np.round(np.asarray(K if k is None else k, np.float64), DIGITS))
    if not len(given) or not np.isfinite(given).all() or given[0] < 0:
        raise DataError("factors on a bias current are numbers of 0 or more", where="k", code="BAD_FACTORS",
                        fix="give numbers round 1, such as numpy.linspace(0.8, 1.2, 21)")
    return np.union1d(given, [1.0])


def _line(name: str, k: Floats, good: Callable[[float], bool], tolerance: float) -> Line:
    """Every factor, then bisection at both ends of the window."""
    done = {float(x): good(float(x)) for x in k}
    if not done[1.0]:
        low = high = np.nan
        opened = [False, False]
    else:
        (low, low_open), (high, high_open) = (_end(done, way, good, tolerance) for way in (-1, 1))
        opened = [low_open, high_open]
    tried = np.array(sorted(done))
    return Line(name, tried, np.array([done[x] for x in tried]), low, high, opened[0], opened[1])


def _end(done: dict[float, bool], way: int, good: Callable[[float], bool], tolerance: float) -> tuple[float, bool]:
    """(last factor from 1 on that is good in this direction, whether nothing beyond it was tried)."""
    inside = 1.0
    for x in sorted((x for x in done if way * (x - 1) > 0), key=lambda x: way * x):
        if not done[x]:
            outside = x
            break
        inside = x
    else:
        return inside, True
    while abs(outside - inside) > tolerance:
        middle = (inside + outside) / 2
        done[middle] = good(middle)
        inside, outside = (middle, outside) if done[middle] else (inside, middle)
    return inside, False


def _plane(pair: tuple[str, str], k: Floats, good: Callable[[dict[str, float]], bool]) -> Plane:
    """Every pair of factors."""
    points = [[good({pair[0]: float(a), pair[1]: float(b)}) for b in k] for a in k]
    return Plane(pair[0], pair[1], k, k, np.array(points))


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two sweeps of the same groups."""

    first: Sweep
    second: Sweep

    def to_text(self) -> str:
        """Windows side by side, and how much of both is common."""
        head = f"{'':20} {self.first.by:>25} {self.second.by:>25}   common"
        return "\n".join([f"{self.first.title}, {self.first.what}", head, *map(self._row, self.common())]) + "\n"

    def common(self) -> list[str]:
        """Lines that both have."""
        return [x.name for x in self.first.lines if x.name in {y.name for y in self.second.lines}]

    def overlap(self, name: str = ALL) -> float:
        """Length of what is in both windows over that of what is in either; nan if neither has one."""
        a, b = self.first.line(name), self.second.line(name)
        if np.isnan(a.low) or np.isnan(b.low):
            return float("nan") if np.isnan(a.low) and np.isnan(b.low) else 0.0
        either = max(a.high, b.high) - min(a.low, b.low)
        return max(min(a.high, b.high) - max(a.low, b.low), 0.0) / either if either else 1.0

    def _row(self, name: str) -> str:
        """One group."""
        ends = ["wrong at nominal" if np.isnan(x.low) else f"{100 * (x.low - 1):+.1f} to {100 * (x.high - 1):+.1f} %"
                for x in (self.first.line(name), self.second.line(name))]
        return f"{name:20} {ends[0]:>25} {ends[1]:>25}   {100 * self.overlap(name):5.1f} %"

    def plot(self, path: str | Path) -> Path:
        """Draw both into one file.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from hwsdk.backends.sfq_margin_plots import plot_comparison

        return plot_comparison(self, path)


def compare(first: Sweep, second: Sweep) -> Comparison:
    """Two sweeps side by side, such as that of the pulse simulator and that of the analog one.

    Raises:
        DataError: they have no line in common, or scale different currents.
    """
    found = Comparison(first, second)
    if first.what != second.what or not found.common():
        raise DataError("the sweeps have nothing in common", where=first.title, code="NO_LINE",
                        fix="sweep the same groups and currents twice")
    return found


def _known(value: float) -> float | None:
    """JSON has no nan."""
    return None if np.isnan(value) else value
