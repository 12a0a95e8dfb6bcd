"""SpinnakerProgram: the memory image of every PE, the routing tables of every chip, and how the ticks are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.early_exit import ExitRule
from hwsdk.ir.ledger import Ledger, LedgerEntry
from hwsdk.ir.nodes import Shape, size
from hwsdk.ir.semantics import Semantics
from hwsdk.programs import container
from hwsdk.programs.spinnaker_decode import decode, header
from hwsdk.programs.spinnaker_image import APPLICATIONS, PeMemory
from hwsdk.programs.stored import StoredProgram

SYNC = ("timer", "barrier")
LEVELS = ("auto", "low", "high")
STATES: dict[str, tuple[str, ...]] = {"lif": ("u", "v"), "egru": ("h",)}
"""Neuron model -> names of its states."""
ROUTE_WORDS = 5
"""uint32 words that hold one bit for each PE of a chip: bit core % 32 of word core // 32."""
LINKS = ("E", "NE", "N", "W", "SW", "S")
"""Links of a chip, by number; bit k of router_links is link k."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A graph input or a population. model: "lif" or "egru", "" for an input. phase: of a step, in which it sends."""

    name: str
    shape: Shape
    model: str = ""
    fires: bool = True
    lag: int = 0
    phase: int = 0

    @property
    def n(self) -> int:
        """Elements."""
        return size(self.shape)


