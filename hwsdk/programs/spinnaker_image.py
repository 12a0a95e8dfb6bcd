"""What one PE's data memory holds: sections of 32-bit little-endian words that a PE application reads as they lie.

The image is what is loaded; behind it the PE lays out what starts as zeros (accumulators, histories) and gives what is
left to buffers (spike lists, recordings). All offsets are in bytes from the start of the data memory.

    header      32 words, HEADER_FIELDS
    slices      4 words each: key of atom 0, neurons, phase and flags, 0
    table       3 words each: key, mask, kind | phase << 4 | delay << 8 | index << 12; every entry that matches counts
    shapes      one CONV_WORDS record for each convolution entry, whose index it is
    rows        of an entry with n rows, a row an atom: n, the byte offset of its words, n + 1 uint16 counts of words
    learners    8 words each: LEARNER_FIELDS
    decays      float32 exp(-D / tau) of all learners
    words       synaptic words and kernels; each entry starts on 8 bytes
    neurons     one record each: NEURON_FIELDS of the model
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError

Words = NDArray[np.uint32]
MAGIC, LAYOUT = 0x45503253, 1
"""First word of every image ("S2PE"), and the version of this layout."""
HEADER_FIELDS = ("magic", "layout", "application", "model", "neurons", "slices", "entries", "shapes", "rows",
                 "learners", "decays", "word_bytes", "slots", "phases", "high_from", "history", "stored", "needed",
                 "at_slices", "at_table", "at_shapes", "at_rows", "at_learners", "at_decays", "at_words", "at_neurons")
HEADER_BYTES = 128
APPLICATIONS = ("spike_list", "lif_no_delay", "lif", "lif_curr_exp_no_delay", "lif_curr_exp", "lif_conv2d",
                "stdp_pair_additive", "egru_csr", "l2mu_mem")
MODELS = ("source", "lif", "lif_curr", "egru")
NEURON_FIELDS: dict[str, tuple[str, ...]] = {
    "source": (),
    "lif": ("decay_v", "bias", "v_threshold", "reset_by", "v", "control"),
    "lif_curr": ("decay_u", "u", "decay_v", "bias", "v_threshold", "reset_by", "v", "control"),
    "egru": ("h", "theta", "bias_z", "bias_r", "bias_x", "bias_h"),
}
"""Model -> the words of one neuron's record: float32, but control (uint32, see CONTROL). States hold their start."""
CONTROL = {"refractory": 0, "resting": 12, "subtract": 24, "at_threshold": 25, "fires": 26}
"""First bit of each part of a control word: refractory steps and steps left (12 bits each), resets by subtraction,
fires at the threshold and not only above, fires at all."""
ACCUMULATORS = {"source": 0, "lif": 1, "lif_curr": 1, "egru": 6}
"""Model -> accumulators of a neuron: int32; of an EGRU float32: z and r from outside and from the recurrence, a_x, a_h.
Neuron i has the accumulators i, n + i, 2 n + i, ..., n being the PE's neurons."""
EGRU_PORTS = ("z_outside", "r_outside", "z_recurrent", "r_recurrent", "x", "h")
KINDS = ("narrow", "byte", "wide", "plastic", "conv", "csr")
"""narrow: 16 bits, target 8, magnitude 4, sign 1, delay field 3. byte: 16 bits, target 8, weight int8. wide: 32 bits,
target 10, delay field 3, weight int16 in the upper half. plastic: as wide, weight 0 or more, delay 1 + field; the delay
bits of its table entry are the number of its learner. conv: a kernel of int8 or int16. csr: float32 weight, then the
accumulator."""
WORD_BYTES = {"narrow": 2, "byte": 2, "wide": 4, "plastic": 4, "csr": 8}
TARGET_BITS = {"narrow": 8, "byte": 8, "wide": 10, "plastic": 10}
LARGEST_WEIGHT = {"narrow": 15, "byte": 127, "wide": 32767, "plastic": 32767}
DELAY_FIELD = 7
MIN_PLASTIC_DELAY = 1
"""Steps that every plastic word adds its field to, whatever the phases of a step."""
MAX_ENTRY_DELAY, MAX_LEARNERS, MAX_PHASES = 15, 16, 16
SLICE_BYTES, ENTRY_BYTES, ROW_BYTES, LEARNER_BYTES = 16, 12, 2, 32
MAX_BLOCK_WORDS = (1 << 16) - 1
CONV_FIELDS = ("in_channel", "in_channels", "in_y", "in_height", "in_x", "in_width", "first", "out_channel",
               "out_channels", "out_y", "out_height", "out_x", "out_width", "kernel_y", "kernel_x", "stride_y",
               "stride_x", "pad_y", "pad_x", "dilation_y", "dilation_x", "group_in", "group_out", "weight_bytes",
               "at_kernel")
