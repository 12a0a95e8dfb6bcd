"""What of a SpiNNaker run belongs to which sender: inputs too, for they sit on PEs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsdk.ir.trace import Trace
from hwsdk.programs.spinnaker import SpinnakerProgram
from hwsdk.programs.spinnaker_routes import Deliveries, slice_keys, walk
from hwsdk.report.layers import COUNTED, LayerInfo, Share, share
from hwsdk.targets import Target

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
BY_NEURONS = "counted by PE; within a PE by neurons"
BY_CYCLES = "by the cycles of its PEs"


def layers(program: SpinnakerProgram) -> tuple[LayerInfo, ...]:
    """Its populations."""
    return tuple(LayerInfo(s.name, s.n, s.fires, s.model) for s in program.populations)


def rows(program: SpinnakerProgram) -> tuple[str, ...]:
    """Inputs, then populations."""
    return tuple(s.name for s in program.senders)


def neurons_by_pe(program: SpinnakerProgram) -> Ints:
    """(PEs, senders): neurons, or elements of inputs."""
    a = program.arrays
    found = np.zeros((program.n_pes, len(program.senders)), np.int64)
    pe = np.repeat(np.arange(program.n_pes), np.diff(a.slice_ptr))
    np.add.at(found, (pe, a.slice_sender), np.diff(a.neuron_ptr))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """Packets of every slice in all samples together, (slices,), nan for slices of inputs: a trace does not hold their
    spikes. ways: whom they reach; home: PE of each slice.
    """

    of_slice: Floats
    ways: Deliveries
    home: Ints


def packets(program: SpinnakerProgram, trace: Trace) -> Packets:
    """What the populations sent, from their spikes; a slice that nobody hears sends nothing."""
    a, ways = program.arrays, walk(program)
    heard = np.isin(np.arange(len(a.slice_sender)), ways.slice_of)
    sent = np.zeros(len(a.slice_sender))
    for s, number in enumerate(a.slice_sender.tolist()):
        sender = program.senders[number]
        if number < len(program.inputs):
            sent[s] = np.nan
        elif sender.fires and heard[s]:
            fired = np.bincount(trace.spikes[sender.name].index, minlength=sender.n)
            sent[s] = fired[a.neuron[a.neuron_ptr[s] : a.neuron_ptr[s + 1]]].sum()
    return Packets(sent, ways, slice_keys(program)[1])


def hops_of(program: SpinnakerProgram, found: Packets) -> Floats:
    """(slices,): hops that one packet of each slice takes, to the router and from it to every PE that hears it."""
    hops = program.arrays.pe_hops.astype(np.float64)
    out = np.bincount(found.ways.slice_of, weights=hops[found.ways.pe], minlength=len(found.home))
    return np.asarray(out + hops[found.home] * (out > 0))


def by_pe(program: SpinnakerProgram, counted: Floats) -> tuple[Floats, str]:
    """((senders,): what was counted by PE, how)."""
    held = neurons_by_pe(program).astype(np.float64)
    part = held / np.maximum(held.sum(1, keepdims=True), 1)
    return np.asarray((part * counted[:, None]).sum(0)), COUNTED if ((held > 0).sum(1) == 1).all() else BY_NEURONS


def shares(program: SpinnakerProgram, trace: Trace, target: Target) -> Mapping[str, Share]:
    """Count, or name of a supply, -> events by sender."""
    counts, found = trace.counts, packets(program, trace)
    n, first = len(program.senders), len(program.inputs)
    cycles, how = by_pe(program, counts["pe_cycles"].sum(0))
    one_level = not (counts["cycles_low"].any() and counts["cycles_high"].any())
    level = Share(cycles, how if one_level else BY_CYCLES)
    out = {"cycles_low": level, "cycles_high": level}
    for name, each in (("packets_sent", np.ones(len(found.home))), ("hops", hops_of(program, found))):
        of_slice = np.nan_to_num(found.of_slice) * each
        known = np.bincount(program.arrays.slice_sender, weights=of_slice, minlength=n).astype(np.float64)
        rest = float(counts[name].sum()) - float(known.sum())
        elements = np.array([s.n for s in program.inputs], np.float64)
        known[:first] = rest * elements / elements.sum() if first else 0.0
        out[name] = share(known, float(counts[name].sum()), "by elements") if first <= 1 else Share(
            known, "populations counted; inputs by elements")
    held = neurons_by_pe(program)
    alive = (held / np.maximum(held.sum(1, keepdims=True), 1)).sum(0)
    supplies = [p.name for p in target.powers() if p.name.startswith("PE at")]
    return out | {f"{name}, in use": Share(alive.astype(np.float64), "by PEs") for name in supplies}
