"""A SpinnakerProgram as populations and lists of connections, in py-spinnaker2's terms, or refused with every reason.

What a program's images, tables and routers say is read back: each population gets the synapses that its PEs hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.mappers import spinnaker_check_kernels as kernels
from hwsdk.mappers.spinnaker_check_tables import hearers, tables
from hwsdk.mappers.spinnaker_check_wanted import Identities
from hwsdk.programs.spinnaker import Sender, SpinnakerProgram
from hwsdk.programs.spinnaker_decode import decode
from hwsdk.programs.spinnaker_image import ACCUMULATORS, CONTROL, NEURON_FIELDS, PeMemory

IntArray = NDArray[np.int64]
SMALL, LARGEST = 15, 127
"""Largest weights of py-spinnaker2's models with a delay for each synapse (4 bits and a sign) and of those without
(int8), as its public examples and its NIR import have them."""
LONGEST = 8
"""Steps: the delay field has 3 bits, and a connection takes a step more than it says."""
SILENT = float(np.finfo(np.float32).max)
"""Threshold of neurons that only integrate."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A population: name, size, model of py-spinnaker2, its parameters (numbers, or (n,) lists of floats)."""

    name: str
    size: int
    model: str
    parameters: dict[str, Any]
    fires: bool


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """connections int64 (k, 4): pre, post, weight, delay field, sorted."""

    pre: str
    post: str
    connections: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """What is built. inputs: name -> elements. doubts: what is not known to be exact, with the populations."""

    inputs: dict[str, int]
    layers: tuple[Layer, ...]
    wirings: tuple[Wiring, ...]
    doubts: tuple[str, ...]


def describe(program: SpinnakerProgram) -> Description:
    """The program in py-spinnaker2's terms.

    Raises:
        UnsupportedError: NOT_IN_PY_SPINNAKER2, with all that it cannot express.
    """
    problems = list(_of_the_whole(program))
    if problems:
        raise _refusal(program, problems)
    memories = [decode(program.image(pe), blocks=False) for pe in range(program.n_pes)]
    synapses = _synapses(program, memories)
    layers: list[Layer] = []
    doubts: list[str] = []
    for number, s in enumerate(program.senders):
        if s.model:
            into = [c for (_, post), c in synapses.items() if post == number]
            model, records = _records(program, memories, number)
            layers.append(_layer(s, model, records, into, problems, doubts))
    if problems:
        raise _refusal(program, problems)
    model_of = {layer.name: layer.model for layer in layers}
    wirings = tuple(_wiring(program.senders[a].name, program.senders[b].name, c, model_of)
                    for (a, b), c in synapses.items())
    return Description({s.name: s.n for s in program.inputs}, tuple(layers), wirings, tuple(doubts))


def _refusal(program: SpinnakerProgram, problems: list[str]) -> UnsupportedError:
    """With every reason."""
    return UnsupportedError("py-spinnaker2 has no form for this program:\n  - " + "\n  - ".join(problems),
                            where=program.name, code="NOT_IN_PY_SPINNAKER2",
                            fix="compile with --bits 8 (or 4, where delays differ) and --option timing=pipelined; what "
                            "remains runs on hwsdk's own firmware (serial: or tcp:)")


def _of_the_whole(program: SpinnakerProgram) -> Iterator[str]:
    """What no population can be blamed for."""
    if program.phases > 1:
        yield f"steps of {program.phases} phases; there, every connection takes a step"
    for learned in program.learned:
        yield f"{learned.name}: {learned.n:,} synapses that learn; its models have none"
    for s in program.populations:
        if s.model != "lif":
            yield f"{s.name}: neurons of the model {s.model}; it has LIF neurons without and with synaptic current"


def _synapses(program: SpinnakerProgram, memories: list[PeMemory]) -> dict[tuple[int, int], IntArray]:
    """(number of the sender, number of the population) -> int64 (k, 4): pre, post, weight, delay in steps."""
    a, identities = program.arrays, Identities.of(program.senders)
    cells = [_cells(program, memory, pe, identities) for pe, memory in enumerate(memories)]
    found = tables(program, np.array([len(c) for c in cells], np.int64), [()] * len(memories))
    heard = hearers(program, memories, found)
    held = (found.entries, found.image, np.concatenate([*cells, np.zeros(0, np.int64)]))
    key_of = [s.key for m in memories for s in m.slices]
    rows: dict[int, list[IntArray]] = {}
    for s, number in enumerate(a.slice_sender.tolist()):
        own = heard.entry[heard.ptr[s] : heard.ptr[s + 1]]
        room = int(found.longest[own].sum())
        target, key = np.empty(room, np.int64), np.empty(room, np.int64)
        for k, element in enumerate(a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]].tolist()):
            n = kernels.gather(key_of[s] + k, own, held, target, key)
            if n < 0:
                raise UnsupportedError("a row leads outside of a PE's memory", where=program.senders[number].name,
                                       code="BAD_IMAGE", fix="compile the model again")
            part = np.stack([np.full(n, element), target[:n], key[:n] >> 24, key[:n] & 255], axis=1)
            rows.setdefault(number, []).append(part)
    return _by_population(rows, identities)


def _by_population(rows: dict[int, list[IntArray]], identities: Identities) -> dict[tuple[int, int], IntArray]:
    """Synapses of one sender apart by their targets' populations; those of one pair and delay are added up."""
    made = {}
    for number, parts in rows.items():
        synapses = np.concatenate(parts)
        population = np.searchsorted(identities.first, synapses[:, 1], "right") - 1
        for post in np.unique(population).tolist():
            own = synapses[population == post]
            own[:, 1] -= identities.first[post]
            pairs, at = np.unique(own[:, [0, 1, 3]], axis=0, return_inverse=True)
            weight = np.bincount(at.ravel(), own[:, 2], len(pairs)).astype(np.int64)
            kept = weight != 0
            made[number, post] = np.stack([pairs[:, 0], pairs[:, 1], weight, pairs[:, 2]], axis=1)[kept]
    return {key: c for key, c in made.items() if len(c)}


