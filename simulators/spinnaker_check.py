"""Whether a SpinnakerProgram holds together: a file from elsewhere may be broken, and kernels check no bounds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hwsdk.programs.spinnaker import LEVELS, STATES, SYNC, Sender, SpinnakerProgram
from hwsdk.programs.spinnaker_image import ACCUMULATORS, MAX_PHASES, PeMemory
from hwsdk.simulators.spinnaker_rows import Row, broken

IntArray = NDArray[np.int64]
CYCLES = ("tick", "packet", "event_static", "event_conv", "event_plastic", "event_csr", "neuron_lif", "neuron_curr",
          "neuron_stdp", "neuron_egru", "spike_out", "recorded")
"""Names that the machine has to price."""
PE_MODELS = {"": ("source",), "lif": ("lif", "lif_curr"), "egru": ("egru",)}
"""Model of a sender -> models of the PEs that may hold it."""
MAX_SLOTS, MAX_HISTORY, MAX_ATOMS = 64, 1 << 14, 1024


def check(program: SpinnakerProgram, memories: list[PeMemory]) -> None:
    """Say what is broken before a kernel reads past an array.

    Raises:
        ProgramError: INCONSISTENT.
    """
    m = program.machine
    numbers = [*m.cycles.values(), m.hop_s, m.router_s, m.link_s, m.fifo]
    if set(CYCLES) - set(m.cycles) or not all(math.isfinite(x) and x >= 0 for x in numbers):
        raise broken(f"the machine's costs are not {', '.join(CYCLES)}, of 0 or more", where=program.name)
    if min(m.low_hz, m.high_hz, m.cycles["tick"]) <= 0 or (program.sync == "timer" and program.tick_s <= 0):
        raise broken("clocks, ticks and their cost must be above 0", where=program.name)
    if program.sync not in SYNC or program.level not in LEVELS or not 1 <= program.phases <= MAX_PHASES:
        raise broken(f"sync {program.sync!r}, level {program.level!r}, {program.phases} phases", where=program.name)
    if any(s.model not in STATES for s in program.populations) or any(s.model for s in program.inputs):
        raise broken(f"populations of a model other than {', '.join(STATES)}", where=program.name)
    _check_lengths(program, memories)
    for pe, memory in enumerate(memories):
        _check_pe(program, pe, memory)


def _check_lengths(program: SpinnakerProgram, memories: list[PeMemory]) -> None:
    """Do slices and their atoms fit the images, and is every neuron somewhere exactly once?"""
    a, senders = program.arrays, program.senders
    n = [s.n for m in memories for s in m.slices]
    good = np.array_equal(a.slice_ptr, np.r_[0, np.cumsum([len(m.slices) for m in memories])])
    good = good and np.array_equal(a.neuron_ptr, np.r_[0, np.cumsum(n)]) and len(a.slice_sender) == len(n)
    good = good and len(a.neuron) == sum(n) and all(n)
    good = good and all(0 <= k < len(senders) for k in a.slice_sender.tolist())
    good = good and all(len(x) == program.n_pes for x in (a.pe_hops, a.pe_core, a.pe_chip))
    if not good:
        raise broken("its slices are not those of the images", where=program.name)
    sender = np.repeat(a.slice_sender, n)
    for k, s in enumerate(senders):
        own = np.sort(a.neuron[sender == k])
        inside = not len(own) or (own[0] >= 0 and own[-1] < s.n)
        if not inside or (k >= len(program.inputs) and not np.array_equal(own, np.arange(s.n))):
            raise broken("not every element is in exactly one slice", where=s.name)


def _check_pe(program: SpinnakerProgram, pe: int, memory: PeMemory) -> None:
    """Is it an image for these senders, and of sizes that a PE can have?"""
    a = program.arrays
    own = [program.senders[k] for k in a.slice_sender[a.slice_ptr[pe] : a.slice_ptr[pe + 1]]]
    power = memory.slots > 0 and memory.slots & (memory.slots - 1) == 0 and memory.slots <= MAX_SLOTS
    if not power or memory.phases != program.phases or (memory.n > MAX_ATOMS and memory.model != "source"):
        raise broken(f"{memory.slots} slots, {memory.phases} phases and {memory.n} neurons", where=f"pe {pe}")
    if any(memory.model not in PE_MODELS[s.model] or s.phase != x.phase or x.phase >= program.phases
           for s, x in zip(own, memory.slices, strict=True)):
        raise broken("its model or its phases are not those of what it holds", where=f"pe {pe}")
    if memory.learners and (memory.model not in ("lif", "lif_curr") or not 2 <= memory.history <= MAX_HISTORY):
        raise broken(f"it learns with a history of {memory.history} spikes", where=f"pe {pe}")
    if any(not len(t) for x in memory.learners for t in (x.plus, x.minus)):
        raise broken("a learning rule without a table", where=f"pe {pe}")


def check_blocks(program: SpinnakerProgram, pe: int, memory: PeMemory, rows: list[Row]) -> None:
    """Do all words lead to accumulators of the PE, in steps that these can wait?

    A word acts in the step of its packet plus its delay: at least one step later if its target's phase is over by then,
    and at most as many as the ring has slots.

    Raises:
        ProgramError: INCONSISTENT.
    """
    ports = ACCUMULATORS[memory.model]
    phase = np.repeat([s.phase for s in memory.slices], [s.n for s in memory.slices])
    for block, row in zip(memory.blocks, rows, strict=True):
        where = f"pe {pe}, entry {block.key:#x}"
        if (block.kind == "csr") != (memory.model == "egru"):
            raise broken(f"{block.kind} words on a PE of model {memory.model}", where=where)
        if len(row.targets) and not (row.targets.min() >= 0 and row.targets.max() < memory.n * ports):
            raise broken(f"targets of {row.targets.min()} to {row.targets.max()}, it has {memory.n * ports} "
                         f"accumulators", where=where)
        if not len(row.targets):
            continue
        later = phase[row.targets % memory.n] > block.phase
        lowest, highest = np.where(later, 0, 1), memory.slots - later
        if block.kind == "plastic":
            lowest = np.ones_like(lowest)
        if ((row.delays < lowest) | (row.delays > highest)).any():
            raise broken(f"delays of {row.delays.min()} to {row.delays.max()} steps with {memory.slots} slots",
                         where=where)


def sender_of(program: SpinnakerProgram, pe: int) -> list[Sender]:
    """What a PE holds, without repetition."""
    a = program.arrays
    numbers = dict.fromkeys(a.slice_sender[a.slice_ptr[pe] : a.slice_ptr[pe + 1]].tolist())
    return [program.senders[k] for k in numbers]
