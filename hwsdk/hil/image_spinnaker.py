"""A SpinnakerProgram as a device image: the PEs' images as they lie, the routers' tables, which atom is which element.

The sections are those that firmware_stubs/spinnaker/runner.c names, the state's parts those of state.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import UnsupportedError
from hwsdk.hil.image import DeviceImage, Elements, Field, elements, pack
from hwsdk.programs.spinnaker import STATES, SpinnakerProgram
from hwsdk.programs.spinnaker_image import ACCUMULATORS, HISTORY_BYTES, PRE_BYTES, PeMemory
from hwsdk.simulators.spinnaker_machine import build

IntArray = NDArray[np.int64]
LAYOUT = 1
FIRES, CONSECUTIVE = 1, 2
"""Flags of a slice."""
LIF_STATES = ("lif", "lif_curr")
"""Models of PEs whose neurons have u, v, and steps of rest."""


def image_of(program: SpinnakerProgram) -> DeviceImage:
    """The image, with every state that the simulator can probe: u and v, h, and the weights that learn.

    Raises:
        ProgramError: the program does not hold together. UnsupportedError: EVENT_OF_0, an EGRU that sends events of 0.
    """
    build(program)
    memories = [program.memory(pe) for pe in range(program.n_pes)]
    graded = any(m.model == "egru" for m in memories)
    _require_events(program, memories)
    values = graded or any(not s.fires for s in program.populations)
    inputs = elements([(s.name, s.shape, 0, True) for s in program.inputs])
    populations = elements([(s.name, s.shape, s.lag, s.fires) for s in program.populations])
    a = program.arrays
    slices, listed = _slices(program, (*inputs, *populations))
    pes, images = _images(program)
    head = np.array([program.phases, program.chips, program.n_pes, len(a.slice_sender), graded, 0], np.uint32)
    router = np.column_stack([a.router_key, a.router_mask, a.router_pes, a.router_links.astype(np.uint32)])
    sections: list[NDArray[Any] | bytes] = [
        head, pes, images, np.column_stack([a.chip_x, a.chip_y]), a.router_ptr.astype(np.uint32),
        router.astype(np.uint32), slices, listed]
    data = pack("spinnaker", LAYOUT, program.digest(), sum(e.n for e in inputs), sum(e.n for e in populations),
                ("f32" if graded else "ones", "f32" if values else "ones"), sections)
    return DeviceImage("spinnaker", LAYOUT, data, inputs, populations, dict(program.outputs),
                       states=_states(program, memories))


def _require_events(program: SpinnakerProgram, memories: list[PeMemory]) -> None:
    """No event has the value 0, which a line does not carry: c > theta >= 0."""
    for pe, m in enumerate(memories):
        if m.model == "egru" and not (np.ascontiguousarray(m.neurons[:, 1]).view(np.float32) >= 0).all():
            raise UnsupportedError("an EGRU with a theta below 0 can send events of value 0, which the line does not "
                                   "carry", where=f"{program.name}, PE {pe}", code="EVENT_OF_0",
                                   fix="give thetas of 0 or more")


def _images(program: SpinnakerProgram) -> tuple[NDArray[np.uint32], bytes]:
    """(records of the PEs, their images, each from a multiple of 8 on)."""
    a, rows, body, at = program.arrays, [], [], 0
    for pe in range(program.n_pes):
        raw = program.image(pe).tobytes()
        rows.append([at, len(raw), int(a.pe_chip[pe]), int(a.pe_core[pe])])
        body.append(raw + bytes(-len(raw) % 8))
        at += len(body[-1])
    return np.array(rows, np.uint32).reshape(-1, 4), b"".join(body)


def _slices(program: SpinnakerProgram, senders: tuple[Elements, ...]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(element and flags of each slice, elements of those that are not consecutive)."""
    a, rows, listed, at = program.arrays, [], [np.zeros(0, np.int64)], 0
    for s, number in enumerate(a.slice_sender.tolist()):
        own = senders[number].first + a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]].astype(np.int64)
        consecutive = bool((np.diff(own) == 1).all())
        rows.append([int(own[0]) if consecutive else at, FIRES * senders[number].fires | CONSECUTIVE * consecutive])
        if not consecutive:
            listed.append(own)
            at += len(own)
    return np.array(rows, np.uint32).reshape(-1, 2), np.concatenate(listed).astype(np.uint32)


def _parts(memory: PeMemory) -> dict[str, int]:
    """The parts of a PE's state in their order, and their 32-bit words."""
    n = 0 if memory.model == "source" else memory.n
    lif = n if memory.model in LIF_STATES else 0
    plastic = [b for b in memory.blocks if b.kind == "plastic"]
    rules, weights = len(memory.learners), sum(len(b.words) for b in plastic)
    return {"u": lif, "v": n, "left": -(-lif // 2), "ring": memory.slots * ACCUMULATORS[memory.model] * n,
            "posts": rules * n, "post": rules * n * memory.history * HISTORY_BYTES // 4,
            "pre": sum(len(b.rows) - 1 for b in plastic) * PRE_BYTES // 4, "weights": -(-weights // 2)}


def _states(program: SpinnakerProgram, memories: list[PeMemory]) -> Mapping[tuple[str, str], Field]:
    """Where all states lie."""
    a, senders = program.arrays, program.senders
    place = {(s.name, state): np.zeros(s.n, np.int64) for s in program.populations for state in STATES[s.model]}
    synapse, at, s = np.zeros(len(a.learned_synapse), np.int64), 0, 0
    for pe, memory in enumerate(memories):
        begin = {}
        for name, words in _parts(memory).items():
            begin[name], at = at, at + words
        first = 0
        for own in memory.slices:
            sender, neurons = senders[a.slice_sender[s]], a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]]
            for state in STATES.get(sender.model, ()):
                place[sender.name, state][neurons] = begin["u" if state == "u" else "v"] + first + np.arange(own.n)
            first, s = first + own.n, s + 1
        if len(synapse):
            learned = a.learned_synapse[a.learned_ptr[pe] : a.learned_ptr[pe + 1]]
            synapse[learned] = 2 * begin["weights"] + np.arange(len(learned))
    found = {key: Field(0, "<f4", len(where), 4, where) for key, where in place.items()}
    ends = np.cumsum([0, *(x.n for x in program.learned)])
    return found | {(x.name, "weight"): Field(0, "<u2", x.n, 2, synapse[ends[k] : ends[k + 1]])
                    for k, x in enumerate(program.learned)}
