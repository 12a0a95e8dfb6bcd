"""The SpiNNaker 2 backend: lower, quantise to integer weights and float32 states, map, simulate, price."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hwsdk.backends import spinnaker_fit as fit
from hwsdk.backends import spinnaker_m4
from hwsdk.backends.activity import busiest_of
from hwsdk.backends.base import (
    CompileOptions,
    Deterministic,
    Emitted,
    OwnSimulatorOnly,
    Program,
    Progress,
    Walk,
    require_known,
)
from hwsdk.backends.verify import drift_text
from hwsdk.cost import CostReport
from hwsdk.errors import FitError, HwsdkError, InternalError, UnsupportedError, Violation
from hwsdk.ir.data import Stimulus
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.nodes import Synapses, frozen
from hwsdk.ir.recurrent import EGRU
from hwsdk.ir.single import single
from hwsdk.ir.trace import Trace
from hwsdk.mappers import spinnaker as mapper
from hwsdk.mappers.objective import EFFORTS
from hwsdk.mappers.phases import TIMINGS, Phases, phases_of, timed
from hwsdk.mappers.quantize_single import QuantizeSingle
from hwsdk.mappers.relay import Relay
from hwsdk.programs.spinnaker import LEVELS, SpinnakerProgram
from hwsdk.programs.spinnaker_form import require_form
from hwsdk.simulators import reference
from hwsdk.simulators import spinnaker as simulator
from hwsdk.simulators.spinnaker_walk import walk
from hwsdk.targets import load_target
from hwsdk.targets.spinnaker import SpinnakerTarget

SPLIT_PORTS = 2
"""Ports of an EGRU, the first ones, that have a sum from outside and one from the recurrence."""
STEP_S = 1e-3
"""The usual step of this chip; --step-time sets another."""
SYNC = ("auto", "timer", "barrier")
NUMBERS = {"history": (10, 10_000), "plastic_bits": (2, 16)}
"""Options that are whole numbers, and the smallest and largest of each. With a history of 10 the post spike that a
depression asks for is always known, since no delay is longer than 8 steps.
"""


@dataclass(frozen=True, slots=True)
class SpinnakerOptions:
    """What can be chosen for this target alone.

    timing: "pipelined" (populations run behind the model), "phased" (a step has phases), or "auto". sync: "timer", a
    step every step_time seconds, or "barrier", as fast as the PEs can; "auto" is the timer, for EGRU networks the
    barrier. level: performance level of the PEs; "auto" chooses in each tick by the load. record: whose spikes the PEs
    keep: "outputs", "all" or "none". history: post spikes that a learning rule remembers for each neuron.
    plastic_bits: of static weights beside learned ones; 8 stores them in 16-bit words, if the rest of the network has
    8 bits or fewer.
    """

    timing: str = "auto"
    sync: str = "auto"
    level: str = "auto"
    record: str = "outputs"
    history: int = 256
    plastic_bits: int = 16

    @classmethod
    def of(cls, options: CompileOptions) -> SpinnakerOptions:
        """From the options of a compilation.

        Raises:
            UnsupportedError: UNKNOWN_OPTION or BAD_OPTION.
        """
        given = dict(options.target_options)
        require_known("spinnaker2", given, (f.name for f in fields(cls)))
        numbers: dict[str, Any] = {n: _whole(n, given.pop(n, getattr(cls(), n)), *ends) for n, ends in NUMBERS.items()}
        found = cls(**given, **numbers)
        for name, choices in (("timing", TIMINGS), ("sync", SYNC), ("level", LEVELS), ("record", mapper.RECORDS)):
            if getattr(found, name) not in choices:
                raise UnsupportedError(f"{name} is {getattr(found, name)!r}", code="BAD_OPTION",
                                       fix=f"use one of {', '.join(choices)}")
        return found


def _whole(name: str, value: Any, least: int, most: int) -> int:
    """A number from ``least`` to ``most``."""
    text = str(value)
    if not text.isdigit() or not least <= int(text) <= most:
        raise UnsupportedError(f"{name} is {value!r}", code="BAD_OPTION",
                               fix=f"give a whole number from {least} to {most}")
    return int(text)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A model on its way: lowered in floats, in the chip's own numbers, its phases, what that cost as text."""

    lowered: Network
    whole: Network
    phases: Phases
    losses: str


