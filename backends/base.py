"""What a backend is: target, mapper, simulator and cost of one chip, joined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsdk.cost import CostReport
from hwsdk.errors import UnsupportedError, Violation
from hwsdk.ir.data import Stimulus
from hwsdk.ir.ledger import Ledger
from hwsdk.ir.mapping import Usage
from hwsdk.ir.network import Network
from hwsdk.ir.semantics import Semantics
from hwsdk.ir.trace import Trace
from hwsdk.targets import Target

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """bits: weight bits. per_channel: one scale a channel. chips: how many are at hand. packing: "layer",
    "dense" or "spread". seed: of every random choice. data: calibration stimulus, which sets register ranges and
    measures spike drift and activity. effort: "none", "fast", "normal" or "high" search. time_budget: seconds after
    which the search stops, wherever it is. step_time: seconds that no core should take longer than in a step.
    activity: population or input -> mean spikes a step, of each neuron or of all; default: measured on the data.
    target_options: what only one target knows, by name; a backend refuses the names that it does not know.
    """

    bits: int = 8
    per_channel: bool = False
    chips: int = 1
    packing: str = "layer"
    seed: int = 0
    data: Stimulus | None = None
    effort: str = "fast"
    time_budget: float | None = None
    step_time: float | None = None
    activity: Mapping[str, NDArray[np.float64] | float] | None = None
    target_options: Mapping[str, Any] = field(default_factory=dict)


class Program(Protocol):
    """What every chip's program can do; see hwsdk.programs."""

    @property
    def name(self) -> str:
        """The model."""

    @property
    def target(self) -> str:
        """The chip."""

    @property
    def ledger(self) -> Ledger:
        """What was read, assumed and changed."""

    @property
    def semantics(self) -> Semantics:
        """How the model runs in steps."""

    @property
    def losses(self) -> str:
        """What quantisation cost, as text."""

    @property
    def outputs(self) -> Mapping[str, tuple[str, ...]]:
        """Output name -> the populations that it reads."""

    @property
    def input_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Input name -> shape."""

    def to_text(self) -> str:
        """A stable, readable listing."""

    def digest(self) -> str:
        """SHA-256 over everything that decides what the chip does."""

    def save(self, path: str | Path) -> Path:
        """Write a .hwx file."""


class Emitted(Protocol):
    """A program as files of another tool."""

    def save(self, path: str | Path) -> Sequence[Path]:
        """Write the files, the first at ``path``, others beside it; returns all that were written."""


class Walk(Protocol):
    """A program in motion, on a simulator or a device, driven by a host that sees each output before the next input."""

    def step(self, inputs: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
        """Do one step: input name -> its values, (n,); returns population or output name -> (n,)."""

    def reset(self) -> None:
        """Back to the initial state."""

    def trace(self) -> Trace:
        """All steps since the last reset, with what was counted: one sample."""


class Backend(Protocol):
    """One chip. Every method is deterministic."""

    name: str
    target: Target

    def discrete(self, network: Network, options: CompileOptions) -> tuple[Network, Network, str]:
        """(lowered float network, network in the chip's own numbers, what that cost as text)."""

    def closeness(self, network: Network) -> float:
        """How far values of the chip's simulator may be from the reference's: 0 where the chip is exact."""

    @property
    def exact(self) -> Mapping[str, Any]:
        """Target options with which the chip's simulator equals the reference bit by bit; none where it always does."""

    def noise(self, program: Program) -> str:
        """Why a run of this program cannot be held to the reference, or ""."""

    def compile(self, network: Network, options: CompileOptions, say: Callable[[str], None]) -> Program:
        """A program that fits, or FitError with checked proposals."""

    def load(self, path: Path) -> Program:
        """Read a .hwx file."""

    def simulate(self, program: Program, stimulus: Stimulus, *, probes: Iterable[tuple[str, str]] | str,
                 strict: bool, progress: Progress | None, threads: int = 1) -> Trace:
        """Run a program cycle by cycle; no result depends on ``threads``."""

    @property
    def engines(self) -> tuple[str, ...]:
        """What else can run a program."""

    def simulate_on(self, engine: str, program: Program, stimulus: Stimulus,
                    probes: Iterable[tuple[str, str]] | str) -> Trace:
        """Run a program on one of ``engines``; the trace need not have counts."""

    def walk(self, program: Program) -> Walk:
        """The simulator step by step; UnsupportedError (NO_WALK) where it only runs whole stimuli."""

    def estimate(self, program: Program, trace: Trace, proxy: str | None, boundary: str,
                 options: Mapping[str, Any]) -> CostReport:
        """Energy and latency of a simulated run; boundary: "chip", or "host" for the processors beside the cores;
        options: what only this target knows, by name.
        """

    @property
    def forms(self) -> tuple[str, ...]:
        """Other tools' forms in which a program can be written."""

    def emit(self, program: Program, form: str, data: Stimulus | None) -> Emitted:
        """A program in one of ``forms``, with a stimulus for a test bench where the form has one."""

    def summary(self, program: Program) -> dict[str, Usage]:
        """Used and available, resource by resource."""

    def legality(self, program: Program) -> tuple[Violation, ...]:
        """Every limit that the program breaks."""


class Deterministic:
    """What every backend says whose simulator equals the reference in the chip's own numbers."""

    @property
    def exact(self) -> Mapping[str, Any]:
        """No option is needed for that."""
        return MappingProxyType({})

    def noise(self, program: Program) -> str:
        """There is none."""
        return ""


def refuse_options(target: str, options: Mapping[str, Any]) -> None:
    """For a target that has none.

    Raises:
        UnsupportedError: UNKNOWN_OPTION.
    """
    if options:
        raise UnsupportedError(f"{target} has no option {', '.join(sorted(options))}", code="UNKNOWN_OPTION",
                               fix="leave it out")


def require_known(who: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse options of other names.

    Raises:
        UnsupportedError: UNKNOWN_OPTION.
    """
    names = sorted(known)
    if unknown := sorted(set(options) - set(names)):
        raise UnsupportedError(f"{who} has no option {', '.join(unknown)}", code="UNKNOWN_OPTION",
                               fix=f"use {', '.join(names)}")


def number_option(name: str, value: Any, least: float, most: float) -> float:
    """An option as a number from ``least`` to ``most``.

    Raises:
        UnsupportedError: BAD_OPTION.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not least <= number <= most:
        raise UnsupportedError(f"{name} is {value!r}", code="BAD_OPTION",
                               fix=f"give a number from {least:g} to {most:g}")
    return number


class OwnSimulatorOnly:
    """What a backend says whose programs nothing runs but hwsdk's simulator."""

    @property
    def engines(self) -> tuple[str, ...]:
        """None beside the simulator."""
        return ()

    def simulate_on(self, engine: str, program: Program, stimulus: Stimulus,
                    probes: Iterable[tuple[str, str]] | str = ()) -> Trace:
        """There is none.

        Raises:
            UnsupportedError: UNKNOWN_ENGINE.
        """
        raise UnsupportedError(f"engine {engine!r}", code="UNKNOWN_ENGINE", fix="use the engine hwsdk")


def refuse_walk(target: str) -> NoReturn:
    """For a target whose simulator runs whole stimuli only.

    Raises:
        UnsupportedError: NO_WALK.
    """
    raise UnsupportedError(f"the simulator of {target} does not run step by step", code="NO_WALK",
                           fix="simulate a whole stimulus, or compile for spinnaker2")
