"""One design point measured: compile, simulate, compare with the float model, price. What points share is kept."""

from __future__ import annotations

import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwsdk import backends
from hwsdk.backends.base import Backend, CompileOptions, Program, require_known
from hwsdk.backends.verify import decisions, layer_drift
from hwsdk.cost import CostReport
from hwsdk.errors import HwsdkError, MissingDependencyError, UnsupportedError
from hwsdk.explore.job import Job
from hwsdk.explore.points import COMPILE, Point, Value, key_of
from hwsdk.explore.result import BUG, Result
from hwsdk.ir import formats
from hwsdk.ir.data import Stimulus
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import is_spiking
from hwsdk.ir.trace import Trace
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators import reference

PERCENTILES = (50, 95, 99)
KEPT = {"description": 64, "backend": 64, "network": 16, "data": 16, "program": 8, "trace": 32, "baseline": 16}
"""How many of each kind are kept; the least recently used goes first."""
CONDITIONS = ("bias", "jitter", "unknown_sigma_fs", "temperature_k", "spread", "threshold_spread", "seed")
"""Of a run of pulse logic; see hwsdk.simulators.sfq_machine.Conditions."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """The float model's run: trace, and decisions int64 (samples,) where one output decides."""

    trace: Trace
    decided: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """An error that is kept in place of a value."""

    error: HwsdkError


class Bench:
    """Measures the points of a job, one at a time. keep: remember what points share; no result depends on it."""

    def __init__(self, job: Job, keep: bool = True) -> None:
        self.job, self.keep = job, keep
        self._kept: dict[str, OrderedDict[Any, Any]] = {}
        self._lock = threading.Lock()

    def measure(self, point: Point) -> Result:
        """What becomes of a point; a refusal is a result too.

        Raises:
            MissingDependencyError, OSError, MemoryError: what is no property of the point.
        """
        start = time.perf_counter()
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = self._measured(point)
            except (MissingDependencyError, OSError, MemoryError):
                raise
            except Exception as error:
                found = refused(point, error)
        return replace(found, key=self.key(point), seconds=round(time.perf_counter() - start, 6))

    def key(self, point: Point) -> str:
        """Of a point; the description of its target is part of it."""
        description = self._once("description", point.target, lambda: self.backend(point.target).target.digest())
        return key_of(point, {**self.job.shared, "model": self.job.models[point.model], "target": description})

    def backend(self, name: str) -> Backend:
        """Of a target."""
        return self._once("backend", name, lambda: backends.get(name))

    def network(self, point: Point) -> Network:
        """The model, with the semantics that the point sets."""
        own: dict[str, Any] = dict(point.group("semantics"))
        return self._once("network", (point.model, tuple(own.items())), lambda: formats.load(
            self.job.networks[point.model], **own)) if own else self.job.networks[point.model]

    def data(self, point: Point) -> Stimulus:
        """The data, cut or padded to the steps that the point sets."""
        steps = point.get("steps")
        if steps is None:
            return self.job.data
        shapes = {n: e.shape for n, e in self.job.data.inputs.items()}
        return self._once("data", steps, lambda: formats.load_data(self.job.data, shapes, n_steps=steps))

    def program(self, point: Point) -> Program:
        """Compiled, for the nominal chip."""
        plain = nominal(point).without("steps")
        return self._once("program", plain, lambda: self.backend(point.target).compile(
            self.network(plain), options_of(plain, self.job.calibration), lambda _: None))

    def trace(self, point: Point, program: Program) -> Trace:
        """The run of a program under the point's conditions; programs of one digest are run once."""
        what = (point.target, program.digest(), point.get("steps"), point.get("die"), tuple(point.group("run").items()))
        return self._once("trace", what, lambda: self._run(point, program))

    def baseline(self, point: Point) -> Baseline:
        """Of the float model."""
        what = (point.model, tuple(point.group("semantics").items()), point.get("steps"))
        return self._once("baseline", what, lambda: baseline_of(self.network(point), self.data(point)))

    def _measured(self, point: Point) -> Result:
        """Step by step; the first refusal ends it."""
        backend, program, data = self.backend(point.target), self.program(point), self.data(point)
        trace = self.trace(point, program)
        cost = self._price(backend, program, trace, point)
        nominal_trace = trace if not conditional(point) else self.trace(nominal(point), program)
        scores = scores_of(self.baseline(point), self.network(point), program, trace, data)
        same = _same(program, nominal_trace, trace) if conditional(point) else None
        return result_of(point, backend, program, cost, {**scores, "same": same})

    def _run(self, point: Point, program: Program) -> Trace:
        data, die, run = self.data(point), point.get("die"), point.group("run")
        if isinstance(program, PulseNetlist) and conditional(point):
            return _pulses(program, data, die, run)
        if run or (die is not None and not isinstance(program, CrossbarProgram)):
            raise UnsupportedError(f"{point.target} has no {'conditions of a run' if run else 'dies'}",
                                   code="NO_CONDITIONS", fix="sweep die on memristor targets and sfq, run.* on sfq")
        made = program.with_die(die) if isinstance(program, CrossbarProgram) and die is not None else program
        return self.backend(point.target).simulate(made, data, probes=(), strict=False, progress=None)

    def _price(self, backend: Backend, program: Program, trace: Trace, point: Point) -> CostReport:
        return backend.estimate(program, trace, point.get("proxy"), point.get("boundary", "chip"),
                                point.group("estimate"))

    def _once(self, kind: str, what: Any, make: Callable[[], T]) -> T:
        """A value or refusal that was made before, or made now."""
        if not self.keep:
            return make()
        kept = self._kept.setdefault(kind, OrderedDict())
        if what not in kept:
            try:
                kept[what] = make()
            except (MissingDependencyError, OSError, MemoryError):
                raise
            except HwsdkError as error:
                kept[what] = Refusal(error)
        kept.move_to_end(what)
        while len(kept) > KEPT[kind]:
            kept.popitem(last=False)
        found = kept[what]
        if isinstance(found, Refusal):
            raise found.error.with_traceback(None)
        return found  # type: ignore[no-any-return]


