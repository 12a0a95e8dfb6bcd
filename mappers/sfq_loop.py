"""sfq_loop: the cells of a population of current-summing somas.

All lines of the population are launched by one pulse and take the same cells up to their branches (what a line lacks is
made up by splitters with one output ended), so that their pulses come to all somas at one time, at any bias. Those of
direct branches come one JTL later than those of inhibitory ones: no sum crosses a threshold that all of it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.cells import CellType
from hwsdk.mappers.quantize_loop import LoopDesign
from hwsdk.mappers.sfq_build import Builder, Pin, levels
from hwsdk.mappers.sfq_lines import Line, Stored, store

Ints = NDArray[np.int64]


class SomaTypes(Protocol):
    """What has somas, as an SfqTarget."""

    def soma(self, fan_in: int) -> CellType:
        """The type of a soma with so many branches."""


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """What of a population the others need to know.

    launch: input pin of the pulse that starts all lines, in every frame. lines, stored: the lines and their storage;
    clocked_fs and first_fs of stored count from this launch. spike (n): output pins. In fs from the launch: sum_fs:
    when the last pulses come to the somas; spike_fs: first, usual and last that a spike can be at its pin. skew_fs:
    between pulses that should come at one time.
    """

    launch: Pin
    lines: list[Line]
    stored: list[Stored]
    spike: list[Pin]
    sum_fs: int
    spike_fs: tuple[int, int, int]
    skew_fs: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Bundle:
    """Branches that one line feeds."""

    source: str
    element: int
    delay: int
    branch: Ints


def add_loop(b: Builder, target: SomaTypes, name: str, sources: list[str], design: LoopDesign) -> Loop:
    """Lines, branches and somas of a population.

    Args:
        name: of its bias group. sources: of each projection onto it, in the order of its Network.sources, the input or
            population that it comes from.
    """
    b.enter(name, "line")
    bundles, fan_in = _bundles(sources, design), design.fan_in
    somas = [_soma_type(b, target, int(k)) for k in fan_in]
    if design.lead_fs != b.delay("JTL"):
        raise InternalError(f"{name}: inhibitory pulses were to lead by {design.lead_fs} fs, a JTL takes "
                            f"{b.delay('JTL')}")
    longest, depth = max(x.delay for x in bundles), levels(max(len(x.branch) for x in bundles))
    launch, starts, launch_fs = _launch(b, len(bundles))
    stored, arrivals = [], set()
    pins: dict[int, Pin] = {}
    for start, bundle in zip(starts, bundles, strict=True):
        held, begun = _stored(b, start, bundle.delay, longest)
        stored.append(_later(held, launch_fs + begun))
        rail, rail_fs = held.direct or ((-1, 0), 0)
        b.enter(part="branch")
        arrivals.add(launch_fs + begun + rail_fs + depth * b.delay("SPLIT"))
        for branch, (pin, _) in zip(bundle.branch.tolist(), b.split_tree(rail, len(bundle.branch), depth), strict=True):
            pins[branch] = pin if design.weight_a[branch] < 0 else b.jtls(pin, 1)
    sum_fs = max(arrivals) + design.lead_fs
    b.enter(part="soma")
    first = np.concatenate([[0], np.cumsum(fan_in)])
    cells = [_soma(b, s, design, i, [pins[j] for j in range(first[i], first[i + 1])]) for i, s in enumerate(somas)]
    late = np.concatenate([s.soma.latency_fs for s in somas if s.soma is not None])
    usual = int(np.median(late))
    return Loop(launch, [_line(x, design) for x in bundles], stored, [(c, 0) for c in cells], sum_fs,
                (sum_fs + int(late.min()), sum_fs + usual, sum_fs + int(late.max())), max(arrivals) - min(arrivals))


def _soma_type(b: Builder, target: SomaTypes, fan_in: int) -> CellType:
    """SOMA<fan_in>, known to the builder."""
    name = f"SOMA{fan_in}"
    if name not in b.types:
        b.add_type(target.soma(fan_in))
    return b.types[name]


def _bundles(sources: list[str], design: LoopDesign) -> list[_Bundle]:
    """Branches by source, element and delay; branches are sorted by neuron."""
    if (np.diff(design.target) < 0).any():
        raise InternalError("branches that are not sorted by neuron")
    order = np.array([sources.index(s) for s in sources], np.int64)  # projections from one source share their lines
    keys = np.stack([order[design.projection], design.source, design.delay_ticks], 1)
    rows, at = np.unique(keys, axis=0, return_inverse=True)
    return [_Bundle(sources[p], element, delay, np.flatnonzero(at.ravel() == i))
            for i, (p, element, delay) in enumerate(rows.tolist())]


def _launch(b: Builder, n: int) -> tuple[Pin, list[Pin], int]:
    """(input pin, n pins, fs between): one pulse becomes n, all through as many splitters."""
    b.enter(part="launch")
    first = b.cell("JTL")
    found = b.split_tree((first, 0), n)
    return (first, 0), [pin for pin, _ in found], b.delay("JTL") + found[0][1]


def _stored(b: Builder, start: Pin, delay: int, longest: int) -> tuple[Stored, int]:
    """A line's storage, joined to its start, and fs in between: as many splitters as the longest line has inside."""
    b.enter(part="launch")
    for _ in range(longest - delay):
        start, other = b.split(start)
        b.sink(other)
    held = store(b, delay, True, False)
    b.net(start, held.launch)
    return held, (longest - delay) * b.delay("SPLIT")


def _later(x: Stored, fs: int) -> Stored:
    """The storage with times from a launch that comes before its own."""
    rail = None if x.direct is None else (x.direct[0], x.direct[1] + fs)
    return Stored(x.launch, x.entry, rail, x.complement, x.clocked_fs + fs, x.first_fs + fs, x.hold_fs, x.entry_fs)


def _soma(b: Builder, kind: CellType, design: LoopDesign, neuron: int, pins: list[Pin]) -> int:
    """A soma with its branches."""
    own = np.flatnonzero(design.target == neuron)
    branches = np.stack([design.weight_a[own], np.full(len(own), design.tau_fs[neuron]), design.l_h[own],
                         design.r_ohm[own], design.k[own]], 1)
    made = b.soma(kind.name, float(design.bias_a[neuron]), branches)
    for number, pin in enumerate(pins):
        b.net(pin, (made, number))
    return made


def _line(x: _Bundle, design: LoopDesign) -> Line:
    """For those who join spikes to lines: weights in A, one a branch."""
    return Line(x.source, x.element, x.delay, design.target[x.branch], design.weight_a[x.branch])
