"""SpinnakerPrograms put together by hand or by chance, without the mapper."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from hwsdk.ir.data import Stimulus
from hwsdk.ir.semantics import Semantics
from hwsdk.programs.spinnaker import ROUTE_WORDS, Machine, Sender, SpinnakerArrays, SpinnakerProgram
from hwsdk.programs.spinnaker_image import (
    CONTROL,
    CONV_FIELDS,
    NEURON_FIELDS,
    Block,
    Learner,
    PeMemory,
    PeSlice,
    encode,
    floats,
)

STEPS = 12
CYCLES = {"tick": 800.0, "packet": 40.0, "event_static": 16.0, "event_conv": 12.0, "event_plastic": 80.0,
          "event_csr": 45.0, "neuron_lif": 30.0, "neuron_curr": 50.0, "neuron_stdp": 20.0, "neuron_egru": 400.0,
          "spike_out": 25.0, "recorded": 8.0}
MACHINE = Machine(150e6, 300e6, CYCLES, 1024, 5 / 300e6, 4 / 400e6, 16e-9)
SPREAD = 1 << 10
"""Keys from one slice to the next."""


@dataclass(frozen=True)
class Pe:
    """A PE: for each slice, the sender's number and the elements; its image; chip and core."""

    owners: tuple[tuple[int, np.ndarray], ...]
    memory: PeMemory
    chip: int = 0
    core: int = 1


