"""A pulse netlist as one Josephson circuit: every cell as its own circuit, joined where the nets are, and run.

It shares nothing with the pulse simulator but the program and the times of the pulses from outside, so the two check
each other. The circuits are ours (hwsdk.simulators.sfq_circuits), the program's delays those of its library: where
both differ by more than the slack of a program, so do the runs. Retimed types: hwsdk.simulators.sfq_characterise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import DataError, UnsupportedError
from hwsdk.ir.cells import FS
from hwsdk.ir.circuit import Circuit
from hwsdk.ir.data import Events, Stimulus, events_from_arrays
from hwsdk.ir.soma import Branch
from hwsdk.ir.trace import Trace
from hwsdk.programs.sfq import PulseNetlist
from hwsdk.simulators.rcsj import STEP_S, Transient, solve
from hwsdk.simulators.sfq_circuits import (
    LINE_PS,
    PS,
    CellCircuit,
    cells,
    circuit_of,
    driver,
    pulse_points,
    sink,
    transmitter,
)
from hwsdk.simulators.sfq_machine import Conditions, Machine, bias_of, build, sources
from hwsdk.simulators.sfq_soma import soma_circuit
from hwsdk.simulators.sfq_trace import frame_of

PORTS = "ports"
"""Bias group of what drives the inputs and ends the pulses, which no condition scales."""
SETTLE_S = 40 * PS
"""Before the time 0 of a program: bias currents rise and settle."""
TAIL_FRAMES = 1
"""Frames that run on after the last, so that its late spikes come out."""


@dataclass(frozen=True, slots=True, eq=False)
class Expanded:
    """A program as a circuit. sources: SRC cell -> its source. receivers: of each net, the junction whose pi crossings
    are its pulses, the first of the cell that it leads to.
    """

    program: PulseNetlist
    circuit: Circuit
    sources: Mapping[int, str]
    receivers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AnalogRun:
    """What the circuit did with one sample. pulses_fs: of each net, times of its pulses in fs, ascending, on the
    program's own axis. returned: pulses that went backwards through a net, which a right circuit has none of.
    """

    trace: Trace
    pulses_fs: tuple[NDArray[np.int64], ...]
    returned: int
    transient: Transient

    @cached_property
    def n_pulses(self) -> int:
        """On all nets."""
        return sum(map(len, self.pulses_fs))


def expand(program: PulseNetlist, *, soma_bias: Mapping[str, float] | None = None,
           line_ps: float = LINE_PS) -> Expanded:
    """The circuit of a program, quiet: its sources send nothing. soma_bias: by layer, on the somas' bias alone.
    line_ps: delay of every passive line, which stands behind its transmitter.

    Raises:
        UnsupportedError: NO_CIRCUIT: cells without a circuit of ours.
    """
    unknown = [n for n, count in program.type_counts.items() if count and _unknown(program, n)]
    if unknown:
        raise UnsupportedError(f"no circuits of cells {', '.join(unknown)}", where=program.name, code="NO_CIRCUIT",
                               fix=f"cells with one: {', '.join(cells())}")
    a = program.arrays
    own = [_circuit(program, c, soma_bias or {}, line_ps) for c in range(program.n_cells)]
    joined: list[dict[str, str]] = [{} for _ in own]
    receivers = []
    for net, (f, o, t, i) in enumerate(zip(a.from_cell, a.from_pin, a.to_cell, a.to_pin, strict=True)):
        out, pin = program.types[a.cell_type[f]].outputs[o], program.types[a.cell_type[t]].inputs[i]
        joined[f][own[f].outputs[out]] = joined[t][own[t].inputs[pin]] = f"net{net}"
        receivers.append(f"{program.cell_name(t)}.{own[t].first[pin]}")
    parts = [cell.circuit.placed(program.cell_name(c), joined[c], _group(program, c)) for c, cell in enumerate(own)]
    sent = {c: f"{program.cell_name(c)}.pulse" for c in range(program.n_cells)
            if not program.types[a.cell_type[c]].inputs}
    return Expanded(program, Circuit(program.name, ()).joined(parts), sent, tuple(receivers))


def run_analog(program: PulseNetlist, stimulus: Stimulus, *, sample: int = 0, conditions: Conditions | None = None,
               frames: int | None = None, step_s: float = STEP_S, line_ps: float = LINE_PS) -> AnalogRun:
    """Run one sample through the circuit of a program.

    Args:
        conditions: bias, group_bias, soma_bias; with jitter also its temperature and seed. What else conditions say is
            refused, as a circuit has no such thing.
        frames: default the stimulus, plus the largest lag of a layer.
        line_ps: delay of every passive line (wires="ptl").

    Raises:
        UnsupportedError: see ``expand``. DataError: BAD_CONDITIONS; NO_SUCH_SAMPLE.
    """
    c = conditions or Conditions()
    if c.spread or c.threshold_spread or c.policy != "record":
        raise DataError("spread and policies are of the pulse simulator", code="BAD_CONDITIONS",
                        fix="leave them out for the analog run")
    total = stimulus.n_steps + max((x.lag for x in program.layers), default=0) if frames is None else frames
    machine = build(program)
    made = expand(program, soma_bias=c.soma_bias, line_ps=line_ps)
    sent = _sent(machine, _one(stimulus, sample), total)
    inputs = {name: pulse_points([t * FS + SETTLE_S - lead_s() for t in sent.get(cell, ())])
              for cell, name in made.sources.items()}
    scale = dict(zip(program.groups, bias_of(program, c).tolist(), strict=True)) | {PORTS: 1.0}
    used = {group for group in scale if group in _groups(program)}
    end = program.schedule.start_fs + (total + TAIL_FRAMES) * program.schedule.frame_fs
    done = solve(made.circuit, end * FS + SETTLE_S, step_s=step_s, inputs=inputs, bias={g: scale[g] for g in used},
                 temperature_k=c.temperature_k if c.jitter else None, seed=c.seed)
    pulses = tuple(np.rint((done.crossings[j] - SETTLE_S) / FS).astype(np.int64) for j in made.receivers)
    returned = sum(len(done.returns[j]) for j in set(made.receivers))
    return AnalogRun(_trace(program, pulses, total), pulses, returned, done)


def run_all_analog(program: PulseNetlist, stimulus: Stimulus, *, conditions: Conditions | None = None,
                   frames: int | None = None, step_s: float = STEP_S) -> Trace:
    """``run_analog`` of every sample, as one trace."""
    traces = [run_analog(program, stimulus, sample=k, conditions=conditions, frames=frames, step_s=step_s).trace
              for k in range(stimulus.n_samples)]
    spikes = {name: _joined([t.spikes[name] for t in traces]) for name in traces[0].spikes}
    return replace(traces[0], n_samples=len(traces), spikes=spikes)


def lead_s() -> float:
    """s from the peak of a driver's current to its pulse at the next cell's first junction."""
    parts = [driver([SETTLE_S]).circuit.placed("drive", {"q": "net"}), sink().circuit.placed("sink", {"a": "net"})]
    done = solve(Circuit("driver", ()).joined(parts), SETTLE_S * 2)
    return float(done.crossings["sink.j1"][0]) - SETTLE_S


def _unknown(program: PulseNetlist, name: str) -> bool:
    """True for a type without a circuit."""
    kind = next(t for t in program.types if t.name == name)
    return kind.soma is None and bool(kind.inputs) and bool(kind.outputs) and name not in cells()


def _circuit(program: PulseNetlist, cell: int, soma_bias: Mapping[str, float], line_ps: float) -> CellCircuit:
    """The circuit of one cell."""
    kind = program.types[program.arrays.cell_type[cell]]
    if kind.soma is not None:
        return _soma(program, cell, soma_bias)
    if not kind.inputs:
        return driver()
    if kind.name == "PTLTX":
        return transmitter(line_ps)
    return circuit_of(kind.name) if kind.outputs else sink()


def _soma(program: PulseNetlist, cell: int, soma_bias: Mapping[str, float]) -> CellCircuit:
    """A soma with its own branches, its pins named as its type has them."""
    a, kind = program.arrays, program.types[program.arrays.cell_type[cell]]
    number = int(np.flatnonzero(a.soma_cell == cell)[0])
    own = slice(a.branch_ptr[number], a.branch_ptr[number + 1])
    branches = [Branch(*map(float, row)) for row in zip(a.branch_l_h[own], a.branch_r_ohm[own], a.branch_k[own],
                                                        strict=True)]
    factor = soma_bias.get(program.groups[a.cell_group[cell]], 1.0)
    made = soma_circuit(branches, float(a.soma_bias_a[number]) * factor)
    pins = dict(zip(kind.inputs, made.inputs, strict=True))
    return replace(made, inputs={p: made.inputs[q] for p, q in pins.items()},
                   first={p: made.first[q] for p, q in pins.items()})


def _group(program: PulseNetlist, cell: int) -> str:
    """Bias group of a cell."""
    kind = program.types[program.arrays.cell_type[cell]]
    return program.groups[program.arrays.cell_group[cell]] if kind.inputs and kind.outputs else PORTS


def _groups(program: PulseNetlist) -> set[str]:
    """Groups that have a cell with bias."""
    return {_group(program, c) for c in range(program.n_cells)}


def _one(stimulus: Stimulus, sample: int) -> Stimulus:
    """One sample, as the first of its own stimulus."""
    if not stimulus.inputs:
        return replace(stimulus, labels=None, grid=(1, stimulus.n_steps))
    return Stimulus({n: e.one(sample) for n, e in stimulus.inputs.items()})


def _sent(machine: Machine, stimulus: Stimulus, frames: int) -> dict[int, list[int]]:
    """SRC cell -> fs of its pulses."""
    keys = sources(machine, stimulus, frames)[:-1]
    sent: dict[int, list[int]] = {}
    for time, net in zip((keys >> machine.wires.bits).tolist(), (keys & ((1 << machine.wires.bits) - 1)).tolist(),
                         strict=True):
        sent.setdefault(int(machine.program.arrays.from_cell[net]), []).append(time)
    return sent


def _joined(events: Sequence[Events]) -> Events:
    """Events of one sample each as those of several."""
    value = np.concatenate([e.values() for e in events])
    return Events(events[0].shape, len(events), events[0].n_steps,
                  np.repeat(np.arange(len(events), dtype=np.int32), [len(e) for e in events]),
                  np.concatenate([e.step for e in events]), np.concatenate([e.index for e in events]),
                  None if (value == 1).all() else value)


def _trace(program: PulseNetlist, pulses: Sequence[NDArray[np.int64]], frames: int) -> Trace:
    """Spikes by the frame whose read time is nearest."""
    own = [pulses[n] for n in program.arrays.spike_net.tolist()]
    neuron = np.repeat(np.arange(len(own), dtype=np.int32), [len(t) for t in own])
    frame = frame_of(program, neuron, np.concatenate([np.zeros(0, np.int64), *own]))
    inside = (frame >= 0) & (frame < frames)
    spikes: dict[str, Events] = {}
    for layer in program.layers:
        part = program.neurons(layer.name)
        here = inside & (neuron >= part.start) & (neuron < part.stop)
        spikes[layer.name] = events_from_arrays(layer.shape, np.zeros(int(here.sum())), frame[here],
                                                neuron[here] - part.start, n_samples=1, n_steps=frames)
    spikes |= {n: spikes[x[0]] for n, x in program.outputs.items() if len(x) == 1}
    return Trace(1, frames, spikes, lag=program.lag)
