"""How many of many made dies are good enough: Monte Carlo over dies, with bounds that hold for any distribution."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk import __version__
from hwsdk.backends.base import Program
from hwsdk.backends.memristor_judges import Judge, judge_of, stimulus_key
from hwsdk.backends.memristor_yield_file import Log, run_key
from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram

Run = Callable[[CrossbarProgram, Stimulus], Trace]
CONFIDENCE = 0.95
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
WORKERS = ("threads", "processes")


def clopper_pearson(right: int, runs: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact bounds of a share (C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404-413): they hold with at least
    this confidence, whatever the share is.
    """
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = 0.0 if right == 0 else float(beta.ppf(tail, right, runs - right + 1))
    high = 1.0 if right == runs else float(beta.ppf(1 - tail, right + 1, runs - right))
    return low, high


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of what was measured, and its bounds; None where so few dies say nothing on that side."""

    share: float
    value: float
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def quantile(values: Sequence[float] | NDArray[np.float64], share: float,
             confidence: float = CONFIDENCE) -> Quantile:
    """A quantile with bounds that are order statistics: between the l-th and the u-th of n sorted values the quantile
    lies with probability P(l <= B < u), B binomial(n, share), for any distribution (H. A. David and H. N. Nagaraja,
    Order Statistics, 3rd edition, section 7.1). Each side fails with probability (1 - confidence) / 2 at most.
    """
    from scipy.stats import binom

    ordered, tail = np.sort(np.asarray(values, np.float64)), (1 - confidence) / 2
    below = binom.cdf(np.arange(-1, len(ordered)), len(ordered), share)  # below[k] = P(B < k)
    lower = np.flatnonzero(below[1:] <= tail)  # l - 1 where P(B < l) <= tail
    upper = np.flatnonzero(below[1:] >= 1 - tail)  # u - 1 where P(B >= u) <= tail
    return Quantile(share, float(np.quantile(ordered, share, method="inverted_cdf")),
                    float(ordered[lower[-1]]) if len(lower) else None,
                    float(ordered[upper[0]]) if len(upper) else None)


@dataclass(frozen=True, slots=True, eq=False)
class YieldReport:
    """dies int64 (n,), values float64 (n,): what was measured on each. measure: its name. least: a die with at least
    that is good; None: nothing was asked for. ideal: the measure of the array without any stage, None where it was not
    run. resumed: how many dies had been run before.
    """

    title: str
    measure: str
    dies: NDArray[np.int64]
    values: NDArray[np.float64]
    least: float | None
    ideal: float | None
    stages: tuple[str, ...]
    resumed: int = 0

    @property
    def n(self) -> int:
        """Dies."""
        return len(self.dies)

    @property
    def good(self) -> int | None:
        """Dies that are good enough."""
        return None if self.least is None else int((self.values >= self.least).sum())

    @property
    def value(self) -> float | None:
        """Share of the dies that are good enough."""
        return None if self.good is None else self.good / self.n

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Of the share, at 95 % confidence."""
        return None if self.good is None else clopper_pearson(self.good, self.n)

    @property
    def quantiles(self) -> tuple[Quantile, ...]:
        """Of the measure."""
        return tuple(quantile(self.values, q) for q in QUANTILES)

    @property
    def worst(self) -> int:
        """The die with the smallest measure."""
        return int(self.dies[self.values.argmin()])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        bounds = self.bounds
        return {"title": self.title, "measure": self.measure, "dies": self.dies.tolist(),
                "values": self.values.tolist(), "least": self.least, "good": self.good, "yield": self.value,
                "low": bounds and bounds[0], "high": bounds and bounds[1], "ideal": self.ideal,
                "mean": float(self.values.mean()), "std": _std(self.values), "worst_die": self.worst,
                "quantiles": [q.to_dict() for q in self.quantiles], "stages": list(self.stages),
                "resumed": self.resumed}

    def to_text(self) -> str:
        """Share with bounds, then the quantiles."""
        lines = [f"{self.title}: {self.measure} of {self.n:,} dies ({int(self.dies[0])} to {int(self.dies[-1])}), "
                 f"stages {' '.join(self.stages) or 'none'}"]
        if self.value is not None and self.bounds is not None:
            lines.append(f"  yield {self.value:.2%}: {self.good:,} of {self.n:,} reach {self.least:g} (95 %: "
                         f"{self.bounds[0]:.2%} to {self.bounds[1]:.2%})")
        if self.ideal is not None:
            lines.append(f"  without any stage {self.ideal:.4f}")
        std = _std(self.values)
        lines.append(f"  mean {self.values.mean():.4f}" + ("" if std is None else f", standard deviation {std:.4f}") +
                     f", worst die {self.worst} with {self.values.min():.4f}")
        lines.append(f"  {'share of dies below':>20} {self.measure.split(',')[0]:>10} {'95 %: low':>10} {'high':>10}")
        lines += [f"  {q.share:20.0%} {q.value:10.4f} {_shown(q.low)} {_shown(q.high)}" for q in self.quantiles]
        return "\n".join(lines) + "\n"

    def plot(self, path: str | Path) -> Path:
        """Draw how the dies spread into a .png, .svg or .pdf file.

        Raises:
            MissingDependencyError: matplotlib is not installed. DataError: CANNOT_WRITE.
        """
        from hwsdk.backends.memristor_plots import plot_yield

        return plot_yield(self, path)


