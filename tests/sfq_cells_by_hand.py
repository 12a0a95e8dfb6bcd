"""Cell types made by hand from the published and measured figures of the cell table, and netlists made of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hwsdk.ir.cells import CellType, SomaModel
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.sfq import Layer, PulseNetlist, Schedule, SfqArrays
from hwsdk.programs.stored import Port

K = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)
DELAYS = {"JTL": (4.55, 4.21, 3.91, 3.64, 3.4, 3.19, 2.99, 2.81),
          "SPLIT": (13.1, 9.33, 7.17, 5.91, 5.14, 4.57, 4.12, 3.74),
          "MERGE": (10.02, 9.05, 8.18, 7.53, 7.0, 6.51, 6.04, 5.59),
          "DFF": (7.93, 7.18, 6.6, 6.12, 5.69, 5.31, 4.96, 4.64),
          "NDRO": (7.81, 6.95, 6.3, 5.77, 5.32, 4.92, 4.56, 4.2),
          "NOT": (8.73, 7.71, 6.9, 6.19, 5.57, 5.05, 4.59, 4.19),
          "XOR": (7.63, 6.79, 6.12, 5.57, 5.1, 4.69, 4.33, 4.0)}
"""ps."""
SPECS = {
    "JTL": ("wire", ("a",), ("q",), ("idle",), {}, {("a", 0): 1}, {(0, "a", "a"): 5.2}, 2),
    "SPLIT": ("splitter", ("a",), ("q0", "q1"), ("idle",), {}, {("a", 0): 3}, {(0, "a", "a"): 7.0}, 3),
    "MERGE": ("merger", ("a", "b"), ("q",), ("idle",), {}, {("a", 0): 1, ("b", 0): 1},
              {(0, "a", "a"): 10.2, (0, "b", "b"): 10.2, (0, "a", "b"): 2.3, (0, "b", "a"): 2.2}, 7),
    "DFF": ("storage", ("a", "clk"), ("q",), ("empty", "full"), {(0, "a"): 1, (1, "clk"): 0}, {("clk", 1): 1},
            {(0, "clk", "a"): 0.4}, 7),
    "NDRO": ("storage", ("a", "b", "clk"), ("q",), ("reset", "set"), {(0, "a"): 1, (1, "b"): 0}, {("clk", 1): 1},
             {(0, "a", "b"): 0.9, (1, "b", "a"): 1.9, (1, "clk", "clk"): 9.1}, 11),
    "NOT": ("logic", ("a", "clk"), ("q",), ("empty", "a held"), {(0, "a"): 1, (1, "clk"): 0}, {("clk", 0): 1},
            {(0, "a", "clk"): 0.8, (0, "clk", "a"): 4.5, (0, "clk", "clk"): 5.2, (1, "a", "clk"): 2.1}, 8),
    "XOR": ("logic", ("a", "b", "clk"), ("q",), ("empty", "a held", "b held"),
            {(0, "a"): 1, (0, "b"): 2, (1, "b"): 0, (1, "clk"): 0, (2, "a"): 0, (2, "clk"): 0},
            {("clk", 1): 1, ("clk", 2): 1},
            {(0, "a", "clk"): 0.5, (0, "b", "clk"): 0.4, (1, "a", "b"): 8.0, (1, "a", "clk"): 7.3, (1, "b", "b"): 5.2,
             (1, "clk", "b"): 5.9, (2, "a", "a"): 5.2, (2, "b", "a"): 7.7, (2, "b", "clk"): 7.0,
             (2, "clk", "a"): 6.1}, 11),
    "TFF": ("storage", ("a",), ("q",), ("0", "1"), {(0, "a"): 1, (1, "a"): 0}, {("a", 1): 1}, {(0, "a", "a"): 12.0,
            (1, "a", "a"): 12.0}, 8),
}
ABSORB = {"MERGE": 5.0}
SIGMA_FS = {"JTL": 51.0}


def cell(name: str) -> CellType:
    """A type of SPECS, SRC, SINK, or SOMA<fan-in>."""
    if name.startswith("SOMA"):
        return soma(int(name[4:]))
    none = ("port", (), ("q",), (), {}, {}, {}, 0) if name == "SRC" else ("port", ("a",), (), ("idle",), {}, {}, {}, 0)
    role, inputs, outputs, states, moves, fires, critical, jj = SPECS.get(name, none)
    s, i = len(states), len(inputs)
    after = np.repeat(np.arange(s, dtype=np.int8)[:, None], i, 1)
    out, limit = np.zeros((s, i), np.uint8), np.zeros((s, i, i), np.int64)
    for (state, pin), to in moves.items():
        after[state, inputs.index(pin)] = to
    for (pin, state), bits in fires.items():
        out[state, inputs.index(pin)] = bits
    for (state, prev, pin), ps in critical.items():
        limit[state, inputs.index(prev), inputs.index(pin)] = round(ps * 1000)
    absorb = np.full((i, i), round(ABSORB.get(name, 0) * 1000), np.int64)
    np.fill_diagonal(absorb, 0)
    ps = DELAYS.get(name, (10.3,) * len(K) if name == "TFF" else ())
    return CellType(name, role, inputs, outputs, states, after, out, np.array(K[: len(ps)]),
                    np.array([round(d * 1000) for d in ps], np.int64), limit, absorb, np.full((s, i), np.nan),
                    SIGMA_FS.get(name, np.nan), jj, np.nan, np.nan)


def soma(fan_in: int) -> CellType:
    """A soma with every term of the rule in round numbers near the characterised ones."""
    model = SomaModel(fan_in, 200e-6, 1.0, 1.0, 6e-12, np.array([0.0, 10e-6, 40e-6]), np.array([14000, 6000, 2000]),
                      load=0.3, relief=500.0, critical_fs=2000.0, l_soma_h=4e-12, inhibition=0.25, flip_fs=5000.0)
    pins = tuple(f"a{i}" for i in range(fan_in))
    return CellType(f"SOMA{fan_in}", "neuron", pins, ("q",), ("quiet", "fires"), np.zeros((0, 0), np.int8),
                    np.zeros((0, 0), np.uint8), np.zeros(0), np.zeros(0, np.int64), np.zeros((0, 0, 0), np.int64),
                    np.zeros((0, 0), np.int64), np.zeros((0, 0)), np.nan, 3, np.nan, np.nan, model)


class Net:
    """A netlist made cell by cell: ``add`` gives a cell's number, ``join`` draws a net; open ends are closed by
    ``program``: inputs with a SRC, outputs with a SINK.
    """

    def __init__(self, groups: tuple[str, ...] = ("clock",)) -> None:
        self.types: dict[str, CellType] = {}
        self.cells: list[tuple[str, int]] = []
        self.nets: list[tuple[int, int, int, int]] = []
        self.groups = groups
        self.branches: dict[int, list[tuple[float, float]]] = {}
        self.soma_bias: dict[int, float] = {}

    def add(self, name: str, group: int = 0, branches=(), bias_a: float = 0.0) -> int:
        """A cell; branches: (A, fs) of each pin of a soma."""
        self.types.setdefault(name, cell(name))
        self.cells.append((name, group))
        k = len(self.cells) - 1
        if branches:
            self.branches[k], self.soma_bias[k] = list(branches), bias_a
        return k

    def join(self, a: int, out: int | str, b: int, pin: int | str) -> int:
        """A net; returns its number."""
        out = out if isinstance(out, int) else self.types[self.cells[a][0]].outputs.index(out)
        pin = pin if isinstance(pin, int) else self.types[self.cells[b][0]].inputs.index(pin)
        self.nets.append((a, out, b, pin))
        return len(self.nets) - 1

    def chain(self, names, group: int = 0) -> list[int]:
        """Cells one after the other, by their first pins."""
        cells = [self.add(n, group) for n in names]
        for a, b in pairwise(cells):
            self.join(a, 0, b, 0)
        return cells

    def close(self) -> None:
        """Give every open input a SRC and every open output a SINK."""
        used_out = {(a, o) for a, o, _, _ in self.nets}
        used_in = {(b, p) for _, _, b, p in self.nets}
        for k, (name, _) in list(enumerate(self.cells)):
            for o in range(len(self.types[name].outputs)):
                if (k, o) not in used_out:
                    self.join(k, o, self.add("SINK"), 0)
            for p in range(len(self.types[name].inputs)):
                if (k, p) not in used_in:
                    self.join(self.add("SRC"), 0, k, p)

    def program(self, *, inputs=(), frame=(), init=(), layers=(), spikes=(), outputs=None, bits=(), zero=(),
                schedule: Schedule | None = None) -> PulseNetlist:
        """inputs: (name, cells); frame: (cell, offset); layers: Layer; spikes: nets; bits: TFFs of each neuron."""
        self.close()
        names = list(self.types)
        ends = np.array(self.nets, np.int64).reshape(-1, 4)
        somas = sorted(self.branches)
        branch = [b for s in somas for b in self.branches[s]]
        bits = list(bits) or [[] for _ in spikes]
        arrays = SfqArrays(
            np.array([names.index(n) for n, _ in self.cells], np.int16), np.array([g for _, g in self.cells], np.int16),
            np.zeros(len(self.cells), np.uint8), ends[:, 0].astype(np.int32), ends[:, 1].astype(np.int16),
            ends[:, 2].astype(np.int32), ends[:, 3].astype(np.int16),
            np.array([c for _, cells in inputs for c in cells], np.int32),
            np.array([c for c, _ in frame], np.int32), np.array([t for _, t in frame], np.int64),
            np.array(init, np.int32), np.array(spikes, np.int32), np.array(somas, np.int32),
            np.array([self.soma_bias[s] for s in somas]),
            np.cumsum([0] + [len(self.branches[s]) for s in somas]).astype(np.int64),
            np.array([a for a, _ in branch], np.float64), np.array([t for _, t in branch], np.float64),
            np.zeros(len(branch)), np.zeros(len(branch)), np.zeros(len(branch)),
            np.cumsum([0] + [len(b) for b in bits]).astype(np.int64),
            np.array([c for b in bits for c in b], np.int32),
            np.array(list(zero) or [0] * len(spikes), np.int64))
        return PulseNetlist(
            "by_hand", "sfq", "1", "", "", tuple(Port(n, (len(c),)) for n, c in inputs), tuple(layers),
            outputs if outputs is not None else {x.name: (x.name,) for x in layers}, tuple(self.types.values()),
            self.groups, ("cell",), schedule or Schedule(1_000_000), arrays, Semantics())


__all__ = ["DELAYS", "K", "Layer", "Net", "PulseNetlist", "SPECS", "Schedule", "cell", "soma"]
