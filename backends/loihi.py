"""The Loihi backends: loihi1 and loihi2 are one class and two descriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hwsdk.backends import lava, loihi_cost
from hwsdk.backends import loihi_fit as fit
from hwsdk.backends.activity import activity_of
from hwsdk.backends.base import (
    CompileOptions,
    Deterministic,
    Emitted,
    Program,
    Progress,
    Walk,
    refuse_options,
    refuse_walk,
)
from hwsdk.backends.verify import drift_text
from hwsdk.cost import CostReport
from hwsdk.errors import FitError, HwsdkError, InternalError, UnsupportedError, Violation
from hwsdk.ir.data import Stimulus
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace
from hwsdk.mappers import loihi as mapper
from hwsdk.mappers import rules
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.objective import EFFORTS
from hwsdk.mappers.quantize import Quantize
from hwsdk.mappers.relay import Relay
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.simulators import loihi as simulator
from hwsdk.simulators import reference
from hwsdk.targets import load_target
from hwsdk.targets.loihi import LoihiTarget


class LoihiBackend(Deterministic):
    """Lower, quantise, map, simulate and price for a Loihi-style chip."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.target = load_target(name, LoihiTarget)

    def discrete(self, network: Network, options: CompileOptions) -> tuple[Network, Network, str]:
        """(lowered, integer, losses); an integer network is taken as it is."""
        if network.is_integer:
            whole, relays = self._for_chip(network)
            return network, whole, "integer network, nothing to quantise\n" + relays
        lowered = Lower()(network)
        calibration = _calibrate(lowered, options.data)
        whole, losses = Quantize(bits=options.bits, per_channel=options.per_channel, calibration=calibration)(lowered)
        whole, relays = self._for_chip(whole)
        text = losses.to_text() + relays
        if options.data is not None and calibration is not None:
            text += drift_text(lowered, calibration, reference.run(whole, options.data))
        return lowered, whole, text

    def closeness(self, network: Network) -> float:
        """0: every value of the simulator is that of the reference."""
        return 0.0

    def _for_chip(self, whole: Network) -> tuple[Network, str]:
        """(the integer network, with relays where a delay is too long for a synapse; what became of delays as text)."""
        t = self.target
        board = t.need("neurons") * t.need("cores") * (t.mesh.max_chips.value or 1)
        rules.require_form(whole)
        relayed, text = Relay(t.capabilities.max_delay + 1, t.capabilities.graded_input, board)(whole)
        return relayed.replace(ledger=relayed.ledger + rules.notes(relayed)), _rounded_delays(whole) + text

    def compile(self, network: Network, options: CompileOptions, say: Callable[[str], None]) -> LoihiProgram:
        """A program that fits.

        Raises:
            FitError: with every broken limit and the changes that were tried and make it fit.
            UnsupportedError: a part that the chip cannot do exactly.
        """
        refuse_options(self.name, options.target_options)
        if options.packing not in mapper.PACKINGS:
            raise UnsupportedError(f"packing {options.packing!r}", code="BAD_PACKING",
                                   fix=f"use one of {', '.join(mapper.PACKINGS)}")
        if options.effort not in EFFORTS:
            raise UnsupportedError(f"effort {options.effort!r}", code="BAD_EFFORT",
                                   fix=f"use one of {', '.join(EFFORTS)}")
        if not 1 <= options.chips <= (self.target.mesh.max_chips.value or 1):
            raise UnsupportedError(f"{options.chips} chips; {self.name} boards have 1 to "
                                   f"{self.target.mesh.max_chips.value}", code="BAD_CHIPS", fix="choose in that range")
        mapper.refuse_too_many_neurons(network, self.target, options.chips)
        fit.refuse_too_many_synapses(network, self.target, options)
        say("lower and quantise")
        _, whole, losses = self.discrete(network, options)
        try:
            program = self._map(whole, options, network.digest(), losses, say)
        except FitError as error:
            raise self._unfit(error, network, whole, options) from None
        broken = self.legality(program)
        if broken:
            raise InternalError(f"the mapper made an illegal program: {'; '.join(map(str, broken))}")
        return program

    def _map(self, whole: Network, options: CompileOptions, digest: str, losses: str,
             say: Callable[[str], None]) -> LoihiProgram:
        """Partition, place and emit."""
        activity = options.activity
        if activity is None and options.data is not None:
            say("measure activity")
            activity = activity_of(reference.run(whole, options.data), options.data)
        chosen = mapper.MapOptions(options.chips, options.packing, options.seed, options.effort, options.time_budget,
                                   options.step_time, activity)
        return mapper.map_network(whole, self.target, chosen, model_digest=digest, losses=losses, progress=say)

    def _unfit(self, error: FitError, network: Network, whole: Network, options: CompileOptions) -> FitError:
        """The mapper's refusal with the changes that were tried and make it fit."""
        def fits(changed: CompileOptions) -> bool:
            """Try it."""
            same = (changed.bits, changed.per_channel) == (options.bits, options.per_channel)
            try:
                tried = whole if same else self.discrete(network, replace(changed, data=None))[1]
                return not self.legality(self._map(tried, changed, "", "", lambda _: None))
            except HwsdkError:
                return False

        found, hint = fit.proposals(error, whole, self.target, options, fits)
        return FitError(error.what.splitlines()[0], violations=error.violations, where=error.where, proposals=found,
                        hint=hint)

    def load(self, path: Path) -> LoihiProgram:
        """Read a .hwx file; see LoihiProgram.load."""
        return LoihiProgram.load(path)

    def simulate(self, program: Program, stimulus: Stimulus, *, probes: Iterable[tuple[str, str]] | str = (),
                 strict: bool = False, progress: Progress | None = None, threads: int = 1) -> Trace:
        """Run a program; see hwsdk.simulators.loihi.run."""
        return simulator.run(_own(program), stimulus, probes=probes, strict=strict, progress=progress, threads=threads)

    @property
    def engines(self) -> tuple[str, ...]:
        """lava-nc."""
        return ("lava",)

    def simulate_on(self, engine: str, program: Program, stimulus: Stimulus,
                    probes: Iterable[tuple[str, str]] | str = ()) -> Trace:
        """Run a program in Lava; see hwsdk.backends.lava.run."""
        return lava.run(_own(program), stimulus, probes=probes)

    def walk(self, program: Program) -> Walk:
        """Not there; see hwsdk.backends.base.refuse_walk."""
        refuse_walk(self.name)

    def estimate(self, program: Program, trace: Trace, proxy: str | None = None, boundary: str = "chip",
                 options: Mapping[str, Any] = MappingProxyType({})) -> CostReport:
        """Energy and latency of a simulated run; see hwsdk.backends.loihi_cost.estimate."""
        refuse_options(self.name, options)
        return loihi_cost.estimate(_own(program), trace, self.target, boundary=boundary, proxy=proxy)

    @property
    def forms(self) -> tuple[str, ...]:
        """Lava scripts."""
        return ("lava",)

    def emit(self, program: Program, form: str, data: Stimulus | None = None) -> Emitted:
        """A Lava script; see hwsdk.backends.lava.emit."""
        return lava.emit(_own(program))

    def summary(self, program: Program) -> dict[str, Usage]:
        """Cores, and of each per-core resource the fullest core."""
        return mapper.summary(_own(program), self.target)

    def legality(self, program: Program) -> tuple[Violation, ...]:
        """Every limit that the program breaks."""
        return mapper.legality(_own(program), self.target)


def _rounded_delays(network: Network) -> str:
    """What rounding did to the model's delays, from the ledger; "" for nothing."""
    rows = [f"  {e.node:20} {e.text}\n" for e in network.ledger.entries if e.code == "DELAY_ROUNDED"]
    return "delays\n" + "".join(rows) if rows else ""


def _own(program: Program) -> LoihiProgram:
    """A program of this kind."""
    if not isinstance(program, LoihiProgram):
        raise InternalError(f"a {type(program).__name__} reached the Loihi backend")
    return program


def _calibrate(lowered: Network, data: Stimulus | None) -> Trace | None:
    """A float run with all states recorded."""
    if data is None:
        return None
    return reference.run(lowered, data, probes="all")
