"""What a slice of neurons takes of a SpiNNaker 2 PE: bytes of its memory and cycles of a tick, before it is emitted.

Bytes are those of hwsdk.programs.spinnaker_image, counted so that they are never too few. Cycles are those of the
target's cycle model at an expected activity: packets and synaptic events a tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.plastic import StoredPairSTDP, decay_table
from hwsdk.ir.recurrent import EGRU
from hwsdk.ir.single import SingleLIF
from hwsdk.mappers.phases import Phases
from hwsdk.mappers.spinnaker_wires import EVENT, Cut, Wire, Wiring
from hwsdk.programs.spinnaker_image import (
    ACCUMULATORS,
    CONV_BYTES,
    ENTRY_BYTES,
    HEADER_BYTES,
    HISTORY_BYTES,
    HISTORY_HEAD,
    LEARNER_BYTES,
    NEURON_FIELDS,
    PRE_BYTES,
    SLICE_BYTES,
    row_section_bytes,
)

Floats = NDArray[np.float64]
PADDING = 8
"""Words and kernels of an entry start on 8 bytes; up to so many are lost."""


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """Of one PE. data_bytes; tick_cycles: of a phase tick, infinite without a timer; neurons: that are addressed;
    cycles: name -> PE cycles. phases: of a step, and of each sender.
    """

    data_bytes: int
    tick_cycles: float
    neurons: int
    cycles: Mapping[str, float]
    phases: Phases = field(default_factory=Phases)

    def phase(self, sender: str) -> int:
        """In which phase of a step a sender sends."""
        return self.phases.of.get(sender, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """Expected spikes of each element in a tick: share * rates, at most 1. records: populations that are recorded."""

    rates: Mapping[str, Floats]
    records: frozenset[str] = frozenset()
    share: float = 1.0
    graded: bool = field(default=False)

    def of(self, sender: str) -> Floats:
        """(n,) of a sender."""
        return np.minimum(self.rates[sender] * self.share, 1.0)

    def times(self, share: float) -> Activity:
        """Another share."""
        return replace(self, share=share)


def model_of(cell: Neuron) -> str:
    """The neuron model of a population, a key of NEURON_FIELDS."""
    if isinstance(cell, EGRU):
        return "egru"
    return "lif_curr" if isinstance(cell, SingleLIF) and cell.decay_u.any() else "lif"


def slots_of(wires: list[Wire], phases: int) -> int:
    """Slots of the ring of accumulators: a power of two that holds every step on its way."""
    longest = max((w.longest for w in wires), default=1) + (phases > 1)
    return 1 << max(longest - 1, 0).bit_length()


def rules_of(wires: list[Wire]) -> list[StoredPairSTDP]:
    """The learning rules of some wires, each once."""
    found = [w.node.rule for w in wires if w.kind == "plastic"]  # type: ignore[union-attr]
    return [r for r in dict.fromkeys(found) if isinstance(r, StoredPairSTDP)]


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """What a population takes without its wires' words. Bytes and cycles of a PE before any neuron, and of a neuron."""

    base_bytes: float
    base_cycles: float
    neuron_bytes: float
    neuron_cycles: float

    @classmethod
    def of(cls, network: Network, name: str, wires: list[Wire], limits: Limits, activity: Activity) -> Own:
        """Of one population."""
        model, rules, c = model_of(network.populations[name]), rules_of(wires), limits.cycles
        tables = sum(4 * (len(decay_table(r.tau_plus)) + len(decay_table(r.tau_minus))) for r in rules)
        history = max((r.history for r in rules), default=0)
        recorded = name in activity.records
        neuron = 4 * len(NEURON_FIELDS[model]) + 4 * ACCUMULATORS[model] * slots_of(wires, limits.phases.count)
        neuron += len(rules) * (HISTORY_HEAD + HISTORY_BYTES * history)
        cycles = c[{"lif": "neuron_lif", "lif_curr": "neuron_curr", "egru": "neuron_egru"}[model]]
        cycles += c["neuron_stdp"] if rules else 0.0
        fires = float(activity.of(name).max(initial=0.0))
        return cls(HEADER_BYTES + SLICE_BYTES + len(rules) * LEARNER_BYTES + tables + PADDING + 4 * recorded,
                   c["tick"], neuron + recorded / 8,
                   cycles + fires * (c["spike_out"] + c["recorded"] * recorded))


def hearing(wire: Wire, cut: Cut, activity: Activity, limits: Limits) -> tuple[Floats, Floats]:
    """(bytes, cycles) of hearing each slice of a wire's sender: its table entry, its rows, its packets."""
    sizes = cut.sizes.astype(np.float64)
    if wire.kind == "conv":
        size = np.full(len(sizes), float(ENTRY_BYTES + CONV_BYTES))
    else:
        rows = row_section_bytes(cut.sizes).astype(np.float64)
        size = ENTRY_BYTES + rows + PADDING + PRE_BYTES * sizes * (wire.kind == "plastic")
    return size, cut.sums(activity.of(wire.source)) * limits.cycles["packet"]


def event_cycles(wire: Wire, limits: Limits) -> float:
    """Cycles of one synaptic event."""
    return limits.cycles[EVENT[wire.kind]]


def together(wiring: Wiring, names: tuple[str, ...]) -> list[Wire]:
    """The wires into some populations."""
    return [w for n in names for w in wiring.into(n)]
