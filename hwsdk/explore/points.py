"""Design points: pure values with stable keys, and the spaces that they are taken from: grids and random samples."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from hwsdk.errors import HwsdkError

Value = bool | int | float | str
FORM = "hwsdk point 1"
COMPILE: dict[str, Value | None] = {"bits": 8, "per_channel": False, "chips": 1, "packing": "layer", "seed": 0,
                                    "effort": "fast", "step_time": None}
"""Options of a compilation that every target knows -> their defaults."""
PRICES: dict[str, Value | None] = {"boundary": "chip", "proxy": None}
"""Of an estimate."""
GROUPS = ("option", "estimate", "run", "semantics")
"""Prefixes of names: options of one target, of its estimate, conditions of a run, what a model file leaves open."""
WHOLE = {"bits": 1, "chips": 1, "seed": 0, "steps": 1, "die": 0}
"""Settings that are whole numbers -> the least."""
SWITCH = {"yes": True, "no": False}
MOST_KEPT = 10_000_000
"""Points of a space that are still listed; a sample may come from a larger one."""


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """One design: a model's label, a target, and every setting that is not the default, sorted by name.

    Names of settings: those of COMPILE and PRICES, "steps" (the data are cut or padded to so many), "die" (which of
    many made chips), and with a prefix of GROUPS: "option.write", "estimate.cooling", "run.bias", "semantics.reset".
    """

    model: str
    target: str
    settings: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(cls, model: str, target: str, settings: Mapping[str, Value | None]) -> Point:
        """Without what is the default anyway."""
        usual = COMPILE | PRICES
        kept = {n: v for n, v in settings.items() if v is not None and (n not in usual or v != usual[n])}
        return cls(model, target, tuple(sorted(kept.items())))

    def get(self, name: str, default: Any = None) -> Any:
        """A setting."""
        return dict(self.settings).get(name, default)

    def group(self, prefix: str) -> dict[str, Value]:
        """The settings under a prefix of GROUPS, by the names behind it."""
        return {n.partition(".")[2]: v for n, v in self.settings if n.startswith(f"{prefix}.")}

    def without(self, *names: str) -> Point:
        """The same with these settings at their defaults."""
        return Point(self.model, self.target, tuple(s for s in self.settings if s[0] not in names))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"model": self.model, "target": self.target, "settings": dict(self.settings)}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Point:
        """What ``to_dict`` gave."""
        return cls(str(row["model"]), str(row["target"]), tuple(sorted(row["settings"].items())))

    def __str__(self) -> str:
        shown = " ".join(f"{n.removeprefix('option.')}={shown_value(v)}" for n, v in self.settings)
        return f"{self.model} on {self.target}{' ' if shown else ''}{shown}"


def key_of(point: Point, shared: Mapping[str, str]) -> str:
    """A digest of all that decides a point's result. shared: what it depends on beside itself, as digests by name."""
    text = json.dumps([FORM, point.to_dict(), dict(shared)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def shown_value(value: Value) -> str:
    """As people write it."""
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) \
        else str(value)


@dataclass(frozen=True, slots=True)
class Axis:
    """A setting and its values; targets: patterns of those that it is for, none for all."""

    name: str
    values: tuple[Value, ...]
    targets: tuple[str, ...] = ()

    def suits(self, target: str) -> bool:
        """Is it swept on this target?"""
        return not self.targets or any(fnmatchcase(target, t) for t in self.targets)


@dataclass(frozen=True, slots=True)
class Space:
    """Every model on every target with every combination of the axes that are for it."""

    models: tuple[str, ...]
    targets: tuple[str, ...]
    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        for target in self.targets:
            names = [a.name for a in self._of(target)]
            if twice := {n for n in names if names.count(n) > 1}:
                raise HwsdkError(f"{', '.join(sorted(twice))} is swept twice on {target}", where="--sweep",
                                 code="BAD_SWEEP", fix="give all its values in one --sweep")

    @property
    def size(self) -> int:
        """Points of the whole grid; some of them may be the same point."""
        return sum(self._sizes())

    def grid(self) -> tuple[Point, ...]:
        """Every point once, targets one after the other.

        Raises:
            HwsdkError: TOO_MANY_POINTS.
        """
        if self.size > MOST_KEPT:
            raise HwsdkError(f"{self.size:,} points", where="--sweep", code="TOO_MANY_POINTS",
                             fix="sweep less, or take a random sample of them (--sample N)")
        return tuple(dict.fromkeys(self._at(k) for k in range(self.size)))

    def sample(self, n: int, seed: int = 0) -> tuple[Point, ...]:
        """Up to ``n`` designs of the grid, drawn evenly without repetition, each with all its dies; the same for the
        same seed.
        """
        designs = Space(self.models, self.targets, tuple(a for a in self.axes if a.name != "die"))
        drawn = dict.fromkeys(designs._at(k) for k in sorted(_drawn(designs.size, min(n, designs.size), seed)))
        return tuple(dict.fromkeys(p for design in drawn for p in self._with_dies(design)))

    def _with_dies(self, design: Point) -> Iterator[Point]:
        """Its dies, or itself where it has none."""
        dies = [v for a in self._of(design.target) if a.name == "die" for v in a.values]
        for die in dies:
            yield Point.of(design.model, design.target, {**dict(design.settings), "die": die})
        if not dies:
            yield design

    def _of(self, target: str) -> list[Axis]:
        return [a for a in self.axes if a.suits(target)]

    def _sizes(self) -> list[int]:
        """Of each target."""
        return [len(self.models) * math.prod(len(a.values) for a in self._of(t)) for t in self.targets]

    def _at(self, k: int) -> Point:
        """The k-th, last axis fastest."""
        sizes = self._sizes()
        at = next(j for j in range(len(sizes)) if k < sum(sizes[: j + 1]))
        target, k = self.targets[at], k - sum(sizes[:at])
        chosen: dict[str, Value | None] = {}
        for axis in reversed(self._of(target)):
            k, own = divmod(k, len(axis.values))
            chosen[axis.name] = axis.values[own]
        return Point.of(self.models[k], target, chosen)


def _drawn(size: int, n: int, seed: int) -> set[int]:
    """``n`` different numbers below ``size``, which may be larger than a range can be."""
    rng = random.Random(seed)
    if size <= MOST_KEPT:
        return set(rng.sample(range(size), n))
    found: set[int] = set()
    while len(found) < n:
        found.add(rng.randrange(size))
    return found


def axis(text: str, targets: Sequence[str], semantics: Sequence[str]) -> Axis:
    """The axis of ``[TARGET.]NAME=VALUES``. VALUES: values with commas between them (or | where a value has commas),
    LOW:HIGH for whole numbers, LOW:HIGH:COUNT evenly, LOW:HIGH:COUNT:log by equal factors. A NAME that not every target
    knows needs its TARGET, a name or a pattern such as memristor*.

    Args:
        targets: all that there are. semantics: names that a model file leaves open.

    Raises:
        HwsdkError: BAD_SWEEP.
    """
    left, equals, right = text.partition("=")
    values = tuple(v for part in right.split("|" if "|" in right else ",") for v in _values(part.strip(), text))
    if not (equals and left.strip() and values):
        raise _bad(text, "write NAME=VALUE,VALUE or TARGET.NAME=LOW:HIGH:COUNT")
    pattern, dot, rest = left.strip().partition(".")
    if dot and pattern not in GROUPS:
        if not any(fnmatchcase(t, pattern) for t in targets):
            raise _bad(text, f"no target {pattern!r}; use one of {', '.join(targets)}")
        return Axis(_name(rest), _suited(_name(rest), values, text), (pattern,))
    name, values = left.strip(), _suited(left.strip(), values, text)
    if name in semantics:
        return Axis(f"semantics.{name}", values)
    if name not in (*COMPILE, *PRICES, "steps") and pattern not in GROUPS:
        raise _bad(text, f"name the target that knows it, as in loihi2.{name}=...; for all targets there are "
                   f"{', '.join((*COMPILE, *PRICES, 'steps', *semantics))}")
    return Axis(name, values)


def _name(rest: str) -> str:
    """The setting that a target's name is for."""
    known = rest in (*COMPILE, *PRICES, "steps", "die") or rest.partition(".")[0] in GROUPS
    return rest if known else f"option.{rest}"


def _suited(name: str, values: tuple[Value, ...], text: str) -> tuple[Value, ...]:
    """Values of the kind that a setting takes."""
    if name == "per_channel":
        if set(values) <= set(SWITCH):
            return tuple(SWITCH[str(v)] for v in values)
        raise _bad(text, "give yes, no or both")
    if name in WHOLE and not all(isinstance(v, int) and v >= WHOLE[name] for v in values):
        raise _bad(text, f"give whole numbers of {WHOLE[name]} or more")
    if name == "step_time" and not all(isinstance(v, int | float) and 0 < v < math.inf for v in values):
        raise _bad(text, "give seconds above 0")
    return values


def _values(part: str, whole: str) -> Iterator[Value]:
    """Of a value or a range."""
    if ":" not in part or not _is_number(part.split(":")[0]):
        if part:
            yield _value(part)
        return
    ends = part.split(":")
    try:
        if len(ends) == 2:
            yield from range(int(ends[0]), int(ends[1]) + 1)
            return
        low, high, count = float(ends[0]), float(ends[1]), int(ends[2])
        by_factors = ends[3:] == ["log"]
        if count < 2 or (ends[3:] and not by_factors) or (by_factors and min(low, high) <= 0):
            raise ValueError
    except (ValueError, IndexError):
        raise _bad(whole, f"{part} is no range; write LOW:HIGH, LOW:HIGH:COUNT or LOW:HIGH:COUNT:log") from None
    for k in range(count):
        share = k / (count - 1)
        exact = low * (high / low) ** share if by_factors else low + (high - low) * share
        yield _value(f"{exact:.12g}")


def _value(text: str) -> Value:
    """A number where it is one; yes and no stay words, as options of targets take them."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _is_number(text: str) -> bool:
    return not isinstance(_value(text), str)


def _bad(text: str, fix: str) -> HwsdkError:
    return HwsdkError(f"{text!r} says no sweep", where="--sweep", code="BAD_SWEEP", fix=fix)


__all__ = ["Axis", "Point", "Space", "Value", "axis", "key_of", "shown_value"]
