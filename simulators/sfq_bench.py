"""A cell's circuit on a bench: pulses go in over transmission lines, and come out over a line into a resistor.

Times of pulses are those at which a junction's phase passes pi: at an input that of the cell's first junction, at an
output that of the first junction of the line behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.cells import CellType
from hwsdk.ir.circuit import Circuit
from hwsdk.simulators.rcsj import STEP_S, Transient, solve_many
from hwsdk.simulators.sfq_circuits import PS, CellCircuit, circuit_of, driver, pulse_points, sink

CELL, LINES, DRIVERS = "cell", "lines", "drivers"
"""Bias groups of a bench."""
START_S, GAP_S, TAIL_S = 20 * PS, 30 * PS, 30 * PS
"""First pulse of a run, pulses that do not disturb each other, and the time after the last."""
ABOUT_S = 2 * PS
"""An output that comes so much before its input's own time still belongs to it (input lines differ by less)."""


@dataclass(frozen=True, slots=True)
class Event:
    """A pulse that is sent to an input pin at ``at_s``; it arrives some ps later."""

    pin: str
    at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """arrivals: input pin -> times in s at its first junction. outputs: output pin -> times. returned: pulses that went
    back out of inputs, or into outputs. energy_j: what the cell's own bias sources gave.
    """

    arrivals: Mapping[str, NDArray[np.float64]]
    outputs: Mapping[str, NDArray[np.float64]]
    returned: int
    energy_j: float

    def order(self) -> list[tuple[float, str]]:
        """(time, pin) of all arrivals in order."""
        return sorted((float(t), pin) for pin, times in self.arrivals.items() for t in times)


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A cell with lines at its pins. entries, exits: pin -> junction at which its pulses are timed."""

    cell: CellCircuit
    circuit: Circuit
    entries: Mapping[str, str]
    exits: Mapping[str, str]

    def run(self, runs: Sequence[Sequence[Event]], bias: Sequence[Mapping[str, float]] | None = None, *,
            step_s: float = STEP_S, temperature_k: float | None = None, seed: int = 0) -> list[Response]:
        """Each run on its own copy of the circuit; bias: factors by group, one mapping a run."""
        stop = max((e.at_s for run in runs for e in run), default=0.0) + TAIL_S + START_S
        inputs = [{f"drive_{pin}.pulse": pulse_points([e.at_s for e in run if e.pin == pin])
                   for pin in self.cell.inputs} for run in runs]
        made = solve_many([self.circuit] * len(runs), stop, step_s=step_s, inputs=inputs, temperature_k=temperature_k,
                          seed=seed, bias=None if bias is None else list(bias))
        return [self._response(m) for m in made]

    def _response(self, done: Transient) -> Response:
        back = sum(len(done.returns[j]) for j in (*self.entries.values(), *self.exits.values()))
        return Response({pin: done.crossings[j] for pin, j in self.entries.items()},
                        {pin: done.crossings[j] for pin, j in self.exits.items()}, back, done.energy_of(CELL))


def bench_of(cell: CellCircuit) -> Bench:
    """The bench of a cell. Its lines are junction transmission lines, but for a transmitter a receiver, and the other
    way round.
    """
    line = circuit_of("JTL")
    feeds = {p: circuit_of("PTLTX") if p in cell.passive else line for p in cell.inputs}
    loads = {p: circuit_of("PTLRX") if p in cell.passive else line for p in cell.outputs}
    parts = [cell.circuit.placed("cell", {n: f"pin_{p}" for p, n in {**cell.inputs, **cell.outputs}.items()}, CELL)]
    for pin in cell.inputs:
        parts += [driver().circuit.placed(f"drive_{pin}", {"q": f"drive_{pin}"}, DRIVERS),
                  feeds[pin].circuit.placed(f"line_{pin}", {"a": f"drive_{pin}", "q": f"pin_{pin}"}, LINES)]
    for pin in cell.outputs:
        parts += [loads[pin].circuit.placed(f"load_{pin}", {"a": f"pin_{pin}", "q": f"end_{pin}"}, LINES),
                  sink().circuit.placed(f"sink_{pin}", {"a": f"end_{pin}"}, LINES)]
    return Bench(cell, Circuit(cell.name, ()).joined(parts), {p: f"cell.{j}" for p, j in cell.first.items()},
                 {p: f"load_{p}.{loads[p].first['a']}" for p in cell.outputs})


def spaced(pins: Sequence[str], gap_s: float = GAP_S, start_s: float = START_S) -> list[Event]:
    """Pulses one after the other."""
    return [Event(pin, start_s + k * gap_s) for k, pin in enumerate(pins)]


def walk(kind: CellType, pins: Sequence[str], state: int = 0) -> list[tuple[int, frozenset[str]]]:
    """What the table says: of each pulse, the state in which it comes and the outputs that fire."""
    made = []
    for pin in pins:
        i = kind.inputs.index(pin)
        fired = int(kind.fires[state, i])
        made.append((state, frozenset(q for o, q in enumerate(kind.outputs) if fired >> o & 1)))
        state = int(kind.next[state, i])
    return made


def wrong(kind: CellType, events: Sequence[Event], got: Response) -> list[str]:
    """Where a response differs from the table, in words; empty if nowhere. Pulses must be well apart."""
    arrived = got.order()
    pins = [e.pin for e in sorted(events, key=lambda e: e.at_s)]
    if [pin for _, pin in arrived] != pins or got.returned:
        return [f"sent {' '.join(pins)}, arrived {' '.join(pin for _, pin in arrived)}, returned {got.returned}"]
    ends = [t - ABOUT_S for t, _ in arrived[1:]] + [np.inf]
    early = [f"{q}: pulse at {t / PS:.1f} ps before any input" for q, times in got.outputs.items() for t in times
             if not arrived or t < arrived[0][0] - ABOUT_S]
    found = list(early)
    for (at, pin), end, (state, fires) in zip(arrived, ends, walk(kind, pins), strict=True):
        for q, times in got.outputs.items():
            n = int(((times >= at - ABOUT_S) & (times < end)).sum())
            if n != (q in fires):
                found.append(f"{pin} in state {kind.states[state]}: {n} pulses at {q} instead of {int(q in fires)}")
    return found


def tour(kind: CellType) -> list[str]:
    """Pins in an order that, from state 0, goes through every pair of inputs from every state."""
    n = len(kind.inputs)
    left = {(s, i, j) for s in reachable(kind) for i in range(n) for j in range(n)}
    state, made = 0, list[int]()
    while left:
        path = _shortest(kind, state, left)
        for i in path:
            made.append(i)
            state = int(kind.next[state, i])
        at = 0
        for i, j in pairwise(made):
            left.discard((at, i, j))
            at = int(kind.next[at, i])
    return [kind.inputs[i] for i in made]


def reachable(kind: CellType) -> list[int]:
    """States that can be reached from state 0, in order."""
    seen, todo = {0}, [0]
    while todo:
        for s in kind.next[todo.pop()].tolist():
            if s not in seen:
                seen.add(s)
                todo.append(s)
    return sorted(seen)


def path_to(kind: CellType, goal: int) -> list[str]:
    """The shortest way from state 0 to a state."""
    paths: dict[int, list[str]] = {0: []}
    todo = [0]
    for s in todo:
        for i, t in enumerate(kind.next[s].tolist()):
            if t not in paths:
                paths[t] = [*paths[s], kind.inputs[i]]
                todo.append(t)
    return paths[goal]


def _shortest(kind: CellType, state: int, left: set[tuple[int, int, int]]) -> list[int]:
    """Inputs that lead from a state through one of what is left."""
    todo: list[tuple[int, list[int]]] = [(state, [])]
    for s, path in todo:
        for at, i, j in sorted(left):
            if at == s:
                return [*path, i, j]
        todo += [(int(kind.next[s, i]), [*path, i]) for i in range(len(kind.inputs))]
    return []
