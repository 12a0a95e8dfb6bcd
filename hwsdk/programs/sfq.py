"""PulseNetlist: a network as cells of single-flux-quantum logic, the nets between them, and the times of its frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.ir.cells import CellType
from hwsdk.ir.early_exit import ExitRule
from hwsdk.ir.ledger import Ledger, LedgerEntry
from hwsdk.ir.nodes import Shape, frozen, size
from hwsdk.ir.semantics import Semantics
from hwsdk.programs import container
from hwsdk.programs.sfq_body import require_body
from hwsdk.programs.stored import Port, StoredProgram, lags_of

STYLES = ("counter", "loop")


@dataclass(frozen=True, slots=True)
class Layer:
    """A population. style: one of STYLES. read_fs: nominal time, from the start of a frame, at which a neuron's spike
    passes its spike net; the spike belongs to the frame whose read time is nearest. keeps: whether its neurons keep
    anything for the next frame; counters that do not are zeroed before a frame ends, so that no state can be seen.
    """

    name: str
    shape: Shape
    style: str
    read_fs: int
    lag: int = 0
    keeps: bool = True

    @property
    def n(self) -> int:
        """Neurons."""
        return size(self.shape)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times in fs. Frame f starts at start_fs + f * frame_fs.

    frame sources (SfqArrays.frame_source) pulse in every frame, at frame_offset_fs after its start; init sources once,
    at init_fs from the beginning of a run, before frame 0. An input value of step t pulses at input_offset_fs after the
    start of frame t. max_steps: frames for which no counter can wrap round; None: any number.
    """

    frame_fs: int
    start_fs: int = 0
    init_fs: int = 0
    input_offset_fs: int = 0
    max_steps: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SfqArrays:
    """C cells; N nets, each from one output pin to one input pin; every pin of every cell has exactly one net.

    cell_type (C): index into PulseNetlist.types; cell_group (C): into groups (whose bias line it is on); cell_part (C):
    into parts (what it is for). from_cell, from_pin, to_cell, to_pin (N): pins by their place in the type's lists.
    input_source (I): SRC cell of each element of the inputs, in order. frame_source, frame_offset_fs (F); init_source.
    spike_net (n): of each neuron of all layers in order, the net on which its spike pulses are seen.

    soma_cell (M), soma_bias_a (M): cells of a soma type and their bias currents in A. branch_ptr (M+1) into branch_a,
    branch_tau_fs (B): weight in A and decay time in fs of each input pin, in pin order.
    branch_l_h (B): henry of the branch's own inductor, and branch_r_ohm (B); branch_k (B): coupling of the transformer
    of an inhibitory branch, 0 for a direct one.

    bit_ptr (n+1), bit_cell: TFF cells of each counter neuron from the lowest bit; v_zero (n): the counter's value at
    v = 0, so that v = signed(count - v_zero) of as many bits; loop neurons have no bits.
    """

    cell_type: NDArray[np.int16]
    cell_group: NDArray[np.int16]
    cell_part: NDArray[np.uint8]
    from_cell: NDArray[np.int32]
    from_pin: NDArray[np.int16]
    to_cell: NDArray[np.int32]
    to_pin: NDArray[np.int16]
    input_source: NDArray[np.int32]
    frame_source: NDArray[np.int32]
    frame_offset_fs: NDArray[np.int64]
    init_source: NDArray[np.int32]
    spike_net: NDArray[np.int32]
    soma_cell: NDArray[np.int32]
    soma_bias_a: NDArray[np.float64]
    branch_ptr: NDArray[np.int64]
    branch_a: NDArray[np.float64]
    branch_tau_fs: NDArray[np.float64]
    branch_l_h: NDArray[np.float64]
    branch_r_ohm: NDArray[np.float64]
    branch_k: NDArray[np.float64]
    bit_ptr: NDArray[np.int64]
    bit_cell: NDArray[np.int32]
    v_zero: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PulseNetlist(StoredProgram):
    """A network in cells and nets; the simulator, the writers and the analog check read the same one.

    types: the cells of the library that occur, as they are in the target's description. groups: names of the bias
    lines: one a population, and "clock" for what all share. parts: what cells are for, see mappers. wires: "abut" or
    "ptl". timing: name -> figure of the static timing check, in fs. losses: what quantisation cost, as text.
    """

    name: str
    target: str
    target_version: str
    target_digest: str
    model_digest: str
    inputs: tuple[Port, ...]
    layers: tuple[Layer, ...]
    outputs: Mapping[str, tuple[str, ...]]
    types: tuple[CellType, ...]
    groups: tuple[str, ...]
    parts: tuple[str, ...]
    schedule: Schedule
    arrays: SfqArrays
    semantics: Semantics
    wires: str = "abut"
    timing: Mapping[str, int] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    losses: str = ""
    exit_rule: ExitRule | None = None

    kind = "sfq"

    @property
    def n_cells(self) -> int:
        """All cells."""
        return len(self.arrays.cell_type)

    @property
    def n_nets(self) -> int:
        """All nets."""
        return len(self.arrays.from_cell)

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """Input name -> shape."""
        return {p.name: p.shape for p in self.inputs}

    @property
    def lag(self) -> dict[str, int]:
        """Population, and output that reads one, -> frames that it runs behind the model."""
        return lags_of(self.layers, self.outputs)

    @cached_property
    def type_counts(self) -> dict[str, int]:
        """Cell type -> cells of it."""
        counts = np.bincount(self.arrays.cell_type, minlength=len(self.types))
        return {t.name: int(n) for t, n in zip(self.types, counts, strict=True)}

    @cached_property
    def junctions(self) -> int:
        """Josephson junctions of all cells."""
        return sum(t.jj * self.type_counts[t.name] for t in self.types)

    @cached_property
    def input_base(self) -> NDArray[np.int64]:
        """(C+1): where each cell's input pins begin when all are numbered through."""
        width = np.array([len(t.inputs) for t in self.types], np.int64)
        return np.concatenate([[0], np.cumsum(width[self.arrays.cell_type])])

    @cached_property
    def output_base(self) -> NDArray[np.int64]:
        """(C+1): the same for output pins."""
        width = np.array([len(t.outputs) for t in self.types], np.int64)
        return np.concatenate([[0], np.cumsum(width[self.arrays.cell_type])])

    @cached_property
    def driven(self) -> NDArray[np.int64]:
        """(output pins): the net that each drives; -1 if none does."""
        a = self.arrays
        net = np.full(int(self.output_base[-1]), -1, np.int64)
        net[self.output_base[a.from_cell] + a.from_pin] = np.arange(self.n_nets)
        return net

    def cell_name(self, cell: int) -> str:
        """A name that says what the cell is: part, type and number, fit for Verilog and decks."""
        a = self.arrays
        return f"{self.parts[a.cell_part[cell]]}_{self.types[a.cell_type[cell]].name.lower()}_{cell}"

    def neurons(self, layer: str) -> slice:
        """Where a layer's neurons lie in spike_net, bit_ptr and v_zero."""
        first = 0
        for own in self.layers:
            if own.name == layer:
                return slice(first, first + own.n)
            first += own.n
        raise KeyError(layer)

    def somas(self, layer: str) -> NDArray[np.int64]:
        """Places in soma_cell of a loop layer's neurons, in their order; none for a counter layer."""
        a = self.arrays
        group = self.groups.index(layer) if layer in self.groups else -1
        return np.flatnonzero(a.cell_group[a.soma_cell] == group)

    def tuned(self, layer: str, bias_a: NDArray[np.float64] | float) -> PulseNetlist:
        """The same cells and nets with other currents into the somas of a layer, which set their thresholds.

        Args:
            bias_a: A, one for each neuron or one for all.

        Raises:
            UnsupportedError: NO_SOMAS, the layer has none.
        """
        own = self.somas(layer)
        if not len(own):
            raise UnsupportedError("no current sets the thresholds of counters", where=layer, code="NO_SOMAS",
                                   fix='compile the layer as loops (neuron="loop")')
        currents = self.arrays.soma_bias_a.copy()
        currents[own] = bias_a
        return replace(self, arrays=replace(self.arrays, soma_bias_a=frozen(currents)))

    def _decide(self) -> tuple[Layer, ...]:
        return self.layers

    @classmethod
    def _from(cls, manifest: container.Manifest, arrays: dict[str, NDArray[Any]]) -> PulseNetlist:
        b = manifest.body
        require_body(b)
        return cls(
            b["name"], manifest.target, manifest.target_version, manifest.target_digest, b["model_digest"],
            tuple(Port(n, tuple(s)) for n, s in b["inputs"]),
            tuple(Layer(n, tuple(s), *rest) for n, s, *rest in b["layers"]),
            {k: tuple(v) for k, v in b["outputs"].items()}, tuple(CellType.from_json(t) for t in b["types"]),
            tuple(b["groups"]), tuple(b["parts"]), Schedule(**b["schedule"]),
            SfqArrays(**{f.name: arrays[f.name] for f in dataclasses.fields(SfqArrays)}),
            Semantics(**manifest.semantics), b["wires"], dict(b["timing"]),
            Ledger(tuple(LedgerEntry(*row) for row in manifest.ledger)), b["losses"])

    def _body(self) -> dict[str, Any]:
        """The JSON part of the program."""
        return {
            "name": self.name, "model_digest": self.model_digest,
            "inputs": [[p.name, list(p.shape)] for p in self.inputs],
            "layers": [[x.name, list(x.shape), x.style, x.read_fs, x.lag, x.keeps] for x in self.layers],
            "outputs": {k: list(v) for k, v in self.outputs.items()}, "types": [t.to_json() for t in self.types],
            "groups": list(self.groups), "parts": list(self.parts), "schedule": dataclasses.asdict(self.schedule),
            "wires": self.wires, "timing": dict(self.timing), "losses": self.losses,
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {f.name: getattr(self.arrays, f.name) for f in dataclasses.fields(SfqArrays)}

    def to_text(self) -> str:
        """A stable, readable listing: frames, ports, layers, cell counts, then one line a cell with where it leads."""
        s = self.schedule
        lines = [f"netlist {self.name} for {self.target} version {self.target_version}",
                 f"semantics {self.semantics.to_text()}",
                 f"frame {s.frame_fs} fs, start {s.start_fs}, init {s.init_fs}, input {s.input_offset_fs}, "
                 f"at most {s.max_steps or 'any number of'} steps, wires {self.wires}"]
        lines += [f"input {p.name} {list(p.shape)}" for p in self.inputs]
        lines += [f"layer {x.name} {list(x.shape)} {x.style} read {x.read_fs} lag {x.lag}"
                  f"{'' if x.keeps else ' without memory'}" for x in self.layers]
        lines += [f"output {n} from {', '.join(p)}" for n, p in self.outputs.items()]
        lines += self._exit_text()
        lines += [f"timing {n} {v}" for n, v in self.timing.items()]
        lines += [f"cells {n} {k}" for n, k in self.type_counts.items()]
        return "\n".join([*lines, *map(self._cell_text, range(self.n_cells))]) + "\n"

    def _cell_text(self, cell: int) -> str:
        """One cell, on whose bias line it is, and the pins that its outputs drive."""
        a, base = self.arrays, self.output_base
        nets = self.driven[base[cell] : base[cell + 1]]
        ends = [f"{self.cell_name(int(a.to_cell[n]))}.{self.types[a.cell_type[a.to_cell[n]]].inputs[a.to_pin[n]]}"
                if n >= 0 else "nothing" for n in nets]
        return f"cell {self.cell_name(cell)} on {self.groups[a.cell_group[cell]]}" + (
            f" -> {' '.join(ends)}" if ends else "")
