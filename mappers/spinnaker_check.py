"""check: does a SpiNNaker program do what its network says? Read back from images and tables, with none of the mapper.

For every sender the synapses that its packets lead to, through the routers, the population tables and the words
(target, weight, delay, learner or port), must be exactly those of the network, as a multiset; packets go where they are
heard and nowhere else; every word that learns is the synapse that it is said to be; every neuron is placed once, with
its own parameters, state and phase; no key is used twice; every image fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.network import Network
from hwsdk.mappers import spinnaker_check_kernels as kernels
from hwsdk.mappers.spinnaker_check_learned import check_learned
from hwsdk.mappers.spinnaker_check_neurons import check_images, check_keys, check_neurons, check_senders
from hwsdk.mappers.spinnaker_check_tables import Hearers, Tables, check_needed, check_use, hearers, tables
from hwsdk.mappers.spinnaker_check_wanted import Identities, Wanted, learner_numbers, leaving
from hwsdk.programs.spinnaker import Sender, SpinnakerProgram
from hwsdk.programs.spinnaker_decode import decode
from hwsdk.programs.spinnaker_image import ACCUMULATORS, PeMemory

IntArray = NDArray[np.int64]
BLOCK = 1 << 17
"""Synapses of the network that are written out at a time."""


def check(network: Network, program: SpinnakerProgram) -> None:
    """Hold a program against the network that it was made of: in the numbers of the chip (``is_single``), or of EGRUs.

    Raises:
        InternalError: they differ; names the first wrong source and target.
        ProgramError: an image that cannot be read, or a packet that runs in a circle; see walk.
    """
    check_senders(network, program)
    memories = [decode(program.image(pe), blocks=False) for pe in range(program.n_pes)]
    check_images(program, memories)
    check_keys(program, memories)
    check_neurons(network, program, memories)
    identities = Identities.of(program.senders)
    cells = [_cells(program, memory, pe, identities) for pe, memory in enumerate(memories)]
    found = tables(program, np.array([len(c) for c in cells], np.int64), learner_numbers(network, memories))
    check_needed(program, memories, found)
    heard = hearers(program, memories, found)
    check_use(program, memories, found, heard)
    key = np.array([s.key for m in memories for s in m.slices], np.int64)
    wires = _Wires(found, heard, key, np.concatenate([*cells, np.zeros(0, np.int64)]), identities)
    for number, sender in enumerate(program.senders):
        _check_sender(network, program, number, sender, wires)
    check_learned(network, program, found, key, wires.identity, identities)


@dataclass(frozen=True, slots=True, eq=False)
class _Wires:
    """Everything that hears. key (slices): of atom 0. identity: of all accumulators of all PEs."""

    tables: Tables
    hearers: Hearers
    key: IntArray
    identity: IntArray
    identities: Identities


def _cells(program: SpinnakerProgram, memory: PeMemory, pe: int, identities: Identities) -> IntArray:
    """The identity of each accumulator of a PE."""
    a = program.arrays
    own = slice(int(a.slice_ptr[pe]), int(a.slice_ptr[pe + 1]))
    lo, hi = int(a.neuron_ptr[own.start]), int(a.neuron_ptr[own.stop])
    sender = np.repeat(a.slice_sender[own], np.diff(a.neuron_ptr[own.start : own.stop + 1]))
    first, n = identities.first[sender], identities.size[sender]
    ports = [first + port * n + a.neuron[lo:hi] for port in range(ACCUMULATORS[memory.model])]
    return np.concatenate([*ports, np.zeros(0, np.int64)]).astype(np.int64)


def _check_sender(network: Network, program: SpinnakerProgram, number: int, sender: Sender, wires: _Wires) -> None:
    """All synapses that leave one sender."""
    a, heard = program.arrays, wires.hearers
    wanted = leaving(network, program.senders, sender.name, wires.identities)
    sizes = np.zeros(sender.n, np.int64)
    for w in wanted:
        w.count(sizes)
    slice_of, packet = np.empty(sender.n, np.int64), np.empty(sender.n, np.int64)
    room = 0
    for s in np.flatnonzero(a.slice_sender == number):
        own = a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]]
        slice_of[own], packet[own] = s, wires.key[s] + np.arange(len(own))
        room = max(room, int(wires.tables.longest[heard.entry[heard.ptr[s] : heard.ptr[s + 1]]].sum()))
    cells, ends, low = wires.identities.total, np.cumsum(sizes), 0
    fixed = ((heard.ptr, heard.entry), (wires.tables.entries, wires.tables.image, wires.identity),
             np.zeros(cells, np.int64), np.zeros(cells, np.int64), (np.empty(room, np.int64), np.empty(room, np.int64)))
    while low < sender.n:
        high = max(low + 1, int(np.searchsorted(ends, (ends[low - 1] if low else 0) + BLOCK, "right")))
        written = _written(wanted, low, sizes[low:high])
        found = kernels.compare(low, *written, packet[low:high], slice_of[low:high], *fixed)
        if found[0] != kernels.EQUAL:
            raise InternalError(_complaint(wires, sender, *found))
        low = high


def _written(wanted: list[Wanted], low: int, sizes: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """(start, end, target, key) of the network's synapses of some consecutive elements of a sender."""
    start = np.r_[0, np.cumsum(sizes)].astype(np.int64)
    target, key, end = np.empty(start[-1], np.int64), np.empty(start[-1], np.int64), start[:-1].copy()
    for w in wanted:
        w.write(low, end, target, key)
    return start[:-1], end, target, key


def _complaint(wires: _Wires, sender: Sender, kind: int, source: int, target: int, wanted: int, found: int) -> str:
    """What is wrong with one pair."""
    name = f"{sender.name}[{source}]"
    if kind == kernels.OUTSIDE:
        return f"the row of {name} in {wires.tables.named(target)} leads outside of the PE's memory"
    to, is_float = wires.identities.named(target), any(s.model == "egru" for s in wires.identities.senders)
    text = {kernels.MISSING: f"lacks its synapse ({_synapse(wanted, is_float)})",
            kernels.EXTRA: f"has a synapse too many ({_synapse(found, is_float)})",
            kernels.DIFFERENT: f"should be {_synapse(wanted, is_float)}, is {_synapse(found, is_float)}"}[kind]
    return f"the program's connection {name} -> {to} {text}"


def _synapse(key: int, is_float: bool) -> str:
    """A key in words."""
    weight, tag, delay = key >> 24, key >> 8 & 0xFFFF, key & 255
    value = float(np.array([weight], np.int32).view(np.float32)[0]) if is_float else weight
    return f"weight {value:g}, {delay} steps" + (f", learner {tag}" if tag else "")
