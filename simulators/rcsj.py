"""Transient analysis of Josephson circuits (RCSJ model): phases, pulses, energies, Johnson noise.

Fixed step, BDF2 for d/dt and twice for d2/dt2, the junctions' sine of the phase extrapolated by a parabola: each step
is one solution of a linear system whose matrix never changes. Second order in the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, ModelError
from hwsdk.ir.circuit import Circuit, Junction, Source
from hwsdk.simulators.kernels_rcsj import (
    CROSSED,
    LEVELS,
    ROWS,
    SHUNT_ROWS,
    Output,
    Sources,
    State,
    run,
)
from hwsdk.simulators.rcsj_net import SOURCE, Net, S, fold, net_of
from hwsdk.simulators.rcsj_system import System, system_of

Points = Sequence[tuple[float, float]]
STEP_S = 0.05e-12
"""At this step a junction transmission line of 10 kA/cm2 agrees with JoSIM 2.7 to 1 fs (measured)."""
ROOM = 1 << 14
"""Crossings that the kernel notes before it comes back."""
NORMALS = 1 << 16
"""Normal numbers that are drawn at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Transient:
    """What a circuit did from 0 to stop_s, from rest (all phases 0, no currents).

    crossings, returns: junction -> times in s, ascending, at which its phase passes pi + 2 pi n upwards and downwards,
    float64. final: junction -> phase in radians at the end. energy_j: bias source -> J it gave, the integral of I V dt.
    times (K,) s; phases, voltages: recorded node -> (K,) radians and volts, to ground.
    """

    circuit: Circuit
    step_s: float
    n_steps: int
    crossings: Mapping[str, NDArray[np.float64]]
    returns: Mapping[str, NDArray[np.float64]]
    final: Mapping[str, float]
    energy_j: Mapping[str, float]
    times: NDArray[np.float64]
    phases: Mapping[str, NDArray[np.float64]]
    voltages: Mapping[str, NDArray[np.float64]]

    @property
    def stop_s(self) -> float:
        """Simulated seconds."""
        return self.n_steps * self.step_s

    def pulses(self, junction: str) -> int:
        """Flux quanta that went through a junction: crossings upwards less those downwards."""
        return len(self.crossings[junction]) - len(self.returns[junction])

    @property
    def total_energy_j(self) -> float:
        """J from all bias sources."""
        return sum(self.energy_j.values())

    def energy_of(self, group: str) -> float:
        """J from the bias sources of a group."""
        names = {e.name for e in self.circuit.of(Source) if isinstance(e, Source) and e.group == group}
        return sum(energy for name, energy in self.energy_j.items() if name in names)


def solve(circuit: Circuit, stop_s: float, *, step_s: float = STEP_S, record: Sequence[str] = (), every: int = 1,
          temperature_k: float | None = None, seed: int = 0, bias: Mapping[str, float] | float = 1.0,
          inputs: Mapping[str, Points] | None = None) -> Transient:
    """Run a circuit from rest.

    Args:
        record: nodes whose phase and voltage are kept, at every ``every``-th step.
        temperature_k: with Johnson noise of every resistor and r_sub; None: without.
        bias: factor on the bias sources, one for all or by their group (1 for groups that are not named).
        inputs: source -> other points of (s, A).

    Raises:
        ModelError: BAD_CIRCUIT, FLOATING_NODE, NO_SUCH_NODE; DIVERGED: phases are not finite, for too large a step.
        DataError: NO_SUCH_SOURCE, BAD_POINTS, BAD_STEP.
    """
    return solve_many([circuit], stop_s, step_s=step_s, record=record, every=every, temperature_k=temperature_k,
                      seed=seed, bias=[bias], inputs=[inputs or {}])[0]


