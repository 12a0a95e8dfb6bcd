"""The SFQ backend: lower, quantise to counters and current-summing somas, make a netlist of cells, simulate, price."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from hwsdk.backends import sfq_cost, sfq_emit, sfq_fit
from hwsdk.backends.base import (
    CompileOptions,
    Deterministic,
    Program,
    Progress,
    Walk,
    number_option,
    refuse_walk,
    require_known,
)
from hwsdk.backends.verify import drift_text
from hwsdk.cost import CostReport
from hwsdk.errors import FitError, InternalError, ProgramError, UnsupportedError, Violation
from hwsdk.ir.cells import FS
from hwsdk.ir.data import Stimulus
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import DiscreteLIF
from hwsdk.ir.trace import Trace
from hwsdk.mappers import sfq as mapper
from hwsdk.mappers.loop_form import LoopForm, frame_range, loop_form
from hwsdk.mappers.lower import Lower
from hwsdk.mappers.objective import EFFORTS
from hwsdk.mappers.pulse_margins import margins
from hwsdk.mappers.quantize_pulse import PulseReport, QuantizePulse, choose_styles
from hwsdk.mappers.sfq_check import check
from hwsdk.programs.sfq import STYLES, PulseNetlist
from hwsdk.programs.sfq_form import require_form
from hwsdk.simulators import reference
from hwsdk.simulators import sfq as simulator
from hwsdk.targets import load_target
from hwsdk.targets.sfq import SfqTarget

PS = 1e-12
CHOICES = {"weights": ("auto", "train", "binary"), "wires": ("abut", "ptl")}
NUMBERS = {"margin": (0.0, 1e3), "frame": (0.0, 1e9), "tau": (0.0, 1e6), "spread": (0.0, 0.15)}
"""Options that are numbers, and the smallest and largest of each; tables of delays reach 15 % below nominal bias."""
JUNCTION_STEPS, PATIENCE_S = 30e6, 60.0
"""Steps of a junction that the analog solver makes in a second, roughly; a run that takes longer is told before."""
STEPS = 1024
"""Frames of a run for which counters are made wide enough, if nothing says how many there will be."""
FIRST_FRAME_FS = 1_000_000
"""Frame with which loops are tried, to see how long one must be."""
FORGOTTEN = 1e-3
"""What a loop without memory may keep of its current until the next frame, if the frame is chosen here."""


@dataclass(frozen=True, slots=True)
class SfqOptions:
    """What can be chosen for this target alone.

    neuron: "auto" (counters where they are exact, else loops), "counter", "loop", or by population,
    "hidden:loop,out:counter". weights: of counters, "train" (a weight is so many pulses), "binary" (a pulse for each
    bit) or "auto". wires: between cells, "abut" (none) or "ptl" (a transmission line on every net). margin: ps that
    pulses stay apart beyond what cells need. frame: ps of a frame; None: as short as it can be. tau: ps of the decay of
    loops that have no memory of their own; None: chosen. spread: share by which all bias currents may change together
    and the netlist still works, at the price of longer frames. steps: of a run, for which counters are made wide
    enough; default: those of the calibration data, or 1,024.
    """

    neuron: str = "auto"
    weights: str = "auto"
    wires: str = "abut"
    margin: float | None = None
    frame: float | None = None
    tau: float | None = None
    spread: float = mapper.SPREAD
    steps: int | None = None

    @classmethod
    def of(cls, options: CompileOptions) -> SfqOptions:
        """From the options of a compilation.

        Raises:
            UnsupportedError: UNKNOWN_OPTION or BAD_OPTION.
        """
        given = dict(options.target_options)
        require_known("sfq", given, (f.name for f in fields(cls)))
        for name, ends in NUMBERS.items():
            if name in given:
                given[name] = number_option(name, given[name], *ends)
        if "steps" in given:
            given["steps"] = _whole("steps", given["steps"], 1, 10**9)
        found = cls(**given)
        for name, choices in CHOICES.items():
            if getattr(found, name) not in choices:
                raise UnsupportedError(f"{name} is {getattr(found, name)!r}", code="BAD_OPTION",
                                       fix=f"use one of {', '.join(choices)}")
        return found

    def wanted(self) -> str | dict[str, str]:
        """The style for all populations, or by population.

        Raises:
            UnsupportedError: BAD_OPTION, a style that there is not.
        """
        if ":" not in self.neuron:
            _require_style(self.neuron)
            return self.neuron
        found = {}
        for part in self.neuron.split(","):
            name, _, style = part.rpartition(":")
            _require_style(style)
            found[name] = style
        return found


def _require_style(style: str) -> None:
    if style not in ("auto", *STYLES):
        raise UnsupportedError(f"neuron is {style!r}", code="BAD_OPTION",
                               fix=f"use auto, {', '.join(STYLES)}, or POPULATION:STYLE,POPULATION:STYLE")


def _whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``."""
    number = number_option(name, value, least, most)
    if number != int(number):
        raise UnsupportedError(f"{name} is {value!r}", code="BAD_OPTION", fix="give a whole number")
    return int(number)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A model on its way: lowered in floats, in the chip's own numbers, what that cost. frame_fs: 0 if it is open."""

    lowered: Network
    whole: Network
    styles: Mapping[str, str]
    report: PulseReport
    frame_fs: int
    losses: str


