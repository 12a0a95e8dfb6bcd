"""X-Y routes of a placed program: what one message of each sender causes on the cores and on the mesh."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.loihi import LoihiArrays, LoihiProgram
from hwsdk.simulators.kernels_mesh import Mesh

IntArray = NDArray[np.int64]
Unsigned = NDArray[np.unsignedinteger]
SLICE = 1 << 20
DENSE_ABOVE = 8
"""A table of senders x cores is used unless its cells outnumber the axons by more than this factor."""
LANES = 16
"""Lines that are added are padded to a multiple, which leaves no rest to vector code."""


def build_mesh(program: LoihiProgram, sender: NDArray[np.int32], order_of: IntArray) -> Mesh:
    """The mesh of a program.

    Args:
        sender: of each axon, in kernel order. order_of: sender id -> kernel order.

    Raises:
        ProgramError: a core listens to a sender that does not send to it, or the other way round.
    """
    a, n_inputs = program.arrays, sum(s.n for s in program.inputs)
    x, y = ((z - z.min(initial=0)).astype(np.int64) for z in (a.core_x, a.core_y))
    width, height = int(x.max(initial=0)) + 1, int(y.max(initial=0)) + 1
    row = np.r_[np.full(n_inputs, height), y[program.core_of()]]
    table, lists = _tables(program, sender, row)
    _check_both_ends(program, table, lists, order_of)
    fan, links = _fans(program, order_of[n_inputs:] - n_inputs, x, y)
    home, router = program.core_of().astype(np.uint32), (x * height + y).astype(np.uint32)
    return Mesh(table, *lists, row.astype(np.uint32), router[home], home, router, fan, links, width, height)


def axon_synapses(a: LoihiArrays) -> IntArray:
    """Synapses of each axon."""
    total = np.r_[0, np.cumsum(np.diff(a.row_ptr)[a.segment_row])]
    return np.asarray(np.diff(total[a.segment_ptr]))


Lists = tuple[IntArray, NDArray[np.uint16], Unsigned]


def _tables(program: LoihiProgram, sender: NDArray[np.int32], row: IntArray) -> tuple[Unsigned, Lists]:
    """Synaptic operations by (sender, core): Mesh.table, or lists; the other is empty. row: of each sender's router."""
    a, n_cores, n_senders = program.arrays, program.n_cores, len(program.arrays.out_ptr) - 1
    per_axon = axon_synapses(a)
    synops = _narrow(per_axon)
    core = np.repeat(np.arange(n_cores), np.diff(a.axon_ptr))
    place = row[sender] * n_cores + core
    most, messages = np.bincount(place, weights=per_axon).max(initial=0), np.bincount(place).max(initial=0)
    if n_senders * n_cores <= DENSE_ABOVE * len(sender) and most < 1 << 16 and messages < 1 << 15:
        table = np.zeros((n_senders, _padded(n_cores)), synops.dtype)
        table[sender, core] = synops
        return table, (np.zeros(n_senders + 1, np.int64), np.zeros(0, np.uint16), synops[:0])
    order = np.argsort(sender, kind="stable")
    ptr = np.r_[0, np.cumsum(np.bincount(sender, minlength=n_senders))].astype(np.int64)
    return np.zeros((0, _padded(n_cores)), synops.dtype), (ptr, core.astype(np.uint16)[order], synops[order])


def _padded(n: int) -> int:
    """n rounded up."""
    return -(-n // LANES) * LANES


def _narrow(values: NDArray[np.integer]) -> Unsigned:
    """In 16 bits, or more if need be: few types, since each is compiled for itself."""
    return values.astype(np.result_type(np.uint16, np.min_scalar_type(int(values.max(initial=0)))))


def _fans(program: LoihiProgram, place: IntArray, x: IntArray, y: IntArray) -> tuple[NDArray[np.int32], Unsigned]:
    """Mesh.fan and Mesh.links. place: neuron by id -> core order."""
    a, home, n = program.arrays, program.core_of(), program.n_neurons
    n_inputs, width, chip = sum(s.n for s in program.inputs), int(x.max(initial=0)) + 1, a.core_chip.astype(np.int64)
    fan = np.zeros((n, 4), np.int32)
    links = np.zeros((n, _padded(width)), np.uint16 if program.n_cores < 1 << 16 else np.uint32)
    for first in range(0, n, step := max(1, SLICE * n // max(len(a.out_core), n * width))):
        ptr = a.out_ptr[n_inputs + first : n_inputs + min(first + step, n) + 1]
        to, own = a.out_core[ptr[0] : ptr[-1]], place[first : first + step]
        k = np.repeat(np.arange(len(own)), np.diff(ptr))
        at = home[own][k]
        until = np.bincount(k * width + x[to], minlength=len(own) * width).reshape(-1, width).cumsum(axis=1)
        passing = np.where(np.arange(width) >= x[home[own]][:, None], until[:, -1:] - until, until)
        links[own, :width] = passing
        fan[own, 0], fan[own, 1] = np.diff(ptr), passing.sum(axis=1)
        for column, apart in ((2, y[to] - y[at]), (3, chip[to] - chip[at])):
            fan[own, column] = np.bincount(k, weights=np.abs(apart), minlength=len(own))
    return fan, links.astype(np.uint8) if links.max(initial=0) < 1 << 8 else links


def _check_both_ends(program: LoihiProgram, table: Unsigned, lists: Lists, order_of: IntArray) -> None:
    """Outgoing axons and input axons must name the same pairs, each once."""
    a = program.arrays
    heard = len(a.axon_source)
    good = heard == len(a.out_core) and _distinct(a.axon_ptr, a.axon_source) and _distinct(a.out_ptr, a.out_core)
    for first in range(0, len(order_of), step := max(1, SLICE * len(order_of) // max(heard, 1))):
        ptr = a.out_ptr[first : first + step + 1]
        ids = order_of[np.repeat(np.arange(first, first + len(ptr) - 1), np.diff(ptr))]
        to = a.out_core[ptr[0] : ptr[-1]]
        if not good:
            break
        good = bool((table[ids, to] > 0).all()) if len(table) else \
            _listed(lists, order_of[first : first + step], ids, to)
    if not good:
        raise ProgramError("outgoing and incoming axons do not match: spikes would be lost", where=program.name,
                           code="ROUTING_MISMATCH", fix="compile the model again")


def _listed(lists: Lists, senders: IntArray, ids: IntArray, to: NDArray[np.int32]) -> bool:
    """Do the lists of these senders name exactly the pairs (ids, to)?"""
    ptr, core, _ = lists
    start, length = ptr[senders], np.diff(ptr)[senders]
    ends = np.cumsum(length)
    at = np.arange(int(ends[-1])) + np.repeat(start - (ends - length), length)
    n_cores = 1 << 16
    return np.array_equal(np.sort(np.repeat(senders, length) * n_cores + core[at]), np.sort(ids * n_cores + to))


def _distinct(ptr: NDArray[np.int64], values: NDArray[np.integer]) -> bool:
    """Is every value at most once in its section? Emitted sections are ascending, which is quick to see."""
    rising = np.ones(len(values), bool)
    rising[1:] = values[1:] > values[:-1]
    starts = ptr[:-1][np.diff(ptr) > 0]
    rising[starts] = True
    if rising.all():
        return True
    return all(len(np.unique(values[a:b])) == b - a for a, b in pairwise(ptr))
