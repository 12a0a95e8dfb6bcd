"""Event lists: kernels against their plain twins and the vectors that the C side has too."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import make_wire_vectors as plain
import numpy as np
import pytest
from fake_device import read_list
from hypothesis import given, settings
from hypothesis import strategies as st
from test_wire import raw, rows

from hwsdk.errors import DataError, LinkError
from hwsdk.hil import events


def numbers(text: str) -> list[int]:
    return [] if text == "-" else list(map(int, text.split(",")))


def values_of(text: str, kind: int) -> Any:
    if not kind:
        return None
    bits = [] if text == "-" else [int(x, 16) for x in text.split(",")]
    return np.array(bits, f"<u{events.DTYPES[kind].itemsize}").view(events.DTYPES[kind])


def steps(*lists: tuple[list[int], Any], kind: int = 0) -> events.Events:
    ptr = np.cumsum([0] + [len(i) for i, _ in lists])
    index = np.array([x for i, _ in lists for x in i], np.uint32)
    given_values = [np.ones(len(i)) if v is None or not len(v) else v for i, v in lists]
    none = np.zeros(0, events.DTYPES[kind])
    values = np.concatenate([none, *(np.asarray(v, none.dtype) for v in given_values)]) if kind else None
    return events.Events(ptr.astype(np.int64), index, values)


@pytest.mark.parametrize(("name", "elements", "kind", "index", "values", "data"), rows("list"))
def test_lists_of_the_vectors(name: str, elements: str, kind: str, index: str, values: str, data: str) -> None:
    n, k, want = int(elements), int(kind), numbers(index)
    given_values = values_of(values, k)
    assert events.encode(steps((want, given_values), kind=k), n, k)[0].hex() == data
    _, found = events.decode(raw(data), 1, n, k, ticks=False)
    assert found.index.tolist() == want
    if k:
        ones = np.ones(len(want), events.DTYPES[k])
        assert found.values is not None
        assert found.values.tobytes() == (given_values if len(given_values) else ones).tobytes()


@pytest.mark.parametrize(("name", "elements", "kind", "data"), rows("notlist"))
def test_what_is_no_list_is_refused(name: str, elements: str, kind: str, data: str) -> None:
    with pytest.raises(LinkError, match=r"BAD_EVENTS.*step 5"):
        events.decode(raw(data), 1, int(elements), int(kind), ticks=False, t0=5)


@pytest.mark.parametrize(("name", "before", "step", "kind", "index", "values", "after"), rows("digest"))
def test_digests_of_the_vectors(name: str, before: str, step: str, kind: str, index: str, values: str,
                                after: str) -> None:
    want = steps((numbers(index), values_of(values, int(kind))), kind=int(kind))
    assert events.digest(int(before, 16), int(step), want, int(kind)) == int(after, 16)


LISTS = st.integers(1, 3).flatmap(lambda scale: st.lists(st.sets(st.integers(0, 30 ** scale), max_size=40), max_size=6))
VALUES = {1: st.integers(-4, 4).filter(bool), 2: st.sampled_from([1.0, -2.5, 0.25]), 3: st.sampled_from([1.0, 0.1,
                                                                                                         -1e300])}


@settings(max_examples=60)
@given(LISTS, st.integers(0, 3), st.data())
def test_there_and_back_as_the_plain_twins(sets: list[set[int]], kind: int, data: st.DataObject) -> None:
    elements = max((max(s, default=0) for s in sets), default=0) + 1 + data.draw(st.integers(0, 9))
    lists = [(sorted(s), data.draw(st.lists(VALUES[kind], min_size=len(s),
                                            max_size=len(s))) if kind else None) for s in sets]
    want = steps(*lists, kind=kind)
    encoded, ends = events.encode(want, elements, kind)
    whole = [plain.event_list(elements, kind, i, v) for i, v in lists]
    assert encoded == b"".join(whole)
    assert ends.tolist() == np.cumsum([len(w) for w in whole]).tolist()
    with_ticks = b"".join(struct.pack("<I", 3 * n) + w for n, w in enumerate(whole))
    ticks, found = events.decode(with_ticks, len(lists), elements, kind)
    assert ticks.tolist() == [3 * n for n in range(len(lists))]
    assert found.ptr.tolist() == want.ptr.tolist() and found.index.tolist() == want.index.tolist()
    assert not kind or (found.values == want.values).all()  # type: ignore[union-attr]
    canonical = b"".join(struct.pack(f"<II{len(i)}I", 9 + n, len(i), *i) + plain.value_bytes(kind, v or ())
                         for n, (i, v) in enumerate(lists))
    assert events.digest(17, 9, found, kind) == zlib.crc32(canonical, 17)


@settings(max_examples=300)
@given(st.binary(max_size=40), st.integers(0, 3), st.integers(0, 40))
def test_any_bytes_give_a_list_or_a_link_error(data: bytes, kind: int, elements: int) -> None:
    try:
        index, values, used = read_list(data, elements, kind)
        good = used == len(data)
    except (AssertionError, IndexError, struct.error):
        good = False
    try:
        _, found = events.decode(data, 1, elements, kind, ticks=False)
    except LinkError as error:
        assert error.code == "BAD_EVENTS" and not good
        return
    assert good and found.index.tolist() == index
    assert not kind or found.values.tobytes() == np.array(values, events.DTYPES[kind]).tobytes()  # type: ignore[union-attr]


def test_too_many_lists_and_too_few() -> None:
    good = events.encode(steps(([1], None), ([2], None)), 9, 0)[0]
    for k, words in ((1, "bytes after the last list"), (3, "end within a list")):
        with pytest.raises(LinkError, match=words):
            events.decode(good, k, 9, 0, ticks=False)


@pytest.mark.parametrize(("lists", "kind"), [
    ([([3, 3], None)], 0),
    ([([1], None), ([4, 2], None)], 0),
    ([([9], None)], 0),
    ([([1, 2], [3, 0])], 1),
    ([([1], [-0.0])], 2),
])
def test_bad_input_names_the_step(lists: Any, kind: int) -> None:
    with pytest.raises(DataError, match=f"step {len(lists) - 1}"):
        events.encode(steps(*lists, kind=kind), 9, kind)


def test_parts_and_joins() -> None:
    whole = steps(([1, 2], [3, 4]), ([], []), ([5], [6]), kind=1)
    parts = [whole.part(0, 1), whole.part(1, 3), events.no_events(2)]
    parts[2] = events.Events(parts[2].ptr, parts[2].index, np.zeros(0, np.int32))
    back = events.join(parts, 1)
    assert back.ptr.tolist() == [0, 2, 2, 3, 3, 3] and back.index.tolist() == [1, 2, 5]
    assert back.values is not None and back.values.tolist() == [3, 4, 6]
