"""What a cell's circuit does, measured: is its table right, delays, critical times, energies, margins, thermal jitter.

All from transients of hwsdk.simulators.rcsj on the bench of hwsdk.simulators.sfq_bench, whose times are meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ModelError
from hwsdk.ir.cells import CellType
from hwsdk.simulators.sfq_bench import (
    ABOUT_S,
    CELL,
    GAP_S,
    LINES,
    START_S,
    Bench,
    Event,
    Response,
    bench_of,
    path_to,
    reachable,
    spaced,
    tour,
    walk,
    wrong,
)
from hwsdk.simulators.sfq_circuits import PS, CellCircuit

KELVIN = 4.2
BIAS_K = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)
"""Factors on all bias currents for the table of delays."""
MARGIN_STEP, MARGIN_MOST = 0.05, 0.5
"""Bias margins are found on this grid, up to this."""
SEPARATIONS_PS = np.arange(1.0, 20.01, 0.5)
"""Between two pulses, to find critical times; then in steps of FINE_PS."""
FINE_PS = 0.1
SAME_PIN_PS = 4.0
"""Two pulses to one pin are not sent closer, as their triangles of current would overlap."""
TOURS = 24
"""Runs for the jitter."""
Key = tuple[str, str]
"""(state, input pin)."""


@dataclass(frozen=True, slots=True, eq=False)
class CellReport:
    """Measurements of a circuit. wrong: where it differs from its table at nominal bias.

    delay_ps: factor on all biases -> mean over all that fires, nan where the cell does not work; worst_ps: of the
    slowest. energy_j: (state, input) -> J from the cell's bias sources. critical_ps: (state, prev, next) -> the least
    separation from which on all is right, 0 where none is wrong from 1 ps on. absorb_ps: pair of inputs -> up to which
    separation two pulses give one. margin: (low, high) factor on the cell's bias; margin_all: on that of its
    neighbours too. sigma_fs: thermal jitter of the delay at 4.2 K.
    """

    cell: str
    junctions: int
    bias_a: float
    wrong: tuple[str, ...]
    delay_ps: Mapping[float, float]
    worst_ps: Mapping[float, float]
    energy_j: Mapping[Key, float]
    critical_ps: Mapping[tuple[str, str, str], float]
    absorb_ps: Mapping[Key, float]
    margin: tuple[float, float]
    margin_all: tuple[float, float]
    sigma_fs: float

    def to_text(self) -> str:
        """A stable listing."""
        lines = [f"cell {self.cell}: {self.junctions} JJ, bias {self.bias_a * 1e3:.3f} mA",
                 f"table {'; '.join(self.wrong) or 'right'}",
                 "delay ps " + " ".join(f"{k:g}:{v:.2f}" for k, v in self.delay_ps.items()),
                 "slowest ps " + " ".join(f"{k:g}:{v:.2f}" for k, v in self.worst_ps.items()),
                 f"bias margin {_percent(self.margin)}, with neighbours {_percent(self.margin_all)}",
                 f"jitter fs {self.sigma_fs:.0f}"]
        lines += [f"energy aJ {pin} in {state}: {e * 1e18:.2f}" for (state, pin), e in self.energy_j.items()]
        lines += [f"critical ps {prev} to {pin} in {state}: {t:.1f}" for (state, prev, pin), t in
                  self.critical_ps.items()]
        lines += [f"absorbs ps {a} and {b}: {t:.1f}" for (a, b), t in self.absorb_ps.items()]
        return "\n".join(lines) + "\n"


def characterise(cell: CellCircuit, kind: CellType, *, seed: int = 0) -> CellReport:
    """Measure everything. kind: the table that the circuit should follow; its own figures are not used."""
    bench = bench_of(cell)
    failed = tuple(check(bench, kind))
    delays = delay(bench, kind)
    return CellReport(
        cell.name, cell.junctions, cell.bias_a, failed, {k: float(np.mean(d)) for k, d in delays.items()},
        {k: float(np.max(d)) for k, d in delays.items()}, energy(bench, kind), critical(bench, kind),
        absorb(bench, kind), margin(bench, kind, (CELL,)), margin(bench, kind, (CELL, LINES)),
        jitter(bench, kind, seed))


def retimed(cell: CellCircuit, kind: CellType, *, seed: int = 0) -> CellType:
    """The type with the figures of our circuit instead of the library's: delays, absorb windows, energies, jitter,
    junctions and bias. Critical times stay as they are. A netlist of such types is timed as its circuit is.

    Raises:
        ModelError: NOT_THE_TABLE: the circuit does not do what the table says.
    """
    bench = bench_of(cell)
    found = {k: float(np.mean(d)) for k, d in delay(bench, kind).items() if not np.isnan(d).any()}
    if 1.0 not in found:
        raise ModelError("the circuit differs from its table", where=cell.name, code="NOT_THE_TABLE",
                         fix="another circuit, or another table")
    drawn, windows = energy(bench, kind), absorb(bench, kind)
    window = [[windows.get((a, b), 0.0) for b in kind.inputs] for a in kind.inputs]
    joule = [[drawn.get((s, pin), np.nan) for pin in kind.inputs] for s in kind.states]
    return replace(kind, bias_k=np.array(list(found)), delay_fs=_fs(list(found.values())), absorb_fs=_fs(window),
                   energy_j=np.array(joule), sigma_fs=jitter(bench, kind, seed), jj=cell.junctions, bias_a=cell.bias_a)


def _fs(ps: Sequence[float] | Sequence[Sequence[float]]) -> NDArray[np.int64]:
    """Of ps."""
    return np.rint(np.array(ps) * 1e3).astype(np.int64)


def check(bench: Bench, kind: CellType, k: float = 1.0, gap_s: float = GAP_S) -> list[str]:
    """Every pair of inputs from every state, one after the other, at k times the bias: what is wrong, in words."""
    events = spaced(tour(kind), gap_s)
    return wrong(kind, events, bench.run([events], [_bias((CELL, LINES), k)])[0])


def delay(bench: Bench, kind: CellType, factors: Sequence[float] = BIAS_K) -> dict[float, NDArray[np.float64]]:
    """Factor on all biases -> ps of every output pulse of the tour after its input; nan alone where it fails."""
    events = spaced(tour(kind))
    got = bench.run([events] * len(factors), [_bias((CELL, LINES), k) for k in factors])
    return {k: np.array(_delays(kind, events, r) if not wrong(kind, events, r) else [np.nan])
            for k, r in zip(factors, got, strict=True)}


def energy(bench: Bench, kind: CellType) -> dict[Key, float]:
    """(state, input) -> J that its bias sources give for the pulse, in any state that can be reached."""
    keys = [(s, pin) for s in reachable(kind) for pin in kind.inputs]
    runs = []
    for s, pin in keys:
        path = spaced(path_to(kind, s))
        runs += [path, [*path, Event(pin, START_S + 8 * GAP_S)]]
    got = bench.run(runs)
    names = [(kind.states[s], pin) for s, pin in keys]
    return {key: b.energy_j - a.energy_j for key, a, b in zip(names, got[::2], got[1::2], strict=True)}


def critical(bench: Bench, kind: CellType) -> dict[tuple[str, str, str], float]:
    """(state, prev, next) -> ps at the inputs from which on the pulse at ``next`` does what the table says; 0: always,
    from the first of SEPARATIONS_PS on. The lines at the pins repel pulses, so less than about 5 ps at one pin does not
    happen.
    """
    made = {}
    for s, prev, pin in product(reachable(kind), kind.inputs, kind.inputs):
        made[kind.states[s], prev, pin] = _least(bench, kind, s, (prev, pin), partial(_pair_right, kind, s))
    return made


def absorb(bench: Bench, kind: CellType) -> dict[Key, float]:
    """Two different inputs, both of which fire -> ps at the inputs up to which two pulses give one; 0: never."""
    fires = [pin for i, pin in enumerate(kind.inputs) if kind.fires[0, i] and len(kind.states) == 1]
    return {(a, b): _least(bench, kind, 0, (a, b), lambda got: sum(map(len, got.outputs.values())) != 1)
            for a in fires for b in fires if a != b}


def margin(bench: Bench, kind: CellType, groups: Sequence[str]) -> tuple[float, float]:
    """The least and the largest factor on these groups' bias, around 1, for which the tour is right; nan if none is."""
    n = round(MARGIN_MOST / MARGIN_STEP)
    factors = [round(1 + MARGIN_STEP * i, 6) for i in range(-n, n + 1)]
    events = spaced(tour(kind))
    got = bench.run([events] * len(factors), [_bias(groups, k) for k in factors])
    fails = [i for i, r in enumerate(got) if wrong(kind, events, r)]
    if n in fails:
        return np.nan, np.nan
    low = max([i for i in fails if i < n], default=-1) + 1
    return factors[low], factors[min([i for i in fails if i > n], default=2 * n + 1) - 1]


