"""Numba kernels that count what spikes cause on the cores and on the mesh between them.

A message adds to its target core, in the line of its sender's row of routers, a one in the upper half of a number and
its synaptic operations in the lower half: one addition counts both, and what travels along the columns of the mesh.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsdk.simulators.kernels_sync import inner, prefetch, prefetch_in_row, stay_apart

STEP_COUNTS = ("spikes", "synaptic_operations", "messages", "hops_ew", "hops_ns", "peak_core_synops",
               "peak_core_spikes", "peak_link", "chip_crossings", "wraps", "clips", "peak_core_messages")
"""Per-step counters."""
(SPIKES, SYNOPS, MESSAGES, HOPS_EW, HOPS_NS, PEAK_SYNOPS, PEAK_SPIKES, PEAK_LINK, CROSSINGS, WRAPS, CLIPS,
 PEAK_MESSAGES) = range(len(STEP_COUNTS))
CORE_SYNOPS, CORE_MESSAGES = 0, 1
AHEAD, FAR_AHEAD = 2, 8
"""Senders that a prefetch is ahead: of much work for each, and of little."""
LINE = 64
"""Bytes of a cache line."""
ONE = np.int64(1) << 32
"""A message in the upper half of 64 bits."""


class Mesh(NamedTuple):
    """C cores in any order, and what each sender's message causes there.

    table (senders, C rounded up) or (0, C rounded up): synaptic operations of one message on each core; where that is
    mostly zeros or too much for the halves of 32 bits, lists: ptr int64 (senders+1), core uint16 and synops. row
    (senders,): of the sender's router, ``height`` for the host. router (N,) = x * height + y and home (N,): of each
    neuron; core_router (C,). fan int32 (N, 4): messages of one spike, their hops east-west and north-south, chip
    borders crossed. links (N, width rounded up): of these messages those between columns g and g + 1 of the sender's
    row: eastward from its own column on, westward before. width, height: routers.
    """

    table: NDArray[np.unsignedinteger[Any]]
    ptr: NDArray[np.int64]
    core: NDArray[np.uint16]
    synops: NDArray[np.unsignedinteger[Any]]
    row: NDArray[np.uint32]
    router: NDArray[np.uint32]
    home: NDArray[np.uint32]
    core_router: NDArray[np.uint32]
    fan: NDArray[np.int32]
    links: NDArray[np.unsignedinteger[Any]]
    width: int
    height: int


class Tally(NamedTuple):
    """Scratch of one step of each part. hits int32 or int64 (2, parts, height + 1, C rounded up): messages and synaptic
    operations by the sender's row, those of the host last; spikes int32 (2, parts, 1, C); lines int32 (2, parts,
    routers, width rounded up): messages between columns, by the sender's router. The rest is for the end of a step:
    down, up int32 (width, height): messages between rows; west, east int32 (width rounded up): between columns; synops,
    arrived int64 (C,); messages int64 (routers,): that arrive.
    """

    hits: NDArray[np.signedinteger[Any]]
    spikes: NDArray[np.int32]
    lines: NDArray[np.int32]
    down: NDArray[np.int32]
    up: NDArray[np.int32]
    west: NDArray[np.int32]
    east: NDArray[np.int32]
    synops: NDArray[np.int64]
    arrived: NDArray[np.int64]
    messages: NDArray[np.int64]


def empty_tally(mesh: Mesh, parts: int) -> Tally:
    """Nothing counted yet."""
    cores, routers = len(mesh.core_router), mesh.width * mesh.height
    whole = np.int32 if len(mesh.table) else np.int64
    return Tally(np.zeros((2, parts, mesh.height + 1, mesh.table.shape[1]), whole),
                 np.zeros((2, parts, 1, cores), np.int32),
                 np.zeros((2, parts, routers, mesh.links.shape[1]), np.int32),
                 np.zeros((mesh.width, mesh.height), np.int32), np.zeros((mesh.width, mesh.height), np.int32),
                 np.zeros(mesh.links.shape[1], np.int32), np.zeros(mesh.links.shape[1], np.int32),
                 np.zeros(cores, np.int64), np.zeros(cores, np.int64), np.zeros(routers, np.int64))


@inner
def _count_by_table(senders: Any, offset: int, row: Any, table: Any, hits: Any) -> None:
    """``count_messages`` from the table."""
    stay_apart()
    n = np.uint64(table.shape[1])
    for k in range(len(senders)):
        if k + AHEAD < len(senders):
            for c in range(0, table.shape[1], LINE):
                prefetch_in_row(table, offset + senders[k + AHEAD], c)
        sender = np.uint64(offset + senders[k])
        line = np.uint64(row[sender])
        for c in range(n):
            hits[line, c] += table[sender, c] + (np.int32(table[sender, c] != 0) << 16)


@inner
def _count_by_lists(senders: Any, offset: int, row: Any, ptr: Any, core: Any, synops: Any, hits: Any) -> None:
    """``count_messages`` from the lists."""
    stay_apart()
    for k in range(len(senders)):
        if k + AHEAD < len(senders):
            ahead = offset + senders[k + AHEAD]
            for f in range(ptr[ahead], ptr[ahead + 1], LINE // 2):
                prefetch(core, f)
                prefetch(synops, f)
        sender = np.uint64(offset + senders[k])
        line = np.uint64(row[sender])
        for f in range(np.uint64(ptr[sender]), np.uint64(ptr[sender + np.uint64(1)])):
            hits[line, core[f]] += ONE + synops[f]


@inner
def count_messages(senders: Any, offset: int, mesh: Any, tally: Any, parity: int, part: int) -> None:
    """The messages of senders ``senders + offset`` and their synaptic operations."""
    hits = tally.hits[parity, part]
    if len(mesh.table):
        _count_by_table(senders, offset, mesh.row, mesh.table, hits)
    else:
        _count_by_lists(senders, offset, mesh.row, mesh.ptr, mesh.core, mesh.synops, hits)


@inner
def count_spikes(fired: Any, mesh: Any, tally: Any, parity: int, part: int, counts: Any) -> None:
    """The spikes of neurons ``fired``, and their messages on the links of their own rows of routers."""
    lines, spikes = tally.lines[parity, part], tally.spikes[parity, part, 0]
    routers, homes, links, fan = mesh.router, mesh.home, mesh.links, mesh.fan
    messages, east_west, north_south, crossings = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    n = np.uint64(links.shape[1])
    for k in range(len(fired)):
        if k + FAR_AHEAD < len(fired):
            ahead = np.int64(fired[k + FAR_AHEAD])
            prefetch_in_row(fan, ahead, 0)
            for g in range(0, links.shape[1], LINE):
                prefetch_in_row(links, ahead, g)
        i = np.uint64(fired[k])
        spikes[homes[i]] += 1
        router = np.uint64(routers[i])
        for g in range(n):
            lines[router, g] += links[i, g]
        messages += fan[i, 0]
        east_west += fan[i, 1]
        north_south += fan[i, 2]
        crossings += fan[i, 3]
    counts[MESSAGES] += messages
    counts[HOPS_EW] += east_west
    counts[HOPS_NS] += north_south
    counts[CROSSINGS] += crossings


@inner
def _merge(parts: Any) -> None:
    """Add what the other parts counted to the first, and clear them."""
    for p in range(1, parts.shape[0]):
        for row in range(parts.shape[1]):
            for i in range(parts.shape[2]):
                parts[0, row, i] += parts[p, row, i]
                parts[p, row, i] = 0


@inner
def _columns(row: int, mesh: Any, tally: Any) -> None:
    """Messages along the columns of the mesh, sent in ``row``: each router's own enter the links on their way."""
    for x in range(mesh.width):
        passing = 0
        for y in range(mesh.height - 1, row, -1):
            passing += tally.messages[x * mesh.height + y]
            tally.down[x, y - 1] += passing
        passing = 0
        for y in range(row):
            passing += tally.messages[x * mesh.height + y]
            tally.up[x, y] += passing