class SpinnakerBackend(Deterministic, OwnSimulatorOnly):
    """Lower, quantise, map, simulate and price for SpiNNaker 2 chips."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.target: SpinnakerTarget = load_target(name, SpinnakerTarget)

    def discrete(self, network: Network, options: CompileOptions) -> tuple[Network, Network, str]:
        """(lowered, in integer weights and float32 states, losses); a network in these numbers is taken as it is."""
        found = self._prepared(network, options)
        return found.lowered, found.whole, found.losses

    def closeness(self, network: Network) -> float:
        """How far values of the chip's simulator may be from the reference: 0, but where several projections add
        floats to one sum of an EGRU, which the reference keeps apart.
        """
        egru = [n for n, p in network.populations.items() if isinstance(p, EGRU)]
        return SHARED_SUM if any(_shares_sums(network, n) for n in egru) else 0.0

    def _prepared(self, network: Network, options: CompileOptions) -> Prepared:
        """Everything before the mapper."""
        own = SpinnakerOptions.of(options)
        if network.is_integer:
            raise UnsupportedError("an integer network of Loihi's neurons; the PEs compute in integer weights and "
                                   "float32 states", code="NEURON_MODEL",
                                   fix="build it with hwsdk.ir.single, or from the float model")
        if any(isinstance(p, EGRU) for p in network.populations.values()):
            return _recurrent(network)
        if network.is_single:
            text = "already in the chip's numbers, nothing to quantise\n"
            return self._relayed(network, network, phases_of(network), text, None)
        lowered, phases = timed(network, own.timing)
        whole, losses = QuantizeSingle(bits=options.bits, per_neuron=options.per_channel, history=own.history,
                                       plastic_bits=own.plastic_bits)(lowered)
        return self._relayed(lowered, whole, phases, losses.to_text(), options.data)

    def _relayed(self, lowered: Network, whole: Network, phases: Phases, losses: str, data: Stimulus | None,
                 ) -> Prepared:
        """With relays where a delay is too long for a word."""
        longest = self.target.need("delay_slots") - (phases.count > 1)
        board = self.target.need("atoms_wide") * self.target.need("application_pes") * self.target.need("chips")
        relayed, text = Relay(longest, False, board)(whole)
        phases = phases if relayed is whole else phases_of(relayed)
        losses += text
        if data is not None:
            losses += drift_text(lowered, reference.run(lowered, data), reference.run(relayed, data))
        return Prepared(lowered, relayed, phases, losses)

    def compile(self, network: Network, options: CompileOptions, say: Callable[[str], None]) -> SpinnakerProgram:
        """A program that fits.

        Raises:
            FitError: with every broken limit and the changes that were tried and make it fit.
            UnsupportedError: a part that the chip cannot do exactly, or an option that it does not have.
        """
        self._require(options)
        fit.refuse_too_large(network, self.target, options)
        say("lower and quantise")
        found = self._prepared(network, options)
        try:
            program = self._map(found, options, network.digest(), say)
        except FitError as error:
            raise self._unfit(error, network, options) from None
        broken = self.legality(program)
        if broken:
            raise InternalError(f"the mapper made an illegal program: {'; '.join(map(str, broken))}")
        return program

    def _require(self, options: CompileOptions) -> None:
        """Options that this target does not have."""
        SpinnakerOptions.of(options)
        if options.packing not in mapper.PACKINGS:
            raise UnsupportedError(f"packing {options.packing!r}", code="BAD_PACKING",
                                   fix=f"use one of {', '.join(mapper.PACKINGS)}")
        if options.effort not in EFFORTS:
            raise UnsupportedError(f"effort {options.effort!r}", code="BAD_EFFORT",
                                   fix=f"use one of {', '.join(EFFORTS)}")
        step = STEP_S if options.step_time is None else options.step_time
        if not (isinstance(step, int | float) and 0 < step < float("inf")):
            raise UnsupportedError(f"a step of {step!r} s", code="BAD_STEP_TIME", fix="give seconds above 0")
        if not 1 <= options.chips <= self.target.need("chips"):
            raise UnsupportedError(f"{options.chips} chips; {self.name} boards have 1 to {self.target.need('chips')}",
                                   code="BAD_CHIPS", fix="choose in that range")

    def _map(self, found: Prepared, options: CompileOptions, digest: str, say: Callable[[str], None],
             ) -> SpinnakerProgram:
        """Partition, place, route and emit."""
        own = SpinnakerOptions.of(options)
        recurrent = any(isinstance(p, EGRU) for p in found.whole.populations.values())
        sync = own.sync if own.sync != "auto" else "barrier" if recurrent else "timer"
        activity = options.activity
        if activity is None and options.data is not None:
            say("measure activity")
            activity = busiest_of(reference.run(found.whole, options.data), options.data)
            activity = {n: a for n, a in activity.items() if n in (*found.whole.inputs, *found.whole.populations)}
        tick = (STEP_S if options.step_time is None else options.step_time) / found.phases.count
        chosen = mapper.MapOptions(options.chips, options.packing, options.seed, options.effort, options.time_budget,
                                   sync, tick, own.level, activity, own.record)
        return mapper.map_network(found.whole, self.target, found.phases, chosen, model_digest=digest,
                                  losses=found.losses, progress=say)

    def _unfit(self, error: FitError, network: Network, options: CompileOptions) -> FitError:
        """The mapper's refusal with the changes that were tried and make it fit."""
        def fits(changed: CompileOptions) -> bool:
            """Try it."""
            try:
                return not self.legality(self._map(self._prepared(network, replace(changed, data=None)), changed, "",
                                                   lambda _: None))
            except HwsdkError:
                return False

        found, hint = fit.proposals(error, network, self.target, options, fits)
        return FitError(error.what.splitlines()[0], violations=error.violations, where=error.where, proposals=found,
                        hint=hint)

    def load(self, path: Path) -> SpinnakerProgram:
        """Read a .hwx file; see SpinnakerProgram.load and hwsdk.programs.spinnaker_form."""
        return require_form(SpinnakerProgram.load(path))

    def simulate(self, program: Program, stimulus: Stimulus, *, probes: Iterable[tuple[str, str]] | str = (),
                 strict: bool = False, progress: Progress | None = None, threads: int = 1) -> Trace:
        """Run a program; see hwsdk.simulators.spinnaker.run."""
        return simulator.run(_own(program), stimulus, probes=probes, strict=strict, progress=progress, threads=threads)

    def walk(self, program: Program) -> Walk:
        """The simulator step by step; see hwsdk.simulators.spinnaker_walk."""
        return walk(_own(program))

    def estimate(self, program: Program, trace: Trace, proxy: str | None = None, boundary: str = "chip",
                 options: Mapping[str, Any] = MappingProxyType({})) -> CostReport:
        """Energy and latency of a simulated run; see hwsdk.backends.spinnaker_m4.report. Option: cycles, "calibrated"
        or "executed".
        """
        require_known(self.name, options, ("cycles",))
        return spinnaker_m4.report(_own(program), trace, self.target, boundary=boundary, proxy=proxy, **options)

    @property
    def forms(self) -> tuple[str, ...]:
        """None: py-spinnaker2 takes networks, not programs."""
        return ()

    def emit(self, program: Program, form: str, data: Stimulus | None = None) -> Emitted:
        """There is no form to write.

        Raises:
            UnsupportedError: UNKNOWN_FORM.
        """
        raise UnsupportedError(f"form {form!r}", code="UNKNOWN_FORM", fix=f"{self.name} programs have none")

    def summary(self, program: Program) -> dict[str, Usage]:
        """PEs, memory, ticks and router entries."""
        return mapper.summary(_own(program), self.target)

    def legality(self, program: Program) -> tuple[Violation, ...]:
        """Every limit that the program breaks."""
        return mapper.legality(_own(program), self.target)


