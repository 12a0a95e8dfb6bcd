"""LoihiProgram: what every core's memory holds, in flat arrays with one pointer array a level."""

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
from hwsdk.programs.stored import StoredProgram

RESETS = ("value", "subtract")
MODELS: dict[str, tuple[str, ...]] = {
    "lif": ("refractory", "reset_interval", "reset_offset"),
    "atrlif": ("dtheta", "dr", "theta_step"),
    "rf": ("sin", "cos", "decay_bits", "state_exp"),
    "rf_iz": ("sin", "cos", "decay_bits", "state_exp"),
    "sigma_delta": ("spike_exp", "state_exp", "relu", "cum_error"),
    "delta": ("spike_exp", "state_exp", "relu", "cum_error"),
    "graded": (),
    "graded_relu": (),
}
"""Neuron model -> what the rows of ``LoihiArrays.extra`` hold; the formulas are those of hwsdk.ir.fixed."""
STATES: dict[str, tuple[str, ...]] = {
    "lif": ("u", "v"), "atrlif": ("u", "v", "theta", "r"), "rf": ("re", "im"), "rf_iz": ("re", "im"),
    "sigma_delta": ("sigma", "act", "residue", "error"), "delta": ("sigma", "act", "residue", "error"),
    "graded": (), "graded_relu": (),
}
"""Neuron model -> names of its states; u_init and v_init start the first two, the others start as the model says."""
READ_OUT = {"lif": "v", "sigma_delta": "act"}
"""Neuron model -> the state that is read out of a population that does not fire."""
GRADED = ("sigma_delta", "delta", "graded", "graded_relu")
TWO_PORTS = ("rf", "rf_iz")
"""Models with a second input, for the imaginary part."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that sends spikes: a graph input or a population. ``first`` is the id of its first element.

    model: neuron model, a key of MODELS; "" for an input.
    """

    name: str
    shape: Shape
    first: int
    fires: bool = True
    lag: int = 0
    model: str = ""

    @property
    def n(self) -> int:
        """Elements."""
        return size(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class LoihiArrays:
    """The cores' memories. C cores, N neurons in core order, A input axons, G segments, R rows, E entries.

    core_chip, core_x, core_y (C): chip and router of each core. neuron_ptr (C+1), axon_ptr (C+1), core_row_ptr (C+1).
    source_id (N): the id by which a neuron sends. du, dv, vth, bias, u_init, v_init, reset_by (N); reset (N): index
    into RESETS; fires (N) bool; vth and bias in the unit that the neuron's model says. extra (4, N), or (4, 0) if no
    neuron needs it: what MODELS names, unused rows 0.

    A spike of source s reaches a core through its axon there (axon_source (A)), which has segments segment_ptr (A+1).
    A segment is a row of the core (segment_row (G)) and a base (segment_base (G)). A row has entries row_ptr (R+1) of
    target (E), weight (E) mantissa and delay (E) in steps, 1 or more, and is stored once however many segments use it:
    row_exponent (R), row_bits (R) of a weight, row_shared (R): a row of a convolution kernel, stored without indices.
    What it adds to: accumulator base + target of the core. The core's n neurons have the accumulators 0 to n - 1, and
    those of a model of TWO_PORTS, in core order, have a second one each from n on.

    out_ptr (sources+1), out_core: the cores that each source id sends to.
    """

    core_chip: NDArray[np.int32]
    core_x: NDArray[np.int32]
    core_y: NDArray[np.int32]
    neuron_ptr: NDArray[np.int64]
    source_id: NDArray[np.int64]
    du: NDArray[np.int32]
    dv: NDArray[np.int32]
    vth: NDArray[np.int32]
    bias: NDArray[np.int32]
    u_init: NDArray[np.int32]
    v_init: NDArray[np.int32]
    reset: NDArray[np.uint8]
    reset_by: NDArray[np.int32]
    fires: NDArray[np.bool_]
    extra: NDArray[np.int32]
    axon_ptr: NDArray[np.int64]
    axon_source: NDArray[np.int64]
    segment_ptr: NDArray[np.int64]
    segment_row: NDArray[np.int32]
    segment_base: NDArray[np.int32]
    core_row_ptr: NDArray[np.int64]
    row_ptr: NDArray[np.int64]
    row_exponent: NDArray[np.int8]
    row_bits: NDArray[np.uint8]
    row_shared: NDArray[np.bool_]
    target: NDArray[np.int32]
    weight: NDArray[np.int16]
    delay: NDArray[np.uint8]
    out_ptr: NDArray[np.int64]
    out_core: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class LoihiProgram(StoredProgram):
    """A network placed on Loihi-style cores; the simulator and a device run the same one.

    inputs and populations: the senders, ids ascending, inputs first. outputs: output name -> population. usage: for
    each core, resource -> words or entries used. losses: what quantisation cost, as text. graded_input: may an input
    spike carry a value other than 1?
    """

    name: str
    target: str
    target_version: str
    target_digest: str
    model_digest: str
    chips: int
    inputs: tuple[Source, ...]
    populations: tuple[Source, ...]
    outputs: Mapping[str, tuple[str, ...]]
    arrays: LoihiArrays
    semantics: Semantics
    usage: tuple[Mapping[str, int], ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    losses: str = ""
    graded_input: bool = False
    exit_rule: ExitRule | None = None

    kind = "loihi"

    @property
    def n_cores(self) -> int:
        """Cores that hold neurons."""
        return len(self.arrays.core_chip)

    @property
    def n_neurons(self) -> int:
        """Neurons on all cores."""
        return len(self.arrays.source_id)

    @property
    def n_synapses(self) -> int:
        """Synapses on all cores: those of a shared row count once for every segment that uses it."""
        return int(np.diff(self.arrays.row_ptr)[self.arrays.segment_row].sum())

    def core_of(self) -> NDArray[np.int32]:
        """Core of each neuron, in core order."""
        return np.repeat(np.arange(self.n_cores, dtype=np.int32), np.diff(self.arrays.neuron_ptr))

    def _decide(self) -> tuple[Source, ...]:
        return self.populations

    @classmethod
    def _from(cls, manifest: container.Manifest, arrays: dict[str, NDArray[Any]]) -> LoihiProgram:
        body = manifest.body
        return cls(
            body["name"], manifest.target, manifest.target_version, manifest.target_digest, body["model_digest"],
            body["chips"], _sources(body["inputs"]), _sources(body["populations"]),
            {k: tuple(v) for k, v in body["outputs"].items()},
            LoihiArrays(**{f.name: arrays[f.name] for f in dataclasses.fields(LoihiArrays)}),
            Semantics(**manifest.semantics), tuple(body["usage"]),
            Ledger(tuple(LedgerEntry(*row) for row in manifest.ledger)), body["losses"], body["graded_input"])

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """Input name -> shape."""
        return {s.name: s.shape for s in self.inputs}

    def _body(self) -> dict[str, Any]:
        """The JSON part of the program."""
        return {
            "name": self.name, "model_digest": self.model_digest, "chips": self.chips,
            "inputs": [[s.name, list(s.shape), s.first, s.fires, s.lag, s.model] for s in self.inputs],
            "populations": [[s.name, list(s.shape), s.first, s.fires, s.lag, s.model] for s in self.populations],
            "outputs": {k: list(v) for k, v in self.outputs.items()},
            "usage": [dict(u) for u in self.usage], "losses": self.losses, "graded_input": self.graded_input,
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {f.name: getattr(self.arrays, f.name) for f in dataclasses.fields(LoihiArrays)}

    def to_text(self) -> str:
        """A stable, readable listing: senders, then one line a core."""
        a = self.arrays
        lines = [f"program {self.name} for {self.target} version {self.target_version}, {self.chips} chip(s)",
                 f"semantics {self.semantics.to_text()}"]
        lines += [f"input {s.name} {list(s.shape)} ids {s.first}..{s.first + s.n - 1}" for s in self.inputs]
        lines += [f"population {s.name} {list(s.shape)} ids {s.first}..{s.first + s.n - 1} lag {s.lag}"
                  f"{'' if s.model == 'lif' else ' ' + s.model}{'' if s.fires else ' read out'}"
                  for s in self.populations]
        lines += [f"output {n} from {', '.join(p)}" for n, p in self.outputs.items()]
        lines += self._exit_text()
        for c in range(self.n_cores):
            lo, hi = a.neuron_ptr[c], a.neuron_ptr[c + 1]
            used = " ".join(f"{k}={v}" for k, v in (self.usage[c] if self.usage else {}).items())
            lines.append(f"core {c} chip {a.core_chip[c]} router ({a.core_x[c]},{a.core_y[c]}) "
                         f"{self._slices(int(lo), int(hi))} {used}")
        return "\n".join(lines) + "\n"

    def _slices(self, lo: int, hi: int) -> str:
        """Which neurons of which populations a core holds."""
        ids = self.arrays.source_id[lo:hi]
        parts = []
        for s in self.populations:
            own = ids[(ids >= s.first) & (ids < s.first + s.n)] - s.first
            if len(own):
                parts.append(f"{s.name}[{own.min()}..{own.max()}]" if len(own) == own.max() - own.min() + 1
                             else f"{s.name}[{len(own)} neurons]")
        return "+".join(parts)


def _sources(rows: list[list[Any]]) -> tuple[Source, ...]:
    """Senders from their JSON form."""
    return tuple(Source(name, tuple(shape), *rest) for name, shape, *rest in rows)
