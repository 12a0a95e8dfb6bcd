"""How many of many made chips, or of many runs of one, give the right outputs: Monte Carlo on the pulse simulator."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.backends.sfq_margins import Ok, Run, output_layers, same_outputs
from hwsdk.errors import DataError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import sfq, sfq_run
from hwsdk.simulators.kernels_sfq_parts import Wires
from hwsdk.simulators.sfq_machine import Conditions, Machine, noise_key, params, sources
from hwsdk.simulators.sfq_trace import frame_of

Z95 = 1.959963984540054
"""Quantile 0.975 of the standard normal distribution."""
MOST_SHOWN = 12
"""Cells that are listed."""
UNBROKEN = "no violation"
LABELS = {"temperature_k": "temperature (K) of thermal jitter", "spread": "spread of cell delays (relative sigma)",
          "threshold_spread": "spread of soma critical currents (relative sigma)",
          "unknown_sigma_fs": "jitter of cells whose own is not known (fs)"}
"""Conditions that a curve can go over."""


def wilson(right: int, runs: int, z: float = Z95) -> tuple[float, float]:
    """Bounds of a share by its score test (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212)."""
    p, n = right / runs, float(runs)
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((centre + side * half) / (1 + z * z / n) for side in (-1, 1))
    return (0.0 if right == 0 else low), (1.0 if right == runs else high)


@dataclass(frozen=True, slots=True, eq=False)
class Yield:
    """good bool (runs): whether a run's outputs were right. low, high: of ``value``, at 95 % confidence. failures: the
    first violation of a wrong run, as cell and kind -> how many runs, most first; empty where it was not looked at.
    conditions: of the first run; those after have the next seeds. unknown: cells whose jitter nobody knows, which had
    that of the conditions.
    """

    title: str
    good: NDArray[np.bool_]
    low: float
    high: float
    failures: Mapping[str, int]
    conditions: Conditions
    unknown: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        """Of them all."""
        return len(self.good)

    @property
    def right(self) -> int:
        """Runs whose outputs were right."""
        return int(self.good.sum())

    @property
    def value(self) -> float:
        """Share of the runs that were right."""
        return self.right / self.runs

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        c = self.conditions
        under = {n: getattr(c, n) for n in ("jitter", *LABELS, "seed")}
        return {"title": self.title, "runs": self.runs, "right": self.right, "value": self.value, "low": self.low,
                "high": self.high, "failures": dict(self.failures), "unknown_jitter": list(self.unknown),
                "conditions": under}

    def to_text(self) -> str:
        """Share, bounds and what went wrong first."""
        c = self.conditions
        under = [f"jitter at {c.temperature_k:g} K" if c.jitter else "no jitter", f"spread {c.spread:g}",
                 f"threshold spread {c.threshold_spread:g}", f"seed {c.seed}"]
        lines = [f"{self.title}: {self.right:,} of {self.runs:,} runs right, {self.value:.2%} "
                 f"(95 %: {self.low:.2%} to {self.high:.2%}); {', '.join(under)}"]
        if self.unknown:
            lines.append(f"  jitter of {', '.join(self.unknown)} is not known, and was taken as "
                         f"{c.unknown_sigma_fs:g} fs")
        if self.failures:
            lines.append("first violation of the wrong runs")
            lines += [f"  {n:6,} {what}" for what, n in list(self.failures.items())[:MOST_SHOWN]]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The yield over a condition. parameter: its name, a key of LABELS."""

    title: str
    parameter: str
    values: tuple[float, ...]
    points: tuple[Yield, ...]

    @property
    def label(self) -> str:
        """Of the parameter."""
        return LABELS[self.parameter]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"title": self.title, "parameter": self.parameter, "values": list(self.values),
                "points": [p.to_dict() for p in self.points]}

    def to_text(self) -> str:
        """A line a point."""
        rows = [f"{v:12g} {p.value:9.2%} {p.low:9.2%} {p.high:9.2%}"
                for v, p in zip(self.values, self.points, strict=True)]
        head = f"{self.title}: yield over {self.label}, {self.points[0].runs:,} runs a point"
        return "\n".join([head, f"{self.parameter:>12} {'right':>9} {'low':>9} {'high':>9}", *rows]) + "\n"

    def plot(self, path: str | Path) -> Path:
        """Draw it into a .png, .svg or .pdf file.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from hwsdk.backends.sfq_margin_plots import plot_curve

        return plot_curve(self, path)


def monte_carlo(program: PulseNetlist, stimulus: Stimulus, *, runs: int = 1000, jitter: bool = True,
                spread: float = 0.0, threshold_spread: float = 0.0, seed: int = 0, threads: int = 1,
                base: Conditions | None = None, expected: Trace | None = None, run: Run | None = None,
                ok: Ok | None = None) -> Yield:
    """Runs that differ in their random numbers: of thermal jitter, and of how each chip's cells came out.

    Args:
        jitter, spread, threshold_spread, seed: see Conditions; run k has the seed + k. threads: of the pulse simulator.
        base: further conditions. expected, run, ok: as in hwsdk.backends.sfq_margins.sweep; a run is right if the
        outputs spike as expected in every frame of every sample.

    Raises:
        DataError: BAD_RUNS, or what does not suit the program.
    """
    if runs < 1:
        raise DataError(f"{runs} runs", where="runs", code="BAD_RUNS", fix="give 1 or more")
    start = dataclasses.replace(base or Conditions(), jitter=jitter, spread=spread, threshold_spread=threshold_spread,
                                seed=seed)
    every = [dataclasses.replace(start, seed=seed + k) for k in range(runs)]
    failures: list[str] = []
    if run is None and ok is None:
        good, failures = _simulated(program, stimulus, every, expected, threads)
    else:
        runner = run or (lambda c: sfq.run(program, stimulus, conditions=c))
        right = ok or same_outputs(program, runner(base or Conditions()) if expected is None else expected)
        good = [bool(right(runner(c))) for c in every]
    low, high = wilson(sum(good), runs)
    return Yield(program.name, np.array(good), low, high, dict(Counter(failures).most_common()), start,
                 sfq.unknown_jitter(program, start))


def curve(program: PulseNetlist, stimulus: Stimulus, parameter: str, values: Sequence[float], *, runs: int = 1000,
          jitter: bool = True, seed: int = 0, threads: int = 1, base: Conditions | None = None,
          expected: Trace | None = None) -> Curve:
    """The yield over a condition of LABELS; the arguments are those of ``monte_carlo``.

    Raises:
        DataError: NO_SUCH_CONDITION, or as in ``monte_carlo``.
    """
    if parameter not in LABELS or not len(values):
        raise DataError(f"no curve over {parameter!r}" if len(values) else "no values", code="NO_SUCH_CONDITION",
                        fix=f"give values of {', '.join(LABELS)}")
    start = base or Conditions()
    points = []
    for value in values:
        changed: dict[str, Any] = {parameter: float(value)}
        own = dataclasses.replace(start, **changed)
        points.append(monte_carlo(program, stimulus, runs=runs, jitter=jitter, spread=own.spread, seed=seed,
                                  threshold_spread=own.threshold_spread, threads=threads, base=own, expected=expected))
    return Curve(program.name, parameter, tuple(float(v) for v in values), tuple(points))


def _simulated(program: PulseNetlist, stimulus: Stimulus, every: Sequence[Conditions], expected: Trace | None,
               threads: int) -> tuple[list[bool], list[str]]:
    """(whether each run was right, first violation of each that was not), with the pulse simulator."""
    frames = sfq.frames_of(program, stimulus, None, threads)
    nominal = sfq.run(program, stimulus, conditions=dataclasses.replace(every[0], **QUIET)) if expected is None \
        else expected
    judge = _Judge.of(program, stimulus, nominal, frames)
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(judge.first_fault, every)) if threads > 1 else list(map(judge.first_fault, every))
    return [f is None for f in found], [f for f in found if f is not None]


QUIET: dict[str, Any] = {"jitter": False, "spread": 0.0, "threshold_spread": 0.0}


@dataclass(frozen=True, slots=True)
class _Judge:
    """Runs all samples under conditions, and compares. wanted: of each sample, the sorted spikes of the outputs as
    frame * neurons + neuron. within: neuron -> its first and last frame that count; none for those of no output.
    """

    machine: Machine
    wires: Wires
    sources: tuple[NDArray[np.int64], ...]
    end_fs: int
    wanted: tuple[NDArray[np.int64], ...]
    within: NDArray[np.int64]

    @classmethod
    def of(cls, program: PulseNetlist, stimulus: Stimulus, expected: Trace, frames: int) -> _Judge:
        """For what ``expected`` says, on its own axis of steps."""
        machine, n = sfq.build(program), len(program.arrays.spike_net)
        within, wanted = np.zeros((n, 2), np.int64), [[] for _ in range(stimulus.n_samples)]  # type: ignore[var-annotated]
        for layer in output_layers(program, expected):
            own, lag = program.neurons(layer), program.lag[layer] - expected.lag.get(layer, 0)
            steps = min(expected.n_steps, frames - lag)
            within[own] = lag, lag + steps
            events = expected.spikes[layer].shifted(0, steps)
            key = np.repeat((events.step.astype(np.int64) + lag) * n + own.start + events.index,
                            events.values().astype(np.int64))
            sample = np.repeat(events.sample, events.values().astype(np.int64))
            for k, mine in enumerate(wanted):
                mine.append(key[sample == k])
        s = program.schedule
        return cls(machine, machine.watching(program.arrays.spike_net),
                   tuple(sources(machine, stimulus.one(k), frames) for k in range(stimulus.n_samples)),
                   s.start_fs + (frames + 1) * s.frame_fs,
                   tuple(np.sort(np.concatenate([np.zeros(0, np.int64), *w])) for w in wanted), within)

    def first_fault(self, conditions: Conditions) -> str | None:
        """None if all samples were right, else the first violation of the first that was not."""
        own = params(self.machine, conditions)
        for sample, keys in enumerate(self.sources):
            state = sfq_run.start(self.machine, keys, noise_key(conditions, sample))
            done = sfq_run.result(sfq_run.go(self.machine, self.wires, own, state, self.end_fs))
            if not np.array_equal(self._spikes(done), self.wanted[sample]):
                broken = sfq_run.rows(self.machine.program, done.violations[:1], sample)
                return f"{broken[0].cell} {broken[0].kind}" if broken else UNBROKEN
        return None

    def _spikes(self, done: sfq_run.PulseSample) -> NDArray[np.int64]:
        """As in ``wanted``."""
        neuron = self.machine.neuron_of[done.net]
        frame = frame_of(self.machine.program, neuron, done.time_fs)
        kept = (frame >= self.within[neuron, 0]) & (frame < self.within[neuron, 1])
        return np.sort(frame[kept] * len(self.within) + neuron[kept])
