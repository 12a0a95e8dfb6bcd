"""check of a SpiNNaker program: the population tables of all PEs as they lie in the images, and who hears whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.mappers import spinnaker_check_kernels as kernels
from hwsdk.mappers.spinnaker_check_kernels import COLUMNS, CONV, CSR, PLASTIC
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.programs.spinnaker_decode import header
from hwsdk.programs.spinnaker_image import CONV_FIELDS, KINDS, MIN_PLASTIC_DELAY, PRE_BYTES, PeMemory, zeroed_bytes
from hwsdk.programs.spinnaker_routes import walk

IntArray = NDArray[np.int64]
Image = tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.int8]]
AT_LEAST_ONE = ("in_channels", "in_height", "in_width", "out_channels", "out_height", "out_width", "kernel_y",
                "kernel_x", "stride_y", "stride_x", "dilation_y", "dilation_x", "group_in", "group_out", "weight_bytes")


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """All B table entries of all PEs, by PE.

    image: all images, see hwsdk.mappers.spinnaker_check_kernels. ptr (PEs + 1): entries of each PE. key, mask, phase
    (B). entries (B, COLUMNS). longest, words, delay (B): synapses of the longest row (of a convolution: at most), words
    of all rows (of a convolution 1), longest delay.
    """

    image: Image
    ptr: IntArray
    key: IntArray
    mask: IntArray
    phase: IntArray
    entries: IntArray
    longest: IntArray
    words: IntArray
    delay: IntArray

    def pe_of(self, entry: int) -> int:
        """The PE of an entry."""
        return int(np.searchsorted(self.ptr, entry, "right")) - 1

    def named(self, entry: int) -> str:
        """An entry in words."""
        pe = self.pe_of(entry)
        return f"entry {entry - int(self.ptr[pe])} of PE {pe} ({KINDS[self.entries[entry, kernels.KIND]]})"


def tables(program: SpinnakerProgram, cells: IntArray, tags: list[tuple[int, ...]]) -> Tables:
    """Read all tables.

    Args:
        cells (PEs): accumulators of each PE. tags: of the learners of each PE.

    Raises:
        InternalError: an entry that points to nothing.
    """
    a = program.arrays
    raw = np.ascontiguousarray(a.image)
    if len(raw) % 4 or (a.image_ptr % 4).any():
        raise InternalError("the images are not made of words of 32 bits")
    image = (raw.view("<u4"), raw.view("<u2"), raw.view(np.int8))
    first = np.r_[0, np.cumsum(cells)].astype(np.int64)
    parts = [_read(program, pe, image[0], tags[pe], int(first[pe]), int(cells[pe])) for pe in range(program.n_pes)]
    ptr = np.r_[0, np.cumsum([len(p) for p in parts])].astype(np.int64)
    rows = np.concatenate([*parts, np.zeros((0, 3 + len(COLUMNS) + 3), np.int64)])
    entries, found = np.ascontiguousarray(rows[:, 3:-3]), np.ascontiguousarray(rows[:, -3:])
    kernels.survey(entries, image, found)
    key, mask, phase, longest, total, delay = np.concatenate([rows[:, :3], found], axis=1).T.copy()
    made = Tables(image, ptr, key, mask, phase, entries, longest, total, delay)
    if (made.longest < 0).any():
        raise InternalError(f"the rows of {made.named(int(np.argmin(made.longest)))} reach past its words")
    return made


def _read(program: SpinnakerProgram, pe: int, words: NDArray[np.uint32], tags: tuple[int, ...], first: int,
          cells: int) -> IntArray:
    """(entries, ...): key, mask, phase, COLUMNS, and what is known of a convolution at once."""
    head, start = header(program.image(pe)), int(program.arrays.image_ptr[pe])
    at = {f: (start + head[f"at_{f}"]) // 4 for f in ("table", "shapes", "rows", "words")}
    table = words[at["table"] : at["table"] + 3 * head["entries"]].astype(np.int64).reshape(-1, 3)
    kind, index = table[:, 2] & 15, table[:, 2] >> 12
    count = np.where(kind == CONV, head["shapes"], head["rows"] - 1)
    if len(table) != head["entries"] or (kind >= len(KINDS)).any() or (index >= count).any():
        raise InternalError(f"the population table of PE {pe} points to nothing")
    extra, plastic = table[:, 2] >> 8 & 15, kind == PLASTIC
    if (extra[plastic] >= len(tags)).any():
        raise InternalError(f"PE {pe} has {len(tags)} learners, its table uses number {int(extra[plastic].max())}")
    rows_at, shape_at = at["rows"] + index, at["shapes"] + len(CONV_FIELDS) * index
    conv = _conv(program, pe, words, shape_at[kind == CONV], head["word_bytes"])
    n_rows, begin = (words[np.where(kind == CONV, 0, rows_at + k)].astype(np.int64) for k in (0, 1))
    n_rows[kind == CONV], begin[kind == CONV] = conv[:, 0], 0
    size = kernels.BYTES[kind]
    if (index + 2 + (n_rows + 2) // 2 > head["rows"])[kind != CONV].any() or (begin % np.maximum(size, 1)).any():
        raise InternalError(f"the rows of PE {pe} are shorter than an entry says")
    columns: tuple[Any, ...] = (
        table[:, 0], table[:, 1], table[:, 2] >> 4 & 15, kind, ~table[:, 1] & 0xFFFFFFFF, 2 * (rows_at + 2), n_rows,
        4 * at["words"] + begin, 4 * at["words"] + head["word_bytes"], np.where(plastic, MIN_PLASTIC_DELAY, extra),
        np.array([*tags, 0])[np.where(plastic, extra, -1)], first, cells, shape_at, 0, 1, extra)
    found = np.empty((len(table), len(columns)), np.int64)
    for k, column in enumerate(columns):
        found[:, k] = column
    found[kind == CONV, -3] = conv[:, 1]
    return found


def _conv(program: SpinnakerProgram, pe: int, words: NDArray[np.uint32], at: IntArray, word_bytes: int) -> IntArray:
    """(atoms, most synapses of one) of each convolution record."""
    if not len(at):
        return np.zeros((0, 2), np.int64)
    records = words[at[:, None] + np.arange(len(CONV_FIELDS))].astype(np.int64).reshape(-1, len(CONV_FIELDS))
    f: dict[str, Any] = dict(zip(CONV_FIELDS, records.T, strict=True))
    per_channel = f["kernel_y"] * f["kernel_x"]
    end = f["at_kernel"] + f["weight_bytes"] * f["out_channels"] * f["group_in"] * per_channel
    bad = (end > word_bytes) | (f["weight_bytes"] > 2) | (f["at_kernel"] % 2 > 0)
    if bad.any() or any((f[name] < 1).any() for name in AT_LEAST_ONE):
        raise InternalError(f"a convolution of PE {pe} has no kernel")
    return np.stack([f["in_channels"] * f["in_height"] * f["in_width"], f["out_channels"] * per_channel], axis=1)


def check_needed(program: SpinnakerProgram, memories: list[PeMemory], found: Tables) -> None:
    """Every image says what it needs, and fits.

    Raises:
        InternalError: with the number of the PE.
    """
    learns = found.entries[:, kernels.KIND] == PLASTIC
    plastic = np.r_[0, np.cumsum(np.where(learns, found.entries[:, kernels.N_ROWS], 0))][found.ptr]
    for pe, memory in enumerate(memories):
        stated, stored = header(program.image(pe))["needed"], len(program.image(pe))
        needed = stored + zeroed_bytes(memory) + PRE_BYTES * int(plastic[pe + 1] - plastic[pe])
        if stated != needed:
            raise InternalError(f"PE {pe} says that it needs {stated} bytes, it needs {needed}")
        if needed > program.data_bytes:
            raise InternalError(f"PE {pe} needs {needed} bytes, it has {program.data_bytes}")


@dataclass(frozen=True, slots=True, eq=False)
class Hearers:
    """Which table entries take the packets of each slice: entry[ptr[s] : ptr[s + 1]], over all PEs."""

    ptr: IntArray
    entry: IntArray


def hearers(program: SpinnakerProgram, memories: list[PeMemory], found: Tables) -> Hearers:
    """The entries that match a slice's keys on the PEs that its packets come to.

    Raises:
        InternalError: a packet comes to a PE where nothing matches it or that has no synapse for it, an entry splits a
            slice or is for another phase, or an entry's packets never come.
    """
    parts = [s for m in memories for s in m.slices]
    key, low = np.array([s.key for s in parts], np.int64), np.array([_low_bits(s.key, s.n) for s in parts], np.int64)
    came = walk(program)
    order = np.argsort(came.pe, kind="stable")
    ends = np.searchsorted(came.pe[order], np.arange(len(memories) + 1))
    rows = [np.zeros((0, 2), np.int64)]
    for pe in range(len(memories)):
        heard = came.slice_of[order[ends[pe] : ends[pe + 1]]]
        pairs = _matches(program, found, pe, heard, key[heard], low[heard])
        rows.append(np.stack([heard[pairs[:, 0]], found.ptr[pe] + pairs[:, 1]], axis=1))
    pairs = np.concatenate(rows)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    _check_phases(program, found, pairs)
    return Hearers(np.searchsorted(pairs[:, 0], np.arange(len(parts) + 1)).astype(np.int64), pairs[:, 1].copy())


def _low_bits(key: int, n: int) -> int:
    """The bits that number the atoms of a slice."""
    return (1 << (key ^ (key + n - 1)).bit_length()) - 1


def _matches(program: SpinnakerProgram, found: Tables, pe: int, heard: IntArray, key: IntArray, low: IntArray,
             ) -> IntArray:
    """(., 2): slice and entry, wherever an entry of a PE matches the keys of a slice that it hears; counted from 0."""
    own = slice(int(found.ptr[pe]), int(found.ptr[pe + 1]))
    entry, mask, words = found.key[own], found.mask[own], found.words[own]
    pairs = np.zeros((len(key) + len(entry), 2), np.int64)
    n = kernels.matches(key, low, entry, mask, pairs)
    if n > len(pairs):
        pairs = np.zeros((n, 2), np.int64)
        n = kernels.matches(key, low, entry, mask, pairs)

    def name(s: int) -> str:
        return f"{program.senders[program.arrays.slice_sender[heard[s]]].name} with keys from {int(key[s]):#x} on"

    if n < 0:
        s, e = pairs[-1 - n].tolist()
        raise InternalError(f"{found.named(own.start + e)} splits the slice of {name(s)}")
    pairs = pairs[:n]
    got = np.bincount(pairs[:, 0], minlength=len(key))
    if len(key) and not got.all():
        raise InternalError(f"packets of {name(int(np.argmin(got)))} come to PE {pe}, where no entry matches them")
    got = np.bincount(pairs[:, 0], words[pairs[:, 1]], len(key))
    if len(key) and not got.all():
        raise InternalError(f"packets of {name(int(np.argmin(got)))} come to PE {pe}, which has no synapse for them")
    used = np.bincount(pairs[:, 1], minlength=len(entry))
    if len(entry) and not used.all():
        e = int(np.argmin(used))
        raise InternalError(f"{found.named(own.start + e)} waits for keys from {int(entry[e]):#x} on that never come")
    return pairs


def _check_phases(program: SpinnakerProgram, found: Tables, pairs: IntArray) -> None:
    """An entry is for the phase in which its slices send."""
    phases = np.array([s.phase for s in program.senders])
    sent = phases[program.arrays.slice_sender[pairs[:, 0]]]
    if (wrong := sent != found.phase[pairs[:, 1]]).any():
        k = int(np.argmax(wrong))
        name = program.senders[program.arrays.slice_sender[pairs[k, 0]]].name
        raise InternalError(f"{found.named(int(pairs[k, 1]))} takes {name} for phase {found.phase[pairs[k, 1]]}, it "
                            f"sends in phase {sent[k]}")


def check_use(program: SpinnakerProgram, memories: list[PeMemory], found: Tables, heard: Hearers) -> None:
    """Slices that are heard send, rings are long enough, and words suit their neurons.

    Raises:
        InternalError: names the slice, or the PE.
    """
    parts = [s for m in memories for s in m.slices]
    for s in np.flatnonzero(np.diff(heard.ptr)):
        if not parts[s].sends:
            name = program.senders[program.arrays.slice_sender[s]].name
            raise InternalError(f"a slice of {name} is heard, but its PE does not send its spikes")
    kind = found.entries[:, kernels.KIND]
    for pe, memory in enumerate(memories):
        own = slice(int(found.ptr[pe]), int(found.ptr[pe + 1]))
        last = max((s.phase for s in memory.slices), default=0)
        need = int((found.delay[own] + (found.phase[own] < last)).max(initial=1))
        if memory.slots < need or memory.slots & (memory.slots - 1):
            raise InternalError(f"PE {pe} has a ring of {memory.slots} slots, its delays need {need}, a power of two")
        if ((kind[own] == CSR) != (memory.model == "egru")).any():
            raise InternalError(f"PE {pe} runs {memory.model!r} neurons with words of another kind")
