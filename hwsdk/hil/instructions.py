"""What the SpiNNaker kernel of the firmware takes on a Cortex-M4, by executing it: instructions and cycles.

The firmware runs small images (``instruction_images``) in Unicorn, which counts the instructions of each step; the
linear law that the counts follow is solved. ``hwsdk/targets/measured/spinnaker2_m4.toml`` holds what came out, with the
hash of the image; ``python -m hwsdk.hil.instructions`` measures again and prints it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.hil.events import Events
from hwsdk.hil.firmware import prebuilt
from hwsdk.hil.instruction_images import Experiment, all_of, units
from hwsdk.hil.link import Link
from hwsdk.hil.m4_cycles import LEVELS, prices
from hwsdk.hil.transports.unicorn import UnicornTransport
from hwsdk.hil.transports.unicorn_cpu import EmulatedBoard, Price, one_each

PER = {
    "step": "step, for all PEs together", "input": "input event that is taken",
    "input_payload": "the same with a payload", "some_input": "step with input",
    "search": "halving in the search for the first input event", "learns": "step, if any PE learns",
    "pe_lif": "PE and tick, LIF without synaptic current", "pe_lif_curr": "PE and tick, LIF with synaptic current",
    "pe_egru": "PE and tick, EGRU", "word": "32 neurons and tick, begun ones too",
    "neuron_lif": "LIF update without synaptic current", "neuron_curr": "LIF update with synaptic current",
    "neuron_egru": "EGRU update, all numbers 0", "spike": "spike that a LIF neuron fires, more than its update",
    "heard": "slice that is heard and tick",
    "some_heard": "such a slice and tick with spikes, for each PE that hears it",
    "some_heard_payload": "the same with payloads", "gathered": "spike that is read out of its slice",
    "gathered_payload": "the same with a payload, for each PE that hears it",
    "row_conv": "row of a kernel that reaches neurons, for each packet",
    "place_conv": "place of a kernel that reaches neurons, for each packet",
    "event_conv": "weight of a kernel that is added",
    "post_plastic": "spike of a neuron that learns, more than of others",
    "pair_plastic": "word that learns with one post spike since its last pre spike, more than without one"}
"""Term -> for what it is paid; entry, packet and event are those of a kind of words."""
HEAD = """\
# What the SpiNNaker kernel of firmware_stubs takes on a Cortex-M4: the image was executed in an emulator, see
# hwsdk/hil/instructions.py, which prints this file. Instructions are exact. Cycles are instructions priced by Arm's
# table (hwsdk/hil/m4_cycles.py), low, nominal and high, for memory without wait states. Nothing is of silicon.
# Packets find their table entries when the program is loaded, not one by one as on a chip: there is no look-up in it.
"""


@dataclass(frozen=True, slots=True)
class Law:
    """terms: name -> price. residual: the largest difference between the law and a step, of ``steps``."""

    terms: Mapping[str, float]
    residual: float
    steps: int


@dataclass(frozen=True, slots=True)
class Measured:
    """laws: "instructions", and "low", "nominal" and "high" cycles where they were measured. egru: the same names ->
    (least, mean, most) of an update of an EGRU. sha256: of the image. build, compiler: as the firmware says.
    """

    laws: Mapping[str, Law]
    egru: Mapping[str, tuple[float, float, float]]
    sha256: str
    build: str
    compiler: str


def run(elf: Path, experiments: Iterable[Experiment], price: Price = one_each) -> list[NDArray[np.int64]]:
    """What the firmware takes in each step of the experiments.

    Args:
        elf: semihosting firmware.
        experiments: what to run.
        price: what is counted; see EmulatedBoard.

    Raises:
        MissingDependencyError: unicorn. RemoteError: the firmware refuses an image.
    """
    board, found = EmulatedBoard(elf.read_bytes(), elf.name, count=True, price=price), []
    with Link(UnicornTransport(board, elf.name)) as link:
        for e in experiments:
            link.load(e.image)
            ptr = np.cumsum([0, *map(len, e.inputs)]).astype(np.int64)
            found.append(link.run_steps(0, Events(ptr, np.concatenate(e.inputs), None)).ticks.astype(np.int64))
    return found


def solve(experiments: Sequence[Experiment], ticks: Sequence[NDArray[np.int64]]) -> Law:
    """The law of all steps together, by least squares.

    Raises:
        InternalError: the experiments do not tell its terms apart.
    """
    rows = [row for e in experiments for row in e.rows[e.skip:]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    a = np.array([[row.get(name, 0) for name in names] for row in rows], np.float64)
    b = np.concatenate([t[e.skip:] for e, t in zip(experiments, ticks, strict=True)]).astype(np.float64)
    x, _, rank, _ = np.linalg.lstsq(a, b, rcond=None)
    if rank < len(names):
        raise InternalError(f"{len(names)} terms, of which the experiments tell {rank} apart: {names}")
    whole = np.round(x) if np.abs(x - np.round(x)).max() < 1e-3 else x
    return Law(dict(zip(names, whole.tolist(), strict=True)), float(np.abs(a @ whole - b).max()), len(b))


def updates(law: Law, experiments: Sequence[Experiment],
            ticks: Sequence[NDArray[np.int64]]) -> tuple[float, float, float]:
    """(least, mean, most) of an EGRU update, of PEs that hold one: what is left of a step."""
    known = [sum(n * law.terms[k] for k, n in row.items() if k != "neuron_egru") for e in experiments for row in e.rows]
    left = np.concatenate(list(ticks)) - np.array(known)
    return float(left.min()), float(left.mean()), float(left.max())


def measure(elf: Path | None = None, *, cycles: bool = True, egrus: int = 40) -> Measured:
    """The law of a firmware; without a file that of the image that comes with hwsdk.

    Args:
        elf: semihosting firmware for a Cortex-M4.
        cycles: also what the instructions cost, for which objdump for ARM is needed.
        egrus: units whose updates are measured.

    Raises:
        MissingDependencyError: unicorn, pyelftools or objdump.
    """
    file = elf or prebuilt("m4_semihosting")
    experiments, single = all_of(), units(n=egrus)
    laws, egru = {}, {}
    for name in ("instructions", *(LEVELS if cycles else ())):
        price = one_each if name == "instructions" else prices(file, name)
        laws[name] = solve(experiments, run(file, experiments, price))
        egru[name] = updates(laws[name], single, run(file, single, price))
    with Link(UnicornTransport(EmulatedBoard(file.read_bytes(), file.name), file.name)) as link:
        hello = link.hello()
    return Measured(laws, egru, hashlib.sha256(file.read_bytes()).hexdigest(), hello.build, hello.compiler)


def per(name: str) -> str:
    """For what a term is paid, in words."""
    part, _, kind = name.partition("_")
    return PER.get(name) or {
        "entry": f"table entry of {kind} words to which packets come in a tick",
        "packet": f"packet that comes to {kind} words", "event": f"{kind} word that is added"}[part]


def to_toml(m: Measured) -> str:
    """The file of measured numbers."""
    first = m.laws["instructions"]
    text = [HEAD, "[image]", 'name = "hwsdk_m4_semihosting.elf"', f'sha256 = "{m.sha256}"', f'build = "{m.build}"',
            f'compiler = "{m.compiler}"', 'source = "executed in Unicorn; Arm 100166_0001, sections 3.3 and 7.2"', "",
            "[law]", f"steps = {first.steps}",
            *(f"residual_{key(name)} = {law.residual:.3g}" for name, law in m.laws.items())]
    for name in first.terms:
        text += ["", "[[term]]", f'name = "{name}"', f'per = "{per(name)}"',
                 *(f"{key(law)} = {m.laws[law].terms[name]:.6g}" for law in m.laws)]
    text += ["", "[egru_update]",
             'per = "EGRU update with numbers by chance; exp and tanh in software, in double precision"',
             'order = "least, mean, most"',
             *(f"{key(name)} = [{', '.join(f'{x:.6g}' for x in v)}]" for name, v in m.egru.items())]
    return "\n".join(text) + "\n"


def key(law: str) -> str:
    """Name of a law in the file."""
    return law if law == "instructions" else f"cycles_{law}"


if __name__ == "__main__":
    sys.stdout.write(to_toml(measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None)))
