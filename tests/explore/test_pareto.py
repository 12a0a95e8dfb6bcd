"""Fronts: what is surely beaten goes, and a lower bound beats no complete number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsdk.cost import Amount
from hwsdk.errors import HwsdkError
from hwsdk.explore.pareto import front, scores
from hwsdk.explore.points import Point
from hwsdk.explore.result import Result


def result(name: str, energy: float | None, latency: float | None, accuracy: float | None,
           missing: tuple[str, ...] = (), target: str = "t", fits: bool = True) -> Result:
    return Result(name, Point(name, target), fits, accuracy=accuracy, amounts={
        "energy": Amount(energy, energy, energy, "J", missing), "latency": Amount(latency, latency, latency, "s")})


def kept(*results: Result) -> str:
    return "".join(r.key for r in front(results).results)


def test_less_energy_and_more_accuracy_are_better() -> None:
    a, b, c = result("a", 1, 1, 0.5), result("b", 2, 1, 0.5), result("c", 2, 1, 0.9)
    assert kept(a, b, c) == "ac"
    assert kept(c, b, a) == "ca"


def test_equal_designs_are_all_kept() -> None:
    assert kept(result("a", 1, 1, 1), result("b", 1, 1, 1), result("c", 1, 1, 0.9)) == "ab"


def test_a_lower_bound_beats_no_complete_number_but_is_beaten() -> None:
    low, high = result("a", 1, 1, 1, ("x",)), result("b", 5, 1, 1)
    assert kept(low, high) == "ab"
    assert kept(result("a", 7, 1, 1, ("x",)), high) == "b"
    assert [r.key for r in front([low, high]).bounds] == ["a"]


def test_lower_bounds_are_compared_within_a_target_with_the_same_parts_missing() -> None:
    one, two = result("a", 1, 1, 1, ("x",)), result("b", 2, 1, 1, ("x",))
    assert kept(one, two) == "a"
    assert kept(one, result("b", 2, 1, 1, ("x",), target="other")) == "ab"
    assert kept(one, result("b", 2, 1, 1, ("x", "y"))) == "ab"


def test_what_is_not_known_is_not_ranked() -> None:
    found = front([result("a", None, 1, 1), result("b", 9, 9, 0), result("c", 1, 1, 1, fits=False)])
    assert [r.key for r in found.results] == ["b"] and [r.key for r in found.unranked] == ["a"]


def test_an_objective_that_there_is_not() -> None:
    with pytest.raises(HwsdkError, match=r"BAD_OBJECTIVE.*colour"):
        front([], ["energy", "colour"])


VALUES = st.integers(0, 3)
RESULTS = st.lists(st.tuples(VALUES, VALUES, VALUES, st.sampled_from([(), (), ("x",), ("y",)]),
                             st.sampled_from("tu")), max_size=14)


@given(RESULTS)
def test_the_front_is_what_brute_force_finds(rows: list[tuple[int, int, int, tuple[str, ...], str]]) -> None:
    results = [result(str(k), e + 1, n + 1, a / 3, m, t) for k, (e, n, a, m, t) in enumerate(rows)]

    def beaten(b: Result) -> bool:
        for a in results:
            worse = better = False
            for x, y in zip(scores(a, ("energy", "latency", "accuracy")), scores(b, ("energy", "latency", "accuracy")),
                            strict=True):
                assert x is not None and y is not None
                sure = not x.missing or (x.missing == y.missing and a.point.target == b.point.target)
                worse |= x.value > y.value or not sure
                better |= x.value < y.value
            if better and not worse:
                return True
        return False

    assert list(front(results).results) == [r for r in results if not beaten(r)]
