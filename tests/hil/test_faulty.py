"""The injector: seeded, tied to positions, at the rates that were asked for; and a link over it."""

from __future__ import annotations

import random
import shutil
import time
from typing import Any

import pytest
from fake_device import FakeDevice
from hypothesis import given, settings
from hypothesis import strategies as st
from test_link import check, image, inputs

from hwsdk.errors import DeviceReset
from hwsdk.hil import transports
from hwsdk.hil.link import Link
from hwsdk.hil.transports.faulty import KINDS, FaultyTransport, Injector

DATA = random.Random(4).randbytes(20_000)


def inject(rates: dict[str, float], cuts: list[int], seed: int = 1, data: bytes = DATA) -> tuple[list[Any], dict[str,
                                                                                                                 int]]:
    """(what comes out: bytes between stalls and resets, and these; counts)."""
    counts = dict.fromkeys(KINDS, 0)
    injector, out, at = Injector(seed, rates, counts), [b""], 0
    for n in [*cuts, len(data)]:
        for piece, fault in injector.pieces(data[at:at + n]):
            out[-1] += piece
            if fault:
                out += [fault, b""]
        at += n
    return out, counts


@settings(max_examples=30)
@given(st.sets(st.sampled_from(KINDS), min_size=1), st.lists(st.integers(0, 3000), max_size=8), st.integers(0, 99))
def test_faults_are_where_the_seed_puts_them_however_the_stream_is_cut(kinds: set[str], cuts: list[int],
                                                                       seed: int) -> None:
    rates = dict.fromkeys(sorted(kinds), 2e-3)
    assert inject(rates, cuts, seed) == inject(rates, [], seed)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_does_what_it_says_at_its_rate(kind: str) -> None:
    out, counts = inject({kind: 5e-3}, [])
    assert 60 < counts[kind] < 145 and sum(counts.values()) == counts[kind]  # 100 expected, 4.5 standard deviations
    whole = b"".join(x for x in out if isinstance(x, bytes))
    more = len(whole) - len(DATA)
    if kind == "flip":
        assert more == 0 and sum((a ^ b).bit_count() for a, b in zip(whole, DATA, strict=True)) == counts[kind]
    elif kind in ("drop", "dup", "insert"):
        assert more == (-counts[kind] if kind == "drop" else counts[kind])
    elif kind == "burst":
        assert -39 * counts[kind] <= more < -10 * counts[kind]
    elif kind == "again":
        assert more > 2 * counts[kind]
    else:
        assert whole == DATA and out.count(kind) == counts[kind]


def test_without_rates_nothing_changes_and_it_costs_little() -> None:
    assert inject({}, [])[0] == [DATA]
    injector = Injector(1, {"flip": 1e-9}, dict.fromkeys(KINDS, 0))
    start = time.perf_counter()
    for _ in range(100):
        injector.pieces(bytes(1 << 20))
    assert time.perf_counter() - start < 2  # 100 MB; byte by byte it would take a minute


def test_one_direction_alone() -> None:
    line = FaultyTransport(FakeDevice(), {"flip": 0.5}, only="in")
    line.write(DATA[:100].replace(b"\0", b"\1"))
    assert line.injected["flip"] == 0


def test_a_stall_keeps_order_and_time() -> None:
    line = FaultyTransport(FakeDevice(), {"stall": 2e-2}, seed=1, stall=0.03, only="out")
    with Link(line) as link:
        start = time.monotonic()
        assert link.echo(bytes(400)) == bytes(400)
        assert line.injected["stall"] > 0 and time.monotonic() - start > 0.02


@pytest.mark.parametrize("query", [
    "flip=1e-3", "drop=1e-3", "dup=1e-3", "insert=1e-3", "burst=5e-4", "again=1e-3", "stall=2e-4&stall_ms=5",
    "flip=3e-4&drop=3e-4&dup=3e-4&insert=3e-4&burst=1e-4&again=3e-4&stall=1e-4&stall_ms=5"])
def test_a_link_over_a_faulty_line_to_the_host_firmware(query: str) -> None:
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("the host firmware needs a C compiler: apt install gcc")
    with Link(transports.open(f"faulty:seed=3&frame=512&{query};exec:")) as link:
        for n in range(40):
            assert link.echo(bytes([n]) * 300) == bytes([n]) * 300
        link.source(20_000)
        link.sink(20_000)
        line = link.transport
        assert sum(line.injected.values()) > 0  # type: ignore[attr-defined]
        assert link.status()["requests"] >= 40 + 2 * 40


def test_resets_of_the_device_are_noticed() -> None:
    line = FaultyTransport(FakeDevice(), {"reset": 5e-4}, seed=5, only="out")
    dense, events = inputs(60)
    with Link(line) as link:
        while True:
            try:
                link.load(image())
                found = link.run_steps(0, events)
                break
            except DeviceReset:
                continue
        check(found, dense)
        assert line.injected["reset"] >= link.statistics["resets"] > 0  # two may come in one frame
