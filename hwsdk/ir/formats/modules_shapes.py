"""Which axes of a traced tensor are features: batch and time axes are found from the layers that know their rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwsdk.errors import ModelError
from hwsdk.ir.formats.modules_common import Step
from hwsdk.ir.nodes import Shape

Ranks = tuple[int, int] | None


@dataclass(slots=True, eq=False)
class Features:
    """Step -> rank of the features that go in and come out; the rest of the axes are batch and time."""

    steps: Mapping[str, Step]
    rank_in: dict[str, int] = field(default_factory=dict)
    rank_out: dict[str, int] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)

    def before(self, name: str) -> Shape:
        """Features that go into a step."""
        shape = self.steps[name].in_shape
        return shape[len(shape) - self.rank_in[name]:]

    def after(self, name: str) -> Shape:
        """Features that come out of a step."""
        shape = self.steps[name].out_shape
        return shape[len(shape) - self.rank_out[name]:]


def features(steps: Mapping[str, Step], ranks: Callable[[Any, int], Ranks]) -> Features:
    """Settle the rank of every step.

    ranks: (module, ndim of its input) -> ranks in and out, None for a layer that works elementwise.

    Raises:
        ModelError: RANK_MISMATCH, or FLATTEN_BATCH where a reshape mixes batch and features.
    """
    found = Features(steps)
    for name, step in steps.items():
        known = ranks(step.module, len(step.in_shape)) if step.kind == "layer" else None
        if known is not None:
            _set(found, found.rank_in, name, known[0])
            _set(found, found.rank_out, name, known[1])
    while _spread(found) or _solve(found) or _assume(found):
        pass
    return found


def _set(found: Features, table: dict[str, int], name: str, rank: int) -> bool:
    """Enter one rank; True if it is new."""
    if name in table and table[name] != rank:
        sources = ", ".join(found.steps[name].sources) or "the input"
        raise ModelError(f"features of {table[name]} and of {rank} axes meet behind {sources}", where=name,
                         code="RANK_MISMATCH", fix="flatten (C, H, W) features before a Linear layer, and give a "
                         "sample with the axes that the module takes")
    new = name not in table
    table[name] = rank
    return new


def _spread(found: Features) -> bool:
    """Along edges, and through what works elementwise."""
    new = False
    for name, step in found.steps.items():
        for source in step.sources:
            if source in found.rank_out:
                new |= _set(found, found.rank_in, name, found.rank_out[source])
            if name in found.rank_in:
                new |= _set(found, found.rank_out, source, found.rank_in[name])
        if step.kind != "reshape":
            new |= _through(found, name)
    return new


def _through(found: Features, name: str) -> bool:
    """The same rank in and out where only one is known."""
    if (name in found.rank_in) == (name in found.rank_out):
        return False
    rank = found.rank_in.get(name, found.rank_out.get(name, 0))
    found.rank_in[name] = found.rank_out[name] = rank
    return True


def _solve(found: Features) -> bool:
    """One reshape of which one side is known."""
    for name, step in found.steps.items():
        if step.kind != "reshape" or (name in found.rank_in) == (name in found.rank_out):
            continue
        if name in found.rank_in:
            found.rank_out[name] = _other(name, step.in_shape, found.rank_in[name], step.out_shape)
        else:
            found.rank_in[name] = _other(name, step.out_shape, found.rank_out[name], step.in_shape)
        return True
    return False


def _other(name: str, known: Shape, rank: int, other: Shape) -> int:
    """The rank on the other side of a reshape: as many elements, with the same features or else leading axes."""
    lead, inner = known[: len(known) - rank], known[len(known) - rank:]
    wanted = math.prod(inner)
    fitting = [r for r in range(1, len(other) + 1) if math.prod(other[len(other) - r:]) == wanted]
    if not fitting:
        raise ModelError(f"the reshape {known} -> {other} mixes batch or time with features", where=name,
                         code="FLATTEN_BATCH", fix="flatten the features only, for example torch.nn.Flatten(1)")
    same_inner = [r for r in fitting if other[len(other) - r:] == inner]
    same_lead = [r for r in fitting if other[: len(other) - r] == lead]
    return [*same_inner, *same_lead, *fitting][0]


def _assume(found: Features) -> bool:
    """One input that no layer settles: its first axis is the batch."""
    for name, step in found.steps.items():
        if step.kind != "reshape" and name not in found.rank_out:
            found.rank_out[name] = found.rank_in[name] = max(len(step.out_shape) - 1, 1)
            found.assumed.append(name)
            return True
    return False


def flatten_axes(name: str, before: Shape, after: Shape) -> tuple[int, int] | None:
    """(first, last) of the axes that a reshape merges; None for a reshape that changes nothing.

    Raises:
        ModelError: RESHAPE for anything but a flattening.
    """
    if before == after:
        return None
    for i in range(len(before)):
        for j in range(i, len(before)):
            if (*before[:i], math.prod(before[i: j + 1]), *before[j + 1:]) == after:
                return i, j
    raise ModelError(f"the reshape {before} -> {after} is no flattening", where=name, code="RESHAPE",
                     fix="NIR can only merge neighbouring axes; flatten before a Linear layer")