@inner
def _arrivals(hits: Any, mesh: Any, tally: Any, counts: Any, core_totals: Any) -> None:
    """What reached the cores, and the columns of the mesh on the way there; clears ``hits``."""
    half = hits.itemsize * 4
    low = (np.int64(1) << half) - 1
    cores, routers = len(mesh.core_router), mesh.core_router
    synops, arrived, messages = tally.synops, tally.arrived, tally.messages
    for row in range(mesh.height + 1):
        for k in range(len(messages)):
            messages[k] = 0
        for c in range(cores):
            synops[c] += hits[row, c] & low
            arrived[c] += hits[row, c] >> half
            messages[routers[c]] += hits[row, c] >> half
            hits[row, c] = 0
        if row < mesh.height:
            _columns(row, mesh, tally)
    for c in range(cores):
        core_totals[c, CORE_SYNOPS] += synops[c]
        core_totals[c, CORE_MESSAGES] += arrived[c]
        counts[SYNOPS] += synops[c]
        counts[PEAK_SYNOPS] = max(counts[PEAK_SYNOPS], synops[c])
        counts[PEAK_MESSAGES] = max(counts[PEAK_MESSAGES], arrived[c])
        synops[c] = arrived[c] = 0


@inner
def _busiest(load: Any) -> int:
    """Largest entry of (width, height) loads, which are cleared."""
    peak = 0
    for x in range(load.shape[0]):
        for y in range(load.shape[1]):
            peak = max(peak, load[x, y])
            load[x, y] = 0
    return peak


@inner
def _busiest_in_rows(lines: Any, mesh: Any, west: Any, east: Any) -> int:
    """Messages on the busiest link east or west; clears ``lines``."""
    peak = 0
    for y in range(mesh.height):
        for x in range(mesh.width):
            router = np.uint64(x * mesh.height + y)
            for g in range(np.uint64(x)):
                west[g] += lines[router, g]
            for g in range(np.uint64(x), np.uint64(len(east))):
                east[g] += lines[router, g]
            for g in range(np.uint64(len(east))):
                lines[router, g] = 0
        for g in range(len(east)):
            peak = max(peak, west[g], east[g])
            west[g] = east[g] = 0
    return peak


@inner
def close_step(mesh: Any, tally: Any, parity: int, counts: Any, core_totals: Any) -> None:
    """Sum up and clear what all parts counted in one step."""
    hits, spikes, lines = tally.hits[parity], tally.spikes[parity], tally.lines[parity]
    _merge(hits)
    _merge(spikes)
    _merge(lines)
    _arrivals(hits[0], mesh, tally, counts, core_totals)
    peak = _busiest_in_rows(lines[0], mesh, tally.west, tally.east)
    counts[PEAK_LINK] = max(peak, _busiest(tally.down), _busiest(tally.up))
    for c in range(spikes.shape[2]):
        counts[PEAK_SPIKES] = max(counts[PEAK_SPIKES], spikes[0, 0, c])
        spikes[0, 0, c] = 0
