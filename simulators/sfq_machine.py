"""A PulseNetlist as flat arrays for the kernels, under the conditions of a run; what does not hold together is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, ProgramError
from hwsdk.ir.cells import CellType
from hwsdk.ir.data import Stimulus
from hwsdk.ir.soma import losses
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.programs.sfq_form import MOST_FS, require_form
from hwsdk.simulators import kernels_sfq_parts as parts

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
POLICIES = ("record", "drop", "raise")
"""By their numbers in kernels_sfq_parts."""
LIBRARY_KELVIN = 4.2
"""Temperature at which the library's jitter is known."""
LONGEST_BITS = 54
"""Times have at most so many bits, as Run.last holds a state beside them."""
MOST = {"bias": 1e6, "temperature_k": 1e6, "unknown_sigma_fs": 1e6, "spread": 1.0, "threshold_spread": 1.0,
        "seed": 2**63 - 1}
"""The largest values of conditions; beyond these, times would not be numbers of the kernels."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a netlist runs.

    Args:
        bias: factor on all bias currents. group_bias: further factors by bias group. soma_bias: by layer, on the bias
            currents of its somas alone.
        jitter: thermal jitter of every delay, N(0, sigma) with the sigma of the cell's type, in proportion to the root
            of the temperature. unknown_sigma_fs: that of types whose sigma is not known; see ``unknown_jitter``.
        temperature_k: kelvin.
        spread: relative standard deviation of each cell's delay from one made circuit to the next.
        threshold_spread: the same of each soma's ic_eff.
        seed: of jitter and spread.
        policy: what happens with pulses that break a critical time: "record" them, "drop" them too, or "raise".
    """

    bias: float = 1.0
    group_bias: Mapping[str, float] = field(default_factory=dict)
    soma_bias: Mapping[str, float] = field(default_factory=dict)
    jitter: bool = False
    unknown_sigma_fs: float = 0.0
    temperature_k: float = LIBRARY_KELVIN
    spread: float = 0.0
    threshold_spread: float = 0.0
    seed: int = 0
    policy: str = "record"

    def __post_init__(self) -> None:
        values = {n: getattr(self, n) for n in MOST}
        values |= {f"bias of {n}": k for n, k in (*self.group_bias.items(), *self.soma_bias.items())}
        for name, value in values.items():
            if not 0 <= value <= MOST.get(name, MOST["bias"]):
                raise DataError(f"{name} is {value}", code="BAD_CONDITIONS",
                                fix=f"give 0 to {MOST.get(name, MOST['bias']):g}")
        if self.policy not in POLICIES:
            raise DataError(f"policy {self.policy!r}", code="BAD_CONDITIONS", fix=f"choose {', '.join(POLICIES)}")


@dataclass(frozen=True, eq=False)
class Machine:
    """A program and its wires. labels: what each entry of Run.counts counts. net_of: of each SRC cell, by cell, the net
    that it drives.
    """

    program: PulseNetlist
    wires: parts.Wires
    labels: tuple[str, ...]

    @property
    def longest_fs(self) -> int:
        """Times must be less."""
        return 1 << min(62 - self.wires.bits, LONGEST_BITS)

    @cached_property
    def group_of_soma(self) -> NDArray[np.int16]:
        """(M)."""
        return self.program.arrays.cell_group[self.program.arrays.soma_cell]

    @cached_property
    def net_into(self) -> Ints:
        """(input pins): the net that leads to each."""
        a, net = self.program.arrays, np.zeros(int(self.program.input_base[-1]), np.int64)
        net[self.program.input_base[a.to_cell] + a.to_pin] = np.arange(len(a.to_cell))
        return net

    @cached_property
    def neuron_of(self) -> NDArray[np.int32]:
        """(N): the neuron whose spike net each is, or -1."""
        found = np.full(self.program.n_nets, -1, np.int32)
        found[self.program.arrays.spike_net] = np.arange(len(self.program.arrays.spike_net))
        return found

    @cached_property
    def loops(self) -> tuple[Ints, Ints]:
        """Neurons of loop layers, and their somas.

        Raises:
            ProgramError: a spike net does not come from a soma over cells with one input.
        """
        own = [p for x in self.program.layers if x.style == "loop" for p in range(*self.program.neurons(x.name).indices(
            len(self.program.arrays.spike_net)))]
        return np.array(own, np.int64), np.array([self._soma_of(k) for k in own], np.int64)

    def _soma_of(self, neuron: int) -> int:
        """Back from a neuron's spike net."""
        a, w = self.program.arrays, self.wires
        cell = int(a.from_cell[a.spike_net[neuron]])
        for _ in range(len(w.cell)):
            if w.cell[cell, parts.SOMA] >= 0:
                return int(w.cell[cell, parts.SOMA])
            if w.kind[w.cell[cell, parts.TYPE], parts.INPUTS] != 1:
                break
            cell = int(a.from_cell[self.net_into[w.cell[cell, parts.PIN]]])
        raise ProgramError(f"neuron {neuron} has no soma", where=self.program.name, code="INCONSISTENT",
                           fix="compile again")

    def watching(self, nets: NDArray[np.integer]) -> parts.Wires:
        """The wires, with these nets' pulses logged."""
        net = self.wires.net.copy()
        net[nets, 1] |= 1
        return self.wires._replace(net=net)

    def keys(self, time_fs: Ints, cell: NDArray[np.int32]) -> Ints:
        """Of pulses that SRC cells give, sorted, with the end's."""
        p = self.program
        net = p.driven[p.output_base[cell]]
        return np.append(np.sort(time_fs << self.wires.bits | net), parts.NONE)


