"""Images and inputs in which one thing at a time varies, to learn what each costs on a processing element.

A PE that only sends stands for the input; PEs of one population each hear it. Weights are 0 or cancel, thresholds are
out of reach or always passed, so that what happens in a step is known without a simulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.hil.image import pack
from hwsdk.programs.spinnaker_image import (
    CONTROL,
    NEURON_FIELDS,
    Block,
    Learner,
    PeMemory,
    PeSlice,
    encode,
    floats,
)

Row = Mapping[str, float]
"""How often a step holds each thing that costs, by name."""
SENDERS, HEIGHT, WIDTH = 32, 4, 8
"""Elements of the input, and their plane where a kernel takes them."""
KEY, MASK, OWN_KEY = 0x1000, 0xFFFFFFE0, 0x2000
STEPS = 24
NEVER, ALWAYS = 0.0, 2e6
"""Biases; the threshold is 1e6."""
TAU = 1000
"""Entries of a table of traces, more than there are steps."""
HISTORY = 32
"""Post spikes that are remembered, more than there are steps."""
NAMES = {"lif": "neuron_lif", "lif_curr": "neuron_curr", "egru": "neuron_egru"}


@dataclass(frozen=True, slots=True, eq=False)
class Experiment:
    """An image, the elements that send in each step, and what each step holds; not known of the first ``skip``."""

    image: bytes
    inputs: list[NDArray[np.uint32]]
    rows: list[Row]
    skip: int = 0


def source() -> PeMemory:
    """The PE that sends the input."""
    return PeMemory("spike_list", "source", (PeSlice(KEY, SENDERS),))


def lif(n: int, blocks: Sequence[Block] = (), *, current: bool = False, bias: float = NEVER,
        learners: tuple[Learner, ...] = ()) -> PeMemory:
    """A PE of n LIF neurons, which fire in every step or never."""
    model = "lif_curr" if current else "lif"
    values = {"decay_v": 0.5, "bias": bias, "v_threshold": 1e6, "decay_u": 0.5, "reset_by": 1.0}
    control = np.full(n, 1 << CONTROL["fires"], np.uint32)
    columns = [control if f == "control" else floats(np.full(n, values.get(f, 0.0))) for f in NEURON_FIELDS[model]]
    return PeMemory("lif_curr_exp" if current else "lif", model, (PeSlice(OWN_KEY, n, 0, False),), tuple(blocks),
                    learners, np.stack(columns, axis=1), 8, 1, 0, HISTORY if learners else 0)


def egru(n: int, blocks: Sequence[Block] = (), bias: float = 0.0, h: float = 0.0) -> PeMemory:
    """A PE of n EGRUs that do not fire."""
    values = {"theta": 1.0, "bias_z": bias, "bias_r": -bias, "bias_x": bias / 2, "bias_h": bias, "h": h}
    columns = [floats(np.full(n, values[f])) for f in NEURON_FIELDS["egru"]]
    return PeMemory("egru_csr", "egru", (PeSlice(OWN_KEY, n, 0, False),), tuple(blocks), (),
                    np.stack(columns, axis=1), 8)


def learner() -> Learner:
    """A rule whose traces last longer than the experiment."""
    table = np.full(TAU, 0.5, np.float32)
    return Learner(1.0, 0.25, 0.0, 1000.0, table, table)


def rows_of(kind: str, counts: NDArray[np.int64], n: int) -> Block:
    """An entry whose rows hold so many words each, with weights -1 and 1 in turn, or 0."""
    rows = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    k = np.arange(rows[-1])
    target, odd = (k % n).astype(np.uint32), (k % 2).astype(np.uint32)
    if kind == "csr":
        return Block(KEY, MASK, kind, 0, 1, rows, np.zeros(len(k), np.float32), target)
    if kind == "narrow":
        return Block(KEY, MASK, kind, 0, 1, rows, (target | 1 << 8 | odd << 12).astype(np.uint16))
    if kind == "byte":
        return Block(KEY, MASK, kind, 0, 1, rows, (target | np.where(odd, 255, 1) << 8).astype(np.uint16))
    weight = np.where(odd, 0xFFFF, 1) if kind == "wide" else np.zeros_like(k)
    return Block(KEY, MASK, kind, 0, 0 if kind == "plastic" else 1, rows, (target | weight << 16).astype(np.uint32))


def kernel(channels: int, height: int, width: int) -> tuple[Block, int]:
    """A convolution in which every sender reaches neurons through every place of the kernel; and how many neurons."""
    out = HEIGHT + height - 1, WIDTH + width - 1
    shape: dict[str, Any] = {
        "in_channel": 0, "in_channels": 1, "in_y": 0, "in_height": HEIGHT, "in_x": 0, "in_width": WIDTH, "first": 0,
        "out_channel": 0, "out_channels": channels, "out_y": 0, "out_height": out[0], "out_x": 0, "out_width": out[1],
        "kernel_y": height, "kernel_x": width, "stride_y": 1, "stride_x": 1, "pad_y": height - 1, "pad_x": width - 1,
        "dilation_y": 1, "dilation_x": 1, "group_in": 1, "group_out": channels, "weight_bytes": 1}
    weights = np.zeros((channels, 1, height, width), np.int8)
    return Block(KEY, MASK, "conv", 0, 1, shape=shape, kernel=weights), channels * out[0] * out[1]


def image_of(pes: Sequence[PeMemory]) -> bytes:
    """The device image of PEs on one chip: packets of the first, which only sends, go to all others."""
    graded = any(pe.model == "egru" for pe in pes)
    body, records, slices, n_out = b"", [], [], 0
    for core, pe in enumerate(pes, 1):
        raw = encode(pe).tobytes()
        records.append([len(body), len(raw), 0, core])
        body += raw + bytes(-len(raw) % 8)
        slices.append([0 if pe.model == "source" else n_out, 3])  # fires, consecutive
        n_out += 0 if pe.model == "source" else pe.n
    hear = sum(1 << core for core in range(2, len(pes) + 1))
    sections: list[NDArray[Any] | bytes] = [
        np.array([1, 1, len(pes), len(slices), graded, 0], np.uint32), np.array(records, np.uint32), body,
        np.array([0, 0], np.int32), np.array([0, 1], np.uint32),
        np.array([KEY, MASK, hear, 0, 0, 0, 0, 0], np.uint32), np.array(slices, np.uint32), b""]
    value = "f32" if graded else "ones"
    return pack("spinnaker", 1, "00" * 32, SENDERS, n_out, (value, value), sections)


def of_step(inputs: NDArray[np.uint32], pes: Sequence[PeMemory]) -> dict[str, float]:
    """What a step holds, without what packets do."""
    some, graded = len(inputs) > 0, any(pe.model == "egru" for pe in pes)
    row: dict[str, float] = {"step": 1, "input_payload" if graded else "input": len(inputs), "some_input": some,
                             "search": len(inputs).bit_length()}
    for pe in pes[1:]:
        for name, n in ((f"pe_{pe.model}", 1), (NAMES[pe.model], pe.n), ("word", -(-pe.n // 32))):
            row[name] = row.get(name, 0) + n
    row |= {"learns": 1} if any(pe.learners for pe in pes) else {}
    if any(pe.blocks for pe in pes):
        kind = "_payload" if graded else ""
        row |= {"heard": 1, f"some_heard{kind}": some, f"gathered{kind}": len(inputs)}
    return row


def of_rows(kind: str, counts: NDArray[np.int64], inputs: NDArray[np.uint32], entries: int = 1) -> dict[str, float]:
    """What the packets of a step do through entries with rows of so many words."""
    return {f"entry_{kind}": entries * (len(inputs) > 0), f"packet_{kind}": entries * len(inputs),
            f"event_{kind}": entries * int(counts[inputs].sum())}


def experiment(rng: np.random.Generator, pes: Sequence[PeMemory], *, more: Any = None, always: bool = False,
               skip: int = 0) -> Experiment:
    """PEs, and inputs by chance or, if ``always``, of all elements. more: inputs of a step -> what they do, a Row."""
    numbers = [SENDERS if always else int(rng.integers(0, SENDERS + 1)) for _ in range(STEPS)]
    inputs = [np.sort(rng.permutation(SENDERS)[:n]).astype(np.uint32) for n in numbers]
    rows: list[Row] = [of_step(i, pes) | (more(i) if more else {}) for i in inputs]
    return Experiment(image_of(pes), inputs, rows, skip)


def silent(rng: np.random.Generator) -> list[Experiment]:
    """Neurons that hear nothing: those that never fire, and those that always do."""
    found = [experiment(rng, [source(), lif(n)]) for n in (1, 5, 32, 33, 64, 96)]
    found += [experiment(rng, [source(), lif(n), lif(m)]) for n, m in ((5, 7), (33, 40), (64, 1))]
    found += [experiment(rng, [source(), lif(n, current=True)]) for n in (3, 40)]
    found += [experiment(rng, [source(), egru(n)]) for n in (2, 5)]
    for n in (4, 50):
        pes = [source(), lif(n, bias=ALWAYS)]
        found.append(experiment(rng, pes, more=lambda _, n=n: {"spike": n}))
    return found


def explicit(rng: np.random.Generator, kind: str) -> list[Experiment]:
    """Packets and words of one kind, one entry and two."""
    found = []
    for n, entries in ((16, 1), (16, 2), (40, 1), (33, 2)):
        counts = rng.integers(1, 12, SENDERS)
        blocks = [rows_of(kind, counts, n)] * entries
        pe = egru(n, blocks) if kind == "csr" else lif(n, blocks)
        found.append(experiment(rng, [source(), pe], more=lambda i, c=counts, e=entries: of_rows(kind, c, i, e)))
    return found


def convolutions(rng: np.random.Generator) -> list[Experiment]:
    """Kernels of several sizes."""
    found = []
    for c, h, w in ((1, 1, 1), (2, 1, 3), (3, 3, 1), (2, 3, 3), (5, 2, 2)):
        block, n = kernel(c, h, w)

        def more(i: NDArray[np.uint32], c: int = c, h: int = h, w: int = w) -> Row:
            k = len(i)
            return {"entry_conv": k > 0, "packet_conv": k, "row_conv": k * h, "place_conv": k * h * w,
                    "event_conv": k * h * w * c}

        found.append(experiment(rng, [source(), lif(n, [block])], more=more))
    return found


def learning(rng: np.random.Generator) -> list[Experiment]:
    """Words that learn: without post spikes, with one in each step, and post spikes alone."""
    found, rule = [], (learner(),)
    for n, entries in ((16, 1), (16, 2), (33, 1)):
        counts = rng.integers(1, 12, SENDERS)
        blocks = [rows_of("plastic", counts, n)] * entries
        found.append(experiment(rng, [source(), lif(n, blocks, learners=rule)],
                                more=lambda i, c=counts, e=entries: of_rows("plastic", c, i, e)))

        def paired(i: NDArray[np.uint32], c: NDArray[np.int64] = counts, e: int = entries, n: int = n) -> Row:
            row = of_rows("plastic", c, i, e)
            return row | {"spike": n, "post_plastic": n, "pair_plastic": row["event_plastic"]}

        found.append(experiment(rng, [source(), lif(n, blocks, learners=rule, bias=ALWAYS)], more=paired, always=True,
                                skip=4))
    for n in (5, 40):
        found.append(experiment(rng, [source(), lif(n, learners=rule, bias=ALWAYS)], skip=2,
                                more=lambda _, n=n: {"spike": n, "post_plastic": n}))
    return found


def all_of(seed: int = 0) -> list[Experiment]:
    """Everything that the law is solved from."""
    rng = np.random.default_rng(seed)
    words = [e for kind in ("narrow", "byte", "wide", "csr") for e in explicit(rng, kind)]
    return [*silent(rng), *words, *convolutions(rng), *learning(rng)]


def units(seed: int = 0, n: int = 40) -> list[Experiment]:
    """PEs of one EGRU each, with numbers by chance: what an update takes depends on them."""
    rng = np.random.default_rng(seed)
    return [experiment(rng, [source(), egru(1, bias=float(rng.normal(0, 2)), h=float(rng.uniform(-1, 1)))])
            for _ in range(n)]
