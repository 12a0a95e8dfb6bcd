"""sfq_build: collects the cells and nets of a pulse netlist; chains, balanced trees of splitters and of mergers.

A pin is (cell, its output). Times are in fs: a cell's delay and, with wires of transmission line, that of the line at
its output. They are nominal where they are one number, at a bias of 1, and at all corners of the bias where they are an
array (K,), whose first entry is the nominal one. Everything made goes to the bias group and part that ``enter`` named
last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError, UnsupportedError
from hwsdk.ir.cells import CellType
from hwsdk.programs.sfq import SfqArrays

Ints = NDArray[np.int64]
Pin = tuple[int, int]
"""(cell, number of one of its pins)."""
PARTS = ("port", "launch", "line", "train", "fanout", "fanin", "counter", "constant", "read", "reset", "ones", "init",
         "branch", "soma", "spike")
"""What cells are for. launch: what starts the lines; line: storage of spikes until then; train: copies of a pulse by
weight; fanout, fanin: trees; constant: what is added in every frame; read, reset: what reads a counter, and changes it
afterwards; ones: what toggles bits that are 0 for sure, so that they carry nothing; init: once before the first frame.
"""
WIRES = ("abut", "ptl")


def levels(n: int) -> int:
    """Depth of a tree with n leaves: ceil(log2 n)."""
    return (n - 1).bit_length()


class Builder:
    """Cells and nets in the making. types: the library; further ones come with ``add_type``. spread: the corners of the
    bias are 1, 1 - spread and 1 + spread.
    """

    def __init__(self, types: Mapping[str, CellType], wires: str = "abut", spread: float = 0.0) -> None:
        self.types: dict[str, CellType] = dict(types)
        self.corners = (1.0, 1 - spread, 1 + spread) if spread else (1.0,)
        self.wires = wires
        self.used: dict[str, int] = {}
        self.groups: dict[str, int] = {}
        self.cell_type: list[int] = []
        self.cell_group: list[int] = []
        self.cell_part: list[int] = []
        self.from_cell: list[int] = []
        self.from_pin: list[int] = []
        self.to_cell: list[int] = []
        self.to_pin: list[int] = []
        self._somas: list[tuple[int, float, NDArray[np.float64]]] = []
        self._times: dict[str, Ints] = {}
        self._nominal: dict[str, int] = {}
        self._group = self._part = 0
        self.enter("clock", "launch")

    def enter(self, group: str | None = None, part: str | None = None) -> None:
        """What follows is on this bias line and is for this."""
        if group is not None:
            self._group = self.groups.setdefault(group, len(self.groups))
        if part is not None:
            self._part = PARTS.index(part)

    def add_type(self, made: CellType) -> None:
        """A type that the library does not have, such as a soma of so many branches."""
        self.types[made.name] = made

    def delay(self, name: str) -> int:
        """fs from the input that fires to the next cell's input. JTLs abut to what they drive."""
        found = self._nominal.get(name)
        if found is None:
            found = self._nominal[name] = int(self.times(name)[0])
        return found

    def times(self, name: str) -> Ints:
        """The same at all corners."""
        if name not in self._times:
            line = self._own("PTLTX") + self._own("PTLRX") if self.wires == "ptl" and name != "JTL" else 0
            self._times[name] = self._own(name) + line
        return self._times[name]

    def _own(self, name: str) -> Ints:
        """Of the cell alone; a source of pulses has none.

        Raises:
            UnsupportedError: BIAS_SPREAD, the cell is dead at a corner.
        """
        own = self.types[name]
        found = [own.delay_at(k) if own.inputs else 0 for k in self.corners]
        if None in found:
            raise UnsupportedError(f"{name} gives no pulse at a bias of {self.corners[found.index(None)]:g} times the "
                                   f"nominal one, limit {own.bias_k[0]:g} to {own.bias_k[-1]:g}", code="BIAS_SPREAD",
                                   fix="ask for a smaller spread of the bias")
        return np.array(found, np.int64)

    def pin(self, name: str, pin: str) -> int:
        """Number of a type's input pin."""
        return self.types[name].inputs.index(pin)

    def cell(self, name: str) -> int:
        """A new cell; comes back as its number."""
        kind = self.used.get(name)
        if kind is None:
            if name not in self.types:
                raise InternalError(f"there is no cell type {name}")
            kind = self.used[name] = len(self.used)
        self.cell_type.append(kind)
        self.cell_group.append(self._group)
        self.cell_part.append(self._part)
        return len(self.cell_type) - 1

    def net(self, source: Pin, sink: Pin) -> int:
        """Join an output pin to an input pin; comes back as the net's number."""
        self.from_cell.append(source[0])
        self.from_pin.append(source[1])
        self.to_cell.append(sink[0])
        self.to_pin.append(sink[1])
        return len(self.from_cell) - 1

    def gate(self, name: str, *sources: Pin | None) -> Pin:
        """A new cell with its inputs joined in order, None for one to be joined later; its first output."""
        made = self.cell(name)
        for number, source in enumerate(sources):
            if source is not None:
                self.net(source, (made, number))
        return made, 0

    def sink(self, source: Pin) -> None:
        """End an output that nobody needs."""
        self.gate("SINK", source)

    def jtls(self, source: Pin, n: int) -> Pin:
        """A chain of n JTLs."""
        if n <= 0:
            return source
        first = self.cell("JTL")
        more, made = n - 1, range(first, first + n)
        self.cell_type.extend([self.cell_type[first]] * more)
        self.cell_group.extend([self._group] * more)
        self.cell_part.extend([self._part] * more)
        self.from_cell.append(source[0])
        self.from_pin.append(source[1])
        self.from_cell.extend(made[:-1])
        self.from_pin.extend([0] * more)
        self.to_cell.extend(made)
        self.to_pin.extend([0] * n)
        return first + n - 1, 0

    def jtl_count(self, time_fs: float) -> int:
        """JTLs whose delay comes nearest to a time; 0 for a negative one."""
        return max(0, round(time_fs / self.delay("JTL")))

    def pad(self, source: Pin, time: Ints) -> tuple[Pin, Ints]:
        """JTLs for a time, to the nearest at the nominal bias; (pin, what they take)."""
        n = self.jtl_count(int(time[0]))
        return self.jtls(source, n), n * self.times("JTL")

    def jtls_for(self, time: Ints) -> int:
        """JTLs that take at least a time at every corner."""
        return max(0, int((-(-time // self.times("JTL"))).max()))

    def pad_up(self, source: Pin, time: Ints) -> tuple[Pin, Ints]:
        """JTLs for at least a time at every corner; (pin, what they take)."""
        n = self.jtls_for(time)
        return self.jtls(source, n), n * self.times("JTL")

    def split(self, source: Pin) -> tuple[Pin, Pin]:
        """Two copies of a pulse."""
        made = self.gate("SPLIT", source)[0]
        return (made, 0), (made, 1)

    def split_tree(self, source: Pin, n: int, depth: int | None = None) -> list[tuple[Pin, int]]:
        """n copies of a pulse, each through ``depth`` splitters (least: ceil(log2 n), which is what None means);
        (pin, fs from the source) of each. What a short branch lacks is made up by splitters with one output ended, so
        that all copies come at one time at any bias.
        """
        depth = levels(n) if depth is None else depth
        found: list[Pin] = []
        self._split(source, n, depth, found)
        time = depth * self.delay("SPLIT")
        return [(pin, time) for pin in found]

    def _split(self, source: Pin, n: int, depth: int, found: list[Pin]) -> None:
        """n copies at one depth, the fullest subtree first."""
        while depth:
            source, other = self.split(source)
            depth -= 1
            if n > 1 << depth:
                self._split(other, 1 << depth, depth, found)
                n -= 1 << depth
            else:
                self.sink(other)
        found.append(source)

    def merge_tree(self, sources: Sequence[tuple[Pin, Ints]], depth: int | None = None) -> tuple[Pin, Ints]:
        """Pulses of all sources on one pin; (pin, time). Sources come with their arrival times, which are padded to the
        latest one; see ``merge``.
        """
        depth = levels(len(sources)) if depth is None else depth
        late = max((t for _, t in sources), key=lambda t: int(t[0]))
        return self.merge([self.pad(pin, late - t)[0] for pin, t in sources], depth), late + depth * self.times("MERGE")

    def merge(self, sources: Sequence[Pin], depth: int) -> Pin:
        """Pulses of all sources on one pin, each through ``depth`` mergers (least: ceil(log2 n)), or JTLs that take the
        same time, to the nearest.
        """
        return self._merge(sources, 0, len(sources), depth, depth * self.delay("MERGE"))

    def _merge(self, sources: Sequence[Pin], low: int, n: int, depth: int, left: int) -> Pin:
        """Sources low .. low + n - 1, which are to take ``left`` fs; the first half always fills its tree."""
        own = levels(n)
        spare = self.jtl_count(left - own * self.delay("MERGE")) if own < depth else 0
        left -= spare * self.delay("JTL")
        if n == 1:
            return self.jtls(sources[low], spare)
        half, left = 1 << (own - 1), left - self.delay("MERGE")
        first = self._merge(sources, low, half, own - 1, left)
        second = self._merge(sources, low + half, n - half, own - 1, left)
        return self.jtls(self.gate("MERGE", first, second), spare)

    def merge_paths(self, n: int, depth: int) -> Ints:
        """(K, n) by how much each source of ``merge`` takes longer than ``depth`` mergers."""
        found: list[tuple[int, int]] = []
        self._paths(n, depth, depth * self.delay("MERGE"), 0, 0, found)
        mergers, jtls = np.array(found, np.int64).T
        return np.outer(self.times("MERGE"), mergers - depth) + np.outer(self.times("JTL"), jtls)

    def _paths(self, n: int, depth: int, left: int, mergers: int, jtls: int, found: list[tuple[int, int]]) -> None:
        """Mergers and JTLs that sources pass, as ``_merge`` makes them."""
        own = levels(n)
        spare = self.jtl_count(left - own * self.delay("MERGE")) if own < depth else 0
        left -= spare * self.delay("JTL")
        if n == 1:
            found.append((mergers, jtls + spare))
            return
        half, left = 1 << (own - 1), left - self.delay("MERGE")
        self._paths(half, own - 1, left, mergers + 1, jtls + spare, found)
        self._paths(n - half, own - 1, left, mergers + 1, jtls + spare, found)

    def level_error(self, depth: int) -> int:
        """fs by which JTLs miss the time of so many mergers, at the worst corner."""
        n = self.jtl_count(depth * self.delay("MERGE"))
        return int(np.abs(depth * self.times("MERGE") - n * self.times("JTL")).max())

    def spread_of_levels(self, depth: int) -> int:
        """fs by which paths through trees of so many mergers differ, of which JTLs stand for any number."""
        n = np.arange(depth + 1)
        jtls = np.array([self.jtl_count(k * self.delay("MERGE")) for k in range(depth + 1)])
        error = np.outer(jtls, self.times("JTL")) - np.outer(n, self.times("MERGE"))
        return int((error.max(axis=0) - error.min(axis=0)).max())

    def soma(self, name: str, bias_a: float, branches: NDArray[np.float64]) -> int:
        """A cell of a soma type. branches (inputs, 5): weight A, decay time fs, henry, ohm, coupling of each."""
        made = self.cell(name)
        if branches.shape != (len(self.types[name].inputs), 5):
            raise InternalError(f"{name} with branches of shape {branches.shape}")
        self._somas.append((made, bias_a, branches))
        return made

    def done(self, *, input_source: Sequence[int], frame_source: Sequence[int], frame_offset_fs: Sequence[int],
             init_source: Sequence[int], spike_net: Sequence[int], bits: Sequence[Sequence[int]],
             v_zero: Sequence[int]) -> tuple[tuple[CellType, ...], SfqArrays]:
        """The types in use, and all arrays; bits, v_zero: of every neuron in order, see SfqArrays."""
        at, cells = self._nets(), len(self.cell_type)
        wired = self._with_lines(at, cells) if self.wires == "ptl" else at
        types = tuple(self.types[n] for n in self.used)
        branch = np.concatenate([np.zeros((0, 5)), *(b for _, _, b in self._somas)])
        return types, SfqArrays(
            np.array(self.cell_type, np.int16), np.array(self.cell_group, np.int16), np.array(self.cell_part, np.uint8),
            wired[0].astype(np.int32), wired[1].astype(np.int16), wired[2].astype(np.int32), wired[3].astype(np.int16),
            np.array(input_source, np.int32), np.array(frame_source, np.int32), np.array(frame_offset_fs, np.int64),
            np.array(init_source, np.int32), np.array(spike_net, np.int32),
            np.array([c for c, _, _ in self._somas], np.int32), np.array([a for _, a, _ in self._somas], np.float64),
            np.cumsum([0, *(len(b) for _, _, b in self._somas)]).astype(np.int64),
            branch[:, 0].copy(), branch[:, 1].copy(), branch[:, 2].copy(), branch[:, 3].copy(), branch[:, 4].copy(),
            np.cumsum([0, *map(len, bits)]).astype(np.int64),
            np.array([c for own in bits for c in own], np.int32), np.array(v_zero, np.int64))

    def _nets(self) -> NDArray[np.int64]:
        """(4, nets): from cell, from pin, to cell, to pin."""
        return np.array([self.from_cell, self.from_pin, self.to_cell, self.to_pin], np.int64)

    def _with_lines(self, at: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
        """A transmitter and a receiver into every net that no JTL drives; nets keep their numbers up to there."""
        self.cell("PTLTX")
        self.cell("PTLRX")
        for column in (self.cell_type, self.cell_group, self.cell_part):
            del column[cells:]
        kind = np.array(self.cell_type)
        long = np.flatnonzero(kind[at[0]] != self.used.get("JTL", -1))
        k, group, part = len(long), np.array(self.cell_group), np.array(self.cell_part)
        for name in ("PTLTX", "PTLRX"):
            self.cell_type.extend([self.used[name]] * k)
            self.cell_group.extend(group[at[0, long]].tolist())
            self.cell_part.extend(part[at[0, long]].tolist())
        tx, zero = cells + np.arange(k), np.zeros(k, np.int64)
        behind = np.array([tx + k, zero, at[2, long], at[3, long]])
        between = np.array([tx, zero, tx + k, zero])
        near = at.copy()
        near[2:, long] = np.array([tx, zero])
        return np.concatenate([near, between, behind], axis=1)
