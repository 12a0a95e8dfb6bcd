"""The form of a Loihi-style chip: cores on a mesh of routers that end every step at a barrier."""

from __future__ import annotations

from typing import Literal

from hwsdk.targets.description import Figure, Limit, Price, Strict, Target, fields_of

Counted = Literal["neuron_updates", "spikes", "messages", "synaptic_operations", "private_synaptic_operations",
                  "shared_synaptic_operations", "hops_ew", "hops_ns"]
"""Events with a price. Synaptic operations are those of private rows and those of shared rows (convolutions)."""


class LoihiPrice(Price):
    """Energy of one event of the kind ``per``."""

    per: Counted


class Barrier(Figure):
    """Time that all cores take to agree that a step is over, by the size of what takes part.

    tiles: routers of one chip; chips: with more than one, all their tiles take part.
    """

    tiles: int = 1
    chips: int = 1


class Capabilities(Strict):
    """What the neurons and synapses can do.

    models: neuron models, keys of hwsdk.programs.loihi.MODELS. max_refractory: steps, None for no limit.
    periodic_reset: u and v can return to 0 at an interval. max_delay: what the delay field holds.
    """

    models: list[str]
    resets: list[Literal["value", "subtract"]]
    max_refractory: int | None = None
    periodic_reset: bool
    graded_input: bool
    weight_bits: int
    max_delay: int
    groups: str


class Mesh(Strict):
    """Routers of one chip; chips stand side by side in x."""

    width: Limit
    height: Limit
    cores_per_router: Limit
    max_chips: Limit


class Memory(Strict):
    """How synapses are stored."""

    model: Literal["loihi1", "loihi2"]
    index_bits: Limit
    group_overhead_bits: Limit


class Timing(Strict):
    """Constants of the step-time model; see hwsdk.backends.loihi_cost.

    model: "max": the longest single term is the step (arXiv 2601.10035); "phases": the longer of a core's neuron phase
    and its synapse phase, then the barrier.
    """

    model: Literal["max", "phases"]
    synaptic_operation: Figure
    shared_synaptic_operation: Figure
    neuron_update: Figure
    two_pass_update: Figure
    spike: Figure
    message_out: Figure
    message_in: Figure
    message: Figure


class LoihiTarget(Target):
    """A Loihi-style chip."""

    family: Literal["loihi"]
    capabilities: Capabilities
    mesh: Mesh
    memory: Memory
    energy: list[LoihiPrice]
    timing: Timing
    barriers: list[Barrier]

    def times(self) -> dict[str, Figure]:
        """All constants of the step-time model by name, the barriers included."""
        found = fields_of(self.timing)
        for b in self.barriers:
            found[f"barrier, {b.tiles} tile(s)" if b.chips == 1 else f"barrier, {b.chips} chips"] = b
        return found

    def size_text(self) -> str:
        """Cores and neurons."""
        return f"{self.limit('cores') or '?'} cores a chip, {self.limit('neurons') or '?'} neurons a core"

    def about(self) -> str:
        """Resets, weights, delays and input."""
        c = self.capabilities
        return (f"resets by {' or '.join(c.resets)}; weights up to {c.weight_bits} bits; synaptic delays up to "
                f"{c.max_delay + 1} steps; input {'spikes or integers' if c.graded_input else 'spikes only'}")

    def limits_title(self) -> str:
        """Of what the limits are."""
        return "limits (cores a chip; the rest a core)"
