"""check: does a SpiNNaker program do what its network says? Read back from images and tables, with none of the mapper.

For every sender the synapses that its packets lead to, through the routers, the population tables and the words
(target, weight, delay, learner or port), must be exactly those of the network, as a multiset; packets go where they are
heard and nowhere else; every neuron is placed once, with its own parameters, state and phase; no key is used twice;
every image fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.network import Network
from hwsdk.mappers import spinnaker_check_kernels as kernels
from hwsdk.mappers.spinnaker_check_neurons import check_images, check_keys, check_neurons, check_senders
from hwsdk.mappers.spinnaker_check_wanted import Identities, Wanted, learner_numbers, leaving
from hwsdk.programs.spinnaker import Sender, SpinnakerProgram
from hwsdk.programs.spinnaker_image import (
    ACCUMULATORS,
    CONV_FIELDS,
    DELAY_FIELD,
    KINDS,
    Block,
    PeMemory,
)
from hwsdk.programs.spinnaker_routes import walk

IntArray = NDArray[np.int64]
BLOCK = 1 << 22
"""Synapses of the network that are written out at a time."""


def check(network: Network, program: SpinnakerProgram) -> None:
    """Hold a program against the network that it was made of: in the numbers of the chip (``is_single``), or of EGRUs.

    Raises:
        InternalError: they differ; names the first wrong source and target.
        ProgramError: an image that cannot be read, or a packet that runs in a circle; see walk.
    """
    check_senders(network, program)
    memories = [program.memory(pe) for pe in range(program.n_pes)]
    check_images(program, memories)
    check_keys(program, memories)
    check_neurons(network, program, memories)
    wires = _wires(network, program, memories)
    _check_use(program, memories, wires)
    for number, sender in enumerate(program.senders):
        _check_sender(network, program, number, sender, wires)


@dataclass(frozen=True, slots=True, eq=False)
class _Wires:
    """Everything that hears, over all PEs.

    blocks, pe_of: every block and its PE. columns (blocks, COLUMNS), with pointers still to be set. ptr, heard: blocks
    that take the packets of each slice. key (slices): of atom 0. identity: of all accumulators of all PEs.
    """

    blocks: tuple[Block, ...]
    pe_of: IntArray
    columns: IntArray
    ptr: IntArray
    heard: IntArray
    key: IntArray
    identity: IntArray
    identities: Identities


def _wires(network: Network, program: SpinnakerProgram, memories: list[PeMemory]) -> _Wires:
    """Decoded tables, and who hears whom."""
    identities = Identities.of(program.senders)
    cells = [_cells(program, memory, pe, identities) for pe, memory in enumerate(memories)]
    first = np.r_[0, np.cumsum([len(c) for c in cells])].astype(np.int64)
    blocks = tuple(b for m in memories for b in m.blocks)
    pe_of = np.repeat(np.arange(len(memories)), [len(m.blocks) for m in memories])
    columns = np.zeros((len(blocks), len(kernels.COLUMNS)), np.int64)
    columns[:, kernels.KIND] = [KINDS.index(b.kind) for b in blocks]
    columns[:, kernels.FREE] = [~b.mask & 0xFFFFFFFF for b in blocks]
    columns[:, kernels.N_ROWS] = [_rows(b) for b in blocks]
    columns[:, kernels.DELAY] = [b.delay for b in blocks]
    columns[:, kernels.FIRST], columns[:, kernels.CELLS] = first[pe_of], np.diff(first)[pe_of]
    tag = learner_numbers(network, memories)
    columns[:, kernels.TAG] = [_tag(b, tag[pe], pe) for b, pe in zip(blocks, pe_of.tolist(), strict=True)]
    ptr, heard = _hearers(program, memories)
    key = np.array([s.key for m in memories for s in m.slices], np.int64)
    return _Wires(blocks, pe_of, columns, ptr, heard, key, np.concatenate([*cells, np.zeros(0, np.int64)]), identities)


def _tag(block: Block, tags: tuple[int, ...], pe: int) -> int:
    """The learner of a block, as a network-wide number; 0 for a static one."""
    if block.kind != "plastic":
        return 0
    if block.learner >= len(tags):
        raise InternalError(f"PE {pe} has {len(tags)} learners, an entry of its table uses number {block.learner}")
    return tags[block.learner]


def _rows(block: Block) -> int:
    """Atoms that a block knows."""
    if block.kind != "conv":
        return len(block.rows) - 1
    return math.prod(block.shape[f] for f in ("in_channels", "in_height", "in_width"))


def _cells(program: SpinnakerProgram, memory: PeMemory, pe: int, identities: Identities) -> IntArray:
    """The identity of each accumulator of a PE."""
    a = program.arrays
    own = slice(int(a.slice_ptr[pe]), int(a.slice_ptr[pe + 1]))
    lo, hi = int(a.neuron_ptr[own.start]), int(a.neuron_ptr[own.stop])
    sender = np.repeat(a.slice_sender[own], np.diff(a.neuron_ptr[own.start : own.stop + 1]))
    first, n = identities.first[sender], identities.size[sender]
    ports = [first + port * n + a.neuron[lo:hi] for port in range(ACCUMULATORS[memory.model])]
    return np.concatenate([*ports, np.zeros(0, np.int64)]).astype(np.int64)


def _hearers(program: SpinnakerProgram, memories: list[PeMemory]) -> tuple[IntArray, IntArray]:
    """(pointers, blocks) of each slice: the entries that match its keys on the PEs that its packets come to.

    Raises:
        InternalError: a packet comes to a PE where nothing matches it, an entry splits a slice or is for another phase,
            or an entry's packets never come.
    """
    parts = [s for m in memories for s in m.slices]
    found, came = [np.zeros((0, 2), np.int64)], walk(program)
    order = np.argsort(came.pe, kind="stable")
    ends = np.searchsorted(came.pe[order], np.arange(len(memories) + 1))
    first = 0
    for pe, memory in enumerate(memories):
        heard = came.slice_of[order[ends[pe] : ends[pe + 1]]]
        pairs = _matches(program, memory, pe, heard, np.array([parts[s].key for s in heard], np.int64),
                         np.array([parts[s].n for s in heard], np.int64))
        found.append(np.stack([heard[pairs[0]], first + pairs[1]], axis=1))
        first += len(memory.blocks)
    rows = np.concatenate(found)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    return np.searchsorted(rows[:, 0], np.arange(len(parts) + 1)).astype(np.int64), rows[:, 1].copy()


def _matches(program: SpinnakerProgram, memory: PeMemory, pe: int, heard: IntArray, key: IntArray, n: IntArray,
             ) -> tuple[IntArray, IntArray]:
    """(slice, entry) wherever an entry of a PE matches the keys of a slice that it hears; both counted from 0."""
    entry, mask, phase = (np.array([getattr(b, f) for b in memory.blocks], np.int64) for f in ("key", "mask", "phase"))
    low = np.array([(1 << int(k ^ (k + m - 1)).bit_length()) - 1 for k, m in zip(key, n, strict=True)], np.int64)
    low = low.reshape(-1, 1)
    meets = (key[:, None] ^ entry) & mask & ~low == 0
    names = [program.senders[program.arrays.slice_sender[s]] for s in heard]
    if (split := meets & (mask & low != 0)).any():
        s, e = (int(x[0]) for x in np.nonzero(split))
        raise InternalError(f"entry {e} of PE {pe} splits the keys of {names[s].name} from {int(key[s]):#x} on")
    if not (any_ := meets.any(axis=1)).all():
        s = int(np.argmin(any_))
        raise InternalError(f"packets of {names[s].name} with keys from {int(key[s]):#x} on come to PE {pe}, where no "
                            "entry matches them")
    if not (used := meets.any(axis=0)).all():
        e = int(np.argmin(used))
        raise InternalError(f"entry {e} of PE {pe} waits for keys from {int(entry[e]):#x} on, which never come")
    slice_of, entry_of = np.nonzero(meets)
    for s, e in zip(slice_of.tolist(), entry_of.tolist(), strict=True):
        if phase[e] != names[s].phase:
            raise InternalError(f"entry {e} of PE {pe} takes {names[s].name} for phase {phase[e]}, not "
                                f"{names[s].phase}")
    return slice_of, entry_of


def _check_use(program: SpinnakerProgram, memories: list[PeMemory], wires: _Wires) -> None:
    """Slices that are heard send; each delivery finds a word; rings are long enough; words suit their neurons."""
    parts = [s for m in memories for s in m.slices]
    for s in np.flatnonzero(np.diff(wires.ptr)):
        name = program.senders[program.arrays.slice_sender[s]].name
        if not parts[s].sends:
            raise InternalError(f"a slice of {name} is heard, but its PE does not send its spikes")
        own = wires.heard[wires.ptr[s] : wires.ptr[s + 1]]
        for pe in np.unique(wires.pe_of[own]):
            blocks = [wires.blocks[b] for b in own[wires.pe_of[own] == pe]]
            if not any(b.kind == "conv" or len(b.words) for b in blocks):
                raise InternalError(f"packets of {name} come to PE {pe}, which holds no synapse from it")
    for pe, memory in enumerate(memories):
        last = max((s.phase for s in memory.slices), default=0)
        need = max((_longest(b) + (b.phase < last) for b in memory.blocks), default=1)
        if memory.slots < need or memory.slots & (memory.slots - 1):
            raise InternalError(f"PE {pe} has {memory.slots} slots for delays that need {need}, a power of two")
        if wrong := {b.kind for b in memory.blocks if (b.kind == "csr") != (memory.model == "egru")}:
            raise InternalError(f"PE {pe} runs {memory.model!r} neurons with {wrong.pop()} words")


def _longest(block: Block) -> int:
    """The longest delay of a block."""
    fields = {"narrow": (13, DELAY_FIELD), "wide": (10, DELAY_FIELD), "plastic": (10, DELAY_FIELD)}
    if block.kind not in fields or not len(block.words):
        return block.delay
    shift, most = fields[block.kind]
    return block.delay + int((block.words >> shift & most).max())


def _check_sender(network: Network, program: SpinnakerProgram, number: int, sender: Sender, wires: _Wires) -> None:
    """All synapses that leave one sender."""
    a = program.arrays
    wanted = leaving(network, program.senders, sender.name, wires.identities)
    sizes = np.zeros(sender.n, np.int64)
    for w in wanted:
        w.count(sizes)
    slices = np.flatnonzero(a.slice_sender == number)
    slice_of, packet = np.empty(sender.n, np.int64), np.empty(sender.n, np.int64)
    for k, s in enumerate(slices):
        own = a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]]
        slice_of[own], packet[own] = k, wires.key[s] + np.arange(len(own))
    hears, table, room, own = _table(wires, slices)
    cells, ends, low = wires.identities.total, np.cumsum(sizes), 0
    fixed = (table, np.zeros(cells, np.int64), np.zeros(cells, np.int64),
             (np.empty(room, np.int64), np.empty(room, np.int64)))
    while low < sender.n:
        high = max(low + 1, int(np.searchsorted(ends, (ends[low - 1] if low else 0) + BLOCK, "right")))
        start, end, target, key = _written(wanted, low, sizes[low:high])
        found = kernels.compare(low, start, end, target, key, packet[low:high], slice_of[low:high], hears, *fixed)
        if found[0] != kernels.EQUAL:
            raise InternalError(_complaint(wires, sender, own, *found))
        low = high


def _written(wanted: list[Wanted], low: int, sizes: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """(start, end, target, key) of the network's synapses of some consecutive elements of a sender."""
    start = np.r_[0, np.cumsum(sizes)].astype(np.int64)
    target, key, end = np.empty(start[-1], np.int64), np.empty(start[-1], np.int64), start[:-1].copy()
    for w in wanted:
        w.write(low, end, target, key)
    return start[:-1], end, target, key


