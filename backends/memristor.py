"""The memristor backend: lower, write weights into crossbars, simulate dies with their wires and converters, price."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from hwsdk.backends import memristor_cost, memristor_emit, memristor_ranges
from hwsdk.backends.activity import activity_of
from hwsdk.backends.base import CompileOptions, Emitted, OwnSimulatorOnly, Program, Progress, Walk
from hwsdk.backends.memristor_options import MemristorOptions
from hwsdk.backends.verify import drift_text
from hwsdk.cost import CostReport
from hwsdk.errors import InternalError, UnsupportedError, Violation
from hwsdk.ir.crossbar import Physics
from hwsdk.ir.data import Stimulus
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.trace import Trace
from hwsdk.mappers import memristor as mapper
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.objective import EFFORTS
from hwsdk.programs.crossbar import CrossbarProgram
from hwsdk.programs.crossbar_form import require_form
from hwsdk.simulators import devices, devices_laws, reference
from hwsdk.simulators import memristor as simulator
from hwsdk.simulators.memristor_decode import network_of
from hwsdk.targets import load_target
from hwsdk.targets.memristor import MemristorTarget


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A model on its way: lowered in floats, and the array that it is for."""

    lowered: Network
    physics: Physics


class MemristorBackend(OwnSimulatorOnly):
    """Lower, map, simulate and price for resistive crossbars."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.target: MemristorTarget = load_target(name, MemristorTarget)

    @property
    def exact(self) -> Mapping[str, Any]:
        """Reads without noise; where rows switch transistors, wires without resistance: what they do depends on the
        pattern of spikes, which no weight says.
        """
        off = ("read", "wires") if self.target.physics().wires.topology == "gated" else ("read",)
        return MappingProxyType(dict.fromkeys(off, "off"))

    def noise(self, program: Program) -> str:
        """Read noise, or wires whose loss depends on the spikes."""
        p = _own(program).physics
        reasons = ["read noise"] if p.has("read") and p.device.read.family != "none" else []
        if not linear(p):
            reasons.append("wires of gated columns, whose loss depends on which rows are on")
        return " and ".join(reasons)

    def closeness(self, network: Network) -> float:
        """0: sums are taken in the order of the reference."""
        return 0.0

    def discrete(self, network: Network, options: CompileOptions) -> tuple[Network, Network, str]:
        """(lowered, what this die computes as a network, losses). Without read noise, and without the wires of gated
        columns.
        """
        found = self._prepared(network, options)
        program = self._map(found, options, network.digest(), lambda _: None)
        stages = tuple(s for s in program.physics.stages if s != "wires" or linear(program.physics))
        return found.lowered, network_of(program.with_stages(*stages)), program.losses

    def _prepared(self, network: Network, options: CompileOptions) -> Prepared:
        """Everything before the mapper."""
        own = MemristorOptions.of(options)
        if network.is_integer or (network.is_single and not network.is_discrete):
            raise UnsupportedError("a network in another chip's numbers", code="NEURON_MODEL",
                                   fix="start from the float model")
        physics = own.physics(self.target, options.seed)
        require_laws(physics)
        mapper.refuse_too_large(network, self.target, physics, own.map_options(options, physics, None))
        return Prepared(Lower()(network), physics)

    def compile(self, network: Network, options: CompileOptions, say: Callable[[str], None]) -> CrossbarProgram:
        """A program that fits.

        Raises:
            FitError: more macros than there are. UnsupportedError: a part that the chip cannot do, or an option that
            it does not have.
        """
        _require(self.name, options)
        say("lower")
        found = self._prepared(network, options)
        return self._map(found, options, network.digest(), say)

    def _map(self, found: Prepared, options: CompileOptions, digest: str, say: Callable[[str], None],
             ) -> CrossbarProgram:
        """Blocks, converters' ranges, gains, and the check of all that against the network."""
        own = MemristorOptions.of(options)
        run = None
        if options.data is not None:
            say("measure activity")
            run = reference.run(found.lowered, options.data)
        known = (*found.lowered.inputs, *found.lowered.populations)
        rates = None if run is None else {n: r for n, r in activity_of(run, options.data).items() if n in known}
        chosen = own.map_options(options, found.physics, rates)
        program = mapper.map_network(found.lowered, self.target, found.physics, chosen, model_digest=digest, losses="",
                                     progress=say)
        told = ""
        if run is not None and options.data is not None:
            say("calibrate")
            program, told = memristor_ranges.calibrated(program, options.data, run, own)
            told += drift_text(found.lowered, run, simulator.run(program, options.data))
        return replace(program, losses=f"{program.losses}\n{told}")

    def load(self, path: Path) -> CrossbarProgram:
        """Read a .hwx file; see CrossbarProgram.load and hwsdk.programs.crossbar_form."""
        return require_form(CrossbarProgram.load(path))

    def simulate(self, program: Program, stimulus: Stimulus, *, probes: Iterable[tuple[str, str]] | str = (),
                 strict: bool = False, progress: Progress | None = None, threads: int = 1) -> Trace:
        """Run a program; see hwsdk.simulators.memristor.run."""
        return simulator.run(_own(program), stimulus, probes=probes, strict=strict, progress=progress, threads=threads)

    def walk(self, program: Program) -> Walk:
        """The simulator step by step; see hwsdk.simulators.memristor.walk."""
        return simulator.walk(_own(program))

    def estimate(self, program: Program, trace: Trace, proxy: str | None = None, boundary: str = "chip",
                 options: Mapping[str, Any] = MappingProxyType({})) -> CostReport:
        """Energy, latency and area of a simulated run; see hwsdk.backends.memristor_cost.estimate."""
        return memristor_cost.estimate(_own(program), trace, self.target, boundary=boundary, proxy=proxy,
                                       options=options)

    @property
    def forms(self) -> tuple[str, ...]:
        """See hwsdk.backends.memristor_emit."""
        return memristor_emit.FORMS

    def emit(self, program: Program, form: str, data: Stimulus | None = None) -> Emitted:
        """Conductances for a test board; see hwsdk.backends.memristor_emit.emit."""
        return memristor_emit.emit(_own(program), form, data)

    def summary(self, program: Program) -> dict[str, Usage]:
        """Macros, rows, columns, cells, converters."""
        return mapper.summary(_own(program), self.target)

    def legality(self, program: Program) -> tuple[Violation, ...]:
        """Every limit that the program breaks."""
        return mapper.legality(_own(program), self.target)


