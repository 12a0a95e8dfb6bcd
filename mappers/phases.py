"""phases: parts of a step, one after the other, for networks in which a spike may act in the step that made it.

A chip whose spikes need a moment to arrive can either let populations run behind the model (a pipeline, see retime) or
compute the populations of one step one after the other. The second needs no lags and bears any loop that the model
bears, but a step takes as many ticks as it has phases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hwsdk.errors import InternalError, UnsupportedError
from hwsdk.ir import graph
from hwsdk.ir.ledger import LedgerWriter
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron
from hwsdk.ir.nodes import ConvSynapses, Input, Synapses
from hwsdk.mappers.lower import Lower

TIMINGS = ("auto", "pipelined", "phased")
RETRIED = ("LOOP_TOO_SHORT", "PLASTIC_LAG")
"""Why a pipeline may not exist although phases do."""


@dataclass(frozen=True, slots=True)
class Phases:
    """count: phases of a step, 1 or more. of: population or input -> its phase, 0 .. count - 1; inputs are in 0."""

    count: int = 1
    of: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", MappingProxyType(dict(self.of)))

    def to_text(self) -> str:
        """One line a phase."""
        members: dict[int, list[str]] = {}
        for name, phase in self.of.items():
            members.setdefault(phase, []).append(name)
        rows = [f"  {phase}: {', '.join(sorted(names, key=graph.natural_key))}" for phase, names in sorted(
            members.items())]
        return "\n".join([f"{self.count} phase(s) a step", *rows]) + "\n"


def phases_of(network: Network) -> Phases:
    """The smallest number of phases with which every connection of delay 0 leads from a phase to a later one.

    Each population is as early as it can be. Relays (hwsdk.mappers.relay) need no phase of their own, so the phases may
    be taken before or after them.
    """
    instant = instant_pairs(network)
    names = [*network.inputs, *network.populations]
    order, loop = graph.topological_order(names, instant)
    if loop:
        raise InternalError(f"the loop {' -> '.join(loop)} has no delay")
    before: dict[str, list[str]] = {}
    for source, target in instant:
        before.setdefault(target, []).append(source)
    phase: dict[str, int] = {}
    for name in order:
        phase[name] = max((phase[s] + 1 for s in before.get(name, ())), default=0)
    return Phases(max(phase.values(), default=0) + 1, phase)


def instant_pairs(network: Network) -> list[tuple[str, str]]:
    """(emitter, population) that a synapse of delay 0 joins, sorted; plastic synapses take 1 step or more."""
    pairs = set()
    for name, node in network.of(Synapses, ConvSynapses).items():
        if not isinstance(node, Synapses | ConvSynapses) or _first(node) != 0:
            continue
        pairs |= {(a.source, b.target) for a in network.sources(name) for b in network.targets(name)
                  if not a.delay_ticks and not b.delay_ticks and
                  isinstance(network.nodes[a.source], Input | Neuron) and isinstance(network.nodes[b.target], Neuron)}
    return sorted(pairs)


def _first(node: Synapses | ConvSynapses) -> int | None:
    """The shortest delay, None without synapses."""
    if isinstance(node, ConvSynapses):
        return node.delay_ticks
    return int(node.delay_ticks.min()) if node.delay_ticks.size else None


def timed(network: Network, timing: str = "auto", plastic: bool = True) -> tuple[Network, Phases]:
    """Lower a network for a chip that can do either.

    Args:
        timing: "pipelined", every connection takes a step or more and populations run behind the model; "phased",
            they keep the model's time and a step has phases; "auto", pipelined where the model's loops allow it.
        plastic: does the target learn?

    Returns:
        (the lowered network, its phases: one for a pipeline). The ledger says which it is and why.

    Raises:
        UnsupportedError: BAD_TIMING, and what Lower raises.
    """
    if timing not in TIMINGS:
        raise UnsupportedError(f"timing {timing!r}", code="BAD_TIMING", fix=f"use one of {', '.join(TIMINGS)}")
    why = "as asked"
    if timing != "phased":
        try:
            lowered = Lower(min_delay=1, plastic=plastic)(network)
        except UnsupportedError as error:
            if timing == "pipelined" or error.code not in RETRIED:
                raise
            why = f"since {error.what}"
        else:
            return lowered, Phases(1, dict.fromkeys([*lowered.inputs, *lowered.populations], 0))
    lowered = Lower(min_delay=0, plastic=plastic)(network)
    phases, log = phases_of(lowered), LedgerWriter()
    log.changed("", "PHASED", f"{phases.count} phase(s) a step, {why}")
    return lowered.replace(ledger=lowered.ledger + log.done()), phases
