"""X-Y routes of a placed program: what one message of each sender causes on the cores and on the mesh."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import ProgramError
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.simulators.kernels import Mesh

IntArray = NDArray[np.int64]
SLICE = 1 << 20
DENSE_ABOVE = 8
"""A table of senders x cores is used unless its cells outnumber the axons by more than this factor."""


def build_mesh(program: LoihiProgram, sender: NDArray[np.int32], order_of: IntArray) -> tuple[Mesh, IntArray]:
    """The mesh of a program, and core index of the program -> core index of the mesh.

    Args:
        sender: of each axon, in kernel order. order_of: sender id -> kernel order.

    Raises:
        ProgramError: a core listens to a sender that does not send to it, or the other way round.
    """
    a = program.arrays
    n_inputs = sum(s.n for s in program.inputs)
    by_x = np.argsort(a.core_x, kind="stable")
    rank = np.empty(program.n_cores, np.int64)
    rank[by_x] = np.arange(program.n_cores)
    x, y = ((z - z.min(initial=0))[by_x].astype(np.int32) for z in (a.core_x, a.core_y))
    per_axon = np.diff(np.r_[0, np.cumsum(np.diff(a.row_ptr)[a.segment_row])][a.segment_ptr])
    table, lists = _tables(program, sender, rank, per_axon)
    _check_both_ends(program, table, lists, order_of, rank)
    west = np.searchsorted(x, x, "left").astype(np.uint64)
    east = np.searchsorted(x, x, "right").astype(np.uint64)
    home = rank[program.core_of()].astype(np.int32)
    fan = _fans(program, order_of[n_inputs:] - n_inputs, x, rank, home)
    mesh = Mesh(table, *lists, home, x, y, west, east, fan, int(x.max(initial=0)) + 1, int(y.max(initial=0)) + 1)
    return mesh, rank


Lists = tuple[NDArray[np.uint64], NDArray[np.uint16], NDArray[np.unsignedinteger]]


def _tables(program: LoihiProgram, sender: NDArray[np.int32], rank: IntArray, per_axon: IntArray,
            ) -> tuple[NDArray[np.unsignedinteger], Lists]:
    """Synaptic operations by (sender, core): a table, or lists where it would be mostly empty; the other is empty."""
    a, n_cores = program.arrays, program.n_cores
    n_senders = len(a.out_ptr) - 1
    operations: NDArray[np.unsignedinteger] = per_axon.astype(np.uint32)
    if per_axon.max(initial=0) < 1 << 16:
        operations = per_axon.astype(np.uint16)
    axons = np.diff(a.axon_ptr)
    if n_senders * n_cores <= DENSE_ABOVE * len(sender):
        table = np.zeros((n_senders, n_cores), operations.dtype)
        for c in range(n_cores):
            mine = slice(a.axon_ptr[c], a.axon_ptr[c + 1])
            table[sender[mine], rank[c]] = operations[mine]
        return table, (np.zeros(n_senders + 1, np.uint64), np.zeros(0, np.uint16), operations[:0])
    order = np.argsort(sender, kind="stable")
    ptr = np.zeros(n_senders + 1, np.uint64)
    np.cumsum(np.bincount(sender, minlength=n_senders), out=ptr[1:], dtype=np.uint64)
    core = np.repeat(rank.astype(np.uint16), axons)[order]
    return np.zeros((0, n_cores), operations.dtype), (ptr, core, operations[order])


def _fans(program: LoihiProgram, place: IntArray, x: NDArray[np.int32], rank: IntArray, home: NDArray[np.int32],
          ) -> NDArray[np.int32]:
    """(N, 4) per neuron in core order: messages, of these westward and eastward, and chip borders that they cross.

    place: neuron by id -> core order.
    """
    a = program.arrays
    n_inputs = sum(s.n for s in program.inputs)
    chip = np.empty(program.n_cores, np.int64)
    chip[rank] = a.core_chip
    fan = np.zeros((program.n_neurons, 4), np.int32)
    step = max(1, SLICE * program.n_neurons // max(len(a.out_core), 1))
    for first in range(0, program.n_neurons, step):
        ptr = a.out_ptr[n_inputs + first : n_inputs + min(first + step, program.n_neurons) + 1]
        to = rank[a.out_core[ptr[0] : ptr[-1]]]
        owner = np.repeat(place[first : first + step], np.diff(ptr))
        base = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
        dx = x[to] - x[home[owner]]
        columns = (np.ones(len(to)), dx < 0, dx > 0, np.abs(chip[to] - chip[home[owner]]))
        for k, column in enumerate(columns):
            fan[place[first : first + step], k] = np.bincount(base, weights=column, minlength=len(ptr) - 1)
    return fan


def _check_both_ends(program: LoihiProgram, table: NDArray[np.unsignedinteger], lists: Lists, order_of: IntArray,
                     rank: IntArray) -> None:
    """Outgoing axons and input axons must name the same pairs, each once."""
    a = program.arrays
    heard = len(a.axon_source)
    good = heard == len(a.out_core) and _distinct(a.axon_ptr, a.axon_source) and _distinct(a.out_ptr, a.out_core)
    for first in range(0, len(order_of), step := max(1, SLICE * len(order_of) // max(heard, 1))):
        ptr = a.out_ptr[first : first + step + 1]
        ids = order_of[np.repeat(np.arange(first, first + len(ptr) - 1), np.diff(ptr))]
        to = rank[a.out_core[ptr[0] : ptr[-1]]]
        if not good:
            break
        good = bool((table[ids, to] > 0).all()) if len(table) else \
            _listed(lists, order_of[first : first + step], ids, to)
    if not good:
        raise ProgramError("outgoing and incoming axons do not match: spikes would be lost", where=program.name,
                           code="ROUTING_MISMATCH", fix="compile the model again")


def _listed(lists: Lists, senders: IntArray, ids: IntArray, to: IntArray) -> bool:
    """Do the lists of these senders name exactly the pairs (ids, to)?"""
    ptr, core, _ = lists
    start, length = ptr[senders].astype(np.int64), np.diff(ptr)[senders].astype(np.int64)
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