_Table = tuple[tuple[IntArray, IntArray], tuple[NDArray[Any], ...], int, IntArray]


def _table(wires: _Wires, slices: IntArray) -> _Table:
    """((pointers, blocks) of the slices, what the kernels need of the program, the most synapses of one element, the
    number in ``wires`` of each block).
    """
    per = [wires.heard[wires.ptr[s] : wires.ptr[s + 1]] for s in slices]
    own, number = np.unique(np.concatenate([*per, np.zeros(0, np.int64)]), return_inverse=True)
    columns, parts = wires.columns[own].copy(), [wires.blocks[b] for b in own]
    rows, words, seconds, kernel, shapes = ([np.zeros(0, np.int64)], [np.zeros(0, np.uint32)],
                                            [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)],
                                            [np.zeros(len(CONV_FIELDS), np.int64)])
    at_rows = at_words = at_kernel = 0
    most, csr = np.zeros(len(parts), np.int64), any(b.kind == "csr" for b in parts)
    for k, b in enumerate(parts):
        columns[k, [kernels.ROWS_AT, kernels.WORDS_AT, kernels.SHAPE]] = at_rows, at_words, len(shapes)
        if b.kind == "conv":
            shapes.append(np.array([*(b.shape[f] for f in CONV_FIELDS[:-1]), at_kernel], np.int64))
            kernel.append(b.kernel.ravel().astype(np.int64))
            at_kernel += b.kernel.size
            most[k] = math.prod(b.kernel.shape) // max(b.kernel.shape[1], 1)
            continue
        rows.append(b.rows)
        words.append(b.words.view(np.uint32) if b.kind == "csr" else b.words.astype(np.uint32, copy=False))
        seconds.append(b.targets if b.kind == "csr" else np.zeros(len(b.words) * csr, np.uint32))
        at_rows, at_words = at_rows + len(b.rows), at_words + len(b.words)
        most[k] = np.diff(b.rows).max(initial=0)
    ptr = np.r_[0, np.cumsum([len(p) for p in per])].astype(np.int64)
    number = number.ravel().astype(np.int64)
    room = max((int(most[number[lo:hi]].sum()) for lo, hi in pairwise(ptr.tolist())), default=0)
    table = (columns, np.concatenate(rows), np.concatenate(words), np.concatenate(seconds), np.stack(shapes),
             np.concatenate(kernel), wires.identity)
    return (ptr, number), table, room, own


def _complaint(wires: _Wires, sender: Sender, own: IntArray, kind: int, source: int, target: int, wanted: int,
               found: int) -> str:
    """What is wrong with one pair."""
    name = f"{sender.name}[{source}]"
    if kind == kernels.OUTSIDE:
        b = int(own[target])
        return f"the row of {name} in the {wires.blocks[b].kind} entry {wires.blocks[b].key:#x} of PE " \
               f"{wires.pe_of[b]} leads outside of the PE's memory"
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