@dataclass(frozen=True, slots=True)
class Learned:
    """A plastic projection: its n synapses, and the largest weight that its rule allows, in the chip's integers."""

    name: str
    n: int
    w_max: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What of the chip decides how a run goes, so that the program says it all.

    clocks in Hz of the PEs' performance levels. cycles: name -> PE cycles, see hwsdk.targets.spinnaker (calibrated, not
    measured). fifo: packets that a PE's input holds; more are dropped. hop_s, router_s, link_s: seconds that a packet
    takes for a hop of the NoC, through the router, and over a link to the next chip.
    """

    low_hz: float
    high_hz: float
    cycles: Mapping[str, float]
    fifo: int
    hop_s: float
    router_s: float
    link_s: float


@dataclass(frozen=True, slots=True, eq=False)
class SpinnakerArrays:
    """P PEs in the order of sender and slice; S slices; N senders' elements; R router entries; C chips.

    chip_x, chip_y (C): places on the board. pe_chip, pe_core (P): chip and core number 1 .. 152; pe_x, pe_y (P): place
    on the chip's NoC; pe_hops (P): hops between the PE and the router. image_ptr (P+1), image: the images.
    slice_ptr (P+1): slices of each PE; slice_sender (S): number of the sender, inputs first. neuron_ptr (S+1), neuron
    (N) int32: flat index in its sender of each atom. router_ptr (C+1): entries of each chip, the first that matches
    counts: router_key, router_mask, router_pes (R, ROUTE_WORDS), router_links (R). learned_ptr (P+1): words that learn
    of each PE, in the order of its table entries; learned_synapse: which synapse of the network each is, numbered
    through all projections of SpinnakerProgram.learned. Both are empty where there are none.
    """

    chip_x: NDArray[np.int32]
    chip_y: NDArray[np.int32]
    pe_chip: NDArray[np.int32]
    pe_core: NDArray[np.int32]
    pe_x: NDArray[np.int32]
    pe_y: NDArray[np.int32]
    pe_hops: NDArray[np.int32]
    image_ptr: NDArray[np.int64]
    image: NDArray[np.uint8]
    slice_ptr: NDArray[np.int64]
    slice_sender: NDArray[np.int32]
    neuron_ptr: NDArray[np.int64]
    neuron: NDArray[np.int32]
    router_ptr: NDArray[np.int64]
    router_key: NDArray[np.uint32]
    router_mask: NDArray[np.uint32]
    router_pes: NDArray[np.uint32]
    router_links: NDArray[np.uint8]
    learned_ptr: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    learned_synapse: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class SpinnakerProgram(StoredProgram):
    """A network on the PEs of one or more chips; the simulator and a device run the same one.

    sync: "timer": a phase tick starts every tick_s seconds; "barrier": when all PEs are done with the one before.
    phases: phase ticks of a step. level: performance level of the PEs; "auto" chooses in each tick by the number of
    packets. data_bytes: of a PE's memory. usage: for each PE, resource -> used. losses: what quantisation cost.
    learned: the projections whose weights change, in the order in which learned_synapse numbers their synapses.
    """

    name: str
    target: str
    target_version: str
    target_digest: str
    model_digest: str
    inputs: tuple[Sender, ...]
    populations: tuple[Sender, ...]
    outputs: Mapping[str, tuple[str, ...]]
    arrays: SpinnakerArrays
    machine: Machine
    semantics: Semantics
    sync: str = "timer"
    tick_s: float = 1e-3
    phases: int = 1
    level: str = "auto"
    data_bytes: int = 0
    usage: tuple[Mapping[str, int], ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    losses: str = ""
    learned: tuple[Learned, ...] = ()
    exit_rule: ExitRule | None = None

    kind = "spinnaker"

    @property
    def chips(self) -> int:
        """Chips in use."""
        return len(self.arrays.chip_x)

    @property
    def n_pes(self) -> int:
        """PEs in use."""
        return len(self.arrays.pe_chip)

    @property
    def senders(self) -> tuple[Sender, ...]:
        """Inputs, then populations; slice_sender counts in this order."""
        return (*self.inputs, *self.populations)

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """Input name -> shape."""
        return {s.name: s.shape for s in self.inputs}

    @property
    def n_neurons(self) -> int:
        """Neurons of all populations."""
        return sum(s.n for s in self.populations)

    def image(self, pe: int) -> NDArray[np.uint8]:
        """The memory image of a PE."""
        a = self.arrays
        return a.image[a.image_ptr[pe] : a.image_ptr[pe + 1]]

    def memory(self, pe: int) -> PeMemory:
        """The content of a PE's image; see hwsdk.programs.spinnaker_decode.decode."""
        return decode(self.image(pe))

    def application(self, pe: int) -> str:
        """The PE application, one of APPLICATIONS."""
        return APPLICATIONS[header(self.image(pe))["application"]]

    def _decide(self) -> tuple[Sender, ...]:
        return self.populations

    @classmethod
    def _from(cls, manifest: container.Manifest, arrays: dict[str, NDArray[Any]]) -> SpinnakerProgram:
        b = manifest.body
        return cls(
            b["name"], manifest.target, manifest.target_version, manifest.target_digest, b["model_digest"],
            _senders(b["inputs"]), _senders(b["populations"]), {k: tuple(v) for k, v in b["outputs"].items()},
            SpinnakerArrays(**{f.name: arrays[f.name] for f in dataclasses.fields(SpinnakerArrays)}),
            Machine(**b["machine"]), Semantics(**manifest.semantics), b["sync"], b["tick_s"], b["phases"], b["level"],
            b["data_bytes"], tuple(b["usage"]), Ledger(tuple(LedgerEntry(*row) for row in manifest.ledger)),
            b["losses"], tuple(Learned(*row) for row in b["learned"]))

    def _body(self) -> dict[str, Any]:
        """The JSON part of the program."""
        machine = {f.name: getattr(self.machine, f.name) for f in dataclasses.fields(Machine)}
        return {
            "name": self.name, "model_digest": self.model_digest, "inputs": _rows(self.inputs),
            "populations": _rows(self.populations), "outputs": {k: list(v) for k, v in self.outputs.items()},
            "machine": machine | {"cycles": dict(self.machine.cycles)}, "sync": self.sync, "tick_s": self.tick_s,
            "phases": self.phases, "level": self.level, "data_bytes": self.data_bytes,
            "usage": [dict(u) for u in self.usage], "losses": self.losses,
            "learned": [[x.name, x.n, x.w_max] for x in self.learned],
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {f.name: getattr(self.arrays, f.name) for f in dataclasses.fields(SpinnakerArrays)}

    def to_text(self) -> str:
        """A stable, readable listing: senders, then one line a PE, then the router entries of each chip."""
        a = self.arrays
        ticks = f"{self.phases} phase tick(s) a step" + (f" of {self.tick_s:g} s" if self.sync == "timer" else "")
        lines = [f"program {self.name} for {self.target} version {self.target_version}, {self.chips} chip(s)",
                 f"semantics {self.semantics.to_text()}", f"sync {self.sync}, {ticks}, level {self.level}"]
        lines += [f"input {s.name} {list(s.shape)}" for s in self.inputs]
        lines += [f"population {s.name} {list(s.shape)} lag {s.lag} phase {s.phase} {s.model}"
                  f"{'' if s.fires else ' read out'}" for s in self.populations]
        lines += [f"output {n} from {', '.join(p)}" for n, p in self.outputs.items()]
        lines += self._exit_text()
        lines += [f"learned {x.name} {x.n} synapses up to {x.w_max}" for x in self.learned]
        lines += [self._pe_text(p) for p in range(self.n_pes)]
        for c in range(self.chips):
            for r in range(a.router_ptr[c], a.router_ptr[c + 1]):
                pes = " ".join(str(k) for k in range(32 * ROUTE_WORDS) if a.router_pes[r, k // 32] >> (k % 32) & 1)
                links = " ".join(n for k, n in enumerate(LINKS) if a.router_links[r] >> k & 1)
                lines.append(f"route chip {c} key {a.router_key[r]:08x} mask {a.router_mask[r]:08x} cores {pes}"
                             + (f" links {links}" if links else ""))
        return "\n".join(lines) + "\n"

    def _pe_text(self, pe: int) -> str:
        """One PE."""
        a = self.arrays
        used = " ".join(f"{k}={v}" for k, v in (self.usage[pe] if self.usage else {}).items())
        parts = [self._slice_text(s) for s in range(a.slice_ptr[pe], a.slice_ptr[pe + 1])]
        return (f"pe {pe} chip {a.pe_chip[pe]} core {a.pe_core[pe]} ({a.pe_x[pe]},{a.pe_y[pe]}) {self.application(pe)} "
                f"{'+'.join(parts)} {used}")

    def _slice_text(self, s: int) -> str:
        """Which neurons of which sender a slice holds."""
        a = self.arrays
        own = a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]]
        name = self.senders[a.slice_sender[s]].name
        whole = len(own) and own.max() - own.min() + 1 == len(own)
        return f"{name}[{own.min()}..{own.max()}]" if whole else f"{name}[{len(own)} neurons]"


def _rows(senders: tuple[Sender, ...]) -> list[list[Any]]:
    """Senders in their JSON form."""
    return [[s.name, list(s.shape), s.model, s.fires, s.lag, s.phase] for s in senders]


def _senders(rows: list[list[Any]]) -> tuple[Sender, ...]:
    """Senders from their JSON form."""
    return tuple(Sender(name, tuple(shape), *rest) for name, shape, *rest in rows)
