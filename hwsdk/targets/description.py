"""The form of a chip description: limits, prices and timings, each a value with unit and source."""

from __future__ import annotations

import hashlib
import sys
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hwsdk.errors import TargetError
from hwsdk.quantity import Quantity

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its old name
    import tomli as tomllib

Counted = Literal["neuron_updates", "spikes", "messages", "synaptic_operations", "private_synaptic_operations",
                  "shared_synaptic_operations", "hops_ew", "hops_ns"]
"""Events with a price. Synaptic operations are those of private rows and those of shared rows (convolutions)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Limit(_Strict):
    """A capacity; ``value`` None where none is published."""

    value: int | None = None
    unit: str
    source: str


class Figure(_Strict):
    """A price, power or time; ``value`` None where none is published."""

    value: float | None = None
    unit: str
    source: str
    measured: bool = False
    low: float | None = None
    high: float | None = None
    scope: Literal["", "inter-chip"] = ""

    def quantity(self) -> Quantity | None:
        """The published number, or None."""
        if self.value is None:
            return None
        return Quantity(self.value, self.unit, self.source, self.measured, self.low, self.high)


class Price(Figure):
    """Energy of one event of the kind ``per``."""

    name: str
    per: Counted


class Power(Figure):
    """Power that is drawn whether or not anything happens.

    boundary: "included" in the sum; "cores in use": another reading of the included one, for the used cores alone;
    "omitted": told, not added.
    """

    name: str
    per: Literal["chip", "core"]
    boundary: Literal["included", "cores in use", "omitted"] = "included"


class Barrier(Figure):
    """Time that all cores take to agree that a step is over, by the size of what takes part.

    tiles: routers of one chip; chips: with more than one, all their tiles take part.
    """

    tiles: int = 1
    chips: int = 1


class Host(Figure):
    """What the processors beside the neuro-cores add. Counted only if the estimate's boundary is "host".

    In s: once an "inference", every "step", or for every "input value" that is offered to the chip (elements x steps).
    In W: x86 power, the "whole" time or only while "active" (in the times above).
    """

    name: str
    per: Literal["inference", "step", "input value", "whole", "active"]


class Capabilities(_Strict):
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


class Mesh(_Strict):
    """Routers of one chip; chips stand side by side in x."""

    width: Limit
    height: Limit
    cores_per_router: Limit
    max_chips: Limit


class Memory(_Strict):
    """How synapses are stored."""

    model: Literal["loihi1", "loihi2"]
    index_bits: Limit
    group_overhead_bits: Limit


class Timing(_Strict):
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

    def figures(self) -> dict[str, Figure]:
        """All times by name."""
        return {n: f for n in type(self).model_fields if isinstance(f := getattr(self, n), Figure)}


class Boundary(_Strict):
    """What energy and latency contain, and with the boundary "host" what comes in and what is then left out."""

    included: list[str]
    omitted: list[str]
    host: list[str] = []
    omitted_with_host: list[str] = []


class Proxy(_Strict):
    """A documented stand-in for unpublished prices; used only when asked for."""

    name: str
    target: str
    text: str


class Target(_Strict):
    """A chip."""

    name: str
    version: str
    title: str
    capabilities: Capabilities
    mesh: Mesh
    limits: dict[str, Limit]
    memory: Memory
    energy: list[Price]
    power: list[Power]
    timing: Timing
    barriers: list[Barrier]
    host: list[Host] = []
    boundary: Boundary
    proxy: Proxy | None = None

    def limit(self, name: str) -> int | None:
        """A per-core or per-chip capacity, None where none is published."""
        return self.limits[name].value

    def need(self, name: str) -> int:
        """A capacity that must be known.

        Raises:
            TargetError: the description leaves it open.
        """
        value = self.limit(name)
        if value is None:
            raise TargetError(f"the limit {name!r} has no value", where=self.name, fix="complete the description")
        return value

    def digest(self) -> str:
        """SHA-256 of the description, as hex."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def times(self) -> dict[str, Figure]:
        """All constants of the step-time model by name, the barriers included."""
        found = self.timing.figures()
        for b in self.barriers:
            found[f"barrier, {b.tiles} tile(s)" if b.chips == 1 else f"barrier, {b.chips} chips"] = b
        return found

    def to_text(self) -> str:
        """Limits, prices, powers and timings with their sources, one a line."""
        lines = [f"target {self.name} version {self.version}: {self.title}"]
        lines += [f"limit {n} = {_number(f.value)} {f.unit} [{f.source}]" for n, f in self.limits.items()]
        lines += [f"energy {p.name} per {p.per} = {_number(p.value)} {p.unit} [{p.source}]" for p in self.energy]
        lines += [f"power {p.name} per {p.per} = {_number(p.value)} {p.unit} [{p.source}]" for p in self.power]
        lines += [f"time {n} = {_number(f.value)} {f.unit} [{f.source}]" for n, f in self.times().items()]
        lines += [f"host {h.name} per {h.per} = {_number(h.value)} {h.unit} [{h.source}]" for h in self.host]
        return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"


def parse_target(text: str, where: str) -> Target:
    """A Target from TOML.

    Raises:
        TargetError: not TOML, or fields missing, unknown or of the wrong type; every one is named.
    """
    try:
        return Target.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"not TOML: {error}", where=where, fix="mend the file") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:8])
        raise TargetError(problems, where=where, fix="compare with the descriptions that come with hwsdk") from None
