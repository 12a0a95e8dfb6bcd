"""Routing tables: the walk through them reaches exactly the PEs that were asked for."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spinnaker_board import BOARD, DIE, flow_of, routed_program

from hwsdk.errors import FitError
from hwsdk.mappers.objective import Search
from hwsdk.mappers.spinnaker_keys import Keys, allocate
from hwsdk.mappers.spinnaker_place import Die, Flow, Placed, place, trees
from hwsdk.mappers.spinnaker_route import Routes, route
from hwsdk.programs.spinnaker import LINKS
from hwsdk.programs.spinnaker_routes import LINK_STEP, walk

TINY = Die(((0, 0), (1, 0)), ((2, 0),), (), 2)
"""Four cores a chip, so that few PEs fill a board."""


@st.composite
def systems(draw: st.DrawFn) -> tuple[Flow, Keys, list[int], Die, int]:
    """Random slices of random senders on random PEs, on one chip or many; some neighbours alike, some unheard."""
    many = draw(st.booleans())
    n_pes = draw(st.integers(1, 40 if many else 8))
    counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    sizes = [rng.integers(1, 9, c) for c in counts]
    home = np.sort(rng.integers(0, n_pes, sum(counts)))
    kinds = [rng.choice(n_pes, rng.integers(0, n_pes + 1), replace=False).tolist() for _ in range(3)]
    reach = [kinds[rng.integers(3)] if rng.random() < 0.8 else rng.choice(n_pes, 1).tolist() for _ in home]
    return flow_of(home.tolist(), reach), allocate(sizes), np.concatenate(sizes).tolist(), TINY if many else DIE, n_pes


def made(flow: Flow, keys: Keys, die: Die, n_pes: int, compress: bool) -> tuple[Placed, Routes]:
    placed = place(n_pes, flow, die, BOARD, Search(effort="none"))
    return placed, route(placed, flow, keys.key, keys.mask, compress=compress)


@given(systems(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_packets_reach_exactly_the_pes_that_hear_them(system, compress: bool) -> None:
    flow, keys, sizes, die, n_pes = system
    placed, routes = made(flow, keys, die, n_pes, compress)
    found = walk(routed_program(flow, sizes, keys.key, placed, routes))
    assert found.slice_of.tolist() == flow.slice_of.tolist() and found.pe.tolist() == flow.pe.tolist()
    far = trees(list(zip(placed.chip_x.tolist(), placed.chip_y.tolist(), strict=True))).distance
    ends = placed.pe_chip[flow.home][found.slice_of], placed.pe_chip[found.pe]
    assert found.links.tolist() == far[ends].tolist()
    assert np.isclose(found.crossings.sum(), placed.crossings)


@given(systems())
@settings(max_examples=60, deadline=None)
def test_compressed_entries_say_the_same_and_never_meet(system) -> None:
    flow, keys, _, die, n_pes = system
    _, plain = made(flow, keys, die, n_pes, False)
    _, small = made(flow, keys, die, n_pes, True)
    assert (small.entries <= plain.entries).all() and small.before.tolist() == plain.entries.tolist()
    for c in range(len(plain.ptr) - 1):
        a, b = (slice(int(r.ptr[c]), int(r.ptr[c + 1])) for r in (plain, small))
        match = (plain.key[a][:, None] & small.mask[b]) == small.key[b]
        assert (match.sum(axis=1) == 1).all()
        if not match.size:
            continue
        at = np.argmax(match, axis=1)
        assert np.array_equal(small.pes[b][at], plain.pes[a]) and np.array_equal(small.links[b][at], plain.links[a])
        both = small.mask[b][:, None] & small.mask[b]
        assert (((small.key[b][:, None] ^ small.key[b]) & both == 0).sum(axis=1) == 1).all()


def test_a_sender_whose_slices_go_one_way_takes_one_entry() -> None:
    keys = allocate([np.full(5, 16), np.full(3, 256)])
    flow = flow_of(range(8), [[2, 3]] * 5 + [[1]] * 3)
    _, routes = made(flow, keys, DIE, 8, True)
    assert routes.before.tolist() == [8] and routes.entries.tolist() == [2]
    assert (routes.key & routes.mask == routes.key).all()


def test_slices_that_differ_in_one_bit_are_joined_past_others() -> None:
    """Slices 0 and 2 of four go one way, 1 and 3 another: two entries whose masks leave out one bit in the middle."""
    keys = allocate([np.full(4, 16)])
    _, routes = made(flow_of(range(4), [[0], [1], [0], [1]]), keys, DIE, 4, True)
    assert routes.entries.tolist() == [2]
    assert (~routes.mask).tolist() == [0b101111, 0b101111]


def test_no_entry_takes_in_a_slice_that_nobody_hears() -> None:
    keys = allocate([np.full(3, 4)])
    flow = flow_of(range(3), [[0], [], [0]])
    placed, routes = made(flow, keys, DIE, 3, True)
    assert walk(routed_program(flow, [4, 4, 4], keys.key, placed, routes)).slice_of.tolist() == [0, 2]


def test_chips_on_the_way_have_entries_of_their_own() -> None:
    """From (0,0) to (2,2) over (1,1): no default routing."""
    n = 12
    placed = place(n, flow_of([0], [[11]]), TINY, [(0, 0), (1, 1), (2, 2)], Search(effort="none"))
    routes = route(placed, flow_of([0], [[11]]), np.array([64]), np.array([0xFFFFFFF0]))
    north_east = 1 << LINKS.index("NE")
    assert routes.entries.tolist() == [1, 1, 1] and routes.links.tolist() == [north_east, north_east, 0]
    assert routes.pes.any(axis=1).tolist() == [False, False, True] and LINK_STEP[LINKS.index("NE")] == (1, 1)


def test_a_table_that_is_too_long_is_refused() -> None:
    keys = allocate([np.full(6, 4)])
    flow = flow_of(range(6), [[k] for k in range(6)])
    placed = place(6, flow, DIE, BOARD, Search())
    with pytest.raises(FitError, match=r"chip 0: needs 6 entries, limit 5 \[router_entries\]"):
        route(placed, flow, keys.key, keys.mask, 5)
    assert route(placed, flow, keys.key, keys.mask, 6).violations(5)[0].need == 6


def test_a_whole_board_takes_seconds() -> None:
    n, rng = 7000, np.random.default_rng(0)
    reach = [rng.choice(n, 150, replace=False).tolist() for _ in range(n)]
    flow, keys = flow_of(range(n), reach), allocate([np.full(100, 256)] * 70)
    placed = place(n, flow, DIE, BOARD, Search(effort="none"))
    route(placed, flow, keys.key, keys.mask)
    start = time.perf_counter()
    routes = route(placed, flow, keys.key, keys.mask)
    assert time.perf_counter() - start < 20 and len(routes.entries) == 48 and routes.entries.max() < 16_384
