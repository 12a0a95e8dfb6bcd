"""An image of a PE's memory read back: the inverse of hwsdk.programs.spinnaker_image.encode."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.spinnaker_image import (
    APPLICATIONS,
    CONV_FIELDS,
    HEADER_BYTES,
    HEADER_FIELDS,
    KINDS,
    LAYOUT,
    LEARNER_FIELDS,
    MAGIC,
    MIN_PLASTIC_DELAY,
    MODELS,
    NEURON_FIELDS,
    RECORDS,
    SENDS,
    WORD_BYTES,
    Block,
    Learner,
    PeMemory,
    PeSlice,
)

Words = NDArray[np.uint32]
Header = dict[str, int]


def header(image: NDArray[np.uint8]) -> Header:
    """HEADER_FIELDS of an image.

    Raises:
        ProgramError: BAD_IMAGE.
    """
    if len(image) < HEADER_BYTES:
        raise _bad("it is shorter than its header")
    values = image[: 4 * len(HEADER_FIELDS)].view("<u4").tolist()
    found = dict(zip(HEADER_FIELDS, values, strict=True))
    if found["magic"] != MAGIC or found["layout"] != LAYOUT:
        raise _bad(f"it starts with {found['magic']:#x}, layout {found['layout']}")
    if found["stored"] != len(image) or found["model"] >= len(MODELS) or found["application"] >= len(APPLICATIONS):
        raise _bad("its length or its application is not that of its header")
    return found


def decode(image: NDArray[np.uint8], *, blocks: bool = True) -> PeMemory:
    """The content of an image; without its population table if not ``blocks``.

    Raises:
        ProgramError: BAD_IMAGE, sections that do not fit together.
    """
    head = header(np.ascontiguousarray(image))
    image = np.ascontiguousarray(image)
    model = MODELS[head["model"]]
    try:
        slices = tuple(PeSlice(int(k), int(n), int(f) & 0xFF, bool(f & SENDS), bool(f & RECORDS))
                       for k, n, f, _ in _section(image, head, "at_slices", 4 * head["slices"]).reshape(-1, 4))
        fields = len(NEURON_FIELDS[model])
        memory = PeMemory(
            APPLICATIONS[head["application"]], model, slices, _blocks(image, head) if blocks else (),
            _learners(image, head),
            _section(image, head, "at_neurons", fields * head["neurons"]).reshape(head["neurons"], fields),
            head["slots"], head["phases"], head["high_from"], head["history"])
    except (IndexError, ValueError) as error:
        raise _bad(str(error)) from None
    if memory.n != head["neurons"] and model != "source":
        raise _bad(f"its slices hold {memory.n} neurons, its header says {head['neurons']}")
    return memory


def _section(image: NDArray[np.uint8], head: Header, name: str, count: int) -> Words:
    """So many words from an offset on."""
    at = head[name]
    if at % 4 or at + 4 * count > len(image):
        raise ValueError(f"the section {name} reaches past the end")
    return image[at : at + 4 * count].view("<u4")


def _blocks(image: NDArray[np.uint8], head: Header) -> tuple[Block, ...]:
    """The population table with everything behind it."""
    table = _section(image, head, "at_table", 3 * head["entries"]).reshape(-1, 3)
    shapes = _section(image, head, "at_shapes", len(CONV_FIELDS) * head["shapes"]).reshape(-1, len(CONV_FIELDS))
    rows = _section(image, head, "at_rows", head["rows"])
    words = image[head["at_words"] : head["at_words"] + head["word_bytes"]]
    found = []
    for key, mask, rest in table.tolist():
        kind, phase, delay, index = KINDS[rest & 15], rest >> 4 & 15, rest >> 8 & 15, rest >> 12
        if kind == "conv":
            shape = dict(zip(CONV_FIELDS, shapes[index].view("<i4").tolist(), strict=True))
            found.append(Block(key, mask, kind, phase, delay, shape=shape, kernel=_kernel(words, shape)))
        else:
            found.append(_explicit(words, rows, key, mask, kind, phase, delay, index))
    return tuple(found)


def _explicit(words: NDArray[np.uint8], rows: Words, key: int, mask: int, kind: str, phase: int,
              delay: int, index: int) -> Block:
    """A block of rows."""
    n, at = rows[index : index + 2].tolist()
    pointers = rows[index + 2 : index + 2 + -(-(n + 1) // 2)].view("<u2")[: n + 1].astype(np.int64)
    size = WORD_BYTES[kind]
    if len(pointers) != n + 1 or at + pointers[-1] * size > len(words) or (np.diff(pointers) < 0).any():
        raise ValueError("rows reach past the words")
    raw = words[at : at + pointers[-1] * size]
    learner, delay = (delay, MIN_PLASTIC_DELAY) if kind == "plastic" else (0, delay)
    if kind == "csr":
        pairs = raw.view("<u4").reshape(-1, 2)
        return Block(key, mask, kind, phase, delay, pointers, np.ascontiguousarray(pairs[:, 0]).view(np.float32),
                     np.ascontiguousarray(pairs[:, 1]))
    return Block(key, mask, kind, phase, delay, pointers, raw.view("<u2" if size == 2 else "<u4"), learner=learner)


def _kernel(words: NDArray[np.uint8], shape: dict[str, int]) -> NDArray[Any]:
    """The kernel of a convolution record."""
    dims = tuple(shape[f] for f in ("out_channels", "group_in", "kernel_y", "kernel_x"))
    at, size = shape.pop("at_kernel"), shape["weight_bytes"]
    raw = words[at : at + size * int(np.prod(dims))]
    return raw.view("i1" if size == 1 else "<i2").reshape(dims)


def _learners(image: NDArray[np.uint8], head: Header) -> tuple[Learner, ...]:
    """The learner records with their tables."""
    records = _section(image, head, "at_learners", len(LEARNER_FIELDS) * head["learners"])
    decays = _section(image, head, "at_decays", head["decays"]).view("<f4")
    found = []
    for row in records.reshape(-1, len(LEARNER_FIELDS)):
        a_plus, a_minus, w_min, w_max = row[:4].copy().view("<f4").tolist()
        plus, n_plus, minus, n_minus = row[4:].tolist()
        found.append(Learner(a_plus, a_minus, w_min, w_max, decays[plus : plus + n_plus],
                             decays[minus : minus + n_minus]))
    return tuple(found)


def _bad(why: str) -> ProgramError:
    return ProgramError(f"the image of a PE cannot be read: {why}", code="BAD_IMAGE", fix="compile the model again")
