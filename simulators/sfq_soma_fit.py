"""The pulse model of a soma beside its circuit: random settings, analog runs, and the constants that fit them.

A setting is a soma with its branches and the pulses that they get. The model of a batch of settings runs side by side
in NumPy, event after event; it is the rule of SomaModel, apart from the pulse simulator's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.cells import FS, SomaModel
from hwsdk.ir.soma import Branch, coupling, decay_times, resets, threshold, weights
from hwsdk.simulators.rcsj import solve_many
from hwsdk.simulators.sfq_bench import bench_of
from hwsdk.simulators.sfq_circuits import PS, pulse_points
from hwsdk.simulators.sfq_soma import soma_circuit

Array = NDArray[np.float64]
PULSES, PERIOD_S, START_S, TAIL_S = 16, 25 * PS, 40 * PS, 100 * PS
LEAD_S = 5 * PS
"""By so much inhibition comes before what it shall stop, where pulses are not at random: the flip takes some ps, so a
pulse that inhibits within 3 ps after the others would still stop them, which a model that decides at once cannot know.
"""
TAU_S = (12e-12, 300e-12)
SIDE_BY_SIDE = 4
"""Circuits that are solved at once."""
FITTED = ("ic_eff_a", "alpha", "l_x_h", "load", "relief", "critical_fs", "l_soma_h", "inhibition", "flip_fs")
GUESS = SomaModel(1, 207e-6, 1.1, 1.0, 5.1e-12, np.zeros(1), np.zeros(1, np.int64), 0.35, 1e3, 2.4e3, 3.8e-12, 0.26,
                  4.8e3)
"""Where the search begins: what static thresholds and single decays of the circuit suggest."""
BINS_A = (0.0, 1e-6, 2e-6, 4e-6, 8e-6, 15e-6, 30e-6, 60e-6)


@dataclass(frozen=True, slots=True)
class Ranges:
    """(least, most) of what settings have: henry, ohm, A."""

    inductance_h: tuple[float, float]
    resistance_ohm: tuple[float, float]
    bias_a: tuple[float, float]


GRID = Ranges((20e-12, 120e-12), (0.2, 2.0), (20e-6, 120e-6))
"""Where counts are to be right."""
WIDE = Ranges((10e-12, 120e-12), (0.2, 2.0), (20e-6, 160e-6))
"""What constants are fitted to: somas that one of their branches fires need more bias, or stronger branches."""


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """sent: of each branch, times in s at which pulses go into the line before it."""

    branches: tuple[Branch, ...]
    bias_a: float
    sent: tuple[Array, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What the circuit did. arrived: of each branch, times at its first junction. spikes: times in s of output pulses,
    at the cell behind. backwards: a branch sent a pulse back, or swallowed one.
    """

    setting: Setting
    arrived: tuple[Array, ...]
    spikes: Array
    backwards: bool


def settings(fan_in: int, count: int, seed: int, ranges: Ranges = GRID) -> list[Setting]:
    """Random settings: inductors, resistors (one decay time for all, or each its own), bias, up to half the branches
    that inhibit, and pulses: phases at random, all together, or at one of three phases; some of the 16 pulses missing.
    """
    rng = np.random.default_rng([seed, fan_in])
    return [_setting(fan_in, rng, ranges) for _ in range(count)]