def build(program: PulseNetlist) -> Machine:
    """The machine of a program.

    Raises:
        ProgramError: the program does not hold together.
    """
    require_form(program)
    a, types = program.arrays, program.types
    net = np.stack([a.to_cell, a.to_pin.astype(np.int32) << 1], 1).astype(np.int32)
    soma = np.full(program.n_cells, -1, np.int32)
    soma[a.soma_cell] = np.arange(len(a.soma_cell))
    cell = np.stack([a.cell_type.astype(np.int32), program.input_base[:-1], program.output_base[:-1], soma], 1)
    kind, tables = _tables(types)
    bits = max(program.n_nets - 1, 1).bit_length()
    wires = parts.Wires(bits, net, cell.astype(np.int32), program.driven.astype(np.int32), kind, *tables,
                        *_somas(program))
    labels = tuple(t.event(s, i) for t in types for s in range(_states(t)) for i in range(len(t.inputs)))
    return Machine(program, wires, labels)


def _states(kind: CellType) -> int:
    """States that pulses are counted by."""
    return max(len(kind.states), 1)


def _tables(types: tuple[CellType, ...]) -> tuple[NDArray[np.int32], tuple[NDArray[Any], ...]]:
    """Wires.kind, and (next, fires, critical, absorb), type after type."""
    kind, at = np.zeros((len(types), 5), np.int32), [0, 0, 0]
    for k, t in enumerate(types):
        n, table = len(t.inputs), t.soma is None
        window = max(int(t.critical_fs.max(initial=0)), int(t.absorb_fs.max(initial=0))) if table else 0
        kind[k] = n, at[0], at[1], at[2], window
        at[0] += _states(t) * n
        at[1] += t.critical_fs.size if table else 0
        at[2] += t.absorb_fs.size if table else 0
    rows = [_row(t) for t in types]
    columns = [np.concatenate([np.zeros(0, dtype), *(r[i] for r in rows)]).astype(dtype)
               for i, dtype in enumerate((np.int8, np.uint8, np.int32, np.int32))]
    return kind, tuple(columns)


def _row(t: CellType) -> tuple[NDArray[Any], ...]:
    """Flat tables of one type; a soma has places in next and fires only."""
    if t.soma is not None:
        idle = np.zeros(_states(t) * len(t.inputs), np.int8)
        return idle, idle, idle[:0], idle[:0]
    return t.next.ravel(), t.fires.ravel(), t.critical_fs.ravel(), t.absorb_fs.ravel()


def _somas(program: PulseNetlist) -> tuple[NDArray[Any], ...]:
    """Wires from branch_ptr on."""
    a, somas = program.arrays, [t.soma for t in program.types]
    size = np.array([0 if s is None else len(s.overdrive_a) for s in somas], np.int64)
    end = np.cumsum(size)
    kind = a.cell_type[a.soma_cell]
    late_ptr = np.stack([(end - size)[kind], end[kind]], 1)
    loss = np.zeros(len(a.branch_a))
    for m, (lo, hi) in enumerate(pairwise(a.branch_ptr.tolist())):
        if (model := somas[kind[m]]) is not None:
            loss[lo:hi] = losses(model, a.branch_a[lo:hi], a.branch_tau_fs[lo:hi])
    fold = np.array([0.0 if s is None else s.critical_fs for s in somas])[kind]
    rows = np.array([_states(t) for t in program.types], np.int32)[kind]
    over = np.concatenate([np.zeros(0), *(s.overdrive_a for s in somas if s is not None)])
    late = np.concatenate([np.zeros(0), *(s.latency_fs for s in somas if s is not None)])
    return a.branch_ptr, a.branch_a, a.branch_tau_fs, loss, fold, late_ptr, over, late, rows


def unknown_jitter(program: PulseNetlist, conditions: Conditions) -> tuple[str, ...]:
    """Types whose jitter nobody knows; they are taken to have ``conditions.unknown_sigma_fs``."""
    return tuple(t.name for t in program.types if conditions.jitter and t.inputs and t.outputs and np.isnan(t.sigma_fs))


def bias_of(program: PulseNetlist, conditions: Conditions) -> Floats:
    """(groups): the factor on the bias currents of each.

    Raises:
        DataError: there is no such group or layer.
    """
    for given, known, what in ((conditions.group_bias, program.groups, "bias group"),
                               (conditions.soma_bias, [x.name for x in program.layers], "layer")):
        if unknown := sorted(set(given) - set(known)):
            raise DataError(f"no {what} {unknown[0]!r}", code="BAD_CONDITIONS",
                            fix=f"there are {', '.join(known)}")
    return np.array([conditions.bias * conditions.group_bias.get(g, 1.0) for g in program.groups])


