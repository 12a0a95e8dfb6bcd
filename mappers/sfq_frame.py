"""sfq_frame: all populations together: who is read when, how long a frame is, and how spikes get to lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.cells import CellType
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.nodes import Output, size
from hwsdk.mappers.quantize_loop import LoopDesign
from hwsdk.mappers.sfq_build import Builder, Pin, levels
from hwsdk.mappers.sfq_counter import Counters
from hwsdk.mappers.sfq_counters import Ends, close, finish, line_launches, prepare
from hwsdk.mappers.sfq_lines import lines_of
from hwsdk.mappers.sfq_loop import Loop, add_loop
from hwsdk.programs.sfq import SfqArrays
from hwsdk.targets.sfq import SfqTarget

Ints = NDArray[np.int64]
Sender = tuple[str, int]
"""(input or population, element)."""


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """A line that takes spikes. entering (K,): from its entry to the cells; hold_fs: see Stored."""

    population: str
    line: int
    entry: Pin
    hold_fs: int
    entering: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Times of a frame, in fs. least_fs: its shortest length at every corner of the bias, which ``slowest`` needs;
    nominal_fs: at the nominal bias alone. read_fs: population -> when its
    spikes come. input_fs: when inputs pulse. parts: what takes how long, by name. pads: JTLs before a loop's launch.
    """

    least_fs: int
    nominal_fs: int
    slowest: str
    read_fs: dict[str, int]
    input_fs: int
    parts: dict[str, int]
    pads: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Launches:
    """lines: counter population -> line -> time (K,) from the chain's start; pads: JTLs before each loop's launch."""

    lines: dict[str, dict[int, Ints]]
    pads: dict[str, int]


