"""Device: what can run a program and give its trace: hardware behind a link, a chip's simulator, a vendor's chip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from hwsdk.backends.base import Program
from hwsdk.ir.data import Stimulus
from hwsdk.ir.trace import Trace

Progress = Callable[[int, int], None]
Probes = Iterable[tuple[str, str]] | str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device says of itself before anything is loaded.

    name, chip, core: in words. kinds: of programs that it can run ("loihi", "spinnaker", "sfq", "crossbar", as
    hwsdk.programs names them). build: id of its firmware or version of its software. memory: bytes for a program, None
    if that is not known or has no limit. counter: what its counts of a step are: "none", "wall", "instructions",
    "cycles". probes: whether states can be read after every step. exact: whether it computes what the simulator
    computes, bit by bit; False for analog parts. notes: what else a user should know.
    """

    name: str
    kinds: tuple[str, ...]
    chip: str = ""
    core: str = ""
    build: str = ""
    memory: int | None = None
    counter: str = "none"
    probes: bool = False
    exact: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a device answers as it should; what: in words; statistics: of the line, by name."""

    good: bool
    what: str
    statistics: Mapping[str, float] = field(default_factory=dict)


class Device(Protocol):
    """Something that runs programs. It is a context manager: leaving it closes it."""

    @property
    def url(self) -> str:
        """What it was opened by."""

    def capabilities(self) -> Capabilities:
        """What it is and can run."""

    def load(self, program: Program) -> None:
        """Put a program on it, in its initial state.

        Raises:
            UnsupportedError: the device cannot run this program. FitError: it does not fit. LinkError: the line.
        """

    def run(self, stimulus: Stimulus, *, probes: Probes = (), progress: Progress | None = None) -> Trace:
        """Run every sample from the initial state: the same spikes as ``simulate`` of the backend gives, with the same
        axes and lags. counts: what the device counts, by name.

        Raises:
            DataError: the stimulus does not suit the program. LinkError: there is no result.
        """

    def read_state(self) -> Mapping[tuple[str, str], NDArray[Any]]:
        """(population, state) -> (n,) as it is after the last step."""

    def counters(self) -> Mapping[str, float]:
        """What the device and the line have counted since it was opened."""

    def health(self) -> Health:
        """Ask it."""

    def close(self) -> None:
        """Let go of it; may be called twice."""

    def __enter__(self) -> Device:
        """Itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""