@dataclass
class Hand:
    """Collects what a program is made of. routes: slice -> PEs."""

    inputs: tuple[Sender, ...]
    populations: tuple[Sender, ...]
    pes: list[Pe]
    routes: dict[int, set[int]]
    outputs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def program(self, **more) -> SpinnakerProgram:
        """Chips in a row from west to east; one router entry for each slice."""
        chips = 1 + max(p.chip for p in self.pes)
        images = [encode(p.memory) for p in self.pes]
        rows = [[] for _ in range(chips)]
        slices = [(pe, s) for pe, p in enumerate(self.pes) for s in p.memory.slices]
        for s, there in sorted(self.routes.items()):
            home = self.pes[slices[s][0]].chip
            for c in range(chips):
                cores = [self.pes[p].core for p in there if self.pes[p].chip == c]
                links = (c >= home and any(self.pes[p].chip > c for p in there)) * 1
                links |= (c <= home and any(self.pes[p].chip < c for p in there)) * 8
                if cores or links:
                    rows[c].append((slices[s][1].key, cores, links))
        flat = [r for row in rows for r in row]
        pes = np.zeros((len(flat), ROUTE_WORDS), np.uint32)
        for k, (_, cores, _) in enumerate(flat):
            for core in cores:
                pes[k, core // 32] |= np.uint32(1 << core % 32)
        owners = [o for p in self.pes for o in p.owners]

        def whole(values, dtype=np.int32):
            return np.array(values, dtype)

        arrays = SpinnakerArrays(
            whole(range(chips)), whole([0] * chips), whole([p.chip for p in self.pes]),
            whole([p.core for p in self.pes]), whole([p.core % 7 for p in self.pes]),
            whole([p.core // 7 for p in self.pes]), whole([1 + p.core % 4 for p in self.pes]),
            np.r_[0, np.cumsum([len(i) for i in images])].astype(np.int64), np.concatenate(images),
            np.r_[0, np.cumsum([len(p.owners) for p in self.pes])].astype(np.int64), whole([k for k, _ in owners]),
            np.r_[0, np.cumsum([len(e) for _, e in owners])].astype(np.int64),
            np.concatenate([e for _, e in owners]).astype(np.int32),
            np.r_[0, np.cumsum([len(r) for r in rows])].astype(np.int64), whole([k for k, _, _ in flat], np.uint32),
            np.full(len(flat), 2**32 - SPREAD, np.uint32), pes, whole([x for _, _, x in flat], np.uint8))
        program = SpinnakerProgram("hand", "spinnaker2", "0", "", "", self.inputs, self.populations, self.outputs,
                                   arrays, MACHINE, Semantics())
        return dataclasses.replace(program, **more)


def key_of(s: int) -> int:
    """Of atom 0 of slice ``s``."""
    return SPREAD * (s + 1)


def block(s: int, kind: str, **more) -> Block:
    """An entry for slice ``s``."""
    return Block(key_of(s), 2**32 - SPREAD, kind, **more)


def lif_records(n: int, model: str = "lif", **values) -> np.ndarray:
    """Neuron records: any of NEURON_FIELDS, and the parts of control, as numbers or (n,)."""
    columns = []
    for name in NEURON_FIELDS[model]:
        if name == "control":
            control = np.zeros(n, np.uint32)
            for part, bit in CONTROL.items():
                control |= np.broadcast_to(np.asarray(values.get(part, int(part == "fires")), np.uint32),
                                           n) << np.uint32(bit)
            columns.append(control)
        else:
            columns.append(floats(np.broadcast_to(np.asarray(values.get(name, 0), np.float32), n)))
    return np.stack(columns, axis=1)


def word(kind: str, target, weight, delay=0):
    """Words of a kind, as hwsdk.programs.spinnaker_image describes them."""
    target, weight, delay = (np.asarray(x, np.int64) for x in (target, weight, delay))
    if kind == "narrow":
        return (target | abs(weight) << 8 | (weight < 0) << 12 | delay << 13).astype(np.uint16)
    if kind == "byte":
        return (target | (weight & 255) << 8).astype(np.uint16)
    return (target | delay << 10 | (weight & 65535) << 16).astype(np.uint32)


def sizes(memory: PeMemory) -> list[int]:
    """First neuron of each slice."""
    return [0, *np.cumsum([s.n for s in memory.slices]).tolist()]


@dataclass(frozen=True)
class Tile:
    """A box of a sender's elements: the sender's number, where it begins, and how large it is."""

    sender: int
    origin: tuple[int, ...]
    extent: tuple[int, ...]
    elements: np.ndarray


class Chance:
    """A random program: senders in boxes, boxes on PEs, words of all kinds between them."""

    def __init__(self, rng: np.random.Generator, graded: bool = False, learns: bool = True) -> None:
        self.rng, self.graded, self.learns = rng, graded, learns
        self.phases = int(rng.choice([1, 1, 2, 3]))
        self.inputs = tuple(Sender(f"in{k}", self.shape()) for k in range(rng.integers(0, 3)))
        models = ("egru", "egru", "lif") if graded else ("lif",)
        self.populations = tuple(
            Sender(f"pop{k}", self.shape(), str(rng.choice(models)), bool(rng.random() < 0.8), int(rng.integers(0, 3)),
                   int(rng.integers(0, self.phases))) for k in range(rng.integers(1, 5)))
        self.kind_of = {s.name: s.model if s.model != "lif" else str(rng.choice(["lif", "lif_curr"]))
                        for s in self.populations}
        self.homes = self.place()
        self.slices = [(pe, tile) for pe, tiles in enumerate(self.homes) for tile in tiles]
        self.routes: dict[int, set[int]] = {}
        self.slots = int(rng.choice([8, 16]))

    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of a sender."""
        return tuple(int(x) for x in self.rng.integers(1, (4, 5, 5)))

    @property
    def senders(self) -> tuple[Sender, ...]:
        return (*self.inputs, *self.populations)

    def place(self) -> list[list[Tile]]:
        """Boxes of one PE model on PEs, in any order."""
        by_model: dict[str, list[Tile]] = {}
        for k, s in enumerate(self.senders):
            by_model.setdefault(self.kind_of[s.name] if s.model else "source", []).extend(self.boxes(k, s.shape))
        homes = []
        for tiles in by_model.values():
            self.rng.shuffle(tiles)
            while tiles:
                some = int(self.rng.integers(1, 4))
                homes.append(tiles[:some])
                del tiles[:some]
        self.rng.shuffle(homes)
        return homes

    def boxes(self, number: int, shape: tuple[int, ...]) -> list[Tile]:
        """A sender in one or more boxes."""
        index, found = np.arange(np.prod(shape)).reshape(shape), []
        cuts = [sorted({0, n, *(self.rng.integers(0, n, self.rng.integers(0, 2)).tolist())}) for n in shape]
        for c0, c1 in zip(cuts[0][:-1], cuts[0][1:], strict=True):
            for y0, y1 in zip(cuts[1][:-1], cuts[1][1:], strict=True):
                for x0, x1 in zip(cuts[2][:-1], cuts[2][1:], strict=True):
                    found.append(Tile(number, (c0, y0, x0), (c1 - c0, y1 - y0, x1 - x0),
                                      index[c0:c1, y0:y1, x0:x1].ravel()))
        return found

    def program(self) -> SpinnakerProgram:
        """Put it together."""
        rng = self.rng
        contents = [self.content(pe) for pe in range(len(self.homes))]
        for s in range(len(self.slices)):
            self.routes.setdefault(s, set())
            targets = [pe for pe in range(len(self.homes)) if contents[pe]["model"] != "source"]
            if targets and rng.random() < 0.2:  # a copy that nobody looks at
                self.routes[s].add(int(rng.choice(targets)))
        pes, number = [], 0
        chips = np.sort(rng.integers(0, rng.integers(1, 4), len(self.homes)))
        for pe, tiles in enumerate(self.homes):
            own = []
            for tile in tiles:
                own.append(PeSlice(key_of(number), len(tile.elements), self.senders[tile.sender].phase,
                                   bool(self.routes[number]), bool(rng.random() < 0.5)))
                number += 1
            memory = PeMemory(slices=tuple(own), phases=self.phases, high_from=int(rng.choice([0, 3, 10])),
                              **contents[pe])
            pes.append(Pe(tuple((t.sender, t.elements) for t in tiles), memory, int(chips[pe]), pe + 1))
        routes = {s: there for s, there in self.routes.items() if there}
        hand = Hand(self.inputs, self.populations, pes, routes, {"out": (self.populations[-1].name,)})
        return hand.program(**self.timing())

    def timing(self) -> dict:
        """Numbers that float64 holds exactly, and their sums too."""
        rng = self.rng
        cycles = {name: float(rng.integers(0, 60)) for name in CYCLES} | {"tick": float(rng.integers(20, 200))}
        machine = Machine(2.0**20, 2.0**21, cycles, int(rng.choice([4, 20, 1024])),
                          *(float(x) / 2**26 for x in rng.integers(0, 400, 3)))
        tick = rng.choice([2.0**18, 4000, 1500, 500, 200])
        return {"machine": machine, "sync": str(rng.choice(["timer", "timer", "timer", "barrier"])),
                "tick_s": float(tick) / 2**20, "phases": self.phases, "level": str(rng.choice(["auto", "low", "high"]))}

    def content(self, pe: int) -> dict:
        """Everything of a PE's memory but its slices."""
        first = self.senders[self.homes[pe][0].sender]
        model = self.kind_of[first.name] if first.model else "source"
        if model == "source":
            return {"application": "spike_list", "model": model}
        n = sum(len(t.elements) for t in self.homes[pe])
        phase = np.concatenate([np.full(len(t.elements), self.senders[t.sender].phase) for t in self.homes[pe]])
        fires = np.concatenate([np.full(len(t.elements), self.senders[t.sender].fires) for t in self.homes[pe]])
        learners = self.learners() if model != "egru" and self.learns else ()
        blocks = []
        for s in range(len(self.slices)):
            for _ in range(self.rng.integers(0, 3)):
                made = self.pairs(s, n, phase) if model == "egru" else self.words(s, pe, n, phase, learners)
                if made is not None:
                    blocks.append(made)
                    self.routes.setdefault(s, set()).add(pe)
        return {"application": "lif", "model": model, "blocks": tuple(blocks), "learners": learners,
                "neurons": self.neurons(model, n, fires), "slots": self.slots,
                "history": int(self.rng.choice([2, 3, 16])) if learners else 0}

    def neurons(self, model: str, n: int, fires: np.ndarray) -> np.ndarray:
        """Records of all states and parameters."""
        rng = self.rng
        if model == "egru":
            values = {name: rng.normal(0, 1, n) for name in NEURON_FIELDS[model]} | {"theta": rng.random(n) * 0.5}
            values["theta"] = np.where(fires, values["theta"], 2.0)
            return lif_records(n, model, **values)
        rests = rng.integers(0, 4, n) if rng.random() < 0.4 else 0
        return lif_records(
            n, model, decay_u=rng.random(n), u=rng.normal(0, 30, n), decay_v=rng.random(n), bias=rng.normal(0, 20, n),
            v_threshold=rng.integers(-5, 150, n), reset_by=rng.integers(0, 100, n), v=rng.normal(0, 60, n),
            refractory=rests, resting=rests * rng.integers(0, 2), subtract=rng.integers(0, 2, n),
            at_threshold=rng.integers(0, 2, n), fires=fires)

    def learners(self) -> tuple[Learner, ...]:
        """Learning rules."""
        rng, found = self.rng, []
        for _ in range(rng.integers(0, 3)):
            tables = [np.exp(-np.arange(int(rng.integers(1, 40))) / rng.uniform(0.5, 9)).astype(np.float32)
                      for _ in range(2)]
            amplitudes = (float(np.float32(rng.uniform(0, 60))), float(np.float32(rng.uniform(0, 60))))
            found.append(Learner(*amplitudes, float(rng.integers(0, 20)), float(rng.integers(100, 300)), *tables))
        return tuple(found)

    def low(self, s: int, phase: np.ndarray) -> np.ndarray:
        """The shortest delay to neurons of some phases."""
        return np.where(phase > self.senders[self.slices[s][1].sender].phase, 0, 1)

    def words(self, s: int, pe: int, n: int, phase: np.ndarray, learners: tuple[Learner, ...]) -> Block | None:
        """A block of a kind that a PE of integer accumulators takes."""
        kind = str(self.rng.choice(["narrow", "byte", "wide", "conv", *["plastic"] * (2 if learners else 0)]))
        if kind == "conv":
            return self.conv(s, pe)
        rng, tile = self.rng, self.slices[s][1]
        rows, mask = np.r_[0, np.cumsum(rng.integers(0, 5, len(tile.elements)))], 2**32 - SPREAD
        if self.is_pair(s) and rng.random() < 0.5:
            rows, mask = self.both(s, rows), 2**32 - 2 * SPREAD
            self.routes.setdefault(s + 1, set()).add(pe)
        k, sender = int(rows[-1]), self.senders[tile.sender]
        target = rng.integers(0, n, k)
        low = self.low(s, phase[target])
        entry = int(low.max(initial=0)) if kind == "byte" or rng.random() < 0.3 else 0
        entry = 1 if kind == "plastic" else entry
        field = np.maximum(rng.integers(0, 7, k) * (rng.random() < 0.7), low - entry)
        largest = {"narrow": 15, "byte": 127}.get(kind, 150)
        weight = rng.integers(0 if kind == "plastic" else -largest // 2, largest + 1, k)
        if kind == "plastic":
            learner = int(rng.integers(0, len(learners)))
            weight = np.clip(weight, learners[learner].w_min, learners[learner].w_max)
            made = block(s, kind, rows=rows, words=word(kind, target, weight, field), learner=learner,
                         phase=sender.phase, delay=1)
        else:
            made = block(s, kind, rows=rows, words=word(kind, target, weight, field), phase=sender.phase, delay=entry)
        return dataclasses.replace(made, mask=mask)

    def is_pair(self, s: int) -> bool:
        """Can one entry stand for slices s and s + 1?"""
        phases = [self.senders[tile.sender].phase for _, tile in self.slices[s : s + 2]]
        return key_of(s) // SPREAD % 2 == 0 and len(phases) == 2 and phases[0] == phases[1]

    def both(self, s: int, rows: np.ndarray) -> np.ndarray:
        """Rows of two slices."""
        more = self.rng.integers(0, 5, len(self.slices[s + 1][1].elements))
        return np.r_[rows, np.full(SPREAD - len(rows), rows[-1]), rows[-1] + np.r_[0, np.cumsum(more)]]

    def pairs(self, s: int, n: int, phase: np.ndarray) -> Block:
        """A block of float32 weights."""
        rng, tile = self.rng, self.slices[s][1]
        rows = np.r_[0, np.cumsum(rng.integers(0, 9, len(tile.elements)))]
        targets = rng.integers(0, 6 * n, int(rows[-1]))
        delay = int(rng.integers(self.low(s, phase[targets % n]).max(initial=0), 5))
        return block(s, "csr", rows=rows, words=rng.normal(0, 1, len(targets)).astype(np.float32),
                     targets=targets.astype(np.uint32), phase=self.senders[tile.sender].phase, delay=delay)

    def conv(self, s: int, pe: int) -> Block | None:
        """A convolution from a box of senders to a box of this PE's neurons."""
        rng, tile, which = self.rng, self.slices[s][1], int(self.rng.integers(0, len(self.homes[pe])))
        there = self.homes[pe][which]
        sender, receiver = self.senders[tile.sender], self.senders[there.sender]
        groups = int(rng.choice([g for g in (1, 2, 3) if sender.shape[0] % g == 0 and receiver.shape[0] % g == 0]))
        shape = dict(zip(("in_channel", "in_y", "in_x"), tile.origin, strict=True))
        shape |= dict(zip(("in_channels", "in_height", "in_width"), tile.extent, strict=True))
        shape |= dict(zip(("out_channel", "out_y", "out_x"), there.origin, strict=True))
        shape |= dict(zip(("out_channels", "out_height", "out_width"), there.extent, strict=True))
        for axis in "yx":
            shape |= {f"kernel_{axis}": int(rng.integers(1, 4)), f"stride_{axis}": int(rng.integers(1, 3)),
                      f"pad_{axis}": int(rng.integers(0, 3)), f"dilation_{axis}": int(rng.integers(1, 3))}
        size = int(rng.integers(1, 3))
        shape |= {"first": sum(len(t.elements) for t in self.homes[pe][:which]), "weight_bytes": size,
                  "group_in": sender.shape[0] // groups, "group_out": receiver.shape[0] // groups}
        assert set(shape) == set(CONV_FIELDS[:-1])
        dims = tuple(shape[f] for f in ("out_channels", "group_in", "kernel_y", "kernel_x"))
        kernel = rng.integers(-60, 120, dims).astype(np.int8 if size == 1 else np.int16)
        low = int(self.low(s, np.array([receiver.phase])).max())
        return block(s, "conv", shape=shape, kernel=kernel, phase=sender.phase, delay=int(rng.integers(low, 8)))


def random_stimulus(rng: np.random.Generator, program: SpinnakerProgram, samples: int = 2) -> Stimulus:
    """Events for all inputs: spikes, or values where packets carry some."""
    if not program.inputs:
        return Stimulus.silent(STEPS, samples)
    arrays = {}
    for s in program.inputs:
        spikes = rng.random((samples, STEPS, s.n)) < rng.choice([0.05, 0.3, 0.7])
        graded = any(x.model == "egru" for x in program.populations)
        arrays[s.name] = spikes * (rng.normal(0, 1, spikes.shape) if graded else 1)
    return Stimulus.dense(arrays, program.input_shapes)