SHARED_SUM = 1e-4
"""Float32 sums in another order differ in their last bits, and the recurrence hands that on. In the language model of
examples/egru_lm a last bit or two in every exp and tanh moves states by 1.4e-6 at most in 20,000 steps, no event; no
network can be held to that for ever, since an event may tip over.
"""


def _shares_sums(network: Network, population: str) -> bool:
    """Do two projections add to one accumulator of a population of EGRUs?"""
    taken: set[tuple[int, bool]] = set()
    for into in network.sources(population):
        node = network.nodes[into.source]
        if not isinstance(node, Synapses):
            continue
        inside = any(e.source == population for e in network.sources(into.source))
        ports = set((node.target // network.populations[population].n).tolist())
        own = {(p, inside and p < SPLIT_PORTS) for p in ports}
        if own & taken:
            return True
        taken |= own
    return False


def _recurrent(network: Network) -> Prepared:
    """An EGRU network in float32.

    Raises:
        UnsupportedError: MIXED_NUMBERS, other neurons beside the EGRUs.
    """
    if others := [n for n, p in network.populations.items() if not isinstance(p, EGRU)]:
        raise UnsupportedError(f"{type(network.populations[others[0]]).__name__} neurons in a network of EGRUs, whose "
                               "packets carry floats", where=", ".join(others), code="MIXED_NUMBERS",
                               fix="put the output behind the last EGRU, and compute the rest on the host")
    nodes = {n: replace(x, weight=frozen(single(x.weight))) if isinstance(x, Synapses) else x
             for n, x in network.nodes.items()}
    whole = network.replace(nodes=nodes, semantics=network.semantics.with_(precision="float32"))
    return Prepared(network, whole, phases_of(whole), "weights and states are float32, nothing to quantise\n")


def _own(program: Program) -> SpinnakerProgram:
    """A program of this kind."""
    if not isinstance(program, SpinnakerProgram):
        raise InternalError(f"a {type(program).__name__} reached the SpiNNaker backend")
    return program