def jitter(bench: Bench, kind: CellType, seed: int = 0, temperature_k: float = KELVIN) -> float:
    """fs: standard deviation of the delay from input to output by Johnson noise, over TOURS tours; nan if it fails."""
    events = spaced(tour(kind))
    got = bench.run([events] * TOURS, temperature_k=temperature_k, seed=seed)
    if any(wrong(kind, events, r) for r in got):
        return np.nan
    delays = np.array([_delays(kind, events, r) for r in got])
    return float(np.sqrt(delays.var(axis=0, ddof=1).mean()) * 1e3)


def _bias(groups: Sequence[str], k: float) -> dict[str, float]:
    """A factor for some groups."""
    return dict.fromkeys(groups, k)


def _delays(kind: CellType, events: Sequence[Event], got: Response) -> list[float]:
    """ps from each input that fires to each output; the response must be right."""
    at = [t for t, _ in got.order()]
    steps = walk(kind, [e.pin for e in events])
    expected = {q: [t for t, (_, fires) in zip(at, steps, strict=True) if q in fires] for q in kind.outputs}
    return [float(t - t0) / PS for q, times in expected.items() for t0, t in zip(times, got.outputs[q], strict=True)]


def _probes(kind: CellType, state: int) -> list[list[str]]:
    """Pulses whose outputs, one run after the other, tell a state from every other one.

    Raises:
        ModelError: NO_PROBE: no three pulses do.
    """
    made: list[list[str]] = []
    for s in reachable(kind):
        found = next((list(pins) for n in range(4) for pins in product(kind.inputs, repeat=n)
                      if s == state or _fired(kind, pins, s) != _fired(kind, pins, state)), None)
        if found is None:
            raise ModelError(f"no pulses tell states {kind.states[state]} and {kind.states[s]} apart", where=kind.name,
                             code="NO_PROBE", fix="a table without equal states")
        made += [found] if found not in made else []
    return [p for p in made if p] or [[]]


