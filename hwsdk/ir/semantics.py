"""ir.Semantics: everything that NIR leaves open and that decides which spikes a network gives."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hwsdk.errors import SemanticsError

CHOICES: dict[str, tuple[str, ...]] = {
    "integrator": ("euler", "exponential", "exponential_dt_gain", "exponential_unit_gain"),
    "order": ("synapse_first", "simultaneous"),
    "comparison": (">", ">="),
    "reset": ("value", "subtract"),
    "reset_timing": ("same_step", "next_step", "skip_step"),
    "spikes": ("single", "multiple"),
    "pulse": ("unit", "dirac"),
    "bias_path": ("synapse", "membrane"),
    "initial": ("zero", "leak"),
    "precision": ("float64", "float32"),
}


@dataclass(frozen=True, slots=True)
class Semantics:
    """How a declarative, continuous-time NIR graph runs in steps.

    dt: step, in the time unit of the model's own parameters (seconds in most files, 1.0 where the file counts steps).
    integrator: decay and input gain of a first-order node with time constant tau:
        euler: 1 - dt/tau and dt/tau; exponential: a = exp(-dt/tau) and 1 - a;
        exponential_dt_gain: a and dt/tau; exponential_unit_gain: a and 1 (sinabs without norm_input).
    order: the membrane sees this step's synaptic current (synapse_first) or the previous one (simultaneous).
    comparison: a spike when v > threshold or v >= threshold.
    reset: v becomes v_reset ("value") or loses threshold - v_reset ("subtract").
    reset_timing: in the step of the spike, or, for subtract, in the update of the next step (snnTorch's default);
        skip_step, for value: v is v_reset after the next step, whose input is lost (snnTorch's Synaptic, RLeaky and
        RSynaptic with reset_mechanism zero).
    spikes: at most one a step, or trunc(v / threshold) of them (sinabs MultiSpike; needs subtract).
    pulse: an input spike is a sample of height 1 or a Dirac pulse of height 1/dt.
    input_delay, connection_delay, recurrent_delay: steps that a value takes from a graph input, along a forward
        connection, and along a connection that closes a loop.
    bias_path: a bias that reaches a node with a synaptic current passes through it, or acts on the membrane as
        the current that it would settle to.
    initial: v starts at 0 or at v_leak.
    v_floor: v is clipped from below at -v_floor * threshold; None for no floor.
    precision: floating-point format of states and sums in the reference simulator.
    """

    dt: float = 1.0
    integrator: str = "euler"
    order: str = "synapse_first"
    comparison: str = ">"
    reset: str = "value"
    reset_timing: str = "same_step"
    spikes: str = "single"
    pulse: str = "unit"
    input_delay: int = 0
    connection_delay: int = 0
    recurrent_delay: int = 1
    bias_path: str = "synapse"
    initial: str = "zero"
    v_floor: float | None = None
    precision: str = "float64"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise SemanticsError(
                    f"{name} is {getattr(self, name)!r}", where="semantics", fix=f"use one of {', '.join(allowed)}",
                    code="BAD_SEMANTICS",
                )
        if not (0 < self.dt < float("inf")):
            raise SemanticsError(f"dt is {self.dt!r}; it must be positive and finite", where="semantics",
                                 code="BAD_SEMANTICS", fix="give dt in the model's own time unit, as in --dt 1e-4")
        for name in ("input_delay", "connection_delay", "recurrent_delay"):
            if not 0 <= getattr(self, name) <= MAX_DELAY:
                raise SemanticsError(f"{name} is {getattr(self, name)}; allowed are 0 to {MAX_DELAY} steps",
                                     where="semantics", fix=f"choose {name} in that range", code="BAD_SEMANTICS")
        if self.reset_timing == "skip_step" and self.reset != "value":
            raise SemanticsError("reset_timing=skip_step needs reset=value", where="semantics",
                                 fix="set reset=value or reset_timing=next_step", code="BAD_SEMANTICS")
        if self.spikes == "multiple" and self.reset != "subtract":
            raise SemanticsError("several spikes a step need reset by subtraction", where="semantics",
                                 fix="set reset=subtract or spikes=single", code="BAD_SEMANTICS")

    def with_(self, **changes: Any) -> Semantics:
        """A copy with some fields changed; None values are left alone."""
        return dataclasses.replace(self, **{k: v for k, v in changes.items() if v is not None})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in field order."""
        return dataclasses.asdict(self)

    def to_text(self) -> str:
        """``name=value`` pairs in field order."""
        return " ".join(f"{k}={v}" for k, v in self.to_dict().items())


MAX_DELAY = 4096

# What each framework does by itself; sources are the frameworks' own code, versions in docs/semantics.md.
PRESETS: dict[str, Semantics] = {
    # snntorch 1.0 import_nir: dt fixed, reset to zero in the step of the spike; single precision.
    "snntorch": Semantics(dt=1e-4, precision="float32"),
    # sinabs 3.1 IAF/LIF defaults: v = a v + i, a = exp(-1/tau) with tau in steps, MultiSpike, MembraneSubtract.
    "sinabs": Semantics(dt=1.0, integrator="exponential_unit_gain", comparison=">=", reset="subtract",
                        spikes="multiple", precision="float32"),
    # norse 1.1 LIFBox: forward Euler at 1 ms, strict heaviside, reset to v_reset, v starts at v_leak.
    "norse": Semantics(dt=1e-3, initial="leak", precision="float32"),
    # lava and lava-dl processes: every connection takes one step.
    "lava": Semantics(dt=1.0, connection_delay=1),
    "lava-dl": Semantics(dt=1.0, connection_delay=1),
    # py-spinnaker2 on NIR, as the scripts of the NIR paper ran it: input and recurrent delay 1, bias as a membrane
    # current; weights are scaled and truncated to 8 bits (hwsdk.ir.formats.spinnaker2).
    "spinnaker2": Semantics(dt=1e-4, input_delay=1, bias_path="membrane"),
    # The defaults of its ConversionConfig: dt of one second, conn_delay 1, which is two steps; weights truncated as
    # they are.
    "py-spinnaker2": Semantics(dt=1.0, integrator="exponential", reset="subtract", connection_delay=2,
                               recurrent_delay=2, bias_path="membrane"),
}


def preset(name: str) -> Semantics:
    """The Semantics of an origin framework.

    Raises:
        SemanticsError: no such preset.
    """
    if name not in PRESETS:
        raise SemanticsError(f"no preset {name!r}", where="semantics", fix=f"use one of {', '.join(PRESETS)}",
                             code="BAD_PRESET")
    return PRESETS[name]