def _cells(program: SpinnakerProgram, memory: PeMemory, pe: int, identities: Identities) -> IntArray:
    """The identity of each accumulator of a PE."""
    a = program.arrays
    if not ACCUMULATORS[memory.model]:
        return np.zeros(0, np.int64)
    slices = range(int(a.slice_ptr[pe]), int(a.slice_ptr[pe + 1]))
    parts = [identities.first[a.slice_sender[s]] + a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]] for s in slices]
    return np.concatenate(parts).astype(np.int64)


def _records(program: SpinnakerProgram, memories: list[PeMemory], number: int,
             ) -> tuple[str, dict[str, NDArray[Any]]]:
    """(model of the PEs, field -> (n,)) of a population: floats, and the parts of its control words."""
    a, s = program.arrays, program.senders[number]
    model = next(m.model for pe, m in enumerate(memories) if number in a.slice_sender[_slices(program, pe)])
    raw = np.zeros((s.n, len(NEURON_FIELDS[model])), np.uint32)
    for pe, memory in enumerate(memories):
        at = 0
        for k in range(*_slices(program, pe).indices(len(a.slice_sender))):
            own = a.neuron[a.neuron_ptr[k] : a.neuron_ptr[k + 1]]
            if a.slice_sender[k] == number:
                raw[own] = memory.neurons[at : at + len(own)]
            at += len(own)
    fields: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(raw[:, k]).view(np.float32).astype(np.float64)
                                       for k, name in enumerate(NEURON_FIELDS[model]) if name != "control"}
    control = raw[:, NEURON_FIELDS[model].index("control")]
    bits = {part: 12 if part in ("refractory", "resting") else 1 for part in CONTROL}
    return model, fields | {part: control >> bit & (1 << bits[part]) - 1 for part, bit in CONTROL.items()}


def _slices(program: SpinnakerProgram, pe: int) -> slice:
    """The slices of a PE."""
    return slice(int(program.arrays.slice_ptr[pe]), int(program.arrays.slice_ptr[pe + 1]))


def _layer(s: Sender, model: str, f: dict[str, NDArray[Any]], into: list[IntArray], problems: list[str],
           doubts: list[str]) -> Layer:
    """A population with its parameters; what it cannot be goes into problems, what is not known into doubts."""
    current = model == "lif_curr"
    subtract, fires = f["subtract"] == 1, f["fires"] == 1
    checks = {
        "some neurons reset by value and some by subtraction": subtract[fires].any() and not subtract[fires].all(),
        "a reset that subtracts something else than the threshold":
            (f["reset_by"] != f["v_threshold"])[fires & subtract].any(),
        "some neurons that fire and some that only integrate": fires.any() and not fires.all(),
        "spikes at the threshold already (>=); it spikes above it": (f["at_threshold"][fires] == 1).any(),
        "neurons that rest at the start": (f["resting"] != 0).any(),
        "a synaptic current that does not start at 0": current and (f["u"] != 0).any(),
        "a refractory time without a synaptic current": not current and (f["refractory"] != 0).any(),
    }
    problems += [f"{s.name}: {text}" for text, broken in checks.items() if broken]
    if current:
        doubts.append(f"{s.name}: how a synaptic current decays there is not published")
    own: dict[str, Any] = {
        "threshold": _short(f["v_threshold"] if fires.all() else np.full(s.n, SILENT)),
        "alpha_decay": _short(f["decay_v"]), "i_offset": _short(f["bias"]), "v_reset": 0.0,
        "reset": "reset_by_subtraction" if subtract[fires].any() else "reset_to_v_reset"}
    if f["v"].any():
        own["v_init"] = _short(f["v"])
    if current:
        own |= {"exc_decay": _short(f["decay_u"]), "inh_decay": _short(f["decay_u"]),
                "t_refrac": _short(f["refractory"])}
    family = "lif_curr_exp" if current else "lif"
    return Layer(s.name, s.n, family + _suffix(s.name, into, problems), own, bool(fires.all()))


def _suffix(name: str, into: list[IntArray], problems: list[str]) -> str:
    """"" for words with a delay of their own, "_no_delay" for int8 weights and one step."""
    every = np.concatenate([*into, np.zeros((0, 4), np.int64)])
    largest, longest = int(np.abs(every[:, 2]).max(initial=0)), int(every[:, 3].max(initial=1))
    if longest == 1 and largest <= LARGEST:
        return "_no_delay"
    if largest <= SMALL and longest <= LONGEST:
        return ""
    problems.append(f"{name}: weights up to {largest} and delays up to {longest} steps; it has weights up to {LARGEST} "
                    f"with delays of 1 step, or up to {SMALL} with delays up to {LONGEST}")
    return ""


def _short(values: NDArray[Any]) -> Any:
    """One number where all are equal, else a list."""
    return values[0].item() if len(values) and (values == values[0]).all() else values.tolist()


def _wiring(pre: str, post: str, synapses: IntArray, model_of: dict[str, str]) -> Wiring:
    """With the delay field: a connection takes a step more than it says; models without delays get 0."""
    made = synapses.copy()
    made[:, 3] = 0 if model_of[post].endswith("_no_delay") else made[:, 3] - 1
    return Wiring(pre, post, made)
