"""check of a SpiNNaker program, first part: senders, images and neurons are those of the network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsdk.errors import InternalError
from hwsdk.ir.network import Network
from hwsdk.ir.neurons import Neuron, is_spiking
from hwsdk.ir.nodes import Output
from hwsdk.ir.recurrent import EGRU
from hwsdk.ir.single import SingleLIF
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.programs.spinnaker_image import CONTROL, NEURON_FIELDS, PeMemory, floats

Words = NDArray[np.uint32]
MODELS_OF = {"": ("source",), "lif": ("lif", "lif_curr"), "egru": ("egru",)}
"""Model of a sender -> models that a PE may run it with."""


def check_senders(network: Network, program: SpinnakerProgram) -> None:
    """The senders in the order of the network, and readouts that read the same.

    Raises:
        InternalError: a sender or an output differs.
    """
    names = (*network.inputs, *network.populations)
    if [s.name for s in program.senders] != list(names) or len(program.inputs) != len(network.inputs):
        raise InternalError(f"the program's senders are {[s.name for s in program.senders]}, not {list(names)}")
    for s in program.senders:
        cell = network.populations.get(s.name)
        model = "" if cell is None else "egru" if isinstance(cell, EGRU) else "lif"
        wanted = (network.shapes[s.name], model, cell is None or is_spiking(cell), network.lag.get(s.name, 0))
        found = (s.shape, s.model, s.fires, s.lag)
        if found != wanted or not 0 <= s.phase < program.phases or (s.phase and s in program.inputs):
            raise InternalError(f"the program's sender {s.name} is {found} in phase {s.phase} of {program.phases}, the "
                                f"network's {wanted}")
    for name in network.of(Output):
        read = {e.source for e in network.sources(name) if e.source in network.populations}
        if read != set(program.outputs.get(name, ())):
            raise InternalError(f"the output {name} reads {sorted(program.outputs.get(name, ()))}, not {sorted(read)}")


def check_images(program: SpinnakerProgram, memories: list[PeMemory]) -> None:
    """Every image has the program's slices and phases, and no two PEs share a core.

    Raises:
        InternalError: with the number of the PE.
    """
    a = program.arrays
    cores = list(zip(a.pe_chip.tolist(), a.pe_core.tolist(), strict=True))
    for pe, memory in enumerate(memories):
        if cores.index(cores[pe]) != pe:
            raise InternalError(f"PE {pe} shares its core with PE {cores.index(cores[pe])}")
        if memory.phases != program.phases:
            raise InternalError(f"PE {pe} has {memory.phases} phases, the program {program.phases}")
        _check_slices(program, memory, pe)


def _check_slices(program: SpinnakerProgram, memory: PeMemory, pe: int) -> None:
    """The slices of one image are those of the arrays."""
    a = program.arrays
    own = range(int(a.slice_ptr[pe]), int(a.slice_ptr[pe + 1]))
    sizes = [int(a.neuron_ptr[s + 1] - a.neuron_ptr[s]) for s in own]
    if [s.n for s in memory.slices] != sizes:
        raise InternalError(f"PE {pe} has slices of {[s.n for s in memory.slices]} neurons, the program says {sizes}")
    for s, part in zip(own, memory.slices, strict=True):
        sender = program.senders[a.slice_sender[s]]
        if memory.model not in MODELS_OF[sender.model]:
            raise InternalError(f"PE {pe} runs {sender.name} as {memory.model!r}, it is {sender.model or 'an input'}")
        if part.phase != sender.phase:
            raise InternalError(f"PE {pe} runs {sender.name} in phase {part.phase}, the program says {sender.phase}")


def check_keys(program: SpinnakerProgram, memories: list[PeMemory]) -> None:
    """No two neurons send with one key.

    Raises:
        InternalError: names both.
    """
    a = program.arrays
    parts = [s for m in memories for s in m.slices]
    key, n = (np.array([getattr(s, f) for s in parts], np.int64) for f in ("key", "n"))
    order = np.argsort(key, kind="stable")
    clash = np.flatnonzero(key[order][1:] < (key + n)[order][:-1])
    if len(clash) or (key + n > 1 << 32).any():
        first, second = (int(order[clash[0] + k]) if len(clash) else int(np.argmax(key + n)) for k in (0, 1))
        names = [program.senders[a.slice_sender[s]].name for s in (first, second)]
        raise InternalError(f"{names[0]} and {names[1]} both send with the key {int(key[second]):#x}")


def check_neurons(network: Network, program: SpinnakerProgram, memories: list[PeMemory]) -> None:
    """Every neuron of every sender is placed once, with its own parameters and state.

    Raises:
        InternalError: names the first neuron that is not.
    """
    a = program.arrays
    sender = np.repeat(a.slice_sender, np.diff(a.neuron_ptr))
    for number, s in enumerate(program.senders):
        index = a.neuron[sender == number]
        times = np.bincount(index, minlength=s.n)[: s.n] if len(index) and index.min() >= 0 else np.zeros(s.n, int)
        if len(index) != s.n or (times != 1).any():
            at = int(np.argmax(times != 1))
            raise InternalError(f"{s.name}[{at}] is placed {times[at]} times")
    known: dict[tuple[str, str], Words] = {}
    for pe, memory in enumerate(memories):
        at = 0
        for k in range(int(a.slice_ptr[pe]), int(a.slice_ptr[pe + 1])):
            index, name = a.neuron[a.neuron_ptr[k] : a.neuron_ptr[k + 1]], program.senders[a.slice_sender[k]].name
            if memory.model != "source":
                _compare(name, network.populations[name], memory.model, index, memory.neurons[at : at + len(index)],
                         known)
            at += len(index)


def _compare(name: str, cell: Neuron, model: str, index: NDArray[np.int32], found: Words,
             known: dict[tuple[str, str], Words]) -> None:
    """The records of some neurons; known: wanted fields of whole populations, kept for the next PE."""
    if model == "lif" and isinstance(cell, SingleLIF) and cell.decay_u.ravel()[index].any():
        raise InternalError(f"{name} is run without a current that decays, its decay_u is not 0")
    for column, field in enumerate(NEURON_FIELDS[model]):
        if (name, field) not in known:
            known[name, field] = _wanted(cell, field)
        wanted = known[name, field][index]
        if not np.array_equal(wanted, found[:, column]):
            at = int(np.flatnonzero(wanted != found[:, column])[0])
            values = (x[at : at + 1] if field == "control" else x[at : at + 1].view(np.float32)
                      for x in (wanted, found[:, column].copy()))
            should, holds = (v[0] for v in values)
            raise InternalError(f"{field} of {name}[{index[at]}] should be {should}, the program says {holds}")


def _wanted(cell: Neuron, field: str) -> Words:
    """One word of every neuron of a population."""
    if isinstance(cell, SingleLIF):
        return _control(cell) if field == "control" else floats(
            getattr(cell, {"u": "u_init", "v": "v_init"}.get(field, field)).ravel())
    if isinstance(cell, EGRU):
        return floats(np.zeros(cell.n) if field == "h" else getattr(cell, field).ravel())
    raise InternalError(f"a {type(cell).__name__} on a PE")


def _control(cell: SingleLIF) -> Words:
    """CONTROL of every neuron; none rests at the start."""
    rest = np.zeros(cell.n, np.uint32) if cell.refractory is None else cell.refractory.ravel().astype(np.uint32)
    flags = {"subtract": cell.reset == "subtract", "at_threshold": cell.comparison == ">=", "fires": cell.fires}
    return rest << np.uint32(CONTROL["refractory"]) | np.uint32(sum(on << CONTROL[f] for f, on in flags.items()))