"""A convolution from one slice of senders, channels x height x width from (in_channel, in_y, in_x) on, to the neurons
from first on, channels x height x width from (out_channel, out_y, out_x) on. group_in, group_out: channels of a group.
at_kernel: where in the words the kernel of these output channels, (out_channels, group_in, kernel_y, kernel_x), begins.
"""
CONV_BYTES = 4 * len(CONV_FIELDS)
LEARNER_FIELDS = ("a_plus", "a_minus", "w_min", "w_max", "decay_plus", "n_plus", "decay_minus", "n_minus")
"""Of StoredPairSTDP: four float32; then where in the decays each table begins, and its length."""
HISTORY_BYTES, HISTORY_HEAD, PRE_BYTES = 8, 4, 8
"""Of a post spike (step, trace) and of the count of each neuron; of a pre spike (step, trace) of each plastic row."""
SENDS, RECORDS = 1 << 8, 1 << 9
"""Flags of a slice, above its phase."""


@dataclass(frozen=True, slots=True)
class PeSlice:
    """Consecutive neurons of a PE that send with keys key .. key + n - 1. sends: does anybody hear them?"""

    key: int
    n: int
    phase: int = 0
    sends: bool = True
    records: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What the spikes of one slice of senders do to this PE: one entry of the population table.

    key, mask: which keys; atom = key & ~mask. phase: of the senders. delay: steps that every word adds its field to.
    rows int64 (n + 1) and words: uint16 or uint32 of an explicit block; weights float32 and targets uint32 (csr).
    learner: of a plastic block. shape: CONV_FIELDS without at_kernel, and kernel (out_channels, group_in, ky, kx).
    """

    key: int
    mask: int
    kind: str
    phase: int = 0
    delay: int = 1
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    words: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.uint32))
    targets: Words = field(default_factory=lambda: np.zeros(0, np.uint32))
    learner: int = 0
    shape: dict[str, int] = field(default_factory=dict)
    kernel: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.int8))


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """The numbers of a StoredPairSTDP: float32, and its tables exp(-D / tau) by D = 0, 1, ... (float32)."""

    a_plus: float
    a_minus: float
    w_min: float
    w_max: float
    plus: NDArray[np.float32]
    minus: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PeMemory:
    """The content of an image.

    neurons: (n, fields) uint32, NEURON_FIELDS of the model (floats by their bits). slots: of the ring of accumulators,
    a power of two. high_from: packets in a tick from which the high performance level is taken (DVFS). history: post
    spikes kept for each neuron and learner.
    """

    application: str
    model: str
    slices: tuple[PeSlice, ...]
    blocks: tuple[Block, ...] = ()
    learners: tuple[Learner, ...] = ()
    neurons: Words = field(default_factory=lambda: np.zeros((0, 0), np.uint32))
    slots: int = 1
    phases: int = 1
    high_from: int = 0
    history: int = 0

    @property
    def n(self) -> int:
        """Neurons (or senders of a spike list)."""
        return sum(s.n for s in self.slices)


def floats(values: NDArray[Any]) -> Words:
    """float32 values by their bits."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class PackedRows:
    """Consecutive explicit entries as an image holds them, where Blocks would be many.

    table uint32 (entries, 3): the index counts from the first word of ``rows``, uint32, which holds the rows of all
    entries. Where their words begin counts in bytes from the first of ``words``, uint8, of 8 bytes or a multiple; this
    offset stands in rows at offset_at (entries). plastic_rows: rows of plastic entries.
    """

    table: Words
    rows: Words
    offset_at: NDArray[np.int64]
    words: NDArray[np.uint8]
    plastic_rows: int = 0