def _std(values: NDArray[np.float64]) -> float | None:
    """Standard deviation of a sample; None of one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _shown(value: float | None) -> str:
    """A number, or that too few dies were run."""
    return f"{value:10.4f}" if value is not None else f"{'-':>10}"


def yields(program: Program, stimulus: Stimulus, *, dies: int = 100, seed: int = 0, threads: int = 1,
           workers: str = "threads", measure: str | Judge | None = None, least: float | None = None,
           expected: Trace | None = None, resume: str | Path | None = None, run: Run | None = None,
           say: Callable[[int, int], None] | None = None) -> YieldReport:
    """Run a program on many dies and say how good they are. Die k has physics.die = seed + k; no result depends on how
    many work at it.

    Args:
        threads: how many dies run beside each other. workers: "threads", or "processes", for which a measure of your
        own and ``run`` have to be functions of a module. measure: a name of MEASURES or a Judge; None: accuracy where
        there are labels, else agreement with the expected run, else similarity to it. least: a die is good from there
        on. expected: the run that is right; default: the same program without any stage. resume: a file of results
        that is made, or gone on with. run: what runs a program; default the simulator. say: called with
        (dies done, dies in all).

    Raises:
        UnsupportedError: NO_YIELD, a program for another target.
        DataError: BAD_DIES, BAD_LEAST, BAD_WORKERS, BAD_MEASURE (a measure that is no number), those of
        ``judge_of`` and of the file, or what does not suit the program.
    """
    if not isinstance(program, CrossbarProgram):
        raise UnsupportedError(f"programs for {program.target} have no dies that differ in their cells",
                               where=program.name, code="NO_YIELD", fix="compile for memristor; the yield of SFQ "
                               "netlists is found by margins with runs (hwsdk margins --runs N)")
    _check(dies, seed, threads, workers, least)
    go = run or _simulated
    ideal: list[Trace] = []

    def bare() -> Trace:
        """The run without any stage, once."""
        ideal[:] = ideal or [go(program.with_stages(), stimulus)]
        return ideal[0]

    judge = judge_of(measure, program, stimulus, (lambda: expected) if expected is not None else bare) \
        if measure is None or isinstance(measure, str) else measure
    log = Log.open(resume, run_key(__version__, program.with_die(0).digest(), stimulus_key(stimulus), judge.key,
                                   getattr(run, "__qualname__", "")))
    wanted = [seed + k for k in range(dies)]
    missing = [d for d in wanted if d not in log.done]
    if say:
        say(dies - len(missing), dies)
    for die, value in _measured(_Job(program, stimulus, judge, go), missing, min(threads, len(missing)), workers):
        log.add(die, value)
        if say:
            say(sum(d in log.done for d in wanted), dies)
    return YieldReport(program.name, judge.name, np.array(wanted, np.int64), np.array([log.done[d] for d in wanted]),
                       least, judge(program, bare()), program.physics.stages, dies - len(missing))


def _check(dies: int, seed: int, threads: int, workers: str, least: float | None) -> None:
    """Numbers that cannot be."""
    if dies < 1 or seed < 0 or threads < 1:
        raise DataError(f"{dies} dies from seed {seed} by {threads} threads", code="BAD_DIES",
                        fix="give 1 die or more, a seed of 0 or more, and 1 thread or more")
    if workers not in WORKERS:
        raise DataError(f"workers {workers!r}", code="BAD_WORKERS", fix=f"use {' or '.join(WORKERS)}")
    if least is not None and not math.isfinite(least):
        raise DataError(f"least {least}", code="BAD_LEAST", fix="give a number, such as 0.9")


def _simulated(program: CrossbarProgram, stimulus: Stimulus) -> Trace:
    """A run by one thread of the simulator."""
    from hwsdk.simulators import memristor

    return memristor.chip_of(program).run(stimulus)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What is done for every die."""

    program: CrossbarProgram
    stimulus: Stimulus
    judge: Judge
    run: Run

    def value(self, die: int) -> float:
        """The measure of a die."""
        own = self.program.with_die(die)
        found = float(self.judge(own, self.run(own, self.stimulus)))
        if not math.isfinite(found):
            raise DataError(f"the measure is {found}", where=f"die {die}", code="BAD_MEASURE",
                            fix="let it be a finite number")
        return found


def _measured(job: _Job, dies: Sequence[int], beside: int, workers: str) -> Iterator[tuple[int, float]]:
    """(die, measure) of each, as they get done."""
    if beside <= 1 and workers == "threads":
        yield from ((die, job.value(die)) for die in dies)
        return
    if not dies:
        return
    with _pool(job, beside, workers) as (pool, value):
        waiting = {pool.submit(value, die): die for die in dies}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _pool(job: _Job, beside: int, workers: str) -> Iterator[tuple[Executor, Callable[[int], float]]]:
    """Workers, and what they are given for a die. Processes read the program from a file, as any user would."""
    if workers == "threads":
        with ThreadPoolExecutor(beside) as pool:
            yield pool, job.value
        return
    with tempfile.TemporaryDirectory() as folder:
        path = job.program.save(Path(folder) / "program.hwx")
        arguments = (str(path), job.stimulus, job.judge, job.run)
        with ProcessPoolExecutor(beside, multiprocessing.get_context("spawn"), _begin, arguments) as processes:
            yield processes, _value


_OWN: list[_Job] = []
"""In a process: its job."""


def _begin(path: str, stimulus: Stimulus, judge: Judge, run: Run) -> None:
    """A process begins."""
    _OWN[:] = [_Job(CrossbarProgram.load(path), stimulus, judge, run)]


def _value(die: int) -> float:
    """In a process."""
    return _OWN[0].value(die)


__all__ = ["CONFIDENCE", "QUANTILES", "Quantile", "YieldReport", "clopper_pearson", "quantile", "yields"]