class SfqBackend(Deterministic):
    """Lower, quantise, map, simulate and price for SFQ logic."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.target: SfqTarget = load_target(name, SfqTarget)

    def discrete(self, network: Network, options: CompileOptions) -> tuple[Network, Network, str]:
        """(lowered, in whole numbers or currents, losses)."""
        found = self._prepared(network, options)
        return found.lowered, found.whole, found.losses

    def closeness(self, network: Network) -> float:
        """0: counters are exact, and loops keep currents by branch, which no state of the network is."""
        return 0.0

    def _prepared(self, network: Network, options: CompileOptions) -> Prepared:
        """Everything before the mapper."""
        own = SfqOptions.of(options)
        if network.is_integer or (network.is_single and not network.is_discrete):
            raise UnsupportedError("a network in another chip's numbers", code="NEURON_MODEL",
                                   fix="start from the float model")
        lowered = Lower()(network)
        styles = choose_styles(lowered, own.wanted())
        frame = round(own.frame * 1000) if own.frame else 0
        if not frame and "loop" in styles.values():
            frame = self._loop_frame(lowered, styles, options)
        return self._quantised(lowered, styles, options, frame)

    def _quantised(self, lowered: Network, styles: Mapping[str, str], options: CompileOptions, frame_fs: int,
                   ) -> Prepared:
        """With a frame that is known, if loops need one."""
        own = SfqOptions.of(options)
        tau = round(own.tau * 1000) if own.tau else None
        whole, report = QuantizePulse(styles, bits=options.bits, per_neuron=True, form=self._form,
                                      frame_fs=frame_fs or None, tau_fs=tau)(lowered)
        text = report.to_text()
        if options.data is not None:
            before = reference.run(lowered, options.data)
            text += _margins_text(lowered, whole, options.data, before)
            text += drift_text(lowered, before, reference.run(whole, options.data))
        return Prepared(lowered, whole, styles, report, frame_fs, text)

    def _loop_frame(self, lowered: Network, styles: Mapping[str, str], options: CompileOptions) -> int:
        """fs: the shortest frame in which everything is done, loops without memory have forgotten the last, and the
        leaks of the others can be built.
        """
        leaks = np.concatenate([np.zeros(0), *(c.decay_v.ravel() for n, c in lowered.populations.items()
                                               if styles[n] == "loop" and isinstance(c, DiscreteLIF))])
        leaks = leaks[(leaks > 0) & (leaks < 1)]
        ranges = (frame_range(leaks, self._form, every) for every in (True, False))
        least, most = next(((a, b) for a, b in ranges if a <= b), (0.0, np.inf))
        tried, done = self._tried(lowered, styles, options, round(min(max(FIRST_FRAME_FS, least), most)))
        taus = [float(x.tau_fs.max()) for n, x in tried.report.designs.items() if not lowered_memory(lowered, n)]
        forget = max(taus, default=0.0) * -float(np.log(FORGOTTEN))
        return max(done, round(forget), int(np.ceil(least)))

    def _tried(self, lowered: Network, styles: Mapping[str, str], options: CompileOptions, frame_fs: int,
               ) -> tuple[Prepared, int]:
        """With a frame, or the shortest that is longer; and how long it must be, in fs."""
        found = self._quantised(lowered, styles, replace(options, data=None), frame_fs)
        try:
            return found, self._map(found, options, "", lambda _: None).timing["least frame"]
        except FitError as error:
            longer = max(round(v.need) for v in error.violations) * 1000
            return self._tried(lowered, styles, options, max(longer, frame_fs + 1000))

    @property
    def _form(self) -> LoopForm:
        """What the target's somas can be built with."""
        return loop_form(self.target, self.target.cell("JTL").delay_at() or 0)

    def compile(self, network: Network, options: CompileOptions, say: Callable[[str], None]) -> PulseNetlist:
        """A netlist that fits.

        Raises:
            FitError: more junctions than a chip has, or a frame that is too short.
            UnsupportedError: a part that pulse logic cannot do exactly, or an option that it does not have.
        """
        _require(self.name, options)
        sfq_fit.refuse_too_large(network, self.target)
        say("lower and quantise")
        found = self._prepared(network, options)
        sfq_fit.refuse_too_many_synapses(found.whole, self.target, found.styles, SfqOptions.of(options).weights)
        program = self._map(found, options, network.digest(), say)
        if broken := self.legality(program):
            raise FitError(f"{network.name} does not fit one chip of {self.name}", violations=broken,
                           hint=sfq_fit.hint(program, broken))
        return replace(program, ledger=program.ledger + sfq_fit.beyond(program, self.target))

    def _map(self, found: Prepared, options: CompileOptions, digest: str, say: Callable[[str], None]) -> PulseNetlist:
        """Cells, nets, times, and the check of all that against the network."""
        own = SfqOptions.of(options)
        steps = own.steps or (STEPS if options.data is None else options.data.n_steps)
        steps += max(found.lowered.lag.values(), default=0)
        chosen = mapper.MapOptions(
            found.styles, own.weights, own.wires, frame_s=found.frame_fs * 1e-15 if found.frame_fs else None,
            margin_s=mapper.MARGIN_S if own.margin is None else own.margin * PS, spread=own.spread, max_steps=steps,
            designs=found.report.designs)
        program = mapper.map_network(found.whole, self.target, chosen, model_digest=digest, losses=found.losses,
                                     progress=say)
        say("check")
        check(found.whole, program)
        return program

    def load(self, path: Path) -> PulseNetlist:
        """Read a .hwx file; see PulseNetlist.load and hwsdk.programs.sfq_form.

        Raises:
            ProgramError: it does not hold together, or its cells are not those of the library.
        """
        program = require_form(PulseNetlist.load(path))
        for t in program.types:
            if t.name not in self.target.cell_names or t.to_json() != self.target.cell(t.name).to_json():
                raise ProgramError(f"its cell {t.name} is not that of {self.name}", where=str(path),
                                   code="INCONSISTENT", fix="compile the model again")
        return program

    def simulate(self, program: Program, stimulus: Stimulus, *, probes: Iterable[tuple[str, str]] | str = (),
                 strict: bool = False, progress: Progress | None = None, threads: int = 1) -> Trace:
        """Run a program; see hwsdk.simulators.sfq.run."""
        return simulator.run(_own(program), stimulus, probes=probes, strict=strict, progress=progress, threads=threads)

    @property
    def engines(self) -> tuple[str, ...]:
        """The analog solver."""
        return ("analog",)

    def simulate_on(self, engine: str, program: Program, stimulus: Stimulus,
                    probes: Iterable[tuple[str, str]] | str = ()) -> Trace:
        """Solve the circuit of every cell; see hwsdk.simulators.sfq_analog."""
        from hwsdk.simulators.rcsj import STEP_S
        from hwsdk.simulators.sfq_analog import run_all_analog

        if tuple(probes):
            raise UnsupportedError("the analog solver knows no states of neurons", code="NO_PROBES",
                                   fix="leave probes out, or use the engine hwsdk")
        own = _own(program)
        frames = stimulus.n_steps + max((x.lag for x in own.layers), default=0) + 1
        steps = (own.schedule.start_fs + frames * own.schedule.frame_fs) * FS / STEP_S * stimulus.n_samples
        if (seconds := steps * own.junctions / JUNCTION_STEPS) > PATIENCE_S:
            warnings.warn(f"{own.junctions:,} junctions for {steps:,.0f} steps of the analog solver: this takes about "
                          f"{seconds / 60:,.0f} minutes; fewer samples or steps take less (--limit, --steps)",
                          stacklevel=3)
        return run_all_analog(own, stimulus)

    def walk(self, program: Program) -> Walk:
        """Not there; see hwsdk.backends.base.refuse_walk."""
        refuse_walk(self.name)

    def estimate(self, program: Program, trace: Trace, proxy: str | None = None, boundary: str = "chip",
                 options: Mapping[str, Any] = MappingProxyType({})) -> CostReport:
        """Energy and latency of a simulated run; see hwsdk.backends.sfq_cost.estimate."""
        chosen = sfq_cost.Choice.of(options)
        return sfq_cost.estimate(_own(program), trace, self.target, boundary=boundary, proxy=proxy,
                                 bias_scheme=chosen.bias_scheme, cooling=chosen.cooling)

    @property
    def forms(self) -> tuple[str, ...]:
        """See hwsdk.backends.sfq_emit."""
        return sfq_emit.FORMS

    def emit(self, program: Program, form: str, data: Stimulus | None = None) -> sfq_emit.Files:
        """A netlist in a form of another tool; see hwsdk.backends.sfq_emit.emit."""
        return sfq_emit.emit(_own(program), form, data)

    def summary(self, program: Program) -> dict[str, Usage]:
        """Junctions, bias current, pins, area and cells by role."""
        return mapper.summary(_own(program), self.target)

    def legality(self, program: Program) -> tuple[Violation, ...]:
        """Every limit that the program breaks."""
        return mapper.legality(_own(program), self.target)


