"""Placement of PEs: the best there is on one chip, never worse than the start on several."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spinnaker_board import BOARD, DIE, flow_of

from hwsdk.errors import FitError, InternalError
from hwsdk.mappers.objective import Search
from hwsdk.mappers.spinnaker_place import Die, Flow, compact, place, trees

SMALL = Die(((1, 1), (3, 2)), ((2, 1), (2, 2)), (5,), 3)
"""Two groups of three cores, one of them reserved."""
LINE = Die(((0, 0), (1, 0), (2, 0), (4, 0), (6, 0)), ((3, 0), (3, 1)), (), 1)
"""Cores 1 to 5 at 3, 2, 1, 1 and 3 hops."""


def random_flow(seed: int, n_pes: int, slices: int, most: int = 4) -> Flow:
    rng = np.random.default_rng(seed)
    reach = [rng.choice(n_pes, rng.integers(0, min(most, n_pes) + 1), replace=False).tolist() for _ in range(slices)]
    return flow_of(np.sort(rng.integers(0, n_pes, slices)).tolist(), reach, rng.random(slices).tolist())


def hops_of(flow: Flow, hops: np.ndarray) -> float:
    """Every packet to the router once, and once from there to each PE that hears it; plainly."""
    total = 0.0
    for s in range(len(flow.home)):
        heard = flow.pe[flow.ptr[s] : flow.ptr[s + 1]]
        if len(heard):
            total += flow.packets[s] * (hops[flow.home[s]] + sum(hops[p] for p in heard))
    return total


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_one_chip_is_placed_as_well_as_can_be(seed: int, n_pes: int) -> None:
    flow = random_flow(seed, n_pes, 6)
    found = place(n_pes, flow, LINE, [(0, 0)], Search())
    by_core = np.array([0, 3, 2, 1, 1, 3])
    best = min(hops_of(flow, by_core[list(cores)]) for cores in permutations(range(1, 6), n_pes))
    assert np.isclose(found.hops, best) and np.isclose(hops_of(flow, found.pe_hops), best)
    assert found.crossings == 0 and found.chip_x.tolist() == [0] and not found.pe_chip.any()


def test_the_cores_of_the_chip() -> None:
    """Core p = 4 q + 1 + k at QPE q; 4 are reserved; the nearest to the router come first."""
    cores = DIE.cores()
    assert len(cores) == 148 and cores[:, 1].max() == 148 and (np.diff(cores[:, 0]) >= 0).all()
    number = {int(p): (int(x), int(y), int(h)) for h, p, x, y in cores}
    assert number[1] == (7, 6, 5) and number[4] == (7, 6, 5) and number[5] == (7, 5, 4)
    assert number[19 * 4 + 1] == (1, 1, 5) and number[5 * 4 + 2] == (5, 4, 1) and number[8 * 4 + 3] == (4, 6, 2)
    assert SMALL.cores()[:, 1].tolist() == [1, 2, 3, 4, 6]


def test_the_busiest_pes_stand_next_to_the_router() -> None:
    flow = flow_of(range(148), [[(p * 7 + 1) % 148] for p in range(148)], [float(p) for p in range(148)])
    found = place(148, flow, DIE, BOARD, Search())
    load = flow.load(148)
    order = np.argsort(-load, kind="stable")
    assert (np.diff(found.pe_hops[order]) >= 0).all() and len(set(found.pe_core.tolist())) == 148


def test_every_start_of_the_board_keeps_its_shortest_ways() -> None:
    far = trees(BOARD).distance
    for n in range(1, 49):
        chips = compact(BOARD, n)
        index = [BOARD.index(c) for c in chips]
        assert chips[0] == (0, 0) and len(set(chips)) == n
        assert np.array_equal(trees(chips).distance, far[np.ix_(index, index)])


def test_distances_are_those_of_the_mesh() -> None:
    """dx and dy of one sign go together over NE and SW links."""
    found = trees(BOARD)
    for a, (x, y) in enumerate(BOARD):
        for b, (p, q) in enumerate(BOARD):
            dx, dy = p - x, q - y
            assert found.distance[a, b] == (max(abs(dx), abs(dy)) if dx * dy >= 0 else abs(dx) + abs(dy))


def crossings_of(flow: Flow, chip: np.ndarray, chips: list[tuple[int, int]]) -> float:
    """Links of the union of the ways to all receivers; plainly."""
    ways, total = trees(chips), 0.0
    for s in range(len(flow.home)):
        root, used = int(chip[flow.home[s]]), set()
        for p in flow.pe[flow.ptr[s] : flow.ptr[s + 1]]:
            at = int(chip[p])
            while at != root:
                used.add(at)
                at = int(ways.parent[root, at])
        total += flow.packets[s] * len(used)
    return total


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_several_chips_cost_what_they_say_and_never_more_than_at_the_start(seed: int) -> None:
    flow = random_flow(seed, 30, 40, 8)
    start = place(30, flow, LINE, BOARD, Search(effort="none"))
    found = place(30, flow, LINE, BOARD, Search(seed, "fast"))
    chips = list(zip(found.chip_x.tolist(), found.chip_y.tolist(), strict=True))
    assert len(chips) == 6 and start.pe_chip.tolist() == [p // 5 for p in range(30)]
    for one in (start, found):
        assert np.isclose(one.crossings, crossings_of(flow, one.pe_chip, chips))
        assert len(set(zip(one.pe_chip.tolist(), one.pe_core.tolist(), strict=True))) == 30
    assert found.crossings <= start.crossings
    again = place(30, flow, LINE, BOARD, Search(seed, "fast"))
    assert again.pe_chip.tolist() == found.pe_chip.tolist() and again.pe_core.tolist() == found.pe_core.tolist()


def test_the_search_brings_together_what_talks() -> None:
    """Pairs that the order of the PEs puts onto different chips."""
    flow = flow_of(range(20), [[(p + 10) % 20] for p in range(20)])
    start = place(20, flow, LINE, BOARD, Search(effort="none"))
    found = place(20, flow, LINE, BOARD, Search(effort="normal"))
    assert found.crossings <= 4 < 20 <= start.crossings


def test_a_search_without_time_is_cut_short() -> None:
    flow = random_flow(1, 20, 20)
    assert place(20, flow, LINE, BOARD, Search(time_budget=0.0)).cut_short
    assert not place(20, flow, LINE, BOARD, Search()).cut_short


def test_too_many_pes_are_refused() -> None:
    with pytest.raises(FitError, match=r"whole network: needs 11 cores, limit 10 \[cores\]"):
        place(11, flow_of([], []), LINE, BOARD[:2], Search())


def test_chips_that_do_not_hang_together_are_refused() -> None:
    with pytest.raises(FitError, match=r"board: needs 2 chips side by side, limit 1 \[chips\]"):
        place(6, flow_of([], []), LINE, [(0, 0), (5, 5)], Search())
    with pytest.raises(InternalError, match="do not hang together"):
        trees([(0, 0), (5, 5)])