def params(machine: Machine, conditions: Conditions, strict: bool = False) -> parts.Params:
    """The conditions as the kernels take them; spread is drawn here."""
    program, c = machine.program, conditions
    a, k = program.arrays, bias_of(program, c)
    table = np.stack([_delays(t, k) for t in program.types]) if program.types else np.zeros((0, len(k)), np.int32)
    delay = table[a.cell_type, a.cell_group]
    slow = np.ones(len(a.soma_cell))
    if c.spread > 0:
        factor = np.maximum(1 + c.spread * np.random.default_rng([c.seed, 1]).standard_normal(len(delay)), 0)
        delay = np.where(delay >= 0, np.rint(np.minimum(delay * factor, MOST_FS)), delay).astype(np.int32)
        slow = factor[a.soma_cell]
    sigma = np.array([_sigma(t, c) for t in program.types], np.float64)
    theta, runs_away = _thetas(machine, c, k)
    delay[a.soma_cell[runs_away]] = -1
    return parts.Params(delay, sigma, bool((sigma > 0).any()), theta, slow, POLICIES.index(c.policy), strict)


def _delays(t: CellType, k: Floats) -> NDArray[np.int32]:
    """(groups): CellType.delay_at, -1 where dead; 0 for a live soma, whose latency comes from its model."""
    if not len(t.bias_k):
        return np.full(len(k), -1 if t.soma is None else 0, np.int32)
    fs = np.rint(np.interp(k, t.bias_k, t.delay_fs)) if t.soma is None else np.zeros(len(k))
    return np.where((t.bias_k[0] <= k) & (k <= t.bias_k[-1]), fs, -1).astype(np.int32)


def _sigma(t: CellType, c: Conditions) -> float:
    """Fs."""
    known = c.unknown_sigma_fs if np.isnan(t.sigma_fs) else t.sigma_fs
    return float(known * np.sqrt(c.temperature_k / LIBRARY_KELVIN)) if c.jitter and t.outputs else 0.0


def _thetas(machine: Machine, c: Conditions, k: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """(M): thresholds in A; whether the bias alone would make the junction switch, again and again."""
    program, group = machine.program, machine.group_of_soma
    a, kind = program.arrays, program.arrays.cell_type[program.arrays.soma_cell]
    ic, alpha, load, relief = (np.array([np.nan if t.soma is None else getattr(t.soma, f) for t in program.types])[kind]
                               for f in ("ic_eff_a", "alpha", "load", "relief"))
    own = np.array([c.soma_bias.get(g, 1.0) for g in program.groups])
    if c.threshold_spread > 0:
        ic = ic * (1 + c.threshold_spread * np.random.default_rng([c.seed, 2]).standard_normal(len(ic)))
    bias = a.soma_bias_a * k[group] * own[group]
    bare, soma = ic - alpha * bias, np.repeat(np.arange(len(kind)), np.diff(a.branch_ptr))
    return bare + (load - relief * bias) * np.bincount(soma, np.maximum(a.branch_a, 0), len(kind)), bare <= 0


def noise_key(conditions: Conditions, sample: int) -> np.uint64:
    """Of the stream of jitter of one sample."""
    return np.uint64(np.random.SeedSequence([conditions.seed, 3, sample]).generate_state(1, np.uint64)[0])


def sources(machine: Machine, stimulus: Stimulus, frames: int) -> Ints:
    """Keys of all pulses from outside, of the first sample, over some frames; see Schedule.

    Raises:
        DataError: TOO_MANY_STEPS, for what a key holds.
    """
    p, s = machine.program, machine.program.schedule
    latest = s.init_fs + s.start_fs + (frames + 1) * s.frame_fs + s.input_offset_fs
    if latest + int(p.arrays.frame_offset_fs.max(initial=0)) >= machine.longest_fs:
        raise DataError(f"{frames:,} frames of {s.frame_fs:,} fs, times must be less than {machine.longest_fs:,} fs",
                        where=p.name, code="TOO_MANY_STEPS", fix="run fewer steps")
    a, begin = p.arrays, s.start_fs + s.frame_fs * np.arange(frames, dtype=np.int64)
    times, cells = [np.full(len(a.init_source), s.init_fs, np.int64)], [a.init_source]
    times.append((begin[:, None] + a.frame_offset_fs).ravel())
    cells.append(np.tile(a.frame_source, frames))
    first = 0
    for port in p.inputs:
        events = stimulus.inputs[port.name]
        own = slice(*np.searchsorted(events.sample, [0, 1]))
        step = events.step[own]
        kept = step < frames
        times.append(begin[step[kept]] + s.input_offset_fs)
        cells.append(a.input_source[first + events.index[own][kept]])
        first += port.n
    return machine.keys(np.concatenate(times), np.concatenate(cells))