def _margins_text(lowered: Network, whole: Network, data: Stimulus, run: Trace) -> str:
    """How far sums stay from thresholds on the data, and which decisions quantisation changes."""
    spikes = {n: e.shifted(0, run.n_steps).dense() for n, e in data.inputs.items()}
    spikes |= {n: run.spikes[n].dense() for n in lowered.populations}
    rows = [f"  {m.to_text()}" for m in margins(lowered, whole, spikes)]
    return "\n".join(["on the calibration data, each layer with the same spikes before and after", *rows]) + "\n"


def lowered_memory(lowered: Network, population: str) -> bool:
    """Does a population keep anything from step to step?"""
    cell = lowered.populations[population]
    return bool(np.any(getattr(cell, "decay_v", 0)))


def _require(name: str, options: CompileOptions) -> None:
    """Options that this target does not have."""
    SfqOptions.of(options).wanted()
    for what, given, usual in (("packing", options.packing, ("layer",)), ("effort", options.effort, EFFORTS)):
        if given not in usual:
            raise UnsupportedError(f"{what} {given!r}; a netlist of {name} is not placed", code=f"BAD_{what.upper()}",
                                   fix=f"use one of {', '.join(usual)}")
    if options.chips != 1:
        raise UnsupportedError(f"{options.chips} chips; netlists are of one chip", code="BAD_CHIPS", fix="use 1")
    if options.step_time is not None:
        raise UnsupportedError("a step time; the frame follows from the netlist", code="BAD_STEP_TIME",
                               fix="leave it out, or make the frame longer with --option frame=PS")


def _own(program: Program) -> PulseNetlist:
    """A program of this kind."""
    if not isinstance(program, PulseNetlist):
        raise InternalError(f"a {type(program).__name__} reached the SFQ backend")
    return program
