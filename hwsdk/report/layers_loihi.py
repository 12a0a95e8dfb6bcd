"""What of a Loihi run belongs to which layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.trace import Trace
from hwsdk.programs.loihi import LoihiProgram
from hwsdk.report.layers import COUNTED, LayerInfo, Share, share
from hwsdk.targets import Target

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
BY_STORED = "that of populations counted, that of inputs by core and stored synapses"


def layers(program: LoihiProgram) -> tuple[LayerInfo, ...]:
    """Its populations."""
    return tuple(LayerInfo(s.name, s.n, s.fires, s.model) for s in program.populations)


def rows(program: LoihiProgram) -> tuple[str, ...]:
    """Populations; inputs come from outside the chip and cost nothing that is priced."""
    return tuple(s.name for s in program.populations)


def layer_of(program: LoihiProgram) -> Ints:
    """(neurons,): number of the population of each neuron, in core order."""
    first = np.array([s.first for s in program.populations], np.int64)
    return np.asarray(np.searchsorted(first, program.arrays.source_id, side="right") - 1, np.int64)


def neurons_by_core(program: LoihiProgram) -> Ints:
    """(cores, layers): neurons."""
    found = np.zeros((program.n_cores, len(program.populations)), np.int64)
    np.add.at(found, (program.core_of(), layer_of(program)), 1)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Sends:
    """All ways from a population's neuron to a core, each (k,): layer of the sender, its core, the core that listens,
    routers passed east-west and north-south, and messages that went that way in all samples together.
    """

    layer: Ints
    home: Ints
    core: Ints
    east_west: Ints
    north_south: Ints
    messages: Ints


def fired(program: LoihiProgram, trace: Trace) -> Ints:
    """(senders,): spikes of each sender in all samples; 0 for inputs, whose spikes a trace does not hold."""
    out = np.zeros(len(program.arrays.out_ptr) - 1, np.int64)
    for s in program.populations:
        if s.fires:
            out[s.first : s.first + s.n] = np.bincount(trace.spikes[s.name].index, minlength=s.n)
    return out


def sends(program: LoihiProgram, trace: Trace) -> Sends:
    """Messages between cores; those of inputs are not among them."""
    a, spikes = program.arrays, fired(program, trace)
    home, layer = np.full((2, len(spikes)), -1, np.int64)
    home[a.source_id], layer[a.source_id] = program.core_of(), layer_of(program)
    sender = np.repeat(np.arange(len(spikes)), np.diff(a.out_ptr))
    own = home[sender] >= 0
    sender, core = sender[own], a.out_core[own].astype(np.int64)
    x, y = (np.abs(at[core].astype(np.int64) - at[home[sender]]) for at in (a.core_x, a.core_y))
    return Sends(layer[sender], home[sender], core, x, y, spikes[sender])


def reached(program: LoihiProgram, weight: NDArray[Any]) -> Floats:
    """(2, cores, layers): synapses onto each layer, through private rows and through rows of a kernel, each counted as
    often as ``weight`` (senders,) says of its sender.
    """
    a, held = program.arrays, neurons_by_core(program)
    out = np.zeros((2, *held.shape))
    core = np.repeat(np.repeat(np.arange(program.n_cores), np.diff(a.axon_ptr)), np.diff(a.segment_ptr))
    times = np.asarray(weight, np.float64)[np.repeat(a.axon_source, np.diff(a.segment_ptr))]
    kind, length = a.row_shared[a.segment_row].astype(np.int64), np.diff(a.row_ptr)[a.segment_row]
    one = ((held > 0).sum(1) == 1)[core]
    np.add.at(out, (kind[one], core[one], held.argmax(1)[core[one]]), (length * times)[one])
    some = np.flatnonzero(~one & (times != 0))
    segment = np.repeat(some, length[some])
    layer = layer_of(program)[_neurons(program, some, length[some], core)]
    np.add.at(out, (kind[segment], core[segment], layer), times[segment])
    return out


def _neurons(program: LoihiProgram, some: Ints, length: Ints, core: Ints) -> Ints:
    """The neuron, in core order, to which each entry of these segments adds."""
    a = program.arrays
    segment = np.repeat(some, length)
    offset = np.arange(len(segment)) - np.repeat(np.cumsum(length) - length, length)
    entry = a.row_ptr[a.segment_row[segment]] + offset
    n = np.diff(a.neuron_ptr)[core[segment]]
    return np.asarray(a.neuron_ptr[core[segment]] + (a.segment_base[segment] + a.target[entry]) % n, np.int64)


def synaptic(program: LoihiProgram, trace: Trace) -> tuple[Floats, str]:
    """((2, layers): synaptic operations that each layer receives, through private rows and through rows of a kernel;
    how that is known).

    Those that populations cause follow from their spikes. The rest of what each core counted is the inputs', by their
    synapses there: without a guess where these lead to one layer by one kind of row.
    """
    known = reached(program, fired(program, trace))
    from_inputs = np.arange(len(program.arrays.out_ptr) - 1) < sum(s.n for s in program.inputs)
    inputs = reached(program, from_inputs)
    rest = trace.counts["core_synops"].sum(0) - known.sum((0, 2))
    part = inputs / np.maximum(inputs.sum((0, 2)), 1)[None, :, None]
    guessed = ((inputs > 0).sum((0, 2)) > 1)[rest != 0].any()
    return np.asarray((known + part * rest[None, :, None]).sum(1)), BY_STORED if guessed else COUNTED


def shares(program: LoihiProgram, trace: Trace, target: Target) -> Mapping[str, Share]:
    """Count -> events by layer."""
    counts, s = trace.counts, sends(program, trace)
    n = len(program.populations)

    def total(name: str) -> float:
        return float(counts[name].sum())

    def by(weights: Ints) -> Floats:
        return np.bincount(s.layer, weights=weights, minlength=n).astype(np.float64)

    spikes = [float(len(trace.spikes[p.name])) * p.fires for p in program.populations]
    updates = [p.n * trace.n_steps * trace.n_samples for p in program.populations]
    found = {"neuron_updates": share(updates, total("neuron_updates"), "by neurons"),
             "spikes": share(spikes, total("spikes"), "by spikes"),
             "messages": share(by(s.messages), total("messages"), "by spikes"),
             "hops_ew": share(by(s.messages * s.east_west), total("hops_ew"), "by spikes"),
             "hops_ns": share(by(s.messages * s.north_south), total("hops_ns"), "by spikes")}
    if "core_synops" in counts:
        (private, shared), how = synaptic(program, trace)
        found |= {"private_synaptic_operations": Share(private, how), "shared_synaptic_operations": Share(shared, how)}
    return found
