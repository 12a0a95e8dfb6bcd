"""Images of SpiNNaker 2 PEs: written and read back, in blocks and in packed rows; damage; fields that are too small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsdk.errors import ProgramError
from hwsdk.programs.spinnaker_decode import decode, header
from hwsdk.programs.spinnaker_image import (
    CONV_FIELDS,
    HEADER_BYTES,
    HEADER_FIELDS,
    NEURON_FIELDS,
    Block,
    Learner,
    PackedRows,
    PeMemory,
    PeSlice,
    encode,
    row_section_bytes,
    table_words,
    zeroed_bytes,
)


def neurons(model: str, n: int) -> np.ndarray:
    return np.arange(n * len(NEURON_FIELDS[model]), dtype=np.uint32).reshape(n, -1)


def explicit(kind: str, key: int, counts: list[int], **more) -> Block:
    total = sum(counts)
    dtype = np.uint16 if kind in ("narrow", "byte") else np.uint32
    return Block(key, 0xFFFFFFF0, kind, rows=np.r_[0, np.cumsum(counts)], words=np.arange(total, dtype=dtype) * 7 + 1,
                 **more)


def convolution(key: int, kernel: np.ndarray) -> Block:
    values = (0, kernel.shape[1], 0, 3, 0, 4, 2, 1, kernel.shape[0], 0, 3, 0, 4, *kernel.shape[2:], 1, 2, -1, 1, 1, 1,
              kernel.shape[1], kernel.shape[0], kernel.itemsize)
    return Block(key, 0xFFFFFFF0, "conv", 1, 3, shape=dict(zip(CONV_FIELDS[:-1], values, strict=True)), kernel=kernel)


def memory() -> PeMemory:
    kernel = np.arange(-12, 12, dtype=np.int8).reshape(2, 2, 2, 3)
    learner = Learner(0.5, 0.25, 0.0, 200.0, np.array([1, 0.5], np.float32), np.array([1, 0.25, 0.125], np.float32))
    blocks = (explicit("byte", 0x10, [2, 0, 1], delay=4), convolution(0x20, kernel), explicit("wide", 0x30, [0, 0, 5]),
              convolution(0x40, kernel), explicit("plastic", 0x50, [3, 1], learner=0, phase=2),
              explicit("narrow", 0x60, [1] * 7), convolution(0x70, kernel.astype(np.int16)))
    return PeMemory("lif_conv2d", "lif_curr", (PeSlice(0x100, 5, 1, True, True), PeSlice(0x110, 4, 2, False)), blocks,
                    (learner,), neurons("lif_curr", 9), 8, 3, 17, 64)


def same(a: Block, b: Block) -> None:
    assert (a.key, a.mask, a.kind, a.phase, a.learner, a.shape) == (b.key, b.mask, b.kind, b.phase, b.learner, b.shape)
    assert a.delay == b.delay
    for name in ("rows", "words", "targets", "kernel"):
        x, y = getattr(a, name), getattr(b, name)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y, err_msg=name)


def test_an_image_reads_back_as_it_was_written():
    wanted = memory()
    found = decode(encode(wanted))
    for name in ("application", "model", "slices", "slots", "phases", "high_from", "history"):
        assert getattr(found, name) == getattr(wanted, name)
    np.testing.assert_array_equal(found.neurons, wanted.neurons)
    assert len(found.blocks) == len(wanted.blocks)
    for a, b in zip(found.blocks, wanted.blocks, strict=True):
        same(a, b)
    for field in ("a_plus", "a_minus", "w_min", "w_max"):
        assert getattr(found.learners[0], field) == getattr(wanted.learners[0], field)
    np.testing.assert_array_equal(found.learners[0].minus, wanted.learners[0].minus)
    np.testing.assert_array_equal(encode(found), encode(wanted))


def test_csr_words_are_pairs_of_a_weight_and_an_accumulator():
    weight, target = np.array([0.5, -2, 3], np.float32), np.array([4, 0, 11], np.uint32)
    block = Block(0, 0xFFFFFFFC, "csr", rows=np.array([0, 1, 1, 3]), words=weight, targets=target)
    image = encode(PeMemory("egru_csr", "egru", (PeSlice(0, 2),), (block,), neurons=neurons("egru", 2)))
    same(decode(image).blocks[0], block)
    at = header(image)["at_words"]
    np.testing.assert_array_equal(image[at : at + 24].view("<u4")[1::2], target)


def test_a_kernel_that_blocks_share_is_stored_once():
    kernel = np.ones((2, 1, 3, 3), np.int8)
    shared = PeMemory("lif_conv2d", "lif", (PeSlice(0, 1),), (convolution(0, kernel), convolution(16, kernel)),
                      neurons=neurons("lif", 1))
    apart = replace(shared, blocks=(convolution(0, kernel), convolution(16, kernel.copy())))
    assert header(encode(shared))["word_bytes"] == 24
    assert header(encode(apart))["word_bytes"] == 48


def test_the_header_counts_what_the_pe_lays_out_behind_the_image():
    wanted = memory()
    head = header(encode(wanted))
    ring, pre, post, record = 4 * 9 * 8, 8 * 2, 9 * (4 + 8 * 64), 4
    assert head["needed"] - head["stored"] == ring + pre + post + record == zeroed_bytes(wanted)


def test_packed_rows_and_blocks_make_the_same_image():
    blocks = (explicit("byte", 0x10, [2, 0, 1]), explicit("byte", 0x20, [0, 4]), explicit("byte", 0x30, [1, 1, 1, 1]))
    plain = PeMemory("lif", "lif", (PeSlice(0x100, 3),), blocks, neurons=neurons("lif", 3))
    head, image = header(encode(plain)), encode(plain)
    rows = image[head["at_rows"] : head["at_rows"] + 4 * head["rows"]].view("<u4").copy()
    words = image[head["at_words"] : head["at_words"] + head["word_bytes"]]
    index = np.r_[0, np.cumsum([row_section_bytes(len(b.rows) - 1) // 4 for b in blocks])][:-1]
    table = table_words(np.array([b.key for b in blocks]), np.array([b.mask for b in blocks]), "byte", 0, 1, index)
    packed = PackedRows(table, rows, index + 1, words)
    np.testing.assert_array_equal(encode(replace(plain, blocks=()), [packed]), image)
    first = explicit("wide", 0x40, [3])
    both = replace(plain, blocks=(first, *blocks, first))
    np.testing.assert_array_equal(encode(both, [first, packed, first]), encode(both))


@pytest.mark.parametrize(("block", "what"), [
    (explicit("byte", 0, [1], delay=16), "delay or learner 16"),
    (explicit("byte", 0, [1], phase=16), "phase 16"),
    (explicit("plastic", 0, [1], learner=16), "delay or learner 16"),
    (explicit("byte", 0, [65_536]), "65,536 words"),
])
def test_numbers_that_no_field_holds_are_refused(block, what):
    with pytest.raises(ProgramError, match=what) as caught:
        encode(PeMemory("lif", "lif", (PeSlice(0, 1),), (block,), neurons=neurons("lif", 1)))
    assert caught.value.code == "IMAGE_FIELD"


def test_a_damaged_header_is_refused():
    image = encode(memory())
    for at in (0, 4, 8, 12, 4 * HEADER_FIELDS.index("stored")):
        broken = image.copy()
        broken[at + 1] ^= 0xFF
        with pytest.raises(ProgramError) as caught:
            header(broken)
        assert caught.value.code == "BAD_IMAGE"
    with pytest.raises(ProgramError, match="shorter than its header"):
        header(image[: HEADER_BYTES - 1])


def test_damage_gives_a_program_error_or_another_image():
    image, rng = encode(memory()), np.random.default_rng(0)
    for _ in range(400):
        broken = image.copy()
        broken[rng.integers(0, len(image), 3)] ^= rng.integers(1, 256, 3).astype(np.uint8)
        try:
            decode(broken)
        except ProgramError as error:
            assert error.code == "BAD_IMAGE"