def require_laws(physics: Physics) -> None:
    """Ask before anything is built what a die would be refused for.

    Raises:
        TargetError: BAD_LAW, a law that is not complete, or that says nothing of the time between writing and reading.
    """
    d, cell = physics.device, physics.cell
    for role, law in (("write", d.write), ("read", d.read), ("drift", d.drift)):
        devices_laws.check(law, role, cell)
    one = np.array([cell.g_max])
    if physics.has("drift"):
        devices.drift(d.drift, cell, one, physics.seconds, np.random.default_rng(0))
    if physics.has("read"):
        devices.read_sigma(d.read, cell, one, physics.seconds)


def linear(physics: Physics) -> bool:
    """Does the array answer linearly to its inputs, so that weights say all?"""
    w = physics.wires
    return not (physics.has("wires") and w.topology == "gated" and any((w.bit, w.driver, w.sense)))


def _require(name: str, options: CompileOptions) -> None:
    """Options that this target does not have."""
    for what, given, usual in (("packing", options.packing, ("layer",)), ("effort", options.effort, EFFORTS)):
        if given not in usual:
            raise UnsupportedError(f"{what} {given!r} for {name}", code=f"BAD_{what.upper()}",
                                   fix=f"use one of {', '.join(usual)}; see the options order, share, spread")
    if options.step_time is not None:
        raise UnsupportedError("a step time; a step is as long as its reads take", code="BAD_STEP_TIME",
                               fix="leave it out")
    if options.chips < 1:
        raise UnsupportedError(f"{options.chips} chips", code="BAD_CHIPS", fix="give 1 or more")


def _own(program: Program) -> CrossbarProgram:
    """A program of this kind."""
    if not isinstance(program, CrossbarProgram):
        raise InternalError(f"a {type(program).__name__} reached the memristor backend")
    return program
