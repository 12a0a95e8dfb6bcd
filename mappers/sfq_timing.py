"""sfq_timing: static timing of a pulse netlist: every time at which a pulse can be on a net, every limit of every cell.

Pulses start at the frame's sources and go through all cells that they fire, as if every flip-flop, storage cell and
counter gave all the pulses that it could. So what holds here holds for all data. It is repeated with all bias currents
changed by a few percent, which changes the delays of different cells differently. Pulses of the first frame's
preparation are followed by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.cells import CellType
from hwsdk.mappers import sfq_timing_kernels as kernels
from hwsdk.programs.sfq import PulseNetlist

Ints = NDArray[np.int64]
ORDERS = ("data before the read", "what follows after the read", "data after the clock", "data before the next clock")
MOST_FAULTS = 1000
FOREVER = 1 << 50
"""fs; longer than anything that happens once."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Two pulses too close, or in the wrong order: the second comes ``-slack_fs`` too soon, at time_fs of its frame."""

    cell: str
    check: str
    time_fs: int
    slack_fs: int
    bias: float

    def __str__(self) -> str:
        return (f"{self.cell}: {self.check} at {self.time_fs / 1e3:,.3f} ps fails by {-self.slack_fs / 1e3:.3f} ps "
                f"with bias x {self.bias:g}")


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """once: of what happens before the first frame. slack_fs: check -> its least slack, by the cells' type and pins.
    worst: check -> the cell that has it. faults: what fails, at most MOST_FAULTS of them. last_fs: when the last pulse
    of all comes. arrival_fs (N): last pulse of every net, -1 where there is none.
    """

    bias: float
    once: bool
    slack_fs: Mapping[str, int]
    worst: Mapping[str, str]
    faults: tuple[Fault, ...]
    last_fs: int
    arrival_fs: Ints

    @property
    def least_fs(self) -> int:
        """The least slack of all."""
        return min(self.slack_fs.values(), default=FOREVER)


def frame_timing(program: PulseNetlist, bias: float = 1.0, slow: bool = True) -> Timing:
    """Of a frame that comes again and again. slow: somas fire as late as they can, or else as early.

    Raises:
        InternalError: pulses run in a ring.
    """
    a, s = program.arrays, program.schedule
    cells = np.concatenate([a.frame_source, a.input_source])
    times = np.concatenate([a.frame_offset_fs, np.full(len(a.input_source), s.input_offset_fs, np.int64)])
    return _timing(program, cells.astype(np.int64), times, s.frame_fs, bias, slow)


def init_timing(program: PulseNetlist, bias: float = 1.0) -> Timing:
    """Of what happens once, from the pulses of the init sources on."""
    a = program.arrays
    return _timing(program, a.init_source.astype(np.int64), np.zeros(len(a.init_source), np.int64), FOREVER, bias, True)


def _timing(program: PulseNetlist, sources: Ints, times: Ints, period: int, bias: float, slow: bool) -> Timing:
    """One propagation."""
    types, nets = _types(program.types, bias, slow), program.n_nets
    start, length, shift, tag, gap = np.zeros((5, nets), np.int64)
    room = kernels.Nets(start, length, shift, tag, gap, np.zeros(nets, bool))
    t = len(program.types)
    pairs = (t, kernels.MOST_PINS, kernels.MOST_PINS)
    found = kernels.Found(np.full(pairs, FOREVER), np.full(pairs, -1), np.full((t, 4), FOREVER), np.full((t, 4), -1),
                          np.zeros((MOST_FAULTS, 5), np.int64), np.zeros(1, np.int64))
    wires = _wires(program)
    buffer, done = kernels.propagate(sources, times, period, types, wires, room, found)
    if done < program.n_cells:
        raise InternalError(f"pulses of {program.name} run in a ring: {program.n_cells - done} cells are in it or "
                            "behind it")
    has = length > 0
    arrival = np.full(nets, -1, np.int64)
    arrival[has] = (buffer[(start + length - 1)[has]] >> 2) + shift[has]
    slack, worst = _table(program, found)
    return Timing(bias, period == FOREVER, slack, worst, tuple(_faults(program, found, bias)),
                  int(arrival.max(initial=0)), arrival)


def _types(types: tuple[CellType, ...], bias: float, slow: bool) -> kernels.Types:
    """Tables of the types. A dead cell counts as one without delay: the simulator tells that it is dead."""
    n, p = len(types), kernels.MOST_PINS
    widest = max([p, *(len(t.inputs) for t in types)])
    fires, limit = np.zeros((n, widest), np.uint8), np.zeros((n, p, p), np.int64)
    delay, clk, kind = np.zeros(n, np.int64), np.full(n, -1, np.int64), np.zeros(n, np.int64)
    for i, t in enumerate(types):
        pins = len(t.inputs)
        if t.soma is not None:
            fires[i, :pins], kind[i] = 1, kernels.SOMA
            delay[i] = t.soma.latency_fs.max() if slow else t.soma.latency_fs.min()
            continue
        if pins:
            fires[i, :pins] = np.bitwise_or.reduce(t.fires, axis=0)
            limit[i, :pins, :pins] = np.maximum(t.critical_fs.max(axis=0), t.absorb_fs)
            delay[i] = t.delay_at(bias) or 0
        kind[i], clk[i] = _kind(t)
    return kernels.Types(fires, delay, limit, clk, kind)


