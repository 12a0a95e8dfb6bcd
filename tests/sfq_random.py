"""Random netlists of all cells of the library, without meaning: whatever comes out, two simulators must agree on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from hwsdk.ir.cells import CellType
from hwsdk.ir.data import Events, Stimulus, events_from_arrays
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.soma import Branch, decay_times, weights
from hwsdk.programs.sfq import Layer, PulseNetlist, Schedule, SfqArrays
from hwsdk.programs.stored import Port
from hwsdk.targets import load_target

FRAME_FS = 200_000
INPUTS = 6


def library() -> list[CellType]:
    """Every cell of the library with inputs, and somas of one to three and of eight branches."""
    target = load_target("sfq")
    named = [target.cell(n) for n in target.cell_names if target.cell(n).inputs]
    return [t for t in named if t.soma is None] + [target.soma(n) for n in (1, 2, 3, 8)]


def source() -> CellType:
    return load_target("sfq").cell("SRC")


class Wiring:
    """Collects cells and the nets between them; ``free`` are output pins that lead nowhere yet."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.kinds, self.types, self.free = rng, [], [], []  # type: ignore[var-annotated]
        self.nets: list[tuple[int, int, int, int]] = []

    def add(self, kind: CellType, fed: Sequence[tuple[int, int]]) -> int:
        """A cell whose inputs are fed by these pins."""
        names = [t.name for t in self.types]
        if kind.name not in names:
            self.types.append(kind)
        cell = len(self.kinds)
        self.kinds.append([t.name for t in self.types].index(kind.name))
        self.nets += [(*pin, cell, i) for i, pin in enumerate(fed)]
        self.free += [(cell, o) for o in range(len(kind.outputs))]
        return cell

    def take(self) -> tuple[int, int]:
        """A free pin, later ones more often."""
        n = len(self.free)
        return self.free.pop(int(min(n - 1, n * self.rng.random() ** 0.5)))


def on_a_grid(kind: CellType) -> CellType:
    """The cell with delays of whole 2 ps, so that many pulses come at the same time."""
    return dataclasses.replace(kind, delay_fs=(kind.delay_fs + 999) // 2_000 * 2_000)


def random_netlist(seed: int, cells: int = 30, grid: bool = False) -> PulseNetlist:
    """Inputs, a clock and an init pulse into random cells; every net but those of the sources is watched."""
    rng = np.random.default_rng(seed)
    w, kinds = Wiring(rng), [on_a_grid(k) for k in library() if k.soma is None] if grid else library()
    sources = [w.add(source(), []) for _ in range(INPUTS + 3)]
    split = next(k for k in kinds if k.name == "SPLIT")
    while len(w.kinds) < cells + len(sources):
        kind = split if len(w.free) < 5 else kinds[int(rng.integers(len(kinds)))]
        kind = split if len(kind.inputs) >= len(w.free) else kind
        if kind.outputs or len(w.free) > 8:
            w.add(kind, [w.take() for _ in kind.inputs])
    sink = load_target("sfq").cell("SINK")
    for pin in list(w.free):
        w.add(sink, [pin])
    rng.shuffle(w.nets)  # the numbers of nets decide about pulses of the same time
    return _program(rng, w, sources, f"random{seed}", 2_000 if grid else 1)


def _program(rng: np.random.Generator, w: Wiring, sources: list[int], name: str, step: int) -> PulseNetlist:
    """The cells as a program with random times; each watched net is a neuron of one layer."""
    nets, kind = np.array(w.nets, np.int64), np.array(w.kinds, np.int16)
    watched = np.flatnonzero(~np.isin(nets[:, 0], sources)).astype(np.int32)
    somas = [c for c, k in enumerate(w.kinds) if w.types[k].soma is not None]
    size = [len(w.types[w.kinds[c]].inputs) for c in somas]
    total, n = sum(size), len(w.kinds)
    henry, ohm = rng.uniform(5e-12, 60e-12, total), rng.uniform(0.2, 2, total)
    sign = np.where(rng.random(total) < 0.3, -1, 1)
    model = w.types[w.kinds[somas[0]]].soma if somas else None
    parts = [Branch(*row) for row in zip(henry, ohm, np.minimum(sign, 0) * 0.5, strict=True)]
    amps, taus = (weights(model, parts), decay_times(model, parts)) if model else (henry, ohm)
    second, init, late = (int(rng.integers(*r)) // step * step
                          for r in ((1, 90_000), (1_000, 40_000), (90_000, 150_000)))
    arrays = SfqArrays(
        kind, rng.integers(0, 2, n).astype(np.int16), np.zeros(n, np.uint8), nets[:, 0].astype(np.int32),
        nets[:, 1].astype(np.int16), nets[:, 2].astype(np.int32), nets[:, 3].astype(np.int16),
        np.array(sources[:INPUTS], np.int32), np.array(sources[INPUTS : INPUTS + 2], np.int32),
        np.array([0, second], np.int64), np.array(sources[INPUTS + 2 :], np.int32), watched,
        np.array(somas, np.int32), rng.uniform(60e-6, 180e-6, len(somas)),
        np.cumsum([0, *size], dtype=np.int64),
        amps, taus * 1e15, henry, ohm, np.where(sign < 0, -0.5, 0.0),
        np.zeros(len(watched) + 1, np.int64), np.zeros(0, np.int32), np.zeros(len(watched), np.int64))
    schedule = Schedule(FRAME_FS, 50_000, init, late)
    target = load_target("sfq")
    return PulseNetlist(name, target.name, target.version, target.digest(), "none", (Port("x", (INPUTS,)),),
                        (Layer("all", (len(watched),), "counter", 100_000),), {"out": ("all",)}, tuple(w.types),
                        ("clock", "all"), ("part",), schedule, arrays, Semantics())


def random_stimulus(seed: int, program: PulseNetlist, steps: int = 12, samples: int = 1) -> Stimulus:
    """Half of all cells of the grid hold a spike."""
    rng = np.random.default_rng(seed)
    events: dict[str, Events] = {}
    for port in program.inputs:
        sample, step, index = np.nonzero(rng.random((samples, steps, port.n)) < 0.5)
        events[port.name] = events_from_arrays(port.shape, sample, step, index, n_samples=samples, n_steps=steps)
    return Stimulus(events)


def scaled(program: PulseNetlist, **changes: object) -> PulseNetlist:
    """A copy with some arrays replaced."""
    return dataclasses.replace(program, arrays=dataclasses.replace(program.arrays, **changes))  # type: ignore[arg-type]