@dataclass(slots=True, eq=False)
class Assembly:
    """A netlist in the making."""

    network: Network
    target: SfqTarget
    types: Mapping[str, CellType]
    wires: str
    margin_fs: int
    spread: float
    builder: Builder = field(init=False)
    counters: dict[str, Counters] = field(default_factory=dict)
    loops: dict[str, Loop] = field(default_factory=dict)
    heard: dict[Sender, list[Listener]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.builder = Builder(self.types, self.wires, self.spread)

    def prepare(self, styles: Mapping[str, str], weights: str, max_steps: int, designs: Mapping[str, LoopDesign],
                ) -> None:
        """Lines and trees of all populations."""
        for name, cell in self.network.populations.items():
            if not isinstance(cell, DiscreteLIF):
                raise InternalError(f"{name} is no DiscreteLIF")
            if styles[name] == "counter":
                self.counters[name] = prepare(self.builder, name, cell, lines_of(self.network, name), weights,
                                              self.margin_fs, max_steps)
            else:
                sources = [self.network.sources(e.source)[0].source for e in self.network.sources(name)]
                self.loops[name] = add_loop(self.builder, self.target, name, sources, designs[name])
        made: dict[str, Counters | Loop] = {**self.counters, **self.loops}
        for name, own in made.items():
            for n, (line, stored) in enumerate(zip(own.lines, own.stored, strict=True)):
                entering = stored.entering if stored.entering is not None else self._each(stored.entry_fs)
                self.heard.setdefault((line.source, line.element), []).append(
                    Listener(name, n, stored.entry, stored.hold_fs, entering))

    def max_steps(self, steps: int) -> int | None:
        """For how many steps all counters are wide enough; None: any number."""
        return steps if any(c.plan.steps is not None for c in self.counters.values()) else None

    def _each(self, fs: float) -> Ints:
        """A nominal time at every corner: as splitters, whose delay changes most, would have it."""
        split = self.builder.times("SPLIT")
        return np.asarray(np.ceil(fs * split / split[0]), np.int64)

    @property
    def clock(self) -> Ints:
        """(K,) from the frame's start to the launch chains."""
        b = self.builder
        return b.times("SRC") + levels(len(self.counters) + len(self.loops)) * b.times("SPLIT")

    def tree_depth(self, sender: Sender) -> int:
        """Of the splitters between a sender and its lines; a population that an output reads has one more end."""
        return levels(max(len(self.heard.get(sender, ())) + self.read_out(sender[0]), 1))

    def read_out(self, name: str) -> bool:
        """Whether an output reads a population."""
        return any(isinstance(self.network.nodes[e.target], Output) for e in self.network.targets(name)
                   if name in self.network.populations)

    def frame(self) -> Frame:
        """When everything is read."""
        plan = _Launches({n: line_launches(self.builder, c) for n, c in self.counters.items()},
                         dict.fromkeys(self.loops, 0))
        for _ in range(len(self.loops) + 2):
            need = {n: self._loop_pad(n, plan) for n in self.loops}
            if all(need[n] <= plan.pads[n] for n in need):
                break
            plan.pads.update({n: max(need[n], plan.pads[n]) for n in need})
        else:
            raise InternalError("loops that cannot be launched late enough for each other")
        ends = {n: close(self.builder, c, self._late(n, c.n, plan) - self.clock[:, None])
                for n, c in self.counters.items()}
        return self._frame(plan, ends)

    def _clocked(self, x: Listener, plan: _Launches) -> Ints:
        """(K,) from the frame's start until a line's entry cells are clocked."""
        if x.population in self.counters:
            clocked = self.counters[x.population].stored[x.line].clocked
            return self.clock + plan.lines[x.population][x.line] + (0 if clocked is None else clocked)
        pads = plan.pads[x.population] * self.builder.times("JTL")
        return self.clock + pads + self._each(self.loops[x.population].stored[x.line].clocked_fs)

    def _late(self, name: str, n: int, plan: _Launches) -> Ints:
        """(K, n) from the frame's start before which no spike may leave its sender."""
        found = np.zeros((len(self.builder.corners), n), np.int64)
        for i in range(n):
            way = self.tree_depth((name, i)) * self.builder.times("SPLIT")
            for x in self.heard.get((name, i), ()):
                found[:, i] = np.maximum(found[:, i], self._clocked(x, plan) + x.hold_fs + self.margin_fs
                                         - x.entering - way)
        return found

    def _loop_pad(self, name: str, plan: _Launches) -> int:
        """JTLs before a loop's launch, so that its spikes come after the launches of all that listen."""
        loop = self.loops[name]
        late = self._late(name, len(loop.spike), plan).max(axis=1) - self.clock
        jtl = self.builder.times("JTL")
        return self.builder.jtls_for(late - np.ceil(loop.spike_fs[0] * jtl / jtl[0]).astype(np.int64))

    def _frame(self, plan: _Launches, ends: Mapping[str, Ends]) -> Frame:
        """The length of a frame, and what it consists of."""
        b, inputs = self.builder, {n: size(i.shape) for n, i in self.network.inputs.items()}
        src = b.times("SRC")
        last = {n: e.spike + self.clock[:, None] for n, e in ends.items()}
        for n, loop in self.loops.items():
            end = self.clock + plan.pads[n] * b.times("JTL") + self._each(loop.spike_fs[2])
            last[n] = np.repeat(end[:, None], len(loop.spike), 1)
        late = [self._late(n, k, plan) - src[:, None] for n, k in inputs.items()]
        input_fs = max([0, *(int(x.max(initial=0)) for x in late)])
        last |= {n: np.repeat((input_fs + src)[:, None], k, 1) for n, k in inputs.items()}
        needs = {n: np.maximum(e.frame, e.quiet + self.clock) for n, e in ends.items()}
        needs |= {n: self._each(x.spike_fs[2] - x.sum_fs + self.margin_fs) for n, x in self.loops.items()}
        for n, time in last.items():
            needs[n] = np.maximum(needs.get(n, 0 * src), self._arrivals(n, time, plan))
        slowest = max(needs, key=lambda n: int(needs[n].max()))
        read = {n: int(np.median(e.spike[0])) + int(self.clock[0]) for n, e in ends.items()}
        read |= {n: int(self.clock[0]) + plan.pads[n] * b.delay("JTL") + x.spike_fs[1] for n, x in self.loops.items()}
        least, nominal = (-(-x // 1000) * 1000 for x in (
            int(needs[slowest].max()), max(int(x[0]) for x in needs.values())))
        return Frame(least, nominal, slowest, read, input_fs, self._parts(needs), plan.pads)

    def _arrivals(self, name: str, time: Ints, plan: _Launches) -> Ints:
        """(K,) that a frame must have so that all spikes are there before the next launch."""
        need = 0 * self.clock
        for i in range(time.shape[1]):
            way = self.tree_depth((name, i)) * self.builder.times("SPLIT")
            for x in self.heard.get((name, i), ()):
                need = np.maximum(need, time[:, i] + way + x.entering + x.hold_fs + self.margin_fs
                                  - self._clocked(x, plan))
        return need

    def _parts(self, needs: Mapping[str, Ints]) -> dict[str, int]:
        """What takes how long at the nominal bias."""
        found = {"frame, clock tree": int(self.clock[0])}
        for n, c in self.counters.items():
            first, last = (int(c.slot_taps[i][0]) if c.slot_taps else 0 for i in (0, -1))
            read = 0 if c.read_tap is None else int(c.read_tap[0])
            found |= {f"frame, {n}, needs": int(needs[n][0]), f"frame, {n}, before the slots": first,
                      f"frame, {n}, slots": last - first,
                      f"frame, {n}, carries": int((c.plan.bits.max() - 1) * c.macro.carry[0]),
                      f"frame, {n}, read": read, f"frame, {n}, gap": c.macro.gap,
                      f"skew, {n}, before padding": max((f.skew_before for f in c.fans), default=0),
                      f"skew, {n}, after padding": max((f.skew_after for f in c.fans), default=0)}
        found |= {f"frame, {n}, needs": int(needs[n][0]) for n in self.loops}
        return found | {f"skew, {n}, after padding": x.skew_fs for n, x in self.loops.items()}

    def finish(self, frame: Frame) -> tuple[tuple[CellType, ...], SfqArrays]:
        """All cells."""
        b = self.builder
        b.enter("clock", "port")
        inputs = {n: [b.cell("SRC") for _ in range(size(i.shape))] for n, i in self.network.inputs.items()}
        clk, init = b.cell("SRC"), b.cell("SRC") if self.counters else -1
        b.enter(part="launch")
        starts = iter([p for p, _ in b.split_tree((clk, 0), len(self.counters) + len(self.loops))])
        b.enter(part="init")
        inits = iter([p for p, _ in b.split_tree((init, 0), len(self.counters))] if self.counters else [])
        spikes: dict[str, list[Pin]] = {}
        bits: dict[str, list[list[int]]] = {}
        for name in self.network.populations:
            if name in self.counters:
                spikes[name], bits[name] = finish(b, self.counters[name], next(starts), next(inits))
                continue
            loop = self.loops[name]
            b.enter(name, "launch")
            b.net(b.jtls(next(starts), frame.pads[name]), loop.launch)
            spikes[name], bits[name] = loop.spike, [[] for _ in loop.spike]
        for name, cells in inputs.items():
            b.enter("clock", "fanout")
            for i, cell in enumerate(cells):
                self._spread((name, i), (cell, 0))
        nets = []
        for name, pins in spikes.items():
            b.enter(name, "spike")
            nets += [self._spread((name, i), pin) for i, pin in enumerate(pins)]
        zero = [int(v) for n, p in self.network.populations.items()
                for v in (self.counters[n].plan.v_zero if n in self.counters else np.zeros(p.n, np.int64))]
        return b.done(input_source=[c for own in inputs.values() for c in own], frame_source=[clk],
                      frame_offset_fs=[0], init_source=[init] if self.counters else [], spike_net=nets,
                      bits=[x for n in self.network.populations for x in bits[n]], v_zero=zero)

    def _spread(self, sender: Sender, pin: Pin) -> int:
        """Spikes of one sender to all lines; the number of the first net."""
        b, heard = self.builder, self.heard.get(sender, [])
        out, first = self.read_out(sender[0]), len(self.builder.from_cell)
        if not heard and not out:
            b.sink(pin)
            return first
        pins = [p for p, _ in b.split_tree(pin, len(heard) + out)]
        for x, p in zip(heard, pins, strict=False):
            b.net(p, x.entry)
        if out:
            b.gate("SFQDC", pins[-1])
        return first
