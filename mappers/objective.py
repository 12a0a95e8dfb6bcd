"""What a mapping should be good at, and how long to look for a better one.

The cost of a mapping in a step is the sum of
  messages: one for each source neuron and each core that hears it, times the neuron's spikes a step (1 if unknown);
  hops of these messages east-west and north-south on X-Y routes, and borders between chips that they cross;
  the time of the busiest core: synaptic operations and neuron updates, times the target's published times.
The number and shape of the parts decide messages and busiest core, the placement hops and borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsdk.targets.loihi import LoihiTarget

EFFORTS = {"none": 0, "fast": 300, "normal": 3_000, "high": 30_000}
"""Swaps that placement tries for each core; the search depends on nothing else, so that it can be repeated."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the cost, in messages: hop_x and hop_y of a hop, border of a border between two chips.

    Where the target publishes the energies of a message and of its hops, these are their ratios; else a hop counts as
    much as a message. A border counts as much as the longest way on a chip, because the links between chips are few:
    no detour on a chip is worth a crossing.
    """

    hop_x: float
    hop_y: float
    border: float

    @classmethod
    def of(cls, target: LoihiTarget) -> Weights:
        """The weights of a target."""
        price = {p.per: p.value for p in target.energy}
        message, x, y = (price.get(n) for n in ("messages", "hops_ew", "hops_ns"))
        hop_x, hop_y = (x / message, y / message) if message and x and y else (1.0, 1.0)
        longest = (target.mesh.width.value or 1) * hop_x + (target.mesh.height.value or 1) * hop_y
        return cls(hop_x, hop_y, longest)

    def path(self) -> tuple[float, float, float]:
        """(hop in x, hop in y, border)."""
        return self.hop_x, self.hop_y, self.border


@dataclass(frozen=True, slots=True)
class Times:
    """Published times of a core in seconds, 0 where none is published; ``core`` is the model of a core's step.

    The longer of two phases: neuron updates, spikes and messages out; messages in and synaptic operations. It is what
    hwsdk.backends.loihi_cost takes as the step, next to the barrier.
    """

    update: float
    two_pass: float
    spike: float
    message_out: float
    message_in: float
    private: float
    shared: float
    barrier: float

    @classmethod
    def of(cls, target: LoihiTarget) -> Times:
        """The times of a target; the barrier is the shortest one."""
        t = target.timing
        update, private = t.neuron_update.value or 0.0, t.synaptic_operation.value or 0.0
        return cls(update, t.two_pass_update.value or update, t.spike.value or 0.0, t.message_out.value or 0.0,
                   t.message_in.value or 0.0, private, t.shared_synaptic_operation.value or private,
                   min((b.value for b in target.barriers if b.value), default=0.0))

    def update_of(self, model: str) -> float:
        """Time of one update of a neuron model of hwsdk.programs.loihi.MODELS."""
        return self.two_pass if model == "sigma_delta" else self.update


@dataclass(frozen=True, slots=True)
class Search:
    """How hard to look. effort: a key of EFFORTS. seed: of every random choice.

    time_budget: seconds after ``start`` at which the search stops wherever it is; the result then depends on the speed
    of the machine, which the mapper writes into the ledger. None: it runs to its end.
    """

    seed: int = 0
    effort: str = "fast"
    time_budget: float | None = None
    start: float = 0.0

    def moves(self, cores: int) -> int:
        """Swaps to try."""
        return EFFORTS[self.effort] * cores

    def deadline(self) -> float:
        """On the clock of time.monotonic()."""
        return float("inf") if self.time_budget is None else self.start + self.time_budget

    def random_state(self) -> int:
        """A non-zero word from the seed."""
        return int(np.random.default_rng(self.seed).integers(1, 1 << 63))
