"""X-Y routes of a placed program: which links each flow between two cores crosses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.loihi import LoihiProgram

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """Flows (sending core or -1 for the host, receiving core) and who uses them.

    ptr (senders+1), flow, synops: the flows of each sender, and the synapses that its message meets there.
    to_core, from_core, ew, ns, crossings (flows): ends, hops and chip borders. link_ptr, link: links on each route.
    """

    ptr: IntArray
    flow: IntArray
    synops: IntArray
    to_core: IntArray
    from_core: IntArray
    ew: IntArray
    ns: IntArray
    crossings: IntArray
    link_ptr: IntArray
    link: IntArray


def build_flows(program: LoihiProgram, sender: IntArray, core: IntArray, synops: IntArray,
                order_of: IntArray) -> Flows:
    """Flows of a program.

    Args:
        sender, core, synops: one entry an axon, by ascending sender (in kernel order).
        order_of: sender id -> kernel order.

    Raises:
        ProgramError: a core listens to a sender that does not send to it, or the other way round.
    """
    a = program.arrays
    n_inputs = sum(s.n for s in program.inputs)
    _check_both_ends(program, sender, core, order_of)
    home = np.full(len(order_of), -1, np.int64)
    home[n_inputs:] = program.core_of()
    pair = (home[sender] + 1) * program.n_cores + core
    unique, flow = np.unique(pair, return_inverse=True)
    from_core, to_core = unique // program.n_cores - 1, unique % program.n_cores
    x, y, chip = (z.astype(np.int64) for z in (a.core_x, a.core_y, a.core_chip))
    inside = from_core >= 0
    dx = np.where(inside, x[to_core] - x[from_core], 0)
    dy = np.where(inside, y[to_core] - y[from_core], 0)
    links = [_links(x[f], y[f], x[t], y[t]) if f >= 0 else [] for f, t in zip(from_core, to_core, strict=True)]
    names = {name: i for i, name in enumerate(sorted({hop for route in links for hop in route}))}
    ptr = np.searchsorted(sender, np.arange(len(order_of) + 1)).astype(np.int64)
    return Flows(
        ptr, flow.astype(np.int64).ravel(), synops.astype(np.int64), to_core, from_core, np.abs(dx), np.abs(dy),
        np.where(inside, np.abs(chip[to_core] - chip[from_core]), 0),
        np.cumsum([0, *map(len, links)]).astype(np.int64),
        np.array([names[hop] for route in links for hop in route], np.int64))


def _links(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int, int, int]]:
    """First along x, then along y; a link is named by its two routers."""
    route = []
    while x0 != x1:
        step = 1 if x1 > x0 else -1
        route.append((int(x0), int(y0), int(x0 + step), int(y0)))
        x0 += step
    while y0 != y1:
        step = 1 if y1 > y0 else -1
        route.append((int(x0), int(y0), int(x0), int(y0 + step)))
        y0 += step
    return route


def _check_both_ends(program: LoihiProgram, sender: IntArray, core: IntArray, order_of: IntArray) -> None:
    """Outgoing axons and input axons must name the same pairs."""
    a = program.arrays
    ids = np.repeat(np.arange(len(a.out_ptr) - 1), np.diff(a.out_ptr))
    sent = np.sort(order_of[ids] * program.n_cores + a.out_core)
    heard = np.sort(sender * program.n_cores + core)
    if not np.array_equal(sent, heard):
        raise ProgramError("outgoing and incoming axons do not match: spikes would be lost", where=program.name,
                           code="ROUTING_MISMATCH", fix="compile the model again")
