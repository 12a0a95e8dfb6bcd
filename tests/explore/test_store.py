"""The file of results: nothing that was finished is lost, nothing half-written is believed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hwsdk.cost import Amount
from hwsdk.errors import DataError
from hwsdk.explore.points import Point
from hwsdk.explore.result import Result
from hwsdk.explore.store import Store

HEAD = {"models": {"m": "1"}, "data": "2", "code": "3"}


def result(key: str) -> Result:
    return Result(key, Point.of("m", "t", {"bits": 4, "option.write": 0.1}), True, accuracy=0.5, same=False,
                  amounts={"energy": Amount(1e-9, 0.0, 2e-9, "J", ("x",)), "latency": Amount(None, None, None, "s")},
                  percentiles=(1.0, 2.0, 3.0), used={"cores": (1, 2, "cores"), "bias": (3, None, "mA")}, digest="d",
                  seconds=0.25)


def filled(path: Path, *keys: str) -> bytes:
    with Store(path, HEAD) as store:
        for key in keys:
            store.add(result(key))
    return path.read_bytes()


def code(path: Path, head: dict[str, object] = HEAD, resume: bool = True) -> str:  # type: ignore[assignment]
    with pytest.raises(DataError) as error:
        Store(path, head, resume)
    return error.value.code


def test_what_was_added_comes_back(tmp_path: Path) -> None:
    filled(tmp_path / "p", "a", "b")
    with Store(tmp_path / "p", HEAD, resume=True) as store:
        assert store.done == {k: result(k) for k in "ab"}
        store.add(result("a"))
    assert len((tmp_path / "p").read_bytes().splitlines()) == 3


def test_refusals_come_back() -> None:
    refused = Result("k", Point("m", "t"), False, "DOES_NOT_FIT", "too large", "make it smaller")
    assert Result.from_dict(json.loads(json.dumps(refused.to_dict()))) == refused


@pytest.mark.parametrize("where", ["head", "first", "last"])
def test_any_torn_end_is_taken_off(tmp_path: Path, where: str) -> None:
    path, whole = tmp_path / "p", filled(tmp_path / "p", "a", "b")
    ends = [k + 1 for k, byte in enumerate(whole) if byte == 10]
    first = {"head": 0, "first": ends[0], "last": ends[1]}[where]
    size = {"head": ends[0], "first": ends[1], "last": ends[2]}[where] - first
    for cut in (0, 1, size // 2, size - 1):
        path.write_bytes(whole[: first + cut])
        with Store(path, HEAD, resume=True) as store:
            assert list(store.done) == ["a", "b"][: {"head": 0, "first": 0, "last": 1}[where]]
            assert store.dropped == (cut > 0)
            for key in "ab":
                store.add(result(key))
        assert path.read_bytes() == whole


def test_an_end_of_zeros_is_taken_off(tmp_path: Path) -> None:
    path, whole = tmp_path / "p", filled(tmp_path / "p", "a")
    for tail in (b"\0" * 40, b"\0" * 40 + b"\n"):
        path.write_bytes(whole + tail)
        with Store(path, HEAD, resume=True) as store:
            assert list(store.done) == ["a"]
        assert path.read_bytes() == whole


def test_two_explorations_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "p"
    with Store(path, HEAD):
        assert code(path) == "LOCKED"
    Store(path, HEAD, resume=True).close()


def test_results_of_something_else_are_refused_and_left_alone(tmp_path: Path) -> None:
    path, whole = tmp_path / "p", filled(tmp_path / "p", "a")
    assert code(path, {**HEAD, "code": "x"}) == "OTHER_RUN"
    assert code(path, {**HEAD, "models": {"m": "1", "n": "2"}}) == "OTHER_RUN"
    assert code(path, resume=False) == "EXISTS"
    assert path.read_bytes() == whole
    Store(path, HEAD, resume=True).close()  # no lock is left behind


@pytest.mark.parametrize("content", [b"hello\n", b"{}\n", b"\x89PNG", b'{"run": "x", "die": 1, "value": 2}\n'])
def test_another_file_is_never_written(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p"
    path.write_bytes(content)
    assert code(path) == "BAD_STORE"
    assert path.read_bytes() == content


def test_damage_in_the_middle_is_told_with_its_line(tmp_path: Path) -> None:
    path, whole = tmp_path / "p", filled(tmp_path / "p", "a", "b")
    lines = whole.splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"key": 1}\n' + lines[2])
    with pytest.raises(DataError, match=r"BAD_STORE.*line 2"):
        Store(path, HEAD, resume=True)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, whole = tmp_path / "p", filled(tmp_path / "p", "a")
    write = os.write
    with Store(path, HEAD, resume=True) as store:
        monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:10]))
        with pytest.raises(DataError, match=r"CANNOT_WRITE"):
            store.add(result("b"))
        monkeypatch.undo()
    assert path.read_bytes() == whole


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    assert code(tmp_path) == "CANNOT_WRITE"
    assert code(tmp_path / "none" / "p") == "CANNOT_WRITE"