def _setting(n: int, rng: np.random.Generator, ranges: Ranges) -> Setting:
    inhibits = np.arange(n) >= n - int(rng.integers(0, n // 2 + 1))
    henry = _between(rng, ranges.inductance_h, n)
    ohm = _between(rng, ranges.resistance_ohm, n)
    if rng.random() < 0.5:
        ohm = np.clip((henry + GUESS.l_x_h) / _between(rng, TAU_S, 1), *ranges.resistance_ohm)
    pattern = int(rng.integers(3))
    phase = (rng.uniform(0, PERIOD_S, n), np.zeros(n), rng.choice([0.0, 4 * PS, 9 * PS], n))[pattern]
    phase -= np.where(inhibits & (pattern > 0), LEAD_S, 0.0)
    keep = rng.uniform(0.4, 1)
    sent = tuple(START_S + p + PERIOD_S * np.flatnonzero(rng.random(PULSES) < keep) for p in phase)
    branches = tuple(Branch(float(h), float(r), coupling(float(h)) if x else 0.0)
                     for h, r, x in zip(henry, ohm, inhibits, strict=True))
    return Setting(branches, float(rng.uniform(*ranges.bias_a)), sent)


def _between(rng: np.random.Generator, ends: tuple[float, float], n: int) -> Array:
    """Evenly in the logarithm."""
    return np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]), n))


def run_analog(chosen: Sequence[Setting], threads: int = 1) -> list[Run]:
    """The circuit of every setting."""
    parts = [chosen[k : k + SIDE_BY_SIDE] for k in range(0, len(chosen), SIDE_BY_SIDE)]
    with ThreadPoolExecutor(threads) as pool:
        return [run for part in pool.map(_solve, parts) for run in part]


def _solve(chosen: Sequence[Setting]) -> list[Run]:
    benches = [bench_of(soma_circuit(s.branches, s.bias_a)) for s in chosen]
    inputs = [{f"drive_b{j}.pulse": pulse_points([float(t) for t in times]) for j, times in enumerate(s.sent)}
              for s in chosen]
    stop = START_S + PULSES * PERIOD_S + PERIOD_S + TAIL_S
    runs = []
    for s, bench, done in zip(chosen, benches, solve_many([b.circuit for b in benches], stop, inputs=inputs),
                              strict=True):
        entries = list(bench.entries.values())
        arrived = tuple(done.crossings[j] for j in entries)
        back = any(len(a) != len(t) for a, t in zip(arrived, s.sent, strict=True))
        back |= any(len(done.returns[j]) for j in entries)
        runs.append(Run(s, arrived, done.crossings[bench.exits["q"]], back))
    return runs


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Events of R runs of one fan-in, padded with inf. time (R, E) s, pin (R, E)."""

    runs: tuple[Run, ...]
    time: Array
    pin: NDArray[np.int64]


def batch_of(runs: Sequence[Run]) -> Batch:
    """Arrivals of all branches in order."""
    most = max(sum(map(len, r.arrived)) for r in runs)
    time, pin = np.full((len(runs), most), np.inf), np.zeros((len(runs), most), np.int64)
    for k, r in enumerate(runs):
        own = np.concatenate(r.arrived)
        order = np.argsort(own, kind="stable")
        time[k, : len(own)] = own[order]
        pin[k, : len(own)] = np.repeat(np.arange(len(r.arrived)), [len(a) for a in r.arrived])[order]
    return Batch(tuple(runs), time, pin)


def fired(model: SomaModel, batch: Batch) -> Array:
    """(R, E) A: SomaModel's ``over`` at the events at which the model fires, nan at the others."""
    w = np.array([weights(model, r.setting.branches) for r in batch.runs])
    tau = np.array([decay_times(model, r.setting.branches) for r in batch.runs])
    theta = np.array([threshold(model, x, r.setting.bias_a) for x, r in zip(w, batch.runs, strict=True)])
    root, back = np.cbrt(np.maximum(theta, 0)), np.array([resets(model, r.setting.branches) for r in batch.runs])
    current, before, rows = np.zeros_like(w), np.zeros(len(w)), np.arange(len(w))
    over = np.full(batch.time.shape, np.nan)
    for e in range(batch.time.shape[1]):
        now = batch.time[:, e]
        real = np.isfinite(now)
        current *= np.exp(-np.where(real, now - before, 0.0)[:, None] / tau)
        before = np.where(real, now, before)
        current[rows, batch.pin[:, e]] += np.where(real, w[rows, batch.pin[:, e]], 0.0)
        rate = np.maximum((current / tau).sum(1), 0)
        excess = current.sum(1) - theta - root * np.cbrt(model.critical_fs * FS * rate) ** 2
        hit = real & (excess >= 0)
        over[hit, e] = excess[hit]
        current[hit] -= back[hit]
    return over