def solve_many(circuits: Sequence[Circuit], stop_s: float, *, step_s: float = STEP_S, record: Sequence[str] = (),
               every: int = 1, temperature_k: float | None = None, seed: int = 0,
               bias: Sequence[Mapping[str, float] | float] | None = None,
               inputs: Sequence[Mapping[str, Points]] | None = None) -> list[Transient]:
    """``solve`` for several circuits side by side, which is faster than one after the other if they are small.

    ``record`` holds for each; bias, inputs: one for each circuit. Noise comes from one stream for all of them, so with
    noise the result of one depends on the others; without noise it does not.
    """
    if not (stop_s > 0 and step_s > 0 and every > 0 and (temperature_k or 0.0) >= 0):
        raise DataError(f"stop_s {stop_s}, step_s {step_s}, every {every}, temperature_k {temperature_k}",
                        code="BAD_STEP", fix="positive values")
    net = net_of(circuits, record)
    fold(net)
    system = system_of(net, step_s, temperature_k or 0.0)
    sources = _sources(net, circuits, step_s, bias or [1.0] * len(circuits), inputs or [{}] * len(circuits), system)
    n_steps = max(1, round(stop_s / step_s))
    state = _state(system, sources, len(record) * len(circuits))
    out = _output(net, circuits, record, system, n_steps // every)
    columns = _run(system, sources, state, out, n_steps, every, step_s,
                   None if temperature_k is None else np.random.default_rng(seed))
    if not np.isfinite(state.x).all():
        raise ModelError("phases are not finite", where=circuits[0].name, code="DIVERGED", fix="a smaller step_s")
    return _Reader(net, circuits, step_s, n_steps, state, sources, out, columns, tuple(record), every).read()


def _run(system: System, sources: Sources, state: State, out: Output, n_steps: int, every: int, step_s: float,
         rng: np.random.Generator | None) -> list[NDArray[Any]]:
    """All steps; the crossings' junctions, times and directions."""
    width = 0 if rng is None else len(system.junctions.ic) + len(system.own)
    normal = np.zeros((0, width))
    done, parts = 0, []
    while done < n_steps:
        if rng is not None and not len(normal):
            normal = rng.standard_normal((min(n_steps - done, NORMALS // width + 1), width))
        reached = run(system.junctions, system.resistors, system.factors, sources, state, out, normal, system.own, done,
                      n_steps, every, step_s)
        n = int(state.counts[CROSSED])
        parts.append((out.junction[:n].copy(), out.at[:n] * step_s, out.sign[:n].copy()))
        state.counts[CROSSED] = 0
        normal, done = normal[reached - done:], reached
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _scaled(source: Source, bias: Mapping[str, float] | float, inputs: Mapping[str, Points]) -> Points:
    """Points of a source in this run."""
    points = inputs.get(source.name, source.points)
    if source.kind != "bias":
        return points
    factor = bias if isinstance(bias, float | int) else bias.get(source.group, 1.0)
    return [(t, factor * amp) for t, amp in points]


def _check_names(net: Net, circuits: Sequence[Circuit], bias: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Every source and group that is named exists."""
    if not len(circuits) == len(bias) == len(inputs):
        raise DataError(f"{len(circuits)} circuits, {len(bias)} of bias, {len(inputs)} of inputs", code="BAD_STEP",
                        fix="one of each for every circuit")
    for k, circuit in enumerate(circuits):
        own = [s for i, s in net.sources if i == k]
        unknown = set(inputs[k]) - {s.name for s in own}
        groups = set() if isinstance(bias[k], float | int) else set(bias[k]) - {s.group for s in own}
        if unknown or groups:
            raise DataError(f"no such source or group: {', '.join(sorted(unknown | groups))}", where=circuit.name,
                            code="NO_SUCH_SOURCE", fix="name sources and bias groups of the circuit")


def _sources(net: Net, circuits: Sequence[Circuit], h: float, bias: Sequence[Any], inputs: Sequence[Any],
             system: System) -> Sources:
    """All sources for the kernel."""
    _check_names(net, circuits, bias, inputs)
    points = [_scaled(s, bias[k], inputs[k]) for k, s in net.sources]
    lengths = np.array([len(p) for p in points], np.int64)
    table = np.array([point for p in points for point in p], np.float64).reshape(-1, 2)
    owner = np.repeat(np.arange(len(points)), lengths)
    time, amp = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
    backwards = (np.diff(time) < 0) & (np.diff(owner) == 0)
    if backwards.any() or not (lengths.all() and np.isfinite(table).all()):
        raise DataError("points of a source are missing, not finite, or not in the order of time",
                        where=circuits[0].name, code="BAD_POINTS", fix="at least one point of (s, A), in order")
    first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)
    return Sources(np.array([system.place[p] for p, _ in net.ends[SOURCE]], np.uint32), first, time, amp,
                   *_spans(owner, time, amp, h))


def _spans(owner: NDArray[np.int64], time: NDArray[np.float64], amp: NDArray[np.float64], h: float,
           ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint32]]:
    """Steps in which sources may change: first, last, source. Those of a source are apart; sorted by the first."""
    moving = np.flatnonzero((np.diff(amp) != 0) & (np.diff(owner) == 0))
    which = owner[moving]
    begin = np.floor(time[moving] / h).astype(np.int64) - 1
    end = np.ceil(time[moving + 1] / h).astype(np.int64) + 1
    apart = np.ones(len(moving), bool)
    apart[1:] = (np.diff(which) != 0) | (begin[1:] > end[:-1])
    last = np.append(np.flatnonzero(apart)[1:], len(moving)) - 1 if len(moving) else moving
    begin, end, which = begin[apart], end[last], which[apart]
    order = np.argsort(begin, kind="stable")
    return begin[order], end[order], which[order].astype(np.uint32)


def _state(system: System, sources: Sources, probes: int) -> State:
    """Rest, with the sources at their values of t = 0."""
    n, n_j, n_q = system.n, len(system.junctions.ic), len(sources.node)
    n_r = len(system.resistors.g)
    now = np.array([np.interp(0.0, sources.time[a:b], sources.amp[a:b])
                    for a, b in zip(sources.first[:-1].tolist(), sources.first[1:].tolist(), strict=True)], np.float64)
    into = np.zeros(n + 1)
    np.add.at(into, sources.node, now)
    high = np.full(n_j, np.pi)
    return State(
        x=np.zeros(n + 1), into=into, f=np.zeros((ROWS, n_j)), shunt=np.zeros((SHUNT_ROWS, n_j)),
        res=np.zeros((SHUNT_ROWS, n_r)), h=np.zeros(n_j), h_shunt=np.zeros(n_j), h_res=np.zeros(n_r), high=high,
        low=high - 2 * np.pi, now=now, change=np.zeros(n_q), energy=np.zeros(n_q),
        point=sources.first[:-1].copy(), open=np.zeros(n_q + 1, np.uint32), counts=np.zeros(4, np.int64),
        past=np.zeros((probes, 2)))


def _output(net: Net, circuits: Sequence[Circuit], record: Sequence[str], system: System, samples: int) -> Output:
    """Room for what is recorded."""
    nodes = [system.place[net.nodes[k, name]] for k in range(len(circuits)) for name in record]
    room = ROOM + LEVELS * len(net.junctions)
    return Output(np.zeros(room, np.uint32), np.zeros(room), np.zeros(room, np.int8), np.array(nodes, np.uint32),
                  np.zeros((samples, len(nodes))), np.zeros((samples, len(nodes))))


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    """Takes the results of circuits apart."""

    net: Net
    circuits: Sequence[Circuit]
    step_s: float
    n_steps: int
    state: State
    sources: Sources
    out: Output
    crossed: list[NDArray[Any]]
    record: tuple[str, ...]
    every: int

    def read(self) -> list[Transient]:
        """One result a circuit."""
        counts = [len(c.of(Junction)) for c in self.circuits]
        starts = np.cumsum([0, *counts])
        junction, at, sign = self.crossed
        up, down = (_by_junction(junction[sign == s], at[sign == s], int(starts[-1])) for s in (1, -1))
        phase = self.state.f[self.n_steps % ROWS]
        energy = S * (self.state.energy + self.state.now * self.state.x[self.sources.node])
        times = np.arange(1, self.n_steps // self.every + 1, dtype=np.float64) * (self.every * self.step_s)
        made = []
        for k, circuit in enumerate(self.circuits):
            names = [e.name for e in circuit.of(Junction)]
            mine = range(int(starts[k]), int(starts[k + 1]))
            columns = range(k * len(self.record), (k + 1) * len(self.record))
            made.append(Transient(
                circuit, self.step_s, self.n_steps, {n: up[i] for n, i in zip(names, mine, strict=True)},
                {n: down[i] for n, i in zip(names, mine, strict=True)},
                {n: float(phase[i]) for n, i in zip(names, mine, strict=True)},
                {s.name: float(energy[q]) for q, (i, s) in enumerate(self.net.sources) if i == k and s.kind == "bias"},
                times, {n: self.out.phase[:, i] for n, i in zip(self.record, columns, strict=True)},
                {n: self.out.slope[:, i] * (S / self.step_s) for n, i in zip(self.record, columns, strict=True)}))
        return made


def _by_junction(junction: NDArray[np.uint32], at: NDArray[np.float64], n: int) -> list[NDArray[np.float64]]:
    """Times of each junction."""
    order = np.argsort(junction, kind="stable")
    return np.split(at[order], np.searchsorted(junction[order], np.arange(1, n)))