def _fired(kind: CellType, pins: Sequence[str], state: int) -> list[frozenset[str]]:
    """What fires at each pulse."""
    return [fires for _, fires in walk(kind, pins, state)]


def _sent(kind: CellType, state: int, pair: tuple[str, str], apart_s: float) -> list[list[Event]]:
    """From state 0 to a state, then two pulses, then what tells where that led: one run a probe."""
    events = spaced(path_to(kind, state))
    at = START_S + len(events) * GAP_S
    after = walk(kind, pair, state)[1][0]
    after = int(kind.next[after, kind.inputs.index(pair[1])])
    events += [Event(pair[0], at), Event(pair[1], at + apart_s)]
    return [events + spaced(probe, GAP_S, at + 2 * GAP_S) for probe in _probes(kind, after)]


def _pair_right(kind: CellType, state: int, got: Response) -> bool:
    """The two pulses gave as many as they should together, and the state after them is right."""
    path, arrived = path_to(kind, state), got.order()
    steps, at = walk(kind, [p for _, p in arrived]), [t for t, _ in arrived]
    edges = [*at[:len(path) + 1], *at[len(path) + 2:]]
    fires = [[step[1]] for step in steps[:len(path)]]
    fires += [[steps[len(path)][1], steps[len(path) + 1][1]], *([s[1]] for s in steps[len(path) + 2:])]
    for q, times in got.outputs.items():
        counts = np.bincount(np.searchsorted(np.array(edges) - ABOUT_S, times, side="right"), minlength=len(edges) + 1)
        if counts.tolist() != [0] + [sum(q in f for f in group) for group in fires]:
            return False
    return True


def _least(bench: Bench, kind: CellType, state: int, pair: tuple[str, str], right: Callable[[Response], bool]) -> float:
    """ps between arrivals beyond which all of SEPARATIONS_PS are right, to FINE_PS; 0 if all are."""
    def failing(apart_ps: NDArray[np.float64]) -> NDArray[np.float64]:
        sent = [(t, run) for t in apart_ps for run in _sent(kind, state, pair, t * PS)]
        n, fails = len(path_to(kind, state)), []
        for (t, run), got in zip(sent, bench.run([run for _, run in sent]), strict=True):
            arrived = got.order()
            if [p for _, p in arrived] == [e.pin for e in run] and not right(got):
                fails.append((float(t), (arrived[n + 1][0] - arrived[n][0]) / PS))
        return np.array(fails).reshape(-1, 2)

    coarse = failing(SEPARATIONS_PS if pair[0] != pair[1] else SEPARATIONS_PS[SEPARATIONS_PS >= SAME_PIN_PS])
    if not len(coarse):
        return 0.0
    step = SEPARATIONS_PS[1] - SEPARATIONS_PS[0]
    fine = failing(coarse[-1, 0] + np.arange(FINE_PS, step, FINE_PS))
    return float((fine if len(fine) else coarse)[-1, 1])


def _percent(window: tuple[float, float]) -> str:
    """A window around 1 in per cent."""
    return "none" if np.isnan(window[0]) else f"{(window[0] - 1) * 100:+.0f}/{(window[1] - 1) * 100:+.0f} %"