def _kind(t: CellType) -> tuple[int, int]:
    """(kind, clocked pin) by what the tables say."""
    if len(t.states) < 2:
        return kernels.STATELESS, -1
    if len(t.inputs) == 1:
        return kernels.TOGGLE, -1
    clk = t.inputs.index("clk")
    emptied = (t.next[:, clk] == 0).all()
    return (kernels.STORAGE if emptied else kernels.READ), clk


def _wires(program: PulseNetlist) -> kernels.Wires:
    """Pins and nets of the netlist."""
    a = program.arrays
    in_net = np.full(int(program.input_base[-1]), -1, np.int64)
    in_net[program.input_base[a.to_cell] + a.to_pin] = np.arange(program.n_nets)
    for net, side in ((in_net, "input"), (program.driven, "output")):
        if len(net) != program.n_nets or (net < 0).any():
            raise InternalError(f"{program.name} has an {side} pin without a net, or with several")
    tag_of = {"reset": kernels.AFTER, "ones": kernels.ONES}
    tags = np.array([tag_of.get(p, kernels.COUNTS) for p in program.parts], np.int64)
    return kernels.Wires(program.input_base.astype(np.int64), in_net, program.output_base.astype(np.int64),
                         program.driven, a.to_cell.astype(np.int64), a.to_pin.astype(np.int64),
                         a.cell_type.astype(np.int64), tags[a.cell_part])


def _table(program: PulseNetlist, found: kernels.Found) -> tuple[dict[str, int], dict[str, str]]:
    """Least slacks, and where, by check."""
    slack, worst = {}, {}
    for i, t in enumerate(program.types):
        checks = {f"{t.name} {a}>{b}": (found.worst[i, p, q], found.worst_cell[i, p, q])
                  for p, a in enumerate(t.inputs[: kernels.MOST_PINS])
                  for q, b in enumerate(t.inputs[: kernels.MOST_PINS])}
        checks |= {f"{t.name} {what}": (found.order[i, k], found.order_cell[i, k]) for k, what in enumerate(ORDERS)}
        for name, (least, cell) in checks.items():
            if cell >= 0:
                slack[name], worst[name] = int(least), program.cell_name(int(cell))
    return slack, worst


def _faults(program: PulseNetlist, found: kernels.Found, bias: float) -> Iterator[Fault]:
    """What fails, with names."""
    for cell, check, time, slack, _ in found.faults[: int(found.at[0])].tolist():
        pins = program.types[program.arrays.cell_type[cell]].inputs
        prev, pin = divmod(check, kernels.MOST_PINS)
        what = ORDERS[-1 - check] if check < 0 else f"{pins[prev]} before {pins[pin]}"
        yield Fault(program.cell_name(cell), what, time, slack, bias)


def timings(program: PulseNetlist, spread: float = 0.0) -> list[Timing]:
    """Frame and init, at the nominal bias and at both ends of its spread; with somas both fast and slow."""
    somas = len(program.arrays.soma_cell) > 0
    found = []
    for bias in (1.0, 1 - spread, 1 + spread) if spread else (1.0,):
        found += [frame_timing(program, bias), *([frame_timing(program, bias, slow=False)] if somas else []),
                  init_timing(program, bias)]
    return found


def figures(found: list[Timing]) -> dict[str, int]:
    """Least slack of each check at the nominal bias, and of all checks at each corner; in fs."""
    table: dict[str, int] = {}
    for t in found:
        for name, slack in t.slack_fs.items() if t.bias == 1 else [(f"bias x {t.bias:g}", t.least_fs)]:
            key = f"slack, {name}"
            table[key] = min(slack, table.get(key, slack))
    return table


def critical_path(program: PulseNetlist, timing: Timing) -> list[str]:
    """Cells on the way to the last pulse of a frame, from its source on."""
    a, w = program.arrays, _wires(program)
    types = _types(program.types, timing.bias, True)
    net = int(timing.arrival_fs.argmax())
    path = [int(a.to_cell[net])]
    while True:
        cell = int(a.from_cell[net])
        path.append(cell)
        kind = int(w.kind[cell])
        nets = [int(n) for p, n in enumerate(w.in_net[w.in_ptr[cell] : w.in_ptr[cell + 1]]) if types.fires[kind, p]]
        if not nets:
            return [program.cell_name(c) for c in reversed(path)]
        net = max(nets, key=lambda n: int(timing.arrival_fs[n]))
