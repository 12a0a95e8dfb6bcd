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
            whole(range(chips)), whole([0] * chips), whole([p.chip for p in self.pes]), whole([p.core for p in self.pes]),
            whole([p.core % 7 for p in self.pes]), whole([p.core // 7 for p in self.pes]),
            whole([1 + p.core % 4 for p in self.pes]),
            np.r_[0, np.cumsum([len(i) for i in images])].astype(np.int64), np.concatenate(images),
            np.r_[0, np.cumsum([len(p.owners) for p in self.pes])].astype(np.int64), whole([k for k, _ in owners]),
            np.r_[0, np.cumsum([len(e) for _, e in owners])].astype(np.int64),
            np.concatenate([e for _, e in owners]).astype(np.int32),
            np.r_[0, np.cumsum([len(r) for r in rows])].astype(np.int64), whole([k for k, _, _ in flat], np.uint32),
            np.full(len(flat), 2**32 - SPREAD, np.uint32), pes, whole([x for _, _, x in flat], np.uint8))
        program = SpinnakerProgram("hand", "spinnaker2", "0", "", "", self.inputs, self.populations, self.outputs, arrays,
                                   MACHINE, Semantics())
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
