"""Random and damaged bytes for the host's parsers, and what may come of them: values, or a LinkError."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import LinkError
from hwsdk.hil import events, wire

BATCH = 4000
"""Frames that are damaged at once."""
SHAPES = ((1, 0), (17, 0), (300, 1), (70_000, 2), (40, 3), (0, 0))
"""(elements, type of values) of event lists."""


def damaged(data: bytes, rate: float, dice: np.random.Generator) -> bytes:
    """Flipped bits, other bytes, bytes that are lost and bytes that come in between, each at this rate."""
    found = np.frombuffer(data, np.uint8).copy()
    n = len(found)

    def places() -> NDArray[np.int64]:
        return dice.integers(0, n, dice.poisson(rate * n))

    at = places()
    found[at] ^= (1 << dice.integers(0, 8, len(at))).astype(np.uint8)
    at = places()
    found[at] = dice.integers(0, 256, len(at)) * dice.integers(0, 2, len(at))
    at = places()
    found = np.insert(found, at, dice.integers(0, 256, len(at)).astype(np.uint8))
    return np.delete(found, places()).tobytes()


def stream(frames: list[bytes], dice: np.random.Generator) -> bytes:
    """A batch of frames on a bad line, or noise."""
    if dice.random() < 0.2:
        soup = dice.integers(0, 256, 20 * BATCH).astype(np.uint8)
        soup[dice.random(len(soup)) < 0.05] = 0
        return soup.tobytes()
    data = b"".join(frames[k] for k in dice.integers(0, len(frames), BATCH))
    return damaged(data, 10.0 ** dice.uniform(-4, -1.3), dice)


def cut(data: bytes, dice: np.random.Generator) -> Iterable[bytes]:
    """The same in pieces."""
    ends = np.sort(dice.integers(0, len(data) + 1, 20)).tolist()
    for a, b in zip([0, *ends], [*ends, len(data)], strict=True):
        yield data[a:b]


def allowed(parse: Callable[..., Any], *given: Any, **more: Any) -> tuple[str, Any]:
    """("" or the code of a LinkError, what was found)."""
    try:
        return "", parse(*given, **more)
    except LinkError as error:
        return error.code, None


def split_and_decode(frames: list[bytes], n: int, seed: int) -> Counter[str]:
    """Streams through splitter and decoder: outcome -> frames."""
    dice, splitter, found = np.random.default_rng(seed), wire.Splitter(), Counter[str]()
    while sum(found.values()) < n:
        for piece in cut(stream(frames, dice), dice):
            for raw in splitter.feed(piece):
                code, frame = allowed(wire.decode, raw)
                found[code] += 1
                if frame is not None:
                    frame.in_words()
    found["too long"] = splitter.too_long
    return found


def refusal(body: bytes) -> None:
    """A status of any kind, which is a LinkError."""
    wire.refuse(body[0] if body else 6, body[1] if len(body) > 1 else 0x25, body[2:])


PARSERS: tuple[Callable[[bytes], Any], ...] = (wire.parse_hello, wire.parse_status, wire.parse_log, wire.parse_refusal,
                                               refusal)


def payloads(bodies: list[bytes], n: int, seed: int) -> Counter[str]:
    """Damaged payloads, whose frame was right, through all that reads payloads: outcome -> calls."""
    dice, found = np.random.default_rng(seed), Counter[str]()
    while sum(found.values()) < n:
        body = bodies[dice.integers(len(bodies))]
        rows = np.tile(np.frombuffer(body, np.uint8), (BATCH // 10, 1))
        hit = dice.random(rows.shape) < 10.0 ** dice.uniform(-3, 0)
        rows[hit] = dice.integers(0, 256, int(hit.sum()))
        data, size = rows.tobytes(), rows.shape[1]
        for k, end in enumerate(dice.integers(0, 2 * size + 1, len(rows)).clip(max=size).tolist()):
            one = data[k * size:k * size + end]
            for parse in PARSERS:
                found[allowed(parse, one)[0]] += 1
    return found


def some_lists(elements: int, kind: int, dice: np.random.Generator) -> tuple[bytes, int]:
    """(up to four event lists, how many)."""
    k = int(dice.integers(1, 5))
    rows = [np.unique(dice.integers(0, elements, dice.integers(0, min(elements, 40) + 1))) if elements else
            np.zeros(0, int) for _ in range(k)]
    index = np.concatenate(rows).astype(np.uint32)
    values = (1 + dice.integers(0, 3, len(index))).astype(events.DTYPES[kind]) if kind else None
    ptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return events.encode(events.Events(ptr, index, values), elements, kind)[0], k


def lists(n: int, seed: int) -> Counter[str]:
    """Damaged event lists through their decoder: outcome -> lists. What is read has to be what docs/wire.md allows."""
    dice, found = np.random.default_rng(seed), Counter[str]()
    while sum(found.values()) < n:
        elements, kind = SHAPES[dice.integers(len(SHAPES))]
        raw, k = some_lists(elements, kind, dice)
        rows = np.tile(np.frombuffer(raw, np.uint8), (200, 1))
        hit = dice.random(rows.shape) < 10.0 ** dice.uniform(-2.5, -0.3)
        rows[hit] = dice.integers(0, 256, int(hit.sum()))
        data, size = rows.tobytes(), len(raw)
        for at, end in enumerate(dice.integers(0, 4 * size + 1, len(rows)).clip(max=size).tolist()):
            code, got = allowed(events.decode, data[at * size:at * size + end], k, elements, kind, ticks=False)
            found[code] += k
            if got is not None:
                check(got[1], elements)
    return found


def check(got: events.Events, elements: int) -> None:
    """Ascending indices of elements that there are, and no values of 0."""
    within = np.ones(max(len(got.index) - 1, 0), bool)
    inner = got.ptr[1:-1]
    within[inner[(inner > 0) & (inner < len(got.index))] - 1] = False
    index = got.index.astype(np.int64)
    assert (np.diff(index)[within] > 0).all() and (index < elements).all()
    with np.errstate(invalid="ignore"):  # NaN are values like others
        assert got.values is None or got.values.all()


def liar(seed: int, rate: float) -> Callable[[bytes, str], list[bytes]]:
    """A device whose replies have other bytes than it should say, and a right CRC-32."""
    dice = np.random.default_rng(seed)

    def damage(frame: bytes, way: str) -> list[bytes]:
        if way == "out" or dice.random() > rate:
            return [frame]
        read = wire.decode(frame)
        payload = bytearray(read.payload)
        for _ in range(dice.integers(1, 4)):
            if payload:
                payload[dice.integers(len(payload))] = dice.choice([0, 1, 127, 128, 255, dice.integers(256)])
        end = len(payload) if dice.random() < 0.7 else int(dice.integers(len(payload) + 1))
        made = wire.encode(read.op, read.seq, read.session, bytes(payload[:end]))
        return [made[1:-1]]

    return damage