def baseline_of(network: Network, data: Stimulus) -> Baseline:
    """The float model's run on some data."""
    trace = reference.run(network, data)
    outputs = [n for n in network.outputs if n in trace.spikes]
    return Baseline(trace, decisions(trace, outputs[0], data.n_steps) if len(outputs) == 1 else None)


def scores_of(ideal: Baseline, network: Network, program: Program, trace: Trace, data: Stimulus) -> dict[str, Any]:
    """accuracy, agreement and similarity of a run, by the labels and the float model; None where it cannot be said."""
    outputs = [n for n in program.outputs if n in trace.spikes]
    spiking = {n for n, p in network.populations.items() if is_spiking(p)}
    layers = [n for n in dict.fromkeys(p for o in program.outputs.values() for p in o) if n in spiking]
    shared = [n for n in layers if n in trace.spikes and n in ideal.trace.spikes]
    found = [layer_drift(n, ideal.trace, trace, data.n_steps).similarity for n in shared]
    scores = {"accuracy": None, "agreement": None, "similarity": float(np.mean(found)) if found else None}
    if len(outputs) == 1 and ideal.decided is not None:
        decided = decisions(trace, outputs[0], data.n_steps)
        scores["agreement"] = float((decided == ideal.decided).mean())
        scores["accuracy"] = None if data.labels is None else float((decided == data.labels).mean())
    return scores


def result_of(point: Point, backend: Backend, program: Program, cost: CostReport, scores: Mapping[str, Any]) -> Result:
    """That a point fits, what it uses and costs."""
    used = {n: (int(u.used), u.available, u.unit) for n, u in backend.summary(program).items()}
    return Result("", point, True, **scores, amounts=_amounts(cost), used=used, digest=program.digest(),
                  percentiles=tuple(float(x) for x in np.percentile(cost.latency_samples, PERCENTILES)))


def refused(point: Point, error: Exception) -> Result:
    """Why a point does not run."""
    if isinstance(error, HwsdkError):
        return Result("", point, False, error.code, _sentence(error), error.fix)
    return Result("", point, False, BUG, f"a bug in hwsdk: {type(error).__name__}: {error}")


def conditional(point: Point) -> bool:
    """Is it a run of another chip than the nominal one, or under other conditions?"""
    return any(n == "die" or n.startswith("run.") for n, _ in point.settings)


def nominal(point: Point) -> Point:
    """The point that is compiled: nothing of what only a run or a price depends on."""
    return Point(point.model, point.target, tuple(
        (n, v) for n, v in point.settings if n in COMPILE or n == "steps" or n.startswith(("option.", "semantics."))))


def options_of(point: Point, calibration: Stimulus | None = None) -> CompileOptions:
    """What a point says to the compiler."""
    given: dict[str, Any] = {n: v for n, v in point.settings if n in COMPILE}
    return CompileOptions(**given, data=calibration, target_options=point.group("option"))


def _pulses(program: PulseNetlist, data: Stimulus, die: int | None, run: Mapping[str, Value]) -> Trace:
    """Pulse logic under conditions; a die is one seed of jitter and of the cells' spread."""
    from hwsdk.simulators import sfq
    from hwsdk.simulators.sfq_machine import Conditions

    require_known("a run of sfq", run, CONDITIONS)
    given: dict[str, Any] = {n: {"yes": True, "no": False}.get(str(v), v) for n, v in run.items()}
    if die is not None:
        given = {"jitter": True, **given, "seed": int(given.get("seed", 0)) + die}
    return sfq.run(program, data, conditions=Conditions(**given))


def _same(program: Program, expected: Trace, got: Trace) -> bool:
    """Is every spike of every output the expected one?"""
    layers = [n for o in program.outputs.values() for n in o if n in got.spikes and n in expected.spikes]
    return expected.first_difference(got, layers) is None


def _amounts(cost: CostReport) -> dict[str, Any]:
    return {"energy": cost.energy_total, "energy_dynamic": cost.energy_dynamic, "energy_static": cost.energy_static,
            "latency": cost.latency}


def _sentence(error: HwsdkError) -> str:
    """What is wrong, with its place."""
    lines = [line.strip().removeprefix("- ") for line in error.what.splitlines()]
    return f"{error.where}: {'; '.join(lines)}" if error.where else "; ".join(lines)


__all__ = ["Baseline", "Bench", "conditional", "nominal", "options_of"]
