"""A SpinnakerProgram in the form that the kernels want: the images of all PEs decoded into flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwsdk.programs.spinnaker import LEVELS, SpinnakerProgram
from hwsdk.programs.spinnaker_decode import decode, header
from hwsdk.programs.spinnaker_image import ACCUMULATORS, CONTROL, NEURON_FIELDS, Block, PeMemory, PeSlice
from hwsdk.programs.spinnaker_routes import Deliveries, walk
from hwsdk.simulators import kernels_spinnaker_parts as parts
from hwsdk.simulators.kernels_spinnaker_neurons import Cells
from hwsdk.simulators.kernels_spinnaker_parts import Edges, Pes, Slices, Timing, Wiring
from hwsdk.simulators.spinnaker_check import check, check_blocks
from hwsdk.simulators.spinnaker_rows import Row, Rows, broken

IntArray = NDArray[np.int64]
Floats = NDArray[np.float32]
MODELS = {"source": parts.SOURCE, "lif": parts.LIF, "lif_curr": parts.LIF, "egru": parts.EGRU}
KINDS = {"narrow": parts.STATIC, "byte": parts.STATIC, "wide": parts.STATIC, "plastic": parts.PLASTIC,
         "conv": parts.CONV, "csr": parts.CSR}
NEURON_CYCLES = {"source": "", "lif": "neuron_lif", "lif_curr": "neuron_curr", "egru": "neuron_egru"}
LONGEST_REST = (1 << 12) - 1
NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """All that a run needs and does not change.

    Atoms are the neurons and senders of all PEs, numbered through. u, v, left: as they start, (atoms,); weight: of the
    words that learn; synapse: which of the network's each of these words is, see SpinnakerArrays.learned_synapse. ring,
    sums: int32 and float32 accumulators of all PEs. sender (atoms,): number of each atom's sender. needed (P,): bytes
    of a PE's memory that are taken. record_bytes (P,): of one step.
    """

    program: SpinnakerProgram
    wiring: Wiring
    u: Floats
    v: Floats
    left: NDArray[np.int32]
    weight: Floats
    synapse: IntArray
    ring: int
    sums: int
    sender: IntArray
    needed: IntArray
    record_bytes: IntArray

    @property
    def graded(self) -> bool:
        """Do packets carry payloads?"""
        return bool(self.wiring.cells.egru.shape[1])


def build(program: SpinnakerProgram) -> Machine:
    """Decode the PEs' memories and follow the routes.

    Raises:
        ProgramError: images, targets, keys, routes or costs that do not fit together.
    """
    memories = [decode(program.image(pe)) for pe in range(program.n_pes)]
    check(program, memories)
    ways, rows = walk(program), Rows()
    blocks = [rows.add(m, f"pe {pe}") for pe, m in enumerate(memories)]
    for pe, (memory, own) in enumerate(zip(memories, blocks, strict=True)):
        check_blocks(program, pe, memory, own)
    words, pairs, conv, learners, weight = rows.parts()
    at, ring, sums = _rings(memories)
    edges = _edges(program, memories, blocks, ways)
    flight = np.zeros(program.n_pes)
    np.maximum.at(flight, edges.pe, edges.flight)
    cells, u, v, left = _neurons(program, memories)
    slices = _slices(program, memories, ways, (cells.rest > 0) | (left > 0))
    wiring = Wiring(_timing(program, float(flight.max(initial=0))), _pes(program, memories, at, flight), slices, edges,
                    words, conv, pairs, learners, cells)
    sender = np.repeat(program.arrays.slice_sender, np.diff(program.arrays.neuron_ptr)).astype(np.int64)
    needed = np.array([header(program.image(pe))["needed"] for pe in range(program.n_pes)], np.int64)
    records = [sum(4 * -(-s.n // 32) for s in m.slices if s.records) for m in memories]
    return Machine(program, wiring, u, v, left, weight, _synapses(program, memories), ring, sums, sender, needed,
                   np.array(records, np.int64))


def _synapses(program: SpinnakerProgram, memories: list[PeMemory]) -> IntArray:
    """Which synapse each word that learns is, by learner, while the program has them by entry.

    Raises:
        ProgramError: INCONSISTENT.
    """
    a, found = program.arrays, [np.zeros(0, np.int64)]
    if not program.learned:
        return found[0]
    blocks = [[b for b in m.blocks if b.kind == "plastic"] for m in memories]
    ends = np.cumsum([0, *(sum(len(b.words) for b in own) for own in blocks)])
    numbers = np.arange(len(a.learned_synapse))
    names = {x.name for x in program.senders} | {x.name for x in program.learned}
    good = np.array_equal(a.learned_ptr, ends) and np.array_equal(np.sort(a.learned_synapse), numbers)
    good = good and ends[-1] == len(numbers) == sum(x.n for x in program.learned)
    if not good or min(x.n for x in program.learned) < 0 or len(names) < len(program.senders) + len(program.learned):
        raise broken("its learned synapses are not those of the images", where=program.name)
    for pe, own in enumerate(blocks):
        words = np.split(a.learned_synapse[ends[pe] : ends[pe + 1]], np.cumsum([len(b.words) for b in own[:-1]]))
        found += [words[i] for i in np.argsort([b.learner for b in own], kind="stable")]
    return np.concatenate(found).astype(np.int64)


def _rings(memories: list[PeMemory]) -> tuple[IntArray, int, int]:
    """(where each PE's ring begins in the array of its kind, entries of the int32 one, of the float32 one)."""
    sizes = np.array([m.n * ACCUMULATORS[m.model] * m.slots for m in memories], np.int64)
    graded = np.array([m.model == "egru" for m in memories], bool)
    at = np.where(graded, np.cumsum(np.where(graded, sizes, 0)), np.cumsum(np.where(graded, 0, sizes))) - sizes
    return at, int(sizes[~graded].sum()), int(sizes[graded].sum())


def _timing(program: SpinnakerProgram, flight: float) -> Timing:
    """Costs and clocks. With a barrier there is no tick, and "auto" means high."""
    m, barrier = program.machine, program.sync == "barrier"
    c = {name: float(m.cycles[name]) for name in (
        "tick", "packet", "event_static", "event_conv", "event_plastic", "event_csr", "spike_out", "recorded")}
    level = parts.HIGH if barrier and program.level == "auto" else LEVELS.index(program.level)
    fifo = NO_LIMIT if barrier else int(m.fifo)  # PEs read while they wait for each other
    return Timing(int(program.phases), level, 0.0 if barrier else float(program.tick_s), flight, fifo,
                  float(m.low_hz), float(m.high_hz), *c.values())


def _pes(program: SpinnakerProgram, memories: list[PeMemory], at: IntArray, flight: NDArray[np.float64]) -> Pes:
    """One entry a PE."""
    cycles = [float(program.machine.cycles[NEURON_CYCLES[m.model]]) if NEURON_CYCLES[m.model] else 0.0
              for m in memories]
    learning = [float(program.machine.cycles["neuron_stdp"]) if m.learners else 0.0 for m in memories]

    def column(values: list[int]) -> IntArray:
        return np.array(values, np.int64)

    return Pes(column([MODELS[m.model] for m in memories]),
               program.arrays.neuron_ptr.astype(np.int64)[program.arrays.slice_ptr],
               program.arrays.slice_ptr.astype(np.int64),
               np.r_[0, np.cumsum(column([len(m.learners) for m in memories]))], at,
               column([m.n * ACCUMULATORS[m.model] for m in memories]), column([m.slots - 1 for m in memories]),
               column([m.high_from for m in memories]), np.array(cycles) + np.array(learning), flight)


def _slices(program: SpinnakerProgram, memories: list[PeMemory], ways: Deliveries, resting: NDArray[np.bool_],
            ) -> Slices:
    """One entry a slice."""
    a, own = program.arrays, [s for m in memories for s in m.slices]
    home, n = np.repeat(np.arange(program.n_pes), np.diff(a.slice_ptr)), len(own)
    copies = np.bincount(ways.slice_of, minlength=n).astype(np.int64)
    hops = a.pe_hops.astype(np.int64)
    there = np.bincount(ways.slice_of, weights=hops[ways.pe], minlength=n).astype(np.int64)
    ptr = a.neuron_ptr.astype(np.int64)
    rests = [bool(resting[lo:hi].any()) for lo, hi in pairwise(ptr)]

    def flags(values: list[bool]) -> NDArray[np.uint8]:
        return np.array(values, np.uint8)

    return Slices(ptr, np.array([s.phase for s in own], np.int64), flags([s.sends for s in own]),
                  flags([s.records for s in own]), flags(rests), copies, hops[home] + there,
                  ways.crossings.astype(np.int64))


def _edges(program: SpinnakerProgram, memories: list[PeMemory], blocks: list[list[Row]], ways: Deliveries) -> Edges:
    """Every way of a packet, with what it does at its end."""
    a, m = program.arrays, program.machine
    slices = [s for x in memories for s in x.slices]
    home = np.repeat(np.arange(program.n_pes), np.diff(a.slice_ptr))
    order = np.lexsort((ways.slice_of, ways.pe))
    source, pe, links = ways.slice_of[order], ways.pe[order], ways.links[order]
    hops = a.pe_hops[home[source]].astype(np.float64) + a.pe_hops[pe]
    flight = hops * m.hop_s + m.router_s + links * (m.link_s + m.router_s)
    ptr, found = [0], []
    tables = [np.array([[b.key, b.mask] for b in x.blocks], np.int64).reshape(-1, 2) for x in memories]
    for s, p in zip(source.tolist(), pe.tolist(), strict=True):
        if memories[p].model == "source":
            raise broken("packets go to a PE that only sends", where=f"pe {p}")
        own = slices[s]
        for i in _matching(tables[p], own.key, own.n, f"pe {p}"):
            found.append(_entry(memories[p].blocks[i], blocks[p][i], own, f"pe {p}"))
        ptr.append(len(found))
    kind, base, delay, index = np.array(found, np.int64).reshape(-1, 4).T.copy()
    return Edges(np.searchsorted(pe, np.arange(program.n_pes + 1)).astype(np.int64), source.astype(np.int64),
                 home[source].astype(np.int64), flight, np.array(ptr, np.int64), kind, base, delay, index)


def _matching(table: IntArray, key: int, n: int, where: str) -> list[int]:
    """Which entries, (entries, 2) keys and masks, the keys key .. key + n - 1 match."""
    spread = (1 << (key ^ (key + n - 1)).bit_length()) - 1
    found = np.flatnonzero((key & table[:, 1] & ~spread) == (table[:, 0] & ~spread)).tolist()
    for i in found:
        if table[i, 1] & spread and ((np.arange(key, key + n) & table[i, 1]) == table[i, 0]).any():
            raise broken(f"the entry {table[i, 0]:#x} splits the slice with the keys from {key:#x} on", where=where)
    return [i for i in found if not table[i, 1] & spread and key & table[i, 1] == table[i, 0]]


def _entry(block: Block, row: Row, sender: PeSlice, where: str) -> list[int]:
    """kind, base, delay and index of Edges."""
    at = sender.key & ~block.mask
    if at + sender.n > row.senders or block.phase != sender.phase:
        raise broken(f"the entry {block.key:#x} has {row.senders} rows for senders of phase {block.phase}; the slice "
                     f"with the keys from {sender.key:#x} on is of phase {sender.phase} and needs {at + sender.n}",
                     where=where)
    return [KINDS[block.kind], row.base + at, row.delay, row.index]


def _neurons(program: SpinnakerProgram, memories: list[PeMemory]) -> tuple[Cells, Floats, Floats, NDArray[np.int32]]:
    """(parameters, u, v and steps of rest at the start) of all atoms."""
    n = len(program.arrays.neuron)
    names = ("decay_u", "u", "decay_v", "bias", "v_threshold", "reset_by", "v")
    f = {name: np.zeros(n, np.float32) for name in names}
    control = np.zeros(n, np.uint32)
    egru = np.zeros((5, n if any(m.model == "egru" for m in memories) else 0), np.float32)
    at = 0
    for m in memories:
        own, at = slice(at, at + m.n), at + m.n
        for k, name in enumerate(NEURON_FIELDS[m.model]):
            column = np.ascontiguousarray(m.neurons[:, k])
            if name == "control":
                control[own] = column
            elif m.model == "egru" and name != "h":
                egru[k - 1, own] = column.view(np.float32)
            else:
                f["v" if name == "h" else name][own] = column.view(np.float32)
    at_bit = {name: control >> np.uint32(bit) for name, bit in CONTROL.items()}
    one = np.uint32(1)
    below = np.nextafter(f["v_threshold"], np.float32(-np.inf))
    theta = np.where(at_bit["at_threshold"] & one == 1, below, f["v_threshold"])
    theta = np.where(at_bit["fires"] & one == 1, theta, np.float32(np.inf)).astype(np.float32)
    rest, left = ((at_bit[x] & np.uint32(LONGEST_REST)).astype(np.int32) for x in ("refractory", "resting"))
    cells = Cells(f["decay_u"], f["decay_v"], f["bias"], theta, f["reset_by"],
                  (at_bit["subtract"] & one).astype(np.uint8), rest, egru)
    return cells, f["u"], f["v"], left