def spike_times(model: SomaModel, branches: Sequence[Branch], bias_a: float, pulses: Sequence[Array]) -> Array:
    """s: when the model's output pulses come, for pulses at each branch in s."""
    batch = batch_of([Run(Setting(tuple(branches), bias_a, tuple(pulses)), tuple(pulses), np.zeros(0), False)])
    over = fired(model, batch)[0]
    hit = np.isfinite(over)
    return np.asarray(batch.time[0, hit] + FS * np.interp(over[hit], model.overdrive_a, model.latency_fs), np.float64)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of runs: share with the same number of spikes, share within one; the same of those in which anything fires; and
    how many a branch sent a pulse backwards in, which the model does not know of and which count as any other.
    """

    runs: int
    exact: float
    near: float
    exact_firing: float
    near_firing: float
    backwards: int


def agreement(model: SomaModel, runs: Sequence[Run]) -> Agreement:
    """Spike counts of the model beside those of the circuit."""
    return agreement_of([off(model, batch_of(runs))], runs)


def agreement_of(differences: Sequence[NDArray[np.int64]], runs: Sequence[Run]) -> Agreement:
    """The same from differences of counts."""
    d = np.abs(np.concatenate(differences))
    fires = np.array([len(r.spikes) > 0 for r in runs])
    return Agreement(len(runs), float((d == 0).mean()), float((d <= 1).mean()), float((d[fires] == 0).mean()),
                     float((d[fires] <= 1).mean()), sum(r.backwards for r in runs))


def off(model: SomaModel, batch: Batch) -> NDArray[np.int64]:
    """(R,) spikes of the model less those of the circuit."""
    return np.asarray(np.isfinite(fired(model, batch)).sum(1) - [len(r.spikes) for r in batch.runs], np.int64)


def fit(batches: Sequence[Batch], start: SomaModel, fields: Sequence[str] = FITTED, tries: int = 400,
        seed: int = 0) -> SomaModel:
    """Constants of one model for all batches, by random steps from ``start`` that never make it worse: the mean of the
    differences of spike counts, each at most 3.
    """
    rng = np.random.default_rng(seed)
    best, least = start, _badness(start, batches)
    for _ in range(tries):
        step = float(rng.choice([0.1, 0.03, 0.01]))
        moved = {f: getattr(best, f) * float(np.exp(rng.normal(0, step))) for f in fields if rng.random() < 0.5}
        trial = replace(best, **moved)
        now = _badness(trial, batches)
        if now <= least:
            best, least = trial, now
    return best


def _badness(model: SomaModel, batches: Sequence[Batch]) -> float:
    return float(np.mean(np.concatenate([np.minimum(np.abs(off(model, b)), 3) for b in batches])))


def latency(model: SomaModel, batch: Batch) -> tuple[Array, NDArray[np.int64]]:
    """overdrive_a and latency_fs: medians of the runs in which model and circuit fire equally often, in order, by bins
    of the overdrive; a bin without at least 5 spikes is left out, and none is later than those before.
    """
    over, late = [], []
    every = fired(model, batch)
    for run, row, time in zip(batch.runs, every, batch.time, strict=True):
        hit = np.isfinite(row)
        if hit.sum() == len(run.spikes):
            over += row[hit].tolist()
            late += (run.spikes - time[hit]).tolist()
    which = np.digitize(over, BINS_A) - 1
    full = [b for b in range(len(BINS_A)) if (which == b).sum() >= 5]
    at = [float(np.median(np.array(over)[which == b])) for b in full]
    median = np.array([float(np.median(np.array(late)[which == b])) for b in full])
    return np.array(at), np.rint(np.minimum.accumulate(median) / FS).astype(np.int64)
