"""Design points: one name for one design, and spaces that hold each once."""

from __future__ import annotations

import pytest
from small_designs import space

from hwsdk.errors import HwsdkError
from hwsdk.explore.points import Axis, Point, Space, axis, key_of

T = ("loihi2", "memristor", "memristor_pcm", "sfq")
SHARED = {"data": "d", "model": "m", "target": "t"}


@pytest.mark.parametrize(("text", "name", "values", "targets"), [
    ("bits=2,4,8", "bits", (2, 4, 8), ()),
    ("bits=2:5", "bits", (2, 3, 4, 5), ()),
    ("memristor.write=0:0.2:3", "option.write", (0, 0.1, 0.2), ("memristor",)),
    ("memristor*.read=on,off", "option.read", ("on", "off"), ("memristor*",)),
    ("sfq.run.bias=0.5:2:3:log", "run.bias", (0.5, 1, 2), ("sfq",)),
    ("sfq.neuron=a:loop,b:counter|loop", "option.neuron", ("a:loop,b:counter", "loop"), ("sfq",)),
    ("per_channel=yes,no", "per_channel", (True, False), ()),
    ("loihi2.chips=2", "chips", (2,), ("loihi2",)),
    ("reset=value,subtract", "semantics.reset", ("value", "subtract"), ()),
    ("estimate.cooling=300", "estimate.cooling", (300,), ()),
])
def test_a_sweep_is_read(text: str, name: str, values: tuple[object, ...], targets: tuple[str, ...]) -> None:
    assert axis(text, T, ("reset",)) == Axis(name, values, targets)


@pytest.mark.parametrize(("text", "fix"), [
    ("bits", "NAME=VALUE"), ("bits=", "NAME=VALUE"), ("colour=red", "loihi2.colour"), ("loihi9.level=low", "loihi2"),
    ("steps=1:9:0", "LOW:HIGH"), ("steps=0:1:3:log", "LOW:HIGH"), ("per_channel=maybe", "yes"), ("bits=2.5", "whole"),
    ("step_time=0", "above 0"), ("chips=0", "1 or more"),
])
def test_a_sweep_that_says_nothing_is_refused(text: str, fix: str) -> None:
    with pytest.raises(HwsdkError, match=r"BAD_SWEEP") as error:
        axis(text, T, ())
    assert fix in error.value.fix


def test_a_default_is_no_setting() -> None:
    plain = Point.of("m", "loihi2", {"bits": 8, "chips": 1, "packing": "layer", "per_channel": False, "steps": None})
    assert plain == Point("m", "loihi2")
    assert Point.from_dict(plain.to_dict()) == plain


def test_a_key_depends_on_everything_and_nothing_else() -> None:
    one = Point.of("m", "loihi2", {"bits": 4, "steps": 8})
    again = Point.of("m", "loihi2", {"steps": 8, "bits": 4})
    assert key_of(one, SHARED) == key_of(again, dict(reversed(SHARED.items()))) == "fa2db7b3b2519cefaaa2e539aa4a2a1a"
    others = [key_of(Point.of("m", "loihi2", {"bits": 4}), SHARED), key_of(Point("m", "sfq", one.settings), SHARED),
              *(key_of(one, {**SHARED, n: "x"}) for n in SHARED)]
    assert len({key_of(one, SHARED), *others}) == len(others) + 1


def test_a_grid_has_every_point_once_and_own_axes_only_on_their_targets() -> None:
    grid = space("bits=7,8", "memristor.write=0,0.1", targets=("loihi2", "memristor")).grid()
    assert len(grid) == len(set(grid)) == 2 + 4
    assert all(p.get("option.write") is None for p in grid if p.target == "loihi2")
    assert len(space("bits=8,8", targets=("loihi2",)).grid()) == 1


def test_a_sample_is_of_the_grid_and_the_same_for_a_seed() -> None:
    whole = space("bits=2:8", "steps=1:50")
    drawn = whole.sample(40, seed=3)
    assert len(drawn) == 40 and set(drawn) <= set(whole.grid())
    assert drawn == whole.sample(40, seed=3) != whole.sample(40, seed=4)
    assert set(whole.sample(10**9)) == set(whole.grid())


def test_a_sample_is_drawn_from_a_space_that_nobody_could_list() -> None:
    huge = Space(("m",), ("loihi2",), tuple(Axis(f"option.{k}", tuple(range(100))) for k in range(12)))
    assert huge.size == 10**24
    assert len(huge.sample(5)) == 5
    with pytest.raises(HwsdkError, match=r"TOO_MANY_POINTS"):
        huge.grid()


def test_a_sampled_design_has_all_its_dies() -> None:
    whole = Space(("m",), ("memristor", "loihi2"), (Axis("bits", (2, 3, 4, 5)), Axis("die", (0, 1, 2), ("memristor",))))
    drawn = whole.sample(5, seed=1)
    dies = [p for p in drawn if p.target == "memristor"]
    assert {p.without("die") for p in drawn} == {p.without("die") for p in dies} | {p for p in drawn if p not in dies}
    assert len(dies) == 3 * len({p.without("die") for p in dies}) > 0


def test_one_setting_is_swept_once() -> None:
    with pytest.raises(HwsdkError, match=r"BAD_SWEEP.*bits"):
        space("bits=2", "loihi2.bits=3", targets=("loihi2",))