def zeroed_bytes(memory: PeMemory, parts: Sequence[Block | PackedRows] | None = None) -> int:
    """What the PE lays out behind its image: accumulators, histories, and a recording of at least one tick."""
    n = memory.n
    ring = 4 * ACCUMULATORS[memory.model] * n * memory.slots
    plastic = sum(b.plastic_rows if isinstance(b, PackedRows) else len(b.rows) - 1
                  for b in (memory.blocks if parts is None else parts)
                  if isinstance(b, PackedRows) or b.kind == "plastic")
    post = len(memory.learners) * n * (HISTORY_HEAD + HISTORY_BYTES * memory.history)
    return ring + PRE_BYTES * plastic + post + sum(record_bytes(s.n) for s in memory.slices if s.records)


def record_bytes(n: int) -> int:
    """Of the spikes of n neurons in one tick, one bit each."""
    return 4 * -(-n // 32)


def encode(memory: PeMemory, parts: Sequence[Block | PackedRows] | None = None) -> NDArray[np.uint8]:
    """The image of a PE; parts: what its table holds, instead of memory.blocks.

    Raises:
        ProgramError: IMAGE_FIELD, a number that its field cannot hold.
    """
    parts = memory.blocks if parts is None else parts
    words, at_word = _word_section(parts)
    shapes, rows, index = _rows_and_shapes(parts, at_word)
    table = _table(parts, index)
    decays = [d for x in memory.learners for d in (x.plus, x.minus)]
    sections: dict[str, NDArray[Any]] = {
        "slices": _flat([[s.key, s.n, s.phase | s.sends * SENDS | s.records * RECORDS, 0] for s in memory.slices]),
        "table": table, "shapes": shapes, "rows": rows, "learners": _learners(memory.learners),
        "decays": floats(np.concatenate(decays)) if decays else np.zeros(0, np.uint32),
        "words": words, "neurons": np.ascontiguousarray(memory.neurons, np.uint32).ravel(),
    }
    at, end = {}, HEADER_BYTES
    for name, section in sections.items():
        end = -(-end // 8) * 8 if name == "words" else end
        at[f"at_{name}"] = end
        end += section.nbytes
    head = dict(
        magic=MAGIC, layout=LAYOUT, application=APPLICATIONS.index(memory.application),
        model=MODELS.index(memory.model), neurons=memory.n, slices=len(memory.slices), entries=len(table) // 3,
        shapes=len(shapes) // len(CONV_FIELDS), rows=len(rows), learners=len(memory.learners),
        decays=len(sections["decays"]), word_bytes=words.nbytes, slots=memory.slots, phases=memory.phases,
        high_from=memory.high_from, history=memory.history, stored=end, needed=end + zeroed_bytes(memory, parts),
        **at)
    image = np.zeros(end, np.uint8)
    image[: 4 * len(HEADER_FIELDS)] = np.array([head[f] for f in HEADER_FIELDS], "<u4").view(np.uint8)
    for name, section in sections.items():
        image[at[f"at_{name}"] : at[f"at_{name}"] + section.nbytes] = section.view(np.uint8)
    return image


def _flat(rows: list[list[int]]) -> Words:
    """Records as one run of words."""
    return np.array(rows, np.uint32).ravel() if rows else np.zeros(0, np.uint32)


def _word_section(parts: Sequence[Block | PackedRows]) -> tuple[NDArray[np.uint8], list[int]]:
    """(all words and kernels, where those of each part begin); blocks that share one kernel store it once."""
    found: list[NDArray[np.uint8]] = []
    seen: dict[object, int] = {}
    at, end = [], 0
    for b in parts:
        kernel = _place(b.kernel) if isinstance(b, Block) and b.kind == "conv" else None
        if kernel in seen:
            at.append(seen[kernel])
            continue
        if kernel is not None:
            seen[kernel] = end
        raw = b.words if isinstance(b, PackedRows) else _raw(b)
        at.append(end)
        found += [raw, np.zeros(-len(raw) % 8, np.uint8)]
        end += len(raw) + len(found[-1])
    return np.concatenate(found) if found else np.zeros(0, np.uint8), at


def _place(array: NDArray[Any]) -> object:
    """Where an array lies: the same for two views of the same numbers."""
    return array.__array_interface__["data"][0], array.shape, array.strides


def _raw(b: Block) -> NDArray[np.uint8]:
    """Words or kernel of a block."""
    if b.kind == "csr":
        return _csr(b)
    return np.ascontiguousarray(b.kernel if b.kind == "conv" else b.words).view(np.uint8).ravel()


def _csr(b: Block) -> NDArray[np.uint8]:
    """Pairs of weight and accumulator."""
    return np.stack([floats(b.words), b.targets], axis=1).view(np.uint8).ravel()


def _rows_and_shapes(parts: Sequence[Block | PackedRows], at_word: list[int]) -> tuple[Words, Words, list[int]]:
    """(convolution records, row pointers, index of each part in its section)."""
    shapes: list[list[int]] = []
    rows: list[Words] = []
    index, n_rows = [], 0
    for b, at in zip(parts, at_word, strict=True):
        if isinstance(b, Block) and b.kind == "conv":
            index.append(len(shapes))
            shapes.append([*(b.shape[f] for f in CONV_FIELDS[:-1]), at])
            continue
        index.append(n_rows)
        rows.append(_row_words(b, at) if isinstance(b, Block) else b.rows.copy())
        if isinstance(b, PackedRows):
            rows[-1][b.offset_at] += np.uint32(at)
        n_rows += len(rows[-1])
    pointers = np.concatenate(rows) if rows else np.zeros(0, np.uint32)
    return np.array(shapes, np.int64).astype(np.uint32).ravel(), pointers, index


def row_section_bytes(n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of entries with n rows each."""
    return 8 + 4 * -(-(n + 1) * ROW_BYTES // 4)


def _row_words(b: Block, at: int) -> Words:
    """The rows of one entry."""
    if b.rows[-1] > MAX_BLOCK_WORDS:
        raise ProgramError(f"a block of {int(b.rows[-1]):,} words", code="IMAGE_FIELD",
                           fix=f"at most {MAX_BLOCK_WORDS:,} from one slice of senders")
    counts = np.zeros(len(b.rows) + len(b.rows) % 2, "<u2")
    counts[: len(b.rows)] = b.rows
    return np.concatenate([np.array([len(b.rows) - 1, at], np.uint32), counts.view("<u4")])


def _table(parts: Sequence[Block | PackedRows], index: list[int]) -> Words:
    """The population table."""
    found = [np.zeros(0, np.uint32)]
    for b, i in zip(parts, index, strict=True):
        if isinstance(b, PackedRows):
            last = int(b.table[-1, 2] >> 12) if len(b.table) else 0
            _require_field("rows", 0, 0, i + last)
            found.append((b.table + np.array([0, 0, i << 12], np.uint32)).ravel())
        else:
            delay = b.learner if b.kind == "plastic" else b.delay
            found.append(table_words(np.array([b.key]), np.array([b.mask]), b.kind, b.phase, delay, i).ravel())
    return np.concatenate(found)


def table_words(key: NDArray[np.int64], mask: NDArray[np.int64], kind: str, phase: int, delay: int,
                index: NDArray[np.int64] | int) -> Words:
    """(entries, 3) of the population table; delay: of the words, or the number of the learner of plastic ones.

    Raises:
        ProgramError: IMAGE_FIELD.
    """
    _require_field(kind, phase, delay, int(np.max(index, initial=0)))
    rest = KINDS.index(kind) | phase << 4 | delay << 8 | np.asarray(index, np.int64) << 12
    return np.stack([key, mask, np.broadcast_to(rest, key.shape)], axis=1).astype(np.uint32)


def _require_field(kind: str, phase: int, delay: int, index: int) -> None:
    """The numbers of a table entry."""
    if not (0 <= delay <= MAX_ENTRY_DELAY and 0 <= phase < MAX_PHASES and index < 1 << 20):
        raise ProgramError(f"a {kind} block with phase {phase}, delay or learner {delay} and index {index}",
                           code="IMAGE_FIELD", fix="at most 16 phases, 16 learners and a million rows a PE")


def _learners(learners: tuple[Learner, ...]) -> Words:
    """Learner records."""
    rows, at = [], 0
    for x in learners:
        amplitudes = floats(np.array([x.a_plus, x.a_minus, x.w_min, x.w_max], np.float32)).tolist()
        rows.append([*amplitudes, at, len(x.plus), at + len(x.plus), len(x.minus)])
        at += len(x.plus) + len(x.minus)
    return _flat(rows)
